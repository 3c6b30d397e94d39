/* What is wrong with a virt-rules.conf, reported as of a rule file. */
#ifndef ENGINE_CONF_CHECK_H
#define ENGINE_CONF_CHECK_H

#include "engine/system/conf.h"
#include "lexer/diagnostic.h"

/*
 * Reads the file and adds what is wrong with it, in the order of its lines. The caller ends
 * `source` with source_finish(), after the diagnostics. Returns false, with nothing to end: there
 * is no such file.
 */
bool conf_check(struct source *source, const char *path, struct diagnostics *diagnostics);

#endif
