#include "engine/model/guest.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HUB_PORTS = 8, PORT_DEPTH = 4 }; /* libvirt's own */

/* --- bits */

static void guest_set_bit(uint64_t *bits, unsigned number, bool is_set) {
    uint64_t bit = UINT64_C(1) << number % 64;
    bits[number / 64] = is_set ? bits[number / 64] | bit : bits[number / 64] & ~bit;
}

/* --- PCI */

static void guest_add_port(struct guest *guest, int index, bool has_hotplug) {
    guest->root_ports++;
    if (!has_hotplug)
        guest->fixed_ports++;
    else if (index < 0)
        guest->spare_ports++;
    else
        guest->buses[index].kind = GUEST_BUS_PORT;
}

/* Models of libvirt's virDomainControllerModelPCI. pcie-root, dmi-to-pci-bridge, pcie-expander-bus
 * and pcie-switch-upstream-port take nothing that is hot-plugged. */
static const struct {
    const char *model;
    enum guest_bus_kind kind;
    unsigned first_slot;
} bus_models[] = {
    {"pci-root", GUEST_BUS_SLOTS, 1},
    {"pci-bridge", GUEST_BUS_SLOTS, 1},         /* slot 0 is its hot-plug controller's */
    {"pcie-to-pci-bridge", GUEST_BUS_SLOTS, 1}, /* the same */
    {"pci-expander-bus", GUEST_BUS_SLOTS, 0},
    {"pcie-root-port", GUEST_BUS_PORT, 0},
    {"pcie-switch-downstream-port", GUEST_BUS_PORT, 0},
    {"pcie-root", GUEST_BUS_NONE, 0},
    {"dmi-to-pci-bridge", GUEST_BUS_NONE, 0},
    {"pcie-expander-bus", GUEST_BUS_NONE, 0},
    {"pcie-switch-upstream-port", GUEST_BUS_NONE, 0},
};

void guest_add_pci(struct guest *guest, const char *model, int index, bool has_hotplug) {
    size_t i = 0, count = sizeof bus_models / sizeof *bus_models;

    while (i < count && (!model || strcmp(bus_models[i].model, model) != 0))
        i++;
    if (i == count) {
        guest->has_unknown_bus = true;
        return;
    }
    if (index >= 0 && (unsigned)index >= guest->next_bus)
        guest->next_bus = (unsigned)index + 1;
    bool is_pci_root = strcmp(model, "pci-root") == 0;
    guest->has_pcie_root |= strcmp(model, "pcie-root") == 0;
    guest->has_pci_root |= is_pci_root;
    if (is_pci_root && index < 0)
        index = 0;
    if (bus_models[i].kind == GUEST_BUS_PORT) {
        guest_add_port(guest, index, has_hotplug);
    } else if (bus_models[i].kind == GUEST_BUS_SLOTS && has_hotplug) {
        if (index < 0)
            guest->has_unknown_bus = true;
        else {
            guest->buses[index].kind = GUEST_BUS_SLOTS;
            guest->buses[index].first_slot = bus_models[i].first_slot;
        }
    }
}

void guest_set_reserve(struct guest *guest, int index, uint64_t reserve) {
    if (index >= 0)
        guest->buses[index].reserve = reserve;
}

static bool guest_is_free(const struct guest_bus *bus, unsigned slot) {
    return !(bus->used >> slot & 1);
}

/* The first free one, or the last; GUEST_BUSES: none. */
static unsigned guest_find_port(const struct guest *guest, bool last) {
    unsigned found = GUEST_BUSES;

    for (unsigned i = 0; i < GUEST_BUSES && (last || found == GUEST_BUSES); i++)
        if (guest->buses[i].kind == GUEST_BUS_PORT && !guest->buses[i].used)
            found = i;
    return found;
}

static bool guest_find_slot(const struct guest *guest, struct guest_place *place) {
    for (unsigned i = 0; i < GUEST_BUSES; i++) {
        const struct guest_bus *bus = &guest->buses[i];
        for (unsigned slot = bus->first_slot; bus->kind == GUEST_BUS_SLOTS && slot < GUEST_SLOTS;
             slot++)
            if (guest_is_free(bus, slot)) {
                *place = (struct guest_place){.kind = GUEST_PLACE_PCI,
                                              .bus = i,
                                              .slot = slot,
                                              .has_pci_bus = true,
                                              .pci_bus = i};
                return true;
            }
    }
    return false;
}

