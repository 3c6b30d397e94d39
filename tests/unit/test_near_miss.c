/* What is named when no rule is for an event of a VM. */
#include "engine/plan/near_miss.h"

#include "unit/host_tree.h"
#include "unit/sample.h"

#include <json-c/json.h>

static const char FRIGATE[] = "<domain><name>frigate</name><title>NVR box</title>"
                              "<uuid>5dc01234-0000-4000-8000-000000000001</uuid></domain>";
static const char OTHER[] = "<domain><name>Frigate</name></domain>";

/* Finds for `event` of the VM, with these files: name, text, name, text, ..., NULL. */
static struct near_misses found(enum event_name name, const struct domain *others,
                                const char *const *files) {
    struct near_misses misses = {0};
    struct ruleset ruleset;
    struct program program;
    struct domain domain;
    ruleset_init(&ruleset);
    for (; *files; files += 2)
        sample_add(&ruleset, files[0], files[1]);
    ruleset_load(&ruleset, NULL);
    program_init(&program, &ruleset);
    sample_domain(&domain, FRIGATE);
    struct event event = {
        .name = name, .domain = &domain, .vms = others, .vm_count = others ? 1 : 0};
    near_miss_find(&misses, &program, &event);
    near_miss_sort(&misses);
    domain_finish(&domain);
    program_finish(&program);
    ruleset_finish(&ruleset);
    return misses;
}

/* One rule; NULL: nothing is near. */
static void assert_miss(enum event_name name, const char *rule, const char *expected) {
    struct near_misses misses = found(name, NULL, (const char *[]){"r/50.rules", rule, NULL});
    if (!expected) {
        assert_int_equal(misses.count, 0);
    } else {
        assert_int_equal(misses.count, 1);
        char *text = near_miss_text(&misses.list[0]);
        assert_string_equal(text, expected);
        free(text);
    }
    near_miss_finish(&misses);
}

static void similar_names(void **state) {
    (void)state;
    assert_miss(EVENT_STARTED, "on vm Frigate started run \"/x\"",
                "r/50.rules:1 is for 'Frigate': did you mean 'frigate'?");
    assert_miss(EVENT_STARTED, "\n# x\non vm frigte, win started run \"/x\"",
                "r/50.rules:3 is for 'frigte': did you mean 'frigate'?");
    assert_miss(EVENT_STARTED, "on vm \"NVR Box\" started run \"/x\"",
                "r/50.rules:1 is for 'NVR Box': did you mean 'NVR box'?");
    assert_miss(EVENT_STARTED, "on vm 5dc01234-0000-4000-8000-000000000002 started run \"/x\"",
                "r/50.rules:1 is for '5dc01234-0000-4000-8000-000000000002': did you mean "
                "'5dc01234-0000-4000-8000-000000000001'?");
    assert_miss(EVENT_STARTED, "on vm win started run \"/x\"", NULL);
    assert_miss(EVENT_STARTED, "on vm frigate started run \"/x\"", NULL);
    assert_miss(EVENT_STARTED, "on vm any started run \"/x\"", NULL);
}

static void patterns_and_fields(void **state) {
    (void)state;
    assert_miss(EVENT_STARTED, "on vm Fri* started run \"/x\"",
                "r/50.rules:1 is for 'Fri*': did you mean 'frigate'?");
    assert_miss(EVENT_STARTED, "on vm \"fri*\" started run \"/x\"",
                "r/50.rules:1 is for 'fri*': leave out the quotes, within which '*' and '?' mean "
                "themselves");
    assert_miss(EVENT_STARTED, "on vm title frigate started run \"/x\"",
                "r/50.rules:1 is for the title 'frigate': leave out 'title'");
    assert_miss(EVENT_STARTED, "on vm name \"NVR box\" started run \"/x\"",
                "r/50.rules:1 is for the name 'NVR box': leave out 'name'");
    assert_miss(EVENT_STARTED, "on vm win* started run \"/x\"", NULL);
}

