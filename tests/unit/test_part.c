/* A part of the host says the same of its devices as the whole does, on every sample host. */
#include "tests/unit/host_tree.h"
#include "tests/unit/range.h"

#include "engine/host/tree.h"
#include "engine/plan/plan_part.h"
#include "engine/plan/plan_print.h"

/* The full path, with the directories on the way as far as links in a circle let them be. */
static const char *way_to(const struct tree_of_test *tree, const char *path) {
    static char full[PATH_SIZE];
    assert_true(snprintf(full, sizeof full, "%s/%s", tree->root, path) < (int)sizeof full);
    for (char *slash = full + strlen(tree->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno != EACCES);
        *slash = '/';
    }
    return full;
}

static void take_away(const struct tree_of_test *tree, const char *path) {
    const char *full = way_to(tree, path);
    if (nftw(full, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS) != 0)
        assert_true(errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
}

static void replace(const struct tree_of_test *tree, const char *path, const char *value) {
    take_away(tree, path);
    FILE *out = fopen(way_to(tree, path), "w");
    if (out) {
        fputs(value, out);
        assert_int_equal(fclose(out), 0);
    }
}

static void replace_link(const struct tree_of_test *tree, const char *path, const char *target) {
    take_away(tree, path);
    if (symlink(target, way_to(tree, path)) != 0)
        assert_true(errno == ENOTDIR || errno == ELOOP || errno == ENOENT);
}
/* A device of which a file cannot be read has an empty one. */
static void put_modalias(const struct tree_of_test *tree, const struct device *device) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    uint32_t class = device->class_code;
    text(value, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", device->id.vendor,
         device->id.device, device->subsystem.vendor, device->subsystem.device, class >> 16,
         class >> 8 & 0xff, class & 0xff);
    replace(tree, text(path, PCI "%s/modalias", device->address), device->id.vendor ? value : "");
}

/* The kernel's list of all of them, which does not tell domains. */
static void put_list(const struct tree_of_test *tree) {
    char *list = NULL;
    size_t size = 0;
    unsigned part[4];
    FILE *out = memory_stream(&list, &size);
    for (size_t i = 0; i < tree->host.count; i++) {
        const struct device *one = &tree->host.devices[i];
        if (one->bus != BUS_PCI)
            continue;
        /* NOLINTNEXTLINE(cert-err34-c): no number of an address is longer than its type */
        int count = sscanf(one->address, "%x:%x:%x.%x", &part[0], &part[1], &part[2], &part[3]);
        if (count == 4)
            fprintf(out, "%02x%02x\t%04x%04x\t10\t%16x\t%16x\t%s\n", part[1],
                    part[2] << 3 | part[3], one->id.vendor, one->id.device, 0xfe000004, 0x4000,
                    one->driver ? one->driver : "");
    }
    memory_stream_close(out, &list);
    replace(tree, "proc/bus/pci/devices", list);
    free(list);
}

/* The sample host as a tree of one's own, in which each PCI device tells what it is in one file. */
static void copy_sample(struct tree_of_test *tree, const char *sample) {
    char command[TEXT_SIZE * 2], here[TEXT_SIZE];

    assert_non_null(getcwd(here, sizeof here));
    text(command,
         "cd %s && rm -rf ./* && mkdir -p sys/class/net sys/class/block && cp -R "
         "%s/tests/hosts/%s/. .",
         tree->root, here, sample);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): the test's own words */
    load(tree);
    for (size_t i = 0; i < tree->host.count; i++)
        if (tree->host.devices[i].bus == BUS_PCI)
            put_modalias(tree, &tree->host.devices[i]);
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
    put_list(tree);
    for (size_t i = 0; i < tree->host.count; i++)
        if (tree->host.devices[i].bus == BUS_PCI)
            outside -= compare_part(tree, tree->host.devices[i].address);
    assert_int_equal(outside, 0);
}

#define ON(HOST)                                                                                   \
    static void test_part_of_##HOST(void **state) {                                                \
        compare_all(*state, #HOST);                                                                \
    }
ON(nas)
ON(desktop)
ON(gpus)
ON(server)
ON(sriov)
ON(usb)
ON(rack)
ON(dock)
ON(ports)

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

/* Of a device that is not a disk, network card or display only what has it open is looked for. */
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

