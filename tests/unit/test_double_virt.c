/* The double keeps to what engine/libvirt/virt.h and its own header promise. */
#include "engine/libvirt/domain_xml.h"
#include "tests/unit/double_virt.h"

#include "engine/backend/backend.h"
#include "engine/model/domain.h"
#include "engine/run/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRIGATE "00000000-0000-4000-8000-000000000001"
#define WINDOWS "00000000-0000-4000-8000-000000000002"
#define NOBODY "00000000-0000-4000-8000-00000000000f"

static char coral_address[] = "0000:03:00.0", gpu_address[] = "0000:01:00.0";
static const struct device coral = {.address = coral_address};
static const struct device gpu = {.address = gpu_address};
static const struct device stick = {
    .bus = BUS_USB, .id = {0x1a6e, 0x089a}, .bus_number = 1, .device_number = 4};

static struct double_virt *hypervisor;
static struct virt *virt;
static struct virt_error error;

static int create(void **state) {
    (void)state;
    hypervisor = double_virt_create();
    virt = double_virt_port(hypervisor);
    double_virt_add(hypervisor, FRIGATE, "frigate", "NVR");
    double_virt_add(hypervisor, WINDOWS, "windows", NULL);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    double_virt_destroy(hypervisor);
    return 0;
}

static int attach(const char *uuid, const struct device *device) {
    char *xml = backend_xml(backend_of_bus(device->bus), device, NULL, 0);
    int status;

    assert_non_null(xml);
    status = virt->ops->attach(virt, uuid, -1, xml, &error);
    free(xml);
    return status;
}

static int detach(const char *uuid, const struct device *device) {
    char *xml = backend_xml(backend_of_bus(device->bus), device, NULL, 0);
    int status;

    assert_non_null(xml);
    status = virt->ops->detach(virt, uuid, -1, xml, &error);
    free(xml);
    return status;
}

static bool holds(const char *uuid, const struct device *device) {
    const char *xml = double_virt_xml(hypervisor, uuid);
    struct domain domain;
    bool held;

    assert_int_equal(domain_xml_parse(&domain, xml, strlen(xml), &error.failure), 0);
    held = backend_hostdev_of(&domain, device) != NULL;
    domain_finish(&domain);
    return held;
}

static void attaches_and_detaches(void **state) {
    (void)state;
    assert_int_equal(attach(FRIGATE, &coral), 0);
    assert_int_equal(attach(FRIGATE, &stick), 0);
    assert_int_equal(attach(WINDOWS, &gpu), 0);
    assert_true(holds(FRIGATE, &coral) && holds(FRIGATE, &stick) && holds(WINDOWS, &gpu));
    assert_false(holds(FRIGATE, &gpu) || holds(WINDOWS, &coral));
    assert_non_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<alias name='hostdev1'/>"));
    assert_non_null(strstr(double_virt_last_xml(hypervisor), "bus='0x01'"));
    assert_int_equal(detach(FRIGATE, &coral), 0);
    assert_false(holds(FRIGATE, &coral));
    assert_true(holds(FRIGATE, &stick));
    assert_int_equal(detach(FRIGATE, &coral), -1);
    assert_string_equal(double_virt_calls(hypervisor), "attach frigate 0000:03:00.0\n"
                                                       "attach frigate 1/4 1a6e:089a\n"
                                                       "attach windows 0000:01:00.0\n"
                                                       "detach frigate 0000:03:00.0\n"
                                                       "detach frigate 0000:03:00.0\n");
}

