/* virt-rules.conf: its lines, and whether the file is believed. */
#include "engine/system/conf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The first line that says something, of a text. */
static struct conf_line first(const char *text) {
    struct conf_reader reader = {.text = text, .size = strlen(text)};
    struct conf_line line;
    assert_true(conf_next(&reader, &line));
    return line;
}

static void says(const char *text, const char *key, const char *value) {
    struct conf_line line = first(text);
    assert_int_equal(line.problem, CONF_FINE);
    assert_int_equal(line.key.end - line.key.start, strlen(key));
    assert_memory_equal(text + line.key.start, key, strlen(key));
    assert_string_equal(conf_key_name(line.which), key);
    assert_int_equal(line.value.end - line.value.start, strlen(value));
    assert_memory_equal(text + line.value.start, value, strlen(value));
}

static void a_line_is_a_key_and_a_value(void **state) {
    (void)state;
    says("uri=qemu:///system", "uri", "qemu:///system");
    says("\n \t\n# uri = x:\n  #\n\turi \t=\t qemu:///session \t\n", "uri", "qemu:///session");
    says("library = /QVS/usr/lib64/libvirt.so.0\r\n", "library", "/QVS/usr/lib64/libvirt.so.0");
    says("\xef\xbb\xbfstate = /mnt/my pool/state", "state", "/mnt/my pool/state");
    says("state = /mnt/a#b # where the log is", "state", "/mnt/a#b");
    says("uri = qemu+unix:///system?socket=/run/x/libvirt-sock", "uri",
         "qemu+unix:///system?socket=/run/x/libvirt-sock");
    says("uri = qemu+ssh://localhost/system", "uri", "qemu+ssh://localhost/system");
    says("uri = nas", "uri", "nas"); /* an alias, which libvirt.conf has */
    says("state = /b\xc3\xbcro", "state", "/b\xc3\xbcro");
}

static void only_comments_say_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\n", "#", " # uri = x:\n\n\t\r\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct conf_reader reader = {.text = texts[i], .size = strlen(texts[i])};
        struct conf_line line;
        assert_false(conf_next(&reader, &line));
    }
}

/* The problem, and the bytes that it is in. */
static void wrong(const char *text, enum conf_problem problem, const char *place) {
    struct conf_line line = first(text);
    assert_int_equal(line.problem, problem);
    assert_int_equal(line.place.end - line.place.start, strlen(place));
    assert_memory_equal(text + line.place.start, place, strlen(place));
}

static void each_mistake_has_a_place(void **state) {
    (void)state;
    wrong("uri qemu:///system # x", CONF_NO_VALUE_SIGN, "uri qemu:///system");
    wrong("# a\n  URI = x:", CONF_UNKNOWN_KEY, "URI");
    wrong("urine = x:", CONF_UNKNOWN_KEY, "urine");
    wrong("ur = x:", CONF_UNKNOWN_KEY, "ur");
    wrong("= x:", CONF_UNKNOWN_KEY, "= x:");
    wrong("[section]", CONF_NO_VALUE_SIGN, "[section]");
    wrong("uri =", CONF_EMPTY_VALUE, "uri");
    wrong("uri = # none", CONF_EMPTY_VALUE, "uri");
    wrong("uri = \"qemu:///system\"", CONF_QUOTED_VALUE, "\"qemu:///system\"");
    wrong("state = 'x'", CONF_QUOTED_VALUE, "'x'");
    wrong("state = state", CONF_RELATIVE_PATH, "state");
    wrong("library = libvirt.so.0", CONF_RELATIVE_PATH, "libvirt.so.0");
    wrong("uri = /run/libvirt/libvirt-sock", CONF_PATH_AS_URI, "/run/libvirt/libvirt-sock");
    wrong("uri = qemu+ssh://root@nas:22/system", CONF_REMOTE_URI, "qemu+ssh://root@nas:22/system");
    wrong("uri = qemu://system", CONF_REMOTE_URI, "qemu://system");
    wrong("uri = qemu://localhost.example/system", CONF_REMOTE_URI,
          "qemu://localhost.example/system");
    wrong("state = /a\033b", CONF_BAD_CHARACTER, "\033");
    wrong("state = /a\x7f", CONF_BAD_CHARACTER, "\x7f");
}

