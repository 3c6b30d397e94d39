/* Hosts for the tests of the snapshot: the sample hosts, and trees of a test's own, file by file.
 */
#ifndef TESTS_UNIT_HOST_TREE_H
#define TESTS_UNIT_HOST_TREE_H

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
#include <sys/stat.h>
#include <unistd.h>

#include "engine/host/host.h"
#include "lexer/memory.h"
#include "tests/unit/sample.h"

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

static inline void make_parents(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static inline void path_in(const struct tree_of_test *tree, const char *path, char *full) {
    assert_true(snprintf(full, PATH_SIZE, "%s/%s", tree->root, path) < PATH_SIZE);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    bool is_there = access(full, F_OK) == 0;
    *slash = '/';
    if (!is_there)
        make_parents(full);
}

static inline void put_bytes(const struct tree_of_test *tree, const char *path, const void *bytes,
                             size_t size) {
    char full[PATH_SIZE];

    path_in(tree, path, full);
    FILE *out = fopen(full, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static inline void put(const struct tree_of_test *tree, const char *path, const char *text) {
    put_bytes(tree, path, text, strlen(text));
}

static inline void put_link(const struct tree_of_test *tree, const char *path, const char *target) {
    char full[PATH_SIZE];
    path_in(tree, path, full);
    assert_int_equal(symlink(target, full), 0);
}

__attribute__((format(printf, 2, 3))) static inline const char *text(char *buffer,
                                                                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    assert_true(vsnprintf(buffer, TEXT_SIZE, format, arguments) < TEXT_SIZE);
    va_end(arguments);
    return buffer;
}

/* As the smallest tree has a device: a directory with three files. */
static inline void put_device(const struct tree_of_test *tree, const char *directory,
                              const char *id, const char *class) {
    char path[TEXT_SIZE], value[TEXT_SIZE];

    put(tree, text(path, "%s/vendor", directory), text(value, "0x%.4s\n", id));
    put(tree, text(path, "%s/device", directory), text(value, "0x%.4s\n", id + 5));
    put(tree, text(path, "%s/class", directory), text(value, "0x%s\n", class));
}

static inline void put_pci(const struct tree_of_test *tree, const char *address, const char *id,
                           const char *class) {
    char path[TEXT_SIZE];
    put_device(tree, text(path, PCI "%s", address), id, class);
}

static inline void put_driver(const struct tree_of_test *tree, const char *directory,
                              const char *driver) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "%s/driver", directory),
             text(value, "../../../bus/pci/drivers/%s", driver));
}

static inline void put_group(const struct tree_of_test *tree, const char *directory,
                             const char *group) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "%s/iommu_group", directory),
             text(value, "../../../kernel/iommu_groups/%s", group));
}

/* A disk controller and a network card, as links into sys/devices. */
static inline void put_base(const struct tree_of_test *tree) {
    put_device(tree, SATA, "8086:5ae3", "010601");
    put_device(tree, NIC, "8086:1533", "020000");
    put_link(tree, PCI "0000:00:01.0", "../../../devices/pci0000:00/0000:00:01.0");
    put_link(tree, PCI "0000:00:02.0", "../../../devices/pci0000:00/0000:00:02.0");
}

/* A block device with its directory below sys/devices and a link in sys/class/block. */
static inline void put_block(const struct tree_of_test *tree, const char *directory,
                             const char *number) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    const char *name = strrchr(directory, '/') + 1;

    put(tree, text(path, "%s/dev", directory), text(value, "%s\n", number));
    put_link(tree, text(path, "sys/class/block/%s", name), text(value, "../../../%s", directory));
}

static inline void put_disk(const struct tree_of_test *tree) {
    put_base(tree);
    put_block(tree, ATA "sda", "8:0");
    put_block(tree, ATA "sda/sda1", "8:1");
    put_block(tree, ATA "sda/sda2", "8:2");
}

/* `upper` is made of `lower`; both sides name the other, as in sysfs. */
static inline void put_stack(const struct tree_of_test *tree, const char *upper,
                             const char *lower) {
    char path[TEXT_SIZE];
    put(tree, text(path, "sys/class/block/%s/slaves/%s/x", upper, lower), "");
    put(tree, text(path, "sys/class/block/%s/holders/%s/x", lower, upper), "");
}

