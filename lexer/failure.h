/* What went wrong, for a person: the one way in which a function says why it failed. */
#ifndef LEXER_FAILURE_H
#define LEXER_FAILURE_H

#include <stdarg.h>

struct failure {
    char message[1024]; /* one line without a newline */
    char hint[512];     /* what to do next; "" when nothing is known */
};

/*
 * Sets the message and empties the hint. Control characters become blanks, and a longer text is cut
 * between two UTF-8 characters. Returns -1, so that a function can return it. The arguments may be
 * texts of `failure` itself. `failure` NULL: the caller does not need them.
 */
int failure_set(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int failure_vset(struct failure *failure, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Adds a hint to the message that is there, or replaces it. Returns -1. */
int failure_hint(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The two as one text: "message; hint", or the message alone where there is no hint (NULL or "").
 * The caller frees it. */
char *failure_text(const char *message, const char *hint);

#endif
