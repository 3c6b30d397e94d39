#include "engine/rules/match.h"

#include "lexer/memory.h"
#include "parser/criterion.h"
#include "parser/doubt.h"
#include "parser/glob.h"
#include "parser/resolve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool match_text(const struct word *vm, const char *text, bool any_case) {
    if (!text)
        return false;
    if (vm->kind == WORD_GLOB)
        return glob_matches(vm->text, text, any_case);
    return any_case ? !strcasecmp(vm->text, text) : !strcmp(vm->text, text);
}

static bool match_field(const struct word *vm, enum word_field field) {
    return vm->field == FIELD_ANY || vm->field == field;
}

bool match_guard_vm(const struct word *vm, const struct domain *domain) {
    return vm->kind == WORD_ANY ||
           (match_field(vm, FIELD_UUID) && match_text(vm, domain->uuid, true)) ||
           (match_field(vm, FIELD_NAME) && match_text(vm, domain->name, false)) ||
           (match_field(vm, FIELD_TITLE) && match_text(vm, domain->title, false));
}

enum domain_fit match_fit(const struct word *vm, const struct domain *domain) {
    bool glob = vm->kind == WORD_GLOB;
    if (vm->kind == WORD_ANY)
        return FIT_UUID;
    bool uuid = vm->field == FIELD_UUID ||
                (glob ? syntax_is_uuid_glob(vm->text) : syntax_is_uuid(vm->text));
    if (uuid && match_field(vm, FIELD_UUID) && match_text(vm, domain->uuid, true))
        return FIT_UUID;
    if (match_field(vm, FIELD_NAME) && match_text(vm, domain->name, false))
        return FIT_NAME;
    bool title = vm->field == FIELD_TITLE || (!vm->field && !uuid);
    return title && match_text(vm, domain->title, false) ? FIT_TITLE : FIT_NOT;
}

bool match_is_exact(const struct word *vm) {
    return vm->kind == WORD_PLAIN || vm->kind == WORD_QUOTED;
}

/* Whether the word means the event's VM, and no other VM fits better. */
static bool match_word(const struct word *vm, const struct event *event) {
    enum domain_fit fit = match_fit(vm, event->domain);
    bool means = fit != FIT_NOT;
    for (size_t i = 0; i < event->vm_count && means && match_is_exact(vm); i++)
        means = match_fit(vm, &event->vms[i]) <= fit;
    return means;
}

static bool match_is_same_vm(const struct domain *a, const struct domain *b) {
    return !strcmp(domain_key(a), domain_key(b));
}

/* Another VM with the same title, if the word means the event's VM by its title. */
static const struct domain *match_word_same_title(const struct word *vm,
                                                  const struct event *event) {
    if (!match_is_exact(vm) || match_fit(vm, event->domain) != FIT_TITLE)
        return NULL;
    for (size_t i = 0; i < event->vm_count; i++)
        if (match_fit(vm, &event->vms[i]) == FIT_TITLE &&
            !match_is_same_vm(&event->vms[i], event->domain))
            return &event->vms[i];
    return NULL;
}

const struct domain *match_better_vm(const struct word *vms, const struct event *event) {
    for (const struct word *vm = vms; vm; vm = vm->next)
        for (size_t i = 0; i < event->vm_count && match_is_exact(vm); i++)
            if (match_fit(vm, event->domain) &&
                match_fit(vm, &event->vms[i]) > match_fit(vm, event->domain))
                return &event->vms[i];
    return NULL;
}

bool match_vm(const struct word *vm, const struct domain *domain) {
    return match_fit(vm, domain) != FIT_NOT;
}

bool match_vms(const struct word *vms, const struct event *event) {
    if (!event->domain)
        return true;
    for (; vms; vms = vms->next)
        if (match_word(vms, event))
            return true;
    return false;
}

bool match_guard_vms(const struct guard *guard, const struct domain *domain) {
    for (const struct word *vm = guard->vms; vm; vm = vm->next)
        if (match_guard_vm(vm, domain))
            return true;
    return !guard->vms;
}

const struct domain *match_same_title(const struct rule *rule, const struct event *event,
                                      size_t *count) {
    const struct domain *rival = NULL;
    *count = 0;
    for (const struct word *vm = event->domain ? rule->vms : NULL; vm; vm = vm->next) {
        if (!match_word(vm, event))
            continue;
        const struct domain *other = match_word_same_title(vm, event);
        if (!other) {
            *count = 0;
            return NULL;
        }
        rival = rival ? rival : other;
        for (size_t i = 0; i < event->vm_count && rival == other; i++)
            *count += match_fit(vm, &event->vms[i]) == FIT_TITLE;
    }
    return rival;
}

