/*
 * Rule text to tokens. What a word means is up to the parser: `1ac1:89a` is always one TOKEN_WORD.
 */
#ifndef LEXER_SCANNER_H
#define LEXER_SCANNER_H

#include "lexer/diagnostic.h"
#include "lexer/memory.h"
#include "lexer/source.h"

#include <stdint.h>

/* The tokens other than keywords: name and text in messages. */
#define TOKENS(X)                                                                                  \
    X(END, "end of file")                                                                          \
    X(NEWLINE, "end of line")                                                                      \
    X(COMMA, "','")                                                                                \
    X(OPEN, "'{'")                                                                                 \
    X(CLOSE, "'}'")                                                                                \
    X(WORD, "a word")                                                                              \
    X(NUMBER, "a number")                                                                          \
    X(STRING, "a quoted word")                                                                     \
    X(EVENT, "an event")

enum token {
#define X(name, text) TOKEN_##name,
    TOKENS(X)
#undef X
#define WORD_TOKEN(name, text, symbol) TOKEN_##name,
#include "lexer/words.def"
        TOKEN_COUNT,
    TOKEN_KEYWORD = TOKEN_EVENT + 1 /* the first keyword; the others follow */
};

enum event_name {
#define EVENT(name, text, why) EVENT_##name,
#include "lexer/words.def"
    EVENT_COUNT
};

/* The text of a keyword itself, of another token what it is called in messages. */
const char *scanner_token_text(enum token token);
const char *scanner_event_text(enum event_name event);
/* The event of that name, or EVENT_COUNT. */
enum event_name scanner_event_from_text(const char *text);
/* The keyword that the text is, or TOKEN_END. */
enum token scanner_keyword_from_text(const char *text);
/* Why no device can be attached or detached at the event; NULL: it can. */
const char *scanner_why_no_attach(enum event_name event);

union token_value {
    const char *text;      /* of WORD, NUMBER and STRING; lives as long as the arena */
    enum event_name event; /* of EVENT */
    enum token keyword;    /* of a keyword, the token itself */
};

/* Equal texts share one copy, which lives as long as the arena. */
struct interner {
    struct arena *arena;
    const char **slots; /* open addressing, a power of two */
    uint32_t *hashes;   /* of each slot's text; 0: free */
    size_t size, used;
};

uint64_t scanner_mix_hash(uint64_t hash, uint64_t value);
uint32_t scanner_text_hash(const char *text, size_t length);
const char *scanner_intern(struct interner *interner, const char *text, size_t length);
void scanner_interner_finish(struct interner *interner);

struct scanner;

/* All three are borrowed. */
struct scanner *scanner_create(struct source *source, struct interner *texts,
                               struct diagnostics *diagnostics);
void scanner_destroy(struct scanner *scanner);

/* The next token; at the end a NEWLINE if the last line had none, then TOKEN_END for ever. */
enum token scanner_next(struct scanner *scanner, union token_value *value, struct span *span);

/* From here on remembers where the comments are; the scanner owns the list. */
void scanner_keep_comments(struct scanner *scanner);
const struct span *scanner_comments(const struct scanner *scanner, size_t *count);

#endif
