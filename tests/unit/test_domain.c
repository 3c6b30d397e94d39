#include "engine/backend/backend.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/model/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct failure failure;

/* What libvirt 9 prints of a running VM, shortened. */
static const char live[] =
    "<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>4f0b1d1e-0000-4000-8000-00000000cafe</name>\n"
    "  <uuid>4F0B1D1E-0000-4000-8000-00000000CAFE</uuid>\n"
    "  <title>Home Assistant</title>\n"
    "  <metadata>\n"
    "    <name>not this</name>\n"
    "    <app:x xmlns:app='urn:app'><title>nor this</title></app:x>\n"
    "  </metadata>\n"
    "  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
    "  <devices>\n"
    "    <disk type='file' device='disk'><title>nor that</title>\n"
    "      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></disk>\n"
    "    <controller type='usb' index='0' model='qemu-xhci'>\n"
    "      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>\n"
    "    </controller>\n"
    "    <controller type='pci' index='0' model='pcie-root'/>\n"
    "    <controller type='pci' index='1' model='pcie-root-port'>\n"
    "      <target chassis='1' port='0x10'/>\n"
    "      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>\n"
    "    </controller>\n"
    "    <controller type='pci' index='2' model='pcie-root-port'/>\n"
    "    <controller type='pci' index='3' model='pcie-root-port'/>\n"
    "    <controller type='pci' index='4' model='pcie-root-port'><target hotplug='off'/>"
    "</controller>\n"
    "    <controller type='pci' index='5' model='pcie-switch-downstream-port'/>\n"
    "    <controller type='pci' index='6' model='pcie-root-port'/>\n"
    "    <interface type='hostdev' managed='yes'>\n"
    "      <source><address type='pci' domain='0x0000' bus='0x08' slot='0x10' function='0x2'/>"
    "</source>\n"
    "      <alias name='hostdev1'/>\n"
    "    </interface>\n"
    "    <hostdev mode='subsystem' type='pci' managed='yes'>\n"
    "      <driver name='vfio'/>\n"
    "      <source><address domain='0x0000' bus='0x0a' slot='0x1f' function='0x7'/></source>\n"
    "      <alias name='hostdev0'/>\n"
    "      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n"
    "    </hostdev>\n"
    "    <hostdev mode='subsystem' type='usb'>\n"
    "      <source><vendor id='0x1a6e'/><product id='0x089a'/><address bus='1' device='4'/>"
    "</source>\n"
    "      <address type='usb' bus='0' port='1'/>\n"
    "    </hostdev>\n"
    "    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>\n"
    "      <source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source>\n"
    "      <address type='pci' domain='0x0000' bus='6' slot='0x00' function='0x0'/>\n"
    "    </hostdev>\n"
    "    <hostdev mode='capabilities' type='misc'><source><char>/dev/x</char></source></hostdev>\n"
    "  </devices>\n"
    "  <qemu:commandline><qemu:arg value='-s'/></qemu:commandline>\n"
    "</domain>\n";

static void parse(struct domain *domain, const char *xml) {
    failure.message[0] = '\0';
    if (domain_xml_parse(domain, xml, strlen(xml), &failure) != 0)
        fail_msg("%s", failure.message);
}

static void assert_refused(const char *xml, size_t size, const char *reason) {
    struct domain domain;

    failure.message[0] = '\0';
    assert_int_equal(domain_xml_parse(&domain, xml, size, &failure), -1);
    if (!strstr(failure.message, reason))
        fail_msg("'%s' says nothing of '%s'", failure.message, reason);
    assert_null(strchr(failure.message, '\n'));
    assert_null(domain.name);
}

static void reads_a_live_domain(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, live);
    assert_string_equal(domain.name, "4f0b1d1e-0000-4000-8000-00000000cafe");
    assert_string_equal(domain.title, "Home Assistant");
    assert_string_equal(domain.uuid, "4f0b1d1e-0000-4000-8000-00000000cafe");
    assert_string_equal(domain.machine, "pc-q35-7.2");
    assert_int_equal(domain.id, 7);
    assert_true(domain.guest.has_pcie_root);
    assert_false(domain.guest.has_pci_root);
    assert_true(domain.guest.has_usb);
    domain_finish(&domain);
    assert_null(domain.name);
}

/* --- what is ours of a definition */

#define FUNCTION(bus, alias)                                                                       \
    "<hostdev mode='subsystem' type='pci'><source><address bus='0x" bus "' slot='0'/></source>"    \
    "<alias name='" alias "'/><boot order='" bus "'/>"                                             \
    "<address type='pci' bus='0x" bus "' slot='0'/></hostdev>"

