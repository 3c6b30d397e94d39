/* What glibc has only since a release later than 2.17, for the archive of `make dist` alone: with
 * it, one archive runs on NAS systems and distributions of the last ten years.
 *
 * The engine, libexpat.a and libjson-c.a call these by libc's names. The names are hidden, so that
 * libvirt's libraries, which the engine loads, still get the host's own. The hook and the plug are
 * static; of this file they need old_libc_find_object only. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define AS(name) __asm__(name) __attribute__((visibility("hidden"), used))

int old_libc_find_object(void *address, void *result) AS("_dl_find_object");
ssize_t old_libc_getrandom(void *buffer, size_t size, unsigned flags) AS("getrandom");
void *old_libc_reallocarray(void *block, size_t count, size_t size) AS("reallocarray");
int old_libc_renameat2(int old_directory, const char *old, int new_directory, const char *new,
                       unsigned flags) AS("renameat2");
int old_libc_statx(int directory, const char *path, int flags, unsigned mask, struct statx *status)
    AS("statx");

/* glibc 2.35. The libgcc of a newer compiler looks here for the tables that an exception unwinds
 * the stack by. -1: there are none. Nothing here throws one, nor cancels a thread. */
int old_libc_find_object(void *address, void *result) {
    (void)address;
    (void)result;
    return -1;
}

/* glibc 2.25, Linux 3.17. Without it expat and json-c read /dev/urandom. */
ssize_t old_libc_getrandom(void *buffer, size_t size, unsigned flags) {
    return syscall(SYS_getrandom, buffer, size, flags);
}

/* glibc 2.26 */
void *old_libc_reallocarray(void *block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

/* glibc 2.28, Linux 3.15 */
int old_libc_renameat2(int old_directory, const char *old, int new_directory, const char *new,
                       unsigned flags) {
    return (int)syscall(SYS_renameat2, old_directory, old, new_directory, new, flags);
}

/* glibc 2.28, Linux 4.11. Before that Linux, glibc does the same; of the result only what the
 * engine asks for is set. */
int old_libc_statx(int directory, const char *path, int flags, unsigned mask,
                   struct statx *status) {
    struct stat old;
    long result = syscall(SYS_statx, directory, path, flags, mask, status);
    if (result == 0 || errno != ENOSYS)
        return (int)result;
    if (fstatat(directory, path, &old, flags & ~AT_STATX_SYNC_TYPE) != 0)
        return -1;
    *status = (struct statx){.stx_mask = STATX_TYPE,
                             .stx_mode = (uint16_t)old.st_mode,
                             .stx_rdev_major = major(old.st_rdev),
                             .stx_rdev_minor = minor(old.st_rdev)};
    return 0;
}
