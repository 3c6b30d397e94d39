#include "engine/domain.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 256, PATH_SIZE = 128, PCI_BUSES = 256, PCI_SLOTS = 32, UUID_DIGITS = 32 };

enum controller { NO_CONTROLLER, PCIE_ROOT, PCIE_PORT, PCI_SLOTTED };

/* The child of <devices> that is being read. */
struct device {
    bool is_hostdev;
    bool takes_bus_from_address; /* an <interface type='hostdev'>: the source says pci or usb */
    bool has_source;
    struct domain_hostdev hostdev;
    enum controller controller;
    bool has_index;
    unsigned index; /* the number of the bus that a PCI controller makes */
    bool no_hotplug;
};

struct reader {
    XML_Parser parser;
    struct domain *domain;
    unsigned depth;
    unsigned foreign; /* depth of an element that is none of libvirt's, 0 outside of such */
    char path[PATH_SIZE];
    size_t path_length;
    struct device device;
    char **text_of; /* where the text that is being read belongs, NULL: to nobody */
    unsigned text_depth;
    char *text;
    size_t text_length, text_size;
    /* What the guest's PCI buses are and what sits on them, by bus number. */
    bool port[PCI_BUSES], slotted[PCI_BUSES];
    uint32_t used_slots[PCI_BUSES];
    unsigned ports_without_index;
    char *error;
    size_t error_size;
    bool refused; /* `error` is written, and the parser told to stop */
};

/* expat 2.9 deprecates the functions that older releases have alone. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static unsigned long line_number(const struct reader *reader) {
    return (unsigned long)XML_GetCurrentLineNumber(reader->parser);
}

static unsigned long column_number(const struct reader *reader) {
    return (unsigned long)XML_GetCurrentColumnNumber(reader->parser) + 1;
}
#pragma GCC diagnostic pop

__attribute__((format(printf, 2, 3))) static void refuse(struct reader *reader, const char *format,
                                                         ...) {
    va_list arguments;

    if (reader->refused)
        return;
    reader->refused = true;
    va_start(arguments, format);
    vsnprintf(reader->error, reader->error_size, format, arguments);
    va_end(arguments);
    XML_StopParser(reader->parser, XML_FALSE);
}

static const char *attribute(const XML_Char **attributes, const char *name) {
    for (; *attributes; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return NULL;
}

static bool attribute_is(const XML_Char **attributes, const char *name, const char *value) {
    const char *text = attribute(attributes, name);

    return text && strcmp(text, value) == 0;
}

/* A number as libvirt reads it: decimal, 0x hex, or octal. */
static bool number(const char *text, unsigned max, unsigned *value) {
    char *end;
    unsigned long read;

    if (!text || !isdigit((unsigned char)*text))
        return false;
    errno = 0;
    read = strtoul(text, &end, 0);
    if (*end || errno || read > max)
        return false;
    *value = (unsigned)read;
    return true;
}

/* The same of an attribute that is 0 when it is not there. */
static bool part(const XML_Char **attributes, const char *name, unsigned max, unsigned *value) {
    const char *text = attribute(attributes, name);

    *value = 0;
    return !text || number(text, max, value);
}

struct pci_address {
    unsigned domain, bus, slot, function;
};

static bool pci_address(const XML_Char **attributes, struct pci_address *address) {
    return part(attributes, "domain", 0xffffff, &address->domain) &&
           part(attributes, "bus", PCI_BUSES - 1, &address->bus) &&
           part(attributes, "slot", PCI_SLOTS - 1, &address->slot) &&
           part(attributes, "function", 7, &address->function);
}

static bool is_foreign(const XML_Char *name, const XML_Char **attributes) {
    const char *namespace = attribute(attributes, "xmlns");

    return strchr(name, ':') || (namespace && *namespace);
}

/* ---- what an element says, one function a place in the tree ---- */

static void start_domain(struct reader *reader, const XML_Char **attributes) {
    unsigned id;

    if (number(attribute(attributes, "id"), INT_MAX, &id))
        reader->domain->id = (int)id;
}

