#include "engine/action/action_instances.h"

#include "engine/action/action.h"
#include "engine/model/stable_id.h"
#include "engine/plan/plan_power.h"

#include <stdlib.h>
#include <string.h>

/* One that is to be in the VM. */
struct instance {
    const struct device *parent; /* of the host */
    char uuid[STABLE_ID_UUID_SIZE];
};

struct instances {
    struct planner *planner;
    const struct action_ref *ref;
    const char *type;      /* NULL: the rule says 'uuid' */
    struct instance *list; /* chosen, and not in the plan yet */
    size_t count;
};

/* --- what is there, and what the plan has */

static const struct device_mdev *action_instances_mdev_of(const struct device *device,
                                                          const char *uuid) {
    for (size_t i = 0; i < device->mdev_count; i++)
        if (!strcmp(device->mdevs[i].uuid, uuid))
            return &device->mdevs[i];
    return NULL;
}

/* The device of the host that it is on; NULL: it is not there. */
static const struct device *action_instances_parent_of(const struct planner *planner,
                                                       const char *uuid) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (action_instances_mdev_of(&host->devices[i], uuid))
            return &host->devices[i];
    return NULL;
}

static const struct domain *action_instances_vm_of(const struct planner *planner,
                                                   const char *uuid) {
    const struct plan_request *request = planner->request;
    for (size_t i = 0; i < request->other_count; i++)
        if (domain_has_mdev(&request->others[i], uuid))
            return &request->others[i];
    return domain_has_mdev(planner->domain, uuid) ? planner->domain : NULL;
}

/* An entry of the plan gives it to the VM, or says that the VM has it. */
static bool action_instances_is_planned(const struct planner *planner, const char *uuid) {
    const struct plan *plan = planner->plan;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].instance && !strcmp(plan->entries[i].instance->instance, uuid))
            return true;
    return false;
}

/* How many of the type the plan and the choice create on the device. */
static size_t action_instances_created(const struct instances *instances,
                                       const struct device *parent) {
    const struct plan *plan = instances->planner->plan;
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct device *one = plan->entries[i].instance;
        count += one && plan->entries[i].kind == PLAN_STEP && device_is_same(one, parent) &&
                 one->mdevs[0].type && !strcmp(one->mdevs[0].type, instances->type) &&
                 !action_instances_mdev_of(parent, one->instance);
    }
    for (size_t i = 0; i < instances->count; i++)
        count += instances->list[i].parent == parent &&
                 !action_instances_mdev_of(parent, instances->list[i].uuid);
    return count;
}

static size_t action_instances_left(const struct instances *instances,
                                    const struct device *parent) {
    const struct device_mdev_type *type = device_find_mdev_type(parent, instances->type);
    size_t created = action_instances_created(instances, parent);
    return type && type->available > created ? type->available - created : 0;
}

/* How many of the device the VM has or gets. */
static size_t action_instances_own(const struct instances *instances, const struct device *parent) {
    const struct planner *planner = instances->planner;
    size_t count = 0;
    for (size_t i = 0; i < parent->mdev_count; i++)
        count += domain_has_mdev(planner->domain, parent->mdevs[i].uuid);
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct plan_entry *entry = &planner->plan->entries[i];
        count +=
            entry->instance && entry->kind == PLAN_STEP && device_is_same(entry->instance, parent);
    }
    for (size_t i = 0; i < instances->count; i++)
        count += instances->list[i].parent == parent &&
                 !domain_has_mdev(planner->domain, instances->list[i].uuid);
    return count;
}

/* --- its UUID */

/* `parent`: of 'all', which gives one of each device; else NULL. */
static struct stable_id action_instances_id(const struct instances *instances,
                                            const struct device *parent) {
    char *target = planner_target_text(instances->ref);
    char *words = memory_printf("%s as mdev %s%s%s", target, instances->type, parent ? " at " : "",
                                parent ? parent->address : "");
    const struct domain *domain = instances->planner->domain;
    const char *key = domain->uuid || domain->name ? domain_key(domain) : ""; /* of any VM */
    struct stable_id id = stable_id_of(key, words);
    free(words);
    free(target);
    return id;
}

/* The next one that no other rule of the same words has. */
static void action_instances_next(const struct planner *planner, struct stable_id id,
                                  unsigned *ordinal, char uuid[STABLE_ID_UUID_SIZE]) {
    do
        stable_id_uuid(id, (*ordinal)++, uuid);
    while (action_instances_is_planned(planner, uuid));
}

/* --- whether it is available */

