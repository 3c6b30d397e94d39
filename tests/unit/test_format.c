/* The canonical layout: what it looks like, that it is final, and that it changes no meaning. */
#include "parser/format.h"
#include "parser/print.h"

#include "unit/sample.h"

#include <dirent.h>

static char *formatted(const char *text, struct diagnostics *diagnostics) {
    struct source source;
    size_t size = 0;
    source_from_text(&source, "t.rules", text, strlen(text));
    char *result = format_rules(&source, diagnostics, &size);
    if (result)
        assert_int_equal(strlen(result), size);
    diagnostic_finish_list(diagnostics);
    source_finish(&source);
    return result;
}

static void becomes(const char *text, const char *expected) {
    struct diagnostics diagnostics = {0};
    char *once = formatted(text, &diagnostics);
    assert_non_null(once);
    assert_string_equal(once, expected);
    char *twice = formatted(once, &diagnostics);
    assert_string_equal(twice, once);
    free(twice);
    free(once);
}

static void words_stand_one_blank_apart(void **state) {
    (void)state;
    becomes("  on\tvm   a ,b,\"c d\"  started,plugged   attach  1ac1:089a , 01:02.* as vfio",
            "on vm a, b, \"c d\" started, plugged attach 1ac1:089a, 0000:01:02.* as vfio\n");
}

static void hex_is_written_as_lspci_does(void **state) {
    (void)state;
    becomes("device X is 1AC1:089A at 0A:1F.7 class 0C03 subsystem ABCD:*\n",
            "device X is 1ac1:089a at 0000:0a:1f.7 class 0c03 subsystem abcd:*\n");
}

static void conditions_keep_their_words(void **state) {
    (void)state;
    becomes("device X  is not 1AC1:089A   not at 0A:1F.7 interface 03AB  not interface 0A usb\n",
            "device X is not 1ac1:089a not at 0000:0a:1f.7 interface 03ab not interface 0a usb\n");
    becomes(
        "device X is below  port 1-1 port \"1-1.[2-4]\" product  like \"C9 * A\" driver \"usb\"\n",
        "device X is below port 1-1 port \"1-1.[2-4]\" product like \"C9 * A\" driver \"usb\"\n");
    becomes("on vm take freed attach 1AC1:089A as usb guest  reset  off take",
            "on vm take freed attach 1ac1:089a as usb guest reset off take\n");
}

static void backends_have_their_words(void **state) {
    (void)state;
    becomes("on vm a started attach any  2 vf  03 of 8086:15D2 at 41:00.0 not  vf of class 0C as "
            "net mac \"52:54:00:AB:cd:EF\"  vlan 010 trust",
            "on vm a started attach any 2 vf 03 of 8086:15d2 at 0000:41:00.0 not vf of class 0c as "
            "net mac \\\n    \"52:54:00:ab:cd:ef\" vlan 010 trust\n");
    becomes("on vm a started attach scsi  \"3:0:0:0\" , scsi as disk  bus\tusb readonly",
            "on vm a started attach scsi \"3:0:0:0\", scsi as disk bus usb readonly\n");
    becomes("on vm mac started attach x as mdev  uuid \"8A0E7D2C-55b1-4c56-9d3e-0f6b1a2c3d4e\"",
            "on vm mac started attach x as mdev uuid \"8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e\"\n");
    becomes("on vm net started attach x as mdev  \"Type-1\" optional # uuid \"8A0E\"",
            "on vm net started attach x as mdev \"Type-1\" optional  # uuid \"8A0E\"\n");
}

static void names_and_strings_keep_their_case(void **state) {
    (void)state;
    becomes("on vm CAFE, 1AC1:089A, \"A\\\"B\" started run \"/X\" Y 1AC1:089A\n",
            "on vm CAFE, 1AC1:089A, \"A\\\"B\" started run \"/X\" Y 1AC1:089A\n");
}

static void blocks_are_opened_and_indented(void **state) {
    (void)state;
    becomes("on vm a started {attach 1ac1:089a as vfio\n\n\n run \"/x\"}\n",
            "on vm a started {\n    attach 1ac1:089a as vfio\n\n    run \"/x\"\n}\n");
    becomes("on vm a started { run \"/x\" }", "on vm a started {\n    run \"/x\"\n}\n");
    becomes("on vm a started {}", "on vm a started {\n}\n");
}

static void blank_lines_part_and_no_more(void **state) {
    (void)state;
    becomes("\n\n# a\n\n\n\n# b\n\n\n", "# a\n\n# b\n");
    becomes("on vm a started {\n\n\n# in\n\n}\n\n", "on vm a started {\n    # in\n}\n");
    becomes("", "");
    becomes("\n \n", "");
}

