/* Names of devices to their definitions, over all files of a set and in any order. */
#ifndef PARSER_RESOLVE_H
#define PARSER_RESOLVE_H

#include "parser/syntax.h"

/* Reports names that nothing defines, that two places define and that define themselves. */
void resolve_names(struct syntax *syntax, struct diagnostics *diagnostics);

/*
 * A file with an error contributes nothing, also no definitions: reports the names that come from
 * one. Returns true when it added a diagnostic, so that the files which now have an error can be
 * looked at again.
 */
bool resolve_broken(struct syntax *syntax, struct diagnostics *diagnostics);

/* What the criteria of a device need: BUS_NEEDS_PCI, BUS_NEEDS_USB or both. */
unsigned resolve_buses(const struct criterion *criteria);

#endif
