#include "engine/action/action.h"

#include "engine/action/action_instances.h"
#include "engine/backend/backend_place.h"
#include "engine/plan/choose.h"
#include "engine/plan/plan_defined.h"
#include "engine/plan/plan_power.h"
#include "engine/plan/plan_settings.h"
#include "engine/plan/vf_hint.h"
#include "engine/run/host_setting.h"
#include "engine/run/run.h"
#include "engine/run/take.h"
#include "engine/state/lock.h"

#include <stdlib.h>
#include <string.h>

/* "... is in use by driver QEMU, domain NAME": this VM, or another one that was faster. In another
 * language it may be either: the next plan sees what another VM's XML shows. */
static bool action_attach_may_be_own(const struct run *run, const struct virt_error *error) {
    static const char label[] = ", domain ";
    const char *holder = strstr(error->failure.message, label);
    return holder ? !strcmp(holder + strlen(label), run->domain.name) : error->is_unknown;
}

#define STALE                                                                                      \
    "libvirt counts the device as in use by this VM, which does not have it: restart the libvirt " \
    "daemon (VMs keep running), then run 'virt-rules "

static const char *action_attach_stale_hint(const struct run *run) {
    return run->config->event->name == EVENT_PLUGGED ? STALE "plug add' with the device's address"
                                                     : STALE "apply'";
}

/* libvirt may still do what it has not answered: the device is not given back to the host then. */
static enum run_outcome action_attach_failed(struct run *run, const struct plan_entry *entry,
                                             struct task *task, const struct virt_error *error) {
    const struct device *device = entry->device;
    if (error->kind != VIRT_UNREACHABLE && !task->reply_lost)
        restore_driver_note_failed(run, device);
    if (error->kind != VIRT_BUSY)
        return run_fail_call(run, entry, task, error);
    bool by_this_vm = action_attach_may_be_own(run, error);
    switch (run_vm_has(run, entry)) {
    case VM_HAS:
        return task->reply_lost ? run_finish_attach(run, entry, task)
                                : run_finish_task(run, entry, task, RESULT_ALREADY,
                                                  "the VM has it already", NULL);
    case VM_HAS_NOT: /* libvirt may not be done with a detach of it */
        if (by_this_vm && run_try_later(run, task))
            return RUN_REPLAN;
        task->due = 0;
        /* The next plan refuses the device, and `any` takes the next one. */
        run->busy = memory_grow(run->busy, run->busy_count, sizeof *run->busy);
        run->busy[run->busy_count++] = (struct busy_device){
            device->bus, memory_strdup(device->address), memory_strdup(error->failure.message),
            by_this_vm ? action_attach_stale_hint(run)
            : device->bus == BUS_PCI
                ? "a VM has it or another device of its IOMMU group: stop that VM "
                  "or detach the device there"
                : "a VM has it, or a program of the host: stop that VM or detach the device there; "
                  "for a program see 'fuser -v' of its node in /dev"};
        return RUN_REPLAN;
    case VM_HAS_UNKNOWN:
        if (run->must_reconnect)
            return RUN_REPLAN;
        break;
    }
    run_finish_task(run, entry, task, RESULT_FAILED, error->failure.message, error->failure.hint);
    return RUN_OVER;
}

/* libvirt reported success, but the guest may have released the device already. */
static enum run_outcome action_attach_check(struct run *run, const struct plan_entry *entry,
                                            struct task *task) {
    switch (run_vm_has(run, entry)) {
    case VM_HAS:
        return run_finish_attach(run, entry, task);
    case VM_HAS_NOT:
        return guest_boot_removed(run, entry, task);
    case VM_HAS_UNKNOWN:
        if (!run->must_reconnect)
            break;
        task->reply_lost = true;
        return RUN_REPLAN;
    }
    run_finish_task(run, entry, task, RESULT_FAILED,
                    "libvirt reported success, but then the VM could not be read",
                    "see 'virsh dumpxml' for what it has");
    return RUN_OVER;
}

/* udev sets the owner and mode of a new device's node, and would undo what libvirt sets. A udev
 * that does not get to it keeps no VM from its device. */
