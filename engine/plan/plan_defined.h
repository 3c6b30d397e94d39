/*
 * `defined`: what a shut-off VM's definition gets and loses. Its rules are planned for the
 * definition as it would be without what is marked as ours (definition_mark.h). What they want and
 * the definition has already stays; what of ours they do not want leaves, with a reason. Which VMs
 * run does not matter: two definitions may have one device, and only one of the two can run.
 */
#ifndef ENGINE_PLAN_DEFINED_H
#define ENGINE_PLAN_DEFINED_H

#include "engine/plan/planner.h"

/* --- for the attach action, at `defined` */

/* What a definition alone refuses: `boot order` where that cannot be, `trust`. */
struct verdict plan_defined_judge(const struct planner *planner, const struct action_ref *ref,
                                  const struct device *device);
/* The device is in the definition by a mark of ours, whether it can stay or not. */
bool plan_defined_is_ours(const struct planner *planner, const struct device *device);
/* Another VM whose definition has it, or that runs and has it; NULL: none. */
const struct domain *plan_defined_other_vm(const struct planner *planner,
                                           const struct device *device);
/* The step puts the device in: its mark, whose alias goes into the options, and a note of other VMs
 * that have it. */
void plan_defined_prepare_step(const struct planner *planner, struct plan_entry *entry,
                               struct backend_options *options);
/* The same of the root port that its place needs, if it needs one. */
void plan_defined_mark_port(struct plan_entry *entry);
/* Why nothing is to be done for a device that the definition has. The caller frees it. */
char *plan_defined_skip_text(const struct planner *planner, const struct device *device);
/* The note alone, for the caller to free; NULL: no other VM has it. */
char *plan_defined_note(const struct planner *planner, const struct device *device);

/* --- for plan.c */

/*
 * By a plan for the definition without ours: sets `kept`, one for each hostdev of `definition`, for
 * those of ours that stay as they are.
 */
void plan_defined_choose_kept(bool *kept, const struct plan *fresh,
                              const struct plan_request *request);
/* After the actions of the plan in which these stay: the root ports of 'ports', and what leaves. */
void plan_defined_finish(struct planner *planner, const struct plan *fresh, const bool *kept);

#endif
