#include "engine/run/take.h"

#include "engine/backend/backend.h"
#include "engine/host/driver.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/state/freed_note.h"
#include "engine/state/lock.h"
#include "engine/state/pending.h"
#include "engine/system/clock.h"

#include <stdlib.h>
#include <string.h>

/* What is asked of the VM that has the devices; its lock is held. */
struct take {
    struct run *run;
    const struct plan_entry *entry;
    struct domain domain; /* that VM, as it is now */
    struct vm_start vm_start;
    struct virt_error result; /* of the last question */
};

/* --- the devices that are taken together */

static bool take_is_member(const struct plan_entry *entry, const struct plan_entry *other) {
    if (other->kind != PLAN_STEP || !other->take_from)
        return false;
    return other == entry || (run_group_is_unit(entry) && run_group_is_same(entry, other));
}

static const struct plan_entry *take_next(const struct run *run, const struct plan_entry *entry,
                                          const struct plan_entry *after) {
    const struct plan_entry *end = run->plan.entries + run->plan.count;
    for (const struct plan_entry *other = after ? after + 1 : run->plan.entries; other < end;
         other++)
        if (take_is_member(entry, other))
            return other;
    return NULL;
}

bool take_is_needed(const struct run *run, const struct plan_entry *entry) {
    return take_next(run, entry, NULL) != NULL;
}

/* The devices are not taken by this run any more. Without a message they were. */
static void take_keep(struct run *run, const struct plan_entry *entry, const char *message,
                      const char *hint) {
    for (const struct plan_entry *one = NULL; (one = take_next(run, entry, one));) {
        run->kept = memory_grow(run->kept, run->kept_count, sizeof *run->kept);
        run->kept[run->kept_count++] =
            (struct kept_device){.bus = one->device->bus,
                                 .address = memory_strdup(one->device->address),
                                 .message = memory_copy(message),
                                 .hint = memory_copy(hint)};
    }
}

/* --- what the VM's own engines and 'status' get to know */

static const char *take_key(const struct take *take) {
    return domain_key(&take->domain);
}

static void take_log(struct take *take, const struct plan_entry *one, enum result result,
                     const char *message, const char *hint) {
    struct run *run = take->run;
    char *text = failure_text(message, hint), *device = device_text(one->device),
         *rule = plan_rule_text(one);
    struct log_entry entry = {
        .vm = domain_label(&take->domain),
        .uuid = take->domain.uuid,
        .event = scanner_event_text(run->config->event->name),
        .action = syntax_verb_text(result == RESULT_ATTACHED ? VERB_ATTACH : VERB_DETACH),
        .device = device,
        .rule = rule,
        .result = result,
        .message = text,
        .hint = hint};
    log_write_entry(run->config->log, &entry);
    vm_state_record_result(run->config->state, take_key(take), &take->vm_start, &entry,
                           log_write_time(run->config->log));
    free(rule);
    free(device);
    free(text);
}

/* Calls `note` for a device, or for all when it is NULL, and keeps that. */
static void take_note(struct take *take, const struct plan_entry *only,
                      void (*note)(const struct take *take, struct vm_state *state,
                                   const struct device *device)) {
    struct vm_state state;
    const char *directory = take->run->config->state;
    if (!vm_state_open(&state, directory, take_key(take), &take->vm_start))
        return;
    for (const struct plan_entry *one = NULL; (one = take_next(take->run, take->entry, one));)
        if (!only || only == one)
            note(take, &state, one->device);
    vm_state_save(&state, directory, take_key(take), NULL);
    vm_state_finish(&state);
}

static void take_note_dismissed(const struct take *take, struct vm_state *state,
                                const struct device *device) {
    (void)take;
    vm_state_dismiss(state, device->address, device->id);
}

static void take_note_lost(const struct take *take, struct vm_state *state,
                           const struct device *device) {
    (void)take;
    vm_state_note_lost(state, device->address);
}

static void take_note_kept(const struct take *take, struct vm_state *state,
                           const struct device *device) {
    (void)take;
    vm_state_readmit(state, device->address);
}

