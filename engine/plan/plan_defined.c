#include "engine/plan/plan_defined.h"

#include "engine/backend/backend_place.h"
#include "engine/plan/choose.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { ALIAS_VERSION = 3009000 }; /* the first libvirt that keeps an alias of ours */

/* What leaves the definition. */
static const struct action defined_leave = {.verb = VERB_DETACH};

/* --- for the attach action */

static unsigned plan_defined_boot_order(const struct action *action) {
    const struct action_option *option = syntax_find_option(action->options, OPTION_BOOT_ORDER);
    return option ? option->number : 0;
}

/* What has that number already, for the caller to free; NULL: nothing. */
static char *plan_defined_boot_holder(const struct planner *planner, unsigned order) {
    for (size_t i = 0; i < planner->domain->boot_count; i++)
        if (planner->domain->boots[i].order == order)
            return memory_strdup(planner->domain->boots[i].element);
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct plan_entry *entry = &planner->plan->entries[i];
        if (plan_attaches(entry) && plan_defined_boot_order(entry->action) == order &&
            match_device(entry->target->device, entry->device))
            return memory_strdup(entry->device->address);
    }
    return NULL;
}

/*
 * libvirt accepts <boot order='N'/> of a device only where <os> has no <boot dev='...'/>, and puts
 * that into each definition in which no device has one; no call on a device takes it out
 * (virDomainDefPostParseCommon(), virDomainDefBootOrderPostParse()).
 */
static struct verdict plan_defined_judge_boot(const struct planner *planner, unsigned order) {
    const struct domain *domain = planner->domain;
    if (domain->has_os_boot) {
        char *name = text_shell_operand(domain->name);
        struct verdict verdict = verdict_refuse(
            REFUSED_BOOT_ORDER,
            memory_printf("'boot order %u' needs a VM whose devices have a boot order, and this "
                          "one has <boot dev='...'/> in its <os>",
                          order),
            memory_printf("'virsh edit %s': remove <boot dev='...'/>, and write <boot "
                          "order='%u'/> into the <disk> that it boots from",
                          name, order == 1 ? 2 : 1));
        free(name);
        return verdict;
    }
    char *holder = plan_defined_boot_holder(planner, order);
    if (!holder)
        return (struct verdict){0};
    char *message = memory_printf("%s of the VM has boot order %u already", holder, order);
    free(holder);
    return verdict_refuse(REFUSED_BOOT_ORDER, message,
                          memory_strdup("write another number, or change that one with 'virsh "
                                        "edit'"));
}

struct verdict plan_defined_judge(const struct planner *planner, const struct action_ref *ref,
                                  const struct device *device) {
    unsigned order = plan_defined_boot_order(ref->action);
    if (plan_has_option(ref->action, OPTION_TRUST))
        return verdict_refuse(
            REFUSED_TRUST,
            memory_strdup("'trust' is a setting of the host that is made when a running VM gets "
                          "the virtual function"),
            memory_strdup("use 'started', or leave 'trust' out"));
    return order && match_device(ref->target->device, device)
               ? plan_defined_judge_boot(planner, order)
               : (struct verdict){0};
}

bool plan_defined_is_ours(const struct planner *planner, const struct device *device) {
    const struct domain *domain = planner->event->domain;
    for (const struct domain_hostdev *one = NULL;
         domain && (one = backend_next_hostdev(domain, device, one));)
        if (one->mark)
            return true;
    return false;
}

/* Those that are running come from the request too, where the list of all VMs is not known. */
const struct domain *plan_defined_other_vm(const struct planner *planner,
                                           const struct device *device) {
    const struct plan_request *request = planner->request;
    const struct event *event = planner->event;
    for (size_t i = 0; i < event->vm_count + request->other_count; i++) {
        const struct domain *vm =
            i < event->vm_count ? &event->vms[i] : &request->others[i - event->vm_count];
        if (!domain_is_same(vm, event->domain) && backend_hostdev_of(vm, device))
            return vm;
    }
    return NULL;
}

char *plan_defined_note(const struct planner *planner, const struct device *device) {
    const struct domain *vm = plan_defined_other_vm(planner, device);
    if (!vm)
        return NULL;
    return vm->id >= 0
               ? memory_printf("VM '%s' has it now: this VM can start when that one has stopped",
                               domain_label(vm))
               : memory_printf("VM '%s' has it in its definition too: only one of the two can run "
                               "at a time",
                               domain_label(vm));
}

