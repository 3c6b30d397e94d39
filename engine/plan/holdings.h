/*
 * Which devices of the host running VMs use, from every element of their XML: a device itself, one
 * connected through it, a disk or a network interface on it. Reads the host's snapshot and files
 * below its root, nothing else.
 */
#ifndef ENGINE_HOLDINGS_H
#define ENGINE_HOLDINGS_H

#include "engine/backend/backend.h"
#include "engine/host/host.h"

struct held_device {
    const struct domain *vm;
    enum bus bus;        /* of the device */
    const char *address; /* of the snapshot; "": see struct holdings */
    bool is_itself;      /* the VM has the device itself: all elements of it */
    /* The element of the VM; NULL: it is none that a backend writes. Of the VM. */
    const struct domain_hostdev *hostdev;
    char *text; /* follows the VM's name: "has 1-1 behind it" */
};

/*
 * Sorted by device. If it is unknown what a disk of a VM is on, its address is "" and its bus PCI:
 * any device that may have disks may be it. The same with the bus USB for any USB device or
 * controller.
 */
struct holdings {
    struct held_device *list;
    size_t count;
};

/* Adds what one VM has; a VM that is off has nothing. The VM and the host must outlive the
 * holdings.
 */
void holdings_add(struct holdings *holdings, const struct host *host, const struct domain *vm);
/* After the last holdings_add(). */
void holdings_sort(struct holdings *holdings);
void holdings_finish(struct holdings *holdings);

typedef bool holdings_filter(const struct held_device *held, const void *context);

/*
 * What a VM has of the device, or may have, that the filter lets pass (NULL: all). A VM that has
 * the device itself comes before one that has something behind it. NULL: nothing.
 */
const struct held_device *holdings_find(const struct holdings *holdings,
                                        const struct device *device, holdings_filter *filter,
                                        const void *context);

/* Whether `device` is connected through `controller`: a hub, a controller, or the physical function
 * of a virtual one. */
bool holdings_is_behind(const struct host *host, const struct device *device,
                        const struct device *controller);

#endif
