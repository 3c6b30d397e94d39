/*
 * The log read back: what engine/state/journal.h and the hook wrote, from virt-rules.log.1 and
 * virt-rules.log, oldest first. Other processes may write and rotate it meanwhile.
 */
#ifndef ENGINE_HISTORY_H
#define ENGINE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

/* One line; the texts belong to `object`, and are NULL where the log has null or nothing. */
struct history_entry {
    struct json_object *object;
    const char *time, *vm, *uuid, *event, *action, *device, *rule, *result, *message;
};

/*
 * False when the line is no JSON object, or not one that may be passed on as it is: torn by a
 * crash, with control characters, no UTF-8. Else the caller ends it with history_entry_finish().
 */
bool history_parse(struct history_entry *entry, const char *line, size_t size);
void history_entry_finish(struct history_entry *entry);

/* --- line by line */

struct history_reader;

/*
 * Reads the log below `state` (NULL: as journal_open()). With `follow` a line at the very end is
 * given when its newline is there, and history_next() may be asked again after its false. Never
 * NULL; no file is opened yet.
 */
struct history_reader *history_reader_create(const char *state, bool follow);
void history_reader_destroy(struct history_reader *reader);

/*
 * The next line without its newline, valid until the next call; false: there is none now. What is
 * behind HISTORY_LINE_LIMIT bytes of a line is left out.
 */
bool history_next(struct history_reader *reader, const char **line, size_t *size);

enum { HISTORY_LINE_LIMIT = 4 << 20 };

/* Why a file of the log could not be read, as errno; 0: nothing failed, or there is no log. */
int history_error(const struct history_reader *reader);
/* Whether a file of the log was found so far. */
bool history_found(const struct history_reader *reader);
const char *history_path(const struct history_reader *reader); /* of the newer file */
const char *history_directory(const struct history_reader *reader);

/* "2026-11-22 10:18:07" of the log's time; a text of another form as it is. The caller frees it. */
char *history_time_text(const char *time);

#endif
