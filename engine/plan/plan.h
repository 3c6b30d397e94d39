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
    /* The index of the controller that it is, which is plugged in before the device and is not a
     * part of it: a SCSI one, at `defined` a root port; -1: an element of the device. */
    int controller;
};

struct plan_entry {
    enum plan_kind kind;
    enum refusal refusal; /* of PLAN_SKIPPED: REFUSED_ABSENT or REFUSED_TOO_FEW with `optional`, or
                             REFUSED_PARKED; else REFUSED_NOT */
    const struct rule *rule; /* NULL: at `defined`, of what no rule wants */
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
    /* The device as written in the rule: "1ac1:089a"; at `defined` also "root port 7"; NULL: run */
    char *target_text;
    /* The XML of a step: what the VM does not have of the device and gets, or what it has and
     * loses. A VM that has all of it has the device. */
    struct plan_element *elements;
    size_t element_count;
    struct guest_place place; /* of a step that attaches: where libvirt will put the first of them,
                                 if that is known */
    char mac[GUEST_MAC_SIZE]; /* of a step that attaches 'as net'; else "" */
    /* Of a step that attaches: what of the host is set before, and set back afterwards. */
    struct setting_list settings;
    /* At `defined`, of a step: what it puts into the definition or takes out of it, see
     * definition_mark.h. */
    struct definition_mark *marks;
    size_t mark_count;
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
    /* In the order of rules and, within one, of targets and addresses; but first those that libvirt
     * waits for. */
    struct plan_entry *entries;
    size_t count;
    struct plan_omitted *omitted; /* for `explain`: the devices that have no entry */
    size_t omitted_count;
    /* At `defined`: what of the definition is ours and stays. */
    struct definition_mark *marks;
    size_t mark_count;
    const struct program *program; /* of the request, for what is in doubt of its guards */
    bool partial;                  /* of the request */
};

/* Everything borrowed by the request must outlive the plan. */
void plan_init(struct plan *plan, const struct plan_request *request);
/* A plan of one rule, without its own VMs and events, at this event, of whose VM only the names
 * count, if it has one. The guards of `program` apply; at `prepare` its rules too, as they say how
 * what is required is attached. */
void plan_init_rule(struct plan *plan, const struct program *program, const struct rule *rule,
                    const struct event *event, const struct host *host);
/* For that: a VM that has just started, whichever it is. */
extern const struct event plan_any_start;
void plan_finish(struct plan *plan);
/* Ends the last entry and takes it out. */
void plan_drop_last(struct plan *plan);

size_t plan_count(const struct plan *plan, enum plan_kind kind);

/* Whether libvirt waits for the action: at 'prepare' alone, and before everything else there. */
bool plan_waits(const struct action *action, enum event_name event);

/* Whether it is a step that attaches a device. */
bool plan_attaches(const struct plan_entry *entry);
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

/* "path:line" of the rule; NULL: no rule wants it. The caller frees it. */
char *plan_rule_text(const struct plan_entry *entry);
/* "0000:03:00.0 1ac1:089a", or the device as written in the rule, or NULL for run. The caller frees
 * it.
 */
char *plan_device_text(const struct plan_entry *entry);

#endif
