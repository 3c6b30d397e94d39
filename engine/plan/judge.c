#include "engine/plan/judge.h"

#include "engine/host/architecture.h"
#include "engine/host/driver.h"
#include "engine/host/iommu.h"
#include "engine/plan/plan_power.h"
#include "engine/rules/match.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

const struct domain judge_any_vm = {.id = -1};

void judge_finish(struct judge *judge) {
    holdings_finish(&judge->holdings);
    judge->has_holdings = false;
    free((void *)judge->by_group);
    judge->by_group = NULL;
}

/* --- 'never' */

struct verdict judge_refuse_guard(const struct guard *guard) {
    size_t line = source_position(guard->source, guard->span.start).line;
    if (guard->doubtful)
        return verdict_refuse(
            REFUSED_NEVER,
            memory_printf("'never' at %s:%zu has an error, and forbids all that it may mean",
                          guard->source->path, line),
            memory_strdup("correct the error that 'virt-rules check' reports"));
    return verdict_refuse(
        REFUSED_NEVER, memory_printf("'never' at %s:%zu forbids it", guard->source->path, line),
        memory_strdup("'never' wins over every rule: change that line if the VM may have the "
                      "device"));
}

static struct verdict judge_guard(const struct judge *judge, const struct device *device) {
    const struct guard *guard =
        judge->program ? match_guard(judge->program, judge->domain, device) : NULL;
    return guard ? judge_refuse_guard(guard) : (struct verdict){0};
}

/* Whether the device may leave the host with `above`: the PCI domain of a VMD controller, the
 * virtual functions of a physical one, what is plugged into a USB controller, and the SCSI devices
 * on a USB device or a PCI function. */
static bool judge_may_leave_with(const struct device *device, const struct device *above) {
    const char *parent = device->controller ? device->controller : device->physical;
    if (device_is_on(device, above))
        return true;
    if (above->bus != BUS_PCI)
        return false;
    if (device->bus == BUS_PCI)
        return parent && !strcmp(parent, above->address);
    return !device->is_bridge && device_is_usb_controller(above);
}

/* "2:0:0:0 is behind it: 'never' ...". */
static struct verdict judge_guard_elsewhere(const struct device *device, const char *where,
                                            struct verdict verdict) {
    char *message = memory_printf("%s is %s it: %s", device->address, where, verdict.message);
    free(verdict.message);
    verdict.message = message;
    return verdict;
}

/* The device that a SCSI device is on, and which a guard forbids as a whole. */
static struct verdict judge_guard_above(const struct judge *judge, const struct device *device) {
    const struct device *above =
        device->above ? host_find(judge->host, device->above_bus, device->above) : NULL;
    struct verdict verdict = above ? judge_guard(judge, above) : (struct verdict){0};
    return verdict.refusal ? judge_guard_elsewhere(above, "above", verdict) : verdict;
}

/* A device that a guard forbids must not get into the VM together with the device above it. */
static struct verdict judge_guards_behind(const struct judge *judge, const struct device *above) {
    const struct host *host = judge->host;
    for (size_t i = 0; judge->program && judge->program->guard_count && i < host->count; i++) {
        const struct device *device = &host->devices[i];
        if (!judge_may_leave_with(device, above))
            continue;
        struct verdict verdict = judge_guard(judge, device);
        if (verdict.refusal && (device->bus == BUS_PCI || device_is_on(device, above) ||
                                holdings_is_behind(host, device, above)))
            return judge_guard_elsewhere(device, "behind", verdict);
        verdict_finish(&verdict);
    }
    return (struct verdict){0};
}

/* --- which VM has it */

/* What running VMs have, the VM itself among them. */
static const struct holdings *judge_holdings(struct judge *judge) {
    if (!judge->has_holdings) {
        for (size_t i = 0; i < judge->other_count; i++)
            holdings_add(&judge->holdings, judge->host, &judge->others[i]);
        holdings_add(&judge->holdings, judge->host, judge->domain);
        holdings_sort(&judge->holdings);
        judge->has_holdings = true;
    }
    return &judge->holdings;
}

