#include "engine/backend/backend.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

static const struct backend_type *const backend_types[BACKEND_COUNT] = {
#define BACKEND(name, ...) [BACKEND_##name] = &backend_type_##name,
#include "lexer/words.def"
};

const struct backend_type *backend_type(enum backend backend) {
    return backend_types[backend];
}

bool backend_has_bus(const struct backend_type *type, enum bus bus) {
    return syntax_backend(type->backend)->buses & 1U << bus;
}

bool backend_has_bus_only(const struct backend_type *type, enum bus bus) {
    return syntax_backend(type->backend)->buses == 1U << bus;
}

const struct backend_type *backend_of_bus(enum bus bus) {
    enum backend backend = BACKEND_NONE + 1;
    while (backend + 1 < BACKEND_COUNT && !backend_has_bus(backend_types[backend], bus))
        backend++;
    return backend_types[backend];
}

/* --- what a device can be attached as */

/* What vfio-pci does not accept, the host's own drivers may. */
static bool backend_is_obstructed(const struct backend_type *type, const struct device *device) {
    return type->needs_iommu &&
           (device->obstacle == OBSTACLE_DOMAIN || device->obstacle == OBSTACLE_FIRMWARE ||
            device->obstacle == OBSTACLE_KERNEL);
}

static bool backend_can_present(const struct backend_type *type, const struct host *host,
                                const struct device *device) {
    if (device->is_bridge || !backend_has_bus(type, device->bus) ||
        backend_is_obstructed(type, device))
        return false;
    if (!type->judge_device)
        return true;
    struct verdict verdict = type->judge_device(host, device, NULL);
    bool can = verdict.refusal == REFUSED_NOT;
    verdict_finish(&verdict);
    return can;
}

backend_set backend_presenting(const struct host *host, const struct device *device) {
    backend_set set = 0;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        if (backend_can_present(backend_types[backend], host, device))
            set |= 1U << backend;
    return set;
}

char *backend_set_text(backend_set set) {
    char *text = memory_strdup("");
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        if (set & 1U << backend)
            memory_append(&text, "%s%s", *text ? ", " : "", syntax_backend_text(backend));
    return text;
}

char *backend_hint(const struct host *host, const struct device *device) {
    backend_set set = backend_presenting(host, device);
    char *names = backend_set_text(set);
    char *hint = !set ? memory_strdup("nothing after 'as' can attach this device: name "
                                      "another one")
                 : set & (set - 1) ? memory_printf("it can be attached as %s", names)
                                   : memory_printf("write 'as %s'", names);
    free(names);
    return hint;
}

struct verdict backend_judge_device(const struct backend_type *type, const struct host *host,
                                    const struct device *device,
                                    const struct backend_options *options) {
    struct verdict verdict =
        type->judge_device ? type->judge_device(host, device, options) : (struct verdict){0};
    if (verdict.refusal && !verdict.hint)
        verdict.hint = backend_hint(host, device);
    return verdict;
}

