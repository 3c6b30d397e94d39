/*
 * The one canonical layout of a rule file (virt-rules fmt). Only white space, line breaks and the
 * spelling of ids and addresses change. Comments keep their places, and formatting twice changes
 * nothing.
 */
#ifndef PARSER_FORMAT_H
#define PARSER_FORMAT_H

#include "lexer/diagnostic.h"

/*
 * Returns the formatted text, which the caller frees, and its size; or NULL when the file has a
 * syntax error, which is then in `diagnostics`.
 */
char *format_rules(struct source *source, struct diagnostics *diagnostics, size_t *size);

#endif
