/*
 * What two conditions on a device say together, 'not' included. Names of definitions are not looked
 * into. Both are sure when they answer true; false means: no, or not known.
 */
#ifndef PARSER_CRITERION_H
#define PARSER_CRITERION_H

#include "parser/syntax.h"

/* No device meets both. */
bool criterion_excludes(const struct criterion *one, const struct criterion *other);

/* Every device that meets `one` meets `other` too. */
bool criterion_implies(const struct criterion *one, const struct criterion *other);

/* True for the port of a device behind that hub, at any depth. */
bool criterion_is_below(const char *hub, const char *port);

#endif
