#include "engine/host/usage.h"
#include "engine/host/driver.h"
#include "engine/model/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/names.h"
#include "lexer/memory.h"

enum {
    CLASS_STORAGE = 0x01,
    CLASS_NETWORK = 0x02,
    CLASS_DISPLAY = 0x03,
    CLASS_WIRELESS = 0x0D,
    CLASS_SD_HOST = 0x0805,
    CLASS_FIBRE_CHANNEL = 0x0C04,
    CLASS_INFINIBAND = 0x0C06,
    CLASS_USB_CONTROLLER = 0x0C03,
    USB_CLASS_COMMUNICATION = 0x02,
    USB_CLASS_STORAGE = 0x08,
    USB_CLASS_WIRELESS = 0xE0
};

char *usage_hint(const struct tree *tree, int error) {
    bool is_forbidden = error == EACCES || error == EPERM;
    if (*tree->root)
        return memory_strdup("what cannot be read counts as in use: record the host again, as "
                             "root, with 'virt-rules devices --record'");
    if (is_forbidden && geteuid() != 0)
        return memory_strdup("root can read it: ask again as root");
    return memory_strdup("what cannot be read counts as in use: see with 'ls -ld' and 'cat' why "
                         "it cannot be read");
}

void usage_add(struct usage *uses, size_t device, enum usage_rank rank, char *text) {
    struct usage_list *list = &uses->of[device];

    list->items = memory_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count].rank = rank;
    list->items[list->count++].text = text;
}

static void usage_add_place(struct node *node, size_t device) {
    for (size_t i = 0; i < node->device_count; i++)
        if (node->devices[i] == device)
            return;
    node->devices = memory_grow(node->devices, node->device_count, sizeof *node->devices);
    node->devices[node->device_count++] = device;
}

/* Taking the physical function away takes all its virtual ones, so it carries what they carry. */
static void usage_place_on_physical_function(struct usage *uses, struct node *node,
                                             const struct device *function) {
    const struct device *device =
        function->physical ? host_find(uses->host, BUS_PCI, function->physical) : NULL;
    if (device)
        usage_add_place(node, (size_t)(device - uses->host->devices));
}

static void usage_place_at(struct usage *uses, struct node *node, const char *part) {
    const struct device *device = host_find(uses->host, BUS_PCI, part);
    if (device)
        usage_place_on_physical_function(uses, node, device);
    else
        device = host_find(uses->host, BUS_USB, part);
    if (device)
        usage_add_place(node, (size_t)(device - uses->host->devices));
}

void usage_place(struct usage *uses, struct node *node, const char *path) {
    char *copy = memory_strdup(path), *rest = copy;

    for (const char *part; (part = strsep(&rest, "/"));)
        usage_place_at(uses, node, part);
    free(copy);
}

void usage_each(struct usage *uses, struct graph *graph,
                void (*visit)(struct usage *uses, struct graph *graph, size_t device,
                              const struct node_list *nodes)) {
    struct node_list *on = memory_zalloc((uses->host->count ? uses->host->count : 1) * sizeof *on);

    for (size_t i = 0; i < graph->nodes.count; i++) {
        struct node *node = graph->nodes.items[i];
        for (size_t j = 0; j < node->device_count; j++)
            graph_list_add(&on[node->devices[j]], node);
    }
    for (size_t i = 0; i < uses->host->count; i++) {
        if (on[i].count)
            visit(uses, graph, i, &on[i]);
        free(on[i].items);
    }
    free(on);
}

/* Before Linux 3.8 only the virtual functions themselves tell. */
static unsigned usage_count_functions(const struct usage *uses, size_t device) {
    const struct device *physical = &uses->host->devices[device];
    unsigned count = 0;

    for (size_t i = 0; physical->bus == BUS_PCI && i < uses->host->count; i++) {
        const char *of = uses->host->devices[i].physical;
        count += of && strcmp(of, physical->address) == 0;
    }
    return count;
}

/* Each of them may be somebody's network card, and all go when their physical function goes. */
static void usage_find_functions(struct usage *uses, size_t device) {
    unsigned number = uses->host->devices[device].virtual_functions;
    if (!number && !uses->of[device].count)
        number = usage_count_functions(uses, device);
    if (number > 0)
        usage_add(
            uses, device, USE_FUNCTIONS,
            memory_printf("runs %u virtual function%s on it", number, number == 1 ? "" : "s"));
}

static int usage_strongest_first(const void *a, const void *b) {
    const struct usage_item *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return strverscmp(left->text, right->text);
}

/* One sentence of all uses; ends the list. NULL when it is empty. */
static char *usage_sentence(struct usage_list *list) {
    char *text = NULL;
    size_t size = 0;

    if (list->count == 0)
        return NULL;
    qsort(list->items, list->count, sizeof *list->items, usage_strongest_first);
    FILE *stream = memory_stream(&text, &size);
    for (size_t i = 0; i < list->count; i++)
        fprintf(stream, "%s%s", i ? "; " : "", list->items[i].text);
    memory_stream_close(stream, &text);
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
    names_clean(text);
    return text;
}

void usage_miss(struct usage *uses, const char *path) {
    struct faults *faults = uses->tree->faults;
    faults->list = memory_grow(faults->list, faults->count, sizeof *faults->list);
    faults->list[faults->count++] = (struct fault){memory_strdup(path), ENOENT};
}

