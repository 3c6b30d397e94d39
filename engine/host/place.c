#include "engine/host/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lexer/memory.h"
#include "lexer/text.h"

#define CONFIGFS_VHOST "sys/kernel/config/target/vhost"

static bool place_starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

void place_add(struct place_list *list, size_t device) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == device)
            return;
    list->items = memory_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count++] = device;
}

static void place_add_part(struct place_list *list, const struct host *host, const char *part) {
    const struct device *device = host_find(host, BUS_PCI, part);
    const struct device *physical =
        device && device->physical ? host_find(host, BUS_PCI, device->physical) : NULL;

    if (!device)
        device = host_find(host, BUS_USB, part);
    if (device)
        place_add(list, (size_t)(device - host->devices));
    if (physical)
        place_add(list, (size_t)(physical - host->devices));
}

static void place_add_parts(struct place_list *list, const struct host *host, const char *path) {
    char *copy = memory_strdup(path), *rest = copy;

    for (const char *part; (part = strsep(&rest, "/"));)
        place_add_part(list, host, part);
    free(copy);
}

/* A copy of a host may have a link whose end it lacks: its text still says where that is. */
static bool place_is_there(const struct tree *tree, const char *path) {
    const char *slash = strrchr(path, '/');
    char *directory = memory_strndup(path, slash ? (size_t)(slash - path) : 0);
    char *link = tree_has(tree, path) || !slash ? NULL : tree_link_name(tree, directory, slash + 1);
    bool is = link || tree_has(tree, path);

    free(link);
    free(directory);
    return is;
}

bool place_of_path(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *path) {
    char *resolved = place_is_there(tree, path) ? tree_resolve(tree, path) : NULL;
    bool found = resolved != NULL;

    if (found)
        place_add_parts(list, host, resolved);
    free(resolved);
    return found;
}

bool place_of_device(struct place_list *list, const struct host *host, const struct tree *tree,
                     const struct device *device) {
    char *path = memory_printf("sys/bus/%s/devices/%s", device->bus == BUS_PCI ? "pci" : "usb",
                               device->address);

    place_add(list, (size_t)(device - host->devices));
    place_add_part(list, host, device->address); /* and its physical function */
    place_of_path(list, host, tree, path);
    free(path);
    return true;
}

static bool place_add_node(struct place_list *list, const struct host_node *node) {
    for (size_t i = 0; node && i < node->device_count; i++)
        place_add(list, node->devices[i]);
    return node;
}

/* ---- nodes of /dev ---- */

static bool place_of_number(struct place_list *list, const struct host *host,
                            const struct tree *tree, const char *path) {
    struct stat status;

    if (!tree_stat(tree, path, &status) || !(S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode)))
        return false;
    char *number = memory_printf("sys/dev/%s/%u:%u", S_ISBLK(status.st_mode) ? "block" : "char",
                                 (unsigned)major(status.st_rdev), (unsigned)minor(status.st_rdev));
    bool is_known = place_of_path(list, host, tree, number);
    free(number);
    return is_known;
}

/* The class that calls it so: "/dev/input/event3" is sys/class/input/event3. */
static bool place_of_class(struct place_list *list, const struct host *host,
                           const struct tree *tree, const char *file) {
    const char *name = strrchr(file, '/');
    struct names classes = tree_list(tree, "sys/class");
    bool is_known = false;

    for (size_t i = 0; i < classes.count; i++) {
        char *path = memory_printf("sys/class/%s/%s", classes.items[i], name ? name + 1 : file);
        is_known |= place_of_path(list, host, tree, path);
        char *link = memory_printf("%s/device", path);
        place_of_path(list, host, tree, link);
        free(link);
        free(path);
    }
    tree_finish_names(&classes);
    return is_known;
}

static bool place_of_usb_file(struct place_list *list, const struct host *host,
                              const struct tree *tree, const char *file) {
    static const char start[] = "bus/usb/"; /* "bus/usb/001/003" */
    const char *slash = place_starts_with(file, start) ? strchr(file + strlen(start), '/') : NULL;
    char *first =
        slash ? memory_strndup(file + strlen(start), (size_t)(slash - file) - strlen(start)) : NULL;
    uint32_t bus = 0, number = 0;
    bool is_usb = slash && text_parse_decimal(first, UINT32_MAX, &bus) &&
                  text_parse_decimal(slash + 1, UINT32_MAX, &number);

    free(first);
    if (!is_usb)
        return false;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (device->bus == BUS_USB && device->bus_number == bus && device->device_number == number)
            place_of_device(list, host, tree, device);
    }
    return true;
}

