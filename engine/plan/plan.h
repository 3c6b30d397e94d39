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
    bool partial; /* files with errors are left out of the program */
    /* Below which programs are judged, "" for the running system. NULL: not here, but when they are
     * started. */
    const char *program_root;
};

enum plan_kind {
    PLAN_STEP,    /* will be done */
    PLAN_REFUSED, /* wanted and impossible */
    PLAN_SKIPPED, /* nothing to do, and no failure: attached already, absent but optional */
};

struct plan_entry {
    enum plan_kind kind;
    enum refusal refusal; /* of PLAN_SKIPPED: REFUSED_ABSENT or REFUSED_TOO_FEW with `optional`;
                             else REFUSED_NOT */
    const struct rule *rule;
    const struct action *action;
    const struct target *target; /* NULL: run */
    const struct device *device; /* NULL: run, or none was found */
    struct device *unplugged; /* `device` of a step that takes out of the VM what has left the host;
                            made up from the VM's XML: "bus/device" is its address. Else NULL */
    char *target_text;        /* the device as the rule has it: "1ac1:089a"; NULL: run */
    char *xml;                /* <hostdev> text of a step; else NULL */
    char *message;            /* of a refusal or a skip */
    char *hint;
};

/* A device that a target means and that has no entry of this target: why not. */
struct plan_omitted {
    const struct action *action;
    const struct target *target;
    const struct device *device;
    enum refusal refusal; /* REFUSED_NOT: it could be had */
    char *message;
};

struct plan {
    const struct event *event;
    struct plan_entry
        *entries; /* in the order of rules and, within one, of targets and addresses */
    size_t count;
    struct plan_omitted *omitted; /* what `explain` tells of devices that have no entry */
    size_t omitted_count;
    const struct program *program; /* of the request, for what is in doubt of its guards */
    bool partial;                  /* of the request */
};

/* Everything borrowed by the request must outlive the plan. */
void plan_init(struct plan *plan, const struct plan_request *request);
/* One rule by itself, whichever VM and event it is for: as if a VM of which nothing is known had
 * just started. Of `program` the guards count. */
void plan_init_rule(struct plan *plan, const struct program *program, const struct rule *rule,
                    const struct host *host);
void plan_finish(struct plan *plan);

size_t plan_count(const struct plan *plan, enum plan_kind kind);

/* What the entry does: its action's verb, but for a device that has left the host. */
enum verb plan_verb(const struct plan_entry *entry);

/* The action's option, or NULL. */
const struct action_option *plan_option(const struct action *action, enum option_kind kind);
/* The value of an action's option, or 0 / false. */
uint32_t plan_option_ms(const struct action *action, enum option_kind kind);
bool plan_has_option(const struct action *action, enum option_kind kind);

/* "path:line" of the rule. The caller frees it. */
char *plan_rule_text(const struct plan_entry *entry);
/* "0000:03:00.0 1ac1:089a", or the device as the rule has it, or NULL for run. The caller frees it.
 */
char *plan_device_text(const struct plan_entry *entry);

#endif
