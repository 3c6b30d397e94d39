/* A plan as text for people and as JSON for programs. */
#ifndef ENGINE_PLAN_PRINT_H
#define ENGINE_PLAN_PRINT_H

#include "engine/plan/plan.h"
#include "lexer/terminal.h"

#include <stdio.h>

void plan_print(const struct plan *plan, FILE *out, bool xml, struct terminal terminal);

/*
 * {"vm": {...}, "event": ..., "partial": ..., "steps": [...], "refusals": [...], "skipped": [...],
 * "doubts": [...]}
 */
struct json_object *plan_print_json(const struct plan *plan);

/* What is in doubt of the guards of a set (NULL: nothing): a line each. */
void plan_print_doubts(const struct ruleset *ruleset, FILE *out);
struct json_object *plan_print_doubts_json(const struct ruleset *ruleset);

#endif
