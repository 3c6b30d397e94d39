#include "engine/host/host_use.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/host_names.h"
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

char *uses_hint(const struct tree *tree, int error) {
    bool is_forbidden = error == EACCES || error == EPERM;
    if (*tree->root)
        return memory_strdup("what cannot be read counts as in use: record the host again, as "
                             "root, with 'virt-rules devices --record'");
    if (is_forbidden && geteuid() != 0)
        return memory_strdup("root can read it: ask again as root");
    return memory_strdup("what cannot be read counts as in use: see with 'ls -ld' and 'cat' why "
                         "it cannot be read");
}

void uses_add(struct uses *uses, size_t device, enum use_rank rank, char *text) {
    struct use_list *list = &uses->of[device];

    list->items = memory_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count].rank = rank;
    list->items[list->count++].text = text;
}

static void add_place(struct node *node, size_t device) {
    for (size_t i = 0; i < node->device_count; i++)
        if (node->devices[i] == device)
            return;
    node->devices = memory_grow(node->devices, node->device_count, sizeof *node->devices);
    node->devices[node->device_count++] = device;
}

/* Taking the physical function away takes all its virtual ones, so it carries what they carry. */
static void place_on_physical_function(struct uses *uses, struct node *node,
                                       const struct host_device *function) {
    const struct host_device *device =
        function->physical ? host_find(uses->host, BUS_PCI, function->physical) : NULL;
    if (device)
        add_place(node, (size_t)(device - uses->host->devices));
}

static void place_at(struct uses *uses, struct node *node, const char *part) {
    const struct host_device *device = host_find(uses->host, BUS_PCI, part);
    if (device)
        place_on_physical_function(uses, node, device);
    else
        device = host_find(uses->host, BUS_USB, part);
    if (device)
        add_place(node, (size_t)(device - uses->host->devices));
}

void uses_place(struct uses *uses, struct node *node, const char *path) {
    char *copy = memory_strdup(path), *rest = copy;

    for (const char *part; (part = strsep(&rest, "/"));)
        place_at(uses, node, part);
    free(copy);
}

void uses_each(struct uses *uses, struct graph *graph,
               void (*visit)(struct uses *uses, struct graph *graph, size_t device,
                             const struct node_list *nodes)) {
    struct node_list *on = memory_zalloc((uses->host->count ? uses->host->count : 1) * sizeof *on);

    for (size_t i = 0; i < graph->nodes.count; i++) {
        struct node *node = graph->nodes.items[i];
        for (size_t j = 0; j < node->device_count; j++)
            node_list_add(&on[node->devices[j]], node);
    }
    for (size_t i = 0; i < uses->host->count; i++) {
        if (on[i].count)
            visit(uses, graph, i, &on[i]);
        free(on[i].items);
    }
    free(on);
}

/* Before Linux 3.8 only the virtual functions themselves tell. */
static unsigned count_functions(const struct uses *uses, size_t device) {
    const struct host_device *physical = &uses->host->devices[device];
    unsigned count = 0;

    for (size_t i = 0; physical->bus == BUS_PCI && i < uses->host->count; i++) {
        const char *of = uses->host->devices[i].physical;
        count += of && strcmp(of, physical->address) == 0;
    }
    return count;
}

/* Each of them may be somebody's network card, and all go when their physical function goes. */
static void find_functions(struct uses *uses, size_t device) {
    unsigned number = uses->host->devices[device].virtual_functions;
    if (!number && !uses->of[device].count)
        number = count_functions(uses, device);
    if (number > 0)
        uses_add(uses, device, USE_FUNCTIONS,
                 memory_printf("runs %u virtual function%s on it", number, number == 1 ? "" : "s"));
}

static int strongest_first(const void *a, const void *b) {
    const struct use *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return strverscmp(left->text, right->text);
}

/* One sentence of all uses; ends the list. NULL when it is empty. */
static char *sentence(struct use_list *list) {
    char *text = NULL;
    size_t size = 0;

    if (list->count == 0)
        return NULL;
    qsort(list->items, list->count, sizeof *list->items, strongest_first);
    FILE *stream = memory_stream(&text, &size);
    for (size_t i = 0; i < list->count; i++)
        fprintf(stream, "%s%s", i ? "; " : "", list->items[i].text);
    memory_stream_close(stream, &text);
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
    text_clean(text);
    return text;
}

void uses_miss(struct uses *uses, const char *path) {
    struct faults *faults = uses->tree->faults;
    faults->list = memory_grow(faults->list, faults->count, sizeof *faults->list);
    faults->list[faults->count++] = (struct fault){memory_strdup(path), ENOENT};
}

char *uses_read(struct uses *uses, const char *path) {
    size_t before = uses->tree->faults->count;
    char *text = tree_read(uses->tree, path);
    if (!text && uses->tree->faults->count == before)
        uses_miss(uses, path);
    return text;
}

