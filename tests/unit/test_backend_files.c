/* Backends that hand over files of the host: the serial ports and the event nodes of a device. */
#include "engine/backend/backend.h"

#include "engine/libvirt/domain_xml.h"
#include "lexer/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char port[] = "1-1.4";
static char *kbd_links[] = {(char[]){"/dev/input/by-id/usb-K&R-event-kbd"},
                            (char[]){"/dev/input/by-path/pci-0-event-kbd"}},
            *mouse_links[] = {(char[]){"/dev/input/by-id/usb-M-event-mouse"}},
            *tty_links[] = {(char[]){"/dev/serial/by-id/usb-A'B-if00"},
                            (char[]){"/dev/serial/by-path/pci-0"}};
static struct device_file files[] = {
    {.kind = FILE_TTY, .path = (char[]){"/dev/ttyUSB0"}, .links = tty_links, .link_count = 2},
    {.kind = FILE_TTY, .path = (char[]){"/dev/ttyUSB1"}, .links = NULL}, /* gcc 10 misses it */
    {.kind = FILE_EVENT,
     .path = (char[]){"/dev/input/event3"},
     .links = kbd_links,
     .link_count = 2},
    {.kind = FILE_EVENT,
     .path = (char[]){"/dev/input/event4"},
     .links = mouse_links,
     .link_count = 1},
};
static const struct device device = {
    .bus = BUS_USB,
    .address = port,
    .bus_number = 1,
    .device_number = 12,
    .speed = 480,
    .files = files,
    .file_count = 4,
};
static struct action_option pci = {.kind = OPTION_SERIAL_PCI}, grab = {.kind = OPTION_GRAB};

static const struct backend_type *serial(void) {
    return backend_type(BACKEND_SERIAL);
}

static const struct backend_type *input(void) {
    return backend_type(BACKEND_INPUT);
}