/* It waits for the device from now on, and need not give back to the host what the host has. */
static void take_note_taken(const struct take *take, struct vm_state *state,
                            const struct device *device) {
    vm_state_refuse(state, device->address, device->id, clock_boot_us());
    if (device->bus == BUS_PCI && driver_host_has(&take->run->host, device))
        vm_state_remove_unbound(state, device->address);
}

/* --- asking its guest */

static enum guest_answer take_ask(struct take *take, const struct plan_entry *one) {
    struct run *run = take->run;
    const char *address = one->device->address;
    size_t count;
    struct guest_removal *removals =
        guest_removal_of(run->virt, run->config->clock, &take->domain, one->device, false, &count);
    run->watching = false; /* one VM at a time is watched */
    enum guest_answer answer = guest_removal_wait_shown(removals, count, run->config->state,
                                                        address, address, &take->result);
    guest_removal_finish(removals, count);
    return answer;
}

/* --- nothing of it, when not all of it */

/* As the VM had it: by the options of the rule that gave it, and at its place in the guest. */
static char *take_xml_of(const struct take *take, const struct device *device,
                         const struct domain_hostdev *hostdev) {
    const struct event event = {.name = EVENT_STARTED, .domain = &take->domain};
    struct action_ref ref =
        match_attach_action(take->run->config->program, &event, device, hostdev->backend);
    struct backend_options options = {0};
    if (ref.rule)
        options = plan_backend_options(ref.action, ref.target, device);
    options.place = hostdev->place;
    options.place.needs_port = hostdev->place.kind == GUEST_PLACE_USB;
    return backend_xml(backend_type(hostdev->backend), device, &options,
                       backend_index_of(hostdev, device));
}

/* Every element that it had. */
static int take_attach_again(struct take *take, const struct device *device,
                             struct virt_error *error) {
    struct run *run = take->run;
    int status = 0;
    pending_begin(run->config->state, take_key(take), "attach", device->address, 0);
    for (const struct domain_hostdev *one = NULL;
         status == 0 && (one = backend_next_hostdev(&take->domain, device, one));) {
        char *xml = take_xml_of(take, device, one);
        status = run->virt->ops->attach(run->virt, take_key(take), take->domain.id, xml, error);
        free(xml);
    }
    pending_end(run->config->state, take_key(take), device->address);
    return status;
}

static void take_give_back(struct take *take, const struct plan_entry *until) {
    struct run *run = take->run;
    const char *label = domain_label(run->config->event->domain);
    for (const struct plan_entry *one = NULL;
         (one = take_next(run, take->entry, one)) && one != until;) {
        struct virt_error error;
        if (!backend_hostdev_of(&take->domain, one->device))
            continue;
        if (take_attach_again(take, one->device, &error) == 0) {
            char *message =
                memory_printf("given back, because VM '%s' cannot get all of the group", label);
            take_note(take, one, take_note_kept);
            freed_note_withdraw(run->config->state, one->device);
            take_log(take, one, RESULT_ATTACHED, message, NULL);
            free(message);
        } else {
            take_note(take, one, take_note_taken);
            take_log(take, one, RESULT_FAILED, error.failure.message, error.failure.hint);
            run->problem = true;
        }
    }
}

/* --- all of it */

/* The notes come first, so that an engine that is killed in between loses nothing. */
static void take_announce(struct take *take) {
    struct run *run = take->run;
    for (const struct plan_entry *one = NULL; (one = take_next(run, take->entry, one));)
        freed_note_write(run->config->state, one->device, take_key(take), run_vm(run));
    take_note(take, NULL, take_note_dismissed);
}

/* From the first that the guest did not release. It may release one later that it did not answer
 * for: whoever comes then finds the note. */
static void take_fail(struct take *take, const struct plan_entry *failed,
                      enum guest_answer answer) {
    struct run *run = take->run;
    bool is_open =
        answer == GUEST_NO_ANSWER || answer == GUEST_UNSEEN || take->result.kind == VIRT_NO_REPLY;
    bool is_before = true;
    take_give_back(take, failed);
    for (const struct plan_entry *one = NULL; (one = take_next(run, take->entry, one));) {
        is_before &= one != failed;
        if (is_before || (one == failed && is_open))
            continue;
        take_note(take, one, take_note_kept);
        freed_note_withdraw(run->config->state, one->device);
    }
    take_keep(run, take->entry, take->result.failure.message, take->result.failure.hint);
}

