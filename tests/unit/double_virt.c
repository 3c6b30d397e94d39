#include "tests/unit/double_virt.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/libvirt/libvirt_errors.h"
#include "engine/libvirt/virt_libvirt.h"
#include "engine/model/domain.h"
#include "engine/run/retry.h"
#include "tests/fake/definition.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_VMS = 512, MAX_PLANS = 32, MAX_EVENTS = 64, CALL_KINDS = DOUBLE_STATE + 1 };

struct vm {
    char *uuid, *name, *title, *xml;
    bool runs, deaf, refuses;
    enum virt_state state;
    char *defined; /* of one that runs; NULL: it is transient */
    bool is_saved;
};

/* What happens at a call: `callback`, or else a failure. */
struct plan {
    enum double_call call;
    unsigned nth;
    void (*callback)(struct double_virt *hypervisor, void *context);
    void *context;
    struct virt_error error;
};

struct double_virt {
    struct virt virt;
    struct vm vms[MAX_VMS];
    size_t vm_count;
    struct plan plans[MAX_PLANS];
    size_t plan_count;
    unsigned made[CALL_KINDS]; /* calls of each kind; DOUBLE_ANY counts them all */
    char *calls, *last_xml;
    unsigned aliases;
    unsigned long version;
    struct clock *clock;
    bool mute;
    char *watched; /* UUID; NULL: none */
    struct virt_event events[MAX_EVENTS];
    size_t event_count, events_read;
};

__attribute__((noreturn)) static void give_up(const char *why) {
    fprintf(stderr, "double_virt: %s\n", why);
    abort();
}

__attribute__((format(printf, 1, 2))) static char *print(const char *format, ...) {
    va_list arguments;
    char *text;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        give_up("out of memory");
    va_end(arguments);
    return text;
}

static char *copy(const char *text) {
    return text ? print("%s", text) : NULL;
}

static void parse(struct domain *domain, const char *xml) {
    struct failure failure;

    if (domain_xml_parse(domain, xml, strlen(xml), &failure) != 0)
        give_up(failure.message);
}

/* ---- the VMs ---- */

static struct vm *find(const struct double_virt *hypervisor, const char *uuid) {
    for (size_t i = 0; i < hypervisor->vm_count; i++)
        if (strcasecmp(hypervisor->vms[i].uuid, uuid) == 0)
            return (struct vm *)&hypervisor->vms[i];
    return NULL;
}

static struct vm *must_find(const struct double_virt *hypervisor, const char *uuid) {
    struct vm *vm = find(hypervisor, uuid);

    if (!vm)
        give_up("no VM has that UUID");
    return vm;
}

static void finish_vm(struct vm *vm) {
    free(vm->uuid);
    free(vm->name);
    free(vm->title);
    free(vm->xml);
    free(vm->defined);
}

static void tell(struct double_virt *hypervisor, const struct vm *vm, enum virt_event_kind kind,
                 const char *alias) {
    struct virt_event *event = &hypervisor->events[hypervisor->event_count];

    if (hypervisor->mute || !hypervisor->watched || strcasecmp(hypervisor->watched, vm->uuid) != 0)
        return;
    if (hypervisor->event_count++ == MAX_EVENTS)
        give_up("too many events");
    *event = (struct virt_event){.kind = kind};
    snprintf(event->alias, sizeof event->alias, "%s", alias);
}

static void watch(struct double_virt *hypervisor, const char *uuid) {
    free(hypervisor->watched);
    hypervisor->watched = copy(uuid);
    hypervisor->event_count = hypervisor->events_read = 0;
}

void double_virt_add_xml(struct double_virt *hypervisor, const char *xml) {
    struct domain domain;
    struct vm *vm;

    parse(&domain, xml);
    if (!domain.uuid || hypervisor->vm_count == MAX_VMS)
        give_up("a VM without a UUID, or too many");
    vm = find(hypervisor, domain.uuid);
    if (vm)
        finish_vm(vm);
    else
        vm = &hypervisor->vms[hypervisor->vm_count++];
    *vm = (struct vm){copy(domain.uuid),
                      copy(domain.name),
                      copy(domain.title),
                      copy(xml),
                      domain.id >= 0,
                      false,
                      false,
                      VIRT_STATE_STARTED,
                      NULL,
                      false};
    domain_finish(&domain);
}

