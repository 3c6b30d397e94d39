/*
 * Reading sysfs and procfs below one root. Links are followed inside the root, as the kernel would
 * after chroot(2), so a sample tree may hold absolute links and none leads out of it. What is not
 * there reads as NULL or as an empty list: on some kernel each of these files is missing. So does
 * what cannot be read; that is another thing, and is noted in `faults`.
 */
#ifndef ENGINE_TREE_H
#define ENGINE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "engine/host/host.h"

struct tree {
    const char *root; /* borrowed; "" for the running system */
    int fd;
    char *place; /* where the kernel says that it is, without a slash at its end; NULL: unknown */
    struct faults
        *faults; /* of the caller, who ends them with tree_finish_faults(); NULL: not noted */
};

struct names {
    char **items; /* in number order: sda, sda1, sda2, sda10 */
    size_t count;
};

/* `faults` is NULL afterwards. */
bool tree_open(struct tree *tree, const char *root);
void tree_close(struct tree *tree);

/*
 * The path below the root with every link resolved and no leading slash. A part that does not exist
 * stays as it is written, since the text of a dangling link still says where a device sits. NULL:
 * the links form a loop. The caller frees it, as all texts that the functions here return.
 */
char *tree_resolve(const struct tree *tree, const char *path);

/* Looks at each directory, link and file that a path leads over. */
struct tree_visitor {
    /* `path` is below the root and has no link before its last part. False: stop here. */
    bool (*visit)(struct tree_visitor *visitor, const char *path, const struct stat *status);
};

/*
 * As tree_resolve(), part by part; the root is not shown. NULL with errno: a part is not there or
 * cannot be looked at, ELOOP; or 0: the visitor stopped.
 */
char *tree_visit(const struct tree *tree, const char *path, struct tree_visitor *visitor);

/* A directory to hand to the functions with `directory` and to close(2), or -1. */
int tree_directory(const struct tree *tree, const char *path);

/* Such a directory, and where it is as tree_resolve() tells it; NULL: ask that. Ended with
 * tree_leave(), or the caller closes the one and frees the other. */
struct tree_directory {
    int fd;
    char *place;
};
struct tree_directory tree_enter(const struct tree *tree, const char *path);
void tree_leave(const struct tree_directory *directory);
/* The same of PATH, which is the entry NAME of `parent`. It takes fewer calls where that is a link
 * straight to its place, as in the classes of sysfs. */
struct tree_directory tree_enter_entry(const struct tree *tree, const struct tree_directory *parent,
                                       const char *name, const char *path);

char *tree_read(const struct tree *tree, const char *path);
struct names tree_list(const struct tree *tree, const char *path);
/* As tree_read(), of PATH/NAME, without the blanks at its end. */
char *tree_attribute(const struct tree *tree, const char *path, const char *name);
/* The last part of what the link PATH/NAME points to, whether that exists or not. */
char *tree_link_name(const struct tree *tree, const char *path, const char *name);
/* A whole configuration file, or its first `limit` bytes; NULL unless it is a regular file. */
char *tree_load(const struct tree *tree, const char *path, size_t limit, size_t *size);
/* What the path leads to; false when there is nothing. */
bool tree_stat(const struct tree *tree, const char *path, struct stat *status);
bool tree_has(const struct tree *tree, const char *path);
/* Whether a file of that absolute path, when it is not there, is missing on the host as well: a
 * copy of a host need not have all of its directories. */
bool tree_knows(const struct tree *tree, const char *path);

/* One attribute of an open directory; a link is not followed. NULL with errno: not there, or not to
 * be read; see tree_is_absence(). */
char *tree_directory_attribute(int directory, const char *name);
char *tree_directory_link_name(int directory, const char *name);
/* False also when that cannot be seen. */
bool tree_directory_lacks(int directory, const char *name);

/* As the functions without `directory`, of a path that is open as `directory`, or is not (-1). */
struct names tree_list_at(const struct tree *tree, int directory, const char *path);
char *tree_attribute_at(const struct tree *tree, int directory, const char *path, const char *name);

/* `type`: DT_DIR, DT_LNK, ... of dirent.h. */
typedef void tree_entry_visitor(void *context, const char *name, unsigned char type);
/* All but "." and ".." of an open directory, in no order. Returns 0, or -1 with errno. */
int tree_each_entry(int directory, tree_entry_visitor *visit, void *context);

/* Whether an errno says that there is no such thing, and not that it cannot be read. */
bool tree_is_absence(int error);
/* Notes a failure of the caller's own, unless `error` is an absence. */
void tree_fault(const struct tree *tree, const char *path, int error);
void tree_finish_faults(struct faults *faults);
/* An errno in words; in a tree of files a loop of links stands for what could not be read when the
 * host was recorded. */
const char *tree_fault_text(const struct tree *tree, int error);

void tree_finish_names(struct names *names);

#endif
