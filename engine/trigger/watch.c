#include "engine/trigger/watch.h"

#include "engine/host/host.h"
#include "engine/host/uevent_socket.h"
#include "engine/model/device.h"
#include "engine/state/device_db.h"
#include "engine/state/freed_note.h"
#include "engine/system/clock.h"
#include "lexer/memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CHILD_LIMIT = 64,       /* then no more events are read until one ends */
    QUIET_MS = 100,         /* without an event, after some were lost */
    LOST_LIMIT_MS = 1000,   /* but no longer than this after the loss */
    LEAVE_LIMIT_MS = 10000, /* for what is under way at the end */
    READ_AGAIN_MS = 1000,   /* when the host could not be read */
    FREED_MS = 10000,       /* between looks for what other engines did not finish */
};

struct watcher {
    const struct watch *watch;
    int signals;
    sigset_t before;
    unsigned children;
    struct device *devices; /* that are there, by the events so far */
    size_t count;
    int64_t lost; /* since when events are missing; 0: none */
    bool ended;
    bool started;       /* the coldplug at the start is done */
    int64_t read_again; /* when to try it, the host could not be read; 0: it could */
    int64_t freed;      /* when to look for devices that were freed */
};

/* --- children */

/* The child has a session of its own, so that ^C at a terminal ends the watch and not the work.
 * `uevent` NULL: for devices that were freed. Returns false when fork failed. */
static bool watch_start(struct watcher *watcher, const struct uevent *uevent) {
    const struct watch *watch = watcher->watch;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        sigprocmask(SIG_SETMASK, &watcher->before, NULL);
        close(watcher->signals);
        close(watch->socket);
        if (uevent)
            watch->handle(watch->context, uevent);
        else
            watch->notify_freed(watch->context);
        _exit(0);
    }
    watcher->children += child > 0;
    return child > 0;
}

