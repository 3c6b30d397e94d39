/* The block devices that the host keeps anything on, and the devices that carry them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/host_node.h"
#include "engine/host/names.h"
#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#define BLOCK "sys/class/block"
#define BTRFS "sys/fs/btrfs"
#define ZFS_POOLS "proc/spl/kstat/zfs"
#define ZFS_CACHE "etc/zfs/zpool.cache"

enum {
    MOUNTINFO_FIXED_FIELDS = 6, /* id, parent, device, root, mount point, options; then "-" */
    ZFS_CACHE_LIMIT = 16 * 1024 * 1024,
    MOUNTS_FIELDS = 3, /* source, mount point, type */
    OTHER_NAMESPACE = 1U << 30,
    NOT_THE_ROOT = 1U << 29
};

/* Where the host itself sees a file system. */
struct block_stack_place {
    char *point;
    struct node *node;
};

struct disks {
    struct usage *uses;
    const struct tree *tree;
    struct graph graph;
    struct block_stack_place *places;
    size_t place_count;
};

static char *block_stack_join(const char *directory, const char *name) {
    return memory_printf("%s/%s", directory, name);
}

static void block_stack_replace(char **text, char *with) {
    free(*text);
    *text = with;
}

/* ---- What is made of what ---- */

static void block_stack_link_names(struct disks *disks, const char *lower, const char *upper) {
    graph_link(graph_get(&disks->graph, lower), graph_get(&disks->graph, upper));
}

static void block_stack_read_edges(struct disks *disks, const struct node *node,
                                   const char *directory) {
    char *holders = block_stack_join(directory, "holders"),
         *slaves = block_stack_join(directory, "slaves");
    struct names above = tree_list(disks->tree, holders), below = tree_list(disks->tree, slaves);

    for (size_t i = 0; i < above.count; i++)
        block_stack_link_names(disks, node->name, above.items[i]);
    for (size_t i = 0; i < below.count; i++)
        block_stack_link_names(disks, below.items[i], node->name);
    tree_finish_names(&above);
    tree_finish_names(&below);
    free(holders);
    free(slaves);
}

/* The controllers of an NVMe disk with native multipath are links beside it. */
static void block_stack_place_on_controllers(struct disks *disks, struct node *node,
                                             const char *directory) {
    struct names files = tree_list(disks->tree, directory);

    for (size_t i = 0; i < files.count; i++) {
        uint32_t number = 0;
        if (strncmp(files.items[i], "nvme", 4) != 0 ||
            !text_parse_decimal(files.items[i] + 4, UINT32_MAX, &number))
            continue;
        char *link = block_stack_join(directory, files.items[i]);
        char *path = tree_resolve(disks->tree, link);
        if (path)
            usage_place(disks->uses, node, path);
        free(path);
        free(link);
    }
    tree_finish_names(&files);
}

static void block_stack_place_multipath(struct disks *disks, struct node *node) {
    const char *name = strstr(node->path, "/nvme-subsys");
    if (!name)
        return;
    /* "/nvme-subsystem/nvme-subsys0/nvme0n1": the subsystem comes after the class. */
    const char *next = strstr(name + 1, "/nvme-subsys");
    name = (next ? next : name) + 1;
    size_t length = strcspn(name, "/");
    char *directory = memory_strndup(node->path, (size_t)(name - node->path) + length);
    char *by_class = memory_printf("sys/class/nvme-subsystem/%.*s", (int)length, name);

    block_stack_place_on_controllers(disks, node, directory);
    block_stack_place_on_controllers(disks, node, by_class);
    free(directory);
    free(by_class);
}

/* "nvme0n2" for "nvme0c1n2", the way to it through controller 1 that is never shown; else NULL. */
static char *block_stack_multipath_head(const char *name) {
    static const char digits[] = "0123456789", nvme[] = "nvme";
    if (strncmp(name, nvme, strlen(nvme)) != 0)
        return NULL;
    size_t subsystem = strlen(nvme) + strspn(name + strlen(nvme), digits);
    const char *space = name + subsystem + 1;
    if (name[subsystem] != 'c')
        return NULL;
    space += strspn(space, digits);
    return *space == 'n' ? memory_printf("%.*s%s", (int)subsystem, name, space) : NULL;
}

static void block_stack_link_multipath(struct disks *disks, struct node *node) {
    char *name = block_stack_multipath_head(node->name);
    if (!name)
        return;
    struct node *head = graph_get(&disks->graph, name);
    node->is_hidden = true;
    graph_link(node, head);
    usage_place(disks->uses, head, node->path);
    free(name);
}

