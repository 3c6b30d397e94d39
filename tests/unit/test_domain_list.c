/* Which running VMs may hold a device. */
#include "engine/libvirt/domain_list.h"
#include "tests/unit/double_virt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRIGATE "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define WINDOWS "00000000-0000-4000-8000-000000000002"
#define OFF "00000000-0000-4000-8000-000000000003"

static struct double_virt *hypervisor;
static struct domain_list others;
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
    assert_int_equal(domain_list_running(&others, double_virt_port(hypervisor),
                                         "4DEA22B3-1D52-D8F3-2516-782E98AB3FA0", &error),
                     0);
    assert_int_equal(others.count, 1);
    assert_string_equal(others.list[0].name, "windows");
    domain_list_finish(&others);
    assert_int_equal(others.count, 0);
}

static void all_when_one_has_no_uuid(void **state) {
    (void)state;
    assert_int_equal(domain_list_running(&others, double_virt_port(hypervisor), NULL, &error), 0);
    assert_int_equal(others.count, 2);
    domain_list_finish(&others);
}

static void a_failure_is_passed_on(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_LIST, 1, VIRT_UNREACHABLE, "gone");
    assert_int_equal(domain_list_running(&others, double_virt_port(hypervisor), FRIGATE, &error),
                     -1);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    assert_string_equal(error.failure.message, "gone");
    assert_int_equal(others.count, 0);
    domain_list_finish(&others);
}

static int list_five(struct virt *virt, struct virt_domain **vms, size_t *count,
                     struct virt_error *why) {
    (void)virt;
    (void)why;
    *count = 5;
    *vms = calloc(5, sizeof **vms);
    assert_non_null(*vms);
    for (size_t i = 0; i < 5; i++)
        snprintf((*vms)[i].uuid, sizeof(*vms)[i].uuid, "00000000-0000-4000-8000-00000000000%zu", i);
    strcpy((*vms)[0].uuid, FRIGATE);
    strcpy((*vms)[1].uuid, WINDOWS);
    return 0;
}

/* One is not a domain, one is not given, and one is gone. The own VM, which comes first, is not
 * read: it may have a job. */
static int read_rubbish(struct virt *virt, struct virt_domain *vms, size_t count,
                        struct virt_error *why) {
    (void)virt;
    (void)why;
    assert_int_equal(count, 4);
    assert_string_equal(vms[0].uuid, WINDOWS);
    vms[0].xml = strdup("<domain><na");
    vms[1].xml = strdup("<domain><name>good</name></domain>");
    vms[2].why = strdup("another job");
    return 0;
}

static int read_half(struct virt *virt, struct virt_domain *vms, size_t count,
                     struct virt_error *why) {
    (void)virt;
    (void)count;
    vms[0].xml = strdup("<domain><name>good</name></domain>");
    return virt_error_set(why, VIRT_UNREACHABLE, "", "gone");
}

/* It may have anything, so it must not look as if it had nothing. */
static void xml_that_cannot_be_read_is_kept_as_such(void **state) {
    (void)state;
    static const struct virt_ops ops = {.list = list_five, .read = read_rubbish};
    struct virt virt = {&ops};
    assert_int_equal(domain_list_running(&others, &virt, FRIGATE, &error), 0);
    assert_int_equal(others.count, 3);
    assert_string_equal(others.list[0].name, WINDOWS);
    assert_false(others.list[0].is_unread); /* it stays so */
    assert_non_null(strstr(others.list[0].unreadable, "line 1: the domain XML ends before"));
    assert_string_equal(others.list[1].name, "good");
    assert_null(others.list[1].unreadable);
    assert_string_equal(others.list[2].uuid, "00000000-0000-4000-8000-000000000003");
    assert_string_equal(others.list[2].unreadable, "another job");
    assert_true(others.list[2].is_unread);
    domain_list_finish(&others);
}

static void a_connection_that_is_lost_meanwhile(void **state) {
    (void)state;
    static const struct virt_ops ops = {
        .list = list_five, .list_all = list_five, .read = read_half};
    struct virt virt = {&ops};
    assert_int_equal(domain_list_running(&others, &virt, FRIGATE, &error), -1);
    assert_int_equal(others.count, 0);
    assert_int_equal(domain_list_all(&others, &virt, &error), -1);
    assert_int_equal(others.count, 0);
}

/* --- of a copy of a host */

static char root[64];

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/run/libvirt/qemu/%s", root, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int make_root(void **state) {
    char command[256];
    (void)state;
    snprintf(root, sizeof root, "/tmp/test_others.XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(command, sizeof command, "mkdir -p %s/run/libvirt/qemu", root);
    return system(command);
}

