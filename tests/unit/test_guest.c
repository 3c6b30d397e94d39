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
#define VIRT "<os><type arch='aarch64' machine='virt-7.2'>hvm</type></os>"
#define S390 "<os><type arch='s390x' machine='s390-ccw-virtio-7.2'>hvm</type></os>"
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

/* --- definitions */

static void assert_adds(struct guest *guest, unsigned bus, unsigned slot, unsigned chassis) {
    struct guest_place place;
    assert_true(guest_take_pci(guest, PCI_EXPRESS, &place));
    assert_true(place.needs_port_controller);
    assert_int_equal(place.bus, bus);
    assert_int_equal(place.port_slot, slot);
    assert_int_equal(place.port_chassis, chassis);
}

static void a_definition_gets_root_ports(void **state) {
    struct guest guest = guest_of(
        Q35, ROOT "<controller type='pci' index='1' model='pcie-root-port'>"
                  "<target chassis='3'/><address type='pci' bus='0' slot='2'/></controller>" PORT(
                      "2") "<memballoon>" AT("1", "0") "</memballoon>");
    (void)state;
    guest.is_definition = true;
    assert_takes(&guest, PCI_EXPRESS, 2, 0); /* named, although libvirt would find it */
    assert_adds(&guest, 3, 3, 4);            /* not the chassis that another port has */
    assert_adds(&guest, 4, 4, 5);
    for (unsigned slot = 5; slot < 0x1a; slot++)
        assert_adds(&guest, slot, slot, slot + 1);
    assert_adds(&guest, 0x1a, 0x1c, 0x1b);
    assert_full(&guest, PCI_EXPRESS); /* the others are the chipset's, USB's and a bridge's */
    struct guest_place place;
    assert_false(guest_add_root_port(&guest, &place));
}

static void a_definition_names_slots(void **state) {
    struct guest guest = guest_of(PC, PCI_ROOT "<x>" AT("0", "3") "</x>");
    struct guest_place place;
    (void)state;
    guest.is_definition = true;
    assert_takes(&guest, PCI_EXPRESS, 0, 4); /* 2 is for a graphics card */
    for (unsigned slot = 5; slot < 31; slot++)
        assert_takes(&guest, PCI_EXPRESS, 0, slot);
    assert_full(&guest, PCI_EXPRESS); /* for the last one libvirt adds a bridge */
    assert_false(guest_add_root_port(&guest, &place));
    guest = guest_of(Q35, ROOT PORT("1"));
    guest.is_definition = true;
    assert_takes(&guest, PCI_CONVENTIONAL, 1, 0);
    guest = guest_of("", "");
    guest.is_definition = true;
    assert_takes(&guest, PCI_EXPRESS, -1, 0); /* nothing is known of it */
}

static void old_root_ports_are_followed_by_such(void **state) {
    struct guest guest =
        guest_of(Q35, ROOT "<controller type='pci' index='1' model='pcie-root-port'>"
                           "<model name='ioh3420'/></controller><x>" AT("1", "0") "</x>");
    struct guest_place place;
    (void)state;
    guest.is_definition = true;
    assert_true(guest_take_pci(&guest, PCI_EXPRESS, &place));
    assert_string_equal(place.port_model, "ioh3420");
}

static void a_card_leaves(void **state) {
    struct guest guest = {0};
    (void)state;
    guest_add_card(&guest, "52:54:00:00:00:01", true);
    guest_add_card(&guest, "52:54:00:00:00:02", true);
    guest_remove_card(&guest, "52:54:00:00:00:01");
    assert_null(guest_find_card(&guest, "52:54:00:00:00:01"));
    assert_non_null(guest_find_card(&guest, "52:54:00:00:00:02"));
}

/* Of a speed that nothing tells. */
static bool take_usb(struct guest *guest) {
    static const struct device stick = {.bus = BUS_USB};
    struct guest_place place;

    return guest_take_usb(guest, &stick, -1, &place) == GUEST_USB_TAKEN;
}

