/*
 * Preloaded into the engine and the hook, before killer.so: the FAKE_FAIL_AT-th call of a kind
 * fails as it does when the system is short of something, FAKE_FAIL being
 *
 *     memory  malloc, calloc, realloc, reallocarray, aligned_alloc: ENOMEM; not strdup, whose
 *             result json-c 0.16 does not look at when it copies a key
 *     open    open, openat, openat2, fopen, opendir, fdopendir: EMFILE
 *     read    read, pread, getdents64: EIO
 *     write   write, pwrite, writev: ENOSPC
 *     rename  rename, renameat: EIO
 *     fsync   fsync, fdatasync: EIO
 *
 * The calls of all processes are counted together, in the 8 bytes of the file FAKE_FAIL_COUNT. What
 * the stand-in of libvirt does is not counted.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))
#define SHOWN __attribute__((visibility("default")))

static long *counter; /* shared; NULL: not set up */
static const char *kind;
static long at;
static unsigned paused;

__attribute__((constructor)) static void set_up(void) {
    const char *path = getenv("FAKE_FAIL_COUNT"), *number = getenv("FAKE_FAIL_AT");
    kind = getenv("FAKE_FAIL");
    at = number ? strtol(number, NULL, 10) : 0;
    long file = path && kind ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *shared = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, (int)file, 0);
    close((int)file);
    if (shared != MAP_FAILED)
        counter = shared;
}

SHOWN void killer_pause(bool on);

/* killer.so's, which libvirt's stand-in calls around what is not the engine's doing. */
SHOWN void killer_pause(bool on) {
    void (*next)(bool) = (void (*)(bool))dlsym(RTLD_NEXT, "killer_pause");
    paused += on ? 1U : -1U;
    if (next)
        next(on);
}

static bool fails(const char *what, int error) {
    if (!counter || paused || strcmp(kind, what) != 0 ||
        __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED) != at)
        return false;
    errno = error;
    return true;
}

/* ---- memory: a sanitizer has its own, which nobody may replace ---- */

#ifndef SANITIZED
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): glibc's own names */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

SHOWN void *malloc(size_t size) {
    return fails("memory", ENOMEM) ? NULL : __libc_malloc(size);
}

SHOWN void *calloc(size_t count, size_t size) {
    return fails("memory", ENOMEM) ? NULL : __libc_calloc(count, size);
}

SHOWN void *realloc(void *block, size_t size) {
    return fails("memory", ENOMEM) ? NULL : __libc_realloc(block, size);
}

SHOWN void *reallocarray(void *block, size_t count, size_t size) {
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole) || fails("memory", ENOMEM)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(block, whole);
}

SHOWN char *strdup(const char *text) {
    size_t size = strlen(text) + 1;
    void *copy = __libc_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

SHOWN void *aligned_alloc(size_t alignment, size_t size) {
    return fails("memory", ENOMEM) ? NULL : __libc_memalign(alignment, size);
}
#endif

/* ---- files ---- */

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

SHOWN int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return fails("open", EMFILE) ? -1 : NEXT(open)(path, flags, mode);
}

SHOWN int openat(int directory, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return fails("open", EMFILE) ? -1 : NEXT(openat)(directory, path, flags, mode);
}

SHOWN long syscall(long number, ...) {
    long words[6];
    va_list rest;
    va_start(rest, number);
    for (size_t i = 0; i < 6; i++)
        words[i] = va_arg(rest, long);
    va_end(rest);
    if ((number == __NR_openat2 && fails("open", EMFILE)) ||
        (number == SYS_getdents64 && fails("read", EIO)))
        return -1;
    return NEXT(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

SHOWN FILE *fopen(const char *path, const char *mode) {
    return fails("open", EMFILE) ? NULL : NEXT(fopen)(path, mode);
}

SHOWN DIR *opendir(const char *path) {
    return fails("open", EMFILE) ? NULL : NEXT(opendir)(path);
}

SHOWN DIR *fdopendir(int fd) {
    return fails("open", ENOMEM) ? NULL : NEXT(fdopendir)(fd);
}

SHOWN ssize_t read(int fd, void *bytes, size_t size) {
    return fails("read", EIO) ? -1 : NEXT(read)(fd, bytes, size);
}

SHOWN ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
    return fails("read", EIO) ? -1 : NEXT(pread)(fd, bytes, size, offset);
}

SHOWN ssize_t write(int fd, const void *bytes, size_t size) {
    return fails("write", ENOSPC) ? -1 : NEXT(write)(fd, bytes, size);
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return fails("write", ENOSPC) ? -1 : NEXT(pwrite)(fd, bytes, size, offset);
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fails("write", ENOSPC) ? -1 : NEXT(writev)(fd, parts, count);
}

SHOWN int rename(const char *old, const char *new) {
    return fails("rename", EIO) ? -1 : NEXT(rename)(old, new);
}

SHOWN int renameat(int old_directory, const char *old, int new_directory, const char *new) {
    return fails("rename", EIO) ? -1 : NEXT(renameat)(old_directory, old, new_directory, new);
}

SHOWN int fsync(int fd) {
    return fails("fsync", EIO) ? -1 : NEXT(fsync)(fd);
}

SHOWN int fdatasync(int fd) {
    return fails("fsync", EIO) ? -1 : NEXT(fdatasync)(fd);
}
