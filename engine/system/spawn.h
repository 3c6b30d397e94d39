/* Runs a program of a rule: no shell, a clean environment, its own process group, a time limit. */
#ifndef ENGINE_SPAWN_H
#define ENGINE_SPAWN_H

#include "lexer/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPAWN_LIMIT_MS = 30000, SPAWN_OUTPUT_LIMIT = 8192, SPAWN_LAST_LIMIT = 400 };

/* What spawn() returns when the program could not even be tried: the system is short of something.
 */
enum { SPAWN_NO_PROCESS = -2 };

/*
 * Runs `arguments` (the program first, NULL ends them) with `environment` alone, standard input
 * from /dev/null. Whatever it leaves running in its process group is ended after it, or at the
 * limit. Returns 0 when it ended with status 0; else -1, or SPAWN_NO_PROCESS, with why in
 * `failure`. The first SPAWN_OUTPUT_LIMIT - 1 bytes of what it printed are in `output`; its last
 * line that is not empty, or the end of that, is in `last`, which may be NULL. The caller frees
 * both.
 */
int spawn(const char *const *arguments, const char *const *environment, int limit_ms, char **output,
          char **last, struct failure *failure);

#endif