/* Most lie in the directory of their device; else a link may lead there. */
static void block_stack_read_place(struct disks *disks, struct node *node, const char *directory) {
    char *link = block_stack_join(directory, "device");
    char *device = NULL;

    usage_place(disks->uses, node, node->path);
    if (!node->device_count)
        device = tree_resolve(disks->tree, link);
    if (device)
        usage_place(disks->uses, node, device);
    block_stack_place_multipath(disks, node);
    block_stack_link_multipath(disks, node);
    free(device);
    free(link);
}

static void block_stack_read_node(struct disks *disks, struct node *node, const char *directory) {
    node->path = tree_resolve(disks->tree, directory);
    if (!node->path)
        return;
    node->number = tree_attribute(disks->tree, directory, "dev");
    if (strncmp(node->name, "dm-", 3) == 0)
        node->label = tree_attribute(disks->tree, directory, "dm/name");
    if (node->label && !*node->label)
        block_stack_replace(&node->label, NULL);
    block_stack_read_place(disks, node, directory);
    block_stack_read_edges(disks, node, directory);
}

static void block_stack_add_partition(struct node *disk, struct node *partition) {
    if (partition->disk || partition == disk)
        return;
    partition->disk = disk;
    graph_link(disk, partition);
}

/* A partition's directory lies in that of its disk. */
static void block_stack_read_partitions(struct disks *disks, struct node *disk,
                                        const char *directory) {
    struct names files = tree_list(disks->tree, directory);

    for (size_t i = 0; i < files.count; i++) {
        if (strncmp(files.items[i], disk->name, strlen(disk->name)) != 0)
            continue;
        char *path = block_stack_join(directory, files.items[i]);
        struct node *partition = graph_get(&disks->graph, files.items[i]);
        if (!partition->path)
            block_stack_read_node(disks, partition, path);
        block_stack_add_partition(disk, partition);
        free(path);
    }
    tree_finish_names(&files);
}

static void block_stack_read_class(struct disks *disks, const char *class) {
    struct names names = tree_list(disks->tree, class);

    for (size_t i = 0; i < names.count; i++) {
        struct node *node = graph_get(&disks->graph, names.items[i]);
        if (node->path)
            continue;
        char *directory = block_stack_join(class, names.items[i]);
        block_stack_read_node(disks, node, directory);
        block_stack_read_partitions(disks, node, directory);
        free(directory);
    }
    tree_finish_names(&names);
}

/*
 * The disk of a partition whose directory lies elsewhere, by the kernel's rule for names: sda1, but
 * nvme0n1p1, with a "p" behind a digit.
 */
static void block_stack_find_disk_by_name(struct disks *disks, struct node *node) {
    size_t length = strlen(node->name), digits = length;

    while (digits && strchr("0123456789", node->name[digits - 1]))
        digits--;
    bool has_p =
        digits > 1 && node->name[digits - 1] == 'p' && strchr("0123456789", node->name[digits - 2]);
    if (node->disk || digits == length)
        return;
    char *name = memory_strndup(node->name, has_p ? digits - 1 : digits);
    struct node *disk = graph_find(&disks->graph, name);
    if (disk)
        block_stack_add_partition(disk, node);
    free(name);
}

static void block_stack_read_blocks(struct disks *disks) {
    block_stack_read_class(disks, BLOCK);
    block_stack_read_class(disks, "sys/block");
    if (!tree_has(disks->tree, BLOCK) && !tree_has(disks->tree, "sys/block"))
        usage_miss(disks->uses, BLOCK);
    for (size_t i = 0; i < disks->graph.nodes.count; i++)
        block_stack_find_disk_by_name(disks, disks->graph.nodes.items[i]);
}

/* ---- Unraid's own driver of arrays, which leaves no holders ---- */

/* Of "rdevName.3=sdb" the number and the value behind `key`; NULL: another line. */
static const char *block_stack_numbered_value(const char *line, const char *key,
                                              unsigned long *number) {
    char *end = NULL;
    if (strncmp(line, key, strlen(key)) != 0)
        return NULL;
    *number = strtoul(line + strlen(key), &end, 10);
    return *end == '=' && end[1] ? end + 1 : NULL;
}

static void block_stack_link_slot(struct disks *disks, const char *text, const char *disk,
                                  unsigned long number) {
    char *key = memory_printf("\ndiskName.%lu=", number);
    const char *found = strstr(text, key), *name = found ? found + strlen(key) : "";
    size_t length = strcspn(name, "\n");
    char *array = length ? memory_strndup(name, length) : memory_strdup("the array of Unraid");

    block_stack_link_names(disks, disk, array); /* a parity disk has no array of its own */
    free(array);
    free(key);
}

