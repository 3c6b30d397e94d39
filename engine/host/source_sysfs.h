/* The host as the kernel shows it in sysfs and procfs: the running one, or a copy of its files. */
#ifndef ENGINE_SOURCE_SYSFS_H
#define ENGINE_SOURCE_SYSFS_H

#include "engine/host/host.h"

/*
 * `root` is a directory that holds sys/ and proc/, "" or NULL: the running system. It must last as
 * long as the source. Loading fails when there is nothing to read: no sys/bus/pci and no
 * sys/bus/usb.
 */
struct host_source source_sysfs(const char *root);

#endif
