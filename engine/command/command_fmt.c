/* virt-rules fmt: rule files in their one canonical layout. */
#include "engine/command/command.h"

#include "lexer/text.h"
#include "parser/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fmt_options {
    struct command_line line;
    bool check;
    int status; /* of the program */
};

static void command_fmt_problem(struct fmt_options *options, const char *path, const char *what) {
    fputs("virt-rules: ", stderr);
    text_print_string(stderr, path);
    fprintf(stderr, ": %s\n", what);
    options->status = EXIT_PROBLEM;
}

/* As it is for a program, without control characters for a person. */
static void command_fmt_print_name(const char *path) {
    if (isatty(STDOUT_FILENO))
        text_print_string(stdout, path);
    else
        fputs(path, stdout);
    putchar('\n');
}

static bool command_fmt_write_all(int file, const char *text, size_t size) {
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

/* The owner first: changing it may take mode bits away. */
static bool command_fmt_fill(int file, const struct stat *old, const char *text, size_t size) {
    return fchown(file, old->st_uid, old->st_gid) == 0 && fchmod(file, old->st_mode & 07777) == 0 &&
           command_fmt_write_all(file, text, size) && fsync(file) == 0;
}

/* Why a file cannot be replaced, in errno: no system call of ours sets these two. */
enum { CHANGED = ESTALE, LINKED = EMLINK };

static const char *command_fmt_reason(int error) {
    switch (error) {
    case CHANGED:
        return "it changed in the meantime and was not replaced: format it again";
    case LINKED:
        return "it has hard links, which replacing it would separate: remove the others, or make "
               "them symbolic links";
    default:
        return strerror(error);
    }
}

/* Somebody may have written to it since it was read: that must not be lost. */
static bool command_fmt_is_unchanged(const char *path, const struct source *source) {
    size_t size = 0;
    FILE *file = fopen(path, "re");
    char *text = file ? command_read_all(file, source->size, &size) : NULL;
    bool same = text && size == source->size && !memcmp(text, source->text, size);
    int error = file ? CHANGED : errno;
    if (file)
        fclose(file);
    free(text);
    errno = error;
    return same;
}

/* A temporary file beside the old one, not called *.rules, renamed over it when it is whole. */
static bool command_fmt_replace(const char *path, const struct source *source, const char *text,
                                size_t size) {
    struct stat old;
    char *temporary = memory_printf("%s.XXXXXX", path);
    bool exists = stat(path, &old) == 0;
    int file = exists && old.st_nlink < 2 ? mkostemp(temporary, O_CLOEXEC) : -1;
    bool good = file >= 0 && command_fmt_fill(file, &old, text, size) &&
                command_fmt_is_unchanged(path, source);
    int error = exists && old.st_nlink > 1 ? LINKED : errno;
    if (file >= 0 && close(file) < 0 && good) {
        good = false;
        error = errno;
    }
    if (good && rename(temporary, path) < 0) {
        good = false;
        error = errno;
    }
    if (file >= 0 && !good)
        unlink(temporary);
    free(temporary);
    errno = error;
    return good;
}

/* A link stays a link: what it points to is replaced. A signal that would end us waits until the
 * temporary file has its name or is gone. */
static void command_fmt_replace_target(struct fmt_options *options, const struct source *source,
                                       const char *text, size_t size) {
    sigset_t ends, before;
    char *target = realpath(source->path, NULL);
    sigemptyset(&ends);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGQUIT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, &before);
    bool good = target && command_fmt_replace(target, source, text, size);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (good) {
        fputs("formatted ", stdout);
        text_print_string(stdout, source->path);
        putchar('\n');
    } else {
        char *what = memory_printf("cannot be replaced: %s", command_fmt_reason(error));
        command_fmt_problem(options, source->path, what);
        free(what);
    }
    free(target);
}

static void command_fmt_deliver(struct fmt_options *options, const struct source *source,
                                const char *text, size_t size) {
    bool same = size == source->size && !memcmp(text, source->text, size);
    bool standard = !strcmp(source->path, "<stdin>");
    if (options->check && !same) {
        command_fmt_print_name(source->path);
        options->status = EXIT_PROBLEM;
    } else if (standard && !options->check) {
        fwrite(text, 1, size, stdout);
    } else if (!same) {
        command_fmt_replace_target(options, source, text, size);
    }
}

static void command_fmt_format_source(struct fmt_options *options, struct ruleset *ruleset,
                                      struct source *source) {
    size_t size = 0;
    char *text = source->broken ? NULL : format_rules(source, &ruleset->diagnostics, &size);
    if (text)
        command_fmt_deliver(options, source, text, size);
    free(text);
}

static int command_fmt_format_paths(struct fmt_options *options, char **paths) {
    struct ruleset ruleset;
    ruleset_init(&ruleset);
    if (!*paths)
        ruleset_add_directory(&ruleset, ruleset_directory(NULL));
    for (; *paths; paths++)
        ruleset_add_path(&ruleset, *paths);
    for (size_t i = 0; i < ruleset.diagnostics.count; i++) /* what could not be read */
        ruleset.diagnostics.list[i].source->broken |=
            ruleset.diagnostics.list[i].fixed ||
            ruleset.diagnostics.list[i].check != CHECK_UNSAFE_FILE;
    for (size_t i = 0; i < ruleset.count; i++)
        command_fmt_format_source(options, &ruleset, ruleset.sources[i]);
    check_apply(NULL, &ruleset.diagnostics, 0);
    diagnostic_sort(&ruleset.diagnostics);
    if (command_report(&ruleset))
        options->status = EXIT_PROBLEM;
    ruleset_finish(&ruleset);
    return options->status;
}

static int command_fmt_run(const struct command *command, int argc, char **argv) {
    struct fmt_options options = {.status = EXIT_FINE};
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (command_has_empty_word(&options.line))
        return EXIT_USAGE;
    return command_fmt_format_paths(&options, options.line.words);
}

static const struct command_option command_fmt_options[] = {
    {.name = "check",
     .help = "change nothing, print the files that would change, exit 1 if there are any",
     .field = offsetof(struct fmt_options, check)},
    OPTION_NO_RULES,
    {0},
};

const struct command command_fmt_row = {
    .name = "fmt",
    .operands = "[FILE or DIRECTORY ...]",
    .summary = "Reformat rule files.",
    .notes = "Without a file: the rules directory. '-' formats standard input to standard\n"
             "output.\n",
    .options = command_fmt_options,
    .run = command_fmt_run,
};
