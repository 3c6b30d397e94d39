/*
 * Devices that have left the host and not the VM: libvirt keeps a USB device that was pulled out,
 * which would be in the way when one is plugged in and gets its number.
 */
#ifndef ENGINE_PLAN_UNPLUGGED_H
#define ENGINE_PLAN_UNPLUGGED_H

#include "engine/plan/planner.h"

/*
 * Adds a step that detaches it for each that a rule attaches, or detaches at `unplugged`. All
 * devices of the VM are looked at whatever the event is about: one may come back with another id,
 * or come and go while nobody listened.
 */
void plan_unplugged_add(struct planner *planner);

/* Whether such a step takes out the device that `unplugged` is about. */
bool plan_unplugged_is_detached(const struct planner *planner);

#endif