static const char defined[] =
    "<domain><name>x</name><metadata><own:a xmlns:own='urn:own'><own:defined/></own:a>"
    "<vr:defined xmlns:vr='urn:virt-rules:defined:1'>"
    "<vr:controller index='3'/><vr:controller index='0'/><vr:controller index='x'/>"
    "<vr:hostdev as='vfio' address='0000:01:00.0' form='f' alias='ua-1'/>"
    "<vr:hostdev as='vfio' address='0000:02:00.0' alias='ua-2'/>"
    "<vr:hostdev as='net' address='0000:04:00.0'/>"
    "<vr:hostdev as='usb' address='1/7'/>"
    "<vr:hostdev as='nothing' address='0000:05:00.0'/><vr:hostdev as='vfio'/>"
    "<vr:other as='vfio' address='0000:05:00.0'/><vr:a><vr:controller index='1'/></vr:a>"
    "</vr:defined></metadata><os><boot dev='hd'/></os><devices>"
    "<controller type='pci' index='0' model='pcie-root'/>"
    "<controller type='pci' index='1' model='pcie-root-port'/>"
    "<controller type='pci' index='3' model='pcie-root-port'/>" FUNCTION("01", "ua-1")
        FUNCTION("02", "ua-other")
            FUNCTION("05", "") "<interface type='hostdev'><mac "
                               "address='52:54:00:00:00:01'/><source><address type='pci' "
                               "bus='4' slot='0'/></source></interface>"
                               "<hostdev mode='subsystem' type='usb'><source><address bus='1' "
                               "device='7'/></source></hostdev>"
                               "<disk type='block' device='disk'><source dev='/dev/sda'/><target "
                               "dev='vda' bus='virtio'/>"
                               "<boot order='9'/></disk></devices></domain>";

static void reads_what_is_ours(void **state) {
    struct domain domain;
    (void)state;
    parse(&domain, defined);
    assert_int_equal(domain.mark_count, 6);
    assert_int_equal(domain.hostdev_count, 6);
    assert_string_equal(domain.hostdevs[0].mark->form, "f");
    assert_null(domain.hostdevs[1].mark); /* somebody else's, of the same device */
    assert_null(domain.hostdevs[2].mark);
    assert_int_equal(domain.hostdevs[3].mark->backend, BACKEND_NET);
    assert_int_equal(domain.hostdevs[4].mark->backend, BACKEND_USB);
    assert_null(domain.hostdevs[5].mark); /* a disk */
    assert_int_equal(domain.controller_count, 3);
    assert_null(domain.controllers[0].mark); /* not a root port */
    assert_null(domain.controllers[1].mark);
    assert_int_equal(domain.controllers[2].mark->index, 3);
    assert_true(domain.has_os_boot);
    assert_int_equal(domain.boot_count, 4);
    assert_int_equal(domain.boots[3].order, 9);
    assert_string_equal(domain.boots[3].element, "disk vda");
    domain_finish(&domain);
}

static void a_namespace_of_others_is_not_ours(void **state) {
    struct domain domain;
    (void)state;
    parse(&domain, "<domain><name>x</name><metadata><vr:defined xmlns:vr='urn:other'>"
                   "<vr:controller index='3'/></vr:defined></metadata></domain>");
    assert_int_equal(domain.mark_count, 0);
    domain_finish(&domain);
    parse(&domain, "<domain><name>x</name><metadata><defined xmlns='urn:virt-rules:defined:1'>"
                   "<controller index='3'/></defined></metadata></domain>");
    assert_int_equal(domain.mark_count, 1);
    domain_finish(&domain);
    parse(&domain, "<domain><name>x</name><devices><vr:defined "
                   "xmlns:vr='urn:virt-rules:defined:1'><vr:controller index='3'/></vr:defined>"
                   "</devices></domain>");
    assert_int_equal(domain.mark_count, 0);
    domain_finish(&domain);
}

static void leaves_out_what_is_ours(void **state) {
    struct domain domain, left;
    bool kept[] = {false, false, false, true, false, false};
    (void)state;
    parse(&domain, defined);
    domain_without_marked(&left, &domain, NULL);
    assert_int_equal(left.hostdev_count, 3);
    assert_string_equal(left.hostdevs[0].address, "0000:02:00.0");
    assert_int_equal(left.boot_count, 3);
    for (size_t i = 0; i < left.boot_count; i++)
        assert_int_not_equal(left.boots[i].order, 1);
    assert_int_equal(left.guest.buses[1].used, 0);
    assert_int_equal(left.guest.buses[2].used, 1);
    assert_null(guest_find_card(&left.guest, "52:54:00:00:00:01"));
    assert_int_equal(left.use_count, 1);
    assert_int_equal(left.uses[0].hostdev, 3);
    domain_finish_without(&left);
    domain_without_marked(&left, &domain, kept);
    assert_int_equal(left.hostdev_count, 4);
    assert_int_equal(left.hostdevs[2].mark->backend, BACKEND_NET);
    assert_non_null(guest_find_card(&left.guest, "52:54:00:00:00:01"));
    domain_finish_without(&left);
    assert_int_equal(domain.hostdev_count, 6);
    domain_finish(&domain);
}

static void writes_what_is_ours(void **state) {
    struct definition_mark marks[] = {
        {.kind = DEFINITION_MARK_CONTROLLER, .index = 7},
        {.backend = BACKEND_USB, .address = "1/7"},
    };
    (void)state;
    assert_null(definition_mark_xml(marks, 0));
    definition_mark_set_form(&marks[1], "<hostdev/>");
    definition_mark_set_alias(&marks[1]);
    char *xml = definition_mark_xml(marks, 2);
    assert_string_equal(xml, "<defined><controller index=\"7\"/><hostdev as=\"usb\" "
                             "address=\"1/7\" form=\"a82d3eac5dcd0961\" "
                             "alias=\"ua-virt-rules-defined-usb-1-7\"/></defined>");
    free(xml);
}

