#include "engine/libvirt/domain_xml.h"
#include "engine/model/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define Q35 "<os><type machine='pc-q35-7.2'>hvm</type></os>"
#define PC "<os><type machine='pc-i440fx-7.2'>hvm</type></os>"
#define ROOT "<controller type='pci' index='0' model='pcie-root'/>"
#define PCI_ROOT "<controller type='pci' index='0' model='pci-root'/>"
#define PORT(index) "<controller type='pci' index='" index "' model='pcie-root-port'/>"
#define AT(bus, slot) "<address type='pci' bus='" bus "' slot='" slot "'/>"
#define PLENTY 100

static struct guest guest_of(const char *os, const char *devices) {
    struct domain domain;
    struct failure failure;
    char xml[4096];

    snprintf(xml, sizeof xml, "<domain id='3'><name>x</name>%s<devices>%s</devices></domain>", os,
             devices);
    if (domain_xml_parse(&domain, xml, strlen(xml), &failure) != 0)
        fail_msg("%s", failure.message);
    struct guest guest = domain.guest;
    domain_finish(&domain);
    return guest;
}

static void assert_takes(struct guest *guest, enum pci_kind kind, int bus, unsigned slot) {
    struct guest_place place;

    assert_true(guest_take_pci(guest, kind, &place));
    if (bus < 0) {
        assert_int_equal(place.kind, GUEST_PLACE_NONE);
        return;
    }
    assert_int_equal(place.kind, GUEST_PLACE_PCI);
    assert_int_equal(place.bus, bus);
    assert_int_equal(place.slot, slot);
}

static void assert_full(struct guest *guest, enum pci_kind kind) {
    struct guest_place place;

    assert_false(guest_take_pci(guest, kind, &place));
}

static unsigned count_usb(const char *devices) {
    struct guest guest = guest_of(Q35, devices);
    unsigned count = 0;

    while (count < PLENTY && guest_take_usb(&guest))
        count++;
    return count;
}

static unsigned count_pci(const char *os, const char *devices, enum pci_kind kind) {
    struct guest guest = guest_of(os, devices);
    struct guest_place place;
    unsigned count = 0;

    while (count < PLENTY && guest_take_pci(&guest, kind, &place))
        count++;
    return count;
}

/* libvirt takes ports from the front; those that the XML names are taken from the end. */
static void names_a_port_for_a_conventional_device(void **state) {
    struct guest guest =
        guest_of(Q35, ROOT PORT("1") PORT("2") PORT("3") PORT("4") "<disk>" AT("2", "0") "</disk>");

    (void)state;
    assert_takes(&guest, PCI_CONVENTIONAL, 4, 0);
    assert_takes(&guest, PCI_EXPRESS, -1, 0);
    assert_takes(&guest, PCI_CONVENTIONAL, 3, 0);
    assert_full(&guest, PCI_EXPRESS);
    assert_full(&guest, PCI_CONVENTIONAL);
    assert_full(&guest, PCI_UNKNOWN);
}

static void prefers_a_bridge_for_a_conventional_device(void **state) {
    struct guest guest = guest_of(
        Q35, ROOT PORT("1") "<controller type='pci' index='2' model='pcie-to-pci-bridge'>" AT(
                 "1", "0") "</controller><disk>" AT("2", "1") "</disk>");

    (void)state;
    assert_takes(&guest, PCI_CONVENTIONAL, 2, 2);
    assert_takes(&guest, PCI_CONVENTIONAL, 2, 3);
    assert_full(&guest, PCI_EXPRESS);
}

/* The bridge of the older pair takes no hot-plug itself. */
static void takes_the_slots_of_the_older_pair_of_bridges(void **state) {
    struct guest guest = guest_of(
        Q35,
        ROOT "<controller type='pci' index='1' model='dmi-to-pci-bridge'/>"
             "<controller type='pci' index='2' model='pci-bridge'>" AT("1", "0") "</controller>");

    (void)state;
    assert_takes(&guest, PCI_CONVENTIONAL, 2, 1);
    assert_full(&guest, PCI_EXPRESS);
    assert_int_equal(count_pci(Q35,
                               ROOT "<controller type='pci' index='1' model='dmi-to-pci-bridge'/>",
                               PCI_CONVENTIONAL),
                     0);
}

