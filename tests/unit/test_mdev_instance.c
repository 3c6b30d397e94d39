/* Creating and removing mediated devices, and who has one open, on a copy of a sample host. */
#include "engine/host/mdev_instance.h"
#include "engine/host/source_sysfs.h"
#include "tests/unit/sample.h"

#include <unistd.h>

#define GPU "0000:41:00.0"
#define UUID "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d40"
#define NEW "8a0e7d2c-55b1-4c56-9d3e-000000000001"
#define CREATE "sys/bus/pci/devices/" GPU "/mdev_supported_types/nvidia-63/create"
#define REMOVE "sys/bus/mdev/devices/" UUID "/remove"

static char root[64];
static struct host_source source;
static struct failure failure;
static struct device gpu = {.bus = BUS_PCI, .address = (char *)GPU, .driver = (char *)"nvidia"};

static void shell(const char *text) {
    char command[512];
    snprintf(command, sizeof command, "cd %s && %s", root, text);
    if (system(command) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", command);
}

static const char *text_of(const char *path) {
    static char text[128];
    char full[256];
    snprintf(full, sizeof full, "%s/%s", root, path);
    FILE *in = fopen(full, "re");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    return text;
}

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(root));
    source = source_sysfs(root);
    char command[256];
    snprintf(command, sizeof command, "cp -a tests/hosts/vgpu/. %s", root);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
    failure = (struct failure){.message = ""};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command); /* NOLINT(cert-env33-c) */
}

static void what_is_there_is_found(void **state) {
    (void)state;
    char *parent = NULL, *type = NULL;
    assert_true(mdev_instance_find(&source, UUID, &parent, &type));
    assert_string_equal(parent, "0000:61:00.0");
    assert_string_equal(type, "nvidia-63");
    free(parent);
    free(type);
    assert_false(mdev_instance_find(&source, NEW, &parent, &type));
    assert_null(parent);
    assert_null(type);
}

static void create_writes_the_uuid(void **state) {
    (void)state;
    shell(": >" CREATE);
    assert_int_equal(mdev_instance_create(&source, &gpu, "nvidia-63", NEW, &failure), 0);
    assert_string_equal(text_of(CREATE), NEW);
}

static void a_type_that_is_gone(void **state) {
    (void)state;
    assert_int_equal(mdev_instance_create(&source, &gpu, "nvidia-99", NEW, &failure), -1);
    assert_non_null(
        strstr(failure.message, "the driver nvidia did not create a nvidia-99 on " GPU));
    assert_non_null(strstr(failure.hint, "virt-rules devices"));
}

static void a_driver_that_does_not_answer(void **state) {
    (void)state;
    shell("mkfifo " CREATE " " REMOVE);
    setenv("VIRT_RULES_ANSWER_MS", "20", 1);
    assert_int_equal(mdev_instance_create(&source, &gpu, "nvidia-63", NEW, &failure), HOST_LATE);
    assert_non_null(strstr(failure.message, "has not created a nvidia-63"));
    assert_int_equal(mdev_instance_remove(&source, UUID, &failure), HOST_LATE);
    assert_non_null(strstr(failure.message, "has not removed the mediated device " UUID));
    unsetenv("VIRT_RULES_ANSWER_MS");
}

static void remove_writes_one(void **state) {
    (void)state;
    shell(": >" REMOVE);
    assert_int_equal(mdev_instance_remove(&source, UUID, &failure), 0);
    assert_string_equal(text_of(REMOVE), "1");
    /* It has gone meanwhile. */
    assert_int_equal(mdev_instance_remove(&source, NEW, &failure), 0);
    shell("rm " REMOVE " && mkdir " REMOVE);
    assert_int_equal(mdev_instance_remove(&source, UUID, &failure), -1);
    assert_non_null(strstr(failure.message, UUID " cannot be removed"));
}

static void assert_user(const char *wanted) {
    char *user = mdev_instance_user(&source, UUID);
    if (wanted)
        assert_string_equal(user, wanted);
    else
        assert_null(user);
    free(user);
}

static void who_has_it_open(void **state) {
    (void)state;
    shell(
        "mkdir -p proc/4242/fd && echo qemu >proc/4242/comm && ln -s /dev/vfio/13 proc/4242/fd/9");
    assert_user(NULL); /* it is in no group */
    shell("ln -s ../../../../../kernel/iommu_groups/14 sys/bus/mdev/devices/" UUID "/iommu_group");
    assert_user(NULL);
    shell("ln -sfn ../../../../../kernel/iommu_groups/13 sys/bus/mdev/devices/" UUID
          "/iommu_group");
    assert_user("qemu (process 4242)");
    shell("rm sys/bus/mdev/devices/" UUID "/iommu_group && mkdir -p sys/bus/mdev/devices/" UUID
          "/vfio-dev/vfio7 && ln -sfn /dev/vfio/devices/vfio7 proc/4242/fd/9");
    assert_user("qemu (process 4242)");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_is_found), TEST(create_writes_the_uuid),
        TEST(a_type_that_is_gone),    TEST(a_driver_that_does_not_answer),
        TEST(remove_writes_one),      TEST(who_has_it_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
