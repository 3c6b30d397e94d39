#include "engine/state/log_read.h"

#include "engine/state/log_write.h"
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
    OPEN_TRIES = 16, /* the files may be renamed meanwhile */
    HEAD_SIZE = 256, /* of a line: it has the time */
};

/* --- one line */

static const char *log_read_member(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return value ? json_object_get_string(value) : NULL;
}

static int log_read_number(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return json_object_is_type(value, json_type_int) ? json_object_get_int(value) : -1;
}

bool log_read_parse(struct log_line *entry, const char *line, size_t size) {
    struct json_object *object = size <= LOG_LINE_LIMIT ? text_parse_json(line, size) : NULL;
    *entry = (struct log_line){0};
    if (!object)
        return false;
    *entry = (struct log_line){.object = object,
                               .time = log_read_member(object, "time"),
                               .vm = log_read_member(object, "vm"),
                               .uuid = log_read_member(object, "uuid"),
                               .event = log_read_member(object, "event"),
                               .action = log_read_member(object, "action"),
                               .device = log_read_member(object, "device"),
                               .rule = log_read_member(object, "rule"),
                               .result = log_read_member(object, "result"),
                               .message = log_read_member(object, "message"),
                               .hint = log_read_member(object, "hint"),
                               .name = log_read_member(object, "name"),
                               .id = log_read_number(object, "id")};
    return true;
}

void log_read_finish_line(struct log_line *entry) {
    json_object_put(entry->object);
    *entry = (struct log_line){0};
}

char *log_read_time_text(const char *time) {
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; form[i]; i++) {
        bool is_digit = time[i] >= '0' && time[i] <= '9';
        if (form[i] == 'd' ? !is_digit : time[i] != form[i])
            return memory_strdup(time);
    }
    return memory_printf("%.10s %.8s", time, time + 11);
}

/* --- the files */

struct log_reader {
    char *directory, *path, *rotated;
    bool follow, found, skipping; /* skipping: the rest of a line that was too long */
    int error;
    /* Descriptors, or -1: the file being read, the one after it, the one before it, and the rotated
     * file as last seen, which has been read. */
    int now, next, before, older;
    off_t offset; /* of `text` in the file being read */
    char *text;
    size_t used, size, room; /* bytes of it returned, read, allocated */
    /* The beginning of the last returned line that is not empty, and where in the file it is. */
    char head[HEAD_SIZE];
    size_t head_size;
    off_t head_offset;
};

struct log_reader *log_read_open(const char *state, const char *name, bool follow) {
    struct log_reader *reader = memory_zalloc(sizeof *reader);
    reader->directory = memory_strdup(log_write_state_directory(state));
    reader->path = memory_printf("%s/%s", reader->directory, name);
    reader->rotated = memory_printf("%s" LOG_WRITE_ROTATED, reader->path);
    reader->follow = follow;
    reader->now = reader->next = reader->before = reader->older = -1;
    return reader;
}

static void log_read_close_if_open(int fd) {
    if (fd >= 0)
        close(fd);
}

void log_read_close(struct log_reader *reader) {
    log_read_close_if_open(reader->now);
    log_read_close_if_open(reader->next);
    log_read_close_if_open(reader->before);
    log_read_close_if_open(reader->older);
    free(reader->directory);
    free(reader->path);
    free(reader->rotated);
    free(reader->text);
    free(reader);
}

int log_read_error(const struct log_reader *reader) {
    return reader->error;
}

bool log_read_found(const struct log_reader *reader) {
    return reader->found;
}

const char *log_read_path(const struct log_reader *reader) {
    return reader->path;
}

const char *log_read_directory(const struct log_reader *reader) {
    return reader->directory;
}

/* A file of the log, as the writers open it; -1: there is none, or `error` says why not. */
static int log_read_open_file(struct log_reader *reader, const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT)
        reader->error = errno == ELOOP ? EINVAL : errno; /* a symbolic link */
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        reader->error = EINVAL;
        close(fd);
        fd = -1;
    }
    reader->found |= fd >= 0;
    return fd;
}

static bool log_read_is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool log_read_is_file(int fd, const struct stat *file) {
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && log_read_is_same(&status, file);
}

static bool log_read_was_read(const struct log_reader *reader, int fd) {
    struct stat status;
    return fstat(fd, &status) != 0 || log_read_is_file(reader->now, &status) ||
           log_read_is_file(reader->before, &status) || log_read_is_file(reader->older, &status);
}

