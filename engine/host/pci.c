#include "engine/host/pci.h"

#include "engine/host/bus_reader.h"
#include "engine/host/driver.h"
#include "engine/host/iommu.h"
#include "engine/host/kernel_release.h"
#include "engine/host/mdev.h"
#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI "sys/bus/pci/devices"

enum {
    CLASS_MAX = 0xFFFFFF,
    CLASS_UNKNOWN = 0x00, /* or from before there was a class for it */
    CLASS_BRIDGE = 0x06,
    CLASS_HOST_BRIDGE = 0x0600,
    CLASS_PCI_BRIDGE = 0x0604,
    QEMU_DOMAIN_MAX = 0xFFFF,
    /* The configuration space, as in linux/pci_regs.h. */
    CONFIG_SIZE = 256, /* without the extended part that Express devices have */
    HEADER_SIZE = 64,  /* the device itself is asked for each four bytes, which takes time */
    HEADER_TYPE = 0x0E,
    HEADER_TYPE_MASK = 0x7F,
    STATUS = 0x06,
    STATUS_HAS_CAPABILITIES = 0x10,
    CAPABILITIES = 0x34, /* where the first is */
    CAPABILITIES_START = 0x40,
    CAPABILITY_EXPRESS = 0x10
};

/* ---- Attributes ---- */

/* -1 where the kernel does not know it. */
static int pci_read_numa_node(const struct reading *reading) {
    char *text = tree_directory_attribute(reading->directory, "numa_node");
    uint32_t value = 0;
    bool is_known = text_parse_decimal(text, INT32_MAX, &value);

    free(text);
    return is_known ? (int)value : -1;
}

static struct device_id pci_read_subsystem(const struct reading *reading) {
    struct device_id id = {(uint16_t)bus_reader_hex(reading, "subsystem_vendor", UINT16_MAX),
                           (uint16_t)bus_reader_hex(reading, "subsystem_device", UINT16_MAX)};
    return id.vendor ? id : (struct device_id){0, 0};
}

/*
 * Whether the list of capabilities has that of PCI Express. Root alone may read beyond the header;
 * the size of the file then says what libvirt would take it for.
 */
static enum pci_kind pci_kind_of(const unsigned char *bytes, size_t size, int config) {
    bool seen[CONFIG_SIZE] = {false};
    struct stat status;

    if (size <= CAPABILITIES || (bytes[0] == 0xff && bytes[1] == 0xff))
        return PCI_UNKNOWN;
    if (!(bytes[STATUS] & STATUS_HAS_CAPABILITIES))
        return PCI_CONVENTIONAL;
    size_t at = bytes[CAPABILITIES] & ~3U;
    while (at >= CAPABILITIES_START && at + 1 < size && !seen[at] &&
           bytes[at] != CAPABILITY_EXPRESS) {
        seen[at] = true;
        at = bytes[at + 1] & ~3U;
    }
    if (at + 1 < size && at >= CAPABILITIES_START && !seen[at])
        return PCI_EXPRESS;
    if (at < CAPABILITIES_START)
        return PCI_CONVENTIONAL;
    if (size == CONFIG_SIZE || fstat(config, &status) < 0)
        return PCI_UNKNOWN;
    return status.st_size > CONFIG_SIZE    ? PCI_EXPRESS
           : status.st_size == CONFIG_SIZE ? PCI_CONVENTIONAL
                                           : PCI_UNKNOWN;
}

/* A read that no device answers has all bits set. */
static bool pci_is_silent(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != UINT8_MAX)
            return false;
    return size > HEADER_TYPE;
}

static void pci_obstruct_silent(const struct reading *reading) {
    struct device *device = reading->device;
    char *power_state = tree_directory_attribute(reading->directory, "power_state");

    device_obstruct(device, OBSTACLE_NO_ANSWER,
                    memory_printf("%s does not answer: its configuration space reads ff "
                                  "throughout%s%s",
                                  device->address, power_state ? ", power state " : "",
                                  power_state ? power_state : ""),
                    memory_printf("power it up ('echo on >/sys/bus/pci/devices/%s/power/control', "
                                  "or what turned it off), or turn the host off and on again",
                                  device->address));
    free(power_state);
}

