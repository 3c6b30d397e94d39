#include "engine/match.h"

#include "parser/doubt.h"
#include "parser/resolve.h"

#include <fnmatch.h>
#include <string.h>
#include <strings.h>

static bool matches_text(const struct word *vm, const char *text, bool any_case) {
    if (!text)
        return false;
    if (vm->kind == WORD_GLOB)
        return fnmatch(vm->text, text, any_case ? FNM_CASEFOLD : 0) == 0;
    return any_case ? !strcasecmp(vm->text, text) : !strcmp(vm->text, text);
}

bool match_vm(const struct word *vm, const struct domain *domain) {
    return vm->kind == WORD_ANY || matches_text(vm, domain->name, false) ||
           matches_text(vm, domain->title, false) || matches_text(vm, domain->uuid, true);
}

bool match_vms(const struct word *vms, const struct domain *domain) {
    for (; vms; vms = vms->next)
        if (match_vm(vms, domain))
            return true;
    return false;
}

bool match_target(const struct target *target, const struct event *event) {
    return !event->device || match_device(target->device, event->device);
}

static const struct target *targets_of(const struct action *action) {
    return action->verb == VERB_RUN ? NULL : action->targets;
}

static bool selects(const struct action *action, const struct event *event) {
    const struct target *target = targets_of(action);
    while (target && !match_target(target, event))
        target = target->next;
    return target != NULL;
}

/* A rule that names no device is meant at every device's coming and going. */
static bool concerns_device(const struct rule *rule, const struct event *event) {
    bool names = false;
    for (const struct action *action = rule->actions; action; action = action->next) {
        if (selects(action, event))
            return true;
        names |= targets_of(action) != NULL;
    }
    return !names;
}

bool match_rule(const struct rule *rule, const struct event *event) {
    const struct event_list *named = rule->events;
    while (named && named->event != event->name)
        named = named->next;
    return named && match_vms(rule->vms, event->domain) && concerns_device(rule, event);
}

static bool match_action(const struct action *action, const struct event *event) {
    return action->verb == VERB_RUN ? !event->settled : selects(action, event);
}

struct wanted_list match_event(const struct program *program, const struct event *event) {
    struct wanted_list wanted = {0};
    for (size_t i = 0; i < program->rule_count; i++) {
        const struct rule *rule = program->rules[i];
        if (!match_rule(rule, event))
            continue;
        for (const struct action *action = rule->actions; action; action = action->next) {
            if (!match_action(action, event))
                continue;
            wanted.list = memory_grow(wanted.list, wanted.count, sizeof *wanted.list);
            wanted.list[wanted.count++] = (struct wanted){rule, action};
        }
    }
    return wanted;
}

static bool matches_id(const struct criterion *criterion, struct device_id id) {
    return (criterion->any_vendor || criterion->id.vendor == id.vendor) &&
           (criterion->any_device || criterion->id.device == id.device);
}

static bool matches_class(struct class_prefix prefix, uint32_t class_code) {
    return class_code >> (4 * (6 - prefix.digits)) == prefix.value;
}

/* Most addresses are written out, and fnmatch() takes ten times as long. */
static bool matches_address(const char *pattern, const char *address) {
    return !strcmp(pattern, address) ||
           (strpbrk(pattern, "*?[\\") && fnmatch(pattern, address, 0) == 0);
}

bool match_criterion(const struct criterion *criterion, const struct host_device *device) {
    bool pci = device->bus == BUS_PCI;
    switch ((enum criterion_kind)criterion->kind) {
    case CRITERION_NAME:
        return criterion->resolved && match_device(criterion->definition->device, device);
    case CRITERION_ID:
        return matches_id(criterion, device->id);
    case CRITERION_ADDRESS:
        return pci && matches_address(criterion->text, device->address);
    case CRITERION_CLASS:
        return matches_class(criterion->class_prefix, device->class_code);
    case CRITERION_SUBSYSTEM:
        return pci && matches_id(criterion, device->subsystem);
    case CRITERION_PORT:
        return !pci && !strcmp(criterion->text, device->address);
    case CRITERION_SERIAL:
        return device->serial && !strcmp(criterion->text, device->serial);
    case CRITERION_UNREAD:
        return false;
    }
    return false;
}

typedef bool criterion_matcher(const struct criterion *, const struct host_device *);

