#include "engine/host/driver.h"
#include "engine/run/run.h"

#include "engine/backend/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the entry's device goes together with that of `one`, or has gone. */
static bool run_group_is_of_unit(const struct plan_entry *one, const struct plan_entry *entry) {
    return entry->kind != PLAN_REFUSED && entry->action == one->action &&
           entry->target == one->target && entry->device &&
           entry->device->iommu_group == one->device->iommu_group;
}

bool run_group_is_unit(const struct plan_entry *entry) {
    return entry->action->with_group && entry->device->bus == BUS_PCI &&
           !plan_has_option(entry->action, OPTION_UNMANAGED);
}

static void run_group_note_for_group(struct run *run, const struct device *device) {
    struct unbound_device *taken = restore_driver_note(run, device);
    if (taken)
        taken->for_group = taken->loose = true;
}

static bool run_group_take(struct run *run, const struct plan_entry *entry,
                           struct failure *failure) {
    if (!host_blocks_group(entry->device) || run_task(run, entry)->went)
        return true;
    int status = run->host.source.unbind(&run->host, entry->device, failure);
    if (status == HOST_LATE)
        restore_driver_note_unbinding(run, entry->device);
    return status == 0;
}

bool run_group_unbind_siblings(struct run *run, const struct plan_entry *entry,
                               struct failure *failure) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !run_group_is_of_unit(entry, other) || other->kind != PLAN_STEP)
            continue;
        if (!other->device->driver || host_blocks_group(other->device))
            run_group_note_for_group(run, other->device);
        if (!run_group_take(run, other, failure))
            return false;
    }
    return true;
}

/* The guest has it still, and may release it when it has booted. */
static void run_group_watch(struct run *run, const struct plan_entry *entry) {
    run->leaving = memory_grow(run->leaving, run->leaving_count, sizeof *run->leaving);
    run->leaving[run->leaving_count++] =
        (struct leaving){.rule = entry->rule,
                         .action = entry->action,
                         .target = entry->target,
                         .address = memory_strdup(entry->device->address),
                         .deadline = run_now(run) + LEAVING_LIMIT_MS};
}

/* Returns false when the VM cannot be seen any more. */
static bool run_group_take_out(struct run *run, const struct plan_entry *entry) {
    struct virt_error result = {.failure.message = "the VM could not be seen any more"};
    int64_t since = run_now(run);
    char *xml = backend_detach_xml(entry->device);
    enum guest_answer answer;
    while ((answer = run_ask_guest(run, entry, xml, &result)) == GUEST_NOT_ASKED &&
           run_ask_again(run, &result, since))
        ;
    free(xml);
    if (answer == GUEST_LET_GO)
        run_log_entry(run, entry, RESULT_DETACHED, RUN_GROUP_INCOMPLETE, NULL);
    else if (answer != GUEST_STOPPED)
        run_log_entry(run, entry, RESULT_FAILED, result.failure.message, result.failure.hint);
    if (answer == GUEST_IS_SILENT)
        run_group_watch(run, entry);
    return answer != GUEST_STOPPED && answer != GUEST_UNSEEN;
}

/* The entry's action and target with another device of its IOMMU group, or one without a device. */
static struct plan_entry run_group_member(const struct run *run, const struct plan_entry *entry,
                                          size_t index) {
    const struct device *device = &run->host.devices[index];
    bool is_member = device->bus == BUS_PCI && device->iommu_group == entry->device->iommu_group;
    return (struct plan_entry){.kind = PLAN_STEP,
                               .rule = entry->rule,
                               .action = entry->action,
                               .target = entry->target,
                               .device = is_member ? device : NULL};
}

/* How many of the group the VM has, by this run or an earlier one. */
static size_t run_group_count_held(const struct run *run, const struct plan_entry *entry) {
    size_t count = 0;
    for (size_t i = 0; i < run->host.count; i++) {
        struct plan_entry member = run_group_member(run, entry, i);
        if (!member.device)
            continue;
        const struct task *task = run_find_task(run, &member, member.device);
        count += (task && task->went) || backend_hostdev_of(&run->domain, member.device);
    }
    return count;
}

/* What this run attached of the group is taken out again, the last first. A plan that refuses the
 * group has no entry for what went before, so the host's devices are looked through. */
static bool run_group_take_group_out(struct run *run, const struct plan_entry *entry) {
    bool may_split =
        run_group_count_held(run, entry) < 2 || run->host.source.may_split_group(&run->host);
    for (size_t i = run->host.count; i-- > 0;) {
        struct plan_entry member = run_group_member(run, entry, i);
        struct task *task = member.device ? run_find_task(run, &member, member.device) : NULL;
        if (!task || !task->went)
            continue;
        task->went = false;
        task->taken_out = true;
        if (!may_split)
            run_log_entry(run, &member, RESULT_FAILED,
                          RUN_GROUP_INCOMPLETE ", and this one stays in the VM",
                          "Linux before 5.19 cannot take a group apart: shut the VM down");
        else if (!run_group_take_out(run, &member))
            return false;
    }
    return true;
}

void run_group_drop_rest(struct run *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        struct task *task = run_group_is_of_unit(entry, other) ? run_task(run, other) : NULL;
        if (task && !task->done && other->kind == PLAN_STEP)
            run_finish_task(run, other, task, RESULT_FAILED, RUN_GROUP_INCOMPLETE, NULL);
    }
}

enum run_outcome run_group_fail(struct run *run, const struct plan_entry *entry,
                                enum run_outcome outcome) {
    if (!run_group_take_group_out(run, entry))
        return RUN_OVER;
    restore_driver_group(run, entry->device->iommu_group);
    return outcome;
}

void run_group_recheck(struct run *run) {
    for (size_t i = run->leaving_count; i-- > 0;) {
        struct leaving *leaving = &run->leaving[i];
        const struct device *device = host_find(&run->host, BUS_PCI, leaving->address);
        bool is_gone = device && !backend_hostdev_of(&run->domain, device);
        if (!is_gone && device && run_now(run) < leaving->deadline) {
            run->look = run_at_most(leaving->deadline, run->look);
            continue;
        }
        if (is_gone) {
            struct plan_entry entry = {.kind = PLAN_STEP,
                                       .rule = leaving->rule,
                                       .action = leaving->action,
                                       .target = leaving->target,
                                       .device = device};
            run_log_entry(run, &entry, RESULT_DETACHED, RUN_GROUP_INCOMPLETE, NULL);
            restore_driver_note_returned(run, device);
            restore_driver_group(run, device->iommu_group);
        }
        free(leaving->address);
        *leaving = run->leaving[--run->leaving_count];
    }
}

bool run_group_is_given_up(struct run *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !run_group_is_of_unit(entry, other) || other->kind != PLAN_STEP)
            continue;
        const struct task *task = run_task(run, other);
        if (task->failed || task->taken_out)
            return true;
    }
    return false;
}
