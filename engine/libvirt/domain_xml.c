#include "engine/libvirt/domain_xml.h"

#include "engine/model/address.h"
#include "lexer/memory.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    DEPTH_MAX = 256,
    PATH_SIZE = 4096, /* a chain of backing stores may be that deep */
    DEVICE_DEPTH = 3,
    UUID_DIGITS = 32,
    ELEMENT_SIZE = 64
};

/* The child of <devices> that is being read. */
struct domain_xml_device {
    bool is_hostdev;
    bool takes_bus_from_address; /* an <interface type='hostdev'>: the source says pci or usb */
    bool has_source;
    struct domain_hostdev hostdev; /* which owns its path */
    bool is_kept;                  /* it is the last one of the domain's hostdevs */
    char element[ELEMENT_SIZE];    /* its name */
    char label[ELEMENT_SIZE];      /* what its <target> is called: "vda", "vnet0" */
    size_t first_use;              /* of the domain's uses, the first that is this element's */
    /* A controller: the model, and of what it is; else "". */
    enum { NO_CONTROLLER, PCI_CONTROLLER, USB_CONTROLLER, SCSI_CONTROLLER } controller;
    char model[ELEMENT_SIZE];    /* "": none */
    int index, ports, startport; /* -1: none */
    uint64_t reserve;            /* bytes, of a PCI controller; 0: none */
    uint64_t hole_unit;          /* bytes, of the <pcihole64> that is being read */
    bool no_hotplug;
    bool is_hub, is_usb; /* takes a USB port, wherever that is */
    bool is_shadow;      /* a <console> that stands for the first <serial> once more */
    bool is_block;       /* a <disk type='block'> that is a disk, and no drive for media */
    bool is_scsi;        /* a disk on a SCSI controller, or a SCSI device */
    bool has_no_bus;     /* a disk whose <target> names none */
    bool has_drive;      /* an <address type='drive'>, with the last three numbers below */
    struct guest_place place;
    struct { /* of a SCSI device */
        unsigned host;
        bool is_there;
    } adapter;
    unsigned boot; /* its <boot order='N'/>; 0: none */
    unsigned controller_index, drive_bus, drive_target, drive_unit;
};

struct domain_xml_reader {
    XML_Parser parser;
    struct domain *domain;
    unsigned depth;
    unsigned wrapper; /* 1 inside of a <domstatus>, else 0 */
    unsigned foreign; /* depth of an element that is none of libvirt's, 0 outside of such */
    bool is_marking;  /* inside of our own element of <metadata>, which is at that depth */
    char path[PATH_SIZE];
    size_t path_length;
    struct domain_xml_device device;
    char **text_of; /* where the text that is being read belongs, NULL: to nobody */
    unsigned text_depth;
    char *text;
    size_t text_length, text_size;
    char *leaf; /* the text of an element of a device, while `text_of` is that */
    struct failure *failure;
    bool refused; /* `failure` is set, and the parser told to stop */
};

