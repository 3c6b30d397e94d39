#include "engine/state/history.h"

#include "engine/state/journal.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024,
    LOOKS = 16, /* at files that are renamed meanwhile */
};

/* --- one line */

static const char *text_of(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return value ? json_object_get_string(value) : NULL;
}

bool history_parse(struct history_entry *entry, const char *line, size_t size) {
    struct json_object *object = size <= HISTORY_LINE_LIMIT ? text_parse_json(line, size) : NULL;
    *entry = (struct history_entry){0};
    if (!object)
        return false;
    *entry = (struct history_entry){.object = object,
                                    .time = text_of(object, "time"),
                                    .vm = text_of(object, "vm"),
                                    .uuid = text_of(object, "uuid"),
                                    .event = text_of(object, "event"),
                                    .action = text_of(object, "action"),
                                    .device = text_of(object, "device"),
                                    .rule = text_of(object, "rule"),
                                    .result = text_of(object, "result"),
                                    .message = text_of(object, "message")};
    return true;
}

void history_entry_finish(struct history_entry *entry) {
    json_object_put(entry->object);
    *entry = (struct history_entry){0};
}

char *history_time_text(const char *time) {
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; form[i]; i++) {
        bool is_digit = time[i] >= '0' && time[i] <= '9';
        if (form[i] == 'd' ? !is_digit : time[i] != form[i])
            return memory_strdup(time);
    }
    return memory_printf("%.10s %.8s", time, time + 11);
}

/* --- the files */

struct history_reader {
    char *directory, *path, *rotated;
    bool follow, found, skipping; /* skipping: the rest of a line that was too long */
    int error;
    /* Descriptors, or -1: of what is being read, what comes after it, what was read before it, and
     * the older file as it was last seen, which had been read. */
    int now, next, before, older;
    off_t offset; /* of `text` in the file being read */
    char *text;
    size_t taken, size, room;
};

struct history_reader *history_reader_create(const char *state, bool follow) {
    struct history_reader *reader = memory_zalloc(sizeof *reader);
    reader->directory = memory_strdup(state_directory(state));
    reader->path = memory_printf("%s/virt-rules.log", reader->directory);
    reader->rotated = memory_printf("%s/virt-rules.log.1", reader->directory);
    reader->follow = follow;
    reader->now = reader->next = reader->before = reader->older = -1;
    return reader;
}

static void close_if_open(int fd) {
    if (fd >= 0)
        close(fd);
}

void history_reader_destroy(struct history_reader *reader) {
    close_if_open(reader->now);
    close_if_open(reader->next);
    close_if_open(reader->before);
    close_if_open(reader->older);
    free(reader->directory);
    free(reader->path);
    free(reader->rotated);
    free(reader->text);
    free(reader);
}

int history_error(const struct history_reader *reader) {
    return reader->error;
}

bool history_found(const struct history_reader *reader) {
    return reader->found;
}

const char *history_path(const struct history_reader *reader) {
    return reader->path;
}

const char *history_directory(const struct history_reader *reader) {
    return reader->directory;
}

/* A file of the log, as the writers open it; -1: there is none, or `error` says why not. */
static int open_file(struct history_reader *reader, const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT)
        reader->error = errno;
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        reader->error = EINVAL;
        close(fd);
        fd = -1;
    }
    reader->found |= fd >= 0;
    return fd;
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_file(int fd, const struct stat *file) {
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && is_same(&status, file);
}

static bool was_read(const struct history_reader *reader, int fd) {
    struct stat status;
    return fstat(fd, &status) != 0 || is_file(reader->now, &status) ||
           is_file(reader->before, &status) || is_file(reader->older, &status);
}

/* Whether the older file has not been replaced by one that is to be read first. */
static bool is_settled(const struct history_reader *reader) {
    struct stat status;
    int fd = open(reader->rotated, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is = fd < 0 || was_read(reader, fd) || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode);
    close_if_open(fd);
    return is;
}

/*
 * The file after the one being read. What was read is held open, so that no new file can have its
 * number. After two rotations the older file is one that was never
 * read, and comes first.
 */
