/* The IPv4 routes of all tables of the running system; /proc/net/route has the main table only. */
#ifndef ENGINE_ROUTES_H
#define ENGINE_ROUTES_H

#include <stdbool.h>

/* Calls `visit` for each interface of each unicast route, several times for one with several
 * routes. False: the kernel did not list all of them. */
bool routes_each(void (*visit)(void *context, const char *interface, bool is_default),
                 void *context);

#endif