static unsigned count_places(const struct guest *guest, enum pci_kind kind) {
    struct guest left = *guest;
    struct guest_place place;
    unsigned count = 0;

    while (count < 1000 && guest_take_pci(&left, kind, &place))
        count++;
    return count;
}

static void counts_root_ports(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, live);
    /* 1, 2, 3, 6 are taken (a hostdev, USB, a disk, an mdev), 4 has no hot-plug, 5 is free. */
    assert_int_equal(domain.guest.root_ports, 6);
    assert_int_equal(domain.guest.fixed_ports, 1);
    assert_int_equal(count_places(&domain.guest, PCI_EXPRESS), 1);
    domain_finish(&domain);
}

static void reads_hostdevs(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, live);
    assert_int_equal(domain.hostdev_count, 4);
    assert_int_equal(domain.hostdevs[0].bus, BUS_PCI);
    assert_string_equal(domain.hostdevs[0].address, "0000:08:10.2");
    assert_string_equal(domain.hostdevs[0].alias, "hostdev1");
    assert_string_equal(domain.hostdevs[1].address, "0000:0a:1f.7");
    assert_string_equal(domain.hostdevs[1].alias, "hostdev0");
    assert_int_equal(domain.hostdevs[2].bus, BUS_USB);
    assert_string_equal(domain.hostdevs[2].address, "");
    assert_int_equal(domain.hostdevs[2].id.vendor, 0x1a6e);
    assert_int_equal(domain.hostdevs[2].id.device, 0x089a);
    assert_int_equal(domain.hostdevs[2].bus_number, 1);
    assert_int_equal(domain.hostdevs[2].device_number, 4);
    assert_string_equal(domain.hostdevs[2].alias, "");
    assert_int_equal(domain.hostdevs[3].backend, BACKEND_MDEV);
    assert_string_equal(domain.hostdevs[3].uuid, "c2177883-f1bb-47f0-914d-32a22e3a8804");
    assert_true(domain_has_mdev(&domain, "c2177883-f1bb-47f0-914d-32a22e3a8804"));
    assert_false(domain_has_mdev(&domain, "c2177883-f1bb-47f0-914d-32a22e3a8805"));
    domain_finish(&domain);
}

#define DEVICES(text) "<domain><name>x</name><devices>" text "</devices></domain>"

static void reads_numbers_as_libvirt_does(void **state) {
    struct domain domain;

    (void)state;
    parse(
        &domain,
        DEVICES("<hostdev type='pci'><source><address domain='65536' bus='010' slot='3'/></source>"
                "</hostdev><hostdev mode='subsystem' type='usb'><source><address bus='0x1' "
                "device='012'/></source></hostdev>"));
    assert_int_equal(domain.hostdev_count, 2);
    assert_string_equal(domain.hostdevs[0].address, "10000:08:03.0");
    assert_int_equal(domain.hostdevs[1].bus_number, 1);
    assert_int_equal(domain.hostdevs[1].device_number, 10);
    assert_int_equal(domain.hostdevs[1].id.vendor, 0);
    domain_finish(&domain);
    parse(&domain,
          DEVICES("<hostdev type='pci'><source><address domain='0x10001' bus='0xe1'/></source>"
                  "</hostdev><interface type='hostdev'><source><address type='pci' "
                  "domain='0xffffffff' bus='0xff' slot='0x1f' function='0x7'/></source>"
                  "</interface>"));
    assert_int_equal(domain.hostdev_count, 2);
    assert_string_equal(domain.hostdevs[0].address, "10001:e1:00.0");
    assert_string_equal(domain.hostdevs[1].address, "ffffffff:ff:1f.7");
    domain_finish(&domain);
}

static void skips_hostdevs_without_a_device(void **state) {
    static const char *const broken[] = {
        DEVICES("<hostdev mode='subsystem' type='pci'/>"),
        DEVICES("<hostdev type='pci'><source><address bus='0x100'/></source></hostdev>"),
        DEVICES("<hostdev type='pci'><source><address slot='32'/></source></hostdev>"),
        DEVICES("<hostdev type='pci'><source><address function='8'/></source></hostdev>"),
        DEVICES("<hostdev type='pci'><source><address bus='-1'/></source></hostdev>"),
        DEVICES("<hostdev type='pci'><source><address bus='1x'/></source></hostdev>"),
        DEVICES("<hostdev type='pci'><source><address bus=''/></source></hostdev>"),
        DEVICES("<hostdev type='usb'><source><vendor id='99999'/></source></hostdev>"),
        DEVICES("<interface type='network'><source><address type='pci'/></source></interface>"),
        DEVICES("<interface type='network'><actual type='bridge'><source><address type='pci'/>"
                "</source></actual></interface>"),
        DEVICES("<x:hostdev xmlns:x='urn:x' type='pci'><source><address/></source></x:hostdev>"),
        DEVICES("<hostdev type='pci' xmlns='urn:x'><source><address/></source></hostdev>"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct domain domain;

        parse(&domain, broken[i]);
        assert_int_equal(domain.hostdev_count, 0);
        domain_finish(&domain);
    }
}

static void counts_pci_slots(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, DEVICES("<controller type='pci' index='0' model='pci-root'/>"
                           "<controller type='pci' index='1' model='pci-bridge'>"
                           "<address type='pci' bus='0' slot='5'/></controller>"
                           "<controller type='usb' model='none'/>"
                           "<disk><address type='pci' bus='0' slot='1' function='1'/></disk>"
                           "<disk><address type='pci' bus='0' slot='1' function='2'/></disk>"
                           "<disk><address type='pci' bus='1' slot='31'/></disk>"
                           "<disk><address type='drive' bus='1' slot='7'/></disk>"
                           "<memballoon><address type='pci' bus='0' slot='6'/></memballoon>"));
    assert_true(domain.guest.has_pci_root);
    assert_false(domain.guest.has_pcie_root);
    assert_false(domain.guest.has_usb);
    assert_int_equal(count_places(&domain.guest, PCI_EXPRESS), 31 - 3 + 31 - 1);
    assert_int_equal(domain.guest.root_ports, 0);
    domain_finish(&domain);
}

