#include "engine/host/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

#include "lexer/memory.h"
#include "lexer/text.h"

enum {
    LINKS_MAX = 40,
    PAGE = 4096,
    ATTRIBUTE_LIMIT = 65536, /* the largest page that a kernel has */
    FILE_LIMIT = 64 * 1024 * 1024
};

/* What the kernel calls an open file; NULL when it does not tell, as without /proc. */
static char *tree_place_of(int fd) {
    static const char gone[] = " (deleted)";
    char link[64], place[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, place, sizeof place);
    size_t length = size < 0 ? 0 : (size_t)size, tail = strlen(gone);
    bool is_gone = length > tail && memcmp(place + length - tail, gone, tail) == 0;
    return length == 0 || length == sizeof place || *place != '/' || is_gone
               ? NULL
               : memory_strndup(place, length);
}

/* The kernel removes the files of a device or a process that goes while they are open. */
bool tree_is_absence(int error) {
    return error == ENOENT || error == ENOTDIR || error == ENODEV || error == ENXIO ||
           error == ESRCH;
}

void tree_fault(const struct tree *tree, const char *path, int error) {
    struct faults *faults = tree->faults;
    if (!faults || tree_is_absence(error))
        return;
    faults->list = memory_grow(faults->list, faults->count, sizeof *faults->list);
    faults->list[faults->count++] = (struct fault){memory_strdup(path), error};
}

/* The same of PATH/NAME, as errno says. */
static void tree_fault_in(const struct tree *tree, const char *path, const char *name) {
    int error = errno;
    if (tree_is_absence(error))
        return;
    char *file = memory_printf("%s/%s", path, name);
    tree_fault(tree, file, error);
    free(file);
    errno = error;
}

const char *tree_fault_text(const struct tree *tree, int error) {
    return *tree->root && error == ELOOP ? "not when the host was recorded" : strerror(error);
}

void tree_finish_faults(struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        free(faults->list[i].path);
    free(faults->list);
    *faults = (struct faults){0};
}

bool tree_open(struct tree *tree, const char *root) {
    tree->faults = NULL;
    tree->root = root;
    tree->fd = open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    tree->place = tree->fd < 0 ? NULL : tree_place_of(tree->fd);
    if (tree->place && strcmp(tree->place, "/") == 0)
        *tree->place = '\0';
    return tree->fd >= 0;
}

void tree_close(struct tree *tree) {
    if (tree->fd >= 0)
        close(tree->fd);
    tree->fd = -1;
    free(tree->place);
    tree->place = NULL;
}

enum tree_links { LINKS_FOLLOWED, LINKS_REFUSED };

/* Linux from 5.6 walks below a root by itself. -1: it cannot, or there is no such file. */
static int tree_open_in_root(const struct tree *tree, const char *path, int flags,
                             enum tree_links links) {
#if defined __NR_openat2 && defined RESOLVE_IN_ROOT
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                                      (links == LINKS_REFUSED ? (unsigned)RESOLVE_NO_SYMLINKS : 0)};
    return (int)syscall(__NR_openat2, tree->fd, *path ? path : ".", &how, sizeof how);
#else
    (void)tree, (void)path, (void)flags, (void)links;
    errno = ENOSYS;
    return -1;
#endif
}

/* A path on its way to being resolved: what is done, and what is still to be walked. */
struct tree_walk {
    char *done;
    char *rest;
    unsigned links;
    struct tree_visitor *visitor; /* NULL: nobody looks at the parts */
};

static void tree_go_up(char *path) {
    char *slash = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
}

/* Walks one part of the rest. False with errno: the part cannot be looked at, ELOOP, or 0: the
 * visitor has seen enough. */
