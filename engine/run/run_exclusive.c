#include "engine/run/run.h"

#include "engine/backend/backend.h"
#include "engine/plan/holdings.h"
#include "engine/state/device_db.h"
#include "engine/state/lock.h"

#include <stdlib.h>

enum { EXCLUSIVE_LIMIT_MS = 10000 };

/* One lock for a device and what is on it. */
static int run_exclusive_lock(const struct run *run, const struct device *device) {
    struct device above = {.bus = device->above_bus, .address = device->above};
    char *slot = device_db_slot(device->above ? &above : device);
    char *name = memory_printf("attach-%s", slot);
    int lock = lock_vm_within(run->config->state, name, EXCLUSIVE_LIMIT_MS, NULL);
    free(name);
    free(slot);
    return lock;
}

/* What cannot be read counts as in use. */
static bool run_exclusive_is_held(const struct run *run, const struct device *device) {
    struct holdings holdings = {0};
    struct domain_list others;
    struct virt_error error;
    if (domain_list_running(&others, run->virt, run->domain.uuid, &error) < 0)
        return true;
    for (size_t i = 0; i < others.count; i++)
        holdings_add(&holdings, &run->host, &others.list[i]);
    holdings_sort(&holdings);
    bool is_held = holdings_find(&holdings, device, NULL, NULL);
    holdings_finish(&holdings);
    domain_list_finish(&others);
    return is_held;
}

bool run_exclusive_begin(const struct run *run, const struct plan_entry *entry, int *lock) {
    const struct device *device = entry->device;
    *lock = -1;
    if ((!device->file_count && device->bus != BUS_SCSI) ||
        backend_type(entry->action->backend)->shares_device)
        return true;
    *lock = run_exclusive_lock(run, device);
    return *lock != LOCK_BUSY && !run_exclusive_is_held(run, device);
}
