#include "engine/plan/explain.h"

#include "engine/plan/plan_print.h"
#include "lexer/text.h"
#include "parser/print.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 8 }; /* addresses in one line */

struct explainer {
    const struct plan_request *request;
    struct plan plan;
    const struct device *const *devices;
    size_t device_count;
};

typedef void printer(FILE *out, const void *node);

static char *explain_to_text(printer *print, const void *node) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    print(out, node);
    memory_stream_close(out, &text);
    return text;
}

__attribute__((format(printf, 5, 6))) static void explain_add_condition(struct condition **list,
                                                                        size_t *count, char *text,
                                                                        bool pass, const char *seen,
                                                                        ...) {
    va_list arguments;
    va_start(arguments, seen);
    *list = memory_grow(*list, *count, sizeof **list);
    struct condition *condition = &(*list)[(*count)++];
    condition->text = text;
    condition->seen = memory_vprintf(seen, arguments);
    condition->pass = pass;
    va_end(arguments);
}

/* --- the head of a rule */

static void explain_print_vms(FILE *out, const void *vms) {
    fputs("vm ", out);
    print_words(out, vms, ", ");
}

static void explain_vms(const struct explainer *explainer, const struct word *vms, bool pass,
                        struct explained_rule *explained) {
    const struct event *event = explainer->request->event;
    const struct domain *domain = event->domain;
    const struct domain *better = pass || !explained->rule ? NULL : match_better_vm(vms, event);
    explain_add_condition(&explained->conditions, &explained->count,
                          explain_to_text(explain_print_vms, vms), pass,
                          "name '%s', title %s%s%s, UUID %s%s%s%s", domain->name,
                          domain->title ? "'" : "", domain->title ? domain->title : "none",
                          domain->title ? "'" : "", domain->uuid ? domain->uuid : "none",
                          better ? "; it means another VM, the one named '" : "",
                          better ? better->name : "", better ? "'" : "");
}

/* A rule of the host, which no VM's event concerns. */
static void explain_host(const struct explainer *explainer, struct explained_rule *explained) {
    explain_add_condition(&explained->conditions, &explained->count, memory_strdup("host"), false,
                          "the event is one of VM '%s'",
                          domain_label(explainer->request->event->domain));
}

static void explain_print_events(FILE *out, const void *node) {
    const struct rule *rule = node;
    fputs("event", out);
    for (const struct event_list *event = rule->events; event; event = event->next)
        fprintf(out, "%s %s", event == rule->events ? "" : ",", scanner_event_text(event->event));
}

static void explain_event(const struct explainer *explainer, const struct rule *rule,
                          struct explained_rule *explained) {
    const struct event_list *event = rule->events;
    while (event && event->event != explainer->request->event->name)
        event = event->next;
    explain_add_condition(&explained->conditions, &explained->count,
                          explain_to_text(explain_print_events, rule), event != NULL,
                          "the event is '%s'", scanner_event_text(explainer->request->event->name));
}

/* --- criteria */

static char *explain_text_of(const struct device *device, const char *what, const char *text,
                             enum device_unknown unknown) {
    if (device->bus == BUS_PCI)
        return memory_strdup("it is a PCI device");
    if (text)
        return memory_printf("the %s is \"%s\"", what, text);
    return device->unknown & unknown ? memory_printf("its %s cannot be read", what)
                                     : memory_printf("it has no %s", what);
}

static char *explain_interfaces_of(const struct device *device) {
    char *text = memory_strdup("the interfaces are");
    for (size_t i = 0; i < device->interface_count; i++)
        memory_append(&text, "%s %06x", i ? "," : "", device->interfaces[i].class_code);
    if (device->bus == BUS_USB && device->interface_count &&
        !(device->unknown & DEVICE_UNKNOWN_INTERFACES))
        return text;
    free(text);
    return device->bus == BUS_USB
               ? memory_strdup("its interfaces are not known: it may not be configured")
               : memory_printf("it is a %s device", device_bus(device->bus)->label);
}

/* Each driver once. */
static char *explain_drivers_of(const struct device *device) {
    char *text = memory_printf("the driver is %s", device->driver ? device->driver : "");
    for (size_t i = 0; i < device->interface_count; i++) {
        const char *driver = device->interfaces[i].driver;
        bool had = !driver || (device->driver && !strcmp(driver, device->driver));
        for (size_t j = 0; j < i && !had; j++)
            had = device->interfaces[j].driver && !strcmp(driver, device->interfaces[j].driver);
        if (!had)
            memory_append(&text, ", %s", driver);
    }
    if (device->driver)
        return text;
    free(text);
    return memory_strdup(device->unknown & DEVICE_UNKNOWN_DRIVER ? "its driver is not known"
                                                                 : "no driver is bound");
}

