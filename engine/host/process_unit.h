/* How to end a process: by what its control group says of who started it. */
#ifndef ENGINE_PROCESS_UNIT_H
#define ENGINE_PROCESS_UNIT_H

#include "engine/host/tree.h"

#include <stdbool.h>

/*
 * The command: "systemctl stop gdm.service", "loginctl terminate-session 2", or "kill 4242" where
 * systemd did not start it. `is_desktop`: it is what draws on the host's display: a session that
 * the display manager would start again ends with that. The caller frees it.
 */
char *process_unit_stop(const struct tree *tree, const char *process, bool is_desktop);

/* The path of the control group of the process with that directory ("proc/4242"); NULL: it is in
 * none. The caller frees it. */
char *process_unit_group(const struct tree *tree, const char *home);

#endif