/* Whether there is no rotated file that must be read first. */
static bool log_read_has_read_rotated(const struct log_reader *reader) {
    struct stat status;
    int fd = open(reader->rotated, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is = fd < 0 || log_read_was_read(reader, fd) || fstat(fd, &status) != 0 ||
              !S_ISREG(status.st_mode);
    log_read_close_if_open(fd);
    return is;
}

/*
 * The file after the one being read. Files that were read stay open, so that no new file can get
 * their inode number. After two rotations the rotated file has never been read, and comes first.
 */
static int log_read_open_next(struct log_reader *reader) {
    for (int i = 0; i < OPEN_TRIES; i++) {
        int fd = log_read_open_file(reader, reader->rotated);
        if (fd >= 0 && !log_read_was_read(reader, fd))
            return fd;
        if (fd >= 0) {
            log_read_close_if_open(reader->older);
            reader->older = fd;
        }
        fd = log_read_open_file(reader, reader->path);
        if (fd < 0 || (!log_read_was_read(reader, fd) && log_read_has_read_rotated(reader)))
            return fd;
        bool is_now = log_read_has_read_rotated(reader);
        close(fd);
        if (is_now)
            return -1;
    }
    return -1;
}

static void log_read_rewind(struct log_reader *reader) {
    reader->offset = 0;
    reader->used = reader->size = reader->head_size = 0;
    reader->skipping = false;
}

static void log_read_switch_to(struct log_reader *reader, int fd) {
    log_read_close_if_open(reader->before);
    reader->before = reader->now;
    reader->now = fd;
    reader->next = -1;
    log_read_rewind(reader);
}

/* --- lines of the file being read */

static ssize_t log_read_at(struct log_reader *reader, char *bytes, size_t size, off_t offset) {
    ssize_t got;
    do
        got = pread(reader->now, bytes, size, offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        reader->error = errno;
    return got;
}

/* Appends more of the file to `text`; false at its end. */
static bool log_read_read_more(struct log_reader *reader) {
    if (reader->room < reader->size + READ_SIZE) {
        reader->room = 2 * reader->room + READ_SIZE;
        reader->text = memory_resize(reader->text, reader->room, 1);
    }
    ssize_t got = log_read_at(reader, reader->text + reader->size, READ_SIZE,
                              reader->offset + (off_t)reader->size);
    if (got > 0)
        reader->size += (size_t)got;
    return got > 0;
}

/* Whether the log was truncated since the last line was returned: other bytes are in the line's
 * place, or none, however long the log is. To be asked after a read, which that makes void. */
static bool log_read_was_truncated(struct log_reader *reader) {
    char head[HEAD_SIZE];
    ssize_t got = log_read_at(reader, head, reader->head_size, reader->head_offset);
    return got >= 0 &&
           ((size_t)got != reader->head_size || memcmp(head, reader->head, reader->head_size) != 0);
}

/* Drops what has been returned. */
static void log_read_compact(struct log_reader *reader) {
    if (!reader->used)
        return;
    reader->size -= reader->used;
    memmove(reader->text, reader->text + reader->used, reader->size);
    reader->offset += (off_t)reader->used;
    reader->used = 0;
}

static void log_read_take(struct log_reader *reader, size_t length, bool with_newline,
                          const char **line, size_t *size) {
    *line = reader->text + reader->used;
    *size = length;
    if (length || !reader->head_size) {
        reader->head_size = length + with_newline < HEAD_SIZE ? length + with_newline : HEAD_SIZE;
        reader->head_offset = reader->offset + (off_t)reader->used;
        memcpy(reader->head, *line, reader->head_size);
    }
    reader->used += length + with_newline;
}

static bool log_read_is_too_long(const struct log_reader *reader) {
    return reader->size - reader->used > LOG_LINE_LIMIT;
}

/* The next line of the file being read. `torn`: also a last line without a newline. */
static bool log_read_take_line(struct log_reader *reader, bool torn, const char **line,
                               size_t *size) {
    size_t searched = 0;
    for (;;) {
        size_t left = reader->size - reader->used;
        const char *start = left ? reader->text + reader->used : NULL;
        const char *end = left > searched ? memchr(start + searched, '\n', left - searched) : NULL;
        bool skipped = reader->skipping;
        if (end || log_read_is_too_long(reader)) {
            reader->skipping = !end;
            log_read_take(reader, end ? (size_t)(end - start) : left, end != NULL, line, size);
            *size = *size > LOG_LINE_LIMIT ? LOG_LINE_LIMIT : *size;
            searched = 0;
            if (!skipped)
                return true;
            continue;
        }
        searched = left;
        log_read_compact(reader);
        bool has_more = log_read_read_more(reader);
        if (log_read_was_truncated(reader)) {
            log_read_rewind(reader);
            searched = 0;
            continue;
        }
        if (has_more)
            continue;
        if (torn && left && !skipped) {
            log_read_take(reader, left, false, line, size);
            return true;
        }
        reader->size = 0; /* an incomplete line, which its writer may remove again */
        return false;
    }
}

bool log_read_next(struct log_reader *reader, const char **line, size_t *size) {
    for (;;) {
        if (reader->now >= 0 && log_read_take_line(reader, false, line, size))
            return true;
        if (reader->next < 0)
            reader->next = log_read_open_next(reader);
        if (reader->next < 0)
            return reader->now >= 0 && !reader->follow &&
                   log_read_take_line(reader, true, line, size);
        /* A rotated file is not written to any more. */
        if (reader->now >= 0 && log_read_take_line(reader, true, line, size))
            return true;
        log_read_switch_to(reader, reader->next);
    }
}
