/* A running VM that a person names on a command line, for 'detach', 'park' and 'unpark'. */
#ifndef ENGINE_RUNNING_VM_H
#define ENGINE_RUNNING_VM_H

#include "engine/host/host.h"
#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"
#include "engine/state/log_write.h"
#include "engine/state/vm_state.h"

struct running_vm_request {
    struct virt *virt;
    const struct host_source *host_source;
    const char *state;    /* directory of the VM's lock; NULL: it is not taken */
    const char *vm;       /* name, title or UUID */
    const char *off_hint; /* what to do when it does not run */
};

struct running_vm {
    int lock;
    struct host host;
    struct domain domain;
    struct vm_start vm_start;
};

/*
 * Finds the VM, and keeps other engines from it until running_vm_close(). Returns 0, or -1 with
 * message and hint; the caller then closes it, too.
 */
int running_vm_open(struct running_vm *vm, const struct running_vm_request *request,
                    struct virt_error *error);
void running_vm_close(struct running_vm *vm);
/* Lets other engines at it before that. */
void running_vm_unlock(struct running_vm *vm);
/* Reads its XML again. Returns -1 with kind VIRT_NOT_RUNNING when it has stopped, or was started
 * again, since. */
int running_vm_reload(struct running_vm *vm, const struct running_vm_request *request,
                      struct virt_error *error);

/* Logs what a command, "detach" say, did to it; `device` NULL: to the VM as a whole. `hint` may be
 * "". A device's result is noted for 'status', too, unless `state` is NULL. */
void running_vm_log(const struct running_vm *vm, const char *state, struct log_writer *log,
                    const struct log_entry *entry, const char *hint);

/* Another device of the VM that is in the IOMMU group of this one, which may be NULL, while Linux
 * cannot split a group; NULL: this one can go alone. */
const struct device *running_vm_group_rest(const struct running_vm *vm,
                                           const struct device *device);

/* Whether two of its hostdevs are elements of one device, as of one with two serial ports. */
bool running_vm_is_same_device(const struct running_vm *vm, const struct domain_hostdev *one,
                               const struct domain_hostdev *other);

#endif
