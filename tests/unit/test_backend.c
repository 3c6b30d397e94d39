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
    char *xml = backend_xml(backend_of_bus(device->bus), device, options);

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
    static const struct backend_options rom = {.unmanaged = true, .rom = "/a/b c.rom"};
    static const struct backend_options off = {.rom_off = true, .rom = "/a"};

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
}

static void writes_usb(void **state) {
    static const struct backend_options ignored = {.unmanaged = true, .rom = "/a"};
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

static void escapes_the_rom_file(void **state) {
    static const struct backend_options options = {
        .rom = "/a'/><x y=\"&amp;\">\n\t\r\x01\x7f/Gr\xc3\xbc\xc3\x9f"
               "e%s"};
    char *xml = backend_xml(&backend_type_VFIO, &coral, &options);

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

        assert_null(backend_xml(backend_of_bus(device.bus), &device, NULL));
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
        xml = backend_xml(backend_of_bus(device.bus), &device, NULL);
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

/* What words.def says of a backend is what its file says. */
static void has_a_row_for_each_word(void **state) {
    static const unsigned buses[] = {[BUS_PCI] = BUS_NEEDS_PCI, [BUS_USB] = BUS_NEEDS_USB};

    (void)state;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        const struct backend_type *type = backend_type(backend);

        assert_int_equal(type->backend, backend);
        assert_int_equal(buses[type->bus], syntax_backend(backend)->bus);
        assert_true(type->write_xml && type->is_hostdev && type->take_place && type->refuse_place);
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
    hostdev = (struct domain_hostdev){.backend = BACKEND_USB, .bus = BUS_PCI, .id = stick.id};
    assert_false(backend_is_hostdev(&hostdev, &stick));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_pci),
        cmocka_unit_test(writes_pci_options),
        cmocka_unit_test(writes_usb),
        cmocka_unit_test(escapes_the_rom_file),
        cmocka_unit_test(refuses_bad_addresses),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(has_a_row_for_each_word),
        cmocka_unit_test(compares_by_the_backend_of_the_hostdev),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
