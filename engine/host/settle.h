/*
 * Whether the kernel and udev have finished with a device that was added: what host.h says of
 * settling(), is_there() and age_ms().
 *
 * Facts: the kernel's drivers/base/core.c, device_add(): the node in devtmpfs is made before the
 * event is sent. systemd's src/udev/udev-event.c and src/libsystemd/sd-device: udevd sets owner and
 * mode of a node, then writes the device's record, and then runs RUN programs; libudev counts a
 * device with a record as initialized. libvirt changes owner, label and device list of a USB
 * device's node, which udev would undo if it came later.
 */
#ifndef ENGINE_SETTLE_H
#define ENGINE_SETTLE_H

#include "engine/host/host.h"

enum host_settling settle_state(const struct host_source *source, const struct device *device,
                                char **missing);
bool settle_has_events(const struct host_source *source);
bool settle_is_there(const struct host_source *source, const struct device *device);
int64_t settle_age_ms(const struct host_source *source, const struct device *device);

#endif
