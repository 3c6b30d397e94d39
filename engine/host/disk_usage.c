/* What the host uses its disks for: file systems, swap, and arrays, volumes or pools that are made
 * of them. */
#include "engine/host/block_stack.h"

#include "engine/host/guards.h"
#include "engine/host/mounts.h"
#include "engine/host/zfs.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

/* A mount or swap, named with all that is between it and the device. */
static void disk_usage_add_direct(struct usage *usage, size_t device, struct node *top) {
    if (!top->has_file_system && !top->is_swap)
        return;
    struct node_list chain = graph_chain(&usage->host->block, top);
    char *nodes = graph_chain_text(&chain, NULL);
    bool is_root = top->mount_point && strcmp(top->mount_point, "/") == 0; /* it stays mounted */
    char *word = top->mount_point && !is_root ? text_shell_word(top->mount_point) : NULL;

    if (top->has_file_system)
        usage_add(usage, device, USE_MOUNT, word, "mounts %s from it (%s)",
                  top->mount_point ? top->mount_point : "a file system", nodes);
    if (top->is_swap)
        usage_add(usage, device, USE_SWAP, "", "swaps on it (%s)", nodes);
    for (size_t i = 0; i < chain.count; i++)
        chain.items[i]->explained = (unsigned)device + 1;
    free(word);
    free(nodes);
    free(chain.items);
}

/* The disks and partitions of the device that `holder` is made of, without those that a mount or
 * swap has named. */
static void disk_usage_add_membership(struct usage *usage, size_t device,
                                      const struct node *holder) {
    struct node_list members = {0};

    for (size_t i = 0; i < holder->below.count; i++) {
        struct node *node = holder->below.items[i];
        bool is_of_device = device_set_has(&node->devices, device) ||
                            (node->disk && device_set_has(&node->disk->devices, device));
        if (is_of_device && !node->is_hidden && holder->disk != node &&
            node->explained != device + 1)
            graph_list_add(&members, node);
    }
    if (members.count) {
        char *nodes = graph_chain_text(&members, NULL);
        usage_add(usage, device, USE_MEMBER, graph_label(holder), "keeps it in %s (%s)",
                  graph_label(holder), nodes);
        free(nodes);
    }
    free(members.items);
}

static void disk_usage_visit_device(struct usage *usage, size_t device,
                                    const struct node_list *nodes) {
    struct node_list reached = graph_reach_up(&usage->host->block, nodes);

    for (size_t i = 0; i < reached.count; i++)
        disk_usage_add_direct(usage, device, reached.items[i]);
    for (size_t i = 0; i < reached.count; i++)
        disk_usage_add_membership(usage, device, reached.items[i]);
    free(reached.items);
}

void disk_usage_find(struct usage *usage) {
    block_stack_read(usage);
    mounts_read(usage);
    zfs_read(usage);
    graph_sum_devices(&usage->host->block);
    usage_each_device(usage, &usage->host->block, disk_usage_visit_device);
}
