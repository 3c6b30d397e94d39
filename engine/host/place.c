#include "engine/host/place.h"

#include "engine/host/block_path.h"
#include "engine/host/device_files.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define CONFIGFS_VHOST "sys/kernel/config/target/vhost"

/* By its address on whatever bus; NULL: that is not an address, or the host has no such device. */
static const struct device *place_find(const struct host *host, const char *name) {
    enum bus bus;
    return device_bus_of_address(name, &bus) ? host_find(host, bus, name) : NULL;
}

/* Unplugging a physical function takes all its virtual ones, so it carries what they carry; and a
 * card carries the framebuffer in its memory. */
static void place_add_name(struct device_set *set, const struct host *host, const char *name) {
    const struct device *device = place_find(host, name);
    const struct device *physical =
        device && device->physical ? host_find(host, BUS_PCI, device->physical) : NULL;

    for (size_t i = 0; !device && i < host->framebuffer_count; i++)
        if (strcmp(host->framebuffers[i].name, name) == 0)
            device = &host->devices[host->framebuffers[i].device];
    if (device)
        device_set_add(set, (size_t)(device - host->devices));
    if (physical)
        device_set_add(set, (size_t)(physical - host->devices));
}

void place_add_path(struct device_set *set, const struct host *host, const char *path) {
    char *copy = memory_strdup(path), *rest = copy;

    for (const char *part; (part = strsep(&rest, "/"));)
        place_add_name(set, host, part);
    free(copy);
}

const struct device *place_nearest(const struct host *host, const char *path) {
    char *copy = memory_strdup(path);
    const struct device *device = place_find(host, copy);

    for (char *slash; !device && (slash = strrchr(copy, '/')); *slash = '\0')
        device = place_find(host, slash + 1);
    free(copy);
    return device;
}

/* A copy of a host may have a link whose target it lacks: its text still says where that is. */
static bool place_is_there(const struct tree *tree, const char *path) {
    const char *slash = strrchr(path, '/');
    char *directory = memory_strndup(path, slash ? (size_t)(slash - path) : 0);
    char *link = tree_has(tree, path) || !slash ? NULL : tree_link_name(tree, directory, slash + 1);
    bool is = link || tree_has(tree, path);

    free(link);
    free(directory);
    return is;
}

bool place_of_path(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *path) {
    char *resolved = place_is_there(tree, path) ? tree_resolve(tree, path) : NULL;
    bool found = resolved != NULL;

    if (found)
        place_add_path(set, host, resolved);
    free(resolved);
    return found;
}

void place_of_device(struct device_set *set, const struct host *host, const struct tree *tree,
                     const struct device *device) {
    char *path =
        memory_printf("sys/bus/%s/devices/%s", device_bus(device->bus)->name, device->address);

    place_add_name(set, host, device->address);
    place_of_path(set, host, tree, path);
    free(path);
}

static bool place_of_node(struct device_set *set, const struct node *node) {
    if (node)
        device_set_add_all(set, &node->all);
    return node;
}

/* ---- Device files that sysfs does not list, or not as what they are of ---- */

/* "001/003" */
static bool place_of_usb_file(struct device_set *set, const struct host *host,
                              const struct tree *tree, const char *numbers) {
    const char *slash = strchr(numbers, '/');
    char *first = memory_strndup(numbers, slash ? (size_t)(slash - numbers) : 0);
    uint32_t bus = 0, number = 0;
    bool is_usb = slash && text_parse_decimal(first, UINT32_MAX, &bus) &&
                  text_parse_decimal(slash + 1, UINT32_MAX, &number);

    free(first);
    for (size_t i = 0; is_usb && i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (device->bus == BUS_USB && device->bus_number == bus && device->device_number == number)
            place_of_device(set, host, tree, device);
    }
    return is_usb;
}

static bool place_of_group(struct device_set *set, const struct host *host, const struct tree *tree,
                           const char *number) {
    uint32_t group;

    if (!text_parse_decimal(number, INT32_MAX, &group))
        return false;
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI && host->devices[i].iommu_group == (int)group)
            place_of_device(set, host, tree, &host->devices[i]);
    return true;
}

static void place_of_driver(struct device_set *set, const struct host *host,
                            const struct tree *tree, const char *driver) {
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].driver && strcmp(host->devices[i].driver, driver) == 0)
            place_of_device(set, host, tree, &host->devices[i]);
}

static bool place_of_only_nvidia(struct device_set *set, const struct host *host,
                                 const struct tree *tree) {
    size_t count = 0;
    for (size_t i = 0; i < host->count; i++)
        count += host->devices[i].driver && strcmp(host->devices[i].driver, "nvidia") == 0;
    if (count == 1)
        place_of_driver(set, host, tree, "nvidia");
    return count == 1;
}

