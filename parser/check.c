#include "parser/check.h"

#include "lexer/text.h"
#include "parser/conflict.h"
#include "parser/disable.h"
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
    bool physical; /* the device is one that virtual functions are of */
};

/* --- names and severities */

static const struct check_row rows[CHECK_COUNT] = {
#define CHECK(check, name, severity, fixed, summary) {name, SEVERITY_##severity, fixed, summary},
#include "lexer/checks.def"
};

const struct check_row *check_row(enum check check) {
    return &rows[check];
}

void check_config_init(struct check_config *config) {
    config->strict = false;
    for (enum check check = 0; check < CHECK_COUNT; check++)
        config->severities[check] = rows[check].severity;
}

int check_config_set(struct check_config *config, const char *name, enum severity severity,
                     const char **suggestion) {
    struct suggestion nearest = {.word = name};
    *suggestion = NULL;
    for (enum check check = 0; check < CHECK_COUNT; check++)
        if (!strcmp(name, rows[check].name)) {
            if (rows[check].fixed && severity != SEVERITY_ERROR)
                return -2;
            config->severities[check] = severity;
            return 0;
        } else {
            suggest(&nearest, rows[check].name);
        }
    *suggestion = nearest.best;
    return -1;
}

/* --- events and backends */

static bool check_has_event(const struct rule *rule, enum event_name wanted) {
    const struct event_list *event = rule->events;
    while (event && event->event != wanted)
        event = event->next;
    return event != NULL;
}

static void check_report_option(struct checker *checker, const struct rule *rule, struct span span,
                                const char *what, const char *with, const char *hint) {
    diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, span, CHECK_OPTION_MISMATCH,
                                   "'%s' cannot be used with '%s'", what, with),
                    "%s", hint);
}

/* The next word of the statement, which may be on the next line. */
static struct span check_next_word(const struct source *source, uint32_t at) {
    at += (uint32_t)strspn(source->text + at, " \t\r\n\\");
    return (struct span){at, at + (uint32_t)strcspn(source->text + at, " \t\r\n\\{}#")};
}

/* The action's 'with group' (`backend`: its 'as ...') after its targets. */
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

/* 'boot' of a VM, or another event of the host. Returns false after a report. */
static bool check_owner_of_event(struct checker *checker, const struct rule *rule,
                                 const struct event_list *event) {
    const char *text = scanner_event_text(event->event);
    if (!rule->vms == (event->event == EVENT_BOOT))
        return true;
    if (rule->vms)
        diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, event->span,
                                       CHECK_WRONG_EVENT, "'%s' is an event of the host", text),
                        "write: on host %s; the event of a VM that boots is '%s'", text,
                        scanner_event_text(EVENT_STARTED));
    else
        diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, event->span,
                                       CHECK_WRONG_EVENT, "'%s' is an event of a VM", text),
                        "write: on vm NAME %s; the host's event is '%s'", text,
                        scanner_event_text(EVENT_BOOT));
    return false;
}

/* The events at which the verb is possible: "'prepare'", "'plugged' or 'freed'". The caller frees
 * it. */
static char *check_events_text(unsigned events) {
    char *text = memory_strdup("");
    for (enum event_name event = 0; event < EVENT_COUNT; event++) {
        if (!(events & 1U << event))
            continue;
        events &= ~(1U << event);
        text_list(&text, !events, " or ", "'%s'", scanner_event_text(event));
    }
    return text;
}

/* The verb is the first word of its action. */
static struct span check_verb_span(const struct action *action) {
    uint32_t length = (uint32_t)strlen(syntax_verb_text(action->verb));
    return (struct span){action->span.start, action->span.start + length};
}

static void check_report_wrong_event(struct checker *checker, const struct rule *rule,
                                     const struct action *action, enum event_name event) {
    char *events = check_events_text(syntax_verb(action->verb)->events);
    struct diagnostic *diagnostic =
        diagnostic_add(checker->diagnostics, rule->source, check_verb_span(action),
                       CHECK_WRONG_EVENT, "nothing can be %s at '%s'",
                       syntax_verb(action->verb)->participle, scanner_event_text(event));
    if (event == EVENT_DEFINED)
        diagnostic_hint(diagnostic, "only 'attach' is possible at '%s', when the VM is shut off",
                        scanner_event_text(event));
    else if (syntax_verb(action->verb)->events == AT_BOOT)
        diagnostic_hint(diagnostic, "it is done on the host, before VMs start: on host %s %s",
                        scanner_event_text(EVENT_BOOT),
                        action->verb == VERB_CREATE ? "create 4 vf of DEVICE"
                                                    : "bind DEVICE to vfio");
    else
        diagnostic_hint(diagnostic, "it is possible at %s, in a rule of a VM", events);
    free(events);
}

