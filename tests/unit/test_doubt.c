/* Guards in doubt: a `never` with an error, or whose definition has one, forbids all that it may
 * mean. */
#include "tests/unit/sample.h"

#include "parser/doubt.h"

#include "engine/rules/match.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct device gpu = {SAMPLE_PCI("0000:01:00.0", 0x10de, 0x2484, 0x030000)};
static const struct device xhci = {SAMPLE_PCI("0000:00:14.0", 0x8086, 0xa36d, 0x0c0330)};
static const struct device nic = {SAMPLE_PCI("0000:05:00.0", 0x8086, 0x10fb, 0x020000)};
static const struct device stick = {SAMPLE_USB("1-1.2", 0x10c4, 0xea60, 1, 4)};

static void load(struct sample_rules *rules, const char *const *texts) {
    static const char *const names[] = {"10", "20", "30"};
    ruleset_init(&rules->ruleset);
    for (size_t i = 0; i < 3 && texts[i]; i++)
        sample_add(&rules->ruleset, names[i], texts[i]);
    ruleset_load(&rules->ruleset, NULL);
    program_init(&rules->program, &rules->ruleset);
}

/* What is forbidden to a VM "x", a letter a device, and '?' when something is in doubt. */
static const char *forbidden_by(const struct program *program) {
    static char found[8];
    static const struct {
        const struct device *device;
        char letter;
    } devices[] = {{&gpu, 'g'}, {&xhci, 'x'}, {&nic, 'n'}, {&stick, 's'}};
    struct domain domain = {.name = SAMPLE_TEXT("x")};
    struct doubts doubts = ruleset_doubts(program->ruleset);
    size_t length = 0;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (match_guard(program, &domain, devices[i].device))
            found[length++] = devices[i].letter;
    if (doubts.count)
        found[length++] = '?';
    found[length] = 0;
    ruleset_finish_doubts(&doubts);
    return found;
}

static const char *forbidden(const char *first, const char *second, const char *third) {
    struct sample_rules rules;
    const char *const texts[] = {first, second, third};
    load(&rules, texts);
    const char *found = forbidden_by(&rules.program);
    sample_rules_finish(&rules);
    return found;
}

struct sample {
    const char *text, *forbidden;
};

static void compare(const struct sample *samples, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *found = forbidden(samples[i].text, NULL, NULL);
        if (strcmp(found, samples[i].forbidden) != 0)
            fail_msg("%s\nforbids '%s', not '%s'", samples[i].text, found, samples[i].forbidden);
    }
}

#define COMPARE(SAMPLES) compare(SAMPLES, sizeof(SAMPLES) / sizeof *(SAMPLES))

static void what_is_right_is_sure(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"never attach 10de:*\n", "g"},
        {"nonsense\nnever attach 10de:*\n", "g"},
        {"never attach 10de:*\ndevice other is 8086:a3\n", "g"},
        {"device g is 10de:*\nnever attach g class 03\n", "g"},
        {"never attach 10de:* to vm x\n", "g"},
        {"never attach 10de:* to vm y\n", ""},
    };
    COMPARE(samples);
}

static void a_definition_that_was_not_understood(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"device d is 8086:a36\nnever attach d\n", "gxns?"},
        {"device d is 10de:2484 or 8086:a36\nnever attach d\n", "gxns?"},
        {"device d is 8086:* class 2\nnever attach d\n", "xn?"},
        {"device d is 8086:a36 class 02\nnever attach d\n", "n?"},
        {"device d is 10de:*, 8086:*\nnever attach d\n", "gxns?"},
        {"devise d is 10de:*\nnever attach d\n", "gxns?"},
        {"device e is 10de:24\ndevice d is e or 8086:10fb\nnever attach d\n", "gxns?"},
        {"device e is 8086:*\ndevice d is e at 14.0\nnever attach d\n", "xn?"},
        {"device d is d\nnever attach d\n", "gxns?"},
        {"device d is e\ndevice e is d\nnever attach e\n", "gxns?"},
        {"device d is nothing class 02\nnever attach d\n", "n?"},
        {"never attach d\n", "gxns?"},
        {"device d is 10de:2484\ndevice d is 8086:10fb\nnever attach d\n", "gn?"},
    };
    COMPARE(samples);
}

