/* Conditions that no device meets together, through all definitions. */
#ifndef PARSER_CONTRADICTION_H
#define PARSER_CONTRADICTION_H

#include "parser/syntax.h"

/* Reports them in definitions, guards and rules. Names are resolved before. */
void contradiction_check(struct syntax *syntax, struct diagnostics *diagnostics);

#endif