static void knows_nothing_of_a_bare_definition(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, "<domain type='kvm'><name>vm</name></domain>");
    assert_null(domain.title);
    assert_null(domain.uuid);
    assert_null(domain.machine);
    assert_int_equal(domain.id, -1);
    assert_false(domain.guest.has_pcie_root || domain.guest.has_pci_root || domain.guest.has_usb);
    assert_int_equal(count_places(&domain.guest, PCI_EXPRESS), 1000); /* unknown */
    domain_finish(&domain);
}

static void assert_use(const struct domain *domain, size_t i, enum domain_use_kind kind,
                       const char *name, const char *element) {
    assert_true(i < domain->use_count);
    assert_int_equal(domain->uses[i].kind, kind);
    assert_string_equal(domain->uses[i].name, name);
    assert_string_equal(domain->uses[i].element, element);
}

static void reads_what_else_it_uses(void **state) {
    static const struct {
        const char *xml;
        enum domain_use_kind kind;
        const char *name, *element;
    } cases[] = {
        {"<disk type='block'><source dev='/dev/sda'/><target dev='vda' bus='virtio'/></disk>",
         DOMAIN_USE_PATH, "/dev/sda", "disk vda"},
        {"<disk type='nvme'><source type='pci'><address domain='0' bus='2' slot='0'/></source>"
         "</disk>",
         DOMAIN_USE_PCI, "0000:02:00.0", "disk"},
        {"<disk type='nvme'><source type='pci'><address domain='0x10001' bus='2' slot='0'/>"
         "</source></disk>",
         DOMAIN_USE_PCI, "10001:02:00.0", "disk"},
        {"<disk type='file'><source file='/a'/><backingStore type='file'><source file='/b'/>"
         "<backingStore type='block'><source dev='/dev/vg/base'/></backingStore></backingStore>"
         "</disk>",
         DOMAIN_USE_PATH, "/dev/vg/base", "disk"},
        {"<disk type='file'><mirror type='nvme'><source><address bus='3' slot='1' function='1'/>"
         "</source></mirror><target dev='sda'/></disk>",
         DOMAIN_USE_PCI, "0000:03:01.1", "disk sda"},
        {"<disk type='volume'><source pool='p' volume='v'/></disk>", DOMAIN_USE_VOLUME, "p/v",
         "disk"},
        {"<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host2'/>"
         "<address bus='0' target='1' unit='3'/></source></hostdev>",
         DOMAIN_USE_SCSI, "2:0:1:3", "hostdev"},
        {"<hostdev mode='subsystem' type='scsi_host'><source protocol='vhost' "
         "wwpn='naa.5123456789abcde0'/></hostdev>",
         DOMAIN_USE_VHOST, "naa.5123456789abcde0", "hostdev"},
        {"<hostdev mode='subsystem' type='mdev'><source><address uuid='c2177883'/></source>"
         "</hostdev>",
         DOMAIN_USE_MDEV, "c2177883", "hostdev"},
        {"<hostdev mode='capabilities' type='storage'><source><block>\n /dev/sdb </block></source>"
         "</hostdev>",
         DOMAIN_USE_PATH, "/dev/sdb", "hostdev"},
        {"<interface type='direct'><source dev='eno3' mode='bridge'/></interface>",
         DOMAIN_USE_INTERFACE, "eno3", "interface"},
        {"<interface type='network'><source network='n' bridge='virbr0'/></interface>",
         DOMAIN_USE_INTERFACE, "virbr0", "interface"},
        {"<interface type='network'><actual type='direct'><source dev='eno4'/></actual>"
         "</interface>",
         DOMAIN_USE_INTERFACE, "eno4", "interface"},
        {"<interface type='ethernet'><target dev='tap0'/></interface>", DOMAIN_USE_TAP, "tap0",
         "interface tap0"},
        {"<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>", DOMAIN_USE_PATH,
         "/dev/vhost-vdpa-0", "interface"},
        {"<input type='evdev'><source dev='/dev/input/event3'/></input>", DOMAIN_USE_PATH,
         "/dev/input/event3", "input"},
        {"<input type='passthrough'><source evdev='/dev/input/event3'/></input>", DOMAIN_USE_PATH,
         "/dev/input/event3", "input"},
        {"<serial type='dev'><source path='/dev/ttyUSB0'/><target port='0'/></serial>",
         DOMAIN_USE_PATH, "/dev/ttyUSB0", "serial"},
        {"<rng><backend model='random'>/dev/hwrng</backend></rng>", DOMAIN_USE_PATH, "/dev/hwrng",
         "rng"},
        {"<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
         DOMAIN_USE_PATH, "/dev/tpm0", "tpm"},
        {"<smartcard mode='host'/>", DOMAIN_USE_CARDS, "", "smartcard"},
        {"<graphics type='spice'><gl rendernode='/dev/dri/renderD128'/></graphics>",
         DOMAIN_USE_PATH, "/dev/dri/renderD128", "graphics"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct domain domain;
        char xml[1024];

        snprintf(xml, sizeof xml, DEVICES("%s"), cases[i].xml);
        parse(&domain, xml);
        if (domain.use_count != 1)
            fail_msg("%zu uses in %s", domain.use_count, cases[i].xml);
        assert_use(&domain, 0, cases[i].kind, cases[i].name, cases[i].element);
        assert_int_equal(domain.hostdev_count, domain.uses[0].hostdev);
        domain_finish(&domain);
    }
}

/* What libvirt can detach: no disk on another bus, no drive for media, no file. */
static void reads_disks_and_scsi_devices_of_the_host(void **state) {
    static const struct {
        const char *xml, *path, *address, *target;
    } cases[] = {
        {"<disk type='block' device='disk'><driver name='qemu' type='raw'/><source "
         "dev='/dev/disk/by-id/x' index='2'/><backingStore/><target dev='vdb' "
         "bus='virtio'/></disk>",
         "/dev/disk/by-id/x", "", "vdb"},
        {"<disk type='block' device='lun'><target dev='sdc' bus='scsi'/><source dev='/dev/sdk'/>"
         "</disk>",
         "/dev/sdk", "", "sdc"},
        {"<disk type='block'><source dev='/dev/sdk'/><target dev='sdc'/></disk>", "/dev/sdk", "",
         "sdc"},
        {"<disk type='block'><source dev='/dev/sdk'/><target dev='sda' bus='usb'/></disk>",
         "/dev/sdk", "", "sda"},
        {"<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host12'/><address "
         "bus='0' target='1' unit='3'/></source></hostdev>",
         NULL, "12:0:1:3", ""},
        {"<disk type='block'><source dev='/dev/sdk'/><target dev='sda' bus='sata'/></disk>", NULL,
         NULL, NULL},
        {"<disk type='block'><source dev='/dev/sdk'/><target dev='hda'/></disk>", NULL, NULL, NULL},
        {"<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='sda' bus='scsi'/>"
         "</disk>",
         NULL, NULL, NULL},
        {"<disk type='file'><source file='/a'/><backingStore type='block'><source dev='/dev/sdk'/>"
         "</backingStore><target dev='vda' bus='virtio'/></disk>",
         NULL, NULL, NULL},
        {"<hostdev mode='subsystem' type='scsi'><source protocol='iscsi' name='iqn.x:y'></source>"
         "</hostdev>",
         NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct domain domain;
        char xml[1024];

        snprintf(xml, sizeof xml, DEVICES("%s"), cases[i].xml);
        parse(&domain, xml);
        assert_int_equal(domain.hostdev_count, cases[i].target ? 1 : 0);
        if (cases[i].target) {
            const struct domain_hostdev *hostdev = &domain.hostdevs[0];
            assert_int_equal(hostdev->backend, cases[i].path ? BACKEND_DISK : BACKEND_SCSI);
            assert_string_equal(hostdev->path ? hostdev->path : "",
                                cases[i].path ? cases[i].path : "");
            assert_string_equal(hostdev->address, cases[i].address);
            assert_string_equal(hostdev->place.target, cases[i].target);
        }
        domain_finish(&domain);
    }
}

static void reads_a_hostdev_that_a_network_gave(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, DEVICES("<interface type='network'><source network='vfs'/><actual "
                           "type='hostdev' managed='yes'><source><address type='pci' bus='8' "
                           "slot='16' function='2'/></source></actual></interface>"));
    assert_int_equal(domain.hostdev_count, 1);
    assert_string_equal(domain.hostdevs[0].address, "0000:08:10.2");
    domain_finish(&domain);
}

static void reads_qemu_arguments(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>x</name>"
                   "<qemu:commandline><qemu:arg value='-device'/>"
                   "<qemu:arg value='vfio-pci,host=03:00.0,id=a'/>"
                   "<qemu:arg value='usb-host,hostbus=1,hostaddr=3'/>"
                   "<qemu:arg value='usb-host,vendorid=0x10c4,productid=0xea60'/>"
                   "<qemu:arg value='file=/dev/sdb,if=none'/>"
                   "<qemu:arg value='vfio-pci,sysfsdev=/sys/bus/mdev/devices/u,ramfb=on'/>"
                   "<qemu:arg value='user,host=10.0.2.2,hostfwd=tcp::22-:22'/>"
                   "</qemu:commandline></domain>");
    assert_int_equal(domain.use_count, 5);
    assert_use(&domain, 0, DOMAIN_USE_PCI, "0000:03:00.0", "qemu:arg");
    assert_use(&domain, 1, DOMAIN_USE_USB, "1/3", "qemu:arg");
    assert_use(&domain, 2, DOMAIN_USE_USB, "10c4:ea60", "qemu:arg");
    assert_use(&domain, 3, DOMAIN_USE_PATH, "/dev/sdb", "qemu:arg");
    assert_use(&domain, 4, DOMAIN_USE_SYSFS, "/sys/bus/mdev/devices/u", "qemu:arg");
    domain_finish(&domain);
}

