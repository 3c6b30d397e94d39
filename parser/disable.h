/*
 * Statements and actions that are turned off: comments with a mark, which can be turned on again.
 *
 *     #disabled: on vm frigate started attach 1ac1:089a, \
 *     #disabled+     1ac1:089b as vfio
 *
 * Each of their lines has the mark after its indentation, the first with ':'. An action that
 * has the '}' of its block on its line gets one more line, "} #disabled}". Nothing else of the text
 * changes, so turning on gives back every byte.
 */
#ifndef PARSER_DISABLE_H
#define PARSER_DISABLE_H

#include "lexer/source.h"

enum disable_state {
    DISABLE_NOTHING, /* no statement is on the line */
    DISABLE_ACTIVE,  /* it can be turned off */
    DISABLE_DISABLED /* it is */
};

/* The whole lines of a statement, of a block with its actions, or of an action in a block. */
struct disable_part {
    enum disable_state state;
    size_t first, last; /* lines, from 1 */
    struct span span;   /* with the end of the last line; also of the added one */
    bool closes;        /* an action that has the '}' of its block on its last line */
};

/* How many lines the text has. */
size_t disable_line_count(struct source *source);

/* What the line, from 1, belongs to: the first line of a block and that of its '}' mean the block.
 * A statement with an error is found as well. */
struct disable_part disable_find(struct source *source, size_t line);

/* The whole text with the part turned off, or on; the caller frees it. */
char *disable_apply(struct source *source, const struct disable_part *part, size_t *size);

/* The part without marks, on one line; the caller frees it. */
char *disable_statement(const struct source *source, const struct disable_part *part);

/* The whole text with every mark blank, so that what is turned off is rules at the same place;
 * NULL: it has no mark. The caller frees it. */
char *disable_unmark(struct source *source);

/* Whether a block has an action that is turned off. `head` ends before its '{'; it has no others.
 */
bool disable_is_in_block(const struct source *source, struct span head);

#endif
