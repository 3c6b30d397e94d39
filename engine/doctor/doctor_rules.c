/* Checks of the rules, and of what they need from libvirt and the host. */
#include "engine/doctor/doctor.h"

#include "engine/backend/backend_window.h"
#include "engine/plan/check_host.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { LINES_LIMIT = 100 }; /* of one check: nobody reads more */

/* --- rules */

static size_t doctor_rules_count_rules(const struct program *program, size_t *files) {
    const struct source *last = NULL;
    *files = 0;
    for (size_t i = 0; i < program->rule_count; i++) {
        *files += program->rules[i]->source != last;
        last = program->rules[i]->source;
    }
    return program->rule_count;
}

static const struct diagnostic *doctor_rules_first_of(const struct diagnostics *all,
                                                      enum severity severity) {
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].severity == severity)
            return &all->list[i];
    return NULL;
}

/* Which command shows the rest; `options`: "" or "--host ". */
static void doctor_rules_hint_check(const struct doctor *doctor, const char *options,
                                    const char *what, struct doctor_findings *findings) {
    char *directory = text_shell_operand(doctor->rules);
    doctor_hint(findings, "'virt-rules check %s%s' shows %s", options, directory, what);
    free(directory);
}

/* The first of them, how many there are besides, and where all are. */
static void doctor_rules_report_rules(const struct doctor *doctor, enum severity severity,
                                      size_t count, struct doctor_findings *findings) {
    const struct diagnostic *first = doctor_rules_first_of(&doctor->ruleset->diagnostics, severity);
    char *line = diagnostic_line(first);
    char *more = count > 1 ? memory_printf(" (and %zu more)", count - 1) : memory_strdup("");
    if (severity == SEVERITY_ERROR)
        doctor_failed(findings, "%s%s", line, more);
    else
        doctor_warning(findings, "%s%s", line, more);
    if (count > 1 || !first->hint)
        doctor_rules_hint_check(doctor, "", "all of them", findings);
    else
        doctor_hint(findings, "%s", first->hint);
    free(line);
    free(more);
}

static void doctor_rules_report_doubts(const struct doctor *doctor,
                                       struct doctor_findings *findings) {
    struct doubts doubts = ruleset_doubts(doctor->ruleset);
    for (size_t i = 0; i < doubts.count && i < LINES_LIMIT; i++) {
        const struct doubt *doubt = &doubts.list[i];
        if (doubt->line)
            doctor_failed(findings, "%s:%zu: %s", doubt->source->path, doubt->line, doubt->message);
        else
            doctor_failed(findings, "%s: %s", doubt->source->path, doubt->message);
        doctor_rules_hint_check(doctor, "", "the error", findings);
    }
    ruleset_finish_doubts(&doubts);
}

void doctor_rules_valid(struct doctor *doctor, struct doctor_findings *findings) {
    size_t errors = diagnostic_count_errors(&doctor->ruleset->diagnostics);
    size_t warnings = diagnostic_count_warnings(&doctor->ruleset->diagnostics);
    size_t files, rules = doctor_rules_count_rules(doctor->program, &files);
    char *disabled = ruleset_disabled(doctor->rules);
    if (errors) {
        doctor_rules_report_rules(doctor, SEVERITY_ERROR, errors, findings);
        doctor_rules_report_doubts(doctor, findings);
    } else if (warnings) {
        doctor_rules_report_rules(doctor, SEVERITY_WARNING, warnings, findings);
    } else if (!rules && disabled) {
        doctor_warning(findings, "every rule in %s is disabled: %s", doctor->rules, disabled);
        doctor_hint(findings, "'virt-rules enable FILE' turns a file on again");
    } else if (!rules) {
        doctor_warning(findings, "there is no rule in %s", doctor->rules);
        doctor_hint(
            findings,
            "write one in a file whose name ends in .rules, such as: on vm NAME started attach "
            "1ac1:089a as vfio; 'virt-rules devices' lists the devices");
    } else {
        doctor_ok(findings, "%zu rule%s in %zu file%s of %s, without errors or warnings%s%s", rules,
                  rules == 1 ? "" : "s", files, files == 1 ? "" : "s", doctor->rules,
                  disabled ? "; disabled: " : "", disabled ? disabled : "");
    }
    free(disabled);
}

