#include "engine/plan/holdings.h"

#include "engine/host/place.h"
#include "lexer/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASS_SMART_CARD = 0x0b };

/* What a VM has is looked up in. */
struct holdings_search {
    struct holdings *holdings;
    const struct host *host;
    struct tree tree;
    const struct domain *vm;
};

static struct held_device *holdings_add_one(struct holdings_search *search,
                                            const struct device *device, char *text) {
    struct holdings *holdings = search->holdings;

    holdings->list = memory_grow(holdings->list, holdings->count, sizeof *holdings->list);
    struct held_device *holding = &holdings->list[holdings->count++];
    *holding = (struct held_device){.vm = search->vm,
                                    .bus = device ? device->bus : BUS_PCI,
                                    .address = device ? device->address : ""};
    holding->text = text;
    return holding;
}

/* ---- Its host devices ---- */

static char *holdings_text_behind(const struct device *device, const struct device *above) {
    bool is_function = device->physical && !strcmp(device->physical, above->address);
    return is_function ? memory_printf("has its virtual function %s", device->address)
                       : memory_printf("has %s behind it", device->address);
}

/* Those that cannot be unplugged without the device: the hubs and controllers above it, and the
 * physical function of a virtual one. What is on them by another element of the XML is there, too:
 * see holdings_add_use(). */
static void holdings_add_above(struct holdings_search *search, const struct domain_hostdev *hostdev,
                               const struct device *device) {
    struct device_set places = {0};
    place_of_device(&places, search->host, &search->tree, device);
    for (size_t i = 0; i < places.count; i++) {
        const struct device *one = &search->host->devices[places.items[i]];
        if (!backend_is_hostdev(hostdev, one))
            holdings_add_one(search, one, holdings_text_behind(device, one));
    }
    device_set_finish(&places);
}

/* The SCSI devices on one that the VM has: the kernel may list them until its driver is unbound. */
static void holdings_add_on(struct holdings_search *search, const struct device *device) {
    for (size_t i = 0; i < search->host->count; i++) {
        const struct device *scsi = &search->host->devices[i];
        if (device_is_on(scsi, device))
            holdings_add_one(search, scsi,
                             memory_printf("has %s, which it is on", device->address));
    }
}

/* "has it"; of a kind that is not plain "has it as disk vdb". */
static char *holdings_text_itself(const struct domain_hostdev *hostdev) {
    switch (hostdev->backend) {
    case BACKEND_VFIO:
    case BACKEND_USB:
        return memory_strdup("has it");
    case BACKEND_SCSI:
        return memory_strdup("has it as a SCSI device");
    default:
        return memory_printf("has it as %s", hostdev->element);
    }
}

/* Of the domain's hostdevs the one with that number: another element of the XML does not name what
 * it is on. */
static bool holdings_has_no_use(const struct domain *vm, size_t number) {
    size_t i = 0;
    while (i < vm->use_count && vm->uses[i].hostdev != number + 1)
        i++;
    return i == vm->use_count;
}

/* A VM that has one of several elements, or a part of a device that is shared, has not the device
 * itself. */
static void holdings_add_hostdev(struct holdings_search *search, size_t number) {
    const struct domain_hostdev *hostdev = &search->vm->hostdevs[number];
    const struct backend_type *type = backend_type(hostdev->backend);
    for (size_t i = 0; i < search->host->count && !type->shares_device; i++) {
        const struct device *device = &search->host->devices[i];
        if (!backend_is_hostdev(hostdev, device) ||
            !backend_has_all(search->vm, type, device, NULL))
            continue;
        struct held_device *held = holdings_add_one(search, device, holdings_text_itself(hostdev));
        held->is_itself = true;
        held->hostdev = hostdev;
        if (hostdev->backend == BACKEND_USB || hostdev->backend == BACKEND_VFIO)
            holdings_add_on(search, device);
    }
    const struct device *nearest =
        holdings_has_no_use(search->vm, number) ? backend_device_of(search->host, hostdev) : NULL;
    if (nearest)
        holdings_add_above(search, hostdev, nearest);
}