/* libvirt takes the first free port for an Express device; a port that the XML names is the last
 * one, so that the two never meet whatever comes first. */
static bool guest_take_port(struct guest *guest, bool is_named, struct guest_place *place) {
    unsigned bus = guest_find_port(guest, is_named);

    if (bus == GUEST_BUSES)
        return guest->spare_ports > 0 && guest->spare_ports--;
    guest->buses[bus].used |= 1;
    if (is_named)
        *place = (struct guest_place){.kind = GUEST_PLACE_PCI, .bus = bus};
    place->has_pci_bus = true;
    place->pci_bus = bus;
    return true;
}

void guest_add_chassis(struct guest *guest, unsigned chassis) {
    guest_set_bit(guest->chassis, chassis % GUEST_BUSES, true);
}

/* As libvirt numbers them, by the index, unless somebody else has given that number. */
static unsigned guest_take_chassis(struct guest *guest, unsigned index) {
    unsigned chassis = index;

    while (guest->chassis[chassis / 64] >> chassis % 64 & 1)
        chassis = chassis % (GUEST_BUSES - 1) + 1;
    guest_add_chassis(guest, chassis);
    return chassis;
}

/* Slots of bus 0 that libvirt and qemu have plans for, whether the XML names what is there or not:
 * of the host bridge, and on q35 of the first graphics card, USB, sound, a bridge to PCI, and the
 * chipset (qemuDomainValidateDevicePCISlotsQ35()). A virt machine has no more than its bridge. */
static bool guest_is_reserved(const struct guest *guest, unsigned slot) {
    bool is_of_q35 = slot == 0x01 || slot == 0x1a || slot == 0x1b || slot >= 0x1d;
    return slot == 0 || (is_of_q35 && !guest->is_virt);
}

bool guest_add_root_port(struct guest *guest, struct guest_place *place) {
    unsigned slot = 0;

    while (slot < GUEST_SLOTS &&
           (guest_is_reserved(guest, slot) || !guest_is_free(&guest->buses[0], slot)))
        slot++;
    if (!guest->has_pcie_root || guest->has_no_pci || slot == GUEST_SLOTS ||
        guest->next_bus >= GUEST_BUSES)
        return false;
    *place = (struct guest_place){.kind = GUEST_PLACE_PCI,
                                  .bus = guest->next_bus,
                                  .needs_port_controller = true,
                                  .port_slot = slot,
                                  .port_chassis = guest_take_chassis(guest, guest->next_bus),
                                  .port_model = guest->has_ioh3420 ? "ioh3420" : "pcie-root-port"};
    guest->buses[0].used |= UINT32_C(1) << slot;
    guest_add_pci(guest, "pcie-root-port", (int)place->bus, true);
    guest->buses[place->bus].used |= 1;
    return true;
}

/* In a definition every place is named: libvirt would add controllers of its own, which stay when
 * the device goes. */
static bool guest_take_definition_pci(struct guest *guest, enum pci_kind kind,
                                      struct guest_place *place) {
    /* A graphics card gets slot 2 (qemuDomainValidateDevicePCISlotsPIIX3()); for the last slot
     * libvirt would add a bridge. */
    const uint32_t kept = UINT32_C(1) << 2 | UINT32_C(1) << 31;
    bool wants_slot = !guest->has_pcie_root || kind == PCI_CONVENTIONAL;

    if (!guest->has_pcie_root)
        guest->buses[0].used |= kept;
    if (wants_slot && guest_find_slot(guest, place)) {
        guest->buses[place->bus].used |= UINT32_C(1) << place->slot;
        return true;
    }
    unsigned port = guest->has_pcie_root ? guest_find_port(guest, false) : GUEST_BUSES;
    if (port == GUEST_BUSES)
        return guest_add_root_port(guest, place) || guest->has_unknown_bus;
    guest->buses[port].used |= 1;
    *place = (struct guest_place){.kind = GUEST_PLACE_PCI, .bus = port};
    return true;
}

