#include "engine/libvirt/libvirt_load.h"

#include "engine/libvirt/elf.h"
#include "engine/system/conf.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    SYMBOL("virDomainIsActive", is_active),
    SYMBOL("virDomainIsPersistent", is_persistent),
    SYMBOL("virDomainHasManagedSaveImage", is_saved),
    SYMBOL("virDomainSetMetadata", set_metadata),
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

/* --- a library with its dependencies in one directory */

/* What a NAS has in its directory of libvirt; for its own programs it sets LD_LIBRARY_PATH. */
struct libvirt_load_beside {
    char *directories[2]; /* of the library, and the one of the other name, lib or lib64 */
    char *tried[256];
    size_t count;
};

/* One C library is in this process already, and no part of another one may join it. */
static bool libvirt_load_is_c_library(const char *name) {
    static const char *const names[] = {
        "ld-",    "ld.so",    "libc.",   "libc-",      "libm.",   "libdl.",  "libpthread.",
        "librt.", "libutil.", "libanl.", "libresolv.", "libnss_", "libmvec."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_starts_with(name, names[i]))
            return true;
    return false;
}

static bool libvirt_load_is_new(struct libvirt_load_beside *beside, const char *path) {
    enum { LIMIT = sizeof beside->tried / sizeof *beside->tried };
    for (size_t i = 0; i < beside->count; i++)
        if (!strcmp(beside->tried[i], path))
            return false;
    if (beside->count == LIMIT)
        return false;
    beside->tried[beside->count++] = memory_strdup(path);
    return true;
}

static void libvirt_load_needed(void *context, const char *name);

/* First what the library needs, then itself: the loader takes one that is loaded, by its soname,
 * instead of searching for it. */
static void libvirt_load_dependency(struct libvirt_load_beside *beside, const char *path) {
    struct stat status;
    if (stat(path, &status) != 0 || (status.st_mode & S_IWOTH) ||
        !libvirt_load_is_new(beside, path))
        return;
    elf_each_needed(path, libvirt_load_needed, beside);
    dlopen(path, RTLD_LAZY | RTLD_LOCAL); /* the library itself says what is missing */
}

static void libvirt_load_needed(void *context, const char *name) {
    struct libvirt_load_beside *beside = context;
    if (strchr(name, '/') || libvirt_load_is_c_library(name) ||
        dlopen(name, RTLD_LAZY | RTLD_NOLOAD))
        return;
    for (size_t i = 0; i < 2 && beside->directories[i]; i++) {
        char *path = memory_printf("%s/%s", beside->directories[i], name);
        libvirt_load_dependency(beside, path);
        free(path);
    }
}

static void libvirt_load_beside(const char *path) {
    struct libvirt_load_beside beside = {0};
    char *directory = memory_strndup(path, (size_t)(strrchr(path, '/') - path));
    size_t length = strlen(directory);
    beside.directories[0] = directory;
    if (text_ends_with(directory, "/lib64"))
        beside.directories[1] = memory_strndup(directory, length - 2);
    else if (text_ends_with(directory, "/lib"))
        beside.directories[1] = memory_printf("%s64", directory);
    elf_each_needed(path, libvirt_load_needed, &beside);
    for (size_t i = 0; i < beside.count; i++)
        free(beside.tried[i]);
    free(beside.directories[0]);
    free(beside.directories[1]);
}

/* One that the system's loader finds fits its dependencies, of which it needs few symbols. */
static void *libvirt_load_library(const char *name) {
    bool is_of_system = !strchr(name, '/');
    void *library = dlopen(name, (is_of_system ? RTLD_LAZY : RTLD_NOW) | RTLD_LOCAL);
    if (library || is_of_system || access(name, R_OK) != 0)
        return library;
    libvirt_load_beside(name);
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

/* --- the library */

static void *libvirt_load_first(const char *const *libraries, size_t *used,
                                struct virt_error *error) {
    char tried[1024] = "", why[512] = "";
    size_t length = 0;

    for (*used = 0; libraries[*used]; ++*used) {
        const char *name = libraries[*used];
        void *library = libvirt_load_library(name);

        if (library)
            return library;
        /* A library that is there but does not load says more than the first that is not. */
        if (!*why || access(name, F_OK) == 0)
            snprintf(why, sizeof why, "%s", dlerror());
        if (length < sizeof tried)
            length += (size_t)snprintf(tried + length, sizeof tried - length, "%s%s",
                                       length ? ", " : "", name);
    }
    virt_error_set(error, VIRT_UNREACHABLE,
                   "install libvirt (Debian: libvirt0; Synology: Virtual Machine Manager; QNAP: "
                   "Virtualization Station), or name the file in " CONF_NAME
                   ": library = /DIRECTORY/libvirt.so.0",
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

void *libvirt_load_open(struct libvirt_api *api, const char *const *libraries, size_t *used,
                        struct virt_error *error) {
    void *library = libvirt_load_first(libraries, used, error);
    return library && libvirt_load_symbols(api, library, error) == 0 ? library : NULL;
}
