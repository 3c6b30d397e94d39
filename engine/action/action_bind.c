/*
 * bind DEVICE to vfio, or to another driver: of the host alone, without a VM. Every device that is
 * meant is bound, or refused by itself.
 */
#include "engine/action/action.h"

#include "engine/host/driver.h"
#include "engine/plan/planner.h"
#include "engine/run/run.h"

#include <stdlib.h>
#include <string.h>

/* --- the plan */

/* A driver for VMs that is the card's own is as good as vfio-pci; one that is named is meant. */
static bool action_bind_is_done(const struct device *device, const char *driver) {
    return device->driver && (!strcmp(device->driver, driver) ||
                              (!strcmp(driver, DRIVER_VFIO) && driver_is_vfio(device->driver)));
}

static void action_bind_plan_device(struct planner *planner, const struct action_ref *ref,
                                    const struct device *device) {
    const char *driver = ref->action->driver;
    const struct plan_entry *before = planner_find(planner, VERB_BIND, device);
    const struct plan_entry *creation = planner_find(planner, VERB_CREATE, device);
    char *rule = before ? plan_rule_text(before) : creation ? plan_rule_text(creation) : NULL;
    if (before && !strcmp(before->action->driver, driver))
        planner_omit(planner, ref, device,
                     verdict_refuse(REFUSED_NOT, memory_printf("%s binds it", rule), NULL));
    else if (before)
        planner_refuse(
            planner, ref, device,
            verdict_refuse(REFUSED_DRIVER,
                           memory_printf("%s binds it to %s", rule, before->action->driver),
                           memory_strdup("the first rule wins: keep one of the two")));
    else if (creation)
        planner_refuse(
            planner, ref, device,
            verdict_refuse(REFUSED_HOST_USE,
                           memory_printf("%s creates virtual functions on it", rule),
                           memory_printf("its host driver must keep it for that: name its virtual "
                                         "functions, 'vf of %s'",
                                         device->address)));
    else if (action_bind_is_done(device, driver))
        planner_add(planner, ref, PLAN_SKIPPED, device)->message =
            memory_printf("it is bound to %s already", device->driver);
    else {
        struct verdict verdict = judge_bind(&planner->judge, device, driver);
        if (verdict.refusal)
            planner_refuse(planner, ref, device, verdict);
        else
            planner_add(planner, ref, PLAN_STEP, device);
    }
    free(rule);
}

/* Whether the target names virtual functions of that physical one; a name stands for the criteria
 * of its definition. */
static bool action_bind_names_functions(const struct criterion *criteria,
                                        const struct device *physical) {
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->negated)
            continue;
        if (one->kind == CRITERION_NAME && one->resolved &&
            action_bind_names_functions(one->definition->device, physical))
            return true;
        if (one->kind == CRITERION_VF && match_device(one->parent, physical))
            return true;
    }
    return false;
}

static void action_bind_refuse_number(struct planner *planner, const struct action_ref *ref,
                                      const struct plan_entry *creation) {
    unsigned count = creation->action->count;
    char *rule = plan_rule_text(creation);
    planner_refuse(
        planner, ref, NULL,
        verdict_refuse(REFUSED_ABSENT,
                       memory_printf("%s creates %u virtual function%s on %s", rule, count,
                                     count == 1 ? "" : "s", creation->device->address),
                       memory_strdup("the first one has the number 0: create more, or name "
                                     "another one")));
    free(rule);
}

/* A virtual function that is yet to be created. */
static struct device action_bind_function(const struct device *physical, unsigned number) {
    static char address[] = "";
    return (struct device){.bus = BUS_PCI,
                           .address = address,
                           .physical = physical->address,
                           .physical_function = (struct device *)physical,
                           .vf_number = (int)number,
                           .unknown =
                               DEVICE_UNKNOWN_ID | DEVICE_UNKNOWN_CLASS | DEVICE_UNKNOWN_DRIVER};
}

/* The 'never' that forbids the virtual function once it is there; NULL: none does, or may. Sets
 * `sure` if it forbids the function whatever address, id, class and driver that gets. */