/* NVIDIA's own driver makes no entries in sysfs; procfs says which card has which number. */
static bool place_of_nvidia(struct device_set *set, const struct host *host,
                            const struct tree *tree, const char *number) {
    static const char gpus[] = "proc/driver/nvidia/gpus", key[] = "Device Minor:";
    uint32_t wanted;
    bool is_known = false;

    /* Files of all cards: where there is one, it is that. */
    if (strcmp(number, "ctl") == 0 || *number == '-')
        return place_of_only_nvidia(set, host, tree);
    if (!text_parse_decimal(number, UINT32_MAX, &wanted))
        return false;
    struct names names = tree_list(tree, gpus);
    for (size_t i = 0; i < names.count; i++) {
        char *path = memory_printf("%s/%s/information", gpus, names.items[i]);
        char *text = tree_read(tree, path);
        const char *minor_number = text ? strstr(text, key) : NULL;
        if (minor_number && strtoul(minor_number + strlen(key), NULL, 10) == wanted) {
            place_add_path(set, host, names.items[i]);
            is_known |= host_find(host, BUS_PCI, names.items[i]) != NULL;
        }
        free(text);
        free(path);
    }
    tree_finish_names(&names);
    if (!is_known)
        place_of_driver(set, host, tree, "nvidia");
    return true;
}

/* One file for all of AMD's cards. */
static bool place_of_amd(struct device_set *set, const struct host *host, const struct tree *tree,
                         const char *rest) {
    if (*rest)
        return false;
    place_of_driver(set, host, tree, "amdgpu");
    return true;
}

/* A ZFS volume, "pool/volume", is on what its pool is on. */
static bool place_of_zvol(struct device_set *set, const struct host *host, const struct tree *tree,
                          const char *volume) {
    char *name = memory_printf("ZFS pool %.*s", (int)strcspn(volume, "/"), volume);
    bool is_known = place_of_node(set, graph_find(&host->block, name));

    (void)tree;
    free(name);
    return is_known;
}

/* `name` is below /dev. */
static bool place_of_special_file(struct device_set *set, const struct host *host,
                                  const struct tree *tree, const char *name) {
    static const struct {
        const char *start;
        bool (*place)(struct device_set *set, const struct host *host, const struct tree *tree,
                      const char *rest);
    } files[] = {
        {"bus/usb/", place_of_usb_file},
        {"vfio/", place_of_group},
        {"vfio/noiommu-", place_of_group},
        {"nvidia", place_of_nvidia},
        {"kfd", place_of_amd},
        {"zvol/", place_of_zvol},
    };

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (text_starts_with(name, files[i].start) &&
            files[i].place(set, host, tree, name + strlen(files[i].start)))
            return true;
    return false;
}

/* ---- Device files that sysfs lists ---- */

static bool place_of_sysfs_number(struct device_set *set, const struct host *host,
                                  const struct tree *tree, const char *number, bool is_block) {
    char *path = memory_printf("sys/dev/%s/%s", is_block ? "block" : "char", number);
    const struct node *node = is_block ? block_path_find_number(&host->block, tree, number) : NULL;
    bool is_known = place_of_node(set, node) || place_of_path(set, host, tree, path);

    free(path);
    return is_known;
}

bool place_of_number(struct device_set *set, const struct host *host, const struct tree *tree,
                     const char *name, const char *number, bool is_block) {
    return place_of_special_file(set, host, tree, name) ||
           place_of_sysfs_number(set, host, tree, number, is_block);
}

/* The number of the file as udev's database has it ("S:serial/by-id/x"), or NULL. */
static char *place_udev_number(const struct tree *tree, const char *file, bool *is_block) {
    struct names records = {0};
    char *line = memory_printf("S:%s", file), *number = NULL;

    if (strchr(file, '/'))
        records = tree_list(tree, UDEV_RECORDS);
    for (size_t i = 0; i < records.count && !number; i++) {
        if (*records.items[i] != 'b' && *records.items[i] != 'c')
            continue;
        char *path = memory_printf(UDEV_RECORDS "/%s", records.items[i]);
        char *text = tree_read(tree, path), *rest = text;
        for (const char *one; rest && !number && (one = text_next_line(&rest));)
            if (strcmp(one, line) == 0) {
                number = memory_strdup(records.items[i] + 1);
                *is_block = *records.items[i] == 'b';
            }
        free(text);
        free(path);
    }
    tree_finish_names(&records);
    free(line);
    return number;
}

