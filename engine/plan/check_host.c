#include "engine/plan/check_host.h"

#include "engine/host/program_file.h"
#include "engine/model/vm_names.h"
#include "lexer/text.h"
#include "parser/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SHEBANG_LIMIT = 256 };

struct host_checker {
    struct ruleset *ruleset;
    const struct host *host;
    bool vms_known;
    const struct domain *vms;
    size_t vm_count;
    struct program program;
};

/* --- VMs */

typedef bool vm_matcher(const struct word *vm, const struct domain *domain);

static bool check_host_is_known(const struct host_checker *checker, const struct word *vm,
                                vm_matcher *matches) {
    for (size_t i = 0; i < checker->vm_count; i++)
        if (matches(vm, &checker->vms[i]))
            return true;
    return false;
}

/* What the word could have been meant to be: after 'title' a title. */
static void check_host_suggest_vm(struct suggestion *suggestion, enum word_field field,
                                  const struct domain *domain) {
    if (field == FIELD_ANY || field == FIELD_NAME)
        suggest(suggestion, domain->name);
    bool title =
        domain->title && (field == FIELD_TITLE || (!field && !syntax_is_uuid(domain->title)));
    if (title)
        suggest(suggestion, domain->title);
    if ((field == FIELD_ANY || field == FIELD_UUID) && domain->uuid)
        suggest(suggestion, domain->uuid);
}

static void check_host_report_vm(struct host_checker *checker, struct source *source,
                                 const struct word *vm) {
    struct diagnostic *diagnostic =
        diagnostic_add(&checker->ruleset->diagnostics, source, vm->span, CHECK_VM_UNKNOWN,
                       vm->kind == WORD_GLOB      ? "no VM of this host matches '%s'"
                       : vm->field == FIELD_TITLE ? "no VM of this host has the title '%s'"
                       : vm->field == FIELD_UUID  ? "no VM of this host has the UUID '%s'"
                                                  : "no VM of this host is called '%s'",
                       vm->text);
    struct suggestion suggestion = {.word = vm->text};
    for (size_t i = 0; i < checker->vm_count; i++)
        check_host_suggest_vm(&suggestion, vm->field, &checker->vms[i]);
    char *hint = suggestion.best           ? memory_printf("did you mean '%s'?", suggestion.best)
                 : vm->field == FIELD_UUID ? memory_strdup("'virsh list --all --uuid' shows UUIDs")
                                           : vm_names_hint("", checker->vms, checker->vm_count);
    diagnostic_hint(diagnostic, "%s", hint);
    free(hint);
}

static const char *check_host_uuid_of(const struct domain *domain) {
    return domain->uuid ? domain->uuid : "without a UUID";
}

/* The VMs that the word fits so well: "a (UUID), b (UUID)". The caller frees it. */
static char *check_host_list_vms(const struct host_checker *checker, const struct word *vm,
                                 enum domain_fit fit) {
    char *list = memory_strdup("");
    for (size_t i = 0; i < checker->vm_count; i++) {
        const struct domain *domain = &checker->vms[i];
        if (match_fit(vm, domain) != fit)
            continue;
        char *longer = memory_printf("%s%s%s (%s)", list, *list ? ", " : "", domain->name,
                                     check_host_uuid_of(domain));
        free(list);
        list = longer;
    }
    return list;
}

static void check_host_report_same_title(struct host_checker *checker, struct source *source,
                                         const struct word *vm, size_t count) {
    char *list = check_host_list_vms(checker, vm, FIT_TITLE);
    diagnostic_hint(
        diagnostic_add(&checker->ruleset->diagnostics, source, vm->span, CHECK_VM_AMBIGUOUS,
                       "%zu VMs of this host have the title '%s': %s", count, vm->text, list),
        "a device that only one VM can have is given to none of them: write 'uuid' and "
        "the UUID of the VM that is meant, or change a title");
    free(list);
}

