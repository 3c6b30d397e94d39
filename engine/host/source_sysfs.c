/* The host snapshot from sysfs (Documentation/ABI/testing/sysfs-bus-pci, sysfs-bus-usb). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "engine/host/driver.h"
#include "engine/host/guards.h"
#include "engine/host/host.h"
#include "engine/host/names.h"
#include "engine/host/source_sysfs.h"
#include "engine/host/tree.h"
#include "engine/host/usage.h"
#include "engine/model/address.h"
#include "engine/model/device.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#define PCI "sys/bus/pci/devices"
#define USB "sys/bus/usb/devices"
#define GROUPS "sys/kernel/iommu_groups"

enum {
    CLASS_MAX = 0xFFFFFF,
    CLASS_BRIDGE = 0x06,
    CLASS_HOST_BRIDGE = 0x0600,
    CLASS_PCI_BRIDGE = 0x0604,
    CLASS_CARDBUS_BRIDGE = 0x0607,
    CLASS_SEMITRANSPARENT_BRIDGE = 0x0609,
    CLASS_USB_HUB = 0x09,
    GROUP_UNKNOWN = -2, /* until the groups are read, which list their members as well */
    HEADER_TYPE = 0x0E, /* the byte of that name in the configuration space */
    HEADER_TYPE_MASK = 0x7F,
    STATUS = 0x06,
    STATUS_HAS_CAPABILITIES = 0x10,
    CAPABILITIES = 0x34, /* where the first is */
    CAPABILITIES_START = 0x40,
    CAPABILITY_EXPRESS = 0x10,
    CONFIG_SIZE = 256,    /* without the extended part that Express devices have */
    PCI_DOMAIN_LEAST = 4, /* digits */
    PCI_DOMAIN_DIGITS = 8,
    QEMU_DOMAIN_MAX = 0xFFFF,
    PCI_BUS_MAX = 0xFF,
    PCI_SLOT_MAX = 0x1F,
    USB_NUMBER_MAX = 255
};

/* ---- Addresses ---- */

static int source_sysfs_by_address(const void *a, const void *b) {
    const struct device *left = a;
    return device_compare(left->bus, left->address, b);
}

/* ---- Facts ---- */

static int source_sysfs_open_device(const struct tree *tree, enum bus bus, const char *address) {
    char *path = memory_printf("%s/%s", bus == BUS_PCI ? PCI : USB, address);
    int directory = tree_directory(tree, path);
    free(path);
    return directory;
}

/* A device that is being read. */
struct source_sysfs_reader {
    const struct tree *tree;
    struct device *device;
    int directory;
};

static void source_sysfs_miss(const struct source_sysfs_reader *reader, const char *name,
                              const char *why, int error) {
    const struct device *device = reader->device;
    char *path =
        memory_printf("%s/%s/%s", device->bus == BUS_PCI ? PCI : USB, device->address, name);
    tree_fault(reader->tree, path, error);
    free(path);
    device_obstruct(reader->device, OBSTACLE_UNKNOWN_USE,
                    memory_printf("'%s' of %s cannot be read (%s)", name, device->address, why),
                    usage_hint(reader->tree, error));
}

static void source_sysfs_miss_by_errno(const struct source_sysfs_reader *reader, const char *name) {
    int error = errno;
    if (!tree_is_absence(error))
        source_sysfs_miss(reader, name, tree_fault_text(reader->tree, error), error);
    errno = error;
}

/* An attribute that a device may lack. */
static char *source_sysfs_fact(const struct source_sysfs_reader *reader, const char *name) {
    char *text = tree_directory_attribute(reader->directory, name);
    if (!text)
        source_sysfs_miss_by_errno(reader, name);
    return text;
}

static char *source_sysfs_fact_link(const struct source_sysfs_reader *reader, const char *name) {
    char *text = tree_directory_link_name(reader->directory, name);
    if (!text)
        source_sysfs_miss_by_errno(reader, name);
    return text;
}

static uint32_t source_sysfs_read_hex(const struct source_sysfs_reader *reader, const char *name,
                                      uint32_t max) {
    char *text = source_sysfs_fact(reader, name);
    uint32_t value = 0;

    text_parse_hex(text, max, &value);
    free(text);
    return value;
}