/* expat 2.9 deprecates the functions that older releases have alone. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static unsigned long domain_xml_line_number(const struct domain_xml_reader *reader) {
    return (unsigned long)XML_GetCurrentLineNumber(reader->parser);
}

static unsigned long domain_xml_column_number(const struct domain_xml_reader *reader) {
    return (unsigned long)XML_GetCurrentColumnNumber(reader->parser) + 1;
}
#pragma GCC diagnostic pop

__attribute__((format(printf, 2, 3))) static void
domain_xml_refuse(struct domain_xml_reader *reader, const char *format, ...) {
    va_list arguments;

    if (reader->refused)
        return;
    reader->refused = true;
    va_start(arguments, format);
    failure_vset(reader->failure, format, arguments);
    va_end(arguments);
    XML_StopParser(reader->parser, XML_FALSE);
}

static const char *domain_xml_attribute(const XML_Char **attributes, const char *name) {
    for (; *attributes; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return NULL;
}

static bool domain_xml_attribute_is(const XML_Char **attributes, const char *name,
                                    const char *value) {
    const char *text = domain_xml_attribute(attributes, name);

    return text && strcmp(text, value) == 0;
}

/* A number as libvirt reads it: decimal, 0x hex, or octal. */
static bool domain_xml_number(const char *text, unsigned max, unsigned *value) {
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
static bool domain_xml_part(const XML_Char **attributes, const char *name, unsigned max,
                            unsigned *value) {
    const char *text = domain_xml_attribute(attributes, name);

    *value = 0;
    return !text || domain_xml_number(text, max, value);
}

struct domain_xml_pci_address {
    unsigned domain, bus, slot, function;
};

static bool domain_xml_pci_address(const XML_Char **attributes,
                                   struct domain_xml_pci_address *address) {
    return domain_xml_part(attributes, "domain", UINT_MAX, &address->domain) &&
           domain_xml_part(attributes, "bus", GUEST_BUSES - 1, &address->bus) &&
           domain_xml_part(attributes, "slot", GUEST_SLOTS - 1, &address->slot) &&
           domain_xml_part(attributes, "function", 7, &address->function);
}

static bool domain_xml_is_foreign(const XML_Char *name, const XML_Char **attributes) {
    const char *namespace = domain_xml_attribute(attributes, "xmlns");

    return strchr(name, ':') || (namespace && *namespace);
}

/* ---- what an element says, one function a place in the tree ---- */

static void domain_xml_start_domain(struct domain_xml_reader *reader, const XML_Char **attributes) {
    unsigned id;

    if (domain_xml_number(domain_xml_attribute(attributes, "id"), INT_MAX, &id))
        reader->domain->id = (int)id;
}

/* The first one that says something counts, as in libvirt. */
static void domain_xml_read_text_of(struct domain_xml_reader *reader, char **text_of) {
    if (*text_of)
        return;
    reader->text_of = text_of;
    reader->text_depth = reader->depth;
    reader->text_length = 0;
}

static void domain_xml_start_name(struct domain_xml_reader *reader, const XML_Char **attributes) {
    (void)attributes;
    domain_xml_read_text_of(reader, &reader->domain->name);
}

static void domain_xml_start_title(struct domain_xml_reader *reader, const XML_Char **attributes) {
    (void)attributes;
    domain_xml_read_text_of(reader, &reader->domain->title);
}

static void domain_xml_start_uuid(struct domain_xml_reader *reader, const XML_Char **attributes) {
    (void)attributes;
    domain_xml_read_text_of(reader, &reader->domain->uuid);
}

static void domain_xml_start_os_type(struct domain_xml_reader *reader,
                                     const XML_Char **attributes) {
    const char *machine = domain_xml_attribute(attributes, "machine");

    if (!machine || reader->domain->machine)
        return;
    reader->domain->machine = memory_strdup(machine);
}

static void domain_xml_start_os_boot(struct domain_xml_reader *reader,
                                     const XML_Char **attributes) {
    (void)attributes;
    reader->domain->has_os_boot = true;
}

static void domain_xml_start_device_boot(struct domain_xml_reader *reader,
                                         const XML_Char **attributes) {
    domain_xml_part(attributes, "order", INT_MAX, &reader->device.boot);
}

/* ---- our own mark, see definition_mark.h ---- */

/* The name without its prefix. */
static const char *domain_xml_local_name(const XML_Char *name) {
    const char *colon = strchr(name, ':');
    return colon ? colon + 1 : name;
}

/* Whether the element is of our namespace, by an attribute of its own, as libvirt writes it. */
static bool domain_xml_is_our_namespace(const XML_Char *name, const XML_Char **attributes) {
    const char *colon = strchr(name, ':');
    char key[ELEMENT_SIZE];
    snprintf(key, sizeof key, "xmlns%s%.*s", colon ? ":" : "", colon ? (int)(colon - name) : 0,
             name);
    return domain_xml_attribute_is(attributes, key, DEFINITION_MARK_URI);
}

static bool domain_xml_copy_attribute(const XML_Char **attributes, const char *name, char *to,
                                      size_t size) {
    const char *text = domain_xml_attribute(attributes, name);
    snprintf(to, size, "%s", text ? text : "");
    return text && *text && strlen(text) < size;
}

/* A child of the mark. One that is not understood does not count: what it names is then taken for
 * somebody else's. */
static void domain_xml_start_mark(struct domain_xml_reader *reader, const XML_Char *name,
                                  const XML_Char **attributes) {
    struct domain *domain = reader->domain;
    struct definition_mark mark = {.kind = DEFINITION_MARK_HOSTDEV};
    const char *what = domain_xml_local_name(name), *as = domain_xml_attribute(attributes, "as");
    if (!strcmp(what, "controller")) {
        mark.kind = DEFINITION_MARK_CONTROLLER;
        if (!domain_xml_number(domain_xml_attribute(attributes, "index"), GUEST_BUSES - 1,
                               &mark.index))
            return;
    } else {
        for (enum backend backend = BACKEND_NONE + 1; as && backend < BACKEND_COUNT; backend++)
            if (!strcmp(as, syntax_backend_text(backend)))
                mark.backend = backend;
        domain_xml_copy_attribute(attributes, "form", mark.form, sizeof mark.form);
        domain_xml_copy_attribute(attributes, "alias", mark.alias, sizeof mark.alias);
        if (strcmp(what, "hostdev") != 0 || mark.backend == BACKEND_NONE ||
            !domain_xml_copy_attribute(attributes, "address", mark.address, sizeof mark.address))
            return;
    }
    domain->marks = memory_grow(domain->marks, domain->mark_count, sizeof *domain->marks);
    domain->marks[domain->mark_count++] = mark;
}

/* At the end, as the marks may come after the devices. */
static void domain_xml_match_marks(struct domain *domain) {
    for (size_t i = 0; i < domain->mark_count; i++) {
        const struct definition_mark *mark = &domain->marks[i];
        for (size_t j = 0; j < domain->hostdev_count; j++)
            if (domain_is_marked(&domain->hostdevs[j], mark))
                domain->hostdevs[j].mark = mark;
        for (size_t j = 0; j < domain->controller_count; j++)
            if (mark->kind == DEFINITION_MARK_CONTROLLER &&
                mark->index == domain->controllers[j].index && domain->controllers[j].is_root_port)
                domain->controllers[j].mark = mark;
    }
}

static void domain_xml_set_bus(struct domain_hostdev *hostdev, bool usb) {
    hostdev->bus = usb ? BUS_USB : BUS_PCI;
    hostdev->backend = usb ? BACKEND_USB : BACKEND_VFIO;
}

/* libvirt gives virtual functions of network cards as interfaces, and writes their PCI addresses.
 */
static void domain_xml_set_interface_bus(struct domain_hostdev *hostdev, bool usb) {
    domain_xml_set_bus(hostdev, usb);
    hostdev->backend = usb ? BACKEND_USB : BACKEND_NET;
}

static void domain_xml_start_mac(struct domain_xml_reader *reader, const XML_Char **attributes) {
    guest_parse_mac(domain_xml_attribute(attributes, "address"), reader->device.hostdev.mac);
}

static void domain_xml_start_hostdev(struct domain_xml_reader *reader,
                                     const XML_Char **attributes) {
    const char *mode = domain_xml_attribute(attributes, "mode");
    bool usb = domain_xml_attribute_is(attributes, "type", "usb");

    if (mode && strcmp(mode, "subsystem") != 0)
        return;
    reader->device.is_scsi = domain_xml_attribute_is(attributes, "type", "scsi");
    reader->device.is_hostdev =
        usb || reader->device.is_scsi || domain_xml_attribute_is(attributes, "type", "pci");
    domain_xml_set_bus(&reader->device.hostdev, usb);
    if (reader->device.is_scsi) {
        reader->device.hostdev.bus = BUS_SCSI;
        reader->device.hostdev.backend = BACKEND_SCSI;
    }
}

static void domain_xml_start_disk(struct domain_xml_reader *reader, const XML_Char **attributes) {
    const char *device = domain_xml_attribute(attributes, "device");

    reader->device.is_block = domain_xml_attribute_is(attributes, "type", "block") &&
                              (!device || !strcmp(device, "disk") || !strcmp(device, "lun"));
    reader->device.has_no_bus = true;
}

static void domain_xml_start_interface(struct domain_xml_reader *reader,
                                       const XML_Char **attributes) {
    reader->device.is_hostdev = domain_xml_attribute_is(attributes, "type", "hostdev");
    reader->device.takes_bus_from_address = reader->device.is_hostdev;
}

static void domain_xml_copy_text(char *to, const char *text) {
    snprintf(to, ELEMENT_SIZE, "%s", text ? text : "");
}

static void domain_xml_start_controller(struct domain_xml_reader *reader,
                                        const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    unsigned value;

    if (domain_xml_attribute_is(attributes, "type", "pci"))
        device->controller = PCI_CONTROLLER;
    else if (domain_xml_attribute_is(attributes, "type", "usb"))
        device->controller = USB_CONTROLLER;
    else if (domain_xml_attribute_is(attributes, "type", "scsi"))
        device->controller = SCSI_CONTROLLER;
    domain_xml_copy_text(device->model, domain_xml_attribute(attributes, "model"));
    if (domain_xml_number(domain_xml_attribute(attributes, "index"), GUEST_BUSES - 1, &value))
        device->index = (int)value;
    if (domain_xml_number(domain_xml_attribute(attributes, "ports"), UINT16_MAX, &value))
        device->ports = (int)value;
}

static void domain_xml_start_controller_target(struct domain_xml_reader *reader,
                                               const XML_Char **attributes) {
    unsigned chassis, kib;

    if (domain_xml_attribute_is(attributes, "hotplug", "off"))
        reader->device.no_hotplug = true;
    if (domain_xml_number(domain_xml_attribute(attributes, "chassis"), UINT8_MAX, &chassis))
        guest_add_chassis(&reader->domain->guest, chassis);
    if (domain_xml_number(domain_xml_attribute(attributes, "memReserve"), UINT_MAX, &kib))
        reader->device.reserve = UINT64_C(1024) * kib;
}

static void domain_xml_start_controller_model(struct domain_xml_reader *reader,
                                              const XML_Char **attributes) {
    reader->domain->guest.has_ioh3420 |= domain_xml_attribute_is(attributes, "name", "ioh3420");
}

/* <pcihole64 unit='KiB'>; libvirt writes that unit, and a person may write another one:
 * virScaleInteger(). */
static void domain_xml_start_hole(struct domain_xml_reader *reader, const XML_Char **attributes) {
    static const char letters[] = "KMGTPE";
    const char *unit = domain_xml_attribute(attributes, "unit");
    const char *letter = unit && *unit ? strchr(letters, toupper((unsigned char)*unit)) : letters;
    uint64_t base = unit && *unit && toupper((unsigned char)unit[1]) == 'B' ? 1000 : 1024;

    reader->device.hole_unit = 1; /* "b", "bytes" */
    for (; letter && letter >= letters; letter--)
        reader->device.hole_unit *= base;
}

static void domain_xml_end_hole(struct domain_xml_reader *reader) {
    uint64_t value = strtoull(reader->text, NULL, 10), unit = reader->device.hole_unit;

    if (reader->device.controller == PCI_CONTROLLER && value <= UINT64_MAX / unit)
        reader->domain->guest.pci_hole64 = value * unit;
}

/* OVMF and other EFI firmware is in flash memory; a <loader type='rom'> is SeaBIOS unless it says
 * more. */
static void domain_xml_start_os(struct domain_xml_reader *reader, const XML_Char **attributes) {
    reader->domain->guest.has_efi |= domain_xml_attribute_is(attributes, "firmware", "efi");
}

static void domain_xml_start_loader(struct domain_xml_reader *reader, const XML_Char **attributes) {
    reader->domain->guest.has_efi |= domain_xml_attribute_is(attributes, "type", "pflash");
}

/* The ports of its EHCI controller that a UHCI companion shares. */
static void domain_xml_start_controller_master(struct domain_xml_reader *reader,
                                               const XML_Char **attributes) {
    unsigned value;

    if (domain_xml_number(domain_xml_attribute(attributes, "startport"), UINT8_MAX, &value))
        reader->device.startport = (int)value;
}

static void domain_xml_start_guest_address(struct domain_xml_reader *reader,
                                           const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    struct guest_place *place = &device->place;
    struct domain_xml_pci_address address;

    if (domain_xml_attribute_is(attributes, "type", "pci") &&
        domain_xml_pci_address(attributes, &address) && address.domain == 0)
        *place = (struct guest_place){.kind = GUEST_PLACE_PCI,
                                      .bus = address.bus,
                                      .slot = address.slot,
                                      .function = address.function};
    else if (domain_xml_attribute_is(attributes, "type", "usb"))
        place->kind =
            domain_xml_part(attributes, "bus", UINT_MAX, &place->bus) &&
                    guest_parse_port(domain_xml_attribute(attributes, "port"), place->port)
                ? GUEST_PLACE_USB
                : GUEST_PLACE_SOME_USB;
    else if (domain_xml_attribute_is(attributes, "type", "drive"))
        device->has_drive =
            domain_xml_part(attributes, "controller", UINT_MAX, &device->controller_index) &&
            domain_xml_part(attributes, "bus", UINT_MAX, &device->drive_bus) &&
            domain_xml_part(attributes, "target", UINT_MAX, &device->drive_target) &&
            domain_xml_part(attributes, "unit", UINT_MAX, &device->drive_unit);
}

/* ---- the serial ports and event nodes of the host ---- */

static void domain_xml_start_serial(struct domain_xml_reader *reader, const XML_Char **attributes) {
    if (!domain_xml_attribute_is(attributes, "type", "dev"))
        return;
    reader->device.hostdev.bus = BUS_USB;
    reader->device.hostdev.backend = BACKEND_SERIAL;
}

/* The other types are the board's own ports: nothing plugs them into a running VM. */
static void domain_xml_start_serial_target(struct domain_xml_reader *reader,
                                           const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    struct domain_hostdev *hostdev = &device->hostdev;
    const char *type = domain_xml_attribute(attributes, "type");

    if (hostdev->backend != BACKEND_SERIAL || !type ||
        (strcmp(type, "usb-serial") != 0 && strcmp(type, "pci-serial") != 0))
        return;
    device->is_hostdev = true;
    snprintf(hostdev->target, sizeof hostdev->target, "%s", type);
    domain_xml_part(attributes, "port", INT_MAX, &hostdev->target_port);
}

/* libvirt lists the first <serial> as the first <console> too, with its source, alias and address
 * (src/conf/domain_conf.c, virDomainDefFormatInternal()). */
static void domain_xml_start_console_target(struct domain_xml_reader *reader,
                                            const XML_Char **attributes) {
    const char *type = domain_xml_attribute(attributes, "type");

    reader->device.is_shadow = !type || strcmp(type, "serial") == 0;
}

static void domain_xml_start_input(struct domain_xml_reader *reader, const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    struct domain_hostdev *hostdev = &device->hostdev;
    const char *type = domain_xml_attribute(attributes, "type");

    if (!type || (strcmp(type, "passthrough") != 0 && strcmp(type, "evdev") != 0))
        return;
    device->is_hostdev = true;
    hostdev->bus = BUS_USB;
    hostdev->backend = BACKEND_INPUT;
    snprintf(hostdev->target, sizeof hostdev->target, "%s", type);
}

static void domain_xml_start_path_source(struct domain_xml_reader *reader,
                                         const XML_Char **attributes) {
    struct domain_hostdev *hostdev = &reader->device.hostdev;
    const char *path =
        domain_xml_attribute(attributes, hostdev->backend == BACKEND_SERIAL      ? "path"
                                         : strcmp(hostdev->target, "evdev") == 0 ? "dev"
                                                                                 : "evdev");

    if (!path || !*path || hostdev->path)
        return;
    hostdev->path = memory_strdup(path);
    reader->device.has_source = true;
}

/* Which no input device needs: the engine gives one to each of type 'evdev', see backend_input.c.
 */
static void domain_xml_start_input_address(struct domain_xml_reader *reader,
                                           const XML_Char **attributes) {
    if (domain_xml_attribute_is(attributes, "type", "isa"))
        domain_xml_part(attributes, "iobase", UINT_MAX, &reader->device.hostdev.target_port);
}

/* ---- what of the host it names beside the devices that it is given ---- */

static void domain_xml_add_use(struct domain_xml_reader *reader, enum domain_use_kind kind,
                               const char *name, size_t length) {
    struct domain *domain = reader->domain;

    domain->uses = memory_grow(domain->uses, domain->use_count, sizeof *domain->uses);
    domain->uses[domain->use_count++] = (struct domain_use){
        .kind = kind,
        .name = memory_strndup(name, length),
        .is_disk = strcmp(reader->device.element, "disk") == 0,
    };
}

static void domain_xml_add_whole_use(struct domain_xml_reader *reader, enum domain_use_kind kind,
                                     const char *name) {
    if (name && *name)
        domain_xml_add_use(reader, kind, name, strlen(name));
}

/* Whatever the element and the attribute: a node is a node. */
static void domain_xml_read_path(struct domain_xml_reader *reader, const char *text) {
    text += strspn(text, " \t\r\n");
    size_t length = strcspn(text, "\r\n");
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (strncmp(text, "/dev/", strlen("/dev/")) == 0)
        domain_xml_add_use(reader, DOMAIN_USE_PATH, text, length);
    else if (strncmp(text, "/sys/", strlen("/sys/")) == 0)
        domain_xml_add_use(reader, DOMAIN_USE_SYSFS, text, length);
}

static void domain_xml_read_paths(struct domain_xml_reader *reader, const XML_Char **attributes) {
    for (; *attributes; attributes += 2)
        domain_xml_read_path(reader, attributes[1]);
}

/* For people; the caller frees it. */
static char *domain_xml_element_text(const struct domain_xml_device *device) {
    return memory_printf("%s%s%s", device->element, *device->label ? " " : "", device->label);
}

/* The serial port that a <console> names once more, from 1; 0: none. */
static size_t domain_xml_serial_of(const struct domain *domain, size_t use) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (domain->hostdevs[i].backend == BACKEND_SERIAL &&
            strcmp(domain->hostdevs[i].path, domain->uses[use].name) == 0)
            return i + 1;
    return 0;
}

