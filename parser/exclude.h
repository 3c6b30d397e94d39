/* Conditions that no device meets together, through all definitions. */
#ifndef PARSER_EXCLUDE_H
#define PARSER_EXCLUDE_H

#include "parser/syntax.h"

/* Reports them in definitions, guards and rules. Names are resolved before. */
void exclude_check(struct syntax *syntax, struct diagnostics *diagnostics);

#endif
