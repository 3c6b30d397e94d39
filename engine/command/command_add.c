/* virt-rules add: writes the rule that gives a device to a VM, after the checks that it would meet
 * later. */
#include "engine/command/command.h"

#include "engine/command/add_device.h"
#include "engine/command/plan_context.h"
#include "engine/command/question.h"
#include "engine/command/rule_change.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/model/vm_names.h"
#include "engine/plan/check_host.h"
#include "engine/plan/plan_print.h"
#include "engine/plan/suggest_rule.h"
#include "engine/rules/rule_file.h"
#include "lexer/text.h"
#include "parser/disable.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The numbers of the files that are written: the first is in the middle of the order. */
enum { FIRST_NUMBER = 50, LAST_NUMBER = 99, NAME_LIMIT = 100 };

struct add {
    struct command_line line;
    bool yes;
    const char *directory; /* of the rules */
    bool asks;             /* there is a person at a terminal */
    bool runs;             /* the VM does */
    bool may_define;       /* it has a definition, which lasts */
    char *vm;              /* as chosen */
    char *plan_words[3];
    struct command_line plan_line; /* VM EVENT */
    struct plan_context context;
    struct judge judge;
    struct inventory inventory; /* of the host */
    const struct device *device;
    struct suggested_rule suggested;
    char *path;            /* of the new file */
    struct source *source; /* it, among the rules of the context */
    size_t errors;         /* in all rules, without what only a host shows */
    char *present;         /* "PATH:LINE" of a rule that says the same; NULL: there is none */
    bool written;
    struct json_object *document; /* with --json; NULL: printed */
};

static int command_add_stop(void) {
    puts("Nothing was changed.");
    return EXIT_PROBLEM;
}

/* Also in the document. */
static int command_add_fail(const struct add *add, const char *message, const char *hint) {
    if (add->document) {
        text_put_json(add->document, "message", message);
        text_put_json(add->document, "hint", hint && *hint ? hint : NULL);
    }
    return command_fail(message, hint);
}

/* --- the VM */

/* A copy of a host may have no list of its VMs; then libvirt's are shown. */
static void command_add_list_vms(const struct add *add, struct domain_list *vms) {
    struct virt *virt = NULL;
    struct virt_error error;
    struct domain domain;
    if (add->line.domain_xml) {
        if (plan_context_read_domain(&add->line, &domain, NULL) == EXIT_FINE)
            domain_list_append(vms, &domain);
    } else if (add->line.sysroot && domain_list_all_in(vms, add->line.sysroot)) {
        return;
    } else if (virt_asker_connect(&virt, NULL, &error) < 0 ||
               domain_list_all(vms, virt, &error) < 0) {
        command_fail(error.failure.message, error.failure.hint); /* only said */
        domain_list_all_in(vms, "");
    }
    virt_close(virt);
}

static size_t command_add_label_width(const struct domain *vm) {
    const char *label = domain_label(vm);
    return text_width(label, strlen(label));
}

/* A very long name is wrapped, and widens no other line. */
static void command_add_print_vms(const struct domain_list *vms) {
    enum { WIDTH_MAX = 40 };
    size_t width = 0, size = 0;
    char *text = NULL;
    FILE *out = memory_stream(&text, &size);
    for (size_t i = 0; i < vms->count; i++) {
        size_t own = command_add_label_width(&vms->list[i]);
        width = own > width && own <= WIDTH_MAX ? own : width;
    }
    for (size_t i = 0; i < vms->count; i++) {
        const struct domain *vm = &vms->list[i];
        size_t own = command_add_label_width(vm);
        fprintf(out, "  %2zu  ", i + 1);
        text_print_string(out, domain_label(vm));
        fprintf(out, "%*s  %s", own < width ? (int)(width - own) : 0, "",
                vm->id >= 0 ? "running" : "shut off");
        if (vm->title) {
            fputs(", named ", out);
            text_print_string(out, vm->name);
        }
        putc('\n', out);
    }
    terminal_wrap_stream(stdout, terminal_of(stdout), 6, out, &text);
}

/* Returns EXIT_PROBLEM. */
static int command_add_unknown_vm(const struct add *add, const struct domain_list *vms,
                                  const char *word) {
    char *message = memory_printf(VM_NAMES_UNKNOWN, word);
    char *hint = vm_names_hint(word, vms->list, vms->count);
    command_add_fail(add, message, hint);
    free(message);
    free(hint);
    return EXIT_PROBLEM;
}

/* Whether the answer is a number that the list does not have; says so. */
static bool command_add_is_beyond(const char *answer, size_t count) {
    if (strspn(answer, "0123456789") != strlen(answer))
        return false;
    printf("The list has the numbers 1 to %zu.\n", count);
    return true;
}

