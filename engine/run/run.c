#include "engine/run/run.h"

#include "engine/backend/backend.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/plan/plan_part.h"
#include "engine/run/host_setting.h"
#include "engine/run/restore_settings.h"
#include "engine/state/freed_note.h"
#include "engine/state/lock.h"
#include "engine/state/pending.h"
#include "engine/state/vm_state.h"
#include "engine/system/clock.h"

#include <stdlib.h>
#include <string.h>

int64_t run_now(const struct run *run) {
    return run->config->clock->now_ms(run->config->clock);
}

const char *run_vm(const struct run *run) {
    return domain_key(run->config->event->domain);
}

/* The run goes on at that time, at the latest. */
static void run_wait_for(struct run *run, int64_t time) {
    run->wake = time < run->wake ? time : run->wake;
}

/* --- tasks */

/* One device may have several mediated devices for the VM. */
static const char *run_key_of(const struct device *device) {
    return !device ? "" : device->instance ? device->instance : device->address;
}

static struct task *run_search_task(const struct run *run, const struct plan_entry *entry,
                                    const char *address) {
    for (struct task *task = run->tasks; task; task = task->next)
        if (task->action == entry->action && task->target == entry->target &&
            !strcmp(task->address, address))
            return task;
    return NULL;
}

struct task *run_task(struct run *run, const struct plan_entry *entry) {
    const char *address = run_key_of(entry->device);
    struct task *task = run_search_task(run, entry, address);
    if (task)
        return task;
    task = memory_zalloc(sizeof *task);
    *task = (struct task){.next = run->tasks,
                          .action = entry->action,
                          .target = entry->target,
                          .address = memory_strdup(address),
                          .pass = run->pass,
                          .call_ms = -1};
    return run->tasks = task;
}

struct task *run_find_task(const struct run *run, const struct plan_entry *entry,
                           const struct device *device) {
    return run_search_task(run, entry, run_key_of(device));
}

bool run_try_later(struct run *run, struct task *task) {
    uint32_t within = plan_option_ms(task->action, OPTION_WITHIN);
    if (!task->retry.clock)
        task->retry = retry_start(run->config->clock);
    task->due = retry_next(&task->retry, within ? within : RETRY_BUSY_LIMIT_MS);
    if (task->due < 0)
        return false;
    run_wait_for(run, task->due);
    return true;
}

bool run_settle_later(struct run *run, struct task *task) {
    uint32_t within = plan_option_ms(task->action, OPTION_WITHIN);
    if (!task->settle.clock)
        task->settle = retry_start_steady(run->config->clock, RUN_SETTLE_WAIT_MS);
    int64_t due = retry_next(&task->settle,
                             within && within < RUN_SETTLE_LIMIT_MS ? within : RUN_SETTLE_LIMIT_MS);
    if (due < 0)
        return false;
    task->due = due;
    run_wait_for(run, due);
    return true;
}

bool run_is_new(const struct run *run, const struct device *device) {
    const struct event *event = run->config->event;
    const struct host_source *source = run->config->host_source;
    int64_t age = device->bus == BUS_USB ? source->age_ms(source, device) : -1;
    bool is_event = (event->name == EVENT_PLUGGED || event->name == EVENT_FREED) && event->device &&
                    event->device->bus == device->bus &&
                    !strcmp(event->device->address, device->address);
    return is_event || (age >= 0 && age < RUN_NODE_LIMIT_MS);
}

/* A new device gets its files one after the other, and programs of the host look at each for a
 * moment: those that udev runs (ata_id, blkid), and udisks. Those of udev look at an old one, too,
 * as when the host boots and all its events come again. One that stays is a use like others. */
static bool run_may_become_ready(const struct run *run, const struct device *device,
                                 enum refusal refusal) {
    bool is_looked_at = refusal == REFUSED_HOST_USE && device->use && !device->lasting_use &&
                        !device->is_display && !device->has_keyboards;
    return ((refusal == REFUSED_BACKEND || is_looked_at) && run_is_new(run, device)) ||
           (is_looked_at && device->is_probed);
}

