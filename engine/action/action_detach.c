#include "engine/action/action.h"

#include "engine/plan/choose.h"
#include "engine/plan/plan_unplugged.h"
#include "engine/run/run.h"

#include <stdlib.h>

enum run_outcome action_detach_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task) {
    struct virt_error result = {.failure.message = "the VM could no longer be read"};
    switch (run_ask_guest(run, entry, false, &result)) {
    case GUEST_RELEASED:
        restore_driver_note_returned(run, entry->device);
        return run_finish_task(run, entry, task, RESULT_DETACHED, result.failure.message,
                               result.failure.hint);
    case GUEST_NOT_ASKED:
        return run_fail_call(run, entry, task, &result);
    case GUEST_REFUSED:
    case GUEST_NO_ANSWER:
        return run_finish_task(run, entry, task, RESULT_FAILED, result.failure.message,
                               result.failure.hint);
    case GUEST_STOPPED:
    case GUEST_UNSEEN:
        if (run->must_reconnect)
            return RUN_REPLAN;
        break;
    }
    run_finish_task(run, entry, task, RESULT_FAILED, result.failure.message, result.failure.hint);
    return RUN_OVER;
}

static void action_detach_plan_devices(struct planner *planner, const struct action_ref *ref,
                                       const struct device_list *devices) {
    bool any = ref->target->quantifier == QUANTIFIER_ANY;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device *device = devices->list[i];
        if (any && i >= ref->target->count) {
            planner_omit(planner, ref, device,
                         verdict_refuse(REFUSED_NOT,
                                        memory_strdup("enough other devices were detached "
                                                      "before it"),
                                        NULL));
        } else if (!(*planner_mark(planner, device) & MARK_DETACH)) {
            struct plan_entry *entry = planner_add(planner, ref, PLAN_STEP, device);
            for (const struct domain_hostdev *hostdev = NULL;
                 (hostdev = backend_next_hostdev(planner->domain, device, hostdev));) {
                planner_add_element(entry, backend_detach_xml(hostdev));
                guest_leave(&planner->guest, &hostdev->place);
            }
        }
    }
}

void action_detach_plan(struct planner *planner, const struct action_ref *ref) {
    bool taken = plan_unplugged_is_detached(planner);
    if (taken && ref->target->quantifier != QUANTIFIER_ALL)
        return;
    struct device_list matched = planner_matching(planner, ref->target), held = {0};
    for (size_t i = 0; i < matched.count; i++) {
        const struct device *device = matched.list[i];
        if (taken && planner_is_unplugged(planner, device))
            continue;
        if (backend_hostdev_of(planner->domain, device))
            planner_list_add(&held, device);
        else
            planner_omit(
                planner, ref, device,
                verdict_refuse(REFUSED_NOT, memory_strdup("the VM does not have it"), NULL));
    }
    planner_list_fold(planner, ref, &held);
    if (held.count > 1 && ref->target->quantifier == QUANTIFIER_ONE)
        choose_refuse_ambiguous(planner, ref, &held);
    else if (held.count)
        action_detach_plan_devices(planner, ref, &held);
    else if (!taken) /* else it was the only one */
        planner_add(planner, ref, PLAN_SKIPPED, NULL)->message =
            memory_strdup("the VM does not have it");
    planner_list_finish(&held);
    planner_list_finish(&matched);
}
