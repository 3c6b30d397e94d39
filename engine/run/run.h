/*
 * One event, from the rules to the results. A run makes a plan, does its steps while it holds the
 * VM's lock, and waits; then it plans again, until everything is done or given up. Between two
 * passes another process may work on the VM: nothing of an old plan is kept but the tasks.
 */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include "engine/action/action.h"
#include "engine/host/host.h"
#include "engine/libvirt/domain_list.h"
#include "engine/model/event.h"
#include "engine/plan/plan.h"
#include "engine/rules/program.h"
#include "engine/run/guest_removal.h"
#include "engine/run/retry.h"
#include "engine/state/log_write.h"
#include "engine/state/vm_state.h"

struct reply;

struct run_config {
    const struct program *program;
    const struct event *event; /* as the trigger has it */
    const struct host_source *host_source;
    const char *state; /* directory of log, state and locks */
    struct log_writer *log;
    bool is_at_work;     /* the trigger has the lock of lock_run() until the run is over */
    const char *command; /* that the log names instead of the event; NULL: the event */
    struct clock *clock;
    int program_limit_ms; /* of a program of a rule; 0: SPAWN_LIMIT_MS */
    int boot_ms; /* how long a guest boots, before it is checked whether it kept its devices; 0:
                    RUN_BOOT_MS; -1: it is not checked */
    /* Called when libvirt is first needed; not at all for an event that does not need it. */
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
    struct virt **opened; /* by the trigger, which a run that needs libvirt takes over: it sets it
                             to NULL, and closes it. NULL, or NULL there: the run opens its own */
};

/* Returns true when everything is as the rules want it. Each result is in the log. */
bool run_event(const struct run_config *config);

/* --- what follows is for engine/run, engine/action and engine/trigger/park.c --- */

enum {
    RUN_RELEASE_LIMIT_MS = 10000, /* how long libvirt may take to give a group back */
    RUN_REMOVAL_LIMIT_MS = 60000, /* how long a device is watched that the guest did not release */
    RUN_BOOT_MS = 30000,
    RUN_MIGRATION_LIMIT_MS = 86400000, /* how long an incoming migration may take */
    RUN_NOTE_LIMIT_MS = 1000,          /* for the VM's lock, when a result is noted */
    RUN_SETTLE_LIMIT_MS = 5000,        /* how long udev may take to set a new device up */
    RUN_SETTLE_WAIT_MS = 100,
    /* How long its drivers may take until a new device can be handed over: a disk spins up, and
     * usb-storage waits a second before it looks. */
    RUN_NODE_LIMIT_MS = 15000,
};

enum task_state {
    TASK_PENDING,
    TASK_DONE,     /* its result is in the log, and is none of the following */
    TASK_ATTACHED, /* by this run */
    TASK_FAILED,   /* and this run does not try again */
    TASK_REMOVED,  /* attached by this run, and detached since: this run does not attach it again */
};

/* One device that an action wants, or one program; it outlives the plans of a run. */
struct task {
    struct task *next;
    const struct action *action;
    const struct target *target;
    char *address; /* "" when no device was found */
    unsigned pass; /* in which it was planned first */
    enum task_state state;
    bool reply_lost;     /* libvirt may have got the call to attach it, but did not answer */
    bool released;       /* by the guest, once, while it booted */
    bool has_part;       /* the VM got an element of the device, and it has others */
    struct retry retry;  /* without a clock: nothing failed yet */
    struct retry settle; /* without a clock: udev had not to be waited for */
    struct retry node;   /* the same of the device's own drivers */
    size_t elements;     /* of a new device, at the last look */
    char *unsettled;     /* what udev had not done in time: the next result says so; or NULL */
    char *words;         /* libvirt's, of a last call that failed for an unknown reason; or NULL */
    int64_t call_ms;     /* how long libvirt took for the last call to attach it; -1: none */
    int64_t due;         /* when to try again */
    int64_t recheck;     /* when to check whether the guest still has it; 0: no more */
};

/* A device that left its host driver for the VM, or is about to. */
struct unbound_device {
    char *address;
    char *driver;   /* the host's; NULL: it had none */
    bool for_group; /* unbound by us, or found so, for another device of its group to be attached */
    bool orphan;    /* it may be in no VM: at the end of the run it is given back */
    bool logged;    /* that it stays without a driver */
};

/* A device of a group that could not be attached as a whole: the guest was asked to release it, and
 * still has it. It may release it once it has booted; the host then gets back all of the group. */
struct pending_removal {
    const struct rule *rule;
    const struct action *action;
    const struct target *target;
    char *address;
    int64_t deadline;
};

enum run_phase {
    RUN_WORKING,
    RUN_RECHECKING, /* all is done, and only the end of the guest's boot is waited for */
    RUN_UNREACHABLE /* the VM or the host cannot be read: only programs can be run */
};