static bool place_of_vfio_group(struct place_list *list, const struct host *host,
                                const struct tree *tree, const char *file) {
    uint32_t group;

    if (!place_starts_with(file, "vfio/") ||
        !text_parse_decimal(file + strlen("vfio/"), INT32_MAX, &group))
        return false;
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI && host->devices[i].iommu_group == (int)group)
            place_of_device(list, host, tree, &host->devices[i]);
    return true;
}

/* A ZFS volume is on what its pool is on. */
static bool place_of_pool(struct place_list *list, const struct host *host, const char *file) {
    static const char zvol[] = "zvol/";

    if (!place_starts_with(file, zvol))
        return false;
    const char *pool = file + strlen(zvol);
    char *name = memory_printf("ZFS pool %.*s", (int)strcspn(pool, "/"), pool);
    bool is_known = place_add_node(list, host_node_find(host, "block", name));
    free(name);
    return is_known;
}

/* What udev called it, where the links themselves are not there. */
static char *place_number_by_udev(const struct tree *tree, const char *file) {
    struct names records = tree_list(tree, "run/udev/data");
    char *line = memory_printf("S:%s", file), *number = NULL;

    for (size_t i = 0; i < records.count && !number; i++) {
        if (*records.items[i] != 'b' && *records.items[i] != 'c')
            continue;
        char *path = memory_printf("run/udev/data/%s", records.items[i]);
        char *text = tree_read(tree, path), *rest = text;
        for (const char *one; rest && !number && (one = text_next_line(&rest));)
            if (strcmp(one, line) == 0)
                number = memory_printf("sys/dev/%s/%s", *records.items[i] == 'b' ? "block" : "char",
                                       records.items[i] + 1);
        free(text);
        free(path);
    }
    tree_finish_names(&records);
    free(line);
    return number;
}

char *place_udev_name(const struct tree *tree, const char *file) {
    char *link = strchr(file, '/') ? place_number_by_udev(tree, file) : NULL;
    char *path = link && place_is_there(tree, link) ? tree_resolve(tree, link) : NULL;
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *name = slash ? memory_strdup(slash + 1) : NULL;

    free(path);
    free(link);
    return name;
}

static bool place_of_udev(struct place_list *list, const struct host *host, const struct tree *tree,
                          const char *file) {
    char *path = strchr(file, '/') ? place_number_by_udev(tree, file) : NULL;
    bool is_known =
        path &&
        (place_add_node(list, host_node_find(host, "block", path + strlen("sys/dev/block/"))) ||
         place_of_path(list, host, tree, path));
    free(path);
    return is_known;
}

static bool place_of_file(struct place_list *list, const struct host *host, const struct tree *tree,
                          const char *file) {
    return place_of_usb_file(list, host, tree, file) ||
           place_of_vfio_group(list, host, tree, file) || place_of_class(list, host, tree, file);
}

bool place_of_node(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *path) {
    static const char dev[] = "/dev/";

    if (!place_starts_with(path, dev) || place_starts_with(path, "/dev/pts/"))
        return false;
    if (place_add_node(list, host_node_find(host, "block", path)) ||
        place_of_number(list, host, tree, path) ||
        place_of_file(list, host, tree, path + strlen(dev)) ||
        place_of_pool(list, host, path + strlen(dev)))
        return true;
    char *resolved = tree_resolve(tree, path);
    bool is_known = resolved && place_starts_with(resolved, dev + 1) &&
                    strcmp(resolved, path + 1) != 0 &&
                    place_of_file(list, host, tree, resolved + strlen(dev) - 1);
    free(resolved);
    return is_known || place_of_udev(list, host, tree, path + strlen(dev));
}

static bool place_starts_with_one_of(const char *text, const char *const *starts) {
    while (*starts && !place_starts_with(text, *starts))
        starts++;
    return *starts;
}

/* The kernel's own names of disks are in sysfs, or the disk is gone. */
bool place_is_unknown_disk(const struct tree *tree, const char *path) {
    return place_starts_with(path, "/dev/") && strchr(path + strlen("/dev/"), '/') &&
           !tree_has(tree, "dev");
}

bool place_is_unknown_usb(const struct tree *tree, const char *path) {
    static const char *const links[] = {"/dev/serial/", "/dev/input/by-", "/dev/v4l/by-",
                                        "/dev/snd/by-", NULL};
    static const struct {
        const char *start, *class;
    } nodes[] = {
        {"/dev/ttyUSB", "tty"},    {"/dev/ttyACM", "tty"},   {"/dev/input/event", "input"},
        {"/dev/hidraw", "hidraw"}, {"/dev/usb/", "usbmisc"}, {"/dev/video", "video4linux"},
    };

    if (tree_has(tree, "dev"))
        return false;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (place_starts_with(path, nodes[i].start)) {
            char *class = memory_printf("sys/class/%s", nodes[i].class);
            bool is_known = tree_has(tree, class);
            free(class);
            return !is_known;
        }
    return place_starts_with_one_of(path, links);
}