static inline void put_virtual(const struct tree_of_test *tree, const char *name,
                               const char *number) {
    char path[TEXT_SIZE];
    put_block(tree, text(path, VIRTUAL "%s", name), number);
}

static inline void put_interface(const struct tree_of_test *tree, const char *name,
                                 const char *parent) {
    char path[TEXT_SIZE], value[TEXT_SIZE];

    put(tree, text(path, "%s/net/%s/operstate", parent, name), "up\n");
    put_link(tree, text(path, "sys/class/net/%s", name),
             text(value, "../../../%s/net/%s", parent, name));
}

static inline void put_routes(const struct tree_of_test *tree, const char *lines) {
    char value[TEXT_SIZE];
    put(tree, "proc/net/route",
        text(value, "Iface Destination Gateway Flags RefCnt Use Metric Mask\n%s", lines));
}

static inline void put_mounts(const struct tree_of_test *tree, const char *lines) {
    put(tree, "proc/self/mountinfo", lines);
}

static inline void load(struct tree_of_test *tree) {
    host_finish(&tree->host);
    sample_host(&tree->host, tree->root);
}

static inline const struct device *pci(const struct tree_of_test *tree, const char *address) {
    const struct device *device = host_find(&tree->host, BUS_PCI, address);
    assert_non_null(device);
    return device;
}

static inline const struct device *usb(const struct tree_of_test *tree, const char *address) {
    const struct device *device = host_find(&tree->host, BUS_USB, address);
    assert_non_null(device);
    return device;
}

static inline void assert_text(const char *is, const char *wanted) {
    if (!wanted || !is)
        assert_ptr_equal(is, wanted);
    else
        assert_string_equal(is, wanted);
}

static inline void assert_use(struct tree_of_test *tree, const char *address, const char *use) {
    load(tree);
    assert_text(pci(tree, address)->use, use);
}

/* What is said about an obstacle has `part` in it. */
static inline void assert_obstacle(struct tree_of_test *tree, const char *address,
                                   enum obstacle obstacle, const char *part) {
    const struct device *device = strchr(address, ':') ? pci(tree, address) : usb(tree, address);
    assert_int_equal(device->obstacle, obstacle);
    if (obstacle && !strstr(device->obstacle_text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, device->obstacle_text);
    if (obstacle)
        assert_non_null(device->obstacle_hint);
}

static inline void assert_unknown(struct tree_of_test *tree, const char *address,
                                  const char *part) {
    assert_obstacle(tree, address, OBSTACLE_UNKNOWN_USE, part);
}

static inline void assert_no_obstacle(struct tree_of_test *tree, const char *address) {
    assert_obstacle(tree, address, OBSTACLE_NONE, "");
}

static inline int make_tree(void **state) {
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

static inline int remove_one(const char *path, const struct stat *status, int kind,
                             struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static inline int remove_tree(void **state) {
    struct tree_of_test *tree = *state;
    host_finish(&tree->host);
    return nftw(tree->root, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
}

static inline int sample(void **state, const char *name) {
    static struct tree_of_test tree;
    char path[TEXT_SIZE];

    tree = (struct tree_of_test){0};
    text(path, "tests/hosts/%s", name);
    assert_true(snprintf(tree.root, sizeof tree.root, "%s", path) < (int)sizeof tree.root);
    *state = &tree;
    load(&tree);
    return 0;
}

static inline int finish_sample(void **state) {
    struct tree_of_test *tree = *state;
    host_finish(&tree->host);
    return 0;
}

/* ---- The sample hosts ---- */

static inline int nas(void **state) {
    return sample(state, "nas");
}

/* ---- What cannot be read counts as in use ---- */

/* A host with a disk, a card, a display and an accelerator; all is known and nothing is used. */
static inline void put_idle_host(const struct tree_of_test *tree) {
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

static inline void remove_file(const struct tree_of_test *tree, const char *path) {
    char full[PATH_SIZE];
    path_in(tree, path, full);
    assert_int_equal(unlink(full), 0);
}

#define OF(host, test) cmocka_unit_test_setup_teardown(test, host, finish_sample)
#define OWN(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)

#endif
