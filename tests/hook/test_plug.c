/*
 * udev's program as udev runs it: the real one, with a device's properties for its environment, and
 * this program once more as the engine behind it. The engine writes what it finds below
 * $VIRT_RULES_STATE, and waits at a FIFO there where a test wants it to be still at work. As a
 * child subreaper the test sees every process that is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define PRELOAD "LD_PRELOAD=" /* the program is dynamic then, and ASan must come first */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PRELOAD "LD_PRELOAD="
#endif
#endif
#ifndef PRELOAD
#define PRELOAD "LD_PRELOAD=/nonexistent.so"
#endif

enum { LIMIT_SECONDS = 600 }; /* for what hangs */

static char plug_path[PATH_MAX], own_path[PATH_MAX], directory[64];

/* --- the engine's part */

static FILE *note(const char *name) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", getenv("VIRT_RULES_STATE"), name);
    return fopen(path, "we");
}

static void note_lines(const char *name, char *const *lines) {
    FILE *out = note(name);
    for (; *lines; lines++)
        fprintf(out, "%s\n", *lines);
    fclose(out);
}

static void note_descriptors(void) {
    FILE *out = note("descriptors");
    for (int fd = 0; fd < 1024; fd++) {
        char path[64], target[PATH_MAX] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (fd != fileno(out) && readlink(path, target, sizeof target - 1) > 0)
            fprintf(out, "%d %s\n", fd, target);
    }
    fclose(out);
}

static void note_groups(void) {
    char line[512];
    FILE *in = fopen("/proc/self/cgroup", "re"), *out = note("cgroup");
    while (in && fgets(line, sizeof line, in))
        fputs(line, out);
    if (in)
        fclose(in);
    fclose(out);
}

static void note_process(void) {
    sigset_t mask;
    char place[PATH_MAX];
    sigprocmask(SIG_BLOCK, NULL, &mask);
    FILE *out = note("process");
    fprintf(out, "session %d leader %d\n", getsid(0), getsid(0) == getpid());
    fprintf(out, "blocked %d umask %o in %s\n", sigismember(&mask, SIGTERM), umask(077),
            getcwd(place, sizeof place));
    fprintf(out, "SIGPIPE %s\n", signal(SIGPIPE, SIG_DFL) == SIG_DFL ? "default" : "other");
    fclose(out);
}

static int be_engine(char **argv) {
    char path[PATH_MAX];
    alarm(2 * LIMIT_SECONDS);
    note_descriptors();
    snprintf(path, sizeof path, "%s/gate", getenv("VIRT_RULES_STATE"));
    int gate = open(path, O_RDONLY | O_CLOEXEC);
    if (gate >= 0)
        close(gate);
    note_lines("words", argv);
    note_lines("environment", environ);
    note_groups();
    note_process();
    fclose(note("done"));
    return 0;
}

/* --- one run */