/* --- libvirt */

/* The value of a variable in /proc/PID/environ, NULL when it is not set or empty. */
static const char *doctor_rules_variable_of(const char *environment, size_t size,
                                            const char *name) {
    size_t length = strlen(name);
    for (const char *at = environment; at < environment + size; at += strlen(at) + 1)
        if (!strncmp(at, name, length) && at[length] == '=' && at[length + 1])
            return at + length + 1;
    return NULL;
}

static bool doctor_rules_is_english(const char *locale) {
    return !strncmp(locale, "en", 2) || !strcmp(locale, "C") || !strncmp(locale, "C.", 2) ||
           !strcmp(locale, "POSIX");
}

/* The daemon translates its errors before it sends them (src/util/virgettext.c in libvirt 7 to 11).
 * The engine then looks at what there is: only advice is missing. */
static void doctor_rules_judge_language(const struct tree *tree, struct doctor_findings *findings) {
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"}; /* the first counts */
    enum { ENVIRONMENT_LIMIT = 1024 * 1024 };
    struct doctor_daemon daemon = doctor_hook_daemon(tree);
    size_t size = 0, i = 0;
    char *path = memory_printf("proc/%u/environ", daemon.pid);
    char *environment = daemon.pid ? tree_load(tree, path, ENVIRONMENT_LIMIT, &size) : NULL;
    const char *locale = NULL;
    for (; environment && i < sizeof names / sizeof *names; i++)
        if ((locale = doctor_rules_variable_of(environment, size, names[i])))
            break;
    if (locale && !doctor_rules_is_english(locale)) {
        doctor_ok(findings,
                  "%s (process %u) runs with %s=%s, so its messages may be translated: virt-rules "
                  "then has less advice about them; for English: 'systemctl edit %s' with the "
                  "lines [Service] and Environment=%s, then 'systemctl restart %s'; VMs keep "
                  "running",
                  daemon.name, daemon.pid, names[i], locale, daemon.name,
                  i == 0 ? "LC_ALL=C.UTF-8" : "LC_MESSAGES=C", daemon.name);
    }
    free(environment);
    free(path);
    free(daemon.label);
}

void doctor_rules_libvirt(struct doctor *doctor, struct doctor_findings *findings) {
    const struct libvirt_answer *answer = &doctor->libvirt;
    unsigned long here = answer->library_version, there = answer->version;
    if (!answer->asked) {
        doctor_ok(findings, "not asked: --sysroot is another host");
    } else if (answer->error) {
        doctor_failed(findings, "%s%s%s%s", answer->error, answer->library ? " (library " : "",
                      answer->library ? answer->library : "", answer->library ? ")" : "");
        doctor_hint(findings, "%s",
                    answer->hint ? answer->hint : "try 'virsh list' as the same user");
    } else {
        doctor_ok(findings, "%lu.%lu.%lu answers at %s; the library is %lu.%lu.%lu, %s",
                  there / 1000000, there / 1000 % 1000, there % 1000, answer->uri, here / 1000000,
                  here / 1000 % 1000, here % 1000, answer->library);
    }
    doctor_rules_judge_language(&doctor->tree, findings);
}

/* Whether the check has enough findings; adds that there are more. */
static bool doctor_rules_is_enough(const struct doctor *doctor, struct doctor_findings *findings,
                                   size_t first) {
    if (findings->count - first < LINES_LIMIT)
        return false;
    doctor_warning(findings, "there are more, which are not shown");
    doctor_rules_hint_check(doctor, "--host ", "all of them", findings);
    return true;
}

/* --- VMs that rules name */

