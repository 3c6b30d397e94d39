#include "engine/host/zfs.h"

#include "engine/host/block_path.h"
#include "engine/host/device_files.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOLS "proc/spl/kstat/zfs"
#define CACHE "etc/zfs/zpool.cache"

enum { CACHE_LIMIT = 16 * 1024 * 1024 };

static const char some_pool[] = "a ZFS pool";

struct node *zfs_get_pool(struct graph *graph, const char *name, size_t length) {
    char *label = memory_printf("ZFS pool %.*s", (int)length, name);
    struct node *pool = graph_get(graph, label);

    pool->is_pool = true;
    free(label);
    return pool;
}

/* The pool of a disk of which nothing says the name. */
static void zfs_link_to_some_pool(struct graph *graph, struct node *disk) {
    struct node *pool = graph_get(graph, some_pool);

    pool->is_pool = true;
    graph_link(disk, pool);
}

static bool zfs_is_imported(const struct usage *usage, const char *pool) {
    char *directory = memory_printf(POOLS "/%s", pool);
    char *label = memory_printf("ZFS pool %s", pool);
    bool is = tree_has(usage->tree, directory) || graph_find(&usage->host->block, label);

    free(label);
    free(directory);
    return is;
}

/* The module may be loaded without a pool. */
static bool zfs_has_pools(const struct usage *usage) {
    const struct graph *graph = &usage->host->block;
    struct names files = tree_list(usage->tree, POOLS);
    bool has = !tree_has(usage->tree, POOLS) && tree_has(usage->tree, "sys/module/zfs");

    for (size_t i = 0; i < files.count && !has; i++) {
        char *path = memory_printf(POOLS "/%s", files.items[i]);
        int directory = tree_directory(usage->tree, path);
        has = directory >= 0;
        if (has)
            close(directory);
        free(path);
    }
    tree_finish_names(&files);
    for (size_t i = 0; i < graph->nodes.count && !has; i++)
        has = graph->nodes.items[i]->is_pool;
    return has;
}

/* The rest of the first line that begins with `key`; the caller frees it. */
static char *zfs_value_of(const char *text, const char *key) {
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (text_starts_with(line, key))
            return memory_strndup(line + strlen(key), strcspn(line + strlen(key), "\n"));
        if (!*line)
            break;
    }
    return NULL;
}

/* What udev read from the disk names the pool. Without udev a partition named "zfs-..." may be of
 * any pool. */
static void zfs_link_member(struct usage *usage, struct node *node) {
    struct graph *graph = &usage->host->block;
    char *path = node->number ? memory_printf(UDEV_RECORDS "/b%s", node->number) : NULL;
    char *record = path ? tree_read(usage->tree, path) : NULL;
    char *type = record ? zfs_value_of(record, "E:ID_FS_TYPE=") : NULL;
    char *pool = record ? zfs_value_of(record, "E:ID_FS_LABEL=") : NULL;
    char *uevent = tree_attribute(usage->tree, node->path, "uevent");
    char *label = uevent ? zfs_value_of(uevent, "PARTNAME=") : NULL;

    bool is_member =
        type ? strcmp(type, "zfs_member") == 0 : label && text_starts_with(label, "zfs-");
    if (is_member && !(type && pool))
        zfs_link_to_some_pool(graph, node);
    else if (is_member && zfs_is_imported(usage, pool))
        graph_link(node, zfs_get_pool(graph, pool, strlen(pool)));
    free(label);
    free(uevent);
    free(pool);
    free(type);
    free(record);
    free(path);
}

static bool zfs_is_in_pool(const struct node *node) {
    for (size_t i = 0; i < node->above.count; i++)
        if (node->above.items[i]->is_pool)
            return true;
    return false;
}

/* zpool(8) keeps the imported pools here: among much else the paths of their disks, as texts with
 * their length in front. */
static void zfs_read_cache(struct usage *usage, const char *path) {
    struct graph *graph = &usage->host->block;
    size_t size = 0, length = 0;
    char *bytes = tree_load(usage->tree, path, CACHE_LIMIT, &size);

    for (size_t i = 0; i < size; i += length + 1) {
        length = strnlen(bytes + i, size - i);
        const char *file = strstr(bytes + i, "/dev/");
        struct node *node = file ? block_path_find(graph, usage->tree, file) : NULL;
        if (node && !zfs_is_in_pool(node))
            zfs_link_to_some_pool(graph, node);
    }
    free(bytes);
}

void zfs_read(struct usage *usage) {
    const struct graph *graph = &usage->host->block;
    size_t members = 0;

    if (!zfs_has_pools(usage))
        return;
    for (size_t i = 0, count = graph->nodes.count; i < count; i++)
        if (graph->nodes.items[i]->path && !graph->nodes.items[i]->is_hidden)
            zfs_link_member(usage, graph->nodes.items[i]);
    zfs_read_cache(usage, CACHE);
    zfs_read_cache(usage, "data/zfs/zpool.cache"); /* of TrueNAS */
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.items[i]->is_pool)
            members += graph->nodes.items[i]->below.count;
    if (!members) /* a pool is on disks, and any may be one */
        usage_note_missing(usage, CACHE);
}
