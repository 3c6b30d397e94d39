#include "engine/plan/plan.h"

#include "engine/host/iommu.h"
#include "engine/host/program_file.h"
#include "parser/syntax.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum mark {
    MARK_ATTACH = 1, /* has an entry that attaches it, or that says it is attached */
    MARK_DETACH = 2,
    MARK_CHOSEN = 4, /* while `any` chooses */
};

enum { CLASS_USB_CONTROLLER = 0x0c03 }; /* class and subclass */

struct planner {
    const struct plan_request *request;
    struct plan *plan;
    struct guest guest; /* the places that the VM has left */
    uint8_t *marks;     /* one for each device of the host */
    struct wanted_list wanted;
    struct held *held;
};

/* What running VMs have, the event's own among them: found when it is first asked for. */
struct held {
    bool is_found;
    struct holdings holdings;
};

struct device_list {
    const struct device **list;
    size_t count;
};

char *plan_rule_text(const struct plan_entry *entry) {
    return memory_printf("%s:%zu", entry->rule->source->path,
                         program_line(entry->rule, entry->action));
}

char *plan_device_text(const struct plan_entry *entry) {
    if (entry->device)
        return memory_printf("%s %04x:%04x", entry->device->address, entry->device->id.vendor,
                             entry->device->id.device);
    return entry->wanted ? memory_strdup(entry->wanted) : NULL;
}

enum verb plan_verb(const struct plan_entry *entry) {
    return entry->gone ? VERB_DETACH : entry->action->verb;
}

bool plan_has_option(const struct action *action, enum option_kind kind) {
    const struct action_option *option = action->options;
    while (option && option->kind != kind)
        option = option->next;
    return option != NULL;
}

uint32_t plan_option_ms(const struct action *action, enum option_kind kind) {
    for (const struct action_option *option = action->options; option; option = option->next)
        if (option->kind == kind)
            return option->milliseconds;
    return 0;
}

/* A device in the words of its file, on one line. */
static char *plan_criteria_text(const struct source *source, const struct criterion *first) {
    const struct criterion *last = first;
    if (!first)
        return memory_strdup("");
    while (last->next)
        last = last->next;
    char *text =
        memory_strndup(source->text + first->span.start, last->span.end - first->span.start);
    for (char *at = text; *at; at++)
        if (*at == '\n' || *at == '\r' || *at == '\t' || (*at == '\\' && strchr("\r\n", at[1])))
            *at = ' ';
    return text;
}

static char *plan_wanted_text(const struct origin *origin) {
    return plan_criteria_text(origin->rule->source, origin->target->device);
}

/* --- entries */

static uint8_t *plan_mark_of(const struct planner *planner, const struct device *device) {
    return &planner->marks[device - planner->request->host->devices];
}

static struct plan_entry *plan_add_entry(struct planner *planner, const struct origin *origin,
                                         enum plan_kind kind, const struct device *device) {
    struct plan *plan = planner->plan;
    plan->entries = memory_grow(plan->entries, plan->count, sizeof *plan->entries);
    struct plan_entry *entry = &plan->entries[plan->count++];
    *entry = (struct plan_entry){.kind = kind,
                                 .rule = origin->rule,
                                 .action = origin->action,
                                 .target = origin->target,
                                 .device = device,
                                 .wanted = origin->target ? plan_wanted_text(origin) : NULL};
    if (device && kind != PLAN_REFUSED)
        *plan_mark_of(planner, device) |=
            origin->action->verb == VERB_ATTACH ? MARK_ATTACH : MARK_DETACH;
    return entry;
}

static void plan_refuse(struct planner *planner, const struct origin *origin,
                        const struct device *device, struct verdict verdict) {
    struct plan_entry *entry = plan_add_entry(planner, origin, PLAN_REFUSED, device);
    entry->refusal = verdict.refusal;
    entry->message = verdict.message;
    entry->hint = verdict.hint;
}

/* The device that unplugged is about, or NULL. */
static const struct device *plan_leaver(const struct planner *planner) {
    const struct event *event = planner->request->event;
    return event->name == EVENT_UNPLUGGED ? event->device : NULL;
}

/*
 * The kernel may show a device for a moment after it told that it went, and one may ask what would
 * be if it went. What came back in its place has another number.
 */
static bool plan_is_leaving(const struct planner *planner, const struct device *device) {
    const struct device *leaving = plan_leaver(planner);
    return leaving && leaving->bus == device->bus && !strcmp(leaving->address, device->address) &&
           leaving->id.vendor == device->id.vendor && leaving->id.device == device->id.device &&
           leaving->bus_number == device->bus_number &&
           leaving->device_number == device->device_number;
}

/* --- lists of devices */

static void plan_list_add(struct device_list *devices, const struct device *device) {
    devices->list = memory_grow((void *)devices->list, devices->count, sizeof(struct device *));
    devices->list[devices->count++] = device;
}

static void plan_list_finish(struct device_list *devices) {
    free((void *)devices->list);
}

static struct device_list plan_matching(const struct planner *planner,
                                        const struct target *target) {
    struct device_list found = {0};
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (match_device(target->device, &host->devices[i]))
            plan_list_add(&found, &host->devices[i]);
    return found;
}

static struct device_list plan_staying(const struct planner *planner,
                                       const struct device_list *devices) {
    struct device_list kept = {0};
    for (size_t i = 0; i < devices->count; i++)
        if (!plan_is_leaving(planner, devices->list[i]))
            plan_list_add(&kept, devices->list[i]);
    return kept;
}

static struct device_list plan_on_bus(const struct device_list *devices, enum bus bus) {
    struct device_list kept = {0};
    for (size_t i = 0; i < devices->count; i++)
        if (devices->list[i]->bus == bus)
            plan_list_add(&kept, devices->list[i]);
    return kept;
}

/* Appends to a text that belongs to the caller. */
__attribute__((format(printf, 2, 3))) static void plan_append(char **text, const char *format,
                                                              ...) {
    va_list arguments;
    va_start(arguments, format);
    char *more = memory_vprintf(format, arguments);
    va_end(arguments);
    char *longer = memory_printf("%s%s", *text, more);
    free(more);
    free(*text);
    *text = longer;
}

static char *plan_addresses(const struct device_list *devices) {
    enum { LISTED = 16 }; /* enough to choose from; a line must stay one */
    char *text = memory_strdup("");
    for (size_t i = 0; i < devices->count && i < LISTED; i++)
        plan_append(&text, "%s%s", i ? ", " : "", devices->list[i]->address);
    if (devices->count > LISTED)
        plan_append(&text, " and %zu more", devices->count - LISTED);
    return text;
}

