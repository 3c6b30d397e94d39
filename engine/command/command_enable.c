/* virt-rules enable: what virt-rules disable turned off counts again. */
#include "engine/command/rule_switch.h"

static int command_enable_run(const struct command *command, int argc, char **argv) {
    return rule_switch_run(command, argc, argv, false);
}

const struct command command_enable_row = {
    .name = "enable",
    .operands = "FILE[:LINE]",
    .summary = "Turn on what 'disable' turned off, and check it.",
    .notes = "VMs that run get it with 'virt-rules apply VM'.\n\n" RULE_SWITCH_NOTES,
    .options = rule_switch_options,
    .run = command_enable_run,
};
