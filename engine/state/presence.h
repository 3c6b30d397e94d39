/*
 * What came and went at one place of the host, as far as it was told to the VMs: kept in
 * STATE/devices/PLACE, so that an event that comes twice, late or out of order is told once, and a
 * device that went is still known as it was.
 */
#ifndef ENGINE_PRESENCE_H
#define ENGINE_PRESENCE_H

#include "engine/host/uevent.h"

struct presence {
    char *boot;      /* of which start of the kernel */
    uint64_t number; /* of the last event that was told */
    bool is_here;
    bool has_gone;
    bool damaged;            /* not all of the file could be read: an event may be told twice */
    struct host_device here; /* told as plugged */
    struct host_device gone; /* the last one told as unplugged */
};

/* "usb-1-1.4": names the place in files and locks. The caller frees it. */
char *presence_place(const struct host_device *device);

/* Empty when nothing was told since the kernel's start, or `boot` is not what is wanted. The caller
 * ends it. */
void presence_read(struct presence *presence, const char *state, const char *place,
                   const char *boot);
void presence_finish(struct presence *presence);

/* Returns 0, or -1 with errno. */
int presence_write(const struct presence *presence, const char *state, const char *place);

/* Every place where something is, of this start of the kernel: its devices. The caller ends each
 * and frees the list. */
struct host_device *presence_all(const char *state, const char *boot, size_t *count);

/* What there is to tell, in this order. All is borrowed. */
struct news {
    const struct host_device *unplugged[2];
    size_t unplugged_count;
    const struct host_device *plugged; /* or NULL */
    const struct host_device *there;   /* what is there, told before or not; or NULL */
};

/* `now` is the device that is there, or NULL. An event without a number, told by hand, is told
 * whatever was told before. */
struct news presence_compare(const struct presence *before, const struct uevent *uevent,
                             const struct host_device *now);

/* After the news were told. */
void presence_update(struct presence *presence, const struct uevent *uevent,
                     const struct news *news);

#endif
