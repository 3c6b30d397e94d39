/*
 * One engine at a time works on a VM, and on the devices that are added to and removed from one
 * slot of the host. Each has a file of its own, STATE/locks/UUID or STATE/locks/SLOT, locked with
 * flock(2): the kernel releases the lock of an engine that is killed. The files are empty and stay.
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
 * Waits until no other engine works on the VM. Returns a descriptor for lock_release(); or -1 with
 * a message when the file cannot be made (disk full): the work may then go on without a lock,
 * because libvirt itself refuses to attach a device twice; or LOCK_BUSY, with a message that says
 * what the other engine does, after DEADLINE_LOCK_MS. Says on stderr that it waits, after
 * DEADLINE_NOTICE_MS.
 */
int lock_vm(const char *state, const char *uuid, struct failure *failure);

/* The same for at most `limit_ms` milliseconds, silently. LOCK_BUSY has no message; `failure` may
 * be NULL. */
int lock_vm_within(const char *state, const char *uuid, int limit_ms, struct failure *failure);

/* Whether another process has the VM's lock now. False also when that cannot be known. */
bool lock_vm_is_held(const char *state, const char *uuid);

/*
 * An engine is at work for the VM from here on, also while it waits without the VM's lock: it holds
 * STATE/locks/UUID.run until lock_release(), or until it ends in whatever way. Several may. -1: the
 * file cannot be made, and nothing depends on it.
 */
int lock_run(const char *state, const char *uuid);
/* Whether one is. Takes nothing and makes no file; false also when that cannot be known. */
bool lock_run_is_held(const char *state, const char *uuid);

enum lock_slot {
    LOCK_SLOT_MINE,      /* `*lock` is for lock_release() */
    LOCK_SLOT_WAITED,    /* the same; events of others may have been coalesced meanwhile */
    LOCK_SLOT_COALESCED, /* another process waits already, and will see all that has happened */
    LOCK_SLOT_FAILED,    /* with a message, as lock_vm(); also after DEADLINE_LOCK_MS */
};

/* Waits until no other process works on the slot ("usb-1-1.4"), unless one waits already. */
enum lock_slot lock_slot(const char *state, const char *slot, int *lock, struct failure *failure);

/* -1 is allowed. */
void lock_release(int lock);

#endif
