#include "engine/command/status_wait.h"

#include "engine/model/event.h"
#include "engine/state/lock.h"
#include "engine/state/log_merge.h"
#include "engine/state/log_write.h"
#include "engine/system/clock.h"
#include "engine/system/deadline.h"
#include "lexer/memory.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    /* How long libvirt may take from the start of a VM to the call of the hook, and the hook to the
     * start of the engine. */
    HOOK_LIMIT_MS = 10000,
    POLL_MS = 1000, /* where a directory cannot be watched */
};

void status_wait_open(struct status_wait *wait, const char *state, const char *sysroot,
                      int64_t limit) {
    *wait = (struct status_wait){
        .state = state, .sysroot = sysroot, .start = clock_now(), .limit = limit, .notify = -1};
}

void status_wait_close(struct status_wait *wait) {
    if (wait->notify >= 0)
        close(wait->notify);
    free(wait->message);
    free(wait->hint);
}

/* --- what has changed */

static bool status_wait_watch_directory(const struct status_wait *wait, const char *directory,
                                        const char *name) {
    char *path = memory_printf("%s%s", directory, name);
    /* IN_CLOSE_WRITE is also what an engine leaves that is killed. A file that was only read says
     * nothing: this program reads them, too. */
    bool is = inotify_add_watch(wait->notify, path,
                                IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE |
                                    IN_ONLYDIR) >= 0;
    free(path);
    return is;
}

/* The state of VMs, the locks of engines, the events that came, and libvirt's own files of running
 * VMs, which it writes when a VM gets a device or stops. */
void status_wait_watch(struct status_wait *wait) {
    if (wait->notify >= 0)
        close(wait->notify);
    wait->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    wait->sees_all = wait->notify >= 0 && status_wait_watch_directory(wait, wait->state, "");
    wait->sees_all &= status_wait_watch_directory(wait, wait->state, "/vms");
    wait->sees_all &= status_wait_watch_directory(wait, wait->state, "/locks");
    wait->sees_all &= status_wait_watch_directory(wait, wait->sysroot, "/run/libvirt/qemu");
}

void status_wait_sleep(struct status_wait *wait) {
    struct pollfd change = {wait->notify, POLLIN, 0};
    int64_t left = wait->due - clock_now(), most = wait->sees_all ? INT_MAX : POLL_MS;
    poll(&change, 1, (int)(left < 0 ? 0 : left < most ? left : most));
}

/* --- the rules' time */

static int64_t status_wait_option_ms(const struct status_row *row, enum option_kind kind) {
    return row->action && plan_has_option(row->action, kind) ? plan_option_ms(row->action, kind)
                                                             : 0;
}

/* A device has the time that its rule gives it, and libvirt's for the call. */
static int64_t status_wait_limit(const struct status_wait *wait, const struct status_vm *vm) {
    int64_t longest = 0;
    for (size_t i = 0; i < vm->count; i++) {
        int64_t time = status_wait_option_ms(&vm->rows[i], OPTION_WITHIN) +
                       status_wait_option_ms(&vm->rows[i], OPTION_AFTER);
        longest = time > longest ? time : longest;
    }
    return wait->limit ? wait->limit : longest + deadline_limit(DEADLINE_CHANGE_MS);
}

/* --- the engine */

/* Whether the engine was started for this start of the VM: `since` is when the VM's process was
 * started, in milliseconds since the Epoch, 0: not known. */
static bool status_wait_was_called(const struct status_wait *wait, const struct domain *domain,
                                   int64_t since) {
    struct log_merge *merge = log_merge_open(wait->state, false);
    struct log_item item;
    bool was = false;
    while (log_merge_next(merge, &item)) {
        const struct log_line *line = &item.line;
        if (item.is_event && line->uuid && domain->uuid && !strcmp(line->uuid, domain->uuid) &&
            line->id == domain->id && item.when >= since && line->event)
            was |= event_can_attach(scanner_event_from_text(line->event));
    }
    log_merge_close(merge);
    return was;
}

/* Milliseconds since the VM's process was started; -1: not known. */
static int64_t status_wait_age(const struct status_wait *wait, const struct domain *domain) {
    unsigned long long process = vm_state_process(wait->sysroot, domain->name);
    unsigned long long now = clock_ticks();
    long per_second = sysconf(_SC_CLK_TCK);
    return process && per_second > 0 && now >= process
               ? (int64_t)((now - process) * 1000 / (unsigned long long)per_second)
               : -1;
}

