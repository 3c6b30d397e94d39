/* Mediated devices of a VM: when they are created and removed, and what is noted meanwhile. The
 * test is the kernel. */
#include "tests/unit/execute_world.h"

#include "engine/model/domain.h"

#define RULE "on vm frigate started attach at 03:00.0 as mdev \"apex-1\"\n"
#define OTHERS "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e"

static unsigned created, removed, create_failures;
static char last[64]; /* the UUID of the last one that was created */

static bool is_noted(const char *uuid) {
    struct vm_state vm_state;
    bool is = vm_state_load(&vm_state, state_path(""), FRIGATE) &&
              vm_state_find_mdev(&vm_state, uuid) != NULL;
    vm_state_finish(&vm_state);
    return is;
}

static bool has(const char *vm, const char *uuid) {
    struct domain domain;
    sample_domain(&domain, double_virt_xml(hypervisor, vm));
    bool is = domain_has_mdev(&domain, uuid);
    domain_finish(&domain);
    return is;
}

static bool is_there(const char *uuid) {
    char path[256];
    snprintf(path, sizeof path, "%s/sys/bus/mdev/devices/%s", host_root, uuid);
    return access(path, F_OK) == 0;
}

static void in_host(const char *format, const char *one, const char *two) {
    char command[512], whole[640];
    snprintf(command, sizeof command, format, one, two);
    snprintf(whole, sizeof whole, "cd %s && %s", host_root, command);
    if (system(whole) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", whole);
}

/* `type` NULL: unknown. */
static void make(const char *uuid, const char *address, const char *type) {
    in_host("d=$(find sys/devices -type d -name %s) && mkdir \"$d/%s\"", address, uuid);
    in_host("d=$(find sys/devices -type d -name %s) && ln -s \"../../../../$d\" "
            "sys/bus/mdev/devices/%s",
            uuid, uuid);
    if (type)
        in_host("ln -s ../mdev_supported_types/%s sys/bus/mdev/devices/%s/mdev_type", type, uuid);
}

static int test_create(const struct host_source *source, const struct device *parent,
                       const char *type, const char *uuid, struct failure *failure) {
    (void)source;
    assert_true(is_noted(uuid));
    assert_false(has(FRIGATE, uuid));
    if (create_failures) {
        create_failures--;
        return failure_set(failure, "No space left on device");
    }
    created++;
    snprintf(last, sizeof last, "%s", uuid);
    make(uuid, parent->address, type);
    return 0;
}

static int test_remove(const struct host_source *source, const char *uuid,
                       struct failure *failure) {
    (void)source, (void)failure;
    assert_true(is_noted(uuid));
    removed++;
    in_host("d=$(find sys/devices -type d -name %s) && rm -r \"$d\" sys/bus/mdev/devices/%s", uuid,
            uuid);
    return 0;
}

static int begin(void **state) {
    set_up(state);
    for (const char *const *one = (const char *const[]){FIRST, SECOND, NULL}; *one; one++)
        in_host("d=$(find sys/devices -type d -name %s)/mdev_supported_types/apex-1 && "
                "mkdir -p \"$d\" sys/bus/mdev/devices && echo %s >\"$d/available_instances\"",
                *one, "4");
    host_source.create_mdev = test_create;
    host_source.remove_mdev = test_remove;
    created = removed = create_failures = 0;
    settled = false;
    return 0;
}

static int end(void **state) {
    settled = false;
    return tear_down(state);
}

/* The VM ends; libvirt tells so at `release`. */
static bool end_vm(void) {
    double_virt_stop(hypervisor, FRIGATE);
    return run_at(EVENT_RELEASE, RULE);
}

static void use_by_process(const char *uuid) {
    in_host("mkdir -p proc/4242/fd && echo qemu >proc/4242/comm && ln -s /dev/vfio/77 "
            "proc/4242/fd/9 && ln -s ../77 sys/bus/mdev/devices/%s/%s",
            uuid, "iommu_group");
}

static void it_is_created_attached_and_removed(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_int_equal(created, 1);
    assert_true(has(FRIGATE, last));
    assert_true(is_noted(last));
    assert_non_null(strstr(results(), "attached attach " FIRST " 1ac1:089a "));
    assert_non_null(strstr(results(), last));
    assert_message(0, "a mediated device of type apex-1 is created for it");
    /* Again: it is there. */
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_int_equal(created, 1);
    assert_int_equal(removed, 0);
    assert_true(end_vm());
    assert_int_equal(removed, 1);
    assert_false(is_there(last));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void two_of_one_device(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE RULE));
    assert_int_equal(created, 2);
    assert_true(end_vm());
    assert_int_equal(removed, 2);
}

