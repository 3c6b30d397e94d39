#include "engine/plan/plan_unplugged.h"

static bool plan_unplugged_is_on_host(const struct planner *planner,
                                      const struct domain_hostdev *hostdev) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (backend_is_hostdev(hostdev, &host->devices[i]) &&
            !planner_is_unplugged(planner, &host->devices[i]))
            return true;
    return !host->has_usb; /* without a root hub the kernel shows none of the USB devices */
}

/* Whether it may be the device that `unplugged` is about: what is unknown of one of the two counts
 * as equal. */
static bool plan_unplugged_may_be(const struct device *unplugged, enum bus bus, struct device_id id,
                                  unsigned bus_number, unsigned device_number) {
    if (!unplugged || unplugged->bus != bus)
        return false;
    if (unplugged->bus_number && bus_number)
        return unplugged->bus_number == bus_number && unplugged->device_number == device_number;
    return !(unplugged->id.vendor || unplugged->id.device) || !(id.vendor || id.device) ||
           device_id_is(unplugged->id, id);
}

bool plan_unplugged_is_detached(const struct planner *planner) {
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct device *gone = planner->plan->entries[i].unplugged;
        if (gone && plan_unplugged_may_be(planner_unplugged_device(planner), gone->bus, gone->id,
                                          gone->bus_number, gone->device_number))
            return true;
    }
    return false;
}

/* The rule that attaches it, or else one that detaches it at this event. */
static struct action_ref plan_unplugged_rule(const struct planner *planner,
                                             const struct domain_hostdev *hostdev) {
    const struct event *event = planner->event;
    struct action_ref ref =
        match_attach_action(planner->request->program, event,
                            &(struct device){.bus = BUS_USB, .id = hostdev->id}, hostdev->backend);
    bool named = plan_unplugged_may_be(planner_unplugged_device(planner), hostdev->bus, hostdev->id,
                                       hostdev->bus_number, hostdev->device_number);
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

void plan_unplugged_add(struct planner *planner) {
    const struct domain *domain = planner->domain;
    if (!event_can_attach(planner->event->name))
        return;
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &domain->hostdevs[i];
        if (hostdev->bus != BUS_USB || plan_unplugged_is_on_host(planner, hostdev))
            continue;
        struct action_ref ref = plan_unplugged_rule(planner, hostdev);
        if (!ref.rule)
            continue;
        struct plan_entry *entry = planner_add(planner, &ref, PLAN_STEP, NULL);
        entry->device = entry->unplugged = backend_gone_device(hostdev);
        planner_add_element(entry, backend_detach_xml(hostdev));
        entry->message =
            memory_strdup("the device was unplugged from the host, and the VM still has it");
        guest_leave(&planner->guest, &hostdev->place);
    }
}
