/* What forbids to assign a PCI device, apart from its own attributes; see bus_reader.h for these.
 */
#ifndef ENGINE_PCI_H
#define ENGINE_PCI_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/* Sets the ids and the class by the device's `modalias`; NULL or an odd text: false. */
bool pci_identify(struct device *device, const char *modalias);

/* The controller that makes a device's PCI domain, for devices in a domain above ffff (Intel VMD).
 * After iommu_find_groups(). */
void pci_find_controllers(struct host *host, const struct tree *tree);

/* Sets `physical_function` and `vf_number` of virtual functions. After all buses are read. */
void pci_find_physical_functions(struct host *host, const struct tree *tree);

/* Obstacles: memory that the firmware reserves, and devices that vfio-pci does not accept. */
void pci_find_obstacles(struct host *host, const struct tree *tree);

/* Obstacles: devices in a PCI domain that qemu does not support. Call it after guards_find_uses(),
 * because the hints say what the host uses. */
void pci_find_unsupported_domains(struct host *host);

#endif