/* ---- What else its XML names ---- */

static bool holdings_place_of_usb(struct device_set *places, const struct holdings_search *search,
                                  const char *name) {
    char numbers[32], id[16];
    for (size_t i = 0; i < search->host->count; i++) {
        const struct device *device = &search->host->devices[i];
        snprintf(numbers, sizeof numbers, "%u/%u", device->bus_number, device->device_number);
        snprintf(id, sizeof id, "%04x:%04x", device->id.vendor, device->id.device);
        if (device->bus == BUS_USB && (!strcmp(numbers, name) || !strcmp(id, name)))
            place_of_device(places, search->host, &search->tree, device);
    }
    return true;
}

static bool holdings_place_of_pci(struct device_set *places, const struct holdings_search *search,
                                  const char *name) {
    const struct device *device = host_find(search->host, BUS_PCI, name);
    if (device)
        place_of_device(places, search->host, &search->tree, device);
    return device;
}

static bool holdings_place_of_cards(struct device_set *places,
                                    const struct holdings_search *search) {
    for (size_t i = 0; i < search->host->count; i++)
        if (search->host->devices[i].bus == BUS_USB &&
            search->host->devices[i].class_code >> 16 == CLASS_SMART_CARD)
            place_of_device(places, search->host, &search->tree, &search->host->devices[i]);
    return true;
}

static bool holdings_place_of_use(struct device_set *places, const struct holdings_search *search,
                                  const struct domain_use *use) {
    const struct host *host = search->host;
    const struct tree *tree = &search->tree;
    switch (use->kind) {
    case DOMAIN_USE_PCI:
        return holdings_place_of_pci(places, search, use->name);
    case DOMAIN_USE_USB:
        return holdings_place_of_usb(places, search, use->name);
    case DOMAIN_USE_PATH:
        return place_of_file(places, host, tree, use->name);
    case DOMAIN_USE_SYSFS:
        return place_of_path(places, host, tree, use->name + 1);
    case DOMAIN_USE_MDEV:
        return place_of_mdev(places, host, tree, use->name);
    case DOMAIN_USE_SCSI:
        return place_of_scsi(places, host, tree, use->name);
    case DOMAIN_USE_VHOST:
        return place_of_vhost(places, host, tree, use->name);
    case DOMAIN_USE_INTERFACE:
    case DOMAIN_USE_TAP:
        return place_of_interface(places, host, tree, use->name, use->kind == DOMAIN_USE_TAP);
    case DOMAIN_USE_VOLUME:
        return place_of_volume(places, host, tree, use->name);
    case DOMAIN_USE_CARDS:
        return holdings_place_of_cards(places, search);
    }
    return false;
}

static char *holdings_use_text(const struct domain_use *use, const struct device *device) {
    switch (use->kind) {
    case DOMAIN_USE_PCI:
        return strcmp(device->address, use->name) == 0
                   ? memory_printf("uses it (%s)", use->element)
                   : memory_printf("uses %s behind it (%s)", use->name, use->element);
    case DOMAIN_USE_USB:
        return memory_printf("uses USB device %s (%s)", use->name, use->element);
    case DOMAIN_USE_CARDS:
        return memory_printf("reads smart cards of the host (%s)", use->element);
    case DOMAIN_USE_MDEV:
        return memory_printf("uses its mediated device %s (%s)", use->name, use->element);
    default:
        return memory_printf("uses %s on it (%s)", use->name, use->element);
    }
}

/* In a copy of a host what the path leads to may be missing. */
static void holdings_add_unknown(struct holdings_search *search, const struct domain_use *use) {
    bool is_unknown = use->is_disk ? place_is_unknown_disk(&search->tree, use->name)
                                   : place_is_unknown_usb(&search->tree, use->name);
    if (is_unknown)
        holdings_add_one(search, NULL,
                         memory_printf("uses %s (%s), and it is unknown what that is on", use->name,
                                       use->element))
            ->bus = use->is_disk ? BUS_PCI : BUS_USB;
}