static const struct guard *action_bind_guard(const struct planner *planner,
                                             const struct device *function, bool *sure) {
    const struct program *program = planner->request->program;
    const struct guard *found = NULL;
    *sure = false;
    for (size_t i = 0; i < program->guard_count && !*sure; i++) {
        const struct guard *guard = program->guards[i];
        if (!match_guard_vms(guard, planner->domain) || !match_guard_device(guard, function))
            continue;
        *sure = !guard->doubtful && match_device(guard->device, function);
        found = *sure || !found ? guard : found;
    }
    return found;
}

static void action_bind_add_step(struct planner *planner, const struct action_ref *ref,
                                 const struct plan_entry *creation, const struct guard *guard,
                                 const char *forbids) {
    char *rule = plan_rule_text(creation);
    char *note = memory_printf("the virtual functions that %s creates on %s", rule,
                               creation->device->address);
    if (guard)
        memory_append(&note, "; 'never' at %s:%zu %s them", guard->source->path,
                      source_position(guard->source, guard->span.start).line, forbids);
    planner_add(planner, ref, PLAN_STEP, NULL)->note = note;
    free(rule);
}

/* A step for those that the target may mean and no 'never' forbids. */
static void action_bind_add_functions(struct planner *planner, const struct action_ref *ref,
                                      const struct plan_entry *creation) {
    unsigned meant = 0, forbidden = 0;
    const struct guard *guard = NULL;
    for (unsigned i = 0; i < creation->action->count; i++) {
        struct device function = action_bind_function(creation->device, i);
        bool sure;
        if (!match_may_select(ref->target->device, &function))
            continue;
        const struct guard *one = action_bind_guard(planner, &function, &sure);
        guard = one && (sure || !guard) ? one : guard;
        forbidden += sure;
        meant++;
    }
    if (!meant)
        action_bind_refuse_number(planner, ref, creation);
    else if (forbidden == meant)
        planner_refuse(planner, ref, NULL, judge_refuse_guard(guard));
    else
        action_bind_add_step(planner, ref, creation, guard,
                             forbidden ? "forbids some of" : "may forbid");
}

/* Virtual functions that an earlier rule creates: of them little is known before. */
static bool action_bind_plan_functions(struct planner *planner, const struct action_ref *ref) {
    bool is_meant = false;
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct plan_entry *creation = &planner->plan->entries[i];
        if (creation->action->verb != VERB_CREATE || creation->kind != PLAN_STEP ||
            !action_bind_names_functions(ref->target->device, creation->device))
            continue;
        is_meant = true;
        action_bind_add_functions(planner, ref, creation);
    }
    return is_meant;
}

void action_bind_plan(struct planner *planner, const struct action_ref *ref) {
    struct device_list matched = planner_matching(planner, ref->target);
    const struct device *other = NULL;
    size_t count = 0;
    /* "10de:*" may be a USB device as well, and a class a bridge: they are not meant. */
    for (size_t i = 0; i < matched.count; i++) {
        const struct device *device = matched.list[i];
        if (device->bus != BUS_PCI || device->is_bridge) {
            other = device;
            continue;
        }
        action_bind_plan_device(planner, ref, device);
        count++;
    }
    if (action_bind_plan_functions(planner, ref) || count)
        ;
    else if (other && other->bus != BUS_PCI)
        planner_refuse(planner, ref, other,
                       verdict_refuse(REFUSED_BUS,
                                      memory_printf("%s is not a PCI device, and only those can be "
                                                    "bound to a driver by a rule",
                                                    other->address),
                                      memory_strdup("a VM gets it with 'attach ... as usb', from "
                                                    "whatever driver it has")));
    else if (other)
        planner_refuse(planner, ref, other,
                       verdict_refuse(REFUSED_BRIDGE,
                                      memory_printf("%s is a bridge, which stays on its driver",
                                                    other->address),
                                      memory_strdup("name the device behind it")));
    else
        planner_absent(planner, ref, "", "");
    planner_list_finish(&matched);
}

/* --- doing it */

enum { BIND_TRIES = 3 };

