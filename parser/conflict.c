#include "parser/conflict.h"

#include "parser/criterion.h"
#include "parser/glob.h"
#include "parser/print.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD_BUDGET = 5000000 }; /* criteria that are compared */

/* What a rule says it will do at one event: attach a target, detach it, or run a command. */
struct conflict {
    struct conflict *next; /* in the order of the rules; the events of a target are neighbours */
    const struct rule *rule;
    const struct action *action;
    const struct target *target; /* NULL: run */
    enum event_name event;
    uint32_t hash; /* of all that must be the same in a second one */
};

struct conflicts {
    struct arena arena; /* of the list */
    struct conflict *list, **end;
    size_t count;
    struct diagnostics *diagnostics;
    size_t known; /* diagnostics that the checks before found */
};

/* --- equality and hash, whatever the place */

static bool conflict_is_whole(const struct criterion *device) {
    return device && !device->incomplete;
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

static bool conflict_same_options(const struct action_option *a, const struct action_option *b) {
    for (; a && b; a = a->next, b = b->next)
        if (a->kind != b->kind ||
            (syntax_option(a->kind)->value == VALUE_STRING && a->text != b->text) ||
            (syntax_option(a->kind)->value == VALUE_WORD && a->text != b->text) ||
            (syntax_option(a->kind)->value == VALUE_KEYWORD && a->text != b->text) ||
            (syntax_option(a->kind)->value == VALUE_NUMBER && a->number != b->number) ||
            (syntax_option(a->kind)->value == VALUE_DURATION && a->milliseconds != b->milliseconds))
            return false;
    return !a && !b;
}

/* A mediated device is a part of the device, of which there are several. */
static bool conflict_shares(const struct action *action) {
    return action->verb == VERB_ATTACH && action->backend == BACKEND_MDEV;
}

/* Two parts of one device. */
static bool conflict_are_two_parts(const struct conflict *first, const struct conflict *second) {
    return conflict_shares(first->action) && conflict_shares(second->action) &&
           !conflict_same_options(first->action->options, second->action->options);
}

static bool conflict_is_same(const struct conflict *a, const struct conflict *b) {
    if (a->event != b->event || a->action->verb != b->action->verb)
        return false;
    if (!a->target || !b->target)
        return conflict_same_command(a->action->command, b->action->command) &&
               conflict_same_vms(a->rule->vms, b->rule->vms);
    return syntax_same_device(a->target->device, b->target->device) &&
           !conflict_are_two_parts(a, b);
}

static uint64_t conflict_hash_vms(uint64_t hash, const struct word *vms) {
    for (; vms; vms = vms->next)
        hash = scanner_mix_hash(hash, vms->hash);
    return hash;
}

static uint32_t conflict_hash(const struct conflict *conflict) {
    uint64_t hash = scanner_mix_hash(conflict->event, conflict->action->verb);
    if (!conflict->target)
        hash = conflict_hash_vms(conflict_hash_vms(hash, conflict->action->command),
                                 conflict->rule->vms);
    else
        for (const struct criterion *one = conflict->target->device; one; one = one->next)
            hash = scanner_mix_hash(hash, syntax_criterion_bits(one) ^ one->kind);
    return (uint32_t)(hash >> 32);
}

/* --- a second one of the same */

static struct span conflict_span(const struct conflict *conflict) {
    return conflict->target ? conflict->target->span : conflict->action->span;
}

static void conflict_report(const struct conflicts *conflicts, const struct conflict *second,
                            const struct conflict *first, enum check check, const char *message,
                            const char *hint) {
    struct diagnostic *diagnostic = diagnostic_add(conflicts->diagnostics, second->rule->source,
                                                   conflict_span(second), check, "%s", message);
    diagnostic_hint(diagnostic, "%s", hint);
    diagnostic_note(diagnostic, first->rule->source, conflict_span(first), "first here");
}

/* Two words that cannot be one VM: no glob, and not a name and a UUID. */
static bool conflict_are_two_vms(const struct word *a, const struct word *b) {
    if (a->kind == WORD_ANY || b->kind == WORD_ANY || a->kind == WORD_GLOB || b->kind == WORD_GLOB)
        return false;
    return !syntax_same_text(a, b) && a->field == b->field &&
           syntax_is_uuid(a->text) == syntax_is_uuid(b->text);
}

static bool conflict_is_for_two_vms(const struct conflict *first, const struct conflict *second) {
    if (first->target->quantifier == QUANTIFIER_ANY ||
        second->target->quantifier == QUANTIFIER_ANY || !first->rule->vms || !second->rule->vms)
        return false;
    return conflict_are_two_vms(first->rule->vms, second->rule->vms);
}

static bool conflict_names_event(const struct rule *rule, enum event_name name) {
    const struct event_list *event = rule->events;
    while (event && event->event != name)
        event = event->next;
    return event;
}

static bool conflict_has_take(const struct action *action) {
    const struct action_option *option = action->options;
    while (option && option->kind != OPTION_TAKE)
        option = option->next;
    return option;
}

/* Two VMs are meant to have the device by turns: with 'freed' in both rules, or when one takes it
 * from the other. */
static bool conflict_is_by_turns(const struct rule *first, const struct action *first_action,
                                 const struct rule *second, const struct action *second_action) {
    return conflict_has_take(first_action) || conflict_has_take(second_action) ||
           (conflict_names_event(first, EVENT_FREED) && conflict_names_event(second, EVENT_FREED));
}

/* True when both attach or require the same device in different ways. */
static bool conflict_differs(const struct conflict *first, const struct conflict *second) {
    return (second->action->verb == VERB_ATTACH || second->action->verb == VERB_REQUIRE) &&
           (first->action->backend != second->action->backend ||
            first->action->with_group != second->action->with_group ||
            first->target->quantifier != second->target->quantifier ||
            first->target->count != second->target->count ||
            !conflict_same_options(first->action->options, second->action->options));
}

/* One device bound to two drivers, or with two numbers of virtual functions. */
static bool conflict_contradicts(const struct conflict *first, const struct conflict *second) {
    const struct action *a = first->action, *b = second->action;
    return (b->verb == VERB_BIND && a->driver != b->driver) ||
           (b->verb == VERB_CREATE && a->count != b->count);
}

static void conflict_report_contradiction(const struct conflicts *conflicts,
                                          const struct conflict *second,
                                          const struct conflict *first) {
    bool binds = second->action->verb == VERB_BIND;
    char *message =
        binds ? memory_printf("this device is bound to '%s' already", first->action->driver)
              : memory_printf("%u virtual functions of this device are created already",
                              first->action->count);
    conflict_report(conflicts, second, first, CHECK_DUPLICATE_RULE, message,
                    binds ? "a device has one driver: remove one of the two"
                          : "their number is set once: write how many there are to be, and remove "
                            "the other");
    free(message);
}

/* True when an address or a port says which device it is: there is no second one. */
static bool conflict_is_one_device(const struct criterion *device) {
    for (; device; device = device->next)
        if ((device->kind == CRITERION_ADDRESS || device->kind == CRITERION_PORT) &&
            !device->negated && !value_is_glob(device->text))
            return true;
    return false;
}

/* Whoever attaches one of a kind twice may want two of them: a hint that the caller frees. NULL:
 * that cannot be meant. */
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
        "both mean the same device; for %u devices write 'any %u %s', else leave one out", count,
        count, device);
    free(device);
    return hint;
}

