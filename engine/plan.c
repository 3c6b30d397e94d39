#include "engine/plan.h"

#include "engine/hostdev_xml.h"
#include "parser/syntax.h"

#include <stdlib.h>
#include <string.h>

struct planner {
    const struct plan_request *request;
    struct plan *plan;
    size_t free_ports; /* left in the VM for PCI devices; SIZE_MAX: unknown */
};

/* Where in the rules an entry comes from. */
struct origin {
    const struct rule *rule;
    const struct action *action;
    const struct target *target;
};

struct device_list {
    const struct host_device **list;
    size_t count;
};

/* A judgement on one device; `message` and `hint` belong to whoever keeps it. */
struct verdict {
    enum refusal refusal;
    char *message, *hint;
};

/* --- names */

const char *refusal_name(enum refusal refusal) {
    static const char *const names[] = {
        "none",           "absent", "ambiguous", "too-few", "never",   "wrong-bus", "bridge",
        "in-use-by-host", "held",   "no-iommu",  "group",   "no-port", "no-usb",    "wrong-event"};
    return names[refusal];
}

const char *bus_text(enum bus bus) {
    return bus == BUS_PCI ? "pci" : "usb";
}

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

/* The rule's own words, without the quantifier, on one line. */
static char *wanted_text(const struct origin *origin) {
    const struct criterion *last = origin->target->device;
    if (!last)
        return memory_strdup("");
    uint32_t start = last->span.start;
    while (last->next)
        last = last->next;
    char *text = memory_strndup(origin->rule->source->text + start, last->span.end - start);
    for (char *at = text; *at; at++)
        if (*at == '\n' || *at == '\r' || *at == '\\' || *at == '\t')
            *at = ' ';
    return text;
}

/* --- entries */

static struct plan_entry *add_entry(struct planner *planner, const struct origin *origin,
                                    enum plan_kind kind, const struct host_device *device) {
    struct plan *plan = planner->plan;
    plan->entries = memory_grow(plan->entries, plan->count, sizeof *plan->entries);
    struct plan_entry *entry = &plan->entries[plan->count++];
    *entry = (struct plan_entry){.kind = kind,
                                 .rule = origin->rule,
                                 .action = origin->action,
                                 .target = origin->target,
                                 .device = device,
                                 .wanted = origin->target ? wanted_text(origin) : NULL};
    return entry;
}

static void refuse(struct planner *planner, const struct origin *origin,
                   const struct host_device *device, struct verdict verdict) {
    struct plan_entry *entry = add_entry(planner, origin, PLAN_REFUSED, device);
    entry->refusal = verdict.refusal;
    entry->message = verdict.message;
    entry->hint = verdict.hint;
}

static struct verdict verdict(enum refusal refusal, char *message, char *hint) {
    return (struct verdict){refusal, message, hint};
}

static void verdict_finish(struct verdict *verdict) {
    free(verdict->message);
    free(verdict->hint);
}

/* --- lists of devices */

static void list_add(struct device_list *devices, const struct host_device *device) {
    devices->list =
        memory_grow((void *)devices->list, devices->count, sizeof(struct host_device *));
    devices->list[devices->count++] = device;
}

static void list_finish(struct device_list *devices) {
    free((void *)devices->list);
}

static struct device_list matching(const struct planner *planner, const struct target *target) {
    struct device_list found = {0};
    const struct host *host = planner->request->host;
    for (size_t i = 0; i < host->count; i++)
        if (match_device(target->device, &host->devices[i]))
            list_add(&found, &host->devices[i]);
    return found;
}

static struct device_list on_bus(const struct device_list *devices, enum bus bus) {
    struct device_list kept = {0};
    for (size_t i = 0; i < devices->count; i++)
        if (devices->list[i]->bus == bus)
            list_add(&kept, devices->list[i]);
    return kept;
}

static char *addresses(const struct device_list *devices) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < devices->count; i++) {
        char *longer = memory_printf("%s%s%s", text, i ? ", " : "", devices->list[i]->address);
        free(text);
        text = longer;
    }
    return text;
}

/* --- may this device be given to this VM? */

static const struct domain *holder_of(const struct planner *planner,
                                      const struct host_device *device) {
    const struct plan_request *request = planner->request;
    for (size_t i = 0; i < request->other_count; i++)
        if (domain_holds(&request->others[i], device))
            return &request->others[i];
    return NULL;
}

static bool is_attached(const struct planner *planner, const struct host_device *device) {
    return domain_holds(planner->request->event->domain, device) != NULL;
}

static bool is_planned(const struct planner *planner, const struct host_device *device,
                       enum verb verb) {
    const struct plan *plan = planner->plan;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].device == device && plan->entries[i].kind != PLAN_REFUSED &&
            plan->entries[i].action->verb == verb)
            return true;
    return false;
}