/* One that every device has: without it no rule and no `never` can be judged. */
static uint32_t source_sysfs_need_hex(const struct source_sysfs_reader *reader, const char *name,
                                      uint32_t max) {
    char *text = source_sysfs_fact(reader, name);
    uint32_t value = 0;

    if (!text_parse_hex(text, max, &value))
        source_sysfs_miss(reader, name, text ? "it is not a number" : "it is not there", ENOENT);
    free(text);
    return value;
}

/* -1 where the kernel does not know it. */
static int source_sysfs_read_numa_node(const struct source_sysfs_reader *reader) {
    char *text = source_sysfs_fact(reader, "numa_node");
    uint32_t value = 0;
    bool is_known = text_parse_decimal(text, INT32_MAX, &value);

    free(text);
    return is_known ? (int)value : -1;
}

/* One that may not be there counts as 0 then. */
static uint32_t source_sysfs_read_decimal(const struct source_sysfs_reader *reader,
                                          const char *name) {
    char *text = source_sysfs_fact(reader, name);
    uint32_t value = 0;

    if (text && !text_parse_decimal(text, INT32_MAX, &value))
        source_sysfs_miss(reader, name, "it is not a number", ENOENT);
    free(text);
    return value;
}

/* Half an id is none. */
static struct device_id source_sysfs_read_id(const struct source_sysfs_reader *reader,
                                             const char *vendor, const char *device) {
    struct device_id id = {(uint16_t)source_sysfs_need_hex(reader, vendor, UINT16_MAX),
                           (uint16_t)source_sysfs_need_hex(reader, device, UINT16_MAX)};
    return id.vendor ? id : (struct device_id){0, 0};
}

static struct device_id source_sysfs_read_subsystem(const struct source_sysfs_reader *reader) {
    struct device_id id = {(uint16_t)source_sysfs_read_hex(reader, "subsystem_vendor", UINT16_MAX),
                           (uint16_t)source_sysfs_read_hex(reader, "subsystem_device", UINT16_MAX)};
    return id.vendor ? id : (struct device_id){0, 0};
}

/* The start of the configuration space, as far as it can be read; returns its length. */
static size_t source_sysfs_read_config(const struct source_sysfs_reader *reader,
                                       unsigned char *bytes, size_t size, off_t *file_size) {
    struct stat status;
    int fd = openat(reader->directory, "config", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 || fstat(fd, &status) != 0 ? -1 : read(fd, bytes, size);

    if (got < 0)
        source_sysfs_miss_by_errno(reader, "config");
    if (fd >= 0)
        close(fd);
    *file_size = got < 0 ? 0 : status.st_size;
    return got < 0 ? 0 : (size_t)got;
}

/*
 * Whether the list of capabilities has that of PCI Express. Root alone may read beyond the first 64
 * bytes; the size of the file then says what libvirt would take it for.
 */
static enum pci_kind source_sysfs_kind_of(const unsigned char *bytes, size_t size,
                                          off_t file_size) {
    bool seen[CONFIG_SIZE] = {false};

    if (size <= CAPABILITIES || (bytes[0] == 0xff && bytes[1] == 0xff))
        return PCI_UNKNOWN;
    if (!(bytes[STATUS] & STATUS_HAS_CAPABILITIES))
        return PCI_CONVENTIONAL;
    size_t at = bytes[CAPABILITIES] & ~3U;
    while (at >= CAPABILITIES_START && at + 1 < size && !seen[at] &&
           bytes[at] != CAPABILITY_EXPRESS) {
        seen[at] = true;
        at = bytes[at + 1] & ~3U;
    }
    if (at + 1 < size && at >= CAPABILITIES_START && !seen[at])
        return PCI_EXPRESS;
    if (at < CAPABILITIES_START)
        return PCI_CONVENTIONAL;
    return file_size > CONFIG_SIZE    ? PCI_EXPRESS
           : file_size == CONFIG_SIZE ? PCI_CONVENTIONAL
                                      : PCI_UNKNOWN;
}

/* A read that no device answers has all bits set. */
static bool source_sysfs_is_silent(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != UINT8_MAX)
            return false;
    return size > HEADER_TYPE;
}

