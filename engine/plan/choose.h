/* Which of the devices that a target selects an action takes: one, all, any N, with their groups.
 */
#ifndef ENGINE_CHOOSE_H
#define ENGINE_CHOOSE_H

#include "engine/plan/planner.h"

/* The devices that go to the VM together: the device, and `with group` the other endpoints of its
 * IOMMU group after it. The caller ends the list. */
struct device_list choose_unit(const struct planner *planner, const struct action_ref *ref,
                               const struct device *device);

/* How the rule's action attaches a device, without its place. */
struct backend_options choose_options(const struct planner *planner, const struct action_ref *ref,
                                      const struct device *device);

/* The backend's take_place(), where it has one. */
bool choose_take_place(struct guest *guest, const struct backend_type *backend,
                       const struct device *device, struct backend_options *options);

/* Whether a device of a unit can be attached. One that the VM has or this plan attaches is not
 * judged again. */
struct verdict choose_judge(struct planner *planner, const struct action_ref *ref,
                            const struct device *device);
/* Whether the guest has a place left for each element of the unit's devices. */
struct verdict choose_judge_places(const struct planner *planner, const struct action_ref *ref,
                                   const struct device_list *unit);

/* The devices that `any` takes, and why it takes no more. choose_finish() ends it. */
struct choice {
    struct device_list list; /* one device of each unit */
    size_t count;  /* of the target's devices, also those that come with another one's group */
    char *reasons; /* "; ADDRESS: message" of each that was refused */
    struct verdict first; /* the first of these refusals; REFUSED_NOT: there is none */
    bool differ;          /* the refusals have different reasons */
};

/*
 * Takes up to the target's count of `devices`: first those that the VM has or this plan attaches,
 * then free ones, and with 'take' those of other VMs. So two rules with `any` take the same device,
 * and a plan that is made again half way is the same. The other devices are kept in the plan, see
 * planner_omit().
 */
struct choice choose_any(struct planner *planner, const struct action_ref *ref,
                         const struct device_list *devices);
/* Why `any` does not take the device: in the choice, and in the plan, see planner_omit(). Takes
 * what the verdict owns. */
void choose_note_refusal(struct planner *planner, const struct action_ref *ref,
                         struct choice *choice, const struct device *device,
                         struct verdict verdict);
void choose_finish(struct choice *choice);

/* The target selects several devices and must select one: the refusal lists them. */
void choose_refuse_ambiguous(struct planner *planner, const struct action_ref *ref,
                             const struct device_list *devices);

#endif
