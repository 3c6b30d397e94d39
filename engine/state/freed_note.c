#include "engine/state/freed_note.h"

#include "engine/model/address.h"
#include "engine/state/device_db.h"
#include "engine/state/lock.h"
#include "engine/state/state_file.h"
#include "engine/system/clock.h"
#include "engine/system/file.h"
#include "engine/system/process.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FREED_LOCK_MS = 2000 };

/* "" for the directory. */
static char *freed_note_path(const char *state, const char *name) {
    return memory_printf("%s/freed%s%s", state, *name ? "/" : "", name);
}

static char *freed_note_temporary(const char *state, const char *name) {
    return memory_printf("%s/freed/.%s.new", state, name);
}

/* Held for a moment, while files here are changed; without it, where no lock can be made, too. */
static int freed_note_lock(const char *state) {
    return lock_vm_within(state, "freed", FREED_LOCK_MS, NULL);
}

/* --- the file */

static bool freed_note_read_number(const char *text, unsigned long long *number) {
    char *end = NULL;
    errno = 0;
    *number = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    return end && !*end && !errno;
}

static bool freed_note_is_running(const struct freed_note *note) {
    return note->started && process_started("", (pid_t)note->process) == note->started;
}

static bool freed_note_read_head(struct freed_note *note, char *line) {
    char boot[PROCESS_BOOT_ID_SIZE], normal[64];
    unsigned long long written;
    const char *word = text_next_field(&line), *told = text_next_field(&line),
               *address = text_next_field(&line);
    if (!address || strcmp(word, "freed") != 0 || process_boot_id("", boot) != 0 ||
        strcmp(told, *boot ? boot : "-") != 0 ||
        !address_normalise(address, normal, sizeof normal) || strcmp(normal, address) != 0 ||
        !device_id_parse(text_next_field(&line), &note->id) ||
        !freed_note_read_number(text_next_field(&line), &note->process) ||
        !freed_note_read_number(text_next_field(&line), &note->started) ||
        !freed_note_read_number(text_next_field(&line), &written))
        return false;
    note->written = written;
    if (!device_bus_of_address(address, &note->bus))
        return false;
    note->address = memory_strdup(address);
    note->is_ready = !freed_note_is_running(note);
    return true;
}

/* The rest of the line, which may have blanks. */
static void freed_note_read_vm(char **vm, const char *line) {
    free(*vm);
    *vm = line && *line ? memory_strdup(line) : NULL;
}

static bool freed_note_parse(struct freed_note *note, char *rest, size_t left) {
    char *line = NULL;
    bool ended = false, good = state_file_next_line(&rest, &left, &line) && line &&
                               freed_note_read_head(note, line);
    while (good && state_file_next_line(&rest, &left, &line)) {
        const char *word = line ? text_next_field(&line) : NULL;
        good = word && !ended;
        if (good && !strcmp(word, "from"))
            freed_note_read_vm(&note->from, line);
        else if (good && !strcmp(word, "taker"))
            freed_note_read_vm(&note->taker, line);
        note->has_stopped |= good && !strcmp(word, "stopped");
        ended |= good && !strcmp(word, "end");
    }
    return good && ended && note->from;
}

static void freed_note_clear(struct freed_note *note) {
    free(note->address);
    free(note->from);
    free(note->taker);
    free(note->text);
    *note = (struct freed_note){0};
}

/* Returns false for what is not a note of this boot. */
static bool freed_note_read(struct freed_note *note, const char *state, const char *name) {
    char *path = freed_note_path(state, name), *text = NULL;
    size_t size;
    *note = (struct freed_note){0};
    bool found = file_read(path, &text, &size) == 0;
    if (found) {
        note->text = memory_strdup(text);
        found = freed_note_parse(note, text, size);
    }
    if (!found)
        freed_note_clear(note);
    free(text);
    free(path);
    return found;
}

