#include "engine/host/host_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "engine/host/names.h"
#include "engine/host/tree.h"
#include "lexer/memory.h"

static void host_node_add_device(struct host_node *node, size_t device) {
    for (size_t i = 0; i < node->device_count; i++)
        if (node->devices[i] == device)
            return;
    node->devices = memory_grow(node->devices, node->device_count, sizeof *node->devices);
    node->devices[node->device_count++] = device;
}

static int host_node_by_index(const void *a, const void *b) {
    const size_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void host_node_add_node(struct host *host, struct graph *graph, const char *class,
                               struct node *from) {
    struct node_list below = graph_reach_down(graph, from);
    host->nodes = memory_grow(host->nodes, host->node_count, sizeof *host->nodes);
    struct host_node *node = &host->nodes[host->node_count++];
    *node = (struct host_node){.class = class,
                               .name = memory_strdup(from->name),
                               .label = from->label ? memory_strdup(from->label) : NULL,
                               .number = from->number ? memory_strdup(from->number) : NULL};

    for (size_t i = 0; i < below.count; i++)
        for (size_t j = 0; j < below.items[i]->device_count; j++)
            host_node_add_device(node, below.items[i]->devices[j]);
    if (node->device_count)
        qsort(node->devices, node->device_count, sizeof *node->devices, host_node_by_index);
    free(below.items);
}

void host_node_keep_all(struct host *host, struct graph *graph, const char *class) {
    for (size_t i = 0; i < graph->nodes.count; i++)
        host_node_add_node(host, graph, class, graph->nodes.items[i]);
}

void host_node_finish_all(struct host *host) {
    for (size_t i = 0; i < host->node_count; i++) {
        free(host->nodes[i].name);
        free(host->nodes[i].label);
        free(host->nodes[i].number);
        free(host->nodes[i].devices);
    }
    free(host->nodes);
    host->nodes = NULL;
    host->node_count = 0;
}

/* ---- Questions ---- */

static bool host_node_is_text(const char *text, const char *wanted) {
    return text && strcmp(text, wanted) == 0;
}

static const struct host_node *host_node_find_name(const struct host *host, const char *class,
                                                   const char *name) {
    for (size_t i = 0; i < host->node_count; i++) {
        const struct host_node *node = &host->nodes[i];
        if (strcmp(node->class, class) == 0 &&
            (host_node_is_text(node->name, name) || host_node_is_text(node->number, name)))
            return node;
    }
    return NULL;
}

static const struct host_node *host_node_find_label(const struct host *host, const char *class,
                                                    const char *label) {
    for (size_t i = 0; i < host->node_count; i++)
        if (strcmp(host->nodes[i].class, class) == 0 &&
            host_node_is_text(host->nodes[i].label, label))
            return &host->nodes[i];
    return NULL;
}

/* The kernel writes "cciss/c0d0" as "cciss!c0d0"; LVM names a volume by its group, too. */
static const struct host_node *host_node_find_file(const struct host *host, const char *class,
                                                   const char *file) {
    static const char mapper[] = "mapper/";
    char *name = memory_strdup(file), *label = names_volume_label(file);
    for (char *slash; (slash = strchr(name, '/'));)
        *slash = '!';
    const struct host_node *node = host_node_find_name(host, class, name);
    if (!node && strncmp(file, mapper, strlen(mapper)) == 0)
        node = host_node_find_label(host, class, file + strlen(mapper));
    if (!node && strchr(file, '/'))
        node = host_node_find_label(host, class, label);
    free(label);
    free(name);
    return node;
}

static const struct host_node *host_node_find_path(const struct host *host, const char *class,
                                                   const char *path) {
    static const char dev[] = "dev/";
    struct tree tree;
    struct stat status;
    char number[64];
    const struct host_node *node = NULL;

    if (!tree_open(&tree, host->root))
        return NULL;
    char *resolved = tree_resolve(&tree, path);
    if (resolved && strncmp(resolved, dev, strlen(dev)) == 0)
        node = host_node_find_file(host, class, resolved + strlen(dev));
    if (!node && tree_stat(&tree, path, &status) &&
        (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode))) {
        snprintf(number, sizeof number, "%u:%u", major(status.st_rdev), minor(status.st_rdev));
        node = host_node_find_name(host, class, number);
    }
    free(resolved);
    tree_close(&tree);
    return node;
}

const struct host_node *host_node_find(const struct host *host, const char *class,
                                       const char *name) {
    static const char dev[] = "/dev/";
    const struct host_node *node = strncmp(name, dev, strlen(dev)) == 0
                                       ? host_node_find_file(host, class, name + strlen(dev))
                                       : host_node_find_name(host, class, name);
    return node || *name != '/' ? node : host_node_find_path(host, class, name);
}