/* ---- what has no node ---- */

bool place_of_interface(struct place_list *list, const struct host *host, const struct tree *tree,
                        const char *name, bool is_tap) {
    char *directory = memory_printf("sys/class/net/%s", name);
    char *master = is_tap && !strchr(name, '/') ? tree_link_name(tree, directory, "master") : NULL;
    bool is_known = place_add_node(list, host_node_find(host, "net", name));

    if (master)
        place_add_node(list, host_node_find(host, "net", master));
    free(master);
    free(directory);
    return is_known;
}

bool place_of_mdev(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *uuid) {
    char *path = memory_printf("sys/bus/mdev/devices/%s", uuid);
    bool is_known = !strchr(uuid, '/') && place_of_path(list, host, tree, path);

    free(path);
    for (size_t i = 0; i < host->count && !is_known && !strchr(uuid, '/'); i++) {
        path = memory_printf("sys/bus/pci/devices/%s/%s", host->devices[i].address, uuid);
        is_known = place_of_path(list, host, tree, path);
        free(path);
    }
    return is_known;
}

/* A copy of a host may have one list of the two. */
static char *place_block_path(const struct tree *tree, const char *name) {
    char *path = memory_printf("sys/class/block/%s", name);
    if (tree_has(tree, path))
        return path;
    free(path);
    return memory_printf("sys/block/%s", name);
}

/* The disks whose path has that part. */
static bool place_of_disks_below(struct place_list *list, const struct host *host,
                                 const struct tree *tree, const char *part) {
    bool is_known = false;

    for (size_t i = 0; i < host->node_count && !is_known; i++) {
        if (strcmp(host->nodes[i].class, "block") != 0)
            continue;
        char *path = place_block_path(tree, host->nodes[i].name);
        char *resolved = tree_resolve(tree, path);
        is_known = resolved && strstr(resolved, part) && place_of_path(list, host, tree, path);
        free(resolved);
        free(path);
    }
    return is_known;
}

/* What the kernel does not show, a copy of a host may still show by a disk: the same, or at least
 * another one of its adapter. */
bool place_of_scsi(struct place_list *list, const struct host *host, const struct tree *tree,
                   const char *address) {
    char *path = memory_printf("sys/bus/scsi/devices/%s", address);
    char *device = memory_printf("/%s/", address);
    char *adapter = memory_printf("/host%.*s/", (int)strcspn(address, ":"), address);
    bool is_known = place_of_path(list, host, tree, path) ||
                    place_of_disks_below(list, host, tree, device) ||
                    place_of_disks_below(list, host, tree, adapter);

    free(adapter);
    free(device);
    free(path);
    return is_known;
}

static void place_of_unit(struct place_list *list, const struct host *host, const struct tree *tree,
                          const char *directory) {
    struct names files = tree_list(tree, directory);

    for (size_t i = 0; i < files.count; i++) {
        char *path = memory_printf("%s/%s", directory, files.items[i]);
        char *node = tree_attribute(tree, path, "udev_path");
        if (node && *node)
            place_of_node(list, host, tree, node);
        free(node);
        free(path);
    }
    tree_finish_names(&files);
}

bool place_of_vhost(struct place_list *list, const struct host *host, const struct tree *tree,
                    const char *wwpn) {
    char *target = memory_printf(CONFIGFS_VHOST "/%s", wwpn);
    struct names groups = tree_list(tree, target);
    bool is_known = !strchr(wwpn, '/') && tree_has(tree, target);

    for (size_t i = 0; i < groups.count && is_known; i++) {
        char *directory = memory_printf("%s/%s/lun", target, groups.items[i]);
        struct names units = tree_list(tree, directory);
        for (size_t j = 0; j < units.count; j++) {
            char *unit = memory_printf("%s/%s", directory, units.items[j]);
            place_of_unit(list, host, tree, unit);
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

bool place_of_volume(struct place_list *list, const struct host *host, const struct tree *tree,
                     const char *name) {
    const char *slash = strchr(name, '/');
    char *pool = memory_strndup(name, slash ? (size_t)(slash - name) : 0);
    char *directory = slash && *pool != '.' ? place_pool_directory(tree, pool) : NULL;
    char *node = directory ? memory_printf("%s%s", directory, slash) : NULL;
    bool is_known = node && place_of_node(list, host, tree, node);

    free(node);
    free(directory);
    free(pool);
    return is_known;
}
