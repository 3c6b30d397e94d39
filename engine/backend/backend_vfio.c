/* A PCI function as <hostdev type='pci'>: the kernel's vfio-pci driver has it for the VM. */
#include "engine/backend/backend.h"

#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

static const char *backend_vfio_entity(unsigned char c) {
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

static void backend_vfio_write_rom(FILE *out, const struct backend_options *options) {
    const struct action_option *rom =
        options->goes_along ? NULL : syntax_find_option(options->list, OPTION_ROM_FILE);
    if (syntax_find_option(options->list, OPTION_ROM_OFF)) {
        fputs("  <rom bar='off'/>\n", out);
    } else if (rom) {
        fputs("  <rom file='", out);
        for (const char *text = rom->text; *text; text++) {
            const char *entity = backend_vfio_entity((unsigned char)*text);
            if (entity)
                fputs(entity, out);
            else
                fputc(*text, out);
        }
        fputs("'/>\n", out);
    }
}

/* Without <driver> libvirt before 1.1.3 uses KVM's old device assignment. */
static bool backend_vfio_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options, size_t index) {
    static const struct backend_options none;
    uint32_t part[3]; /* domain, bus, slot */
    bool has_domain = false;
    const char *function = NULL; /* "." and its digit */
    (void)index;
    options = options ? options : &none;
    if (!address_is_pci(device->address, &has_domain) || !has_domain ||
        !(function = text_parse_numbers(device->address, 16, ':', part, 3)))
        return false;
    fprintf(out,
            "<hostdev mode='subsystem' type='pci' managed='%s'>\n"
            "  <driver name='vfio'/>\n"
            "  <source>\n"
            "    <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%s'/>\n"
            "  </source>\n",
            syntax_find_option(options->list, OPTION_UNMANAGED) ? "no" : "yes", part[0], part[1],
            part[2], function + 1);
    backend_vfio_write_rom(out, options);
    if (options->place.kind == GUEST_PLACE_PCI)
        fprintf(out,
                "  <address type='pci' domain='0x0000' bus='0x%02x' slot='0x%02x' "
                "function='0x0'/>\n",
                options->place.bus, options->place.slot);
    fputs("</hostdev>", out);
    return true;
}

static bool backend_vfio_is_element(const struct domain_hostdev *hostdev,
                                    const struct device *device, size_t index) {
    (void)index;
    return strcmp(hostdev->address, device->address) == 0;
}

static bool backend_vfio_take_place(struct guest *guest, const struct device *device,
                                    struct backend_options *options) {
    return guest_take_pci(guest, device->kind, &options->place);
}

static struct verdict backend_vfio_refuse_place(const struct backend_need *need) {
    const struct domain *domain = need->domain;
    const struct guest *guest = &domain->guest;
    if (guest->has_no_pci)
        return verdict_refuse(
            REFUSED_NO_PORT,
            memory_printf("the VM's machine type %s has no PCI bus to plug a device into",
                          domain->machine),
            memory_strdup("PCI devices need another machine type: q35, or pc"));
    const char *kind = guest->has_pcie_root ? "PCIe root port" : "PCI slot";
    char *ports = !guest->has_pcie_root ? memory_strdup("")
                  : guest->fixed_ports
                      ? memory_printf(" (it has %u in all, %u of them with hotplug='off')",
                                      guest->root_ports, guest->fixed_ports)
                      : memory_printf(" (it has %u in all)", guest->root_ports);
    char *message = need->needed == 1
                        ? memory_printf("the VM has no free %s%s", kind, ports)
                        : memory_printf("%zu devices need a %s each, and the VM has %zu left%s",
                                        need->needed, kind, need->placed, ports);
    free(ports);
    return verdict_refuse(REFUSED_NO_PORT, message,
                          memory_printf("add to the VM while it is off: <controller type='pci' "
                                        "model='%s'/>, one for each device",
                                        guest->has_pcie_root ? "pcie-root-port" : "pci-bridge"));
}

const struct backend_type backend_type_VFIO = {
    .backend = BACKEND_VFIO,
    .unbinds_driver = true,
    .needs_iommu = true,
    .write_xml = backend_vfio_write_xml,
    .is_element = backend_vfio_is_element,
    .take_place = backend_vfio_take_place,
    .refuse_place = backend_vfio_refuse_place,
};