/* Whether another VM may fit better, or as well. */
static bool match_is_ambiguous(const struct word *vm, const struct domain *domain) {
    enum domain_fit fit =
        match_is_exact(vm) && vm->field != FIELD_NAME ? match_fit(vm, domain) : FIT_NOT;
    return fit == FIT_TITLE || (fit == FIT_NAME && !vm->field && syntax_is_uuid(vm->text));
}

const struct word *match_ambiguous(const struct program *program, const struct event *event) {
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct word *vm = program->rules[i]->vms; vm; vm = vm->next)
            if (match_is_ambiguous(vm, event->domain) && match_rule(program->rules[i], event))
                return vm;
    return NULL;
}

bool match_target(const struct target *target, const struct event *event) {
    return !event->device || match_device(target->device, event->device);
}

const struct target *match_targets_of(const struct action *action) {
    return action->verb == VERB_RUN ? NULL : action->targets;
}

/*
 * A SCSI device is added and removed together with the device that it is on: whoever gets a USB
 * stick has its disk removed from the host. So its event is only for actions that can mean a SCSI
 * device; the event of the device below is for the others.
 */
static bool match_is_scsi(const struct event *event) {
    return event->device && event->device->bus == BUS_SCSI;
}

static bool match_action(const struct action *action, const struct event *event) {
    const struct target *target = match_targets_of(action);
    if (match_is_scsi(event) && action->verb == VERB_ATTACH &&
        !(syntax_backend(action->backend)->buses & 1U << BUS_SCSI))
        return false;
    while (target && !match_target(target, event))
        target = target->next;
    return target != NULL;
}

/* A rule that names no device applies to the uevents of all PCI and USB devices. */
static bool match_rule_device(const struct rule *rule, const struct event *event) {
    bool names = false;
    for (const struct action *action = rule->actions; action; action = action->next) {
        if (match_action(action, event))
            return true;
        names |= match_targets_of(action) != NULL;
    }
    return !names && !match_is_scsi(event);
}

bool match_rule_names_event(const struct rule *rule, enum event_name name) {
    const struct event_list *named = rule->events;
    while (named && named->event != name)
        named = named->next;
    return named;
}

size_t match_count_rules(const struct action_list *actions) {
    size_t count = 0;
    for (size_t i = 0; i < actions->count; i++)
        count += !i || actions->list[i].rule != actions->list[i - 1].rule;
    return count;
}

size_t match_rank(const struct program *program, const struct action_list *actions) {
    for (size_t i = 0; i < program->rule_count && actions->count; i++)
        if (program->rules[i] == actions->list[0].rule)
            return i;
    return SIZE_MAX;
}

bool match_names_event(const struct program *program, enum event_name name) {
    for (size_t i = 0; i < program->rule_count; i++)
        if (match_rule_names_event(program->rules[i], name))
            return true;
    return false;
}

bool match_rule(const struct rule *rule, const struct event *event) {
    return match_rule_names_event(rule, event->name) && match_vms(rule->vms, event) &&
           match_rule_device(rule, event);
}

static void match_add_actions(struct action_list *actions, const struct rule *rule,
                              const struct event *event) {
    for (const struct action *action = rule->actions; action; action = action->next) {
        if (action->verb == VERB_RUN ? event->settled : !match_action(action, event))
            continue;
        actions->list = memory_grow(actions->list, actions->count, sizeof *actions->list);
        actions->list[actions->count++] = (struct action_ref){rule, action, NULL};
    }
}

struct action_list match_actions(const struct rule *rule, const struct event *event) {
    struct action_list actions = {0};
    match_add_actions(&actions, rule, event);
    return actions;
}

struct action_list match_event(const struct program *program, const struct event *event) {
    struct action_list actions = {0};
    for (size_t i = 0; i < program->rule_count; i++)
        if (match_rule(program->rules[i], event))
            match_add_actions(&actions, program->rules[i], event);
    return actions;
}

static bool match_id(const struct criterion *criterion, struct device_id id) {
    return (criterion->any_vendor || criterion->id.vendor == id.vendor) &&
           (criterion->any_device || criterion->id.device == id.device);
}

static bool match_class(struct class_prefix prefix, uint32_t class_code) {
    return class_code >> (4 * (6 - prefix.digits)) == prefix.value;
}

/* Most addresses are written out, and a glob takes ten times as long. */
static bool match_address(const char *pattern, const char *address) {
    return !strcmp(pattern, address) ||
           (strpbrk(pattern, "*?[\\") && glob_matches(pattern, address, false));
}

