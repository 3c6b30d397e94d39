#include "engine/run/run.h"

#include "engine/state/lock.h"
#include "engine/state/pending.h"
#include "engine/system/clock.h"

#include <stdlib.h>

/* For 'status'. What cannot be written is only not shown. */
static void run_log_note_result(struct run *run, const struct log_entry *entry) {
    const char *directory = run->config->state;
    int lock = run->locked ? -1 : lock_vm_within(directory, run_vm(run), RUN_NOTE_LIMIT_MS, NULL);
    if (!run->locked && lock < 0)
        return;
    vm_state_record_result(directory, run_vm(run), &run->vm_start, entry,
                           log_write_time(run->config->log));
    lock_release(lock);
}

/* `entry` has what is not of the run; `noted`: it goes to the VM's state, too. */
static void run_log_write(struct run *run, struct log_entry *entry, const char *message,
                          const char *hint, bool noted) {
    const struct event *event = run->config->event;
    char *text = failure_text(message, hint);
    if (event->domain) {
        entry->vm = domain_label(event->domain);
        entry->uuid = event->domain->uuid;
    }
    entry->event = run->config->command ? run->config->command : scanner_event_text(event->name);
    entry->message = text;
    entry->hint = hint;
    log_write_entry(run->config->log, entry);
    /* Nothing is kept of a VM that has ended. */
    if (noted && vm_state_is_result(entry) && event_can_attach(event->name) && !run->vm_ended)
        run_log_note_result(run, entry);
    entry->message = entry->hint = NULL;
    free(text);
}

void run_log_event(struct run *run, enum result result, const char *message, const char *hint) {
    run_log_write(run, &(struct log_entry){.result = result}, message, hint, true);
    run->problem |= result == RESULT_FAILED || result == RESULT_REFUSED;
}

/* `call_ms` -1: libvirt was not called. */
static void run_log_timed(struct run *run, const struct plan_entry *entry, int64_t call_ms,
                          enum result result, const char *message, const char *hint) {
    char *device = plan_device_text(entry), *rule = plan_rule_text(entry);
    int64_t since = run->config->event->since;
    run_log_write(run,
                  &(struct log_entry){.action = syntax_verb_text(plan_verb(entry)),
                                      .device = device,
                                      .rule = rule,
                                      .is_timed = call_ms >= 0,
                                      .call_ms = call_ms,
                                      .event_ms = run_now(run) - (since ? since : run->start),
                                      .result = result},
                  message, hint, true);
    free(device);
    free(rule);
    /* Only one VM can get what was freed: the others wait on. */
    bool waits = run->config->event->name == EVENT_FREED && entry->refusal == REFUSED_HELD;
    bool optional = entry->kind == PLAN_SKIPPED || waits;
    run->problem |= !optional && (result == RESULT_FAILED || result == RESULT_REFUSED ||
                                  result == RESULT_ABSENT || result == RESULT_STOPPED);
}

void run_log_entry(struct run *run, const struct plan_entry *entry, enum result result,
                   const char *message, const char *hint) {
    run_log_timed(run, entry, -1, result, message, hint);
}

void run_log_task(struct run *run, const struct plan_entry *entry, const struct task *task,
                  enum result result, const char *message, const char *hint) {
    run_log_timed(run, entry, task->call_ms, result, message, hint);
}

void run_log_device(struct run *run, const struct device *device, enum result result,
                    const char *message, const char *hint) {
    char *name = device_text(device);
    run_log_write(run, &(struct log_entry){.device = name, .result = result}, message, hint, true);
    free(name);
    run->problem |= result == RESULT_FAILED;
}

/* --- the VM's state */

/* A failure of the state itself cannot be noted in it. */
static void run_log_state_failure(struct run *run, const char *message, const char *hint) {
    run_log_write(run, &(struct log_entry){.result = RESULT_FAILED}, message, hint, false);
    run->problem = true;
}

void run_log_damage(struct run *run, const struct vm_state *state) {
    if (!state->ignored || (run->logged & RUN_LOGGED_DAMAGE))
        return;
    run->logged |= RUN_LOGGED_DAMAGE;
    run_log_state_failure(run, state->ignored,
                          "a device that it noted may stay without its host driver: "
                          "see 'virt-rules devices'");
}

void run_log_lost_calls(struct run *run) {
    if (run->logged & RUN_LOGGED_CALLS)
        return;
    run->logged |= RUN_LOGGED_CALLS;
    char *ignored = pending_ignored(run->config->state, run_vm(run));
    if (ignored)
        run_log_state_failure(run, ignored,
                              "libvirt or the kernel may still be at work on a device: see 'dmesg' "
                              "and 'virt-rules devices'");
    free(ignored);
}

bool run_log_load(struct run *run, struct vm_state *state) {
    if (run->vm_ended || !vm_state_open(state, run->config->state, run_vm(run), &run->vm_start)) {
        *state = (struct vm_state){.id = -1};
        run->vm_ended = true;
        return false;
    }
    run_log_damage(run, state);
    return true;
}

void run_log_save(struct run *run, struct vm_state *state) {
    struct failure failure;
    if (vm_state_save(state, run->config->state, run_vm(run), &failure) < 0)
        run_log_state_failure(run, failure.message,
                              "free space there: later events will not know about this one");
    vm_state_finish(state);
}

void run_log_note_detached(struct run *run, const struct device *device) {
    struct vm_state state;
    if (!run_log_load(run, &state))
        return;
    vm_state_dismiss(&state, device->address, device->id);
    vm_state_save(&state, run->config->state, run_vm(run), NULL);
    vm_state_finish(&state);
}

void run_log_note_lost(struct run *run, const struct device *device) {
    struct vm_state state;
    if (!run_log_load(run, &state))
        return;
    vm_state_note_lost(&state, device->address);
    vm_state_save(&state, run->config->state, run_vm(run), NULL);
    vm_state_finish(&state);
}

static void run_log_add_refused(struct vm_state *state, bool *changed,
                                const struct device *device) {
    *changed |= vm_state_refuse(state, device->address, device->id, clock_boot_us());
}

/* Of `any` the plan keeps what it could not choose. */
void run_log_note_refused(struct run *run, const struct plan_entry *entry) {
    struct vm_state state;
    bool changed = false, is_held = entry->refusal == REFUSED_HELD && entry->device;
    for (size_t i = 0; i < run->plan.omitted_count; i++)
        is_held |= run->plan.omitted[i].refusal == REFUSED_HELD;
    if (!is_held || plan_verb(entry) != VERB_ATTACH || !run_log_load(run, &state))
        return;
    if (entry->refusal == REFUSED_HELD && entry->device)
        run_log_add_refused(&state, &changed, entry->device);
    for (size_t i = 0; i < run->plan.omitted_count && !entry->device; i++) {
        const struct plan_omitted *omitted = &run->plan.omitted[i];
        if (omitted->refusal == REFUSED_HELD && omitted->action == entry->action &&
            omitted->target == entry->target)
            run_log_add_refused(&state, &changed, omitted->device);
    }
    if (changed)
        vm_state_save(&state, run->config->state, run_vm(run), NULL);
    vm_state_finish(&state);
}

void run_log_note_attached(struct run *run, const struct device *device) {
    struct vm_state state;
    if (!vm_state_exists(run->config->state, run_vm(run)) || !run_log_load(run, &state))
        return;
    if (vm_state_readmit(&state, device->address))
        vm_state_save(&state, run->config->state, run_vm(run), NULL);
    vm_state_finish(&state);
}
