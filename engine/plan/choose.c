#include "engine/plan/choose.h"

#include "engine/plan/plan_defined.h"
#include "engine/plan/selector.h"

#include <stdlib.h>

struct device_list choose_unit(const struct planner *planner, const struct action_ref *ref,
                               const struct device *device) {
    struct device_list unit = {0};
    const struct host *host = planner->request->host;
    planner_list_add(&unit, device);
    for (size_t i = 0; ref->action->with_group && i < host->count; i++)
        if (judge_is_group_member(device, &host->devices[i]) &&
            !planner_is_unplugged(planner, &host->devices[i]))
            planner_list_add(&unit, &host->devices[i]);
    return unit;
}

struct backend_options choose_options(const struct planner *planner, const struct action_ref *ref,
                                      const struct device *device) {
    struct backend_options options = plan_backend_options(ref->action, ref->target, device);
    char *words = ref->target ? planner_target_text(ref) : memory_strdup("");
    options.libvirt_version = planner->request->libvirt_version;
    options.is_definition = planner->event->name == EVENT_DEFINED;
    options.id = stable_id_of(planner->domain->name ? domain_key(planner->domain) : "", words);
    free(words);
    return options;
}

/* The plan attaches a part of the device, and it cannot go as a whole too. */
static struct verdict choose_judge_parts(const struct planner *planner,
                                         const struct device *device) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; device->scsi_device_count && i < host->count; i++) {
        const struct device *part = &host->devices[i];
        if (device_is_on(part, device) && (*planner_mark(planner, part) & MARK_ATTACH))
            return verdict_refuse(
                REFUSED_HELD,
                memory_printf("another rule gives %s, which is on it, to the VM", part->address),
                memory_printf("keep one of the two rules: for %s alone, or for the device with all "
                              "that is on it",
                              part->address));
    }
    return (struct verdict){0};
}

struct verdict choose_judge(struct planner *planner, const struct action_ref *ref,
                            const struct device *device) {
    if (planner_is_assigned(planner, ref->action, device))
        return (struct verdict){0};
    if (*planner_mark(planner, device) & MARK_SHARED)
        return verdict_refuse(REFUSED_HELD,
                              memory_strdup("another rule gives the VM a mediated device of it"),
                              memory_strdup("keep one of the two rules: for the device, or for "
                                            "mediated devices of it"));
    struct backend_options options = choose_options(planner, ref, device);
    struct verdict verdict =
        judge_device(&planner->judge, device, backend_type(ref->action->backend), &options,
                     ref->action->with_group);
    if (!verdict.refusal)
        verdict = choose_judge_parts(planner, device);
    if (!verdict.refusal && options.is_definition)
        verdict = plan_defined_judge(planner, ref, device);
    return verdict.refusal ? verdict : backend_judge_options(&options);
}

bool choose_take_place(struct guest *guest, const struct backend_type *backend,
                       const struct device *device, struct backend_options *options) {
    options->place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    return !backend->take_place || backend->take_place(guest, device, options);
}

/* Takes a place for each element that the VM does not have. */
static struct verdict choose_take_places(const struct planner *planner, struct guest *guest,
                                         const struct action_ref *ref,
                                         const struct device_list *unit) {
    const struct backend_type *backend = backend_type(ref->action->backend);
    struct backend_options options, refused;
    struct backend_need need = {.domain = planner->domain, .guest = guest, .options = &refused};
    for (size_t i = 0; i < unit->count; i++) {
        if (planner_is_assigned(planner, ref->action, unit->list[i]))
            continue;
        options = choose_options(planner, ref, unit->list[i]);
        size_t count = backend_count(backend, unit->list[i], &options);
        for (size_t index = 0; index < count; index++) {
            if (backend_has_element(planner->domain, backend, unit->list[i], index))
                continue;
            need.needed++;
            if (choose_take_place(guest, backend, unit->list[i], &options)) {
                need.placed++;
            } else if (!need.device) {
                need.device = unit->list[i];
                refused = options;
            }
        }
    }
    return need.device ? backend->refuse_place(&need) : (struct verdict){0};
}