/* "diskName.1=md1" and "rdevName.1=sdd", in /proc/mdstat. A stopped array uses nothing. */
static void block_stack_read_unraid(struct disks *disks, const char *text) {
    char *copy = memory_strdup(text), *rest = copy;
    bool is_unraid = strstr(text, "mdState=") && !strstr(text, "mdState=STOPPED");

    for (const char *line; is_unraid && (line = text_next_line(&rest));) {
        unsigned long number = 0;
        const char *disk = block_stack_numbered_value(line, "rdevName.", &number);
        if (disk)
            block_stack_link_slot(disks, text, disk, number);
    }
    free(copy);
}

/* "md0 : active raid1 sda1[0] sdb1[1](F)" */
static void block_stack_read_array(struct disks *disks, char *line) {
    const char *name = text_next_field(&line), *field = name ? text_next_field(&line) : NULL;

    if (!field || strcmp(field, ":") != 0)
        return;
    while ((field = text_next_field(&line))) {
        size_t length = strcspn(field, "[");
        if (!field[length])
            continue;
        char *member = memory_strndup(field, length);
        if (graph_find(&disks->graph, member))
            block_stack_link_names(disks, member, name);
        free(member);
    }
}

/* ---- bcache ---- */

#define BCACHE "sys/fs/bcache"

