#include "engine/host/usb.h"

#include "engine/host/bus_reader.h"
#include "engine/host/usage.h"
#include "engine/model/address.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define USB "sys/bus/usb/devices"

enum { CLASS_USB_HUB = 0x09, CLASS_USB_CONTROLLER = 0x0C03 };

/* ---- Attributes ---- */

static uint32_t usb_read_class(const struct reading *reading, const char *const names[3]) {
    uint32_t class = 0;
    for (size_t i = 0; i < 3; i++)
        class = class << 8 | bus_reader_hex(reading, names[i], UINT8_MAX);
    return class;
}

/* Many a product name has the maker in it already. */
static char *usb_name(const struct reading *reading, struct device_id id) {
    char *maker = bus_reader_text(reading, "manufacturer"),
         *product = bus_reader_text(reading, "product");
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

/* The device itself is always on "usb": what works with it are the drivers of its interfaces. */
static char *usb_driver(const struct tree *tree, const struct names *interfaces) {
    char *driver = NULL;
    for (size_t i = 0; i < interfaces->count && !driver; i++)
        driver = tree_link_name(tree, interfaces->items[i], "driver");
    return driver;
}

/* A device of class 0 leaves the class to its interfaces. */
static uint32_t usb_class(const struct reading *reading, const struct names *interfaces) {
    static const char *const device_names[] = {"bDeviceClass", "bDeviceSubClass",
                                               "bDeviceProtocol"};
    static const char *const interface_names[] = {"bInterfaceClass", "bInterfaceSubClass",
                                                  "bInterfaceProtocol"};
    uint32_t class = usb_read_class(reading, device_names);
    struct reading first = *reading;

    if (class >> 16 || !interfaces->count)
        return class;
    first.directory = tree_directory(reading->tree, interfaces->items[0]);
    if (first.directory >= 0) {
        class = usb_read_class(&first, interface_names);
        close(first.directory);
    }
    return class;
}

static void usb_read(const struct reading *reading) {
    struct device *device = reading->device;
    size_t before = reading->tree->faults->count;
    struct names parts = usb_interfaces(reading->tree, device->address, reading->names);

    device->driver = usb_driver(reading->tree, &parts);
    if (reading->tree->faults->count > before) {
        int error = reading->tree->faults->list[before].error;
        bus_reader_miss(reading, "driver", tree_fault_text(reading->tree, error), error);
    }
    device->id = bus_reader_id(reading, "idVendor", "idProduct");
    device->class_code = usb_class(reading, &parts);
    device->bus_number = bus_reader_decimal(reading, "busnum");
    device->device_number = bus_reader_decimal(reading, "devnum");
    device->serial = bus_reader_text(reading, "serial");
    device->name = usb_name(reading, device->id);
    device->iommu_group = device->numa_node = -1;
    device->is_bridge = device->class_code >> 16 == CLASS_USB_HUB;
    tree_finish_names(&parts);
}

static char *usb_driver_of(const struct tree *tree, const struct device *device, int directory) {
    struct names all = tree_list(tree, USB), parts = usb_interfaces(tree, device->address, &all);
    char *driver = usb_driver(tree, &parts);

    (void)directory;
    tree_finish_names(&parts);
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
        if (host->devices[i].bus == BUS_PCI &&
            host->devices[i].class_code >> 8 == CLASS_USB_CONTROLLER)
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