/* At the end of an element, when its <target> is known. */
static void domain_xml_name_uses(struct domain_xml_reader *reader) {
    const struct domain_xml_device *device = &reader->device;
    struct domain *domain = reader->domain;

    for (size_t i = device->first_use; i < domain->use_count; i++) {
        domain->uses[i].element = domain_xml_element_text(device);
        domain->uses[i].hostdev = device->is_kept     ? domain->hostdev_count
                                  : device->is_shadow ? domain_xml_serial_of(domain, i)
                                                      : 0;
    }
}

static void domain_xml_start_device_target(struct domain_xml_reader *reader,
                                           const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    const char *name = domain_xml_attribute(attributes, "dev");

    domain_xml_copy_text(device->label, name);
    if (strcmp(device->element, "interface") == 0)
        domain_xml_add_whole_use(reader, DOMAIN_USE_TAP, name);
    if (domain_xml_attribute_is(attributes, "bus", "usb") ||
        domain_xml_attribute_is(attributes, "type", "usb-serial"))
        device->is_usb = true;
    if (strcmp(device->element, "disk") == 0 && domain_xml_attribute(attributes, "bus")) {
        device->has_no_bus = false;
        device->is_scsi = domain_xml_attribute_is(attributes, "bus", "scsi");
        /* libvirt detaches none from another bus */
        device->is_block &= device->is_scsi || device->is_usb ||
                            domain_xml_attribute_is(attributes, "bus", "virtio");
    }
}