char *usage_read(struct usage *uses, const char *path) {
    size_t before = uses->tree->faults->count;
    char *text = tree_read(uses->tree, path);
    if (!text && uses->tree->faults->count == before)
        usage_miss(uses, path);
    return text;
}

/* ---- What cannot be seen ---- */

/* What a kind of use is found in, and which devices it may be of. */
struct usage_sight {
    void (*find)(struct usage *uses);
    bool (*is_subject)(const struct device *device);
    const char *class; /* of nodes that a subject carries; NULL: none */
};

/* A driver of the host works with it. */
static bool usage_is_on_host(const struct device *device) {
    return device->driver && !driver_is_vfio(device->driver) &&
           strcmp(device->driver, "pci-stub") != 0;
}

static bool usage_may_have_disks(const struct device *device) {
    uint32_t class = device->class_code >> 8;
    bool is_storage =
        device->bus == BUS_USB
            ? class >> 8 == USB_CLASS_STORAGE
            : class >> 8 == CLASS_STORAGE || class == CLASS_SD_HOST || class == CLASS_FIBRE_CHANNEL;
    return is_storage && usage_is_on_host(device);
}

/* Modems are of the class of network devices as well, but have a terminal. */
static bool usage_may_have_interfaces(const struct device *device) {
    uint32_t class = device->class_code >> 8;
    bool is_network =
        class >> 8 == CLASS_NETWORK || class >> 8 == CLASS_WIRELESS || class == CLASS_INFINIBAND;
    if (device->bus == BUS_USB)
        is_network = (class >> 8 == USB_CLASS_COMMUNICATION || class >> 8 == USB_CLASS_WIRELESS) &&
                     !(device->driver && strcmp(device->driver, "cdc_acm") == 0);
    return is_network && usage_is_on_host(device);
}

static bool usage_may_be_console(const struct device *device) {
    return device->boot_vga ||
           (device->bus == BUS_PCI && device->class_code >> 16 == CLASS_DISPLAY &&
            usage_is_on_host(device));
}

static bool usage_may_have_keyboards(const struct device *device) {
    return device->bus == BUS_PCI && device->class_code >> 8 == CLASS_USB_CONTROLLER &&
           usage_is_on_host(device);
}

static const struct usage_sight sights[] = {
    {block_stack_find_usage, usage_may_have_disks, "block"},
    {net_stack_find_usage, usage_may_have_interfaces, "net"},
    {open_files_find_usage, usage_is_on_host, NULL},
    {console_find_displays, usage_may_be_console, NULL},
    {console_find_keyboards, usage_may_have_keyboards, NULL}};

/* Puts `all` on the subjects, on what carries nodes, and on the controllers of these. */
static void usage_place_subjects(struct usage *uses, const struct usage_sight *sight,
                                 struct node *all) {
    const struct host *host = uses->host;

    for (size_t i = 0; i < host->count; i++) {
        bool is_usb = host->devices[i].bus == BUS_USB;
        char *link = memory_printf("sys/bus/%s/devices/%s", is_usb ? "usb" : "pci",
                                   host->devices[i].address);
        char *path = sight->is_subject(&host->devices[i]) ? tree_resolve(uses->tree, link) : NULL;
        if (path)
            usage_place(uses, all, path);
        free(path);
        free(link);
    }
    for (size_t i = 0; sight->class && i < host->node_count; i++)
        for (size_t j = 0; j < host->nodes[i].device_count; j++)
            if (strcmp(host->nodes[i].class, sight->class) == 0)
                usage_place(uses, all, host->devices[host->nodes[i].devices[j]].address);
}

static void usage_doubt(struct usage *uses, const struct usage_sight *sight,
                        const struct faults *faults, size_t first) {
    struct graph graph = {0};
    struct node *all = graph_get(&graph, "all");
    const struct fault *fault = &faults->list[first];
    size_t more = faults->count - first - 1;

    usage_place_subjects(uses, sight, all);
    for (size_t i = 0; i < all->device_count; i++) {
        char *rest = more ? memory_printf(", and %zu more", more) : memory_strdup("");
        device_obstruct(&uses->host->devices[all->devices[i]], OBSTACLE_UNKNOWN_USE,
                        memory_printf("whether the host uses it cannot be seen: /%s cannot be read "
                                      "(%s)%s",
                                      fault->path, tree_fault_text(uses->tree, fault->error), rest),
                        usage_hint(uses->tree, fault->error));
        free(rest);
    }
    graph_finish(&graph);
}

static void usage_look(struct usage *uses, const struct usage_sight *sight) {
    const struct faults *faults = uses->tree->faults;
    size_t first = faults->count;
    sight->find(uses);
    if (faults->count > first)
        usage_doubt(uses, sight, faults, first);
}

void usage_find(struct host *host, const struct tree *tree) {
    struct usage uses = {host, tree, NULL};

    uses.of = memory_zalloc((host->count ? host->count : 1) * sizeof *uses.of);
    for (size_t i = 0; i < sizeof sights / sizeof *sights; i++)
        usage_look(&uses, &sights[i]);
    for (size_t i = 0; i < host->count; i++) {
        usage_find_functions(&uses, i);
        host->devices[i].use = usage_sentence(&uses.of[i]);
    }
    free(uses.of);
}
