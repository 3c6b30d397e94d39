#include "engine/action/action.h"

#include "engine/plan/plan_stale.h"
#include "engine/plan/planner.h"
#include "engine/plan/vf_hint.h"
#include "engine/run/run.h"

#include <stdlib.h>
#include <string.h>

/* How the device would be handed over: an action that attaches, and what of its options counts. One
 * place is for 'optional'. */
struct action_require_as {
    struct action action;
    struct action_option options[OPTION_COUNT + 1];
};

/* When and how long is waited for a device is the requiring rule's. */
static bool action_require_leaves_out(enum option_kind kind) {
    return kind == OPTION_OPTIONAL || kind == OPTION_WITHIN || kind == OPTION_AFTER ||
           kind == OPTION_TAKE;
}

static void action_require_copy_options(struct action_require_as *as,
                                        const struct action_option *from) {
    size_t count = 0;
    for (; from && count < OPTION_COUNT; from = from->next) {
        if (action_require_leaves_out(from->kind))
            continue;
        as->options[count] = *from;
        as->options[count].next = NULL;
        if (count)
            as->options[count - 1].next = &as->options[count];
        count++;
    }
    as->action.options = count ? as->options : NULL;
}

/* As the VM's own rules attach the device, or else as the devices of its bus are. 'as' and 'with
 * group' of the requiring rule come first. */
static void action_require_choose(const struct planner *planner, const struct action_ref *ref,
                                  const struct device *device, struct action_require_as *as) {
    struct action_ref attach = match_attach_action(planner->request->program, planner->event,
                                                   device, ref->action->backend);
    *as = (struct action_require_as){.action = *ref->action};
    as->action.verb = VERB_ATTACH;
    as->action.options = NULL;
    if (attach.rule) {
        as->action.backend = attach.action->backend;
        as->action.with_group |= attach.action->with_group;
        action_require_copy_options(as, attach.action->options);
    } else if (!ref->action->backend) {
        as->action.backend = backend_of_bus(device->bus)->backend;
    }
}

static void action_require_refuse_absent(struct planner *planner, const struct action_ref *ref) {
    char *target = planner_target_text(ref), *meaning = planner_meaning_text(ref);
    struct vf_hint functions = vf_hint_of(planner->request->host, ref->target->device);
    char *message =
        memory_printf("the host has no device %s%s%s%s", target, meaning,
                      functions.message ? ": " : "", functions.message ? functions.message : "");
    planner_refuse(planner, ref, NULL,
                   verdict_refuse(REFUSED_ABSENT, message,
                                  functions.hint
                                      ? memory_strdup(functions.hint)
                                      : memory_strdup("plug it in, or correct the rule: see "
                                                      "'virt-rules devices'")));
    vf_hint_finish(&functions);
    free(meaning);
    free(target);
}

/* A step says that the device is free; nothing is attached. */
static void action_require_convert(struct plan_entry *entry, const struct action_ref *ref) {
    entry->action = ref->action;
    entry->target = ref->target;
    for (size_t i = 0; i < entry->element_count; i++)
        free(entry->elements[i].xml);
    free(entry->elements);
    free(entry->note);
    setting_finish(&entry->settings);
    entry->settings = (struct setting_list){.count = 0};
    entry->elements = NULL;
    entry->element_count = 0;
    entry->place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    entry->note = NULL;
    *entry->mac = '\0';
    if (entry->refusal != REFUSED_ABSENT && entry->refusal != REFUSED_TOO_FEW)
        return;
    free(entry->hint);
    entry->hint = memory_strdup("plug it in or free one, or correct the rule: see 'virt-rules "
                                "devices'");
}

/* The rules at `defined` mean a device that the target selects, and the definition does not have
 * it, but another one by a rule: with that the VM would start. Returns true after refusing. */
static bool action_require_refuse_moved(struct planner *planner, const struct action_ref *ref) {
    const struct domain *domain = planner->event->domain;
    struct plan_stale stale;
    const struct device *meant = NULL;
    char *message = NULL;
    if (!domain || !plan_stale_may_be(domain))
        return false;
    plan_stale_init(&stale, planner->request);
    const struct plan_entry *first = plan_stale_next(&stale, NULL);
    for (size_t i = 0; first && i < stale.plan.count && !meant; i++) {
        const struct plan_entry *entry = &stale.plan.entries[i];
        if (plan_attaches(entry) && match_device(ref->target->device, entry->device))
            meant = entry->device;
    }
    if (meant)
        message = plan_stale_text(&stale, first);
    plan_finish(&stale.plan);
    if (!meant)
        return false;
    planner_refuse(
        planner, ref, meant,
        verdict_refuse(REFUSED_MOVED, message,
                       memory_strdup("run 'virt-rules apply', then start the VM again")));
    return true;
}

