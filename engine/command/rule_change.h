/* What add, disable and enable have in common: may the rules be changed, and what the rules say
 * afterwards. */
#ifndef ENGINE_RULE_CHANGE_H
#define ENGINE_RULE_CHANGE_H

#include "engine/command/command.h"

/*
 * Whether this user may make and rename files in the directory. Else says why not, with the whole
 * command line for root; `argc` and `argv` are those of the command.
 */
bool rule_change_is_allowed(const struct command_line *line, const char *directory, int argc,
                            char **argv);

/* The VM of a rule's word for a command line; "VM": the word may mean several, or any. The caller
 * frees it. */
char *rule_change_vm_word(const struct word *vm);

/* How 'virt-rules detach' can name the device of a target: its id or its address; "DEVICE": only
 * the host knows it. The caller frees it. */
char *rule_change_device_word(const struct target *target);

#endif
