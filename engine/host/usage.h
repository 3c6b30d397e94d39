/* What the host itself does with its devices. Parts of the host snapshot; see engine/host/host.h.
 */
#ifndef ENGINE_USAGE_H
#define ENGINE_USAGE_H

#include "engine/host/graph.h"
#include "engine/host/host.h"
#include "engine/host/tree.h"

/* The strongest first: the sentence about a device names its uses in this order. */
enum usage_rank {
    USE_MOUNT,
    USE_SWAP,
    USE_MEMBER,
    USE_PROCESS,
    USE_DEFAULT_ROUTE,
    USE_ADDRESS,
    USE_FUNCTIONS,
    USE_DISPLAY,
    USE_KEYBOARD
};

struct usage_item {
    enum usage_rank rank;
    char *text;
};

struct usage_list {
    struct usage_item *items;
    size_t count;
};

struct usage {
    struct host *host;
    const struct tree *tree;
    struct usage_list *of; /* by the index of the device */
};

/* What helps against an errno for which something cannot be read. The caller frees it. */
char *usage_hint(const struct tree *tree, int error);

/* Fills `use` of every device, and notes OBSTACLE_UNKNOWN_USE where it cannot tell. */
void usage_find(struct host *host, const struct tree *tree);

/* Takes `text`, which ends "the host ...". */
void usage_add(struct usage *uses, size_t device, enum usage_rank rank, char *text);

/*
 * Puts `node` on every PCI and USB device that `path`, resolved in sysfs, leads through: the device
 * itself, the hubs and controllers above it, and the physical function of a virtual one.
 */
void usage_place(struct usage *uses, struct node *node, const char *path);

/* Calls `visit` for each device that carries nodes of the graph, with all of these. */
void usage_each(struct usage *uses, struct graph *graph,
                void (*visit)(struct usage *uses, struct graph *graph, size_t device,
                              const struct node_list *nodes));

/* As tree_read(), of a file that every kernel has: notes that it is not there as well. */
char *usage_read(struct usage *uses, const char *path);
void usage_miss(struct usage *uses, const char *path);

void block_stack_find_usage(struct usage *uses);
/* The memory of the host tells so, where there is no list of swap. */
bool block_stack_has_no_swap(const struct tree *tree);
void net_stack_find_usage(struct usage *uses);
/* After block_stack_find_usage(), whose nodes it needs. */
void open_files_find_usage(struct usage *uses);
void console_find_displays(struct usage *uses);
void console_find_keyboards(struct usage *uses);

#endif
