/* Asking a guest for a device, with the hypervisor's double and a clock that only jumps. */
#include "tests/unit/double_virt.h"
#include "tests/unit/sample.h"

#include "engine/backend/backend.h"
#include "engine/run/guest_removal.h"

#define FRIGATE "00000000-0000-4000-8000-000000000001"

struct jumping_clock {
    struct clock clock;
    int64_t now;
};

static char coral_address[] = "0000:03:00.0", gpu_address[] = "0000:01:00.0";
static const struct device coral = {.address = coral_address};
static const struct device gpu = {.address = gpu_address};

static struct double_virt *hypervisor;
static struct virt_error result;
static struct jumping_clock hours;
static char *coral_xml, *gpu_xml;

static int64_t jump_now(struct clock *clock) {
    return ((struct jumping_clock *)clock)->now;
}

static void jump(struct clock *clock, int64_t milliseconds) {
    assert_true(milliseconds > 0);
    ((struct jumping_clock *)clock)->now += milliseconds;
}

static int create(void **state) {
    (void)state;
    hypervisor = double_virt_create();
    hours = (struct jumping_clock){{jump_now, jump}, 1000};
    double_virt_clock(hypervisor, &hours.clock);
    double_virt_add(hypervisor, FRIGATE, "frigate", NULL);
    coral_xml = backend_xml(&backend_type_VFIO, &coral, NULL, 0);
    gpu_xml = backend_xml(&backend_type_VFIO, &gpu, NULL, 0);
    double_virt_give(hypervisor, FRIGATE, gpu_xml);
    double_virt_give(hypervisor, FRIGATE, coral_xml);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    double_virt_destroy(hypervisor);
    free(coral_xml);
    free(gpu_xml);
    return 0;
}

static enum guest_answer ask(int limit_ms) {
    struct domain domain;
    struct guest_removal release = {.virt = double_virt_port(hypervisor),
                                    .clock = &hours.clock,
                                    .domain = &domain,
                                    .xml = coral_xml,
                                    .limit_ms = limit_ms};
    sample_domain(&domain, double_virt_xml(hypervisor, FRIGATE));
    release.hostdev = backend_hostdev_of(&domain, &coral);
    assert_non_null(release.hostdev);
    enum guest_answer answer = guest_removal_wait(&release, 1, &result);
    domain_finish(&domain);
    return answer;
}

static void assert_says(const char *message, const char *hint) {
    if (!strstr(result.failure.message, message) || !strstr(result.failure.hint, hint) ||
        (!*hint && *result.failure.hint))
        fail_msg("'%s', hint '%s'", result.failure.message, result.failure.hint);
}

static int64_t took(void) {
    return hours.now - 1000;
}

/* --- the guest */

static void guest_lets_go_at_once(void **state) {
    (void)state;
    assert_int_equal(ask(0), GUEST_RELEASED);
    assert_says("released it", "");
    assert_int_equal(took(), 0);
    assert_string_equal(double_virt_calls(hypervisor), "watch frigate\n"
                                                       "detach frigate 0000:03:00.0\n"
                                                       "domain_xml " FRIGATE "\n");
}

static void take(struct double_virt *self, void *xml) {
    double_virt_take(self, FRIGATE, xml);
}

static void guest_lets_go_later(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 3, take, coral_xml);
    assert_int_equal(ask(0), GUEST_RELEASED);
    assert_int_equal(took(), 250 + 500);
}

/* Looked at by itself, more and more seldom. */
static void guest_lets_go_and_libvirt_has_no_events(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_mute(hypervisor);
    double_virt_before(hypervisor, DOUBLE_XML, 6, take, coral_xml);
    assert_int_equal(ask(0), GUEST_RELEASED);
    assert_int_equal(took(), 250 + 500 + 1000 + 2000 + 4000);
}

static void guest_refuses(void **state) {
    (void)state;
    double_virt_refuse(hypervisor, FRIGATE, true);
    assert_int_equal(ask(0), GUEST_REFUSED);
    assert_says("the guest refuses", "in the guest");
    assert_int_equal(took(), 0);
}

static void guest_refuses_while_libvirt_waits(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_REFUSED, "rejected by the guest");
    assert_int_equal(ask(0), GUEST_REFUSED);
    assert_says("the guest refuses", "in the guest");
}

static void guest_is_silent(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    assert_int_equal(ask(0), GUEST_NO_ANSWER);
    assert_says("did not release the device", "did not answer");
    assert_int_equal(took(), 60000);
    assert_int_equal(ask(7000), GUEST_NO_ANSWER);
    assert_int_equal(took(), 67000);
}