static void source_sysfs_read_header(const struct source_sysfs_reader *reader) {
    struct device *device = reader->device;
    unsigned char bytes[CONFIG_SIZE];
    off_t file_size = 0;
    size_t size = source_sysfs_read_config(reader, bytes, sizeof bytes, &file_size);

    device->kind = source_sysfs_kind_of(bytes, size, file_size);
    if (source_sysfs_is_silent(bytes, size)) {
        device_obstruct(device, OBSTACLE_NO_ANSWER,
                        memory_printf("%s does not answer: its configuration space reads ff "
                                      "throughout%s%s",
                                      device->address, device->power_state ? ", power state " : "",
                                      device->power_state ? device->power_state : ""),
                        memory_printf("power it up ('echo on >/sys/bus/pci/devices/%s/power/"
                                      "control', or what turned it off), or turn the host off and "
                                      "on again",
                                      device->address));
        return;
    }
    if (size > HEADER_TYPE)
        device->header = bytes[HEADER_TYPE] & HEADER_TYPE_MASK ? HEADER_BRIDGE : HEADER_ENDPOINT;
}

/* The host's own bridge and those to ISA and the like have the header of an endpoint. */
static bool source_sysfs_is_bridge(const struct device *device) {
    uint32_t class = device->class_code >> 8;
    if (device->header == HEADER_UNKNOWN)
        return class >> 8 == CLASS_BRIDGE;
    return device->header == HEADER_BRIDGE ||
           (class >= CLASS_HOST_BRIDGE && class < CLASS_PCI_BRIDGE);
}

static int source_sysfs_read_group(const struct source_sysfs_reader *reader) {
    errno = 0;
    char *name = source_sysfs_fact_link(reader, "iommu_group");
    uint32_t group = 0;
    bool is_number = text_parse_decimal(name, INT32_MAX, &group);
    bool is_unknown = !name && !tree_is_absence(errno);

    free(name);
    return is_number ? (int)group : is_unknown ? GROUP_UNKNOWN : -1;
}

static void source_sysfs_read_pci(const struct source_sysfs_reader *reader) {
    struct device *device = reader->device;
    char *boot_vga = source_sysfs_fact(reader, "boot_vga");

    device->id = source_sysfs_read_id(reader, "vendor", "device");
    device->subsystem = source_sysfs_read_subsystem(reader);
    device->class_code = source_sysfs_need_hex(reader, "class", CLASS_MAX);
    device->driver = source_sysfs_fact_link(reader, "driver");
    device->iommu_group = source_sysfs_read_group(reader);
    device->numa_node = source_sysfs_read_numa_node(reader);
    device->boot_vga = boot_vga && strcmp(boot_vga, "1") == 0;
    device->reset_methods = source_sysfs_fact(reader, "reset_method");
    device->power_state = source_sysfs_fact(reader, "power_state");
    device->physical = source_sysfs_fact_link(reader, "physfn");
    device->virtual_functions = source_sysfs_read_decimal(reader, "sriov_numvfs");
    source_sysfs_read_header(reader);
    device->is_bridge = source_sysfs_is_bridge(device);
    free(boot_vga);
}

static uint32_t source_sysfs_read_class(const struct source_sysfs_reader *reader,
                                        const char *const names[3]) {
    uint32_t class = 0;
    for (size_t i = 0; i < 3; i++)
        class = class << 8 | source_sysfs_read_hex(reader, names[i], UINT8_MAX);
    return class;
}

static char *source_sysfs_read_text(const struct source_sysfs_reader *reader, const char *name) {
    char *text = source_sysfs_fact(reader, name);
    if (text && *text) {
        names_clean(text);
        return text;
    }
    free(text);
    return NULL;
}

/* Many a product name has the maker in it already. */
static char *source_sysfs_usb_name(const struct source_sysfs_reader *reader, struct device_id id) {
    char *maker = source_sysfs_read_text(reader, "manufacturer"),
         *product = source_sysfs_read_text(reader, "product");
    bool has_maker = maker && product && strncasecmp(maker, product, strlen(maker)) == 0;
    char *name = NULL;

    if (!product)
        name = maker ? memory_printf("%s device %04x:%04x", maker, id.vendor, id.device)
                     : memory_printf("USB device %04x:%04x", id.vendor, id.device);
    else
        name = memory_printf("%s%s%s", maker && !has_maker ? maker : "",
                             maker && !has_maker ? " " : "", product);
    free(maker);
    free(product);
    return name;
}

static bool source_sysfs_is_interface_of(const char *name, const char *address) {
    size_t length = strlen(address);
    return strncmp(name, address, length) == 0 && name[length] == ':';
}

/*
 * The paths of a device's interfaces, the first configuration's first. They lie in the device's own
 * directory and are listed beside it (`all`, the entries of the bus); a tree may have either.
 */
