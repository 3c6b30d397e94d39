/* The host snapshot: the sample hosts, one small tree for each further fact, and broken trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/host/host.h"
#include "engine/host/names.h"
#include "engine/model/address.h"
#include "lexer/memory.h"

enum { TEXT_SIZE = 512, PATH_SIZE = 1024, WALK_FDS = 16 };

#define PCI "sys/bus/pci/devices/"
#define SATA "sys/devices/pci0000:00/0000:00:01.0"
#define ATA SATA "/ata1/host0/target0:0:0/0:0:0:0/block/"
#define NIC "sys/devices/pci0000:00/0000:00:02.0"
#define VIRTUAL "sys/devices/virtual/block/"

/* ---- A tree of one's own ---- */

struct tree_of_test {
    char root[64];
    struct host host;
};

static void make_parents(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void path_in(const struct tree_of_test *tree, const char *path, char *full) {
    assert_true(snprintf(full, PATH_SIZE, "%s/%s", tree->root, path) < PATH_SIZE);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    bool is_there = access(full, F_OK) == 0;
    *slash = '/';
    if (!is_there)
        make_parents(full);
}

static void put_bytes(const struct tree_of_test *tree, const char *path, const void *bytes,
                      size_t size) {
    char full[PATH_SIZE];

    path_in(tree, path, full);
    FILE *out = fopen(full, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void put(const struct tree_of_test *tree, const char *path, const char *text) {
    put_bytes(tree, path, text, strlen(text));
}

static void put_link(const struct tree_of_test *tree, const char *path, const char *target) {
    char full[PATH_SIZE];
    path_in(tree, path, full);
    assert_int_equal(symlink(target, full), 0);
}

__attribute__((format(printf, 2, 3))) static const char *text(char *buffer, const char *format,
                                                              ...) {
    va_list arguments;
    va_start(arguments, format);
    assert_true(vsnprintf(buffer, TEXT_SIZE, format, arguments) < TEXT_SIZE);
    va_end(arguments);
    return buffer;
}

/* As the smallest tree has a device: a directory with three files. */
static void put_device(const struct tree_of_test *tree, const char *directory, const char *id,
                       const char *class) {
    char path[TEXT_SIZE], value[TEXT_SIZE];

    put(tree, text(path, "%s/vendor", directory), text(value, "0x%.4s\n", id));
    put(tree, text(path, "%s/device", directory), text(value, "0x%.4s\n", id + 5));
    put(tree, text(path, "%s/class", directory), text(value, "0x%s\n", class));
}

static void put_pci(const struct tree_of_test *tree, const char *address, const char *id,
                    const char *class) {
    char path[TEXT_SIZE];
    put_device(tree, text(path, PCI "%s", address), id, class);
}

static void put_driver(const struct tree_of_test *tree, const char *directory, const char *driver) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "%s/driver", directory),
             text(value, "../../../bus/pci/drivers/%s", driver));
}

static void put_group(const struct tree_of_test *tree, const char *directory, const char *group) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "%s/iommu_group", directory),
             text(value, "../../../kernel/iommu_groups/%s", group));
}

/* A disk controller and a network card, as links into sys/devices. */
static void put_base(const struct tree_of_test *tree) {
    put_device(tree, SATA, "8086:5ae3", "010601");
    put_device(tree, NIC, "8086:1533", "020000");
    put_link(tree, PCI "0000:00:01.0", "../../../devices/pci0000:00/0000:00:01.0");
    put_link(tree, PCI "0000:00:02.0", "../../../devices/pci0000:00/0000:00:02.0");
}

/* A block device with its directory below sys/devices and a link in sys/class/block. */
static void put_block(const struct tree_of_test *tree, const char *directory, const char *number) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    const char *name = strrchr(directory, '/') + 1;

    put(tree, text(path, "%s/dev", directory), text(value, "%s\n", number));
    put_link(tree, text(path, "sys/class/block/%s", name), text(value, "../../../%s", directory));
}

static void put_disk(const struct tree_of_test *tree) {
    put_base(tree);
    put_block(tree, ATA "sda", "8:0");
    put_block(tree, ATA "sda/sda1", "8:1");
    put_block(tree, ATA "sda/sda2", "8:2");
}

/* `upper` is made of `lower`; both sides name the other, as in sysfs. */
static void put_stack(const struct tree_of_test *tree, const char *upper, const char *lower) {
    char path[TEXT_SIZE];
    put(tree, text(path, "sys/class/block/%s/slaves/%s/x", upper, lower), "");
    put(tree, text(path, "sys/class/block/%s/holders/%s/x", lower, upper), "");
}

static void put_virtual(const struct tree_of_test *tree, const char *name, const char *number) {
    char path[TEXT_SIZE];
    put_block(tree, text(path, VIRTUAL "%s", name), number);
}

static void put_interface(const struct tree_of_test *tree, const char *name, const char *parent) {
    char path[TEXT_SIZE], value[TEXT_SIZE];

    put(tree, text(path, "%s/net/%s/operstate", parent, name), "up\n");
    put_link(tree, text(path, "sys/class/net/%s", name),
             text(value, "../../../%s/net/%s", parent, name));
}

static void put_routes(const struct tree_of_test *tree, const char *lines) {
    char value[TEXT_SIZE];
    put(tree, "proc/net/route",
        text(value, "Iface Destination Gateway Flags RefCnt Use Metric Mask\n%s", lines));
}

static void put_mounts(const struct tree_of_test *tree, const char *lines) {
    put(tree, "proc/self/mountinfo", lines);
}

static void load(struct tree_of_test *tree) {
    char error[TEXT_SIZE] = "";
    host_finish(&tree->host);
    if (host_init(&tree->host, tree->root, error, sizeof error) != 0)
        fail_msg("%s", error);
}

static const struct device *pci(const struct tree_of_test *tree, const char *address) {
    const struct device *device = host_find(&tree->host, BUS_PCI, address);
    assert_non_null(device);
    return device;
}

static const struct device *usb(const struct tree_of_test *tree, const char *address) {
    const struct device *device = host_find(&tree->host, BUS_USB, address);
    assert_non_null(device);
    return device;
}

static void assert_text(const char *is, const char *wanted) {
    if (!wanted || !is)
        assert_ptr_equal(is, wanted);
    else
        assert_string_equal(is, wanted);
}

static void assert_use(struct tree_of_test *tree, const char *address, const char *use) {
    load(tree);
    assert_text(pci(tree, address)->use, use);
}

/* What is said about an obstacle has `part` in it. */
static void assert_obstacle(struct tree_of_test *tree, const char *address, enum obstacle obstacle,
                            const char *part) {
    const struct device *device = strchr(address, ':') ? pci(tree, address) : usb(tree, address);
    assert_int_equal(device->obstacle, obstacle);
    if (obstacle && !strstr(device->obstacle_text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, device->obstacle_text);
    if (obstacle)
        assert_non_null(device->obstacle_hint);
}

static void assert_unknown(struct tree_of_test *tree, const char *address, const char *part) {
    assert_obstacle(tree, address, OBSTACLE_UNKNOWN_USE, part);
}

static void assert_no_obstacle(struct tree_of_test *tree, const char *address) {
    assert_obstacle(tree, address, OBSTACLE_NONE, "");
}

static int make_tree(void **state) {
    static struct tree_of_test tree;
    tree = (struct tree_of_test){.root = "/dev/shm/test_host.XXXXXX"}; /* thousands of files */
    if (access("/dev/shm", W_OK) != 0)
        tree = (struct tree_of_test){.root = "/tmp/test_host.XXXXXX"};
    *state = &tree;
    if (!mkdtemp(tree.root))
        return -1;
    /* An own list of names, so that this system's does not matter. */
    put(&tree, "usr/share/misc/pci.ids", "# nothing\n");
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static int remove_tree(void **state) {
    struct tree_of_test *tree = *state;
    host_finish(&tree->host);
    return nftw(tree->root, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
}

static int sample(void **state, const char *name) {
    static struct tree_of_test tree;
    char error[TEXT_SIZE];

    tree = (struct tree_of_test){0};
    text(error, "tests/hosts/%s", name);
    assert_true(snprintf(tree.root, sizeof tree.root, "%s", error) < (int)sizeof tree.root);
    *state = &tree;
    load(&tree);
    return 0;
}

static int finish_sample(void **state) {
    struct tree_of_test *tree = *state;
    host_finish(&tree->host);
    return 0;
}

/* ---- The sample hosts ---- */

static int nas(void **state) {
    return sample(state, "nas");
}

static void test_nas_coral_has_every_fact(void **state) {
    const struct device *coral = pci(*state, "0000:03:00.0");

    assert_int_equal(coral->bus, BUS_PCI);
    assert_string_equal(coral->address, "0000:03:00.0");
    assert_int_equal(coral->id.vendor, 0x1ac1);
    assert_int_equal(coral->id.device, 0x089a);
    assert_int_equal(coral->subsystem.vendor, 0x1ac1);
    assert_int_equal(coral->subsystem.device, 0x089a);
    assert_int_equal(coral->class_code, 0x088000);
    assert_int_equal(coral->iommu_group, 9);
    assert_int_equal(coral->numa_node, -1);
    assert_string_equal(coral->reset_methods, "bus");
    assert_string_equal(coral->power_state, "D0");
    assert_null(coral->driver);
    assert_null(coral->serial);
    assert_null(coral->use);
    assert_false(coral->is_bridge);
    assert_false(coral->boot_vga);
}

static void test_nas_names_come_from_the_tree(void **state) {
    /* "Device 1ac1:089a" is the name without libpci. */
    if (!strstr(pci(*state, "0000:03:00.0")->name, "Device 1ac1:089a"))
        assert_string_equal(pci(*state, "0000:03:00.0")->name,
                            "Global Unichip Corp. Coral Edge TPU");
}

static void test_nas_has_iommu_and_bridges(void **state) {
    const struct tree_of_test *tree = *state;

    assert_true(tree->host.has_iommu);
    assert_true(tree->host.has_usb);
    assert_true(pci(tree, "0000:00:01.3")->is_bridge);
    assert_string_equal(pci(tree, "0000:00:01.3")->driver, "pcieport");
    assert_null(host_group_blocker(&tree->host, pci(tree, "0000:03:00.0")));
}

static void test_nas_disks_in_md_and_lvm_are_used(void **state) {
    assert_string_equal(pci(*state, "0000:04:00.0")->use,
                        "mounts / from it (sda1, sdb1, md0); mounts /volume1 from it (sda3, sdb3, "
                        "md2, vg1-volume_1, cachedev_0); swaps on it (sda2, sdb2, md1)");
}

static void test_nas_uplink_through_bond_and_switch_is_used(void **state) {
    assert_string_equal(pci(*state, "0000:01:00.0")->use,
                        "uses it in Open vSwitch bridge ovs_bond0 (eth0, bond0), which carries the "
                        "default route");
    assert_string_equal(pci(*state, "0000:02:00.0")->use,
                        "uses it in Open vSwitch bridge ovs_bond0 (eth1, bond0), which carries the "
                        "default route");
}

static void test_nas_idle_card_is_free(void **state) {
    assert_null(pci(*state, "0000:05:00.0")->use);
    assert_string_equal(pci(*state, "0000:05:00.0")->driver, "ixgbe");
}

static void test_nas_usb_disk_holds_its_controller(void **state) {
    static const char use[] = "mounts /volumeUSB1/usbshare from it (sdq1)";
    assert_string_equal(usb(*state, "2-1")->use, use);
    assert_string_equal(pci(*state, "0000:06:00.3")->use, use);
    assert_string_equal(usb(*state, "2-1")->driver, "usb-storage");
}

static void test_nas_usb_stick_has_every_fact(void **state) {
    const struct device *stick = usb(*state, "1-1");

    assert_int_equal(stick->bus, BUS_USB);
    assert_int_equal(stick->id.vendor, 0x10c4);
    assert_int_equal(stick->id.device, 0xea60);
    assert_int_equal(stick->bus_number, 1);
    assert_int_equal(stick->device_number, 3);
    assert_int_equal(stick->class_code, 0xff0000); /* the interface's: the device has none */
    assert_int_equal(stick->iommu_group, -1);
    assert_int_equal(stick->numa_node, -1);
    assert_string_equal(stick->serial, "6a8f3c21d2e4ec118a4c0b4c8680e5ac");
    assert_string_equal(stick->name, "Silicon Labs Sonoff Zigbee 3.0 USB Dongle Plus");
    assert_string_equal(stick->driver, "cp210x");
    assert_null(stick->use);
    assert_null(host_group_blocker(&((struct tree_of_test *)*state)->host, stick));
}

static void test_devices_are_in_order(void **state) {
    const struct host *host = &((struct tree_of_test *)*state)->host;
    for (size_t i = 1; i < host->count; i++) {
        assert_true(host->devices[i - 1].bus <= host->devices[i].bus);
        if (host->devices[i - 1].bus == host->devices[i].bus)
            assert_true(strcmp(host->devices[i - 1].address, host->devices[i].address) < 0);
    }
    assert_int_equal(host->count, 15);
    assert_null(host_find(host, BUS_USB, "usb1"));
    assert_null(host_find(host, BUS_USB, "1-1:1.0"));
    assert_null(host_find(host, BUS_PCI, "1-1"));
    assert_null(host_find(host, BUS_PCI, "0000:ff:00.0"));
}

static int dual_tpu(void **state) {
    return sample(state, "dual-tpu");
}

static void test_dual_tpu_block_each_other(void **state) {
    const struct tree_of_test *tree = *state;
    const struct device *first = pci(tree, "0000:03:00.0");
    const struct device *second = pci(tree, "0000:04:00.0");

    assert_int_equal(first->iommu_group, 15);
    assert_int_equal(second->iommu_group, 15);
    assert_ptr_equal(host_group_blocker(&tree->host, first), second);
    assert_ptr_equal(host_group_blocker(&tree->host, second), first);
}

static int desktop(void **state) {
    return sample(state, "desktop");
}

static void test_desktop_display_and_its_sound(void **state) {
    const struct tree_of_test *tree = *state;
    const struct device *display = pci(tree, "0000:01:00.0");
    const struct device *sound = pci(tree, "0000:01:00.1");

    assert_true(display->boot_vga);
    assert_string_equal(display->use, "shows its console on it (boot display)");
    assert_null(sound->use);
    assert_false(sound->boot_vga);
    assert_ptr_equal(host_group_blocker(&tree->host, display), sound);
}

static void test_desktop_encrypted_root_is_used(void **state) {
    assert_string_equal(pci(*state, "0000:02:00.0")->use,
                        "mounts / from it (nvme0n1p2, crypt, desktop-root); mounts /boot/efi from "
                        "it (nvme0n1p1); swaps on it (nvme0n1p2, crypt, desktop-swap)");
}

static void test_desktop_usb(void **state) {
    assert_string_equal(pci(*state, "0000:00:14.0")->use, "has its only keyboard behind it (1-3)");
    assert_string_equal(pci(*state, "0000:03:00.0")->use,
                        "mounts /media/backup disk from it (sda1)");
    assert_string_equal(usb(*state, "3-1")->name, "SanDisk Ultra"); /* not "SanDisk SanDisk" */
    assert_string_equal(usb(*state, "1-3")->driver, "usbhid");
}

static void test_desktop_uplink(void **state) {
    assert_string_equal(pci(*state, "0000:00:1f.6")->use,
                        "uses it as network uplink (eno1, default route)");
    assert_true(pci(*state, "0000:00:1f.0")->is_bridge); /* to ISA: nothing to pass either */
}

static int server(void **state) {
    return sample(state, "server");
}

static void test_server_one_port_of_four_is_used(void **state) {
    assert_string_equal(pci(*state, "0000:01:00.0")->use,
                        "uses it in bridge br0 (eno1), which carries the default route");
    assert_null(pci(*state, "0000:01:00.1")->use);
    assert_null(pci(*state, "0000:01:00.2")->use);
    assert_null(pci(*state, "0000:01:00.3")->use);
}

static void test_server_disks(void **state) {
    assert_string_equal(pci(*state, "0000:02:00.0")->use,
                        "mounts / from it (sda2, sdb2, md1, vg1-root); mounts /boot from it (sda1, "
                        "sdb1, md0); swaps on it (sda2, sdb2, md1, vg1-swap)");
    assert_null(pci(*state, "0000:82:00.0")->use); /* a spare disk */
}

static void test_server_nvme_multipath_is_used(void **state) {
    assert_string_equal(pci(*state, "0000:81:00.0")->use,
                        "mounts /var/lib/libvirt from it (nvme0n1p1)");
    assert_int_equal(pci(*state, "0000:81:00.0")->numa_node, 1);
}

static int usb_host(void **state) {
    return sample(state, "usb");
}

static void test_usb_twins_differ_in_serial(void **state) {
    assert_string_equal(usb(*state, "1-1.1")->serial, "DE00212E7B");
    assert_string_equal(usb(*state, "1-1.2")->serial, "DE00212F10");
    assert_int_equal(usb(*state, "1-1.1")->class_code, 0x020000);
    assert_true(usb(*state, "1-1")->is_bridge); /* the hub */
    assert_false(usb(*state, "1-1.1")->is_bridge);
    assert_string_equal(usb(*state, "1-1")->name, "USB2.0 Hub");
}

static void test_usb_coral_before_its_firmware(void **state) {
    assert_int_equal(usb(*state, "1-1.4")->id.vendor, 0x1a6e);
    assert_string_equal(usb(*state, "1-1.4")->name, "USB device 1a6e:089a");
    assert_null(usb(*state, "1-1.4")->driver);
}

static int usb_after(void **state) {
    return sample(state, "usb-after");
}

static void test_usb_coral_after_its_firmware(void **state) {
    assert_int_equal(usb(*state, "1-1.4")->id.vendor, 0x18d1);
    assert_string_equal(usb(*state, "1-1.4")->name, "Google Inc. Coral Edge TPU");
    assert_int_equal(usb(*state, "1-1.4")->device_number, 6);
}

static int no_iommu(void **state) {
    return sample(state, "no-iommu");
}

static void test_no_iommu(void **state) {
    const struct tree_of_test *tree = *state;
    assert_false(tree->host.has_iommu);
    assert_int_equal(pci(tree, "0000:02:00.0")->iommu_group, -1);
    assert_null(host_group_blocker(&tree->host, pci(tree, "0000:02:00.0")));
}

/* ---- Facts of a device ---- */

static void test_smallest_tree(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "dead:beef", "088000");
    load(tree);
    const struct device *device = pci(tree, "0000:03:00.0");

    assert_int_equal(tree->host.count, 1);
    assert_int_equal(device->id.vendor, 0xdead);
    assert_int_equal(device->subsystem.vendor, 0);
    assert_int_equal(device->iommu_group, -1);
    assert_int_equal(device->numa_node, -1);
    assert_string_equal(device->name, "Device dead:beef");
    assert_null(device->driver);
    assert_null(device->reset_methods);
    assert_null(device->power_state);
    assert_null(device->use);
    assert_false(tree->host.has_iommu);
}

static void test_dangling_links_are_facts(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put_link(tree, PCI "0000:03:00.0/driver", "../../../../bus/pci/drivers/vfio-pci");
    put_link(tree, PCI "0000:03:00.0/iommu_group", "/sys/kernel/iommu_groups/7");
    load(tree);

    assert_string_equal(pci(tree, "0000:03:00.0")->driver, "vfio-pci");
    assert_int_equal(pci(tree, "0000:03:00.0")->iommu_group, 7);
    assert_true(tree->host.has_iommu);
}

static void test_group_is_known_from_its_members(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put_link(tree, "sys/kernel/iommu_groups/12/devices/0000:03:00.0", "nowhere");
    load(tree);
    assert_int_equal(pci(tree, "0000:03:00.0")->iommu_group, 12);
    assert_true(tree->host.has_iommu);
}

static void test_a_group_without_devices_is_an_iommu(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put(tree, "sys/kernel/iommu_groups/0/type", "DMA\n");
    load(tree);
    assert_true(tree->host.has_iommu);
}

static void test_bridge_by_header_type(void **state) {
    struct tree_of_test *tree = *state;
    unsigned char config[64] = {[0x0E] = 0x81};

    put_pci(tree, "0000:00:01.0", "8086:1901", "ff0000");
    put_bytes(tree, PCI "0000:00:01.0/config", config, sizeof config);
    config[0x0E] = 0x80; /* an endpoint with several functions */
    put_pci(tree, "0000:00:02.0", "8086:1902", "ff0000");
    put_bytes(tree, PCI "0000:00:02.0/config", config, sizeof config);
    load(tree);
    assert_true(pci(tree, "0000:00:01.0")->is_bridge);
    assert_false(pci(tree, "0000:00:02.0")->is_bridge);
}

static void test_garbage_is_unknown(void **state) {
    struct tree_of_test *tree = *state;
    static const char *const garbage[] = {"",     "0x",       "0x1ac1x", "-1", "0x1ac1 0x89a",
                                          "\xff", "0x1ffff\n"};

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
        put(tree, PCI "0000:03:00.0/vendor", garbage[i]);
        put(tree, PCI "0000:03:00.0/numa_node", garbage[i]);
        load(tree);
        assert_int_equal(pci(tree, "0000:03:00.0")->id.vendor, 0);
        assert_int_equal(pci(tree, "0000:03:00.0")->id.device, 0); /* half an id is none */
        assert_int_equal(pci(tree, "0000:03:00.0")->numa_node, -1);
    }
}

static void test_entries_that_are_no_devices(void **state) {
    struct tree_of_test *tree = *state;
    static const char *const names[] = {"0000:03:20.0", "0000:03:00.8", "03:00.0", "x",
                                        "0000:03:00.00"};
    char path[TEXT_SIZE];

    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        put(tree, text(path, PCI "%s/vendor", names[i]), "0x1ac1\n");
    put(tree, PCI "0000:04:00.0", "a file\n");
    put_link(tree, PCI "0000:05:00.0", "../nowhere");
    load(tree);
    assert_int_equal(tree->host.count, 1);
}

static void test_long_domain(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "10000:01:00.0", "144d:a808", "010802");
    put_pci(tree, "ffff:01:00.0", "144d:a808", "010802");
    load(tree);
    assert_string_equal(tree->host.devices[0].address, "ffff:01:00.0");
    assert_ptr_equal(pci(tree, "10000:01:00.0"), &tree->host.devices[1]);
    assert_non_null(host_find(&tree->host, BUS_PCI, "FFFF:01:00.0"));
}

