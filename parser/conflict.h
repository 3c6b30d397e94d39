/* Rules held against each other: the same said twice, one device for two VMs, what a `never` makes
 * void. */
#ifndef PARSER_CONFLICT_H
#define PARSER_CONFLICT_H

#include "parser/syntax.h"

/* duplicate-device, duplicate-rule and shared-device. One pass, time in proportion to the rules. */
void conflict_check(struct syntax *syntax, struct diagnostics *diagnostics);

/* void-by-never. Rules times guards, up to a budget; what is beyond it is not looked at. */
void conflict_check_guards(struct syntax *syntax, struct diagnostics *diagnostics);

#endif