/* Only where qemu's command line is: elsewhere it is somebody's text. */
static void reads_no_arguments_elsewhere(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, "<domain><name>x</name><metadata><qemu:arg value='host=03:00.0'/></metadata>"
                   "<devices><disk><source dev='/dev/sda'/><qemu:arg value='host=03:00.0'/></disk>"
                   "</devices></domain>");
    assert_int_equal(domain.use_count, 1);
    assert_use(&domain, 0, DOMAIN_USE_PATH, "/dev/sda", "disk");
    domain_finish(&domain);
}

static void reads_a_status_file(void **state) {
    static const struct {
        const char *state;
        bool is_off;
    } cases[] = {{"running", false}, {"paused", false}, {"shutoff", true}, {"strange", false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct domain domain;
        char xml[512];

        snprintf(xml, sizeof xml,
                 "<!-- WARNING: THIS IS AN AUTO-GENERATED FILE. -->\n<domstatus state='%s' "
                 "pid='12'><monitor path='/x' type='unix'/><devices><device alias='a'/></devices>"
                 "<domain type='kvm' id='4'><name>ha</name><devices><hostdev type='usb'><source>"
                 "<address bus='1' device='3'/></source></hostdev></devices></domain></domstatus>",
                 cases[i].state);
        parse(&domain, xml);
        assert_string_equal(domain.name, "ha");
        assert_int_equal(domain.id, 4);
        assert_int_equal(domain.hostdev_count, 1);
        assert_int_equal(domain.is_off, cases[i].is_off);
        domain_finish(&domain);
    }
}

static void keeps_names_to_the_letter(void **state) {
    static const struct {
        const char *xml, *title;
    } cases[] = {
        {"<title>  a \t b </title>", "  a \t b "},
        {"<title>%s%n/../$(reboot);`x`&amp;&quot;&apos;&lt;</title>", "%s%n/../$(reboot);`x`&\"'<"},
        {"<title><![CDATA[<b> & ]]>x</title>", "<b> & x"},
        {"<title>a<!-- no -->b<?pi?>c</title>", "abc"},
        {"<title>\nline\n</title>", "\nline\n"},
        {"<title>Grüße \xe2\x98\x83&#x1F600;</title>", "Grüße \xe2\x98\x83\xf0\x9f\x98\x80"},
        {"<title/><title>second</title><title>third</title>", "second"},
        {"<title></title>", NULL},
        {"<title xmlns='urn:x'>foreign</title>", NULL},
        {"<os><title>deeper</title></os>", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct domain domain;
        char xml[512];

        snprintf(xml, sizeof xml, "<domain>%s<name>n</name></domain>", cases[i].xml);
        parse(&domain, xml);
        if (cases[i].title)
            assert_string_equal(domain.title, cases[i].title);
        else
            assert_null(domain.title);
        assert_string_equal(domain_label(&domain), cases[i].title ? cases[i].title : "n");
        domain_finish(&domain);
    }
}

static void normalises_uuids(void **state) {
    static const struct {
        const char *text, *uuid;
    } cases[] = {
        {"0123456789ABCDEF0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"},
        {"\n 01234567-89ab-cdef-0123-456789ABCDEF ", "01234567-89ab-cdef-0123-456789abcdef"},
        {"01234567-89ab-cdef-0123-456789abcde", NULL},
        {"01234567-89ab-cdef-0123-456789abcdef0", NULL},
        {"0123456789abcdef0123456789abcdeg", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct domain domain;
        char xml[512];

        snprintf(xml, sizeof xml, "<domain><uuid>%s</uuid><name>n</name></domain>", cases[i].text);
        parse(&domain, xml);
        if (cases[i].uuid)
            assert_string_equal(domain.uuid, cases[i].uuid);
        else
            assert_null(domain.uuid);
        domain_finish(&domain);
    }
}

static void refuses_what_is_no_domain(void **state) {
    static const struct {
        const char *xml, *reason;
    } cases[] = {
        {"", "is empty"},
        {" \n\t", "is empty"},
        {"<?xml version='1.0'?>\n", "is empty"},
        {"<domain><name>x</name>\n<devices>", "line 2: the domain XML ends before"},
        {"<domain><name>x</na", "cut off"},
        {"<domain><name>x</name><title><![CDATA[ab", "cut off"},
        {"error: failed to get domain 'x'\n", "line 1, column 1: this is not XML"},
        {"<domain><name>x</title></domain>", "mismatched tag"},
        {"<domain>&nbsp;</domain>", "undefined entity"},
        {"<domain><name>x</name></domain><domain/>", "junk after"},
        {"<domain a='1' a='2'/>", "duplicate attribute"},
        {"<domain><name>\xff</name></domain>", "not XML"},
        {"<?xml version='1.0' encoding='x-none'?><domain/>", "encoding"},
        {"<network><name>x</name></network>", "a <network>, not of a <domain>"},
        {"<domainsnapshot><domain><name>x</name></domain></domainsnapshot>", "<domainsnapshot>"},
        {"<x:domain xmlns:x='urn:x'><name>x</name></x:domain>", "not of a <domain>"},
        {"<domain xmlns='urn:x'><name>x</name></domain>", "not of a <domain>"},
        {"<domain/>", "no <name>"},
        {"<domstatus state='running'/>", "no <name>"},
        {"<domstatus><domain xmlns='urn:x'><name>x</name></domain></domstatus>", "not of a"},
        {"<domstatus><other><domain><name>x</name></domain></other></domstatus>", "no <name>"},
        {"<domain><name/></domain>", "no <name>"},
        {"<domain><metadata><name>x</name></metadata></domain>", "no <name>"},
        {"<domain><name>../../x</name></domain>", "its name '../../x' cannot be that of a file"},
        {"<domain><name>x/</name><uuid>1</uuid></domain>", "no <uuid>, and its name 'x/'"},
        {"<domain><name>..</name></domain>", "its name '..' cannot"},
        {"<domain><name>.</name></domain>", "its name '.' cannot"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].xml, strlen(cases[i].xml), cases[i].reason);
    assert_refused(NULL, 0, "is empty");
}

static void a_name_that_no_file_can_have(void **state) {
    static const char *const xmls[] = {
        "<domain><name>a/b</name><uuid>c1b7bd1a-0000-4000-8000-000000000001</uuid></domain>",
        "<domain><name>...</name></domain>", "<domain><name>.x</name></domain>"};
    (void)state;
    for (size_t i = 0; i < sizeof xmls / sizeof *xmls; i++) {
        struct domain domain;
        assert_int_equal(domain_xml_parse(&domain, xmls[i], strlen(xmls[i]), NULL), 0);
        assert_null(strchr(domain_key(&domain), '/'));
        domain_finish(&domain);
    }
}

static void refuses_document_types(void **state) {
    static const char bomb[] = "<?xml version='1.0'?>\n"
                               "<!DOCTYPE domain [<!ENTITY a 'lollollol'>"
                               "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>\n"
                               "<domain><name>&b;</name></domain>";
    static const char external[] =
        "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain><name>x</name></domain>";

    (void)state;
    assert_refused(bomb, strlen(bomb), "line 2: a document type declaration");
    assert_refused(external, strlen(external), "document type declaration");
}

static char *nested(unsigned depth, size_t *size) {
    char *xml = NULL;
    FILE *out = open_memstream(&xml, size);

    assert_non_null(out);
    fputs("<domain><name>x</name>", out);
    for (unsigned i = 1; i < depth; i++)
        fputs("<d>", out);
    for (unsigned i = 1; i < depth; i++)
        fputs("</d>", out);
    fputs("</domain>", out);
    fclose(out);
    return xml;
}

static void bounds_the_depth(void **state) {
    struct domain domain;
    size_t size;
    char *xml = nested(256, &size);

    (void)state;
    assert_int_equal(domain_xml_parse(&domain, xml, size, &failure), 0);
    domain_finish(&domain);
    free(xml);
    xml = nested(257, &size);
    assert_refused(xml, size, "deeper than 256");
    free(xml);
    xml = nested(100000, &size);
    assert_refused(xml, size, "deeper than 256");
    free(xml);
}

static void survives_strange_bytes(void **state) {
    static const char nul[] = "<domain><name>a\0b</name></domain>";
    static const char utf16[] = "\xff\xfe<\0d\0o\0m\0a\0i\0n\0>\0<\0n\0a\0m\0e\0>\0\xe4\0<\0/\0n\0a"
                                "\0m\0e\0>\0<\0/\0d\0o\0m\0a\0i\0n\0>";
    struct domain domain;

    (void)state;
    assert_refused(nul, sizeof nul - 1, "not XML");
    assert_int_equal(domain_xml_parse(&domain, utf16, sizeof utf16, &failure), 0);
    assert_string_equal(domain.name, "ä");
    domain_finish(&domain);
    for (size_t size = 0; size < sizeof live - 2; size++) { /* cut off anywhere */
        char *part = malloc(size + 1);

        assert_non_null(part);
        memcpy(part, live, size);
        assert_int_equal(domain_xml_parse(&domain, part, size, &failure), -1);
        free(part);
    }
}

static void reads_large_documents(void **state) {
    static const char head[] = "<domain><title>", middle[] = "</title><name>x</name><devices>";
    static const char port[] = "<hostdev type='pci'><source><address/></source></hostdev>";
    const size_t title = 8u << 20, devices = 20000;
    struct domain domain;
    size_t size = 0;
    char *xml = NULL;
    FILE *out = open_memstream(&xml, &size);

    (void)state;
    assert_non_null(out);
    fputs(head, out);
    for (size_t i = 0; i < title; i++)
        fputc('t', out);
    fputs(middle, out);
    for (size_t i = 0; i < devices; i++)
        fputs(port, out);
    fputs("<", out);
    for (size_t i = 0; i < 1000; i++)
        fputs("long", out);
    fputs("/></devices></domain>", out);
    fclose(out);
    assert_int_equal(domain_xml_parse(&domain, xml, size, &failure), 0);
    assert_int_equal(strlen(domain.title), title);
    assert_int_equal(domain.hostdev_count, devices);
    domain_finish(&domain);
    free(xml);
}

static struct device pci(const char *address) {
    return (struct device){.bus = BUS_PCI, .address = (char *)(uintptr_t)address};
}

static struct device usb(unsigned bus, unsigned number, uint16_t vendor, uint16_t product) {
    return (struct device){
        .bus = BUS_USB, .id = {vendor, product}, .bus_number = bus, .device_number = number};
}

static void finds_what_it_holds(void **state) {
    struct device held = pci("0000:0a:1f.7"), other = pci("0000:0a:1f.6");
    struct device stick = usb(1, 4, 0x1a6e, 0x089a), twin = usb(1, 5, 0x1a6e, 0x089a);
    struct device renamed = usb(1, 4, 0x18d1, 0x9302), other_bus = usb(2, 4, 0x1a6e, 0x089a);
    struct domain domain;

    (void)state;
    parse(&domain, live);
    assert_ptr_equal(backend_hostdev_of(&domain, &held), &domain.hostdevs[1]);
    assert_null(backend_hostdev_of(&domain, &other));
    assert_ptr_equal(backend_hostdev_of(&domain, &stick), &domain.hostdevs[2]);
    assert_null(backend_hostdev_of(&domain, &twin));
    assert_null(backend_hostdev_of(&domain, &renamed));
    assert_null(backend_hostdev_of(&domain, &other_bus));
    domain_finish(&domain);
}

static void finds_usb_devices_by_what_there_is(void **state) {
    struct device stick = usb(1, 4, 0x1a6e, 0x089a), other = usb(1, 5, 0x18d1, 0x9302);
    struct domain domain;

    (void)state;
    parse(&domain, DEVICES("<hostdev type='usb'><source><vendor id='0x1a6e'/>"
                           "<product id='0x089a'/></source></hostdev>"));
    assert_non_null(backend_hostdev_of(&domain, &stick));
    assert_null(backend_hostdev_of(&domain, &other));
    domain_finish(&domain);
    parse(&domain, DEVICES("<hostdev type='usb'><source><address bus='1' device='5'/></source>"
                           "</hostdev>"));
    assert_null(backend_hostdev_of(&domain, &stick));
    assert_non_null(backend_hostdev_of(&domain, &other));
    domain_finish(&domain);
    parse(&domain, DEVICES("<hostdev type='usb'><source><address bus='0' device='0'/></source>"
                           "</hostdev>"));
    stick = usb(0, 0, 0, 0);
    assert_null(backend_hostdev_of(&domain, &stick));
    domain_finish(&domain);
}

static void knows_its_names(void **state) {
    struct domain domain;

    (void)state;
    parse(&domain, live);
    assert_string_equal(domain_label(&domain), "Home Assistant");
    assert_true(domain_is_called(&domain, "Home Assistant"));
    assert_true(domain_is_called(&domain, "4f0b1d1e-0000-4000-8000-00000000cafe"));
    assert_true(domain_is_called(&domain, "4F0B1D1E-0000-4000-8000-00000000CAFE"));
    assert_true(domain_is_called(&domain, "4f0b1d1e00004000800000000000cafe"));
    assert_false(domain_is_called(&domain, "home assistant"));
    assert_false(domain_is_called(&domain, "Home"));
    assert_false(domain_is_called(&domain, ""));
    domain_finish(&domain);
}

static void makes_a_domain_from_a_name(void **state) {
    struct domain domain;

    (void)state;
    domain_from_name(&domain, "frigate");
    assert_string_equal(domain.name, "frigate");
    assert_null(domain.uuid);
    assert_int_equal(domain.id, -1);
    assert_true(domain_is_called(&domain, "frigate"));
    domain_finish(&domain);
    domain_from_name(&domain, "4F0B1D1E-0000-4000-8000-00000000CAFE");
    assert_string_equal(domain.name, "4F0B1D1E-0000-4000-8000-00000000CAFE");
    assert_string_equal(domain.uuid, "4f0b1d1e-0000-4000-8000-00000000cafe");
    domain_finish(&domain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_ours),
        cmocka_unit_test(a_namespace_of_others_is_not_ours),
        cmocka_unit_test(leaves_out_what_is_ours),
        cmocka_unit_test(writes_what_is_ours),
        cmocka_unit_test(reads_a_live_domain),
        cmocka_unit_test(counts_root_ports),
        cmocka_unit_test(reads_hostdevs),
        cmocka_unit_test(reads_numbers_as_libvirt_does),
        cmocka_unit_test(skips_hostdevs_without_a_device),
        cmocka_unit_test(counts_pci_slots),
        cmocka_unit_test(knows_nothing_of_a_bare_definition),
        cmocka_unit_test(reads_what_else_it_uses),
        cmocka_unit_test(reads_disks_and_scsi_devices_of_the_host),
        cmocka_unit_test(reads_a_hostdev_that_a_network_gave),
        cmocka_unit_test(reads_qemu_arguments),
        cmocka_unit_test(reads_no_arguments_elsewhere),
        cmocka_unit_test(reads_a_status_file),
        cmocka_unit_test(keeps_names_to_the_letter),
        cmocka_unit_test(normalises_uuids),
        cmocka_unit_test(refuses_what_is_no_domain),
        cmocka_unit_test(a_name_that_no_file_can_have),
        cmocka_unit_test(refuses_document_types),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(survives_strange_bytes),
        cmocka_unit_test(reads_large_documents),
        cmocka_unit_test(finds_what_it_holds),
        cmocka_unit_test(finds_usb_devices_by_what_there_is),
        cmocka_unit_test(knows_its_names),
        cmocka_unit_test(makes_a_domain_from_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