/* What an attach of the device would plan now, for a VM that runs with what its definition has. */
static void action_require_attach(struct planner *planner, const struct action_ref *ref,
                                  const struct action_require_as *as, const struct target *target) {
    planner->judge.is_starting = true;
    action_attach_plan(planner, &(struct action_ref){ref->rule, &as->action, target});
    planner->judge.is_starting = false;
}

/* --- devices of several buses, each of which is handed over as those of its bus are */

static const struct device *action_require_first_on(const struct device_list *matched,
                                                    enum bus bus) {
    for (size_t i = 0; i < matched->count; i++)
        if (matched->list[i]->bus == bus)
            return matched->list[i];
    return NULL;
}

static bool action_require_has_several_buses(const struct device_list *matched) {
    for (size_t i = 1; i < matched->count; i++)
        if (matched->list[i]->bus != matched->list[0]->bus)
            return true;
    return false;
}

/* How many of them the plan has: all, or all that are not on that bus. */
static unsigned action_require_found(const struct planner *planner,
                                     const struct device_list *matched, const enum bus *but) {
    unsigned found = 0;
    for (size_t i = 0; i < matched->count; i++)
        found += (!but || matched->list[i]->bus != *but) &&
                 *planner_mark(planner, matched->list[i]) & MARK_ATTACH;
    return found;
}

/* Plans those on one bus; that they are too few is not refused. */
static void action_require_plan_bus(struct planner *planner, const struct action_ref *ref,
                                    const struct device_list *matched, enum bus bus,
                                    const struct device *device) {
    struct plan *plan = planner->plan;
    size_t first = plan->count;
    struct target target = *ref->target;
    struct action_require_as as;
    unsigned others = action_require_found(planner, matched, &bus);
    if (target.quantifier == QUANTIFIER_ANY && others >= target.count)
        return;
    target.count -= target.quantifier == QUANTIFIER_ANY ? others : 0;
    action_require_choose(planner, ref, device, &as);
    as.options[OPTION_COUNT] =
        (struct action_option){.kind = OPTION_OPTIONAL, .next = as.action.options};
    as.action.options = &as.options[OPTION_COUNT];
    action_require_attach(planner, ref, &as, &target);
    if (plan->count > first && plan->entries[plan->count - 1].kind == PLAN_SKIPPED &&
        plan->entries[plan->count - 1].refusal)
        plan_drop_last(plan);
    for (size_t i = first; i < plan->count; i++)
        action_require_convert(&plan->entries[i], ref);
}

/* "; 0000:03:00.0: the host uses it" of each device that was refused, for the caller to free. That
 * one bus's backend is not the other's says nothing. */
static char *action_require_reasons(const struct plan *plan, size_t first_omitted) {
    char *reasons = memory_strdup("");
    for (size_t i = first_omitted; i < plan->omitted_count; i++)
        if (plan->omitted[i].refusal && plan->omitted[i].refusal != REFUSED_BUS)
            memory_append(&reasons, "; %s: %s", plan->omitted[i].device->address,
                          plan->omitted[i].message);
    return reasons;
}

static void action_require_refuse_too_few(struct planner *planner, const struct action_ref *ref,
                                          unsigned found, size_t first_omitted) {
    char *reasons = action_require_reasons(planner->plan, first_omitted);
    char *message = !found ? memory_printf("none is free%s", reasons)
                           : memory_printf("%u of the %u wanted %s free%s", found,
                                           ref->target->count, found == 1 ? "is" : "are", reasons);
    planner_refuse(planner, ref, NULL,
                   verdict_refuse(REFUSED_TOO_FEW, message,
                                  memory_strdup("plug it in or free one, or correct the rule: see "
                                                "'virt-rules devices'")));
    free(reasons);
}