static void conflict_report_rule(const struct conflicts *conflicts, const struct conflict *second,
                                 const struct conflict *first) {
    char *several = conflict_hint_several(second, first);
    if (conflict_contradicts(first, second))
        conflict_report_contradiction(conflicts, second, first);
    else if (several && second->target->quantifier == QUANTIFIER_ANY &&
             first->target->quantifier == QUANTIFIER_ANY)
        conflict_report(conflicts, second, first, CHECK_DUPLICATE_RULE,
                        "another rule already says this", several);
    else if (conflict_differs(first, second) && second->action->verb == VERB_REQUIRE)
        conflict_report(conflicts, second, first, CHECK_DUPLICATE_RULE,
                        "another rule already requires this device, in another way",
                        "the VM starts only if both are available: merge the two rules");
    else if (conflict_differs(first, second))
        conflict_report(
            conflicts, second, first, CHECK_DUPLICATE_RULE,
            "another rule already attaches this device, in another way",
            "a device is attached only once, as the first rule says: merge the two rules");
    else
        conflict_report(conflicts, second, first, CHECK_DUPLICATE_RULE,
                        "another rule already says this", "remove one of the two");
    free(several);
}

static void conflict_report_same_rule(const struct conflicts *conflicts,
                                      const struct conflict *second, const struct conflict *first) {
    if (conflict_contradicts(first, second)) {
        conflict_report_contradiction(conflicts, second, first);
        return;
    }
    char *several = second->target && first->action->backend != second->action->backend
                        ? memory_strdup("a device is attached once, in one way: leave one out")
                        : conflict_hint_several(second, first);
    conflict_report(conflicts, second, first,
                    second->target ? CHECK_DUPLICATE_DEVICE : CHECK_DUPLICATE_RULE,
                    second->target ? "this device is repeated in the rule"
                                   : "this command is repeated in the rule",
                    several ? several : "leave one out");
    free(several);
}

