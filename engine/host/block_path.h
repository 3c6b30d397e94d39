/* Which node of the graph of block devices a path or a number means. */
#ifndef ENGINE_BLOCK_PATH_H
#define ENGINE_BLOCK_PATH_H

#include "engine/host/graph.h"
#include "engine/host/tree.h"

/*
 * The block device of a path below /dev: the kernel's name ("/dev/nvme0n1"), a name of the device
 * mapper or of LVM, a link to one of these, any file with its number, or "/dev/root", which is what
 * the kernel's command line says. NULL: there is none, or the path is not below /dev.
 */
struct node *block_path_find(const struct graph *graph, const struct tree *tree, const char *path);

/* The one with the number "259:1". NULL: there is none. */
struct node *block_path_find_number(const struct graph *graph, const struct tree *tree,
                                    const char *number);

#endif
