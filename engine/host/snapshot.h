/*
 * A host's facts as a tree of files that source_sysfs() reads as it reads the host: for a bug
 * report, or for trying rules elsewhere. Only what the engine reads is in it, and what people would
 * not show has stand-ins: USB serial numbers, MAC addresses, UUIDs, what people called VMs,
 * volumes, pools and mount points, IP addresses. Files, sources and types of what is mounted
 * otherwise stay out.
 */
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include "lexer/failure.h"

#include <stddef.h>

struct record {
    size_t files;   /* written, links too */
    size_t skipped; /* could not be read, for lack of permission mostly */
};

/*
 * Records the host below `root` ("" or NULL: the running system) in `directory`, which is made, or
 * is there and empty. Links are followed inside `root` only. Returns 0, or -1 with a message; then
 * what is written so far stays.
 */
int snapshot_record(struct record *record, const char *root, const char *directory,
                    struct failure *failure);

#endif
