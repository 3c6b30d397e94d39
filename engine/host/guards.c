#include "engine/host/guards.h"

#include "engine/host/driver.h"
#include "engine/host/part.h"
#include "engine/host/place.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLASS_NETWORK = 0x02,
    CLASS_WIRELESS = 0x0D,
    CLASS_INFINIBAND = 0x0C06,
    USB_CLASS_COMMUNICATION = 0x02,
    USB_CLASS_WIRELESS = 0xE0,
    USB_CLASS_KEYBOARD = 0x030101
};

/* It is bound to a driver of the host, so that the host may use it. */
static bool guards_is_on_host(const struct device *device) {
    return device->driver && !driver_is_vfio(device->driver) &&
           strcmp(device->driver, "pci-stub") != 0;
}

/* A SCSI device can be used through its generic file without any driver. */
static bool guards_may_be_open(const struct device *device) {
    return device->bus == BUS_SCSI || guards_is_on_host(device);
}

static bool guards_may_have_disks(const struct device *device) {
    return device_may_have_disks(device) && guards_may_be_open(device);
}

/* A USB modem has the class of a network device as well, but a terminal instead of an interface. */
static bool guards_may_have_interfaces(const struct device *device) {
    uint32_t class = device->class_code >> 8;
    bool is_network =
        class >> 8 == CLASS_NETWORK || class >> 8 == CLASS_WIRELESS || class == CLASS_INFINIBAND;
    if (device->bus == BUS_USB)
        is_network = (class >> 8 == USB_CLASS_COMMUNICATION || class >> 8 == USB_CLASS_WIRELESS) &&
                     !(device->driver && strcmp(device->driver, "cdc_acm") == 0);
    return is_network && guards_is_on_host(device);
}

static bool guards_may_be_display(const struct device *device) {
    return device->boot_vga || (device_is_graphics_card(device) && guards_is_on_host(device));
}

/* A controller, or a keyboard of the boot protocol. */
static bool guards_may_have_keyboards(const struct device *device) {
    bool may = device_is_usb_controller(device);

    for (size_t i = 0; i < device->interface_count; i++)
        may |= device->interfaces[i].class_code == USB_CLASS_KEYBOARD;
    return may && guards_is_on_host(device);
}

/* A serial port: of any USB device, whose interfaces often are of no class. */
static bool guards_may_have_ports(const struct device *device) {
    enum { CLASS_COMMUNICATION = 0x07 };
    bool may = device->bus == BUS_USB ||
               (device->bus == BUS_PCI && device->class_code >> 16 == CLASS_COMMUNICATION);
    return may && guards_is_on_host(device);
}

static const struct guard {
    const char *purpose; /* ends "the host uses it ..." */
    void (*find)(struct usage *usage);
    /* Whether the device may be in use when find() cannot read all of its sources. */
    bool (*may_be_of)(const struct device *device);
    /* And every device that nodes of this graph sit on may be, whatever its class. */
    enum { NO_GRAPH, BLOCK_GRAPH, NET_GRAPH } graph;
} guards[] = {
    {"for storage", disk_usage_find, guards_may_have_disks, BLOCK_GRAPH},
    {"for its network", net_stack_find_usage, guards_may_have_interfaces, NET_GRAPH},
    {"in a program", open_files_find_usage, guards_may_be_open, NO_GRAPH},
    {"as a display", console_find_displays, guards_may_be_display, NO_GRAPH},
    {"for its console", console_find_ports, guards_may_have_ports, NO_GRAPH},
    {"for its keyboards", console_find_keyboards, guards_may_have_keyboards, NO_GRAPH},
    {"for virtual functions", virtual_functions_find_usage, guards_is_on_host, NO_GRAPH},
};

/* Whether a device that is not left out may be in use so. Much is read for a graph; the other
 * guards read little, or their files may be of any device. */
static bool guards_may_find(const struct guard *guard, const struct host *host,
                            const struct tree *tree) {
    if (guard->graph == NO_GRAPH)
        return true;
    for (size_t i = 0; i < host->count; i++)
        if (!host->devices[i].is_outside && guard->may_be_of(&host->devices[i]))
            return true;
    return part_has_class(host, tree,
                          guard->graph == BLOCK_GRAPH ? "sys/class/block" : "sys/class/net");
}

/* The devices whose use the guard may have missed, and the controllers above them. */
static struct device_set guards_doubtful_devices(const struct guard *guard, const struct host *host,
                                                 const struct tree *tree) {
    const struct graph *graph = guard->graph == BLOCK_GRAPH ? &host->block
                                : guard->graph == NET_GRAPH ? &host->net
                                                            : NULL;
    struct device_set set = {0};

    for (size_t i = 0; i < host->count; i++)
        if (guard->may_be_of(&host->devices[i]))
            place_of_device(&set, host, tree, &host->devices[i]);
    for (size_t i = 0; graph && i < graph->nodes.count; i++)
        device_set_add_all(&set, &graph->nodes.items[i]->devices);
    return set;
}

/* `first`: the fault that the guard's own begin with. */
static void guards_doubt(const struct guard *guard, struct usage *usage, size_t first) {
    const struct faults *faults = usage->tree->faults;
    size_t more = faults->count - first - 1;
    char *rest = more ? memory_printf(", and %zu more", more) : memory_strdup("");
    struct device_set set = guards_doubtful_devices(guard, usage->host, usage->tree);
    const struct fault *fault = &faults->list[first]; /* the list may have moved */

    for (size_t i = 0; i < set.count; i++)
        device_obstruct(
            &usage->host->devices[set.items[i]], OBSTACLE_UNKNOWN_USE,
            memory_printf("cannot tell whether the host uses it %s: /%s cannot be read (%s)%s",
                          guard->purpose, fault->path, tree_fault_text(usage->tree, fault->error),
                          rest),
            usage_hint(usage->tree, fault->error));
    device_set_finish(&set);
    free(rest);
}

void guards_find_uses(struct host *host, const struct tree *tree) {
    struct usage usage;

    usage_init(&usage, host, tree);
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
        size_t first = tree->faults->count;
        if (host->is_partial && !guards_may_find(&guards[i], host, tree))
            continue;
        guards[i].find(&usage);
        if (tree->faults->count > first)
            guards_doubt(&guards[i], &usage, first);
    }
    usage_finish(&usage);
}