/* Of `any` and `all` the plan has left out what cannot be handed over. */
static bool run_is_becoming_ready(const struct run *run, const struct plan_entry *entry) {
    if (entry->device)
        return run_may_become_ready(run, entry->device, entry->refusal);
    for (size_t i = 0; i < run->plan.omitted_count; i++) {
        const struct plan_omitted *omitted = &run->plan.omitted[i];
        if (omitted->action == entry->action && omitted->target == entry->target &&
            run_may_become_ready(run, omitted->device, omitted->refusal))
            return true;
    }
    return false;
}

bool run_node_later(struct run *run, const struct plan_entry *entry, struct task *task) {
    uint32_t within = plan_option_ms(task->action, OPTION_WITHIN);
    if (plan_verb(entry) != VERB_ATTACH || !run_is_becoming_ready(run, entry))
        return false;
    if (!task->node.clock)
        task->node = retry_start(run->config->clock);
    int64_t due = retry_next(&task->node, within ? within : RUN_NODE_LIMIT_MS);
    if (due < 0)
        return false;
    task->due = due;
    run_wait_for(run, due);
    return true;
}

enum run_outcome run_finish_task(struct run *run, const struct plan_entry *entry, struct task *task,
                                 enum result result, const char *message, const char *hint) {
    if (task->unsettled) {
        char *text = memory_printf("%s (did not wait longer: %s)", message, task->unsettled);
        run_log_task(run, entry, task, result, text, hint);
        free(text);
        free(task->unsettled);
        task->unsettled = NULL;
    } else {
        run_log_task(run, entry, task, result, message, hint);
    }
    task->state = result == RESULT_FAILED ? TASK_FAILED : TASK_DONE;
    if (!entry->device || run->no_reply || !run->config->event->domain)
        return RUN_NEXT;
    /* The result of a call about the device, by this engine or one before it, is known now. */
    if (result == RESULT_ATTACHED || result == RESULT_ALREADY)
        pending_forget(run->config->state, run_vm(run), entry->device->address);
    else
        pending_end(run->config->state, run_vm(run), entry->device->address);
    return RUN_NEXT;
}

/* --- libvirt */

static void run_set_unreachable(struct run *run) {
    if (run->phase == RUN_WORKING)
        run->phase = RUN_UNREACHABLE;
}

/* The VM or the host cannot be read. That does not fail a run that has only to check what the
 * guest keeps. */
static void run_give_up(struct run *run, const char *message, const char *hint) {
    if (run->phase != RUN_RECHECKING)
        run_log_event(run, RESULT_FAILED, message, hint);
}

/* A call that got no reply is not repeated while the VM's lock is held. */
static bool run_allows_silence(struct run *run) {
    unsigned limit = run->config->event->settled ? 1 : RETRY_SILENCE_LIMIT;
    return ++run->silences < limit;
}

/* libvirt could not be read. Sleeps and returns true when the caller is to try again. */
static bool run_ask_again(struct run *run, const struct virt_error *error, struct retry *retry) {
    if (retry_call(retry, error))
        return true;
    run->vm_ended |= error->kind == VIRT_NO_DOMAIN;
    run->must_reconnect = error->kind == VIRT_NO_REPLY && run_allows_silence(run);
    if (run->must_reconnect)
        return false;
    run_give_up(run, error->failure.message, error->failure.hint);
    if (error->kind != VIRT_NO_DOMAIN)
        run_set_unreachable(run);
    return false;
}

/* A daemon that restarts calls its hooks before it answers. Without a library, or with one that is
 * too old (no code of libvirt's own), asking again does not help. */
bool run_open_virt(struct run *run) {
    struct virt_error error = {0};
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    struct virt **opened = run->config->opened;
    if (opened && *opened) {
        run->virt = *opened;
        *opened = NULL;
        return true;
    }
    while (run->config->open_virt(&run->virt, NULL, &error) < 0)
        if (error.kind == VIRT_NO_REPLY ? !run_allows_silence(run)
                                        : !error.code || !retry_call(&retry, &error)) {
            run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
            return false;
        }
    return true;
}

void run_disconnect(struct run *run) {
    virt_close(run->virt);
    run->virt = NULL;
    run->watching = false;
}

void run_begin_call(struct run *run, const char *verb, const struct device *device) {
    const char *label = domain_label(run->config->event->domain);
    pending_begin(run->config->state, run_vm(run), verb, device ? device->address : "", 0);
    char *subject =
        memory_printf("%s%sVM '%s'", device ? device->address : "", device ? ", " : "", label);
    virt_set_subject(run->virt, subject);
    free(subject);
}

