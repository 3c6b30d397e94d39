#include "engine/run/guest_removal.h"

#include "engine/backend/backend.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/state/pending.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

/* What the VM's live XML shows. */
enum guest_removal_view { VIEW_ATTACHED, VIEW_DETACHED, VIEW_NO_VM, VIEW_NOTHING };

static bool guest_removal_is_path(const char *one, const char *other) {
    return one && other ? !strcmp(one, other) : one == other;
}

static bool guest_removal_has(const struct domain *domain, const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *other = &domain->hostdevs[i];
        if (other->backend == hostdev->backend && !strcmp(other->alias, hostdev->alias) &&
            !strcmp(other->address, hostdev->address) && !strcmp(other->uuid, hostdev->uuid) &&
            !strcmp(other->target, hostdev->target) &&
            guest_removal_is_path(other->path, hostdev->path) &&
            other->bus_number == hostdev->bus_number &&
            other->device_number == hostdev->device_number)
            return true;
    }
    return false;
}

/* All are devices of one VM. `error` says why there is VIEW_NOTHING. */
static void guest_removal_look(const struct guest_removal *removals, enum guest_removal_view *views,
                               size_t count, struct virt_error *error) {
    const struct virt *virt = removals->virt;
    const struct domain *domain = removals->domain;
    struct domain now;
    char *xml = NULL;
    enum guest_removal_view view = VIEW_NOTHING;
    bool is_read = false;
    if (virt->ops->domain_xml(removals->virt, domain_key(domain), &xml, error) < 0) {
        if (error->kind == VIRT_NO_DOMAIN || error->kind == VIRT_NOT_RUNNING)
            view = VIEW_NO_VM;
    } else if (domain_xml_parse(&now, xml, strlen(xml), &error->failure) < 0) {
        error->kind = VIRT_FAILED;
        failure_hint(&error->failure, "this is libvirt's XML of the VM: see 'virsh dumpxml'");
    } else if (now.id < 0 || (domain->id >= 0 && now.id != domain->id)) {
        view = VIEW_NO_VM; /* the id tells one start of a VM from the next */
        domain_finish(&now);
    } else {
        is_read = true;
    }
    free(xml);
    for (size_t i = 0; i < count; i++)
        views[i] = !is_read                                       ? view
                   : guest_removal_has(&now, removals[i].hostdev) ? VIEW_ATTACHED
                                                                  : VIEW_DETACHED;
    if (is_read)
        domain_finish(&now);
}

/* What is known of a device that is waited for. */
struct guest_removal_seen {
    enum guest_removal_view *views;
    bool *refused; /* the guest has said so */
};

static bool guest_removal_is_awaited(const struct guest_removal *removals,
                                     const struct guest_removal_result *results, size_t count,
                                     const char *alias) {
    for (size_t i = 0; i < count; i++)
        if (results[i].asked && !strcmp(removals[i].hostdev->alias, alias))
            return true;
    return false;
}

/* Waits for an event. Returns true when the VM is to be looked at: an event of one of the devices
 * or of the VM's end, or none in time. A lost connection is watched again. */
static bool guest_removal_wait_for_event(const struct guest_removal *removals,
                                         const struct guest_removal_result *results, size_t count,
                                         int64_t wait, struct virt_event *event) {
    struct virt *virt = removals->virt;
    struct virt_error ignored;
    if (virt->ops->wait(virt, (int)wait, event, &ignored) < 0) {
        removals->clock->sleep_ms(removals->clock, wait);
        virt->ops->watch(virt, domain_key(removals->domain), &ignored);
        event->kind = VIRT_EVENT_NONE;
    }
    return event->kind == VIRT_EVENT_NONE || event->kind == VIRT_EVENT_STOPPED ||
           guest_removal_is_awaited(removals, results, count, event->alias);
}

static bool guest_removal_is_over(const struct guest_removal_seen *seen,
                                  const struct guest_removal_result *results, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (results[i].asked && !seen->refused[i] &&
            (seen->views[i] == VIEW_ATTACHED || seen->views[i] == VIEW_NOTHING))
            return false;
    return true;
}

