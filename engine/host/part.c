#include "engine/host/part.h"

#include "engine/host/bus_reader.h"
#include "engine/host/device_set.h"
#include "engine/host/pci.h"
#include "engine/model/device_class.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI "sys/bus/pci/devices"

static const char FIRST_DOMAIN[] = "0000:";

enum {
    CLASS_OLD_DISPLAY = 0x0001, /* from before there was a class for it */
    QEMU_DOMAIN_LENGTH = 4,
    PLACES = 65536 /* of functions in a domain: bus, slot and function have 16 bits */
};

/* "03e0<tab>1ac1089a<tab>...": bus, slot and function, then vendor and device. */
struct device_id *part_read_ids(const struct tree *tree, const struct names *devices) {
    for (size_t i = 0; i < devices->count; i++)
        if (!text_starts_with(devices->items[i], FIRST_DOMAIN))
            return NULL;
    char *text = tree_read(tree, "proc/bus/pci/devices"), *rest = text, *line;
    if (!text)
        return NULL;
    struct device_id *ids = memory_zalloc(PLACES * sizeof *ids);
    while ((line = text_next_line(&rest))) {
        unsigned long place = strtoul(line, &line, 16), id = strtoul(line, NULL, 16);
        if (place < PLACES)
            ids[place] = (struct device_id){(uint16_t)(id >> 16), (uint16_t)id};
    }
    free(text);
    return ids;
}

/* 0:0 where the list does not have it. */
static struct device_id part_id_of(const struct device_id *ids, const struct device *device) {
    if (!ids)
        return (struct device_id){0, 0};
    char *at = device->address + strlen(FIRST_DOMAIN);
    unsigned long bus = strtoul(at, &at, 16), slot = strtoul(at + 1, &at, 16);
    size_t place = bus << 8 | slot << 3 | strtoul(at + 1, NULL, 16);
    return place < PLACES ? ids[place] : (struct device_id){0, 0};
}

static bool part_identify(const struct tree *tree, struct device *device) {
    char path[64];
    snprintf(path, sizeof path, PCI "/%s", device->address);
    char *text = tree_attribute(tree, path, "modalias");
    bool is_known = pci_identify(device, text);

    free(text);
    device->unknown &= is_known ? ~(unsigned)DEVICE_UNKNOWN_CLASS : ~0U;
    return is_known;
}

bool part_leaves_out(const struct host_scope *scope, const struct tree *tree,
                     const struct device_id *ids, struct device *device) {
    struct device known = *device;
    known.unknown = DEVICE_UNKNOWN_ALL | DEVICE_UNKNOWN_PHYSICAL | DEVICE_UNKNOWN_CLASS;
    known.id = part_id_of(ids, device);
    known.is_outside = (known.id.vendor && !scope->may_be(scope, &known)) ||
                       (part_identify(tree, &known) && !scope->may_be(scope, &known));
    if (known.is_outside)
        *device = known;
    return known.is_outside;
}

/* The PCI devices in the scope. */
static struct device_set part_devices(const struct host *host) {
    struct device_set set = {0};
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI && !host->devices[i].is_outside)
            device_set_add(&set, i);
    return set;
}

/* Whether a path in sysfs is one of these devices, or of what is behind one. */
static bool part_has_path(const struct host *host, const struct device_set *set, const char *path) {
    for (size_t i = 0; i < set->count; i++) {
        const char *address = host->devices[set->items[i]].address;
        size_t length = strlen(address);
        for (const char *at = path; (at = strstr(at, address)); at += length)
            if (at > path && at[-1] == '/' && (!at[length] || at[length] == '/'))
                return true;
    }
    return false;
}

static bool part_is_of_console(const struct device *device) {
    return device->bus == BUS_PCI &&
           (device_is_graphics_card(device) || device->class_code >> 8 == CLASS_OLD_DISPLAY ||
            device_is_usb_controller(device));
}

/* Displays share files of their drivers, as /dev/nvidiactl, and one shows the host's console, which
 * matters to each of them and to keyboards. */
static bool part_read_displays(struct host *host, const struct tree *tree,
                               const struct device_set *set) {
    bool matters = false;
    for (size_t i = 0; i < set->count; i++)
        matters |= part_is_of_console(&host->devices[set->items[i]]);
    for (size_t i = 0; i < host->count && matters; i++) {
        struct device *device = &host->devices[i];
        if (device->unknown & DEVICE_UNKNOWN_CLASS && !part_identify(tree, device))
            return false;
        if (!device->is_outside || !part_is_of_console(device))
            continue;
        char *path = memory_printf(PCI "/%s", device->address);
        char *boot_vga = tree_attribute(tree, path, "boot_vga");
        device->boot_vga = boot_vga && strcmp(boot_vga, "1") == 0;
        device->driver = tree_link_name(tree, path, "driver");
        free(boot_vga);
        free(path);
    }
    return true;
}

