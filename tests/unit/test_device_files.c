/* SCSI devices, and the files, mediated devices and virtual functions of a device. */
#include "tests/unit/host_tree.h"

#define HBA "sys/devices/pci0000:00/0000:00:03.0"
#define HUB "sys/devices/pci0000:00/0000:00:14.0/usb1/1-4"
#define STICK HUB "/1-4:1.0/host6/target6:0:0/6:0:0:0"

static void put_scsi(const struct tree_of_test *tree, const char *directory, const char *type,
                     const char *vendor, const char *model, const char *serial) {
    char path[TEXT_SIZE], value[TEXT_SIZE], page[TEXT_SIZE];
    const char *address = strrchr(directory, '/') + 1;

    put(tree, text(path, "%s/type", directory), text(value, "%s\n", type));
    put(tree, text(path, "%s/vendor", directory), text(value, "%-8s\n", vendor));
    put(tree, text(path, "%s/model", directory), text(value, "%-16s\n", model));
    if (serial) {
        size_t length = strlen(serial);
        page[0] = 0;
        page[1] = (char)0x80;
        page[2] = 0;
        page[3] = (char)length;
        memcpy(page + 4, serial, length);
        put_bytes(tree, text(path, "%s/vpd_pg80", directory), page, length + 4);
    }
    put_link(tree, text(path, "sys/bus/scsi/devices/%s", address),
             text(value, "../../../../%s", directory));
}

static void put_hba(const struct tree_of_test *tree) {
    put_device(tree, HBA, "1000:0097", "010700");
    put_link(tree, PCI "0000:00:03.0", "../../../devices/pci0000:00/0000:00:03.0");
    put_scsi(tree, HBA "/host2/target2:0:9/2:0:9:0", "1", "HP", "Ultrium 6-SCSI", "  HU1234567890");
    put_scsi(tree, HBA "/host2/target2:0:10/2:0:10:0", "0", "ATA", "WDC WD40EFRX-68W", "WD-WCC1");
    put_scsi(tree, HBA "/host2/target2:0:9/2:0:9:1", "8", "HP", "MSL G3 Series", NULL);
    put_link(tree, HBA "/host2/target2:0:9/2:0:9:0/driver", "../../../../bus/scsi/drivers/st");
    put(tree, "sys/bus/scsi/devices/host2/x", "");
    put(tree, "sys/bus/scsi/devices/target2:0:9/x", "");
}

static void put_stick(const struct tree_of_test *tree) {
    put_device(tree, "sys/devices/pci0000:00/0000:00:14.0", "8086:a36d", "0c0330");
    put_link(tree, PCI "0000:00:14.0", "../../../devices/pci0000:00/0000:00:14.0");
    put(tree, HUB "/idVendor", "0781\n");
    put(tree, HUB "/idProduct", "5581\n");
    put(tree, HUB "/busnum", "1\n");
    put(tree, HUB "/devnum", "5\n");
    put_link(tree, "sys/bus/usb/devices/1-4", "../../../devices/pci0000:00/0000:00:14.0/usb1/1-4");
    put(tree, "sys/bus/usb/devices/usb1/idVendor", "1d6b\n");
    put_scsi(tree, STICK, "0", "SanDisk", "Ultra", NULL);
    put_block(tree, STICK "/block/sdb", "8:16");
    put(tree, STICK "/block/sdb/size", "2048\n");
    put(tree, STICK "/block/sdb/ro", "1\n");
    put_block(tree, STICK "/block/sdb/sdb1", "8:17");
}

static const struct device *scsi(const struct tree_of_test *tree, const char *address) {
    const struct device *device = host_find(&tree->host, BUS_SCSI, address);
    assert_non_null(device);
    return device;
}

static void tests_scsi_devices(void **state) {
    struct tree_of_test *tree = *state;

    put_base(tree);
    put_hba(tree);
    load(tree);
    assert_int_equal(tree->host.count, 6);
    const struct device *tape = scsi(tree, "2:0:9:0"), *changer = scsi(tree, "2:0:9:1"),
                        *disk = scsi(tree, "2:0:10:0");
    assert_true(tape < changer && changer < disk);
    assert_int_equal(tape->scsi_type, SCSI_TAPE);
    assert_string_equal(tape->manufacturer, "HP");
    assert_string_equal(tape->product, "Ultrium 6-SCSI");
    assert_string_equal(tape->serial, "HU1234567890");
    assert_string_equal(tape->driver, "st");
    assert_string_equal(tape->name, "HP Ultrium 6-SCSI");
    assert_string_equal(tape->above, "0000:00:03.0");
    assert_int_equal(tape->above_bus, BUS_PCI);
    assert_int_equal(changer->scsi_type, SCSI_CHANGER);
    assert_null(changer->serial);
    assert_int_equal(changer->unknown, 0);
    assert_string_equal(disk->name, "WDC WD40EFRX-68W");
    char *name = device_text(disk);
    assert_string_equal(name, "2:0:10:0");
    free(name);
    assert_null(host_find(&tree->host, BUS_SCSI, "2:0:9"));
    assert_null(host_find(&tree->host, BUS_PCI, "2:0:9:0"));
}

