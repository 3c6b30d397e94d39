#include "engine/trigger/plug.h"
#include "engine/system/clock.h"
#include "lexer/text.h"

#include "engine/backend/backend.h"
#include "engine/host/tree.h"
#include "engine/libvirt/domain_list.h"
#include "engine/rules/match.h"
#include "engine/run/rule_errors.h"
#include "engine/state/device_db.h"
#include "engine/state/lock.h"
#include "engine/state/vm_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SETTLE_LIMIT_MS = 1000, /* how long the kernel may take to set a device up or away */
    SETTLE_WAIT_MS = 20,
};

/* One event at work. */
struct plugging {
    const struct plug *plug;
    const struct uevent *uevent;
    struct ruleset ruleset;
    struct program program;
    struct domain_list vms;  /* that run */
    unsigned long long seen; /* when they were listed */
    bool listed;             /* `vms` was asked for */
    bool errors_logged;
    bool again; /* notified for the second time: only devices are looked at */
    bool problem;
};

/* --- which rules are about it */

static bool plug_names_event(const struct program *program, enum event_name name) {
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct event_list *named = program->rules[i]->events; named; named = named->next)
            if (named->event == name)
                return true;
    return false;
}

/* An unplugged device is cleared from the VM that a rule gave it to, at whatever event that was. */
static bool plug_may_have_been_given(const struct program *program, const struct event *event) {
    return match_attaching(program, event, event->device,
                           backend_of_bus(event->device->bus)->backend)
        .rule;
}

static bool plug_has_device(const struct action_list *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->list[i].action->verb != VERB_RUN)
            return true;
    return false;
}

/* The first rule, by number, that the event concerns; the number of rules when it is only that what
 * the VM has is gone; SIZE_MAX for none. */
static size_t plug_rank_of(const struct program *program, const struct event *event, bool stands) {
    struct action_list wanted = match_event(program, event);
    size_t rank = SIZE_MAX;
    for (size_t i = program->rule_count; i-- > 0 && wanted.count;)
        if (program->rules[i] == wanted.list[0].rule)
            rank = i;
    if (stands && !plug_has_device(&wanted))
        rank = SIZE_MAX;
    free(wanted.list);
    if (rank == SIZE_MAX && event->name == EVENT_UNPLUGGED &&
        plug_may_have_been_given(program, event))
        rank = program->rule_count;
    return rank;
}

/* Whether a rule for whichever VM is about the event. */
static bool plug_concerns_any_vm(const struct program *program, enum event_name name,
                                 const struct device *device, bool stands) {
    struct event event = {.name = name, .device = device};
    return plug_rank_of(program, &event, stands) != SIZE_MAX;
}

static bool plug_devices_alone(const struct plugging *plugging) {
    return plugging->uevent->coldplug || plugging->again;
}

static bool plug_concerns_some_vm(const struct plugging *plugging, enum event_name name,
                                  const struct device *device) {
    return plug_concerns_any_vm(&plugging->program, name, device, plug_devices_alone(plugging));
}

bool plug_concerns(const struct program *program, const struct uevent *uevent) {
    if (uevent->coldplug)
        return plug_concerns_any_vm(program, EVENT_PLUGGED, &uevent->device, true);
    if (plug_names_event(program, EVENT_PLUGGED) || plug_names_event(program, EVENT_UNPLUGGED))
        return true;
    return plug_may_have_been_given(program, &(struct event){.device = &uevent->device});
}

/* --- the VMs */

static void plug_log_failure(struct plugging *plugging, enum event_name name,
                             const struct device *device, const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    char *subject =
        memory_printf("%s %04x:%04x", device->address, device->id.vendor, device->id.device);
    log_write_entry(plugging->plug->journal, &(struct log_entry){.event = scanner_event_text(name),
                                                                 .device = subject,
                                                                 .result = RESULT_FAILED,
                                                                 .message = text});
    free(text);
    free(subject);
    plugging->problem = true;
}

static int plug_load_vms(struct plugging *plugging, struct virt_error *error) {
    struct virt *virt = NULL;
    *error = (struct virt_error){0};
    if (plugging->plug->open_virt(&virt, NULL, error) < 0)
        return -1;
    int status = domain_list_running(&plugging->vms, virt, NULL, error);
    plugging->seen = clock_ticks();
    virt_close(virt);
    return status;
}

/* Once an event. A daemon that restarts is coalesced for, a library that is not there is not. */
static void plug_find_vms(struct plugging *plugging, enum event_name name,
                          const struct device *device) {
    struct virt_error error;
    struct retry retry = retry_start_steady(plugging->plug->clock, RETRY_FIRST_MS);
    int silences = 0;
    if (plugging->listed)
        return;
    plugging->listed = true;
    while (plug_load_vms(plugging, &error) < 0) {
        plugging->vms = (struct domain_list){0};
        bool again = !plugging->plug->by_hand &&
                     (error.kind == VIRT_NO_REPLY
                          ? ++silences < RETRY_SILENCE_LIMIT && retry_sleep(&retry, INT32_MAX)
                          : error.code && retry_call(&retry, &error));
        if (!again) {
            plug_log_failure(plugging, name, device, error.failure.message, error.failure.hint);
            return;
        }
    }
}

