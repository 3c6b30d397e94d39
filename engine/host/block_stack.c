#include "engine/host/block_stack.h"

#include "engine/host/block_path.h"
#include "engine/host/place.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK "sys/class/block"
#define BLOCK_OF_OLD_KERNELS "sys/block"
#define BCACHE "sys/fs/bcache"
#define BTRFS "sys/fs/btrfs"
#define DRBD "etc/drbd.d"

static const char bcache_set[] = "a bcache set", digits[] = "0123456789";

/* ---- sysfs ---- */

/* The controllers of an NVMe disk with native multipath are links in the directory of its
 * subsystem. */
static void block_stack_place_on_controllers(struct usage *usage, struct node *node,
                                             const char *directory) {
    struct names files = tree_list(usage->tree, directory);

    for (size_t i = 0; i < files.count; i++) {
        uint32_t number = 0;
        if (!text_starts_with(files.items[i], "nvme") ||
            !text_parse_decimal(files.items[i] + strlen("nvme"), UINT32_MAX, &number))
            continue;
        char *link = memory_printf("%s/%s", directory, files.items[i]);
        char *path = tree_resolve(usage->tree, link);
        if (path)
            place_add_path(&node->devices, usage->host, path);
        free(path);
        free(link);
    }
    tree_finish_names(&files);
}

static void block_stack_place_on_subsystem(struct usage *usage, struct node *node) {
    const char *name = strstr(node->path, "/nvme-subsys");
    if (!name)
        return;
    /* "/nvme-subsystem/nvme-subsys0/nvme0n1": the subsystem follows the class. */
    const char *next = strstr(name + 1, "/nvme-subsys");
    name = (next ? next : name) + 1;
    size_t length = strcspn(name, "/");
    char *directory = memory_strndup(node->path, (size_t)(name - node->path) + length);
    char *by_class = memory_printf("sys/class/nvme-subsystem/%.*s", (int)length, name);

    block_stack_place_on_controllers(usage, node, directory);
    block_stack_place_on_controllers(usage, node, by_class);
    free(directory);
    free(by_class);
}

/* "nvme0c1n2" is the path through controller 1 to "nvme0n2"; it has no device file. */
static void block_stack_link_to_multipath(struct usage *usage, struct node *node) {
    if (!text_starts_with(node->name, "nvme"))
        return;
    size_t subsystem = strlen("nvme") + strspn(node->name + strlen("nvme"), digits);
    const char *space = node->name + subsystem + 1;
    if (node->name[subsystem] != 'c' || *(space += strspn(space, digits)) != 'n')
        return;
    char *name = memory_printf("%.*s%s", (int)subsystem, node->name, space);
    struct node *disk = graph_get(&usage->host->block, name);
    node->is_hidden = true;
    graph_link(node, disk);
    place_add_path(&disk->devices, usage->host, node->path);
    free(name);
}

/* A directory of links in that of a block device, which few have. */
static struct names block_stack_list(const struct usage *usage, int directory, const char *path,
                                     const char *name) {
    struct names names = {0};
    if (tree_directory_lacks(directory, name))
        return names;
    char *list = memory_printf("%s/%s", path, name);
    names = tree_list(usage->tree, list);
    free(list);
    return names;
}

static void block_stack_read_edges(struct usage *usage, const struct node *node, int directory,
                                   const char *path) {
    struct graph *graph = &usage->host->block;
    struct names above = block_stack_list(usage, directory, path, "holders");
    struct names below = block_stack_list(usage, directory, path, "slaves");

    for (size_t i = 0; i < above.count; i++)
        graph_link_names(graph, node->name, above.items[i]);
    for (size_t i = 0; i < below.count; i++)
        graph_link_names(graph, below.items[i], node->name);
    tree_finish_names(&above);
    tree_finish_names(&below);
}

