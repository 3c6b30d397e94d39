/* The host snapshot from sysfs (Documentation/ABI/testing/sysfs-bus-pci, sysfs-bus-usb,
 * sysfs-bus-scsi). */
#include "engine/host/source_sysfs.h"

#include "engine/host/bus_reader.h"
#include "engine/host/device_files.h"
#include "engine/host/driver.h"
#include "engine/host/framebuffer.h"
#include "engine/host/guards.h"
#include "engine/host/iommu.h"
#include "engine/host/mdev.h"
#include "engine/host/mdev_instance.h"
#include "engine/host/names.h"
#include "engine/host/part.h"
#include "engine/host/pci.h"
#include "engine/host/scsi.h"
#include "engine/host/settle.h"
#include "engine/host/sriov.h"
#include "engine/host/sysfs_setting.h"
#include "engine/host/tree.h"
#include "engine/host/usage.h"
#include "engine/host/usb.h"
#include "engine/host/vf_config.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bus_reader *const readers[] = {&bus_reader_pci, &bus_reader_usb,
                                                   &bus_reader_scsi};

enum { READERS = sizeof readers / sizeof *readers };

static int source_sysfs_by_address(const void *a, const void *b) {
    const struct device *left = a;
    return device_compare(left->bus, left->address, b);
}

static void source_sysfs_read_bus(struct host *host, const struct tree *tree,
                                  const struct bus_reader *reader) {
    const struct host_scope *scope = reader->bus == BUS_PCI ? host->source.scope : NULL;
    struct names all = tree_list(tree, reader->directory);
    struct device_id *ids = scope ? part_read_ids(tree, &all) : NULL;

    for (size_t i = 0; i < all.count; i++) {
        if (!reader->is_device(all.items[i]))
            continue;
        host->devices = memory_grow(host->devices, host->count, sizeof *host->devices);
        struct device *device = &host->devices[host->count++];
        *device = bus_reader_device(reader, memory_strdup(all.items[i]));
        if (scope && part_leaves_out(scope, tree, ids, device))
            continue;
        if (!bus_reader_read(tree, reader, device, &all, &host->source))
            device_finish(&host->devices[--host->count]);
    }
    free(ids);
    host->has_usb |= reader->bus == BUS_USB && all.count > 0;
    tree_finish_names(&all);
}

/* Those that have no name yet. Without a list PCI devices have that of their bus. */
static void source_sysfs_name_devices(struct host *host, const struct names_list *names) {
    for (size_t i = 0; i < host->count; i++)
        if (!host->devices[i].name)
            host->devices[i].name =
                names && host->devices[i].bus == BUS_PCI
                    ? names_find(names, &host->devices[i])
                    : memory_printf("%s device", device_bus(host->devices[i].bus)->label);
}

static void source_sysfs_find_names(struct host *host, const struct tree *tree) {
    struct names_list *names = names_create(tree, host, BUS_PCI);

    source_sysfs_name_devices(host, names);
    names_destroy(names);
}

static void source_sysfs_load_names(struct host *host) {
    struct tree tree;

    if (!host->leaves_out_names || !tree_open(&tree, host->root))
        return;
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI) {
            free(host->devices[i].name);
            host->devices[i].name = NULL;
        }
    source_sysfs_find_names(host, &tree);
    host->leaves_out_names = false;
    tree_close(&tree);
}

/* "/" is the running system, and "tree/" is "tree". */
static char *source_sysfs_plain_root(const char *root) {
    char *plain = memory_strdup(root ? root : "");
    for (size_t length = strlen(plain); length && plain[length - 1] == '/';)
        plain[--length] = '\0';
    return plain;
}

/* Who judges such a device all the same does not take it from the host. */
static void source_sysfs_doubt_uses(struct host *host, bool with_uses) {
    for (size_t i = 0; i < host->count; i++)
        if (!with_uses || host->devices[i].is_outside)
            device_obstruct(&host->devices[i], OBSTACLE_UNKNOWN_USE,
                            memory_strdup("whether the host uses it was not read"),
                            memory_strdup("'virt-rules devices' reads it"));
}

/* False: a part of the host does not tell enough. */
static bool source_sysfs_read_host(struct host *host, const struct tree *tree, bool with_uses) {
    for (size_t i = 0; i < READERS; i++)
        source_sysfs_read_bus(host, tree, readers[i]);
    if (host->count)
        qsort(host->devices, host->count, sizeof *host->devices, source_sysfs_by_address);
    host->is_partial = host->source.scope;
    if (host->is_partial && !part_complete(host, tree))
        return false;
    usb_doubt_controllers(host, tree);
    iommu_find_groups(host, tree);
    pci_find_controllers(host, tree);
    pci_find_obstacles(host, tree);
    host->leaves_out_names = host->is_partial;
    if (host->leaves_out_names)
        source_sysfs_name_devices(host, NULL);
    else
        source_sysfs_find_names(host, tree);
    pci_find_physical_functions(host, tree);
    mdev_find_instances(host, tree);
    scsi_find_devices_above(host, tree);
    framebuffer_find_all(host, tree);
    if (with_uses) {
        guards_find_uses(host, tree);
        device_files_read(host, tree);
    }
    source_sysfs_doubt_uses(host, with_uses);
    pci_find_unsupported_domains(host);
    return !host->is_partial || host->faults.count == 0;
}

