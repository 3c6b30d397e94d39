/*
 * Facts: the classes tty, block and input of sysfs; udev's rules 60-serial, 60-persistent-storage
 * and 60-persistent-input, which make the links below /dev; the record of udev's database, whose
 * lines "S:" are the links, for a copy of a host without /dev.
 */
#include "engine/host/device_files.h"

#include "engine/host/place.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, CLASS_NVME = 0x0108 };

/* ---- The files ---- */

/* The virtual terminals, of which each host has 64, and what else is not a serial port. */
static bool device_files_is_terminal(const char *name) {
    static const char *const names[] = {"tty", "console", "ptmx"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return text_starts_with(name, "tty") && isdigit((unsigned char)name[3]);
}

static void device_files_read_class(struct host *host, const struct tree *tree,
                                    enum device_file_kind kind) {
    const char *class = kind == FILE_TTY ? "sys/class/tty" : "sys/class/input";
    const char *directory = kind == FILE_TTY ? "/dev" : "/dev/input";
    struct names names = tree_list(tree, class);

    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        if (kind == FILE_TTY ? device_files_is_terminal(name) : !text_starts_with(name, "event"))
            continue;
        char *link = memory_printf("%s/%s", class, name), *path = tree_resolve(tree, link);
        const struct device *device = path ? place_nearest(host, path) : NULL;
        if (device)
            device_add_file(&host->devices[device - host->devices], kind,
                            memory_printf("%s/%s", directory, name));
        free(path);
        free(link);
    }
    tree_finish_names(&names);
}

static void device_files_add_disk(struct device *device, const struct tree *tree,
                                  const struct node *node) {
    char *size = tree_attribute(tree, node->path, "size");
    char *readonly = tree_attribute(tree, node->path, "ro");
    struct device_file *file =
        device_add_file(device, FILE_BLOCK, memory_printf("/dev/%s", node->name));

    for (char *at = file->path; (at = strchr(at, '!'));) /* "cciss!c0d0" */
        *at = '/';
    file->size = size ? strtoull(size, NULL, 10) * SECTOR : 0;
    file->is_empty = size && file->size == 0;
    file->readonly = readonly && strcmp(readonly, "1") == 0;
    free(readonly);
    free(size);
}

/* A namespace of NVMe with several paths is a file of each of its controllers. */
static void device_files_add_multipath(struct host *host, const struct tree *tree,
                                       const struct node *node) {
    for (size_t i = 0; i < node->devices.count; i++) {
        struct device *device = &host->devices[node->devices.items[i]];
        if (device->bus == BUS_PCI && device->class_code >> 8 == CLASS_NVME)
            device_files_add_disk(device, tree, node);
    }
}

/* Where an old kernel has no directory below the device's, a link leads to the device. */
static const struct device *device_files_device_of(const struct host *host, const struct tree *tree,
                                                   const struct node *node) {
    const struct device *device = place_nearest(host, node->path);
    if (device)
        return device;
    char *link = memory_printf("%s/device", node->path), *path = tree_resolve(tree, link);
    device = path ? place_nearest(host, path) : NULL;
    free(path);
    free(link);
    return device;
}

/* Flash that a controller of the chipset shows as a disk has the firmware on it. */
static void device_files_read_disks(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < host->block.nodes.count; i++) {
        const struct node *node = host->block.nodes.items[i];
        if (!node->path || node->disk || node->is_hidden || !node->devices.count ||
            text_starts_with(node->name, "mtdblock"))
            continue;
        const struct device *device = device_files_device_of(host, tree, node);
        if (!device) {
            device_files_add_multipath(host, tree, node);
            continue;
        }
        device_files_add_disk(&host->devices[device - host->devices], tree, node);
        const struct device *usb = device->above && device->above_bus == BUS_USB
                                       ? host_find(host, BUS_USB, device->above)
                                       : NULL;
        if (usb)
            device_files_add_disk(&host->devices[usb - host->devices], tree, node);
    }
}

/* ---- The links to them ---- */

struct link {
    enum device_file_kind kind;
    char *target; /* the last part of the file's path: "sda" */
    char *path;   /* "/dev/disk/by-id/..." */
    unsigned rank;
};

struct links {
    struct link *list; /* by kind and target, the best first */
    size_t count;
};

static const struct {
    enum device_file_kind kind;
    const char *directory; /* below /dev */
} link_directories[] = {
    {FILE_TTY, "serial/by-id"},   {FILE_TTY, "serial/by-path"}, {FILE_BLOCK, "disk/by-id"},
    {FILE_BLOCK, "disk/by-path"}, {FILE_EVENT, "input/by-id"},  {FILE_EVENT, "input/by-path"},
};

enum { DIRECTORIES = sizeof link_directories / sizeof *link_directories, RANK_BY_PATH = 100 };

/*
 * How good a link is; the less, the better. Of those by id the first have model and serial number,
 * which people can compare with the label; the others a number of the interface.
 */
static unsigned device_files_rank(const char *directory, const char *name) {
    static const char *const starts[] = {"usb-",  "ata-",   "nvme-eui.", "nvme-uuid.", "nvme-nvme.",
                                         "nvme-", "scsi-S", "mmc-",      "virtio-"};
    static const unsigned ranks[] = {0, 0, 4, 4, 4, 0, 0, 0, 0};

    if (strstr(directory, "by-path"))
        return RANK_BY_PATH;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (text_starts_with(name, starts[i]))
            return ranks[i];
    return text_starts_with(name, "scsi-") ? 2 : text_starts_with(name, "wwn-") ? 4 : 3;
}

