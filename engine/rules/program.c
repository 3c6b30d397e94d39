#include "engine/rules/program.h"

#include <stdlib.h>
#include <string.h>

static void program_add_rule(struct program *program, const struct rule *rule) {
    program->rules =
        memory_grow((void *)program->rules, program->rule_count, sizeof(struct rule *));
    program->rules[program->rule_count++] = rule;
}

static void program_add_guard(struct program *program, const struct guard *guard) {
    program->guards =
        memory_grow((void *)program->guards, program->guard_count, sizeof(struct guard *));
    program->guards[program->guard_count++] = guard;
}

void program_init(struct program *program, const struct ruleset *ruleset) {
    *program = (struct program){.ruleset = ruleset};
    for (const struct rule *rule = ruleset->syntax.rules; rule; rule = rule->next)
        if (!rule->source->broken)
            program_add_rule(program, rule);
    for (const struct guard *guard = ruleset->syntax.guards; guard; guard = guard->next)
        program_add_guard(program, guard);
}

void program_init_host(struct program *program, const struct program *all) {
    *program = (struct program){.ruleset = all->ruleset};
    for (size_t i = 0; i < all->rule_count; i++)
        if (!all->rules[i]->vms)
            program_add_rule(program, all->rules[i]);
    for (size_t i = 0; i < all->guard_count; i++)
        program_add_guard(program, all->guards[i]);
}

void program_load(struct program *program, struct ruleset *ruleset, const char *directory) {
    ruleset_init(ruleset);
    ruleset_add_directory(ruleset, directory);
    ruleset_load(ruleset, NULL);
    program_init(program, ruleset);
}

void program_finish(struct program *program) {
    free((void *)program->rules);
    free((void *)program->guards);
    *program = (struct program){0};
}

bool program_has_option(const struct program *program, enum option_kind kind) {
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next)
            if (syntax_find_option(action->options, kind))
                return true;
    return false;
}

char *program_text(const struct source *source, struct span span) {
    char *text = memory_strndup(source->text + span.start, span.end - span.start);
    for (char *at = text; *at; at++)
        if (strchr("\n\r\t", *at) || (*at == '\\' && strchr("\r\n", at[1])))
            *at = ' ';
    return text;
}

size_t program_line(const struct rule *rule, const struct action *action) {
    return source_position(rule->source, action ? action->span.start : rule->span.start).line;
}
