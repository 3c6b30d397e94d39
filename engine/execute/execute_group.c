#include "engine/execute/execution.h"

#include "engine/hostdev_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_ALL_WENT "another of its IOMMU group did not go"

/* Whether the entry's device goes together with that of `one`, or has gone. */
static bool is_of_unit(const struct plan_entry *one, const struct plan_entry *entry) {
    return entry->kind != PLAN_REFUSED && entry->action == one->action &&
           entry->target == one->target && entry->device &&
           entry->device->iommu_group == one->device->iommu_group;
}

bool execute_is_unit(const struct plan_entry *entry) {
    return entry->action->with_group && entry->device->bus == BUS_PCI &&
           !plan_has_option(entry->action, OPTION_UNMANAGED);
}

static void note_for_group(struct execution *run, const struct host_device *device) {
    struct taken *taken = execute_note_taken(run, device);
    if (taken)
        taken->for_group = taken->loose = true;
}

static bool take(struct execution *run, const struct plan_entry *entry, char *error,
                 size_t error_size) {
    if (!host_blocks_group(entry->device) || execution_task(run, entry)->went)
        return true;
    int status = execution_binder(run)->release(&run->host, entry->device, error, error_size);
    if (status == HOST_LATE)
        execute_note_unbinding(run, entry->device);
    return status == 0;
}

/* libvirt takes one device from its host driver, and can do so only when no other of the group is
 * on one. Those get none: what libvirt finds so, it gives back itself when the VM ends. */
static bool take_siblings(struct execution *run, const struct plan_entry *entry, char *error,
                          size_t error_size) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !is_of_unit(entry, other) || other->kind != PLAN_STEP)
            continue;
        if (!other->device->driver || host_blocks_group(other->device))
            note_for_group(run, other->device);
        if (!take(run, other, error, error_size))
            return false;
    }
    return true;
}

/* The guest has it still, and may release it when it has booted. */
static void execute_group_watch(struct execution *run, const struct plan_entry *entry) {
    run->leaving = memory_grow(run->leaving, run->leaving_count, sizeof *run->leaving);
    run->leaving[run->leaving_count++] =
        (struct leaving){.rule = entry->rule,
                         .action = entry->action,
                         .target = entry->target,
                         .address = memory_strdup(entry->device->address),
                         .deadline = execution_now(run) + LEAVING_LIMIT_MS};
}

/* Returns false when the VM cannot be seen any more. */
static bool take_out(struct execution *run, const struct plan_entry *entry) {
    struct virt_error result = {.message = "the VM could not be seen any more"};
    int64_t since = execution_now(run);
    char *xml = hostdev_xml(entry->device, NULL);
    enum guest_answer answer;
    while ((answer = execute_ask_guest(run, entry, xml, &result)) == GUEST_NOT_ASKED &&
           execution_ask_again(run, &result, since))
        ;
    free(xml);
    if (answer == GUEST_LET_GO)
        execution_log_entry(run, entry, RESULT_DETACHED, NOT_ALL_WENT, NULL);
    else if (answer != GUEST_STOPPED)
        execution_log_entry(run, entry, RESULT_FAILED, result.message, result.hint);
    if (answer == GUEST_IS_SILENT)
        execute_group_watch(run, entry);
    return answer != GUEST_STOPPED && answer != GUEST_UNSEEN;
}

/* The entry's action and target with another device of its IOMMU group, or one without a device. */
static struct plan_entry execute_group_member(const struct execution *run,
                                              const struct plan_entry *entry, size_t index) {
    const struct host_device *device = &run->host.devices[index];
    bool is_member = device->bus == BUS_PCI && device->iommu_group == entry->device->iommu_group;
    return (struct plan_entry){.kind = PLAN_STEP,
                               .rule = entry->rule,
                               .action = entry->action,
                               .target = entry->target,
                               .device = is_member ? device : NULL};
}

