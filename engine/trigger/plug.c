#include "engine/trigger/plug.h"

#include "engine/libvirt/domain_list.h"
#include "engine/rules/match.h"
#include "engine/run/rule_errors.h"
#include "engine/state/device_db.h"
#include "engine/state/lock.h"
#include "engine/state/vm_state.h"
#include "engine/system/clock.h"
#include "engine/trigger/backoff.h"
#include "engine/trigger/freed.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SETTLE_LIMIT_MS = 1000, /* how long the kernel may take to set a device up or away */
    SETTLE_WAIT_MS = 10,
    AGE_LIMIT_MS = 60000, /* of a device that was there before, its node is older */
};

/* One event at work. */
struct plugging {
    const struct plug *plug;
    const struct uevent *uevent;
    struct ruleset ruleset;
    struct program program;
    struct domain_list vms;  /* that run */
    unsigned long long seen; /* when they were listed */
    struct virt *virt;       /* that listed them, for the first VM's run; or NULL */
    bool listed;             /* `vms` was asked for */
    int64_t since;           /* when the kernel reported it, by the clock of `plug` */
    bool errors_logged;
    bool again;      /* notified for the second time: no program is run */
    bool backed_off; /* a device that was lost too often was waited for, see backoff.h */
    bool stayed;     /* and it was there for so long */
    bool problem;
};

static void plug_load(struct plugging *plugging) {
    program_load(&plugging->program, &plugging->ruleset, plugging->plug->rules);
}

static void plug_unload(struct plugging *plugging) {
    program_finish(&plugging->program);
    ruleset_finish(&plugging->ruleset);
    domain_list_finish(&plugging->vms);
    virt_close(plugging->virt);
    plugging->virt = NULL;
    plugging->vms = (struct domain_list){0};
    plugging->listed = false;
}

/* --- which rules are about it */

/* An unplugged device is cleared from the VM that a rule gave it to, at whatever event that was. */
static bool plug_may_have_been_given(const struct program *program, const struct event *event) {
    return match_attach_action(program, event, event->device, BACKEND_NONE).rule;
}

/* The first rule, by number, that the event concerns; the number of rules when it is only that what
 * the VM has is gone; SIZE_MAX for none. */
static size_t plug_rank_of(const struct program *program, const struct event *event,
                           bool only_devices) {
    struct action_list wanted = match_event(program, event);
    bool has_device = !only_devices;
    for (size_t i = 0; i < wanted.count; i++)
        has_device |= wanted.list[i].action->verb != VERB_RUN;
    size_t rank = has_device ? match_rank(program, &wanted) : SIZE_MAX;
    free(wanted.list);
    if (rank == SIZE_MAX && event->name == EVENT_UNPLUGGED &&
        plug_may_have_been_given(program, event))
        rank = program->rule_count;
    return rank;
}

/* Of a device that was there at the start, and of one that is notified again, no program is run. */
static bool plug_only_devices(const struct plugging *plugging) {
    return plugging->uevent->coldplug || plugging->again;
}

/* Whether a rule for whichever VM is about the event. */
static bool plug_concerns_any_vm(const struct plugging *plugging, enum event_name name,
                                 const struct device *device) {
    struct event event = {.name = name, .device = device};
    return plug_rank_of(&plugging->program, &event, plug_only_devices(plugging)) != SIZE_MAX;
}

/* Whether any rule, for whatever VM, may be about the event. Reads the rules alone. */
static bool plug_concerns(const struct program *program, const struct uevent *uevent) {
    struct event event = {.name = EVENT_PLUGGED, .device = &uevent->device};
    if (uevent->coldplug)
        return plug_rank_of(program, &event, true) != SIZE_MAX;
    return match_names_event(program, EVENT_PLUGGED) ||
           match_names_event(program, EVENT_UNPLUGGED) || plug_may_have_been_given(program, &event);
}

/* --- the VMs */

static void plug_log_failure(struct plugging *plugging, enum event_name name,
                             const struct device *device, const char *message, const char *hint) {
    char *text = failure_text(message, hint);
    char *subject = device_text(device);
    log_write_entry(plugging->plug->log, &(struct log_entry){.event = scanner_event_text(name),
                                                             .device = subject,
                                                             .result = RESULT_FAILED,
                                                             .message = text,
                                                             .hint = hint});
    free(text);
    free(subject);
    plugging->problem = true;
}