static struct names source_sysfs_interfaces(const struct tree *tree, const char *address,
                                            const struct names *all) {
    char *path = memory_printf(USB "/%s", address);
    struct names found = {0}, own = tree_list(tree, path);

    for (int pass = 0; pass < 2 && !found.count; pass++) {
        const struct names *from = pass ? all : &own;
        for (size_t i = 0; i < from->count; i++) {
            if (!source_sysfs_is_interface_of(from->items[i], address))
                continue;
            found.items = memory_grow(found.items, found.count, sizeof *found.items);
            found.items[found.count++] = memory_printf("%s/%s", pass ? USB : path, from->items[i]);
        }
    }
    tree_finish_names(&own);
    free(path);
    return found;
}

/* The device itself is always on "usb": what works with it are the drivers of its interfaces. */
static char *source_sysfs_usb_driver(const struct tree *tree, const struct names *interfaces) {
    char *driver = NULL;
    for (size_t i = 0; i < interfaces->count && !driver; i++)
        driver = tree_link_name(tree, interfaces->items[i], "driver");
    return driver;
}

/* A device of class 0 leaves the class to its interfaces. */
static uint32_t source_sysfs_usb_class(const struct source_sysfs_reader *reader,
                                       const struct names *interfaces) {
    static const char *const device_names[] = {"bDeviceClass", "bDeviceSubClass",
                                               "bDeviceProtocol"};
    static const char *const interface_names[] = {"bInterfaceClass", "bInterfaceSubClass",
                                                  "bInterfaceProtocol"};
    uint32_t class = source_sysfs_read_class(reader, device_names);
    struct source_sysfs_reader first = *reader;

    if (class >> 16 || !interfaces->count)
        return class;
    first.directory = tree_directory(reader->tree, interfaces->items[0]);
    if (first.directory >= 0) {
        class = source_sysfs_read_class(&first, interface_names);
        close(first.directory);
    }
    return class;
}

static void source_sysfs_read_usb(const struct source_sysfs_reader *reader,
                                  const struct names *all) {
    struct device *device = reader->device;
    size_t before = reader->tree->faults->count;
    struct names parts = source_sysfs_interfaces(reader->tree, device->address, all);

    device->driver = source_sysfs_usb_driver(reader->tree, &parts);
    if (reader->tree->faults->count > before) {
        int error = reader->tree->faults->list[before].error;
        source_sysfs_miss(reader, "driver", tree_fault_text(reader->tree, error), error);
    }
    device->id = source_sysfs_read_id(reader, "idVendor", "idProduct");
    device->class_code = source_sysfs_usb_class(reader, &parts);
    device->bus_number = source_sysfs_read_decimal(reader, "busnum");
    device->device_number = source_sysfs_read_decimal(reader, "devnum");
    device->serial = source_sysfs_read_text(reader, "serial");
    device->name = source_sysfs_usb_name(reader, device->id);
    device->iommu_group = device->numa_node = -1;
    device->is_bridge = device->class_code >> 16 == CLASS_USB_HUB;
    tree_finish_names(&parts);
}

/* ---- The snapshot ---- */

static struct device *source_sysfs_add_device(struct host *host, enum bus bus,
                                              const char *address) {
    host->devices = memory_grow(host->devices, host->count, sizeof *host->devices);
    struct device *device = &host->devices[host->count++];
    *device = (struct device){.bus = bus, .address = memory_strdup(address)};
    return device;
}

static void source_sysfs_read_nothing(const struct source_sysfs_reader *reader, int error) {
    struct device *device = reader->device;
    device->numa_node = -1;
    device->iommu_group = device->bus == BUS_PCI ? GROUP_UNKNOWN : -1;
    if (device->bus == BUS_USB)
        device->name = memory_strdup("USB device");
    source_sysfs_miss(reader, "directory", tree_fault_text(reader->tree, error), error);
}