/* All that this check has found. */
static void doctor_rules_report_check(const struct doctor *doctor, enum check check,
                                      struct doctor_findings *findings) {
    const struct diagnostics *all = &doctor->ruleset->diagnostics;
    size_t first = findings->count;
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].check != check)
            continue;
        if (doctor_rules_is_enough(doctor, findings, first))
            return;
        char *line = diagnostic_line(&all->list[i]);
        if (all->list[i].severity == SEVERITY_ERROR)
            doctor_failed(findings, "%s", line);
        else
            doctor_warning(findings, "%s", line);
        doctor_hint(findings, "%s", all->list[i].hint);
        free(line);
    }
}

static bool doctor_rules_names_guarded(const struct program *program) {
    for (size_t i = 0; i < program->guard_count; i++)
        if (program->guards[i]->vms)
            return true;
    return false;
}

/* No rule asks for anything; what a file with an error asks for is not known. */
static void doctor_rules_rules_ask_nothing(const struct doctor *doctor,
                                           struct doctor_findings *findings, const char *what) {
    const struct ruleset *ruleset = doctor->program->ruleset;
    bool is_broken = false;
    for (size_t i = 0; ruleset && i < ruleset->count; i++)
        is_broken |= ruleset->sources[i]->broken;
    doctor_ok(findings, "no rule%s %s one%s", is_broken ? " that was read" : "", what,
              is_broken ? ": files with errors are left out" : "");
}

void doctor_rules_vms(struct doctor *doctor, struct doctor_findings *findings) {
    static const struct host nothing = {0};
    const struct domain_list *vms = &doctor->libvirt.vms;
    size_t before = findings->count;
    if (!doctor->program->rule_count && !doctor_rules_names_guarded(doctor->program)) {
        doctor_rules_rules_ask_nothing(doctor, findings, "names");
        return;
    }
    if (!doctor->libvirt.vms_known) {
        doctor_unknown(findings, "whether the VMs that rules name exist");
        return;
    }
    check_host(doctor->ruleset, NULL, doctor->host ? doctor->host : &nothing, true, vms->list,
               vms->count);
    doctor_rules_report_check(doctor, CHECK_VM_UNKNOWN, findings);
    doctor_rules_report_check(doctor, CHECK_VM_AMBIGUOUS, findings);
    if (findings->count == before)
        doctor_ok(findings, "each VM that the rules name exists (there %s %zu)",
                  vms->count == 1 ? "is" : "are", vms->count);
}

/* --- files that rules name */

static bool doctor_rules_names_files(const struct program *program) {
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next)
            if (action->verb == VERB_RUN || plan_has_option(action, OPTION_ROM_FILE))
                return true;
    return false;
}

void doctor_rules_files(struct doctor *doctor, struct doctor_findings *findings) {
    size_t before = findings->count;
    if (!doctor_rules_names_files(doctor->program)) {
        doctor_ok(findings, "no rule runs a program or names a ROM file");
        return;
    }
    doctor_rules_report_check(doctor, CHECK_FILE_UNUSABLE, findings);
    if (findings->count > before) /* found with the VMs */
        return;
    check_host_files(doctor->ruleset, NULL, doctor->tree.root);
    doctor_rules_report_check(doctor, CHECK_FILE_UNUSABLE, findings);
    if (findings->count == before)
        doctor_ok(findings, doctor->tree.root[0]
                                ? "no program or ROM file of a rule is missing in this tree"
                                : "each program and ROM file of a rule can be used");
}

/* --- running VMs, which may hold devices */

struct running {
    struct domain *list; /* borrowed parts */
    size_t count;
};

/* All but the one of that index. */
static struct running doctor_rules_running_but(const struct domain_list *vms, size_t but) {
    struct running running = {memory_zalloc((vms->count + 1) * sizeof *running.list), 0};
    for (size_t i = 0; i < vms->count; i++)
        if (i != but && vms->list[i].id >= 0)
            running.list[running.count++] = vms->list[i];
    return running;
}

/* --- room in the VMs */

