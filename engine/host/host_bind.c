#include "engine/host/host.h"

#include "engine/host/host_tree.h"
#include "lexer/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 256 };

static int write_at(const struct tree *tree, const char *path, const char *text) {
    char *resolved = tree_resolve(tree, path);
    int fd = resolved ? openat(tree->fd, resolved, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    int status = resolved ? errno : ELOOP;
    free(resolved);
    if (fd < 0)
        return status;
    status = write(fd, text, strlen(text)) < 0 ? errno : 0;
    close(fd);
    return status;
}

/* Returns 0, or the errno of what failed. */
static int write_below(const struct host *host, const char *path, const char *text) {
    struct tree tree;
    if (!tree_open(&tree, host->root))
        return errno;
    int status = write_at(&tree, path, text);
    tree_close(&tree);
    return status;
}

int host_release(const struct host *host, const struct host_device *device, char *error,
                 size_t error_size) {
    char path[PATH_SIZE], driver[64];
    if (device->bus != BUS_PCI || device->is_bridge || device->use || !device->driver ||
        !host_driver(host, device, driver, sizeof driver) || strcmp(driver, device->driver) != 0)
        return 0;
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s/driver/unbind", device->address);
    int status = write_below(host, path, device->address);
    if (!status || status == ENOENT || status == ENODEV) /* it has gone meanwhile */
        return 0;
    snprintf(error, error_size, "the host's driver %s does not let go of %s: %s", driver,
             device->address, strerror(status));
    return -1;
}

int host_give_back(const struct host *host, const struct host_device *device, char *error,
                   size_t error_size) {
    char driver[64];
    if (device->bus != BUS_PCI || !host_driver(host, device, driver, sizeof driver) || *driver)
        return 0;
    int status = write_below(host, "sys/bus/pci/drivers_probe", device->address);
    if (!status)
        return 0;
    snprintf(error, error_size, "no driver could be found for %s: %s", device->address,
             strerror(status));
    return -1;
}

bool host_may_split_group(const struct host *host) {
    struct tree tree;
    unsigned major = 0, minor = 0;
    if (!tree_open(&tree, host->root))
        return false;
    char *release = tree_read(&tree, "proc/sys/kernel/osrelease");
    /* NOLINTNEXTLINE(cert-err34-c): a version that is no number stays 0 */
    bool known = release && sscanf(release, "%3u.%3u", &major, &minor) == 2;
    free(release);
    tree_close(&tree);
    return known && (major > 5 || (major == 5 && minor >= 19));
}
