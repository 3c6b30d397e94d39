/* Words that the grammar allows, and that probably do not mean what was intended. */
#ifndef PARSER_WORD_CHECK_H
#define PARSER_WORD_CHECK_H

#include "parser/syntax.h"

/* Most names are plain: lower case letters, digits, '-' and '_'. */
bool word_check_is_everyday_name(const char *text);

/* One name of a VM, in a rule or a guard. */
void word_check_vm(struct diagnostics *diagnostics, struct source *source, const struct word *vm);

/* The text of `serial "..."`. */
void word_check_text(struct diagnostics *diagnostics, struct source *source,
                     const struct criterion *criterion);

/* Whether 'check' has nothing to say of such a quoted text. */
bool word_check_is_clear_text(const char *text);

/* The path of a program or a ROM file. */
void word_check_path(struct diagnostics *diagnostics, struct source *source, struct span span,
                     const char *text);

/* The program of 'run', followed by its arguments. */
void word_check_command(struct diagnostics *diagnostics, struct source *source,
                        const struct word *program);

#endif
