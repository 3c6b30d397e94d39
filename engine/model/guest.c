#include "engine/model/guest.h"

#include "lexer/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HUB_PORTS = 8 };

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
                *place = (struct guest_place){GUEST_PLACE_PCI, i, slot};
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
        *place = (struct guest_place){GUEST_PLACE_PCI, bus, 0};
    return true;
}

bool guest_take_pci(struct guest *guest, enum pci_kind kind, struct guest_place *place) {
    struct guest_place slot;

    *place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    if (guest->has_no_pci)
        return false;
    if (!guest->has_pcie_root && !guest->has_pci_root)
        return true; /* the XML says nothing of the buses: libvirt decides */
    bool wants_slot = !guest->has_pcie_root || kind == PCI_CONVENTIONAL;
    if (wants_slot && guest_find_slot(guest, &slot)) {
        guest->buses[slot.bus].used |= UINT32_C(1) << slot.slot;
        if (guest->has_pcie_root)
            *place = slot;
        return true;
    }
    if (guest->has_pcie_root && guest_take_port(guest, wants_slot, place))
        return true;
    return guest->has_unknown_bus;
}

/* The chipset of these machines keeps slot 1 for itself. */
static bool guest_is_i440fx(const char *machine) {
    static const char *const starts[] = {"pc-i440", "pc-0.", "pc-1.", "rhel"};

    if (!machine || strcmp(machine, "pc") == 0)
        return true;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(machine, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

void guest_finish_controllers(struct guest *guest, const char *machine) {
    if (guest->has_pci_root && guest_is_i440fx(machine))
        guest->buses[0].used |= UINT32_C(1) << 1;
    guest->has_no_pci = machine && !guest->has_pcie_root && !guest->has_pci_root &&
                        (strncmp(machine, "microvm", strlen("microvm")) == 0 ||
                         strncmp(machine, "isapc", strlen("isapc")) == 0);
}

/* --- USB */

/* Models of libvirt's virDomainControllerModelUSB; -1: `ports` may say. */
static const struct {
    const char *model;
    unsigned ports;
    bool has_option; /* `ports` of the XML wins */
} usb_models[] = {
    {"piix3-uhci", 2, false}, {"piix4-uhci", 2, false}, {"vt82c686b-uhci", 2, false},
    {"ehci", 6, false},       {"ich9-ehci1", 6, false}, {"ich9-uhci1", 0, false},
    {"ich9-uhci2", 0, false}, {"ich9-uhci3", 0, false}, /* companions: the EHCI's ports */
    {"pci-ohci", 3, false},   {"nec-xhci", 4, true},    {"qemu-xhci", 4, true},
    {"qusb1", 8, true},       {"qusb2", 8, true},
};

static bool guest_count_ports(const char *model, int ports, bool is_live, unsigned *count) {
    if (!model)
        *count = 2; /* libvirt's default, piix3-uhci */
    if (!model)
        return is_live;
    for (size_t i = 0; i < sizeof usb_models / sizeof *usb_models; i++)
        if (strcmp(usb_models[i].model, model) == 0) {
            *count = usb_models[i].has_option && ports >= 0 ? (unsigned)ports : usb_models[i].ports;
            return true;
        }
    return false;
}

static struct guest_usb *guest_usb_at(struct guest *guest, int index) {
    if (index < 0)
        for (index = 0; index < GUEST_USB_CONTROLLERS - 1 && guest->usb[index].is_there; index++)
            ;
    return index < GUEST_USB_CONTROLLERS ? &guest->usb[index] : NULL;
}

void guest_add_usb(struct guest *guest, const char *model, int index, int ports, bool is_live) {
    struct guest_usb *usb = guest_usb_at(guest, index);
    unsigned count = 0;

    if (model && strcmp(model, "none") == 0)
        return;
    guest->has_usb = true;
    if (!usb || !guest_count_ports(model, ports, is_live, &count)) {
        guest->has_unknown_usb = true;
        return;
    }
    usb->is_there = true;
    if (count > 0)
        snprintf(usb->model, sizeof usb->model, "%s", model ? model : "");
    usb->ports += count;
}

static struct guest_usb *guest_usb_of(struct guest *guest, const struct guest_place *place) {
    return place->kind == GUEST_PLACE_USB && place->bus < GUEST_USB_CONTROLLERS
               ? &guest->usb[place->bus]
               : NULL;
}

void guest_use(struct guest *guest, const struct guest_place *place) {
    struct guest_usb *usb = guest_usb_of(guest, place);

    if (place->kind == GUEST_PLACE_PCI && place->bus < GUEST_BUSES && place->slot < GUEST_SLOTS)
        guest->buses[place->bus].used |= UINT32_C(1) << place->slot;
    else if (usb)
        usb->used++;
    else if (place->kind == GUEST_PLACE_SOME_USB)
        guest->usb_unplaced++;
}

/* Where a hub without an address is does not matter to the sum. */
void guest_add_hub(struct guest *guest, const struct guest_place *place) {
    struct guest_usb *usb = guest_usb_of(guest, place);

    guest_use(guest, place);
    if (!usb)
        usb = &guest->usb[0];
    usb->ports += HUB_PORTS;
    usb->hubs++;
}

static unsigned guest_free_usb(const struct guest *guest) {
    unsigned count = 0;

    for (size_t i = 0; i < GUEST_USB_CONTROLLERS; i++)
        if (guest->usb[i].is_there && guest->usb[i].ports > guest->usb[i].used)
            count += guest->usb[i].ports - guest->usb[i].used;
    return count > guest->usb_unplaced ? count - guest->usb_unplaced : 0;
}

bool guest_take_usb(struct guest *guest) {
    if (guest->has_unknown_usb || !guest->has_usb)
        return true; /* libvirt decides */
    if (guest_free_usb(guest) == 0)
        return false;
    guest->usb_unplaced++;
    return true;
}

void guest_leave(struct guest *guest, const struct guest_place *place) {
    struct guest_usb *usb = guest_usb_of(guest, place);

    if (place->kind == GUEST_PLACE_PCI && place->bus < GUEST_BUSES && place->slot < GUEST_SLOTS)
        guest->buses[place->bus].used &= ~(UINT32_C(1) << place->slot);
    else if (usb && usb->used > 0)
        usb->used--;
    else if (place->kind == GUEST_PLACE_SOME_USB && guest->usb_unplaced > 0)
        guest->usb_unplaced--;
}

static char *guest_controller_text(const struct guest_usb *usb, size_t index) {
    char *hubs = usb->hubs ? memory_printf(" and %u hub%s", usb->hubs, usb->hubs == 1 ? "" : "s")
                           : memory_strdup("");
    char *text =
        memory_printf("controller %zu (%s%s) has %u port%s, of which the VM's devices take %u",
                      index, *usb->model ? usb->model : "piix3-uhci", hubs, usb->ports,
                      usb->ports == 1 ? "" : "s", usb->used);
    free(hubs);
    return text;
}

char *guest_usb_text(const struct guest *guest) {
    char *text = memory_strdup("");

    for (size_t i = 0; i < GUEST_USB_CONTROLLERS; i++) {
        if (!guest->usb[i].is_there)
            continue;
        char *controller = guest_controller_text(&guest->usb[i], i);
        char *longer = memory_printf("%s%s%s", text, *text ? "; " : "", controller);
        free(controller);
        free(text);
        text = longer;
    }
    if (guest->usb_unplaced) { /* without an address in the XML, or of this plan */
        char *longer =
            memory_printf("%s; %u more USB device%s take%s one%s", text, guest->usb_unplaced,
                          guest->usb_unplaced == 1 ? "" : "s", guest->usb_unplaced == 1 ? "s" : "",
                          guest->usb_unplaced == 1 ? "" : " each");
        free(text);
        text = longer;
    }
    return text;
}
