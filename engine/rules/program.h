/*
 * The rules in force: those of files without an error, in file order. A `never` is in force also in
 * a file with an error: a typing mistake elsewhere must not allow what it forbids.
 */
#ifndef ENGINE_PROGRAM_H
#define ENGINE_PROGRAM_H

#include "engine/rules/ruleset.h"

struct program {
    const struct rule **rules;
    size_t rule_count;
    const struct guard **guards;
    size_t guard_count;
    const struct ruleset *ruleset; /* NULL: the rules do not come from files */
};

/* Initializes the set and loads the rules of a directory into it: what every reader of the rules in
 * force does. Errors are in the set's diagnostics. The caller ends both, the program first. */
void program_load(struct program *program, struct ruleset *ruleset, const char *directory);

/* Borrows the set, which must outlive the program. */
void program_init(struct program *program, const struct ruleset *ruleset);
/* Those rules of another program that are of the host and not of a VM, and its guards; borrowed. */
void program_init_host(struct program *program, const struct program *all);
void program_finish(struct program *program);

/* Whether an action of a rule has such an option. */
bool program_has_option(const struct program *program, enum option_kind kind);

/* The text of the span, as one line. The caller frees it. */
char *program_text(const struct source *source, struct span span);

/* Line of a rule or of an action in it, from 1. */
size_t program_line(const struct rule *rule, const struct action *action);

#endif
