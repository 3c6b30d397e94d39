#include "engine/execute/execution.h"

#include "engine/state/lock.h"
#include "engine/state/pending.h"

#include <stdlib.h>

static enum outcome do_step(struct execution *run, const struct plan_entry *entry,
                            struct task *task) {
    switch (plan_verb(entry)) {
    case VERB_ATTACH:
        return execute_is_unit(entry) ? execute_attach_member(run, entry, task)
                                      : execute_attach(run, entry, task);
    case VERB_DETACH:
        return execute_detach(run, entry, task);
    case VERB_RUN:
        return execute_program(run, entry, task);
    }
    return OUTCOME_NEXT;
}

static enum result result_of(const struct plan_entry *entry) {
    if (entry->refusal == REFUSED_ABSENT)
        return RESULT_ABSENT;
    if (entry->kind == PLAN_SKIPPED)
        return entry->refusal ? RESULT_ABSENT : RESULT_ALREADY;
    return RESULT_REFUSED;
}

/* A device that is not there yet is looked for, more seldom the longer it stays away. */
static bool may_appear(struct execution *run, const struct plan_entry *entry, int64_t due) {
    int64_t given_up = due + plan_option_ms(entry->action, OPTION_WITHIN);
    int64_t wait = execution_at_most((execution_now(run) - due) / 8, LONGEST_WAIT_MS);
    if ((entry->refusal != REFUSED_ABSENT && entry->refusal != REFUSED_TOO_FEW) ||
        execution_now(run) >= given_up)
        return false;
    execution_wait_for(
        run, execution_at_most(execution_now(run) + (wait > FIRST_WAIT_MS ? wait : FIRST_WAIT_MS),
                               given_up));
    return true;
}

static enum outcome do_entry(struct execution *run, const struct plan_entry *entry,
                             struct task *task) {
    int64_t due = run->start +
                  (run->executor->event->settled ? 0 : plan_option_ms(entry->action, OPTION_AFTER));
    if (task->done)
        return execute_look_again(run, entry, task);
    if (execution_now(run) < due || execution_now(run) < task->next) {
        execution_wait_for(run, due > task->next ? due : task->next);
        return OUTCOME_NEXT;
    }
    if (entry->kind == PLAN_STEP || entry->action->verb == VERB_RUN) /* which judges it again */
        return do_step(run, entry, task);
    if (may_appear(run, entry, due))
        return OUTCOME_NEXT;
    if (entry->kind == PLAN_SKIPPED && task->unanswered)
        return execute_attached(run, entry, task);
    enum outcome outcome =
        execution_finish(run, entry, task, result_of(entry), entry->message, entry->hint);
    return entry->kind == PLAN_REFUSED && entry->device && execute_is_unit(entry)
               ? execute_fail_group(run, entry, outcome)
               : outcome;
}

/* Does what has not been done yet and can be done now. */
static enum outcome walk_plan(struct execution *run, bool only_programs) {
    enum outcome outcome = OUTCOME_NEXT;
    run->wake = run->look = INT64_MAX;
    run->restart_waits = false;
    execute_note_absent(run);
    for (size_t i = 0; i < run->plan.count && outcome == OUTCOME_NEXT; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        if (only_programs && entry->action->verb != VERB_RUN)
            continue;
        struct task *task = execution_task(run, entry);
        outcome = do_entry(run, entry, task);
        run->restart_waits |= !task->done && execute_is_boot_device(entry->action);
    }
    return outcome;
}

static enum outcome walk_devices(struct execution *run) {
    struct event live = *run->executor->event;
    live.domain = &run->domain;
    if (!execution_load_vms(run, &live))
        return OUTCOME_OVER;
    struct plan_request request = {.program = run->executor->program,
                                   .event = &live,
                                   .host = &run->host,
                                   .others = run->others.list,
                                   .other_count = run->others.count,
                                   .claims = run->claims,
                                   .claim_count = run->claim_count};
    plan_init(&run->plan, &request);
    enum outcome outcome = walk_plan(run, false);
    execute_group_look(run);
    if (outcome == OUTCOME_NEXT &&
        (!execute_restart(run) || (run->wake == INT64_MAX && run->look == INT64_MAX)))
        return OUTCOME_OVER;
    run->looking = outcome == OUTCOME_NEXT && run->wake == INT64_MAX;
    return outcome;
}

static enum outcome one_pass(struct execution *run) {
    enum outcome outcome = OUTCOME_OVER;
    if (!execution_load_domain(run, &run->domain))
        return OUTCOME_OVER;
    if (execution_load_host(run) && execution_load_others(run))
        outcome = walk_devices(run);
    plan_finish(&run->plan);
    host_finish(&run->host);
    others_finish(&run->others);
    domain_finish(&run->domain);
    run->host = (struct host){0};
    return outcome;
}

