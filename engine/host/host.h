/*
 * The host's devices, read once into a snapshot that everything else only looks at.
 *
 * Facts come from the kernel's own files below one root: sysfs
 * (Documentation/ABI/testing/sysfs-bus-pci and sysfs-bus-usb), the mountinfo of every mount
 * namespace, /proc/swaps, /proc/mdstat and /proc/net. Names come from libpci's list and the
 * device's own strings. A file that an old kernel lacks makes a fact unknown, never an error. Texts
 * are UTF-8 without control characters.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include "engine/model/device.h"

/*
 * What the kernel shows of the host's devices under a name of its own, and where it sits: a disk, a
 * partition, an array or volume, a network interface or bridge.
 */
struct host_node {
    const char *class; /* "block" or "net" */
    char *name;        /* the kernel's: "nvme0n1p1", "vmbr10" */
    char *label;       /* of the device mapper: "vg1-root"; NULL: none */
    char *number;      /* "259:1"; NULL: none or unknown */
    size_t *devices;   /* indexes into the host's devices, in order: all that it is made of, and */
    size_t device_count; /* the hubs, controllers and bridges above them */
};

/* What could not be read although it may be there. */
struct fault {
    char *path; /* below the root */
    int error;  /* errno */
};

struct faults {
    struct fault *list;
    size_t count;
};

struct host {
    char *root;             /* "" for the running system */
    struct device *devices; /* PCI by address, then USB by port path in number order */
    size_t count;
    struct host_node *nodes;
    size_t node_count;
    struct faults faults;
    bool has_iommu; /* the kernel made at least one IOMMU group */
    bool has_usb;   /* the kernel shows all of its USB: at least a root hub, which is not among
                                    `devices`, and nothing that cannot be read */
};

/*
 * Reads the host below `root` ("" or NULL: the running system). Returns 0, or -1 with a message
 * in `error` when there is nothing to read (no sys/bus/pci and no sys/bus/usb). The caller
 * owns the snapshot and ends it with host_finish().
 */
int host_init(struct host *host, const char *root, char *error, size_t error_size);
void host_finish(struct host *host);

/* The device at that bus and address, or NULL. */
const struct device *host_find(const struct host *host, enum bus bus, const char *address);

/*
 * The node called `name` in that class: the kernel's name, a number ("259:1"), or a path
 * ("/dev/disk/by-id/..."), whose links are followed below the host's root. NULL: the host has none.
 * It belongs to the snapshot.
 */
const struct host_node *host_node_find(const struct host *host, const char *class,
                                       const char *name);

/* The driver of a device right now, read anew; "" for none. Returns false when it is gone. */
bool host_driver(const struct host *host, const struct device *device, char *driver, size_t size);

/*
 * Why a member of its IOMMU group keeps `device` from being passed, or NULL when none does: the
 * first other endpoint that is bound to a host driver (not vfio-pci, a *_vfio_pci or pci-stub; PCI
 * and host bridges do not count).
 */
const struct device *host_group_blocker(const struct host *host, const struct device *device);

/* What of a group's endpoints keeps the others from being passed: see host_group_blocker(). */
bool host_blocks_group(const struct device *device);

#endif
