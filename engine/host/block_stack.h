/* The block devices of the host and what is made of what, from sysfs, /proc/mdstat and the
 * configuration of DRBD, whose kernel module leaves no holders. */
#ifndef ENGINE_BLOCK_STACK_H
#define ENGINE_BLOCK_STACK_H

#include "engine/host/usage.h"

/* Fills usage->host->block, with has_file_system of a mounted btrfs. */
void block_stack_read(struct usage *usage);

#endif