static int open_next(struct history_reader *reader) {
    for (int i = 0; i < LOOKS; i++) {
        int fd = open_file(reader, reader->rotated);
        if (fd >= 0 && !was_read(reader, fd))
            return fd;
        if (fd >= 0) {
            close_if_open(reader->older);
            reader->older = fd;
        }
        fd = open_file(reader, reader->path);
        if (fd < 0 || (!was_read(reader, fd) && is_settled(reader)))
            return fd;
        bool is_now = is_settled(reader);
        close(fd);
        if (is_now)
            return -1;
    }
    return -1;
}

static void go_on_to(struct history_reader *reader, int fd) {
    close_if_open(reader->before);
    reader->before = reader->now;
    reader->now = fd;
    reader->next = -1;
    reader->offset = 0;
    reader->taken = reader->size = 0;
    reader->skipping = false;
}

/* --- lines of the file being read */

/* More of the file behind what is in memory; false at its end. */
static bool read_more(struct history_reader *reader) {
    if (reader->room < reader->size + READ_SIZE) {
        reader->room = 2 * reader->room + READ_SIZE;
        reader->text = memory_resize(reader->text, reader->room, 1);
    }
    ssize_t got;
    do
        got = pread(reader->now, reader->text + reader->size, READ_SIZE,
                    reader->offset + (off_t)reader->size);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        reader->error = errno;
    if (got > 0)
        reader->size += (size_t)got;
    return got > 0;
}

/* Forgets what was taken. */
static void compact(struct history_reader *reader) {
    if (!reader->taken)
        return;
    reader->size -= reader->taken;
    memmove(reader->text, reader->text + reader->taken, reader->size);
    reader->offset += (off_t)reader->taken;
    reader->taken = 0;
}

/* Forgets also what is not a whole line yet: a writer may take it out again. */
static void forget(struct history_reader *reader) {
    struct stat status;
    compact(reader);
    reader->size = 0;
    if (fstat(reader->now, &status) != 0 || status.st_size >= reader->offset)
        return;
    reader->offset = 0; /* somebody emptied the log */
    reader->skipping = false;
}

static void take(struct history_reader *reader, size_t length, bool with_newline, const char **line,
                 size_t *size) {
    *line = reader->text + reader->taken;
    *size = length;
    reader->taken += length + with_newline;
}

static bool is_too_long(const struct history_reader *reader) {
    return reader->size - reader->taken > HISTORY_LINE_LIMIT;
}

/* The next line in the file being read. `torn`: also one at its end that has no newline. */
static bool take_line(struct history_reader *reader, bool torn, const char **line, size_t *size) {
    size_t searched = 0;
    for (;;) {
        size_t left = reader->size - reader->taken;
        const char *start = left ? reader->text + reader->taken : NULL;
        const char *end = left > searched ? memchr(start + searched, '\n', left - searched) : NULL;
        bool skipped = reader->skipping;
        if (end || is_too_long(reader)) {
            reader->skipping = !end;
            take(reader, end ? (size_t)(end - start) : left, end != NULL, line, size);
            *size = *size > HISTORY_LINE_LIMIT ? HISTORY_LINE_LIMIT : *size;
            searched = 0;
            if (!skipped)
                return true;
            continue;
        }
        searched = left;
        compact(reader);
        if (read_more(reader))
            continue;
        if (torn && left && !skipped)
            take(reader, left, false, line, size);
        else
            forget(reader);
        return torn && left && !skipped;
    }
}

bool history_next(struct history_reader *reader, const char **line, size_t *size) {
    for (;;) {
        if (reader->now >= 0 && take_line(reader, false, line, size))
            return true;
        if (reader->next < 0)
            reader->next = open_next(reader);
        if (reader->next < 0)
            return reader->now >= 0 && !reader->follow && take_line(reader, true, line, size);
        /* Nobody writes to the file any more, so what is left of it is all there will be. */
        if (reader->now >= 0 && take_line(reader, true, line, size))
            return true;
        go_on_to(reader, reader->next);
    }
}
