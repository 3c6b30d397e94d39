#include "engine/backend/backend.h"

static bool backend_disk_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options) {
    (void)out, (void)device, (void)options;
    return false;
}

static bool backend_disk_is_hostdev(const struct domain_hostdev *hostdev,
                                    const struct device *device) {
    (void)hostdev, (void)device;
    return false;
}

static bool backend_disk_take_place(struct guest *guest, const struct device *device,
                                    struct backend_options *options) {
    (void)guest, (void)device, (void)options;
    return true;
}

const struct backend_type backend_type_DISK = {
    .backend = BACKEND_DISK,
    .bus = BUS_USB,
    .write_xml = backend_disk_write_xml,
    .is_hostdev = backend_disk_is_hostdev,
    .take_place = backend_disk_take_place,
};