/* ---- What cannot be seen ---- */

/* What a kind of use is found in, and which devices it may be of. */
struct sight {
    void (*find)(struct uses *uses);
    bool (*is_subject)(const struct host_device *device);
    const char *class; /* of nodes that a subject carries; NULL: none */
};

/* A driver of the host works with it. */
static bool is_on_host(const struct host_device *device) {
    return device->driver && !host_is_vfio(device->driver) &&
           strcmp(device->driver, "pci-stub") != 0;
}

static bool may_have_disks(const struct host_device *device) {
    uint32_t class = device->class_code >> 8;
    bool is_storage =
        device->bus == BUS_USB
            ? class >> 8 == USB_CLASS_STORAGE
            : class >> 8 == CLASS_STORAGE || class == CLASS_SD_HOST || class == CLASS_FIBRE_CHANNEL;
    return is_storage && is_on_host(device);
}

/* Modems are of the class of network devices as well, but have a terminal. */
static bool may_have_interfaces(const struct host_device *device) {
    uint32_t class = device->class_code >> 8;
    bool is_network =
        class >> 8 == CLASS_NETWORK || class >> 8 == CLASS_WIRELESS || class == CLASS_INFINIBAND;
    if (device->bus == BUS_USB)
        is_network = (class >> 8 == USB_CLASS_COMMUNICATION || class >> 8 == USB_CLASS_WIRELESS) &&
                     !(device->driver && strcmp(device->driver, "cdc_acm") == 0);
    return is_network && is_on_host(device);
}

static bool may_be_console(const struct host_device *device) {
    return device->boot_vga || (device->bus == BUS_PCI &&
                                device->class_code >> 16 == CLASS_DISPLAY && is_on_host(device));
}

static bool may_have_keyboards(const struct host_device *device) {
    return device->bus == BUS_PCI && device->class_code >> 8 == CLASS_USB_CONTROLLER &&
           is_on_host(device);
}

static const struct sight sights[] = {{disks_find_uses, may_have_disks, "block"},
                                      {nics_find_uses, may_have_interfaces, "net"},
                                      {files_find_uses, is_on_host, NULL},
                                      {display_find_uses, may_be_console, NULL},
                                      {keyboards_find_uses, may_have_keyboards, NULL}};

/* Puts `all` on the subjects, on what carries nodes, and on the controllers of these. */
static void place_subjects(struct uses *uses, const struct sight *sight, struct node *all) {
    const struct host *host = uses->host;

    for (size_t i = 0; i < host->count; i++) {
        bool is_usb = host->devices[i].bus == BUS_USB;
        char *link = memory_printf("sys/bus/%s/devices/%s", is_usb ? "usb" : "pci",
                                   host->devices[i].address);
        char *path = sight->is_subject(&host->devices[i]) ? tree_resolve(uses->tree, link) : NULL;
        if (path)
            uses_place(uses, all, path);
        free(path);
        free(link);
    }
    for (size_t i = 0; sight->class && i < host->node_count; i++)
        for (size_t j = 0; j < host->nodes[i].device_count; j++)
            if (strcmp(host->nodes[i].class, sight->class) == 0)
                uses_place(uses, all, host->devices[host->nodes[i].devices[j]].address);
}

static void doubt(struct uses *uses, const struct sight *sight, const struct faults *faults,
                  size_t first) {
    struct graph graph = {0};
    struct node *all = graph_get(&graph, "all");
    const struct fault *fault = &faults->list[first];
    size_t more = faults->count - first - 1;

    place_subjects(uses, sight, all);
    for (size_t i = 0; i < all->device_count; i++) {
        char *rest = more ? memory_printf(", and %zu more", more) : memory_strdup("");
        host_obstruct(&uses->host->devices[all->devices[i]], OBSTACLE_UNKNOWN_USE,
                      memory_printf("whether the host uses it cannot be seen: /%s cannot be read "
                                    "(%s)%s",
                                    fault->path, fault_text(uses->tree, fault->error), rest),
                      uses_hint(uses->tree, fault->error));
        free(rest);
    }
    graph_finish(&graph);
}

static void look(struct uses *uses, const struct sight *sight) {
    const struct faults *faults = uses->tree->faults;
    size_t first = faults->count;
    sight->find(uses);
    if (faults->count > first)
        doubt(uses, sight, faults, first);
}

void host_use_find(struct host *host, const struct tree *tree) {
    struct uses uses = {host, tree, NULL};

    uses.of = memory_zalloc((host->count ? host->count : 1) * sizeof *uses.of);
    for (size_t i = 0; i < sizeof sights / sizeof *sights; i++)
        look(&uses, &sights[i]);
    for (size_t i = 0; i < host->count; i++) {
        find_functions(&uses, i);
        host->devices[i].use = sentence(&uses.of[i]);
    }
    free(uses.of);
}