static void watch_wait_for_signal(struct watcher *watcher, int limit_ms) {
    struct pollfd wait = {.fd = watcher->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    poll(&wait, 1, limit_ms);
    while (read(watcher->signals, &info, sizeof info) == sizeof info)
        watcher->ended |= info.ssi_signo != SIGCHLD;
    while (watcher->children && waitpid(-1, NULL, WNOHANG) > 0)
        watcher->children--;
}

/* Synthetic events are many at a time. */
static void watch_start_in_time(struct watcher *watcher, const struct uevent *uevent) {
    while (watcher->children >= CHILD_LIMIT && !watcher->ended)
        watch_wait_for_signal(watcher, -1);
    while (!watcher->ended && !watch_start(watcher, uevent))
        watch_wait_for_signal(watcher, QUIET_MS);
}

/* --- what is there */

static void watch_forget(struct watcher *watcher, size_t i) {
    device_finish(&watcher->devices[i]);
    watcher->devices[i] = watcher->devices[--watcher->count];
}

static void watch_note(struct watcher *watcher, const struct device *device) {
    watcher->devices = memory_grow(watcher->devices, watcher->count, sizeof *watcher->devices);
    watcher->devices[watcher->count++] = device_copy(device);
}

/* A removed device gets what is known of it and its event does not say. */
static void watch_track(struct watcher *watcher, struct uevent *uevent) {
    const struct device *device = &uevent->device;
    for (size_t i = watcher->count; i-- > 0;) {
        struct device *known = &watcher->devices[i];
        if (known->bus != device->bus || strcmp(known->address, device->address) != 0)
            continue;
        if (uevent->removed && device_is_same(known, device)) {
            device_finish(&uevent->device);
            uevent->device = device_copy(known);
        }
        watch_forget(watcher, i);
    }
    if (!uevent->removed)
        watch_note(watcher, device);
}

static bool watch_is_among(const struct device *list, size_t count, const struct device *device) {
    for (size_t i = 0; i < count; i++)
        if (device_is_same(&list[i], device))
            return true;
    return false;
}

static void watch_synthesize(struct watcher *watcher, const struct device *device, bool removed,
                             bool coldplug, uint64_t seqnum) {
    struct uevent uevent;
    uevent_of(&uevent, device, removed, seqnum);
    uevent.coldplug = coldplug;
    watch_start_in_time(watcher, &uevent);
    uevent_finish(&uevent);
}

/* The sequence number is read first: the events from here on have a higher one. Returns false when
 * the host cannot be read: then this is still to be done. */
static bool watch_compare(struct watcher *watcher, bool coldplug) {
    struct host host;
    struct failure failure;
    const struct host_source *source = watcher->watch->host_source;
    uint64_t seqnum = source->last_seqnum(source);
    if (source->load(source, &host, &failure) < 0) {
        if (!watcher->read_again) /* once, until it can be read again */
            fprintf(stderr,
                    "virt-rules watch: the host's devices cannot be read: %s\n"
                    "  hint: is sysfs mounted on /sys? It is retried every second\n",
                    failure.message);
        watcher->read_again = clock_now() + READ_AGAIN_MS;
        return false;
    }
    watcher->read_again = 0;
    for (size_t i = watcher->count; i-- > 0;) {
        if (watch_is_among(host.devices, host.count, &watcher->devices[i]))
            continue;
        watch_synthesize(watcher, &watcher->devices[i], true, false, seqnum);
        watch_forget(watcher, i);
    }
    for (size_t i = 0; i < host.count; i++) {
        if (watch_is_among(watcher->devices, watcher->count, &host.devices[i]))
            continue;
        watch_synthesize(watcher, &host.devices[i], false, coldplug, seqnum);
        watch_note(watcher, &host.devices[i]);
    }
    host_finish(&host);
    return true;
}

/* What VMs were last notified of is compared with what is there now. */
static void watch_coldplug(struct watcher *watcher) {
    const struct host_source *source = watcher->watch->host_source;
    char *boot = source->boot_id(source);
    watcher->devices = device_db_all(watcher->watch->state, boot, &watcher->count);
    free(boot);
    watcher->started = watch_compare(watcher, true);
    watcher->lost = watcher->started ? 0 : clock_now();
}

/* --- messages */

/* What is read after SIGTERM is not handled: the next watch compares what is there. Returns false
 * with errno when the socket cannot be read any more. */
static bool watch_take_messages(struct watcher *watcher) {
    char message[UEVENT_MESSAGE_SIZE];
    while (watcher->children < CHILD_LIMIT && !watcher->ended) {
        ssize_t size = watcher->watch->read(watcher->watch->socket, message, sizeof message);
        if (size < 0 && errno == ENOBUFS)
            watcher->lost = watcher->lost ? watcher->lost : clock_now();
        else if (size < 0)
            return errno == EAGAIN;
        if (size <= 0)
            continue;
        watch_wait_for_signal(watcher, 0);
        if (watcher->ended)
            break;
        struct uevent uevent;
        const char **variables = uevent_split(message, (size_t)size);
        if (variables && uevent_init(&uevent, variables)) {
            watch_track(watcher, &uevent);
            watch_start_in_time(watcher, &uevent);
            uevent_finish(&uevent);
        }
        free((void *)variables);
    }
    return true;
}

/* When it has become quiet: a device leaves sysfs a little after its event. */
static void watch_resync(struct watcher *watcher, bool quiet) {
    if (!watcher->lost || (!quiet && clock_now() < watcher->lost + LOST_LIMIT_MS) ||
        clock_now() < watcher->read_again || !watch_compare(watcher, !watcher->started))
        return;
    watcher->lost = 0;
    watcher->started = true;
}

static void watch_look_for_freed(struct watcher *watcher) {
    const struct watch *watch = watcher->watch;
    if (!watch->notify_freed || clock_now() < watcher->freed)
        return;
    watcher->freed = clock_now() + FREED_MS;
    if (freed_note_exists(watch->state))
        watch_start(watcher, NULL);
}

static bool watch_round(struct watcher *watcher) {
    bool full = watcher->children >= CHILD_LIMIT;
    struct pollfd waits[] = {{.fd = watcher->signals, .events = POLLIN},
                             {.fd = full ? -1 : watcher->watch->socket, .events = POLLIN}};
    int ready = poll(waits, 2, watcher->lost ? QUIET_MS : FREED_MS);
    if (ready < 0)
        return errno == EINTR;
    watch_wait_for_signal(watcher, 0);
    if (waits[1].revents && !watch_take_messages(watcher))
        return false;
    watch_resync(watcher, ready == 0);
    watch_look_for_freed(watcher);
    return true;
}

int watch_run(const struct watch *watch, struct failure *failure) {
    struct watcher watcher = {.watch = watch};
    bool good = true;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &watcher.before);
    signal(SIGCHLD, SIG_DFL);
    watcher.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watcher.signals < 0) {
        return failure_set(failure, "cannot receive signals: %s", strerror(errno));
    }
    if (watch->ready)
        watch->ready(watch->context);
    watch_coldplug(&watcher);
    watch_look_for_freed(&watcher);
    while (!watcher.ended && (good = watch_round(&watcher)))
        ;
    if (!good)
        failure_set(failure, "cannot read the kernel's events: %s", strerror(errno));
    /* Events under way may hold devices of a group that the host is to get back. A second signal
     * ends the wait. */
    int limit = watch->leave_limit_ms ? watch->leave_limit_ms : LEAVE_LIMIT_MS;
    int64_t deadline = clock_now() + limit;
    watcher.ended = false;
    for (int64_t left; watcher.children && !watcher.ended && (left = deadline - clock_now()) > 0;)
        watch_wait_for_signal(&watcher, (int)left);
    while (watcher.count)
        watch_forget(&watcher, watcher.count - 1);
    free(watcher.devices);
    close(watcher.signals);
    sigprocmask(SIG_SETMASK, &watcher.before, NULL);
    return good ? 0 : -1;
}