/* The greater, the truer. */
enum match_value { MATCH_NO, MATCH_UNKNOWN, MATCH_YES };

typedef enum match_value criterion_matcher(const struct criterion *, const struct device *);

/* What is not known may be anything. */
static enum match_value match_whether(bool holds, bool unknown) {
    return holds ? MATCH_YES : unknown ? MATCH_UNKNOWN : MATCH_NO;
}

/* The best of the alternatives, each of which is worth as much as its weakest condition. */
static enum match_value match_alternatives(const struct criterion *criteria,
                                           const struct device *device, criterion_matcher *match) {
    enum match_value best = MATCH_NO, value = MATCH_NO;
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->alternative) {
            best = value > best ? value : best;
            value = MATCH_YES;
            if (best == MATCH_YES)
                return best;
        }
        enum match_value next = value == MATCH_NO ? MATCH_NO : match(one, device);
        if (one->negated && value != MATCH_NO)
            next = (enum match_value)(MATCH_YES - next);
        value = next < value ? next : value;
    }
    return value > best ? value : best;
}

/* Without the blanks at its end. The caller frees it. */
static char *match_text_without_end(const char *text) {
    size_t length = strlen(text);
    while (length && strchr(" \t", text[length - 1]))
        length--;
    return memory_strndup(text, length);
}

/* The host's texts are read without the blanks at their end, which some makers pad them with. */
static enum match_value match_string(const struct criterion *criterion, const char *text,
                                     bool unknown) {
    if (!text)
        return match_whether(false, unknown);
    char *wanted = match_text_without_end(criterion->text);
    bool holds = criterion->like ? glob_matches(criterion->text, text, false) ||
                                       glob_matches(wanted, text, false)
                                 : !strcmp(wanted, text);
    free(wanted);
    return match_whether(holds, false);
}

static enum match_value match_interface(const struct criterion *criterion,
                                        const struct device *device) {
    bool holds = false;
    for (size_t i = 0; i < device->interface_count && !holds; i++)
        holds = match_class(criterion->class_prefix, device->interfaces[i].class_code);
    bool unknown = !device->interface_count || device->unknown & DEVICE_UNKNOWN_INTERFACES;
    return match_whether(holds, device->bus == BUS_USB && unknown);
}

static enum match_value match_driver(const struct criterion *criterion,
                                     const struct device *device) {
    bool holds = device->driver && !strcmp(criterion->text, device->driver);
    for (size_t i = 0; i < device->interface_count && !holds; i++) {
        const char *driver = device->interfaces[i].driver;
        holds = driver && !strcmp(criterion->text, driver);
    }
    return match_whether(holds, device->unknown & DEVICE_UNKNOWN_DRIVER);
}

static enum match_value match_condition(const struct criterion *criterion,
                                        const struct device *device);

/* All of the conditions must hold for the physical function. */
static enum match_value match_physical(const struct criterion *parent,
                                       const struct device *physical) {
    enum match_value value = MATCH_YES;
    for (const struct criterion *one = parent; one && value != MATCH_NO; one = one->next) {
        enum match_value next = match_condition(one, physical);
        if (one->negated)
            next = (enum match_value)(MATCH_YES - next);
        value = next < value ? next : value;
    }
    return value;
}

/* Whether it is a virtual function, with the number that is asked for. */
static enum match_value match_function(const struct criterion *criterion,
                                       const struct device *device) {
    if (device->bus != BUS_PCI || !device->physical)
        return match_whether(false, device->unknown & DEVICE_UNKNOWN_PHYSICAL);
    return match_whether(criterion->number < 0 || device->vf_number == criterion->number,
                         device->vf_number < 0);
}

/* A physical function that the host's devices lack may be any. */
static enum match_value match_vf(const struct criterion *criterion, const struct device *device) {
    enum match_value function = match_function(criterion, device), parent = MATCH_UNKNOWN;
    if (function != MATCH_NO && device->physical_function)
        parent = match_physical(criterion->parent, device->physical_function);
    return function < parent ? function : parent;
}

/* Of a condition on the class or the subsystem, which are read together. */
static enum match_value match_known_class(const struct device *device, bool holds) {
    return device->unknown & DEVICE_UNKNOWN_CLASS ? MATCH_UNKNOWN : match_whether(holds, false);
}

