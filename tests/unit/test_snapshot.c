/* A host as a tree of files: everything that counts is in it, and no secret. */
#include "engine/host/anonymize.h"
#include "engine/host/driver.h"
#include "engine/host/host.h"
#include "engine/host/snapshot.h"
#include "lexer/memory.h"
#include "tests/unit/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], from[96], to[96], again[96];

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *where) {
    (void)status;
    (void)flag;
    (void)where;
    return remove(path);
}

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/test_record.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(from, sizeof from, "%s/from", directory);
    snprintf(to, sizeof to, "%s/to", directory);
    snprintf(again, sizeof again, "%s/again", directory);
    assert_int_equal(mkdir(from, 0755), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- stand-ins */

static void expect_words(struct standins *standins, const char *text, const char *expected) {
    struct standins *others = anonymize_create(); /* of a record of the record */
    char *words = anonymize_words(standins, text), *twice = anonymize_words(others, words);
    assert_string_equal(words, expected);
    assert_string_equal(twice, expected);
    free(twice);
    free(words);
    anonymize_destroy(others);
}

static void words_of_people(void **state) {
    (void)state;
    struct standins *standins = anonymize_create();
    expect_words(standins, "/", "/");
    expect_words(standins, "/boot/efi", "/boot/efi");
    expect_words(standins, "vg1-syno_vg_reserved_area", "vg1-syno_vg_reserved_area");
    expect_words(standins, "/volumeUSB1/usbshare", "/volumeUSB1/usbshare");
    expect_words(standins, "/home/johanna", "/home/name001");
    expect_words(standins, "/srv/johanna smith", "/srv/name001 name2");
    expect_words(standins, "al-bob-x", "x3-x04-x");
    expect_words(standins, "/mnt/B\xc3\xbc\x63her/2026/20261122", "/mnt/name005/2026/name0006");
    expect_words(standins, "luks-6f1c2a34-6f0e-4c7e-9f57-0a6f5a2d9b11",
                 "luks-00000000-0000-0000-0000-000000000001");
    expect_words(standins, "johanna", "name001");
    expect_words(standins, "", "");
    anonymize_destroy(standins);
}

static void expect_name(struct standins *standins, const char *text, const char *expected) {
    struct standins *others = anonymize_create();
    char *name = anonymize_path(standins, text), *twice = anonymize_path(others, name);
    assert_string_equal(name, expected);
    assert_string_equal(twice, expected);
    free(twice);
    free(name);
    anonymize_destroy(others);
}

static void names_of_the_kernel(void **state) {
    (void)state;
    struct standins *standins = anonymize_create();
    expect_name(standins, "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0",
                "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0");
    expect_name(standins, "enx00e04c680001/upper_br0", "enx000000000001/upper_br0");
    expect_name(standins, "ovs_enx00e04c680001", "ovs_enx000000000001");
    expect_name(standins, "wlx00e04c680002", "wlx000000000002");
    expect_name(standins, "hci0:aa:bb:cc:dd:ee:ff", "hci0:00:00:00:00:00:01");
    expect_name(standins, "sys/fs/btrfs/5c8f1a34-6f0e-4c7e-9f57-0a6f5a2d9b11/devices",
                "sys/fs/btrfs/00000000-0000-0000-0000-000000000001/devices");
    expect_name(standins, "md_johanna/md127/md0", "md_name001/md127/md0");
    expect_name(standins, "1-1.4:1.0", "1-1.4:1.0");
    anonymize_destroy(standins);
}

/* However many there are of one length, and also where one is a name of the host's already. */
static void no_two_words_have_one_standin(void **state) {
    (void)state;
    enum { LETTERS = 26, WORDS = LETTERS + LETTERS * LETTERS };
    struct standins *standins = anonymize_create();
    char *words[WORDS + 2];
    size_t count = 0;
    for (int a = 'a'; a <= 'z'; a++) {
        words[count++] = anonymize_words(standins, (char[]){(char)a, '\0'});
        for (int b = 'a'; b <= 'z'; b++)
            words[count++] = anonymize_words(standins, (char[]){(char)a, (char)b, '\0'});
    }
    words[count++] = anonymize_words(standins, "x1");
    words[count++] = anonymize_words(standins, "x100");
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(words[i], words[j]);
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    anonymize_destroy(standins);
}

static void the_same_serial_the_same_standin(void **state) {
    (void)state;
    static const char *const serials[][2] = {{"A", "SERIAL1"},
                                             {"B c", "SERIAL2"},
                                             {"A", "SERIAL1"},
                                             {"SERIAL7", "SERIAL7"},
                                             {"a", "SERIAL3"}};
    struct standins *standins = anonymize_create();
    for (size_t i = 0; i < sizeof serials / sizeof *serials; i++) {
        char *serial = anonymize_serial(standins, serials[i][0]);
        assert_string_equal(serial, serials[i][1]);
        free(serial);
    }
    anonymize_destroy(standins);
}

/* --- hosts by hand */

static void make_parents(const char *path) {
    char *copy = memory_strdup(path);
    for (char *slash = copy + strlen(directory) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(copy, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    free(copy);
}

static void file(const char *path, const char *text) {
    char *whole = memory_printf("%s/%s", from, path);
    make_parents(whole);
    FILE *out = fopen(whole, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
    free(whole);
}

static void link_to(const char *path, const char *target) {
    char *whole = memory_printf("%s/%s", from, path);
    make_parents(whole);
    assert_int_equal(symlink(target, whole), 0);
    free(whole);
}

#define PCI "sys/devices/pci0000:00/"
#define SATA PCI "0000:00:17.0"
#define NIC PCI "0000:00:1f.6"
#define XHCI PCI "0000:00:14.0"

static void pci(const char *address, const char *id) {
    char *place = memory_printf(PCI "%s", address);
    char *names[] = {memory_printf("%s/vendor", place), memory_printf("%s/device", place),
                     memory_printf("sys/bus/pci/devices/%s", address), memory_printf("/%s", place)};
    file(names[0], "0x8086\n");
    file(names[1], id);
    link_to(names[2], names[3]); /* absolute: inside the root all the same */
    for (size_t i = 0; i < 4; i++)
        free(names[i]);
    free(place);
}

static void usb(const char *port, const char *serial) {
    char *place = memory_printf(XHCI "/usb1/%s", port);
    char *names[] = {memory_printf("%s/idVendor", place),
                     memory_printf("%s/idProduct", place),
                     memory_printf("%s/serial", place),
                     memory_printf("%s/product", place),
                     memory_printf("%s/%s:1.0/bInterfaceClass", place, port),
                     memory_printf("%s/%s:1.0/driver", place, port),
                     memory_printf("sys/bus/usb/devices/%s", port),
                     memory_printf("../../../../%s", place)};
    file(names[0], "10c4\n");
    file(names[1], "ea60\n");
    file(names[2], serial);
    file(names[3], "CP2102 5ec1e7000001\n");
    file(names[4], "ff\n");
    link_to(names[5], "../../../../../../../bus/usb/drivers/cp210x");
    link_to(names[6], names[7]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        free(names[i]);
    char *descriptors = memory_printf("%s/descriptors", place);
    file(descriptors, "\022\001 24 bytes are enough ..");
    free(descriptors);
    free(place);
}

static void block(const char *name, const char *place, const char *number) {
    char *whole = memory_printf("%s/dev", place), *link = memory_printf("sys/class/block/%s", name),
         *target = memory_printf("../../../%s", place);
    file(whole, number);
    link_to(link, target);
    free(target);
    free(link);
    free(whole);
}

/* Everything that a host may have and a report must not. */
static void make_host(void) {
    static const char disk[] = SATA "/ata1/host0/block/sda";
    pci("0000:00:14.0", "0xa36d\n");
    pci("0000:00:17.0", "0xa352\n");
    pci("0000:00:1f.6", "0x15bc\n");
    usb("1-1", "SECRET-1\n");
    usb("1-2", "SECRET-2\n");
    usb("1-3", "SECRET-1\n");
    block("sda", disk, "8:0\n");
    block("sda1", SATA "/ata1/host0/block/sda/sda1", "8:1\n");
    block("sda2", SATA "/ata1/host0/block/sda/sda2", "8:2\n");
    block("sda3", SATA "/ata1/host0/block/sda/sda3", "8:3\n");
    file(SATA "/ata1/host0/block/sda/sda3/uevent", "DEVNAME=sda3\nPARTNAME=zfs-5ec1e7\n");
    block("md_secret", "sys/devices/virtual/block/md_secret", "9:1\n");
    link_to("sys/devices/virtual/block/md_secret/slaves/sda2",
            "/" SATA "/ata1/host0/block/sda/sda2");
    block("dm-0", "sys/devices/virtual/block/dm-0", "253:0\n");
    file("sys/devices/virtual/block/dm-0/dm/name", "secret-root\n");
    link_to("sys/devices/virtual/block/dm-0/slaves/sda1", "/" SATA "/ata1/host0/block/sda/sda1");
    block("loop0", "sys/devices/virtual/block/loop0", "7:0\n");
    file("sys/devices/virtual/block/loop0/loop/backing_file", "/home/secret/image\n");
    file("sys/fs/btrfs/5ec1e7ff-6f0e-4c7e-9f57-0a6f5a2d9b11/devices/md_secret/x", "");
    file("sys/fs/btrfs/5ec1e7ff-6f0e-4c7e-9f57-0a6f5a2d9b11/label", "secret");
    link_to("dev/disk/by-uuid/5ec1e7ff-0000-4c7e-9f57-0a6f5a2d9b11", "../../dm-0");
    file("proc/cmdline", "root=/dev/disk/by-uuid/5ec1e7ff-0000-4c7e-9f57-0a6f5a2d9b11 secret=1\n");
    file("proc/self/mountinfo",
         "1 1 0:30 / / rw - btrfs /dev/disk/by-uuid/5ec1e7ff-0000-4c7e-9f57-0a6f5a2d9b11 rw\n"
         "2 1 8:1 /@secret /srv/secret\\040box rw shared:1 - ext4 /dev/sda1 rw\n"
         "3 1 0:40 / /secret rw - nfs4 secret.example:/secret rw\n"
         "4 1 0:41 / /tank rw - zfs tank/secret rw\n");
    link_to("proc/self/ns/mnt", "mnt:[1]");
    file("proc/77/mountinfo", "1 1 9:1 / /secret rw - ext4 /dev/md_secret rw\n");
    link_to("proc/77/ns/mnt", "mnt:[2]");
    file("proc/swaps",
         "Filename Type\n/home/secret/swap file 1 1 1\n/dev/mapper/secret-root p 1 1 1\n");
    file("proc/mdstat", "Personalities : [raid1]\nmd_secret : active raid1 sda2[0]\n");
    file("proc/spl/kstat/zfs/tank/state", "");
    file("run/udev/data/b8:3",
         "E:ID_FS_UUID=5ec1e7ff\nE:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n"
         "E:ID_SERIAL=SECRET\n");
    file("sys/class/net/bonding_masters", "secret\n");
    file(NIC "/net/enx5ec1e7ffffff/flags", "0x1003\n");
    file(NIC "/net/enx5ec1e7ffffff/address", "5e:c1:e7:ff:ff:ff\n");
    file(NIC "/net/enx5ec1e7ffffff/uevent", "INTERFACE=enx5ec1e7ffffff\n");
    link_to("sys/class/net/enx5ec1e7ffffff",
            "../../devices/pci0000:00/0000:00:1f.6/net/enx5ec1e7ffffff");
    file("sys/devices/virtual/net/br0/bridge/id", "");
    file("sys/devices/virtual/net/br0/flags", "0x1003\n");
    link_to("sys/class/net/br0", "../../devices/virtual/net/br0");
    link_to(NIC "/net/enx5ec1e7ffffff/master", "../../../../virtual/net/br0");
    file("proc/net/route", "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
                           "br0 00000000 5EC1E7FF 0003 0 0 0 00000000\n"
                           "br0 005EC1E7 00000000 0001 0 0 0 00FFFFFF\n");
    file("proc/net/if_inet6", "5ec1e7ff000000000000000000000001 02 40 00 80 br0\n");
    file("proc/net/ipv6_route",
         "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
         "5ec1e7ff000000000000000000000001 0 0 0 00000003 br0\n");
    file("proc/sys/kernel/osrelease", "6.1.0-18-secret\n");
    file("etc/hostname", "secret\n");
    link_to("sys/bus/pci/devices/0000:00:1e.0", "/etc/../../../../../../etc");
}

static bool has_secret(const char *text) {
    return strcasestr(text, "secret") || strcasestr(text, "5ec1e7");
}

static size_t looked_at;

static int look_for_secrets(const char *path, const struct stat *status, int flag,
                            struct FTW *where) {
    char text[8192] = "";
    (void)where;
    looked_at++;
    if (has_secret(path))
        fail_msg("a secret in a name: %s", path);
    if (flag == FTW_SL) {
        ssize_t size = readlink(path, text, sizeof text - 1);
        assert_true(size > 0);
        if (has_secret(text) || *text == '/')
            fail_msg("a link: %s -> %s", path, text);
    } else if (flag == FTW_F) {
        FILE *in = fopen(path, "r");
        assert_non_null(in);
        size_t size = fread(text, 1, sizeof text - 1, in);
        text[size] = '\0';
        fclose(in);
        if (has_secret(text))
            fail_msg("a secret in %s: %s", path, text);
        assert_true(S_ISREG(status->st_mode));
    }
    return 0;
}

static struct record record_to(const char *root, const char *target) {
    struct failure failure;
    struct record record;
    if (snapshot_record(&record, root, target, &failure) != 0)
        fail_msg("%s", failure.message);
    return record;
}

static const struct device *device_at(const struct host *host, const char *address) {
    const struct device *device =
        host_find(host, strchr(address, ':') ? BUS_PCI : BUS_USB, address);
    assert_non_null(device);
    return device;
}

static void no_secret_and_every_use(void **state) {
    (void)state;
    struct host host;
    make_host();
    struct record record = record_to(from, to);
    assert_true(record.files > 60);
    looked_at = 0;
    assert_int_equal(nftw(to, look_for_secrets, 16, FTW_PHYS), 0);
    assert_true(looked_at > record.files);
    sample_host(&host, to);
    assert_int_equal(host.count, 7);
    assert_string_equal(
        device_at(&host, "0000:00:17.0")->use,
        "mounts / from it (sda1, name01-root); mounts /name01 from it (sda2, md_name01); "
        "mounts /srv/name01 x02 from it (sda1); mounts /tank from it (sda3, ZFS "
        "pool tank); swaps on it (sda1, name01-root)");
    assert_string_equal(device_at(&host, "0000:00:1f.6")->use,
                        "uses it in bridge br0 (enx000000000002), which carries the default route");
    assert_string_equal(device_at(&host, "1-1")->product, "CP2102 000000000001");
    assert_string_equal(device_at(&host, "1-1")->serial, "SERIAL1");
    assert_string_equal(device_at(&host, "1-2")->serial, "SERIAL2");
    assert_string_equal(device_at(&host, "1-3")->serial, "SERIAL1");
    assert_string_equal(device_at(&host, "1-3")->driver, "cp210x");
    assert_int_equal(device_at(&host, "1-3")->class_code, 0xff0000);
    assert_true(driver_may_split_group(&host));
    host_finish(&host);
}

/* --- the same facts */

static void expect_text(const char *what, const char *address, const char *text,
                        const char *other) {
    if (strcmp(text ? text : "(none)", other ? other : "(none)") != 0)
        fail_msg("%s of %s: '%s', recorded '%s'", what, address, text, other);
}

static void expect_same(const struct device *a, const struct device *b) {
    expect_text("address", a->address, a->address, b->address);
    expect_text("name", a->address, a->name, b->name);
    expect_text("driver", a->address, a->driver, b->driver);
    expect_text("reset methods", a->address, a->reset_methods, b->reset_methods);
    expect_text("power state", a->address, a->power_state, b->power_state);
    expect_text("use", a->address, a->use, b->use);
    expect_text("hint", a->address, a->use_hint, b->use_hint);
    assert_int_equal(a->is_display, b->is_display);
    assert_int_equal(a->display_settings.count, b->display_settings.count);
    for (size_t i = 0; i < a->display_settings.count; i++)
        expect_text("setting", a->address, a->display_settings.list[i].path,
                    b->display_settings.list[i].path);
    expect_text("VM's use", a->address, a->vm_use, b->vm_use);
    expect_text("obstacle", a->address, a->obstacle_text, b->obstacle_text);
    assert_int_equal(a->obstacle, b->obstacle);
    assert_int_equal(a->header, b->header);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->bus, b->bus);
    assert_memory_equal(&a->id, &b->id, sizeof a->id);
    assert_memory_equal(&a->subsystem, &b->subsystem, sizeof a->subsystem);
    assert_int_equal(a->class_code, b->class_code);
    assert_int_equal(a->iommu_group, b->iommu_group);
    assert_int_equal(a->numa_node, b->numa_node);
    assert_int_equal(a->is_bridge, b->is_bridge);
    assert_int_equal(a->has_bars, b->has_bars);
    assert_int_equal(a->bar_count, b->bar_count);
    for (size_t i = 0; i < a->bar_count; i++) {
        assert_int_equal(a->bars[i].number, b->bars[i].number);
        assert_int_equal(a->bars[i].size, b->bars[i].size);
        assert_int_equal(a->bars[i].is_64bit, b->bars[i].is_64bit);
        assert_int_equal(a->bars[i].is_prefetchable, b->bars[i].is_prefetchable);
    }
    assert_int_equal(a->boot_vga, b->boot_vga);
    assert_int_equal(a->bus_number, b->bus_number);
    assert_int_equal(a->device_number, b->device_number);
    assert_int_equal(!a->serial, !b->serial);
    expect_text("manufacturer", a->address, a->manufacturer, b->manufacturer);
    assert_int_equal(!a->product, !b->product); /* a number in it is replaced */
    assert_int_equal(a->unknown, b->unknown);
    assert_int_equal(a->speed, b->speed);
    assert_int_equal(a->interface_count, b->interface_count);
    for (size_t i = 0; i < a->interface_count; i++) {
        assert_int_equal(a->interfaces[i].class_code, b->interfaces[i].class_code);
        expect_text("interface's driver", a->address, a->interfaces[i].driver,
                    b->interfaces[i].driver);
    }
}

static void expect_same_host(const char *root, const char *other) {
    struct host a, b;
    sample_host(&a, root);
    sample_host(&b, other);
    assert_int_equal(a.count, b.count);
    assert_int_equal(a.has_iommu, b.has_iommu);
    for (size_t i = 0; i < a.count; i++)
        expect_same(&a.devices[i], &b.devices[i]);
    host_finish(&b);
    host_finish(&a);
}

static void clean(void) {
    assert_int_equal(nftw(to, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(nftw(again, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void a_record_says_the_same(void **state) {
    (void)state;
    static const char *const hosts[] = {"nas",       "server",   "desktop",   "usb",
                                        "usb-after", "dual-tpu", "no-iommu",  "dock",
                                        "rack",      "gpus",     "single-gpu"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char *root = memory_printf("tests/hosts/%s", hosts[i]);
        record_to(root, to);
        expect_same_host(root, to);
        struct record second = record_to(to, again);
        assert_true(second.files > 0);
        assert_int_equal(second.skipped, 0);
        expect_same_host(to, again);
        clean();
        free(root);
    }
    make_host();
    record_to(from, to);
    record_to(to, again);
    expect_same_host(to, again);
}

/* A network card at an address of its own, whose interface is up. */
static void nic(const char *address, const char *name) {
    char *place = memory_printf(PCI "%s/net/%s", address, name);
    char *names[] = {memory_printf("%s/flags", place), memory_printf("sys/class/net/%s", name),
                     memory_printf("../../../%s", place)};
    pci(address, "0x1533\n");
    file(names[0], "0x1003\n");
    link_to(names[1], names[2]);
    for (size_t i = 0; i < 3; i++)
        free(names[i]);
    free(place);
}

/* Each device is in use for another reason, which only one file tells. */
static void make_many_uses(void) {
    nic("0000:01:00.0", "eth1");
    nic("0000:02:00.0", "eth2");
    file("proc/net/ipv6_route",
         "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
         "fe800000000000000000000000000001 0 0 0 00000003 eth1\n");
    file("proc/net/if_inet6", "2a000000000000000000000000000001 02 40 00 80 eth2\n");
    pci("0000:03:00.0", "0xa352\n");
    block("sdb", PCI "0000:03:00.0/block/sdb", "8:16\n");
    file("sys/fs/ext4/sdb/x", "");
    file("sys/fs/ext4/features/x", "");
    pci("0000:04:00.0", "0x1521\n");
    nic("0000:04:10.0", "eth4");
    link_to(PCI "0000:04:10.0/physfn", "../0000:04:00.0");
    file("proc/net/route", "eth4 00000000 01020304 0003 0 0 0 00000000\n");
    pci("0000:05:00.0", "0xa352\n");
    file(PCI "0000:05:00.0/block/sdc/dev", "8:32\n");
    link_to("sys/block/sdc", "../devices/pci0000:00/0000:05:00.0/block/sdc");
    pci("0000:06:00.0", "0xa352\n");
    block("sdd", PCI "0000:06:00.0/block/sdd", "8:48\n");
    block("dm-3", "sys/devices/virtual/block/dm-3", "253:3\n");
    file("sys/devices/virtual/block/dm-3/dm/name", "vg--0-swap\n");
    link_to("sys/devices/virtual/block/dm-3/slaves/sdd", "../../../../x/sdd");
    file("proc/swaps", "Filename Type\n/dev/vg-0/swap partition 1 1 1\n");
    pci("0000:07:00.0", "0xa352\n");
    file(PCI "0000:07:00.0/block/sde/size", "1\n");
    link_to("sys/class/block/sde", "../../devices/pci0000:00/0000:07:00.0/block/sde");
    link_to("sys/dev/block/8:64", "../../devices/pci0000:00/0000:07:00.0/block/sde");
    pci("0000:08:00.0", "0xa80a\n");
    link_to("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
            "/" PCI "0000:08:00.0/nvme/nvme0");
    block("nvme0n1", "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0\n");
    pci("0000:09:00.0", "0xa352\n");
    block("sdf", PCI "0000:09:00.0/block/sdf", "8:80\n");
    block("loop1", "sys/devices/virtual/block/loop1", "7:1\n");
    file("sys/devices/virtual/block/loop1/loop/backing_file", "/dev/sdf\n");
    pci("0000:0a:00.0", "0xa352\n");
    block("sdg", PCI "0000:0a:00.0/block/sdg", "8:96\n");
    file("proc/consoles", "ttyS0 -W- (EC p a) 4:64\n");
    file("proc/1/mountinfo", "1 1 8:96 / /boot rw - ext4 /dev/sdg rw\n");
    file("proc/mounts", "/dev/sdc / ext4 rw 0 0\nproc /proc proc rw 0 0\n");
    file("proc/self/mountinfo", "1 1 8:32 / / rw - ext4 /dev/sdc rw\n"
                                "2 1 8:64 / /var rw - ext4 /dev/nothing rw\n"
                                "3 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n"
                                "4 1 7:1 / /mnt rw - ext4 /dev/loop1 rw\n");
    pci("0000:0b:00.0", "0xa352\n");
    block("sdh", PCI "0000:0b:00.0/block/sdh", "8:112\n");
    file("sys/fs/btrfs/5c8f1a34-6f0e-4c7e-9f57-0a6f5a2d9b11/devices/sdh/x", "");
    file("sys/kernel/iommu_groups/3/devices/0000:01:00.0/x", "");
}

static void every_reason_is_recorded(void **state) {
    (void)state;
    static const char *const used[] = {"0000:01:00.0", "0000:02:00.0", "0000:03:00.0",
                                       "0000:04:00.0", "0000:05:00.0", "0000:06:00.0",
                                       "0000:07:00.0", "0000:08:00.0", "0000:09:00.0",
                                       "0000:0a:00.0", "0000:0b:00.0"};
    struct host host;
    make_many_uses();
    record_to(from, to);
    sample_host(&host, to);
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        if (!device_at(&host, used[i])->use)
            fail_msg("nothing uses %s", used[i]);
    assert_int_equal(device_at(&host, "0000:01:00.0")->iommu_group, 3);
    host_finish(&host);
    expect_same_host(from, to);
}

static void pci_of(const char *address, const char *class, const char *driver) {
    char *names[] = {memory_printf(PCI "%s/class", address),
                     memory_printf(PCI "%s/driver", address),
                     memory_printf("../../../bus/pci/drivers/%s", driver)};
    pci(address, strcmp(driver, "qat") == 0 ? "0x37c8\n" : "0x1533\n");
    file(names[0], class);
    link_to(names[1], names[2]);
    for (size_t i = 0; i < 3; i++)
        free(names[i]);
}

static void entry(const char *class, const char *address, const char *name) {
    char *names[] = {memory_printf(PCI "%s/%s/%s/uevent", address, class, name),
                     memory_printf("sys/class/%s/%s", class, name),
                     memory_printf("../../../" PCI "%s/%s/%s", address, class, name)};
    file(names[0], "");
    link_to(names[1], names[2]);
    for (size_t i = 0; i < 3; i++)
        free(names[i]);
}

static void disk(const char *address, const char *name, const char *number) {
    char *place = memory_printf(PCI "%s/block/%s", address, name);
    pci_of(address, "0x010601\n", "ahci");
    block(name, place, number);
    free(place);
}

static void card(const char *address, const char *name) {
    pci_of(address, "0x020000\n", "igb");
    if (name) {
        entry("net", address, name);
        char *path = memory_printf(PCI "%s/net/%s/flags", address, name);
        file(path, "0x1003\n");
        free(path);
    }
}

static void made(const char *name, const char *type, const char *lower) {
    char *names[] = {memory_printf("sys/devices/virtual/net/%s/uevent", name),
                     memory_printf("sys/class/net/%s", name),
                     memory_printf("../../devices/virtual/net/%s", name),
                     memory_printf("sys/class/net/%s/upper_%s", lower, name),
                     memory_printf("../%s", name)};
    file(names[0], type);
    link_to(names[1], names[2]);
    link_to(names[3], names[4]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        free(names[i]);
}

/* What leaves no mount, swap, holder or address, and what forbids. */
static void make_other_uses(void) {
    static const unsigned char ff[64] = {[0 ... 63] = 0xff};
    pci_of("0000:01:00.0", "0x030000\n", "amdgpu");
    entry("drm", "0000:01:00.0", "card1");
    file("proc/70/comm", "Xorg\n");
    link_to("proc/70/fd/9", "/dev/dri/card1");
    pci_of("0000:02:00.0", "0x030000\n", "nvidia");
    pci_of("0000:03:00.0", "0x030000\n", "nvidia");
    file("proc/driver/nvidia/gpus/0000:02:00.0/information",
         "Model: x\nDevice Minor: \t 0\nIRQ: 1\n");
    file("proc/driver/nvidia/gpus/0000:03:00.0/information", "Model: x\nDevice Minor: \t 1\n");
    link_to("proc/70/fd/10", "/dev/nvidia1");
    disk("0000:04:00.0", "sdb", "8:16\n");
    file("run/libvirt/qemu/win.pid", "71");
    file("proc/71/comm", "qemu-system-x86\n");
    link_to("proc/71/fd/11", "/dev/sdb");
    pci_of("0000:05:00.0", "0x030000\n", "vfio-pci");
    file(PCI "0000:05:00.0/boot_vga", "1\n");
    file("proc/fb", "");
    file("sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
    file("sys/class/vtconsole/vtcon0/bind", "1\n");
    pci_of("0000:06:00.0", "0x030000\n", "amdgpu");
    entry("graphics", "0000:06:00.0", "fb0");
    file("sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
    pci_of("0000:07:00.0", "0x0c0330\n", "xhci_hcd");
    file("proc/bus/input/devices", "N: Name=\"Secret\"\nS: Sysfs=/devices/pci0000:00/0000:07:00.0/"
                                   "x/input/input3\nB: KEY=1 fffffffffffffffe\n");
    pci_of("0000:08:00.0", "0x088000\n", "x");
    link_to(PCI "0000:08:00.0/iommu_group", "/sys/kernel/iommu_groups/8");
    file("sys/kernel/iommu_groups/8/devices/0000:08:00.0/x", "");
    file("sys/kernel/iommu_groups/8/reserved_regions", "0x1 0x2 msi\n0x3 0x4 direct\n");
    pci_of("0000:09:00.0", "0x0b4000\n", "qat");
    file("sys/module/vfio_pci/parameters/disable_denylist", "N\n");
    pci_of("0000:0a:00.0", "0x030000\n", "amdgpu");
    char *path = memory_printf("%s/" PCI "0000:0a:00.0/config", from);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fwrite(ff, 1, sizeof ff, out);
    fclose(out);
    free(path);
    card("0000:0b:00.0", "eth1");
    made("macvtap0", "DEVTYPE=macvtap\n", "eth1");
    card("0000:0c:00.0", "eth2");
    made("br0", "DEVTYPE=bridge\n", "eth2");
    file("sys/devices/virtual/net/br0/bridge/x", "");
    file("sys/class/net/vnet0/flags", "0x1003\n");
    link_to("sys/class/net/vnet0/upper_br0", "../br0");
    card("0000:0d:00.0", "eth3");
    file("proc/net/pppoe", "Id Address Device\n1 5e:c1:e7:00:00:01 eth3\n");
    card("0000:0e:00.0", "eth4");
    file("proc/net/arp", "5.12.231.1 0x1 0x2 5e:c1:e7:00:00:01 * eth4\n"
                         "5.12.231.2 0x1 0x2 5e:c1:e7:00:00:02 * eth6\n");
    card("0000:0f:00.0", "eth5");
    file("sys/class/net/eth5/ifindex", "7\n");
    file("proc/net/packet", "sk RefCnt Type Proto Iface R\n5ec1e7 3 3 8864 7 1\n");
    card("0000:10:00.0", NULL);
    link_to("proc/self/ns/net", "net:[1]");
    link_to("proc/70/ns/net", "net:[2]");
    disk("0000:11:00.0", "sdc", "8:32\n");
    file("proc/mdstat", "sbName=/boot/secret\nmdState=STARTED\ndiskName.0=\nrdevName.0=sdc\n");
    disk("0000:12:00.0", "sdd", "8:48\n");
    file(PCI "0000:12:00.0/block/sdd/bcache/x", "");
    disk("0000:13:00.0", "sde", "8:64\n");
    block("zram0", "sys/devices/virtual/block/zram0", "254:0\n");
    file("sys/devices/virtual/block/zram0/backing_dev", "/dev/sde\n");
    disk("0000:14:00.0", "sdf", "8:80\n");
    file("proc/spl/kstat/zfs/tank/state", "");
    file("etc/zfs/zpool.cache", "secret/dev/sdf");
    disk("0000:15:00.0", "sdg", "8:96\n");
    block("drbd0", "sys/devices/virtual/block/drbd0", "147:0\n");
    file("etc/drbd.d/r0.res", "resource secret {\n disk /dev/sdg;\n}\n");
    disk("0000:16:00.0", "sdh", "8:112\n");
    file("proc/self/mountinfo", "1 1 8:112 / /srv/johanna rw - vfat /dev/sdh rw\n");
    file("proc/swaps", "/srv/johanna/secret\\040file file 1 0 -2\n");
    disk("0000:17:00.0", "sdi", "8:128\n");
    file(PCI "0000:17:00.0/block/sdi/bcache/x", "");
    link_to("sys/fs/bcache/5ec1e7ff-6f0e-4c7e-9f57-0a6f5a2d9b11/cache0",
            "/" PCI "0000:17:00.0/block/sdi/bcache");
    file("proc/net/route", "Iface\n");
    file("sys/bus/usb/drivers/x", "");
    pci_of("0000:18:00.0", "0x020000\n", "igb"); /* down, so that it has no address */
    entry("net", "0000:18:00.0", "eth6");
    file(PCI "0000:18:00.0/net/eth6/operstate", "down\n");
    pci_of("0000:19:00.0", "0x030000\n", "x");
    file("sys/devices/platform/efi-framebuffer.0/x", "");
    link_to("sys/devices/platform/efi-framebuffer.0/driver",
            "/sys/bus/platform/drivers/efi-framebuffer");
    link_to("sys/bus/platform/devices/efi-framebuffer.0",
            "/sys/devices/platform/efi-framebuffer.0");
    entry("drm", "0000:19:00.0", "card2");
    file("proc/72/comm", "gnome-shell\n");
    link_to("proc/72/fd/9", "/dev/dri/card2");
    file("proc/72/cgroup", "0::/user.slice/user-1000.slice/session-2.scope/5ec1e7\n");
    link_to("etc/systemd/system/display-manager.service", "/usr/lib/systemd/system/gdm.service");
    file("proc/iomem", "5ec1e7000-5ec1e7fff : PCI Bus 0000:00\n"
                       "  5ec1e7000-5ec1e7fff : 0000:19:00.0\n"
                       "    5ec1e7000-5ec1e7fff : BOOTFB\n"
                       "5ec1e7000-5ec1e7fff : 5ec1e7\n");
    /* What a reader might want one day, and the table would have to hide. */
    file(PCI "0000:18:00.0/net/eth6/address", "5e:c1:e7:ff:ff:fe\n");
    file(PCI "0000:04:00.0/block/sdb/wwid", "naa.5ec1e7\n");
    file(PCI "0000:04:00.0/block/sdb/serial", "SECRET-4\n");
    file("sys/class/dmi/id/product_serial", "SECRET-5\n");
}

static void other_uses_are_recorded(void **state) {
    (void)state;
    static const char *const free_ones[] = {"0000:02:00.0", "0000:05:00.0", "0000:18:00.0"};
    struct host host;
    make_other_uses();
    record_to(from, to);
    sample_host(&host, to);
    for (size_t i = 0; i < host.count; i++) {
        const struct device *device = &host.devices[i];
        bool is_free = false;
        for (size_t j = 0; j < sizeof free_ones / sizeof *free_ones; j++)
            is_free |= !strcmp(device->address, free_ones[j]);
        if (is_free != (!device->use && !device->vm_use && !device->obstacle))
            fail_msg("%s: %s, %s, %s", device->address, device->use, device->vm_use,
                     device->obstacle_text);
    }
    const struct device *display = host_find(&host, BUS_PCI, "0000:19:00.0");
    assert_string_equal(display->use_hint, "stop what has it open: 'systemctl stop gdm.service'");
    assert_int_equal(display->display_settings.count, 1);
    assert_string_equal(display->display_settings.list[0].path,
                        "sys/bus/platform/devices/efi-framebuffer.0");
    host_finish(&host);
    struct device *of_swap = NULL;
    sample_host(&host, from);
    for (size_t i = 0; i < host.count; i++)
        if (!strcmp(host.devices[i].address, "0000:16:00.0"))
            of_swap = &host.devices[i];
    assert_non_null(of_swap);
    assert_string_equal(of_swap->use, "mounts /srv/johanna from it (sdh); swaps on it (sdh)");
    host_finish(&host);
    assert_int_equal(nftw(to, look_for_secrets, 16, FTW_PHYS), 0);
    record_to(to, again);
    expect_same_host(to, again);
}

/* --- what the readers read */

static int watcher;
static struct {
    char **paths; /* of the directories, by their watch's number */
    size_t count;
} watched;

static int watch_directory(const char *path, const struct stat *status, int flag,
                           struct FTW *where) {
    (void)status;
    (void)where;
    if (flag != FTW_D)
        return 0;
    int id = inotify_add_watch(watcher, path, IN_OPEN | IN_ONLYDIR);
    assert_true(id > 0);
    while (watched.count <= (size_t)id) {
        watched.paths = memory_grow(watched.paths, watched.count, sizeof *watched.paths);
        watched.paths[watched.count++] = NULL;
    }
    free(watched.paths[id]);
    watched.paths[id] = memory_strdup(path);
    return 0;
}

/* Of these a record has nothing, or less than a file where it says nothing. */
static bool stays_out(const char *path) {
    static const char *const patterns[] = {
        "*/uevent",            /* without a type of interface, or a partition of ZFS */
        "*/loop/backing_file", /* and zram's: of a file that is not a device */
        "*/backing_dev",
        "proc/cmdline", /* names the root's device, which then is /dev/dm-0 and the like */
        "proc/meminfo", /* an empty proc/swaps says the same */
        "run/udev/data/c*",
        "run/libvirt/qemu/*", /* has another name */
    };
    bool is_known = has_secret(path);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        is_known |= fnmatch(patterns[i], path, 0) == 0;
    return is_known;
}

/* Fails for a file of the host that a reader has opened and that the record does not have. */
static size_t expect_opened_files(void) {
    _Alignas(struct inotify_event) char events[65536];
    size_t files = 0;
    for (ssize_t size; (size = read(watcher, events, sizeof events)) > 0;)
        for (const char *at = events; at < events + size;) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof *event + event->len;
            assert_false(event->mask & IN_Q_OVERFLOW);
            if (!event->len || event->mask & IN_ISDIR)
                continue;
            char *path = memory_printf("%s/%s", watched.paths[event->wd], event->name);
            const char *below = path + strlen(from) + 1;
            char *recorded = memory_printf("%s/%s", to, below);
            struct stat status;
            if (lstat(recorded, &status) < 0 && !stays_out(below))
                fail_msg("%s is read, and not recorded", below);
            files++;
            free(recorded);
            free(path);
        }
    return files;
}

static void expect_what_is_read(void) {
    struct host host;
    record_to(from, to);
    watcher = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    assert_true(watcher >= 0);
    assert_int_equal(nftw(from, watch_directory, 16, FTW_PHYS), 0);
    char drained[65536];
    while (read(watcher, drained, sizeof drained) > 0)
        ; /* nftw() itself opened the directories */
    sample_host(&host, from);
    host_finish(&host);
    assert_true(expect_opened_files() > 20);
    close(watcher);
    for (size_t i = 0; i < watched.count; i++)
        free(watched.paths[i]);
    free(watched.paths);
    watched.paths = NULL;
    watched.count = 0;
    assert_int_equal(nftw(to, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(nftw(from, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void what_is_read_is_recorded(void **state) {
    (void)state;
    static const char *const hosts[] = {"nas",      "server",   "desktop", "usb",  "usb-after",
                                        "dual-tpu", "no-iommu", "dock",    "rack", "single-gpu"};
    static void (*const make[])(void) = {make_host, make_many_uses, make_other_uses};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char *copy = memory_printf("cp -a tests/hosts/%s %s.new && rm -rf %s && mv %s.new %s",
                                   hosts[i], from, from, from, from);
        assert_int_equal(system(copy), 0);
        free(copy);
        expect_what_is_read();
    }
    for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
        assert_int_equal(mkdir(from, 0755), 0);
        make[i]();
        expect_what_is_read();
    }
}

/* What could not be read is as little readable in the record. */
static void what_cannot_be_read_is_recorded(void **state) {
    (void)state;
    static const char *const paths[] = {"proc/70/fd", "proc/mdstat", "proc/70/ns",
                                        "proc/net/ipv6_route", "sys/fs/btrfs"};
    struct host host;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        disk("0000:01:00.0", "sdb", "8:16\n");
        card("0000:02:00.0", "eth1");
        file("proc/self/mountinfo", "");
        file("proc/swaps", "");
        file("proc/net/route", "");
        link_to(paths[i], strrchr(paths[i], '/') + 1);
        record_to(from, to);
        expect_same_host(from, to);
        sample_host(&host, to);
        size_t unknown = 0;
        for (size_t j = 0; j < host.count; j++)
            unknown += host.devices[j].obstacle == OBSTACLE_UNKNOWN_USE;
        assert_true(unknown > 0);
        host_finish(&host);
        assert_int_equal(nftw(to, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        assert_int_equal(nftw(from, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    }
}

static void a_kernel_without_swap_is_recorded(void **state) {
    (void)state;
    disk("0000:01:00.0", "sdb", "8:16\n");
    file("proc/self/mountinfo", "");
    file("proc/net/route", "");
    file("proc/meminfo", "SwapTotal: 0 kB\n");
    record_to(from, to);
    expect_same_host(from, to);
    struct host host;
    sample_host(&host, to);
    for (size_t i = 0; i < host.count; i++)
        assert_int_equal(host.devices[i].obstacle, OBSTACLE_NONE);
    host_finish(&host);
}

/* A tree, or a kernel, without mountinfo. */
static void only_proc_mounts(void **state) {
    (void)state;
    struct host host;
    pci("0000:03:00.0", "0xa352\n");
    block("sdb", PCI "0000:03:00.0/block/sdb", "8:16\n");
    file("proc/mounts", "/dev/sdb /secret ext4 rw 0 0\n");
    record_to(from, to);
    assert_int_equal(nftw(to, look_for_secrets, 16, FTW_PHYS), 0);
    sample_host(&host, to);
    assert_string_equal(host.devices[0].use, "mounts /name01 from it (sdb)");
    host_finish(&host);
}

/* The header type tells a bridge that has no bridge's class. */
static void the_configuration_space(void **state) {
    (void)state;
    struct host host;
    pci("0000:00:01.0", "0x1234\n");
    char *path = memory_printf("%s/" PCI "0000:00:01.0/config", from);
    FILE *out = fopen(path, "w");
    static const char bytes[64] = {[14] = 1, [63] = 1};
    assert_non_null(out);
    fwrite(bytes, 1, sizeof bytes, out);
    fclose(out);
    free(path);
    record_to(from, to);
    sample_host(&host, to);
    assert_true(host.devices[0].is_bridge);
    host_finish(&host);
}

/* --- what goes wrong */

static void refuses(const char *root, const char *target, const char *part) {
    struct record record;
    struct failure failure;
    assert_int_equal(snapshot_record(&record, root, target, &failure), -1);
    if (!strstr(failure.message, part))
        fail_msg("'%s' lacks '%s'", failure.message, part);
}

static void a_directory_that_will_not_do(void **state) {
    (void)state;
    make_host();
    refuses(from, from, "is not empty");
    refuses(from, "/dev/null", "cannot be opened: Not a directory");
    refuses(from, "/nonexistent/x/y", "cannot be created: No such file");
    refuses("/nonexistent", to, "/nonexistent");
    refuses(directory, to, "no devices to read");
    assert_int_equal(access(to, F_OK), -1);
    assert_int_equal(mkdir(to, 0755), 0);
    record_to(from, to); /* there, and empty */
}

static void a_disk_that_is_full(void **state) {
    (void)state;
    struct rlimit limit, none = {0, RLIM_INFINITY};
    make_host();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    refuses(from, to, "cannot be written: File too large");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, before);
}

/* Root may read everything. */
static void what_may_not_be_read_is_counted(void **state) {
    (void)state;
    bool is_root = geteuid() == 0;
    make_host();
    char *path = memory_printf("%s/" XHCI "/usb1/1-1/serial", from);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(directory, 0777), 0);
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    struct record record = record_to(from, to);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(record.skipped, 1);
    free(path);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(words_of_people),
        TEST(names_of_the_kernel),
        TEST(no_two_words_have_one_standin),
        TEST(the_same_serial_the_same_standin),
        TEST(no_secret_and_every_use),
        TEST(a_record_says_the_same),
        TEST(every_reason_is_recorded),
        TEST(other_uses_are_recorded),
        TEST(what_is_read_is_recorded),
        TEST(what_cannot_be_read_is_recorded),
        TEST(a_kernel_without_swap_is_recorded),
        TEST(only_proc_mounts),
        TEST(the_configuration_space),
        TEST(a_directory_that_will_not_do),
        TEST(a_disk_that_is_full),
        TEST(what_may_not_be_read_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
