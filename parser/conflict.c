#include "parser/conflict.h"

#include "parser/print.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BUDGET = 20000000 }; /* pairs of conditions that are compared */
enum { WAITING = 16 };

/* What one rule says it will do at one event: attach a target, detach it, or run a command. */
struct conflict {
    const struct rule *rule;
    const struct action *action;
    const struct target *target; /* NULL: run */
    enum event_name event;
    bool said; /* at an earlier event of the rule */
};

/*
 * Most promises stand alone. So a first pass keeps only four bytes of each one's hash, and marks
 * those that come again; the second looks at these alone. A mark too many costs a comparison, no
 * more.
 */
struct promises {
    uint32_t *marks; /* open addressing; 0: free, bit 0: came again */
    size_t mark_count;
    size_t again;           /* promises that the second pass will look at, at most */
    struct conflict *slots; /* of those, the first of its kind; open addressing */
    size_t size;
    size_t noted;              /* promises in the first pass */
    uint64_t waiting[WAITING]; /* the last hashes, whose marks are on their way from memory */
    struct diagnostics *diagnostics;
    size_t known; /* diagnostics that the checks before found */
};

/* --- equality and hash of what is promised, places aside */

static bool conflict_is_whole(const struct criterion *device) {
    return device && !device->incomplete;
}

static uint64_t conflict_mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
    return hash ^ hash >> 29;
}

static bool conflict_same_criteria(const struct criterion *a, const struct criterion *b) {
    for (; a && b; a = a->next, b = b->next)
        if (a->alternative != b->alternative || !syntax_same_criterion(a, b))
            return false;
    return !a && !b;
}

static bool conflict_same_command(const struct word *a, const struct word *b) {
    for (; a && b; a = a->next, b = b->next)
        if (!syntax_same_text(a, b))
            return false;
    return !a && !b;
}

static bool conflict_same_vms(const struct word *a, const struct word *b) {
    for (; a && b; a = a->next, b = b->next)
        if (!syntax_same_text(a, b) || a->field != b->field ||
            (a->kind == WORD_ANY) != (b->kind == WORD_ANY))
            return false;
    return !a && !b;
}

static bool conflict_same_promise(const struct conflict *a, const struct conflict *b) {
    if (a->event != b->event || a->action->verb != b->action->verb)
        return false;
    if (!a->target || !b->target)
        return conflict_same_command(a->action->command, b->action->command) &&
               conflict_same_vms(a->rule->vms, b->rule->vms);
    return conflict_same_criteria(a->target->device, b->target->device);
}

static uint64_t conflict_hash_vms(uint64_t hash, const struct word *vms) {
    for (; vms; vms = vms->next)
        hash = conflict_mix(hash, vms->hash);
    return hash;
}

static uint64_t conflict_hash_promise(const struct conflict *promise) {
    uint64_t hash = conflict_mix(promise->event, promise->action->verb);
    if (promise->action->verb == VERB_RUN)
        return conflict_hash_vms(conflict_hash_vms(hash, promise->action->command),
                                 promise->rule->vms);
    for (const struct criterion *one = promise->target->device; one; one = one->next)
        hash = conflict_mix(hash, syntax_criterion_bits(one) ^ one->kind);
    return hash;
}

/* --- a second promise of the same */

static struct span conflict_span(const struct conflict *promise) {
    return promise->target ? promise->target->span : promise->action->span;
}

static void conflict_report(const struct promises *promises, const struct conflict *second,
                            const struct conflict *first, const char *name, const char *message,
                            const char *hint) {
    struct diagnostic *diagnostic = diagnostic_add(promises->diagnostics, second->rule->source,
                                                   conflict_span(second), name, "%s", message);
    diagnostic_hint(diagnostic, "%s", hint);
    diagnostic_note(diagnostic, first->rule->source, conflict_span(first), "first here");
}

/* Two names that are surely two VMs: no glob, and not one a name and the other a UUID. */
static bool conflict_are_two_vms(const struct word *a, const struct word *b) {
    if (a->kind == WORD_ANY || b->kind == WORD_ANY || a->kind == WORD_GLOB || b->kind == WORD_GLOB)
        return false;
    return !syntax_same_text(a, b) && a->field == b->field &&
           syntax_is_uuid(a->text) == syntax_is_uuid(b->text);
}

static bool conflict_promises_to_two(const struct conflict *first, const struct conflict *second) {
    if (first->target->quantifier == QUANTIFIER_ANY || second->target->quantifier == QUANTIFIER_ANY)
        return false;
    return conflict_are_two_vms(first->rule->vms, second->rule->vms);
}

