/* Programs of rules: no shell, nothing left behind, and always an end. */
#include "engine/system/spawn.h"

#include "lexer/memory.h"
#include "tests/unit/range.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char *output, *last;
static struct failure failure;
/* Of a program that ends by itself, on however busy a machine. */
enum { NO_LIMIT_MS = 600000 };

static int run_for(int limit_ms, const char *program, const char *one, const char *two) {
    const char *arguments[] = {program, one, two, NULL};
    const char *environment[] = {"PATH=/usr/bin:/bin", "GREETING=hello", NULL};
    free(output);
    free(last);
    *failure.message = 0;
    return spawn(arguments, environment, limit_ms, &output, &last, &failure);
}

static int shell(const char *script) {
    return run_for(NO_LIMIT_MS, "/bin/sh", "-c", script);
}

static int finish(void **state) {
    (void)state;
    free(output);
    free(last);
    output = last = NULL;
    return 0;
}

static void success(void **state) {
    (void)state;
    assert_int_equal(shell("echo out; echo err >&2"), 0);
    assert_string_equal(output, "out\nerr\n");
    assert_int_equal(run_for(NO_LIMIT_MS, "/bin/true", NULL, NULL), 0);
    assert_string_equal(output, "");
}

static void last_line(void **state) {
    (void)state;
    static const struct {
        const char *script, *last;
    } cases[] = {
        {"true", ""},
        {"echo one; echo two >&2", "two"},
        {"printf 'one\\ntwo\\r\\n \\n\\n'", "two"},
        {"printf '\\n\\n'", ""},
        {"printf one", "one"},
        {"yes | head -c 1000000; echo; echo the end", "the end"},
        {"head -c 900 /dev/zero; echo x", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(shell(cases[i].script), 0);
        if (cases[i].last)
            assert_string_equal(last, cases[i].last);
    }
    assert_int_equal(shell("yes \303\244 | head -c 30000 | tr -d '\\n'"), 0);
    assert_int_in_range(strlen(last), SPAWN_LAST_LIMIT - 2, SPAWN_LAST_LIMIT);
    assert_memory_equal(last, "\303\244", 2);
}

/* A process that it left in another session prints for ever, and stays when nobody reads that. */
static void output_that_never_ends(void **state) {
    (void)state;
    assert_int_equal(shell("p=$(mktemp -u); mkfifo $p; setsid sh -c \"echo \\$\\$; : >$p; "
                           "yes; exec sleep 1000\" & : <$p; rm $p"),
                     0);
    long pid = strtol(output, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void no_process(void **state) {
    (void)state;
    struct rlimit limit, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 4;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int status = shell("exit 3");
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(status, SPAWN_NO_PROCESS);
    assert_non_null(strstr(failure.message, "could not be run: Too many open files"));
}

static void status_and_signal(void **state) {
    (void)state;
    assert_int_equal(shell("echo x; exit 5"), -1);
    assert_string_equal(failure.message, "ended with status 5");
    assert_string_equal(output, "x\n");
    assert_int_equal(shell("kill -TERM $$"), -1);
    assert_string_equal(failure.message, "was ended by signal 15 (Terminated)");
    /* a shell's own "not found" is not a failure to run the shell */
    assert_int_equal(shell("/nonexistent/x"), -1);
    assert_string_equal(failure.message, "ended with status 127");
}

static void cannot_be_run(void **state) {
    (void)state;
    assert_int_equal(run_for(NO_LIMIT_MS, "/nonexistent", NULL, NULL), -1);
    assert_non_null(
        strstr(failure.message, "could not be run: No such file or directory; is its path right"));
    assert_string_equal(output, "");
    assert_int_equal(run_for(NO_LIMIT_MS, "/etc/passwd", NULL, NULL), -1);
    assert_non_null(
        strstr(failure.message, "could not be run: Permission denied; make it executable"));
}

static void no_first_line(void **state) {
    (void)state;
    char path[] = "/tmp/virt-rules-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "echo x\n", 7), 7);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    assert_int_equal(run_for(NO_LIMIT_MS, path, NULL, NULL), -1);
    assert_non_null(strstr(failure.message, "Exec format error; a script needs a first line"));
    unlink(path);
}

static void arguments_are_not_read_by_a_shell(void **state) {
    (void)state;
    assert_int_equal(run_for(NO_LIMIT_MS, "/bin/echo", "$HOME `id` ; > x", "*"), 0);
    assert_string_equal(output, "$HOME `id` ; > x *\n");
}

static void a_clean_environment(void **state) {
    (void)state;
    assert_int_equal(setenv("LD_LIBRARY_PATH", "/nonexistent", 1), 0);
    assert_int_equal(run_for(NO_LIMIT_MS, "/usr/bin/env", NULL, NULL), 0);
    unsetenv("LD_LIBRARY_PATH");
    assert_string_equal(output, "PATH=/usr/bin:/bin\nGREETING=hello\n");
}

static void nothing_to_read_and_no_place_of_ours(void **state) {
    (void)state;
    assert_int_equal(shell("readlink /proc/$$/fd/0; pwd; cat"), 0);
    assert_string_equal(output, "/dev/null\n/\n");
}

static void much_output_is_cut_and_does_not_block(void **state) {
    (void)state;
    assert_int_equal(shell("head -c 1000000 /dev/zero | tr '\\0' x"), 0);
    assert_int_equal(strlen(output), SPAWN_OUTPUT_LIMIT - 1);
}

/* A script that writes something and does not end, with a limit that it has the time to write in on
 * however busy a machine. */
static void run_until_it_writes(const char *script) {
    char message[64];
    int limit = 200;
    *output = '\0';
    for (; !*output && limit < 1000000; limit *= 4) {
        assert_int_equal(run_for(limit, "/bin/sh", "-c", script), -1);
        snprintf(message, sizeof message, "was ended after %.1f s, the time limit", limit / 1000.0);
        assert_string_equal(failure.message, message);
    }
}

static void the_time_limit(void **state) {
    (void)state;
    run_until_it_writes("echo begun; exec sleep 1000");
    assert_string_equal(output, "begun\n");
    /* also for one that has closed its output */
    assert_int_equal(run_for(200, "/bin/sh", "-c", "exec >&- 2>&-; exec sleep 1000"), -1);
    assert_string_equal(failure.message, "was ended after 0.2 s, the time limit");
}

/* Waits for the end of a process that is not our child; its signal is in order to be sent. */
static void assert_ends(pid_t process) {
    char path[64], state = 'R';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    for (int i = 0; i < 1000000 && state != 'Z'; i++) {
        FILE *in = fopen(path, "re");
        if (!in)
            return;
        if (fscanf(in, "%*d %*s %c", &state) != 1) /* NOLINT(cert-err34-c) */
            state = 'Z';
        fclose(in);
        usleep(500);
    }
    assert_int_equal(state, 'Z');
}

static void its_group_ends_with_it(void **state) {
    (void)state;
    assert_int_equal(shell("sleep 1000 & echo $!"), 0);
    assert_ends((pid_t)strtol(output, NULL, 10));
    run_until_it_writes("sleep 1000 & echo $!; wait");
    assert_ends((pid_t)strtol(output, NULL, 10));
}

static void who_left_its_group_does_not_hold_us(void **state) {
    (void)state;
    assert_int_equal(
        shell("setsid sleep 1000 & echo $!; while read -r _ _ _ _ _ session _ </proc/$!/stat; "
              "[ \"$session\" != $! ]; do :; done"),
        0);
    pid_t left = (pid_t)strtol(output, NULL, 10);
    assert_int_equal(kill(left, 0), 0);
    kill(left, SIGKILL);
}

static void signals_are_as_at_the_start(void **state) {
    (void)state;
    sigset_t before, after;
    signal(SIGCHLD, SIG_IGN); /* as it may be inherited */
    sigprocmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(shell("exit 4"), -1);
    assert_string_equal(failure.message, "ended with status 4");
    sigprocmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGCHLD), sigismember(&after, SIGCHLD));
    assert_int_equal(shell("grep SigBlk /proc/self/status"), 0);
    assert_string_equal(output, "SigBlk:\t0000000000000000\n");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    assert_int_equal(shell("grep SigIgn /proc/self/status"), 0);
    /* 32 and 33 are the C library's, which lets nobody set them */
    assert_int_equal(strtoull(output + strlen("SigIgn:\t"), NULL, 16) & ~0x180000000ULL, 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success),
        cmocka_unit_test(last_line),
        cmocka_unit_test(output_that_never_ends),
        cmocka_unit_test(no_process),
        cmocka_unit_test(status_and_signal),
        cmocka_unit_test(cannot_be_run),
        cmocka_unit_test(no_first_line),
        cmocka_unit_test(arguments_are_not_read_by_a_shell),
        cmocka_unit_test(a_clean_environment),
        cmocka_unit_test(nothing_to_read_and_no_place_of_ours),
        cmocka_unit_test(much_output_is_cut_and_does_not_block),
        cmocka_unit_test(the_time_limit),
        cmocka_unit_test(its_group_ends_with_it),
        cmocka_unit_test(who_left_its_group_does_not_hold_us),
        cmocka_unit_test(signals_are_as_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
