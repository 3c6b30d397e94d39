/* What left its host driver for a VM, and how the host gets it back: what is noted and for how
 * long, and what libvirt has left on vfio's driver. The test is the kernel. */
#include "tests/unit/execute_world.h"
#include "tests/unit/range.h"

#include "engine/state/vm_state.h"

#define RULE "on vm frigate started attach at 03:00.0 as vfio\n"
#define BACK "detached - " FIRST " 1ac1:089a\n"
#define STAYS "failed - " FIRST " 1ac1:089a\n"

static bool driver_comes, clings;
static char reclaimed[128], bound_to[128];

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the port */
static int no_release(const struct host *host, const struct device *device,
                      struct failure *failure) {
    (void)host, (void)failure;
    fail_msg("release of %s", device->address);
    return -1;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the port */
static int test_give_back(const struct host *host, const struct device *device,
                          struct failure *failure) {
    (void)host, (void)failure;
    assert_string_equal(driver_of(device->address), "none");
    if (driver_comes)
        set_driver(device->address, "apex");
    return 0;
}

static int test_reclaim(const struct host *host, const struct device *device,
                        struct failure *failure) {
    (void)host;
    snprintf(reclaimed + strlen(reclaimed), sizeof reclaimed - strlen(reclaimed), "%s ",
             device->address);
    assert_string_equal(driver_of(device->address), "vfio-pci");
    if (clings) {
        return failure_set(failure, "it clings");
    }
    set_driver(device->address, driver_comes ? "apex" : "");
    return 0;
}

static int test_bind(const struct host *host, const struct device *device, const char *driver,
                     struct failure *failure) {
    (void)host, (void)failure;
    snprintf(bound_to + strlen(bound_to), sizeof bound_to - strlen(bound_to), "%s %s ",
             device->address, driver);
    set_driver(device->address, driver);
    return 0;
}

static bool test_has_driver(const struct host_source *source, const char *driver) {
    (void)source, (void)driver;
    return true;
}

static int begin(void **state) {
    set_up(state);
    host_source.bind = test_bind;
    host_source.has_driver = test_has_driver;
    *bound_to = '\0';
    host_source.unbind = no_release;
    host_source.probe = test_give_back;
    host_source.rebind = test_reclaim;
    driver_comes = true;
    clings = settled = false;
    *reclaimed = '\0';
    return 0;
}

static int end(void **state) {
    settled = false;
    return tear_down(state);
}

/* What is noted of FIRST for the VM: its host driver, "none", or NULL when it is not noted. */
static const char *noted_for(const char *uuid) {
    static char driver[64];
    struct vm_state vm_state;
    if (!vm_state_load(&vm_state, state_path(""), uuid))
        return NULL;
    const struct vm_state_device *taken = vm_state_find_unbound(&vm_state, FIRST);
    if (taken)
        snprintf(driver, sizeof driver, "%s", taken->driver ? taken->driver : "none");
    const char *noted = taken ? driver : NULL;
    vm_state_finish(&vm_state);
    return noted;
}

static void note_for(const char *uuid, const char *driver) {
    struct failure failure;
    struct vm_state vm_state = {.id = 1, .started = vm_state_now()};
    note_taken(&vm_state, FIRST, driver);
    assert_int_equal(vm_state_save(&vm_state, state_path(""), uuid, &failure), 0);
    vm_state_finish(&vm_state);
}

/* The VM has ended, and libvirt has left the device where it was. */
static void leave(const char *driver) {
    note_for(FRIGATE, driver);
    double_virt_stop(hypervisor, FRIGATE);
    set_driver(FIRST, "vfio-pci");
}

/* Another device has come to the address: whoever put it on vfio-pci knows why. */
static void another_device_at_the_address_is_left_alone(void **state) {
    (void)state;
    struct failure failure;
    struct device other = {
        .address = SAMPLE_TEXT(FIRST), .id = {0x8086, 0x1533}, .iommu_group = 15};
    struct vm_state vm_state = {.id = 1, .started = vm_state_now()};
    vm_state_add_unbound(&vm_state, &other, "igb");
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
    double_virt_stop(hypervisor, FRIGATE);
    set_driver(FIRST, "vfio-pci");
    assert_false(run_at(EVENT_RELEASE, RULE));
    assert_string_equal(driver_of(FIRST), "vfio-pci");
    assert_string_equal(reclaimed, "");
    assert_message(0, "8086:1533 of IOMMU group 15 was noted at this address");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* --- the note */

static const char *noted_at_attach;

static void look_at_note(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    noted_at_attach = noted_for(FRIGATE);
    set_driver(FIRST, "vfio-pci");
}

static void it_is_noted_before_libvirt_is_asked(void **state) {
    (void)state;
    noted_at_attach = NULL;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, look_at_note, NULL);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(noted_at_attach, "apex");
    assert_string_equal(noted_for(FRIGATE), "apex");
    opened = 0;
    set_driver(FIRST, "apex");
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_string_equal(hours.slept, "");
    assert_int_equal(opened, 0);
}

static void a_device_without_driver_is_noted_too(void **state) {
    (void)state;
    set_driver(FIRST, "");
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(noted_for(FRIGATE), "none");
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
    assert_string_equal(driver_of(FIRST), "none");
    assert_string_equal(results(), ATTACHED(FIRST));
}

static void what_was_on_vfio_before_is_not_noted(void **state) {
    (void)state;
    set_driver(FIRST, "vfio-pci");
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_false(has_taken(FRIGATE));
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_string_equal(driver_of(FIRST), "vfio-pci");
}

static void what_is_unmanaged_is_not_noted(void **state) {
    (void)state;
    assert_true(run_of("attach at 03:00.0 as vfio unmanaged"));
    assert_false(has_taken(FRIGATE));
}

/* Of a VM whose device was left on vfio's driver another VM gets it. */
static void the_note_of_another_vm_is_taken_over(void **state) {
    (void)state;
    note_for(WINDOWS, "apex");
    set_driver(FIRST, "vfio-pci");
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(noted_for(FRIGATE), "apex");
    assert_string_equal(noted_for(WINDOWS), "apex");
}

static void what_did_not_go_is_forgotten(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "no luck");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_false(has_taken(FRIGATE));
    assert_string_equal(results(), FAILED(FIRST));
}