static bool source_sysfs_has_few_descriptors(const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        if (faults->list[i].error == EMFILE || faults->list[i].error == ENFILE)
            return true;
    return false;
}

static int source_sysfs_read(const struct host_source *source, struct host *host, bool with_uses,
                             struct failure *failure) {
    struct tree tree;
    bool is_whole = true;
    int status = 0;

    *host = (struct host){.source = *source, .root = source_sysfs_plain_root(source->root)};
    host->source.root = host->root;
    bool is_open = tree_open(&tree, host->root);
    tree.faults = &host->faults;
    if (!is_open)
        status = failure_set(failure, "cannot read the devices below %s: %s", host->root,
                             strerror(errno));
    else if (!tree_has(&tree, "sys/bus/pci") && !tree_has(&tree, "sys/bus/usb"))
        status = failure_set(failure,
                             "no devices to read: there is neither %s/sys/bus/pci nor "
                             "%s/sys/bus/usb",
                             host->root, host->root);
    else
        is_whole = source_sysfs_read_host(host, &tree, with_uses);
    if (source_sysfs_has_few_descriptors(&host->faults))
        status = failure_set(failure,
                             "cannot read the devices below %s: too many open files: raise the "
                             "limit, ulimit -n",
                             host->root);
    host->source.scope = NULL;
    if (status < 0 || !is_whole)
        host_finish(host);
    tree_close(&tree);
    if (is_whole)
        return status;
    struct host_source all = *source;
    all.scope = NULL;
    return source_sysfs_read(&all, host, with_uses, failure);
}

static int source_sysfs_load(const struct host_source *source, struct host *host,
                             struct failure *failure) {
    return source_sysfs_read(source, host, true, failure);
}

static int source_sysfs_load_devices(const struct host_source *source, struct host *host,
                                     struct failure *failure) {
    return source_sysfs_read(source, host, false, failure);
}

/* ---- Questions ---- */

static bool source_sysfs_driver_of(const struct host *host, const struct device *device,
                                   char *driver, size_t size) {
    struct tree tree;
    bool is_known = false;
    size_t row = 0;

    while (row + 1 < READERS && readers[row]->bus != device->bus)
        row++;
    if (!tree_open(&tree, host->root))
        return false;
    int directory = bus_reader_open(&tree, readers[row], device->address);
    if (directory >= 0) {
        char *name = readers[row]->driver_of(&tree, device, directory);
        int length = snprintf(driver, size, "%s", name ? name : "");
        /* A name that is cut off might be taken for another driver's. */
        is_known = length >= 0 && (size_t)length < size;
        free(name);
        close(directory);
    }
    tree_close(&tree);
    return is_known;
}

static char *source_sysfs_attribute(const struct host_source *source, const char *directory,
                                    const char *name) {
    struct tree tree;
    char *text = tree_open(&tree, source->root) ? tree_attribute(&tree, directory, name) : NULL;
    tree_close(&tree);
    return text;
}

static uint64_t source_sysfs_last_seqnum(const struct host_source *source) {
    char *text = source_sysfs_attribute(source, "sys/kernel", "uevent_seqnum");
    uint64_t number = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    return number;
}

static char *source_sysfs_boot_id(const struct host_source *source) {
    char *text = source_sysfs_attribute(source, "proc/sys/kernel/random", "boot_id");
    return text ? text : memory_strdup("");
}

struct host_source source_sysfs(const char *root) {
    return (struct host_source){.root = root ? root : "",
                                .load = source_sysfs_load,
                                .load_devices = source_sysfs_load_devices,
                                .load_names = source_sysfs_load_names,
                                .last_seqnum = source_sysfs_last_seqnum,
                                .boot_id = source_sysfs_boot_id,
                                .settling = settle_state,
                                .has_events = settle_has_events,
                                .is_there = settle_is_there,
                                .age_ms = settle_age_ms,
                                .driver_of = source_sysfs_driver_of,
                                .unbind = driver_unbind,
                                .probe = driver_probe,
                                .rebind = driver_rebind,
                                .bind = driver_bind,
                                .has_driver = driver_is_loaded,
                                .load_driver = driver_load,
                                .create_functions = sriov_create,
                                .group_user = driver_group_user,
                                .may_split_group = driver_may_split_group,
                                .find_mdev = mdev_instance_find,
                                .create_mdev = mdev_instance_create,
                                .remove_mdev = mdev_instance_remove,
                                .mdev_user = mdev_instance_user,
                                .read_vf = vf_config_read,
                                .write_vf = vf_config_write,
                                .read_setting = sysfs_setting_read,
                                .write_setting = sysfs_setting_write,
                                .find_console = sysfs_setting_find_console,
                                .has_framebuffer = sysfs_setting_has_framebuffer};
}
