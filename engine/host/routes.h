/* The IPv4 routes of all tables of the running system; /proc/net/route has the main table only. */
#ifndef ENGINE_ROUTES_H
#define ENGINE_ROUTES_H

#include <stdbool.h>

/*
 * Calls `visit` for each interface that a route of unicast leads out of. Returns false when the
 * kernel does not tell all of them.
 */
bool routes_each(void (*visit)(void *context, const char *interface, bool is_default),
                 void *context);

#endif
