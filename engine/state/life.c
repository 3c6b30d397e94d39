#include "engine/state/life.h"

#include "lexer/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BOOT_ID_SIZE = 37 };

/* The kernel's name for this boot; "" when it has none to tell. */
static void read_boot_id(char id[BOOT_ID_SIZE]) {
    FILE *in = fopen("/proc/sys/kernel/random/boot_id", "re");
    *id = '\0';
    if (!in)
        return;
    if (!fgets(id, BOOT_ID_SIZE, in))
        *id = '\0';
    fclose(in);
}

unsigned long long life_now(void) {
    char text[1024] = "";
    FILE *in = fopen("/proc/self/stat", "re");
    size_t length = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in)
        fclose(in);
    text[length] = '\0';
    /* The name, in brackets, may hold anything; behind it, state is field 3, starttime 22. */
    char *at = strrchr(text, ')');
    for (int field = 3; at && field <= 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

/* A VM without a UUID, which libvirt does not have, has no file. */
static char *path_of(const char *state, const char *uuid, const char *suffix) {
    return memory_printf("%s/vms/%s%s", state, uuid, suffix);
}

bool life_exists(const char *state, const char *uuid) {
    char *path = path_of(state, uuid, ""), *temporary = path_of(state, uuid, ".new");
    bool exists = access(path, F_OK) == 0 || access(temporary, F_OK) == 0;
    free(temporary);
    free(path);
    return exists;
}

static struct life_taken *find(const struct life *life, const char *address) {
    for (size_t i = 0; i < life->taken_count; i++)
        if (!strcmp(life->taken[i].address, address))
            return &life->taken[i];
    return NULL;
}

const struct life_taken *life_find_taken(const struct life *life, const char *address) {
    return find(life, address);
}

bool life_take(struct life *life, const char *address, const char *driver) {
    if (find(life, address))
        return false;
    life->taken = memory_grow(life->taken, life->taken_count, sizeof *life->taken);
    life->taken[life->taken_count++] = (struct life_taken){
        memory_strdup(address), driver && *driver ? memory_strdup(driver) : NULL};
    return true;
}

static void finish_taken(struct life_taken *taken) {
    free(taken->address);
    free(taken->driver);
}

void life_give_back(struct life *life, const char *address) {
    struct life_taken *taken = find(life, address);
    if (!taken)
        return;
    finish_taken(taken);
    *taken = life->taken[--life->taken_count];
}

bool life_has_dismissed(const struct life *life, const char *address) {
    for (size_t i = 0; i < life->dismissed_count; i++)
        if (!strcmp(life->dismissed[i], address))
            return true;
    return false;
}

void life_dismiss(struct life *life, const char *address) {
    if (life_has_dismissed(life, address))
        return;
    life->dismissed =
        memory_grow((void *)life->dismissed, life->dismissed_count, sizeof *life->dismissed);
    life->dismissed[life->dismissed_count++] = memory_strdup(address);
}

static void forget_dismissed(struct life *life) {
    for (size_t i = 0; i < life->dismissed_count; i++)
        free(life->dismissed[i]);
    free((void *)life->dismissed);
    life->dismissed = NULL;
    life->dismissed_count = 0;
}

void life_finish(struct life *life) {
    for (size_t i = 0; i < life->taken_count; i++)
        finish_taken(&life->taken[i]);
    free(life->taken);
    forget_dismissed(life);
    *life = (struct life){.id = -1};
}

/* --- the file */

/* Of this boot, and whole. */
static bool read_head(struct life *life, const char *line) {
    char told[64], boot_id[BOOT_ID_SIZE];
    read_boot_id(boot_id);
    /* NOLINTNEXTLINE(cert-err34-c): the count is looked at */
    int found = sscanf(line, "life %63s %d %llu", told, &life->id, &life->started);
    return found == 3 && !strcmp(told, boot_id);
}

static void read_line(struct life *life, const char *line) {
    char address[64], driver[64] = "";
    if (!strcmp(line, "restarted\n"))
        life->restarted = true;
    else if (sscanf(line, "taken %63s %63s", address, driver) >= 1)
        life_take(life, address, driver);
    else if (sscanf(line, "dismissed %63s", address) == 1)
        life_dismiss(life, address);
}

bool life_load(struct life *life, const char *state, const char *uuid) {
    char line[256], *path = path_of(state, uuid, "");
    FILE *in = fopen(path, "re");
    free(path);
    *life = (struct life){.id = -1};
    if (!in)
        return false;
    bool good = fgets(line, sizeof line, in) && read_head(life, line);
    while (good && fgets(line, sizeof line, in))
        read_line(life, line);
    fclose(in);
    if (!good)
        life_finish(life);
    return good;
}

void life_end(struct life *life) {
    life->restarted = false;
    forget_dismissed(life);
}

void life_open(struct life *life, const char *state, const char *uuid, int id) {
    bool found = life_load(life, state, uuid);
    if (found && life->id == id)
        return;
    if (found)
        life_end(life);
    life->id = id;
    life->started = life_now();
}

static void put(const struct life *life, FILE *out) {
    char boot_id[BOOT_ID_SIZE];
    read_boot_id(boot_id);
    fprintf(out, "life %s %d %llu\n", boot_id, life->id, life->started);
    if (life->restarted)
        fputs("restarted\n", out);
    for (size_t i = 0; i < life->taken_count; i++)
        fprintf(out, "taken %s %s\n", life->taken[i].address,
                life->taken[i].driver ? life->taken[i].driver : "");
    for (size_t i = 0; i < life->dismissed_count; i++)
        fprintf(out, "dismissed %s\n", life->dismissed[i]);
}

static bool write_file(const struct life *life, const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    if (!out)
        return false;
    put(life, out);
    bool good = !ferror(out);
    return fclose(out) == 0 && good;
}

/* The VM's lock is held, so the temporary file has one writer; one that a killed engine left is
 * written over. */
static int replace(const struct life *life, const char *path, const char *temporary) {
    if (!write_file(life, temporary)) {
        int saved = errno;
        unlink(temporary);
        errno = saved;
        return -1;
    }
    return rename(temporary, path);
}

/* Also what an engine that was killed left. */
static int forget(const char *path, const char *temporary) {
    unlink(temporary);
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void make_directory(const char *state) {
    char *path = path_of(state, "", "");
    mkdir(state, 0700);
    mkdir(path, 0700);
    free(path);
}

int life_save(const struct life *life, const char *state, const char *uuid, char *error,
              size_t error_size) {
    char *path = path_of(state, uuid, ""), *temporary = path_of(state, uuid, ".new");
    int status;
    make_directory(state);
    if (!life->restarted && !life->taken_count && !life->dismissed_count)
        status = forget(path, temporary);
    else
        status = replace(life, path, temporary);
    if (status < 0)
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
    free(temporary);
    free(path);
    return status;
}

/* --- all VMs */

/* "UUID" or, of an engine that was killed, "UUID.new". */
static int is_life(const struct dirent *entry) {
    return *entry->d_name != '.' && !strchr(entry->d_name, '.');
}

char **life_all(const char *state, size_t *count) {
    struct dirent **entries = NULL;
    char **all, *path = path_of(state, "", "");
    int found = scandir(path, &entries, is_life, alphasort);
    *count = found > 0 ? (size_t)found : 0;
    all = memory_zalloc((*count + 1) * sizeof *all);
    for (size_t i = 0; i < *count; i++) {
        all[i] = memory_strdup(entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    free(path);
    return all;
}

static bool has_taken(const char *state, const char *uuid, const char *address, char *driver,
                      size_t size) {
    struct life life;
    if (!life_load(&life, state, uuid))
        return false;
    const struct life_taken *taken = find(&life, address);
    if (taken)
        snprintf(driver, size, "%s", taken->driver ? taken->driver : "");
    bool has = taken;
    life_finish(&life);
    return has;
}

bool life_find_in_all(const char *state, const char *address, char *driver, size_t size) {
    size_t count;
    bool found = false;
    char **all = life_all(state, &count);
    for (size_t i = 0; i < count; i++) {
        found = found || has_taken(state, all[i], address, driver, size);
        free(all[i]);
    }
    free((void *)all);
    return found;
}
