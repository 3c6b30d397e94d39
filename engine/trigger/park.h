/*
 * A running VM without what rules gave it: for a backup, a save, a snapshot, a migration. While the
 * VM is parked no engine attaches anything to it (vm_state.h); that ends when it is unparked or
 * stops.
 */
#ifndef ENGINE_PARK_H
#define ENGINE_PARK_H

#include "engine/libvirt/domain_list.h"
#include "engine/model/event.h"
#include "engine/rules/program.h"
#include "engine/state/log_write.h"
#include "engine/trigger/running_vm.h"

#include <stdio.h>

struct json_object;

struct park_request {
    struct running_vm_request vm; /* without `state` for a dry run, which takes no lock */
    const char *state;            /* directory of the VM's state */
    struct clock *clock;
    struct log_writer *log; /* not for park_print() */
    const struct program *program;
    int wait_ms; /* for the guest; 0: GUEST_REMOVAL_LIMIT_MS */
    /* For park_apply_other_events(). */
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

/* What the VM has. */
struct park_device {
    const struct domain_hostdev *hostdev;
    const struct device *device; /* NULL: the host does not have it any more */
    char *text;                  /* "0000:03:00.0 1ac1:089a" */
    char *xml;
    size_t first;   /* the number of the first element of the same device: this one's, or less */
    bool is_given;  /* a rule gives it to the VM, or did since the VM started */
    char *obstacle; /* why it cannot go; NULL: nothing */
};

struct park {
    const struct park_request *request;
    struct running_vm vm;
    struct domain_list vms; /* every VM, if a word of a rule may mean another one */
    struct event event;
    struct vm_state state; /* of this start of the VM, as it was read */
    struct park_device *devices;
    size_t count;
    char **tried; /* elements that the guest was asked for: text and alias */
    size_t tried_count;
    size_t released;  /* how many of them it released */
    char *kept;       /* "0000:03:00.0 1ac1:089a, ...": those that it keeps; NULL: none */
    bool has_stopped; /* the VM, while its guest was asked */
};

/* Finds the VM and its devices, and keeps other engines from it until park_finish(). Returns 0, or
 * -1 with message and hint and nothing to finish. */
int park_init(struct park *park, const struct park_request *request, struct virt_error *error);
void park_finish(struct park *park);

/*
 * Notes that the VM is parked, asks its guest for all that rules gave, and waits; PCI devices get
 * their host drivers again. Returns true when all of it is out. When it is not, the VM is parked
 * all the same, what went stays out, and another try asks for the rest. The results are in the log,
 * the last of them about the VM.
 */
bool park_execute(struct park *park);

/* What would be done. Returns false when a device cannot go. */
bool park_print(const struct park *park, FILE *out, bool json);
/* {"vm", "uuid", "parked", "parked_since", "devices", "other_devices"}: the VM as it is now, with
 * what it still has that rules gave, and what no rule gave. */
struct json_object *park_json(const struct park *park);

/*
 * --- unpark: park_init(), park_end(); then the rules are applied as `started` has them (apply.h),
 * park_apply_other_events(), park_forget(), park_finish(). One that is killed in between leaves to
 * the next one what is to be applied.
 */

/* Whether the VM is parked, or another 'unpark' did not apply all of its rules. */
bool park_is_parked(const struct park *park);
/* It is not parked any more, and other engines may work on it. Returns false when its state cannot
 * be written; the log has the reason. */
bool park_end(struct park *park);
/* Devices that the VM still lacks it gets by the rules of other events, `plugged` say. Returns true
 * when all is as these rules want it. */
bool park_apply_other_events(struct park *park);
void park_forget(const struct park *park);

#endif