/* Returns whether the list of its devices could be read, or is not there. */
static bool source_sysfs_read_bus(struct host *host, const struct tree *tree, enum bus bus) {
    const char *path = bus == BUS_PCI ? PCI : USB;
    size_t before = tree->faults->count;
    struct names all = tree_list(tree, path);
    bool has_domain = false, is_blind = false, is_listed = tree->faults->count == before;

    for (size_t i = 0; i < all.count; i++) {
        const char *name = all.items[i];
        if (bus == BUS_PCI ? !address_is_pci(name, &has_domain) || !has_domain
                           : !address_is_usb(name))
            continue;
        int directory = source_sysfs_open_device(tree, bus, name), error = errno;
        if (directory < 0 && tree_is_absence(error))
            continue; /* unplugged meanwhile */
        struct source_sysfs_reader reader = {tree, source_sysfs_add_device(host, bus, name),
                                             directory};
        if (directory < 0)
            source_sysfs_read_nothing(&reader, error);
        else if (bus == BUS_PCI)
            source_sysfs_read_pci(&reader);
        else
            source_sysfs_read_usb(&reader, &all);
        is_blind |= bus == BUS_USB && reader.device->obstacle == OBSTACLE_UNKNOWN_USE;
        if (directory >= 0)
            close(directory);
    }
    host->has_usb |= bus == BUS_USB && all.count > 0 && !is_blind;
    tree_finish_names(&all);
    return is_listed;
}

static void source_sysfs_set_group(struct host *host, const char *address, uint32_t group) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus == BUS_PCI && device->iommu_group < 0 &&
            address_compare_pci(address, device->address) == 0)
            device->iommu_group = (int)group;
    }
}

/* The groups list their members too; that counts where a device does not name its group. */
static void source_sysfs_read_groups(struct host *host, const struct tree *tree) {
    struct names groups = tree_list(tree, GROUPS);

    for (size_t i = 0; i < groups.count; i++) {
        uint32_t group = 0;
        if (!text_parse_decimal(groups.items[i], INT32_MAX, &group))
            continue;
        char *path = memory_printf(GROUPS "/%s/devices", groups.items[i]);
        struct names members = tree_list(tree, path);
        for (size_t j = 0; j < members.count; j++)
            source_sysfs_set_group(host, members.items[j], group);
        host->has_iommu = true;
        tree_finish_names(&members);
        free(path);
    }
    tree_finish_names(&groups);
}

/* A device that cannot be read may be in any group, and none may be split. */
static void source_sysfs_doubt_groups(struct host *host, const struct tree *tree,
                                      size_t first_fault) {
    const struct device *stranger = NULL;
    const struct fault *fault = NULL;

    for (size_t i = 0; i < host->count && !stranger; i++)
        if (host->devices[i].iommu_group == GROUP_UNKNOWN)
            stranger = &host->devices[i];
    for (size_t i = first_fault; i < tree->faults->count && !fault; i++)
        fault = &tree->faults->list[i];
    for (size_t i = 0; (stranger || fault) && i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_PCI)
            continue;
        device_obstruct(device, OBSTACLE_UNKNOWN_USE,
                        fault ? memory_printf("what else is in its IOMMU group cannot be seen: /%s "
                                              "cannot be read (%s)",
                                              fault->path, tree_fault_text(tree, fault->error))
                              : memory_printf("what else is in its IOMMU group cannot be seen: %s "
                                              "cannot be read",
                                              stranger->address),
                        usage_hint(tree, fault ? fault->error : EACCES));
        if (device->iommu_group == GROUP_UNKNOWN)
            device->iommu_group = -1;
    }
}

static void source_sysfs_find_groups(struct host *host, const struct tree *tree) {
    size_t first_fault = tree->faults->count;
    bool is_complete = true;

    for (size_t i = 0; i < host->count; i++) {
        if (host->devices[i].bus != BUS_PCI)
            continue;
        if (host->devices[i].iommu_group >= 0)
            host->has_iommu = true;
        else
            is_complete = false;
    }
    if (!is_complete)
        source_sysfs_read_groups(host, tree);
    source_sysfs_doubt_groups(host, tree, first_fault);
}

/* ---- USB devices that cannot be read ---- */

enum { CLASS_USB_CONTROLLER = 0x0C03 };

static void source_sysfs_doubt_controller(struct device *controller, const char *what, char *hint) {
    device_obstruct(controller, OBSTACLE_UNKNOWN_USE,
                    memory_printf("what is behind it cannot be seen: %s cannot be read", what),
                    hint);
}

static void source_sysfs_doubt_all_controllers(struct host *host, const char *what,
                                               const char *hint) {
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI &&
            host->devices[i].class_code >> 8 == CLASS_USB_CONTROLLER)
            source_sysfs_doubt_controller(&host->devices[i], what, memory_strdup(hint));
}

