#include "parser/contradiction.h"

#include "parser/criterion.h"
#include "parser/print.h"
#include "parser/resolve.h"

#include <stdlib.h>
#include <string.h>

/* Pairs of criteria that are compared, for each of definitions, guards and rules: more would take
 * too long where names multiply. */
enum { BUDGET = 50000000 };
enum { DEEPEST = 256 }; /* nested definitions, since this recurses */

/* The conditions of one alternative, and those that must hold with them: each alternative of a name
 * is looked at together with what follows the name. */
struct match {
    const struct criterion *first;
    const struct match *outer; /* NULL: written where the mistake is reported */
    unsigned depth;
};

struct excluder {
    struct diagnostics *diagnostics;
    size_t budget;
    bool reported; /* that it is spent */
    const struct criterion *one,
        *other; /* the first pair that was found, `one` as it is written there */
};

static const struct criterion *contradiction_next_of(const struct criterion *one) {
    return one->next && !one->next->alternative ? one->next : NULL;
}

static const struct criterion *contradiction_next_alternative(const struct criterion *one) {
    do
        one = one->next;
    while (one && !one->alternative);
    return one;
}

/* A PCI device has one driver; a USB device may have one at each interface. */
static bool contradiction_is_of_pci(const struct match *match) {
    for (; match; match = match->outer)
        for (const struct criterion *one = match->first; one; one = contradiction_next_of(one))
            if (one->kind != CRITERION_NAME && resolve_buses(one) == BUS_NEEDS_PCI)
                return true;
    return false;
}

static bool contradiction_excludes(const struct criterion *one, const struct criterion *other,
                                   const struct match *match) {
    bool two_drivers = one->kind == CRITERION_DRIVER && other->kind == CRITERION_DRIVER &&
                       !one->negated && !other->negated && strcmp(one->text, other->text) != 0;
    return criterion_excludes(one, other) || (two_drivers && contradiction_is_of_pci(match));
}

/* Remembers the first pair of which one is written where it is reported. */
static bool contradiction_found(struct excluder *excluder, const struct criterion *one,
                                const struct criterion *other, const struct match *where) {
    if (!excluder->one && !where->outer) {
        excluder->one = one;
        excluder->other = other;
    }
    return true;
}

/* True when the condition excludes one of the match, before `end`, or of those around it. */
static bool contradiction_excludes_any(struct excluder *excluder, const struct criterion *one,
                                       const struct match *match, const struct criterion *end) {
    for (const struct match *inner = match; match; match = match->outer)
        for (const struct criterion *other = match->first;
             other && other != (match == inner ? end : NULL);
             other = contradiction_next_of(other)) {
            if (!excluder->budget)
                return false;
            excluder->budget--;
            if (contradiction_excludes(one, other, inner))
                return match == inner ? contradiction_found(excluder, one, other, match)
                                      : contradiction_found(excluder, other, one, match);
        }
    return false;
}

static bool contradiction_is_defined(const struct criterion *name) {
    return name->kind == CRITERION_NAME && name->resolved && name->definition->device &&
           !name->definition->device->incomplete;
}

static bool contradiction_is_known(const struct criterion *name) {
    return contradiction_is_defined(name) && !name->negated;
}

/* True when all that meets the match meets the condition too. */
static bool contradiction_implies(struct excluder *excluder, const struct match *match,
                                  const struct criterion *wanted) {
    for (; match; match = match->outer)
        for (const struct criterion *one = match->first; one && excluder->budget;
             one = contradiction_next_of(one)) {
            excluder->budget--;
            if (one != wanted && criterion_implies(one, wanted))
                return true;
        }
    return false;
}

/* True when "not NAME" leaves nothing of the match: one of the definition's alternatives is always
 * met. */
static bool contradiction_is_all_of(struct excluder *excluder, const struct match *match,
                                    const struct criterion *name) {
    if (!name->negated || !contradiction_is_defined(name) || name->definition->impossible)
        return false;
    for (const struct criterion *alternative = name->definition->device; alternative;
         alternative = contradiction_next_alternative(alternative)) {
        const struct criterion *one = alternative;
        while (one && contradiction_implies(excluder, match, one))
            one = contradiction_next_of(one);
        if (!one)
            return true;
    }
    return false;
}

static bool contradiction_can_match(struct excluder *excluder, const struct match *match);

/* An impossible definition is reported where it is written, not where it is used. */
static bool contradiction_can_match_name(struct excluder *excluder,
                                         const struct definition *definition,
                                         const struct match *outer, unsigned depth) {
    if (definition->impossible)
        return true;
    for (const struct criterion *one = definition->device; one;
         one = contradiction_next_alternative(one))
        if (contradiction_can_match(excluder, &(struct match){one, outer, depth}))
            return true;
    return false;
}