static void comments_stay(void **state) {
    (void)state;
    becomes(
        "#no blank\non vm a started {#open\n   # own line  \nrun \"/x\"# behind\n}   # close\n#end",
        "#no blank\non vm a started {  #open\n    # own line\n    run \"/x\"  # behind\n"
        "}  # close\n#end\n");
    becomes("on vm a \\\n started run \"/x\" # c \\\n# d\n",
            "on vm a started run \"/x\"  # c \\\n# d\n");
}

static void ends_of_lines(void **state) {
    (void)state;
    becomes("\xef\xbb\xbf# a\r\non vm a started run \"/x\"\r\n",
            "# a\non vm a started run \"/x\"\n");
}

static void long_lines_are_broken(void **state) {
    (void)state;
    becomes(
        "on vm aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, "
        "cccccccccccccccccccc started run \"/x\"\n",
        "on vm aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, "
        "\\\n"
        "    cccccccccccccccccccc started run \"/x\"\n");
}

static void a_file_with_a_syntax_error_is_refused(void **state) {
    (void)state;
    struct diagnostics diagnostics = {0};
    assert_null(formatted("on vm a started atach x\n", &diagnostics));
    assert_null(formatted("on vm a started {\n", &diagnostics));
    assert_null(formatted("on vm \"a started run\n", &diagnostics));
}

static void a_file_that_is_only_unwise_is_not(void **state) {
    (void)state;
    becomes("on vm a started attach nowhere as vfio", "on vm a started attach nowhere as vfio\n");
}

/* --- meaning: the program as text, places aside */

static char *meaning(const char *text) {
    struct ruleset ruleset;
    char *result = NULL;
    size_t size = 0;
    ruleset_init(&ruleset);
    sample_add(&ruleset, "t.rules", text);
    ruleset_load(&ruleset, NULL);
    FILE *out = open_memstream(&result, &size);
    assert_non_null(out);
    for (const struct definition *one = ruleset.syntax.definitions; one; one = one->next) {
        print_definition(out, one);
        putc('\n', out);
    }
    for (const struct rule *rule = ruleset.syntax.rules; rule; rule = rule->next) {
        print_head(out, rule);
        putc('\n', out);
        for (const struct action *action = rule->actions; action; action = action->next) {
            print_action(out, action, true);
            putc('\n', out);
        }
    }
    for (const struct guard *one = ruleset.syntax.guards; one; one = one->next) {
        print_guard(out, one, false);
        putc('\n', out);
    }
    fclose(out);
    ruleset_finish(&ruleset);
    return result;
}

static void durations_have_their_largest_unit(void **state) {
    (void)state;
    char *text = meaning("on vm a started attach 1ac1:089a as vfio within 120m after 90s\n");
    assert_non_null(strstr(text, " within 2h after 90s\n"));
    free(text);
    text = meaning("on vm a started attach 1ac1:089a as vfio within 60000ms after 0s\n");
    assert_non_null(strstr(text, " within 1m after 0s\n"));
    free(text);
}

static size_t count_of(const char *text, char wanted) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == wanted;
    return count;
}

/* Returns false when the text has a syntax error. */
static bool keeps_its_meaning(const char *text) {
    struct diagnostics diagnostics = {0};
    char *once = formatted(text, &diagnostics);
    if (!once)
        return false;
    char *twice = formatted(once, &diagnostics);
    char *before = meaning(text), *after = meaning(once);
    assert_string_equal(after, before);
    assert_non_null(twice);
    assert_string_equal(twice, once);
    assert_int_equal(count_of(once, '#'), count_of(text, '#'));
    free(before);
    free(after);
    free(twice);
    free(once);
    return true;
}

static char *read_file(const char *path) {
    struct source source;
    struct failure failure;
    if (source_read(&source, path, TRUST_ANY, NULL, &failure) < 0)
        fail_msg("%s: %s", path, failure.message);
    char *text = memory_strndup(source.text, source.size);
    source_finish(&source);
    return text;
}

static size_t every_file(const char *directory) {
    struct dirent **entries = NULL;
    size_t good = 0;
    int count = scandir(directory, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(entries[i]->d_name);
        if (length > 6 && !strcmp(entries[i]->d_name + length - 6, ".rules")) {
            char *path = memory_printf("%s/%s", directory, entries[i]->d_name);
            char *text = read_file(path);
            good += strlen(text) > 0 && keeps_its_meaning(text);
            free(text);
            free(path);
        }
        free(entries[i]);
    }
    free((void *)entries);
    return good;
}

static void every_example_keeps_its_meaning(void **state) {
    (void)state;
    assert_true(every_file("rules.d") >= 5);
    assert_true(every_file("tests/golden/check") >= 5);
}

/* --- generated rules: statements of every form with unusual white space */

static unsigned seed;

static unsigned chance(unsigned count) {
    seed = seed * 1103515245U + 12345U;
    return (seed >> 16) % count;
}

