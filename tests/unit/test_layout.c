/* Where an installation has its files. */
#include "engine/system/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/test_layout.XXXXXX";

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

/* A path below the test's directory; four can be in use. */
static const char *at(const char *path) {
    static char paths[4][PATH_MAX];
    static int next;
    char *one = paths[next++ % 4];
    snprintf(one, PATH_MAX, "%s%s", root, path);
    return one;
}

static int clean(void **state) {
    (void)state;
    shell("rm -rf %s && mkdir -p %s", root, root);
    unsetenv("VIRT_RULES_DIR");
    unsetenv("VIRT_RULES_STATE");
    return 0;
}

static struct layout find(const char *host, const char *prefix, const char *rules,
                          const char *state) {
    static struct layout layout;
    layout_find(&layout, &(struct layout_request){host, prefix, rules, state});
    return layout;
}

#define IS(layout, rules_text, file_text, state_text)                                              \
    do {                                                                                           \
        assert_string_equal((layout).rules, rules_text);                                           \
        assert_string_equal((layout).file, file_text);                                             \
        assert_string_equal((layout).state, state_text);                                           \
    } while (0)

static void prefix_of(const char *program, const char *wanted) {
    char prefix[PATH_MAX];
    assert_int_equal(layout_prefix_of(prefix, program), *wanted != 0);
    assert_string_equal(prefix, wanted);
}

static void a_program_knows_its_prefix(void **state) {
    (void)state;
    prefix_of("/mnt/tank/virt-rules/bin/virt-rules", "/mnt/tank/virt-rules");
    prefix_of("/mnt/tank/virt-rules/libexec/virt-rules-hook", "/mnt/tank/virt-rules");
    prefix_of("/usr/bin/virt-rules", "/usr");
    prefix_of("/usr/libexec/virt-rules/virt-rules-hook", "");
    prefix_of("/home/me/virt-rules/build/virt-rules", "");
    prefix_of("/bin/virt-rules", "");
    prefix_of("/etc/libvirt/hooks/qemu", "");
    prefix_of("/srv/cabin/virt-rules", "");
    prefix_of("virt-rules", "");
    prefix_of("", "");
}

static void the_usual_places(void **state) {
    (void)state;
    struct layout layout = find("", "", NULL, NULL);
    IS(layout, RULESDIR, "/usr/local/libvirt/virt-rules.conf", STATEDIR);
    assert_int_equal(layout.rules_source, LAYOUT_COMPILED);
    assert_int_equal(layout.state_source, LAYOUT_COMPILED);
}

static void the_prefix_counts_with_rules_in_it(void **state) {
    (void)state;
    shell("mkdir -p %s/pool/bin", root);
    IS(find("", at("/pool"), NULL, NULL), RULESDIR, "/usr/local/libvirt/virt-rules.conf", STATEDIR);
    shell("mkdir %s/pool/rules.d", root);
    struct layout layout = find("", at("/pool"), NULL, NULL);
    IS(layout, at("/pool/rules.d"), at("/pool/virt-rules.conf"), at("/pool/state"));
    assert_int_equal(layout.rules_source, LAYOUT_PREFIX);
    assert_int_equal(layout.state_source, LAYOUT_PREFIX);
    shell("rmdir %s/pool/rules.d && echo >%s/pool/rules.d", root, root);
    IS(find("", at("/pool"), NULL, NULL), RULESDIR, "/usr/local/libvirt/virt-rules.conf", STATEDIR);
}

static void everything_is_below_the_root(void **state) {
    (void)state;
    IS(find(root, "/pool", NULL, NULL), at(RULESDIR), at("/usr/local/libvirt/virt-rules.conf"),
       at(STATEDIR));
    shell("mkdir -p %s/pool/rules.d && echo state=/var/vr >%s/pool/virt-rules.conf", root, root);
    IS(find(root, "/pool", NULL, NULL), at("/pool/rules.d"), at("/pool/virt-rules.conf"),
       at("/var/vr"));
    setenv("VIRT_RULES_DIR", "/rules", 1);
    setenv("VIRT_RULES_STATE", "/state", 1);
    IS(find(root, "/pool", NULL, NULL), "/rules", "/virt-rules.conf", "/state");
}