static bool contradiction_can_match(struct excluder *excluder, const struct match *match) {
    for (const struct criterion *one = match->first; one; one = contradiction_next_of(one))
        if (contradiction_excludes_any(excluder, one, match, one))
            return false;
    for (const struct match *outer = match; outer; outer = outer->outer)
        for (const struct criterion *one = outer->first; one; one = contradiction_next_of(one))
            if (contradiction_is_all_of(excluder, match, one))
                return !contradiction_found(excluder, one, match->first, outer);
    /* A name alone adds nothing to what is around it. */
    const struct match *around =
        match->outer && !contradiction_next_of(match->first) ? match->outer : match;
    return !excluder->budget || match->depth == DEEPEST || !contradiction_is_known(match->first) ||
           contradiction_can_match_name(excluder, match->first->definition, around,
                                        match->depth + 1);
}

/* --- messages */

static const char *contradiction_hint_of(const struct criterion *one, const struct criterion *other,
                                         bool in_rule) {
    if (!(resolve_buses(one) & resolve_buses(other)))
        return "they are for devices on different buses (PCI, USB, SCSI): leave one out";
    if (one->negated || other->negated)
        return "'not' excludes every device that the other condition selects: leave one of them "
               "out, or correct it";
    if (one->kind == CRITERION_VF)
        return "a virtual function has one number and one physical function: correct one of them";
    if (one->kind != other->kind)
        return "the port is not behind that hub, whose devices have ports like 1-1.4 where it has "
               "1-1: correct one of them";
    return in_rule ? "separate two devices with ',', two ways to find one with 'or'"
                   : "write 'or' between two ways to find one device; two devices are two lines";
}

static void contradiction_report(struct excluder *excluder, struct source *source,
                                 const struct criterion *alternative, bool in_rule) {
    const struct criterion *one = excluder->one, *other = excluder->other;
    bool here = false;
    for (const struct criterion *written = alternative; written;
         written = contradiction_next_of(written))
        here |= written == other;
    char *text = print_criterion_text(one),
         *with = print_criterion_text(here ? other : alternative);
    struct diagnostic *diagnostic =
        diagnostic_add(excluder->diagnostics, source, one->span, CHECK_IMPOSSIBLE_DEVICE, "%s", "");
    if (!here)
        diagnostic_message(diagnostic, "no device '%s' is also '%s'", with, text);
    else if (one->kind == other->kind && !one->negated && !other->negated &&
             one->kind != CRITERION_BELOW && one->kind != CRITERION_BUS &&
             one->kind != CRITERION_VF)
        diagnostic_message(diagnostic, "no device has both %s",
                           syntax_criterion(one->kind)->plural);
    else
        diagnostic_message(diagnostic, "no device has both '%s' and '%s'", with, text);
    free(text);
    free(with);
    if (here)
        diagnostic_hint(diagnostic, "%s", contradiction_hint_of(one, other, in_rule));
    else
        diagnostic_hint(diagnostic, "correct one of the two, or leave the condition out");
    struct source *origin = here ? source : alternative->definition->source;
    struct span span = here ? other->span : alternative->definition->span;
    diagnostic_note(diagnostic, origin, span, here ? "the first" : "defined here");
}

/* A name that is not the first is already reported. */
static bool contradiction_is_in_doubt(const struct criterion *alternative) {
    for (const struct criterion *one = contradiction_next_of(alternative); one;
         one = contradiction_next_of(one))
        if (one->kind == CRITERION_NAME && !one->negated)
            return true;
    return false;
}

/* That is reported already: only-not. */
static bool contradiction_is_only_not(const struct criterion *alternative) {
    const struct criterion *one = alternative;
    while (one && one->negated)
        one = contradiction_next_of(one);
    return !one;
}

/* As the rules are not wrong, this is a warning. */
static void contradiction_report_budget(struct excluder *excluder, struct source *source,
                                        struct span span) {
    struct diagnostic *diagnostic =
        diagnostic_add(excluder->diagnostics, source, span, CHECK_IMPOSSIBLE_DEVICE,
                       "from here on conditions are not compared with each other");
    diagnostic->fixed = true;
    diagnostic->severity = SEVERITY_WARNING;
    diagnostic_hint(diagnostic, "there are too many: the limit is %d comparisons", BUDGET);
    excluder->reported = true;
}

static bool contradiction_check_device(struct excluder *excluder, struct source *source,
                                       const struct criterion *device, bool in_rule);