/* --- may this device be given to this VM? */

static const struct holdings *plan_holdings_of(const struct planner *planner) {
    const struct plan_request *request = planner->request;
    struct held *held = planner->held;
    if (!held->is_found) {
        for (size_t i = 0; !request->holdings && i < request->other_count; i++)
            holdings_add(&held->holdings, request->host, &request->others[i]);
        holdings_add(&held->holdings, request->host, request->event->domain);
        holdings_sort(&held->holdings);
        held->is_found = true;
    }
    return &held->holdings;
}

/* What another VM has of the device, or is on it. */
static const struct held_device *plan_held_by_other(const struct planner *planner,
                                                    const struct device *device) {
    const struct domain *own = planner->request->event->domain;
    const struct held_device *holding =
        planner->request->holdings ? holdings_find(planner->request->holdings, device, own) : NULL;
    return holding ? holding : holdings_find(plan_holdings_of(planner), device, own);
}

static const struct domain *plan_unreadable_vm(const struct planner *planner) {
    const struct plan_request *request = planner->request;
    for (size_t i = 0; i < request->other_count; i++)
        if (request->others[i].unreadable)
            return &request->others[i];
    return request->event->domain->unreadable ? request->event->domain : NULL;
}

static bool plan_is_attached(const struct planner *planner, const struct device *device) {
    return backend_hostdev_of(planner->request->event->domain, device) != NULL;
}

/* Nothing is left to judge or to do: the VM has it, or this plan gives it. */
static bool plan_is_settled(const struct planner *planner, const struct device *device) {
    return *plan_mark_of(planner, device) & (MARK_ATTACH | MARK_CHOSEN) ||
           plan_is_attached(planner, device);
}

static bool plan_is_beside(const struct device *device, const struct device *other) {
    return other != device && other->bus == BUS_PCI && !other->is_bridge &&
           !other->goes_with_controller && other->iommu_group >= 0 &&
           other->iommu_group == device->iommu_group;
}

/* Functions of one card or of one slot of the chipset, which no other slot separates. */
static bool plan_is_same_slot(const struct device *device, const struct device *other) {
    size_t length = strcspn(device->address, ".");
    return strncmp(device->address, other->address, length + 1) == 0;
}

static char *plan_blocked_hint(const struct device *device, const struct device *blocker) {
    bool same = plan_is_same_slot(device, blocker);
    if (!blocker->use)
        return memory_printf("a group goes as a whole: write 'with group'%s",
                             same ? "" : ", or move the card to another slot");
    return memory_printf("a group goes as a whole, and the host %s: %s", blocker->use,
                         same ? "the two are functions of one device, so name another device, or "
                                "free both on the host first"
                              : "move one of the two cards to another slot");
}

static struct verdict plan_refuse_blocked(const struct device *device,
                                          const struct device *blocker) {
    return verdict_refuse(
        REFUSED_GROUP,
        memory_printf("IOMMU group %d also holds %s (%s), which the host's driver %s has",
                      device->iommu_group, blocker->address, blocker->name, blocker->driver),
        plan_blocked_hint(device, blocker));
}

/* As a disk of a VM is, that is on vfio's driver without being a <hostdev>. */
static struct verdict plan_refuse_shared(const struct device *device, const struct device *other,
                                         const struct held_device *holding) {
    const char *vm = domain_label(holding->vm);
    char *message = memory_printf("IOMMU group %d also holds %s (%s), which VM '%s' has",
                                  device->iommu_group, other->address, other->name, vm);
    if (!holding->is_itself)
        plan_append(&message, ": it %s", holding->text);
    return verdict_refuse(REFUSED_GROUP, message,
                          memory_printf("a group goes to one VM: stop that VM%s",
                                        plan_is_same_slot(device, other)
                                            ? ", or name another device"
                                            : ", or move one of the two cards to another slot"));
}

/* A group belongs to one VM: what another VM has of it keeps this device from going. */
static struct verdict plan_judge_siblings(const struct planner *planner,
                                          const struct device *device) {
    const struct host *host = planner->request->host;
    const struct device *blocker = iommu_group_blocker(host, device);
    if (blocker)
        return plan_refuse_blocked(device, blocker);
    for (size_t i = 0; i < host->count; i++) {
        const struct device *other = &host->devices[i];
        if (!plan_is_beside(device, other))
            continue;
        const struct held_device *holding = plan_held_by_other(planner, other);
        if (!other->driver && other->obstacle == OBSTACLE_UNKNOWN_USE)
            return verdict_refuse(
                REFUSED_UNKNOWN_USE,
                memory_printf("IOMMU group %d also holds %s, of which nothing tells "
                              "whether a driver of the host has it: %s",
                              device->iommu_group, other->address, other->obstacle_text),
                memory_strdup(other->obstacle_hint));
        if (holding)
            return plan_refuse_shared(device, other, holding);
    }
    return (struct verdict){0};
}

/* What stays on the host when the rest of its group goes, as an ISA bridge does. */
static struct verdict plan_judge_bridges(const struct planner *planner,
                                         const struct device *device) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *other = &host->devices[i];
        if (other->is_bridge && other->bus == BUS_PCI &&
            other->iommu_group == device->iommu_group && iommu_blocks_group(other))
            return verdict_refuse(
                REFUSED_GROUP,
                memory_printf("IOMMU group %d also holds %s (%s), which the host's "
                              "driver %s has",
                              device->iommu_group, other->address, other->name, other->driver),
                memory_strdup("it cannot be passed, so nothing of its group can: move "
                              "the card to another slot"));
    }
    return (struct verdict){0};
}

static struct verdict plan_judge_group(const struct planner *planner, const struct device *device,
                                       bool with_group) {
    if (device->iommu_group < 0 && !planner->request->host->has_iommu)
        return verdict_refuse(
            REFUSED_NO_IOMMU, memory_strdup("the host has no IOMMU turned on"),
            memory_strdup("turn on VT-d or AMD-Vi in the firmware, and on Intel boot "
                          "the kernel with intel_iommu=on"));
    if (device->iommu_group < 0)
        return verdict_refuse(REFUSED_NO_IOMMU,
                              memory_printf("%s is in no IOMMU group", device->address),
                              memory_strdup("the IOMMU does not reach this slot: move the card"));
    return with_group ? plan_judge_bridges(planner, device) : plan_judge_siblings(planner, device);
}