/* What is asked of the holdings. */
struct judge_question {
    const struct host *host;
    const struct domain *vm; /* that the device is for */
    const struct device *device;
    const struct backend_type *backend; /* by which; NULL: any */
};

/* Of a device that is shared others may have their parts. */
static bool judge_is_held_by_other(const struct held_device *held, const void *context) {
    const struct judge_question *question = context;
    bool shares = question->backend && question->backend->shares_device;
    return held->vm != question->vm && (!shares || held->is_itself);
}

/* What a device had before it was plugged in again leaves the VM: see plan_unplugged.h. */
static bool judge_is_of_gone_device(const struct host *host, const struct domain_hostdev *hostdev) {
    struct backend_alias alias;
    return backend_read_alias(hostdev, &alias) && !backend_device_of(host, hostdev);
}

/* The VM gets the elements of the device that it does not have yet. */
static bool judge_is_held_by_itself(const struct held_device *held, const void *context) {
    const struct judge_question *question = context;
    const struct domain_hostdev *hostdev = held->hostdev;
    bool is_element = hostdev && hostdev->backend == question->backend->backend &&
                      backend_is_hostdev(hostdev, question->device);
    return held->vm == question->vm && !is_element && !question->backend->shares_device &&
           !(hostdev && judge_is_of_gone_device(question->host, hostdev));
}

/* What another VM has of the device. */
static const struct held_device *judge_held_by_other(struct judge *judge,
                                                     const struct device *device,
                                                     const struct backend_type *backend) {
    const struct judge_question question = {judge->host, judge->domain, device, backend};
    return holdings_find(judge_holdings(judge), device, judge_is_held_by_other, &question);
}

static const struct domain *judge_unreadable_vm(const struct judge *judge) {
    for (size_t i = 0; i < judge->other_count; i++)
        if (judge->others[i].unreadable)
            return &judge->others[i];
    return judge->domain->unreadable ? judge->domain : NULL;
}

/* The VMs of a rule: "VM 'ha'", "VMs 'ha', 'nas*'", "any VM". */
static char *judge_vms_text(const struct rule *rule) {
    if (rule->vms->kind == WORD_ANY)
        return memory_strdup("any VM");
    char *text = memory_strdup(rule->vms->next ? "VMs " : "VM ");
    for (const struct word *vm = rule->vms; vm; vm = vm->next)
        memory_append(&text, "'%s'%s", vm->text, vm->next ? ", " : "");
    return text;
}

/* Whether the action attaches devices that can be behind a controller. */
static bool judge_attaches_behind(const struct action *action) {
    return action->verb == VERB_ATTACH &&
           !backend_has_bus_only(backend_type(action->backend), BUS_PCI);
}

/* Whether the action attaches this device for itself. */
static bool judge_is_attached_by(const struct action *action, const struct device *device) {
    if (!backend_has_bus(backend_type(action->backend), device->bus))
        return false;
    for (const struct target *target = action->targets; target; target = target->next)
        if (match_device(target->device, device))
            return true;
    return false;
}

/* Whether devices that rules may attach can be behind it: SCSI devices also behind a network card,
 * by iSCSI or FCoE. */
static bool judge_may_have_devices(const struct device *controller) {
    return device_is_usb_controller(controller) || device_may_have_disks(controller) ||
           controller->scsi_device_count;
}

/* Whether rules may attach the device, and it would leave the host with that controller. */
static bool judge_may_lose(const struct device *device, const struct device *controller) {
    switch (device->bus) {
    case BUS_USB:
        return device_is_usb_controller(controller) && !device->is_bridge;
    case BUS_PCI: /* of a VMD controller */
        return device->controller && !strcmp(device->controller, controller->address);
    case BUS_SCSI:
        return judge_may_have_devices(controller);
    }
    return false;
}

