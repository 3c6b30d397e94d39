/* Taking a device from its host driver and giving it back, on a copy of a sample host. */
#include "tests/unit/sample.h"

#include <sys/stat.h>
#include <unistd.h>

#define FIRST "0000:03:00.0"
#define UNBIND "/sys/bus/pci/drivers/apex/unbind"
#define PROBE "/sys/bus/pci/drivers_probe"

static char root[64];
static struct host host;
static struct host_device *first;
static char error[512];

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
    assert_int_equal(host_init(&host, root, error, sizeof error), 0);
    first = (struct host_device *)host_find(&host, BUS_PCI, FIRST);
    assert_non_null(first);
    *error = '\0';
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
    return host_release(&host, first, error, sizeof error);
}

static int give_back(void) {
    return host_give_back(&host, first, error, sizeof error);
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
    assert_string_equal(error,
                        "the host's driver apex does not let go of " FIRST ": Is a directory");
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
    assert_string_equal(error, "no driver could be found for " FIRST ": No such file or directory");
}

static void assert_may_split(const char *release_text, bool may) {
    FILE *out = fopen(path_of("/proc/sys/kernel/osrelease"), "we");
    assert_non_null(out);
    fputs(release_text, out);
    fclose(out);
    if (host_may_split_group(&host) != may)
        fail_msg("%s", release_text);
}

static void only_a_newer_kernel_takes_a_group_apart(void **state) {
    (void)state;
    assert_false(host_may_split_group(&host));
    assert_may_split("4.4.302+\n", false);
    assert_may_split("5.10.55\n", false);
    assert_may_split("5.18.0-rc1\n", false);
    assert_may_split("5.19.0\n", true);
    assert_may_split("6.1.0-56-amd64\n", true);
    assert_may_split("10.0\n", true);
    assert_may_split("", false);
    assert_may_split("six\n", false);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(release_writes_the_address),
        TEST(another_driver_is_left_alone),
        TEST(a_device_without_driver_is_released),
        TEST(what_the_host_uses_is_never_released),
        TEST(a_driver_that_does_not_let_go),
        TEST(no_unbind_means_it_has_gone),
        TEST(a_link_does_not_lead_out_of_the_root),
        TEST(give_back_probes),
        TEST(what_has_a_driver_is_not_probed),
        TEST(a_probe_that_fails),
        TEST(only_a_newer_kernel_takes_a_group_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
