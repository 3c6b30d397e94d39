#include "lexer/text.h"
#include "lexer/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <json-c/json.h>

typedef void writer(FILE *out, const char *text, size_t length);

static void assert_written(writer *write, const char *text, size_t length, const char *expected) {
    char *written = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    write(out, text, length);
    fclose(out);
    assert_string_equal(written, expected);
    assert_int_equal(size, strlen(expected));
    free(written);
}

static const struct {
    const char *bytes;
    size_t size, length;
} characters[] = {
    {"a", 1, 1},
    {"\0", 1, 1},
    {"\x7f", 1, 1},
    {"\xc3\xa9", 2, 2},
    {"\xc2\x80", 2, 2},
    {"\xdf\xbf", 2, 2},
    {"\xe0\xa0\x80", 3, 3},
    {"\xe2\x82\xac", 3, 3},
    {"\xed\x9f\xbf", 3, 3},
    {"\xef\xbf\xbf", 3, 3},
    {"\xf0\x90\x80\x80", 4, 4},
    {"\xf4\x8f\xbf\xbf", 4, 4},
    {"\xc3\xa9x", 3, 2},
    /* none */
    {"\x80", 1, 0},
    {"\xbf", 1, 0},
    {"\xff", 1, 0},
    {"\xc0\x80", 2, 0},         /* overlong */
    {"\xc1\xbf", 2, 0},         /* overlong */
    {"\xe0\x9f\xbf", 3, 0},     /* overlong */
    {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
    {"\xed\xa0\x80", 3, 0},     /* a surrogate */
    {"\xf4\x90\x80\x80", 4, 0}, /* beyond U+10FFFF */
    {"\xf5\x80\x80\x80", 4, 0},
    {"\xc3", 1, 0},         /* cut off */
    {"\xe2\x82", 2, 0},     /* cut off */
    {"\xf0\x9f\x8e", 3, 0}, /* cut off */
    {"\xc3x", 2, 0},
    {"\xe2\x82x", 3, 0},
    {"\xf0\x9f\x8ex", 4, 0},
    {"\xe2x\xac", 3, 0},
};

static void test_characters(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        /* A copy of exactly that size, so that a sanitizer sees a read behind it. */
        char *copy = malloc(characters[i].size);
        assert_non_null(copy);
        memcpy(copy, characters[i].bytes, characters[i].size);
        if (utf8_length(copy, characters[i].size) != characters[i].length)
            fail_msg("row %zu", i);
        free(copy);
    }
}

static void test_print(void **state) {
    (void)state;
    assert_written(text_print, "a b", 3, "a b");
    assert_written(text_print, "", 0, "");
    assert_written(text_print, "a\tb", 3, "a b");
    assert_written(text_print, "\033[31mred\033[0m\a", 13, "?[31mred?[0m?");
    assert_written(text_print, "a\0b\r\n\x7f", 6, "a?b???");
    assert_written(text_print,
                   "\xc2\x9b"
                   "31m",
                   5, "?31m"); /* CSI as one character of C1 */
    assert_written(text_print, "B\xc3\xbcro \xe6\x9d\xb1 \xf0\x9f\x8e\xae", 14, "Büro 東 🎮");
    assert_written(text_print, "\xff\xfe", 2, "??");
    /* Right-to-left override, paragraph separator, and an isolate: one column each. */
    static const char steering[] = "a\xe2\x80\xae"
                                   "b\xe2\x80\xa9\xe2\x81\xa6";
    assert_written(text_print, steering, strlen(steering), "a?b??");
    assert_int_equal(text_width(steering, strlen(steering)), 5);
    /* Bytes that go on count with the one before: as many characters as the columns say. */
    assert_written(text_print, "a\xe2\x82z", 4, "a?z");
    assert_written(text_print, "\x80\x80z", 3, "z");
}

static void test_escape(void **state) {
    (void)state;
    assert_written(text_escape, "a\tb\n\0\x7f\033", 7, "a\\x09b\\x0a\\x00\\x7f\\x1b");
    assert_written(text_escape, "\xc2\x85", 2, "\\x85");
    assert_written(text_escape, "a\xe2\x81\xa9", 4, "a\\u2069");
    assert_written(text_escape, "\xc2\xa0\xc3\xa9", 4, "\xc2\xa0é");
    assert_written(text_escape, "x\xff\x80y", 4, "x\xef\xbf\xbd\xef\xbf\xbdy");
}