static const struct domain *command_add_read_vm(const struct add *add,
                                                const struct domain_list *vms, const char *answer) {
    const struct domain *first, *second;
    size_t index = question_number(answer, vms->count);
    if (index)
        return &vms->list[index - 1];
    index = domain_pick(vms->list, vms->count, answer, &first, &second);
    if (second)
        command_two_vms(answer, first, second);
    else if (index == vms->count && !command_add_is_beyond(answer, vms->count))
        command_add_unknown_vm(add, vms, answer);
    return index == vms->count ? NULL : &vms->list[index];
}

/* Asks until there is an answer. */
static int command_add_ask_vm(struct add *add) {
    struct domain_list vms = {0};
    const struct domain *vm = NULL;
    char *answer;
    command_add_list_vms(add, &vms);
    if (!vms.count) {
        domain_list_finish(&vms);
        return command_fail("there is no VM", "define one first; or name one: virt-rules add VM");
    }
    puts("The VMs:");
    command_add_print_vms(&vms);
    while (!vm && (answer = question_ask("VM (number or name, q to stop):"))) {
        vm = command_add_read_vm(add, &vms, answer);
        free(answer);
    }
    if (vm)
        add->vm = memory_strdup(vm->name);
    domain_list_finish(&vms);
    return vm ? EXIT_FINE : command_add_stop();
}

/* Of a list of the host's VMs it must be one. */
static int command_add_check_vm(const struct add *add) {
    const struct domain_list *vms = &add->context.vms;
    const struct domain *first, *second;
    if (!vms->count || add->line.domain_xml ||
        domain_pick(vms->list, vms->count, add->vm, &first, &second) < vms->count)
        return EXIT_FINE;
    return command_add_unknown_vm(add, vms, add->vm);
}

/* How the rule names the VM: by its name; by its title where the name is a number that a program
 * gave, as Synology's does; by its UUID where the name would be a glob. */
static const char *command_add_vm_text(const struct add *add) {
    const struct domain *domain = &add->context.domain;
    const struct domain_list *vms = &add->context.vms;
    size_t same = 0;
    for (size_t i = 0; domain->title && i < vms->count; i++)
        same += (vms->list[i].title && !strcmp(vms->list[i].title, domain->title)) ||
                !strcmp(vms->list[i].name, domain->title);
    if (syntax_is_uuid(domain->name) && domain->title && same == 1 && !value_is_glob(domain->title))
        return domain->title;
    return value_is_glob(domain->name) && domain->uuid ? domain->uuid : domain->name;
}

/* --- the device */

static struct suggested_rule command_add_suggest(struct add *add, const struct device *device) {
    return suggest_rule(&add->judge, &add->inventory.selector, device, command_add_vm_text(add),
                        add->may_define);
}

/* Those of the list, or of the host, that can be assigned. */
static struct add_devices command_add_assignable(struct add *add) {
    struct add_devices devices = {0};
    for (size_t i = 0; i < add->context.host.count; i++) {
        struct suggested_rule suggested = command_add_suggest(add, &add->context.host.devices[i]);
        if (suggested.text)
            add_device_append(&devices, &add->context.host.devices[i]);
        suggest_rule_finish(&suggested);
    }
    return devices;
}

static void command_add_print_devices(struct add *add, const struct add_devices *devices, FILE *out,
                                      bool number) {
    for (size_t i = 0; i < devices->count; i++) {
        char *text = add_device_text(&add->inventory, devices->list[i]);
        struct suggested_rule suggested = command_add_suggest(add, devices->list[i]);
        if (!suggested.text)
            memory_append(&text, " (cannot be assigned)");
        else if (suggested.gives_display)
            memory_append(&text, " (the host's screen)");
        suggest_rule_finish(&suggested);
        char *line =
            number ? memory_printf("  %2zu  %s\n", i + 1, text) : memory_printf("  %s\n", text);
        terminal_wrap(out, terminal_of(out), 6, line);
        free(line);
        free(text);
    }
}

/* Takes the device if a rule can give it to the VM; else says why not. */
static int command_add_take_device(struct add *add, const struct device *device) {
    suggest_rule_finish(&add->suggested);
    add->suggested = command_add_suggest(add, device);
    if (add->suggested.event == EVENT_DEFINED && plan_context_is_transient(&add->context)) {
        add->may_define = false;
        suggest_rule_finish(&add->suggested);
        add->suggested = command_add_suggest(add, device);
    }
    add->device = device;
    if (add->suggested.text)
        return EXIT_FINE;
    char *message = memory_printf("%s %s cannot be assigned: %s", device->address, device->name,
                                  add->suggested.verdict.message);
    command_add_fail(add, message, add->suggested.verdict.hint);
    free(message);
    return EXIT_PROBLEM;
}

static int command_add_unknown_device(const struct add *add, const char *word) {
    char *message = memory_printf("the host has no device '%s'", word);
    command_add_fail(add, message,
                     "name it by its address (03:00.0, 3:0:0:0), USB port (1-1.4), id (1ac1:089a), "
                     "interface (eno2) or a word of its name or class: see 'virt-rules devices'");
    free(message);
    return EXIT_PROBLEM;
}

