#include "engine/host/usb.h"

#include "engine/host/bus_reader.h"
#include "engine/host/names.h"
#include "engine/host/usage.h"
#include "engine/model/address.h"
#include "engine/model/device_class.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define USB "sys/bus/usb/devices"

enum {
    CLASS_USB_HUB = 0x09,
    /* The device descriptor, which the attribute `descriptors` begins with (USB 2.0, table 9-8). */
    DESCRIPTOR_SIZE = 18,
    MANUFACTURER_INDEX = 14,
    PRODUCT_INDEX = 15,
    SERIAL_INDEX = 16
};

/* ---- Attributes ---- */

static uint32_t usb_read_class(const struct reading *reading, const char *const names[3]) {
    uint32_t class = 0;
    for (size_t i = 0; i < 3; i++)
        class = class << 8 | bus_reader_hex(reading, names[i], UINT8_MAX);
    return class;
}

/* Whether the device's descriptor names a text of it, which the kernel then could not read. */
static bool usb_has_text(const struct reading *reading, size_t index) {
    unsigned char bytes[DESCRIPTOR_SIZE];
    int fd =
        openat(reading->directory, "descriptors", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return !tree_is_absence(errno);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    return size < (ssize_t)sizeof bytes || bytes[index] != 0;
}

static char *usb_text(const struct reading *reading, const char *name, size_t index,
                      enum device_unknown unknown) {
    char *text = bus_reader_fact(reading, name);
    if (text && *text) {
        names_clean(text);
        return text;
    }
    if (!text && (!tree_is_absence(errno) || usb_has_text(reading, index)))
        reading->device->unknown |= unknown;
    free(text);
    return NULL;
}

/* Many a product name has the maker in it already. */
static char *usb_name(const struct device *device) {
    const char *maker = device->manufacturer, *product = device->product;
    bool has_maker = maker && product && strncasecmp(maker, product, strlen(maker)) == 0;
    const struct device_renamed *renamed = product ? NULL : device_find_renamed(device->id);

    if (renamed)
        return memory_strdup(renamed->name);
    if (!product)
        return memory_printf("%s%s%s %04x:%04x", maker ? maker : "", maker ? " " : "",
                             device_class(device), device->id.vendor, device->id.device);
    return memory_printf("%s%s%s", maker && !has_maker ? maker : "", maker && !has_maker ? " " : "",
                         product);
}

static bool usb_is_interface_of(const char *name, const char *address) {
    size_t length = strlen(address);
    return strncmp(name, address, length) == 0 && name[length] == ':';
}

/*
 * The paths of a device's interfaces, the first configuration's first. They are in the device's own
 * directory and are listed beside it (`all`, the entries of the bus); a tree may have either.
 */
static struct names usb_interfaces(const struct tree *tree, const char *address,
                                   const struct names *all) {
    char *path = memory_printf(USB "/%s", address);
    struct names found = {0}, own = tree_list(tree, path);

    for (int pass = 0; pass < 2 && !found.count; pass++) {
        const struct names *from = pass ? all : &own;
        for (size_t i = 0; i < from->count; i++) {
            if (!usb_is_interface_of(from->items[i], address))
                continue;
            found.items = memory_grow(found.items, found.count, sizeof *found.items);
            found.items[found.count++] = memory_printf("%s/%s", pass ? USB : path, from->items[i]);
        }
    }
    tree_finish_names(&own);
    free(path);
    return found;
}

/* "usb" only holds the device for the drivers of its interfaces. A driver in its place, as
 * "usbip-host", keeps the device from them or works beside them. */
static char *usb_own_driver(char *driver) {
    if (driver && strcmp(driver, "usb") == 0) {
        free(driver);
        return NULL;
    }
    return driver;
}

/* A device that is not configured has no interfaces. */
static void usb_read_interface(const struct reading *reading, const char *path) {
    static const char *const names[] = {"bInterfaceClass", "bInterfaceSubClass",
                                        "bInterfaceProtocol"};
    struct device *device = reading->device;
    struct reading part = *reading;
    uint32_t class = 0;

    part.directory = tree_directory(reading->tree, path);
    if (part.directory >= 0) {
        class = usb_read_class(&part, names);
        close(part.directory);
    }
    if (!(class >> 16))
        device->unknown |= DEVICE_UNKNOWN_INTERFACES;
    device_add_interface(device, class, tree_link_name(reading->tree, path, "driver"));
}

static void usb_read_interfaces(const struct reading *reading) {
    struct device *device = reading->device;
    size_t before = reading->tree->faults->count;
    struct names paths = usb_interfaces(reading->tree, device->address, reading->names);

    for (size_t i = 0; i < paths.count; i++)
        usb_read_interface(reading, paths.items[i]);
    if (reading->tree->faults->count > before) {
        int error = reading->tree->faults->list[before].error;
        bus_reader_miss(reading, "driver", tree_fault_text(reading->tree, error), error);
        device->unknown |= DEVICE_UNKNOWN_INTERFACES | DEVICE_UNKNOWN_DRIVER;
    }
    if (!device->interface_count)
        device->unknown |= DEVICE_UNKNOWN_INTERFACES;
    tree_finish_names(&paths);
}

/* A device of class 0 leaves the class to its interfaces. */
static uint32_t usb_class(const struct reading *reading) {
    static const char *const names[] = {"bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"};
    const struct device *device = reading->device;
    uint32_t class = usb_read_class(reading, names);

    return class >> 16 || !device->interface_count ? class : device->interfaces[0].class_code;
}

/* The first driver of an interface, where the device has none of its own. */
static char *usb_driver(const struct reading *reading) {
    const struct device *device = reading->device;
    char *driver = usb_own_driver(bus_reader_link(reading, "driver"));

    for (size_t i = 0; i < device->interface_count && !driver; i++)
        driver = memory_copy(device->interfaces[i].driver);
    return driver;
}

/* "480", "1.5"; "unknown" for a speed that the kernel does not know. */
static unsigned usb_speed(const struct reading *reading) {
    char *text = bus_reader_fact(reading, "speed");
    uint32_t speed = text && strcmp(text, "1.5") == 0 ? 1 : 0;

    text_parse_decimal(text, INT32_MAX, &speed);
    free(text);
    return speed;
}

static void usb_read(const struct reading *reading) {
    struct device *device = reading->device;

    usb_read_interfaces(reading);
    device->driver = usb_driver(reading);
    device->id = bus_reader_id(reading, "idVendor", "idProduct");
    device->class_code = usb_class(reading);
    device->bus_number = bus_reader_decimal(reading, "busnum");
    device->device_number = bus_reader_decimal(reading, "devnum");
    device->serial = usb_text(reading, "serial", SERIAL_INDEX, DEVICE_UNKNOWN_SERIAL);
    device->manufacturer =
        usb_text(reading, "manufacturer", MANUFACTURER_INDEX, DEVICE_UNKNOWN_MANUFACTURER);
    device->product = usb_text(reading, "product", PRODUCT_INDEX, DEVICE_UNKNOWN_PRODUCT);
    device->speed = usb_speed(reading);
    device->name = usb_name(device);
    device->iommu_group = device->numa_node = -1;
    device->is_bridge = device->class_code >> 16 == CLASS_USB_HUB;
}

static char *usb_driver_of(const struct tree *tree, const struct device *device, int directory) {
    char *driver = usb_own_driver(tree_directory_link_name(directory, "driver"));
    struct names all = tree_list(tree, USB), paths = usb_interfaces(tree, device->address, &all);

    for (size_t i = 0; i < paths.count && !driver; i++)
        driver = tree_link_name(tree, paths.items[i], "driver");
    tree_finish_names(&paths);
    tree_finish_names(&all);
    return driver;
}

const struct bus_reader bus_reader_usb = {.bus = BUS_USB,
                                          .directory = USB,
                                          .is_device = address_is_usb,
                                          .read = usb_read,
                                          .driver_of = usb_driver_of};

/* ---- USB devices that cannot be read ---- */

static void usb_doubt_controller(struct device *controller, const char *what, char *hint) {
    device_obstruct(controller, OBSTACLE_UNKNOWN_USE,
                    memory_printf("what is behind it cannot be seen: %s cannot be read", what),
                    hint);
}

static void usb_doubt_all_controllers(struct host *host, const char *what, const char *hint) {
    for (size_t i = 0; i < host->count; i++)
        if (device_is_usb_controller(&host->devices[i]))
            usb_doubt_controller(&host->devices[i], what, memory_strdup(hint));
}

/* The controllers on the way to the device; false: nothing tells which these are. */
static bool usb_doubt_way(struct host *host, const struct tree *tree, const struct device *device) {
    char *link = memory_printf(USB "/%s", device->address);
    char *path = tree_resolve(tree, link), *rest = path;
    bool is_known = false;

    for (const char *part; (part = strsep(&rest, "/"));) {
        const struct device *above = host_find(host, BUS_PCI, part);
        if (!above)
            continue;
        usb_doubt_controller(&host->devices[above - host->devices], device->address,
                             memory_strdup(device->obstacle_hint));
        is_known = true;
    }
    free(path);
    free(link);
    return is_known;
}

/* It was unplugged while it was read. */
static bool usb_is_gone(const struct tree *tree, const struct device *device) {
    char *link = memory_printf(USB "/%s", device->address);
    bool is = !tree_has(tree, link) && tree_is_absence(errno);
    free(link);
    return is;
}

void usb_doubt_controllers(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < tree->faults->count; i++) {
        const struct fault *fault = &tree->faults->list[i];
        if (strcmp(fault->path, USB) != 0)
            continue;
        char *hint = usage_hint(tree, fault->error);
        usb_doubt_all_controllers(host, "/" USB, hint);
        free(hint);
    }
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (device->bus != BUS_USB || device->obstacle != OBSTACLE_UNKNOWN_USE)
            continue;
        host->has_usb = false;
        if (!usb_is_gone(tree, device) && !usb_doubt_way(host, tree, device))
            usb_doubt_all_controllers(host, device->address, device->obstacle_hint);
    }
}
