/* What the host uses its disks for: mounts, swap, arrays, volumes and pools. */
#include "tests/unit/host_tree.h"

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
    put_mounts(tree, "30 1 8:1 / /data rw - btrfs /dev/sda1 rw\n");
    assert_use(tree, "0000:00:01.0", "mounts /data from it (sda1, sda2)");
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

/* ---- Broken and hostile trees ---- */

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
    put_mounts(tree, "");
    put_link(tree, ATA "sda/holders/sda", "../../sda");
    load(tree);
    assert_null(strstr(pci(tree, "0000:00:01.0")->use, "in sda"));
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
    put_mounts(tree, "31 1 8:1 / /srv\\040x rw - vfat /dev/sda1 rw\n");
    put(tree, "proc/swaps", "/srv\\040x/swap file 1 0 -2\n");
    assert_use(tree, "0000:00:01.0", "mounts /srv x from it (sda1); swaps on it (sda1)");
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
    put(tree, "run/udev/data/b8:1", "E:ID_FS_LABEL=tank\nE:ID_FS_TYPE=zfs_member\n");
    assert_use(tree, "0000:00:01.0", "keeps it in ZFS pool tank (sda1)");
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

int main(void) {
    const struct CMUnitTest tests[] = {
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
        OWN(test_stack_that_bites_its_tail),
        OWN(test_deep_stack),
        OWN(test_many_disks_on_one_controller),
        OWN(test_a_list_of_mounts_that_is_cut),
        OWN(test_a_kernel_without_swap),
        OWN(test_the_array_of_unraid),
        OWN(test_bcache),
        OWN(test_a_registered_bcache_set),
        OWN(test_zram_with_a_backing_disk),
        OWN(test_a_swap_file),
        OWN(test_file_systems_of_other_systems),
        OWN(test_zfs_known_from_its_cache_file),
        OWN(test_zfs_on_lvm_and_beside_md),
        OWN(test_drbd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
