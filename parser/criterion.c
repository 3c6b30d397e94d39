#include "parser/criterion.h"

#include "parser/glob.h"

#include <stdlib.h>

/* What is not on one bus is on one of the others: `plain` says so then. A condition is copied only
 * if it has to be, since a large file asks some million times. */
static const struct criterion *criterion_plain_bus(const struct criterion *one,
                                                   struct criterion *plain) {
    if (one->kind != CRITERION_BUS || !one->negated)
        return one;
    *plain = *one;
    plain->negated = false;
    plain->bus ^= BUS_NEEDS_ANY;
    return plain;
}

/* The buses, of which a device needs one to meet the condition. */
static unsigned criterion_buses(const struct criterion *one) {
    unsigned buses = one->kind == CRITERION_BUS ? one->bus : syntax_criterion(one->kind)->buses;
    return buses ? buses : BUS_NEEDS_ANY;
}

bool criterion_is_below(const char *hub, const char *port) {
    size_t length = strlen(hub);
    return !strncmp(port, hub, length) && port[length] == '.';
}

/* --- the conditions without their 'not': all that meet `special` meet `general` */

static bool criterion_covers_id(const struct criterion *general, const struct criterion *special) {
    return (general->any_vendor ||
            (!special->any_vendor && general->id.vendor == special->id.vendor)) &&
           (general->any_device ||
            (!special->any_device && general->id.device == special->id.device));
}

static bool criterion_covers_class(struct class_prefix general, struct class_prefix special) {
    return general.digits <= special.digits &&
           special.value >> (4 * (special.digits - general.digits)) == general.value;
}

static bool criterion_is_place(const struct criterion *one) {
    return one->kind == CRITERION_PORT || one->kind == CRITERION_BELOW;
}

/* The ports that meet it, as a glob: "1-1.*" is all that is behind 1-1. The caller frees it. */
static char *criterion_place_glob(const struct criterion *place) {
    return memory_printf("%s%s", place->text, place->kind == CRITERION_BELOW ? ".*" : "");
}

static bool criterion_covers_place(const struct criterion *general,
                                   const struct criterion *special) {
    char *all = criterion_place_glob(general), *some = criterion_place_glob(special);
    bool covers = glob_covers(all, some);
    free(all);
    free(some);
    return covers;
}

static bool criterion_is_text(const struct criterion *one) {
    return one->kind == CRITERION_SERIAL || one->kind == CRITERION_PRODUCT ||
           one->kind == CRITERION_MANUFACTURER;
}

/* A text without 'like' is not a glob, whatever is in it. */
static bool criterion_covers_text(const struct criterion *general,
                                  const struct criterion *special) {
    if (special->like)
        return general->like && glob_covers(general->text, special->text);
    return general->like ? glob_matches(general->text, special->text, false)
                         : !strcmp(general->text, special->text);
}

static const struct criterion *criterion_next(const struct criterion *one) {
    return one->next && !one->next->alternative ? one->next : NULL;
}

/* So many conditions of a physical function are compared, since each is with each. */
enum { CRITERION_PARENTS = 64 };

/* Each condition on the general one's physical function follows from one on the other's. */
static bool criterion_covers_vf(const struct criterion *general, const struct criterion *special) {
    if (general->number >= 0 && general->number != special->number)
        return false;
    size_t wanted = 0;
    for (const struct criterion *one = general->parent; one; one = criterion_next(one)) {
        const struct criterion *other = special->parent;
        size_t compared = 0;
        while (other && compared++ < CRITERION_PARENTS && !criterion_implies(other, one))
            other = criterion_next(other);
        if (!other || compared > CRITERION_PARENTS || wanted++ >= CRITERION_PARENTS)
            return false;
    }
    return true;
}

