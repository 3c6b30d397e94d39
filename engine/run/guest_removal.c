#include "engine/run/guest_removal.h"

#include "engine/libvirt/domain_xml.h"

#include <stdlib.h>
#include <string.h>

/* What the VM's live XML shows. */
enum guest_removal_view { VIEW_ATTACHED, VIEW_DETACHED, VIEW_NO_VM, VIEW_NOTHING };

static bool guest_removal_has(const struct domain *domain, const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *other = &domain->hostdevs[i];
        if (other->bus == hostdev->bus && !strcmp(other->alias, hostdev->alias) &&
            !strcmp(other->address, hostdev->address) && other->bus_number == hostdev->bus_number &&
            other->device_number == hostdev->device_number)
            return true;
    }
    return false;
}

static enum guest_removal_view guest_removal_look(const struct guest_removal *removal,
                                                  struct virt_error *error) {
    struct domain now;
    char *xml = NULL;
    if (removal->virt->ops->domain_xml(removal->virt, domain_key(removal->domain), &xml, error) < 0)
        return error->kind == VIRT_NO_DOMAIN || error->kind == VIRT_NOT_RUNNING ? VIEW_NO_VM
                                                                                : VIEW_NOTHING;
    int status = domain_xml_parse(&now, xml, strlen(xml), &error->failure);
    free(xml);
    if (status < 0) {
        error->kind = VIRT_FAILED;
        failure_hint(&error->failure, "this is libvirt's XML of the VM: see 'virsh dumpxml'");
        return VIEW_NOTHING;
    }
    /* The id tells one start of a VM from the next. */
    enum guest_removal_view view =
        now.id < 0 || (removal->domain->id >= 0 && now.id != removal->domain->id) ? VIEW_NO_VM
        : guest_removal_has(&now, removal->hostdev)                               ? VIEW_ATTACHED
                                                                                  : VIEW_DETACHED;
    domain_finish(&now);
    return view;
}

/* Waits for an event. Returns true when the VM is to be looked at: an event of this device or of
 * the VM's end, or none in time. A lost connection is watched again. */
static bool guest_removal_wait_for_event(const struct guest_removal *removal, int64_t wait,
                                         enum virt_event_kind *kind) {
    struct virt_event event;
    struct virt_error ignored;
    if (removal->virt->ops->wait(removal->virt, (int)wait, &event, &ignored) < 0) {
        removal->clock->sleep_ms(removal->clock, wait);
        removal->virt->ops->watch(removal->virt, domain_key(removal->domain), &ignored);
        event.kind = VIRT_EVENT_NONE;
    }
    *kind = event.kind;
    return event.kind == VIRT_EVENT_NONE || event.kind == VIRT_EVENT_STOPPED ||
           !strcmp(event.alias, removal->hostdev->alias);
}

/* Returns what was seen last; of VIEW_NOTHING `error` says why. */
static enum guest_removal_view guest_removal_watch(const struct guest_removal *removal,
                                                   bool *refused, struct virt_error *error) {
    int64_t limit = removal->limit_ms ? removal->limit_ms : GUEST_REMOVAL_LIMIT_MS, left;
    struct retry retry = retry_start(removal->clock);
    enum guest_removal_view view = guest_removal_look(removal, error);
    while ((view == VIEW_ATTACHED || view == VIEW_NOTHING) && !*refused &&
           (left = retry_left(&retry, limit)) > 0) {
        enum virt_event_kind kind;
        if (!guest_removal_wait_for_event(removal, retry.wait < left ? retry.wait : left, &kind))
            continue;
        view = guest_removal_look(removal, error);
        *refused = view == VIEW_ATTACHED && kind == VIRT_EVENT_REFUSED;
        retry_next(&retry, limit);
    }
    return view;
}

static enum guest_answer guest_removal_answer(struct virt_error *result, enum guest_answer answer,
                                              const char *message, const char *hint) {
    *result = (struct virt_error){.kind = VIRT_FAILED};
    failure_set(&result->failure, "%s", message);
    failure_hint(&result->failure, "%s", hint);
    return answer;
}

static enum guest_answer guest_removal_refused(struct virt_error *result) {
    return guest_removal_answer(result, GUEST_REFUSED, "the guest refuses to release the device",
                                "stop its use in the guest, or shut the VM down");
}

enum guest_answer guest_removal_wait(const struct guest_removal *removal,
                                     struct virt_error *result) {
    struct virt *virt = removal->virt;
    struct virt_error ignored;
    bool refused = false;
    /* Without events the VM's XML is read at intervals: if libvirt fails, the next call says so. */
    virt->ops->watch(virt, domain_key(removal->domain), result);
    if (virt->ops->detach(virt, domain_key(removal->domain), removal->domain->id, removal->xml,
                          result) < 0) {
        if (result->kind == VIRT_REFUSED)
            return guest_removal_refused(result);
        /* It may be gone already, or the guest was quick. */
        if (result->kind == VIRT_FAILED && guest_removal_look(removal, &ignored) == VIEW_DETACHED)
            return guest_removal_answer(result, GUEST_RELEASED, "the VM no longer has the device",
                                        "");
        return GUEST_NOT_ASKED;
    }
    switch (guest_removal_watch(removal, &refused, result)) {
    case VIEW_DETACHED:
        return guest_removal_answer(result, GUEST_RELEASED, "the guest released it", "");
    case VIEW_NO_VM:
        return guest_removal_answer(result, GUEST_STOPPED, "the VM has stopped",
                                    "there is nothing left to detach");
    case VIEW_ATTACHED:
        return refused ? guest_removal_refused(result)
                       : guest_removal_answer(result, GUEST_NO_ANSWER,
                                              "the guest did not release the device",
                                              "it did not answer: has it finished booting, and "
                                              "does it support hot-plug? "
                                              "Stop its use in the guest, or shut the VM down");
    case VIEW_NOTHING:
        break;
    }
    return GUEST_UNSEEN;
}
