/*
 * How the rules of the host went in this boot: STATE/boot, a line with its sum (state_file.h),
 * written to a temporary file and renamed.
 *
 *     boot BOOT-ID begun|good|problem PROCESS STARTED TIME
 */
#ifndef ENGINE_BOOT_NOTE_H
#define ENGINE_BOOT_NOTE_H

#include "engine/system/clock.h"

enum boot_note_result {
    BOOT_NOTE_NONE,        /* not in this boot, or it cannot be read */
    BOOT_NOTE_RUNNING,     /* it is at work */
    BOOT_NOTE_INTERRUPTED, /* it was killed before it was done */
    BOOT_NOTE_GOOD,
    BOOT_NOTE_PROBLEM, /* not all is as the rules want it; the log has it */
};

/* BOOT_NOTE_RUNNING of this process, and then GOOD or PROBLEM. What cannot be written is only not
 * known to 'doctor'. */
void boot_note_write(const char *state, enum boot_note_result result);

/* `time` is that of the last change, as in the log; "" for NONE. `root` is "", or holds a copy of
 * the host that the state is of. */
enum boot_note_result boot_note_read(const char *state, const char *root,
                                     char time[CLOCK_STAMP_SIZE]);

#endif