struct verdict choose_judge_places(const struct planner *planner, const struct action_ref *ref,
                                   const struct device_list *unit) {
    struct guest guest = planner->guest;
    return choose_take_places(planner, &guest, ref, unit);
}

/* The first reason why the unit cannot be attached as a whole. */
static struct verdict choose_judge_unit(struct planner *planner, const struct action_ref *ref,
                                        const struct device_list *unit) {
    for (size_t i = 0; i < unit->count; i++) {
        struct verdict verdict = choose_judge(planner, ref, unit->list[i]);
        if (verdict.refusal)
            return verdict;
    }
    return choose_judge_places(planner, ref, unit);
}

/* --- any N */

/* Marks the unit and takes its places. Counts all its devices that the target selects. */
static void choose_add_unit(struct planner *planner, const struct action_ref *ref,
                            struct choice *choice, const struct device_list *devices,
                            const struct device_list *unit) {
    struct verdict verdict = choose_take_places(planner, &planner->guest, ref, unit);
    verdict_finish(&verdict);
    planner_list_add(&choice->list, unit->list[0]);
    for (size_t i = 0; i < unit->count; i++) {
        uint8_t *mark = planner_mark(planner, unit->list[i]);
        for (size_t j = 0; j < devices->count && !(*mark & MARK_CHOSEN); j++)
            choice->count += devices->list[j] == unit->list[i];
        *mark |= MARK_CHOSEN;
    }
}

void choose_note_refusal(struct planner *planner, const struct action_ref *ref,
                         struct choice *choice, const struct device *device,
                         struct verdict verdict) {
    planner_omit(planner, ref, device, verdict_copy(&verdict));
    memory_append(&choice->reasons, "; %s: %s", device->address, verdict.message);
    choice->differ |= choice->first.refusal && choice->first.refusal != verdict.refusal;
    if (choice->first.refusal)
        verdict_finish(&verdict);
    else
        choice->first = verdict;
}

static void choose_device(struct planner *planner, const struct action_ref *ref,
                          struct choice *choice, const struct device_list *devices,
                          const struct device *device) {
    struct device_list unit = choose_unit(planner, ref, device), alone = {&device, 1};
    struct verdict verdict = choose_judge_unit(planner, ref, &unit);
    if (!verdict.refusal) {
        choose_add_unit(planner, ref, choice, devices, &unit);
    } else if (planner_is_assigned(planner, ref->action, device)) {
        /* It is in the VM; the rest of its group gets an entry that says why it cannot follow. */
        choose_add_unit(planner, ref, choice, devices, &alone);
        verdict_finish(&verdict);
    } else {
        choose_note_refusal(planner, ref, choice, device, verdict);
    }
    planner_list_finish(&unit);
}

/* In which a device is chosen: those that the VM has or this plan attaches; of a definition those
 * that are ours in it; free ones; and with 'take', or for a definition, those of other VMs. */
enum choose_round { CHOOSE_ASSIGNED, CHOOSE_OURS, CHOOSE_FREE, CHOOSE_TAKEN, CHOOSE_ROUNDS };

/* Whether a later round may choose the device, or one of its group that it needs. */
static bool choose_is_for_later(struct planner *planner, const struct action_ref *ref,
                                const struct device *device) {
    struct device_list unit = choose_unit(planner, ref, device);
    bool is = false;
    planner->judge.may_take = true;
    for (size_t i = 0; i < unit.count; i++)
        is |= judge_holder(&planner->judge, unit.list[i]) != NULL;
    planner->judge.may_take = false;
    planner_list_finish(&unit);
    return is;
}

static enum choose_round choose_round_of(struct planner *planner, const struct action_ref *ref,
                                         const struct device *device) {
    if (planner_is_assigned(planner, ref->action, device))
        return CHOOSE_ASSIGNED;
    if (planner->event->name == EVENT_DEFINED)
        return plan_defined_is_ours(planner, device)    ? CHOOSE_OURS
               : plan_defined_other_vm(planner, device) ? CHOOSE_TAKEN
                                                        : CHOOSE_FREE;
    return planner_may_take(planner, ref) && choose_is_for_later(planner, ref, device)
               ? CHOOSE_TAKEN
               : CHOOSE_FREE;
}

