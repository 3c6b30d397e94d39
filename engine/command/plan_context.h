/*
 * A question about an event that changes nothing: which VM, which event, which rules, which host.
 * plan and explain ask it in the same words, so that both see what a run would see.
 */
#ifndef ENGINE_PLAN_CONTEXT_H
#define ENGINE_PLAN_CONTEXT_H

#include "engine/command/command.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/plan.h"

struct plan_context {
    const struct command *command;
    const char *vm, *event_word; /* as typed */
    const char *device_word;     /* as typed; NULL: no device was named */
    const char *rules, *sysroot, *domain_xml;
    struct domain domain;
    struct domain_list others;
    struct domain_list vms; /* every VM of the host; none: not known */
    struct event event;
    struct host host;
    struct ruleset ruleset;
    struct program program;
    struct plan_request request;   /* all of the above */
    bool broken_rules;             /* said on stderr already */
    const struct device **devices; /* of the host, that the device's word means */
    size_t device_count;
    char *note; /* libvirt did not answer: for the JSON document; NULL: it did, or need not */
    struct device gone; /* the device of unplugged, of which there is only the word */
};

/* The rows of a command's option table that an inquiry takes. */
#define INQUIRY_OPTIONS(inquiry)                                                                   \
    {.name = "rules", .value = &(inquiry)->rules},                                                 \
        {.name = "sysroot", .value = &(inquiry)->sysroot}, {                                       \
        .name = "domain-xml", .value = &(inquiry)->domain_xml                                      \
    }

/*
 * Fills the rest from `command`, `vm`, `event_word`, `device_word` and the options. One device, and
 * plugged or unplugged: the event is of that device. Returns EXIT_FINE; or the status to end with,
 * said on stderr, and nothing to finish.
 */
int plan_context_init(struct plan_context *inquiry);
void plan_context_finish(struct plan_context *inquiry);

/* The VM of a file that --domain-xml names ("-": standard input), which must be called `vm` unless
 * that is NULL. Returns as plan_context_init(). */
int plan_context_read_domain(const struct command *command, struct domain *domain, const char *path,
                             const char *vm);

#endif
