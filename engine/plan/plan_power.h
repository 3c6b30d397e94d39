/*
 * What a rule asks of a device's power and reset while a VM has it.
 *
 * `awake`: the kernel keeps it out of its sleep states by itself. `power/control` is "on" (runtime
 * power management is off), and `d3cold_allowed` 0, by which the ports above stay awake too
 * (pci_bridge_d3_update() in the kernel). From Linux 5.19 on vfio-pci sets `power/control` to
 * "auto" when it is bound to a device (pm_runtime_allow() in vfio_pci_core_register_device()), so
 * it is written again after the attach. Between the two the device may sleep for a moment, and
 * older kernels put it into D3hot whatever `power/control` says: only vfio-pci's disable_idle_d3
 * prevents that, see the doctor's check idle-d3.
 *
 * `reset method`: `reset_method` (Linux 5.15) has the ways in which the kernel resets the device,
 * in the order in which it tries them.
 */
#ifndef ENGINE_PLAN_POWER_H
#define ENGINE_PLAN_POWER_H

#include "engine/backend/backend.h"
#include "engine/model/setting.h"

/* Whether the kernel can reset the device as the options say. */
struct verdict plan_power_judge(const struct device *device, const struct backend_options *options);

/* Adds what the options ask for. */
void plan_power_add(struct setting_list *list, const struct device *device,
                    const struct backend_options *options);

/* What is written for it, for the note of a plan's entry: "while the VM has it, the host writes
 * 'on' to power/control". NULL: nothing is. The caller frees it. */
char *plan_power_note(const struct setting_list *list, const struct device *device);

#endif
