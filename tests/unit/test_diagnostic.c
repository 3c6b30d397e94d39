#include "lexer/diagnostic.h"

#include "lexer/memory.h"
#include "tests/unit/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <json-c/json.h>

static struct diagnostics list;
static struct source first, second;

static void use(const char *text, size_t size) {
    list = (struct diagnostics){0};
    source_from_text(&first, "50-frigate.rules", text, size);
    source_from_text(&second, "60-other.rules", "device coral\n", 13);
    second.number = 1;
}

static int finish(void **state) {
    (void)state;
    diagnostic_finish_list(&list);
    if (first.path) {
        source_finish(&first);
        source_finish(&second);
    }
    return 0;
}

static struct diagnostic *at(uint32_t start, uint32_t end) {
    return diagnostic_add(&list, &first, (struct span){start, end}, CHECK_SYNTAX, "wrong");
}

static char *printed(bool colour) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    diagnostic_print(&list, out, (struct terminal){.colour = colour});
    fclose(out);
    return text;
}

static void assert_printed(const char *expected) {
    char *text = printed(false);
    assert_string_equal(text, expected);
    free(text);
}

/* The example of the language's description, to the letter. */
static void test_form(void **state) {
    (void)state;
    static const char text[] = "# one\n# two\non vm frigate strated attach 1ac1:089a as vfio\n";
    use(text, strlen(text));
    diagnostic_hint(diagnostic_add(&list, &first, (struct span){26, 33}, CHECK_UNKNOWN_EVENT,
                                   "unknown event '%s'", "strated"),
                    "did you mean '%s'?", "started");
    assert_printed("50-frigate.rules:3:15: error: unknown event 'strated' [unknown-event]\n"
                   "  on vm frigate strated attach 1ac1:089a as vfio\n"
                   "                ^~~~~~~\n"
                   "  hint: did you mean 'started'?\n");
    char *line = diagnostic_line(&list.list[0]);
    assert_string_equal(line,
                        "50-frigate.rules:3:15: error: unknown event 'strated' [unknown-event]");
    free(line);
}

static void test_notes_and_whole_files(void **state) {
    (void)state;
    use("device coral is x\n", 18);
    struct diagnostic *one = at(7, 12);
    one->severity = SEVERITY_WARNING;
    diagnostic_note(one, &second, (struct span){7, 12}, "first defined %s", "here");
    diagnostic_note(one, &first, (struct span){0, 0}, "and here");
    diagnostic_hint(diagnostic_add_file(&list, &first, CHECK_UNREADABLE_FILE, "cannot be opened"),
                    "fix it");
    assert_printed("50-frigate.rules:1:8: warning: wrong [syntax]\n"
                   "  device coral is x\n"
                   "         ^~~~~\n"
                   "60-other.rules:1:8: note: first defined here\n"
                   "  device coral\n"
                   "         ^~~~~\n"
                   "50-frigate.rules:1:1: note: and here\n"
                   "  device coral is x\n"
                   "  ^\n"
                   "50-frigate.rules: error: cannot be opened [unreadable-file]\n"
                   "  hint: fix it\n");
    char *line = diagnostic_line(&list.list[1]);
    assert_string_equal(line, "50-frigate.rules: error: cannot be opened [unreadable-file]");
    free(line);
}

static void test_spans_at_the_edges(void **state) {
    (void)state;
    use("one\r\ntwo \\\n  three\n", 19);
    at(0, 3);
    at(3, 5);   /* the end of a line */
    at(5, 18);  /* over two lines: underlined to the end of the first */
    at(19, 19); /* the end of the file */
    assert_printed("50-frigate.rules:1:1: error: wrong [syntax]\n  one\n  ^~~\n"
                   "50-frigate.rules:1:4: error: wrong [syntax]\n  one\n     ^\n"
                   "50-frigate.rules:2:1: error: wrong [syntax]\n  two \\\n  ^~~~~\n"
                   "50-frigate.rules:4:1: error: wrong [syntax]\n  \n  ^\n");
}

static void test_mark(void **state) {
    (void)state;
    use("\xef\xbb\xbfonn vm", 9);
    at(3, 6);
    at(0, 0);
    assert_printed("50-frigate.rules:1:1: error: wrong [syntax]\n  onn vm\n  ^~~\n"
                   "50-frigate.rules:1:1: error: wrong [syntax]\n  onn vm\n  ^\n");
}

static void test_caret_below_its_character(void **state) {
    (void)state;
    use("\té東\xff\033 word", 13);
    at(9, 13);
    assert_printed("50-frigate.rules:1:7: error: wrong [syntax]\n"
                   "   é東?? word\n"
                   "         ^~~~\n");
}

static void test_double_width(void **state) {
    (void)state;
    use("東京 🎮 e\xcc\x81 x", 17);
    at(7, 11);
    assert_printed("50-frigate.rules:1:4: error: wrong [syntax]\n"
                   "  東京 🎮 e\xcc\x81 x\n"
                   "       ^~\n");
}

