/*
 * Reading a part of the host: what a rule may mean, and not all the rest. That is quick on a host
 * of thousands of devices; see `scope` of struct host_source. What is left out counts as in use.
 */
#ifndef ENGINE_PART_H
#define ENGINE_PART_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/*
 * The ids of all PCI devices, from the one file that lists them; the index is bus, slot and
 * function as 16 bits. NULL where it is missing, or one of these devices is in a domain other than
 * 0000, which it does not tell. The caller frees it.
 */
struct device_id *part_read_ids(const struct tree *tree, const struct names *devices);

/* Looks at the ids, if there are any, or else reads what identifies a PCI device. True: it is
 * outside of the scope, and is marked so. */
bool part_leaves_out(const struct host_scope *scope, const struct tree *tree,
                     const struct device_id *ids, struct device *device);

/* When all buses are read: adds the rest of the IOMMU groups, and marks what is on other buses and
 * not behind a device in the scope. False: the whole host has to be read. */
bool part_complete(struct host *host, const struct tree *tree);

/* Whether entries of that class of sysfs ("sys/class/net") may be on devices in the scope. */
bool part_has_class(const struct host *host, const struct tree *tree, const char *class);

#endif