static void a_not_in_a_guard(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"never attach pci not 10de:*\n", "xn"},
        {"never attach usb not class 09\n", "s"},
        {"device d is 10de:*\nnever attach pci not d\n", "xn"},
        {"device d is 10de:*\nnever attach pci not d to vm \"x\n", "xn?"},
        {"device d is 10de:24\nnever attach pci not d\n", "gxn?"},
        {"device d is 10de:*\ndevice d is 8086:*\nnever attach pci not d\n", "gxn?"},
        {"never attach pci not nothing\n", "gxn?"},
        {"never attach pci not clas 03\n", "gxns?"},
        {"never attach pci not class 3\n", "gxn?"},
        {"never attach 8086:* not at 3:00.0\n", "xn?"},
        {"never attach 10de:* not 10de:2484\n", ""},
        {"never attach 10de:2484 not 10de:*\n", "gxns?"}, /* both, one at a time */
        {"never attach below port 1-1 clas 08\n", "gxns?"},
        {"never attach below port 1-1 class 8\n", "s?"},
        {"never attach below port 1-4 serial \"a\\b\"\n", "?"},
    };
    COMPARE(samples);
}

static void a_guard_that_was_not_understood(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"never attach 8086:a36\n", "gxns?"},
        {"never attach 8086:a36d at 3:00.0\n", "x?"},
        {"never attach class 3 8086:*\n", "xn?"},
        {"never attach serial \"a\\b\" 10c4:*\n", "s?"},
        {"never attach 10de:*, 8086:*\n", "gxns?"},
        {"never attach 10de:* | 8086:a36d\n", "gxns?"},
        {"never attach 10de:* and 8086:a36d\n", "gxns?"},
        {"never attach 8086:* 0000:05:00.0 to vm ,\n", "n?"}, /* both are understood */
        {"never attach 10de:* 8086:a36\n", "gxns?"},
        {"never attach 10de:2484 8086:a36d\n", "gx?"},
        {"never attach 10de:* as vfio\n", "g?"},
        {"never attach 10de:* as vfio, 8086:a36d\n", "gxns?"},
        {"never attach 10de:* or\n", "gxns?"},
        {"never attach 8086:* class\n", "xn?"},
        {"never attach class 03 class 0c\n", "gx?"},
        {"never attach at 05:00.0 port 1-1.2\n", "ns?"},
        {"device d is 10de:*\nnever attach d 8086:10fb\n", "gn?"},
        {"never attach all 10de:*\n", "gxns?"},
        {"never attach\n", "gxns?"},
        {"never\n", "gxns?"},
        {"never detach 10de:*\n", "gxns?"},
        {"nevr attach 10de:*\n", "gxns?"},
        {"NEVER attach 10de:*\n", "gxns?"},
        {"NEVER ATTACH 10de:*\n", "gxns?"},
        {"Never Attach 10de:*\n", "gxns?"},
        {"neverattach 10de:*\n", "gxns?"},
        {"nevr atach 10de:*\n", "gxns?"},
        {"nevr 10de:*\n", "gxns?"},
        {"NEVER\n", "gxns?"},
        {"never attach class Network controller\n", "gxns?"},
        {"server 10de:*\n", ""},
        {"never attach\xc2\xa0"
         "10de:*\n",
         "g?"},
    };
    COMPARE(samples);
}

static void vms_that_were_not_understood(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"never attach 10de:* to vm Home Assistant\n", "g?"},
        {"never attach 10de:* to vm 'y'\n", "g?"},
        {"never attach 10de:* to vm \"y\n", "g?"},
        {"never attach 10de:* to vm \"\"\n", "g?"},
        {"never attach 10de:* to vm y:\n", "g?"},
        {"never attach 10de:* to y\n", "g?"},
        {"never attach 10de:* to vm\n", "g?"},
        {"never attach 10de:* to vm UUID y\n", "g?"},
        {"never attach 10de:* to vm not y\n", "g?"},
        {"never attach 10de:* to vm uuid y*\n", "g?"},
        {"never attach 10de:* to vm y\xc2\xa0z\n", "g?"},
        {"never attach 10de:* on vm y\n", "g?"},
    };
    COMPARE(samples);
}

