#include "engine/trigger/freed.h"

#include "engine/backend/backend.h"
#include "engine/libvirt/domain_list.h"
#include "engine/rules/match.h"
#include "engine/state/device_db.h"
#include "engine/state/freed_note.h"
#include "engine/state/lock.h"
#include "engine/system/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 8,             /* how often a device may be freed by the events of its own freeing */
    SCAN_LIMIT_MS = 10000,  /* how long a USB disk may take to be found */
    GRACE_US = 2 * 60000000 /* how long a guest may take to release what it was asked for */
};

/* --- what a VM had */

/* The address and id that begin a text of the log: "1-1.4 10c4:ea60". */
static const struct device *freed_device_of_text(const struct host *host, const char *text) {
    for (size_t i = 0; text && i < host->count; i++) {
        char *name = device_text(&host->devices[i]);
        size_t length = strlen(name);
        /* The UUID of a mediated device may follow. */
        bool is = !strncmp(name, text, length) && (!text[length] || text[length] == ' ');
        free(name);
        if (is)
            return &host->devices[i];
    }
    return NULL;
}

static const struct device *freed_device_of_note(const struct host *host,
                                                 const struct vm_state_device *noted) {
    for (size_t i = 0; i < host->count; i++)
        if (!strcmp(host->devices[i].address, noted->address) &&
            device_id_is(host->devices[i].id, noted->id))
            return &host->devices[i];
    return NULL;
}

static bool freed_is_held_result(const struct vm_state_result *result) {
    return result->result == RESULT_ATTACHED || result->result == RESULT_ALREADY;
}

static void freed_note_one(const struct freed *freed, const struct device *device,
                           const struct domain *domain) {
    if (device)
        freed_note_write_stopped(freed->state, device, domain_key(domain));
}

/*
 * At 'release' libvirt passes the VM as it ran, with all that was hot-plugged: qemuProcessStop()
 * drops that after the hook. A USB device has another number after each reset, and the XML the one
 * that it had: the state knows its port.
 */
void freed_note_end(const struct freed *freed, const struct domain *domain, bool xml_counts) {
    struct host host;
    struct vm_state vm_state;
    if (!match_names_event(freed->program, EVENT_FREED) ||
        freed->host_source->load(freed->host_source, &host, NULL) < 0)
        return;
    /* The state may be of the VM's next start already. */
    if (vm_state_load(&vm_state, freed->state, domain_key(domain)) &&
        vm_state.started > vm_state_now()) {
        vm_state_finish(&vm_state);
        vm_state = (struct vm_state){.id = -1};
    }
    for (size_t i = 0; xml_counts && i < domain->hostdev_count; i++)
        freed_note_one(freed, backend_device_of(&host, &domain->hostdevs[i]), domain);
    for (size_t i = 0; i < vm_state.result_count; i++)
        if (freed_is_held_result(&vm_state.results[i]))
            freed_note_one(freed, freed_device_of_text(&host, vm_state.results[i].device), domain);
    for (size_t i = 0; i < vm_state.parked_count; i++)
        freed_note_one(freed, freed_device_of_note(&host, &vm_state.parked[i]), domain);
    vm_state_finish(&vm_state);
    host_finish(&host);
}

void freed_note_device(const struct program *program, const char *state,
                       const struct device *device, const char *vm) {
    if (match_names_event(program, EVENT_FREED))
        freed_note_write(state, device, vm, NULL);
}

/* --- what is freed together with it */

/* Whether one is a SCSI device on the other: who gets one of them has the other, too. */
static bool freed_is_related(const struct device *one, const struct device *other) {
    return device_is_on(one, other) || device_is_on(other, one);
}

/* --- which VMs */

/* A VM in the line for the device. */
struct freed_waiter {
    const struct domain *vm;
    const struct device *device; /* that it wants: the one that was freed, or one freed with it */
    uint64_t since;              /* of its first refusal; UINT64_MAX: it was not refused */
    size_t rank;                 /* of the first rule that is about it */
};

struct freed_line {
    struct freed_waiter *list;
    size_t count;
};

