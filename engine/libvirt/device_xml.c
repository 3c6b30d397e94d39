#include "engine/libvirt/device_xml.h"

#include "lexer/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device_xml_pci_address {
    unsigned domain, bus, slot, function;
};

/* "0000:03:00.0" to the letter; a VMD's domain has five digits. */
static bool device_xml_pci_address(const char *text, struct device_xml_pci_address *address) {
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    static const char shape[] = ":xx:xx.x";

    if (digits < 4 || digits > 8 || strlen(text + digits) != sizeof shape - 1)
        return false;
    for (size_t i = 0; shape[i]; i++) {
        unsigned char c = (unsigned char)text[digits + i];

        if (shape[i] == 'x' ? !isxdigit(c) : c != (unsigned char)shape[i])
            return false;
    }
    address->domain = (unsigned)strtoul(text, NULL, 16);
    address->bus = (unsigned)strtoul(text + digits + 1, NULL, 16);
    address->slot = (unsigned)strtoul(text + digits + 4, NULL, 16);
    address->function = (unsigned)strtoul(text + digits + 7, NULL, 16);
    return address->slot < 32 && address->function < 8;
}

static const char *device_xml_entity(unsigned char c) {
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

static void device_xml_put_escaped(FILE *out, const char *text) {
    for (; *text; text++) {
        const char *escaped = device_xml_entity((unsigned char)*text);

        if (escaped)
            fputs(escaped, out);
        else
            fputc(*text, out);
    }
}

/* The driver is named because the rule says "as vfio": libvirt before 1.1.3 took its own otherwise.
 */
static bool device_xml_put_pci(FILE *out, const struct device *device,
                               const struct device_xml_options *options) {
    struct device_xml_pci_address address;

    if (!device_xml_pci_address(device->address, &address))
        return false;
    fprintf(out,
            "<hostdev mode='subsystem' type='pci' managed='%s'>\n"
            "  <driver name='vfio'/>\n"
            "  <source>\n"
            "    <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n"
            "  </source>\n",
            options && options->unmanaged ? "no" : "yes", address.domain, address.bus, address.slot,
            address.function);
    if (options && options->rom_off) {
        fputs("  <rom bar='off'/>\n", out);
    } else if (options && options->rom) {
        fputs("  <rom file='", out);
        device_xml_put_escaped(out, options->rom);
        fputs("'/>\n", out);
    }
    if (options && options->place.kind == GUEST_PLACE_PCI)
        fprintf(out,
                "  <address type='pci' domain='0x0000' bus='0x%02x' slot='0x%02x' "
                "function='0x0'/>\n",
                options->place.bus, options->place.slot);
    return true;
}

static void device_xml_put_usb(FILE *out, const struct device *device) {
    fprintf(out,
            "<hostdev mode='subsystem' type='usb'>\n"
            "  <source>\n"
            "    <vendor id='0x%04x'/>\n"
            "    <product id='0x%04x'/>\n",
            device->id.vendor, device->id.device);
    if (device->bus_number)
        fprintf(out, "    <address bus='%u' device='%u'/>\n", device->bus_number,
                device->device_number);
    fputs("  </source>\n", out);
}

char *device_xml(const struct device *device, const struct device_xml_options *options) {
    char *xml = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&xml, &size);
    bool good = true;

    if (device->bus == BUS_PCI)
        good = device_xml_put_pci(out, device, options);
    else
        device_xml_put_usb(out, device);
    fputs("</hostdev>", out);
    memory_stream_close(out, &xml);
    if (good)
        return xml;
    free(xml);
    return NULL;
}
