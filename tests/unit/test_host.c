/* The host snapshot: the sample hosts, the facts of a device, and broken trees. */
#include "tests/unit/host_tree.h"
#include "tests/unit/skip.h"

#include <sys/resource.h>

#include "engine/host/iommu.h"
#include "engine/host/names.h"
#include "engine/model/address.h"

/* ---- The sample hosts ---- */

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

static void test_nas_tells_no_bars(void **state) {
    assert_false(pci(*state, "0000:03:00.0")->has_bars);
}

static int gpus(void **state) {
    return sample(state, "gpus");
}

static void test_gpus_have_bars(void **state) {
    const struct device *card = pci(*state, "0000:01:00.0");
    static const struct device_bar bars[] = {
        {0, 16 << 20, false, false}, {1, 256 << 20, true, true}, {3, 32 << 20, true, true}};
    assert_true(card->has_bars);
    assert_int_equal(card->bar_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(card->bars[i].number, bars[i].number);
        assert_int_equal(card->bars[i].size, bars[i].size);
        assert_int_equal(card->bars[i].is_64bit, bars[i].is_64bit);
        assert_int_equal(card->bars[i].is_prefetchable, bars[i].is_prefetchable);
    }
    assert_int_equal(pci(*state, "0000:05:00.0")->bars[0].size, UINT64_C(16) << 30);
}

/* I/O ports, the ROM, a BAR without an address, and lines without numbers. */
static void test_bars_are_memory_alone(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:06:00.0", "1af4:1041", "020000");
    put(tree, "sys/bus/pci/devices/0000:06:00.0/resource",
        "0x000000000000e000 0x000000000000e01f 0x0000000000040101\n"
        "0x00000000fe000000 0x00000000fe003fff 0x0000000000040200\n"
        "0x0000000000000000 0x000000000fffffff 0x000000002014220c\n"
        "nonsense\n"
        "\n"
        "0x0000000000000000 0x0000000000000000 0x0000000000040200\n"
        "0x00000000fe100000 0x00000000fe1fffff 0x0000000000046200\n");
    load(tree);
    const struct device *card = pci(tree, "0000:06:00.0");
    assert_int_equal(card->bar_count, 2);
    assert_int_equal(card->bars[0].size, 16384);
    assert_false(card->bars[0].is_64bit);
    assert_int_equal(card->bars[1].number, 2);
    assert_int_equal(card->bars[1].size, 256 << 20);
    assert_true(card->bars[1].is_64bit && card->bars[1].is_prefetchable);
    assert_null(card->obstacle_text);
}

static void test_nas_names_come_from_the_tree(void **state) {
    /* "System peripheral 1ac1:089a" is the name without a list. */
    if (!strstr(pci(*state, "0000:03:00.0")->name, "System peripheral 1ac1:089a"))
        assert_string_equal(pci(*state, "0000:03:00.0")->name,
                            "Global Unichip Corp. Coral Edge TPU");
}

