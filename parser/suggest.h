/* "did you mean": the word of a list that is nearest to a mistyped one. */
#ifndef PARSER_SUGGEST_H
#define PARSER_SUGGEST_H

#include <stddef.h>

struct suggestion {
    const char *word; /* what was typed */
    const char *best; /* NULL: none is near enough */
    size_t distance;
};

/* Start with {.word = typed}, offer every candidate, then look at `best`. */
void suggest(struct suggestion *suggestion, const char *candidate);

#endif