static struct verdict plan_judge_usb(const struct planner *planner, const struct device *device) {
    const struct domain *domain = planner->request->event->domain;
    if (device->bus != BUS_USB || !domain->machine || domain->guest.has_usb)
        return (struct verdict){0};
    return verdict_refuse(REFUSED_NO_USB, memory_strdup("the VM has no USB controller"),
                          memory_strdup("add to the VM while it is off: "
                                        "<controller type='usb' model='qemu-xhci'/>"));
}

static struct verdict plan_refuse_machine(const struct domain *domain) {
    return verdict_refuse(
        REFUSED_NO_PORT,
        memory_printf("the VM's machine type %s has no PCI bus to plug a device into",
                      domain->machine),
        memory_strdup("PCI devices need another machine type: q35, or pc"));
}

/* `placed` of the devices still found a place. */
static struct verdict plan_refuse_ports(const struct domain *domain, size_t needed, size_t placed) {
    const struct guest *guest = &domain->guest;
    if (guest->has_no_pci)
        return plan_refuse_machine(domain);
    const char *kind = guest->has_pcie_root ? "PCIe root port" : "PCI slot";
    const char *model = guest->has_pcie_root ? "pcie-root-port" : "pci-bridge";
    char *message = needed == 1
                        ? memory_printf("the VM has no free %s", kind)
                        : memory_printf("%zu devices need a %s each, and the VM has %zu left",
                                        needed, kind, placed);
    if (guest->has_pcie_root && guest->fixed_ports)
        plan_append(&message, " (it has %u in all, %u of them with hotplug='off')",
                    guest->root_ports, guest->fixed_ports);
    else if (guest->has_pcie_root)
        plan_append(&message, " (it has %u in all)", guest->root_ports);
    return verdict_refuse(REFUSED_NO_PORT, message,
                          memory_printf("add to the VM while it is off: <controller type='pci' "
                                        "model='%s'/>, one for each device",
                                        model));
}

static struct verdict plan_refuse_usb_ports(const struct domain *domain) {
    char *text = guest_usb_text(&domain->guest);
    char *message = memory_printf("the VM has no free USB port left: %s", text);
    free(text);
    return verdict_refuse(
        REFUSED_NO_USB_PORT, message,
        memory_strdup("add to the VM while it is off: <controller type='usb' "
                      "model='qemu-xhci' ports='15'/>, instead of one that it has or "
                      "with an index of its own; or detach a USB device from it"));
}

/* Takes a place for each device of the unit that needs one; the first that finds none refuses. */
static struct verdict plan_take_places(const struct planner *planner, struct guest *guest,
                                       const struct device_list *unit) {
    const struct domain *domain = planner->request->event->domain;
    size_t needed = 0, placed = 0;
    struct guest_place place;
    for (size_t i = 0; i < unit->count; i++) {
        const struct device *device = unit->list[i];
        if (plan_is_settled(planner, device))
            continue;
        if (device->bus == BUS_USB && !guest_take_usb(guest))
            return plan_refuse_usb_ports(domain);
        if (device->bus == BUS_USB)
            continue;
        needed++;
        placed += guest_take_pci(guest, device->kind, &place);
    }
    return placed < needed ? plan_refuse_ports(domain, needed, placed) : (struct verdict){0};
}

/* Every device takes a place of its own. */
static struct verdict plan_judge_places(const struct planner *planner,
                                        const struct device_list *unit) {
    struct guest guest = planner->guest;
    return plan_take_places(planner, &guest, unit);
}

/* What libvirt said about the device in this run, when no VM's XML shows it. */
static const struct busy_device *plan_claim_on(const struct planner *planner,
                                               const struct device *device) {
    const struct plan_request *request = planner->request;
    for (size_t i = 0; i < request->claim_count; i++)
        if (request->claims[i].bus == device->bus &&
            !strcmp(request->claims[i].address, device->address))
            return &request->claims[i];
    return NULL;
}

static struct verdict plan_refuse_held(const struct held_device *holding) {
    const char *hint = holding->is_itself
                           ? "stop that VM or detach the device there; 'any' takes the next free "
                             "one"
                           : "the device would vanish under that VM: stop it or take that out of "
                             "it first; 'any' takes the next free one";
    return verdict_refuse(REFUSED_HELD,
                          memory_printf("VM '%s' %s", domain_label(holding->vm), holding->text),
                          memory_strdup(hint));
}

/* The VM must not lose its own disk, network or device either. */
static struct verdict plan_judge_own(const struct planner *planner, const struct device *device) {
    const struct held_device *holding = holdings_find(plan_holdings_of(planner), device, NULL);
    if (!holding || holding->vm != planner->request->event->domain)
        return (struct verdict){0};
    return verdict_refuse(
        REFUSED_HELD, memory_printf("the VM itself %s", holding->text),
        memory_strdup("the VM would lose that: name another device, or take that out "
                      "of the VM's definition"));
}

/* The VMs of a rule: "VM 'ha'", "VMs 'ha', 'nas*'", "any VM". */
static char *plan_vms_text(const struct rule *rule) {
    if (rule->vms->kind == WORD_ANY)
        return memory_strdup("any VM");
    char *text = memory_strdup(rule->vms->next ? "VMs " : "VM ");
    for (const struct word *vm = rule->vms; vm; vm = vm->next)
        plan_append(&text, "'%s'%s", vm->text, vm->next ? ", " : "");
    return text;
}

static bool plan_gives(const struct action *action, const struct device *device) {
    if (action->verb != VERB_ATTACH || action->backend != BACKEND_USB)
        return false;
    for (const struct target *target = action->targets; target; target = target->next)
        if (match_device(target->device, device))
            return true;
    return false;
}

/* What another rule gives, or this event's other one, would not be there any more. */
static struct verdict plan_judge_rules_behind(const struct planner *planner,
                                              const struct device *controller,
                                              const struct device *device) {
    const struct program *program = planner->request->program;
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next) {
            if (!plan_gives(action, device) ||
                !holdings_is_behind(planner->request->host, device, controller))
                continue;
            const struct rule *rule = program->rules[i];
            char *vms = plan_vms_text(rule);
            char *message =
                memory_printf("%s is behind it, which %s:%zu gives to %s", device->address,
                              rule->source->path, program_line(rule, action), vms);
            free(vms);
            return verdict_refuse(
                REFUSED_HELD, message,
                memory_strdup("one of the two rules can be kept: the USB device alone, "
                              "or the controller with all that is plugged into it"));
        }
    return (struct verdict){0};
}