char *place_udev_name(const struct tree *tree, const char *file) {
    bool is_block = false;
    char *number = place_udev_number(tree, file, &is_block);
    char *link =
        number ? memory_printf("sys/dev/%s/%s", is_block ? "block" : "char", number) : NULL;
    char *path = link && place_is_there(tree, link) ? tree_resolve(tree, link) : NULL;
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *name = slash ? memory_strdup(slash + 1) : NULL;

    free(path);
    free(link);
    free(number);
    return name;
}

/* The class that has a device of that name: "input/event3" is sys/class/input/event3. Two
 * classes may have one name; then the directory below /dev decides. */
static bool place_of_class(struct device_set *set, const struct host *host, const struct tree *tree,
                           const char *file) {
    const char *name = text_base_name(file);
    const char *only = text_starts_with(file, "dri/")   ? "drm"
                       : text_starts_with(file, "snd/") ? "sound"
                                                        : NULL;
    struct names classes = tree_list(tree, "sys/class");
    bool is_known = false;

    for (size_t i = 0; i < classes.count; i++) {
        if (only && strcmp(classes.items[i], only) != 0)
            continue;
        char *path = memory_printf("sys/class/%s/%s", classes.items[i], name);
        char *link = memory_printf("%s/device", path);
        is_known |= place_of_path(set, host, tree, path);
        place_of_path(set, host, tree, link);
        free(link);
        free(path);
    }
    tree_finish_names(&classes);
    return is_known;
}

bool place_of_file(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *path) {
    static const char dev[] = "/dev/";
    const char *name = path + strlen(dev);
    struct stat status;
    char number[64];

    if (!text_starts_with(path, dev) || text_starts_with(name, "pts/"))
        return false;
    if (place_of_special_file(set, host, tree, name) ||
        place_of_node(set, block_path_find(&host->block, tree, path)))
        return true;
    if (tree_stat(tree, path, &status) && (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode))) {
        snprintf(number, sizeof number, "%u:%u", major(status.st_rdev), minor(status.st_rdev));
        if (place_of_sysfs_number(set, host, tree, number, S_ISBLK(status.st_mode)))
            return true;
    }
    if (place_of_class(set, host, tree, name))
        return true;
    char *resolved = tree_resolve(tree, path);
    const char *target =
        resolved && text_starts_with(resolved, dev + 1) && strcmp(resolved, path + 1) != 0
            ? resolved + strlen(dev + 1)
            : NULL;
    bool is_known = target && (place_of_special_file(set, host, tree, target) ||
                               place_of_class(set, host, tree, target));
    free(resolved);
    if (is_known)
        return true;
    bool is_block = false;
    char *known = place_udev_number(tree, name, &is_block);
    is_known = known && place_of_sysfs_number(set, host, tree, known, is_block);
    free(known);
    return is_known;
}

/* The kernel's own names of disks are in sysfs; if one is not, the disk is gone. */
bool place_is_unknown_disk(const struct tree *tree, const char *path) {
    return text_starts_with(path, "/dev/") && strchr(path + strlen("/dev/"), '/') &&
           !tree_has(tree, "dev");
}

bool place_is_unknown_usb(const struct tree *tree, const char *path) {
    static const struct {
        const char *start, *class; /* NULL: udev's links */
    } files[] = {
        {"/dev/ttyUSB", "tty"},    {"/dev/ttyACM", "tty"},   {"/dev/input/event", "input"},
        {"/dev/hidraw", "hidraw"}, {"/dev/usb/", "usbmisc"}, {"/dev/video", "video4linux"},
        {"/dev/serial/", NULL},    {"/dev/input/by-", NULL}, {"/dev/v4l/by-", NULL},
        {"/dev/snd/by-", NULL},
    };

    if (tree_has(tree, "dev"))
        return false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (text_starts_with(path, files[i].start)) {
            char *class = files[i].class ? memory_printf("sys/class/%s", files[i].class) : NULL;
            bool is_listed = class && tree_has(tree, class);
            free(class);
            return !is_listed;
        }
    return false;
}

/* ---- What has no device file ---- */

bool place_of_interface(struct device_set *set, const struct host *host, const struct tree *tree,
                        const char *name, bool is_tap) {
    char *directory = memory_printf("sys/class/net/%s", name);
    char *master = is_tap && !strchr(name, '/') ? tree_link_name(tree, directory, "master") : NULL;
    bool is_known = place_of_node(set, graph_find(&host->net, name));

    if (master)
        place_of_node(set, graph_find(&host->net, master));
    free(master);
    free(directory);
    return is_known;
}

