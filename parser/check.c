#include "parser/check.h"

#include "parser/conflict.h"
#include "parser/doubt.h"
#include "parser/print.h"
#include "parser/resolve.h"
#include "parser/suggest.h"
#include "parser/word_check.h"

#include <stdlib.h>
#include <string.h>

struct checker {
    struct syntax *syntax;
    struct diagnostics *diagnostics;
};

typedef void check_function(struct checker *checker);

static void check_definitions(struct checker *checker);
static void check_each(struct checker *checker);
static void check_promises(struct checker *checker);
static void check_guards(struct checker *checker);

/* --- the table: what is found, how bad it is, and who finds it (NULL: scanner, parser or loader)
 */

static const struct {
    struct check_row row;
    check_function *run;
} checks[] = {
    {{"unreadable-directory", SEVERITY_ERROR, true, "a directory of rules that cannot be read"},
     NULL},
    {{"unreadable-file", SEVERITY_ERROR, true, "a rule file that cannot be read"}, NULL},
    {{"unsafe-directory", SEVERITY_ERROR, true, "a directory of rules that others may change"},
     NULL},
    {{"unsafe-file", SEVERITY_WARNING, false,
      "a rule file that others may change; error! in a directory"},
     NULL},
    {{"nul-byte", SEVERITY_ERROR, true, "a NUL byte"}, NULL},
    {{"control-character", SEVERITY_ERROR, true, "a control character, or one that nobody sees"},
     NULL},
    {{"stray-backslash", SEVERITY_ERROR, true, "a backslash that does not end its line"}, NULL},
    {{"unterminated-string", SEVERITY_ERROR, true, "a quoted word that does not end"}, NULL},
    {{"bad-escape", SEVERITY_ERROR, true, "an unknown escape in a quoted word"}, NULL},
    {{"syntax", SEVERITY_ERROR, true, "a line that is no statement"}, NULL},
    {{"unknown-event", SEVERITY_ERROR, true, "an event that does not exist"}, NULL},
    {{"bad-id", SEVERITY_ERROR, true, "an id that is nearly right"}, NULL},
    {{"bad-address", SEVERITY_ERROR, true, "an address that is nearly right"}, NULL},
    {{"bad-class", SEVERITY_ERROR, true, "a class that is not 2, 4 or 6 hex digits"}, NULL},
    {{"bad-port", SEVERITY_ERROR, true, "a USB port that is nearly right"}, NULL},
    {{"bad-device", SEVERITY_ERROR, true, "a word that cannot be a device"}, NULL},
    {{"bad-name", SEVERITY_ERROR, true, "a word that cannot name a device"}, NULL},
    {{"bad-duration", SEVERITY_ERROR, true, "a duration that is nearly right"}, NULL},
    {{"bad-count", SEVERITY_ERROR, true, "a number of devices that cannot be"}, NULL},
    {{"undefined-device", SEVERITY_ERROR, true, "a name that no definition gives"}, NULL},
    {{"duplicate-definition", SEVERITY_ERROR, true, "a name that is defined twice"}, NULL},
    {{"circular-definition", SEVERITY_ERROR, true,
      "a device that is defined by itself, or by too many names"},
     NULL},
    {{"impossible-device", SEVERITY_ERROR, true, "conditions that no device meets together"}, NULL},
    {{"unused-definition", SEVERITY_WARNING, false, "a definition that nothing uses"},
     check_definitions},
    {{"event-without-attach", SEVERITY_ERROR, false,
      "attach or detach at an event where it cannot work"},
     check_each},
    {{"backend-mismatch", SEVERITY_ERROR, false, "a backend that does not fit its device"},
     NULL /* with event-without-attach */},
    {{"option-mismatch", SEVERITY_ERROR, false, "an option that does not fit its action"},
     NULL /* with event-without-attach */},
    {{"repeated-word", SEVERITY_WARNING, false, "a VM, event, option or condition twice"},
     NULL /* with event-without-attach */},
    {{"empty-word", SEVERITY_ERROR, false, "a quoted word with nothing in it"},
     NULL /* with event-without-attach */},
    {{"quoted-glob", SEVERITY_WARNING, false,
      "a quoted name or serial with * ? or [, which is not a glob"},
     NULL /* with empty-word */},
    {{"foreign-operator", SEVERITY_WARNING, false,
      "a VM's bare name with an operator of another language"},
     NULL /* with empty-word */},
    {{"bad-uuid", SEVERITY_WARNING, false,
      "a VM's name that is nearly a UUID; error! after 'uuid'"},
     NULL /* with empty-word */},
    {{"hidden-character", SEVERITY_WARNING, false,
      "a name with a blank or character that nobody sees"},
     NULL /* with empty-word */},
    {{"relative-path", SEVERITY_ERROR, false, "a program or ROM file that is not a path from /"},
     NULL /* with empty-word */},
    {{"words-in-program", SEVERITY_WARNING, false, "a program and its arguments in one word"},
     NULL /* with event-without-attach */},
    {{"shell-variable", SEVERITY_WARNING, false, "an argument that only a shell would expand"},
     NULL /* with event-without-attach */},
    {{"every-vm-all", SEVERITY_WARNING, false, "all devices of a kind for every VM"},
     NULL /* with event-without-attach */},
    {{"duplicate-device", SEVERITY_WARNING, false, "a device twice in one rule"}, check_promises},
    {{"duplicate-rule", SEVERITY_WARNING, false, "what another rule says already"},
     NULL /* with duplicate-device */},
    {{"shared-device", SEVERITY_WARNING, false, "one device promised to two VMs at one event"},
     NULL /* with duplicate-device */},
    {{"void-by-never", SEVERITY_WARNING, false, "an attach that a 'never' forbids"}, check_guards},
    {{"empty-block", SEVERITY_WARNING, false, "a block without an action"},
     NULL /* with event-without-attach */},
    /* With --host, see engine/plan/check_host.c. */
    {{"vm-unknown", SEVERITY_ERROR, false, "--host: a VM that no domain is called"}, NULL},
    {{"vm-ambiguous", SEVERITY_WARNING, false,
      "--host: a VM's name or title that several VMs have"},
     NULL},
    {{"device-absent", SEVERITY_ERROR, false, "--host: a device that the host does not have"},
     NULL},
    {{"device-ambiguous", SEVERITY_ERROR, false, "--host: several devices where one is asked"},
     NULL},
    {{"device-unpassable", SEVERITY_ERROR, false, "--host: a device that cannot be passed"}, NULL},
    {{"file-unusable", SEVERITY_ERROR, false, "--host: a program or ROM file that is no use"},
     NULL},
};