/* The definition of a VM gets few kinds of devices. */
static void check_backend_at_defined(struct checker *checker, const struct rule *rule,
                                     const struct action *action) {
    unsigned set = 0;
    if (action->verb != VERB_ATTACH || syntax_backend(action->backend)->defined ||
        !check_has_event(rule, EVENT_DEFINED))
        return;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        set |= syntax_backend(backend)->defined ? 1U << backend : 0;
    char *backends = syntax_backends_text(set, "as ");
    diagnostic_hint(
        diagnostic_add(checker->diagnostics, rule->source, check_manner_span(rule, action, true),
                       CHECK_WRONG_EVENT, "nothing can be attached as %s at '%s'",
                       syntax_backend_text(action->backend), scanner_event_text(EVENT_DEFINED)),
        "a VM's definition can have devices %s; for others use '%s'", backends,
        scanner_event_text(EVENT_STARTED));
    free(backends);
}

/* libvirt, which is waiting, would give up. */
static void check_waiting(struct checker *checker, const struct rule *rule,
                          const struct action *action) {
    for (const struct action_option *one = action->options; one; one = one->next) {
        bool waits = one->kind == OPTION_WAIT ||
                     (one->kind == OPTION_WITHIN && action->verb == VERB_REQUIRE);
        const char *text = syntax_option(one->kind)->text;
        if (waits && one->milliseconds > PREPARE_LIMIT_MS)
            diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, one->span,
                                           CHECK_BAD_DURATION,
                                           "'%s' is longer than the limit of 60s", text),
                            "so long libvirt is made to wait at most: %s 60s", text);
        else if (waits && !one->milliseconds)
            diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, one->span,
                                           CHECK_BAD_DURATION, "'%s' of no time", text),
                            "leave it out, or say how long: %s 20s", text);
    }
}

/* 'create' is for exactly one physical function. */
static void check_create(struct checker *checker, const struct rule *rule,
                         const struct action *action) {
    const struct target *target = action->targets;
    if (action->verb != VERB_CREATE)
        return;
    if (target->next || target->quantifier != QUANTIFIER_ONE)
        diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source,
                                       target->next ? target->next->span : target->span,
                                       CHECK_SYNTAX, "'create' is for exactly one device"),
                        target->next
                            ? "write one 'create' for each device, one action per line"
                            : "leave '%s' out, and say which device it is: by its address, or with "
                              "more conditions; for several write one 'create' each",
                        target->quantifier == QUANTIFIER_ALL ? "all" : "any");
    for (const struct criterion *one = target->device; one; one = one->next)
        if (!one->negated &&
            (one->kind == CRITERION_VF ||
             (one->kind == CRITERION_NAME && one->resolved && one->definition->is_virtual))) {
            diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, one->span,
                                           CHECK_IMPOSSIBLE_DEVICE,
                                           "a virtual function has no virtual functions"),
                            "name the device that is to have them: create %u vf of 8086:1572",
                            action->count);
            return;
        }
}

/* 'bind' is for every device that matches; 'all' says so too. */
static void check_bind(struct checker *checker, const struct rule *rule,
                       const struct action *action) {
    for (const struct target *one = action->verb == VERB_BIND ? action->targets : NULL; one;
         one = one->next)
        if (one->quantifier == QUANTIFIER_ANY)
            check_report_option(checker, rule, one->span, "any", "bind",
                                "every device that matches is bound: leave it out, or say which "
                                "devices by their addresses");
}

/* Each action at the first event where it is not possible; the rule says that it is the host's, or
 * a VM's, which is more than a single event of the other one. */
