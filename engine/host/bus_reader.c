#include "engine/host/bus_reader.h"

#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void bus_reader_miss(const struct reading *reading, const char *name, const char *why, int error) {
    const struct device *device = reading->device;
    char *path = memory_printf("%s/%s/%s", reading->reader->directory, device->address, name);
    tree_fault(reading->tree, path, error);
    free(path);
    device_obstruct(reading->device, OBSTACLE_UNKNOWN_USE,
                    memory_printf("'%s' of %s cannot be read (%s)", name, device->address, why),
                    usage_hint(reading->tree, error));
}

void bus_reader_miss_by_errno(const struct reading *reading, const char *name) {
    int error = errno;
    if (!tree_is_absence(error))
        bus_reader_miss(reading, name, tree_fault_text(reading->tree, error), error);
    errno = error;
}

char *bus_reader_fact(const struct reading *reading, const char *name) {
    char *text = tree_directory_attribute(reading->directory, name);
    if (!text)
        bus_reader_miss_by_errno(reading, name);
    return text;
}

char *bus_reader_link(const struct reading *reading, const char *name) {
    char *text = tree_directory_link_name(reading->directory, name);
    if (!text)
        bus_reader_miss_by_errno(reading, name);
    return text;
}

uint32_t bus_reader_hex(const struct reading *reading, const char *name, uint32_t max) {
    char *text = bus_reader_fact(reading, name);
    uint32_t value = 0;

    text_parse_hex(text, max, &value);
    free(text);
    return value;
}

uint32_t bus_reader_need_hex(const struct reading *reading, const char *name, uint32_t max) {
    char *text = bus_reader_fact(reading, name);
    uint32_t value = 0;

    if (!text_parse_hex(text, max, &value))
        bus_reader_miss(reading, name, text ? "it is not a number" : "it is not there", ENOENT);
    free(text);
    return value;
}

uint32_t bus_reader_decimal(const struct reading *reading, const char *name) {
    char *text = bus_reader_fact(reading, name);
    uint32_t value = 0;

    if (text && !text_parse_decimal(text, INT32_MAX, &value))
        bus_reader_miss(reading, name, "it is not a number", ENOENT);
    free(text);
    return value;
}

struct device_id bus_reader_id(const struct reading *reading, const char *vendor,
                               const char *device) {
    struct device_id id = {(uint16_t)bus_reader_need_hex(reading, vendor, UINT16_MAX),
                           (uint16_t)bus_reader_need_hex(reading, device, UINT16_MAX)};
    return id.vendor ? id : (struct device_id){0, 0};
}

struct device bus_reader_device(const struct bus_reader *reader, char *address) {
    return (struct device){.bus = reader->bus,
                           .address = address,
                           .iommu_group = -1,
                           .numa_node = -1,
                           .vf_number = -1,
                           .scsi_type = SCSI_UNKNOWN};
}

int bus_reader_open(const struct tree *tree, const struct bus_reader *reader, const char *address) {
    char *path = memory_printf("%s/%s", reader->directory, address);
    int directory = tree_directory(tree, path), error = errno;
    free(path);
    errno = error;
    return directory;
}

bool bus_reader_read(const struct tree *tree, const struct bus_reader *reader,
                     struct device *device, const struct names *names,
                     const struct host_source *source) {
    int directory = bus_reader_open(tree, reader, device->address), error = errno;
    struct reading reading = {tree, reader, device, directory, names, source};

    if (directory < 0 && tree_is_absence(error))
        return false;
    if (directory >= 0) {
        reader->read(&reading);
        close(directory);
        return true;
    }
    if (reader->bus == BUS_PCI)
        device->iommu_group = BUS_READER_GROUP_UNKNOWN;
    bus_reader_miss(&reading, "directory", tree_fault_text(tree, error), error);
    return true;
}