enum { CHECK_COUNT = sizeof checks / sizeof *checks };

size_t check_count(void) {
    return CHECK_COUNT;
}

const struct check_row *check_row(size_t index) {
    return &checks[index].row;
}

static size_t check_find_check(const char *name) {
    size_t index = 0;
    while (index < CHECK_COUNT && strcmp(checks[index].row.name, name) != 0)
        index++;
    return index;
}

void check_config_init(struct check_config *config) {
    config->strict = false;
    config->severities = memory_zalloc(CHECK_COUNT * sizeof *config->severities);
    for (size_t i = 0; i < CHECK_COUNT; i++)
        config->severities[i] = checks[i].row.severity;
}

void check_config_finish(struct check_config *config) {
    free(config->severities);
    config->severities = NULL;
}

int check_config_set(struct check_config *config, const char *name, enum severity severity,
                     const char **suggestion) {
    size_t index = check_find_check(name);
    *suggestion = NULL;
    if (index < CHECK_COUNT && checks[index].row.fixed && severity != SEVERITY_ERROR)
        return -2;
    if (index < CHECK_COUNT) {
        config->severities[index] = severity;
        return 0;
    }
    struct suggestion nearest = {.word = name};
    for (size_t i = 0; i < CHECK_COUNT; i++)
        suggest(&nearest, checks[i].row.name);
    *suggestion = nearest.best;
    return -1;
}

/* --- single rules */