static void check_wrong_event(struct checker *checker, const struct rule *rule) {
    unsigned known = 0;
    for (const struct event_list *event = rule->events; event; event = event->next)
        if (check_owner_of_event(checker, rule, event))
            known |= 1U << event->event;
    for (const struct action *action = rule->actions; action; action = action->next)
        for (const struct event_list *event = rule->events; event; event = event->next)
            if (known & 1U << event->event &&
                !syntax_verb_is_possible(action->verb, event->event) &&
                !(syntax_verb(action->verb)->events & AT_RUNNING_VM && action->verb != VERB_RUN)) {
                check_report_wrong_event(checker, rule, action, event->event);
                break;
            }
}

static void check_event_without_attach(struct checker *checker, const struct rule *rule) {
    for (const struct event_list *event = rule->events; event; event = event->next) {
        const struct action *action = rule->actions;
        while (action && (syntax_verb_is_possible(action->verb, event->event) ||
                          (action->verb != VERB_ATTACH && action->verb != VERB_DETACH) ||
                          !rule->vms != (event->event == EVENT_BOOT)))
            action = action->next;
        if (action)
            diagnostic_hint(
                diagnostic_add(
                    checker->diagnostics, rule->source, event->span, CHECK_EVENT_WITHOUT_ATTACH,
                    "nothing can be %s at '%s': %s", syntax_verb(action->verb)->participle,
                    scanner_event_text(event->event), scanner_why_no_attach(event->event)),
                event->event == EVENT_BOOT ? "a VM gets its devices by a rule of its own: on vm "
                                             "NAME %s; 'bind' prepares them at '%s'"
                : event->event == EVENT_DEFINED
                    ? "use '%s', when the VM runs; without a rule that attaches it at '%s' the "
                      "device leaves the definition"
                : event->event == EVENT_PREPARE || event->event == EVENT_START
                    ? "use '%s', when the VM runs; or 'defined', by which the VM has the device "
                      "when it starts"
                    : "use '%s', when the VM runs; libvirt itself returns devices to the host when "
                      "a VM stops",
                scanner_event_text(EVENT_STARTED), scanner_event_text(event->event));
    }
}

/* Those that attach devices of all these buses. */
static unsigned check_backends_of(unsigned buses) {
    unsigned set = 0;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        if (!(buses & ~syntax_backend(backend)->buses))
            set |= 1U << backend;
    return set;
}

/* The buses of one of the sets, see resolve_narrow(), that the backend has none of; 0: it can
 * attach them all. */
static unsigned check_misfit(unsigned bus_sets, unsigned buses) {
    for (unsigned set = 1; set <= BUS_NEEDS_ANY; set++)
        if (bus_sets & 1U << set && !(set & buses))
            return set;
    return 0;
}

/* True when another check reports the alternative: impossible-device, only-not. */
static bool check_is_told(const struct criterion *alternative) {
    unsigned sets = RESOLVE_ANY_BUS;
    bool only_not = true;
    const struct criterion *one = alternative;
    do {
        sets = resolve_narrow(sets, one);
        only_not &= one->negated;
    } while ((one = one->next) && !one->alternative);
    return !sets || only_not;
}

/* The buses whose devices the action is for. */
static unsigned check_buses_of(const struct action *action) {
    switch (action->verb) {
    case VERB_ATTACH:
    case VERB_REQUIRE:
        return action->backend ? syntax_backend(action->backend)->buses : BUS_NEEDS_ANY;
    case VERB_BIND:
    case VERB_CREATE:
        return BUS_NEEDS_PCI;
    default:
        return BUS_NEEDS_ANY;
    }
}

static void check_report_mismatch(struct checker *checker, const struct rule *rule,
                                  const struct action *action, const struct criterion *one,
                                  unsigned misfit) {
    const struct backend_row *backend = syntax_backend(action->backend);
    char *right = syntax_bus_labels(check_buses_of(action)), *wrong = syntax_bus_labels(misfit);
    char *backends = syntax_backends_text(check_backends_of(misfit), "");
    struct diagnostic *diagnostic = diagnostic_add(
        checker->diagnostics, rule->source, one->span, CHECK_BACKEND_MISMATCH,
        "'%s%s' is for %s devices, and this is a %s device", action->backend ? "as " : "",
        action->backend ? backend->text : syntax_verb_text(action->verb), right, wrong);
    if (action->backend)
        diagnostic_hint(diagnostic, "a %s device can be attached as %s", wrong, backends);
    else
        diagnostic_hint(diagnostic,
                        "name a PCI device; a %s device is taken from its driver when "
                        "it is attached",
                        wrong);
    if (one->kind == CRITERION_NAME)
        diagnostic_note(diagnostic, one->definition->source, one->definition->span, "defined here");
    free(backends);
    free(wrong);
    free(right);
}

