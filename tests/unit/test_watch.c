/* Events from a socket to a process each. The kernel is a pair of sockets here; a test of
 * uevent_socket has the real one. A child writes its event to a file, a line each. */
#include "tests/unit/sample.h"

#include "engine/host/uevent_socket.h"
#include "engine/state/device_db.h"
#include "engine/trigger/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char directory[64], host_root[96], state_path[96], told_path[96];
/* When what hangs is ended; long, for the machine may be busy. */
enum { HANGS_S = 600 };
static int kernel, ours;
static pid_t watcher;

/* --- the watch's side */

/* "L" stands for events that were lost; at "T" the watch is told to end before the next message; at
 * "S" it stops, where it does not read the host. */
static ssize_t read_message(int socket, char *message, size_t size) {
    ssize_t length = recv(socket, message, size - 1, MSG_DONTWAIT);
    if (length == 1 && *message == 'T') {
        kill(getpid(), SIGTERM);
        length = recv(socket, message, size - 1, 0);
    }
    if (length == 1 && *message == 'S') {
        raise(SIGSTOP);
        length = recv(socket, message, size - 1, MSG_DONTWAIT);
    }
    if (length == 1 && *message == 'L') {
        errno = ENOBUFS;
        return -1;
    }
    if (length == 1 && *message == 'B') {
        errno = EBADF;
        return -1;
    }
    if (length >= 0)
        message[length] = '\0';
    return length;
}