static struct verdict plan_judge_controller(const struct planner *planner,
                                            const struct device *device) {
    const struct host *host = planner->request->host;
    if (device->bus != BUS_PCI || device->class_code >> 8 != CLASS_USB_CONTROLLER)
        return (struct verdict){0};
    for (size_t i = 0; i < host->count; i++) {
        if (host->devices[i].bus != BUS_USB || host->devices[i].is_bridge)
            continue;
        struct verdict no = plan_judge_rules_behind(planner, device, &host->devices[i]);
        if (no.refusal)
            return no;
    }
    return (struct verdict){0};
}

static struct verdict plan_judge_holders(const struct planner *planner,
                                         const struct device *device) {
    const struct held_device *holding = plan_held_by_other(planner, device);
    const struct domain *unreadable = plan_unreadable_vm(planner);
    const struct busy_device *claim = holding ? NULL : plan_claim_on(planner, device);
    if (holding)
        return plan_refuse_held(holding);
    if (claim)
        return verdict_refuse(REFUSED_HELD, memory_strdup(claim->message),
                              memory_strdup(claim->hint));
    if (unreadable)
        return verdict_refuse(
            REFUSED_HELD,
            memory_printf("VM '%s' runs, and what it has cannot be read: %s",
                          domain_label(unreadable), unreadable->unreadable),
            memory_printf("it may have the device: see 'virsh dumpxml %s', or stop "
                          "that VM",
                          domain_label(unreadable)));
    struct verdict own = plan_judge_own(planner, device);
    return own.refusal ? own : plan_judge_controller(planner, device);
}

static struct verdict plan_judge_guard(const struct planner *planner, const struct device *device) {
    const struct guard *guard =
        match_guard(planner->request->program, planner->request->event->domain, device);
    if (!guard)
        return (struct verdict){0};
    size_t line = source_position(guard->source, guard->span.start).line;
    if (guard->doubtful)
        return verdict_refuse(
            REFUSED_NEVER,
            memory_printf("'never' at %s:%zu has an error, and forbids all that it may "
                          "mean",
                          guard->source->path, line),
            memory_strdup("correct the error that 'virt-rules check' reports"));
    return verdict_refuse(
        REFUSED_NEVER, memory_printf("'never' at %s:%zu forbids it", guard->source->path, line),
        memory_strdup("'never' wins over every rule: change that line if the VM may "
                      "have the device"));
}

static enum refusal plan_obstacle_refusal(enum obstacle obstacle) {
    static const enum refusal refusals[] = {
        [OBSTACLE_NO_ANSWER] = REFUSED_NO_ANSWER,     [OBSTACLE_DOMAIN] = REFUSED_DOMAIN,
        [OBSTACLE_UNKNOWN_USE] = REFUSED_UNKNOWN_USE, [OBSTACLE_FIRMWARE] = REFUSED_FIRMWARE,
        [OBSTACLE_KERNEL] = REFUSED_KERNEL,
    };
    return refusals[obstacle];
}

/* Whether `device` may leave the host with that other one: the domain of a VMD controller, the
 * virtual functions of a physical one, and what is plugged into a USB controller. */
static bool plan_may_leave_with(const struct device *device, const struct device *controller) {
    const char *above = device->controller ? device->controller : device->physical;
    if (controller->bus != BUS_PCI)
        return false;
    if (device->bus == BUS_PCI)
        return above && !strcmp(above, controller->address);
    return !device->is_bridge && controller->class_code >> 8 == CLASS_USB_CONTROLLER;
}

/* What a guard forbids must not come to the VM with the device above it either. */
static struct verdict plan_judge_guards_behind(const struct planner *planner,
                                               const struct device *controller) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++) {
        const struct device *device = &host->devices[i];
        struct verdict no = {0};
        if (plan_may_leave_with(device, controller))
            no = plan_judge_guard(planner, device);
        if (!no.refusal)
            continue;
        if (device->bus == BUS_USB && !holdings_is_behind(host, device, controller)) {
            verdict_finish(&no);
            continue;
        }
        char *message = memory_printf("%s is behind it: %s", device->address, no.message);
        free(no.message);
        no.message = message;
        return no;
    }
    return (struct verdict){0};
}

/* The strongest reason first: what would harm the host. */
static struct verdict plan_judge(const struct planner *planner, const struct device *device,
                                 bool with_group) {
    struct verdict guard = plan_judge_guard(planner, device);
    if (!guard.refusal)
        guard = plan_judge_guards_behind(planner, device);
    if (guard.refusal)
        return guard;
    if (device->is_bridge)
        return verdict_refuse(REFUSED_BRIDGE,
                              memory_printf("%s is a %s, no endpoint", device->address,
                                            device->bus == BUS_PCI ? "bridge" : "hub"),
                              memory_strdup("name the device behind it"));
    if (device->use)
        return verdict_refuse(
            REFUSED_HOST_USE, memory_printf("the host %s", device->use),
            memory_strdup("nothing overrides this: name another device, or free this "
                          "one on the host first"));
    if (device->obstacle)
        return verdict_refuse(plan_obstacle_refusal(device->obstacle),
                              memory_strdup(device->obstacle_text),
                              memory_strdup(device->obstacle_hint));
    struct verdict held = plan_judge_holders(planner, device);
    if (held.refusal)
        return held;
    if (device->vm_use)
        return verdict_refuse(
            REFUSED_HELD, memory_printf("%s of a VM has it open", device->vm_use),
            memory_strdup("stop that VM, or take what is on the device out of it"));
    return device->bus == BUS_PCI ? plan_judge_group(planner, device, with_group)
                                  : plan_judge_usb(planner, device);
}

/* --- attach */

static void plan_skip_attached(struct planner *planner, const struct origin *origin,
                               const struct device *device) {
    plan_add_entry(planner, origin, PLAN_SKIPPED, device)->message =
        memory_strdup("the VM has it already");
}

static struct backend_options plan_hostdev_options_of(const struct action *action) {
    struct backend_options options = {.unmanaged = plan_has_option(action, OPTION_UNMANAGED),
                                      .rom_off = plan_has_option(action, OPTION_ROM_OFF)};
    for (const struct action_option *option = action->options; option; option = option->next)
        if (option->kind == OPTION_ROM_FILE)
            options.rom = option->text;
    return options;
}

/* A ROM is the selected device's own, not that of what goes with it. */
static void plan_add_attach(struct planner *planner, const struct origin *origin,
                            const struct device *device) {
    struct backend_options options = plan_hostdev_options_of(origin->action);
    if (!match_device(origin->target->device, device))
        options.rom = NULL;
    if (device->bus == BUS_USB)
        guest_take_usb(&planner->guest);
    else
        guest_take_pci(&planner->guest, device->kind, &options.place);
    plan_add_entry(planner, origin, PLAN_STEP, device)->xml =
        backend_xml(backend_type(origin->action->backend), device, &options);
}