static void check_backend_mismatch(struct checker *checker, const struct rule *rule,
                                   const struct action *action, const struct target *target) {
    unsigned buses = check_buses_of(action);
    if (buses == BUS_NEEDS_ANY)
        return;
    unsigned sets = 0;
    const struct criterion *alternative = NULL; /* until it is reported */
    for (const struct criterion *one = target->device; one; one = one->next) {
        alternative = one->alternative ? one : alternative;
        sets = resolve_narrow(one->alternative ? RESOLVE_ANY_BUS : sets, one);
        unsigned misfit = check_misfit(sets, buses);
        if (!misfit || !alternative)
            continue;
        if (!check_is_told(alternative))
            check_report_mismatch(checker, rule, action, one, misfit);
        alternative = NULL;
    }
}

/* --- options */

/* "options are for 'attach'", "'within' is for 'attach', 'require', 'bind' or 'create'" */
static void check_report_verb_option(struct checker *checker, const struct rule *rule,
                                     const struct action *action,
                                     const struct action_option *option) {
    const struct option_row *row = syntax_option(option->kind);
    unsigned left = row->verbs;
    char *verbs = memory_strdup("");
    for (enum verb verb = 0; left; verb++) {
        if (!(left & 1U << verb))
            continue;
        left &= ~(1U << verb);
        text_list(&verbs, !left, " or ", "'%s'", syntax_verb_text(verb));
    }
    char *hint =
        action->verb == VERB_REQUIRE && option->kind == OPTION_OPTIONAL
            ? memory_strdup("a device that the VM can start without is not required: "
                            "leave the rule out")
        : action->verb == VERB_ATTACH && option->kind == OPTION_WAIT
            ? memory_strdup("did you mean 'within'? 'wait' is for 'run'")
        : action->verb == VERB_REQUIRE && row->verbs & 1U << VERB_ATTACH
            ? memory_printf("'%s' belongs to the rule that attaches the device: on vm NAME "
                            "started attach DEVICE as vfio ...",
                            row->text)
        : row->verbs == 1U << VERB_ATTACH ? memory_strdup("options are for 'attach'")
                                          : memory_printf("'%s' is for %s", row->text, verbs);
    check_report_option(checker, rule, option->span, row->text, syntax_verb_text(action->verb),
                        hint);
    free(hint);
    free(verbs);
}

/* At least one of the rule's events must be one of the option's. */
static void check_option_event(struct checker *checker, const struct rule *rule,
                               const struct action_option *option) {
    const struct option_row *row = syntax_option(option->kind);
    const struct event_list *event = rule->events;
    while (event && !(row->events & 1U << event->event))
        event = event->next;
    if (event || !rule->events)
        return;
    if (row->events == AT_STARTED && !check_has_event(rule, EVENT_DEFINED)) {
        check_report_option(checker, rule, option->span, row->text,
                            scanner_event_text(rule->events->event),
                            option->kind == OPTION_TAKE
                                ? "a VM takes a device when it starts: add 'started' to the events"
                                : "a guest is restarted only at 'started', before it has begun its "
                                  "work");
        return;
    }
    struct diagnostic *diagnostic = diagnostic_add(
        checker->diagnostics, rule->source, option->span, CHECK_WRONG_EVENT,
        "'%s' has no effect at '%s'", row->text, scanner_event_text(rule->events->event));
    char *events = check_events_text(row->events);
    if (check_has_event(rule, EVENT_DEFINED))
        diagnostic_hint(diagnostic,
                        "leave it out: the definition is changed while the VM is shut off, and "
                        "nothing waits for that");
    else
        diagnostic_hint(diagnostic, "it is for %s", events);
    free(events);
}

static void check_option(struct checker *checker, const struct rule *rule,
                         const struct action *action, const struct action_option *option) {
    const struct option_row *row = syntax_option(option->kind);
    if (!(row->verbs & 1U << action->verb)) {
        check_report_verb_option(checker, rule, action, option);
        return;
    }
    if (row->backends && !(row->backends & 1U << action->backend)) {
        char *as = memory_printf("as %s", syntax_backend_text(action->backend));
        char *backends = syntax_backends_text(row->backends, "as ");
        char *hint = memory_printf("it is for devices that are attached %s", backends);
        check_report_option(checker, rule, option->span, row->text, as, hint);
        free(hint);
        free(backends);
        free(as);
    }
    check_option_event(checker, rule, option);
}

