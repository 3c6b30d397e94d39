/*
 * One engine at a time works on a VM. All locks are ranges of one file, STATE/lock, held by an open
 * file description (fcntl(2), F_OFD_SETLKW): nothing is left behind by an engine that is killed.
 */
#ifndef ENGINE_LOCK_H
#define ENGINE_LOCK_H

#include <stddef.h>

/*
 * Waits until the VM is this process's alone. Returns a descriptor for lock_release(), or -1 with a
 * message when the file cannot be made (disk full): the work may then go on without, for libvirt
 * itself refuses a device twice.
 */
int lock_vm(const char *state, const char *uuid, char *error, size_t error_size);
void lock_release(int lock);

#endif