/* What goes with the device: with its group the group's endpoints, itself first; else itself. */
static struct device_list plan_unit_of(const struct planner *planner, const struct origin *origin,
                                       const struct device *device) {
    struct device_list members = {0};
    const struct host *host = planner->request->host;
    plan_list_add(&members, device);
    for (size_t i = 0; origin->action->with_group && i < host->count; i++)
        if (plan_is_beside(device, &host->devices[i]) &&
            !plan_is_leaving(planner, &host->devices[i]))
            plan_list_add(&members, &host->devices[i]);
    return members;
}

/* The first reason why the unit cannot go as a whole. */
static struct verdict plan_judge_unit(const struct planner *planner, const struct origin *origin,
                                      const struct device_list *unit) {
    for (size_t i = 0; i < unit->count; i++) {
        if (plan_is_settled(planner, unit->list[i]))
            continue;
        struct verdict no = plan_judge(planner, unit->list[i], origin->action->with_group);
        if (no.refusal)
            return no;
    }
    return plan_judge_places(planner, unit);
}

/* Every reason why the unit cannot go as a whole becomes an entry. */
static bool plan_refuse_unit(struct planner *planner, const struct origin *origin,
                             const struct device_list *unit) {
    bool refused = false;
    for (size_t i = 0; i < unit->count; i++) {
        if (plan_is_settled(planner, unit->list[i]))
            continue;
        struct verdict no = plan_judge(planner, unit->list[i], origin->action->with_group);
        if (no.refusal)
            plan_refuse(planner, origin, unit->list[i], no);
        refused |= no.refusal != REFUSED_NOT;
    }
    if (refused)
        return true;
    struct verdict places = plan_judge_places(planner, unit);
    if (places.refusal)
        plan_refuse(planner, origin, unit->list[0], places);
    return places.refusal != REFUSED_NOT;
}

/* One device, or with its group: all of them or none. */
static void plan_attach_device(struct planner *planner, const struct origin *origin,
                               const struct device *device) {
    struct device_list unit = plan_unit_of(planner, origin, device);
    bool refused = plan_refuse_unit(planner, origin, &unit);
    for (size_t i = 0; !refused && i < unit.count; i++) {
        if (*plan_mark_of(planner, unit.list[i]) & MARK_ATTACH)
            continue;
        if (plan_is_attached(planner, unit.list[i]))
            plan_skip_attached(planner, origin, unit.list[i]);
        else
            plan_add_attach(planner, origin, unit.list[i]);
    }
    plan_list_finish(&unit);
}

/* What stands behind a name, as " (1ac1:089a)"; else "". */
static char *plan_meaning_text(const struct target *target) {
    const struct criterion *only = target->device;
    if (!only || only->next || only->kind != CRITERION_NAME || !only->resolved)
        return memory_strdup("");
    char *text = plan_criteria_text(only->definition->source, only->definition->device);
    char *meaning = memory_printf(" (%s)", text);
    free(text);
    return meaning;
}

/* No fault of the rule: its device is the one that leaves, and there is no other. */
static void plan_skip_leaving(struct planner *planner, const struct origin *origin) {
    struct plan_entry *entry = plan_add_entry(planner, origin, PLAN_SKIPPED, NULL);
    entry->refusal = REFUSED_ABSENT;
    entry->message =
        memory_printf("the device leaves the host, which has no other %s %s",
                      origin->action->backend == BACKEND_USB ? "USB" : "PCI", entry->wanted);
}

static void plan_refuse_absent(struct planner *planner, const struct origin *origin) {
    bool optional = plan_has_option(origin->action, OPTION_OPTIONAL);
    struct plan_entry *entry =
        plan_add_entry(planner, origin, optional ? PLAN_SKIPPED : PLAN_REFUSED, NULL);
    entry->refusal = REFUSED_ABSENT;
    char *meaning = plan_meaning_text(origin->target);
    entry->message = memory_printf("the host has no %s device %s%s",
                                   origin->action->backend == BACKEND_USB ? "USB" : "PCI",
                                   entry->wanted, meaning);
    free(meaning);
    if (plan_option_ms(origin->action, OPTION_WITHIN))
        entry->hint = memory_printf("a run waits for it as long as 'within' says");
    else if (!optional)
        entry->hint = memory_strdup("see 'virt-rules devices'; 'optional' allows it to be missing, "
                                    "'within 30s' waits for it");
}

static void plan_refuse_bus(struct planner *planner, const struct origin *origin,
                            const struct device *device) {
    bool usb = device->bus == BUS_USB;
    plan_refuse(planner, origin, device,
                verdict_refuse(REFUSED_BUS,
                               memory_printf("%s is a %s device, and the rule says 'as %s'",
                                             device->address, usb ? "USB" : "PCI",
                                             syntax_backend_text(origin->action->backend)),
                               memory_printf("write 'as %s'", usb ? "usb" : "vfio")));
}

/* The first that may be had, or NULL and why the first may not, which is the caller's. */
static const struct device *plan_first_choice(const struct planner *planner,
                                              const struct origin *origin,
                                              const struct device_list *devices, char **why) {
    *why = NULL;
    for (size_t i = 0; i < devices->count; i++) {
        struct device_list unit = plan_unit_of(planner, origin, devices->list[i]);
        struct verdict no = {0};
        if (origin->action->verb == VERB_ATTACH)
            no = plan_judge_unit(planner, origin, &unit);
        if (no.refusal && !*why)
            *why = memory_printf("%s: %s; %s", devices->list[i]->address, no.message, no.hint);
        plan_list_finish(&unit);
        verdict_finish(&no);
        if (!no.refusal)
            return devices->list[i];
    }
    return NULL;
}

static char *plan_choice_hint(const struct planner *planner, const struct origin *origin,
                              const struct device_list *devices) {
    char *why = NULL;
    const struct device *first = plan_first_choice(planner, origin, devices, &why);
    char *hint = first ? memory_printf("say which: '%s %s' for one of them, 'any' for the first%s "
                                       "one, 'all' for all",
                                       first->bus == BUS_USB ? "port" : "at", first->address,
                                       origin->action->verb == VERB_ATTACH ? " free" : "")
                       : memory_printf("none of them can be had: %s", why);
    free(why);
    return hint;
}

