/* virt-rules fmt: rule files in their one canonical layout. */
#include "engine/command/command.h"

#include "parser/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fmt_options {
    bool check;
    int status;
};

static void problem(struct fmt_options *options, const char *path, const char *what, int error) {
    fprintf(stderr, "virt-rules: %s: %s: %s\n", path, what, strerror(error));
    options->status = EXIT_PROBLEM;
}

static bool write_all(int file, const char *text, size_t size) {
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
static bool fill(int file, const struct stat *old, const char *text, size_t size) {
    return fchown(file, old->st_uid, old->st_gid) == 0 && fchmod(file, old->st_mode & 07777) == 0 &&
           write_all(file, text, size) && fsync(file) == 0;
}

/* A temporary file beside the old one, not called *.rules, renamed over it when it is whole. */
static bool replace(const char *path, const char *text, size_t size) {
    struct stat old;
    char *temporary = memory_printf("%s.XXXXXX", path);
    int file = stat(path, &old) == 0 ? mkostemp(temporary, O_CLOEXEC) : -1;
    bool good = file >= 0 && fill(file, &old, text, size);
    int error = errno;
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

/* A link stays a link: what it points to is replaced. */
static void replace_target(struct fmt_options *options, const char *path, const char *text,
                           size_t size) {
    char *target = realpath(path, NULL);
    if (!target || !replace(target, text, size))
        problem(options, path, "cannot be replaced", errno);
    else
        printf("formatted %s\n", path);
    free(target);
}

static void deliver(struct fmt_options *options, const struct source *source, const char *text,
                    size_t size) {
    bool same = size == source->size && !memcmp(text, source->text, size);
    bool standard = !strcmp(source->path, "<stdin>");
    if (options->check && !same) {
        printf("%s\n", source->path);
        options->status = EXIT_PROBLEM;
    } else if (standard && !options->check) {
        fwrite(text, 1, size, stdout);
    } else if (!same) {
        replace_target(options, source->path, text, size);
    }
}

static void format_source(struct fmt_options *options, struct ruleset *ruleset,
                          struct source *source) {
    size_t size = 0;
    char *text = source->broken ? NULL : format_rules(source, &ruleset->diagnostics, &size);
    if (text)
        deliver(options, source, text, size);
    free(text);
}

static int format_paths(struct fmt_options *options, char **paths) {
    struct ruleset ruleset;
    ruleset_init(&ruleset);
    if (!*paths)
        ruleset_add_directory(&ruleset, rules_directory(NULL));
    for (; *paths; paths++)
        ruleset_add_path(&ruleset, *paths);
    for (size_t i = 0; i < ruleset.diagnostics.count; i++) /* what could not be read */
        ruleset.diagnostics.list[i].source->broken |=
            ruleset.diagnostics.list[i].fixed ||
            strcmp(ruleset.diagnostics.list[i].name, "unsafe-file") != 0;
    for (size_t i = 0; i < ruleset.count; i++)
        format_source(options, &ruleset, ruleset.sources[i]);
    check_apply(NULL, &ruleset.diagnostics, 0);
    diagnostics_sort(&ruleset.diagnostics);
    if (command_report(&ruleset))
        options->status = EXIT_PROBLEM;
    ruleset_finish(&ruleset);
    return options->status;
}

int command_fmt(const struct command *command, int argc, char **argv) {
    struct fmt_options options = {.status = EXIT_FINE};
    const struct command_option table[] = {
        {.name = "check", .flag = &options.check},
        {.name = "rules", .take = command_refuse_rules, .context = (void *)command},
        {0},
    };
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (command_has_empty_name(command, argv + first))
        return EXIT_USAGE;
    return format_paths(&options, argv + first);
}
