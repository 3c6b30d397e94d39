/* The plan of a VM's start from a part of the host: see `scope` of struct host_source. */
#ifndef ENGINE_PLAN_PART_H
#define ENGINE_PLAN_PART_H

#include "engine/plan/plan.h"

/* Whether a part of the host may tell what is to be done, by these actions of the event: the VM
 * has started and gets PCI devices, and all VMs are known where a name may mean another one. */
bool plan_part_may_do(const struct program *program, const struct event *event,
                      const struct action_list *actions);

/* Reads the part of the host that the event's actions may mean, where it may tell what is to be
 * done. False: nothing was read. */
bool plan_part_load(const struct program *program, const struct event *event,
                    const struct host_source *source, struct host *host);

/* Whether the plan is to attach all devices, and has a reason against none: what a part of the host
 * does not show could only be another one. */
bool plan_part_is_clear(const struct plan *plan);

#endif