/* Another rule attaches a device behind the controller, which would leave the host with it. */
static struct verdict judge_rules_behind(const struct judge *judge, const struct device *controller,
                                         const struct backend_type *backend) {
    const struct host *host = judge->host;
    const struct program *program = judge->program;
    if (!program || controller->bus != BUS_PCI || !backend->needs_iommu ||
        !judge_may_have_devices(controller))
        return (struct verdict){0};
    for (size_t i = 0; i < program->rule_count; i++) {
        const struct rule *rule = program->rules[i];
        for (const struct action *action = rule->actions; action; action = action->next)
            for (size_t j = 0; judge_attaches_behind(action) && j < host->count; j++) {
                const struct device *device = &host->devices[j];
                if (!judge_may_lose(device, controller) || !judge_is_attached_by(action, device) ||
                    !holdings_is_behind(host, device, controller))
                    continue;
                char *vms = judge_vms_text(rule);
                char *message = memory_printf("%s is behind it, and %s:%zu attaches that to %s",
                                              device->address, rule->source->path,
                                              program_line(rule, action), vms);
                free(vms);
                return verdict_refuse(
                    REFUSED_HELD, message,
                    memory_printf("keep one of the two rules: for the %s device alone, or for "
                                  "the controller with all that is %s it",
                                  device_bus(device->bus)->label,
                                  device->bus == BUS_USB ? "plugged into" : "connected to"));
            }
    }
    return (struct verdict){0};
}

static const struct kept_device *judge_kept(const struct judge *judge,
                                            const struct device *device) {
    for (size_t i = 0; i < judge->kept_count; i++)
        if (judge->kept[i].bus == device->bus && !strcmp(judge->kept[i].address, device->address))
            return &judge->kept[i];
    return NULL;
}

/* Whether another VM than the holder has anything of it. */
static bool judge_has_other_holder(struct judge *judge, const struct device *device,
                                   const struct held_device *held) {
    const struct holdings *holdings = judge_holdings(judge);
    for (size_t i = 0; i < holdings->count; i++) {
        const struct held_device *other = &holdings->list[i];
        if (other->bus == held->bus && !strcmp(other->address, held->address) &&
            (other->vm != held->vm ||
             !(other->is_itself || (other->hostdev && backend_is_hostdev(other->hostdev, device)))))
            return true;
    }
    return false;
}

const struct domain *judge_holder(struct judge *judge, const struct device *device) {
    const struct held_device *held =
        judge->may_take ? judge_held_by_other(judge, device, NULL) : NULL;
    bool may = held && held->is_itself && !held->vm->unreadable && !judge_kept(judge, device) &&
               !judge_has_other_holder(judge, device, held);
    return may ? held->vm : NULL;
}

static struct verdict judge_refuse_kept(const struct held_device *held,
                                        const struct kept_device *kept) {
    return verdict_refuse(
        REFUSED_HELD,
        memory_printf("VM '%s' %s, and %s", domain_label(held->vm), held->text, kept->message),
        memory_strdup(kept->hint));
}

static struct verdict judge_refuse_unreadable(const struct domain *vm) {
    char *name = text_shell_operand(vm->name);
    struct verdict verdict = verdict_refuse(
        REFUSED_HELD,
        memory_printf("VM '%s' is running, and its devices cannot be read: %s", domain_label(vm),
                      vm->unreadable),
        memory_printf("it may have the device: see 'virsh dumpxml %s', or stop that VM", name));
    free(name);
    return verdict;
}

