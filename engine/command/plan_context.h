/*
 * What plan and explain look at: the VM, the event, the rules and the host, as a run would see
 * them. Nothing is changed.
 */
#ifndef ENGINE_PLAN_CONTEXT_H
#define ENGINE_PLAN_CONTEXT_H

#include "engine/command/command.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/plan.h"

struct plan_context {
    const struct command_line *line; /* VM [EVENT] [DEVICE], and the options */
    const char *vm, *event_word;     /* as typed */
    const char *device_word;         /* as typed; NULL: no device was named */
    struct domain domain;
    struct domain_list others;
    struct domain_list vms; /* every VM of the host; none: not known */
    struct event event;
    unsigned long libvirt_version; /* of the daemon; 0: it was not asked, or does not say */
    struct host host;
    struct command_rules rules;
    struct plan_request request;   /* all of the above */
    const struct device **devices; /* of the host, those that device_word names */
    size_t device_count;
    char *note; /* libvirt did not answer: for the JSON document; NULL: it did, or need not */
    struct device gone; /* at unplugged, a device that the host no longer has */
};

/*
 * Fills the context. With one device at plugged or unplugged, the event is about that device.
 * Returns false with the exit code in `*status` after saying why; then there is nothing to finish.
 */
bool plan_context_init(struct plan_context *context, const struct command_line *line, int *status);
/* The same, with the rules that `load` puts there. */
typedef void plan_context_loader(const struct command_line *line, struct command_rules *rules);
bool plan_context_init_with(struct plan_context *context, const struct command_line *line,
                            plan_context_loader *load, int *status);
/* The same, of which the host may be partial: see plan_part.h. */
bool plan_context_init_part(struct plan_context *context, const struct command_line *line,
                            int *status);
/* Reads the whole host in the place of a part. Returns EXIT_FINE, or the exit code after saying
 * why. */
int plan_context_read_whole(struct plan_context *context);
void plan_context_finish(struct plan_context *context);

/* Whether the VM runs and has no definition. */
bool plan_context_is_transient(const struct plan_context *context);
/* From here on the event is `defined`, and the VM what its definition says. Returns EXIT_FINE, or
 * the exit code after saying why. */
int plan_context_use_definition(struct plan_context *context);

/* Its address ("03:00.0") or USB port ("1-1.4"), which no two devices have. */
bool plan_context_is_at(const struct device *device, const char *text);

/* A device as people name it: an address ("03:00.0"), a USB port ("1-1.4") or an id ("1ac1:089a").
 */
bool plan_context_is_called(const struct device *device, const char *text);

/* The VM in the file that --domain-xml names, which must be called `vm` unless that is NULL.
 * Returns EXIT_FINE, or the exit code after saying why. */
int plan_context_read_domain(const struct command_line *line, struct domain *domain,
                             const char *vm);

#endif
