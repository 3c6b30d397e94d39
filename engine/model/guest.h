/*
 * The places of a VM that a hot-plugged device can take, counted as libvirt counts them
 * (src/conf/domain_addr.c): free PCIe root ports, free PCI slots, free USB ports, units of SCSI
 * controllers, names of disks. A value that can be copied, so that a plan can try something and go
 * back.
 */
#ifndef ENGINE_GUEST_H
#define ENGINE_GUEST_H

#include "engine/model/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GUEST_BUSES = 256,
    GUEST_SLOTS = 32,
    GUEST_USB_CONTROLLERS = 32,
    GUEST_USB_PORTS = 64,    /* of one controller; qemu allows 15 */
    GUEST_USB_DEVICES = 192, /* of the VM */
    GUEST_PORT_SIZE = 20,    /* "255.255.255.255" */
    GUEST_SCSI_CONTROLLERS = 32,
    GUEST_SCSI_UNITS = 64,           /* of one controller; virtio-scsi has 16384 */
    GUEST_DISK_NAMES = 26 + 26 * 26, /* "vda" to "vdzz" */
    GUEST_TARGET_SIZE = 32,
    GUEST_CARDS = 64, /* network cards of which the address is kept */
    GUEST_MAC_SIZE = 18
};

/* What a PCI controller of the guest gives to hot-plugged devices. */
enum guest_bus_kind {
    GUEST_BUS_NONE,  /* there is none, or it takes no hot-plugged device */
    GUEST_BUS_PORT,  /* one PCI Express device */
    GUEST_BUS_SLOTS, /* conventional PCI devices, in slots */
};

struct guest_bus {
    enum guest_bus_kind kind;
    unsigned first_slot;
    uint32_t used;    /* one bit for each slot */
    uint64_t reserve; /* bytes that the firmware is told to reserve: `memReserve`; 0: nothing */
};

/* Speeds that a USB port takes and that qemu can give to a device, as bits. */
enum guest_speed {
    GUEST_SPEED_FULL = 1,  /* 12 Mbit/s, and low speed */
    GUEST_SPEED_HIGH = 2,  /* 480 Mbit/s */
    GUEST_SPEED_SUPER = 4, /* 5000 Mbit/s */
    GUEST_SPEED_ANY = 7,
};

/* A USB controller. */
struct guest_usb {
    bool is_there;
    bool is_unknown; /* a model that is not known here: libvirt knows its ports and speeds */
    char model[24];  /* "nec-xhci"; "": the XML names none */
    unsigned ports;  /* its own, without those of hubs */
    unsigned speeds; /* of each of them */
    /* Of an EHCI controller one bit for each port that a UHCI companion shares: that one takes full
     * and low speed there. */
    uint64_t companion_ports;
};

/* A USB port that is taken. */
struct guest_usb_device {
    unsigned bus;               /* the index of the controller */
    char port[GUEST_PORT_SIZE]; /* "1"; behind hubs "1.2" */
    bool is_hub;
    bool is_planned; /* by guest_take_usb() */
};

/* A SCSI controller. */
struct guest_scsi {
    bool is_there;
    bool has_model;
    bool is_virtio; /* the only kind whose guests notice a device that is plugged in */
    uint64_t used;  /* units of its target 0, one bit for each */
};

/* What the names of disks begin with: those of IDE, Xen and floppy disks meet no others. */
enum guest_disk_kind { GUEST_DISK_VD, GUEST_DISK_SD, GUEST_DISK_KINDS };

/* A network card, whatever it is on the host. */
struct guest_card {
    char mac[GUEST_MAC_SIZE]; /* "52:54:00:12:34:56" */
    bool is_function;         /* a virtual function of the host, also a planned one */
};

