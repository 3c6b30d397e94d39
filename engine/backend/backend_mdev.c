#include "engine/backend/backend.h"

static bool backend_mdev_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options) {
    (void)out, (void)device, (void)options;
    return false;
}

static bool backend_mdev_is_hostdev(const struct domain_hostdev *hostdev,
                                    const struct device *device) {
    (void)hostdev, (void)device;
    return false;
}

static bool backend_mdev_take_place(struct guest *guest, const struct device *device,
                                    struct backend_options *options) {
    (void)guest, (void)device, (void)options;
    return true;
}

const struct backend_type backend_type_MDEV = {
    .backend = BACKEND_MDEV,
    .bus = BUS_PCI,
    .write_xml = backend_mdev_write_xml,
    .is_hostdev = backend_mdev_is_hostdev,
    .take_place = backend_mdev_take_place,
};