static void a_long_value_is_none(void **state) {
    (void)state;
    static char text[CONF_VALUE_SIZE + 100];
    int start = snprintf(text, sizeof text, "state = /");
    memset(text + start, 'x', CONF_VALUE_SIZE - 2);
    assert_int_equal(first(text).problem, CONF_FINE);
    strcat(text, "x");
    assert_int_equal(first(text).problem, CONF_LONG_VALUE);
}

static void a_nul_byte_ends_no_line(void **state) {
    (void)state;
    static const char text[] = "state = /a\0b\nuri = x:\n";
    struct conf_reader reader = {.text = text, .size = sizeof text - 1};
    struct conf_line line;
    assert_true(conf_next(&reader, &line));
    assert_int_equal(line.problem, CONF_BAD_CHARACTER);
    assert_true(conf_next(&reader, &line));
    assert_int_equal(line.which, CONF_URI);
    assert_false(conf_next(&reader, &line));
}

/* --- the file */

static char directory[] = "/tmp/test_conf.XXXXXX";

static void put(const char *text, size_t size) {
    char path[256];
    snprintf(path, sizeof path, "%s/" CONF_NAME, directory);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
}

static struct conf *load(void) {
    static struct conf conf;
    char path[256];
    memset(&conf, 'x', sizeof conf);
    snprintf(path, sizeof path, "%s/" CONF_NAME, directory);
    conf_read(&conf, path);
    return &conf;
}

static void wrong_lines_count_for_nothing(void **state) {
    (void)state;
    static const char text[] = "state = relative\nuri = a:\nuri = b:\nfoo = /x\nstate = /good\n";
    put(text, strlen(text));
    struct conf *conf = load();
    assert_string_equal(conf->values[CONF_URI], "a:");
    assert_string_equal(conf->values[CONF_STATE], "/good");
    assert_string_equal(conf->values[CONF_LIBRARY], "");
}

static void who_may_write_it_decides(void **state) {
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/" CONF_NAME, directory);
    put("uri = a:\n", 9);
    assert_string_equal(load()->values[CONF_URI], "a:");
    assert_int_equal(chmod(path, 0664), 0);
    assert_string_equal(load()->values[CONF_URI], "");
    assert_int_equal(chmod(path, 0646), 0);
    assert_string_equal(load()->values[CONF_URI], "");
    assert_int_equal(chmod(path, 0600), 0);
    assert_string_equal(load()->values[CONF_URI], "a:");
    assert_int_equal(chmod(directory, 0777), 0);
    assert_string_equal(load()->values[CONF_URI], "");
    assert_int_equal(chmod(directory, 0755), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 1234, 0), 0);
        assert_string_equal(load()->values[CONF_URI], "");
    }
}

static void what_is_no_file_is_not_read(void **state) {
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/" CONF_NAME, directory);
    unlink(path);
    assert_string_equal(load()->values[CONF_URI], "");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_string_equal(load()->values[CONF_URI], "");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_string_equal(load()->values[CONF_URI], "");
    rmdir(path);
}

static void a_huge_file_is_not_read(void **state) {
    (void)state;
    static char text[CONF_LIMIT + 1];
    memset(text, '\n', sizeof text);
    memcpy(text, "uri = a:", 8); /* NOLINT(bugprone-not-null-terminated-result): lines follow */
    put(text, sizeof text - 1);
    assert_string_equal(load()->values[CONF_URI], "a:");
    put(text, sizeof text);
    assert_string_equal(load()->values[CONF_URI], "");
}

int main(void) {
    umask(022);
    assert_non_null(mkdtemp(directory));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_key_and_a_value),
        cmocka_unit_test(only_comments_say_nothing),
        cmocka_unit_test(each_mistake_has_a_place),
        cmocka_unit_test(a_long_value_is_none),
        cmocka_unit_test(a_nul_byte_ends_no_line),
        cmocka_unit_test(wrong_lines_count_for_nothing),
        cmocka_unit_test(who_may_write_it_decides),
        cmocka_unit_test(what_is_no_file_is_not_read),
        cmocka_unit_test(a_huge_file_is_not_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) != 0 || failed;
}
