/* Rule files found, put in order, and judged by owner and mode. */
#include "engine/rules/ruleset.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static struct ruleset ruleset;

/* In place of the system call: no FAT can be mounted here. */
static long file_system;
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the names are those of libc
int statfs(const char *path, struct statfs *status) {
    *status = (struct statfs){.f_type = (__typeof__(status->f_type))file_system};
    return access(path, F_OK);
}

static const char *path_of(const char *name) {
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text) {
    FILE *out = fopen(path_of(name), "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(path_of(name), 0644), 0);
}

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    ruleset_init(&ruleset);
    return 0;
}

static int tear_down(void **state) {
    char command[96];
    (void)state;
    ruleset_finish(&ruleset);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

static void load(void) {
    ruleset_add_directory(&ruleset, directory);
    ruleset_load(&ruleset, NULL);
}

/* Base names of the sources in their order, broken ones with a "!". */
static const char *sources(void) {
    static char text[512];
    *text = 0;
    for (size_t i = 0; i < ruleset.count; i++) {
        const char *slash = strrchr(ruleset.sources[i]->path, '/');
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%s", i ? " " : "",
                 slash ? slash + 1 : ruleset.sources[i]->path,
                 ruleset.sources[i]->broken ? "!" : "");
    }
    return text;
}

static size_t rule_count(void) {
    size_t count = 0;
    for (const struct rule *rule = ruleset.syntax.rules; rule; rule = rule->next)
        count++;
    return count;
}

/* The only diagnostic. */
static void assert_only(const char *name, const char *message) {
    assert_int_equal(ruleset.diagnostics.count, 1);
    const struct diagnostic *one = &ruleset.diagnostics.list[0];
    assert_string_equal(diagnostic_name(one), name);
    assert_int_equal(one->severity, SEVERITY_ERROR);
    if (!strstr(one->message, message))
        fail_msg("no \"%s\" in: %s", message, one->message);
    assert_non_null(one->hint);
}

static const char RULE[] = "on vm any started run \"/bin/true\"\n";

static void files_in_byte_order(void **state) {
    (void)state;
    write_file("b.rules", RULE);
    write_file("10-x.rules", "on vm a started run \"/bin/true\"\n");
    write_file("9-x.rules", "on vm b started run \"/bin/true\"\n");
    write_file("B.rules", "on vm c started run \"/bin/true\"\n");
    write_file("x.rules.bak", "no rule");
    write_file("rules", "no rule");
    write_file(".rules", "no rule");
    write_file(".b.rules", "no rule");
    load();
    assert_string_equal(sources(), "10-x.rules 9-x.rules B.rules b.rules");
    assert_int_equal(ruleset.diagnostics.count, 0);
    assert_int_equal(rule_count(), 4);
}

static void an_empty_directory_is_fine(void **state) {
    (void)state;
    load();
    assert_int_equal(ruleset.count, 0);
    assert_int_equal(ruleset.diagnostics.count, 0);
}

static void assert_near(const char *wanted) {
    char *near = NULL;
    assert_true(ruleset_is_empty(directory, &near));
    if (wanted)
        assert_string_equal(near, wanted);
    else
        assert_null(near);
    free(near);
}

static void an_empty_directory_has_its_near_miss(void **state) {
    char *near = NULL;
    (void)state;
    write_file("README", "");
    assert_near(NULL);
    write_file("B.RULES", RULE);
    write_file("a.rules.bak", RULE);
    assert_near("B.RULES");
    write_file("a.rules", RULE);
    assert_false(ruleset_is_empty(directory, &near));
    assert_null(near);
    assert_false(ruleset_is_empty(path_of("nowhere"), &near));
    assert_false(ruleset_is_empty(path_of("a.rules"), &near));
}