bool guest_take_pci(struct guest *guest, enum pci_kind kind, struct guest_place *place) {
    struct guest_place slot;

    *place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    if (guest->has_no_pci || guest->has_ccw)
        return false;
    if (!guest->has_pcie_root && !guest->has_pci_root)
        return true; /* the XML says nothing of the buses: libvirt decides */
    if (guest->is_definition)
        return guest_take_definition_pci(guest, kind, place);
    bool wants_slot = !guest->has_pcie_root || kind == PCI_CONVENTIONAL;
    if (wants_slot && guest_find_slot(guest, &slot)) {
        guest->buses[slot.bus].used |= UINT32_C(1) << slot.slot;
        if (guest->has_pcie_root)
            *place = slot;
        place->has_pci_bus = true;
        place->pci_bus = slot.bus;
        return true;
    }
    if (guest->has_pcie_root && guest_take_port(guest, wants_slot, place))
        return true;
    return guest->has_unknown_bus;
}

bool guest_take_virtio(struct guest *guest, struct guest_place *place) {
    if (!guest->has_ccw)
        return guest_take_pci(guest, PCI_EXPRESS, place);
    *place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    return true;
}

/* --- machine types */

static bool guest_starts_with_one(const char *machine, const char *const *starts) {
    for (; *starts; starts++)
        if (strncmp(machine, *starts, strlen(*starts)) == 0)
            return true;
    return false;
}

/* What libvirt takes where the XML names no model (qemuDomainGetSCSIControllerModel()). */
static bool guest_has_virtio_scsi(const char *machine) {
    static const char *const starts[] = {"virt", "s390", NULL};
    return machine && guest_starts_with_one(machine, starts);
}

/* The chipset of these machines keeps slot 1 for itself. */
static bool guest_is_i440fx(const char *machine) {
    static const char *const starts[] = {"pc-i440", "pc-0.", "pc-1.", "rhel", NULL};
    return !machine || strcmp(machine, "pc") == 0 || guest_starts_with_one(machine, starts);
}

/* Of aarch64, riscv64 and loongarch64; "virt-rhel9.2.0" too. */
static bool guest_is_virt(const char *machine) {
    static const char *const starts[] = {"virt", NULL};
    return machine && guest_starts_with_one(machine, starts);
}

/*
 * Whatever the XML says: a microvm takes nothing while it runs (docs/system/i386/microvm.rst of
 * qemu). The others have no PCI bus, or only one that libvirt does not know of, so that its XML has
 * no root bus.
 */
static bool guest_is_without_pci(const struct guest *guest, const char *machine) {
    static const char *const never[] = {"microvm", NULL};
    static const char *const boards[] = {"isapc",  "vexpress", "raspi", "integratorcp",
                                         "sifive", "spike",    NULL};
    bool has_root = guest->has_pcie_root || guest->has_pci_root;
    return machine && (guest_starts_with_one(machine, never) ||
                       (!has_root && guest_starts_with_one(machine, boards)));
}

/* s390-ccw-virtio, of Red Hat too. */
static bool guest_is_s390(const char *machine) {
    static const char *const starts[] = {"s390", NULL};
    return machine && guest_starts_with_one(machine, starts);
}

void guest_finish_controllers(struct guest *guest, const char *machine) {
    guest->is_i440fx = machine && guest->has_pci_root && guest_is_i440fx(machine);
    if (guest->has_pci_root && guest_is_i440fx(machine))
        guest->buses[0].used |= UINT32_C(1) << 1;
    guest->is_virt = guest_is_virt(machine);
    guest->has_no_pci = guest_is_without_pci(guest, machine);
    guest->has_ccw = guest_is_s390(machine);
    for (size_t i = 0; i < GUEST_SCSI_CONTROLLERS; i++)
        if (guest->scsi[i].is_there && !guest->scsi[i].has_model)
            guest->scsi[i].is_virtio = guest_has_virtio_scsi(machine);
    /* The controller of a live VM without a model is qemu's own of that machine type. */
    for (size_t i = 0; i < GUEST_USB_CONTROLLERS && !guest_is_i440fx(machine); i++)
        if (guest->usb[i].is_there && !*guest->usb[i].model)
            guest->usb[i].speeds = GUEST_SPEED_ANY;
}

/* --- names of disks, and units of SCSI controllers */

static const char *const disk_prefixes[GUEST_DISK_KINDS] = {"vd", "sd"};

/* "sda" is 0, "sdz" 25, "sdaa" 26, as virDiskNameParse() reads it; false: it is none of these. */
static bool guest_disk_number(const char *target, enum guest_disk_kind *kind, unsigned *number) {
    const char *letter = target + 2;

    for (*kind = 0; *kind < GUEST_DISK_KINDS; (*kind)++)
        if (strncmp(target, disk_prefixes[*kind], 2) == 0)
            break;
    if (*kind == GUEST_DISK_KINDS || !*letter)
        return false;
    for (*number = 0; *letter >= 'a' && *letter <= 'z' && *number < GUEST_DISK_NAMES; letter++)
        *number = (*number + (letter > target + 2)) * 26 + (unsigned)(*letter - 'a');
    return !*letter && *number < GUEST_DISK_NAMES;
}