struct guest {
    struct guest_bus buses[GUEST_BUSES]; /* by the index of their controllers */
    bool has_pcie_root;                  /* q35, virt of aarch64 and riscv64 */
    bool has_pci_root;                   /* i440fx, pseries */
    bool has_unknown_bus;                /* a PCI controller whose model is not known here */
    bool has_no_pci; /* the machine type has no PCI bus at all, or takes nothing while it runs */
    bool has_ccw;    /* s390x: virtio devices are on channel I/O, PCI devices need zPCI addresses */
    unsigned root_ports;                /* pcie-root-port and pcie-switch-downstream-port */
    unsigned fixed_ports;               /* those of them with hotplug='off' */
    unsigned spare_ports;               /* free ones whose controller has no index */
    unsigned next_bus;                  /* one more than the highest index of a PCI controller */
    uint64_t chassis[GUEST_BUSES / 64]; /* chassis numbers that PCIe ports have, one bit for each */
    bool has_ioh3420;                   /* a root port is one, as before qemu 2.9 */
    /* It is a definition: a root port can be added for a device that finds none. Set by who asks
     * for places of one. */
    bool is_definition;
    bool is_i440fx, is_virt;   /* the machine type */
    bool has_efi;              /* the firmware is OVMF or the like, and not SeaBIOS */
    uint64_t pci_hole64;       /* <pcihole64> of the root bus, in bytes; 0: none */
    bool reserves_by_argument; /* an argument for qemu says what root ports reserve for hot-plug */
    struct guest_usb usb[GUEST_USB_CONTROLLERS]; /* by index */
    bool has_usb;                                /* a controller whose model is not 'none' */
    bool has_usb_none;                           /* one whose model is: USB is switched off */
    bool has_unknown_usb; /* one whose ports are not known here, or too much of anything */
    struct guest_usb_device usb_devices[GUEST_USB_DEVICES];
    size_t usb_device_count;
    unsigned usb_unplaced, usb_unplaced_hubs;       /* without an address: each takes some port */
    struct guest_scsi scsi[GUEST_SCSI_CONTROLLERS]; /* by index */
    uint64_t disks[GUEST_DISK_KINDS][(GUEST_DISK_NAMES + 63) / 64]; /* names, one bit for each */
    struct guest_card cards[GUEST_CARDS];
    size_t card_count;
};

/* Where a device is in the guest. */
struct guest_place {
    enum {
        GUEST_PLACE_NONE,
        GUEST_PLACE_PCI,
        GUEST_PLACE_USB,
        GUEST_PLACE_SOME_USB, /* a USB device whose XML has no whole address */
    } kind;
    unsigned bus, slot; /* USB: the index of the controller, and nothing */
    /* From guest_take_pci(): the index of the PCI controller that gets the device, also where
     * libvirt finds the place by itself. */
    bool has_pci_bus;
    unsigned pci_bus;
    unsigned function;          /* PCI */
    char port[GUEST_PORT_SIZE]; /* USB */
    /* From guest_take_usb(): at how many Mbit/s qemu gives the device to the guest there, 0 when
     * that is unknown; and what of the place libvirt does not find by itself. */
    unsigned speed;
    bool needs_bus, needs_port;
    /* Beside that, of a disk: its name in the guest, "vdb"; else "". */
    char target[GUEST_TARGET_SIZE];
    /* Of a SCSI disk or device: where it is on a SCSI controller, at target 0. `kind` is then the
     * place of a controller that is not there yet. */
    bool has_unit, needs_scsi;
    unsigned scsi, unit;
    /* Of a definition: the root port that gives the bus is not there yet, and is to be put into
     * this slot of bus 0. */
    bool needs_port_controller;
    unsigned port_slot, port_chassis;
    const char *port_model; /* qemu's: "pcie-root-port" */
};

/* --- while the XML is read */

/* `index` -1: the XML has none. */
void guest_add_pci(struct guest *guest, const char *model, int index, bool has_hotplug);
/* The chassis number of a PCIe port, of which no two may have the same. */
void guest_add_chassis(struct guest *guest, unsigned chassis);
/* What its <target memReserve> says, in bytes. */
void guest_set_reserve(struct guest *guest, int index, uint64_t reserve);
/* What a <controller type='usb'> says; -1: the XML has none. `model` NULL: the XML names none,
 * which means the machine's default where the VM `is_live`, and is open where it is not.
 * `startport` is of the <master> of a companion. */
