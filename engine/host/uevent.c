#include "engine/host/uevent.h"

#include "engine/host/names.h"
#include "engine/model/address.h"
#include "engine/model/device.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASS_BRIDGE = 0x06, CLASS_HUB = 0x09 };

static const char *uevent_value_of(const char *const *variables, const char *name) {
    size_t length = strlen(name);
    for (; *variables; variables++)
        if (!strncmp(*variables, name, length) && (*variables)[length] == '=')
            return *variables + length + 1;
    return NULL;
}

static bool uevent_is(const char *const *variables, const char *name, const char *wanted) {
    const char *value = uevent_value_of(variables, name);
    return value && !strcmp(value, wanted);
}

static unsigned uevent_number_of(const char *const *variables, const char *name) {
    uint32_t number = 0;
    text_parse_decimal(uevent_value_of(variables, name), UINT16_MAX, &number);
    return number;
}

/* "1-1.4" or "0000:03:00.0", as host.h has it. */
static char *uevent_address_of(const char *const *variables, enum bus bus) {
    char address[64];
    const char *path = uevent_value_of(variables, "DEVPATH"),
               *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : NULL;
    if (bus == BUS_PCI && uevent_value_of(variables, "PCI_SLOT_NAME"))
        name = uevent_value_of(variables, "PCI_SLOT_NAME");
    if (!name || !address_normalise(name, address, sizeof address))
        return NULL;
    enum bus found;
    return device_bus_of_address(address, &found) && found == bus ? memory_strdup(address) : NULL;
}

/* "8086:A36D", or "1a6e/89a/100" with what follows. */
static struct device_id uevent_id_of(const char *text, char separator) {
    uint32_t numbers[2];
    if (!text_parse_numbers(text, 16, separator, numbers, 2))
        return (struct device_id){0};
    return (struct device_id){(uint16_t)numbers[0], (uint16_t)numbers[1]};
}

static void uevent_read_pci(struct device *device, const char *const *variables) {
    device->id = uevent_id_of(uevent_value_of(variables, "PCI_ID"), ':');
    device->subsystem = uevent_id_of(uevent_value_of(variables, "PCI_SUBSYS_ID"), ':');
    text_parse_hex(uevent_value_of(variables, "PCI_CLASS"), 0xFFFFFF, &device->class_code);
    device->is_bridge = device->class_code >> 16 == CLASS_BRIDGE;
    device->name = memory_printf("PCI device %04x:%04x", device->id.vendor, device->id.device);
}

/* udev writes most characters as "\x20". */
static char *uevent_decode(const char *encoded) {
    char *text = memory_strdup(encoded), *end = text;
    for (const char *at = text; *at;) {
        char digits[3] = {0};
        uint32_t code = 0;
        if (at[0] == '\\' && at[1] == 'x' && at[2] && at[3])
            memcpy(digits, at + 2, 2);
        text_parse_hex(digits, UINT8_MAX, &code);
        *end = *at;
        if (code)
            *end = (char)code;
        end++;
        at += code ? 4 : 1;
    }
    while (end > text && strchr(" \t\n", end[-1]))
        end--;
    *end = '\0';
    names_clean(text);
    return text;
}

/* A text of the device's own. For one that it lacks udev writes the number of its id. */
static char *uevent_text(struct device *device, const char *encoded, const char *number,
                         enum device_unknown unknown) {
    if (!encoded || !*encoded) {
        device->unknown |= unknown;
        return NULL;
    }
    return number && !strcmp(encoded, number) ? NULL : uevent_decode(encoded);
}

/* The classes of its interfaces, each once: ":080650:030101:". */
static void uevent_read_interfaces(struct device *device, const char *list) {
    const char *rest = list && *list == ':' ? list : NULL;
    uint32_t class;
    while (rest && rest[1] && (rest = text_parse_numbers(rest + 1, 16, ':', &class, 1))) {
        if (*rest != ':')
            rest = NULL;
        else
            device_add_interface(device, class & 0xFFFFFF, NULL);
    }
    if (!rest || !device->interface_count)
        device->unknown |= DEVICE_UNKNOWN_INTERFACES;
}

/* The device's own class, or where it has none that of its first interface. */
static uint32_t uevent_usb_class(const struct device *device, const char *type) {
    uint32_t own[3];
    if (text_parse_numbers(type, 10, '/', own, 3) && own[0])
        return (own[0] & 0xFF) << 16 | (own[1] & 0xFF) << 8 | (own[2] & 0xFF);
    return device->interface_count ? device->interfaces[0].class_code : 0;
}

