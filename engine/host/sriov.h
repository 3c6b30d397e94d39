/*
 * Creates virtual functions: the write to sriov_numvfs of a physical function
 * (Documentation/PCI/pci-iov-howto.rst, drivers/pci/iov.c). The kernel creates them, and looks for
 * their drivers, before the write returns; from 0 alone, and back to 0.
 */
#ifndef ENGINE_SRIOV_H
#define ENGINE_SRIOV_H

#include "engine/host/host.h"

/* See create_functions of struct host_source. */
int sriov_create(const struct host *host, const struct device *physical, unsigned count,
                 struct failure *failure);

#endif
