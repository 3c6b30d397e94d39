/* ZFS pools, which leave no holders: their disks are known from udev's database, from partition
 * names and from the cache file of zpool(8). */
#ifndef ENGINE_ZFS_H
#define ENGINE_ZFS_H

#include "engine/host/usage.h"

/* The node of the pool whose name is the first `length` bytes; made if there is none. */
struct node *zfs_get_pool(struct graph *graph, const char *name, size_t length);

/* Links the disks of the imported pools to their pools in usage->host->block. Call it after
 * mounts_read(), which adds the mounted pools. If no disk of any pool is known, that is a fault. */
void zfs_read(struct usage *usage);

#endif
