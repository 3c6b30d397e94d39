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
    return execution_binder(run)->release(&run->host, entry->device, error, error_size) == 0;
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
    return answer != GUEST_STOPPED && answer != GUEST_UNSEEN;
}

/* How many of the unit of `entry` the VM has, by this run or an earlier one. */
static size_t count_held(struct execution *run, const struct plan_entry *entry) {
    size_t count = 0;
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (is_of_unit(entry, other))
            count += other->kind == PLAN_SKIPPED || execution_task(run, other)->went;
    }
    return count;
}

/* What this run attached of the unit of `entry` is taken out again, the last first. */
static bool take_unit_out(struct execution *run, const struct plan_entry *entry) {
    bool may_split = count_held(run, entry) < 2 || host_may_split_group(&run->host);
    for (size_t i = run->plan.count; i-- > 0;) {
        const struct plan_entry *other = &run->plan.entries[i];
        struct task *task = is_of_unit(entry, other) ? execution_task(run, other) : NULL;
        if (!task || !task->went)
            continue;
        task->went = false;
        if (!may_split)
            execution_log_entry(run, other, RESULT_FAILED,
                                NOT_ALL_WENT ", and this one stays in the VM",
                                "Linux before 5.19 cannot take a group apart: shut the VM down");
        else if (!take_out(run, other))
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

/* One of the unit will not go. */
static enum outcome fail_unit(struct execution *run, const struct plan_entry *entry,
                              enum outcome outcome) {
    if (!take_unit_out(run, entry))
        return OUTCOME_OVER;
    execute_give_back(run, entry->device->iommu_group);
    return outcome;
}

enum outcome execute_attach_member(struct execution *run, const struct plan_entry *entry,
                                   struct task *task) {
    char message[512];
    enum outcome outcome = OUTCOME_NEXT;
    size_t claims = run->claim_count;
    if (take_siblings(run, entry, message, sizeof message))
        outcome = execute_attach(run, entry, task);
    else
        execution_finish(run, entry, task, RESULT_FAILED, message, "see dmesg");
    if (run->claim_count > claims)
        return fail_unit(run, entry, outcome);
    if (outcome == OUTCOME_OVER || !task->failed)
        return outcome;
    drop_rest(run, entry);
    return fail_unit(run, entry, outcome);
}
