/* Physical functions (SR-IOV) that have virtual ones: each of these may be in use, and all are
 * removed when their physical function is unbound. */
#include "engine/host/guards.h"

#include "lexer/memory.h"

#include <stdlib.h>

/* Linux before 3.8 has no sriov_numvfs, but a link from each virtual function. */
void virtual_functions_find_usage(struct usage *usage) {
    const struct host *host = usage->host;
    unsigned *counts = memory_zalloc((host->count ? host->count : 1) * sizeof *counts);

    for (size_t i = 0; i < host->count; i++) {
        const char *address = host->devices[i].physical;
        const struct device *physical = address ? host_find(host, BUS_PCI, address) : NULL;
        if (physical)
            counts[physical - host->devices]++;
    }
    for (size_t i = 0; i < host->count; i++) {
        unsigned count = host->devices[i].virtual_functions;
        if (!count && !usage->of[i].count)
            count = counts[i];
        if (count)
            usage_add(usage, i, USE_FUNCTIONS, host->devices[i].address,
                      "runs %u virtual function%s on it", count, count == 1 ? "" : "s");
    }
    free(counts);
}
