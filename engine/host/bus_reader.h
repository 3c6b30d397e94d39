/*
 * The buses of the host that devices can be assigned from. A bus is a row, `bus_reader_NAME`, with
 * a file of its own; source_sysfs.c has the table. Below the rows is what their files share.
 */
#ifndef ENGINE_BUS_READER_H
#define ENGINE_BUS_READER_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/* A device that is being read. */
struct reading {
    const struct tree *tree;
    const struct bus_reader *reader;
    struct device *device;     /* has its bus and address */
    int directory;             /* of the device in sysfs, open */
    const struct names *names; /* all entries of the bus */
    const struct host_source *source;
};

struct bus_reader {
    enum bus bus;
    const char *directory; /* of its devices, below the root */
    bool (*is_device)(const char *name);
    /* Fills in what sysfs says of the device. What cannot be read is OBSTACLE_UNKNOWN_USE. */
    void (*read)(const struct reading *reading);
    /* The driver that works with the device now; NULL: none. The caller frees it. */
    char *(*driver_of)(const struct tree *tree, const struct device *device, int directory);
};

extern const struct bus_reader bus_reader_pci, bus_reader_usb, bus_reader_scsi;

/* A device of which nothing is read yet, and which takes the address. */
struct device bus_reader_device(const struct bus_reader *reader, char *address);
/* The device's directory in sysfs; -1 with errno. */
int bus_reader_open(const struct tree *tree, const struct bus_reader *reader, const char *address);
/* Opens the device's directory, and reads it. False: it was unplugged meanwhile. */
bool bus_reader_read(const struct tree *tree, const struct bus_reader *reader,
                     struct device *device, const struct names *names,
                     const struct host_source *source);

/* Of a device whose IOMMU group cannot be read, until the groups are read. */
enum { BUS_READER_GROUP_UNKNOWN = -2 };

/* Notes that something of the device is there and cannot be read. */
void bus_reader_miss(const struct reading *reading, const char *name, const char *why, int error);
/* The same as errno says, unless that is an absence. */
void bus_reader_miss_by_errno(const struct reading *reading, const char *name);

/* An attribute that a device may lack, and the last part of a link; NULL: it has none. The caller
 * frees them. */
char *bus_reader_fact(const struct reading *reading, const char *name);
char *bus_reader_link(const struct reading *reading, const char *name);
/* Numbers that a device may lack; then 0. */
uint32_t bus_reader_hex(const struct reading *reading, const char *name, uint32_t max);
uint32_t bus_reader_decimal(const struct reading *reading, const char *name);
/* One that every device has: without it no rule and no `never` can be judged. */
uint32_t bus_reader_need_hex(const struct reading *reading, const char *name, uint32_t max);
/* Both of its numbers; 0:0 when one is missing. */
struct device_id bus_reader_id(const struct reading *reading, const char *vendor,
                               const char *device);

#endif