/* The first one that says something counts, as in libvirt. */
static void read_text_of(struct reader *reader, char **text_of) {
    if (*text_of)
        return;
    reader->text_of = text_of;
    reader->text_depth = reader->depth;
    reader->text_length = 0;
}

static void start_name(struct reader *reader, const XML_Char **attributes) {
    (void)attributes;
    read_text_of(reader, &reader->domain->name);
}

static void start_title(struct reader *reader, const XML_Char **attributes) {
    (void)attributes;
    read_text_of(reader, &reader->domain->title);
}

static void start_uuid(struct reader *reader, const XML_Char **attributes) {
    (void)attributes;
    read_text_of(reader, &reader->domain->uuid);
}

static void start_os_type(struct reader *reader, const XML_Char **attributes) {
    const char *machine = attribute(attributes, "machine");

    if (!machine || reader->domain->machine)
        return;
    reader->domain->machine = strdup(machine);
    if (!reader->domain->machine)
        refuse(reader, "out of memory");
}

static void start_hostdev(struct reader *reader, const XML_Char **attributes) {
    const char *mode = attribute(attributes, "mode");
    bool usb = attribute_is(attributes, "type", "usb");

    if (mode && strcmp(mode, "subsystem") != 0)
        return;
    reader->device.is_hostdev = usb || attribute_is(attributes, "type", "pci");
    reader->device.hostdev.bus = usb ? BUS_USB : BUS_PCI;
}

static void start_interface(struct reader *reader, const XML_Char **attributes) {
    reader->device.is_hostdev = attribute_is(attributes, "type", "hostdev");
    reader->device.takes_bus_from_address = reader->device.is_hostdev;
}

static enum controller controller_of_model(const char *model) {
    static const struct {
        const char *model;
        enum controller controller;
    } models[] = {
        {"pcie-root", PCIE_ROOT},
        {"pcie-root-port", PCIE_PORT},
        {"pcie-switch-downstream-port", PCIE_PORT},
        {"pci-root", PCI_SLOTTED},
        {"pci-bridge", PCI_SLOTTED},
    };

    for (size_t i = 0; model && i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].model, model) == 0)
            return models[i].controller;
    return NO_CONTROLLER;
}

static void start_controller(struct reader *reader, const XML_Char **attributes) {
    struct device *device = &reader->device;

    if (attribute_is(attributes, "type", "usb") && !attribute_is(attributes, "model", "none"))
        reader->domain->has_usb_controller = true;
    if (!attribute_is(attributes, "type", "pci"))
        return;
    device->controller = controller_of_model(attribute(attributes, "model"));
    device->has_index = number(attribute(attributes, "index"), PCI_BUSES - 1, &device->index);
    if (attribute_is(attributes, "model", "pci-root")) {
        reader->domain->has_pci_root = true;
        device->has_index = true;
    }
}

static void start_controller_target(struct reader *reader, const XML_Char **attributes) {
    if (attribute_is(attributes, "hotplug", "off"))
        reader->device.no_hotplug = true;
}

static void start_guest_address(struct reader *reader, const XML_Char **attributes) {
    struct pci_address address;

    if (attribute_is(attributes, "type", "pci") && pci_address(attributes, &address) &&
        address.domain == 0)
        reader->used_slots[address.bus] |= UINT32_C(1) << address.slot;
}

static void start_alias(struct reader *reader, const XML_Char **attributes) {
    const char *name = attribute(attributes, "name");

    if (name)
        snprintf(reader->device.hostdev.alias, sizeof reader->device.hostdev.alias, "%s", name);
}

static void start_source_address(struct reader *reader, const XML_Char **attributes) {
    struct device *device = &reader->device;
    struct domain_hostdev *hostdev = &device->hostdev;
    struct pci_address address;

    if (device->takes_bus_from_address)
        hostdev->bus = attribute_is(attributes, "type", "usb") ? BUS_USB : BUS_PCI;
    if (hostdev->bus == BUS_USB) {
        device->has_source |= part(attributes, "bus", UINT_MAX, &hostdev->bus_number) &&
                              part(attributes, "device", UINT_MAX, &hostdev->device_number);
    } else if (pci_address(attributes, &address)) {
        snprintf(hostdev->address, sizeof hostdev->address, "%04x:%02x:%02x.%x", address.domain,
                 address.bus, address.slot, address.function);
        device->has_source = true;
    }
}