void run_end_call(struct run *run, const struct device *device, const struct virt_error *error) {
    bool is_known = !error || (error->kind != VIRT_NO_REPLY && error->kind != VIRT_UNREACHABLE);
    virt_set_subject(run->virt, NULL);
    run->no_reply |= error && error->kind == VIRT_NO_REPLY;
    if (is_known)
        pending_end(run->config->state, run_vm(run), device ? device->address : "-");
}

enum run_outcome run_fail_call(struct run *run, const struct plan_entry *entry, struct task *task,
                               const struct virt_error *error) {
    free(task->words);
    task->words = error->is_unknown ? memory_strdup(error->failure.message) : NULL;
    switch (error->kind) {
    case VIRT_NO_REPLY: /* libvirt holds the VM's job while it is at it: nothing more can be done */
        task->reply_lost = run->no_reply = true;
        run_set_unreachable(run);
        run_finish_task(run, entry, task, RESULT_FAILED, error->failure.message,
                        error->failure.hint);
        return RUN_OVER;
    case VIRT_UNREACHABLE:
    case VIRT_NOT_RUNNING:
    case VIRT_TRANSIENT:
        task->reply_lost |= error->kind == VIRT_UNREACHABLE;
        if (!run_try_later(run, task)) {
            char *message =
                memory_printf("%s (retried until the time limit)", error->failure.message);
            run_finish_task(run, entry, task, RESULT_FAILED, message, error->failure.hint);
            free(message);
        }
        return error->kind == VIRT_TRANSIENT ? RUN_NEXT : RUN_REPLAN;
    default:
        run_finish_task(run, entry, task, RESULT_FAILED, error->failure.message,
                        error->failure.hint);
        return error->kind == VIRT_NO_DOMAIN ? RUN_REPLAN : RUN_NEXT;
    }
}

/* --- the VM and the host */

/* The id tells one start of a VM from the next; that of a VM which started after its daemon did may
 * have been used before, and then the start of its process tells. */
static bool run_is_same_start(struct run *run, const struct domain *domain) {
    struct vm_start *start = &run->vm_start;
    unsigned long long process = vm_state_process(run->config->host_source->root, domain->name);
    /* A VM that is gone may have left its UUID as the name of another one. */
    if (strcmp(domain_key(domain), run_vm(run)) != 0)
        return false;
    if (domain->id < 0 || (start->id >= 0 && start->id != domain->id) ||
        (process && (start->process ? process != start->process : process > start->seen)))
        return false;
    start->id = domain->id;
    start->process = process ? process : start->process;
    return true;
}

bool run_load_domain(struct run *run, struct domain *domain) {
    struct virt_error error;
    struct failure failure;
    char *xml = NULL;
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    while (run->virt->ops->domain_xml(run->virt, run_vm(run), &xml, &error) < 0)
        if (!run_ask_again(run, &error, &retry))
            return false;
    int status = domain_xml_parse(domain, xml, strlen(xml), &failure);
    free(xml);
    if (status < 0) {
        run_give_up(run, failure.message, "this is libvirt's XML of the VM: see 'virsh dumpxml'");
        run_set_unreachable(run);
        return false;
    }
    if (run_is_same_start(run, domain))
        return true;
    run->vm_ended = true;
    run_give_up(run, domain->id < 0 ? "the VM has stopped" : "the VM has been started again since",
                "nothing more is done for this event");
    domain_finish(domain);
    return false;
}

bool run_load_host(struct run *run) {
    const struct host_source *source = run->config->host_source;
    struct failure failure;
    if (source->load(source, &run->host, &failure) == 0)
        return true;
    run_give_up(run, failure.message, "is sysfs mounted on /sys?");
    run_set_unreachable(run);
    return false;
}

/* The start of a VM waits for its devices: the rest of the host is read after the call. */
static bool run_load_part(struct run *run, const struct event *event) {
    const struct run_config *config = run->config;
    return (!run->pass &&
            plan_part_load(config->program, event, config->host_source, &run->host)) ||
           run_load_host(run);
}