enum run_logged {
    RUN_LOGGED_NO_LOCK = 1,
    RUN_LOGGED_DAMAGE = 2,
    RUN_LOGGED_CALLS = 4,
    RUN_LOGGED_PARKED = 8,
    RUN_LOGGED_RETURNED = 16
};

struct run {
    const struct run_config *config;
    struct virt *virt;
    bool watching;                 /* virt reports what happens to the VM */
    bool has_version;              /* the daemon was asked for it */
    unsigned long libvirt_version; /* 0: unknown */
    bool must_reconnect;           /* it did not answer: the next pass takes another connection */
    bool no_reply;                 /* to a change of the VM: libvirt may still be at it */
    unsigned silences;             /* how many calls had no reply */
    int64_t start;                 /* of the run; of a VM that is migrated, when it runs here */
    struct vm_start vm_start;      /* which start of the VM the run is for */
    bool vm_ended;                 /* that is over: the VM's state is of a later one, or nobody's */
    enum run_phase phase;
    int64_t wake;    /* when what waits is due; INT64_MAX: nothing waits */
    int64_t recheck; /* when to check what the guest has; INT64_MAX: no need */
    bool locked;     /* this run has the VM's lock, or goes on without one */
    bool restarted;  /* the guest, for its devices */
    bool migrated;   /* the VM came with its memory: its guest did not boot */
    bool returned;   /* the device that the event is about: see run_look_returned() */
    bool problem;    /* something that the rules want is not so */
    bool took;    /* the last pass took devices from a VM, and the next one attaches them at once */
    bool stopped; /* by a step that libvirt waits for: the VM does not start */
    bool vms_listed;           /* `vms` was read */
    unsigned logged;           /* enum run_logged: what is logged once a run */
    unsigned pass;             /* how often the run has planned */
    struct task *tasks;        /* list */
    struct domain domain;      /* as libvirt has it now */
    struct domain_list others; /* the other VMs that run */
    struct domain_list
        vms;          /* every VM, if a word of a rule may mean another one; read once a run */
    struct host host; /* now */
    struct plan plan; /* now */
    struct busy_device *busy;
    size_t busy_count;
    struct kept_device *kept; /* by other VMs, although 'take' asked for them, or taken once */
    size_t kept_count;
    struct reply *reply; /* of a step that libvirt waits for, at 'prepare'; NULL: of another one */
    int64_t wait_end;    /* with it: when such steps must be over */
    struct unbound_device *unbound;
    size_t unbound_count;
    struct pending_removal *removals;
    size_t removal_count;
};

/* --- run.c */

/* Ends with run_finish(), which leaves the connection open. */
void run_init(struct run *run, const struct run_config *config);
void run_finish(struct run *run);

int64_t run_now(const struct run *run);
/* By what libvirt knows the VM: its UUID. */
const char *run_vm(const struct run *run);

struct task *run_task(struct run *run, const struct plan_entry *entry);
/* The task of the entry's action and target with that device, which may have no entry; or NULL. */
struct task *run_find_task(const struct run *run, const struct plan_entry *entry,
                           const struct device *device);
/* Logs the result, and the task is done; returns RUN_NEXT. */
enum run_outcome run_finish_task(struct run *run, const struct plan_entry *entry, struct task *task,
                                 enum result result, const char *message, const char *hint);
/* Sets when the task is tried again. Returns false when its time is over. */
bool run_try_later(struct run *run, struct task *task);

/* The same when udev has not set its device up. Returns false when it has had its time. */
bool run_settle_later(struct run *run, struct task *task);
/* Whether the kernel or the event tells that the host's drivers have just got the device. */
bool run_is_new(const struct run *run, const struct device *device);
/* The same when its drivers may not have: a device that has just come may get the port, the disk or
 * the event node that the backend asks for, and who looks at a new device closes it. */
bool run_node_later(struct run *run, const struct plan_entry *entry, struct task *task);

/* Waits for a daemon that restarts. Returns false after logging why there is no connection. */
bool run_open_virt(struct run *run);
void run_disconnect(struct run *run);
/* Before and after a call that changes the VM: 'status' shows it, also when it does not return.
 * `device` NULL: the VM itself. `error` NULL: the call succeeded. */
void run_begin_call(struct run *run, const char *verb, const struct device *device);
void run_end_call(struct run *run, const struct device *device, const struct virt_error *error);
/* Such a call failed. What may pass is tried again, in a new plan: by then the device may be
 * another VM's, the host's, or gone, and the VM may have stopped. */
enum run_outcome run_fail_call(struct run *run, const struct plan_entry *entry, struct task *task,
                               const struct virt_error *error);

/* Returns false after logging why the VM cannot be read, or is another start of it than the
 * event's. */