static void check_option_mismatch(struct checker *checker, const struct rule *rule,
                                  const struct action *action) {
    for (const struct action_option *option = action->options; option; option = option->next)
        check_option(checker, rule, action, option);
    bool detach = action->verb == VERB_DETACH;
    if (action->verb == VERB_REQUIRE && !action->backend)
        return; /* any backend that fits the device */
    if (action->with_group && (detach || !syntax_backend(action->backend)->group)) {
        char *as = memory_printf("as %s", syntax_backend_text(action->backend));
        check_report_option(
            checker, rule, check_manner_span(rule, action, false), "with group",
            detach ? "detach" : as,
            "leave it out: a group is an IOMMU group, of PCI devices that are attached");
        free(as);
    }
    if (detach && action->backend)
        check_report_option(checker, rule, check_manner_span(rule, action, true), "as", "detach",
                            "leave it out: 'detach' takes no backend");
}

/* What is of one device only: a second one cannot have the same. */
static void check_one_device(struct checker *checker, const struct rule *rule,
                             const struct action *action) {
    const struct action_option *option = action->options;
    while (option && option->kind != OPTION_MAC && option->kind != OPTION_MDEV_UUID)
        option = option->next;
    const struct target *target = action->targets;
    if (action->verb != VERB_ATTACH || !option)
        return;
    bool several = target->quantifier == QUANTIFIER_ALL || target->count > 1;
    if (!several && !target->next)
        return;
    diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, option->span,
                                   CHECK_OPTION_MISMATCH,
                                   "'%s' cannot be used with several devices",
                                   syntax_option(option->kind)->text),
                    option->kind == OPTION_MAC
                        ? "attach them one by one, each with its own; or leave 'mac' out: then "
                          "each gets an address that stays the same"
                        : "a mediated device is an instance of one device: attach them one by one");
}

/* --- words that are repeated */

static void check_report_repeated(struct checker *checker, struct source *source,
                                  struct span second, struct span first, const char *word) {
    struct diagnostic *diagnostic = diagnostic_add(checker->diagnostics, source, second,
                                                   CHECK_REPEATED_WORD, "'%s' is repeated", word);
    diagnostic_hint(diagnostic, "leave one out");
    diagnostic_note(diagnostic, source, first, "first here");
}

static void check_repeated_events(struct checker *checker, const struct rule *rule) {
    const struct event_list *seen[EVENT_COUNT] = {0};
    for (const struct event_list *event = rule->events; event; event = event->next)
        if (seen[event->event])
            check_report_repeated(checker, rule->source, event->span, seen[event->event]->span,
                                  scanner_event_text(event->event));
        else
            seen[event->event] = event;
}

/* 'guest reset on' and 'guest reset off'. */
static void check_report_two_values(struct checker *checker, const struct rule *rule,
                                    const struct action_option *second,
                                    const struct action_option *first) {
    const char *text = syntax_option(second->kind)->text;
    char *what = memory_printf("%s %s", text, second->text),
         *with = memory_printf("%s %s", text, first->text);
    check_report_option(checker, rule, second->span, what, with, "leave one out");
    free(with);
    free(what);
}