static void test_nas_has_iommu_and_bridges(void **state) {
    const struct tree_of_test *tree = *state;

    assert_true(tree->host.has_iommu);
    assert_true(tree->host.has_usb);
    assert_true(pci(tree, "0000:00:01.3")->is_bridge);
    assert_string_equal(pci(tree, "0000:00:01.3")->driver, "pcieport");
    assert_null(iommu_group_blocker(&tree->host, pci(tree, "0000:03:00.0")));
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
    assert_null(iommu_group_blocker(&((struct tree_of_test *)*state)->host, stick));
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
    assert_ptr_equal(iommu_group_blocker(&tree->host, first), second);
    assert_ptr_equal(iommu_group_blocker(&tree->host, second), first);
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
    assert_ptr_equal(iommu_group_blocker(&tree->host, display), sound);
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
    assert_string_equal(usb(*state, "1-1.4")->name, "Coral USB stick");
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
    assert_null(iommu_group_blocker(&tree->host, pci(tree, "0000:02:00.0")));
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
    assert_string_equal(device->name, "System peripheral dead:beef");
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

static int dock(void **state) {
    return sample(state, "dock");
}

static void test_dock_has_texts_interfaces_and_speed(void **state) {
    const struct device *webcam = usb(*state, "1-1.2"), *receiver = usb(*state, "1-1.1"),
                        *adapter = usb(*state, "1-1.3.1"), *hub = usb(*state, "1-1.3");
    static const uint32_t classes[] = {0x0e0100, 0x0e0200, 0x010100, 0x010200};

    assert_string_equal(webcam->manufacturer, "Logitech");
    assert_string_equal(webcam->product, "HD Pro Webcam C920");
    assert_int_equal(webcam->speed, 480);
    assert_int_equal(webcam->class_code, 0xef0201);
    assert_int_equal(webcam->unknown, 0);
    assert_int_equal(webcam->interface_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(webcam->interfaces[i].class_code, classes[i]);
    assert_string_equal(webcam->interfaces[1].driver, "uvcvideo");
    assert_string_equal(webcam->interfaces[3].driver, "snd-usb-audio");
    assert_string_equal(webcam->driver, "uvcvideo");
    assert_int_equal(receiver->interface_count, 3);
    assert_int_equal(receiver->interfaces[2].class_code, 0x030000);
    assert_int_equal(receiver->speed, 12);
    assert_null(adapter->manufacturer);
    assert_string_equal(adapter->product, "USB Serial");
    assert_null(adapter->serial);
    assert_int_equal(adapter->unknown, 0);
    assert_true(hub->is_bridge);
    struct device copy = device_copy(webcam);
    assert_string_equal(copy.product, "HD Pro Webcam C920");
    assert_string_equal(copy.interfaces[3].driver, "snd-usb-audio");
    assert_ptr_not_equal(copy.interfaces, webcam->interfaces);
    device_finish(&copy);
}

static void test_usb_speeds(void **state) {
    struct tree_of_test *tree = *state;
    static const struct {
        const char *text;
        unsigned speed;
    } cases[] = {{"1.5\n", 1},       {"12\n", 12},       {"480\n", 480},   {"5000\n", 5000},
                 {"10000\n", 10000}, {"20000\n", 20000}, {"unknown\n", 0}, {"", 0}};
    put_usb(tree, "1-1");
    load(tree);
    assert_int_equal(usb(tree, "1-1")->speed, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(tree, "sys/bus/usb/devices/1-1/speed", cases[i].text);
        load(tree);
        assert_int_equal(usb(tree, "1-1")->speed, cases[i].speed);
        assert_no_obstacle(tree, "1-1");
    }
}

/* A kernel from before 2.6.26 has no descriptors, and a device that has no text no file of it. */
static void test_usb_texts_that_the_kernel_could_not_read(void **state) {
    struct tree_of_test *tree = *state;
    unsigned char bytes[40] = {18, 1, [14] = 1, [16] = 3};
    put_usb(tree, "1-1");
    put(tree, "sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n");
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown, 0);
    put_bytes(tree, "sys/bus/usb/devices/1-1/descriptors", bytes, sizeof bytes);
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown,
                     DEVICE_UNKNOWN_MANUFACTURER | DEVICE_UNKNOWN_SERIAL);
    put(tree, "sys/bus/usb/devices/1-1/manufacturer", "\n"); /* it was read: a blank */
    put(tree, "sys/bus/usb/devices/1-1/serial", "A\033[2J 1  \n");
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown, 0);
    assert_null(usb(tree, "1-1")->manufacturer);
    assert_string_equal(usb(tree, "1-1")->serial, "A?[2J 1");
    put_bytes(tree, "sys/bus/usb/devices/1-1/descriptors", bytes, 8);
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown, DEVICE_UNKNOWN_PRODUCT);
}

static void test_usb_device_that_is_not_configured(void **state) {
    struct tree_of_test *tree = *state;
    put_usb(tree, "1-1");
    put(tree, "sys/bus/usb/devices/1-1/bConfigurationValue", "\n");
    put_link(tree, "sys/bus/usb/devices/1-1/driver", "../drivers/usbip-host");
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown, DEVICE_UNKNOWN_INTERFACES);
    assert_string_equal(usb(tree, "1-1")->driver, "usbip-host");
    put(tree, "sys/bus/usb/devices/1-1:1.0/bInterfaceNumber", "00\n"); /* without a class */
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown, DEVICE_UNKNOWN_INTERFACES);
    put(tree, "sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n");
    load(tree);
    assert_int_equal(usb(tree, "1-1")->unknown, 0);
}