char *plan_defined_skip_text(const struct planner *planner, const struct device *device) {
    return plan_defined_is_ours(planner, device)
               ? memory_strdup("the definition has it already")
               : memory_strdup("the definition has it already, and not by a rule: it stays as it "
                               "is");
}

static void plan_defined_add_mark(struct plan_entry *entry, const struct definition_mark *mark) {
    entry->marks = memory_grow(entry->marks, entry->mark_count, sizeof *entry->marks);
    entry->marks[entry->mark_count++] = *mark;
}

void plan_defined_prepare_step(const struct planner *planner, struct plan_entry *entry,
                               struct backend_options *options) {
    const struct device *device = entry->device;
    const struct backend_type *backend = backend_type(entry->action->backend);
    const struct action_option *mac = syntax_find_option(entry->action->options, OPTION_MAC);
    struct definition_mark mark = {.kind = DEFINITION_MARK_HOSTDEV, .backend = backend->backend};
    if (device->bus == BUS_USB)
        snprintf(mark.address, sizeof mark.address, "%u/%u", device->bus_number,
                 device->device_number);
    else
        snprintf(mark.address, sizeof mark.address, "%s", device->address);
    char *xml = backend_xml(backend, device, options, 0);
    memory_append(&xml, "%s", mac ? mac->text : "");
    definition_mark_set_form(&mark, xml);
    free(xml);
    if (planner->request->libvirt_version >= ALIAS_VERSION)
        definition_mark_set_alias(&mark);
    memcpy(options->alias, mark.alias, sizeof options->alias);
    plan_defined_add_mark(entry, &mark);
    if (!entry->note)
        entry->note = plan_defined_note(planner, device);
}

void plan_defined_mark_port(struct plan_entry *entry) {
    if (entry->place.needs_port_controller)
        plan_defined_add_mark(entry, &(struct definition_mark){.kind = DEFINITION_MARK_CONTROLLER,
                                                               .index = entry->place.bus});
}

/* --- what stays */

/* The step by which the plan wants that device, as one of that backend; NULL: it does not. */
static const struct plan_entry *plan_defined_step_for(const struct plan *fresh,
                                                      const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < fresh->count; i++) {
        const struct plan_entry *entry = &fresh->entries[i];
        if (plan_attaches(entry) && entry->action->backend == hostdev->backend &&
            backend_is_hostdev(hostdev, entry->device))
            return entry;
    }
    return NULL;
}

struct plan_defined_refusal {
    enum refusal refusal; /* REFUSED_NOT: no rule wants the device */
    const char *message;
};

/* Why a rule that wants the device does not get it: what is said of the device itself, or else of
 * others that go with it, as of its group. */
static struct plan_defined_refusal plan_defined_refusal_of(const struct plan *fresh,
                                                           const struct domain_hostdev *hostdev,
                                                           const struct device *device) {
    struct plan_defined_refusal found = {REFUSED_NOT, NULL};
    for (size_t i = 0; device && i < fresh->count; i++) {
        const struct plan_entry *entry = &fresh->entries[i];
        bool is_itself = entry->device && backend_is_hostdev(hostdev, entry->device);
        bool goes_with = entry->target && (match_device(entry->target->device, device) ||
                                           (entry->action->with_group && entry->device &&
                                            judge_is_group_member(entry->device, device)));
        if (entry->kind == PLAN_REFUSED && (is_itself || (goes_with && !found.refusal)))
            found = (struct plan_defined_refusal){entry->refusal, entry->message};
    }
    for (size_t i = 0; device && i < fresh->omitted_count; i++)
        if (fresh->omitted[i].device == device && fresh->omitted[i].refusal)
            found =
                (struct plan_defined_refusal){fresh->omitted[i].refusal, fresh->omitted[i].message};
    return found;
}

static bool plan_defined_has_form(const struct plan_entry *step,
                                  const struct domain_hostdev *hostdev) {
    return !strcmp(step->marks[0].form, hostdev->mark->form);
}

/* Rules that could not be read may want what no other rule wants, and a `never` with an error may
 * not mean it: then nothing is taken out. */
