#include "parser/syntax.h"

#include "lexer/text.h"

#include <ctype.h>
#include <stdlib.h>

void syntax_init(struct syntax *syntax) {
    *syntax = (struct syntax){0};
    syntax->texts.arena = &syntax->arena;
    syntax->rules_end = &syntax->rules;
    syntax->guards_end = &syntax->guards;
    syntax->definitions_end = &syntax->definitions;
}

void syntax_finish(struct syntax *syntax) {
    scanner_interner_finish(&syntax->texts);
    free((void *)syntax->bad_names);
    memory_arena_finish(&syntax->arena);
}

/* One character of a glob, also "[a-f]", of which each is a hex digit or a wildcard; 0: it is not.
 */
static size_t syntax_glob_digit(const char *text) {
    if (*text == '?' || *text == '*' || isxdigit((unsigned char)*text))
        return 1;
    if (*text != '[')
        return 0;
    const char *first = text + 1 + (text[1] == '!' || text[1] == '^');
    const char *end = *first ? strchr(first + 1, ']') : NULL;
    return end ? (size_t)(end - text) + 1 : 0;
}

static bool syntax_has_uuid_shape(const char *text, bool glob) {
    static const size_t groups[] = {8, 4, 4, 4, 12};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        size_t digits = 0, length;
        bool any = false;
        for (; (length = glob ? syntax_glob_digit(text) : !!isxdigit((unsigned char)*text));
             text += length) {
            any |= *text == '*';
            digits += *text != '*';
        }
        if (any ? digits > groups[i] : digits != groups[i])
            return false;
        if (i + 1 < sizeof groups / sizeof *groups && *text++ != '-')
            return false;
    }
    return !*text;
}

bool syntax_is_uuid(const char *text) {
    return syntax_has_uuid_shape(text, false);
}

bool syntax_is_uuid_glob(const char *text) {
    return syntax_has_uuid_shape(text, true);
}

static const char *const fields[] = {
    [FIELD_ANY] = "",
#define FIELD(name, text) [FIELD_##name] = (text),
#include "lexer/words.def"
};

const char *syntax_field_text(enum word_field field) {
    return fields[field];
}

enum word_field syntax_field_from_text(const char *text) {
    for (enum word_field field = FIELD_ANY + 1; field < FIELD_COUNT; field++)
        if (!strcmp(text, fields[field]))
            return field;
    return FIELD_ANY;
}

/* --- the rows of words.def */

static const struct verb_row verbs[] = {
#define VERB(name, text, participle, events) {text, participle, TOKEN_##name, events},
#include "lexer/words.def"
};

const struct verb_row *syntax_verb(enum verb verb) {
    return &verbs[verb];
}

enum verb syntax_verb_of(enum token keyword) {
    enum verb verb = 0;
    while (verbs[verb].keyword != keyword)
        verb++;
    return verb;
}

const char *syntax_verb_text(enum verb verb) {
    return syntax_verb(verb)->text;
}

bool syntax_verb_is_possible(enum verb verb, enum event_name event) {
    return syntax_verb(verb)->events & 1U << event;
}

static const struct backend_row backends[] = {
    [BACKEND_NONE] = {.text = ""},
#define BACKEND(name, text, buses, group, defined, devices)                                        \
    [BACKEND_##name] = {text, TOKEN_##name, buses, group, defined, devices},
#include "lexer/words.def"
};

const struct backend_row *syntax_backend(enum backend backend) {
    return &backends[backend];
}

const char *syntax_backend_text(enum backend backend) {
    return backends[backend].text;
}

char *syntax_backends_text(unsigned set, const char *before) {
    char *text = memory_strdup("");
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        if (!(set & 1U << backend))
            continue;
        set &= ~(1U << backend);
        text_list(&text, !set, " or ", "%s%s", before, syntax_backend_text(backend));
    }
    return text;
}

enum backend syntax_backend_of(enum token keyword) {
    enum backend backend = BACKEND_NONE + 1;
    while (backends[backend].keyword != keyword)
        backend++;
    return backend;
}

