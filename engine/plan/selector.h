/* How a rule names one device of the host. */
#ifndef ENGINE_SELECTOR_H
#define ENGINE_SELECTOR_H

#include "engine/host/host.h"

/* The devices of a host in an order that shows which are alike: `devices` asks for each of them. */
struct selector {
    const struct device **order; /* by bus, id and serial */
    size_t count;
};

/* The host, which is borrowed, must last as long. */
void selector_init(struct selector *selector, const struct host *host);
void selector_finish(struct selector *selector);

/*
 * The shortest condition that selects only this device, and does so tomorrow: "1ac1:089a",
 * "8086:1520 at 0000:01:00.1", "scsi serial "S3Z9"", "10c4:ea60 serial "00212E7B"", "1a86:7523 port
 * 1-1.3"; of a device that is known to change its id in use both: "1a6e:089a or 18d1:9302". The
 * caller frees it.
 */
char *selector_text(const struct selector *selector, const struct device *device);

/* What to add to a condition that selects several devices so that it selects this one: "serial
 * "S3Z9"", "port 1-1.3", "at 0000:01:00.1", "scsi "2:0:0:0"". The caller frees it. */
char *selector_addition(const struct selector *selector, const struct device *device);

#endif