static void block_stack_read_directory(struct usage *usage, struct node *node, int directory,
                                       const char *path) {
    if (!node->path)
        node->path = tree_resolve(usage->tree, path);
    if (!node->path)
        return;
    node->number = tree_attribute_at(usage->tree, directory, path, "dev");
    if (text_starts_with(node->name, "dm-"))
        node->label = tree_attribute(usage->tree, path, "dm/name");
    if (node->label && !*node->label) {
        free(node->label);
        node->label = NULL;
    }
    place_add_path(&node->devices, usage->host, node->path);
    if (!node->devices.count) { /* on an old kernel a link leads to the device */
        char *link = memory_printf("%s/device", path);
        char *device = tree_resolve(usage->tree, link);
        if (device)
            place_add_path(&node->devices, usage->host, device);
        free(device);
        free(link);
    }
    block_stack_place_on_subsystem(usage, node);
    block_stack_link_to_multipath(usage, node);
    block_stack_read_edges(usage, node, directory, path);
    node->lacks_bcache = tree_directory_lacks(directory, "bcache");
}

/* Returns the directory, open; -1: it cannot be opened, which who reads it by its path notes. */
static int block_stack_read_node(struct usage *usage, struct node *node, const char *path,
                                 const struct tree_directory *parent) {
    struct tree quiet = *usage->tree;
    quiet.faults = NULL;
    struct tree_directory directory = tree_enter_entry(&quiet, parent, node->name, path);
    node->path = directory.place;
    block_stack_read_directory(usage, node, directory.fd, path);
    return directory.fd;
}

static void block_stack_close(int directory) {
    if (directory >= 0)
        close(directory);
}

static void block_stack_add_partition(struct node *disk, struct node *partition) {
    if (partition->disk || partition == disk)
        return;
    partition->disk = disk;
    graph_link(disk, partition);
}

/* The directory of a partition is in that of its disk. */
static void block_stack_read_partitions(struct usage *usage, struct node *disk, int directory,
                                        const char *path) {
    struct names files =
        directory < 0 ? tree_list(usage->tree, path) : tree_list_at(usage->tree, directory, path);
    const struct tree_directory parent = {directory, disk->path};

    for (size_t i = 0; i < files.count; i++) {
        if (!text_starts_with(files.items[i], disk->name))
            continue;
        char *below = memory_printf("%s/%s", path, files.items[i]);
        struct node *partition = graph_get(&usage->host->block, files.items[i]);
        if (!partition->path)
            block_stack_close(block_stack_read_node(usage, partition, below, &parent));
        block_stack_add_partition(disk, partition);
        free(below);
    }
    tree_finish_names(&files);
}

static void block_stack_read_class(struct usage *usage, const char *class) {
    struct tree_directory parent = tree_enter(usage->tree, class);
    struct names names = tree_list_at(usage->tree, parent.fd, class);

    for (size_t i = 0; i < names.count; i++) {
        struct node *node = graph_get(&usage->host->block, names.items[i]);
        if (node->path)
            continue;
        char *path = memory_printf("%s/%s", class, names.items[i]);
        int directory = block_stack_read_node(usage, node, path, &parent);
        block_stack_read_partitions(usage, node, directory, path);
        block_stack_close(directory);
        free(path);
    }
    tree_leave(&parent);
    tree_finish_names(&names);
}

/* The disk of a partition whose directory is elsewhere, by the kernel's names: "sda1" is of "sda",
 * and "nvme0n1p1" of "nvme0n1", as a name that ends with a digit gets a "p". */
static void block_stack_find_disk_of(struct graph *graph, struct node *node) {
    size_t length = strlen(node->name), end = length;

    while (end && strchr(digits, node->name[end - 1]))
        end--;
    if (node->disk || end == length)
        return;
    if (end > 1 && node->name[end - 1] == 'p' && strchr(digits, node->name[end - 2]))
        end--;
    char *name = memory_strndup(node->name, end);
    struct node *disk = graph_find(graph, name);
    if (disk)
        block_stack_add_partition(disk, node);
    free(name);
}

