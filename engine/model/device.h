/*
 * A PCI function, a USB device or a SCSI device of the host, as a value: what the kernel reports
 * about it and what the host uses it for. No I/O. Texts are UTF-8 without control characters and
 * belong to the value.
 */
#ifndef ENGINE_DEVICE_H
#define ENGINE_DEVICE_H

#include "engine/model/setting.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bus { BUS_PCI, BUS_USB, BUS_SCSI };

/* The names of a bus and of what is on it. */
struct bus_type {
    const char *name;    /* of sysfs and --json: "pci" */
    const char *label;   /* for people: "PCI" */
    const char *keyword; /* in a rule in front of a device's address: "at" */
    const char *bridge;  /* what `is_bridge` is on it: "bridge"; NULL: it has none */
};

const struct bus_type *device_bus(enum bus bus);
/* The bus of an address as the kernel writes it; false: it is of none. */
bool device_bus_of_address(const char *address, enum bus *bus);

/* Whether a PCI device has an Express capability; UNKNOWN: its configuration space cannot be read.
 */
enum pci_kind { PCI_UNKNOWN, PCI_CONVENTIONAL, PCI_EXPRESS };

/* A pair of 16-bit numbers, as "vvvv:dddd". */
struct device_id {
    uint16_t vendor;
    uint16_t device;
};

/* The header type in a PCI device's configuration space. */
enum pci_header { HEADER_UNKNOWN, HEADER_ENDPOINT, HEADER_BRIDGE };

/* Why a device cannot be assigned to any VM, whatever the host uses it for; the strongest first. */
enum obstacle {
    OBSTACLE_NONE,
    OBSTACLE_NO_ANSWER,   /* nothing answers at its address */
    OBSTACLE_DOMAIN,      /* its PCI domain is above those that qemu supports */
    OBSTACLE_UNKNOWN_USE, /* whether the host uses it cannot be determined */
    OBSTACLE_FIRMWARE,    /* the firmware reserves memory for its IOMMU group: a `direct` region */
    OBSTACLE_KERNEL,      /* vfio-pci does not accept it */
};

/* One interface of a USB device's active configuration. */
struct device_interface {
    uint32_t class_code; /* 24 bits */
    char *driver;        /* NULL: none */
};

/* The `type` of a SCSI device (SPC, peripheral device type) that the engine asks for. */
enum scsi_type {
    SCSI_UNKNOWN = -1,
    SCSI_DISK = 0,
    SCSI_TAPE = 1,
    SCSI_CD = 5,
    SCSI_OPTICAL = 7,
    SCSI_CHANGER = 8,
    SCSI_ENCLOSURE = 13,
    SCSI_ZONED_DISK = 20,
};

/* A device file that the kernel made for a device. */
enum device_file_kind {
    FILE_TTY,   /* a serial port */
    FILE_BLOCK, /* a whole disk, not a partition */
    FILE_EVENT, /* an input device's events (evdev) */
};

struct device_file {
    enum device_file_kind kind;
    char *path; /* by the kernel's name: "/dev/ttyUSB0" */
    /* udev's links to it, "/dev/serial/by-id/..."; the best first: those by id, then by path. */
    char **links;
    size_t link_count;
    /* Of a disk only. */
    uint64_t size; /* bytes; 0: unknown, or no medium is in the drive */
    bool is_empty; /* no medium is in the drive */
    bool readonly; /* the medium is write-protected */
};

/* A memory BAR of a PCI function: addresses of the host behind which its registers or memory are.
 * Neither I/O ports nor the expansion ROM. */
struct device_bar {
    unsigned number;
    uint64_t size; /* bytes, a power of two; of a resizable BAR the one it has now */
    bool is_64bit, is_prefetchable;
};
enum { DEVICE_BARS = 6 };

/* A type of mediated devices that a PCI device offers. */
struct device_mdev_type {
    char *name;         /* "nvidia-63" */
    char *label;        /* "GRID T4-2A"; NULL: it has none */
    unsigned available; /* how many more can be created now */
};

/* A mediated device that is there, whoever created it. */
struct device_mdev {
    char *uuid, *type; /* type: NULL: unknown */
};

/* Facts that a device may have although nothing tells them. */
enum device_unknown {
    DEVICE_UNKNOWN_MANUFACTURER = 1,
    DEVICE_UNKNOWN_PRODUCT = 2,
    DEVICE_UNKNOWN_SERIAL = 4,
    DEVICE_UNKNOWN_INTERFACES = 8, /* all, or some of them; also of a device not configured */
    DEVICE_UNKNOWN_DRIVER = 16,
    DEVICE_UNKNOWN_ALL = 31,
    DEVICE_UNKNOWN_PHYSICAL = 32, /* PCI: whether it is a virtual function, and of which */
    DEVICE_UNKNOWN_CLASS = 64,    /* PCI: with its subsystem */
    DEVICE_UNKNOWN_ID = 128,      /* PCI: with its address */
};