static int command_add_read_device(struct add *add, struct add_devices *shown, const char *answer);

/* Asks until there is a device that can be assigned. Ends the list. */
static int command_add_ask_device(struct add *add, struct add_devices *shown) {
    char *answer;
    int status = EXIT_PROBLEM;
    command_add_print_devices(add, shown, stdout, true);
    while (status != EXIT_FINE && (answer = question_ask("Device (number or name, q to stop):"))) {
        status = command_add_read_device(add, shown, answer);
        free(answer);
    }
    add_device_finish(shown);
    return status == EXIT_FINE ? EXIT_FINE : command_add_stop();
}

/* With several, they are the list from now on. */
static int command_add_read_device(struct add *add, struct add_devices *shown, const char *answer) {
    size_t index = question_number(answer, shown->count);
    if (index)
        return command_add_take_device(add, shown->list[index - 1]);
    struct add_devices found = add_device_find(&add->inventory, answer);
    int status = EXIT_PROBLEM;
    if (!found.count && !command_add_is_beyond(answer, shown->count))
        command_add_unknown_device(add, answer);
    bool is_one = add_device_is_one_card(&found);
    if (is_one)
        status = command_add_take_device(add, found.list[0]);
    if (is_one || !found.count) {
        add_device_finish(&found);
        return status;
    }
    printf("'%s' is %zu devices:\n", answer, found.count);
    add_device_finish(shown);
    *shown = found;
    command_add_print_devices(add, shown, stdout, true);
    return EXIT_PROBLEM;
}

static void command_add_put_candidates(const struct add *add, const struct add_devices *found) {
    struct json_object *list = add->document ? text_json_array() : NULL;
    for (size_t i = 0; list && i < found->count; i++) {
        struct json_object *one = text_json_object();
        text_put_json(one, "device", found->list[i]->address);
        text_put_json(one, "name", found->list[i]->name);
        text_json_append(list, one);
    }
    if (list)
        text_json_add(add->document, "candidates", list);
}

static int command_add_several(struct add *add, struct add_devices *found, const char *word) {
    char *message = memory_printf("'%s' is %zu devices", word, found->count);
    if (add->asks) {
        text_print_string(stdout, message);
        puts(":");
        free(message);
        return command_add_ask_device(add, found);
    }
    command_add_put_candidates(add, found);
    command_add_fail(add, message, "name one by its address or port:");
    command_add_print_devices(add, found, stderr, false);
    free(message);
    add_device_finish(found);
    return EXIT_PROBLEM;
}

static int command_add_choose_device(struct add *add) {
    const char *word = add->line.words[1];
    if (add->line.word_count < 2) {
        struct add_devices all = command_add_assignable(add);
        if (!all.count) {
            add_device_finish(&all);
            return command_fail("no device of this host can be assigned",
                                "'virt-rules devices' says why, for each");
        }
        terminal_wrap(stdout, terminal_of(stdout), 0,
                      "The devices that can be assigned ('virt-rules devices' shows why others "
                      "cannot):\n");
        return command_add_ask_device(add, &all);
    }
    struct add_devices found = add_device_find(&add->inventory, word);
    if (found.count > 1 && !add_device_is_one_card(&found))
        return command_add_several(add, &found, word);
    int status = found.count ? command_add_take_device(add, found.list[0])
                             : command_add_unknown_device(add, word);
    add_device_finish(&found);
    return status;
}

/* --- the file */

/* Letters, digits, '.', '_' and '-': a name that every tool takes. The caller frees it. */
static char *command_add_safe_name(const char *vm) {
    char *name = memory_strdup(vm), *end = name;
    for (const char *at = vm; *at && end - name < NAME_LIMIT; at++) {
        bool is_safe = isalnum((unsigned char)*at) || *at == '_' || (*at == '.' && end > name);
        if (is_safe)
            *end++ = *at;
        else if (end > name && end[-1] != '-')
            *end++ = '-';
    }
    while (end > name && (end[-1] == '-' || end[-1] == '.'))
        end--;
    *end = '\0';
    if (*name)
        return name;
    free(name);
    return memory_strdup("vm");
}

static bool command_add_is_taken(const char *path) {
    struct stat status;
    char *disabled = memory_printf("%s" RULE_FILE_DISABLED, path);
    bool is_taken = lstat(path, &status) == 0 || lstat(disabled, &status) == 0;
    free(disabled);
    return is_taken;
}

/* The first number with which no file has that name, also no disabled one. */
static bool command_add_find_path(struct add *add) {
    char *name = command_add_safe_name(command_add_vm_text(add));
    const char *slash = text_ends_with(add->directory, "/") ? "" : "/";
    bool found = false;
    for (int number = FIRST_NUMBER; !found && number <= LAST_NUMBER; number++) {
        free(add->path);
        add->path = memory_printf("%s%s%d-%s.rules", add->directory, slash, number, name);
        found = !command_add_is_taken(add->path);
    }
    free(name);
    return found;
}

