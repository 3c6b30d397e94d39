/* Rules compared with each other: repetitions, one device for two VMs, and what a `never` forbids.
 */
#ifndef PARSER_CONFLICT_H
#define PARSER_CONFLICT_H

#include "parser/syntax.h"

/* duplicate-device, duplicate-rule and shared-device. The time grows in proportion to the rules. */
void conflict_check(struct syntax *syntax, struct diagnostics *diagnostics);

/* void-by-never. Rules times guards, up to a limit; a diagnostic says when it is reached. */
void conflict_check_guards(struct syntax *syntax, struct diagnostics *diagnostics);

#endif