static void plug_execute(struct plugging *plugging, const struct event *event) {
    const struct plug *plug = plugging->plug;
    struct run_config config = {.program = &plugging->program,
                                .event = event,
                                .host_source = plug->host_source,
                                .state = plug->state,
                                .log = plug->journal,
                                .clock = plug->clock,
                                .open_virt = plug->open_virt};
    plugging->problem |= !run_event(&config);
}

/* The next VM: in the order of the rules, and first those that no other engine works on, whose work
 * may last as long as a rule waits for its device. */
static struct domain *plug_next_vm(const struct plugging *plugging, const struct event *told,
                                   const bool *done, bool busy) {
    struct domain *next = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < plugging->vms.count; i++) {
        struct event event = *told;
        event.domain = &plugging->vms.list[i];
        size_t rank = done[i]
                          ? SIZE_MAX
                          : plug_rank_of(&plugging->program, &event, plug_devices_alone(plugging));
        if (rank >= best ||
            (!busy && lock_vm_is_taken(plugging->plug->state, domain_key(event.domain))))
            continue;
        best = rank;
        next = &plugging->vms.list[i];
    }
    return next;
}

static void plug_notify(struct plugging *plugging, enum event_name name,
                        const struct device *device) {
    struct event event = {.name = name, .device = device, .settled = plugging->again};
    if (!plug_concerns_some_vm(plugging, name, device))
        return;
    if (!plugging->errors_logged)
        plugging->problem |= rule_errors_log(plugging->plug->journal, NULL, NULL,
                                             scanner_event_text(name), &plugging->ruleset);
    plugging->errors_logged = true;
    plug_find_vms(plugging, name, device);
    bool *done = memory_zalloc(plugging->vms.count + 1);
    for (int busy = 0; busy < 2; busy++)
        for (struct domain *vm; (vm = plug_next_vm(plugging, &event, done, busy));) {
            done[vm - plugging->vms.list] = true;
            event.domain = vm;
            event.seen = plugging->seen;
            plug_execute(plugging, &event);
        }
    free(done);
}

/* --- what is there */

enum plug_view { ABSENT, LEAVING, COMING, READY };

static bool plug_is_number(int directory, const char *name, unsigned wanted) {
    char *text = tree_directory_attribute(directory, name);
    uint32_t value = 0;
    bool is = text_parse_decimal(text, UINT16_MAX, &value) && value == wanted;
    free(text);
    return is;
}

/* Whether all its interfaces are there. The kernel announces a device before it has chosen a
 * configuration: then bNumInterfaces is an empty line, and a number of two places later. */
static bool plug_has_interfaces(const struct tree *tree, const char *path, const char *address,
                                int directory) {
    uint32_t wanted = 0, found = 0;
    char *text = tree_directory_attribute(directory, "bNumInterfaces");
    bool is_set_up = !text || text_parse_decimal(text + strspn(text, " "), UINT8_MAX, &wanted);
    struct names names = is_set_up && wanted ? tree_list(tree, path) : (struct names){0};
    size_t length = strlen(address);
    for (size_t i = 0; i < names.count; i++)
        found += !strncmp(names.items[i], address, length) && names.items[i][length] == ':';
    tree_finish_names(&names);
    free(text);
    return is_set_up && found >= wanted;
}

/* The kernel reports a removal before the device leaves sysfs. A PCI device that stays is a new
 * one. */
static bool plug_is_leaving(const struct uevent *uevent, int directory) {
    const struct device *device = &uevent->device;
    if (!uevent->removed || !uevent->seqnum)
        return false;
    return device->bus == BUS_PCI || (plug_is_number(directory, "busnum", device->bus_number) &&
                                      plug_is_number(directory, "devnum", device->device_number));
}

/* An old kernel makes the files of a PCI device after it has announced it. */
static bool plug_has_config(const struct tree *tree, const char *path) {
    char *file = memory_printf("%s/config", path);
    bool has = tree_has(tree, file);
    free(file);
    return has;
}

static enum plug_view plug_look(const struct tree *tree, const struct uevent *uevent) {
    const struct device *device = &uevent->device;
    bool pci = device->bus == BUS_PCI;
    char *path = memory_printf("sys/bus/%s/devices/%s", pci ? "pci" : "usb", device->address);
    int directory = tree_directory(tree, path);
    enum plug_view view = ABSENT;
    if (directory >= 0) {
        bool ready = pci ? plug_has_config(tree, path)
                         : plug_has_interfaces(tree, path, device->address, directory);
        view = plug_is_leaving(uevent, directory) ? LEAVING : ready ? READY : COMING;
        close(directory);
    }
    free(path);
    return view;
}