/* The condition without its 'not'. A SCSI device has neither an id nor a class. */
static enum match_value match_condition(const struct criterion *criterion,
                                        const struct device *device) {
    bool pci = device->bus == BUS_PCI, usb = device->bus == BUS_USB;
    switch ((enum criterion_kind)criterion->kind) {
    case CRITERION_NAME:
        return criterion->resolved
                   ? match_alternatives(criterion->definition->device, device, match_condition)
                   : MATCH_UNKNOWN;
    case CRITERION_ID:
        return match_whether((pci || usb) && match_id(criterion, device->id),
                             device->unknown & DEVICE_UNKNOWN_ID);
    case CRITERION_ADDRESS:
        return match_whether(pci && match_address(criterion->text, device->address),
                             device->unknown & DEVICE_UNKNOWN_ID);
    case CRITERION_CLASS:
        return match_known_class(
            device, (pci || usb) && match_class(criterion->class_prefix, device->class_code));
    case CRITERION_SUBSYSTEM:
        return match_known_class(device, pci && match_id(criterion, device->subsystem));
    case CRITERION_PORT:
        return match_whether(usb && match_address(criterion->text, device->address), false);
    case CRITERION_BELOW:
        return match_whether(usb && criterion_is_below(criterion->text, device->address), false);
    case CRITERION_BUS:
        return match_whether(criterion->bus == 1U << device->bus, false);
    case CRITERION_DRIVER:
        return match_driver(criterion, device);
    case CRITERION_INTERFACE:
        return match_interface(criterion, device);
    case CRITERION_PRODUCT:
        return match_string(criterion, device->product, device->unknown & DEVICE_UNKNOWN_PRODUCT);
    case CRITERION_MANUFACTURER:
        return match_string(criterion, device->manufacturer,
                            device->unknown & DEVICE_UNKNOWN_MANUFACTURER);
    case CRITERION_SERIAL:
        return match_string(criterion, device->serial, device->unknown & DEVICE_UNKNOWN_SERIAL);
    case CRITERION_SCSI:
        return match_whether(device->bus == BUS_SCSI && !strcmp(criterion->text, device->address),
                             false);
    case CRITERION_VF:
        return match_vf(criterion, device);
    case CRITERION_UNREAD:
        return MATCH_UNKNOWN;
    }
    return MATCH_UNKNOWN;
}

static enum match_value match_one(const struct criterion *criterion, const struct device *device) {
    enum match_value value = match_condition(criterion, device);
    return criterion->negated ? (enum match_value)(MATCH_YES - value) : value;
}

bool match_criterion(const struct criterion *criterion, const struct device *device) {
    return match_one(criterion, device) == MATCH_YES;
}

bool match_device(const struct criterion *criteria, const struct device *device) {
    return match_alternatives(criteria, device, match_condition) == MATCH_YES;
}

bool match_may_select(const struct criterion *criteria, const struct device *device) {
    return match_alternatives(criteria, device, match_condition) != MATCH_NO;
}

/* For a device that is not on the host: only the id of a USB device is known, and the address of a
 * PCI device too. */
static enum match_value match_remembered(const struct criterion *criterion,
                                         const struct device *device) {
    switch ((enum criterion_kind)criterion->kind) {
    case CRITERION_ID:
        return !device->id.vendor && !device->id.device ? MATCH_UNKNOWN
                                                        : match_condition(criterion, device);
    case CRITERION_ADDRESS:
    case CRITERION_BUS:
    case CRITERION_UNREAD:
        return match_condition(criterion, device);
    case CRITERION_NAME:
        return criterion->resolved
                   ? match_alternatives(criterion->definition->device, device, match_remembered)
                   : MATCH_UNKNOWN;
    default: {
        unsigned buses = syntax_criterion(criterion->kind)->buses;
        return match_whether(false, !buses || buses & 1U << device->bus);
    }
    }
}

static_assert(BUS_NEEDS_PCI == 1 << BUS_PCI && BUS_NEEDS_USB == 1 << BUS_USB &&
                  BUS_NEEDS_SCSI == 1 << BUS_SCSI,
              "the same buses");

static bool match_attaches_by(const struct action *action, const struct device *device,
                              enum backend backend) {
    if (action->verb != VERB_ATTACH)
        return false;
    return backend ? action->backend == backend
                   : syntax_backend(action->backend)->buses & 1U << device->bus;
}

struct action_ref match_attach_action(const struct program *program, const struct event *event,
                                      const struct device *device, enum backend backend) {
    for (size_t i = 0; i < program->rule_count; i++) {
        const struct rule *rule = program->rules[i];
        if (!match_vms(rule->vms, event))
            continue;
        for (const struct action *action = rule->actions; action; action = action->next)
            if (match_attaches_by(action, device, backend))
                for (const struct target *target = action->targets; target; target = target->next)
                    if (match_alternatives(target->device, device, match_remembered) != MATCH_NO)
                        return (struct action_ref){rule, action, target};
    }
    return (struct action_ref){0};
}