/* Nor is one free that a program other than a VM of libvirt has by vfio. */
static void test_a_program_that_has_it_by_vfio(void **state) {
    struct tree_of_test *tree = *state;
    const char *coral = "0000:03:00.0";
    char path[TEXT_SIZE], group[TEXT_SIZE];

    copy_sample(tree, "nas");
    replace_link(tree, text(path, PCI "%s/driver", coral), "/sys/bus/pci/drivers/vfio-pci");
    put(tree, "proc/70/comm", "dpdk\n");
    put_link(tree, "proc/70/fd/5", text(group, "/dev/vfio/%d", pci(tree, coral)->iommu_group));
    load(tree);
    assert_non_null(pci(tree, coral)->use);
    assert_true(compare_part(tree, coral) > 0);
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
    assert_int_in_range(compare_part(tree, coral), 1, outside - 1);
    put(tree,
        text(name, "sys/kernel/iommu_groups/%d/devices/0000:77:00.0",
             pci(tree, coral)->iommu_group),
        "");
    assert_int_equal(compare_part(tree, coral), 0);
}

static bool is_of_that_vendor(const struct host_scope *scope, const struct device *device) {
    const struct device_id *id = scope->context;
    return device_id_is(device->id, *id);
}

/* With the kernel's list of ids a device need not tell what it is, unless another domain has the
 * same place. */
static void test_ids_of_the_list(void **state) {
    struct tree_of_test *tree = *state;
    const struct device_id id = {0x1ac1, 0x089a};
    const struct host_scope scope = {is_of_that_vendor, &id};
    struct host_source source = source_sysfs(tree->root);
    struct failure failure;
    struct host host;
    char path[PATH_SIZE];

    copy_sample(tree, "nas");
    put_list(tree);
    path_in(tree, PCI "0000:05:00.0/modalias", path);
    assert_int_equal(unlink(path), 0);
    for (int is_other_domain = 0; is_other_domain < 2; is_other_domain++) {
        source.scope = &scope;
        assert_int_equal(source.load(&source, &host, &failure), 0);
        assert_true(host.is_partial);
        assert_int_equal(host_find(&host, BUS_PCI, "0000:05:00.0")->is_outside, !is_other_domain);
        assert_false(host_find(&host, BUS_PCI, "0000:03:00.0")->is_outside);
        host_finish(&host);
        put(tree, PCI "0001:05:00.0/modalias",
            "pci:v0000144Dd0000A808sv00000000sd00000000bc01sc08i02\n");
    }
}

static void assert_partial(const struct tree_of_test *tree, const char *address, bool is_partial) {
    struct host host;

    load_part(tree, address, &host);
    assert_int_equal(host.is_partial, is_partial);
    host_finish(&host);
}

/* What virtual functions and mediated devices of it do matters to it. */
static void test_a_device_with_parts_needs_the_whole_host(void **state) {
    struct tree_of_test *tree = *state;
    const char *coral = "0000:03:00.0", *card = "0000:05:00.0";
    char name[TEXT_SIZE];

    copy_sample(tree, "nas");
    assert_partial(tree, coral, true);
    put(tree, text(name, PCI "%s/sriov_numvfs", coral), "2\n");
    assert_partial(tree, coral, false);
    assert_partial(tree, card, true);
    put(tree, text(name, PCI "%s/mdev_supported_types/part-1/available_instances", card), "2\n");
    put(tree, text(name, PCI "%s/mdev_supported_types/part-1/device_api", card), "vfio-pci\n");
    assert_partial(tree, card, false);
}

/* What a plan leaves out, a device outside of the part may be. */
static void test_a_plan_that_leaves_something_out_is_not_clear(void **state) {
    struct plan plan = {0};

    (void)state;
    assert_true(plan_part_is_clear(&plan));
    plan.omitted_count = 1;
    assert_false(plan_part_is_clear(&plan));
}

/* ---- Hosts that are changed at random, always in the same way ---- */

enum { CHANGES = 5, HOSTS_OF_ONE = 6, CHANGES_TEXT = 8192 };

static uint32_t seed;
static char changes[CHANGES_TEXT]; /* for the message of a failure */
static struct names files;         /* of the tree */

static uint32_t pick(uint32_t count) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % count;
}

#define ONE_OF(LIST) ((LIST)[pick(sizeof(LIST) / sizeof *(LIST))])

