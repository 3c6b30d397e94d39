/*
 * What an attach plans of a backend that leaves the device to the host and gives parts of it to
 * VMs: mediated devices. A target stands for instances, of which one device may have several, and
 * not for devices. An instance has a UUID, by which the VM finds it again at its next start.
 */
#ifndef ENGINE_ACTION_INSTANCES_H
#define ENGINE_ACTION_INSTANCES_H

#include "engine/plan/choose.h"

/* `devices`: those that the target selects, at least one. */
void action_instances_plan(struct planner *planner, const struct action_ref *ref,
                           const struct device_list *devices);

#endif
