#include "engine/host/iommu.h"

#include "engine/backend/backend.h"
#include "engine/run/run.h"

#include <stdlib.h>

bool run_group_is_unit(const struct plan_entry *entry) {
    return entry->action->with_group && entry->device->bus == BUS_PCI &&
           !plan_has_option(entry->action, OPTION_UNMANAGED);
}

bool run_group_is_same(const struct plan_entry *one, const struct plan_entry *entry) {
    return entry->kind != PLAN_REFUSED && entry->action == one->action &&
           entry->target == one->target && entry->device &&
           entry->device->iommu_group == one->device->iommu_group;
}

bool run_group_is_given_up(struct run *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !run_group_is_same(entry, other) || other->kind != PLAN_STEP)
            continue;
        const struct task *task = run_task(run, other);
        if (task->state == TASK_FAILED || task->state == TASK_REMOVED)
            return true;
    }
    return false;
}

bool run_group_waits(struct run *run, const struct plan_entry *entry, struct task *task) {
    for (size_t i = 0; i < run->plan.count && &run->plan.entries[i] != entry; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (!run_group_is_same(entry, other) || other->kind != PLAN_STEP)
            continue;
        const struct task *before = run_task(run, other);
        if (before->state == TASK_PENDING && before->due > run_now(run)) {
            task->due = before->due;
            return true;
        }
    }
    return false;
}

bool run_group_unbind_siblings(struct run *run, const struct plan_entry *entry,
                               struct failure *failure) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !run_group_is_same(entry, other) || other->kind != PLAN_STEP)
            continue;
        const struct device *device = other->device;
        if (!device->driver || iommu_blocks_group(device)) {
            struct unbound_device *unbound = restore_driver_note(run, device);
            if (unbound)
                unbound->for_group = unbound->orphan = true;
        }
        if (!iommu_blocks_group(device) || run_task(run, other)->state == TASK_ATTACHED)
            continue;
        int status = run->host.source.unbind(&run->host, device, failure);
        if (status == HOST_LATE)
            restore_driver_note_unbinding(run, device);
        if (status != 0)
            return false;
    }
    return true;
}

void run_group_drop_rest(struct run *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other->kind != PLAN_STEP || !run_group_is_same(entry, other))
            continue;
        struct task *task = run_task(run, other);
        if (task->state == TASK_PENDING)
            run_finish_task(run, other, task, RESULT_FAILED, RUN_GROUP_INCOMPLETE, NULL);
    }
}

/* Asks the guest to release the entry's device. Returns false when the VM cannot be read any more.
 */
static bool run_group_detach(struct run *run, const struct plan_entry *entry) {
    struct virt_error result = {.failure.message = "the VM could no longer be read"};
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    enum guest_answer answer;
    do
        answer = run_ask_guest(run, entry, false, &result);
    while (answer == GUEST_NOT_ASKED && retry_call(&retry, &result));
    if (answer == GUEST_RELEASED)
        run_log_entry(run, entry, RESULT_DETACHED, RUN_GROUP_INCOMPLETE, NULL);
    else if (answer != GUEST_STOPPED)
        run_log_entry(run, entry, RESULT_FAILED, result.failure.message, result.failure.hint);
    if (answer == GUEST_NO_ANSWER) { /* it may release the device when it has booted */
        run->removals = memory_grow(run->removals, run->removal_count, sizeof *run->removals);
        run->removals[run->removal_count++] =
            (struct pending_removal){.rule = entry->rule,
                                     .action = entry->action,
                                     .target = entry->target,
                                     .address = memory_strdup(entry->device->address),
                                     .deadline = run_now(run) + RUN_REMOVAL_LIMIT_MS};
    }
    return answer != GUEST_STOPPED && answer != GUEST_UNSEEN;
}

/* The entry with another device of its group. A plan that refuses the group has no entries for what
 * was attached before. Returns false for a device of another group. */
static bool run_group_member(const struct run *run, const struct plan_entry *entry, size_t index,
                             struct plan_entry *member) {
    const struct device *device = &run->host.devices[index];
    *member = (struct plan_entry){.kind = PLAN_STEP,
                                  .rule = entry->rule,
                                  .action = entry->action,
                                  .target = entry->target,
                                  .device = device};
    return device->bus == BUS_PCI && device->iommu_group == entry->device->iommu_group;
}

static bool run_group_is_attached(const struct run *run, const struct plan_entry *member) {
    const struct task *task = run_find_task(run, member, member->device);
    return task && task->state == TASK_ATTACHED;
}

enum run_outcome run_group_fail(struct run *run, const struct plan_entry *entry,
                                enum run_outcome outcome) {
    struct plan_entry member;
    size_t held = 0; /* by the VM, from this run or an earlier one */
    for (size_t i = 0; i < run->host.count; i++)
        held += run_group_member(run, entry, i, &member) &&
                (run_group_is_attached(run, &member) ||
                 backend_hostdev_of(&run->domain, member.device));
    bool may_split = held < 2 || run->host.source.may_split_group(&run->host);
    for (size_t i = run->host.count; i-- > 0;) { /* the last one first */
        if (!run_group_member(run, entry, i, &member) || !run_group_is_attached(run, &member))
            continue;
        run_find_task(run, &member, member.device)->state = TASK_REMOVED;
        if (!may_split)
            run_log_entry(run, &member, RESULT_FAILED,
                          RUN_GROUP_INCOMPLETE ", and this one stays in the VM",
                          "Linux before 5.19 cannot split a group: shut the VM down");
        else if (!run_group_detach(run, &member))
            return RUN_OVER;
    }
    restore_driver_group(run, entry->device->iommu_group);
    return outcome;
}

void run_group_recheck(struct run *run) {
    for (size_t i = run->removal_count; i-- > 0;) {
        struct pending_removal *removal = &run->removals[i];
        const struct device *device = host_find(&run->host, BUS_PCI, removal->address);
        bool is_gone = device && !backend_hostdev_of(&run->domain, device);
        if (!is_gone && device && run_now(run) < removal->deadline) {
            if (removal->deadline < run->recheck)
                run->recheck = removal->deadline;
            continue;
        }
        if (is_gone) {
            struct plan_entry entry = {.kind = PLAN_STEP,
                                       .rule = removal->rule,
                                       .action = removal->action,
                                       .target = removal->target,
                                       .device = device};
            run_log_entry(run, &entry, RESULT_DETACHED, RUN_GROUP_INCOMPLETE, NULL);
            restore_driver_note_returned(run, device);
            restore_driver_group(run, device->iommu_group);
        }
        free(removal->address);
        *removal = run->removals[--run->removal_count];
    }
}
