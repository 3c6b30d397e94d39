/* What libvirt's errors mean, and what to do about them. */
#ifndef ENGINE_LIBVIRT_ERRORS_H
#define ENGINE_LIBVIRT_ERRORS_H

#include "engine/libvirt/libvirt_load.h"

#define LIBVIRT_ERRORS_CONNECTION                                                                  \
    "is libvirtd (or virtqemud) running? Try 'virsh -c qemu:///system list' as the same user"

/* Fills `error` from what libvirt said: `domain` is a virErrorDomain, `code` a virErrorNumber.
 * Messages are recognised in English only, as a daemon without LANG writes them. Pure. */
void libvirt_errors_set(struct virt_error *error, int domain, int code, const char *message);

/* The same from the error of this thread's last call, which is reset. Returns -1. */
int libvirt_errors_last(const struct libvirt_api *api, struct virt_error *error);

/* Whether the daemon seems to translate its messages: English needs ASCII only. Names of VMs and
 * devices in them may have other characters, which is harmless here: only a hint depends on it. */
bool libvirt_errors_is_translated(const char *message);

#endif
