/*
 * How a device of the host is handed to a VM: one row, and one file, for each word after 'as'. What
 * is said of a backend elsewhere is asked here, so that a new one is a row and a file.
 */
#ifndef ENGINE_BACKEND_H
#define ENGINE_BACKEND_H

#include "engine/backend/verdict.h"
#include "engine/model/domain.h"
#include "parser/syntax.h"

#include <stdio.h>

struct backend_options {
    bool unmanaged;           /* vfio: managed='no', so libvirt leaves the host's driver alone */
    bool rom_off;             /* vfio: <rom bar='off'/> */
    const char *rom;          /* vfio: <rom file='...'/>; NULL: none. rom_off wins over it */
    struct guest_place place; /* from take_place() */
};

struct backend_type {
    enum backend backend;
    enum bus bus; /* of the devices that it hands over */
    /* The device goes to the VM with its IOMMU group: nothing of the group may stay with a driver
     * of the host or belong to another VM. */
    bool by_group;
    /* libvirt unbinds the host's driver before the attach unless the action says 'unmanaged': a run
     * notes the driver, and binds it again when the device comes back. */
    bool unbinds_driver;

    /*
     * Writes the device's XML element (formatdomain.html). The same text attaches and detaches,
     * since libvirt compares the source only. `options` may be NULL. Two spaces of indentation, one
     * element a line, no last newline. Returns false when the device's address is not well formed.
     */
    bool (*write_xml)(FILE *out, const struct device *device,
                      const struct backend_options *options);
    /* Whether the hostdev, which is of this bus, is that device. */
    bool (*is_hostdev)(const struct domain_hostdev *hostdev, const struct device *device);
    /* Why this VM cannot take any such device. NULL: there is no such reason. */
    struct verdict (*judge_vm)(const struct domain *domain);
    /* Takes the place in the guest that the device gets: see guest_take_pci(). False: none left. */
    bool (*take_place)(struct guest *guest, const struct device *device, struct guest_place *place);
    /* Of `needed` devices only `placed` found a place. */
    struct verdict (*refuse_place)(const struct domain *domain, size_t needed, size_t placed);
};

extern const struct backend_type backend_vfio, backend_usb;

/* The row of a word after 'as'. */
const struct backend_type *backend_type(enum backend backend);
/* The backend for devices of that bus where no rule names one. */
const struct backend_type *backend_of_bus(enum bus bus);

/* The element as one string that the caller frees; NULL: the address is not well formed. */
char *backend_xml(const struct backend_type *type, const struct device *device,
                  const struct backend_options *options);

/* The same by the backend of the device's bus, without options: it detaches the device. */
char *backend_detach_xml(const struct device *device);

/*
 * Whether the hostdev is that device. A USB hostdev is compared by all that the XML has of id, bus
 * and device number; so one whose device was plugged in again under another number is none.
 */
bool backend_is_hostdev(const struct domain_hostdev *hostdev, const struct device *device);
/* The domain's hostdev that is the device, or NULL. */
const struct domain_hostdev *backend_hostdev_of(const struct domain *domain,
                                                const struct device *device);

#endif
