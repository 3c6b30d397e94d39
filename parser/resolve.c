#include "parser/resolve.h"

#include "parser/contradiction.h"
#include "parser/suggest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NOT_YET, UNDER_WAY, DONE };
enum { DEPTH_LIMIT = 64 };       /* definitions by way of definitions */
enum { WEIGHT_LIMIT = 1000000 }; /* conditions behind one name, all definitions looked through */
enum { SUGGESTION_BUDGET = 100000000 }; /* letters times letters, so that a bad file stays cheap */

struct resolver {
    struct definition **slots; /* open addressing by the address of the interned name */
    size_t size, count;
    struct syntax *syntax;
    struct diagnostics *diagnostics;
    size_t budget;
    bool in_rule; /* where 'any' and 'all' may stand */
};

static struct definition **resolve_slot_of(const struct resolver *resolver, const char *name) {
    size_t at = ((uintptr_t)name * 0x9e3779b97f4a7c15U >> 20) & (resolver->size - 1);
    while (resolver->slots[at] && resolver->slots[at]->name != name)
        at = (at + 1) & (resolver->size - 1);
    return &resolver->slots[at];
}

static void resolve_report_second(struct resolver *resolver, struct definition *second,
                                  const struct definition *first) {
    struct diagnostic *diagnostic =
        diagnostic_add(resolver->diagnostics, second->source, second->name_span,
                       CHECK_DUPLICATE_DEFINITION, "device '%s' is defined twice", second->name);
    diagnostic_hint(diagnostic, "one definition with 'or' between the ids means either of them");
    diagnostic_note(diagnostic, first->source, first->name_span, "first defined here");
}

/* A definition with an error of its own gets no second one. */
static bool resolve_is_understood(const struct definition *definition) {
    return definition->device && !definition->device->incomplete;
}

/* Appends to the list of its name. `last` has the end of each list, at the place of its slot. */
static void resolve_index_definition(struct resolver *resolver, struct definition *one,
                                     struct definition **last) {
    struct definition **slot = resolve_slot_of(resolver, one->name);
    struct definition **end = &last[slot - resolver->slots];
    if (!*slot) {
        one->first = *slot = *end = one;
        return;
    }
    one->first = *slot;
    *end = (*end)->same = one;
    if (one->source->refused)
        return;
    if (resolve_is_understood(one) && resolve_is_understood(*slot))
        resolve_report_second(resolver, one, *slot);
    one->used = true;
}

/* Those of refused files last, since other files may not use them. */
static void resolve_index_definitions(struct resolver *resolver) {
    for (struct definition *one = resolver->syntax->definitions; one; one = one->next)
        resolver->count++;
    resolver->size = 16;
    while (resolver->size < 2 * resolver->count)
        resolver->size *= 2;
    resolver->slots = memory_zalloc(resolver->size * sizeof *resolver->slots);
    struct definition **last = memory_zalloc(resolver->size * sizeof *last);
    for (int refused = 0; refused < 2; refused++)
        for (struct definition *one = resolver->syntax->definitions; one; one = one->next)
            if (one->source->refused == refused)
                resolve_index_definition(resolver, one, last);
    free((void *)last);
}

size_t resolve_candidates(const struct definition *named, const struct source *source,
                          const struct definition *list[], size_t limit) {
    size_t own = 0, count = 0;
    for (const struct definition *one = named->first; one; one = one->same)
        own += one->source == source;
    for (const struct definition *one = named->first; one && count < limit; one = one->same)
        if (own ? one->source == source : !one->source->refused)
            list[count++] = one;
    return count;
}

/* The file's own, else the first of a file that is not refused. */
static struct definition *resolve_find_definition(const struct resolver *resolver,
                                                  const struct source *source, const char *name) {
    struct definition *first = *resolve_slot_of(resolver, name), *one = first;
    while (one && one->source != source)
        one = one->same;
    return one ? one : first && !first->source->refused ? first : NULL;
}

