/* What the engine knows of a VM, and by which names. No I/O. */
#ifndef ENGINE_DOMAIN_H
#define ENGINE_DOMAIN_H

#include "engine/model/definition_mark.h"
#include "engine/model/device.h"
#include "engine/model/guest.h"
#include "parser/syntax.h"

#include <stdbool.h>
#include <stddef.h>

enum { DOMAIN_UUID_SIZE = 37 };

/*
 * A host device that the domain has, whoever gave it: a <hostdev>, an <interface type='hostdev'>,
 * or an element that names a file of the host: a <disk type='block'>, a <serial type='dev'> of USB
 * or PCI, an <input type='passthrough'>. What is not said is 0 or "".
 */
struct domain_hostdev {
    enum backend backend; /* that writes such an element; never BACKEND_NONE */
    enum bus bus;         /* of `address`; with a path any of the backend's */
    char address[32];     /* PCI: "0000:03:00.0"; SCSI: "3:0:0:0"; USB: "" */
    char *path; /* the file of the host: "/dev/disk/by-id/..."; NULL: the XML names none */
    char uuid[DOMAIN_UUID_SIZE]; /* of a mediated device, lower case */
    char mac[GUEST_MAC_SIZE];    /* of an interface, lower case */
    /* Of a disk in the guest: "vdb"; of a serial port "usb-serial" or "pci-serial"; of an input
     * device "passthrough" or "evdev". */
    char target[32];
    /* Of a serial port: its number in the XML. Of an input device: the ISA address, which only the
     * engine gives it, see backend_input.c; 0: none. */
    unsigned target_port;
    char *element;       /* for people: "disk vdb", "serial", "hostdev" */
    struct device_id id; /* USB: vendor and product, 0:0 when the XML names none */
    unsigned bus_number; /* USB: 0 when the XML names none */
    unsigned device_number;
    char alias[64];           /* "hostdev0", or "" */
    struct guest_place place; /* in the guest */
    /* We have put it into the VM's definition: one of the domain's marks; NULL: somebody else. */
    const struct definition_mark *mark;
};

/* A controller of type 'pci'. */
struct domain_controller {
    unsigned index; /* of the bus that it gives */
    bool is_root_port;
    const struct definition_mark *mark; /* as of a hostdev */
};

/* An element of <devices> with a <boot order='N'/>. */
struct domain_boot {
    unsigned order;
    char *element;  /* for people: "disk vda" */
    size_t hostdev; /* its number in the list, from 1; 0: it is not one */
};

/* What else of the host an element of the XML names, which may be on a device of the host. */
enum domain_use_kind {
    DOMAIN_USE_PCI,       /* a PCI address: "0000:03:00.0", of an NVMe disk */
    DOMAIN_USE_USB,       /* "1/3", bus and device number, or "10c4:ea60" */
    DOMAIN_USE_PATH,      /* a node: "/dev/sda", "/dev/disk/by-id/...", "/dev/ttyUSB0" */
    DOMAIN_USE_SYSFS,     /* a path below /sys */
    DOMAIN_USE_MDEV,      /* the UUID of a mediated device */
    DOMAIN_USE_SCSI,      /* a SCSI device: "0:0:1:0" is host, bus, target, unit */
    DOMAIN_USE_VHOST,     /* the WWPN of a vhost-scsi target */
    DOMAIN_USE_INTERFACE, /* a network interface or a bridge of the host */
    DOMAIN_USE_TAP,       /* the VM's own end, which may be a port of a bridge */
    DOMAIN_USE_VOLUME,    /* of a storage pool: "pool/volume" */
    DOMAIN_USE_CARDS,     /* the host's smart card readers, whichever; the name is "" */
};

struct domain_use {
    enum domain_use_kind kind;
    char *name;
    char *element; /* for people: "disk vda", "interface vnet0", "serial" */
    bool is_disk;
    size_t hostdev; /* of the same element, its number in the list, from 1; 0: it has none */
};

struct domain {
    char *name;    /* never NULL after domain_xml_parse() */
    char *title;   /* as written, white space and all, like libvirt's; NULL: none or empty */
    char *uuid;    /* lower case with dashes; NULL: none, or not 32 hex digits */
    char *machine; /* "pc-q35-7.2"; NULL: unknown */
    int id;        /* libvirt's number of the running domain; -1: not running or not said */
    bool is_off;   /* a status file of libvirt says that it is shut off */
    /* What it has cannot be read, and why; it may have anything. NULL: it can. */
    char *unreadable;
    bool is_unread; /* it is so as libvirt did not give the XML, and may do so later */
    struct domain_hostdev *hostdevs;
    size_t hostdev_count;
    struct domain_use *uses; /* beside the hostdevs */
    size_t use_count;
    struct domain_controller *controllers;
    size_t controller_count;
    struct domain_boot *boots;
    size_t boot_count;
    bool has_os_boot; /* <os> has a <boot dev='...'/>, which excludes all <boot order='N'/> */
    struct definition_mark *marks; /* what is ours of it, there or not: see definition_mark.h */
    size_t mark_count;
    /* A definition that a person typed may have no controllers: libvirt adds them. */
    struct guest guest;
};

/* A domain of which only a name is known, as a person typed it; the UUID too, if it is one. The
 * caller ends it with domain_finish(), like every other. */
void domain_from_name(struct domain *domain, const char *name);

/* A VM whose XML cannot be read or parsed, and why: it may hold any device. */
void domain_unreadable(struct domain *domain, const char *name, const char *why);
void domain_finish(struct domain *domain);

/* Whether the mark is of that hostdev; and whether what it is of is in the domain. */
bool domain_is_marked(const struct domain_hostdev *hostdev, const struct definition_mark *mark);
bool domain_has_marked(const struct domain *domain, const struct definition_mark *mark);

/*
 * The domain as it would be without some of the hostdevs that are marked as ours: those with `kept`
 * set (one for each hostdev of `domain`; NULL: none) stay. It borrows all texts of `domain`;
 * domain_finish_without() ends it.
 */
void domain_without_marked(struct domain *left, const struct domain *domain, const bool *kept);
void domain_finish_without(struct domain *left);

/* By what libvirt, the locks and our files know the VM: its UUID, else its name. */
const char *domain_key(const struct domain *domain);

/* Whether both are the same VM: by UUID where both have one, else by name. */
bool domain_is_same(const struct domain *a, const struct domain *b);

/* What people call the VM: its title, else its name. */
const char *domain_label(const struct domain *domain);

/* By what a text means a domain, the weakest first. */
enum domain_fit { FIT_NOT, FIT_TITLE, FIT_NAME, FIT_UUID };

/*
 * Writes the UUID in lower case with dashes. Returns false when the text is not a UUID: 32 hex
 * digits with dashes anywhere and white space around them, as libvirt's virUUIDParse() reads it.
 */
bool domain_uuid_parse(const char *text, char uuid[DOMAIN_UUID_SIZE]);

/*
 * Which of the domains the text means: the one that it fits best, of those that could be read.
 * Returns its index; or `count` when there is none, or when two have that title, which `first` and
 * `second` then are (NULL otherwise).
 */
size_t domain_pick(const struct domain *list, size_t count, const char *text,
                   const struct domain **first, const struct domain **second);

/* Whether the domain has the mediated device of that UUID, in lower case. */
bool domain_has_mdev(const struct domain *domain, const char *uuid);

/* True when `text` equals the domain's name, title or UUID (in any case, dashes or not). */
bool domain_is_called(const struct domain *domain, const char *text);

#endif