/* An event of another device is not an answer. */
static void another_device_goes(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 1, take, gpu_xml);
    assert_int_equal(ask(0), GUEST_NO_ANSWER);
    assert_int_equal(took(), 60000);
}

static void refuse_gpu(struct double_virt *self, void *xml) {
    struct virt *virt = double_virt_port(self);
    double_virt_refuse(self, FRIGATE, true);
    assert_int_equal(virt->ops->detach(virt, FRIGATE, -1, xml, &result), 0);
}

static void another_device_is_kept(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 1, refuse_gpu, gpu_xml);
    double_virt_before(hypervisor, DOUBLE_WAIT, 3, take, coral_xml);
    assert_int_equal(ask(0), GUEST_RELEASED);
}

/* --- the VM */

static void stop_vm(struct double_virt *self, void *context) {
    (void)context;
    double_virt_stop(self, FRIGATE);
}

static void restart(struct double_virt *self, void *context) {
    (void)context;
    double_virt_stop(self, FRIGATE);
    double_virt_add_xml(self, "<domain id='9'><name>frigate</name><uuid>" FRIGATE "</uuid>"
                              "<devices></devices></domain>");
    double_virt_give(self, FRIGATE, coral_xml);
}

static void end(struct double_virt *self, void *context) {
    (void)context;
    double_virt_remove(self, FRIGATE);
}

static void vm_stops(void **state) {
    (void)state;
    void (*const ways[])(struct double_virt *, void *) = {stop_vm, restart, end};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double_virt_deaf(hypervisor, FRIGATE, true);
        double_virt_before(hypervisor, DOUBLE_WAIT, 2, ways[i], NULL);
        assert_int_equal(ask(0), GUEST_STOPPED);
        assert_says("the VM has stopped", "nothing");
        assert_int_equal(took(), 250);
        destroy(state);
        create(state);
    }
}

/* Right before libvirt is asked: its end gives the device back, as above. */
static void vm_has_stopped(void **state) {
    (void)state;
    void (*const ways[])(struct double_virt *, void *) = {stop_vm, restart, end};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double_virt_before(hypervisor, DOUBLE_DETACH, 1, ways[i], NULL);
        assert_int_equal(ask(0), GUEST_STOPPED);
        assert_says("the VM has stopped", "nothing");
        assert_int_equal(took(), 0);
        destroy(state);
        create(state);
    }
}

/* libvirt has the same words for a VM that has not quite started. */
static void vm_has_not_started(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_NOT_RUNNING, "domain is not running");
    assert_int_equal(ask(0), GUEST_NOT_ASKED);
    assert_int_equal(result.kind, VIRT_NOT_RUNNING);
    assert_says("domain is not running", "");
}

/* --- several devices */

/* Both at the same time; the coral is number 0. */
static void ask_for_both(struct guest_removal_result results[2]) {
    struct domain domain;
    struct virt *virt = double_virt_port(hypervisor);
    sample_domain(&domain, double_virt_xml(hypervisor, FRIGATE));
    const struct guest_removal removals[] = {{.virt = virt,
                                              .clock = &hours.clock,
                                              .domain = &domain,
                                              .hostdev = backend_hostdev_of(&domain, &coral),
                                              .xml = coral_xml},
                                             {.virt = virt,
                                              .clock = &hours.clock,
                                              .domain = &domain,
                                              .hostdev = backend_hostdev_of(&domain, &gpu),
                                              .xml = gpu_xml}};
    virt->ops->watch(virt, FRIGATE, &result);
    guest_removal_ask(&removals[0], &results[0]);
    guest_removal_ask(&removals[1], &results[1]);
    guest_removal_await(removals, results, 2);
    domain_finish(&domain);
}

static void both_are_waited_for_together(void **state) {
    (void)state;
    struct guest_removal_result results[2];
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, take, gpu_xml);
    double_virt_before(hypervisor, DOUBLE_WAIT, 4, take, coral_xml);
    ask_for_both(results);
    assert_int_equal(results[0].answer, GUEST_RELEASED);
    assert_int_equal(results[1].answer, GUEST_RELEASED);
    assert_false(results[0].asked || results[1].asked);
    assert_int_equal(took(), 250 + 1000);
}

static void one_of_both_has_no_answer(void **state) {
    (void)state;
    struct guest_removal_result results[2];
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, take, gpu_xml);
    ask_for_both(results);
    assert_int_equal(results[0].answer, GUEST_NO_ANSWER);
    assert_int_equal(results[1].answer, GUEST_RELEASED);
    assert_int_equal(took(), 60000); /* and not twice that */
}