static void a_file_is_read_once(void **state) {
    (void)state;
    write_file("a.rules", "on vm a started run \"/bin/true\"\n");
    write_file("b.rules", "on vm b started run \"/bin/true\"\n");
    char *first = memory_strdup(path_of("a.rules"));
    assert_int_equal(link(first, path_of("hard")), 0);
    free(first);
    assert_int_equal(symlink("b.rules", path_of("soft")), 0);
    ruleset_add_path(&ruleset, path_of("b.rules"));
    ruleset_add_path(&ruleset, directory);
    ruleset_add_path(&ruleset, path_of("hard"));
    ruleset_add_path(&ruleset, path_of("soft"));
    ruleset_load(&ruleset, NULL);
    assert_string_equal(sources(), "b.rules a.rules");
    assert_int_equal(ruleset.diagnostics.count, 0);
    assert_int_equal(rule_count(), 2);
}

static void a_slash_at_the_end_is_no_part_of_the_name(void **state) {
    (void)state;
    write_file("a.rules", RULE);
    ruleset_add_directory(&ruleset, path_of(""));
    char *wanted = memory_printf("%s/a.rules", directory);
    assert_string_equal(ruleset.sources[0]->path, wanted);
    free(wanted);
}

static void a_broken_file_takes_no_other_with_it(void **state) {
    (void)state;
    write_file("a.rules", "on vm any strated run \"/bin/true\"\n");
    write_file("b.rules", RULE);
    load();
    assert_string_equal(sources(), "a.rules! b.rules");
    assert_only("unknown-event", "strated");
}

static void what_is_no_file(void **state) {
    (void)state;
    assert_int_equal(mkfifo(path_of("fifo.rules"), 0644), 0);
    assert_int_equal(mkdir(path_of("dir.rules"), 0755), 0);
    assert_int_equal(symlink("/dev/zero", path_of("zero.rules")), 0);
    assert_int_equal(symlink("nowhere", path_of("link.rules")), 0);
    write_file("good.rules", RULE);
    load();
    assert_string_equal(sources(), "dir.rules! fifo.rules! good.rules link.rules! zero.rules!");
    assert_int_equal(ruleset.diagnostics.count, 4);
    assert_non_null(strstr(ruleset.diagnostics.list[0].message, "is a directory"));
    assert_non_null(strstr(ruleset.diagnostics.list[1].message, "is a FIFO"));
    assert_non_null(strstr(ruleset.diagnostics.list[2].message, "No such file"));
    assert_non_null(strstr(ruleset.diagnostics.list[3].message, "is a special file"));
    for (size_t i = 0; i < 4; i++)
        assert_non_null(ruleset.diagnostics.list[i].hint);
}

static void a_huge_file(void **state) {
    (void)state;
    write_file("x.rules", "");
    assert_int_equal(truncate(path_of("x.rules"), 1L << 30), 0);
    write_file("y.rules", RULE);
    load();
    assert_string_equal(sources(), "x.rules! y.rules");
    assert_only("unreadable-file", "larger than the limit of 256 MiB");
}

static void a_file_that_others_may_write(void **state) {
    (void)state;
    static const mode_t modes[] = {0666, 0664, 0646};
    for (size_t i = 0; i < 3; i++) {
        write_file("x.rules", RULE);
        assert_int_equal(chmod(path_of("x.rules"), modes[i]), 0);
        load();
        assert_only("unsafe-file", "may be changed by users other than root");
        assert_int_equal(rule_count(), 0);
        ruleset_finish(&ruleset);
        ruleset_init(&ruleset);
    }
}

static void hint_on(long type, const char *hint) {
    file_system = type;
    load();
    assert_int_equal(ruleset.diagnostics.count, 1);
    if (!strstr(ruleset.diagnostics.list[0].hint, hint))
        fail_msg("'%s' does not say '%s'", ruleset.diagnostics.list[0].hint, hint);
    file_system = 0;
    ruleset_finish(&ruleset);
    ruleset_init(&ruleset);
}

static void what_helps_where_chmod_does_not(void **state) {
    (void)state;
    static const long fat = 0x4d44, exfat = 0x2011bab0, smb = (int)0xfe534d42, ext4 = 0xef53;
    for (int whole = 0; whole < 2; whole++) {
        write_file("x.rules", RULE);
        assert_int_equal(chmod(whole ? directory : path_of("x.rules"), 0777), 0);
        hint_on(ext4, "chmod go-w");
        hint_on(fat, "mount it with uid=0,umask=077");
        hint_on(exfat, "mount it with uid=0,umask=077");
        hint_on(smb, "mount it with uid=0,file_mode=0600,dir_mode=0700");
    }
}

