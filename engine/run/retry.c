#include "engine/run/retry.h"

struct retry retry_start(struct clock *clock) {
    return (struct retry){clock, clock->now_ms(clock), RETRY_FIRST_MS, RETRY_LONGEST_MS};
}

struct retry retry_start_steady(struct clock *clock, int64_t wait_ms) {
    return (struct retry){clock, clock->now_ms(clock), wait_ms, wait_ms};
}

int64_t retry_left(const struct retry *retry, int64_t limit_ms) {
    int64_t left = retry->start + limit_ms - retry->clock->now_ms(retry->clock);
    return left > 0 ? left : 0;
}

int64_t retry_next(struct retry *retry, int64_t limit_ms) {
    int64_t wait = retry->wait;
    if (retry_left(retry, limit_ms) < wait)
        return -1;
    retry->wait = wait * 2 < retry->longest ? wait * 2 : retry->longest;
    return retry->clock->now_ms(retry->clock) + wait;
}

bool retry_sleep(struct retry *retry, int64_t limit_ms) {
    int64_t wait = retry->wait;
    if (retry_next(retry, limit_ms) < 0)
        return false;
    retry->clock->sleep_ms(retry->clock, wait);
    return true;
}

bool retry_call(struct retry *retry, const struct virt_error *error) {
    return retry_sleep(retry, error->kind == VIRT_TRANSIENT     ? RETRY_BUSY_LIMIT_MS
                              : error->kind == VIRT_UNREACHABLE ? RETRY_CONNECT_LIMIT_MS
                                                                : 0);
}
