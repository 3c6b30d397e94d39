/* What the host uses its devices for: open files, the console, and what cannot be read. */
#include "tests/unit/host_tree.h"

#include "engine/host/block_path.h"
#include "engine/host/place.h"

/* ---- What network cards are used for ---- */

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

/* ---- Broken and hostile trees ---- */

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

/* ---- What cannot be read counts as in use ---- */

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

static void test_files_that_sysfs_does_not_list(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_process(tree, "70", "program");
    remove_file(tree, GPU "/driver");
    put_driver(tree, GPU, "amdgpu");
    assert_use(tree, "0000:03:00.0", NULL);
    put_open(tree, "70", "5", "kfd");
    assert_use(tree, "0000:03:00.0", "uses it in program (process 70: /dev/kfd)");
    remove_file(tree, "proc/70/fd/5");
    put_group(tree, GPU, "7");
    put_open(tree, "70", "5", "vfio/noiommu-7");
    assert_use(tree, "0000:03:00.0", "uses it in program (process 70: /dev/vfio/noiommu-7)");
}

static void test_a_volume_of_zfs_is_on_what_its_pool_is_on(void **state) {
    struct tree_of_test *tree = *state;
    struct device_set set = {0};
    struct tree files;

    put_disk(tree);
    put(tree, "run/udev/data/b8:1", "E:ID_FS_LABEL=tank\nE:ID_FS_TYPE=zfs_member\n");
    put(tree, "proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    load(tree);
    assert_true(tree_open(&files, tree->host.root));
    assert_true(place_of_file(&set, &tree->host, &files, "/dev/zvol/tank/vm-1"));
    assert_int_equal(set.count, 1);
    assert_string_equal(tree->host.devices[set.items[0]].address, "0000:00:01.0");
    assert_false(place_of_file(&set, &tree->host, &files, "/dev/zvol/other/vm-1"));
    device_set_finish(&set);
    tree_close(&files);
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

/* The host does not use what qemu opens for a device of a VM; its other open files are the VM's. A
 * qemu that libvirt does not know is a program as any other. */
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

/* udev itself always ends with it. What it has started is named, because it may be a daemon. */
static void test_udev_looks_for_a_moment(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_process(tree, "70", "(udev-worker)");
    put_open(tree, "70", "5", "sda");
    put_process(tree, "71", "ata_id");
    put_open(tree, "71", "3", "sda");
    put(tree, "proc/71/stat", "71 (ata_id) D 70 1 1 0 -1 4194304 0 0\n");
    assert_use(tree, "0000:00:01.0", "uses it in ata_id (process 71: /dev/sda)");
    assert_true(pci(tree, "0000:00:01.0")->is_probed);
    put(tree, "proc/71/stat", "71 (ata_id) D 72 1 1 0 -1 4194304 0 0\n"); /* is gone */
    load(tree);
    assert_false(pci(tree, "0000:00:01.0")->is_probed);
    put_process(tree, "72", "sh");
    load(tree);
    assert_false(pci(tree, "0000:00:01.0")->is_probed);
    put(tree, "proc/71/stat", "71 (ata_id) D 70 1 1 0 -1 4194304 0 0\n");
    put_open(tree, "72", "3", "sda"); /* beside it */
    load(tree);
    assert_false(pci(tree, "0000:00:01.0")->is_probed);
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

/* --- what is unbound before a VM gets the display */

/* "vtcon1=0 efi-framebuffer.0= " */
static void assert_settings(struct tree_of_test *tree, const char *address, const char *wanted) {
    char *found = memory_strdup("");
    load(tree);
    const struct setting_list *list = &pci(tree, address)->display_settings;
    for (size_t i = 0; i < list->count; i++) {
        char *owner = setting_owner(&list->list[i]);
        memory_append(&found, "%s=%s ", owner, list->list[i].value);
        free(owner);
    }
    assert_string_equal(found, wanted);
    free(found);
}

static void put_console(struct tree_of_test *tree, const char *number, const char *name,
                        const char *bind) {
    char path[TEXT_SIZE];
    put(tree, text(path, "sys/class/vtconsole/vtcon%s/name", number), name);
    put(tree, text(path, "sys/class/vtconsole/vtcon%s/bind", number), bind);
}

static void put_platform(struct tree_of_test *tree, const char *name, const char *driver) {
    char path[TEXT_SIZE], target[TEXT_SIZE];
    text(path, "sys/devices/platform/%s", name);
    put_driver(tree, path, driver);
    put_link(tree, text(path, "sys/bus/platform/devices/%s", name),
             text(target, "../../../devices/platform/%s", name));
}

static void test_a_card_with_the_console_gives_it_up(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put(tree, GPU "/boot_vga", "1\n");
    put_console(tree, "0", "(S) dummy device\n", "0\n");
    put_console(tree, "1", "(M) frame buffer device\n", "1\n");
    put_entry(tree, "graphics", GPU "/graphics", "fb0");
    assert_settings(tree, "0000:03:00.0", "vtcon1=0 ");
    assert_true(pci(tree, "0000:03:00.0")->is_display);
    assert_null(pci(tree, "0000:03:00.0")->other_use);
    assert_settings(tree, "0000:00:02.0", "");
    assert_false(pci(tree, "0000:00:02.0")->is_display);
    /* A console that is not bound is in nobody's way. */
    put_console(tree, "1", "(M) frame buffer device\n", "0\n");
    assert_settings(tree, "0000:03:00.0", "");
    /* VGA's own cannot be unbound. */
    remove_file(tree, "sys/class/graphics/fb0");
    put_console(tree, "0", "(S) VGA+\n", "1\n");
    assert_settings(tree, "0000:03:00.0", "");
    assert_true(pci(tree, "0000:03:00.0")->is_display);
}

/* The console stays on the other card, whichever of the two is the boot display. */
static void test_a_card_without_the_console_leaves_it(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_pci(tree, "0000:04:00.0", "1002:67df", "030000");
    put_driver(tree, PCI "0000:04:00.0", "amdgpu");
    put_console(tree, "1", "(M) frame buffer device\n", "1\n");
    put_entry(tree, "graphics", GPU "/graphics", "fb0");
    put_entry(tree, "graphics", PCI "0000:04:00.0/graphics", "fb1");
    put(tree, GPU "/boot_vga", "1\n");
    assert_settings(tree, "0000:03:00.0", "vtcon1=0 ");
    assert_settings(tree, "0000:04:00.0", "");
    put(tree, GPU "/boot_vga", "0\n");
    put(tree, PCI "0000:04:00.0/boot_vga", "1\n");
    assert_settings(tree, "0000:03:00.0", "");
    assert_settings(tree, "0000:04:00.0", "vtcon1=0 ");
    /* The boot display without a framebuffer, as a BMC's without a driver: the console is on the
     * other card's. */
    remove_file(tree, "sys/class/graphics/fb1");
    assert_settings(tree, "0000:03:00.0", "vtcon1=0 ");
    assert_settings(tree, "0000:04:00.0", "");
    assert_false(pci(tree, "0000:04:00.0")->is_display);
}

static void test_the_firmwares_framebuffer_is_unbound(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_pci(tree, "0000:04:00.0", "1002:67df", "030000");
    put(tree, PCI "0000:04:00.0/boot_vga", "1\n");
    put_console(tree, "1", "(M) frame buffer device\n", "1\n");
    put_platform(tree, "efi-framebuffer.0", "efi-framebuffer");
    put_entry(tree, "graphics", "sys/devices/platform/efi-framebuffer.0/graphics", "fb0");
    /* Without a memory map it is on the boot display. */
    assert_settings(tree, "0000:04:00.0", "vtcon1=0 efi-framebuffer.0= ");
    assert_settings(tree, "0000:03:00.0", "");
    /* It tells whose memory it is in, to anybody. */
    put(tree, "proc/iomem",
        "00000000-00000000 : PCI Bus 0000:00\n"
        "  00000000-00000000 : PCI Bus 0000:04\n"
        "    00000000-00000000 : 0000:04:00.0\n"
        "  00000000-00000000 : PCI Bus 0000:03\n"
        "    00000000-00000000 : 0000:03:00.0\n"
        "      00000000-00000000 : BOOTFB\n"
        "        00000000-00000000 : efifb\n"
        "    00000000-00000000 : 0000:03:00.0\n");
    assert_settings(tree, "0000:03:00.0", "vtcon1=0 efi-framebuffer.0= ");
    assert_string_equal(pci(tree, "0000:03:00.0")->use, "shows its console on it (fb0)");
    assert_settings(tree, "0000:04:00.0", "");
    /* Who has its files open has the card. */
    put_process(tree, "3217", "Xorg");
    put_open(tree, "3217", "13", "fb0");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->other_use,
                        "uses it in Xorg (process 3217: /dev/fb0)");
    assert_string_equal(pci(tree, "0000:03:00.0")->other_use_hint,
                        "stop what has it open: 'kill 3217'");
    /* One without a driver is in nobody's way. */
    remove_file(tree, "sys/devices/platform/efi-framebuffer.0/driver");
    remove_file(tree, "sys/class/graphics/fb0");
    assert_settings(tree, "0000:03:00.0", "");
}

/* Since Linux 6.9 it is below the card in sysfs. */
static void test_a_framebuffer_below_its_card(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put(tree, PCI "0000:00:02.0/boot_vga", "1\n");
    put_driver(tree, GPU "/simple-framebuffer.0", "simple-framebuffer");
    put_link(tree, "sys/bus/platform/devices/simple-framebuffer.0",
             "../../../../" GPU "/simple-framebuffer.0");
    put_console(tree, "1", "(M) frame buffer device\n", "1\n");
    put_entry(tree, "graphics", GPU "/simple-framebuffer.0/graphics", "fb0");
    assert_settings(tree, "0000:03:00.0", "vtcon1=0 simple-framebuffer.0= ");
    assert_settings(tree, "0000:00:02.0", "");
}

/* --- what ends a program */

static void test_what_started_a_program_ends_it(void **state) {
    static const struct {
        const char *cgroup, *file, *hint;
    } cases[] = {
        {"0::/system.slice/lightdm.service\n", "dri/card1", "systemctl stop lightdm.service"},
        {"0::/system.slice/ollama.service/x\n", "dri/renderD128", "systemctl stop ollama.service"},
        {"0::/user.slice/user-1000.slice/session-2.scope\n", "dri/card1",
         "systemctl stop gdm3.service"},
        {"0::/user.slice/user-1000.slice/session-2.scope\n", "dri/renderD128",
         "loginctl terminate-session 2"},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", "dri/renderD128",
         "loginctl terminate-user 1000"},
        {"0::/system.slice/systemd-logind.service\n", "dri/card1", "systemctl stop gdm3.service"},
        {"9:devices:/user.slice\n1:name=systemd:/system.slice/sddm.service\n0::/\n", "dri/card1",
         "systemctl stop sddm.service"},
        {"0::/init.scope\n", "dri/card1", "kill 3217"},
        {"0::/\n", "dri/card1", "kill 3217"},
        {NULL, "dri/card1", "kill 3217"},
    };
    struct tree_of_test *tree = *state;
    char hint[TEXT_SIZE];
    put_desktop(tree);
    put_link(tree, "etc/systemd/system/display-manager.service",
             "/usr/lib/systemd/system/gdm3.service");
    put_entry(tree, "drm", GPU "/drm", "card1");
    put_entry(tree, "drm", GPU "/drm", "renderD128");
    put_process(tree, "3217", "program");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_open(tree, "3217", "13", cases[i].file);
        if (cases[i].cgroup)
            put(tree, "proc/3217/cgroup", cases[i].cgroup);
        else
            remove_file(tree, "proc/3217/cgroup");
        load(tree);
        assert_string_equal(pci(tree, "0000:03:00.0")->use_hint,
                            text(hint, "stop what has it open: '%s'", cases[i].hint));
        remove_file(tree, "proc/3217/fd/13");
    }
    /* Of one unit once. */
    put_process(tree, "3218", "other");
    put_open(tree, "3217", "13", "dri/card1");
    put_open(tree, "3218", "13", "dri/card1");
    put(tree, "proc/3217/cgroup", "0::/system.slice/lightdm.service\n");
    put(tree, "proc/3218/cgroup", "0::/system.slice/lightdm.service\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->use_hint,
                        "stop what has it open: 'systemctl stop lightdm.service'");
    remove_file(tree, "etc/systemd/system/display-manager.service");
    put(tree, "proc/3218/cgroup", "0::/user.slice/user-1000.slice/session-c1.scope\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:03:00.0")->use_hint,
                        "stop what has it open: 'systemctl stop lightdm.service', 'loginctl "
                        "terminate-session c1'");
}

