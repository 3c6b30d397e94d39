/* Names of devices for people. */
#ifndef ENGINE_NAMES_H
#define ENGINE_NAMES_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

struct names_list;

/*
 * Names of PCI devices from the tree's own usr/share/misc/pci.ids, else from what libpci finds on
 * this system. Nothing is loaded before the first question, and then the names of this host's
 * devices only; `host` and `tree` must last.
 */
struct names_list *names_create(const struct tree *tree, const struct host *host);
/* Of a device of the host: "Vendor Device", or "Device 1ac1:089a" without libpci or where it knows
 * none. */
char *names_find(struct names_list *names, struct device_id id);
/* The lines of the list that are about devices of the host, for the caller to free; NULL: there is
 * no list, or it is compressed. */
char *names_list(struct names_list *names);
void names_destroy(struct names_list *names);

/*
 * Makes a text from a device or from a file system safe to print, in place: whatever could move the
 * cursor or turn the line around, and every byte that is not UTF-8, becomes "?".
 */
void names_clean(char *text);

/* LVM's "group/volume" as the device mapper names it: a hyphen between the two, those inside
 * doubled. The caller frees it. */
char *names_volume_label(const char *name);

#endif
