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

/*
 * The definitions that a name may mean in a file: those of the file itself, else those of every
 * file that is not refused. More than one of them is an error that is reported elsewhere. Puts at
 * most `limit` into the list and returns how many.
 */
size_t resolve_candidates(const struct definition *named, const struct source *source,
                          const struct definition *list[], size_t limit);

/* The buses, a set, that the criterion leaves to a device; BUS_NEEDS_ANY of names. */
unsigned resolve_buses(const struct criterion *criterion);

/*
 * What the alternatives of a device need, each one set of buses: bit 1 << BUS_NEEDS_PCI is set when
 * one of them needs PCI. Narrows such sets by a further criterion, of a name by those of its
 * definition; no bit is left when no device can meet it. RESOLVE_ANY_BUS is where one begins.
 */
enum { RESOLVE_ANY_BUS = 1 << BUS_NEEDS_ANY };
unsigned resolve_narrow(unsigned bus_sets, const struct criterion *criterion);
/* Of a whole device. */
unsigned resolve_bus_sets(const struct criterion *device);

#endif
