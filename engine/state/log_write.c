#include "engine/state/log_write.h"

#include "engine/state/log_text.h"
#include "engine/system/clock.h"
#include "engine/system/layout.h"
#include "lexer/memory.h"
#include "lexer/text.h"
#include "lexer/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum {
    SIZE_MAX_LOG = 1 << 20,    /* one file; the one before it is kept as .log.1 */
    SIZE_MAX_EVENTS = 1 << 18, /* the same of the events */
    SIZE_MAX_TEXT = 16 * 1024, /* one text; the rest of a longer one is cut off */
    LOCK_TRIES = 200,          /* of 10 ms: others do not wait for ever for a writer that hangs */
    OPEN_TRIES = 16,
};

/* A file of lines, and the one before it. */
struct log_file {
    char *path;
    char *rotated; /* PATH.1 */
    off_t limit;
    bool is_locked; /* for each line: then one that was written in part only is removed again */
};

struct log_writer {
    struct log_file log, events;
    bool echo;
    FILE *copy; /* NULL: none */
    bool copy_json;
    bool failed; /* reported already: the file cannot be written */
    size_t count;
    char time[CLOCK_STAMP_SIZE];
};

static const struct {
    const char *name;
    int priority;
} results[] = {
    [RESULT_ATTACHED] = {"attached", LOG_INFO},
    [RESULT_ALREADY] = {"already", LOG_INFO},
    [RESULT_REFUSED] = {"refused", LOG_WARNING},
    [RESULT_FAILED] = {"failed", LOG_ERR},
    [RESULT_ABSENT] = {"absent", LOG_INFO},
    [RESULT_DETACHED] = {"detached", LOG_INFO},
    [RESULT_RAN] = {"ran", LOG_INFO},
    [RESULT_WAITING] = {"waiting", LOG_INFO},
    [RESULT_PARKED] = {"parked", LOG_INFO},
    [RESULT_BOUND] = {"bound", LOG_INFO},
    [RESULT_CREATED] = {"created", LOG_INFO},
    [RESULT_STOPPED] = {"stopped", LOG_WARNING},
};

static const struct {
    const char *name, *message;
} event_results[] = {
    [LOG_EVENT_UNMATCHED] = {"unmatched", "no rule matched"},
    [LOG_EVENT_MATCHED] = {"matched", ""},
    [LOG_EVENT_FAILED] = {"failed", "it could not be handled; the log says why"},
    [LOG_EVENT_NONE] = {"none", "rules have no such event"},
};

const char *log_write_event_result_name(enum log_event_result result) {
    return event_results[result].name;
}

const char *log_write_result_name(enum result result) {
    return results[result].name;
}

bool log_write_result_parse(const char *name, enum result *result) {
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (!strcmp(results[i].name, name)) {
            *result = (enum result)i;
            return true;
        }
    return false;
}

const char *log_write_state_directory(const char *option) {
    const char *environment = getenv("VIRT_RULES_STATE");

    if (option)
        return option;
    return environment && *environment ? environment : layout_current()->state;
}

/* ---- text ---- */

/* How many bytes of a text are kept: SIZE_MAX_TEXT, and the rest of the last character. */
static size_t log_write_kept(const char *text) {
    size_t size = strlen(text), end = 0;

    while (end < size && end < SIZE_MAX_TEXT) {
        size_t length = utf8_length(text + end, size - end);
        end += length ? length : 1;
    }
    return end;
}

static void log_write_put_text(FILE *out, const char *text) {
    size_t end = log_write_kept(text);

    text_escape(out, text, end);
    fputs(text[end] ? "..." : "", out);
}

static struct json_object *log_write_json_text(const char *text) {
    if (!text || !text[log_write_kept(text)])
        return text_json(text);
    char *cut = memory_printf("%.*s...", (int)log_write_kept(text), text);
    struct json_object *json = text_json(cut);
    free(cut);
    return json;
}

/* The entry as one line with its newline. */
static char *log_write_json_line(const struct log_entry *entry, const char *now) {
    struct json_object *object = text_json_object();

    text_json_add(object, "time", log_write_json_text(now));
    text_json_add(object, "vm", log_write_json_text(entry->vm));
    text_json_add(object, "event", log_write_json_text(entry->event));
    text_json_add(object, "action", log_write_json_text(entry->action));
    text_json_add(object, "device", log_write_json_text(entry->device));
    text_json_add(object, "rule", log_write_json_text(entry->rule));
    text_json_add(object, "result", log_write_json_text(log_write_result_name(entry->result)));
    text_json_add(object, "message", log_write_json_text(entry->message));
    text_json_add(object, "uuid", log_write_json_text(entry->uuid));
    if (entry->hint && *entry->hint)
        text_json_add(object, "hint", log_write_json_text(entry->hint));
    if (entry->is_timed) {
        text_json_add(object, "call_ms", text_json_number(entry->call_ms));
        text_json_add(object, "event_ms", text_json_number(entry->event_ms));
    }
    char *line = memory_printf("%s\n", text_json_line(object));
    json_object_put(object);
    return line;
}