static void domain_xml_start_source(struct domain_xml_reader *reader, const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;

    if (strcmp(device->element, "interface") == 0) {
        domain_xml_add_whole_use(reader, DOMAIN_USE_INTERFACE,
                                 domain_xml_attribute(attributes, "bridge"));
        if (!domain_xml_attribute(attributes, "dev") ||
            *domain_xml_attribute(attributes, "dev") != '/')
            domain_xml_add_whole_use(reader, DOMAIN_USE_INTERFACE,
                                     domain_xml_attribute(attributes, "dev"));
    }
    if (device->is_block && !device->hostdev.path && domain_xml_attribute(attributes, "dev"))
        device->hostdev.path = memory_strdup(domain_xml_attribute(attributes, "dev"));
    domain_xml_add_whole_use(reader, DOMAIN_USE_VHOST, domain_xml_attribute(attributes, "wwpn"));
    if (domain_xml_attribute(attributes, "pool") && domain_xml_attribute(attributes, "volume")) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", domain_xml_attribute(attributes, "pool"),
                 domain_xml_attribute(attributes, "volume"));
        domain_xml_add_whole_use(reader, DOMAIN_USE_VOLUME, name);
    }
}

/* libvirt's status file: the device that an <interface type='network'> got. */
static void domain_xml_start_actual(struct domain_xml_reader *reader, const XML_Char **attributes) {
    if (!domain_xml_attribute_is(attributes, "type", "hostdev"))
        return;
    reader->device.is_hostdev = reader->device.takes_bus_from_address = true;
}

static void domain_xml_start_adapter(struct domain_xml_reader *reader,
                                     const XML_Char **attributes) {
    static const char host[] = "scsi_host";
    const char *name = domain_xml_attribute(attributes, "name");

    if (name && strncmp(name, host, strlen(host)) == 0)
        reader->device.adapter.is_there =
            domain_xml_number(name + strlen(host), UINT_MAX, &reader->device.adapter.host);
}

/* libvirt writes the UUID in lower case with dashes; a person need not. */
static void domain_xml_read_mdev(struct domain_xml_reader *reader, const char *uuid) {
    struct domain_xml_device *device = &reader->device;
    domain_xml_add_whole_use(reader, DOMAIN_USE_MDEV, uuid);
    if (strcmp(device->element, "hostdev") != 0 || !domain_uuid_parse(uuid, device->hostdev.uuid))
        return;
    device->is_hostdev = device->has_source = true;
    device->hostdev.backend = BACKEND_MDEV;
    device->hostdev.bus = BUS_PCI;
}