static struct verdict action_instances_none_left(const struct instances *instances,
                                                 const struct device *parent) {
    const struct planner *planner = instances->planner;
    const struct device_mdev_type *type = device_find_mdev_type(parent, instances->type);
    enum { LISTED = 8 };
    const char *label = type && type->label ? type->label : "";
    char *message = memory_printf("it has no %s%s%s%s left", instances->type, *label ? " (" : "",
                                  label, *label ? ")" : "");
    for (size_t i = 0; i < parent->mdev_count && i < LISTED; i++) {
        const struct device_mdev *one = &parent->mdevs[i];
        const struct domain *vm = action_instances_vm_of(planner, one->uuid);
        memory_append(&message, "%s %s (%s, %s%s%s)", i ? "," : "; there are", one->uuid,
                      one->type ? one->type : "of unknown type", vm ? "VM '" : "in no VM",
                      vm ? domain_label(vm) : "", vm ? "'" : "");
    }
    if (parent->mdev_count > LISTED)
        memory_append(&message, " and %zu more", parent->mdev_count - LISTED);
    char *hint = memory_printf(
        "stop a VM that has one, or detach it there; see what the device has left with "
        "'virt-rules devices --all'%s",
        match_rule_names_event(instances->ref->rule, EVENT_FREED)
            ? "; or wait: the rule names 'freed', so this VM gets one when it is free"
            : "");
    return verdict_refuse(REFUSED_HELD, message, hint);
}

/* One with that UUID is there already. */
static struct verdict action_instances_judge_there(const struct instances *instances,
                                                   const struct device *wanted,
                                                   const struct device *parent, const char *uuid) {
    const struct device_mdev *there = action_instances_mdev_of(parent, uuid);
    const struct domain *vm = action_instances_vm_of(instances->planner, uuid);
    if (vm)
        return verdict_refuse(
            REFUSED_HELD,
            memory_printf("VM '%s' has the mediated device %s", domain_label(vm), uuid),
            memory_strdup("stop that VM or detach the device there"));
    if (parent == wanted &&
        (!instances->type || (there->type && !strcmp(there->type, instances->type))))
        return (struct verdict){0};
    return verdict_refuse(
        REFUSED_HELD,
        memory_printf("the mediated device %s, which this rule would create, is there already: "
                      "%s on %s",
                      uuid, there->type ? there->type : "of unknown type", parent->address),
        memory_printf("when nothing uses it, remove it: echo 1 > /sys/bus/mdev/devices/%s/remove",
                      uuid));
}

/* Whether the device may give any. */
static struct verdict action_instances_judge_parent(const struct instances *instances,
                                                    const struct device *parent) {
    struct planner *planner = instances->planner;
    const struct action_ref *ref = instances->ref;
    const struct backend_type *backend = backend_type(ref->action->backend);
    struct backend_options options = choose_options(planner, ref, parent);
    if (*planner_mark(planner, parent) & MARK_ATTACH)
        return verdict_refuse(REFUSED_HELD,
                              memory_strdup("another rule gives the device itself to the VM"),
                              memory_strdup("keep one of the two rules: for the device, or for "
                                            "mediated devices of it"));
    struct verdict verdict = judge_device(&planner->judge, parent, backend, &options, false);
    return verdict.refusal ? verdict : backend_judge_options(&options);
}

/* Free places in the guest apart. */
static struct verdict action_instances_judge(const struct instances *instances,
                                             const struct device *parent, const char *uuid) {
    const struct device *there = action_instances_parent_of(instances->planner, uuid);
    struct verdict verdict = action_instances_judge_parent(instances, parent);
    if (!verdict.refusal && there)
        verdict = action_instances_judge_there(instances, parent, there, uuid);
    if (!verdict.refusal && !there && !action_instances_left(instances, parent))
        verdict = action_instances_none_left(instances, parent);
    return verdict;
}

/* --- entries */

/* A copy of the device that has this instance alone. */
static struct device *action_instances_copy(const struct instances *instances,
                                            const struct device *parent, const char *uuid) {
    const struct device_mdev *there = action_instances_mdev_of(parent, uuid);
    const char *type = there && there->type ? there->type : instances->type;
    struct device *copy = memory_zalloc(sizeof *copy);
    char *own_type = memory_copy(type);
    *copy = device_copy(parent);
    device_make_instance(copy, uuid, own_type);
    return copy;
}

static struct plan_entry *action_instances_add(const struct instances *instances,
                                               enum plan_kind kind, struct device *instance) {
    struct plan_entry *entry = planner_add(instances->planner, instances->ref, kind, NULL);
    entry->device = entry->instance = instance;
    return entry;
}

