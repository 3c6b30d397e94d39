#include "engine/host/mdev_instance.h"

#include "engine/host/driver.h"
#include "engine/host/tree.h"
#include "engine/system/deadline.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INSTANCE "sys/bus/mdev/devices/%s"

static char *mdev_instance_directory(const char *uuid) {
    return memory_printf(INSTANCE, uuid);
}

/* --- what is there */

bool mdev_instance_find(const struct host_source *source, const char *uuid, char **parent,
                        char **type) {
    struct tree tree;
    char *directory = mdev_instance_directory(uuid);
    bool is_there = tree_open(&tree, source->root) && tree_has(&tree, directory);
    char *path = is_there ? tree_resolve(&tree, directory) : NULL;
    char *end = path ? strrchr(path, '/') : NULL; /* ".../0000:06:00.0/UUID" */
    if (end)
        *end = '\0';
    const char *name = end ? strrchr(path, '/') : NULL;
    *parent = name ? memory_strdup(name + 1) : NULL;
    *type = is_there ? tree_link_name(&tree, directory, "mdev_type") : NULL;
    tree_close(&tree);
    free(path);
    free(directory);
    return is_there;
}

/* Its group, or its own file of Linux from 6.6. */
char *mdev_instance_user(const struct host_source *source, const char *uuid) {
    struct tree tree;
    uint32_t group = 0;
    char *directory = mdev_instance_directory(uuid);
    char *name =
        tree_open(&tree, source->root) ? tree_link_name(&tree, directory, "iommu_group") : NULL;
    tree_close(&tree);
    char *user =
        driver_vfio_user(source->root, directory,
                         name && text_parse_decimal(name, INT32_MAX, &group) ? (int)group : -1);
    free(name);
    free(directory);
    return user;
}

/* --- writing */

int mdev_instance_create(const struct host_source *source, const struct device *parent,
                         const char *type, const char *uuid, struct failure *failure) {
    char *path = memory_printf("sys/bus/pci/devices/%s/mdev_supported_types/%s/create",
                               parent->address, type);
    int status = driver_write_in_time(source->root, path, uuid);
    const char *driver = parent->driver ? parent->driver : "of the host";
    free(path);
    if (!status)
        return 0;
    if (status == ETIMEDOUT)
        failure_set(failure, "the driver %s has not created a %s on %s for %d s", driver, type,
                    parent->address, (deadline_limit(DEADLINE_BIND_MS) + 999) / 1000);
    else
        failure_set(failure, "the driver %s did not create a %s on %s: %s", driver, type,
                    parent->address, strerror(status));
    failure_hint(failure, MDEV_INSTANCE_SHARED);
    return status == ETIMEDOUT ? HOST_LATE : -1;
}

int mdev_instance_remove(const struct host_source *source, const char *uuid,
                         struct failure *failure) {
    char *path = memory_printf(INSTANCE "/remove", uuid);
    int status = driver_write_in_time(source->root, path, "1");
    free(path);
    if (!status || status == ENOENT || status == ENODEV) /* it has gone meanwhile */
        return 0;
    if (status == ETIMEDOUT) {
        failure_set(failure, "the kernel has not removed the mediated device %s for %d s", uuid,
                    (deadline_limit(DEADLINE_BIND_MS) + 999) / 1000);
        return HOST_LATE;
    }
    return failure_set(failure, "the mediated device %s cannot be removed: %s", uuid,
                       strerror(status));
}
