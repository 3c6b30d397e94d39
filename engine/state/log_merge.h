/* The log and the events that came, as one list by time. */
#ifndef ENGINE_LOG_MERGE_H
#define ENGINE_LOG_MERGE_H

#include "engine/state/log_read.h"

#include <stdint.h>

/* One line of either; all of it is valid until the next call. */
struct log_item {
    const char *text; /* as it is in the file */
    size_t size;
    bool is_event;        /* of the events; else of the log */
    bool is_broken;       /* it could not be parsed: `line` is empty */
    struct log_line line; /* borrowed */
    int64_t when;         /* milliseconds since the Epoch; of a broken line, of the one before it */
};

struct log_merge;

/* As log_read_open(). */
struct log_merge *log_merge_open(const char *state, bool follow);
void log_merge_close(struct log_merge *merge);

/* The next line by time; false: there is none now. */
bool log_merge_next(struct log_merge *merge, struct log_item *item);

/* The file of the log, and that of the events, for log_read_found() and the like. */
const struct log_reader *log_merge_log(const struct log_merge *merge);
const struct log_reader *log_merge_events(const struct log_merge *merge);

#endif