static enum run_outcome take_all(struct take *take, struct task *task) {
    struct run *run = take->run;
    enum guest_answer answer = GUEST_RELEASED;
    const struct plan_entry *one = NULL;
    char *message = memory_printf("taken by VM '%s', whose rule says 'take'",
                                  domain_label(run->config->event->domain));
    take_announce(take);
    while (answer == GUEST_RELEASED && (one = take_next(run, take->entry, one)))
        if ((answer = take_ask(take, one)) == GUEST_RELEASED) {
            freed_note_write_released(run->config->state, one->device);
            take_log(take, one, RESULT_DETACHED, message, NULL);
        }
    free(message);
    if (answer == GUEST_RELEASED) {
        take_note(take, NULL, take_note_taken);
        for (one = NULL; (one = take_next(run, take->entry, one));)
            if (guest_removal_was_lost(run->config->host_source, one->device, run->config->clock))
                take_note(take, one, take_note_lost);
        take_keep(run, take->entry, NULL, NULL);
        run->took = true;
        task->due = 0;
    } else if (answer == GUEST_NOT_ASKED && take->result.kind == VIRT_NO_REPLY) {
        take_fail(take, one, answer);
        return run_fail_call(run, take->entry, task, &take->result);
    } else if (answer != GUEST_STOPPED) { /* its end frees them */
        take_fail(take, one, answer);
    }
    return RUN_REPLAN;
}

/* Linux before 5.19 halts when one device of a group is bound to its host driver while a VM has
 * another. */
static bool take_may_split(const struct take *take) {
    const struct host *host = &take->run->host;
    const struct device *device = take->entry->device;
    size_t held = 0;
    for (size_t i = 0; i < host->count; i++)
        held += host->devices[i].bus == BUS_PCI && device->bus == BUS_PCI &&
                host->devices[i].iommu_group == device->iommu_group && device->iommu_group >= 0 &&
                backend_hostdev_of(&take->domain, &host->devices[i]);
    return held < 2 || host->source.may_split_group(host);
}

/* Returns false when that VM cannot be read, or does not run any more. */
static bool take_load(struct take *take, const struct domain *holder) {
    struct run *run = take->run;
    char *xml = NULL;
    if (run->virt->ops->domain_xml(run->virt, domain_key(holder), &xml, &take->result) < 0)
        return false;
    take->vm_start = (struct vm_start){.id = -1, .seen = clock_ticks()};
    int status = domain_xml_parse(&take->domain, xml, strlen(xml), NULL);
    free(xml);
    if (status < 0)
        return false;
    if (take->domain.id < 0 || strcmp(take_key(take), domain_key(holder)) != 0) {
        domain_finish(&take->domain);
        return false;
    }
    take->vm_start.id = take->domain.id;
    take->vm_start.process = vm_state_process(run->config->host_source->root, take->domain.name);
    return true;
}

enum run_outcome take_execute(struct run *run, const struct plan_entry *entry, struct task *task) {
    const struct domain *holder = take_next(run, entry, NULL)->take_from;
    struct take take = {.run = run, .entry = entry};
    enum run_outcome outcome = RUN_REPLAN;
    struct failure failure;
    int lock = lock_vm_within(run->config->state, domain_key(holder), 0, &failure);
    if (lock == -1) { /* what cannot be noted either is not taken from another VM */
        task->due = 0;
        take_keep(run, entry, failure.message, "free space there, then 'virt-rules apply'");
        return RUN_REPLAN;
    }
    if (lock == LOCK_BUSY || !take_load(&take, holder)) {
        lock_release(lock);
        if (run_try_later(run, task))
            return RUN_NEXT;
        task->due = 0;
        take_keep(run, entry,
                  lock == LOCK_BUSY ? "another engine works on that VM" : "that VM cannot be read",
                  "'virt-rules status' shows what is done there; 'virsh list' whether it runs");
        return RUN_REPLAN;
    }
    if (take_may_split(&take)) {
        outcome = take_all(&take, task);
    } else {
        task->due = 0;
        take_keep(run, entry, "Linux before 5.19 cannot split its IOMMU group",
                  "shut that VM down");
    }
    domain_finish(&take.domain);
    lock_release(lock);
    return outcome;
}
