#include "engine/plan/plan_unplugged.h"

#include <stdlib.h>
#include <string.h>

/* Whether the device that the element was of is there, as far as its alias tells. */
static bool plan_unplugged_is_there(const struct planner *planner,
                                    const struct domain_hostdev *hostdev,
                                    const struct backend_alias *alias) {
    const struct host *host = planner->request->host;
    const struct device *device = hostdev->backend == BACKEND_SCSI
                                      ? host_find(host, BUS_SCSI, hostdev->address)
                                      : host_find(host, alias->bus, alias->address);
    return device && !planner_is_unplugged(planner, device) &&
           (!alias->device_number || !device->device_number ||
            alias->device_number == device->device_number);
}

static bool plan_unplugged_is_on_host(const struct planner *planner,
                                      const struct domain_hostdev *hostdev) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (backend_is_hostdev(hostdev, &host->devices[i]) &&
            !planner_is_unplugged(planner, &host->devices[i]))
            return true;
    return !host->has_usb; /* without a root hub the kernel shows none of the USB devices */
}

/* A PCI device leaves by itself. What libvirt keeps is a USB device, and a file or a SCSI device
 * with an alias of ours. */
static bool plan_unplugged_is_gone(const struct planner *planner,
                                   const struct domain_hostdev *hostdev) {
    struct backend_alias alias;
    if (backend_read_alias(hostdev, &alias))
        return !plan_unplugged_is_there(planner, hostdev, &alias) &&
               (alias.bus != BUS_USB || planner->request->host->has_usb);
    return hostdev->backend == BACKEND_USB && !plan_unplugged_is_on_host(planner, hostdev);
}

/* Whether it may be the device that `unplugged` is about: what is unknown of one of the two counts
 * as equal. */
static bool plan_unplugged_may_be(const struct device *unplugged, const struct device *gone) {
    if (!unplugged || unplugged->bus != gone->bus)
        return false;
    if (unplugged->bus_number && gone->bus_number)
        return unplugged->bus_number == gone->bus_number &&
               unplugged->device_number == gone->device_number;
    if (!gone->bus_number && !strcmp(unplugged->address, gone->address))
        return !gone->device_number || !unplugged->device_number ||
               gone->device_number == unplugged->device_number;
    if (gone->file_count)
        return false; /* its alias has its address */
    return !(unplugged->id.vendor || unplugged->id.device) ||
           !(gone->id.vendor || gone->id.device) || device_id_is(unplugged->id, gone->id);
}

bool plan_unplugged_is_detached(const struct planner *planner) {
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct device *gone = planner->plan->entries[i].unplugged;
        if (gone && plan_unplugged_may_be(planner_unplugged_device(planner), gone))
            return true;
    }
    return false;
}

/* The rule that attaches it, or else one that detaches it at this event. A rule may have selected
 * what it was on. */
static struct action_ref plan_unplugged_rule(const struct planner *planner,
                                             const struct domain_hostdev *hostdev,
                                             const struct device *gone) {
    const struct event *event = planner->event;
    struct backend_alias alias;
    struct device selected = *gone;
    if (backend_read_alias(hostdev, &alias)) {
        selected.bus = alias.bus;
        selected.address = alias.address;
    }
    struct action_ref ref =
        match_attach_action(planner->request->program, event, &selected, hostdev->backend);
    bool named = plan_unplugged_may_be(planner_unplugged_device(planner), gone);
    for (size_t i = 0; named && i < planner->actions.count && !ref.rule; i++) {
        if (planner->actions.list[i].action->verb != VERB_DETACH)
            continue;
        ref = planner->actions.list[i];
        ref.target = ref.action->targets;
        while (ref.target && !match_target(ref.target, event))
            ref.target = ref.target->next;
    }
    return ref;
}

/* An entry of the plan that is about the same device. */
static struct plan_entry *plan_unplugged_find(const struct planner *planner,
                                              const struct device *gone) {
    for (size_t i = 0; i < planner->plan->count; i++) {
        struct plan_entry *entry = &planner->plan->entries[i];
        const struct device *other = entry->unplugged;
        if (other && gone->file_count && other->file_count && other->bus == gone->bus &&
            !strcmp(other->address, gone->address) && other->device_number == gone->device_number &&
            other->files->kind == gone->files->kind)
            return entry;
    }
    return NULL;
}

/* One element of it. Takes the device. */
static void plan_unplugged_add_one(struct planner *planner, const struct domain_hostdev *hostdev,
                                   struct device *gone) {
    struct action_ref ref = plan_unplugged_rule(planner, hostdev, gone);
    struct plan_entry *entry = plan_unplugged_find(planner, gone);
    if (entry) {
        device_add_file(entry->unplugged, gone->files->kind, memory_strdup(gone->files->path));
    } else if (ref.rule) {
        entry = planner_add(planner, &ref, PLAN_STEP, NULL);
        entry->device = entry->unplugged = gone;
        entry->message =
            memory_strdup("the device was unplugged from the host, and the VM still has it");
        gone = NULL;
    }
    if (entry) {
        planner_add_element(entry, backend_detach_xml(hostdev));
        guest_leave(&planner->guest, &hostdev->place);
    }
    if (gone)
        device_finish(gone);
    free(gone);
}

void plan_unplugged_add(struct planner *planner) {
    const struct domain *domain = planner->domain;
    if (!event_can_attach(planner->event->name))
        return;
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (plan_unplugged_is_gone(planner, &domain->hostdevs[i]))
            plan_unplugged_add_one(planner, &domain->hostdevs[i],
                                   backend_gone_device(&domain->hostdevs[i]));
}