bool run_load_domain(struct run *run, struct domain *domain);
bool run_load_host(struct run *run);

enum vm_has { VM_HAS_NOT, VM_HAS, VM_HAS_UNKNOWN };
/* Whether the VM has all of the entry's device now, as its action hands it over; VM_HAS_UNKNOWN
 * after logging why that cannot be said. */
enum vm_has run_vm_has(struct run *run, const struct plan_entry *entry);

/* The VM has the device: logs that, and the guest is watched while it boots. */
enum run_outcome run_finish_attach(struct run *run, const struct plan_entry *entry,
                                   struct task *task);
/* Asks the guest to release all elements of the device, or those that are ours, and waits: see
 * guest_removal_of(). It notes before that it was us: then no engine attaches the device again
 * while the guest boots. GUEST_STOPPED comes after a line in the log when the VM could not be read
 * before. */
enum guest_answer run_ask_guest(struct run *run, const struct plan_entry *entry, bool only_ours,
                                struct virt_error *result);

/* --- run_log.c: results in the log, and what is kept of them in the VM's state */

/* `hint` may be NULL or "". */
void run_log_event(struct run *run, enum result result, const char *message, const char *hint);
void run_log_entry(struct run *run, const struct plan_entry *entry, enum result result,
                   const char *message, const char *hint);
/* The same of a task, with the times that it took. */
void run_log_task(struct run *run, const struct plan_entry *entry, const struct task *task,
                  enum result result, const char *message, const char *hint);
void run_log_device(struct run *run, const struct device *device, enum result result,
                    const char *message, const char *hint);
/* Once a run: what of the VM's state could not be read; and of the calls that did not return, for
 * which the caller holds the VM's lock. */
void run_log_damage(struct run *run, const struct vm_state *state);
void run_log_lost_calls(struct run *run);

/* The state of this start of the VM, a new one when there is none. Returns false when the file is
 * of a later start: then nothing is to be done any more. The caller holds the VM's lock, and ends
 * the state with run_log_save() or vm_state_finish(). */
bool run_log_load(struct run *run, struct vm_state *state);
void run_log_save(struct run *run, struct vm_state *state);
/* Notes that the VM waits for devices of other VMs, by a plan that refuses the entry. */
void run_log_note_refused(struct run *run, const struct plan_entry *entry);
/* Notes that we detach the device, so that no engine takes that for the guest's doing; that it left
 * its port then (vm_state_note_lost()); and that a rule attached it again. A note that cannot be
 * written does not count as a failure. */
void run_log_note_detached(struct run *run, const struct device *device);
void run_log_note_lost(struct run *run, const struct device *device);
void run_log_note_attached(struct run *run, const struct device *device);

/* --- run_stop.c */

/*
 * The entry, whose step libvirt waits for, keeps the VM from starting: says the reason to who
 * starts it, logs the message, and the task is done. When the hook has ended its wait, the VM
 * starts all the same, which is in the log. Returns RUN_OVER, or RUN_NEXT then.
 */
enum run_outcome run_stop(struct run *run, const struct plan_entry *entry, struct task *task,
                          const char *reason, const char *message, const char *hint);

/* --- run_exclusive.c: one device, and several backends that can hand it over */

/*
 * libvirt does not give a USB device or a PCI function to two VMs, and qemu locks a disk. But one
 * VM may get a device as it is, and another the port or the disk that the host has of it, at the
 * same time: nobody refuses that. So two engines do not attach one device at once, and this one
 * looks again what the other VMs have. Returns false when one of them has the device since the plan
 * was made, which another plan knows. The caller ends `lock` with lock_release(), after the attach.
 */
bool run_exclusive_begin(const struct run *run, const struct plan_entry *entry, int *lock);

/* --- run_group.c: an IOMMU group is attached as a whole, or not at all */

#define RUN_GROUP_INCOMPLETE "another device of its IOMMU group could not be attached"

/* Whether the entry's device is attached together with its group. */
bool run_group_is_unit(const struct plan_entry *entry);
/* Whether the two entries are of one unit: of one wish for one group. */
bool run_group_is_same(const struct plan_entry *one, const struct plan_entry *entry);
/* Whether another device of the group failed or was detached: this one must not go alone. */
bool run_group_is_given_up(struct run *run, const struct plan_entry *entry);
/* Whether one before it in the group is tried again later: this one waits for that, as a guest is
 * not to get a part of a group that may not come as a whole. */
bool run_group_waits(struct run *run, const struct plan_entry *entry, struct task *task);
/* libvirt unbinds one device from its host driver, and can use it only when no other device of the
 * group is bound to one. This unbinds those: what libvirt finds without a driver it gives back
 * itself when the VM ends. Returns false with a message. */
bool run_group_unbind_siblings(struct run *run, const struct plan_entry *entry,
                               struct failure *failure);