static void put_usb(const struct tree_of_test *tree, const char *port) {
    char path[TEXT_SIZE];
    put(tree, text(path, "sys/bus/usb/devices/%s/idVendor", port), "18d1\n");
    put(tree, text(path, "sys/bus/usb/devices/%s/idProduct", port), "9302\n");
}

static void test_usb_is_in_number_order(void **state) {
    struct tree_of_test *tree = *state;
    static const char *const ports[] = {"1-1", "1-1.4", "1-1.10", "1-2", "1-10", "2-1", "10-1"};

    for (size_t i = sizeof ports / sizeof *ports; i-- > 0;)
        put_usb(tree, ports[i]);
    put_usb(tree, "usb1");
    put_usb(tree, "1-1:1.0");
    put_usb(tree, "1-0:1.0");
    load(tree);
    assert_int_equal(tree->host.count, sizeof ports / sizeof *ports);
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        assert_ptr_equal(usb(tree, ports[i]), &tree->host.devices[i]);
    assert_string_equal(tree->host.devices[2].address, "1-1.10");
}

static void test_usb_driver_of_an_interface_beside_the_device(void **state) {
    struct tree_of_test *tree = *state;
    put_usb(tree, "1-1");
    put_usb(tree, "1-1.4");
    put_link(tree, "sys/bus/usb/devices/1-1/driver", "../drivers/usb");
    put(tree, "sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n");
    put_link(tree, "sys/bus/usb/devices/1-1:1.1/driver", "../drivers/cdc_acm");
    load(tree);
    assert_string_equal(usb(tree, "1-1")->driver, "cdc_acm");
    assert_int_equal(usb(tree, "1-1")->class_code, 0x030000);
    assert_null(usb(tree, "1-1.4")->driver);
}

static void test_usb_texts_are_made_safe(void **state) {
    struct tree_of_test *tree = *state;
    put_usb(tree, "1-1");
    put(tree, "sys/bus/usb/devices/1-1/product", "Bad\033[2J \xc2\x9b\xe2\x80\x8f\xff stick  \n");
    put(tree, "sys/bus/usb/devices/1-1/serial", "A\tB\xc3\xa9\n");
    load(tree);
    assert_string_equal(usb(tree, "1-1")->name, "Bad?[2J ??? stick");
    assert_string_equal(usb(tree, "1-1")->serial, "A?B\xc3\xa9");
}

static void test_broken_list_of_names(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put_pci(tree, "0000:04:00.0", "8086:10fb", "020000");
    put(tree, "usr/share/misc/pci.ids",
        "1ac1  Maker\n\t089a  Thing\nno line of a list\n1ac1  Twice\n\t089a  Thing\n");
    load(tree);
    assert_non_null(pci(tree, "0000:03:00.0")->name);
    assert_string_equal(pci(tree, "0000:04:00.0")->name, "Device 8086:10fb");
}

static void test_list_of_names_knows_the_maker_only(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:0001", "088000");
    put(tree, "usr/share/misc/pci.ids", "1ac1  Maker\n\t089a  Thing\n");
    load(tree);
    assert_non_null(strstr(pci(tree, "0000:03:00.0")->name, "Device"));
    assert_non_null(strstr(pci(tree, "0000:03:00.0")->name, "0001"));
}

static void test_list_of_names_has_comments(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put(tree, "usr/share/misc/pci.ids",
        "# All\n1ac1  Maker\n\t0001  Other\n# and then\n\n\t089a  Thing\n\t\t1ac1 089a  Card\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker Thing");
}

/* ---- Groups ---- */

static void put_member(const struct tree_of_test *tree, const char *address, const char *class,
                       const char *driver) {
    char path[TEXT_SIZE];

    put_pci(tree, address, "8086:1234", class);
    put_link(tree, text(path, PCI "%s/iommu_group", address), "/sys/kernel/iommu_groups/1");
    if (driver) {
        char target[TEXT_SIZE];
        put_link(tree, text(path, PCI "%s/driver", address), text(target, "/x/%s", driver));
    }
}

static void test_what_does_not_block_a_group(void **state) {
    struct tree_of_test *tree = *state;

    put_member(tree, "0000:00:00.0", "060000", "skl_uncore");
    put_member(tree, "0000:00:01.0", "060400", "pcieport");
    put_member(tree, "0000:00:01.1", "060400", "shpchp");
    put_member(tree, "0000:01:00.0", "088000", "apex");
    put_member(tree, "0000:01:00.1", "040300", NULL);
    put_member(tree, "0000:01:00.2", "040300", "vfio-pci");
    put_member(tree, "0000:01:00.3", "040300", "pci-stub");
    put_member(tree, "0000:01:00.4", "020000", "mlx5_vfio_pci");
    load(tree);
    assert_null(host_group_blocker(&tree->host, pci(tree, "0000:01:00.0")));
    assert_ptr_equal(host_group_blocker(&tree->host, pci(tree, "0000:01:00.1")),
                     pci(tree, "0000:01:00.0"));
}

static void test_an_isa_bridge_with_driver_blocks_its_group(void **state) {
    struct tree_of_test *tree = *state;
    put_member(tree, "0000:00:1f.0", "060100", "lpc_ich");
    put_member(tree, "0000:00:1f.3", "040300", NULL);
    load(tree);
    assert_true(pci(tree, "0000:00:1f.0")->is_bridge);
    assert_ptr_equal(host_group_blocker(&tree->host, pci(tree, "0000:00:1f.3")),
                     pci(tree, "0000:00:1f.0"));
}

static void test_devices_without_group_do_not_block(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put_pci(tree, "0000:04:00.0", "8086:10fb", "020000");
    put_link(tree, PCI "0000:04:00.0/driver", "/x/ixgbe");
    load(tree);
    assert_null(host_group_blocker(&tree->host, pci(tree, "0000:03:00.0")));
}

/* ---- The driver right now ---- */

static void test_driver_is_read_anew(void **state) {
    struct tree_of_test *tree = *state;
    char driver[16] = "x", full[PATH_SIZE];

    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    load(tree);
    const struct device *device = pci(tree, "0000:03:00.0");
    assert_true(host_driver(&tree->host, device, driver, sizeof driver));
    assert_string_equal(driver, "");
    put_link(tree, PCI "0000:03:00.0/driver", "/x/vfio-pci");
    assert_true(host_driver(&tree->host, device, driver, sizeof driver));
    assert_string_equal(driver, "vfio-pci");
    assert_false(host_driver(&tree->host, device, driver, sizeof "vfio-pc"));
    path_in(tree, PCI "0000:03:00.0", full);
    assert_int_equal(nftw(full, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS), 0);
    assert_false(host_driver(&tree->host, device, driver, sizeof driver));
}

static void test_driver_of_usb_is_read_anew(void **state) {
    struct tree_of_test *tree = *state;
    char driver[16] = "x";

    put_usb(tree, "1-1");
    load(tree);
    assert_true(host_driver(&tree->host, usb(tree, "1-1"), driver, sizeof driver));
    assert_string_equal(driver, "");
    put_link(tree, "sys/bus/usb/devices/1-1/1-1:1.0/driver", "/x/usbfs");
    assert_true(host_driver(&tree->host, usb(tree, "1-1"), driver, sizeof driver));
    assert_string_equal(driver, "usbfs");
}

/* ---- What disks are used for ---- */

