#include "engine/plan/planner.h"

#include "engine/backend/backend_place.h"
#include "engine/host/driver.h"
#include "engine/plan/vf_hint.h"

#include <stdlib.h>
#include <string.h>

uint8_t *planner_mark(const struct planner *planner, const struct device *device) {
    return &planner->marks[device - planner->request->host->devices];
}

void planner_set_mark(struct planner *planner, const struct device *device,
                      enum planner_mark mark) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *other = &host->devices[i];
        bool is_all_of_other = mark == MARK_DETACH || other->scsi_device_count == 1;
        if (other == device || device_is_on(other, device) ||
            (device_is_on(device, other) && is_all_of_other))
            planner->marks[i] |= (uint8_t)mark;
    }
}

bool planner_is_attached(const struct planner *planner, const struct action *action,
                         const struct device *device) {
    const struct backend_options options = {.list = action->options};
    if (planner->judge.is_starting)
        return false;
    for (const struct domain_hostdev *one = NULL;
         (one = backend_next_hostdev(planner->domain, device, one));) {
        const struct backend_type *type = backend_type(one->backend);
        bool is_own = one->backend == action->backend;
        if ((is_own || !type->shares_device) &&
            backend_has_all(planner->domain, type, device, is_own ? &options : NULL))
            return true;
    }
    return false;
}

bool planner_is_assigned(const struct planner *planner, const struct action *action,
                         const struct device *device) {
    return *planner_mark(planner, device) & (MARK_ATTACH | MARK_CHOSEN) ||
           planner_is_attached(planner, action, device);
}

bool planner_may_take(const struct planner *planner, const struct action_ref *ref) {
    return planner->event->name == EVENT_STARTED && !planner->event->settled &&
           !planner->request->takes_nothing && plan_has_option(ref->action, OPTION_TAKE);
}

const struct device *planner_unplugged_device(const struct planner *planner) {
    return planner->event->name == EVENT_UNPLUGGED ? planner->event->device : NULL;
}

bool planner_is_unplugged(const struct planner *planner, const struct device *device) {
    const struct device *unplugged = planner_unplugged_device(planner);
    if (!unplugged || device_is_same(unplugged, device))
        return unplugged;
    return device_is_on(device, unplugged) &&
           (unplugged->bus != BUS_USB || device->device_number == unplugged->device_number);
}

/* --- entries */

/* Whether the host loses it, as a keyboard or a display: not when functions are created on it. A
 * driver of the host that gets a display goes on showing the console, and another that gets a USB
 * controller may drive no keyboard. */
static bool planner_leaves_host(const struct action *action, enum plan_kind kind,
                                const struct device *device) {
    if (action->verb == VERB_BIND)
        return driver_is_vfio(action->driver) || (kind == PLAN_STEP && !device->is_display);
    return action->verb != VERB_CREATE;
}

struct plan_entry *planner_add(struct planner *planner, const struct action_ref *ref,
                               enum plan_kind kind, const struct device *device) {
    struct plan *plan = planner->plan;
    plan->entries = memory_grow(plan->entries, plan->count, sizeof *plan->entries);
    struct plan_entry *entry = &plan->entries[plan->count++];
    *entry = (struct plan_entry){.kind = kind,
                                 .rule = ref->rule,
                                 .action = ref->action,
                                 .target = ref->target,
                                 .device = device,
                                 .target_text = ref->target ? planner_target_text(ref) : NULL};
    if (device && kind != PLAN_REFUSED && planner_leaves_host(ref->action, kind, device))
        planner_set_mark(planner, device,
                         ref->action->verb == VERB_ATTACH ? MARK_ATTACH : MARK_DETACH);
    return entry;
}

static void planner_add_xml(struct plan_entry *entry, char *xml, int controller) {
    if (!xml)
        return;
    entry->elements = memory_grow(entry->elements, entry->element_count, sizeof *entry->elements);
    struct plan_element *element = &entry->elements[entry->element_count++];
    element->xml = xml;
    element->controller = controller;
}

void planner_add_element(struct plan_entry *entry, char *xml) {
    planner_add_xml(entry, xml, -1);
}

void planner_add_controller(struct plan_entry *entry, const struct guest_place *place) {
    planner_add_xml(entry, backend_place_controller_xml(place),
                    (int)(place->needs_port_controller ? place->bus : place->scsi));
}

