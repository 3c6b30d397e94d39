/*
 * A virtual function of a network card as <interface type='hostdev'>: what <hostdev type='pci'>
 * does, and libvirt sets MAC address and VLAN at the physical function before, and restores both
 * afterwards. It attaches such functions of SR-IOV alone (src/hypervisor/virhostdev.c), by vfio-pci
 * or the card's own vfio driver. It knows no trust: see restore_vf.c.
 */
#include "engine/backend/backend.h"
#include "engine/backend/backend_place.h"
#include "engine/backend/backend_window.h"

#include "engine/host/vf_config.h"
#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { CLASS_NETWORK = 0x02 };

/* Of a physical function. */
static char *backend_net_hint(const struct device *device) {
    if (device->virtual_functions)
        return memory_printf("name one of its virtual functions: 'vf of %s'", device->address);
    return memory_printf("create virtual functions, at most %u, at each boot of the host: 'on host "
                         "boot create %u vf of at %s'; and name one: 'vf of %s'",
                         device->vf_total, device->vf_total < 4 ? device->vf_total : 4,
                         device->address, device->address);
}

/* libvirt refuses then: a card that is down would accept the settings, and not apply them. */
static struct verdict backend_net_judge_link(const struct host *host, const struct device *device) {
    const char *interface = vf_config_interface_down(host, device);
    if (!interface)
        return (struct verdict){0};
    return verdict_refuse(
        REFUSED_LINK_DOWN,
        memory_printf("%s, the interface of its physical function, is down", interface),
        memory_printf("'ip link set dev %s up': libvirt sets MAC address and VLAN by it",
                      interface));
}

static struct verdict backend_net_judge_device(const struct host *host, const struct device *device,
                                               const struct backend_options *options) {
    (void)options;
    if (device->class_code >> 16 != CLASS_NETWORK)
        return verdict_refuse(
            REFUSED_BACKEND,
            memory_printf("'as net' is for network cards (class 02), and its class "
                          "is %04x",
                          device->class_code >> 8),
            NULL);
    if (device->physical)
        return backend_net_judge_link(host, device);
    if (device->unknown & DEVICE_UNKNOWN_PHYSICAL)
        return verdict_refuse(
            REFUSED_BACKEND,
            memory_strdup("'as net' is for virtual functions, and whether it is one is unknown"),
            NULL);
    return verdict_refuse(
        REFUSED_BACKEND,
        memory_strdup("'as net' is for virtual functions (SR-IOV), and it is not one"),
        device->vf_total ? backend_net_hint(device) : NULL);
}

static bool backend_net_write_source(FILE *out, const char *address) {
    uint32_t part[3]; /* domain, bus, slot */
    bool has_domain = false;
    const char *function = NULL; /* "." and its digit */
    if (!address_is_pci(address, &has_domain) || !has_domain ||
        !(function = text_parse_numbers(address, 16, ':', part, 3)))
        return false;
    fprintf(out,
            "  <source>\n"
            "    <address type='pci' domain='0x%04x' bus='0x%02x' slot='0x%02x' "
            "function='0x%s'/>\n"
            "  </source>\n",
            part[0], part[1], part[2], function + 1);
    return true;
}

/* Without a <mac> libvirt takes another address at each attach. */
static bool backend_net_write_xml(FILE *out, const struct device *device,
                                  const struct backend_options *options, size_t index) {
    static const struct backend_options none;
    (void)index;
    options = options ? options : &none;
    const struct action_option *vlan = syntax_find_option(options->list, OPTION_VLAN);
    fputs("<interface type='hostdev' managed='yes'>\n", out);
    if (*options->mac)
        fprintf(out, "  <mac address='%s'/>\n", options->mac);
    fputs("  <driver name='vfio'/>\n", out);
    if (!backend_net_write_source(out, device->address))
        return false;
    if (vlan)
        fprintf(out,
                "  <vlan>\n"
                "    <tag id='%u'/>\n"
                "  </vlan>\n",
                vlan->number);
    backend_place_write_definition(out, options);
    backend_place_write(out, &options->place);
    fputs("</interface>", out);
    return true;
}

/* libvirt finds an interface by MAC address, and of several with one by the place in the guest. */
static bool backend_net_write_detach(FILE *out, const struct domain_hostdev *hostdev) {
    fputs("<interface type='hostdev' managed='yes'>\n", out);
    if (*hostdev->mac)
        fprintf(out, "  <mac address='%s'/>\n", hostdev->mac);
    if (!backend_net_write_source(out, hostdev->address))
        return false;
    backend_place_write(out, &hostdev->place);
    fputs("</interface>", out);
    return true;
}

static bool backend_net_is_element(const struct domain_hostdev *hostdev,
                                   const struct device *device, size_t index) {
    (void)index;
    return !strcmp(hostdev->address, device->address);
}

/* The same one at each start: of the rule's devices the first gets the first that is free. */
static void backend_net_choose_mac(const struct guest *guest, struct backend_options *options) {
    const struct action_option *given = syntax_find_option(options->list, OPTION_MAC);
    unsigned ordinal = 0;
    if (given) {
        snprintf(options->mac, sizeof options->mac, "%s", given->text);
        return;
    }
    do
        stable_id_mac(options->id, ordinal++, options->mac);
    while (guest_find_card(guest, options->mac));
}

/* A VM may have another kind of card with that address: the two are a team then (a migration takes
 * the function away). */
static bool backend_net_has_function(const struct guest *guest,
                                     const struct backend_options *options) {
    const struct guest_card *card = guest_find_card(guest, options->mac);
    return card && card->is_function;
}

static bool backend_net_take_place(struct guest *guest, const struct device *device,
                                   struct backend_options *options) {
    backend_net_choose_mac(guest, options);
    if (backend_net_has_function(guest, options) ||
        !guest_take_pci(guest, device->kind, &options->place))
        return false;
    guest_add_card(guest, options->mac, true);
    return true;
}

static struct verdict backend_net_refuse_place(const struct backend_need *need) {
    if (!backend_net_has_function(need->guest, need->options))
        return backend_place_refuse_pci(need, "device");
    return verdict_refuse(
        REFUSED_MAC,
        memory_printf("the VM has a virtual function with the MAC address %s already",
                      need->options->mac),
        memory_strdup("leave 'mac' out: each device then gets an address of its own; or give each "
                      "device a rule with another 'mac'"));
}

static char *backend_net_note_place(const struct guest *guest, const struct device *device,
                                    const struct backend_options *options) {
    return options->is_definition
               ? NULL
               : backend_window_note(guest, device, &options->place, options->libvirt_version);
}

const struct backend_type backend_type_NET = {
    .backend = BACKEND_NET,
    .unbinds_driver = true,
    .needs_iommu = true,
    .judge_device = backend_net_judge_device,
    .write_xml = backend_net_write_xml,
    .write_detach = backend_net_write_detach,
    .is_element = backend_net_is_element,
    .take_place = backend_net_take_place,
    .refuse_place = backend_net_refuse_place,
    .note_place = backend_net_note_place,
};