static void load_brief(struct tree_of_test *tree, bool leaves_out_resets) {
    struct host_source source = source_sysfs(tree->root);
    struct failure failure;
    source.is_brief = true;
    source.leaves_out_resets = leaves_out_resets;
    host_finish(&tree->host);
    assert_int_equal(source.load(&source, &tree->host, &failure), 0);
}

/* A PCI bridge is never assigned: what else it has, or cannot be read of it, does not matter.
 * Another device is looked at, also one that the kernel calls a bridge. */
static void test_brief_reading(void **state) {
    struct tree_of_test *tree = *state;
    unsigned char silent[256];
    memset(silent, 0xff, sizeof silent);
    put_pci(tree, "0000:00:01.0", "8086:6f02", "060400");
    put_pci(tree, "0000:02:00.0", "8086:6f28", "068000");
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put_group(tree, PCI "0000:03:00.0", "3");
    put(tree, PCI "0000:00:01.0/config/x", "");
    put(tree, "sys/kernel/iommu_groups/3/devices/x", "");
    put_bytes(tree, PCI "0000:02:00.0/config", silent, sizeof silent);
    put(tree, PCI "0000:03:00.0/reset_method", "flr bus\n");
    put_pci(tree, "0000:04:00.0", "10de:2484", "030000");
    put_pci(tree, "0000:05:00.0", "10de:0001", "000100");
    put(tree, PCI "0000:04:00.0/boot_vga", "1\n");
    put(tree, PCI "0000:05:00.0/boot_vga", "1\n");
    load(tree);
    assert_obstacle(tree, "0000:00:01.0", OBSTACLE_UNKNOWN_USE, "config");
    load_brief(tree, false);
    assert_true(pci(tree, "0000:00:01.0")->is_bridge);
    assert_int_equal(pci(tree, "0000:00:01.0")->header, HEADER_BRIDGE);
    assert_no_obstacle(tree, "0000:00:01.0");
    assert_obstacle(tree, "0000:02:00.0", OBSTACLE_NO_ANSWER, "does not answer");
    assert_int_equal(pci(tree, "0000:03:00.0")->iommu_group, 3);
    assert_true(tree->host.has_iommu);
    assert_string_equal(pci(tree, "0000:03:00.0")->reset_methods, "flr bus");
    assert_true(pci(tree, "0000:04:00.0")->boot_vga);
    assert_true(pci(tree, "0000:05:00.0")->boot_vga);
    load_brief(tree, true);
    assert_null(pci(tree, "0000:03:00.0")->reset_methods);
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
    assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker Thing");
    assert_string_equal(pci(tree, "0000:04:00.0")->name, "Ethernet controller 8086:10fb");
}

static void test_list_of_names_knows_the_maker_only(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:0001", "088000");
    put(tree, "usr/share/misc/pci.ids", "1ac1  Maker\n\t089a  Thing\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker System peripheral 0001");
}

static void test_list_of_names_has_comments(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put(tree, "usr/share/misc/pci.ids",
        "# All\n1ac1  Maker\n\t0001  Other\n# and then\n\n\t089a  Thing\n\t\t1ac1 089a  Card\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker Thing");
}

/* The list is read in pieces of 64 KiB: here each byte of the lines that count is the first of one.
 */
static void test_list_of_names_in_pieces(void **state) {
    enum { PIECE = 65535 };
    static const char lines[] = "1ac1  Maker\n\t089a  Thing";
    struct tree_of_test *tree = *state;
    char *list = memory_zalloc(PIECE + sizeof lines);
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    for (size_t before = PIECE - sizeof lines; before <= PIECE; before++) {
        for (size_t i = 0; i < before; i++)
            list[i] = i % 64 == 63 || i + 1 == before ? '\n' : '#';
        memcpy(list + before, lines, sizeof lines);
        put(tree, "usr/share/misc/pci.ids", list);
        load(tree);
        assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker Thing");
        host_finish(&tree->host);
        remove_file(tree, "usr/share/misc/pci.ids");
    }
    free(list);
    load(tree);
}

