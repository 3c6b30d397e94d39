#include "engine/host/mdev.h"

#include "engine/host/names.h"
#include "engine/host/place.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

#define INSTANCES "sys/bus/mdev/devices"

/* Where the number cannot be read, none can be created. */
void mdev_read_types(const struct reading *reading) {
    static const char types_directory[] = "mdev_supported_types";
    struct device *device = reading->device;
    if (tree_directory_lacks(reading->directory, types_directory))
        return;
    char *directory =
        memory_printf("%s/%s/%s", reading->reader->directory, device->address, types_directory);
    struct names types = tree_list(reading->tree, directory);

    for (size_t i = 0; i < types.count; i++) {
        char *path = memory_printf("%s/%s", directory, types.items[i]);
        char *label = tree_attribute(reading->tree, path, "name");
        char *text = tree_attribute(reading->tree, path, "available_instances");
        uint32_t available = 0;
        text_parse_decimal(text, INT32_MAX, &available);
        if (label)
            names_clean(label);
        device_add_mdev_type(device, memory_strdup(types.items[i]), label, available);
        free(text);
        free(path);
    }
    tree_finish_names(&types);
    free(directory);
}

/* ".../0000:06:00.0/UUID": the directory of an instance is in that of its parent. */
void mdev_find_instances(struct host *host, const struct tree *tree) {
    struct names uuids = tree_list(tree, INSTANCES);

    for (size_t i = 0; i < uuids.count; i++) {
        char *link = memory_printf(INSTANCES "/%s", uuids.items[i]);
        char *path = tree_resolve(tree, link);
        const struct device *parent = path ? place_nearest(host, path) : NULL;
        if (parent && parent->bus == BUS_PCI)
            device_add_mdev(&host->devices[parent - host->devices], memory_strdup(uuids.items[i]),
                            tree_link_name(tree, link, "mdev_type"));
        free(path);
        free(link);
    }
    tree_finish_names(&uuids);
}
