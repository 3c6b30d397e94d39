#include "engine/backend/backend.h"

#include "lexer/memory.h"

static struct verdict backend_scsi_judge_device(const struct host *host,
                                                const struct device *device,
                                                const struct backend_options *options) {
    (void)host, (void)device, (void)options;
    return verdict_refuse(REFUSED_BACKEND, memory_strdup("'as scsi' cannot attach devices yet"),
                          NULL);
}

static bool backend_scsi_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options, size_t index) {
    (void)out, (void)device, (void)options, (void)index;
    return false;
}

static bool backend_scsi_is_element(const struct domain_hostdev *hostdev,
                                    const struct device *device, size_t index) {
    (void)hostdev, (void)device, (void)index;
    return false;
}

const struct backend_type backend_type_SCSI = {
    .backend = BACKEND_SCSI,
    .judge_device = backend_scsi_judge_device,
    .write_xml = backend_scsi_write_xml,
    .is_element = backend_scsi_is_element,
};
