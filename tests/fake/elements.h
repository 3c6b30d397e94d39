/*
 * The elements of a VM's XML that hand over a device of the host, as libvirt 9.0 reads, compares
 * and refuses them (src/conf/domain_conf.c, src/qemu/qemu_hotplug.c), for the stand-ins of libvirt:
 * of their own, so that they notice what engine/backend and engine/libvirt get wrong. Attributes
 * have apostrophes around them, and no element has one of its own kind inside.
 */
#ifndef TESTS_FAKE_ELEMENTS_H
#define TESTS_FAKE_ELEMENTS_H

#include "tests/fake/usb_ports.h"

enum elements_kind {
    ELEMENTS_PCI,
    ELEMENTS_USB,
    ELEMENTS_SCSI,
    ELEMENTS_MDEV,
    ELEMENTS_NET,
    ELEMENTS_SERIAL,
    ELEMENTS_DISK,
    ELEMENTS_INPUT,
    ELEMENTS_CONTROLLER, /* hands over nothing: plugged in before what goes to it */
};

enum { ELEMENTS_NAME = 256, ELEMENTS_MESSAGE = 768 };

struct elements_one {
    enum elements_kind kind;
    char name[ELEMENTS_NAME]; /* of the host's: "0000:03:00.0", "3:0:0:0", a UUID, a path */
    unsigned bus, number, vendor, product; /* USB */
    char type[32];     /* of a serial port's target, of an input device; of a hostdev its own */
    char place[32];    /* of a disk its target, "vdb"; of an input device its bus */
    char disk_bus[32]; /* "virtio" */
    int port;          /* of a serial port; -1: it has none */
    char mac[32], alias[64];
};

static const struct {
    const char *tag, *type;
    enum elements_kind kind;
    const char *alias; /* that libvirt makes, without the number */
} elements_kinds[] = {
    {"hostdev", "pci", ELEMENTS_PCI, "hostdev"},
    {"hostdev", "usb", ELEMENTS_USB, "hostdev"},
    {"hostdev", "scsi", ELEMENTS_SCSI, "hostdev"},
    {"hostdev", "mdev", ELEMENTS_MDEV, "hostdev"},
    {"interface", "hostdev", ELEMENTS_NET, "net"},
    {"serial", "dev", ELEMENTS_SERIAL, "serial"},
    {"disk", "block", ELEMENTS_DISK, "disk"},
    {"input", "passthrough", ELEMENTS_INPUT, "input"},
    {"input", "evdev", ELEMENTS_INPUT, "input"},
    {"controller", "scsi", ELEMENTS_CONTROLLER, "scsi"},
};

enum { ELEMENTS_KINDS = sizeof elements_kinds / sizeof *elements_kinds };

/* The value of an attribute of the first such tag between the two, or "". */
static inline const char *elements_value(const char *from, const char *end, const char *tag,
                                         const char *name, char *value, size_t size) {
    char key[64];
    snprintf(key, sizeof key, "<%s", tag);
    const char *start = strstr(from, key), *tag_end;
    while (start && start < end && !strchr(" />", start[strlen(key)]))
        start = strstr(start + 1, key);
    *value = '\0';
    if (!start || start >= end || !(tag_end = strchr(start, '>')))
        return value;
    snprintf(key, sizeof key, " %s='", name);
    start = strstr(start, key);
    if (start && start < tag_end) {
        start += strlen(key);
        snprintf(value, size, "%.*s", (int)strcspn(start, "'"), start);
    }
    return value;
}

static inline unsigned elements_number(const char *from, const char *end, const char *tag,
                                       const char *name) {
    char value[32];
    return (unsigned)strtoul(elements_value(from, end, tag, name, value, sizeof value), NULL, 0);
}

/* The end of the element that starts there, behind its last '>' and newline. */
static inline const char *elements_end(const char *start) {
    char closing[32];
    size_t length = strcspn(start + 1, " />");
    const char *end = strchr(start, '>');
    if (end && end[-1] != '/') {
        snprintf(closing, sizeof closing, "</%.*s>", (int)length, start + 1);
        end = strstr(start, closing);
        end = end ? end + strlen(closing) - 1 : NULL;
    }
    return !end ? start + strlen(start) : end[1] == '\n' ? end + 2 : end + 1;
}

