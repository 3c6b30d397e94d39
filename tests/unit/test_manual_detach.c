/* Taking a device out of a VM by hand, on the sample hosts. */
#include "tests/unit/double_virt.h"
#include "tests/unit/range.h"
#include "tests/unit/sample.h"

#include "engine/backend/backend.h"
#include "engine/state/lock.h"
#include "engine/state/vm_state.h"
#include "engine/trigger/manual_detach.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRIGATE "00000000-0000-4000-8000-000000000001"
#define TPUS "tests/hosts/dual-tpu"
#define STICKS "tests/hosts/usb"

struct jumping_clock {
    struct clock clock;
    int64_t now;
};

static struct double_virt *hypervisor;
static struct virt_error error;
static struct jumping_clock hours;
static struct manual_detach_request request;
static char directory[64], *printed;
static size_t printed_size;
static FILE *out;

static int64_t jump_now(struct clock *clock) {
    return ((struct jumping_clock *)clock)->now;
}

static void jump(struct clock *clock, int64_t milliseconds) {
    ((struct jumping_clock *)clock)->now += milliseconds;
}

static int create(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    hypervisor = double_virt_create();
    hours = (struct jumping_clock){{jump_now, jump}, 1000};
    double_virt_clock(hypervisor, &hours.clock);
    double_virt_add(hypervisor, FRIGATE, "frigate", "NVR");
    out = open_memstream(&printed, &printed_size);
    assert_non_null(out);
    request = (struct manual_detach_request){.virt = double_virt_port(hypervisor),
                                             .clock = &hours.clock,
                                             .log = log_write_open(directory, false),
                                             .host_source = sample_source(STICKS),
                                             .vm = "NVR"};
    log_write_copy(request.log, out, false);
    return 0;
}

static int destroy(void **state) {
    char command[128];
    (void)state;
    double_virt_destroy(hypervisor);
    log_write_close(request.log);
    fclose(out);
    free(printed);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

static void give(const struct device *device) {
    char *xml = backend_xml(backend_of_bus(device->bus), device, NULL, 0);
    assert_non_null(xml);
    double_virt_give(hypervisor, FRIGATE, xml);
    free(xml);
}

static void give_pci(const char *address) {
    give(&(struct device){.bus = BUS_PCI, .address = SAMPLE_TEXT(address)});
}

static void give_usb(unsigned device_number, uint16_t vendor, uint16_t product) {
    give(&(struct device){
        .bus = BUS_USB, .id = {vendor, product}, .bus_number = 1, .device_number = device_number});
}

/* hostdev0 is on port 1-1.1, hostdev1 its twin on 1-1.2, hostdev2 was pulled out; the host has
 * another of its kind on 1-1.4. */
static void give_sticks(void) {
    give_usb(3, 0x1cf1, 0x0030);
    give_usb(4, 0x1cf1, 0x0030);
    give_usb(9, 0x1a6e, 0x089a);
}

static void assert_printed(const char *part) {
    assert_int_equal(fflush(out), 0);
    if (!strstr(printed, part))
        fail_msg("'%s' lacks '%s'", printed, part);
}

/* --- which device */

static void assert_means(const char *word, const char *text) {
    struct manual_detach detach;
    request.word = word;
    if (manual_detach_init(&detach, &request, &error) != 0)
        fail_msg("'%s': %s", word, error.failure.message);
    assert_string_equal(detach.text, text);
    manual_detach_finish(&detach);
}

static void assert_means_none(const char *word, const char *message, const char *hint) {
    struct manual_detach detach;
    request.word = word;
    assert_int_equal(manual_detach_init(&detach, &request, &error), -1);
    if (!strstr(error.failure.message, message) || !strstr(error.failure.hint, hint))
        fail_msg("'%s', hint '%s'", error.failure.message, error.failure.hint);
}

static void finds_usb_devices(void **state) {
    (void)state;
    give_sticks();
    assert_means("1-1.1", "1-1.1 1cf1:0030");
    assert_means("1-1.2", "1-1.2 1cf1:0030");
    assert_means("1/4", "1-1.2 1cf1:0030");
    assert_means("hostdev1", "1-1.2 1cf1:0030");
    assert_means("hostdev2", "1/9 1a6e:089a"); /* what the host has lost */
    assert_means("1/9", "1/9 1a6e:089a");
    assert_means("1A6E:089a", "1/9 1a6e:089a");
    assert_means_none("1CF1:0030",
                      "'1CF1:0030' is 2 devices of VM 'NVR': 1-1.1 1cf1:0030 (hostdev0), 1-1.2 "
                      "1cf1:0030 (hostdev1)",
                      "address or alias");
    assert_means_none("1-1.4", "VM 'NVR' has no host device '1-1.4'",
                      "it has 1-1.1 1cf1:0030 (hostdev0), 1-1.2 1cf1:0030 (hostdev1), 1/9 "
                      "1a6e:089a (hostdev2)");
    assert_means_none("hostdev", "no host device 'hostdev'", "hostdev0");
    assert_means_none("0000:0000", "no host device", "hostdev0");
}

static void finds_pci_devices(void **state) {
    (void)state;
    request.host_source = sample_source(TPUS);
    assert_means_none("03:00.0", "VM 'NVR' has no host device '03:00.0'", "it has none");
    give_pci("0000:03:00.0");
    assert_means("03:00.0", "0000:03:00.0 1ac1:089a");
    assert_means("0000:03:00.0", "0000:03:00.0 1ac1:089a");
    assert_means("1ac1:089A", "0000:03:00.0 1ac1:089a");
    assert_means("hostdev0", "0000:03:00.0 1ac1:089a");
    give_pci("0000:04:00.0");
    give_pci("000a:0b:00.1"); /* not on the host */
    give_pci("10001:03:00.0");
    assert_means("10001:03:00.0", "10001:03:00.0");
    assert_means("00010001:03:00.0", "10001:03:00.0");
    assert_means("03:00.0", "0000:03:00.0 1ac1:089a");
    assert_means("04:00.0", "0000:04:00.0 1ac1:089a");
    assert_means_none("1ac1:089a", "is 2 devices", "address");
    assert_means("000A:0b:00.1", "000a:0b:00.1");
    assert_means("hostdev2", "000a:0b:00.1");
    assert_means_none("0000:0000", "no host device", "hostdev0");
}

static void says_what_is_wrong_with_the_vm(void **state) {
    (void)state;
    give_sticks();
    request.vm = "windows";
    assert_means_none("hostdev0", "no domain with matching", "virsh list");
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    request.vm = "frigate";
    request.host_source = sample_source("/nonexistent");
    assert_means_none("hostdev0", "/nonexistent", "--sysroot");
    double_virt_stop(hypervisor, FRIGATE);
    assert_means_none("hostdev0", "VM 'NVR' is not running", "only a running VM");
    double_virt_add_xml(hypervisor, "<domain id='1'><name>broken</name><uuid>" FRIGATE
                                    "</uuid><devices/></domain>");
    request.vm = "frigate";
    assert_means_none("hostdev0", "no domain", "");
}

/* --- the lock */

static void give_more(struct double_virt *self, void *context) {
    (void)self, (void)context;
    give_usb(5, 0x1a6e, 0x089a);
}

static void reads_the_vm_once_it_has_the_lock(void **state) {
    struct manual_detach detach;
    struct failure failure;
    char path[128];
    (void)state;
    give_sticks();
    request.word = "1-1.4";
    request.state = directory;
    double_virt_before(hypervisor, DOUBLE_XML, 2, give_more, NULL);
    assert_int_equal(manual_detach_init(&detach, &request, &error), 0);
    assert_string_equal(detach.text, "1-1.4 1a6e:089a");
    assert_true(detach.vm.lock >= 0);
    snprintf(path, sizeof path, "%s/locks/" FRIGATE, directory);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(file, LOCK_EX | LOCK_NB), -1);
    manual_detach_finish(&detach);
    assert_int_equal(flock(file, LOCK_EX | LOCK_NB), 0);
    close(file);
    request.word = "nothing";
    assert_int_equal(manual_detach_init(&detach, &request, &error), -1);
    int lock = lock_vm(directory, FRIGATE, &failure); /* it is free again */
    assert_true(lock >= 0);
    lock_release(lock);
}

