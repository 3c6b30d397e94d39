/* Which process, in which boot of the host: proc(5). */
#ifndef ENGINE_PROCESS_H
#define ENGINE_PROCESS_H

#include <sys/types.h>

/* When a process was started, in clock ticks since the host's boot; no later process has the number
 * and the start of another one. 0: there is none, or only its exit status is left. `root` is "", or
 * holds a copy of a host. */
unsigned long long process_started(const char *root, pid_t process);

/* Who has started a process; 0: as above, or nobody that can be seen. */
pid_t process_parent(const char *root, pid_t process);

enum { PROCESS_BOOT_ID_SIZE = 37 };

/*
 * The kernel's name for the present boot of the host, from ROOT/proc/sys/kernel/random/boot_id; ""
 * where the kernel has none. Returns 0 or an errno: then it is not known, and "" too.
 */
int process_boot_id(const char *root, char id[PROCESS_BOOT_ID_SIZE]);

#endif