static void test_an_unused_disk_is_free(void **state) {
    put_disk(*state);
    assert_use(*state, "0000:00:01.0", NULL);
}

static void test_mounted_by_number(void **state) {
    put_disk(*state);
    put_mounts(*state, "30 1 8:1 / /mnt rw - ext4 /dev/disk/by-uuid/whatever rw\n");
    assert_use(*state, "0000:00:01.0", "mounts /mnt from it (sda1)");
    assert_null(pci(*state, "0000:00:02.0")->use);
}

static void test_mounted_whole(void **state) {
    put_disk(*state);
    put_mounts(*state, "30 1 8:0 / /mnt rw shared:1 master:2 - ext4 /dev/sda rw\n");
    assert_use(*state, "0000:00:01.0", "mounts /mnt from it (sda)");
}

static void test_shortest_mount_point_of_the_file_system(void **state) {
    put_disk(*state);
    put_mounts(*state, "30 1 8:1 /etc /e rw - ext4 /dev/sda1 rw\n"
                       "31 1 8:1 / /srv/data rw - ext4 /dev/sda1 rw\n"
                       "32 1 8:1 / /srv/data/again rw - ext4 /dev/sda1 rw\n");
    assert_use(*state, "0000:00:01.0", "mounts /srv/data from it (sda1)");
}

static void test_mounted_where_only_proc_mounts_says_so(void **state) {
    put_disk(*state);
    put(*state, "proc/mounts", "/dev/sda2 /a\\040b ext4 rw 0 0\nproc /proc proc rw 0 0\n");
    assert_use(*state, "0000:00:01.0", "mounts /a b from it (sda2)");
}

static void test_mounted_for_the_first_process(void **state) {
    put_disk(*state);
    put_mounts(*state, "30 1 0:30 / / rw - overlay overlay rw\n");
    put(*state, "proc/1/mountinfo", "30 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    assert_use(*state, "0000:00:01.0", "mounts / from it (sda1)");
}

static void test_mounted_in_a_container_only(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, "proc/self/ns/mnt", "mnt:[1]");
    put_link(tree, "proc/100/ns/mnt", "mnt:[1]");
    put_link(tree, "proc/200/ns/mnt", "mnt:[2]");
    put_mounts(tree, "30 1 0:30 / / rw - tmpfs tmpfs rw\n");
    put(tree, "proc/200/mountinfo", "30 1 8:1 / /data rw - vfat /dev/sda1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /data from it (sda1)");
}

static void test_mount_of_the_host_speaks_before_that_of_a_container(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, "proc/self/ns/mnt", "mnt:[1]");
    put_link(tree, "proc/200/ns/mnt", "mnt:[2]");
    put_mounts(tree, "30 1 8:1 / /a/long/way rw - ext4 /dev/sda1 rw\n");
    put(tree, "proc/200/mountinfo", "30 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /a/long/way from it (sda1)");
}

static void test_mounted_out_of_sight(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put(tree, "sys/fs/ext4/sda2/errors_count", "0\n");
    put(tree, "sys/fs/ext4/features/lazy_itable_init", "supported\n");
    assert_use(tree, "0000:00:01.0", "mounts a file system from it (sda2)");
}

static void test_number_known_from_sys_dev_block(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put(tree, ATA "sda/sda1/size", "100\n");
    put_link(tree, "sys/class/block/sda", "/" ATA "sda");
    put_link(tree, "sys/class/block/sda1", "/" ATA "sda/sda1");
    put_link(tree, "sys/dev/block/8:1", "../../" ATA "sda/sda1");
    put_mounts(tree, "30 1 8:1 / /mnt rw - ext4 UUID=1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda1)");
}

static void test_source_through_a_link_in_dev(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, "dev/disk/by-label/data", "../../sda1");
    put_mounts(tree, "30 1 0:40 / /mnt rw - btrfs /dev/disk/by-label/data rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda1)");
}

static void test_root_from_the_kernel_command_line(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put(tree, "proc/cmdline", "quiet root=/dev/sda2\n");
    put(tree, "proc/mounts", "/dev/root / ext4 rw 0 0\n");
    assert_use(tree, "0000:00:01.0", "mounts / from it (sda2)");
}

static void test_btrfs_on_several_disks(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, "sys/fs/btrfs/uuid/devices/sda1", "/" ATA "sda/sda1");
    put_link(tree, "sys/fs/btrfs/uuid/devices/sda2", "/" ATA "sda/sda2");
    put(tree, "sys/fs/btrfs/features/raid56", "0\n");
    put_mounts(
        tree, "30 1 0:40 /@ / rw - btrfs /dev/sda1 rw\n31 1 0:40 / /top rw - btrfs /dev/sda1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts / from it (sda1, sda2)");
}

static void test_btrfs_mounted_out_of_sight(void **state) {
    put_disk(*state);
    put_link(*state, "sys/fs/btrfs/uuid/devices/sda2", "nowhere");
    assert_use(*state, "0000:00:01.0", "mounts a file system from it (sda2)");
}

static void test_bcachefs_names_all_its_disks(void **state) {
    put_disk(*state);
    put_mounts(*state, "30 1 0:40 / /b rw - bcachefs /dev/sdz:/dev/sda2 rw\n");
    assert_use(*state, "0000:00:01.0", "mounts /b from it (sda2)");
}

static void test_swap_partition_and_swap_file(void **state) {
    put_disk(*state);
    put(*state, "proc/swaps",
        "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n/swapfile file 1 0 -3\n");
    assert_use(*state, "0000:00:01.0", "swaps on it (sda2)");
}

static void test_member_of_an_array_that_is_not_mounted(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md0", "9:0");
    put_stack(tree, "md0", "sda1");
    assert_use(tree, "0000:00:01.0", "keeps it in md0 (sda1)");
}

static void test_holder_known_by_name_only(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, ATA "sda/sda1/holders/md7", "../../nowhere");
    assert_use(tree, "0000:00:01.0", "keeps it in md7 (sda1)");
}

static void test_array_known_from_mdstat(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md0", "9:0");
    put(tree, "proc/mdstat",
        "Personalities : [raid1]\nmd0 : active raid1 sdz1[1] sda1[0](F)\n      10 blocks [2/1] "
        "[U_]\n"
        "unused devices: <none>\n");
    put_mounts(tree, "30 1 9:0 / /mnt rw - ext4 /dev/md0 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda1, md0)");
}

static void test_spare_partition_beside_a_mounted_one(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md0", "9:0");
    put_stack(tree, "md0", "sda2");
    put_mounts(tree, "30 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda1); keeps it in md0 (sda2)");
}

static void put_mapped(const struct tree_of_test *tree, const char *label) {
    put_disk(tree);
    put_virtual(tree, "dm-0", "253:0");
    put_stack(tree, "dm-0", "sda1");
    put(tree, VIRTUAL "dm-0/dm/name", label);
}

static void test_mapper_names(void **state) {
    put_mapped(*state, "vg--a-lv\n");
    put(*state, "proc/mounts", "/dev/mapper/vg--a-lv /lv ext4 rw 0 0\n");
    assert_use(*state, "0000:00:01.0", "mounts /lv from it (sda1, vg--a-lv)");
}

static void test_volume_group_names(void **state) {
    put_mapped(*state, "vg--a-lv\n");
    put(*state, "proc/mounts", "/dev/vg-a/lv /lv ext4 rw 0 0\n");
    assert_use(*state, "0000:00:01.0", "mounts /lv from it (sda1, vg--a-lv)");
}

static void test_partition_of_an_array(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md0", "9:0");
    put_block(tree, VIRTUAL "md0/md0p1", "259:1");
    put_stack(tree, "md0", "sda2");
    put_mounts(tree, "30 1 259:1 / /mnt rw - ext4 /dev/md0p1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda2, md0p1)");
}

static void test_loop_on_a_whole_partition(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "loop0", "7:0");
    put(tree, VIRTUAL "loop0/loop/backing_file", "/dev/sda2\n");
    put_mounts(tree, "30 1 7:0 / /mnt rw - squashfs /dev/loop0 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda2, loop0)");
}

static void test_only_sys_block(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put(tree, ATA "sda/dev", "8:0\n");
    put(tree, ATA "sda/sda1/dev", "8:1\n");
    put_link(tree, "sys/block/sda", "../../" ATA "sda");
    put_mounts(tree, "30 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (sda1)");
}

static void test_plain_directories_with_a_device_link(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:00:01.0", "144d:a808", "010802");
    put_link(tree, "sys/class/block/nvme0n1/device", "/sys/bus/pci/devices/0000:00:01.0");
    put(tree, "sys/class/block/nvme0n1/dev", "259:0\n");
    put(tree, "sys/class/block/nvme0n1p1/dev", "259:1\n");
    put_mounts(tree, "30 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts / from it (nvme0n1p1)");
}

static void test_twelve_is_no_partition_of_one(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md1", "9:1");
    put_virtual(tree, "md12", "9:12");
    put_stack(tree, "md1", "sda1");
    put_mounts(tree, "30 1 9:12 / /mnt rw - ext4 /dev/md12 rw\n");
    assert_use(tree, "0000:00:01.0", "keeps it in md1 (sda1)");
}