static void pci_read_header(const struct reading *reading) {
    struct device *device = reading->device;
    unsigned char bytes[CONFIG_SIZE];
    int config =
        openat(reading->directory, "config", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = config < 0
                      ? -1
                      : read(config, bytes, reading->source->is_brief ? HEADER_SIZE : CONFIG_SIZE);
    size_t size = got < 0 ? 0 : (size_t)got;

    if (got < 0)
        bus_reader_miss_by_errno(reading, "config");
    device->kind = pci_kind_of(bytes, size, config);
    if (config >= 0)
        close(config);
    if (pci_is_silent(bytes, size)) {
        pci_obstruct_silent(reading);
        return;
    }
    if (size > HEADER_TYPE)
        device->header = bytes[HEADER_TYPE] & HEADER_TYPE_MASK ? HEADER_BRIDGE : HEADER_ENDPOINT;
}

/* The host's own bridge and those to ISA and the like have the header of an endpoint. */
static bool pci_is_bridge(const struct device *device) {
    uint32_t class = device->class_code >> 8;
    if (device->header == HEADER_UNKNOWN)
        return class >> 8 == CLASS_BRIDGE;
    return device->header == HEADER_BRIDGE ||
           (class >= CLASS_HOST_BRIDGE && class < CLASS_PCI_BRIDGE);
}

/*
 * A line of `resource` for each BAR, then one for the ROM and others of bridges: the first and the
 * last address and the kernel's flags (include/linux/ioport.h). A kernel that gave a BAR no address
 * writes one that begins at 0, with its size. Nothing but notes depends on it.
 */
static void pci_read_bars(const struct reading *reading) {
    enum { MEMORY = 0x200, PREFETCHABLE = 0x2000, IS_64BIT = 0x100000 };
    struct device *device = reading->device;
    char *text = tree_directory_attribute(reading->directory, "resource"), *rest = text;

    device->has_bars = text;
    for (unsigned number = 0; number < DEVICE_BARS; number++) {
        uint64_t field[3] = {0}; /* first, last, flags */
        char *line = text_next_line(&rest), *end = line;
        for (size_t i = 0; line && i < sizeof field / sizeof *field; i++)
            field[i] = strtoull(end, &end, 16);
        if (!(field[2] & MEMORY) || field[1] <= field[0])
            continue;
        device->bars[device->bar_count++] =
            (struct device_bar){.number = number,
                                .size = field[1] - field[0] + 1,
                                .is_64bit = field[2] & IS_64BIT,
                                .is_prefetchable = field[2] & PREFETCHABLE};
    }
    free(text);
}

static int pci_read_group(const struct reading *reading) {
    errno = 0;
    char *name = bus_reader_link(reading, "iommu_group");
    uint32_t group = 0;
    bool is_number = text_parse_decimal(name, INT32_MAX, &group);
    bool is_unknown = !name && !tree_is_absence(errno);

    free(name);
    return is_number ? (int)group : is_unknown ? BUS_READER_GROUP_UNKNOWN : -1;
}

/* "pci:v00001AC1d0000089Asv00001AC1sd0000089Abc08sc80i00" */
bool pci_identify(struct device *device, const char *modalias) {
    enum { VENDOR, DEVICE, SUBVENDOR, SUBDEVICE, BASE, SUB, INTERFACE, FIELDS };
    static const struct {
        const char *name;
        size_t digits;
    } fields[FIELDS] = {{"pci:v", 8}, {"d", 8},  {"sv", 8}, {"sd", 8},
                        {"bc", 2},    {"sc", 2}, {"i", 2}};
    uint32_t values[FIELDS] = {0};

    for (size_t i = 0; modalias && i < FIELDS; i++) {
        char digits[9] = "";
        if (!text_starts_with(modalias, fields[i].name))
            return false;
        modalias += strlen(fields[i].name);
        memcpy(digits, modalias, strnlen(modalias, fields[i].digits));
        if (!text_parse_hex(digits, UINT32_MAX, &values[i]))
            return false;
        modalias += strlen(digits);
    }
    if (!values[VENDOR])
        return false;
    device->id = (struct device_id){(uint16_t)values[VENDOR], (uint16_t)values[DEVICE]};
    if (values[SUBVENDOR])
        device->subsystem =
            (struct device_id){(uint16_t)values[SUBVENDOR], (uint16_t)values[SUBDEVICE]};
    device->class_code = values[BASE] << 16 | values[SUB] << 8 | values[INTERFACE];
    return true;
}

/* One file tells it; or else, as of a recorded host, five do. */
static void pci_read_identity(const struct reading *reading) {
    struct device *device = reading->device;
    char *modalias = tree_directory_attribute(reading->directory, "modalias");

    if (!pci_identify(device, modalias)) {
        device->id = bus_reader_id(reading, "vendor", "device");
        device->subsystem = pci_read_subsystem(reading);
        device->class_code = bus_reader_need_hex(reading, "class", CLASS_MAX);
    }
    free(modalias);
}

/* What does not tell whether the device can be assigned; so a file that cannot be read is as one
 * that is not there. How a graphics card is given to a VM depends on its BARs. */
static void pci_read_description(const struct reading *reading) {
    struct device *device = reading->device;
    bool is_brief = reading->source->is_brief;
    if (!reading->source->leaves_out_resets && (!is_brief || !device->is_bridge))
        device->reset_methods = tree_directory_attribute(reading->directory, "reset_method");
    if (!is_brief || device_is_graphics_card(device))
        pci_read_bars(reading);
    if (is_brief)
        return;
    device->numa_node = pci_read_numa_node(reading);
    device->power_state = tree_directory_attribute(reading->directory, "power_state");
}

/* The kernel has `boot_vga` for no other class (pci_dev_attrs_are_visible()). */
static bool pci_may_be_vga(const struct device *device) {
    return device_is_graphics_card(device) || device->class_code >> 16 == CLASS_UNKNOWN;
}

/* What no bridge is or has. */
static void pci_read_endpoint(const struct reading *reading) {
    struct device *device = reading->device;
    char *boot_vga = reading->source->is_brief && !pci_may_be_vga(device)
                         ? NULL
                         : bus_reader_fact(reading, "boot_vga");

    device->boot_vga = boot_vga && strcmp(boot_vga, "1") == 0;
    device->physical = bus_reader_link(reading, "physfn");
    if (!reading->source->is_brief || !tree_directory_lacks(reading->directory, "sriov_numvfs")) {
        device->virtual_functions = bus_reader_decimal(reading, "sriov_numvfs");
        device->vf_total = bus_reader_decimal(reading, "sriov_totalvfs");
    }
    mdev_read_types(reading);
    free(boot_vga);
}

static void pci_read(const struct reading *reading) {
    struct device *device = reading->device;

    pci_read_identity(reading);
    /* The kernel takes no device with another header for one (pci_setup_device()). */
    if (reading->source->is_brief && device->class_code >> 8 == CLASS_PCI_BRIDGE) {
        device->header = HEADER_BRIDGE;
        device->is_bridge = true;
        return;
    }
    device->driver = bus_reader_link(reading, "driver");
    device->iommu_group = pci_read_group(reading);
    pci_read_header(reading);
    device->is_bridge = pci_is_bridge(device);
    if (!device->is_bridge)
        pci_read_endpoint(reading);
    pci_read_description(reading);
}

static bool pci_is_device(const char *name) {
    bool has_domain = false;
    return address_is_pci(name, &has_domain) && has_domain;
}

static char *pci_driver_of(const struct tree *tree, const struct device *device, int directory) {
    (void)tree, (void)device;
    return tree_directory_link_name(directory, "driver");
}

const struct bus_reader bus_reader_pci = {.bus = BUS_PCI,
                                          .directory = PCI,
                                          .is_device = pci_is_device,
                                          .read = pci_read,
                                          .driver_of = pci_driver_of};

/* ---- SR-IOV ---- */

/* "virtfn3" in the directory of the physical function leads to the virtual one with that number. */
static void pci_number_functions(struct host *host, const struct tree *tree, const char *physical) {
    static const char start[] = "virtfn";
    char *directory = memory_printf(PCI "/%s", physical);
    struct names names = tree_list(tree, directory);

    for (size_t i = 0; i < names.count; i++) {
        uint32_t number = 0;
        if (!text_starts_with(names.items[i], start) ||
            !text_parse_decimal(names.items[i] + strlen(start), INT32_MAX, &number))
            continue;
        char *address = tree_link_name(tree, directory, names.items[i]);
        const struct device *function = address ? host_find(host, BUS_PCI, address) : NULL;
        if (function)
            host->devices[function - host->devices].vf_number = (int)number;
        free(address);
    }
    tree_finish_names(&names);
    free(directory);
}

void pci_find_physical_functions(struct host *host, const struct tree *tree) {
    bool *is_numbered = memory_zalloc((host->count + 1) * sizeof *is_numbered);

    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        const struct device *physical =
            device->physical ? host_find(host, BUS_PCI, device->physical) : NULL;
        if (!physical)
            continue;
        device->physical_function = memory_zalloc(sizeof *device->physical_function);
        *device->physical_function = device_copy(physical);
        if (!is_numbered[physical - host->devices])
            pci_number_functions(host, tree, physical->address);
        is_numbered[physical - host->devices] = true;
    }
    free(is_numbered);
}