static void holdings_add_use(struct holdings_search *search, const struct domain_use *use) {
    struct device_set places = {0};
    bool is_known = holdings_place_of_use(&places, search, use);
    for (size_t i = 0; i < places.count; i++)
        holdings_add_one(search, &search->host->devices[places.items[i]],
                         holdings_use_text(use, &search->host->devices[places.items[i]]))
            ->hostdev = use->hostdev ? &search->vm->hostdevs[use->hostdev - 1] : NULL;
    if (!is_known && use->kind == DOMAIN_USE_PATH)
        holdings_add_unknown(search, use);
    device_set_finish(&places);
}

void holdings_add(struct holdings *holdings, const struct host *host, const struct domain *vm) {
    struct holdings_search search = {.holdings = holdings, .host = host, .vm = vm};
    if (vm->is_off || (!vm->hostdev_count && !vm->use_count) ||
        !tree_open(&search.tree, host->root))
        return;
    for (size_t i = 0; i < vm->hostdev_count; i++)
        holdings_add_hostdev(&search, i);
    for (size_t i = 0; i < vm->use_count; i++)
        holdings_add_use(&search, &vm->uses[i]);
    tree_close(&search.tree);
}

/* ---- Questions ---- */

static int holdings_compare(enum bus bus, const char *address, const struct held_device *holding) {
    return bus != holding->bus ? (bus < holding->bus ? -1 : 1) : strcmp(address, holding->address);
}

/* Of one device, VMs that have it before VMs that have something behind it. */
static int holdings_by_device(const void *a, const void *b) {
    const struct held_device *left = a, *right = b;
    int order = holdings_compare(left->bus, left->address, right);
    if (order)
        return order;
    return left->is_itself != right->is_itself ? right->is_itself - left->is_itself
                                               : (left->vm > right->vm) - (left->vm < right->vm);
}

void holdings_sort(struct holdings *holdings) {
    if (holdings->count)
        qsort(holdings->list, holdings->count, sizeof *holdings->list, holdings_by_device);
}

void holdings_finish(struct holdings *holdings) {
    for (size_t i = 0; i < holdings->count; i++)
        free(holdings->list[i].text);
    free(holdings->list);
    *holdings = (struct holdings){0};
}

/* The first place in the list that is not before the device. */
static size_t holdings_lower_bound(const struct holdings *holdings, enum bus bus,
                                   const char *address) {
    size_t low = 0, high = holdings->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (holdings_compare(bus, address, &holdings->list[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holdings_may_be_usb(const struct device *device) {
    return device->bus == BUS_USB ||
           (device->bus == BUS_SCSI && device->above_bus == BUS_USB && device->above) ||
           device_is_usb_controller(device);
}

static const struct held_device *holdings_find_at(const struct holdings *holdings, enum bus bus,
                                                  const char *address, holdings_filter *filter,
                                                  const void *context) {
    for (size_t i = holdings_lower_bound(holdings, bus, address);
         i < holdings->count && !holdings_compare(bus, address, &holdings->list[i]); i++)
        if (!filter || filter(&holdings->list[i], context))
            return &holdings->list[i];
    return NULL;
}

const struct held_device *holdings_find(const struct holdings *holdings,
                                        const struct device *device, holdings_filter *filter,
                                        const void *context) {
    const struct held_device *found =
        holdings_find_at(holdings, device->bus, device->address, filter, context);
    if (!found && device_may_have_disks(device))
        found = holdings_find_at(holdings, BUS_PCI, "", filter, context);
    if (!found && holdings_may_be_usb(device))
        found = holdings_find_at(holdings, BUS_USB, "", filter, context);
    return found;
}

bool holdings_is_behind(const struct host *host, const struct device *device,
                        const struct device *controller) {
    struct device_set places = {0};
    struct tree tree;
    bool is = false;
    if (device == controller || !tree_open(&tree, host->root))
        return false;
    place_of_device(&places, host, &tree, device);
    for (size_t i = 0; i < places.count; i++)
        is |= &host->devices[places.items[i]] == controller;
    device_set_finish(&places);
    tree_close(&tree);
    return is;
}
