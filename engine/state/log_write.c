#include "engine/state/log_write.h"

#include "engine/system/clock.h"
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

#define DEFAULT_STATE STATEDIR

enum {
    SIZE_MAX_LOG = 1 << 20,    /* one file; the one before it is kept as .log.1 */
    SIZE_MAX_TEXT = 16 * 1024, /* one text; the rest of a longer one is cut off */
    LOCK_TRIES = 200,          /* of 10 ms: others do not wait for ever for a writer that hangs */
    OPEN_TRIES = 16,
};

struct log_writer {
    char *path;    /* STATE/virt-rules.log */
    char *rotated; /* STATE/virt-rules.log.1 */
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
};

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
    return environment && *environment ? environment : DEFAULT_STATE;
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
    if (entry->is_timed) {
        text_json_add(object, "call_ms", text_json_number(entry->call_ms));
        text_json_add(object, "event_ms", text_json_number(entry->event_ms));
    }
    char *line = memory_printf("%s\n", text_json_line(object));
    json_object_put(object);
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

/* ---- the file ---- */

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

/* Opens the log, which another writer may rename at any time; returns its descriptor or -1.
 * `locked`: no other writer has it until it is closed. */
static int log_write_open_log(const char *path, bool *locked, struct stat *stat_of) {
    struct stat now;

    for (int i = 0; i < OPEN_TRIES; i++) {
        int file =
            open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

        if (file < 0)
            return -1;
        *locked = log_write_lock(file);
        if (fstat(file, stat_of) == 0 && S_ISREG(stat_of->st_mode) && lstat(path, &now) == 0 &&
            now.st_ino == stat_of->st_ino && now.st_dev == stat_of->st_dev)
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

static bool log_write_line(const struct log_writer *log, const char *line) {
    struct stat status;
    bool locked, good;
    int file = log_write_open_log(log->path, &locked, &status), saved;

    if (file >= 0 && locked && status.st_size > 0 &&
        status.st_size + (off_t)strlen(line) > SIZE_MAX_LOG &&
        rename(log->path, log->rotated) == 0) {
        close(file);
        file = log_write_open_log(log->path, &locked, &status);
    }
    if (file < 0)
        return false;
    good = log_write_append(file, locked, status.st_size, line);
    saved = errno;
    close(file);
    errno = saved;
    return good;
}

static void log_write_report_failure(struct log_writer *log) {
    const char *hint = errno == EACCES || errno == EPERM ? "; run as root" : "";

    if (!log->failed)
        syslog(LOG_ERR, "cannot write the log %s: %s%s", log->path, strerror(errno), hint);
    if (!log->failed && (log->echo || log->copy))
        fprintf(stderr, "virt-rules: cannot write the log %s: %s%s\n", log->path, strerror(errno),
                hint);
    log->failed = true;
}

/* ---- public ---- */

struct log_writer *log_write_open(const char *state, bool echo) {
    struct log_writer *log = memory_zalloc(sizeof *log);

    state = log_write_state_directory(state);
    log->echo = echo;
    log->path = memory_printf("%s/" LOG_WRITE_NAME, state);
    log->rotated = memory_printf("%s/" LOG_WRITE_ROTATED, state);
    openlog("virt-rules", LOG_PID, LOG_DAEMON);
    if (mkdir(state, 0700) != 0 && errno != EEXIST)
        log_write_report_failure(log);
    return log;
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
    if (!log_write_line(log, line))
        log_write_report_failure(log);
    if (log->copy && log->copy_json)
        fputs(line, log->copy);
    else if (log->copy)
        fprintf(log->copy, "%s\n", text);
    if (log->copy)
        fflush(log->copy);
    syslog(results[entry->result].priority, "%s", text);
    if (log->echo)
        fprintf(stderr, "%s\n", text);
    free(line);
    free(text);
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
    free(log->path);
    free(log->rotated);
    free(log);
}
