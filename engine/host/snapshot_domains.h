/*
 * The running VMs of a record: libvirt's own files of them, with nothing in them but what the
 * engine reads. Names, titles, UUIDs and paths are stand-ins; passwords, files and addresses of
 * people stay out.
 */
#ifndef ENGINE_SNAPSHOT_DOMAINS_H
#define ENGINE_SNAPSHOT_DOMAINS_H

#include "engine/host/anonymize.h"
#include "engine/host/tree.h"

#include <stdbool.h>

/* What the rest of the record does. Texts that are returned belong to the caller. */
struct domain_recorder {
    void *context;
    const struct tree *from;
    struct standins *standins;
    /* The block device that a path of /dev means, as the record has it: "sda", "mapper/vg-root";
     * NULL: none. */
    char *(*block_name)(void *context, const char *path);
    /* Records the entries that the classes in sysfs have of the last part of a path, but no
     * network interface; false: there is none. */
    bool (*put_class_entries)(void *context, const char *path);
    void (*put_text)(void *context, const char *path, const char *text);
    /* A file that is there and cannot be read. */
    void (*miss)(void *context);
};

void snapshot_domains_record(const struct domain_recorder *recorder);

#endif