void double_virt_add(struct double_virt *hypervisor, const char *uuid, const char *name,
                     const char *title) {
    static const char format[] = "<domain type='kvm' id='%zu'>\n"
                                 "  <name>%s</name>\n"
                                 "  <uuid>%s</uuid>\n"
                                 "%s%s%s"
                                 "  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
                                 "  <devices>\n"
                                 "    <controller type='usb' index='0' model='qemu-xhci'/>\n"
                                 "    <controller type='pci' index='0' model='pcie-root'/>\n"
                                 "    <controller type='pci' index='1' model='pcie-root-port'/>\n"
                                 "    <controller type='pci' index='2' model='pcie-root-port'/>\n"
                                 "    <controller type='pci' index='3' model='pcie-root-port'/>\n"
                                 "    <controller type='pci' index='4' model='pcie-root-port'/>\n"
                                 "  </devices>\n"
                                 "</domain>\n";
    char *xml = print(format, hypervisor->vm_count + 1, name, uuid, title ? "  <title>" : "",
                      title ? title : "", title ? "</title>\n" : "");

    double_virt_add_xml(hypervisor, xml);
    free(xml);
}

static void cut(char *text, const char *end) {
    memmove(text, end, strlen(end) + 1);
}

static void end_vm(struct double_virt *hypervisor, struct vm *vm) {
    if (vm->runs)
        tell(hypervisor, vm, VIRT_EVENT_STOPPED, "");
    vm->runs = false;
}

void double_virt_stop(struct double_virt *hypervisor, const char *uuid) {
    struct vm *vm = must_find(hypervisor, uuid);
    char *id = strstr(vm->xml, " id='"), *root_end = strchr(strstr(vm->xml, "<domain"), '>');

    if (id && id < root_end)
        cut(id, strchr(id + strlen(" id='"), '\'') + 1);
    end_vm(hypervisor, vm);
    if (vm->defined) {
        free(vm->xml);
        vm->xml = vm->defined;
        vm->defined = NULL;
    }
}

void double_virt_define(struct double_virt *hypervisor, const char *uuid, const char *xml) {
    struct vm *vm = must_find(hypervisor, uuid);
    char **definition = vm->runs ? &vm->defined : &vm->xml;

    free(*definition);
    *definition = copy(xml);
}

const char *double_virt_definition(const struct double_virt *hypervisor, const char *uuid) {
    const struct vm *vm = must_find(hypervisor, uuid);
    return vm->runs ? vm->defined : vm->xml;
}

void double_virt_save(struct double_virt *hypervisor, const char *uuid, bool is_saved) {
    must_find(hypervisor, uuid)->is_saved = is_saved;
}

void double_virt_remove(struct double_virt *hypervisor, const char *uuid) {
    struct vm *vm = must_find(hypervisor, uuid);

    end_vm(hypervisor, vm);
    finish_vm(vm);
    *vm = hypervisor->vms[--hypervisor->vm_count];
}

const char *double_virt_xml(const struct double_virt *hypervisor, const char *uuid) {
    return must_find(hypervisor, uuid)->xml;
}

void double_virt_deaf(struct double_virt *hypervisor, const char *uuid, bool deaf) {
    must_find(hypervisor, uuid)->deaf = deaf;
}

void double_virt_refuse(struct double_virt *hypervisor, const char *uuid, bool refuses) {
    must_find(hypervisor, uuid)->refuses = refuses;
}

void double_virt_state(struct double_virt *hypervisor, const char *uuid, enum virt_state state) {
    struct vm *vm = must_find(hypervisor, uuid);
    if (vm->state == VIRT_STATE_MIGRATING && state != VIRT_STATE_MIGRATING)
        tell(hypervisor, vm, VIRT_EVENT_RESUMED, "");
    vm->state = state;
}