/* What is in a line behind a piece is not a line. */
static void test_list_of_names_with_a_long_line(void **state) {
    enum { PIECE = 65535, LONG = 200000 };
    static const char wrong[] = "\t089a  Wrong";
    struct tree_of_test *tree = *state;
    char *line = memory_zalloc(LONG + 1), *list;
    memset(line, '#', LONG);
    for (size_t i = PIECE; i < LONG; i += PIECE)
        memcpy(line + i, wrong, sizeof wrong - 1);
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    list = memory_printf("%s\n1ac1  Maker\n%s\n\t089a  Thing\n", line, line);
    put(tree, "usr/share/misc/pci.ids", list);
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker Thing");
    host_finish(&tree->host);
    free(list);
    list = memory_printf("1ac1  Maker\n%s", line);
    remove_file(tree, "usr/share/misc/pci.ids");
    put(tree, "usr/share/misc/pci.ids", list);
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->name, "Maker System peripheral 089a");
    free(list);
    free(line);
}

/* usb.ids has other lists after that of the makers. */
static void test_names_of_usb_devices(void **state) {
    struct tree_of_test *tree = *state;
    for (unsigned i = 1; i <= 5; i++) {
        char port[8], path[TEXT_SIZE];
        put_usb(tree, text(port, "1-%u", i));
        put(tree, text(path, "sys/bus/usb/devices/%s/idVendor", port), i == 4 ? "dddd" : "8087");
        put(tree, text(path, "sys/bus/usb/devices/%s/idProduct", port), i == 3 ? "0001" : "0a2b");
    }
    put(tree, "sys/bus/usb/devices/1-2/product", "Its own");
    put(tree, "sys/bus/usb/devices/1-5/manufacturer", "Maker");
    put(tree, "usr/share/misc/usb.ids",
        "8087  Intel\n\t0a2b  Blue\033tooth\n\t\t00  Interface\nC 00  Class\n\t0001  Not this\n"
        "HUT 01  Usage\n\t0001  Nor this\n");
    load(tree);
    assert_string_equal(usb(tree, "1-1")->name, "USB device 8087:0a2b"); /* as events see it */
    names_complete(&tree->host);
    assert_string_equal(usb(tree, "1-1")->name, "Intel Blue?tooth");
    assert_string_equal(usb(tree, "1-2")->name, "Its own");
    assert_string_equal(usb(tree, "1-3")->name, "Intel USB device 0001");
    assert_string_equal(usb(tree, "1-4")->name, "USB device dddd:0a2b");
    assert_string_equal(usb(tree, "1-5")->name, "Maker USB device 8087:0a2b");
    assert_false(tree->host.lacks_names);
}

/* It has no texts, whichever of its ids it has. */
static void test_coral_usb_stick(void **state) {
    struct tree_of_test *tree = *state;
    put_usb(tree, "1-1");
    put(tree, "sys/bus/usb/devices/1-1/idVendor", "18d1");
    put(tree, "sys/bus/usb/devices/1-1/idProduct", "9302");
    put(tree, "usr/share/misc/usb.ids", "18d1  Google\n");
    load(tree);
    names_complete(&tree->host);
    assert_string_equal(usb(tree, "1-1")->name, "Coral USB stick");
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
    assert_null(iommu_group_blocker(&tree->host, pci(tree, "0000:01:00.0")));
    assert_ptr_equal(iommu_group_blocker(&tree->host, pci(tree, "0000:01:00.1")),
                     pci(tree, "0000:01:00.0"));
}

static void test_an_isa_bridge_with_driver_blocks_its_group(void **state) {
    struct tree_of_test *tree = *state;
    put_member(tree, "0000:00:1f.0", "060100", "lpc_ich");
    put_member(tree, "0000:00:1f.3", "040300", NULL);
    load(tree);
    assert_true(pci(tree, "0000:00:1f.0")->is_bridge);
    assert_ptr_equal(iommu_group_blocker(&tree->host, pci(tree, "0000:00:1f.3")),
                     pci(tree, "0000:00:1f.0"));
}

static void test_devices_without_group_do_not_block(void **state) {
    struct tree_of_test *tree = *state;
    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    put_pci(tree, "0000:04:00.0", "8086:10fb", "020000");
    put_link(tree, PCI "0000:04:00.0/driver", "/x/ixgbe");
    load(tree);
    assert_null(iommu_group_blocker(&tree->host, pci(tree, "0000:03:00.0")));
}

/* ---- The driver right now ---- */

