/*
 * Removes the mediated devices that were created for a VM and that it has no longer. They are in
 * its state (vm_state.h) from before they are created until they are gone, so what an engine that
 * was killed has left, the next one removes: at the end of a run, when the VM has ended, before it
 * starts again, and at 'apply'.
 */
#ifndef ENGINE_MDEV_CLEANUP_H
#define ENGINE_MDEV_CLEANUP_H

#include "engine/host/host.h"
#include "engine/model/domain.h"
#include "engine/state/vm_state.h"
#include "engine/system/clock.h"

struct mdev_cleanup {
    const struct host_source *source;
    struct clock *clock;
    const struct domain *domain; /* the VM as it is now: what it has stays. NULL: it has ended */
    const struct domain *others; /* the other running VMs; may be NULL */
    size_t other_count;
    /* Of one that stays although it should not. `device`: for the log. */
    void (*report)(void *context, const char *device, const char *message, const char *hint);
    void *context;
};

/* Those that are gone are no longer in the state, which the caller saves, and for which it holds
 * the VM's lock. Waits a moment for a qemu that is about to close one. Returns true when the state
 * has changed. */
bool mdev_cleanup(const struct mdev_cleanup *cleanup, struct vm_state *state);

#endif
