#include "engine/backend/backend_place.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

#define OTHER_MACHINES "q35 or pc on x86_64, virt on aarch64 and riscv64"

void backend_place_write(FILE *out, const struct guest_place *place) {
    if (place->kind == GUEST_PLACE_PCI)
        fprintf(out,
                "  <address type='pci' domain='0x0000' bus='0x%02x' slot='0x%02x' "
                "function='0x%x'/>\n",
                place->bus, place->slot, place->function);
    else if (place->needs_port)
        fprintf(out, "  <address type='usb' bus='%u' port='%s'/>\n", place->bus, place->port);
    else if (place->needs_bus)
        fprintf(out, "  <address type='usb' bus='%u'/>\n", place->bus);
}

void backend_place_write_definition(FILE *out, const struct backend_options *options) {
    const struct action_option *boot =
        options->goes_along ? NULL : syntax_find_option(options->list, OPTION_BOOT_ORDER);
    if (!options->is_definition)
        return;
    if (boot)
        fprintf(out, "  <boot order='%u'/>\n", boot->number);
    if (*options->alias)
        fprintf(out, "  <alias name='%s'/>\n", options->alias);
}

/* --- SCSI */

void backend_place_write_unit(FILE *out, const struct guest_place *place) {
    if (place->has_unit)
        fprintf(out, "  <address type='drive' controller='%u' bus='0' target='0' unit='%u'/>\n",
                place->scsi, place->unit);
}

char *backend_place_controller_xml(const struct guest_place *place) {
    if (place->needs_port_controller)
        return memory_printf(
            "<controller type='pci' index='%u' model='pcie-root-port'>\n"
            "  <model name='%s'/>\n"
            "  <target chassis='%u' port='0x%x'/>\n"
            "  <address type='pci' domain='0x0000' bus='0x00' slot='0x%02x' function='0x0'/>\n"
            "</controller>",
            place->bus, place->port_model, place->port_chassis, place->port_slot << 3,
            place->port_slot);
    return place->needs_scsi
               ? memory_printf("<controller type='scsi' index='%u' model='virtio-scsi'/>",
                               place->scsi)
               : NULL;
}

struct verdict backend_place_refuse_scsi(const struct backend_need *need) {
    const struct guest *guest = need->guest;
    const char *place = guest->has_pcie_root ? "free PCIe root port" : "free PCI slot";
    if (guest->has_no_pci)
        return verdict_refuse(
            REFUSED_NO_SCSI,
            memory_printf("the VM has no virtio SCSI controller with a free unit, and its machine "
                          "type %s takes none while it runs",
                          need->domain->machine),
            memory_strdup("it needs a VM of another machine type: " OTHER_MACHINES));
    return verdict_refuse(
        REFUSED_NO_SCSI,
        memory_printf("the VM has no virtio SCSI controller with a free unit, and no %s to plug "
                      "one into",
                      place),
        memory_printf("add to the VM while it is off: <controller type='scsi' index='%u' "
                      "model='virtio-scsi'/>",
                      guest_scsi_free_index(guest)));
}

/* --- PCI */

/* The machine type has no place for any. */
static struct verdict backend_place_refuse_machine(const struct domain *domain, const char *what) {
    if (domain->guest.has_ccw)
        return verdict_refuse(
            REFUSED_NO_PORT,
            memory_printf("the VM's machine type %s has no PCI slots or root ports, so no %s can "
                          "be plugged in: its PCI devices need zPCI addresses",
                          domain->machine, what),
            memory_strdup("put it into the VM's definition yourself while the VM is off ('virsh "
                          "edit'): libvirt then gives it a zPCI address; or use a VM of another "
                          "machine type: " OTHER_MACHINES));
    return verdict_refuse(
        REFUSED_NO_PORT,
        memory_printf("the VM's machine type %s has no PCI bus, so no %s can be plugged in",
                      domain->machine, what),
        memory_strdup("it needs a VM of another machine type: " OTHER_MACHINES));
}

struct verdict backend_place_refuse_pci(const struct backend_need *need, const char *what) {
    const struct domain *domain = need->domain;
    const struct guest *guest = &domain->guest;
    if (guest->has_no_pci || guest->has_ccw)
        return backend_place_refuse_machine(domain, what);
    const char *kind = guest->has_pcie_root ? "PCIe root port" : "PCI slot";
    char *ports = !guest->has_pcie_root ? memory_strdup("")
                  : guest->fixed_ports
                      ? memory_printf(" (it has %u in all, %u of them with hotplug='off')",
                                      guest->root_ports, guest->fixed_ports)
                      : memory_printf(" (it has %u in all)", guest->root_ports);
    char *message = need->needed == 1
                        ? memory_printf("the VM has no free %s%s", kind, ports)
                        : memory_printf("%zu %ss need a %s each, and the VM has %zu left%s",
                                        need->needed, what, kind, need->placed, ports);
    free(ports);
    return verdict_refuse(
        REFUSED_NO_PORT, message,
        guest->has_pcie_root
            ? memory_printf("add to the VM while it is off: <controller type='pci' "
                            "model='pcie-root-port'/>, one for each %s",
                            what)
            : memory_strdup("add to the VM while it is off: <controller type='pci' "
                            "model='pci-bridge'/>, and make place for it: delete the <address> of "
                            "another PCI device, and libvirt puts that behind the bridge"));
}