static void plan_refuse_ambiguous(struct planner *planner, const struct origin *origin,
                                  const struct device_list *devices) {
    char *list = plan_addresses(devices);
    char *wanted = plan_wanted_text(origin);
    bool attach = origin->action->verb == VERB_ATTACH;
    plan_refuse(planner, origin, NULL,
                verdict_refuse(REFUSED_AMBIGUOUS,
                               memory_printf("%zu devices%s are %s: %s", devices->count,
                                             attach ? "" : " that the VM has", wanted, list),
                               plan_choice_hint(planner, origin, devices)));
    free(wanted);
    free(list);
}

/* Why others than those that were chosen may not be had. */
struct missed {
    char *why;            /* "; ADDRESS: message" of each */
    struct verdict first; /* of the first one; REFUSED_NOT: there is none */
    bool differ;          /* the reasons do */
};

/* Keeps why the target's device gets no entry; takes what `no` owns. */
static void plan_pass_over(struct planner *planner, const struct origin *origin,
                           const struct device *device, struct verdict no) {
    struct plan *plan = planner->plan;
    plan->passed = memory_grow(plan->passed, plan->passed_count, sizeof *plan->passed);
    plan->passed[plan->passed_count++] =
        (struct plan_passed){origin->action, origin->target, device, no.refusal, no.message};
    free(no.hint);
}

static void plan_miss(struct missed *missed, const struct device *device, struct verdict no) {
    plan_append(&missed->why, "; %s: %s", device->address, no.message);
    missed->differ |= missed->first.refusal && missed->first.refusal != no.refusal;
    if (missed->first.refusal)
        verdict_finish(&no);
    else
        missed->first = no;
}

static void plan_missed_finish(struct missed *missed) {
    verdict_finish(&missed->first);
    free(missed->why);
}

/* What `any` takes: one device of each unit, and how many of the matching devices come with them.
 */
struct choice {
    struct device_list list;
    size_t count;
};

/* The device comes with its group, and so do those of the group that match the target as well. */
static void plan_choose_unit(struct planner *planner, struct choice *choice,
                             const struct device_list *matching_devices,
                             const struct device_list *unit) {
    plan_take_places(planner, &planner->guest, unit);
    plan_list_add(&choice->list, unit->list[0]);
    for (size_t i = 0; i < unit->count; i++) {
        uint8_t *mark = plan_mark_of(planner, unit->list[i]);
        for (size_t j = 0; j < matching_devices->count && !(*mark & MARK_CHOSEN); j++)
            choice->count += matching_devices->list[j] == unit->list[i];
        *mark |= MARK_CHOSEN;
    }
}

static void plan_choose_device(struct planner *planner, const struct origin *origin,
                               struct choice *choice, const struct device_list *devices,
                               const struct device *device, struct missed *missed) {
    struct device_list unit = plan_unit_of(planner, origin, device);
    struct device_list alone = {&device, 1};
    struct verdict no = plan_judge_unit(planner, origin, &unit);
    if (!no.refusal) {
        plan_choose_unit(planner, choice, devices, &unit);
    } else if (plan_is_settled(planner, device)) {
        /* It is in the VM; why the rest of its group cannot follow becomes an entry. */
        plan_choose_unit(planner, choice, devices, &alone);
        verdict_finish(&no);
    } else {
        plan_pass_over(planner, origin, device, verdict_copy(&no));
        plan_miss(missed, device, no);
    }
    plan_list_finish(&unit);
}

/*
 * Of `devices` those that the VM has or this plan gives it, then the free ones, up to `wanted`,
 * what comes along with a group among them. So two rules that take any device take the same one,
 * and a plan that is made again half way comes out alike.
 */
static struct choice plan_choose(struct planner *planner, const struct origin *origin,
                                 const struct device_list *devices, size_t wanted,
                                 struct missed *missed) {
    struct choice choice = {0};
    struct guest guest = planner->guest;
    for (int settled = 1; settled >= 0; settled--)
        for (size_t i = 0; i < devices->count; i++) {
            const struct device *device = devices->list[i];
            if ((*plan_mark_of(planner, device) & MARK_CHOSEN) ||
                plan_is_settled(planner, device) != (settled == 1))
                continue;
            if (choice.count < wanted)
                plan_choose_device(planner, origin, &choice, devices, device, missed);
            else if (!settled)
                plan_pass_over(planner, origin, device,
                               verdict_refuse(REFUSED_NOT,
                                              memory_strdup("enough others were taken before it"),
                                              NULL));
        }
    for (size_t i = 0; i < planner->request->host->count; i++)
        planner->marks[i] &= (uint8_t)~MARK_CHOSEN;
    planner->guest = guest;
    return choice;
}

/* One reason for all of them, and no other VM's having it, which passes: then it is the answer. */
static bool plan_is_one_reason(const struct missed *missed, size_t count) {
    return !count && missed->first.refusal && missed->first.refusal != REFUSED_HELD &&
           !missed->differ;
}

/* What `optional` allows to be missing is no refusal. */
static void plan_miss_some(struct planner *planner, const struct origin *origin, size_t count,
                           const struct missed *missed) {
    bool optional = plan_has_option(origin->action, OPTION_OPTIONAL);
    struct plan_entry *entry =
        plan_add_entry(planner, origin, optional ? PLAN_SKIPPED : PLAN_REFUSED, NULL);
    unsigned wanted = origin->target->count;
    bool one_reason = !optional && plan_is_one_reason(missed, count);
    const char *why = missed->why;
    entry->refusal = one_reason ? missed->first.refusal : REFUSED_TOO_FEW;
    entry->message = wanted == 1
                         ? memory_printf("none is free%s", why)
                         : memory_printf("%zu of the %u wanted can be had%s", count, wanted, why);
    if (one_reason)
        entry->hint = memory_strdup(missed->first.hint);
    else if (!optional)
        entry->hint = memory_printf("free one%s; 'optional' takes what is there",
                                    wanted == 1 ? "" : ", or ask for fewer");
}

static void plan_attach_any(struct planner *planner, const struct origin *origin,
                            const struct device_list *devices) {
    struct missed missed = {.why = memory_strdup("")};
    struct choice choice = plan_choose(planner, origin, devices, origin->target->count, &missed);
    bool enough = choice.count >= origin->target->count;
    for (size_t i = 0; i < choice.list.count; i++)
        if (enough || plan_has_option(origin->action, OPTION_OPTIONAL))
            plan_attach_device(planner, origin, choice.list.list[i]);
    if (!enough)
        plan_miss_some(planner, origin, choice.count, &missed);
    plan_list_finish(&choice.list);
    plan_missed_finish(&missed);
}