static bool action_attach_settles(struct run *run, const struct plan_entry *entry,
                                  struct task *task) {
    const struct host_source *source = run->config->host_source;
    const struct backend_type *type = backend_type(entry->action->backend);
    char *missing = NULL;
    bool is_settling = source->settling(source, entry->device, &missing) == HOST_SETTLING_UDEV;
    /* The driver makes the second port after the first one. */
    if (!is_settling && type->count_elements && run_is_new(run, entry->device)) {
        const struct backend_options options =
            plan_backend_options(entry->action, entry->target, entry->device);
        size_t count = backend_count(type, entry->device, &options), before = task->elements;
        task->elements = count;
        if (count != before && run_settle_later(run, task))
            return true;
    }
    bool waits = is_settling && run_settle_later(run, task);
    free(task->unsettled);
    task->unsettled = is_settling && !waits ? memory_copy(missing) : NULL;
    free(missing);
    return waits;
}

/* An element of a step. A SCSI controller that the VM has already is not sent again. */
static int action_attach_element(struct run *run, const struct plan_element *element,
                                 struct virt_error *error) {
    int index = element->controller;
    struct guest *guest = &run->domain.guest;
    if (index >= 0 && guest->scsi[index].is_there)
        return 0;
    int status =
        run->virt->ops->attach(run->virt, run_vm(run), run->domain.id, element->xml, error);
    if (index >= 0 && status == 0) /* the next steps of this plan find it */
        guest_add_scsi(guest, "virtio-scsi", index);
    return status;
}

/* The SCSI controller that an earlier step of the plan was to plug in, and did not: it waits, or
 * failed. libvirt would add one by itself, of a model of its own choice. */
static int action_attach_add_scsi(struct run *run, const struct plan_entry *entry,
                                  struct virt_error *error) {
    struct guest_place place = entry->place;
    if (!place.has_unit || run->domain.guest.scsi[place.scsi].is_there)
        return 0;
    place.needs_scsi = true;
    struct plan_element controller = {backend_place_controller_xml(&place), (int)place.scsi};
    int status = action_attach_element(run, &controller, error);
    free(controller.xml);
    return status;
}

/* Attaches one element after the other. Returns -1 at the first that fails: what is missing is
 * tried again, or what the VM has got is taken out again. */
static int action_attach_call(struct run *run, const struct plan_entry *entry, struct task *task,
                              struct virt_error *error) {
    int64_t called = run_now(run);
    size_t own = 0;
    for (size_t i = 0; i < entry->element_count; i++)
        own += entry->elements[i].controller < 0;
    free(task->words);
    task->words = NULL;
    run_begin_call(run, "attach", entry->device);
    int status = action_attach_add_scsi(run, entry, error);
    for (size_t i = 0; i < entry->element_count && status == 0; i++) {
        status = action_attach_element(run, &entry->elements[i], error);
        task->has_part |= status == 0 && own > 1 && entry->elements[i].controller < 0;
    }
    task->call_ms = run_now(run) - called;
    run_end_call(run, entry->device, status < 0 ? error : NULL);
    return status;
}

/* Of an element that this run attached, or an engine that was killed after it. */
static bool action_attach_has_part(const struct run *run, const struct plan_entry *entry,
                                   const struct task *task) {
    size_t count;
    struct guest_removal *removals =
        guest_removal_of(run->virt, run->config->clock, &run->domain, entry->device, true, &count);
    guest_removal_finish(removals, count);
    return task->has_part || count;
}

/* The device cannot be attached, and the VM has a part of it, of which nobody knows what the guest
 * makes: it is detached again. */
static enum run_outcome action_attach_undo(struct run *run, const struct plan_entry *entry,
                                           struct task *task, const struct virt_error *cause,
                                           enum run_outcome outcome) {
    struct virt_error result = {.failure.message = "the VM could no longer be read"};
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    enum guest_answer answer;
    task->has_part = false;
    do
        answer = run_ask_guest(run, entry, true, &result);
    while (answer == GUEST_NOT_ASKED && retry_call(&retry, &result));
    if (answer == GUEST_STOPPED)
        return RUN_OVER;
    char *message = answer == GUEST_RELEASED
                        ? memory_printf("what the VM had got of it was detached again: %s",
                                        cause->failure.message)
                        : memory_printf("a part of it stays in the VM (%s): %s",
                                        result.failure.message, cause->failure.message);
    run_log_entry(run, entry, RESULT_FAILED, message, cause->failure.hint);
    free(message);
    return answer == GUEST_UNSEEN ? RUN_OVER : outcome;
}

