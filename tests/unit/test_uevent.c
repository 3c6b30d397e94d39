/* The kernel's events, as udev and as the kernel itself give them. The texts are of Linux 6.1 and
 * of udev 252 on it. */
#include "tests/unit/sample.h"
#include "tests/unit/skip.h"

#include "engine/host/uevent.h"
#include "engine/host/uevent_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define USB_PATH "DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4"
#define INTERFACE_PATH "DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0"
#define NIC_PATH "DEVPATH=/devices/pci0000:00/0000:00:1c.0/0000:03:00.0/net/eth0"
#define USB "SUBSYSTEM=usb", "DEVTYPE=usb_device", USB_PATH
#define PCI_PATH "DEVPATH=/devices/pci0000:00/0000:00:1c.0/0000:03:00.0"
#define VMD_PATH "DEVPATH=/devices/pci0000:d7/0000:d7:05.5/pci10001:00/10001:00:00.0/10001:01:00.0"

static bool read_event(struct uevent *uevent, const char *const *variables) {
    bool is_one = uevent_init(uevent, variables);
    if (!is_one)
        uevent_finish(uevent);
    return is_one;
}

#define EVENT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_usb_device_that_came(void **state) {
    (void)state;
    struct uevent uevent;
    assert_true(read_event(&uevent, EVENT("ACTION=add", USB, "PRODUCT=1a6e/89a/100", "TYPE=0/0/0",
                                          "BUSNUM=001", "DEVNUM=017", "SEQNUM=4711")));
    assert_false(uevent.removed);
    assert_int_equal(uevent.seqnum, 4711);
    assert_int_equal(uevent.device.bus, BUS_USB);
    assert_string_equal(uevent.device.address, "1-1.4");
    assert_int_equal(uevent.device.id.vendor, 0x1a6e);
    assert_int_equal(uevent.device.id.device, 0x089a);
    assert_int_equal(uevent.device.bus_number, 1);
    assert_int_equal(uevent.device.device_number, 17);
    assert_int_equal(uevent.device.class_code, 0);
    assert_null(uevent.device.serial);
    assert_non_null(uevent.device.name);
    assert_false(uevent.device.is_bridge);
    uevent_finish(&uevent);
}

static void a_usb_device_that_went(void **state) {
    (void)state;
    struct uevent uevent;
    assert_true(read_event(
        &uevent, EVENT("ACTION=remove", USB, "PRODUCT=1cf1/30/100", "TYPE=0/0/0", "BUSNUM=001",
                       "DEVNUM=003", "ID_SERIAL_SHORT=DE00212E7B",
                       "ID_USB_INTERFACES=:020201:0a0000:", "SEQNUM=18446744073709551615")));
    assert_true(uevent.removed);
    assert_true(uevent.seqnum == UINT64_MAX);
    assert_int_equal(uevent.device.class_code, 0x020201);
    assert_string_equal(uevent.device.serial, "DE00212E7B");
    uevent_finish(&uevent);
}

static void what_udev_has_of_it(void **state) {
    (void)state;
    struct uevent uevent;
    assert_true(read_event(&uevent, EVENT("ACTION=remove", USB, "PRODUCT=46d/82d/11",
                                          "TYPE=239/2/1", "ID_VENDOR_ID=046d", "ID_MODEL_ID=082d",
                                          "ID_VENDOR_ENC=Logitech\\x20\\x20",
                                          "ID_MODEL_ENC=HD\\x20Pro\\x2f\\x2",
                                          "ID_USB_INTERFACES=:0e0100:0e0200:010100:")));
    assert_string_equal(uevent.device.manufacturer, "Logitech");
    assert_string_equal(uevent.device.product, "HD Pro/\\x2");
    assert_int_equal(uevent.device.interface_count, 3);
    assert_int_equal(uevent.device.interfaces[2].class_code, 0x010100);
    assert_int_equal(uevent.device.class_code, 0xef0201);
    assert_int_equal(uevent.device.unknown, DEVICE_UNKNOWN_DRIVER);
    uevent_finish(&uevent);
    assert_true(read_event(&uevent, EVENT("ACTION=remove", USB, "ID_VENDOR_ID=046d",
                                          "ID_MODEL_ID=082d", "ID_VENDOR_ENC=046d",
                                          "ID_MODEL_ENC=\\xff\\x00", "ID_USB_INTERFACES=:0e0100")));
    assert_null(uevent.device.manufacturer);
    assert_string_equal(uevent.device.product, "?\\x00");
    assert_int_equal(uevent.device.unknown, DEVICE_UNKNOWN_INTERFACES | DEVICE_UNKNOWN_DRIVER);
    uevent_finish(&uevent);
    assert_true(read_event(&uevent, EVENT("ACTION=remove", USB, "ID_VENDOR_ENC=")));
    assert_int_equal(uevent.device.unknown, DEVICE_UNKNOWN_ALL);
    uevent_finish(&uevent);
}