/* The address of a SCSI, mediated or NVMe device. */
static void domain_xml_read_other_source(struct domain_xml_reader *reader,
                                         const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    struct domain_xml_pci_address address;
    unsigned bus, target, unit;
    char text[64];

    if (domain_xml_attribute(attributes, "uuid"))
        domain_xml_read_mdev(reader, domain_xml_attribute(attributes, "uuid"));
    if (device->adapter.is_there && domain_xml_part(attributes, "bus", UINT_MAX, &bus) &&
        domain_xml_part(attributes, "target", UINT_MAX, &target) &&
        domain_xml_part(attributes, "unit", UINT_MAX, &unit)) {
        snprintf(text, sizeof text, "%u:%u:%u:%u", device->adapter.host, bus, target, unit);
        domain_xml_add_whole_use(reader, DOMAIN_USE_SCSI, text);
        snprintf(device->hostdev.address, sizeof device->hostdev.address, "%s", text);
        device->has_source = true;
    } else if (strcmp(device->element, "disk") == 0 &&
               domain_xml_pci_address(attributes, &address)) {
        snprintf(text, sizeof text, "%04x:%02x:%02x.%x", address.domain, address.bus, address.slot,
                 address.function);
        domain_xml_add_whole_use(reader, DOMAIN_USE_PCI, text);
    }
}

static void domain_xml_start_smartcard(struct domain_xml_reader *reader,
                                       const XML_Char **attributes) {
    if (domain_xml_attribute_is(attributes, "mode", "host"))
        domain_xml_add_use(reader, DOMAIN_USE_CARDS, "", 0);
}

/* Devices that take a USB port where the XML has no address for them. */
static void domain_xml_start_any_device(struct domain_xml_reader *reader,
                                        const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;

    device->is_hub =
        strcmp(device->element, "hub") == 0 && domain_xml_attribute_is(attributes, "type", "usb");
    device->is_usb |= device->is_hub || domain_xml_attribute_is(attributes, "bus", "usb") ||
                      (strcmp(device->element, "controller") == 0 &&
                       domain_xml_attribute_is(attributes, "type", "ccid")) ||
                      (strcmp(device->element, "sound") == 0 &&
                       domain_xml_attribute_is(attributes, "model", "usb"));
}

static void domain_xml_start_model(struct domain_xml_reader *reader, const XML_Char **attributes) {
    if (domain_xml_attribute_is(attributes, "type", "usb-net"))
        reader->device.is_usb = true;
}

/* The value of "key=VALUE," in one of qemu's arguments; false: there is none, or it is too long. */
static bool domain_xml_argument(const char *text, const char *key, char *value, size_t size) {
    size_t length = strlen(key);

    for (const char *at = text; *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, key, length) == 0) {
            size_t end = strcspn(at + length, ",");
            snprintf(value, size, "%.*s", (int)end, at + length);
            return end < size;
        }
    return false;
}

/* "pcie-root-port.pref64-reserve=16G" of a -global, or the name of a property in <qemu:override>.
 */
static void domain_xml_note_reserve(struct domain_xml_reader *reader, const char *text) {
    static const char *const properties[] = {"mem-reserve", "pref32-reserve", "pref64-reserve"};

    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        reader->domain->guest.reserves_by_argument |= strstr(text, properties[i]) != NULL;
}

static void domain_xml_start_property(struct domain_xml_reader *reader,
                                      const XML_Char **attributes) {
    const char *name = domain_xml_attribute(attributes, "name");

    if (name)
        domain_xml_note_reserve(reader, name);
}

/* What a person put on qemu's own command line: "vfio-pci,host=03:00.0", "usb-host,hostbus=1,
 * hostaddr=3", "host_device,filename=/dev/sda", "vfio-pci,sysfsdev=/sys/bus/mdev/devices/...". */
static void domain_xml_start_argument(struct domain_xml_reader *reader,
                                      const XML_Char **attributes) {
    const char *text = domain_xml_attribute(attributes, "value");
    char a[64], b[64], name[160];

    if (!text)
        return;
    domain_xml_note_reserve(reader, text);
    domain_xml_copy_text(reader->device.element, "qemu:arg");
    reader->device.first_use = reader->domain->use_count;
    if (domain_xml_argument(text, "host=", a, sizeof a) && strpbrk(a, ":") &&
        address_normalise(a, name, sizeof name))
        domain_xml_add_whole_use(reader, DOMAIN_USE_PCI, name);
    if (domain_xml_argument(text, "hostbus=", a, sizeof a) &&
        domain_xml_argument(text, "hostaddr=", b, sizeof b)) {
        snprintf(name, sizeof name, "%s/%s", a, b);
        domain_xml_add_whole_use(reader, DOMAIN_USE_USB, name);
    } else if (domain_xml_argument(text, "vendorid=", a, sizeof a) &&
               domain_xml_argument(text, "productid=", b, sizeof b)) {
        snprintf(name, sizeof name, "%04lx:%04lx", strtoul(a, NULL, 0), strtoul(b, NULL, 0));
        domain_xml_add_whole_use(reader, DOMAIN_USE_USB, name);
    }
    for (const char *at = text; (at = strchr(at, '/')); at += strcspn(at, ", "))
        if (strncmp(at, "/dev/", strlen("/dev/")) == 0)
            domain_xml_add_use(reader, DOMAIN_USE_PATH, at, strcspn(at, ", "));
        else if (strncmp(at, "/sys/", strlen("/sys/")) == 0)
            domain_xml_add_use(reader, DOMAIN_USE_SYSFS, at, strcspn(at, ", "));
    domain_xml_name_uses(reader);
}

static void domain_xml_start_alias(struct domain_xml_reader *reader, const XML_Char **attributes) {
    const char *name = domain_xml_attribute(attributes, "name");

    if (name)
        snprintf(reader->device.hostdev.alias, sizeof reader->device.hostdev.alias, "%s", name);
}

