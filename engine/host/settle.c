#include "engine/host/settle.h"

#include "engine/host/device_files.h"
#include "engine/host/tree.h"
#include "engine/system/clock.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES "dev/bus/usb"
#define UDEV_SOCKET "run/udev/control" /* there is none without udevd */
/* There as long as events are queued: udev_queue_is_empty() of systemd. */
#define UDEV_QUEUE "run/udev/queue"
/* In the record until udevd has run the RUN programs; of systemd from 257. */
#define UDEV_AT_WORK "E:ID_PROCESSING=1"

enum { USB_MAJOR = 189 };

/* Its directory in sysfs below the root. The caller frees it. */
static char *settle_path(const struct device *device) {
    return memory_printf("sys/bus/%s/devices/%s", device_bus(device->bus)->name, device->address);
}

/* --- the kernel */

/* Whether all interfaces of a USB device are there. The kernel announces a device before it has
 * chosen a configuration: then bNumInterfaces is an empty line, and a number of two places later.
 */
static bool settle_has_interfaces(const struct tree *tree, const char *path, const char *address,
                                  int directory) {
    uint32_t wanted = 0, found = 0;
    char *text = tree_directory_attribute(directory, "bNumInterfaces");
    bool is_set_up = !text || text_parse_decimal(text + strspn(text, " "), UINT8_MAX, &wanted);
    struct names names = is_set_up && wanted ? tree_list(tree, path) : (struct names){0};
    size_t length = strlen(address);
    for (size_t i = 0; i < names.count; i++)
        found += !strncmp(names.items[i], address, length) && names.items[i][length] == ':';
    tree_finish_names(&names);
    free(text);
    return is_set_up && found >= wanted;
}

/* --- the node and udev */

/* A USB device's numbers now; they change when it is plugged in again. */
static bool settle_numbers(int directory, uint32_t *bus, uint32_t *number) {
    char *bus_text = tree_directory_attribute(directory, "busnum");
    char *number_text = tree_directory_attribute(directory, "devnum");
    bool known = text_parse_decimal(bus_text, UINT8_MAX, bus) &&
                 text_parse_decimal(number_text, UINT8_MAX, number) && *bus && *number;
    free(bus_text);
    free(number_text);
    return known;
}

/* A host that has no such nodes at all, as a recorded one, is not waited for. */
static char *settle_missing_node(const struct tree *tree, uint32_t bus, uint32_t number) {
    char *node = memory_printf(NODES "/%03u/%03u", bus, number), *missing = NULL;
    if (tree_has(tree, NODES) && !tree_has(tree, node))
        missing = memory_printf("/%s is not there", node);
    free(node);
    return missing;
}

/* The record has the node's numbers: the major one of all USB devices, and 128 minor ones a bus
 * (usb_new_device() of the kernel's drivers/usb/core/hub.c). */
static char *settle_missing_record(const struct tree *tree, uint32_t bus, uint32_t number) {
    char *record, *name, *missing = NULL;
    if (!tree_has(tree, UDEV_SOCKET))
        return NULL;
    name = memory_printf(UDEV_RECORDS "/c%u:%u", USB_MAJOR, (bus - 1) * 128 + number - 1);
    record = tree_read(tree, name);
    if (!record || strstr(record, UDEV_AT_WORK))
        missing = memory_printf("udev has not finished with it (/%s %s)", name,
                                record ? "says so" : "is not there");
    free(record);
    free(name);
    return missing;
}

/* udev makes links to ports, disks and event nodes of every device, by which a VM is to know them.
 * Of one that has been there for longer it has made those that it makes. */
static char *settle_missing_link(const struct host_source *source, const struct tree *tree,
                                 const struct device *device) {
    enum { NEW_MS = 10000 };
    int64_t age = device->file_count ? settle_age_ms(source, device) : -1;
    if (age < 0 || age > NEW_MS || !tree_has(tree, UDEV_SOCKET))
        return NULL;
    for (size_t i = 0; i < device->file_count; i++)
        if (!device->files[i].link_count)
            return memory_printf("udev has made no link to %s", device->files[i].path);
    return NULL;
}

/*
 * Of a PCI device nothing of udev is waited for: libvirt opens its VFIO group, whose node the
 * kernel makes at the bind, and the kernel itself keeps a driver that probes it from one that is
 * unbound.
 */
enum host_settling settle_state(const struct host_source *source, const struct device *device,
                                char **missing) {
    struct tree tree;
    enum host_settling state = HOST_SETTLED;
    char *text = NULL, *path = settle_path(device);
    int directory = tree_open(&tree, source->root) ? tree_directory(&tree, path) : -1;
    if (directory >= 0 && device->bus == BUS_PCI) {
        /* Old kernels make the files of a PCI device after they have announced it. */
        char *config = memory_printf("%s/config", path);
        if (!tree_has(&tree, config))
            text = memory_printf("/%s is not there", config);
        free(config);
        state = text ? HOST_SETTLING_KERNEL : HOST_SETTLED;
    } else if (directory >= 0 && !settle_has_interfaces(&tree, path, device->address, directory)) {
        text = memory_strdup("the kernel has not set up its interfaces");
        state = HOST_SETTLING_KERNEL;
    } else if (directory >= 0) {
        uint32_t bus, number;
        if (settle_numbers(directory, &bus, &number)) {
            text = settle_missing_node(&tree, bus, number);
            if (!text)
                text = settle_missing_record(&tree, bus, number);
            if (!text)
                text = settle_missing_link(source, &tree, device);
        }
        state = text ? HOST_SETTLING_UDEV : HOST_SETTLED;
    }
    if (directory >= 0)
        close(directory);
    tree_close(&tree);
    free(path);
    if (missing)
        *missing = text;
    else
        free(text);
    return state;
}

bool settle_has_events(const struct host_source *source) {
    struct tree tree;
    bool has = tree_open(&tree, source->root) && tree_has(&tree, UDEV_QUEUE);
    tree_close(&tree);
    return has;
}

bool settle_is_there(const struct host_source *source, const struct device *device) {
    struct tree tree;
    uint32_t bus, number;
    char *path = settle_path(device);
    int directory = tree_open(&tree, source->root) ? tree_directory(&tree, path) : -1;
    bool is_there =
        directory >= 0 &&
        (device->bus == BUS_PCI || (settle_numbers(directory, &bus, &number) &&
                                    bus == device->bus_number && number == device->device_number));
    if (directory >= 0)
        close(directory);
    tree_close(&tree);
    free(path);
    return is_there;
}

/* When a node was made, in ms since 1970; -1 if that is not known. It is from Linux 5.18 on; udev
 * sets its other times to those of its own work. */
static int64_t settle_birth_ms(const char *path) {
#ifdef STATX_BTIME /* not in musl before 1.2.5 */
    struct statx status = {0};
    if (statx(AT_FDCWD, path, 0, STATX_BTIME, &status) == 0 && status.stx_mask & STATX_BTIME)
        return status.stx_btime.tv_sec * 1000 + status.stx_btime.tv_nsec / 1000000;
#else
    (void)path;
#endif
    return -1;
}

int64_t settle_age_ms(const struct host_source *source, const struct device *device) {
    if (device->bus != BUS_USB)
        return -1;
    char *path = memory_printf("%s/" NODES "/%03u/%03u", source->root, device->bus_number,
                               device->device_number);
    int64_t born = settle_birth_ms(path);
    int64_t age = born < 0 ? -1 : clock_epoch() - born;
    free(path);
    return age < 0 ? -1 : age;
}