/* ---- host devices ---- */

/* `address`: its line in the guest, or "". */
static void put(struct double_virt *hypervisor, struct vm *vm, const char *element,
                const char *address) {
    const char *devices_end = strstr(vm->xml, "</devices>");
    struct elements_one one;
    char alias[64], *placed, *xml;

    if (!devices_end || !elements_read(element, &one))
        give_up("no </devices> in the VM, or not an element that hands over a device");
    snprintf(alias, sizeof alias, "hostdev%u", hypervisor->aliases++);
    placed = elements_placed(vm->xml, element, &one, alias, address);
    xml =
        print("%.*s%s%s", (int)(devices_end - vm->xml), vm->xml, placed ? placed : "", devices_end);
    free(placed);
    free(vm->xml);
    vm->xml = xml;
}

void double_virt_give(struct double_virt *hypervisor, const char *uuid, const char *element) {
    put(hypervisor, must_find(hypervisor, uuid), element, "");
}

void double_virt_take(struct double_virt *hypervisor, const char *uuid, const char *element) {
    struct vm *vm = must_find(hypervisor, uuid);
    struct elements_one wanted, held;
    char *start, *end;

    if (!elements_read(element, &wanted) ||
        !(start = elements_find(vm->xml, &wanted, elements_detaches, &end, &held)))
        give_up("the VM has no such element");
    tell(hypervisor, vm, VIRT_EVENT_REMOVED, held.alias);
    cut(start, end);
}

/* ---- calls ---- */

static char *describe(const char *xml) {
    struct elements_one one;
    char index[32];

    if (!strncmp(xml, "<controller type='pci'", 22))
        return print("port %s", elements_value(xml, elements_end(xml), "controller", "index", index,
                                               sizeof index));
    if (!elements_read(xml, &one))
        return copy("?");
    if (one.kind != ELEMENTS_USB)
        return copy(one.name);
    return print("%u/%u %04x:%04x", one.bus, one.number, one.vendor, one.product);
}

static bool is_due(const struct double_virt *hypervisor, const struct plan *plan,
                   enum double_call call) {
    return (plan->call == DOUBLE_ANY || plan->call == call) &&
           (plan->nth == 0 || plan->nth == hypervisor->made[plan->call]);
}

/* Does what was planned for the call: first all callbacks, then a failure. */
static int happens(struct double_virt *hypervisor, enum double_call call,
                   struct virt_error *error) {
    hypervisor->made[DOUBLE_ANY]++;
    hypervisor->made[call]++;
    for (size_t i = 0; i < hypervisor->plan_count; i++)
        if (hypervisor->plans[i].callback && is_due(hypervisor, &hypervisor->plans[i], call))
            hypervisor->plans[i].callback(hypervisor, hypervisor->plans[i].context);
    for (size_t i = 0; i < hypervisor->plan_count; i++) {
        if (!hypervisor->plans[i].callback && is_due(hypervisor, &hypervisor->plans[i], call)) {
            *error = hypervisor->plans[i].error;
            return -1;
        }
    }
    return 0;
}

/* Writes the call down too. */
static int begin(struct double_virt *hypervisor, enum double_call call, const char *verb,
                 const char *vm, const char *xml, struct virt_error *error) {
    char *device = xml ? describe(xml) : NULL;
    char *calls = print("%s%s%s%s%s%s\n", hypervisor->calls, verb, vm ? " " : "", vm ? vm : "",
                        device ? " " : "", device ? device : "");

    free(device);
    free(hypervisor->calls);
    hypervisor->calls = calls;
    if (xml) {
        free(hypervisor->last_xml);
        hypervisor->last_xml = copy(xml);
    }
    return happens(hypervisor, call, error);
}

static struct double_virt *of(struct virt *virt) {
    return (struct double_virt *)virt;
}

static const char *name_of(const struct double_virt *hypervisor, const char *uuid) {
    const struct vm *vm = find(hypervisor, uuid);

    return vm ? vm->name : uuid;
}

