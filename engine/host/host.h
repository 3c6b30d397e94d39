/*
 * The host's devices, read once into a snapshot that everything else only looks at.
 *
 * Facts come from the kernel's own files below one root: sysfs
 * (Documentation/ABI/testing/sysfs-bus-pci and sysfs-bus-usb), the mountinfo of every mount
 * namespace, /proc/swaps, /proc/mdstat and /proc/net. Names come from pci.ids and the
 * device's own strings. A file that an old kernel lacks makes a fact unknown, never an error. Texts
 * are UTF-8 without control characters.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include "engine/host/graph.h"
#include "engine/model/device.h"
#include "engine/model/setting.h"
#include "lexer/failure.h"

/* What could not be read although it may be there. */
struct fault {
    char *path; /* below the root */
    int error;  /* errno */
};

struct faults {
    struct fault *list;
    size_t count;
};

struct host;

/* The PCI devices that a reading of the host is for. */
struct host_scope {
    /* Whether the device may be one, of which only the address, ids and class are known. */
    bool (*may_be)(const struct host_scope *scope, const struct device *device);
    const void *context;
};

/* Who has yet to finish with a device that was added: until the kernel has, rules cannot be judged;
 * until udev has, a VM should not get it. */
enum host_settling { HOST_SETTLED, HOST_SETTLING_KERNEL, HOST_SETTLING_UDEV };

/* What the physical function of an SR-IOV network card keeps of one of its virtual functions. */
struct vf_config {
    /* That the function has when a driver binds to it; zeros: it chooses one itself. */
    char mac[18];
    unsigned vlan;                                              /* 0: none */
    enum { VF_TRUST_UNKNOWN, VF_TRUST_OFF, VF_TRUST_ON } trust; /* unknown: its driver has none */
};

/* Parts of a struct vf_config, as bits. */
enum vf_config_part { VF_CONFIG_MAC = 1, VF_CONFIG_VLAN = 2, VF_CONFIG_TRUST = 4 };

/* What unbind() returns when the driver still has the device after DEADLINE_BIND_MS. */
enum { HOST_LATE = -2 };

/*
 * The port to a host: where a snapshot comes from, and what changes its driver bindings.
 * source_sysfs() is the kernel's own; a test copies that and replaces what it wants to see, and so
 * can a source that is not on this machine.
 *
 * Functions that take a `struct failure` return 0, or -1 with it filled in. `device` is always of
 * the snapshot `host`.
 */
struct host_source {
    const char *root; /* "": the running system; else the directory of a copy. Borrowed */
    /*
     * NULL: load() reads everything. Else it need not read more than what tells whether these
     * devices can be assigned: them, the rest of their IOMMU groups, and the uses that they may
     * have. The others are there with `is_outside` and count as in use. Where anything is out of
     * the ordinary, or cannot be read, it reads everything all the same. Borrowed
     */
    const struct host_scope *scope;
    /* NUMA nodes and power states of PCI devices are left out, BARs of all but displays and whether
     * they are the boot VGA device, and of PCI bridges everything but that they are there: only
     * plans and full descriptions need them. */
    bool is_brief;
    /* All reset methods: only a rule with 'reset method' needs them, and full descriptions. */
    bool leaves_out_resets;

    /* Reads the host. The caller ends the snapshot with host_finish(); after -1 it is empty. */
    int (*load)(const struct host_source *source, struct host *host, struct failure *failure);
    /* The same for a caller that only asks which devices are there, and judges none: what the host
     * uses is not read, which is most of the work, and so counts as unknown (OBSTACLE_UNKNOWN_USE).
     */
    int (*load_devices)(const struct host_source *source, struct host *host,
                        struct failure *failure);
    /* Reads the names of PCI devices which load() left out of a partial snapshot, once. */
    void (*load_names)(struct host *host);
    /* SEQNUM of the kernel's last uevent; 0: unknown. */
    uint64_t (*last_seqnum)(const struct host_source *source);
    /* A text that differs from boot to boot; "": unknown. The caller frees it. */
    char *(*boot_id)(const struct host_source *source);

    /* Looks at the device at that bus and address now, in few reads; `missing` (NULL: not wanted)
     * is what it waits for, in words, which the caller frees, or NULL. A device that is gone is
     * settled. */
    enum host_settling (*settling)(const struct host_source *source, const struct device *device,
                                   char **missing);
    /* Whether udev is still at work on events: a device or its driver may come yet. False without
     * udev. */
    bool (*has_events)(const struct host_source *source);
    /* Whether the device is there now; of a USB device, since it was plugged in. Reads only it. */
    bool (*is_there)(const struct host_source *source, const struct device *device);
    /* How long ago the kernel made the device's node, just before its event, in milliseconds; -1:
     * unknown, or not a USB device. */
    int64_t (*age_ms)(const struct host_source *source, const struct device *device);