static struct verdict judge_holders(struct judge *judge, const struct device *device,
                                    const struct backend_type *backend) {
    const struct held_device *held = judge_held_by_other(judge, device, backend);
    const struct kept_device *kept = held && judge->may_take ? judge_kept(judge, device) : NULL;
    if (kept && kept->message)
        return judge_refuse_kept(held, kept);
    if (held && !judge_holder(judge, device))
        return verdict_refuse(
            REFUSED_HELD, memory_printf("VM '%s' %s", domain_label(held->vm), held->text),
            memory_strdup(held->is_itself
                              ? "stop that VM or detach the device there; 'any' takes the next "
                                "free one"
                              : "that VM would lose it: stop the VM or detach that from it first; "
                                "'any' takes the next free one"));
    for (size_t i = 0; i < judge->busy_count; i++)
        if (judge->busy[i].bus == device->bus && !strcmp(judge->busy[i].address, device->address))
            return verdict_refuse(REFUSED_HELD, memory_strdup(judge->busy[i].message),
                                  memory_strdup(judge->busy[i].hint));
    const struct domain *unreadable = judge_unreadable_vm(judge);
    if (unreadable)
        return judge_refuse_unreadable(unreadable);
    const struct judge_question question = {judge->host, judge->domain, device, backend};
    held = judge->is_starting
               ? NULL
               : holdings_find(judge_holdings(judge), device, judge_is_held_by_itself, &question);
    if (held)
        return verdict_refuse(REFUSED_HELD, memory_printf("the VM itself %s", held->text),
                              memory_strdup("the VM would lose that: name another device, or "
                                            "remove that from the VM's definition"));
    return judge_rules_behind(judge, device, backend);
}

/* --- its IOMMU group */

bool judge_is_group_member(const struct device *device, const struct device *other) {
    return other != device && other->bus == BUS_PCI && !other->is_bridge &&
           !other->goes_with_controller && other->iommu_group >= 0 &&
           other->iommu_group == device->iommu_group;
}

static int judge_compare_group(const void *left, const void *right) {
    const struct device *a = *(const struct device *const *)left;
    const struct device *b = *(const struct device *const *)right;
    if (a->iommu_group != b->iommu_group)
        return a->iommu_group < b->iommu_group ? -1 : 1;
    return (a > b) - (a < b);
}

static void judge_index_groups(struct judge *judge) {
    const struct host *host = judge->host;
    judge->by_group = memory_zalloc((host->count + 1) * sizeof *judge->by_group);
    judge->by_group_count = 0;
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI && host->devices[i].iommu_group >= 0)
            judge->by_group[judge->by_group_count++] = &host->devices[i];
    qsort((void *)judge->by_group, judge->by_group_count, sizeof *judge->by_group,
          judge_compare_group);
}

/* The PCI devices of the device's group, this one among them, in the order of the snapshot.
 * Indexed, since `devices` asks for each of the host's devices, of which there may be thousands. */
static const struct device *const *judge_group_devices(struct judge *judge,
                                                       const struct device *device, size_t *count) {
    if (!judge->by_group)
        judge_index_groups(judge);
    size_t low = 0, high = judge->by_group_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (judge->by_group[middle]->iommu_group < device->iommu_group)
            low = middle + 1;
        else
            high = middle;
    }
    for (*count = 0; low + *count < judge->by_group_count &&
                     judge->by_group[low + *count]->iommu_group == device->iommu_group;
         ++*count)
        ;
    return &judge->by_group[low];
}

/* Why no other slot separates the two, as "... are functions of one card"; NULL: one may. The
 * caller frees it. */
static char *judge_inseparable(const struct device *device, const struct device *other) {
    bool is_same = device_is_same_slot(device, other), is_card = !device_is_on_root_bus(device);
    if (!is_same && (is_card || !device_is_on_root_bus(other)))
        return NULL;
    return memory_printf("%s and %s are %s", device->address, other->address,
                         is_card   ? "functions of one card"
                         : is_same ? "functions of one device of the chipset"
                                   : "parts of the chipset");
}

static struct verdict judge_refuse_bound(const struct device *device, const struct device *other,
                                         char *hint) {
    return verdict_refuse(
        REFUSED_GROUP,
        memory_printf("IOMMU group %d also holds %s (%s), which is bound to the host driver %s",
                      device->iommu_group, other->address, other->name, other->driver),
        hint);
}

/* How the device can go although the host uses another one of its group. */
static char *judge_hint_to_free_group(const struct device *device, const struct device *blocker) {
    char *inseparable = judge_inseparable(device, blocker), *hint;
    if (blocker->is_display && !blocker->other_use)
        hint = memory_strdup("'with group as vfio boot display' takes the console off it while "
                             "the VM runs");
    else if (inseparable)
        hint =
            memory_printf("%s, so they go together: free %s first%s%s%s and write 'with group'; "
                          "or name another device",
                          inseparable, blocker->address, blocker->use_hint ? " (" : "",
                          blocker->use_hint ? blocker->use_hint : "", blocker->use_hint ? ")" : "");
    else
        hint = memory_strdup("move one of the two cards to another slot");
    free(inseparable);
    return hint;
}