static int no_domain(struct virt_error *error, const char *vm) {
    char *message = print("Domain not found: no domain with matching uuid '%s'", vm);

    libvirt_errors_set(error, VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN, message);
    free(message);
    return -1;
}

/* The VM when it runs, else NULL with `error`. */
static struct vm *running(const struct double_virt *hypervisor, const char *uuid,
                          struct virt_error *error) {
    struct vm *vm = find(hypervisor, uuid);

    if (vm && vm->runs)
        return vm;
    if (vm)
        libvirt_errors_set(error, VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID,
                           "Requested operation is not valid: domain is not running");
    else
        no_domain(error, uuid);
    return NULL;
}

static int double_domain_xml(struct virt *virt, const char *name, char **xml,
                             struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    const struct vm *vm;

    *xml = NULL;
    if (begin(hypervisor, DOUBLE_XML, "domain_xml", name, NULL, error) != 0)
        return -1;
    vm = find(hypervisor, name);
    for (size_t i = 0; !vm && i < hypervisor->vm_count; i++)
        if (strcmp(hypervisor->vms[i].name, name) == 0)
            vm = &hypervisor->vms[i];
    for (size_t i = 0; !vm && i < hypervisor->vm_count; i++)
        if (hypervisor->vms[i].title && strcmp(hypervisor->vms[i].title, name) == 0)
            vm = &hypervisor->vms[i];
    if (!vm)
        return no_domain(error, name);
    *xml = copy(vm->xml);
    return 0;
}

static int list_vms(struct virt *virt, bool all, struct virt_domain **vms, size_t *count,
                    struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);

    *vms = NULL;
    *count = 0;
    if (begin(hypervisor, DOUBLE_LIST, "list", NULL, NULL, error) != 0)
        return -1;
    *vms = calloc(MAX_VMS, sizeof **vms);
    if (!*vms)
        give_up("out of memory");
    for (size_t i = 0; i < hypervisor->vm_count; i++) {
        if (!hypervisor->vms[i].runs && !all)
            continue;
        snprintf((*vms)[(*count)++].uuid, sizeof(*vms)->uuid, "%s", hypervisor->vms[i].uuid);
    }
    return 0;
}

static int double_list(struct virt *virt, struct virt_domain **vms, size_t *count,
                       struct virt_error *error) {
    return list_vms(virt, false, vms, count, error);
}

static int double_list_all(struct virt *virt, struct virt_domain **vms, size_t *count,
                           struct virt_error *error) {
    return list_vms(virt, true, vms, count, error);
}

static int double_read(struct virt *virt, struct virt_domain *vms, size_t count,
                       struct virt_error *error) {
    (void)error;
    for (size_t i = 0; i < count; i++) {
        const struct vm *vm = find(of(virt), vms[i].uuid);
        vms[i].xml = vm ? copy(vm->xml) : NULL;
    }
    return 0;
}

static const struct vm *holder_of(const struct double_virt *hypervisor,
                                  const struct elements_one *one) {
    struct elements_one held;
    char *end;

    for (size_t i = 0; i < hypervisor->vm_count; i++)
        if (hypervisor->vms[i].runs &&
            elements_find(hypervisor->vms[i].xml, one, elements_collides, &end, &held))
            return &hypervisor->vms[i];
    return NULL;
}

/* As libvirt's port: right before the call. */
static bool is_other_life(const struct double_virt *hypervisor, const char *uuid, int id,
                          struct virt_error *error) {
    const struct vm *vm = find(hypervisor, uuid);
    const char *told = vm && vm->runs ? strstr(vm->xml, " id='") : NULL;

    if (!told || id < 0 || strtol(told + 5, NULL, 10) == id)
        return false;
    *error = (struct virt_error){.kind = VIRT_NOT_RUNNING,
                                 .failure.message = "the VM has been started again since"};
    return true;
}

