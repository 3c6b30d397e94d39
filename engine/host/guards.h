/*
 * The guards: each finds one kind of use that the host makes of its devices. A new guard is a row
 * of the table in guards.c, a function here and a file of its own. Finders add uses with
 * usage_add(), and a finder that cannot read its sources leaves a fault in the tree.
 */
#ifndef ENGINE_GUARDS_H
#define ENGINE_GUARDS_H

#include "engine/host/usage.h"

/*
 * Asks every guard. Sets `use` and `vm_use` of every device, and OBSTACLE_UNKNOWN_USE for those of
 * which a guard cannot tell. Fills `block` and `net` of the host.
 */
void guards_find_uses(struct host *host, const struct tree *tree);

void disk_usage_find(struct usage *usage);
void net_stack_find_usage(struct usage *usage);
/* After disk_usage_find(), whose nodes it needs. */
void open_files_find_usage(struct usage *usage);
void console_find_displays(struct usage *usage);
void console_find_ports(struct usage *usage);
void console_find_keyboards(struct usage *usage);
void virtual_functions_find_usage(struct usage *usage);

#endif
