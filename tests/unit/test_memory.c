#include "lexer/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_zalloc(void **state) {
    (void)state;
    char *block = memory_zalloc(100), *nothing = memory_zalloc(0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(block[i], 0);
    assert_non_null(nothing);
    free(block);
    free(nothing);
}

static void test_texts(void **state) {
    (void)state;
    char *whole = memory_strdup("frigate"), *part = memory_strndup("frigate", 4);
    char *printed = memory_printf("%s:%d", "a", 7), *empty = memory_printf("%s", "");
    assert_string_equal(whole, "frigate");
    assert_string_equal(part, "frig");
    assert_string_equal(printed, "a:7");
    assert_string_equal(empty, "");
    free(whole);
    free(part);
    free(printed);
    free(empty);
}

/* Under a sanitizer every write beyond the room shows. */
static void test_grow(void **state) {
    (void)state;
    size_t *list = NULL;
    for (size_t i = 0; i < 10000; i++) {
        list = memory_grow(list, i, sizeof *list);
        list[i] = i;
    }
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(list[i], i);
    free(list);
}

static void test_resize_keeps(void **state) {
    (void)state;
    char *block = memory_resize(NULL, 4, 1);
    memcpy(block, "abc", 4);
    block = memory_resize(block, 100000, 1);
    assert_string_equal(block, "abc");
    block = memory_resize(block, 0, 1);
    assert_non_null(block);
    free(block);
}

static void test_arena_is_zeroed_and_aligned(void **state) {
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < 20000; i++) {
        size_t size = i % 61 + 1;
        char *block = memory_arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)block % sizeof(void *), 0);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(block[j], 0);
        memset(block, 0xff, size);
        (void)memory_arena_text(&arena, "xyz", i % 4);
    }
    memory_arena_finish(&arena);
    assert_null(arena.chunks);
}

static void test_arena_texts_stay(void **state) {
    (void)state;
    struct arena arena = {0};
    enum { COUNT = 30000 };
    char **texts = memory_zalloc(COUNT * sizeof *texts), digits[16];
    for (int i = 0; i < COUNT; i++) {
        int length = snprintf(digits, sizeof digits, "text %d", i);
        texts[i] = memory_arena_text(&arena, digits, (size_t)length);
    }
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(digits, sizeof digits, "text %d", i);
        assert_string_equal(texts[i], digits);
    }
    free(texts);
    memory_arena_finish(&arena);
}

static void test_arena_takes_what_is_larger_than_a_chunk(void **state) {
    (void)state;
    struct arena arena = {0};
    enum { LARGE = 1000000 };
    char *before = memory_arena_text(&arena, "before", 6),
         *large = memory_arena_alloc(&arena, LARGE);
    memset(large, 'x', LARGE);
    assert_true(arena.next <= arena.end);
    char *after = memory_arena_text(&arena, "after", 5);
    assert_string_equal(before, "before");
    assert_string_equal(after, "after");
    assert_int_equal(large[LARGE - 1], 'x');
    memory_arena_finish(&arena);
}

static void test_arena_may_be_used_again(void **state) {
    (void)state;
    struct arena arena = {0};
    memory_arena_finish(&arena);
    (void)memory_arena_alloc(&arena, 1);
    memory_arena_finish(&arena);
    assert_string_equal(memory_arena_text(&arena, "", 0), "");
    memory_arena_finish(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zalloc),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_resize_keeps),
        cmocka_unit_test(test_arena_is_zeroed_and_aligned),
        cmocka_unit_test(test_arena_texts_stay),
        cmocka_unit_test(test_arena_takes_what_is_larger_than_a_chunk),
        cmocka_unit_test(test_arena_may_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
