/* The guest: the recheck after its boot, one restart for each start of the VM, devices that are
 * added and removed; and the VM's state file. */
#include "tests/unit/execute_world.h"
#include "tests/unit/range.h"

#include "engine/state/lock.h"
#include "engine/state/vm_state.h"

static int set_up_boot(void **state) {
    set_up(state);
    boot_ms = 0;
    settled = false;
    came = NULL;
    return 0;
}

static int tear_down_boot(void **state) {
    boot_ms = -1;
    settled = false;
    came = NULL;
    return tear_down(state);
}

static unsigned count(const char *what) {
    unsigned found = 0;
    for (const char *at = double_virt_calls(hypervisor); (at = strstr(at, what)); at++)
        found++;
    return found;
}

/* --- after its boot */

static void a_second_look_after_the_boot(void **state) {
    (void)state;
    assert_true(run_of("attach all 1ac1:089a as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND));
    assert_string_equal(hours.slept, "30000 ");
    assert_int_equal(count("domain_xml " FRIGATE "\nlist\n"), 2);
    assert_int_equal(count("watch frigate"), 1);
}

static void let_first_go(void) {
    take(FRIGATE, FIRST);
}

static void what_the_guest_lets_go_is_attached_again(void **state) {
    (void)state;
    double_virt_mute(hypervisor); /* so that only the look can see it */
    hours.at = 5000 + 1;
    hours.then = let_first_go;
    assert_true(run_of("attach all 1ac1:089a as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) ATTACHED(FIRST));
    assert_message(2, "the guest released it while booting");
    assert_string_equal(hours.slept, "30000 250 30000 ");
}

static void let_go_at_wait(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    take(FRIGATE, FIRST);
}

static void events_of_it_are_not_waited_for(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_WAIT, 1, let_go_at_wait, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(FIRST));
    assert_string_equal(hours.slept, "250 30000 ");
}

static void a_guest_that_does_not_want_it(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_WAIT, 0, let_go_at_wait, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio within 20s"));
    assert_message(0, "host driver was");
    assert_non_null(strstr(results(), FAILED(FIRST)));
    assert_int_in_range(hours.now - 5000, 10000, 20000);
}

static void dismiss_first(void) {
    struct failure failure;
    struct vm_state vm_state;
    take(FRIGATE, FIRST);
    struct vm_start start = {.id = told.id};
    assert_true(vm_state_open(&vm_state, state_path(""), FRIGATE, &start));
    vm_state_dismiss(&vm_state, FIRST, (struct device_id){0x1ac1, 0x089a});
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
}

static void what_a_person_took_out_stays_out(void **state) {
    (void)state;
    hours.at = 5001;
    hours.then = dismiss_first;
    assert_true(run_of("attach all 1ac1:089a as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND));
    assert_true(run_of("attach all 1ac1:089a as vfio")); /* who asks for it gets it */
    assert_string_equal(results(),
                        ATTACHED(FIRST) ATTACHED(SECOND) ATTACHED(FIRST) ALREADY(SECOND));
}

static void what_comes_again_is_looked_after_again(void **state) {
    struct vm_state vm_state;
    (void)state;
    assert_true(run_of("detach at 03:00.0"));
    give(FRIGATE, FIRST);
    assert_true(run_of("detach at 03:00.0")); /* a rule: the same as a person */
    assert_true(vm_state_load(&vm_state, state_path(""), FRIGATE));
    assert_true(vm_state_has_dismissed(&vm_state, FIRST, (struct device_id){0x1ac1, 0x089a}));
    vm_state_finish(&vm_state);
    hours.at = hours.now + 1;
    hours.then = let_first_go;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(),
                        "already detach at 03:00.0\n"
                        "detached detach " FIRST " 1ac1:089a\n" ATTACHED(FIRST) ATTACHED(FIRST));
}

static void stop_vm(void) {
    double_virt_stop(hypervisor, FRIGATE);
}

static void a_vm_that_ends_while_it_is_looked_at(void **state) {
    (void)state;
    hours.at = 5001;
    hours.then = stop_vm;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
}

static void a_libvirt_that_goes_while_it_is_looked_at(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_WATCH, 1, VIRT_UNREACHABLE, "no events");
    double_virt_fail(hypervisor, DOUBLE_LIST, 2, VIRT_UNREACHABLE, "client socket is closed");
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_int_in_range(hours.now - 5000, 30000, 31000);
}

static void only_a_start_is_looked_after(void **state) {
    (void)state;
    assert_true(run_at(EVENT_RECONNECT, "on vm frigate reconnect attach at 03:00.0 as vfio\n"));
    settled = true;
    assert_true(run_of("attach at 04:00.0 as vfio then reset after 1m"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND));
    assert_string_equal(hours.slept, "");
    assert_int_equal(count("reset"), 0);
}

static void a_settled_vm_runs_no_program(void **state) {
    (void)state;
    settled = true;
    assert_true(run_of("{\n run \"/bin/false\"\n attach at 04:00.0 as vfio\n}"));
    assert_true(run_of("run \"/bin/false\""));
    assert_string_equal(results(), ATTACHED(SECOND));
}

/* --- the lock */

static bool lock_is_free;

static void try_lock(void) {
    struct failure failure;
    pid_t child = fork();
    if (child == 0) {
        alarm(600); /* it would wait for itself */
        _exit(lock_vm(state_path(""), FRIGATE, &failure) < 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    lock_is_free = status == 0;
}

static void who_waits_does_not_hold_the_lock(void **state) {
    (void)state;
    lock_is_free = false;
    hours.at = 5001;
    hours.then = try_lock;
    assert_false(run_of("attach ffff:0001 as vfio within 1m"));
    assert_true(lock_is_free);
}

/* --- a restart, once since the VM started */

static void the_boot_after_a_reset_is_looked_at(void **state) {
    (void)state;
    double_virt_mute(hypervisor);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(hours.slept, "30000 ");
    assert_int_equal(count("reset frigate"), 1);
}

static void what_comes_again_resets_no_more(void **state) {
    (void)state;
    hours.at = 5001;
    hours.then = let_first_go;
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_int_equal(count("reset frigate"), 1);
    assert_int_equal(count("attach frigate"), 2);
}

static void another_engine_of_this_life_does_not_reset(void **state) {
    (void)state;
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    take(FRIGATE, FIRST);
    assert_true(run_of("attach at 03:00.0 as vfio then reboot"));
    assert_int_equal(count("reset frigate"), 1);
    assert_int_equal(count("reboot frigate"), 0);
    assert_string_equal(results(), ATTACHED(FIRST) "ran - -\n" ATTACHED(FIRST) "already - -\n");
    assert_message(3, "already restarted once");
}

static void the_next_life_resets_again(void **state) {
    (void)state;
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_true(vm_state_exists(state_path(""), FRIGATE));
    assert_true(run_at(EVENT_RELEASE, "on vm other started run \"/x\"\n"));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
    take(FRIGATE, FIRST);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_int_equal(count("reset frigate"), 2);
}

/* Whether the guest was restarted is not known then: better not than twice. */
static void damaged_notes_reset_nothing(void **state) {
    (void)state;
    struct failure failure;
    struct vm_state vm_state = {.id = told.id, .started = vm_state_now(), .damaged = true};
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_int_equal(count("reset frigate"), 0);
}

/* Its end was missed, but it has another id. */
static void another_id_is_another_life(void **state) {
    (void)state;
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    char *xml = memory_strdup(double_virt_xml(hypervisor, FRIGATE));
    char *id = strstr(xml, "id='");
    assert_non_null(id);
    id[4] = id[4] == '9' ? '8' : '9';
    double_virt_add_xml(hypervisor, xml);
    domain_finish(&told);
    sample_domain(&told, xml);
    free(xml);
    take(FRIGATE, FIRST);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_int_equal(count("reset frigate"), 2);
}

static void no_place_to_note_a_reset(void **state) {
    (void)state;
    assert_int_equal(mkdir(state_path(""), 0700), 0);
    int file = open(state_path("/vms"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_int_equal(count("reset frigate"), 1);
    assert_string_equal(results(), ATTACHED(FIRST) "failed - -\nran - -\n");
    assert_message(1, "free space there");
}

/* --- coming and going */

#define STICK_XML(NUMBER)                                                                          \
    "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1a6e'/><product id='0x089a'/>"     \
    "<address bus='1' device='" NUMBER "'/></source></hostdev>"
#define STICK_RULE "on vm frigate started, plugged attach 1a6e:089a as usb\n"

static void use_the_host_with_sticks(void) {
    shell("rm -rf %s && cp -a tests/hosts/usb %s", host_root, host_root);
}

static const struct device stick = {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 99)};
static const struct device other = {SAMPLE_USB("1-1.5", 0x1234, 0x5678, 1, 98)};

static void a_stick_that_was_pulled_leaves_the_vm(void **state) {
    (void)state;
    use_the_host_with_sticks();
    double_virt_give(hypervisor, FRIGATE, STICK_XML("99"));
    came = &stick;
    assert_true(run_at(EVENT_UNPLUGGED, STICK_RULE));
    assert_string_equal(results(), "detached detach 1/99 1a6e:089a\n");
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void what_no_rule_gives_opens_nothing(void **state) {
    (void)state;
    use_the_host_with_sticks();
    double_virt_give(hypervisor, FRIGATE, STICK_XML("99"));
    came = &other;
    assert_true(run_at(EVENT_UNPLUGGED, STICK_RULE));
    came = &stick;
    assert_true(run_at(EVENT_UNPLUGGED, "on vm other started attach 1a6e:089a as usb\n"));
    came = &other;
    assert_true(run_at(EVENT_PLUGGED, STICK_RULE));
    assert_int_equal(opened, 0);
}

static void a_stick_that_comes_back_takes_the_place_of_the_old(void **state) {
    (void)state;
    struct host host;
    use_the_host_with_sticks();
    double_virt_give(hypervisor, FRIGATE, STICK_XML("99"));
    sample_host(&host, host_root);
    for (size_t i = 0; i < host.count; i++)
        if (host.devices[i].id.vendor == 0x1a6e)
            came = &host.devices[i];
    assert_non_null(came);
    assert_true(run_at(EVENT_PLUGGED, STICK_RULE));
    char *expected = memory_printf("detached detach 1/99 1a6e:089a\nattached attach %s 1a6e:089a\n",
                                   came->address);
    assert_string_equal(results(), expected);
    free(expected);
    host_finish(&host);
}

static void gone_by_itself(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    double_virt_take(hypervisor, FRIGATE, STICK_XML("99"));
}

static void the_vm_was_faster(void **state) {
    (void)state;
    use_the_host_with_sticks();
    double_virt_give(hypervisor, FRIGATE, STICK_XML("99"));
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, gone_by_itself, NULL);
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_FAILED, "no device found");
    came = &stick;
    assert_true(run_at(EVENT_UNPLUGGED, STICK_RULE));
    assert_string_equal(results(), "detached detach 1/99 1a6e:089a\n");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up_boot, tear_down_boot)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_second_look_after_the_boot),
        TEST(what_the_guest_lets_go_is_attached_again),
        TEST(events_of_it_are_not_waited_for),
        TEST(a_guest_that_does_not_want_it),
        TEST(what_a_person_took_out_stays_out),
        TEST(what_comes_again_is_looked_after_again),
        TEST(a_vm_that_ends_while_it_is_looked_at),
        TEST(a_libvirt_that_goes_while_it_is_looked_at),
        TEST(only_a_start_is_looked_after),
        TEST(a_settled_vm_runs_no_program),
        TEST(who_waits_does_not_hold_the_lock),
        TEST(the_boot_after_a_reset_is_looked_at),
        TEST(what_comes_again_resets_no_more),
        TEST(another_engine_of_this_life_does_not_reset),
        TEST(the_next_life_resets_again),
        TEST(damaged_notes_reset_nothing),
        TEST(another_id_is_another_life),
        TEST(no_place_to_note_a_reset),
        TEST(a_stick_that_was_pulled_leaves_the_vm),
        TEST(what_no_rule_gives_opens_nothing),
        TEST(a_stick_that_comes_back_takes_the_place_of_the_old),
        TEST(the_vm_was_faster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