static void read_id(struct reader *reader, const XML_Char **attributes, uint16_t *id) {
    unsigned value;

    if (reader->device.hostdev.bus != BUS_USB ||
        !number(attribute(attributes, "id"), UINT16_MAX, &value))
        return;
    *id = (uint16_t)value;
    reader->device.has_source = true;
}

static void start_source_vendor(struct reader *reader, const XML_Char **attributes) {
    read_id(reader, attributes, &reader->device.hostdev.id.vendor);
}

static void start_source_product(struct reader *reader, const XML_Char **attributes) {
    read_id(reader, attributes, &reader->device.hostdev.id.device);
}

/* A `*` stands for one element. All rows that match apply. */
static const struct place {
    const char *path;
    void (*start)(struct reader *reader, const XML_Char **attributes);
} places[] = {
    {"/domain", start_domain},
    {"/domain/name", start_name},
    {"/domain/title", start_title},
    {"/domain/uuid", start_uuid},
    {"/domain/os/type", start_os_type},
    {"/domain/devices/controller", start_controller},
    {"/domain/devices/controller/target", start_controller_target},
    {"/domain/devices/hostdev", start_hostdev},
    {"/domain/devices/interface", start_interface},
    {"/domain/devices/*/address", start_guest_address},
    {"/domain/devices/*/alias", start_alias},
    {"/domain/devices/*/source/address", start_source_address},
    {"/domain/devices/*/source/vendor", start_source_vendor},
    {"/domain/devices/*/source/product", start_source_product},
};

static bool path_matches(const char *path, const char *pattern) {
    for (; *pattern; pattern++) {
        if (*pattern == '*')
            path += strcspn(path, "/");
        else if (*path++ != *pattern)
            return false;
    }
    return *path == '\0';
}

/* ---- the end of a device and of the whole ---- */

static void keep_hostdev(struct reader *reader) {
    struct domain *domain = reader->domain;
    struct domain_hostdev *hostdevs =
        reallocarray(domain->hostdevs, domain->hostdev_count + 1, sizeof *hostdevs);

    if (!hostdevs) {
        refuse(reader, "out of memory");
        return;
    }
    domain->hostdevs = hostdevs;
    hostdevs[domain->hostdev_count++] = reader->device.hostdev;
}

static void keep_controller(struct reader *reader) {
    const struct device *device = &reader->device;

    if (device->controller == PCIE_ROOT)
        reader->domain->has_pcie_root = true;
    if (device->controller == PCI_SLOTTED && device->has_index)
        reader->slotted[device->index] = true;
    if (device->controller != PCIE_PORT)
        return;
    reader->domain->root_ports++;
    if (device->has_index && !device->no_hotplug)
        reader->port[device->index] = true;
    else if (!device->no_hotplug)
        reader->ports_without_index++;
}

static void end_device(struct reader *reader) {
    if (reader->device.is_hostdev && reader->device.has_source)
        keep_hostdev(reader);
    keep_controller(reader);
}

static void count_free_places(const struct reader *reader) {
    struct domain *domain = reader->domain;

    domain->free_root_ports = reader->ports_without_index;
    for (unsigned bus = 0; bus < PCI_BUSES; bus++) {
        if (reader->port[bus] && !reader->used_slots[bus])
            domain->free_root_ports++;
        if (!reader->slotted[bus])
            continue;
        for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
            if (!(reader->used_slots[bus] >> slot & 1))
                domain->free_pci_slots++;
    }
}

/* Any 32 hex digits with dashes anywhere and white space around, as libvirt reads it. */
static bool uuid_normalise(const char *text, char uuid[37]) {
    size_t digits = 0, length = 0;

    text += strspn(text, " \t\r\n");
    for (; *text && digits < UUID_DIGITS; text++) {
        if (*text == '-')
            continue;
        if (!isxdigit((unsigned char)*text))
            return false;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
            uuid[length++] = '-';
        uuid[length++] = (char)tolower((unsigned char)*text);
        digits++;
    }
    uuid[length] = '\0';
    return digits == UUID_DIGITS && text[strspn(text, " \t\r\n")] == '\0';
}

