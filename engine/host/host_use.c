#include "engine/host/host_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/host/host_names.h"
#include "lexer/memory.h"

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

static void find_display(struct uses *uses, size_t device) {
    if (uses->host->devices[device].boot_vga)
        uses_add(uses, device, USE_DISPLAY,
                 memory_strdup("shows its console on it (boot display)"));
}

/* Each of them may be somebody's network card, and all go when their physical function goes. */
static void find_functions(struct uses *uses, size_t device) {
    unsigned number = uses->host->devices[device].virtual_functions;
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
    FILE *stream = open_memstream(&text, &size);
    for (size_t i = 0; stream && i < list->count; i++)
        fprintf(stream, "%s%s", i ? "; " : "", list->items[i].text);
    if (!stream || fclose(stream))
        abort();
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
    text_clean(text);
    return text;
}

void host_use_find(struct host *host, const struct tree *tree) {
    struct uses uses = {host, tree, NULL};

    uses.of = memory_zalloc((host->count ? host->count : 1) * sizeof *uses.of);
    disks_find_uses(&uses);
    nics_find_uses(&uses);
    for (size_t i = 0; i < host->count; i++) {
        find_functions(&uses, i);
        find_display(&uses, i);
        host->devices[i].use = sentence(&uses.of[i]);
    }
    free(uses.of);
}