static struct verdict judge_refuse_blocked(const struct device *device,
                                           const struct device *blocker) {
    char *hint;
    if (blocker->use) {
        char *how = judge_hint_to_free_group(device, blocker);
        hint =
            memory_printf("a group is assigned as a whole, and the host %s: %s", blocker->use, how);
        free(how);
    } else {
        char *inseparable = judge_inseparable(device, blocker);
        hint = memory_printf("a group is assigned as a whole: write 'with group'%s",
                             inseparable ? "" : ", or move the card to another slot");
        free(inseparable);
    }
    return judge_refuse_bound(device, blocker, hint);
}

/* VFIO assigns a group to one VM. That VM may use the device without a <hostdev>: by a disk on it.
 */
static struct verdict judge_refuse_shared(const struct device *device, const struct device *other,
                                          const struct held_device *held) {
    char *inseparable = judge_inseparable(device, other);
    char *hint = memory_printf("a group is assigned to one VM: stop that VM%s",
                               inseparable ? ", or name another device"
                                           : ", or move one of the two cards to another slot");
    free(inseparable);
    return verdict_refuse(REFUSED_GROUP,
                          memory_printf("IOMMU group %d also holds %s (%s), which VM '%s' has%s%s",
                                        device->iommu_group, other->address, other->name,
                                        domain_label(held->vm), held->is_itself ? "" : ": it ",
                                        held->is_itself ? "" : held->text),
                          hint);
}

static struct verdict judge_no_group(const struct host *host, const struct device *device) {
    if (device->iommu_group >= 0)
        return (struct verdict){0};
    return host->has_iommu
               ? verdict_refuse(REFUSED_NO_IOMMU,
                                memory_printf("%s is in no IOMMU group", device->address),
                                memory_strdup("the IOMMU does not cover this slot: move the card"))
               : verdict_refuse(REFUSED_NO_IOMMU, memory_strdup("the host has no IOMMU turned on"),
                                memory_strdup(architecture_iommu(architecture_of(host->root))));
}

static struct verdict judge_group(struct judge *judge, const struct device *device,
                                  bool with_group) {
    struct verdict none = judge_no_group(judge->host, device);
    if (none.refusal)
        return none;
    size_t count;
    const struct device *const *group = judge_group_devices(judge, device, &count);
    /* The kernel does not give the group to a VM while a driver of the host has a device of it. */
    for (size_t i = 0; i < count; i++) {
        if (group[i] == device || !iommu_blocks_group(group[i]) ||
            (judge->is_starting && backend_hostdev_of(judge->domain, group[i])))
            continue;
        if (!with_group)
            return judge_refuse_blocked(device, group[i]);
        if (group[i]->is_bridge) /* an ISA bridge: no rule can assign it */
            return judge_refuse_bound(
                device, group[i],
                memory_strdup("it cannot be assigned, so no device of its group can: move the "
                              "card to another slot"));
    }
    for (size_t i = 0; i < count && !with_group; i++) {
        const struct device *other = group[i];
        if (!judge_is_group_member(device, other))
            continue;
        if (!other->driver && other->obstacle == OBSTACLE_UNKNOWN_USE)
            return verdict_refuse(REFUSED_UNKNOWN_USE,
                                  memory_printf("IOMMU group %d also holds %s, and it is "
                                                "unknown whether a host driver is bound to it: %s",
                                                device->iommu_group, other->address,
                                                other->obstacle_text),
                                  memory_strdup(other->obstacle_hint));
        const struct held_device *held = judge_held_by_other(judge, other, NULL);
        if (held)
            return judge_refuse_shared(device, other, held);
    }
    return (struct verdict){0};
}

/* --- the console's keyboards */

static bool judge_is_itself(const struct held_device *held, const void *context) {
    (void)context;
    return held->is_itself;
}