static void an_attach_that_fails_leaves_nothing(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "no more ports");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_int_equal(created, 1);
    assert_int_equal(removed, 1);
    assert_false(is_noted(last));
}

static void a_lost_reply_leaves_it(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_NO_REPLY, "no answer");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_int_equal(removed, 0);
    assert_true(is_noted(last));
    assert_true(end_vm());
    assert_int_equal(removed, 1);
}

static void detach_removes_it(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_true(run_at(EVENT_STARTED, "on vm frigate started detach at 03:00.0\n"));
    assert_false(has(FRIGATE, last));
    assert_int_equal(removed, 1);
    assert_false(is_noted(last));
}

/* An engine was killed after it had created one, and the VM never came up again. */
static void what_an_engine_left_is_removed(void **state) {
    (void)state;
    static const enum event_name events[] = {EVENT_PREPARE, EVENT_RELEASE};
    struct failure failure;
    for (size_t i = 0; i < 2; i++) {
        struct vm_state vm_state = {.id = 1, .started = vm_state_now()};
        vm_state_add_mdev(&vm_state, OTHERS, FIRST, "apex-1");
        vm_state_add_mdev(&vm_state, "8a0e7d2c-55b1-4c56-9d3e-000000000001", FIRST, "apex-1");
        assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
        vm_state_finish(&vm_state);
        make(OTHERS, FIRST, NULL);
        double_virt_stop(hypervisor, FRIGATE);
        assert_true(run_at(events[i], RULE));
        assert_int_equal(removed, i + 1);
        assert_false(vm_state_exists(state_path(""), FRIGATE));
    }
}

static void what_somebody_uses_stays(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    use_by_process(last);
    assert_false(end_vm());
    assert_int_equal(removed, 0);
    assert_true(is_noted(last));
    assert_message(1, "qemu (process 4242) has it open");
    in_host("rm -r proc/%s%s", "4242", "");
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_int_equal(removed, 1);
}

static void what_another_vm_has_stays(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    char *xml = memory_printf("<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>"
                              "<address uuid='%s'/></source></hostdev>",
                              last);
    double_virt_give(hypervisor, WINDOWS, xml);
    free(xml);
    assert_true(end_vm());
    assert_int_equal(removed, 0);
    assert_true(is_noted(last));
}

/* Somebody has made another one of it since. */
static void what_is_not_ours_any_more_stays(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    in_host("cd \"$(find sys/devices -type d -name %s)\" && ln -sfn ../%s mdev_type", last,
            "mdev_supported_types/apex-2");
    assert_true(end_vm());
    assert_int_equal(removed, 0);
    assert_false(is_noted(last));
}

static void a_device_that_makes_none_is_left_out(void **state) {
    (void)state;
    create_failures = 1;
    assert_true(run_of("attach any 1ac1:089a as mdev \"apex-1\""));
    assert_int_equal(created, 1);
    assert_non_null(strstr(results(), "attached attach " SECOND));
    create_failures = 1;
    assert_false(run_of("attach at 03:00.0 as mdev \"apex-1\""));
    assert_non_null(strstr(results(), "refused attach " FIRST));
    assert_int_equal(created, 1);
}

static void one_that_others_made_is_theirs(void **state) {
    (void)state;
    make(OTHERS, FIRST, NULL);
    assert_true(run_of("attach 1ac1:089a as mdev uuid \"" OTHERS "\""));
    assert_true(has(FRIGATE, OTHERS));
    assert_false(is_noted(OTHERS));
    assert_true(run_of("detach at 03:00.0"));
    assert_false(has(FRIGATE, OTHERS));
    assert_true(end_vm());
    assert_int_equal(created + removed, 0);
    assert_true(is_there(OTHERS));
}