/* `error` says why nothing was seen in the end. */
static void guest_removal_watch(const struct guest_removal *removals,
                                const struct guest_removal_result *results, size_t count,
                                struct guest_removal_seen *seen, struct virt_error *error) {
    int64_t limit = removals->limit_ms ? removals->limit_ms : GUEST_REMOVAL_LIMIT_MS, left;
    struct retry retry = retry_start(removals->clock);
    guest_removal_look(removals, seen->views, count, error);
    while (!guest_removal_is_over(seen, results, count) && (left = retry_left(&retry, limit)) > 0) {
        struct virt_event event;
        if (!guest_removal_wait_for_event(removals, results, count,
                                          retry.wait < left ? retry.wait : left, &event))
            continue;
        guest_removal_look(removals, seen->views, count, error);
        for (size_t i = 0; i < count; i++)
            seen->refused[i] |= seen->views[i] == VIEW_ATTACHED &&
                                event.kind == VIRT_EVENT_REFUSED &&
                                !strcmp(event.alias, removals[i].hostdev->alias);
        retry_next(&retry, limit);
    }
}

static void guest_removal_answer(struct guest_removal_result *result, enum guest_answer answer,
                                 const char *message, const char *hint) {
    *result = (struct guest_removal_result){.answer = answer, .error = {.kind = VIRT_FAILED}};
    failure_set(&result->error.failure, "%s", message);
    failure_hint(&result->error.failure, "%s", hint);
}

/* `words` are libvirt's, where only its code says so; or NULL. */
static void guest_removal_refused(struct guest_removal_result *result, const char *words) {
    char *message = memory_printf("the guest refuses to release the device%s%s", words ? ": " : "",
                                  words ? words : "");
    guest_removal_answer(result, GUEST_REFUSED, message,
                         "stop its use in the guest, or shut the VM down");
    free(message);
}

/* Its end gives the device back. */
static void guest_removal_stopped(struct guest_removal_result *result) {
    guest_removal_answer(result, GUEST_STOPPED, "the VM has stopped",
                         "there is nothing left to detach");
}

void guest_removal_ask(const struct guest_removal *removal, struct guest_removal_result *result) {
    struct virt *virt = removal->virt;
    struct virt_error ignored;
    enum guest_removal_view view;
    *result = (struct guest_removal_result){.asked = true};
    if (virt->ops->detach(virt, domain_key(removal->domain), removal->domain->id, removal->xml,
                          &result->error) == 0)
        return;
    result->asked = false;
    result->answer = GUEST_NOT_ASKED;
    if (result->error.kind == VIRT_NO_REPLY || result->error.kind == VIRT_UNREACHABLE)
        return;
    /* It may be gone already, or the guest was quick. libvirt says "not running" also of a VM that
     * has not quite started. */
    guest_removal_look(removal, &view, 1, &ignored);
    if (view == VIEW_DETACHED)
        guest_removal_answer(result, GUEST_RELEASED, "the VM no longer has the device", "");
    else if (view == VIEW_NO_VM)
        guest_removal_stopped(result);
    else if (result->error.kind == VIRT_REFUSED)
        guest_removal_refused(result,
                              result->error.is_unknown ? result->error.failure.message : NULL);
}

void guest_removal_await(const struct guest_removal *removals, struct guest_removal_result *results,
                         size_t count) {
    struct virt_error error;
    struct guest_removal_seen seen = {.views = memory_zalloc((count + 1) * sizeof *seen.views),
                                      .refused = memory_zalloc(count + 1)};
    if (!guest_removal_is_over(&seen, results, count))
        guest_removal_watch(removals, results, count, &seen, &error);
    for (size_t i = 0; i < count; i++) {
        if (!results[i].asked)
            continue;
        switch (seen.views[i]) {
        case VIEW_DETACHED:
            guest_removal_answer(&results[i], GUEST_RELEASED, "the guest released it", "");
            break;
        case VIEW_NO_VM:
            guest_removal_stopped(&results[i]);
            break;
        case VIEW_ATTACHED:
            if (seen.refused[i])
                guest_removal_refused(&results[i], NULL);
            else
                guest_removal_answer(&results[i], GUEST_NO_ANSWER,
                                     "the guest did not release the device",
                                     "it did not answer: has it finished booting, and does it "
                                     "support hot-plug? Stop its use in the guest, or shut the VM "
                                     "down");
            break;
        case VIEW_NOTHING:
            results[i] = (struct guest_removal_result){.answer = GUEST_UNSEEN, .error = error};
            break;
        }
    }
    free(seen.views);
    free(seen.refused);
}

