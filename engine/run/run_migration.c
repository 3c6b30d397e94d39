#include "engine/run/run.h"

/* libvirt starts the VM of an incoming migration before its memory comes, and calls the hook at
 * once: `started` may be hours before the VM runs here. A command, and an engine that has other VMs
 * to notify, do not wait for so long. */
static int64_t run_migration_limit(const struct run *run) {
    const struct event *event = run->config->event;
    bool is_start = event->name == EVENT_STARTED || event->name == EVENT_RECONNECT;
    return is_start && !event->settled ? RUN_MIGRATION_LIMIT_MS : RETRY_BUSY_LIMIT_MS;
}

int run_migration_look(struct run *run, enum virt_state *state, struct virt_error *error) {
    *state = VIRT_STATE_STARTED;
    int status = run->virt->ops->state(run->virt, run_vm(run), run->vm_start.id, state, error);
    run->migrated |= status == 0 && *state != VIRT_STATE_STARTED;
    return status;
}

/* Until something happens to the VM, or for a while: where libvirt reports no events, a migration
 * of minutes is looked at every few seconds, and one of hours every minute. */
static void run_migration_sleep(struct run *run, int64_t left) {
    struct virt_event event;
    struct virt_error error;
    int64_t wait = (run_now(run) - run->start) / 8;
    wait = wait < RETRY_FIRST_MS        ? RETRY_FIRST_MS
           : wait > RETRY_BUSY_LIMIT_MS ? RETRY_BUSY_LIMIT_MS
                                        : wait;
    wait = wait < left ? wait : left;
    if (run->watching)
        run->watching = run->virt->ops->wait(run->virt, (int)wait, &event, &error) == 0;
    else
        run->config->clock->sleep_ms(run->config->clock, wait);
}

static bool run_migration_give_up(struct run *run) {
    run_log_event(run, RESULT_FAILED, "the VM is still being migrated or restored",
                  "when it runs here, run 'virt-rules apply VM', unless its 'started' rules are "
                  "applied then; a VM that was restored paused: 'virsh resume VM'");
    return false;
}

/* No failure: a migration that fails or is cancelled ends the VM on this host, and it runs on the
 * other one. */
static bool run_migration_end(struct run *run) {
    run->vm_ended = true;
    run_log_event(run, RESULT_ABSENT, "the VM is no longer on this host: nothing is done for it",
                  "its migration failed or was cancelled, or it runs on another host now");
    return false;
}

bool run_migration_wait(struct run *run) {
    int64_t end = run->start + run_migration_limit(run);
    struct virt_error error;
    enum virt_state state;
    if (run_migration_look(run, &state, &error) < 0 || state != VIRT_STATE_MIGRATING)
        return true; /* who reads the VM next says what is wrong with it */
    run_log_event(run, RESULT_WAITING,
                  "the VM is being migrated or restored: waiting until it runs here", NULL);
    for (;;) {
        /* First: what happens between the look and the wait is queued. */
        if (!run->watching)
            run->watching = run->virt->ops->watch(run->virt, run_vm(run), &error) == 0;
        int status = run_migration_look(run, &state, &error);
        if (status < 0 && (error.kind == VIRT_NO_DOMAIN || error.kind == VIRT_NOT_RUNNING))
            return run_migration_end(run);
        if (status == 0 && state != VIRT_STATE_MIGRATING)
            break;
        if (run_now(run) >= end)
            return run_migration_give_up(run);
        run_migration_sleep(run, end - run_now(run));
    }
    run->start = run_now(run);
    return true;
}
