#include "engine/host/device_set.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

/* The first place whose device is not below `device`. */
static size_t device_set_lower_bound(const struct device_set *set, size_t device) {
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle] < device)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool device_set_has(const struct device_set *set, size_t device) {
    size_t at = device_set_lower_bound(set, device);
    return at < set->count && set->items[at] == device;
}

void device_set_add(struct device_set *set, size_t device) {
    size_t at = device_set_lower_bound(set, device);

    if (at < set->count && set->items[at] == device)
        return;
    set->items = memory_grow(set->items, set->count, sizeof *set->items);
    memmove(set->items + at + 1, set->items + at, (set->count - at) * sizeof *set->items);
    set->items[at] = device;
    set->count++;
}

void device_set_add_all(struct device_set *set, const struct device_set *other) {
    for (size_t i = 0; i < other->count; i++)
        device_set_add(set, other->items[i]);
}

void device_set_finish(struct device_set *set) {
    free(set->items);
    *set = (struct device_set){0};
}
