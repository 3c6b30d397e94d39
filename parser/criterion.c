#include "parser/criterion.h"

#include "parser/glob.h"

#include <fnmatch.h>
#include <stdlib.h>

/* There are two buses: what is not on one is on the other. */
static struct criterion criterion_plain_bus(const struct criterion *one) {
    struct criterion plain = *one;
    if (plain.kind == CRITERION_BUS && plain.negated) {
        plain.negated = false;
        plain.bus ^= BUS_NEEDS_PCI | BUS_NEEDS_USB;
    }
    return plain;
}

/* The bus that a device needs to meet the condition; 0: any. */
static unsigned criterion_bus(const struct criterion *one) {
    return one->kind == CRITERION_BUS ? one->bus : syntax_criterion(one->kind)->bus;
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

/* "1-1.*" has all that is behind 1-1 and behind what is behind it. */
static bool criterion_covers_hub(const char *glob, const char *hub) {
    size_t length = strlen(glob), fixed = strcspn(glob, "*?[");
    return fixed > 0 && fixed + 1 == length && glob[fixed] == '*' &&
           (!strncmp(hub, glob, fixed) ||
            (strlen(hub) + 1 == fixed && !strncmp(hub, glob, fixed - 1) && glob[fixed - 1] == '.'));
}

static bool criterion_covers_port(const struct criterion *general,
                                  const struct criterion *special) {
    if (general->kind == CRITERION_BELOW)
        return criterion_is_below(general->text, special->text) ||
               (special->kind == CRITERION_BELOW && general->text == special->text);
    if (special->kind == CRITERION_BELOW)
        return criterion_covers_hub(general->text, special->text);
    return !value_is_glob(special->text) && fnmatch(general->text, special->text, 0) == 0;
}

static bool criterion_is_place(const struct criterion *one) {
    return one->kind == CRITERION_PORT || one->kind == CRITERION_BELOW;
}

static bool criterion_covers(const struct criterion *general, const struct criterion *special) {
    if (general->kind == special->kind && general->like == special->like &&
        syntax_criterion_bits(general) == syntax_criterion_bits(special))
        return true;
    if (general->kind == CRITERION_BUS)
        return criterion_bus(special) == general->bus;
    if (criterion_is_place(general) && criterion_is_place(special))
        return criterion_covers_port(general, special);
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
        return !value_is_glob(special->text) && fnmatch(general->text, special->text, 0) == 0;
    case CRITERION_SERIAL:
    case CRITERION_PRODUCT:
    case CRITERION_MANUFACTURER:
        return general->like && !special->like && fnmatch(general->text, special->text, 0) == 0;
    default:
        return false;
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
        return false;
    if (a->like || b->like)
        return fnmatch(a->like ? a->text : b->text, a->like ? b->text : a->text, 0) != 0;
    return strcmp(a->text, b->text) != 0;
}

static bool criterion_is_elsewhere(const char *hub, const char *port) {
    char *below = memory_printf("%s.*", hub);
    bool elsewhere = !glob_ports_meet(below, port);
    free(below);
    return elsewhere;
}

static bool criterion_other_place(const struct criterion *a, const struct criterion *b) {
    if (a->kind == CRITERION_BELOW && b->kind == CRITERION_BELOW)
        return strcmp(a->text, b->text) != 0 && !criterion_is_below(a->text, b->text) &&
               !criterion_is_below(b->text, a->text);
    if (a->kind == CRITERION_BELOW || b->kind == CRITERION_BELOW)
        return a->kind == CRITERION_BELOW ? criterion_is_elsewhere(a->text, b->text)
                                          : criterion_is_elsewhere(b->text, a->text);
    return !glob_ports_meet(a->text, b->text);
}

static bool criterion_parts(const struct criterion *a, const struct criterion *b) {
    unsigned bus = criterion_bus(a), other = criterion_bus(b);
    if (bus && other && bus != other)
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
        return a->text != b->text && !((value_is_glob(a->text) || value_is_glob(b->text)) &&
                                       glob_addresses_meet(a->text, b->text));
    case CRITERION_SERIAL:
    case CRITERION_PRODUCT:
    case CRITERION_MANUFACTURER:
        return criterion_other_text(a, b);
    default: /* a device may have several interfaces, and a driver at each */
        return false;
    }
}

/* --- with their 'not' */

bool criterion_excludes(const struct criterion *one, const struct criterion *other) {
    struct criterion a = criterion_plain_bus(one), b = criterion_plain_bus(other);
    if (a.negated && b.negated)
        return false;
    if (a.negated || b.negated)
        return a.negated ? criterion_covers(&a, &b) : criterion_covers(&b, &a);
    return criterion_parts(&a, &b);
}

bool criterion_implies(const struct criterion *one, const struct criterion *other) {
    struct criterion a = criterion_plain_bus(one), b = criterion_plain_bus(other);
    if (a.negated && b.negated)
        return criterion_covers(&a, &b);
    if (a.negated)
        return false;
    return b.negated ? criterion_parts(&a, &b) : criterion_covers(&b, &a);
}