/* Only over files that were understood: a line that was not may be the one that uses it. */
static void check_definitions(struct checker *checker) {
    if (diagnostic_count_errors(checker->diagnostics) > 0)
        return;
    for (struct definition *one = checker->syntax->definitions; one; one = one->next)
        if (!one->used)
            diagnostic_hint(diagnostic_add(checker->diagnostics, one->source, one->name_span,
                                           "unused-definition", "no rule uses device '%s'",
                                           one->name),
                            "take it out, or name it in a rule");
}

static void check_events(struct checker *checker, const struct rule *rule) {
    const struct action *action = rule->actions;
    while (action && action->verb == VERB_RUN)
        action = action->next;
    if (!action)
        return;
    for (const struct event_list *event = rule->events; event; event = event->next)
        if (scanner_why_no_attach(event->event))
            diagnostic_hint(
                diagnostic_add(checker->diagnostics, rule->source, event->span,
                               "event-without-attach", "nothing can be %sed at '%s': %s",
                               syntax_verb_text(action->verb), scanner_event_text(event->event),
                               scanner_why_no_attach(event->event)),
                "'%s' is right for a VM that runs; libvirt itself gives devices back "
                "when a VM stops",
                scanner_event_text(EVENT_STARTED));
}

/* The backend for devices of that bus. */
static const struct backend_row *check_backend_of(unsigned bus) {
    enum backend backend = BACKEND_NONE + 1;
    while (backend + 1 < BACKEND_COUNT && !(syntax_backend(backend)->bus & bus))
        backend++;
    return syntax_backend(backend);
}

static void check_backend(struct checker *checker, const struct rule *rule,
                          const struct action *action, const struct target *target) {
    const struct backend_row *backend = syntax_backend(action->backend);
    for (const struct criterion *one = target->device; one; one = one->next) {
        unsigned other = resolve_buses(one) & ~backend->bus;
        if (!other)
            continue;
        struct diagnostic *diagnostic =
            diagnostic_add(checker->diagnostics, rule->source, one->span, "backend-mismatch",
                           "'as %s' is for %s devices, and this is a %s device", backend->text,
                           backend->bus_name, check_backend_of(other)->bus_name);
        diagnostic_hint(diagnostic, "did you mean 'as %s'?", check_backend_of(other)->text);
        if (one->kind == CRITERION_NAME)
            diagnostic_note(diagnostic, one->definition->source, one->definition->span,
                            "defined here");
    }
}

static void check_misfit(struct checker *checker, struct source *source, struct span span,
                         const char *hint, const char *what, const char *with) {
    diagnostic_hint(diagnostic_add(checker->diagnostics, source, span, "option-mismatch",
                                   "'%s' does not go with '%s'", what, with),
                    "%s", hint);
}

static bool check_has_event(const struct rule *rule, enum event_name wanted) {
    const struct event_list *event = rule->events;
    while (event && event->event != wanted)
        event = event->next;
    return event != NULL;
}

static void check_option(struct checker *checker, const struct rule *rule,
                         const struct action *action, const struct action_option *option) {
    const struct option_row *row = syntax_option(option->kind);
    const struct backend_row *backend = syntax_backend(action->backend);
    if (!(row->verbs & 1U << action->verb))
        check_misfit(checker, rule->source, option->span, "options are for 'attach'", row->text,
                     syntax_verb_text(action->verb));
    else if (row->bus && !(row->bus & backend->bus)) {
        char *as = memory_printf("as %s", backend->text);
        char *hint =
            memory_printf("it is for %s devices, attached 'as %s'",
                          check_backend_of(row->bus)->bus_name, check_backend_of(row->bus)->text);
        check_misfit(checker, rule->source, option->span, hint, row->text, as);
        free(hint);
        free(as);
    }
    if (action->verb == VERB_ATTACH && row->event != EVENT_COUNT && rule->events &&
        !check_has_event(rule, row->event))
        check_misfit(checker, rule->source, option->span,
                     "a guest is only restarted at 'started', where it has not yet begun its work",
                     row->text, scanner_event_text(rule->events->event));
}