static void end_text(struct reader *reader) {
    char **text_of = reader->text_of;
    char uuid[37];

    reader->text_of = NULL;
    if (reader->text_length == 0)
        return;
    if (text_of != &reader->domain->uuid)
        *text_of = strndup(reader->text, reader->text_length);
    else if (uuid_normalise(reader->text, uuid))
        *text_of = strdup(uuid);
    else
        return;
    if (!*text_of)
        refuse(reader, "out of memory");
}

/* ---- expat's callbacks ---- */

static bool is_device(const struct reader *reader) {
    return reader->depth == 3 && path_matches(reader->path, "/domain/devices/*");
}

static bool path_push(struct reader *reader, const XML_Char *name) {
    size_t length = strlen(name);

    if (reader->path_length + length + 2 > sizeof reader->path)
        return false;
    reader->path[reader->path_length] = '/';
    memcpy(reader->path + reader->path_length + 1, name, length + 1);
    reader->path_length += length + 1;
    return true;
}

static void path_pop(struct reader *reader) {
    while (reader->path_length > 0 && reader->path[--reader->path_length] != '/')
        ;
    reader->path[reader->path_length] = '\0';
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes) {
    struct reader *reader = data;

    if (++reader->depth > DEPTH_MAX)
        refuse(reader, "line %lu: elements are nested deeper than %d: this is no domain XML",
               line_number(reader), DEPTH_MAX);
    else if (reader->depth == 1 && (strcmp(name, "domain") != 0 || is_foreign(name, attributes)))
        refuse(reader,
               "this is the XML of a <%.40s>, not of a <domain>: give what 'virsh dumpxml VM' "
               "prints",
               name);
    if (reader->refused || reader->foreign)
        return;
    if (is_foreign(name, attributes) || !path_push(reader, name)) {
        reader->foreign = reader->depth;
        return;
    }
    if (is_device(reader))
        reader->device = (struct device){0};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (path_matches(reader->path, places[i].path))
            places[i].start(reader, attributes);
}

static void on_end(void *data, const XML_Char *name) {
    struct reader *reader = data;

    (void)name;
    if (reader->refused)
        return;
    if (reader->text_of && reader->depth == reader->text_depth)
        end_text(reader);
    if (!reader->foreign) {
        if (is_device(reader))
            end_device(reader);
        path_pop(reader);
    } else if (reader->foreign == reader->depth) {
        reader->foreign = 0;
    }
    reader->depth--;
}

static void on_text(void *data, const XML_Char *text, int length) {
    struct reader *reader = data;
    size_t needed = reader->text_length + (size_t)length + 1;

    if (!reader->text_of || reader->refused)
        return;
    if (needed > reader->text_size) {
        char *grown = realloc(reader->text, 2 * needed);

        if (!grown) {
            refuse(reader, "out of memory");
            return;
        }
        reader->text = grown;
        reader->text_size = 2 * needed;
    }
    memcpy(reader->text + reader->text_length, text, (size_t)length);
    reader->text_length += (size_t)length;
    reader->text[reader->text_length] = '\0';
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int has_internal_subset) {
    struct reader *reader = data;

    (void)name, (void)system, (void)public, (void)has_internal_subset;
    refuse(reader,
           "line %lu: a document type declaration (<!DOCTYPE ...>) is refused, because of entity "
           "bombs: remove it",
           line_number(reader));
}

/* ---- public ---- */

static bool is_cut_off(enum XML_Error code) {
    return code == XML_ERROR_NO_ELEMENTS || code == XML_ERROR_UNCLOSED_TOKEN ||
           code == XML_ERROR_PARTIAL_CHAR || code == XML_ERROR_UNCLOSED_CDATA_SECTION;
}