static bool plan_defined_is_unsure(const struct plan *fresh, const struct domain_hostdev *hostdev,
                                   const struct host *host) {
    const struct device *device = backend_device_of(host, hostdev);
    enum refusal refusal = plan_defined_refusal_of(fresh, hostdev, device).refusal;
    return fresh->partial && device && (refusal == REFUSED_NOT || refusal == REFUSED_NEVER);
}

void plan_defined_choose_kept(bool *kept, const struct plan *fresh,
                              const struct plan_request *request) {
    const struct domain *definition = request->event->domain;
    for (size_t i = 0; i < definition->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &definition->hostdevs[i];
        const struct plan_entry *step = plan_defined_step_for(fresh, hostdev);
        kept[i] = hostdev->mark && (step ? plan_defined_has_form(step, hostdev)
                                         : plan_defined_is_unsure(fresh, hostdev, request->host));
    }
}

/* --- what leaves */

/* An entry without a rule. Takes what it owns. */
static struct plan_entry *plan_defined_add(struct plan *plan, struct plan_entry entry) {
    plan->entries = memory_grow(plan->entries, plan->count, sizeof *plan->entries);
    entry.action = &defined_leave;
    plan->entries[plan->count] = entry;
    return &plan->entries[plan->count++];
}

static char *plan_defined_reason(const struct plan *fresh, const struct domain_hostdev *hostdev,
                                 const struct device *device) {
    const struct plan_entry *step = plan_defined_step_for(fresh, hostdev);
    struct plan_defined_refusal refusal = plan_defined_refusal_of(fresh, hostdev, device);
    if (step)
        return memory_strdup("the rule asks for other options: it is put in again");
    if (refusal.refusal)
        return memory_printf("a rule wants it there, and cannot have it now: %s", refusal.message);
    if (!device)
        return memory_strdup(hostdev->bus == BUS_USB
                                 ? "the host does not have it any more at that bus and number"
                                 : "the host does not have it any more: the VM would not start");
    return memory_strdup("no rule wants it there any more");
}

static void plan_defined_leave_hostdev(struct planner *planner, const struct plan *fresh,
                                       const struct domain_hostdev *hostdev) {
    const struct device *device = backend_device_of(planner->request->host, hostdev);
    struct plan_entry *entry = plan_defined_add(
        planner->plan, (struct plan_entry){.kind = PLAN_STEP,
                                           .device = device,
                                           .target_text = backend_hostdev_text(hostdev, device),
                                           .message = plan_defined_reason(fresh, hostdev, device)});
    planner_add_element(entry, backend_detach_xml(hostdev));
    plan_defined_add_mark(entry, hostdev->mark);
}

static void plan_defined_keep_unsure(struct planner *planner, const struct plan *fresh,
                                     const struct domain_hostdev *hostdev) {
    const struct device *device = backend_device_of(planner->request->host, hostdev);
    if (plan_defined_step_for(fresh, hostdev))
        return; /* its entry says that it is there */
    plan_defined_add(
        planner->plan,
        (struct plan_entry){.kind = PLAN_SKIPPED,
                            .device = device,
                            .target_text = backend_hostdev_text(hostdev, device),
                            .message = memory_strdup("it stays: a rule that cannot be read may "
                                                     "want it, as rule files have errors")});
}

/* --- root ports */

static struct plan_entry *plan_defined_add_port(struct plan *plan, enum plan_kind kind,
                                                unsigned index, const char *message) {
    return plan_defined_add(
        plan, (struct plan_entry){.kind = kind,
                                  .target_text = memory_printf("PCIe root port %u", index),
                                  .message = memory_strdup(message)});
}

/* Whether what is ours and stays, or is put in by the plan, is on that bus of the guest. */
static bool plan_defined_uses_bus(const struct planner *planner, unsigned bus) {
    for (size_t i = 0; i < planner->domain->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &planner->domain->hostdevs[i];
        if (hostdev->mark && hostdev->place.kind == GUEST_PLACE_PCI && hostdev->place.bus == bus)
            return true;
    }
    for (size_t i = 0; i < planner->plan->count; i++) {
        const struct plan_entry *entry = &planner->plan->entries[i];
        if (entry->kind == PLAN_STEP && entry->place.kind == GUEST_PLACE_PCI &&
            entry->place.bus == bus)
            return true;
    }
    return false;
}