/* The next word of the statement from there on, over the ends of its lines. */
static struct span check_next_word(const struct source *source, uint32_t at) {
    struct span word;
    at += (uint32_t)strspn(source->text + at, " \t\r\n\\");
    word = (struct span){at, at + (uint32_t)strcspn(source->text + at, " \t\r\n\\{}#")};
    return word;
}

/* Where an action has 'with group' (`backend`: its 'as ...') behind its targets. */
static struct span check_manner_span(const struct rule *rule, const struct action *action,
                                     bool backend) {
    const struct target *last = action->targets;
    while (last && last->next)
        last = last->next;
    struct span first = check_next_word(rule->source, last ? last->span.end : action->span.start),
                second = check_next_word(rule->source, first.end);
    if (backend && action->with_group) {
        first = check_next_word(rule->source, second.end);
        second = check_next_word(rule->source, first.end);
    }
    return (struct span){first.start, second.end};
}

static void check_options(struct checker *checker, const struct rule *rule,
                          const struct action *action) {
    for (const struct action_option *option = action->options; option; option = option->next)
        check_option(checker, rule, action, option);
    if (action->with_group &&
        (action->verb == VERB_DETACH || !syntax_backend(action->backend)->group))
        check_misfit(checker, rule->source, check_manner_span(rule, action, false),
                     "a group is an IOMMU group, of PCI devices that are attached", "with group",
                     action->verb == VERB_DETACH ? "detach" : "as usb");
    if (action->verb == VERB_DETACH && action->backend)
        check_misfit(checker, rule->source, check_manner_span(rule, action, true),
                     "'detach' knows how the device is attached", "as", "detach");
}

static void check_repeated(struct checker *checker, struct source *source, struct span second,
                           struct span first, const char *word) {
    struct diagnostic *diagnostic = diagnostic_add(checker->diagnostics, source, second,
                                                   "repeated-word", "'%s' stands here twice", word);
    diagnostic_hint(diagnostic, "take one out");
    diagnostic_note(diagnostic, source, first, "first here");
}

static void check_repeated_events(struct checker *checker, const struct rule *rule) {
    const struct event_list *seen[EVENT_COUNT] = {0};
    for (const struct event_list *event = rule->events; event; event = event->next) {
        if (seen[event->event])
            check_repeated(checker, rule->source, event->span, seen[event->event]->span,
                           scanner_event_text(event->event));
        else
            seen[event->event] = event;
    }
}

static void check_repeated_options(struct checker *checker, const struct rule *rule,
                                   const struct action *action) {
    const struct action_option *seen[TOKEN_COUNT] = {0}; /* by their first keyword */
    for (const struct action_option *option = action->options; option; option = option->next) {
        const struct action_option **first = &seen[syntax_option(option->kind)->first];
        if (*first && (*first)->kind != option->kind)
            check_misfit(checker, rule->source, option->span, "take one out",
                         syntax_option(option->kind)->text, syntax_option((*first)->kind)->text);
        else if (*first)
            check_repeated(checker, rule->source, option->span, (*first)->span,
                           syntax_option(option->kind)->text);
        else
            *first = option;
    }
}

static int check_by_text(const void *left, const void *right) {
    const struct word *a = *(struct word *const *)left, *b = *(struct word *const *)right;
    int order = strcmp(a->text, b->text);
    if (!order)
        order = (a->kind > b->kind) - (a->kind < b->kind);
    if (!order)
        order = (a->field > b->field) - (a->field < b->field);
    return order ? order : (a->span.start > b->span.start) - (a->span.start < b->span.start);
}

static void check_repeated_vms(struct checker *checker, struct source *source,
                               const struct word *vms) {
    size_t count = 0;
    const struct word **sorted = NULL;
    if (!vms || !vms->next)
        return;
    for (const struct word *vm = vms; vm; vm = vm->next) {
        sorted = memory_grow((void *)sorted, count, sizeof *sorted);
        sorted[count++] = vm;
    }
    qsort((void *)sorted, count, sizeof *sorted, check_by_text);
    for (size_t i = 1; i < count; i++)
        if (syntax_same_text(sorted[i], sorted[i - 1]) && sorted[i]->kind == sorted[i - 1]->kind &&
            sorted[i]->field == sorted[i - 1]->field)
            check_repeated(checker, source, sorted[i]->span, sorted[i - 1]->span, sorted[i]->text);
    free((void *)sorted);
}