static struct verdict judge_group(const struct planner *planner, const struct host_device *device,
                                  bool with_group) {
    const struct host *host = planner->request->host;
    if (device->iommu_group < 0 && !host->has_iommu)
        return verdict(REFUSED_NO_IOMMU, memory_strdup("the host has no IOMMU turned on"),
                       memory_strdup("turn on VT-d or AMD-Vi in the firmware, and on Intel boot "
                                     "the kernel with intel_iommu=on"));
    if (device->iommu_group < 0)
        return verdict(REFUSED_NO_IOMMU, memory_printf("%s is in no IOMMU group", device->address),
                       memory_strdup("the IOMMU does not reach this slot: move the card"));
    const struct host_device *blocker = with_group ? NULL : host_group_blocker(host, device);
    if (blocker)
        return verdict(REFUSED_GROUP,
                       memory_printf("IOMMU group %d also holds %s (%s), which the host's driver "
                                     "%s has",
                                     device->iommu_group, blocker->address, blocker->name,
                                     blocker->driver),
                       memory_strdup("a group goes as a whole: write 'with group', or move the "
                                     "card to another slot"));
    return (struct verdict){0};
}

static struct verdict judge_port(const struct planner *planner, const struct host_device *device) {
    const struct domain *domain = planner->request->event->domain;
    if (device->bus == BUS_USB && domain->machine && !domain->has_usb_controller)
        return verdict(REFUSED_NO_USB, memory_strdup("the VM has no USB controller"),
                       memory_strdup("add to the VM while it is off: "
                                     "<controller type='usb' model='qemu-xhci'/>"));
    if (device->bus == BUS_PCI && planner->free_ports == 0 && domain->has_pcie_root)
        return verdict(
            REFUSED_NO_PORT,
            memory_printf("the VM has no free PCIe root port (%u, all taken)", domain->root_ports),
            memory_strdup("add to the VM while it is off: "
                          "<controller type='pci' model='pcie-root-port'/>"));
    if (device->bus == BUS_PCI && planner->free_ports == 0)
        return verdict(REFUSED_NO_PORT, memory_strdup("the VM has no free PCI slot"),
                       memory_strdup("add to the VM while it is off: "
                                     "<controller type='pci' model='pci-bridge'/>"));
    return (struct verdict){0};
}

static struct verdict judge_guard(const struct planner *planner, const struct host_device *device) {
    const struct guard *guard =
        match_guard(planner->request->program, planner->request->event->domain, device);
    if (!guard)
        return (struct verdict){0};
    size_t line = source_position(guard->source, guard->span.start).line;
    return verdict(REFUSED_NEVER,
                   memory_printf("'never' at %s:%zu forbids it", guard->source->path, line),
                   memory_strdup("'never' wins over every rule: change that line if the VM may "
                                 "have the device"));
}

/* The strongest reason first: what would harm the host. */
static struct verdict judge(const struct planner *planner, const struct host_device *device,
                            bool with_group) {
    struct verdict guard = judge_guard(planner, device);
    if (guard.refusal)
        return guard;
    if (device->is_bridge)
        return verdict(REFUSED_BRIDGE,
                       memory_printf("%s is a %s, no endpoint", device->address,
                                     device->bus == BUS_PCI ? "bridge" : "hub"),
                       memory_strdup("name the device behind it"));
    if (device->use)
        return verdict(REFUSED_HOST_USE, memory_printf("the host %s", device->use),
                       memory_strdup("nothing overrides this: name another device, or free this "
                                     "one on the host first"));
    const struct domain *holder = holder_of(planner, device);
    if (holder)
        return verdict(REFUSED_HELD, memory_printf("VM '%s' has it", domain_label(holder)),
                       memory_strdup("stop that VM or detach the device there; 'any' takes the "
                                     "next free one"));
    struct verdict group = {0};
    if (device->bus == BUS_PCI)
        group = judge_group(planner, device, with_group);
    return group.refusal ? group : judge_port(planner, device);
}

/* --- attach */

static void skip_attached(struct planner *planner, const struct origin *origin,
                          const struct host_device *device) {
    add_entry(planner, origin, PLAN_SKIPPED, device)->message =
        memory_strdup("the VM has it already");
}

static struct hostdev_options hostdev_options_of(const struct action *action) {
    struct hostdev_options options = {.unmanaged = plan_has_option(action, OPTION_UNMANAGED),
                                      .rom_off = plan_has_option(action, OPTION_ROM_OFF)};
    for (const struct action_option *option = action->options; option; option = option->next)
        if (option->kind == OPTION_ROM_FILE)
            options.rom = option->text;
    return options;
}

