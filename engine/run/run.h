/*
 * One run of an event, and what the files execute*.c do with it: execute.c plans and walks again
 * and again until all is done, execute_device.c attaches and detaches one device, execute_group.c
 * all of an IOMMU group or none, execute_taken.c gives back to the host, execute_guest.c restarts
 * the guest and looks after its boot, execute_program.c runs programs. Nobody else includes this.
 */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include "engine/action/action.h"
#include "engine/libvirt/domain_list.h"
#include "engine/libvirt/running_domains.h"
#include "engine/plan/plan.h"
#include "engine/run/guest_removal.h"
#include "engine/run/pass.h"
#include "engine/state/vm_state.h"

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
struct unbound_device {
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

struct run {
    const struct run_config *executor;
    struct virt *virt;
    int64_t start;
    void *tasks; /* tree of struct task */
    struct busy_device *claims;
    size_t claim_count;
    struct unbound_device *taken;
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
    struct vm_start vm_start; /* which start of the VM the run is for */
    bool restarted;
    bool restart_waits; /* a device that the guest is to find at its boot is still to come */
    bool problem;

    unsigned silences; /* how often libvirt did not answer */
    bool retry;        /* it did not just now: the next pass asks on another connection */
    bool silent;       /* a change did not return: libvirt may still be at it */
};

/* --- execution.c: time, results, tasks, and the VM as it is now */

int64_t run_now(const struct run *run);
void run_sleep_until(const struct run *run, int64_t time);
int64_t run_at_most(int64_t value, int64_t limit);

/* Once a run: what of the VM's state was not read. */
void run_log_damage(struct run *run, const struct vm_state *life);
/* The same of the calls that had not returned. The caller holds the VM's lock. */
void run_log_lost_calls(struct run *run);

/* A line of the journal; `hint` may be NULL or "". */
void run_log_event(struct run *run, enum result result, const char *message, const char *hint);
void run_log_entry(struct run *run, const struct plan_entry *planned, enum result result,
                   const char *message, const char *hint);
void run_log_device(struct run *run, const struct device *device, enum result result,
                    const char *message, const char *hint);

/* What is kept of the VM's present life, a new one when there is none. Returns false when another
 * start of the VM has one by now: there is nothing to do any more. The caller holds the VM's lock,
 * and gives it to run_save_vm_state() or vm_state_finish(). */
bool run_load_vm_state(struct run *run, struct vm_state *life);
void run_save_vm_state(struct run *run, struct vm_state *life);
/* Notes, as far as the state can be written, that the device is taken out of the VM by us, so that
 * no engine takes this for the guest's doing; and that a rule attached it again. */
void run_dismiss(struct run *run, const struct device *device);
void run_readmit(struct run *run, const struct device *device);

struct task *run_task(struct run *run, const struct plan_entry *entry);
/* The same for a device of the entry's action and target that may have no entry; NULL: no task. */
struct task *run_find_task(const struct run *run, const struct plan_entry *entry,
                           const struct device *device);
/* Writes the result, and the task is done; returns RUN_NEXT. */
enum run_outcome run_finish_task(struct run *run, const struct plan_entry *entry, struct task *task,
                                 enum result result, const char *message, const char *hint);
void run_wait_for(struct run *run, int64_t time);
/* Plans the next try of what failed in a way that passes. Returns false when its time is over. */
bool run_try_later(struct run *run, struct task *task);
/* A daemon that starts anew is waited for. Returns false after writing why. */
bool run_open_virt(struct run *run);
/* libvirt did not answer in time. Whether it is worth another try, which is not made while the VM's
 * lock is held. */
bool run_allows_silence(struct run *run);
/* The same for a question: sets run->retry, or writes that it has no answer. */
void run_fail_question(struct run *run, const struct virt_error *error);
/* Before and after a call that changes the VM: 'status' shows it, and what it was about when it
 * does not return. `device` NULL: the VM. */
void run_begin_call(struct run *run, const char *verb, const struct device *device);
void run_end_call(struct run *run, const struct device *device, const struct virt_error *error);
/* Whether a question may be asked once more, and waits until then. */
bool run_ask_again(const struct run *run, const struct virt_error *error, int64_t since);

/* By what libvirt knows the VM. */
const char *run_vm(const struct run *run);
/* Returns false after writing why the VM cannot be seen, or is not the one of the event any more;
 * nothing is written when nothing is left to do but to look. */
bool run_load_domain(struct run *run, struct domain *domain);
bool run_load_host(struct run *run);
bool run_load_others(struct run *run);
/* Every VM, so that the event knows them, if a rule's word may mean another one than the event's.
 */
bool run_load_vms(struct run *run, struct event *event);

enum vm_has { HOLDS_NOT, HOLDS, UNKNOWN };
/* Whether the VM has the device now; UNKNOWN after writing why that cannot be said. */
enum vm_has run_vm_has(struct run *run, const struct device *device);

void run_finish_run(struct run *run);

/* A call that changes the VM failed. What may pass is tried again, in a new plan: by then the
 * device may be another VM's, the host's, or gone, and the VM may have stopped. */
enum run_outcome run_fail_call(struct run *run, const struct plan_entry *entry, struct task *task,
                               const struct virt_error *error);
/* The VM has the device: writes that, and the guest is watched while it boots. */
enum run_outcome run_finish_attach(struct run *run, const struct plan_entry *entry,
                                   struct task *task);
/* Asks the guest to release the device and waits for that, see guest_removal_wait(). Notes before
 * that it was us: no engine that looks after the guest's boot attaches it again. GUEST_STOPPED
 * comes after a line in the journal when the VM could not be seen before. */
enum guest_answer run_ask_guest(struct run *run, const struct plan_entry *entry, const char *xml,
                                struct virt_error *result);

/*
 * At 'unplugged' of a PCI device that is on the host no longer. While libvirt takes such a device
 * out of the VM, the kernel removes its files in sysfs; when libvirt finds only some of them (seen
 * with 9.0) it leaves the device on its list of those that the VM uses. From then on it refuses
 * every attach, until its daemon is restarted. This asks libvirt to attach the device, which fails
 * as it is absent, and by which libvirt takes it off that list (7.1 and later). Unmanaged, which
 * libvirt refuses also when the device is back by then. Waits for a VM that still has the device.
 */
void run_clear_unplugged(struct run *run);

/* --- run_group.c: an IOMMU group goes to the VM as a whole, or not at all */

#define RUN_GROUP_INCOMPLETE "another of its IOMMU group did not go"

/* Whether the entry's device goes with its group. */
bool run_group_is_unit(const struct plan_entry *entry);
/* Whether another device of the group failed, or was taken out: this one must not go alone. */
bool run_group_is_given_up(struct run *run, const struct plan_entry *entry);
/* libvirt takes one device from its host driver, and can do so only when no other of the group is
 * on one. Those get none: what libvirt finds so, it gives back itself when the VM ends. Returns
 * false with a message. */
bool run_group_unbind_siblings(struct run *run, const struct plan_entry *entry,
                               struct failure *failure);
/* The group's tasks that are not done fail. */
void run_group_drop_rest(struct run *run, const struct plan_entry *entry);
/* The entry's device cannot be attached: what this run attached of its group leaves the VM, and the
 * host gets back what was taken for the group. Returns `outcome`, or RUN_OVER when the VM cannot be
 * seen any more. */
enum run_outcome run_group_fail(struct run *run, const struct plan_entry *entry,
                                enum run_outcome outcome);
/* Looks after what the guest did not release when it was asked. */
void run_group_recheck(struct run *run);

/* --- execute_taken.c */

/* Before the PCI device is taken from its host driver, by us or by libvirt. So that it is known to
 * the engine of the VM's end, should this one be killed, or libvirt. Returns the note, or NULL when
 * the device was on vfio's driver before. */
struct unbound_device *restore_driver_note(struct run *run, const struct device *device);
/* Its host driver has not released it in time, and may do so later. */
void restore_driver_note_unbinding(struct run *run, const struct device *device);
/* libvirt said that it did not go. */
void restore_driver_note_failed(struct run *run, const struct device *device);
/* The VM does not have it any more; unless libvirt is still at it, it need not be noted. */
void restore_driver_note_returned(struct run *run, const struct device *device);
/* Gives to the host what was taken from it and went to no VM; those of `group`, or all when it is
 * -1. */
void restore_driver_group(struct run *run, int group);
/* However the run ended, the VM with what was taken for it, or without: then the host has it. */
void restore_driver_leave(struct run *run);
/* At the end of the VM's life: what is left of it is given back, and it is forgotten. */
void restore_driver_end_vm(struct run *run);

/* --- execute_guest.c */

/* It went: when to look again. */
void guest_boot_note(struct run *run, struct task *task);
/* Before a walk: what this run attached and the VM does not have any more, although no guest that
 * boots is looked after, or because it was taken out on purpose. */
void guest_boot_note_absent(struct run *run);
/* A task that is done: has the guest still what it got? */
enum run_outcome guest_boot_recheck(struct run *run, const struct plan_entry *entry,
                                    struct task *task);
/* The VM does not have what it got: it is attached again, within its time. */
enum run_outcome guest_boot_removed(struct run *run, const struct plan_entry *entry,
                                    struct task *task);
/* Waits for the next pass, or less when something happens to the VM. */
void guest_boot_wait(struct run *run, int64_t until);
bool guest_boot_is_boot_device(const struct action *action);
/* Restarts the guest when something new asks for it; returns false when the VM cannot be seen any
 * more. */
bool guest_boot_restart(struct run *run);

#endif