static void test_multipath_known_from_its_hidden_paths(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put_block(tree, SATA "/nvme/nvme3/nvme0c3n1", "0:0");
    put_block(tree, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0");
    put_mounts(tree, "30 1 259:0 / /mnt rw - ext4 /dev/nvme0n1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (nvme0n1)");
}

static void test_multipath_known_from_its_controllers(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put(tree, SATA "/nvme/nvme3/cntlid", "3\n");
    put_block(tree, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0");
    put_link(tree, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme3",
             "../../../pci0000:00/0000:00:01.0/nvme/nvme3");
    put_mounts(tree, "30 1 259:0 / /mnt rw - ext4 /dev/nvme0n1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt from it (nvme0n1)");
}

static void test_mount_point_is_made_safe(void **state) {
    put_disk(*state);
    put_mounts(*state, "30 1 8:1 / /a\\012b\033[2J rw - ext4 /dev/sda1 rw\n");
    assert_use(*state, "0000:00:01.0", "mounts /a?b?[2J from it (sda1)");
}

static void test_disk_on_a_virtual_function_holds_the_physical_one(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, SATA "/physfn", "../0000:00:02.0");
    put_mounts(tree, "30 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
    assert_use(tree, "0000:00:02.0", "mounts /mnt from it (sda1)");
}

static void test_virtual_functions_hold_the_physical_one(void **state) {
    put_base(*state);
    put(*state, NIC "/sriov_numvfs", "4\n");
    put(*state, SATA "/sriov_numvfs", "0\n");
    assert_use(*state, "0000:00:02.0", "runs 4 virtual functions on it");
    assert_null(pci(*state, "0000:00:01.0")->use);
}

static void put_zfs(const struct tree_of_test *tree) {
    put_disk(tree);
    put(tree, ATA "sda/sda1/uevent", "DEVNAME=sda1\nPARTN=1\nPARTNAME=zfs-1a2b3c4d\n");
}

static void test_zfs_member_of_an_imported_pool(void **state) {
    put_zfs(*state);
    put(*state, "proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    put(*state, "proc/spl/kstat/zfs/arcstats", "\n");
    assert_use(*state, "0000:00:01.0", "keeps it in a ZFS pool (sda1)");
}

static void test_zfs_without_a_pool_is_free(void **state) {
    put_zfs(*state);
    put(*state, "proc/spl/kstat/zfs/arcstats", "\n");
    put(*state, "sys/module/zfs/version", "2.1\n");
    assert_use(*state, "0000:00:01.0", NULL);
}

static void test_zfs_module_without_its_list_of_pools(void **state) {
    put_zfs(*state);
    assert_use(*state, "0000:00:01.0", NULL);
    put(*state, "sys/module/zfs/version", "2.1\n");
    assert_use(*state, "0000:00:01.0", "keeps it in a ZFS pool (sda1)");
}

static void test_zfs_pool_known_to_udev(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put(tree, "run/udev/data/b8:1", "S:x\nE:ID_FS_LABEL=tank\nE:ID_FS_TYPE=zfs_member\n");
    put(tree, "run/udev/data/b8:2", "E:ID_FS_LABEL=guest\nE:ID_FS_TYPE=zfs_member\n");
    put_mounts(tree, "30 1 0:50 / /tank rw - zfs tank/data rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /tank from it (sda1, ZFS pool tank)");
}

static void test_zfs_pool_of_a_guest_is_free(void **state) {
    struct tree_of_test *tree = *state;
    put_zfs(tree);
    put(tree, "run/udev/data/b8:1", "E:ID_FS_LABEL=guest\nE:ID_FS_TYPE=zfs_member\n");
    put(tree, "proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    assert_use(tree, "0000:00:01.0", NULL);
}

/* ---- What network cards are used for ---- */

static void put_card(const struct tree_of_test *tree) {
    put_base(tree);
    put_interface(tree, "eth0", NIC);
}

static void test_an_interface_without_address_is_free(void **state) {
    put_card(*state);
    put_routes(*state, "eth9 00000000 010200C0 0003 0 0 0 00000000\n");
    assert_use(*state, "0000:00:02.0", NULL);
}

static void test_default_route(void **state) {
    put_card(*state);
    put_routes(*state, "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                       "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
    assert_use(*state, "0000:00:02.0", "uses it as network uplink (eth0, default route)");
    assert_null(pci(*state, "0000:00:01.0")->use);
}

static void test_default_route_of_ipv6(void **state) {
    put_card(*state);
    put(*state, "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
    assert_use(*state, "0000:00:02.0", "uses it as network uplink (eth0, default route)");
}

static void test_rejecting_routes_are_none(void **state) {
    put_card(*state);
    put_routes(*state, "eth0 00000000 00000000 0201 0 0 0 00000000\n");
    put(*state, "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200201 eth0\n"
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000002 00000000 00000001 eth0\n");
    assert_use(*state, "0000:00:02.0", NULL);
}

static void test_address_known_from_its_route(void **state) {
    put_card(*state);
    put_routes(*state, "eth0:1 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_half_of_all_addresses_is_no_default_route(void **state) {
    put_card(*state);
    put_routes(*state, "eth0 00000000 00000000 0001 0 0 0 00000080\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_address_of_ipv6(void **state) {
    put_card(*state);
    put(*state, "proc/net/if_inet6",
        "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
        "00000000000000000000000000000001 01 80 10 80       lo\n");
    assert_use(*state, "0000:00:02.0", NULL);
    put(*state, "proc/net/if_inet6", "fd000000000000000000000000000002 04 40 00 82     eth0\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_address_on_an_interface_that_is_down(void **state) {
    put_card(*state);
    put(*state, "proc/net/if_inet6", "fd000000000000000000000000000002 04 40 00 82     eth0\n");
    put(*state, NIC "/net/eth0/flags", "0x1002\n");
    assert_use(*state, "0000:00:02.0", NULL);
    put(*state, NIC "/net/eth0/flags", "0x1003\n");
    put(*state, NIC "/net/eth0/operstate", "down\n"); /* no cable, and still the host's */
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_self_assigned_address_without_cable(void **state) {
    put_card(*state);
    put_routes(*state, "eth0 0000FEA9 00000000 0001 0 0 0 0000FFFF\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
    put(*state, NIC "/net/eth0/flags", "0x1003\n");
    put(*state, NIC "/net/eth0/operstate", "down\n");
    assert_use(*state, "0000:00:02.0", NULL);
}

static void test_bridge_known_from_its_ports(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/br0/bridge/bridge_id", "\n");
    put_link(tree, "sys/class/net/br0/brif/eth0", "nowhere");
    put_routes(tree, "br0 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0", "uses it in bridge br0 (eth0), which has an address");
}

static void test_bond_below_vlan_below_bridge(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/bond0/bonding/slaves", "eth9 eth0\n");
    put_link(tree, "sys/class/net/bond0/upper_bond0.5", "../bond0.5");
    put_link(tree, "sys/class/net/bond0.5/master", "../br0");
    put(tree, "sys/class/net/br0/bridge/bridge_id", "\n");
    put_routes(tree, "br0 00000000 010200C0 0003 0 0 0 00000000\n");
    assert_use(tree, "0000:00:02.0",
               "uses it in bridge br0 (eth0, bond0, bond0.5), which carries the default route");
}

static void test_vlan_known_from_below(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/eth0.5/uevent", "DEVTYPE=vlan\n");
    put_link(tree, "sys/class/net/eth0.5/lower_eth0", "../eth0");
    put_routes(tree, "eth0.5 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0", "uses it in VLAN eth0.5 (eth0), which has an address");
}

static void test_idle_bridge_is_no_use(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_link(tree, "sys/class/net/eth0/master", "../br0");
    put(tree, "sys/class/net/br0/bridge/bridge_id", "\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_open_vswitch_may_carry_the_host(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_link(tree, "sys/class/net/eth0/master", "../ovs-system");
    put(tree, "sys/class/net/ovs-system/operstate", "down\n");
    assert_use(tree, "0000:00:02.0", "uses it in Open vSwitch bridge ovs-system (eth0)");
}

static void test_two_interfaces_of_one_function(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_interface(tree, "eth1", NIC);
    put_routes(tree, "eth1 00000000 010200C0 0003 0 0 0 00000000\n"
                     "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0",
               "uses it as network uplink (eth1, default route); has an address on it (eth0)");
}

static void test_strongest_use_comes_first(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_interface(tree, "eth0", SATA);
    put(tree, SATA "/boot_vga", "1\n");
    put_virtual(tree, "md0", "9:0");
    put_stack(tree, "md0", "sda1");
    put_routes(tree, "eth0 00000000 010200C0 0003 0 0 0 00000000\n");
    put(tree, "proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n");
    assert_use(
        tree, "0000:00:01.0",
        "swaps on it (sda2); keeps it in md0 (sda1); uses it as network uplink (eth0, default "
        "route); shows its console on it (boot display)");
}

static void test_usb_network_card_holds_its_controller(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put(tree, NIC "/usb1/1-2/idVendor", "0bda\n");
    put(tree, NIC "/usb1/1-2/idProduct", "8153\n");
    put_link(tree, "sys/bus/usb/devices/1-2", "/" NIC "/usb1/1-2");
    put_interface(tree, "eth0", NIC "/usb1/1-2/1-2:1.0");
    put_routes(tree, "eth0 00000000 010200C0 0003 0 0 0 00000000\n");
    load(tree);
    assert_string_equal(usb(tree, "1-2")->use, "uses it as network uplink (eth0, default route)");
    assert_string_equal(pci(tree, "0000:00:02.0")->use,
                        "uses it as network uplink (eth0, default route)");
}

/* ---- Broken and hostile trees ---- */

static void test_nothing_to_read(void **state) {
    struct tree_of_test *tree = *state;
    struct host host;
    char error[TEXT_SIZE] = "";

    assert_int_equal(host_init(&host, tree->root, error, sizeof error), -1);
    assert_non_null(strstr(error, "sys/bus/pci"));
    assert_int_equal(host_init(&host, "/does/not/exist", error, sizeof error), -1);
    assert_non_null(strstr(error, "/does/not/exist"));
    assert_null(host.devices);
    host_finish(&host);
}

static void test_empty_bus(void **state) {
    struct tree_of_test *tree = *state;
    put(tree, "sys/bus/pci/drivers_autoprobe", "1\n");
    load(tree);
    assert_int_equal(tree->host.count, 0);
}

static void test_links_stay_inside_the_root(void **state) {
    struct tree_of_test *tree = *state;
    char outside[] = "/tmp/test_host_out.XXXXXX", path[TEXT_SIZE];

    assert_non_null(mkdtemp(outside));
    struct tree_of_test other = {0};
    assert_true(snprintf(other.root, sizeof other.root, "%s", outside) < (int)sizeof other.root);
    put_pci(&other, "0000:03:00.0", "dead:beef", "088000");
    put(tree, "sys/bus/pci/drivers_autoprobe", "1\n");
    put_link(tree, PCI "0000:03:00.0", text(path, "%s/" PCI "0000:03:00.0", outside));
    put_link(tree, PCI "0000:04:00.0",
             text(path, "../../../../../../../../../..%s/" PCI "0000:03:00.0", outside));
    put_pci(tree, "0000:05:00.0", "1ac1:089a", "088000");
    unlink(text(path, "%s/" PCI "0000:05:00.0/vendor", tree->root));
    put_link(tree, PCI "0000:05:00.0/vendor", "/etc/hostname");
    load(tree);
    assert_null(host_find(&tree->host, BUS_PCI, "0000:03:00.0"));
    assert_null(host_find(&tree->host, BUS_PCI, "0000:04:00.0"));
    assert_int_equal(pci(tree, "0000:05:00.0")->id.vendor, 0);
    assert_int_equal(nftw(outside, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS), 0);
}

static void test_absolute_links_mean_the_root(void **state) {
    struct tree_of_test *tree = *state;
    put_device(tree, "sys/devices/pci0000:00/0000:03:00.0", "1ac1:089a", "088000");
    put_link(tree, PCI "0000:03:00.0", "/sys/devices/pci0000:00/0000:03:00.0");
    load(tree);
    assert_int_equal(pci(tree, "0000:03:00.0")->id.vendor, 0x1ac1);
}

static void test_link_loops(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_link(tree, PCI "0000:06:00.0", "0000:07:00.0");
    put_link(tree, PCI "0000:07:00.0", "0000:06:00.0");
    put_link(tree, PCI "0000:08:00.0", "0000:08:00.0/x");
    put_link(tree, "sys/class/block/sdz", "sdz");
    put_link(tree, "sys/class/net/eth7", "eth7/device");
    put_link(tree, "proc/mounts", "mounts");
    put_link(tree, "usr/share/udev", "udev");
    load(tree);
    assert_int_equal(tree->host.count, 5);
    assert_int_equal(pci(tree, "0000:06:00.0")->obstacle, OBSTACLE_UNKNOWN_USE);
}

static void test_files_in_place_of_directories(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put(tree, "sys/class/block/sda", "a file\n");
    put(tree, "sys/class/net/bonding_masters", "bond0\n");
    put(tree, "sys/kernel/iommu_groups/1", "a file\n");
    put(tree, "proc/self/mountinfo/x", "");
    put(tree, "proc/swaps/x", "");
    put_driver(tree, SATA, "ahci");
    assert_use(tree, "0000:00:01.0", NULL);
    assert_unknown(tree, "0000:00:01.0", "/proc/self/mountinfo cannot be read (Is a directory)");
}

static void test_lines_cut_short(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_interface(tree, "eth0", NIC);
    put_mounts(
        tree,
        "\n30\n30 1 8:1\n30 1 8:1 / /mnt rw\n30 1 8:1 / /mnt rw -\n30 1 8:1 / /mnt rw - ext4\n"
        "30 1 8:2 / \\0 rw - ext4 /dev/sda2");
    put(tree, "proc/swaps", "\n\n/dev/\n");
    put(tree, "proc/mdstat", "md0\nmd0 :\nmd0 : [\n : active sda1[0]\n");
    put(tree, "proc/net/route", "\neth0\neth0 x\neth0 00000000 0 0003\n");
    put(tree, "proc/net/ipv6_route", "0 0 0\n");
    put(tree, "proc/net/if_inet6", "fd00\n");
    assert_use(tree, "0000:00:01.0", "mounts \\0 from it (sda2)");
    assert_string_equal(pci(tree, "0000:00:02.0")->use,
                        "uses it as network uplink (eth0, default route)");
}

static void test_stack_that_bites_its_tail(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "dm-0", "253:0");
    put_virtual(tree, "dm-1", "253:1");
    put_stack(tree, "dm-0", "sda1");
    put_stack(tree, "dm-1", "dm-0");
    put_stack(tree, "dm-0", "dm-1");
    put_stack(tree, "dm-0", "dm-0");
    put_mounts(tree, "30 1 253:1 / /mnt rw - ext4 /dev/dm-1 rw\n");
    load(tree);
    assert_memory_equal(pci(tree, "0000:00:01.0")->use, "mounts /mnt from it", 19);
}

static void test_deep_stack(void **state) {
    enum { DEPTH = 400 };
    struct tree_of_test *tree = *state;
    char name[TEXT_SIZE], lower[TEXT_SIZE], value[TEXT_SIZE];

    put_disk(tree);
    for (int i = 0; i < DEPTH; i++) {
        put_virtual(tree, text(name, "dm-%d", i), text(value, "253:%d", i));
        put_stack(tree, name, i ? text(lower, "dm-%d", i - 1) : "sda1");
    }
    put_mounts(tree, text(value, "30 1 253:%d / /deep rw - ext4 /dev/dm-9 rw\n", DEPTH - 1));
    load(tree);
    assert_memory_equal(pci(tree, "0000:00:01.0")->use, "mounts /deep from it (sda1, dm-0, dm-1,",
                        39);
    assert_non_null(strstr(pci(tree, "0000:00:01.0")->use, "dm-399)"));
}

static void test_thousands_of_devices(void **state) {
    enum { COUNT = 2000, PER_BUS = 32 };
    struct tree_of_test *tree = *state;
    char address[TEXT_SIZE];

    for (int i = 0; i < COUNT; i++)
        put_pci(tree, text(address, "0000:%02x:%02x.0", i / PER_BUS, i % PER_BUS), "1ac1:089a",
                "088000");
    load(tree);
    assert_int_equal(tree->host.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(pci(tree, text(address, "0000:%02x:%02x.0", i / PER_BUS, i % PER_BUS)),
                         &tree->host.devices[i]);
}

static void test_many_disks_on_one_controller(void **state) {
    enum { COUNT = 200 };
    struct tree_of_test *tree = *state;
    char path[TEXT_SIZE], number[TEXT_SIZE];

    put_base(tree);
    put_virtual(tree, "md0", "9:0");
    for (int i = 0; i < COUNT; i++) {
        put_block(tree, text(path, ATA "disk%d", i), text(number, "8:%d", i));
        put_stack(tree, "md0", text(path, "disk%d", i));
    }
    put_mounts(tree, "30 1 9:0 / /mnt rw - ext4 /dev/md0 rw\n");
    load(tree);
    assert_non_null(strstr(pci(tree, "0000:00:01.0")->use, "disk198, disk199, md0)"));
}

/* ---- What cannot be read counts as in use ---- */

/* A host with a disk, a card, a display and an accelerator; all is known and nothing is used. */
static void put_idle_host(const struct tree_of_test *tree) {
    put_disk(tree);
    put_driver(tree, SATA, "ahci");
    put_interface(tree, "eth0", NIC);
    put_driver(tree, NIC, "igb");
    put_pci(tree, "0000:03:00.0", "10de:2484", "030000");
    put_driver(tree, PCI "0000:03:00.0", "nvidia");
    put_pci(tree, "0000:04:00.0", "1ac1:089a", "088000");
    put_mounts(tree, "30 1 0:21 / /proc rw - proc proc rw\n");
    put(tree, "proc/swaps", "Filename Type Size Used Priority\n");
    put_routes(tree, "");
}

static void remove_file(const struct tree_of_test *tree, const char *path) {
    char full[PATH_SIZE];
    path_in(tree, path, full);
    assert_int_equal(unlink(full), 0);
}

static void test_an_idle_host_is_free(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    load(tree);
    for (size_t i = 0; i < tree->host.count; i++) {
        assert_null(tree->host.devices[i].use);
        assert_no_obstacle(tree, tree->host.devices[i].address);
    }
}

/* What each file tells about is doubtful without it, and nothing else is. */
static void test_files_that_every_kernel_has(void **state) {
    static const struct {
        const char *path;
        bool of_disks;
    } files[] = {{"proc/self/mountinfo", true}, {"proc/swaps", true}, {"proc/net/route", false}};
    struct tree_of_test *tree = *state;
    char part[TEXT_SIZE];

    put_idle_host(tree);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        remove_file(tree, files[i].path);
        load(tree);
        text(part, "/%s cannot be read (No such file or directory)", files[i].path);
        if (files[i].of_disks)
            assert_unknown(tree, "0000:00:01.0", part);
        else
            assert_no_obstacle(tree, "0000:00:01.0");
        if (files[i].of_disks)
            assert_no_obstacle(tree, "0000:00:02.0");
        else
            assert_unknown(tree, "0000:00:02.0", part);
        assert_no_obstacle(tree, "0000:03:00.0");
        put_mounts(tree, "");
        put(tree, "proc/swaps", "");
        put_routes(tree, "");
    }
}

static void test_files_that_cannot_be_read(void **state) {
    static const char *const files[] = {"proc/mdstat",
                                        "proc/net/ipv6_route",
                                        "proc/net/if_inet6",
                                        "sys/class/block/sda/holders",
                                        "sys/class/net/eth0/master",
                                        "sys/fs/btrfs",
                                        "sys/fs/ext4"};
    struct tree_of_test *tree = *state;
    char target[TEXT_SIZE];

    put_idle_host(tree);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        bool of_disks = !strstr(files[i], "/net/");
        /* A link to itself is not to be read (ELOOP), by root neither. */
        put_link(tree, files[i],
                 strcmp(files[i], "sys/class/net/eth0/master") != 0
                     ? text(target, "/%s", files[i])
                     : "/sys/class/net/eth0/master/x");
        load(tree);
        if (of_disks)
            assert_unknown(tree, "0000:00:01.0", "not when the host was recorded");
        else if (!strstr(files[i], "master"))
            assert_unknown(tree, "0000:00:02.0", "not when the host was recorded");
        assert_int_equal(pci(tree, "0000:00:01.0")->obstacle != 0, of_disks);
        assert_no_obstacle(tree, "0000:04:00.0");
        remove_file(tree, files[i]);
    }
}

static void test_without_proc_and_classes(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put_driver(tree, SATA, "ahci");
    put_driver(tree, NIC, "igb");
    put_pci(tree, "0000:03:00.0", "10de:2484", "030000");
    put_driver(tree, PCI "0000:03:00.0", "nvidia");
    put_pci(tree, "0000:04:00.0", "1ac1:089a", "088000");
    put_pci(tree, "0000:05:00.0", "8086:5ae3", "010601");
    put_driver(tree, PCI "0000:05:00.0", "vfio-pci");
    load(tree);
    assert_unknown(tree, "0000:00:01.0", "/sys/class/block cannot be read");
    assert_unknown(tree, "0000:00:02.0", "/sys/class/net cannot be read");
    assert_unknown(tree, "0000:03:00.0", "/proc cannot be read");
    assert_no_obstacle(tree, "0000:04:00.0"); /* without a driver nobody uses it */
    assert_no_obstacle(tree, "0000:05:00.0"); /* nor with vfio's */
}

static void test_the_controller_of_a_doubtful_disk(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put_device(tree, "sys/devices/pci0000:00/0000:00:14.0", "8086:a36d", "0c0330");
    put_link(tree, PCI "0000:00:14.0", "../../../devices/pci0000:00/0000:00:14.0");
    put(tree, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/idVendor", "0781\n");
    put(tree, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/idProduct", "5571\n");
    put_link(tree, "sys/bus/usb/devices/1-2", "../../../devices/pci0000:00/0000:00:14.0/usb1/1-2");
    put_block(tree, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host1/block/sdb", "8:16");
    remove_file(tree, "proc/swaps");
    load(tree);
    assert_unknown(tree, "1-2", "/proc/swaps");
    assert_unknown(tree, "0000:00:14.0", "/proc/swaps");
}

static void test_a_list_of_mounts_that_is_cut(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put(tree, "proc/self/mountinfo", "30 1 0:21 / /proc rw - proc proc rw\n\n31 1 8:1 / /sr");
    load(tree);
    assert_unknown(tree, "0000:00:01.0", "/proc/self/mountinfo");
    assert_no_obstacle(tree, "0000:04:00.0");
}

static void test_a_kernel_without_swap(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    remove_file(tree, "proc/swaps");
    put(tree, "proc/meminfo", "MemTotal: 16 kB\nSwapTotal:              0 kB\n");
    load(tree);
    assert_no_obstacle(tree, "0000:00:01.0");
    put(tree, "proc/meminfo", "MemTotal: 16 kB\nSwapTotal:            512 kB\n");
    load(tree);
    assert_unknown(tree, "0000:00:01.0", "/proc/swaps");
}

static void test_virtual_functions_that_only_they_tell_of(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put_pci(tree, "0000:04:00.1", "1ac1:089b", "088000");
    put_link(tree, PCI "0000:04:00.1/physfn", "../0000:04:00.0");
    assert_use(tree, "0000:04:00.0", "runs 1 virtual function on it");
    put(tree, PCI "0000:04:00.0/sriov_numvfs", "\n");
    load(tree);
    assert_unknown(tree, "0000:04:00.0", "'sriov_numvfs'");
}

static void test_facts_of_a_device_that_cannot_be_read(void **state) {
    static const char *const names[] = {"class", "config", "vendor", "boot_vga"};
    struct tree_of_test *tree = *state;
    char path[TEXT_SIZE], part[TEXT_SIZE];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        put_idle_host(tree);
        text(path, PCI "0000:04:00.0/%s", names[i]);
        if (i != 1 && i != 3)
            remove_file(tree, path);
        put(tree, text(part, "%s/x", path), "");
        load(tree);
        assert_unknown(tree, "0000:04:00.0", text(part, "'%s' of 0000:04:00.0", names[i]));
        assert_no_obstacle(tree, "0000:03:00.0");
        host_finish(&tree->host);
        assert_int_equal(nftw(tree->root, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS), 0);
    }
    put_idle_host(tree);
    remove_file(tree, PCI "0000:04:00.0/class");
    load(tree);
    assert_unknown(tree, "0000:04:00.0",
                   "'class' of 0000:04:00.0 cannot be read (it is not there)");
}

static void test_an_unreadable_device_may_be_in_any_group(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put_group(tree, PCI "0000:04:00.0", "4");
    put_link(tree, PCI "0000:05:00.0", "0000:05:00.0");
    load(tree);
    assert_unknown(tree, "0000:04:00.0", "0000:05:00.0 cannot be read");
    put_link(tree, "sys/kernel/iommu_groups/7/devices/0000:05:00.0", "nowhere");
    load(tree);
    assert_no_obstacle(tree, "0000:04:00.0");
    assert_int_equal(pci(tree, "0000:05:00.0")->iommu_group, 7);
}

/* It must not be taken for one that was pulled out. */
static void test_an_unreadable_usb_device_is_there(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put(tree, "sys/bus/usb/devices/usb1/idVendor", "1d6b\n");
    load(tree);
    assert_true(tree->host.has_usb);
    put_link(tree, "sys/bus/usb/devices/1-2", "1-2");
    load(tree);
    assert_false(tree->host.has_usb);
    assert_unknown(tree, "1-2", "cannot be read");
}

/* What is behind a controller goes with it: a VM's stick, or the only keyboard. */
static void test_what_cannot_be_read_holds_its_controller(void **state) {
    static const char *const names[] = {"idVendor", "idProduct", "busnum", "devnum"};
    struct tree_of_test *tree = *state;
    char directory[TEXT_SIZE], path[TEXT_SIZE], part[TEXT_SIZE];

    put_idle_host(tree);
    for (size_t i = 0; i < 2; i++) {
        text(directory, "sys/devices/pci0000:00/0000:00:1%zu.0", i + 4);
        put_device(tree, directory, "8086:a36d", "0c0330");
        put_driver(tree, directory, "xhci_hcd");
        put_link(tree, text(path, PCI "0000:00:1%zu.0", i + 4),
                 text(part, "../../../devices/pci0000:00/0000:00:1%zu.0", i + 4));
    }
    text(directory, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2");
    put_link(tree, "sys/bus/usb/devices/1-2", "../../../devices/pci0000:00/0000:00:14.0/usb1/1-2");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        put(tree, text(path, "%s/%s", directory, names[i]), "1234\n");
    load(tree);
    assert_no_obstacle(tree, "1-2");
    assert_no_obstacle(tree, "0000:00:14.0");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        put(tree, text(path, "%s/%s", directory, names[i]), "\n");
        load(tree);
        assert_unknown(tree, "1-2", names[i]);
        assert_unknown(tree, "0000:00:14.0", "what is behind it cannot be seen: 1-2");
        assert_no_obstacle(tree, "0000:00:15.0");
        put(tree, text(path, "%s/%s", directory, names[i]), "1234\n");
    }
    /* Nothing tells where it is, or what there is at all. */
    put_link(tree, "sys/bus/usb/devices/2-1", "2-1");
    load(tree);
    assert_unknown(tree, "0000:00:14.0", "2-1 cannot be read");
    assert_unknown(tree, "0000:00:15.0", "2-1 cannot be read");
    assert_no_obstacle(tree, "0000:03:00.0");
}

static void test_usb_that_cannot_be_listed_holds_all_controllers(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put_pci(tree, "0000:00:14.0", "8086:a36d", "0c0330");
    put_link(tree, "sys/bus/usb/devices", "devices");
    load(tree);
    assert_unknown(tree, "0000:00:14.0", "/sys/bus/usb/devices cannot be read");
    assert_no_obstacle(tree, "0000:03:00.0");
}

/* ---- What forbids to pass a device ---- */

static void put_config(const struct tree_of_test *tree, const char *address, unsigned char header) {
    unsigned char bytes[64] = {0x86, 0x80, [0x0E] = header};
    char path[TEXT_SIZE];
    put_bytes(tree, text(path, PCI "%s/config", address), bytes, sizeof bytes);
}

static void test_what_is_a_bridge(void **state) {
    static const struct {
        const char *class;
        int header; /* -1: not to be read */
        bool is_bridge;
    } cases[] = {{"060400", 1, true},    {"060400", -1, true},   {"060000", 0, true},
                 {"060000", -1, true},   {"060100", 0, true},    {"068000", 0, false},
                 {"068000", -1, true},   {"060400", 0, false},   {"088000", 1, true},
                 {"060700", 0x82, true}, {"030000", 0x80, false}};
    struct tree_of_test *tree = *state;
    char address[TEXT_SIZE];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_pci(tree, text(address, "0000:00:%02zx.0", i), "8086:1901", cases[i].class);
        if (cases[i].header >= 0)
            put_config(tree, address, (unsigned char)cases[i].header);
    }
    load(tree);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tree->host.devices[i].is_bridge, cases[i].is_bridge);
}

static void test_a_device_that_does_not_answer(void **state) {
    struct tree_of_test *tree = *state;
    unsigned char bytes[64];

    put_idle_host(tree);
    memset(bytes, 0xff, sizeof bytes);
    put_bytes(tree, PCI "0000:03:00.0/config", bytes, sizeof bytes);
    put(tree, PCI "0000:03:00.0/power_state", "D3cold\n");
    put_config(tree, "0000:04:00.0", 0);
    load(tree);
    assert_obstacle(tree, "0000:03:00.0", OBSTACLE_NO_ANSWER, "power state D3cold");
    assert_false(pci(tree, "0000:03:00.0")->is_bridge);
    assert_no_obstacle(tree, "0000:04:00.0");
}

static void test_memory_that_the_firmware_keeps(void **state) {
    static const struct {
        const char *regions;
        bool forbids;
    } cases[] = {{"0x00000000fee00000 0x00000000feefffff msi\n", false},
                 {"0x0000000000000000 0x0000000000ffffff direct-relaxable\n", false},
                 {"0x00000000000a0000 0x00000000000fffff reserved\n", false},
                 {"0x00000000fee00000 0x00000000feefffff msi\n"
                  "0x00000000bdf6f000 0x00000000bdf6ffff direct\n",
                  true},
                 {"", false}};
    struct tree_of_test *tree = *state;

    put_idle_host(tree);
    put_group(tree, PCI "0000:04:00.0", "4");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(tree, "sys/kernel/iommu_groups/4/reserved_regions", cases[i].regions);
        load(tree);
        if (cases[i].forbids)
            assert_obstacle(tree, "0000:04:00.0", OBSTACLE_FIRMWARE,
                            "0x00000000bdf6f000-0x00000000bdf6ffff");
        else
            assert_no_obstacle(tree, "0000:04:00.0");
        assert_no_obstacle(tree, "0000:03:00.0"); /* of no group */
    }
    remove_file(tree, "sys/kernel/iommu_groups/4/reserved_regions");
    put(tree, "sys/kernel/iommu_groups/4/reserved_regions/x", "");
    load(tree);
    assert_unknown(tree, "0000:04:00.0", "reserved_regions cannot be read");
}

static void test_what_vfio_pci_does_not_take(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put_pci(tree, "0000:05:00.0", "8086:37c8", "0b4000");
    put_pci(tree, "0000:06:10.0", "8086:1520", "020000");
    put_link(tree, PCI "0000:06:10.0/physfn", "../0000:00:02.0");
    load(tree);
    assert_no_obstacle(tree, "0000:05:00.0"); /* vfio-pci is not loaded: it may be an old one */
    assert_no_obstacle(tree, "0000:06:10.0");
    put(tree, "sys/module/vfio_pci/parameters/disable_denylist", "N\n");
    remove_file(tree, NIC "/driver");
    put_driver(tree, NIC, "vfio-pci");
    load(tree);
    assert_obstacle(tree, "0000:05:00.0", OBSTACLE_KERNEL, "denylist");
    assert_obstacle(tree, "0000:06:10.0", OBSTACLE_KERNEL, "0000:00:02.0 is on vfio-pci");
    put(tree, "sys/module/vfio_pci/parameters/disable_denylist", "Y\n");
    load(tree);
    assert_no_obstacle(tree, "0000:05:00.0");
}

/* ---- Uses that leave no mount, swap, holder or address ---- */

#define GPU "sys/devices/pci0000:00/0000:03:00.0"

/* An idle host with a second card that has a driver, a keyboard behind its USB controller, a stick
 * and a mouse. */
static void put_desktop(const struct tree_of_test *tree) {
    static const char xhci[] = "sys/devices/pci0000:00/0000:00:14.0";
    static const char *const ports[] = {"1-1", "1-2"};
    char path[TEXT_SIZE], value[TEXT_SIZE];

    put_disk(tree);
    put_driver(tree, SATA, "ahci");
    put_interface(tree, "eth0", NIC);
    put_device(tree, GPU, "10de:2484", "030000");
    put_link(tree, PCI "0000:03:00.0", "../../../devices/pci0000:00/0000:03:00.0");
    put_driver(tree, GPU, "nvidia");
    put_device(tree, xhci, "8086:a36d", "0c0330");
    put_link(tree, PCI "0000:00:14.0", text(value, "../../../../%s", xhci));
    for (size_t i = 0; i < 2; i++) {
        text(path, "%s/usb1/%s/idVendor", xhci, ports[i]);
        put(tree, path, "10c4\n");
        put(tree, text(path, "%s/usb1/%s/idProduct", xhci, ports[i]), "ea60\n");
        put(tree, text(path, "%s/usb1/%s/busnum", xhci, ports[i]), "1\n");
        put(tree, text(path, "%s/usb1/%s/devnum", xhci, ports[i]), i ? "12\n" : "3\n");
        put_link(tree, text(path, "sys/bus/usb/devices/%s", ports[i]),
                 text(value, "../../../../%s/usb1/%s", xhci, ports[i]));
    }
    put_mounts(tree, "");
    put(tree, "proc/swaps", "");
    put_routes(tree, "");
}

static void put_process(const struct tree_of_test *tree, const char *id, const char *program) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put(tree, text(path, "proc/%s/comm", id), text(value, "%s\n", program));
    put_link(tree, text(path, "proc/%s/fd/0", id), "/dev/null");
    put_link(tree, text(path, "proc/%s/fd/1", id), "socket:[4711]");
}

static void put_open(const struct tree_of_test *tree, const char *id, const char *entry,
                     const char *file) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "proc/%s/fd/%s", id, entry), text(value, "/dev/%s", file));
}

/* The entry of a class for a file of /dev. */
static void put_entry(const struct tree_of_test *tree, const char *class, const char *directory,
                      const char *name) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put(tree, text(path, "%s/%s/uevent", directory, name), "");
    put_link(tree, text(path, "sys/class/%s/%s", class, name),
             text(value, "../../../%s/%s", directory, name));
}

static void test_a_display_that_a_desktop_has_open(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_entry(tree, "drm", GPU "/drm", "card1");
    put_process(tree, "3217", "Xorg");
    put_process(tree, "3348", "gnome-shell");
    assert_use(tree, "0000:03:00.0", NULL);
    put_open(tree, "3217", "12", "nvidia0");
    put_open(tree, "3217", "13", "dri/card1");
    put_open(tree, "3348", "9", "nvidia0");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->use,
                        "uses it in Xorg (process 3217: /dev/nvidia0, /dev/dri/card1), gnome-shell "
                        "(process 3348: /dev/nvidia0)");
    assert_null(pci(tree, "0000:00:01.0")->use);
    /* A sound card may have the name of a display's file. */
    put_entry(tree, "sound", SATA "/sound", "card1");
    load(tree);
    assert_null(pci(tree, "0000:00:01.0")->use);
}

/* Of several cards of one driver; where that tells which is which, only the one. */
static void test_which_nvidia_card_is_open(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_pci(tree, "0000:04:00.0", "10de:2484", "030000");
    put_driver(tree, PCI "0000:04:00.0", "nvidia");
    put_process(tree, "70", "ffmpeg");
    put_open(tree, "70", "5", "nvidia1");
    load(tree);
    assert_non_null(pci(tree, "0000:03:00.0")->use);
    assert_non_null(pci(tree, "0000:04:00.0")->use);
    put(tree, "proc/driver/nvidia/gpus/0000:03:00.0/information", "Device Minor: \t 0\n");
    put(tree, "proc/driver/nvidia/gpus/0000:04:00.0/information", "Model: X\nDevice Minor: \t 1\n");
    load(tree);
    assert_null(pci(tree, "0000:03:00.0")->use);
    assert_string_equal(pci(tree, "0000:04:00.0")->use,
                        "uses it in ffmpeg (process 70: /dev/nvidia1)");
}

static void test_files_of_every_kind_of_device(void **state) {
    static const struct {
        const char *class, *directory, *name, *file;
        bool is_use;
    } files[] = {{"block", ATA, "sda1", "sda1", true},
                 {"scsi_generic", SATA "/host0/scsi_generic", "sg0", "sg0", true},
                 {"apex", SATA "/apex", "apex_0", "apex_0", true},
                 {"video4linux", SATA "/video4linux", "video0", "video0", true},
                 {"tty", SATA "/tty", "ttyUSB0", "ttyUSB0", true},
                 {"hidraw", SATA "/hidraw", "hidraw0", "hidraw0", true},
                 {"sound", SATA "/sound/card0", "pcmC0D0p", "snd/pcmC0D0p", true},
                 {"sound", SATA "/sound/card0", "controlC0", "snd/controlC0", false},
                 {"input", SATA "/input/input3", "event3", "input/event3", false},
                 {"tty", "sys/devices/virtual/tty", "tty1", "tty1", false}};
    struct tree_of_test *tree = *state;
    char entry[TEXT_SIZE], part[TEXT_SIZE], path[TEXT_SIZE];

    put_desktop(tree);
    put_process(tree, "70", "program");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (i)
            put_entry(tree, files[i].class, files[i].directory, files[i].name);
        put_open(tree, "70", text(entry, "%zu", i + 5), files[i].file);
        load(tree);
        const char *use = pci(tree, "0000:00:01.0")->use;
        if (!files[i].is_use)
            assert_null(use);
        else if (!use || !strstr(use, text(part, "program (process 70: /dev/%s)", files[i].file)))
            fail_msg("%s: %s", files[i].file, use ? use : "no use");
        remove_file(tree, text(path, "proc/70/fd/%s", entry));
    }
}

static void test_a_usb_device_that_a_program_has_open(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_process(tree, "70", "usbhid-ups");
    put_open(tree, "70", "5", "bus/usb/001/003");
    load(tree);
    assert_string_equal(usb(tree, "1-1")->use,
                        "uses it in usbhid-ups (process 70: /dev/bus/usb/001/003)");
    assert_string_equal(pci(tree, "0000:00:14.0")->use, usb(tree, "1-1")->use);
    assert_null(usb(tree, "1-2")->use);
}

/* What qemu needs for a device that a VM has is no use of the host's; what else it has open is the
 * VM's. A qemu that libvirt does not know is a program as any other. */
static void test_what_the_qemu_of_a_vm_has_open(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_group(tree, GPU, "9");
    put_process(tree, "4242", "qemu-system-x86");
    put_open(tree, "4242", "20", "vfio/9");
    put_open(tree, "4242", "21", "bus/usb/001/003");
    put_open(tree, "4242", "22", "sda");
    for (int i = 0; i < 2; i++) {
        load(tree);
        assert_null(pci(tree, "0000:03:00.0")->use);
        assert_null(pci(tree, "0000:03:00.0")->vm_use);
        assert_null(usb(tree, "1-1")->use);
        assert_null(usb(tree, "1-1")->vm_use);
        assert_null(pci(tree, "0000:00:01.0")->use);
        assert_string_equal(pci(tree, "0000:00:01.0")->vm_use,
                            "qemu-system-x86 (process 4242: /dev/sda)");
        put(tree, "run/libvirt/qemu/win.xml", "<domstatus state='running' pid='4242'>\n");
    }
    put(tree, "run/libvirt/qemu/win.xml", "<domstatus state='running' pid='4241'>\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->use,
                        "uses it in qemu-system-x86 (process 4242: /dev/vfio/9)");
    assert_non_null(usb(tree, "1-1")->use);
    assert_null(pci(tree, "0000:00:01.0")->vm_use);
    put(tree, "run/libvirt/qemu/win.pid", "4242\n");
    load(tree);
    assert_null(pci(tree, "0000:03:00.0")->use);
}

static void test_udev_looks_for_a_moment(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_process(tree, "70", "(udev-worker)");
    put_open(tree, "70", "5", "sda");
    assert_use(tree, "0000:00:01.0", NULL);
}

static void test_many_processes_are_counted(void **state) {
    struct tree_of_test *tree = *state;
    char id[TEXT_SIZE];
    put_desktop(tree);
    for (int i = 0; i < 5; i++) {
        put_process(tree, text(id, "%d", 70 + i), "program");
        put_open(tree, id, "5", "sda");
        put_open(tree, id, "6", "sda");
    }
    assert_use(tree, "0000:00:01.0",
               "uses it in program (process 70: /dev/sda), program (process 71: /dev/sda), program "
               "(process 72: /dev/sda) and 2 more");
}

static void test_files_of_a_process_that_cannot_be_read(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_link(tree, "proc/70/fd", "fd");
    load(tree);
    assert_unknown(tree, "0000:03:00.0", "/proc/70/fd cannot be read");
    assert_unknown(tree, "0000:00:01.0", "/proc/70/fd cannot be read");
    assert_no_obstacle(tree, "0000:00:02.0"); /* has no driver */
}

/* ---- The console ---- */

static const char display_text[] = "shows its console on it (boot display)";

/* The firmware started on it, and vfio-pci has it: what is on it now counts. */
static void test_the_boot_display_on_vfio(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put(tree, GPU "/boot_vga", "1\n");
    remove_file(tree, GPU "/driver");
    put_driver(tree, GPU, "vfio-pci");
    assert_use(tree, "0000:03:00.0", display_text); /* nothing is known */
    put(tree, "proc/fb", "");
    assert_use(tree, "0000:03:00.0", display_text);
    put(tree, "proc/consoles", "ttyS0   -W- (EC p a)    4:64\n");
    assert_use(tree, "0000:03:00.0", NULL);
    put(tree, "proc/consoles", "ttyS0   -W- (EC p a)    4:64\ntty0    -WU (E  p  )    4:1\n");
    assert_use(tree, "0000:03:00.0", display_text);
    put(tree, "sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
    put(tree, "sys/class/vtconsole/vtcon0/bind", "1\n");
    assert_use(tree, "0000:03:00.0", NULL);
    put(tree, "sys/class/vtconsole/vtcon0/name", "(S) VGA+\n");
    assert_use(tree, "0000:03:00.0", display_text);
    put(tree, "sys/class/vtconsole/vtcon0/bind", "0\n");
    assert_use(tree, "0000:03:00.0", NULL);
}

/* A bound terminal without a name that is known may be on the display. */
static void test_a_console_without_a_name_is_on_the_display(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put(tree, GPU "/boot_vga", "1\n");
    put(tree, "proc/fb", "");
    put(tree, "sys/class/vtconsole/vtcon0/bind", "1\n");
    put(tree, "sys/class/vtconsole/vtcon0/name", "\n");
    assert_use(tree, "0000:03:00.0", display_text);
    put(tree, "sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
    assert_use(tree, "0000:03:00.0", NULL);
}

static void test_the_framebuffer_of_the_firmware(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put(tree, GPU "/boot_vga", "1\n");
    remove_file(tree, GPU "/driver");
    put_driver(tree, GPU, "vfio-pci");
    put(tree, "sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
    put(tree, "sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
    put(tree, "sys/class/vtconsole/vtcon1/bind", "1\n");
    put(tree, "proc/fb", "");
    assert_use(tree, "0000:03:00.0", NULL);
    put(tree, "proc/fb", "0 EFI VGA\n");
    assert_use(tree, "0000:03:00.0", display_text);
    put_entry(tree, "graphics", "sys/devices/platform/efi-framebuffer.0/graphics", "fb0");
    assert_use(tree, "0000:03:00.0", display_text);
    put(tree, "sys/class/vtconsole/vtcon1/bind", "0\n");
    assert_use(tree, "0000:03:00.0", NULL);
}

/* With a driver of the host its framebuffer tells. */
static void test_the_framebuffer_of_a_card(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_pci(tree, "0000:04:00.0", "1002:67df", "030000");
    put(tree, PCI "0000:04:00.0/boot_vga", "1\n");
    put_driver(tree, PCI "0000:04:00.0", "vfio-pci");
    put(tree, "sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
    put(tree, "sys/class/vtconsole/vtcon1/bind", "1\n");
    put_entry(tree, "graphics", GPU "/graphics", "fb0");
    load(tree);
    assert_null(pci(tree, "0000:04:00.0")->use);
    assert_string_equal(pci(tree, "0000:03:00.0")->use, "shows its console on it (fb0)");
    put(tree, GPU "/boot_vga", "1\n");
    put(tree, PCI "0000:04:00.0/boot_vga", "0\n");
    assert_use(tree, "0000:03:00.0", display_text);
    put(tree, "sys/class/vtconsole/vtcon1/bind", "0\n");
    assert_use(tree, "0000:03:00.0", NULL);
}

static void put_keyboard(const struct tree_of_test *tree, const char *port, const char *driver) {
    static const char *const names[] = {"bInterfaceClass", "bInterfaceSubClass",
                                        "bInterfaceProtocol"};
    static const char *const values[] = {"03\n", "01\n", "01\n"};
    char directory[TEXT_SIZE], path[TEXT_SIZE], value[TEXT_SIZE];

    text(directory, "sys/devices/pci0000:00/0000:00:14.0/usb1/%s/%s:1.0", port, port);
    for (size_t i = 0; i < 3; i++)
        put(tree, text(path, "%s/%s", directory, names[i]), values[i]);
    put_driver(tree, directory, driver);
    put_link(tree, text(path, "sys/bus/usb/devices/%s:1.0", port),
             text(value, "../../../../%s", directory));
}

static void test_the_only_keyboard_holds_its_controller(void **state) {
    static const char keys[] = "B: KEY=402000007 ff9f207ac14057ff febeffdfffefffff %s\n";
    struct tree_of_test *tree = *state;
    char list[TEXT_SIZE], bits[TEXT_SIZE];

    put_desktop(tree);
    assert_use(tree, "0000:00:14.0", NULL);
    put_keyboard(tree, "1-1", "usbhid");
    assert_use(tree, "0000:00:14.0", "has its only keyboard behind it (1-1)");
    assert_null(usb(tree, "1-1")->use); /* it may be given away itself */
    put_keyboard(tree, "1-2", "usbhid");
    assert_use(tree, "0000:00:14.0", "has all its keyboards behind it (1-1, 1-2)");
    /* Power buttons and programs are no keyboards. */
    text(bits,
         "I: Bus=0019\nS: Sysfs=/devices/LNXSYSTM:00/input/input1\nB: KEY=10000000000000 0\n");
    put(tree, "proc/bus/input/devices", bits);
    assert_use(tree, "0000:00:14.0", "has all its keyboards behind it (1-1, 1-2)");
    snprintf(bits, sizeof bits, keys, "fffffffffffffffe");
    put(tree, "proc/bus/input/devices",
        text(list, "S: Sysfs=/devices/virtual/input/input9\n%s", bits));
    assert_use(tree, "0000:00:14.0", "has all its keyboards behind it (1-1, 1-2)");
    put(tree, "proc/bus/input/devices",
        text(list, "S: Sysfs=/devices/platform/i8042/serio0/input/input3\n%s", bits));
    assert_use(tree, "0000:00:14.0", NULL);
}

/* The interface of a keyboard that cannot be told from another's. */
static void test_a_keyboard_in_doubt_holds_the_controllers(void **state) {
    static const char *const names[] = {"bInterfaceClass", "bInterfaceSubClass",
                                        "bInterfaceProtocol"};
    struct tree_of_test *tree = *state;
    char path[TEXT_SIZE];

    put_desktop(tree);
    put_driver(tree, PCI "0000:00:14.0", "xhci_hcd");
    put_keyboard(tree, "1-1", "usbhid");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        text(path, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/%s", names[i]);
        put(tree, path, "");
        load(tree);
        assert_unknown(tree, "0000:00:14.0", names[i]);
        put(tree, path, "03\n");
        load(tree);
        assert_no_obstacle(tree, "0000:00:14.0");
        put(tree, path, i ? "01\n" : "03\n");
    }
    put(tree, "proc/bus/input/devices/x", "");
    load(tree);
    assert_string_equal(pci(tree, "0000:00:14.0")->use, "has its only keyboard behind it (1-1)");
    assert_unknown(tree, "0000:00:14.0", "/proc/bus/input/devices");
}

static void test_a_keyboard_that_a_vm_has_is_not_the_hosts(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_keyboard(tree, "1-1", "usbhid");
    put_keyboard(tree, "1-2", "usbfs");
    assert_use(tree, "0000:00:14.0", "has its only keyboard behind it (1-1)");
}

/* ---- Network ---- */

static void put_upper(const struct tree_of_test *tree, const char *lower, const char *upper) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "sys/class/net/%s/upper_%s", lower, upper),
             text(value, "../%s", upper));
}

static void put_made(const struct tree_of_test *tree, const char *name, const char *type) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_interface(tree, name, "sys/devices/virtual");
    put(tree, text(path, "sys/class/net/%s/uevent", name), text(value, "DEVTYPE=%s\n", type));
}

static void test_a_bridge_of_a_vm(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "br0", "bridge");
    put(tree, "sys/class/net/br0/bridge/bridge_id", "");
    put_upper(tree, "eth0", "br0");
    assert_use(tree, "0000:00:02.0", NULL);
    put_made(tree, "vnet0", "");
    put_upper(tree, "vnet0", "br0");
    assert_use(tree, "0000:00:02.0", "uses it in bridge br0 (eth0), which has vnet0 on it");
    put(tree, "sys/class/net/vnet0/operstate", "down\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_a_vlan_below_a_bridge_of_a_vm(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "eth0.7", "vlan");
    put_made(tree, "br7", "bridge");
    put(tree, "sys/class/net/br7/bridge/bridge_id", "");
    put_made(tree, "vnet0", "");
    put_upper(tree, "eth0", "eth0.7");
    assert_use(tree, "0000:00:02.0", NULL);
    put_upper(tree, "eth0.7", "br7");
    put_upper(tree, "vnet0", "br7");
    assert_use(tree, "0000:00:02.0", "uses it in bridge br7 (eth0, eth0.7), which has vnet0 on it");
}

static void test_a_macvtap_of_a_vm(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "macvtap0", "macvtap");
    put_upper(tree, "eth0", "macvtap0");
    assert_use(tree, "0000:00:02.0", "uses it in macvtap macvtap0 (eth0)");
    put(tree, "sys/class/net/macvtap0/operstate", "down\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_an_idle_bond_and_vlan(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "bond0", "bond");
    put_made(tree, "bond0.7", "vlan");
    put_upper(tree, "eth0", "bond0");
    put_upper(tree, "bond0", "bond0.7");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_pppoe_has_a_card_without_address(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "ppp0", "ppp");
    put_routes(tree, "ppp0 00000000 0 0003 0 0 0 00000000\n");
    load(tree);
    assert_null(pci(tree, "0000:00:02.0")->use);
    assert_unknown(tree, "0000:00:02.0", "/sys/class/net/ppp0/lower_*");
    put(tree, "proc/net/pppoe",
        "Id       Address              Device\n"
        "01000000 02:00:00:00:00:01    eth0\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:00:02.0")->use, "runs PPPoE over it (eth0)");
    assert_no_obstacle(tree, "0000:00:02.0");
    put(tree, "proc/net/pppoe", "Id       Address              Device\n");
    put(tree, "sys/class/net/eth0/ifindex", "12\n");
    put(tree, "proc/net/packet",
        "sk RefCnt Type Proto Iface R Rmem User Inode\n"
        "0 3 3 8864 12 1 0 0 1\n");
    assert_use(tree, "0000:00:02.0", "runs PPPoE over it (eth0)");
    put(tree, "proc/net/packet", "0 3 3 0003 12 1 0 0 1\n0 3 3 8864 13 1 0 0 1\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_a_tunnel_over_a_card_with_address(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "wg0", "wireguard");
    put_routes(tree, "wg0 00000000 0 0001 0 0 0 00000000\neth0 006433C6 0 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0", "has an address on it (eth0)");
    assert_no_obstacle(tree, "0000:00:02.0");
}

static void test_a_neighbour_tells_an_address(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_routes(tree, "");
    put(tree, "proc/net/arp",
        "IP address HW type Flags HW address Mask Device\n"
        "192.0.2.1 0x1 0x0 00:00:00:00:00:00 * eth0\n");
    assert_use(tree, "0000:00:02.0", NULL);
    put(tree, "proc/net/arp", "192.0.2.1 0x1 0x2 02:00:00:00:00:01 * eth0\n");
    assert_use(tree, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_a_card_that_captures(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/eth0/flags", "0x1103\n");
    assert_use(tree, "0000:00:02.0", "captures packets on it (promiscuous mode) (eth0)");
    put(tree, "sys/class/net/eth0/flags", "0x1102\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_an_interface_in_another_namespace(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put_driver(tree, NIC, "igb");
    put_link(tree, "proc/self/ns/net", "net:[1]");
    put_link(tree, "proc/1/ns/net", "net:[1]");
    assert_use(tree, "0000:00:02.0", NULL);
    put_link(tree, "proc/70/ns/net", "net:[2]");
    assert_use(tree, "0000:00:02.0", "has its interface in another network namespace (driver igb)");
    put_interface(tree, "eth0", NIC);
    assert_use(tree, "0000:00:02.0", NULL);
}

/* ---- Disks ---- */

static void test_the_array_of_unraid(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md1p1", "9:1");
    put(tree, "proc/mdstat",
        "sbName=/boot/config/super.dat\nmdState=STARTED\ndiskName.0=\n"
        "rdevName.0=\ndiskName.1=md1p1\nrdevStatus.1=DISK_OK\n"
        "rdevName.1=sda\n");
    put_mounts(tree, "30 1 9:1 / /mnt/disk1 rw - xfs /dev/md1p1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /mnt/disk1 from it (sda, md1p1)");
    put(tree, "proc/mdstat", "mdState=STARTED\ndiskName.0=\nrdevName.0=sda\n");
    assert_use(tree, "0000:00:01.0", "keeps it in the array of Unraid (sda)");
    put(tree, "proc/mdstat", "mdState=STOPPED\ndiskName.0=\nrdevName.0=sda\n");
    assert_use(tree, "0000:00:01.0", NULL);
}

static void test_bcache(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put(tree, ATA "sda/sda1/bcache/state", "");
    assert_use(tree, "0000:00:01.0", "keeps it in a bcache set (sda1)");
    put_virtual(tree, "bcache0", "252:0");
    put_link(tree, VIRTUAL "bcache0/bcache", "/" ATA "sda/sda1/bcache");
    put_mounts(tree, "30 1 252:0 / /srv rw - ext4 /dev/bcache0 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /srv from it (sda1, bcache0)");
}

static void test_a_registered_bcache_set(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_device(tree, NIC, "144d:a808", "010802");
    put_block(tree, NIC "/nvme/nvme0/nvme0n1", "259:0");
    put(tree, NIC "/nvme/nvme0/nvme0n1/bcache/x", "");
    put_link(tree, "sys/fs/bcache/5c8f1a34-6f0e-4c7e-9f57-0a6f5a2d9b11/cache0",
             "/" NIC "/nvme/nvme0/nvme0n1/bcache");
    assert_use(tree, "0000:00:02.0", "keeps it in a bcache set (nvme0n1)");
}

static void test_zram_with_a_backing_disk(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "zram0", "254:0");
    put(tree, VIRTUAL "zram0/backing_dev", "none\n");
    put(tree, "proc/swaps", "/dev/zram0 partition 1 0 100\n");
    assert_use(tree, "0000:00:01.0", NULL);
    put(tree, VIRTUAL "zram0/backing_dev", "/dev/sda2\n");
    assert_use(tree, "0000:00:01.0", "swaps on it (sda2, zram0)");
    put(tree, "proc/swaps", "");
    assert_use(tree, "0000:00:01.0", "keeps it in zram0 (sda2)");
}

static void test_a_swap_file(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_mounts(tree,
               "30 1 0:2 / / rw - rootfs rootfs rw\n31 1 8:1 / /srv rw - vfat /dev/sda1 rw\n");
    put(tree, "proc/swaps", "/srv/swap\\040file file 1 0 -2\n");
    assert_use(tree, "0000:00:01.0", "mounts /srv from it (sda1); swaps on it (sda1)");
    put(tree, "proc/swaps", "/srvswap file 1 0 -2\n");
    put_driver(tree, SATA, "ahci");
    load(tree);
    assert_unknown(tree, "0000:00:01.0", "/srvswap cannot be read");
}

/* By number or by source, whatever the file system is; none of these has an own list in sysfs. */
static void test_file_systems_of_other_systems(void **state) {
    static const char *const mounts[] = {
        "30 1 8:1 / /efi rw - vfat /dev/sda1 rw\n", "30 1 8:1 / /efi rw - exfat none rw\n",
        "30 1 8:1 / /efi rw - ntfs3 /dev/sda1 rw\n", "30 1 0:55 / /efi rw - fuseblk /dev/sda1 rw\n",
        "30 1 0:55 / /efi rw - fuse.exfat /dev/sda1 rw\n"};
    struct tree_of_test *tree = *state;
    put_disk(tree);
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        put_mounts(tree, mounts[i]);
        assert_use(tree, "0000:00:01.0", "mounts /efi from it (sda1)");
    }
}

static void test_zfs_known_from_its_cache_file(void **state) {
    static const char cache[] = "\0\1\0\0name\0\0\0\4tank\0\0\0\11/dev/sda1\0\0\0path";
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_driver(tree, SATA, "ahci");
    put_mounts(tree, "");
    put(tree, "proc/swaps", "");
    put(tree, "proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    load(tree);
    assert_unknown(tree, "0000:00:01.0", "/etc/zfs/zpool.cache");
    put_bytes(tree, "etc/zfs/zpool.cache", cache, sizeof cache);
    load(tree);
    assert_string_equal(pci(tree, "0000:00:01.0")->use, "keeps it in a ZFS pool (sda1)");
    assert_no_obstacle(tree, "0000:00:01.0");
}

/* A pool on a volume and beside an array, on one disk. */
static void test_zfs_on_lvm_and_beside_md(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "md0", "9:0");
    put_virtual(tree, "dm-0", "253:0");
    put(tree, VIRTUAL "dm-0/dm/name", "vg0-zfs\n");
    put_stack(tree, "md0", "sda1");
    put_stack(tree, "dm-0", "sda2");
    put(tree, "proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    put(tree, "run/udev/data/b8:1", "E:ID_FS_TYPE=linux_raid_member\n");
    put(tree, "run/udev/data/b8:2", "E:ID_FS_TYPE=LVM2_member\n");
    put(tree, "run/udev/data/b253:0", "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n");
    put_mounts(tree, "30 1 0:40 / /tank rw - zfs tank rw\n");
    assert_use(tree, "0000:00:01.0",
               "mounts /tank from it (sda2, vg0-zfs, ZFS pool tank); keeps it in md0 (sda1)");
}

static void test_drbd(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_driver(tree, SATA, "ahci");
    put_mounts(tree, "");
    put(tree, "proc/swaps", "");
    put_virtual(tree, "drbd0", "147:0");
    load(tree);
    assert_unknown(tree, "0000:00:01.0", "/etc/drbd.d");
    put(tree, "etc/drbd.d/r0.res", "resource r0 {\n  device /dev/drbd0;\n  disk /dev/sda2;\n}\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:00:01.0")->use, "keeps it in DRBD (sda2)");
}

#define VMD "sys/devices/pci0000:d7/0000:d7:05.5"
#define BEHIND_VMD VMD "/pci10001:00/10001:00:01.0/"

/* A VMD controller makes a PCI domain of its own, with one port and a disk. */
static void put_vmd(const struct tree_of_test *tree) {
    put_device(tree, VMD, "8086:201d", "010400");
    put_link(tree, PCI "0000:d7:05.5", "../../../../" VMD);
    put_device(tree, BEHIND_VMD "10001:02:00.0", "8086:0a54", "010802");
    put_link(tree, PCI "10001:02:00.0", "../../../../" BEHIND_VMD "10001:02:00.0");
    put_block(tree, BEHIND_VMD "10001:02:00.0/nvme/nvme0/nvme0n1", "259:0");
}

static void test_a_disk_behind_vmd(void **state) {
    struct tree_of_test *tree = *state;

    put_vmd(tree);
    put_mounts(tree, "30 1 259:0 / / rw - xfs /dev/nvme0n1 rw\n");
    load(tree);
    assert_string_equal(pci(tree, "10001:02:00.0")->use, "mounts / from it (nvme0n1)");
    assert_string_equal(pci(tree, "0000:d7:05.5")->use, "mounts / from it (nvme0n1)");
    assert_string_equal(pci(tree, "10001:02:00.0")->controller, "0000:d7:05.5");
    assert_non_null(strstr(pci(tree, "10001:02:00.0")->obstacle_hint,
                           "0000:d7:05.5, and the host mounts / from it"));
}

static void test_a_domain_that_qemu_does_not_take(void **state) {
    struct tree_of_test *tree = *state;

    put_idle_host(tree);
    put_vmd(tree);
    put_pci(tree, "10000:e1:00.0", "8086:0a54", "010802"); /* its path names no controller */
    put_pci(tree, "ffff:e1:00.0", "8086:0a54", "010802");
    load(tree);
    assert_obstacle(tree, "10001:02:00.0", OBSTACLE_DOMAIN,
                    "10001:02:00.0 is in PCI domain 10001, and qemu takes PCI domains up to ffff");
    assert_string_equal(pci(tree, "10001:02:00.0")->obstacle_hint,
                        "pass the VMD controller 0000:d7:05.5 instead, with all that is behind it");
    assert_obstacle(tree, "10000:e1:00.0", OBSTACLE_DOMAIN, "qemu takes PCI domains up to ffff");
    assert_null(pci(tree, "10000:e1:00.0")->controller);
    assert_no_obstacle(tree, "ffff:e1:00.0");
    assert_no_obstacle(tree, "0000:d7:05.5");
    assert_null(pci(tree, "0000:d7:05.5")->controller);
}

/* The disk has left the host when the group goes to a VM, unless its controller stays. */
static void test_the_group_of_a_vmd_controller(void **state) {
    struct tree_of_test *tree = *state;

    put_idle_host(tree);
    put_vmd(tree);
    put_driver(tree, BEHIND_VMD "10001:02:00.0", "nvme");
    put_group(tree, VMD, "9");
    put_group(tree, BEHIND_VMD "10001:02:00.0", "9");
    load(tree);
    assert_true(pci(tree, "10001:02:00.0")->goes_with_controller);
    assert_null(host_group_blocker(&tree->host, pci(tree, "0000:d7:05.5")));
    remove_file(tree, BEHIND_VMD "10001:02:00.0/iommu_group");
    put_group(tree, BEHIND_VMD "10001:02:00.0", "8");
    put_group(tree, PCI "0000:04:00.0", "8");
    load(tree);
    assert_false(pci(tree, "10001:02:00.0")->goes_with_controller);
    assert_ptr_equal(host_group_blocker(&tree->host, pci(tree, "0000:04:00.0")),
                     pci(tree, "10001:02:00.0"));
}

/* ---- Nodes ---- */

/* The addresses that a node sits on, separated by blanks; "-" when the host has no such node. */
static void assert_node(const struct tree_of_test *tree, const char *class, const char *name,
                        const char *addresses) {
    const struct host_node *node = host_node_find(&tree->host, class, name);
    char list[TEXT_SIZE] = "", *end = list;

    for (size_t i = 0; node && i < node->device_count; i++)
        end += sprintf(end, "%s%s", i ? " " : "", tree->host.devices[node->devices[i]].address);
    assert_string_equal(node ? list : "-", addresses);
}

static void test_nodes_of_a_stack(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    put_virtual(tree, "dm-0", "253:0");
    put(tree, VIRTUAL "dm-0/dm/name", "vg0-my--root\n");
    put_stack(tree, "dm-0", "sda2");
    put_link(tree, "dev/disk/by-id/ata-X", "../../sda");
    put_link(tree, "dev/vg0/my-root", "../dm-0");
    load(tree);
    assert_node(tree, "block", "sda", "0000:00:01.0");
    assert_node(tree, "block", "8:2", "0000:00:01.0");
    assert_node(tree, "block", "/dev/sda1", "0000:00:01.0");
    assert_node(tree, "block", "/dev/disk/by-id/ata-X", "0000:00:01.0");
    assert_node(tree, "block", "/dev/mapper/vg0-my--root", "0000:00:01.0");
    assert_node(tree, "block", "/dev/vg0/my-root", "0000:00:01.0");
    assert_node(tree, "block", "/dev/sdb", "-");
    assert_node(tree, "net", "sda", "-");
}

static void test_nodes_of_a_bridge(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put_interface(tree, "eth0", NIC);
    put_interface(tree, "br0", "sys/devices/virtual");
    put_link(tree, "sys/class/net/br0/lower_eth0", "../../../" NIC "/net/eth0");
    load(tree);
    assert_node(tree, "net", "br0", "0000:00:02.0");
    assert_node(tree, "net", "eth0", "0000:00:02.0");
}

static void test_node_of_a_usb_disk(void **state) {
    assert_node(*state, "block", "sdq1", "0000:00:01.6 0000:06:00.3 2-1");
}

/* ---- Addresses, names and the running system ---- */

static void test_addresses(void **state) {
    static const struct {
        const char *text, *address;
    } cases[] = {
        {"03:00.0", "0000:03:00.0"},
        {"0000:03:00.0", "0000:03:00.0"},
        {"0000:AF:1F.7", "0000:af:1f.7"},
        {"10000:01:00.0", "10000:01:00.0"},
        {"FFFFFFFF:01:00.0", "ffffffff:01:00.0"},
        {"00010001:02:00.0", "10001:02:00.0"},
        {"00000000:02:00.0", "0000:02:00.0"},
        {"00001:02:00.0", "0001:02:00.0"},
        {"1-1.4", "1-1.4"},
        {"10-2", "10-2"},
        {"", NULL},
        {"03:00", NULL},
        {"3:00.0", NULL},
        {"003:00.0", NULL},
        {"03:0.0", NULL},
        {"03:20.0", NULL},
        {"03:00.8", NULL},
        {"03:00.0 ", NULL},
        {" 03:00.0", NULL},
        {"0000:03:00.0.0", NULL},
        {"000:03:00.0", NULL},
        {"123456789:03:00.0", NULL},
        {"0000:0003:00.0", NULL},
        {"1-", NULL},
        {"-1", NULL},
        {"1-1.", NULL},
        {"1-0", NULL},
        {"01-1", NULL},
        {"1-1:1.0", NULL},
        {"usb1", NULL},
        {"1-1.4x", NULL},
        {"1-256", NULL},
        {"1-99999999999999999999", NULL},
        {"1ac1:089a", NULL},
        {"0000:03:00.*", NULL},
        {":03:00.0", NULL},
        {"00", NULL},
        {"03", NULL},
        {"03:00", NULL},
        {"03:00.", NULL},
        {"0000:", NULL},
        {"0000:03", NULL},
        {"0000:03:", NULL},
        {"0000:03:0", NULL},
        {"00\n0:01:00.0", NULL},
        {"1", NULL},
        {"1-1.", NULL},
    };
    char address[32];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = memory_strdup(cases[i].text); /* the sanitizer finds what is read behind it */
        bool ok = address_normalise(text, address, sizeof address);
        free(text);
        if (ok != (cases[i].address != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? "taken" : "refused");
        if (ok)
            assert_string_equal(address, cases[i].address);
    }
    assert_false(address_normalise("03:00.0", address, sizeof "0000:03:00"));
    assert_true(address_normalise("03:00.0", address, sizeof "0000:03:00.0"));
}

static void test_text_clean(void **state) {
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x7f\x01\n", "???"},
        {"a\xc3", "a?"},
        {"\xe2\x80\x8f\xe2\x80\xa8\xe2\x81\xa9\xd8\x9c", "????"},
        {"\xc0\xaf", "??"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char copy[64];
        assert_true(snprintf(copy, sizeof copy, "%s", cases[i].text) < (int)sizeof copy);
        names_clean(copy);
        assert_string_equal(copy, cases[i].clean);
    }
}

/* With as few descriptors as may be, all is known or it is an error; nothing is missed. */
static void test_few_descriptors_are_an_error(void **state) {
    enum { MOST = 64 };
    struct host host;
    struct rlimit before;
    char error[TEXT_SIZE] = "";
    int errors = 0, hosts = 0;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    for (rlim_t limit = 3; limit < MOST; limit++) {
        struct rlimit few = {limit, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        int status = host_init(&host, "tests/hosts/nas", error, sizeof error);
        setrlimit(RLIMIT_NOFILE, &before);
        errors += status != 0;
        if (status != 0)
            continue;
        hosts++;
        const struct device *disks = host_find(&host, BUS_PCI, "0000:01:00.0");
        assert_non_null(disks->use);
        assert_int_equal(disks->obstacle, OBSTACLE_NONE);
        host_finish(&host);
    }
    assert_true(errors > 0 && hosts > 0);
    assert_non_null(strstr(error, "ulimit -n"));
}

static void test_running_system(void **state) {
    struct host host;
    char error[TEXT_SIZE] = "", driver[64];

    (void)state;
    if (access("/sys/bus/pci", F_OK) != 0)
        skip();
    assert_int_equal(host_init(&host, "", error, sizeof error), 0);
    assert_string_equal(host.root, "");
    for (size_t i = 0; i < host.count; i++) {
        assert_true(host.devices[i].name && *host.devices[i].name);
        assert_true(host_driver(&host, &host.devices[i], driver, sizeof driver));
        assert_string_equal(driver, host.devices[i].driver ? host.devices[i].driver : "");
        assert_ptr_equal(host_find(&host, host.devices[i].bus, host.devices[i].address),
                         &host.devices[i]);
    }
    host_finish(&host);
    assert_int_equal(host_init(&host, NULL, error, sizeof error), 0);
    host_finish(&host);
    assert_int_equal(host_init(&host, "/", error, sizeof error), 0);
    assert_string_equal(host.root, "");
    host_finish(&host);
}

#define OF(host, test) cmocka_unit_test_setup_teardown(test, host, finish_sample)
#define OWN(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)

int main(void) {
    const struct CMUnitTest tests[] = {
        OF(nas, test_nas_coral_has_every_fact),
        OF(nas, test_nas_names_come_from_the_tree),
        OF(nas, test_nas_has_iommu_and_bridges),
        OF(nas, test_nas_disks_in_md_and_lvm_are_used),
        OF(nas, test_nas_uplink_through_bond_and_switch_is_used),
        OF(nas, test_nas_idle_card_is_free),
        OF(nas, test_nas_usb_disk_holds_its_controller),
        OF(nas, test_nas_usb_stick_has_every_fact),
        OF(nas, test_devices_are_in_order),
        OF(dual_tpu, test_dual_tpu_block_each_other),
        OF(desktop, test_desktop_display_and_its_sound),
        OF(desktop, test_desktop_encrypted_root_is_used),
        OF(desktop, test_desktop_usb),
        OF(desktop, test_desktop_uplink),
        OF(server, test_server_one_port_of_four_is_used),
        OF(server, test_server_disks),
        OF(server, test_server_nvme_multipath_is_used),
        OF(usb_host, test_usb_twins_differ_in_serial),
        OF(usb_host, test_usb_coral_before_its_firmware),
        OF(usb_after, test_usb_coral_after_its_firmware),
        OF(no_iommu, test_no_iommu),
        OWN(test_smallest_tree),
        OWN(test_dangling_links_are_facts),
        OWN(test_group_is_known_from_its_members),
        OWN(test_a_group_without_devices_is_an_iommu),
        OWN(test_bridge_by_header_type),
        OWN(test_garbage_is_unknown),
        OWN(test_entries_that_are_no_devices),
        OWN(test_long_domain),
        OWN(test_usb_is_in_number_order),
        OWN(test_usb_driver_of_an_interface_beside_the_device),
        OWN(test_usb_texts_are_made_safe),
        OWN(test_broken_list_of_names),
        OWN(test_list_of_names_knows_the_maker_only),
        OWN(test_list_of_names_has_comments),
        OWN(test_what_does_not_block_a_group),
        OWN(test_an_isa_bridge_with_driver_blocks_its_group),
        OWN(test_devices_without_group_do_not_block),
        OWN(test_driver_is_read_anew),
        OWN(test_driver_of_usb_is_read_anew),
        OWN(test_an_unused_disk_is_free),
        OWN(test_mounted_by_number),
        OWN(test_mounted_whole),
        OWN(test_shortest_mount_point_of_the_file_system),
        OWN(test_mounted_where_only_proc_mounts_says_so),
        OWN(test_mounted_for_the_first_process),
        OWN(test_mounted_in_a_container_only),
        OWN(test_mount_of_the_host_speaks_before_that_of_a_container),
        OWN(test_mounted_out_of_sight),
        OWN(test_number_known_from_sys_dev_block),
        OWN(test_source_through_a_link_in_dev),
        OWN(test_root_from_the_kernel_command_line),
        OWN(test_btrfs_on_several_disks),
        OWN(test_btrfs_mounted_out_of_sight),
        OWN(test_bcachefs_names_all_its_disks),
        OWN(test_swap_partition_and_swap_file),
        OWN(test_member_of_an_array_that_is_not_mounted),
        OWN(test_holder_known_by_name_only),
        OWN(test_array_known_from_mdstat),
        OWN(test_spare_partition_beside_a_mounted_one),
        OWN(test_mapper_names),
        OWN(test_volume_group_names),
        OWN(test_partition_of_an_array),
        OWN(test_loop_on_a_whole_partition),
        OWN(test_only_sys_block),
        OWN(test_plain_directories_with_a_device_link),
        OWN(test_twelve_is_no_partition_of_one),
        OWN(test_multipath_known_from_its_hidden_paths),
        OWN(test_multipath_known_from_its_controllers),
        OWN(test_mount_point_is_made_safe),
        OWN(test_disk_on_a_virtual_function_holds_the_physical_one),
        OWN(test_virtual_functions_hold_the_physical_one),
        OWN(test_zfs_member_of_an_imported_pool),
        OWN(test_zfs_without_a_pool_is_free),
        OWN(test_zfs_module_without_its_list_of_pools),
        OWN(test_zfs_pool_known_to_udev),
        OWN(test_zfs_pool_of_a_guest_is_free),
        OWN(test_an_interface_without_address_is_free),
        OWN(test_default_route),
        OWN(test_default_route_of_ipv6),
        OWN(test_rejecting_routes_are_none),
        OWN(test_address_known_from_its_route),
        OWN(test_half_of_all_addresses_is_no_default_route),
        OWN(test_address_of_ipv6),
        OWN(test_address_on_an_interface_that_is_down),
        OWN(test_self_assigned_address_without_cable),
        OWN(test_bridge_known_from_its_ports),
        OWN(test_bond_below_vlan_below_bridge),
        OWN(test_vlan_known_from_below),
        OWN(test_idle_bridge_is_no_use),
        OWN(test_open_vswitch_may_carry_the_host),
        OWN(test_two_interfaces_of_one_function),
        OWN(test_strongest_use_comes_first),
        OWN(test_usb_network_card_holds_its_controller),
        OWN(test_nothing_to_read),
        OWN(test_empty_bus),
        OWN(test_links_stay_inside_the_root),
        OWN(test_absolute_links_mean_the_root),
        OWN(test_link_loops),
        OWN(test_files_in_place_of_directories),
        OWN(test_lines_cut_short),
        OWN(test_stack_that_bites_its_tail),
        OWN(test_deep_stack),
        OWN(test_thousands_of_devices),
        OWN(test_many_disks_on_one_controller),
        OWN(test_an_idle_host_is_free),
        OWN(test_files_that_every_kernel_has),
        OWN(test_files_that_cannot_be_read),
        OWN(test_without_proc_and_classes),
        OWN(test_the_controller_of_a_doubtful_disk),
        OWN(test_facts_of_a_device_that_cannot_be_read),
        OWN(test_an_unreadable_device_may_be_in_any_group),
        OWN(test_an_unreadable_usb_device_is_there),
        OWN(test_what_cannot_be_read_holds_its_controller),
        OWN(test_usb_that_cannot_be_listed_holds_all_controllers),
        OWN(test_a_keyboard_in_doubt_holds_the_controllers),
        OWN(test_a_console_without_a_name_is_on_the_display),
        OWN(test_a_list_of_mounts_that_is_cut),
        OWN(test_a_kernel_without_swap),
        OWN(test_virtual_functions_that_only_they_tell_of),
        OWN(test_what_is_a_bridge),
        OWN(test_a_device_that_does_not_answer),
        OWN(test_memory_that_the_firmware_keeps),
        OWN(test_what_vfio_pci_does_not_take),
        OWN(test_a_display_that_a_desktop_has_open),
        OWN(test_which_nvidia_card_is_open),
        OWN(test_files_of_every_kind_of_device),
        OWN(test_a_usb_device_that_a_program_has_open),
        OWN(test_what_the_qemu_of_a_vm_has_open),
        OWN(test_udev_looks_for_a_moment),
        OWN(test_many_processes_are_counted),
        OWN(test_files_of_a_process_that_cannot_be_read),
        OWN(test_the_boot_display_on_vfio),
        OWN(test_the_framebuffer_of_the_firmware),
        OWN(test_the_framebuffer_of_a_card),
        OWN(test_the_only_keyboard_holds_its_controller),
        OWN(test_a_keyboard_that_a_vm_has_is_not_the_hosts),
        OWN(test_a_bridge_of_a_vm),
        OWN(test_a_vlan_below_a_bridge_of_a_vm),
        OWN(test_a_macvtap_of_a_vm),
        OWN(test_an_idle_bond_and_vlan),
        OWN(test_pppoe_has_a_card_without_address),
        OWN(test_a_tunnel_over_a_card_with_address),
        OWN(test_a_neighbour_tells_an_address),
        OWN(test_a_card_that_captures),
        OWN(test_an_interface_in_another_namespace),
        OWN(test_the_array_of_unraid),
        OWN(test_bcache),
        OWN(test_a_registered_bcache_set),
        OWN(test_zram_with_a_backing_disk),
        OWN(test_a_swap_file),
        OWN(test_file_systems_of_other_systems),
        OWN(test_zfs_known_from_its_cache_file),
        OWN(test_zfs_on_lvm_and_beside_md),
        OWN(test_drbd),
        OWN(test_a_disk_behind_vmd),
        OWN(test_a_domain_that_qemu_does_not_take),
        OWN(test_the_group_of_a_vmd_controller),
        OWN(test_nodes_of_a_stack),
        OWN(test_nodes_of_a_bridge),
        OF(nas, test_node_of_a_usb_disk),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_text_clean),
        cmocka_unit_test(test_few_descriptors_are_an_error),
        cmocka_unit_test(test_running_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
