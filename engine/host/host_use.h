/* What the host itself does with its devices. Parts of the host snapshot; see engine/host/host.h.
 */
#ifndef ENGINE_HOST_USE_H
#define ENGINE_HOST_USE_H

#include "engine/host/host.h"
#include "engine/host/host_graph.h"
#include "engine/host/host_tree.h"

/* The strongest first: the sentence about a device names its uses in this order. */
enum use_rank {
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

struct use {
    enum use_rank rank;
    char *text;
};

struct use_list {
    struct use *items;
    size_t count;
};

struct uses {
    struct host *host;
    const struct tree *tree;
    struct use_list *of; /* by the index of the device */
};

/* What helps against an errno for which something cannot be read. The caller frees it. */
char *uses_hint(const struct tree *tree, int error);

/* Fills `use` of every device, and notes OBSTACLE_UNKNOWN_USE where it cannot tell. */
void host_use_find(struct host *host, const struct tree *tree);

/* Takes `text`, which ends "the host ...". */
void uses_add(struct uses *uses, size_t device, enum use_rank rank, char *text);

/*
 * Puts `node` on every PCI and USB device that `path`, resolved in sysfs, leads through: the device
 * itself, the hubs and controllers above it, and the physical function of a virtual one.
 */
void uses_place(struct uses *uses, struct node *node, const char *path);

/* Calls `visit` for each device that carries nodes of the graph, with all of these. */
void uses_each(struct uses *uses, struct graph *graph,
               void (*visit)(struct uses *uses, struct graph *graph, size_t device,
                             const struct node_list *nodes));

/* As tree_read(), of a file that every kernel has: notes that it is not there as well. */
char *uses_read(struct uses *uses, const char *path);
void uses_miss(struct uses *uses, const char *path);

void disks_find_uses(struct uses *uses);
/* The memory of the host tells so, where there is no list of swap. */
bool disks_have_no_swap(const struct tree *tree);
void nics_find_uses(struct uses *uses);
/* After disks_find_uses(), whose nodes it needs. */
void files_find_uses(struct uses *uses);
void display_find_uses(struct uses *uses);
void keyboards_find_uses(struct uses *uses);

#endif
