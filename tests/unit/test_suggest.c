#include "parser/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *nearest(const char *word, const char *const *candidates) {
    struct suggestion suggestion = {.word = word};
    for (; *candidates; candidates++)
        suggest(&suggestion, *candidates);
    return suggestion.best;
}

static const char *const events[] = {"prepare", "start",   "started",   "stopped",
                                     "release", "plugged", "unplugged", NULL};
static const char *const keywords[] = {"on",   "vm",  "as",     "at",     "is",     "or",
                                       "vfio", "usb", "attach", "detach", "within", NULL};

static void test_near(void **state) {
    (void)state;
    static const struct {
        const char *const *list;
        const char *word, *best;
    } rows[] = {
        {events, "strated", "started"},  {events, "sarted", "started"},
        {events, "startedd", "started"}, {events, "sttarted", "started"},
        {events, "statred", "started"},  {events, "STARTED", "started"},
        {events, "stoped", "stopped"},   {events, "unpluged", "unplugged"},
        {events, "pluged", "plugged"},   {events, "preparre", "prepare"},
        {keywords, "sa", "as"},          {keywords, "vifo", "vfio"},
        {keywords, "vfi", "vfio"},       {keywords, "USB", "usb"},
        {keywords, "attatch", "attach"}, {keywords, "ON", "on"},
        {keywords, "detch", "detach"},   {keywords, "wthin", "within"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *best = nearest(rows[i].word, rows[i].list);
        if (!best || strcmp(best, rows[i].best) != 0)
            fail_msg("'%s' gives '%s', not '%s'", rows[i].word, best ? best : "(nothing)",
                     rows[i].best);
    }
}

/* A wrong suggestion is worse than none. */
static void test_far(void **state) {
    (void)state;
    static const char *const far[] = {"boot", "", "x", "migration", "7", "foo", "pci", "-", "s"};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        const char *best = nearest(far[i], i < 4 ? events : keywords);
        if (best)
            fail_msg("'%s' gives '%s'", far[i], best);
    }
}

static void test_the_first_of_the_nearest_wins(void **state) {
    (void)state;
    static const char *const list[] = {"coral-b", "coral-c", "coral-x", NULL};
    assert_string_equal(nearest("coral-a", list), "coral-b");
    assert_string_equal(nearest("coral-x", list), "coral-x");
    assert_string_equal(nearest("corral-c", list), "coral-c");
    static const char *const values[] = {"on", "off", "offset", NULL};
    assert_string_equal(nearest("of", values), "off"); /* as near, and it begins so */
}

static void test_long_words(void **state) {
    (void)state;
    static char a[100], b[100];
    const char *const list[] = {b, NULL};
    memset(a, 'x', 48);
    memset(b, 'x', 47);
    assert_non_null(nearest(a, list));
    memset(a, 'x', 49);
    memset(b, 'x', 48);
    assert_null(nearest(a, list));
    assert_null(nearest(b, (const char *const[]){a, NULL}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_the_first_of_the_nearest_wins),
        cmocka_unit_test(test_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
