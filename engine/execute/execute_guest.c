#include "engine/execute/execution.h"

bool execute_is_boot_device(const struct action *action) {
    return plan_has_option(action, OPTION_THEN_RESET) ||
           plan_has_option(action, OPTION_THEN_REBOOT);
}

/* At its start the guest is in its firmware, and boots: elsewhere it has long come up. */
static bool boots(const struct execution *run) {
    const struct event *event = run->executor->event;
    return event->name == EVENT_STARTED && !event->settled;
}

/* Whether the VM got something new in this event that asks for such a restart. */
static bool went_with(struct execution *run, enum option_kind kind) {
    bool found = false;
    for (size_t i = 0; boots(run) && i < run->plan.count; i++)
        found |= plan_has_option(run->plan.entries[i].action, kind) &&
                 execution_task(run, &run->plan.entries[i])->went;
    return found;
}

void execute_note_boot(struct execution *run, struct task *task) {
    int given = run->executor->boot_ms;
    if (given < 0 || !boots(run))
        return;
    task->look = execution_now(run) + (given ? given : BOOT_MS);
    run->look = execution_at_most(task->look, run->look);
}

/* The guest boots anew. */
static void look_later(struct execution *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        struct task *task = execution_task(run, &run->plan.entries[i]);
        if (task->look)
            execute_note_boot(run, task);
    }
}

static void restart(struct execution *run, bool reset) {
    struct virt_error error;
    execution_begin_call(run, reset ? "reset" : "reboot", NULL);
    int status = reset
                     ? run->virt->ops->reset(run->virt, execution_vm(run), run->domain.id, &error)
                     : run->virt->ops->reboot(run->virt, execution_vm(run), run->domain.id, &error);
    execution_end_call(run, NULL, status < 0 ? &error : NULL);
    if (status < 0) {
        execution_log_event(run, RESULT_FAILED, error.message, error.hint);
        return;
    }
    execution_log_event(run, RESULT_RAN,
                        reset ? "the guest was reset, to find its device at its boot"
                              : "the guest was asked to reboot, to find its device",
                        NULL);
    look_later(run);
}

/* Noted before it is done, so that an engine that is killed in between leaves no second restart to
 * another: better none than two. */
static bool first_of_this_life(struct execution *run) {
    struct life life;
    if (!execution_load_life(run, &life))
        return false;
    if (life.restarted || life.damaged) {
        life_finish(&life);
        return false;
    }
    life.restarted = true;
    execution_save_life(run, &life);
    return true;
}

/* Only when what the guest is to find at its boot is all there: an unrelated device that is waited
 * for must not reset a guest that has long come up. */
bool execute_restart(struct execution *run) {
    struct domain domain;
    bool reset = went_with(run, OPTION_THEN_RESET);
    if ((!reset && !went_with(run, OPTION_THEN_REBOOT)) || run->restarted || run->restart_waits)
        return true;
    if (!execution_load_domain(run, &domain))
        return false;
    domain_finish(&domain);
    run->restarted = true;
    if (first_of_this_life(run))
        restart(run, reset);
    else if (run->late)
        return false;
    else
        execution_log_event(run, RESULT_ALREADY,
                            "the guest was restarted once in this start of the VM already",
                            "it finds what came since at its next boot");
    return true;
}

/* --- after its boot */

enum outcome execute_let_go(struct execution *run, const struct plan_entry *entry,
                            struct task *task) {
    if (!execution_try_later(run, task))
        return execution_finish(run, entry, task, RESULT_FAILED,
                                "libvirt took the device and the VM does not have it",
                                "the guest may have given it back: see its kernel's log and the "
                                "VM's log in /var/log/libvirt/qemu/");
    task->came_back = true;
    task->done = false;
    task->look = 0;
    return OUTCOME_NEXT;
}

/* By a person with 'virt-rules detach', by a rule, or because its group could not be attached. */
static bool was_dismissed(struct execution *run, const struct plan_entry *entry) {
    struct life life;
    if (!life_exists(run->executor->state, execution_vm(run)))
        return false;
    if (!execution_load_life(run, &life))
        return true;
    bool dismissed = life_has_dismissed(&life, entry->device->address, entry->device->id);
    life_finish(&life);
    return dismissed;
}

void execute_note_absent(struct execution *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        struct task *task = entry->kind == PLAN_STEP && entry->device && !entry->gone
                                ? execution_find_task(run, entry, entry->device)
                                : NULL;
        if (!task || !task->done || !task->went || (task->look && !was_dismissed(run, entry)))
            continue;
        task->went = false;
        task->taken_out = true;
    }
}

/* A guest that boots can take a plug for an unplug. */
enum outcome execute_look_again(struct execution *run, const struct plan_entry *entry,
                                struct task *task) {
    if (!task->look)
        return OUTCOME_NEXT;
    if (entry->kind == PLAN_STEP && !task->taken_out) {
        enum outcome outcome = execute_let_go(run, entry, task);
        if (!task->failed || !execute_is_unit(entry))
            return outcome;
        task->went = false; /* the VM does not have it: only the rest of its group is taken out */
        return execute_fail_group(run, entry, outcome);
    }
    if (entry->kind != PLAN_STEP && execution_now(run) < task->look)
        run->look = execution_at_most(task->look, run->look);
    else
        task->look = 0;
    return OUTCOME_NEXT;
}

/* Returns true when something happened that is to be looked at. */
static bool heard(struct execution *run, int64_t until) {
    struct virt_error error;
    struct virt_news news = {0};
    int64_t left = until - execution_now(run);
    if (run->virt->ops->wait(run->virt, (int)execution_at_most(left, INT32_MAX), &news, &error) <
        0) {
        run->watching = false;
        return false;
    }
    return news.kind == VIRT_NEWS_REMOVED || news.kind == VIRT_NEWS_STOPPED;
}

void execute_wait_for_guest(struct execution *run, int64_t until) {
    struct virt_error error;
    if (run->look < INT64_MAX && !run->watching)
        run->watching = run->virt->ops->watch(run->virt, execution_vm(run), &error) == 0;
    while (run->watching && execution_now(run) < until)
        if (heard(run, until))
            return;
    execution_sleep_until(run, until);
}