/* The controllers on the way to the device; false: nothing tells which these are. */
static bool source_sysfs_doubt_way(struct host *host, const struct tree *tree,
                                   const struct device *device) {
    char *link = memory_printf(USB "/%s", device->address);
    char *path = tree_resolve(tree, link), *rest = path;
    bool is_known = false;

    for (const char *part; (part = strsep(&rest, "/"));) {
        const struct device *above = host_find(host, BUS_PCI, part);
        if (!above)
            continue;
        source_sysfs_doubt_controller(&host->devices[above - host->devices], device->address,
                                      memory_strdup(device->obstacle_hint));
        is_known = true;
    }
    free(path);
    free(link);
    return is_known;
}

/* It was unplugged while it was read. */
static bool source_sysfs_is_gone(const struct tree *tree, const struct device *device) {
    char *link = memory_printf(USB "/%s", device->address);
    bool is = !tree_has(tree, link) && tree_is_absence(errno);
    free(link);
    return is;
}

/* A USB device that cannot be read may be in a VM, or the host's only keyboard: the controller
 * above it takes it along. */
static void source_sysfs_doubt_controllers(struct host *host, const struct tree *tree,
                                           const struct fault *fault) {
    if (fault) {
        char *what = memory_printf("/%s", fault->path), *hint = usage_hint(tree, fault->error);
        source_sysfs_doubt_all_controllers(host, what, hint);
        free(hint);
        free(what);
    }
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (device->bus == BUS_USB && device->obstacle == OBSTACLE_UNKNOWN_USE &&
            !source_sysfs_is_gone(tree, device) && !source_sysfs_doubt_way(host, tree, device))
            source_sysfs_doubt_all_controllers(host, device->address, device->obstacle_hint);
    }
}

/* ---- What the firmware and the kernel forbid ---- */

/* "0x00000000000e8000 0x00000000000e8fff direct", from Linux 4.11. "direct-relaxable" is for the
 * time before a driver has the device, and forbids nothing (drivers/iommu/iommu.c). */
static char *source_sysfs_find_direct_region(char *text) {
    for (char *line; text && (line = text_next_line(&text));) {
        const char *start = text_next_field(&line), *end = start ? text_next_field(&line) : NULL;
        const char *type = end ? text_next_field(&line) : NULL;
        if (type && strcmp(type, "direct") == 0)
            return memory_printf("%s-%s", start, end);
    }
    return NULL;
}

static void source_sysfs_find_reserved_regions(struct device *device, const struct tree *tree) {
    char *group = memory_printf(GROUPS "/%d", device->iommu_group);
    size_t before = tree->faults->count;
    char *text = tree_attribute(tree, group, "reserved_regions");
    char *region = source_sysfs_find_direct_region(text);

    if (tree->faults->count > before) {
        const struct fault *fault = &tree->faults->list[before];
        device_obstruct(device, OBSTACLE_UNKNOWN_USE,
                        memory_printf("what memory the firmware keeps for it cannot be seen: /%s "
                                      "cannot be read (%s)",
                                      fault->path, tree_fault_text(tree, fault->error)),
                        usage_hint(tree, fault->error));
    }
    if (region)
        device_obstruct(
            device, OBSTACLE_FIRMWARE,
            memory_printf("the firmware keeps memory for IOMMU group %d (%s, direct, in "
                          "reserved_regions), and the kernel gives no device of it to "
                          "a VM",
                          device->iommu_group, region),
            memory_strdup("turn off in the firmware what shares memory with the device "
                          "(RMRR; HPE: shared memory features), or move the card to "
                          "another slot"));
    free(region);
    free(text);
    free(group);
}

/* Models that vfio-pci does not bind to unless a parameter says so (its denylist, from Linux 5.9):
 * Intel QAT, of which a guest could stop the host. */
static bool source_sysfs_is_on_denylist(const struct device *device, const struct tree *tree) {
    static const uint16_t models[] = {0x0435, 0x0443, 0x19e2, 0x19e3, 0x37c8, 0x37c9};
    bool is_listed = false;

    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        is_listed |= device->id.vendor == 0x8086 && device->id.device == models[i];
    char *text = is_listed
                     ? tree_attribute(tree, "sys/module/vfio_pci/parameters", "disable_denylist")
                     : NULL;
    bool is_refused = text && strcmp(text, "N") == 0;
    free(text);
    return is_refused;
}

