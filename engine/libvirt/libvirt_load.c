#include "engine/libvirt/libvirt_load.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYNOLOGY "/var/packages/Virtualization/target"

const char *const libvirt_load_places[] = {
    "libvirt.so.0",
    SYNOLOGY "/usr/local/lib/libvirt.so.0",
    SYNOLOGY "/usr/lib/libvirt.so.0",
    SYNOLOGY "/lib/libvirt.so.0",
    NULL,
};

#define SYMBOL(name, member)                                                                       \
    { name, offsetof(struct libvirt_api, member) }

struct libvirt_load_symbol {
    const char *name;
    size_t offset;
};

static const struct libvirt_load_symbol symbols[] = {
    SYMBOL("virInitialize", initialize),
    SYMBOL("virSetErrorFunc", set_error_function),
    SYMBOL("virGetLastError", last_error),
    SYMBOL("virResetLastError", reset_last_error),
    SYMBOL("virConnectOpen", open),
    SYMBOL("virConnectClose", close),
    SYMBOL("virConnectListAllDomains", list_domains),
    SYMBOL("virDomainLookupByUUIDString", lookup_by_uuid),
    SYMBOL("virDomainLookupByName", lookup_by_name),
    SYMBOL("virDomainGetUUIDString", uuid),
    SYMBOL("virDomainGetID", id),
    SYMBOL("virDomainGetXMLDesc", xml),
    SYMBOL("virDomainGetState", state),
    SYMBOL("virDomainAttachDeviceFlags", attach),
    SYMBOL("virDomainDetachDeviceFlags", detach),
    SYMBOL("virDomainReset", reset),
    SYMBOL("virDomainReboot", reboot),
    SYMBOL("virDomainFree", free),
    SYMBOL("virGetVersion", version),
    SYMBOL("virConnectGetLibVersion", daemon_version),
    SYMBOL("virConnectGetURI", connection_uri),
};

/* Without them wait() only sleeps. */
static const struct libvirt_load_symbol event_symbols[] = {
    SYMBOL("virConnectIsAlive", is_alive),
    SYMBOL("virConnectDomainEventRegisterAny", register_event),
    SYMBOL("virConnectDomainEventDeregisterAny", deregister_event),
    SYMBOL("virEventRegisterDefaultImpl", register_loop),
    SYMBOL("virEventRunDefaultImpl", run_loop),
    SYMBOL("virEventAddTimeout", add_timeout),
    SYMBOL("virEventRemoveTimeout", remove_timeout),
};

static void *libvirt_load_first(const char *const *libraries, struct virt_error *error) {
    char tried[1024] = "", why[512] = "";
    size_t length = 0;

    for (; *libraries; libraries++) {
        void *library = dlopen(*libraries, RTLD_NOW | RTLD_LOCAL);

        if (library)
            return library;
        /* A library that is there but does not load says more than the first that is not. */
        if (!*why || access(*libraries, F_OK) == 0)
            snprintf(why, sizeof why, "%s", dlerror());
        if (length < sizeof tried)
            length += (size_t)snprintf(tried + length, sizeof tried - length, "%s%s",
                                       length ? ", " : "", *libraries);
    }
    virt_error_set(
        error, VIRT_UNREACHABLE,
        "install libvirt (Debian: libvirt0; Synology: Virtual Machine Manager), or put its folder "
        "into LD_LIBRARY_PATH",
        "the libvirt library does not load: %s; tried %s", why, tried);
    return NULL;
}

static bool libvirt_load_symbol(struct libvirt_api *api, void *library,
                                const struct libvirt_load_symbol *symbol) {
    void *address = dlsym(library, symbol->name);

    memcpy((char *)api + symbol->offset, &address, sizeof address);
    return address;
}

static int libvirt_load_symbols(struct libvirt_api *api, void *library, struct virt_error *error) {
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!libvirt_load_symbol(api, library, &symbols[i]))
            return virt_error_set(error, VIRT_UNREACHABLE, "libvirt 0.9.13 or newer is needed",
                                  "the libvirt library has no %s", symbols[i].name);
    for (size_t i = 0; i < sizeof event_symbols / sizeof *event_symbols; i++)
        libvirt_load_symbol(api, library, &event_symbols[i]);
    return 0;
}

void *libvirt_load_open(struct libvirt_api *api, const char *const *libraries,
                        struct virt_error *error) {
    void *library = libvirt_load_first(libraries, error);
    return library && libvirt_load_symbols(api, library, error) == 0 ? library : NULL;
}
