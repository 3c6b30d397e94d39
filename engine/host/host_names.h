/* Names of devices for people. */
#ifndef ENGINE_HOST_NAMES_H
#define ENGINE_HOST_NAMES_H

#include "engine/host/host.h"
#include "engine/host/host_tree.h"

struct pci_names;

/*
 * Names of PCI devices from the tree's own usr/share/misc/pci.ids, else from what libpci finds on
 * this system. Nothing is loaded before the first question, and then the names of this host's
 * devices only; `host` and `tree` must last.
 */
struct pci_names *pci_names_create(const struct tree *tree, const struct host *host);
/* Of a device of the host: "Vendor Device", or "Device 1ac1:089a" without libpci or where it knows
 * none. */
char *pci_names_find(struct pci_names *names, struct device_id id);
/* The lines of the list that are about devices of the host, for the caller to free; NULL: there is
 * no list, or it is compressed. */
char *pci_names_list(struct pci_names *names);
void pci_names_destroy(struct pci_names *names);

/*
 * Makes a text from a device or from a file system safe to print, in place: whatever could move the
 * cursor or turn the line around, and every byte that is not UTF-8, becomes "?".
 */
void text_clean(char *text);

/* LVM's "group/volume" as the device mapper names it: a hyphen between the two, those inside
 * doubled. The caller frees it. */
char *host_volume_label(const char *name);

#endif