static bool tree_step(const struct tree *tree, struct tree_walk *walk) {
    char target[PATH_MAX], *part = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(part, "/");
    struct stat status;

    if (length == 2 && memcmp(part, "..", 2) == 0) {
        tree_go_up(walk->done);
    } else if (length > 0 && !(length == 1 && *part == '.')) {
        char *longer =
            memory_printf("%s%s%.*s", walk->done, *walk->done ? "/" : "", (int)length, part);
        free(walk->done);
        walk->done = longer;
        if (walk->visitor) {
            if (fstatat(tree->fd, walk->done, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return false;
            bool go_on = walk->visitor->visit(walk->visitor, walk->done, &status);
            errno = 0;
            if (!go_on)
                return false;
        }
        ssize_t size = readlinkat(tree->fd, walk->done, target, sizeof target - 1);
        if (size >= 0) { /* a link: its target is what is to be walked next */
            char *rest = memory_printf("%.*s/%s", (int)size, target, part + length);
            free(walk->rest);
            walk->rest = rest;
            if (size > 0 && *target == '/')
                *walk->done = '\0';
            else
                tree_go_up(walk->done);
            errno = ELOOP;
            return ++walk->links <= LINKS_MAX;
        }
        if (errno != EINVAL) /* not a symbolic link */
            tree_fault(tree, walk->done, errno);
    }
    memmove(walk->rest, part + length, strlen(part + length) + 1);
    return true;
}

/* Where an open file is below the root. NULL: the kernel cannot tell. */
static char *tree_below_root(const struct tree *tree, int fd) {
    char *place = tree->place && fd >= 0 ? tree_place_of(fd) : NULL, *below = NULL;
    size_t length = place ? strlen(tree->place) : 0;

    if (place && strncmp(place, tree->place, length) == 0 && place[length] == '/')
        below = memory_strdup(place + length + 1);
    free(place);
    return below;
}

/* Asks the kernel, in three calls. NULL: it cannot tell, or some part of the path is not there. */
static char *tree_resolve_at_once(const struct tree *tree, const char *path) {
    int fd = tree->place ? tree_open_in_root(tree, path, O_PATH, LINKS_FOLLOWED) : -1;
    char *below = tree_below_root(tree, fd);
    if (fd >= 0)
        close(fd);
    return below;
}

char *tree_visit(const struct tree *tree, const char *path, struct tree_visitor *visitor) {
    struct tree_walk walk = {memory_strdup(""), memory_strdup(path), 0, visitor};
    bool ok = true;

    while (ok && *walk.rest)
        ok = tree_step(tree, &walk);
    int error = errno;
    free(walk.rest);
    if (ok)
        return walk.done;
    free(walk.done);
    errno = error;
    return NULL;
}

char *tree_resolve(const struct tree *tree, const char *path) {
    char *resolved = tree_resolve_at_once(tree, path);
    if (!resolved)
        resolved = tree_visit(tree, path, NULL);
    if (!resolved)
        tree_fault(tree, path, ELOOP);
    return resolved;
}

static int tree_open_below(const struct tree *tree, const char *path, int flags) {
    flags |= O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK);
    int fd = *tree->root ? tree_open_in_root(tree, path, flags, LINKS_FOLLOWED)
                         : openat(tree->fd, path, flags); /* no link leads out of "/" */
    int error = errno;
    /* No such call, or a filter forbids it, or the tree was changed on the way. */
    if (fd < 0 && *tree->root && (error == ENOSYS || error == EPERM || error == EAGAIN)) {
        char *resolved = tree_visit(tree, path, NULL);
        fd = resolved ? openat(tree->fd, *resolved ? resolved : ".", flags | O_NOFOLLOW) : -1;
        error = resolved ? errno : ELOOP;
        free(resolved);
    }
    if (fd < 0)
        tree_fault(tree, path, error);
    errno = error;
    return fd;
}

int tree_directory(const struct tree *tree, const char *path) {
    return tree_open_below(tree, path, O_RDONLY | O_DIRECTORY);
}

struct tree_directory tree_enter(const struct tree *tree, const char *path) {
    int fd = tree_directory(tree, path), error = errno;
    struct tree_directory directory = {fd, tree_below_root(tree, fd)};
    errno = error;
    return directory;
}

void tree_leave(const struct tree_directory *directory) {
    if (directory->fd >= 0)
        close(directory->fd);
    free(directory->place);
}

/* Where the text of a link in the directory `place` leads if no part of it is a link; the caller
 * frees it. NULL: ".." is not at its beginning alone. */
static char *tree_follow(const char *place, const char *target) {
    char *path = memory_strdup(place);

    for (; text_starts_with(target, "../"); target += strlen("../"))
        tree_go_up(path);
    bool is_plain = *target && !strchr("./", *target) && !strstr(target, "/.") &&
                    !strstr(target, "//") && target[strlen(target) - 1] != '/';
    char *leads_to = is_plain ? memory_printf("%s%s%s", path, *path ? "/" : "", target) : NULL;
    free(path);
    return leads_to;
}

struct tree_directory tree_enter_entry(const struct tree *tree, const struct tree_directory *parent,
                                       const char *name, const char *path) {
    char target[PATH_MAX];
    ssize_t size = parent->place ? readlinkat(parent->fd, name, target, sizeof target - 1) : -1;
    bool is_link = size >= 0;

    target[is_link ? size : 0] = '\0';
    char *place = is_link || (parent->place && errno == EINVAL)
                      ? tree_follow(parent->place, is_link ? target : name)
                      : NULL;
    /* That no part of it is a link shows that it is the place. */
    int fd = place ? tree_open_in_root(tree, place, O_RDONLY | O_DIRECTORY, LINKS_REFUSED) : -1;
    if (fd >= 0)
        return (struct tree_directory){fd, place};
    free(place);
    return tree_enter(tree, path);
}

static void tree_close_keeping_errno(int fd) {
    int error = errno;
    close(fd);
    errno = error;
}

/* The size of a file in sysfs or procfs is known only after reading it. NULL with EFBIG for what is
 * longer than `limit`, as a device that has no end. */
static char *tree_read_and_close(int fd, size_t limit) {
    char *text = NULL;
    size_t length = 0;
    ssize_t size = fd < 0 ? -1 : 1;

    for (size_t room = PAGE; size > 0 && length <= limit; room = length > PAGE ? length : PAGE) {
        text = memory_resize(text, length + room + 1, 1);
        size = read(fd, text + length, room);
        if (size < 0 && errno == EINTR)
            size = 1;
        else if (size > 0)
            length += (size_t)size;
    }
    if (size >= 0 && length > limit)
        errno = EFBIG;
    if (fd >= 0)
        tree_close_keeping_errno(fd);
    if (size < 0 || length > limit) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

char *tree_read(const struct tree *tree, const char *path) {
    int fd = tree_open_below(tree, path, O_RDONLY);
    char *text = tree_read_and_close(fd, FILE_LIMIT);
    if (!text && fd >= 0)
        tree_fault(tree, path, errno);
    return text;
}

static char *tree_without_blanks_at_end(char *text) {
    if (text)
        for (size_t length = strlen(text); length && strchr(" \t\r\n", text[length - 1]);)
            text[--length] = '\0';
    return text;
}

/* Of a file that holds no more than a page, as all attributes in sysfs: there a read that does not
 * fill it is the last. */
static char *tree_read_attribute(int fd) {
    char text[PAGE + 1];
    ssize_t size = fd < 0 ? -1 : read(fd, text, PAGE);

    if (size == PAGE || (size < 0 && fd >= 0 && errno == EINTR)) {
        lseek(fd, 0, SEEK_SET);
        return tree_without_blanks_at_end(tree_read_and_close(fd, ATTRIBUTE_LIMIT));
    }
    if (fd >= 0)
        tree_close_keeping_errno(fd);
    if (size < 0)
        return NULL;
    text[size] = '\0';
    return memory_strdup(tree_without_blanks_at_end(text));
}

char *tree_attribute(const struct tree *tree, const char *path, const char *name) {
    char *file = memory_printf("%s/%s", path, name);
    int fd = tree_open_below(tree, file, O_RDONLY);
    char *text = tree_read_attribute(fd);
    if (!text && fd >= 0)
        tree_fault(tree, file, errno);
    free(file);
    return text;
}

char *tree_attribute_at(const struct tree *tree, int directory, const char *path,
                        const char *name) {
    if (directory < 0)
        return tree_attribute(tree, path, name);
    char *text = tree_directory_attribute(directory, name);
    if (!text)
        tree_fault_in(tree, path, name);
    return text;
}

char *tree_directory_attribute(int directory, const char *name) {
    return tree_read_attribute(
        openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
}

char *tree_directory_link_name(int directory, const char *name) {
    char target[PATH_MAX];
    ssize_t size = readlinkat(directory, name, target, sizeof target - 1);

    if (size < 0 && errno == EINVAL) /* not a symbolic link */
        errno = ENOENT;
    if (size <= 0)
        return NULL;
    target[size] = '\0';
    return memory_strdup(text_base_name(target));
}

char *tree_link_name(const struct tree *tree, const char *path, const char *name) {
    int directory = tree_directory(tree, path);
    if (directory < 0)
        return NULL;
    char *text = tree_directory_link_name(directory, name);
    if (!text)
        tree_fault_in(tree, path, name);
    close(directory);
    return text;
}

bool tree_stat(const struct tree *tree, const char *path, struct stat *status) {
    char *resolved = tree_resolve(tree, path);
    bool is_there =
        resolved && fstatat(tree->fd, *resolved ? resolved : ".", status, AT_SYMLINK_NOFOLLOW) == 0;
    free(resolved);
    return is_there;
}

bool tree_knows(const struct tree *tree, const char *path) {
    char *directory = memory_printf("%.*s", (int)(strrchr(path, '/') - path), path);
    bool known = !*tree->root || (*directory && tree_has(tree, directory));
    free(directory);
    return known;
}

char *tree_load(const struct tree *tree, const char *path, size_t limit, size_t *size) {
    struct stat status;
    *size = 0;
    /* Opening a FIFO or a tape drive does something; so look first. */
    int fd = tree_stat(tree, path, &status) && S_ISREG(status.st_mode)
                 ? tree_open_below(tree, path, O_RDONLY)
                 : -1;
    if (fd < 0)
        return NULL;
    if (status.st_size > 0 && (uintmax_t)status.st_size < limit) /* in procfs it is 0 */
        limit = (size_t)status.st_size;
    char *text = memory_resize(NULL, limit + 1, 1);
    for (ssize_t got = 1; got > 0 && *size<limit; *size += got> 0 ? (size_t)got : 0)
        got = read(fd, text + *size, limit - *size);
    close(fd);
    text[*size] = '\0';
    return text;
}

bool tree_directory_lacks(int directory, const char *name) {
    struct stat status;
    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0 && tree_is_absence(errno);
}

bool tree_has(const struct tree *tree, const char *path) {
    int fd = tree_open_below(tree, path, O_PATH);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int tree_by_number(const void *a, const void *b) {
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* As getdents64(2) writes it. The C library has no function for it on an old system, and its
 * readdir() takes two more calls for each directory. */
struct tree_entry {
    uint64_t inode;
    int64_t next;
    unsigned short length;
    unsigned char type;
    char name[];
};

int tree_each_entry(int directory, tree_entry_visitor *visit, void *context) {
    _Alignas(struct tree_entry) char buffer[32768];
    long size;

    while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < size;) {
            const struct tree_entry *entry = (const void *)(buffer + at);
            if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
                visit(context, entry->name, entry->type);
            at += entry->length;
        }
    return size < 0 ? -1 : 0;
}

static void tree_add_name(void *context, const char *name, unsigned char type) {
    struct names *names = context;
    (void)type;
    names->items = memory_grow(names->items, names->count, sizeof *names->items);
    names->items[names->count++] = memory_strdup(name);
}

struct names tree_list_at(const struct tree *tree, int directory, const char *path) {
    struct names names = {0};

    if (directory >= 0 && tree_each_entry(directory, tree_add_name, &names) < 0)
        tree_fault(tree, path, errno);
    if (names.count > 1)
        qsort(names.items, names.count, sizeof *names.items, tree_by_number);
    return names;
}

struct names tree_list(const struct tree *tree, const char *path) {
    int directory = tree_directory(tree, path);
    struct names names = tree_list_at(tree, directory, path);
    if (directory >= 0)
        close(directory);
    return names;
}

void tree_finish_names(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){0};
}
