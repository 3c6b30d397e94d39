/*
 * The world that the stand-in for libvirt and its host live in: a directory, $FAKE_LIBVIRT, that
 * any number of processes look at and change.
 *
 *     vms/NAME.xml   a VM's XML as libvirt returns it; it runs when its <domain> has an id
 *     definitions/NAME.xml
 *                    what libvirt keeps of a VM that runs; no file: it is transient
 *     saved/NAME     it has a saved state, 'virsh managedsave'
 *     states/NAME    its virDomainState and the reason, two numbers; no file: it runs, or not
 *     host/          the host's files (sys/, proc/): what the engine gets as --sysroot
 *     native/ADDRESS the host driver that wants a PCI device, as the kernel would find it
 *     vfio/ADDRESS   a device that libvirt found on vfio-pci, and leaves there
 *     lost/ADDRESS   the VM whose qemu has the device although libvirt has lost track of it
 *     stuck/ADDRESS  its driver does not release it
 *     daemon         a number, another after each start of the daemon; no file: it does not run
 *     busy/NAME      another job of the VM runs: as in libvirt 11.0 to 11.4, its XML waits for it,
 *                    in vain; with the text "wait" until the file is gone, 30 s at most
 *     language       of the daemon's messages, see language.h; no file: English
 *     faults         what goes wrong, see libvirt.c
 *     counts/CALL    how often that has been called
 *     calls          a line each call with its result
 *     lock           held by whoever changes something (flock)
 */
#ifndef TESTS_FAKE_WORLD_H
#define TESTS_FAKE_WORLD_H

#include <stdbool.h>
#include <stddef.h>

enum { WORLD_PATH = 1024 };

/* A path in the world; `path` is returned. */
char *world_path(char path[WORLD_PATH], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The text of a file, which the caller frees; NULL when there is none. */
char *world_read(const char *path);

/* Replaces a file in one step. */
void world_write(const char *path, const char *text);

/* Returns a descriptor, or -1 when there are none left. */
int world_lock(const char *name);
void world_unlock(int lock);

/* The driver that a PCI device of the host is bound to, "" for none. False: no such device. */
bool world_driver(const char *address, char driver[64]);
/* Binds it to another, "" for none, or to the one that wants it. */
void world_bind(const char *address, const char *driver);
void world_bind_native(const char *address);

/* Its driver_override, as libvirt sets it ("" for none), and whether it is set. */
void world_override(const char *address, const char *driver);
bool world_is_overridden(const char *address);

/* Calls `take` with each endpoint of the device's IOMMU group, itself too, until one returns true;
 * then returns true. */
bool world_group(const char *address, bool (*take)(void *context, const char *member),
                 void *context);

/* Each VM's XML, as above. */
bool world_vms(bool (*take)(void *context, const char *name, char *xml), void *context);

#endif