/* Whether another VM is meant is asked once; a libvirt that does not answer keeps no program from
 * being run. */
static void list_vms(struct execution *run, struct event *event) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (!run->vms_listed && !run->blind && match_unsure(run->executor->program, event) &&
        run->executor->open_virt(&virt, NULL, &error) == 0) {
        run->vms_listed = vms_from_libvirt(&run->vms, virt, &error) == 0;
        virt_close(virt);
    }
    event->vms = run->vms.list;
    event->vm_count = run->vms.count;
}

/* Programs need neither the host's devices nor libvirt. */
static void execute_programs(struct execution *run) {
    struct event event = *run->executor->event;
    list_vms(run, &event);
    struct plan_request request = {
        .program = run->executor->program, .event = &event, .host = &run->host};
    plan_init(&run->plan, &request);
    walk_plan(run, true);
    plan_finish(&run->plan);
}

static enum outcome locked_out(struct execution *run, const char *message) {
    execution_log_event(run, RESULT_FAILED, message, LOCK_BUSY_HINT);
    run->blind = true;
    return OUTCOME_OVER;
}

/* Nobody else works on the VM during a pass; between two of them others may, for the next is
 * planned anew. */
static enum outcome locked_pass(struct execution *run) {
    char message[512];
    int lock = lock_vm(run->executor->state, execution_vm(run), message, sizeof message);
    if (lock == LOCK_BUSY)
        return locked_out(run, message);
    if (lock < 0 && !run->unlocked)
        execution_log_event(run, RESULT_FAILED, message, "going on without a lock");
    run->unlocked = lock < 0;
    run->locked = true;
    run->retry = false;
    execution_log_lost_calls(run);
    enum outcome outcome = one_pass(run);
    if (run->retry && !run->silent)
        outcome = OUTCOME_AGAIN;
    if (outcome == OUTCOME_OVER)
        execute_leave_host(run);
    run->locked = false;
    lock_release(lock);
    return outcome;
}

static void disconnect(struct execution *run) {
    virt_close(run->virt);
    run->virt = NULL;
    run->watching = false;
}

/* A connection that had no answer is left for another one. */
static bool reconnect(struct execution *run) {
    if (!run->retry)
        return true;
    disconnect(run);
    return execution_open_virt(run);
}

static void walk_until_over(struct execution *run) {
    enum outcome outcome;
    while ((outcome = locked_pass(run)) != OUTCOME_OVER && reconnect(run))
        execute_wait_for_guest(run, outcome == OUTCOME_AGAIN
                                        ? execution_now(run) + FIRST_WAIT_MS
                                        : execution_at_most(run->wake, run->look));
    run->blind |= !run->virt;
    disconnect(run);
}

static void execute_devices(struct execution *run) {
    if (execution_open_virt(run))
        walk_until_over(run);
    else
        run->blind = true;
    if (run->blind)
        execute_programs(run);
}

/* A USB device that is pulled out stays in the VM's XML until it is taken out. */
static bool has_left(const struct executor *executor) {
    const struct event *event = executor->event;
    return event->name == EVENT_UNPLUGGED && event->device && event->device->bus == BUS_USB &&
           match_giver(executor->program, event, event->device->id).rule;
}

static bool wants_devices(const struct executor *executor, const struct wanted_list *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->list[i].action->verb != VERB_RUN)
            return true;
    return has_left(executor);
}

/* The VM's life begins or is over. */
static void settle_life(struct execution *run) {
    const struct executor *executor = run->executor;
    enum event_name event = executor->event->name;
    char message[512];
    if ((event != EVENT_PREPARE && event != EVENT_RELEASE) ||
        (!life_exists(executor->state, execution_vm(run)) &&
         !pending_exists(executor->state, execution_vm(run))))
        return;
    int lock = lock_vm(executor->state, execution_vm(run), message, sizeof message);
    if (lock == LOCK_BUSY)
        execution_log_event(run, RESULT_FAILED, message, LOCK_BUSY_HINT);
    else
        execute_end_life(run);
    lock_release(lock);
}

bool execute_event(const struct executor *executor) {
    struct execution run = {.executor = executor, .wake = INT64_MAX, .look = INT64_MAX};
    struct wanted_list wanted = match_event(executor->program, executor->event);
    run.start = execution_now(&run);
    run.vm_start =
        (struct life_start){.id = executor->event->domain->id,
                            .seen = executor->event->seen ? executor->event->seen : life_now()};
    settle_life(&run);
    if (wants_devices(executor, &wanted))
        execute_devices(&run);
    else if (wanted.count)
        execute_programs(&run);
    free(wanted.list);
    execution_finish_run(&run);
    return !run.problem;
}
