/* Which rules an event concerns, and which devices a rule means. Looks only, changes nothing. */
#ifndef ENGINE_MATCH_H
#define ENGINE_MATCH_H

#include "engine/model/device.h"
#include "engine/model/domain.h"
#include "engine/model/event.h"
#include "engine/rules/program.h"

/* An action in the rules, and one of its targets. */
struct action_ref {
    const struct rule *rule;
    const struct action *action;
    const struct target *target; /* NULL: the action as a whole, or one without targets */
};

struct action_list {
    struct action_ref *list; /* without targets */
    size_t count;
};

/* All that the rules ask for at the event, in their order. An event without a domain is of any VM:
 * every rule is for it. The caller frees `list`. */
struct action_list match_event(const struct program *program, const struct event *event);
/* The same of one rule, whichever VM and event it is for. */
struct action_list match_actions(const struct rule *rule, const struct event *event);

/* The targets of attach and detach; NULL: the action has none. */
const struct target *match_targets_of(const struct action *action);

/* Whether a rule's word means the VM, if there were no other. */
bool match_vm(const struct word *vm, const struct domain *domain);

/*
 * Whether one of a rule's words means the event's VM. Of several VMs that a word without wildcards
 * fits, the one whose UUID it is, else the one whose name it is, is meant alone; equal titles are
 * left, see match_same_title().
 */
bool match_vms(const struct word *vms, const struct event *event);

/* The VM that one of the words means better than the event's, which it fits as well; or NULL. */
const struct domain *match_better_vm(const struct word *vms, const struct event *event);

/* How well a rule's word fits the VM: it means alone the one that it fits best. */
enum domain_fit match_fit(const struct word *vm, const struct domain *domain);

/* Whether a rule's word means one VM alone: it is neither a glob nor 'any'. */
bool match_is_exact(const struct word *vm);

/* Whether one word of a `never` is for the VM: whatever it could mean. */
bool match_guard_vm(const struct word *vm, const struct domain *domain);

/* Whether a `never` is for the VM: whatever its words could mean. */
bool match_guard_vms(const struct guard *guard, const struct domain *domain);

/*
 * Another VM that the rule means as well, because two have the same title; NULL: none, or the rule
 * means the event's VM by another word, too. `count` gets how many have the title, this one
 * included.
 */
const struct domain *match_same_title(const struct rule *rule, const struct event *event,
                                      size_t *count);

/* A word of a rule for the event, of which only the list of all VMs can tell whether another VM is
 * meant; NULL: none. */
const struct word *match_ambiguous(const struct program *program, const struct event *event);

/* The event's name and VM; and, where the event is of a device, that the rule names no device or
 * selects this one. */
bool match_rule(const struct rule *rule, const struct event *event);
/* Whether the target is meant: the event is of no device, or of one that it selects. */
bool match_target(const struct target *target, const struct event *event);

/*
 * The first action that attaches that device to the event's VM by that backend, at whatever event;
 * its rule is NULL when there is none. Of a device that is gone no more is known than its bus and
 * id, and its address on PCI: port, serial, class and subsystem count as fulfilled.
 */
struct action_ref match_attach_action(const struct program *program, const struct event *event,
                                      const struct device *device, enum backend backend);

/* One criterion; a name matches when its definition does. */
bool match_criterion(const struct criterion *criterion, const struct device *device);

/* A list of alternatives. */
bool match_device(const struct criterion *criteria, const struct device *device);

/* Whether a `never` is about the device: all that it may mean, when it is in doubt. */
bool match_guard_device(const struct guard *guard, const struct device *device);

/* One of its criteria: what was not understood counts as fulfilled. */
bool match_guard_criterion(const struct guard *guard, const struct criterion *criterion,
                           const struct device *device);

/* The first `never` that forbids the device to the VM, or NULL. */
const struct guard *match_guard(const struct program *program, const struct domain *domain,
                                const struct device *device);

#endif
