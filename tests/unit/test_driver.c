/* Taking a device from its host driver and giving it back, on a copy of a sample host. */
#include "engine/host/driver.h"
#include "engine/host/sriov.h"
#include "tests/unit/sample.h"

#include <sys/stat.h>
#include <unistd.h>

#define FIRST "0000:03:00.0"
#define UNBIND "/sys/bus/pci/drivers/apex/unbind"
#define PROBE "/sys/bus/pci/drivers_probe"

static char root[64];
static struct host host;
static struct device *first;
static struct failure failure;

static void shell(const char *format) {
    char command[512];
    snprintf(command, sizeof command, "cd %s && %s", root, format);
    if (system(command) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", command);
}

static const char *path_of(const char *path) {
    static char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    return full;
}

static const char *text_of(const char *path) {
    static char text[128];
    FILE *in = fopen(path_of(path), "re");
    if (!in)
        return "-";
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    return text;
}

static int set_up(void **state) {
    char command[256];
    (void)state;
    snprintf(root, sizeof root, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(command, sizeof command, "cp -a tests/hosts/dual-tpu/. %s", root);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
    shell("mkdir -p sys/bus/pci/drivers/apex proc/sys/kernel");
    shell(": >sys/bus/pci/drivers/apex/unbind; : >sys/bus/pci/drivers_probe");
    sample_host(&host, root);
    first = (struct device *)host_find(&host, BUS_PCI, FIRST);
    assert_non_null(first);
    *failure.message = '\0';
    return 0;
}

static int tear_down(void **state) {
    char command[128];
    (void)state;
    host_finish(&host);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command); /* NOLINT(cert-env33-c) */
}

static int release(void) {
    return driver_unbind(&host, first, &failure);
}

static int give_back(void) {
    return driver_probe(&host, first, &failure);
}

static void release_writes_the_address(void **state) {
    (void)state;
    assert_int_equal(release(), 0);
    assert_string_equal(text_of(UNBIND), FIRST);
    assert_string_equal(text_of(PROBE), "");
}

static void another_driver_is_left_alone(void **state) {
    (void)state;
    shell("mkdir sys/bus/pci/drivers/vfio-pci; : >sys/bus/pci/drivers/vfio-pci/unbind");
    shell("ln -sfn ../../../../../../bus/pci/drivers/vfio-pci sys/bus/pci/devices/" FIRST
          "/driver");
    assert_int_equal(release(), 0);
    assert_string_equal(text_of(UNBIND), "");
    assert_string_equal(text_of("/sys/bus/pci/drivers/vfio-pci/unbind"), "");
}

/* Unbinds from the driver that was read, not from the one that the device has by now: that may be
 * vfio-pci, for another VM. */
static void the_driver_that_was_seen_is_told(void **state) {
    (void)state;
    shell("mkdir -p sys/moved/apex; : >sys/moved/apex/unbind");
    shell("ln -sfn ../../../../../../moved/apex sys/bus/pci/devices/" FIRST "/driver");
    assert_int_equal(release(), 0);
    assert_string_equal(text_of(UNBIND), FIRST);
    assert_string_equal(text_of("/sys/moved/apex/unbind"), "");
}

static void a_device_without_driver_is_released(void **state) {
    (void)state;
    shell("rm sys/bus/pci/devices/" FIRST "/driver");
    assert_int_equal(release(), 0);
    assert_string_equal(text_of(UNBIND), "");
}

static void what_the_host_uses_is_never_released(void **state) {
    (void)state;
    first->use = memory_strdup("mounts / from it");
    assert_int_equal(release(), 0);
    assert_string_equal(text_of(UNBIND), "");
    free(first->use);
    first->use = NULL;
    first->is_bridge = true;
    assert_int_equal(release(), 0);
    assert_string_equal(text_of(UNBIND), "");
}

static void a_driver_that_does_not_let_go(void **state) {
    (void)state;
    shell("rm sys/bus/pci/drivers/apex/unbind; mkdir sys/bus/pci/drivers/apex/unbind");
    assert_int_equal(release(), -1);
    assert_string_equal(failure.message,
                        "the host driver apex cannot be unbound from " FIRST ": Is a directory");
}

/* Linux has it so only while the device goes. */
static void no_unbind_means_it_has_gone(void **state) {
    (void)state;
    shell("rm sys/bus/pci/drivers/apex/unbind");
    assert_int_equal(release(), 0);
}

static void a_link_does_not_lead_out_of_the_root(void **state) {
    (void)state;
    shell("rm sys/bus/pci/devices/" FIRST "/driver; : >$PWD.outside");
    shell("ln -sfn $PWD.outside sys/bus/pci/drivers_probe");
    assert_int_equal(give_back(), -1);
    shell("test ! -s $PWD.outside && rm $PWD.outside");
}

static void give_back_probes(void **state) {
    (void)state;
    shell("rm sys/bus/pci/devices/" FIRST "/driver");
    assert_int_equal(give_back(), 0);
    assert_string_equal(text_of(PROBE), FIRST);
    assert_string_equal(text_of(UNBIND), "");
}

static void what_has_a_driver_is_not_probed(void **state) {
    (void)state;
    assert_int_equal(give_back(), 0);
    assert_string_equal(text_of(PROBE), "");
}

static void a_probe_that_fails(void **state) {
    (void)state;
    shell("rm sys/bus/pci/devices/" FIRST "/driver sys/bus/pci/drivers_probe");
    assert_int_equal(give_back(), -1);
    assert_string_equal(failure.message,
                        "no driver could be found for " FIRST ": No such file or directory");
}

/* --- what is left on vfio's driver */

#define OVERRIDE "/sys/bus/pci/devices/" FIRST "/driver_override"
#define VFIO_UNBIND "/sys/bus/pci/drivers/vfio-pci/unbind"

static void leave_on_vfio(const char *override) {
    FILE *out = fopen(path_of(OVERRIDE), "we");
    assert_non_null(out);
    fputs(override, out);
    fclose(out);
    shell("mkdir sys/bus/pci/drivers/vfio-pci; : >sys/bus/pci/drivers/vfio-pci/unbind");
    shell("ln -sfn ../../../../../../bus/pci/drivers/vfio-pci sys/bus/pci/devices/" FIRST
          "/driver");
}

static int reclaim(void) {
    return driver_rebind(&host, first, &failure);
}

static void reclaim_takes_it_from_vfio(void **state) {
    (void)state;
    leave_on_vfio("vfio-pci\n");
    assert_int_equal(reclaim(), 0);
    assert_string_equal(text_of(VFIO_UNBIND), FIRST);
    assert_string_equal(text_of(PROBE), FIRST);
    assert_string_equal(text_of(OVERRIDE), "\nfio-pci\n"); /* a file; sysfs has what came last */
}

static void another_override_stays(void **state) {
    (void)state;
    leave_on_vfio("apex\n");
    assert_int_equal(reclaim(), 0);
    assert_string_equal(text_of(OVERRIDE), "apex\n");
    assert_string_equal(text_of(PROBE), FIRST);
}

static void a_kernel_without_override(void **state) {
    (void)state;
    leave_on_vfio("");
    shell("rm sys/bus/pci/devices/" FIRST "/driver_override");
    assert_int_equal(reclaim(), 0);
    assert_string_equal(text_of(VFIO_UNBIND), FIRST);
}

/* Something else lies over the attribute, and has no end: no more is read than an attribute has. */
static void an_override_without_an_end(void **state) {
    (void)state;
    leave_on_vfio("vfio-pci\n");
    shell("truncate -s 1T sys/bus/pci/devices/" FIRST "/driver_override");
    assert_int_equal(reclaim(), 0);
    assert_string_equal(text_of(PROBE), FIRST);
}

static void only_vfio_is_taken_from(void **state) {
    (void)state;
    assert_int_equal(reclaim(), 0);
    assert_string_equal(text_of(UNBIND), "");
    assert_string_equal(text_of(PROBE), "");
    shell("rm sys/bus/pci/devices/" FIRST "/driver");
    assert_int_equal(reclaim(), 0);
    assert_string_equal(text_of(PROBE), "");
}

static void vfio_that_does_not_let_go(void **state) {
    (void)state;
    leave_on_vfio("vfio-pci\n");
    shell("rm sys/bus/pci/drivers/vfio-pci/unbind; mkdir sys/bus/pci/drivers/vfio-pci/unbind");
    assert_int_equal(reclaim(), -1);
    assert_string_equal(failure.message,
                        "vfio-pci cannot be unbound from " FIRST ": Is a directory");
    assert_string_equal(text_of(PROBE), "");
}

/* libvirt was killed after it had said so, and before it looked for a driver. */
static void an_override_does_not_outlive_the_giving_back(void **state) {
    (void)state;
    leave_on_vfio("vfio-pci\n");
    shell("rm sys/bus/pci/devices/" FIRST "/driver");
    assert_int_equal(give_back(), 0);
    assert_string_equal(text_of(OVERRIDE), "\nfio-pci\n");
    assert_string_equal(text_of(PROBE), FIRST);
}

static void the_names_of_vfio(void **state) {
    (void)state;
    assert_true(driver_is_vfio("vfio-pci"));
    assert_true(driver_is_vfio("mlx5_vfio_pci"));
    assert_false(driver_is_vfio("pci-stub"));
    assert_false(driver_is_vfio(""));
}

static void assert_user(const char *wanted) {
    char *user = driver_group_user(&host, first);
    if (wanted)
        assert_string_equal(user, wanted);
    else
        assert_null(user);
    free(user);
}

static void open_in_a_process(const char *file) {
    char command[256];
    snprintf(command, sizeof command, "ln -sfn '%s' proc/4242/fd/9", file);
    shell(command);
}

static void who_has_the_group_open(void **state) {
    char file[64];
    int group = first->iommu_group;
    (void)state;
    assert_true(group >= 0);
    assert_user(NULL);
    shell("mkdir -p proc/17/fd proc/4242/fd; echo qemu >proc/4242/comm; ln -s x proc/17/fd/0");
    open_in_a_process("/dev/null");
    assert_user(NULL);
    snprintf(file, sizeof file, "/dev/vfio/%d", group);
    open_in_a_process(file);
    assert_user("qemu (process 4242)");
    snprintf(file, sizeof file, "/dev/vfio/%d (deleted)", group);
    open_in_a_process(file);
    assert_user("qemu (process 4242)");
    snprintf(file, sizeof file, "/dev/vfio/noiommu-%d", group);
    open_in_a_process(file);
    assert_user("qemu (process 4242)");
    snprintf(file, sizeof file, "/dev/vfio/%d1", group);
    open_in_a_process(file);
    assert_user(NULL);
    open_in_a_process("/dev/vfio/vfio");
    assert_user(NULL);
}

static void who_has_the_device_open(void **state) {
    (void)state;
    shell("mkdir -p proc/4242/fd");
    open_in_a_process("/dev/vfio/devices/vfio3");
    assert_user(NULL);
    shell("mkdir -p sys/bus/pci/devices/" FIRST "/vfio-dev/vfio3");
    assert_user("a program (process 4242)");
}

/* Another user's; root sees all. A file in its place fails, too. */
static void files_that_cannot_be_seen(void **state) {
    (void)state;
    shell("mkdir -p proc/4242; : >proc/4242/fd");
    assert_user("perhaps process 4242, whose files cannot be seen (Not a directory),");
}

static void assert_may_split(const char *release_text, bool may) {
    FILE *out = fopen(path_of("/proc/sys/kernel/osrelease"), "we");
    assert_non_null(out);
    fputs(release_text, out);
    fclose(out);
    if (driver_may_split_group(&host) != may)
        fail_msg("%s", release_text);
}

static void only_a_newer_kernel_takes_a_group_apart(void **state) {
    (void)state;
    assert_false(driver_may_split_group(&host));
    assert_may_split("4.4.302+\n", false);
    assert_may_split("5.10.55\n", false);
    assert_may_split("5.18.0-rc1\n", false);
    assert_may_split("5.19.0\n", true);
    assert_may_split("6.1.0-56-amd64\n", true);
    assert_may_split("10.0\n", true);
    assert_may_split("", false);
    assert_may_split("six\n", false);
}

/* --- binding to a driver of its own */

static int bind_to(const char *driver) {
    return driver_bind(&host, first, driver, &failure);
}

static void binding_leaves_the_name(void **state) {
    (void)state;
    shell(": >sys/bus/pci/devices/" FIRST "/driver_override");
    assert_int_equal(bind_to("vfio-pci"), 0);
    assert_string_equal(text_of(OVERRIDE), "vfio-pci");
    assert_string_equal(text_of(UNBIND), FIRST);
    assert_string_equal(text_of(PROBE), FIRST);
}

static void a_device_without_driver_is_bound(void **state) {
    (void)state;
    shell(": >sys/bus/pci/devices/" FIRST "/driver_override; rm sys/bus/pci/devices/" FIRST
          "/driver");
    assert_int_equal(bind_to("vfio-pci"), 0);
    assert_string_equal(text_of(OVERRIDE), "vfio-pci");
    assert_string_equal(text_of(UNBIND), "");
    assert_string_equal(text_of(PROBE), FIRST);
}

static void what_has_the_driver_keeps_it(void **state) {
    (void)state;
    shell(": >sys/bus/pci/devices/" FIRST "/driver_override");
    assert_int_equal(bind_to("apex"), 0);
    assert_string_equal(text_of(OVERRIDE), "apex");
    assert_string_equal(text_of(UNBIND), "");
    assert_string_equal(text_of(PROBE), "");
}

/* Without a name the kernel chooses, for a device that has no driver. */
static void the_name_is_taken_away(void **state) {
    (void)state;
    shell(": >sys/bus/pci/devices/" FIRST "/driver_override");
    assert_int_equal(bind_to(NULL), 0);
    assert_string_equal(text_of(OVERRIDE), "\n");
    assert_string_equal(text_of(UNBIND), "");
    assert_string_equal(text_of(PROBE), "");
    shell("rm sys/bus/pci/devices/" FIRST "/driver");
    assert_int_equal(bind_to(NULL), 0);
    assert_string_equal(text_of(PROBE), FIRST);
}

static void a_kernel_that_keeps_no_name(void **state) {
    (void)state;
    assert_int_equal(bind_to("vfio-pci"), -1);
    assert_string_equal(failure.message, "driver_override of " FIRST
                                         " cannot be written: No such file or directory");
    assert_string_equal(text_of(UNBIND), "");
    assert_string_equal(text_of(PROBE), "");
}

static void a_driver_that_is_slow_to_release(void **state) {
    (void)state;
    shell(": >sys/bus/pci/devices/" FIRST "/driver_override; rm sys/bus/pci/drivers/apex/unbind; "
          "mkfifo sys/bus/pci/drivers/apex/unbind");
    setenv("VIRT_RULES_ANSWER_MS", "20", 1);
    assert_int_equal(bind_to("vfio-pci"), HOST_LATE);
    unsetenv("VIRT_RULES_ANSWER_MS");
    assert_string_equal(failure.message, "the driver apex has not released " FIRST " for 1 s");
    assert_string_equal(text_of(PROBE), "");
}

static void what_is_gone_is_not_bound(void **state) {
    (void)state;
    shell("rm sys/bus/pci/devices/" FIRST);
    assert_int_equal(bind_to("vfio-pci"), -1);
    assert_string_equal(failure.message, FIRST " is gone");
}

static void which_drivers_there_are(void **state) {
    (void)state;
    assert_true(driver_is_loaded(&host.source, "apex"));
    assert_false(driver_is_loaded(&host.source, "vfio-pci"));
    assert_int_equal(driver_load(&host.source, "vfio-pci", &failure), -1);
    assert_string_equal(failure.message, "no module can be loaded in a copy of a host");
}

/* --- virtual functions */

#define NUMBER "/sys/bus/pci/devices/" FIRST "/sriov_numvfs"

static void functions_are_created(void **state) {
    (void)state;
    shell("printf 0 >sys/bus/pci/devices/" FIRST "/sriov_numvfs");
    assert_int_equal(sriov_create(&host, first, 4, &failure), 0);
    assert_string_equal(text_of(NUMBER), "4");
}

static void functions_that_cannot_be_created(void **state) {
    (void)state;
    assert_int_equal(sriov_create(&host, first, 4, &failure), -1);
    assert_string_equal(failure.message,
                        "4 virtual functions cannot be created: No such file or directory");
    assert_non_null(strstr(failure.hint, "its driver creates no virtual functions"));
    shell("mkfifo sys/bus/pci/devices/" FIRST "/sriov_numvfs");
    setenv("VIRT_RULES_ANSWER_MS", "20", 1);
    assert_int_equal(sriov_create(&host, first, 4, &failure), HOST_LATE);
    unsetenv("VIRT_RULES_ANSWER_MS");
    assert_non_null(strstr(failure.message, "apex has not created 4 virtual functions for 1 s"));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

/* A FIFO that nobody reads is a file whose writer waits. */
static void a_driver_that_does_not_release(void **state) {
    (void)state;
    shell("rm sys/bus/pci/drivers/apex/unbind; mkfifo sys/bus/pci/drivers/apex/unbind");
    setenv("VIRT_RULES_ANSWER_MS", "20", 1);
    assert_int_equal(release(), HOST_LATE);
    unsetenv("VIRT_RULES_ANSWER_MS");
    assert_string_equal(failure.message, "the host driver apex has not released " FIRST
                                         " for 1 s: a program has the device open");
    shell("rm sys/bus/pci/drivers_probe; mkfifo sys/bus/pci/drivers_probe; "
          "rm -f sys/bus/pci/devices/" FIRST "/driver");
    setenv("VIRT_RULES_ANSWER_MS", "20", 1);
    assert_int_equal(give_back(), -1);
    unsetenv("VIRT_RULES_ANSWER_MS");
    assert_non_null(strstr(failure.message, "timed out"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(release_writes_the_address),
        TEST(another_driver_is_left_alone),
        TEST(the_driver_that_was_seen_is_told),
        TEST(a_device_without_driver_is_released),
        TEST(what_the_host_uses_is_never_released),
        TEST(a_driver_that_does_not_let_go),
        TEST(no_unbind_means_it_has_gone),
        TEST(a_link_does_not_lead_out_of_the_root),
        TEST(give_back_probes),
        TEST(what_has_a_driver_is_not_probed),
        TEST(a_probe_that_fails),
        TEST(reclaim_takes_it_from_vfio),
        TEST(another_override_stays),
        TEST(a_kernel_without_override),
        TEST(an_override_without_an_end),
        TEST(only_vfio_is_taken_from),
        TEST(vfio_that_does_not_let_go),
        TEST(an_override_does_not_outlive_the_giving_back),
        TEST(the_names_of_vfio),
        TEST(who_has_the_group_open),
        TEST(who_has_the_device_open),
        TEST(files_that_cannot_be_seen),
        TEST(only_a_newer_kernel_takes_a_group_apart),
        TEST(a_driver_that_does_not_release),
        TEST(binding_leaves_the_name),
        TEST(a_device_without_driver_is_bound),
        TEST(what_has_the_driver_keeps_it),
        TEST(the_name_is_taken_away),
        TEST(a_kernel_that_keeps_no_name),
        TEST(a_driver_that_is_slow_to_release),
        TEST(what_is_gone_is_not_bound),
        TEST(which_drivers_there_are),
        TEST(functions_are_created),
        TEST(functions_that_cannot_be_created),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
