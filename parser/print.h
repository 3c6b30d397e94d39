/* Nodes of the syntax tree back to rule text: one line each, as the language would have it. */
#ifndef PARSER_PRINT_H
#define PARSER_PRINT_H

#include "parser/syntax.h"

#include <stdio.h>

void print_string(FILE *out, const char *text);
void print_words(FILE *out, const struct word *words, const char *separator);

void print_criterion(FILE *out, const struct criterion *criterion);
/* All alternatives, "a b or c". With `expand`, definitions replace the names that are resolved. */
void print_device(FILE *out, const struct criterion *criteria, bool expand);
void print_target(FILE *out, const struct target *target, bool expand);
/* The action for one of its targets, without its options. */
void print_one_target(FILE *out, const struct action *action, const struct target *target);
void print_action(FILE *out, const struct action *action, bool expand);
/* " within 2m rom off": each option after a blank. */
void print_options(FILE *out, const struct action *action);
/* "on vm frigate started" */
void print_head(FILE *out, const struct rule *rule);
void print_guard(FILE *out, const struct guard *guard, bool expand);
void print_definition(FILE *out, const struct definition *definition);

/* What a printer above writes, as text that the caller frees. */
char *print_criterion_text(const struct criterion *criterion);

#endif