static void check_empty_word(struct checker *checker, struct source *source, struct span span,
                             const char *hint) {
    diagnostic_hint(
        diagnostic_add(checker->diagnostics, source, span, "empty-word", "an empty quoted word"),
        "%s", hint);
}

static void check_vm_words(struct checker *checker, struct source *source, const struct word *vms) {
    for (; vms; vms = vms->next)
        if (!*vms->text)
            check_empty_word(checker, source, vms->span, "'any' means every VM");
        else
            word_check_vm(checker->diagnostics, source, vms);
}

static void check_report_repeated_criterion(struct checker *checker, struct source *source,
                                            const struct criterion *second,
                                            const struct criterion *first, bool in_rule) {
    char *text = print_criterion_text(second);
    struct diagnostic *diagnostic =
        diagnostic_add(checker->diagnostics, source, second->span, "repeated-word",
                       "'%s' is repeated: it is one device all the same", text);
    if (in_rule)
        diagnostic_hint(diagnostic, "leave one out; for two devices write 'any 2 %s'", text);
    else
        diagnostic_hint(diagnostic, "leave one out");
    diagnostic_note(diagnostic, source, first->span, "first here");
    free(text);
}

/* 1ac1:089a 1ac1:089a: who writes it means two devices, and gets one. Of each alternative the first
 * such condition is reported, and of a device as long as nobody writes it only the beginning is
 * looked at. */
static void check_repeated_criteria(struct checker *checker, struct source *source,
                                    const struct criterion *criteria, bool in_rule) {
    enum { LOOKED_AT = 64 };
    const struct criterion *first = NULL;
    size_t count = 0;
    for (const struct criterion *one = criteria; one; one = one->next, count++) {
        if (one->alternative) {
            first = one;
            count = 0;
        }
        const struct criterion *other = count < LOOKED_AT ? first : NULL;
        while (other && other != one && !syntax_same_criterion(other, one))
            other = other->next;
        if (!other || other == one || one->kind == CRITERION_NAME || one->kind == CRITERION_UNREAD)
            continue;
        check_report_repeated_criterion(checker, source, one, other, in_rule);
        first = NULL;
    }
}

static void check_criteria_words(struct checker *checker, struct source *source,
                                 const struct criterion *criteria, bool in_rule) {
    check_repeated_criteria(checker, source, criteria, in_rule);
    for (; criteria; criteria = criteria->next)
        if (criteria->kind == CRITERION_SERIAL && !*criteria->text)
            check_empty_word(checker, source, criteria->span, "'lsusb -v' shows it as iSerial");
        else if (criteria->kind == CRITERION_SERIAL)
            word_check_serial(checker->diagnostics, source, criteria->span, criteria->text);
}

static void check_target(struct checker *checker, const struct rule *rule,
                         const struct action *action, const struct target *target, bool every_vm) {
    if (action->verb == VERB_ATTACH)
        check_backend(checker, rule, action, target);
    check_criteria_words(checker, rule->source, target->device, true);
    if (action->verb == VERB_ATTACH && every_vm && target->quantifier == QUANTIFIER_ALL)
        diagnostic_hint(
            diagnostic_add(checker->diagnostics, rule->source, target->span, "every-vm-all",
                           "'all' for every VM: the first that starts takes every one of "
                           "these devices"),
            "name the VM, or write 'any' for one device each");
}

static bool check_is_every_vm(const struct word *vm) {
    return vm->kind == WORD_ANY || (vm->kind == WORD_GLOB && strspn(vm->text, "*") > 0 &&
                                    strspn(vm->text, "*") == strlen(vm->text));
}

