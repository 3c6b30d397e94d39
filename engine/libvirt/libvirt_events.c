#include "engine/libvirt/libvirt_events.h"

#include "engine/libvirt/libvirt_errors.h"
#include "engine/system/clock.h"
#include "lexer/memory.h"

#include <stdio.h>
#include <stdlib.h>

static void libvirt_events_time_over(int timer, void *over) {
    (void)timer;
    *(bool *)over = true;
}

/* A process has one event loop, and only adding a timer shows whether it is registered. Returns the
 * timer, or -1. */
static int libvirt_events_add_timer(const struct libvirt_api *api, int milliseconds, bool *over) {
    int timer = api->add_timeout(milliseconds, libvirt_events_time_over, over, NULL);

    if (timer < 0 && api->register_loop() == 0)
        timer = api->add_timeout(milliseconds, libvirt_events_time_over, over, NULL);
    api->reset_last_error();
    return timer;
}

static bool libvirt_events_has_queued(const struct libvirt_events *events) {
    return events->read_count < events->count;
}

/* Runs the loop until its time is over, an event is queued, or the connection is lost (NULL: for
 * the time alone). At least 1 ms: a timer that has fired already would leave no turn to the
 * sockets. Returns -1 when the loop does not work. */
static int libvirt_events_run_loop(const struct libvirt_events *events, int milliseconds,
                                   virConnectPtr connection) {
    const struct libvirt_api *api = events->api;
    bool over = false;
    int timer = libvirt_events_add_timer(api, milliseconds > 0 ? milliseconds : 1, &over),
        status = 0;

    if (timer < 0)
        return -1;
    while (status == 0 && !over &&
           (!connection || (!libvirt_events_has_queued(events) && api->is_alive(connection) == 1)))
        status = api->run_loop();
    api->remove_timeout(timer);
    return status;
}

static void libvirt_events_queue(struct libvirt_events *events, enum virt_event_kind kind,
                                 const char *alias) {
    struct virt_event *event;

    events->queue = memory_grow(events->queue, events->count, sizeof *events->queue);
    event = &events->queue[events->count++];
    *event = (struct virt_event){.kind = kind};
    snprintf(event->alias, sizeof event->alias, "%s", alias ? alias : "");
}

/* After other lifecycle events the VM may still run: a crashed guest may be preserved, and a VM
 * whose definition is removed runs on. */
static void libvirt_events_on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event,
                                        int detail, void *events) {
    (void)connection, (void)domain, (void)detail;
    if (event == VIR_DOMAIN_EVENT_STOPPED)
        libvirt_events_queue(events, VIRT_EVENT_STOPPED, NULL);
    if (event == VIR_DOMAIN_EVENT_RESUMED)
        libvirt_events_queue(events, VIRT_EVENT_RESUMED, NULL);
}

static void libvirt_events_on_removed(virConnectPtr connection, virDomainPtr domain,
                                      const char *alias, void *events) {
    (void)connection, (void)domain;
    libvirt_events_queue(events, VIRT_EVENT_REMOVED, alias);
}

static void libvirt_events_on_removal_failed(virConnectPtr connection, virDomainPtr domain,
                                             const char *alias, void *events) {
    (void)connection, (void)domain;
    libvirt_events_queue(events, VIRT_EVENT_REFUSED, alias);
}

void libvirt_events_stop(struct libvirt_events *events) {

    if (events->connection) {
        for (int i = 0; i < LIBVIRT_EVENTS_KINDS; i++)
            if (events->callbacks[i] >= 0)
                events->api->deregister_event(events->connection, events->callbacks[i]);
        events->api->close(events->connection);
        libvirt_events_run_loop(events, 1, NULL); /* which closes the socket */
        events->api->reset_last_error();
    }
    free(events->queue);
    *events = (struct libvirt_events){.api = events->api};
}

/* An event that the daemon does not know is skipped. */
static int libvirt_events_register(struct libvirt_events *events, virDomainPtr domain,
                                   struct virt_error *error) {
    static const struct {
        int id;
        void (*function)(void); /* each kind of event has a type of its own */
    } kinds[LIBVIRT_EVENTS_KINDS] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, (void (*)(void))libvirt_events_on_lifecycle},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, (void (*)(void))libvirt_events_on_removed},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
         (void (*)(void))libvirt_events_on_removal_failed},
    };

    for (int i = 0; i < LIBVIRT_EVENTS_KINDS; i++) {
        events->callbacks[i] = events->api->register_event(
            events->connection, domain, kinds[i].id,
            (virConnectDomainEventGenericCallback)kinds[i].function, events, NULL);
        if (events->callbacks[i] < 0 && libvirt_errors_last(events->api, error) < 0 &&
            error->kind == VIRT_UNREACHABLE)
            return -1;
    }
    return 0;
}

bool libvirt_events_start(const struct libvirt_events *events) {
    const struct libvirt_api *api = events->api;
    if (!api->is_alive || !api->register_event || !api->deregister_event || !api->register_loop ||
        !api->run_loop || !api->add_timeout || !api->remove_timeout)
        return false;
    int timer = libvirt_events_add_timer(api, -1, NULL);
    if (timer >= 0)
        api->remove_timeout(timer);
    return timer >= 0;
}

int libvirt_events_watch(struct libvirt_events *events, virConnectPtr connection, const char *uuid,
                         struct virt_error *error) {
    events->connection = connection;
    for (int i = 0; i < LIBVIRT_EVENTS_KINDS; i++)
        events->callbacks[i] = -1;
    virDomainPtr domain = events->api->lookup_by_uuid(connection, uuid);
    int status = domain ? libvirt_events_register(events, domain, error)
                        : libvirt_errors_last(events->api, error);
    if (domain)
        events->api->free(domain);
    if (status < 0)
        libvirt_events_stop(events);
    return status;
}

int libvirt_events_wait(struct libvirt_events *events, int timeout_ms, struct virt_event *event,
                        struct virt_error *error) {
    *event = (struct virt_event){.kind = VIRT_EVENT_NONE};
    if (!events->connection) {
        clock_sleep(timeout_ms);
        return 0;
    }
    bool is_broken = !libvirt_events_has_queued(events) &&
                     libvirt_events_run_loop(events, timeout_ms, events->connection) != 0;
    if (libvirt_events_has_queued(events)) {
        *event = events->queue[events->read_count++];
        return 0;
    }
    bool is_lost = events->api->is_alive(events->connection) != 1;
    if (!is_broken && !is_lost)
        return 0;
    libvirt_events_stop(events);
    return is_lost ? virt_error_set(error, VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION,
                                    "libvirt closed the connection")
                   : virt_error_set(error, VIRT_FAILED, "", "libvirt's event loop does not work");
}