static const char *pick(const char *const *list, size_t count) {
    return list[chance((unsigned)count)];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){__VA_ARGS__},                                                       \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void gap(FILE *out) {
    fputs(PICK(" ", " ", "  ", "\t", " \\\n", "\\\r\n  "), out);
}

static void words(FILE *out, const char *text) {
    bool quoted = false;
    for (char last = 0; *text; last = *text++) {
        quoted ^= *text == '"' && last != '\\';
        if (*text == ' ' && !quoted)
            gap(out);
        else
            putc(*text, out);
    }
}

static void device(FILE *out) {
    words(out, PICK("1AC1:089a", "8086:*", "*:0001 class 03", "at 05:00.*", "0000:0A:00.1",
                    "port 1-1.4", "serial \"a\\\"b\\\\c\"", "class 0C03 subsystem 10DE:*", "coral",
                    "coral class 12", "not 1AC1:089a class 0C", "usb interface 03AB not class 0A",
                    "below port 1-1 not port \"1-1.[2-4]\"",
                    "product like \"C9?? *\" driver uvcvideo", "pci not at 0A:00.0 not coral",
                    "vf of 8086:15D2 at 0A:00.0", "class 02 vf 03 of coral not vf of class 0C",
                    "not scsi \"3:0:0:0\" scsi", "port 1-1.* manufacturer \"[A, b]\""));
    if (!chance(4)) {
        words(out, " or ");
        device(out);
    }
}

static void action(FILE *out) {
    if (!chance(4)) {
        words(out, PICK("run \"/a b\" c \"d\"", "run \"/x\"", "detach all 8086:*", "detach coral"));
        return;
    }
    words(out, PICK("attach ", "attach all ", "attach any ", "attach any 2 "));
    device(out);
    for (unsigned i = chance(3); i; i--) {
        words(out, PICK(" , ", ",", ", "));
        device(out);
    }
    words(out, PICK(" as vfio", " as usb", " with group as vfio",
                    " as net mac \"52:54:00:AB:cd:EF\" vlan 10", " as mdev \"nvidia-63\"",
                    " as mdev uuid \"8A0E7D2C-55b1-4c56-9d3e-0f6b1a2c3d4e\"", " as serial pci",
                    " as disk bus scsi readonly", " as scsi", " as input grab"));
    words(out, PICK("", " optional", " within 500ms after 90s", " rom off then reset",
                    " rom \"/r\"", " unmanaged then reboot", " controller 1 guest reset off",
                    " take guest reset uninitialized"));
}

static void comment(FILE *out) {
    fputs(PICK("", "", " # c", "#", "\t# \"x { }  "), out);
}

static void statement(FILE *out) {
    words(out, PICK("on vm a", "on vm ha*, \"on\" ,7", "on vm any", "on vm 2m,cafe"));
    words(out,
          PICK(" started ", " started,plugged ", " reconnect , unplugged ", " started, freed "));
    if (chance(2)) {
        action(out);
    } else {
        fputs(PICK("{", "{ "), out);
        for (unsigned i = chance(3); i; i--) {
            comment(out);
            fputs(PICK("\n", "\n\n\n", "\r\n "), out);
            action(out);
        }
        comment(out);
        fputs("\n}", out);
    }
}

static char *generate(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fputs(PICK("", "\xef\xbb\xbf"), out);
    words(out, "device coral is ");
    words(out, PICK("1ac1:089a", "1ac1:089A or 18d1:9302"));
    for (unsigned i = chance(6); i; i--) {
        comment(out);
        fputs(PICK("\n", "\r\n", "\n\n"), out);
        if (chance(4))
            statement(out);
        else
            words(out, PICK("never attach class 0106", "never attach coral to vm a , b", ""));
    }
    fclose(out);
    return text;
}

static void generated_rules_keep_their_meaning(void **state) {
    (void)state;
    for (seed = 1; seed < 4000; seed++) {
        unsigned began = seed;
        char *text = generate();
        if (!keeps_its_meaning(text))
            fail_msg("generated from %u, and not understood:\n%s", began, text);
        free(text);
        seed = began;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_stand_one_blank_apart),
        cmocka_unit_test(hex_is_written_as_lspci_does),
        cmocka_unit_test(conditions_keep_their_words),
        cmocka_unit_test(backends_have_their_words),
        cmocka_unit_test(names_and_strings_keep_their_case),
        cmocka_unit_test(blocks_are_opened_and_indented),
        cmocka_unit_test(blank_lines_part_and_no_more),
        cmocka_unit_test(comments_stay),
        cmocka_unit_test(ends_of_lines),
        cmocka_unit_test(long_lines_are_broken),
        cmocka_unit_test(a_file_with_a_syntax_error_is_refused),
        cmocka_unit_test(a_file_that_is_only_unwise_is_not),
        cmocka_unit_test(durations_have_their_largest_unit),
        cmocka_unit_test(every_example_keeps_its_meaning),
        cmocka_unit_test(generated_rules_keep_their_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
