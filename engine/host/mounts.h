/*
 * Which block devices are mounted, in any mount namespace, or used as swap: from the mountinfo of
 * the processes, /proc/mounts, the lists of ext4, xfs and f2fs in sysfs, and /proc/swaps.
 *
 * The parser is our own, and the only one: Debian has no static libmount, the shared one may be
 * missing on the host, and it would still leave the namespaces and the match with sysfs to do.
 */
#ifndef ENGINE_MOUNTS_H
#define ENGINE_MOUNTS_H

#include "engine/host/usage.h"

/* Sets has_file_system, mount_point and is_swap in usage->host->block, which block_stack_read()
 * filled, and adds the mounted ZFS pools to it. */
void mounts_read(struct usage *usage);

/* Whether the kernel has no swap, so that /proc/swaps need not exist. */
bool mounts_has_no_swap(const struct tree *tree);

/* A line of mountinfo or mounts; the texts are in the line. */
struct mount {
    const char *number; /* NULL: unknown */
    const char *root, *type;
    char *point, *source;
    unsigned namespace; /* for mounts.c */
};

/* False: the line is not one of these. */
bool mounts_split_mountinfo(char *line, struct mount *mount);
bool mounts_split_mounts(char *line, struct mount *mount);
/* Decodes "\040" and the like, as the kernel writes blanks in mountinfo, mounts and swaps. */
void mounts_unescape(char *text);

#endif