/* Every VM, once, if a word of a rule may mean another one than the event's. */
static bool run_load_all_vms(struct run *run, struct event *event) {
    struct virt_error error;
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    if (!run->vms_listed && !match_ambiguous(run->config->program, event))
        return true;
    while (!run->vms_listed && domain_list_all(&run->vms, run->virt, &error) < 0)
        if (!run_ask_again(run, &error, &retry))
            return false;
    run->vms_listed = true;
    event->vms = run->vms.list;
    event->vm_count = run->vms.count;
    return true;
}

/* The other VMs that run. */
static bool run_load_other_vms(struct run *run) {
    struct virt_error error;
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    while (domain_list_running(&run->others, run->virt, run->domain.uuid, &error) < 0)
        if (!run_ask_again(run, &error, &retry))
            return false;
    return true;
}

enum vm_has run_vm_has(struct run *run, const struct plan_entry *entry) {
    struct domain domain;
    const struct backend_options options =
        plan_backend_options(entry->action, entry->target, entry->device);
    if (!run_load_domain(run, &domain))
        return VM_HAS_UNKNOWN;
    enum vm_has has =
        backend_has_all(&domain, backend_type(entry->action->backend), entry->device, &options)
            ? VM_HAS
            : VM_HAS_NOT;
    domain_finish(&domain);
    return has;
}

/* --- what several actions do */

enum run_outcome run_finish_attach(struct run *run, const struct plan_entry *entry,
                                   struct task *task) {
    const struct device *device = entry->device;
    const char *driver = device->driver;
    run->host.source.load_names(&run->host);
    char *message =
        task->released
            ? memory_printf("%s (again: the guest released it while booting)", entry->device->name)
        : task->reply_lost
            ? memory_printf("%s (libvirt's reply was lost, but the VM has the device)",
                            entry->device->name)
        : task->words
            ? memory_printf("%s (libvirt reported an error, but the VM has the device: %s)",
                            entry->device->name, task->words)
        : device->instance ? memory_strdup(device->name)
        : driver           ? memory_printf("%s (host driver was %s)", entry->device->name, driver)
                           : memory_printf("%s (no host driver was bound)", entry->device->name);
    if (entry->note)
        memory_append(&message, "; %s", entry->note);
    run_finish_task(run, entry, task, RESULT_ATTACHED, message, NULL);
    run_log_note_attached(run, entry->device);
    task->state = TASK_ATTACHED;
    task->reply_lost = false;
    guest_boot_note(run, task);
    free(message);
    return RUN_NEXT;
}

enum guest_answer run_ask_guest(struct run *run, const struct plan_entry *entry, bool only_ours,
                                struct virt_error *result) {
    struct domain domain;
    if (!run_load_domain(run, &domain))
        return GUEST_STOPPED;
    size_t count;
    struct guest_removal *removals =
        guest_removal_of(run->virt, run->config->clock, &domain, entry->device, only_ours, &count);
    *result = (struct virt_error){.failure.message = "the VM no longer has the device"};
    if (!entry->unplugged)
        run_log_note_detached(run, entry->device);
    if (!entry->unplugged && count && match_names_event(run->config->program, EVENT_FREED))
        freed_note_write(run->config->state, entry->device, run_vm(run), NULL);
    enum guest_answer answer = GUEST_RELEASED;
    if (count) {
        run_begin_call(run, "detach", entry->device);
        answer = guest_removal_wait(removals, count, result);
        run_end_call(run, entry->device, answer == GUEST_NOT_ASKED ? result : NULL);
    }
    guest_removal_finish(removals, count);
    domain_finish(&domain);
    if (!entry->unplugged && answer == GUEST_RELEASED && count &&
        guest_removal_was_lost(run->config->host_source, entry->device, run->config->clock))
        run_log_note_lost(run, entry->device);
    if (!entry->unplugged &&
        ((answer == GUEST_NOT_ASKED && result->kind != VIRT_NO_REPLY) || answer == GUEST_REFUSED))
        run_log_note_attached(run, entry->device);
    if (!entry->unplugged && (answer == GUEST_NOT_ASKED || answer == GUEST_REFUSED))
        freed_note_withdraw(run->config->state, entry->device);
    return answer;
}

