#include "lexer/scanner.h"

#include <stdlib.h>
#include <string.h>

const char *scanner_token_text(enum token token) {
    static const char *const texts[] = {
#define X(name, text) text,
        TOKENS(X)
#undef X
#define WORD_TOKEN(name, text, symbol) text,
#include "lexer/words.def"
    };
    return texts[token];
}

enum token scanner_keyword_from_text(const char *text) {
    enum token token = TOKEN_KEYWORD;
    while (token < TOKEN_COUNT && strcmp(scanner_token_text(token), text) != 0)
        token++;
    return token < TOKEN_COUNT ? token : TOKEN_END;
}

static const struct {
    const char *text, *why_no_attach;
} events[] = {
#define EVENT(name, text, why) {text, why},
#include "lexer/words.def"
};

const char *scanner_event_text(enum event_name event) {
    return events[event].text;
}

const char *scanner_why_no_attach(enum event_name event) {
    return events[event].why_no_attach;
}

enum event_name scanner_event_from_text(const char *text) {
    enum event_name event = 0;
    while (event < EVENT_COUNT && strcmp(events[event].text, text) != 0)
        event++;
    return event;
}

uint64_t scanner_mix_hash(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
    return hash ^ hash >> 32;
}

/* Eight bytes at a time; never 0. */
uint32_t scanner_text_hash(const char *text, size_t length) {
    uint64_t hash = length, piece;
    for (; length >= sizeof piece; text += sizeof piece, length -= sizeof piece) {
        memcpy(&piece, text, sizeof piece);
        hash = scanner_mix_hash(hash, piece);
    }
    for (piece = 0; length > 0; length--)
        piece = piece << 8 | (unsigned char)*text++;
    hash = scanner_mix_hash(hash, piece);
    return (uint32_t)hash ? (uint32_t)hash : 1;
}

/* The text's slot, or the free one where it belongs. */
static size_t scanner_slot_of(const struct interner *interner, uint32_t hash, const char *text,
                              size_t length) {
    size_t last = interner->size - 1, at = hash & last;
    while (interner->hashes[at] &&
           (interner->hashes[at] != hash || strncmp(interner->slots[at], text, length) != 0 ||
            interner->slots[at][length]))
        at = (at + 1) & last;
    return at;
}

static void scanner_grow(struct interner *interner) {
    struct interner old = *interner;
    interner->size = old.size ? 2 * old.size : 64;
    interner->slots = memory_zalloc(interner->size * sizeof *interner->slots);
    interner->hashes = memory_zalloc(interner->size * sizeof *interner->hashes);
    for (size_t i = 0; i < old.size; i++)
        if (old.hashes[i]) {
            size_t at = old.hashes[i] & (interner->size - 1);
            while (interner->hashes[at])
                at = (at + 1) & (interner->size - 1);
            interner->hashes[at] = old.hashes[i];
            interner->slots[at] = old.slots[i];
        }
    free((void *)old.slots);
    free(old.hashes);
}

const char *scanner_intern(struct interner *interner, const char *text, size_t length) {
    if (2 * interner->used >= interner->size)
        scanner_grow(interner);
    uint32_t hash = scanner_text_hash(text, length);
    size_t at = scanner_slot_of(interner, hash, text, length);
    if (!interner->hashes[at]) {
        interner->hashes[at] = hash;
        interner->slots[at] = memory_arena_text(interner->arena, text, length);
        interner->used++;
    }
    return interner->slots[at];
}

void scanner_interner_finish(struct interner *interner) {
    free((void *)interner->slots);
    free(interner->hashes);
    *interner = (struct interner){0};
}