static void put_on_vfio(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    set_driver(FIRST, "vfio-pci");
}

static void unless_libvirt_has_left_it_on_vfio(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, put_on_vfio, NULL);
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "Duplicate device ID");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_string_equal(noted_for(FRIGATE), "apex");
    assert_string_equal(reclaimed, ""); /* the VM runs, and may have it */
}

/* It may still be at it. */
static void what_libvirt_did_not_answer_stays_noted(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_UNREACHABLE, "lost");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_string_equal(noted_for(FRIGATE), "apex");
}

static void take_from_driver(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    set_driver(FIRST, "");
}

static void what_libvirt_did_not_give_back_is(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, take_from_driver, NULL);
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "no luck");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_string_equal(driver_of(FIRST), "apex");
    assert_string_equal(results(), FAILED(FIRST) BACK);
    assert_false(has_taken(FRIGATE));
}

static void bind_back(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    set_driver(FIRST, "apex");
}

static void what_the_guest_let_go_is_forgotten(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, put_on_vfio, NULL);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(noted_for(FRIGATE), "apex");
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, bind_back, NULL);
    assert_true(run_of("detach at 03:00.0"));
    assert_null(noted_for(FRIGATE));
    struct vm_state vm_state;
    assert_true(vm_state_load(&vm_state, state_path(""), FRIGATE));
    assert_true(vm_state_has_dismissed(
        &vm_state, FIRST, (struct device_id){0x1ac1, 0x089a})); /* it was a rule, not the guest */
    vm_state_finish(&vm_state);
}

static void unless_libvirt_has_it_still(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, put_on_vfio, NULL);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_true(run_of("detach at 03:00.0"));
    assert_string_equal(noted_for(FRIGATE), "apex");
}

/* --- the VM's end */

static void what_is_left_on_vfio_goes_back(void **state) {
    (void)state;
    leave("apex");
    assert_true(run_at(EVENT_STOPPED, ""));
    assert_string_equal(reclaimed, "");
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, FIRST " ");
    assert_string_equal(results(), BACK);
    assert_message(
        0, "bound to its host driver apex again: libvirt had left it on vfio-pci, and no VM");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
    assert_int_in_range(hours.now - 5000, 9000, 10500); /* libvirt had its time */
}