/* What a device calls itself may have any character. */
static char *command_add_file_text(const struct add *add) {
    char *text = memory_printf("# %s %s\n%s\n", add->device->address, add->device->name,
                               add->suggested.text);
    for (char *at = text; *at != '\n'; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
    return text;
}

/* --- what the rules say with the new one */

static void command_add_load(struct add *add, const char *text) {
    struct command_rules *rules = &add->context.rules;
    struct stat status;
    command_finish_rules(rules);
    ruleset_init(&rules->ruleset);
    if (stat(add->directory, &status) == 0 || errno != ENOENT)
        ruleset_add_directory(&rules->ruleset, add->directory);
    add->source = ruleset_add_text(&rules->ruleset, add->path, text);
    ruleset_load(&rules->ruleset, NULL);
    program_init(&rules->program, &rules->ruleset);
    add->errors = diagnostic_count_errors(&rules->ruleset.diagnostics);
    rules->have_errors = add->context.request.partial = add->errors > 0;
    /* What does not fit this host counts all the same, so this comes last. */
    check_host(&rules->ruleset, NULL, &add->context.host, add->context.vms.count > 0,
               add->context.vms.list, add->context.vms.count);
}

static bool command_add_concerns(const struct add *add, const struct diagnostic *one) {
    bool concerns = one->source == add->source;
    for (size_t i = 0; i < one->note_count; i++)
        concerns |= one->notes[i].source == add->source;
    return concerns && one->severity != SEVERITY_IGNORE;
}

/* Of a VM whose UUID is not known, the name may look like something else. */
static bool command_add_is_about_name(enum check check) {
    return check == CHECK_QUOTED_GLOB || check == CHECK_BAD_UUID ||
           check == CHECK_HIDDEN_CHARACTER || check == CHECK_FOREIGN_OPERATOR;
}

static void command_add_set_present(struct add *add, struct source *source, uint32_t offset) {
    if (!add->present)
        add->present = memory_printf("%s:%zu", source->path, source_position(source, offset).line);
}

/* What a rule that is there gives to a VM. */
struct add_gift {
    const struct rule *rule; /* NULL: no rule does */
    const struct action *action;
    const struct device *device;
};

/* A definition gives it whenever the VM starts. */
static bool command_add_meets(const struct add *add, const struct rule *rule, bool for_this_vm) {
    return match_rule_names_event(rule, EVENT_STARTED) ||
           match_rule_names_event(rule, EVENT_DEFINED) ||
           (!for_this_vm && add->device->bus != BUS_PCI && // NOLINT(clang-analyzer-*): it is chosen
            match_rule_names_event(rule, EVENT_PLUGGED));
}

static bool command_add_selects(const struct action *action, const struct device *device) {
    for (const struct target *target = action->targets; target; target = target->next)
        if (target->quantifier != QUANTIFIER_ANY && match_device(target->device, device))
            return true;
    return false;
}

/* The device, or one that goes with it: 'with group' takes all of an IOMMU group, and VFIO gives
 * a group to one VM. */
static const struct device *command_add_given(const struct add *add, const struct action *action,
                                              bool for_this_vm) {
    const struct host *host = &add->context.host;
    if (!for_this_vm && add->suggested.backend->shares_device &&
        action->backend == add->suggested.backend->backend)
        return NULL; /* each VM gets a part of its own */
    if (for_this_vm && add->suggested.gives_display &&
        !syntax_find_option(action->options, OPTION_BOOT_DISPLAY))
        return NULL; /* the host keeps its display then */
    if (command_add_selects(action, add->device))
        return add->device;
    bool is_shared = add->suggested.backend->needs_iommu && action->backend != BACKEND_NONE &&
                     backend_type(action->backend)->needs_iommu;
    for (size_t i = 0; is_shared && i < host->count; i++)
        if (judge_is_group_member(add->device, &host->devices[i]) &&
            (action->with_group || !for_this_vm) && command_add_selects(action, &host->devices[i]))
            return &host->devices[i];
    return NULL;
}

/* Whether the action, of all rules as command_add_load_disabled() has them, is turned off. */
static bool command_add_is_off(const struct add *add, const struct rule *rule,
                               const struct action *action) {
    const struct ruleset *read = &add->context.rules.ruleset;
    for (size_t i = 0; i < read->count; i++)
        if (!strcmp(read->sources[i]->path, rule->source->path))
            return disable_find(read->sources[i], program_line(rule, action)).state ==
                   DISABLE_DISABLED;
    return true; /* the file is */
}

/* The first rule that gives it to this VM, or to another one. */
static struct add_gift command_add_find_gift(const struct add *add, const struct program *program,
                                             bool for_this_vm) {
    for (size_t i = 0; i < program->rule_count; i++) {
        const struct rule *rule = program->rules[i];
        if (rule->source == add->source || !rule->vms ||
            !command_add_meets(add, rule, for_this_vm) ||
            match_vms(rule->vms, &add->context.event) != for_this_vm)
            continue;
        for (const struct action *action = rule->actions; action; action = action->next) {
            bool counts =
                program == &add->context.rules.program || command_add_is_off(add, rule, action);
            const struct device *device = counts && action->verb == VERB_ATTACH
                                              ? command_add_given(add, action, for_this_vm)
                                              : NULL;
            if (device)
                return (struct add_gift){rule, action, device};
        }
    }
    return (struct add_gift){0};
}

/* "PATH:LINE" of the action, as of a block that alone need be turned off or on; the caller frees
 * it. */
static char *command_add_gift_place(const struct add_gift *gift) {
    return memory_printf("%s:%zu", gift->rule->source->path,
                         program_line(gift->rule, gift->action));
}

static int command_add_refuse_conflict(struct add *add, const struct add_gift *gift) {
    const struct rule *rule = gift->rule;
    char *text = program_text(rule->source, rule->span);
    char *place = command_add_gift_place(gift);
    char *word = text_shell_operand(place);
    char *message = gift->device == add->device
                        ? memory_printf("%s gives this device to another VM: %s", place, text)
                        : memory_printf("%s gives %s of its IOMMU group to another VM: %s", place,
                                        gift->device->address, text);
    char *hint = memory_printf("only one can have it: virt-rules disable %s; or write a rule with "
                               "the event 'freed', so that they have it in turn",
                               word);
    command_add_fail(add, message, hint);
    free(hint);
    free(message);
    free(word);
    free(place);
    free(text);
    return EXIT_PROBLEM;
}

/* All rules as if nothing were turned off, neither files nor rules, without the new one: what is
 * turned off may need a definition that is not. */
static void command_add_load_disabled(const struct add *add, struct ruleset *disabled) {
    const struct ruleset *read = &add->context.rules.ruleset;
    ruleset_init(disabled);
    ruleset_add_disabled(disabled, add->directory);
    for (size_t i = 0; i < read->count; i++) {
        struct source *source = read->sources[i];
        if (source == add->source || source->refused)
            continue;
        char *text = disable_unmark(source);
        ruleset_add_text(disabled, source->path, text ? text : source->text);
        free(text);
    }
    ruleset_load(disabled, NULL);
}

/* A rule that says the same and is turned off is turned on rather than written again. */
static int command_add_refuse_disabled(struct add *add) {
    struct ruleset disabled;
    struct program program;
    command_add_load_disabled(add, &disabled);
    program_init(&program, &disabled);
    const struct add_gift gift = command_add_find_gift(add, &program, true);
    if (gift.rule) {
        const char *path = gift.rule->source->path;
        char *place = command_add_gift_place(&gift);
        char *word = text_shell_operand(text_ends_with(path, RULE_FILE_DISABLED) ? path : place);
        char *message = memory_printf("%s gives VM '%s' this device, and is disabled", place,
                                      domain_label(&add->context.domain));
        char *hint = memory_printf("turn it on: virt-rules enable %s; or remove it, and add the "
                                   "rule again",
                                   word);
        command_add_fail(add, message, hint);
        free(hint);
        free(message);
        free(word);
        free(place);
    }
    program_finish(&program);
    ruleset_finish(&disabled);
    return gift.rule ? EXIT_PROBLEM : EXIT_FINE;
}

/* Prints what 'check' says of the new rule. Returns EXIT_PROBLEM when that stops it. */
static int command_add_check(struct add *add) {
    const struct diagnostics *all = &add->context.rules.ruleset.diagnostics;
    struct diagnostics own = {0};
    const struct program *program = &add->context.rules.program;
    const struct add_gift same = command_add_find_gift(add, program, true);
    if (same.rule)
        command_add_set_present(add, same.rule->source, same.action->span.start);
    for (size_t i = 0; i < all->count; i++) {
        const struct diagnostic *one = &all->list[i];
        if (!command_add_concerns(add, one))
            continue;
        if (one->check == CHECK_DUPLICATE_RULE && one->note_count)
            command_add_set_present(
                add, one->source == add->source ? one->notes[0].source : one->source,
                one->source == add->source ? one->notes[0].span.start : one->span.start);
        else if (!command_add_is_about_name(one->check)) {
            own.list = memory_grow(own.list, own.count, sizeof *own.list);
            own.list[own.count++] = *one;
        }
    }
    struct add_gift other = {0};
    if (!add->present)
        other = command_add_find_gift(add, program, false);
    int status = EXIT_FINE;
    if (own.count && !add->present && add->document)
        text_json_add(add->document, "diagnostics", diagnostic_list_json(&own));
    if (other.rule) {
        status = command_add_refuse_conflict(add, &other);
    } else if (own.count && !add->present) {
        diagnostic_print(&own, stderr, terminal_of(stderr));
        status = command_add_fail(add, "'check' refuses this rule, so it was not written",
                                  "correct what it names, or write a rule by hand");
    } else if (!add->present) {
        status = command_add_refuse_disabled(add);
    }
    free(own.list); /* what it has is the other list's */
    return status;
}

/* Other files with errors are none of this rule's business. */
static void command_add_mention_errors(const struct add *add) {
    if (add->errors && !add->document)
        fprintf(stderr,
                "virt-rules: other rule files have %zu error%s and do not count: see 'virt-rules "
                "check'\n",
                add->errors, add->errors == 1 ? "" : "s");
}

/* A refusal of the new rule; NULL: the plan has none. */
static const struct plan_entry *command_add_find_refusal(const struct add *add,
                                                         const struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].kind == PLAN_REFUSED && plan->entries[i].rule &&
            plan->entries[i].rule->source == add->source)
            return &plan->entries[i];
    return NULL;
}