/* ---- What the firmware and the kernel forbid ---- */

/* Models that vfio-pci does not bind to unless a parameter says so (its denylist, from Linux 5.9):
 * Intel QAT, of which a guest could stop the host. */
static bool pci_is_on_denylist(const struct device *device, const struct tree *tree) {
    static const uint16_t models[] = {0x0435, 0x0443, 0x19e2, 0x19e3, 0x37c8, 0x37c9};
    bool is_listed = false;

    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        is_listed |= device->id.vendor == 0x8086 && device->id.device == models[i];
    char *text = is_listed
                     ? tree_attribute(tree, "sys/module/vfio_pci/parameters", "disable_denylist")
                     : NULL;
    bool is_refused = text && strcmp(text, "N") == 0;
    free(text);
    return is_refused;
}

/* vfio_pci_validate_vf_token(): libvirt has no token to show. */
static bool pci_needs_token(const struct host *host, const struct device *device) {
    const struct device *physical =
        device->physical ? host_find(host, BUS_PCI, device->physical) : NULL;
    return physical && physical->driver && driver_is_vfio(physical->driver);
}

/*
 * ".../0000:d7:05.5/pci10001:00/10001:00:01.0/10001:02:00.0": the PCI device above the root of a
 * domain made that domain. Of several the first: its own domain is one that qemu takes. The caller
 * frees it; NULL: sysfs does not tell.
 */