static void block_stack_read_sysfs(struct usage *usage) {
    struct graph *graph = &usage->host->block;

    block_stack_read_class(usage, BLOCK);
    block_stack_read_class(usage, BLOCK_OF_OLD_KERNELS);
    if (!tree_has(usage->tree, BLOCK) && !tree_has(usage->tree, BLOCK_OF_OLD_KERNELS))
        usage_note_missing(usage, BLOCK);
    for (size_t i = 0; i < graph->nodes.count; i++)
        block_stack_find_disk_of(graph, graph->nodes.items[i]);
}

/* ---- md, and Unraid's own driver of arrays ---- */

/* "md0 : active raid1 sda1[0] sdb1[1](F)" */
static void block_stack_read_array(struct usage *usage, char *line) {
    const char *name = text_next_field(&line), *field = name ? text_next_field(&line) : NULL;

    if (!field || strcmp(field, ":") != 0)
        return;
    while ((field = text_next_field(&line))) {
        size_t length = strcspn(field, "[");
        if (!field[length])
            continue;
        char *member = memory_strndup(field, length);
        if (graph_find(&usage->host->block, member))
            graph_link_names(&usage->host->block, member, name);
        free(member);
    }
}

/* "rdevName.1=sdd" and "diskName.1=md1" in Unraid's /proc/mdstat. A parity disk has a slot without
 * an array of its own, and a stopped array uses nothing. */
static void block_stack_read_unraid(struct usage *usage, const char *text) {
    static const char slot[] = "rdevName.";
    bool is_running = strstr(text, "mdState=") && !strstr(text, "mdState=STOPPED");
    char *copy = memory_strdup(text), *rest = copy, *value = NULL;

    for (const char *line; is_running && (line = text_next_line(&rest));) {
        if (!text_starts_with(line, slot))
            continue;
        unsigned long number = strtoul(line + strlen(slot), &value, 10);
        if (*value != '=' || !value[1])
            continue;
        char *key = memory_printf("\ndiskName.%lu=", number);
        const char *found = strstr(text, key), *name = found ? found + strlen(key) : "";
        size_t length = strcspn(name, "\n");
        char *array = length ? memory_strndup(name, length) : memory_strdup("the array of Unraid");
        graph_link_names(&usage->host->block, value + 1, array);
        free(array);
        free(key);
    }
    free(copy);
}

/* ---- bcache ---- */