static inline void elements_read_source(const char *from, const char *end,
                                        struct elements_one *one) {
    const char *source = strstr(from, "<source"), *stop = strstr(from, "</source>");
    char text[64];
    stop = stop && stop < end ? stop : end;
    source = source && source < end ? source : from;
    switch (one->kind) {
    case ELEMENTS_PCI:
    case ELEMENTS_NET:
        snprintf(one->name, sizeof one->name, "%04x:%02x:%02x.%x",
                 elements_number(source, stop, "address", "domain"),
                 elements_number(source, stop, "address", "bus"),
                 elements_number(source, stop, "address", "slot"),
                 elements_number(source, stop, "address", "function"));
        break;
    case ELEMENTS_USB:
        one->bus = elements_number(source, stop, "address", "bus");
        one->number = elements_number(source, stop, "address", "device");
        one->vendor = elements_number(source, stop, "vendor", "id");
        one->product = elements_number(source, stop, "product", "id");
        snprintf(one->name, sizeof one->name, "%u-%u", one->bus, one->number);
        break;
    case ELEMENTS_SCSI:
        elements_value(source, stop, "adapter", "name", text, sizeof text);
        snprintf(one->name, sizeof one->name, "%s:%u:%u:%u",
                 strncmp(text, "scsi_host", 9) == 0 ? text + 9 : "?",
                 elements_number(source, stop, "address", "bus"),
                 elements_number(source, stop, "address", "target"),
                 elements_number(source, stop, "address", "unit"));
        break;
    case ELEMENTS_MDEV:
        elements_value(source, stop, "address", "uuid", one->name, sizeof one->name);
        break;
    case ELEMENTS_SERIAL:
        elements_value(from, end, "source", "path", one->name, sizeof one->name);
        break;
    case ELEMENTS_DISK:
        elements_value(from, end, "source", "dev", one->name, sizeof one->name);
        break;
    case ELEMENTS_INPUT:
        elements_value(from, end, "source", strcmp(one->type, "evdev") == 0 ? "dev" : "evdev",
                       one->name, sizeof one->name);
        break;
    case ELEMENTS_CONTROLLER:
        snprintf(one->name, sizeof one->name, "scsi:%u",
                 elements_number(from, end, "controller", "index"));
        break;
    }
}

/* False when it is not one of those. */
static inline bool elements_read(const char *xml, struct elements_one *one) {
    const char *start = strchr(xml, '<');
    char type[32], text[32];
    if (!start)
        return false;
    size_t length = strcspn(start + 1, " />");
    const char *end = elements_end(start);
    for (size_t i = 0; i < ELEMENTS_KINDS; i++) {
        char tag[32];
        snprintf(tag, sizeof tag, "%.*s", (int)length, start + 1);
        elements_value(start, end, tag, "type", type, sizeof type);
        if (strcmp(tag, elements_kinds[i].tag) != 0 || strcmp(type, elements_kinds[i].type) != 0)
            continue;
        *one = (struct elements_one){.kind = elements_kinds[i].kind, .port = -1};
        snprintf(one->type, sizeof one->type, "%s", type);
        if (one->kind == ELEMENTS_SERIAL)
            elements_value(start, end, "target", "type", one->type, sizeof one->type);
        if (one->kind == ELEMENTS_DISK)
            elements_value(start, end, "target", "dev", one->place, sizeof one->place);
        if (one->kind == ELEMENTS_INPUT)
            elements_value(start, end, tag, "bus", one->place, sizeof one->place);
        if (one->kind == ELEMENTS_INPUT && !*one->place) /* as libvirt fills it in */
            snprintf(one->place, sizeof one->place, "%s",
                     strcmp(one->type, "evdev") == 0 ? "none" : "virtio");
        elements_value(start, end, "target", "bus", one->disk_bus, sizeof one->disk_bus);
        if (*elements_value(start, end, "target", "port", text, sizeof text))
            one->port = (int)strtol(text, NULL, 10);
        elements_value(start, end, "mac", "address", one->mac, sizeof one->mac);
        elements_value(start, end, "alias", "name", one->alias, sizeof one->alias);
        elements_read_source(start, end, one);
        return true;
    }
    return false;
}

