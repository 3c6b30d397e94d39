#include "engine/rules/rule_file.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Why a file is not replaced, in errno: no system call of ours sets these two. */
enum { CHANGED = ESTALE, LINKED = EMLINK };

char *rule_file_directory_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return !slash ? memory_strdup(".") : memory_strndup(path, slash == path ? 1 : slash - path);
}

static const char *rule_file_hint(int error) {
    switch (error) {
    case EROFS:
        return "its file system is read-only: 'findmnt -T DIRECTORY' shows where it is mounted, "
               "and 'mount -o remount,rw THERE' makes it writable";
    case EACCES:
        return "this needs root, or a directory of your own with --rules DIR";
    case EPERM:
        return "FAT and the like keep no owner and mode, without which no rule is read: keep the "
               "rules on ext4, xfs or btrfs; elsewhere 'lsattr -d' shows what is immutable, and "
               "'chattr -i' ends that";
    case ENOTDIR:
        return "name a directory";
    case ENOSPC:
    case EDQUOT:
        return "free some space ('df -h', 'df -i')";
    case ENAMETOOLONG:
        return "its name is too long: rename it";
    case CHANGED:
        return "do it again";
    case LINKED:
        return "remove the others, or make them symbolic links";
    default:
        return "see 'virt-rules doctor'";
    }
}

static const char *rule_file_reason(int error) {
    return error == CHANGED  ? "it changed in the meantime"
           : error == LINKED ? "it has hard links, which replacing it would separate"
                             : strerror(error);
}

int rule_file_fail(struct failure *failure, const char *what, const char *path, int error) {
    char *shown = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&shown, &size);
    text_print_string(out, path);
    memory_stream_close(out, &shown);
    failure_set(failure, "%s: %s: %s", shown, what, rule_file_reason(error));
    free(shown);
    return failure_hint(failure, "%s", rule_file_hint(error));
}

/* --- signals */

static void rule_file_hold_signals(sigset_t *before) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGQUIT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, before);
}

static void rule_file_release_signals(const sigset_t *before) {
    int error = errno;
    sigprocmask(SIG_SETMASK, before, NULL);
    errno = error;
}

/* --- names */