static const struct criterion_row criteria[] = {
#define CRITERION(name, text, kind, value, read, buses, plural, example)                           \
    [CRITERION_##kind] = {text, read, plural, example, TOKEN_##name, buses},
#define BARE_CRITERION(kind, text, buses, plural)                                                  \
    [CRITERION_##kind] = {text, NULL, plural, NULL, TOKEN_END, buses},
#include "lexer/words.def"
};

const struct criterion_row *syntax_criterion(enum criterion_kind kind) {
    return &criteria[kind];
}

enum criterion_kind syntax_criterion_of(enum token keyword) {
    enum criterion_kind kind = 0;
    while (criteria[kind].keyword != keyword)
        kind++;
    return kind;
}

static const struct {
    const char *text, *label;
    enum token keyword;
    unsigned bus;
} buses[] = {
#define BUS(name, text) {text, #name, TOKEN_##name, BUS_NEEDS_##name},
#include "lexer/words.def"
};

unsigned syntax_bus_of(enum token keyword) {
    size_t at = 0;
    while (buses[at].keyword != keyword)
        at++;
    return buses[at].bus;
}

const char *syntax_bus_text(unsigned bus) {
    size_t at = 0;
    while (buses[at].bus != bus)
        at++;
    return buses[at].text;
}

char *syntax_bus_labels(unsigned set) {
    char *labels = memory_strdup("");
    for (size_t at = 0; at < sizeof buses / sizeof *buses; at++) {
        if (!(set & buses[at].bus))
            continue;
        set &= ~buses[at].bus;
        text_list(&labels, !set, " or ", "%s", buses[at].label);
    }
    return labels;
}

enum { /* bits for the verbs that take an option */
#define VERB(name, ...) FOR_##name = 1 << VERB_##name,
#include "lexer/words.def"
};

static const struct option_row options[] = {
#define OPTION(name, text, value, verbs, backends, events)                                         \
    [OPTION_##name] = {text, TOKEN_##name, VALUE_##value, verbs, backends, events},
#define LONG_OPTION(name, text, value, verbs, backends, events, first)                             \
    [OPTION_##name] = {text, TOKEN_##first, VALUE_##value, verbs, backends, events},
#include "lexer/words.def"
};

const struct action_option *syntax_find_option(const struct action_option *first,
                                               enum option_kind kind) {
    while (first && first->kind != kind)
        first = first->next;
    return first;
}

const struct option_row *syntax_option(enum option_kind kind) {
    return &options[kind];
}

enum option_kind syntax_option_of(enum token keyword) {
    enum option_kind kind = 0;
    while (options[kind].first != keyword)
        kind++;
    return kind;
}

char *syntax_option_backends(enum token keyword) {
    unsigned set = 0;
    char *text = memory_strdup("");
    for (enum option_kind kind = 0; kind < OPTION_COUNT; kind++)
        if (options[kind].first == keyword)
            set |= options[kind].backends;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT && set; backend++)
        if (set & 1U << backend)
            memory_append(&text, "%s'as %s'", *text ? " or " : "", backends[backend].text);
    if (!*text)
        memory_append(&text, "'as %s' or 'as %s'", backends[BACKEND_VFIO].text,
                      backends[BACKEND_USB].text);
    return text;
}

bool syntax_is_backend(enum token keyword) {
    static const bool is[TOKEN_COUNT] = {
#define BACKEND(name, ...) [TOKEN_##name] = true,
#include "lexer/words.def"
    };
    return is[keyword];
}

enum late syntax_late(enum token keyword) {
    static const unsigned char late[TOKEN_COUNT] = {
#define LATE(name, next) [TOKEN_##name] = LATE_##next,
#include "lexer/words.def"
    };
    return late[keyword];
}

bool syntax_is_late_event(enum event_name event) {
    static const bool late[EVENT_COUNT] = {
#define LATE_EVENT(name) [EVENT_##name] = true,
#include "lexer/words.def"
    };
    return late[event];
}

bool syntax_is_option(enum token keyword) {
    enum part { STATEMENT, MANNER, CONDITION, IN_OPTION };
    static const bool is_option[TOKEN_COUNT] = {
#define KEYWORD(name, text, part) [TOKEN_##name] = (part) == IN_OPTION,
#define OPTION(name, ...) [TOKEN_##name] = true,
#include "lexer/words.def"
    };
    return is_option[keyword];
}

uint64_t syntax_criterion_bits(const struct criterion *one) {
    switch (one->kind) {
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        return (uint64_t)one->any_vendor << 33 | (uint64_t)one->any_device << 32 |
               (uint64_t)one->id.vendor << 16 | one->id.device;
    case CRITERION_CLASS:
    case CRITERION_INTERFACE:
        return (uint64_t)one->class_prefix.digits << 32 | one->class_prefix.value;
    case CRITERION_BUS:
        return one->bus;
    case CRITERION_VF: {
        uint64_t hash = (uint64_t)(uint32_t)one->number;
        for (const struct criterion *of = one->parent; of; of = of->next)
            hash = scanner_mix_hash(hash, syntax_criterion_bits(of) ^ of->kind);
        return hash;
    }
    default:
        return (uint64_t)(uintptr_t)one->text;
    }
}

bool syntax_same_criterion(const struct criterion *a, const struct criterion *b) {
    if (a->kind != b->kind || a->negated != b->negated || a->like != b->like)
        return false;
    if (a->kind == CRITERION_VF)
        return a->number == b->number && syntax_same_device(a->parent, b->parent);
    return syntax_criterion_bits(a) == syntax_criterion_bits(b);
}

bool syntax_same_device(const struct criterion *a, const struct criterion *b) {
    for (; a && b; a = a->next, b = b->next)
        if (a->alternative != b->alternative || !syntax_same_criterion(a, b))
            return false;
    return !a && !b;
}
