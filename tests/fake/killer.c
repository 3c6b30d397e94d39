/*
 * Preloaded into the engine:
 * - FAKE_KILL_AT=N: SIGKILL before the Nth step that others could see. A step is a call of libc
 * with a side effect, a wait, or a call of libvirt. What it was goes to killed in the world.
 * - FAKE_SPEED=N: the monotonic clock jumps over N - 1 of N parts of each wait of 100 ms and more.
 *   What the process does takes its time, so that a busy machine does not bring time limits near.
 * - FAKE_TAKE_NAME=PATH: before a file is renamed to PATH, somebody else gives that name to the
 * file FAKE_TAKE_FILE.
 * - FAKE_SYSLOG=FD: what is written to syslog, a line each.
 * - The kernel behind the files of the world's host: a PCI device whose address is written to
 * unbind or drivers_probe changes its driver, and driver_override holds what was written last. A
 * UUID that is written to create of a type is a mediated device until its remove is written to.
 */
#include "tests/fake/killer.h"
#include "tests/fake/world.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* The function of that name that is hidden by ours. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))
#define SHOWN __attribute__((visibility("default")))

static long number_of(const char *variable) {
    const char *text = getenv(variable);
    return text ? strtol(text, NULL, 10) : 0;
}

/* ---- steps ---- */

static unsigned paused; /* how many have asked for it */

SHOWN void killer_pause(bool on) {
    paused += on ? 1U : -1U;
}

__attribute__((noreturn)) static void die(const char *what) {
    char path[WORLD_PATH];
    killer_pause(true);
    int fd =
        open(world_path(path, "killed"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* others die too */
    (void)!write(fd, what, strlen(what));
    raise(SIGKILL);
    abort();
}

SHOWN void killer_step(const char *what) {
    static long steps;
    if (!paused && ++steps == number_of("FAKE_KILL_AT"))
        die(what);
}

static bool may_change(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

SHOWN int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    if (may_change(flags))
        killer_step("open");
    return NEXT(open)(path, flags, mode);
}

SHOWN int openat(int directory, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    if (may_change(flags))
        killer_step("openat");
    return NEXT(openat)(directory, path, flags, mode);
}

SHOWN int mkostemp(char *template, int flags) {
    killer_step("mkostemp");
    return NEXT(mkostemp)(template, flags);
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int count) {
    killer_step("writev");
    return NEXT(writev)(fd, parts, count);
}

static void take_name(const char *new) {
    const char *name = getenv("FAKE_TAKE_NAME"), *file = getenv("FAKE_TAKE_FILE");
    if (name && file && strcmp(name, new) == 0)
        (void)!NEXT(renameat)(AT_FDCWD, file, AT_FDCWD, name); /* once: then it is not there */
}

SHOWN int rename(const char *old, const char *new) {
    killer_step("rename");
    take_name(new);
    return NEXT(rename)(old, new);
}

SHOWN int renameat(int old_directory, const char *old, int new_directory, const char *new) {
    killer_step("renameat");
    take_name(new);
    return NEXT(renameat)(old_directory, old, new_directory, new);
}

SHOWN int renameat2(int old_directory, const char *old, int new_directory, const char *new,
                    unsigned flags) {
    killer_step("renameat2");
    take_name(new);
    return NEXT(renameat2)(old_directory, old, new_directory, new, flags);
}

SHOWN int link(const char *old, const char *new) {
    killer_step("link");
    return NEXT(link)(old, new);
}

SHOWN int chmod(const char *path, mode_t mode) {
    killer_step("chmod");
    return NEXT(chmod)(path, mode);
}

SHOWN int fchmod(int fd, mode_t mode) {
    killer_step("fchmod");
    return NEXT(fchmod)(fd, mode);
}

SHOWN int unlink(const char *path) {
    killer_step("unlink");
    return NEXT(unlink)(path);
}

SHOWN int unlinkat(int directory, const char *path, int flags) {
    killer_step("unlinkat");
    return NEXT(unlinkat)(directory, path, flags);
}

SHOWN int mkdir(const char *path, mode_t mode) {
    killer_step("mkdir");
    return NEXT(mkdir)(path, mode);
}

SHOWN int ftruncate(int fd, off_t size) {
    killer_step("ftruncate");
    return NEXT(ftruncate)(fd, size);
}

SHOWN int fsync(int fd) {
    killer_step("fsync");
    return NEXT(fsync)(fd);
}

SHOWN int flock(int fd, int operation) {
    killer_step("flock");
    return NEXT(flock)(fd, operation);
}

SHOWN int connect(int fd, const struct sockaddr *address, socklen_t size) {
    killer_step("connect");
    return NEXT(connect)(fd, address, size);
}

/* Locks alone are seen by others. */
SHOWN int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
        command == F_OFD_SETLKW)
        killer_step("fcntl");
    return NEXT(fcntl)(fd, command, argument);
}