static void check_repeated_options(struct checker *checker, const struct rule *rule,
                                   const struct action *action) {
    if (!action->options || !action->options->next)
        return;
    const struct action_option *seen[TOKEN_COUNT] = {0}; /* by their first keyword */
    for (const struct action_option *option = action->options; option; option = option->next) {
        const char *text = syntax_option(option->kind)->text;
        const struct action_option **first = &seen[syntax_option(option->kind)->first];
        bool keyword = syntax_option(option->kind)->value == VALUE_KEYWORD;
        if (*first && (*first)->kind == option->kind && keyword && (*first)->text != option->text)
            check_report_two_values(checker, rule, option, *first);
        else if (*first && (*first)->kind != option->kind)
            check_report_option(checker, rule, option->span, text,
                                syntax_option((*first)->kind)->text, "leave one out");
        else if (*first)
            check_report_repeated(checker, rule->source, option->span, (*first)->span, text);
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
            check_report_repeated(checker, source, sorted[i]->span, sorted[i - 1]->span,
                                  sorted[i]->text);
    free((void *)sorted);
}

/* In 1ac1:089a 1ac1:089a: whoever writes it means two devices, and gets one. In each alternative
 * only the first such criterion is reported, and of an alternative with very many only the first
 * ones are compared. */
static void check_repeated_criteria(struct checker *checker, struct source *source,
                                    const struct criterion *device, bool in_rule) {
    enum { COMPARED = 64 };
    const struct criterion *first = NULL;
    size_t count = 0;
    for (const struct criterion *one = device; one; one = one->next, count++) {
        if (one->alternative) {
            first = one;
            count = 0;
        }
        const struct criterion *other = count < COMPARED ? first : NULL;
        while (other && other != one && !syntax_same_criterion(other, one))
            other = other->next;
        if (!other || other == one || one->kind == CRITERION_NAME || one->kind == CRITERION_UNREAD)
            continue;
        char *text = print_criterion_text(one);
        struct diagnostic *diagnostic =
            diagnostic_add(checker->diagnostics, source, one->span, CHECK_REPEATED_WORD,
                           "'%s' is repeated, and still means one device", text);
        if (in_rule)
            diagnostic_hint(diagnostic, "leave one out; for two devices write 'any 2 %s'", text);
        else
            diagnostic_hint(diagnostic, "leave one out");
        diagnostic_note(diagnostic, source, other->span, "first here");
        free(text);
        first = NULL;
    }
}

/* --- single words: see word_check.c */

static void check_report_empty(struct checker *checker, struct source *source, struct span span,
                               const char *hint) {
    diagnostic_hint(diagnostic_add(checker->diagnostics, source, span, CHECK_EMPTY_WORD,
                                   "an empty quoted word"),
                    "%s", hint);
}

static void check_vm_words(struct checker *checker, struct source *source, const struct word *vms) {
    for (; vms; vms = vms->next)
        if (!*vms->text)
            check_report_empty(checker, source, vms->span, "'any' means every VM");
        else
            word_check_vm(checker->diagnostics, source, vms);
}

static void check_texts(struct checker *checker, struct source *source,
                        const struct criterion *device, bool in_rule) {
    (void)in_rule;
    for (; device; device = device->next) {
        if (device->kind != CRITERION_SERIAL && device->kind != CRITERION_PRODUCT &&
            device->kind != CRITERION_MANUFACTURER)
            continue;
        if (!*device->text)
            check_report_empty(checker, source, device->span,
                               device->kind == CRITERION_SERIAL
                                   ? "'lsusb -v' shows it as iSerial"
                                   : "'virt-rules devices --all' shows it");
        else
            word_check_text(checker->diagnostics, source, device);
    }
}

/* Instead of 'not usb' the rule can say which of the others. */
static void check_hint_other_buses(struct diagnostic *diagnostic, unsigned bus) {
    char *others = memory_strdup("");
    for (unsigned other = 1; other <= BUS_NEEDS_ANY; other <<= 1)
        if (other != bus)
            memory_append(&others, "%s'%s'", *others ? " or " : "", syntax_bus_text(other));
    diagnostic_hint(diagnostic, "instead of 'not %s' write %s", syntax_bus_text(bus), others);
    free(others);
}

static void check_hint_only_not(struct diagnostic *diagnostic, const struct criterion *alternative,
                                const char *text, unsigned bus) {
    const struct criterion *one = alternative;
    do {
        if (one->kind == CRITERION_BUS) {
            check_hint_other_buses(diagnostic, one->bus);
            return;
        }
        unsigned needed = syntax_criterion(one->kind)->buses;
        if (needed == BUS_NEEDS_PCI || needed == BUS_NEEDS_SCSI)
            bus = needed;
    } while ((one = one->next) && !one->alternative);
    diagnostic_hint(diagnostic, "say a bus or a class with it: %s %s", syntax_bus_text(bus), text);
}

/* An alternative that only says what the device is not would be nearly every device. */
static void check_only_not(struct checker *checker, struct source *source,
                           const struct criterion *device, bool in_rule) {
    (void)in_rule;
    const struct criterion *first = NULL;
    bool only = false;
    for (const struct criterion *one = device; one && !device->incomplete; one = one->next) {
        if (one->alternative) {
            first = one;
            only = true;
        }
        only = only && one->negated;
        if (!only || (one->next && !one->next->alternative))
            continue;
        char *text = print_criterion_text(first);
        check_hint_only_not(diagnostic_add(checker->diagnostics, source, first->span,
                                           CHECK_ONLY_NOT, "'%s' alone is nearly every device",
                                           text),
                            first, text, checker->physical ? BUS_NEEDS_PCI : BUS_NEEDS_USB);
        free(text);
        return;
    }
}

static void check_host_driver(struct checker *checker, struct source *source,
                              const struct criterion *device, bool in_rule) {
    (void)in_rule;
    while (device && (device->kind != CRITERION_DRIVER || device->negated))
        device = device->next;
    if (device && !checker->physical) /* that one keeps its driver */
        diagnostic_hint(diagnostic_add(checker->diagnostics, source, device->span,
                                       CHECK_HOST_DRIVER,
                                       "the host's driver is gone once a VM has the device"),
                        "a class, an interface or an id still says which device it is then; if "
                        "'driver' is right: 'virt-rules check --ignore host-driver'");
}

/* Of other keywords what follows shows whether the name is meant. */
static void check_keyword_name(struct checker *checker, const struct definition *definition) {
    enum late late = syntax_late(scanner_keyword_from_text(definition->name));
    if (late != LATE_ANYTHING && late != LATE_KEYWORD && late != LATE_CONDITION)
        return;
    diagnostic_hint(diagnostic_add(checker->diagnostics, definition->source, definition->name_span,
                                   CHECK_KEYWORD_NAME,
                                   "'%s' is a keyword too: where a device begins with it, it means "
                                   "this definition",
                                   definition->name),
                    "give the device another name");
}

static void check_paths(struct checker *checker, const struct rule *rule,
                        const struct action *action) {
    if (action->verb == VERB_RUN) {
        word_check_command(checker->diagnostics, rule->source, action->command);
        return;
    }
    for (const struct action_option *option = action->options; option; option = option->next)
        if (option->kind == OPTION_ROM_FILE)
            word_check_path(checker->diagnostics, rule->source, option->span, option->text);
}

/* "run "/x" wait", "run "/x" wait 20": as an argument it was possible before it was a keyword. */
static void check_wait_argument(struct checker *checker, const struct rule *rule,
                                const struct action *action) {
    const char *wait = syntax_option(OPTION_WAIT)->text;
    if (action->verb != VERB_RUN || !check_has_event(rule, EVENT_PREPARE))
        return;
    for (const struct word *word = action->command->next; word; word = word->next)
        if (word->kind != WORD_QUOTED && !strcmp(word->text, wait) &&
            (!word->next || strchr("0123456789", *word->next->text)))
            diagnostic_hint(
                diagnostic_add(checker->diagnostics, rule->source, word->span, CHECK_WAIT_ARGUMENT,
                               "'%s' is an argument here, and libvirt does not wait", wait),
                "libvirt waits with '%s 20s' or '%s 20s or stop' after the last "
                "argument; an argument is written in quotes: \"%s\"",
                wait, wait, wait);
}

/* --- rules that do too much or too little */

static bool check_is_every_vm(const struct word *vm) {
    return vm->kind == WORD_ANY ||
           (vm->kind == WORD_GLOB && *vm->text && !vm->text[strspn(vm->text, "*")]);
}

static void check_every_vm_all(struct checker *checker, const struct rule *rule,
                               const struct action *action, const struct target *target) {
    if (action->verb != VERB_ATTACH || target->quantifier != QUANTIFIER_ALL)
        return;
    const struct word *vm = rule->vms;
    while (vm && !check_is_every_vm(vm))
        vm = vm->next;
    if (vm)
        diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, target->span,
                                       CHECK_EVERY_VM_ALL,
                                       "'all' for every VM: the first that starts takes every one "
                                       "of these devices"),
                        "name the VM, or write 'any' for one device each");
}