struct device {
    enum bus bus;
    unsigned unknown; /* of enum device_unknown */
    /* PCI: "0000:03:00.0". USB: the port path "1-1.4". SCSI: "3:0:0:1", host, channel, target and
     * logical unit. It is the device's name in sysfs. */
    char *address;
    struct device_id id;        /* SCSI: 0:0 */
    struct device_id subsystem; /* PCI only; 0:0 when unknown */
    /* 24 bits; USB: the first interface's where the device has none. SCSI: 0. */
    uint32_t class_code;
    char *name; /* for people; never NULL */
    /* Bound host driver, NULL for none. USB: that of the device unless it is "usb", else of the
     * first interface that has one. SCSI: "sd", "st", "sr", "ch". */
    char *driver;
    int iommu_group; /* -1: none */
    int numa_node;   /* -1: none or unknown */
    /* Never assigned: PCI header type 1 or 2, a host or ISA bridge, or a USB hub. Where the header
     * cannot be read, by the PCI class. */
    bool is_bridge;
    enum pci_header header; /* PCI only */
    enum pci_kind kind;     /* PCI only: has it an Express capability? */
    bool boot_vga;
    bool is_outside;           /* of what was read of the host: see `scope` of struct host_source */
    bool is_console_keyboard;  /* see `keyboards` of struct host */
    bool has_bars;             /* PCI: `bars` is known */
    bool goes_with_controller; /* which is in the same IOMMU group: the group then is viable */
    char *reset_methods;       /* "flr bus"; NULL when unknown */
    char *power_state;         /* "D0"; NULL when unknown */
    struct device_bar bars[DEVICE_BARS];
    size_t bar_count;
    char *physical; /* of a virtual function the address of its physical one; else NULL */
    /* What is known of that physical function, without the host's use of it; NULL: it is not among
     * the host's devices. */
    struct device *physical_function;
    int vf_number; /* of a virtual function, as in `virtfn0` of its physical one; -1: unknown */
    /* Of a PCI device in a domain above ffff the address of the controller whose driver makes that
     * domain (Intel VMD); else NULL. The device leaves the host when that driver does. */
    char *controller;
    unsigned virtual_functions;          /* that run on it now */
    unsigned vf_total;                   /* that it can have; 0: none, or unknown */
    struct device_mdev_type *mdev_types; /* PCI only, in the order of their names */
    size_t mdev_type_count;
    struct device_mdev *mdevs; /* in the order of their UUIDs */
    size_t mdev_count;
    /* Of a value that stands for one mediated device of this one, the only one in `mdevs`: its
     * UUID; else NULL. */
    char *instance;
    /* USB: what libvirt calls bus and device; they change at each plug. SCSI: those of the USB
     * device that it is on. */
    unsigned bus_number;
    unsigned device_number;
    /* USB and SCSI only: the device's own texts, NULL when it has none. SCSI: `vendor`, `model`,
     * and the serial number of the unit (VPD page 80). */
    char *serial, *manufacturer, *product;
    struct device_interface *interfaces; /* USB only, in the order of their numbers */
    size_t interface_count;
    unsigned speed; /* USB only. Mbit/s: 1 (1.5), 12, 480, 5000, 10000, 20000; 0: unknown */
    int scsi_type;  /* SCSI only: see enum scsi_type */
    /* The USB device, or else the PCI function, that a SCSI device is on; NULL: none, as over a
     * network. */
    char *above;
    enum bus above_bus;
    /* The addresses of the SCSI devices that are on this USB device or PCI function, in order. */
    char **scsi_devices;
    size_t scsi_device_count;
    /* In the order of their kinds and names. A file is of the nearest device: of a USB device's
     * disk that is the SCSI device, and these are also files of the USB device. Read together with
     * what the host uses. */
    struct device_file *files;
    size_t file_count;
    /* What the host itself does with the device, in words that end "the host ...", for example
     * "mounts / from it (sda1, md0)"; NULL: nothing. */
    char *use;
    /* How to end the first of these uses: "unmount it: 'umount /srv'"; NULL: nothing to suggest. */
    char *use_hint;
    /* Uses that are of the host's console: it is shown on it; or what is typed at it comes from the
     * only keyboards, of which this is one or which are behind it. */
    bool is_display, has_keyboards;
    /* All programs that have a file of it open were started by udev or mdev, as ata_id and blkid,
     * which look at a device for a moment. */
    bool is_probed;
    /* The uses that are not of the console, and how to end the first of them; NULL: none. */
    char *other_use, *other_use_hint;
    /* The same without what programs do that have a file of it open: that ends with them. */
    char *lasting_use, *lasting_use_hint;
    /* What the host changes before a VM gets it as 'boot display': consoles and framebuffers are
     * unbound. */
    struct setting_list display_settings;
    /* The process of a VM that has a file of it open, other than VFIO's and its USB file, as a disk
     * that is its own: "qemu-system-x86 (process 4242: /dev/sdb)"; NULL: none. */
    char *vm_use;
    enum obstacle obstacle;
    char *obstacle_text, *obstacle_hint; /* NULL: no obstacle */
};