    /* The driver that a device is bound to now, "" for none. False: the device is gone, or the name
     * is longer than `size`. */
    bool (*driver_of)(const struct host *host, const struct device *device, char *driver,
                      size_t size);
    /*
     * Unbinds a PCI device from the host driver that the snapshot has, and leaves it without one:
     * the rest of its IOMMU group can then be assigned. libvirt takes the device so, and rebinds it
     * when the VM ends (it would leave one on vfio-pci that it found there). Nothing happens to a
     * bridge, to a device that the host uses, or when the device has another driver by now.
     * HOST_LATE: the driver has not released it yet, and may do so later.
     */
    int (*unbind)(const struct host *host, const struct device *device, struct failure *failure);
    /*
     * Lets the kernel find a driver for a PCI device that has none; a driver_override that names a
     * vfio driver is cleared first. No device of its group may be in use by a VM: Linux from 5.19
     * refuses (EBUSY), and an older one halts on it (a BUG in drivers/vfio). 0 also when no driver
     * takes the device.
     */
    int (*probe)(const struct host *host, const struct device *device, struct failure *failure);
    /* The same for a device that was left on a vfio driver, which it is unbound from. Nobody may
     * have its group open (see group_user): the kernel would wait for that process. */
    int (*rebind)(const struct host *host, const struct device *device, struct failure *failure);
    /*
     * Binds a PCI device to that driver, which must be loaded (see has_driver), from whatever
     * driver it has. The name is left in driver_override: no driver that is loaded later takes the
     * device. NULL: takes the name away, and lets the kernel find a driver for a device that has
     * none. 0 also when the driver does not take it: driver_of() tells. HOST_LATE: as of unbind.
     * Binding a device to a driver that is not for VMs is as dangerous as probe.
     */
    int (*bind)(const struct host *host, const struct device *device, const char *driver,
                struct failure *failure);
    /* Whether the kernel has a PCI driver of that name now. */
    bool (*has_driver)(const struct host_source *source, const char *driver);
    /* Loads the module of that name, as modprobe(8) does; 0 also when it has another driver. */
    int (*load_driver)(const struct host_source *source, const char *driver,
                       struct failure *failure);
    /* Creates virtual functions on a physical one that has none. HOST_LATE: the driver has not done
     * it yet, and may do so later. */
    int (*create_functions)(const struct host *host, const struct device *physical, unsigned count,
                            struct failure *failure);
    /*
     * Which process has the device's IOMMU group open (/dev/vfio/GROUP, or the device's own file of
     * Linux from 6.6): "qemu-system-x86 (process 4242)", which the caller frees, or NULL: none.
     * Where that cannot be seen the text says so.
     */
    char *(*group_user)(const struct host *host, const struct device *device);
    /* Whether the kernel survives that one device of a group is bound to its host driver while a VM
     * has another one: see probe. */
    bool (*may_split_group)(const struct host *host);

    /* Whether a mediated device with that UUID is there now, the address of the device that it is
     * on, and its type; the caller frees both, which may be NULL: unknown. */
    bool (*find_mdev)(const struct host_source *source, const char *uuid, char **parent,
                      char **type);
    /* Creates one on a PCI device. HOST_LATE: the driver has not done it yet, and may do so later.
     */
    int (*create_mdev)(const struct host_source *source, const struct device *parent,
                       const char *type, const char *uuid, struct failure *failure);
    /* Removes it; 0 also when it is gone. Nobody may have it open (see mdev_user): the kernel would
     * wait for that process. HOST_LATE: it does. */
    int (*remove_mdev)(const struct host_source *source, const char *uuid, struct failure *failure);
    /* Which process has it open, in words as those of group_user. */
    char *(*mdev_user)(const struct host_source *source, const char *uuid);
    /* The settings of a virtual function of a network card, now. Its physical function has them,
     * whatever driver the virtual one is bound to. */
    int (*read_vf)(const struct host *host, const struct device *device, struct vf_config *config,
                   struct failure *failure);
    /* Changes `parts` of them (enum vf_config_part). Nothing happens when that is 0. */
    int (*write_vf)(const struct host *host, const struct device *device,
                    const struct vf_config *config, unsigned parts, struct failure *failure);

    /* What a setting is now, whatever its `value` says, which the caller frees. NULL with errno: it
     * is gone, or cannot be read. */
    char *(*read_setting)(const struct host_source *source, const struct setting *setting);
    /* Changes it to its value, in a bounded time; -1 with errno, 0: the kernel did nothing. */
    int (*write_setting)(const struct host_source *source, const struct setting *setting,
                         struct failure *failure);
    /* The console that shows the virtual terminals on a framebuffer, as it is now; the caller frees
     * both texts. False: the host has no framebuffer for it. */
    bool (*find_console)(const struct host_source *source, struct setting *console);
    /* Whether the device's driver has made a framebuffer. */
    bool (*has_framebuffer)(const struct host *host, const struct device *device);
};

/* One that the firmware set up, "efi-framebuffer.0" on the platform bus. */
struct host_framebuffer {
    char *name, *driver; /* driver: NULL: it is bound to none */
    size_t device;       /* the index of the card that its memory is on */
};

struct host {
    struct host_source source; /* that it was read from; `root` is the snapshot's own */
    char *root;                /* "" for the running system, else without a slash at its end */
    struct device *devices;    /* PCI by address, then USB by port path in number order */
    size_t count;
    struct graph block, net; /* disks and what is made of them; network interfaces */
    struct faults faults;
    bool leaves_out_names; /* of PCI devices, until load_names() reads them */
    bool is_partial;       /* see `scope` of its source, which is not kept */
    bool has_iommu;        /* the kernel made at least one IOMMU group */
    bool lacks_names;      /* there is no list of the names of PCI devices: see names.h */
    /* The kernel shows all of its USB: at least a root hub, which is not among `devices`, and
     * nothing that cannot be read. */
    bool has_usb;
    char
        *serial_console; /* "ttyS0", to which the kernel writes and on which one may log in; NULL */
    struct host_framebuffer *framebuffers;
    size_t framebuffer_count;
    /* With which somebody can work at the host's console: those of `devices` have
     * `is_console_keyboard`, others are built in. The last one is in use by the host. 0: nobody
     * sees that console. */
    size_t keyboards;
};

/* Ends a snapshot; one of zero bytes too. */
void host_finish(struct host *host);

/* The device at that bus and address, or NULL. */
const struct device *host_find(const struct host *host, enum bus bus, const char *address);

#endif
