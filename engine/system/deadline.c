#include "engine/system/deadline.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

int64_t deadline_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int deadline_limit(int usual_ms) {
    const char *text = getenv("VIRT_RULES_ANSWER_MS");
    long answer = text ? strtol(text, NULL, 10) : 0;
    if (answer <= 0 || answer > DEADLINE_CHANGE_MS)
        return usual_ms;
    int64_t limit = (int64_t)usual_ms * answer / DEADLINE_ANSWER_MS;
    return limit > INT_MAX ? INT_MAX : limit > 0 ? (int)limit : 1;
}
