/*
 * The log and the events that came, read back: what engine/state/log_write.h and the hook wrote,
 * from NAME.1 and NAME, oldest first. Other processes may write and rotate them meanwhile.
 */
#ifndef ENGINE_LOG_READ_H
#define ENGINE_LOG_READ_H

#include <stdbool.h>
#include <stddef.h>

/* One line; the texts belong to `object`, and are NULL where the log has null or nothing. */
struct log_line {
    struct json_object *object;
    const char *time, *vm, *uuid, *event, *action, *device, *rule, *result, *message, *hint;
    const char *name; /* of an event: libvirt's name of the VM */
    int id;           /* of an event: libvirt's id of the running VM; -1: not known */
};

/*
 * False when the line is not a JSON object that may be printed as it is: torn by a crash, with
 * control characters, or not UTF-8. Else the caller frees it with log_read_finish_line().
 */
bool log_read_parse(struct log_line *entry, const char *line, size_t size);
void log_read_finish_line(struct log_line *entry);

/* --- line by line */

struct log_reader;

/*
 * Reads the file of that name (LOG_WRITE_NAME, LOG_WRITE_EVENTS) below `state` (NULL: as
 * log_write_open()). With `follow` the last line is
 * returned once its newline is there, and log_read_next() may be asked again after its false. Never
 * NULL; no file is opened yet.
 */
struct log_reader *log_read_open(const char *state, const char *name, bool follow);
void log_read_close(struct log_reader *reader);

/*
 * The next line without its newline, valid until the next call; false: there is none now. A line is
 * cut after LOG_LINE_LIMIT bytes.
 */
bool log_read_next(struct log_reader *reader, const char **line, size_t *size);

enum { LOG_LINE_LIMIT = 4 << 20 };

/* Why a file of the log could not be read, as errno, EINVAL: it is not a file; 0: nothing failed,
 * or there is no log. */
int log_read_error(const struct log_reader *reader);
/* Whether a file of the log was found so far. */
bool log_read_found(const struct log_reader *reader);
const char *log_read_path(const struct log_reader *reader); /* of the newer file */
const char *log_read_directory(const struct log_reader *reader);

/* "2026-11-22 10:18:07" of the log's time; a text of another form as it is. The caller frees it. */
char *log_read_time_text(const char *time);

#endif