void planner_note(struct plan_entry *entry, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_vprintf(format, arguments);
    va_end(arguments);
    if (entry->note)
        memory_append(&entry->note, "; %s", text);
    else
        entry->note = memory_strdup(text);
    free(text);
}

void planner_refuse(struct planner *planner, const struct action_ref *ref,
                    const struct device *device, struct verdict verdict) {
    struct plan_entry *entry = planner_add(planner, ref, PLAN_REFUSED, device);
    entry->refusal = verdict.refusal;
    entry->message = verdict.message;
    entry->hint = verdict.hint;
}

void planner_omit(struct planner *planner, const struct action_ref *ref,
                  const struct device *device, struct verdict verdict) {
    struct plan *plan = planner->plan;
    plan->omitted = memory_grow(plan->omitted, plan->omitted_count, sizeof *plan->omitted);
    plan->omitted[plan->omitted_count++] =
        (struct plan_omitted){ref->action, ref->target, device, verdict.refusal, verdict.message};
    free(verdict.hint);
}

void planner_absent(struct planner *planner, const struct action_ref *ref, const char *label,
                    const char *except) {
    bool optional = plan_has_option(ref->action, OPTION_OPTIONAL),
         waits = planner->event->name != EVENT_DEFINED;
    struct plan_entry *entry =
        planner_add(planner, ref, optional ? PLAN_SKIPPED : PLAN_REFUSED, NULL);
    char *meaning = planner_meaning_text(ref);
    struct vf_hint functions = vf_hint_of(planner->request->host, ref->target->device);
    entry->refusal = REFUSED_ABSENT;
    entry->message = memory_printf("the host has no %s%sdevice %s%s%s", label, *label ? " " : "",
                                   entry->target_text, meaning, except);
    if (functions.message)
        memory_append(&entry->message, ": %s", functions.message);
    free(meaning);
    if (waits && plan_option_ms(ref->action, OPTION_WITHIN))
        entry->hint = memory_strdup("a run waits for it as long as 'within' says");
    else if (functions.hint)
        entry->hint = memory_copy(functions.hint);
    else if (!optional)
        entry->hint =
            memory_printf("see 'virt-rules devices'; 'optional' allows it to be missing%s",
                          waits ? ", 'within 30s' waits for it" : "");
    vf_hint_finish(&functions);
}

const struct plan_entry *planner_find(const struct planner *planner, enum verb verb,
                                      const struct device *device) {
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct plan_entry *entry = &planner->plan->entries[i];
        if (entry->action->verb == verb && entry->device == device && entry->kind != PLAN_REFUSED)
            return entry;
    }
    return NULL;
}

/* --- lists of devices */

void planner_list_add(struct device_list *devices, const struct device *device) {
    devices->list = memory_grow((void *)devices->list, devices->count, sizeof(struct device *));
    devices->list[devices->count++] = device;
}

void planner_list_finish(struct device_list *devices) {
    free((void *)devices->list);
}

struct device_list planner_matching(const struct planner *planner, const struct target *target) {
    struct device_list found = {0};
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (match_device(target->device, &host->devices[i]))
            planner_list_add(&found, &host->devices[i]);
    return found;
}

void planner_list_fold(struct planner *planner, const struct action_ref *ref,
                       struct device_list *devices) {
    size_t left = 0;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device *device = devices->list[i], *upper = NULL;
        for (size_t j = 0; j < devices->count && !upper; j++)
            if (device_is_on(device, devices->list[j]))
                upper = devices->list[j];
        if (upper)
            planner_omit(
                planner, ref, device,
                verdict_refuse(REFUSED_NOT,
                               memory_printf("it is on %s, which stands for both", upper->address),
                               NULL));
        else
            devices->list[left++] = device;
    }
    devices->count = left;
}

/* --- texts */

static char *planner_criteria_text(const struct source *source, const struct criterion *first) {
    const struct criterion *last = first;
    if (!first)
        return memory_strdup("");
    while (last->next)
        last = last->next;
    return program_text(source, (struct span){first->span.start, last->span.end});
}

char *planner_target_text(const struct action_ref *ref) {
    return planner_criteria_text(ref->rule->source, ref->target->device);
}

char *planner_meaning_text(const struct action_ref *ref) {
    const struct criterion *only = ref->target->device;
    if (!only || only->next || only->kind != CRITERION_NAME || !only->resolved)
        return memory_strdup("");
    char *text = planner_criteria_text(only->definition->source, only->definition->device);
    char *meaning = memory_printf(" (%s)", text);
    free(text);
    return meaning;
}
