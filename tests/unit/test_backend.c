#include "engine/backend/backend.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/model/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char coral_address[] = "0000:03:00.0";
static const struct device coral = {.bus = BUS_PCI, .address = coral_address};
static const struct device stick = {
    .bus = BUS_USB, .id = {0x1a6e, 0x089a}, .bus_number = 1, .device_number = 4};

static void assert_xml(const struct device *device, const struct backend_options *options,
                       const char *expected) {
    char *xml = backend_xml(backend_of_bus(device->bus), device, options, 0);

    assert_non_null(xml);
    assert_string_equal(xml, expected);
    free(xml);
}

static void writes_pci(void **state) {
    static const struct backend_options options;
    static const char expected[] =
        "<hostdev mode='subsystem' type='pci' managed='yes'>\n"
        "  <driver name='vfio'/>\n"
        "  <source>\n"
        "    <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
        "  </source>\n"
        "</hostdev>";

    (void)state;
    assert_xml(&coral, &options, expected);
    assert_xml(&coral, NULL, expected);
}

static void writes_pci_options(void **state) {
    static struct action_option unmanaged = {.kind = OPTION_UNMANAGED},
                                file = {.next = &unmanaged,
                                        .kind = OPTION_ROM_FILE,
                                        .text = "/a/b c.rom"},
                                no_rom = {.kind = OPTION_ROM_OFF};
    static const struct backend_options rom = {.list = &file}, off = {.list = &no_rom},
                                        along = {.list = &file, .goes_along = true};

    (void)state;
    assert_xml(&coral, &rom,
               "<hostdev mode='subsystem' type='pci' managed='no'>\n"
               "  <driver name='vfio'/>\n"
               "  <source>\n"
               "    <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
               "  </source>\n"
               "  <rom file='/a/b c.rom'/>\n"
               "</hostdev>");
    assert_xml(&coral, &off,
               "<hostdev mode='subsystem' type='pci' managed='yes'>\n"
               "  <driver name='vfio'/>\n"
               "  <source>\n"
               "    <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
               "  </source>\n"
               "  <rom bar='off'/>\n"
               "</hostdev>");
    /* The ROM is that of the device which the rule selects. */
    assert_xml(&coral, &along,
               "<hostdev mode='subsystem' type='pci' managed='no'>\n"
               "  <driver name='vfio'/>\n"
               "  <source>\n"
               "    <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
               "  </source>\n"
               "</hostdev>");
}

static void writes_usb(void **state) {
    static const struct backend_options ignored;
    struct device anywhere = stick;

    (void)state;
    assert_xml(&stick, &ignored,
               "<hostdev mode='subsystem' type='usb'>\n"
               "  <source>\n"
               "    <vendor id='0x1a6e'/>\n"
               "    <product id='0x089a'/>\n"
               "    <address bus='1' device='4'/>\n"
               "  </source>\n"
               "</hostdev>");
    anywhere.bus_number = 0;
    assert_xml(&anywhere, NULL,
               "<hostdev mode='subsystem' type='usb'>\n"
               "  <source>\n"
               "    <vendor id='0x1a6e'/>\n"
               "    <product id='0x089a'/>\n"
               "  </source>\n"
               "</hostdev>");
}

static void writes_usb_options(void **state) {
    static struct action_option reset = {.kind = OPTION_GUEST_RESET, .text = "off"};
    static const struct backend_options bus = {.list = &reset,
                                               .place = {.kind = GUEST_PLACE_USB,
                                                         .bus = 1,
                                                         .port = "2",
                                                         .needs_bus = true}},
                                        port = {.place = {.kind = GUEST_PLACE_USB,
                                                          .bus = 0,
                                                          .port = "3.1",
                                                          .needs_bus = true,
                                                          .needs_port = true}},
                                        nothing = {.place = {.kind = GUEST_PLACE_USB, .bus = 0}};

    (void)state;
    assert_xml(&stick, &bus,
               "<hostdev mode='subsystem' type='usb'>\n"
               "  <source guestReset='off'>\n"
               "    <vendor id='0x1a6e'/>\n"
               "    <product id='0x089a'/>\n"
               "    <address bus='1' device='4'/>\n"
               "  </source>\n"
               "  <address type='usb' bus='1'/>\n"
               "</hostdev>");
    assert_xml(&stick, &port,
               "<hostdev mode='subsystem' type='usb'>\n"
               "  <source>\n"
               "    <vendor id='0x1a6e'/>\n"
               "    <product id='0x089a'/>\n"
               "    <address bus='1' device='4'/>\n"
               "  </source>\n"
               "  <address type='usb' bus='0' port='3.1'/>\n"
               "</hostdev>");
    assert_xml(&stick, &nothing,
               "<hostdev mode='subsystem' type='usb'>\n"
               "  <source>\n"
               "    <vendor id='0x1a6e'/>\n"
               "    <product id='0x089a'/>\n"
               "    <address bus='1' device='4'/>\n"
               "  </source>\n"
               "</hostdev>");
}

