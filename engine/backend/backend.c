#include "engine/backend/backend.h"

#include "lexer/memory.h"

#include <stdlib.h>

static const struct backend_type *const backend_types[BACKEND_COUNT] = {
#define BACKEND(name, ...) [BACKEND_##name] = &backend_type_##name,
#include "lexer/words.def"
};

const struct backend_type *backend_type(enum backend backend) {
    return backend_types[backend];
}

const struct backend_type *backend_of_bus(enum bus bus) {
    enum backend backend = BACKEND_NONE + 1;
    while (backend + 1 < BACKEND_COUNT && backend_types[backend]->bus != bus)
        backend++;
    return backend_types[backend];
}

/* Options whose element or attribute an older libvirt does not know, and leaves out in silence. */
static const struct {
    enum option_kind option;
    unsigned long version;
    const char *text;
} backend_needs[] = {
    {OPTION_CONTROLLER, 2001000, "2.1.0"}, /* a USB address without a port */
    {OPTION_GUEST_RESET, 8006000, "8.6.0"},
};

struct verdict backend_judge_options(const struct backend_options *options) {
    for (size_t i = 0; i < sizeof backend_needs / sizeof *backend_needs; i++) {
        unsigned long version = options->libvirt_version;
        if (!version || version >= backend_needs[i].version ||
            !syntax_find_option(options->list, backend_needs[i].option))
            continue;
        const char *option = syntax_option(backend_needs[i].option)->text;
        return verdict_refuse(
            REFUSED_OLD_LIBVIRT,
            memory_printf("'%s' needs libvirt %s, and this host has %lu.%lu.%lu", option,
                          backend_needs[i].text, version / 1000000, version / 1000 % 1000,
                          version % 1000),
            memory_printf("leave '%s' out of the rule, or upgrade libvirt", option));
    }
    return (struct verdict){0};
}

char *backend_xml(const struct backend_type *type, const struct device *device,
                  const struct backend_options *options) {
    char *xml = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&xml, &size);
    bool written = type->write_xml(out, device, options);
    memory_stream_close(out, &xml);
    if (written)
        return xml;
    free(xml);
    return NULL;
}

char *backend_detach_xml(const struct domain_hostdev *hostdev) {
    const struct backend_type *type = backend_type(hostdev->backend);
    char address[sizeof hostdev->address], *xml = NULL;
    struct device named = {.bus = hostdev->bus,
                           .address = address,
                           .id = hostdev->id,
                           .bus_number = hostdev->bus_number,
                           .device_number = hostdev->device_number};
    size_t size = 0;
    snprintf(address, sizeof address, "%s", hostdev->address);
    if (!type->write_detach)
        return backend_xml(type, &named, NULL);
    FILE *out = memory_stream(&xml, &size);
    bool written = type->write_detach(out, hostdev);
    memory_stream_close(out, &xml);
    if (written)
        return xml;
    free(xml);
    return NULL;
}

bool backend_is_hostdev(const struct domain_hostdev *hostdev, const struct device *device) {
    return hostdev->bus == device->bus &&
           backend_type(hostdev->backend)->is_hostdev(hostdev, device);
}

const struct domain_hostdev *backend_hostdev_of(const struct domain *domain,
                                                const struct device *device) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (backend_is_hostdev(&domain->hostdevs[i], device))
            return &domain->hostdevs[i];
    return NULL;
}

const struct device *backend_device_of(const struct host *host,
                                       const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < host->count; i++)
        if (backend_is_hostdev(hostdev, &host->devices[i]))
            return &host->devices[i];
    return NULL;
}
