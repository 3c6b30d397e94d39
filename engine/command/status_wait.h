/*
 * Whether a VM has all that its rules want, has not yet, or will not have it: for 'status --wait'.
 * Between two looks nothing is done: the engines change files, and so does libvirt, see
 * status_wait_sleep().
 */
#ifndef ENGINE_STATUS_WAIT_H
#define ENGINE_STATUS_WAIT_H

#include "engine/plan/status.h"

enum status_wait_verdict {
    STATUS_WAIT_DONE,
    STATUS_WAIT_ON,
    STATUS_WAIT_NEVER /* `message` and `hint` say why */
};

struct status_wait {
    const char *state, *sysroot;
    int64_t start;   /* clock_now() */
    int64_t limit;   /* milliseconds; 0: by the rules */
    int64_t due;     /* clock_now(): when to look again even if nothing happens */
    bool is_certain; /* the last look has found that no engine is at work */
    int notify;      /* inotify; -1: it does not work */
    bool sees_all;   /* each directory is watched */
    char *message, *hint;
};

/* `sysroot` "": the running system. Texts are borrowed. */
void status_wait_open(struct status_wait *wait, const char *state, const char *sysroot,
                      int64_t limit);
void status_wait_close(struct status_wait *wait);

/* Before the VM is read: from here on no change is missed. */
void status_wait_watch(struct status_wait *wait);
enum status_wait_verdict status_wait_judge(struct status_wait *wait, const struct status_vm *vm);
/* After STATUS_WAIT_ON, until something has changed. */
void status_wait_sleep(struct status_wait *wait);

#endif
