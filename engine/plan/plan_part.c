#include "engine/plan/plan_part.h"

#include <stdlib.h>

bool plan_part_may_do(const struct program *program, const struct event *event,
                      const struct action_list *actions) {
    bool may = event->name == EVENT_STARTED && (event->vms || !match_ambiguous(program, event));
    for (size_t i = 0; i < actions->count && may; i++) {
        const struct action *action = actions->list[i].action;
        may = action->verb == VERB_ATTACH && action->backend == BACKEND_VFIO &&
              !plan_has_option(action, OPTION_TAKE);
    }
    return may;
}

/* `may_be` of a scope whose context is a struct action_list: whether one attaches the device. */
static bool plan_part_may_mean(const struct host_scope *scope, const struct device *device) {
    const struct action_list *actions = scope->context;
    for (size_t i = 0; i < actions->count; i++)
        for (const struct target *target = actions->list[i].action->targets; target;
             target = target->next)
            if (match_may_select(target->device, device))
                return true;
    return false;
}

bool plan_part_load(const struct program *program, const struct event *event,
                    const struct host_source *source, struct host *host) {
    struct action_list actions = match_event(program, event);
    struct host_source part = *source;
    struct host_scope scope = {plan_part_may_mean, &actions};
    struct failure ignored;
    part.scope = &scope;
    bool loaded =
        plan_part_may_do(program, event, &actions) && part.load(&part, host, &ignored) == 0;
    free(actions.list);
    return loaded;
}

bool plan_part_is_clear(const struct plan *plan) {
    bool is = !plan->omitted_count;
    for (size_t i = 0; i < plan->count; i++)
        is &= plan->entries[i].kind == PLAN_STEP;
    return is;
}