/* The root ports of 'ports N', and those that were of devices that are gone. */
struct plan_defined_ports {
    const struct domain_controller **spare; /* by index, the highest first */
    size_t count;
    unsigned wanted;
    struct action_ref last; /* that wants some */
};

static int plan_defined_compare_ports(const void *left, const void *right) {
    const struct domain_controller *a = *(const struct domain_controller *const *)left;
    const struct domain_controller *b = *(const struct domain_controller *const *)right;
    return a->index > b->index ? -1 : a->index < b->index;
}

static struct plan_defined_ports plan_defined_find_ports(const struct planner *planner) {
    const struct domain *definition = planner->event->domain;
    struct plan_defined_ports ports = {
        .spare = memory_zalloc((definition->controller_count + 1) * sizeof *ports.spare)};
    for (size_t i = 0; i < definition->controller_count; i++) {
        const struct domain_controller *port = &definition->controllers[i];
        if (port->mark && !plan_defined_uses_bus(planner, port->index))
            ports.spare[ports.count++] = port;
    }
    qsort((void *)ports.spare, ports.count, sizeof *ports.spare, plan_defined_compare_ports);
    for (size_t i = 0; i < planner->actions.count; i++) {
        const struct action_option *option =
            syntax_find_option(planner->actions.list[i].action->options, OPTION_PORTS);
        if (option)
            ports.last = planner->actions.list[i];
        ports.wanted += option ? option->number : 0;
    }
    return ports;
}

/* A device of somebody else is on it. `stranger`: the definition without all that is ours. */
static bool plan_defined_is_occupied(const struct domain *stranger, unsigned index) {
    return stranger->guest.buses[index].used != 0;
}

/* libvirt fills each gap in the numbers of the controllers with a root port of its own, so only the
 * last ones can go, one after the other. */
static bool plan_defined_is_last(const struct domain *definition, unsigned index,
                                 const struct plan *plan) {
    for (size_t i = 0; i < definition->controller_count; i++) {
        bool leaves = false;
        for (size_t j = 0; j < plan->count && !leaves; j++)
            for (size_t k = 0; k < plan->entries[j].mark_count; k++)
                leaves |= plan->entries[j].action->verb == VERB_DETACH &&
                          plan->entries[j].marks[k].kind == DEFINITION_MARK_CONTROLLER &&
                          plan->entries[j].marks[k].index == definition->controllers[i].index;
        if (definition->controllers[i].index > index && !leaves)
            return false;
    }
    return true;
}

static bool plan_defined_adds_port(const struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].kind == PLAN_STEP && plan->entries[i].place.needs_port_controller)
            return true;
    return false;
}

/* One that has a device of somebody else is his from now on: nothing can be attached there. */
static void plan_defined_give_up_ports(struct planner *planner, struct plan_defined_ports *ports) {
    struct domain stranger;
    size_t left = 0;
    domain_without_marked(&stranger, planner->event->domain, NULL);
    for (size_t i = 0; i < ports->count; i++)
        if (plan_defined_is_occupied(&stranger, ports->spare[i]->index))
            plan_defined_add_port(planner->plan, PLAN_SKIPPED, ports->spare[i]->index,
                                  "it stays, and is not ours any more: another "
                                  "device of the VM is on it");
        else
            ports->spare[left++] = ports->spare[i];
    ports->count = left;
    domain_finish_without(&stranger);
}

/* One in the middle stays ours. */
static void plan_defined_leave_ports(struct planner *planner, struct plan_defined_ports *ports) {
    const struct domain *definition = planner->event->domain;
    size_t surplus = ports->count > ports->wanted ? ports->count - ports->wanted : 0;
    for (size_t i = 0; i < ports->count; i++) {
        const struct domain_controller *port = ports->spare[i];
        struct plan_entry *entry;
        if (!surplus)
            break;
        if (!plan_defined_is_last(definition, port->index, planner->plan)) {
            plan_defined_add_port(planner->plan, PLAN_SKIPPED, port->index,
                                  "it stays while the VM has PCI controllers with "
                                  "higher numbers: libvirt would put it in again");
        } else if (!plan_defined_adds_port(planner->plan)) {
            entry = plan_defined_add_port(planner->plan, PLAN_STEP, port->index,
                                          "nothing of ours is on it any more");
            planner_add_element(
                entry, memory_printf("<controller type='pci' index='%u' model='pcie-root-port'/>",
                                     port->index));
            plan_defined_add_mark(entry, port->mark);
            ports->spare[i] = NULL;
        }
        surplus--;
    }
}