/* --- doing it */

static bool execute(const char *word) {
    struct manual_detach detach;
    request.word = word;
    assert_int_equal(manual_detach_init(&detach, &request, &error), 0);
    bool done = manual_detach_execute(&detach);
    manual_detach_finish(&detach);
    return done;
}

static void takes_out(void **state) {
    (void)state;
    give_sticks();
    assert_true(execute("1-1.2"));
    assert_printed("NVR detach 1-1.2 1cf1:0030: detached: the guest released it; the host has it "
                   "again, driver cdc_acm\n");
    assert_true(execute("1a6e:089a"));
    assert_printed("NVR detach 1/9 1a6e:089a: detached: the guest released it\n");
    assert_true(execute("1cf1:0030")); /* one is left */
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "hostdev"));
    give_pci("000a:0b:00.1");
    assert_true(execute("hostdev3"));
    assert_non_null(strstr(double_virt_calls(hypervisor), "detach frigate 1/4 1cf1:0030\n"));
    assert_non_null(strstr(double_virt_calls(hypervisor), "detach frigate 1/9 1a6e:089a\n"));
    assert_non_null(strstr(double_virt_calls(hypervisor), "detach frigate 000a:0b:00.1\n"));
}

static void tells_the_engines_of_this_start(void **state) {
    (void)state;
    struct vm_state vm_state;
    request.state = directory;
    give_sticks();
    double_virt_refuse(hypervisor, FRIGATE, true);
    assert_false(execute("1-1.1"));
    assert_true(vm_state_load(&vm_state, directory, FRIGATE));
    assert_int_equal(vm_state.dismissed_count, 0);
    vm_state_finish(&vm_state);
    double_virt_refuse(hypervisor, FRIGATE, false);
    assert_true(execute("1-1.2"));
    assert_true(vm_state_load(&vm_state, directory, FRIGATE));
    assert_true(vm_state_has_dismissed(&vm_state, "1-1.2", vm_state.dismissed[0].id));
    assert_int_equal(vm_state.dismissed_count, 1);
    vm_state_finish(&vm_state);
}