static bool conflict_same_options(const struct action_option *a, const struct action_option *b) {
    for (; a && b; a = a->next, b = b->next)
        if (a->kind != b->kind || (a->kind == OPTION_ROM_FILE && a->text != b->text) ||
            ((a->kind == OPTION_WITHIN || a->kind == OPTION_AFTER) &&
             a->milliseconds != b->milliseconds))
            return false;
    return !a && !b;
}

/* True when the second says more than the first, and it is not known which of the two is meant. */
static bool conflict_differs(const struct conflict *first, const struct conflict *second) {
    return second->action->verb == VERB_ATTACH &&
           (first->action->backend != second->action->backend ||
            first->action->with_group != second->action->with_group ||
            first->target->quantifier != second->target->quantifier ||
            first->target->count != second->target->count ||
            !conflict_same_options(first->action->options, second->action->options));
}

/* True when an address or a port says which device it is: there is no second one. */
static bool conflict_is_one_device(const struct criterion *device) {
    for (; device; device = device->next)
        if ((device->kind == CRITERION_ADDRESS && !value_is_glob(device->text)) ||
            device->kind == CRITERION_PORT)
            return true;
    return false;
}

/* Who attaches one of a kind twice wants two of them. The caller frees it; NULL: that cannot be
 * meant. */
static char *conflict_hint_several(const struct conflict *second, const struct conflict *first) {
    if (!second->target || second->action->verb != VERB_ATTACH ||
        conflict_is_one_device(second->target->device) ||
        first->target->quantifier == QUANTIFIER_ALL || second->target->quantifier == QUANTIFIER_ALL)
        return NULL;
    unsigned count = first->target->count + second->target->count;
    char *device = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&device, &size);
    print_device(out, second->target->device, false);
    memory_stream_close(out, &device);
    char *hint = memory_printf(
        "one device counts for both; for %u devices write 'any %u %s', else take one out", count,
        count, device);
    free(device);
    return hint;
}

static void conflict_report_rule(const struct promises *promises, const struct conflict *second,
                                 const struct conflict *first) {
    char *several = conflict_hint_several(second, first);
    if (several && second->target->quantifier == QUANTIFIER_ANY &&
        first->target->quantifier == QUANTIFIER_ANY)
        conflict_report(promises, second, first, "duplicate-rule", "another rule says this already",
                        several);
    else if (conflict_differs(first, second))
        conflict_report(
            promises, second, first, "duplicate-rule",
            "another rule attaches this device already, in another way",
            "a device is attached once, as the first rule says: make one rule of the two");
    else
        conflict_report(promises, second, first, "duplicate-rule", "another rule says this already",
                        "take one of the two out");
    free(several);
}

static void conflict_report_same_rule(const struct promises *promises,
                                      const struct conflict *second, const struct conflict *first) {
    char *several = conflict_hint_several(second, first);
    conflict_report(promises, second, first, second->target ? "duplicate-device" : "duplicate-rule",
                    second->target ? "this device stands twice in one rule"
                                   : "this command stands twice in one rule",
                    several ? several : "take one out");
    free(several);
}

/* True when an option or event of the action's line was found wrong: what it means is not known.
 * Looked for among the last ones only, so that many of both stay cheap. */
static bool conflict_is_in_doubt(const struct promises *promises, const struct conflict *promise) {
    enum { LOOKED_AT = 1000 };
    size_t from = promises->known > LOOKED_AT ? promises->known - LOOKED_AT : 0;
    struct span span = promise->action->span;
    for (size_t i = from; i < promises->known; i++) {
        const struct diagnostic *one = &promises->diagnostics->list[i];
        if (one->source == promise->rule->source && one->span.start >= span.start &&
            one->span.start < span.end)
            return true;
    }
    return false;
}

/* Those are compared with each other, and not only with the first promise of their kind. */
static bool conflict_has_few_targets(const struct rule *rule) {
    enum { FEW = 64 };
    size_t count = 0;
    for (const struct action *action = rule->actions; action; action = action->next)
        if (action->verb != VERB_RUN)
            for (const struct target *one = action->targets; one && count <= FEW; one = one->next)
                count++;
    return count <= FEW;
}

