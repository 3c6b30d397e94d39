/* Globs against fnmatch(), which has the last word on them. */
#include "front.h"
#include "parser/glob.h"
#include "tests/unit/range.h"

#include <ctype.h>
#include <fnmatch.h>

static void test_brackets(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } rows[] = {{"[a]b", 3}, {"[]a]b", 4},   {"[!]]", 4}, {"[^]]x", 4}, {"[[:alpha:]]x", 11},
                {"[a", 0},   {"[]", 0},      {"[!]", 0},  {"[[:a]", 5}, {"[a[:digit:]-]", 13},
                {"[", 0},    {"[[:foo:]", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(glob_bracket_length(rows[i].text), rows[i].length);
}

/* Whatever the environment says: a character may have several bytes. */
static void test_characters(void **state) {
    (void)state;
    assert_true(glob_matches("b?r", "b\xc3\xa4r", false));
    assert_true(glob_matches("b[\xc3\xa0-\xc3\xa9]r", "b\xc3\xa4r", false));
    assert_false(glob_matches("B\xc3\x84R*", "b\xc3\xa4r", false));
    assert_true(glob_matches("B\xc3\x84R*", "b\xc3\xa4r", true));
}

static void test_void_globs(void **state) {
    (void)state;
    static const char *const nothing[] = {"[z-a]x", "x[[:foo:]]", "a[b]c[9-0]", "[[:cntrl:]]"};
    static const char *const something[] = {"*",     "a?c",   "[a-z]x",      "[!a]",
                                            "[^a]*", "[]a]b", "[[:alpha:]]", "[[:digit:]x]-",
                                            "[ä-ü]", "[z-ax]"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_true(glob_is_void(nothing[i]));
    for (size_t i = 0; i < sizeof something / sizeof *something; i++)
        assert_false(glob_is_void(something[i]));
}

static void test_uuids(void **state) {
    (void)state;
    static const char *const some[] = {"*",
                                       "8a0e*",
                                       "8A0E*-[0-9A-F]*",
                                       "*-4c56-*",
                                       "8a0e7d2?-55b?-4c5?-9d3?-0f6b1a2c3d4?",
                                       "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4[e]",
                                       "*4e"};
    static const char *const none[] = {"",
                                       "x*",
                                       "8a0e7-*",
                                       "8a0e_*",
                                       "[!0-9a-fA-F-]*",
                                       "????????????????????????????????",
                                       "8a0e7d2?-55b?-4c5?-9d3?-0f6b1a2c3d4",
                                       "*-",
                                       "*Büro*"};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (!glob_meets_uuid(some[i]))
            fail_msg("%s", some[i]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (glob_meets_uuid(none[i]))
            fail_msg("%s", none[i]);
}

static void test_addresses(void **state) {
    (void)state;
    static const struct {
        const char *one, *other;
        bool meet;
    } rows[] = {
        {"0000:03:00.0", "*", true},
        {"0000:?:00.0", "*", false},
        {"0000:03:00.8", "*", false},
        {"0000:03:2?.0", "*", false},
        {"*:03:00.0", "*", true},
        {"??:03:00.0", "*", false},
        {"10000:e1:00.*", "*", true},
        {"12345678:e1:00.*", "*", true},
        {"1?????????:e1:00.*", "*", false},
        {"0000?:e1:00.*", "*", false}, /* the kernel prints 0000?: without the zeros */
        {"[0-9]000?:e1:00.*", "0*", false},
        {"[0-9]000?:e1:00.*", "9*", true},
        {"0???:e1:00.0", "*", true},
        {"0??:e1:00.0", "*", false},
        {"10001:*", "*", true},
        {"10001:*", "1000?:02:00.0", true},
        {"10001:*", "0000:*", false},
        {"10001:*", "1000:*", false},
        {"0000:03:0[0-4].*", "0000:03:0[5-9].*", false},
        {"0000:*.0", "*.1", false},
        {"0000:*.0", "*:00.*", true},
        {"*", "*", true},
        {"000[!0]:*", "0000:*", false},
        {"*:[0-4]?:*", "*:4[a-f]:*", true},
        {"*:[0-4]?:*", "*:5?:*", false},
        {"*0.0", "*1.*", false},
        {"*:*:*:*", "*", false},
        {"0000:*03*:00.0", "*04*", false},
        {"", "*", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (glob_addresses_meet(rows[i].one, rows[i].other) != rows[i].meet ||
            glob_addresses_meet(rows[i].other, rows[i].one) != rows[i].meet)
            fail_msg("%s and %s", rows[i].one, rows[i].other);
    }
}

static void test_ports_together(void **state) {
    (void)state;
    static const struct {
        const char *one, *other;
        bool meet;
    } rows[] = {
        {"1-1.4", "1-1.*", true},
        {"1-1.4", "1-1.4", true},
        {"1-1.4", "1-1.5", false},
        {"1-1.*", "2-*", false},
        {"1-*", "*-1", true},
        {"1-1.*", "*-1", false},
        {"1-1.[2-4]", "1-1.[4-6]", true},
        {"1-1.[2-4]", "1-1.[5-6]", false},
        {"1-?", "1-1.*", false},
        {"1-1.*", "1-1??", true},
        {"1-1.*", "1-1?", false},
        {"*-0", "*", false},
        {"*.", "*", false},
        {"0*", "*", false},
        {"*.0*", "*", false},
        {"*-*-*", "*", false},
        {"*.*-*", "*", false},
        {"?*-10", "*0", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_ports_meet(rows[i].one, rows[i].other) != rows[i].meet ||
            glob_ports_meet(rows[i].other, rows[i].one) != rows[i].meet)
            fail_msg("%s and %s", rows[i].one, rows[i].other);
}

static void test_texts(void **state) {
    (void)state;
    static const struct {
        const char *one, *other;
        bool meet;
    } rows[] = {
        {"a*", "b*", false},        {"a*", "*b", true},         {"a", "a?", false},
        {"[!a]*", "a*", false},     {"[!a]*", "[!b]*", true},   {"[a-f]x", "[g-z]x", false},
        {"\xc3\xa4*", "a*", false}, {"\xc3\xa4*", "?*", true},  {"\xc3\xa4*", "[!a]*", true},
        {"\\*", "x*", false},       {"\\*", "[*]", true},       {"*", "", true},
        {"?", "", false},           {"C9?? *", "C920 *", true}, {"WD *", "* WD", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_texts_meet(rows[i].one, rows[i].other) != rows[i].meet ||
            glob_texts_meet(rows[i].other, rows[i].one) != rows[i].meet)
            fail_msg("%s and %s", rows[i].one, rows[i].other);
}

static void test_covers(void **state) {
    (void)state;
    static const struct {
        const char *general, *special;
        bool covers;
    } rows[] = {
        {"*", "x?", true},           {"1-1.*", "1-1.4.*", true},
        {"1-1.4.*", "1-1.*", false}, {"1-1.*", "1-1.[2-4]", true},
        {"1-1*", "1-1.*", true},     {"1-?", "1-?", true},
        {"1-?", "1-[1-4]", false},   /* not known */ {"a*", "ab", true},
        {"a*", "b", false},          {"a*b", "a*b", true},
        {"a*b", "axb*", false},      {"a*", "[a]*", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_covers(rows[i].general, rows[i].special) != rows[i].covers)
            fail_msg("%s of %s", rows[i].general, rows[i].special);
}

static bool match_together(const char *one, const char *other) {
    char address[16];
    for (unsigned i = 0; i < 65536; i++) {
        snprintf(address, sizeof address, "0000:%02x:%02x.%x", i >> 8, i >> 3 & 31, i & 7);
        if (!fnmatch(one, address, 0) && !fnmatch(other, address, 0))
            return true;
    }
    return false;
}

static unsigned pick(unsigned *seed, unsigned count) {
    *seed = *seed * 1103515245U + 12345U;
    return (*seed >> 16) % count;
}

/* An address in which some characters have become globs, all below domain 0000. */
static void make_glob(char *glob, unsigned *seed) {
    static const char *const pieces[] = {"*", "?", "[0-3]", "[!0]", "[1a-c]"};
    char address[16];
    snprintf(address, sizeof address, "%02x:%02x.%x", pick(seed, 256) & 0x11, pick(seed, 32) & 1,
             pick(seed, 8) & 1);
    *glob = 0;
    strcat(glob, "0000:");
    for (const char *at = address; *at; at++) {
        char letter[2] = {*at, 0};
        strcat(glob, pick(seed, 2) ? letter : pieces[pick(seed, 5)]);
    }
}

static void test_addresses_against_all_of_a_domain(void **state) {
    (void)state;
    unsigned seed = 12;
    size_t meet = 0;
    enum { PAIRS = 150 };
    for (size_t i = 0; i < PAIRS; i++) {
        char one[100], other[100];
        make_glob(one, &seed);
        make_glob(other, &seed);
        bool expected = match_together(one, other);
        meet += expected;
        if (glob_addresses_meet(one, other) != expected)
            fail_msg("%s and %s", one, other);
    }
    assert_int_in_range(meet, 10, PAIRS - 10);
}

static void test_ports(void **state) {
    (void)state;
    static const char *const some[] = {"*",    "1-*", "1-1.*",       "[1-2]-?", "1-1.[2-4]",
                                       "1-1*", "?-1", "1?-4.*.[!0]", "*.4",     "10-12.3.14"};
    static const char *const none[] = {"0*", "1-0*",    "1-1.0", "1-*-*", "1-",
                                       "*.", "1-1.*:*", "1",     ""};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (!glob_ports_meet(some[i], "*"))
            fail_msg("no port matches %s", some[i]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (glob_ports_meet(none[i], "*"))
            fail_msg("a port matches %s", none[i]);
}

static bool match_port_together(const char *one, const char *other) {
    char port[32];
    for (unsigned i = 0; i < 12 * 12 * 13; i++) {
        unsigned bus = i % 12, hub = i / 12 % 12, last = i / 144;
        snprintf(port, sizeof port, last ? "%u-%u.%u" : "%u-%u", bus + 1, hub + 1, last);
        if (!fnmatch(one, port, 0) && !fnmatch(other, port, 0))
            return true;
    }
    return false;
}

/* Ports of which some characters are wildcards that are one character each, and few, so that those
 * of two levels decide. */
static void make_port_glob(char *glob, unsigned *seed) {
    static const char *const pieces[] = {"?", "[1-2]", "[!1]"};
    char port[16];
    snprintf(port, sizeof port, "%u-%u.%u", pick(seed, 3) + 1, pick(seed, 3) + 1,
             pick(seed, 3) + 1);
    *glob = 0;
    for (const char *at = port; *at; at++) {
        char letter[2] = {*at, 0};
        strcat(glob,
               pick(seed, 3) || !isdigit((unsigned char)*at) ? letter : pieces[pick(seed, 3)]);
    }
    if (!pick(seed, 4))
        strcpy(strchr(glob, '.'), ".*");
}

static void test_ports_against_many(void **state) {
    (void)state;
    unsigned seed = 5;
    size_t meet = 0;
    enum { PAIRS = 300 };
    for (size_t i = 0; i < PAIRS; i++) {
        char one[64], other[64];
        make_port_glob(one, &seed);
        make_port_glob(other, &seed);
        bool expected = match_port_together(one, other);
        meet += expected;
        if (glob_ports_meet(one, other) != expected)
            fail_msg("%s and %s", one, other);
    }
    assert_int_in_range(meet, 10, PAIRS - 10);
}

static void test_long_globs(void **state) {
    (void)state;
    char stars[4000];
    memset(stars, '*', sizeof stars - 1);
    stars[sizeof stars - 1] = 0;
    assert_true(glob_addresses_meet(stars, "0000:03:00.0"));
    stars[128] = 0;
    assert_true(glob_addresses_meet(stars, stars));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brackets),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_void_globs),
        cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_against_all_of_a_domain),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_ports_together),
        cmocka_unit_test(test_ports_against_many),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_long_globs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
