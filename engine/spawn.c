#include "engine/spawn.h"

#include "lexer/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CANNOT_RUN = 127 };

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

_Noreturn static void become(const char *const *arguments, const char *const *environment,
                             int output) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0 && chdir("/") == 0)
        execve(arguments[0], (char *const *)arguments, (char *const *)environment);
    dprintf(output, "%s", strerror(errno));
    _exit(CANNOT_RUN);
}

/* Reads until the program and all that have its output closed it, or the time is over. */
static bool read_output(int from, int64_t deadline, char *output) {
    size_t used = 0;
    char rest[4096];
    for (;;) {
        int64_t left = deadline - now_ms();
        struct pollfd wait = {.fd = from, .events = POLLIN};
        if (left <= 0 || poll(&wait, 1, (int)left) == 0)
            return false;
        bool room = used < SPAWN_OUTPUT_LIMIT - 1;
        ssize_t got = room ? read(from, output + used, SPAWN_OUTPUT_LIMIT - 1 - used)
                           : read(from, rest, sizeof rest);
        if (got == 0 || (got < 0 && errno != EINTR))
            return true;
        used += room && got > 0 ? (size_t)got : 0;
    }
}

/*
 * A program may close its output and go on: the limit holds for it too. It is left unreaped, so
 * that its process group still is its own. SIGCHLD is blocked, so that none is missed between the
 * look and the wait.
 */
static bool wait_until(pid_t child, int64_t deadline, const sigset_t *ended) {
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
            return true;
        int64_t left = deadline - now_ms();
        struct timespec limit = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        if (left <= 0)
            return false;
        sigtimedwait(ended, NULL, &limit);
    }
}

static int judge(int status, bool in_time, int limit_ms, const char *output, char *error,
                 size_t size) {
    if (!in_time)
        snprintf(error, size, "was ended after %d s, the time limit", limit_ms / 1000);
    else if (WIFSIGNALED(status))
        snprintf(error, size, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == CANNOT_RUN)
        snprintf(error, size, "could not be run: %.200s", output);
    else if (WEXITSTATUS(status))
        snprintf(error, size, "ended with status %d", WEXITSTATUS(status));
    else
        return 0;
    return -1;
}

static int reap(pid_t child, int from, int limit_ms, char *output, char *error, size_t error_size) {
    int status = 0;
    int64_t deadline = now_ms() + limit_ms;
    sigset_t ended, before;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, &before);
    bool in_time = read_output(from, deadline, output);
    in_time = wait_until(child, deadline, &ended) && in_time;
    kill(-child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return judge(status, in_time, limit_ms, output, error, error_size);
}

int spawn(const char *const *arguments, const char *const *environment, int limit_ms, char **output,
          char *error, size_t error_size) {
    int ends[2] = {-1, -1};
    *output = memory_zalloc(SPAWN_OUTPUT_LIMIT);
    pid_t child = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();
    if (child < 0) {
        snprintf(error, error_size, "could not be run: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (child == 0)
        become(arguments, environment, ends[1]);
    setpgid(child, child); /* also here: whichever of the two comes first */
    close(ends[1]);
    int status = reap(child, ends[0], limit_ms, *output, error, error_size);
    close(ends[0]);
    return status;
}
