#include "engine/host/driver.h"

#include "engine/host/host.h"
#include "engine/host/kernel_release.h"
#include "engine/host/tree.h"
#include "engine/system/deadline.h"
#include "engine/system/helper.h"
#include "engine/system/spawn.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 256 };

bool driver_is_vfio(const char *driver) {
    return text_ends_with(driver, "vfio-pci") || text_ends_with(driver, "vfio_pci");
}

bool driver_host_has(const struct host *host, const struct device *device) {
    char driver[64];
    return host->source.driver_of(host, device, driver, sizeof driver) && *driver &&
           !driver_is_vfio(driver);
}

static int driver_write_at(const struct tree *tree, const char *path, const char *text) {
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

/* What libvirt writes before it gives a device to vfio; an old kernel has no such file. Anybody
 * else's is left as it is. */
static int driver_clear_override(const struct host *host, const struct device *device) {
    struct tree tree;
    char path[PATH_SIZE], *directory = memory_printf("sys/bus/pci/devices/%s", device->address);
    snprintf(path, sizeof path, "%s/driver_override", directory);
    char *now =
        tree_open(&tree, host->root) ? tree_attribute(&tree, directory, "driver_override") : NULL;
    int status = now && driver_is_vfio(now) ? driver_write_at(&tree, path, "\n") : 0;
    tree_close(&tree);
    free(now);
    free(directory);
    return status;
}

struct bind_work {
    const char *root, *path, *text;
    const struct host *host;
    const struct device *overridden; /* its override is cleared first; NULL: none */
};

static void driver_bind_write(void *context, int socket) {
    const struct bind_work *work = context;
    struct tree tree;
    int status = work->overridden ? driver_clear_override(work->host, work->overridden) : 0;
    if (!status)
        status = tree_open(&tree, work->root) ? 0 : errno;
    if (!status) {
        status = driver_write_at(&tree, work->path, work->text);
        tree_close(&tree);
    }
    helper_send(socket, &status, sizeof status);
}

/* In a process of its own: the kernel returns when the driver has released the device, and a
 * program that has it open can keep the driver from that for ever. Returns 0, or the errno of what
 * failed; ETIMEDOUT: the kernel is still at it. */
static int driver_bind_in_time(struct bind_work work, int limit_ms) {
    struct helper helper;
    int status = ECHILD;
    if (helper_start(&helper, driver_bind_write, &work) < 0)
        return errno;
    if (helper_await(&helper, &status, sizeof status, clock_now() + limit_ms) == HELPER_LATE)
        status = ETIMEDOUT;
    helper_end(&helper);
    return status;
}

int driver_write_in_time(const char *root, const char *path, const char *text) {
    return driver_write_within(root, path, text, deadline_limit(DEADLINE_BIND_MS));
}

int driver_write_within(const char *root, const char *path, const char *text, int limit_ms) {
    return driver_bind_in_time((struct bind_work){root, path, text, NULL, NULL}, limit_ms);
}

/* The file of the driver that the device was seen on, and not of the one that it has by now: when
 * libvirt has given it to a VM meanwhile, the kernel refuses to unbind it, with ENODEV. */
static void driver_unbind_path(char path[PATH_SIZE], const char *driver) {
    snprintf(path, PATH_SIZE, "sys/bus/pci/drivers/%s/unbind", driver);
}

int driver_unbind(const struct host *host, const struct device *device, struct failure *failure) {
    char path[PATH_SIZE], driver[64];
    if (device->bus != BUS_PCI || device->is_bridge || device->use || device->vm_use ||
        device->obstacle || !device->driver ||
        !host->source.driver_of(host, device, driver, sizeof driver) ||
        strcmp(driver, device->driver) != 0)
        return 0;
    driver_unbind_path(path, driver);
    int status = driver_write_in_time(host->root, path, device->address);
    if (!status || status == ENOENT || status == ENODEV) /* it has gone meanwhile */
        return 0;
    if (status != ETIMEDOUT)
        return failure_set(failure, "the host driver %s cannot be unbound from %s: %s", driver,
                           device->address, strerror(status));
    failure_set(failure,
                "the host driver %s has not released %s for %d s: a program has the device open",
                driver, device->address, (deadline_limit(DEADLINE_BIND_MS) + 999) / 1000);
    return HOST_LATE;
}

static int driver_find_driver(const struct host *host, const struct device *device,
                              struct failure *failure) {
    int status = driver_bind_in_time(
        (struct bind_work){host->root, "sys/bus/pci/drivers_probe", device->address, host, device},
        deadline_limit(DEADLINE_BIND_MS));
    return status ? failure_set(failure, "no driver could be found for %s: %s", device->address,
                                strerror(status))
                  : 0;
}

int driver_probe(const struct host *host, const struct device *device, struct failure *failure) {
    char driver[64];
    if (device->bus != BUS_PCI || !host->source.driver_of(host, device, driver, sizeof driver) ||
        *driver)
        return 0;
    return driver_find_driver(host, device, failure);
}

int driver_rebind(const struct host *host, const struct device *device, struct failure *failure) {
    char path[PATH_SIZE], driver[64];
    if (device->bus != BUS_PCI || !host->source.driver_of(host, device, driver, sizeof driver) ||
        !driver_is_vfio(driver))
        return 0;
    driver_unbind_path(path, driver);
    int status = driver_write_in_time(host->root, path, device->address);
    if (!status || status == ENOENT || status == ENODEV) /* it has gone meanwhile */
        return driver_find_driver(host, device, failure);
    return failure_set(failure, "%s cannot be unbound from %s: %s", driver, device->address,
                       strerror(status));
}

/* --- a driver of the device's own */

/* Returns 0 or -1 with a message; an old kernel, before 3.16, has no such file. */
static int driver_write_override(const struct host *host, const struct device *device,
                                 const char *driver, struct failure *failure) {
    char *path = memory_printf("sys/bus/pci/devices/%s/driver_override", device->address);
    int status = driver_write_in_time(host->root, path, driver ? driver : "\n");
    free(path);
    return status ? failure_set(failure, "driver_override of %s cannot be written: %s",
                                device->address, strerror(status))
                  : 0;
}

/* The device's driver as it is now, since a killed engine may have begun it. */
static int driver_leave(const struct host *host, const struct device *device, const char *now,
                        struct failure *failure) {
    char path[PATH_SIZE];
    driver_unbind_path(path, now);
    int status = driver_write_in_time(host->root, path, device->address);
    if (!status || status == ENOENT || status == ENODEV) /* it has gone meanwhile */
        return 0;
    if (status != ETIMEDOUT)
        return failure_set(failure, "%s cannot be unbound from %s: %s", now, device->address,
                           strerror(status));
    failure_set(failure, "the driver %s has not released %s for %d s", now, device->address,
                (deadline_limit(DEADLINE_BIND_MS) + 999) / 1000);
    return HOST_LATE;
}

int driver_bind(const struct host *host, const struct device *device, const char *driver,
                struct failure *failure) {
    char now[64];
    if (device->bus != BUS_PCI || !host->source.driver_of(host, device, now, sizeof now))
        return failure_set(failure, "%s is gone", device->address);
    if (driver_write_override(host, device, driver, failure) < 0)
        return -1;
    if (*now && (!driver || !strcmp(now, driver)))
        return 0;
    int status = *now ? driver_leave(host, device, now, failure) : 0;
    if (status)
        return status;
    status = driver_write_in_time(host->root, "sys/bus/pci/drivers_probe", device->address);
    return status ? failure_set(failure, "no driver could be found for %s: %s", device->address,
                                strerror(status))
                  : 0;
}

bool driver_is_loaded(const struct host_source *source, const char *driver) {
    struct tree tree;
    char *path = memory_printf("sys/bus/pci/drivers/%s", driver);
    bool is_loaded = tree_open(&tree, source->root) && tree_has(&tree, path);
    tree_close(&tree);
    free(path);
    return is_loaded;
}

/* A 'blacklist' of modprobe.d concerns modules that devices ask for, not one that is named. */
int driver_load(const struct host_source *source, const char *driver, struct failure *failure) {
    static const char *const places[] = {"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe",
                                         "/usr/bin/modprobe"};
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    size_t i = 0;
    if (*source->root)
        return failure_set(failure, "no module can be loaded in a copy of a host");
    while (i < sizeof places / sizeof *places && access(places[i], X_OK) != 0)
        i++;
    if (i == sizeof places / sizeof *places)
        return failure_set(failure, "this host has no modprobe");
    const char *arguments[] = {places[i], driver, NULL};
    struct failure ended;
    char *output = NULL;
    int status = spawn(arguments, environment, SPAWN_LIMIT_MS, &output, NULL, &ended);
    if (status < 0)
        failure_set(failure, "%s %s", ended.message, output);
    free(output);
    return status;
}

/* --- who uses vfio */

/* The files of one device and its group. */
struct vfio_files {
    char group[64], unsafe[64];
    char *device; /* NULL: none of its own */
};

static struct vfio_files driver_files_of(const struct tree *tree, const char *directory,
                                         int group) {
    struct vfio_files files = {.device = NULL};
    char *list = memory_printf("%s/vfio-dev", directory);
    struct names names = tree_list(tree, list);
    if (names.count)
        files.device = memory_printf("/dev/vfio/devices/%s", names.items[0]);
    snprintf(files.group, sizeof files.group, "/dev/vfio/%d", group);
    snprintf(files.unsafe, sizeof files.unsafe, "/dev/vfio/noiommu-%d", group);
    tree_finish_names(&names);
    free(list);
    return files;
}

/* libvirt takes the file out of a VM's own /dev while it is open. */
static bool driver_is_file(const char *target, const char *file) {
    size_t length = file ? strlen(file) : 0;
    return file && !strncmp(target, file, length) &&
           (!target[length] || !strcmp(target + length, " (deleted)"));
}

static bool driver_has_open(int directory, const struct vfio_files *files) {
    char target[PATH_SIZE];
    bool found = false;
    DIR *list = fdopendir(directory);
    for (const struct dirent *entry; list && !found && (entry = readdir(list));) {
        ssize_t size = readlinkat(directory, entry->d_name, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        found = driver_is_file(target, files->group) || driver_is_file(target, files->unsafe) ||
                driver_is_file(target, files->device);
    }
    if (list)
        closedir(list);
    else
        close(directory);
    return found;
}

/* Returns NULL when the process does not use it, or has ended meanwhile. */
static char *driver_user_in(const struct tree *tree, const char *process,
                            const struct vfio_files *files) {
    char *home = memory_printf("proc/%s", process), *path = memory_printf("%s/fd", home);
    int directory = tree_directory(tree, path);
    char *user = NULL;
    if (directory < 0 && errno != ENOENT && errno != ESRCH)
        user = memory_printf("perhaps process %s, whose files cannot be seen (%s),", process,
                             strerror(errno));
    else if (directory >= 0 && driver_has_open(directory, files)) {
        char *name = tree_attribute(tree, home, "comm");
        user = memory_printf("%s (process %s)", name ? name : "a program", process);
        free(name);
    }
    free(path);
    free(home);
    return user;
}

static char *driver_find_user(const struct tree *tree, const char *directory, int group) {
    struct vfio_files files = driver_files_of(tree, directory, group);
    struct names names = tree_list(tree, "proc");
    char *user = NULL;
    size_t seen = 0;
    for (size_t i = 0; i < names.count && !user; i++)
        if (strspn(names.items[i], "0123456789") == strlen(names.items[i])) {
            user = driver_user_in(tree, names.items[i], &files);
            seen++;
        }
    tree_finish_names(&names);
    free(files.device);
    if (!user && !seen && !*tree->root) /* we ourselves are one */
        user = memory_strdup("perhaps a process that cannot be seen in /proc");
    return user;
}

char *driver_vfio_user(const char *root, const char *directory, int group) {
    struct tree tree;
    if (!tree_open(&tree, root))
        return memory_strdup("perhaps a process that cannot be seen in /proc");
    char *user = driver_find_user(&tree, directory, group);
    tree_close(&tree);
    return user;
}

char *driver_group_user(const struct host *host, const struct device *device) {
    char *directory = memory_printf("sys/bus/pci/devices/%s", device->address);
    char *user = driver_vfio_user(host->root, directory, device->iommu_group);
    free(directory);
    return user;
}

bool driver_may_split_group(const struct host *host) {
    struct tree tree;
    if (!tree_open(&tree, host->root))
        return false;
    unsigned release = kernel_release(&tree);
    tree_close(&tree);
    return release >= KERNEL_RELEASE(5, 19);
}