static void a_file_of_somebody_else(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("x.rules", RULE);
    assert_int_equal(chown(path_of("x.rules"), 12345, 0), 0);
    load();
    assert_only("unsafe-file", "owner 12345, mode 0644");
}

static void a_directory_that_others_may_write(void **state) {
    (void)state;
    write_file("x.rules", RULE);
    assert_int_equal(chmod(directory, 01777), 0);
    load();
    assert_only("unsafe-directory", "may be changed by users other than root");
    assert_int_equal(rule_count(), 0);
}

static void a_directory_of_somebody_else(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("x.rules", RULE);
    assert_int_equal(chown(directory, 12345, 0), 0);
    load();
    assert_only("unsafe-directory", "owner 12345");
    assert_int_equal(rule_count(), 0);
}

static void no_directory(void **state) {
    (void)state;
    ruleset_add_directory(&ruleset, path_of("nowhere"));
    ruleset_load(&ruleset, NULL);
    assert_only("unreadable-directory", "No such file");
    assert_non_null(strstr(ruleset.diagnostics.list[0].hint, "mkdir -p"));
}

static void a_file_in_place_of_the_directory(void **state) {
    (void)state;
    write_file("x.rules", RULE);
    ruleset_add_directory(&ruleset, path_of("x.rules"));
    ruleset_load(&ruleset, NULL);
    assert_only("unreadable-directory", "Not a directory");
}

/* A person who asks about a file may ask about anybody's. */
static void a_named_file_is_read_whoever_owns_it(void **state) {
    (void)state;
    write_file("x.rules", RULE);
    assert_int_equal(chmod(path_of("x.rules"), 0666), 0);
    ruleset_add_path(&ruleset, path_of("x.rules"));
    ruleset_load(&ruleset, NULL);
    assert_int_equal(rule_count(), 1);
    assert_int_equal(ruleset.diagnostics.count, 1);
    assert_string_equal(diagnostic_name(&ruleset.diagnostics.list[0]), "unsafe-file");
    assert_false(ruleset.sources[0]->broken &&
                 ruleset.diagnostics.list[0].severity != SEVERITY_ERROR);
}

static void a_named_directory_is_judged(void **state) {
    (void)state;
    write_file("x.rules", RULE);
    ruleset_add_path(&ruleset, directory);
    ruleset_load(&ruleset, NULL);
    assert_string_equal(sources(), "x.rules");
    assert_int_equal(rule_count(), 1);
}

static void where_the_rules_are(void **state) {
    (void)state;
    unsetenv("VIRT_RULES_DIR");
    assert_string_equal(ruleset_directory(NULL), RULESDIR);
    assert_int_equal(setenv("VIRT_RULES_DIR", "", 1), 0);
    assert_string_equal(ruleset_directory(NULL), RULESDIR);
    assert_int_equal(setenv("VIRT_RULES_DIR", "/elsewhere", 1), 0);
    assert_string_equal(ruleset_directory(NULL), "/elsewhere");
    assert_string_equal(ruleset_directory("/option"), "/option");
    unsetenv("VIRT_RULES_DIR");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(files_in_byte_order),
        TEST(an_empty_directory_is_fine),
        TEST(an_empty_directory_has_its_near_miss),
        TEST(a_file_is_read_once),
        TEST(a_slash_at_the_end_is_no_part_of_the_name),
        TEST(a_broken_file_takes_no_other_with_it),
        TEST(what_is_no_file),
        TEST(a_huge_file),
        TEST(a_file_that_others_may_write),
        TEST(what_helps_where_chmod_does_not),
        TEST(a_file_of_somebody_else),
        TEST(a_directory_that_others_may_write),
        TEST(a_directory_of_somebody_else),
        TEST(no_directory),
        TEST(a_file_in_place_of_the_directory),
        TEST(a_named_file_is_read_whoever_owns_it),
        TEST(a_named_directory_is_judged),
        TEST(where_the_rules_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