/* Files of all of NVIDIA's cards are of the one that the host has. */
static void test_nvidias_common_files(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    remove_file(tree, GPU "/driver");
    put_driver(tree, GPU, "nvidia");
    put_process(tree, "3217", "nvidia-powerd");
    put_open(tree, "3217", "13", "nvidiactl");
    put_open(tree, "3217", "14", "nvidia-modeset");
    assert_use(tree, "0000:03:00.0",
               "uses it in nvidia-powerd (process 3217: /dev/nvidiactl, /dev/nvidia-modeset)");
    put_pci(tree, "0000:04:00.0", "10de:2484", "030000");
    put_driver(tree, PCI "0000:04:00.0", "nvidia");
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
    assert_null(usb(tree, "1-1")->use); /* nobody sees a console */
    put_keyboard(tree, "1-2", "usbhid");
    assert_use(tree, "0000:00:14.0", "has all its keyboards behind it (1-1, 1-2)");
    /* Power buttons and programs are not keyboards. */
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

/* Two uses depend on the console's name: each is unknown. */
static void test_a_file_that_two_uses_need(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_driver(tree, PCI "0000:00:14.0", "xhci_hcd");
    put_keyboard(tree, "1-1", "usbhid");
    put(tree, "sys/class/vtconsole/vtcon0/bind", "1\n");
    put(tree, "sys/class/vtconsole/vtcon0/name/x", "");
    load(tree);
    assert_unknown(tree, "0000:03:00.0", "as a display: /sys/class/vtconsole/vtcon0/name cannot");
    assert_unknown(tree, "0000:00:14.0", "keyboards: /sys/class/vtconsole/vtcon0/name cannot");
}

/* It is not known which of two interfaces is the keyboard's. */
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

/* Where somebody may sit at the host. */
static void test_the_last_keyboard_of_the_console(void **state) {
    static const char use[] = "has no other keyboard for its console";
    struct tree_of_test *tree = *state;

    put_desktop(tree);
    put(tree, PCI "0000:03:00.0/boot_vga", "1\n");
    put_keyboard(tree, "1-1", "usbhid");
    load(tree);
    assert_text(usb(tree, "1-1")->use, use);
    assert_text(usb(tree, "1-1")->use_hint, "plug in another keyboard that the host keeps");
    assert_int_equal(tree->host.keyboards, 1);
    put(tree, "sys/class/drm/card0-DP-1/status", "disconnected\n");
    load(tree);
    assert_null(usb(tree, "1-1")->use);
    assert_int_equal(tree->host.keyboards, 0);
    put(tree, "sys/class/drm/card0-VGA-1/status", "unknown\n");
    load(tree);
    assert_text(usb(tree, "1-1")->use, use);
    put_keyboard(tree, "1-2", "usbhid");
    load(tree);
    assert_null(usb(tree, "1-1")->use);
    assert_null(usb(tree, "1-2")->use);
    assert_true(usb(tree, "1-2")->is_console_keyboard);
    assert_int_equal(tree->host.keyboards, 2);
}

/* The kernel writes to a port without an open file. */
static void test_a_port_with_the_kernels_console(void **state) {
    static const char port[] = "sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/ttyUSB0/tty/";
    struct tree_of_test *tree = *state;
    char path[TEXT_SIZE];

    put_desktop(tree);
    put_keyboard(tree, "1-1", "cp210x");
    put(tree, text(path, "%sttyUSB0/dev", port), "188:0\n");
    put_link(tree, "sys/class/tty/ttyUSB0",
             "../../devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0");
    put(tree, "proc/consoles", "tty0 -WU (EC p  ) 4:7\n");
    load(tree);
    assert_null(usb(tree, "1-1")->use);
    put(tree, "proc/consoles", "tty0 -WU (EC p  ) 4:7\nttyUSB0 -W- (EC p  ) 188:0\n");
    load(tree);
    assert_text(usb(tree, "1-1")->use, "writes its console's messages to it (ttyUSB0)");
    assert_text(usb(tree, "1-1")->use_hint, "take 'console=ttyUSB0' off the kernel's command line");
    assert_null(usb(tree, "1-2")->use);
}

static void test_a_keyboard_that_a_vm_has_is_not_the_hosts(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put_keyboard(tree, "1-1", "usbhid");
    put_keyboard(tree, "1-2", "usbfs");
    assert_use(tree, "0000:00:14.0", "has its only keyboard behind it (1-1)");
}

/* ---- Hints ---- */

static void assert_hint(struct tree_of_test *tree, const char *address, const char *hint) {
    load(tree);
    assert_text(pci(tree, address)->use_hint, hint);
}

/* Of several uses the strongest has its hint. */
static void test_hints_how_to_free_a_disk(void **state) {
    struct tree_of_test *tree = *state;
    put_disk(tree);
    assert_hint(tree, "0000:00:01.0", NULL);
    put_virtual(tree, "md0", "9:0");
    put_stack(tree, "md0", "sda1");
    assert_hint(tree, "0000:00:01.0", "take it out of md0, or stop that");
    put(tree, "proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n");
    assert_hint(tree, "0000:00:01.0",
                "turn its swap off: 'swapon --show' lists it, 'swapoff' turns it off");
    put_mounts(tree, "1 0 8:1 / /srv/a\\033b rw - ext4 /dev/sda1 rw\n");
    assert_hint(tree, "0000:00:01.0", "unmount it: 'umount $'/srv/a\\033b''");
    put_mounts(tree, "1 0 8:1 / /media/my\\040disk rw - ext4 /dev/sda1 rw\n");
    assert_hint(tree, "0000:00:01.0", "unmount it: 'umount \"/media/my disk\"'");
    put_mounts(tree, "1 0 8:1 / /srv/$x rw - ext4 /dev/sda1 rw\n");
    assert_hint(tree, "0000:00:01.0", "unmount it: 'umount \"/srv/\\$x\"'");
    put_mounts(tree, "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
    assert_hint(tree, "0000:00:01.0", NULL);
}

static void test_hints_how_to_free_a_card_and_a_display(void **state) {
    struct tree_of_test *tree = *state;
    put_desktop(tree);
    put(tree, "proc/net/arp", "IP\n10.0.0.1 0x1 0x2 52:54:00:00:00:01 * eth0\n");
    assert_hint(tree, "0000:00:02.0", "'ip -details address show eth0' shows how it is used");
    put_routes(tree, "eth0 00000000 010200C0 0003 0 0 0 00000000\n");
    assert_hint(tree, "0000:00:02.0",
                "move the default route to another card: 'ip route' shows it");
    put_entry(tree, "drm", GPU "/drm", "card1");
    put_process(tree, "3217", "Xorg");
    put_process(tree, "3348", "gnome-shell");
    put_open(tree, "3217", "13", "dri/card1");
    put_open(tree, "3348", "13", "dri/card1");
    assert_hint(tree, "0000:03:00.0", "stop what has it open: 'kill 3217', 'kill 3348'");
    put(tree, GPU "/boot_vga", "1\n");
    remove_file(tree, "proc/3217/fd/13");
    remove_file(tree, "proc/3348/fd/13");
    put(tree, "sys/class/vtconsole/vtcon0/name", "(S) VGA+\n");
    put(tree, "sys/class/vtconsole/vtcon0/bind", "1\n");
    put(tree, "sys/class/vtconsole/vtcon2/name", "(S) dummy device\n");
    put(tree, "sys/class/vtconsole/vtcon2/bind", "1\n");
    assert_hint(tree, "0000:03:00.0",
                "'boot display' in the rule takes the console off it while the VM runs");
    put(tree, GPU "/sriov_numvfs", "2\n");
    remove_file(tree, GPU "/boot_vga");
    assert_hint(tree, "0000:03:00.0",
                "remove them: 'echo 0 >/sys/bus/pci/devices/0000:03:00.0/sriov_numvfs'");
    put_keyboard(tree, "1-1", "usbhid");
    assert_hint(tree, "0000:00:14.0", "plug a keyboard into another USB controller");
}

/* ---- Nodes ---- */

/* The addresses of the devices that a node is on, separated by blanks; "-": there is no such node.
 */
static void assert_node(const struct tree_of_test *tree, const struct node *node,
                        const char *addresses) {
    char list[TEXT_SIZE] = "", *end = list;

    for (size_t i = 0; node && i < node->all.count; i++)
        end += sprintf(end, "%s%s", i ? " " : "", tree->host.devices[node->all.items[i]].address);
    assert_string_equal(node ? list : "-", addresses);
}

/* `name` is a path or a number. */
static void assert_block(const struct tree_of_test *tree, const char *name, const char *addresses) {
    const struct graph *graph = &tree->host.block;
    struct tree files;

    assert_true(tree_open(&files, tree->host.root));
    assert_node(tree,
                *name == '/' ? block_path_find(graph, &files, name)
                             : block_path_find_number(graph, &files, name),
                addresses);
    tree_close(&files);
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
    assert_node(tree, graph_find(&tree->host.block, "sda"), "0000:00:01.0");
    assert_block(tree, "8:2", "0000:00:01.0");
    assert_block(tree, "/dev/sda1", "0000:00:01.0");
    assert_block(tree, "/dev/disk/by-id/ata-X", "0000:00:01.0");
    assert_block(tree, "/dev/mapper/vg0-my--root", "0000:00:01.0");
    assert_block(tree, "/dev/vg0/my-root", "0000:00:01.0");
    assert_block(tree, "/dev/sdb", "-");
    assert_node(tree, graph_find(&tree->host.net, "sda"), "-");
}

static void test_nodes_of_a_bridge(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put_interface(tree, "eth0", NIC);
    put_interface(tree, "br0", "sys/devices/virtual");
    put_link(tree, "sys/class/net/br0/lower_eth0", "../../../" NIC "/net/eth0");
    load(tree);
    assert_node(tree, graph_find(&tree->host.net, "br0"), "0000:00:02.0");
    assert_node(tree, graph_find(&tree->host.net, "eth0"), "0000:00:02.0");
}

static void test_node_of_a_usb_disk(void **state) {
    assert_block(*state, "/dev/sdq1", "0000:00:01.6 0000:06:00.3 2-1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OWN(test_strongest_use_comes_first),
        OWN(test_hints_how_to_free_a_disk),
        OWN(test_hints_how_to_free_a_card_and_a_display),
        OWN(test_lines_cut_short),
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
        OWN(test_a_file_that_two_uses_need),
        OWN(test_a_keyboard_in_doubt_holds_the_controllers),
        OWN(test_a_console_without_a_name_is_on_the_display),
        OWN(test_virtual_functions_that_only_they_tell_of),
        OWN(test_a_display_that_a_desktop_has_open),
        OWN(test_which_nvidia_card_is_open),
        OWN(test_files_of_every_kind_of_device),
        OWN(test_files_that_sysfs_does_not_list),
        OWN(test_a_volume_of_zfs_is_on_what_its_pool_is_on),
        OWN(test_a_usb_device_that_a_program_has_open),
        OWN(test_what_the_qemu_of_a_vm_has_open),
        OWN(test_udev_looks_for_a_moment),
        OWN(test_many_processes_are_counted),
        OWN(test_files_of_a_process_that_cannot_be_read),
        OWN(test_the_boot_display_on_vfio),
        OWN(test_the_framebuffer_of_the_firmware),
        OWN(test_the_framebuffer_of_a_card),
        OWN(test_a_card_with_the_console_gives_it_up),
        OWN(test_a_card_without_the_console_leaves_it),
        OWN(test_the_firmwares_framebuffer_is_unbound),
        OWN(test_a_framebuffer_below_its_card),
        OWN(test_what_started_a_program_ends_it),
        OWN(test_nvidias_common_files),
        OWN(test_the_only_keyboard_holds_its_controller),
        OWN(test_the_last_keyboard_of_the_console),
        OWN(test_a_port_with_the_kernels_console),
        OWN(test_a_keyboard_that_a_vm_has_is_not_the_hosts),
        OWN(test_nodes_of_a_stack),
        OWN(test_nodes_of_a_bridge),
        OF(nas, test_node_of_a_usb_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
