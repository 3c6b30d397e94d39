/*
 * USB devices that were unplugged from the host and that the VM still has. libvirt keeps such a
 * <hostdev>; it is in the way when another device is plugged in and gets the same number.
 */
#ifndef ENGINE_PLAN_UNPLUGGED_H
#define ENGINE_PLAN_UNPLUGGED_H

#include "engine/plan/planner.h"

/*
 * Adds a step that detaches each such device that a rule attaches, or detaches at `unplugged`. It
 * looks at all devices of the VM, whatever the event is about: a device may return with another id,
 * and an event may have been missed.
 */
void plan_unplugged_add(struct planner *planner);

/* Whether such a step detaches the device that the event `unplugged` is about. */
bool plan_unplugged_is_detached(const struct planner *planner);

#endif
