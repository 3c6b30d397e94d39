/*
 * Creates and removes mediated devices: writes to `create` of a type and `remove` of an instance
 * (Documentation/driver-api/vfio-mediated-device.rst). source_sysfs() calls these; see struct
 * host_source for what they do.
 */
#ifndef ENGINE_MDEV_INSTANCE_H
#define ENGINE_MDEV_INSTANCE_H

#include "engine/host/host.h"

/* What to do when a type of the device could not be created. */
#define MDEV_INSTANCE_SHARED                                                                       \
    "the types of a device may share what it has, so that one leaves nothing for another: see "    \
    "'virt-rules devices --all', and dmesg"

bool mdev_instance_find(const struct host_source *source, const char *uuid, char **parent,
                        char **type);
int mdev_instance_create(const struct host_source *source, const struct device *parent,
                         const char *type, const char *uuid, struct failure *failure);
int mdev_instance_remove(const struct host_source *source, const char *uuid,
                         struct failure *failure);
char *mdev_instance_user(const struct host_source *source, const char *uuid);

#endif
