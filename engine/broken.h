/* Rule files with errors, as an event that finds them says so in the log. */
#ifndef ENGINE_BROKEN_H
#define ENGINE_BROKEN_H

#include "engine/ruleset.h"
#include "engine/state/journal.h"

/* One line a broken file: its first error; and one a guard in doubt, with what it forbids. Returns
 * true when there is one. `vm` may be NULL. */
bool broken_files_log(struct journal *journal, const char *vm, const char *uuid, const char *event,
                      const struct ruleset *ruleset);

#endif
