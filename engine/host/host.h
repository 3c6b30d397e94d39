/*
 * The host's devices, read once into a snapshot that everything else only looks at.
 *
 * Facts come from the kernel's own files below one root: sysfs
 * (Documentation/ABI/testing/sysfs-bus-pci and sysfs-bus-usb), the mountinfo of every mount
 * namespace, /proc/swaps, /proc/mdstat and /proc/net. Names come from libpci's list and the
 * device's own strings. A file that an old kernel lacks makes a fact unknown, never an error. Texts
 * are UTF-8 without control characters.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bus { BUS_PCI, BUS_USB };

/* What a PCI device's configuration space says that it is; UNKNOWN: it cannot be read. */
enum pci_kind { PCI_UNKNOWN, PCI_CONVENTIONAL, PCI_EXPRESS };

/* A pair of 16-bit numbers, as "vvvv:dddd". */
struct device_id {
    uint16_t vendor;
    uint16_t device;
};

/* What the configuration space says that a PCI device is. */
enum pci_header { HEADER_UNKNOWN, HEADER_ENDPOINT, HEADER_BRIDGE };

/* What forbids to give a device to a VM, whatever it does on the host; the strongest first. */
enum obstacle {
    OBSTACLE_NONE,
    OBSTACLE_NO_ANSWER,   /* nothing answers at its address */
    OBSTACLE_DOMAIN,      /* its PCI domain is above those that qemu takes */
    OBSTACLE_UNKNOWN_USE, /* what would tell whether the host uses it cannot be read */
    OBSTACLE_FIRMWARE,    /* the firmware keeps memory for its IOMMU group: a `direct` region */
    OBSTACLE_KERNEL,      /* vfio-pci does not take it */
};

struct host_device {
    enum bus bus;
    /* PCI: "0000:03:00.0". USB: the port path "1-1.4", which is the device's name in sysfs. */
    char *address;
    struct device_id id;
    struct device_id subsystem; /* PCI only; 0:0 when unknown */
    uint32_t class_code;        /* 24 bits; USB: the first interface's where the device has none */
    char *name;                 /* for people; never NULL */
    char *driver;               /* bound host driver (USB: of an interface), NULL for none */
    int iommu_group;            /* -1: none */
    int numa_node;              /* -1: none or unknown */
    /* Never passed: PCI header type 1 or 2, a host or ISA bridge, or a USB hub. Where the header
     * cannot be read the PCI class tells. */
    bool is_bridge;
    enum pci_header header; /* PCI only */
    enum pci_kind kind;     /* PCI only: has it an Express capability? */
    bool boot_vga;
    char *reset_methods; /* "flr bus"; NULL when unknown */
    char *power_state;   /* "D0"; NULL when unknown */
    char *physical;      /* of a virtual function the address of its physical one; else NULL */
    /* Of a PCI device in a domain above ffff the address of the controller whose driver makes that
     * domain (Intel VMD); else NULL. The device leaves the host when that driver does. */
    char *controller;
    bool goes_with_controller;  /* which is in the same IOMMU group: the group then is viable */
    unsigned virtual_functions; /* that run on it now */
    unsigned bus_number; /* USB only: what libvirt calls bus and device; they change at each plug */
    unsigned device_number;
    char *serial; /* USB only, NULL when it has none */
    /* What the host itself does with the device, in words that end "the host ...", for example
     * "mounts / from it (sda1, md0)"; NULL: nothing. */
    char *use;
    /* The process of a VM that has a file of it open, other than VFIO's and its USB file, as a disk
     * that is its own: "qemu-system-x86 (process 4242: /dev/sdb)"; NULL: none. */
    char *vm_use;
    enum obstacle obstacle;
    char *obstacle_text, *obstacle_hint; /* NULL: no obstacle */
};

/*
 * What the kernel shows of the host's devices under a name of its own, and where it sits: a disk, a
 * partition, an array or volume, a network interface or bridge.
 */
struct host_node {
    const char *class; /* "block" or "net" */
    char *name;        /* the kernel's: "nvme0n1p1", "vmbr10" */
    char *label;       /* of the device mapper: "vg1-root"; NULL: none */
    char *number;      /* "259:1"; NULL: none or unknown */
    size_t *devices;   /* indexes into the host's devices, in order: all that it is made of, and */
    size_t device_count; /* the hubs, controllers and bridges above them */
};

/* What could not be read although it may be there. */
struct fault {
    char *path; /* below the root */
    int error;  /* errno */
};

