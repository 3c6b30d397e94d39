/*
 * SCSI devices as <hostdev type='scsi'>: a disk, tape, changer or CD drive whose commands go to the
 * guest as they are. qemu opens its /dev/sgN, and the host's driver keeps the device. Of a USB
 * device or host adapter each device on it is an element.
 */
#include "engine/backend/backend_place.h"

#include "engine/model/address.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static const char *backend_scsi_address(const struct device *device, size_t index) {
    return device->bus == BUS_SCSI ? device->address : device->scsi_devices[index];
}

static size_t backend_scsi_count(const struct device *device,
                                 const struct backend_options *options) {
    (void)options;
    return device->bus == BUS_SCSI ? 1 : device->scsi_device_count;
}

static struct verdict backend_scsi_judge_device(const struct host *host,
                                                const struct device *device,
                                                const struct backend_options *options) {
    (void)host, (void)options;
    if (device->bus == BUS_SCSI || device->scsi_device_count)
        return (struct verdict){0};
    return verdict_refuse(REFUSED_BACKEND, memory_strdup("the host has no SCSI device on it"),
                          NULL);
}

/* libvirt compares the source alone (virDomainHostdevMatchSubsysSCSIHost()). */
static bool backend_scsi_write(FILE *out, const char *address) {
    const char *part[4] = {address};
    if (!address_is_scsi(address))
        return false;
    for (size_t i = 1; i < 4; i++)
        part[i] = strchr(part[i - 1], ':') + 1;
    fprintf(out,
            "<hostdev mode='subsystem' type='scsi'>\n"
            "  <source>\n"
            "    <adapter name='scsi_host%.*s'/>\n"
            "    <address bus='%.*s' target='%.*s' unit='%s'/>\n"
            "  </source>\n",
            (int)(part[1] - part[0] - 1), part[0], (int)(part[2] - part[1] - 1), part[1],
            (int)(part[3] - part[2] - 1), part[2], part[3]);
    return true;
}

static bool backend_scsi_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options, size_t index) {
    static const struct backend_options none;
    options = options ? options : &none;
    if (!backend_scsi_write(out, backend_scsi_address(device, index)))
        return false;
    if (syntax_find_option(options->list, OPTION_READONLY))
        fputs("  <readonly/>\n", out);
    backend_write_alias(out, BACKEND_SCSI, device, index);
    backend_place_write_unit(out, &options->place);
    fputs("</hostdev>", out);
    return true;
}

static bool backend_scsi_write_detach(FILE *out, const struct domain_hostdev *hostdev) {
    if (!backend_scsi_write(out, hostdev->address))
        return false;
    fputs("</hostdev>", out);
    return true;
}

static bool backend_scsi_is_element(const struct domain_hostdev *hostdev,
                                    const struct device *device, size_t index) {
    return strcmp(hostdev->address, backend_scsi_address(device, index)) == 0;
}

static bool backend_scsi_take_place(struct guest *guest, const struct device *device,
                                    struct backend_options *options) {
    (void)device;
    return guest_take_scsi_unit(guest, &options->place);
}

const struct backend_type backend_type_SCSI = {
    .backend = BACKEND_SCSI,
    .judge_device = backend_scsi_judge_device,
    .count_elements = backend_scsi_count,
    .write_xml = backend_scsi_write_xml,
    .write_detach = backend_scsi_write_detach,
    .is_element = backend_scsi_is_element,
    .take_place = backend_scsi_take_place,
    .refuse_place = backend_place_refuse_scsi,
};
