/* A part of the host tells of its devices what the whole tells, on every sample host. */
#include "tests/unit/host_tree.h"

#include "engine/host/tree.h"

/* The sample host as a tree of one's own, in which each PCI device tells what it is in one file. */
static void copy_sample(struct tree_of_test *tree, const char *sample) {
    char command[TEXT_SIZE * 2], path[TEXT_SIZE], value[TEXT_SIZE], here[TEXT_SIZE];

    assert_non_null(getcwd(here, sizeof here));
    text(command, "cd %s && mkdir -p sys/class/net sys/class/block && cp -R %s/tests/hosts/%s/. .",
         tree->root, here, sample);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): the test's own words */
    load(tree);
    for (size_t i = 0; i < tree->host.count; i++) {
        const struct device *device = &tree->host.devices[i];
        uint32_t class = device->class_code;
        if (device->bus == BUS_PCI)
            put(tree, text(path, PCI "%s/modalias", device->address),
                text(value, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", device->id.vendor,
                     device->id.device, device->subsystem.vendor, device->subsystem.device,
                     class >> 16, class >> 8 & 0xff, class & 0xff));
    }
}

static bool is_that_device(const struct host_scope *scope, const struct device *device) {
    return strcmp(scope->context, device->address) == 0;
}

static void load_part(const struct tree_of_test *tree, const char *address, struct host *host) {
    struct failure failure;
    struct host_source source = source_sysfs(tree->root);
    const struct host_scope scope = {is_that_device, address};

    source.scope = &scope;
    if (source.load(&source, host, &failure) != 0)
        fail_msg("%s", failure.message);
    assert_null(host->source.scope);
}

static void assert_same_files(const struct device *one, const struct device *other) {
    assert_int_equal(one->file_count, other->file_count);
    for (size_t i = 0; i < one->file_count; i++)
        assert_string_equal(one->files[i].path, other->files[i].path);
}

/* All that decides whether a VM may get it. */
static void assert_same(const struct device *one, const struct device *other) {
    assert_string_equal(one->address, other->address);
    assert_int_equal(one->unknown, other->unknown);
    assert_true(device_id_is(one->id, other->id));
    assert_true(device_id_is(one->subsystem, other->subsystem));
    assert_int_equal(one->class_code, other->class_code);
    assert_text(one->driver, other->driver);
    assert_int_equal(one->iommu_group, other->iommu_group);
    assert_int_equal(one->is_bridge, other->is_bridge);
    assert_int_equal(one->header, other->header);
    assert_int_equal(one->kind, other->kind);
    assert_int_equal(one->boot_vga, other->boot_vga);
    assert_int_equal(one->is_console_keyboard, other->is_console_keyboard);
    assert_int_equal(one->is_display, other->is_display);
    assert_int_equal(one->has_keyboards, other->has_keyboards);
    assert_int_equal(one->display_settings.count, other->display_settings.count);
    assert_int_equal(one->scsi_device_count, other->scsi_device_count);
    assert_int_equal(one->is_probed, other->is_probed);
    assert_text(one->use, other->use);
    assert_text(one->use_hint, other->use_hint);
    assert_text(one->other_use, other->other_use);
    assert_text(one->lasting_use, other->lasting_use);
    assert_text(one->vm_use, other->vm_use);
    assert_int_equal(one->obstacle, other->obstacle);
    assert_text(one->obstacle_text, other->obstacle_text);
    assert_same_files(one, other);
}

static bool is_of_console(const struct device *device) {
    enum { CLASS_DISPLAY = 0x03 };
    return device->class_code >> 16 == CLASS_DISPLAY || device_is_usb_controller(device);
}

/* Returns how many devices the part left out. */
static size_t compare_part(const struct tree_of_test *tree, const char *address) {
    struct host host;
    size_t outside = 0;
    int group = pci(tree, address)->iommu_group;

    load_part(tree, address, &host);
    host.source.load_names(&host);
    assert_int_equal(host.count, tree->host.count);
    if (is_of_console(host_find(&host, BUS_PCI, address)))
        assert_int_equal(host.keyboards, tree->host.keyboards);
    assert_int_equal(host.has_iommu, tree->host.has_iommu);
    for (size_t i = 0; i < host.count; i++) {
        const struct device *device = &host.devices[i], *whole = &tree->host.devices[i];
        outside += device->is_outside;
        if (device->is_outside) {
            assert_true(host.is_partial);
            assert_int_not_equal(device->obstacle, OBSTACLE_NONE);
            assert_false(whole->bus == BUS_PCI && whole->iommu_group == group);
            continue;
        }
        assert_same(device, whole);
        assert_string_equal(device->name, whole->name);
    }
    host_finish(&host);
    return outside;
}