static int add_file(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)where;
    if (kind == FTW_D)
        return 0;
    files.items = memory_grow(files.items, files.count, sizeof *files.items);
    files.items[files.count++] = memory_strdup(path);
    return 0;
}

/* Each group lists its devices, and these name it: the kernel makes both. */
static bool is_of_group(const char *path) {
    return strstr(path, "/iommu_groups/") || strstr(path, "/iommu_group");
}

static const char *pick_file(const struct tree_of_test *tree, const char *part) {
    tree_finish_names(&files);
    files = (struct names){0};
    assert_int_equal(nftw(tree->root, add_file, WALK_FDS, FTW_PHYS), 0);
    for (unsigned tries = 0; tries < 1000; tries++) {
        const char *path = files.items[pick((uint32_t)files.count)] + strlen(tree->root) + 1;
        if (strstr(path, part) && !is_of_group(path))
            return path;
    }
    return "usr/share/misc/pci.ids";
}

static const struct device *pick_device(const struct tree_of_test *tree) {
    for (;;) {
        const struct device *device = &tree->host.devices[pick((uint32_t)tree->host.count)];
        if (device->bus == BUS_PCI)
            return device;
    }
}

static const struct device *pick_endpoint(const struct tree_of_test *tree) {
    const struct device *device = pick_device(tree);
    while (device->is_bridge)
        device = pick_device(tree);
    return device;
}

/* Its directory below the root. */
static char *place_of(const struct tree_of_test *tree, const struct device *device) {
    char name[TEXT_SIZE];
    struct tree root;
    assert_true(tree_open(&root, tree->root));
    char *place = tree_resolve(&root, text(name, PCI "%s", device->address));
    tree_close(&root);
    assert_non_null(place);
    return place;
}

static void change_remove(const struct tree_of_test *tree) {
    take_away(tree, pick_file(tree, ""));
}

static void change_garbage(const struct tree_of_test *tree) {
    static const char *const values[] = {"", "\n", "0\n", "1\n", "x y\n", "0xffff\n"};
    replace(tree, pick_file(tree, ""), ONE_OF(values));
}

static void change_unreadable(const struct tree_of_test *tree) {
    static const char *const places[] = {"", "proc/", "class", "driver", "sys/devices/"};
    const char *path = pick_file(tree, ONE_OF(places));
    replace_link(tree, path, strrchr(path, '/') + 1);
}

static void change_driver(const struct tree_of_test *tree) {
    static const char *const drivers[] = {"vfio-pci", "vfio-pci", "nvidia",   "amdgpu",
                                          "apex",     "pci-stub", "xhci_hcd", "mlx5_core"};
    char path[TEXT_SIZE], target[TEXT_SIZE];
    text(path, PCI "%s/driver", pick_device(tree)->address);
    take_away(tree, path);
    if (pick(4))
        replace_link(tree, path, text(target, "/sys/bus/pci/drivers/%s", ONE_OF(drivers)));
}

static void set_class(const struct tree_of_test *tree, const struct device *device,
                      uint32_t class) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    struct device changed = *device;
    changed.class_code = class;
    replace(tree, text(path, PCI "%s/class", device->address), text(value, "0x%06x\n", class));
    put_modalias(tree, &changed);
}

/* Only a display has `boot_vga`. */
static void change_class(const struct tree_of_test *tree) {
    static const uint32_t classes[] = {0x030000, 0x038000, 0x0c0330, 0x010802, 0x020000,
                                       0x040300, 0x120000, 0x118000, 0x080501};
    const struct device *device = pick_endpoint(tree);
    char path[TEXT_SIZE];
    take_away(tree, text(path, PCI "%s/boot_vga", device->address));
    set_class(tree, device, ONE_OF(classes));
}

/* Also one from before there was a class for displays. */
static void change_boot_display(const struct tree_of_test *tree) {
    static const uint32_t classes[] = {0x030000, 0x000100};
    const struct device *device = pick_endpoint(tree);
    char path[TEXT_SIZE];
    set_class(tree, device, ONE_OF(classes));
    replace(tree, text(path, PCI "%s/boot_vga", device->address), "1\n");
}

