/* How a rule names one device of the host. */
#ifndef ENGINE_SELECTOR_H
#define ENGINE_SELECTOR_H

#include "engine/host/host.h"

/*
 * The shortest condition that selects only this device: "1ac1:089a", "8086:1520 at 0000:01:00.1",
 * "10c4:ea60 serial "0001"". The caller frees it.
 */
char *selector_text(const struct host *host, const struct device *device);

#endif