static void refuses_as_libvirt_does(void **state) {
    (void)state;
    assert_int_equal(attach(FRIGATE, &coral), 0);
    assert_int_equal(attach(FRIGATE, &coral), -1);
    assert_int_equal(error.kind, VIRT_BUSY);
    assert_int_equal(attach(WINDOWS, &coral), -1);
    assert_int_equal(error.kind, VIRT_BUSY);
    assert_non_null(
        strstr(error.failure.message, "0000:03:00.0 is in use by driver QEMU, domain frigate"));
    assert_int_equal(virt->ops->attach(virt, WINDOWS, -1, "nonsense", &error), -1);
    assert_int_equal(error.kind, VIRT_FAILED);
    double_virt_stop(hypervisor, FRIGATE);
    assert_int_equal(attach(FRIGATE, &gpu), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    assert_int_equal(detach(FRIGATE, &coral), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    assert_int_equal(attach(WINDOWS, &coral), 0); /* a stopped VM holds nothing */
    assert_int_equal(attach(NOBODY, &gpu), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    assert_int_equal(virt->ops->reset(virt, NOBODY, -1, &error), -1);
    assert_int_equal(virt->ops->reboot(virt, FRIGATE, -1, &error), -1);
    assert_int_equal(virt->ops->reset(virt, WINDOWS, -1, &error), 0);
    double_virt_forget_calls(hypervisor);
    virt_close(virt);
    assert_string_equal(double_virt_calls(hypervisor), "close\n");
}

static void gives_and_lists_xml(void **state) {
    struct virt_domain *vms;
    size_t count;
    char *xml;

    (void)state;
    for (const char *const *name = (const char *const[]){FRIGATE, "frigate", "NVR", NULL}; *name;
         name++) {
        assert_int_equal(virt->ops->domain_xml(virt, *name, &xml, &error), 0);
        assert_string_equal(xml, double_virt_xml(hypervisor, FRIGATE));
        free(xml);
    }
    assert_int_equal(virt->ops->domain_xml(virt, "nobody", &xml, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    double_virt_stop(hypervisor, FRIGATE);
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), " id="));
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), 0);
    assert_int_equal(count, 1);
    assert_string_equal(vms[0].uuid, WINDOWS);
    virt_list_free(vms, count);
    double_virt_remove(hypervisor, FRIGATE);
    assert_int_equal(virt->ops->domain_xml(virt, "frigate", &xml, &error), -1);
    double_virt_add_xml(hypervisor, "<domain id='3'><name>new</name><uuid>" WINDOWS
                                    "</uuid><devices/></domain>");
    assert_int_equal(virt->ops->domain_xml(virt, "new", &xml, &error), 0);
    free(xml);
}

static void fails_when_told(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 2, VIRT_TRANSIENT, "state change lock");
    double_virt_fail(hypervisor, DOUBLE_ANY, 5, VIRT_UNREACHABLE, "gone");
    double_virt_fail(hypervisor, DOUBLE_REBOOT, 0, VIRT_FAILED, "never");
    assert_int_equal(virt->ops->reset(virt, FRIGATE, -1, &error), 0);
    assert_int_equal(attach(FRIGATE, &coral), 0);
    assert_int_equal(attach(FRIGATE, &gpu), -1);
    assert_int_equal(error.kind, VIRT_TRANSIENT);
    assert_string_equal(error.failure.message, "state change lock");
    assert_false(holds(FRIGATE, &gpu));
    assert_int_equal(attach(FRIGATE, &gpu), 0);
    assert_int_equal(detach(FRIGATE, &gpu), -1);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    assert_int_equal(virt->ops->reboot(virt, FRIGATE, -1, &error), -1);
    assert_int_equal(virt->ops->reboot(virt, FRIGATE, -1, &error), -1);
}

static void take_coral(struct double_virt *self, void *context) {
    char *xml = backend_xml(&backend_type_VFIO, &coral, NULL, 0);

    double_virt_give(self, WINDOWS, xml);
    free(xml);
    ++*(int *)context;
}

static void changes_the_world_in_between(void **state) {
    int times = 0;

    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, take_coral, &times);
    assert_int_equal(attach(FRIGATE, &coral), -1);
    assert_int_equal(error.kind, VIRT_BUSY);
    assert_int_equal(attach(FRIGATE, &gpu), 0);
    assert_int_equal(times, 1);
    assert_true(holds(WINDOWS, &coral));
}

static void keeps_what_a_deaf_guest_holds(void **state) {
    (void)state;
    assert_int_equal(attach(FRIGATE, &coral), 0);
    double_virt_deaf(hypervisor, FRIGATE, true);
    assert_int_equal(detach(FRIGATE, &coral), 0);
    assert_true(holds(FRIGATE, &coral));
    double_virt_deaf(hypervisor, FRIGATE, false);
    assert_int_equal(detach(FRIGATE, &coral), 0);
    assert_false(holds(FRIGATE, &coral));
}

/* ---- events ---- */

static struct virt_event heard(int timeout_ms) {
    struct virt_event event = {.kind = (enum virt_event_kind) - 1};

    assert_int_equal(virt->ops->wait(virt, timeout_ms, &event, &error), 0);
    return event;
}