/* A keyboard of the host's console goes with the display that the console is on, and not without
 * it.
 */
static bool action_attach_keeps_console(struct run *run, const struct plan_entry *entry) {
    bool keeps = false;
    if (!entry->device->has_keyboards && !entry->device->is_console_keyboard)
        return false;
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        keeps |= plan_attaches(other) && plan_has_option(other->action, OPTION_BOOT_DISPLAY) &&
                 run_task(run, other)->state != TASK_ATTACHED;
    }
    return keeps;
}

/* Of a device that goes with its IOMMU group, all of the group is in the VM in the end, or nothing.
 */
enum run_outcome action_attach_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task) {
    bool with_group = run_group_is_unit(entry);
    size_t busy = run->busy_count;
    enum run_outcome outcome = RUN_NEXT;
    struct failure failure;
    struct virt_error error = {.failure.message = "the VM did not keep all of it"};
    if (take_is_needed(run, entry))
        return take_execute(run, entry, task);
    if (action_attach_settles(run, entry, task))
        return RUN_NEXT;
    if (action_attach_keeps_console(run, entry))
        return run_finish_task(run, entry, task, RESULT_REFUSED,
                               "the host's display was not attached, so its console keeps the "
                               "keyboard",
                               "see the line of the display");
    if (entry->instance &&
        ((outcome = run_mdev_create(run, entry, task)) != RUN_NEXT || task->state != TASK_PENDING))
        return outcome;
    if (with_group && run_group_waits(run, entry, task))
        return RUN_NEXT;
    if (with_group && run_group_is_given_up(run, entry)) {
        run_finish_task(run, entry, task, RESULT_FAILED, RUN_GROUP_INCOMPLETE, NULL);
    } else if (!host_setting_prepare(run, entry, &failure)) {
        run_finish_task(run, entry, task, RESULT_FAILED, failure.message, failure.hint);
    } else if (with_group && !run_group_unbind_siblings(run, entry, &failure)) {
        run_finish_task(run, entry, task, RESULT_FAILED, failure.message, "see dmesg");
    } else {
        if (backend_type(entry->action->backend)->unbinds_driver &&
            !plan_has_option(entry->action, OPTION_UNMANAGED))
            restore_driver_note(run, entry->device);
        if (run->vm_ended)
            return RUN_OVER;
        int lock, status = 0;
        bool is_free = run_exclusive_begin(run, entry, &lock);
        bool is_ready = is_free && (!*entry->mac || restore_vf_prepare(run, entry, &failure));
        if (is_ready) {
            status = action_attach_call(run, entry, task, &error);
            host_setting_repeat(run, entry);
        }
        lock_release(lock);
        if (!is_free && run_try_later(run, task)) {
            task->due = 0;
            return RUN_REPLAN;
        }
        if (!is_free)
            return run_finish_task(run, entry, task, RESULT_FAILED,
                                   "another VM has it, or a part of it, since the plan was made",
                                   "'virt-rules status' shows what the VMs have");
        if (!is_ready) {
            restore_driver_note_failed(run, entry->device);
            return run_finish_task(run, entry, task, RESULT_FAILED, failure.message, failure.hint);
        }
        outcome = status < 0 ? action_attach_failed(run, entry, task, &error)
                             : action_attach_check(run, entry, task);
    }
    if (entry->instance && task->state == TASK_FAILED)
        run_mdev_cleanup(run);
    bool is_busy = run->busy_count > busy;
    if (outcome != RUN_OVER && (is_busy || task->state == TASK_FAILED) &&
        action_attach_has_part(run, entry, task))
        outcome = action_attach_undo(run, entry, task, &error, outcome);
    if (!with_group || (!is_busy && (outcome == RUN_OVER || task->state != TASK_FAILED)))
        return outcome;
    if (!is_busy)
        run_group_drop_rest(run, entry);
    return run_group_fail(run, entry, outcome);
}

