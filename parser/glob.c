#include "parser/glob.h"

#include "lexer/memory.h"

#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 128 };    /* bytes of a glob that are compared */
enum { UUID_PLACES = 36 }; /* digits and dashes */

static const char ALPHABET[] =
    "0123456789abcdef:.-"; /* what addresses and ports are written with */
enum { LETTERS = sizeof ALPHABET - 1 };

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
        found = fnmatch(alone, letter, 0) == 0;
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
            fit = fnmatch(element, (char[2]){*letters, 0}, 0) == 0;
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

/* --- addresses */

/* One place of a glob: the letters that fit, or any number of them. */
struct glob_place {
    uint32_t letters; /* bits by the place in ALPHABET */
    bool several;
};

struct places {
    struct glob_place list[LONGEST];
    size_t count;
};

static uint32_t glob_letters_of(const char *glob, size_t length) {
    char *alone = memory_strndup(glob, length);
    uint32_t letters = 0;
    for (size_t i = 0; i < LETTERS; i++) {
        char letter[2] = {ALPHABET[i], 0};
        if (fnmatch(alone, letter, 0) == 0)
            letters |= 1U << i;
    }
    free(alone);
    return letters;
}

static void glob_read_glob(struct places *places, const char *glob) {
    places->count = 0;
    while (*glob && places->count < LONGEST) {
        size_t length = *glob == '[' ? glob_bracket_length(glob) : 1;
        length = length ? length : 1;
        places->list[places->count++] =
            (struct glob_place){glob_letters_of(glob, length), .several = *glob == '*'};
        glob += length;
    }
}

/* An address is read from left to right: how much of its domain, then of the rest. A domain that
 * begins with 0 has the least number of digits. */
enum {
    DOMAIN_LEAST = 4,
    DOMAIN_MOST = 8,
    BUS = DOMAIN_MOST + 1,
    WHOLE = BUS + 7,
    FIRST_ZERO, /* of such a domain the first digit is read */
    LAST_ZERO = FIRST_ZERO + DOMAIN_LEAST - 1,
    STATES
};

enum { ZERO = 1, DECIMAL = 0x3ff, HEX = 0xffff, COLON = 1U << 16, DOT = 1U << 17, DASH = 1U << 18 };

/* A port is read likewise. Each number begins with a digit other than 0. */
enum { PORT_BUS, PORT_IN_BUS, PORT_NUMBER, PORT_IN_NUMBER };

struct glob_walk {
    struct places one, other;
    bool ports; /* otherwise addresses */
    bool *seen; /* by the places in both globs and in the address */
    struct state {
        uint8_t one, other, address;
    } * open;
    size_t open_count;
};

static void glob_visit(struct glob_walk *walk, size_t one, size_t other, size_t address) {
    size_t index = (one * (walk->other.count + 1) + other) * STATES + address;
    if (walk->seen[index])
        return;
    walk->seen[index] = true;
    walk->open[walk->open_count++] = (struct state){(uint8_t)one, (uint8_t)other, (uint8_t)address};
}

static void glob_step(struct glob_walk *walk, struct state from, uint32_t letters, size_t address) {
    if (from.one == walk->one.count || from.other == walk->other.count)
        return;
    const struct glob_place *one = &walk->one.list[from.one],
                            *other = &walk->other.list[from.other];
    letters &= one->several ? UINT32_MAX : one->letters;
    letters &= other->several ? UINT32_MAX : other->letters;
    if (letters)
        glob_visit(walk, from.one + !one->several, from.other + !other->several, address);
}

/* The letters that can be next in a port, and where they lead. */
static void glob_step_port(struct glob_walk *walk, struct state from) {
    bool begins = from.address == PORT_BUS || from.address == PORT_NUMBER;
    glob_step(walk, from, begins ? DECIMAL & ~ZERO : DECIMAL,
              from.address < PORT_NUMBER ? PORT_IN_BUS : PORT_IN_NUMBER);
    if (!begins)
        glob_step(walk, from, from.address == PORT_IN_BUS ? DASH : DOT, PORT_NUMBER);
}

/* The letters that can be next in an address, and where they lead. */
static void glob_step_address(struct glob_walk *walk, struct state from) {
    static const uint32_t rest[] = {HEX, HEX, COLON, 3 /* 0 or 1 */, HEX, DOT, 0xff};
    if (from.address >= BUS && from.address < WHOLE)
        glob_step(walk, from, rest[from.address - BUS], from.address + 1U);
    if (from.address == 0)
        glob_step(walk, from, ZERO, FIRST_ZERO);
    if (from.address < DOMAIN_MOST)
        glob_step(walk, from, from.address ? HEX : HEX & ~ZERO, from.address + 1U);
    if (from.address >= FIRST_ZERO && from.address < LAST_ZERO)
        glob_step(walk, from, HEX, from.address + 1U);
    if ((from.address >= DOMAIN_LEAST && from.address <= DOMAIN_MOST) || from.address == LAST_ZERO)
        glob_step(walk, from, COLON, BUS);
}

static bool glob_is_several(const struct places *places, size_t at) {
    return at < places->count && places->list[at].several;
}

static bool glob_search(struct glob_walk *walk) {
    glob_visit(walk, 0, 0, 0);
    while (walk->open_count) {
        struct state now = walk->open[--walk->open_count];
        if (now.one == walk->one.count && now.other == walk->other.count &&
            now.address == (walk->ports ? PORT_IN_NUMBER : WHOLE))
            return true;
        if (glob_is_several(&walk->one, now.one))
            glob_visit(walk, now.one + 1U, now.other, now.address);
        if (glob_is_several(&walk->other, now.other))
            glob_visit(walk, now.one, now.other + 1U, now.address);
        if (walk->ports)
            glob_step_port(walk, now);
        else
            glob_step_address(walk, now);
    }
    return false;
}

static bool glob_meet(const char *one, const char *other, bool ports) {
    if (strlen(one) > LONGEST || strlen(other) > LONGEST)
        return true;
    struct glob_walk *walk = memory_zalloc(sizeof *walk);
    walk->ports = ports;
    glob_read_glob(&walk->one, one);
    glob_read_glob(&walk->other, other);
    size_t states = (walk->one.count + 1) * (walk->other.count + 1) * STATES;
    walk->seen = memory_zalloc(states * sizeof *walk->seen);
    walk->open = memory_zalloc(states * sizeof *walk->open);
    bool meet = glob_search(walk);
    free(walk->seen);
    free(walk->open);
    free(walk);
    return meet;
}

bool glob_addresses_meet(const char *one, const char *other) {
    return glob_meet(one, other, false);
}

bool glob_ports_meet(const char *one, const char *other) {
    return glob_meet(one, other, true);
}
