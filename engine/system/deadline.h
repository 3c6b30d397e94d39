/*
 * How long the engine waits for what may never come: libvirt's daemon, a driver that does not
 * release its device, another engine. Milliseconds.
 */
#ifndef ENGINE_DEADLINE_H
#define ENGINE_DEADLINE_H

#include "engine/system/clock.h"

enum {
    /* A question to libvirt, so that a command says within 10 s that there is no answer. */
    DEADLINE_ANSWER_MS = 8000,
    /* Attach, detach, reset and reboot. libvirt waits 30 s for another job of the VM; a reset of
     * the device, or pinning 64 GiB of the guest's memory, takes about a minute. */
    DEADLINE_CHANGE_MS = 120000,
    /* A write to a driver's bind file, which waits until the driver has released the device. */
    DEADLINE_BIND_MS = 30000,
    /* Another engine's work on the same VM. */
    DEADLINE_LOCK_MS = 300000,
    /* After this time a message says what the program waits for. */
    DEADLINE_NOTICE_MS = 5000,
};

/* The limit in use. VIRT_RULES_ANSWER_MS, for tests, replaces DEADLINE_ANSWER_MS, and changes
 * the others in proportion. */
int deadline_limit(int usual_ms);

#endif
