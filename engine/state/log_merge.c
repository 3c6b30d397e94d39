#include "engine/state/log_merge.h"

#include "engine/state/log_write.h"
#include "engine/system/when.h"
#include "lexer/memory.h"

#include <stdlib.h>

enum { EVENTS, LOG, FILES }; /* at the same time an event comes before what was done for it */

struct log_merge {
    struct {
        struct log_reader *reader;
        bool has_item; /* read, and not returned yet */
        struct log_item item;
        int64_t last; /* time */
    } files[FILES];
    int returned; /* the file of the item that the caller has; -1: none */
};

struct log_merge *log_merge_open(const char *state, bool follow) {
    struct log_merge *merge = memory_zalloc(sizeof *merge);
    merge->files[EVENTS].reader = log_read_open(state, LOG_WRITE_EVENTS, follow);
    merge->files[LOG].reader = log_read_open(state, LOG_WRITE_NAME, follow);
    merge->returned = -1;
    return merge;
}

static void log_merge_release(struct log_merge *merge) {
    if (merge->returned >= 0)
        log_read_finish_line(&merge->files[merge->returned].item.line);
    merge->returned = -1;
}

void log_merge_close(struct log_merge *merge) {
    log_merge_release(merge);
    for (int i = 0; i < FILES; i++) {
        if (merge->files[i].has_item)
            log_read_finish_line(&merge->files[i].item.line);
        log_read_close(merge->files[i].reader);
    }
    free(merge);
}

/* Events are written without a lock: who saw a line while it was written has ended it, as a torn
 * one, and an empty line is left. */
static void log_merge_read(struct log_merge *merge, int file) {
    struct log_item *item = &merge->files[file].item;
    *item = (struct log_item){.is_event = file == EVENTS};
    do
        merge->files[file].has_item =
            log_read_next(merge->files[file].reader, &item->text, &item->size);
    while (merge->files[file].has_item && !item->size);
    if (!merge->files[file].has_item)
        return;
    item->is_broken = !log_read_parse(&item->line, item->text, item->size);
    if (!item->line.time || !when_parse_stamp(item->line.time, &item->when))
        item->when = merge->files[file].last;
    merge->files[file].last = item->when;
}

bool log_merge_next(struct log_merge *merge, struct log_item *item) {
    log_merge_release(merge);
    for (int i = 0; i < FILES; i++)
        if (!merge->files[i].has_item)
            log_merge_read(merge, i);
    int next = LOG;
    if (merge->files[EVENTS].has_item &&
        (!merge->files[LOG].has_item ||
         merge->files[EVENTS].item.when <= merge->files[LOG].item.when))
        next = EVENTS;
    if (!merge->files[next].has_item)
        return false;
    merge->files[next].has_item = false;
    merge->returned = next;
    *item = merge->files[next].item;
    return true;
}

const struct log_reader *log_merge_log(const struct log_merge *merge) {
    return merge->files[LOG].reader;
}

const struct log_reader *log_merge_events(const struct log_merge *merge) {
    return merge->files[EVENTS].reader;
}