static void compare_all(struct tree_of_test *tree, const char *sample) {
    size_t outside = 0;

    copy_sample(tree, sample);
    for (size_t i = 0; i < tree->host.count; i++)
        if (tree->host.devices[i].bus == BUS_PCI)
            outside += compare_part(tree, tree->host.devices[i].address);
    assert_true(outside > 0);
}

#define ON(HOST)                                                                                   \
    static void test_part_of_##HOST(void **state) {                                                \
        compare_all(*state, #HOST);                                                                \
    }
ON(nas)
ON(desktop)
ON(gpus)
ON(server) ON(sriov) ON(usb) ON(rack) ON(dock) ON(ports)

    /* Nothing is left out of a host where something cannot be read that the device may be in. */
    static void test_what_cannot_be_read_is_looked_for_everywhere(void **state) {
    struct tree_of_test *tree = *state;
    const char *disks = "0000:04:00.0", *coral = "0000:03:00.0";
    char path[PATH_SIZE];
    struct host host;

    copy_sample(tree, "nas");
    assert_true(compare_part(tree, disks) > 0);
    path_in(tree, "proc/self/mountinfo", path);
    assert_int_equal(unlink(path), 0);
    put_link(tree, "proc/self/mountinfo", "mountinfo");
    load(tree);
    assert_int_equal(compare_part(tree, disks), 0);
    load_part(tree, coral, &host); /* it has no disks */
    assert_true(host.is_partial);
    host_finish(&host);
}

/* Of a device that is no disk, network card or display only what has it open is looked for. */
static void test_a_program_that_has_it_open(void **state) {
    struct tree_of_test *tree = *state;
    const char *coral = "0000:03:00.0";
    char name[TEXT_SIZE], value[TEXT_SIZE];
    struct tree files;

    copy_sample(tree, "nas");
    assert_true(tree_open(&files, tree->root));
    char *place = tree_resolve(&files, text(name, PCI "%s", coral));
    put_link(tree, text(name, "%s/driver", place), "../../bus/pci/drivers/apex");
    put(tree, text(name, "%s/apex/apex_0/uevent", place), "");
    put_link(tree, "sys/class/apex/apex_0", text(value, "../../../%s/apex/apex_0", place));
    put(tree, "proc/70/comm", "frigate\n");
    put_link(tree, "proc/70/fd/5", "/dev/apex_0");
    load(tree);
    assert_string_equal(pci(tree, coral)->use, "uses it in frigate (process 70: /dev/apex_0)");
    assert_true(compare_part(tree, coral) > 0);
    free(place);
    tree_close(&files);
}

/* A device that does not tell what it is may be meant, and a group that has an unknown device is
 * read with all the rest. */
static void test_what_is_unknown_may_be_meant(void **state) {
    struct tree_of_test *tree = *state;
    const char *coral = "0000:03:00.0";
    char path[PATH_SIZE], name[TEXT_SIZE];

    copy_sample(tree, "nas");
    size_t outside = compare_part(tree, coral);
    path_in(tree, PCI "0000:05:00.0/modalias", path);
    assert_int_equal(unlink(path), 0);
    assert_in_range(compare_part(tree, coral), 1, outside - 1);
    put(tree,
        text(name, "sys/kernel/iommu_groups/%d/devices/0000:77:00.0",
             pci(tree, coral)->iommu_group),
        "");
    assert_int_equal(compare_part(tree, coral), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OWN(test_part_of_nas),
        OWN(test_part_of_desktop),
        OWN(test_part_of_gpus),
        OWN(test_part_of_server),
        OWN(test_part_of_sriov),
        OWN(test_part_of_usb),
        OWN(test_part_of_rack),
        OWN(test_part_of_dock),
        OWN(test_part_of_ports),
        OWN(test_what_cannot_be_read_is_looked_for_everywhere),
        OWN(test_a_program_that_has_it_open),
        OWN(test_what_is_unknown_may_be_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