/* Returns false after a report. */
static bool conflict_compare(const struct promises *promises, const struct conflict *second,
                             const struct conflict *first) {
    if (!first->rule->vms || !second->rule->vms || conflict_is_in_doubt(promises, second) ||
        (first->rule == second->rule && second->target && conflict_has_few_targets(second->rule)))
        return true;
    if (first->rule == second->rule)
        conflict_report_same_rule(promises, second, first);
    else if (conflict_same_vms(first->rule->vms, second->rule->vms))
        conflict_report_rule(promises, second, first);
    else if (second->action->verb == VERB_ATTACH && conflict_promises_to_two(first, second))
        conflict_report(promises, second, first, "shared-device",
                        "this device is promised to two VMs at the same event",
                        "only one can have it; 'any' takes one of several");
    else
        return true;
    return false;
}

/* Returns false after a report. */
static bool conflict_add(struct promises *promises, const struct conflict *promise, uint64_t hash) {
    size_t at = hash & (promises->size - 1);
    for (; promises->slots[at].rule; at = (at + 1) & (promises->size - 1))
        if (conflict_same_promise(&promises->slots[at], promise))
            return promise->said || conflict_compare(promises, promise, &promises->slots[at]);
    promises->slots[at] = *promise;
    return true;
}

static uint32_t *conflict_mark_of(const struct promises *promises, uint64_t hash) {
    uint32_t print = (uint32_t)(hash >> 32) | 1;
    size_t at = hash & (promises->mark_count - 1);
    while (promises->marks[at] && (promises->marks[at] | 1) != print)
        at = (at + 1) & (promises->mark_count - 1);
    return &promises->marks[at];
}

static void conflict_set_mark(struct promises *promises, uint64_t hash) {
    uint32_t *mark = conflict_mark_of(promises, hash);
    if (!*mark) {
        uint32_t print = (uint32_t)(hash >> 32) & ~1U;
        *mark = print ? print : 2;
    } else {
        promises->again += *mark & 1 ? 1 : 2;
        *mark |= 1;
    }
}

typedef bool visitor(struct promises *promises, const struct conflict *promise);

/* The mark of a hash lies anywhere: it is asked for now, and set some promises later. */
static bool conflict_note(struct promises *promises, const struct conflict *promise) {
    uint64_t hash = conflict_hash_promise(promise);
    size_t place = promises->noted++ % WAITING;
    __builtin_prefetch(&promises->marks[hash & (promises->mark_count - 1)], 1);
    if (promises->noted > WAITING)
        conflict_set_mark(promises, promises->waiting[place]);
    promises->waiting[place] = hash;
    return true;
}

static void conflict_note_rest(struct promises *promises) {
    for (size_t i = 0; i < WAITING && i < promises->noted; i++)
        conflict_set_mark(promises, promises->waiting[i]);
}

static bool conflict_look_again(struct promises *promises, const struct conflict *promise) {
    uint64_t hash = conflict_hash_promise(promise);
    return !(*conflict_mark_of(promises, hash) & 1) || conflict_add(promises, promise, hash);
}

/* At each event once; what is said of one event is not said of the next. */
static void conflict_visit_events(struct promises *promises, struct conflict promise,
                                  visitor *visit) {
    unsigned seen = 0;
    for (const struct event_list *event = promise.rule->events; event; event = event->next) {
        if (seen & 1U << event->event)
            continue;
        seen |= 1U << event->event;
        promise.event = event->event;
        promise.said |= !visit(promises, &promise);
    }
}

static void conflict_visit_all(struct promises *promises, const struct syntax *syntax,
                               visitor *visit) {
    for (const struct rule *rule = syntax->rules; rule; rule = rule->next)
        for (const struct action *action = rule->actions; action; action = action->next) {
            struct conflict promise = {.rule = rule, .action = action};
            if (action->verb == VERB_RUN)
                conflict_visit_events(promises, promise, visit);
            else
                for (promise.target = action->targets; promise.target;
                     promise.target = promise.target->next)
                    if (conflict_is_whole(promise.target->device))
                        conflict_visit_events(promises, promise, visit);
        }
}

/* Promises of one rule, no fewer than there are. */
static size_t conflict_count_promises(const struct rule *rule) {
    size_t events = 0, things = 0;
    for (const struct event_list *event = rule->events; event && events < EVENT_COUNT;
         event = event->next)
        events++;
    for (const struct action *action = rule->actions; action; action = action->next)
        if (action->verb == VERB_RUN)
            things++;
        else
            for (const struct target *one = action->targets; one; one = one->next)
                things++;
    return events * things;
}

static size_t conflict_room_for(size_t count) {
    size_t size = 16;
    while (size < count + count / 2)
        size *= 2;
    return size;
}

