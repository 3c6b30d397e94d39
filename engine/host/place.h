/* Which devices of the host something in sysfs is on. */
#ifndef ENGINE_PLACE_H
#define ENGINE_PLACE_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/* Indexes into the host's devices; the caller frees `items`. */
struct place_list {
    size_t *items;
    size_t count;
    bool is_known; /* it was found, even if it is on none of the devices */
};

void place_add(struct place_list *list, size_t device);

/*
 * Adds the devices that a path below the root, its links resolved, leads through: the device
 * itself, the hubs and controllers above it, and the physical function of a virtual one. False:
 * there is no such path.
 */
bool place_of_path(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *path);
bool place_of_device(struct place_list *list, const struct host *host, const struct tree *tree,
                     const struct device *device);

/* The same of a node of /dev: "/dev/sda", "/dev/disk/by-id/...", "/dev/ttyUSB0",
 * "/dev/bus/usb/001/003", "/dev/vfio/12". */
bool place_of_node(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *path);
/* Of an interface; `is_tap`: and of the bridge that it is a port of. */
bool place_of_interface(struct place_list *list, const struct host *host, const struct tree *tree,
                        const char *name, bool is_tap);
/* Of a mediated device, by its UUID. */
bool place_of_mdev(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *uuid);
/* Of a SCSI device: "2:0:1:3". */
bool place_of_scsi(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *address);
/* Of the block devices behind a vhost-scsi target. */
bool place_of_vhost(struct place_list *list, const struct host *host, const struct tree *tree,
                    const char *wwpn);
/* Of a volume of a libvirt storage pool, "pool/volume", whose definition is read; a file is on
 * none. */
bool place_of_volume(struct place_list *list, const struct host *host, const struct tree *tree,
                     const char *name);

/* What the kernel calls a file of /dev ("serial/by-id/x") that udev alone tells of: "ttyUSB0". The
 * caller frees it. NULL: udev does not know it. */
char *place_udev_name(const struct tree *tree, const char *file);

/* A name that only a running system can follow, in a copy of one without /dev: of some disk, or of
 * what may be some USB device. */
bool place_is_unknown_disk(const struct tree *tree, const char *path);
bool place_is_unknown_usb(const struct tree *tree, const char *path);

#endif
