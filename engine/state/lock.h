/*
 * One engine at a time works on a VM, and on what comes and goes at one place of the host. All
 * locks are ranges of one file, STATE/lock, held by an open file description (fcntl(2),
 * F_OFD_SETLKW): nothing is left behind by an engine that is killed.
 */
#ifndef ENGINE_LOCK_H
#define ENGINE_LOCK_H

#include "lexer/failure.h"

#include <stdbool.h>
#include <stddef.h>

enum { LOCK_BUSY = -2 };
#define LOCK_BUSY_HINT                                                                             \
    "'virt-rules status' shows what it does; nothing is done for this event: 'virt-rules apply' "  \
    "does it later"

/*
 * Waits until the VM is this process's alone. Returns a descriptor for lock_release(), or -1 with a
 * message when the file cannot be made (disk full): the work may then go on without, for libvirt
 * itself refuses a device twice. LOCK_BUSY, with a message that says who has it and what for: it is
 * another's for longer than DEADLINE_LOCK_MS. A wait of some seconds is told on stderr.
 */
int lock_vm(const char *state, const char *uuid, struct failure *failure);

/* The same for work that is left undone when another has the VM, or the file cannot be made: -1. */
int lock_vm_within(const char *state, const char *uuid, int limit_ms);

/* Whether another process has the VM now. False also when that cannot be known. */
bool lock_vm_is_taken(const char *state, const char *uuid);

enum turn {
    TURN_MINE,   /* `*lock` is for lock_release() */
    TURN_WAITED, /* the same, but others came meanwhile, perhaps, and were sent away */
    TURN_MERGED, /* another waits already: it will see all that there is to see by now */
    TURN_FAILED, /* with a message, as lock_vm(); also when another has had it for too long */
};

/* Waits until what comes and goes at `place` (text that names it) is this process's alone, unless
 * another process waits for that too. */
enum turn lock_turn(const char *state, const char *place, int *lock, struct failure *failure);

void lock_release(int lock);

#endif
