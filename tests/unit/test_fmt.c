/* virt-rules fmt on files: what others do to a file while it is replaced. fsync(2), which is called
 * between the temporary file's last byte and its new name, is ours here. */
#include "engine/command/command.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char raw[] = "never  attach 1ac1:089a\n", formatted[] = "never attach 1ac1:089a\n";
static const char added[] = "never  attach 10de:*\n";
static char directory[64], path[96], other[96];
static void (*meanwhile)(void);

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int fsync(int file) {
    (void)file;
    if (meanwhile)
        meanwhile();
    return 0;
}

static void write_file(const char *name, const char *mode, const char *text) {
    FILE *file = fopen(name, mode);
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void assert_text(const char *name, const char *expected) {
    char text[256] = "";
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

static void assert_files(size_t expected) {
    DIR *names = opendir(directory);
    size_t count = 0;
    assert_non_null(names);
    for (struct dirent *name; (name = readdir(names));)
        count += name->d_name[0] != '.';
    closedir(names);
    assert_int_equal(count, expected);
}

/* How fmt on both files ended, as waitpid(2) says it; what it prints goes to /dev/null. */
static int fmt(void) {
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char name[] = "fmt", *words[] = {name, path, *other ? other : NULL, NULL};
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(99);
        exit(command_fmt_row.run(&command_fmt_row, *other ? 3 : 2, words));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/test_fmt.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a.rules", directory);
    *other = '\0';
    meanwhile = NULL;
    write_file(path, "w", raw);
    return 0;
}

static int tear_down(void **state) {
    char *line = NULL;
    (void)state;
    assert_true(asprintf(&line, "rm -rf %s", directory) > 0);
    assert_int_equal(system(line), 0);
    free(line);
    return 0;
}

static void send_signals(void) {
    raise(SIGTERM);
    raise(SIGINT);
    raise(SIGHUP);
}

static void a_signal_leaves_no_file_behind(void **state) {
    (void)state;
    meanwhile = send_signals;
    int status = fmt();
    assert_true(WIFSIGNALED(status));
    assert_files(1);
    assert_text(path, formatted);
}

static void add_a_line(void) {
    write_file(path, "a", added);
}

static void change_a_byte(void) {
    write_file(path, "r+", "n");
    write_file(path, "r+", "NEVER");
}

static void put_another_file(void) {
    assert_int_equal(unlink(path), 0);
    write_file(path, "w", added);
}

static void remove_it(void) {
    assert_int_equal(unlink(path), 0);
}

static void what_is_written_meanwhile_is_not_lost(void **state) {
    static const struct {
        void (*what)(void);
        const char *text;
    } changes[] = {{add_a_line, "never  attach 1ac1:089a\nnever  attach 10de:*\n"},
                   {change_a_byte, "NEVER  attach 1ac1:089a\n"},
                   {put_another_file, added}};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        write_file(path, "w", raw);
        meanwhile = changes[i].what;
        int status = fmt();
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EXIT_PROBLEM);
        assert_files(1);
        assert_text(path, changes[i].text);
    }
    meanwhile = remove_it;
    assert_int_equal(WEXITSTATUS(fmt()), EXIT_PROBLEM);
    assert_files(0);
}

static void hard_links_stay_one_file(void **state) {
    struct stat one, two;
    (void)state;
    snprintf(other, sizeof other, "%s/b.rules", directory);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(WEXITSTATUS(fmt()), EXIT_PROBLEM);
    assert_files(2);
    assert_text(path, raw);
    assert_int_equal(stat(path, &one), 0);
    assert_int_equal(stat(other, &two), 0);
    assert_int_equal(one.st_ino, two.st_ino);
    assert_int_equal(unlink(other), 0);
    *other = '\0';
    assert_int_equal(fmt(), 0);
    assert_text(path, formatted);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_signal_leaves_no_file_behind),
        TEST(what_is_written_meanwhile_is_not_lost),
        TEST(hard_links_stay_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