/* Whether the device takes the keyboard with it: it is that, or the controller that it is
 * connected to. */
static bool judge_takes_keyboard(const struct host *host, const struct device *device,
                                 const struct device *keyboard) {
    return device == keyboard || (device->bus == BUS_PCI && device_is_usb_controller(device) &&
                                  holdings_is_behind(host, keyboard, device));
}

/* Whether a VM has the keyboard, or gets it by this plan. The host's driver stays bound to one
 * whose events a VM has. */
static bool judge_has_left(struct judge *judge, const struct device *keyboard) {
    const struct host *host = judge->host;
    const struct holdings *holdings = judge_holdings(judge);
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        bool is_given =
            (judge->marks && judge->marks[i]) ||
            holdings_find(holdings, device, device == keyboard ? NULL : judge_is_itself, NULL);
        if (is_given && judge_takes_keyboard(host, device, keyboard))
            return true;
    }
    return false;
}

/* The host gives up its display for the VM. */
static bool judge_gives_display(const struct backend_options *options) {
    return options && syntax_find_option(options->list, OPTION_BOOT_DISPLAY);
}

/* Whether somebody still sees the host's console when the VM has the device: a VM has none of the
 * displays that it is on, nor gets them by this plan. */
static bool judge_has_display(struct judge *judge, const struct device *device,
                              const struct backend_options *options, bool with_group) {
    const struct host *host = judge->host;
    bool gives = judge_gives_display(options), is_known = false;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *display = &host->devices[i];
        if (!display->is_display)
            continue;
        is_known = true;
        bool goes =
            gives && (display == device || (with_group && judge_is_group_member(device, display)));
        if (!goes && !(judge->marks && judge->marks[i]) &&
            !holdings_find(judge_holdings(judge), display, judge_is_itself, NULL))
            return true;
    }
    return !is_known;
}

/* Each of the host's last keyboards may go, but not all of them, while its console is seen. */
static struct verdict judge_keyboards(struct judge *judge, const struct device *device,
                                      const struct backend_type *backend,
                                      const struct backend_options *options, bool with_group) {
    const struct host *host = judge->host;
    size_t left = host->keyboards, taken = 0;
    if (!left || backend->shares_device ||
        (!device->is_console_keyboard && !backend->needs_iommu) ||
        !judge_has_display(judge, device, options, with_group))
        return (struct verdict){0};
    bool is_of_host = judge->marks && judge->domain == &judge_any_vm; /* 'bind' gives no VM any */
    char *given = memory_strdup("");
    for (size_t i = 0; i < host->count; i++) {
        const struct device *keyboard = &host->devices[i];
        if (!keyboard->is_console_keyboard)
            continue;
        if (judge_has_left(judge, keyboard)) {
            left--;
            memory_append(&given, "%s%s", *given ? ", " : "", keyboard->address);
            continue;
        }
        bool takes = judge_takes_keyboard(host, device, keyboard);
        for (size_t j = 0; with_group && !takes && j < host->count; j++)
            takes = judge_is_group_member(device, &host->devices[j]) &&
                    judge_takes_keyboard(host, &host->devices[j], keyboard);
        taken += takes;
    }
    struct verdict verdict = {0};
    if (taken && taken >= left)
        verdict = verdict_refuse(
            REFUSED_HOST_USE,
            memory_printf("the host would have no keyboard left for its console%s%s%s",
                          !*given      ? ""
                          : is_of_host ? " (without "
                                       : " (a VM has or gets ",
                          given, *given ? ")" : ""),
            memory_strdup("plug in another keyboard that the host keeps; or name another device: "
                          "no option overrides this"));
    free(given);
    return verdict;
}

/* --- the whole answer */

/* What keeps VFIO from a device keeps no driver of the host from it. */
static bool judge_is_obstacle(enum obstacle obstacle, const struct backend_type *backend) {
    switch (obstacle) {
    case OBSTACLE_NONE:
        return false;
    case OBSTACLE_NO_ANSWER:
        return true;
    case OBSTACLE_UNKNOWN_USE:
        return !backend->shares_device;
    case OBSTACLE_DOMAIN:
    case OBSTACLE_FIRMWARE:
    case OBSTACLE_KERNEL:
        return backend->needs_iommu;
    }
    return true;
}

