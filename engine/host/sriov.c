#include "engine/host/sriov.h"

#include "engine/host/driver.h"
#include "engine/system/deadline.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the errno means: sriov_numvfs_store() and sriov_enable() of drivers/pci/iov.c; the driver's
 * own function returns others. */
static const char *sriov_hint(int status) {
    switch (status) {
    case ENOMEM:
    case ENOSPC:
        return "dmesg says what lacks: for bus numbers boot with 'pci=assign-busses', for memory "
               "turn on 'above 4G decoding' in the firmware, or boot with 'pci=realloc'; or create "
               "fewer";
    case ENOENT:
    case ENOSYS:
    case EOPNOTSUPP:
        return "its driver creates no virtual functions: a newer kernel or the maker's driver may";
    case EBUSY:
    case EAGAIN:
        return "somebody else changes it, or its driver is busy: try it again";
    case ERANGE:
        return "'virt-rules devices --all' shows how many there can be";
    case EIO:
        return "the card's firmware offers fewer: its maker's tool may change that";
    default:
        return "dmesg says why";
    }
}

int sriov_create(const struct host *host, const struct device *physical, unsigned count,
                 struct failure *failure) {
    char *path = memory_printf("sys/bus/pci/devices/%s/sriov_numvfs", physical->address);
    char *number = memory_printf("%u", count);
    /* A driver is looked for, and may start firmware, once for each of them. */
    int limit = deadline_limit(DEADLINE_CHANGE_MS);
    int status = driver_write_within(host->root, path, number, limit);
    free(number);
    free(path);
    if (!status)
        return 0;
    if (status == ETIMEDOUT) {
        failure_set(failure, "%s has not created %u virtual functions for %d s",
                    physical->driver ? physical->driver : "its driver", count,
                    (limit + 999) / 1000);
        failure_hint(failure, "the kernel is still at it; when it has finished, run 'virt-rules "
                              "boot' again");
        return HOST_LATE;
    }
    failure_set(failure, "%u virtual functions cannot be created: %s", count, strerror(status));
    failure_hint(failure, "%s", sriov_hint(status));
    return -1;
}
