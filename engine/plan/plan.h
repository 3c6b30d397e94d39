/*
 * What an event will do to the host's devices, as a value: the dry run prints it and the real run
 * executes it. Nothing here has side effects.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include "engine/model/event.h"
#include "engine/plan/judge.h"
#include "engine/rules/match.h"

struct plan_request {
    const struct program *program;
    const struct event *event;
    const struct host *host;
    const struct domain *others; /* running VMs other than the event's; may be NULL */
    size_t other_count;
    const struct busy_device *busy; /* may be NULL */
    size_t busy_count;
    const struct kept_device *kept; /* may be NULL */
    size_t kept_count;
    bool takes_nothing; /* no device of another VM, whatever the rules say */
    bool partial;       /* files with errors are left out of the program */
    bool parked;        /* the VM is, see vm_state.h: nothing is attached to it */
    /* The directory below which the plan checks programs, "" for the running system. NULL: they are
     * checked when they are started. */
    const char *program_root;
    unsigned long libvirt_version; /* of the daemon: 9000000 is 9.0.0; 0: unknown */
};

enum plan_kind {
    PLAN_STEP,    /* will be done */
    PLAN_REFUSED, /* cannot be done */
    PLAN_SKIPPED, /* nothing to do, and no failure: attached already, absent but optional */
};

/* What libvirt gets in one call. */
struct plan_element {
    char *xml;
    /* The index of the SCSI controller that it is, which is plugged in before the device and is not
     * a part of it; -1: an element of the device. */
    int controller;
};

struct plan_entry {
    enum plan_kind kind;
    enum refusal refusal; /* of PLAN_SKIPPED: REFUSED_ABSENT or REFUSED_TOO_FEW with `optional`, or
                             REFUSED_PARKED; else REFUSED_NOT */
    const struct rule *rule;
    const struct action *action;
    const struct target *target; /* NULL: run */
    const struct device *device; /* NULL: run, or none was found */
    /* `device` of a step that detaches what was unplugged from the host: built from the VM's XML,
     * with "bus/device" as its address; else NULL. */
    struct device *unplugged;
    /* `device` of an entry that is about one mediated device: a copy of the host's device that
     * stands for it alone, see struct device; else NULL. */
    struct device *instance;
    /* Of a step: the VM that has the device now, whose guest is asked to release it first; NULL: no
     * VM has it. One of the request's `others`. */
    const struct domain *take_from;
    char *target_text; /* the device as written in the rule: "1ac1:089a"; NULL: run */
    /* The XML of a step: what the VM does not have of the device and gets, or what it has and
     * loses. A VM that has all of it has the device. */
    struct plan_element *elements;
    size_t element_count;
    struct guest_place place; /* of a step that attaches: where libvirt will put the first of them,
                                 if that is known */
    char mac[GUEST_MAC_SIZE]; /* of a step that attaches 'as net'; else "" */
    char *note;    /* what a person should know of a step, as that it will be slow; NULL: nothing */
    char *message; /* of a refusal or a skip */
    char *hint;
};

/* Why a device that a target selects has no entry of this target. */
struct plan_omitted {
    const struct action *action;
    const struct target *target;
    const struct device *device;
    enum refusal refusal; /* REFUSED_NOT: it is free */
    char *message;
};

struct plan {
    const struct event *event;
    struct plan_entry
        *entries; /* in the order of rules and, within one, of targets and addresses */
    size_t count;
    struct plan_omitted *omitted; /* for `explain`: the devices that have no entry */
    size_t omitted_count;
    const struct program *program; /* of the request, for what is in doubt of its guards */
    bool partial;                  /* of the request */
};

/* Everything borrowed by the request must outlive the plan. */
void plan_init(struct plan *plan, const struct plan_request *request);
/* A plan of one rule, without its own VMs and events: for an unknown VM that has just started. The
 * guards of `program` apply. */
void plan_init_rule(struct plan *plan, const struct program *program, const struct rule *rule,
                    const struct host *host);
void plan_finish(struct plan *plan);

size_t plan_count(const struct plan *plan, enum plan_kind kind);

/* What the entry does: its action's verb; an unplugged device is always detached. */
enum verb plan_verb(const struct plan_entry *entry);

/* The value of an action's option, or 0 / false. */
uint32_t plan_option_ms(const struct action *action, enum option_kind kind);
bool plan_has_option(const struct action *action, enum option_kind kind);

/* How the backend presents the device, for an action that attaches it; without its place. `target`
 * NULL: as for a device that only comes along with its IOMMU group. */
struct backend_options plan_backend_options(const struct action *action,
                                            const struct target *target,
                                            const struct device *device);

/* "path:line" of the rule. The caller frees it. */
char *plan_rule_text(const struct plan_entry *entry);
/* "0000:03:00.0 1ac1:089a", or the device as written in the rule, or NULL for run. The caller frees
 * it.
 */
char *plan_device_text(const struct plan_entry *entry);

#endif