/* Needless words that people write before an id or an address. */
static bool resolve_is_needless(const char *text) {
    static const char *const words[] = {"id", "address", "addr", "bus", "slot", "of", "a", "the"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i]))
            return true;
    return false;
}

/* Other words for quantifiers and criteria. */
static const char *resolve_synonym(const char *text) {
    static const char *const words[][2] = {
        {"every", "all"},     {"each", "all"},         {"both", "any 2"},
        {"two", "any 2"},     {"one", "any"},          {"first", "any"},
        {"sub", "subsystem"}, {"subsys", "subsystem"}, {"sn", "serial"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i][0]))
            return words[i][1];
    return NULL;
}

/* A keyword that is a name here, as what belongs to it is missing; false: the word is another. */
static void resolve_hint_option(struct diagnostic *diagnostic, enum token token) {
    char *backends = syntax_option_backends(token);
    diagnostic_hint(diagnostic, "the option '%s' follows %s", scanner_token_text(token), backends);
    free(backends);
}

static bool resolve_hint_keyword(struct diagnostic *diagnostic, const char *text) {
    enum token token = scanner_keyword_from_text(text);
    if (token == TOKEN_NOT)
        diagnostic_hint(diagnostic, "a condition or a name follows 'not': not class 09");
    else if (token == TOKEN_BELOW)
        diagnostic_hint(diagnostic, "a hub is found by its port: below port 1-1");
    else if (token == TOKEN_VF || token == TOKEN_OF)
        diagnostic_hint(diagnostic, "a virtual function is: vf of 8086:1572, or vf 3 of 8086:1572");
    else if (token != TOKEN_END && syntax_is_backend(token))
        diagnostic_hint(diagnostic, "how a device is attached comes after it: 1ac1:089a as %s",
                        text);
    else if (syntax_late(token) == LATE_VALUE)
        diagnostic_hint(diagnostic, "as a condition '%s' is followed by %s", text,
                        syntax_criterion(syntax_criterion_of(token))->example);
    else if (token != TOKEN_END && syntax_is_option(token))
        resolve_hint_option(diagnostic, token);
    else
        return false;
    return true;
}

