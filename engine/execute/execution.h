/*
 * One run of an event, and what the files execute*.c do with it: execute.c plans and walks again
 * and again until all is done, execute_device.c attaches and detaches one device, execute_group.c
 * all of an IOMMU group or none, execute_taken.c gives back to the host, execute_guest.c restarts
 * the guest and looks after its boot, execute_program.c runs programs. Nobody else includes this.
 */
#ifndef ENGINE_EXECUTION_H
#define ENGINE_EXECUTION_H

#include "engine/execute/execute.h"
#include "engine/execute/guest_release.h"
#include "engine/others.h"
#include "engine/plan.h"
#include "engine/state/life.h"
#include "engine/vms.h"

enum {
    PASSING_LIMIT_MS = 60000, /* how long errors that pass are tried again without 'within' */
    RELEASE_LIMIT_MS = 10000, /* how long libvirt may take to give a group back */
    CONNECT_LIMIT_MS = 10000, /* how long a libvirt that does not answer, a daemon's restart */
    LEAVING_LIMIT_MS = 60000, /* how long it is watched for what the guest was asked to release */
    BOOT_MS = 30000,          /* how long a guest boots: then it is looked at again */
    SILENCE_LIMIT = 6,        /* how often a run waits in vain for libvirt's answer */
    NOTE_LIMIT_MS = 1000,     /* for the VM's lock, when a result is noted */
    FIRST_WAIT_MS = 250,
    LONGEST_WAIT_MS = 5000,
};

/* How to go on after an entry, a walk or a pass. */
enum outcome {
    OUTCOME_NEXT,  /* with what comes next */
    OUTCOME_AGAIN, /* the world is not as planned: plan anew */
    OUTCOME_OVER,  /* not at all */
};

/* One wish of the rules, the same over all plans of a run: what has come of it so far. */
struct task {
    const struct action *action;
    const struct target *target;
    char *address;                /* "" when no device was found */
    bool done;                    /* its result is in the journal */
    bool went;                    /* this run attached it */
    bool failed;                  /* this run tried, and will not again */
    bool unanswered;              /* libvirt may have got the call: its answer never came */
    bool came_back;               /* the guest let it go once */
    bool taken_out;               /* by us or a person: this run does not attach it again */
    int64_t wait, next, deadline; /* of trying again; 0: not tried yet */
    int64_t look;                 /* when to look whether the guest has it still; 0: no more */
};

/* A device that left its host driver for the VM, or is about to. */
struct taken {
    char *address;
    char *driver;   /* the host's; NULL: it had none */
    bool for_group; /* by us, or found without one, for the rest of its IOMMU group to go */
    bool loose;     /* it may be in no VM: looked at in the end */
    bool told;      /* the journal has it that it stays without */
};

/* A device of a group that could not be attached as a whole: the guest was asked for it, and has it
 * still. It may give it up once it has booted, and then the host gets back the rest of the group.
 */
struct leaving {
    const struct rule *rule;
    const struct action *action;
    const struct target *target;
    char *address;
    int64_t deadline; /* of watching for it */
};

struct execution {
    const struct executor *executor;
    struct virt *virt;
    int64_t start;
    void *tasks; /* tree of struct task */
    struct claim *claims;
    size_t claim_count;
    struct taken *taken;
    size_t taken_count;
    struct leaving *leaving;
    size_t leaving_count;
    struct domain domain; /* as libvirt has it now */
    struct others others;
    struct vms vms; /* every VM, when a rule's word may mean another one; once in a run */
    bool vms_listed;
    struct host host;
    struct plan plan;
    int64_t wake;     /* when to look again at what waits; INT64_MAX: nothing waits */
    int64_t look;     /* when to look after the guest's boot; INT64_MAX: no need */
    bool watching;    /* libvirt tells what happens to the VM */
    bool looking;     /* all is done, and only the guest's boot is waited for */
    bool blind;       /* the world cannot be read: only programs can be run */
    bool unlocked;    /* the journal has it that there is no lock */
    bool locked;      /* this run has the VM's lock, or goes on without one */
    bool late;        /* that start of the VM is over: its state is another's, or nobody's */
    bool told_damage; /* the journal has it that its state was not read as a whole */
    bool told_calls;  /* it was looked whether calls that had not returned can be read */
    struct life_start vm_start; /* which start of the VM the run is for */
    bool restarted;
    bool restart_waits; /* a device that the guest is to find at its boot is still to come */
    bool problem;

