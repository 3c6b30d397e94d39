/* UTF-8. Nothing but the C library is needed: the static programs of hook/ use it too. */
#ifndef LEXER_UTF8_H
#define LEXER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes at `text`, at least one and at most `size`, are one well-formed character
 * (Unicode, table 3-7), or 0. */
size_t utf8_length(const char *text, size_t size);

/* The character that these bytes, as many as utf8_length() says, stand for. */
uint32_t utf8_code_point(const char *text, size_t size);

/* True for a byte that does not begin a character. */
bool utf8_is_continuation(char byte);

#endif