static unsigned count_usb(const char *devices) {
    struct guest guest = guest_of(Q35, devices);
    unsigned count = 0;

    while (count < PLENTY && take_usb(&guest))
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
        {"<os><type machine='microvm'>hvm</type></os>", ROOT PORT("1"), PCI_EXPRESS, 0},
        {"<os><type arch='aarch64' machine='raspi3b'>hvm</type></os>", "", PCI_EXPRESS, 0},
        {"<os><type arch='riscv64' machine='sifive_u'>hvm</type></os>", "", PCI_EXPRESS, 0},
        {"<os><type arch='s390x' machine='s390-ccw-virtio-7.2'>hvm</type></os>", PCI_ROOT,
         PCI_EXPRESS, 0},
        {"<os><type arch='s390x' machine='s390-ccw-virtio-rhel9.2.0'>hvm</type></os>", "",
         PCI_EXPRESS, 0},
        {VIRT, ROOT, PCI_EXPRESS, 0},
        {VIRT, ROOT PORT("1") PORT("2"), PCI_EXPRESS, 2},
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

/* --- which controller */

#define USB_AT(index, model) "<controller type='usb' index='" index "' model='" model "'/>"
#define STICK_AT(bus, port)                                                                        \
    "<input type='tablet' bus='usb'><address type='usb' bus='" bus "' port='" port "'/></input>"
#define HUB_AT(bus, port)                                                                          \
    "<hub type='usb'><address type='usb' bus='" bus "' port='" port "'/></hub>"
#define COMPANION(n, port)                                                                         \
    "<controller type='usb' index='0' model='ich9-uhci" n "'><master startport='" port             \
    "'/></controller>"
#define ICH9                                                                                       \
    USB_AT("0", "ich9-ehci1")                                                                      \
    COMPANION("1", "0") COMPANION("2", "2") COMPANION("3", "4")
#define FULL_UHCI USB_AT("0", "piix3-uhci") STICK_AT("0", "1") STICK_AT("0", "2")
#define NAS USB_AT("0", "piix3-uhci") USB_AT("1", "nec-xhci")

/* "1:2 480 named": the controller, the port, at how many Mbit/s, and what of it the XML must say;
 * "full", "unsuitable", "missing", or "libvirt" where libvirt chooses. */
static const char *taken(struct guest *guest, unsigned speed, int controller) {
    static const char *const answers[] = {[GUEST_USB_FULL] = "full",
                                          [GUEST_USB_UNSUITABLE] = "unsuitable",
                                          [GUEST_USB_MISSING] = "missing"};
    static char text[64];
    struct device device = {.bus = BUS_USB, .speed = speed};
    struct guest_place place;
    enum guest_usb_answer answer = guest_take_usb(guest, &device, controller, &place);

    if (answer != GUEST_USB_TAKEN)
        return answers[answer];
    if (place.kind != GUEST_PLACE_USB)
        return "libvirt";
    snprintf(text, sizeof text, "%u:%s %u%s%s", place.bus, place.port, place.speed,
             place.needs_bus ? " bus" : "", place.needs_port ? " port" : "");
    return text;
}

static void takes_the_fastest_controller_that_suits(void **state) {
    static const struct {
        const char *devices;
        unsigned speed;
        int controller;
        const char *expected;
    } cases[] = {
        /* A NAS: UHCI first, xHCI second. The Coral is one of 480, then of 5000. */
        {NAS, 480, -1, "1:1 480 bus"},
        {NAS, 5000, -1, "1:1 5000 bus"},
        {NAS, 20000, -1, "1:1 5000 bus"},
        {NAS, 12, -1, "1:1 12 bus"},
        {NAS, 1, -1, "1:1 1 bus"},
        {NAS, 0, -1, "1:1 0 bus"},
        {NAS, 480, 0, "0:1 12 bus"},
        {NAS, 480, 1, "1:1 480 bus"},
        {NAS, 480, 2, "missing"},
        {NAS, 480, 200, "missing"},
        /* The fast one is full: slower, and then none. */
        {USB_AT("0", "piix3-uhci") "<controller type='usb' index='1' model='nec-xhci' "
                                   "ports='1'/>" STICK_AT("1", "1"),
         480, -1, "0:1 12 bus"},
        {USB_AT("0", "piix3-uhci") "<controller type='usb' index='1' model='nec-xhci' "
                                   "ports='1'/>" STICK_AT("1", "1"),
         480, 1, "full"},
        {FULL_UHCI, 480, -1, "full"},
        {FULL_UHCI, 12, 0, "full"},
        /* One controller alone is libvirt's choice too, and its first free port. */
        {USB("qemu-xhci"), 5000, -1, "0:1 5000"},
        {USB("qemu-xhci") STICK_AT("0", "1"), 5000, -1, "0:2 5000"},
        {USB("qemu-xhci") STICK_AT("0", "2"), 5000, -1, "0:1 5000"},
        {USB("piix3-uhci"), 480, -1, "0:1 12"},
        {USB("pci-ohci"), 480, -1, "0:1 12"},
        {USB("ich9-ehci1"), 5000, -1, "0:1 480"},
        /* EHCI alone takes high speed only; with companions any. */
        {USB("ehci"), 480, -1, "0:1 480"},
        {USB("ehci"), 12, -1, "unsuitable"},
        {USB("ehci"), 1, 0, "unsuitable"},
        {USB("ich9-ehci1"), 12, -1, "unsuitable"},
        {USB("ehci") USB_AT("1", "piix3-uhci"), 12, -1, "1:1 12 bus"},
        {USB("ehci") USB_AT("1", "piix3-uhci"), 480, -1, "0:1 480 bus"},
        {USB("ehci") USB_AT("1", "piix3-uhci"), 0, -1, "0:1 0 bus"},
        {ICH9, 12, -1, "0:1 12"},
        {ICH9, 480, -1, "0:1 480"},
        {ICH9 USB_AT("1", "piix3-uhci"), 12, -1, "0:1 12 bus"},
        {USB("ich9-ehci1") USB("ich9-uhci1") USB("ich9-uhci2") USB("ich9-uhci3"), 12, -1, "0:1 12"},
        {"<controller type='usb' model='ich9-ehci1'/><controller type='usb' model='ich9-uhci1'/>",
         12, -1, "0:1 12"},
        /* Some of its ports only: libvirt would take the first one. */
        {USB("ich9-ehci1") COMPANION("2", "2"), 12, -1, "0:3 12 bus port"},
        {USB("ich9-ehci1") COMPANION("2", "2"), 480, -1, "0:1 480"},
        {USB("ich9-ehci1") COMPANION("1", "0") STICK_AT("0", "1"), 12, -1, "0:2 12"},
        {USB("ich9-ehci1") COMPANION("1", "0") STICK_AT("0", "1") STICK_AT("0", "2"), 12, -1,
         "unsuitable"},
        /* Of two equal ones the first. */
        {USB_AT("3", "qemu-xhci") USB_AT("1", "nec-xhci"), 480, -1, "1:1 480 bus"},
        {USB_AT("3", "qemu-xhci") USB_AT("1", "ich9-ehci1"), 480, -1, "3:1 480 bus"},
        {USB_AT("3", "qemu-xhci") USB_AT("1", "ich9-ehci1"), 480, 1, "1:1 480 bus"},
        /* A hub is full speed, and so is what is behind it. */
        {"<controller type='usb' index='0' model='qemu-xhci' ports='1'/>" HUB_AT("0", "1"), 480, -1,
         "0:1.1 12"},
        {"<controller type='usb' index='0' model='qemu-xhci' ports='1'/>" HUB_AT("0", "1")
             STICK_AT("0", "1.1") HUB_AT("0", "1.2"),
         12, -1, "0:1.3 12"},
        {"<controller type='usb' index='0' model='qemu-xhci' ports='1'/>" HUB_AT("0", "1")
             USB_AT("1", "ich9-ehci1"),
         480, -1, "1:1 480 bus"},
        {"<controller type='usb' index='0' model='qemu-xhci' ports='2'/>" HUB_AT("0", "1")
             STICK_AT("0", "2"),
         480, 0, "0:1.1 12"},
        {FULL_UHCI USB_AT("1", "piix3-uhci") HUB_AT("1", "1") STICK_AT("1", "2"), 12, -1,
         "1:1.1 12 bus"},
        /* Devices without an address have the first ports of the first controllers. */
        {NAS "<input bus='usb'/><input bus='usb'/><input bus='usb'/>", 480, -1, "1:2 480 bus"},
        {NAS "<input bus='usb'/><input bus='usb'/><input bus='usb'/>", 480, 0, "full"},
        {NAS "<hub type='usb'/>", 480, 0, "0:2 12 bus"},
        {NAS "<redirdev bus='usb'><address type='usb' bus='1'/></redirdev>", 480, 0, "0:2 12 bus"},
        /* What is not known here, libvirt decides; a controller that is, comes first. */
        {USB("of-tomorrow"), 480, -1, "libvirt"},
        {USB("of-tomorrow"), 480, 0, "0: 0 bus"},
        {USB("of-tomorrow"), 480, 1, "missing"},
        {USB("of-tomorrow") USB_AT("1", "qemu-xhci"), 480, -1, "1:1 480 bus"},
        {FULL_UHCI USB_AT("1", "of-tomorrow"), 480, -1, "libvirt"},
        {USB_AT("40", "qemu-xhci"), 480, 40, "40: 0 bus"},
        {"", 480, -1, "libvirt"},
        {"", 480, 1, "1: 0 bus"},
        {"<controller type='usb' index='0'/>", 480, -1, "0:1 480"}, /* of q35 itself */
        {USB("ich9-uhci1"), 12, -1, "full"}, /* a companion has no ports of its own */
        /* Ports as libvirt writes them. */
        {USB("piix3-uhci") STICK_AT("0", "01"), 12, -1, "0:2 12"},
        {USB("piix3-uhci") STICK_AT("0", "x"), 12, -1, "0:2 12"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guest guest = guest_of(Q35, cases[i].devices);
        const char *text = taken(&guest, cases[i].speed, cases[i].controller);
        if (strcmp(text, cases[i].expected) != 0)
            fail_msg("%s instead of %s: %u Mbit/s, controller %d, %s", text, cases[i].expected,
                     cases[i].speed, cases[i].controller, cases[i].devices);
    }
}

/* Each takes what the one before it has left. */
static void takes_one_after_another(void **state) {
    struct guest guest =
        guest_of(PC, USB_AT("0", "piix3-uhci") "<controller type='usb' index='2' model='qemu-xhci' "
                                               "ports='2'/>" STICK_AT("0", "1"));
    struct guest_place second = {.kind = GUEST_PLACE_USB, .bus = 2, .port = "2"};
    char *text;

    (void)state;
    assert_string_equal(taken(&guest, 480, -1), "2:1 480 bus");
    assert_string_equal(taken(&guest, 5000, -1), "2:2 5000 bus");
    assert_string_equal(taken(&guest, 480, -1), "0:2 12 bus");
    assert_string_equal(taken(&guest, 480, -1), "full");
    assert_string_equal(taken(&guest, 480, 2), "full");
    text = guest_usb_text(&guest);
    assert_string_equal(text, "controller 0 (piix3-uhci) has 2 ports, of which the VM's devices "
                              "take 1 and this plan 1; controller 2 (qemu-xhci) has 2 ports, of "
                              "which the VM's devices take 0 and this plan 2");
    free(text);
    guest_leave(&guest, &second);
    assert_string_equal(taken(&guest, 480, -1), "2:2 480 bus");
}

static void names_a_controller_to_add(void **state) {
    static const struct {
        const char *os, *devices, *expected;
    } cases[] = {
        {Q35, "", "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>"},
        {PC, NAS, "<controller type='usb' index='2' model='qemu-xhci' ports='15'/>"},
        {Q35, USB_AT("1", "nec-xhci"),
         "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>"},
        {Q35, ICH9 USB_AT("1", "of-tomorrow"),
         "<controller type='usb' index='2' model='qemu-xhci' ports='15'/>"},
        {"<os><type machine='microvm'>hvm</type></os>", "", NULL},
        {S390, PCI_ROOT, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guest guest = guest_of(cases[i].os, cases[i].devices);
        char *xml = guest_usb_to_add(&guest, guest_usb_free_index(&guest));
        if (cases[i].expected)
            assert_string_equal(xml, cases[i].expected);
        else
            assert_null(xml);
        free(xml);
    }
}

static void reads_port_paths_as_libvirt(void **state) {
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"1", "1"},   {"1.2.3.4", "1.2.3.4"}, {"01.02", "1.2"}, {"255", "255"},      {"", NULL},
        {"0", NULL},  {"1.", NULL},           {".1", NULL},     {"1.2.3.4.5", NULL}, {"256", NULL},
        {"1x", NULL}, {"-1", NULL},           {" 1", NULL},     {NULL, NULL}};
    char port[GUEST_PORT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is = guest_parse_port(cases[i].text, port);
        if (is != (cases[i].expected != NULL) || strcmp(port, is ? cases[i].expected : "") != 0)
            fail_msg("'%s' reads as '%s'", cases[i].text ? cases[i].text : "NULL", port);
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
        assert_true(take_usb(&domain.guest));
    domain_finish(&domain);
}

static void frees_what_is_detached(void **state) {
    static const struct guest_place usb = {.kind = GUEST_PLACE_USB, .port = "1"},
                                    port = {.kind = GUEST_PLACE_PCI, .bus = 1},
                                    some = {.kind = GUEST_PLACE_SOME_USB};
    struct guest guest = guest_of(Q35, ROOT PORT("1") USB("piix3-uhci") "<disk>" AT(
                                           "1", "0") "</disk>"
                                                     "<input bus='usb'/><input bus='usb'><address "
                                                     "type='usb' bus='0' port='1'/></input>");

    (void)state;
    assert_false(take_usb(&guest));
    assert_full(&guest, PCI_EXPRESS);
    guest_leave(&guest, &usb);
    guest_leave(&guest, &some);
    guest_leave(&guest, &port);
    assert_true(take_usb(&guest));
    assert_true(take_usb(&guest));
    assert_false(take_usb(&guest));
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
                              "devices take 2; controller 2 (pci-ohci) has 3 ports, of which the "
                              "VM's devices take 0");
    free(text);
}

/* --- names of disks, and units of SCSI controllers */

#define DISK(name, bus) "<disk type='file'><target dev='" name "' bus='" bus "'/></disk>"
#define DISK_AT(name, controller, target, unit)                                                    \
    "<disk type='file'><target dev='" name                                                         \
    "' bus='scsi'/><address type='drive' controller='" controller "' bus='0' target='" target      \
    "' unit='" unit "'/></disk>"
#define VIRTIO_SCSI(index) "<controller type='scsi' index='" index "' model='virtio-scsi'/>"

static void assert_named(struct guest *guest, enum guest_disk_kind kind, const char *name) {
    struct guest_place place = {.kind = GUEST_PLACE_NONE};

    assert_true(guest_take_disk_name(guest, kind, &place));
    assert_string_equal(place.target, name);
}

static void assert_unit(struct guest *guest, unsigned scsi, unsigned unit, bool needs_scsi) {
    struct guest_place place = {.kind = GUEST_PLACE_NONE};

    assert_true(guest_take_scsi_unit(guest, &place));
    assert_true(place.has_unit);
    assert_int_equal(place.scsi, scsi);
    assert_int_equal(place.unit, unit);
    assert_int_equal(place.needs_scsi, needs_scsi);
}

/* Disks of SATA, SCSI and USB share names; those of IDE, Xen and floppy disks have their own. */
static void names_a_disk_as_no_other(void **state) {
    struct guest guest = guest_of(
        Q35, DISK("vda", "virtio") DISK("vdc", "virtio") DISK("hda", "ide") DISK("xvda", "xen")
                 DISK("sda", "usb") "<disk device='cdrom'><target dev='sdb' bus='sata'/></disk>");

    (void)state;
    assert_named(&guest, GUEST_DISK_VD, "vdb");
    assert_named(&guest, GUEST_DISK_VD, "vdd");
    assert_named(&guest, GUEST_DISK_SD, "sdc");
    assert_named(&guest, GUEST_DISK_SD, "sdd");
}

static void names_disks_beyond_z(void **state) {
    struct guest guest = guest_of(Q35, DISK("vdz", "virtio") DISK("vdab", "virtio"));
    struct guest_place place = {.kind = GUEST_PLACE_NONE};

    (void)state;
    for (unsigned i = 0; i < 24; i++)
        assert_true(guest_take_disk_name(&guest, GUEST_DISK_VD, &place));
    assert_named(&guest, GUEST_DISK_VD, "vdy");
    assert_named(&guest, GUEST_DISK_VD, "vdaa");
    assert_named(&guest, GUEST_DISK_VD, "vdac");
    for (unsigned i = 29; i < GUEST_DISK_NAMES; i++)
        assert_true(guest_take_disk_name(&guest, GUEST_DISK_VD, &place));
    assert_string_equal(place.target, "vdzz");
    assert_false(guest_take_disk_name(&guest, GUEST_DISK_VD, &place));
}

static void frees_the_name_and_the_unit_of_a_disk(void **state) {
    struct guest guest = guest_of(Q35, VIRTIO_SCSI("0") DISK_AT("sda", "0", "0", "0"));
    const struct guest_place disk = {.target = "sda", .has_unit = true};

    (void)state;
    guest_leave(&guest, &disk);
    assert_named(&guest, GUEST_DISK_SD, "sda");
    assert_unit(&guest, 0, 0, false);
}

/* By their addresses, or else by the names of disks; a device takes one too. */
static void takes_a_free_unit(void **state) {
    struct guest guest =
        guest_of(Q35, VIRTIO_SCSI("0") DISK_AT("sdx", "0", "0", "0") DISK("sdb", "scsi")
                          DISK_AT("sdc", "0", "1",
                                  "2") "<hostdev mode='subsystem' type='scsi'><source><adapter "
                                       "name='scsi_host3'/><address bus='0' target='0' unit='0'/>"
                                       "</source><address type='drive' controller='0' bus='0' "
                                       "target='0' unit='3'/></hostdev>");

    (void)state;
    assert_unit(&guest, 0, 2, false);
    assert_unit(&guest, 0, 4, false);
}

/* The eighth disk of a controller is unit 8, and the sixteenth is on the next controller. */
static void knows_the_unit_of_a_name(void **state) {
    static const struct {
        const char *name;
        unsigned scsi, unit;
    } rows[] = {{"sda", 0, 0}, {"sdg", 0, 6}, {"sdh", 0, 8}, {"sdo", 0, 15}, {"sdp", 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guest_place place = {.kind = GUEST_PLACE_NONE};
        assert_true(guest_unit_of_name(rows[i].name, &place));
        assert_int_equal(place.scsi, rows[i].scsi);
        assert_int_equal(place.unit, rows[i].unit);
    }
    struct guest_place place = {.kind = GUEST_PLACE_NONE};
    assert_false(guest_unit_of_name("hda", &place));
    assert_false(guest_unit_of_name("sd", &place));
    assert_false(guest_unit_of_name("sda1", &place));
}

/* Only a virtio controller tells its guest of a disk; one that is plugged in takes a PCI place. */
static void plugs_in_a_scsi_controller(void **state) {
    struct guest none = guest_of(Q35, ROOT PORT("1"));
    struct guest other = guest_of(PC, PCI_ROOT "<controller type='scsi' index='0' "
                                               "model='lsilogic'/>");
    struct guest full = guest_of(Q35, ROOT);
    struct guest of_virt =
        guest_of("<os><type machine='virt-7.2'>hvm</type></os>", "<controller type='scsi'/>");
    struct guest_place place = {.kind = GUEST_PLACE_NONE};

    (void)state;
    assert_unit(&none, 0, 0, true);
    assert_unit(&none, 0, 1, false);
    assert_full(&none, PCI_EXPRESS);
    assert_unit(&other, 1, 0, true);
    assert_false(guest_take_scsi_unit(&full, &place));
    assert_int_equal(guest_scsi_free_index(&other), 2);
    assert_unit(&of_virt, 0, 0, false);
}

static void takes_the_next_scsi_controller(void **state) {
    struct guest guest = guest_of(Q35, ROOT PORT("1") VIRTIO_SCSI("0") VIRTIO_SCSI("1"));

    (void)state;
    for (unsigned i = 0; i < GUEST_SCSI_UNITS; i++)
        assert_unit(&guest, 0, i, false);
    for (unsigned i = 0; i < GUEST_SCSI_UNITS; i++)
        assert_unit(&guest, 1, i, false);
    assert_unit(&guest, 2, 0, true);
}

/* q35 keeps slot 1 for a graphics card, a virt machine none but that of its bridge. */
static void a_virt_machine_keeps_no_slot(void **state) {
    struct guest q35 = guest_of(Q35, ROOT), virt = guest_of(VIRT, ROOT);
    (void)state;
    q35.is_definition = virt.is_definition = true;
    assert_adds(&q35, 1, 2, 1);
    assert_adds(&virt, 1, 1, 1);
    for (unsigned slot = 2; slot < GUEST_SLOTS; slot++)
        assert_adds(&virt, slot, slot, slot);
    assert_full(&virt, PCI_EXPRESS);
}

/* Channel I/O has places for all. */
static void virtio_devices_of_s390_need_no_pci(void **state) {
    struct guest guest = guest_of(S390, PCI_ROOT), micro;
    struct guest_place place;
    (void)state;
    for (unsigned i = 0; i < PLENTY; i++) {
        assert_true(guest_take_virtio(&guest, &place));
        assert_int_equal(place.kind, GUEST_PLACE_NONE);
    }
    assert_true(guest_take_scsi_unit(&guest, &place));
    assert_true(place.needs_scsi);
    guest.is_definition = true;
    assert_full(&guest, PCI_EXPRESS);
    micro = guest_of("<os><type machine='microvm'>hvm</type></os>", ROOT);
    micro.is_definition = true;
    assert_false(guest_add_root_port(&micro, &place));
    assert_false(guest_take_virtio(&micro, &place));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_virt_machine_keeps_no_slot),
        cmocka_unit_test(virtio_devices_of_s390_need_no_pci),
        cmocka_unit_test(a_definition_gets_root_ports),
        cmocka_unit_test(a_definition_names_slots),
        cmocka_unit_test(old_root_ports_are_followed_by_such),
        cmocka_unit_test(a_card_leaves),
        cmocka_unit_test(names_a_port_for_a_conventional_device),
        cmocka_unit_test(prefers_a_bridge_for_a_conventional_device),
        cmocka_unit_test(takes_the_slots_of_the_older_pair_of_bridges),
        cmocka_unit_test(counts_what_takes_hot_plug),
        cmocka_unit_test(counts_usb_ports),
        cmocka_unit_test(takes_the_fastest_controller_that_suits),
        cmocka_unit_test(takes_one_after_another),
        cmocka_unit_test(names_a_controller_to_add),
        cmocka_unit_test(reads_port_paths_as_libvirt),
        cmocka_unit_test(takes_an_open_model_for_unknown),
        cmocka_unit_test(frees_what_is_detached),
        cmocka_unit_test(says_what_usb_there_is),
        cmocka_unit_test(names_a_disk_as_no_other),
        cmocka_unit_test(names_disks_beyond_z),
        cmocka_unit_test(frees_the_name_and_the_unit_of_a_disk),
        cmocka_unit_test(takes_a_free_unit),
        cmocka_unit_test(knows_the_unit_of_a_name),
        cmocka_unit_test(plugs_in_a_scsi_controller),
        cmocka_unit_test(takes_the_next_scsi_controller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