/* A device of a bus is not omitted because another bus has another backend. */
static void action_require_forget_buses(struct plan *plan, size_t first_omitted) {
    size_t left = first_omitted;
    for (size_t i = first_omitted; i < plan->omitted_count; i++)
        if (plan->omitted[i].refusal == REFUSED_BUS)
            free(plan->omitted[i].message);
        else
            plan->omitted[left++] = plan->omitted[i];
    plan->omitted_count = left;
}

static void action_require_plan_buses(struct planner *planner, const struct action_ref *ref,
                                      struct device_list *matched) {
    struct plan *plan = planner->plan;
    size_t first = plan->count, first_omitted = plan->omitted_count;
    planner_list_fold(planner, ref, matched);
    for (enum bus bus = BUS_PCI; bus <= BUS_SCSI; bus++) {
        const struct device *device = action_require_first_on(matched, bus);
        if (device)
            action_require_plan_bus(planner, ref, matched, bus, device);
    }
    action_require_forget_buses(plan, first_omitted);
    unsigned found = action_require_found(planner, matched, NULL);
    bool is_refused = false;
    for (size_t i = first; i < plan->count; i++)
        is_refused |= plan->entries[i].kind == PLAN_REFUSED;
    if (!is_refused && found < (ref->target->quantifier == QUANTIFIER_ANY ? ref->target->count : 1))
        action_require_refuse_too_few(planner, ref, found, first_omitted);
}

/* --- the whole */

/* Of several devices the first that a rule of the VM attaches says how they are handed over. */
static const struct device *action_require_example(const struct planner *planner,
                                                   const struct action_ref *ref,
                                                   const struct device_list *matched) {
    for (size_t i = 0; i < matched->count; i++)
        if (match_attach_action(planner->request->program, planner->event, matched->list[i],
                                ref->action->backend)
                .rule)
            return matched->list[i];
    return matched->list[0];
}

void action_require_plan(struct planner *planner, const struct action_ref *ref) {
    struct plan *plan = planner->plan;
    struct device_list matched = planner_matching(planner, ref->target);
    size_t first = plan->count, first_omitted = plan->omitted_count;
    struct action_require_as as;
    if (!matched.count) {
        action_require_refuse_absent(planner, ref);
        planner_list_finish(&matched);
        return;
    }
    if (action_require_refuse_moved(planner, ref)) {
        planner_list_finish(&matched);
        return;
    }
    if (!ref->action->backend && ref->target->quantifier != QUANTIFIER_ONE &&
        action_require_has_several_buses(&matched)) {
        action_require_plan_buses(planner, ref, &matched);
    } else {
        action_require_choose(planner, ref, action_require_example(planner, ref, &matched), &as);
        action_require_attach(planner, ref, &as, ref->target);
        for (size_t i = first; i < plan->count; i++)
            action_require_convert(&plan->entries[i], ref);
    }
    for (size_t i = first_omitted; i < plan->omitted_count; i++) {
        plan->omitted[i].action = ref->action;
        plan->omitted[i].target = ref->target;
    }
    if (plan->count == first)
        planner_add(planner, ref, PLAN_SKIPPED, NULL)->message =
            memory_strdup("another rule requires it as well");
    planner_list_finish(&matched);
}

/* "it requires 0000:03:00.0 10de:2484 (NVIDIA GA104): VM 'lin' has it; stop that VM". */
static char *action_require_reason(const struct plan_entry *entry) {
    const struct device *device = entry->device;
    char *name = plan_device_text(entry);
    bool has_name = device && device->name && !strstr(name, device->name);
    char *text = memory_printf("it requires %s%s%s%s: %s%s%s", name, has_name ? " (" : "",
                               has_name ? device->name : "", has_name ? ")" : "", entry->message,
                               entry->hint ? "; " : "", entry->hint ? entry->hint : "");
    free(name);
    return text;
}

/* Called once its time is over: see engine/trigger/prepare.c. */
enum run_outcome action_require_execute(struct run *run, const struct plan_entry *entry,
                                        struct task *task) {
    task->state = TASK_DONE;
    if (entry->kind != PLAN_REFUSED)
        return RUN_NEXT;
    char *reason = action_require_reason(entry);
    enum run_outcome outcome = run_stop(run, entry, task, reason, entry->message, entry->hint);
    free(reason);
    return outcome;
}
