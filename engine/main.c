#include "engine/command/command.h"

#include "parser/suggest.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the help. */
static const struct command *const commands[] = {
    &command_check_row,  &command_plan_row,   &command_explain_row, &command_devices_row,
    &command_doctor_row, &command_status_row, &command_log_row,     &command_fmt_row,
    &command_dump_row,   &command_apply_row,  &command_detach_row,  &command_park_row,
    &command_unpark_row, &command_run_row,    &command_plug_row,    &command_watch_row,
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct command *main_find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static void main_print_overview(FILE *out) {
    fprintf(out, "usage: virt-rules COMMAND [ARGUMENT ...]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out,
            "\n'virt-rules COMMAND --help' or 'virt-rules help COMMAND' says more;\n"
            "'virt-rules --version' prints the version. The rules are in\n" RULESDIR "/*.rules.\n");
}

static int main_unknown_command(const char *name) {
    struct suggestion suggestion = {.word = name};
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        suggest(&suggestion, commands[i]->name);
    fprintf(stderr, "virt-rules: unknown command '%s'", name);
    if (suggestion.best)
        fprintf(stderr, "; did you mean '%s'?", suggestion.best);
    fprintf(stderr, "\n\n");
    main_print_overview(stderr);
    return EXIT_USAGE;
}

static bool main_is_help(const char *word) {
    return !strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int main_too_many(const char *word, const char *next) {
    fprintf(stderr, "virt-rules: unexpected argument '%s' after '%s'\n", next, word);
    return EXIT_USAGE;
}

static int main_help(int argc, char **argv) {
    const struct command *command = argc > 2 ? main_find_command(argv[2]) : NULL;
    if (argc > 2 && !command && !main_is_help(argv[2]))
        return main_unknown_command(argv[2]);
    if (argc > 3)
        return main_too_many(argv[2], argv[3]);
    if (!command) {
        main_print_overview(stdout);
        return EXIT_FINE;
    }
    char option[] = "--help", *arguments[] = {argv[2], option, NULL};
    return command->run(command, 2, arguments);
}

/* A full disk or a closed pipe must not look like success. */
static int main_close_output(int status) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("virt-rules: standard output");
        return EXIT_PROBLEM;
    }
    return status;
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size fails the write */
    /* A glob must mean the same by hand and in the hook, which libvirt gives LC_ALL=C. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
    if (argc < 2) {
        main_print_overview(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--version")) {
        if (argc > 2)
            return main_too_many(argv[1], argv[2]);
        puts("virt-rules " VERSION);
        return main_close_output(EXIT_FINE);
    }
    if (main_is_help(argv[1]))
        return main_close_output(main_help(argc, argv));
    const struct command *command = main_find_command(argv[1]);
    if (!command)
        return main_unknown_command(argv[1]);
    return main_close_output(command->run(command, argc - 1, argv + 1));
}
