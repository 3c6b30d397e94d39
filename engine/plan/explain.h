/* Why a rule did or did not match: every condition of every rule with the value seen, as a value to
 * print. */
#ifndef ENGINE_EXPLAIN_H
#define ENGINE_EXPLAIN_H

#include "engine/plan/plan.h"
#include "lexer/terminal.h"

#include <stdio.h>

/* One condition as the rule has it, what was there, and whether it matches. */
struct condition {
    char *text; /* "class 03" */
    char *seen; /* "the class is 020000" */
    bool pass;
};

/* The conditions of one target, for one device or for all, and the result in the plan. */
struct explained_target {
    const struct action *action;
    const struct target *target; /* NULL: run */
    const struct device *device; /* the one that was asked about; NULL: all */
    struct condition *conditions;
    size_t count;
    char *result;
};

struct explained_rule {
    const struct rule *rule; /* NULL: `guard` is set */
    const struct guard *guard;
    struct condition *conditions; /* of the VM and the event */
    size_t count;
    struct explained_target *targets;
    size_t target_count;
};

struct explanation {
    struct explained_rule *rules;
    size_t count;
    const struct ruleset *ruleset; /* of the program, for what is in doubt of its guards */
};

/*
 * Explains every rule of the request's program for its event. `devices` are those that were asked
 * about; with `device_count` 0 all of the host's are looked at together. What is borrowed must
 * outlive the explanation.
 */
void explain_init(struct explanation *explanation, const struct plan_request *request,
                  const struct device *const *devices, size_t device_count);
void explain_finish(struct explanation *explanation);

void explain_print(const struct explanation *explanation, FILE *out, struct terminal terminal);
struct json_object *explain_json(const struct explanation *explanation);

#endif
