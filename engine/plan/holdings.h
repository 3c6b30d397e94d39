/*
 * What running VMs have of the host's devices, by every element of their XML: a device itself, one
 * behind it, a disk or a network interface on it. Nothing but the host's snapshot and sysfs below
 * its root is read.
 */
#ifndef ENGINE_HOLDINGS_H
#define ENGINE_HOLDINGS_H

#include "engine/backend/backend.h"
#include "engine/host/host.h"

struct held_device {
    const struct domain *vm;
    enum bus bus;        /* of the device */
    const char *address; /* of the snapshot */
    bool is_itself;      /* the device is in the VM: a <hostdev> */
    char *text;          /* what the VM does, after its name: "has 1-1 behind it" */
};

/* Sorted by device. A disk or USB device of a VM of which nothing tells where it is has the address
 * "" and the bus PCI or USB: any device that may carry disks, or be it, may have it. */
struct holdings {
    struct held_device *list;
    size_t count;
};

/* Adds what one VM has; it and the host must outlive the holdings. One that is off has nothing. */
void holdings_add(struct holdings *holdings, const struct host *host, const struct domain *vm);
/* After the last holdings_add(). */
void holdings_sort(struct holdings *holdings);
/* Both, for a list of VMs. */
void holdings_init(struct holdings *holdings, const struct host *host, const struct domain *vms,
                   size_t count);
void holdings_finish(struct holdings *holdings);

/*
 * The first that has the device, other than `but` (NULL: any VM): one that has it itself before one
 * that has what is behind it. NULL: none has.
 */
const struct held_device *holdings_find(const struct holdings *holdings,
                                        const struct device *device, const struct domain *but);

/* Whether `device` is connected through `controller`: a hub, a controller, or the physical function
 * of a virtual one. */
bool holdings_is_behind(const struct host *host, const struct device *device,
                        const struct device *controller);

#endif