/* True when an error in the action leaves open what it means. Only the last errors are searched, so
 * that a file with very many stays cheap. */
static bool conflict_is_in_doubt(const struct conflicts *conflicts,
                                 const struct conflict *conflict) {
    enum { LOOKED_AT = 1000 };
    size_t from = conflicts->known > LOOKED_AT ? conflicts->known - LOOKED_AT : 0;
    struct span span = conflict->action->span;
    for (size_t i = from; i < conflicts->known; i++) {
        const struct diagnostic *one = &conflicts->diagnostics->list[i];
        if (one->source == conflict->rule->source && one->span.start >= span.start &&
            one->span.start < span.end)
            return true;
    }
    return false;
}

/* So few targets are all compared with each other, not only with the first of their kind. */
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
static bool conflict_compare(const struct conflicts *conflicts, const struct conflict *second,
                             const struct conflict *first) {
    if (conflict_is_in_doubt(conflicts, second) ||
        (first->rule == second->rule && second->target && conflict_has_few_targets(second->rule)))
        return true;
    if (first->rule == second->rule)
        conflict_report_same_rule(conflicts, second, first);
    else if (conflict_same_vms(first->rule->vms, second->rule->vms))
        conflict_report_rule(conflicts, second, first);
    else if (second->action->verb == VERB_ATTACH && second->event != EVENT_DEFINED &&
             conflict_is_for_two_vms(first, second) &&
             !(conflict_shares(first->action) && conflict_shares(second->action)) &&
             !conflict_is_by_turns(first->rule, first->action, second->rule, second->action))
        conflict_report(conflicts, second, first, CHECK_SHARED_DEVICE,
                        "two VMs get this device at the same event",
                        "only one can have it; 'any' takes one of several, and by the words of "
                        "'virt-rules devices' each VM has its own; with the event 'freed' they "
                        "have it in turn");
    else
        return true;
    return false;
}

/* --- all of them, and which of them are the same */

static void conflict_add(struct conflicts *conflicts, struct conflict conflict) {
    unsigned seen = 0;
    for (const struct event_list *event = conflict.rule->events; event; event = event->next) {
        if (seen & 1U << event->event)
            continue;
        seen |= 1U << event->event;
        conflict.event = event->event;
        conflict.hash = conflict_hash(&conflict);
        struct conflict *copy = memory_arena_alloc(&conflicts->arena, sizeof *copy);
        *copy = conflict;
        *conflicts->end = copy;
        conflicts->end = &copy->next;
        conflicts->count++;
    }
}