static void tell(void *context, const struct uevent *uevent) {
    char line[256];
    const char *gate = context;
    int out = open(told_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int size =
        snprintf(line, sizeof line, "%s%s %s %04x:%04x %u %s\n", uevent->removed ? "remove" : "add",
                 uevent->coldplug ? " stands" : "", uevent->device.address,
                 uevent->device.id.vendor, uevent->device.id.device, uevent->device.device_number,
                 uevent->device.serial ? uevent->device.serial : "-");
    if (getsid(0) != getpid() || out < 0 || write(out, line, (size_t)size) != size)
        _exit(1);
    if (gate) { /* until the test opens it too */
        alarm(HANGS_S);
        int fd = open(gate, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            close(fd);
    }
}

static void say_ready(void *context) {
    (void)context;
    int fd = open(told_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

_Noreturn static void be_watch(char *gate) {
    struct failure failure = {0};
    alarm(HANGS_S);
    close(kernel);
    int status = watch_run(&(struct watch){.socket = ours,
                                           .read = read_message,
                                           .handle = tell,
                                           .context = gate,
                                           .host_source = sample_source(host_root),
                                           .state = state_path,
                                           .ready = say_ready,
                                           .leave_limit_ms = 2000 * HANGS_S},
                           &failure);
    _exit(status == 0 ? 0 : strstr(failure.message, "cannot read") ? 1 : 2);
}

/* --- the test's side */

static void shell(const char *format, const char *one, const char *two) {
    char command[512];
    snprintf(command, sizeof command, format, one, two);
    if (system(command) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", command);
}

static void pause_ms(long milliseconds) {
    struct timespec time = {.tv_nsec = milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static const char *told(void) {
    static char text[65536];
    FILE *in = fopen(told_path, "re");
    size_t size = in ? fread(text, 1, sizeof text - 1, in) : 0;
    text[size] = '\0';
    if (in)
        fclose(in);
    return text;
}

static unsigned count(const char *part) {
    unsigned found = 0;
    for (const char *at = told(); (at = strstr(at, part)); at += strlen(part))
        found++;
    return found;
}

static void wait_for(const char *part, unsigned times) {
    for (int i = 0; i < HANGS_S * 200 && count(part) < times; i++)
        pause_ms(5);
    if (count(part) != times)
        fail_msg("not %u times: %s\n%s", times, part, told());
}

static void start_watch(char *gate) {
    watcher = fork();
    assert_true(watcher >= 0);
    if (watcher == 0)
        be_watch(gate);
    for (int i = 0; i < HANGS_S * 200 && access(told_path, F_OK) != 0; i++)
        pause_ms(5);
}

static int end_watch(int number) {
    int status = 0;
    kill(watcher, number);
    assert_int_equal(waitpid(watcher, &status, 0), watcher);
    watcher = 0;
    return status;
}

#define DEVICE "SUBSYSTEM=usb\0DEVTYPE=usb_device\0BUSNUM=001\0"
#define EVENT(ACTION, PORT, PRODUCT, NUMBER)                                                       \
    ACTION "@/x\0ACTION=" ACTION "\0DEVPATH=/devices/usb1/" PORT "\0" DEVICE "PRODUCT=" PRODUCT    \
           "\0DEVNUM=" NUMBER "\0SEQNUM=99"
#define SEND(TEXT) assert_int_equal(send(kernel, TEXT, sizeof(TEXT) - 1, 0), sizeof(TEXT) - 1)

static int set_up(void **state) {
    (void)state;
    int pair[2];
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    if (!mkdtemp(directory) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    kernel = pair[0];
    ours = pair[1];
    snprintf(host_root, sizeof host_root, "%s/host", directory);
    snprintf(state_path, sizeof state_path, "%s/state", directory);
    snprintf(told_path, sizeof told_path, "%s/told", directory);
    shell("cp -a tests/hosts/usb %s%s", host_root, "");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (watcher) {
        kill(watcher, SIGKILL);
        waitpid(watcher, NULL, 0);
        watcher = 0;
    }
    close(kernel);
    close(ours);
    shell("rm -rf %s%s", directory, "");
    return 0;
}

static void nobody_is_left(void) {
    int status;
    errno = 0;
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* a subreaper gets what it left */
    assert_int_equal(errno, ECHILD);
}

/* --- */

static void at_its_start_all_that_stands(void **state) {
    (void)state;
    start_watch(NULL);
    wait_for("add stands", 9);
    wait_for("add stands 1-1.4 1a6e:089a 5 -\n", 1);
    wait_for("add stands 0000:01:00.0 8086:1533", 1);
    assert_int_equal(end_watch(SIGTERM), 0);
    nobody_is_left();
}

static struct device_slot presence_of(const char *port, unsigned number) {
    struct device device = {SAMPLE_USB(port, 0x1a6e, 0x089a, 1, number)};
    return (struct device_slot){.boot = SAMPLE_TEXT(""), .is_here = true, .here = device};
}

/* The VMs know the stick at 1-1.4 already, and another one that was removed meanwhile. */
static void at_its_start_what_changed_meanwhile(void **state) {
    (void)state;
    struct device_slot here = presence_of("1-1.4", 5), gone = presence_of("1-1.3", 9);
    assert_int_equal(device_db_write(&here, state_path, "usb-1-1.4"), 0);
    assert_int_equal(device_db_write(&gone, state_path, "usb-1-1.3"), 0);
    start_watch(NULL);
    wait_for("add stands", 8);
    wait_for("remove 1-1.3 1a6e:089a 9", 1);
    assert_int_equal(count("1-1.4"), 0);
    assert_int_equal(end_watch(SIGINT), 0);
}

static void each_event_is_told(void **state) {
    (void)state;
    start_watch(NULL);
    wait_for("add stands", 9);
    SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
    wait_for("add 1-1.3 10c4:ea60 7 -\n", 1);
    SEND(EVENT("bind", "1-1.3", "10c4/ea60/100", "007"));
    SEND("change@/x\0ACTION=change\0SUBSYSTEM=net");
    SEND("");
    SEND("libudev");
    SEND(EVENT("remove", "1-1.3", "10c4/ea60/100", "007"));
    wait_for("remove 1-1.3 10c4:ea60 7 -\n", 1);
    assert_int_equal(count("\n"), 11);
    assert_int_equal(end_watch(SIGTERM), 0);
    nobody_is_left();
}

/* A remove event has no serial number. */
static void a_removed_device_is_known(void **state) {
    (void)state;
    start_watch(NULL);
    wait_for("add stands", 9);
    SEND(EVENT("remove", "1-1.2", "1cf1/30/100", "004"));
    wait_for("remove 1-1.2 1cf1:0030 4 DE00212F10\n", 1);
    SEND(EVENT("remove", "1-1.1", "1cf1/30/100", "044")); /* another than the one we know */
    wait_for("remove 1-1.1 1cf1:0030 44 -\n", 1);
    assert_int_equal(end_watch(SIGTERM), 0);
}

static void lost_events_are_made_up(void **state) {
    (void)state;
    start_watch(NULL);
    wait_for("add stands", 9);
    SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007")); /* and it is not there any more */
    wait_for("add 1-1.3", 1);
    shell("cd %s/sys/bus/usb/devices && rm 1-1.2 1-1.2:*%s", host_root, "");
    shell("d=$(find %s/sys/devices -type d -name 1-1.4) && echo 18d1 >$d/idVendor && echo 9302 "
          ">$d/idProduct && echo 6 >$d/devnum%s",
          host_root, "");
    SEND("L");
    SEND("L");
    wait_for("remove 1-1.2 1cf1:0030 4 DE00212F10\n", 1);
    wait_for("remove 1-1.4 1a6e:089a 5 -\n", 1);
    wait_for("add 1-1.4 18d1:9302 6 -\n", 1);
    wait_for("remove 1-1.3 10c4:ea60 7 -\n", 1);
    assert_int_equal(count("\n"), 14);
    assert_int_equal(end_watch(SIGTERM), 0);
    assert_int_equal(count("\n"), 14);
}

/* The watch's stderr goes to a file. */
static void wait_until_said(const char *text) {
    char command[256];
    snprintf(command, sizeof command, "grep -q '%s' %s/said", text, directory);
    for (int i = 0; i < HANGS_S * 200 && system(command) != 0; i++) /* NOLINT(cert-env33-c) */
        pause_ms(5);
}

static void start_watch_saying(void) {
    char path[96];
    snprintf(path, sizeof path, "%s/said", directory);
    int kept = dup(STDERR_FILENO), file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    start_watch(NULL);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(file);
}

/* All of it at once for the watch, which would else take what it reads meanwhile for a host with
 * fewer devices. */
static void let_the_host_be_read(void) {
    int status;
    SEND("S");
    assert_int_equal(waitpid(watcher, &status, WUNTRACED), watcher);
    assert_true(WIFSTOPPED(status));
    shell("mv %s/away %s/sys", host_root, host_root);
    kill(watcher, SIGCONT);
}

/* Events are lost, and then the host cannot be read: the changes are handled when it can. */
static void lost_events_are_not_forgotten(void **state) {
    (void)state;
    start_watch_saying();
    wait_for("add stands", 9);
    shell("cd %s/sys/bus/usb/devices && rm 1-1.2 1-1.2:*%s", host_root, "");
    shell("mv %s/sys %s/away", host_root, host_root);
    SEND("L");
    wait_until_said("cannot be read");
    assert_int_equal(count("\n"), 9);
    let_the_host_be_read();
    wait_for("remove 1-1.2 1cf1:0030 4 DE00212F10\n", 1);
    assert_int_equal(end_watch(SIGTERM), 0);
    assert_int_equal(count("\n"), 10);
    shell("test $(grep -c 'cannot be read' %s/said) = 1%s", directory, "");
}

static void a_host_that_can_be_read_later(void **state) {
    (void)state;
    shell("mv %s/sys %s/away", host_root, host_root);
    start_watch_saying();
    wait_until_said("cannot be read");
    assert_int_equal(count("\n"), 0);
    let_the_host_be_read();
    wait_for("add stands", 9);
    SEND("L");
    SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
    wait_for("add 1-1.3 10c4:ea60 7 -\n", 1);
    assert_int_equal(end_watch(SIGTERM), 0);
}

static void a_storm(void **state) {
    (void)state;
    start_watch(NULL);
    wait_for("add stands", 9);
    for (int i = 0; i < 200; i++) {
        SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
        SEND(EVENT("remove", "1-1.3", "10c4/ea60/100", "007"));
    }
    wait_for("add 1-1.3", 200);
    wait_for("remove 1-1.3", 200);
    assert_int_equal(end_watch(SIGTERM), 0);
    nobody_is_left();
}

/* Children that do not end: so many and no more, and the rest waits in the socket. */
static void children_are_bounded(void **state) {
    (void)state;
    char gate[96];
    snprintf(gate, sizeof gate, "%s/gate", directory);
    assert_int_equal(mkfifo(gate, 0600), 0);
    shell("rm -r %s/sys/bus/pci/devices/* %s/sys/bus/usb/devices/*", host_root, host_root);
    start_watch(gate);
    for (int i = 0; i < 70; i++)
        SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
    wait_for("add 1-1.3", 64);
    int file = open(gate, O_RDWR | O_CLOEXEC); /* lets them all go, and who comes later */
    wait_for("add 1-1.3", 70);
    assert_int_equal(end_watch(SIGTERM), 0);
    close(file);
    nobody_is_left();
}

/* What is under way ends before the watch; ^C at a terminal does not reach it. */
static void it_waits_for_its_children(void **state) {
    (void)state;
    int status;
    char gate[96];
    snprintf(gate, sizeof gate, "%s/gate", directory);
    assert_int_equal(mkfifo(gate, 0600), 0);
    shell("rm -r %s/sys/bus/pci/devices/* %s/sys/bus/usb/devices/*", host_root, host_root);
    start_watch(gate);
    SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
    wait_for("add 1-1.3", 1);
    kill(watcher, SIGTERM);
    SEND(EVENT("add", "1-1.5", "10c4/ea60/100", "008")); /* not read any more */
    assert_int_equal(waitpid(watcher, &status, WNOHANG), 0);
    int file = open(gate, O_WRONLY | O_CLOEXEC); /* returns when the child is there */
    assert_true(file >= 0);
    assert_int_equal(waitpid(watcher, &status, 0), watcher);
    watcher = 0;
    close(file);
    assert_int_equal(status, 0);
    assert_int_equal(count("1-1.5"), 0);
    nobody_is_left();
}

static void what_comes_after_the_signal(void **state) {
    (void)state;
    int status;
    start_watch(NULL);
    wait_for("add stands", 9);
    SEND("T");
    SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
    assert_int_equal(waitpid(watcher, &status, 0), watcher);
    watcher = 0;
    assert_int_equal(status, 0);
    assert_int_equal(count("\n"), 9);
    nobody_is_left();
}

static void a_second_signal_ends_the_waiting(void **state) {
    (void)state;
    int status;
    char gate[96];
    snprintf(gate, sizeof gate, "%s/gate", directory);
    assert_int_equal(mkfifo(gate, 0600), 0);
    shell("rm -r %s/sys/bus/pci/devices/* %s/sys/bus/usb/devices/*", host_root, host_root);
    start_watch(gate);
    SEND(EVENT("add", "1-1.3", "10c4/ea60/100", "007"));
    wait_for("add 1-1.3", 1);
    for (kill(watcher, SIGTERM); waitpid(watcher, &status, WNOHANG) == 0; kill(watcher, SIGTERM))
        pause_ms(20);
    watcher = 0;
    assert_int_equal(status, 0);
    int file = open(gate, O_WRONLY | O_CLOEXEC); /* the child goes on, and is ours now */
    assert_true(file >= 0);
    assert_true(waitpid(-1, &status, 0) > 0);
    close(file);
    nobody_is_left();
}

static void a_socket_that_fails_is_said(void **state) {
    (void)state;
    int status;
    start_watch(NULL);
    SEND("B");
    assert_int_equal(waitpid(watcher, &status, 0), watcher);
    watcher = 0;
    assert_int_equal(WEXITSTATUS(status), 1);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(at_its_start_all_that_stands),
        TEST(at_its_start_what_changed_meanwhile),
        TEST(each_event_is_told),
        TEST(a_removed_device_is_known),
        TEST(lost_events_are_made_up),
        TEST(lost_events_are_not_forgotten),
        TEST(a_host_that_can_be_read_later),
        TEST(a_storm),
        TEST(children_are_bounded),
        TEST(it_waits_for_its_children),
        TEST(what_comes_after_the_signal),
        TEST(a_second_signal_ends_the_waiting),
        TEST(a_socket_that_fails_is_said),
    };
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