static void change_group(const struct tree_of_test *tree) {
    const struct device *device = pick_device(tree), *other = pick_device(tree);
    char path[TEXT_SIZE], target[TEXT_SIZE];
    if (device->iommu_group < 0 || other->iommu_group < 0)
        return;
    take_away(tree, text(path, "sys/kernel/iommu_groups/%d/devices/%s", device->iommu_group,
                         device->address));
    replace_link(
        tree,
        text(path, "sys/kernel/iommu_groups/%d/devices/%s", other->iommu_group, device->address),
        text(target, "/" PCI "%s", device->address));
    replace_link(tree, text(path, PCI "%s/iommu_group", device->address),
                 text(target, "/sys/kernel/iommu_groups/%d", other->iommu_group));
}

static void change_reserved(const struct tree_of_test *tree) {
    char path[TEXT_SIZE];
    int group = pick_device(tree)->iommu_group;
    if (group >= 0)
        replace(tree, text(path, "sys/kernel/iommu_groups/%d/reserved_regions", group),
                "0x00000000000e8000 0x00000000000e8fff direct\n");
}

static void change_function(const struct tree_of_test *tree) {
    const struct device *device = pick_device(tree), *physical = pick_device(tree);
    char path[TEXT_SIZE], target[TEXT_SIZE];
    if (device == physical)
        return;
    replace_link(tree, text(path, PCI "%s/physfn", device->address),
                 text(target, "/" PCI "%s", physical->address));
    replace_link(tree, text(path, PCI "%s/virtfn0", physical->address),
                 text(target, "/" PCI "%s", device->address));
    if (pick(2))
        replace(tree, text(path, PCI "%s/sriov_numvfs", physical->address), "1\n");
}

/* A PCI domain that the driver of a controller made. */
static void change_domain(const struct tree_of_test *tree) {
    char *place = place_of(tree, pick_endpoint(tree)), path[TEXT_SIZE], target[TEXT_SIZE];
    text(path, "%s/pci10001:00/10001:00:01.0", place);
    replace(tree, text(target, "%s/vendor", path), "0x144d\n");
    replace(tree, text(target, "%s/device", path), "0xa808\n");
    replace(tree, text(target, "%s/class", path), "0x010802\n");
    replace_link(tree, PCI "10001:00:01.0", text(target, "/%s", path));
    replace_link(tree, text(target, "%s/iommu_group", path), "/sys/kernel/iommu_groups/0");
    text(target, "/%s", path);
    replace_link(tree, "sys/kernel/iommu_groups/0/devices/10001:00:01.0", target);
    free(place);
}

static void change_mdev(const struct tree_of_test *tree) {
    char *place = place_of(tree, pick_device(tree));
    char path[TEXT_SIZE], target[TEXT_SIZE];
    static const char uuid[] = "c0b6a8f5-5bd7-43d5-a9c5-2d3d6e8f4a10";
    if (pick(2))
        replace(tree, text(path, "%s/mdev_supported_types/a-1/available_instances", place), "1\n");
    replace(tree, text(path, "%s/%s/uevent", place, uuid), "");
    replace_link(tree, text(path, "sys/bus/mdev/devices/%s", uuid),
                 text(target, "/%s/%s", place, uuid));
    free(place);
}

/* An entry of a class of sysfs, on a device or on none. */
static void change_entry(const struct tree_of_test *tree) {
    static const char *const names[] = {"net/eth7",      "net/eth8",     "block/sdx",
                                        "block/nvme7n1", "graphics/fb0", "drm/card0",
                                        "apex/apex_0",   "tty/ttyS7",    "input/event7"};
    char *place =
        pick(5) ? place_of(tree, pick_device(tree)) : memory_strdup("sys/devices/virtual");
    char path[TEXT_SIZE], value[TEXT_SIZE];
    const char *name = ONE_OF(names);
    replace(tree, text(path, "%s/%s/uevent", place, name), "");
    replace(tree, text(path, "%s/%s/dev", place, name), "8:7\n");
    replace(tree, text(path, "%s/%s/operstate", place, name), "up\n");
    replace(tree, text(path, "%s/%s/ifindex", place, name), "7\n");
    replace_link(tree, text(path, "sys/class/%s", name),
                 text(value, "../../../%s/%s", place, name));
    if (strncmp(name, "block/", strlen("block/")) == 0)
        replace_link(tree, "sys/dev/block/8:7", text(value, "/sys/class/%s", name));
    free(place);
}

