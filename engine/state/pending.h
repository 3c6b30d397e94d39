/*
 * Calls that change something and have not returned: STATE/vms/UUID.call, a line each with
 * its sum (state_file.h), written before the call and taken out after it. So 'status' shows them
 * although the engine that made one hangs; what an engine left there that was killed, or had no
 * answer, libvirt may still be doing. Whoever changes it holds the VM's lock (lock.h).
 */
#ifndef ENGINE_PENDING_H
#define ENGINE_PENDING_H

#include "engine/system/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct pending_call {
    char verb[16];                /* "attach", "detach", "reset", "reboot", "unbind" */
    char device[64];              /* its address; "-" for the VM */
    char since[CLOCK_STAMP_SIZE]; /* as in the log */
    pid_t process;                /* that makes it */
    unsigned long long started;   /* that process, in clock ticks since the host's boot */
};

/* `process` 0: this one. What cannot be written is only not seen by 'status'. */
void pending_begin(const char *state, const char *uuid, const char *verb, const char *device,
                   pid_t process);
/* The call about that device has returned; NULL: all but what a process still does. An "unbind" of
 * the kernel's goes on. */
void pending_end(const char *state, const char *uuid, const char *device);
/* The same, with an "unbind": the device is where it belongs. */
void pending_forget(const char *state, const char *uuid, const char *device);

bool pending_exists(const char *state, const char *uuid);

/* Those of this boot, oldest first; a line that is damaged is left out. The caller frees them. */
struct pending_call *pending_load(const char *state, const char *uuid, size_t *count);
/* What pending_load() leaves out because the file is damaged or cannot be read, in words; NULL:
 * nothing. The next change of the file takes it away. The caller frees it. */
char *pending_ignored(const char *state, const char *uuid);

/* The UUIDs of the VMs that have some. The caller frees each, and the list. */
char **pending_all(const char *state, size_t *count);

/* Whether the process that makes it still runs. */
bool pending_is_running(const struct pending_call *call);

/* "attach of 0000:03:00.0 since 12:03:01 (process 4711)", of the oldest; NULL: there is none. The
 * caller frees it. */
char *pending_text(const char *state, const char *uuid);

#endif
