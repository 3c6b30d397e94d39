#include "engine/state/pending.h"

#include "engine/state/state_file.h"
#include "engine/system/clock.h"
#include "engine/system/file.h"
#include "engine/system/process.h"
#include "lexer/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING_CALLS = 64 };

static const char UNBIND[] = "unbind";

bool pending_is_running(const struct pending_call *call) {
    return call->started && process_started("", call->process) == call->started;
}

/* --- the file */

static char *pending_path(const char *state, const char *uuid) {
    return memory_printf("%s/vms/%s.call", state, uuid);
}

static bool pending_read(const char *line, const char *boot, struct pending_call *call) {
    char told[64];
    int process = 0, length = 0;
    *call = (struct pending_call){.process = 0};
    /* NOLINTNEXTLINE(cert-err34-c): the count is looked at */
    int found = sscanf(line, "call %63s %15s %63s %39s %d %llu%n", told, call->verb, call->device,
                       call->since, &process, &call->started, &length);
    call->process = process;
    return found == 6 && !line[length] && process > 0 && !strcmp(told, boot);
}

struct pending_call *pending_load(const char *state, const char *uuid, size_t *count) {
    char boot[PROCESS_BOOT_ID_SIZE], *path = pending_path(state, uuid), *text = NULL, *rest, *line;
    struct pending_call *calls = memory_zalloc(PENDING_CALLS * sizeof *calls);
    size_t left = 0;
    file_read(path, &text, &left);
    free(path);
    process_boot_id("", boot);
    *count = 0;
    rest = text;
    while (*count < PENDING_CALLS && state_file_next_line(&rest, &left, &line))
        *count += line && pending_read(line, boot, &calls[*count]);
    free(text);
    return calls;
}

char *pending_ignored(const char *state, const char *uuid) {
    char *path = pending_path(state, uuid), *text = NULL, *rest, *line, *message = NULL;
    size_t left = 0, damaged = 0;
    int error = file_read(path, &text, &left);
    rest = text;
    while (state_file_next_line(&rest, &left, &line))
        damaged += !line;
    if (error && error != ENOENT && error != ENOTDIR)
        message = memory_printf("%s cannot be read: %s", path, strerror(error));
    else if (damaged)
        message = memory_printf("%s is damaged: %zu of its lines ignored", path, damaged);
    free(text);
    free(path);
    return message;
}

static bool pending_has_unbind(const struct pending_call *calls, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(calls[i].verb, UNBIND))
            return true;
    return false;
}

/* A file that cannot be written shall show no call that has returned; but that the kernel still
 * takes a device from its driver must not be lost. */
static void pending_save(const char *state, const char *uuid, const struct pending_call *calls,
                         size_t count) {
    char boot[PROCESS_BOOT_ID_SIZE], *path = pending_path(state, uuid);
    char *temporary = memory_printf("%s.new", path);
    struct state_text file = {0};
    process_boot_id("", boot);
    for (size_t i = 0; i < count; i++) {
        const struct pending_call *call = &calls[i];
        state_file_add_line(&file, "call %s %s %s %s %d %llu", boot, call->verb, call->device,
                            call->since, (int)call->process, call->started);
    }
    bool is_saved = count && file_replace(path, temporary, file.text, file.size) == 0;
    if (!is_saved) {
        if (!pending_has_unbind(calls, count))
            unlink(path);
        unlink(temporary); /* of an engine that was killed while it wrote */
    }
    free(file.text);
    free(temporary);
    free(path);
}

/* --- public */

static bool pending_stays(const struct pending_call *call, const char *device, bool forget) {
    if (!forget && !strcmp(call->verb, UNBIND))
        return true;
    return device ? strcmp(call->device, device) != 0 : pending_is_running(call);
}

static size_t pending_without(struct pending_call *calls, size_t count, const char *device,
                              bool forget) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (pending_stays(&calls[i], device, forget))
            calls[kept++] = calls[i];
    return kept;
}

static void pending_make_directory(const char *state) {
    char *path = memory_printf("%s/vms", state);
    mkdir(state, 0700);
    mkdir(path, 0700);
    free(path);
}

bool pending_exists(const char *state, const char *uuid) {
    char *path = pending_path(state, uuid), *temporary = memory_printf("%s.new", path);
    bool exists = access(path, F_OK) == 0 || access(temporary, F_OK) == 0;
    free(temporary);
    free(path);
    return exists;
}

void pending_begin(const char *state, const char *uuid, const char *verb, const char *device,
                   pid_t process) {
    size_t count;
    struct pending_call *calls = pending_load(state, uuid, &count);
    count = pending_without(calls, count, device, !strcmp(verb, UNBIND));
    struct pending_call *call = &calls[count < PENDING_CALLS ? count++ : count - 1];
    *call = (struct pending_call){.process = process ? process : getpid()};
    snprintf(call->verb, sizeof call->verb, "%s", verb);
    snprintf(call->device, sizeof call->device, "%s", *device ? device : "-");
    call->started = process_started("", call->process);
    clock_stamp(call->since);
    pending_make_directory(state);
    pending_save(state, uuid, calls, count);
    free(calls);
}

static void pending_remove(const char *state, const char *uuid, const char *device, bool forget) {
    size_t count;
    if (!pending_exists(state, uuid))
        return;
    struct pending_call *calls = pending_load(state, uuid, &count);
    pending_save(state, uuid, calls, pending_without(calls, count, device, forget));
    free(calls);
}

void pending_end(const char *state, const char *uuid, const char *device) {
    pending_remove(state, uuid, device, false);
}

void pending_forget(const char *state, const char *uuid, const char *device) {
    pending_remove(state, uuid, device, true);
}

static int pending_is_file(const struct dirent *entry) {
    const char *end = strrchr(entry->d_name, '.');
    return *entry->d_name != '.' && end && !strcmp(end, ".call");
}

char **pending_all(const char *state, size_t *count) {
    struct dirent **entries = NULL;
    char *path = memory_printf("%s/vms", state);
    int found = scandir(path, &entries, pending_is_file, alphasort);
    *count = found > 0 ? (size_t)found : 0;
    char **all = memory_zalloc((*count + 1) * sizeof *all);
    for (size_t i = 0; i < *count; i++) {
        const char *name = entries[i]->d_name;
        all[i] = memory_strndup(name, strlen(name) - strlen(".call"));
        free(entries[i]);
    }
    free((void *)entries);
    free(path);
    return all;
}

char *pending_text(const char *state, const char *uuid) {
    size_t count;
    struct pending_call *calls = pending_load(state, uuid, &count);
    char *text = count ? memory_printf("%s of %s since %s (process %d%s)", calls[0].verb,
                                       calls[0].device, calls[0].since, (int)calls[0].process,
                                       pending_is_running(&calls[0]) ? "" : ", which has ended")
                       : NULL;
    free(calls);
    return text;
}