/* Once an event. A daemon that restarts is waited for; a library that is missing is not. */
static void plug_find_vms(struct plugging *plugging, enum event_name name,
                          const struct device *device) {
    const struct plug *plug = plugging->plug;
    struct retry retry = retry_start_steady(plug->clock, RETRY_FIRST_MS);
    struct virt_error error;
    int silences = 0;
    if (plugging->listed)
        return;
    plugging->listed = true;
    do {
        error = (struct virt_error){0};
        int status = plug->open_virt(&plugging->virt, NULL, &error);
        if (status == 0)
            status = domain_list_running(&plugging->vms, plugging->virt, NULL, &error);
        plugging->seen = clock_ticks();
        if (status == 0)
            return;
        virt_close(plugging->virt);
        plugging->virt = NULL;
        plugging->vms = (struct domain_list){0};
    } while (!plug->by_hand &&
             (error.kind == VIRT_NO_REPLY
                  ? ++silences < RETRY_SILENCE_LIMIT && retry_sleep(&retry, INT32_MAX)
                  : error.code && retry_call(&retry, &error)));
    plug_log_failure(plugging, name, device, error.failure.message, error.failure.hint);
}

/* The next VM: in the order of the rules, and first those that no other engine works on, whose work
 * may last as long as a rule waits for its device. */
static struct domain *plug_next_vm(const struct plugging *plugging, const struct event *of,
                                   const bool *done, bool busy) {
    struct domain *next = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < plugging->vms.count; i++) {
        struct event event = *of;
        event.domain = &plugging->vms.list[i];
        size_t rank = done[i]
                          ? SIZE_MAX
                          : plug_rank_of(&plugging->program, &event, plug_only_devices(plugging));
        if (rank >= best ||
            (!busy && lock_vm_is_held(plugging->plug->state, domain_key(event.domain))))
            continue;
        best = rank;
        next = &plugging->vms.list[i];
    }
    return next;
}

/* Returns true when a VM that may attach the device has no problem with it. */
static bool plug_notify(struct plugging *plugging, enum event_name name,
                        const struct device *device) {
    const struct plug *plug = plugging->plug;
    struct event event = {.name = name,
                          .device = device,
                          .settled = plugging->again,
                          .since = plugging->since,
                          .by_hand = plug->by_hand};
    struct run_config config = {.program = &plugging->program,
                                .event = &event,
                                .host_source = plug->host_source,
                                .state = plug->state,
                                .log = plug->log,
                                .clock = plug->clock,
                                .open_virt = plug->open_virt,
                                .opened = &plugging->virt};
    bool attached = false;
    if (!plug_concerns_any_vm(plugging, name, device))
        return false;
    if (!plugging->errors_logged)
        plugging->problem |=
            rule_errors_log(plug->log, NULL, NULL, scanner_event_text(name), &plugging->ruleset);
    plugging->errors_logged = true;
    plug_find_vms(plugging, name, device);
    bool *done = memory_zalloc(plugging->vms.count + 1);
    event.seen = plugging->seen;
    for (int busy = 0; busy < 2; busy++)
        for (struct domain *vm; (vm = plug_next_vm(plugging, &event, done, busy));) {
            done[vm - plugging->vms.list] = true;
            event.domain = vm;
            bool is_good = run_event(&config);
            attached |= is_good && plug_may_have_been_given(&plugging->program, &event);
            plugging->problem |= !is_good;
        }
    free(done);
    return attached;
}

/* --- what is there */

/* The kernel reports a removal before the device leaves sysfs. A PCI device that stays is a new
 * one. */
static bool plug_is_leaving(const struct plug *plug, const struct uevent *uevent) {
    return uevent->removed && uevent->seqnum &&
           plug->host_source->is_there(plug->host_source, &uevent->device);
}

/* Waits until kernel and udev have set the device up, or the kernel has removed it. What udev does
 * not do within this time, the run waits for: see action_attach.c. */
