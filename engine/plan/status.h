/*
 * Which VM has which device now, which is missing and why: the plan of its `started` rules against
 * its live XML and the host, with the last result of each device since the VM started (vm_state.h).
 * A value to print.
 */
#ifndef ENGINE_STATUS_H
#define ENGINE_STATUS_H

#include "engine/plan/plan.h"
#include "engine/state/pending.h"
#include "engine/state/vm_state.h"

enum device_state {
    STATE_ATTACHED,  /* the VM has it */
    STATE_ABSENT,    /* the host has none, or not as many as are wanted */
    STATE_REFUSED,   /* wanted and impossible */
    STATE_LOST,      /* the VM had it, and has it no more */
    STATE_FAILED,    /* it was tried */
    STATE_WAITING,   /* possible, and nobody has tried; or another VM has it, see is_in_line */
    STATE_OFF,       /* the VM does not run */
    STATE_ATTACHING, /* libvirt has not answered yet */
    STATE_DETACHING, /* the same */
    STATE_PARKED,    /* possible, and nothing is attached to a VM that is parked */
    STATE_DEFINED,   /* the VM does not run, and its definition has it */
    STATE_DETACHED,  /* taken out on purpose, by a person or a rule, since the VM had it */
};

struct status_row {
    enum device_state state;
    struct device *instance; /* owns `device` of one mediated device; else NULL */
    /* NULL: none was found, or it has left the host and only `hostdev` knows it. */
    const struct device *device;
    const struct domain_hostdev *hostdev; /* of a device that no rule wants; else NULL */
    const struct rule *rule;              /* NULL: none wants it */
    const struct action *action;
    char *wanted; /* the device as the rule has it; NULL: no rule */
    enum refusal refusal;
    bool optional;     /* may be missing */
    bool is_in_line;   /* STATE_WAITING: another VM has it, and a rule gives it to this one after */
    const char *since; /* time in the log of what began the state; NULL: not known. Borrowed of the
                          VM's `vm_state` or `calls` */
    char *error;       /* NULL: none */
    char *hint;
};

/* The last start of a VM that is off, when a rule stopped it: `message` NULL: none did. */
struct status_stop {
    char *time, *device, *rule, *message, *hint;
};

struct status_vm {
    const struct domain *domain;
    bool running;
    struct status_stop stop;
    struct vm_state vm_state;   /* since the VM started, else empty; report its `ignored` */
    bool shares_label;          /* another of these VMs has the same name for people */
    struct pending_call *calls; /* that have not returned */
    char *calls_ignored;        /* what of them could not be read; NULL: all was */
    size_t call_count;
    struct status_row *rows; /* as the rules have them, then what no rule wants */
    size_t count;
};

struct status {
    struct status_vm *vms; /* by what people call them */
    size_t count;
};

struct status_request {
    const struct program *program;
    const struct host *host;
    const struct domain *domains; /* every VM, running or not */
    size_t domain_count;
    const char *vm;    /* as a person calls it; NULL: those that run, and those that rules name */
    const char *state; /* the state directory */
    bool partial;      /* files with errors are left out of the program */
    unsigned long libvirt_version; /* of the daemon: 9000000 is 9.0.0; 0: unknown */
};

/* Everything borrowed by the request must outlive the status. */
void status_init(struct status *status, const struct status_request *request);
void status_finish(struct status *status);

/* How many devices running VMs want and do not have, those aside that may be missing, were taken
 * out on purpose, or are waited for in line; of a VM that is parked none. */
size_t status_problems(const struct status *status);

const char *status_state_name(enum device_state state);

/* "0000:03:00.0 1ac1:089a" of the row's device, or of what is known of it; NULL: no device. The
 * caller frees it. */
char *status_device_text(const struct status_row *row);
/* What the device is called, "Coral Edge TPU"; NULL: nothing is known. Borrowed. */
const char *status_device_name(const struct status_row *row);
/* "path:line", or NULL. The caller frees it. */
char *status_rule_text(const struct status_row *row);

#endif
