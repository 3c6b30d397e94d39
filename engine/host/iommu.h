/* IOMMU groups: sys/kernel/iommu_groups (Documentation/ABI/testing/sysfs-kernel-iommu_groups). */
#ifndef ENGINE_IOMMU_H
#define ENGINE_IOMMU_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/*
 * Completes the groups of devices that do not name theirs, and sets `has_iommu`. A group that
 * cannot be read is an obstacle to every PCI device.
 */
void iommu_find_groups(struct host *host, const struct tree *tree);

/* The directory of all groups, for close(2); -1: there is none, or it cannot be opened. */
int iommu_open_groups(const struct tree *tree);

/* Memory that the firmware reserves for the device's group is an obstacle. `groups`: of
 * iommu_open_groups(). */
void iommu_find_reserved_regions(struct device *device, const struct tree *tree, int groups);

/*
 * The first other endpoint of the device's group that keeps the kernel from giving the group to a
 * VM (drivers/vfio: is the group viable?), or NULL when there is none.
 */
const struct device *iommu_group_blocker(const struct host *host, const struct device *device);

/* Whether the device, where it is, keeps the others of its group from a VM: it is bound to a driver
 * other than vfio-pci, a *_vfio_pci or pci-stub, and is not a bridge. */
bool iommu_blocks_group(const struct device *device);

#endif