static void domain_xml_start_source_address(struct domain_xml_reader *reader,
                                            const XML_Char **attributes) {
    struct domain_xml_device *device = &reader->device;
    struct domain_hostdev *hostdev = &device->hostdev;
    struct domain_xml_pci_address address;

    if (!device->is_hostdev || device->is_scsi) {
        domain_xml_read_other_source(reader, attributes);
        return;
    }
    if (device->takes_bus_from_address)
        domain_xml_set_interface_bus(hostdev, domain_xml_attribute_is(attributes, "type", "usb"));
    if (hostdev->bus == BUS_USB) {
        device->has_source |=
            domain_xml_part(attributes, "bus", UINT_MAX, &hostdev->bus_number) &&
            domain_xml_part(attributes, "device", UINT_MAX, &hostdev->device_number);
    } else if (device->is_hostdev && domain_xml_pci_address(attributes, &address)) {
        snprintf(hostdev->address, sizeof hostdev->address, "%04x:%02x:%02x.%x", address.domain,
                 address.bus, address.slot, address.function);
        device->has_source = true;
    }
}

static void domain_xml_read_id(struct domain_xml_reader *reader, const XML_Char **attributes,
                               uint16_t *id) {
    unsigned value;

    if (reader->device.hostdev.bus != BUS_USB ||
        !domain_xml_number(domain_xml_attribute(attributes, "id"), UINT16_MAX, &value))
        return;
    *id = (uint16_t)value;
    reader->device.has_source = true;
}

static void domain_xml_start_source_vendor(struct domain_xml_reader *reader,
                                           const XML_Char **attributes) {
    domain_xml_read_id(reader, attributes, &reader->device.hostdev.id.vendor);
}

static void domain_xml_start_source_product(struct domain_xml_reader *reader,
                                            const XML_Char **attributes) {
    domain_xml_read_id(reader, attributes, &reader->device.hostdev.id.device);
}

/* A `*` stands for one element. All rows that match apply. */
static const struct domain_xml_place {
    const char *path;
    void (*start)(struct domain_xml_reader *reader, const XML_Char **attributes);
} places[] = {
    {"/domain", domain_xml_start_domain},
    {"/domain/name", domain_xml_start_name},
    {"/domain/title", domain_xml_start_title},
    {"/domain/uuid", domain_xml_start_uuid},
    {"/domain/os", domain_xml_start_os},
    {"/domain/os/type", domain_xml_start_os_type},
    {"/domain/os/boot", domain_xml_start_os_boot},
    {"/domain/os/loader", domain_xml_start_loader},
    {"/domain/devices/controller", domain_xml_start_controller},
    {"/domain/devices/controller/target", domain_xml_start_controller_target},
    {"/domain/devices/controller/model", domain_xml_start_controller_model},
    {"/domain/devices/controller/master", domain_xml_start_controller_master},
    {"/domain/devices/controller/pcihole64", domain_xml_start_hole},
    {"/domain/devices/hostdev", domain_xml_start_hostdev},
    {"/domain/devices/disk", domain_xml_start_disk},
    {"/domain/devices/interface", domain_xml_start_interface},
    {"/domain/devices/interface/mac", domain_xml_start_mac},
    {"/domain/devices/interface/model", domain_xml_start_model},
    {"/domain/devices/interface/actual", domain_xml_start_actual},
    {"/domain/devices/interface/actual/source", domain_xml_start_source},
    {"/domain/devices/interface/actual/source/address", domain_xml_start_source_address},
    {"/domain/devices/serial", domain_xml_start_serial},
    {"/domain/devices/serial/target", domain_xml_start_serial_target},
    {"/domain/devices/serial/source", domain_xml_start_path_source},
    {"/domain/devices/console/target", domain_xml_start_console_target},
    {"/domain/devices/input", domain_xml_start_input},
    {"/domain/devices/input/source", domain_xml_start_path_source},
    {"/domain/devices/input/address", domain_xml_start_input_address},
    {"/domain/devices/smartcard", domain_xml_start_smartcard},
    {"/domain/devices/*", domain_xml_start_any_device},
    {"/domain/devices/*/target", domain_xml_start_device_target},
    {"/domain/devices/*/source", domain_xml_start_source},
    {"/domain/devices/*/source/adapter", domain_xml_start_adapter},
    {"/domain/devices/*/address", domain_xml_start_guest_address},
    {"/domain/devices/*/alias", domain_xml_start_alias},
    {"/domain/devices/*/boot", domain_xml_start_device_boot},
    {"/domain/devices/*/source/address", domain_xml_start_source_address},
    {"/domain/devices/*/source/vendor", domain_xml_start_source_vendor},
    {"/domain/devices/*/source/product", domain_xml_start_source_product},
};

static bool domain_xml_path_matches(const char *path, const char *pattern) {
    for (; *pattern; pattern++) {
        if (*pattern == '*')
            path += strcspn(path, "/");
        else if (*path++ != *pattern)
            return false;
    }
    return *path == '\0';
}

/* ---- the end of a device and of the whole ---- */

static void domain_xml_keep_hostdev(struct domain_xml_reader *reader) {
    struct domain *domain = reader->domain;

    domain->hostdevs =
        memory_grow(domain->hostdevs, domain->hostdev_count, sizeof *domain->hostdevs);
    reader->device.hostdev.place = reader->device.place;
    reader->device.hostdev.element = domain_xml_element_text(&reader->device);
    domain->hostdevs[domain->hostdev_count++] = reader->device.hostdev;
    reader->device.is_kept = true;
}

static void domain_xml_keep_pci_controller(struct domain *domain,
                                           const struct domain_xml_device *device) {
    if (device->index < 0)
        return;
    domain->controllers =
        memory_grow(domain->controllers, domain->controller_count, sizeof *domain->controllers);
    domain->controllers[domain->controller_count++] = (struct domain_controller){
        .index = (unsigned)device->index, .is_root_port = !strcmp(device->model, "pcie-root-port")};
}

static void domain_xml_keep_controller(struct domain_xml_reader *reader) {
    const struct domain_xml_device *device = &reader->device;
    const char *model = *device->model ? device->model : NULL;
    struct guest *guest = &reader->domain->guest;

    if (device->controller == PCI_CONTROLLER) {
        guest_add_pci(guest, model, device->index, !device->no_hotplug);
        domain_xml_keep_pci_controller(reader->domain, device);
        guest_set_reserve(guest, device->index, device->reserve);
    } else if (device->controller == SCSI_CONTROLLER) {
        guest_add_scsi(guest, model, device->index);
    } else if (device->controller == USB_CONTROLLER) {
        guest_add_usb(guest, &(struct guest_usb_xml){model, device->index, device->ports,
                                                     device->startport, reader->domain->id >= 0});
    }
}