struct faults {
    struct fault *list;
    size_t count;
};

struct host {
    char *root;                  /* "" for the running system */
    struct host_device *devices; /* PCI by address, then USB by port path in number order */
    size_t count;
    struct host_node *nodes;
    size_t node_count;
    struct faults faults;
    bool has_iommu; /* the kernel made at least one IOMMU group */
    bool has_usb;   /* the kernel shows all of its USB: at least a root hub, which is not among
                                    `devices`, and nothing that cannot be read */
};

/*
 * Reads the host below `root` ("" or NULL: the running system). Returns 0, or -1 with a message
 * in `error` when there is nothing to read (no sys/bus/pci and no sys/bus/usb). The caller
 * owns the snapshot and ends it with host_finish().
 */
int host_init(struct host *host, const char *root, char *error, size_t error_size);
void host_finish(struct host *host);

/* Notes an obstacle, unless the device has a stronger one. Takes both texts. */
void host_obstruct(struct host_device *device, enum obstacle obstacle, char *text, char *hint);

/* The device at that bus and address, or NULL. */
const struct host_device *host_find(const struct host *host, enum bus bus, const char *address);

/*
 * The node called `name` in that class: the kernel's name, a number ("259:1"), or a path
 * ("/dev/disk/by-id/..."), whose links are followed below the host's root. NULL: the host has none.
 * It belongs to the snapshot.
 */
const struct host_node *host_node_find(const struct host *host, const char *class,
                                       const char *name);

/* The driver of a device right now, read anew; "" for none. Returns false when it is gone. */
bool host_driver(const struct host *host, const struct host_device *device, char *driver,
                 size_t size);

/*
 * Why a member of its IOMMU group keeps `device` from being passed, or NULL when none does: the
 * first other endpoint that is bound to a host driver (not vfio-pci, a *_vfio_pci or pci-stub; PCI
 * and host bridges do not count).
 */
const struct host_device *host_group_blocker(const struct host *host,
                                             const struct host_device *device);

/* What of a group's endpoints keeps the others from being passed: see host_group_blocker(). */
bool host_blocks_group(const struct host_device *device);

/*
 * Takes a PCI device from the host driver that the snapshot has, and leaves it without one: enough
 * for the rest of its IOMMU group to be passed, and libvirt then takes it, and gives it back to its
 * host driver when the VM ends, as any other (it would leave one on vfio-pci that it found there).
 * Nothing is done to a bridge, to what the host uses, nor when it has another driver by now.
 * Returns 0, or -1 with a message; HOST_LATE with one when the driver has not released the device
 * within DEADLINE_BIND_MS: it may do so later.
 */
enum { HOST_LATE = -2 };
int host_release(const struct host *host, const struct host_device *device, char *error,
                 size_t error_size);

/*
 * Lets the kernel find a driver for a PCI device that has none, and no longer vfio's because its
 * driver_override says so. No device of its group may be in use by a VM: Linux from 5.19 refuses
 * (EBUSY), and an older one halts on it (a BUG in drivers/vfio). Returns 0, also when no driver
 * wants it, or -1 with a message.
 */
int host_give_back(const struct host *host, const struct host_device *device, char *error,
                   size_t error_size);

/* Whether that driver hands devices to VMs: "vfio-pci", "mlx5_vfio_pci". */
bool host_is_vfio(const char *driver);

/*
 * The same as host_give_back() for a device that was left on a driver of vfio's, which it is taken
 * from. Nobody may have its group open, see host_group_user(): the kernel would ask a guest to let
 * it go, and wait for that.
 */
int host_reclaim(const struct host *host, const struct host_device *device, char *error,
                 size_t error_size);

/*
 * Who has the device's IOMMU group open (/dev/vfio/GROUP, or the device's own file of Linux from
 * 6.6), from all processes' open files: "qemu-system-x86 (process 4242)" in words that the caller
 * frees, or NULL: nobody. Where that cannot be seen, somebody has.
 */
char *host_group_user(const struct host *host, const struct host_device *device);

/* Whether the kernel survives that a device goes back to its host driver, as libvirt makes it at a
 * detach, while another of its group is in a VM; see host_give_back(). */
bool host_may_split_group(const struct host *host);

/* "0000:03:00.0" or "1-1.4" as people write it on a command line: "03:00.0" gets its domain, and
 * "00010001:02:00.0" loses the zeros that the kernel does not print. */
bool host_address_normalise(const char *text, char *address, size_t size);

#endif
