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
#include "engine/model/stable_id.h"
#include "parser/syntax.h"

#include <stdio.h>

/* How a device is to be attached. A backend reads the options of its own with
 * syntax_find_option(). */
struct backend_options {
    const struct action_option *list; /* of the rule's action; borrowed; NULL: none */
    bool goes_along; /* the device goes with the group of the one that the rule selects, whose ROM
                        it does not get */
    unsigned long libvirt_version; /* of the daemon: 9000000 is 9.0.0; 0: unknown */
    struct stable_id
        id; /* of the VM and the words of the rule's target, for 'as net' and 'as mdev' */
    struct guest_place place; /* from take_place(), of the element that is written */
    char mac[GUEST_MAC_SIZE]; /* the same, of 'as net' */
    bool is_definition;       /* the element is for the definition of a VM that is shut off */
    char alias[DEFINITION_MARK_ALIAS]; /* that it gets there; "": none */
};

/* A device that finds no place in the guest. */
struct backend_need {
    const struct domain *domain;
    const struct guest *guest; /* what is left of it */
    const struct device *device;
    const struct backend_options *options;
    size_t needed, placed; /* of the elements that go to the VM together */
};

/*
 * A device is handed over as one or more elements of the domain XML: one of a PCI function, one for
 * each tty of a USB device. They are counted from 0, and `index` is always one of them.
 * `options` may be NULL: none.
 */
struct backend_type {
    enum backend backend;
    /* libvirt unbinds the host's driver before the attach unless the action says 'unmanaged': a run
     * notes the driver, and binds it again when the device comes back. */
    bool unbinds_driver;
    /* VFIO gives the device to the VM: it needs an IOMMU group whose other devices are free, and a
     * device that vfio-pci accepts. */
    bool needs_iommu;
    /* The device stays the host's, and gives a part of itself to each of several VMs: neither the
     * host's use of it nor a part that another VM has refuses it. */
    bool shares_device;

