#include "engine/host/program_file.h"

#include "lexer/memory.h"
#include "lexer/source.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file_judge {
    struct tree_visitor visitor;
    const struct tree *tree;
    const char *path, *word; /* as the rule has it, and as a shell takes it */
    char **message, **hint;
};

static enum program_file program_file_refuse(const struct file_judge *judge, char *message,
                                             char *hint) {
    *judge->message = message;
    *judge->hint = hint;
    return PROGRAM_FILE_REFUSED;
}

static bool program_file_is_owner_trusted(const struct file_judge *judge, unsigned owner) {
    struct stat root;
    return source_is_trusted(owner, 0) ||
           (*judge->tree->root && fstat(judge->tree->fd, &root) == 0 && owner == root.st_uid);
}

static bool program_file_is_writable_by_others(const struct stat *status) {
    return status->st_mode & (S_IWGRP | S_IWOTH);
}

static bool program_file_is_trusted(const struct file_judge *judge, const struct stat *status) {
    return program_file_is_owner_trusted(judge, status->st_uid) &&
           !program_file_is_writable_by_others(status);
}

/* Others are meant to write to a directory with the sticky bit: that is not to be changed. */
static enum program_file program_file_refuse_directory(const struct file_judge *judge,
                                                       const char *path,
                                                       const struct stat *status) {
    bool sticky = program_file_is_owner_trusted(judge, status->st_uid) && status->st_mode & S_ISVTX;
    return program_file_refuse(
        judge,
        memory_printf(
            "'%s' may be replaced by users other than root: they may change the directory "
            "'%s' (owner %u, mode %04o)",
            judge->path, path, (unsigned)status->st_uid, (unsigned)status->st_mode & 07777U),
        sticky ? memory_strdup("move it to a directory that only root may change, such as "
                               "/usr/local/libexec")
               : source_trust_hint(judge->tree->root, path));
}

/* The directory of the program, or of a link to it. `below` is its path below the root. */
static bool program_file_judge_holder(const struct file_judge *judge, const char *below) {
    struct stat status = {0};
    const char *slash = strrchr(below, '/');
    if (!slash && *judge->tree->root)
        return true;
    char *directory = memory_printf("/%.*s", slash ? (int)(slash - below) : 0, below);
    bool trusted =
        fstatat(judge->tree->fd, slash ? directory + 1 : ".", &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        program_file_is_trusted(judge, &status);
    if (!trusted)
        program_file_refuse_directory(judge, directory, &status);
    free(directory);
    return trusted;
}

/* A directory above: with the sticky bit others can rename nothing in it that is not theirs. */
static bool program_file_judge_above(const struct file_judge *judge, const char *below,
                                     const struct stat *status) {
    if (program_file_is_owner_trusted(judge, status->st_uid) &&
        (!program_file_is_writable_by_others(status) || status->st_mode & S_ISVTX))
        return true;
    char *directory = memory_printf("/%s", below);
    program_file_refuse_directory(judge, directory, status);
    free(directory);
    return false;
}

static bool program_file_judge_part(struct tree_visitor *visitor, const char *below,
                                    const struct stat *status) {
    const struct file_judge *judge = (const struct file_judge *)visitor;
    return S_ISLNK(status->st_mode)   ? program_file_judge_holder(judge, below)
           : S_ISDIR(status->st_mode) ? program_file_judge_above(judge, below, status)
                                      : true;
}

static bool program_file_judge_root(const struct file_judge *judge) {
    struct stat status;
    return *judge->tree->root || fstat(judge->tree->fd, &status) < 0 ||
           program_file_judge_above(judge, "", &status);
}

static enum program_file program_file_judge_absence(const struct file_judge *judge, int error) {
    if (tree_is_absence(error) && tree_knows(judge->tree, judge->path))
        return program_file_refuse(
            judge, memory_printf("'%s' does not exist", judge->path),
            memory_printf("'ls -l %s' shows what there is: correct the path, or install "
                          "the program",
                          judge->word));
    program_file_refuse(judge,
                        memory_printf("'%s' cannot be examined: %s", judge->path,
                                      tree_fault_text(judge->tree, error)),
                        memory_printf("'namei -l %s' shows every part of its path", judge->word));
    return tree_is_absence(error) || error == EACCES || error == EMFILE || error == ENFILE ||
                   error == ENOMEM || (*judge->tree->root && error == ELOOP)
               ? PROGRAM_FILE_UNKNOWN
               : PROGRAM_FILE_REFUSED;
}

static enum program_file program_file_judge_file(const struct file_judge *judge, const char *below,
                                                 const struct stat *status) {
    const char *path = judge->path;
    if (!S_ISREG(status->st_mode))
        return program_file_refuse(judge, memory_printf("'%s' is not a file", path),
                                   memory_printf("name a program, not %s", path));
    if (!(status->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
        return program_file_refuse(judge, memory_printf("'%s' is not executable", path),
                                   memory_printf("chmod +x %s", judge->word));
    if (!program_file_is_trusted(judge, status))
        return program_file_refuse(
            judge,
            memory_printf("'%s' may be changed by users other than root (owner %u, mode %04o)",
                          path, (unsigned)status->st_uid, (unsigned)status->st_mode & 07777U),
            source_trust_hint(judge->tree->root, path));
    return program_file_judge_holder(judge, below) ? PROGRAM_FILE_USABLE : PROGRAM_FILE_REFUSED;
}

static enum program_file program_file_judge(struct file_judge *judge) {
    struct stat status;
    if (!program_file_judge_root(judge))
        return PROGRAM_FILE_REFUSED;
    char *below = tree_visit(judge->tree, judge->path, &judge->visitor);
    if (!below)
        return *judge->message ? PROGRAM_FILE_REFUSED : program_file_judge_absence(judge, errno);
    enum program_file result =
        fstatat(judge->tree->fd, *below ? below : ".", &status, AT_SYMLINK_NOFOLLOW) < 0
            ? program_file_judge_absence(judge, errno)
            : program_file_judge_file(judge, below, &status);
    free(below);
    return result;
}

enum program_file program_file_check(const struct tree *tree, const char *path, char **message,
                                     char **hint) {
    char *word = text_shell_word(path);
    struct file_judge judge = {{program_file_judge_part}, tree, path, word, message, hint};
    *message = *hint = NULL;
    enum program_file result =
        *path == '/'
            ? program_file_judge(&judge)
            : program_file_refuse(
                  &judge, memory_printf("'%s' is not an absolute path", path),
                  memory_printf("begin it with '/': no shell and no PATH looks for %s", path));
    free(word);
    return result;
}