/* --- what it plans */

/* "USB"; "" where the backend takes devices of several buses. */
static const char *action_attach_bus_label(const struct action_ref *ref) {
    const struct backend_type *backend = backend_type(ref->action->backend);
    for (enum bus bus = BUS_PCI; bus <= BUS_USB; bus++)
        if (backend_has_bus_only(backend, bus))
            return device_bus(bus)->label;
    return "";
}

static void action_attach_skip_leaving(struct planner *planner, const struct action_ref *ref) {
    struct plan_entry *entry = planner_add(planner, ref, PLAN_SKIPPED, NULL);
    entry->refusal = REFUSED_ABSENT;
    const char *label = action_attach_bus_label(ref);
    entry->message = memory_printf("the device leaves the host, which has no other %s%s%s", label,
                                   *label ? " " : "", entry->target_text);
}

/* Whatever device the target means. */
static void action_attach_skip_parked(struct planner *planner, const struct action_ref *ref) {
    struct plan_entry *entry = planner_add(planner, ref, PLAN_SKIPPED, NULL);
    entry->refusal = REFUSED_PARKED;
    entry->message = memory_strdup("the VM is parked");
    entry->hint = memory_strdup("'virt-rules unpark VM' ends that, and the rules apply again");
}

/* Two VMs have the title that the rule names: what only one of them can have goes to neither. */
static bool action_attach_refuse_same_title(struct planner *planner, const struct action_ref *ref,
                                            size_t device_count) {
    const struct domain *own = planner->domain;
    size_t count = 0;
    const struct domain *rival = match_same_title(ref->rule, planner->event, &count);
    if (!rival || (ref->target->quantifier == QUANTIFIER_ANY &&
                   device_count >= (size_t)ref->target->count * count))
        return false;
    planner_refuse(
        planner, ref, NULL,
        verdict_refuse(
            REFUSED_SAME_TITLE,
            memory_printf("VMs '%s'%s%s%s and '%s'%s%s%s have the same title '%s'", own->name,
                          own->uuid ? " (" : "", own->uuid ? own->uuid : "", own->uuid ? ")" : "",
                          rival->name, rival->uuid ? " (" : "", rival->uuid ? rival->uuid : "",
                          rival->uuid ? ")" : "", own->title),
            memory_strdup("say which is meant: 'on vm uuid UUID' or 'on vm name NAME'")));
    return true;
}

/* Two VMs may have one MAC address in two networks; in one network one of them is cut off. */
static void action_attach_note_mac(const struct planner *planner, struct plan_entry *entry) {
    const struct plan_request *request = planner->request;
    for (size_t i = 0; *entry->mac && i < request->other_count; i++)
        if (guest_find_card(&request->others[i].guest, entry->mac)) {
            planner_note(entry,
                         "VM '%s' has a network card with the MAC address %s too: in one "
                         "network only one of the two can be reached",
                         domain_label(&request->others[i]), entry->mac);
            return;
        }
}

static void action_attach_add_step(struct planner *planner, const struct action_ref *ref,
                                   const struct device *device) {
    const struct backend_type *backend = backend_type(ref->action->backend);
    struct backend_options options = choose_options(planner, ref, device);
    size_t count = backend_count(backend, device, &options);
    struct plan_entry *entry = planner_add(planner, ref, PLAN_STEP, device);
    if (options.is_definition)
        plan_defined_prepare_step(planner, entry, &options);
    for (size_t index = 0; index < count; index++) {
        if (backend_has_element(planner->domain, backend, device, index))
            continue;
        bool is_first = entry->element_count == 0;
        choose_take_place(&planner->guest, backend, device, &options);
        planner_add_controller(entry, &options.place);
        planner_add_element(entry, backend_xml(backend, device, &options, index));
        if (!is_first)
            continue;
        entry->place = options.place;
        plan_defined_mark_port(entry);
        memcpy(entry->mac, options.mac, sizeof entry->mac);
        if (backend->note_place && !options.is_definition)
            entry->note = backend->note_place(&planner->guest, device, &options);
    }
    action_attach_note_mac(planner, entry);
    plan_settings_add(&entry->settings, ref->action, device);
    char *changes =
        plan_settings_note(&entry->settings, ref->action, planner->request->host, device);
    if (changes)
        planner_note(entry, "%s", changes);
    free(changes);
    plan_power_add(&entry->settings, device, &options);
    char *power = plan_power_note(&entry->settings, device);
    if (power)
        planner_note(entry, "%s", power);
    free(power);
    if (options.is_definition && device->other_use && !device->lasting_use)
        planner_note(entry, "the host %s: the VM does not start before that ends",
                     device->other_use);
    entry->take_from = judge_holder(&planner->judge, device);
    if (entry->take_from)
        entry->message = memory_printf("detach from VM '%s', then attach: its guest is asked",
                                       domain_label(entry->take_from));
}