/* Devices that the target means and the plan does not look at. */
static void plan_pass_over_others(struct planner *planner, const struct origin *origin,
                                  const struct device_list *matched, enum bus bus) {
    for (size_t i = 0; i < matched->count; i++) {
        const struct device *device = matched->list[i];
        if (plan_is_leaving(planner, device))
            plan_pass_over(
                planner, origin, device,
                verdict_refuse(REFUSED_ABSENT, memory_strdup("it leaves the host"), NULL));
        else if (device->bus != bus)
            plan_pass_over(
                planner, origin, device,
                verdict_refuse(REFUSED_BUS,
                               memory_printf("it is a %s device, and the rule says 'as %s'",
                                             device->bus == BUS_USB ? "USB" : "PCI",
                                             syntax_backend_text(origin->action->backend)),
                               NULL));
    }
}

static void plan_attach(struct planner *planner, const struct origin *origin) {
    enum bus bus = origin->action->backend == BACKEND_USB ? BUS_USB : BUS_PCI;
    struct device_list matched = plan_matching(planner, origin->target);
    struct device_list found = plan_staying(planner, &matched), devices = plan_on_bus(&found, bus);
    if (!found.count && plan_leaver(planner) && !plan_has_option(origin->action, OPTION_WITHIN))
        plan_skip_leaving(planner, origin);
    else if (!found.count)
        plan_refuse_absent(planner, origin);
    else if (!devices.count)
        plan_refuse_bus(planner, origin, found.list[0]);
    else if (origin->target->quantifier == QUANTIFIER_ANY)
        plan_attach_any(planner, origin, &devices);
    else if (origin->target->quantifier == QUANTIFIER_ONE && devices.count > 1)
        plan_refuse_ambiguous(planner, origin, &devices);
    else
        for (size_t i = 0; i < devices.count; i++)
            plan_attach_device(planner, origin, devices.list[i]);
    plan_pass_over_others(planner, origin, &matched, bus);
    plan_list_finish(&devices);
    plan_list_finish(&found);
    plan_list_finish(&matched);
}

/* --- detach and run */

static struct device_list plan_attached(const struct planner *planner,
                                        const struct device_list *devices) {
    struct device_list kept = {0};
    for (size_t i = 0; i < devices->count; i++)
        if (plan_is_attached(planner, devices->list[i]))
            plan_list_add(&kept, devices->list[i]);
    return kept;
}

static void plan_detach_devices(struct planner *planner, const struct origin *origin,
                                const struct device_list *devices) {
    bool any = origin->target->quantifier == QUANTIFIER_ANY;
    for (size_t i = 0; i < devices->count; i++)
        if (any && i >= origin->target->count)
            plan_pass_over(planner, origin, devices->list[i],
                           verdict_refuse(REFUSED_NOT,
                                          memory_strdup("enough others were detached before it"),
                                          NULL));
        else if (!(*plan_mark_of(planner, devices->list[i]) & MARK_DETACH)) {
            plan_add_entry(planner, origin, PLAN_STEP, devices->list[i])->xml =
                backend_detach_xml(devices->list[i]);
            guest_leave(
                &planner->guest,
                &backend_hostdev_of(planner->request->event->domain, devices->list[i])->place);
        }
}

/*
 * Whether it is the device that left, by its hostdev or as one made up from that; what is unknown
 * of either counts as the same.
 */
static bool plan_may_be_leaver(const struct planner *planner, enum bus bus, struct device_id id,
                               unsigned bus_number, unsigned device_number) {
    const struct device *left = plan_leaver(planner);
    if (!left || left->bus != bus)
        return false;
    if (left->bus_number && bus_number)
        return left->bus_number == bus_number && left->device_number == device_number;
    return !(left->id.vendor || left->id.device) || !(id.vendor || id.device) ||
           (left->id.vendor == id.vendor && left->id.device == id.device);
}

/* The device that leaves is taken out of the VM already: see plan_gone(). */
static bool plan_takes_leaver(const struct planner *planner) {
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct device *gone = planner->plan->entries[i].gone;
        if (gone &&
            plan_may_be_leaver(planner, gone->bus, gone->id, gone->bus_number, gone->device_number))
            return true;
    }
    return false;
}

static void plan_detach(struct planner *planner, const struct origin *origin) {
    bool taken = plan_takes_leaver(planner);
    if (taken && origin->target->quantifier != QUANTIFIER_ALL)
        return;
    struct device_list matched = plan_matching(planner, origin->target);
    struct device_list found = taken ? plan_staying(planner, &matched) : matched;
    struct device_list held = plan_attached(planner, &found);
    for (size_t i = 0; i < found.count; i++)
        if (!plan_is_attached(planner, found.list[i]))
            plan_pass_over(
                planner, origin, found.list[i],
                verdict_refuse(REFUSED_NOT, memory_strdup("the VM does not have it"), NULL));
    if (!held.count && taken)
        ; /* it was the only one */
    else if (!held.count)
        plan_add_entry(planner, origin, PLAN_SKIPPED, NULL)->message =
            memory_strdup("the VM does not have it");
    else if (origin->target->quantifier == QUANTIFIER_ONE && held.count > 1)
        plan_refuse_ambiguous(planner, origin, &held);
    else
        plan_detach_devices(planner, origin, &held);
    plan_list_finish(&held);
    if (taken)
        plan_list_finish(&found);
    plan_list_finish(&matched);
}

/* --- what has left the host and not the VM */

static bool plan_is_on_host(const struct planner *planner, const struct domain_hostdev *hostdev) {
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (backend_is_hostdev(hostdev, &host->devices[i]) &&
            !plan_is_leaving(planner, &host->devices[i]))
            return true;
    return !host->has_usb; /* a host without so much as a root hub shows nothing of its USB */
}

static struct device *plan_gone_device(const struct domain_hostdev *hostdev) {
    struct device *device = memory_zalloc(sizeof *device);
    *device = (struct device){
        .bus = BUS_USB,
        .address = memory_printf("%u/%u", hostdev->bus_number, hostdev->device_number),
        .id = hostdev->id,
        .name = memory_strdup("(gone from the host)"),
        .iommu_group = -1,
        .numa_node = -1,
        .bus_number = hostdev->bus_number,
        .device_number = hostdev->device_number};
    return device;
}

static const struct target *plan_selecting(const struct action *action, const struct event *event) {
    const struct target *target = action->targets;
    while (target && !match_target(target, event))
        target = target->next;
    return target;
}

