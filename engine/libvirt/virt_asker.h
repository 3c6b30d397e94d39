/*
 * The port to libvirt with a deadline for every call. libvirt's client waits for its daemon for as
 * long as the daemon takes, and cannot be interrupted: so a process of its own, the asker, makes
 * the calls. One that does not return in time is VIRT_NO_REPLY, and the asker is killed; a library
 * that crashes is VIRT_UNREACHABLE. The next call starts another asker.
 *
 * After VIRT_NO_REPLY every call fails at once, with the same error, for as long as a question may
 * take: who makes many calls waits once.
 */
#ifndef ENGINE_VIRT_ASKER_H
#define ENGINE_VIRT_ASKER_H

#include "engine/libvirt/virt.h"

/* What the asker does; virt_asker_connect() and virt_asker_find_library() are these with libvirt.
 */
struct virt_asker_work {
    int (*open)(struct virt **virt, const char *uri, struct virt_error *error);
    int (*library)(struct virt_library *library, struct virt_error *error);
};

/* Returns 0, or -1 with `error` and `virt` NULL. */
int virt_asker_open(struct virt **virt, const struct virt_asker_work *work, const char *uri,
                    struct virt_error *error);
int virt_asker_library(const struct virt_asker_work *work, struct virt_library *library,
                       struct virt_error *error);

#endif