static const char *path_of(const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static const char *text_of(const char *name) {
    static char text[65536];
    FILE *in = fopen(path_of(name), "re");
    size_t size = in ? fread(text, 1, sizeof text - 1, in) : 0;
    text[size] = '\0';
    if (in)
        fclose(in);
    return text;
}

static void assert_in(const char *name, const char *part) {
    if (!strstr(text_of(name), part))
        fail_msg("%s lacks: %s\n%s", name, part, text_of(name));
}

static void assert_not_in(const char *name, const char *part) {
    if (strstr(text_of(name), part))
        fail_msg("%s has: %s\n%s", name, part, text_of(name));
}

#define PROPERTIES                                                                                 \
    "ACTION=add", "DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4", "SUBSYSTEM=usb",      \
        "DEVTYPE=usb_device", "SEQNUM=4711", "PRODUCT=1a6e/89a/100", "TYPE=0/0/0", "BUSNUM=001",   \
        "DEVNUM=005", "ID_SERIAL_SHORT=x y", "ID_USB_INTERFACES=:ff0000:", "MAJOR=189",            \
        "ID_MODEL=; rm -rf /", PRELOAD, "BASH_ENV=/x", "ACTIONS=9", "VIRT_RULES_DIR=/my rules",    \
        "LIBVIRT_DEFAULT_URI=test:///default", "PCI_ID=1:2"

/* udev's side: its end of the pipes that it reads a program's words from. */
struct run {
    int output;
    pid_t program;
};

static void become_program(const char *engine, const int ends[2], void (*prepare)(void)) {
    char *state = NULL, *engine_text = NULL, name[] = "virt-rules-plug";
    if (asprintf(&state, "VIRT_RULES_STATE=%s", directory) < 0 ||
        asprintf(&engine_text, "VIRT_RULES_ENGINE=%s", engine) < 0)
        _exit(3);
    const char *environment[] = {PROPERTIES, state, engine_text, NULL};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    dup2(ends[1], STDIN_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    dup2(ends[1], 200); /* one that udev forgot to close */
    if (prepare)
        prepare();
    char *words[] = {name, NULL};
    execve(plug_path, words, (char *const *)environment);
    _exit(4);
}

static struct run start(const char *engine, void (*prepare)(void)) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct run run = {.output = ends[0], .program = fork()};
    assert_true(run.program >= 0);
    if (run.program == 0)
        become_program(engine, ends, prepare);
    close(ends[1]);
    return run;
}

/* As udev waits for it; then its output is at its end, and empty. */
static void end(const struct run *run) {
    int status;
    char byte;
    struct pollfd wait = {.fd = run->output, .events = POLLIN};
    assert_int_equal(waitpid(run->program, &status, 0), run->program);
    assert_int_equal(status, 0);
    assert_int_equal(poll(&wait, 1, LIMIT_SECONDS * 1000), 1);
    assert_int_equal(read(run->output, &byte, 1), 0);
    close(run->output);
}

/* And the process in the middle. */
static void reap_engine(void) {
    int status;
    assert_true(waitpid(-1, &status, 0) > 0);
    assert_true(waitpid(-1, &status, 0) > 0);
    assert_int_equal(waitpid(-1, &status, 0), -1);
}

static void run_once(const char *engine, void (*prepare)(void)) {
    struct run run = start(engine, prepare);
    end(&run);
    reap_engine();
}

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

/* --- */

static void the_engine_is_called(void **state) {
    (void)state;
    run_once(own_path, NULL);
    assert_in("words", "\nplug\n");
    char own[32];
    snprintf(own, sizeof own, "session %d ", getsid(0));
    assert_not_in("process", own);
    assert_in("process", " leader 0\n");
    assert_in("process", "blocked 0 umask 77 in /\n");
    assert_in("process", "SIGPIPE default\n");
}

static void what_the_engine_reads_goes_on_and_nothing_else(void **state) {
    (void)state;
    static const char *const wanted[] = {
        "ACTION=add\n",
        "DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4\n",
        "SUBSYSTEM=usb\n",
        "DEVTYPE=usb_device\n",
        "SEQNUM=4711\n",
        "PRODUCT=1a6e/89a/100\n",
        "TYPE=0/0/0\n",
        "BUSNUM=001\n",
        "DEVNUM=005\n",
        "ID_SERIAL_SHORT=x y\n",
        "ID_USB_INTERFACES=:ff0000:\n",
        "PCI_ID=1:2\n",
        "VIRT_RULES_DIR=/my rules\n",
        "LIBVIRT_DEFAULT_URI=test:///default\n",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"};
    run_once(own_path, NULL);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_in("environment", wanted[i]);
    static const char *const others[] = {"ID_MODEL", "LD_PRELOAD", "BASH_ENV",
                                         "ACTIONS",  "MAJOR",      "VIRT_RULES_ENGINE"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_not_in("environment", others[i]);
}

static void nothing_of_udevs_stays_open(void **state) {
    (void)state;
    run_once(own_path, NULL);
    assert_string_equal(text_of("descriptors"), "0 /dev/null\n1 /dev/null\n2 /dev/null\n");
}

static void udev_does_not_wait_for_the_engine(void **state) {
    (void)state;
    assert_int_equal(mkfifo(path_of("gate"), 0600), 0);
    struct run run = start(own_path, NULL);
    end(&run);
    assert_int_equal(access(path_of("done"), F_OK), -1);
    int gate = open(path_of("gate"), O_WRONLY | O_CLOEXEC);
    assert_true(gate >= 0);
    close(gate);
    reap_engine();
    assert_int_equal(access(path_of("done"), F_OK), 0);
}

static void an_engine_that_is_not_there_is_logged(void **state) {
    (void)state;
    run_once("/nonexistent/virt-rules", NULL);
    assert_in("virt-rules.log", "\"vm\":null,\"event\":\"plugged\",\"action\":null,\"device\":"
                                "\"1-1.4\",\"rule\":null,\"result\":\"failed\"");
    assert_in("virt-rules.log", "engine /nonexistent/virt-rules cannot be run: No such file");
}

static void close_all(void) {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
}

static void with_no_descriptor_at_all(void **state) {
    (void)state;
    struct run run = start(own_path, close_all);
    end(&run);
    reap_engine();
    assert_string_equal(text_of("descriptors"), "0 /dev/null\n1 /dev/null\n2 /dev/null\n");
}

/* --- control groups: those of this machine, where it lets us make one */

static const char *const hierarchies[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                          "/sys/fs/cgroup/systemd"};
enum { HIERARCHIES = sizeof hierarchies / sizeof *hierarchies };
static char groups[HIERARCHIES][128];

/* Each process of udev is in the group of its service. */
static void enter_groups(void) {
    for (int i = 0; i < HIERARCHIES; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/cgroup.procs", groups[i]);
        int fd = *groups[i] ? open(path, O_WRONLY | O_CLOEXEC) : -1;
        if (fd >= 0 && write(fd, "0", 1) != 1)
            _exit(5);
        if (fd >= 0)
            close(fd);
    }
}

static bool make_groups(void) {
    bool any = false;
    for (int i = 0; i < HIERARCHIES; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/cgroup.procs", hierarchies[i]);
        snprintf(groups[i], sizeof groups[i], "%s/virt-rules-test-%d", hierarchies[i], getpid());
        if (access(path, W_OK) == 0 && mkdir(groups[i], 0755) == 0)
            any = true;
        else
            *groups[i] = '\0';
    }
    return any;
}

static void remove_groups(void) {
    for (int i = 0; i < HIERARCHIES; i++)
        for (int try = 0; *groups[i] && rmdir(groups[i]) != 0 && errno == EBUSY && try < 1000;
             try++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* systemd-udevd kills what is left in its group. */
static void it_leaves_udevs_control_group(void **state) {
    (void)state;
    char name[64];
    if (!make_groups()) {
        print_message("skipped: no control group can be made here\n");
        return;
    }
    run_once(own_path, enter_groups);
    snprintf(name, sizeof name, "virt-rules-test-%d", getpid());
    remove_groups();
    assert_in("cgroup", ":");
    assert_not_in("cgroup", name);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "plug"))
        return be_engine(argv);
    const struct CMUnitTest tests[] = {
        TEST(the_engine_is_called),
        TEST(what_the_engine_reads_goes_on_and_nothing_else),
        TEST(nothing_of_udevs_stays_open),
        TEST(udev_does_not_wait_for_the_engine),
        TEST(an_engine_that_is_not_there_is_logged),
        TEST(with_no_descriptor_at_all),
        TEST(it_leaves_udevs_control_group),
    };
    const char *build = getenv("BUILD");
    char relative[PATH_MAX];
    snprintf(relative, sizeof relative, "%s/virt-rules-plug", build ? build : "build");
    if (!realpath(relative, plug_path) || !realpath("/proc/self/exe", own_path)) {
        perror(relative);
        return 1;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
