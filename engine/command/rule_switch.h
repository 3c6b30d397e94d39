/* Turns rule files, statements and actions off and on: disable and enable are the two directions.
 */
#ifndef ENGINE_RULE_SWITCH_H
#define ENGINE_RULE_SWITCH_H

#include "engine/command/command.h"

#define RULE_SWITCH_NOTES                                                                          \
    "FILE is a path, or a name in the rules directory, with or without '.rules'. LINE\n"           \
    "is any line of a statement, or of an action in a block; the first line of a\n"                \
    "block is the block. Nothing else of the file changes.\n"

/* The whole command; `off`: disable, else enable. Returns the exit code. */
int rule_switch_run(const struct command *command, int argc, char **argv, bool off);

/* The options of both. */
extern const struct command_option rule_switch_options[];

#endif
