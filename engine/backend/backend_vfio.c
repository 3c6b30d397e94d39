/* A PCI function as <hostdev type='pci'>: the kernel's vfio-pci driver has it for the VM. */
#include "engine/backend/backend_place.h"
#include "engine/backend/backend_window.h"

#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

static void backend_vfio_write_rom(FILE *out, const struct backend_options *options) {
    const struct action_option *rom =
        options->goes_along ? NULL : syntax_find_option(options->list, OPTION_ROM_FILE);
    if (syntax_find_option(options->list, OPTION_ROM_OFF)) {
        fputs("  <rom bar='off'/>\n", out);
    } else if (rom) {
        fputs("  <rom file='", out);
        backend_write_text(out, rom->text);
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
    backend_place_write_definition(out, options);
    backend_place_write(out, &options->place);
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
    return backend_place_refuse_pci(need, "device");
}

static char *backend_vfio_note_place(const struct guest *guest, const struct device *device,
                                     const struct backend_options *options) {
    return options->is_definition
               ? NULL
               : backend_window_note(guest, device, &options->place, options->libvirt_version);
}

const struct backend_type backend_type_VFIO = {
    .backend = BACKEND_VFIO,
    .unbinds_driver = true,
    .needs_iommu = true,
    .write_xml = backend_vfio_write_xml,
    .is_element = backend_vfio_is_element,
    .take_place = backend_vfio_take_place,
    .refuse_place = backend_vfio_refuse_place,
    .note_place = backend_vfio_note_place,
};