static bool criterion_covers(const struct criterion *general, const struct criterion *special) {
    if (general->kind == CRITERION_BUS)
        return !(criterion_buses(special) & ~general->bus);
    if (general->kind == CRITERION_VF)
        return special->kind == CRITERION_VF && criterion_covers_vf(general, special);
    if (general->kind == special->kind && general->like == special->like &&
        syntax_criterion_bits(general) == syntax_criterion_bits(special))
        return true;
    if (criterion_is_place(general) && criterion_is_place(special))
        return criterion_covers_place(general, special);
    if (general->kind != special->kind)
        return false;
    switch (general->kind) {
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        return criterion_covers_id(general, special);
    case CRITERION_CLASS:
    case CRITERION_INTERFACE:
        return criterion_covers_class(general->class_prefix, special->class_prefix);
    case CRITERION_ADDRESS:
        return glob_covers(general->text, special->text);
    case CRITERION_DRIVER:
        return !strcmp(general->text, special->text);
    default:
        return criterion_is_text(general) && criterion_covers_text(general, special);
    }
}

/* --- the conditions without their 'not': none that meets one meets the other */

static bool criterion_other_id(const struct criterion *a, const struct criterion *b) {
    return (!a->any_vendor && !b->any_vendor && a->id.vendor != b->id.vendor) ||
           (!a->any_device && !b->any_device && a->id.device != b->id.device);
}

static bool criterion_other_class(struct class_prefix a, struct class_prefix b) {
    unsigned digits = a.digits < b.digits ? a.digits : b.digits;
    return a.value >> (4 * (a.digits - digits)) != b.value >> (4 * (b.digits - digits));
}

static bool criterion_other_text(const struct criterion *a, const struct criterion *b) {
    if (a->like && b->like)
        return !glob_texts_meet(a->text, b->text);
    return !criterion_covers_text(a->like ? a : b, a->like ? b : a);
}

static bool criterion_other_place(const struct criterion *a, const struct criterion *b) {
    char *one = criterion_place_glob(a), *other = criterion_place_glob(b);
    bool meet = glob_ports_meet(one, other);
    free(one);
    free(other);
    return !meet;
}

/* A virtual function has one number, and one physical function. */
static bool criterion_other_vf(const struct criterion *a, const struct criterion *b) {
    if (a->number >= 0 && b->number >= 0 && a->number != b->number)
        return true;
    size_t row = 0;
    for (const struct criterion *one = a->parent; one && row < CRITERION_PARENTS;
         one = criterion_next(one), row++) {
        size_t column = 0;
        for (const struct criterion *other = b->parent; other && column < CRITERION_PARENTS;
             other = criterion_next(other), column++)
            if (criterion_excludes(one, other))
                return true;
    }
    return false;
}

static bool criterion_parts(const struct criterion *a, const struct criterion *b) {
    if (!(criterion_buses(a) & criterion_buses(b)))
        return true;
    if (criterion_is_place(a) && criterion_is_place(b))
        return criterion_other_place(a, b);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        return criterion_other_id(a, b);
    case CRITERION_CLASS:
        return criterion_other_class(a->class_prefix, b->class_prefix);
    case CRITERION_ADDRESS:
        return strcmp(a->text, b->text) != 0 &&
               !((value_is_glob(a->text) || value_is_glob(b->text)) &&
                 glob_addresses_meet(a->text, b->text));
    case CRITERION_VF:
        return criterion_other_vf(a, b);
    case CRITERION_SCSI:
        return a->text != b->text;
    default: /* a device may have several interfaces, and a driver at each */
        return criterion_is_text(a) && criterion_other_text(a, b);
    }
}

/* --- with their 'not' */

bool criterion_excludes(const struct criterion *one, const struct criterion *other) {
    struct criterion plain[2];
    const struct criterion *a = criterion_plain_bus(one, &plain[0]);
    const struct criterion *b = criterion_plain_bus(other, &plain[1]);
    if (a->negated && b->negated)
        return false;
    if (a->negated || b->negated)
        return a->negated ? criterion_covers(a, b) : criterion_covers(b, a);
    return criterion_parts(a, b);
}

bool criterion_implies(const struct criterion *one, const struct criterion *other) {
    struct criterion plain[2];
    const struct criterion *a = criterion_plain_bus(one, &plain[0]);
    const struct criterion *b = criterion_plain_bus(other, &plain[1]);
    if (a->negated && b->negated)
        return criterion_covers(a, b);
    if (a->negated)
        return false;
    return b->negated ? criterion_parts(a, b) : criterion_covers(b, a);
}
