/* Inside of virt_libvirt.c, open to its test. Everybody else includes virt.h. */
#ifndef ENGINE_VIRT_LIBVIRT_H
#define ENGINE_VIRT_LIBVIRT_H

#include "engine/libvirt/virt.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* What is used of libvirt: nothing newer than virConnectListAllDomains, of 0.9.13. */
struct libvirt_api {
    __typeof__(virInitialize) *initialize;
    __typeof__(virSetErrorFunc) *set_error_function;
    __typeof__(virGetLastError) *last_error;
    __typeof__(virResetLastError) *reset_last_error;
    __typeof__(virConnectOpen) *open;
    __typeof__(virConnectClose) *close;
    __typeof__(virConnectListAllDomains) *list_domains;
    __typeof__(virDomainLookupByUUIDString) *lookup_by_uuid;
    __typeof__(virDomainLookupByName) *lookup_by_name;
    __typeof__(virDomainGetUUIDString) *uuid;
    __typeof__(virDomainGetID) *id;
    __typeof__(virDomainGetXMLDesc) *xml;
    __typeof__(virDomainAttachDeviceFlags) *attach;
    __typeof__(virDomainDetachDeviceFlags) *detach;
    __typeof__(virDomainReset) *reset;
    __typeof__(virDomainReboot) *reboot;
    __typeof__(virDomainFree) *free;
    __typeof__(virGetVersion) *version;
    __typeof__(virConnectGetLibVersion) *daemon_version;
    __typeof__(virConnectGetURI) *connection_uri;
    /* For watch() and wait(), which tell of nothing when one of them is NULL. */
    __typeof__(virConnectIsAlive) *is_alive;
    __typeof__(virConnectDomainEventRegisterAny) *register_event;
    __typeof__(virConnectDomainEventDeregisterAny) *deregister_event;
    __typeof__(virEventRegisterDefaultImpl) *register_loop;
    __typeof__(virEventRunDefaultImpl) *run_loop;
    __typeof__(virEventAddTimeout) *add_timeout;
    __typeof__(virEventRemoveTimeout) *remove_timeout;
};

/* What virt_asker_connect() and virt_asker_find_library() do, in this very process, so that a call
 * may never return. */
int virt_libvirt_open(struct virt **virt, const char *uri, struct virt_error *error);
int virt_libvirt_library(struct virt_library *library, struct virt_error *error);

/* virt_libvirt_open() with the places to look for the library, tried in order until one loads;
 * NULL ends them. */
int virt_libvirt_open_from(struct virt **virt, const char *uri, const char *const *libraries,
                           struct virt_error *error);

/* The same with a library that is loaded already; `api` is copied. */
int virt_libvirt_create(struct virt **virt, const char *uri, const struct libvirt_api *api,
                        struct virt_error *error);

/* Fills `error` from what libvirt said: `domain` is a virErrorDomain, `code` a virErrorNumber.
 * Messages are recognised in English only, as a daemon without LANG writes them. Pure. */
void virt_libvirt_error(struct virt_error *error, int domain, int code, const char *message);

#endif
