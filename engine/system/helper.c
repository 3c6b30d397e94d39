#include "engine/system/helper.h"

#include "engine/system/deadline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USUAL_FILES = 1024, END_LIMIT_MS = 1000 };

/* --- the helper */

/* Closes what exec would close. */
static void helper_close(int file, int socket) {
    int flags = file > STDERR_FILENO && file != socket ? fcntl(file, F_GETFD) : -1;
    if (flags >= 0 && flags & FD_CLOEXEC)
        close(file);
}

/* The engine's locks and pipes must not stay open in the helper. */
static void helper_close_files(int socket) {
    DIR *list = opendir("/proc/self/fd");
    for (int file = 0; !list && file < USUAL_FILES; file++)
        helper_close(file, socket);
    for (const struct dirent *entry; list && (entry = readdir(list));) {
        int file = (int)strtol(entry->d_name, NULL, 10);
        if (file != dirfd(list))
            helper_close(file, socket);
    }
    if (list)
        closedir(list);
}

_Noreturn static void helper_be(pid_t engine, int socket, void (*work)(void *context, int socket),
                                void *context) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != engine)
        _exit(EXIT_FAILURE);
    helper_close_files(socket);
    /* What a library prints must not come between what the engine prints. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int file = STDIN_FILENO; null >= 0 && file <= STDERR_FILENO; file++)
        dup2(null, file);
    work(context, socket);
    _exit(EXIT_SUCCESS);
}

/* --- the engine */

int helper_start(struct helper *helper, void (*work)(void *context, int socket), void *context) {
    int ends[2];
    pid_t engine = getpid();
    *helper = (struct helper){.socket = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        helper_be(engine, ends[1], work, context);
    int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        errno = error;
        return -1;
    }
    *helper = (struct helper){pid, ends[0]};
    return 0;
}

/* Its end of the socket is closed when it ends. */
int helper_end(struct helper *helper) {
    struct pollfd end = {.fd = helper->socket};
    int status = -1, ended;
    pid_t pid;
    if (!helper->pid)
        return -1;
    kill(helper->pid, SIGKILL);
    int64_t deadline = clock_now() + END_LIMIT_MS;
    while ((ended = poll(&end, 1, END_LIMIT_MS)) < 0 && errno == EINTR && clock_now() < deadline)
        ;
    while ((pid = waitpid(helper->pid, &status, ended ? 0 : WNOHANG)) < 0 && errno == EINTR)
        ;
    close(helper->socket);
    *helper = (struct helper){.socket = -1};
    return pid > 0 ? status : -1;
}

bool helper_send(int socket, const void *bytes, size_t size) {
    for (const char *at = bytes; size;) {
        ssize_t sent = send(socket, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        at += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool helper_receive(int socket, void *bytes, size_t size) {
    for (char *at = bytes; size;) {
        ssize_t got = recv(socket, at, size, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        at += got > 0 ? got : 0;
        size -= got > 0 ? (size_t)got : 0;
    }
    return true;
}

enum helper_answer helper_await(const struct helper *helper, void *bytes, size_t size,
                                int64_t deadline) {
    char *at = bytes;
    while (size) {
        struct pollfd input = {.fd = helper->socket, .events = POLLIN};
        int64_t left = deadline - clock_now();
        int ready = poll(&input, 1, left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0 && clock_now() < deadline) /* a clock that jumped back, or a short poll */
            continue;
        if (ready == 0)
            return HELPER_LATE;
        ssize_t got = ready < 0 ? -1 : recv(helper->socket, at, size, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return HELPER_ENDED;
        at += got > 0 ? got : 0;
        size -= got > 0 ? (size_t)got : 0;
    }
    return HELPER_ANSWERED;
}
