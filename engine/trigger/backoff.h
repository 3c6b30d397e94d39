/*
 * A USB device that re-enumerates when it is reset leaves its VM when the guest resets it, comes
 * back, and is attached again: for ever, when the guest resets it each time. A bad cable does the
 * same. So a device that left its VM some times in succession soon after it was attached has to
 * stay on the host for a while first, and longer each time.
 */
#ifndef ENGINE_BACKOFF_H
#define ENGINE_BACKOFF_H

#include "engine/host/host.h"
#include "engine/state/device_db.h"
#include "engine/system/clock.h"

enum {
    BACKOFF_FREE_LOSSES = 5, /* after so many there is a first wait */
    BACKOFF_SOON_MS = 30000, /* a device that was in its VM for longer does not count */
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_LONGEST_MS = 60000,
};

/* The device that was in the slot has left it, at `now`. */
void backoff_note_loss(struct device_slot *slot, int64_t now);
/* A VM has got the device that is in the slot. */
void backoff_note_attached(struct device_slot *slot, int64_t now);

/* How long the next device has to stay on the host before it is attached; 0: not at all. */
int64_t backoff_wait_ms(const struct device_slot *slot);
/* Waits for that time, or until the device leaves the host. Returns true when it was there for so
 * long. */
bool backoff_wait(const struct host_source *source, const struct device *device, int64_t wait_ms,
                  struct clock *clock);
/* For the log, about that wait. The caller frees it. */
char *backoff_message(const struct device_slot *slot, int64_t wait_ms);
extern const char backoff_hint[];

#endif
