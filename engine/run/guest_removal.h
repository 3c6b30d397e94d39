/*
 * Asks a guest to release a device that its VM has, and waits for the answer.
 *
 * libvirt asks the guest, waits 5 s and reports success, whatever the guest has done. The
 * result is in libvirt's events, and in the VM's live XML: that is read in the end, and at
 * intervals for a libvirt that has no events.
 */
#ifndef ENGINE_GUEST_REMOVAL_H
#define ENGINE_GUEST_REMOVAL_H

#include "engine/host/host.h"
#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"
#include "engine/run/retry.h"

enum {
    GUEST_REMOVAL_LIMIT_MS = 60000,
    GUEST_REMOVAL_LOSS_MS = 100, /* how long the kernel may take to remove a device after a reset */
};

enum guest_answer {
    GUEST_RELEASED,  /* the VM does not have it, or no longer */
    GUEST_REFUSED,   /* it has said so */
    GUEST_NO_ANSWER, /* within the time: the VM still has it */
    GUEST_STOPPED,   /* the VM has stopped meanwhile, or has been started again */
    GUEST_NOT_ASKED, /* the call failed; trying again may help, see virt_error.kind */
    GUEST_UNSEEN,    /* asked, and then the VM could not be read any more */
};

struct guest_removal {
    struct virt *virt;
    struct clock *clock;
    const struct domain *domain;          /* as it was read just now, with its UUID and id */
    const struct domain_hostdev *hostdev; /* of it, with its alias */
    char *xml;                            /* that detaches it, for libvirt */
    int limit_ms;                         /* of waiting; 0: GUEST_REMOVAL_LIMIT_MS */
};

/*
 * Asks for all elements of one device at once: the device is released when the VM has none of them
 * any more. `result` gets message and hint for people, whatever the answer; of GUEST_NOT_ASKED and
 * GUEST_UNSEEN they are libvirt's, with the kind of error. `count` 0: GUEST_RELEASED, and `result`
 * is left alone. All are of the same VM, clock and connection.
 */
enum guest_answer guest_removal_wait(const struct guest_removal *removals, size_t count,
                                     struct virt_error *result);

/* The same, tried again while an error passes. Meanwhile 'status' shows the call, with the device
 * as pending_begin() has it, and also afterwards when libvirt did not answer; `text` is the device
 * in messages. `state` NULL: it is not shown. */
enum guest_answer guest_removal_wait_shown(const struct guest_removal *removals, size_t count,
                                           const char *state, const char *device, const char *text,
                                           struct virt_error *result);

/* All elements that the VM has of the device, for guest_removal_wait(); guest_removal_finish() ends
 * the list. `only_ours`: without those that somebody else put into the VM, as far as their alias
 * tells. */
struct guest_removal *guest_removal_of(struct virt *virt, struct clock *clock,
                                       const struct domain *domain, const struct device *device,
                                       bool only_ours, size_t *count);
void guest_removal_finish(struct guest_removal *removals, size_t count);

/*
 * qemu resets a USB device when it closes it, and some devices re-enumerate then: they leave their
 * port, and come back to it with another number, perhaps with another id. Returns true when the
 * device that a VM has just released does that; waits a moment for it.
 */
bool guest_removal_was_lost(const struct host_source *source, const struct device *device,
                            struct clock *clock);

/* --- several devices of one VM, whose answers are waited for together */

struct guest_removal_result {
    bool asked; /* and the answer is still to come */
    enum guest_answer answer;
    struct virt_error error; /* as guest_removal_wait() has it */
};

/* Asks for one device; before the first one the caller watches the VM. Of a device that it is not
 * worth waiting for, `result` has the answer. libvirt's call lasts until the guest releases the
 * device, at most 5 s. */
void guest_removal_ask(const struct guest_removal *removal, struct guest_removal_result *result);
/* Waits until every device that was asked for has its answer, at most the limit of the first one.
 * All are of the same VM, clock and connection. */
void guest_removal_await(const struct guest_removal *removals, struct guest_removal_result *results,
                         size_t count);
/* The number of the result that says most of them as a whole: 0 when all were released. */
size_t guest_removal_worst(const struct guest_removal_result *results, size_t count);

#endif