/* What the one says while the other is asked for is not lost. */
static void one_of_both_is_kept(void **state) {
    (void)state;
    struct guest_removal_result results[2];
    double_virt_refuse(hypervisor, FRIGATE, true);
    double_virt_fail(hypervisor, DOUBLE_DETACH, 2, VIRT_TRANSIENT, "state change lock");
    ask_for_both(results);
    assert_int_equal(results[0].answer, GUEST_REFUSED);
    assert_int_equal(results[1].answer, GUEST_NOT_ASKED);
    assert_string_equal(results[1].error.failure.message, "state change lock");
    assert_int_equal(took(), 0);
}

static void both_are_kept(void **state) {
    (void)state;
    struct guest_removal_result results[2];
    double_virt_refuse(hypervisor, FRIGATE, true);
    ask_for_both(results);
    assert_int_equal(results[0].answer, GUEST_REFUSED);
    assert_int_equal(results[1].answer, GUEST_REFUSED);
    assert_int_equal(took(), 0);
}

static void the_vm_of_both_stops(void **state) {
    (void)state;
    struct guest_removal_result results[2];
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, stop_vm, NULL);
    ask_for_both(results);
    assert_int_equal(results[0].answer, GUEST_STOPPED);
    assert_int_equal(results[1].answer, GUEST_STOPPED);
    assert_int_equal(took(), 250);
}

/* --- libvirt */

static void cannot_be_asked(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_TRANSIENT, "state change lock");
    double_virt_fail(hypervisor, DOUBLE_DETACH, 2, VIRT_FAILED, "no");
    assert_int_equal(ask(0), GUEST_NOT_ASKED);
    assert_int_equal(result.kind, VIRT_TRANSIENT);
    assert_says("state change lock", "");
    assert_int_equal(ask(0), GUEST_NOT_ASKED);
    assert_int_equal(result.kind, VIRT_FAILED);
    assert_says("no", "");
}

static void is_gone_already(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, take, coral_xml);
    assert_int_equal(ask(0), GUEST_RELEASED);
    assert_says("no longer has the device", "");
}

static void cannot_be_watched(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_fail(hypervisor, DOUBLE_WATCH, 1, VIRT_UNREACHABLE, "too many clients");
    double_virt_before(hypervisor, DOUBLE_XML, 2, take, coral_xml);
    assert_int_equal(ask(0), GUEST_RELEASED);
    assert_int_equal(took(), 250);
}

/* A daemon's restart: the events are lost, and the XML shows the result. */
static void connection_is_lost(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_fail(hypervisor, DOUBLE_WAIT, 1, VIRT_UNREACHABLE, "gone");
    double_virt_fail(hypervisor, DOUBLE_XML, 2, VIRT_UNREACHABLE, "gone");
    double_virt_before(hypervisor, DOUBLE_WAIT, 3, take, coral_xml);
    assert_int_equal(ask(0), GUEST_RELEASED);
    assert_int_equal(took(), 250 + 500);
    assert_non_null(strstr(double_virt_calls(hypervisor), "watch frigate\ndomain_xml"));
}

static void connection_stays_lost(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_XML, 0, VIRT_UNREACHABLE, "gone for good");
    double_virt_fail(hypervisor, DOUBLE_WAIT, 0, VIRT_UNREACHABLE, "gone");
    assert_int_equal(ask(0), GUEST_UNSEEN);
    assert_int_equal(result.kind, VIRT_UNREACHABLE);
    assert_says("gone for good", "");
    assert_int_equal(took(), 60000);
}

#define GUEST_TEST(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        GUEST_TEST(guest_lets_go_at_once),
        GUEST_TEST(guest_lets_go_later),
        GUEST_TEST(guest_lets_go_and_libvirt_has_no_events),
        GUEST_TEST(guest_refuses),
        GUEST_TEST(guest_refuses_while_libvirt_waits),
        GUEST_TEST(guest_is_silent),
        GUEST_TEST(another_device_goes),
        GUEST_TEST(another_device_is_kept),
        GUEST_TEST(vm_stops),
        GUEST_TEST(vm_has_stopped),
        GUEST_TEST(vm_has_not_started),
        GUEST_TEST(both_are_waited_for_together),
        GUEST_TEST(one_of_both_has_no_answer),
        GUEST_TEST(one_of_both_is_kept),
        GUEST_TEST(both_are_kept),
        GUEST_TEST(the_vm_of_both_stops),
        GUEST_TEST(cannot_be_asked),
        GUEST_TEST(is_gone_already),
        GUEST_TEST(cannot_be_watched),
        GUEST_TEST(connection_is_lost),
        GUEST_TEST(connection_stays_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