/* Options whose element or attribute an older libvirt does not know, and leaves out in silence. */
static const struct {
    enum option_kind option;
    unsigned long version;
    const char *text;
} backend_needs[] = {
    {OPTION_CONTROLLER, 2001000, "2.1.0"}, /* a USB address without a port */
    {OPTION_GUEST_RESET, 8006000, "8.6.0"},
    {OPTION_GRAB, 10004000, "10.4.0"}, /* plugs <input type='evdev'> into a running VM */
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

/* --- its elements */

static const char *backend_entity(unsigned char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\'':
        return "&apos;";
    case '"':
        return "&quot;";
    case '\t':
        return "&#9;";
    case '\n':
        return "&#10;";
    case '\r':
        return "&#13;";
    default: /* XML 1.0 has no way to write other control characters: U+FFFD */
        return c < ' ' || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

void backend_write_text(FILE *out, const char *text) {
    for (; *text; text++) {
        const char *entity = backend_entity((unsigned char)*text);
        if (entity)
            fputs(entity, out);
        else
            fputc(*text, out);
    }
}

size_t backend_count(const struct backend_type *type, const struct device *device,
                     const struct backend_options *options) {
    return type->count_elements ? type->count_elements(device, options) : 1;
}

char *backend_xml(const struct backend_type *type, const struct device *device,
                  const struct backend_options *options, size_t index) {
    char *xml = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&xml, &size);
    bool written = type->write_xml(out, device, options, index);
    memory_stream_close(out, &xml);
    if (written)
        return xml;
    free(xml);
    return NULL;
}

/* A USB device that was plugged in again is another one, although it has the same file or address.
 */
bool backend_alias_allows(const struct domain_hostdev *hostdev, const struct device *device) {
    struct backend_alias alias;
    if (device->bus == BUS_PCI || !backend_read_alias(hostdev, &alias))
        return true;
    bool is_there = alias.bus != device->bus || strcmp(alias.address, device->address) == 0;
    return is_there && (!device->device_number || !alias.device_number ||
                        alias.device_number == device->device_number);
}

static bool backend_is_element(const struct domain_hostdev *hostdev, const struct device *device,
                               size_t index) {
    return backend_type(hostdev->backend)->is_element(hostdev, device, index) &&
           backend_alias_allows(hostdev, device);
}

size_t backend_index_of(const struct domain_hostdev *hostdev, const struct device *device) {
    const struct backend_type *type = backend_type(hostdev->backend);
    size_t index = 0, count = backend_count(type, device, NULL);
    while (index < count && !backend_is_element(hostdev, device, index))
        index++;
    return index;
}

char *backend_detach_xml(const struct domain_hostdev *hostdev) {
    const struct backend_type *type = backend_type(hostdev->backend);
    char *xml = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&xml, &size);
    struct device *named = backend_gone_device(hostdev);
    bool written = type->write_detach ? type->write_detach(out, hostdev)
                                      : type->write_xml(out, named, NULL, 0);
    memory_stream_close(out, &xml);
    device_finish(named);
    free(named);
    if (written)
        return xml;
    free(xml);
    return NULL;
}

bool backend_is_hostdev(const struct domain_hostdev *hostdev, const struct device *device) {
    const struct backend_type *type = backend_type(hostdev->backend);
    return backend_has_bus(type, device->bus) &&
           backend_index_of(hostdev, device) < backend_count(type, device, NULL);
}

const struct domain_hostdev *backend_next_hostdev(const struct domain *domain,
                                                  const struct device *device,
                                                  const struct domain_hostdev *last) {
    for (size_t i = last ? (size_t)(last - domain->hostdevs) + 1 : 0; i < domain->hostdev_count;
         i++)
        if (backend_is_hostdev(&domain->hostdevs[i], device))
            return &domain->hostdevs[i];
    return NULL;
}

const struct domain_hostdev *backend_hostdev_of(const struct domain *domain,
                                                const struct device *device) {
    return backend_next_hostdev(domain, device, NULL);
}

const struct device *backend_device_of(const struct host *host,
                                       const struct domain_hostdev *hostdev) {
    const struct backend_type *type = backend_type(hostdev->backend);
    const struct device *best = NULL;
    size_t least = 0;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (!backend_is_hostdev(hostdev, device))
            continue;
        size_t count = backend_count(type, device, NULL);
        if (!best || count < least || (count == least && best->bus == BUS_PCI)) {
            best = device;
            least = count;
        }
    }
    return best;
}

bool backend_has_element(const struct domain *domain, const struct backend_type *type,
                         const struct device *device, size_t index) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (domain->hostdevs[i].backend == type->backend &&
            backend_is_element(&domain->hostdevs[i], device, index))
            return true;
    return false;
}

bool backend_has_all(const struct domain *domain, const struct backend_type *type,
                     const struct device *device, const struct backend_options *options) {
    size_t count = backend_has_bus(type, device->bus) ? backend_count(type, device, options) : 0;
    size_t had = 0;
    while (had < count && backend_has_element(domain, type, device, had))
        had++;
    return count && had == count;
}

/* --- elements that outlive their device */

static const char backend_alias_start[] = "ua-virt-rules-";

void backend_write_alias(FILE *out, enum backend backend, const struct device *device,
                         size_t index) {
    fprintf(out, "  <alias name='%s%s-", backend_alias_start, syntax_backend_text(backend));
    for (const char *c = device->address; *c; c++)
        putc(*c == ':' ? '_' : *c == '.' ? '-' : *c, out);
    fprintf(out, "-%u-%zu'/>\n", device->bus == BUS_PCI ? 0 : device->device_number, index);
}

