/*
 * What the kernel tells of a device that came or went: the variables of its uevent
 * (kobject_uevent() of lib/kobject_uevent.c, usb_uevent() and usb_dev_uevent() of drivers/usb/core,
 * pci_uevent() of drivers/pci/pci-driver.c), which udev hands on with some of its own.
 */
#ifndef ENGINE_UEVENT_H
#define ENGINE_UEVENT_H

#include "engine/model/device.h"

struct uevent {
    bool removed;    /* went; else came */
    bool stands;     /* nothing came: the device is there, and it may be that nobody was told */
    uint64_t number; /* SEQNUM, in the order of the kernel; 0: told by hand */
    /* What the event says of it. Of a USB device that came, that is neither serial nor the class
     * of an interface; of one that went, only udev has kept those. */
    struct device device;
};

/*
 * Reads "NAME=VALUE" texts, which NULL ends. Returns false, with nothing to finish, for whatever is
 * not the coming or going of a PCI device or of a USB device other than a root hub. That is so too
 * for what the kernel was only asked to say again (SYNTH_UUID, from Linux 4.13).
 */
bool uevent_init(struct uevent *uevent, const char *const *variables);

/* An event of a device that is known from elsewhere; it is copied. */
void uevent_of(struct uevent *uevent, const struct device *device, bool removed, uint64_t number);
void uevent_finish(struct uevent *uevent);

/*
 * The variables of one message of the kernel's: "add@/devices/..." and the texts, each with a NUL.
 * `message` must have a NUL at its end. Returns NULL when it is no such message. The caller frees
 * the list; the texts stay in the message.
 */
const char **uevent_split(char *message, size_t size);

#endif