static void a_guard_that_another_line_swallows(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"device d is 8086:10fb \\\nnever attach 10de:*\n", "g"},
        {"on vm x started attach 1ac1:089a as vfio \\\n  never attach 10de:*\n", "g"},
        {"on vm x started attach 1ac1:089a \\\r\nnever attach 10de:*\r\n", "g"},
        {"on vm x \\\nnever attach 10de:* to vm y\n", ""},
        {"on vm x started {\nattach 1ac1:089a as vfio \\\nnever attach 10de:*\n", "g"},
        {"on vm x started {\nattach 1ac1:089a as vfio\nnever attach 10de:*\n}\n", "g"},
        {"# a \\\nnever attach 10de:*\n", "g"},
        {"on vm x started run \"/x\"\xe2\x80\xa8never attach 10de:*\n", "gxns?"},
        {"x\xe2\x80\xa9never attach 10de:*\n", "gxns?"},
        {"on vm x started attach 1ac1:089a as vfio never attach 10de:*\n", "gxns?"},
        {"on vm x started {\nrun \"/x\" ; never attach 10de:*\n}\n", "gxns?"},
        {"on vm x started { run \"/x\" never attach 10de:* }\n", "gxns?"},
        {"# a\rnever attach 10de:*\r", "gxns?"},
        {"# a\rnevermind\r", ""},
        {"on vm x started run \"/x\"\rnever attach 10de:*\r", "gxns?"},
    };
    COMPARE(samples);
}

static void a_joined_guard_is_one_error(void **state) {
    (void)state;
    struct sample_rules rules;
    const char *const texts[] = {"on vm x \\\nnever attach 10de:*\n", NULL};
    load(&rules, texts);
    assert_int_equal(rules.ruleset.diagnostics.count, 1);
    assert_int_equal(rules.ruleset.diagnostics.list[0].span.start, 8);
    sample_rules_finish(&rules);
}

static void a_name_is_that_of_its_own_file(void **state) {
    (void)state;
    assert_string_equal(
        forbidden("device d is 10de:*\n", "device d is 8086:a36d\nnever attach d\n", NULL), "x");
    assert_string_equal(
        forbidden("device d is 10de:*\nnever attach d\n", "device d is 8086:a36d\n", NULL), "g");
    assert_string_equal(
        forbidden("device d is 10de:*\n", "device d is 8086:a36d\n", "never attach d\n"), "gx?");
    assert_string_equal(forbidden("device d is 10de:*\n",
                                  "device d is 8086:a36d\ndevice e is d or 8086:10fb\n",
                                  "never attach e\n"),
                        "xn");
    assert_string_equal(forbidden("device d is 10de:*\nnonsense\n", "never attach d\n", NULL), "g");
}

/* --- files that are refused, or cannot be read */

