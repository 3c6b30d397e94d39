#include "engine/command/command.h"

#include "engine/system/layout.h"
#include "lexer/memory.h"
#include "lexer/terminal.h"
#include "parser/suggest.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { HELP_INDENT = 13 };

/* In the order of the help. */
static const struct {
    const char *title;
    const struct command *commands[10]; /* NULL ends them */
} groups[] = {
    {"Every day",
     {&command_devices_row, &command_add_row, &command_check_row, &command_plan_row,
      &command_apply_row, &command_status_row, &command_log_row, &command_detach_row,
      &command_doctor_row}},
    {"Now and then",
     {&command_explain_row, &command_disable_row, &command_enable_row, &command_park_row,
      &command_unpark_row, &command_boot_row, &command_fmt_row}},
    {"For other programs: libvirt's hook, udev, a service, an editor",
     {&command_run_row, &command_plug_row, &command_watch_row, &command_dump_row}},
};

enum {
    GROUP_COUNT = sizeof groups / sizeof *groups,
    GROUP_SIZE = sizeof groups->commands / sizeof *groups->commands
};

/* What people type, and what they mean. */
static const struct {
    const char *word, *answer;
} habits[] = {
    {"attach",
     "a rule attaches a device: 'virt-rules add VM DEVICE' writes it, and 'virt-rules apply "
     "VM' attaches now what the rules say"},
    {"new", "'virt-rules add VM DEVICE' writes a rule"},
    {"create", "'virt-rules add VM DEVICE' writes a rule"},
    {"remove", "'virt-rules detach VM DEVICE' takes a device out of a VM; 'virt-rules disable "
               "FILE:LINE' disables a rule"},
    {"list", "'virt-rules devices' lists devices, 'virt-rules status' VMs and what they have"},
    {"show",
     "'virt-rules status' shows VMs and what they have, 'virt-rules plan VM' what the rules "
     "would do"},
    {"ls", "'virt-rules devices' lists devices, 'virt-rules status' VMs and what they have"},
    {"lspci", "'virt-rules devices' lists the devices of the host"},
    {"lsusb", "'virt-rules devices' lists the devices of the host"},
    {"vms", "'virt-rules status' lists VMs and what they have"},
    {"test", "'virt-rules check' checks the rules, and 'virt-rules plan VM' shows what they would "
             "do"},
    {"validate", "'virt-rules check' checks the rules"},
    {"lint", "'virt-rules check' checks the rules"},
    {"dry-run", "'virt-rules plan VM' shows what the rules would do"},
    {"start",
     "'virsh start VM' starts a VM, and its rules apply then; 'virt-rules apply VM' applies "
     "them to a VM that runs"},
    {"stop", "'virsh shutdown VM' stops a VM, and its rules apply then"},
    {"reload", "the rules are read at each event, so nothing needs a reload; 'virt-rules apply' "
               "applies them now"},
    {"restart", "the rules are read at each event, so nothing needs a restart; 'virt-rules apply' "
                "applies them now"},
    {"install", "'virt-rules doctor' says what is missing, and how to install it"},
    {"format", "'virt-rules fmt' formats rule files"},
    {"why", "'virt-rules explain VM' shows why each rule matches or not"},
    {"history", "'virt-rules log' shows what was done"},
    {"logs", "'virt-rules log' shows what was done"},
    {"edit",
     "rules are text files; 'virt-rules check' checks them, and 'virt-rules add' writes one"},
    {"on", "this is a rule: write it into a file whose name ends in .rules, and run 'virt-rules "
           "check'"},
    {"never", "this is a rule: write it into a file whose name ends in .rules, and run 'virt-rules "
              "check'"},
    {"rules", "'man 5 virt-rules' describes the rules, and 'virt-rules check' checks them"},
    {"man", "'man virt-rules' describes the commands, and 'man 5 virt-rules' the rules"},
};

static const struct command *main_find_command(const char *name) {
    for (size_t i = 0; i < GROUP_COUNT; i++)
        for (size_t j = 0; j < GROUP_SIZE && groups[i].commands[j]; j++)
            if (!strcmp(groups[i].commands[j]->name, name))
                return groups[i].commands[j];
    return NULL;
}

