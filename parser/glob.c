#include "parser/glob.h"

#include "lexer/memory.h"

#include <fnmatch.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 128 };    /* bytes of a glob that are compared */
enum { UUID_PLACES = 36 }; /* digits and dashes */

/* A glob must mean the same by hand and in the hook, which libvirt gives LC_ALL=C. Most rules have
 * none, and then what the locale says of characters need not be read at each start of the engine.
 */
bool glob_matches(const char *glob, const char *text, bool any_case) {
    static bool is_set;
    if (!is_set && !setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
    is_set = true;
    return fnmatch(glob, text, any_case ? FNM_CASEFOLD : 0) == 0;
}

size_t glob_bracket_length(const char *text) {
    size_t at = 1 + (text[1] == '!' || text[1] == '^');
    for (at += text[at] == ']'; text[at] && text[at] != ']'; at++) {
        const char *end =
            text[at] == '[' && text[at + 1] == ':' ? strstr(text + at + 2, ":]") : NULL;
        if (end)
            at = (size_t)(end + 1 - text);
    }
    return text[at] ? at + 1 : 0;
}

/* Of a character beyond ASCII nothing is said: it may be one of them. */
static bool glob_is_void_bracket(const char *bracket, size_t length) {
    char *alone = memory_strndup(bracket, length);
    bool found = false;
    for (size_t i = 0; i < length; i++)
        found |= (alone[i] & 0x80) != 0;
    for (char letter[2] = " "; !found && *letter < 0x7f; (*letter)++)
        found = glob_matches(alone, letter, false);
    free(alone);
    return !found;
}

bool glob_is_void(const char *glob) {
    for (; (glob = strchr(glob, '[')); glob++) {
        size_t length = glob_bracket_length(glob);
        if (length && glob_is_void_bracket(glob, length))
            return true;
        glob += length ? length - 1 : 0;
    }
    return false;
}

/* --- UUIDs */

/* A bit for each place of a UUID that the glob may have reached: where a further element leads from
 * there. */
static uint64_t glob_step_uuid(uint64_t reached, const char *element, bool several) {
    static const char *const fits[] = {"0123456789abcdefABCDEF", "-"};
    uint64_t next = several ? reached : 0;
    for (size_t at = 0; at < UUID_PLACES; at++) {
        const char *letters = fits[at == 8 || at == 13 || at == 18 || at == 23];
        bool fit = several;
        for (; *letters && !fit; letters++)
            fit = glob_matches(element, (char[2]){*letters, 0}, false);
        if (fit && (several ? next : reached) >> at & 1)
            next |= (uint64_t)1 << (at + 1);
    }
    return next;
}

bool glob_meets_uuid(const char *glob) {
    uint64_t reached = 1;
    while (*glob && reached) {
        size_t length = *glob == '[' ? glob_bracket_length(glob) : 1;
        char *element = memory_strndup(glob, length ? length : 1);
        reached = glob_step_uuid(reached, element, *glob == '*');
        free(element);
        glob += length ? length : 1;
    }
    return reached >> UUID_PLACES & 1;
}

/* --- two globs together */

/* A set of characters: bits by their code, and bit 0 for those beyond ASCII. */
struct glob_letters {
    uint64_t low, high;
};

static const struct glob_letters any_letter = {UINT64_MAX, UINT64_MAX};

static struct glob_letters glob_letters_of(const char *text) {
    struct glob_letters letters = {0};
    for (; *text; text++)
        *(*text & 0x40 ? &letters.high : &letters.low) |= (uint64_t)1 << (*text & 0x3f);
    return letters;
}

/* One place of a glob: the letters that fit, or any number of them. */
struct glob_place {
    struct glob_letters letters;
    bool several;
};

struct places {
    struct glob_place list[LONGEST];
    size_t count;
};

/* The bytes of the element that the glob begins with. */
static size_t glob_element_length(const char *glob) {
    size_t length = *glob == '[' ? glob_bracket_length(glob) : *glob == '\\' && glob[1] ? 2 : 1;
    return length ? length : 1;
}

static struct glob_letters glob_element_letters(const char *glob, size_t length) {
    char *alone = memory_strndup(glob, length), fits[128];
    size_t count = 0;
    for (char letter[2] = {1}; *letter > 0; (*letter)++) {
        if (glob_matches(alone, letter, false))
            fits[count++] = *letter;
        if (*letter == 0x7f)
            break;
    }
    fits[count] = '\0';
    struct glob_letters letters = glob_letters_of(fits);
    bool beyond = *alone == '?' || *alone == '*' || (*alone == '[' && strchr("!^", alone[1]));
    for (const char *at = alone; *at; at++)
        beyond |= (*at & 0x80) != 0;
    letters.low |= beyond;
    free(alone);
    return letters;
}

static void glob_read_glob(struct places *places, const char *glob) {
    places->count = 0;
    while (*glob && places->count < LONGEST) {
        size_t length = glob_element_length(glob);
        places->list[places->count++] =
            (struct glob_place){glob_element_letters(glob, length), .several = *glob == '*'};
        glob += length;
    }
}

struct glob_walk {
    struct places one, other;
    const struct glob_shape *shape;
    bool *seen; /* by the places in both globs and in the shape */
    struct state {
        uint8_t one, other, shape;
    } * open;
    size_t open_count;
};

/* How the texts look that the globs are to match: a text is read from left to right, from state 0
 * on. */
struct glob_shape {
    size_t states;
    bool (*is_whole)(size_t state);
    /* Calls glob_step() for the letters that can be next. */
    void (*step)(struct glob_walk *walk, struct state from);
};

static void glob_visit(struct glob_walk *walk, size_t one, size_t other, size_t shape) {
    size_t index = (one * (walk->other.count + 1) + other) * walk->shape->states + shape;
    if (walk->seen[index])
        return;
    walk->seen[index] = true;
    walk->open[walk->open_count++] = (struct state){(uint8_t)one, (uint8_t)other, (uint8_t)shape};
}

static void glob_step(struct glob_walk *walk, struct state from, struct glob_letters letters,
                      size_t shape) {
    if (from.one == walk->one.count || from.other == walk->other.count)
        return;
    const struct glob_place *one = &walk->one.list[from.one],
                            *other = &walk->other.list[from.other];
    letters.low &= one->letters.low & other->letters.low;
    letters.high &= one->letters.high & other->letters.high;
    if (letters.low || letters.high)
        glob_visit(walk, from.one + !one->several, from.other + !other->several, shape);
}

static bool glob_is_several(const struct places *places, size_t at) {
    return at < places->count && places->list[at].several;
}

static bool glob_search(struct glob_walk *walk) {
    glob_visit(walk, 0, 0, 0);
    while (walk->open_count) {
        struct state now = walk->open[--walk->open_count];
        if (now.one == walk->one.count && now.other == walk->other.count &&
            walk->shape->is_whole(now.shape))
            return true;
        if (glob_is_several(&walk->one, now.one))
            glob_visit(walk, now.one + 1U, now.other, now.shape);
        if (glob_is_several(&walk->other, now.other))
            glob_visit(walk, now.one, now.other + 1U, now.shape);
        walk->shape->step(walk, now);
    }
    return false;
}

static bool glob_meet(const char *one, const char *other, const struct glob_shape *shape) {
    if (strlen(one) > LONGEST || strlen(other) > LONGEST)
        return true;
    struct glob_walk *walk = memory_zalloc(sizeof *walk);
    walk->shape = shape;
    glob_read_glob(&walk->one, one);
    glob_read_glob(&walk->other, other);
    size_t states = (walk->one.count + 1) * (walk->other.count + 1) * shape->states;
    walk->seen = memory_zalloc(states * sizeof *walk->seen);
    walk->open = memory_zalloc(states * sizeof *walk->open);
    bool meet = glob_search(walk);
    free(walk->seen);
    free(walk->open);
    free(walk);
    return meet;
}

/* --- PCI addresses */

/* How much of the domain was read, then of the rest. A domain that begins with 0 has the least
 * number of digits. */
enum {
    DOMAIN_LEAST = 4,
    DOMAIN_MOST = 8,
    BUS = DOMAIN_MOST + 1,
    WHOLE = BUS + 7,
    FIRST_ZERO, /* of such a domain the first digit is read */
    LAST_ZERO = FIRST_ZERO + DOMAIN_LEAST - 1,
    STATES
};

#define HEX "0123456789abcdef"

static bool glob_is_whole_address(size_t state) {
    return state == WHOLE;
}

static void glob_step_address(struct glob_walk *walk, struct state from) {
    static const char *const rest[] = {HEX, HEX, ":", "01", HEX, ".", "01234567"};
    if (from.shape >= BUS && from.shape < WHOLE)
        glob_step(walk, from, glob_letters_of(rest[from.shape - BUS]), from.shape + 1U);
    if (from.shape == 0)
        glob_step(walk, from, glob_letters_of("0"), FIRST_ZERO);
    if (from.shape < DOMAIN_MOST)
        glob_step(walk, from, glob_letters_of(from.shape ? HEX : &HEX[1]), from.shape + 1U);
    if (from.shape >= FIRST_ZERO && from.shape < LAST_ZERO)
        glob_step(walk, from, glob_letters_of(HEX), from.shape + 1U);
    if ((from.shape >= DOMAIN_LEAST && from.shape <= DOMAIN_MOST) || from.shape == LAST_ZERO)
        glob_step(walk, from, glob_letters_of(":"), BUS);
}

bool glob_addresses_meet(const char *one, const char *other) {
    static const struct glob_shape shape = {STATES, glob_is_whole_address, glob_step_address};
    return glob_meet(one, other, &shape);
}

/* --- USB ports */

/* Before the first digit of the bus, in the bus, before the first digit of a port, in a port. */
enum { PORT_BUS, PORT_IN_BUS, PORT_NEXT, PORT_IN_PORT, PORT_STATES };

static bool glob_is_whole_port(size_t state) {
    return state == PORT_IN_PORT;
}

static void glob_step_port(struct glob_walk *walk, struct state from) {
    bool first = from.shape == PORT_BUS || from.shape == PORT_NEXT;
    size_t within = from.shape <= PORT_IN_BUS ? PORT_IN_BUS : PORT_IN_PORT;
    glob_step(walk, from, glob_letters_of(first ? "123456789" : "0123456789"), within);
    if (from.shape == PORT_IN_BUS)
        glob_step(walk, from, glob_letters_of("-"), PORT_NEXT);
    if (from.shape == PORT_IN_PORT)
        glob_step(walk, from, glob_letters_of("."), PORT_NEXT);
}

bool glob_ports_meet(const char *one, const char *other) {
    static const struct glob_shape shape = {PORT_STATES, glob_is_whole_port, glob_step_port};
    return glob_meet(one, other, &shape);
}

/* --- any texts */

static bool glob_is_any_text(size_t state) {
    (void)state;
    return true;
}

static void glob_step_text(struct glob_walk *walk, struct state from) {
    glob_step(walk, from, any_letter, 0);
}

bool glob_texts_meet(const char *one, const char *other) {
    static const struct glob_shape shape = {1, glob_is_any_text, glob_step_text};
    return glob_meet(one, other, &shape);
}

bool glob_covers(const char *general, const char *special) {
    static const char wildcards[] = "*?[\\";
    size_t fixed = strcspn(general, wildcards);
    if (!special[strcspn(special, wildcards)])
        return glob_matches(general, special, false);
    return !strcmp(general, special) ||
           (!strcmp(general + fixed, "*") && strcspn(special, wildcards) >= fixed &&
            !strncmp(general, special, fixed));
}