/*
 * At 'unplugged' of a PCI device that is on the host no longer. While libvirt takes such a device
 * out of the VM, the kernel removes its files in sysfs; when libvirt finds only some of them (seen
 * with 9.0) it leaves the device on its list of those that the VM uses. From then on it refuses
 * every attach, until its daemon is restarted. This asks libvirt to attach the device, which fails
 * as it is absent, and by which libvirt takes it off that list (7.1 and later). Unmanaged, which
 * libvirt refuses also when the device is back by then. Waits for a VM that still has the device.
 */
static void run_clear_unplugged(struct run *run) {
    const struct event *event = run->config->event;
    const struct device *device = event->device;
    if (event->name != EVENT_UNPLUGGED || !device || device->bus != BUS_PCI ||
        host_find(&run->host, BUS_PCI, device->address) ||
        !match_attach_action(run->config->program, event, device, BACKEND_VFIO).rule)
        return;
    if (backend_hostdev_of(&run->domain, device)) {
        if (run_now(run) < run->start + RUN_RELEASE_LIMIT_MS)
            run_wait_for(run, run_now(run) + RETRY_FIRST_MS);
        return;
    }
    struct virt_error error;
    struct action_option unmanaged = {.kind = OPTION_UNMANAGED};
    char *xml =
        backend_xml(&backend_type_VFIO, device, &(struct backend_options){.list = &unmanaged}, 0);
    run_begin_call(run, "attach", device);
    int status = run->virt->ops->attach(run->virt, run_vm(run), run->domain.id, xml, &error);
    run_end_call(run, device, status < 0 ? &error : NULL);
    free(xml);
}

/* --- one plan */

/* A device that is not there yet is looked for until the time of 'within' is over, at longer and
 * longer intervals. */
static bool run_may_appear(struct run *run, const struct plan_entry *entry, int64_t due) {
    int64_t now = run_now(run), end = due + plan_option_ms(entry->action, OPTION_WITHIN);
    int64_t wait = (now - due) / 8;
    if ((entry->refusal != REFUSED_ABSENT && entry->refusal != REFUSED_TOO_FEW) || now >= end)
        return false;
    wait = wait < RETRY_FIRST_MS     ? RETRY_FIRST_MS
           : wait > RETRY_LONGEST_MS ? RETRY_LONGEST_MS
                                     : wait;
    run_wait_for(run, now + wait < end ? now + wait : end);
    return true;
}

/* libvirt did not give the XML of another VM, which may have the device. */
static bool run_may_be_free(struct run *run, const struct plan_entry *entry, struct task *task) {
    bool is_unread = false;
    for (size_t i = 0; i < run->others.count; i++) {
        const struct domain *other = &run->others.list[i];
        if (entry->device && backend_hostdev_of(other, entry->device))
            return false;
        is_unread |= other->is_unread;
    }
    return is_unread && (entry->refusal == REFUSED_HELD || entry->refusal == REFUSED_TOO_FEW) &&
           run_try_later(run, task);
}

/*
 * An event chooses only once what its rules detach. In a later plan the VM lacks what they detached
 * and has what others attached: 'any' would be the next device, and a device that this event
 * attached would be detached again. A task that was not there in the first plan is done at once.
 */
static void run_choose_detached(struct run *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        const char *address = run_key_of(entry->device);
        bool is_late = false;
        if (entry->unplugged || entry->action->verb != VERB_DETACH ||
            run_search_task(run, entry, address))
            continue;
        for (const struct task *task = run->tasks; task; task = task->next)
            is_late |= task->action == entry->action && task->target == entry->target &&
                       task->pass != run->pass && (entry->device || task->state != TASK_PENDING);
        struct task *task = run_task(run, entry);
        if (is_late)
            task->state = TASK_DONE;
    }
}

/* The VM was parked, perhaps since the last pass. 'unpark' applies the rules again: the run need
 * not wait for that. */
static enum run_outcome run_leave_parked(struct run *run, const struct plan_entry *entry,
                                         struct task *task) {
    task->state = TASK_DONE;
    if (!(run->logged & RUN_LOGGED_PARKED))
        run_log_event(run, RESULT_PARKED, entry->message, entry->hint);
    run->logged |= RUN_LOGGED_PARKED;
    return RUN_NEXT;
}