/* The first target of the rule that selects the same device in the same way; itself: none before it
 * does. */
static struct conflict conflict_first_of(const struct conflict *promise) {
    struct conflict first = *promise;
    for (first.action = promise->rule->actions; first.action; first.action = first.action->next)
        if (first.action->verb == promise->action->verb)
            for (first.target = first.action->targets; first.target;
                 first.target = first.target->next)
                if (first.target == promise->target ||
                    (conflict_is_whole(first.target->device) &&
                     conflict_same_criteria(first.target->device, promise->target->device)))
                    return first;
    return *promise;
}

static void conflict_check_repeated_targets(const struct promises *promises,
                                            const struct rule *rule) {
    struct conflict promise = {.rule = rule};
    if (!conflict_has_few_targets(rule))
        return;
    for (promise.action = rule->actions; promise.action; promise.action = promise.action->next)
        if (promise.action->verb != VERB_RUN)
            for (promise.target = promise.action->targets; promise.target;
                 promise.target = promise.target->next) {
                struct conflict first = conflict_first_of(&promise);
                if (first.target != promise.target && conflict_is_whole(promise.target->device) &&
                    !conflict_is_in_doubt(promises, &promise))
                    conflict_report_same_rule(promises, &promise, &first);
            }
}

/* One rule that names two VMs for one device. */
static void conflict_check_one_rule(const struct promises *promises, const struct rule *rule) {
    const struct word *second = rule->vms ? rule->vms->next : NULL;
    while (second && !conflict_are_two_vms(rule->vms, second))
        second = second->next;
    if (!second)
        return;
    for (const struct action *action = rule->actions; action; action = action->next)
        if (action->verb == VERB_ATTACH)
            for (const struct target *one = action->targets; one; one = one->next)
                if (one->quantifier != QUANTIFIER_ANY) {
                    struct diagnostic *diagnostic = diagnostic_add(
                        promises->diagnostics, rule->source, one->span, "shared-device",
                        "this device is promised to two VMs at the same event");
                    diagnostic_hint(diagnostic, "only one can have it; 'any' takes one of several");
                    diagnostic_note(diagnostic, rule->source, second->span, "the second VM");
                }
}

void conflict_check(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct promises promises = {.diagnostics = diagnostics, .known = diagnostics->count};
    size_t count = 0;
    for (const struct rule *rule = syntax->rules; rule; rule = rule->next) {
        conflict_check_one_rule(&promises, rule);
        conflict_check_repeated_targets(&promises, rule);
        count += conflict_count_promises(rule);
    }
    promises.mark_count = conflict_room_for(count);
    promises.marks = memory_large(promises.mark_count * sizeof *promises.marks);
    memset(promises.marks, 0, promises.mark_count * sizeof *promises.marks);
    conflict_visit_all(&promises, syntax, conflict_note);
    conflict_note_rest(&promises);
    promises.size = conflict_room_for(promises.again);
    promises.slots = memory_zalloc(promises.size * sizeof *promises.slots);
    if (promises.again)
        conflict_visit_all(&promises, syntax, conflict_look_again);
    free(promises.slots);
    free(promises.marks);
}

/* --- what a guard covers: every device that the target can mean is one that the guard forbids */

static bool conflict_covers_id(const struct criterion *guard, const struct criterion *one) {
    return (guard->any_vendor || (!one->any_vendor && guard->id.vendor == one->id.vendor)) &&
           (guard->any_device || (!one->any_device && guard->id.device == one->id.device));
}

static bool conflict_covers_class(struct class_prefix guard, struct class_prefix one) {
    return guard.digits <= one.digits &&
           one.value >> (4 * (one.digits - guard.digits)) == guard.value;
}

static bool conflict_covers_criterion(const struct criterion *guard, const struct criterion *one) {
    if (syntax_same_criterion(guard, one))
        return true;
    if (guard->kind != one->kind)
        return false;
    switch (guard->kind) {
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        return conflict_covers_id(guard, one);
    case CRITERION_CLASS:
        return conflict_covers_class(guard->class_prefix, one->class_prefix);
    case CRITERION_ADDRESS:
        return !value_is_glob(one->text) && fnmatch(guard->text, one->text, 0) == 0;
    default:
        return false;
    }
}

static void conflict_spend(size_t *budget) {
    *budget -= *budget > 0;
}

static const struct criterion *conflict_next_alternative(const struct criterion *one,
                                                         size_t *budget) {
    do {
        one = one->next;
        conflict_spend(budget);
    } while (one && !one->alternative);
    return one;
}

