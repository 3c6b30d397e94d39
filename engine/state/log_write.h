/*
 * The log: one JSON object a line, appended with one write, and the same to syslog. Kept in
 * `STATE/virt-rules.log`, mode 0600, STATE being log_write_state_directory(). At 1 MiB it becomes
 * `virt-rules.log.1`. Any number of processes may write at the same time.
 *
 * Events are kept in `virt-rules.events` beside it, in the same form, also those that no rule
 * matched: without a line there, the hook was not called. At 256 KiB it becomes
 * `virt-rules.events.1`. It is a file of its own, so that events do not push actions out of the
 * log.
 */
#ifndef ENGINE_LOG_WRITE_H
#define ENGINE_LOG_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LOG_WRITE_NAME "virt-rules.log"
#define LOG_WRITE_EVENTS "virt-rules.events"
#define LOG_WRITE_ROTATED ".1" /* follows the name of the file before it was renamed */

/* The result of one action; the log has the names in lower case. */
enum result {
    RESULT_ATTACHED,
    RESULT_ALREADY,
    RESULT_REFUSED,
    RESULT_FAILED,
    RESULT_ABSENT,
    RESULT_DETACHED,
    RESULT_RAN,
    RESULT_WAITING, /* for what the message says; another line comes after it */
    RESULT_PARKED,
    RESULT_BOUND,
    RESULT_CREATED,
    RESULT_STOPPED /* the start of the VM, by a rule */
};

/* Any text may be NULL (JSON null) but `message`. Texts may hold any bytes: bytes that are
 * not UTF-8 are replaced, and a text is cut after 16 KiB. */
struct log_entry {
    const char *vm;   /* what people call it */
    const char *uuid; /* of the VM: which one it is */
    const char *event;
    const char *action; /* "attach", "detach", "run"; NULL: about the event as a whole */
    const char *device; /* "0000:03:00.0 1ac1:089a" */
    const char *rule;   /* "path:line" */
    enum result result;
    const char *message;
    const char *hint; /* what to do; NULL or "": nothing. The log's message has both */
    bool is_timed;    /* libvirt was called to attach the device; else without the next two */
    int64_t call_ms;  /* how long that took */
    int64_t event_ms; /* from the event to this entry, all that was waited for included */
};

/* The result of looking for rules for an event. */
enum log_event_result {
    LOG_EVENT_UNMATCHED, /* no rule is for it */
    LOG_EVENT_MATCHED,
    LOG_EVENT_FAILED, /* it could not be handled: the log says why */
    LOG_EVENT_NONE    /* libvirt's operation is none of our events */
};

/* An event that the engine was started for. Texts may be NULL. */
struct log_event {
    const char *time;   /* clock_stamp_utc() of when it came */
    const char *vm;     /* what people call it */
    const char *name;   /* libvirt's name of it */
    const char *uuid;   /* of the VM */
    int id;             /* libvirt's, of the running VM; -1: not known, or it does not run */
    const char *event;  /* "started"; libvirt's word for what is unknown */
    const char *device; /* that was plugged or unplugged */
    enum log_event_result result;
    size_t rules; /* that matched */
};

struct log_writer;

/*
 * Opens the log below `state` (NULL: as above), making the directory where needed. Never fails:
 * what cannot be written to the file (disk full) still goes to syslog, and the first such failure
 * is reported there. `echo`: also one line for people on stderr.
 */
struct log_writer *log_write_open(const char *state, bool echo);
void log_write_entry(struct log_writer *log, const struct log_entry *entry);
/* Keeps the event, with one open and one write. Neither syslog nor a copy gets it. */
void log_write_event(struct log_writer *log, const struct log_event *event);
/* The time in the last line that was written, "" before the first; valid until the next. */
const char *log_write_time(const struct log_writer *log);
size_t log_write_count(const struct log_writer *log); /* entries written */

/* From here on each entry is on stderr, too. */
void log_write_echo(struct log_writer *log);
/* From here on writes each entry to `out` too, which is borrowed: as text, or as JSON. */
void log_write_copy(struct log_writer *log, FILE *out, bool json);

void log_write_close(struct log_writer *log); /* NULL: does nothing */

const char *log_write_result_name(enum result result);
/* False for a word that is not a name. */
bool log_write_result_parse(const char *name, enum result *result);

/* "unmatched" and so on. */
const char *log_write_event_result_name(enum log_event_result result);

/* The directory of log and state: `option`, else $VIRT_RULES_STATE, else the one of
 * engine/system/layout.h. */
const char *log_write_state_directory(const char *option);

#endif