static void add_attach(struct planner *planner, const struct origin *origin,
                       const struct host_device *device) {
    struct hostdev_options options = hostdev_options_of(origin->action);
    add_entry(planner, origin, PLAN_STEP, device)->xml = hostdev_xml(device, &options);
    if (device->bus == BUS_PCI && planner->free_ports != SIZE_MAX && planner->free_ports)
        planner->free_ports--;
}

/* Endpoints of the device's group, itself first. */
static struct device_list group_of(const struct host *host, const struct host_device *device) {
    struct device_list members = {0};
    list_add(&members, device);
    for (size_t i = 0; i < host->count; i++) {
        const struct host_device *other = &host->devices[i];
        if (other != device && other->bus == BUS_PCI && !other->is_bridge &&
            other->iommu_group >= 0 && other->iommu_group == device->iommu_group)
            list_add(&members, other);
    }
    return members;
}

/* One device, or with its group: all of them or none. */
static void attach_device(struct planner *planner, const struct origin *origin,
                          const struct host_device *device) {
    struct device_list members = {0};
    if (origin->action->with_group)
        members = group_of(planner->request->host, device);
    else
        list_add(&members, device);
    bool possible = true;
    for (size_t i = 0; i < members.count; i++) {
        if (is_attached(planner, members.list[i]) ||
            is_planned(planner, members.list[i], VERB_ATTACH))
            continue;
        struct verdict no = judge(planner, members.list[i], origin->action->with_group);
        if (no.refusal) {
            refuse(planner, origin, members.list[i], no);
            possible = false;
        }
    }
    for (size_t i = 0; possible && i < members.count; i++) {
        if (is_planned(planner, members.list[i], VERB_ATTACH))
            continue;
        if (is_attached(planner, members.list[i]))
            skip_attached(planner, origin, members.list[i]);
        else
            add_attach(planner, origin, members.list[i]);
    }
    list_finish(&members);
}

static void refuse_absent(struct planner *planner, const struct origin *origin) {
    bool optional = plan_has_option(origin->action, OPTION_OPTIONAL);
    struct plan_entry *entry =
        add_entry(planner, origin, optional ? PLAN_SKIPPED : PLAN_REFUSED, NULL);
    entry->refusal = REFUSED_ABSENT;
    entry->message =
        memory_printf("the host has no %s device %s",
                      origin->action->backend == BACKEND_USB ? "USB" : "PCI", entry->wanted);
    if (!optional)
        entry->hint = memory_printf("see %s; 'optional' allows it to be missing, 'within 30s' "
                                    "waits for it",
                                    origin->action->backend == BACKEND_USB ? "lsusb" : "lspci -nn");
}

static void refuse_bus(struct planner *planner, const struct origin *origin,
                       const struct host_device *device) {
    bool usb = device->bus == BUS_USB;
    refuse(planner, origin, device,
           verdict(REFUSED_BUS,
                   memory_printf("%s is a %s device, and the rule says 'as %s'", device->address,
                                 usb ? "USB" : "PCI", backend_text(origin->action->backend)),
                   memory_printf("write 'as %s'", usb ? "usb" : "vfio")));
}

static void refuse_ambiguous(struct planner *planner, const struct origin *origin,
                             const struct device_list *devices) {
    char *list = addresses(devices);
    char *wanted = wanted_text(origin);
    const char *where = origin->action->backend == BACKEND_USB ? "port" : "at";
    refuse(planner, origin, NULL,
           verdict(REFUSED_AMBIGUOUS,
                   memory_printf("%zu devices are %s: %s", devices->count, wanted, list),
                   memory_printf("say which: '%s %s' for one of them, 'any' for the first free "
                                 "one, 'all' for all",
                                 where, devices->list[0]->address)));
    free(wanted);
    free(list);
}

/* Of `devices` those that the VM has, then the free ones, up to `wanted`. */
static struct device_list choose(const struct planner *planner, const struct origin *origin,
                                 const struct device_list *devices, size_t wanted, char **why) {
    struct device_list chosen = {0};
    for (size_t i = 0; i < devices->count && chosen.count < wanted; i++)
        if (is_attached(planner, devices->list[i]))
            list_add(&chosen, devices->list[i]);
    for (size_t i = 0; i < devices->count && chosen.count < wanted; i++) {
        if (is_attached(planner, devices->list[i]) ||
            is_planned(planner, devices->list[i], VERB_ATTACH))
            continue;
        struct verdict no = judge(planner, devices->list[i], origin->action->with_group);
        if (no.refusal) {
            char *longer = memory_printf("%s; %s: %s", *why, devices->list[i]->address, no.message);
            free(*why);
            *why = longer;
        } else {
            list_add(&chosen, devices->list[i]);
        }
        verdict_finish(&no);
    }
    return chosen;
}

