#include "engine/state/lock.h"

#include "engine/state/pending.h"
#include "engine/system/deadline.h"
#include "lexer/memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { ALARM_MS = 200 };

static char *lock_path(const char *state, const char *name, const char *suffix) {
    char *path = memory_printf("%s/locks/%s%s", state, name, suffix);
    for (char *letter = path + strlen(state) + strlen("/locks/"); *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter); /* a UUID may be in upper case */
    return path;
}

static bool lock_may_not(int status) {
    return status < 0 && (errno == EACCES || errno == EPERM);
}

static int lock_open(const char *state, const char *path, struct failure *failure) {
    char *directory = memory_printf("%s/locks", state);
    bool forbidden = lock_may_not(mkdir(state, 0700));
    forbidden |= lock_may_not(mkdir(directory, 0700));
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    forbidden |= lock_may_not(file);
    if (file < 0)
        failure_set(failure, "%s: %s%s", path, strerror(forbidden ? EACCES : errno),
                    forbidden ? "; run as root" : "");
    free(directory);
    return file;
}

static int lock_try(int file, int operation) {
    int status;
    while ((status = flock(file, operation | LOCK_NB)) < 0 && errno == EINTR)
        ;
    return status;
}

enum lock_wait { LOCK_WAIT_MINE, LOCK_WAIT_LATE, LOCK_WAIT_FAILED };

/* A repeated alarm interrupts a flock(2) that waits. Holds the process's own timer, handler and
 * mask, to restore them. */
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

/* Waits in the kernel, which serves waiters in order. */
static enum lock_wait lock_wait_until(int file, int64_t deadline) {
    struct lock_alarm before;
    int64_t left = deadline - clock_now();
    enum lock_wait wait = LOCK_WAIT_MINE;
    if (lock_try(file, LOCK_EX) == 0)
        return LOCK_WAIT_MINE;
    lock_start_alarm(&before, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
    while (wait == LOCK_WAIT_MINE && flock(file, LOCK_EX) < 0)
        wait = errno != EINTR           ? LOCK_WAIT_FAILED
               : clock_now() < deadline ? LOCK_WAIT_MINE
                                        : LOCK_WAIT_LATE;
    int error = errno;
    lock_stop_alarm(&before);
    errno = error;
    return wait;
}

/* ": attach of 0000:03:00.0 since ..." for the caller to free; "" when it is not known. */
static char *lock_holder_text(const char *state, const char *uuid) {
    char *what = pending_text(state, uuid);
    char *text = what ? memory_printf(": %s", what) : memory_strdup("");
    free(what);
    return text;
}

int lock_vm(const char *state, const char *uuid, struct failure *failure) {
    char *path = lock_path(state, uuid, ""), *holder = NULL;
    int file = lock_open(state, path, failure), limit = deadline_limit(DEADLINE_LOCK_MS);
    int64_t start = clock_now();
    enum lock_wait wait = LOCK_WAIT_FAILED;
    if (file >= 0)
        wait = lock_wait_until(file, start + deadline_limit(DEADLINE_NOTICE_MS));
    if (wait == LOCK_WAIT_LATE) {
        holder = lock_holder_text(state, uuid);
        fprintf(stderr, "virt-rules: waiting for another engine that works on the VM%s\n", holder);
        free(holder);
        wait = lock_wait_until(file, start + limit);
    }
    if (wait == LOCK_WAIT_LATE) {
        holder = lock_holder_text(state, uuid);
        failure_set(failure, "another engine has worked on the VM for more than %d s%s",
                    (limit + 999) / 1000, holder);
        free(holder);
    } else if (wait == LOCK_WAIT_FAILED && file >= 0) {
        failure_set(failure, "%s: %s", path, strerror(errno));
    }
    free(path);
    if (wait == LOCK_WAIT_MINE)
        return file;
    lock_release(file);
    return wait == LOCK_WAIT_LATE ? LOCK_BUSY : -1;
}

int lock_vm_within(const char *state, const char *uuid, int limit_ms, struct failure *failure) {
    char *path = lock_path(state, uuid, "");
    int file = lock_open(state, path, failure);
    enum lock_wait wait = LOCK_WAIT_FAILED;
    if (file >= 0) {
        wait = lock_wait_until(file, clock_now() + limit_ms);
        if (wait == LOCK_WAIT_FAILED)
            failure_set(failure, "%s: %s", path, strerror(errno));
    }
    free(path);
    if (wait == LOCK_WAIT_MINE)
        return file;
    lock_release(file);
    return wait == LOCK_WAIT_LATE ? LOCK_BUSY : -1;
}

/* A shared lock, for a moment: another engine that tries to lock meanwhile waits for that moment.
 */
bool lock_vm_is_held(const char *state, const char *uuid) {
    char *path = lock_path(state, uuid, "");
    int file = lock_open(state, path, NULL);
    bool is_held = file >= 0 && lock_try(file, LOCK_SH) < 0 && errno == EWOULDBLOCK;
    free(path);
    lock_release(file);
    return is_held;
}

/* A read lock of fcntl(2): unlike flock(2)'s, others can ask for it without taking it. */
static struct flock lock_whole_file(short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

int lock_run(const char *state, const char *uuid) {
    struct flock lock = lock_whole_file(F_RDLCK);
    char *path = lock_path(state, uuid, ".run");
    int file = lock_open(state, path, NULL);
    if (file >= 0 && fcntl(file, F_OFD_SETLK, &lock) < 0) {
        lock_release(file);
        file = -1;
    }
    free(path);
    return file;
}

bool lock_run_is_held(const char *state, const char *uuid) {
    struct flock lock = lock_whole_file(F_WRLCK);
    char *path = lock_path(state, uuid, ".run");
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is_held = file >= 0 && fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    free(path);
    lock_release(file);
    return is_held;
}

/*
 * Whoever works on the slot holds SLOT; one process that waits for it holds SLOT.wait. The waiter
 * keeps SLOT.wait until it has SLOT, so that it sees the state after all events that were coalesced
 * until then.
 */
enum lock_slot lock_slot(const char *state, const char *slot, int *lock, struct failure *failure) {
    char *path = lock_path(state, slot, ""), *wait_path = lock_path(state, slot, ".wait");
    enum lock_slot result = LOCK_SLOT_FAILED;
    int waiting = -1, file = lock_open(state, path, failure);
    if (file >= 0 && lock_try(file, LOCK_EX) == 0) {
        result = LOCK_SLOT_MINE;
    } else if (file >= 0 && (waiting = lock_open(state, wait_path, failure)) >= 0) {
        if (lock_try(waiting, LOCK_EX) < 0 && errno == EWOULDBLOCK) {
            result = LOCK_SLOT_COALESCED;
        } else {
            enum lock_wait wait =
                lock_wait_until(file, clock_now() + deadline_limit(DEADLINE_LOCK_MS));
            if (wait == LOCK_WAIT_MINE)
                result = LOCK_SLOT_WAITED;
            else
                failure_set(failure, "%s: %s", path,
                            strerror(wait == LOCK_WAIT_LATE ? ETIMEDOUT : errno));
        }
    }
    *lock = result == LOCK_SLOT_MINE || result == LOCK_SLOT_WAITED ? file : -1;
    if (*lock < 0)
        lock_release(file);
    lock_release(waiting);
    free(wait_path);
    free(path);
    return result;
}

void lock_release(int lock) {
    if (lock >= 0)
        close(lock);
}
