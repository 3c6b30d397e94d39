/* A plan as text for people and as JSON for programs. */
#ifndef ENGINE_PLAN_PRINT_H
#define ENGINE_PLAN_PRINT_H

#include "engine/plan.h"

#include <stdio.h>

void plan_print(const struct plan *plan, FILE *out, bool xml, bool colour);

/* {"vm": {...}, "event": ..., "steps": [...], "refusals": [...], "skipped": [...]} */
struct json_object *plan_json(const struct plan *plan);

#endif