const char *match_boot_driver(const struct program *program, const struct device *device) {
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next)
            for (const struct target *target = action->verb == VERB_BIND ? action->targets : NULL;
                 target; target = target->next)
                if (match_device(target->device, device))
                    return action->driver;
    return NULL;
}

/* --- what a guard with an error may mean: see doubt.h */

enum {
    MEANING_BUDGET = 1000000,
    MEANING_DEPTH = 256
}; /* with more, the guard selects every device */

struct match_meaning {
    const struct device *device;
    size_t budget; /* conditions that may still be evaluated */
    unsigned depth;
};

static bool match_may_mean(struct match_meaning *meaning, const struct source *source,
                           const struct criterion *criteria);
static bool match_criterion_may_mean(struct match_meaning *meaning, const struct source *source,
                                     const struct criterion *one);

static bool match_name_may_mean(struct match_meaning *meaning, const struct source *source,
                                const struct criterion *name) {
    const struct definition *list[DOUBT_CANDIDATES];
    if (!name->resolved || meaning->depth == MEANING_DEPTH)
        return true;
    size_t count = resolve_candidates(name->definition, source, list, DOUBT_CANDIDATES);
    bool may = count == DOUBT_CANDIDATES;
    meaning->depth++;
    for (size_t i = 0; i < count && !may; i++)
        may = match_may_mean(meaning, list[i]->source, list[i]->device);
    meaning->depth--;
    return may;
}

/* With 'not' it forbids all that surely is not such a virtual function: a name in it that is in
 * doubt makes every virtual function one that it may mean. */
static bool match_vf_may_mean(struct match_meaning *meaning, const struct source *source,
                              const struct criterion *vf) {
    const struct device *device = meaning->device, *physical = device->physical_function;
    if (vf->negated) {
        bool sure = true;
        for (const struct criterion *one = vf->parent; one; one = one->next)
            sure &= one->kind != CRITERION_NAME || doubt_is_sure(source, one);
        return !sure || match_one(vf, device) != MATCH_NO;
    }
    if (match_function(vf, device) == MATCH_NO || !physical)
        return match_function(vf, device) != MATCH_NO;
    bool may = true;
    meaning->device = physical;
    for (const struct criterion *one = vf->parent; one && may; one = one->next)
        may = match_criterion_may_mean(meaning, source, one);
    meaning->device = device;
    return may;
}

static bool match_criterion_may_mean(struct match_meaning *meaning, const struct source *source,
                                     const struct criterion *one) {
    if (!meaning->budget || one->kind == CRITERION_UNREAD)
        return true;
    meaning->budget--;
    if (one->kind == CRITERION_VF)
        return match_vf_may_mean(meaning, source, one);
    if (one->kind != CRITERION_NAME)
        return match_one(one, meaning->device) != MATCH_NO;
    return one->negated ? !doubt_is_sure(source, one) || match_criterion(one, meaning->device)
                        : match_name_may_mean(meaning, source, one);
}

static bool match_may_mean(struct match_meaning *meaning, const struct source *source,
                           const struct criterion *criteria) {
    bool holds = false, either = false;
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->alternative && holds)
            return true;
        if (one->alternative)
            either = one->either;
        if (one->alternative || holds != either)
            holds = match_criterion_may_mean(meaning, source, one);
    }
    return holds || !criteria;
}

bool match_guard_criterion(const struct guard *guard, const struct criterion *criterion,
                           const struct device *device) {
    struct match_meaning meaning = {.device = device, .budget = MEANING_BUDGET};
    return guard->doubtful ? match_criterion_may_mean(&meaning, guard->source, criterion)
                           : match_one(criterion, device) != MATCH_NO;
}

bool match_guard_device(const struct guard *guard, const struct device *device) {
    struct match_meaning meaning = {.device = device, .budget = MEANING_BUDGET};
    return guard->doubtful ? match_may_mean(&meaning, guard->source, guard->device)
                           : match_alternatives(guard->device, device, match_condition) != MATCH_NO;
}

/* Prefers a guard without an error: its message is clearer. */
const struct guard *match_guard(const struct program *program, const struct domain *domain,
                                const struct device *device) {
    const struct guard *doubtful = NULL;
    for (size_t i = 0; i < program->guard_count; i++) {
        const struct guard *guard = program->guards[i];
        if ((guard->doubtful && doubtful) || !match_guard_vms(guard, domain) ||
            !match_guard_device(guard, device))
            continue;
        if (!guard->doubtful)
            return guard;
        doubtful = guard;
    }
    return doubtful;
}
