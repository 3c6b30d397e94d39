/* From what the parser met and what it would have taken to a message that a person can act on. */
#ifndef PARSER_SYNTAX_ERROR_H
#define PARSER_SYNTAX_ERROR_H

#include "parser/syntax.h"

struct syntax_error {
    bool expected[TOKEN_COUNT];
    enum token found;
    const char *found_text; /* NULL for tokens that are their own text */
    struct span span;
    bool in_block; /* `open_block` is the '{' that waits for its '}' */
    struct span open_block;
};

/* Returns true when the trouble is a '}' that is missing: the rest of the block would only repeat
 * it. */
bool report_syntax_error(struct parse_context *context, const struct syntax_error *error);

void report_unknown_event(struct parse_context *context, struct span span, const char *text);

#endif
