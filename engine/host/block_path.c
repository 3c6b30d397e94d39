#include "engine/host/block_path.h"

#include "engine/host/names.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* `file` is below /dev. The kernel writes "cciss/c0d0" as "cciss!c0d0". */
static struct node *block_path_find_name(const struct graph *graph, const char *file) {
    static const char mapper[] = "mapper/";
    char *name = memory_strdup(file);

    for (char *slash; (slash = strchr(name, '/'));)
        *slash = '!';
    struct node *node = graph_find(graph, name);
    free(name);
    if (!node && text_starts_with(file, mapper))
        node = graph_find_label(graph, file + strlen(mapper));
    if (!node && strchr(file, '/')) {
        char *label = names_volume_label(file);
        node = graph_find_label(graph, label);
        free(label);
    }
    return node;
}

/* "root=/dev/sda2" of the kernel's command line; the last one counts. */
static struct node *block_path_find_root(const struct graph *graph, const struct tree *tree) {
    static const char key[] = "root=/dev/";
    char *line = tree_read(tree, "proc/cmdline"), *rest = line;
    struct node *node = NULL;

    for (char *word; rest && (word = text_next_field(&rest));)
        if (text_starts_with(word, key)) {
            word[strcspn(word, "\n")] = '\0';
            node = block_path_find_name(graph, word + strlen(key));
        }
    free(line);
    return node;
}

struct node *block_path_find(const struct graph *graph, const struct tree *tree, const char *path) {
    static const char dev[] = "/dev/";
    struct stat status;

    if (!text_starts_with(path, dev))
        return NULL;
    struct node *node = block_path_find_name(graph, path + strlen(dev));
    if (node)
        return node;
    char *resolved = tree_resolve(tree, path);
    if (resolved && text_starts_with(resolved, dev + 1))
        node = block_path_find_name(graph, resolved + strlen(dev + 1));
    free(resolved);
    if (!node && tree_stat(tree, path, &status) && S_ISBLK(status.st_mode)) {
        char number[64];
        snprintf(number, sizeof number, "%u:%u", major(status.st_rdev), minor(status.st_rdev));
        node = block_path_find_number(graph, tree, number);
    }
    return node || strcmp(path, "/dev/root") != 0 ? node : block_path_find_root(graph, tree);
}

struct node *block_path_find_number(const struct graph *graph, const struct tree *tree,
                                    const char *number) {
    for (size_t i = 0; i < graph->nodes.count; i++) {
        struct node *node = graph->nodes.items[i];
        if (node->number && strcmp(node->number, number) == 0)
            return node;
    }
    char *name = tree_link_name(tree, "sys/dev/block", number);
    struct node *node = name ? graph_find(graph, name) : NULL;
    free(name);
    return node;
}
