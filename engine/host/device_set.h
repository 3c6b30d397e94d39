/* A set of a host's devices: indexes into host->devices, ascending, each once. */
#ifndef ENGINE_DEVICE_SET_H
#define ENGINE_DEVICE_SET_H

#include <stdbool.h>
#include <stddef.h>

struct device_set {
    size_t *items;
    size_t count;
};

void device_set_add(struct device_set *set, size_t device);
void device_set_add_all(struct device_set *set, const struct device_set *other);
bool device_set_has(const struct device_set *set, size_t device);
void device_set_finish(struct device_set *set);

#endif
