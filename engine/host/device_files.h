/* The device files of the host's devices: serial ports, whole disks, input events. */
#ifndef ENGINE_DEVICE_FILES_H
#define ENGINE_DEVICE_FILES_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/* udev's records of device files, "b8:0", in a tree. */
#define UDEV_RECORDS "run/udev/data"

/* Sets `files` of all devices. After the graph of block devices is read. */
void device_files_read(struct host *host, const struct tree *tree);

#endif