/* Tasks of the group that are pending fail. */
void run_group_drop_rest(struct run *run, const struct plan_entry *entry);
/* The entry's device cannot be attached: what this run attached of its group is detached, and the
 * host gets the group back. Returns `outcome`, or RUN_OVER when the VM cannot be read any more. */
enum run_outcome run_group_fail(struct run *run, const struct plan_entry *entry,
                                enum run_outcome outcome);
/* Checks what the guest did not release when it was asked. */
void run_group_recheck(struct run *run);

/* --- restore_driver.c: how the host gets its devices back */

/* Before a PCI device is unbound from its host driver, by us or by libvirt: the engine of the VM's
 * end knows of it then, should this one or libvirt be killed. Returns the note, or NULL when the
 * device was bound to a vfio driver before. */
struct unbound_device *restore_driver_note(struct run *run, const struct device *device);
/* Its host driver has not released it in time, and may do so later. */
void restore_driver_note_unbinding(struct run *run, const struct device *device);
/* The VM had it and has it no longer: at the end of the run the host gets it back, as far as it was
 * noted. */
void restore_driver_note_left(struct run *run, const struct device *device);
/* libvirt reported that it was not attached. */
void restore_driver_note_failed(struct run *run, const struct device *device);
/* The VM no longer has it: it is not noted any more, unless libvirt has yet to give it back. */
void restore_driver_note_returned(struct run *run, const struct device *device);
/* Gives back to the host the orphans of `group`, or all of them when it is -1. */
void restore_driver_group(struct run *run, int group);
/* At the end of a run: all orphans. */
void restore_driver_all(struct run *run);
/* When the VM has ended: what it left is given back, and its state is forgotten. */
void restore_driver_end_vm(struct run *run);

/* --- restore_home.c: devices that a rule of the host's boot binds */

/* The driver that such a rule has for the device, borrowed; NULL: none. */
const char *restore_home_of(const struct run *run, const struct device *device);
/* Whether it has that driver now. */
bool restore_home_has(const struct run *run, const struct device *device);
/* No VM has the device any more: binds it to that driver, unless the host uses it. */
void restore_home(struct run *run, const struct device *device);

/* --- run_mdev.c: mediated devices that are created for the VM */

/* Before the entry's mediated device is attached: creates it, and notes it in the VM's state
 * before. RUN_NEXT with a task that is pending: it is there. */
enum run_outcome run_mdev_create(struct run *run, const struct plan_entry *entry,
                                 struct task *task);
/* Removes those that the VM does not have. The caller has the VM's lock. */
void run_mdev_cleanup(struct run *run);
/* The same when the VM has ended, of its state. */
void run_mdev_end_vm(struct run *run, struct vm_state *state);

/* --- restore_vf.c: the settings of a virtual function that a VM gets 'as net' */

/* Before libvirt attaches it: notes what the host has, and sets trust if the rule says so. Returns
 * false with a failure when it cannot be trusted. */
bool restore_vf_prepare(struct run *run, const struct plan_entry *entry, struct failure *failure);
/* Sets back what the VM left of its own settings on functions that none of these VMs has, and takes
 * them from the state. */
void restore_vf_settle(struct run *run, const struct domain_list *vms, struct vm_state *state);

/* --- run_migration.c: a VM whose memory comes from another host, a file or a snapshot */

/* Asks libvirt how the VM came to run, and notes in `run` when it was migrated. */
int run_migration_look(struct run *run, enum virt_state *state, struct virt_error *error);
/* While the VM's memory is on its way, libvirt refuses to attach and to detach: waits for the end
 * of that, from which the run counts its time. Returns false when there is nothing left to do,
 * which is in the log. The caller does not hold the VM's lock, which the engine of its end needs.
 */
bool run_migration_wait(struct run *run);

/* --- guest_boot.c: restarts the guest, and checks whether it keeps its devices while it boots */

/* It was attached: sets when to check it. */
void guest_boot_note(struct run *run, struct task *task);
/* Before the steps of a plan: what this run attached and the VM no longer has, although no guest
 * that boots is watched, or because it was detached on purpose. */
void guest_boot_note_absent(struct run *run);
/* Checks the device of a task that is done. */
enum run_outcome guest_boot_recheck(struct run *run, const struct plan_entry *entry,
                                    struct task *task);
/* The VM does not have the device that it got: it is attached again, within its time. */
enum run_outcome guest_boot_removed(struct run *run, const struct plan_entry *entry,
                                    struct task *task);
/* Waits for that time, or until something happens to the VM. */
void guest_boot_wait(struct run *run, int64_t until);
/* Restarts the guest if a new device asks for it. Returns false when the VM cannot be read. */
bool guest_boot_restart(struct run *run);

#endif
