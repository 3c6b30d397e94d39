#include "engine/system/deadline.h"

#include <limits.h>
#include <stdlib.h>

int deadline_limit(int usual_ms) {
    const char *text = getenv("VIRT_RULES_ANSWER_MS");
    long answer = text ? strtol(text, NULL, 10) : 0;
    if (answer <= 0 || answer > DEADLINE_CHANGE_MS)
        return usual_ms;
    int64_t limit = (int64_t)usual_ms * answer / DEADLINE_ANSWER_MS;
    return limit > INT_MAX ? INT_MAX : limit > 0 ? (int)limit : 1;
}