static char *pci_find_controller(const struct device *device, const struct tree *tree) {
    char *link = memory_printf(PCI "/%s", device->address), *path = tree_resolve(tree, link);
    char *rest = path, *before = NULL, *controller = NULL;
    bool has_domain = false;

    for (char *part; !controller && (part = strsep(&rest, "/")); before = part)
        if (before && strncmp(part, "pci", 3) == 0 && address_is_pci(before, &has_domain))
            controller = memory_strdup(before);
    free(path);
    free(link);
    return controller;
}

void pci_find_controllers(struct host *host, const struct tree *tree) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_PCI || strtoul(device->address, NULL, 16) <= QEMU_DOMAIN_MAX)
            continue;
        device->controller = pci_find_controller(device, tree);
        const struct device *controller =
            device->controller ? host_find(host, BUS_PCI, device->controller) : NULL;
        device->goes_with_controller = controller && device->iommu_group >= 0 &&
                                       controller->iommu_group == device->iommu_group;
    }
}

static char *pci_controller_hint(const struct host *host, const struct device *device) {
    const struct device *controller =
        device->controller ? host_find(host, BUS_PCI, device->controller) : NULL;

    if (!controller)
        return memory_strdup("turn VMD off in the firmware for the slot of the device, or name "
                             "another device");
    if (controller->use)
        return memory_printf("it can only be assigned with its VMD controller %s, and the host %s: "
                             "turn VMD off in the firmware for the slot of the device",
                             controller->address, controller->use);
    return memory_printf("assign the VMD controller %s instead, with all that is behind it",
                         controller->address);
}

/* PCIHostDeviceAddress of qemu, and libvirt's virPCIDeviceAddressIsValid(). */
void pci_find_unsupported_domains(struct host *host) {
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus == BUS_PCI && strtoul(device->address, NULL, 16) > QEMU_DOMAIN_MAX)
            device_obstruct(
                device, OBSTACLE_DOMAIN,
                memory_printf("%s is in PCI domain %.*s, and qemu supports PCI domains up to %x",
                              device->address, (int)strcspn(device->address, ":"), device->address,
                              QEMU_DOMAIN_MAX),
                pci_controller_hint(host, device));
    }
}

/* Without it libvirt and we could only name the model to vfio-pci (new_id), which takes all others
 * of the model too. */
static bool pci_lacks_override(const struct device *device, const struct tree *tree) {
    char *path = memory_printf(PCI "/%s/driver_override", device->address);
    bool lacks = !tree_has(tree, path);
    free(path);
    return lacks;
}

void pci_find_obstacles(struct host *host, const struct tree *tree) {
    unsigned release = kernel_release(tree);
    bool may_lack_override = release && release < KERNEL_RELEASE_OVERRIDE;
    int groups = iommu_open_groups(tree);

    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (device->bus != BUS_PCI || device->is_outside || device->is_bridge)
            continue;
        if (device->iommu_group >= 0)
            iommu_find_reserved_regions(device, tree, groups);
        if (pci_is_on_denylist(device, tree))
            device_obstruct(
                device, OBSTACLE_KERNEL,
                memory_strdup("vfio-pci does not accept this model: it is on its denylist"),
                memory_strdup("load vfio-pci with disable_denylist=1 if the guest is "
                              "trusted, or assign another device"));
        if (may_lack_override && pci_lacks_override(device, tree))
            device_obstruct(device, OBSTACLE_KERNEL,
                            memory_strdup("this kernel is older than Linux 3.16: it has no "
                                          "driver_override, by which one device alone is bound to "
                                          "vfio-pci"),
                            memory_strdup(KERNEL_RELEASE_HINT));
        if (pci_needs_token(host, device))
            device_obstruct(
                device, OBSTACLE_KERNEL,
                memory_printf("its physical function %s is bound to vfio-pci, which then asks "
                              "for a token that libvirt does not have",
                              device->physical),
                memory_printf("give %s back to its host driver, which makes the virtual "
                              "functions",
                              device->physical));
    }
    if (groups >= 0)
        close(groups);
}