static char *explain_value_of(const struct criterion *criterion, const struct device *device);

/* What the definition asks beside the id and the class, each kind once. */
static void explain_add_values_of(char **text, unsigned *kinds, const struct criterion *criteria,
                                  const struct device *device) {
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->kind == CRITERION_NAME && one->resolved)
            explain_add_values_of(text, kinds, one->definition->device, device);
        if (*kinds & 1U << one->kind)
            continue;
        char *value = explain_value_of(one, device);
        memory_append(text, ", %s", value);
        free(value);
        *kinds |= 1U << one->kind;
    }
}

static char *explain_name_of(const struct criterion *name, const struct device *device) {
    unsigned kinds =
        1U << CRITERION_NAME | 1U << CRITERION_ID | 1U << CRITERION_CLASS | 1U << CRITERION_UNREAD;
    char *text = device->bus == BUS_SCSI
                     ? memory_strdup("a SCSI device has no id and no class")
                     : memory_printf("the id is %04x:%04x, the class %06x", device->id.vendor,
                                     device->id.device, device->class_code);
    if (name->resolved)
        explain_add_values_of(&text, &kinds, name->definition->device, device);
    return text;
}

/* "it is vf 3 of 0000:41:00.0 8086:1572" */
static char *explain_function_of(const struct device *device) {
    if (!device->physical)
        return memory_strdup(device->bus == BUS_PCI && device->unknown & DEVICE_UNKNOWN_PHYSICAL
                                 ? "whether it is a virtual function is not known"
                                 : "it is not a virtual function");
    char *physical = device->physical_function ? device_text(device->physical_function)
                                               : memory_strdup(device->physical);
    char *text = device->vf_number < 0
                     ? memory_printf("it is a virtual function of %s", physical)
                     : memory_printf("it is vf %d of %s", device->vf_number, physical);
    free(physical);
    return text;
}

/* The device's own value of what the criterion asks. */
static char *explain_value_of(const struct criterion *criterion, const struct device *device) {
    switch ((enum criterion_kind)criterion->kind) {
    case CRITERION_NAME:
        return explain_name_of(criterion, device);
    case CRITERION_ID:
        return device->bus == BUS_SCSI
                   ? memory_strdup("a SCSI device has no id")
                   : memory_printf("the id is %04x:%04x", device->id.vendor, device->id.device);
    case CRITERION_ADDRESS:
        return device->bus == BUS_PCI
                   ? memory_printf("the address is %s", device->address)
                   : memory_printf("the address is %s, of a %s device", device->address,
                                   device_bus(device->bus)->label);
    case CRITERION_CLASS:
        return device->bus == BUS_SCSI ? memory_strdup("a SCSI device has no class")
                                       : memory_printf("the class is %06x", device->class_code);
    case CRITERION_SUBSYSTEM:
        return memory_printf("the subsystem is %04x:%04x", device->subsystem.vendor,
                             device->subsystem.device);
    case CRITERION_PORT:
    case CRITERION_BELOW:
        return device->bus == BUS_USB
                   ? memory_printf("the port is %s", device->address)
                   : memory_printf("it is a %s device", device_bus(device->bus)->label);
    case CRITERION_BUS:
        return memory_printf("it is a %s device", device_bus(device->bus)->label);
    case CRITERION_DRIVER:
        return explain_drivers_of(device);
    case CRITERION_INTERFACE:
        return explain_interfaces_of(device);
    case CRITERION_PRODUCT:
        return explain_text_of(device, "product", device->product, DEVICE_UNKNOWN_PRODUCT);
    case CRITERION_MANUFACTURER:
        return explain_text_of(device, "manufacturer", device->manufacturer,
                               DEVICE_UNKNOWN_MANUFACTURER);
    case CRITERION_SERIAL:
        return device->bus == BUS_PCI
                   ? memory_strdup("it has no serial")
                   : explain_text_of(device, "serial", device->serial, DEVICE_UNKNOWN_SERIAL);
    case CRITERION_SCSI:
        return device->bus == BUS_SCSI
                   ? memory_printf("the address is %s", device->address)
                   : memory_printf("it is a %s device", device_bus(device->bus)->label);
    case CRITERION_VF:
        return explain_function_of(device);
    case CRITERION_UNREAD:
        return memory_strdup("not understood: it counts as true");
    }
    return memory_strdup("");
}

