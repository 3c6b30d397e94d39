/* Mediated devices (Documentation/driver-api/vfio-mediated-device.rst): those that are there, and
 * the types that a PCI device offers. */
#ifndef ENGINE_MDEV_H
#define ENGINE_MDEV_H

#include "engine/host/bus_reader.h"

/* The types of a PCI device that is being read. */
void mdev_read_types(const struct reading *reading);
/* Sets `mdevs` of the PCI devices. After all buses are read. */
void mdev_find_instances(struct host *host, const struct tree *tree);

#endif