static void counts_what_takes_hot_plug(void **state) {
    static const struct {
        const char *os, *devices;
        enum pci_kind kind;
        unsigned count;
    } cases[] = {
        {Q35, ROOT, PCI_EXPRESS, 0},
        {Q35, ROOT, PCI_UNKNOWN, 0},
        {Q35,
         ROOT "<controller type='pci' index='1' model='pcie-root-port'><target "
              "hotplug='off'/></controller>",
         PCI_EXPRESS, 0},
        {Q35,
         ROOT "<controller type='pci' index='1' model='pcie-switch-upstream-port'/>"
              "<controller type='pci' index='2' model='pcie-switch-downstream-port'/>",
         PCI_EXPRESS, 1},
        {Q35, ROOT "<controller type='pci' index='1' model='pcie-expander-bus'/>", PCI_EXPRESS, 0},
        {Q35, ROOT "<controller type='pci' model='pcie-root-port'/>", PCI_EXPRESS, 1},
        {Q35, ROOT PORT("1") "<memballoon>" AT("1", "0") "</memballoon>", PCI_EXPRESS, 0},
        {Q35, ROOT PORT("1") "<rng>" AT("1", "0") "</rng>", PCI_EXPRESS, 0},
        {Q35, ROOT PORT("1") "<controller type='pci' index='2' model='of-tomorrow'/>", PCI_EXPRESS,
         PLENTY},
        {PC, PCI_ROOT, PCI_EXPRESS, 30}, /* slot 1 is the chipset's */
        {PC, PCI_ROOT "<video>" AT("0", "2") "</video>", PCI_CONVENTIONAL, 29},
        {PC,
         PCI_ROOT
         "<controller type='pci' index='1' model='pci-bridge'>" AT("0", "3") "</controller>",
         PCI_EXPRESS, 29 + 31},
        {PC,
         PCI_ROOT "<controller type='pci' index='1' model='pci-bridge'><target "
                  "hotplug='off'/></controller>",
         PCI_EXPRESS, 30},
        {PC, PCI_ROOT "<controller type='pci' index='1' model='pci-expander-bus'/>", PCI_EXPRESS,
         30 + 32},
        {"<os><type machine='pseries-7.2'>hvm</type></os>", PCI_ROOT, PCI_EXPRESS, 31},
        {"<os><type machine='microvm'>hvm</type></os>", "", PCI_EXPRESS, 0},
        {"<os><type machine='isapc'>hvm</type></os>", "", PCI_CONVENTIONAL, 0},
        {Q35, "", PCI_EXPRESS, PLENTY}, /* typed by a person: libvirt adds the controllers */
        {"", "", PCI_EXPRESS, PLENTY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned count = count_pci(cases[i].os, cases[i].devices, cases[i].kind);
        if (count != cases[i].count)
            fail_msg("%u places instead of %u: %s %s", count, cases[i].count, cases[i].os,
                     cases[i].devices);
    }
}

#define USB(model) "<controller type='usb' index='0' model='" model "'/>"

static void counts_usb_ports(void **state) {
    static const struct {
        const char *devices;
        unsigned count;
    } cases[] = {
        {USB("piix3-uhci"), 2},
        {USB("piix4-uhci"), 2},
        {USB("vt82c686b-uhci"), 2},
        {USB("ehci"), 6},
        {USB("pci-ohci"), 3},
        {USB("nec-xhci"), 4},
        {USB("qemu-xhci"), 4},
        {USB("qusb2"), 8},
        {"<controller type='usb' index='0'/>", 2},
        {USB("of-tomorrow"), PLENTY},
        {"<controller type='usb' index='0' model='qemu-xhci' ports='15'/>", 15},
        {"<controller type='usb' index='0' model='nec-xhci' ports='1'/>", 1},
        {USB("ich9-ehci1") USB("ich9-uhci1") USB("ich9-uhci2") USB("ich9-uhci3"), 6},
        {USB("qemu-xhci") "<controller type='usb' index='1' model='ich9-ehci1'/>", 10},
        /* A hub takes one port and gives eight, wherever it is. */
        {USB("qemu-xhci") "<hub type='usb'><address type='usb' bus='0' port='1'/></hub>", 11},
        {USB("qemu-xhci") "<hub type='usb'/>", 11},
        {USB("qemu-xhci") "<hub type='usb'><address type='usb' bus='0' port='1'/></hub>"
                          "<hub type='usb'><address type='usb' bus='0' port='1.1'/></hub>",
         18},
        /* Whatever takes a port, with an address and without. */
        {USB("nec-xhci") "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/>"
                         "</input>",
         3},
        {USB("nec-xhci") "<input type='tablet' bus='usb'/>", 3},
        {USB("nec-xhci") "<input type='keyboard' bus='ps2'/>", 4},
        {USB("nec-xhci") "<disk><target dev='sda' bus='usb'/></disk>", 3},
        {USB("nec-xhci") "<redirdev bus='usb' type='spicevmc'/>", 3},
        {USB("nec-xhci") "<sound model='usb'/>", 3},
        {USB("nec-xhci") "<serial type='pty'><target type='usb-serial'/></serial>", 3},
        {USB("nec-xhci") "<interface type='user'><model type='usb-net'/></interface>", 3},
        {USB("nec-xhci") "<controller type='ccid' index='0'><address type='usb' bus='0' port='1'/>"
                         "</controller>",
         3},
        {USB("nec-xhci") "<hostdev type='usb'><source><address bus='1' device='2'/></source>"
                         "</hostdev>",
         3},
        /* A device of one controller leaves the other's ports free. */
        {USB("piix3-uhci") "<controller type='usb' index='1' model='nec-xhci'/>"
                           "<input bus='usb'><address type='usb' bus='0' port='1'/></input>"
                           "<input bus='usb'><address type='usb' bus='0' port='2'/></input>",
         4},
        {"<controller type='usb' model='none'/>", PLENTY}, /* no-usb says it */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned count = count_usb(cases[i].devices);
        if (count != cases[i].count)
            fail_msg("%u ports instead of %u: %s", count, cases[i].count, cases[i].devices);
    }
}

/* libvirt chooses the model of a definition that is not running yet. */
static void takes_an_open_model_for_unknown(void **state) {
    static const char xml[] = "<domain><name>x</name><devices><controller type='usb'/></devices>"
                              "</domain>";
    struct domain domain;
    struct failure failure;

    (void)state;
    assert_int_equal(domain_xml_parse(&domain, xml, strlen(xml), &failure), 0);
    for (unsigned i = 0; i < PLENTY; i++)
        assert_true(guest_take_usb(&domain.guest));
    domain_finish(&domain);
}

static void frees_what_is_detached(void **state) {
    static const struct guest_place usb = {GUEST_PLACE_USB, 0, 0}, port = {GUEST_PLACE_PCI, 1, 0},
                                    some = {GUEST_PLACE_SOME_USB, 0, 0};
    struct guest guest = guest_of(Q35, ROOT PORT("1") USB("piix3-uhci") "<disk>" AT(
                                           "1", "0") "</disk>"
                                                     "<input bus='usb'/><input bus='usb'><address "
                                                     "type='usb' bus='0' port='1'/></input>");

    (void)state;
    assert_false(guest_take_usb(&guest));
    assert_full(&guest, PCI_EXPRESS);
    guest_leave(&guest, &usb);
    guest_leave(&guest, &some);
    guest_leave(&guest, &port);
    assert_true(guest_take_usb(&guest));
    assert_true(guest_take_usb(&guest));
    assert_false(guest_take_usb(&guest));
    assert_takes(&guest, PCI_EXPRESS, -1, 0);
}

static void says_what_usb_there_is(void **state) {
    struct guest guest = guest_of(Q35, USB("nec-xhci") "<hub type='usb'/><input bus='usb'>"
                                                       "<address type='usb' bus='0' port='2'/>"
                                                       "</input><controller type='usb' "
                                                       "index='2' model='pci-ohci'/>");
    char *text = guest_usb_text(&guest);

    (void)state;
    assert_string_equal(text, "controller 0 (nec-xhci and 1 hub) has 12 ports, of which the VM's "
                              "devices take 1; controller 2 (pci-ohci) has 3 ports, of which the "
                              "VM's devices take 0; 1 more USB device takes one");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_a_port_for_a_conventional_device),
        cmocka_unit_test(prefers_a_bridge_for_a_conventional_device),
        cmocka_unit_test(takes_the_slots_of_the_older_pair_of_bridges),
        cmocka_unit_test(counts_what_takes_hot_plug),
        cmocka_unit_test(counts_usb_ports),
        cmocka_unit_test(takes_an_open_model_for_unknown),
        cmocka_unit_test(frees_what_is_detached),
        cmocka_unit_test(says_what_usb_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