static void its_own_class_counts_before_its_interfaces(void **state) {
    (void)state;
    struct uevent uevent;
    assert_true(
        read_event(&uevent, EVENT("ACTION=add", USB, "TYPE=9/0/2", "ID_USB_INTERFACES=:030101:")));
    assert_int_equal(uevent.device.class_code, 0x090002);
    assert_true(uevent.device.is_bridge);
    assert_int_equal(uevent.seqnum, 0);
    uevent_finish(&uevent);
}

static void a_pci_device(void **state) {
    (void)state;
    struct uevent uevent;
    assert_true(
        read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=pci", PCI_PATH, "PCI_CLASS=88000",
                                  "PCI_ID=1AC1:089A", "PCI_SUBSYS_ID=1AC1:0001",
                                  "PCI_SLOT_NAME=0000:03:00.0", "SEQNUM=9")));
    assert_int_equal(uevent.device.bus, BUS_PCI);
    assert_string_equal(uevent.device.address, "0000:03:00.0");
    assert_int_equal(uevent.device.id.vendor, 0x1ac1);
    assert_int_equal(uevent.device.subsystem.device, 1);
    assert_int_equal(uevent.device.class_code, 0x088000);
    assert_false(uevent.device.is_bridge);
    uevent_finish(&uevent);
    assert_true(
        read_event(&uevent, EVENT("ACTION=remove", "SUBSYSTEM=pci", PCI_PATH, "PCI_CLASS=60400")));
    assert_string_equal(uevent.device.address, "0000:03:00.0");
    assert_true(uevent.device.is_bridge);
    uevent_finish(&uevent);
    assert_true(read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=pci", VMD_PATH,
                                          "PCI_CLASS=10802", "PCI_ID=8086:0A54")));
    assert_string_equal(uevent.device.address, "10001:01:00.0");
    uevent_finish(&uevent);
}