/* What lies one directory above "bcache", where sysfs has a disk's part in a set. */
static char *block_stack_owner_of(const struct disks *disks, const char *link) {
    char *path = tree_has(disks->tree, link) ? tree_resolve(disks->tree, link) : NULL;
    char *end = path ? strrchr(path, '/') : NULL, *name = NULL;

    if (end && strcmp(end, "/bcache") == 0) {
        *end = '\0';
        name = memory_strdup(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    }
    free(path);
    return name;
}

/* bcache0 has a link to the part of its backing disk, and each disk of a set its own part. */
static void block_stack_read_bcache_part(struct disks *disks, struct node *node) {
    char *link = node->path ? block_stack_join(node->path, "bcache") : NULL;
    char *owner = link ? block_stack_owner_of(disks, link) : NULL;

    if (owner && strcmp(owner, node->name) != 0)
        block_stack_link_names(disks, owner, node->name);
    else if (owner)
        block_stack_link_names(disks, node->name, "a bcache set");
    free(owner);
    free(link);
}

/* The kernel lists the members of each set while it is registered. */
static void block_stack_read_bcache_set(struct disks *disks, const char *set) {
    char *directory = block_stack_join(BCACHE, set);
    struct names files = tree_list(disks->tree, directory);

    for (size_t i = 0; i < files.count; i++) {
        bool is_member =
            strncmp(files.items[i], "cache", 5) == 0 || strncmp(files.items[i], "bdev", 4) == 0;
        char *link = block_stack_join(directory, files.items[i]);
        char *owner = is_member ? block_stack_owner_of(disks, link) : NULL;
        if (owner)
            block_stack_link_names(disks, owner, "a bcache set");
        free(owner);
        free(link);
    }
    tree_finish_names(&files);
    free(directory);
}

static void block_stack_read_bcache(struct disks *disks) {
    struct names sets = tree_list(disks->tree, BCACHE);
    size_t count = disks->graph.nodes.count;

    for (size_t i = 0; i < count; i++)
        block_stack_read_bcache_part(disks, disks->graph.nodes.items[i]);
    for (size_t i = 0; i < sets.count; i++)
        block_stack_read_bcache_set(disks, sets.items[i]);
    tree_finish_names(&sets);
}

/* ---- Which of them the host uses ---- */

static struct node *block_stack_find_by_label(const struct disks *disks, const char *label) {
    for (size_t i = 0; i < disks->graph.nodes.count; i++) {
        struct node *node = disks->graph.nodes.items[i];
        if (node->label && strcmp(node->label, label) == 0)
            return node;
    }
    return NULL;
}

/* The kernel writes "cciss/c0d0" as "cciss!c0d0". */
static struct node *block_stack_find_by_name(const struct disks *disks, const char *name) {
    char *copy = memory_strdup(name);
    for (char *slash; (slash = strchr(copy, '/'));)
        *slash = '!';
    struct node *node = graph_find(&disks->graph, copy);
    free(copy);
    return node;
}

static struct node *block_stack_find_by_path(const struct disks *disks, const char *path) {
    static const char mapper[] = "mapper/";
    const char *name = path + strlen("/dev/");
    struct node *node = block_stack_find_by_name(disks, name);

    if (!node && strncmp(name, mapper, strlen(mapper)) == 0)
        node = block_stack_find_by_label(disks, name + strlen(mapper));
    if (!node && strchr(name, '/')) {
        char *label = names_volume_label(name);
        node = block_stack_find_by_label(disks, label);
        free(label);
    }
    return node;
}

/* What the kernel was told to start from stands for "/dev/root". */
static struct node *block_stack_find_root(const struct disks *disks) {
    char *line = tree_read(disks->tree, "proc/cmdline"), *rest = line;
    struct node *node = NULL;

    for (char *word; rest && (word = text_next_field(&rest));)
        if (strncmp(word, "root=/dev/", strlen("root=/dev/")) == 0) {
            word[strcspn(word, "\n")] = '\0';
            node = block_stack_find_by_path(disks, word + strlen("root="));
        }
    free(line);
    return node;
}

/* The block device called /dev/..., NULL when nothing tells. */
static struct node *block_stack_find_source(const struct disks *disks, const char *path) {
    if (strncmp(path, "/dev/", strlen("/dev/")) != 0)
        return NULL;
    struct node *node = block_stack_find_by_path(disks, path);
    if (!node) {
        char *resolved = tree_resolve(disks->tree, path);
        char *target = resolved ? memory_printf("/%s", resolved) : NULL;
        if (target && strncmp(target, "/dev/", strlen("/dev/")) == 0)
            node = block_stack_find_by_path(disks, target);
        free(target);
        free(resolved);
    }
    return node || strcmp(path, "/dev/root") != 0 ? node : block_stack_find_root(disks);
}

static struct node *block_stack_find_by_number(const struct disks *disks, const char *number) {
    if (!number || strncmp(number, "0:", 2) == 0)
        return NULL;
    for (size_t i = 0; i < disks->graph.nodes.count; i++) {
        struct node *node = disks->graph.nodes.items[i];
        if (node->number && strcmp(node->number, number) == 0)
            return node;
    }
    char *name = tree_link_name(disks->tree, "sys/dev/block", number);
    struct node *node = name ? graph_find(&disks->graph, name) : NULL;
    free(name);
    return node;
}

/* A loop device on a whole disk leaves no trace in `holders`, nor does zram's. */
static void block_stack_read_loop(struct disks *disks, struct node *node) {
    bool is_loop = strncmp(node->name, "loop", 4) == 0;
    if ((!is_loop && strncmp(node->name, "zram", 4) != 0) || !node->path)
        return;
    char *file =
        tree_attribute(disks->tree, node->path, is_loop ? "loop/backing_file" : "backing_dev");
    struct node *lower = file ? block_stack_find_source(disks, file) : NULL;
    if (lower)
        graph_link(lower, node);
    free(file);
}

static void block_stack_read_loops(struct disks *disks) {
    for (size_t i = 0; i < disks->graph.nodes.count; i++)
        block_stack_read_loop(disks, disks->graph.nodes.items[i]);
}

static bool block_stack_is_octal(const char *text) {
    return text[0] >= '0' && text[0] <= '3' && strspn(text, "01234567") >= 3;
}

/* "\040" for a blank, as the kernel writes it in mountinfo, mounts and swaps. */
static char *block_stack_unescape(const char *text) {
    char *plain = memory_zalloc(strlen(text) + 1), *end = plain;

    while (*text) {
        if (*text == '\\' && block_stack_is_octal(text + 1)) {
            unsigned code = (unsigned)(text[1] - '0') << 6 | (unsigned)(text[2] - '0') << 3 |
                            (unsigned)(text[3] - '0');
            *end++ = (char)code;
            text += 4;
        } else {
            *end++ = *text++;
        }
    }
    return plain;
}

struct block_stack_mount {
    const char *number; /* NULL: unknown */
    const char *root;
    const char *type;
    char *point, *source;
    unsigned score; /* how little it says about the file system, the mount point's length aside */
};

/* A file system is called by its shortest mount point, in the host's own view where it has one. */
static void block_stack_note_mount(struct node *node, const struct block_stack_mount *mount) {
    unsigned score = mount->score + (unsigned)strlen(mount->point);

    node->has_file_system = true;
    if (strcmp(mount->root, "/") != 0 && strcmp(mount->point, "/") != 0)
        score |= NOT_THE_ROOT;
    if (node->mount_point && node->mount_score <= score)
        return;
    node->mount_score = score;
    block_stack_replace(&node->mount_point, memory_strdup(mount->point));
}

static struct node *block_stack_get_pool(struct disks *disks, const char *name, size_t length) {
    char *label = memory_printf("ZFS pool %.*s", (int)length, name);
    struct node *pool = graph_get(&disks->graph, label);
    free(label);
    return pool;
}

/* A btrfs of several disks is mounted by the name of one. */
static struct node *block_stack_whole_file_system(struct node *node) {
    for (size_t i = 0; i < node->above.count; i++)
        if (node->above.items[i]->is_hidden && !node->above.items[i]->path)
            return node->above.items[i];
    return node;
}

static void block_stack_note_place(struct disks *disks, struct node *node,
                                   const struct block_stack_mount *mount) {
    block_stack_note_mount(node, mount);
    if (mount->score) /* of another namespace */
        return;
    disks->places = memory_grow(disks->places, disks->place_count, sizeof *disks->places);
    disks->places[disks->place_count++] =
        (struct block_stack_place){memory_strdup(mount->point), node};
}

static void block_stack_read_mount(struct disks *disks, const struct block_stack_mount *mount) {
    struct node *node = block_stack_find_by_number(disks, mount->number);

    if (strcmp(mount->type, "zfs") == 0) {
        block_stack_note_place(
            disks, block_stack_get_pool(disks, mount->source, strcspn(mount->source, "/")), mount);
        return;
    }
    if (node) {
        block_stack_note_place(disks, block_stack_whole_file_system(node), mount);
        return;
    }
    /* btrfs has numbers of its own, and bcachefs names all its disks: "/dev/sda:/dev/sdb". */
    char *rest = mount->source;
    for (const char *source; (source = strsep(&rest, ":"));)
        if ((node = block_stack_find_source(disks, source)))
            block_stack_note_place(disks, block_stack_whole_file_system(node), mount);
}

static bool block_stack_split_mountinfo(char *line, struct block_stack_mount *mount, char **point,
                                        char **source) {
    char *fields[MOUNTINFO_FIXED_FIELDS], *field = NULL;

    for (size_t i = 0; i < MOUNTINFO_FIXED_FIELDS; i++)
        if (!(fields[i] = text_next_field(&line)))
            return false;
    do
        field = text_next_field(&line);
    while (field && strcmp(field, "-") != 0);
    mount->number = fields[2];
    mount->root = fields[3];
    *point = fields[4];
    mount->type = field ? text_next_field(&line) : NULL;
    *source = mount->type ? text_next_field(&line) : NULL;
    return *source;
}

static bool block_stack_split_mounts(char *line, struct block_stack_mount *mount, char **point,
                                     char **source) {
    *source = text_next_field(&line);
    *point = *source ? text_next_field(&line) : NULL;
    mount->type = *point ? text_next_field(&line) : NULL;
    mount->number = NULL;
    mount->root = "/";
    return mount->type;
}

/* A line that is too short was cut off. */
static bool block_stack_is_cut(const char *line) {
    return *line != '\0';
}

static bool block_stack_read_mounts(struct disks *disks, const char *path, unsigned score,
                                    bool (*split)(char *, struct block_stack_mount *, char **,
                                                  char **)) {
    char *text = tree_read(disks->tree, path), *rest = text, *point = NULL, *source = NULL;
    bool is_there = text;

    for (char *line; rest && (line = text_next_line(&rest));) {
        struct block_stack_mount mount = {.score = score};
        if (!split(line, &mount, &point, &source)) {
            if (block_stack_is_cut(line))
                usage_miss(disks->uses, path);
            continue;
        }
        mount.point = block_stack_unescape(point);
        mount.source = block_stack_unescape(source);
        block_stack_read_mount(disks, &mount);
        free(mount.point);
        free(mount.source);
    }
    free(text);
    return is_there;
}

static bool block_stack_contains(const struct names *names, const char *name) {
    for (size_t i = 0; name && i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* The kernel has no mountinfo (EINVAL) of a process that just ended. */
static void block_stack_read_process_mounts(struct disks *disks, const char *path) {
    struct faults *faults = disks->tree->faults;
    size_t before = faults->count;

    if (!block_stack_read_mounts(disks, path, OTHER_NAMESPACE, block_stack_split_mountinfo) &&
        faults->count == before + 1 && faults->list[before].error == EINVAL)
        free(faults->list[--faults->count].path);
}

/*
 * A disk may be mounted where only a container sees it: every mount namespace is read, each once,
 * the host's own and that of the first process before all others.
 */
static void block_stack_read_other_namespaces(struct disks *disks, struct names *seen) {
    struct names processes = tree_list(disks->tree, "proc");

    for (size_t i = 0; i < processes.count; i++) {
        uint32_t id = 0;
        if (!text_parse_decimal(processes.items[i], UINT32_MAX, &id))
            continue;
        char *directory = block_stack_join("proc", processes.items[i]);
        char *space = tree_link_name(disks->tree, directory, "ns/mnt");
        if (space && !block_stack_contains(seen, space)) {
            char *path = block_stack_join(directory, "mountinfo");
            block_stack_read_process_mounts(disks, path);
            seen->items = memory_grow(seen->items, seen->count, sizeof *seen->items);
            seen->items[seen->count++] = memory_strdup(space);
            free(path);
        }
        free(space);
        free(directory);
    }
    tree_finish_names(&processes);
}

/* A kernel without swap has no /proc/swaps. */
bool block_stack_has_no_swap(const struct tree *tree) {
    static const char key[] = "SwapTotal:";
    char *text = tree_has(tree, "proc/swaps") ? NULL : tree_read(tree, "proc/meminfo");
    const char *total = text ? strstr(text, key) : NULL;
    bool has_none = total && strtoul(total + strlen(key), NULL, 10) == 0;

    free(text);
    return has_none;
}

static void block_stack_read_all_mounts(struct disks *disks) {
    struct names seen = {0};
    char *own = tree_link_name(disks->tree, "proc/self", "ns/mnt");

    if (!block_stack_read_mounts(disks, "proc/self/mountinfo", 0, block_stack_split_mountinfo) &&
        !block_stack_read_mounts(disks, "proc/mounts", 0, block_stack_split_mounts))
        usage_miss(disks->uses, "proc/self/mountinfo");
    if (own) {
        seen.items = memory_grow(NULL, 0, sizeof *seen.items);
        seen.items[seen.count++] = own;
    } else {
        /* A tree of files: what it holds is all there is. */
        block_stack_read_mounts(disks, "proc/1/mountinfo", 0, block_stack_split_mountinfo);
        block_stack_read_mounts(disks, "proc/mounts", 0, block_stack_split_mounts);
    }
    block_stack_read_other_namespaces(disks, &seen);
    tree_finish_names(&seen);
}

/* What a file of the host lies on, by the longest mount point; of two the later one. */
static struct node *block_stack_find_file_system(const struct disks *disks, const char *path) {
    struct node *node = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < disks->place_count; i++) {
        const struct block_stack_place *place = &disks->places[i];
        size_t length = strlen(place->point);
        length -= length && place->point[length - 1] == '/';
        bool is_below = strncmp(path, place->point, length) == 0 && path[length] == '/';
        if (!is_below || length < longest)
            continue;
        node = place->node;
        longest = length;
    }
    return node;
}

/* "/dev/sda2 partition 2097148 0 -2", or a file. */
static void block_stack_read_swap(struct disks *disks, char *line) {
    const char *field = text_next_field(&line);
    char *path = field ? block_stack_unescape(field) : NULL;
    struct node *node = path ? block_stack_find_source(disks, path) : NULL;

    if (path && !node && strncmp(path, "/dev/", strlen("/dev/")) != 0)
        node = block_stack_find_file_system(disks, path);
    if (node)
        node->is_swap = true;
    else if (path && path[0] == '/' && path[1])
        usage_miss(disks->uses, path + 1);
    free(path);
}

/* Takes the text. */
static void block_stack_each_line(struct disks *disks, char *text,
                                  void (*visit)(struct disks *disks, char *line)) {
    char *rest = text;
    for (char *line; rest && (line = text_next_line(&rest));)
        visit(disks, line);
    free(text);
}

static void block_stack_read_swaps(struct disks *disks) {
    if (!block_stack_has_no_swap(disks->tree))
        block_stack_each_line(disks, usage_read(disks->uses, "proc/swaps"), block_stack_read_swap);
}

/* The file systems that keep a list of what is mounted, whoever sees it. */
static void block_stack_read_file_systems(struct disks *disks) {
    static const char *const lists[] = {"sys/fs/ext4", "sys/fs/xfs", "sys/fs/f2fs"};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct names names = tree_list(disks->tree, lists[i]);
        for (size_t j = 0; j < names.count; j++) {
            struct node *node = graph_find(&disks->graph, names.items[j]);
            if (node)
                node->has_file_system = true;
        }
        tree_finish_names(&names);
    }
}

/* A btrfs is a stack of its own on all its disks; the kernel lists it while it is mounted. */
static void block_stack_read_btrfs(struct disks *disks) {
    struct names systems = tree_list(disks->tree, BTRFS);

    for (size_t i = 0; i < systems.count; i++) {
        char *directory = memory_printf(BTRFS "/%s/devices", systems.items[i]);
        struct names members = tree_list(disks->tree, directory);
        for (size_t j = 0; j < members.count; j++) {
            struct node *whole = graph_get(&disks->graph, directory);
            whole->is_hidden = whole->has_file_system = true;
            graph_link(graph_get(&disks->graph, members.items[j]), whole);
        }
        tree_finish_names(&members);
        free(directory);
    }
    tree_finish_names(&systems);
}

/* ---- ZFS, which leaves no holder: its disks are known by their labels ---- */

/* The value behind `key` at the start of a line; the caller frees it. */
static char *block_stack_value_of(const char *text, const char *key) {
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key)) == 0)
            return memory_strndup(line + strlen(key), strcspn(line + strlen(key), "\n"));
        if (!*line)
            break;
    }
    return NULL;
}