static void names_that_were_typed(void **state) {
    static const struct {
        const char *vm, *expected;
    } rows[] = {
        {"Frigate", ":1 is for 'Frigate', and nobody knows: if that VM is meant, use "
                    "'virt-rules plan Frigate started'"},
        {"\"fri gate\"", ":1 is for 'fri gate', and nobody knows: if that VM is meant, "
                         "use 'virt-rules plan \"fri gate\" started'"},
        {"Fri*", ":1 is for 'Fri*', and nobody knows"},
        {"title frigate", ":1 is for the title 'frigate', and nobody knows"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct near_misses misses = {0};
        struct sample_rules rules;
        struct domain domain;
        char *text = memory_printf("on vm %s started run \"/x\"", rows[i].vm);
        sample_rules_init(&rules, text);
        domain_from_name(&domain, "frigate");
        struct event event = {
            .name = EVENT_STARTED, .domain = &domain, .name_only = "nobody knows"};
        near_miss_find(&misses, &rules.program, &event);
        assert_int_equal(misses.count, 1);
        char *line = near_miss_text(&misses.list[0]);
        const char *after = strstr(line, ":1 ");
        assert_non_null(after);
        assert_string_equal(after, rows[i].expected);
        free(line);
        near_miss_finish(&misses);
        domain_finish(&domain);
        sample_rules_finish(&rules);
        free(text);
    }
}

static void other_events(void **state) {
    (void)state;
    assert_miss(EVENT_STARTED, "on vm frigate stopped run \"/x\"", "r/50.rules:1 is for stopped");
    assert_miss(EVENT_STARTED, "on vm frigate prepare, stopped, release run \"/x\"",
                "r/50.rules:1 is for prepare, stopped and release");
    assert_miss(EVENT_STARTED, "on vm Frigate stopped run \"/x\"", NULL);
    assert_miss(EVENT_STARTED, "on host boot bind 10de:* to vfio", NULL);
}

static void other_devices(void **state) {
    struct near_misses misses = {0};
    struct sample_rules rules;
    struct domain domain;
    struct device device = {.bus = BUS_USB, .address = (char *)"1-1", .id = {0x1a6e, 0x089a}};
    (void)state;
    sample_rules_init(&rules, "on vm frigate plugged attach 18d1:9302 as usb");
    sample_domain(&domain, FRIGATE);
    struct event event = {.name = EVENT_PLUGGED, .domain = &domain, .device = &device};
    near_miss_find(&misses, &rules.program, &event);
    assert_int_equal(misses.count, 1);
    assert_int_equal(misses.list[0].kind, NEAR_MISS_DEVICE);
    near_miss_finish(&misses);
    domain_finish(&domain);
    sample_rules_finish(&rules);
}

/* The rule is right when a VM has just that name. */
static void names_of_other_vms(void **state) {
    struct domain other;
    (void)state;
    sample_domain(&other, OTHER);
    struct near_misses misses =
        found(EVENT_STARTED, &other,
              (const char *[]){"50.rules", "on vm Frigate started run \"/x\"", NULL});
    assert_int_equal(misses.count, 0);
    near_miss_finish(&misses);
    domain_finish(&other);
}

static void the_nearest_first(void **state) {
    (void)state;
    struct near_misses misses =
        found(EVENT_STARTED, NULL,
              (const char *[]){"10.rules", "on vm frigate stopped run \"/x\"", "20.rules",
                               "on vm frigate strted run \"/x\"", "30.rules",
                               "on vm frigat started run \"/x\"", NULL});
    assert_int_equal(misses.count, 3);
    assert_string_equal(misses.list[0].path, "30.rules");
    assert_int_equal(misses.list[0].line, 1);
    assert_string_equal(misses.list[1].path, "20.rules");
    assert_int_equal(misses.list[1].line, 0);
    assert_string_equal(misses.list[1].message, "has errors, so none of its rules counts");
    assert_string_equal(misses.list[2].path, "10.rules");
    struct json_object *json = near_miss_json(&misses);
    assert_non_null(strstr(json_object_to_json_string(json), "\"kind\": \"name\""));
    json_object_put(json);
    near_miss_finish(&misses);
}

static void assert_unread(const char *tree, const char *const *expected) {
    struct near_misses misses = {0};
    struct ruleset ruleset;
    struct program program;
    struct domain domain;
    program_load(&program, &ruleset, tree);
    sample_domain(&domain, FRIGATE);
    struct event event = {.name = EVENT_STARTED, .domain = &domain};
    near_miss_find(&misses, &program, &event);
    near_miss_find_unread(&misses, &program, &event, tree);
    near_miss_sort(&misses);
    for (size_t i = 0; i < misses.count; i++) {
        char *text = near_miss_text(&misses.list[i]);
        assert_non_null(expected[i]);
        assert_string_equal(text + strlen(tree), expected[i]);
        free(text);
    }
    assert_null(expected[misses.count]);
    near_miss_finish(&misses);
    domain_finish(&domain);
    program_finish(&program);
    ruleset_finish(&ruleset);
}

static void files_that_were_not_read(void **state) {
    const struct tree_of_test *tree = *state;
    const char *root = tree->root;
    static const char RULE[] = "on vm frigate started run \"/x\"\n";
    char hint[4][512];
    put(tree, "README", "on this host there are VMs\n");
    assert_unread(root,
                  (const char *[]){" has no *.rules file: 'virt-rules add' writes one", NULL});
    put(tree, "frigate", RULE);
    put(tree, "50.rule", "on vm Frigate started run \"/x\"\n");
    put(tree, "60.rules.disabled", RULE);
    put(tree, "70-win.rules.disabled", "on vm win started run \"/x\"\n");
    put(tree, "80-win.rules", "on vm win stopped run \"/x\"\n");
    put(tree, "80-win.rules~", RULE);
    put(tree, ".90.rules", RULE);
    snprintf(hint[0], sizeof hint[0],
             "/.90.rules was not read: its name begins with a dot: rename it with 'mv %s/.90.rules "
             "%s/90.rules'",
             root, root);
    snprintf(hint[1], sizeof hint[1],
             "/50.rule was not read: its name does not end in .rules: rename it with 'mv "
             "%s/50.rule %s/50.rules'",
             root, root);
    snprintf(hint[2], sizeof hint[2],
             "/60.rules.disabled is disabled: 'virt-rules enable %s/60.rules.disabled' enables it",
             root);
    snprintf(hint[3], sizeof hint[3],
             "/frigate was not read: its name does not end in .rules: rename it with 'mv "
             "%s/frigate %s/frigate.rules'",
             root, root);
    assert_unread(root, (const char *[]){hint[0], hint[1], hint[2], hint[3], NULL});
}

/* What the hint proposes must work, and must not replace a file. */
static void names_that_a_shell_reads(void **state) {
    const struct tree_of_test *tree = *state;
    const char *root = tree->root;
    static const char RULE[] = "on vm frigate started run \"/x\"\n";
    char expected[3][512];
    put(tree, "10.rules", "on vm win stopped run \"/x\"\n");
    put(tree, "10.rule", RULE);
    put(tree, "my gpu's.rule", RULE);
    put(tree, "of $HOME.rules.disabled", RULE);
    snprintf(expected[0], sizeof expected[0],
             "/10.rule was not read: its name does not end in .rules: there is another file "
             "%s/10.rules: what of this one is to count belongs into that",
             root);
    snprintf(expected[1], sizeof expected[1],
             "/my gpu's.rule was not read: its name does not end in .rules: rename it with 'mv "
             "\"%s/my gpu's.rule\" \"%s/my gpu's.rules\"'",
             root, root);
    snprintf(expected[2], sizeof expected[2],
             "/of $HOME.rules.disabled is disabled: 'virt-rules enable \"%s/of "
             "\\$HOME.rules.disabled\"' enables it",
             root);
    assert_unread(root, (const char *[]){expected[0], expected[1], expected[2], NULL});
}

/* A person reads the nearest; a program gets all. */
static void many_of_them(void **state) {
    const struct tree_of_test *tree = *state;
    struct near_misses misses = {0};
    struct ruleset ruleset;
    struct program program;
    struct domain domain;
    char name[32], *text;
    size_t size;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "%d.rule", i);
        put(tree, name, "on vm frigate started run \"/x\"\n");
    }
    program_load(&program, &ruleset, tree->root);
    sample_domain(&domain, FRIGATE);
    struct event event = {.name = EVENT_STARTED, .domain = &domain};
    near_miss_find_unread(&misses, &program, &event, tree->root);
    FILE *out = memory_stream(&text, &size);
    near_miss_print(&misses, out, (struct terminal){0});
    memory_stream_close(out, &text);
    assert_int_equal(misses.count, 31);
    assert_non_null(strstr(text, "\n  and 23 more; 'virt-rules plan --json' has all\n"));
    free(text);
    near_miss_finish(&misses);
    domain_finish(&domain);
    program_finish(&program);
    ruleset_finish(&ruleset);
}

static void a_missing_directory(void **state) {
    (void)state;
    assert_unread("/nonexistent/rules.d",
                  (const char *[]){" was not read: 'virt-rules check /nonexistent/rules.d' says "
                                   "what to do",
                                   NULL});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(similar_names),
        cmocka_unit_test(patterns_and_fields),
        cmocka_unit_test(names_that_were_typed),
        cmocka_unit_test(other_events),
        cmocka_unit_test(other_devices),
        cmocka_unit_test(names_of_other_vms),
        cmocka_unit_test(the_nearest_first),
        cmocka_unit_test_setup_teardown(files_that_were_not_read, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(names_that_a_shell_reads, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(many_of_them, make_tree, remove_tree),
        cmocka_unit_test(a_missing_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
