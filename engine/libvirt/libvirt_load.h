/* Finds and loads the libvirt library: the engine is not linked with it. */
#ifndef ENGINE_LIBVIRT_LOAD_H
#define ENGINE_LIBVIRT_LOAD_H

#include "engine/libvirt/virt.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* The functions that the engine uses of libvirt: nothing newer than virConnectListAllDomains, of
 * 0.9.13. */
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
    __typeof__(virDomainGetState) *state;
    __typeof__(virDomainAttachDeviceFlags) *attach;
    __typeof__(virDomainDetachDeviceFlags) *detach;
    __typeof__(virDomainIsActive) *is_active;
    __typeof__(virDomainIsPersistent) *is_persistent;
    __typeof__(virDomainHasManagedSaveImage) *is_saved;
    __typeof__(virDomainSetMetadata) *set_metadata;
    __typeof__(virDomainReset) *reset;
    __typeof__(virDomainReboot) *reboot;
    __typeof__(virDomainFree) *free;
    __typeof__(virGetVersion) *version;
    __typeof__(virConnectGetLibVersion) *daemon_version;
    __typeof__(virConnectGetURI) *connection_uri;
    /* For watch() and wait(), which report nothing when one of them is NULL. */
    __typeof__(virConnectIsAlive) *is_alive;
    __typeof__(virConnectDomainEventRegisterAny) *register_event;
    __typeof__(virConnectDomainEventDeregisterAny) *deregister_event;
    __typeof__(virEventRegisterDefaultImpl) *register_loop;
    __typeof__(virEventRunDefaultImpl) *run_loop;
    __typeof__(virEventAddTimeout) *add_timeout;
    __typeof__(virEventRemoveTimeout) *remove_timeout;
};

/*
 * Loads the first of `libraries` (NULL ends them) that can be loaded, for as long as the process
 * lives: libvirt cannot be unloaded. Of one that is named with its directory, the libraries that it
 * needs are also looked for there, as on a NAS. `used` is its place in the list. Returns what
 * dlopen(3) does, or NULL with `error`.
 */
void *libvirt_load_open(struct libvirt_api *api, const char *const *libraries, size_t *used,
                        struct virt_error *error);

#endif