bool place_of_mdev(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *uuid) {
    char *path = memory_printf("sys/bus/mdev/devices/%s", uuid);
    bool is_name = !strchr(uuid, '/'), is_known = is_name && place_of_path(set, host, tree, path);

    free(path);
    for (size_t i = 0; is_name && i < host->count && !is_known; i++) {
        path = memory_printf("sys/bus/pci/devices/%s/%s", host->devices[i].address, uuid);
        is_known = place_of_path(set, host, tree, path);
        free(path);
    }
    return is_known;
}

/* Of the first disk whose path in sysfs has that part. */
static bool place_of_disk_below(struct device_set *set, const struct host *host, const char *part) {
    for (size_t i = 0; i < host->block.nodes.count; i++) {
        const struct node *node = host->block.nodes.items[i];
        if (node->path && strstr(node->path, part))
            return place_of_node(set, node);
    }
    return false;
}

/* Of the adapter that such a disk is on, without the disk itself. */
static bool place_of_adapter(struct device_set *set, const struct host *host, const char *part) {
    for (size_t i = 0; i < host->block.nodes.count; i++) {
        const char *path = host->block.nodes.items[i]->path;
        const char *found = path ? strstr(path, part) : NULL;
        if (!found)
            continue;
        char *above = memory_strndup(path, (size_t)(found - path));
        place_add_path(set, host, above);
        free(above);
        return true;
    }
    return false;
}

/* A SCSI device that the kernel, or a copy of the host, does not list may still be seen by a disk:
 * its own, or at least another one of its adapter. */
bool place_of_scsi(struct device_set *set, const struct host *host, const struct tree *tree,
                   const char *address) {
    char *path = memory_printf("sys/bus/scsi/devices/%s", address);
    char *device = memory_printf("/%s/", address);
    char *adapter = memory_printf("/host%.*s/", (int)strcspn(address, ":"), address);
    bool is_known = place_of_path(set, host, tree, path) ||
                    place_of_disk_below(set, host, device) || place_of_adapter(set, host, adapter);

    free(adapter);
    free(device);
    free(path);
    return is_known;
}

static void place_of_unit(struct device_set *set, const struct host *host, const struct tree *tree,
                          const char *directory) {
    struct names files = tree_list(tree, directory);

    for (size_t i = 0; i < files.count; i++) {
        char *path = memory_printf("%s/%s", directory, files.items[i]);
        char *node = tree_attribute(tree, path, "udev_path");
        if (node && *node)
            place_of_file(set, host, tree, node);
        free(node);
        free(path);
    }
    tree_finish_names(&files);
}

bool place_of_vhost(struct device_set *set, const struct host *host, const struct tree *tree,
                    const char *wwpn) {
    char *target = memory_printf(CONFIGFS_VHOST "/%s", wwpn);
    struct names groups = tree_list(tree, target);
    bool is_known = !strchr(wwpn, '/') && tree_has(tree, target);

    for (size_t i = 0; i < groups.count && is_known; i++) {
        char *directory = memory_printf("%s/%s/lun", target, groups.items[i]);
        struct names units = tree_list(tree, directory);
        for (size_t j = 0; j < units.count; j++) {
            char *unit = memory_printf("%s/%s", directory, units.items[j]);
            place_of_unit(set, host, tree, unit);
            free(unit);
        }
        tree_finish_names(&units);
        free(directory);
    }
    tree_finish_names(&groups);
    free(target);
    return is_known;
}

/* "/dev/vg" of "<target><path>/dev/vg</path>"; the caller frees it. NULL: files, or none. */
static char *place_pool_directory(const struct tree *tree, const char *pool) {
    char *path = memory_printf("etc/libvirt/storage/%s.xml", pool);
    char *text = tree_read(tree, path);
    const char *target = text ? strstr(text, "<target>") : NULL;
    const char *start = target ? strstr(target, "<path>") : NULL, *end = NULL;

    if (start)
        end = strstr(start += strlen("<path>"), "</path>");
    char *directory = end    ? memory_strndup(start, (size_t)(end - start))
                      : text ? NULL
                             : memory_printf("/dev/%s", pool);
    free(text);
    free(path);
    return directory;
}

bool place_of_volume(struct device_set *set, const struct host *host, const struct tree *tree,
                     const char *name) {
    const char *slash = strchr(name, '/');
    char *pool = memory_strndup(name, slash ? (size_t)(slash - name) : 0);
    char *directory = slash && *pool != '.' ? place_pool_directory(tree, pool) : NULL;
    char *node = directory ? memory_printf("%s%s", directory, slash) : NULL;
    bool is_known = node && place_of_file(set, host, tree, node);

    free(node);
    free(directory);
    free(pool);
    return is_known;
}
