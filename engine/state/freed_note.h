/*
 * Devices that a VM lets go, and that other VMs have not been notified of yet: a file each,
 * STATE/freed/SLOT, written before the VM releases the device and removed when all were notified.
 * So the next engine finishes what one that was killed began. The directory is there only while it
 * has files.
 *
 *     freed BOOT-ID ADDRESS VENDOR:DEVICE PROCESS STARTED TIME     first
 *     from VM
 *     taker VM
 *     stopped
 *     end                                                          last
 *
 * PROCESS is the engine that is still at it, and STARTED when that was started, in clock ticks
 * since the host's boot; 0 0: none is. Each line has its sum (state_file.h); a file that is damaged
 * or of an earlier boot of the host counts as none.
 */
#ifndef ENGINE_FREED_NOTE_H
#define ENGINE_FREED_NOTE_H

#include "engine/model/device.h"

#include <stdint.h>

struct freed_note {
    enum bus bus;
    char *address;
    struct device_id id;
    char *from;       /* the key of the VM that had it */
    char *taker;      /* of the VM that takes it from that one; NULL: none does */
    bool has_stopped; /* that VM: it had the device until its end, or until its guest released it */
    bool is_ready;    /* no engine is at it any more */
    unsigned long long process, started; /* the engine that is at it, 0 0: none */
    uint64_t written;                    /* when, as clock_boot_us() */
    char *text;                          /* of the file; NULL: it could not be written */
};

/* Notes that this process is about to free the device, or that its VM has ended. What cannot be
 * written this process knows, and no other engine finishes it. `taker` may be NULL. */
void freed_note_write(const char *state, const struct device *device, const char *from,
                      const char *taker);
void freed_note_write_stopped(const char *state, const struct device *device, const char *from);
/* The VM has released the device that this process noted: if it has it again later, that is not
 * because its guest has yet to answer. */
void freed_note_write_released(const char *state, const struct device *device);
/* The VM keeps the device after all: the note of this process is removed. */
void freed_note_withdraw(const char *state, const struct device *device);
/* This process has done what it noted: any engine may notify the VMs now. */
void freed_note_finish_own(const char *state);

/* Whether there is any, cheaply. */
bool freed_note_exists(const char *state);
/* All of them, by file name. The caller frees them with freed_note_free(). */
struct freed_note *freed_note_all(const char *state, size_t *count);
void freed_note_free(struct freed_note *notes, size_t count);
/* The VMs were notified. Returns false when the note has been written again since: then there is
 * more to do. */
bool freed_note_remove(const char *state, const struct freed_note *note);
/* Whether the device, as it is now, is the one that was noted. */
bool freed_note_is(const struct freed_note *note, const struct device *device);

#endif