static inline bool elements_is_same_usb(const struct elements_one *a,
                                        const struct elements_one *b) {
    if (a->bus && b->bus)
        return a->bus == b->bus && a->number == b->number;
    return a->vendor == b->vendor && a->product == b->product;
}

static inline bool elements_is_pci(const struct elements_one *one) {
    return one->kind == ELEMENTS_PCI || one->kind == ELEMENTS_NET;
}

/* Whether a detach of `wanted` takes `has` out of the VM. */
static inline bool elements_detaches(const struct elements_one *wanted,
                                     const struct elements_one *has) {
    bool is_same_name = strcmp(wanted->name, has->name) == 0;
    if (wanted->kind == ELEMENTS_PCI && elements_is_pci(has))
        return is_same_name;
    if (wanted->kind != has->kind)
        return false;
    switch (wanted->kind) {
    case ELEMENTS_USB:
        return elements_is_same_usb(wanted, has);
    case ELEMENTS_NET: /* virDomainNetFindIdx() */
        return (!*wanted->mac || strcmp(wanted->mac, has->mac) == 0) &&
               (!*wanted->alias || strcmp(wanted->alias, has->alias) == 0);
    case ELEMENTS_SERIAL: /* virDomainChrEquals(): without a port it would be the next free one */
        return is_same_name && strcmp(wanted->type, has->type) == 0 && wanted->port == has->port;
    case ELEMENTS_DISK:
        return strcmp(wanted->place, has->place) == 0;
    case ELEMENTS_INPUT:
        return is_same_name && strcmp(wanted->type, has->type) == 0 &&
               strcmp(wanted->place, has->place) == 0;
    default:
        return is_same_name;
    }
}

/* Whether both need the same device of the host, and only one can have it. */
static inline bool elements_collides(const struct elements_one *a, const struct elements_one *b) {
    bool is_same_name = strcmp(a->name, b->name) == 0;
    if (elements_is_pci(a) && elements_is_pci(b))
        return is_same_name;
    if (a->kind != b->kind || a->kind == ELEMENTS_SERIAL || a->kind == ELEMENTS_CONTROLLER)
        return false;
    return a->kind == ELEMENTS_USB ? elements_is_same_usb(a, b) : is_same_name;
}

/* The first element of the VM for which `is` is true, its end in `end`; or NULL. */
static inline char *elements_find(const char *xml, const struct elements_one *wanted,
                                  bool (*is)(const struct elements_one *wanted,
                                             const struct elements_one *has),
                                  char **end, struct elements_one *found) {
    for (const char *start = xml; (start = strchr(start, '<')); start++) {
        if (!elements_read(start, found))
            continue;
        *end = (char *)elements_end(start);
        if (is(wanted, found))
            return (char *)start;
    }
    return NULL;
}

/* The refusal of a second one of what one VM has. `holder`: that VM. */
static inline void elements_in_use(const struct elements_one *one, const char *holder,
                                   char message[ELEMENTS_MESSAGE], int *code) {
    enum { INTERNAL = 1, INVALID = 55 };
    *code = INVALID;
    switch (one->kind) {
    case ELEMENTS_USB:
        snprintf(message, ELEMENTS_MESSAGE,
                 "Requested operation is not valid: USB device %.3o:%.3o is in use by driver QEMU, "
                 "domain %s",
                 one->bus, one->number, holder);
        break;
    case ELEMENTS_SCSI:
        snprintf(message, ELEMENTS_MESSAGE,
                 "Requested operation is not valid: SCSI device %s is already in use by other "
                 "domain(s) as 'non-shareable'",
                 one->name);
        break;
    case ELEMENTS_MDEV:
        snprintf(message, ELEMENTS_MESSAGE,
                 "Requested operation is not valid: mediated device /sys/bus/mdev/devices/%s is in "
                 "use by driver QEMU, domain %s",
                 one->name, holder);
        break;
    case ELEMENTS_DISK:
        *code = INTERNAL;
        snprintf(message, ELEMENTS_MESSAGE,
                 "internal error: unable to execute QEMU command 'device_add': Failed to get "
                 "\"write\" lock\nIs another process using the image [%s]?",
                 one->name);
        break;
    case ELEMENTS_INPUT:
        *code = INTERNAL;
        snprintf(message, ELEMENTS_MESSAGE,
                 "internal error: unable to execute QEMU command 'device_add': %s: failed to get "
                 "exclusive access: Device or resource busy",
                 one->name);
        break;
    default:
        snprintf(message, ELEMENTS_MESSAGE,
                 "Requested operation is not valid: PCI device %s is in use by driver QEMU, domain "
                 "%s",
                 one->name, holder);
        break;
    }
}

