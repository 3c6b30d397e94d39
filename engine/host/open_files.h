/* The device files that processes have open. */
#ifndef ENGINE_OPEN_FILES_H
#define ENGINE_OPEN_FILES_H

#include "engine/host/usage.h"

/* A device file that a process has open, which means that it uses the devices of `node`. All is
 * borrowed. */
struct open_file {
    const char *process, *program; /* "4242", "Xorg" */
    const char *entry;             /* of /proc/PID/fd */
    bool is_vm;                    /* it is qemu, for a VM of libvirt's */
    const char *name;              /* below /dev: "dri/card1" */
    const char *number;            /* "226:1"; NULL in a tree of files */
    bool is_block;
    const struct node *node;
};

typedef void files_visitor(void *context, const struct open_file *file);

/*
 * Visits every open file that counts as a use. Not those that a device may go with, as an input
 * device's, nor udev's, nor what qemu needs to have a device in a VM. The host of `uses` must have
 * its nodes already.
 */
void open_files_each(struct usage *uses, files_visitor *visit, void *context);

#endif