/* With the keys of a line of the log, and its own after them. */
static char *log_write_event_line(const struct log_event *event) {
    struct json_object *object = text_json_object();
    char *message =
        event->result == LOG_EVENT_MATCHED
            ? memory_printf("%zu rule%s matched", event->rules, event->rules == 1 ? "" : "s")
            : memory_strdup(event_results[event->result].message);

    text_json_add(object, "time", log_write_json_text(event->time));
    text_json_add(object, "vm", log_write_json_text(event->vm));
    text_json_add(object, "event", log_write_json_text(event->event));
    text_json_add(object, "action", NULL);
    text_json_add(object, "device", log_write_json_text(event->device));
    text_json_add(object, "rule", NULL);
    text_json_add(object, "result", text_json(log_write_event_result_name(event->result)));
    text_json_add(object, "message", text_json(message));
    text_json_add(object, "uuid", log_write_json_text(event->uuid));
    text_json_add(object, "name", log_write_json_text(event->name));
    text_json_add(object, "id", event->id < 0 ? NULL : text_json_number(event->id));
    text_json_add(object, "rules", text_json_number((int64_t)event->rules));
    char *line = memory_printf("%s\n", text_json_line(object));
    json_object_put(object);
    free(message);
    return line;
}

/* The line for people, as in syslog and on stderr: control characters escaped, no newline. The
 * caller frees it. */
static char *log_write_text(const struct log_entry *entry) {
    const char *before[] = {entry->vm, entry->event, entry->action, entry->device};
    const char *separator = "";
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);

    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        if (!before[i])
            continue;
        fputs(separator, out);
        log_write_put_text(out, before[i]);
        separator = " ";
    }
    fprintf(out, "%s%s: ", *separator ? ": " : "", log_write_result_name(entry->result));
    log_write_put_text(out, entry->message);
    if (entry->rule) {
        fputs(" (", out);
        log_write_put_text(out, entry->rule);
        fputc(')', out);
    }
    memory_stream_close(out, &text);
    return text;
}

/* ---- a file ---- */

static bool log_write_lock(int file) {
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(file, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return false;
        clock_sleep(10);
    }
    return false;
}

static int log_write_open_path(const char *path, struct stat *status) {
    int file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (file < 0 || (fstat(file, status) == 0 && S_ISREG(status->st_mode)))
        return file;
    close(file);
    errno = EINVAL;
    return -1;
}

/* Opens the file, which another writer may rename at any time; returns its descriptor or -1.
 * `locked`: no other writer that locks has it until it is closed. */
static int log_write_open_locked(const char *path, bool *locked, struct stat *status) {
    struct stat now;

    for (int i = 0; i < OPEN_TRIES; i++) {
        int file = log_write_open_path(path, status);

        if (file < 0)
            return -1;
        *locked = log_write_lock(file);
        if (fstat(file, status) == 0 && lstat(path, &now) == 0 && now.st_ino == status->st_ino &&
            now.st_dev == status->st_dev)
            return file;
        close(file);
        errno = EINVAL;
    }
    return -1;
}

static bool log_write_ends_in_newline(int file, off_t size) {
    char last = '\n';

    return size == 0 || pread(file, &last, 1, size - 1) != 1 || last == '\n';
}

/* One write; a line that was written in part only is removed again. A torn line of a writer that
 * could not do so, or crashed, is ended with a newline first. */
static bool log_write_append(int file, bool locked, off_t size, const char *line) {
    char *fresh = NULL;
    size_t length;
    ssize_t written;

    if (!log_write_ends_in_newline(file, size)) {
        fresh = memory_printf("\n%s", line);
        line = fresh;
    }
    length = strlen(line);
    written = write(file, line, length);
    free(fresh);
    if (written == (ssize_t)length)
        return true;
    if (written >= 0)
        errno = ENOSPC;
    if (written > 0 && locked) {
        int saved = errno;

        if (ftruncate(file, size) != 0)
            errno = saved;
        errno = saved;
    }
    return false;
}

static bool log_write_is_full(const struct log_file *log, const struct stat *status,
                              const char *line) {
    return status->st_size > 0 && status->st_size + (off_t)strlen(line) > log->limit;
}

