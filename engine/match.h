/* Which rules an event concerns, and which devices a rule means. Looks only, changes nothing. */
#ifndef ENGINE_MATCH_H
#define ENGINE_MATCH_H

#include "engine/domain.h"
#include "engine/event.h"
#include "engine/host/host.h"
#include "engine/program.h"

/* One action of one rule that the event asks for. */
struct wanted {
    const struct rule *rule;
    const struct action *action;
};

struct wanted_list {
    struct wanted *list;
    size_t count;
};

/* The caller frees `list`. */
struct wanted_list match_event(const struct program *program, const struct event *event);

bool match_vm(const struct word *vm, const struct domain *domain);
bool match_vms(const struct word *vms, const struct domain *domain);
/* The event's name and VM; and, where the event is of a device, that the rule names no device or
 * selects this one. */
bool match_rule(const struct rule *rule, const struct event *event);
/* Whether the target is meant: the event is of no device, or of one that it selects. */
bool match_target(const struct target *target, const struct event *event);

/* Where in the rules a device is wanted. */
struct origin {
    const struct rule *rule;
    const struct action *action;
    const struct target *target; /* NULL: run */
};

/*
 * The first that gives the VM a USB device of that id, at whatever event; its rule is NULL when
 * there is none. Of a device that is gone no more is known than its id: port, serial and class
 * count as fulfilled.
 */
struct origin match_giver(const struct program *program, const struct domain *domain,
                          struct device_id id);

/* One criterion; a name matches when its definition does. */
bool match_criterion(const struct criterion *criterion, const struct host_device *device);

/* A list of alternatives. */
bool match_device(const struct criterion *criteria, const struct host_device *device);

/* Whether a `never` is about the device: all that it may mean, when it is in doubt. */
bool match_guard_device(const struct guard *guard, const struct host_device *device);

/* One of its criteria: what was not understood counts as fulfilled. */
bool match_guard_criterion(const struct guard *guard, const struct criterion *criterion,
                           const struct host_device *device);

/* The first `never` that forbids the device to the VM, or NULL. */
const struct guard *match_guard(const struct program *program, const struct domain *domain,
                                const struct host_device *device);

#endif
