/* What VMs have of a host, by every element of their XML, on a tree of files. */
#include "engine/libvirt/domain_xml.h"
#include "engine/plan/holdings.h"
#include "tests/unit/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 512 };

#define ROOT_BUS "sys/devices/pci0000:00/"
#define OTHER_UUID "c2177883-f1bb-47f0-914d-32a22e3a8805"
#define UUID "c2177883-f1bb-47f0-914d-32a22e3a8804"

static char root[64];
static struct host host;

__attribute__((format(printf, 2, 3))) static void print(char *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    assert_true(vsnprintf(buffer, PATH_SIZE, format, arguments) < PATH_SIZE);
    va_end(arguments);
}

static void make_parents(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void put(const char *path, const char *text) {
    char full[PATH_SIZE];
    print(full, "%s/%s", root, path);
    make_parents(full);
    FILE *out = fopen(full, "w");
    assert_non_null(out);
    fprintf(out, "%s\n", text);
    assert_int_equal(fclose(out), 0);
}

static void put_in(const char *directory, const char *name, const char *text) {
    char path[PATH_SIZE];
    print(path, "%s/%s", directory, name);
    put(path, text);
}

/* An absolute link is one below the root. */
static void put_link(const char *path, const char *target) {
    char full[PATH_SIZE], absolute[PATH_SIZE];
    print(full, "%s/%s", root, path);
    print(absolute, "/%s", target);
    make_parents(full);
    assert_int_equal(symlink(absolute, full), 0);
}

static void put_class(const char *class, const char *name, const char *target) {
    char path[PATH_SIZE];
    print(path, "sys/class/%s/%s", class, name);
    put_link(path, target);
}

static void put_pci(const char *address, const char *class, const char *group) {
    char directory[PATH_SIZE], link[PATH_SIZE];
    print(directory, ROOT_BUS "%s", address);
    put_in(directory, "vendor", "0x8086");
    put_in(directory, "device", "0x1234");
    put_in(directory, "class", class);
    print(link, "%s/iommu_group", directory);
    put_link(link, group);
    print(link, "sys/bus/pci/devices/%s", address);
    put_link(link, directory);
}

static void put_usb(const char *directory, const char *id, const char *number, const char *class) {
    const char *name = strrchr(directory, '/') + 1;
    char link[PATH_SIZE], vendor[PATH_SIZE], product[PATH_SIZE];
    print(vendor, "%.4s", id);
    print(product, "%.4s", id + 5);
    put_in(directory, "idVendor", vendor);
    put_in(directory, "idProduct", product);
    put_in(directory, "busnum", "1");
    put_in(directory, "devnum", number);
    put_in(directory, "bDeviceClass", class);
    print(link, "sys/bus/usb/devices/%s", name);
    put_link(link, directory);
}

static void put_block(const char *directory, const char *number) {
    char path[PATH_SIZE];
    const char *name = strrchr(directory, '/') + 1;
    put_in(directory, "dev", number);
    put_class("block", name, directory);
    print(path, "sys/dev/block/%s", number);
    put_link(path, directory);
}

#define DISK ROOT_BUS "0000:00:01.0/ata1/host2/target2:0:1/2:0:1:3/block/sda"
#define USB1 ROOT_BUS "0000:00:14.0/usb1"
#define STICK USB1 "/1-1/1-1.4"
#define NET(DEVICE, NAME) ROOT_BUS DEVICE "/net/" NAME

static void put_network(void) {
    put(NET("0000:00:03.0", "eno1") "/operstate", "up");
    put_class("net", "eno1", NET("0000:00:03.0", "eno1"));
    put(NET("0000:00:03.1", "vf1") "/operstate", "up");
    put_class("net", "vf1", NET("0000:00:03.1", "vf1"));
    put("sys/devices/virtual/net/br1/bridge/x", "");
    put_class("net", "br1", "sys/devices/virtual/net/br1");
    put_link(NET("0000:00:03.0", "eno1") "/master", "sys/devices/virtual/net/br1");
    put_link("sys/devices/virtual/net/tap0/master", "sys/devices/virtual/net/br1");
    put_class("net", "tap0", "sys/devices/virtual/net/tap0");
}

static void put_storage(void) {
    put_block(DISK, "8:0");
    put_block(DISK "/sda1", "8:1");
    put_block("sys/devices/virtual/block/dm-0", "253:0");
    put("sys/devices/virtual/block/dm-0/dm/name", "vg-win");
    put_link("sys/devices/virtual/block/dm-0/slaves/sda1", DISK "/sda1");
    put_block(ROOT_BUS "0000:00:02.0/nvme/nvme0/nvme0n1", "259:0");
    put("run/udev/data/b259:0", "S:disk/by-id/nvme-abc");
    put("etc/libvirt/storage/fast.xml",
        "<pool type='logical'><target>\n<path>/dev/vg</path></target></pool>");
    put("sys/kernel/config/target/vhost/naa.1/tpgt_1/lun/lun_0/x/udev_path", "/dev/sda");
}

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/test_holdings.XXXXXX");
    assert_non_null(mkdtemp(root));
    put_pci("0000:00:01.0", "0x010601", "sys/kernel/iommu_groups/1");
    put_pci("0000:00:02.0", "0x010802", "sys/kernel/iommu_groups/2");
    put_pci("0000:00:03.0", "0x020000", "sys/kernel/iommu_groups/3");
    put_pci("0000:00:03.1", "0x020000", "sys/kernel/iommu_groups/4");
    put_link(ROOT_BUS "0000:00:03.1/physfn", ROOT_BUS "0000:00:03.0");
    put_pci("0000:00:05.0", "0x030000", "sys/kernel/iommu_groups/5");
    put(ROOT_BUS "0000:00:05.0/" UUID "/x", "");
    put(ROOT_BUS "0000:00:05.0/drm/renderD128/dev", "226:128");
    put_class("drm", "renderD128", ROOT_BUS "0000:00:05.0/drm/renderD128");
    put_pci("0000:00:06.0", "0x0c0400", "sys/kernel/iommu_groups/7");
    put_pci("0000:00:07.0", "0x080501", "sys/kernel/iommu_groups/8");
    put_pci("0000:00:14.0", "0x0c0330", "sys/kernel/iommu_groups/6");
    put_usb(USB1 "/1-1", "05e3:0610", "2", "09");
    put_usb(STICK, "10c4:ea60", "3", "ff");
    put_usb(USB1 "/1-2", "04e6:5116", "4", "0b");
    put_class("tty", "ttyUSB0", STICK "/1-1.4:1.0/ttyUSB0/tty/ttyUSB0");
    put(STICK "/1-1.4:1.0/ttyUSB0/tty/ttyUSB0/dev", "188:0");
    put_link("sys/dev/char/188:0", STICK "/1-1.4:1.0/ttyUSB0/tty/ttyUSB0");
    put("run/udev/data/c188:0", "S:serial/by-id/usb-stick");
    put(STICK "/1-1.4:1.1/input/input3/event3/dev", "13:67");
    put_class("input", "event3", STICK "/1-1.4:1.1/input/input3/event3");
    put_network();
    put_storage();
    put("proc/self/mountinfo", "");
    sample_host(&host, root);
    return 0;
}

