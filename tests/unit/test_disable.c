/* Statements turned off and on: what of the text changes, and that every byte comes back. */
#include "parser/disable.h"

#include "unit/sample.h"

#include <glob.h>

static struct source source_of(const char *text, size_t size) {
    struct source source;
    source_from_text(&source, "t.rules", text, size);
    return source;
}

/* The text with the line turned off; NULL: nothing is there. */
static char *disabled(const char *text, size_t line) {
    struct source source = source_of(text, strlen(text));
    struct disable_part part = disable_find(&source, line);
    size_t size;
    char *result = part.state == DISABLE_ACTIVE ? disable_apply(&source, &part, &size) : NULL;
    source_finish(&source);
    return result;
}

static void becomes(const char *text, size_t line, const char *expected) {
    char *result = disabled(text, line);
    assert_non_null(result);
    assert_string_equal(result, expected);
    free(result);
}

static void has_nothing(const char *text, size_t line) {
    assert_null(disabled(text, line));
}

static void a_statement_becomes_a_comment(void **state) {
    (void)state;
    becomes("a\nnever attach 10de:*\nb\n", 2, "a\n#disabled: never attach 10de:*\nb\n");
    becomes("  never attach 10de:*", 1, "  #disabled: never attach 10de:*");
    becomes("never attach 10de:*\r\n", 1, "#disabled: never attach 10de:*\r\n");
    becomes("\xef\xbb\xbfnever attach 10de:*\n", 1, "\xef\xbb\xbf#disabled: never attach 10de:*\n");
    becomes("on vm a started { attach 1:2 as usb } # c\n", 1,
            "#disabled: on vm a started { attach 1:2 as usb } # c\n");
}

static void all_of_its_lines_do(void **state) {
    static const char text[] = "on vm a started \\\n  attach x, \\\n\ty as usb\nnever attach z\n";
    static const char off[] =
        "#disabled: on vm a started \\\n  #disabled+ attach x, \\\n\t#disabled+ y as usb\n"
        "never attach z\n";
    (void)state;
    for (size_t line = 1; line <= 3; line++)
        becomes(text, line, off);
}

static const char block[] = "on vm a \\\nstarted { # head\n  attach x as usb\n\n  run \"/p\" \\\n"
                            "    a\n  # note\n}\nnever attach z\n";

static void an_action_goes_alone(void **state) {
    (void)state;
    becomes(block, 3,
            "on vm a \\\nstarted { # head\n  #disabled: attach x as usb\n\n  run \"/p\" \\\n"
            "    a\n  # note\n}\nnever attach z\n");
    for (size_t line = 5; line <= 6; line++)
        becomes(block, line,
                "on vm a \\\nstarted { # head\n  attach x as usb\n\n  #disabled: run \"/p\" \\\n"
                "    #disabled+ a\n  # note\n}\nnever attach z\n");
}

static void the_head_is_the_block(void **state) {
    static const char off[] =
        "#disabled: on vm a \\\n#disabled+ started { # head\n  #disabled+ attach x as usb\n"
        "#disabled+ \n  #disabled+ run \"/p\" \\\n    #disabled+ a\n  #disabled+ # note\n"
        "#disabled+ }\nnever attach z\n";
    static const size_t lines[] = {1, 2, 8};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        becomes(block, lines[i], off);
}

static void no_other_line_has_one(void **state) {
    (void)state;
    has_nothing(block, 4);
    has_nothing(block, 7);
    has_nothing(block, 10);
    has_nothing(block, 0);
    has_nothing("", 1);
    has_nothing("# never attach a\n\n", 1);
    has_nothing("# never attach a\n\n", 2);
}

static void a_brace_of_the_block_stays(void **state) {
    (void)state;
    becomes("on vm a started {\nattach x as usb\n  attach y as usb } # c\nnever attach z\n", 3,
            "on vm a started {\nattach x as usb\n  #disabled: attach y as usb } # c\n"
            "} #disabled}\nnever attach z\n");
    becomes("on vm a started {\nattach y as usb }", 2,
            "on vm a started {\n#disabled: attach y as usb }\n} #disabled}");
    becomes("on vm a started {\nattach y as usb }\r\n", 2,
            "on vm a started {\n#disabled: attach y as usb }\n} #disabled}\r\n");
}

static void what_is_disabled_is_found_by_each_line(void **state) {
    struct source source = source_of("#disabled: a\n#disabled: b \\\n  #disabled+\tc\n# d\n", 45);
    struct disable_part part = disable_find(&source, 1);
    (void)state;
    assert_int_equal(part.state, DISABLE_DISABLED);
    assert_int_equal(part.last, 1);
    for (size_t line = 2; line <= 3; line++) {
        part = disable_find(&source, line);
        assert_int_equal(part.state, DISABLE_DISABLED);
        assert_int_equal(part.first, 2);
        assert_int_equal(part.last, 3);
    }
    char *text = disable_statement(&source, &part);
    assert_string_equal(text, "b c");
    free(text);
    assert_int_equal(disable_find(&source, 4).state, DISABLE_NOTHING);
    source_finish(&source);
}

