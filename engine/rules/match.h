/* Which rules apply to an event, and which devices a rule selects. Nothing here has side effects.
 */
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

/* The actions of all rules that apply to the event, in order. An event without a domain is for any
 * VM, so every rule applies. The caller frees `list`. */
struct action_list match_event(const struct program *program, const struct event *event);
/* The same for one rule, without its own VMs and events. */
struct action_list match_actions(const struct rule *rule, const struct event *event);

/* Of how many rules the actions are. */
size_t match_count_rules(const struct action_list *actions);
/* The number of the first rule that the actions are of; SIZE_MAX: there are none. */
size_t match_rank(const struct program *program, const struct action_list *actions);

/* Whether any rule names the event. */
bool match_names_event(const struct program *program, enum event_name name);
/* The same for one rule. */
bool match_rule_names_event(const struct rule *rule, enum event_name name);

/* The targets of attach and detach; NULL: the action has none. */
const struct target *match_targets_of(const struct action *action);

/* Whether a rule's word fits the VM; another VM may fit better. */
bool match_vm(const struct word *vm, const struct domain *domain);

/*
 * Whether one of a rule's words means the event's VM. A word without wildcards means only the VM
 * that it fits best: by UUID, else by name, else by title. Several VMs may have the same title: see
 * match_same_title().
 */
bool match_vms(const struct word *vms, const struct event *event);

/* A VM that one of the words fits better than the event's VM, which it fits too; or NULL. */
const struct domain *match_better_vm(const struct word *vms, const struct event *event);

/* How well a rule's word fits the VM. */
enum domain_fit match_fit(const struct word *vm, const struct domain *domain);

/* Whether a rule's word means a single VM: it is neither a glob nor 'any'. */
bool match_is_exact(const struct word *vm);

/* Whether one word of a `never` fits the VM in any way: no other VM fits better there. */
bool match_guard_vm(const struct word *vm, const struct domain *domain);

/* The same for all words of a `never`. */
bool match_guard_vms(const struct guard *guard, const struct domain *domain);

/*
 * Another VM with the same title, which the rule means as well; NULL: none, or another word means
 * the event's VM alone. `count` is how many VMs have the title, the event's among them.
 */
const struct domain *match_same_title(const struct rule *rule, const struct event *event,
                                      size_t *count);

/* A word of a rule for the event that may mean another VM, which only the list of all VMs can tell;
 * NULL: none. */
const struct word *match_ambiguous(const struct program *program, const struct event *event);

/* Whether the rule applies to the event: its name and VM; and if the event is about a device, the
 * rule selects this one, or names no device and this is not a SCSI device. */
bool match_rule(const struct rule *rule, const struct event *event);
/* Whether the event is not about a device, or about one that the target selects. */
bool match_target(const struct target *target, const struct event *event);

/*
 * The first action that attaches the device to the event's VM by that backend, at any event; its
 * rule is NULL when there is none. BACKEND_NONE: by any backend for the device's bus. Of an
 * unplugged device only the bus, the id and a PCI address are known: all other conditions count as
 * fulfilled, with 'not' too.
 */
struct action_ref match_attach_action(const struct program *program, const struct event *event,
                                      const struct device *device, enum backend backend);

/* The driver to which a rule of the host's boot binds the device, the first that selects it; NULL:
 * none does. */
const char *match_boot_driver(const struct program *program, const struct device *device);

/*
 * Whether the criterion selects the device; a defined name does when its definition does. What is
 * not known of the device (see `unknown` there) meets no condition, and no condition with 'not'; in
 * a `never` it meets both.
 */
bool match_criterion(const struct criterion *criterion, const struct device *device);

/* The same for a list of alternatives. */
bool match_device(const struct criterion *criteria, const struct device *device);

/* Whether the criteria may select it: also by what is not known of it. */
bool match_may_select(const struct criterion *criteria, const struct device *device);

/* Whether a `never` selects the device; one with an error selects all that it may mean. */
bool match_guard_device(const struct guard *guard, const struct device *device);

/* The same for one of its criteria: one that was not understood counts as fulfilled. */
bool match_guard_criterion(const struct guard *guard, const struct criterion *criterion,
                           const struct device *device);

/* The first `never` that forbids the device to the VM, or NULL. */
const struct guard *match_guard(const struct program *program, const struct domain *domain,
                                const struct device *device);

#endif
