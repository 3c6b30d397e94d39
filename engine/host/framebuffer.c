#include "engine/host/framebuffer.h"

#include "engine/host/place.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

#define PLATFORM "sys/bus/platform/devices"

/* By who reserved it, or its driver. */
bool framebuffer_is_memory(const char *name) {
    static const char *const names[] = {"BOOTFB", "efifb",   "vesafb",  "simplefb", "simpledrm",
                                        "efidrm", "vesadrm", "vga16fb", NULL};
    size_t i = 0;
    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    return names[i] || strstr(name, "-framebuffer.");
}

/*
 * "    c0000000-c02fffff : BOOTFB" below "  c0000000-cfffffff : 0000:01:00.0", whose BAR it is in.
 * The indentation tells, also to a user who is shown no addresses. NULL: it is in none.
 */
static const struct device *framebuffer_find_memory(const struct host *host,
                                                    const struct tree *tree) {
    static const char separator[] = " : ";
    char *text = tree_read(tree, "proc/iomem"), *rest = text;
    const struct device *owner = NULL, *found = NULL;
    size_t depth_of_owner = 0;
    for (char *line; rest && !found && (line = text_next_line(&rest));) {
        size_t depth = strspn(line, " ");
        const char *name = strstr(line, separator);
        if (!name)
            continue;
        name += strlen(separator);
        if (owner && depth <= depth_of_owner)
            owner = NULL;
        const struct device *device = owner ? NULL : host_find(host, BUS_PCI, name);
        if (device) {
            owner = device;
            depth_of_owner = depth;
        }
        found = owner && framebuffer_is_memory(name) ? owner : NULL;
    }
    free(text);
    return found;
}

/* The firmware set up the boot display. */
static const struct device *framebuffer_find_boot_display(const struct host *host) {
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].boot_vga)
            return &host->devices[i];
    return NULL;
}

void framebuffer_find_all(struct host *host, const struct tree *tree) {
    struct names names = tree_list(tree, PLATFORM);
    for (size_t i = 0; i < names.count; i++) {
        if (!strstr(names.items[i], "-framebuffer."))
            continue;
        char *directory = memory_printf(PLATFORM "/%s", names.items[i]);
        char *path = tree_resolve(tree, directory);
        /* Since Linux 6.9 it is below the card. */
        const struct device *card = path ? place_nearest(host, path) : NULL;
        if (!card)
            card = framebuffer_find_memory(host, tree);
        if (!card)
            card = framebuffer_find_boot_display(host);
        if (card) {
            host->framebuffers = memory_grow(host->framebuffers, host->framebuffer_count,
                                             sizeof *host->framebuffers);
            host->framebuffers[host->framebuffer_count++] = (struct host_framebuffer){
                memory_strdup(names.items[i]), tree_link_name(tree, directory, "driver"),
                (size_t)(card - host->devices)};
        }
        free(path);
        free(directory);
    }
    tree_finish_names(&names);
}
