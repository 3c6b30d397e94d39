/*
 * What the kernel shows of the host under names of its own, and what is made of what: disks,
 * partitions, arrays and volumes in one graph, network interfaces and bridges in another. A
 * partition counts as made of its disk. sysfs gives the edges as text, so a node may be known by
 * its name only, and the edges may form a circle.
 *
 * The graph owns its nodes and their texts; graph_finish() ends them.
 */
#ifndef ENGINE_GRAPH_H
#define ENGINE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/host/device_set.h"

struct node;

/* The caller frees `items`. */
struct node_list {
    struct node **items;
    size_t count;
};

struct node {
    char *name;        /* the kernel's: "nvme0n1p1", "vmbr10" */
    char *label;       /* of the device mapper: "vg1-root"; NULL: none */
    char *path;        /* resolved, in sysfs; NULL: known by name only */
    struct node *disk; /* of a partition */
    bool is_hidden;    /* left out of sentences */
    struct node_list above, below;
    struct device_set devices; /* the device that it sits on, and the hubs and controllers above */
    struct device_set all;     /* and those of all that it is made of; see graph_sum_devices() */

    /* Block devices. */
    char *number;         /* "8:1"; NULL: none or unknown */
    char *mount_point;    /* NULL: not mounted, or its mount point is unknown */
    unsigned mount_score; /* how well mount_point names the file system; least is best */
    bool has_file_system; /* mounted somewhere */
    bool is_swap;
    bool is_pool; /* a ZFS pool */
    bool lacks_bcache;

    /* Network interfaces. */
    bool has_default_route, has_address, is_switch, is_up, is_promiscuous;
    const char *service; /* "runs PPPoE over it"; NULL: none */

    /* Used by the walks below. */
    unsigned seen_above, seen_below, depth;
    unsigned explained; /* the device, counted from 1, of which a use names this node */
};

struct graph {
    void *by_name; /* tsearch(3) */
    struct node_list nodes;
    unsigned walks, chains;
};

void graph_finish(struct graph *graph);

/* NULL: there is no node of that name. */
struct node *graph_find(const struct graph *graph, const char *name);
struct node *graph_find_label(const struct graph *graph, const char *label);
/* Makes the node if there is none. */
struct node *graph_get(struct graph *graph, const char *name);
void graph_link(struct node *lower, struct node *upper);
void graph_link_names(struct graph *graph, const char *lower, const char *upper);

/* Fills `all` of every node. Call it after the last graph_link(). */
void graph_sum_devices(struct graph *graph);

/* All that is made of one of `start`, these first; each has seen_above == graph->walks. */
struct node_list graph_reach_up(struct graph *graph, const struct node_list *start);
/*
 * What `top` is made of, itself among it, as far as the last graph_reach_up() saw it; the lowest
 * first, then by name.
 */
struct node_list graph_chain(struct graph *graph, struct node *top);

void graph_list_add(struct node_list *list, struct node *node);
/* The label, or else the name; borrowed. */
const char *graph_label(const struct node *node);
/* "sda3, md1, vg1-root", without hidden nodes, disks whose partition is in the chain, and `except`.
 * The caller frees it. */
char *graph_chain_text(const struct node_list *chain, const struct node *except);

#endif