static void assert_text(char *text, const char *expected) {
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void writes_each_tty(void **state) {
    struct backend_options options = {
        .place = {
            .kind = GUEST_PLACE_USB, .bus = 1, .port = "2", .needs_bus = true, .needs_port = true}};

    (void)state;
    assert_int_equal(backend_count(serial(), &device, NULL), 2);
    assert_text(backend_xml(serial(), &device, &options, 0),
                "<serial type='dev'>\n"
                "  <source path='/dev/serial/by-id/usb-A&apos;B-if00'/>\n"
                "  <target type='usb-serial'/>\n"
                "  <alias name='ua-virt-rules-serial-1-1-4-12-0'/>\n"
                "  <address type='usb' bus='1' port='2'/>\n"
                "</serial>");
    options = (struct backend_options){.list = &pci};
    assert_text(backend_xml(serial(), &device, &options, 1),
                "<serial type='dev'>\n"
                "  <source path='/dev/ttyUSB1'/>\n"
                "  <target type='pci-serial'/>\n"
                "  <alias name='ua-virt-rules-serial-1-1-4-12-1'/>\n"
                "</serial>");
    assert_null(backend_xml(serial(), &device, NULL, 2));
}

static void writes_each_event_node(void **state) {
    struct backend_options options = {.place = {.kind = GUEST_PLACE_PCI, .bus = 3}};

    (void)state;
    assert_int_equal(backend_count(input(), &device, NULL), 2);
    assert_text(backend_xml(input(), &device, &options, 0),
                "<input type='passthrough' bus='virtio'>\n"
                "  <source evdev='/dev/input/by-id/usb-K&amp;R-event-kbd'/>\n"
                "  <alias name='ua-virt-rules-input-1-1-4-12-0'/>\n"
                "  <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
                "</input>");
    options = (struct backend_options){.list = &grab};
    assert_text(backend_xml(input(), &device, &options, 0),
                "<input type='evdev'>\n"
                "  <source dev='/dev/input/by-id/usb-K&amp;R-event-kbd' grab='all' repeat='on'/>\n"
                "  <alias name='ua-virt-rules-input-1-1-4-12-0'/>\n"
                "  <address type='isa' iobase='0x10c00'/>\n"
                "</input>");
    assert_text(backend_xml(input(), &device, &options, 1),
                "<input type='evdev'>\n"
                "  <source dev='/dev/input/by-id/usb-M-event-mouse' grab='all'/>\n"
                "  <alias name='ua-virt-rules-input-1-1-4-12-1'/>\n"
                "  <address type='isa' iobase='0x10c01'/>\n"
                "</input>");
}

/* As libvirt prints it: the second controller's port 1 has the serial port that is a console too.
 */
#define HEAD                                                                                       \
    "<domain type='kvm' id='3'><name>a</name><os><type machine='pc-q35-7.2'>hvm</type></os>"       \
    "<devices><controller type='usb' index='0' model='qemu-xhci' ports='2'/>"                      \
    "<controller type='pci' index='0' model='pcie-root'/>"                                         \
    "<controller type='pci' index='1' model='pcie-root-port'/>"
#define TAIL "</devices></domain>"
static const char has_all[] = HEAD
    "<serial type='dev'><source path='/dev/serial/by-path/pci-0'/>"
    "<target type='usb-serial' port='7'><model name='usb-serial'/></target>"
    "<alias name='ua-virt-rules-serial-1-1-4-12-0'/><address type='usb' bus='0' port='1'/></serial>"
    "<serial type='dev'><source path='/dev/ttyUSB1'/><target type='pci-serial' port='8'/>"
    "<alias name='serial1'/><address type='pci' domain='0x0000' bus='0x01' slot='0x00' "
    "function='0x0'/>"
    "</serial>"
    "<serial type='dev'><source path='/dev/ttyS0'/><target type='isa-serial' port='0'/></serial>"
    "<serial type='pty'><source path='/dev/pts/3'/><target type='usb-serial' port='2'/>"
    "<address type='usb' bus='0' port='2'/></serial>"
    "<console type='dev'><source path='/dev/serial/by-path/pci-0'/><target type='serial' port='0'/>"
    "<alias name='ua-virt-rules-serial-1-1-4-12-0'/><address type='usb' bus='0' "
    "port='1'/></console>"
    "<input type='mouse' bus='ps2'/>"
    "<input type='passthrough' bus='virtio'><source evdev='/dev/input/event3'/>"
    "<alias name='input2'/></input>"
    "<input type='evdev'><source dev='/dev/input/by-id/usb-M-event-mouse' grab='all'/>"
    "<alias name='ua-virt-rules-input-1-1-4-12-1'/><address type='isa' "
    "iobase='0x10c01'/></input>" TAIL;

static void parse(struct domain *domain, const char *xml) {
    struct failure failure = {0};
    assert_int_equal(domain_xml_parse(domain, xml, strlen(xml), &failure), 0);
}

static void reads_what_a_vm_has(void **state) {
    struct domain domain;
    struct guest_place place;

    (void)state;
    parse(&domain, has_all);
    assert_int_equal(domain.hostdev_count, 4);
    assert_int_equal(domain.hostdevs[0].backend, BACKEND_SERIAL);
    assert_string_equal(domain.hostdevs[0].target, "usb-serial");
    assert_int_equal(domain.hostdevs[0].target_port, 7);
    assert_string_equal(domain.hostdevs[3].path, "/dev/input/by-id/usb-M-event-mouse");
    for (size_t i = 0; i < 4; i++)
        assert_true(backend_is_hostdev(&domain.hostdevs[i], &device));
    assert_true(backend_has_all(&domain, serial(), &device, NULL));
    assert_true(backend_has_all(&domain, input(), &device, NULL));

    /* A use is of its element; the console's is the serial port's. */
    for (size_t i = 0; i < domain.use_count; i++) {
        const char *name = domain.uses[i].name;
        size_t hostdev = !strcmp(name, "/dev/serial/by-path/pci-0") ? 1
                         : !strcmp(name, "/dev/ttyUSB1")            ? 2
                         : !strcmp(name, "/dev/input/event3")       ? 3
                         : !strcmp(name, "/dev/ttyS0")              ? 0
                         : !strcmp(name, "/dev/pts/3")              ? 0
                                                                    : 4;
        assert_int_equal(domain.uses[i].hostdev, hostdev);
    }
    /* The console takes no port of its own: one of two is left for one more. */
    guest_leave(&domain.guest, &domain.hostdevs[0].place);
    assert_int_equal(guest_take_usb(&domain.guest, &device, 0, &place), GUEST_USB_TAKEN);
    assert_string_equal(place.port, "1");
    domain_finish(&domain);
}

static void detaches_by_what_libvirt_compares(void **state) {
    static const char *const expected[] = {"<serial type='dev'>\n"
                                           "  <source path='/dev/serial/by-path/pci-0'/>\n"
                                           "  <target type='usb-serial' port='7'/>\n"
                                           "</serial>",
                                           "<serial type='dev'>\n"
                                           "  <source path='/dev/ttyUSB1'/>\n"
                                           "  <target type='pci-serial' port='8'/>\n"
                                           "</serial>",
                                           "<input type='passthrough' bus='virtio'>\n"
                                           "  <source evdev='/dev/input/event3'/>\n"
                                           "</input>",
                                           "<input type='evdev'>\n"
                                           "  <source dev='/dev/input/by-id/usb-M-event-mouse'/>\n"
                                           "  <address type='isa' iobase='0x10c01'/>\n"
                                           "</input>"};
    struct domain domain;

    (void)state;
    parse(&domain, has_all);
    for (size_t i = 0; i < 4; i++)
        assert_text(backend_detach_xml(&domain.hostdevs[i]), expected[i]);
    domain_finish(&domain);
}

/* The same link leads to the device's file again after it was plugged in again: not in the VM. */
static void knows_what_was_plugged_in_again(void **state) {
    struct device again = device;
    struct domain domain;

    (void)state;
    parse(&domain, has_all);
    again.device_number = 13;
    assert_false(backend_is_hostdev(&domain.hostdevs[0], &again));
    assert_false(backend_is_hostdev(&domain.hostdevs[3], &again));
    assert_true(backend_is_hostdev(&domain.hostdevs[1], &again)); /* none of ours: who knows */
    assert_true(backend_is_hostdev(&domain.hostdevs[2], &again));
    assert_false(backend_has_all(&domain, serial(), &again, NULL));
    again.device_number = 12;
    again.address = (char[]){"1-1.3"};
    assert_false(backend_is_hostdev(&domain.hostdevs[0], &again));
    domain_finish(&domain);
}

static struct verdict judge(const struct device *one, enum backend backend) {
    struct host host = {0};
    return backend_judge_device(backend_type(backend), &host, one, NULL);
}

static void assert_refused(const struct device *one, enum backend backend, const char *part) {
    struct verdict verdict = judge(one, backend);
    assert_int_equal(verdict.refusal, REFUSED_BACKEND);
    if (!strstr(verdict.message, part))
        fail_msg("'%s' is not in: %s", part, verdict.message);
    assert_non_null(strstr(verdict.hint, "'as usb'"));
    verdict_finish(&verdict);
}

static void says_which_driver_is_missing(void **state) {
    struct device_interface interfaces[] = {{.class_code = 0xff0000}, {.class_code = 0x020201}};
    struct device stick = {.bus = BUS_USB,
                           .address = port,
                           .id = {0x10c4, 0xea60},
                           .interfaces = interfaces,
                           .interface_count = 1};

    (void)state;
    assert_int_equal(judge(&device, BACKEND_SERIAL).refusal, REFUSED_NOT);
    assert_int_equal(judge(&device, BACKEND_INPUT).refusal, REFUSED_NOT);
    assert_refused(&stick, BACKEND_SERIAL, "'modprobe cp210x'");
    stick.id = (struct device_id){0x1234, 0x0001};
    assert_refused(&stick, BACKEND_SERIAL, "no host driver is bound to it");
    stick.interface_count = 2;
    assert_refused(&stick, BACKEND_SERIAL, "'modprobe cdc_acm'");
    assert_refused(&stick, BACKEND_INPUT, "it is not a keyboard or mouse");
    interfaces[0].driver = (char[]){"snd-usb-audio"};
    interfaces[1].class_code = 0x010100;
    assert_refused(&stick, BACKEND_SERIAL, "its host driver is snd-usb-audio");
    interfaces[0].driver = (char[]){"usbfs"};
    assert_refused(&stick, BACKEND_SERIAL, "a program has it open");
    stick.unknown = DEVICE_UNKNOWN_DRIVER;
    assert_refused(&stick, BACKEND_SERIAL, "cannot be read");
    stick.unknown = 0;
    interfaces[0] = (struct device_interface){.class_code = 0x030101};
    assert_refused(&stick, BACKEND_INPUT, "'modprobe usbhid'");
    interfaces[0].driver = (char[]){"usbhid"};
    assert_refused(&stick, BACKEND_INPUT, "'modprobe evdev'");
}

static void needs_a_libvirt_that_plugs_it(void **state) {
    struct backend_options options = {.list = &grab, .libvirt_version = 10003000};
    struct host host = {0};
    struct verdict verdict = backend_judge_options(&options);

    (void)state;
    assert_int_equal(verdict.refusal, REFUSED_OLD_LIBVIRT);
    assert_string_equal(verdict.message, "'grab' needs libvirt 10.4.0, and this host has 10.3.0");
    verdict_finish(&verdict);
    options.libvirt_version = 10004000;
    assert_int_equal(backend_judge_options(&options).refusal, REFUSED_NOT);
    options = (struct backend_options){.libvirt_version = 3008000};
    verdict = backend_judge_device(input(), &host, &device, &options);
    assert_int_equal(verdict.refusal, REFUSED_OLD_LIBVIRT);
    verdict_finish(&verdict);
    options.libvirt_version = 3009000;
    assert_int_equal(backend_judge_device(input(), &host, &device, &options).refusal, REFUSED_NOT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_each_tty),
        cmocka_unit_test(writes_each_event_node),
        cmocka_unit_test(reads_what_a_vm_has),
        cmocka_unit_test(detaches_by_what_libvirt_compares),
        cmocka_unit_test(knows_what_was_plugged_in_again),
        cmocka_unit_test(says_which_driver_is_missing),
        cmocka_unit_test(needs_a_libvirt_that_plugs_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
