/* Whether the kernel and udev have finished with a device, on copies of the sample hosts. */
#include "tests/unit/range.h"
#include "tests/unit/sample.h"
#include "tests/unit/skip.h"

#include "engine/host/settle.h"

#include <sys/stat.h>
#include <unistd.h>

#define STICK "sys/devices/pci0000:00/0000:00:15.0/usb1/1-1/1-1.4" /* bus 1, device 5 */
#define NODE "dev/bus/usb/001/005"
#define RECORD "run/udev/data/c189:4"

static char root[64];
static struct host_source source;
static const struct device stick = {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 5)};
static const struct device card = {SAMPLE_PCI("0000:00:15.0", 0x8086, 0x5aa8, 0x0c0330)};

static void shell(const char *format, const char *one) {
    char command[512];
    snprintf(command, sizeof command, format, root, one);
    if (system(command) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", command);
}

/* A file below the root, with its directories. */
static void put(const char *path, const char *text) {
    char full[256];
    shell("cd %s && mkdir -p $(dirname %s)", path);
    snprintf(full, sizeof full, "%s/%s", root, path);
    FILE *out = fopen(full, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void drop(const char *path) {
    shell("rm -rf %s/%s", path);
}

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(root));
    shell("cp -a tests/hosts/usb/. %s%s", "");
    source = source_sysfs(root);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    shell("rm -rf %s%s", "");
    return 0;
}

/* `part` of what is missing; NULL: nothing is. */
static void assert_settling(const struct device *device, enum host_settling wanted,
                            const char *part) {
    char *missing = NULL;
    assert_int_equal(source.settling(&source, device, &missing), wanted);
    assert_int_equal(source.settling(&source, device, NULL), wanted);
    if (!part)
        assert_null(missing);
    else if (!missing || !strstr(missing, part))
        fail_msg("missing is: %s", missing ? missing : "nothing");
    free(missing);
}

static void a_recorded_host_is_settled(void **state) {
    (void)state;
    assert_settling(&stick, HOST_SETTLED, NULL);
    put(RECORD, "");
    assert_settling(&stick, HOST_SETTLED, NULL);
    drop(RECORD);
    assert_settling(&stick, HOST_SETTLED, NULL);
}

static void what_is_gone_is_settled(void **state) {
    (void)state;
    put("dev/bus/usb/001/001", "");
    put("run/udev/control", "");
    shell("rm %s/sys/bus/usb/devices/1-1.4*%s", "");
    assert_settling(&stick, HOST_SETTLED, NULL);
    source = source_sysfs("/nowhere/at/all");
    assert_settling(&stick, HOST_SETTLED, NULL);
    assert_settling(&card, HOST_SETTLED, NULL);
}

static void a_node_is_waited_for(void **state) {
    (void)state;
    put("dev/bus/usb/001/001", "");
    assert_settling(&stick, HOST_SETTLING_UDEV, "/" NODE " is not there");
    put(NODE, "");
    assert_settling(&stick, HOST_SETTLED, NULL);
    put(STICK "/devnum", "6\n"); /* it connected again */
    assert_settling(&stick, HOST_SETTLING_UDEV, "/dev/bus/usb/001/006 is not there");
    put("dev/bus/usb/001/006", "");
    assert_settling(&stick, HOST_SETTLED, NULL);
}

static void a_record_of_udev_is_waited_for(void **state) {
    (void)state;
    put("run/udev/control", "");
    assert_settling(&stick, HOST_SETTLING_UDEV, "/" RECORD " is not there");
    put("run/udev/data/c189:5", "I:1\n");
    assert_settling(&stick, HOST_SETTLING_UDEV, "/" RECORD " is not there");
    put(RECORD, "I:123456\nE:ID_MODEL=Coral\nV:1\n");
    assert_settling(&stick, HOST_SETTLED, NULL);
    put(RECORD, ""); /* no udev rule is about it */
    assert_settling(&stick, HOST_SETTLED, NULL);
    put("dev/bus/usb/001/001", "");
    assert_settling(&stick, HOST_SETTLING_UDEV, "/" NODE);
}

static void a_record_says_that_udev_is_at_work(void **state) {
    (void)state;
    put("run/udev/control", "");
    put(RECORD, "I:123456\nE:ID_PROCESSING=1\nV:1\n");
    assert_settling(&stick, HOST_SETTLING_UDEV, "/" RECORD " says so");
    put(RECORD, "I:123456\nV:1\n");
    assert_settling(&stick, HOST_SETTLED, NULL);
}

static void each_bus_has_its_own_numbers(void **state) {
    (void)state;
    put("run/udev/control", "");
    put(STICK "/busnum", "3\n");
    put(STICK "/devnum", "127\n");
    put("run/udev/data/c189:381", "I:1\n");
    assert_settling(&stick, HOST_SETTLING_UDEV, "c189:382 is not there");
    put("run/udev/data/c189:382", "I:1\n");
    assert_settling(&stick, HOST_SETTLED, NULL);
}

static void the_kernel_is_first(void **state) {
    (void)state;
    put("run/udev/control", "");
    put(STICK "/bNumInterfaces", "\n");
    assert_settling(&stick, HOST_SETTLING_KERNEL, "interfaces");
    put(STICK "/bNumInterfaces", " 2\n");
    assert_settling(&stick, HOST_SETTLING_KERNEL, "interfaces");
    put(STICK "/bNumInterfaces", " 1\n");
    assert_settling(&stick, HOST_SETTLING_UDEV, RECORD);
    put(RECORD, "I:1\n");
    assert_settling(&stick, HOST_SETTLED, NULL);
}

/* Nothing of udev is waited for. */
static void a_card_needs_its_configuration_space(void **state) {
    (void)state;
    put("run/udev/control", "");
    put("dev/bus/usb/001/001", "");
    drop("sys/devices/pci0000:00/0000:00:15.0/config");
    assert_settling(&card, HOST_SETTLING_KERNEL, "/sys/bus/pci/devices/0000:00:15.0/config");
    put("sys/devices/pci0000:00/0000:00:15.0/config", "");
    assert_settling(&card, HOST_SETTLED, NULL);
}

static void the_node_has_an_age(void **state) {
    (void)state;
    assert_int_equal(source.age_ms(&source, &stick), -1);
    assert_int_equal(source.age_ms(&source, &card), -1);
    put(NODE, "");
    int64_t age = source.age_ms(&source, &stick);
    if (age < 0)
        skip_because("needs a file system that keeps the time of creation");
    assert_int_in_range(age, 0, 600000);
    shell("touch -d 2020-01-01 %s/%s", NODE); /* as udev does */
    assert_int_in_range(source.age_ms(&source, &stick), 0, 600000);
}

static void a_new_port_gets_its_link(void **state) {
    char path[] = "/dev/ttyUSB0", link[] = "/dev/serial/by-id/usb-x", *links[] = {link};
    struct device_file port = {.kind = FILE_TTY, .path = path};
    struct device device = stick;

    (void)state;
    device.files = &port;
    device.file_count = 1;
    put(RECORD, "I:1\n");
    put(NODE, "");
    assert_settling(&device, HOST_SETTLED, NULL); /* udev does not run */
    put("run/udev/control", "");
    if (source.age_ms(&source, &device) < 0)
        skip_because("needs a file system that keeps the time of creation");
    assert_settling(&device, HOST_SETTLING_UDEV, "no link to /dev/ttyUSB0");
    port.links = links;
    port.link_count = 1;
    assert_settling(&device, HOST_SETTLED, NULL);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_recorded_host_is_settled),
        TEST(what_is_gone_is_settled),
        TEST(a_node_is_waited_for),
        TEST(a_record_of_udev_is_waited_for),
        TEST(a_record_says_that_udev_is_at_work),
        TEST(each_bus_has_its_own_numbers),
        TEST(the_kernel_is_first),
        TEST(a_card_needs_its_configuration_space),
        TEST(the_node_has_an_age),
        TEST(a_new_port_gets_its_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