/* `awake`: a mediated device has no power of its own, so it is its device of the host that stays
 * awake, until no VM has a mediated device of that. */
static void action_instances_add_settings(struct plan_entry *entry, const struct device *parent,
                                          const struct backend_options *options) {
    plan_power_add(&entry->settings, parent, options);
    char *power = plan_power_note(&entry->settings, parent);
    if (power)
        planner_note(entry, "%s of %s", power, parent->address);
    free(power);
}

static void action_instances_add_step(const struct instances *instances,
                                      const struct device *parent, struct device *instance,
                                      const struct backend_options *options) {
    const struct backend_type *backend = backend_type(instances->ref->action->backend);
    const char *type = instance->mdevs[0].type;
    const struct device_mdev_type *offered = type ? device_find_mdev_type(parent, type) : NULL;
    struct plan_entry *entry = action_instances_add(instances, PLAN_STEP, instance);
    planner_add_element(entry, backend_xml(backend, instance, options, 0));
    entry->place = options->place;
    *planner_mark(instances->planner, parent) |= MARK_SHARED;
    if (instances->type)
        entry->note = memory_printf(
            "a mediated device of type %s%s%s%s is %s for it", type,
            offered && offered->label ? " (" : "", offered && offered->label ? offered->label : "",
            offered && offered->label ? ")" : "",
            action_instances_mdev_of(parent, instance->instance) ? "there" : "created");
    action_instances_add_settings(entry, parent, options);
}

static void action_instances_plan_one(const struct instances *instances,
                                      const struct device *parent, const char *uuid) {
    struct planner *planner = instances->planner;
    const struct backend_type *backend = backend_type(instances->ref->action->backend);
    if (domain_has_mdev(planner->domain, uuid)) {
        action_instances_add(instances, PLAN_SKIPPED,
                             action_instances_copy(instances, parent, uuid))
            ->message = memory_strdup("the VM has it already");
        return;
    }
    struct verdict verdict = action_instances_judge(instances, parent, uuid);
    struct device *instance = action_instances_copy(instances, parent, uuid);
    struct backend_options options = choose_options(planner, instances->ref, parent);
    if (!verdict.refusal && !choose_take_place(&planner->guest, backend, instance, &options))
        verdict = backend->refuse_place(&(struct backend_need){.domain = planner->domain,
                                                               .guest = &planner->guest,
                                                               .device = parent,
                                                               .options = &options,
                                                               .needed = 1});
    if (!verdict.refusal) {
        action_instances_add_step(instances, parent, instance, &options);
        return;
    }
    planner_refuse(planner, instances->ref, parent, verdict);
    device_finish(instance);
    free(instance);
}

/* --- any N */

static void action_instances_choose(struct instances *instances, const struct device *parent,
                                    const char *uuid) {
    instances->list = memory_grow(instances->list, instances->count, sizeof *instances->list);
    struct instance *one = &instances->list[instances->count++];
    one->parent = parent;
    snprintf(one->uuid, sizeof one->uuid, "%s", uuid);
}

static bool action_instances_is_selected(const struct device_list *devices,
                                         const struct device *device) {
    for (size_t i = 0; i < devices->count; i++)
        if (devices->list[i] == device)
            return true;
    return false;
}

/* The device of which the VM has the fewest, and of these the one that has the most left. `refused`
 * has a verdict for each device. NULL: none has any left. */
static const struct device *action_instances_best(const struct instances *instances,
                                                  const struct device_list *devices,
                                                  const struct verdict *refused) {
    const struct device *best = NULL;
    size_t best_own = 0, best_left = 0;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device *device = devices->list[i];
        size_t own = action_instances_own(instances, device);
        size_t left = action_instances_left(instances, device);
        if (refused[i].refusal || !left)
            continue;
        if (!best || own < best_own || (own == best_own && left > best_left)) {
            best = device;
            best_own = own;
            best_left = left;
        }
    }
    return best;
}

