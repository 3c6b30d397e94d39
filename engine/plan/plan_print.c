#include "engine/plan/plan_print.h"

#include "lexer/memory.h"
#include "lexer/text.h"
#include "parser/print.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 10, TITLE_INDENT = 2 };

/* --- text */

static void plan_print_title(const struct domain *domain, enum event_name event, FILE *out) {
    fputs(domain ? "VM " : "Host", out);
    if (domain)
        text_print_string(out, domain_label(domain));
    if (domain && domain->title && strcmp(domain->name, domain->title) != 0) {
        fputs(" (", out);
        text_print_string(out, domain->name);
        fputs(")", out);
    }
    fprintf(out, ", event %s\n", scanner_event_text(event));
}

static void plan_print_host_device(const struct device *device, FILE *out) {
    text_print_string(out, device->address);
    if (device->id.vendor || device->id.device)
        fprintf(out, " %04x:%04x", device->id.vendor, device->id.device);
    putc(' ', out);
    text_print_string(out, device->name);
}

/* Not asked for, but of the same IOMMU group as what is: the ROM and the restart are not its. */
static bool plan_print_goes_along(const struct plan_entry *entry) {
    return entry->action->with_group && entry->device && entry->target &&
           !match_device(entry->target->device, entry->device);
}

/* How a step attaches: the backend, and all that the rule's options change of it. */
static void plan_print_how(const struct plan_entry *entry, FILE *out) {
    const struct action *action = entry->action;
    if (action->with_group)
        fputs(", with group", out);
    if (action->backend)
        fprintf(out, "%s as %s", action->with_group ? "" : ",",
                syntax_backend_text(action->backend));
    if (action->verb == VERB_BIND) {
        fputs(", to driver ", out);
        text_print_string(out, action->driver);
    }
    if (!plan_print_goes_along(entry))
        print_options(out, action);
    else if (plan_has_option(action, OPTION_UNMANAGED))
        fputs(" unmanaged", out);
    if (plan_print_goes_along(entry) && plan_has_option(action, OPTION_ROM_OFF))
        fputs(" rom off", out);
}

static void plan_print_facts(const struct device *device, FILE *out) {
    fputs("\n          ", out);
    if (device->bus == BUS_PCI && device->iommu_group >= 0)
        fprintf(out, "IOMMU group %d, ", device->iommu_group);
    if (device->bus == BUS_USB)
        fprintf(out, "bus %u device %u, ", device->bus_number, device->device_number);
    fputs("host driver ", out);
    text_print_string(out, device->driver ? device->driver : "none");
}

/* Where there is a choice, the controller of the guest. */
static void plan_print_controller(const struct plan_entry *entry, const struct guest *guest,
                                  FILE *out) {
    if (entry->place.kind != GUEST_PLACE_USB || guest_usb_count(guest) < 2)
        return;
    char *name = guest_usb_name(guest, entry->place.bus);
    fputs(", on USB ", out);
    text_print_string(out, name);
    free(name);
}

/* With how long libvirt waits for it. */
static void plan_print_command(const struct action *action, FILE *out) {
    for (const struct word *word = action->command; word; word = word->next) {
        fputs(word == action->command ? "" : " ", out);
        text_print_string(out, word->text);
    }
    print_options(out, action);
}

static void plan_print_subject(const struct plan_entry *entry, FILE *out) {
    if (entry->action->verb == VERB_RUN)
        plan_print_command(entry->action, out);
    else if (entry->device) {
        if (entry->action->verb == VERB_CREATE)
            fprintf(out, "%u vf of ", entry->action->count);
        plan_print_host_device(entry->device, out);
    } else
        text_print_string(out, entry->target_text);
}

static void plan_print_line(const char *label, const char *text, FILE *out) {
    if (!text)
        return;
    fprintf(out, "\n          %s", label);
    text_print_string(out, text);
}

static void plan_print_xml(const char *xml, FILE *out) {
    for (const char *line = xml; line && *line;) {
        size_t length = strcspn(line, "\n");
        fputs("\n          ", out);
        text_print(out, line, length);
        line += length + (line[length] == '\n');
    }
}

static void plan_print_entry_rule(const struct plan_entry *entry, FILE *out,
                                  struct terminal terminal) {
    char *rule = plan_rule_text(entry);
    if (rule) {
        fprintf(out, "\n          %srule ", terminal_paint(terminal, TERMINAL_DIM));
        text_print_string(out, rule);
        fputs(terminal_paint(terminal, TERMINAL_PLAIN), out);
    }
    putc('\n', out);
    free(rule);
}