SHOWN pid_t fork(void) {
    killer_step("fork");
    return NEXT(fork)();
}

/* ---- the kernel ---- */

static bool has_vfio(void *context, const char *member) {
    char driver[64];
    (void)context;
    return world_driver(member, driver) && strcmp(driver, "vfio-pci") == 0;
}

/* As Linux from 5.19: no host driver for a device while a VM has another of its group. */
static ssize_t probe(const char *address, size_t size) {
    char driver[64];
    if (!world_driver(address, driver)) {
        errno = ENODEV;
        return -1;
    }
    if (world_group(address, has_vfio, NULL)) {
        errno = EBUSY;
        return -1;
    }
    if (world_is_overridden(address))
        world_bind(address, "vfio-pci");
    else
        world_bind_native(address);
    return (ssize_t)size;
}

/* The last part of the path of an open file when it is one of the host's, else NULL. */
static const char *host_file(int fd, char path[WORLD_PATH]) {
    char link[64], host[WORLD_PATH];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, WORLD_PATH - 1);
    if (length <= 0 || !getenv("FAKE_LIBVIRT"))
        return NULL;
    path[length] = '\0';
    world_path(host, "host/sys/");
    return strncmp(path, host, strlen(host)) == 0 ? strrchr(path, '/') + 1 : NULL;
}

/* A line feed alone means no driver. */
static ssize_t set_override(char *path, const char *text, size_t size) {
    *strrchr(path, '/') = '\0';
    killer_pause(true);
    int lock = world_lock("lock");
    world_override(strrchr(path, '/') + 1, *text == '\n' ? "" : text);
    world_unlock(lock);
    killer_pause(false);
    return (ssize_t)size;
}

/* A program has the device open: the driver waits for that, and no signal but SIGKILL ends it. */
static void wait_for_driver(const char *address) {
    char path[WORLD_PATH];
    sigset_t all;
    if (access(world_path(path, "stuck/%s", address), F_OK) != 0)
        return;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (;;)
        pause();
}

/* A driver gives up only what it has. `path` is of its file unbind. */
static ssize_t unbind(char *path, const char *address, size_t size) {
    char driver[64];
    *strrchr(path, '/') = '\0';
    if (!world_driver(address, driver) || strcmp(driver, strrchr(path, '/') + 1) != 0) {
        errno = ENODEV;
        return -1;
    }
    world_bind(address, "");
    return (ssize_t)size;
}

/* `path` is of the file create of a type. */
static ssize_t create_mdev(char *path, const char *uuid, size_t size) {
    char link[WORLD_PATH], directory[WORLD_PATH], file[WORLD_PATH + 16];
    char target[WORLD_PATH + 16];
    const char *types = strstr(path, "/mdev_supported_types/");
    if (!types || snprintf(directory, sizeof directory, "%.*s/%s", (int)(types - path), path,
                           uuid) >= (int)sizeof directory)
        abort();
    *strrchr(path, '/') = '\0';
    if (NEXT(mkdir)(directory, 0755) != 0)
        return -1;
    snprintf(file, sizeof file, "%s/remove", directory);
    world_write(file, "");
    snprintf(file, sizeof file, "%s/mdev_type", directory);
    snprintf(target, sizeof target, "..%s", types);
    if (symlink(target, file) != 0)
        return -1;
    snprintf(target, sizeof target, "../../../../%s",
             directory + strlen(world_path(link, "host/")));
    if (symlink(target, world_path(link, "host/sys/bus/mdev/devices/%s", uuid)) != 0)
        return -1;
    return (ssize_t)size;
}