static void options_win_over_the_environment(void **state) {
    (void)state;
    shell("mkdir -p %s/pool/rules.d", root);
    setenv("VIRT_RULES_DIR", at("/other/rules"), 1);
    setenv("VIRT_RULES_STATE", "/state", 1);
    struct layout layout = find("", at("/pool"), NULL, NULL);
    IS(layout, at("/other/rules"), at("/other/virt-rules.conf"), "/state");
    assert_int_equal(layout.rules_source, LAYOUT_ENVIRONMENT);
    assert_int_equal(layout.state_source, LAYOUT_ENVIRONMENT);
    layout = find("", at("/pool"), "here/rules", "there");
    IS(layout, "here/rules", at("/other/virt-rules.conf"), "there");
    assert_int_equal(layout.rules_source, LAYOUT_OPTION);
    assert_int_equal(layout.state_source, LAYOUT_OPTION);
    setenv("VIRT_RULES_DIR", "", 1);
    setenv("VIRT_RULES_STATE", "", 1);
    IS(find("", at("/pool"), NULL, NULL), at("/pool/rules.d"), at("/pool/virt-rules.conf"),
       at("/pool/state"));
}

static void the_file_sets_the_state(void **state) {
    (void)state;
    shell("mkdir -p %s/pool/rules.d && echo 'state = /mnt/log' >%s/pool/virt-rules.conf", root,
          root);
    struct layout layout = find("", at("/pool"), NULL, NULL);
    assert_string_equal(layout.state, "/mnt/log");
    assert_int_equal(layout.state_source, LAYOUT_CONF);
    setenv("VIRT_RULES_STATE", "/state", 1);
    assert_string_equal(find("", at("/pool"), NULL, NULL).state, "/state");
}

/* Rules that somebody tries out need not have a file beside them. */
static void the_file_beside_the_rules_of_an_option(void **state) {
    (void)state;
    shell("mkdir -p %s/pool/rules.d %s/new/rules && echo 'uri = pool:' >%s/pool/virt-rules.conf",
          root, root, root);
    struct layout layout = find("", at("/pool"), at("/new/rules"), NULL);
    assert_string_equal(layout.file, at("/pool/virt-rules.conf"));
    assert_string_equal(layout.conf.values[CONF_URI], "pool:");
    shell("echo 'uri = new:' >%s/new/virt-rules.conf", root);
    static const char *const names[] = {"/new/rules", "/new/rules/", "/new/rules//", "/new//rules"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        layout = find("", at("/pool"), at(names[i]), NULL);
        assert_string_equal(layout.conf.values[CONF_URI], "new:");
    }
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(at("/new/rules")), 0);
    assert_string_equal(find("", "", ".", NULL).file, "./../virt-rules.conf");
    assert_string_equal(find("", "", "../rules/.", NULL).conf.values[CONF_URI], "new:");
    assert_int_equal(chdir(at("/new")), 0);
    assert_string_equal(find("", "", "rules", NULL).file, "virt-rules.conf");
    assert_string_equal(find("", "", "rules", NULL).conf.values[CONF_URI], "new:");
    assert_int_equal(chdir(before), 0);
}

static void a_path_that_is_too_long_is_none(void **state) {
    (void)state;
    static char longer[PATH_MAX + 100];
    memset(longer, 'x', sizeof longer - 1);
    *longer = '/';
    struct layout layout = find("", longer, NULL, NULL);
    IS(layout, RULESDIR, "/usr/local/libvirt/virt-rules.conf", STATEDIR);
    assert_string_equal(find("", "", longer, longer).rules, "");
    assert_string_equal(find("", "", longer, longer).state, "");
}

int main(void) {
    umask(022);
    assert_non_null(mkdtemp(root));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_program_knows_its_prefix, clean),
        cmocka_unit_test_setup(the_usual_places, clean),
        cmocka_unit_test_setup(the_prefix_counts_with_rules_in_it, clean),
        cmocka_unit_test_setup(everything_is_below_the_root, clean),
        cmocka_unit_test_setup(options_win_over_the_environment, clean),
        cmocka_unit_test_setup(the_file_sets_the_state, clean),
        cmocka_unit_test_setup(the_file_beside_the_rules_of_an_option, clean),
        cmocka_unit_test_setup(a_path_that_is_too_long_is_none, clean),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    shell("rm -rf %s", root);
    return failed;
}
