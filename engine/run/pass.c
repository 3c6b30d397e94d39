#include "engine/run/run.h"

#include "engine/state/lock.h"
#include "engine/state/pending.h"

#include <stdlib.h>

static enum result pass_result_of(const struct plan_entry *entry) {
    if (entry->refusal == REFUSED_ABSENT)
        return RESULT_ABSENT;
    if (entry->kind == PLAN_SKIPPED)
        return entry->refusal ? RESULT_ABSENT : RESULT_ALREADY;
    return RESULT_REFUSED;
}

/* A device that is not there yet is looked for, more seldom the longer it stays away. */
static bool pass_may_appear(struct run *run, const struct plan_entry *entry, int64_t due) {
    int64_t given_up = due + plan_option_ms(entry->action, OPTION_WITHIN);
    int64_t wait = run_at_most((run_now(run) - due) / 8, LONGEST_WAIT_MS);
    if ((entry->refusal != REFUSED_ABSENT && entry->refusal != REFUSED_TOO_FEW) ||
        run_now(run) >= given_up)
        return false;
    run_wait_for(
        run, run_at_most(run_now(run) + (wait > FIRST_WAIT_MS ? wait : FIRST_WAIT_MS), given_up));
    return true;
}

static enum run_outcome pass_do_entry(struct run *run, const struct plan_entry *entry,
                                      struct task *task) {
    int64_t due = run->start +
                  (run->executor->event->settled ? 0 : plan_option_ms(entry->action, OPTION_AFTER));
    if (task->done)
        return guest_boot_recheck(run, entry, task);
    if (run_now(run) < due || run_now(run) < task->next) {
        run_wait_for(run, due > task->next ? due : task->next);
        return RUN_NEXT;
    }
    if (entry->kind == PLAN_STEP ||
        !action_find(entry->action->verb)->needs_vm) /* which judges it again */
        return action_find(plan_verb(entry))->execute(run, entry, task);
    if (pass_may_appear(run, entry, due))
        return RUN_NEXT;
    if (entry->kind == PLAN_SKIPPED && task->unanswered)
        return run_finish_attach(run, entry, task);
    enum run_outcome outcome =
        run_finish_task(run, entry, task, pass_result_of(entry), entry->message, entry->hint);
    return entry->kind == PLAN_REFUSED && entry->device && run_group_is_unit(entry)
               ? run_group_fail(run, entry, outcome)
               : outcome;
}

/* Does what has not been done yet and can be done now. */
static enum run_outcome pass_walk_plan(struct run *run, bool only_programs) {
    enum run_outcome outcome = RUN_NEXT;
    run->wake = run->look = INT64_MAX;
    run->restart_waits = false;
    guest_boot_note_absent(run);
    for (size_t i = 0; i < run->plan.count && outcome == RUN_NEXT; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        if (only_programs && action_find(entry->action->verb)->needs_vm)
            continue;
        struct task *task = run_task(run, entry);
        outcome = pass_do_entry(run, entry, task);
        run->restart_waits |= !task->done && guest_boot_is_boot_device(entry->action);
    }
    return outcome;
}

static enum run_outcome pass_walk_devices(struct run *run) {
    struct event live = *run->executor->event;
    live.domain = &run->domain;
    if (!run_load_vms(run, &live))
        return RUN_OVER;
    struct plan_request request = {.program = run->executor->program,
                                   .event = &live,
                                   .host = &run->host,
                                   .others = run->others.list,
                                   .other_count = run->others.count,
                                   .claims = run->claims,
                                   .claim_count = run->claim_count};
    plan_init(&run->plan, &request);
    enum run_outcome outcome = pass_walk_plan(run, false);
    run_group_recheck(run);
    if (outcome == RUN_NEXT)
        run_clear_unplugged(run);
    if (outcome == RUN_NEXT &&
        (!guest_boot_restart(run) || (run->wake == INT64_MAX && run->look == INT64_MAX)))
        return RUN_OVER;
    run->looking = outcome == RUN_NEXT && run->wake == INT64_MAX;
    return outcome;
}

static enum run_outcome pass_one_pass(struct run *run) {
    enum run_outcome outcome = RUN_OVER;
    if (!run_load_domain(run, &run->domain))
        return RUN_OVER;
    if (run_load_host(run) && run_load_others(run))
        outcome = pass_walk_devices(run);
    plan_finish(&run->plan);
    host_finish(&run->host);
    running_domains_finish(&run->others);
    domain_finish(&run->domain);
    run->host = (struct host){0};
    return outcome;
}

/* Whether another VM is meant is asked once; a libvirt that does not answer keeps no program from
 * being run. */