struct guest_usb_xml {
    const char *model;
    int index, ports, startport;
    bool is_live;
};
void guest_add_usb(struct guest *guest, const struct guest_usb_xml *xml);
/* Reads a port path, "1.2", as libvirt does. False: it is not one. */
bool guest_parse_port(const char *text, char port[GUEST_PORT_SIZE]);
/* A SCSI controller; `index` -1: the XML has none. `model` NULL: the XML names none. */
void guest_add_scsi(struct guest *guest, const char *model, int index);
/* Where libvirt puts a SCSI disk whose XML has no address: its name says that. False: it has no
 * such name. */
bool guest_unit_of_name(const char *target, struct guest_place *place);
/* One more device at that place. */
void guest_use(struct guest *guest, const struct guest_place *place);
/* `place` is that of a USB hub: it takes a port and gives eight. */
void guest_add_hub(struct guest *guest, const struct guest_place *place);
/* Reads a MAC address as libvirt does, and writes it with two lower case digits each. False: it is
 * not one. */
bool guest_parse_mac(const char *text, char mac[GUEST_MAC_SIZE]);
/* One more network card. */
void guest_add_card(struct guest *guest, const char *mac, bool is_function);
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
/* The same of a virtio device, which needs no PCI bus on s390x. */
bool guest_take_virtio(struct guest *guest, struct guest_place *place);
/*
 * Adds a root port to a definition, and takes it: in a slot of bus 0 that is empty, because libvirt
 * changes the device in the first function of a slot ('multifunction') when another one gets one,
 * and with the next index, because it fills gaps with ports of its own. False: the machine type has
 * none, or no slot is left.
 */
bool guest_add_root_port(struct guest *guest, struct guest_place *place);

enum guest_usb_answer {
    GUEST_USB_TAKEN,
    GUEST_USB_FULL,       /* no port is free */
    GUEST_USB_UNSUITABLE, /* ports are free, and qemu accepts the device at none of them */
    GUEST_USB_MISSING,    /* the VM has no controller of that index */
};

/*
 * Takes the place that a hot-plugged USB device gets: on the controller of that index, or (-1) on
 * the one where it is fastest; of several the one that is fastest itself, which is xHCI before EHCI
 * before UHCI and OHCI, then the first. `place` is of kind NONE where libvirt chooses: a VM whose
 * controllers are not known.
 *
 * libvirt alone takes the first free port of the first controller, whatever its speed. qemu accepts
 * a device at a port whose speeds and the device's have one in common (hw/usb/bus.c,
 * usb_check_attach; usb_host_speed_compat() of host-libusb.c has the device's); its hubs and what
 * is behind them are full speed.
 */
enum guest_usb_answer guest_take_usb(struct guest *guest, const struct device *device,
                                     int controller, struct guest_place *place);
/*
 * Takes a name for a disk, and with `unit` one of a SCSI controller. The controller is a virtio
 * one: a guest does not notice a disk that is plugged in at another (qemu's lsi53c895a has no such
 * event), and libvirt's own choice for a VM without any is that one (qemuDomainGetSCSIController-
 * Model()). Where the VM has none, one of the lowest free index is to be plugged in first
 * (needs_scsi), which takes a PCI place. False: there is none.
 */
bool guest_take_disk_name(struct guest *guest, enum guest_disk_kind kind,
                          struct guest_place *place);
bool guest_take_scsi_unit(struct guest *guest, struct guest_place *place);
/* The lowest index that no SCSI controller has. */
unsigned guest_scsi_free_index(const struct guest *guest);
/* A device that is detached leaves its place. */
void guest_leave(struct guest *guest, const struct guest_place *place);

void guest_remove_card(struct guest *guest, const char *mac);
/* The card with that address, or NULL; a virtual function comes before others. */
const struct guest_card *guest_find_card(const struct guest *guest, const char *mac);

/* How many USB controllers give ports. */
unsigned guest_usb_count(const struct guest *guest);
/* "controller 0 (nec-xhci) has 4 ports, ...; ..." of all controllers, for the caller to free. */
char *guest_usb_text(const struct guest *guest);
/* "controller 0 (nec-xhci)", for the caller to free. */
char *guest_usb_name(const struct guest *guest, unsigned index);
/* The lowest index that no USB controller has. */
unsigned guest_usb_free_index(const struct guest *guest);
/* The element that adds a controller of that index for every speed. The caller frees it; NULL: the
 * machine type takes none. */
char *guest_usb_to_add(const struct guest *guest, unsigned index);

#endif