/* Returns false when it cannot be written; an older file stays then. */
static bool freed_note_save(const char *state, const char *name, const struct freed_note *note,
                            pid_t process) {
    char boot[PROCESS_BOOT_ID_SIZE], *path = freed_note_path(state, name),
                                     *temporary = freed_note_temporary(state, name),
                                     *directory = freed_note_path(state, "");
    struct state_text file = {0};
    process_boot_id("", boot);
    state_file_add_line(&file, "freed %s %s %04x:%04x %d %llu %llu", *boot ? boot : "-",
                        note->address, note->id.vendor, note->id.device, (int)process,
                        process ? process_started("", process) : 0,
                        (unsigned long long)clock_boot_us());
    state_file_add_line(&file, "from %s", note->from);
    if (note->taker)
        state_file_add_line(&file, "taker %s", note->taker);
    if (note->has_stopped)
        state_file_add_line(&file, "stopped");
    state_file_add_line(&file, "end");
    mkdir(state, 0700);
    mkdir(directory, 0700);
    bool saved = file_replace(path, temporary, file.text, file.size) == 0;
    if (!saved)
        rmdir(directory); /* unless it has others */
    free(file.text);
    free(directory);
    free(temporary);
    free(path);
    return saved;
}

/* With what an engine that was killed left of it, and the directory when it was the last. */
static void freed_note_unlink(const char *state, const char *name) {
    char *path = freed_note_path(state, name), *temporary = freed_note_temporary(state, name),
         *directory = freed_note_path(state, "");
    unlink(path);
    unlink(temporary);
    rmdir(directory);
    free(directory);
    free(temporary);
    free(path);
}

/* --- what cannot be written (disk full) */

struct freed_note_list {
    struct freed_note *list;
    size_t count;
};

/* This process's own, which no other one gets to know. They have no text. */
static struct freed_note_list unwritten;
/* This process has done what it noted, and the files do not say so. */
static bool cannot_finish;

static void freed_note_add_copy(struct freed_note_list *notes, const struct freed_note *note) {
    notes->list = memory_grow(notes->list, notes->count, sizeof *notes->list);
    notes->list[notes->count++] = (struct freed_note){.bus = note->bus,
                                                      .address = memory_strdup(note->address),
                                                      .id = note->id,
                                                      .from = memory_strdup(note->from),
                                                      .taker = memory_copy(note->taker),
                                                      .has_stopped = note->has_stopped,
                                                      .is_ready = true,
                                                      .written = note->written};
}

/* `written`: that one, 0 for any. Returns true when there was one. */
static bool freed_note_drop_unwritten(enum bus bus, const char *address, uint64_t written) {
    for (size_t i = 0; i < unwritten.count; i++) {
        const struct freed_note *note = &unwritten.list[i];
        if (note->bus != bus || strcmp(note->address, address) != 0 ||
            (written && note->written != written))
            continue;
        freed_note_clear(&unwritten.list[i]);
        unwritten.list[i] = unwritten.list[--unwritten.count];
        if (!unwritten.count) {
            free(unwritten.list);
            unwritten.list = NULL;
        }
        return true;
    }
    return false;
}

/* --- public */

static char *freed_note_slot(const struct freed_note *note) {
    return device_db_slot(&(struct device){.bus = note->bus, .address = note->address});
}

static void freed_note_write_own(const char *state, const struct freed_note *note) {
    char *name = freed_note_slot(note);
    int lock = freed_note_lock(state);
    freed_note_drop_unwritten(note->bus, note->address, 0);
    if (!freed_note_save(state, name, note, getpid()))
        freed_note_add_copy(&unwritten, note);
    lock_release(lock);
    free(name);
}

void freed_note_write(const char *state, const struct device *device, const char *from,
                      const char *taker) {
    freed_note_write_own(state, &(struct freed_note){.bus = device->bus,
                                                     .address = device->address,
                                                     .id = device->id,
                                                     .from = (char *)from,
                                                     .taker = (char *)taker,
                                                     .written = clock_boot_us()});
}

void freed_note_write_stopped(const char *state, const struct device *device, const char *from) {
    freed_note_write_own(state, &(struct freed_note){.bus = device->bus,
                                                     .address = device->address,
                                                     .id = device->id,
                                                     .from = (char *)from,
                                                     .has_stopped = true,
                                                     .written = clock_boot_us()});
}

/* Whether this process wrote it, and has not finished it. */
static bool freed_note_is_own(const struct freed_note *note) {
    return note->process == (unsigned long long)getpid() && freed_note_is_running(note);
}

