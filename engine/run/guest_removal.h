/*
 * Asks a guest to let go of a device that its VM has, and waits for the answer.
 *
 * libvirt asks the guest, waits 5 s and says that all is well, whatever the guest has done; what
 * came of it is told by events, and by the VM's live XML, which is looked at in the end, and now
 * and then for a libvirt that has no events.
 *
 * How the engine's `detach` uses it, for a device that the plan says the VM has:
 *
 *     struct guest_removal release = {.virt = run->virt,
 *                                     .clock = run->executor->clock,
 *                                     .domain = &run->domain,
 *                                     .hostdev = backend_hostdev_of(&run->domain, entry->device),
 *                                     .xml = entry->xml};
 *     enum guest_answer answer = guest_release(&release, &error);
 *     ... GUEST_NOT_ASKED: what `error.kind` asks for, as after any other call; else
 *     finish(run, entry, task, answer == GUEST_LET_GO ? RESULT_DETACHED : RESULT_FAILED,
 *            error.failure.message, error.failure.hint);
 */
#ifndef ENGINE_GUEST_REMOVAL_H
#define ENGINE_GUEST_REMOVAL_H

#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"
#include "engine/run/pass.h"

enum { GUEST_RELEASE_LIMIT_MS = 60000 };

enum guest_answer {
    GUEST_LET_GO,    /* the VM does not have it (any more) */
    GUEST_KEEPS_IT,  /* and said so */
    GUEST_IS_SILENT, /* and has it still, when the time is over */
    GUEST_STOPPED,   /* the VM has stopped meanwhile, or another run of it began */
    GUEST_NOT_ASKED, /* the call failed; trying again may help, see virt_error.failure */
    GUEST_UNSEEN,    /* asked, and then the VM could not be seen any more */
};

struct guest_removal {
    struct virt *virt;
    struct clock *clock;
    const struct domain *domain;          /* as it ran just now, with its UUID and id */
    const struct domain_hostdev *hostdev; /* of it, with its alias */
    const char *xml;                      /* <hostdev>, for libvirt */
    int limit_ms;                         /* of waiting; 0: GUEST_RELEASE_LIMIT_MS */
};

/* `result` gets message and hint for people, whatever the answer; of GUEST_NOT_ASKED and
 * GUEST_UNSEEN they are libvirt's, with the kind of failure. */
enum guest_answer guest_removal_wait(const struct guest_removal *release,
                                     struct virt_error *result);

#endif
