/* Any bytes as libvirt's XML of a domain. */
#include "engine/model/domain.h"
#include "engine/libvirt/domain_xml.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool truth) {
    if (!truth)
        abort();
}

static void look_at(const struct domain *domain) {
    expect(domain->name && *domain->name);
    expect(!domain->title || *domain->title);
    expect(!domain->uuid || strlen(domain->uuid) == 36);
    expect(domain->guest.fixed_ports + domain->guest.spare_ports <= domain->guest.root_ports);
    expect(domain_is_called(domain, domain->name));
    expect(*domain_label(domain));
    for (size_t i = 0; i < domain->hostdev_count; i++)
        expect(memchr(domain->hostdevs[i].address, 0, sizeof domain->hostdevs[i].address) &&
               memchr(domain->hostdevs[i].alias, 0, sizeof domain->hostdevs[i].alias));
}

static void look_at_uses(const struct domain *domain) {
    struct guest guest = domain->guest;
    struct guest_place place;
    for (size_t i = 0; i < domain->use_count; i++)
        expect(domain->uses[i].name && domain->uses[i].element);
    for (unsigned count = 0; count < 300 && guest_take_pci(&guest, PCI_CONVENTIONAL, &place);
         count++)
        expect(place.kind == GUEST_PLACE_NONE ||
               (place.bus < GUEST_BUSES && place.slot < GUEST_SLOTS));
    static const struct device stick = {.bus = BUS_USB, .speed = 12};
    while (!guest.has_unknown_usb && guest.has_usb &&
           guest_take_usb(&guest, &stick, -1, &place) == GUEST_USB_TAKEN)
        ;
    free(guest_usb_text(&guest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct domain domain;
    struct failure failure = {0};
    if (domain_xml_parse(&domain, (const char *)data, size, &failure) == 0) {
        look_at(&domain);
        look_at_uses(&domain);
        domain_finish(&domain);
    } else {
        expect(*failure.message && !strchr(failure.message, '\n'));
    }
    return 0;
}