static void tests_stick(void **state) {
    struct tree_of_test *tree = *state;

    put_base(tree);
    put_stick(tree);
    load(tree);
    const struct device *stick = usb(tree, "1-4"), *disk = scsi(tree, "6:0:0:0");
    assert_string_equal(disk->above, "1-4");
    assert_int_equal(disk->above_bus, BUS_USB);
    assert_int_equal(device_file_count(disk, FILE_BLOCK), 1);
    assert_int_equal(device_file_count(stick, FILE_BLOCK), 1);
    assert_int_equal(pci(tree, "0000:00:14.0")->file_count, 0);
    const struct device_file *file = device_find_file(stick, FILE_BLOCK, 0);
    assert_string_equal(file->path, "/dev/sdb");
    assert_string_equal(device_file_path(file), "/dev/sdb");
    assert_int_equal(file->size, 1048576);
    assert_true(file->readonly);
    assert_null(device_find_file(stick, FILE_BLOCK, 1));
    assert_null(device_find_file(stick, FILE_TTY, 0));
}

static void tests_mounted_disk_marks_all_above_it(void **state) {
    struct tree_of_test *tree = *state;
    static const char mounts[] = "mounts /srv from it (sdb1)";

    put_base(tree);
    put_stick(tree);
    put_mounts(tree, "30 1 8:17 / /srv rw - ext4 /dev/sdb1 rw\n");
    load(tree);
    assert_text(scsi(tree, "6:0:0:0")->use, mounts);
    assert_text(usb(tree, "1-4")->use, mounts);
    assert_text(pci(tree, "0000:00:14.0")->use, mounts);
}

static void tests_a_host_with_all_of_it(void **state) {
    const struct tree_of_test *tree = *state;
    const struct device *card = pci(tree, "0000:03:00.0"), *function = pci(tree, "0000:01:10.4");

    assert_int_equal(pci(tree, "0000:01:00.0")->vf_total, 7);
    assert_int_equal(function->vf_number, 1);
    assert_string_equal(function->physical_function->address, "0000:01:00.0");
    assert_int_equal(function->physical_function->id.device, 0x1521);
    assert_int_equal(card->mdev_type_count, 2);
    assert_int_equal(device_find_mdev_type(card, "nvidia-230")->available, 7);
    assert_string_equal(card->mdevs[0].type, "nvidia-222");
    assert_int_equal(device_file_count(usb(tree, "1-1"), FILE_TTY), 2);
    assert_string_equal(device_file_path(device_find_file(usb(tree, "1-1"), FILE_TTY, 1)),
                        "/dev/serial/by-id/usb-FTDI_Dual_RS232-HS_FT4ABCDE-if01-port0");
    assert_int_equal(device_file_count(usb(tree, "1-2"), FILE_EVENT), 2);
    /* From udev's records, model and serial number before the others. */
    const struct device_file *disk = device_find_file(scsi(tree, "2:0:1:0"), FILE_BLOCK, 0);
    assert_int_equal(disk->link_count, 3);
    assert_string_equal(disk->links[0], "/dev/disk/by-id/ata-WDC_WD40EFRX-68WT0N0_WD-WCC4E1234567");
    assert_string_equal(disk->links[1], "/dev/disk/by-id/wwn-0x50014ee2b5e7c1a0");
    assert_string_equal(disk->links[2], "/dev/disk/by-path/pci-0000:02:00.0-sas-phy1-lun-0");
    struct device copy = device_copy(function), other = device_copy(card);
    assert_ptr_not_equal(copy.physical_function, function->physical_function);
    assert_string_equal(copy.physical_function->driver, "igb");
    assert_string_equal(other.mdevs[0].uuid, card->mdevs[0].uuid);
    device_finish(&copy);
    device_finish(&other);
}

static int rack(void **state) {
    return sample(state, "rack");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OWN(tests_scsi_devices),
        OWN(tests_stick),
        OWN(tests_mounted_disk_marks_all_above_it),
        OF(rack, tests_a_host_with_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