/* Whether nobody is at work for the VM, or about to be. Sets `due`. */
static bool status_wait_is_idle(struct status_wait *wait, const struct status_vm *vm,
                                bool *was_called) {
    const struct domain *domain = vm->domain;
    int64_t age = status_wait_age(wait, domain), waited = clock_now() - wait->start;
    *was_called = status_wait_was_called(wait, domain, age < 0 ? 0 : clock_epoch() - age - 1000);
    bool is_at_work = lock_run_is_held(wait->state, domain_key(domain)); /* in this order */
    int64_t left = HOOK_LIMIT_MS - (age < 0 ? waited : age);
    if (!is_at_work && !*was_called && left > 0)
        wait->due = clock_now() + left < wait->due ? clock_now() + left : wait->due;
    return !is_at_work && (*was_called || left <= 0);
}

/* --- the verdict */

__attribute__((format(printf, 3, 4))) static enum status_wait_verdict
status_wait_never(struct status_wait *wait, const char *hint, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    free(wait->message);
    wait->message = memory_vprintf(format, arguments);
    va_end(arguments);
    free(wait->hint);
    wait->hint = memory_copy(hint);
    return STATUS_WAIT_NEVER;
}

static bool status_wait_is_impossible(const struct status_row *row) {
    return row->state == STATE_ABSENT || row->state == STATE_REFUSED;
}

/* Whether no engine attaches it any more, whatever else one is at work for: an engine has given it
 * up since the VM started, and it is still impossible. */
static bool status_wait_is_final(const struct status_row *row) {
    return row->state == STATE_DETACHED || (status_wait_is_impossible(row) && row->since);
}

/* A row that a rule wants and that the VM does not have: a final one, else the first. What may be
 * missing is waited for as long as it can come. */
static const struct status_row *status_wait_missing(const struct status_vm *vm) {
    const struct status_row *first = NULL;
    for (size_t i = 0; i < vm->count; i++) {
        const struct status_row *row = &vm->rows[i];
        bool is_dispensable = row->optional && status_wait_is_impossible(row);
        if (!row->rule || row->state == STATE_ATTACHED || is_dispensable)
            continue;
        if (status_wait_is_final(row))
            return row;
        first = first ? first : row;
    }
    return first;
}

static enum status_wait_verdict
status_wait_give_up(struct status_wait *wait, const struct status_row *row, const char *instead) {
    char *device = status_device_text(row);
    const char *name = device ? device : row->wanted ? row->wanted : "a device";
    const char *called = status_device_name(row);
    status_wait_never(wait, row->hint, "%s%s%s: %s%s%s", name, called ? " " : "",
                      called ? called : "", status_state_name(row->state),
                      row->error || instead ? ": " : "",
                      row->error ? row->error
                      : instead  ? instead
                                 : "");
    free(device);
    return STATUS_WAIT_NEVER;
}

static enum status_wait_verdict status_wait_judge_off(struct status_wait *wait,
                                                      const struct status_vm *vm) {
    wait->due = wait->start + status_wait_limit(wait, vm);
    if (lock_run_is_held(wait->state, domain_key(vm->domain)) && clock_now() < wait->due)
        return STATUS_WAIT_ON; /* it starts or stops */
    return vm->stop.message
               ? status_wait_never(wait, vm->stop.hint,
                                   "it is not running: its start was stopped: %s", vm->stop.message)
               : status_wait_never(wait, "start it first", "it is not running");
}

/* Twice: an engine may have attached the device, and ended, after the VM was read. */
static enum status_wait_verdict status_wait_judge_missing(struct status_wait *wait,
                                                          const struct status_vm *vm,
                                                          const struct status_row *missing) {
    bool was_called;
    wait->due = wait->start + status_wait_limit(wait, vm);
    bool is_idle = status_wait_is_idle(wait, vm, &was_called);
    if (clock_now() >= wait->start + status_wait_limit(wait, vm))
        return status_wait_give_up(wait, missing, "its time is over");
    if (!is_idle) {
        wait->is_certain = false;
        return STATUS_WAIT_ON;
    }
    if (!wait->is_certain) {
        wait->is_certain = true;
        wait->due = clock_now();
        return STATUS_WAIT_ON;
    }
    if (was_called || missing->state != STATE_WAITING || missing->is_in_line)
        return status_wait_give_up(wait, missing, NULL);
    return status_wait_never(wait,
                             "'virt-rules apply' attaches what is missing now; 'virt-rules doctor' "
                             "checks the hook",
                             "libvirt has not called the hook since the VM started");
}

enum status_wait_verdict status_wait_judge(struct status_wait *wait, const struct status_vm *vm) {
    const struct status_row *missing = status_wait_missing(vm);
    if (!vm->running)
        return status_wait_judge_off(wait, vm);
    if (!missing)
        return STATUS_WAIT_DONE;
    if (status_wait_is_final(missing) || vm->vm_state.parked_since)
        return status_wait_give_up(wait, missing, NULL);
    return status_wait_judge_missing(wait, vm, missing);
}