static void guest_disk_name(enum guest_disk_kind kind, unsigned number,
                            char target[GUEST_TARGET_SIZE]) {
    if (number < 26)
        snprintf(target, GUEST_TARGET_SIZE, "%s%c", disk_prefixes[kind], (char)('a' + number));
    else
        snprintf(target, GUEST_TARGET_SIZE, "%s%c%c", disk_prefixes[kind],
                 (char)('a' + number / 26 - 1), (char)('a' + number % 26));
}

static void guest_mark_disk(struct guest *guest, const struct guest_place *place, bool is_used) {
    enum guest_disk_kind kind;
    unsigned number;

    if (guest_disk_number(place->target, &kind, &number))
        guest_set_bit(guest->disks[kind], number, is_used);
    if (place->has_unit && place->scsi < GUEST_SCSI_CONTROLLERS && place->unit < GUEST_SCSI_UNITS)
        guest_set_bit(&guest->scsi[place->scsi].used, place->unit, is_used);
}

/* virDomainDiskDefAssignAddress(): 15 disks a controller, whose unit 7 is left out. */
bool guest_unit_of_name(const char *target, struct guest_place *place) {
    enum { UNITS = 15, RESERVED = 7 };
    enum guest_disk_kind kind;
    unsigned number;

    if (!guest_disk_number(target, &kind, &number))
        return false;
    place->has_unit = true;
    place->scsi = number / UNITS;
    place->unit = number % UNITS + (number % UNITS >= RESERVED);
    return true;
}

/* A controller without a model is libvirt's default, which is virtio on machines without the
 * others: that is for guest_finish_controllers(). */
void guest_add_scsi(struct guest *guest, const char *model, int index) {
    if (index < 0)
        for (index = 0; index < GUEST_SCSI_CONTROLLERS - 1 && guest->scsi[index].is_there; index++)
            ;
    if (index >= GUEST_SCSI_CONTROLLERS)
        return;
    guest->scsi[index].is_there = true;
    guest->scsi[index].has_model = model;
    guest->scsi[index].is_virtio = model && strncmp(model, "virtio", strlen("virtio")) == 0;
}

bool guest_take_disk_name(struct guest *guest, enum guest_disk_kind kind,
                          struct guest_place *place) {
    for (unsigned i = 0; i < GUEST_DISK_NAMES; i++)
        if (!(guest->disks[kind][i / 64] >> i % 64 & 1)) {
            guest_set_bit(guest->disks[kind], i, true);
            guest_disk_name(kind, i, place->target);
            return true;
        }
    return false;
}

static bool guest_take_unit_of(struct guest *guest, unsigned index, struct guest_place *place) {
    struct guest_scsi *scsi = &guest->scsi[index];

    for (unsigned unit = 0; unit < GUEST_SCSI_UNITS; unit++)
        if (!(scsi->used >> unit & 1)) {
            guest_set_bit(&scsi->used, unit, true);
            place->has_unit = true;
            place->scsi = index;
            place->unit = unit;
            return true;
        }
    return false;
}

unsigned guest_scsi_free_index(const struct guest *guest) {
    unsigned index = 0;

    while (index < GUEST_SCSI_CONTROLLERS && guest->scsi[index].is_there)
        index++;
    return index;
}

bool guest_take_scsi_unit(struct guest *guest, struct guest_place *place) {
    unsigned index = guest_scsi_free_index(guest);

    for (unsigned i = 0; i < GUEST_SCSI_CONTROLLERS; i++)
        if (guest->scsi[i].is_there && guest->scsi[i].is_virtio &&
            guest_take_unit_of(guest, i, place))
            return true;
    if (index == GUEST_SCSI_CONTROLLERS || !guest_take_virtio(guest, place))
        return false;
    guest->scsi[index].is_there = guest->scsi[index].is_virtio = true;
    place->needs_scsi = true;
    return guest_take_unit_of(guest, index, place);
}

/* --- USB controllers */

/* Models of libvirt's virDomainControllerModelUSB, their ports (virDomainUSBAddressController-
 * ModelToPorts) and the speeds of these in qemu. */
