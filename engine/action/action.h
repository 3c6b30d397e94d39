/*
 * What a verb of the language does: one row of the table in action.c, and one file with the two
 * functions of that row. The structures are only named here, so that engine/plan and engine/run,
 * which must not include this directory, can call through the table.
 */
#ifndef ENGINE_ACTION_H
#define ENGINE_ACTION_H

#include "parser/syntax.h"

#include <stdbool.h>

struct action_ref;
struct choice;
struct plan_entry;
struct planner;
struct run;
struct task;

/* How a run goes on after a step, and after a pass over its plan. */
enum run_outcome {
    RUN_NEXT,   /* with the next step */
    RUN_REPLAN, /* with a new plan: the VM or the host is not as this one says */
    RUN_OVER,   /* not at all */
};

struct action_type {
    enum verb verb;
    /* It changes the running VM: libvirt and the host are read. */
    bool needs_vm;
    /* Adds to the plan what the action wants of one target, NULL for a verb without targets: steps,
     * refusals and what is skipped. Has no side effects. */
    void (*plan)(struct planner *planner, const struct action_ref *ref);
    /* Does one step of the plan. The caller holds the VM's lock, and run->virt is connected if the
     * action needs the VM. The result is in `task` and in the log. */
    enum run_outcome (*execute)(struct run *run, const struct plan_entry *entry, struct task *task);
};

const struct action_type *action_find(enum verb verb);

/* The halves of each row. */
void action_attach_plan(struct planner *planner, const struct action_ref *ref);
void action_detach_plan(struct planner *planner, const struct action_ref *ref);
void action_run_plan(struct planner *planner, const struct action_ref *ref);
void action_require_plan(struct planner *planner, const struct action_ref *ref);
void action_bind_plan(struct planner *planner, const struct action_ref *ref);
void action_create_plan(struct planner *planner, const struct action_ref *ref);
/* Of `any`: fewer are free than the target asks for, which `optional` allows. */
void action_attach_refuse_too_few(struct planner *planner, const struct action_ref *ref,
                                  const struct choice *choice);
enum run_outcome action_attach_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task);
enum run_outcome action_detach_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task);
enum run_outcome action_run_execute(struct run *run, const struct plan_entry *entry,
                                    struct task *task);
enum run_outcome action_require_execute(struct run *run, const struct plan_entry *entry,
                                        struct task *task);
enum run_outcome action_bind_execute(struct run *run, const struct plan_entry *entry,
                                     struct task *task);
enum run_outcome action_create_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task);

#endif