static inline bool elements_has_target(const struct elements_one *wanted,
                                       const struct elements_one *has) {
    return has->kind == ELEMENTS_DISK && strcmp(wanted->place, has->place) == 0;
}

static inline bool elements_has_controller(const struct elements_one *wanted,
                                           const struct elements_one *has) {
    return has->kind == ELEMENTS_CONTROLLER && strcmp(wanted->name, has->name) == 0;
}

/* Also one that hands over nothing of the host. */
static inline bool elements_is_target_taken(const char *xml, const char *target) {
    char text[64];
    snprintf(text, sizeof text, "<target dev='%s'", target);
    return strstr(xml, text);
}

/* False when the element cannot go to the VM, whatever the host has. */
static inline bool elements_check(const char *xml, const struct elements_one *one,
                                  char message[ELEMENTS_MESSAGE], int *code) {
    enum { FAILED = 9, XML = 27, CONFIG = 67, UNSUPPORTED = 84 };
    char text[96], *end;
    struct elements_one found;
    snprintf(text, sizeof text, "<alias name='%s'/>", one->alias);
    if (*one->alias && strstr(xml, text)) {
        *code = CONFIG;
        snprintf(message, ELEMENTS_MESSAGE,
                 "unsupported configuration: non unique alias detected: %s", one->alias);
        return false;
    }
    if (one->kind == ELEMENTS_DISK && elements_is_target_taken(xml, one->place)) {
        bool has = elements_find(xml, one, elements_has_target, &end, &found);
        *code = XML;
        snprintf(message, ELEMENTS_MESSAGE,
                 "XML error: target '%s' duplicated for disk sources '%s' and '%s'", one->place,
                 has ? found.name : "(null)", one->name);
        return false;
    }
    if (one->kind == ELEMENTS_CONTROLLER &&
        elements_find(xml, one, elements_has_controller, &end, &found)) {
        *code = FAILED; /* qemuDomainAttachControllerDevice() */
        snprintf(message, ELEMENTS_MESSAGE, "operation failed: target %s already exists",
                 one->name);
        return false;
    }
    *code = UNSUPPORTED;
    if (one->kind == ELEMENTS_DISK && strcmp(one->disk_bus, "virtio") != 0 &&
        strcmp(one->disk_bus, "scsi") != 0 && strcmp(one->disk_bus, "usb") != 0) {
        snprintf(message, ELEMENTS_MESSAGE,
                 "Operation not supported: disk bus '%s' cannot be hotplugged.", one->disk_bus);
        return false;
    }
    if (one->kind == ELEMENTS_INPUT && strcmp(one->place, "virtio") != 0 &&
        strcmp(one->place, "usb") != 0) {
        snprintf(message, ELEMENTS_MESSAGE,
                 "Operation not supported: input device on bus '%s' cannot be hot plugged.",
                 one->place);
        return false;
    }
    *code = CONFIG;
    if (one->kind == ELEMENTS_SERIAL && strcmp(one->type, "usb-serial") != 0 &&
        strcmp(one->type, "pci-serial") != 0) {
        snprintf(message, ELEMENTS_MESSAGE,
                 "unsupported configuration: Unsupported address type for character device");
        return false;
    }
    return true;
}

/* Where it goes in the guest. */
static inline bool elements_needs_usb_port(const struct elements_one *one) {
    return one->kind == ELEMENTS_USB || strcmp(one->disk_bus, "usb") == 0 ||
           (one->kind == ELEMENTS_INPUT && strcmp(one->place, "usb") == 0) ||
           (one->kind == ELEMENTS_SERIAL && strcmp(one->type, "usb-serial") == 0);
}

static inline bool elements_needs_pci_slot(const struct elements_one *one) {
    return one->kind == ELEMENTS_PCI || one->kind == ELEMENTS_NET || one->kind == ELEMENTS_MDEV ||
           one->kind == ELEMENTS_CONTROLLER || strcmp(one->disk_bus, "virtio") == 0 ||
           (one->kind == ELEMENTS_INPUT && strcmp(one->place, "virtio") == 0) ||
           (one->kind == ELEMENTS_SERIAL && strcmp(one->type, "pci-serial") == 0);
}

