/* SCSI devices (Documentation/ABI/testing/sysfs-bus-scsi, the kernel's drivers/scsi/scsi_sysfs.c):
 * disks behind most controllers, SATA ones too, USB sticks, tapes, medium changers. */
#include "engine/host/scsi.h"

#include "engine/host/bus_reader.h"
#include "engine/host/names.h"
#include "engine/host/place.h"
#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCSI "sys/bus/scsi/devices"

enum {
    /* The page of the vital product data that has the unit's serial number (SPC, 7.8). */
    PAGE_SERIAL = 0x80,
    PAGE_HEADER = 4,
    PAGE_MAX = PAGE_HEADER + 0xFFFF
};

/* Without blanks around it, and safe to print; NULL for none. Takes the text. */
static char *scsi_clean(char *text) {
    char *start = text + (text ? strspn(text, " ") : 0), *clean = NULL;

    if (text && *start)
        clean = memory_strdup(start);
    free(text);
    for (size_t length = clean ? strlen(clean) : 0; length && clean[length - 1] == ' ';)
        clean[--length] = '\0';
    if (clean)
        names_clean(clean);
    return clean;
}

static char *scsi_text(const struct reading *reading, const char *name,
                       enum device_unknown unknown) {
    char *text = bus_reader_fact(reading, name);
    if (!text)
        reading->device->unknown |= unknown;
    return scsi_clean(text);
}

/* A device without that page has no serial number. */
static char *scsi_serial(const struct reading *reading) {
    unsigned char bytes[PAGE_MAX];
    int fd = openat(reading->directory, "vpd_pg80", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

    if (size < 0) {
        bus_reader_miss_by_errno(reading, "vpd_pg80");
        if (!tree_is_absence(errno))
            reading->device->unknown |= DEVICE_UNKNOWN_SERIAL;
    }
    if (fd >= 0)
        close(fd);
    if (size < PAGE_HEADER || bytes[1] != PAGE_SERIAL)
        return NULL;
    size_t length = (size_t)bytes[2] << 8 | bytes[3], got = (size_t)size - PAGE_HEADER;
    char *text = memory_strndup((char *)bytes + PAGE_HEADER, length < got ? length : got);
    return scsi_clean(text);
}

static int scsi_type(const struct reading *reading) {
    char *text = bus_reader_fact(reading, "type");
    uint32_t type = 0;
    bool is_known = text_parse_decimal(text, UINT8_MAX, &type);

    free(text);
    return is_known ? (int)type : SCSI_UNKNOWN;
}

/* libata says "ATA" of every disk. */
static char *scsi_name(const struct device *device) {
    bool has_maker = device->manufacturer && strcmp(device->manufacturer, "ATA") != 0;

    if (!device->product)
        return memory_printf("%s%s%s", has_maker ? device->manufacturer : "", has_maker ? " " : "",
                             device_scsi_type_text(device->scsi_type));
    return memory_printf("%s%s%s", has_maker ? device->manufacturer : "", has_maker ? " " : "",
                         device->product);
}

static void scsi_read(const struct reading *reading) {
    struct device *device = reading->device;

    device->scsi_type = scsi_type(reading);
    device->manufacturer = scsi_text(reading, "vendor", DEVICE_UNKNOWN_MANUFACTURER);
    device->product = scsi_text(reading, "model", DEVICE_UNKNOWN_PRODUCT);
    device->serial = scsi_serial(reading);
    device->driver = bus_reader_link(reading, "driver");
    device->name = scsi_name(device);
}

static char *scsi_driver_of(const struct tree *tree, const struct device *device, int directory) {
    (void)tree, (void)device;
    return tree_directory_link_name(directory, "driver");
}

const struct bus_reader bus_reader_scsi = {.bus = BUS_SCSI,
                                           .directory = SCSI,
                                           .is_device = address_is_scsi,
                                           .read = scsi_read,
                                           .driver_of = scsi_driver_of};

void scsi_find_devices_above(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_SCSI)
            continue;
        char *link = memory_printf(SCSI "/%s", device->address), *path = tree_resolve(tree, link);
        char *last = path ? strrchr(path, '/') : NULL;
        if (last) /* the device's own directory */
            *last = '\0';
        const struct device *above = last ? place_nearest(host, path) : NULL;
        if (above) {
            device->above = memory_strdup(above->address);
            device->above_bus = above->bus;
            device->bus_number = above->bus_number;
            device->device_number = above->device_number;
            device_add_scsi(&host->devices[above - host->devices], device->address);
        }
        free(path);
        free(link);
    }
}