static void domain_xml_keep_boot(struct domain_xml_reader *reader) {
    struct domain *domain = reader->domain;
    const struct domain_xml_device *device = &reader->device;

    domain->boots = memory_grow(domain->boots, domain->boot_count, sizeof *domain->boots);
    domain->boots[domain->boot_count++] =
        (struct domain_boot){.order = device->boot,
                             .element = domain_xml_element_text(device),
                             .hostdev = device->is_kept ? domain->hostdev_count : 0};
}

/* The bus of a disk whose <target> names none follows from its name, as do the unit on a SCSI
 * controller that the XML does not give. Units of other buses or targets are never asked for.
 */
static void domain_xml_end_disk(struct domain_xml_device *device) {
    struct guest_place *place = &device->place;

    if (device->has_no_bus) {
        device->is_scsi = strncmp(device->label, "sd", 2) == 0;
        device->is_block &= device->is_scsi || strncmp(device->label, "vd", 2) == 0;
    }
    snprintf(place->target, sizeof place->target, "%.*s", GUEST_TARGET_SIZE - 1, device->label);
    if (device->is_block && device->hostdev.path) {
        device->is_hostdev = device->has_source = true;
        device->hostdev.bus = BUS_SCSI;
        device->hostdev.backend = BACKEND_DISK;
    }
}

static void domain_xml_end_unit(struct domain_xml_device *device) {
    struct guest_place *place = &device->place;

    if (device->has_drive && !device->drive_bus && !device->drive_target) {
        place->has_unit = true;
        place->scsi = device->controller_index;
        place->unit = device->drive_unit;
    } else if (!device->has_drive && *place->target) {
        guest_unit_of_name(place->target, place);
    }
}

static void domain_xml_end_device(struct domain_xml_reader *reader) {
    struct domain_xml_device *device = &reader->device;
    struct guest *guest = &reader->domain->guest;

    if (strcmp(device->element, "disk") == 0)
        domain_xml_end_disk(device);
    if (device->is_scsi)
        domain_xml_end_unit(device);

    if ((device->is_usb || (device->is_hostdev && device->hostdev.backend == BACKEND_USB)) &&
        device->place.kind == GUEST_PLACE_NONE)
        device->place.kind = GUEST_PLACE_SOME_USB;
    if (device->is_hostdev && device->has_source)
        domain_xml_keep_hostdev(reader);
    else
        free(device->hostdev.path);
    device->hostdev.path = NULL;
    domain_xml_keep_controller(reader);
    if (device->boot)
        domain_xml_keep_boot(reader);
    if (*device->hostdev.mac)
        guest_add_card(guest, device->hostdev.mac, device->is_hostdev);
    if (device->is_hub)
        guest_add_hub(guest, &device->place);
    else if (!device->is_shadow)
        guest_use(guest, &device->place);
    domain_xml_name_uses(reader);
}

static void domain_xml_end_text(struct domain_xml_reader *reader) {
    char **text_of = reader->text_of;
    char uuid[37];

    reader->text_of = NULL;
    if (reader->text_length == 0)
        return;
    if (text_of == &reader->leaf &&
        domain_xml_path_matches(reader->path, "/domain/devices/controller/pcihole64")) {
        domain_xml_end_hole(reader);
        return;
    }
    if (text_of == &reader->leaf) {
        domain_xml_read_path(reader, reader->text);
        return;
    }
    if (text_of != &reader->domain->uuid)
        *text_of = memory_strndup(reader->text, reader->text_length);
    else if (domain_uuid_parse(reader->text, uuid))
        *text_of = memory_strdup(uuid);
}

/* ---- expat's callbacks ---- */

static bool domain_xml_is_device(const struct domain_xml_reader *reader) {
    return reader->depth == DEVICE_DEPTH + reader->wrapper &&
           domain_xml_path_matches(reader->path, "/domain/devices/*");
}

static bool domain_xml_path_push(struct domain_xml_reader *reader, const XML_Char *name) {
    size_t length = strlen(name);

    if (reader->path_length + length + 2 > sizeof reader->path)
        return false;
    reader->path[reader->path_length] = '/';
    memcpy(reader->path + reader->path_length + 1, name, length + 1);
    reader->path_length += length + 1;
    return true;
}

static void domain_xml_path_pop(struct domain_xml_reader *reader) {
    while (reader->path_length > 0 && reader->path[--reader->path_length] != '/')
        ;
    reader->path[reader->path_length] = '\0';
}

/* Anything in an element of <devices> may name a node of the host. */
static void domain_xml_read_device_element(struct domain_xml_reader *reader,
                                           const XML_Char **attributes) {
    static const char source[] = "/source/address";
    size_t tail = strlen(source), least = strlen("/domain/devices/disk") + tail;

    domain_xml_read_paths(reader, attributes);
    if (reader->path_length > least && /* of a <backingStore> or <mirror> */
        strcmp(reader->path + reader->path_length - tail, source) == 0 &&
        strcmp(reader->device.element, "disk") == 0)
        domain_xml_read_other_source(reader, attributes);
    reader->leaf = NULL;
    domain_xml_read_text_of(reader, &reader->leaf);
}

static bool domain_xml_is_in_device(const struct domain_xml_reader *reader) {
    static const char devices[] = "/domain/devices/";
    return reader->depth >= DEVICE_DEPTH + reader->wrapper &&
           strncmp(reader->path, devices, strlen(devices)) == 0;
}

/* libvirt's own file of a running VM: <domstatus state='running'> around the <domain>. */
static bool domain_xml_start_wrapper(struct domain_xml_reader *reader, const XML_Char *name,
                                     const XML_Char **attributes) {
    if (reader->depth == 1 && strcmp(name, "domstatus") == 0 &&
        !domain_xml_is_foreign(name, attributes)) {
        reader->wrapper = 1;
        reader->domain->is_off = domain_xml_attribute_is(attributes, "state", "shutoff");
        return true;
    }
    if (reader->depth == 2 && reader->wrapper && strcmp(name, "domain") != 0) {
        reader->foreign = reader->depth;
        return true;
    }
    return false;
}

static bool domain_xml_is_root(const struct domain_xml_reader *reader, const XML_Char *name,
                               const XML_Char **attributes) {
    return !domain_xml_is_foreign(name, attributes) &&
           (reader->wrapper || strcmp(name, "domain") == 0 || strcmp(name, "domstatus") == 0);
}