static void assert_json(const char *text, const char *expected) {
    struct json_object *json = text_json(text);
    const char *printed = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);
    struct json_object *back = json_tokener_parse(printed);
    assert_true(json_object_is_type(back, json_type_string));
    assert_string_equal(json_object_get_string(back), expected);
    json_object_put(back);
    json_object_put(json);
}

static void test_json(void **state) {
    (void)state;
    assert_null(text_json(NULL));
    assert_json("", "");
    assert_json("a \"b\" \\ /", "a \"b\" \\ /");
    assert_json("\001\n\x7f", "\001\n\x7f");
    assert_json("Büro 🎮", "Büro 🎮");
    assert_json("B\xfcro\xff", "B\xef\xbf\xbdro\xef\xbf\xbd");
    assert_json("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void test_print_json(void **state) {
    (void)state;
    char *written = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "path", text_json("a/b"));
    text_print_json(out, object);
    fclose(out);
    assert_int_equal(written[size - 1], '\n');
    assert_non_null(strstr(written, "\"a/b\"")); /* no "\/" */
    struct json_object *back = json_tokener_parse(written);
    assert_string_equal(json_object_get_string(json_object_object_get(back, "path")), "a/b");
    json_object_put(back);
    free(written);
}

static void starts_and_ends(void **state) {
    (void)state;
    assert_true(text_starts_with("vfio-pci", "vfio"));
    assert_false(text_starts_with("vf", "vfio"));
    assert_true(text_ends_with("/drivers/vfio-pci", "vfio-pci"));
    assert_true(text_ends_with("a", ""));
    assert_false(text_ends_with("pci", "vfio-pci"));
    assert_false(text_ends_with("vfio-pci2", "vfio-pci"));
}

static void base_names(void **state) {
    (void)state;
    assert_string_equal(text_base_name("/etc/rules.d/50-a.rules"), "50-a.rules");
    assert_string_equal(text_base_name("50-a.rules"), "50-a.rules");
    assert_string_equal(text_base_name("rules.d/"), "");
}

static void shell_words(void **state) {
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"50-frigate.rules", "50-frigate.rules"},
        {"/etc/a,b=c@d:e+f%g_h", "/etc/a,b=c@d:e+f%g_h"},
        {"", "\"\""},
        {"Home Assistant", "\"Home Assistant\""},
        {"it's", "\"it's\""},
        {"~", "\"~\""},
        {"\u00e4 \u20ac", "\"\u00e4 \u20ac\""},
        {"a\"b$c`d\\e", "\"a\\\"b\\$c\\`d\\\\e\""},
        {"a\nb\t\x1b[31m'c\\\x7f", "$'a\\012b\\011\\033[31m\\'c\\\\\\177'"},
        {"wow! $x", "$'wow\\041 $x'"},
        {"a\xff\xc2\x85\u00e4", "$'a\\377\\302\\205\u00e4'"},
    };
    char path[] = "/tmp/test-text-XXXXXX", *command = NULL;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(asprintf(&command, "bash %s", path) > 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *word = text_shell_word(rows[i].text), read[100] = "";
        assert_string_equal(word, rows[i].word);
        FILE *script = fopen(path, "we");
        assert_non_null(script);
        fprintf(script, "printf %%s %s\n", word);
        assert_int_equal(fclose(script), 0);
        FILE *shell = popen(command, "re"); // NOLINT
        assert_non_null(shell);
        read[fread(read, 1, sizeof read - 1, shell)] = '\0';
        assert_int_equal(pclose(shell), 0);
        assert_string_equal(read, rows[i].text);
        free(word);
    }
    free(command);
    close(fd);
    remove(path);
}

static void a_shell_operand_is_no_option(void **state) {
    static const char *const rows[][2] = {{"-vm", "-- -vm"},
                                          {"--a b", "-- \"--a b\""},
                                          {"a-b", "a-b"},
                                          {"a b", "\"a b\""},
                                          {"", "\"\""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *operand = text_shell_operand(rows[i][0]);
        assert_string_equal(operand, rows[i][1]);
        free(operand);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_print_json),
        cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(base_names),
        cmocka_unit_test(shell_words),
        cmocka_unit_test(a_shell_operand_is_no_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