/* Counted alone: every run asks once, whatever it does then. */
static int double_state(struct virt *virt, const char *uuid, int id, enum virt_state *state,
                        struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    int status = happens(hypervisor, DOUBLE_STATE, error);
    hypervisor->made[DOUBLE_ANY]--;
    if (status != 0 || is_other_life(hypervisor, uuid, id, error))
        return -1;
    const struct vm *vm = running(hypervisor, uuid, error);
    *state = vm ? vm->state : VIRT_STATE_STARTED;
    return vm ? 0 : -1;
}

/* As libvirt, which says so after 30 s. */
static bool is_migrating(const struct vm *vm, struct virt_error *error) {
    if (vm->state == VIRT_STATE_MIGRATING)
        libvirt_errors_set(error, VIR_FROM_QEMU, VIR_ERR_OPERATION_TIMEOUT,
                           "Timed out during operation: cannot acquire state change lock");
    return vm->state == VIRT_STATE_MIGRATING;
}

/* The USB port that the element gets. False with `error`. */
static bool find_port(const struct vm *vm, const char *element, char address[128],
                      struct virt_error *error) {
    char port[64], message[192];
    unsigned bus;

    if (!usb_ports_assign(vm->xml, element, &bus, port, message)) {
        libvirt_errors_set(error, VIR_FROM_DOMAIN,
                           strncmp(message, "XML", 3) ? VIR_ERR_INTERNAL_ERROR : VIR_ERR_XML_ERROR,
                           message);
        return false;
    }
    snprintf(address, 128, "<address type='usb' bus='%u' port='%s'/>", bus, port);
    return true;
}

static int double_attach(struct virt *virt, const char *uuid, int id, const char *xml,
                         struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    char message[ELEMENTS_MESSAGE], address[128] = "";
    struct elements_one one;
    const struct vm *holder;
    int code;

    if (begin(hypervisor, DOUBLE_ATTACH, "attach", name_of(hypervisor, uuid), xml, error) != 0 ||
        is_other_life(hypervisor, uuid, id, error) || !running(hypervisor, uuid, error) ||
        is_migrating(must_find(hypervisor, uuid), error))
        return -1;
    if (!elements_read(xml, &one)) {
        libvirt_errors_set(error, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR,
                           "XML error: not a host device");
        return -1;
    }
    if (!elements_check(find(hypervisor, uuid)->xml, &one, message, &code)) {
        libvirt_errors_set(error, VIR_FROM_QEMU, code, message);
        return -1;
    }
    holder = holder_of(hypervisor, &one);
    if (holder) {
        elements_in_use(&one, holder->name, message, &code);
        libvirt_errors_set(error, VIR_FROM_QEMU, code, message);
        return -1;
    }
    if (elements_needs_usb_port(&one) && !find_port(find(hypervisor, uuid), xml, address, error))
        return -1;
    put(hypervisor, find(hypervisor, uuid), xml, address);
    return 0;
}

static int double_detach(struct virt *virt, const char *uuid, int id, const char *xml,
                         struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    struct elements_one wanted, held;
    const struct vm *vm;
    char *end;

    if (begin(hypervisor, DOUBLE_DETACH, "detach", name_of(hypervisor, uuid), xml, error) != 0 ||
        is_other_life(hypervisor, uuid, id, error))
        return -1;
    vm = running(hypervisor, uuid, error);
    if (!vm)
        return -1;
    if (!elements_read(xml, &wanted) ||
        !elements_find(vm->xml, &wanted, elements_detaches, &end, &held)) {
        libvirt_errors_set(error, VIR_FROM_QEMU, VIR_ERR_DEVICE_MISSING,
                           "device not found: host device not found");
        return -1;
    }
    if (vm->refuses)
        tell(hypervisor, vm, VIRT_EVENT_REFUSED, held.alias);
    else if (!vm->deaf)
        double_virt_take(hypervisor, uuid, xml);
    return 0;
}

static int double_definition(struct virt *virt, const char *uuid,
                             struct virt_definition *definition, struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    *definition = (struct virt_definition){0};
    if (begin(hypervisor, DOUBLE_DEFINITION, "definition", name_of(hypervisor, uuid), NULL,
              error) != 0)
        return -1;
    const struct vm *vm = find(hypervisor, uuid);
    if (!vm)
        return no_domain(error, uuid);
    *definition = (struct virt_definition){copy(vm->defined ? vm->defined : vm->xml), vm->runs,
                                           !vm->runs || vm->defined, vm->is_saved};
    return 0;
}