/* What takes it out of the VM: the rule that gives it, or one that detaches it now that it goes. */
static struct origin plan_taker_of(const struct planner *planner,
                                   const struct domain_hostdev *hostdev) {
    const struct event *event = planner->request->event;
    struct origin origin = match_giver(planner->request->program, event,
                                       &(struct device){.bus = BUS_USB, .id = hostdev->id});
    bool left = plan_may_be_leaver(planner, hostdev->bus, hostdev->id, hostdev->bus_number,
                                   hostdev->device_number);
    for (size_t i = 0; left && i < planner->wanted.count && !origin.rule; i++) {
        const struct wanted *wanted = &planner->wanted.list[i];
        if (wanted->action->verb == VERB_DETACH)
            origin = (struct origin){wanted->rule, wanted->action,
                                     plan_selecting(wanted->action, event)};
    }
    return origin;
}

/* libvirt keeps a USB device that was pulled out; it would stand in the way of the one that comes
 * back under the same number. */
static void plan_gone(struct planner *planner, const struct domain_hostdev *hostdev) {
    if (hostdev->bus != BUS_USB || plan_is_on_host(planner, hostdev))
        return;
    struct origin origin = plan_taker_of(planner, hostdev);
    if (!origin.rule)
        return;
    struct device *device = plan_gone_device(hostdev);
    struct plan_entry *entry = plan_add_entry(planner, &origin, PLAN_STEP, NULL);
    entry->device = entry->gone = device;
    entry->xml = backend_detach_xml(device);
    entry->message = memory_strdup("the device has left the host, and the VM still has it");
    guest_leave(&planner->guest, &hostdev->place);
}

/* One that comes back may have another id, and one may have come and gone unheard: all are looked
 * at, whatever the event is about. */
static void plan_all_gone(struct planner *planner) {
    const struct domain *domain = planner->request->event->domain;
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (event_can_attach(planner->request->event->name))
            plan_gone(planner, &domain->hostdevs[i]);
}

/* Judged again when it is started: until then a program before it, or a person, may put it there.
 */
static void plan_run(struct planner *planner, const struct origin *origin) {
    const char *root = planner->request->program_root;
    char *message = NULL, *hint = NULL;
    struct tree tree;
    bool refused = false;
    if (root && tree_open(&tree, root)) {
        refused = program_file_check(&tree, origin->action->command->text, &message, &hint) ==
                  HOST_PROGRAM_REFUSED;
        tree_close(&tree);
    }
    if (refused) {
        plan_refuse(planner, origin, NULL, verdict_refuse(REFUSED_PROGRAM, message, hint));
        return;
    }
    plan_add_entry(planner, origin, PLAN_STEP, NULL);
    free(message);
    free(hint);
}

static void plan_refuse_event(struct planner *planner, const struct origin *origin) {
    const char *event = scanner_event_text(planner->request->event->name);
    plan_refuse(planner, origin, NULL,
                verdict_refuse(REFUSED_EVENT,
                               memory_printf("nothing can be %sed at '%s'",
                                             syntax_verb_text(origin->action->verb), event),
                               memory_strdup("use 'started'")));
}

/* "'NAME' (UUID)" */
static char *plan_vm_text(const struct domain *domain) {
    return domain->uuid ? memory_printf("'%s' (%s)", domain->name, domain->uuid)
                        : memory_printf("'%s'", domain->name);
}

/* Two VMs have the title that the rule names. What only one of them can have goes to neither. */
static bool plan_refuse_same_title(struct planner *planner, const struct origin *origin) {
    const struct event *event = planner->request->event;
    const struct target *target = origin->target;
    size_t count = 0;
    const struct domain *rival = match_rival(origin->rule, event, &count);
    if (!rival)
        return false;
    enum bus bus = origin->action->backend == BACKEND_USB ? BUS_USB : BUS_PCI;
    struct device_list matched = plan_matching(planner, target),
                       devices = plan_on_bus(&matched, bus);
    bool enough =
        target->quantifier == QUANTIFIER_ANY && devices.count >= (size_t)target->count * count;
    plan_list_finish(&devices);
    plan_list_finish(&matched);
    if (enough)
        return false;
    char *own = plan_vm_text(event->domain), *other = plan_vm_text(rival);
    plan_refuse(planner, origin, NULL,
                verdict_refuse(
                    REFUSED_SAME_TITLE,
                    memory_printf("VMs %s and %s have the same title '%s'", own, other,
                                  event->domain->title),
                    memory_strdup("say which is meant: 'on vm uuid UUID' or 'on vm name NAME'")));
    free(own);
    free(other);
    return true;
}

static void plan_action(struct planner *planner, const struct wanted *wanted) {
    struct origin origin = {wanted->rule, wanted->action, NULL};
    if (wanted->action->verb == VERB_RUN) {
        plan_run(planner, &origin);
        return;
    }
    for (origin.target = wanted->action->targets; origin.target;
         origin.target = origin.target->next)
        if (!match_target(origin.target, planner->request->event))
            continue;
        else if (!event_can_attach(planner->request->event->name))
            plan_refuse_event(planner, &origin);
        else if (wanted->action->verb == VERB_ATTACH && plan_refuse_same_title(planner, &origin))
            continue;
        else if (wanted->action->verb == VERB_ATTACH)
            plan_attach(planner, &origin);
        else
            plan_detach(planner, &origin);
}

void plan_init(struct plan *plan, const struct plan_request *request) {
    *plan = (struct plan){
        .event = request->event, .program = request->program, .partial = request->partial};
    struct held held = {0};
    struct planner planner = {request,
                              plan,
                              request->event->domain->guest,
                              memory_zalloc(request->host->count + 1),
                              match_event(request->program, request->event),
                              &held};
    plan_all_gone(&planner);
    for (size_t i = 0; i < planner.wanted.count; i++)
        plan_action(&planner, &planner.wanted.list[i]);
    holdings_finish(&held.holdings);
    free(planner.wanted.list);
    free(planner.marks);
}

void plan_finish(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        if (entry->gone) {
            free(entry->gone->address);
            free(entry->gone->name);
            free(entry->gone);
        }
        free(entry->wanted);
        free(entry->xml);
        verdict_finish(&(struct verdict){.message = entry->message, .hint = entry->hint});
    }
    for (size_t i = 0; i < plan->passed_count; i++)
        free(plan->passed[i].message);
    free(plan->passed);
    free(plan->entries);
    *plan = (struct plan){0};
}

size_t plan_count(const struct plan *plan, enum plan_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->entries[i].kind == kind;
    return count;
}