size_t guest_removal_worst(const struct guest_removal_result *results, size_t count) {
    static const enum guest_answer order[] = {GUEST_STOPPED, GUEST_UNSEEN, GUEST_NOT_ASKED,
                                              GUEST_REFUSED, GUEST_NO_ANSWER};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (size_t j = 0; j < count; j++)
            if (results[j].answer == order[i])
                return j;
    return 0;
}

enum guest_answer guest_removal_wait(const struct guest_removal *removals, size_t count,
                                     struct virt_error *result) {
    if (!count)
        return GUEST_RELEASED;
    struct guest_removal_result *results = memory_zalloc(count * sizeof *results);
    bool is_silent = false;
    /* Without events the VM's XML is read at intervals: if libvirt fails, the next call says so. */
    removals->virt->ops->watch(removals->virt, domain_key(removals->domain), result);
    for (size_t i = 0; i < count; i++) {
        if (is_silent) {
            results[i] = results[i - 1];
            continue;
        }
        guest_removal_ask(&removals[i], &results[i]);
        is_silent =
            !results[i].asked && results[i].answer == GUEST_NOT_ASKED &&
            (results[i].error.kind == VIRT_NO_REPLY || results[i].error.kind == VIRT_UNREACHABLE);
    }
    if (!is_silent)
        guest_removal_await(removals, results, count);
    size_t worst = is_silent ? count - 1 : guest_removal_worst(results, count);
    enum guest_answer answer = results[worst].answer;
    *result = results[worst].error;
    free(results);
    return answer;
}

enum guest_answer guest_removal_wait_shown(const struct guest_removal *removals, size_t count,
                                           const char *state, const char *device, const char *text,
                                           struct virt_error *result) {
    if (!count)
        return GUEST_RELEASED;
    const char *key = domain_key(removals->domain);
    struct retry retry = retry_start(removals->clock);
    char *subject = memory_printf("%s, VM '%s'", text, domain_label(removals->domain));
    enum guest_answer answer;
    if (state)
        pending_begin(state, key, "detach", device, 0);
    virt_set_subject(removals->virt, subject);
    do
        answer = guest_removal_wait(removals, count, result);
    while (answer == GUEST_NOT_ASKED && retry_call(&retry, result));
    virt_set_subject(removals->virt, NULL);
    if (state && (answer != GUEST_NOT_ASKED ||
                  (result->kind != VIRT_NO_REPLY && result->kind != VIRT_UNREACHABLE)))
        pending_end(state, key, device);
    free(subject);
    return answer;
}

struct guest_removal *guest_removal_of(struct virt *virt, struct clock *clock,
                                       const struct domain *domain, const struct device *device,
                                       bool only_ours, size_t *count) {
    struct guest_removal *removals = NULL;
    *count = 0;
    for (const struct domain_hostdev *one = NULL;
         (one = backend_next_hostdev(domain, device, one));) {
        struct backend_alias alias;
        if (only_ours && !backend_read_alias(one, &alias))
            continue;
        removals = memory_grow(removals, *count, sizeof *removals);
        removals[(*count)++] = (struct guest_removal){.virt = virt,
                                                      .clock = clock,
                                                      .domain = domain,
                                                      .hostdev = one,
                                                      .xml = backend_detach_xml(one)};
    }
    return removals;
}

void guest_removal_finish(struct guest_removal *removals, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(removals[i].xml);
    free(removals);
}

bool guest_removal_was_lost(const struct host_source *source, const struct device *device,
                            struct clock *clock) {
    enum { LOOK_MS = 20 };
    struct retry retry = retry_start_steady(clock, LOOK_MS);
    bool is_there = true;
    while (device->bus == BUS_USB && (is_there = source->is_there(source, device)) &&
           retry_sleep(&retry, GUEST_REMOVAL_LOSS_MS))
        ;
    return !is_there;
}