    /* Whether such a device can be presented so, whoever uses it now: REFUSED_BACKEND says what
     * it lacks. Its hint is filled in by backend_judge_device() where there is none. NULL: every
     * device of its buses can. */
    struct verdict (*judge_device)(const struct host *host, const struct device *device,
                                   const struct backend_options *options);
    /* How many elements the device has. NULL: one. */
    size_t (*count_elements)(const struct device *device, const struct backend_options *options);
    /*
     * Writes an element (formatdomain.html) that attaches it. Two spaces of indentation, one XML
     * element a line, no last newline. Returns false when the device has no such element, or the
     * device's address is not well formed.
     */
    bool (*write_xml)(FILE *out, const struct device *device, const struct backend_options *options,
                      size_t index);
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
    /* Whether the hostdev, which is of this backend, is that element of the device. */
    bool (*is_element)(const struct domain_hostdev *hostdev, const struct device *device,
                       size_t index);
    /* Why no such device can be attached to this VM. NULL: there is no such reason. */
    struct verdict (*judge_vm)(const struct domain *domain, const struct backend_options *options);
    /* Takes a place in the guest for an element of the device, and notes it in the options: see
     * guest_take_pci() and guest_take_usb(). False: none is left. NULL: it needs none, or libvirt
     * finds one. */
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
/* Whether its devices are on that bus, and on no other. */
bool backend_has_bus(const struct backend_type *type, enum bus bus);
bool backend_has_bus_only(const struct backend_type *type, enum bus bus);
/* The first backend of words.def for devices of that bus, for where no rule names one. */
const struct backend_type *backend_of_bus(enum bus bus);

/* --- what a device can be attached as */

/* A set of backends, a bit each: 1 << BACKEND_USB. */
typedef unsigned backend_set;

/* Those that can present the device, whoever uses it now. */
backend_set backend_presenting(const struct host *host, const struct device *device);
/* "usb, serial", in the order of words.def, for the caller to free; "" of none. */
char *backend_set_text(backend_set set);
/* What to write instead of another backend: "it can be attached as usb, serial". The caller frees
 * it. */
char *backend_hint(const struct host *host, const struct device *device);
/* Whether this backend, of the device's bus, can: REFUSED_BACKEND, with a hint what can. */
struct verdict backend_judge_device(const struct backend_type *type, const struct host *host,
                                    const struct device *device,
                                    const struct backend_options *options);
/* Whether the daemon is new enough for all of the options. */
struct verdict backend_judge_options(const struct backend_options *options);

/* --- its elements */

size_t backend_count(const struct backend_type *type, const struct device *device,
                     const struct backend_options *options);
/* The text of an attribute, with what XML has entities for. */
void backend_write_text(FILE *out, const char *text);
/* The element as one string that the caller frees; NULL: there is none, see write_xml(). */
char *backend_xml(const struct backend_type *type, const struct device *device,
                  const struct backend_options *options, size_t index);
/* The element that detaches what a VM has, for the caller to free: see write_detach(). */
char *backend_detach_xml(const struct domain_hostdev *hostdev);
/* Which element of the device the hostdev is; their number: none. */
size_t backend_index_of(const struct domain_hostdev *hostdev, const struct device *device);

/*
 * Whether the hostdev is an element of that device, of whatever backend. A USB hostdev is compared
 * by all that the XML has of id, bus and device number. So it is not the device that was plugged in
 * again under another number.
 */
bool backend_is_hostdev(const struct domain_hostdev *hostdev, const struct device *device);
/* The device of the host that the hostdev is an element of, or NULL. Of several, as of a USB stick
 * and the SCSI device on it, the one with the fewest elements; then a USB one. */
const struct device *backend_device_of(const struct host *host,
                                       const struct domain_hostdev *hostdev);
/* The domain's first hostdev that is an element of the device, or NULL. */
const struct domain_hostdev *backend_hostdev_of(const struct domain *domain,
                                                const struct device *device);
/* The next one after that; `last` NULL: the first. NULL: there is none left. */
const struct domain_hostdev *backend_next_hostdev(const struct domain *domain,
                                                  const struct device *device,
                                                  const struct domain_hostdev *last);
/* Whether the domain has that element, or all elements, of which there is one at least. */
bool backend_has_element(const struct domain *domain, const struct backend_type *type,
                         const struct device *device, size_t index);
bool backend_has_all(const struct domain *domain, const struct backend_type *type,
                     const struct device *device, const struct backend_options *options);

/* --- elements that outlive their device */

/*
 * libvirt keeps an element that names a file of the host, or a SCSI device, when the device goes,
 * and nothing tells then what it was; a device that is plugged in again has the same file, which
 * the VM's element does not lead to. So what is attached in that way carries an alias of ours
 * (libvirt 3.9 and later keep one that begins with "ua-"): the backend, the address, the device
 * number on USB (0 elsewhere), and the index: "ua-virt-rules-serial-1-1-4-17-0". In the address
 * '_' stands for ':' and '-' for '.', for libvirt knows letters, digits, '-' and '_' alone.
 */
struct backend_alias {
    enum bus bus;
    char address[32];
    unsigned device_number;
    unsigned index;
};
/* "  <alias name='...'/>\n". */
void backend_write_alias(FILE *out, enum backend backend, const struct device *device,
                         size_t index);
/* Whether the hostdev has such an alias, and what that says. */
bool backend_read_alias(const struct domain_hostdev *hostdev, struct backend_alias *alias);
/* Whether an element with a path or address of this device may be of it: not if its alias says that
 * it is of before the device was plugged in again. is_element() need not ask. */
bool backend_alias_allows(const struct domain_hostdev *hostdev, const struct device *device);

/* The device that a hostdev was an element of, as far as its XML tells: the id and numbers of USB,
 * "bus/device" as its address, or what the alias says, and its file. device_finish() and free() end
 * it. */
struct device *backend_gone_device(const struct domain_hostdev *hostdev);
/* What people call what a VM has: the device, or what its XML says when `device` is NULL.
 * The caller frees it. */
char *backend_hostdev_text(const struct domain_hostdev *hostdev, const struct device *device);

#endif