static void write_file(const char *directory, const char *name, mode_t mode, const char *text,
                       size_t size) {
    char *path = memory_printf("%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fwrite(text, 1, size, out);
    fclose(out);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

struct directory {
    char path[32];
    struct sample_rules rules;
};

static void directory_init(struct directory *directory) {
    strcpy(directory->path, "/tmp/doubt-XXXXXX");
    assert_non_null(mkdtemp(directory->path));
    ruleset_init(&directory->rules.ruleset);
}

static void directory_load(struct directory *directory) {
    ruleset_add_directory(&directory->rules.ruleset, directory->path);
    ruleset_load(&directory->rules.ruleset, NULL);
    program_init(&directory->rules.program, &directory->rules.ruleset);
}

static void directory_finish(struct directory *directory) {
    char *command = memory_printf("rm -r %s", directory->path);
    sample_rules_finish(&directory->rules);
    assert_int_equal(system(command), 0);
    free(command);
}

#define WRITE(DIRECTORY, NAME, MODE, TEXT)                                                         \
    write_file((DIRECTORY)->path, NAME, MODE, TEXT, sizeof(TEXT) - 1)

static void a_refused_file_only_forbids(void **state) {
    (void)state;
    struct directory directory;
    directory_init(&directory);
    WRITE(&directory, "10.rules", 0664,
          "device d is 10de:*\ndevice e is 8086:10fb\nnever attach d\n"
          "on vm x started run \"/x\"\nnonsense\n");
    WRITE(&directory, "20.rules", 0644, "device d is 8086:a36d\non vm x started run \"/x\"\n");
    WRITE(&directory, "30.rules", 0644, "never attach d\n");
    directory_load(&directory);
    assert_string_equal(forbidden_by(&directory.rules.program), "gx");
    assert_int_equal(directory.rules.program.rule_count, 1);
    const struct diagnostics *found = &directory.rules.ruleset.diagnostics;
    assert_int_equal(diagnostic_count_errors(found), 1);
    assert_string_equal(diagnostic_name(&found->list[0]), "unsafe-file");
    assert_non_null(strstr(found->list[0].hint, "only its 'never' lines are in force"));
    directory_finish(&directory);
}

static void nobody_uses_the_definitions_of_a_refused_file(void **state) {
    (void)state;
    struct directory directory;
    directory_init(&directory);
    WRITE(&directory, "10.rules", 0666, "device d is 10de:*\n");
    WRITE(&directory, "20.rules", 0644, "on vm x started attach d as vfio\n");
    WRITE(&directory, "30.rules", 0644, "never attach d class 0c\n");
    directory_load(&directory);
    assert_int_equal(directory.rules.program.rule_count, 0);
    assert_string_equal(forbidden_by(&directory.rules.program), "x?");
    directory_finish(&directory);
}

static void doubts_of_a_refused_file_are_told_at_its_refusal(void **state) {
    (void)state;
    struct directory directory;
    directory_init(&directory);
    WRITE(&directory, "10.rules", 0666, "device d is 10de:\nnever attach 8086:* at 1\n");
    directory_load(&directory);
    assert_string_equal(forbidden_by(&directory.rules.program), "xn?");
    const struct diagnostics *found = &directory.rules.ruleset.diagnostics;
    assert_int_equal(diagnostic_count_errors(found), 1);
    assert_int_equal(found->list[0].note_count, 1);
    assert_string_equal(found->list[0].notes[0].message,
                        "until this is corrected, this 'never' forbids every device that is "
                        "8086:* to every VM");
    directory_finish(&directory);
}

static void files_that_cannot_be_read_are_told(void **state) {
    (void)state;
    struct directory directory;
    directory_init(&directory);
    WRITE(&directory, "10.rules", 0644, "\xff\xfen\0e\0v\0e\0r\0\n\0");
    WRITE(&directory, "20.rules", 0644, "never attach 10de:*\n");
    char *link = memory_printf("%s/30.rules", directory.path);
    assert_int_equal(symlink("nowhere", link), 0);
    free(link);
    directory_load(&directory);
    assert_string_equal(forbidden_by(&directory.rules.program), "g?");
    struct doubts doubts = ruleset_doubts(&directory.rules.ruleset);
    assert_int_equal(doubts.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(doubts.list[i].line, 0);
        assert_null(doubts.list[i].forbids);
        assert_non_null(strstr(doubts.list[i].message, "not in force"));
        assert_non_null(strstr(doubts.list[i].source->path, i ? "/30.rules" : "/10.rules"));
    }
    ruleset_finish_doubts(&doubts);
    directory_finish(&directory);
}

/* --- what is said */

static void the_error_has_a_note_on_the_guard(void **state) {
    (void)state;
    struct sample_rules rules;
    const char *const texts[] = {"never attach d to vm a, b\n",
                                 "device d is 10de:* at x or 8086:a36d\n", NULL};
    load(&rules, texts);
    const struct diagnostic *first = &rules.ruleset.diagnostics.list[1];
    assert_string_equal(diagnostic_name(first), "bad-address");
    assert_int_equal(first->note_count, 1);
    assert_string_equal(first->notes[0].source->path, "10");
    assert_string_equal(first->notes[0].message,
                        "until this is corrected, this 'never' forbids every device that is "
                        "(10de:* or 8086:a36d) to a, b");
    struct doubts doubts = ruleset_doubts(&rules.ruleset);
    assert_int_equal(doubts.count, 1);
    assert_int_equal(doubts.list[0].line, 1);
    assert_string_equal(doubts.list[0].guard, "never attach d to vm a, b");
    assert_string_equal(doubts.list[0].forbids,
                        "every device that is (10de:* or 8086:a36d) to a, b");
    ruleset_finish_doubts(&doubts);
    sample_rules_finish(&rules);
}

static void a_sure_guard_is_named_first(void **state) {
    (void)state;
    struct sample_rules rules;
    const char *const texts[] = {"never attach 10de:2\n", "never attach 10de:*\n", NULL};
    struct domain domain = {.name = SAMPLE_TEXT("x")};
    load(&rules, texts);
    assert_string_equal(match_guard(&rules.program, &domain, &gpu)->source->path, "20");
    assert_string_equal(match_guard(&rules.program, &domain, &nic)->source->path, "10");
    sample_rules_finish(&rules);
}

/* Where the line of its definition has an error, a keyword that is a device's name is still that
 * name, and not the condition. */
static void a_name_that_is_a_keyword_stays_one(void **state) {
    (void)state;
    static const char *const lines[] = {"devce pci is 10c4:*\n",
                                        "reset device pci is 10c4:*\n",
                                        "device device pci is 10c4:*\n",
                                        "pci is 10c4:*\n",
                                        "pci = 10c4:*\n",
                                        "device pci 10c4:*\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_string_equal(forbidden("never attach pci\n", lines[i], NULL), "gxns?");
    assert_string_equal(
        forbidden("never attach not class 00 10c4:*\n", "devce not is 1ac1:089a\n", NULL), "s?");
    assert_string_equal(
        forbidden("never attach pci\n", "on vm x started attach device pci\n", NULL), "gxn");
    assert_string_equal(forbidden("never attach pci\n", "devce usb is 10c4:*\n", NULL), "gxn");
}

/* Each definition twice: every look doubles, and it must end. */
static void many_meanings_end(void **state) {
    (void)state;
    char *text = memory_strdup("never attach d0\ndevice d60 is 10de:*\n");
    for (int i = 0; i < 60; i++) {
        char *longer =
            memory_printf("%sdevice d%d is d%d\ndevice d%d is d%d\n", text, i, i + 1, i, i + 1);
        free(text);
        text = longer;
    }
    assert_string_equal(forbidden(text, NULL, NULL), "gxns?");
    free(text);
}

/* What was not looked at may be any device. */
static void more_definitions_than_are_looked_at(void **state) {
    (void)state;
    for (int more = 0; more < 2; more++) {
        char *text = memory_strdup("never attach d\n");
        for (int i = 0; i < DOUBT_CANDIDATES - 1 + more; i++) {
            char *longer = memory_printf("%sdevice d is 1ac1:%04x\n", text, i);
            free(text);
            text = longer;
        }
        assert_string_equal(forbidden(text, NULL, NULL), more ? "gxns?" : "?");
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_sure),
        cmocka_unit_test(a_definition_that_was_not_understood),
        cmocka_unit_test(a_not_in_a_guard),
        cmocka_unit_test(a_guard_that_was_not_understood),
        cmocka_unit_test(vms_that_were_not_understood),
        cmocka_unit_test(a_guard_that_another_line_swallows),
        cmocka_unit_test(a_joined_guard_is_one_error),
        cmocka_unit_test(a_name_is_that_of_its_own_file),
        cmocka_unit_test(a_refused_file_only_forbids),
        cmocka_unit_test(nobody_uses_the_definitions_of_a_refused_file),
        cmocka_unit_test(doubts_of_a_refused_file_are_told_at_its_refusal),
        cmocka_unit_test(files_that_cannot_be_read_are_told),
        cmocka_unit_test(the_error_has_a_note_on_the_guard),
        cmocka_unit_test(a_sure_guard_is_named_first),
        cmocka_unit_test(a_name_that_is_a_keyword_stays_one),
        cmocka_unit_test(many_meanings_end),
        cmocka_unit_test(more_definitions_than_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