/* The module of a driver has its name, nearly always. */
static bool action_bind_has_driver(const struct host_source *source, const char *driver,
                                   struct failure *failure) {
    struct failure loading = {.message = ""};
    if (source->has_driver(source, driver))
        return true;
    if (source->load_driver(source, driver, &loading) == 0 && source->has_driver(source, driver))
        return true;
    failure_set(failure, "the kernel has no PCI driver %s%s%s", driver,
                *loading.message ? ": " : "", loading.message);
    if (!strcmp(driver, DRIVER_VFIO))
        failure_hint(failure, "it is the kernel's module vfio-pci (CONFIG_VFIO_PCI): install the "
                              "package of this kernel that has it, and see 'modprobe vfio-pci'");
    else
        failure_hint(failure, "'ls /sys/bus/pci/drivers' shows the names; if its module has "
                              "another name, load that before: see modules-load.d(5)");
    return false;
}

/* The kernel waits for a program that has a group open, and an old one halts when a driver of the
 * host gets a device of such a group. */
static char *action_bind_user(const struct run *run, const struct device *device, const char *now,
                              const char *wanted) {
    bool matters = driver_is_vfio(now) || !driver_is_vfio(wanted);
    return matters && device->iommu_group >= 0 ? run->host.source.group_user(&run->host, device)
                                               : NULL;
}

/* A driver that does not release its device is waiting for a program. */
static void action_bind_name_user(const struct run *run, const struct device *device,
                                  struct failure *failure) {
    const struct host_source *source = run->config->host_source;
    struct failure ignored;
    struct host host;
    if (source->load(source, &host, &ignored) == 0) {
        const struct device *now = host_find(&host, BUS_PCI, device->address);
        if (now && now->use)
            failure_set(failure, "%s: the host %s", failure->message, now->use);
        host_finish(&host);
    }
    failure_hint(failure, "stop the program that has it open ('fuser -v /dev/dri/* /dev/nvidia*' "
                          "for a display), then run 'virt-rules boot' again");
}

/* It goes back to the driver that the kernel has for it. */
static void action_bind_undo(const struct run *run, const struct device *device, const char *wanted,
                             struct failure *failure) {
    const struct host_source *source = &run->host.source;
    char now[64] = "";
    struct failure ignored;
    if (source->bind(&run->host, device, NULL, &ignored) == 0)
        source->driver_of(&run->host, device, now, sizeof now);
    failure_set(failure, "%s did not take it; it %s%s now", wanted,
                *now ? "is bound to " : "has no driver", now);
    failure_hint(failure, "dmesg says why");
}

enum run_outcome action_bind_execute(struct run *run, const struct plan_entry *entry,
                                     struct task *task) {
    const struct host_source *source = &run->host.source;
    const struct device *device = entry->device;
    const char *wanted = entry->action->driver;
    struct failure failure = {.message = ""};
    char now[64] = "", after[64] = "";
    if (!device)
        return run_finish_task(run, entry, task, RESULT_ABSENT,
                               "the virtual functions were not created", NULL);
    source->driver_of(&run->host, device, now, sizeof now);
    if (!action_bind_has_driver(source, wanted, &failure))
        return run_finish_task(run, entry, task, RESULT_FAILED, failure.message, failure.hint);
    char *user = action_bind_user(run, device, now, wanted);
    if (user) {
        char *message = memory_printf("%s has its IOMMU group %d open", user, device->iommu_group);
        run_finish_task(run, entry, task, RESULT_REFUSED, message,
                        "stop the VM that has a device of the group, then run 'virt-rules boot' "
                        "again");
        free(message);
        free(user);
        return RUN_NEXT;
    }
    int status, tries = 0;
    /* A driver that was just being bound may have been faster. */
    do {
        status = source->bind(&run->host, device, wanted, &failure);
        if (!status)
            source->driver_of(&run->host, device, after, sizeof after);
    } while (!status && *after && strcmp(after, wanted) != 0 && ++tries < BIND_TRIES);
    if (status == HOST_LATE)
        action_bind_name_user(run, device, &failure);
    if (!status && strcmp(after, wanted) != 0) {
        action_bind_undo(run, device, wanted, &failure);
        status = -1;
    }
    if (status)
        return run_finish_task(run, entry, task, RESULT_FAILED, failure.message, failure.hint);
    char *message = *now ? memory_printf("%s (the driver was %s)", wanted, now)
                         : memory_printf("%s (no driver was bound)", wanted);
    run_finish_task(run, entry, task, RESULT_BOUND, message, NULL);
    free(message);
    return RUN_NEXT;
}
