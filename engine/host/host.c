#include "engine/host/host.h"
#include "engine/model/device.h"

#include "engine/host/driver.h"
#include "engine/host/tree.h"
#include "engine/model/address.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLASS_HOST_BRIDGE = 0x0600,
    CLASS_PCI_BRIDGE = 0x0604,
    CLASS_CARDBUS_BRIDGE = 0x0607,
    CLASS_SEMITRANSPARENT_BRIDGE = 0x0609
};

const struct device *host_find(const struct host *host, enum bus bus, const char *address) {
    size_t low = 0, high = host->count;
    bool has_domain = false;

    if (bus == BUS_PCI ? !address_is_pci(address, &has_domain) : !address_is_usb(address))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = device_compare(bus, address, &host->devices[middle]);
        if (order == 0)
            return &host->devices[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void host_finish(struct host *host) {
    for (size_t i = 0; i < host->count; i++)
        device_finish(&host->devices[i]);
    graph_finish(&host->block);
    graph_finish(&host->net);
    tree_finish_faults(&host->faults);
    free(host->devices);
    free(host->root);
    *host = (struct host){0};
}

static bool host_is_pci_bridge(uint32_t class_code) {
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
bool host_blocks_group(const struct device *device) {
    const char *driver = device->driver;

    if (!driver || device->goes_with_controller || strcmp(driver, "pcieport") == 0 ||
        strcmp(driver, "pci-stub") == 0)
        return false;
    bool is_passage = device->class_code >> 8 == CLASS_HOST_BRIDGE ||
                      (device->header == HEADER_UNKNOWN ? host_is_pci_bridge(device->class_code)
                                                        : device->header == HEADER_BRIDGE);
    return !is_passage && !driver_is_vfio(driver);
}

const struct device *host_group_blocker(const struct host *host, const struct device *device) {
    if (device->bus != BUS_PCI || device->iommu_group < 0)
        return NULL;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *other = &host->devices[i];
        bool is_beside = other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
                         strcmp(other->address, device->address) != 0;
        if (is_beside && host_blocks_group(other))
            return other;
    }
    return NULL;
}