/* The class of PCI devices for which people have a word; NULL: none. */
static const char *resolve_class_of_word(const char *word) {
    static const struct {
        const char *word, *class;
    } classes[] = {
        {"sata", "0106"},     {"ahci", "0106"}, {"nvme", "0108"},
        {"raid", "0104"},     {"sas", "0107"},  {"vga", "0300"},
        {"ethernet", "0200"}, {"wifi", "0280"}, {"xhci", "0c0330"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcasecmp(classes[i].word, word))
            return classes[i].class;
    return NULL;
}

static void resolve_report_undefined(struct resolver *resolver, struct source *source,
                                     const struct criterion *name) {
    struct diagnostic *diagnostic =
        diagnostic_add(resolver->diagnostics, source, name->span, CHECK_UNDEFINED_DEVICE,
                       "device '%s' is not defined", name->text);
    if (resolve_hint_keyword(diagnostic, name->text))
        return;
    struct suggestion suggestion = {.word = name->text};
    size_t length = strlen(name->text), cost = (resolver->count + 1) * length * length;
    if (resolver->budget >= cost) {
        resolver->budget -= cost;
        for (struct definition *one = resolver->syntax->definitions; one; one = one->next)
            suggest(&suggestion, one->name);
        if (resolver->in_rule && name->next && !name->next->alternative &&
            name->next->kind != CRITERION_ADDRESS) {
            suggest(&suggestion, scanner_token_text(TOKEN_ANY));
            suggest(&suggestion, scanner_token_text(TOKEN_ALL));
        }
        for (int kind = 0; kind < CRITERION_COUNT; kind++)
            if (syntax_criterion(kind)->keyword != TOKEN_END &&
                (name->next || syntax_criterion(kind)->keyword != TOKEN_AT)) /* "sata" alone */
                suggest(&suggestion, scanner_token_text(syntax_criterion(kind)->keyword));
    }
    char *address = value_corrected_address(name->text);
    const char *class = resolve_class_of_word(name->text);
    if (suggestion.best)
        diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    else if (class)
        diagnostic_hint(diagnostic,
                        "did you mean 'class %s'? An id means one device: "
                        "'virt-rules devices --all' shows it",
                        class);
    else if (name->next && !name->next->alternative && resolve_synonym(name->text))
        diagnostic_hint(diagnostic, "did you mean '%s'?", resolve_synonym(name->text));
    else if (address)
        diagnostic_hint(diagnostic, "did you mean '%s'?", address);
    else if (resolve_is_needless(name->text))
        diagnostic_hint(diagnostic,
                        "leave it out: an id or an address needs no keyword, 1ac1:089a");
    else if (!strcmp(name->text, "except") || !strcmp(name->text, "but"))
        diagnostic_hint(diagnostic, "did you mean 'not'? 'never attach' forbids devices");
    else
        diagnostic_hint(diagnostic,
                        "define it: device %s is 1ac1:089a; if another file of the directory "
                        "defines it, check the "
                        "directory",
                        name->text);
    free(address);
}

static void resolve_definition(struct resolver *resolver, struct definition *definition,
                               struct source *source, struct span span, unsigned depth);

unsigned resolve_buses(const struct criterion *criterion) {
    if (criterion->kind == CRITERION_BUS)
        return criterion->negated ? criterion->bus ^ BUS_NEEDS_ANY : criterion->bus;
    unsigned buses = criterion->negated ? 0 : syntax_criterion(criterion->kind)->buses;
    return buses ? buses : BUS_NEEDS_ANY;
}

unsigned resolve_narrow(unsigned bus_sets, const struct criterion *criterion) {
    bool is_known = criterion->kind == CRITERION_NAME && criterion->resolved && !criterion->negated;
    unsigned others = is_known ? criterion->definition->bus_sets : 1U << resolve_buses(criterion);
    unsigned narrowed = 0;
    if (!others || others == RESOLVE_ANY_BUS) /* none: reported where it is defined */
        return bus_sets;
    for (unsigned set = 1; set <= BUS_NEEDS_ANY; set++)
        for (unsigned other = 1; bus_sets & 1U << set && other <= BUS_NEEDS_ANY; other++)
            if (others & 1U << other && set & other)
                narrowed |= 1U << (set & other);
    return narrowed;
}

unsigned resolve_bus_sets(const struct criterion *device) {
    unsigned all = 0, sets = 0;
    for (const struct criterion *one = device; one; one = one->next) {
        sets = resolve_narrow(one->alternative ? RESOLVE_ANY_BUS : sets, one);
        if (!one->next || one->next->alternative)
            all |= sets;
    }
    return all;
}

/* A name must come first in its alternative; elsewhere two devices were meant. */
static void resolve_report_second_name(struct resolver *resolver, struct source *source,
                                       const struct criterion *name) {
    bool in_rule = resolver->in_rule;
    diagnostic_hint(
        diagnostic_add(resolver->diagnostics, source, name->span, CHECK_SYNTAX,
                       "a name of a device must come before other conditions"),
        !strcmp(name->text, "and")
            ? "separate conditions of one device with spaces, two devices with ','"
        : in_rule ? "separate two devices with ',', two ways to find one with 'or'"
                  : "write 'or' between two ways to find one device; two devices are two lines");
}

/* "not class 09", where a device is called 'not': the first word is its name, as it was before it
 * became a keyword, and what follows is a condition of its own. */
static void resolve_split(struct resolver *resolver, const struct source *source,
                          struct criterion *criterion, const char *name) {
    struct criterion *rest = memory_arena_alloc(&resolver->syntax->arena, sizeof *rest);
    *rest = *criterion;
    rest->alternative = rest->incomplete = rest->negated = false;
    criterion->span.end = criterion->span.start + (uint32_t)strlen(name);
    rest->span.start =
        criterion->span.end + (uint32_t)strspn(source->text + criterion->span.end, " \t\r\n\\");
    if (rest->kind == CRITERION_BELOW && !criterion->negated)
        rest->kind = CRITERION_PORT;
    criterion->next = rest;
}

/* Where a match begins with a keyword that may be a name too, the name of a definition wins. Of a
 * refused file as well: its definition is not used, but the keyword is not meant. */
static void resolve_prefer_name(struct resolver *resolver, const struct source *source,
                                struct criterion *criterion) {
    bool negates = criterion->negated && criterion->kind != CRITERION_NAME;
    const char *name = negates && criterion->kind != CRITERION_BUS ? scanner_token_text(TOKEN_NOT)
                       : criterion->kind == CRITERION_BELOW        ? scanner_token_text(TOKEN_BELOW)
                       : criterion->kind == CRITERION_BUS          ? syntax_bus_text(criterion->bus)
                                                                   : NULL;
    if (!name)
        return;
    name = scanner_intern(&resolver->syntax->texts, name, strlen(name));
    if (!*resolve_slot_of(resolver, name))
        return;
    if (criterion->kind != CRITERION_BUS)
        resolve_split(resolver, source, criterion, name);
    criterion->negated &= criterion->kind == CRITERION_BUS;
    criterion->kind = CRITERION_NAME;
    criterion->like = false;
    criterion->text = name;
}

/* 'not' was in use when 'scsi' became a keyword: a name may follow it anywhere. */
static bool resolve_is_not_scsi(const struct criterion *criterion) {
    return criterion->kind == CRITERION_BUS && criterion->negated &&
           criterion->bus == BUS_NEEDS_SCSI;
}

static void resolve_criteria(struct resolver *resolver, struct source *source,
                             struct criterion *criteria, unsigned depth);

static void resolve_parents(struct resolver *resolver, struct source *source,
                            struct criterion *criteria, unsigned depth) {
    for (struct criterion *one = criteria; one; one = one->next)
        if (one->kind == CRITERION_VF)
            resolve_criteria(resolver, source, one->parent, depth);
}

static void resolve_criteria(struct resolver *resolver, struct source *source,
                             struct criterion *criteria, unsigned depth) {
    resolve_parents(resolver, source, criteria, depth);
    bool told = false, first = true; /* the next word is not to blame for what was not understood */
    for (struct criterion *one = criteria; one; one = one->next) {
        told = told && !one->alternative;
        first = one->alternative || first;
        if (first || resolve_is_not_scsi(one))
            resolve_prefer_name(resolver, source, one);
        bool second = !first && !one->negated;
        first = first && one->kind == CRITERION_UNREAD;
        if (one->kind != CRITERION_NAME || one->resolved)
            continue;
        if (second && !told)
            resolve_report_second_name(resolver, source, one);
        told = told || second;
        struct definition *definition = resolve_find_definition(resolver, source, one->text);
        if (definition)
            definition->used = true;
        else if (!told && !source->lost_names)
            resolve_report_undefined(resolver, source, one);
        if (!definition || told)
            continue;
        resolve_definition(resolver, definition, source, one->span, depth);
        if (definition->state == DONE) {
            one->definition = definition;
            one->resolved = true;
        }
    }
}

static size_t resolve_weight(const struct criterion *criteria) {
    size_t weight = 0;
    for (const struct criterion *one = criteria; one; one = one->next) {
        weight += one->kind == CRITERION_NAME && one->resolved ? one->definition->weight : 1;
        if (one->kind == CRITERION_VF)
            weight += resolve_weight(one->parent);
    }
    return weight;
}

/* Definitions that double at every step would make each match of a device take far too long. */
static void resolve_weigh(struct resolver *resolver, struct definition *definition) {
    size_t weight = resolve_weight(definition->device);
    definition->weight = weight < WEIGHT_LIMIT ? (uint32_t)weight : 1;
    if (weight >= WEIGHT_LIMIT)
        diagnostic_hint(diagnostic_add(resolver->diagnostics, definition->source,
                                       definition->name_span, CHECK_CIRCULAR_DEFINITION,
                                       "device '%s' has too many conditions", definition->name),
                        "the limit is %d, with those of the devices that it names", WEIGHT_LIMIT);
}

/* Each alternative has a criterion that only virtual functions meet. */
static bool resolve_is_virtual(const struct criterion *device) {
    bool all = device != NULL, is_virtual = true;
    for (const struct criterion *one = device; one; one = one->next) {
        if (one->alternative) {
            all &= is_virtual;
            is_virtual = false;
        }
        is_virtual |= !one->negated &&
                      (one->kind == CRITERION_VF || (one->kind == CRITERION_NAME && one->resolved &&
                                                     one->definition->is_virtual));
    }
    return all && is_virtual;
}

static void resolve_definition(struct resolver *resolver, struct definition *definition,
                               struct source *source, struct span span, unsigned depth) {
    if (definition->state == DONE)
        return;
    if (definition->state == UNDER_WAY || depth > DEPTH_LIMIT) {
        struct diagnostic *diagnostic = diagnostic_add(
            resolver->diagnostics, source, span, CHECK_CIRCULAR_DEFINITION,
            definition->state == UNDER_WAY ? "device '%s' is defined by itself"
                                           : "the definition of device '%s' is nested too deeply",
            definition->name);
        diagnostic_hint(diagnostic, definition->state == UNDER_WAY ? "define it by ids or addresses"
                                                                   : "the limit is 64 definitions");
        return;
    }
    definition->state = UNDER_WAY;
    resolve_criteria(resolver, definition->source, definition->device, depth + 1);
    definition->bus_sets = (uint8_t)resolve_bus_sets(definition->device);
    definition->is_virtual = resolve_is_virtual(definition->device);
    resolve_weigh(resolver, definition);
    definition->state = DONE;
}

typedef void criteria_function(struct resolver *resolver, struct source *source,
                               struct criterion *criteria);

static void resolve_top(struct resolver *resolver, struct source *source,
                        struct criterion *criteria) {
    resolve_criteria(resolver, source, criteria, 0);
}

static void resolve_report_broken(struct resolver *resolver, struct source *source,
                                  struct criterion *criteria) {
    for (struct criterion *one = criteria; one && !source->broken; one = one->next)
        if (one->kind == CRITERION_VF)
            resolve_report_broken(resolver, source, one->parent);
        else if (one->kind == CRITERION_NAME && one->resolved && one->definition->source->broken)
            diagnostic_hint(diagnostic_add(resolver->diagnostics, source, one->span,
                                           CHECK_UNDEFINED_DEVICE,
                                           "device '%s' is defined in a file that has an error",
                                           one->definition->name),
                            "correct %s first", one->definition->source->path);
}

static void resolve_each_use(struct resolver *resolver, criteria_function *function) {
    for (struct guard *guard = resolver->syntax->guards; guard; guard = guard->next)
        function(resolver, guard->source, guard->device);
    resolver->in_rule = true;
    for (struct rule *rule = resolver->syntax->rules; rule; rule = rule->next)
        for (struct action *action = rule->actions; action; action = action->next)
            if (action->verb != VERB_RUN)
                for (struct target *target = action->targets; target; target = target->next)
                    function(resolver, rule->source, target->device);
}

void resolve_names(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct resolver resolver = {
        .syntax = syntax, .diagnostics = diagnostics, .budget = SUGGESTION_BUDGET};
    resolve_index_definitions(&resolver);
    for (struct definition *one = syntax->definitions; one; one = one->next)
        resolve_definition(&resolver, one, one->source, one->name_span, 0);
    resolve_each_use(&resolver, resolve_top);
    free(resolver.slots);
    contradiction_check(syntax, diagnostics);
}

bool resolve_broken(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct resolver resolver = {.syntax = syntax, .diagnostics = diagnostics};
    size_t before = diagnostics->count;
    if (!syntax->definitions)
        return false;
    for (struct definition *one = syntax->definitions; one; one = one->next)
        resolve_report_broken(&resolver, one->source, one->device);
    resolve_each_use(&resolver, resolve_report_broken);
    return diagnostics->count > before;
}
