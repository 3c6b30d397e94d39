/* The one way of waiting before something is tried again. */
#ifndef ENGINE_RETRY_H
#define ENGINE_RETRY_H

#include "engine/libvirt/virt.h"
#include "engine/system/clock.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    RETRY_FIRST_MS = 250,
    RETRY_LONGEST_MS = 5000,
    RETRY_BUSY_LIMIT_MS = 60000,    /* of an error that passes by itself, as the VM's job lock */
    RETRY_CONNECT_LIMIT_MS = 10000, /* of a libvirt that does not answer: its daemon restarts */
    RETRY_SILENCE_LIMIT = 6,        /* how many calls may get no reply within their time */
};

/* A wait is twice as long as the one before it, up to `longest`. Milliseconds. */
struct retry {
    struct clock *clock;
    int64_t start; /* of the first try */
    int64_t wait;  /* before the next try */
    int64_t longest;
};

/* From RETRY_FIRST_MS to RETRY_LONGEST_MS; or always `wait_ms`. */
struct retry retry_start(struct clock *clock);
struct retry retry_start_steady(struct clock *clock, int64_t wait_ms);

/* What is left of a limit that counts from the start; 0 when it has passed. */
int64_t retry_left(const struct retry *retry, int64_t limit_ms);
/* The time of the next try, or -1 when that is after the limit. */
int64_t retry_next(struct retry *retry, int64_t limit_ms);
/* Sleeps until then. Returns false at once when the next try is after the limit. */
bool retry_sleep(struct retry *retry, int64_t limit_ms);
/* The same for a call of libvirt that failed; the limit is that of the failure, and there is none
 * for one that does not pass. */
bool retry_call(struct retry *retry, const struct virt_error *error);

#endif
