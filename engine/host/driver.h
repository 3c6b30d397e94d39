/* Which host driver a PCI device is bound to: the writes to sysfs (Documentation/ABI/testing/
 * sysfs-bus-pci: bind, unbind, driver_override, drivers_probe) and who has an IOMMU group open. */
#ifndef ENGINE_DRIVER_H
#define ENGINE_DRIVER_H

#include "engine/host/host.h"

/*
 * Takes a PCI device from the host driver that the snapshot has, and leaves it without one: enough
 * for the rest of its IOMMU group to be passed, and libvirt then takes it, and gives it back to its
 * host driver when the VM ends, as any other (it would leave one on vfio-pci that it found there).
 * Nothing is done to a bridge, to what the host uses, nor when it has another driver by now.
 * Returns 0, or -1 with a message; HOST_LATE with one when the driver has not released the device
 * within DEADLINE_BIND_MS: it may do so later.
 */
enum { HOST_LATE = -2 };
int driver_unbind(const struct host *host, const struct device *device, char *error,
                  size_t error_size);

/*
 * Lets the kernel find a driver for a PCI device that has none, and no longer vfio's because its
 * driver_override says so. No device of its group may be in use by a VM: Linux from 5.19 refuses
 * (EBUSY), and an older one halts on it (a BUG in drivers/vfio). Returns 0, also when no driver
 * wants it, or -1 with a message.
 */
int driver_probe(const struct host *host, const struct device *device, char *error,
                 size_t error_size);

/* Whether that driver hands devices to VMs: "vfio-pci", "mlx5_vfio_pci". */
bool driver_is_vfio(const char *driver);

/*
 * The same as driver_probe() for a device that was left on a driver of vfio's, which it is taken
 * from. Nobody may have its group open, see driver_group_user(): the kernel would ask a guest to
 * let it go, and wait for that.
 */
int driver_rebind(const struct host *host, const struct device *device, char *error,
                  size_t error_size);

/*
 * Who has the device's IOMMU group open (/dev/vfio/GROUP, or the device's own file of Linux from
 * 6.6), from all processes' open files: "qemu-system-x86 (process 4242)" in words that the caller
 * frees, or NULL: nobody. Where that cannot be seen, somebody has.
 */
char *driver_group_user(const struct host *host, const struct device *device);

/* Whether the kernel survives that a device goes back to its host driver, as libvirt makes it at a
 * detach, while another of its group is in a VM; see driver_probe(). */
bool driver_may_split_group(const struct host *host);

#endif
