#include "engine/host/graph.h"

#include "lexer/memory.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int graph_by_name(const void *a, const void *b) {
    return strcmp(((const struct node *)a)->name, ((const struct node *)b)->name);
}

static void graph_free_node(void *item) {
    struct node *node = item;

    free(node->name);
    free(node->label);
    free(node->path);
    free(node->above.items);
    free(node->below.items);
    device_set_finish(&node->devices);
    device_set_finish(&node->all);
    free(node->number);
    free(node->mount_point);
    free(node);
}

void graph_finish(struct graph *graph) {
    tdestroy(graph->by_name, graph_free_node);
    free(graph->nodes.items);
    *graph = (struct graph){0};
}

struct node *graph_find(const struct graph *graph, const char *name) {
    const struct node key = {.name = (char *)name};
    struct node *const *found = tfind(&key, &graph->by_name, graph_by_name);
    return found ? *found : NULL;
}

struct node *graph_find_label(const struct graph *graph, const char *label) {
    for (size_t i = 0; i < graph->nodes.count; i++) {
        struct node *node = graph->nodes.items[i];
        if (node->label && strcmp(node->label, label) == 0)
            return node;
    }
    return NULL;
}

struct node *graph_get(struct graph *graph, const char *name) {
    struct node *node = graph_find(graph, name);
    if (node)
        return node;
    node = memory_zalloc(sizeof *node);
    node->name = memory_strdup(name);
    graph_list_add(&graph->nodes, node);
    tsearch(node, &graph->by_name, graph_by_name);
    return node;
}

void graph_list_add(struct node_list *list, struct node *node) {
    list->items = memory_grow(list->items, list->count, sizeof(struct node *));
    list->items[list->count++] = node;
}

static bool graph_contains(const struct node_list *list, const struct node *node) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == node)
            return true;
    return false;
}

void graph_link(struct node *lower, struct node *upper) {
    /* The shorter side is searched: a bridge has thousands of ports, a port few bridges. */
    bool is_known = lower->above.count < upper->below.count ? graph_contains(&lower->above, upper)
                                                            : graph_contains(&upper->below, lower);
    if (lower == upper || is_known)
        return;
    graph_list_add(&lower->above, upper);
    graph_list_add(&upper->below, lower);
}

void graph_link_names(struct graph *graph, const char *lower, const char *upper) {
    graph_link(graph_get(graph, lower), graph_get(graph, upper));
}

struct node_list graph_reach_up(struct graph *graph, const struct node_list *start) {
    struct node_list reached = {0};
    unsigned walk = ++graph->walks;

    for (size_t i = 0; i < start->count; i++) {
        start->items[i]->seen_above = walk;
        graph_list_add(&reached, start->items[i]);
    }
    for (size_t i = 0; i < reached.count; i++)
        for (size_t j = 0; j < reached.items[i]->above.count; j++) {
            struct node *upper = reached.items[i]->above.items[j];
            if (upper->seen_above == walk)
                continue;
            upper->seen_above = walk;
            graph_list_add(&reached, upper);
        }
    return reached;
}

static void graph_sum_devices_below(struct graph *graph, struct node *top) {
    struct node_list reached = {0};
    unsigned walk = ++graph->chains;

    top->seen_below = walk;
    graph_list_add(&reached, top);
    for (size_t i = 0; i < reached.count; i++) {
        const struct node *node = reached.items[i];
        device_set_add_all(&top->all, &node->devices);
        for (size_t j = 0; j < node->below.count; j++) {
            struct node *lower = node->below.items[j];
            if (lower->seen_below == walk)
                continue;
            lower->seen_below = walk;
            graph_list_add(&reached, lower);
        }
    }
    free(reached.items);
}

void graph_sum_devices(struct graph *graph) {
    for (size_t i = 0; i < graph->nodes.count; i++)
        graph_sum_devices_below(graph, graph->nodes.items[i]);
}

static int graph_lowest_first(const void *a, const void *b) {
    const struct node *left = *(struct node *const *)a, *right = *(struct node *const *)b;
    if (left->depth != right->depth)
        return left->depth > right->depth ? -1 : 1;
    return strverscmp(graph_label(left), graph_label(right));
}

struct node_list graph_chain(struct graph *graph, struct node *top) {
    struct node_list chain = {0};
    unsigned up = graph->walks, down = ++graph->chains;

    top->seen_below = down;
    top->depth = 0;
    graph_list_add(&chain, top);
    for (size_t i = 0; i < chain.count; i++)
        for (size_t j = 0; j < chain.items[i]->below.count; j++) {
            struct node *lower = chain.items[i]->below.items[j];
            if (lower->seen_above != up || lower->seen_below == down)
                continue;
            lower->seen_below = down;
            lower->depth = chain.items[i]->depth + 1;
            graph_list_add(&chain, lower);
        }
    qsort(chain.items, chain.count, sizeof(struct node *), graph_lowest_first);
    return chain;
}

const char *graph_label(const struct node *node) {
    return node->label ? node->label : node->name;
}

static bool graph_has_partition_in(const struct node *disk, const struct node_list *chain) {
    for (size_t i = 0; i < chain->count; i++)
        if (chain->items[i]->disk == disk)
            return true;
    return false;
}

char *graph_chain_text(const struct node_list *chain, const struct node *except) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = memory_stream(&text, &size);
    const char *separator = "";

    for (size_t i = 0; i < chain->count; i++) {
        const struct node *node = chain->items[i];
        if (node == except || node->is_hidden || graph_has_partition_in(node, chain))
            continue;
        fprintf(stream, "%s%s", separator, graph_label(node));
        separator = ", ";
    }
    memory_stream_close(stream, &text);
    return text;
}
