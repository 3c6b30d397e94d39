/* What libvirt's errors mean, and what to do about them. */
#ifndef ENGINE_LIBVIRT_ERRORS_H
#define ENGINE_LIBVIRT_ERRORS_H

#include "engine/libvirt/libvirt_load.h"

#define LIBVIRT_ERRORS_CONNECTION                                                                  \
    "is libvirtd (or virtqemud) running? Try 'virsh -c qemu:///system list' as the same user"

/* Fills `error` from what libvirt said: `domain` is a virErrorDomain, `code` a virErrorNumber. The
 * table is libvirt_errors.def. Texts are known in English, as a daemon without LANG writes them. An
 * error of no row is unknown (struct virt_error). Pure. */
void libvirt_errors_set(struct virt_error *error, int domain, int code, const char *message);

/* The same from the error of this thread's last call, which is reset. Returns -1. */
int libvirt_errors_last(const struct libvirt_api *api, struct virt_error *error);

#endif
