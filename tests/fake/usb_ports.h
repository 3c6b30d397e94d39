/*
 * The USB ports of a VM as libvirt counts and assigns them (src/conf/domain_addr.c), for the
 * stand-ins of libvirt: of their own, so that they notice what engine/model/guest.c gets wrong.
 */
#ifndef TESTS_FAKE_USB_PORTS_H
#define TESTS_FAKE_USB_PORTS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USB_PORTS_BUSES = 64, USB_PORTS_DEPTH = 4, USB_PORTS_OF_HUB = 8 };

struct usb_ports {
    const char *xml;                 /* of the VM, with apostrophes around its attributes */
    unsigned buses[USB_PORTS_BUSES]; /* ports; 0: there is no such controller */
};

/* The value of an attribute of the tag that starts there, or "". */
static inline const char *usb_ports_attribute(const char *tag, const char *name, char value[32]) {
    char key[32];
    const char *end = strchr(tag, '>'), *start;
    snprintf(key, sizeof key, " %s='", name);
    start = strstr(tag, key);
    *value = '\0';
    if (start && start < end)
        snprintf(value, 32, "%.*s", (int)strcspn(start + strlen(key), "'"), start + strlen(key));
    return value;
}

static inline unsigned usb_ports_of_controller(const char *tag) {
    static const struct {
        const char *model;
        unsigned ports;
        bool has_option;
    } models[] = {{"", 2, false},           {"piix3-uhci", 2, false},
                  {"piix4-uhci", 2, false}, {"ehci", 6, false},
                  {"ich9-ehci1", 6, false}, {"pci-ohci", 3, false},
                  {"nec-xhci", 4, true},    {"qemu-xhci", 4, true},
                  {"qusb2", 8, true},       {"vt82c686b-uhci", 2, false}};
    char model[32], ports[32];
    usb_ports_attribute(tag, "model", model);
    usb_ports_attribute(tag, "ports", ports);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].model, model) == 0)
            return models[i].has_option && *ports ? (unsigned)strtoul(ports, NULL, 10)
                                                  : models[i].ports;
    return 0; /* none, or a companion */
}

/* False: the VM has no controller. */
static inline bool usb_ports_read(struct usb_ports *ports, const char *xml) {
    static const char controller[] = "<controller type='usb'";
    bool has_one = false;
    char index[32];
    *ports = (struct usb_ports){.xml = xml};
    for (const char *tag = xml; (tag = strstr(tag, controller)); tag++) {
        unsigned count = usb_ports_of_controller(tag);
        unsigned bus = (unsigned)strtoul(usb_ports_attribute(tag, "index", index), NULL, 10);
        if (count && bus < USB_PORTS_BUSES)
            ports->buses[bus] = count;
        has_one |= count > 0;
    }
    return has_one;
}

static inline const char *usb_ports_find(const char *xml, unsigned bus, const char *port) {
    char text[160];
    snprintf(text, sizeof text, "<address type='usb' bus='%u' port='%s'/>", bus, port);
    return strstr(xml, text);
}

/* Whether what has that address is a hub. */
static inline bool usb_ports_is_hub(const char *xml, unsigned bus, const char *port) {
    const char *address = usb_ports_find(xml, bus, port), *hub = NULL;
    for (const char *tag = xml; (tag = strstr(tag, "<hub ")) && address && tag < address; tag++)
        hub = tag;
    return hub && address && strstr(hub, "</hub>") > address;
}

static inline bool usb_ports_free_below(const struct usb_ports *ports, unsigned bus,
                                        const char *above, unsigned depth, char found[64]) {
    unsigned count = *above ? USB_PORTS_OF_HUB : ports->buses[bus];
    char port[64];
    for (unsigned i = 1; i <= count; i++) {
        snprintf(found, 64, "%.40s%s%u", above, *above ? "." : "", i);
        if (!usb_ports_find(ports->xml, bus, found))
            return true;
    }
    for (unsigned i = 1; i <= count && depth < USB_PORTS_DEPTH; i++) {
        snprintf(port, sizeof port, "%.40s%s%u", above, *above ? "." : "", i);
        if (usb_ports_is_hub(ports->xml, bus, port) &&
            usb_ports_free_below(ports, bus, port, depth + 1, found))
            return true;
    }
    return false;
}

/* Where the element says which port of the guest it wants, or NULL. */
static inline const char *usb_ports_wanted(const char *hostdev) {
    const char *source_end = strstr(hostdev, "</source>");
    return strstr(source_end ? source_end : hostdev, "<address type='usb'");
}

/* Gives the hostdev a port of the VM. False with libvirt's words in `message`. */
static inline bool usb_ports_assign(const char *xml, const char *hostdev, unsigned *bus,
                                    char port[64], char message[192]) {
    struct usb_ports ports;
    const char *wanted = usb_ports_wanted(hostdev);
    char value[32];
    if (!usb_ports_read(&ports, xml)) {
        snprintf(message, 192, "internal error: Domain has no USB bus support");
        return false;
    }
    *bus = wanted ? (unsigned)strtoul(usb_ports_attribute(wanted, "bus", value), NULL, 10) : 0;
    snprintf(port, 64, "%s", wanted ? usb_ports_attribute(wanted, "port", value) : "");
    if (wanted && (*bus >= USB_PORTS_BUSES || !ports.buses[*bus])) {
        snprintf(message, 192,
                 *port ? "XML error: Missing USB bus %u"
                       : "XML error: USB bus %u requested but no controller with that index is "
                         "present",
                 *bus);
        return false;
    }
    if (*port && !strchr(port, '.') && (unsigned)strtoul(port, NULL, 10) > ports.buses[*bus]) {
        snprintf(message, 192, "XML error: requested USB port %s not present on USB bus %u", port,
                 *bus);
        return false;
    }
    if (*port && usb_ports_find(xml, *bus, port)) {
        snprintf(message, 192, "XML error: Duplicate USB address bus %u port %s", *bus, port);
        return false;
    }
    if (*port)
        return true;
    for (unsigned i = wanted ? *bus : 0; i < (wanted ? *bus + 1 : USB_PORTS_BUSES); i++)
        if (ports.buses[i] && usb_ports_free_below(&ports, i, "", 1, port)) {
            *bus = i;
            return true;
        }
    snprintf(message, 192, "internal error: No free USB ports");
    return false;
}

#endif