static const struct {
    const char *model;
    unsigned ports;
    bool has_option; /* `ports` of the XML wins */
    unsigned speeds;
} usb_models[] = {
    {"piix3-uhci", 2, false, GUEST_SPEED_FULL},
    {"piix4-uhci", 2, false, GUEST_SPEED_FULL},
    {"vt82c686b-uhci", 2, false, GUEST_SPEED_FULL},
    {"ehci", 6, false, GUEST_SPEED_HIGH},
    {"ich9-ehci1", 6, false, GUEST_SPEED_HIGH},
    {"pci-ohci", 3, false, GUEST_SPEED_FULL},
    {"nec-xhci", 4, true, GUEST_SPEED_ANY},
    {"qemu-xhci", 4, true, GUEST_SPEED_ANY},
    {"qusb1", 8, true, GUEST_SPEED_FULL},
    {"qusb2", 8, true, GUEST_SPEED_FULL | GUEST_SPEED_HIGH},
};

/* The companions of ich9-ehci1 have no ports of their own, but share two of its ports each. */
static const struct {
    const char *model;
    unsigned startport; /* where the XML has no <master> */
} companions[] = {{"ich9-uhci1", 0}, {"ich9-uhci2", 2}, {"ich9-uhci3", 4}};

static struct guest_usb *guest_usb_at(struct guest *guest, int index) {
    if (index < 0)
        for (index = 0; index < GUEST_USB_CONTROLLERS - 1 && guest->usb[index].is_there; index++)
            ;
    return index < GUEST_USB_CONTROLLERS ? &guest->usb[index] : NULL;
}

/* Without an index it belongs to the VM's ich9-ehci1. */
static struct guest_usb *guest_companion_at(struct guest *guest, int index) {
    for (size_t i = 0; index < 0 && i < GUEST_USB_CONTROLLERS; i++)
        if (strcmp(guest->usb[i].model, "ich9-ehci1") == 0)
            return &guest->usb[i];
    return guest_usb_at(guest, index < 0 ? 0 : index);
}

/* False: it is not one. */
static bool guest_add_companion(struct guest *guest, const struct guest_usb_xml *xml) {
    size_t i = 0, count = sizeof companions / sizeof *companions;
    while (i < count && (!xml->model || strcmp(companions[i].model, xml->model) != 0))
        i++;
    if (i == count)
        return false;
    struct guest_usb *usb = guest_companion_at(guest, xml->index);
    unsigned startport = xml->startport < 0 ? companions[i].startport : (unsigned)xml->startport;
    if (usb && startport < GUEST_USB_PORTS)
        usb->companion_ports |= UINT64_C(3) << startport;
    return true;
}

void guest_add_usb(struct guest *guest, const struct guest_usb_xml *xml) {
    size_t i = 0, count = sizeof usb_models / sizeof *usb_models;

    if (xml->model && strcmp(xml->model, "none") == 0) {
        guest->has_usb_none = true;
        return;
    }
    guest->has_usb = true;
    if (guest_add_companion(guest, xml))
        return;
    struct guest_usb *usb = guest_usb_at(guest, xml->index);
    if (!usb) {
        guest->has_unknown_usb = true;
        return;
    }
    while (xml->model && i < count && strcmp(usb_models[i].model, xml->model) != 0)
        i++; /* no model: libvirt's default, piix3-uhci */
    usb->is_there = true;
    snprintf(usb->model, sizeof usb->model, "%s", xml->model ? xml->model : "");
    if (i == count || (!xml->model && !xml->is_live)) {
        usb->is_unknown = guest->has_unknown_usb = true;
        return;
    }
    usb->ports = usb_models[i].ports;
    usb->speeds = usb_models[i].speeds;
    if (usb_models[i].has_option && xml->ports >= 0)
        usb->ports = xml->ports < GUEST_USB_PORTS ? (unsigned)xml->ports : GUEST_USB_PORTS;
}

/* --- USB ports that are taken */

bool guest_parse_port(const char *text, char port[GUEST_PORT_SIZE]) {
    size_t length = 0;

    *port = '\0';
    for (unsigned depth = 0; text && depth < PORT_DEPTH; depth++) {
        char *end;
        unsigned long part = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (part == 0 || part > UINT8_MAX)
            break;
        length += (size_t)snprintf(port + length, GUEST_PORT_SIZE - length, "%s%lu",
                                   depth ? "." : "", part);
        if (*end == '\0')
            return true;
        if (*end != '.')
            break;
        text = end + 1;
    }
    *port = '\0';
    return false;
}

