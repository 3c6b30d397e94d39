/* Rule files with errors, as an event that finds them says so in the log. */
#ifndef ENGINE_RULE_ERRORS_H
#define ENGINE_RULE_ERRORS_H

#include "engine/rules/ruleset.h"
#include "engine/state/log_write.h"

/* One line a broken file: its first error; and one a guard in doubt, with what it forbids. Returns
 * true when there is one. `vm` may be NULL. */
bool rule_errors_log(struct log_writer *log, const char *vm, const char *uuid, const char *event,
                     const struct ruleset *ruleset);

#endif
