/*
 * What the VMs were last notified of about one slot of the host: STATE/devices/SLOT. An event that
 * arrives twice, late or out of order is handled once, and a device that was removed is still known
 * as it was.
 */
#ifndef ENGINE_DEVICE_DB_H
#define ENGINE_DEVICE_DB_H

#include "engine/host/uevent.h"

struct device_slot {
    char *boot;      /* boot ID of the host */
    uint64_t seqnum; /* of the last event the VMs were notified of */
    bool is_here;
    bool has_gone;
    bool damaged;     /* a part of the file is unreadable: the VMs may get an event twice */
    int64_t attached; /* when a VM got the device that is here, in ms of clock_now(); 0: none did */
    unsigned losses;  /* see engine/trigger/backoff.h */
    struct device here; /* reported as plugged */
    struct device gone; /* the last one reported as unplugged */
};

/* "usb-1-1.4": the name of the slot in files and locks. The caller frees it. */
char *device_db_slot(const struct device *device);

/* Empty when the VMs were notified of nothing in this `boot` of the host. The caller frees it with
 * device_db_finish(). */
void device_db_read(struct device_slot *slot, const char *state, const char *name,
                    const char *boot);
void device_db_finish(struct device_slot *slot);

/* Returns 0, or -1 with errno. */
int device_db_write(const struct device_slot *slot, const char *state, const char *name);

/* The devices in all slots, of this boot of the host. The caller ends each with device_finish() and
 * frees the list. */
struct device *device_db_all(const char *state, const char *boot, size_t *count);

/* What to notify the VMs of, in this order. All is borrowed. */
struct device_changes {
    const struct device *unplugged[2];
    size_t unplugged_count;
    const struct device *plugged; /* or NULL */
    const struct device *there;   /* what is in the slot now, or NULL */
};

/* `now` is the device that is in the slot, or NULL. An event without a seqnum, which a person made
 * with 'plug', is handled whatever was handled before. */
struct device_changes device_db_compare(const struct device_slot *before,
                                        const struct uevent *uevent, const struct device *now);

/* After the VMs were notified of `changes`. */
void device_db_update(struct device_slot *slot, const struct uevent *uevent,
                      const struct device_changes *changes);

#endif
