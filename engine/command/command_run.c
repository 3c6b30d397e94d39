/* virt-rules run: what libvirt's hook starts, detached; standard input is the domain XML. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/trigger/hook_event.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DOMAIN_XML_LIMIT = 64 * 1024 * 1024 };

/* $VIRT_RULES_BOOT_MS as `boot_ms` of struct run_config: 0 if it is not set, -1 for "0". */
static int command_run_boot_ms(void) {
    const char *text = getenv("VIRT_RULES_BOOT_MS");
    long number = text && *text ? strtol(text, NULL, 10) : 0;
    return number > 0 && number < INT_MAX ? (int)number : text && *text ? -1 : 0;
}

/* The hook passes four arguments and no option. A VM may have the name "--help". */
static bool command_run_is_hook_call(int argc, char **argv) {
    return argc == 5 && *argv[1] == '-' && scanner_event_from_text(argv[2]) != EVENT_COUNT;
}

static int command_run_run(const struct command *command, int argc, char **argv) {
    struct reply reply = reply_take();
    struct command_line line = {.words = argv + 1, .word_count = argc - 1};
    int status = EXIT_FINE;
    if (!command_run_is_hook_call(argc, argv) &&
        !command_parse(&line, command, argc, argv, &status))
        return status;
    if (line.word_count < 2 || line.word_count > 4)
        return command_usage(command, "give a VM and an operation; libvirt's hook adds a "
                                      "suboperation and an extra argument");
    struct host_source source = source_sysfs(line.sysroot);
    struct hook_event hook = {.vm = line.words[0],
                              .operation = line.words[1],
                              .rules = ruleset_directory(line.rules),
                              .host_source = &source,
                              .state = log_write_state_directory(line.state),
                              .log = log_write_open(line.state, isatty(STDERR_FILENO)),
                              .boot_ms = command_run_boot_ms(),
                              .reply = &reply,
                              .open_virt = virt_asker_connect};
    enum hook_event_kind kind = hook_event_kind(hook.operation);
    if (kind == HOOK_EVENT_KNOWN) {
        size_t size = 0;
        char *xml = command_read_all(stdin, DOMAIN_XML_LIMIT, &size);
        status = hook_event(&hook, xml, size) ? EXIT_FINE : EXIT_PROBLEM;
        free(xml);
    } else {
        hook_event_none(&hook, kind);
        status = kind == HOOK_EVENT_UNKNOWN ? EXIT_USAGE : EXIT_FINE;
    }
    log_write_close(hook.log);
    return status;
}

static const struct command_option command_run_options[] = {
    OPTION_RULES,
    OPTION_STATE,
    OPTION_SYSROOT,
    {0},
};

const struct command command_run_row = {
    .name = "run",
    .operands = "VM OPERATION [SUBOPERATION [EXTRA]]",
    .summary = "Handle an event of a VM; libvirt's hook calls it.",
    .notes = "Standard input is the VM's XML.\n",
    .options = command_run_options,
    .run = command_run_run,
};