void freed_note_withdraw(const char *state, const struct device *device) {
    struct freed_note note;
    char *name = device_db_slot(device);
    int lock = freed_note_lock(state);
    freed_note_drop_unwritten(device->bus, device->address, 0);
    if (freed_note_read(&note, state, name)) {
        if (freed_note_is_own(&note))
            freed_note_unlink(state, name);
        freed_note_clear(&note);
    }
    lock_release(lock);
    free(name);
}

void freed_note_write_released(const char *state, const struct device *device) {
    struct freed_note note;
    char *name = device_db_slot(device);
    int lock = freed_note_lock(state);
    if (freed_note_read(&note, state, name)) {
        note.has_stopped = true;
        if (freed_note_is_own(&note))
            freed_note_save(state, name, &note, getpid());
        freed_note_clear(&note);
    }
    lock_release(lock);
    free(name);
}

bool freed_note_exists(const char *state) {
    char *path = freed_note_path(state, "");
    bool exists = unwritten.count || access(path, F_OK) == 0;
    free(path);
    return exists;
}

/* Those that begin with a point are not written to the end. */
static int freed_note_is_name(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Calls `handle` with each file, while no other process changes any. */
static void freed_note_each(const char *state,
                            void (*handle)(const char *state, const char *name, void *context),
                            void *context) {
    struct dirent **entries = NULL;
    if (!freed_note_exists(state))
        return;
    char *path = freed_note_path(state, "");
    int lock = freed_note_lock(state);
    int count = scandir(path, &entries, freed_note_is_name, alphasort);
    for (int i = 0; i < count; i++) {
        handle(state, entries[i]->d_name, context);
        free(entries[i]);
    }
    if (count <= 0)
        rmdir(path);
    free((void *)entries);
    lock_release(lock);
    free(path);
}

static void freed_note_finish_one(const char *state, const char *name, void *context) {
    struct freed_note note;
    (void)context;
    if (*name == '.' || !freed_note_read(&note, state, name))
        return;
    if (freed_note_is_own(&note) && !freed_note_save(state, name, &note, 0))
        cannot_finish = true;
    freed_note_clear(&note);
}

void freed_note_finish_own(const char *state) {
    freed_note_each(state, freed_note_finish_one, NULL);
}

/* What is damaged, or of an earlier boot, is removed. */
static void freed_note_add(const char *state, const char *name, void *context) {
    struct freed_note_list *notes = context;
    struct freed_note note;
    if (*name == '.' || !freed_note_read(&note, state, name)) {
        char *path = freed_note_path(state, name), *directory = freed_note_path(state, "");
        unlink(path);
        rmdir(directory);
        free(directory);
        free(path);
        return;
    }
    notes->list = memory_grow(notes->list, notes->count, sizeof *notes->list);
    note.is_ready |= cannot_finish && freed_note_is_own(&note);
    notes->list[notes->count++] = note;
}

struct freed_note *freed_note_all(const char *state, size_t *count) {
    struct freed_note_list notes = {0};
    for (size_t i = 0; i < unwritten.count; i++)
        freed_note_add_copy(&notes, &unwritten.list[i]);
    freed_note_each(state, freed_note_add, &notes);
    *count = notes.count;
    return notes.list;
}

void freed_note_free(struct freed_note *notes, size_t count) {
    for (size_t i = 0; i < count; i++)
        freed_note_clear(&notes[i]);
    free(notes);
}

bool freed_note_remove(const char *state, const struct freed_note *note) {
    struct freed_note now;
    if (!note->text)
        return freed_note_drop_unwritten(note->bus, note->address, note->written);
    char *name = freed_note_slot(note);
    int lock = freed_note_lock(state);
    bool found = freed_note_read(&now, state, name), same = found && !strcmp(now.text, note->text);
    if (same)
        freed_note_unlink(state, name);
    if (found)
        freed_note_clear(&now);
    lock_release(lock);
    free(name);
    return same || !found;
}

bool freed_note_is(const struct freed_note *note, const struct device *device) {
    return note->bus == device->bus && !strcmp(note->address, device->address) &&
           device_id_is(note->id, device->id);
}
