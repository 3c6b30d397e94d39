/* create N vf of DEVICE: virtual functions of one physical one, when the host boots. */
#include "engine/action/action.h"

#include "engine/host/driver.h"
#include "engine/plan/planner.h"
#include "engine/run/run.h"

#include <stdlib.h>
#include <string.h>

enum { CLASS_NETWORK = 0x02 };

/* --- the plan */

static const char *action_create_plural(unsigned count) {
    return count == 1 ? "" : "s";
}

static struct verdict action_create_judge_driver(const struct device *device) {
    if (!device->driver)
        return verdict_refuse(
            REFUSED_DRIVER, memory_strdup("no driver is bound to it, which would create them"),
            memory_strdup("load its host driver before: see modules-load.d(5); or write 'within "
                          "10s' if it only comes late"));
    if (driver_is_vfio(device->driver) || !strcmp(device->driver, "pci-stub"))
        return verdict_refuse(
            REFUSED_DRIVER,
            memory_printf("it is bound to %s: only its host driver creates them", device->driver),
            memory_strdup(
                "bind the virtual functions, and leave their physical one bound to its host "
                "driver"));
    return (struct verdict){0};
}

static struct verdict action_create_judge(const struct device *device, unsigned count) {
    unsigned runs = device->virtual_functions;
    if (device->bus != BUS_PCI)
        return verdict_refuse(REFUSED_BUS, memory_printf("%s is not a PCI device", device->address),
                              memory_strdup("only a PCI device has virtual functions"));
    if (device->physical)
        return verdict_refuse(
            REFUSED_NO_SRIOV,
            memory_printf("it is a virtual function itself, of %s", device->physical),
            memory_strdup("name the physical function"));
    if (device->obstacle == OBSTACLE_NO_ANSWER)
        return verdict_refuse(REFUSED_NO_ANSWER, memory_strdup(device->obstacle_text),
                              memory_strdup(device->obstacle_hint));
    if (!device->vf_total)
        return verdict_refuse(
            REFUSED_NO_SRIOV, memory_strdup("it has no virtual functions (SR-IOV)"),
            memory_printf(
                "'lspci -vs %s' shows the capability if the card has it: then turn "
                "SR-IOV on in the host's firmware, or with the maker's tool in the card's",
                device->address));
    if (count > device->vf_total)
        return verdict_refuse(
            REFUSED_NO_SRIOV,
            memory_printf("it can have at most %u virtual function%s, not %u", device->vf_total,
                          action_create_plural(device->vf_total), count),
            memory_printf("write 'create %u vf'; the maker's tool may raise the limit of some "
                          "cards",
                          device->vf_total));
    if (runs && runs != count)
        return verdict_refuse(
            REFUSED_HOST_USE,
            memory_printf("it runs %u virtual function%s, and the kernel changes the number only "
                          "from 0",
                          runs, action_create_plural(runs)),
            memory_printf("when no VM and no program uses them: 'echo 0 "
                          ">/sys/bus/pci/devices/%s/sriov_numvfs', then 'virt-rules boot'",
                          device->address));
    return action_create_judge_driver(device);
}

/* What an earlier rule does to the same device. */
static struct verdict action_create_judge_rules(const struct planner *planner,
                                                const struct action_ref *ref,
                                                const struct device *device) {
    const struct plan_entry *creation = planner_find(planner, VERB_CREATE, device);
    const struct plan_entry *binding = planner_find(planner, VERB_BIND, device);
    struct verdict verdict = {0};
    char *rule = creation ? plan_rule_text(creation) : binding ? plan_rule_text(binding) : NULL;
    if (creation && creation->action->count != ref->action->count)
        verdict = verdict_refuse(
            REFUSED_HOST_USE, memory_printf("%s creates %u of them", rule, creation->action->count),
            memory_strdup("the first rule wins: keep one of the two"));
    else if (!creation && binding && binding->kind == PLAN_STEP)
        verdict = verdict_refuse(
            REFUSED_DRIVER, memory_printf("%s binds it to %s", rule, binding->action->driver),
            memory_strdup("only its host driver creates virtual functions: keep one of the two"));
    free(rule);
    return verdict;
}

/* From 0 to a number the function itself stays: its driver keeps the interface with its addresses,
 * so that even the host's uplink may have virtual functions. Many restart the card for it. */
