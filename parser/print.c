#include "parser/print.h"

#include <stdlib.h>
#include <string.h>

void print_string(FILE *out, const char *text) {
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('"', out);
}

/* A word as the parser reads it: in quotes if it was quoted. */
static void print_word(FILE *out, const struct word *word) {
    if (word->field)
        fprintf(out, "%s ", syntax_field_text(word->field));
    if (word->kind == WORD_QUOTED)
        print_string(out, word->text);
    else
        fputs(word->text, out);
}

void print_words(FILE *out, const struct word *words, const char *separator) {
    for (const struct word *word = words; word; word = word->next) {
        fputs(word == words ? "" : separator, out);
        print_word(out, word);
    }
}

static void print_half(FILE *out, bool any, unsigned value) {
    if (any)
        putc('*', out);
    else
        fprintf(out, "%04x", value);
}

/* A word that needs no quotes where a word or a string may stand. */
static bool print_is_bare(const char *text) {
    enum token keyword = scanner_keyword_from_text(text);
    bool is_word = keyword == TOKEN_END || (syntax_late(keyword) && keyword != TOKEN_LIKE);
    enum event_name event = scanner_event_from_text(text);
    return *text && !strpbrk(text, " \"\\,{}#'`") && is_word &&
           (event == EVENT_COUNT || syntax_is_late_event(event));
}

void print_criterion(FILE *out, const struct criterion *criterion) {
    const struct criterion_row *row = syntax_criterion(criterion->kind);
    fputs(criterion->negated ? "not " : "", out);
    if (row->keyword != TOKEN_END)
        fprintf(out, "%s ", row->text);
    switch (criterion->kind) {
    case CRITERION_NAME:
        fputs(criterion->resolved ? criterion->definition->name : criterion->text, out);
        break;
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        print_half(out, criterion->any_vendor, criterion->id.vendor);
        putc(':', out);
        print_half(out, criterion->any_device, criterion->id.device);
        break;
    case CRITERION_CLASS:
    case CRITERION_INTERFACE:
        fprintf(out, "%0*x", criterion->class_prefix.digits, criterion->class_prefix.value);
        break;
    case CRITERION_SERIAL:
    case CRITERION_PRODUCT:
    case CRITERION_MANUFACTURER:
        fputs(criterion->like ? "like " : "", out);
        print_string(out, criterion->text);
        break;
    case CRITERION_DRIVER:
        if (print_is_bare(criterion->text))
            fputs(criterion->text, out);
        else
            print_string(out, criterion->text);
        break;
    case CRITERION_BUS:
        fputs(syntax_bus_text(criterion->bus), out);
        break;
    case CRITERION_SCSI:
        print_string(out, criterion->text);
        break;
    case CRITERION_VF:
        if (criterion->number >= 0)
            fprintf(out, "%d ", (int)criterion->number);
        fputs("of ", out);
        print_device(out, criterion->parent, false);
        break;
    default:
        fputs(criterion->text, out);
    }
}

static bool print_is_several(const struct criterion *criteria) {
    for (criteria = criteria ? criteria->next : NULL; criteria; criteria = criteria->next)
        if (criteria->alternative)
            return true;
    return false;
}

/* The brackets around several alternatives are for people only: the language has none. */
static void print_expanded(FILE *out, const struct criterion *name, bool alone) {
    bool several = name->definition->device && name->definition->device->next;
    bool brackets = name->negated ? several : !alone && print_is_several(name->definition->device);
    fputs(name->negated ? "not " : "", out);
    fputs(brackets ? "(" : "", out);
    print_device(out, name->definition->device, true);
    fputs(brackets ? ")" : "", out);
}

void print_device(FILE *out, const struct criterion *criteria, bool expand) {
    for (const struct criterion *one = criteria; one; one = one->next) {
        fputs(one == criteria ? "" : one->alternative ? " or " : " ", out);
        bool alone = one->alternative && (!one->next || one->next->alternative);
        if (expand && one->kind == CRITERION_NAME && one->resolved)
            print_expanded(out, one, alone);
        else
            print_criterion(out, one);
    }
}

void print_target(FILE *out, const struct target *target, bool expand) {
    if (target->quantifier == QUANTIFIER_ALL)
        fputs("all ", out);
    if (target->quantifier == QUANTIFIER_ANY && target->count == 1)
        fputs("any ", out);
    else if (target->quantifier == QUANTIFIER_ANY)
        fprintf(out, "any %u ", target->count);
    print_device(out, target->device, expand);
}

void print_options(FILE *out, const struct action *action) {
    for (const struct action_option *one = action->options; one; one = one->next) {
        const struct option_row *row = syntax_option(one->kind);
        if (*row->text)
            fprintf(out, " %s", row->text);
        fputs(row->value == VALUE_FLAG ? "" : " ", out);
        if (row->value == VALUE_DURATION)
            value_print_duration(out, one->milliseconds);
        else if (row->value == VALUE_STRING)
            print_string(out, one->text);
        else if (row->value == VALUE_NUMBER)
            fprintf(out, "%u", one->number);
        else if (row->value == VALUE_KEYWORD || row->value == VALUE_WORD)
            fputs(one->text, out);
    }
}

/* Both ways to write it mean the same. */
static void print_binding(FILE *out, const char *driver) {
    if (!strcmp(driver, "vfio-pci")) {
        fputs(" to vfio", out);
        return;
    }
    fputs(" to driver ", out);
    if (print_is_bare(driver))
        fputs(driver, out);
    else
        print_string(out, driver);
}

static void print_verb(FILE *out, const struct action *action) {
    fprintf(out, "%s ", syntax_verb_text(action->verb));
    if (action->verb == VERB_CREATE)
        fprintf(out, "%u vf of ", action->count);
}

static void print_manner(FILE *out, const struct action *action) {
    if (action->verb == VERB_BIND)
        print_binding(out, action->driver);
    fputs(action->with_group ? " with group" : "", out);
    if (action->backend)
        fprintf(out, " as %s", syntax_backend_text(action->backend));
}

void print_one_target(FILE *out, const struct action *action, const struct target *target) {
    print_verb(out, action);
    print_target(out, target, false);
    print_manner(out, action);
}

void print_action(FILE *out, const struct action *action, bool expand) {
    print_verb(out, action);
    if (action->verb == VERB_RUN)
        print_words(out, action->command, " ");
    else
        for (const struct target *one = action->targets; one; one = one->next) {
            fputs(one == action->targets ? "" : ", ", out);
            print_target(out, one, expand);
        }
    print_manner(out, action);
    print_options(out, action);
}

void print_head(FILE *out, const struct rule *rule) {
    fputs(rule->vms ? "on vm " : "on host", out);
    print_words(out, rule->vms, ", ");
    for (const struct event_list *event = rule->events; event; event = event->next)
        fprintf(out, "%s%s", event == rule->events ? " " : ", ", scanner_event_text(event->event));
}

void print_guard(FILE *out, const struct guard *guard, bool expand) {
    fputs("never attach ", out);
    print_device(out, guard->device, expand);
    if (guard->vms) {
        fputs(" to vm ", out);
        print_words(out, guard->vms, ", ");
    }
}

void print_definition(FILE *out, const struct definition *definition) {
    fprintf(out, "device %s is ", definition->name);
    print_device(out, definition->device, false);
}

char *print_criterion_text(const struct criterion *criterion) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    print_criterion(out, criterion);
    memory_stream_close(out, &text);
    return text;
}
