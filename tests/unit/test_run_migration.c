/* A VM whose memory is on its way: what its engine waits for, and what it does then. */
#include "tests/unit/execute_world.h"
#include "tests/unit/range.h"

#include "engine/state/lock.h"

static int set_up_migration(void **state) {
    set_up(state);
    boot_ms = 0;
    settled = false;
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_MIGRATING);
    return 0;
}

static int tear_down_migration(void **state) {
    boot_ms = -1;
    settled = false;
    return tear_down(state);
}

static void runs_here(void) {
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_MIGRATED);
}

static void fails(void) {
    double_virt_remove(hypervisor, FRIGATE);
}

static void after(int64_t milliseconds, void (*then)(void)) {
    hours.at = 5000 + milliseconds;
    hours.then = then;
}

static bool called(const char *what) {
    return strstr(double_virt_calls(hypervisor), what);
}

#define WAITING "waiting - -\n"

static void attaches_when_the_vm_runs_here(void **state) {
    (void)state;
    after(INT64_C(7) * 3600000, runs_here);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), WAITING ATTACHED(FIRST));
    assert_message(0, "waiting until it runs here");
    assert_int_in_range(hours.now - 5000, 7 * 3600000, 7 * 3600000 + 60000);
    assert_false(called("reset"));
}

static void resumes(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    runs_here();
}

/* And nothing is waited for after the attach: the guest does not boot. */
static void the_event_ends_the_wait(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, resumes, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(hours.slept, "250 ");
    assert_string_equal(results(), WAITING ATTACHED(FIRST));
}

static void is_looked_at_where_events_are_missing(void **state) {
    (void)state;
    double_virt_mute(hypervisor);
    double_virt_fail(hypervisor, DOUBLE_WATCH, 0, VIRT_UNREACHABLE, "gone");
    after(60000, runs_here);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_int_in_range(hours.now - 5000, 60000, 60000 + 60000 / 8);
    assert_true(strlen(hours.slept) < 40 * strlen("1000 "));
    assert_string_equal(results(), WAITING ATTACHED(FIRST));
}

/* What happens between the look and watch() brings no event. */
static void is_looked_at_once_more_when_it_is_watched(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_WATCH, 1, resumes, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(hours.slept, "");
    assert_string_equal(results(), WAITING ATTACHED(FIRST));
}

static void the_time_of_options_counts_from_there(void **state) {
    (void)state;
    double_virt_mute(hypervisor);
    set_present(FIRST, false);
    after(600000, runs_here);
    assert_false(run_of("attach at 03:00.0 as vfio after 10s within 20s"));
    assert_int_in_range(hours.now - 5000, 630000, 690000);
    assert_non_null(strstr(results(), "absent attach"));
}

static void a_migration_that_fails_is_no_failure(void **state) {
    (void)state;
    after(20000, fails);
    assert_true(run_of("{\nattach at 03:00.0 as vfio\nrun \"/bin/false\"\n}"));
    assert_string_equal(results(), WAITING "absent - -\n");
    assert_message(1, "no longer on this host");
    assert_false(called("attach"));
    assert_false(called("list"));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void stops(void) {
    double_virt_stop(hypervisor, FRIGATE);
}

/* One that is defined here is left as a VM that is off. */
static void a_vm_that_is_off_again(void **state) {
    (void)state;
    after(20000, stops);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), WAITING "absent - -\n");
}

static void another_life(void) {
    double_virt_add_xml(hypervisor, "<domain id='9'><name>frigate</name><uuid>" FRIGATE
                                    "</uuid><devices/></domain>");
}

static void a_later_start_is_another_engines(void **state) {
    (void)state;
    after(20000, another_life);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), WAITING "absent - -\n");
    assert_false(called("attach"));
}

static void a_daemon_that_restarts_is_waited_for(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_STATE, 3, VIRT_UNREACHABLE, "no daemon");
    double_virt_fail(hypervisor, DOUBLE_STATE, 4, VIRT_NO_REPLY, "no answer");
    double_virt_fail(hypervisor, DOUBLE_WAIT, 2, VIRT_UNREACHABLE, "no daemon");
    after(30000, runs_here);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), WAITING ATTACHED(FIRST));
}

static void a_day_is_the_limit(void **state) {
    (void)state;
    double_virt_mute(hypervisor);
    hours.now += 1;
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), WAITING "failed - -\n");
    assert_message(1, "still being migrated");
    assert_message(1, "virt-rules apply");
    assert_int_in_range(hours.now - 5001, 86400000, 86400000);
    assert_false(called("attach"));
}