    unsigned silences; /* how often libvirt did not answer */
    bool retry;        /* it did not just now: the next pass asks on another connection */
    bool silent;       /* a change did not return: libvirt may still be at it */
};

/* --- execution.c: time, results, tasks, and the VM as it is now */

int64_t execution_now(const struct execution *run);
void execution_sleep_until(const struct execution *run, int64_t time);
int64_t execution_at_most(int64_t value, int64_t limit);

/* Once a run: what of the VM's state was not read. */
void execution_log_damage(struct execution *run, const struct life *life);
/* The same of the calls that had not returned. The caller holds the VM's lock. */
void execution_log_lost_calls(struct execution *run);

/* A line of the journal; `hint` may be NULL or "". */
void execution_log_event(struct execution *run, enum result result, const char *message,
                         const char *hint);
void execution_log_entry(struct execution *run, const struct plan_entry *planned,
                         enum result result, const char *message, const char *hint);
void execution_log_device(struct execution *run, const struct host_device *device,
                          enum result result, const char *message, const char *hint);

/* What is kept of the VM's present life, a new one when there is none. Returns false when another
 * start of the VM has one by now: there is nothing to do any more. The caller holds the VM's lock,
 * and gives it to execution_save_life() or life_finish(). */
bool execution_load_life(struct execution *run, struct life *life);
void execution_save_life(struct execution *run, struct life *life);
/* Notes, as far as the state can be written, that the device is taken out of the VM by us, so that
 * no engine takes this for the guest's doing; and that a rule attached it again. */
void execution_dismiss(struct execution *run, const struct host_device *device);
void execution_readmit(struct execution *run, const struct host_device *device);

struct task *execution_task(struct execution *run, const struct plan_entry *entry);
/* The same for a device of the entry's action and target that may have no entry; NULL: no task. */
struct task *execution_find_task(const struct execution *run, const struct plan_entry *entry,
                                 const struct host_device *device);
/* Writes the result, and the task is done; returns OUTCOME_NEXT. */
enum outcome execution_finish(struct execution *run, const struct plan_entry *entry,
                              struct task *task, enum result result, const char *message,
                              const char *hint);
void execution_wait_for(struct execution *run, int64_t time);
/* Plans the next try of what failed in a way that passes. Returns false when its time is over. */
bool execution_try_later(struct execution *run, struct task *task);
/* A daemon that starts anew is waited for. Returns false after writing why. */
bool execution_open_virt(struct execution *run);
/* libvirt did not answer in time. Whether it is worth another try, which is not made while the VM's
 * lock is held. */
bool execution_bears_silence(struct execution *run);
/* The same for a question: sets run->retry, or writes that it has no answer. */
void execution_fail_question(struct execution *run, const struct virt_error *error);
/* Before and after a call that changes the VM: 'status' shows it, and what it was about when it
 * does not return. `device` NULL: the VM. */
void execution_begin_call(struct execution *run, const char *verb,
                          const struct host_device *device);
void execution_end_call(struct execution *run, const struct host_device *device,
                        const struct virt_error *error);
/* Whether a question may be asked once more, and waits until then. */
bool execution_ask_again(const struct execution *run, const struct virt_error *error,
                         int64_t since);

/* By what libvirt knows the VM. */
const char *execution_vm(const struct execution *run);
/* Returns false after writing why the VM cannot be seen, or is not the one of the event any more;
 * nothing is written when nothing is left to do but to look. */
bool execution_load_domain(struct execution *run, struct domain *domain);
bool execution_load_host(struct execution *run);
bool execution_load_others(struct execution *run);
/* Every VM, so that the event knows them, if a rule's word may mean another one than the event's.
 */