static bool match_alternatives(const struct criterion *criteria, const struct host_device *device,
                               criterion_matcher *match) {
    bool holds = false;
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->alternative && holds)
            return true;
        holds = (one->alternative || holds) && match(one, device);
    }
    return holds;
}

bool match_device(const struct criterion *criteria, const struct host_device *device) {
    return match_alternatives(criteria, device, match_criterion);
}

/* For a USB device of which only the id is known. */
static bool could_match(const struct criterion *criterion, const struct host_device *device) {
    switch ((enum criterion_kind)criterion->kind) {
    case CRITERION_NAME:
        return criterion->resolved &&
               match_alternatives(criterion->definition->device, device, could_match);
    case CRITERION_CLASS:
    case CRITERION_PORT:
    case CRITERION_SERIAL:
        return true;
    default:
        return match_criterion(criterion, device);
    }
}

static struct origin giver_of(const struct rule *rule, const struct host_device *device) {
    for (const struct action *action = rule->actions; action; action = action->next)
        if (action->verb == VERB_ATTACH && action->backend == BACKEND_USB)
            for (const struct target *target = action->targets; target; target = target->next)
                if (match_alternatives(target->device, device, could_match))
                    return (struct origin){rule, action, target};
    return (struct origin){0};
}

struct origin match_giver(const struct program *program, const struct domain *domain,
                          struct device_id id) {
    struct origin origin = {0};
    struct host_device device = {.bus = BUS_USB, .id = id};
    for (size_t i = 0; i < program->rule_count && !origin.rule; i++)
        if (match_vms(program->rules[i]->vms, domain))
            origin = giver_of(program->rules[i], &device);
    return origin;
}

/* --- what a guard in doubt may mean: see doubt.h */

enum { MEANING_BUDGET = 1000000, MEANING_DEPTH = 256 }; /* with more, everything is meant */

struct meaning {
    const struct host_device *device;
    size_t budget; /* conditions that may still be looked at */
    unsigned depth;
};

static bool may_mean(struct meaning *meaning, const struct source *source,
                     const struct criterion *criteria);

static bool name_may_mean(struct meaning *meaning, const struct source *source,
                          const struct criterion *name) {
    const struct definition *list[DOUBT_CANDIDATES];
    if (!name->resolved || meaning->depth == MEANING_DEPTH)
        return true;
    size_t count = resolve_candidates(name->definition, source, list, DOUBT_CANDIDATES);
    bool may = count == DOUBT_CANDIDATES;
    meaning->depth++;
    for (size_t i = 0; i < count && !may; i++)
        may = may_mean(meaning, list[i]->source, list[i]->device);
    meaning->depth--;
    return may;
}

static bool criterion_may_mean(struct meaning *meaning, const struct source *source,
                               const struct criterion *one) {
    if (!meaning->budget || one->kind == CRITERION_UNREAD)
        return true;
    meaning->budget--;
    return one->kind == CRITERION_NAME ? name_may_mean(meaning, source, one)
                                       : match_criterion(one, meaning->device);
}

static bool may_mean(struct meaning *meaning, const struct source *source,
                     const struct criterion *criteria) {
    bool holds = false, either = false;
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->alternative && holds)
            return true;
        if (one->alternative)
            either = one->either;
        if (one->alternative || holds != either)
            holds = criterion_may_mean(meaning, source, one);
    }
    return holds || !criteria;
}

bool match_guard_criterion(const struct guard *guard, const struct criterion *criterion,
                           const struct host_device *device) {
    struct meaning meaning = {.device = device, .budget = MEANING_BUDGET};
    return guard->doubtful ? criterion_may_mean(&meaning, guard->source, criterion)
                           : match_criterion(criterion, device);
}

bool match_guard_device(const struct guard *guard, const struct host_device *device) {
    struct meaning meaning = {.device = device, .budget = MEANING_BUDGET};
    return guard->doubtful ? may_mean(&meaning, guard->source, guard->device)
                           : match_device(guard->device, device);
}

/* One that is not in doubt first: it says best why. */
const struct guard *match_guard(const struct program *program, const struct domain *domain,
                                const struct host_device *device) {
    const struct guard *doubtful = NULL;
    for (size_t i = 0; i < program->guard_count; i++) {
        const struct guard *guard = program->guards[i];
        if ((guard->doubtful && doubtful) || (guard->vms && !match_vms(guard->vms, domain)) ||
            !match_guard_device(guard, device))
            continue;
        if (!guard->doubtful)
            return guard;
        doubtful = guard;
    }
    return doubtful;
}