static void contradiction_report_physical(struct excluder *excluder, struct source *source,
                                          const struct criterion *one, unsigned buses) {
    char *text = print_criterion_text(one), *labels = syntax_bus_labels(buses);
    struct diagnostic *diagnostic =
        diagnostic_add(excluder->diagnostics, source, one->span, CHECK_IMPOSSIBLE_DEVICE, "%s", "");
    if (buses)
        diagnostic_message(diagnostic, "'%s' is of %s devices, which have no virtual functions",
                           text, labels);
    else
        diagnostic_message(diagnostic, "'%s' is a virtual function, which has none itself", text);
    diagnostic_hint(diagnostic, buses ? "a PCI device follows 'of': vf of 8086:1572"
                                      : "the device that has it follows 'of': vf of 8086:1572");
    if (one->kind == CRITERION_NAME)
        diagnostic_note(diagnostic, one->definition->source, one->definition->span, "defined here");
    free(labels);
    free(text);
}

/* The buses that are left where none of the sets has PCI; 0: one has, or none is left. */
static unsigned contradiction_other_buses(unsigned bus_sets) {
    unsigned buses = 0;
    for (unsigned set = 1; set <= BUS_NEEDS_ANY; set++)
        if (bus_sets & 1U << set)
            buses |= set;
    return buses & BUS_NEEDS_PCI ? 0 : buses;
}

/* Whether there can be such a physical function: a PCI device that is not a virtual function. */
static bool contradiction_can_be_physical(struct excluder *excluder, struct source *source,
                                          const struct criterion *parent) {
    unsigned sets = RESOLVE_ANY_BUS;
    if (parent->incomplete)
        return true;
    if (!contradiction_check_device(excluder, source, parent, false))
        return false;
    for (const struct criterion *one = parent; one; one = one->next) {
        unsigned others = contradiction_other_buses(sets = resolve_narrow(sets, one));
        bool is_virtual = contradiction_is_known(one) && one->definition->is_virtual;
        if (others || is_virtual) {
            contradiction_report_physical(excluder, source, one, others);
            return false;
        }
    }
    return true;
}

static bool contradiction_check_physical(struct excluder *excluder, struct source *source,
                                         const struct criterion *alternative) {
    bool can = true;
    for (const struct criterion *one = alternative; one; one = contradiction_next_of(one))
        if (one->kind == CRITERION_VF)
            can &= contradiction_can_be_physical(excluder, source, one->parent);
    return can;
}

/* Returns false when every alternative is impossible. */
static bool contradiction_check_device(struct excluder *excluder, struct source *source,
                                       const struct criterion *device, bool in_rule) {
    bool can = !device || device->incomplete;
    for (const struct criterion *one = can ? NULL : device; one;
         one = contradiction_next_alternative(one)) {
        bool is_physical = contradiction_check_physical(excluder, source, one);
        excluder->one = excluder->other = NULL;
        bool matches = !contradiction_next_of(one) || contradiction_is_in_doubt(one) ||
                       contradiction_is_only_not(one) ||
                       contradiction_can_match(excluder, &(struct match){one, NULL, 0});
        if (!matches && excluder->one)
            contradiction_report(excluder, source, one, in_rule);
        if (!excluder->budget && !excluder->reported)
            contradiction_report_budget(excluder, source, one->span);
        can |= matches && is_physical;
    }
    return can;
}

static void contradiction_check_definition(struct excluder *excluder,
                                           struct definition *definition);

static void contradiction_check_definitions_in(struct excluder *excluder,
                                               const struct criterion *criteria) {
    for (const struct criterion *one = criteria; one; one = one->next)
        if (one->kind == CRITERION_VF)
            contradiction_check_definitions_in(excluder, one->parent);
        else if (contradiction_is_known(one))
            contradiction_check_definition(excluder, (struct definition *)one->definition);
}

/* The definitions that it uses first, so that each mistake is reported once. */
static void contradiction_check_definition(struct excluder *excluder,
                                           struct definition *definition) {
    if (definition->excluded)
        return;
    definition->excluded = true;
    contradiction_check_definitions_in(excluder, definition->device);
    definition->impossible =
        !contradiction_check_device(excluder, definition->source, definition->device, false);
}

void contradiction_check(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct excluder excluder = {.diagnostics = diagnostics, .budget = BUDGET};
    for (struct definition *one = syntax->definitions; one; one = one->next)
        contradiction_check_definition(&excluder, one);
    excluder = (struct excluder){.diagnostics = diagnostics, .budget = BUDGET};
    for (const struct guard *guard = syntax->guards; guard; guard = guard->next)
        contradiction_check_device(&excluder, guard->source, guard->device, false);
    excluder = (struct excluder){.diagnostics = diagnostics, .budget = BUDGET};
    for (const struct rule *rule = syntax->rules; rule; rule = rule->next)
        for (const struct action *action = rule->actions; action; action = action->next)
            if (action->verb != VERB_RUN)
                for (const struct target *one = action->targets; one; one = one->next)
                    contradiction_check_device(&excluder, rule->source, one->device, true);
}
