/*
 * What a `never` forbids while it is in doubt: an error is in its line, or in a definition that it
 * uses. So that an error never disables a guard, it then forbids all that it may mean:
 *
 * - A condition that was not understood, or a name without a definition, counts as fulfilled.
 * - Of conditions that no device meets together, or that look like several devices, one is enough.
 * - A name that several definitions give means each of them.
 * - A list of VMs with an error means every VM.
 * - "not NAME" counts as fulfilled unless the name has one definition, free of errors.
 */
#ifndef PARSER_DOUBT_H
#define PARSER_DOUBT_H

#include "parser/syntax.h"

enum { DOUBT_CANDIDATES = 64 }; /* definitions of one name that are looked at; more: everything */

/*
 * Finds the guards that are in doubt, after the names were resolved and every diagnostic has its
 * severity. The diagnostic that is the reason gets a note on the guard.
 */
void doubt_mark(struct syntax *syntax, struct diagnostics *diagnostics);

/* Of a name in a guard of that file, after doubt_mark(): it has one definition, free of errors. */
bool doubt_is_sure(const struct source *source, const struct criterion *name);

/* "every device", "every device that is 8086:a36d", "...  to every VM". The caller frees it. */
char *doubt_forbids(const struct guard *guard);

#endif