static bool block_stack_is_imported(const struct disks *disks, const char *pool) {
    char *directory = block_stack_join(ZFS_POOLS, pool);
    char *label = memory_printf("ZFS pool %s", pool);
    bool is = tree_has(disks->tree, directory) || graph_find(&disks->graph, label);
    free(label);
    free(directory);
    return is;
}

/* What udev read from the disk names the pool; without udev any pool may be the one. */
static void block_stack_link_pool_member(struct disks *disks, struct node *node) {
    char *record = node->number ? memory_printf("run/udev/data/b%s", node->number) : NULL;
    char *known = record ? tree_read(disks->tree, record) : NULL;
    char *type = known ? block_stack_value_of(known, "E:ID_FS_TYPE=") : NULL;
    char *pool = known ? block_stack_value_of(known, "E:ID_FS_LABEL=") : NULL;
    char *uevent = tree_attribute(disks->tree, node->path, "uevent");
    char *label = uevent ? block_stack_value_of(uevent, "PARTNAME=") : NULL;

    bool is_member = type ? strcmp(type, "zfs_member") == 0
                          : label && strncmp(label, "zfs-", strlen("zfs-")) == 0;
    if (is_member && !(type && pool))
        graph_link(node, graph_get(&disks->graph, "a ZFS pool"));
    else if (is_member && block_stack_is_imported(disks, pool))
        graph_link(node, block_stack_get_pool(disks, pool, strlen(pool)));
    free(label);
    free(uevent);
    free(pool);
    free(type);
    free(known);
    free(record);
}