static void test_driver_is_read_anew(void **state) {
    struct tree_of_test *tree = *state;
    char driver[16] = "x", full[PATH_SIZE];

    put_pci(tree, "0000:03:00.0", "1ac1:089a", "088000");
    load(tree);
    const struct device *device = pci(tree, "0000:03:00.0");
    assert_true(tree->host.source.driver_of(&tree->host, device, driver, sizeof driver));
    assert_string_equal(driver, "");
    put_link(tree, PCI "0000:03:00.0/driver", "/x/vfio-pci");
    assert_true(tree->host.source.driver_of(&tree->host, device, driver, sizeof driver));
    assert_string_equal(driver, "vfio-pci");
    assert_false(tree->host.source.driver_of(&tree->host, device, driver, sizeof "vfio-pc"));
    path_in(tree, PCI "0000:03:00.0", full);
    assert_int_equal(nftw(full, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS), 0);
    assert_false(tree->host.source.driver_of(&tree->host, device, driver, sizeof driver));
}

static void test_driver_of_usb_is_read_anew(void **state) {
    struct tree_of_test *tree = *state;
    char driver[16] = "x";

    put_usb(tree, "1-1");
    load(tree);
    assert_true(tree->host.source.driver_of(&tree->host, usb(tree, "1-1"), driver, sizeof driver));
    assert_string_equal(driver, "");
    put_link(tree, "sys/bus/usb/devices/1-1/1-1:1.0/driver", "/x/usbfs");
    assert_true(tree->host.source.driver_of(&tree->host, usb(tree, "1-1"), driver, sizeof driver));
    assert_string_equal(driver, "usbfs");
}

/* ---- Broken and hostile trees ---- */

static void test_nothing_to_read(void **state) {
    struct tree_of_test *tree = *state;
    struct host host;
    struct failure failure;
    const struct host_source *source = sample_source(tree->root);

    assert_int_equal(source->load(source, &host, &failure), -1);
    assert_non_null(strstr(failure.message, "sys/bus/pci"));
    source = sample_source("/does/not/exist");
    assert_int_equal(source->load(source, &host, &failure), -1);
    assert_non_null(strstr(failure.message, "/does/not/exist"));
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
    assert_obstacle(tree, "0000:06:10.0", OBSTACLE_KERNEL, "0000:00:02.0 is bound to vfio-pci");
    put(tree, "sys/module/vfio_pci/parameters/disable_denylist", "Y\n");
    load(tree);
    assert_no_obstacle(tree, "0000:05:00.0");
}

/* RHEL 7 has driver_override in its Linux 3.10. */
static void test_an_old_kernel_binds_no_device_alone(void **state) {
    struct tree_of_test *tree = *state;
    put_idle_host(tree);
    put_pci(tree, "0000:05:00.0", "1ac1:089a", "088000");
    put_pci(tree, "0000:06:00.0", "1ac1:089a", "088000");
    put(tree, PCI "0000:06:00.0/driver_override", "(null)\n");
    put(tree, "proc/sys/kernel/osrelease", "3.10.108\n");
    load(tree);
    assert_obstacle(tree, "0000:05:00.0", OBSTACLE_KERNEL, "older than Linux 3.16");
    assert_no_obstacle(tree, "0000:06:00.0");
    put(tree, "proc/sys/kernel/osrelease", "3.16.7-ckt25\n");
    load(tree);
    assert_no_obstacle(tree, "0000:05:00.0");
}

/* ---- Disks ---- */

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
    assert_obstacle(
        tree, "10001:02:00.0", OBSTACLE_DOMAIN,
        "10001:02:00.0 is in PCI domain 10001, and qemu supports PCI domains up to ffff");
    assert_string_equal(
        pci(tree, "10001:02:00.0")->obstacle_hint,
        "assign the VMD controller 0000:d7:05.5 instead, with all that is behind it");
    assert_obstacle(tree, "10000:e1:00.0", OBSTACLE_DOMAIN, "qemu supports PCI domains up to ffff");
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
    assert_null(iommu_group_blocker(&tree->host, pci(tree, "0000:d7:05.5")));
    remove_file(tree, BEHIND_VMD "10001:02:00.0/iommu_group");
    put_group(tree, BEHIND_VMD "10001:02:00.0", "8");
    put_group(tree, PCI "0000:04:00.0", "8");
    load(tree);
    assert_false(pci(tree, "10001:02:00.0")->goes_with_controller);
    assert_ptr_equal(iommu_group_blocker(&tree->host, pci(tree, "0000:04:00.0")),
                     pci(tree, "10001:02:00.0"));
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
/* What is read without its uses is the same, and goes to no VM. */
static void test_devices_without_their_uses(void **state) {
    struct host all, host;
    struct failure failure;
    const struct host_source *source = sample_source("tests/hosts/nas");

    (void)state;
    assert_int_equal(source->load(source, &all, &failure), 0);
    assert_int_equal(source->load_devices(source, &host, &failure), 0);
    assert_true(host.count > 0);
    assert_int_equal(host.count, all.count);
    for (size_t i = 0; i < host.count; i++) {
        assert_true(device_is_same(&host.devices[i], &all.devices[i]));
        assert_null(host.devices[i].use);
        assert_true(host.devices[i].obstacle != OBSTACLE_NONE);
    }
    assert_int_equal(host_find(&host, BUS_PCI, "0000:01:00.0")->obstacle, OBSTACLE_UNKNOWN_USE);
    host_finish(&host);
    host_finish(&all);
}