static void device_files_add_link(struct links *links, size_t directory, const char *name,
                                  char *target) {
    const char *below = link_directories[directory].directory;
    links->list = memory_grow(links->list, links->count, sizeof *links->list);
    struct link *link = &links->list[links->count++];
    link->kind = link_directories[directory].kind;
    link->target = target;
    link->path = memory_printf("/dev/%s/%s", below, name);
    link->rank = device_files_rank(below, name);
}

/* The length decides before the letters: udev makes "nvme-MODEL_SERIAL" and "nvme-MODEL_SERIAL_1".
 */
static int device_files_by_target(const void *a, const void *b) {
    const struct link *left = a, *right = b;
    size_t one = strlen(left->path), other = strlen(right->path);
    int order = strcmp(left->target, right->target);

    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (order)
        return order;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return one != other ? (one < other ? -1 : 1) : strcmp(left->path, right->path);
}

static void device_files_list_links(const struct tree *tree, struct links *links) {
    for (size_t i = 0; i < DIRECTORIES; i++) {
        char *path = memory_printf("dev/%s", link_directories[i].directory);
        struct names names = tree_list(tree, path);
        int directory = names.count ? tree_directory(tree, path) : -1;
        for (size_t j = 0; directory >= 0 && j < names.count; j++) {
            char *target = tree_directory_link_name(directory, names.items[j]);
            if (target)
                device_files_add_link(links, i, names.items[j], target);
        }
        if (directory >= 0)
            close(directory);
        tree_finish_names(&names);
        free(path);
    }
}

static const char *device_files_last_part(const char *path) {
    return strrchr(path, '/') + 1;
}

/* From udev's record of the file, "S:disk/by-id/...". */
static void device_files_read_record(const struct tree *tree, struct links *links,
                                     const struct device_file *file) {
    const char *name = device_files_last_part(file->path);
    const char *class = file->kind == FILE_TTY     ? "sys/class/tty"
                        : file->kind == FILE_BLOCK ? "sys/class/block"
                                                   : "sys/class/input";
    char *entry = memory_printf("%s/%s", class, name);
    char *number = tree_attribute(tree, entry, "dev");
    char *path =
        number ? memory_printf(UDEV_RECORDS "/%c%s", file->kind == FILE_BLOCK ? 'b' : 'c', number)
               : NULL;
    char *text = path ? tree_read(tree, path) : NULL, *rest = text;

    for (const char *line; rest && (line = text_next_line(&rest));)
        for (size_t i = 0; i < DIRECTORIES && text_starts_with(line, "S:"); i++) {
            const char *directory = link_directories[i].directory, *below = line + strlen("S:");
            size_t length = strlen(directory);
            if (text_starts_with(below, directory) && below[length] == '/')
                device_files_add_link(links, i, below + length + 1, memory_strdup(name));
        }
    free(text);
    free(path);
    free(number);
    free(entry);
}

/* Of the kinds that have no link in /dev. */
static void device_files_read_records(const struct host *host, const struct tree *tree,
                                      struct links *links) {
    bool has_links[FILE_EVENT + 1] = {false};

    for (size_t i = 0; i < links->count; i++)
        has_links[links->list[i].kind] = true;
    for (size_t i = 0; i < host->count; i++)
        for (size_t j = 0; j < host->devices[i].file_count; j++)
            if (!has_links[host->devices[i].files[j].kind])
                device_files_read_record(tree, links, &host->devices[i].files[j]);
}

/* The first link of the file, or where it would be. */
static size_t device_files_find_links(const struct links *links, const struct device_file *file,
                                      const char *target) {
    size_t low = 0, high = links->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct link *link = &links->list[middle];
        int order = link->kind != file->kind ? (link->kind < file->kind ? -1 : 1)
                                             : strcmp(link->target, target);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void device_files_set_links(const struct links *links, struct device_file *file) {
    const char *target = device_files_last_part(file->path);

    for (size_t i = device_files_find_links(links, file, target);
         i < links->count && links->list[i].kind == file->kind &&
         strcmp(links->list[i].target, target) == 0;
         i++) {
        bool is_known =
            file->link_count && !strcmp(file->links[file->link_count - 1], links->list[i].path);
        if (is_known)
            continue;
        file->links = memory_grow(file->links, file->link_count, sizeof *file->links);
        file->links[file->link_count++] = memory_strdup(links->list[i].path);
    }
}

/* Two devices may claim one link, and only /dev tells which has it; a copy of a host may have
 * nothing but their claims. */
static void device_files_read_links(struct host *host, const struct tree *tree) {
    struct links links = {0};

    device_files_list_links(tree, &links);
    if (*tree->root && (tree_has(tree, UDEV_RECORDS) || !tree_is_absence(errno)))
        device_files_read_records(host, tree, &links);
    if (links.count)
        qsort(links.list, links.count, sizeof *links.list, device_files_by_target);
    for (size_t i = 0; i < host->count; i++)
        for (size_t j = 0; j < host->devices[i].file_count; j++)
            device_files_set_links(&links, &host->devices[i].files[j]);
    for (size_t i = 0; i < links.count; i++) {
        free(links.list[i].target);
        free(links.list[i].path);
    }
    free(links.list);
}

void device_files_read(struct host *host, const struct tree *tree) {
    device_files_read_class(host, tree, FILE_TTY);
    device_files_read_disks(host, tree);
    device_files_read_class(host, tree, FILE_EVENT);
    device_files_read_links(host, tree);
}
