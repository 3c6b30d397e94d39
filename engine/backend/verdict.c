#include "engine/backend/verdict.h"

#include "lexer/memory.h"

#include <stdlib.h>

static const struct {
    const char *json;
    enum check check;
} verdict_rows[] = {
#define VERDICT_ROW(name, json, check) [name] = {json, check},
    REFUSALS(VERDICT_ROW)
#undef VERDICT_ROW
};

const char *verdict_name(enum refusal refusal) {
    return verdict_rows[refusal].json;
}

enum check verdict_check(enum refusal refusal) {
    return verdict_rows[refusal].check;
}

struct verdict verdict_refuse(enum refusal refusal, char *message, char *hint) {
    return (struct verdict){refusal, message, hint};
}

struct verdict verdict_copy(const struct verdict *verdict) {
    return (struct verdict){verdict->refusal, memory_copy(verdict->message),
                            memory_copy(verdict->hint)};
}

void verdict_finish(struct verdict *verdict) {
    free(verdict->message);
    free(verdict->hint);
}