/* What is at that port, or NULL. */
static const struct guest_usb_device *guest_usb_device_at(const struct guest *guest, unsigned bus,
                                                          const char *port) {
    for (size_t i = 0; i < guest->usb_device_count; i++)
        if (guest->usb_devices[i].bus == bus && strcmp(guest->usb_devices[i].port, port) == 0)
            return &guest->usb_devices[i];
    return NULL;
}

static void guest_add_usb_device(struct guest *guest, const struct guest_place *place, bool is_hub,
                                 bool is_planned) {
    if (guest->usb_device_count == GUEST_USB_DEVICES) {
        guest->has_unknown_usb = true;
        return;
    }
    struct guest_usb_device *device = &guest->usb_devices[guest->usb_device_count++];
    *device =
        (struct guest_usb_device){.bus = place->bus, .is_hub = is_hub, .is_planned = is_planned};
    snprintf(device->port, sizeof device->port, "%s", place->port);
}

void guest_use(struct guest *guest, const struct guest_place *place) {
    guest_mark_disk(guest, place, true);
    if (place->kind == GUEST_PLACE_PCI && place->bus < GUEST_BUSES && place->slot < GUEST_SLOTS)
        guest->buses[place->bus].used |= UINT32_C(1) << place->slot;
    else if (place->kind == GUEST_PLACE_USB)
        guest_add_usb_device(guest, place, false, false);
    else if (place->kind == GUEST_PLACE_SOME_USB)
        guest->usb_unplaced++;
}

/* libvirt gives a hub without an address the first free port when the VM is defined. */
void guest_add_hub(struct guest *guest, const struct guest_place *place) {
    if (place->kind == GUEST_PLACE_USB)
        guest_add_usb_device(guest, place, true, false);
    else
        guest->usb_unplaced_hubs++;
}

void guest_leave(struct guest *guest, const struct guest_place *place) {
    guest_mark_disk(guest, place, false);
    if (place->kind == GUEST_PLACE_PCI && place->bus < GUEST_BUSES && place->slot < GUEST_SLOTS)
        guest->buses[place->bus].used &= ~(UINT32_C(1) << place->slot);
    else if (place->kind == GUEST_PLACE_SOME_USB && guest->usb_unplaced > 0)
        guest->usb_unplaced--;
    for (size_t i = 0; place->kind == GUEST_PLACE_USB && i < guest->usb_device_count; i++)
        if (guest->usb_devices[i].bus == place->bus &&
            strcmp(guest->usb_devices[i].port, place->port) == 0) {
            guest->usb_devices[i] = guest->usb_devices[--guest->usb_device_count];
            return;
        }
}

/* --- USB ports that are free */

struct guest_usb_search {
    const struct guest *guest;
    unsigned bus;
    unsigned device_speeds;
    struct guest_place *best; /* the first of the fastest; kind NONE: none that suits */
    unsigned best_speed;      /* enum guest_speed */
    bool has_free;            /* a port that suits or not */
};

/* The fastest of several speeds. */
static unsigned guest_fastest(unsigned speeds) {
    return speeds & GUEST_SPEED_SUPER  ? GUEST_SPEED_SUPER
           : speeds & GUEST_SPEED_HIGH ? GUEST_SPEED_HIGH
                                       : speeds & GUEST_SPEED_FULL;
}

static void guest_consider_port(struct guest_usb_search *search, const char *port,
                                unsigned speeds) {
    unsigned speed = guest_fastest(speeds & search->device_speeds);

    if (speed > search->best_speed) {
        *search->best = (struct guest_place){
            .kind = GUEST_PLACE_USB, .bus = search->bus, .needs_port = search->has_free};
        snprintf(search->best->port, sizeof search->best->port, "%s", port);
        search->best_speed = speed;
    }
    search->has_free = true;
}

/* Considers the free ports in the order in which libvirt takes them: those of the controller, then
 * those of each hub in turn. `above` is the path of the hub; "": the controller itself. */