/* `best` is of one VM, and `other` of those that do not get it. */
static void check_host_report_better(struct host_checker *checker, struct source *source,
                                     const struct word *vm, enum domain_fit best,
                                     enum domain_fit other) {
    static const char *const fields[] = {
        [FIT_TITLE] = "title", [FIT_NAME] = "name", [FIT_UUID] = "uuid"};
    static const char *const nouns[] = {
        [FIT_TITLE] = "title", [FIT_NAME] = "name", [FIT_UUID] = "UUID"};
    char *meant = check_host_list_vms(checker, vm, best),
         *rest = check_host_list_vms(checker, vm, other);
    const char *quote = vm->kind == WORD_QUOTED ? "\"" : "";
    diagnostic_hint(
        diagnostic_add(
            &checker->ruleset->diagnostics, source, vm->span, CHECK_VM_AMBIGUOUS,
            "'%s' is the %s of VM %s, and the %s of %s: only the VM with this %s is meant",
            vm->text, nouns[best], meant, nouns[other], rest, nouns[best]),
        "write '%s %s%s%s' if that is right; else 'uuid' and the UUID of the VM that is meant",
        fields[best], quote, vm->text, quote);
    free(meant);
    free(rest);
}

static void check_host_check_ambiguous(struct host_checker *checker, struct source *source,
                                       const struct word *vm) {
    size_t counts[FIT_UUID + 1] = {0};
    for (size_t i = 0; i < checker->vm_count; i++)
        counts[match_fit(vm, &checker->vms[i])]++;
    enum domain_fit best = counts[FIT_UUID] ? FIT_UUID : counts[FIT_NAME] ? FIT_NAME : FIT_TITLE;
    enum domain_fit other = best == FIT_UUID && counts[FIT_NAME] ? FIT_NAME : FIT_TITLE;
    if (best == FIT_TITLE && counts[best] > 1)
        check_host_report_same_title(checker, source, vm, counts[best]);
    else if (best != other && counts[other])
        check_host_report_better(checker, source, vm, best, other);
}

static void check_host_check_vms(struct host_checker *checker, struct source *source,
                                 const struct word *vms) {
    for (const struct word *vm = vms; checker->vms_known && vm; vm = vm->next)
        if (vm->kind != WORD_ANY && !check_host_is_known(checker, vm, match_vm))
            check_host_report_vm(checker, source, vm);
        else if (match_is_exact(vm))
            check_host_check_ambiguous(checker, source, vm);
}

/* A `never` forbids to all that its words could mean, so that none of them is ambiguous. */
static void check_host_check_guard_vms(struct host_checker *checker, const struct guard *guard) {
    for (const struct word *vm = guard->vms; checker->vms_known && vm; vm = vm->next)
        if (!check_host_is_known(checker, vm, match_guard_vm))
            check_host_report_vm(checker, guard->source, vm);
}

/* --- devices */

bool check_host_may_lack(const struct rule *rule, const struct action *action) {
    return match_rule_names_event(rule, EVENT_PLUGGED) ||
           match_rule_names_event(rule, EVENT_FREED) || plan_has_option(action, OPTION_WITHIN);
}

static void check_host_report_entry(struct host_checker *checker, const struct rule *rule,
                                    const struct plan_entry *entry) {
    enum check check = verdict_check(entry->refusal);
    if (entry->kind != PLAN_REFUSED || check == CHECK_NONE ||
        (entry->refusal == REFUSED_ABSENT && check_host_may_lack(rule, entry->action)))
        return;
    const char *address = entry->device ? entry->device->address : "";
    if (!strncmp(entry->message, address, strlen(address)))
        address = "";
    struct diagnostic *diagnostic =
        diagnostic_add(&checker->ruleset->diagnostics, entry->rule->source, entry->target->span,
                       check, "%s%s%s", address, *address ? ": " : "", entry->message);
    diagnostic_hint(diagnostic, "%s", entry->hint);
}

/* At which the rule's devices are judged. What a VM requires is judged by its other rules: of the
 * VMs that the rule means the first counts; without one, whichever. */
static struct event check_host_event_of(const struct host_checker *checker,
                                        const struct rule *rule) {
    struct event event = {.name =
                              match_rule_names_event(rule, EVENT_PREPARE) ? EVENT_PREPARE
                              : match_rule_names_event(rule, EVENT_DEFINED) && !rule->events->next
                                  ? EVENT_DEFINED
                                  : EVENT_STARTED};
    if (event.name != EVENT_PREPARE)
        return event;
    event.vms = checker->vms;
    event.vm_count = checker->vm_count;
    for (size_t i = 0; checker->vms_known && i < checker->vm_count; i++) {
        event.domain = &checker->vms[i];
        if (match_vms(rule->vms, &event))
            return event;
    }
    event.domain = NULL;
    return event;
}