static void a_block_without_other_actions_is_no_mistake(void **state) {
    static const char text[] = "on vm a started {\n  #disabled: attach 1ac1:089a as vfio\n}\n"
                               "on vm b started {\n  # attach 1ac1:089a as vfio\n}\n"
                               "on vm c started {\n}\n";
    struct ruleset ruleset;
    (void)state;
    ruleset_init(&ruleset);
    sample_add(&ruleset, "t.rules", text);
    ruleset_load(&ruleset, NULL);
    assert_int_equal(ruleset.diagnostics.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(ruleset.diagnostics.list[i].check, CHECK_EMPTY_BLOCK);
    assert_int_equal(
        source_position(ruleset.sources[0], ruleset.diagnostics.list[0].span.start).line, 4);
    ruleset_finish(&ruleset);
}

/* --- every line of every file of the project, also of those with mistakes */

static size_t tried;

static size_t count_statements(const struct source *source) {
    struct source copy = source_of(source->text, source->size);
    struct syntax syntax;
    struct diagnostics mistakes = {0};
    size_t count = 0;
    syntax_init(&syntax);
    syntax_parse(&syntax, &copy, &mistakes);
    for (const struct rule *rule = syntax.rules; rule; rule = rule->next) {
        count++;
        for (const struct action *action = rule->actions; action; action = action->next)
            count++;
    }
    for (const struct guard *guard = syntax.guards; guard; guard = guard->next)
        count++;
    for (const struct definition *one = syntax.definitions; one; one = one->next)
        count++;
    diagnostic_finish_list(&mistakes);
    syntax_finish(&syntax);
    source_finish(&copy);
    return count;
}

/* Off and on again gives the same bytes; a statement less, and of what is around it none. */
static void goes_and_comes(struct source *source, size_t line, bool is_clean) {
    struct disable_part part = disable_find(source, line);
    if (part.state != DISABLE_ACTIVE)
        return;
    size_t size, again_size;
    char *off = disable_apply(source, &part, &size);
    struct source changed = source_of(off, size);
    struct disable_part found = disable_find(&changed, line);
    assert_int_equal(found.state, DISABLE_DISABLED);
    assert_int_equal(found.first, part.first);
    assert_int_equal(found.last, part.last);
    char *on = disable_apply(&changed, &found, &again_size);
    assert_int_equal(again_size, source->size);
    assert_memory_equal(on, source->text, source->size);
    char *before = disable_statement(source, &part), *after = disable_statement(&changed, &found);
    assert_string_equal(before, after);
    if (is_clean)
        assert_true(count_statements(&changed) < count_statements(source));
    tried++;
    free(before);
    free(after);
    free(on);
    free(off);
    source_finish(&changed);
}

static void all_lines(const char *path) {
    struct source source;
    struct failure failure;
    struct syntax syntax;
    struct diagnostics mistakes = {0};
    if (source_read(&source, path, TRUST_ANY, NULL, &failure) < 0)
        return;
    syntax_init(&syntax);
    syntax_parse(&syntax, &source, &mistakes);
    size_t count = disable_line_count(&source);
    for (size_t line = 1; line <= count && count < 2000; line++)
        goes_and_comes(&source, line, !mistakes.count);
    diagnostic_finish_list(&mistakes);
    syntax_finish(&syntax);
    source_finish(&source);
}

static void every_line_goes_and_comes_back(void **state) {
    static const char *const patterns[] = {"rules.d/*.rules", "tests/golden/*/*.rules",
                                           "tests/golden/*/*/*.rules", "tests/fuzz/*/*"};
    glob_t paths;
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (glob(patterns[i], 0, NULL, &paths) != 0)
            continue;
        for (size_t j = 0; j < paths.gl_pathc; j++)
            all_lines(paths.gl_pathv[j]);
        globfree(&paths);
    }
    assert_true(tried > 100);
}

static void without_marks_every_line_is_where_it_was(void **state) {
    static const struct {
        const char *text, *unmarked;
    } cases[] = {
        {"a\n#disabled: b \\\n\t#disabled+ c\nd", "a\n           b \\\n\t           c\nd"},
        {"on vm a started {\n  #disabled: b }\n} #disabled}\n# e\n",
         "on vm a started {\n             b }\n  #disabled}\n# e\n"},
        {"on vm a started {\n  b }\n# disabled: c\n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source source = source_of(cases[i].text, strlen(cases[i].text));
        char *text = disable_unmark(&source);
        if (cases[i].unmarked)
            assert_string_equal(text, cases[i].unmarked);
        else
            assert_null(text);
        free(text);
        source_finish(&source);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_becomes_a_comment),
        cmocka_unit_test(all_of_its_lines_do),
        cmocka_unit_test(an_action_goes_alone),
        cmocka_unit_test(the_head_is_the_block),
        cmocka_unit_test(no_other_line_has_one),
        cmocka_unit_test(a_brace_of_the_block_stays),
        cmocka_unit_test(what_is_disabled_is_found_by_each_line),
        cmocka_unit_test(a_block_without_other_actions_is_no_mistake),
        cmocka_unit_test(every_line_goes_and_comes_back),
        cmocka_unit_test(without_marks_every_line_is_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