static void guest_search_ports(struct guest_usb_search *search, const char *above, unsigned depth) {
    const struct guest_usb *usb = &search->guest->usb[search->bus];
    unsigned count = *above ? HUB_PORTS : usb->ports;
    char port[GUEST_PORT_SIZE];

    for (int hubs = 0; hubs <= 1; hubs++)
        for (unsigned i = 0; i < count; i++) {
            snprintf(port, sizeof port, "%s%s%u", above, *above ? "." : "", i + 1);
            const struct guest_usb_device *device =
                guest_usb_device_at(search->guest, search->bus, port);
            unsigned speeds = GUEST_SPEED_FULL;
            if (!*above)
                speeds = usb->speeds | (usb->companion_ports >> i & 1 ? GUEST_SPEED_FULL : 0);
            if (!hubs && !device)
                guest_consider_port(search, port, speeds);
            else if (hubs && device && device->is_hub && depth < PORT_DEPTH)
                guest_search_ports(search, port, depth + 1);
        }
}

/* The devices and hubs without an address get the ports that libvirt gives them: the first ones. */
static void guest_place_all(struct guest *guest) {
    while (guest->usb_unplaced_hubs || guest->usb_unplaced) {
        struct guest_place place = {0};
        for (unsigned i = 0; i < GUEST_USB_CONTROLLERS && !place.kind; i++) {
            struct guest_usb_search search = {guest, i, GUEST_SPEED_ANY, &place, 0, false};
            guest_search_ports(&search, "", 1);
        }
        bool is_hub = guest->usb_unplaced_hubs > 0;
        if (is_hub)
            guest->usb_unplaced_hubs--;
        else
            guest->usb_unplaced--;
        if (!place.kind)
            return; /* libvirt would not start it */
        guest_add_usb_device(guest, &place, is_hub, false);
    }
}

/* At which speeds qemu can give the device to a guest. */
static unsigned guest_device_speeds(const struct device *device) {
    unsigned speeds = GUEST_SPEED_FULL;

    if (device->speed == 0)
        return GUEST_SPEED_ANY;
    if (device->speed > 12)
        speeds = GUEST_SPEED_FULL | GUEST_SPEED_HIGH;
    if (device->speed > 480)
        speeds = GUEST_SPEED_ANY;
    return speeds;
}

static unsigned guest_speed_of(const struct device *device, unsigned speed) {
    unsigned most = speed == GUEST_SPEED_SUPER ? 5000 : speed == GUEST_SPEED_HIGH ? 480 : 12;
    return device->speed < most ? device->speed : most;
}

unsigned guest_usb_count(const struct guest *guest) {
    unsigned count = 0;

    for (size_t i = 0; i < GUEST_USB_CONTROLLERS; i++)
        count += guest->usb[i].is_unknown || guest->usb[i].ports > 0;
    return count;
}

enum guest_usb_answer guest_take_usb(struct guest *guest, const struct device *device,
                                     int controller, struct guest_place *place) {
    struct guest placed = *guest;
    unsigned best_speed = 0, best_class = 0;
    bool is_known = guest->has_usb && controller < GUEST_USB_CONTROLLERS;
    bool has_free = false;

    *place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    if (controller >= 0 && (!is_known || guest->usb[controller].is_unknown)) {
        if (is_known || !guest->has_usb || guest->has_unknown_usb)
            *place = (struct guest_place){
                .kind = GUEST_PLACE_USB, .bus = (unsigned)controller, .needs_bus = true};
        return place->kind ? GUEST_USB_TAKEN : GUEST_USB_MISSING;
    }
    if (!is_known)
        return GUEST_USB_TAKEN; /* a definition that a person typed, or a VM that is not known */
    if (controller >= 0 && !guest->usb[controller].is_there)
        return GUEST_USB_MISSING;
    guest_place_all(&placed);
    for (unsigned i = 0; i < GUEST_USB_CONTROLLERS; i++) {
        struct guest_place found = {.kind = GUEST_PLACE_NONE};
        struct guest_usb_search search = {&placed, i, guest_device_speeds(device),
                                          &found,  0, false};
        if (controller >= 0 && i != (unsigned)controller)
            continue;
        guest_search_ports(&search, "", 1);
        has_free |= search.has_free;
        unsigned class = guest_fastest(placed.usb[i].speeds);
        if (!search.best_speed || search.best_speed < best_speed ||
            (search.best_speed == best_speed && class <= best_class))
            continue;
        *place = found;
        best_speed = search.best_speed;
        best_class = class;
    }
    if (!place->kind && controller < 0 && guest->has_unknown_usb)
        return GUEST_USB_TAKEN;
    if (!place->kind)
        return has_free ? GUEST_USB_UNSUITABLE : GUEST_USB_FULL;
    place->speed = guest_speed_of(device, best_speed);
    /* One controller alone is libvirt's choice too. */
    place->needs_bus = place->needs_port || guest_usb_count(guest) > 1;
    guest_add_usb_device(guest, place, false, true);
    return GUEST_USB_TAKEN;
}