/* All that a unit takes must be one VM's. */
static struct verdict action_attach_judge_holders(struct planner *planner,
                                                  const struct device_list *unit) {
    const struct domain *first = NULL;
    for (size_t i = 0; i < unit->count; i++) {
        const struct domain *holder = judge_holder(&planner->judge, unit->list[i]);
        if (first && holder && holder != first)
            return verdict_refuse(
                REFUSED_HELD,
                memory_printf("VMs '%s' and '%s' have devices of its IOMMU group",
                              domain_label(first), domain_label(holder)),
                memory_strdup("a group is taken from one VM only: stop one of the two"));
        first = first ? first : holder;
    }
    return (struct verdict){0};
}

/* Every reason why the unit cannot go as a whole becomes an entry. */
static bool action_attach_refuse_unit(struct planner *planner, const struct action_ref *ref,
                                      const struct device_list *unit) {
    bool refused = false;
    for (size_t i = 0; i < unit->count; i++) {
        struct verdict verdict = choose_judge(planner, ref, unit->list[i]);
        if (verdict.refusal == REFUSED_HELD && match_rule_names_event(ref->rule, EVENT_FREED))
            memory_append(
                &verdict.hint,
                "; or wait: the rule names 'freed', so this VM gets the device when it is free");
        if (verdict.refusal)
            planner_refuse(planner, ref, unit->list[i], verdict);
        refused |= verdict.refusal != REFUSED_NOT;
    }
    if (refused)
        return true;
    struct verdict places = action_attach_judge_holders(planner, unit);
    if (!places.refusal)
        places = choose_judge_places(planner, ref, unit);
    if (places.refusal)
        planner_refuse(planner, ref, unit->list[0], places);
    return places.refusal != REFUSED_NOT;
}

/* By this backend or another one. */
static void action_attach_skip_attached(struct planner *planner, const struct action_ref *ref,
                                        const struct device *device) {
    enum backend backend = backend_hostdev_of(planner->domain, device)->backend;
    if (planner->event->name == EVENT_DEFINED) {
        struct plan_entry *entry = planner_add(planner, ref, PLAN_SKIPPED, device);
        entry->message = plan_defined_skip_text(planner, device);
        entry->note = plan_defined_note(planner, device);
        return;
    }
    planner_add(planner, ref, PLAN_SKIPPED, device)->message =
        backend == ref->action->backend || !backend_has_bus_only(backend_type(backend), device->bus)
            ? memory_strdup("the VM has it already")
            : memory_printf("the VM has it already, as %s", syntax_backend_text(backend));
}

/* One device, or with its group: all of them or none. */
static void action_attach_plan_unit(struct planner *planner, const struct action_ref *ref,
                                    const struct device *device) {
    struct device_list unit = choose_unit(planner, ref, device);
    bool refused = action_attach_refuse_unit(planner, ref, &unit);
    for (size_t i = 0; !refused && i < unit.count; i++) {
        if (*planner_mark(planner, unit.list[i]) & MARK_ATTACH)
            continue;
        if (planner_is_attached(planner, ref->action, unit.list[i]))
            action_attach_skip_attached(planner, ref, unit.list[i]);
        else
            action_attach_add_step(planner, ref, unit.list[i]);
    }
    planner_list_finish(&unit);
}

