#include "engine/command/command.h"

#include "parser/suggest.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
    {"check", "[OPTION ...] [FILE or DIRECTORY ...]", "Say what is wrong with rule files.",
     "Without a file: the rules directory. '-' is standard input.\n"
     "  --strict        warnings count as errors\n"
     "  --error NAME    make a check an error\n"
     "  --warn NAME     make a check a warning\n"
     "  --ignore NAME   turn a check off\n"
     "  --host          also what only this host can say: its VMs and devices\n"
     "  --sysroot DIR   with --host: read the host below DIR (sys/, proc/, etc/libvirt/)\n"
     "  --list          print the checks\n"
     "  --json          one JSON document on standard output\n",
     command_check},
    {"plan", "VM EVENT [DEVICE] [--rules DIR] [--sysroot DIR] [--domain-xml FILE] [--xml] [--json]",
     "Show what an event would do, and why; change nothing.",
     "DEVICE is what was plugged or unplugged: an address (03:00.0), a USB port (1-1.4) or an id.\n"
     "  --rules DIR        rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --sysroot DIR      read the host's devices below DIR (sys/ and proc/)\n"
     "  --domain-xml FILE  the VM as libvirt's XML; '-' is standard input\n"
     "  --xml              also the <hostdev> text of each step\n"
     "  --json             one JSON object\n",
     command_plan},
    {"explain", "VM EVENT [DEVICE] [--rules DIR] [--sysroot DIR] [--domain-xml FILE] [--json]",
     "Show why each rule matches or not, condition by condition.",
     "DEVICE is an address (03:00.0), a USB port (1-1.4) or an id (1ac1:089a).\n"
     "  --rules DIR        rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --sysroot DIR      read the host's devices below DIR (sys/ and proc/)\n"
     "  --domain-xml FILE  the VM as libvirt's XML; '-' is standard input\n"
     "  --json             one JSON document\n",
     command_explain},
    {"devices", "[--sysroot DIR] [--json | --record DIR]",
     "List the host's devices: what may be passed, what not and why.",
     "  --sysroot DIR   read the host's devices below DIR (sys/ and proc/)\n"
     "  --record DIR    write what DIR needs to be such a tree, for a bug report\n"
     "  --json          one JSON document\n",
     command_devices},
    {"doctor", "[--rules DIR] [--state DIR] [--sysroot DIR] [--json]",
     "Say whether this host is ready for its rules, and what to do.",
     "  --rules DIR     rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --state DIR     log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n"
     "  --sysroot DIR   look at the host below DIR (sys/, proc/, etc/ ...); libvirt is not asked\n"
     "  --json          one JSON document\n",
     command_doctor},
    {"status", "[VM] [--rules DIR] [--state DIR] [--sysroot DIR] [--domain-xml FILE] [--json]",
     "Show which VM has which device now, and what it lacks.",
     "Without a VM, by name, title or UUID: all that run, and those off that a rule names.\n"
     "Exit 1: a VM that runs lacks what a rule wants and does not call 'optional'.\n"
     "  --rules DIR        rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --state DIR        log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n"
     "  --sysroot DIR      read the host's devices below DIR (sys/ and proc/); libvirt is still\n"
     "                     asked for VMs, unless --domain-xml is given\n"
     "  --domain-xml FILE  the one VM as libvirt's XML; '-' is standard input\n"
     "  --json             one JSON document\n",
     command_status},
    {"log", "[VM] [--follow] [--json] [--state DIR]", "Show what was done for VMs.",
     "Without a VM: for all.\n"
     "  --follow      go on with what is added, until interrupted\n"
     "  --json        the log's JSON objects, one a line\n"
     "  --state DIR   the log in DIR instead of $VIRT_RULES_STATE or " STATEDIR "\n",
     command_log},
    {"fmt", "[--check] [FILE or DIRECTORY ...]", "Give rule files their one layout.",
     "Without a file: the rules directory. '-' is standard input, to standard output.\n"
     "  --check   change nothing, name the files that would change, exit 1 if there are any\n",
     command_fmt},
    {"dump", "[--rules DIR] [--json]", "Show files and rules as the engine has them.",
     "  --rules DIR   rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --json        one JSON document\n",
     command_dump},
    {"apply", "[VM ...] [--dry-run] [--json] [--rules DIR] [--sysroot DIR] [--state DIR]",
     "Bring running VMs to what their rules want.",
     "Without a VM: every running one that a rule is for.\n"
     "  --dry-run       show the plans, and change nothing\n"
     "  --json          one JSON document\n"
     "  --rules DIR     rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --sysroot DIR   read the host's devices below DIR (sys/ and proc/)\n"
     "  --state DIR     log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n",
     command_apply},
    {"detach", "VM DEVICE [--dry-run] [--json] [--sysroot DIR] [--state DIR]",
     "Take a device out of a running VM.",
     "DEVICE is an address (03:00.0), a USB port (1-1.4), an id (1ac1:089a) or the VM's\n"
     "alias for it (hostdev0).\n"
     "  --dry-run       say what would be done, and change nothing\n"
     "  --json          one JSON object\n"
     "  --sysroot DIR   read the host's devices below DIR (sys/ and proc/)\n"
     "  --state DIR     log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n",
     command_detach},
    {"run",
     "[--rules DIR] [--state DIR] [--sysroot DIR] VM OPERATION [SUBOPERATION [EXTRA]] < DOMAIN.xml",
     "Do what the rules want at an event; what libvirt's hook calls.",
     "  --rules DIR     rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --state DIR     log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n"
     "  --sysroot DIR   the host's devices are below DIR (sys/ and proc/): for tests\n",
     command_run},
    {"plug", "[--rules DIR] [--state DIR] [--sysroot DIR] [ACTION DEVICE [ID]]",
     "Do what the rules want when a device came or went; what udev calls.",
     "The event is in the environment, as udev sets it. By hand: ACTION is 'add' or 'remove',\n"
     "DEVICE a PCI address or USB port, ID that of a device that is gone.\n"
     "  --rules DIR     rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --state DIR     log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n"
     "  --sysroot DIR   the host's devices are below DIR (sys/ and proc/): for tests\n",
     command_plug},
    {"watch", "[--rules DIR] [--state DIR] [--sysroot DIR]",
     "Hear of devices that come and go from the kernel itself, where udev does not run.",
     "It stays in the foreground until SIGTERM or SIGINT.\n"
     "  --rules DIR     rules to use instead of $VIRT_RULES_DIR or " RULESDIR "\n"
     "  --state DIR     log and state instead of $VIRT_RULES_STATE or " STATEDIR "\n"
     "  --sysroot DIR   the host's devices are below DIR (sys/ and proc/): for tests\n",
     command_watch},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct command *main_find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static void main_print_overview(FILE *out) {
    fprintf(out, "usage: virt-rules COMMAND [ARGUMENT ...]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n'virt-rules COMMAND --help' or 'virt-rules help COMMAND' says more,\n"
                 "'virt-rules --version' which one this is. "
                 "Rules are in\n" RULESDIR "/*.rules.\n");
}

static int main_unknown_command(const char *name) {
    struct suggestion suggestion = {.word = name};
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        suggest(&suggestion, commands[i].name);
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

static int main_too_many(const char *word, const char *first) {
    fprintf(stderr, "virt-rules: nothing follows '%s', but there is '%s'\n", word, first);
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

/* A result that did not reach its reader is no result. */
static int main_close_output(int status) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("virt-rules: standard output");
        return EXIT_PROBLEM;
    }
    return status;
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a limit on a file's size is a failed write, not our death */
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
