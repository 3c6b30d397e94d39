/* Characters that look like others, or like nothing, so that two names which differ look alike. */
#ifndef LEXER_CHARACTER_H
#define LEXER_CHARACTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum character_kind {
    CHARACTER_PLAIN,
    CHARACTER_BLANK,  /* a blank that separates no words */
    CHARACTER_HIDDEN, /* it has no shape and no use in a name */
    CHARACTER_JOINER, /* it has no shape, but scripts or emoji need it in names */
    CHARACTER_QUOTE,  /* a quote of a language of people */
    CHARACTER_C1,     /* a control character (U+0080 to U+009F) */
};

/* The kind of a code point; `name`, when it is not NULL, is set to a static text: what people call
 * it, or NULL. */
enum character_kind character_kind(uint32_t code, const char **name);

/* The kind of the character that UTF-8 text begins with, and its length in `length` (bytes): 1 for
 * ASCII and for a byte that is not UTF-8. */
enum character_kind character_at(const char *text, size_t size, size_t *length);

/* The ',', ';' or the like of scripts whose keyboards have no other. */
bool character_is_wide_separator(uint32_t code);

/* True when one of them is in the text. */
bool character_has_wide_separator(const char *text);

#endif