static void pass_list_vms(struct run *run, struct event *event) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (!run->vms_listed && !run->blind && match_unsure(run->executor->program, event) &&
        run->executor->open_virt(&virt, NULL, &error) == 0) {
        run->vms_listed = domain_list_from_libvirt(&run->vms, virt, &error) == 0;
        virt_close(virt);
    }
    event->vms = run->vms.list;
    event->vm_count = run->vms.count;
}

/* Programs need neither the host's devices nor libvirt. */
static void pass_programs(struct run *run) {
    struct event event = *run->executor->event;
    pass_list_vms(run, &event);
    struct plan_request request = {
        .program = run->executor->program, .event = &event, .host = &run->host};
    plan_init(&run->plan, &request);
    pass_walk_plan(run, true);
    plan_finish(&run->plan);
}

static enum run_outcome pass_locked_out(struct run *run, const char *message) {
    run_log_event(run, RESULT_FAILED, message, LOCK_BUSY_HINT);
    run->blind = true;
    return RUN_OVER;
}

/* Nobody else works on the VM during a pass; between two of them others may, for the next is
 * planned anew. */
static enum run_outcome pass_locked_pass(struct run *run) {
    struct failure failure;
    int lock = lock_vm(run->executor->state, run_vm(run), &failure);
    if (lock == LOCK_BUSY)
        return pass_locked_out(run, failure.message);
    if (lock < 0 && !run->unlocked)
        run_log_event(run, RESULT_FAILED, failure.message, "going on without a lock");
    run->unlocked = lock < 0;
    run->locked = true;
    run->retry = false;
    run_log_lost_calls(run);
    enum run_outcome outcome = pass_one_pass(run);
    if (run->retry && !run->silent)
        outcome = RUN_REPLAN;
    if (outcome == RUN_OVER)
        restore_driver_leave(run);
    run->locked = false;
    lock_release(lock);
    return outcome;
}

static void pass_disconnect(struct run *run) {
    virt_close(run->virt);
    run->virt = NULL;
    run->watching = false;
}

/* A connection that had no answer is left for another one. */
static bool pass_reconnect(struct run *run) {
    if (!run->retry)
        return true;
    pass_disconnect(run);
    return run_open_virt(run);
}

static void pass_walk_until_over(struct run *run) {
    enum run_outcome outcome;
    while ((outcome = pass_locked_pass(run)) != RUN_OVER && pass_reconnect(run))
        guest_boot_wait(run, outcome == RUN_REPLAN ? run_now(run) + FIRST_WAIT_MS
                                                   : run_at_most(run->wake, run->look));
    run->blind |= !run->virt;
    pass_disconnect(run);
}

static void pass_devices(struct run *run) {
    if (run_open_virt(run))
        pass_walk_until_over(run);
    else
        run->blind = true;
    if (run->blind)
        pass_programs(run);
}

/* libvirt keeps a USB device that is unplugged in the VM's XML until it is detached; for a PCI
 * device see run_clear_unplugged(). */
static bool pass_has_left(const struct run_config *executor) {
    const struct event *event = executor->event;
    return event->name == EVENT_UNPLUGGED && event->device &&
           match_giver(executor->program, event, event->device).rule;
}

static bool pass_wants_devices(const struct run_config *executor,
                               const struct wanted_list *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (action_find(wanted->list[i].action->verb)->needs_vm)
            return true;
    return pass_has_left(executor);
}

/* The VM's life begins or is over. */
static void pass_settle_life(struct run *run) {
    const struct run_config *executor = run->executor;
    enum event_name event = executor->event->name;
    struct failure failure;
    if ((event != EVENT_PREPARE && event != EVENT_RELEASE) ||
        (!vm_state_exists(executor->state, run_vm(run)) &&
         !pending_exists(executor->state, run_vm(run))))
        return;
    int lock = lock_vm(executor->state, run_vm(run), &failure);
    if (lock == LOCK_BUSY)
        run_log_event(run, RESULT_FAILED, failure.message, LOCK_BUSY_HINT);
    else
        restore_driver_end_vm(run);
    lock_release(lock);
}

bool pass_run_event(const struct run_config *executor) {
    struct run run = {.executor = executor, .wake = INT64_MAX, .look = INT64_MAX};
    struct wanted_list wanted = match_event(executor->program, executor->event);
    run.start = run_now(&run);
    run.vm_start =
        (struct vm_start){.id = executor->event->domain->id,
                          .seen = executor->event->seen ? executor->event->seen : vm_state_now()};
    pass_settle_life(&run);
    if (pass_wants_devices(executor, &wanted))
        pass_devices(&run);
    else if (wanted.count)
        pass_programs(&run);
    free(wanted.list);
    run_finish_run(&run);
    return !run.problem;
}
