#include "engine/host/uevent.h"

#include "engine/host/host_names.h"
#include "engine/host/host_tree.h"
#include "lexer/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASS_BRIDGE = 0x06, CLASS_HUB = 0x09 };

static const char *value_of(const char *const *variables, const char *name) {
    size_t length = strlen(name);
    for (; *variables; variables++)
        if (!strncmp(*variables, name, length) && (*variables)[length] == '=')
            return *variables + length + 1;
    return NULL;
}

static bool is(const char *const *variables, const char *name, const char *wanted) {
    const char *value = value_of(variables, name);
    return value && !strcmp(value, wanted);
}

static unsigned number_of(const char *const *variables, const char *name) {
    uint32_t number = 0;
    parse_decimal(value_of(variables, name), UINT16_MAX, &number);
    return number;
}

/* "1-1.4" or "0000:03:00.0", as host.h has it. */
static char *address_of(const char *const *variables, enum bus bus) {
    char address[64];
    const char *path = value_of(variables, "DEVPATH"), *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : NULL;
    if (bus == BUS_PCI && value_of(variables, "PCI_SLOT_NAME"))
        name = value_of(variables, "PCI_SLOT_NAME");
    if (!name || !host_address_normalise(name, address, sizeof address))
        return NULL;
    bool is_usb = !strchr(address, ':');
    return is_usb == (bus == BUS_USB) ? memory_strdup(address) : NULL;
}

const char *numbers_parse(const char *text, int base, char separator, uint32_t *numbers,
                          size_t count) {
    for (size_t i = 0; text && i < count; i++) {
        char *end = NULL;
        if (i > 0 && *text++ != separator)
            return NULL;
        unsigned long number = strtoul(text, &end, base); /* takes blanks and signs too */
        if (!isxdigit((unsigned char)*text) || end == text || number > UINT32_MAX)
            return NULL;
        numbers[i] = (uint32_t)number;
        text = end;
    }
    return text;
}

bool device_id_parse(const char *text, struct device_id *id) {
    uint32_t numbers[2];
    const char *end = numbers_parse(text, 16, ':', numbers, 2);
    if (!end || *end || end != text + 9 || text[4] != ':')
        return false;
    *id = (struct device_id){(uint16_t)numbers[0], (uint16_t)numbers[1]};
    return true;
}

/* "8086:A36D", or "1a6e/89a/100" with what follows. */
static struct device_id id_of(const char *text, char separator) {
    uint32_t numbers[2];
    if (!numbers_parse(text, 16, separator, numbers, 2))
        return (struct device_id){0};
    return (struct device_id){(uint16_t)numbers[0], (uint16_t)numbers[1]};
}

static void read_pci(struct host_device *device, const char *const *variables) {
    device->id = id_of(value_of(variables, "PCI_ID"), ':');
    device->subsystem = id_of(value_of(variables, "PCI_SUBSYS_ID"), ':');
    parse_hex(value_of(variables, "PCI_CLASS"), 0xFFFFFF, &device->class_code);
    device->is_bridge = device->class_code >> 16 == CLASS_BRIDGE;
    device->name = memory_printf("PCI device %04x:%04x", device->id.vendor, device->id.device);
}

/* The device's own class, or where it has none that of its first interface, which udev has from
 * the descriptors: ":080650:030101:". */
static uint32_t usb_class(const char *const *variables) {
    uint32_t own[3], class = 0;
    const char *interfaces = value_of(variables, "ID_USB_INTERFACES");
    if (numbers_parse(value_of(variables, "TYPE"), 10, '/', own, 3) && own[0])
        return (own[0] & 0xFF) << 16 | (own[1] & 0xFF) << 8 | (own[2] & 0xFF);
    const char *end =
        interfaces && *interfaces == ':' ? numbers_parse(interfaces + 1, 16, ':', &class, 1) : NULL;
    return end && *end == ':' ? class & 0xFFFFFF : 0;
}