/* --- USB */

struct verdict backend_place_judge_usb(const struct domain *domain,
                                       const struct backend_options *options) {
    (void)options;
    if (!domain->machine || domain->guest.has_usb)
        return (struct verdict){0};
    char *xml = guest_usb_to_add(&domain->guest, 0);
    if (!xml)
        return verdict_refuse(
            REFUSED_NO_USB,
            memory_printf("the VM has no USB, and its machine type %s takes no USB controller",
                          domain->machine),
            memory_strdup("it needs a VM of another machine type: " OTHER_MACHINES));
    struct verdict verdict = verdict_refuse(
        REFUSED_NO_USB, memory_strdup("the VM has no USB controller"),
        domain->guest.has_usb_none
            ? memory_printf("put into the VM while it is off, instead of <controller type='usb' "
                            "model='none'/>: %s",
                            xml)
            : memory_printf("add to the VM while it is off: %s", xml));
    free(xml);
    return verdict;
}

char *backend_place_hint_usb(const struct guest *guest, unsigned index) {
    char *xml = guest_usb_to_add(guest, index);
    char *hint = xml ? memory_printf("add to the VM while it is off: %s", xml)
                     : memory_strdup("the VM's machine type takes no other USB controller");
    free(xml);
    return hint;
}

char *backend_place_speed_text(const struct device *device) {
    return device->speed == 1 ? memory_strdup("1.5") : memory_printf("%u", device->speed);
}

/* Whether so many devices would have a place if the VM had no other USB device. */
static bool backend_place_fits_alone(const struct guest *guest, const struct device *device,
                                     size_t count) {
    struct guest empty = *guest;
    struct guest_place place;
    size_t hubs = 0, placed = 0;
    for (size_t i = 0; i < empty.usb_device_count; i++)
        if (empty.usb_devices[i].is_hub)
            empty.usb_devices[hubs++] = empty.usb_devices[i];
    empty.usb_device_count = hubs;
    empty.usb_unplaced = 0;
    while (placed < count && guest_take_usb(&empty, device, -1, &place) == GUEST_USB_TAKEN)
        placed++;
    return placed == count;
}

struct verdict backend_place_refuse_usb(const struct backend_need *need,
                                        const struct device *device, const char *what) {
    struct guest left = *need->guest;
    struct guest_place place;
    char *text = guest_usb_text(need->guest);
    char *add = backend_place_hint_usb(need->guest, guest_usb_free_index(need->guest));
    char *speed = backend_place_speed_text(device);
    bool is_full = guest_take_usb(&left, device, -1, &place) == GUEST_USB_FULL;
    char *message =
        need->needed > 1 ? memory_printf("%zu %ss need a USB port of %s Mbit/s each, and the VM "
                                         "has %zu left: %s",
                                         need->needed, what, speed, need->placed, text)
        : is_full        ? memory_printf("the VM has no free USB port left: %s", text)
                  : memory_printf("none of the VM's free USB ports takes a device of %s Mbit/s: %s",
                                  speed, text);
    bool fits = backend_place_fits_alone(need->guest, device, need->needed);
    char *hint = memory_printf("%s%s", add, fits ? "; or detach a USB device from it" : "");
    free(speed);
    free(add);
    free(text);
    return verdict_refuse(REFUSED_NO_USB_PORT, message, hint);
}

/* --- files of the host */

/* Of any of its interfaces; NULL: none. usbfs is a program of the host, or a VM. */
static const char *backend_place_bound_driver(const struct device *device) {
    for (size_t i = 0; i < device->interface_count; i++)
        if (device->interfaces[i].driver)
            return device->interfaces[i].driver;
    return NULL;
}

char *backend_place_missing_driver(const struct device *device, const char *driver) {
    const char *bound = backend_place_bound_driver(device);
    if (device->unknown & (DEVICE_UNKNOWN_INTERFACES | DEVICE_UNKNOWN_DRIVER))
        return memory_strdup("which drivers are bound to it cannot be read");
    if (bound && strcmp(bound, "usbfs") == 0)
        return memory_strdup("a program has it open as a USB device, in place of a host driver");
    if (driver && (!bound || strcmp(bound, driver) != 0))
        return memory_printf("the driver %s is not bound to it ('modprobe %s' loads that)", driver,
                             driver);
    return bound ? memory_printf("its host driver is %s", bound)
                 : memory_strdup("no host driver is bound to it");
}

char *backend_place_note_files(const struct device *device, enum device_file_kind kind,
                               const char *folder) {
    char *names = memory_strdup("");
    for (size_t i = 0; i < device_file_count(device, kind); i++) {
        const struct device_file *file = device_find_file(device, kind, i);
        if (file->link_count == 0)
            memory_append(&names, "%s%s", *names ? ", " : "", file->path);
    }
    char *note = *names ? memory_printf("%s has no link below %s, so its name may be another "
                                        "device's after the next plug: does udev run?",
                                        names, folder)
                        : NULL;
    free(names);
    return note;
}