static void plan_defined_refuse_ports(struct planner *planner,
                                      const struct plan_defined_ports *ports) {
    const struct domain *domain = planner->domain;
    bool has_pcie = domain->guest.has_pcie_root && !domain->guest.has_no_pci;
    struct plan_entry *entry = planner_add(planner, &ports->last, PLAN_REFUSED, NULL);
    entry->refusal = REFUSED_NO_PORT;
    free(entry->target_text);
    entry->target_text = memory_printf("ports %u", ports->wanted);
    entry->message =
        has_pcie ? memory_strdup("bus 0 of the VM has no empty slot left for a PCIe root port")
                 : memory_printf("the VM's machine type %s has no PCIe root ports",
                                 domain->machine ? domain->machine : "(unknown)");
    entry->hint = memory_strdup(has_pcie ? "ask for fewer"
                                : domain->guest.has_no_pci || domain->guest.has_ccw
                                    ? "leave 'ports' out"
                                    : "leave 'ports' out: its PCI devices need none");
}

static struct plan_entry *
plan_defined_put_port(struct planner *planner, const struct plan_defined_ports *ports, char *text) {
    struct plan_entry *entry = planner_add(planner, &ports->last, PLAN_STEP, NULL);
    free(entry->target_text);
    entry->target_text = text;
    return entry;
}

/* Of a VM of which only the name is known a port has no number. */
static void plan_defined_put_ports(struct planner *planner,
                                   const struct plan_defined_ports *ports) {
    bool is_known = planner->domain->machine || planner->guest.has_pcie_root;
    for (size_t i = ports->count; i < ports->wanted; i++) {
        struct guest_place place;
        if (!is_known) {
            plan_defined_put_port(planner, ports, memory_strdup("PCIe root port"));
            continue;
        }
        if (!guest_add_root_port(&planner->guest, &place)) {
            plan_defined_refuse_ports(planner, ports);
            return;
        }
        struct plan_entry *entry =
            plan_defined_put_port(planner, ports, memory_printf("PCIe root port %u", place.bus));
        planner_add_controller(entry, &place);
        plan_defined_add_mark(entry, &(struct definition_mark){.kind = DEFINITION_MARK_CONTROLLER,
                                                               .index = place.bus});
    }
}

/* --- the end of the plan */

static void plan_defined_note_mark(struct plan *plan, const struct definition_mark *mark) {
    plan->marks = memory_grow(plan->marks, plan->mark_count, sizeof *plan->marks);
    plan->marks[plan->mark_count++] = *mark;
}

void plan_defined_finish(struct planner *planner, const struct plan *fresh, const bool *kept) {
    const struct domain *definition = planner->event->domain;
    struct plan_defined_ports ports = plan_defined_find_ports(planner);
    for (size_t i = 0; i < definition->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &definition->hostdevs[i];
        if (!hostdev->mark)
            continue;
        if (kept[i]) {
            plan_defined_keep_unsure(planner, fresh, hostdev);
            plan_defined_note_mark(planner->plan, hostdev->mark);
        } else {
            plan_defined_leave_hostdev(planner, fresh, hostdev);
        }
    }
    plan_defined_give_up_ports(planner, &ports);
    if (!planner->request->partial)
        plan_defined_leave_ports(planner, &ports);
    plan_defined_put_ports(planner, &ports);
    for (size_t i = 0; i < definition->controller_count; i++) {
        const struct domain_controller *port = &definition->controllers[i];
        if (!port->mark)
            continue;
        bool stays = plan_defined_uses_bus(planner, port->index);
        for (size_t j = 0; j < ports.count; j++)
            stays |= ports.spare[j] == port;
        if (stays)
            plan_defined_note_mark(planner->plan, port->mark);
    }
    free((void *)ports.spare);
}