static void domain_xml_on_start(void *data, const XML_Char *name, const XML_Char **attributes) {
    struct domain_xml_reader *reader = data;

    if (++reader->depth > DEPTH_MAX)
        domain_xml_refuse(reader,
                          "line %lu: elements are nested deeper than %d: this is no domain XML",
                          domain_xml_line_number(reader), DEPTH_MAX);
    else if (reader->depth == 1 + reader->wrapper && !domain_xml_is_root(reader, name, attributes))
        domain_xml_refuse(
            reader,
            "this is the XML of a <%.40s>, not of a <domain>: give what 'virsh dumpxml VM' "
            "prints",
            name);
    if (reader->refused)
        return;
    if (reader->is_marking && reader->depth == reader->foreign + 1)
        domain_xml_start_mark(reader, name, attributes);
    if (!reader->foreign && !strcmp(reader->path, "/domain/metadata") &&
        domain_xml_is_our_namespace(name, attributes) &&
        !strcmp(domain_xml_local_name(name), "defined"))
        reader->is_marking = true;
    if (strcmp(name, "qemu:arg") == 0 && strcmp(reader->path, "/domain") == 0)
        domain_xml_start_argument(reader, attributes);
    else if (strcmp(name, "qemu:property") == 0 && strcmp(reader->path, "/domain") == 0)
        domain_xml_start_property(reader, attributes);
    if (reader->foreign || domain_xml_start_wrapper(reader, name, attributes))
        return;
    if (domain_xml_is_foreign(name, attributes) || !domain_xml_path_push(reader, name)) {
        reader->foreign = reader->depth;
        return;
    }
    if (domain_xml_is_device(reader)) {
        reader->device = (struct domain_xml_device){
            .index = -1, .ports = -1, .startport = -1, .first_use = reader->domain->use_count};
        domain_xml_copy_text(reader->device.element, name);
    }
    if (domain_xml_is_in_device(reader))
        domain_xml_read_device_element(reader, attributes);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (domain_xml_path_matches(reader->path, places[i].path))
            places[i].start(reader, attributes);
}

static void domain_xml_on_end(void *data, const XML_Char *name) {
    struct domain_xml_reader *reader = data;

    (void)name;
    if (reader->refused)
        return;
    if (reader->text_of && reader->depth == reader->text_depth)
        domain_xml_end_text(reader);
    if (!reader->foreign) {
        if (domain_xml_is_device(reader))
            domain_xml_end_device(reader);
        domain_xml_path_pop(reader);
    } else if (reader->foreign == reader->depth) {
        reader->foreign = 0;
        reader->is_marking = false;
    }
    reader->depth--;
}

static void domain_xml_on_text(void *data, const XML_Char *text, int length) {
    struct domain_xml_reader *reader = data;
    size_t needed = reader->text_length + (size_t)length + 1;

    if (!reader->text_of || reader->refused)
        return;
    if (needed > reader->text_size) {
        reader->text = memory_resize(reader->text, 2, needed);
        reader->text_size = 2 * needed;
    }
    memcpy(reader->text + reader->text_length, text, (size_t)length);
    reader->text_length += (size_t)length;
    reader->text[reader->text_length] = '\0';
}

static void domain_xml_on_doctype(void *data, const XML_Char *name, const XML_Char *system,
                                  const XML_Char *public, int has_internal_subset) {
    struct domain_xml_reader *reader = data;

    (void)name, (void)system, (void)public, (void)has_internal_subset;
    domain_xml_refuse(
        reader,
        "line %lu: a document type declaration (<!DOCTYPE ...>) is refused, because of entity "
        "bombs: remove it",
        domain_xml_line_number(reader));
}

/* ---- public ---- */

static bool domain_xml_is_cut_off(enum XML_Error code) {
    return code == XML_ERROR_NO_ELEMENTS || code == XML_ERROR_UNCLOSED_TOKEN ||
           code == XML_ERROR_PARTIAL_CHAR || code == XML_ERROR_UNCLOSED_CDATA_SECTION;
}

static void domain_xml_explain(struct domain_xml_reader *reader) {
    enum XML_Error code = XML_GetErrorCode(reader->parser);
    unsigned long line = domain_xml_line_number(reader);

    if (reader->refused)
        return;
    if (code == XML_ERROR_NO_MEMORY)
        memory_fail();
    if (code == XML_ERROR_NO_ELEMENTS && reader->depth == 0)
        failure_set(reader->failure,
                    "the domain XML is empty: give what 'virsh dumpxml VM' prints");
    else if (domain_xml_is_cut_off(code))
        failure_set(reader->failure,
                    "line %lu: the domain XML ends before its </domain>: it was cut off", line);
    else
        failure_set(
            reader->failure,
            "line %lu, column %lu: this is not XML (%s): give what 'virsh dumpxml VM' prints", line,
            domain_xml_column_number(reader), XML_ErrorString(code));
}

/* The state of a VM without a UUID, which libvirt never has, is in files of its name. */
static bool domain_xml_is_file_name(const char *name) {
    return !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int domain_xml_read(struct domain_xml_reader *reader, const char *xml, size_t size) {
    XML_SetUserData(reader->parser, reader);
    XML_SetElementHandler(reader->parser, domain_xml_on_start, domain_xml_on_end);
    XML_SetCharacterDataHandler(reader->parser, domain_xml_on_text);
    XML_SetStartDoctypeDeclHandler(reader->parser, domain_xml_on_doctype);
    if (XML_Parse(reader->parser, xml, (int)size, XML_TRUE) != XML_STATUS_OK || reader->refused) {
        domain_xml_explain(reader);
        return -1;
    }
    if (!reader->domain->name) {
        failure_set(reader->failure, "the <domain> has no <name>");
        return -1;
    }
    if (!reader->domain->uuid && !domain_xml_is_file_name(reader->domain->name)) {
        failure_set(reader->failure,
                    "the <domain> has no <uuid>, and its name '%s' cannot be that of a file",
                    reader->domain->name);
        return -1;
    }
    domain_xml_match_marks(reader->domain);
    guest_finish_controllers(&reader->domain->guest, reader->domain->machine);
    return 0;
}

int domain_xml_parse(struct domain *domain, const char *xml, size_t size, struct failure *failure) {
    *domain = (struct domain){.id = -1};
    if (size > INT_MAX)
        return failure_set(failure, "the domain XML is larger than 2 GiB: this is not domain XML");
    struct domain_xml_reader *reader = memory_zalloc(sizeof *reader);
    *reader = (struct domain_xml_reader){
        .domain = domain, .parser = XML_ParserCreate(NULL), .failure = failure};
    if (!reader->parser)
        memory_fail();
    int status = domain_xml_read(reader, xml ? xml : "", xml ? size : 0);
    XML_ParserFree(reader->parser);
    free(reader->device.hostdev.path);
    free(reader->text);
    free(reader);
    if (status != 0)
        domain_finish(domain);
    return status;
}
