/* What happens to a running VM, as libvirt reports it: virt_ops.watch() and wait(). */
#ifndef ENGINE_LIBVIRT_EVENTS_H
#define ENGINE_LIBVIRT_EVENTS_H

#include "engine/libvirt/libvirt_load.h"

enum { LIBVIRT_EVENTS_KINDS = 3 };

/*
 * Events come on a connection of their own, which lives from one watch() to the next. With an event
 * loop libvirtd sends a keepalive every 5 s and closes a connection that leaves 5 of them
 * unanswered; the loop answers them, and it runs in wait() only. A connection made before the loop
 * is registered gets no keepalives, and the engine may sleep for minutes between two calls. The
 * second connection costs two milliseconds, and only callers that wait for a guest make it.
 */
struct libvirt_events {
    const struct libvirt_api *api;       /* borrowed */
    virConnectPtr connection;            /* NULL: nothing is watched, or libvirt cannot tell */
    int callbacks[LIBVIRT_EVENTS_KINDS]; /* -1: the daemon does not know the event */
    struct virt_event *queue;            /* wait() has returned the first `read_count` */
    size_t count, read_count;
};

/* Registers libvirt's event loop, which must be there before the connection is made that is to use
 * it. Returns false when libvirt cannot report events. */
bool libvirt_events_start(const struct libvirt_events *events);

/* Takes the connection. Returns 0, or -1 with `error` and nothing watched. */
int libvirt_events_watch(struct libvirt_events *events, virConnectPtr connection, const char *uuid,
                         struct virt_error *error);

/* See virt_ops.wait(). */
int libvirt_events_wait(struct libvirt_events *events, int timeout_ms, struct virt_event *event,
                        struct virt_error *error);

/* Forgets all events and closes the connection. */
void libvirt_events_stop(struct libvirt_events *events);

#endif
