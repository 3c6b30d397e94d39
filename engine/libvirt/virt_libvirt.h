/* Inside of virt_libvirt.c, open to its test. Everybody else includes virt.h. */
#ifndef ENGINE_VIRT_LIBVIRT_H
#define ENGINE_VIRT_LIBVIRT_H

#include "engine/libvirt/libvirt_load.h"

/* As virt_asker_connect() and virt_asker_find_library(), but in this process: a call may never
 * return. */
int virt_libvirt_open(struct virt **virt, const char *uri, struct virt_error *error);
int virt_libvirt_library(struct virt_library *library, struct virt_error *error);

/* virt_libvirt_open() with the places to look for the library, tried in order until one loads;
 * NULL ends them. */
int virt_libvirt_open_from(struct virt **virt, const char *uri, const char *const *libraries,
                           struct virt_error *error);

/* The same with a library that is loaded already; `api` is copied. */
int virt_libvirt_create(struct virt **virt, const char *uri, const struct libvirt_api *api,
                        struct virt_error *error);

#endif