static void plug_settle(const struct plug *plug, const struct uevent *uevent) {
    const struct host_source *source = plug->host_source;
    struct retry retry = retry_start_steady(plug->clock, SETTLE_WAIT_MS);
    while ((plug_is_leaving(plug, uevent) ||
            source->settling(source, &uevent->device, NULL) != HOST_SETTLED) &&
           retry_sleep(&retry, SETTLE_LIMIT_MS))
        ;
}

/* --- an event */

static bool plug_concerns_change(const struct plugging *plugging, const struct device *device) {
    return device && (plug_concerns_any_vm(plugging, EVENT_PLUGGED, device) ||
                      plug_concerns_any_vm(plugging, EVENT_UNPLUGGED, device));
}

/* What concerns no rule is not kept. */
static void plug_save_slot(struct plugging *plugging, struct device_slot *slot, const char *place,
                           const struct device_changes *changes) {
    bool was_known = slot->seqnum || slot->is_here || slot->has_gone;
    if (!was_known && !plug_concerns_change(plugging, changes->plugged) &&
        !plug_concerns_change(plugging, changes->unplugged_count ? changes->unplugged[0] : NULL))
        return;
    device_db_update(slot, plugging->uevent, changes);
    if (device_db_write(slot, plugging->plug->state, place) < 0) {
        char *message =
            memory_printf("%s/devices/%s: %s", plugging->plug->state, place, strerror(errno));
        plug_log_failure(plugging, changes->plugged ? EVENT_PLUGGED : EVENT_UNPLUGGED,
                         &plugging->uevent->device, message, "the VMs may get this event twice");
        free(message);
    }
}

/* The device has been lost too often: it has to stay for a while. What is there after that is
 * another question, and rules and VMs may be others by then. */
static void plug_back_off(struct plugging *plugging, struct device_slot *slot, const char *place,
                          struct device_changes *changes) {
    const struct plug *plug = plugging->plug;
    const struct device *device = changes->plugged;
    int64_t wait = backoff_wait_ms(slot);
    if (!plugging->backed_off) {
        char *message = backoff_message(slot, wait);
        plug_log_failure(plugging, EVENT_PLUGGED, device, message, backoff_hint);
        free(message);
    }
    plugging->backed_off = true;
    changes->plugged = changes->there = NULL;
    plug_save_slot(plugging, slot, place, changes);
    plugging->stayed = backoff_wait(plug->host_source, device, wait, plug->clock);
    plugging->since = plug->clock->now_ms(plug->clock);
    plug_unload(plugging);
    plug_load(plugging);
}

/* The slot is written last: what an engine that is killed at its work has not done, the next one
 * does, and what was done already needs no work. Returns true when it has only waited. */
static bool plug_notify_changes(struct plugging *plugging, const char *place, bool coalesced) {
    const struct plug *plug = plugging->plug;
    const struct device *device = &plugging->uevent->device;
    enum event_name name = plugging->uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED;
    struct host host;
    struct device_slot slot;
    struct failure failure;
    plug_settle(plug, plugging->uevent);
    if (plug->host_source->load_devices(plug->host_source, &host, &failure) < 0) {
        plug_log_failure(plugging, name, device, failure.message, "is sysfs mounted on /sys?");
        return false;
    }
    char *boot = plug->host_source->boot_id(plug->host_source);
    device_db_read(&slot, plug->state, place, boot);
    if (slot.damaged) {
        char *message = memory_printf("%s/devices/%s is damaged: ignored", plug->state, place);
        plug_log_failure(plugging, name, device, message, "the VMs may get an event twice");
        free(message);
    }
    const struct device *now = host_find(&host, device->bus, device->address);
    struct device_changes changes = device_db_compare(&slot, plugging->uevent, now);
    if (changes.unplugged_count && changes.unplugged[0] == &slot.here)
        backoff_note_loss(&slot, plug->clock->now_ms(plug->clock));
    for (size_t i = 0; i < changes.unplugged_count; i++)
        plug_notify(plugging, EVENT_UNPLUGGED, changes.unplugged[i]);
    bool wait = changes.plugged && changes.plugged->bus == BUS_USB && !plugging->stayed &&
                !plug->by_hand && backoff_wait_ms(&slot) &&
                plug_concerns_any_vm(plugging, EVENT_PLUGGED, changes.plugged);
    if (wait) {
        plug_back_off(plugging, &slot, place, &changes);
    } else {
        if (changes.plugged && plug_notify(plugging, EVENT_PLUGGED, changes.plugged))
            backoff_note_attached(&slot, plug->clock->now_ms(plug->clock));
        if (coalesced && !changes.unplugged_count && !changes.plugged) {
            /* A device may have come and gone in the events that were merged into this one, and a
             * VM may have it. */
            plugging->again = true;
            plug_notify(plugging, now ? EVENT_PLUGGED : EVENT_UNPLUGGED, now ? now : device);
        }
        plug_save_slot(plugging, &slot, place, &changes);
    }
    device_db_finish(&slot);
    host_finish(&host);
    free(boot);
    return wait;
}