static void without_a_host_driver_it_gets_none(void **state) {
    (void)state;
    leave(NULL);
    driver_comes = false;
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(driver_of(FIRST), "none");
    assert_string_equal(results(), BACK);
    assert_message(0, "unbound from vfio-pci, where libvirt had left it");
    assert_message(0, "it had no host driver before");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void a_host_driver_that_does_not_come(void **state) {
    (void)state;
    leave("apex");
    driver_comes = false;
    assert_false(run_at(EVENT_RELEASE, ""));
    assert_string_equal(results(), STAYS);
    assert_message(0, "its host driver apex did not bind to it; see dmesg");
}

static void give_back_late(void) {
    set_driver(FIRST, "apex");
}

static void libvirt_gives_it_back_late(void **state) {
    (void)state;
    leave("apex");
    hours.at = 5000 + 2000;
    hours.then = give_back_late;
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_string_equal(results(), "");
    assert_int_in_range(hours.now - 5000, 2000, 2500);
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void another_vm_has_it(void **state) {
    (void)state;
    leave("apex");
    give(WINDOWS, FIRST);
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_string_equal(hours.slept, "");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void give_to_windows(void) {
    give(WINDOWS, FIRST);
}

static void another_vm_gets_it_meanwhile(void **state) {
    (void)state;
    leave("apex");
    hours.at = 5000 + 2000;
    hours.then = give_to_windows;
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
    assert_string_equal(driver_of(FIRST), "vfio-pci");
}

static void somebody_has_its_group_open(void **state) {
    struct host host;
    (void)state;
    leave("apex");
    sample_host(&host, host_root);
    char *file = memory_printf("/dev/vfio/%d", host_find(&host, BUS_PCI, FIRST)->iommu_group);
    host_finish(&host);
    shell("cd %s && mkdir -p proc/99/fd && ln -s %s proc/99/fd/3", host_root, file);
    free(file);
    assert_false(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_string_equal(results(), STAYS);
    assert_message(0, "a program (process 99) has its IOMMU group");
    assert_message(0, "'virt-rules apply'");
    assert_string_equal(noted_for(FRIGATE), "apex");
    shell("rm -r %s/proc/99%s", host_root, "");
    *hours.slept = '\0';
    assert_true(run_at(EVENT_PREPARE, "")); /* nobody waits at a start */
    assert_string_equal(hours.slept, "");
    assert_string_equal(driver_of(FIRST), "apex");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void a_vm_that_starts_takes_it_itself(void **state) {
    (void)state;
    char *hostdev = hostdev_of(FIRST);
    double_virt_give(hypervisor, FRIGATE, hostdev);
    free(hostdev);
    domain_finish(&told);
    sample_domain(&told, double_virt_xml(hypervisor, FRIGATE));
    double_virt_take(hypervisor, FRIGATE, hostdev = hostdev_of(FIRST));
    free(hostdev);
    leave("apex");
    assert_true(run_at(EVENT_PREPARE, ""));
    assert_string_equal(reclaimed, "");
    assert_string_equal(noted_for(FRIGATE), "apex");
}

static void nothing_is_taken_without_libvirt(void **state) {
    (void)state;
    leave("apex");
    refused_opens = 1;
    assert_false(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_string_equal(noted_for(FRIGATE), "apex");
    assert_message(0, "no libvirt here");
    double_virt_fail(hypervisor, DOUBLE_LIST, 1, VIRT_FAILED, "no list");
    assert_false(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_message(1, "no list");
}

static void vfio_that_clings(void **state) {
    (void)state;
    leave("apex");
    clings = true;
    assert_false(run_at(EVENT_RELEASE, ""));
    assert_message(0, "it clings; when nothing uses it any more");
    assert_string_equal(noted_for(FRIGATE), "apex");
}

static void what_left_the_host_is_forgotten(void **state) {
    (void)state;
    leave("apex");
    set_present(FIRST, false);
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* 'apply' found it ended, and by now it has been started again. */
static void a_vm_that_runs_again_is_left_alone(void **state) {
    (void)state;
    note_for(FRIGATE, "apex");
    set_driver(FIRST, "vfio-pci");
    settled = true;
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(reclaimed, "");
    assert_string_equal(noted_for(FRIGATE), "apex");
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(driver_of(FIRST), "apex");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* --- what a rule of the host's boot binds */

#define AT_HOME(DRIVER) RULE "on host boot bind at " FIRST " to " DRIVER "\n"
#define HOME "bound - " FIRST " 1ac1:089a\n"

static void what_boot_binds_to_vfio_stays_there(void **state) {
    (void)state;
    leave("apex");
    assert_true(run_at(EVENT_RELEASE, AT_HOME("vfio")));
    assert_string_equal(driver_of(FIRST), "vfio-pci");
    assert_string_equal(reclaimed, "");
    assert_string_equal(bound_to, "");
    assert_string_equal(results(), "");
    assert_string_equal(hours.slept, "");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* libvirt gave it to the driver that the kernel chose. */
static void what_boot_binds_goes_back_to_its_driver(void **state) {
    (void)state;
    note_for(FRIGATE, "apex");
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, AT_HOME("driver pci-stub")));
    assert_string_equal(bound_to, FIRST " pci-stub ");
    assert_string_equal(results(), HOME);
    assert_message(0, "bound to pci-stub again, as a rule of the host's boot says");
}

static void a_device_without_driver_goes_back_to_it(void **state) {
    (void)state;
    note_for(FRIGATE, "apex");
    double_virt_stop(hypervisor, FRIGATE);
    set_driver(FIRST, "");
    assert_true(run_at(EVENT_RELEASE, AT_HOME("vfio")));
    assert_string_equal(driver_of(FIRST), "vfio-pci");
    assert_string_equal(results(), HOME);
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void after_a_detach_too(void **state) {
    static const char rules[] = "on host boot bind at " FIRST " to driver pci-stub\n"
                                "on vm frigate started detach at " FIRST "\n";
    (void)state;
    give(FRIGATE, FIRST);
    note_for(FRIGATE, "pci-stub");
    assert_true(run_at(EVENT_STARTED, rules));
    assert_string_equal(bound_to, FIRST " pci-stub ");
}

/* It is judged as the rule is. */
static void unless_a_rule_forbids_it(void **state) {
    (void)state;
    note_for(FRIGATE, "apex");
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, AT_HOME("vfio") "never attach at " FIRST "\n"));
    assert_string_equal(bound_to, "");
    assert_string_equal(driver_of(FIRST), "apex");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(another_device_at_the_address_is_left_alone),
        TEST(it_is_noted_before_libvirt_is_asked),
        TEST(a_device_without_driver_is_noted_too),
        TEST(what_was_on_vfio_before_is_not_noted),
        TEST(what_is_unmanaged_is_not_noted),
        TEST(the_note_of_another_vm_is_taken_over),
        TEST(what_did_not_go_is_forgotten),
        TEST(unless_libvirt_has_left_it_on_vfio),
        TEST(what_libvirt_did_not_answer_stays_noted),
        TEST(what_libvirt_did_not_give_back_is),
        TEST(what_the_guest_let_go_is_forgotten),
        TEST(unless_libvirt_has_it_still),
        TEST(what_is_left_on_vfio_goes_back),
        TEST(without_a_host_driver_it_gets_none),
        TEST(a_host_driver_that_does_not_come),
        TEST(libvirt_gives_it_back_late),
        TEST(another_vm_has_it),
        TEST(another_vm_gets_it_meanwhile),
        TEST(somebody_has_its_group_open),
        TEST(a_vm_that_starts_takes_it_itself),
        TEST(nothing_is_taken_without_libvirt),
        TEST(vfio_that_clings),
        TEST(what_left_the_host_is_forgotten),
        TEST(a_vm_that_runs_again_is_left_alone),
        TEST(what_boot_binds_to_vfio_stays_there),
        TEST(what_boot_binds_goes_back_to_its_driver),
        TEST(a_device_without_driver_goes_back_to_it),
        TEST(after_a_detach_too),
        TEST(unless_a_rule_forbids_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