static void doctor_rules_report_room(const struct doctor *doctor, const struct domain *vm,
                                     const struct plan *plan, struct doctor_findings *findings) {
    (void)doctor;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (entry->kind != PLAN_REFUSED ||
            (entry->refusal != REFUSED_NO_PORT && entry->refusal != REFUSED_NO_USB &&
             entry->refusal != REFUSED_NO_USB_PORT && entry->refusal != REFUSED_NO_CONTROLLER &&
             entry->refusal != REFUSED_USB_SPEED && entry->refusal != REFUSED_OLD_LIBVIRT))
            continue;
        char *device = plan_device_text(entry);
        doctor_failed(findings, "VM %s cannot take %s: %s", domain_label(vm), device,
                      entry->message);
        doctor_hint(findings, "%s", entry->hint);
        free(device);
    }
}

/* A device that will be plugged in, with BARs for which the guest may find no addresses. */
static void doctor_rules_report_bars(const struct doctor *doctor, const struct domain *vm,
                                     const struct plan *plan, struct doctor_findings *findings) {
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (!plan_attaches(entry))
            continue;
        struct backend_window window =
            backend_window_judge(&vm->guest, entry->device, &entry->place, doctor->libvirt.version);
        if (window.message) {
            char *device = plan_device_text(entry);
            doctor_warning(findings, "VM %s, %s: %s", domain_label(vm), device, window.message);
            doctor_hint(findings, "%s", window.hint);
            free(device);
        }
        backend_window_finish(&window);
    }
}

typedef void doctor_rules_report(const struct doctor *doctor, const struct domain *vm,
                                 const struct plan *plan, struct doctor_findings *findings);

/* Of what the rules do when that VM starts. */
static void doctor_rules_judge_start(const struct doctor *doctor, size_t index,
                                     doctor_rules_report *report,
                                     struct doctor_findings *findings) {
    const struct domain_list *vms = &doctor->libvirt.vms;
    struct running others = doctor_rules_running_but(vms, index);
    struct event event = {.name = EVENT_STARTED,
                          .domain = &vms->list[index],
                          .vms = vms->list,
                          .vm_count = vms->count};
    struct plan plan;
    plan_init(&plan, &(struct plan_request){.program = doctor->program,
                                            .event = &event,
                                            .host = doctor->host,
                                            .others = others.list,
                                            .other_count = others.count,
                                            .libvirt_version = doctor->libvirt.version});
    report(doctor, &vms->list[index], &plan, findings);
    plan_finish(&plan);
    free(others.list);
}

/* The same of each VM, as long as anything is left to say. */
static void doctor_rules_judge_starts(const struct doctor *doctor, doctor_rules_report *report,
                                      const char *unneeded, const char *unknown, const char *good,
                                      struct doctor_findings *findings) {
    size_t before = findings->count;
    if (!doctor->program->rule_count || !doctor->libvirt.vms_known || !doctor->host) {
        if (doctor->program->rule_count)
            doctor_unknown(findings, "%s", unknown);
        else
            doctor_ok(findings, "%s", unneeded);
        return;
    }
    for (size_t i = 0;
         i < doctor->libvirt.vms.count && !doctor_rules_is_enough(doctor, findings, before); i++)
        doctor_rules_judge_start(doctor, i, report, findings);
    if (findings->count == before)
        doctor_ok(findings, "%s", good);
}

void doctor_rules_ports(struct doctor *doctor, struct doctor_findings *findings) {
    doctor_rules_judge_starts(
        doctor, doctor_rules_report_room, "no rule needs one",
        "whether the VMs have a free port for their devices",
        "each VM has a free port for the devices that rules attach at its start", findings);
}

void doctor_rules_bars(struct doctor *doctor, struct doctor_findings *findings) {
    doctor_rules_judge_starts(
        doctor, doctor_rules_report_bars, "no rule attaches a device",
        "whether the VMs have addresses for the BARs of their devices",
        "no device that rules attach has larger BARs than a guest's firmware reserves addresses "
        "for",
        findings);
}

/* --- devices */