/* Waits until the kernel has set the device up, or removed it. */
static void plug_settle(const struct plug *plug, const struct uevent *uevent) {
    struct tree tree;
    struct retry retry = retry_start_steady(plug->clock, SETTLE_WAIT_MS);
    enum plug_view view;
    if (tree_open(&tree, plug->host_source->root))
        do
            view = plug_look(&tree, uevent);
        while ((view == LEAVING || view == COMING) && retry_sleep(&retry, SETTLE_LIMIT_MS));
    tree_close(&tree);
}

/* --- an event */

static bool plug_concerns_change(const struct plugging *plugging, const struct device *device) {
    return device && (plug_concerns_some_vm(plugging, EVENT_PLUGGED, device) ||
                      plug_concerns_some_vm(plugging, EVENT_UNPLUGGED, device));
}

/* What concerns no rule is not kept. */
static void plug_save_slot(struct plugging *plugging, struct device_slot *slot, const char *place,
                           const struct device_changes *changes) {
    bool was_known = slot->number || slot->is_here || slot->has_gone;
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

/* A device may have come and gone whose events were all sent away, and a VM may have got it. */
static void plug_notify_again(struct plugging *plugging, const struct device *now) {
    plugging->again = true;
    if (now)
        plug_notify(plugging, EVENT_PLUGGED, now);
    else
        plug_notify(plugging, EVENT_UNPLUGGED, &plugging->uevent->device);
}

/* It is remembered afterwards: what an engine that is killed at its work has not done, the next one
 * does, and what was done already needs no work. */
static void plug_notify_changes(struct plugging *plugging, struct device_slot *slot,
                                const char *place, const struct device *now, bool coalesced) {
    struct device_changes changes = device_db_compare(slot, plugging->uevent, now);
    for (size_t i = 0; i < changes.unplugged_count; i++)
        plug_notify(plugging, EVENT_UNPLUGGED, changes.unplugged[i]);
    if (changes.plugged)
        plug_notify(plugging, EVENT_PLUGGED, changes.plugged);
    if (coalesced && !changes.unplugged_count && !changes.plugged)
        plug_notify_again(plugging, now);
    plug_save_slot(plugging, slot, place, &changes);
}

static void plug_log_damage(struct plugging *plugging, const struct device_slot *slot,
                            const char *place) {
    if (!slot->damaged)
        return;
    char *message =
        memory_printf("%s/devices/%s is damaged: ignored", plugging->plug->state, place);
    plug_log_failure(plugging, plugging->uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED,
                     &plugging->uevent->device, message, "the VMs may get an event twice");
    free(message);
}

static void plug_compare_and_notify(struct plugging *plugging, const char *place, bool coalesced) {
    const struct plug *plug = plugging->plug;
    const struct device *device = &plugging->uevent->device;
    struct host host;
    struct device_slot slot;
    struct failure failure;
    char *boot = plug->host_source->boot_id(plug->host_source);
    plug_settle(plug, plugging->uevent);
    if (plug->host_source->load(plug->host_source, &host, &failure) < 0) {
        plug_log_failure(plugging, plugging->uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED,
                         device, failure.message, "is sysfs mounted on /sys?");
    } else {
        device_db_read(&slot, plug->state, place, boot);
        plug_log_damage(plugging, &slot, place);
        plug_notify_changes(plugging, &slot, place, host_find(&host, device->bus, device->address),
                            coalesced);
        device_db_finish(&slot);
        host_finish(&host);
    }
    free(boot);
}

/*
 * Returns at once when another process waits for the same place. A removal waits first, until what
 * it is about has left sysfs: who waits for the place shall see that.
 */
static void plug_lock_slot(struct plugging *plugging) {
    struct failure failure;
    char *place = device_db_slot(&plugging->uevent->device);
    int lock = -1;
    if (plugging->uevent->removed)
        plug_settle(plugging->plug, plugging->uevent);
    enum lock_slot turn = lock_slot(plugging->plug->state, place, &lock, &failure);
    if (turn == LOCK_SLOT_FAILED)
        plug_log_failure(plugging, plugging->uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED,
                         &plugging->uevent->device, failure.message, "continuing without a lock");
    if (turn != LOCK_SLOT_COALESCED)
        plug_compare_and_notify(plugging, place, turn == LOCK_SLOT_WAITED);
    lock_release(lock);
    free(place);
}

bool plug_event(const struct plug *plug, const struct uevent *uevent) {
    struct plugging plugging = {.plug = plug, .uevent = uevent};
    ruleset_init(&plugging.ruleset);
    ruleset_add_directory(&plugging.ruleset, plug->rules);
    ruleset_load(&plugging.ruleset, NULL);
    program_init(&plugging.program, &plugging.ruleset);
    if (plug_concerns(&plugging.program, uevent))
        plug_lock_slot(&plugging);
    program_finish(&plugging.program);
    ruleset_finish(&plugging.ruleset);
    domain_list_finish(&plugging.vms);
    return !plugging.problem;
}
