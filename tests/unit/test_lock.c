/* One engine at a time works on a VM. */
#include "engine/state/lock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FRIGATE "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static char directory[64], state_path[96];
static struct failure failure;

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    snprintf(state_path, sizeof state_path, "%s/state", mkdtemp(directory) ? directory : "");
    return 0;
}

static int tear_down(void **state) {
    char command[160];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

/* A child that takes the lock, writes a byte when it has it, and holds it until it reads one. What
 * it inherits it lets go: the lock belongs to the open file. */
static pid_t hold(const char *uuid, int inherited, int tell, int until) {
    pid_t child = fork();
    char byte = 'x';
    if (child == 0) {
        alarm(600);
        lock_release(inherited);
        int lock = lock_vm(state_path, uuid, &failure);
        if (lock < 0 || write(tell, &byte, 1) != 1)
            _exit(1);
        _exit(read(until, &byte, 1) == 1 ? 0 : 2);
    }
    assert_true(child > 0);
    return child;
}

/* Another process waits in the kernel for a lock (flock(2)); or not within 10 minutes. */
static bool is_waiting(pid_t process) {
    char path[64], where[64];
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)process);
    for (int i = 0; i < 600000; i++, usleep(1000)) {
        FILE *in = fopen(path, "re");
        bool waits = in && fgets(where, sizeof where, in) && !strncmp(where, "73 ", 3);
        if (in)
            fclose(in);
        if (waits)
            return true;
    }
    return false;
}