bool execution_load_vms(struct execution *run, struct event *event);

enum holding { HOLDS_NOT, HOLDS, UNKNOWN };
/* Whether the VM has the device now; UNKNOWN after writing why that cannot be said. */
enum holding execution_holds(struct execution *run, const struct host_device *device);

void execution_finish_run(struct execution *run);

/* --- execute_device.c */

enum outcome execute_attach(struct execution *run, const struct plan_entry *entry,
                            struct task *task);
enum outcome execute_detach(struct execution *run, const struct plan_entry *entry,
                            struct task *task);
/* It went, as the VM shows. */
enum outcome execute_attached(struct execution *run, const struct plan_entry *entry,
                              struct task *task);

/* Asks the guest to release it and waits for that, see guest_release(). Notes before that it was
 * us: no engine that looks after the guest's boot attaches it again. GUEST_STOPPED comes after a
 * line in the journal when the VM could not be seen before. */
enum guest_answer execute_ask_guest(struct execution *run, const struct plan_entry *entry,
                                    const char *xml, struct virt_error *result);

/* --- execute_group.c */

bool execute_is_unit(const struct plan_entry *entry);
enum outcome execute_attach_member(struct execution *run, const struct plan_entry *entry,
                                   struct task *task);
/* The entry's device cannot be attached: what this run attached of its group leaves the VM, and the
 * host gets back what was taken for the group. Returns `outcome`, or OUTCOME_OVER when the VM
 * cannot be seen any more. */
enum outcome execute_fail_group(struct execution *run, const struct plan_entry *entry,
                                enum outcome outcome);
/* Looks after what the guest did not release when it was asked. */
void execute_group_look(struct execution *run);

/* --- execute_taken.c */

const struct binder *execution_binder(const struct execution *run);

/* Before the PCI device is taken from its host driver, by us or by libvirt. So that it is known to
 * the engine of the VM's end, should this one be killed, or libvirt. Returns the note, or NULL when
 * the device was on vfio's driver before. */
struct taken *execute_note_taken(struct execution *run, const struct host_device *device);
/* Its host driver has not released it in time, and may do so later. */
void execute_note_unbinding(struct execution *run, const struct host_device *device);
/* libvirt said that it did not go. */
void execute_note_failed(struct execution *run, const struct host_device *device);
/* The VM does not have it any more; unless libvirt is still at it, it need not be noted. */
void execute_note_returned(struct execution *run, const struct host_device *device);
/* Gives to the host what was taken from it and went to no VM; those of `group`, or all when it is
 * -1. */
void execute_give_back(struct execution *run, int group);
/* However the run ended, the VM with what was taken for it, or without: then the host has it. */
void execute_leave_host(struct execution *run);
/* At the end of the VM's life: what is left of it is given back, and it is forgotten. */
void execute_end_life(struct execution *run);

/* --- execute_guest.c */

/* It went: when to look again. */
void execute_note_boot(struct execution *run, struct task *task);
/* Before a walk: what this run attached and the VM does not have any more, although no guest that
 * boots is looked after, or because it was taken out on purpose. */
void execute_note_absent(struct execution *run);
/* A task that is done: has the guest still what it got? */
enum outcome execute_look_again(struct execution *run, const struct plan_entry *entry,
                                struct task *task);
/* The VM does not have what it got: it is attached again, within its time. */
enum outcome execute_let_go(struct execution *run, const struct plan_entry *entry,
                            struct task *task);
/* Waits for the next pass, or less when something happens to the VM. */
void execute_wait_for_guest(struct execution *run, int64_t until);
bool execute_is_boot_device(const struct action *action);
/* Restarts the guest when something new asks for it; returns false when the VM cannot be seen any
 * more. */
bool execute_restart(struct execution *run);

/* --- execute_program.c */

enum outcome execute_program(struct execution *run, const struct plan_entry *entry,
                             struct task *task);

#endif
