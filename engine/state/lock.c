#include "engine/state/lock.h"

#include "engine/state/pending.h"
#include "engine/system/deadline.h"
#include "lexer/memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* Two VMs on one byte only wait for each other. FNV-1a, so that it spreads. */
static off_t lock_byte_of(const char *uuid) {
    uint64_t value = 0xcbf29ce484222325;
    for (; *uuid; uuid++)
        value = (value ^ (uint64_t)tolower((unsigned char)*uuid)) * 0x100000001b3;
    return (off_t)(value >> 2);
}

enum { ALARM_MS = 200 };

/* F_OFD_SETLK fails with EAGAIN when another has it. */
static int lock_set(int file, int command, short type, off_t byte) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int status;
    do
        status = fcntl(file, command, &range);
    while (status < 0 && errno == EINTR);
    return status;
}

static int lock_open_file(const char *state, struct failure *failure) {
    char *path = memory_printf("%s/lock", state);
    bool forbidden = mkdir(state, 0700) < 0 && (errno == EACCES || errno == EPERM);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    forbidden |= file < 0 && (errno == EACCES || errno == EPERM);
    if (file < 0)
        failure_set(failure, "%s: %s%s", path, strerror(forbidden ? EACCES : errno),
                    forbidden ? "; run as root" : "");
    free(path);
    return file;
}

static int lock_fail(int file, const char *state, struct failure *failure) {
    /* an older kernel does not know locks that belong to an open file */
    failure_set(failure, "%s/lock: %s%s", state, strerror(errno),
                errno == EINVAL ? "; Linux 3.15 or later is needed" : "");
    close(file);
    return -1;
}

enum lock_wait { LOCK_MINE, LOCK_LATE, LOCK_FAILED };

/* An alarm, again and again, ends a call that waits: what the process had before comes back. */
struct lock_alarm {
    struct itimerval timer;
    struct sigaction action;
    sigset_t mask;
};

static void lock_ignore(int number) {
    (void)number;
}

static void lock_start_alarm(struct lock_alarm *before, int first_ms) {
    struct itimerval timer = {
        .it_interval = {.tv_usec = ALARM_MS * 1000L},
        .it_value = {.tv_sec = first_ms / 1000, .tv_usec = first_ms % 1000 * 1000L + 1}};
    struct sigaction action = {.sa_handler = lock_ignore};
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGALRM);
    sigaction(SIGALRM, &action, &before->action);
    sigprocmask(SIG_UNBLOCK, &heard, &before->mask);
    setitimer(ITIMER_REAL, &timer, &before->timer);
}

static void lock_stop_alarm(const struct lock_alarm *before) {
    setitimer(ITIMER_REAL, &before->timer, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
    sigaction(SIGALRM, &before->action, NULL);
}

/* In the kernel's queue. */
static enum lock_wait lock_wait_until(int file, off_t byte, int64_t deadline) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    struct lock_alarm before;
    int64_t left = deadline - clock_now();
    enum lock_wait wait = LOCK_MINE;
    if (fcntl(file, F_OFD_SETLK, &range) == 0)
        return LOCK_MINE;
    lock_start_alarm(&before, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
    while (wait == LOCK_MINE && fcntl(file, F_OFD_SETLKW, &range) < 0)
        wait = errno != EINTR ? LOCK_FAILED : clock_now() < deadline ? LOCK_MINE : LOCK_LATE;
    int error = errno;
    lock_stop_alarm(&before);
    errno = error;
    return wait;
}

static void lock_give_notice(const char *state, const char *uuid) {
    char *what = pending_text(state, uuid);
    fprintf(stderr, "virt-rules: waiting for another engine that works on the VM%s%s\n",
            what ? ": " : "", what ? what : "");
    free(what);
}

static int lock_fail_busy(int file, const char *state, const char *uuid, int limit_ms,
                          struct failure *failure) {
    char *what = pending_text(state, uuid);
    failure_set(failure, "another engine has worked on the VM for more than %d s%s%s",
                (limit_ms + 999) / 1000, what ? ": " : "", what ? what : "");
    free(what);
    close(file);
    return LOCK_BUSY;
}

int lock_vm(const char *state, const char *uuid, struct failure *failure) {
    int file = lock_open_file(state, failure), limit = deadline_limit(DEADLINE_LOCK_MS);
    int64_t start = clock_now();
    if (file < 0)
        return -1;
    enum lock_wait wait =
        lock_wait_until(file, lock_byte_of(uuid), start + deadline_limit(DEADLINE_NOTICE_MS));
    if (wait == LOCK_LATE) {
        lock_give_notice(state, uuid);
        wait = lock_wait_until(file, lock_byte_of(uuid), start + limit);
    }
    if (wait == LOCK_LATE)
        return lock_fail_busy(file, state, uuid, limit, failure);
    return wait == LOCK_MINE ? file : lock_fail(file, state, failure);
}

int lock_vm_within(const char *state, const char *uuid, int limit_ms) {
    int file = lock_open_file(state, NULL);
    if (file >= 0 &&
        lock_wait_until(file, lock_byte_of(uuid), clock_now() + limit_ms) != LOCK_MINE) {
        close(file);
        return -1;
    }
    return file;
}

bool lock_vm_is_taken(const char *state, const char *uuid) {
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lock_byte_of(uuid), .l_len = 1};
    int file = lock_open_file(state, NULL);
    bool is_taken = file >= 0 && fcntl(file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
    lock_release(file);
    return is_taken;
}

static off_t lock_byte_for(const char *place, const char *what) {
    char *text = memory_printf("%s %s", what, place);
    off_t byte = lock_byte_of(text);
    free(text);
    return byte;
}

/* Who waits gives up the waiting only when it has its turn, so that whoever was sent away until
 * then is seen by it. */
enum turn lock_turn(const char *state, const char *place, int *lock, struct failure *failure) {
    off_t waiting = lock_byte_for(place, "waits for"), turn = lock_byte_for(place, "works on");
    int file = lock_open_file(state, failure);
    if (file < 0)
        return TURN_FAILED;
    *lock = file;
    if (lock_set(file, F_OFD_SETLK, F_WRLCK, turn) == 0)
        return TURN_MINE;
    if (lock_set(file, F_OFD_SETLK, F_WRLCK, waiting) < 0 && (errno == EAGAIN || errno == EACCES)) {
        close(file);
        *lock = -1;
        return TURN_MERGED;
    }
    switch (lock_wait_until(file, turn, clock_now() + deadline_limit(DEADLINE_LOCK_MS))) {
    case LOCK_MINE:
        break;
    case LOCK_LATE:
        errno = ETIMEDOUT;
        /* fall through */
    case LOCK_FAILED:
        *lock = lock_fail(file, state, failure);
        return TURN_FAILED;
    }
    if (lock_set(file, F_OFD_SETLK, F_UNLCK, waiting) == 0)
        return TURN_WAITED;
    *lock = lock_fail(file, state, failure);
    return TURN_FAILED;
}

void lock_release(int lock) {
    if (lock >= 0)
        close(lock);
}