/* An archive has examples and manuals below its prefix, wherever that is. */
static void main_print_places(FILE *page) {
    char prefix[PATH_MAX];
    char *manual = layout_prefix(prefix) ? memory_printf("%s/man/virt-rules", prefix) : NULL;
    char *file = manual ? memory_printf("%s.5.txt", manual) : NULL;
    fprintf(page, "Rules     %s/*.rules\n", layout_current()->rules);
    if (file && access(file, R_OK) == 0)
        fprintf(page,
                "Examples  %s/examples\n"
                "Manual    'less %s.1.txt', and 'less %s' for rules\n",
                prefix, manual, file);
    else
        fputs("Examples  " EXAMPLESDIR "\n"
              "Manual    'man virt-rules', and 'man 5 virt-rules' for rules\n",
              page);
    free(file);
    free(manual);
}

static void main_print_overview(FILE *out) {
    char *text;
    size_t size;
    FILE *page = memory_stream(&text, &size);
    fprintf(page, "usage: virt-rules COMMAND [ARGUMENT ...]\n");
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        fprintf(page, "\n%s:\n", groups[i].title);
        for (size_t j = 0; j < GROUP_SIZE && groups[i].commands[j]; j++)
            fprintf(page, "  %-10s %s\n", groups[i].commands[j]->name,
                    groups[i].commands[j]->summary);
    }
    fputs("\n'virt-rules help COMMAND' says more; 'virt-rules --version' prints the version.\n",
          page);
    main_print_places(page);
    terminal_wrap_stream(out, terminal_of(out), HELP_INDENT, page, &text);
}

static const char *main_habit(const char *word) {
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        if (!strcasecmp(habits[i].word, word))
            return habits[i].answer;
    return NULL;
}

/* The words around a typing mistake, one of which is near; they go before a habit. */
static const char *main_nearest(const char *name) {
    struct suggestion suggestion = {.word = name};
    for (size_t i = 0; i < GROUP_COUNT; i++)
        for (size_t j = 0; j < GROUP_SIZE && groups[i].commands[j]; j++)
            suggest(&suggestion, groups[i].commands[j]->name);
    return suggestion.best;
}

static int main_unknown_command(const char *name) {
    const char *habit = main_habit(name), *nearest = habit ? NULL : main_nearest(name);
    const char *what = *name == '-' ? "option" : "command";
    char *message =
        habit ? memory_printf("unknown %s '%s': %s; 'virt-rules --help' lists the commands", what,
                              name, habit)
        : nearest
            ? memory_printf("unknown %s '%s'; did you mean '%s'? 'virt-rules --help' lists "
                            "the commands",
                            what, name, nearest)
            : memory_printf("unknown %s '%s'; 'virt-rules --help' lists the commands", what, name);
    command_print_error(HELP_INDENT, "virt-rules: ", message);
    free(message);
    return EXIT_USAGE;
}

static bool main_is_help(const char *word) {
    static const char *const words[] = {"help", "--help", "-h", "-?", "-help", "--usage", "/?"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

static bool main_is_version(const char *word) {
    return !strcmp(word, "--version") || !strcmp(word, "version") || !strcmp(word, "-V") ||
           !strcmp(word, "-v");
}

static int main_too_many(const char *word, const char *next) {
    char *message = memory_printf("unexpected argument '%s' after '%s'", next, word);
    command_print_error(HELP_INDENT, "virt-rules: ", message);
    free(message);
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

/* A file would get the number of a closed one, and what is printed. To use these fails, too. */
static void main_fill_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

int main(int argc, char **argv) {
    main_fill_descriptors();
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size fails the write */
    /* The other hash needs a random number, and json-c 0.15 ends the program where it gets none. */
    json_global_set_string_hash(JSON_C_STR_HASH_PERLLIKE);
    if (argc < 2) {
        main_print_overview(stderr);
        return EXIT_USAGE;
    }
    if (main_is_version(argv[1])) {
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
