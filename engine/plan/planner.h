/*
 * A plan that is being made: its entries, what the VM has and earlier entries attach, the places
 * left in the guest. For engine/plan and the plan() functions of engine/action.
 */
#ifndef ENGINE_PLANNER_H
#define ENGINE_PLANNER_H

#include "engine/plan/plan.h"

enum planner_mark {
    MARK_ATTACH = 1, /* an entry attaches it, or says that the VM has it */
    MARK_DETACH = 2, /* an entry detaches it */
    MARK_CHOSEN = 4, /* `any` has chosen it, and is not complete */
    MARK_SHARED = 8, /* an entry gives the VM a mediated device of it */
};

struct planner {
    const struct plan_request *request;
    const struct event *event;   /* of the request */
    const struct domain *domain; /* of the event, or judge_any_vm */
    struct plan *plan;
    struct judge judge;
    struct guest guest;         /* the places that are left */
    uint8_t *marks;             /* enum planner_mark, one for each device of the host */
    struct action_list actions; /* all that the event asks for */
};

uint8_t *planner_mark(const struct planner *planner, const struct device *device);
/* Marks the device, and what is attached or detached with it: a SCSI device on it, and what it is
 * on. One that has other SCSI devices too is not attached with one of them. */
void planner_set_mark(struct planner *planner, const struct device *device, enum planner_mark mark);
/* The VM has it: all elements by which the action attaches it, or all of another backend's. What
 * the definition of a VM has that is about to start is judged all the same. */
bool planner_is_attached(const struct planner *planner, const struct action *action,
                         const struct device *device);
/* The VM has it or this plan attaches it, so it need not be judged again. */
bool planner_is_assigned(const struct planner *planner, const struct action *action,
                         const struct device *device);
/* Whether the action takes devices that other VMs have: with 'take', when its VM starts. */
bool planner_may_take(const struct planner *planner, const struct action_ref *ref);
/* The device that `unplugged` is about; NULL: another event. */
const struct device *planner_unplugged_device(const struct planner *planner);
/* It is that device, which sysfs may still list just after its remove event. */
bool planner_is_unplugged(const struct planner *planner, const struct device *device);

/* --- entries */

/* `device` NULL: none was found, or the action is about none. Marks the device unless refused. */
struct plan_entry *planner_add(struct planner *planner, const struct action_ref *ref,
                               enum plan_kind kind, const struct device *device);
/* One more element of a step. Takes the XML; NULL is left out. */
void planner_add_element(struct plan_entry *entry, char *xml);
/* The controller that such a place needs, if it needs one. */
void planner_add_controller(struct plan_entry *entry, const struct guest_place *place);
/* One more note of a step. */
void planner_note(struct plan_entry *entry, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes what the verdict owns. */
void planner_refuse(struct planner *planner, const struct action_ref *ref,
                    const struct device *device, struct verdict verdict);
/* Notes why a device that the target selects gets no entry. Takes what the verdict owns. */
void planner_omit(struct planner *planner, const struct action_ref *ref,
                  const struct device *device, struct verdict verdict);

/* No device of the host is what the target asks for: refused, or skipped when it is optional.
 * `label` says on which bus, "" on any; `except` what there is all the same, after a comma. */
void planner_absent(struct planner *planner, const struct action_ref *ref, const char *label,
                    const char *except);
/* The first entry so far that does that verb to the device, or says that it is done; NULL: none. */
const struct plan_entry *planner_find(const struct planner *planner, enum verb verb,
                                      const struct device *device);

/* --- lists of devices of the host, in its order */

struct device_list {
    const struct device **list;
    size_t count;
};

void planner_list_add(struct device_list *devices, const struct device *device);
void planner_list_finish(struct device_list *devices);
/* Those that the target selects. */
struct device_list planner_matching(const struct planner *planner, const struct target *target);
/* Leaves out each SCSI device that is on another device of the list, which stands for both. */
void planner_list_fold(struct planner *planner, const struct action_ref *ref,
                       struct device_list *devices);

/* --- texts that the caller frees */

/* The target's device as written in its rule, on one line. */
char *planner_target_text(const struct action_ref *ref);
/* The definition of a name: " (1ac1:089a)"; else "". */
char *planner_meaning_text(const struct action_ref *ref);

#endif
