/* virt-rules disable: a rule file, a statement or an action counts no longer. */
#include "engine/command/rule_switch.h"

static int command_disable_run(const struct command *command, int argc, char **argv) {
    return rule_switch_run(command, argc, argv, true);
}

const struct command command_disable_row = {
    .name = "disable",
    .operands = "FILE[:LINE]",
    .summary = "Turn a rule file, or one rule in it, off.",
    .notes = "A file gets the name FILE.disabled; a rule becomes a comment with a mark. VMs\n"
             "keep what they have.\n\n" RULE_SWITCH_NOTES,
    .options = rule_switch_options,
    .run = command_disable_run,
};