static int command_add_refuse_plan(const struct add *add, const struct plan_entry *entry) {
    char *message =
        memory_printf("%s %s cannot be assigned to VM '%s': %s", add->device->address,
                      add->device->name, domain_label(&add->context.domain), entry->message);
    command_add_fail(add, message, entry->hint);
    free(message);
    return EXIT_PROBLEM;
}

/* --- writing it */

/* Returns 1 when another has taken the name meanwhile. */
static int command_add_write(const struct add *add, const char *text, struct failure *failure) {
    if (rule_file_make_directory(add->directory, failure) < 0)
        return -1;
    return rule_file_create(add->path, text, strlen(text), failure);
}

static void command_add_print_rule(const struct add *add) {
    const char *line = add->suggested.text;
    for (size_t length; *line; line += length + (line[length] == '\n')) {
        length = strcspn(line, "\n");
        fputs("rule: ", stdout);
        text_print(stdout, line, length);
        putchar('\n');
    }
    fputs("file: ", stdout);
    text_print_string(stdout, add->path);
    putchar('\n');
}

static int command_add_is_present(const struct add *add) {
    if (add->document)
        text_put_json(add->document, "present", add->present);
    else
        printf("%s gives VM '%s' this device already: nothing was written\n", add->present,
               domain_label(&add->context.domain));
    return EXIT_FINE;
}