/* The next port of a serial one: behind the greatest (virDomainChrDefPostParse()). */
static inline int elements_next_port(const char *xml) {
    int next = 0;
    for (const char *start = xml; (start = strstr(start, "<serial ")); start++) {
        const char *end = elements_end(start);
        char text[32];
        if (*elements_value(start, end, "target", "port", text, sizeof text) &&
            strtol(text, NULL, 10) >= next)
            next = (int)strtol(text, NULL, 10) + 1;
    }
    return next;
}

/* A free alias of libvirt's own for it. */
static inline void elements_next_alias(const char *xml, const struct elements_one *one,
                                       char alias[64]) {
    char text[96];
    unsigned number = 0;
    size_t row = 0;
    while (elements_kinds[row].kind != one->kind)
        row++;
    do {
        snprintf(alias, 64, "%s%u", elements_kinds[row].alias, number++);
        snprintf(text, sizeof text, "<alias name='%s'/>", alias);
    } while (strstr(xml, text));
}

/* Appends to a text of that size. */
static inline void elements_put(char *text, size_t size, const char *from, size_t length) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%.*s", (int)length, from);
}

/*
 * The element as libvirt keeps it: with an alias (`alias` NULL: one of libvirt's own, unless it has
 * one), a serial port, a MAC address and `address`, one line or "", instead of the one that was
 * asked for. Ends with a newline. The caller frees it; it ends with NULL.
 */
static inline char *elements_placed(const char *xml, const char *element,
                                    const struct elements_one *one, const char *alias,
                                    const char *address) {
    const char *start = strchr(element, '<'), *end = elements_end(start), *wanted;
    size_t size = (size_t)(end - start) + 512;
    char *text = (char *)calloc(1, size), own[64], line[160], closing[32];
    if (!text)
        return NULL;
    snprintf(closing, sizeof closing, "</%.*s>", (int)strcspn(start + 1, " />"), start + 1);
    const char *last = strstr(start, closing);
    const char *target = strstr(start, "<target type='");
    const char *tag_end = strchr(start, '>');
    bool is_empty = tag_end && tag_end[-1] == '/';
    const char *body_end = is_empty ? tag_end - 1 : last ? last : end;
    const char *source_end = strstr(start, "</source>");
    wanted = strstr(source_end && source_end < body_end ? source_end : start, "<address type='");
    if (wanted && wanted >= body_end)
        wanted = NULL;
    if (wanted && (elements_needs_usb_port(one) || elements_needs_pci_slot(one))) {
        const char *line_start = wanted;
        while (line_start > start && line_start[-1] == ' ')
            line_start--;
        body_end = line_start; /* our backends write it last, but for the alias */
    }
    if (one->kind == ELEMENTS_SERIAL && one->port < 0 && target && target < body_end) {
        const char *type_end = target + strlen("<target type='");
        type_end += strcspn(type_end, "'") + 1;
        elements_put(text, size, start, (size_t)(type_end - start));
        snprintf(line, sizeof line, " port='%d'", elements_next_port(xml));
        elements_put(text, size, line, sizeof line);
        elements_put(text, size, type_end, (size_t)(body_end - type_end));
    } else {
        elements_put(text, size, start, (size_t)(body_end - start));
    }
    if (is_empty)
        elements_put(text, size, ">\n", 2);
    if (one->kind == ELEMENTS_NET && !*one->mac)
        elements_put(text, size, "  <mac address='52:54:00:00:00:0f'/>\n", 64);
    if (!*one->alias || !strstr(text, "<alias name='")) {
        if (*one->alias)
            snprintf(own, sizeof own, "%s", one->alias);
        else if (alias)
            snprintf(own, sizeof own, "%s", alias);
        else
            elements_next_alias(xml, one, own);
        snprintf(line, sizeof line, "  <alias name='%s'/>\n", own);
        elements_put(text, size, line, sizeof line);
    }
    if (*address) {
        snprintf(line, sizeof line, "  %s\n", address);
        elements_put(text, size, line, sizeof line);
    }
    elements_put(text, size, closing, sizeof closing);
    elements_put(text, size, "\n", 1);
    return text;
}

#endif