/* Of an apply, and of a device that another VM may want. */
static void others_wait_for_a_minute(void **state) {
    static const enum event_name names[] = {EVENT_STARTED, EVENT_PLUGGED};
    (void)state;
    double_virt_mute(hypervisor);
    for (size_t i = 0; i < 2; i++) {
        int64_t start = hours.now;
        *hours.slept = '\0';
        settled = i == 0;
        assert_false(
            run_at(names[i], "on vm frigate started, plugged attach at 03:00.0 as vfio\n"));
        assert_int_in_range(hours.now - start, 60000, 60000);
    }
    assert_string_equal(results(), WAITING "failed - -\n" WAITING "failed - -\n");
}

/* The engine of the VM's end must get the lock meanwhile. */
static void has_no_lock(void) {
    struct failure failure;
    int lock = lock_vm(state_path(""), FRIGATE, &failure);
    assert_true(lock >= 0);
    lock_release(lock);
    runs_here();
}

static void holds_no_lock_while_it_waits(void **state) {
    (void)state;
    after(20000, has_no_lock);
    assert_true(run_of("attach at 03:00.0 as vfio"));
}

static void asks_nothing_for_a_rule_without_devices(void **state) {
    (void)state;
    assert_true(run_of("run \"/bin/true\""));
    assert_int_equal(opened, 0);
}

static void a_vm_that_is_started_as_usual_is_not_waited_for(void **state) {
    (void)state;
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_STARTED);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_string_equal(hours.slept, "30000 "); /* its guest boots */
}

/* The VM is read next, and that says what is wrong. */
static void a_state_that_cannot_be_read(void **state) {
    (void)state;
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_STARTED);
    double_virt_fail(hypervisor, DOUBLE_STATE, 0, VIRT_FAILED, "no state");
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
}

/* --- its guest did not boot */

static void a_migrated_guest_is_not_reset(void **state) {
    static const char *const actions[] = {"attach at 03:00.0 as vfio then reset",
                                          "attach at 03:00.0 as vfio then reboot"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        double_virt_state(hypervisor, FRIGATE, VIRT_STATE_MIGRATING);
        hours.at = hours.now + 3000;
        hours.then = runs_here;
        assert_true(run_of(actions[i]));
        assert_false(called("reset"));
        assert_false(called("reboot"));
        take(FRIGATE, FIRST);
    }
    assert_string_equal(
        results(), WAITING ATTACHED(FIRST) "already - -\n" WAITING ATTACHED(FIRST) "already - -\n");
    assert_message(2, "the guest is not restarted");
}

/* A restore may be over before the engine looks. */
static void a_restored_guest_is_not_reset(void **state) {
    (void)state;
    runs_here();
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), ATTACHED(FIRST) "already - -\n");
    assert_string_equal(hours.slept, "");
    assert_false(called("reset"));
    take(FRIGATE, FIRST);
    /* libvirt has forgotten by now: the VM was suspended and resumed */
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_STARTED);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_false(called("reset"));
}

static void is_suspended(void) {
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_STARTED);
}

/* virsh migrate --suspend */
static void a_guest_that_arrives_paused_is_not_reset(void **state) {
    (void)state;
    after(3000, is_suspended);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_false(called("reset"));
    assert_string_equal(results(), WAITING ATTACHED(FIRST) "already - -\n");
}

/* A VM that is reverted to a snapshot is only paused at first. */
static void a_reverted_guest_is_not_reset(void **state) {
    (void)state;
    double_virt_state(hypervisor, FRIGATE, VIRT_STATE_STARTED);
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, resumes, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_false(called("reset"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_migration, tear_down_migration)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(attaches_when_the_vm_runs_here),
        TEST(the_event_ends_the_wait),
        TEST(is_looked_at_where_events_are_missing),
        TEST(is_looked_at_once_more_when_it_is_watched),
        TEST(the_time_of_options_counts_from_there),
        TEST(a_migration_that_fails_is_no_failure),
        TEST(a_vm_that_is_off_again),
        TEST(a_later_start_is_another_engines),
        TEST(a_daemon_that_restarts_is_waited_for),
        TEST(a_day_is_the_limit),
        TEST(others_wait_for_a_minute),
        TEST(holds_no_lock_while_it_waits),
        TEST(asks_nothing_for_a_rule_without_devices),
        TEST(a_vm_that_is_started_as_usual_is_not_waited_for),
        TEST(a_state_that_cannot_be_read),
        TEST(a_migrated_guest_is_not_reset),
        TEST(a_restored_guest_is_not_reset),
        TEST(a_guest_that_arrives_paused_is_not_reset),
        TEST(a_reverted_guest_is_not_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