static void what_is_none_of_ours(void **state) {
    (void)state;
    struct uevent uevent;
    assert_false(read_event(&uevent, EVENT("ACTION=bind", USB)));
    assert_false(read_event(&uevent, EVENT("ACTION=change", "SUBSYSTEM=pci", PCI_PATH)));
    assert_false(read_event(&uevent, EVENT(USB)));
    assert_false(read_event(
        &uevent, EVENT("ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_interface", INTERFACE_PATH)));
    assert_false(read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_device",
                                           "DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1")));
    assert_false(read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=net", NIC_PATH)));
    assert_false(read_event(&uevent, EVENT("ACTION=add", USB, "SYNTH_UUID=0")));
    assert_false(
        read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=pci", "DEVTYPE=usb_device", USB_PATH)));
    assert_false(
        read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_device", PCI_PATH)));
    assert_false(read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_device")));
    assert_false(read_event(&uevent, EVENT("ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_device",
                                           "DEVPATH=../../etc/passwd")));
}

static void odd_values_are_unknown(void **state) {
    (void)state;
    struct uevent uevent;
    assert_true(read_event(&uevent, EVENT("ACTION=remove", USB, "PRODUCT=zz", "TYPE=9", "BUSNUM=-1",
                                          "DEVNUM=", "SEQNUM=x",
                                          "ID_USB_INTERFACES=::", "ID_SERIAL_SHORT=\x1b[2J\xff")));
    assert_int_equal(uevent.device.id.vendor, 0);
    assert_int_equal(uevent.device.class_code, 0);
    assert_int_equal(uevent.device.bus_number, 0);
    assert_int_equal(uevent.seqnum, 0);
    assert_null(strchr(uevent.device.serial, '\x1b'));
    uevent_finish(&uevent);
}

static void a_message_is_split(void **state) {
    (void)state;
    char message[] = "add@/devices/pci0000:00/x\0ACTION=add\0DEVPATH=/devices/x\0SEQNUM=7\0";
    const char **variables = uevent_split(message, sizeof message - 1);
    assert_non_null(variables);
    assert_string_equal(variables[0], "ACTION=add");
    assert_string_equal(variables[2], "SEQNUM=7");
    assert_null(variables[3]);
    free((void *)variables);
    char cut[] = "add@/devices/x\0ACTION=ad";
    variables = uevent_split(cut, sizeof cut - 1);
    assert_string_equal(variables[0], "ACTION=ad");
    assert_null(variables[1]);
    free((void *)variables);
    char udev[] = "libudev\0\xfe\xed\xca\xfe";
    assert_null(uevent_split(udev, sizeof udev));
    char empty[] = "";
    assert_null(uevent_split(empty, 0));
}

static void the_same_device(void **state) {
    (void)state;
    struct device one = {SAMPLE_USB("1-1.4", 0x1a6e, 0x89a, 1, 5)}, other = one;
    assert_true(device_is_same(&one, &other));
    other.device_number = 6;
    assert_false(device_is_same(&one, &other));
    other = one;
    other.bus_number = 2;
    assert_false(device_is_same(&one, &other));
    other = one;
    other.id.device = 1;
    assert_false(device_is_same(&one, &other));
    other = one;
    other.address = SAMPLE_TEXT("1-1.5");
    assert_false(device_is_same(&one, &other));
    struct device card = {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x89a, 0x088000)}, twin = card;
    twin.device_number = 3;
    assert_true(device_is_same(&card, &twin));
    assert_false(device_is_same(&card, &one));
}

/* --- the socket; needs the right to have one, and to write to /sys */

static bool wait_readable(int file) {
    struct pollfd wait = {.fd = file, .events = POLLIN};
    return poll(&wait, 1, 600000) == 1;
}

/* The next message that has the text, the kernel's or, when it is none of the kernel's, "". */
static ssize_t next_message(int file, char *message, size_t size) {
    assert_true(wait_readable(file));
    return uevent_socket_read(file, message, size);
}

static void the_kernel_is_heard(void **state) {
    (void)state;
    char message[UEVENT_MESSAGE_SIZE];
    int file = uevent_socket_open();
    int null = open("/sys/devices/virtual/mem/null/uevent", O_WRONLY | O_CLOEXEC);
    if (file < 0 || null < 0) {
        if (file >= 0)
            close(file);
        skip_because("needs root and a writable /sys");
    }
    errno = 0;
    assert_int_equal(write(null, "change", 6), 6);
    close(null);
    for (bool found = false; !found;) {
        ssize_t size = next_message(file, message, sizeof message);
        found = size > 0 && strstr(message, "change@/devices/virtual/mem/null");
        if (found) {
            const char **variables = uevent_split(message, (size_t)size);
            assert_non_null(variables);
            assert_string_equal(variables[0], "ACTION=change");
            free((void *)variables);
        }
    }
    close(file);
}

static void nobody_else_is_heard(void **state) {
    (void)state;
    static const char forged[] = "add@/devices/forged\0ACTION=add\0SUBSYSTEM=usb\0";
    char message[UEVENT_MESSAGE_SIZE];
    struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int file = uevent_socket_open();
    int forger = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    ssize_t sent = file < 0 || forger < 0 ? -1
                                          : sendto(forger, forged, sizeof forged, 0,
                                                   (struct sockaddr *)&group, sizeof group);
    if (sent >= 0) {
        for (bool found = false; !found;) {
            ssize_t size = next_message(file, message, sizeof message);
            found = strstr(message, "forged") != NULL;
            assert_true(!found || size == 0);
        }
        assert_int_equal(uevent_socket_read(file, message, sizeof message) == -1 ? errno : EAGAIN,
                         EAGAIN);
    }
    close(file);
    close(forger);
    if (sent < 0)
        skip_because("needs root");
}

/* Under the sanitizers: every text of a copy is its own. */
static void a_copy_outlives_its_device(void **state) {
    (void)state;
    struct device device = {.address = memory_strdup("0000:03:10.0"),
                            .name = memory_strdup("name"),
                            .driver = memory_strdup("igbvf"),
                            .reset_methods = memory_strdup("flr"),
                            .power_state = memory_strdup("D0"),
                            .physical = memory_strdup("0000:03:00.0"),
                            .controller = memory_strdup("0000:d7:05.5"),
                            .serial = memory_strdup("serial"),
                            .use = memory_strdup("uses it"),
                            .vm_use = memory_strdup("qemu"),
                            .obstacle = OBSTACLE_KERNEL,
                            .obstacle_text = memory_strdup("text"),
                            .obstacle_hint = memory_strdup("hint")};
    struct device copy = device_copy(&device);
    assert_ptr_not_equal(copy.physical, device.physical);
    device_finish(&device);
    assert_null(device.physical);
    assert_string_equal(copy.physical, "0000:03:00.0");
    assert_string_equal(copy.controller, "0000:d7:05.5");
    assert_string_equal(copy.vm_use, "qemu");
    assert_string_equal(copy.obstacle_text, "text");
    assert_string_equal(copy.obstacle_hint, "hint");
    device_finish(&copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_outlives_its_device),
        cmocka_unit_test(a_usb_device_that_came),
        cmocka_unit_test(a_usb_device_that_went),
        cmocka_unit_test(what_udev_has_of_it),
        cmocka_unit_test(its_own_class_counts_before_its_interfaces),
        cmocka_unit_test(a_pci_device),
        cmocka_unit_test(what_is_none_of_ours),
        cmocka_unit_test(odd_values_are_unknown),
        cmocka_unit_test(a_message_is_split),
        cmocka_unit_test(the_same_device),
        cmocka_unit_test(the_kernel_is_heard),
        cmocka_unit_test(nobody_else_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
