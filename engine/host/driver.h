/*
 * Which host driver a PCI device is bound to: the writes to sysfs (Documentation/ABI/testing/
 * sysfs-bus-pci: bind, unbind, driver_override, drivers_probe) and who has an IOMMU group open.
 * source_sysfs() calls these; see struct host_source for what they do.
 */
#ifndef ENGINE_DRIVER_H
#define ENGINE_DRIVER_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

int driver_unbind(const struct host *host, const struct device *device, struct failure *failure);
int driver_probe(const struct host *host, const struct device *device, struct failure *failure);
int driver_rebind(const struct host *host, const struct device *device, struct failure *failure);
int driver_bind(const struct host *host, const struct device *device, const char *driver,
                struct failure *failure);
bool driver_is_loaded(const struct host_source *source, const char *driver);
int driver_load(const struct host_source *source, const char *driver, struct failure *failure);
char *driver_group_user(const struct host *host, const struct device *device);
bool driver_may_split_group(const struct host *host);

/* Who has that group open, or the file of the device in that directory of sysfs; see group_user of
 * struct host_source. */
char *driver_vfio_user(const char *root, const char *directory, int group);
/* Writes to a file of sysfs, in a process of its own: the kernel may let the write wait for who has
 * the device open. Returns 0 or an errno; ETIMEDOUT: the kernel is still at it after
 * DEADLINE_BIND_MS. */
int driver_write_in_time(const char *root, const char *path, const char *text);
/* The same, with another limit in milliseconds. */
int driver_write_within(const char *root, const char *path, const char *text, int limit_ms);

/* Whether the device is bound to its host driver now: to one that is not for VMs. */
bool driver_host_has(const struct host *host, const struct device *device);

/* The driver that takes any PCI device for a VM. */
#define DRIVER_VFIO "vfio-pci"

/* Whether that driver hands devices to VMs: "vfio-pci", "mlx5_vfio_pci". */
bool driver_is_vfio(const char *driver);

#endif
