#include "engine/run/run.h"

static bool guest_boot_is_boot_device(const struct action *action) {
    return plan_has_option(action, OPTION_THEN_RESET) ||
           plan_has_option(action, OPTION_THEN_REBOOT);
}

static bool guest_boot_is_start(const struct run *run) {
    const struct event *event = run->config->event;
    return event->name == EVENT_STARTED && !event->settled;
}

/* At its start the guest is in its firmware, and boots: at other events it has long come up, and so
 * has the guest of a VM that came with its memory. */
static bool guest_boot_boots(const struct run *run) {
    return guest_boot_is_start(run) && !run->migrated;
}

void guest_boot_note(struct run *run, struct task *task) {
    int given = run->config->boot_ms;
    if (given < 0 || !guest_boot_boots(run))
        return;
    task->recheck = run_now(run) + (given ? given : RUN_BOOT_MS);
    if (task->recheck < run->recheck)
        run->recheck = task->recheck;
}

/* --- the restart */

/* Noted before it is done, so that an engine that is killed in between leaves no second restart to
 * another: better none than two. */
static bool guest_boot_is_first_restart(struct run *run) {
    struct vm_state state;
    if (!run_log_load(run, &state))
        return false;
    bool is_first = !state.restarted && !state.damaged;
    state.restarted = true;
    if (is_first)
        run_log_save(run, &state);
    else
        vm_state_finish(&state);
    return is_first;
}

/* Once a run, when all devices are there that the guest is to find at its boot: another device that
 * is waited for must not reset a guest that has long come up. */
bool guest_boot_restart(struct run *run) {
    struct domain domain;
    struct virt_error error;
    enum virt_state now;
    bool reset = false, reboot = false;
    if (!guest_boot_is_start(run) || run->restarted)
        return true;
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        enum task_state state = run_task(run, entry)->state;
        if (state == TASK_PENDING && guest_boot_is_boot_device(entry->action))
            return true;
        if (state == TASK_ATTACHED) {
            reset |= plan_has_option(entry->action, OPTION_THEN_RESET);
            reboot |= plan_has_option(entry->action, OPTION_THEN_REBOOT);
        }
    }
    if (!reset && !reboot)
        return true;
    if (!run_load_domain(run, &domain))
        return false;
    domain_finish(&domain);
    run->restarted = true;
    bool is_first = guest_boot_is_first_restart(run);
    /* Once more: at the run's first look, a VM that is reverted to a snapshot is only paused. */
    run_migration_look(run, &now, &error);
    if (run->migrated && !run->vm_ended) {
        run_log_event(run, RESULT_ALREADY,
                      "the guest is not restarted: it runs since before the VM was migrated, "
                      "restored or reverted",
                      "if it does not use the device, restart it when nobody needs it");
        return true;
    }
    if (!is_first) {
        if (!run->vm_ended)
            run_log_event(run, RESULT_ALREADY,
                          "the guest was already restarted once since the VM started",
                          "it finds newer devices at its next boot");
        return !run->vm_ended;
    }
    run_begin_call(run, reset ? "reset" : "reboot", NULL);
    int status = reset ? run->virt->ops->reset(run->virt, run_vm(run), run->domain.id, &error)
                       : run->virt->ops->reboot(run->virt, run_vm(run), run->domain.id, &error);
    run_end_call(run, NULL, status < 0 ? &error : NULL);
    if (status < 0) {
        run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
        return true;
    }
    run_log_event(run, RESULT_RAN,
                  reset ? "the guest was reset, so that it finds its device when it boots"
                        : "the guest was asked to reboot, so that it finds its device",
                  NULL);
    for (struct task *task = run->tasks; task; task = task->next)
        if (task->recheck) /* the guest boots once more */
            guest_boot_note(run, task);
    return true;
}

/* --- what a guest that boots does to its devices */

enum run_outcome guest_boot_removed(struct run *run, const struct plan_entry *entry,
                                    struct task *task) {
    if (!run_try_later(run, task))
        return run_finish_task(run, entry, task, RESULT_FAILED,
                               "libvirt reported success, but the VM does not have the device",
                               "the guest may have released it: see the guest's kernel log and the "
                               "VM's log in /var/log/libvirt/qemu/");
    task->released = true;
    task->state = TASK_PENDING;
    task->recheck = 0;
    return RUN_NEXT;
}

/* By a person with 'virt-rules detach', by a rule, or because its group could not be attached. A
 * USB device may have another id since. */
static bool guest_boot_was_dismissed(struct run *run, const struct plan_entry *entry) {
    struct vm_state state;
    if (!vm_state_exists(run->config->state, run_vm(run)))
        return false;
    if (!run_log_load(run, &state))
        return true;
    bool dismissed = vm_state_has_dismissed_at(&state, entry->device->address);
    vm_state_finish(&state);
    return dismissed;
}

void guest_boot_note_absent(struct run *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        if (entry->kind != PLAN_STEP || !entry->device || entry->unplugged)
            continue;
        struct task *task = run_find_task(run, entry, entry->device);
        if (task && task->state == TASK_ATTACHED &&
            (!task->recheck || guest_boot_was_dismissed(run, entry)))
            task->state = TASK_REMOVED;
    }
}

/* A guest that boots can take a plug for an unplug. */
enum run_outcome guest_boot_recheck(struct run *run, const struct plan_entry *entry,
                                    struct task *task) {
    if (!task->recheck)
        return RUN_NEXT;
    if (entry->kind == PLAN_STEP && task->state != TASK_REMOVED) {
        enum run_outcome outcome = guest_boot_removed(run, entry, task);
        return task->state == TASK_FAILED && run_group_is_unit(entry)
                   ? run_group_fail(run, entry, outcome)
                   : outcome;
    }
    if (entry->kind == PLAN_STEP || run_now(run) >= task->recheck)
        task->recheck = 0;
    else if (task->recheck < run->recheck)
        run->recheck = task->recheck;
    return RUN_NEXT;
}

void guest_boot_wait(struct run *run, int64_t until) {
    struct virt_error error;
    if (run->recheck < INT64_MAX && !run->watching)
        run->watching = run->virt->ops->watch(run->virt, run_vm(run), &error) == 0;
    for (int64_t left; (left = until - run_now(run)) > 0;) {
        struct virt_event event = {0};
        if (!run->watching) {
            run->config->clock->sleep_ms(run->config->clock, left);
            continue;
        }
        run->watching = run->virt->ops->wait(run->virt, left < INT32_MAX ? (int)left : INT32_MAX,
                                             &event, &error) == 0;
        if (run->watching && (event.kind == VIRT_EVENT_REMOVED || event.kind == VIRT_EVENT_STOPPED))
            return;
    }
}