/* Whether the device that was plugged in is one that was detached on purpose and re-enumerated by
 * that. Asked before the first plan: this run may detach it as well, and attach it again. */
static void run_look_returned(struct run *run) {
    const struct event *event = run->config->event;
    struct vm_state state;
    uint64_t age_us = event->since ? (uint64_t)(run_now(run) - event->since) * 1000 : 0;
    if (event->name != EVENT_PLUGGED || !event->device || event->by_hand ||
        !vm_state_exists(run->config->state, run_vm(run)) || !run_log_load(run, &state))
        return;
    run->returned = vm_state_is_dismissed_again(&state, event->device, clock_boot_us() - age_us);
    if (run->returned)
        run_log_save(run, &state);
    else
        vm_state_finish(&state);
}

static bool run_is_returned(const struct run *run, const struct plan_entry *entry) {
    return run->returned && entry->kind == PLAN_STEP && plan_verb(entry) == VERB_ATTACH &&
           !strcmp(entry->device->address, run->config->event->device->address);
}

static enum run_outcome run_leave_returned(struct run *run, const struct plan_entry *entry,
                                           struct task *task) {
    char *hint = memory_printf("to attach it, run 'virt-rules plug add %s'; or unplug it, and plug "
                               "it in %d s after it was detached",
                               entry->device->address, VM_STATE_RETURN_US / 1000000);
    task->state = TASK_DONE;
    if (!(run->logged & RUN_LOGGED_RETURNED))
        run_log_entry(run, entry, RESULT_DETACHED,
                      "it re-enumerated when it was detached, and stays on the host", hint);
    run->logged |= RUN_LOGGED_RETURNED;
    free(hint);
    return RUN_NEXT;
}

/* libvirt failed for an unknown reason, and what there is now shows it. */
static void run_fail_explained(struct run *run, const struct plan_entry *entry, struct task *task) {
    char *message = memory_printf("%s: %s", task->words, entry->message);
    run_finish_task(run, entry, task, RESULT_FAILED, message, entry->hint);
    free(message);
}

/* Does what the entry asks for, if it is due. */
static enum run_outcome run_step(struct run *run, const struct plan_entry *entry) {
    struct task *task = run_task(run, entry);
    const struct action_type *type = action_find(plan_verb(entry));
    int64_t due = run->start +
                  (run->config->event->settled ? 0 : plan_option_ms(entry->action, OPTION_AFTER));
    if (task->state != TASK_PENDING)
        return guest_boot_recheck(run, entry, task);
    if (entry->refusal == REFUSED_PARKED)
        return run_leave_parked(run, entry, task);
    if (run_is_returned(run, entry))
        return run_leave_returned(run, entry, task);
    if (run_now(run) < due || run_now(run) < task->due) {
        run_wait_for(run, due > task->due ? due : task->due);
        return RUN_NEXT;
    }
    /* A program is judged again when it is started. */
    if (entry->kind == PLAN_STEP || !type->needs_vm)
        return type->execute(run, entry, task);
    run_log_note_refused(run, entry);
    if (run_may_appear(run, entry, due) || run_node_later(run, entry, task) ||
        run_may_be_free(run, entry, task))
        return RUN_NEXT;
    if (entry->kind == PLAN_SKIPPED && entry->device && (task->reply_lost || task->words))
        return run_finish_attach(run, entry, task);
    bool is_absent = entry->refusal == REFUSED_ABSENT ||
                     (entry->kind == PLAN_SKIPPED && entry->refusal != REFUSED_NOT);
    if (entry->kind == PLAN_REFUSED && task->words)
        run_fail_explained(run, entry, task);
    else
        run_finish_task(run, entry, task,
                        is_absent                     ? RESULT_ABSENT
                        : entry->kind == PLAN_SKIPPED ? RESULT_ALREADY
                                                      : RESULT_REFUSED,
                        entry->message, entry->hint);
    return entry->kind == PLAN_REFUSED && entry->device && run_group_is_unit(entry)
               ? run_group_fail(run, entry, RUN_NEXT)
               : RUN_NEXT;
}