void action_attach_refuse_too_few(struct planner *planner, const struct action_ref *ref,
                                  const struct choice *choice) {
    bool optional = plan_has_option(ref->action, OPTION_OPTIONAL);
    unsigned wanted = ref->target->count;
    struct vf_hint functions = vf_hint_of(planner->request->host, ref->target->device);
    struct plan_entry *entry =
        planner_add(planner, ref, optional ? PLAN_SKIPPED : PLAN_REFUSED, NULL);
    entry->message = wanted == 1
                         ? memory_printf("none is free%s", choice->reasons)
                         : memory_printf("%zu of the %u wanted %s free%s", choice->count, wanted,
                                         choice->count == 1 ? "is" : "are", choice->reasons);
    /* One reason for all of them is the answer, but for another VM that has them: that passes. */
    if (!optional && !choice->count && !choice->differ && choice->first.refusal &&
        choice->first.refusal != REFUSED_HELD) {
        entry->refusal = choice->first.refusal;
        entry->hint = memory_strdup(choice->first.hint);
        vf_hint_finish(&functions);
        return;
    }
    entry->refusal = REFUSED_TOO_FEW;
    if (functions.message)
        memory_append(&entry->message, "; %s", functions.message);
    if (!optional)
        entry->hint =
            memory_printf("free one%s; 'optional' takes what is there%s%s",
                          wanted == 1 ? "" : ", or ask for fewer", functions.hint ? "; " : "",
                          functions.hint ? functions.hint : "");
    vf_hint_finish(&functions);
}

static void action_attach_plan_any(struct planner *planner, const struct action_ref *ref,
                                   const struct device_list *devices) {
    struct choice choice = choose_any(planner, ref, devices);
    bool enough = choice.count >= ref->target->count;
    for (size_t i = 0; i < choice.list.count; i++)
        if (enough || plan_has_option(ref->action, OPTION_OPTIONAL))
            action_attach_plan_unit(planner, ref, choice.list.list[i]);
    if (!enough)
        action_attach_refuse_too_few(planner, ref, &choice);
    choose_finish(&choice);
}

/* A device that the target means and this backend cannot hand over. */
static struct verdict action_attach_wrong_bus(const struct planner *planner,
                                              const struct action_ref *ref, const char *subject,
                                              const struct device *device) {
    return verdict_refuse(REFUSED_BUS,
                          memory_printf("%s is a %s device, and the rule says 'as %s'", subject,
                                        device_bus(device->bus)->label,
                                        syntax_backend_text(ref->action->backend)),
                          backend_hint(planner->request->host, device));
}

/* The target says what is behind a hub, in its own words or in those of a definition. */
static bool action_attach_is_below(const struct criterion *criteria) {
    for (const struct criterion *one = criteria; one; one = one->next)
        if (one->kind == CRITERION_BELOW || (one->kind == CRITERION_NAME && one->resolved &&
                                             action_attach_is_below(one->definition->device)))
            return true;
    return false;
}

/*
 * Nobody means a hub among other devices, as behind a hub of many ports, which has others in it.
 * Where hubs are all that a target selects, only one that names a hub means it: the others wait for
 * what is plugged in. Returns whether hubs were left out and nothing is left.
 */
static bool action_attach_leave_hubs(struct planner *planner, const struct action_ref *ref,
                                     struct device_list *devices) {
    size_t left = 0;
    for (size_t i = 0; i < devices->count; i++)
        left += devices->list[i]->bus != BUS_USB || !devices->list[i]->is_bridge;
    if (left == devices->count || (!left && ref->target->quantifier == QUANTIFIER_ONE &&
                                   !action_attach_is_below(ref->target->device)))
        return false;
    left = 0;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device *device = devices->list[i];
        if (device->bus != BUS_USB || !device->is_bridge)
            devices->list[left++] = device;
        else
            planner_omit(planner, ref, device,
                         verdict_refuse(REFUSED_BRIDGE,
                                        memory_strdup("it is a hub, which cannot be assigned"),
                                        NULL));
    }
    devices->count = left;
    return !left;
}

/*
 * Nobody means what this backend cannot present among what it can: of a hub with a serial adapter
 * and a webcam `as serial` the adapter. The device that was just plugged in stays: its files may
 * not be there yet.
 */