/* Why the host needs the device, and how to end the first use; `text` NULL: it does not. */
struct judge_use {
    const char *text, *hint;
    bool may_be_awaited; /* programs alone use it, and 'require' would make a start wait for them */
};

static char *judge_hint_to_free(const struct device *device, const struct judge_use *use) {
    return memory_printf(
        "%s; or name another device%s", use->hint ? use->hint : "free it on the host first",
        use->may_be_awaited ? "; or write a rule 'prepare require' for it: then the definition "
                              "has it already, and the VM starts only when nothing has it open"
        : device->is_display && !device->other_use ? ""
                                                   : ": no option overrides this");
}

/* Whether the host's use of the device for its console ends when the VM gets it. */
static bool judge_ends_console(struct judge *judge, const struct device *device,
                               const struct backend_options *options, bool with_group) {
    return (device->is_display && judge_gives_display(options)) ||
           (!device->is_display && device->has_keyboards &&
            !judge_has_display(judge, device, options, with_group));
}

/* The VM does not start unless it can have the device, or one that goes with it. */
static bool judge_is_required(const struct judge *judge, const struct device *device) {
    const struct event prepare = {.name = EVENT_PREPARE, .domain = judge->domain};
    if (!judge->program)
        return false;
    struct action_list actions = match_event(judge->program, &prepare);
    bool is = false;
    for (size_t i = 0; i < actions.count && !is; i++) {
        const struct action *action = actions.list[i].action;
        const struct target *target = action->verb == VERB_REQUIRE ? action->targets : NULL;
        for (; target && !is; target = target->next)
            for (size_t j = 0; j < judge->host->count && !is; j++) {
                const struct device *other = &judge->host->devices[j];
                is = (other == device || judge_is_group_member(device, other)) &&
                     match_device(target->device, other);
            }
    }
    free(actions.list);
    return is;
}

/* What keeps the device on the host. A definition may have the host's display while a desktop is on
 * it, if the VM then does not start: a desktop starts again before the definition is looked at. */
static struct judge_use judge_use(struct judge *judge, const struct device *device,
                                  const struct backend_options *options, bool with_group) {
    bool may_await = judge->is_definition && judge_gives_display(options);
    if (may_await && (judge->is_required || judge_is_required(judge, device)))
        return (struct judge_use){device->lasting_use, device->lasting_use_hint, false};
    may_await &= !device->lasting_use;
    return judge_ends_console(judge, device, options, with_group)
               ? (struct judge_use){device->other_use, device->other_use_hint, may_await}
               : (struct judge_use){device->use, device->use_hint, may_await};
}

/* A physical function stays on the host: it need not be free for a VM to get a virtual one. */
static char *judge_hint_of_use(const struct judge *judge, const struct device *device,
                               const struct backend_type *backend,
                               const struct backend_options *options, const struct judge_use *use) {
    struct verdict verdict = {0};
    if ((device->vf_total || device->virtual_functions) && backend->judge_device)
        verdict = backend->judge_device(judge->host, device, options);
    char *hint = verdict.hint ? memory_strdup(verdict.hint) : judge_hint_to_free(device, use);
    verdict_finish(&verdict);
    return hint;
}

/* What keeps the device on the host, whoever asks for it; the holders aside. */
static struct verdict judge_host(struct judge *judge, const struct device *device,
                                 const struct backend_type *backend,
                                 const struct backend_options *options, bool with_group) {
    struct verdict verdict = judge_guard(judge, device);
    if (!verdict.refusal)
        verdict = judge_guard_above(judge, device);
    if (!verdict.refusal && !backend->shares_device)
        verdict = judge_guards_behind(judge, device);
    if (verdict.refusal)
        return verdict;
    if (device->is_bridge)
        return verdict_refuse(REFUSED_BRIDGE,
                              memory_printf("%s is a %s, which cannot be assigned", device->address,
                                            device_bus(device->bus)->bridge),
                              memory_strdup("name the device behind it"));
    struct judge_use use = judge_use(judge, device, options, with_group);
    if (use.text && !backend->shares_device)
        return verdict_refuse(REFUSED_HOST_USE, memory_printf("the host %s", use.text),
                              judge_hint_of_use(judge, device, backend, options, &use));
    return judge_keyboards(judge, device, backend, options, with_group);
}