/*
 * Returns at once when another process waits for the same slot. A removal first waits until its
 * device has left sysfs: the process that waits for the slot must see that.
 */
static void plug_lock_slot(struct plugging *plugging) {
    const struct uevent *uevent = plugging->uevent;
    struct failure failure;
    char *place = device_db_slot(&uevent->device);
    int lock = -1;
    if (uevent->removed)
        plug_settle(plugging->plug, uevent);
    enum lock_slot status = lock_slot(plugging->plug->state, place, &lock, &failure);
    if (status == LOCK_SLOT_FAILED)
        plug_log_failure(plugging, uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED,
                         &uevent->device, failure.message, "continuing without a lock");
    while (status != LOCK_SLOT_COALESCED &&
           plug_notify_changes(plugging, place, status == LOCK_SLOT_WAITED))
        ;
    lock_release(lock);
    free(place);
}

/* From when on a VM has to wait for the device: udev may have taken its time before. */
static int64_t plug_event_time(const struct plug *plug, const struct uevent *uevent) {
    const struct host_source *source = plug->host_source;
    int64_t age = uevent->removed || uevent->coldplug || !uevent->seqnum
                      ? -1
                      : source->age_ms(source, &uevent->device);
    return plug->clock->now_ms(plug->clock) - (age < 0 || age > AGE_LIMIT_MS ? 0 : age);
}

static bool plug_finish_freed(const struct plug *plug, const struct program *program) {
    return freed_notify(&(struct freed){.program = program,
                                        .host_source = plug->host_source,
                                        .state = plug->state,
                                        .log = plug->log,
                                        .clock = plug->clock,
                                        .open_virt = plug->open_virt});
}

void plug_notify_freed(const struct plug *plug) {
    struct ruleset ruleset;
    struct program program;
    program_load(&program, &ruleset, plug->rules);
    plug_finish_freed(plug, &program);
    program_finish(&program);
    ruleset_finish(&ruleset);
}

/* A device that was there before the start of 'watch' did not come. */
static void plug_keep_event(const struct plugging *plugging) {
    const struct uevent *uevent = plugging->uevent;
    if (uevent->coldplug)
        return;
    struct event event = {.name = uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED,
                          .device = &uevent->device};
    struct action_list wanted = match_event(&plugging->program, &event);
    bool is_unmatched = !plug_concerns_any_vm(plugging, event.name, event.device);
    char time[CLOCK_STAMP_SIZE], *device = device_text(event.device);
    clock_stamp_utc(time);
    log_write_event(
        plugging->plug->log,
        &(struct log_event){.time = time,
                            .id = -1,
                            .event = scanner_event_text(event.name),
                            .device = device,
                            .result = is_unmatched ? LOG_EVENT_UNMATCHED : LOG_EVENT_MATCHED,
                            .rules = match_count_rules(&wanted)});
    free(device);
    free(wanted.list);
}

bool plug_event(const struct plug *plug, const struct uevent *uevent) {
    struct plugging plugging = {
        .plug = plug, .uevent = uevent, .since = plug_event_time(plug, uevent)};
    plug_load(&plugging);
    plug_keep_event(&plugging);
    if (plug_concerns(&plugging.program, uevent))
        plug_lock_slot(&plugging);
    plugging.problem |= !plug_finish_freed(plug, &plugging.program);
    plug_unload(&plugging);
    return !plugging.problem;
}