/* The module may be there without a pool. */
static bool block_stack_has_pools(const struct disks *disks) {
    struct names files = tree_list(disks->tree, ZFS_POOLS);
    bool has = false;

    for (size_t i = 0; i < files.count && !has; i++) {
        char *path = memory_printf(ZFS_POOLS "/%s", files.items[i]);
        int directory = tree_directory(disks->tree, path);
        has = directory >= 0;
        if (directory >= 0)
            close(directory);
        free(path);
    }
    tree_finish_names(&files);
    if (!tree_has(disks->tree, ZFS_POOLS))
        has = tree_has(disks->tree, "sys/module/zfs");
    for (size_t i = 0; i < disks->graph.nodes.count && !has; i++)
        has = strncmp(disks->graph.nodes.items[i]->name, "ZFS pool ", strlen("ZFS pool ")) == 0;
    return has;
}

static bool block_stack_is_in_pool(const struct node *node) {
    for (size_t i = 0; i < node->above.count; i++)
        if (strstr(node->above.items[i]->name, "ZFS pool"))
            return true;
    return false;
}

/* What zpool(8) keeps of the imported pools: among much else the paths of their disks, as texts
 * with their length in front. */
static void block_stack_read_zfs_cache(struct disks *disks, const char *path) {
    size_t size = 0, length = 0;
    char *bytes = tree_load(disks->tree, path, ZFS_CACHE_LIMIT, &size);

    for (size_t i = 0; i < size; i += length + 1) {
        length = strnlen(bytes + i, size - i);
        const char *file = strstr(bytes + i, "/dev/");
        struct node *node = file ? block_stack_find_source(disks, file) : NULL;
        if (node && !block_stack_is_in_pool(node))
            graph_link(node, graph_get(&disks->graph, "a ZFS pool"));
    }
    free(bytes);
}

