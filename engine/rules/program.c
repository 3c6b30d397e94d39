#include "engine/rules/program.h"

#include <stdlib.h>

void program_init(struct program *program, const struct ruleset *ruleset) {
    *program = (struct program){.ruleset = ruleset};
    for (const struct rule *rule = ruleset->syntax.rules; rule; rule = rule->next) {
        if (rule->source->broken)
            continue;
        program->rules =
            memory_grow((void *)program->rules, program->rule_count, sizeof(struct rule *));
        program->rules[program->rule_count++] = rule;
    }
    for (const struct guard *guard = ruleset->syntax.guards; guard; guard = guard->next) {
        program->guards =
            memory_grow((void *)program->guards, program->guard_count, sizeof(struct guard *));
        program->guards[program->guard_count++] = guard;
    }
}

void program_finish(struct program *program) {
    free((void *)program->rules);
    free((void *)program->guards);
    *program = (struct program){0};
}

size_t program_line(const struct rule *rule, const struct action *action) {
    return source_position(rule->source, action ? action->span.start : rule->span.start).line;
}