static void check_empty_block(struct checker *checker, const struct rule *rule) {
    if (!rule->actions && !rule->source->broken && !disable_is_in_block(rule->source, rule->span))
        diagnostic_hint(diagnostic_add(checker->diagnostics, rule->source, rule->span,
                                       CHECK_EMPTY_BLOCK, "a rule without an action"),
                        "write %s between '{' and '}'",
                        rule->vms ? "attach, detach, require or run" : "bind, create or run");
}

/* --- the whole set. In files without an error only: a line that was not understood may use it */

static void check_unused_definition(struct checker *checker) {
    if (diagnostic_count_errors(checker->diagnostics) > 0)
        return;
    for (struct definition *one = checker->syntax->definitions; one; one = one->next)
        if (!one->used)
            diagnostic_hint(diagnostic_add(checker->diagnostics, one->source, one->name_span,
                                           CHECK_UNUSED_DEFINITION, "no rule uses device '%s'",
                                           one->name),
                            "remove it, or name it in a rule");
}

/* --- the tables: what is looked at, and by which function */

static void (*const of_rule[])(struct checker *, const struct rule *) = {
    check_event_without_attach,
    check_wrong_event,
    check_repeated_events,
    check_empty_block,
};
static void (*const of_action[])(struct checker *, const struct rule *, const struct action *) = {
    check_paths,
    check_option_mismatch,
    check_one_device,
    check_backend_at_defined,
    check_waiting,
    check_create,
    check_bind,
    check_wait_argument,
    check_repeated_options,
};
static void (*const of_target[])(struct checker *, const struct rule *, const struct action *,
                                 const struct target *) = {
    check_backend_mismatch,
    check_every_vm_all,
};
static void (*const of_vms[])(struct checker *, struct source *, const struct word *) = {
    check_repeated_vms,
    check_vm_words,
};
static void (*const of_device[])(struct checker *, struct source *, const struct criterion *,
                                 bool in_rule) = {
    check_repeated_criteria,
    check_texts,
    check_only_not,
    check_host_driver,
};

