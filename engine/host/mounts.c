#include "engine/host/mounts.h"

#include "engine/host/block_path.h"
#include "engine/host/zfs.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIXED_FIELDS = 6, /* id, parent, device, root, mount point, options; then "-"; proc(5) */
    /* In a mount's score, above the length of its mount point. */
    OTHER_NAMESPACE = 1U << 30,
    NOT_THE_ROOT = 1U << 29
};

/* Where the host itself sees a file system. */
struct mount_place {
    char *point;
    struct node *node;
};

struct mounts {
    struct usage *usage;
    struct mount_place *places;
    size_t count;
};

void mounts_unescape(char *text) {
    char *end = text;

    while (*text) {
        if (*text == '\\' && text[1] >= '0' && text[1] <= '3' &&
            strspn(text + 1, "01234567") >= 3) {
            *end++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 4;
        } else {
            *end++ = *text++;
        }
    }
    *end = '\0';
}

bool mounts_split_mountinfo(char *line, struct mount *mount) {
    char *fields[FIXED_FIELDS], *field = NULL;

    for (size_t i = 0; i < FIXED_FIELDS; i++)
        if (!(fields[i] = text_next_field(&line)))
            return false;
    do
        field = text_next_field(&line);
    while (field && strcmp(field, "-") != 0);
    mount->number = fields[2];
    mount->root = fields[3];
    mount->point = fields[4];
    mount->type = field ? text_next_field(&line) : NULL;
    mount->source = mount->type ? text_next_field(&line) : NULL;
    return mount->source;
}

bool mounts_split_mounts(char *line, struct mount *mount) {
    mount->source = text_next_field(&line);
    mount->point = mount->source ? text_next_field(&line) : NULL;
    mount->type = mount->point ? text_next_field(&line) : NULL;
    mount->number = NULL;
    mount->root = "/";
    return mount->type;
}

/* The name of a file system is its shortest mount point, in the host's own namespace if it has one
 * there. */
static void mounts_note(struct mounts *mounts, struct node *node, const struct mount *mount) {
    unsigned score = mount->namespace + (unsigned)strlen(mount->point);

    node->has_file_system = true;
    if (strcmp(mount->root, "/") != 0 && strcmp(mount->point, "/") != 0)
        score |= NOT_THE_ROOT;
    if (!node->mount_point || score < node->mount_score) {
        node->mount_score = score;
        free(node->mount_point);
        node->mount_point = memory_strdup(mount->point);
    }
    if (mount->namespace)
        return;
    mounts->places = memory_grow(mounts->places, mounts->count, sizeof *mounts->places);
    mounts->places[mounts->count++] = (struct mount_place){memory_strdup(mount->point), node};
}

/* A btrfs of several disks is mounted by the name of one. */
static struct node *mounts_whole_file_system(struct node *node) {
    for (size_t i = 0; i < node->above.count; i++)
        if (node->above.items[i]->is_hidden && !node->above.items[i]->path)
            return node->above.items[i];
    return node;
}

static void mounts_read_mount(struct mounts *mounts, struct mount *mount) {
    struct usage *usage = mounts->usage;
    const struct graph *graph = &usage->host->block;
    struct node *node = NULL;

    mounts_unescape(mount->point);
    mounts_unescape(mount->source);
    if (strcmp(mount->type, "zfs") == 0) {
        node = zfs_get_pool(&usage->host->block, mount->source, strcspn(mount->source, "/"));
        mounts_note(mounts, node, mount);
        return;
    }
    if (mount->number && !text_starts_with(mount->number, "0:"))
        node = block_path_find_number(graph, usage->tree, mount->number);
    if (node) {
        mounts_note(mounts, mounts_whole_file_system(node), mount);
        return;
    }
    /* btrfs has numbers of its own, and bcachefs names all its disks: "/dev/sda:/dev/sdb". */
    char *rest = mount->source;
    for (const char *source; (source = strsep(&rest, ":"));)
        if ((node = block_path_find(graph, usage->tree, source)))
            mounts_note(mounts, mounts_whole_file_system(node), mount);
}

/* False: there is no such file. A line that is too short was cut off. */
static bool mounts_read_file(struct mounts *mounts, const char *path, unsigned namespace,
                             bool (*split)(char *line, struct mount *mount)) {
    char *text = tree_read(mounts->usage->tree, path), *rest = text;
    bool is_there = text;

    for (char *line; rest && (line = text_next_line(&rest));) {
        struct mount mount = {.namespace = namespace};
        if (split(line, &mount))
            mounts_read_mount(mounts, &mount);
        else if (*line)
            usage_note_missing(mounts->usage, path);
    }
    free(text);
    return is_there;
}