/* A pool lies on disks; if nothing tells which, it may be any. */
static void block_stack_doubt_pools(struct disks *disks) {
    const struct node *any = graph_find(&disks->graph, "a ZFS pool");
    size_t found = any ? any->below.count : 0;

    for (size_t i = 0; i < disks->graph.nodes.count; i++)
        if (strncmp(disks->graph.nodes.items[i]->name, "ZFS pool ", strlen("ZFS pool ")) == 0)
            found += disks->graph.nodes.items[i]->below.count;
    if (!found)
        usage_miss(disks->uses, ZFS_CACHE);
}

static void block_stack_read_zfs(struct disks *disks) {
    size_t count = disks->graph.nodes.count;

    if (!block_stack_has_pools(disks))
        return;
    for (size_t i = 0; i < count; i++)
        if (disks->graph.nodes.items[i]->path && !disks->graph.nodes.items[i]->is_hidden)
            block_stack_link_pool_member(disks, disks->graph.nodes.items[i]);
    block_stack_read_zfs_cache(disks, ZFS_CACHE);
    block_stack_read_zfs_cache(disks, "data/zfs/zpool.cache"); /* of TrueNAS */
    block_stack_doubt_pools(disks);
}

/* ---- DRBD, of which its configuration alone tells what it lies on ---- */

#define DRBD "etc/drbd.d"

/* "disk /dev/vg0/data;", wherever it stands in a line. */
static void block_stack_read_drbd_line(struct disks *disks, char *line) {
    for (const char *word, *before = ""; (word = text_next_field(&line)); before = word) {
        char *path = memory_strndup(word, strcspn(word, ";"));
        struct node *node =
            strcmp(before, "disk") == 0 ? block_stack_find_source(disks, path) : NULL;
        if (node)
            graph_link(node, graph_get(&disks->graph, "DRBD"));
        free(path);
    }
}