static struct verdict judge_refuse_obstacle(const struct device *device) {
    static const enum refusal obstacles[] = {
        [OBSTACLE_NO_ANSWER] = REFUSED_NO_ANSWER,     [OBSTACLE_DOMAIN] = REFUSED_DOMAIN,
        [OBSTACLE_UNKNOWN_USE] = REFUSED_UNKNOWN_USE, [OBSTACLE_FIRMWARE] = REFUSED_FIRMWARE,
        [OBSTACLE_KERNEL] = REFUSED_KERNEL,
    };
    return verdict_refuse(obstacles[device->obstacle], memory_strdup(device->obstacle_text),
                          memory_strdup(device->obstacle_hint));
}

static struct verdict judge_vm_use(const struct device *device) {
    return verdict_refuse(REFUSED_HELD, memory_printf("%s of a VM has it open", device->vm_use),
                          memory_strdup("stop that VM, or detach from it what is on the device"));
}

struct verdict judge_device(struct judge *judge, const struct device *device,
                            const struct backend_type *backend,
                            const struct backend_options *options, bool with_group) {
    struct verdict verdict = judge_host(judge, device, backend, options, with_group);
    if (verdict.refusal)
        return verdict;
    if (judge_is_obstacle(device->obstacle, backend))
        return judge_refuse_obstacle(device);
    /* A VM that has it as usb leaves the host without its tty, disk or event nodes: then it is
     * held.
     */
    verdict = judge_holders(judge, device, backend);
    if (!verdict.refusal)
        verdict = backend_judge_device(backend, judge->host, device, options);
    if (!verdict.refusal)
        verdict = plan_power_judge(device, options);
    if (verdict.refusal)
        return verdict;
    if (device->vm_use && !backend->shares_device && !judge->is_definition)
        return judge_vm_use(device);
    if (backend->needs_iommu)
        verdict = judge_group(judge, device, with_group);
    return verdict.refusal || !backend->judge_vm ? verdict
                                                 : backend->judge_vm(judge->domain, options);
}

/* A VM may get the boot display when it starts, but a host that boots shows its console on it. */
static char *judge_hint_to_bind(const struct device *device) {
    return device->boot_vga
               ? memory_strdup("make another display the first one in the host's firmware; or give "
                               "it to a VM at its start: 'attach ... as vfio boot display'")
           : device->is_display && !device->other_use
               ? memory_strdup(
                     "name another device: the host's console stays where it is until a VM "
                     "gets the device by 'boot display'")
               : judge_hint_to_free(device,
                                    &(struct judge_use){device->use, device->use_hint, false});
}

/* A device that a host driver gets needs no VFIO. */
struct verdict judge_bind(struct judge *judge, const struct device *device, const char *driver) {
    bool is_for_host = !driver_is_vfio(driver);
    struct verdict verdict = judge_host(judge, device, &backend_type_VFIO, NULL, false);
    if (verdict.refusal == REFUSED_HOST_USE && device->use) {
        free(verdict.hint);
        verdict.hint = judge_hint_to_bind(device);
    }
    if (verdict.refusal)
        return verdict;
    if (device->obstacle == OBSTACLE_NO_ANSWER || device->obstacle == OBSTACLE_UNKNOWN_USE ||
        (device->obstacle && !is_for_host))
        return judge_refuse_obstacle(device);
    verdict = judge_holders(judge, device, &backend_type_VFIO);
    if (verdict.refusal)
        return verdict;
    if (device->vm_use)
        return judge_vm_use(device);
    return is_for_host ? verdict : judge_no_group(judge->host, device);
}
