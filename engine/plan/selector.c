#include "engine/plan/selector.h"

#include "parser/print.h"

#include <stdlib.h>
#include <string.h>

static bool selector_same_id(const struct device *a, const struct device *b) {
    return a->id.vendor == b->id.vendor && a->id.device == b->id.device;
}

static bool selector_same_serial(const struct device *a, const struct device *b) {
    return a->serial && b->serial && !strcmp(a->serial, b->serial);
}

/* Whether a serial tells it apart from every device with the same id. */
static bool selector_is_serial_unique(const struct host *host, const struct device *device) {
    if (!device->serial || !*device->serial)
        return false;
    for (size_t i = 0; i < host->count; i++)
        if (&host->devices[i] != device && selector_same_id(&host->devices[i], device) &&
            selector_same_serial(&host->devices[i], device))
            return false;
    return true;
}

static bool selector_is_id_unique(const struct host *host, const struct device *device) {
    for (size_t i = 0; i < host->count; i++)
        if (&host->devices[i] != device && selector_same_id(&host->devices[i], device) &&
            host->devices[i].bus == device->bus)
            return false;
    return true;
}

static char *selector_with_serial(const struct device *device) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%04x:%04x serial ", device->id.vendor, device->id.device);
    print_string(out, device->serial);
    memory_stream_close(out, &text);
    return text;
}

char *selector_text(const struct host *host, const struct device *device) {
    if (selector_is_id_unique(host, device))
        return memory_printf("%04x:%04x", device->id.vendor, device->id.device);
    if (selector_is_serial_unique(host, device))
        return selector_with_serial(device);
    return memory_printf("%04x:%04x %s %s", device->id.vendor, device->id.device,
                         device_bus(device->bus)->keyword, device->address);
}
