/* The functions that the archive has in place of a newer glibc's, in a program that has them too.
 */
#include "hook/old_libc.c" /* NOLINT(bugprone-suspicious-include) */

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>

#include <cmocka.h>

static void reallocarray_grows_a_block(void **state) {
    (void)state;
    char *block = reallocarray(NULL, 3, 5);
    assert_non_null(block);
    memcpy(block, "fourteen bytes", 15);
    char *larger = reallocarray(block, 1000, 1000);
    assert_non_null(larger);
    assert_string_equal(larger, "fourteen bytes");
    free(larger);
}

static void reallocarray_refuses_what_no_size_can_hold(void **state) {
    (void)state;
    volatile size_t half = SIZE_MAX / 2 + 2;
    errno = 0;
    assert_null(reallocarray(NULL, half, 2));
    assert_int_equal(errno, ENOMEM);
}

static void getrandom_gives_what_is_random(void **state) {
    (void)state;
    unsigned char one[32] = {0}, two[32] = {0};
    assert_int_equal(getrandom(one, sizeof(one), 0), sizeof(one));
    assert_int_equal(getrandom(two, sizeof(two), 0), sizeof(two));
    assert_memory_not_equal(one, two, sizeof(one));
}

static void getrandom_fails_as_the_call_does(void **state) {
    (void)state;
    char byte;
    errno = 0;
    assert_int_equal(getrandom(&byte, 1, ~0U), -1);
    assert_int_equal(errno, EINVAL);
}

static void no_tables_are_found(void **state) {
    (void)state;
    assert_int_equal(old_libc_find_object(NULL, NULL), -1);
}

static void statx_is_of_the_file(void **state) {
    (void)state;
    struct statx status = {0};
    assert_int_equal(statx(AT_FDCWD, "/dev/null", 0, STATX_BASIC_STATS, &status), 0);
    assert_true(S_ISCHR(status.stx_mode));
    assert_int_equal(status.stx_rdev_major, 1);
    assert_int_equal(status.stx_rdev_minor, 3);
    errno = 0;
    assert_int_equal(statx(AT_FDCWD, "/nowhere/at/all", 0, STATX_TYPE, &status), -1);
    assert_int_equal(errno, ENOENT);
}

/* statx fails as on Linux 4.4. */
static void deny_statx(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_statx, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

/* What does not hold, as an exit status. */
static int look_without_statx(void) {
    struct statx status;
    memset(&status, 0xff, sizeof(status));
    if (syscall(SYS_statx, AT_FDCWD, "/dev/null", 0, STATX_TYPE, &status) != -1 || errno != ENOSYS)
        return 2;
    if (statx(AT_FDCWD, "/dev/null", AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &status))
        return 3;
    if (!S_ISCHR(status.stx_mode) || status.stx_rdev_major != 1 || status.stx_rdev_minor != 3)
        return 4;
    if (status.stx_mask & STATX_BTIME) /* no field counts that was not set */
        return 5;
    if (statx(AT_FDCWD, "/nowhere/at/all", 0, STATX_TYPE, &status) != -1 || errno != ENOENT)
        return 6;
    return 0;
}

static void statx_works_on_linux_4_4(void **state) {
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        deny_statx();
        _exit(look_without_statx());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reallocarray_grows_a_block),
        cmocka_unit_test(reallocarray_refuses_what_no_size_can_hold),
        cmocka_unit_test(getrandom_gives_what_is_random),
        cmocka_unit_test(getrandom_fails_as_the_call_does),
        cmocka_unit_test(no_tables_are_found),
        cmocka_unit_test(statx_is_of_the_file),
        cmocka_unit_test(statx_works_on_linux_4_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