static void explain_one_criterion(FILE *out, const void *node) {
    const struct criterion *criterion = node;
    fputs(criterion->alternative ? "" : "and ", out);
    print_criterion(out, criterion);
    if (criterion->kind == CRITERION_NAME && criterion->resolved) {
        fputs(" (", out);
        print_device(out, criterion->definition->device, true);
        putc(')', out);
    }
}

/* `guard`: the criterion is one of its, and counts as fulfilled when it is in doubt. */
static void explain_for_device(struct explained_target *explained, const struct guard *guard,
                               const struct criterion *criterion) {
    char *value = explain_value_of(criterion, explained->device);
    explain_add_condition(&explained->conditions, &explained->count,
                          explain_to_text(explain_one_criterion, criterion),
                          guard ? match_guard_criterion(guard, criterion, explained->device)
                                : match_criterion(criterion, explained->device),
                          "%s", value);
    free(value);
}

static char *explain_list_matching(const struct host *host, const struct guard *guard,
                                   const struct criterion *criterion, size_t *found) {
    char *list = memory_strdup("");
    *found = 0;
    for (size_t i = 0; i < host->count; i++) {
        bool match = guard ? match_guard_criterion(guard, criterion, &host->devices[i])
                           : match_criterion(criterion, &host->devices[i]);
        if (!match || ++*found > LISTED)
            continue;
        char *longer = memory_printf("%s%s%s", list, *list ? ", " : "", host->devices[i].address);
        free(list);
        list = longer;
    }
    return list;
}

static void explain_for_all(const struct explainer *explainer, struct explained_target *explained,
                            const struct guard *guard, const struct criterion *criterion) {
    size_t found = 0;
    char *list = explain_list_matching(explainer->request->host, guard, criterion, &found);
    explain_add_condition(&explained->conditions, &explained->count,
                          explain_to_text(explain_one_criterion, criterion), found > 0, "%s%s",
                          found ? list : "no device of the host", found > LISTED ? ", ..." : "");
    free(list);
}

static void explain_criteria(const struct explainer *explainer, struct explained_target *explained,
                             const struct guard *guard, const struct criterion *criteria) {
    for (const struct criterion *one = criteria; one; one = one->next)
        if (explained->device)
            explain_for_device(explained, guard, one);
        else
            explain_for_all(explainer, explained, guard, one);
}

/* --- results */

static char *explain_entry_result(const struct plan_entry *entry) {
    const char *address = entry->device ? entry->device->address : "";
    if (entry->kind == PLAN_STEP && entry->action->verb == VERB_RUN)
        return memory_strdup("run it");
    if (entry->unplugged)
        return memory_printf("%s %s: it was removed from the host, and this rule %s",
                             syntax_verb_text(plan_verb(entry)), address,
                             entry->action->verb == VERB_ATTACH ? "gives it" : "takes it");
    if (entry->kind == PLAN_STEP) {
        char *result = memory_printf("%s %s", syntax_verb_text(plan_verb(entry)), address);
        if (entry->place.needs_bus || (entry->note && entry->place.kind == GUEST_PLACE_USB))
            memory_append(&result, ", on USB controller %u", entry->place.bus);
        if (entry->note)
            memory_append(&result, ", %s", entry->note);
        if (entry->take_from)
            memory_append(&result, ": %s", entry->message);
        return result;
    }
    return memory_printf("%s%s%s%s%s%s: %s", entry->kind == PLAN_REFUSED ? "refused" : "nothing",
                         *address ? " " : "", address, entry->refusal ? " [" : "",
                         entry->refusal ? verdict_name(entry->refusal) : "",
                         entry->refusal ? "]" : "", entry->message ? entry->message : "");
}

/* Whether what is taken out of the VM, as its XML has it, is the device. */
static bool explain_is_gone(const struct plan_entry *entry, const struct device *device) {
    const struct device *gone = entry->unplugged;
    bool has_id = gone->id.vendor || gone->id.device;
    if (gone->bus != device->bus || (has_id && !device_id_is(gone->id, device->id)))
        return false;
    if (gone->bus_number || gone->device_number)
        return (!gone->bus_number || gone->bus_number == device->bus_number) &&
               gone->device_number == device->device_number;
    return has_id || !strcmp(gone->address, device->address);
}

