/* How the host gets back the settings that were changed for devices of the VM: its own
 * (host_setting.h), and those of virtual functions (restore_vf.c). */
#ifndef ENGINE_RESTORE_SETTINGS_H
#define ENGINE_RESTORE_SETTINGS_H

#include "engine/run/run.h"

/* At the end of a run: of the devices that the VM has no longer. The caller holds the VM's lock. */
void restore_settings_all(struct run *run);
/* The same when the VM has ended, in a state that the caller saves. */
void restore_settings_end_vm(struct run *run, struct vm_state *state);

/* Whether a VM has the device that runs now, or may have it: one that cannot be read, and the one
 * that is about to start. */
bool restore_settings_is_held(const struct run *run, const struct domain_list *vms,
                              const struct device *device);

#endif