/* The devices of the group that are not read yet. */
static bool part_read_group(struct host *host, const struct tree *tree, int group) {
    char *path = memory_printf("sys/kernel/iommu_groups/%d/devices", group);
    struct names members = tree_list(tree, path);
    bool is_known = members.count;

    for (size_t i = 0; i < members.count && is_known; i++) {
        const struct device *member = host_find(host, BUS_PCI, members.items[i]);
        struct device *device = member ? &host->devices[member - host->devices] : NULL;
        is_known = device;
        if (!device || !device->is_outside)
            continue;
        char *address = memory_strdup(device->address);
        device_finish(device);
        *device = bus_reader_device(&bus_reader_pci, address);
        is_known = bus_reader_read(tree, &bus_reader_pci, device, &members, &host->source);
    }
    tree_finish_names(&members);
    free(path);
    return is_known;
}

/* Of a virtual function, one that has some, and what a controller's driver made, more of the host
 * matters. Linux before 3.8 has no number of them. */
static bool part_is_ordinary(const struct device *device, const struct tree *tree) {
    char *function = memory_printf(PCI "/%s/virtfn0", device->address);
    bool is = !device->obstacle && device->iommu_group >= 0 && !device->physical &&
              !device->virtual_functions && !device->mdev_type_count && !tree_has(tree, function);
    free(function);
    return is;
}

/* The groups first: what they add need not be ordinary. */
bool part_complete(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (device->bus == BUS_PCI &&
            (strcspn(device->address, ":") > QEMU_DOMAIN_LENGTH ||
             (!device->is_outside && !part_read_group(host, tree, device->iommu_group))))
            return false;
    }
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI && !host->devices[i].is_outside &&
            !part_is_ordinary(&host->devices[i], tree))
            return false;
    struct device_set set = part_devices(host);
    bool is_known = part_read_displays(host, tree, &set);
    for (size_t i = 0; i < host->count && is_known; i++) {
        struct device *device = &host->devices[i];
        if (device->bus == BUS_PCI)
            continue;
        char *link =
            memory_printf("sys/bus/%s/devices/%s", device_bus(device->bus)->name, device->address);
        char *path = tree_resolve(tree, link);
        device->is_outside = path && !part_has_path(host, &set, path);
        free(path);
        free(link);
    }
    device_set_finish(&set);
    return is_known;
}

/* What a directory of sysfs has besides that which any PCI device has. */
struct part_contents {
    bool has_directories, has_anything;
};

static void part_note_entry(void *context, const char *name, unsigned char type) {
    static const char *const usual[] = {"link", "msi_irqs", "power"};
    struct part_contents *contents = context;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(name, usual[i]) == 0)
            return;
    contents->has_directories |= type == DT_DIR || type == DT_UNKNOWN;
    contents->has_anything = true;
}

/* True also when that cannot be seen, or nothing else is there. */
static bool part_has_directories(const struct tree *tree, const char *path) {
    struct part_contents contents = {false, false};
    int directory = tree_directory(tree, path);
    bool is_seen = directory >= 0 && tree_each_entry(directory, part_note_entry, &contents) == 0;
    if (directory >= 0)
        close(directory);
    return !is_seen || contents.has_directories || !contents.has_anything;
}

/* Whether anything may be behind one of these devices: it would have a directory there. */
static bool part_may_carry(const struct host *host, const struct tree *tree,
                           const struct device_set *set) {
    bool may = false;
    for (size_t i = 0; i < set->count && !may; i++) {
        char *path = memory_printf(PCI "/%s", host->devices[set->items[i]].address);
        may = part_has_directories(tree, path);
        free(path);
    }
    return may;
}

/* An entry is a link to its directory below its device, and of a disk with several paths (NVMe)
 * below no device. One that is not a link, as of an old kernel, may be on any device. */
static bool part_find_class(const struct host *host, const struct tree *tree,
                            const struct device_set *set, const char *class) {
    int directory = tree_directory(tree, class);
    struct names names = tree_list_at(tree, directory, class);
    bool has = directory < 0 || !names.count;

    for (size_t i = 0; i < names.count && !has; i++) {
        char target[PATH_MAX];
        ssize_t size = readlinkat(directory, names.items[i], target, sizeof target - 1);
        target[size < 0 ? 0 : size] = '\0';
        has = size <= 0 || strstr(target, "/nvme-subsys") || part_has_path(host, set, target);
    }
    if (directory >= 0)
        close(directory);
    tree_finish_names(&names);
    return has;
}

bool part_has_class(const struct host *host, const struct tree *tree, const char *class) {
    struct device_set set = part_devices(host);
    bool has = (part_has_directories(tree, class) || part_may_carry(host, tree, &set)) &&
               part_find_class(host, tree, &set, class);
    device_set_finish(&set);
    return has;
}
