/*
 * A whole disk of the host as <disk type='block'>, of any device that has exactly one: a USB stick,
 * a SCSI or SATA disk, an NVMe controller. The host's driver keeps the device, and qemu opens the
 * disk. Cache and discard are libvirt's defaults.
 */
#include "engine/backend/backend_place.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { CLASS_NVME = 0x0108, CLASS_USB_STORAGE = 0x08 };

/* Of a speed that nothing tells, as a disk that qemu makes: it takes every port. */
static const struct device backend_disk_of_usb = {.bus = BUS_USB};

/* --- whether it can be presented */

/* Whether the SCSI device, or one on this device, is of that type. */
static bool backend_disk_is_type(const struct host *host, const struct device *device,
                                 enum scsi_type type) {
    if (device->bus == BUS_SCSI)
        return device->scsi_type == (int)type;
    for (size_t i = 0; device->scsi_device_count && i < host->count; i++)
        if (device_is_on(&host->devices[i], device) && host->devices[i].scsi_type == (int)type)
            return true;
    return false;
}

/* Those of the disks on it that a rule can name alone: "scsi "6:0:0:0", scsi "6:0:0:1"". */
static char *backend_disk_scsi_text(const struct host *host, const struct device *device) {
    char *text = memory_strdup("");
    for (size_t i = 0; device->scsi_device_count && i < host->count; i++) {
        const struct device *scsi = &host->devices[i];
        const struct device_file *disk =
            device_is_on(scsi, device) ? device_find_file(scsi, FILE_BLOCK, 0) : NULL;
        if (disk)
            memory_append(&text, "%sscsi \"%s\"%s", *text ? ", " : "", scsi->address,
                          disk->is_empty ? " (no medium)" : "");
    }
    return text;
}

static char *backend_disk_paths_text(const struct device *device) {
    char *text = memory_strdup("");
    const struct device_file *disk;
    for (size_t i = 0; (disk = device_find_file(device, FILE_BLOCK, i)); i++)
        memory_append(&text, "%s%s", i ? ", " : "", disk->path);
    return text;
}

/* It has several disks; or it is a host adapter, whose disks are devices of their own. */
static struct verdict backend_disk_refuse_several(const struct device *device, char *scsi) {
    size_t count = device_file_count(device, FILE_BLOCK);
    char *disks = *scsi ? memory_strdup(scsi) : backend_disk_paths_text(device);
    char *message = count
                        ? memory_printf("it has %zu disks (%s), and 'as disk' attaches one of them",
                                        count, disks)
                        : memory_printf("its disks are devices of their own: %s", disks);
    char *hint = *scsi ? memory_strdup("name one of them in the rule") : NULL;
    free(disks);
    free(scsi);
    return verdict_refuse(REFUSED_BACKEND, message, hint);
}

/* The module of the driver that would make a disk of the device; NULL: none would. */
static const char *backend_disk_module(const struct device *device) {
    switch (device->bus) {
    case BUS_PCI:
        return device->class_code >> 8 == CLASS_NVME ? "nvme" : NULL;
    case BUS_USB:
        for (size_t i = 0; i < device->interface_count; i++)
            if (device->interfaces[i].class_code >> 16 == CLASS_USB_STORAGE)
                return "usb-storage";
        return NULL;
    case BUS_SCSI:
        return device->scsi_type == SCSI_DISK || device->scsi_type == SCSI_ZONED_DISK ? "sd_mod"
                                                                                      : NULL;
    }
    return NULL;
}

/* A driver that does not make disks, as vfio-pci, is in the way of the one that does. */
static struct verdict backend_disk_refuse_none(const struct device *device) {
    const char *module = backend_disk_module(device);
    if (device->bus == BUS_SCSI && !module)
        return verdict_refuse(REFUSED_BACKEND,
                              memory_printf("it is a %s, and 'as disk' attaches disks",
                                            device_scsi_type_text(device->scsi_type)),
                              NULL);
    if (!module)
        return verdict_refuse(REFUSED_BACKEND, memory_strdup("it has no disk"), NULL);
    if (device->driver && text_starts_with(device->driver, "vfio"))
        return verdict_refuse(
            REFUSED_BACKEND,
            memory_printf("it is bound to %s, so the host has no disk of it", device->driver),
            memory_printf("bind it to the driver %s, or write 'as vfio'", module));
    if (device->driver)
        return verdict_refuse(REFUSED_BACKEND,
                              memory_printf("its driver %s has found no disk", device->driver),
                              memory_strdup("see what the kernel reports: 'dmesg'"));
    return verdict_refuse(REFUSED_BACKEND,
                          memory_strdup("no driver is bound to it, so the host has no disk of it"),
                          memory_printf("load the driver on the host: 'modprobe %s'", module));
}

static struct verdict backend_disk_judge_device(const struct host *host,
                                                const struct device *device,
                                                const struct backend_options *options) {
    const struct device_file *disk = device_find_file(device, FILE_BLOCK, 0);
    size_t count = device_file_count(device, FILE_BLOCK);
    char *scsi = backend_disk_scsi_text(host, device);
    (void)options;
    if (count > 1 || (!disk && *scsi))
        return backend_disk_refuse_several(device, scsi);
    free(scsi);
    if (!disk)
        return backend_disk_refuse_none(device);
    if (backend_disk_is_type(host, device, SCSI_CD) || text_starts_with(disk->path, "/dev/sr"))
        return verdict_refuse(
            REFUSED_BACKEND,
            memory_printf("%s is a CD or DVD drive, which libvirt does not hot-plug as a disk",
                          disk->path),
            NULL);
    if (disk->is_empty)
        return verdict_refuse(REFUSED_BACKEND,
                              memory_printf("no medium is in the drive (%s)", disk->path),
                              memory_strdup("insert the medium, then run 'virt-rules apply'"));
    return (struct verdict){0};
}