/* A rename is whole only once its directory is on the disk. */
static void rule_file_sync_directory(const char *path) {
    char *directory = rule_file_directory_of(path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(directory);
}

static bool rule_file_is_same(const char *one, const char *other) {
    struct stat first, second;
    return lstat(one, &first) == 0 && lstat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* Returns 0 or an errno: EEXIST when another file has the new name. */
static int rule_file_move(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    /* Linux before 3.15; NFS and others until today. */
    if ((errno == EINVAL || errno == ENOSYS) && link(from, to) == 0)
        return unlink(from) < 0 ? errno : 0;
    /* Killed between the two. */
    if (errno == EEXIST && rule_file_is_same(from, to))
        return unlink(from) < 0 ? errno : 0;
    return errno;
}

int rule_file_rename(const char *from, const char *to, struct failure *failure) {
    int error = rule_file_move(from, to);
    if (error == EEXIST)
        return 1;
    if (error)
        return rule_file_fail(failure, "cannot be renamed", from, error);
    rule_file_sync_directory(to);
    return 0;
}

/* --- text */

static bool rule_file_write_all(int file, const char *text, size_t size) {
    while (size) {
        ssize_t put = write(file, text, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        text += put;
        size -= (size_t)put;
    }
    return true;
}

/* On FAT they cannot be changed, and need not be when they are so already. */
static bool rule_file_take_after(int file, const struct stat *old) {
    struct stat now;
    bool same_owner =
        fstat(file, &now) == 0 && now.st_uid == old->st_uid && now.st_gid == old->st_gid;
    /* The owner first: changing it may take mode bits away. */
    if (!same_owner && fchown(file, old->st_uid, old->st_gid) < 0)
        return false;
    return fchmod(file, old->st_mode & 07777) == 0 ||
           (same_owner && (now.st_mode & 07777) == (old->st_mode & 07777));
}

/* Somebody may have written to it since it was read: that must not be lost. */
static bool rule_file_is_unchanged(const char *path, const struct source *source) {
    struct source now;
    if (source_read(&now, path, TRUST_ANY, NULL, NULL) < 0)
        return false;
    bool same = now.size == source->size && !memcmp(now.text, source->text, now.size);
    source_finish(&now);
    errno = CHANGED;
    return same;
}

/* A temporary file beside the other, which `fill` has filled; -1 with errno. */
static char *rule_file_temporary(const char *path) {
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash + 1 - path) : 0;
    return memory_printf("%.*s.%.200s.XXXXXX", length, path, path + length);
}

/* Renamed over the old file when it is whole. Returns 0 or an errno. */
static int rule_file_put(const char *path, const struct source *source, const char *text,
                         size_t size) {
    struct stat old;
    if (stat(path, &old) < 0)
        return errno;
    if (old.st_nlink > 1)
        return LINKED;
    char *temporary = rule_file_temporary(path);
    int file = mkostemp(temporary, O_CLOEXEC);
    bool good = file >= 0 && rule_file_take_after(file, &old) &&
                rule_file_write_all(file, text, size) && fsync(file) == 0 &&
                rule_file_is_unchanged(path, source) && rename(temporary, path) == 0;
    int error = good ? 0 : errno;
    if (file >= 0)
        close(file);
    if (file >= 0 && !good)
        unlink(temporary);
    free(temporary);
    return error;
}

int rule_file_replace(const struct source *source, const char *text, size_t size,
                      struct failure *failure) {
    sigset_t before;
    char *target = realpath(source->path, NULL);
    rule_file_hold_signals(&before);
    int error = target ? rule_file_put(target, source, text, size) : errno;
    rule_file_release_signals(&before);
    if (target && !error)
        rule_file_sync_directory(target);
    free(target);
    return error ? rule_file_fail(failure, "cannot be replaced", source->path, error) : 0;
}

/* Its owner is this user. On FAT the mode is the mount's. */
static bool rule_file_is_trusted(int file) {
    struct stat status;
    fchmod(file, 0644);
    if (fstat(file, &status) < 0)
        return false;
    errno = EPERM;
    return source_is_trusted(status.st_uid, status.st_mode);
}

static int rule_file_add(const char *path, const char *text, size_t size) {
    char *temporary = rule_file_temporary(path);
    int file = mkostemp(temporary, O_CLOEXEC);
    bool good = file >= 0 && rule_file_is_trusted(file) && rule_file_write_all(file, text, size) &&
                fsync(file) == 0;
    int error = good ? rule_file_move(temporary, path) : errno;
    if (file >= 0)
        close(file);
    if (file >= 0 && error)
        unlink(temporary);
    free(temporary);
    return error;
}

int rule_file_create(const char *path, const char *text, size_t size, struct failure *failure) {
    sigset_t before;
    rule_file_hold_signals(&before);
    int error = rule_file_add(path, text, size);
    rule_file_release_signals(&before);
    if (error == EEXIST)
        return 1;
    if (error)
        return rule_file_fail(failure, "cannot be written", path, error);
    rule_file_sync_directory(path);
    return 0;
}

/* --- directories */

/* Returns 0 or an errno. The mode must not depend on the umask. */
static int rule_file_make(const char *path) {
    if (mkdir(path, 0755) == 0)
        return chmod(path, 0755) < 0 ? errno : 0;
    return errno == EEXIST ? 0 : errno;
}

int rule_file_make_directory(const char *path, struct failure *failure) {
    char *part = memory_strdup(path);
    int error = 0;
    for (char *slash = part + 1; !error && *part && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        error = rule_file_make(part);
        *slash = '/';
    }
    if (!error)
        error = rule_file_make(part);
    free(part);
    return error ? rule_file_fail(failure, "cannot be made", path, error) : 0;
}

static int rule_file_judge_directory(const char *path) {
    struct stat status;
    if (stat(path, &status) < 0)
        return errno;
    if (!S_ISDIR(status.st_mode))
        return ENOTDIR;
    return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0 ? errno : 0;
}

int rule_file_may_write(const char *directory) {
    char *path = memory_strdup(directory);
    int error;
    while ((error = rule_file_judge_directory(path)) == ENOENT && strcmp(path, ".") != 0 &&
           strcmp(path, "/") != 0) {
        char *above = rule_file_directory_of(path);
        free(path);
        path = above;
    }
    free(path);
    return error;
}
