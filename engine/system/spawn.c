#include "engine/system/spawn.h"

#include "engine/system/clock.h"
#include "lexer/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_RUN = 127, CHUNK = 4096, DRAIN_READS = 64 };

/* What a program prints: its beginning and its end. */
struct spawn_output {
    char *text; /* SPAWN_OUTPUT_LIMIT bytes, zeroed */
    size_t used;
    char end[SPAWN_LAST_LIMIT * 2];
    size_t end_used;
};

/* The errno of a failed exec goes to `complaint`, which a good exec closes. */
_Noreturn static void spawn_become(const char *const *arguments, const char *const *environment,
                                   int output, int complaint) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0 && chdir("/") == 0)
        execve(arguments[0], (char *const *)arguments, (char *const *)environment);
    int error = errno;
    ssize_t written = write(complaint, &error, sizeof error);
    _exit(written == sizeof error ? CANNOT_RUN : EXIT_FAILURE);
}

/* What is printed beyond the limits is read and thrown away, so that the program can go on. */
static bool spawn_read_some(int from, struct spawn_output *output) {
    char chunk[CHUNK];
    ssize_t got = read(from, chunk, sizeof chunk);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    size_t size = (size_t)got, room = SPAWN_OUTPUT_LIMIT - 1 - output->used;
    memcpy(output->text + output->used, chunk, size < room ? size : room);
    output->used += size < room ? size : room;
    const char *last = chunk;
    if (size > sizeof output->end) {
        last += size - sizeof output->end;
        size = sizeof output->end;
    }
    size_t kept = sizeof output->end - size;
    kept = kept < output->end_used ? kept : output->end_used;
    memmove(output->end, output->end + output->end_used - kept, kept);
    memcpy(output->end + kept, last, size);
    output->end_used = kept + size;
    return true;
}

/* The last line that is not empty, for the caller to free. */
static char *spawn_last_line(const struct spawn_output *output) {
    static const char blank[] = " \t\r\n";
    size_t end = output->end_used;
    while (end && (!output->end[end - 1] || strchr(blank, output->end[end - 1])))
        end--;
    size_t start = end;
    while (start && end - start < SPAWN_LAST_LIMIT && output->end[start - 1] != '\n')
        start--;
    while (start < end && (output->end[start] & 0xc0) == 0x80) /* not within a character */
        start++;
    return memory_strndup(output->end + start, end - start);
}

/* Left unreaped, so that its process group still is its own. */
static bool spawn_has_ended(pid_t child) {
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid;
}

/*
 * Reads until the program has ended, whoever else still has its output; or the time is over. It may
 * close its output and go on. `signals` reports its end.
 */
static bool spawn_follow(pid_t child, int from, int signals, int64_t deadline,
                         struct spawn_output *output) {
    struct pollfd waits[] = {{.fd = from, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo ignored;
    while (!spawn_has_ended(child)) {
        int64_t left = deadline - clock_now();
        if (left <= 0)
            return false;
        if (poll(waits, 2, (int)left) <= 0)
            continue;
        if (waits[1].revents && read(signals, &ignored, sizeof ignored) < 0)
            continue;
        if (waits[0].revents && !spawn_read_some(from, output))
            waits[0].fd = -1;
    }
    return true;
}

/* What it printed last and nobody has read yet. A process that it left in another group may print
 * for ever. */
static void spawn_drain(int from, struct spawn_output *output) {
    fcntl(from, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < DRAIN_READS && spawn_read_some(from, output); i++)
        ;
}

static int spawn_judge(int status, bool in_time, int limit_ms, struct failure *failure) {
    if (!in_time)
        failure_set(failure, "was ended after %g s, the time limit", limit_ms / 1000.0);
    else if (WIFSIGNALED(status))
        failure_set(failure, "was ended by signal %d (%s)", WTERMSIG(status),
                    strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status))
        failure_set(failure, "ended with status %d", WEXITSTATUS(status));
    else
        return 0;
    return -1;
}

/* SIGCHLD is blocked, so that none is missed between a look and a wait. */
static int spawn_reap(pid_t child, int from, int limit_ms, struct spawn_output *output,
                      struct failure *failure) {
    int status = 0;
    int64_t deadline = clock_now() + limit_ms;
    sigset_t ended, before;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, &before);
    int signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
    bool in_time = spawn_follow(child, from, signals, deadline, output);
    kill(-child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    spawn_drain(from, output);
    if (signals >= 0)
        close(signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return spawn_judge(status, in_time, limit_ms, failure);
}

/* The errno of the exec, or 0 when the program runs. */
static int spawn_read_complaint(int from) {
    int error = 0;
    ssize_t got;
    while ((got = read(from, &error, sizeof error)) < 0 && errno == EINTR)
        ;
    return got == sizeof error ? error : 0;
}

static const char *spawn_advice(int error) {
    return error == ENOENT ? "; is its path right, and that of the interpreter in its first line?"
           : error == EACCES
               ? "; make it executable: chmod +x, and mount its file system without noexec"
           : error == ENOEXEC ? "; a script needs a first line such as #!/bin/sh"
                              : "";
}

static void spawn_close_end(int *end) {
    if (*end >= 0)
        close(*end);
    *end = -1;
}

static int spawn_fail_start(int error_number, struct failure *failure) {
    failure_set(failure, "could not be run: %s%s", strerror(error_number),
                spawn_advice(error_number));
    return -1;
}

static int spawn_watch(pid_t child, int output_end, int complaint_end, int limit_ms,
                       struct spawn_output *output, struct failure *failure) {
    setpgid(child, child); /* also here: whichever of the two comes first */
    int complaint = spawn_read_complaint(complaint_end);
    int status = spawn_reap(child, output_end, limit_ms, output, failure);
    return complaint ? spawn_fail_start(complaint, failure) : status;
}

int spawn(const char *const *arguments, const char *const *environment, int limit_ms, char **output,
          char **last, struct failure *failure) {
    int ends[2] = {-1, -1}, complaint[2] = {-1, -1};
    struct spawn_output printed = {.text = memory_zalloc(SPAWN_OUTPUT_LIMIT)};
    signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, it loses how a child ended */
    pid_t child = pipe2(ends, O_CLOEXEC) < 0 || pipe2(complaint, O_CLOEXEC) < 0 ? -1 : fork();
    if (child == 0)
        spawn_become(arguments, environment, ends[1], complaint[1]);
    int status = 0;
    if (child < 0) {
        spawn_fail_start(errno, failure);
        status = SPAWN_NO_PROCESS;
    }
    spawn_close_end(&ends[1]);
    spawn_close_end(&complaint[1]);
    if (child > 0)
        status = spawn_watch(child, ends[0], complaint[0], limit_ms, &printed, failure);
    spawn_close_end(&ends[0]);
    spawn_close_end(&complaint[0]);
    *output = printed.text;
    if (last)
        *last = spawn_last_line(&printed);
    return status;
}
