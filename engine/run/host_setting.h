/*
 * Settings of the host (engine/model/setting.h) that are changed for a device of the VM: noted in
 * the VM's state before, and set back in the reverse order when the VM does not have the device any
 * more, by this engine or a later one. What somebody else has changed meanwhile stays.
 */
#ifndef ENGINE_HOST_SETTING_H
#define ENGINE_HOST_SETTING_H

#include "engine/run/run.h"

/* Right before libvirt attaches the entry's device: makes its settings. Returns false with a
 * failure when one cannot be made: then those made before it are undone. The caller holds the VM's
 * lock. */
bool host_setting_prepare(struct run *run, const struct plan_entry *entry, struct failure *failure);
/* Right after it: once more what vfio-pci changes when it binds to the device. Nothing is done
 * about a failure. */
void host_setting_repeat(struct run *run, const struct plan_entry *entry);

/* The same when the VM has started, of what a definition has: see host_setting_begin_start(). */
void host_setting_repeat_all(struct run *run);

enum host_setting_start {
    HOST_SETTING_MADE,    /* or nothing is to be made */
    HOST_SETTING_REFUSED, /* the host does not give its display up */
    HOST_SETTING_FAULT    /* our own, or a setting that the device can do without */
};
/*
 * At 'prepare', while libvirt waits: makes what the rules at 'defined' ask for, of the devices that
 * the VM's definition has. Asks nothing of libvirt. Waits for the VM's lock for at most
 * HOST_SETTING_LOCK_MS. `host` is of the config's source. Any other answer than HOST_SETTING_MADE
 * comes with a failure, that of a refusal or the last one, and with the action and the device in
 * `refused`, without a device where it is not about one. What an earlier start of the VM has left
 * stays noted. A device that a 'never' keeps from the VM is left as it is.
 */
enum host_setting_start host_setting_begin_start(const struct run_config *config,
                                                 const struct host *host,
                                                 struct plan_entry *refused,
                                                 struct failure *failure);
/* The actions by which the VM's definition has devices that need a setting. The caller frees the
 * list. */
struct action_list host_setting_of_definition(const struct program *program,
                                              const struct event *event);
enum { HOST_SETTING_LOCK_MS = 3000 };

/* Sets back what is noted in `state` of devices that none of these VMs has, and takes it from
 * there. */
void host_setting_settle(struct run *run, const struct domain_list *vms, struct vm_state *state);

#endif