static void conflict_add_rule(struct conflicts *conflicts, const struct rule *rule) {
    for (const struct action *action = rule->actions; action; action = action->next) {
        struct conflict conflict = {.rule = rule, .action = action};
        if (action->verb == VERB_RUN)
            conflict_add(conflicts, conflict);
        else
            for (const struct target *one = action->targets; one; one = one->next)
                if (conflict_is_whole((conflict.target = one)->device))
                    conflict_add(conflicts, conflict);
    }
}

/* Compares each with the first of its kind. Of a target one event is reported, not all of them. */
static void conflict_compare_all(const struct conflicts *conflicts) {
    size_t size = 16;
    while (size < conflicts->count + conflicts->count / 2)
        size *= 2;
    const struct conflict **slots = memory_zalloc(size * sizeof *slots), *reported = NULL;
    for (const struct conflict *one = conflicts->list; one; one = one->next) {
        size_t at = one->hash & (size - 1);
        while (slots[at] && !(slots[at]->hash == one->hash && conflict_is_same(slots[at], one)))
            at = (at + 1) & (size - 1);
        if (!slots[at])
            slots[at] = one;
        else if (!(reported && reported->action == one->action &&
                   reported->target == one->target) &&
                 !conflict_compare(conflicts, one, slots[at]))
            reported = one;
    }
    free((void *)slots);
}

/* The first target of the rule with the same verb and device; the target itself, if it is that. */
static struct conflict conflict_first_of(const struct conflict *conflict) {
    struct conflict first = *conflict;
    for (first.action = conflict->rule->actions; first.action; first.action = first.action->next)
        if (first.action->verb == conflict->action->verb)
            for (first.target = first.action->targets; first.target;
                 first.target = first.target->next)
                if (first.target == conflict->target ||
                    (conflict_is_whole(first.target->device) &&
                     syntax_same_device(first.target->device, conflict->target->device) &&
                     !conflict_are_two_parts(&first, conflict)))
                    return first;
    return *conflict;
}

static void conflict_check_repeated_targets(const struct conflicts *conflicts,
                                            const struct rule *rule) {
    struct conflict conflict = {.rule = rule};
    if (!conflict_has_few_targets(rule))
        return;
    for (conflict.action = rule->actions; conflict.action; conflict.action = conflict.action->next)
        if (conflict.action->verb != VERB_RUN)
            for (conflict.target = conflict.action->targets; conflict.target;
                 conflict.target = conflict.target->next) {
                struct conflict first = conflict_first_of(&conflict);
                if (first.target != conflict.target && conflict_is_whole(conflict.target->device) &&
                    !conflict_is_in_doubt(conflicts, &conflict))
                    conflict_report_same_rule(conflicts, &conflict, &first);
            }
}

/* One rule that names two VMs for one device. */
static void conflict_check_one_rule(const struct conflicts *conflicts, const struct rule *rule) {
    const struct word *second = rule->vms ? rule->vms->next : NULL;
    const struct event_list *event = rule->events;
    while (event && event->event == EVENT_DEFINED)
        event = event->next;
    if (rule->events && !event) /* of such VMs one runs at a time */
        return;
    while (second && !conflict_are_two_vms(rule->vms, second))
        second = second->next;
    if (!second)
        return;
    for (const struct action *action = rule->actions; action; action = action->next)
        if (action->verb == VERB_ATTACH && !conflict_shares(action) &&
            !conflict_is_by_turns(rule, action, rule, action))
            for (const struct target *one = action->targets; one; one = one->next)
                if (one->quantifier != QUANTIFIER_ANY) {
                    struct diagnostic *diagnostic = diagnostic_add(
                        conflicts->diagnostics, rule->source, one->span, CHECK_SHARED_DEVICE,
                        "two VMs get this device at the same event");
                    diagnostic_hint(diagnostic,
                                    "only one can have it; 'any' takes one of several, and by the "
                                    "words of 'virt-rules devices' each VM has its own; with the "
                                    "event 'freed' they have it in turn");
                    diagnostic_note(diagnostic, rule->source, second->span, "the second VM");
                }
}