/* vfio_pci_validate_vf_token(): libvirt has no token to show. */
static bool source_sysfs_needs_token(const struct host *host, const struct device *device) {
    const struct device *physical =
        device->physical ? host_find(host, BUS_PCI, device->physical) : NULL;
    return physical && physical->driver && driver_is_vfio(physical->driver);
}

/*
 * ".../0000:d7:05.5/pci10001:00/10001:00:01.0/10001:02:00.0": the PCI device above the root of a
 * domain made that domain. Of several the first: its own domain is one that qemu takes. The caller
 * frees it; NULL: sysfs does not tell.
 */
static char *source_sysfs_find_controller(const struct device *device, const struct tree *tree) {
    char *link = memory_printf(PCI "/%s", device->address), *path = tree_resolve(tree, link);
    char *rest = path, *before = NULL, *controller = NULL;
    bool has_domain = false;

    for (char *part; !controller && (part = strsep(&rest, "/")); before = part)
        if (before && strncmp(part, "pci", 3) == 0 && address_is_pci(before, &has_domain))
            controller = memory_strdup(before);
    free(path);
    free(link);
    return controller;
}

static void source_sysfs_find_controllers(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_PCI || strtoul(device->address, NULL, 16) <= QEMU_DOMAIN_MAX)
            continue;
        device->controller = source_sysfs_find_controller(device, tree);
        const struct device *controller =
            device->controller ? host_find(host, BUS_PCI, device->controller) : NULL;
        device->goes_with_controller = controller && device->iommu_group >= 0 &&
                                       controller->iommu_group == device->iommu_group;
    }
}

static char *source_sysfs_controller_hint(const struct host *host, const struct device *device) {
    const struct device *controller =
        device->controller ? host_find(host, BUS_PCI, device->controller) : NULL;

    if (!controller)
        return memory_strdup("turn VMD off in the firmware for the slot of the device, or name "
                             "another device");
    if (controller->use)
        return memory_printf("it could only be passed with its VMD controller %s, and the host %s: "
                             "turn VMD off in the firmware for the slot of the device",
                             controller->address, controller->use);
    return memory_printf("pass the VMD controller %s instead, with all that is behind it",
                         controller->address);
}

/* PCIHostDeviceAddress of qemu, and libvirt's virPCIDeviceAddressIsValid(). */
static void source_sysfs_find_far_domains(struct host *host) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus == BUS_PCI && strtoul(device->address, NULL, 16) > QEMU_DOMAIN_MAX)
            device_obstruct(device, OBSTACLE_DOMAIN,
                            memory_printf("%s is in PCI domain %.*s, and qemu takes PCI domains up "
                                          "to %x",
                                          device->address, (int)strcspn(device->address, ":"),
                                          device->address, QEMU_DOMAIN_MAX),
                            source_sysfs_controller_hint(host, device));
    }
}

static void source_sysfs_find_obstacles(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_PCI)
            continue;
        if (device->iommu_group >= 0)
            source_sysfs_find_reserved_regions(device, tree);
        if (source_sysfs_is_on_denylist(device, tree))
            device_obstruct(
                device, OBSTACLE_KERNEL,
                memory_strdup("vfio-pci does not take this model: it is on its denylist"),
                memory_strdup("load vfio-pci with disable_denylist=1 if the guest is "
                              "trusted, or pass another device"));
        if (source_sysfs_needs_token(host, device))
            device_obstruct(
                device, OBSTACLE_KERNEL,
                memory_printf("its physical function %s is on vfio-pci, which then asks "
                              "for a token that libvirt does not have",
                              device->physical),
                memory_printf("give %s back to its host driver, which makes the virtual "
                              "functions",
                              device->physical));
    }
}

static void source_sysfs_find_names(struct host *host, const struct tree *tree) {
    struct names_list *names = names_create(tree, host);

    for (size_t i = 0; i < host->count; i++)
        if (!host->devices[i].name)
            host->devices[i].name = names_find(names, host->devices[i].id);
    names_destroy(names);
}

/* "/" is the running system, and "tree/" is "tree". */
static char *source_sysfs_plain_root(const char *root) {
    char *plain = memory_strdup(root ? root : "");
    for (size_t length = strlen(plain); length && plain[length - 1] == '/';)
        plain[--length] = '\0';
    return plain;
}

