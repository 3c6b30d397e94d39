#include "engine/host/iommu.h"

#include "engine/host/bus_reader.h"
#include "engine/host/driver.h"
#include "engine/host/usage.h"
#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS "sys/kernel/iommu_groups"

enum {
    CLASS_HOST_BRIDGE = 0x0600,
    CLASS_PCI_BRIDGE = 0x0604,
    CLASS_CARDBUS_BRIDGE = 0x0607,
    CLASS_SEMITRANSPARENT_BRIDGE = 0x0609
};

static void iommu_set_group(struct host *host, const char *address, uint32_t group) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus == BUS_PCI && device->iommu_group < 0 &&
            address_compare_pci(address, device->address) == 0)
            device->iommu_group = (int)group;
    }
}

/* The groups list their members too; that counts where a device does not name its group. */
static void iommu_read_groups(struct host *host, const struct tree *tree) {
    struct names groups = tree_list(tree, GROUPS);

    for (size_t i = 0; i < groups.count; i++) {
        uint32_t group = 0;
        if (!text_parse_decimal(groups.items[i], INT32_MAX, &group))
            continue;
        char *path = memory_printf(GROUPS "/%s/devices", groups.items[i]);
        struct names members = tree_list(tree, path);
        for (size_t j = 0; j < members.count; j++)
            iommu_set_group(host, members.items[j], group);
        host->has_iommu = true;
        tree_finish_names(&members);
        free(path);
    }
    tree_finish_names(&groups);
}

/* A device that cannot be read may be in any group, and none may be split. */
static void iommu_doubt_groups(struct host *host, const struct tree *tree, size_t first_fault) {
    const struct device *stranger = NULL;
    const struct fault *fault = NULL;

    for (size_t i = 0; i < host->count && !stranger; i++)
        if (host->devices[i].iommu_group == BUS_READER_GROUP_UNKNOWN)
            stranger = &host->devices[i];
    for (size_t i = first_fault; i < tree->faults->count && !fault; i++)
        fault = &tree->faults->list[i];
    for (size_t i = 0; (stranger || fault) && i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_PCI)
            continue;
        device_obstruct(
            device, OBSTACLE_UNKNOWN_USE,
            fault ? memory_printf(
                        "the other devices of its IOMMU group are unknown: /%s cannot be read (%s)",
                        fault->path, tree_fault_text(tree, fault->error))
                  : memory_printf(
                        "the other devices of its IOMMU group are unknown: %s cannot be read",
                        stranger->address),
            usage_hint(tree, fault ? fault->error : EACCES));
        if (device->iommu_group == BUS_READER_GROUP_UNKNOWN)
            device->iommu_group = -1;
    }
}

void iommu_find_groups(struct host *host, const struct tree *tree) {
    size_t first_fault = tree->faults->count;
    bool is_complete = true;

    for (size_t i = 0; i < host->count; i++) {
        if (host->devices[i].bus != BUS_PCI || host->devices[i].is_outside)
            continue;
        if (host->devices[i].iommu_group >= 0)
            host->has_iommu = true;
        else if (!host->source.is_brief || !host->devices[i].is_bridge)
            is_complete = false;
    }
    if (!is_complete)
        iommu_read_groups(host, tree);
    iommu_doubt_groups(host, tree, first_fault);
}

/* "0x00000000000e8000 0x00000000000e8fff direct", from Linux 4.11. "direct-relaxable" is for the
 * time before a driver has the device, and forbids nothing (drivers/iommu/iommu.c). */
static char *iommu_find_direct_region(char *text) {
    for (char *line; text && (line = text_next_line(&text));) {
        const char *start = text_next_field(&line), *end = start ? text_next_field(&line) : NULL;
        const char *type = end ? text_next_field(&line) : NULL;
        if (type && strcmp(type, "direct") == 0)
            return memory_printf("%s-%s", start, end);
    }
    return NULL;
}

int iommu_open_groups(const struct tree *tree) {
    return tree_directory(tree, GROUPS);
}

void iommu_find_reserved_regions(struct device *device, const struct tree *tree, int groups) {
    char name[64];
    size_t before = tree->faults->count;
    snprintf(name, sizeof name, "%d/reserved_regions", device->iommu_group);
    char *text = tree_attribute_at(tree, groups, GROUPS, name);
    char *region = iommu_find_direct_region(text);

    if (tree->faults->count > before) {
        const struct fault *fault = &tree->faults->list[before];
        device_obstruct(
            device, OBSTACLE_UNKNOWN_USE,
            memory_printf(
                "it is unknown what memory the firmware reserves for it: /%s cannot be read (%s)",
                fault->path, tree_fault_text(tree, fault->error)),
            usage_hint(tree, fault->error));
    }
    if (region)
        device_obstruct(
            device, OBSTACLE_FIRMWARE,
            memory_printf(
                "the firmware reserves memory for IOMMU group %d (%s, direct, in "
                "reserved_regions), so the kernel does not allow its devices to be assigned",
                device->iommu_group, region),
            memory_strdup("turn off in the firmware what shares memory with the device "
                          "(RMRR; HPE: shared memory features), or move the card to "
                          "another slot"));
    free(region);
    free(text);
}

static bool iommu_is_pci_bridge(uint32_t class_code) {
    uint32_t class = class_code >> 8;
    return class == CLASS_PCI_BRIDGE || class == CLASS_CARDBUS_BRIDGE ||
           class == CLASS_SEMITRANSPARENT_BRIDGE;
}

/*
 * As the kernel decides (drivers/vfio: is a group viable?): a device without driver is in nobody's
 * hands, vfio's own drivers ("vfio-pci", "mlx5_vfio_pci") and pci-stub leave it alone, and what
 * only passes traffic on does not count. What is behind a controller of the same group is gone by
 * then: the controller's driver makes it.
 */
bool iommu_blocks_group(const struct device *device) {
    const char *driver = device->driver;

    if (!driver || device->goes_with_controller || strcmp(driver, "pcieport") == 0 ||
        strcmp(driver, "pci-stub") == 0)
        return false;
    bool is_passage = device->class_code >> 8 == CLASS_HOST_BRIDGE ||
                      (device->header == HEADER_UNKNOWN ? iommu_is_pci_bridge(device->class_code)
                                                        : device->header == HEADER_BRIDGE);
    return !is_passage && !driver_is_vfio(driver);
}

const struct device *iommu_group_blocker(const struct host *host, const struct device *device) {
    if (device->bus != BUS_PCI || device->iommu_group < 0)
        return NULL;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *other = &host->devices[i];
        bool is_beside = other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
                         strcmp(other->address, device->address) != 0;
        if (is_beside && iommu_blocks_group(other))
            return other;
    }
    return NULL;
}