/* An entry without a device, such as an ambiguous one, is about every device that the target means.
 */
static bool explain_concerns(const struct plan_entry *entry, const struct device *device) {
    if (!device || !entry->target || entry->device == device ||
        (entry->instance && device_is_same(entry->instance, device)))
        return true;
    if (entry->unplugged)
        return explain_is_gone(entry, device);
    if (entry->device && entry->action->with_group && device->iommu_group >= 0 &&
        entry->device->iommu_group == device->iommu_group)
        return entry->kind == PLAN_REFUSED;
    return !entry->device && match_device(entry->target->device, device);
}

/* The target means the device and has no entry of it: the planner's own reason, or the rule that
 * was faster. */
static char *explain_without_entry(const struct explainer *explainer,
                                   const struct explained_target *explained) {
    const struct plan *plan = &explainer->plan;
    for (size_t i = 0; i < plan->omitted_count; i++) {
        const struct plan_omitted *omitted = &plan->omitted[i];
        if (omitted->action == explained->action && omitted->target == explained->target &&
            omitted->device == explained->device)
            return memory_printf("skipped%s%s%s: %s", omitted->refusal ? " [" : "",
                                 omitted->refusal ? verdict_name(omitted->refusal) : "",
                                 omitted->refusal ? "]" : "", omitted->message);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        bool is_same = entry->instance
                           ? explained->device && device_is_same(entry->instance, explained->device)
                           : entry->device == explained->device;
        if (!is_same || entry->kind == PLAN_REFUSED || plan_verb(entry) != explained->action->verb)
            continue;
        char *rule = plan_rule_text(entry);
        char *text = entry->action == explained->action
                         ? memory_strdup("nothing: the same action does it already")
                         : memory_printf("nothing: the rule at %s does it already", rule);
        free(rule);
        return text;
    }
    return memory_strdup("nothing: another rule does it already");
}

/* What the plan says of the target, and of the device where one was asked about. */
static char *explain_find_result(const struct explainer *explainer,
                                 const struct explained_target *explained, bool rule_matches) {
    char *result = NULL;
    for (size_t i = 0; i < explainer->plan.count; i++) {
        const struct plan_entry *entry = &explainer->plan.entries[i];
        if (entry->action != explained->action || entry->target != explained->target ||
            !explain_concerns(entry, explained->device))
            continue;
        char *one = explain_entry_result(entry);
        char *longer = result ? memory_printf("%s; %s", result, one) : memory_strdup(one);
        free(result);
        free(one);
        result = longer;
    }
    if (result && explained->device && explained->target &&
        !match_device(explained->target->device, explained->device)) {
        char *longer = memory_printf("%s (it goes with its group)", result);
        free(result);
        result = longer;
    }
    if (result)
        return result;
    if (!rule_matches)
        return memory_strdup("nothing: the rule is not for this VM and event");
    if (!explained->device)
        return memory_strdup("nothing: another rule does it already");
    if (match_device(explained->target->device, explained->device))
        return explain_without_entry(explainer, explained);
    return memory_strdup("nothing: the device does not match");
}

/* --- rules */

static void explain_add_target(const struct explainer *explainer, struct explained_rule *rule,
                               const struct action *action, const struct target *target,
                               const struct device *device) {
    rule->targets = memory_grow(rule->targets, rule->target_count, sizeof *rule->targets);
    struct explained_target *explained = &rule->targets[rule->target_count++];
    *explained = (struct explained_target){.action = action, .target = target, .device = device};
    if (target)
        explain_criteria(explainer, explained, NULL, target->device);
    bool matches = rule->conditions[0].pass && rule->conditions[1].pass;
    explained->result = explain_find_result(explainer, explained, matches);
}

static void explain_action(const struct explainer *explainer, struct explained_rule *rule,
                           const struct action *action) {
    if (action->verb == VERB_RUN) {
        explain_add_target(explainer, rule, action, NULL, NULL);
        return;
    }
    for (const struct target *target = action->targets; target; target = target->next) {
        for (size_t i = 0; i < explainer->device_count; i++)
            explain_add_target(explainer, rule, action, target, explainer->devices[i]);
        if (!explainer->device_count)
            explain_add_target(explainer, rule, action, target, NULL);
    }
}

static struct explained_rule *explain_add_rule(struct explanation *explanation) {
    explanation->rules =
        memory_grow(explanation->rules, explanation->count, sizeof *explanation->rules);
    struct explained_rule *rule = &explanation->rules[explanation->count++];
    *rule = (struct explained_rule){0};
    return rule;
}

