/* Which device of the host a person means. */
#ifndef ENGINE_ADD_DEVICE_H
#define ENGINE_ADD_DEVICE_H

#include "engine/plan/inventory.h"

struct add_devices {
    const struct device **list;
    size_t count;
};

/*
 * Those that the word names: an address, a USB port, a USB number ("1/4"), an id, a file
 * ("/dev/ttyUSB0"), the kernel's name of an interface or a disk ("eno2", "sda"), the UUID of a
 * mediated device, a serial number; else those, bridges aside, in whose names or class words begin
 * so, all of them, in any case. add_device_finish() ends the list.
 */
struct add_devices add_device_find(const struct inventory *inventory, const char *word);

void add_device_append(struct add_devices *devices, const struct device *device);
void add_device_finish(struct add_devices *devices);

/* One device; or functions of one card in one IOMMU group, which can only go together, as those of
 * a graphics card: the first stands for all. */
bool add_device_is_one_card(const struct add_devices *devices);

/* "0000:01:00.1  8086:1521  Intel Corporation I350 Gigabit Network Connection (eno2)", with the
 * serial number if there is one: what tells twins apart. The caller frees it. */
char *add_device_text(const struct inventory *inventory, const struct device *device);

#endif
