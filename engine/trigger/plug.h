/*
 * A device that was added or removed, from the kernel's event to the VMs that rules concern. The
 * events of one place of the host (a PCI address, a USB port) take turns, and read the host only
 * when they have the slot's lock: so events merge, and their order does not matter.
 */
#ifndef ENGINE_PLUG_H
#define ENGINE_PLUG_H

#include "engine/host/uevent.h"
#include "engine/run/run.h"

struct plug {
    const char *rules; /* directory of the rules */
    const struct host_source *host_source;
    const char *state; /* directory of locks, log and device database */
    bool by_hand;      /* a person waits: libvirt is asked once */
    struct log_writer *log;
    struct clock *clock;
    /* Called at the first need of libvirt, and not at all when no rule is about the device. */
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

/*
 * Does what the rules want at the event: for every running VM that they concern, `unplugged` for
 * what was removed and then `plugged` for what is there. Returns true when everything that they
 * want is so, or another process will see to it.
 */
bool plug_event(const struct plug *plug, const struct uevent *uevent);

/* Notifies VMs of devices that were freed when an engine was killed. */
void plug_notify_freed(const struct plug *plug);

#endif
