/* virt-rules fmt: rule files in their one canonical layout. */
#include "engine/command/command.h"

#include "engine/rules/rule_file.h"
#include "lexer/text.h"
#include "parser/format.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fmt_options {
    struct command_line line;
    bool check;
    int status; /* of the program */
};

/* As it is for a program, without control characters for a person. */
static void command_fmt_print_name(const char *path) {
    if (isatty(STDOUT_FILENO))
        text_print_string(stdout, path);
    else
        fputs(path, stdout);
    putchar('\n');
}

/* A link stays a link: what it points to is replaced. */
static void command_fmt_replace(struct fmt_options *options, const struct source *source,
                                const char *text, size_t size) {
    struct failure failure;
    if (rule_file_replace(source, text, size, &failure) < 0) {
        options->status = command_fail(failure.message, failure.hint);
    } else {
        fputs("formatted ", stdout);
        text_print_string(stdout, source->path);
        putchar('\n');
    }
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
        command_fmt_replace(options, source, text, size);
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