static void refuse_too_few(struct planner *planner, const struct origin *origin, size_t free_count,
                           const char *why) {
    refuse(planner, origin, NULL,
           verdict(REFUSED_TOO_FEW,
                   memory_printf("%zu of the %u wanted are free%s", free_count,
                                 origin->target->count, why),
                   memory_strdup("ask for fewer, or free one; 'optional' takes what is there")));
}

static void attach_any(struct planner *planner, const struct origin *origin,
                       const struct device_list *devices) {
    char *why = memory_strdup("");
    struct device_list chosen = choose(planner, origin, devices, origin->target->count, &why);
    bool enough = chosen.count == origin->target->count;
    if (enough || plan_has_option(origin->action, OPTION_OPTIONAL))
        for (size_t i = 0; i < chosen.count; i++)
            attach_device(planner, origin, chosen.list[i]);
    else
        refuse_too_few(planner, origin, chosen.count, why);
    list_finish(&chosen);
    free(why);
}

static void plan_attach(struct planner *planner, const struct origin *origin) {
    enum bus bus = origin->action->backend == BACKEND_USB ? BUS_USB : BUS_PCI;
    struct device_list found = matching(planner, origin->target);
    struct device_list devices = on_bus(&found, bus);
    if (!found.count)
        refuse_absent(planner, origin);
    else if (!devices.count)
        refuse_bus(planner, origin, found.list[0]);
    else if (origin->target->quantifier == QUANTIFIER_ANY)
        attach_any(planner, origin, &devices);
    else if (origin->target->quantifier == QUANTIFIER_ONE && devices.count > 1)
        refuse_ambiguous(planner, origin, &devices);
    else
        for (size_t i = 0; i < devices.count; i++)
            attach_device(planner, origin, devices.list[i]);
    list_finish(&devices);
    list_finish(&found);
}

/* --- detach and run */

static void plan_detach(struct planner *planner, const struct origin *origin) {
    struct device_list found = matching(planner, origin->target);
    size_t held = 0;
    struct hostdev_options options = {0};
    for (size_t i = 0; i < found.count; i++) {
        const struct host_device *device = found.list[i];
        if (!is_attached(planner, device) || is_planned(planner, device, VERB_DETACH))
            continue;
        if (origin->target->quantifier == QUANTIFIER_ANY && held == origin->target->count)
            break;
        held++;
        add_entry(planner, origin, PLAN_STEP, device)->xml = hostdev_xml(device, &options);
    }
    if (!held)
        add_entry(planner, origin, PLAN_SKIPPED, NULL)->message =
            memory_strdup("the VM does not have it");
    list_finish(&found);
}

static void plan_run(struct planner *planner, const struct origin *origin) {
    add_entry(planner, origin, PLAN_STEP, NULL);
}

static void refuse_event(struct planner *planner, const struct origin *origin) {
    const char *event = event_text(planner->request->event->name);
    refuse(planner, origin, NULL,
           verdict(
               REFUSED_EVENT,
               memory_printf("nothing can be %sed at '%s'", verb_text(origin->action->verb), event),
               memory_strdup("use 'started'")));
}

static void plan_action(struct planner *planner, const struct wanted *wanted) {
    struct origin origin = {wanted->rule, wanted->action, NULL};
    if (wanted->action->verb == VERB_RUN) {
        plan_run(planner, &origin);
        return;
    }
    for (origin.target = wanted->action->targets; origin.target;
         origin.target = origin.target->next)
        if (!event_can_attach(planner->request->event->name))
            refuse_event(planner, &origin);
        else if (wanted->action->verb == VERB_ATTACH)
            plan_attach(planner, &origin);
        else
            plan_detach(planner, &origin);
}

static size_t free_ports(const struct domain *domain) {
    return domain->has_pcie_root  ? domain->free_root_ports
           : domain->has_pci_root ? domain->free_pci_slots
                                  : SIZE_MAX;
}

void plan_init(struct plan *plan, const struct plan_request *request) {
    *plan = (struct plan){.event = request->event};
    struct planner planner = {request, plan, free_ports(request->event->domain)};
    struct wanted_list wanted = match_event(request->program, request->event);
    for (size_t i = 0; i < wanted.count; i++)
        plan_action(&planner, &wanted.list[i]);
    free(wanted.list);
}

void plan_finish(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        free(entry->wanted);
        free(entry->xml);
        verdict_finish(&(struct verdict){.message = entry->message, .hint = entry->hint});
    }
    free(plan->entries);
    *plan = (struct plan){0};
}

size_t plan_count(const struct plan *plan, enum plan_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->entries[i].kind == kind;
    return count;
}