/* How many of the group the VM has, by this run or an earlier one. */
static size_t count_held(const struct execution *run, const struct plan_entry *entry) {
    size_t count = 0;
    for (size_t i = 0; i < run->host.count; i++) {
        struct plan_entry member = execute_group_member(run, entry, i);
        if (!member.device)
            continue;
        const struct task *task = execution_find_task(run, &member, member.device);
        count += (task && task->went) || domain_holds(&run->domain, member.device);
    }
    return count;
}

/* What this run attached of the group is taken out again, the last first. A plan that refuses the
 * group has no entry for what went before, so the host's devices are looked through. */
static bool take_group_out(struct execution *run, const struct plan_entry *entry) {
    bool may_split = count_held(run, entry) < 2 || host_may_split_group(&run->host);
    for (size_t i = run->host.count; i-- > 0;) {
        struct plan_entry member = execute_group_member(run, entry, i);
        struct task *task = member.device ? execution_find_task(run, &member, member.device) : NULL;
        if (!task || !task->went)
            continue;
        task->went = false;
        task->taken_out = true;
        if (!may_split)
            execution_log_entry(run, &member, RESULT_FAILED,
                                NOT_ALL_WENT ", and this one stays in the VM",
                                "Linux before 5.19 cannot take a group apart: shut the VM down");
        else if (!take_out(run, &member))
            return false;
    }
    return true;
}

static void drop_rest(struct execution *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        struct task *task = is_of_unit(entry, other) ? execution_task(run, other) : NULL;
        if (task && !task->done && other->kind == PLAN_STEP)
            execution_finish(run, other, task, RESULT_FAILED, NOT_ALL_WENT, NULL);
    }
}

enum outcome execute_fail_group(struct execution *run, const struct plan_entry *entry,
                                enum outcome outcome) {
    if (!take_group_out(run, entry))
        return OUTCOME_OVER;
    execute_give_back(run, entry->device->iommu_group);
    return outcome;
}

void execute_group_look(struct execution *run) {
    for (size_t i = run->leaving_count; i-- > 0;) {
        struct leaving *leaving = &run->leaving[i];
        const struct host_device *device = host_find(&run->host, BUS_PCI, leaving->address);
        bool is_gone = device && !domain_holds(&run->domain, device);
        if (!is_gone && device && execution_now(run) < leaving->deadline) {
            run->look = execution_at_most(leaving->deadline, run->look);
            continue;
        }
        if (is_gone) {
            struct plan_entry entry = {.kind = PLAN_STEP,
                                       .rule = leaving->rule,
                                       .action = leaving->action,
                                       .target = leaving->target,
                                       .device = device};
            execution_log_entry(run, &entry, RESULT_DETACHED, NOT_ALL_WENT, NULL);
            execute_note_returned(run, device);
            execute_give_back(run, device->iommu_group);
        }
        free(leaving->address);
        *leaving = run->leaving[--run->leaving_count];
    }
}

/* Whether another device of the group will not be in the VM: it failed, or was taken out. Then this
 * one must not be alone there. */
static bool is_group_given_up(struct execution *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !is_of_unit(entry, other) || other->kind != PLAN_STEP)
            continue;
        const struct task *task = execution_task(run, other);
        if (task->failed || task->taken_out)
            return true;
    }
    return false;
}

enum outcome execute_attach_member(struct execution *run, const struct plan_entry *entry,
                                   struct task *task) {
    char message[512];
    enum outcome outcome = OUTCOME_NEXT;
    size_t claims = run->claim_count;
    if (is_group_given_up(run, entry))
        execution_finish(run, entry, task, RESULT_FAILED, NOT_ALL_WENT, NULL);
    else if (take_siblings(run, entry, message, sizeof message))
        outcome = execute_attach(run, entry, task);
    else
        execution_finish(run, entry, task, RESULT_FAILED, message, "see dmesg");
    if (run->claim_count > claims)
        return execute_fail_group(run, entry, outcome);
    if (outcome == OUTCOME_OVER || !task->failed)
        return outcome;
    drop_rest(run, entry);
    return execute_fail_group(run, entry, outcome);
}