static void test_behind_double_width(void **state) {
    (void)state;
    use("東京 🎮 e\xcc\x81 x", 17);
    at(16, 17);
    assert_printed("50-frigate.rules:1:9: error: wrong [syntax]\n"
                   "  東京 🎮 e\xcc\x81 x\n"
                   "            ^\n");
}

/* So many letters of two bytes each. */
static void fill(char *text, size_t letters) {
    for (size_t i = 0; i < 2 * letters; i++)
        text[i] = (char)(i % 2 ? 0xa9 : 0xc3);
}

/* A long line is clipped around the span, in characters, with the caret still below it. */
static void test_clipping(void **state) {
    (void)state;
    enum { LETTERS = 1000, SIZE = 2 * LETTERS };
    char text[SIZE];
    static const char wrong[6] = {'W', 'R', 'O', 'N', 'G', '!'};
    fill(text, LETTERS);
    memcpy(text + 1000, wrong, sizeof wrong);
    use(text, SIZE);
    at(1000, 1006);
    at(0, 2);
    at(SIZE - 2, SIZE);
    at(0, SIZE);
    char *shown = printed(false), *line = shown;
    static const struct {
        size_t before, caret, tildes;
        bool start, end;
    } rows[] = {{40, 2 + 3 + 40, 5, true, true},
                {0, 2, 0, false, true},
                {40, 2 + 3 + 40, 0, true, false},
                {0, 2, 99, false, true}};
    for (size_t i = 0; i < 4; i++) {
        char *excerpt = strchr(line, '\n') + 1, *caret = strchr(excerpt, '\n') + 1;
        assert_int_equal(!strncmp(excerpt, "  ...", 5), rows[i].start);
        assert_int_equal(!strncmp(caret - 4, "...\n", 4), rows[i].end);
        assert_int_equal(strspn(caret, " "), rows[i].caret);
        assert_int_equal(strspn(strchr(caret, '^') + 1, "~"), rows[i].tildes);
        line = strchr(caret, '\n') + 1;
    }
    assert_string_equal(line, "");
    free(shown);
}

static void test_a_line_of_the_width_is_whole(void **state) {
    (void)state;
    char text[101];
    memset(text, 'x', sizeof text);
    use(text, 100);
    at(99, 100);
    char *shown = printed(false);
    assert_null(strstr(shown, "..."));
    free(shown);
    diagnostic_finish_list(&list);
    source_finish(&first);
    source_finish(&second);
    use(text, 101);
    at(100, 101);
    shown = printed(false);
    assert_non_null(strstr(shown, "\n  ...xxx"));
    free(shown);
}

static void test_long_messages(void **state) {
    (void)state;
    use("x", 1);
    char *word = memory_zalloc(100001);
    memset(word, 'a', 100000);
    diagnostic_add(&list, &first, (struct span){0, 1}, CHECK_SYNTAX, "'%s' is wrong", word);
    fill(word, 50000);
    diagnostic_hint(&list.list[0], "'%s' is right", word);
    diagnostic_note(&list.list[0], &first, (struct span){0, 1}, "x%s!", word);
    assert_int_in_range(strlen(list.list[0].message), 300, 410);
    assert_int_equal(strncmp(list.list[0].message, "'aaaa", 5), 0);
    assert_non_null(strstr(list.list[0].message, "aaa...aaa"));
    assert_non_null(strstr(list.list[0].message, "aaa' is wrong"));
    assert_non_null(strstr(list.list[0].hint, "é...é")); /* no broken character */
    assert_non_null(strstr(list.list[0].notes[0].message, "é...é"));
    char *shown = printed(false);
    assert_null(strchr(shown, '?'));
    free(shown);
    free(word);
}

static void test_control_characters(void **state) {
    (void)state;
    use("\033]0;x\007\n", 7);
    diagnostic_hint(
        diagnostic_add(&list, &first, (struct span){0, 1}, CHECK_SYNTAX, "'%s'", "\033[2J\n\x7f"),
        "\r%s",
        "\xc2\x9b"
        "x\xff");
    char *shown = printed(false);
    for (const char *byte = shown; *byte; byte++)
        assert_true(*byte == '\n' || (unsigned char)*byte >= ' ');
    assert_non_null(strstr(shown, "'?[2J?"
                                  "?' [syntax]\n  ?]0;x?\n"));
    assert_non_null(strstr(shown, "hint: ??x?\n"));
    free(shown);
}

static void test_colour(void **state) {
    (void)state;
    use("word", 4);
    diagnostic_hint(at(0, 4), "fix");
    char *shown = printed(true);
    assert_string_equal(shown, "\033[1m50-frigate.rules:1:1:\033[0m \033[1;31merror:\033[0m "
                               "wrong [syntax]\n  word\n  \033[1;31m^~~~\033[0m\n"
                               "  \033[36mhint:\033[0m fix\n");
    free(shown);
}

