/* Which of the devices that a target means an action takes: one, all, any N, with their groups. */
#ifndef ENGINE_CHOOSE_H
#define ENGINE_CHOOSE_H

#include "engine/plan/planner.h"

/* What goes to the VM with the device: with its group the group's endpoints, itself first; else
 * itself. The caller ends the list. */
struct device_list choose_unit(const struct planner *planner, const struct action_ref *ref,
                               const struct device *device);

/* Whether the member of a unit may go; what the VM has or this plan gives it is not judged. */
struct verdict choose_judge(struct planner *planner, const struct action_ref *ref,
                            const struct device *device);
/* Whether the guest has a place left for each device of the unit. */
struct verdict choose_judge_places(const struct planner *planner, const struct action_ref *ref,
                                   const struct device_list *unit);

/* What `any` takes, and why it takes no more. choose_finish() ends it. */
struct choice {
    struct device_list list; /* one device of each unit */
    size_t count;            /* of the target's devices, those that come with a group among them */
    char *reasons;           /* "; ADDRESS: message" of each that may not go */
    struct verdict first;    /* of the first of them; REFUSED_NOT: there is none */
    bool differ;             /* their reasons do */
};

/*
 * Of `devices` those that the VM has or this plan gives it, then the free ones, up to the target's
 * count. So two rules that take any device take the same one, and a plan that is made again half
 * way comes out alike. The devices that it passes over are kept in the plan.
 */
struct choice choose_any(struct planner *planner, const struct action_ref *ref,
                         const struct device_list *devices);
void choose_finish(struct choice *choice);

/* The target means one device, and these are several: the refusal names what could be meant. */
void choose_refuse_ambiguous(struct planner *planner, const struct action_ref *ref,
                             const struct device_list *devices);

#endif