static int freed_compare_waiters(const void *left, const void *right) {
    const struct freed_waiter *a = left, *b = right;
    if (a->since != b->since)
        return a->since < b->since ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static size_t freed_rank_of(const struct program *program, const struct event *event) {
    struct action_list wanted = match_event(program, event);
    size_t rank = match_rank(program, &wanted);
    free(wanted.list);
    return rank;
}

/* Returns false for a parked VM; and for one from which the device was taken out on purpose, but
 * not for another VM: who did that does not want it there. */
static bool freed_find_since(const struct freed *freed, const struct freed_note *note,
                             struct freed_waiter *waiter) {
    const struct device *device = waiter->device;
    struct vm_state state;
    struct vm_start start = {.id = waiter->vm->id,
                             .process =
                                 vm_state_process(freed->host_source->root, waiter->vm->name)};
    uint64_t since = 0;
    bool taken = note->taker && !strcmp(domain_key(waiter->vm), note->from);
    bool dismissed = !strcmp(domain_key(waiter->vm), note->from), parked = false;
    if (vm_state_load(&state, freed->state, domain_key(waiter->vm)) &&
        vm_state_is_same_start(&state, &start)) {
        since = vm_state_refused_since(&state, device->address, device->id);
        dismissed |=
            !state.damaged && (vm_state_has_dismissed(&state, note->address, note->id) ||
                               vm_state_has_dismissed(&state, device->address, device->id));
        parked = state.parked_since;
    }
    vm_state_finish(&state);
    waiter->since = since ? since : UINT64_MAX;
    return !parked && (since || taken || !dismissed);
}

static void freed_add_waiters(const struct freed *freed, const struct freed_note *note,
                              const struct device *device, const struct domain_list *vms,
                              struct freed_line *line) {
    for (size_t i = 0; i < vms->count; i++) {
        struct freed_waiter waiter = {.vm = &vms->list[i], .device = device};
        const struct event event = {.name = EVENT_FREED, .device = device, .domain = waiter.vm};
        waiter.rank = freed_rank_of(freed->program, &event);
        if (waiter.rank == SIZE_MAX || !freed_find_since(freed, note, &waiter))
            continue;
        line->list = memory_grow(line->list, line->count, sizeof *line->list);
        line->list[line->count++] = waiter;
    }
}

/* Those that want the device, or one that is freed with it. */
static struct freed_line freed_line_up(const struct freed *freed, const struct freed_note *note,
                                       const struct host *host, const struct device *device,
                                       const struct domain_list *vms) {
    struct freed_line line = {0};
    freed_add_waiters(freed, note, device, vms, &line);
    for (size_t i = 0; i < host->count; i++)
        if (freed_is_related(&host->devices[i], device))
            freed_add_waiters(freed, note, &host->devices[i], vms, &line);
    if (line.count)
        qsort(line.list, line.count, sizeof *line.list, freed_compare_waiters);
    return line;
}

/* --- one device */

static void freed_log_failure(const struct freed *freed, const struct freed_note *note,
                              const struct failure *failure) {
    char *text = failure_text(failure->message, failure->hint);
    char *subject = memory_printf("%s %04x:%04x", note->address, note->id.vendor, note->id.device);
    log_write_entry(freed->log, &(struct log_entry){.event = scanner_event_text(EVENT_FREED),
                                                    .device = subject,
                                                    .result = RESULT_FAILED,
                                                    .message = text,
                                                    .hint = failure->hint});
    free(text);
    free(subject);
}

/* A daemon that restarts is waited for. */
static bool freed_list_vms(const struct freed *freed, const struct freed_note *note,
                           struct domain_list *vms, unsigned long long *seen) {
    struct retry retry = retry_start_steady(freed->clock, RETRY_FIRST_MS);
    struct virt_error error;
    do {
        struct virt *virt = NULL;
        error = (struct virt_error){0};
        *vms = (struct domain_list){0};
        int status = freed->open_virt(&virt, NULL, &error);
        if (status == 0)
            status = domain_list_running(vms, virt, NULL, &error);
        *seen = clock_ticks();
        virt_close(virt);
        if (status == 0)
            return true;
    } while (error.code && retry_call(&retry, &error));
    freed_log_failure(freed, note, &error.failure);
    return false;
}

/* A VM that has another mediated device of the same device is not waited for. */
static bool freed_has_itself(const struct domain *vm, const struct device *device) {
    const struct domain_hostdev *one = NULL;
    while ((one = backend_next_hostdev(vm, device, one)) &&
           backend_type(one->backend)->shares_device)
        ;
    return one;
}

/* By whatever backend. */
static bool freed_vm_has(const struct domain *vm, const struct host *host,
                         const struct device *device) {
    bool has = freed_has_itself(vm, device);
    for (size_t i = 0; i < host->count && !has; i++)
        has =
            freed_is_related(&host->devices[i], device) && freed_has_itself(vm, &host->devices[i]);
    return has;
}

static const struct domain *freed_find_holder(const struct domain_list *vms,
                                              const struct host *host,
                                              const struct device *device) {
    for (size_t i = 0; i < vms->count; i++)
        if (freed_vm_has(&vms->list[i], host, device))
            return &vms->list[i];
    return NULL;
}

static bool freed_run(const struct freed *freed, const struct event *event) {
    return run_event(&(struct run_config){.program = freed->program,
                                          .event = event,
                                          .host_source = freed->host_source,
                                          .state = freed->state,
                                          .log = freed->log,
                                          .clock = freed->clock,
                                          .open_virt = freed->open_virt});
}

/* The engine of a VM that took the device was killed before it attached it: its rules are applied.
 */
static bool freed_run_taker(const struct freed *freed, const struct freed_note *note,
                            const struct domain_list *vms, unsigned long long seen) {
    bool good = true;
    for (size_t i = 0; note->taker && i < vms->count; i++)
        if (!strcmp(domain_key(&vms->list[i]), note->taker))
            good &= freed_run(freed, &(struct event){.name = EVENT_STARTED,
                                                     .domain = &vms->list[i],
                                                     .settled = true,
                                                     .seen = seen});
    return good;
}

enum freed_outcome {
    FREED_DONE,
    FREED_PROBLEM, /* done, and not all is as the rules want it */
    FREED_LATER,   /* the note stays */
    FREED_UNABLE,  /* the same, after a failure */
};

/* Of a guest that was asked, and may still release it. */
static enum freed_outcome freed_of_held(const struct freed_note *note,
                                        const struct domain *holder) {
    bool may_release = !note->has_stopped && !strcmp(domain_key(holder), note->from) &&
                       clock_boot_us() < note->written + GRACE_US;
    return may_release ? FREED_LATER : FREED_DONE;
}

static enum freed_outcome freed_notify_vms(const struct freed *freed, const struct freed_note *note,
                                           const struct host *host, const struct device *device) {
    struct domain_list vms;
    unsigned long long seen;
    bool good = true;
    if (!freed_list_vms(freed, note, &vms, &seen))
        return FREED_UNABLE;
    const struct domain *holder = freed_find_holder(&vms, host, device);
    if (!holder && note->taker) {
        good = freed_run_taker(freed, note, &vms, seen);
        domain_list_finish(&vms);
        if (!freed_list_vms(freed, note, &vms, &seen))
            return FREED_UNABLE;
        holder = freed_find_holder(&vms, host, device);
    }
    enum freed_outcome outcome = holder ? freed_of_held(note, holder) : FREED_DONE;
    if (!holder) {
        struct freed_line line = freed_line_up(freed, note, host, device, &vms);
        for (size_t i = 0; i < line.count; i++)
            good &= freed_run(freed, &(struct event){.name = EVENT_FREED,
                                                     .device = line.list[i].device,
                                                     .domain = line.list[i].vm,
                                                     .seen = seen});
        free(line.list);
    }
    domain_list_finish(&vms);
    return good || outcome != FREED_DONE ? outcome : FREED_PROBLEM;
}

/* The host's driver has a USB disk again and has not found its SCSI device yet, which a VM may wait
 * for. */
static bool freed_is_scanning(const struct host *host, const struct device *device) {
    enum { MASS_STORAGE = 0x08 };
    bool is_disk = false;
    for (size_t i = 0; device && i < device->interface_count; i++)
        is_disk |= device->interfaces[i].class_code >> 16 == MASS_STORAGE &&
                   device->interfaces[i].driver &&
                   strcmp(device->interfaces[i].driver, "usbfs") != 0; /* a VM's */
    for (size_t i = 0; is_disk && i < host->count; i++)
        is_disk = !device_is_on(&host->devices[i], device);
    return is_disk;
}

/* A device that has left the host, or come back as another one, is not freed but plugged. */
static enum freed_outcome freed_handle(const struct freed *freed, const struct freed_note *note) {
    struct host host;
    struct failure failure;
    if (!note->taker && !match_names_event(freed->program, EVENT_FREED))
        return FREED_DONE;
    struct retry retry = retry_start_steady(freed->clock, RETRY_FIRST_MS);
    const struct device *device;
    for (;;) {
        if (freed->host_source->load(freed->host_source, &host, &failure) < 0) {
            failure_hint(&failure, "is sysfs mounted on /sys?");
            freed_log_failure(freed, note, &failure);
            return FREED_UNABLE;
        }
        device = host_find(&host, note->bus, note->address);
        if (!freed_is_scanning(&host, device) || !retry_sleep(&retry, SCAN_LIMIT_MS))
            break;
        host_finish(&host);
    }
    enum freed_outcome outcome = device && freed_note_is(note, device)
                                     ? freed_notify_vms(freed, note, &host, device)
                                     : FREED_DONE;
    host_finish(&host);
    return outcome;
}

/* The note as it is now that this process has the device's turn; false: it is done, or not ready.
 */
static bool freed_find_note(const struct freed *freed, const char *address,
                            struct freed_note **notes, size_t *count, size_t *found) {
    *notes = freed_note_all(freed->state, count);
    for (*found = 0; *found < *count; ++*found)
        if (!strcmp((*notes)[*found].address, address))
            return (*notes)[*found].is_ready;
    return false;
}

/* The note stays until the VMs were notified: what an engine that is killed at it has not done, the
 * next one does, and what was done already needs no work. */
static enum freed_outcome freed_take_turn(const struct freed *freed, const char *address) {
    enum freed_outcome outcome = FREED_DONE;
    bool is_done = false;
    for (int round = 0; round < ROUNDS && !is_done; round++) {
        struct freed_note *notes;
        size_t count, found;
        is_done = !freed_find_note(freed, address, &notes, &count, &found);
        if (!is_done) {
            outcome = freed_handle(freed, &notes[found]);
            /* Its events may have freed it again. */
            freed_note_finish_own(freed->state);
            is_done = outcome >= FREED_LATER || freed_note_remove(freed->state, &notes[found]);
        }
        freed_note_free(notes, count);
    }
    return outcome;
}

static enum freed_outcome freed_lock_device(const struct freed *freed,
                                            const struct freed_note *note) {
    struct failure failure;
    char *slot = device_db_slot(&(struct device){.bus = note->bus, .address = note->address});
    char *name = memory_printf("freed-%s", slot);
    enum freed_outcome outcome = FREED_LATER;
    int lock = -1;
    enum lock_slot status = lock_slot(freed->state, name, &lock, &failure);
    if (status == LOCK_SLOT_FAILED) {
        freed_log_failure(freed, note, &failure);
        outcome = FREED_UNABLE;
    } else if (status != LOCK_SLOT_COALESCED) { /* else another process waits, and will do it */
        outcome = freed_take_turn(freed, note->address);
    }
    lock_release(lock);
    free(name);
    free(slot);
    return outcome;
}

bool freed_notify(const struct freed *freed) {
    bool good = true, again = true;
    freed_note_finish_own(freed->state);
    for (int round = 0; round < ROUNDS && again && freed_note_exists(freed->state); round++) {
        size_t count;
        struct freed_note *notes = freed_note_all(freed->state, &count);
        again = false;
        for (size_t i = 0; i < count; i++) {
            enum freed_outcome outcome =
                notes[i].is_ready ? freed_lock_device(freed, &notes[i]) : FREED_LATER;
            again |= outcome == FREED_DONE || outcome == FREED_PROBLEM;
            good &= outcome == FREED_DONE || outcome == FREED_LATER;
        }
        freed_note_free(notes, count);
    }
    return good;
}

void freed_notify_aside(struct freed freed) {
    freed.log = log_write_open(freed.state, false);
    freed_notify(&freed);
    log_write_close(freed.log);
}