static void plan_print_entry(const struct plan *plan, const struct plan_entry *entry, FILE *out,
                             bool xml, struct terminal terminal) {
    static const char *const words[] = {[PLAN_REFUSED] = "refused", [PLAN_SKIPPED] = "nothing"};
    const char *word =
        entry->kind == PLAN_STEP ? syntax_verb_text(plan_verb(entry)) : words[entry->kind];
    const char *paint = entry->kind == PLAN_STEP      ? TERMINAL_GREEN
                        : entry->kind == PLAN_REFUSED ? TERMINAL_RED
                                                      : TERMINAL_DIM;
    fprintf(out, "  %s%-7s%s ", terminal_paint(terminal, paint), word,
            terminal_paint(terminal, TERMINAL_PLAIN));
    plan_print_subject(entry, out);
    if (entry->device && !entry->unplugged)
        plan_print_facts(entry->device, out);
    if ((entry->device || entry->action->verb == VERB_BIND) && entry->kind == PLAN_STEP &&
        !entry->unplugged && entry->rule)
        plan_print_how(entry, out);
    if (plan->event->domain)
        plan_print_controller(entry, &plan->event->domain->guest, out);
    plan_print_line("note: ", entry->note, out);
    plan_print_line("", entry->message, out);
    if (entry->kind == PLAN_REFUSED)
        fprintf(out, " [%s]", verdict_name(entry->refusal));
    plan_print_line(terminal_hint(terminal), entry->hint, out);
    if (xml)
        for (size_t i = 0; i < entry->element_count; i++)
            plan_print_xml(entry->elements[i].xml, out);
    plan_print_entry_rule(entry, out, terminal);
}

static void plan_print_sum(const struct plan *plan, FILE *out) {
    size_t steps = plan_count(plan, PLAN_STEP), refused = plan_count(plan, PLAN_REFUSED);
    const char *subject = plan->event->domain ? "this VM" : "the host";
    if (!plan->count)
        fprintf(out, "  nothing to do: no rule is for %s at this event%s\n", subject,
                plan->event->device ? " and wants this device" : "");
    else
        fprintf(out, "%zu step%s, %zu refusal%s\n", steps, steps == 1 ? "" : "s", refused,
                refused == 1 ? "" : "s");
}

void plan_print_doubts(const struct ruleset *ruleset, FILE *out) {
    struct doubts doubts = ruleset ? ruleset_doubts(ruleset) : (struct doubts){0};
    for (size_t i = 0; i < doubts.count; i++) {
        const struct doubt *doubt = &doubts.list[i];
        fputs("In doubt: ", out);
        text_print_string(out, doubt->source->path);
        if (doubt->line)
            fprintf(out, ":%zu", doubt->line);
        fputs(": ", out);
        text_print_string(out, doubt->message);
        fputs(".\n", out);
    }
    ruleset_finish_doubts(&doubts);
}

void plan_print(const struct plan *plan, FILE *out, bool xml, struct terminal terminal) {
    char *text;
    size_t size;
    FILE *title = memory_stream(&text, &size);
    plan_print_title(plan->event->domain, plan->event->name, title);
    terminal_wrap_stream(out, terminal, TITLE_INDENT, title, &text);
    FILE *entries = memory_stream(&text, &size);
    for (size_t i = 0; i < plan->count; i++)
        plan_print_entry(plan, &plan->entries[i], entries, xml, terminal);
    terminal_wrap_stream(out, terminal, INDENT, entries, &text);
    FILE *sum = memory_stream(&text, &size);
    plan_print_sum(plan, sum);
    plan_print_doubts(plan->program->ruleset, sum);
    terminal_wrap_stream(out, terminal, TITLE_INDENT, sum, &text);
}

/* --- JSON */

static struct json_object *plan_print_vm_json(const struct domain *domain) {
    struct json_object *object = text_json_object();
    text_put_json(object, "name", domain->name);
    text_put_json(object, "title", domain->title);
    text_put_json(object, "uuid", domain->uuid);
    return object;
}

static enum bus plan_print_wanted_bus(const struct plan_entry *entry) {
    enum backend backend = entry->action->backend; /* of detach: none */
    enum bus bus = BUS_PCI;
    while (backend && !backend_has_bus(backend_type(backend), bus))
        bus++;
    return bus;
}

/* The id that the rule asks for, when it asks for one id and nothing else. */
static bool plan_print_wanted_id(const struct target *target, char id[16]) {
    const struct criterion *only = target ? target->device : NULL;
    if (!only || only->next || only->kind != CRITERION_ID || only->any_vendor || only->any_device)
        return false;
    snprintf(id, 16, "%04x:%04x", only->id.vendor, only->id.device);
    return true;
}

/* A device that was not found has the bus and the words of its rule, and the id where that is all
 * of them. */