/* --- its element */

static const char *backend_disk_bus(const struct backend_options *options) {
    const struct action_option *bus = syntax_find_option(options->list, OPTION_BUS);
    return bus ? bus->text : "virtio";
}

/* qemu cannot open a write-protected disk for writing. */
static bool backend_disk_is_readonly(const struct device *device,
                                     const struct backend_options *options) {
    const struct device_file *disk = device_find_file(device, FILE_BLOCK, 0);
    return syntax_find_option(options->list, OPTION_READONLY) || (disk && disk->readonly);
}

static bool backend_disk_write_xml(FILE *out, const struct device *device,
                                   const struct backend_options *options, size_t index) {
    static const struct backend_options none;
    const struct device_file *disk = device_find_file(device, FILE_BLOCK, index);
    if (!disk)
        return false;
    options = options ? options : &none;
    const struct guest_place *place = &options->place;
    const char *bus = backend_disk_bus(options);
    fputs("<disk type='block' device='disk'>\n"
          "  <driver name='qemu' type='raw'/>\n"
          "  <source dev='",
          out);
    backend_write_text(out, device_file_path(disk));
    fprintf(out,
            "'/>\n"
            "  <target dev='%s' bus='%s'/>\n",
            *place->target ? place->target : "vda", bus);
    if (backend_disk_is_readonly(device, options))
        fputs("  <readonly/>\n", out);
    backend_write_alias(out, BACKEND_DISK, device, index);
    if (place->has_unit)
        backend_place_write_unit(out, place);
    else
        backend_place_write(out, place);
    fputs("</disk>", out);
    return true;
}

/* libvirt finds a disk by the name of its target alone. */
static bool backend_disk_write_detach(FILE *out, const struct domain_hostdev *hostdev) {
    const struct guest_place *place = &hostdev->place;
    bool is_usb = place->kind == GUEST_PLACE_USB || place->kind == GUEST_PLACE_SOME_USB;
    if (!*place->target)
        return false;
    fputs("<disk type='block' device='disk'>\n", out);
    if (hostdev->path) {
        fputs("  <source dev='", out);
        backend_write_text(out, hostdev->path);
        fputs("'/>\n", out);
    }
    fputs("  <target dev='", out);
    backend_write_text(out, place->target);
    fprintf(out, "' bus='%s'/>\n</disk>", place->has_unit ? "scsi" : is_usb ? "usb" : "virtio");
    return true;
}

static bool backend_disk_is_element(const struct domain_hostdev *hostdev,
                                    const struct device *device, size_t index) {
    const struct device_file *disk = device_find_file(device, FILE_BLOCK, index);
    return disk && hostdev->path && device_file_has_path(disk, hostdev->path);
}

/* --- its place: a PCI or USB port or a unit of a SCSI controller, and a name */

static bool backend_disk_take_place(struct guest *guest, const struct device *device,
                                    struct backend_options *options) {
    const char *bus = backend_disk_bus(options);
    struct guest_place *place = &options->place;
    (void)device;
    if (strcmp(bus, "scsi") == 0)
        return guest_take_scsi_unit(guest, place) &&
               guest_take_disk_name(guest, GUEST_DISK_SD, place);
    if (strcmp(bus, "usb") == 0)
        return backend_type_USB.take_place(guest, &backend_disk_of_usb, options) &&
               guest_take_disk_name(guest, GUEST_DISK_SD, place);
    return guest_take_virtio(guest, place) && guest_take_disk_name(guest, GUEST_DISK_VD, place);
}

static struct verdict backend_disk_refuse_place(const struct backend_need *need) {
    const char *bus = backend_disk_bus(need->options);
    return strcmp(bus, "scsi") == 0  ? backend_place_refuse_scsi(need)
           : strcmp(bus, "usb") == 0 ? backend_place_refuse_usb(need, &backend_disk_of_usb, "disk")
                                     : backend_place_refuse_pci(need, "disk");
}

static struct verdict backend_disk_judge_vm(const struct domain *domain,
                                            const struct backend_options *options) {
    if (!options || strcmp(backend_disk_bus(options), "usb") != 0)
        return (struct verdict){0};
    return backend_place_judge_usb(domain, options);
}

static char *backend_disk_note_place(const struct guest *guest, const struct device *device,
                                     const struct backend_options *options) {
    (void)guest;
    if (backend_disk_is_readonly(device, options) &&
        !syntax_find_option(options->list, OPTION_READONLY))
        return memory_strdup("its medium is write-protected, so the VM gets it readonly");
    return backend_place_note_files(device, FILE_BLOCK, "/dev/disk");
}

const struct backend_type backend_type_DISK = {
    .backend = BACKEND_DISK,
    .judge_device = backend_disk_judge_device,
    .write_xml = backend_disk_write_xml,
    .write_detach = backend_disk_write_detach,
    .is_element = backend_disk_is_element,
    .judge_vm = backend_disk_judge_vm,
    .take_place = backend_disk_take_place,
    .refuse_place = backend_disk_refuse_place,
    .note_place = backend_disk_note_place,
};
