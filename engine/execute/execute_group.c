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

static const struct binder *binder_of(const struct execution *run) {
    static const struct binder kernel = {host_release, host_give_back};
    return run->executor->binder ? run->executor->binder : &kernel;
}

static void note_taken(struct execution *run, const char *address, const char *driver) {
    for (size_t i = 0; i < run->taken_count; i++)
        if (!strcmp(run->taken[i].address, address))
            return;
    run->taken = memory_grow(run->taken, run->taken_count, sizeof *run->taken);
    run->taken[run->taken_count++] = (struct taken){
        .address = memory_strdup(address), .driver = driver ? memory_strdup(driver) : NULL};
}

/* So that it is known to the engine of the VM's end, should this one be killed. */
static void keep_taken(struct execution *run, const struct host_device *device) {
    struct life life;
    execution_load_life(run, &life);
    life_take(&life, device->address, device->driver);
    execution_save_life(run, &life);
}

static void forget_taken(struct execution *run, const struct host_device *device) {
    struct life life;
    if (!life_exists(run->executor->state, execution_vm(run)))
        return;
    execution_load_life(run, &life);
    life_give_back(&life, device->address);
    execution_save_life(run, &life);
}

static bool take(struct execution *run, const struct plan_entry *entry, char *error,
                 size_t error_size) {
    if (!host_blocks_group(entry->device) || execution_task(run, entry)->went)
        return true;
    keep_taken(run, entry->device);
    return binder_of(run)->release(&run->host, entry->device, error, error_size) == 0;
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
            note_taken(run, other->device->address, other->device->driver);
        if (!take(run, other, error, error_size))
            return false;
    }
    return true;
}

static bool has_driver(const struct execution *run, const struct host_device *device) {
    char driver[64];
    return !host_driver(&run->host, device, driver, sizeof driver) || *driver;
}

/* Whether some VM still has one of the device's group, as far as the host shows it. */
static bool is_group_in_use(const struct execution *run, const struct host_device *device) {
    char driver[64];
    for (size_t i = 0; i < run->host.count; i++) {
        const struct host_device *other = &run->host.devices[i];
        if (other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
            host_driver(&run->host, other, driver, sizeof driver) && strstr(driver, "vfio"))
            return true;
    }
    return false;
}

static void probe(struct execution *run, struct taken *taken, const struct host_device *device) {
    static const char hint[] = "when the VM has ended, write the address to "
                               "/sys/bus/pci/drivers_probe, or start a VM that takes the group";
    char error[512];
    if (is_group_in_use(run, device))
        snprintf(error, sizeof error, "it has no driver, and a VM has others of its IOMMU group");
    else if (binder_of(run)->give_back(&run->host, device, error, sizeof error) == 0) {
        forget_taken(run, device);
        if (has_driver(run, device)) {
            execution_log_device(run, device, RESULT_DETACHED, "back on its host driver", NULL);
            return;
        }
        if (!taken->driver)
            return;
        snprintf(error, sizeof error, "its host driver %s did not take it back", taken->driver);
    }
    if (!taken->told)
        execution_log_device(run, device, RESULT_FAILED, error, hint);
    taken->told = true;
}

/* libvirt may be about to give back others of the group, or this one. */
static void give_one_back(struct execution *run, struct taken *taken,
                          const struct host_device *device) {
    int64_t deadline = execution_now(run) + RELEASE_LIMIT_MS;
    while (!has_driver(run, device) && is_group_in_use(run, device) &&
           execution_now(run) < deadline)
        execution_sleep_until(run, execution_now(run) + FIRST_WAIT_MS);
    if (!has_driver(run, device))
        probe(run, taken, device);
}

void execute_give_back(struct execution *run, int group) {
    for (size_t i = 0; i < run->taken_count; i++) {
        const struct host_device *device = host_find(&run->host, BUS_PCI, run->taken[i].address);
        if (device && (group < 0 || device->iommu_group == group))
            give_one_back(run, &run->taken[i], device);
    }
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

/* --- the end of the VM's life */

static void note_all_taken(struct execution *run, const struct life *life) {
    for (size_t i = 0; i < life->taken_count; i++)
        note_taken(run, life->taken[i].address, life->taken[i].driver);
}

/* What has a driver is not ours any more; nor is what left the host. */
static void forget_rest(struct execution *run, struct life *life) {
    life_end(life);
    for (size_t i = 0; i < run->taken_count; i++) {
        const struct host_device *device = host_find(&run->host, BUS_PCI, run->taken[i].address);
        if (!device || has_driver(run, device))
            life_give_back(life, run->taken[i].address);
    }
}

/* An engine that comes late must not take for its own what the VM's next life has begun. */
static void end_life(struct execution *run, struct life *life) {
    if (life->started > life_now() || (life->taken_count && !execution_load_host(run))) {
        life_finish(life);
        return;
    }
    note_all_taken(run, life);
    execute_give_back(run, -1);
    forget_rest(run, life);
    host_finish(&run->host);
    run->host = (struct host){0};
    execution_save_life(run, life);
}

void execute_end_life(struct execution *run) {
    struct life life;
    if (life_load(&life, run->executor->state, execution_vm(run)))
        end_life(run, &life);
    else
        execution_save_life(run, &life); /* of an earlier boot, or not whole: it goes */
}