static char *action_create_note(const struct device *device) {
    bool is_network = device->class_code >> 16 == CLASS_NETWORK;
    return device->use && is_network
               ? memory_strdup("its link may be down for a moment while they are created; the host "
                               "keeps the function and its addresses")
               : NULL;
}

static void action_create_refuse_several(struct planner *planner, const struct action_ref *ref,
                                         const struct device_list *devices) {
    enum { LISTED = 16 };
    char *list = memory_strdup(""), *target = planner_target_text(ref);
    for (size_t i = 0; i < devices->count && i < LISTED; i++)
        memory_append(&list, "%s%s", i ? ", " : "", devices->list[i]->address);
    planner_refuse(planner, ref, NULL,
                   verdict_refuse(REFUSED_AMBIGUOUS,
                                  memory_printf("%zu devices are %s: %s%s", devices->count, target,
                                                list, devices->count > LISTED ? ", ..." : ""),
                                  memory_printf("say which: 'at %s', and a rule for each",
                                                devices->list[0]->address)));
    free(target);
    free(list);
}

/* Virtual functions may have the id and the class of their physical one: once they are created,
 * the rule means that one alone, as before. */
static void action_create_leave_out_functions(struct device_list *devices) {
    size_t left = 0;
    for (size_t i = 0; i < devices->count; i++) {
        const char *physical = devices->list[i]->physical;
        bool has_physical = false;
        for (size_t j = 0; physical && j < devices->count; j++)
            has_physical |= devices->list[j]->bus == BUS_PCI && !devices->list[j]->physical &&
                            !strcmp(devices->list[j]->address, physical);
        if (!has_physical)
            devices->list[left++] = devices->list[i];
    }
    devices->count = left;
}

void action_create_plan(struct planner *planner, const struct action_ref *ref) {
    struct device_list matched = planner_matching(planner, ref->target);
    action_create_leave_out_functions(&matched);
    const struct device *device = matched.count ? matched.list[0] : NULL;
    unsigned count = ref->action->count;
    if (matched.count > 1) {
        action_create_refuse_several(planner, ref, &matched);
    } else if (!device) {
        planner_absent(planner, ref, "", "");
    } else {
        struct verdict verdict = action_create_judge_rules(planner, ref, device);
        if (!verdict.refusal && device->virtual_functions != count)
            verdict = action_create_judge(device, count);
        if (verdict.refusal)
            planner_refuse(planner, ref, device, verdict);
        else if (device->virtual_functions == count || planner_find(planner, VERB_CREATE, device))
            planner_add(planner, ref, PLAN_SKIPPED, device)->message =
                device->virtual_functions ? memory_printf("it runs %u virtual function%s already",
                                                          count, action_create_plural(count))
                                          : memory_strdup("another rule creates them");
        else
            planner_add(planner, ref, PLAN_STEP, device)->note = action_create_note(device);
    }
    planner_list_finish(&matched);
}

/* --- doing it */

/* How many there are now; the driver may create fewer. */
static unsigned action_create_count(const struct run *run, const struct device *device) {
    const struct host_source *source = run->config->host_source;
    struct failure ignored;
    struct host host;
    unsigned count = 0;
    if (source->load_devices(source, &host, &ignored) < 0)
        return 0;
    const struct device *now = host_find(&host, BUS_PCI, device->address);
    if (now)
        count = now->virtual_functions;
    host_finish(&host);
    return count;
}

enum run_outcome action_create_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task) {
    const struct device *device = entry->device;
    unsigned wanted = entry->action->count, count = wanted;
    struct failure failure = {.message = ""};
    int status = run->host.source.create_functions(&run->host, device, wanted, &failure);
    if (!status && (count = action_create_count(run, device)) != wanted) {
        failure_set(&failure, "the driver %s created %u of %u virtual functions", device->driver,
                    count, wanted);
        failure_hint(&failure, "dmesg says why; create fewer");
        status = -1;
    }
    if (status)
        return run_finish_task(run, entry, task, RESULT_FAILED, failure.message, failure.hint);
    char *message = memory_printf("%u virtual function%s", count, action_create_plural(count));
    run_finish_task(run, entry, task, RESULT_CREATED, message, NULL);
    free(message);
    return RUN_NEXT;
}