static void action_instances_plan_any(struct instances *instances,
                                      const struct device_list *devices) {
    struct planner *planner = instances->planner;
    const struct target *target = instances->ref->target;
    struct stable_id id = action_instances_id(instances, NULL);
    struct verdict *refused = memory_zalloc(devices->count * sizeof *refused);
    char uuid[STABLE_ID_UUID_SIZE];
    unsigned ordinal = 0;
    size_t absent = 0;
    struct choice choice = {.reasons = memory_strdup("")};
    /* What is there comes first: an engine that was killed, or an earlier event, chose it. */
    for (size_t i = 0; i < target->count; i++) {
        action_instances_next(planner, id, &ordinal, uuid);
        const struct device *there = action_instances_parent_of(planner, uuid);
        if (there && action_instances_is_selected(devices, there))
            action_instances_choose(instances, there, uuid);
        else if (!domain_has_mdev(planner->domain, uuid))
            absent++;
    }
    for (size_t i = 0; i < devices->count && absent; i++)
        refused[i] = action_instances_judge_parent(instances, devices->list[i]);
    ordinal = 0;
    for (size_t i = 0; i < target->count; i++) {
        const struct device *best;
        action_instances_next(planner, id, &ordinal, uuid);
        if (!action_instances_parent_of(planner, uuid) && !domain_has_mdev(planner->domain, uuid) &&
            (best = action_instances_best(instances, devices, refused)))
            action_instances_choose(instances, best, uuid);
    }
    bool enough = instances->count >= target->count;
    for (size_t i = 0; i < devices->count; i++) {
        if (refused[i].refusal)
            choose_note_refusal(planner, instances->ref, &choice, devices->list[i], refused[i]);
        else if (!enough && absent)
            choose_note_refusal(planner, instances->ref, &choice, devices->list[i],
                                action_instances_none_left(instances, devices->list[i]));
    }
    choice.count = instances->count;
    struct instance *list = instances->list;
    size_t count = instances->count;
    instances->list = NULL; /* from here on they are counted in the plan */
    instances->count = 0;
    for (size_t i = 0; i < count; i++)
        if (enough || plan_has_option(instances->ref->action, OPTION_OPTIONAL))
            action_instances_plan_one(instances, list[i].parent, list[i].uuid);
    if (!enough)
        action_attach_refuse_too_few(planner, instances->ref, &choice);
    free(list);
    free(refused);
    choose_finish(&choice);
}

/* --- one, all, and one that is there */

static void action_instances_plan_uuid(struct instances *instances,
                                       const struct device_list *devices, const char *uuid) {
    struct planner *planner = instances->planner;
    const struct device *parent = action_instances_parent_of(planner, uuid);
    if (parent && action_instances_is_selected(devices, parent)) {
        if (!action_instances_is_planned(planner, uuid))
            action_instances_plan_one(instances, parent, uuid);
        return;
    }
    const struct device *first = devices->list[0];
    bool optional = plan_has_option(instances->ref->action, OPTION_OPTIONAL);
    struct plan_entry *entry =
        planner_add(planner, instances->ref, optional ? PLAN_SKIPPED : PLAN_REFUSED, NULL);
    entry->refusal = REFUSED_ABSENT;
    if (parent) {
        entry->message = memory_printf("the mediated device %s is on %s, which the rule does not "
                                       "select",
                                       uuid, parent->address);
        entry->hint = memory_printf("write 'at %s' in the rule", parent->address);
    } else {
        const char *type = first->mdev_type_count ? first->mdev_types[0].name : "TYPE";
        entry->message = memory_printf("there is no mediated device %s", uuid);
        entry->hint = memory_printf("create it: mdevctl start --uuid %s --parent %s --type %s; or "
                                    "write 'as mdev \"%s\"', and it is created for the VM",
                                    uuid, first->address, type, type);
    }
}

void action_instances_plan(struct planner *planner, const struct action_ref *ref,
                           const struct device_list *devices) {
    const struct action_option *type = syntax_find_option(ref->action->options, OPTION_MDEV_TYPE);
    const struct action_option *own = syntax_find_option(ref->action->options, OPTION_MDEV_UUID);
    struct instances instances = {.planner = planner, .ref = ref, .type = type ? type->text : NULL};
    char uuid[STABLE_ID_UUID_SIZE];
    if (own && domain_uuid_parse(own->text, uuid)) {
        action_instances_plan_uuid(&instances, devices, uuid);
    } else if (!type) { /* a rule with an error, which has no plan */
    } else if (ref->target->quantifier == QUANTIFIER_ANY) {
        action_instances_plan_any(&instances, devices);
    } else if (devices->count > 1 && ref->target->quantifier == QUANTIFIER_ONE) {
        choose_refuse_ambiguous(planner, ref, devices);
    } else {
        bool all = ref->target->quantifier == QUANTIFIER_ALL;
        for (size_t i = 0; i < devices->count; i++) {
            unsigned ordinal = 0;
            action_instances_next(planner,
                                  action_instances_id(&instances, all ? devices->list[i] : NULL),
                                  &ordinal, uuid);
            action_instances_plan_one(&instances, devices->list[i], uuid);
        }
    }
}
