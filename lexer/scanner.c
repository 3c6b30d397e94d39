#include "lexer/scanner.h"

#include <stdlib.h>
#include <string.h>

const char *token_text(enum token token) {
    static const char *const texts[] = {
#define X(name, text) text,
        TOKENS(X)
#undef X
    };
    return texts[token];
}

static const char *const events[] = {
#define X(name, text) text,
    EVENTS(X)
#undef X
};

const char *event_text(enum event_name event) {
    return events[event];
}

enum event_name event_from_text(const char *text) {
    enum event_name event = 0;
    while (event < EVENT_COUNT && strcmp(events[event], text) != 0)
        event++;
    return event;
}

/* FNV-1a */
static size_t hash(const char *text, size_t length) {
    uint64_t value = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)text[i]) * 0x100000001b3;
    return (size_t)(value ^ value >> 32);
}

static const char **slot_of(const struct interner *interner, const char *text, size_t length) {
    size_t at = hash(text, length) & (interner->size - 1);
    for (;; at = (at + 1) & (interner->size - 1)) {
        const char *have = interner->slots[at];
        if (!have || (!strncmp(have, text, length) && !have[length]))
            return &interner->slots[at];
    }
}

static void grow(struct interner *interner) {
    struct interner old = *interner;
    interner->size = old.size ? 2 * old.size : 64;
    interner->slots = memory_zalloc(interner->size * sizeof *interner->slots);
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i])
            *slot_of(interner, old.slots[i], strlen(old.slots[i])) = old.slots[i];
    free(old.slots);
}

const char *intern(struct interner *interner, const char *text, size_t length) {
    if (2 * interner->used >= interner->size)
        grow(interner);
    const char **slot = slot_of(interner, text, length);
    if (!*slot) {
        *slot = arena_text(interner->arena, text, length);
        interner->used++;
    }
    return *slot;
}

void interner_finish(struct interner *interner) {
    free(interner->slots);
    *interner = (struct interner){0};
}