static void explain(struct reader *reader) {
    enum XML_Error code = XML_GetErrorCode(reader->parser);
    unsigned long line = line_number(reader);

    if (reader->refused)
        return;
    if (code == XML_ERROR_NO_MEMORY)
        snprintf(reader->error, reader->error_size, "out of memory");
    else if (code == XML_ERROR_NO_ELEMENTS && reader->depth == 0)
        snprintf(reader->error, reader->error_size,
                 "the domain XML is empty: give what 'virsh dumpxml VM' prints");
    else if (is_cut_off(code))
        snprintf(reader->error, reader->error_size,
                 "line %lu: the domain XML ends before its </domain>: it was cut off", line);
    else
        snprintf(reader->error, reader->error_size,
                 "line %lu, column %lu: this is not XML (%s): give what 'virsh dumpxml VM' prints",
                 line, column_number(reader), XML_ErrorString(code));
}

static int read_all(struct reader *reader, const char *xml, size_t size) {
    XML_SetUserData(reader->parser, reader);
    XML_SetElementHandler(reader->parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader->parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
    if (XML_Parse(reader->parser, xml, (int)size, XML_TRUE) != XML_STATUS_OK || reader->refused) {
        explain(reader);
        return -1;
    }
    if (!reader->domain->name) {
        snprintf(reader->error, reader->error_size, "the <domain> has no <name>");
        return -1;
    }
    count_free_places(reader);
    return 0;
}

int domain_parse(struct domain *domain, const char *xml, size_t size, char *error,
                 size_t error_size) {
    struct reader *reader = calloc(1, sizeof *reader);
    int status = -1;

    *domain = (struct domain){.id = -1};
    if (reader)
        *reader = (struct reader){.domain = domain, .error = error, .error_size = error_size};
    if (size > INT_MAX)
        snprintf(error, error_size, "the domain XML is larger than 2 GiB: this is no domain XML");
    else if (!reader || !(reader->parser = XML_ParserCreate(NULL)))
        snprintf(error, error_size, "out of memory");
    else
        status = read_all(reader, xml ? xml : "", xml ? size : 0);
    if (reader) {
        if (reader->parser)
            XML_ParserFree(reader->parser);
        free(reader->text);
        free(reader);
    }
    if (status != 0)
        domain_finish(domain);
    return status;
}

int domain_from_name(struct domain *domain, const char *name) {
    char uuid[37];
    bool is_uuid = uuid_normalise(name, uuid);

    *domain = (struct domain){.id = -1};
    domain->name = strdup(name);
    domain->uuid = is_uuid ? strdup(uuid) : NULL;
    if (domain->name && (domain->uuid || !is_uuid))
        return 0;
    domain_finish(domain);
    return -1;
}

void domain_finish(struct domain *domain) {
    free(domain->name);
    free(domain->title);
    free(domain->uuid);
    free(domain->machine);
    free(domain->hostdevs);
    *domain = (struct domain){.id = -1};
}

static bool id_is_same(const struct device_id *a, const struct device_id *b) {
    return a->vendor == b->vendor && a->device == b->device;
}

bool domain_hostdev_is(const struct domain_hostdev *hostdev, const struct host_device *device) {
    bool has_id = hostdev->id.vendor || hostdev->id.device;

    if (hostdev->bus != device->bus)
        return false;
    if (hostdev->bus == BUS_PCI)
        return strcmp(hostdev->address, device->address) == 0;
    if (has_id && !id_is_same(&hostdev->id, &device->id))
        return false;
    if (hostdev->bus_number || hostdev->device_number)
        return hostdev->bus_number == device->bus_number &&
               hostdev->device_number == device->device_number;
    return has_id;
}

const struct domain_hostdev *domain_holds(const struct domain *domain,
                                          const struct host_device *device) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (domain_hostdev_is(&domain->hostdevs[i], device))
            return &domain->hostdevs[i];
    return NULL;
}

const char *domain_key(const struct domain *domain) {
    return domain->uuid ? domain->uuid : domain->name;
}

const char *domain_label(const struct domain *domain) {
    return domain->title ? domain->title : domain->name;
}

bool domain_is_called(const struct domain *domain, const char *text) {
    char uuid[37];

    if (strcmp(domain->name, text) == 0 || (domain->title && strcmp(domain->title, text) == 0))
        return true;
    return domain->uuid && uuid_normalise(text, uuid) && strcmp(domain->uuid, uuid) == 0;
}
