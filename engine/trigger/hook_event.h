/* An event of a VM, as libvirt's hook reports it: from its words to the run. */
#ifndef ENGINE_HOOK_EVENT_H
#define ENGINE_HOOK_EVENT_H

#include "engine/run/run.h"
#include "engine/system/reply.h"

struct hook_event {
    const char *vm, *operation; /* the hook's first two arguments; the others are not used */
    const char *rules;          /* directory of the rules */
    const struct host_source *host_source;
    const char *state; /* directory of log, state and locks */
    struct log_writer *log;
    int boot_ms;         /* as in struct run_config */
    struct reply *reply; /* to the hook; hook_event() closes it */
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

/* Whether the operation has an event. libvirt's hook is also called when a qemu that somebody else
 * started is handed to libvirt ("attach": virsh qemu-attach, until libvirt 6.2): nothing is done
 * then, and nothing is wrong. */
enum hook_event_kind { HOOK_EVENT_KNOWN, HOOK_EVENT_NONE, HOOK_EVENT_UNKNOWN };
enum hook_event_kind hook_event_kind(const char *operation);

/* Runs what the rules say for the event. `xml` is the VM's domain XML, NULL when it could not be
 * read, for the reason in errno. Returns true when everything is as the rules want it; the log has
 * the rest. */
bool hook_event(const struct hook_event *hook, const char *xml, size_t size);

/* The same for an operation that has no event: it is kept, and an unknown one is logged. */
void hook_event_none(const struct hook_event *hook, enum hook_event_kind kind);

#endif