/* One alternative of the guard covers one of the device: each of its conditions follows from one
 * there. Without budget nothing is covered. */
static bool conflict_covers_match(const struct criterion *guard, const struct criterion *match,
                                  size_t *budget) {
    const struct criterion *guard_end = conflict_next_alternative(guard, budget);
    const struct criterion *match_end = conflict_next_alternative(match, budget);
    if (match->resolved && match->next == match_end && match->kind == CRITERION_NAME &&
        guard->kind != CRITERION_NAME)
        return false; /* expanded by the caller */
    for (; guard != guard_end; guard = guard->next) {
        const struct criterion *one = match;
        while (one != match_end && *budget && !conflict_covers_criterion(guard, one)) {
            one = one->next;
            conflict_spend(budget);
        }
        if (one == match_end || !*budget)
            return false;
    }
    return true;
}

/* The definition behind a match that is nothing but a name; else NULL. */
static const struct criterion *conflict_behind_name(const struct criterion *match, size_t *budget) {
    bool alone = match->next == conflict_next_alternative(match, budget);
    if (match->kind != CRITERION_NAME || !match->resolved || !alone)
        return NULL;
    return conflict_is_whole(match->definition->device) ? match->definition->device : NULL;
}

static bool conflict_some_alternative_covers(const struct criterion *guard,
                                             const struct criterion *match, size_t *budget) {
    for (; guard && *budget; guard = conflict_next_alternative(guard, budget)) {
        const struct criterion *inner = conflict_behind_name(guard, budget);
        if (conflict_covers_match(guard, match, budget) ||
            (inner && conflict_some_alternative_covers(inner, match, budget)))
            return true;
    }
    return false;
}

static bool conflict_covers_device(const struct criterion *guard, const struct criterion *device,
                                   size_t *budget) {
    for (; device; device = conflict_next_alternative(device, budget)) {
        const struct criterion *inner = conflict_behind_name(device, budget);
        if (!conflict_some_alternative_covers(guard, device, budget) &&
            !(inner && conflict_covers_device(guard, inner, budget)))
            return false;
    }
    return true;
}

static bool conflict_covers_vm(const struct word *guard, const struct word *vm, size_t *budget) {
    for (; guard && *budget; guard = guard->next, conflict_spend(budget))
        if (guard->kind != WORD_ANY && guard->field && guard->field != vm->field)
            continue;
        else if (guard->kind == WORD_ANY || (vm->kind != WORD_ANY && syntax_same_text(guard, vm)) ||
                 (guard->kind == WORD_GLOB && (vm->kind == WORD_PLAIN || vm->kind == WORD_QUOTED) &&
                  fnmatch(guard->text, vm->text, 0) == 0))
            return true;
    return false;
}

static bool conflict_covers_vms(const struct guard *guard, const struct rule *rule,
                                size_t *budget) {
    if (!guard->vms)
        return true;
    for (const struct word *vm = rule->vms; vm; vm = vm->next)
        if (!conflict_covers_vm(guard->vms, vm, budget))
            return false;
    return true;
}

static void conflict_check_target(struct diagnostics *diagnostics, const struct syntax *syntax,
                                  const struct rule *rule, const struct target *target,
                                  size_t *budget) {
    for (const struct guard *guard = syntax->guards; guard && *budget; guard = guard->next) {
        conflict_spend(budget);
        if (!conflict_is_whole(target->device) || !conflict_is_whole(guard->device) ||
            guard->doubtful || !conflict_covers_vms(guard, rule, budget) ||
            !conflict_covers_device(guard->device, target->device, budget))
            continue;
        struct diagnostic *diagnostic =
            diagnostic_add(diagnostics, rule->source, target->span, "void-by-never",
                           "a 'never' forbids this device");
        diagnostic_hint(diagnostic, "take out one of the two; 'never' wins");
        diagnostic_note(diagnostic, guard->source, guard->span, "forbidden here");
        return;
    }
}

void conflict_check_guards(struct syntax *syntax, struct diagnostics *diagnostics) {
    size_t budget = GUARD_BUDGET;
    for (const struct rule *rule = syntax->rules; rule && syntax->guards; rule = rule->next)
        for (const struct action *action = rule->actions; action; action = action->next)
            if (action->verb == VERB_ATTACH)
                for (const struct target *one = action->targets; one; one = one->next)
                    conflict_check_target(diagnostics, syntax, rule, one, &budget);
}