static void source_sysfs_read_host(struct host *host, const struct tree *tree) {
    source_sysfs_read_bus(host, tree, BUS_PCI);
    size_t first_fault = tree->faults->count;
    bool is_listed = source_sysfs_read_bus(host, tree, BUS_USB);
    const struct fault *unlisted = is_listed ? NULL : &tree->faults->list[first_fault];
    if (host->count)
        qsort(host->devices, host->count, sizeof *host->devices, source_sysfs_by_address);
    source_sysfs_doubt_controllers(host, tree, unlisted);
    source_sysfs_find_groups(host, tree);
    source_sysfs_find_controllers(host, tree);
    source_sysfs_find_obstacles(host, tree);
    source_sysfs_find_names(host, tree);
    guards_find_uses(host, tree);
    source_sysfs_find_far_domains(host);
}

static bool source_sysfs_has_few_descriptors(const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        if (faults->list[i].error == EMFILE || faults->list[i].error == ENFILE)
            return true;
    return false;
}

static int source_sysfs_load(const struct host_source *source, struct host *host,
                             struct failure *failure) {
    struct tree tree;
    int status = 0;

    *host = (struct host){.source = *source, .root = source_sysfs_plain_root(source->root)};
    host->source.root = host->root;
    bool is_open = tree_open(&tree, host->root);
    tree.faults = &host->faults;
    if (!is_open)
        status = failure_set(failure, "cannot read the devices below %s: %s", host->root,
                             strerror(errno));
    else if (!tree_has(&tree, "sys/bus/pci") && !tree_has(&tree, "sys/bus/usb"))
        status = failure_set(failure,
                             "no devices to read: there is neither %s/sys/bus/pci nor "
                             "%s/sys/bus/usb",
                             host->root, host->root);
    else
        source_sysfs_read_host(host, &tree);
    if (source_sysfs_has_few_descriptors(&host->faults))
        status = failure_set(failure,
                             "cannot read the devices below %s: too many open files: raise the "
                             "limit, ulimit -n",
                             host->root);
    if (status < 0)
        host_finish(host);
    tree_close(&tree);
    return status;
}

/* ---- Questions ---- */

static char *source_sysfs_driver_now(const struct tree *tree, const struct device *device,
                                     int directory) {
    if (device->bus == BUS_PCI)
        return tree_directory_link_name(directory, "driver");
    struct names all = tree_list(tree, USB),
                 parts = source_sysfs_interfaces(tree, device->address, &all);
    char *driver = source_sysfs_usb_driver(tree, &parts);
    tree_finish_names(&parts);
    tree_finish_names(&all);
    return driver;
}

static bool source_sysfs_driver_of(const struct host *host, const struct device *device,
                                   char *driver, size_t size) {
    struct tree tree;
    bool is_told = false;

    if (!tree_open(&tree, host->root))
        return false;
    int directory = source_sysfs_open_device(&tree, device->bus, device->address);
    if (directory >= 0) {
        char *name = source_sysfs_driver_now(&tree, device, directory);
        int length = snprintf(driver, size, "%s", name ? name : "");
        /* A name that is cut off might be taken for another driver's. */
        is_told = length >= 0 && (size_t)length < size;
        free(name);
        close(directory);
    }
    tree_close(&tree);
    return is_told;
}

static char *source_sysfs_attribute(const struct host_source *source, const char *directory,
                                    const char *name) {
    struct tree tree;
    char *text = tree_open(&tree, source->root) ? tree_attribute(&tree, directory, name) : NULL;
    tree_close(&tree);
    return text;
}

static uint64_t source_sysfs_last_seqnum(const struct host_source *source) {
    char *text = source_sysfs_attribute(source, "sys/kernel", "uevent_seqnum");
    uint64_t number = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    return number;
}

static char *source_sysfs_boot_id(const struct host_source *source) {
    char *text = source_sysfs_attribute(source, "proc/sys/kernel/random", "boot_id");
    return text ? text : memory_strdup("");
}

struct host_source source_sysfs(const char *root) {
    return (struct host_source){.root = root ? root : "",
                                .load = source_sysfs_load,
                                .last_seqnum = source_sysfs_last_seqnum,
                                .boot_id = source_sysfs_boot_id,
                                .driver_of = source_sysfs_driver_of,
                                .unbind = driver_unbind,
                                .probe = driver_probe,
                                .rebind = driver_rebind,
                                .group_user = driver_group_user,
                                .may_split_group = driver_may_split_group};
}