static void test_order(void **state) {
    (void)state;
    static const char *const expected[] = {"whole", "a", "b", "c", "d", "second"};
    use("0123456789", 10);
    diagnostic_add(&list, &second, (struct span){0, 1}, CHECK_SYNTAX, "second");
    diagnostic_add(&list, &first, (struct span){7, 8}, CHECK_SYNTAX, "d");
    diagnostic_add(&list, &first, (struct span){5, 9}, CHECK_SYNTAX, "b");
    diagnostic_add(&list, &first, (struct span){5, 6}, CHECK_SYNTAX,
                   "c"); /* the same start: as found */
    diagnostic_add(&list, &first, (struct span){1, 2}, CHECK_SYNTAX, "a");
    diagnostic_add_file(&list, &first, CHECK_SYNTAX, "whole");
    diagnostic_sort(&list);
    for (size_t i = 0; i < list.count; i++)
        assert_string_equal(list.list[i].message, expected[i]);
    diagnostic_finish_list(&list);
    diagnostic_sort(&list);
    assert_int_equal(list.count, 0);
}

static void test_counts(void **state) {
    (void)state;
    use("word", 4);
    at(0, 1);
    at(0, 1)->severity = SEVERITY_WARNING;
    at(0, 1)->severity = SEVERITY_IGNORE;
    at(0, 1);
    assert_int_equal(diagnostic_count_errors(&list), 2);
    assert_int_equal(diagnostic_count_warnings(&list), 1);
    char *shown = printed(false);
    size_t lines = 0;
    for (const char *byte = shown; *byte; byte++)
        lines += *byte == '\n';
    assert_int_equal(lines, 9); /* the ignored one is not printed */
    free(shown);
}

static struct json_object *get(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(object, key, &value))
        fail_msg("no '%s'", key);
    return value;
}

static void assert_place(struct json_object *object, int line, int column, int end) {
    assert_int_equal(json_object_get_int(get(object, "line")), line);
    assert_int_equal(json_object_get_int(get(object, "column")), column);
    assert_int_equal(json_object_get_int(get(object, "end")), end);
}

static void test_json(void **state) {
    (void)state;
    use("é strated\nB\xfcro \\\nx\n", 19);
    struct diagnostic *one = at(3, 10);
    diagnostic_note(one, &second, (struct span){7, 12}, "here");
    diagnostic_hint(at(11, 19), "a \"hint\"\n\xff");
    at(0, 1)->severity = SEVERITY_IGNORE;
    diagnostic_add_file(&list, &first, CHECK_UNSAFE_FILE, "may be changed")->severity =
        SEVERITY_WARNING;
    struct json_object *made = diagnostic_list_json(&list);
    struct json_object *array = json_tokener_parse(json_object_to_json_string(made));
    assert_int_equal(json_object_array_length(array), 3);

    struct json_object *object = json_object_array_get_idx(array, 0);
    assert_string_equal(json_object_get_string(get(object, "path")), "50-frigate.rules");
    assert_place(object, 1, 3, 10);
    assert_string_equal(json_object_get_string(get(object, "severity")), "error");
    assert_string_equal(json_object_get_string(get(object, "name")), "syntax");
    assert_string_equal(json_object_get_string(get(object, "message")), "wrong");
    assert_null(get(object, "hint"));
    struct json_object *notes = get(object, "notes");
    assert_int_equal(json_object_array_length(notes), 1);
    assert_string_equal(json_object_get_string(get(json_object_array_get_idx(notes, 0), "path")),
                        "60-other.rules");
    assert_place(json_object_array_get_idx(notes, 0), 1, 8, 13);

    object = json_object_array_get_idx(array, 1);
    assert_place(object, 2, 1, 7); /* a span over two lines ends with its first */
    assert_string_equal(json_object_get_string(get(object, "hint")), "a \"hint\"\n\xef\xbf\xbd");

    object = json_object_array_get_idx(array, 2);
    assert_null(get(object, "line"));
    assert_null(get(object, "column"));
    assert_null(get(object, "end"));
    assert_string_equal(json_object_get_string(get(object, "severity")), "warning");
    assert_int_equal(json_object_array_length(get(object, "notes")), 0);
    json_object_put(array);
    json_object_put(made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_form, finish),
        cmocka_unit_test_teardown(test_notes_and_whole_files, finish),
        cmocka_unit_test_teardown(test_spans_at_the_edges, finish),
        cmocka_unit_test_teardown(test_mark, finish),
        cmocka_unit_test_teardown(test_caret_below_its_character, finish),
        cmocka_unit_test_teardown(test_double_width, finish),
        cmocka_unit_test_teardown(test_behind_double_width, finish),
        cmocka_unit_test_teardown(test_clipping, finish),
        cmocka_unit_test_teardown(test_a_line_of_the_width_is_whole, finish),
        cmocka_unit_test_teardown(test_long_messages, finish),
        cmocka_unit_test_teardown(test_control_characters, finish),
        cmocka_unit_test_teardown(test_colour, finish),
        cmocka_unit_test_teardown(test_order, finish),
        cmocka_unit_test_teardown(test_counts, finish),
        cmocka_unit_test_teardown(test_json, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