static void action_attach_leave_others(struct planner *planner, const struct action_ref *ref,
                                       struct device_list *devices) {
    const struct backend_type *backend = backend_type(ref->action->backend);
    struct backend_options options = {.list = ref->action->options};
    size_t left = 0, count = 0;
    struct verdict *verdicts = memory_zalloc((devices->count + 1) * sizeof *verdicts);
    for (size_t i = 0; i < devices->count; i++) {
        verdicts[i] =
            backend_judge_device(backend, planner->request->host, devices->list[i], &options);
        count += !verdicts[i].refusal;
    }
    for (size_t i = 0; i < devices->count; i++) {
        const struct device *device = devices->list[i], *plugged = planner->event->device;
        bool stays =
            !count || !verdicts[i].refusal ||
            (planner->event->name == EVENT_PLUGGED && plugged && device_is_same(plugged, device)) ||
            planner_is_attached(planner, ref->action, device);
        if (stays) {
            devices->list[left++] = device;
            verdict_finish(&verdicts[i]);
        } else {
            planner_omit(planner, ref, device, verdicts[i]);
        }
    }
    devices->count = left;
    free(verdicts);
}

void action_attach_plan(struct planner *planner, const struct action_ref *ref) {
    if (planner->request->parked) {
        action_attach_skip_parked(planner, ref);
        return;
    }
    const struct backend_type *backend = backend_type(ref->action->backend);
    struct device_list matched = planner_matching(planner, ref->target), devices = {0};
    const struct device *wrong_bus = NULL;
    size_t of_bus = 0;
    planner->judge.may_take = planner_may_take(planner, ref);
    for (size_t i = 0; i < matched.count; i++) {
        const struct device *device = matched.list[i];
        bool leaving = planner_is_unplugged(planner, device);
        of_bus += backend_has_bus(backend, device->bus);
        if (backend_has_bus(backend, device->bus) && !leaving)
            planner_list_add(&devices, device);
        else if (!leaving && !wrong_bus)
            wrong_bus = device;
    }
    const struct device *plugged = planner->event->device;
    size_t with_hubs = devices.count;
    bool only_hubs = action_attach_leave_hubs(planner, ref, &devices);
    action_attach_leave_others(planner, ref, &devices);
    planner_list_fold(planner, ref, &devices);
    of_bus -= with_hubs - devices.count;
    if (!action_attach_refuse_same_title(planner, ref, of_bus)) {
        if (devices.count && backend->shares_device)
            action_instances_plan(planner, ref, &devices);
        else if (devices.count && ref->target->quantifier == QUANTIFIER_ANY)
            action_attach_plan_any(planner, ref, &devices);
        else if (devices.count > 1 && ref->target->quantifier == QUANTIFIER_ONE)
            choose_refuse_ambiguous(planner, ref, &devices);
        else if (devices.count)
            for (size_t i = 0; i < devices.count; i++)
                action_attach_plan_unit(planner, ref, devices.list[i]);
        else if (wrong_bus && !only_hubs)
            planner_refuse(planner, ref, wrong_bus,
                           action_attach_wrong_bus(planner, ref, wrong_bus->address, wrong_bus));
        else if (planner_unplugged_device(planner) && !plan_has_option(ref->action, OPTION_WITHIN))
            action_attach_skip_leaving(planner, ref);
        else if (!only_hubs || !plugged || !plugged->is_bridge) /* else what is behind it comes */
            /* hubs are all that the target selects, and nothing can be attached of these */
            planner_absent(planner, ref, action_attach_bus_label(ref),
                           only_hubs ? ", except hubs, which cannot be assigned" : "");
        for (size_t i = 0; i < matched.count; i++)
            if (planner_is_unplugged(planner, matched.list[i]))
                planner_omit(
                    planner, ref, matched.list[i],
                    verdict_refuse(REFUSED_ABSENT, memory_strdup("it leaves the host"), NULL));
            else if (!backend_has_bus(backend, matched.list[i]->bus))
                planner_omit(planner, ref, matched.list[i],
                             action_attach_wrong_bus(planner, ref, "it", matched.list[i]));
    }
    planner->judge.may_take = false;
    planner_list_finish(&devices);
    planner_list_finish(&matched);
}