/* False: the host cannot be read. */
static bool run_plan(struct run *run, const struct event *event) {
    const struct run_config *config = run->config;
    if (!run->has_version)
        run->libvirt_version = virt_version(run->virt);
    run->has_version = true;
    const struct plan_request request = {
        .program = config->program,
        .event = event,
        .host = &run->host,
        .others = run->others.list,
        .other_count = run->others.count,
        .busy = run->busy,
        .busy_count = run->busy_count,
        .kept = run->kept,
        .kept_count = run->kept_count,
        .takes_nothing = run->phase == RUN_RECHECKING,
        .parked = vm_state_is_parked(config->state, run_vm(run), &run->vm_start),
        .libvirt_version = run->libvirt_version};
    plan_init(&run->plan, &request);
    if (!run->host.is_partial || plan_part_is_clear(&run->plan))
        return true;
    plan_finish(&run->plan);
    host_finish(&run->host);
    if (!run_load_host(run))
        return false;
    plan_init(&run->plan, &request);
    return true;
}

/* Plans for the VM and the host as they are now, and does what is due. The VM's lock keeps other
 * engines from it. */
static enum run_outcome run_pass(struct run *run) {
    const struct run_config *config = run->config;
    struct event event = *config->event;
    struct failure failure;
    enum run_outcome outcome = RUN_OVER;
    int lock = lock_vm(config->state, run_vm(run), &failure);
    if (lock == LOCK_BUSY) {
        run_log_event(run, RESULT_FAILED, failure.message, LOCK_BUSY_HINT);
        run_set_unreachable(run);
        return RUN_OVER;
    }
    if (lock < 0 && !(run->logged & RUN_LOGGED_NO_LOCK)) {
        run->logged |= RUN_LOGGED_NO_LOCK;
        run_log_event(run, RESULT_FAILED, failure.message, "continuing without a lock");
    }
    run->locked = true;
    run->must_reconnect = run->took = false;
    run->wake = run->recheck = INT64_MAX;
    run_log_lost_calls(run);
    event.domain = &run->domain;
    if (run_load_domain(run, &run->domain) && run_load_all_vms(run, &event) &&
        run_load_part(run, &event) && run_load_other_vms(run) && run_plan(run, &event)) {
        outcome = RUN_NEXT;
        if (!run->pass++)
            run_look_returned(run);
        run_choose_detached(run);
        guest_boot_note_absent(run);
        for (size_t i = 0; i < run->plan.count && outcome == RUN_NEXT; i++)
            outcome = run_step(run, &run->plan.entries[i]);
        run_group_recheck(run);
        if (outcome == RUN_NEXT) {
            run_clear_unplugged(run);
            if (!guest_boot_restart(run) || (run->wake == INT64_MAX && run->recheck == INT64_MAX))
                outcome = RUN_OVER;
        }
        if (outcome != RUN_OVER && run->phase != RUN_UNREACHABLE)
            run->phase =
                outcome == RUN_NEXT && run->wake == INT64_MAX ? RUN_RECHECKING : RUN_WORKING;
    }
    if (outcome == RUN_OVER && !run->must_reconnect)
        run_mdev_cleanup(run);
    plan_finish(&run->plan);
    host_finish(&run->host);
    domain_list_finish(&run->others);
    domain_finish(&run->domain);
    if (run->must_reconnect && !run->no_reply)
        outcome = RUN_REPLAN;
    if (outcome == RUN_OVER) {
        restore_driver_all(run);
        restore_settings_all(run);
    }
    run->locked = false;
    lock_release(lock);
    return outcome;
}

/* Programs need neither the host's devices nor libvirt; those that libvirt waits for have run, see
 * engine/trigger/prepare.h. Whether a rule means another VM is asked
 * once; a libvirt that does not answer keeps no program from running. */
static void run_programs(struct run *run) {
    struct event event = *run->config->event;
    struct virt *virt = NULL;
    struct virt_error error;
    if (!run->vms_listed && run->phase != RUN_UNREACHABLE &&
        match_ambiguous(run->config->program, &event) &&
        run->config->open_virt(&virt, NULL, &error) == 0) {
        run->vms_listed = domain_list_all(&run->vms, virt, &error) == 0;
        virt_close(virt);
    }
    event.vms = run->vms.list;
    event.vm_count = run->vms.count;
    plan_init(&run->plan, &(struct plan_request){.program = run->config->program,
                                                 .event = &event,
                                                 .host = &run->host});
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct action *action = run->plan.entries[i].action;
        if (!action_find(action->verb)->needs_vm && !plan_waits(action, event.name))
            run_step(run, &run->plan.entries[i]);
    }
    plan_finish(&run->plan);
}