static void test_few_descriptors_are_an_error(void **state) {
    enum { MOST = 64 };
    struct host host;
    struct rlimit before;
    struct failure failure;
    const struct host_source *source = sample_source("tests/hosts/nas");
    int errors = 0, hosts = 0;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    for (rlim_t limit = 3; limit < MOST; limit++) {
        struct rlimit few = {limit, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        int status = source->load(source, &host, &failure);
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
    assert_non_null(strstr(failure.message, "ulimit -n"));
}

static void test_running_system(void **state) {
    struct host host;
    char driver[64];

    (void)state;
    if (access("/sys/bus/pci", F_OK) != 0)
        skip_because("needs a PCI bus");
    sample_host(&host, "");
    assert_string_equal(host.root, "");
    for (size_t i = 0; i < host.count; i++) {
        assert_true(host.devices[i].name && *host.devices[i].name);
        assert_true(host.source.driver_of(&host, &host.devices[i], driver, sizeof driver));
        assert_string_equal(driver, host.devices[i].driver ? host.devices[i].driver : "");
        assert_ptr_equal(host_find(&host, host.devices[i].bus, host.devices[i].address),
                         &host.devices[i]);
    }
    host_finish(&host);
    sample_host(&host, NULL);
    host_finish(&host);
    sample_host(&host, "/");
    assert_string_equal(host.root, "");
    host_finish(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OF(nas, test_nas_coral_has_every_fact),
        OF(nas, test_nas_tells_no_bars),
        OF(gpus, test_gpus_have_bars),
        OWN(test_bars_are_memory_alone),
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
        OF(dock, test_dock_has_texts_interfaces_and_speed),
        OWN(test_usb_speeds),
        OWN(test_usb_texts_that_the_kernel_could_not_read),
        OWN(test_usb_device_that_is_not_configured),
        OWN(test_brief_reading),
        OWN(test_usb_driver_of_an_interface_beside_the_device),
        OWN(test_usb_texts_are_made_safe),
        OWN(test_broken_list_of_names),
        OWN(test_list_of_names_knows_the_maker_only),
        OWN(test_list_of_names_has_comments),
        OWN(test_list_of_names_in_pieces),
        OWN(test_list_of_names_with_a_long_line),
        OWN(test_names_of_usb_devices),
        OWN(test_coral_usb_stick),
        OWN(test_what_does_not_block_a_group),
        OWN(test_an_isa_bridge_with_driver_blocks_its_group),
        OWN(test_devices_without_group_do_not_block),
        OWN(test_driver_is_read_anew),
        OWN(test_driver_of_usb_is_read_anew),
        OWN(test_nothing_to_read),
        OWN(test_empty_bus),
        OWN(test_links_stay_inside_the_root),
        OWN(test_absolute_links_mean_the_root),
        OWN(test_link_loops),
        OWN(test_files_in_place_of_directories),
        OWN(test_thousands_of_devices),
        OWN(test_what_is_a_bridge),
        OWN(test_a_device_that_does_not_answer),
        OWN(test_memory_that_the_firmware_keeps),
        OWN(test_what_vfio_pci_does_not_take),
        OWN(test_an_old_kernel_binds_no_device_alone),
        OWN(test_a_disk_behind_vmd),
        OWN(test_a_domain_that_qemu_does_not_take),
        OWN(test_the_group_of_a_vmd_controller),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_text_clean),
        cmocka_unit_test(test_devices_without_their_uses),
        cmocka_unit_test(test_few_descriptors_are_an_error),
        cmocka_unit_test(test_running_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