#define EACH(table, ...)                                                                           \
    for (size_t at = 0; at < sizeof(table) / sizeof *(table); at++)                                \
    (table)[at](__VA_ARGS__)

/* A physical function is a device too. */
static void check_device(struct checker *checker, struct source *source,
                         const struct criterion *device, bool in_rule) {
    EACH(of_device, checker, source, device, in_rule);
    checker->physical = true;
    for (const struct criterion *one = device; one; one = one->next)
        if (one->kind == CRITERION_VF)
            EACH(of_device, checker, source, one->parent, false);
    checker->physical = false;
}

static void check_rule(struct checker *checker, const struct rule *rule) {
    EACH(of_rule, checker, rule);
    EACH(of_vms, checker, rule->source, rule->vms);
    for (const struct action *action = rule->actions; action; action = action->next) {
        EACH(of_action, checker, rule, action);
        if (action->verb == VERB_RUN)
            continue;
        for (const struct target *target = action->targets; target; target = target->next) {
            EACH(of_target, checker, rule, action, target);
            check_device(checker, rule->source, target->device, true);
        }
    }
}

static void check_statements(struct checker *checker) {
    for (const struct rule *rule = checker->syntax->rules; rule; rule = rule->next)
        check_rule(checker, rule);
    for (const struct guard *guard = checker->syntax->guards; guard; guard = guard->next) {
        check_vm_words(checker, guard->source, guard->vms);
        check_device(checker, guard->source, guard->device, false);
    }
    for (const struct definition *one = checker->syntax->definitions; one; one = one->next) {
        check_keyword_name(checker, one);
        check_device(checker, one->source, one->device, false);
    }
}

/* --- all of it */

static void check_apply_severity(const struct check_config *config, struct diagnostic *diagnostic) {
    if (!diagnostic->fixed)
        diagnostic->severity =
            config ? config->severities[diagnostic->check] : rows[diagnostic->check].severity;
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

/* Of a refused file nothing else is reported: it must first be made safe. */
static void check_hide_refused(struct diagnostics *diagnostics) {
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->list[i].source->refused && !diagnostics->list[i].fixed)
            diagnostics->list[i].severity = SEVERITY_IGNORE;
}

void check_rules(struct syntax *syntax, const struct check_config *config,
                 struct diagnostics *diagnostics) {
    struct checker checker = {.syntax = syntax, .diagnostics = diagnostics};
    resolve_names(syntax, diagnostics);
    check_apply(config, diagnostics, 0);
    diagnostic_drop_consequences(diagnostics, 0);
    size_t done = diagnostics->count;
    check_unused_definition(&checker);
    check_statements(&checker);
    conflict_check(syntax, diagnostics);
    conflict_check_guards(syntax, diagnostics);
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
