/*
 * What the engine knows of a VM, read from libvirt's domain XML (formatdomain.html). The same
 * parser reads the hook's standard input, --domain-xml and the live XML.
 */
#ifndef ENGINE_DOMAIN_H
#define ENGINE_DOMAIN_H

#include "engine/host/host.h"

#include <stdbool.h>
#include <stddef.h>

/* A host device that the domain holds: a <hostdev> or an <interface type='hostdev'>. */
struct domain_hostdev {
    enum bus bus;
    char address[32];    /* PCI: "0000:03:00.0"; USB: "" */
    struct device_id id; /* USB: vendor and product, 0:0 when the XML names none */
    unsigned bus_number; /* USB: 0 when the XML names none */
    unsigned device_number;
    char alias[64]; /* "hostdev0", or "" */
};

struct domain {
    char *name;    /* never NULL after domain_parse() */
    char *title;   /* as written, white space and all, like libvirt's; NULL: none or empty */
    char *uuid;    /* lower case with dashes; NULL: none, or not 32 hex digits */
    char *machine; /* "pc-q35-7.2"; NULL: unknown */
    int id;        /* libvirt's number of the running domain; -1: not running or not said */
    struct domain_hostdev *hostdevs;
    size_t hostdev_count;
    /* Counted from the XML; hot-plug on q35 takes one free port a device. */
    unsigned root_ports;      /* pcie-root-port and pcie-switch-downstream-port controllers */
    unsigned free_root_ports; /* those with hot-plug that no device has an address on */
    /* A definition that a person typed may have neither: libvirt adds them, so the counts mean
     * nothing then. */
    bool has_pcie_root;      /* a pcie-root controller: q35, virt */
    bool has_pci_root;       /* a pci-root controller: i440fx */
    unsigned free_pci_slots; /* of 1 to 31 on each pci-root and pci-bridge controller */
    bool has_usb_controller; /* one whose model is not 'none' */
};

/*
 * Parses `size` bytes of XML. Returns 0, or -1 with one line in `error` that says what is wrong and
 * what to do: empty, not XML (with line and column), truncated, not a <domain>, no <name>, a
 * document type declaration (refused: entity bombs), deeper than 256 elements. The caller ends a
 * good one with domain_finish(); after -1 there is nothing to finish.
 */
int domain_parse(struct domain *domain, const char *xml, size_t size, char *error,
                 size_t error_size);

/* A domain of which only what a person typed is known: it is the name, and the UUID if it is one.
 */
int domain_from_name(struct domain *domain, const char *name);
void domain_finish(struct domain *domain);

/* The hostdev that is `device`, or NULL. A USB hostdev is compared by all that the XML has of id,
 * and bus and device number; so one that stayed behind when its device came back with another id
 * holds nothing. */
const struct domain_hostdev *domain_holds(const struct domain *domain,
                                          const struct host_device *device);

/* Whether the hostdev is that device; see domain_holds(). */
bool domain_hostdev_is(const struct domain_hostdev *hostdev, const struct host_device *device);

/* By what libvirt, the locks and our files know the VM: its UUID, else its name. */
const char *domain_key(const struct domain *domain);

/* What people call the VM: its title, else its name. */
const char *domain_label(const struct domain *domain);

/* True when `text` equals the domain's name, title or UUID (in any case, dashes or not). */
bool domain_is_called(const struct domain *domain, const char *text);

#endif