static int tear_down(void **state) {
    char command[128];
    (void)state;
    host_finish(&host);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void parse(struct domain *domain, const char *devices) {
    char xml[2048];
    struct failure failure;
    snprintf(xml, sizeof xml, "<domain id='3'><name>ha</name><devices>%s</devices></domain>",
             devices);
    if (domain_xml_parse(domain, xml, strlen(xml), &failure) != 0)
        fail_msg("%s", failure.message);
}

static const struct device *device_at(const char *address) {
    const struct device *device =
        host_find(&host, strchr(address, ':') ? BUS_PCI : BUS_USB, address);
    assert_non_null(device);
    return device;
}

/* Of a list of VMs, as the judge has them. */
static void find_holdings(struct holdings *holdings, const struct domain *vms, size_t count) {
    *holdings = (struct holdings){0};
    for (size_t i = 0; i < count; i++)
        holdings_add(holdings, &host, &vms[i]);
    holdings_sort(holdings);
}

static bool is_of_another(const struct held_device *held, const void *vm) {
    return held->vm != vm;
}

/* What the VM has of each device: "ADDRESS text; ..." */
static void assert_has(const char *devices, const char *expected) {
    struct holdings holdings;
    struct domain domain;
    char text[2048] = "";
    parse(&domain, devices);
    find_holdings(&holdings, &domain, 1);
    for (size_t i = 0; i < host.count; i++) {
        const struct held_device *held = holdings_find(&holdings, &host.devices[i], NULL, NULL);
        size_t length = strlen(text);
        if (held)
            snprintf(text + length, sizeof text - length, "%s%s %s", length ? "; " : "",
                     host.devices[i].address, held->text);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("\n  %s\n  '%s' instead of\n  '%s'", devices, text, expected);
    holdings_finish(&holdings);
    domain_finish(&domain);
}

static void what_a_vm_was_given(void **state) {
    (void)state;
    assert_has("<hostdev type='pci'><source><address slot='2'/></source></hostdev>",
               "0000:00:02.0 has it");
    assert_has("<hostdev type='usb'><source><vendor id='0x10c4'/><product id='0xea60'/>"
               "<address bus='1' device='3'/></source></hostdev>",
               "0000:00:14.0 has 1-1.4 behind it; 1-1 has 1-1.4 behind it; 1-1.4 has it");
    assert_has("<hostdev type='usb'><source><vendor id='0x10c4'/><product id='0xea60'/></source>"
               "</hostdev>",
               "0000:00:14.0 has 1-1.4 behind it; 1-1 has 1-1.4 behind it; 1-1.4 has it");
    assert_has("<interface type='hostdev'><source><address type='pci' slot='3' function='1'/>"
               "</source></interface>",
               "0000:00:03.0 has its virtual function 0000:00:03.1; 0000:00:03.1 has it as "
               "interface");
    assert_has("<hostdev type='mdev'><source><address uuid='" UUID "'/></source></hostdev>",
               "0000:00:05.0 uses its mediated device " UUID " (hostdev)");
    put_link("sys/bus/mdev/devices/" OTHER_UUID, ROOT_BUS "0000:00:05.0/" OTHER_UUID);
    assert_has("<hostdev type='mdev'><source><address uuid='" OTHER_UUID "'/></source></hostdev>",
               "0000:00:05.0 uses its mediated device " OTHER_UUID " (hostdev)");
    assert_has("<hostdev type='scsi'><source><adapter name='scsi_host2'/><address bus='0' "
               "target='1' unit='3'/></source></hostdev>",
               "0000:00:01.0 uses 2:0:1:3 on it (hostdev)");
    assert_has("<hostdev type='scsi'><source><adapter name='scsi_host2'/><address bus='0' "
               "target='9' unit='0'/></source></hostdev>",
               "0000:00:01.0 uses 2:0:9:0 on it (hostdev)"); /* no disk of its own: the adapter */
    assert_has("<hostdev type='scsi'><source><adapter name='scsi_host3'/><address bus='0' "
               "target='1' unit='3'/></source></hostdev>",
               "");
    assert_has("<hostdev type='scsi_host'><source protocol='vhost' wwpn='naa.1'/></hostdev>",
               "0000:00:01.0 uses naa.1 on it (hostdev)");
}

static void its_disks(void **state) {
    (void)state;
    assert_has("<disk type='block'><source dev='/dev/sda1'/><target dev='vda'/></disk>",
               "0000:00:01.0 uses /dev/sda1 on it (disk vda)");
    assert_has("<disk type='block'><source dev='/dev/mapper/vg-win'/></disk>",
               "0000:00:01.0 uses /dev/mapper/vg-win on it (disk)");
    assert_has("<disk type='block'><source dev='/dev/vg/win'/></disk>",
               "0000:00:01.0 uses /dev/vg/win on it (disk)");
    assert_has("<disk type='file'><source file='/a'/><backingStore type='block'>"
               "<source dev='/dev/nvme0n1'/></backingStore></disk>",
               "0000:00:02.0 uses /dev/nvme0n1 on it (disk)");
    assert_has("<disk type='block'><source dev='/dev/disk/by-id/nvme-abc'/></disk>",
               "0000:00:02.0 uses /dev/disk/by-id/nvme-abc on it (disk)");
    assert_has("<disk type='nvme'><source type='pci'><address slot='2'/></source>"
               "<target dev='vdb'/></disk>",
               "0000:00:02.0 uses it (disk vdb)");
    assert_has("<disk type='volume'><source pool='fast' volume='win'/></disk>",
               "0000:00:01.0 uses fast/win on it (disk)");
    assert_has("<disk type='file'><source file='/sda'/></disk>", "");
    assert_has("<disk type='block'><source dev='/dev/sdz'/></disk>", ""); /* it is gone */
}

static void a_link_below_the_root(void **state) {
    (void)state;
    put_link("dev/disk/by-path/x", "dev/sda");
    assert_has("<disk type='block'><source dev='/dev/disk/by-path/x'/></disk>",
               "0000:00:01.0 uses /dev/disk/by-path/x on it (disk)");
    /* With a /dev, a link that is not there leads nowhere. */
    assert_has("<disk type='block'><source dev='/dev/disk/by-path/gone'/></disk>", "");
}

/* Without a /dev it may be any disk: SATA, NVMe, Fibre Channel, SD. */
static void a_disk_of_which_nothing_tells_where_it_is(void **state) {
#define MAY_HAVE_IT(ADDRESS)                                                                       \
    ADDRESS " uses /dev/disk/by-path/x (disk vda), and it is unknown what that is on"
    (void)state;
    assert_has("<disk type='block'><source dev='/dev/disk/by-path/x'/><target dev='vda'/></disk>",
               MAY_HAVE_IT("0000:00:01.0") "; " MAY_HAVE_IT("0000:00:02.0") "; " MAY_HAVE_IT(
                   "0000:00:06.0") "; " MAY_HAVE_IT("0000:00:07.0"));
    assert_has("<serial type='dev'><source path='/dev/serial/by-path/x'/></serial>",
               "0000:00:14.0 uses /dev/serial/by-path/x (serial), and it is unknown what that is "
               "on; 1-1 uses /dev/serial/by-path/x (serial), and it is unknown what that is on; "
               "1-1.4 uses /dev/serial/by-path/x (serial), and it is unknown what that is on; "
               "1-2 uses /dev/serial/by-path/x (serial), and it is unknown what that is on");
    /* The class is there, so the node is gone. */
    assert_has("<serial type='dev'><source path='/dev/ttyUSB7'/></serial>", "");
    assert_has("<serial type='dev'><source path='/dev/ttyS0'/></serial>", "");
}

static void its_networks(void **state) {
    (void)state;
    assert_has("<interface type='direct'><source dev='eno1'/><target dev='macvtap0'/></interface>",
               "0000:00:03.0 uses eno1 on it (interface macvtap0)");
    assert_has("<interface type='bridge'><source bridge='br1'/></interface>",
               "0000:00:03.0 uses br1 on it (interface)");
    assert_has("<interface type='ethernet'><target dev='tap0'/></interface>",
               "0000:00:03.0 uses tap0 on it (interface tap0)");
    assert_has("<interface type='direct'><source dev='vf1'/></interface>",
               "0000:00:03.0 uses vf1 on it (interface); 0000:00:03.1 uses vf1 on it (interface)");
    assert_has("<interface type='network'><source network='default'/></interface>", "");
}

static void its_other_elements(void **state) {
    static const char on[] = "0000:00:14.0 uses %1$s on it (%2$s); 1-1 uses %1$s on it (%2$s); "
                             "1-1.4 uses %1$s on it (%2$s)";
    char expected[512];
    (void)state;
    snprintf(expected, sizeof expected, on, "/dev/ttyUSB0", "serial");
    assert_has("<serial type='dev'><source path='/dev/ttyUSB0'/></serial>", expected);
    snprintf(expected, sizeof expected, on, "/dev/serial/by-id/usb-stick", "console");
    assert_has("<console type='dev'><source path='/dev/serial/by-id/usb-stick'/></console>",
               expected);
    assert_has(
        "<input type='passthrough'><source evdev='/dev/input/event3'/></input>",
        "0000:00:14.0 uses /dev/input/event3 on it (input); 1-1 uses /dev/input/event3 on it "
        "(input); 1-1.4 has it as input");
    snprintf(expected, sizeof expected, on, "/dev/bus/usb/001/003", "redir");
    assert_has("<redir><source path='/dev/bus/usb/001/003'/></redir>", expected);
    assert_has("<graphics><gl rendernode='/dev/dri/renderD128'/></graphics>",
               "0000:00:05.0 uses /dev/dri/renderD128 on it (graphics)");
    assert_has("<tpm><backend type='passthrough'><device path='/dev/vfio/3'/></backend></tpm>",
               "0000:00:03.0 uses /dev/vfio/3 on it (tpm)");
    assert_has("<smartcard mode='host'/>",
               "0000:00:14.0 reads smart cards of the host (smartcard); "
               "1-2 reads smart cards of the host (smartcard)");
    assert_has("<rng><backend model='random'>/dev/urandom</backend></rng>"
               "<serial type='pty'><source path='/dev/pts/3'/></serial>",
               "");
}

static void what_qemu_was_told(void **state) {
    struct holdings holdings;
    struct domain domain;
    struct failure failure;
    static const char xml[] =
        "<domain xmlns:qemu='q'><name>x</name><qemu:commandline>"
        "<qemu:arg value='vfio-pci,host=00:02.0'/><qemu:arg value='usb-host,hostbus=1,hostaddr=4'/>"
        "<qemu:arg value='vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:00:03.0'/>"
        "</qemu:commandline></domain>";
    (void)state;
    assert_int_equal(domain_xml_parse(&domain, xml, strlen(xml), &failure), 0);
    find_holdings(&holdings, &domain, 1);
    assert_non_null(holdings_find(&holdings, device_at("0000:00:02.0"), NULL, NULL));
    assert_non_null(holdings_find(&holdings, device_at("0000:00:03.0"), NULL, NULL));
    assert_non_null(holdings_find(&holdings, device_at("1-2"), NULL, NULL));
    assert_null(holdings_find(&holdings, device_at("1-1.4"), NULL, NULL));
    assert_null(holdings_find(&holdings, device_at("1-2"), is_of_another, &domain));
    holdings_finish(&holdings);
    domain_finish(&domain);
}

/* Who has the device itself is named before who has what is behind it. */
static void the_strongest_first(void **state) {
    struct holdings holdings;
    struct domain vms[2];
    (void)state;
    parse(&vms[0], "<disk type='block'><source dev='/dev/nvme0n1'/></disk>");
    parse(&vms[1], "<hostdev type='pci'><source><address slot='2'/></source></hostdev>");
    find_holdings(&holdings, vms, 2);
    const struct held_device *held =
        holdings_find(&holdings, device_at("0000:00:02.0"), NULL, NULL);
    assert_non_null(held);
    assert_true(held->is_itself && held->vm == &vms[1]);
    held = holdings_find(&holdings, device_at("0000:00:02.0"), is_of_another, &vms[1]);
    assert_non_null(held);
    assert_true(held->vm == &vms[0]);
    holdings_finish(&holdings);
    vms[1].is_off = true;
    find_holdings(&holdings, &vms[1], 1);
    assert_null(holdings_find(&holdings, device_at("0000:00:02.0"), NULL, NULL));
    holdings_finish(&holdings);
    domain_finish(&vms[0]);
    domain_finish(&vms[1]);
}

static void what_is_behind_what(void **state) {
    (void)state;
    assert_true(holdings_is_behind(&host, device_at("1-1.4"), device_at("0000:00:14.0")));
    assert_true(holdings_is_behind(&host, device_at("1-1.4"), device_at("1-1")));
    assert_true(holdings_is_behind(&host, device_at("0000:00:03.1"), device_at("0000:00:03.0")));
    assert_false(holdings_is_behind(&host, device_at("1-2"), device_at("1-1")));
    assert_false(holdings_is_behind(&host, device_at("1-2"), device_at("1-2")));
    assert_false(holdings_is_behind(&host, device_at("0000:00:14.0"), device_at("1-2")));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_a_vm_was_given),   TEST(its_disks),
        TEST(a_link_below_the_root), TEST(a_disk_of_which_nothing_tells_where_it_is),
        TEST(its_networks),          TEST(its_other_elements),
        TEST(what_qemu_was_told),    TEST(the_strongest_first),
        TEST(what_is_behind_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