/* A bridge, bond or tunnel, or an array, of two of that class. */
static void change_stack(const struct tree_of_test *tree) {
    static const char *const uppers[] = {"br7", "macvtap7", "wg7"};
    static const char *const lowers[] = {"eth0", "eth1", "eno1", "eno2", "eth7", "eth8"};
    static const char *const disks[] = {"sda", "sdb", "nvme0n1", "sdx", "nvme7n1"};
    char path[TEXT_SIZE], value[TEXT_SIZE];
    const char *upper = ONE_OF(uppers);
    replace(tree, text(path, "sys/devices/virtual/net/%s/operstate", upper), "up\n");
    if (strcmp(upper, "wg7") != 0)
        for (unsigned i = 0; i < 2; i++)
            replace_link(tree,
                         text(path, "sys/devices/virtual/net/%s/lower_%s", upper, ONE_OF(lowers)),
                         ".");
    replace_link(tree, text(path, "sys/class/net/%s", upper),
                 text(value, "../../devices/virtual/net/%s", upper));
    text(value, "md7 : active raid1 %s[0] %s[1]\n", ONE_OF(disks), ONE_OF(disks));
    replace(tree, "proc/mdstat", value);
}

static void change_route(const struct tree_of_test *tree) {
    static const char *const names[] = {"eth0", "eno1", "eno2", "eth7",    "eth8",
                                        "br7",  "wg7",  "br0",  "macvtap7"};
    char lines[TEXT_SIZE];
    replace(tree, "proc/net/route",
            text(lines,
                 "Iface Destination Gateway Flags RefCnt Use Metric Mask\n%s 00000000 0100000A "
                 "0003 0 0 0 00000000\n",
                 ONE_OF(names)));
}

static void change_mount(const struct tree_of_test *tree) {
    static const char *const names[] = {"sda", "sda1", "nvme0n1", "sdx", "nvme7n1", "md7", "dm-0"};
    char lines[TEXT_SIZE];
    replace(tree, "proc/self/mountinfo",
            text(lines, "30 1 8:7 / / rw - ext4 /dev/%s rw\n", ONE_OF(names)));
}

/* A program other than a VM of libvirt may have it by vfio. */
static void open_group(const struct tree_of_test *tree, char *value) {
    const struct device *device = pick_endpoint(tree);
    char path[TEXT_SIZE];
    text(value, "/dev/vfio/%d", device->iommu_group);
    if (pick(2))
        replace_link(tree, text(path, PCI "%s/driver", device->address),
                     "/sys/bus/pci/drivers/vfio-pci");
}

static void change_program(const struct tree_of_test *tree) {
    static const char *const programs[] = {"qemu-system-x86", "Xorg", "frigate", "dpdk", "udevd"};
    static const char *const names[] = {"nvidia0",      "nvidiactl", "kfd",     "dri/card0",
                                        "apex_0",       "fb0",       "sdx",     "sda",
                                        "input/event7", "ttyS7",     "nvme7n1", "snd/pcmC0D0p"};
    char path[TEXT_SIZE], value[TEXT_SIZE];
    unsigned process = 70 + pick(3), entry = pick(3);
    replace(tree, text(path, "proc/%u/comm", process), text(value, "%s\n", ONE_OF(programs)));
    if (pick(2))
        text(value, "/dev/%s", ONE_OF(names));
    else
        open_group(tree, value);
    replace_link(tree, text(path, "proc/%u/fd/%u", process, entry), value);
    replace_link(tree, text(path, "proc/%u/ns/net", process), text(value, "net:[%u]", 7 + pick(2)));
}

static void change_keyboard(const struct tree_of_test *tree) {
    char *place = place_of(tree, pick_device(tree)), value[TEXT_SIZE];
    replace(tree, "proc/bus/input/devices",
            text(value, "S: Sysfs=/%s/input/input7\nB: KEY=fffffffffffffffe\n\n", place));
    free(place);
}

static void change_console(const struct tree_of_test *tree) {
    static const char *const names[] = {"(S) VGA+\n", "(M) frame buffer device\n", "(S) dummy\n"};
    replace(tree, "sys/class/vtconsole/vtcon0/name", ONE_OF(names));
    replace(tree, "sys/class/vtconsole/vtcon0/bind", "1\n");
}

