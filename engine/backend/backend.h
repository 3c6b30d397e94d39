/*
 * How a device of the host is assigned to a VM. A backend is a BACKEND row of lexer/words.def, and
 * a file here that defines its backend_type_NAME; domain_xml.c says which elements of the domain
 * XML are its own.
 */
#ifndef ENGINE_BACKEND_H
#define ENGINE_BACKEND_H

#include "engine/backend/verdict.h"
#include "engine/host/host.h"
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
    enum bus bus; /* of the devices that it assigns */
    /* libvirt unbinds the host's driver before the attach unless the action says 'unmanaged': a run
     * notes the driver, and binds it again when the device comes back. */
    bool unbinds_driver;

    /*
     * Writes the device's XML element (formatdomain.html). The same text attaches and detaches:
     * libvirt compares only its <source>. `options` may be NULL. Two spaces of indentation, one
     * element a line, no last newline. Returns false when the device's address is not well formed.
     */
    bool (*write_xml)(FILE *out, const struct device *device,
                      const struct backend_options *options);
    /* Whether the hostdev, which is of this backend and bus, is that device. */
    bool (*is_hostdev)(const struct domain_hostdev *hostdev, const struct device *device);
    /* Why no such device can be attached to this VM. NULL: there is no such reason. */
    struct verdict (*judge_vm)(const struct domain *domain);
    /* Takes a place in the guest for the device: see guest_take_pci(). False: none is left. */
    bool (*take_place)(struct guest *guest, const struct device *device, struct guest_place *place);
    /* The refusal when only `placed` of `needed` devices found a place. */
    struct verdict (*refuse_place)(const struct domain *domain, size_t needed, size_t placed);
};

#define BACKEND(name, ...) extern const struct backend_type backend_type_##name;
#include "lexer/words.def"

/* The row of a word after 'as'. */
const struct backend_type *backend_type(enum backend backend);
/* The first backend of words.def for devices of that bus, for where no rule names one. */
const struct backend_type *backend_of_bus(enum bus bus);

/* The element as one string that the caller frees; NULL: the address is not well formed. Without
 * options (NULL) it detaches the device. */
char *backend_xml(const struct backend_type *type, const struct device *device,
                  const struct backend_options *options);

/*
 * Whether the hostdev is that device. A USB hostdev is compared by all that the XML has of id, bus
 * and device number. So it is not the device that was plugged in again under another number.
 */
bool backend_is_hostdev(const struct domain_hostdev *hostdev, const struct device *device);
/* The device of the host that the hostdev is, or NULL. */
const struct device *backend_device_of(const struct host *host,
                                       const struct domain_hostdev *hostdev);
/* The domain's hostdev that is the device, or NULL. */
const struct domain_hostdev *backend_hostdev_of(const struct domain *domain,
                                                const struct device *device);

#endif