static void explain_rule(const struct explainer *explainer, struct explanation *explanation,
                         const struct rule *rule) {
    struct explained_rule *explained = explain_add_rule(explanation);
    explained->rule = rule;
    if (rule->vms)
        explain_vms(explainer, rule->vms, match_vms(rule->vms, explainer->request->event),
                    explained);
    else
        explain_host(explainer, explained);
    explain_event(explainer, rule, explained);
    for (const struct action *action = rule->actions; action; action = action->next)
        explain_action(explainer, explained, action);
}

static bool explain_forbids_some(const struct host *host, const struct guard *guard) {
    size_t i = 0;
    while (i < host->count && !match_guard_device(guard, &host->devices[i]))
        i++;
    return i < host->count;
}

static void explain_guard_device(const struct explainer *explainer,
                                 struct explained_rule *explained, const struct device *device) {
    explained->targets =
        memory_grow(explained->targets, explained->target_count, sizeof *explained->targets);
    struct explained_target *target = &explained->targets[explained->target_count++];
    *target = (struct explained_target){.device = device};
    explain_criteria(explainer, target, explained->guard, explained->guard->device);
    bool pass = !explained->count || explained->conditions[0].pass;
    if (device)
        pass = pass && match_guard_device(explained->guard, device);
    else
        pass = pass && explain_forbids_some(explainer->request->host, explained->guard);
    target->result = memory_strdup(!pass    ? "nothing: it forbids nothing here"
                                   : device ? "forbidden"
                                            : "forbids the devices that match");
}

static void explain_guard(const struct explainer *explainer, struct explanation *explanation,
                          const struct guard *guard) {
    struct explained_rule *explained = explain_add_rule(explanation);
    explained->guard = guard;
    if (guard->vms)
        explain_vms(explainer, guard->vms,
                    match_guard_vms(guard, explainer->request->event->domain), explained);
    for (size_t i = 0; i < explainer->device_count; i++)
        explain_guard_device(explainer, explained, explainer->devices[i]);
    if (!explainer->device_count)
        explain_guard_device(explainer, explained, NULL);
}

void explain_init(struct explanation *explanation, const struct plan_request *request,
                  const struct device *const *devices, size_t device_count) {
    struct explainer explainer = {
        .request = request, .devices = devices, .device_count = device_count};
    *explanation = (struct explanation){0};
    explanation->ruleset = request->program->ruleset;
    plan_init(&explainer.plan, request);
    for (size_t i = 0; i < request->program->rule_count; i++)
        explain_rule(&explainer, explanation, request->program->rules[i]);
    for (size_t i = 0; i < request->program->guard_count; i++)
        explain_guard(&explainer, explanation, request->program->guards[i]);
    plan_finish(&explainer.plan);
}

static void explain_conditions_finish(struct condition *conditions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(conditions[i].text);
        free(conditions[i].seen);
    }
    free(conditions);
}

void explain_finish(struct explanation *explanation) {
    for (size_t i = 0; i < explanation->count; i++) {
        struct explained_rule *rule = &explanation->rules[i];
        for (size_t j = 0; j < rule->target_count; j++) {
            explain_conditions_finish(rule->targets[j].conditions, rule->targets[j].count);
            free(rule->targets[j].result);
        }
        free(rule->targets);
        explain_conditions_finish(rule->conditions, rule->count);
    }
    free(explanation->rules);
    *explanation = (struct explanation){0};
}

/* --- text */

enum { INDENT = 10 };

static void explain_print_condition(const struct condition *condition, const char *indent,
                                    FILE *out, struct terminal terminal) {
    fprintf(out, "%s%s%s%s  ", indent,
            terminal_paint(terminal, condition->pass ? TERMINAL_GREEN : TERMINAL_RED),
            condition->pass ? "pass" : "FAIL", terminal_paint(terminal, TERMINAL_PLAIN));
    text_print_string(out, condition->text);
    int padding = 26 - (int)text_width(condition->text, strlen(condition->text));
    fprintf(out, "%*s  ", padding > 0 ? padding : 0, "");
    text_print_string(out, condition->seen);
    putc('\n', out);
}

static void explain_target_text(FILE *out, const void *node) {
    const struct explained_target *target = node;
    if (!target->action) {
        fputs("never attach", out);
    } else if (!target->target) {
        print_action(out, target->action, false);
    } else {
        print_one_target(out, target->action, target->target);
    }
    if (target->device)
        fprintf(out, ", compared with %s", target->device->address);
}