struct choice choose_any(struct planner *planner, const struct action_ref *ref,
                         const struct device_list *devices) {
    struct choice choice = {.reasons = memory_strdup("")};
    struct guest guest = planner->guest;
    bool may_take = planner_may_take(planner, ref);
    for (enum choose_round round = 0; round < CHOOSE_ROUNDS; round++)
        for (size_t i = 0; i < devices->count; i++) {
            const struct device *device = devices->list[i];
            bool is_due = !(*planner_mark(planner, device) & MARK_CHOSEN) &&
                          round == choose_round_of(planner, ref, device);
            planner->judge.may_take = may_take && round == CHOOSE_TAKEN;
            if (!is_due)
                continue;
            if (choice.count < ref->target->count)
                choose_device(planner, ref, &choice, devices, device);
            else if (round != CHOOSE_ASSIGNED)
                planner_omit(planner, ref, device,
                             verdict_refuse(REFUSED_NOT,
                                            memory_strdup("enough other devices were chosen "
                                                          "before it"),
                                            NULL));
        }
    for (size_t i = 0; i < planner->request->host->count; i++)
        planner->marks[i] &= (uint8_t)~MARK_CHOSEN;
    planner->guest = guest;
    planner->judge.may_take = may_take;
    return choice;
}

void choose_finish(struct choice *choice) {
    planner_list_finish(&choice->list);
    verdict_finish(&choice->first);
    free(choice->reasons);
}

/* --- one of several */

/* Behind 'vf of' an address is that of the physical function. */
static const char *choose_hint_place(const struct action_ref *ref) {
    for (const struct criterion *one = ref->target->device; one; one = one->next)
        if (one->kind == CRITERION_VF)
            return " before 'vf'";
    return "";
}

static char *choose_hint_which(const struct planner *planner, const struct action_ref *ref,
                               const struct device *device) {
    struct selector selector;
    selector_init(&selector, planner->request->host);
    char *words = selector_addition(&selector, device);
    char *hint = memory_printf(
        "say which: '%s'%s for one of them, 'any' for the first%s one, 'all' for all", words,
        choose_hint_place(ref), ref->action->verb == VERB_ATTACH ? " free" : "");
    free(words);
    selector_finish(&selector);
    return hint;
}

/* Names the first device that can be attached, or else says why the first one cannot. */
static char *choose_hint(struct planner *planner, const struct action_ref *ref,
                         const struct device_list *devices) {
    bool attach = ref->action->verb == VERB_ATTACH;
    char *why = NULL, *hint = NULL;
    for (size_t i = 0; i < devices->count && !hint; i++) {
        const struct device *device = devices->list[i];
        struct device_list unit = choose_unit(planner, ref, device);
        struct verdict verdict =
            attach ? choose_judge_unit(planner, ref, &unit) : (struct verdict){0};
        if (!verdict.refusal)
            hint = choose_hint_which(planner, ref, device);
        else if (!why)
            why = memory_printf("none of them is free: %s: %s; %s; and 'any' takes one of them",
                                device->address, verdict.message, verdict.hint);
        planner_list_finish(&unit);
        verdict_finish(&verdict);
    }
    if (hint)
        free(why);
    return hint ? hint : why;
}

void choose_refuse_ambiguous(struct planner *planner, const struct action_ref *ref,
                             const struct device_list *devices) {
    enum { LISTED = 16 }; /* enough to choose from; a line must stay one */
    char *list = memory_strdup(""), *target = planner_target_text(ref);
    for (size_t i = 0; i < devices->count && i < LISTED; i++)
        memory_append(&list, "%s%s", i ? ", " : "", devices->list[i]->address);
    if (devices->count > LISTED)
        memory_append(&list, " and %zu more", devices->count - LISTED);
    planner_refuse(
        planner, ref, NULL,
        verdict_refuse(REFUSED_AMBIGUOUS,
                       memory_printf("%zu devices%s are %s: %s", devices->count,
                                     ref->action->verb == VERB_ATTACH ? "" : " that the VM has",
                                     target, list),
                       choose_hint(planner, ref, devices)));
    free(target);
    free(list);
}
