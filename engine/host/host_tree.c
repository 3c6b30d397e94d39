#include "engine/host/host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lexer/memory.h"

enum { LINKS_MAX = 40, PAGE = 4096, DECIMAL = 10, HEXADECIMAL = 16 };

bool tree_open(struct tree *tree, const char *root) {
    tree->root = root;
    tree->fd = open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return tree->fd >= 0;
}

void tree_close(struct tree *tree) {
    if (tree->fd >= 0)
        close(tree->fd);
    tree->fd = -1;
}

/* A path on its way to being resolved: what is done, and what is still to be walked. */
struct walk {
    char *done;
    char *rest;
    unsigned links;
};

static void go_up(char *path) {
    char *slash = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
}

static void append(char **path, const char *part, size_t length) {
    char *longer = memory_printf("%s%s%.*s", *path, **path ? "/" : "", (int)length, part);
    free(*path);
    *path = longer;
}

/* Puts the target in front of what is still to be walked. */
static void follow(struct walk *walk, const char *target, const char *rest) {
    char *longer = memory_printf("%s/%s", target, rest);
    free(walk->rest);
    walk->rest = longer;
    if (*target == '/')
        *walk->done = '\0';
    else
        go_up(walk->done);
}

static bool step(const struct tree *tree, struct walk *walk) {
    char target[PATH_MAX];
    char *part = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(part, "/");

    if (length == 2 && memcmp(part, "..", 2) == 0)
        go_up(walk->done);
    else if (length > 0 && !(length == 1 && *part == '.')) {
        append(&walk->done, part, length);
        ssize_t size = readlinkat(tree->fd, walk->done, target, sizeof target - 1);
        if (size >= 0) {
            target[size] = '\0';
            follow(walk, target, part + length);
            return ++walk->links <= LINKS_MAX;
        }
    }
    memmove(walk->rest, part + length, strlen(part + length) + 1);
    return true;
}

char *tree_resolve(const struct tree *tree, const char *path) {
    struct walk walk = {memory_strdup(""), memory_strdup(path), 0};
    bool ok = true;

    while (ok && *walk.rest)
        ok = step(tree, &walk);
    free(walk.rest);
    if (ok)
        return walk.done;
    free(walk.done);
    return NULL;
}

static int open_below(const struct tree *tree, const char *path, int flags) {
    flags |= O_CLOEXEC | O_NONBLOCK;
    if (!*tree->root) /* no link leads out of "/", and the kernel walks faster */
        return openat(tree->fd, path, flags);
    char *resolved = tree_resolve(tree, path);
    if (!resolved)
        return -1;
    int fd = openat(tree->fd, *resolved ? resolved : ".", flags | O_NOFOLLOW);
    free(resolved);
    return fd;
}

int tree_directory(const struct tree *tree, const char *path) {
    return open_below(tree, path, O_RDONLY | O_DIRECTORY);
}

/* The size of a file in sysfs or procfs is known only after reading it. */
static char *read_and_close(int fd) {
    char *text = NULL;
    size_t length = 0;
    ssize_t size = fd < 0 ? -1 : 1;

    for (size_t room = PAGE; size > 0; room = length > PAGE ? length : PAGE) {
        text = memory_resize(text, length + room + 1, 1);
        size = read(fd, text + length, room);
        if (size < 0 && errno == EINTR)
            size = 1;
        else if (size > 0)
            length += (size_t)size;
    }
    if (fd >= 0)
        close(fd);
    if (size < 0) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

char *tree_read(const struct tree *tree, const char *path) {
    return read_and_close(open_below(tree, path, O_RDONLY));
}

static char *without_blanks_at_end(char *text) {
    if (text)
        for (size_t length = strlen(text); length && strchr(" \t\r\n", text[length - 1]);)
            text[--length] = '\0';
    return text;
}

char *tree_attribute(const struct tree *tree, const char *path, const char *name) {
    char *file = memory_printf("%s/%s", path, name);
    char *text = without_blanks_at_end(tree_read(tree, file));
    free(file);
    return text;
}

char *dir_attribute(int directory, const char *name) {
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return without_blanks_at_end(read_and_close(fd));
}

char *dir_link_name(int directory, const char *name) {
    char target[PATH_MAX];
    ssize_t size = readlinkat(directory, name, target, sizeof target - 1);

    if (size <= 0)
        return NULL;
    target[size] = '\0';
    const char *slash = strrchr(target, '/');
    return memory_strdup(slash ? slash + 1 : target);
}

char *tree_link_name(const struct tree *tree, const char *path, const char *name) {
    int directory = tree_directory(tree, path);
    if (directory < 0)
        return NULL;
    char *text = dir_link_name(directory, name);
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

char *tree_load(const struct tree *tree, const char *path, size_t limit, size_t *size) {
    struct stat status;
    *size = 0;
    /* Opening a FIFO or a tape drive does something; so look first. */
    int fd = tree_stat(tree, path, &status) && S_ISREG(status.st_mode)
                 ? open_below(tree, path, O_RDONLY)
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

bool tree_has(const struct tree *tree, const char *path) {
    int fd = open_below(tree, path, O_PATH);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int by_number(const void *a, const void *b) {
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

struct names tree_list(const struct tree *tree, const char *path) {
    struct names names = {0};
    int fd = tree_directory(tree, path);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (!directory) {
        if (fd >= 0)
            close(fd);
        return names;
    }
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        names.items = memory_grow(names.items, names.count, sizeof *names.items);
        names.items[names.count++] = memory_strdup(entry->d_name);
    }
    closedir(directory);
    if (names.count > 1)
        qsort(names.items, names.count, sizeof *names.items, by_number);
    return names;
}

void names_finish(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){0};
}

static bool parse_number(const char *text, int base, uint32_t max, uint32_t *value) {
    char *end = NULL;

    /* strtoul(3) takes blanks and signs too. */
    if (!text || !strchr("0123456789abcdefABCDEF", *text) || !*text)
        return false;
    errno = 0;
    unsigned long number = strtoul(text, &end, base);
    if (errno || *end || number > max)
        return false;
    *value = (uint32_t)number;
    return true;
}

bool parse_hex(const char *text, uint32_t max, uint32_t *value) {
    return parse_number(text, HEXADECIMAL, max, value);
}

bool parse_decimal(const char *text, uint32_t max, uint32_t *value) {
    return parse_number(text, DECIMAL, max, value);
}

/* As strsep() with "\n", in half the time, and far less where the processor is emulated. */
char *next_line(char **text) {
    char *line = *text, *end = line ? strchr(line, '\n') : NULL;
    if (end)
        *end++ = '\0';
    *text = end;
    return line;
}

char *next_field(char **text) {
    char *field = NULL;

    do
        field = strsep(text, " \t");
    while (field && !*field);
    return field;
}