static void one_that_is_there_is_used(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    char uuid[64];
    snprintf(uuid, sizeof uuid, "%s", last);
    char *xml = memory_printf("<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>"
                              "<address uuid='%s'/></source></hostdev>",
                              uuid);
    double_virt_take(hypervisor, FRIGATE, xml);
    free(xml);
    /* The state is lost: nobody knows who made it, but its number is this rule's. */
    char path[256];
    snprintf(path, sizeof path, "%s", state_path("/vms/" FRIGATE));
    assert_int_equal(unlink(path), 0);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_int_equal(created, 1);
    assert_true(has(FRIGATE, uuid));
    assert_true(is_noted(uuid));
}

/* --- awake */

#define POWER "sys/bus/pci/devices/" FIRST "/power/control"
#define D3COLD "sys/bus/pci/devices/" FIRST "/d3cold_allowed"
#define AWAKE "on vm frigate started attach at 03:00.0 as mdev \"apex-1\" awake\n"

static void assert_setting(const char *path, const char *value) {
    char text[32] = "", *whole = memory_printf("%s/%s", host_root, path);
    FILE *in = fopen(whole, "re");
    assert_non_null(in);
    assert_non_null(fgets(text, sizeof text, in));
    fclose(in);
    free(whole);
    text[strcspn(text, "\n")] = '\0';
    assert_string_equal(text, value);
}

/* A file of sysfs takes the whole value. */
static int test_write(const struct host_source *source, const struct setting *setting,
                      struct failure *failure) {
    (void)source, (void)failure;
    in_host("echo %s >%s", setting->value, setting->path);
    return 0;
}

static void let_it_sleep(void) {
    host_source.write_setting = test_write;
    in_host("mkdir -p sys/bus/pci/devices/%s/power && echo auto >%s", FIRST, POWER);
    in_host("echo 1 >%s%s", D3COLD, "");
}

/* The mediated device has no power of its own. */
static void its_device_stays_awake_while_the_vm_has_it(void **state) {
    (void)state;
    let_it_sleep();
    assert_true(run_at(EVENT_STARTED, AWAKE));
    assert_setting(POWER, "on");
    assert_setting(D3COLD, "0");
    assert_message(0, "created for it; while the VM has it, the host writes 'on' to power/control, "
                      "'0' to d3cold_allowed of " FIRST);
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, AWAKE));
    assert_int_equal(removed, 1);
    assert_setting(POWER, "auto");
    assert_setting(D3COLD, "1");
}

static void its_device_stays_awake_while_another_vm_has_one(void **state) {
    (void)state;
    let_it_sleep();
    make(OTHERS, FIRST, "apex-1");
    double_virt_give(hypervisor, WINDOWS,
                     "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address "
                     "uuid='" OTHERS "'/></source></hostdev>");
    assert_true(run_at(EVENT_STARTED, AWAKE));
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, AWAKE));
    assert_int_equal(removed, 1);
    assert_setting(POWER, "on");
    double_virt_stop(hypervisor, WINDOWS);
    assert_true(run_at(EVENT_RELEASE, AWAKE));
    assert_setting(POWER, "auto");
}

static void without_awake_nothing_is_written(void **state) {
    (void)state;
    let_it_sleep();
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_setting(POWER, "auto");
    assert_setting(D3COLD, "1");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(its_device_stays_awake_while_the_vm_has_it),
        TEST(its_device_stays_awake_while_another_vm_has_one),
        TEST(without_awake_nothing_is_written),
        TEST(it_is_created_attached_and_removed),
        TEST(two_of_one_device),
        TEST(an_attach_that_fails_leaves_nothing),
        TEST(a_lost_reply_leaves_it),
        TEST(detach_removes_it),
        TEST(what_an_engine_left_is_removed),
        TEST(what_somebody_uses_stays),
        TEST(what_another_vm_has_stays),
        TEST(what_is_not_ours_any_more_stays),
        TEST(a_device_that_makes_none_is_left_out),
        TEST(one_that_others_made_is_theirs),
        TEST(one_that_is_there_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
