/*
 * Stacks of block devices or of network interfaces: which is made of which. A partition counts as
 * made of its disk. sysfs gives the edges as text, so a node may be known by its name only, and
 * nothing here relies on the stack being finite.
 */
#ifndef ENGINE_GRAPH_H
#define ENGINE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

struct node;

struct node_list {
    struct node **items;
    size_t count;
};

struct node {
    char *name;        /* the kernel's */
    char *label;       /* for people; NULL: the name */
    char *path;        /* resolved, in sysfs; NULL: known by name only */
    struct node *disk; /* of a partition */
    bool is_hidden;    /* not worth a word in a sentence */
    struct node_list above, below;
    size_t *devices; /* where it sits: indexes into the host's devices */
    size_t device_count;

    /* Block devices. */
    char *number;         /* "8:1" */
    char *mount_point;    /* NULL: not mounted, or nobody knows where */
    unsigned mount_score; /* how well mount_point speaks for the file system; least is best */
    bool has_file_system; /* mounted somewhere */
    bool is_swap;

    /* Network interfaces. */
    bool has_default_route, has_address, is_switch, is_up;
    const char *purpose; /* "runs PPPoE over it"; NULL: none of its own */

    /* Scratch of graph_reach(). */
    unsigned seen_above, seen_below, depth;
    unsigned explained; /* the device, counted from 1, for which a use names this node */
};

struct graph {
    void *by_name; /* tsearch(3) */
    struct node_list nodes;
    unsigned walks, chains;
};

void graph_finish(struct graph *graph);

struct node *graph_find(const struct graph *graph, const char *name);
/* As graph_find(), but makes the node where there is none. */
struct node *graph_get(struct graph *graph, const char *name);
void graph_link(struct node *lower, struct node *upper);

/* All that is made of one of `start`, these first; each has its seen_above == graph->walks. */
struct node_list graph_reach_up(struct graph *graph, const struct node_list *start);
/*
 * What `top` is made of, itself among it, as far as the last graph_reach_up() saw it; the lowest
 * first, then by name.
 */
struct node_list graph_chain(struct graph *graph, struct node *top);
/* All that `top` is made of, itself first. */
struct node_list graph_reach_down(struct graph *graph, struct node *top);

void graph_list_add(struct node_list *list, struct node *node);
const char *graph_label(const struct node *node);
/* "sda3, md1, vg1-root", without hidden nodes, disks whose partition is there, and `except`. */
char *graph_chain_text(const struct node_list *chain, const struct node *except);

#endif