static void change_modalias(const struct tree_of_test *tree) {
    char path[TEXT_SIZE];
    text(path, PCI "%s/modalias", pick_device(tree)->address);
    take_away(tree, path);
    if (pick(2))
        replace_link(tree, path, "modalias");
    else if (pick(2))
        replace(tree, path, "of:NdisplayT\n");
}

static const struct {
    const char *name;
    void (*change)(const struct tree_of_test *tree);
} kinds[] = {
    {"remove", change_remove},         {"garbage", change_garbage},
    {"unreadable", change_unreadable}, {"driver", change_driver},
    {"class", change_class},           {"boot display", change_boot_display},
    {"group", change_group},           {"reserved", change_reserved},
    {"function", change_function},     {"mdev", change_mdev},
    {"domain", change_domain},         {"entry", change_entry},
    {"stack", change_stack},           {"route", change_route},
    {"mount", change_mount},           {"program", change_program},
    {"keyboard", change_keyboard},     {"console", change_console},
    {"modalias", change_modalias},
};

/* A device tells the same in one file as in all, or has no such file; so does the list of them. */
static void tell_again(const struct tree_of_test *tree) {
    char path[TEXT_SIZE], full[PATH_SIZE];
    take_away(tree, "proc/bus/pci/devices");
    if (pick(2))
        put_list(tree);
    for (size_t i = 0; i < tree->host.count; i++) {
        const struct device *device = &tree->host.devices[i];
        if (device->bus != BUS_PCI)
            continue;
        path_in(tree, text(path, PCI "%s/modalias", device->address), full);
        if (access(full, F_OK) == 0)
            put_modalias(tree, device);
    }
}

/* ---- What rules do with such a host ---- */

static const char vm_start[] =
    "<domain id='3'><name>guest</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
    "<controller type='usb' model='qemu-xhci'/><controller type='pci' model='pcie-root'/>"
    "<controller type='pci' model='pcie-root-port' index='1'/>"
    "<controller type='pci' model='pcie-root-port' index='2'/>"
    "<controller type='pci' model='pcie-root-port' index='3'/>"
    "<controller type='pci' model='pcie-root-port' index='4'/>";

/* Some devices of a VM, or none. */
static void print_devices(FILE *out, const struct tree_of_test *tree) {
    static const char *const disks[] = {"sda", "sdx", "nvme7n1", "md7", "dm-0"};
    static const char *const cards[] = {"eth0", "eno1", "eth7", "br7"};
    unsigned part[4];
    const struct device *device = pick_device(tree);
    switch (pick(6)) {
    case 0:
        /* NOLINTNEXTLINE(cert-err34-c): no number of an address is longer than its type */
        if (sscanf(device->address, "%x:%x:%x.%x", &part[0], &part[1], &part[2], &part[3]) == 4)
            fprintf(out,
                    "<hostdev type='pci' mode='subsystem'><source><address domain='0x%x' "
                    "bus='0x%x' slot='0x%x' function='0x%x'/></source></hostdev>",
                    part[0], part[1], part[2], part[3]);
        break;
    case 1:
        fprintf(out,
                "<disk type='block'><source dev='/dev/%s'/><target dev='vdb' bus='virtio'/></disk>",
                ONE_OF(disks));
        break;
    case 2:
        fprintf(out, "<interface type='direct'><source dev='%s'/></interface>", ONE_OF(cards));
        break;
    case 3:
        fprintf(out,
                "<disk type='block'><source dev='/dev/%s'/><target dev='vdc' bus='virtio'/>"
                "<alias name='ua-virt-rules-disk-%s'/></disk>",
                ONE_OF(disks), device->address);
        break;
    default:
        break;
    }
}

static void make_vm(struct domain *domain, const struct tree_of_test *tree, const char *start) {
    char *xml = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&xml, &size);
    fputs(start, out);
    print_devices(out, tree);
    fputs("</devices></domain>", out);
    memory_stream_close(out, &xml);
    sample_domain(domain, xml);
    free(xml);
}

static void print_selector(FILE *out, const struct tree_of_test *tree) {
    const struct device *device = pick(8) ? pick_endpoint(tree) : pick_device(tree);
    switch (device->id.vendor ? pick(9) : 0) {
    case 0:
        fprintf(out, "class %02x", device->class_code >> 16);
        break;
    case 1:
        fprintf(out, "%04x:*", device->id.vendor);
        break;
    case 2:
        fprintf(out, "pci driver %s", device->driver ? device->driver : "vfio-pci");
        break;
    case 3:
        fprintf(out, "%04x:%04x at %s", device->id.vendor, device->id.device, device->address);
        break;
    default:
        fprintf(out, "%04x:%04x", device->id.vendor, device->id.device);
    }
}