/* Takes `text`: the new definition, or NULL. */
static int redefine(struct double_virt *hypervisor, const char *uuid, char *text,
                    const struct definition_failure *failure, struct virt_error *error) {
    if (!text) {
        if (failure)
            libvirt_errors_set(error, VIR_FROM_QEMU, failure->code, failure->message);
        return -1;
    }
    double_virt_define(hypervisor, uuid, text);
    free(text);
    return 0;
}

static const char *definition_of(const struct double_virt *hypervisor, const char *uuid,
                                 struct virt_error *error) {
    const struct vm *vm = find(hypervisor, uuid);
    if (!vm)
        no_domain(error, uuid);
    else if (vm->runs && !vm->defined)
        libvirt_errors_set(error, VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID,
                           "Requested operation is not valid: transient domains do not have any "
                           "persistent config");
    return !vm ? NULL : vm->runs ? vm->defined : vm->xml;
}

static int double_attach_defined(struct virt *virt, const char *uuid, const char *xml,
                                 struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    struct definition_failure failure;
    const char *definition;
    if (begin(hypervisor, DOUBLE_ATTACH_DEFINED, "attach-defined", name_of(hypervisor, uuid), xml,
              error) != 0 ||
        !(definition = definition_of(hypervisor, uuid, error)))
        return -1;
    return redefine(hypervisor, uuid, definition_attach(definition, xml, &failure), &failure,
                    error);
}

static int double_detach_defined(struct virt *virt, const char *uuid, const char *xml,
                                 struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    struct definition_failure failure;
    const char *definition;
    if (begin(hypervisor, DOUBLE_DETACH_DEFINED, "detach-defined", name_of(hypervisor, uuid), xml,
              error) != 0 ||
        !(definition = definition_of(hypervisor, uuid, error)))
        return -1;
    return redefine(hypervisor, uuid, definition_detach(definition, xml, &failure), &failure,
                    error);
}

static int double_mark_defined(struct virt *virt, const char *uuid, const char *xml,
                               struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);
    const char *definition;
    char *what = print("%s %s", name_of(hypervisor, uuid), xml ? xml : "-");
    int status = begin(hypervisor, DOUBLE_MARK, "mark", what, NULL, error);
    free(what);
    if (status != 0 || !(definition = definition_of(hypervisor, uuid, error)))
        return -1;
    return redefine(hypervisor, uuid,
                    definition_set_metadata(definition, xml, "vr", "urn:virt-rules:defined:1"),
                    NULL, error);
}

static int double_reset(struct virt *virt, const char *uuid, int id, struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);

    if (begin(hypervisor, DOUBLE_RESET, "reset", name_of(hypervisor, uuid), NULL, error) != 0 ||
        is_other_life(hypervisor, uuid, id, error))
        return -1;
    return running(hypervisor, uuid, error) ? 0 : -1;
}

static int double_reboot(struct virt *virt, const char *uuid, int id, struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);

    if (begin(hypervisor, DOUBLE_REBOOT, "reboot", name_of(hypervisor, uuid), NULL, error) != 0 ||
        is_other_life(hypervisor, uuid, id, error))
        return -1;
    return running(hypervisor, uuid, error) ? 0 : -1;
}

static int double_watch(struct virt *virt, const char *uuid, struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);

    watch(hypervisor, NULL);
    if (begin(hypervisor, DOUBLE_WATCH, "watch", name_of(hypervisor, uuid), NULL, error) != 0)
        return -1;
    if (!find(hypervisor, uuid))
        return no_domain(error, uuid);
    watch(hypervisor, uuid);
    return 0;
}

