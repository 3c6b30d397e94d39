/* The host snapshot from sysfs (Documentation/ABI/testing/sysfs-bus-pci, sysfs-bus-usb). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "engine/host/host.h"
#include "engine/host/host_names.h"
#include "engine/host/host_nodes.h"
#include "engine/host/host_tree.h"
#include "engine/host/host_use.h"
#include "lexer/memory.h"

#define PCI "sys/bus/pci/devices"
#define USB "sys/bus/usb/devices"
#define GROUPS "sys/kernel/iommu_groups"

enum {
    CLASS_MAX = 0xFFFFFF,
    CLASS_BRIDGE = 0x06,
    CLASS_HOST_BRIDGE = 0x0600,
    CLASS_PCI_BRIDGE = 0x0604,
    CLASS_CARDBUS_BRIDGE = 0x0607,
    CLASS_SEMITRANSPARENT_BRIDGE = 0x0609,
    CLASS_USB_HUB = 0x09,
    HEADER_TYPE = 0x0E, /* the byte of that name in the configuration space */
    HEADER_TYPE_MASK = 0x7F,
    STATUS = 0x06,
    STATUS_HAS_CAPABILITIES = 0x10,
    CAPABILITIES = 0x34, /* where the first is */
    CAPABILITIES_START = 0x40,
    CAPABILITY_EXPRESS = 0x10,
    CONFIG_SIZE = 256, /* without the extended part that Express devices have */
    PCI_DOMAIN_DIGITS = 8,
    PCI_BUS_MAX = 0xFF,
    PCI_SLOT_MAX = 0x1F,
    USB_NUMBER_MAX = 255,
    DESCRIPTORS = 16 /* more than are open at a time */
};

/* ---- Addresses ---- */

/* The end of at least `least` and at most `most` hexadecimal digits at `text`, or NULL. */
static const char *skip_hex(const char *text, size_t least, size_t most) {
    size_t count = 0;
    while (isxdigit((unsigned char)text[count]))
        count++;
    return count < least || count > most ? NULL : text + count;
}

/* "[dddd:]bb:ss.f"; an address of the kernel has its domain and all its digits. */
static bool is_pci_address(const char *text, bool *has_domain) {
    const char *first = skip_hex(text, 1, PCI_DOMAIN_DIGITS);
    const char *second = first && *first == ':' ? skip_hex(first + 1, 2, 2) : NULL;

    *has_domain = second && *second == ':';
    const char *bus = *has_domain ? first + 1 : text;
    const char *slot = *has_domain ? second + 1 : first ? first + 1 : NULL;
    if (!slot || (*has_domain ? first - text < 4 : first - text != 2) || bus + 3 != slot)
        return false;
    const char *end = skip_hex(slot, 2, 2);
    return end && *end == '.' && end[1] >= '0' && end[1] <= '7' && !end[2] &&
           strtoul(slot, NULL, 16) <= PCI_SLOT_MAX;
}

/* One number of a port path, from 1 and without zeros in front. */
static const char *skip_port(const char *text) {
    char *end = NULL;
    if (*text < '1' || *text > '9')
        return NULL;
    return strtoul(text, &end, 10) <= USB_NUMBER_MAX ? end : NULL;
}

/* "1-1.4": a bus and the ports on the way; root hubs ("usb1") and interfaces ("1-1:1.0") are none.
 */
static bool is_usb_address(const char *text) {
    const char *end = skip_port(text);

    if (!end || *end != '-')
        return false;
    do
        end = skip_port(end + 1);
    while (end && *end == '.');
    return end && !*end;
}

