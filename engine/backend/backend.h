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

/* How a device is to be attached. A backend reads the options of its own with
 * syntax_find_option(). */
struct backend_options {
    const struct action_option *list; /* of the rule's action; borrowed; NULL: none */
    bool goes_along; /* the device goes with the group of the one that the rule selects, whose ROM
                        it does not get */
    unsigned long libvirt_version; /* of the daemon: 9000000 is 9.0.0; 0: unknown */
    struct guest_place place;      /* from take_place() */
};

/* A device that finds no place in the guest. */
struct backend_need {
    const struct domain *domain;
    const struct guest *guest; /* what is left of it */
    const struct device *device;
    const struct backend_options *options;
    size_t needed, placed; /* of the devices that go to the VM together */
};

struct backend_type {
    enum backend backend;
    enum bus bus; /* of the devices that it assigns */
    /* libvirt unbinds the host's driver before the attach unless the action says 'unmanaged': a run
     * notes the driver, and binds it again when the device comes back. */
    bool unbinds_driver;

    /*
     * Writes the XML element that attaches the device (formatdomain.html). `options` may be NULL.
     * Two spaces of indentation, one element a line, no last newline. Returns false when the
     * device's address is not well formed.
     */
    bool (*write_xml)(FILE *out, const struct device *device,
                      const struct backend_options *options);
    /*
     * Writes the element that detaches a hostdev, with all that libvirt compares before it takes
     * one out (src/conf/domain_conf.c, 9.0): of a disk the target (virDomainDiskByTarget()), of a
     * serial port the source's path, the target's type and its port (virDomainChrEquals(); without
     * a port it looks for the next free one, and finds nothing), of an input device type, bus and
     * path (virDomainInputDefEquals()), of an interface its MAC address and alias
     * (virDomainNetFindIdx()). NULL: write_xml() of a device at the hostdev's address, of which
     * libvirt compares the <source> alone (virDomainHostdevMatch()).
     */
    bool (*write_detach)(FILE *out, const struct domain_hostdev *hostdev);
    /* Whether the hostdev, which is of this backend and bus, is that device. */
    bool (*is_hostdev)(const struct domain_hostdev *hostdev, const struct device *device);
    /* Why no such device can be attached to this VM. NULL: there is no such reason. */
    struct verdict (*judge_vm)(const struct domain *domain);
    /* Takes a place in the guest for the device, and notes it in the options: see guest_take_pci()
     * and guest_take_usb(). False: none is left. */
    bool (*take_place)(struct guest *guest, const struct device *device,
                       struct backend_options *options);
    /* The refusal when that was so. */
    struct verdict (*refuse_place)(const struct backend_need *need);
    /* What a person should know of the place that was taken, for the caller to free; NULL: nothing.
     * `guest` is what is left. This member may be NULL. */
    char *(*note_place)(const struct guest *guest, const struct device *device,
                        const struct backend_options *options);
};

#define BACKEND(name, ...) extern const struct backend_type backend_type_##name;
#include "lexer/words.def"

/* The row of a word after 'as'. */
const struct backend_type *backend_type(enum backend backend);
/* The first backend of words.def for devices of that bus, for where no rule names one. */
const struct backend_type *backend_of_bus(enum bus bus);

/* Whether the daemon is new enough for all of the options. */
struct verdict backend_judge_options(const struct backend_options *options);

/* The element as one string that the caller frees; NULL: the address is not well formed. */
char *backend_xml(const struct backend_type *type, const struct device *device,
                  const struct backend_options *options);
/* The element that detaches what a VM has, for the caller to free: see write_detach(). */
char *backend_detach_xml(const struct domain_hostdev *hostdev);

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