static char *make_rules(const struct tree_of_test *tree) {
    static const char *const quantifiers[] = {"", "", "any ", "any ", "all ", "any 2 "};
    static const char *const options[] = {"", "", "", "", " boot display", " optional"};
    char *rules = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&rules, &size);
    for (unsigned i = 0; i <= pick(2); i++) {
        fprintf(out, "on vm guest started attach %s", ONE_OF(quantifiers));
        print_selector(out, tree);
        fprintf(out, "%s as vfio%s\n", pick(4) ? " with group" : "", ONE_OF(options));
    }
    if (!pick(4)) {
        fputs("never attach ", out);
        print_selector(out, tree);
        fputs("\n", out);
    }
    if (!pick(4))
        fputs("on vm ha started attach usb class 03 as usb\n", out);
    memory_stream_close(out, &rules);
    return rules;
}

static char *plan_text(const struct plan_request *request) {
    struct plan plan;
    char *result = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&result, &size);
    plan_init(&plan, request);
    plan_print(&plan, out, true, (struct terminal){0});
    for (size_t i = 0; i < plan.count; i++)
        for (size_t j = 0; j < plan.entries[i].settings.count; j++)
            fprintf(out, "%s %s\n", plan.entries[i].settings.list[j].path,
                    plan.entries[i].settings.list[j].value);
    memory_stream_close(out, &result);
    plan_finish(&plan);
    return result;
}

static bool is_free(const struct device *device) {
    return !device->is_bridge && !device->obstacle && !device->use && !device->vm_use;
}

static void compare_free(const struct host *part, const struct host *whole, const char *rules) {
    for (size_t i = 0; i < part->count; i++) {
        const struct device *one = &part->devices[i];
        const struct device *other = host_find(whole, one->bus, one->address);
        assert_non_null(other);
        if (is_free(one) && !is_free(other))
            fail_msg("%s is free only in a part: %s%s%s\n%s\n%s", one->address,
                     other->use ? other->use : "", other->vm_use ? other->vm_use : "",
                     other->obstacle ? other->obstacle_text : "", rules, changes);
    }
}

/* What the part of the host says, where it does. Returns whether it does. */
static bool compare_plans(const struct tree_of_test *tree, struct host *part,
                          struct plan_request *request, const char *rules) {
    struct plan plan;
    compare_free(part, &tree->host, rules);
    request->host = part;
    plan_init(&plan, request);
    bool is_clear = part->is_partial && plan_part_is_clear(&plan);
    plan_finish(&plan);
    if (!is_clear)
        return false;
    part->source.load_names(part);
    char *is = plan_text(request);
    request->host = &tree->host;
    char *wanted = plan_text(request);
    if (strcmp(is, wanted) != 0)
        fail_msg("%s\nof a part:\n%s\nof the whole:\n%s\n%s", rules, is, wanted, changes);
    free(wanted);
    free(is);
    return true;
}

static bool compare_rules(const struct tree_of_test *tree) {
    char *text_of_rules = make_rules(tree);
    struct sample_rules rules;
    struct domain vm, other;
    struct host part;

    sample_rules_init(&rules, text_of_rules);
    make_vm(&vm, tree, vm_start);
    make_vm(&other, tree, "<domain id='4'><name>ha</name><devices>");
    const struct event event = {.name = EVENT_STARTED, .domain = &vm};
    struct host_source source = source_sysfs(tree->root);
    assert_true(plan_part_load(&rules.program, &event, &source, &part));
    struct plan_request request = {
        .program = &rules.program, .event = &event, .others = &other, .other_count = 1};
    bool is_clear = compare_plans(tree, &part, &request, text_of_rules);
    host_finish(&part);
    domain_finish(&other);
    domain_finish(&vm);
    sample_rules_finish(&rules);
    free(text_of_rules);
    return is_clear;
}