static void block_stack_read_drbd(struct disks *disks) {
    bool has_drbd = false;
    size_t count = disks->graph.nodes.count;

    for (size_t i = 0; i < count; i++)
        has_drbd |= strncmp(disks->graph.nodes.items[i]->name, "drbd", 4) == 0;
    if (!has_drbd)
        return;
    struct names files = tree_list(disks->tree, DRBD);
    block_stack_each_line(disks, tree_read(disks->tree, "etc/drbd.conf"),
                          block_stack_read_drbd_line);
    for (size_t i = 0; i < files.count; i++) {
        char *path = block_stack_join(DRBD, files.items[i]);
        block_stack_each_line(disks, tree_read(disks->tree, path), block_stack_read_drbd_line);
        free(path);
    }
    tree_finish_names(&files);
    if (!graph_find(&disks->graph, "DRBD"))
        usage_miss(disks->uses, DRBD);
}

/* ---- Sentences ---- */

static void block_stack_explain(const struct node_list *chain, size_t device) {
    for (size_t i = 0; i < chain->count; i++)
        chain->items[i]->explained = (unsigned)device + 1;
}

static void block_stack_add_direct_uses(struct usage *uses, struct graph *graph, size_t device,
                                        struct node *top) {
    if (!top->has_file_system && !top->is_swap)
        return;
    struct node_list chain = graph_chain(graph, top);
    char *nodes = graph_chain_text(&chain, NULL);

    if (top->has_file_system)
        usage_add(uses, device, USE_MOUNT,
                  memory_printf("mounts %s from it (%s)",
                                top->mount_point ? top->mount_point : "a file system", nodes));
    if (top->is_swap)
        usage_add(uses, device, USE_SWAP, memory_printf("swaps on it (%s)", nodes));
    block_stack_explain(&chain, device);
    free(nodes);
    free(chain.items);
}

static bool block_stack_is_on(const struct node *node, size_t device) {
    for (size_t i = 0; i < node->device_count; i++)
        if (node->devices[i] == device)
            return true;
    return false;
}

/* A disk or partition of this device, and nothing that is made of it. */
static bool block_stack_is_physical(const struct node *node, size_t device) {
    return block_stack_is_on(node, device) || (node->disk && block_stack_is_on(node->disk, device));
}

static bool block_stack_is_idle_member(const struct node *node, const struct node *holder,
                                       size_t device) {
    return !node->is_hidden && holder->disk != node && node->explained != device + 1 &&
           block_stack_is_physical(node, device);
}

/* The disks below `holder` that no mount and no swap explains. */
static void block_stack_add_membership(struct usage *uses, size_t device,
                                       const struct node *holder) {
    struct node_list members = {0};

    for (size_t i = 0; i < holder->below.count; i++)
        if (block_stack_is_idle_member(holder->below.items[i], holder, device))
            graph_list_add(&members, holder->below.items[i]);
    if (members.count) {
        char *nodes = graph_chain_text(&members, NULL);
        usage_add(uses, device, USE_MEMBER,
                  memory_printf("keeps it in %s (%s)", graph_label(holder), nodes));
        free(nodes);
    }
    free(members.items);
}

static void block_stack_visit_device(struct usage *uses, struct graph *graph, size_t device,
                                     const struct node_list *nodes) {
    struct node_list reached = graph_reach_up(graph, nodes);

    for (size_t i = 0; i < reached.count; i++)
        block_stack_add_direct_uses(uses, graph, device, reached.items[i]);
    for (size_t i = 0; i < reached.count; i++)
        block_stack_add_membership(uses, device, reached.items[i]);
    free(reached.items);
}

void block_stack_find_usage(struct usage *uses) {
    struct disks disks = {.uses = uses, .tree = uses->tree};

    block_stack_read_blocks(&disks);
    char *arrays = tree_read(disks.tree, "proc/mdstat");
    if (arrays)
        block_stack_read_unraid(&disks, arrays);
    block_stack_each_line(&disks, arrays, block_stack_read_array);
    block_stack_read_bcache(&disks);
    block_stack_read_loops(&disks);
    block_stack_read_btrfs(&disks);
    block_stack_read_file_systems(&disks);
    block_stack_read_all_mounts(&disks);
    block_stack_read_swaps(&disks);
    block_stack_read_zfs(&disks);
    block_stack_read_drbd(&disks);
    for (size_t i = 0; i < disks.place_count; i++)
        free(disks.places[i].point);
    free(disks.places);
    usage_each(uses, &disks.graph, block_stack_visit_device);
    host_node_keep_all(uses->host, &disks.graph, "block");
    graph_finish(&disks.graph);
}