bool host_address_normalise(const char *text, char *address, size_t size) {
    bool has_domain = false;
    int length = -1;

    if (is_usb_address(text))
        length = snprintf(address, size, "%s", text);
    else if (is_pci_address(text, &has_domain))
        length = snprintf(address, size, "%s%s", has_domain ? "" : "0000:", text);
    if (length < 0 || (size_t)length >= size)
        return false;
    for (char *letter = address; *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    return true;
}

static int compare_pci(const char *a, const char *b) {
    size_t left = strlen(a), right = strlen(b);
    /* Only the domain differs in length. */
    if (left != right)
        return left < right ? -1 : 1;
    return strcasecmp(a, b);
}

/* "1-2" before "1-10", and a hub before what hangs on it. */
static int compare_usb(const char *a, const char *b) {
    while (*a && *b) {
        char *left = NULL, *right = NULL;
        unsigned long one = strtoul(a, &left, 10), other = strtoul(b, &right, 10);
        if (one != other)
            return one < other ? -1 : 1;
        a = left + (*left != '\0');
        b = right + (*right != '\0');
    }
    return (*a != '\0') - (*b != '\0');
}

static int compare(enum bus bus, const char *address, const struct host_device *device) {
    if (bus != device->bus)
        return bus < device->bus ? -1 : 1;
    return bus == BUS_PCI ? compare_pci(address, device->address)
                          : compare_usb(address, device->address);
}

static int by_address(const void *a, const void *b) {
    const struct host_device *left = a;
    return compare(left->bus, left->address, b);
}

const struct host_device *host_find(const struct host *host, enum bus bus, const char *address) {
    size_t low = 0, high = host->count;
    bool has_domain = false;

    if (bus == BUS_PCI ? !is_pci_address(address, &has_domain) : !is_usb_address(address))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(bus, address, &host->devices[middle]);
        if (order == 0)
            return &host->devices[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- Facts ---- */

static int open_device(const struct tree *tree, enum bus bus, const char *address) {
    char *path = memory_printf("%s/%s", bus == BUS_PCI ? PCI : USB, address);
    int directory = tree_directory(tree, path);
    free(path);
    return directory;
}

static uint32_t read_hex(int directory, const char *name, uint32_t max) {
    char *text = dir_attribute(directory, name);
    uint32_t value = 0;

    parse_hex(text, max, &value);
    free(text);
    return value;
}

static uint32_t read_decimal(int directory, const char *name, uint32_t unknown) {
    char *text = dir_attribute(directory, name);
    uint32_t value = unknown;

    parse_decimal(text, INT32_MAX, &value);
    free(text);
    return value;
}

/* Half an id is none. */
static struct device_id read_id(int directory, const char *vendor, const char *device) {
    struct device_id id = {(uint16_t)read_hex(directory, vendor, UINT16_MAX),
                           (uint16_t)read_hex(directory, device, UINT16_MAX)};
    return id.vendor ? id : (struct device_id){0, 0};
}

/* Type 0 is an endpoint's; so is -1, when the kernel does not show it. */
static int read_header_type(int directory) {
    unsigned char bytes[HEADER_TYPE + 1];
    int fd = openat(directory, "config", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -1;
    bool is_there = read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes;
    close(fd);
    return is_there ? bytes[HEADER_TYPE] & HEADER_TYPE_MASK : -1;
}

/*
 * Whether the list of capabilities has that of PCI Express. Root alone may read beyond the first 64
 * bytes; the size of the file then says what libvirt would take it for.
 */
static enum pci_kind kind_of(const unsigned char *bytes, size_t size, off_t file_size) {
    bool seen[CONFIG_SIZE] = {false};

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
    return file_size > CONFIG_SIZE    ? PCI_EXPRESS
           : file_size == CONFIG_SIZE ? PCI_CONVENTIONAL
                                      : PCI_UNKNOWN;
}

static enum pci_kind read_kind(int directory) {
    unsigned char bytes[CONFIG_SIZE];
    struct stat status;
    int fd = openat(directory, "config", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return PCI_UNKNOWN;
    ssize_t size = fstat(fd, &status) == 0 ? read(fd, bytes, sizeof bytes) : -1;
    close(fd);
    return size < 0 ? PCI_UNKNOWN : kind_of(bytes, (size_t)size, status.st_size);
}

static bool is_pci_bridge(uint32_t class_code) {
    uint32_t class = class_code >> 8;
    return class == CLASS_PCI_BRIDGE || class == CLASS_CARDBUS_BRIDGE ||
           class == CLASS_SEMITRANSPARENT_BRIDGE;
}

static int read_group(int directory) {
    char *name = dir_link_name(directory, "iommu_group");
    uint32_t group = 0;
    bool is_number = parse_decimal(name, INT32_MAX, &group);

    free(name);
    return is_number ? (int)group : -1;
}

static unsigned read_virtual_functions(int directory) {
    char *text = dir_attribute(directory, "sriov_numvfs");
    uint32_t number = 0;
    bool is_number = parse_decimal(text, UINT16_MAX, &number);

    free(text);
    return is_number ? number : 0;
}

static void read_pci(struct host_device *device, int directory) {
    char *boot_vga = dir_attribute(directory, "boot_vga");

    device->id = read_id(directory, "vendor", "device");
    device->subsystem = read_id(directory, "subsystem_vendor", "subsystem_device");
    device->class_code = read_hex(directory, "class", CLASS_MAX);
    device->driver = dir_link_name(directory, "driver");
    device->iommu_group = read_group(directory);
    device->numa_node = (int)read_decimal(directory, "numa_node", UINT32_MAX);
    device->boot_vga = boot_vga && strcmp(boot_vga, "1") == 0;
    device->reset_methods = dir_attribute(directory, "reset_method");
    device->power_state = dir_attribute(directory, "power_state");
    device->physical = dir_link_name(directory, "physfn");
    device->virtual_functions = read_virtual_functions(directory);
    device->is_bridge = read_header_type(directory) > 0 || device->class_code >> 16 == CLASS_BRIDGE;
    device->kind = read_kind(directory);
    free(boot_vga);
}

static uint32_t read_class(int directory, const char *const names[3]) {
    uint32_t class = 0;
    for (size_t i = 0; i < 3; i++)
        class = class << 8 | read_hex(directory, names[i], UINT8_MAX);
    return class;
}

static char *read_text(int directory, const char *name) {
    char *text = dir_attribute(directory, name);
    if (text && *text) {
        text_clean(text);
        return text;
    }
    free(text);
    return NULL;
}

/* Many a product name has the maker in it already. */
static char *usb_name(int directory, struct device_id id) {
    char *maker = read_text(directory, "manufacturer"), *product = read_text(directory, "product");
    bool has_maker = maker && product && strncasecmp(maker, product, strlen(maker)) == 0;
    char *name = NULL;

    if (!product)
        name = maker ? memory_printf("%s device %04x:%04x", maker, id.vendor, id.device)
                     : memory_printf("USB device %04x:%04x", id.vendor, id.device);
    else
        name = memory_printf("%s%s%s", maker && !has_maker ? maker : "",
                             maker && !has_maker ? " " : "", product);
    free(maker);
    free(product);
    return name;
}

static bool is_interface_of(const char *name, const char *address) {
    size_t length = strlen(address);
    return strncmp(name, address, length) == 0 && name[length] == ':';
}

/*
 * The paths of a device's interfaces, the first configuration's first. They lie in the device's own
 * directory and are listed beside it (`all`, the entries of the bus); a tree may have either.
 */
static struct names interfaces(const struct tree *tree, const char *address,
                               const struct names *all) {
    char *path = memory_printf(USB "/%s", address);
    struct names found = {0}, own = tree_list(tree, path);

    for (int pass = 0; pass < 2 && !found.count; pass++) {
        const struct names *from = pass ? all : &own;
        for (size_t i = 0; i < from->count; i++) {
            if (!is_interface_of(from->items[i], address))
                continue;
            found.items = memory_grow(found.items, found.count, sizeof *found.items);
            found.items[found.count++] = memory_printf("%s/%s", pass ? USB : path, from->items[i]);
        }
    }
    names_finish(&own);
    free(path);
    return found;
}

/* The device itself is always on "usb": what works with it are the drivers of its interfaces. */
static char *usb_driver(const struct tree *tree, const struct names *interfaces) {
    char *driver = NULL;
    for (size_t i = 0; i < interfaces->count && !driver; i++)
        driver = tree_link_name(tree, interfaces->items[i], "driver");
    return driver;
}

/* A device of class 0 leaves the class to its interfaces. */
static uint32_t usb_class(const struct tree *tree, int directory, const struct names *interfaces) {
    static const char *const device_names[] = {"bDeviceClass", "bDeviceSubClass",
                                               "bDeviceProtocol"};
    static const char *const interface_names[] = {"bInterfaceClass", "bInterfaceSubClass",
                                                  "bInterfaceProtocol"};
    uint32_t class = read_class(directory, device_names);
    int interface =
        class >> 16 || !interfaces->count ? -1 : tree_directory(tree, interfaces->items[0]);

    if (interface >= 0) {
        class = read_class(interface, interface_names);
        close(interface);
    }
    return class;
}

static void read_usb(struct host_device *device, const struct tree *tree, int directory,
                     const struct names *all) {
    struct names parts = interfaces(tree, device->address, all);

    device->id = read_id(directory, "idVendor", "idProduct");
    device->class_code = usb_class(tree, directory, &parts);
    device->driver = usb_driver(tree, &parts);
    device->bus_number = read_decimal(directory, "busnum", 0);
    device->device_number = read_decimal(directory, "devnum", 0);
    device->serial = read_text(directory, "serial");
    device->name = usb_name(directory, device->id);
    device->iommu_group = device->numa_node = -1;
    device->is_bridge = device->class_code >> 16 == CLASS_USB_HUB;
    names_finish(&parts);
}

/* ---- The snapshot ---- */

static struct host_device *add_device(struct host *host, enum bus bus, const char *address) {
    host->devices = memory_grow(host->devices, host->count, sizeof *host->devices);
    struct host_device *device = &host->devices[host->count++];
    *device = (struct host_device){.bus = bus, .address = memory_strdup(address)};
    return device;
}

static void read_bus(struct host *host, const struct tree *tree, enum bus bus) {
    const char *path = bus == BUS_PCI ? PCI : USB;
    struct names all = tree_list(tree, path);
    bool has_domain = false;

    host->has_usb |= bus == BUS_USB && all.count > 0;
    for (size_t i = 0; i < all.count; i++) {
        const char *name = all.items[i];
        if (bus == BUS_PCI ? !is_pci_address(name, &has_domain) || !has_domain
                           : !is_usb_address(name))
            continue;
        int directory = open_device(tree, bus, name);
        if (directory < 0)
            continue; /* unplugged meanwhile */
        struct host_device *device = add_device(host, bus, name);
        if (bus == BUS_PCI)
            read_pci(device, directory);
        else
            read_usb(device, tree, directory, &all);
        close(directory);
    }
    names_finish(&all);
}

static void set_group(struct host *host, const char *address, uint32_t group) {
    for (size_t i = 0; i < host->count; i++) {
        struct host_device *device = &host->devices[i];
        if (device->bus == BUS_PCI && device->iommu_group < 0 &&
            compare_pci(address, device->address) == 0)
            device->iommu_group = (int)group;
    }
}

/* The groups list their members too; that counts where a device does not name its group. */
static void read_groups(struct host *host, const struct tree *tree) {
    struct names groups = tree_list(tree, GROUPS);

    for (size_t i = 0; i < groups.count; i++) {
        uint32_t group = 0;
        if (!parse_decimal(groups.items[i], INT32_MAX, &group))
            continue;
        char *path = memory_printf(GROUPS "/%s/devices", groups.items[i]);
        struct names members = tree_list(tree, path);
        for (size_t j = 0; j < members.count; j++)
            set_group(host, members.items[j], group);
        host->has_iommu = true;
        names_finish(&members);
        free(path);
    }
    names_finish(&groups);
}

static void find_groups(struct host *host, const struct tree *tree) {
    bool is_complete = true;

    for (size_t i = 0; i < host->count; i++) {
        if (host->devices[i].bus != BUS_PCI)
            continue;
        if (host->devices[i].iommu_group >= 0)
            host->has_iommu = true;
        else
            is_complete = false;
    }
    if (!is_complete)
        read_groups(host, tree);
}

static void find_names(struct host *host, const struct tree *tree) {
    struct pci_names *names = pci_names_create(tree, host);

    for (size_t i = 0; i < host->count; i++)
        if (!host->devices[i].name)
            host->devices[i].name = pci_names_find(names, host->devices[i].id);
    pci_names_destroy(names);
}

/* "/" is the running system, and "tree/" is "tree". */
static char *plain_root(const char *root) {
    char *plain = memory_strdup(root ? root : "");
    for (size_t length = strlen(plain); length && plain[length - 1] == '/';)
        plain[--length] = '\0';
    return plain;
}

static void read_host(struct host *host, const struct tree *tree) {
    read_bus(host, tree, BUS_PCI);
    read_bus(host, tree, BUS_USB);
    if (host->count)
        qsort(host->devices, host->count, sizeof *host->devices, by_address);
    find_groups(host, tree);
    find_names(host, tree);
    host_use_find(host, tree);
}

/* A file that cannot be opened makes a fact unknown, and a disk that the host mounts would look
 * free: there must be descriptors for all files that are open at a time. */
static bool has_descriptors(const struct tree *tree) {
    int list[DESCRIPTORS], count = 0;
    while (count < DESCRIPTORS && (list[count] = fcntl(tree->fd, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    bool enough = count == DESCRIPTORS;
    while (count > 0)
        close(list[--count]);
    return enough;
}

int host_init(struct host *host, const char *root, char *error, size_t error_size) {
    struct tree tree;

    *host = (struct host){.root = plain_root(root)};
    bool ok = tree_open(&tree, host->root);
    if (!ok)
        snprintf(error, error_size, "cannot read the devices below %s: %s", host->root,
                 strerror(errno));
    else if (!has_descriptors(&tree)) {
        snprintf(error, error_size,
                 "cannot read the devices below %s: too many open files: raise the limit, ulimit "
                 "-n",
                 host->root);
        ok = false;
    } else if (!tree_has(&tree, "sys/bus/pci") && !tree_has(&tree, "sys/bus/usb")) {
        snprintf(error, error_size,
                 "no devices to read: there is neither %s/sys/bus/pci nor %s/sys/bus/usb",
                 host->root, host->root);
        ok = false;
    }
    if (ok)
        read_host(host, &tree);
    else
        host_finish(host);
    tree_close(&tree);
    return ok ? 0 : -1;
}

void host_finish(struct host *host) {
    for (size_t i = 0; i < host->count; i++) {
        struct host_device *device = &host->devices[i];
        free(device->address);
        free(device->name);
        free(device->driver);
        free(device->reset_methods);
        free(device->power_state);
        free(device->physical);
        free(device->serial);
        free(device->use);
    }
    host_nodes_finish(host);
    free(host->devices);
    free(host->root);
    *host = (struct host){0};
}

/* ---- Questions ---- */

static char *driver_now(const struct tree *tree, const struct host_device *device, int directory) {
    if (device->bus == BUS_PCI)
        return dir_link_name(directory, "driver");
    struct names all = tree_list(tree, USB), parts = interfaces(tree, device->address, &all);
    char *driver = usb_driver(tree, &parts);
    names_finish(&parts);
    names_finish(&all);
    return driver;
}

bool host_driver(const struct host *host, const struct host_device *device, char *driver,
                 size_t size) {
    struct tree tree;
    bool is_told = false;

    if (!tree_open(&tree, host->root))
        return false;
    int directory = open_device(&tree, device->bus, device->address);
    if (directory >= 0) {
        char *name = driver_now(&tree, device, directory);
        int length = snprintf(driver, size, "%s", name ? name : "");
        /* A name that is cut off might be taken for another driver's. */
        is_told = length >= 0 && (size_t)length < size;
        free(name);
        close(directory);
    }
    tree_close(&tree);
    return is_told;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool host_is_vfio(const char *driver) {
    return ends_with(driver, "vfio-pci") || ends_with(driver, "vfio_pci");
}

/*
 * As the kernel decides (drivers/vfio: is a group viable?): a device without driver is in nobody's
 * hands, vfio's own drivers ("vfio-pci", "mlx5_vfio_pci") and pci-stub leave it alone, and what
 * only passes traffic on does not count.
 */
bool host_blocks_group(const struct host_device *device) {
    const char *driver = device->driver;

    if (!driver || strcmp(driver, "pcieport") == 0 || strcmp(driver, "pci-stub") == 0)
        return false;
    bool is_passage =
        is_pci_bridge(device->class_code) || device->class_code >> 8 == CLASS_HOST_BRIDGE;
    return !is_passage && !host_is_vfio(driver);
}

const struct host_device *host_group_blocker(const struct host *host,
                                             const struct host_device *device) {
    if (device->bus != BUS_PCI || device->iommu_group < 0)
        return NULL;
    for (size_t i = 0; i < host->count; i++) {
        const struct host_device *other = &host->devices[i];
        bool is_beside = other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
                         strcmp(other->address, device->address) != 0;
        if (is_beside && host_blocks_group(other))
            return other;
    }
    return NULL;
}
