/* Which running VMs may hold a device. */
#include "engine/others.h"
#include "tests/unit/double_virt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRIGATE "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define WINDOWS "00000000-0000-4000-8000-000000000002"
#define OFF "00000000-0000-4000-8000-000000000003"

static struct double_virt *hypervisor;
static struct others others;
static struct virt_error error;

static int set_up(void **state) {
    (void)state;
    hypervisor = double_virt_create();
    double_virt_add(hypervisor, FRIGATE, "frigate", NULL);
    double_virt_add(hypervisor, WINDOWS, "windows", NULL);
    double_virt_add(hypervisor, OFF, "off", NULL);
    double_virt_stop(hypervisor, OFF);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    double_virt_destroy(hypervisor);
    return 0;
}

static void running_ones_without_oneself(void **state) {
    (void)state;
    assert_int_equal(others_load(&others, double_virt_port(hypervisor),
                                 "4DEA22B3-1D52-D8F3-2516-782E98AB3FA0", &error),
                     0);
    assert_int_equal(others.count, 1);
    assert_string_equal(others.list[0].name, "windows");
    others_finish(&others);
    assert_int_equal(others.count, 0);
}

static void all_when_one_has_no_uuid(void **state) {
    (void)state;
    assert_int_equal(others_load(&others, double_virt_port(hypervisor), NULL, &error), 0);
    assert_int_equal(others.count, 2);
    others_finish(&others);
}

static void a_failure_is_passed_on(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_LIST, 1, VIRT_UNREACHABLE, "gone");
    assert_int_equal(others_load(&others, double_virt_port(hypervisor), FRIGATE, &error), -1);
    assert_int_equal(error.failure, VIRT_UNREACHABLE);
    assert_string_equal(error.message, "gone");
    assert_int_equal(others.count, 0);
    others_finish(&others);
}

/* A hypervisor whose list holds what is no domain. */
static int list_rubbish(struct virt *virt, struct virt_vm **vms, size_t *count,
                        struct virt_error *why) {
    (void)virt;
    (void)why;
    *count = 2;
    *vms = calloc(2, sizeof **vms);
    assert_non_null(*vms);
    (*vms)[0].xml = strdup("<domain><na");
    (*vms)[1].xml = strdup("<domain><name>good</name></domain>");
    return 0;
}

static void xml_that_cannot_be_read_is_left_out(void **state) {
    (void)state;
    static const struct virt_ops ops = {.list = list_rubbish};
    struct virt virt = {&ops};
    assert_int_equal(others_load(&others, &virt, FRIGATE, &error), 0);
    assert_int_equal(others.count, 1);
    assert_string_equal(others.list[0].name, "good");
    others_finish(&others);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(running_ones_without_oneself),
        TEST(all_when_one_has_no_uuid),
        TEST(a_failure_is_passed_on),
        TEST(xml_that_cannot_be_read_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