static struct json_object *plan_print_device_json(const struct plan_entry *entry) {
    const struct device *device = entry->device;
    struct json_object *object = text_json_object();
    char id[16] = "";
    bool has_id =
        device ? device->id.vendor || device->id.device : plan_print_wanted_id(entry->target, id);
    if (device)
        snprintf(id, sizeof id, "%04x:%04x", device->id.vendor, device->id.device);
    text_put_json(object, "bus",
                  device_bus(device ? device->bus : plan_print_wanted_bus(entry))->name);
    text_put_json(object, "address", device ? device->address : NULL);
    text_put_json(object, "id", has_id ? id : NULL);
    text_put_json(object, "name", device ? device->name : NULL);
    text_put_json(object, "driver", device ? device->driver : NULL);
    text_json_add(object, "iommu_group",
                  device && device->iommu_group >= 0 ? text_json_number(device->iommu_group)
                                                     : NULL);
    text_put_json(object, "wanted", entry->target_text);
    return object;
}

static void plan_print_put_duration(struct json_object *object, const char *key,
                                    const struct action *action, enum option_kind kind) {
    text_json_add(object, key,
                  plan_has_option(action, kind) ? text_json_number(plan_option_ms(action, kind))
                                                : NULL);
}

/* Those of one backend each: a key where the rule has the option. */
static void plan_print_put_own_options(struct json_object *object, const struct action *action) {
    static const struct {
        enum option_kind kind;
        const char *key;
    } keys[] = {{OPTION_MAC, "mac"},
                {OPTION_VLAN, "vlan"},
                {OPTION_TRUST, "trust"},
                {OPTION_MDEV_TYPE, "mdev_type"},
                {OPTION_MDEV_UUID, "uuid"},
                {OPTION_SERIAL_PCI, "pci"},
                {OPTION_BUS, "bus"},
                {OPTION_READONLY, "readonly"},
                {OPTION_GRAB, "grab"},
                {OPTION_AWAKE, "awake"},
                {OPTION_RESET_METHOD, "reset_method"},
                {OPTION_BOOT_DISPLAY, "boot_display"},
                {OPTION_BOOT_ORDER, "boot_order"},
                {OPTION_PORTS, "ports"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct action_option *option = syntax_find_option(action->options, keys[i].kind);
        enum value_kind value = syntax_option(keys[i].kind)->value;
        if (!option)
            continue;
        if (value == VALUE_FLAG)
            text_json_add(object, keys[i].key, text_json_boolean(true));
        else if (value == VALUE_NUMBER)
            text_json_add(object, keys[i].key, text_json_number(option->number));
        else
            text_put_json(object, keys[i].key, option->text);
    }
}

static struct json_object *plan_print_options_json(const struct plan_entry *entry) {
    const struct action *action = entry->action;
    struct json_object *object = text_json_object();
    const char *rom = plan_has_option(action, OPTION_ROM_OFF) ? "off" : NULL;
    const struct action_option *file = syntax_find_option(action->options, OPTION_ROM_FILE);
    if (file && !plan_print_goes_along(entry))
        rom = file->text;
    text_json_add(object, "optional", text_json_boolean(plan_has_option(action, OPTION_OPTIONAL)));
    text_json_add(object, "unmanaged",
                  text_json_boolean(plan_has_option(action, OPTION_UNMANAGED)));
    if (plan_has_option(action, OPTION_TAKE))
        text_json_add(object, "take", text_json_boolean(true));
    plan_print_put_duration(object, "within_ms", action, OPTION_WITHIN);
    plan_print_put_duration(object, "after_ms", action, OPTION_AFTER);
    text_put_json(object, "rom", rom);
    const struct action_option *controller = syntax_find_option(action->options, OPTION_CONTROLLER);
    const struct action_option *guest_reset =
        syntax_find_option(action->options, OPTION_GUEST_RESET);
    text_json_add(object, "controller", controller ? text_json_number(controller->number) : NULL);
    text_put_json(object, "guest_reset", guest_reset ? guest_reset->text : NULL);
    plan_print_put_own_options(object, action);
    text_put_json(object, "then",
                  plan_has_option(action, OPTION_THEN_RESET)    ? "reset"
                  : plan_has_option(action, OPTION_THEN_REBOOT) ? "reboot"
                                                                : NULL);
    return object;
}

static struct json_object *plan_print_command_json(const struct word *command) {
    struct json_object *array = text_json_array();
    for (; command; command = command->next)
        text_json_append(array, text_json(command->text));
    return array;
}

/* NULL: no rule wants it. */
static struct json_object *plan_print_rule_json(const struct plan_entry *entry) {
    if (!entry->rule)
        return NULL;
    struct json_object *object = text_json_object();
    text_put_json(object, "path", entry->rule->source->path);
    text_json_add(object, "line",
                  text_json_number((int64_t)program_line(entry->rule, entry->action)));
    return object;
}

/* The elements, a newline between two of them. */
static void plan_print_put_xml(struct json_object *object, const struct plan_entry *entry) {
    char *xml = memory_strdup("");
    for (size_t i = 0; i < entry->element_count; i++)
        memory_append(&xml, "%s%s", i ? "\n" : "", entry->elements[i].xml);
    text_put_json(object, "xml", *xml ? xml : NULL);
    free(xml);
}

static struct json_object *plan_print_settings_json(const struct setting_list *settings) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < settings->count; i++) {
        struct json_object *one = text_json_object();
        text_put_json(one, "path", settings->list[i].path);
        text_put_json(one, "value", settings->list[i].value);
        text_json_append(array, one);
    }
    return array;
}

