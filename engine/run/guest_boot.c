#include "engine/run/run.h"

bool guest_boot_is_boot_device(const struct action *action) {
    return plan_has_option(action, OPTION_THEN_RESET) ||
           plan_has_option(action, OPTION_THEN_REBOOT);
}

/* At its start the guest is in its firmware, and boots: elsewhere it has long come up. */
static bool guest_boot_boots(const struct run *run) {
    const struct event *event = run->executor->event;
    return event->name == EVENT_STARTED && !event->settled;
}

/* Whether the VM got something new in this event that asks for such a restart. */
static bool guest_boot_went_with(struct run *run, enum option_kind kind) {
    bool found = false;
    for (size_t i = 0; guest_boot_boots(run) && i < run->plan.count; i++)
        found |= plan_has_option(run->plan.entries[i].action, kind) &&
                 run_task(run, &run->plan.entries[i])->went;
    return found;
}

void guest_boot_note(struct run *run, struct task *task) {
    int given = run->executor->boot_ms;
    if (given < 0 || !guest_boot_boots(run))
        return;
    task->look = run_now(run) + (given ? given : BOOT_MS);
    run->look = run_at_most(task->look, run->look);
}

/* The guest boots anew. */
static void guest_boot_look_later(struct run *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        struct task *task = run_task(run, &run->plan.entries[i]);
        if (task->look)
            guest_boot_note(run, task);
    }
}

static void guest_boot_do_restart(struct run *run, bool reset) {
    struct virt_error error;
    run_begin_call(run, reset ? "reset" : "reboot", NULL);
    int status = reset ? run->virt->ops->reset(run->virt, run_vm(run), run->domain.id, &error)
                       : run->virt->ops->reboot(run->virt, run_vm(run), run->domain.id, &error);
    run_end_call(run, NULL, status < 0 ? &error : NULL);
    if (status < 0) {
        run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
        return;
    }
    run_log_event(run, RESULT_RAN,
                  reset ? "the guest was reset, to find its device at its boot"
                        : "the guest was asked to reboot, to find its device",
                  NULL);
    guest_boot_look_later(run);
}

/* Noted before it is done, so that an engine that is killed in between leaves no second restart to
 * another: better none than two. */
static bool guest_boot_first_of_this_life(struct run *run) {
    struct vm_state life;
    if (!run_load_vm_state(run, &life))
        return false;
    if (life.restarted || life.damaged) {
        vm_state_finish(&life);
        return false;
    }
    life.restarted = true;
    run_save_vm_state(run, &life);
    return true;
}

/* Only when what the guest is to find at its boot is all there: an unrelated device that is waited
 * for must not reset a guest that has long come up. */
bool guest_boot_restart(struct run *run) {
    struct domain domain;
    bool reset = guest_boot_went_with(run, OPTION_THEN_RESET);
    if ((!reset && !guest_boot_went_with(run, OPTION_THEN_REBOOT)) || run->restarted ||
        run->restart_waits)
        return true;
    if (!run_load_domain(run, &domain))
        return false;
    domain_finish(&domain);
    run->restarted = true;
    if (guest_boot_first_of_this_life(run))
        guest_boot_do_restart(run, reset);
    else if (run->late)
        return false;
    else
        run_log_event(run, RESULT_ALREADY,
                      "the guest was restarted once in this start of the VM already",
                      "it finds what came since at its next boot");
    return true;
}

/* --- after its boot */

enum run_outcome guest_boot_removed(struct run *run, const struct plan_entry *entry,
                                    struct task *task) {
    if (!run_try_later(run, task))
        return run_finish_task(run, entry, task, RESULT_FAILED,
                               "libvirt took the device and the VM does not have it",
                               "the guest may have given it back: see its kernel's log and the "
                               "VM's log in /var/log/libvirt/qemu/");
    task->came_back = true;
    task->done = false;
    task->look = 0;
    return RUN_NEXT;
}

/* By a person with 'virt-rules detach', by a rule, or because its group could not be attached. */
static bool guest_boot_was_dismissed(struct run *run, const struct plan_entry *entry) {
    struct vm_state life;
    if (!vm_state_exists(run->executor->state, run_vm(run)))
        return false;
    if (!run_load_vm_state(run, &life))
        return true;
    bool dismissed = vm_state_has_dismissed(&life, entry->device->address, entry->device->id);
    vm_state_finish(&life);
    return dismissed;
}

void guest_boot_note_absent(struct run *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        struct task *task = entry->kind == PLAN_STEP && entry->device && !entry->gone
                                ? run_find_task(run, entry, entry->device)
                                : NULL;
        if (!task || !task->done || !task->went ||
            (task->look && !guest_boot_was_dismissed(run, entry)))
            continue;
        task->went = false;
        task->taken_out = true;
    }
}

/* A guest that boots can take a plug for an unplug. */
enum run_outcome guest_boot_recheck(struct run *run, const struct plan_entry *entry,
                                    struct task *task) {
    if (!task->look)
        return RUN_NEXT;
    if (entry->kind == PLAN_STEP && !task->taken_out) {
        enum run_outcome outcome = guest_boot_removed(run, entry, task);
        if (!task->failed || !run_group_is_unit(entry))
            return outcome;
        task->went = false; /* the VM does not have it: only the rest of its group is taken out */
        return run_group_fail(run, entry, outcome);
    }
    if (entry->kind != PLAN_STEP && run_now(run) < task->look)
        run->look = run_at_most(task->look, run->look);
    else
        task->look = 0;
    return RUN_NEXT;
}

/* Returns true when something happened that is to be looked at. */
static bool guest_boot_heard(struct run *run, int64_t until) {
    struct virt_error error;
    struct virt_news news = {0};
    int64_t left = until - run_now(run);
    if (run->virt->ops->wait(run->virt, (int)run_at_most(left, INT32_MAX), &news, &error) < 0) {
        run->watching = false;
        return false;
    }
    return news.kind == VIRT_NEWS_REMOVED || news.kind == VIRT_NEWS_STOPPED;
}

void guest_boot_wait(struct run *run, int64_t until) {
    struct virt_error error;
    if (run->look < INT64_MAX && !run->watching)
        run->watching = run->virt->ops->watch(run->virt, run_vm(run), &error) == 0;
    while (run->watching && run_now(run) < until)
        if (guest_boot_heard(run, until))
            return;
    run_sleep_until(run, until);
}