static int double_wait(struct virt *virt, int timeout_ms, struct virt_event *event,
                       struct virt_error *error) {
    struct double_virt *hypervisor = of(virt);

    *event = (struct virt_event){.kind = VIRT_EVENT_NONE};
    if (happens(hypervisor, DOUBLE_WAIT, error) != 0) {
        watch(hypervisor, NULL);
        return -1;
    }
    if (hypervisor->events_read == hypervisor->event_count && timeout_ms > 0 && hypervisor->clock)
        hypervisor->clock->sleep_ms(hypervisor->clock, timeout_ms);
    if (hypervisor->events_read < hypervisor->event_count)
        *event = hypervisor->events[hypervisor->events_read++];
    return 0;
}

static int double_about(struct virt *virt, struct virt_about *about, struct virt_error *error) {
    (void)error;
    *about = (struct virt_about){.version = of(virt)->version};
    return 0;
}

static void double_close(struct virt *virt) {
    struct double_virt *hypervisor = of(virt);
    char *calls = print("%sclose\n", hypervisor->calls);

    free(hypervisor->calls);
    hypervisor->calls = calls;
}

static const struct virt_ops operations = {
    .domain_xml = double_domain_xml,
    .list = double_list,
    .list_all = double_list_all,
    .read = double_read,
    .state = double_state,
    .attach = double_attach,
    .detach = double_detach,
    .definition = double_definition,
    .attach_defined = double_attach_defined,
    .detach_defined = double_detach_defined,
    .mark_defined = double_mark_defined,
    .reset = double_reset,
    .reboot = double_reboot,
    .watch = double_watch,
    .wait = double_wait,
    .about = double_about,
    .close = double_close,
};

/* ---- the rest ---- */

struct double_virt *double_virt_create(void) {
    struct double_virt *hypervisor = calloc(1, sizeof *hypervisor);

    if (!hypervisor)
        give_up("out of memory");
    hypervisor->virt.ops = &operations;
    hypervisor->calls = copy("");
    hypervisor->last_xml = copy("");
    return hypervisor;
}

void double_virt_destroy(struct double_virt *hypervisor) {
    for (size_t i = 0; i < hypervisor->vm_count; i++)
        finish_vm(&hypervisor->vms[i]);
    free(hypervisor->calls);
    free(hypervisor->last_xml);
    free(hypervisor->watched);
    free(hypervisor);
}

void double_virt_clock(struct double_virt *hypervisor, struct clock *clock) {
    hypervisor->clock = clock;
}

void double_virt_version(struct double_virt *hypervisor, unsigned long version) {
    hypervisor->version = version;
}

void double_virt_mute(struct double_virt *hypervisor) {
    hypervisor->mute = true;
}

struct virt *double_virt_port(struct double_virt *hypervisor) {
    return &hypervisor->virt;
}

static struct plan *add_plan(struct double_virt *hypervisor, enum double_call call, unsigned nth) {
    struct plan *plan = &hypervisor->plans[hypervisor->plan_count];

    if (hypervisor->plan_count++ == MAX_PLANS)
        give_up("too many plans");
    *plan = (struct plan){.call = call, .nth = nth};
    return plan;
}

void double_virt_fail(struct double_virt *hypervisor, enum double_call call, unsigned nth,
                      enum virt_error_kind kind, const char *message) {
    struct plan *plan = add_plan(hypervisor, call, nth);

    plan->error.kind = kind;
    snprintf(plan->error.failure.message, sizeof plan->error.failure.message, "%s", message);
}

void double_virt_before(struct double_virt *hypervisor, enum double_call call, unsigned nth,
                        void (*callback)(struct double_virt *hypervisor, void *context),
                        void *context) {
    struct plan *plan = add_plan(hypervisor, call, nth);

    plan->callback = callback;
    plan->context = context;
}

const char *double_virt_calls(const struct double_virt *hypervisor) {
    return hypervisor->calls;
}

void double_virt_forget_calls(struct double_virt *hypervisor) {
    free(hypervisor->calls);
    hypervisor->calls = copy("");
}

const char *double_virt_last_xml(const struct double_virt *hypervisor) {
    return hypervisor->last_xml;
}
