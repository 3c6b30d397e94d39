/* Names of devices for people. */
#ifndef ENGINE_NAMES_H
#define ENGINE_NAMES_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

struct names_list;

/*
 * What pci.ids says of the host's PCI devices, or usb.ids of the USB devices that have no texts of
 * their own: the tree's own list in usr/share/misc, else this system's, else the one in the prefix
 * of the archive. Without a list, or with one that is compressed, no device has a name, and with
 * pci.ids the host's `lacks_names` is set. The caller ends it with names_destroy().
 */
struct names_list *names_create(const struct tree *tree, struct host *host, enum bus bus);
void names_destroy(struct names_list *names);
/* The names of the USB devices by usb.ids, which the snapshot leaves out: events need them not. */
void names_complete(struct host *host);
/* Of a device of the host: "Vendor Device"; where the list lacks it, its class in words and its
 * id: "Vendor System peripheral 089a" or "System peripheral 1ac1:089a". The caller frees it. */
char *names_find(const struct names_list *names, const struct device *device);
/* The lines of the list that are about devices of the host. The caller frees it. */
char *names_list(const struct names_list *names);

/*
 * Makes a text from a device or from a file system safe to print, in place: whatever could move the
 * cursor or turn the line around, and every byte that is not UTF-8, becomes "?".
 */
void names_clean(char *text);

/* LVM's "group/volume" as the device mapper names it: a hyphen between the two, those inside
 * doubled. The caller frees it. */
char *names_volume_label(const char *name);

#endif