/* Nothing is known of the VM's devices, so what is refused is the host's doing. */
static void check_host_check_rule_devices(struct host_checker *checker, const struct rule *rule) {
    const struct event event = check_host_event_of(checker, rule);
    struct plan plan;
    plan_init_rule(&plan, &checker->program, rule, &event, checker->host);
    for (size_t i = 0; i < plan.count; i++)
        if (plan.entries[i].action->verb == VERB_ATTACH ||
            plan.entries[i].action->verb == VERB_REQUIRE)
            check_host_report_entry(checker, rule, &plan.entries[i]);
    plan_finish(&plan);
}

/* All rules of the host together: one may bind what another creates. */
static void check_host_check_boot(struct host_checker *checker) {
    static const struct event boot = {.name = EVENT_BOOT};
    struct plan plan;
    if (!match_names_event(&checker->program, EVENT_BOOT))
        return;
    plan_init(&plan, &(struct plan_request){
                         .program = &checker->program, .event = &boot, .host = checker->host});
    for (size_t i = 0; i < plan.count; i++)
        if (plan.entries[i].target)
            check_host_report_entry(checker, plan.entries[i].rule, &plan.entries[i]);
    plan_finish(&plan);
}

/* --- definitions */

const char *check_host_manager(const char *root) {
    static const struct {
        const char *path, *name;
    } managers[] = {
        {"/var/packages/Virtualization", "Synology's Virtual Machine Manager"},
        {"/usr/bin/midclt", "the middleware of TrueNAS"},
        {"/QVS", "QNAP's Virtualization Station"},
        {"/usr/bin/nova-compute", "OpenStack Nova"},
        {"/usr/share/vdsm", "oVirt's vdsm"},
    };
    const char *manager = NULL;
    struct tree tree;
    struct stat status;
    if (!tree_open(&tree, root))
        return NULL;
    for (size_t i = 0; !manager && i < sizeof managers / sizeof *managers; i++)
        if (tree_stat(&tree, managers[i].path, &status))
            manager = managers[i].name;
    tree_close(&tree);
    return manager;
}

static void check_host_report_definition(struct ruleset *ruleset, const struct rule *rule,
                                         const char *manager) {
    for (const struct event_list *event = rule->events; event; event = event->next)
        if (event->event == EVENT_DEFINED)
            diagnostic_hint(
                diagnostic_add(&ruleset->diagnostics, rule->source, event->span,
                               CHECK_DEFINITION_REWRITTEN,
                               "%s writes the definition of a VM again at each start, so what "
                               "'defined' puts in does not last",
                               manager),
                "use 'started'; or put the device in by that program, and let 'prepare require' "
                "check it");
}

static void check_host_check_definitions(struct ruleset *ruleset, const char *root) {
    const char *manager = check_host_manager(root);
    for (const struct rule *rule = ruleset->syntax.rules; manager && rule; rule = rule->next)
        if (!rule->source->broken)
            check_host_report_definition(ruleset, rule, manager);
}

/* --- files */

struct file_check {
    struct ruleset *ruleset;
    struct source *source;
    const struct tree *tree;
};

static void check_host_report_file(const struct file_check *check, struct span span,
                                   const char *path, const char *what, const char *hint) {
    char *word = text_shell_word(path);
    diagnostic_hint(diagnostic_add(&check->ruleset->diagnostics, check->source, span,
                                   CHECK_FILE_UNUSABLE, "'%s' %s", path, what),
                    hint, word);
    free(word);
}

/* "/bin/sh" of "#!/bin/sh -e"; the caller frees it. NULL: no script. */
static char *check_host_interpreter_of(const struct tree *tree, const char *path) {
    size_t size = 0;
    char *text = tree_load(tree, path, SHEBANG_LIMIT, &size), *name = NULL;
    if (text && size > 2 && !strncmp(text, "#!", 2)) {
        const char *start = text + 2 + strspn(text + 2, " \t");
        name = memory_printf("%.*s", (int)strcspn(start, " \t\n"), start);
    }
    free(text);
    return name;
}