static void reports_what_the_guest_does(void **state) {
    (void)state;
    give_sticks();
    double_virt_deaf(hypervisor, FRIGATE, true);
    assert_false(execute("1-1.1"));
    assert_printed(
        "NVR detach 1-1.1 1cf1:0030: failed: the guest did not release the device; it did not "
        "answer");
    assert_int_equal(hours.now, 61000);
    double_virt_refuse(hypervisor, FRIGATE, true);
    assert_false(execute("1-1.2"));
    assert_printed(
        "1-1.2 1cf1:0030: failed: the guest refuses to release the device; stop its use");
    assert_int_equal(hours.now, 61000);
}

static void asks_again_what_passes(void **state) {
    (void)state;
    give_sticks();
    for (unsigned i = 1; i <= 3; i++)
        double_virt_fail(hypervisor, DOUBLE_DETACH, i, VIRT_TRANSIENT, "state change lock");
    double_virt_fail(hypervisor, DOUBLE_DETACH, 4, VIRT_UNREACHABLE, "closed");
    double_virt_fail(hypervisor, DOUBLE_DETACH, 6, VIRT_FAILED, "no way");
    assert_true(execute("1-1.1"));
    assert_int_equal(hours.now - 1000, 250 + 500 + 1000 + 2000);
    assert_false(execute("1-1.2"));
    assert_printed("failed: no way\n");
}

static void gives_up_asking(void **state) {
    (void)state;
    give_sticks();
    double_virt_fail(hypervisor, DOUBLE_DETACH, 0, VIRT_TRANSIENT, "state change lock");
    assert_false(execute("1-1.1"));
    assert_printed("failed: state change lock\n");
    assert_int_in_range(hours.now - 1000, 50000, 60000);
}

static void does_not_take_a_group_apart(void **state) {
    (void)state;
    char command[512];
    struct manual_detach detach;
    request.host_source = sample_source(TPUS);
    request.word = "03:00.0";
    give_pci("0000:03:00.0");
    assert_int_equal(manual_detach_init(&detach, &request, &error), 0);
    assert_null(manual_detach_obstacle(&detach)); /* the other is not in the VM */
    manual_detach_finish(&detach);
    give_pci("0000:04:00.0");
    assert_false(execute("03:00.0"));
    assert_printed("NVR detach 0000:03:00.0 1ac1:089a: refused: 0000:04:00.0 of its IOMMU group 15 "
                   "stays in the VM, and Linux before 5.19");
    assert_null(strstr(double_virt_calls(hypervisor), "detach"));
    snprintf(command, sizeof command,
             "cp -a " TPUS " %s/host && mkdir -p %s/host/proc/sys/kernel && echo 6.1.0 "
             ">%s/host/proc/sys/kernel/osrelease",
             directory, directory, directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a path of this test */
    snprintf(command, sizeof command, "%s/host", directory);
    request.host_source = sample_source(command);
    assert_true(execute("03:00.0"));
}

/* --- showing it */

static void show(const char *word, bool json) {
    struct manual_detach detach;
    request.word = word;
    assert_int_equal(manual_detach_init(&detach, &request, &error), 0);
    manual_detach_print(&detach, out, json);
    manual_detach_finish(&detach);
}

static void shows_what_it_would_do(void **state) {
    (void)state;
    give_sticks();
    show("1-1.1", false);
    assert_printed("NVR: would detach 1-1.1 1cf1:0030 dresden elektronik ConBee II (hostdev0)\n");
    show("1/9", true);
    assert_printed("\"device\": \"1/9 1a6e:089a\"");
    assert_printed("\"vm\": \"NVR\"");
    assert_printed("\"alias\": \"hostdev2\"");
    assert_printed("\"name\": \"(unplugged)\"");
    assert_printed("<address bus='1' device='9'/>");
    assert_printed("\"refusal\": null");
    request.host_source = sample_source(TPUS);
    give_pci("0000:03:00.0");
    give_pci("0000:04:00.0");
    show("03:00.0", false);
    assert_printed("NVR: would refuse 0000:03:00.0 1ac1:089a");
    assert_null(strstr(double_virt_calls(hypervisor), "detach"));
}

#define DETACH_TEST(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        DETACH_TEST(finds_usb_devices),
        DETACH_TEST(finds_pci_devices),
        DETACH_TEST(says_what_is_wrong_with_the_vm),
        DETACH_TEST(reads_the_vm_once_it_has_the_lock),
        DETACH_TEST(takes_out),
        DETACH_TEST(tells_the_engines_of_this_start),
        DETACH_TEST(reports_what_the_guest_does),
        DETACH_TEST(asks_again_what_passes),
        DETACH_TEST(gives_up_asking),
        DETACH_TEST(does_not_take_a_group_apart),
        DETACH_TEST(shows_what_it_would_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