static struct json_object *plan_print_entry_json(const struct plan_entry *entry) {
    struct json_object *object = text_json_object();
    bool run = entry->action->verb == VERB_RUN;
    text_put_json(object, "action", syntax_verb_text(plan_verb(entry)));
    text_put_json(object, "backend",
                  entry->action->backend ? syntax_backend_text(entry->action->backend) : NULL);
    text_json_add(object, "device", run ? NULL : plan_print_device_json(entry));
    text_json_add(object, "rule", plan_print_rule_json(entry));
    if (!run && !entry->unplugged && entry->rule)
        text_json_add(object, "options", plan_print_options_json(entry));
    if (entry->action->verb == VERB_BIND)
        text_put_json(object, "driver", entry->action->driver);
    if (entry->action->verb == VERB_CREATE)
        text_json_add(object, "count", text_json_number(entry->action->count));
    if (run)
        text_json_add(object, "command", plan_print_command_json(entry->action->command));
    if (plan_has_option(entry->action, OPTION_WAIT)) {
        plan_print_put_duration(object, "wait_ms", entry->action, OPTION_WAIT);
        text_json_add(object, "or_stop",
                      text_json_boolean(plan_has_option(entry->action, OPTION_OR_STOP)));
    }
    if (entry->kind == PLAN_STEP) {
        plan_print_put_xml(object, entry);
        text_json_add(object, "controller",
                      entry->place.kind == GUEST_PLACE_USB ? text_json_number(entry->place.bus)
                                                           : NULL);
        if (*entry->mac)
            text_put_json(object, "mac", entry->mac);
        text_put_json(object, "note", entry->note);
        if (!entry->rule) /* why it leaves */
            text_put_json(object, "message", entry->message);
        if (entry->settings.count)
            text_json_add(object, "host_settings", plan_print_settings_json(&entry->settings));
        if (entry->take_from)
            text_put_json(object, "take_from", domain_label(entry->take_from));
        return object;
    }
    text_put_json(object, "reason", entry->refusal ? verdict_name(entry->refusal) : "already");
    text_put_json(object, "message", entry->message);
    text_put_json(object, "hint", entry->hint);
    return object;
}

static struct json_object *plan_print_entries_json(const struct plan *plan, enum plan_kind kind) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].kind == kind)
            text_json_append(array, plan_print_entry_json(&plan->entries[i]));
    return array;
}

struct json_object *plan_print_doubts_json(const struct ruleset *ruleset) {
    struct json_object *array = text_json_array();
    struct doubts doubts = ruleset ? ruleset_doubts(ruleset) : (struct doubts){0};
    for (size_t i = 0; i < doubts.count; i++) {
        const struct doubt *doubt = &doubts.list[i];
        struct json_object *object = text_json_object();
        text_put_json(object, "path", doubt->source->path);
        text_json_add(object, "line", doubt->line ? text_json_number((int64_t)doubt->line) : NULL);
        text_put_json(object, "guard", doubt->guard);
        text_put_json(object, "forbids", doubt->forbids);
        text_put_json(object, "message", doubt->message);
        text_json_append(array, object);
    }
    ruleset_finish_doubts(&doubts);
    return array;
}

struct json_object *plan_print_json(const struct plan *plan) {
    struct json_object *object = text_json_object();
    text_json_add(object, "vm",
                  plan->event->domain ? plan_print_vm_json(plan->event->domain) : NULL);
    text_put_json(object, "event", scanner_event_text(plan->event->name));
    text_json_add(object, "partial", text_json_boolean(plan->partial));
    text_json_add(object, "steps", plan_print_entries_json(plan, PLAN_STEP));
    text_json_add(object, "refusals", plan_print_entries_json(plan, PLAN_REFUSED));
    text_json_add(object, "skipped", plan_print_entries_json(plan, PLAN_SKIPPED));
    text_json_add(object, "doubts", plan_print_doubts_json(plan->program->ruleset));
    return object;
}