/* A number after the last '-' of the text, which is cut off there. */
static bool backend_cut_number(char *text, unsigned *number) {
    char *last = strrchr(text, '-');
    uint32_t value = 0;
    if (!last || !text_parse_decimal(last + 1, UINT32_MAX, &value))
        return false;
    *last = '\0';
    *number = value;
    return true;
}

/* Of "1-1-4", without a '_', the first '-' is the one behind the bus of USB. */
static void backend_decode_address(char *text) {
    bool is_usb = !strchr(text, '_');
    char *rest = is_usb ? strchr(text, '-') : text;
    for (char *c = rest ? rest + is_usb : text; *c; c++)
        if (*c == '_')
            *c = ':';
        else if (*c == '-')
            *c = '.';
}

bool backend_read_alias(const struct domain_hostdev *hostdev, struct backend_alias *alias) {
    const char *name = syntax_backend_text(hostdev->backend), *text = hostdev->alias;
    size_t prefix = sizeof backend_alias_start - 1, length = strlen(name);
    if (strncmp(text, backend_alias_start, prefix) != 0 ||
        strncmp(text + prefix, name, length) != 0 || text[prefix + length] != '-' ||
        strlen(text + prefix + length + 1) >= sizeof alias->address)
        return false;
    snprintf(alias->address, sizeof alias->address, "%s", text + prefix + length + 1);
    if (!backend_cut_number(alias->address, &alias->index) ||
        !backend_cut_number(alias->address, &alias->device_number))
        return false;
    backend_decode_address(alias->address);
    return device_bus_of_address(alias->address, &alias->bus);
}

/* The file that such an element is of. */
static void backend_add_gone_file(struct device *device, const struct domain_hostdev *hostdev) {
    static const struct {
        enum backend backend;
        enum device_file_kind kind;
    } kinds[] = {
        {BACKEND_SERIAL, FILE_TTY}, {BACKEND_DISK, FILE_BLOCK}, {BACKEND_INPUT, FILE_EVENT}};
    for (size_t i = 0; hostdev->path && i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].backend == hostdev->backend)
            device_add_file(device, kinds[i].kind, memory_strdup(hostdev->path));
}

struct device *backend_gone_device(const struct domain_hostdev *hostdev) {
    struct device *device = memory_zalloc(sizeof *device);
    struct backend_alias alias = {.bus = hostdev->bus, .device_number = hostdev->device_number};
    bool has_alias = backend_read_alias(hostdev, &alias);
    unsigned bus_number = hostdev->bus_number;
    if (has_alias && alias.bus == BUS_USB)
        bus_number = (unsigned)strtoul(alias.address, NULL, 10); /* "1-1.4" */
    if (*hostdev->address) { /* of SCSI: the alias may be of what it is on */
        alias.bus = hostdev->bus;
        snprintf(alias.address, sizeof alias.address, "%s", hostdev->address);
    } else if (!has_alias && hostdev->bus == BUS_USB) {
        snprintf(alias.address, sizeof alias.address, "%u/%u", hostdev->bus_number,
                 hostdev->device_number);
    }
    *device = (struct device){.bus = alias.bus,
                              .unknown = DEVICE_UNKNOWN_ALL,
                              .address = memory_strdup(alias.address),
                              .id = hostdev->id,
                              .name = memory_strdup("(unplugged)"),
                              .iommu_group = -1,
                              .numa_node = -1,
                              .vf_number = -1,
                              .scsi_type = SCSI_UNKNOWN,
                              .bus_number = bus_number,
                              .device_number = alias.device_number};
    backend_add_gone_file(device, hostdev);
    return device;
}

char *backend_hostdev_text(const struct domain_hostdev *hostdev, const struct device *device) {
    char *own = device ? device_text(device) : NULL;
    if (hostdev->backend == BACKEND_MDEV && !(device && device->instance)) {
        char *mdev = memory_printf("%s %s", own ? own : "mediated device", hostdev->uuid);
        free(own);
        return mdev;
    }
    if (own)
        return own;
    struct device *gone = backend_gone_device(hostdev);
    bool has_id = hostdev->id.vendor || hostdev->id.device;
    char *text = has_id                             ? device_text(gone)
                 : !*gone->address && hostdev->path ? memory_strdup(hostdev->path)
                                                    : memory_strdup(gone->address);
    device_finish(gone);
    free(gone);
    return text;
}
