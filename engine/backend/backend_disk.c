#include "engine/backend/backend.h"

#include "lexer/memory.h"

static struct verdict backend_disk_judge_device(const struct host *host,
                                                const struct device *device,
                                                const struct backend_options *options) {
    (void)host, (void)device, (void)options;
    return verdict_refuse(REFUSED_BACKEND, memory_strdup("'as disk' cannot attach devices yet"),
                          NULL);
}

static bool backend_disk_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options, size_t index) {
    (void)out, (void)device, (void)options, (void)index;
    return false;
}

static bool backend_disk_is_element(const struct domain_hostdev *hostdev,
                                    const struct device *device, size_t index) {
    (void)hostdev, (void)device, (void)index;
    return false;
}

const struct backend_type backend_type_DISK = {
    .backend = BACKEND_DISK,
    .judge_device = backend_disk_judge_device,
    .write_xml = backend_disk_write_xml,
    .is_element = backend_disk_is_element,
};