/* Texts and all; device_finish() ends it. */
struct device device_copy(const struct device *device);
void device_finish(struct device *device);

/* One more interface of a USB device. Takes the driver's name. */
void device_add_interface(struct device *device, uint32_t class_code, char *driver);
/* Whether an interface before this one has the same class, or driver; none counts as repeated, as
 * does the device's own. */
bool device_repeats_class(const struct device *device, size_t interface);
bool device_repeats_driver(const struct device *device, size_t interface);
/* Of PCI devices: functions of one card, or of one device of the chipset. */
bool device_is_same_slot(const struct device *device, const struct device *other);
/* Of a PCI device: on the root bus are those of the processor and the chipset, and no card. */
bool device_is_on_root_bus(const struct device *device);
/* One more file, without links; takes the path. The result is borrowed until the next one. */
struct device_file *device_add_file(struct device *device, enum device_file_kind kind, char *path);
/* Take the texts. */
void device_add_mdev_type(struct device *device, char *name, char *label, unsigned available);
void device_add_mdev(struct device *device, char *uuid, char *type);
/* From here on it stands for that mediated device alone. Takes the type, NULL: unknown. */
void device_make_instance(struct device *device, const char *uuid, char *type);
/* One more SCSI device on it, by its address. */
void device_add_scsi(struct device *device, const char *address);

/* How many files of that kind it has, and the one with that number, counted from 0, or NULL. */
size_t device_file_count(const struct device *device, enum device_file_kind kind);
const struct device_file *device_find_file(const struct device *device, enum device_file_kind kind,
                                           size_t number);
/* The path that stays the longest: the best link, or the kernel's name. Borrowed. */
const char *device_file_path(const struct device_file *file);
/* Whether the path is one of the file's. */
bool device_file_has_path(const struct device_file *file, const char *path);
/* Its type of that name, or NULL. */
const struct device_mdev_type *device_find_mdev_type(const struct device *device, const char *name);

/* By what people, the log and the state know it: "0000:03:00.0 1ac1:089a"; of a SCSI device its
 * address, "3:0:0:1"; of a mediated device "0000:06:00.0 10de:1eb8 UUID". The caller frees it. */
char *device_text(const struct device *device);

/* What a SCSI device is: "disk", "tape", "medium changer"; borrowed. */
const char *device_scsi_type_text(int scsi_type);

/* The same device at the same place; for USB, since it was plugged in; for SCSI, with the same
 * serial number as far as that is known. */
bool device_is_same(const struct device *one, const struct device *other);

/* Class 0c03 of PCI, and class 03. */
bool device_is_usb_controller(const struct device *device);
bool device_is_graphics_card(const struct device *device);

/* Whether disks can be on it, by its class: on a PCI storage, SD or Fibre Channel controller, on a
 * USB storage device. A SCSI device may be one. */
bool device_may_have_disks(const struct device *device);

/* Whether it is a SCSI device on that USB device or PCI function, without another of our devices
 * between them. */
bool device_is_on(const struct device *scsi, const struct device *device);

/* The order of a device and that place in a snapshot: PCI by address, then USB by port path, then
 * SCSI by address. */
int device_compare(enum bus bus, const char *address, const struct device *device);

/* The host has given up its console on the device. */
void device_give_up_display(struct device *device);

/* Notes an obstacle, unless the device has a stronger one. Takes both texts. */
void device_obstruct(struct device *device, enum obstacle obstacle, char *text, char *hint);

bool device_id_is(struct device_id one, struct device_id other);

/* A USB device that has another id from when a program has loaded its firmware. */
struct device_renamed {
    struct device_id ids[2]; /* before and after */
    const char *name;        /* for people: it has no texts of its own */
};
/* That of one of these ids; NULL: the device keeps its id. */
const struct device_renamed *device_find_renamed(struct device_id id);

/* "1a6e:089a", two times four digits and nothing else. */
bool device_id_parse(const char *text, struct device_id *id);

#endif