/* --- MAC addresses */

/* An attach whose card gets that address. */
struct conflict_mac {
    const char *text; /* interned: equal ones are one */
    const struct rule *rule;
    const struct action *action;
    const struct action_option *option;
    size_t number; /* in the order of the rules */
};

static int conflict_compare_macs(const void *left, const void *right) {
    const struct conflict_mac *a = left, *b = right;
    if (a->text != b->text)
        return (uintptr_t)a->text < (uintptr_t)b->text ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* One VM may get its card by several rules, at different events. */
static bool conflict_is_one_card(const struct conflict_mac *a, const struct conflict_mac *b) {
    return conflict_same_vms(a->rule->vms, b->rule->vms) && a->action->targets &&
           b->action->targets &&
           syntax_same_device(a->action->targets->device, b->action->targets->device);
}

static void conflict_report_mac(struct diagnostics *diagnostics, const struct conflict_mac *second,
                                const struct conflict_mac *first) {
    struct diagnostic *diagnostic =
        diagnostic_add(diagnostics, second->rule->source, second->option->span, CHECK_DUPLICATE_MAC,
                       "two network cards get the MAC address %s", second->text);
    diagnostic_hint(diagnostic, "give this one another address, or leave 'mac' out: it then gets "
                                "its own, the same at each start");
    diagnostic_note(diagnostic, first->rule->source, first->option->span, "first here");
}

/* Several cards of one action are option-mismatch. */
static bool conflict_has_one_card(const struct action *action) {
    const struct target *target = action->targets;
    return action->backend == BACKEND_NET && target && !target->next &&
           target->quantifier != QUANTIFIER_ALL && target->count <= 1;
}

static void conflict_check_macs(const struct syntax *syntax, struct diagnostics *diagnostics) {
    struct conflict_mac *list = NULL;
    size_t count = 0;
    for (const struct rule *rule = syntax->rules; rule; rule = rule->next)
        for (const struct action *action = rule->actions; action; action = action->next) {
            const struct action_option *mac = syntax_find_option(action->options, OPTION_MAC);
            if (!mac || !mac->text || !conflict_has_one_card(action))
                continue;
            list = memory_grow(list, count, sizeof *list);
            list[count] = (struct conflict_mac){mac->text, rule, action, mac, count};
            count++;
        }
    if (count)
        qsort(list, count, sizeof *list, conflict_compare_macs);
    for (size_t i = 1, first = 0; i < count; i++)
        if (list[i].text != list[first].text)
            first = i;
        else if (!conflict_is_one_card(&list[i], &list[first]))
            conflict_report_mac(diagnostics, &list[i], &list[first]);
    free(list);
}

void conflict_check(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct conflicts conflicts = {.diagnostics = diagnostics, .known = diagnostics->count};
    conflicts.end = &conflicts.list;
    for (const struct rule *rule = syntax->rules; rule; rule = rule->next) {
        conflict_check_one_rule(&conflicts, rule);
        conflict_check_repeated_targets(&conflicts, rule);
        conflict_add_rule(&conflicts, rule);
    }
    conflict_compare_all(&conflicts);
    conflict_check_macs(syntax, diagnostics);
    memory_arena_finish(&conflicts.arena);
}

/* --- what a guard covers: every device that the target can mean is one that the guard forbids */

struct cover {
    struct criterion backend; /* what 'as' says of the device: its buses, a set */
    size_t budget; /* conditions that may still be compared; without it nothing is covered */
};

static void conflict_spend(struct cover *cover) {
    cover->budget -= cover->budget > 0;
}

static const struct criterion *conflict_next_alternative(const struct criterion *one,
                                                         struct cover *cover) {
    do {
        one = one->next;
        conflict_spend(cover);
    } while (one && !one->alternative);
    return one;
}

static const struct criterion *conflict_next_condition(const struct criterion *one) {
    return one->next && !one->next->alternative ? one->next : NULL;
}

/* The definition that a name means, with or without 'not'; NULL: it is not a name, or has an error.
 */
static const struct criterion *conflict_definition_of(const struct criterion *name) {
    return name->kind == CRITERION_NAME && name->resolved &&
                   conflict_is_whole(name->definition->device)
               ? name->definition->device
               : NULL;
}

static bool conflict_some_alternative_covers(struct cover *cover, const struct criterion *guard,
                                             const struct criterion *match);

/* Every alternative of the device has a condition from which that of the guard follows. */
static bool conflict_device_meets(struct cover *cover, const struct criterion *device,
                                  const struct criterion *guard) {
    for (; device && cover->budget; device = conflict_next_alternative(device, cover)) {
        const struct criterion *one = device, *inner;
        while (one && !criterion_implies(one, guard) &&
               !((inner = one->negated ? NULL : conflict_definition_of(one)) &&
                 conflict_device_meets(cover, inner, guard)))
            one = conflict_next_condition(one);
        if (!one)
            return false;
    }
    return cover->budget > 0;
}

/* Every alternative of the definition has a condition that a device of the match never meets. */
static bool conflict_match_excludes(struct cover *cover, const struct criterion *match,
                                    const struct criterion *definition) {
    for (; definition && cover->budget; definition = conflict_next_alternative(definition, cover)) {
        bool excluded = false;
        for (const struct criterion *inner = definition; inner && !excluded;
             inner = conflict_next_condition(inner)) {
            excluded = criterion_excludes(&cover->backend, inner);
            for (const struct criterion *one = match; one && !excluded;
                 one = conflict_next_condition(one)) {
                excluded = criterion_excludes(one, inner);
                conflict_spend(cover);
            }
        }
        if (!excluded)
            return false;
    }
    return cover->budget > 0;
}

/* The guard's 'vf of' follows from that of the match. */
static bool conflict_vf_meets(struct cover *cover, const struct criterion *one,
                              const struct criterion *guard) {
    return one->kind == CRITERION_VF && guard->kind == CRITERION_VF && !one->negated &&
           !guard->negated && (guard->number < 0 || guard->number == one->number) &&
           conflict_some_alternative_covers(cover, guard->parent, one->parent);
}

/* The guard's condition follows from those of the match, or from the backend. */
static bool conflict_match_meets(struct cover *cover, const struct criterion *match,
                                 const struct criterion *guard) {
    const struct criterion *behind = conflict_definition_of(guard), *inner;
    if (criterion_implies(&cover->backend, guard))
        return true;
    for (const struct criterion *one = match; one && cover->budget;
         one = conflict_next_condition(one)) {
        conflict_spend(cover);
        if (criterion_implies(one, guard) || conflict_vf_meets(cover, one, guard) ||
            ((inner = one->negated ? NULL : conflict_definition_of(one)) &&
             conflict_device_meets(cover, inner, guard)))
            return true;
    }
    if (!behind || !cover->budget)
        return false;
    return guard->negated ? conflict_match_excludes(cover, match, behind)
                          : conflict_some_alternative_covers(cover, behind, match);
}

/* One alternative of the guard covers one of the device. */
static bool conflict_covers_match(struct cover *cover, const struct criterion *guard,
                                  const struct criterion *match) {
    while (guard && conflict_match_meets(cover, match, guard))
        guard = conflict_next_condition(guard);
    return !guard && cover->budget > 0;
}

static bool conflict_some_alternative_covers(struct cover *cover, const struct criterion *guard,
                                             const struct criterion *match) {
    for (; guard && cover->budget; guard = conflict_next_alternative(guard, cover))
        if (conflict_covers_match(cover, guard, match))
            return true;
    return false;
}

/* Behind a match that is nothing but a name, each alternative may be covered by another one. */
static bool conflict_covers_device(struct cover *cover, const struct criterion *guard,
                                   const struct criterion *device) {
    for (; device; device = conflict_next_alternative(device, cover)) {
        const struct criterion *inner = device->negated || conflict_next_condition(device)
                                            ? NULL
                                            : conflict_definition_of(device);
        if (!conflict_some_alternative_covers(cover, guard, device) &&
            !(inner && cover->budget && conflict_covers_device(cover, guard, inner)))
            return false;
    }
    return true;
}

static bool conflict_covers_vm(struct cover *cover, const struct word *guard,
                               const struct word *vm) {
    for (; guard && cover->budget; guard = guard->next, conflict_spend(cover))
        if (guard->kind != WORD_ANY && guard->field && guard->field != vm->field)
            continue;
        else if (guard->kind == WORD_ANY || (vm->kind != WORD_ANY && syntax_same_text(guard, vm)) ||
                 (guard->kind == WORD_GLOB && (vm->kind == WORD_PLAIN || vm->kind == WORD_QUOTED) &&
                  glob_matches(guard->text, vm->text, false)))
            return true;
    return false;
}

static bool conflict_covers_vms(struct cover *cover, const struct guard *guard,
                                const struct rule *rule) {
    if (!guard->vms)
        return true;
    for (const struct word *vm = rule->vms; vm; vm = vm->next)
        if (!conflict_covers_vm(cover, guard->vms, vm))
            return false;
    return rule->vms;
}

/* What a `never` forbids too: to attach the device, to require it, and without VMs to bind it. */
static bool conflict_is_forbidden(const struct action *action) {
    return action->verb == VERB_ATTACH || action->verb == VERB_REQUIRE || action->verb == VERB_BIND;
}

static void conflict_check_target(struct diagnostics *diagnostics, const struct syntax *syntax,
                                  const struct rule *rule, const struct target *target,
                                  struct cover *cover) {
    for (const struct guard *guard = syntax->guards; guard && cover->budget; guard = guard->next) {
        conflict_spend(cover);
        if (!conflict_is_whole(target->device) || !conflict_is_whole(guard->device) ||
            guard->doubtful || !conflict_covers_vms(cover, guard, rule) ||
            !conflict_covers_device(cover, guard->device, target->device))
            continue;
        struct diagnostic *diagnostic =
            diagnostic_add(diagnostics, rule->source, target->span, CHECK_VOID_BY_NEVER,
                           "a 'never' forbids this device");
        diagnostic_hint(diagnostic, "remove one of the two: the 'never' wins");
        diagnostic_note(diagnostic, guard->source, guard->span, "forbidden here");
        return;
    }
}

static void conflict_report_budget(struct diagnostics *diagnostics, const struct rule *rule) {
    diagnostic_hint(diagnostic_add(diagnostics, rule->source, rule->span, CHECK_VOID_BY_NEVER,
                                   "from here on rules are not compared with 'never' lines"),
                    "there are too many of both: the limit is %d comparisons", GUARD_BUDGET);
}

void conflict_check_guards(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct cover cover = {.backend.kind = CRITERION_BUS, .budget = GUARD_BUDGET};
    for (const struct rule *rule = syntax->guards ? syntax->rules : NULL; rule; rule = rule->next) {
        for (const struct action *action = rule->actions; action; action = action->next) {
            cover.backend.bus = action->verb == VERB_BIND ? BUS_NEEDS_PCI
                                : action->backend         ? syntax_backend(action->backend)->buses
                                                          : BUS_NEEDS_ANY;
            if (conflict_is_forbidden(action))
                for (const struct target *one = action->targets; one; one = one->next)
                    conflict_check_target(diagnostics, syntax, rule, one, &cover);
        }
        if (!cover.budget) {
            conflict_report_budget(diagnostics, rule);
            return;
        }
    }
}
