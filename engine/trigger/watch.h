/* Listens for devices that are added or removed, and starts a process for each event, until a
 * signal ends it. */
#ifndef ENGINE_WATCH_H
#define ENGINE_WATCH_H

#include "engine/host/uevent.h"
#include "lexer/failure.h"

#include <sys/types.h>

struct watch {
    int socket; /* that messages come from; poll(2) tells when */
    /* As uevent_socket_read(). */
    ssize_t (*read)(int socket, char *message, size_t size);
    /* Called in a process of its own, which ends after it; any number may run at a time. */
    void (*handle)(void *context, const struct uevent *uevent);
    /* The same, for devices that a VM let go and others were not notified of, because an engine was
     * killed (freed_note.h): at the start and every 10 s while there are any. May be NULL. */
    void (*notify_freed)(void *context);
    void *context;
    const struct host_source *host_source;
    const char *state;
    void (*ready)(void *context); /* no event from here on is missed; may be NULL */
    int leave_limit_ms;           /* how long its processes may take when it ends; 0: 10 s */
};

/*
 * Runs until SIGTERM or SIGINT, and then waits for its processes, up to `leave_limit_ms`. At its
 * start, and when the kernel dropped events, it compares the host's devices with those that it
 * knows, and synthesizes the events between: at its start it knows what the VMs were last notified
 * of (device_db.h). Returns 0, or -1 when no event can be received any more, with `failure` set.
 */
int watch_run(const struct watch *watch, struct failure *failure);

#endif
