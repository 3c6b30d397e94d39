#include "tests/fake/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

__attribute__((noreturn)) static void give_up(const char *what) {
    fprintf(stderr, "the stand-in for libvirt: %s: %s\n", what, strerror(errno));
    abort();
}

char *world_path(char path[WORLD_PATH], const char *format, ...) {
    const char *root = getenv("FAKE_LIBVIRT");
    if (!root)
        give_up("FAKE_LIBVIRT is not set");
    int length = snprintf(path, WORLD_PATH, "%s/", root);
    va_list values;
    va_start(values, format);
    vsnprintf(path + length, WORLD_PATH - (size_t)length, format, values);
    va_end(values);
    return path;
}

char *world_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc((size_t)size + 1, 1);
    if (!text || pread(fd, text, (size_t)size, 0) != size)
        give_up(path);
    close(fd);
    return text;
}

/* The new file has a name that no reader looks for: it starts with a point. */
void world_write(const char *path, const char *text) {
    char fresh[WORLD_PATH + 8];
    const char *name = strrchr(path, '/') + 1;
    snprintf(fresh, sizeof fresh, "%.*s.new-%s", (int)(name - path), path, name);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) != 0 ||
        rename(fresh, path) != 0)
        give_up(path);
}

int world_lock(const char *name) {
    char path[WORLD_PATH];
    int fd = open(world_path(path, "%s", name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            give_up(path);
    return fd;
}

void world_unlock(int lock) {
    if (lock >= 0)
        close(lock);
}

/* ---- the host ---- */

static char *device_path(char path[WORLD_PATH], const char *address, const char *file) {
    return world_path(path, "host/sys/bus/pci/devices/%s/%s", address, file);
}

bool world_driver(const char *address, char driver[64]) {
    char path[WORLD_PATH], target[WORLD_PATH];
    if (access(device_path(path, address, ""), F_OK) != 0)
        return false;
    ssize_t size = readlink(device_path(path, address, "driver"), target, sizeof target - 1);
    target[size > 0 ? size : 0] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(driver, 64, "%s", slash ? slash + 1 : "");
    return true;
}

/* From the device's own directory up to sys/: its link in sys/bus/pci/devices says how deep. */
static void link_to_driver(const char *address, const char *driver, char *target, size_t size) {
    char path[WORLD_PATH], device[WORLD_PATH];
    ssize_t length = readlink(world_path(path, "host/sys/bus/pci/devices/%s", address), device,
                              sizeof device - 1);
    if (length < 0)
        give_up(path);
    device[length] = '\0';
    const char *below = strstr(device, "devices/");
    *target = '\0';
    size_t used = 0;
    for (const char *slash = below; slash; slash = strchr(slash + 1, '/'))
        used += (size_t)snprintf(target + used, size - used, "../");
    snprintf(target + used, size - used, "bus/pci/drivers/%s", driver);
}

void world_bind(const char *address, const char *driver) {
    char path[WORLD_PATH], fresh[WORLD_PATH], target[WORLD_PATH], old[64];
    if (!world_driver(address, old) || strcmp(old, driver) == 0)
        return;
    device_path(path, address, "driver");
    if (!*driver) {
        unlink(path);
        return;
    }
    link_to_driver(address, driver, target, sizeof target);
    device_path(fresh, address, ".new-driver");
    unlink(fresh);
    if (symlink(target, fresh) != 0 || rename(fresh, path) != 0)
        give_up(path);
}

void world_bind_native(const char *address) {
    char path[WORLD_PATH];
    char *driver = world_read(world_path(path, "native/%s", address));
    world_bind(address, driver ? driver : "");
    free(driver);
}

void world_override(const char *address, const char *driver) {
    char path[WORLD_PATH];
    int fd = open(device_path(path, address, "driver_override"),
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, driver, strlen(driver)) < 0)
        give_up(path);
    close(fd);
}

bool world_is_overridden(const char *address) {
    char path[WORLD_PATH];
    char *driver = world_read(device_path(path, address, "driver_override"));
    bool is = driver && strncmp(driver, "vfio-pci", 8) == 0;
    free(driver);
    return is;
}

static bool is_endpoint(const char *address) {
    char path[WORLD_PATH];
    char *class = world_read(device_path(path, address, "class"));
    bool is = class && strncmp(class, "0x06", 4) != 0;
    free(class);
    return is;
}

bool world_group(const char *address, bool (*take)(void *context, const char *member),
                 void *context) {
    char path[WORLD_PATH];
    bool taken = false;
    DIR *list = opendir(device_path(path, address, "iommu_group/devices"));
    for (const struct dirent *entry; list && !taken && (entry = readdir(list));)
        taken = *entry->d_name != '.' && is_endpoint(entry->d_name) && take(context, entry->d_name);
    if (list)
        closedir(list);
    return taken;
}

/* ---- the VMs ---- */

bool world_vms(bool (*take)(void *context, const char *name, char *xml), void *context) {
    char path[WORLD_PATH], name[256];
    bool taken = false;
    DIR *list = opendir(world_path(path, "vms"));
    if (!list)
        give_up(path);
    for (const struct dirent *entry; !taken && (entry = readdir(list));) {
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *end = strrchr(name, '.');
        if (*name == '.' || !end || strcmp(end, ".xml") != 0)
            continue;
        *end = '\0';
        char *xml = world_read(world_path(path, "vms/%s.xml", name));
        taken = xml && take(context, name, xml);
        free(xml);
    }
    closedir(list);
    return taken;
}