static void command_add_show_plan(const struct add *add, const struct plan *plan) {
    if (add->document)
        text_json_add(add->document, "plan", plan_print_json(plan));
    else
        plan_print(plan, stdout, false, terminal_of(stdout));
}

/* Checks, plans and writes. Returns -1 when another has taken the name of the file meanwhile. */
static int command_add_try(struct add *add) {
    struct failure failure;
    struct plan plan;
    if (!command_add_find_path(add))
        return command_add_fail(add, "every number from 50 to 99 has a rule file for this VM",
                                "join some of them");
    char *text = command_add_file_text(add);
    command_add_load(add, text);
    int status = command_add_check(add), result = 0;
    if (status == EXIT_FINE && add->present) {
        free(text);
        return command_add_is_present(add);
    }
    if (status != EXIT_FINE) {
        free(text);
        return status;
    }
    plan_init(&plan, &add->context.request);
    const struct plan_entry *refusal = command_add_find_refusal(add, &plan);
    if (refusal)
        status = command_add_refuse_plan(add, refusal);
    else
        result = command_add_write(add, text, &failure);
    if (result < 0)
        status = command_add_fail(add, failure.message, failure.hint);
    add->written = !refusal && result == 0;
    if (add->written) {
        if (!add->document)
            command_add_print_rule(add);
        command_add_mention_errors(add);
        command_add_show_plan(add, &plan);
    }
    plan_finish(&plan);
    free(text);
    return result > 0 ? -1 : status;
}

/* --- applying it */

enum add_vm { VM_ELSEWHERE, VM_OFF, VM_RUNS };

/* What 'apply' would find of the VM. Of a copy of a host libvirt is asked, as there. */
static enum add_vm command_add_find_vm(const struct add *add) {
    struct virt *virt = NULL;
    struct virt_error error;
    struct domain domain;
    struct failure failure;
    enum add_vm found = VM_ELSEWHERE;
    char *xml = NULL;
    if (add->line.domain_xml)
        return VM_ELSEWHERE;
    if (!add->line.sysroot)
        return add->runs ? VM_RUNS : add->context.note ? VM_ELSEWHERE : VM_OFF;
    if (virt_asker_connect(&virt, NULL, &error) == 0 &&
        virt->ops->domain_xml(virt, domain_key(&add->context.domain), &xml, &error) == 0 &&
        domain_xml_parse(&domain, xml, strlen(xml), &failure) == 0) {
        found = domain.id >= 0 ? VM_RUNS : VM_OFF;
        domain_finish(&domain);
    }
    free(xml);
    virt_close(virt);
    return found;
}

