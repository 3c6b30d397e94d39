/* A running VM that a person names on a command line, for 'detach', 'park' and 'unpark'. */
#ifndef ENGINE_RUNNING_VM_H
#define ENGINE_RUNNING_VM_H

#include "engine/host/host.h"
#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"
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

/* "0000:03:00.0 1ac1:089a" of one of its hostdevs, as the log has it; `device` NULL: the host has
 * lost it. The caller frees it. */
char *running_vm_device_text(const struct domain_hostdev *hostdev, const struct device *device);
/* Its element for libvirt to detach, which the caller frees. */
char *running_vm_hostdev_xml(const struct domain_hostdev *hostdev);

#endif