static void read_usb(struct host_device *device, const char *const *variables) {
    const char *serial = value_of(variables, "ID_SERIAL_SHORT");
    device->id = id_of(value_of(variables, "PRODUCT"), '/');
    device->class_code = usb_class(variables);
    device->is_bridge = device->class_code >> 16 == CLASS_HUB;
    device->bus_number = number_of(variables, "BUSNUM");
    device->device_number = number_of(variables, "DEVNUM");
    device->serial = serial && *serial ? memory_strdup(serial) : NULL;
    if (device->serial)
        text_clean(device->serial);
    device->iommu_group = -1;
    device->name = memory_printf("USB device %04x:%04x", device->id.vendor, device->id.device);
}

bool uevent_init(struct uevent *uevent, const char *const *variables) {
    bool added = is(variables, "ACTION", "add"), removed = is(variables, "ACTION", "remove");
    bool pci = is(variables, "SUBSYSTEM", "pci");
    bool usb = is(variables, "SUBSYSTEM", "usb") && is(variables, "DEVTYPE", "usb_device");
    *uevent = (struct uevent){.removed = removed};
    if ((!added && !removed) || (!pci && !usb) || value_of(variables, "SYNTH_UUID"))
        return false;
    struct host_device *device = &uevent->device;
    *device =
        (struct host_device){.bus = pci ? BUS_PCI : BUS_USB, .iommu_group = -1, .numa_node = -1};
    device->address = address_of(variables, device->bus);
    if (!device->address)
        return false;
    if (pci)
        read_pci(device, variables);
    else
        read_usb(device, variables);
    const char *number = value_of(variables, "SEQNUM");
    uevent->number = number ? strtoull(number, NULL, 10) : 0;
    return true;
}

void uevent_of(struct uevent *uevent, const struct host_device *device, bool removed,
               uint64_t number) {
    *uevent = (struct uevent){.removed = removed, .number = number, .device = device_copy(device)};
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

static char *read_below(const char *sysroot, const char *directory, const char *name) {
    struct tree tree;
    char *text =
        tree_open(&tree, sysroot ? sysroot : "") ? tree_attribute(&tree, directory, name) : NULL;
    tree_close(&tree);
    return text;
}

uint64_t uevent_last_number(const char *sysroot) {
    char *text = read_below(sysroot, "sys/kernel", "uevent_seqnum");
    uint64_t number = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    return number;
}

char *uevent_boot(const char *sysroot) {
    char *text = read_below(sysroot, "proc/sys/kernel/random", "boot_id");
    return text ? text : memory_strdup("");
}

static char *copy(const char *text) {
    return text ? memory_strdup(text) : NULL;
}

struct host_device device_copy(const struct host_device *device) {
    struct host_device result = *device;
    result.address = copy(device->address);
    result.name = copy(device->name);
    result.driver = copy(device->driver);
    result.reset_methods = copy(device->reset_methods);
    result.power_state = copy(device->power_state);
    result.serial = copy(device->serial);
    result.physical = copy(device->physical);
    result.controller = copy(device->controller);
    result.use = copy(device->use);
    result.vm_use = copy(device->vm_use);
    result.obstacle_text = copy(device->obstacle_text);
    result.obstacle_hint = copy(device->obstacle_hint);
    return result;
}

void device_finish(struct host_device *device) {
    free(device->address);
    free(device->name);
    free(device->driver);
    free(device->reset_methods);
    free(device->power_state);
    free(device->physical);
    free(device->controller);
    free(device->serial);
    free(device->use);
    free(device->vm_use);
    free(device->obstacle_text);
    free(device->obstacle_hint);
    *device = (struct host_device){0};
}

bool device_is_same(const struct host_device *one, const struct host_device *other) {
    return one->bus == other->bus && !strcmp(one->address, other->address) &&
           one->id.vendor == other->id.vendor && one->id.device == other->id.device &&
           (one->bus == BUS_PCI ||
            (one->bus_number == other->bus_number && one->device_number == other->device_number));
}
