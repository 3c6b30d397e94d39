/*
 * The places of a VM that a hot-plugged device can take, counted as libvirt counts them
 * (src/conf/domain_addr.c): free PCIe root ports, free PCI slots, free USB ports. A value that can
 * be copied, so that a plan can try something and go back.
 */
#ifndef ENGINE_GUEST_H
#define ENGINE_GUEST_H

#include "engine/model/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUEST_BUSES = 256, GUEST_SLOTS = 32, GUEST_USB_CONTROLLERS = 16 };

/* What a PCI controller of the guest gives to hot-plugged devices. */
enum guest_bus_kind {
    GUEST_BUS_NONE,  /* there is none, or it takes no hot-plugged device */
    GUEST_BUS_PORT,  /* one PCI Express device */
    GUEST_BUS_SLOTS, /* conventional PCI devices, in slots */
};

struct guest_bus {
    enum guest_bus_kind kind;
    unsigned first_slot;
    uint32_t used; /* one bit for each slot */
};

/* A USB controller with the hubs behind it. */
struct guest_usb {
    bool is_there;
    char model[24]; /* "nec-xhci"; "": the XML names none */
    unsigned ports; /* of the controller and of its hubs */
    unsigned hubs;
    unsigned used; /* ports, by the hubs too; may be more than there are */
};

struct guest {
    struct guest_bus buses[GUEST_BUSES]; /* by the index of their controllers */
    bool has_pcie_root;                  /* q35, virt */
    bool has_pci_root;                   /* i440fx, pseries */
    bool has_unknown_bus;                /* a PCI controller whose model is not known here */
    bool has_no_pci;                     /* the machine type has no PCI bus at all */
    unsigned root_ports;                 /* pcie-root-port and pcie-switch-downstream-port */
    unsigned fixed_ports;                /* those of them with hotplug='off' */
    unsigned spare_ports;                /* free ones whose controller has no index */
    struct guest_usb usb[GUEST_USB_CONTROLLERS]; /* by index */
    bool has_usb;                                /* a controller whose model is not 'none' */
    bool has_unknown_usb;                        /* one whose number of ports is not known here */
    unsigned usb_unplaced; /* USB devices without an address: each takes some port */
};

/* Where a device is in the guest. */
struct guest_place {
    enum {
        GUEST_PLACE_NONE,
        GUEST_PLACE_PCI,
        GUEST_PLACE_USB,
        GUEST_PLACE_SOME_USB, /* a USB device whose XML has no address */
    } kind;
    unsigned bus, slot; /* USB: the index of the controller, and nothing */
};

/* --- while the XML is read */

/* `index` -1: the XML has none. */
void guest_add_pci(struct guest *guest, const char *model, int index, bool has_hotplug);
/* `model` NULL: the XML names none, which means the machine's default where the VM `is_live`, and
 * is open where it is not; `ports` -1: the XML has none. */
void guest_add_usb(struct guest *guest, const char *model, int index, int ports, bool is_live);
/* One more device at that place. */
void guest_use(struct guest *guest, const struct guest_place *place);
/* `place` is that of a USB hub: it takes a port and gives eight. */
void guest_add_hub(struct guest *guest, const struct guest_place *place);
/* After all of them: `machine` NULL is unknown. */
void guest_finish_controllers(struct guest *guest, const char *machine);

/* --- questions */

/*
 * Takes the place that a hot-plugged PCI device gets. False: there is none. `place` is of kind NONE
 * where libvirt finds the place by itself; else the device's XML must name it, because libvirt
 * looks for a conventional slot for a device without an Express capability, and takes a root port
 * only when the XML names it.
 */
bool guest_take_pci(struct guest *guest, enum pci_kind kind, struct guest_place *place);
bool guest_take_usb(struct guest *guest);
/* A device that is detached leaves its place. */
void guest_leave(struct guest *guest, const struct guest_place *place);

/* "nec-xhci (index 0): 4 ports; ..." of all controllers, for the caller to free. */
char *guest_usb_text(const struct guest *guest);

#endif