/* Before 8.6 libvirt leaves out in silence what it does not know. */
static void refuses_what_libvirt_does_not_know(void **state) {
    static struct action_option managed = {.kind = OPTION_UNMANAGED},
                                controller = {.kind = OPTION_CONTROLLER, .number = 1},
                                reset = {.next = &managed,
                                         .kind = OPTION_GUEST_RESET,
                                         .text = "uninitialized"};
    static const struct {
        const struct action_option *list;
        unsigned long version;
        const char *message;
    } cases[] = {
        {&reset, 0, NULL},
        {&reset, 8006000, NULL},
        {&reset, 12002000, NULL},
        {&reset, 8005999, "'guest reset' needs libvirt 8.6.0, and this host has 8.5.999"},
        {&reset, 7000010, "'guest reset' needs libvirt 8.6.0, and this host has 7.0.10"},
        {&managed, 1003004, NULL},
        {&controller, 2001000, NULL},
        {&controller, 2000000, "'controller' needs libvirt 2.1.0, and this host has 2.0.0"},
        {NULL, 1003004, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct backend_options options = {.list = cases[i].list,
                                          .libvirt_version = cases[i].version};
        struct verdict verdict = backend_judge_options(&options);

        if (cases[i].message) {
            assert_string_equal(verdict_name(verdict.refusal), "libvirt-too-old");
            assert_string_equal(verdict.message, cases[i].message);
            assert_non_null(strstr(verdict.hint, "upgrade libvirt"));
        } else {
            assert_int_equal(verdict.refusal, REFUSED_NOT);
        }
        verdict_finish(&verdict);
    }
}

/* libvirt before 2.1 hands an address without a port to qemu as it is. */
static void leaves_the_port_to_an_old_libvirt(void **state) {
    static const char xml[] = "<domain id='3'><name>x</name><devices><controller type='usb' "
                              "index='0' model='piix3-uhci'/><controller type='usb' index='1' "
                              "model='nec-xhci'/></devices></domain>";
    static const unsigned long versions[] = {2000000, 2001000, 0};
    struct domain domain;
    struct failure failure;

    (void)state;
    assert_int_equal(domain_xml_parse(&domain, xml, strlen(xml), &failure), 0);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct backend_options options = {.libvirt_version = versions[i]};
        assert_true(backend_type_USB.take_place(&domain.guest, &stick, &options));
        assert_int_equal(options.place.kind, i ? GUEST_PLACE_USB : GUEST_PLACE_NONE);
        assert_int_equal(options.place.needs_bus, i > 0);
        assert_int_equal(options.place.bus, i > 0);
    }
    domain_finish(&domain);
}

static void escapes_the_rom_file(void **state) {
    static struct action_option file = {.kind = OPTION_ROM_FILE,
                                        .text =
                                            "/a'/><x y=\"&amp;\">\n\t\r\x01\x7f/Gr\xc3\xbc\xc3\x9f"
                                            "e%s"};
    static const struct backend_options options = {.list = &file};
    char *xml = backend_xml(&backend_type_VFIO, &coral, &options, 0);

    (void)state;
    assert_non_null(xml);
    assert_non_null(strstr(xml, "  <rom file='/a&apos;/&gt;&lt;x y=&quot;&amp;amp;&quot;&gt;"
                                "&#10;&#9;&#13;\xef\xbf\xbd\xef\xbf\xbd/Gr\xc3\xbc\xc3\x9f"
                                "e%s'/>\n"));
    free(xml);
}