static size_t compare_changed(struct tree_of_test *tree, const char *sample) {
    size_t clear = 0;
    copy_sample(tree, sample);
    text(changes, "%s:", sample);
    for (unsigned i = 0; i < CHANGES; i++) {
        unsigned kind = pick(sizeof kinds / sizeof *kinds);
        size_t length = strlen(changes);
        snprintf(changes + length, sizeof changes - length, " %s", kinds[kind].name);
        if (pick_device(tree))
            kinds[kind].change(tree);
        load(tree);
        tell_again(tree);
        clear += compare_rules(tree);
        clear += compare_rules(tree);
    }
    return clear;
}

static void test_plans_of_changed_hosts(void **state) {
    static const char *const samples[] = {"nas",  "desktop", "gpus",  "server",    "sriov",
                                          "usb",  "rack",    "dock",  "linux-4.4", "linux-5.10",
                                          "vgpu", "arm64",   "ports", "dual-tpu",  "single-gpu"};
    struct tree_of_test *tree = *state;
    size_t clear = 0;
    for (unsigned round = 0; round < HOSTS_OF_ONE; round++)
        for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
            clear += compare_changed(tree, samples[i]);
    tree_finish_names(&files);
    assert_true(clear > CHANGES);
}

/* What VMD's driver made leaves the host with the controller. */
static void test_a_domain_that_a_driver_made(void **state) {
    struct tree_of_test *tree = *state;
    copy_sample(tree, "nas");
    assert_true(compare_part(tree, "0000:03:00.0") > 0);
    put_pci(tree, "10001:01:00.0", "144d:a808", "010802");
    load(tree);
    put_modalias(tree, pci(tree, "10001:01:00.0"));
    assert_int_equal(compare_part(tree, "0000:03:00.0"), 0);
}

/* The boot display tells whether somebody sees the host's console, and so matters to keyboards. */
static void test_a_display_of_the_old_class(void **state) {
    struct tree_of_test *tree = *state;
    size_t controllers = 0;
    copy_sample(tree, "desktop");
    for (size_t i = 0; i < tree->host.count; i++)
        if (tree->host.devices[i].boot_vga)
            set_class(tree, &tree->host.devices[i], 0x000100);
    load(tree);
    assert_true(tree->host.keyboards > 0);
    for (size_t i = 0; i < tree->host.count; i++)
        if (device_is_usb_controller(&tree->host.devices[i]) && ++controllers)
            compare_part(tree, tree->host.devices[i].address);
    assert_true(controllers > 0);
}

static void assert_may_do(const struct event *event, const char *text_of_rules, bool may) {
    struct sample_rules rules;
    sample_rules_init(&rules, text_of_rules);
    struct action_list actions = match_event(&rules.program, event);
    assert_true(actions.count > 0);
    assert_int_equal(plan_part_may_do(&rules.program, event, &actions), may);
    free(actions.list);
    sample_rules_finish(&rules);
}

/* Which rules are the VM's is known only when all VMs are where a word may mean another one. */
static void test_what_a_part_may_do(void **state) {
    static const char by_title[] = "on vm Home started attach 1ac1:089a as vfio\n";
    struct domain vm;
    (void)state;
    sample_domain(&vm, "<domain id='3'><name>ha</name><title>Home</title></domain>");
    struct event event = {.name = EVENT_STARTED, .domain = &vm};
    assert_may_do(&event, "on vm ha started attach 1ac1:089a as vfio\n", true);
    assert_may_do(&event, by_title, false);
    assert_may_do(&event, "on vm ha started attach any 1ac1:089a as vfio take\n", false);
    assert_may_do(&event,
                  "on vm ha started attach 1ac1:089a as vfio\n"
                  "on vm ha started attach 1a6e:089a as usb\n",
                  false);
    event.vms = &vm;
    event.vm_count = 1;
    assert_may_do(&event, by_title, true);
    domain_finish(&vm);
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
        OWN(test_a_program_that_has_it_by_vfio),
        OWN(test_what_is_unknown_may_be_meant),
        OWN(test_ids_of_the_list),
        OWN(test_a_device_with_parts_needs_the_whole_host),
        cmocka_unit_test(test_a_plan_that_leaves_something_out_is_not_clear),
        OWN(test_a_domain_that_a_driver_made),
        OWN(test_a_display_of_the_old_class),
        cmocka_unit_test(test_what_a_part_may_do),
        OWN(test_plans_of_changed_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