/* `path` is of its file remove. */
static ssize_t remove_mdev(char *path, size_t size) {
    char link[WORLD_PATH], file[WORLD_PATH + 16];
    NEXT(unlink)(path);
    *strrchr(path, '/') = '\0';
    NEXT(unlink)(world_path(link, "host/sys/bus/mdev/devices/%s", strrchr(path, '/') + 1));
    snprintf(file, sizeof file, "%s/mdev_type", path);
    NEXT(unlink)(file);
    return rmdir(path) == 0 ? (ssize_t)size : -1;
}

static ssize_t write_to_kernel(char *path, const char *file, const char *text, size_t size) {
    char address[64];
    ssize_t written;
    killer_pause(true);
    snprintf(address, sizeof address, "%.*s", (int)size, text);
    if (strcmp(file, "unbind") == 0)
        wait_for_driver(address);
    int lock = world_lock("lock");
    if (strcmp(file, "drivers_probe") == 0)
        written = probe(address, size);
    else if (strcmp(file, "create") == 0)
        written = create_mdev(path, address, size);
    else if (strcmp(file, "remove") == 0)
        written = remove_mdev(path, size);
    else
        written = unbind(path, address, size);
    world_unlock(lock);
    killer_pause(false);
    return written;
}

SHOWN ssize_t write(int fd, const void *bytes, size_t size) {
    char path[WORLD_PATH];
    if (paused)
        return NEXT(write)(fd, bytes, size);
    killer_step("write");
    const char *file = host_file(fd, path);
    if (file && strcmp(file, "driver_override") == 0)
        return set_override(path, bytes, size);
    if (file && (strcmp(file, "unbind") == 0 || strcmp(file, "drivers_probe") == 0 ||
                 strcmp(file, "create") == 0 || strcmp(file, "remove") == 0))
        return write_to_kernel(path, file, bytes, size);
    return NEXT(write)(fd, bytes, size);
}

/* ---- time ---- */

static const int64_t long_wait = 100000000; /* nanoseconds */
static int64_t skipped;

static int64_t speed(void) {
    long number = number_of("FAKE_SPEED");
    return number > 1 ? number : 1;
}

SHOWN void killer_waited(long nanoseconds) {
    skipped += nanoseconds * (speed() - 1);
}

static int64_t nanoseconds_of(const struct timespec *time) {
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static struct timespec timespec_of(int64_t ns) {
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

SHOWN int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = NEXT(clock_gettime)(clock, now);
    if (status == 0 && clock == CLOCK_MONOTONIC)
        *now = timespec_of(nanoseconds_of(now) + skipped);
    return status;
}

/* A signal ends a shortened wait as if it were over: nobody waits for an exact time. */
SHOWN int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted,
                          struct timespec *left) {
    int64_t ns = nanoseconds_of(wanted);
    killer_step("clock_nanosleep");
    if (paused || ns < long_wait || speed() == 1)
        return NEXT(clock_nanosleep)(clock, flags, wanted, left);
    struct timespec shorter = timespec_of(ns / speed());
    NEXT(clock_nanosleep)(clock, flags, &shorter, NULL);
    skipped += ns - ns / speed();
    return 0;
}

SHOWN int nanosleep(const struct timespec *wanted, struct timespec *left) {
    int status = clock_nanosleep(CLOCK_MONOTONIC, 0, wanted, left);
    errno = status ? status : errno;
    return status ? -1 : 0;
}

/* ---- syslog ---- */

__attribute__((format(printf, 1, 0))) static void tell(const char *format, va_list values) {
    char line[4096];
    long fd = number_of("FAKE_SYSLOG");
    int size = vsnprintf(line, sizeof line - 1, format, values);
    size_t length = size < (int)sizeof line - 1 ? (size_t)size : sizeof line - 2;
    line[length] = '\n';
    killer_step("syslog");
    if (fd > 0)
        (void)!NEXT(write)((int)fd, line, length + 1);
}

SHOWN void syslog(int priority, const char *format, ...) {
    va_list values;
    (void)priority;
    va_start(values, format);
    tell(format, values);
    va_end(values);
}

/* What syslog is called where the sources are fortified. */
SHOWN void fortified_syslog(int priority, int flag, const char *format, ...) __asm__("__syslog_chk")
    __attribute__((format(printf, 3, 4)));

void fortified_syslog(int priority, int flag, const char *format, ...) {
    va_list values;
    (void)priority, (void)flag;
    va_start(values, format);
    tell(format, values);
    va_end(values);
}
