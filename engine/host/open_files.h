/* The device files that processes have open (/proc/PID/fd), and the devices that these are of. */
#ifndef ENGINE_OPEN_FILES_H
#define ENGINE_OPEN_FILES_H

#include "engine/host/usage.h"

/* A device file that a process has open, and so uses `devices`. All is borrowed. */
struct open_file {
    const char *process, *program; /* "4242", "Xorg" */
    const char *entry;             /* of /proc/PID/fd */
    bool is_vm;                    /* the process is the qemu of a VM of libvirt's */
    bool is_of_observer;           /* udev or mdev has started the process, which is to end soon */
    const char *name;              /* below /dev: "dri/card1" */
    const char *number;            /* "226:1"; NULL in a copy of a host, which has names only */
    bool is_block;
    const struct device_set *devices;
};

typedef void open_files_visitor(void *context, const struct open_file *file);

/*
 * Visits every open file that counts as a use. Those that a device may be unplugged with, as an
 * input device's, those of udev, and those that qemu needs to assign a device do not count. The
 * host of `usage` must have its graph of block devices. If processes cannot be listed, that is a
 * fault.
 */
void open_files_each(struct usage *usage, open_files_visitor *visit, void *context);

#endif
