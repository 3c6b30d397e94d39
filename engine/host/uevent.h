/*
 * The kernel's events of devices that are added and removed: the variables of a uevent
 * (kobject_uevent() of lib/kobject_uevent.c, usb_uevent() and usb_dev_uevent() of drivers/usb/core,
 * pci_uevent() of drivers/pci/pci-driver.c, scsi_bus_uevent() of drivers/scsi/scsi_sysfs.c), which
 * udev passes on with some of its own.
 */
#ifndef ENGINE_UEVENT_H
#define ENGINE_UEVENT_H

#include "engine/model/device.h"

struct uevent {
    bool removed;    /* else added */
    bool coldplug;   /* no event of the kernel: the device is there, and VMs may not know it yet */
    uint64_t seqnum; /* SEQNUM, in the order of the kernel; 0: an event by hand */
    /* As far as the event describes it. Of a USB device that is added, it lacks the texts of its
     * own and the interfaces; of one that is removed, only udev has kept these. See `unknown`. */
    struct device device;
};

/*
 * Reads "NAME=VALUE" texts, which NULL ends. The caller ends the event with uevent_finish().
 * Returns false, with nothing to finish, unless a PCI device, a USB device other than a root
 * hub, or a SCSI device is added or removed; also for an event that a program asked the kernel to
 * repeat (SYNTH_UUID, from Linux 4.13).
 */
bool uevent_init(struct uevent *uevent, const char *const *variables);

/* An event of a device that the caller knows; the device is copied. */
void uevent_of(struct uevent *uevent, const struct device *device, bool removed, uint64_t seqnum);
void uevent_finish(struct uevent *uevent);

/*
 * The variables of one message of the kernel's: "add@/devices/..." and the texts, each with a NUL.
 * `message` must have a NUL at its end. Returns NULL for any other message. The caller frees
 * the list; the texts stay in the message.
 */
const char **uevent_split(char *message, size_t size);

#endif