/* A carriage return at the end of its first line is a part of the name. */
static void check_host_check_interpreter(const struct file_check *check, struct span span,
                                         const char *path) {
    struct stat status;
    char *name = check_host_interpreter_of(check->tree, path);
    if (name && *name == '/' && tree_knows(check->tree, name) &&
        !tree_stat(check->tree, name, &status)) {
        char *what = memory_printf("is a script for '%s', which does not exist", name);
        check_host_report_file(check, span, path, what,
                               "correct the first line of %s: a CR at its end counts too");
        free(what);
    }
    free(name);
}

static void check_host_check_program(const struct file_check *check, const struct word *command) {
    char *message, *hint;
    enum program_file found = program_file_check(check->tree, command->text, &message, &hint);
    if (found == PROGRAM_FILE_REFUSED)
        diagnostic_hint(diagnostic_add(&check->ruleset->diagnostics, check->source, command->span,
                                       CHECK_FILE_UNUSABLE, "%s", message),
                        "%s", hint);
    else if (found == PROGRAM_FILE_USABLE)
        check_host_check_interpreter(check, command->span, command->text);
    free(message);
    free(hint);
}

/* qemu, which is to read it, may be another user. */
static void check_host_check_rom(const struct file_check *check, struct span span,
                                 const char *path) {
    struct stat status;
    if (*path != '/')
        check_host_report_file(check, span, path, "is not an absolute path", "begin %s with '/'");
    else if (!tree_stat(check->tree, path, &status)) {
        if (errno != EACCES && tree_knows(check->tree, path))
            check_host_report_file(
                check, span, path, "does not exist",
                "'ls -l %s' shows what there is: correct the path, or put the file there");
    } else if (!S_ISREG(status.st_mode))
        check_host_report_file(check, span, path, "is not a file", "name a file, not %s");
    else if (!(status.st_mode & 0444))
        check_host_report_file(check, span, path, "is not readable", "chmod a+r %s");
}

static void check_host_check_rule_files(const struct file_check *check, const struct rule *rule) {
    for (const struct action *action = rule->actions; action; action = action->next) {
        if (action->verb == VERB_RUN)
            check_host_check_program(check, action->command);
        for (const struct action_option *option = action->options; option; option = option->next)
            if (option->kind == OPTION_ROM_FILE)
                check_host_check_rom(check, option->span, option->text);
    }
}

static void check_host_check_files(struct ruleset *ruleset, const char *root) {
    struct tree tree;
    if (!tree_open(&tree, root))
        return;
    for (const struct rule *rule = ruleset->syntax.rules; rule; rule = rule->next)
        if (!rule->source->broken) {
            struct file_check check = {ruleset, rule->source, &tree};
            check_host_check_rule_files(&check, rule);
        }
    tree_close(&tree);
}

void check_host_files(struct ruleset *ruleset, const struct check_config *config,
                      const char *root) {
    size_t before = ruleset->diagnostics.count;
    check_host_check_files(ruleset, root);
    check_apply(config, &ruleset->diagnostics, before);
    diagnostic_sort(&ruleset->diagnostics);
}

void check_host(struct ruleset *ruleset, const struct check_config *config, const struct host *host,
                bool vms_known, const struct domain *vms, size_t vm_count) {
    struct host_checker checker = {
        .ruleset = ruleset, .host = host, .vms_known = vms_known, .vms = vms, .vm_count = vm_count};
    size_t before = ruleset->diagnostics.count;
    program_init(&checker.program, ruleset);
    for (size_t i = 0; i < checker.program.guard_count; i++)
        check_host_check_guard_vms(&checker, checker.program.guards[i]);
    for (size_t i = 0; i < checker.program.rule_count; i++) {
        const struct rule *rule = checker.program.rules[i];
        check_host_check_vms(&checker, rule->source, rule->vms);
        if (rule->vms)
            check_host_check_rule_devices(&checker, rule);
    }
    check_host_check_boot(&checker);
    program_finish(&checker.program);
    if (host->root) {
        check_host_check_definitions(ruleset, host->root);
        check_host_check_files(ruleset, host->root);
    }
    check_apply(config, &ruleset->diagnostics, before);
    diagnostic_sort(&ruleset->diagnostics);
}
