/* One device taken out of a running VM, because a person asks for it and not a rule. */
#ifndef ENGINE_MANUAL_DETACH_H
#define ENGINE_MANUAL_DETACH_H

#include "engine/run/guest_removal.h"
#include "engine/state/log_write.h"
#include "engine/trigger/running_vm.h"

struct manual_detach_request {
    struct virt *virt;
    struct clock *clock;
    const struct program *program; /* whose VMs may be notified; NULL: none is */
    struct log_writer *log;        /* for manual_detach_execute() */
    const struct host_source *host_source;
    const char *state; /* directory of the VM's lock; NULL: it is not taken */
    const char *vm;    /* name, title or UUID */
    /* Address ("03:00.0", "3:0:0:0"), USB port ("1-1.4"), USB number ("1/4"), id ("1ac1:089a"),
     * file, target ("vdb"), MAC address, UUID, or the VM's alias ("hostdev0"). */
    const char *word;
};

struct manual_detach {
    const struct manual_detach_request *request;
    struct running_vm vm;
    const struct domain_hostdev *hostdev;
    const struct device *device; /* NULL: the host does not have it any more */
    char *text;                  /* "0000:03:00.0 1ac1:089a" */
    char *xml;                   /* of all its elements, or of the one that is named by its alias */
    struct guest_removal *removals;
    size_t removal_count;
};

/*
 * Finds the device, and keeps other engines from the VM until manual_detach_finish(). Returns 0, or
 * -1 with message and hint and nothing to finish: no such VM, it does not run, the word names no
 * device of it, or several.
 */
int manual_detach_init(struct manual_detach *detach, const struct manual_detach_request *request,
                       struct virt_error *error);
void manual_detach_finish(struct manual_detach *detach);

/* Why it must not be done, which the caller frees, or NULL. */
char *manual_detach_obstacle(const struct manual_detach *detach);

/* Asks the guest and waits. Returns true when the VM no longer has the device; the log has the
 * result. The caller ends with freed_notify(), after manual_detach_finish(). */
bool manual_detach_execute(struct manual_detach *detach);

/* What would be done, on one line; with `json` {"vm", "device", "name", "alias", "xml", "refusal"}.
 */
void manual_detach_print(const struct manual_detach *detach, FILE *out, bool json);

#endif
