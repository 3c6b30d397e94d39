/*
 * Which devices of the host something is on that sysfs or /dev has: a path, a device file, a
 * network interface, a SCSI device, a volume of libvirt's. Each function adds to `set` the device
 * itself, the hubs and controllers above it, and the physical function of a virtual one. False: the
 * host has no such thing, or it is unknown where it is.
 */
#ifndef ENGINE_PLACE_H
#define ENGINE_PLACE_H

#include "engine/host/device_set.h"
#include "engine/host/host.h"
#include "engine/host/tree.h"

/* Of a path in sysfs without links, whether it exists or not. */
void place_add_path(struct device_set *set, const struct host *host, const char *path);
/* The last part of such a path that is a device of the host, or NULL. */
const struct device *place_nearest(const struct host *host, const char *path);
/* Of a path below the tree's root; its links are followed. */
bool place_of_path(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *path);
void place_of_device(struct device_set *set, const struct host *host, const struct tree *tree,
                     const struct device *device);

/* Of a device file by its path: "/dev/sda", "/dev/disk/by-id/...", "/dev/bus/usb/001/003". */
bool place_of_file(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *path);
/* Of a device file by its number, "226:1". `name` is its path below /dev, or its name in a
 * container; it decides for files that sysfs does not list, as "vfio/12" and "nvidia0". */
bool place_of_number(struct device_set *set, const struct host *host, const struct tree *tree,
                     const char *name, const char *number, bool is_block);

/* Of a network interface; `is_tap`: and of the bridge that it is a port of. */
bool place_of_interface(struct device_set *set, const struct host *host, const struct tree *tree,
                        const char *name, bool is_tap);
/* Of a mediated device, by its UUID. */
bool place_of_mdev(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *uuid);
/* Of a SCSI device: "2:0:1:3". */
bool place_of_scsi(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *address);
/* Of the block devices of a vhost-scsi target. */
bool place_of_vhost(struct device_set *set, const struct host *host, const struct tree *tree,
                    const char *wwpn);
/* Of a volume of a libvirt storage pool, "pool/volume", whose definition is read; a file is on
 * none. */
bool place_of_volume(struct device_set *set, const struct host *host, const struct tree *tree,
                     const char *name);

/* The kernel's name of a file of /dev ("serial/by-id/x") that only udev's database knows:
 * "ttyUSB0". The caller frees it. NULL: it is not there. */
char *place_udev_name(const struct tree *tree, const char *file);

/* Whether a path can be followed only on the running system, and not in a copy of it without /dev:
 * to some disk, or to what may be some USB device. */
bool place_is_unknown_disk(const struct tree *tree, const char *path);
bool place_is_unknown_usb(const struct tree *tree, const char *path);

#endif