/* Texts and interfaces are udev's: the kernel has none of them. */
static void uevent_read_usb(struct device *device, const char *const *variables) {
    const char *serial = uevent_value_of(variables, "ID_SERIAL_SHORT");
    device->id = uevent_id_of(uevent_value_of(variables, "PRODUCT"), '/');
    device->manufacturer =
        uevent_text(device, uevent_value_of(variables, "ID_VENDOR_ENC"),
                    uevent_value_of(variables, "ID_VENDOR_ID"), DEVICE_UNKNOWN_MANUFACTURER);
    device->product =
        uevent_text(device, uevent_value_of(variables, "ID_MODEL_ENC"),
                    uevent_value_of(variables, "ID_MODEL_ID"), DEVICE_UNKNOWN_PRODUCT);
    uevent_read_interfaces(device, uevent_value_of(variables, "ID_USB_INTERFACES"));
    device->class_code = uevent_usb_class(device, uevent_value_of(variables, "TYPE"));
    device->is_bridge = device->class_code >> 16 == CLASS_HUB;
    device->bus_number = uevent_number_of(variables, "BUSNUM");
    device->device_number = uevent_number_of(variables, "DEVNUM");
    device->serial = serial && *serial ? memory_strdup(serial) : NULL;
    if (device->serial)
        names_clean(device->serial);
    else if (device->unknown & DEVICE_UNKNOWN_PRODUCT) /* udev read nothing of it */
        device->unknown |= DEVICE_UNKNOWN_SERIAL;
    device->iommu_group = -1;
    device->name = memory_printf("USB device %04x:%04x", device->id.vendor, device->id.device);
}

/* The event tells nothing of the unit. */
static void uevent_read_scsi(struct device *device) {
    device->scsi_type = SCSI_UNKNOWN;
    device->unknown |= DEVICE_UNKNOWN_MANUFACTURER | DEVICE_UNKNOWN_PRODUCT | DEVICE_UNKNOWN_SERIAL;
    device->name = memory_strdup("SCSI device");
}

bool uevent_init(struct uevent *uevent, const char *const *variables) {
    bool added = uevent_is(variables, "ACTION", "add"),
         removed = uevent_is(variables, "ACTION", "remove");
    bool pci = uevent_is(variables, "SUBSYSTEM", "pci");
    bool usb =
        uevent_is(variables, "SUBSYSTEM", "usb") && uevent_is(variables, "DEVTYPE", "usb_device");
    bool scsi =
        uevent_is(variables, "SUBSYSTEM", "scsi") && uevent_is(variables, "DEVTYPE", "scsi_device");
    *uevent = (struct uevent){.removed = removed};
    if ((!added && !removed) || (!pci && !usb && !scsi) || uevent_value_of(variables, "SYNTH_UUID"))
        return false;
    struct device *device = &uevent->device;
    *device = (struct device){.bus = pci   ? BUS_PCI
                                     : usb ? BUS_USB
                                           : BUS_SCSI,
                              .iommu_group = -1,
                              .numa_node = -1,
                              .vf_number = -1};
    device->address = uevent_address_of(variables, device->bus);
    if (!device->address)
        return false;
    device->unknown = DEVICE_UNKNOWN_DRIVER | (pci ? DEVICE_UNKNOWN_PHYSICAL : 0);
    if (pci)
        uevent_read_pci(device, variables);
    else if (scsi)
        uevent_read_scsi(device);
    else
        uevent_read_usb(device, variables);
    const char *number = uevent_value_of(variables, "SEQNUM");
    uevent->seqnum = number ? strtoull(number, NULL, 10) : 0;
    return true;
}

void uevent_of(struct uevent *uevent, const struct device *device, bool removed, uint64_t seqnum) {
    *uevent = (struct uevent){.removed = removed, .seqnum = seqnum, .device = device_copy(device)};
}

void uevent_finish(struct uevent *uevent) {
    device_finish(&uevent->device);
}

const char **uevent_split(char *message, size_t size) {
    const char **variables = NULL;
    size_t count = 0, at = strlen(message) + 1;
    if (!strstr(message, "@/"))
        return NULL;
    for (; at < size; at += strlen(message + at) + 1) {
        variables = memory_grow((void *)variables, count, sizeof *variables);
        variables[count++] = message + at;
    }
    variables = memory_grow((void *)variables, count, sizeof *variables);
    variables[count] = NULL;
    return variables;
}
