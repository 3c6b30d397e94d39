#include "engine/plan/plan.h"

#include "engine/action/action.h"
#include "engine/plan/plan_defined.h"
#include "engine/plan/plan_unplugged.h"

#include <stdlib.h>

/* --- the loop over rules and actions */

/* The action's plan() is called once a target that the event means; without targets once. */
static void plan_action(struct planner *planner, struct action_ref ref) {
    const struct action_type *type = action_find(ref.action->verb);
    enum event_name event = planner->event->name;
    ref.target = match_targets_of(ref.action);
    do {
        if (ref.target && !match_target(ref.target, planner->event))
            continue;
        if (syntax_verb_is_possible(ref.action->verb, event))
            type->plan(planner, &ref);
        else
            planner_refuse(planner, &ref, NULL,
                           verdict_refuse(REFUSED_EVENT,
                                          memory_printf("nothing can be %s at '%s'",
                                                        syntax_verb(ref.action->verb)->participle,
                                                        scanner_event_text(event)),
                                          memory_strdup("use 'started'")));
    } while (ref.target && (ref.target = ref.target->next));
}

/* At `defined`: what of the definition stays, by a plan for the definition without ours. */
struct plan_definition {
    const struct plan *fresh; /* NULL: it is that plan */
    const bool *kept;
};

/* `domain` is the event's, or what stays of it. */
static void plan_make(struct plan *plan, const struct plan_request *request,
                      struct action_list actions, const struct domain *domain,
                      const struct plan_definition *definition) {
    bool is_definition = request->event->name == EVENT_DEFINED;
    *plan = (struct plan){
        .event = request->event, .program = request->program, .partial = request->partial};
    struct planner planner = {.request = request,
                              .event = request->event,
                              .domain = domain,
                              .plan = plan,
                              .judge = {.host = request->host,
                                        .domain = domain,
                                        .program = request->program,
                                        .others = is_definition ? NULL : request->others,
                                        .other_count = is_definition ? 0 : request->other_count,
                                        .busy = request->busy,
                                        .busy_count = request->busy_count,
                                        .kept = request->kept,
                                        .kept_count = request->kept_count,
                                        .is_definition = is_definition},
                              .guest = domain->guest,
                              .marks = memory_zalloc(request->host->count + 1),
                              .actions = actions};
    planner.judge.marks = planner.marks;
    planner.guest.is_definition = is_definition;
    plan_unplugged_add(&planner);
    for (size_t i = 0; i < actions.count; i++)
        if (plan_waits(actions.list[i].action, request->event->name))
            plan_action(&planner, actions.list[i]);
    for (size_t i = 0; i < actions.count; i++)
        if (!plan_waits(actions.list[i].action, request->event->name))
            plan_action(&planner, actions.list[i]);
    if (definition && definition->fresh)
        plan_defined_finish(&planner, definition->fresh, definition->kept);
    judge_finish(&planner.judge);
    free(planner.marks);
    free(actions.list);
}

static void plan_init_definition(struct plan *plan, const struct plan_request *request) {
    const struct domain *domain = request->event->domain;
    bool *kept = memory_zalloc(domain->hostdev_count + 1);
    struct domain left;
    struct plan fresh;
    domain_without_marked(&left, domain, NULL);
    plan_make(&fresh, request, match_event(request->program, request->event), &left, NULL);
    domain_finish_without(&left);
    plan_defined_choose_kept(kept, &fresh, request);
    domain_without_marked(&left, domain, kept);
    plan_make(plan, request, match_event(request->program, request->event), &left,
              &(struct plan_definition){&fresh, kept});
    domain_finish_without(&left);
    plan_finish(&fresh);
    free(kept);
}

void plan_init(struct plan *plan, const struct plan_request *request) {
    const struct event *event = request->event;
    if (event->name == EVENT_DEFINED && event->domain && !request->parked)
        plan_init_definition(plan, request);
    else
        plan_make(plan, request, match_event(request->program, event),
                  event->domain ? event->domain : &judge_any_vm, NULL);
}

const struct event plan_any_start = {.name = EVENT_STARTED};

void plan_init_rule(struct plan *plan, const struct program *program, const struct rule *rule,
                    const struct event *event, const struct host *host) {
    const struct program alone = {.rules = &rule,
                                  .rule_count = 1,
                                  .guards = program->guards,
                                  .guard_count = program->guard_count};
    plan_make(plan,
              &(struct plan_request){.program = event->name == EVENT_PREPARE ? program : &alone,
                                     .event = event,
                                     .host = host},
              match_actions(rule, event), &judge_any_vm, NULL);
    plan->program = program;
}

void plan_drop_last(struct plan *plan) {
    struct plan_entry *entry = &plan->entries[--plan->count];
    if (entry->unplugged)
        device_finish(entry->unplugged);
    free(entry->unplugged);
    if (entry->instance)
        device_finish(entry->instance);
    free(entry->instance);
    free(entry->target_text);
    for (size_t i = 0; i < entry->element_count; i++)
        free(entry->elements[i].xml);
    free(entry->elements);
    free(entry->marks);
    free(entry->note);
    setting_finish(&entry->settings);
    free(entry->message);
    free(entry->hint);
}

void plan_finish(struct plan *plan) {
    while (plan->count)
        plan_drop_last(plan);
    for (size_t i = 0; i < plan->omitted_count; i++)
        free(plan->omitted[i].message);
    free(plan->omitted);
    free(plan->entries);
    free(plan->marks);
    *plan = (struct plan){0};
}

/* --- questions */

size_t plan_count(const struct plan *plan, enum plan_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->entries[i].kind == kind;
    return count;
}

bool plan_waits(const struct action *action, enum event_name event) {
    return event == EVENT_PREPARE &&
           (action->verb == VERB_REQUIRE || plan_has_option(action, OPTION_WAIT));
}

enum verb plan_verb(const struct plan_entry *entry) {
    return entry->unplugged ? VERB_DETACH : entry->action->verb;
}

bool plan_attaches(const struct plan_entry *entry) {
    return entry->kind == PLAN_STEP && entry->device && plan_verb(entry) == VERB_ATTACH;
}

bool plan_has_option(const struct action *action, enum option_kind kind) {
    return syntax_find_option(action->options, kind) != NULL;
}

uint32_t plan_option_ms(const struct action *action, enum option_kind kind) {
    const struct action_option *option = syntax_find_option(action->options, kind);
    return option ? option->milliseconds : 0;
}

/* A ROM is the selected device's own, not that of a device that goes with it. */
struct backend_options plan_backend_options(const struct action *action,
                                            const struct target *target,
                                            const struct device *device) {
    return (struct backend_options){.list = action->options,
                                    .goes_along = !target || !match_device(target->device, device)};
}

char *plan_rule_text(const struct plan_entry *entry) {
    if (!entry->rule)
        return NULL;
    return memory_printf("%s:%zu", entry->rule->source->path,
                         program_line(entry->rule, entry->action));
}

char *plan_device_text(const struct plan_entry *entry) {
    if (entry->device)
        return device_text(entry->device);
    return memory_copy(entry->target_text);
}