static void the_same_vm_waits(void **state) {
    (void)state;
    int tell[2], until[2], status;
    char byte = 'x';
    assert_int_equal(pipe(tell) + pipe(until), 0);
    int lock = lock_vm(state_path, FRIGATE, &failure);
    assert_true(lock >= 0);
    pid_t child = hold("4DEA22B3-1D52-D8F3-2516-782E98AB3FA0", lock, tell[1], until[0]);
#ifdef __x86_64__
    assert_true(is_waiting(child));
#else
    (void)is_waiting;
#endif
    lock_release(lock);
    assert_int_equal(read(tell[0], &byte, 1), 1);
    assert_int_equal(write(until[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(tell[i]);
        close(until[i]);
    }
}

static void another_vm_does_not_wait(void **state) {
    (void)state;
    int one = lock_vm(state_path, FRIGATE, &failure);
    int two = lock_vm(state_path, "windows", &failure);
    assert_true(one >= 0 && two >= 0);
    lock_release(one);
    lock_release(two);
}

static void a_killed_engine_leaves_no_lock(void **state) {
    (void)state;
    int tell[2], until[2];
    char byte;
    assert_int_equal(pipe(tell) + pipe(until), 0);
    pid_t child = hold(FRIGATE, -1, tell[1], until[0]);
    assert_int_equal(read(tell[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    int lock = lock_vm(state_path, FRIGATE, &failure);
    assert_true(lock >= 0);
    lock_release(lock);
    for (int i = 0; i < 2; i++) {
        close(tell[i]);
        close(until[i]);
    }
}

static void the_file_is_for_root_alone(void **state) {
    (void)state;
    char path[160];
    struct stat status;
    lock_release(lock_vm(state_path, FRIGATE, &failure));
    snprintf(path, sizeof path, "%s/locks/" FRIGATE, state_path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(stat(state_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void what_cannot_be_made_is_said(void **state) {
    (void)state;
    char path[160];
    assert_int_equal(lock_vm("/proc/nonexistent", FRIGATE, &failure), -1);
    assert_non_null(strstr(failure.message, "/proc/nonexistent/locks/" FRIGATE ": "));
    assert_int_equal(mkdir(state_path, 0700), 0);
    snprintf(path, sizeof path, "%s/locks", state_path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/locks/" FRIGATE, state_path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(lock_vm(state_path, FRIGATE, &failure), -1);
    lock_release(-1);
}

static void whether_a_vm_is_taken(void **state) {
    (void)state;
    assert_false(lock_vm_is_held(state_path, FRIGATE));
    int lock = lock_vm(state_path, FRIGATE, &failure);
    assert_true(lock_vm_is_held(state_path, "4DEA22B3-1D52-D8F3-2516-782E98AB3FA0"));
    assert_false(lock_vm_is_held(state_path, "windows"));
    lock_release(lock);
    assert_false(lock_vm_is_held(state_path, FRIGATE));
    assert_false(lock_vm_is_held("/proc/nonexistent", FRIGATE));
}

/* Takes its turn, says 'm' for merged, 't' for its turn or 'w' for that after waiting, and keeps it
 * until it reads a byte. */
static pid_t take_turn(const char *place, int inherited, int tell, int until) {
    pid_t child = fork();
    if (child == 0) {
        int lock = -1;
        alarm(600);
        lock_release(inherited);
        enum lock_slot turn = lock_slot(state_path, place, &lock, &failure);
        char byte = "twmf"[turn];
        if (write(tell, &byte, 1) != 1)
            _exit(1);
        _exit((turn != LOCK_SLOT_MINE && turn != LOCK_SLOT_WAITED) || read(until, &byte, 1) == 1
                  ? 0
                  : 2);
    }
    assert_true(child > 0);
    return child;
}

static char next_byte(int from) {
    char byte = 0;
    assert_int_equal(read(from, &byte, 1), 1);
    return byte;
}

/* One works, one waits, and whoever comes then is sent away; when the one that waits has its turn,
 * there is room for another to wait. */
static void one_works_and_one_waits(void **state) {
    (void)state;
    int tell[2], until[2], own = -1, other = -1;
    assert_int_equal(pipe(tell) + pipe(until), 0);
    assert_int_equal(lock_slot(state_path, "usb-1-1", &own, &failure), LOCK_SLOT_MINE);
    pid_t waiter = take_turn("usb-1-1", own, tell[1], until[0]);
#ifdef __x86_64__
    assert_true(is_waiting(waiter));
#endif
    pid_t third = take_turn("usb-1-1", own, tell[1], until[0]);
    assert_int_equal(next_byte(tell[0]), 'm');
    assert_int_equal(waitpid(third, NULL, 0), third);
    assert_int_equal(lock_slot(state_path, "usb-1-2", &other, &failure), LOCK_SLOT_MINE);
    lock_release(other);
    lock_release(own);
    assert_int_equal(next_byte(tell[0]), 'w');
    pid_t fourth = take_turn("usb-1-1", -1, tell[1], until[0]);
#ifdef __x86_64__
    assert_true(is_waiting(fourth));
#endif
    for (pid_t one = waiter;; one = fourth) {
        assert_int_equal(write(until[1], "x", 1), 1);
        assert_int_equal(waitpid(one, NULL, 0), one);
        if (one == fourth)
            break;
        assert_int_equal(next_byte(tell[0]), 'w');
    }
    for (int i = 0; i < 2; i++) {
        close(tell[i]);
        close(until[i]);
    }
}

static void a_turn_that_cannot_be_had(void **state) {
    (void)state;
    int lock = -1;
    assert_int_equal(lock_slot("/proc/nonexistent", "usb-1-1", &lock, &failure), LOCK_SLOT_FAILED);
    assert_non_null(strstr(failure.message, "/proc/nonexistent/locks/usb-1-1: "));
    assert_int_equal(lock, -1);
}

/* Of any number of engines, each in its own process; whoever asks disturbs none. */
static void an_engine_is_at_work(void **state) {
    (void)state;
    int until[2], status;
    char byte = 'x';
    assert_false(lock_run_is_held(state_path, FRIGATE));
    assert_int_equal(access(state_path, F_OK), -1); /* to ask makes nothing */
    int first = lock_run(state_path, FRIGATE), second = lock_run(state_path, FRIGATE);
    assert_true(first >= 0 && second >= 0);
    assert_true(lock_run_is_held(state_path, "4DEA22B3-1D52-D8F3-2516-782E98AB3FA0"));
    assert_false(lock_run_is_held(state_path, "00000000-1d52-d8f3-2516-782e98ab3fa0"));
    lock_release(first);
    assert_true(lock_run_is_held(state_path, FRIGATE));
    lock_release(second);
    assert_false(lock_run_is_held(state_path, FRIGATE));
    assert_int_equal(pipe(until), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(600);
        _exit(lock_run(state_path, FRIGATE) >= 0 && read(until[0], &byte, 1) == 1 ? 0 : 1);
    }
    while (!lock_run_is_held(state_path, FRIGATE))
        usleep(1000);
    assert_int_equal(kill(child, SIGKILL), 0); /* the kernel releases it */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(lock_run_is_held(state_path, FRIGATE));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_engine_is_at_work),       TEST(the_same_vm_waits),
        TEST(another_vm_does_not_wait),   TEST(a_killed_engine_leaves_no_lock),
        TEST(the_file_is_for_root_alone), TEST(what_cannot_be_made_is_said),
        TEST(whether_a_vm_is_taken),      TEST(one_works_and_one_waits),
        TEST(a_turn_that_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