/* --- texts */

char *guest_usb_name(const struct guest *guest, unsigned index) {
    const char *model = index < GUEST_USB_CONTROLLERS ? guest->usb[index].model : "";

    return *model ? memory_printf("controller %u (%s)", index, model)
                  : memory_printf("controller %u", index);
}

static char *guest_controller_text(const struct guest *guest, unsigned index) {
    const struct guest_usb *usb = &guest->usb[index];
    unsigned hubs = 0, used = 0, planned = 0;

    for (size_t i = 0; i < guest->usb_device_count; i++) {
        const struct guest_usb_device *device = &guest->usb_devices[i];
        if (device->bus != index)
            continue;
        hubs += device->is_hub;
        used += !device->is_planned;
        planned += device->is_planned;
    }
    if (usb->is_unknown) {
        char *name = guest_usb_name(guest, index);
        char *unknown = memory_printf("%s has a number of ports that only libvirt knows", name);
        free(name);
        return unknown;
    }
    unsigned ports = usb->ports + hubs * HUB_PORTS;
    char *hubs_text =
        hubs ? memory_printf(" and %u hub%s", hubs, hubs == 1 ? "" : "s") : memory_strdup("");
    char *planned_text = planned ? memory_printf(" and this plan %u", planned) : memory_strdup("");
    char *text = memory_printf("controller %u (%s%s) has %u port%s, of which the VM's devices take "
                               "%u%s",
                               index, *usb->model ? usb->model : "piix3-uhci", hubs_text, ports,
                               ports == 1 ? "" : "s", used, planned_text);
    free(planned_text);
    free(hubs_text);
    return text;
}

char *guest_usb_text(const struct guest *guest) {
    struct guest placed = *guest;
    char *text = memory_strdup("");

    guest_place_all(&placed);
    for (unsigned i = 0; i < GUEST_USB_CONTROLLERS; i++) {
        if (guest->usb[i].ports == 0 && !guest->usb[i].is_unknown)
            continue;
        char *controller = guest_controller_text(&placed, i);
        memory_append(&text, "%s%s", *text ? "; " : "", controller);
        free(controller);
    }
    if (!*text)
        memory_append(&text, "its controllers have no ports");
    return text;
}

unsigned guest_usb_free_index(const struct guest *guest) {
    unsigned index = 0;

    while (index < GUEST_USB_CONTROLLERS && guest->usb[index].is_there)
        index++;
    return index;
}

char *guest_usb_to_add(const struct guest *guest, unsigned index) {
    return guest->has_no_pci || guest->has_ccw
               ? NULL
               : memory_printf("<controller type='usb' index='%u' model='qemu-xhci' ports='15'/>",
                               index);
}

/* --- network cards */

bool guest_parse_mac(const char *text, char mac[GUEST_MAC_SIZE]) {
    uint32_t part[6];
    const char *end = text ? text_parse_numbers(text, 16, ':', part, 6) : NULL;
    if (!end || *end)
        return false;
    for (size_t i = 0; i < 6; i++)
        if (part[i] > 0xff)
            return false;
    snprintf(mac, GUEST_MAC_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", part[0], part[1], part[2],
             part[3], part[4], part[5]);
    return true;
}

void guest_add_card(struct guest *guest, const char *mac, bool is_function) {
    if (guest->card_count == GUEST_CARDS)
        return;
    struct guest_card *card = &guest->cards[guest->card_count++];
    snprintf(card->mac, sizeof card->mac, "%s", mac);
    card->is_function = is_function;
}

void guest_remove_card(struct guest *guest, const char *mac) {
    for (size_t i = guest->card_count; i-- > 0;)
        if (!strcmp(guest->cards[i].mac, mac)) {
            guest->cards[i] = guest->cards[--guest->card_count];
            return;
        }
}

const struct guest_card *guest_find_card(const struct guest *guest, const char *mac) {
    const struct guest_card *found = NULL;
    for (size_t i = 0; i < guest->card_count; i++)
        if (!strcmp(guest->cards[i].mac, mac) && (!found || guest->cards[i].is_function))
            found = &guest->cards[i];
    return found;
}