static bool mounts_has_name(const struct names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* Takes the name. */
static void mounts_add_name(struct names *names, char *name) {
    names->items = memory_grow(names->items, names->count, sizeof *names->items);
    names->items[names->count++] = name;
}

/* A disk may be mounted where only a container sees it: each mount namespace is read once. */
static void mounts_read_other_namespaces(struct mounts *mounts, struct names *seen) {
    const struct tree *tree = mounts->usage->tree;
    struct faults *faults = tree->faults;
    struct names processes = tree_list(tree, "proc");

    for (size_t i = 0; i < processes.count; i++) {
        uint32_t id = 0;
        if (!text_parse_decimal(processes.items[i], UINT32_MAX, &id))
            continue;
        char *directory = memory_printf("proc/%s", processes.items[i]);
        char *path = memory_printf("%s/mountinfo", directory);
        char *name = tree_link_name(tree, directory, "ns/mnt");
        if (name && !mounts_has_name(seen, name)) {
            size_t before = faults->count;
            bool is_read = mounts_read_file(mounts, path, OTHER_NAMESPACE, mounts_split_mountinfo);
            /* The kernel has no mountinfo (EINVAL) of a process that just ended. */
            if (!is_read && faults->count == before + 1 && faults->list[before].error == EINVAL)
                free(faults->list[--faults->count].path);
            mounts_add_name(seen, name);
            name = NULL;
        }
        free(name);
        free(path);
        free(directory);
    }
    tree_finish_names(&processes);
}

/* The host's own namespace comes first, as it names what others see too. */
static void mounts_read_all(struct mounts *mounts) {
    struct names seen = {0};
    char *own = tree_link_name(mounts->usage->tree, "proc/self", "ns/mnt");

    if (!mounts_read_file(mounts, "proc/self/mountinfo", 0, mounts_split_mountinfo) &&
        !mounts_read_file(mounts, "proc/mounts", 0, mounts_split_mounts))
        usage_note_missing(mounts->usage, "proc/self/mountinfo");
    if (own) {
        mounts_add_name(&seen, own);
    } else { /* a copy of a host: it is all that there is */
        mounts_read_file(mounts, "proc/1/mountinfo", 0, mounts_split_mountinfo);
        mounts_read_file(mounts, "proc/mounts", 0, mounts_split_mounts);
    }
    mounts_read_other_namespaces(mounts, &seen);
    tree_finish_names(&seen);
}

/* These file systems have a list of what is mounted, in whatever namespace. */
static void mounts_read_lists(struct usage *usage) {
    static const char *const lists[] = {"sys/fs/ext4", "sys/fs/xfs", "sys/fs/f2fs"};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct names names = tree_list(usage->tree, lists[i]);
        for (size_t j = 0; j < names.count; j++) {
            struct node *node = graph_find(&usage->host->block, names.items[j]);
            if (node)
                node->has_file_system = true;
        }
        tree_finish_names(&names);
    }
}

/* ---- Swap ---- */

/* What a file of the host is on: the file system with the longest mount point, or the last of two.
 */
static struct node *mounts_of_file(const struct mounts *mounts, const char *path) {
    struct node *node = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < mounts->count; i++) {
        const char *point = mounts->places[i].point;
        size_t length = strlen(point);
        length -= length && point[length - 1] == '/';
        if (strncmp(path, point, length) != 0 || path[length] != '/' || length < longest)
            continue;
        node = mounts->places[i].node;
        longest = length;
    }
    return node;
}

/* "/dev/sda2 partition 2097148 0 -2", or a file. */
static void mounts_read_swap(struct mounts *mounts, char *line) {
    struct usage *usage = mounts->usage;
    char *path = text_next_field(&line);

    if (!path)
        return;
    mounts_unescape(path);
    struct node *node = text_starts_with(path, "/dev/")
                            ? block_path_find(&usage->host->block, usage->tree, path)
                            : mounts_of_file(mounts, path);
    if (node)
        node->is_swap = true;
    else if (path[0] == '/' && path[1])
        usage_note_missing(usage, path + 1);
}

bool mounts_has_no_swap(const struct tree *tree) {
    static const char key[] = "SwapTotal:";
    char *text = tree_has(tree, "proc/swaps") ? NULL : tree_read(tree, "proc/meminfo");
    const char *total = text ? strstr(text, key) : NULL;
    bool has_none = total && strtoul(total + strlen(key), NULL, 10) == 0;

    free(text);
    return has_none;
}

void mounts_read(struct usage *usage) {
    struct mounts mounts = {.usage = usage};

    mounts_read_lists(usage);
    mounts_read_all(&mounts);
    char *swaps = mounts_has_no_swap(usage->tree) ? NULL : usage_read(usage, "proc/swaps");
    char *rest = swaps;
    for (char *line; rest && (line = text_next_line(&rest));)
        mounts_read_swap(&mounts, line);
    free(swaps);
    for (size_t i = 0; i < mounts.count; i++)
        free(mounts.places[i].point);
    free(mounts.places);
}
