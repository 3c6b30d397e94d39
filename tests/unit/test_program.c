/* The rules that count. */
#include "tests/unit/sample.h"

static struct ruleset ruleset;
static struct program program;

static int set_up(void **state) {
    (void)state;
    ruleset_init(&ruleset);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    program_finish(&program);
    ruleset_finish(&ruleset);
    return 0;
}

static void load(void) {
    ruleset_load(&ruleset, NULL);
    program_init(&program, &ruleset);
}

static void all_files_in_their_order(void **state) {
    (void)state;
    sample_add(&ruleset, "a", "on vm a started run \"/1\"\nnever attach class 03\n");
    sample_add(&ruleset, "b", "never attach class 01\non vm a started run \"/2\"\n");
    load();
    assert_int_equal(program.rule_count, 2);
    assert_int_equal(program.guard_count, 2);
    assert_string_equal(program.rules[0]->source->path, "a");
    assert_string_equal(program.rules[1]->source->path, "b");
    assert_string_equal(program.guards[0]->source->path, "a");
    assert_string_equal(program.guards[1]->source->path, "b");
}

static void a_broken_file_contributes_no_rule_but_still_forbids(void **state) {
    (void)state;
    sample_add(&ruleset, "a", "on vm a started run \"/1\"\nnever attach class 03\nnonsense\n");
    sample_add(&ruleset, "b", "on vm a started run \"/2\"\n");
    load();
    assert_int_equal(program.rule_count, 1);
    assert_string_equal(program.rules[0]->source->path, "b");
    assert_int_equal(program.guard_count, 1);
    assert_string_equal(program.guards[0]->source->path, "a");
}

static void nor_do_files_that_need_it(void **state) {
    (void)state;
    sample_add(&ruleset, "a", "device coral is 1ac1:089a\nnonsense\n");
    sample_add(&ruleset, "b", "on vm a started attach coral as vfio\n");
    sample_add(&ruleset, "c", "on vm a started run \"/2\"\n");
    load();
    assert_int_equal(program.rule_count, 1);
    assert_string_equal(program.rules[0]->source->path, "c");
}

static void whether_a_rule_has_an_option(void **state) {
    (void)state;
    sample_add(&ruleset, "a",
               "on vm a started attach 1ac1:089a as vfio within 30s\n"
               "on vm b started {\n run \"/1\"\n"
               " attach 1ac1:089a as vfio rom off reset method flr\n}\n");
    sample_add(&ruleset, "broken", "on vm c started attach 1ac1:089a as vfio awake\nnonsense\n");
    load();
    assert_true(program_has_option(&program, OPTION_WITHIN));
    assert_true(program_has_option(&program, OPTION_RESET_METHOD));
    assert_false(program_has_option(&program, OPTION_AWAKE));
    assert_false(program_has_option(&program, OPTION_VLAN));
}

static void lines_of_rules_and_actions(void **state) {
    (void)state;
    sample_add(&ruleset, "a", "\n# comment\non vm a, \\\n b started {\n\n  run \"/1\"\n}\n");
    load();
    assert_int_equal(program_line(program.rules[0], NULL), 3);
    assert_int_equal(program_line(program.rules[0], program.rules[0]->actions), 6);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(all_files_in_their_order),   TEST(a_broken_file_contributes_no_rule_but_still_forbids),
        TEST(nor_do_files_that_need_it),  TEST(whether_a_rule_has_an_option),
        TEST(lines_of_rules_and_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