/* --- an event */

/* Whether the event concerns devices. libvirt keeps a USB device that is unplugged in the VM's XML
 * until it is detached; for a PCI device see run_clear_unplugged(). */
static bool run_needs_vm(const struct run_config *config, const struct action_list *wanted) {
    const struct event *event = config->event;
    for (size_t i = 0; i < wanted->count; i++)
        if (action_find(wanted->list[i].action->verb)->needs_vm)
            return true;
    return event->name == EVENT_UNPLUGGED && event->device &&
           match_attach_action(config->program, event, event->device, BACKEND_NONE).rule;
}

/* Before a VM starts and after it ended: gives back to the host what an earlier start has left. */
static void run_end_vm(struct run *run) {
    const struct run_config *config = run->config;
    struct failure failure;
    if ((config->event->name != EVENT_PREPARE && config->event->name != EVENT_RELEASE) ||
        (!vm_state_exists(config->state, run_vm(run)) &&
         !pending_exists(config->state, run_vm(run))))
        return;
    int lock = lock_vm(config->state, run_vm(run), &failure);
    if (lock == LOCK_BUSY)
        run_log_event(run, RESULT_FAILED, failure.message, LOCK_BUSY_HINT);
    else
        restore_driver_end_vm(run);
    lock_release(lock);
}

void run_init(struct run *run, const struct run_config *config) {
    const struct event *event = config->event;
    *run = (struct run){.config = config,
                        .start = config->clock->now_ms(config->clock),
                        .vm_start = {.id = event->domain ? event->domain->id : -1,
                                     .seen = event->seen ? event->seen : vm_state_now()},
                        .wake = INT64_MAX,
                        .recheck = INT64_MAX};
}

void run_finish(struct run *run) {
    domain_list_finish(&run->vms);
    for (struct task *task; (task = run->tasks);) {
        run->tasks = task->next;
        free(task->address);
        free(task->unsettled);
        free(task->words);
        free(task);
    }
    for (size_t i = 0; i < run->busy_count; i++) {
        free(run->busy[i].address);
        free(run->busy[i].message);
    }
    free(run->busy);
    for (size_t i = 0; i < run->kept_count; i++) {
        free(run->kept[i].address);
        free(run->kept[i].message);
        free(run->kept[i].hint);
    }
    free(run->kept);
    for (size_t i = 0; i < run->unbound_count; i++) {
        free(run->unbound[i].address);
        free(run->unbound[i].driver);
    }
    free(run->unbound);
    for (size_t i = 0; i < run->removal_count; i++)
        free(run->removals[i].address);
    free(run->removals);
}

bool run_event(const struct run_config *config) {
    const struct event *event = config->event;
    struct run run;
    struct action_list wanted = match_event(config->program, event);
    bool needs_vm = run_needs_vm(config, &wanted);
    enum run_outcome outcome;
    int at_work =
        needs_vm && !config->is_at_work ? lock_run(config->state, domain_key(event->domain)) : -1;
    run_init(&run, config);
    run_end_vm(&run);
    if (event->name == EVENT_STARTED)
        host_setting_repeat_all(&run);
    if (needs_vm) {
        bool connected = run_open_virt(&run);
        bool is_here = connected && run_migration_wait(&run);
        while (is_here && connected && (outcome = run_pass(&run)) != RUN_OVER) {
            if (run.must_reconnect) {
                run_disconnect(&run);
                connected = run_open_virt(&run);
            }
            if (connected)
                guest_boot_wait(&run, run.took                 ? run_now(&run)
                                      : outcome == RUN_REPLAN  ? run_now(&run) + RETRY_FIRST_MS
                                      : run.wake < run.recheck ? run.wake
                                                               : run.recheck);
        }
        run_disconnect(&run);
        if (!connected)
            run_set_unreachable(&run);
    }
    if (needs_vm ? run.phase == RUN_UNREACHABLE : wanted.count > 0)
        run_programs(&run);
    free(wanted.list);
    lock_release(at_work);
    run_finish(&run);
    return !run.problem;
}