static int command_add_apply(const struct add *add) {
    struct json_object *results = add->document ? text_json_array() : NULL;
    int status = command_apply_vm(&add->line, domain_key(&add->context.domain), results);
    if (add->document) {
        text_json_add(add->document, "applied", text_json_boolean(status == EXIT_FINE));
        text_json_add(add->document, "results", results);
    }
    return status;
}

/* A graphics card without its sound is what a new rule often forgets: both have IOMMU groups of
 * their own then. */
static void command_add_print_sound(const struct add *add, const char *vm) {
    enum { CLASS_MULTIMEDIA = 0x04 };
    const struct device *card = add->device;
    for (size_t i = 0; i < add->inventory.count && device_is_graphics_card(card); i++) {
        const struct inventory_row *row = &add->inventory.rows[i];
        if (row->device->class_code >> 16 == CLASS_MULTIMEDIA && row->suggested.text &&
            !row->rule_count && !judge_is_group_member(card, row->device) &&
            device_is_same_slot(card, row->device))
            printf("Its sound function is a device of its own: virt-rules add %s %s\n", vm,
                   row->device->address);
    }
}

/* What a rule with 'boot display' means, for the caller to free; NULL: it has none. */
static char *command_add_warning(const struct add *add) {
    const char *use = add->device->other_use; // NOLINT(clang-analyzer-*): it is chosen
    if (!add->suggested.gives_display)
        return NULL;
    return memory_printf("the host's screen is dark while VM '%s' runs: reach the host by ssh, and "
                         "try that before. Programs that have the card open must end before the "
                         "VM starts%s%s. virt-rules-gpu(7) shows how to stop a desktop for it",
                         domain_label(&add->context.domain), use ? "; now the host " : "",
                         use ? use : "");
}

static void command_add_print_warning(const struct add *add) {
    char *warning = command_add_warning(add);
    if (warning) {
        char *line = memory_printf("warning: %s.\n", warning);
        terminal_wrap(stdout, terminal_of(stdout), 2, line);
        free(line);
    }
    free(warning);
}

/* Whether 'apply' does anything with the rule now: at the event of the rule. */
static bool command_add_is_applicable(const struct add *add, enum add_vm vm) {
    return vm == (add->suggested.event == EVENT_DEFINED ? VM_OFF : VM_RUNS);
}

static char *command_add_question(const struct add *add) {
    const char *label = domain_label(&add->context.domain);
    return add->suggested.event == EVENT_DEFINED
               ? memory_printf("Put the device into the definition of VM '%s' now? [y/N]", label)
               : memory_printf("VM '%s' is running. Apply the rules to it now%s? [y/N]", label,
                               add->suggested.resets ? ", and reset its guest" : "");
}

/* When the rule counts, if it is not applied. `word`: the VM in a shell's line. */
static void command_add_print_next(const struct add *add, enum add_vm vm, const char *word) {
    const char *label = domain_label(&add->context.domain);
    char *line;
    if (add->suggested.event != EVENT_DEFINED)
        line = vm == VM_RUNS
                   ? memory_printf("The rule counts from the next start of VM '%s'.\nNow: "
                                   "virt-rules apply %s\n",
                                   label, word)
                   : memory_printf("The rule counts from the next start of VM '%s'.\n", label);
    else if (vm == VM_RUNS)
        line = memory_printf("The device gets into the definition of VM '%s' when that has "
                             "stopped, and the VM has it from its next start on.\n",
                             label);
    else
        line = memory_printf("'virt-rules apply %s' puts the device into the definition of VM "
                             "'%s', for its next start.\n",
                             word, label);
    terminal_wrap(stdout, terminal_of(stdout), 2, line);
    free(line);
}

static int command_add_go_on(const struct add *add) {
    enum add_vm vm = command_add_find_vm(add);
    char *word = text_shell_operand(domain_label(&add->context.domain));
    char *question = command_add_question(add);
    int status = EXIT_FINE;
    if (!add->document) {
        command_add_print_sound(add, word);
        command_add_print_warning(add);
    }
    if (command_add_is_applicable(add, vm) &&
        (add->yes || (add->asks && question_is_yes(question))))
        status = command_add_apply(add);
    else if (!add->document)
        command_add_print_next(add, vm, word);
    free(question);
    free(word);
    return status;
}

/* --- all of it */

static int command_add_with_context(struct add *add) {
    int status = command_add_check_vm(add);
    if (status != EXIT_FINE)
        return status;
    add->judge = (struct judge){.host = &add->context.host,
                                .domain = &add->context.domain,
                                .program = &add->context.rules.program,
                                .others = add->context.others.list,
                                .other_count = add->context.others.count};
    inventory_init(&add->inventory, &add->context.host, &add->context.rules.program,
                   add->context.others.list, add->context.others.count);
    add->runs = add->context.domain.id >= 0;
    add->may_define = add->inventory.may_define;
    status = command_add_choose_device(add);
    judge_finish(&add->judge);
    if (status == EXIT_FINE && add->suggested.event == EVENT_DEFINED)
        status = plan_context_use_definition(&add->context);
    if (status == EXIT_FINE)
        while ((status = command_add_try(add)) < 0)
            ;
    if (status == EXIT_FINE && add->written)
        status = command_add_go_on(add);
    inventory_finish(&add->inventory);
    return status;
}

