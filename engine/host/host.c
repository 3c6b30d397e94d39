#include "engine/host/host.h"

#include "engine/host/tree.h"
#include "engine/model/device.h"

#include <stdlib.h>

const struct device *host_find(const struct host *host, enum bus bus, const char *address) {
    size_t low = 0, high = host->count;
    enum bus found = bus;

    if (!device_bus_of_address(address, &found) || found != bus)
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
    for (size_t i = 0; i < host->framebuffer_count; i++) {
        free(host->framebuffers[i].name);
        free(host->framebuffers[i].driver);
    }
    free(host->framebuffers);
    free(host->serial_console);
    free(host->devices);
    free(host->root);
    *host = (struct host){0};
}