/* The disk whose "bcache" directory the link leads to; the caller frees it. */
static char *block_stack_bcache_disk(const struct tree *tree, const char *link) {
    char *path = tree_has(tree, link) ? tree_resolve(tree, link) : NULL;
    char *end = path ? strrchr(path, '/') : NULL, *name = NULL;

    if (end && strcmp(end, "/bcache") == 0) {
        *end = '\0';
        name = memory_strdup(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    }
    free(path);
    return name;
}

/* bcache0 has a link to the directory of its backing disk, and each disk of a set its own. */
static void block_stack_read_bcache_node(struct usage *usage, const struct node *node) {
    char *link = node->path && !node->lacks_bcache ? memory_printf("%s/bcache", node->path) : NULL;
    char *disk = link ? block_stack_bcache_disk(usage->tree, link) : NULL;

    if (disk && strcmp(disk, node->name) != 0)
        graph_link_names(&usage->host->block, disk, node->name);
    else if (disk)
        graph_link_names(&usage->host->block, node->name, bcache_set);
    free(disk);
    free(link);
}

static void block_stack_read_bcache(struct usage *usage) {
    struct graph *graph = &usage->host->block;
    struct names sets = tree_list(usage->tree, BCACHE);

    for (size_t i = 0, count = graph->nodes.count; i < count; i++)
        block_stack_read_bcache_node(usage, graph->nodes.items[i]);
    for (size_t i = 0; i < sets.count; i++) { /* the kernel lists the members of each set */
        char *directory = memory_printf(BCACHE "/%s", sets.items[i]);
        struct names files = tree_list(usage->tree, directory);
        for (size_t j = 0; j < files.count; j++) {
            if (!text_starts_with(files.items[j], "cache") &&
                !text_starts_with(files.items[j], "bdev"))
                continue;
            char *link = memory_printf("%s/%s", directory, files.items[j]);
            char *disk = block_stack_bcache_disk(usage->tree, link);
            if (disk)
                graph_link_names(graph, disk, bcache_set);
            free(disk);
            free(link);
        }
        tree_finish_names(&files);
        free(directory);
    }
    tree_finish_names(&sets);
}

/* ---- loop and zram: one on a whole disk leaves no trace in `holders` ---- */

static void block_stack_read_backing(struct usage *usage, struct node *node) {
    const char *attribute = text_starts_with(node->name, "loop")   ? "loop/backing_file"
                            : text_starts_with(node->name, "zram") ? "backing_dev"
                                                                   : NULL;
    char *file =
        attribute && node->path ? tree_attribute(usage->tree, node->path, attribute) : NULL;
    struct node *lower = file ? block_path_find(&usage->host->block, usage->tree, file) : NULL;

    if (lower)
        graph_link(lower, node);
    free(file);
}

/* ---- btrfs: one file system on all its disks, which the kernel lists while it is mounted ---- */

static void block_stack_read_btrfs(struct usage *usage) {
    struct graph *graph = &usage->host->block;
    struct names systems = tree_list(usage->tree, BTRFS);

    for (size_t i = 0; i < systems.count; i++) {
        char *directory = memory_printf(BTRFS "/%s/devices", systems.items[i]);
        struct names members = tree_list(usage->tree, directory);
        for (size_t j = 0; j < members.count; j++) {
            struct node *whole = graph_get(graph, directory);
            whole->is_hidden = whole->has_file_system = true;
            graph_link(graph_get(graph, members.items[j]), whole);
        }
        tree_finish_names(&members);
        free(directory);
    }
    tree_finish_names(&systems);
}

/* ---- DRBD: only its configuration says what it is on ---- */

/* "disk /dev/vg0/data;", anywhere in a line. */
static void block_stack_read_drbd_line(struct usage *usage, char *line) {
    struct graph *graph = &usage->host->block;

    for (const char *word, *before = ""; (word = text_next_field(&line)); before = word) {
        if (strcmp(before, "disk") != 0)
            continue;
        char *path = memory_strndup(word, strcspn(word, ";"));
        struct node *node = block_path_find(graph, usage->tree, path);
        if (node)
            graph_link(node, graph_get(graph, "DRBD"));
        free(path);
    }
}

static void block_stack_read_drbd(struct usage *usage) {
    const struct graph *graph = &usage->host->block;
    bool has_drbd = false;

    for (size_t i = 0; i < graph->nodes.count; i++)
        has_drbd |= text_starts_with(graph->nodes.items[i]->name, "drbd");
    if (!has_drbd)
        return;
    struct names files = tree_list(usage->tree, DRBD);
    usage_each_line(usage, tree_read(usage->tree, "etc/drbd.conf"), block_stack_read_drbd_line);
    for (size_t i = 0; i < files.count; i++) {
        char *path = memory_printf(DRBD "/%s", files.items[i]);
        usage_each_line(usage, tree_read(usage->tree, path), block_stack_read_drbd_line);
        free(path);
    }
    tree_finish_names(&files);
    if (!graph_find(graph, "DRBD"))
        usage_note_missing(usage, DRBD);
}

void block_stack_read(struct usage *usage) {
    struct graph *graph = &usage->host->block;

    block_stack_read_sysfs(usage);
    char *arrays = tree_read(usage->tree, "proc/mdstat");
    if (arrays)
        block_stack_read_unraid(usage, arrays);
    usage_each_line(usage, arrays, block_stack_read_array);
    block_stack_read_bcache(usage);
    for (size_t i = 0; i < graph->nodes.count; i++)
        block_stack_read_backing(usage, graph->nodes.items[i]);
    block_stack_read_btrfs(usage);
    block_stack_read_drbd(usage);
}
