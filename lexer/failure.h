/* What went wrong, for a person: the one way in which a function says why it failed. */
#ifndef LEXER_FAILURE_H
#define LEXER_FAILURE_H

#include <stdarg.h>

struct failure {
    char message[1024]; /* one line without a newline; a longer one is cut */
    char hint[512];     /* what to do next; "" when nothing is known */
};

/* Sets the message and empties the hint. Returns -1, so that a function can fail with it.
 * The texts may point into `failure` itself. A NULL `failure`: the caller does not want to know. */
int failure_set(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int failure_vset(struct failure *failure, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Adds a hint to the message that is there, or replaces it. Returns -1. */
int failure_hint(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