static void tells_of_the_watched_vm_alone(void **state) {
    struct virt_event event;

    (void)state;
    assert_int_equal(attach(FRIGATE, &coral) + attach(FRIGATE, &stick) + attach(WINDOWS, &gpu), 0);
    assert_int_equal(heard(0).kind, VIRT_EVENT_NONE);
    assert_int_equal(virt->ops->watch(virt, FRIGATE, &error), 0);
    assert_int_equal(detach(WINDOWS, &gpu) + detach(FRIGATE, &stick), 0);
    double_virt_stop(hypervisor, WINDOWS);
    event = heard(0);
    assert_int_equal(event.kind, VIRT_EVENT_REMOVED);
    assert_string_equal(event.alias, "hostdev1");
    double_virt_deaf(hypervisor, FRIGATE, true);
    assert_int_equal(detach(FRIGATE, &coral), 0);
    assert_int_equal(heard(0).kind, VIRT_EVENT_NONE);
    double_virt_refuse(hypervisor, FRIGATE, true);
    assert_int_equal(detach(FRIGATE, &coral), 0);
    assert_true(holds(FRIGATE, &coral));
    event = heard(0);
    assert_int_equal(event.kind, VIRT_EVENT_REFUSED);
    assert_string_equal(event.alias, "hostdev0");
    double_virt_stop(hypervisor, FRIGATE);
    double_virt_remove(hypervisor, FRIGATE); /* does not stop again */
    event = heard(0);
    assert_int_equal(event.kind, VIRT_EVENT_STOPPED);
    assert_string_equal(event.alias, "");
    assert_int_equal(heard(0).kind, VIRT_EVENT_NONE);
    assert_int_equal(virt->ops->watch(virt, NOBODY, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
}

static void begins_to_watch_anew(void **state) {
    (void)state;
    assert_int_equal(attach(FRIGATE, &coral) + attach(WINDOWS, &gpu), 0);
    assert_int_equal(virt->ops->watch(virt, FRIGATE, &error), 0);
    assert_int_equal(detach(FRIGATE, &coral), 0);
    assert_int_equal(virt->ops->watch(virt, WINDOWS, &error), 0);
    assert_int_equal(heard(0).kind, VIRT_EVENT_NONE);
    double_virt_fail(hypervisor, DOUBLE_WAIT, 2, VIRT_UNREACHABLE, "gone");
    assert_int_equal(virt->ops->wait(virt, 0, &(struct virt_event){0}, &error), -1);
    assert_int_equal(detach(WINDOWS, &gpu), 0);
    assert_int_equal(heard(0).kind, VIRT_EVENT_NONE); /* watches nothing any more */
    double_virt_mute(hypervisor);
    assert_int_equal(virt->ops->watch(virt, WINDOWS, &error), 0);
    double_virt_stop(hypervisor, WINDOWS);
    assert_int_equal(heard(0).kind, VIRT_EVENT_NONE);
}

struct test_clock {
    struct clock clock;
    int64_t slept;
};

/* The windows VM stops while the time goes by. */
static void test_sleep(struct clock *clock, int64_t milliseconds) {
    ((struct test_clock *)clock)->slept += milliseconds;
    if (milliseconds == 40)
        double_virt_stop(hypervisor, WINDOWS);
}

static void give_coral(struct double_virt *self, void *context) {
    char *xml = backend_xml(&backend_type_VFIO, &coral, NULL, 0);

    (void)context;
    double_virt_give(self, WINDOWS, xml);
    double_virt_take(self, WINDOWS, xml);
    free(xml);
}

static void lets_time_go_by(void **state) {
    struct test_clock clock = {.clock = {.sleep_ms = test_sleep}};

    (void)state;
    double_virt_clock(hypervisor, &clock.clock);
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, give_coral, NULL);
    assert_int_equal(virt->ops->watch(virt, WINDOWS, &error), 0);
    assert_int_equal(heard(30).kind, VIRT_EVENT_NONE);
    assert_int_equal(clock.slept, 30);
    assert_int_equal(heard(30).kind, VIRT_EVENT_REMOVED);
    assert_int_equal(clock.slept, 30);
    assert_int_equal(heard(40).kind, VIRT_EVENT_STOPPED);
    assert_int_equal(clock.slept, 70);
    assert_string_equal(double_virt_calls(hypervisor), "watch windows\n");
}

#define DOUBLE_TEST(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        DOUBLE_TEST(attaches_and_detaches),
        DOUBLE_TEST(refuses_as_libvirt_does),
        DOUBLE_TEST(gives_and_lists_xml),
        DOUBLE_TEST(fails_when_told),
        DOUBLE_TEST(changes_the_world_in_between),
        DOUBLE_TEST(keeps_what_a_deaf_guest_holds),
        DOUBLE_TEST(tells_of_the_watched_vm_alone),
        DOUBLE_TEST(begins_to_watch_anew),
        DOUBLE_TEST(lets_time_go_by),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