/* Every key is there, whatever happens. */
static struct json_object *command_add_document(void) {
    static const char *const nulls[] = {"present", "message", "hint", "plan"};
    struct json_object *document = text_json_object();
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        text_json_add(document, nulls[i], NULL);
    text_json_add(document, "candidates", text_json_array());
    text_json_add(document, "diagnostics", text_json_array());
    text_json_add(document, "applied", text_json_boolean(false));
    text_json_add(document, "results", text_json_array());
    return document;
}

static void command_add_print_document(struct add *add) {
    struct json_object *document = add->document;
    bool has_rule = add->suggested.text != NULL;
    text_put_json(document, "vm", add->vm ? domain_label(&add->context.domain) : NULL);
    text_put_json(document, "device", add->device ? add->device->address : NULL);
    text_put_json(document, "name", add->device ? add->device->name : NULL);
    text_put_json(document, "rule", has_rule ? add->suggested.text : NULL);
    text_put_json(document, "file", add->written ? add->path : NULL);
    char *warning = add->device ? command_add_warning(add) : NULL;
    text_put_json(document, "warning", warning);
    free(warning);
    text_json_add(document, "written", text_json_boolean(add->written));
    command_print_json(document, add->context.note);
}

static int command_add_in_context(struct add *add) {
    int status;
    add->plan_words[0] = add->vm;
    add->plan_words[1] = (char *)scanner_event_text(EVENT_STARTED);
    add->plan_line = add->line;
    add->plan_line.words = add->plan_words;
    add->plan_line.word_count = 2;
    if (!plan_context_init_with(&add->context, &add->plan_line, command_load_rules_silently,
                                &status))
        return status;
    add->document = add->line.json ? command_add_document() : NULL;
    status = command_add_with_context(add);
    if (add->document)
        command_add_print_document(add);
    suggest_rule_finish(&add->suggested);
    plan_context_finish(&add->context);
    return status;
}

/* Rules in a directory that others may change do not count. */
static bool command_add_is_trusted(const struct add *add) {
    struct stat status;
    if (stat(add->directory, &status) < 0)
        return true; /* it is made */
    if (S_ISDIR(status.st_mode) && source_is_trusted(status.st_uid, status.st_mode))
        return true;
    char *hint = source_trust_hint("", add->directory);
    if (S_ISDIR(status.st_mode))
        command_failf(hint, "%s may be changed by users other than root: no rule in it is taken",
                      add->directory);
    else
        command_failf("move it away, or name another directory with --rules",
                      "%s is not a directory", add->directory);
    free(hint);
    return false;
}

static int command_add_run(const struct command *command, int argc, char **argv) {
    struct add add = {0};
    int status;
    if (!command_parse(&add.line, command, argc, argv, &status))
        return status;
    add.asks = question_is_possible() && !add.line.json;
    if (add.line.word_count > 2)
        return command_too_many_vms(&add.line, 1);
    if (command_has_empty_word(&add.line))
        return EXIT_USAGE;
    if (add.line.word_count < 2 && !add.asks)
        return command_usage(command, "give a VM and a device: %s",
                             add.line.json ? "with --json there are no questions"
                                           : "questions need a terminal");
    add.directory = ruleset_directory(add.line.rules);
    if (!rule_change_is_allowed(&add.line, add.directory, argc, argv) ||
        !command_add_is_trusted(&add))
        return EXIT_PROBLEM;
    add.vm = memory_copy(add.line.words[0]);
    status = add.vm ? EXIT_FINE : command_add_ask_vm(&add);
    if (status == EXIT_FINE)
        status = command_add_in_context(&add);
    free(add.present);
    free(add.path);
    free(add.vm);
    return status;
}

static const struct command_option command_add_options[] = {
    {.name = "yes",
     .help = "apply the rules to the VM at once, without a question",
     .field = offsetof(struct add, yes)},
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_DOMAIN_XML,
    OPTION_STATE,
    OPTION_JSON,
    {0},
};

const struct command command_add_row = {
    .name = "add",
    .operands = "[VM] [DEVICE]",
    .summary = "Write the rule that gives a device to a VM.",
    .notes = "Asks for what is not given. The rule is checked and planned before it is\n"
             "written, into a file of its own. DEVICE is an address (03:00.0), a USB port\n"
             "(1-1.4), an id (1ac1:089a), a SCSI address (3:0:0:0), a file (/dev/ttyUSB0),\n"
             "an interface (eno2) or a word of its name or class.\n",
    .options = command_add_options,
    .run = command_add_run,
};