static void refuses_bad_addresses(void **state) {
    static const char *const bad[] = {
        "",
        "03:00.0",
        "000:03:00.0",
        "000000000:03:00.0",
        "0000:3:00.0",
        "0000:03:00",
        "0000:03:00.0 ",
        "0000:03:00.8",
        "0000:03:20.0",
        "0000-03:00.0",
        "0000:03:00:0",
        "0000:0g:00.0",
        "0000:03:00.0'/><x",
        "1-1.4",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct device device = {.bus = BUS_PCI, .address = (char *)(uintptr_t)bad[i]};

        assert_null(backend_xml(backend_of_bus(device.bus), &device, NULL, 0));
    }
}

/* What is written is read back as the same device. */
static void round_trips(void **state) {
    static const char *const addresses[] = {"0000:03:00.0", "ffff:ff:1f.7", "10000:e1:00.0"};

    (void)state;
    for (size_t i = 0; i <= sizeof addresses / sizeof *addresses; i++) {
        struct device device = stick;
        struct domain domain;
        struct failure failure;
        char *xml, *whole;

        if (i < sizeof addresses / sizeof *addresses)
            device = (struct device){.address = (char *)(uintptr_t)addresses[i]};
        xml = backend_xml(backend_of_bus(device.bus), &device, NULL, 0);
        assert_non_null(xml);
        assert_true(asprintf(&whole, "<domain><name>x</name><devices>%s</devices></domain>", xml) >
                    0);
        assert_int_equal(domain_xml_parse(&domain, whole, strlen(whole), &failure), 0);
        assert_non_null(backend_hostdev_of(&domain, &device));
        domain_finish(&domain);
        free(whole);
        free(xml);
    }
}

/* By what the VM's XML says of it: libvirt refuses a vendor of 0. */
static void detaches_what_the_vm_has(void **state) {
    struct domain_hostdev by_number = {
        .backend = BACKEND_USB, .bus = BUS_USB, .bus_number = 1, .device_number = 9};
    struct domain_hostdev card = {
        .backend = BACKEND_VFIO, .bus = BUS_PCI, .address = "0000:03:00.0"};
    char *xml = backend_detach_xml(&by_number);

    (void)state;
    assert_string_equal(xml, "<hostdev mode='subsystem' type='usb'>\n"
                             "  <source>\n"
                             "    <address bus='1' device='9'/>\n"
                             "  </source>\n"
                             "</hostdev>");
    free(xml);
    xml = backend_detach_xml(&card);
    char *same = backend_xml(&backend_type_VFIO, &coral, NULL, 0);
    assert_string_equal(xml, same);
    free(same);
    free(xml);
}

/* What words.def says of a backend is what its file says. */
static void has_a_row_for_each_word(void **state) {
    (void)state;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        const struct backend_type *type = backend_type(backend);

        assert_int_equal(type->backend, backend);
        assert_true(type->write_xml && type->is_element);
        assert_true(!type->take_place == !type->refuse_place);
    }
    assert_ptr_equal(backend_of_bus(BUS_PCI), &backend_type_VFIO);
    assert_ptr_equal(backend_of_bus(BUS_USB), &backend_type_USB);
}

/* The backend's own function compares, whichever the bus. */
static void compares_by_the_backend_of_the_hostdev(void **state) {
    struct domain_hostdev hostdev = {
        .backend = BACKEND_VFIO, .bus = BUS_PCI, .address = "0000:03:00.0"};

    (void)state;
    assert_true(backend_is_hostdev(&hostdev, &coral));
    hostdev.backend = BACKEND_USB;
    assert_false(backend_is_hostdev(&hostdev, &coral));
    hostdev = (struct domain_hostdev){.backend = BACKEND_VFIO, .bus = BUS_PCI, .id = stick.id};
    assert_false(backend_is_hostdev(&hostdev, &stick));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_pci),
        cmocka_unit_test(writes_pci_options),
        cmocka_unit_test(writes_usb),
        cmocka_unit_test(writes_usb_options),
        cmocka_unit_test(refuses_what_libvirt_does_not_know),
        cmocka_unit_test(leaves_the_port_to_an_old_libvirt),
        cmocka_unit_test(escapes_the_rom_file),
        cmocka_unit_test(refuses_bad_addresses),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(detaches_what_the_vm_has),
        cmocka_unit_test(has_a_row_for_each_word),
        cmocka_unit_test(compares_by_the_backend_of_the_hostdev),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
