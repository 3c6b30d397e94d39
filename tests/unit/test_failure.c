#include "lexer/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_message_and_hint(void **state) {
    (void)state;
    struct failure failure = {.message = "old", .hint = "old"};
    assert_int_equal(failure_set(&failure, "%s: %d", "file", 7), -1);
    assert_string_equal(failure.message, "file: 7");
    assert_string_equal(failure.hint, "");
    assert_int_equal(failure_hint(&failure, "see %s", "dmesg"), -1);
    assert_string_equal(failure.message, "file: 7");
    assert_string_equal(failure.hint, "see dmesg");
}

static void test_text_of_the_failure_itself(void **state) {
    (void)state;
    struct failure failure = {.message = "no space", .hint = "free some"};
    failure_hint(&failure, "first %s", failure.hint);
    assert_string_equal(failure.hint, "first free some");
    failure_set(&failure, "/file: %s (%s)", failure.message, failure.hint);
    assert_string_equal(failure.message, "/file: no space (first free some)");
}

static void test_long_texts_are_cut(void **state) {
    (void)state;
    struct failure failure;
    char text[2 * sizeof failure.message];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    failure_set(&failure, "%s", text);
    failure_hint(&failure, "%s", text);
    assert_int_equal(strlen(failure.message), sizeof failure.message - 1);
    assert_int_equal(strlen(failure.hint), sizeof failure.hint - 1);
}

static void test_nobody_wants_to_know(void **state) {
    (void)state;
    assert_int_equal(failure_set(NULL, "%s", "x"), -1);
    assert_int_equal(failure_hint(NULL, "%s", "x"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_and_hint),
        cmocka_unit_test(test_text_of_the_failure_itself),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_nobody_wants_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