/* Only who has the lock renames the file: it is the one that was found full. */
static bool log_write_line(const struct log_file *log, const char *line) {
    struct stat status;
    bool locked = false, good;
    int file = log->is_locked ? log_write_open_locked(log->path, &locked, &status)
                              : log_write_open_path(log->path, &status),
        saved;

    if (file >= 0 && !log->is_locked && log_write_is_full(log, &status, line)) {
        close(file);
        file = log_write_open_locked(log->path, &locked, &status);
    }
    if (file >= 0 && locked && log_write_is_full(log, &status, line) &&
        rename(log->path, log->rotated) == 0) {
        close(file);
        file = log_write_open_locked(log->path, &locked, &status);
    }
    if (file < 0)
        return false;
    good = log_write_append(file, locked && log->is_locked, status.st_size, line);
    saved = errno;
    close(file);
    errno = saved;
    return good;
}

static void log_write_report_failure(struct log_writer *log) {
    const char *hint = errno == EACCES || errno == EPERM ? "; run as root" : "";

    if (!log->failed)
        syslog(LOG_ERR, "cannot write the log %s: %s%s", log->log.path, strerror(errno), hint);
    if (!log->failed && (log->echo || log->copy))
        fprintf(stderr, "virt-rules: cannot write the log %s: %s%s\n", log->log.path,
                strerror(errno), hint);
    log->failed = true;
}

/* On a terminal in lines of its width, else as `text`; in one write, so that the entries of two
 * processes do not mix. */
static void log_write_for_people(FILE *out, const struct log_entry *entry, const char *text) {
    struct terminal terminal = terminal_of(out);
    const struct log_line line = {.vm = entry->vm,
                                  .event = entry->event,
                                  .action = entry->action,
                                  .device = entry->device,
                                  .rule = entry->rule,
                                  .result = log_write_result_name(entry->result),
                                  .message = entry->message,
                                  .hint = entry->hint && *entry->hint ? entry->hint : NULL};
    char *lines = NULL;
    size_t size = 0;
    FILE *stream = memory_stream(&lines, &size);

    if (terminal.width)
        log_text_print(stream, terminal, &line, false);
    else
        fprintf(stream, "%s\n", text);
    memory_stream_close(stream, &lines);
    fputs(lines, out);
    fflush(out);
    free(lines);
}

/* ---- public ---- */

static struct log_file log_write_file(const char *state, const char *name, off_t limit,
                                      bool is_locked) {
    return (struct log_file){.path = memory_printf("%s/%s", state, name),
                             .rotated = memory_printf("%s/%s" LOG_WRITE_ROTATED, state, name),
                             .limit = limit,
                             .is_locked = is_locked};
}

static void log_write_finish_file(struct log_file *file) {
    free(file->path);
    free(file->rotated);
}

struct log_writer *log_write_open(const char *state, bool echo) {
    struct log_writer *log = memory_zalloc(sizeof *log);

    state = log_write_state_directory(state);
    log->echo = echo;
    log->log = log_write_file(state, LOG_WRITE_NAME, SIZE_MAX_LOG, true);
    log->events = log_write_file(state, LOG_WRITE_EVENTS, SIZE_MAX_EVENTS, false);
    openlog("virt-rules", LOG_PID, LOG_DAEMON);
    if (mkdir(state, 0700) != 0 && errno != EEXIST)
        log_write_report_failure(log);
    return log;
}

void log_write_echo(struct log_writer *log) {
    log->echo = true;
}

void log_write_copy(struct log_writer *log, FILE *out, bool json) {
    log->copy = out;
    log->copy_json = json;
}

void log_write_entry(struct log_writer *log, const struct log_entry *entry) {
    char *line, *text = log_write_text(entry);

    clock_stamp(log->time);
    line = log_write_json_line(entry, log->time);
    log->count++;
    if (!log_write_line(&log->log, line))
        log_write_report_failure(log);
    if (log->copy && log->copy_json) {
        fputs(line, log->copy);
        fflush(log->copy);
    } else if (log->copy) {
        log_write_for_people(log->copy, entry, text);
    }
    syslog(results[entry->result].priority, "%s", text);
    if (log->echo)
        log_write_for_people(stderr, entry, text);
    free(line);
    free(text);
}

void log_write_event(struct log_writer *log, const struct log_event *event) {
    char *line = log_write_event_line(event);

    if (!log_write_line(&log->events, line))
        log_write_report_failure(log);
    free(line);
}

const char *log_write_time(const struct log_writer *log) {
    return log->time;
}

size_t log_write_count(const struct log_writer *log) {
    return log->count;
}

void log_write_close(struct log_writer *log) {
    if (!log)
        return;
    closelog();
    log_write_finish_file(&log->log);
    log_write_finish_file(&log->events);
    free(log);
}