static int remove_root(void **state) {
    char command[256];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

#define STATUS(STATE, NAME)                                                                        \
    "<domstatus state='" STATE "'><domain id='3'><name>" NAME "</name></domain></domstatus>"

static void running_vms_of_a_tree(void **state) {
    struct domain own, taken;
    (void)state;
    put("a.xml", STATUS("running", "a"));
    put("b.xml", STATUS("paused", "b"));
    put("c.xml", STATUS("shutoff", "c"));
    put("d.xml", "<domstatus state='running'><dom");
    put("e.pid", "12");
    domain_from_name(&own, "a");
    domain_list_running_in(&others, root, NULL);
    assert_int_equal(others.count, 3);
    assert_string_equal(others.list[0].name, "a");
    assert_string_equal(others.list[1].name, "b");
    assert_string_equal(others.list[2].name, "d");
    assert_non_null(strstr(others.list[2].unreadable, "/run/libvirt/qemu/d.xml: line 1: "));
    assert_false(domain_list_take(&others, "c", &taken));
    assert_false(domain_list_take(&others, "d", &taken)); /* of it only the name is known */
    assert_true(domain_list_take(&others, "a", &taken));
    assert_int_equal(taken.id, 3);
    assert_int_equal(others.count, 2);
    domain_finish(&taken);
    domain_list_finish(&others);
    domain_list_running_in(&others, root, &own);
    assert_int_equal(others.count, 2);
    assert_string_equal(others.list[0].name, "b");
    domain_list_finish(&others);
    domain_finish(&own);
}

/* /var/run may be a directory of its own; a link would lead out of the copy of a host. */
static void running_vms_in_var_run(void **state) {
    char command[512];
    (void)state;
    snprintf(command, sizeof command,
             "mkdir -p %s/var %s/elsewhere/libvirt/qemu && ln -s %s/elsewhere %s/var/run", root,
             root, root, root);
    assert_int_equal(system(command), 0);
    put("../../../elsewhere/libvirt/qemu/v.xml", STATUS("running", "v"));
    put("a.xml", STATUS("running", "a"));
    domain_list_running_in(&others, root, NULL);
    assert_int_equal(others.count, 1);
    domain_list_finish(&others);
    snprintf(command, sizeof command, "rm %s/var/run && mv %s/elsewhere %s/var/run", root, root,
             root);
    assert_int_equal(system(command), 0);
    domain_list_running_in(&others, root, NULL);
    assert_int_equal(others.count, 2);
    assert_string_equal(others.list[0].name, "a");
    assert_string_equal(others.list[1].name, "v");
    domain_list_finish(&others);
}

/* A running VM is as it runs, not as it is defined. */
static void all_vms_of_a_tree(void **state) {
    static const char defined[] = "<domain><name>a</name></domain>";
    char path[256];
    struct domain_list vms;
    (void)state;
    snprintf(path, sizeof path, "mkdir -p %s/etc/libvirt/qemu", root);
    assert_int_equal(system(path), 0);
    put("../../../etc/libvirt/qemu/a.xml", defined);
    put("../../../etc/libvirt/qemu/z.xml", "<domain><name>z</name></domain>");
    put("../../../etc/libvirt/qemu/b.xml", "<domain><name>b</na");
    put("a.xml", STATUS("running", "a"));
    put("t.xml", STATUS("running", "t")); /* transient */
    assert_true(domain_list_all_in(&vms, root));
    assert_int_equal(vms.count, 4);
    assert_string_equal(vms.list[0].name, "a");
    assert_int_equal(vms.list[0].id, 3);
    assert_string_equal(vms.list[1].name, "t");
    assert_string_equal(vms.list[2].name, "b"); /* not left out */
    assert_non_null(vms.list[2].unreadable);
    assert_string_equal(vms.list[3].name, "z");
    assert_int_equal(vms.list[3].id, -1);
    domain_list_finish(&vms);
    assert_false(domain_list_all_in(&vms, "/nowhere"));
}

/* A name comes before a title, and a title that two have means neither. */
static void a_vm_of_a_tree_by_its_title(void **state) {
#define TITLED(NAME, TITLE) "<domain id='1'><name>" NAME "</name><title>" TITLE "</title></domain>"
    struct domain taken;
    (void)state;
    put("a.xml", TITLED("a", "NVR"));
    put("b.xml", TITLED("b", "NVR"));
    put("c.xml", TITLED("c", "d"));
    put("d.xml", TITLED("d", "e"));
    domain_list_running_in(&others, root, NULL);
    assert_false(domain_list_take(&others, "NVR", &taken));
    assert_true(domain_list_take(&others, "d", &taken));
    assert_string_equal(taken.name, "d");
    domain_finish(&taken);
    assert_true(domain_list_take(&others, "d", &taken)); /* now it is the title of one */
    assert_string_equal(taken.name, "c");
    domain_finish(&taken);
    assert_int_equal(others.count, 2);
    domain_list_finish(&others);
}

static void a_tree_without_running_vms(void **state) {
    (void)state;
    domain_list_running_in(&others, "/nowhere", NULL);
    assert_int_equal(others.count, 0);
    domain_list_finish(&others);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(running_ones_without_oneself),
        TEST(all_when_one_has_no_uuid),
        TEST(a_failure_is_passed_on),
        TEST(xml_that_cannot_be_read_is_kept_as_such),
        TEST(a_connection_that_is_lost_meanwhile),
        cmocka_unit_test_setup_teardown(running_vms_of_a_tree, make_root, remove_root),
        cmocka_unit_test_setup_teardown(running_vms_in_var_run, make_root, remove_root),
        cmocka_unit_test_setup_teardown(all_vms_of_a_tree, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_vm_of_a_tree_by_its_title, make_root, remove_root),
        TEST(a_tree_without_running_vms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
