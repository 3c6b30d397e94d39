/*
 * A mediated device of a PCI device as <hostdev type='mdev'>: the device stays bound to its host
 * driver, and gives a part of itself to the VM. The plan and the run work on a copy of the device
 * that has one mediated device, see struct device.
 */
#include "engine/backend/backend.h"

#include "engine/backend/backend_place.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

/* libvirt compares the UUID alone. */
static bool backend_mdev_write(FILE *out, const char *uuid, const struct guest_place *place) {
    fprintf(out,
            "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>\n"
            "  <source>\n"
            "    <address uuid='%s'/>\n"
            "  </source>\n",
            uuid);
    if (place)
        backend_place_write(out, place);
    fputs("</hostdev>", out);
    return true;
}

static bool backend_mdev_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options, size_t index) {
    return index < device->mdev_count &&
           backend_mdev_write(out, device->mdevs[index].uuid, options ? &options->place : NULL);
}

static bool backend_mdev_write_detach(FILE *out, const struct domain_hostdev *hostdev) {
    return backend_mdev_write(out, hostdev->uuid, NULL);
}

static size_t backend_mdev_count_elements(const struct device *device,
                                          const struct backend_options *options) {
    (void)options;
    return device->mdev_count;
}

static bool backend_mdev_is_element(const struct domain_hostdev *hostdev,
                                    const struct device *device, size_t index) {
    return index < device->mdev_count && !strcmp(hostdev->uuid, device->mdevs[index].uuid);
}

/* "nvidia-63 (GRID T4-2A), nvidia-64 (GRID T4-4A)", for the caller to free. */
static char *backend_mdev_types_text(const struct device *device) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < device->mdev_type_count; i++) {
        const struct device_mdev_type *type = &device->mdev_types[i];
        memory_append(&text, "%s%s", i ? ", " : "", type->name);
        if (type->label)
            memory_append(&text, " (%s)", type->label);
    }
    return text;
}

static struct verdict backend_mdev_judge_device(const struct host *host,
                                                const struct device *device,
                                                const struct backend_options *options) {
    const struct action_option *type =
        options ? syntax_find_option(options->list, OPTION_MDEV_TYPE) : NULL;
    (void)host;
    if (!device->mdev_type_count && !device->mdev_count)
        return verdict_refuse(REFUSED_BACKEND, memory_strdup("it offers no mediated devices"),
                              NULL);
    if (!type || device_find_mdev_type(device, type->text))
        return (struct verdict){0};
    char *types = backend_mdev_types_text(device);
    struct verdict verdict = verdict_refuse(
        REFUSED_BACKEND, memory_printf("it offers no mediated devices of type %s", type->text),
        memory_printf("write one of the types that it offers: %s", types));
    free(types);
    return verdict;
}

/* libvirt takes every one for a PCI Express device. */
static bool backend_mdev_take_place(struct guest *guest, const struct device *device,
                                    struct backend_options *options) {
    (void)device;
    return guest_take_pci(guest, PCI_EXPRESS, &options->place);
}

static struct verdict backend_mdev_refuse_place(const struct backend_need *need) {
    return backend_place_refuse_pci(need, "mediated device");
}

const struct backend_type backend_type_MDEV = {
    .backend = BACKEND_MDEV,
    .shares_device = true,
    .judge_device = backend_mdev_judge_device,
    .count_elements = backend_mdev_count_elements,
    .write_xml = backend_mdev_write_xml,
    .write_detach = backend_mdev_write_detach,
    .is_element = backend_mdev_is_element,
    .take_place = backend_mdev_take_place,
    .refuse_place = backend_mdev_refuse_place,
};