/* "0000:03:00.0 1ac1:089a Global Unichip Corp. Coral Edge TPU" */
static char *doctor_rules_describe(const struct plan_entry *entry) {
    char *device = plan_device_text(entry);
    char *text = memory_printf("%s%s%s", device, entry->device ? " " : "",
                               entry->device ? entry->device->name : "");
    free(device);
    return text;
}

/* The running VM that has the device. The plan is made as if no VM ran. */
static const struct domain *doctor_rules_holder(const struct doctor *doctor,
                                                const struct device *device) {
    const struct domain_list *vms = &doctor->libvirt.vms;
    for (size_t i = 0; i < vms->count; i++)
        if (vms->list[i].id >= 0 && backend_hostdev_of(&vms->list[i], device))
            return &vms->list[i];
    return NULL;
}

static void doctor_rules_report_step(const struct doctor *doctor, const struct plan_entry *entry,
                                     const char *device, const char *where,
                                     struct doctor_findings *findings) {
    const struct domain *vm = doctor_rules_holder(doctor, entry->device);
    if (vm)
        doctor_ok(findings, "%s: VM '%s' has it (%s)", device, domain_label(vm), where);
    else
        doctor_ok(findings, "%s can be assigned (%s)", device, where);
}

static void doctor_rules_report_device(const struct doctor *doctor, const struct plan_entry *entry,
                                       const struct rule *rule, struct doctor_findings *findings) {
    char *device = doctor_rules_describe(entry), *where = plan_rule_text(entry);
    if (entry->kind == PLAN_STEP) {
        doctor_rules_report_step(doctor, entry, device, where, findings);
    } else if (entry->refusal == REFUSED_TOO_FEW &&
               (entry->kind == PLAN_SKIPPED || check_host_may_lack(rule, entry->action))) {
        doctor_ok(findings, "%s: %s; %s %s", device, entry->message, where,
                  entry->kind == PLAN_SKIPPED ? "allows it" : "waits for more");
    } else if (entry->kind == PLAN_SKIPPED) {
        doctor_ok(findings, "%s is absent, which %s allows", device, where);
    } else if (entry->refusal == REFUSED_ABSENT && check_host_may_lack(rule, entry->action)) {
        doctor_ok(findings, "%s is absent now; %s waits for it", device, where);
    } else {
        doctor_failed(findings, "%s: %s (%s)", device, entry->message, where);
        doctor_hint(findings, "%s", entry->hint ? entry->hint : "'virt-rules explain' says more");
    }
    free(device);
    free(where);
}

/* The last finding is only kept when no earlier one of this check has the same message. */
static void doctor_rules_drop_repeated(struct doctor_findings *findings, size_t first) {
    const struct doctor_finding *last = &findings->list[findings->count - 1];
    for (size_t i = first; i + 1 < findings->count; i++)
        if (!strcmp(findings->list[i].message, last->message)) {
            free(last->message);
            free(last->hint);
            findings->count--;
            return;
        }
}

static void doctor_rules_judge_rule(const struct doctor *doctor, const struct rule *rule,
                                    size_t first, struct doctor_findings *findings) {
    struct plan plan;
    plan_init_rule(&plan, doctor->program, rule, &plan_any_start, doctor->host);
    for (size_t i = 0; i < plan.count; i++)
        if (plan.entries[i].action->verb == VERB_ATTACH) {
            doctor_rules_report_device(doctor, &plan.entries[i], rule, findings);
            doctor_rules_drop_repeated(findings, first);
        }
    plan_finish(&plan);
}

void doctor_rules_devices(struct doctor *doctor, struct doctor_findings *findings) {
    size_t before = findings->count;
    const struct program *program = doctor->program;
    if (!doctor->host) {
        doctor_failed(findings, "%s", doctor->host_error);
        doctor_hint(findings, "in a container, run doctor on the host itself");
        return;
    }
    for (size_t i = 0; i < program->rule_count && !doctor_rules_is_enough(doctor, findings, before);
         i++)
        doctor_rules_judge_rule(doctor, program->rules[i], before, findings);
    if (findings->count == before)
        doctor_rules_rules_ask_nothing(doctor, findings, "wants");
}
