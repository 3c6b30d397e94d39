/* virt-rules boot: does what the rules want of the host when it boots. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/state/log_write.h"
#include "engine/trigger/boot.h"

#include <stdlib.h>

struct command_boot {
    struct command_line line;
    bool dry_run;
};

static int command_boot_show(const struct boot_request *request) {
    struct failure failure;
    int good = boot_show(request, terminal_of(stdout), &failure);
    if (good < 0)
        return command_fail(failure.message,
                            "--sysroot takes a directory that holds sys/ and proc/");
    return good ? EXIT_FINE : EXIT_PROBLEM;
}

static int command_boot_run(const struct command *command, int argc, char **argv) {
    struct command_boot options = {.dry_run = false};
    const struct command_line *line = &options.line;
    struct command_rules rules;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (line->word_count)
        return command_usage(command, "unexpected argument '%s'", line->words[0]);
    struct host_source source = source_sysfs(line->sysroot);
    command_load_rules(line, &rules);
    const struct boot_request request = {.program = &rules.program,
                                         .host_source = &source,
                                         .state = log_write_state_directory(line->state),
                                         .partial = rules.have_errors,
                                         .json = line->json,
                                         .out = stdout,
                                         .clock = clock_system()};
    if (options.dry_run)
        status = command_boot_show(&request);
    else
        status = boot_execute(&request) ? EXIT_FINE : EXIT_PROBLEM;
    if (rules.have_errors)
        fputs("virt-rules: rule files with an error were left out\n", stderr);
    command_finish_rules(&rules);
    return rules.have_errors ? EXIT_PROBLEM : status;
}

static const struct command_option command_boot_options[] = {
    {.name = "dry-run",
     .help = "print the plan, and change nothing",
     .field = offsetof(struct command_boot, dry_run)},
    OPTION_JSON,
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_STATE,
    {0},
};

const struct command command_boot_row = {
    .name = "boot",
    .operands = "",
    .summary = "Do what the rules want of the host at its boot.",
    .notes = "These are the rules 'on host boot'. A second run changes nothing.\n",
    .options = command_boot_options,
    .run = command_boot_run,
};