static void check_action(struct checker *checker, const struct rule *rule,
                         const struct action *action, bool every_vm) {
    if (action->verb == VERB_RUN)
        word_check_command(checker->diagnostics, rule->source, action->command);
    else
        for (const struct target *target = action->targets; target; target = target->next)
            check_target(checker, rule, action, target, every_vm);
    check_options(checker, rule, action);
    check_repeated_options(checker, rule, action);
    for (const struct action_option *option = action->options; option; option = option->next)
        if (option->kind == OPTION_ROM_FILE && action->verb != VERB_RUN)
            word_check_path(checker->diagnostics, rule->source, option->span, option->text);
}

static void check_rule(struct checker *checker, const struct rule *rule) {
    const struct word *vm = rule->vms;
    while (vm && !check_is_every_vm(vm))
        vm = vm->next;
    check_events(checker, rule);
    check_repeated_vms(checker, rule->source, rule->vms);
    check_repeated_events(checker, rule);
    check_vm_words(checker, rule->source, rule->vms);
    for (const struct action *action = rule->actions; action; action = action->next)
        check_action(checker, rule, action, vm != NULL);
    if (!rule->actions && !rule->source->broken)
        diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, rule->span,
                                       "empty-block", "a rule that does nothing"),
                        "write attach, detach or run between '{' and '}'");
}

/* One walk for all that is said of one statement alone: a million rules do not fit into a cache. */
static void check_each(struct checker *checker) {
    for (const struct rule *rule = checker->syntax->rules; rule; rule = rule->next)
        check_rule(checker, rule);
    for (const struct guard *guard = checker->syntax->guards; guard; guard = guard->next) {
        check_vm_words(checker, guard->source, guard->vms);
        check_criteria_words(checker, guard->source, guard->device, false);
    }
    for (const struct definition *one = checker->syntax->definitions; one; one = one->next)
        check_criteria_words(checker, one->source, one->device, false);
}

/* --- rules against each other: see promise.c */

static void check_promises(struct checker *checker) {
    conflict_check(checker->syntax, checker->diagnostics);
}

static void check_guards(struct checker *checker) {
    conflict_check_guards(checker->syntax, checker->diagnostics);
}

/* --- all of it */

static void check_apply_severity(const struct check_config *config, struct diagnostic *diagnostic) {
    size_t index = check_find_check(diagnostic->name);
    if (diagnostic->fixed || index == CHECK_COUNT) /* a check without a row keeps its severity */
        return;
    diagnostic->severity = config ? config->severities[index] : checks[index].row.severity;
    if (config && config->strict && diagnostic->severity == SEVERITY_WARNING)
        diagnostic->severity = SEVERITY_ERROR;
}

void check_apply(const struct check_config *config, struct diagnostics *diagnostics, size_t from) {
    for (size_t i = from; i < diagnostics->count; i++) {
        struct diagnostic *diagnostic = &diagnostics->list[i];
        check_apply_severity(config, diagnostic);
        if (diagnostic->severity == SEVERITY_ERROR)
            diagnostic->source->broken = true;
    }
}

/* That the file is refused is all there is to correct in it first. */
static void check_hide_refused(struct diagnostics *diagnostics) {
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->list[i].source->refused && !diagnostics->list[i].fixed)
            diagnostics->list[i].severity = SEVERITY_IGNORE;
}

void check_rules(struct syntax *syntax, const struct check_config *config,
                 struct diagnostics *diagnostics) {
    struct checker checker = {syntax, diagnostics};
    resolve_names(syntax, diagnostics);
    check_apply(config, diagnostics, 0);
    diagnostic_drop_consequences(diagnostics, 0);
    size_t done = diagnostics->count;
    for (size_t i = 0; i < CHECK_COUNT; i++)
        if (checks[i].run)
            checks[i].run(&checker);
    check_apply(config, diagnostics, done);
    diagnostic_drop_consequences(diagnostics, done);
    doubt_mark(syntax, diagnostics);
    check_hide_refused(diagnostics);
    for (done = diagnostics->count; resolve_broken(syntax, diagnostics);
         done = diagnostics->count) {
        check_apply(config, diagnostics, done);
        diagnostic_drop_consequences(diagnostics, done);
    }
}
