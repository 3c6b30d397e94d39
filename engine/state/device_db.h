/*
 * What came and went at one place of the host, as far as it was told to the VMs: kept in
 * STATE/devices/PLACE, so that an event that comes twice, late or out of order is told once, and a
 * device that went is still known as it was.
 */
#ifndef ENGINE_DEVICE_DB_H
#define ENGINE_DEVICE_DB_H

#include "engine/host/uevent.h"

struct device_slot {
    char *boot;      /* of which start of the kernel */
    uint64_t number; /* of the last event that was told */
    bool is_here;
    bool has_gone;
    bool damaged;       /* not all of the file could be read: the VMs may get an event twice */
    struct device here; /* told as plugged */
    struct device gone; /* the last one told as unplugged */
};

/* "usb-1-1.4": names the place in files and locks. The caller frees it. */
char *device_db_slot(const struct device *device);

/* Empty when nothing was told since the kernel's start, or `boot` is not what is wanted. The caller
 * ends it. */
void device_db_read(struct device_slot *slot, const char *state, const char *place,
                    const char *boot);
void device_db_finish(struct device_slot *slot);

/* Returns 0, or -1 with errno. */
int device_db_write(const struct device_slot *slot, const char *state, const char *place);

/* Every place where something is, of this start of the kernel: its devices. The caller ends each
 * and frees the list. */
struct device *device_db_all(const char *state, const char *boot, size_t *count);

/* What there is to tell, in this order. All is borrowed. */
struct device_changes {
    const struct device *unplugged[2];
    size_t unplugged_count;
    const struct device *plugged; /* or NULL */
    const struct device *there;   /* what is there, told before or not; or NULL */
};

/* `now` is the device that is there, or NULL. An event without a number, told by hand, is told
 * whatever was told before. */
struct device_changes device_db_compare(const struct device_slot *before,
                                        const struct uevent *uevent, const struct device *now);

/* After the changes were told. */
void device_db_update(struct device_slot *slot, const struct uevent *uevent,
                      const struct device_changes *changes);

#endif
