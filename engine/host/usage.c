#include "engine/host/usage.h"

#include "engine/host/names.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void usage_init(struct usage *usage, struct host *host, const struct tree *tree) {
    *usage = (struct usage){.host = host, .tree = tree};
    usage->of = memory_zalloc((host->count ? host->count : 1) * sizeof *usage->of);
}

/* How to end a use; "%s" stands for what usage_add() names. */
static const char *const how_to_end[] = {
    [USE_MOUNT] = "unmount it: 'umount %s'",
    [USE_SWAP] = "turn its swap off: 'swapon --show' lists it, 'swapoff' turns it off",
    [USE_MEMBER] = "take it out of %s, or stop that",
    [USE_PROCESS] = "stop what has it open: %s",
    [USE_DEFAULT_ROUTE] = "move the default route to another card: 'ip route' shows it",
    [USE_ADDRESS] = "'ip -details address show %s' shows how it is used",
    [USE_FUNCTIONS] = "remove them: 'echo 0 >/sys/bus/pci/devices/%s/sriov_numvfs'",
    [USE_DISPLAY] = "'boot display' in the rule takes the console off it while the VM runs",
    [USE_CONSOLE] = "take 'console=%s' off the kernel's command line",
    [USE_KEYBOARD] = "plug a keyboard into another USB controller",
    [USE_ONLY_KEYBOARD] = "plug in another keyboard that the host keeps",
};

void usage_add(struct usage *usage, size_t device, enum usage_rank rank, const char *what,
               const char *format, ...) {
    struct usage_list *list = &usage->of[device];
    va_list arguments;

    va_start(arguments, format);
    list->items = memory_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count++] =
        (struct usage_item){.rank = rank,
                            .text = memory_vprintf(format, arguments),
                            .hint = what ? memory_printf(how_to_end[rank], what) : NULL};
    va_end(arguments);
}

static int usage_strongest_first(const void *a, const void *b) {
    const struct usage_item *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return strverscmp(left->text, right->text);
}

static bool usage_is_of_console(enum usage_rank rank) {
    return rank == USE_DISPLAY || rank == USE_KEYBOARD || rank == USE_ONLY_KEYBOARD;
}

static bool usage_is_any(enum usage_rank rank) {
    (void)rank;
    return true;
}

static bool usage_is_other(enum usage_rank rank) {
    return !usage_is_of_console(rank);
}

static bool usage_is_lasting(enum usage_rank rank) {
    return !usage_is_of_console(rank) && rank != USE_PROCESS;
}

/* One sentence of the uses that are meant, and the hint of the strongest; NULL: there are none. */
static void usage_write(const struct usage_list *list, bool (*is_meant)(enum usage_rank rank),
                        char **use, char **hint) {
    bool is_first = true;
    for (size_t i = 0; i < list->count; i++) {
        const struct usage_item *item = &list->items[i];
        if (!is_meant(item->rank))
            continue;
        if (is_first) {
            *use = memory_strdup(item->text);
            *hint = memory_copy(item->hint);
        } else {
            memory_append(use, "; %s", item->text);
        }
        is_first = false;
    }
    if (*use)
        names_clean(*use);
    if (*hint)
        names_clean(*hint);
}

/* Ends the list. */
static void usage_set(struct device *device, struct usage_list *list) {
    if (list->count == 0)
        return;
    qsort(list->items, list->count, sizeof *list->items, usage_strongest_first);
    usage_write(list, usage_is_any, &device->use, &device->use_hint);
    usage_write(list, usage_is_other, &device->other_use, &device->other_use_hint);
    usage_write(list, usage_is_lasting, &device->lasting_use, &device->lasting_use_hint);
    for (size_t i = 0; i < list->count; i++) {
        bool is_display = list->items[i].rank == USE_DISPLAY;
        device->is_display |= is_display;
        device->has_keyboards |= !is_display && usage_is_of_console(list->items[i].rank);
    }
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].text);
        free(list->items[i].hint);
    }
    free(list->items);
}

void usage_finish(struct usage *usage) {
    for (size_t i = 0; i < usage->host->count; i++)
        usage_set(&usage->host->devices[i], &usage->of[i]);
    free(usage->of);
    usage->of = NULL;
}

void usage_each_device(struct usage *usage, const struct graph *graph,
                       void (*visit)(struct usage *usage, size_t device,
                                     const struct node_list *nodes)) {
    size_t count = usage->host->count;
    struct node_list *on = memory_zalloc((count ? count : 1) * sizeof *on);

    for (size_t i = 0; i < graph->nodes.count; i++) {
        struct node *node = graph->nodes.items[i];
        for (size_t j = 0; j < node->devices.count; j++)
            graph_list_add(&on[node->devices.items[j]], node);
    }
    for (size_t i = 0; i < count; i++) {
        if (on[i].count)
            visit(usage, i, &on[i]);
        free(on[i].items);
    }
    free(on);
}

void usage_note_missing(struct usage *usage, const char *path) {
    struct faults *faults = usage->tree->faults;
    faults->list = memory_grow(faults->list, faults->count, sizeof *faults->list);
    faults->list[faults->count++] = (struct fault){memory_strdup(path), ENOENT};
}

char *usage_read(struct usage *usage, const char *path) {
    size_t before = usage->tree->faults->count;
    char *text = tree_read(usage->tree, path);
    if (!text && usage->tree->faults->count == before)
        usage_note_missing(usage, path);
    return text;
}

void usage_each_line(struct usage *usage, char *text,
                     void (*visit)(struct usage *usage, char *line)) {
    char *rest = text;
    for (char *line; rest && (line = text_next_line(&rest));)
        visit(usage, line);
    free(text);
}

char *usage_hint(const struct tree *tree, int error) {
    if (*tree->root)
        return memory_strdup("what cannot be read counts as in use: record the host again, as "
                             "root, with 'virt-rules devices --record DIR'");
    if ((error == EACCES || error == EPERM) && geteuid() != 0)
        return memory_strdup("root can read it: run this command as root");
    return memory_strdup("what cannot be read counts as in use: 'ls -ld' and 'cat' show why it "
                         "cannot be read");
}