static void explain_print_target(const struct explained_target *target, FILE *out,
                                 struct terminal terminal) {
    char *text = explain_to_text(explain_target_text, target);
    fputs("  ", out);
    text_print_string(out, text);
    putc('\n', out);
    free(text);
    for (size_t i = 0; i < target->count; i++)
        explain_print_condition(&target->conditions[i], "    ", out, terminal);
    fputs("    =>    ", out);
    text_print_string(out, target->result);
    putc('\n', out);
}

static struct source *explain_source_of(const struct explained_rule *rule) {
    return rule->rule ? rule->rule->source : rule->guard->source;
}

static size_t explain_line_of(const struct explained_rule *rule) {
    uint32_t start = rule->rule ? rule->rule->span.start : rule->guard->span.start;
    return source_position(explain_source_of(rule), start).line;
}

static void explain_head_text(FILE *out, const void *node) {
    const struct explained_rule *rule = node;
    if (rule->rule)
        print_head(out, rule->rule);
    else
        print_guard(out, rule->guard, false);
}

static void explain_print_rule(const struct explained_rule *rule, FILE *out,
                               struct terminal terminal) {
    char *head = explain_to_text(explain_head_text, rule);
    fputs(terminal_paint(terminal, TERMINAL_BOLD), out);
    text_print_string(out, explain_source_of(rule)->path);
    fprintf(out, ":%zu:%s ", explain_line_of(rule), terminal_paint(terminal, TERMINAL_PLAIN));
    text_print_string(out, head);
    putc('\n', out);
    free(head);
    for (size_t i = 0; i < rule->count; i++)
        explain_print_condition(&rule->conditions[i], "  ", out, terminal);
    for (size_t i = 0; i < rule->target_count; i++)
        explain_print_target(&rule->targets[i], out, terminal);
}

void explain_print(const struct explanation *explanation, FILE *out, struct terminal terminal) {
    char *text;
    size_t size;
    FILE *buffer = memory_stream(&text, &size);
    for (size_t i = 0; i < explanation->count; i++)
        explain_print_rule(&explanation->rules[i], buffer, terminal);
    if (!explanation->count)
        fputs("there are no rules\n", buffer);
    plan_print_doubts(explanation->ruleset, buffer);
    terminal_wrap_stream(out, terminal, INDENT, buffer, &text);
}

/* --- JSON */

static struct json_object *explain_conditions_json(const struct condition *conditions,
                                                   size_t count) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < count; i++) {
        struct json_object *object = text_json_object();
        text_json_add(object, "condition", text_json(conditions[i].text));
        text_json_add(object, "seen", text_json(conditions[i].seen));
        text_json_add(object, "pass", text_json_boolean(conditions[i].pass));
        text_json_append(array, object);
    }
    return array;
}

static struct json_object *explain_target_json(const struct explained_target *target) {
    struct json_object *object = text_json_object();
    char *text = explain_to_text(explain_target_text, target);
    text_json_add(object, "target", text_json(text));
    text_json_add(object, "device", text_json(target->device ? target->device->address : NULL));
    text_json_add(object, "conditions", explain_conditions_json(target->conditions, target->count));
    text_json_add(object, "result", text_json(target->result));
    free(text);
    return object;
}

static struct json_object *explain_rule_json(const struct explained_rule *rule) {
    struct json_object *object = text_json_object(), *targets = text_json_array();
    char *head = explain_to_text(explain_head_text, rule);
    text_json_add(object, "path", text_json(explain_source_of(rule)->path));
    text_json_add(object, "line", text_json_number((int64_t)explain_line_of(rule)));
    text_json_add(object, "rule", text_json(head));
    text_json_add(object, "conditions", explain_conditions_json(rule->conditions, rule->count));
    for (size_t i = 0; i < rule->target_count; i++)
        text_json_append(targets, explain_target_json(&rule->targets[i]));
    text_json_add(object, "targets", targets);
    free(head);
    return object;
}

struct json_object *explain_json(const struct explanation *explanation) {
    struct json_object *document = text_json_object(), *rules = text_json_array();
    for (size_t i = 0; i < explanation->count; i++)
        text_json_append(rules, explain_rule_json(&explanation->rules[i]));
    text_json_add(document, "rules", rules);
    text_json_add(document, "doubts", plan_print_doubts_json(explanation->ruleset));
    return document;
}
