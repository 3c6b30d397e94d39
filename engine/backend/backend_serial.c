/*
 * The serial ports (ttys) of a USB device, each as <serial type='dev'>: qemu opens the tty, and the
 * guest sees a USB serial converter (an FT232, at 12 Mbit/s) or, with 'as serial pci', a PCI card
 * with a 16550. The host's driver stays bound to the device.
 */
#include "engine/backend/backend_place.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static const char backend_serial_usb[] = "usb-serial", backend_serial_pci[] = "pci-serial";

static bool backend_serial_is_pci(const struct backend_options *options) {
    return options && syntax_find_option(options->list, OPTION_SERIAL_PCI);
}

/* --- a device without a tty */

/* Drivers that make ttys of devices whose interfaces are of no class: ids of Linux 6.1,
 * drivers/usb/ serial. `device` 0: all of that vendor that have serial ports. */
static const struct {
    struct device_id id;
    const char *driver;
} backend_serial_drivers[] = {
    {{0x0403, 0}, "ftdi_sio"},
    {{0x10c4, 0}, "cp210x"},
    {{0x1a86, 0}, "ch341"},
    {{0x4348, 0}, "ch341"},
    {{0x067b, 0}, "pl2303"},
    {{0x0557, 0x2008}, "pl2303"},
    {{0x9710, 0x7720}, "mos7720"},
    {{0x9710, 0x7840}, "mos7840"},
    {{0x0451, 0x3410}, "ti_usb_3410_5052"},
    {{0x0451, 0x5052}, "ti_usb_3410_5052"},
    {{0x1199, 0}, "sierra"},
    {{0x12d1, 0}, "option"},
    {{0x19d2, 0}, "option"},
    {{0x2c7c, 0}, "option"},
};

/* The driver that makes ttys of it, as far as that is known here; NULL: it is not. */
static const char *backend_serial_driver_for(const struct device *device) {
    enum { CLASS_ACM = 0x0202 }; /* communications: abstract control model */
    for (size_t i = 0; i < device->interface_count; i++)
        if (device->interfaces[i].class_code >> 8 == CLASS_ACM)
            return "cdc_acm";
    for (size_t i = 0; i < sizeof backend_serial_drivers / sizeof *backend_serial_drivers; i++)
        if (backend_serial_drivers[i].id.vendor == device->id.vendor &&
            (!backend_serial_drivers[i].id.device ||
             backend_serial_drivers[i].id.device == device->id.device))
            return backend_serial_drivers[i].driver;
    return NULL;
}

static struct verdict backend_serial_judge_device(const struct host *host,
                                                  const struct device *device,
                                                  const struct backend_options *options) {
    (void)host, (void)options;
    if (device_file_count(device, FILE_TTY) > 0)
        return (struct verdict){0};
    char *why = backend_place_missing_driver(device, backend_serial_driver_for(device));
    char *message = memory_printf("the host has no serial port (tty) of it: %s", why);
    free(why);
    return verdict_refuse(REFUSED_BACKEND, message, NULL);
}

/* --- its elements */

static size_t backend_serial_count_elements(const struct device *device,
                                            const struct backend_options *options) {
    (void)options;
    return device_file_count(device, FILE_TTY);
}

static bool backend_serial_write_xml(FILE *out, const struct device *device,
                                     const struct backend_options *options, size_t index) {
    const struct device_file *file = device_find_file(device, FILE_TTY, index);
    if (!file)
        return false;
    fputs("<serial type='dev'>\n  <source path='", out);
    backend_write_text(out, device_file_path(file));
    fprintf(out, "'/>\n  <target type='%s'/>\n",
            backend_serial_is_pci(options) ? backend_serial_pci : backend_serial_usb);
    backend_write_alias(out, BACKEND_SERIAL, device, index);
    if (options)
        backend_place_write(out, &options->place);
    fputs("</serial>", out);
    return true;
}

/* virDomainChrEquals() compares path, type and port. */
static bool backend_serial_write_detach(FILE *out, const struct domain_hostdev *hostdev) {
    if (!hostdev->path)
        return false;
    fputs("<serial type='dev'>\n  <source path='", out);
    backend_write_text(out, hostdev->path);
    fprintf(out, "'/>\n  <target type='%s' port='%u'/>\n</serial>", hostdev->target,
            hostdev->target_port);
    return true;
}

static bool backend_serial_is_element(const struct domain_hostdev *hostdev,
                                      const struct device *device, size_t index) {
    const struct device_file *file = device_find_file(device, FILE_TTY, index);
    return file && hostdev->path && device_file_has_path(file, hostdev->path);
}

/* --- places: one for each tty */

/* qemu's usb-serial is a full-speed device (hw/usb/dev-serial.c). */
static const struct device backend_serial_device = {.bus = BUS_USB, .speed = 12};

static bool backend_serial_take_place(struct guest *guest, const struct device *device,
                                      struct backend_options *options) {
    (void)device;
    /* pci-serial has no Express capability: libvirt wants a conventional slot
     * (qemuDomainDeviceCalculatePCIConnectFlags()), and takes a root port that the XML names. */
    if (backend_serial_is_pci(options))
        return guest_take_pci(guest, PCI_CONVENTIONAL, &options->place);
    return guest_take_usb(guest, &backend_serial_device, -1, &options->place) == GUEST_USB_TAKEN;
}

static struct verdict backend_serial_refuse_place(const struct backend_need *need) {
    if (backend_serial_is_pci(need->options))
        return backend_place_refuse_pci(need, "serial port");
    struct verdict verdict = backend_place_refuse_usb(need, &backend_serial_device, "serial port");
    struct guest left = *need->guest;
    struct guest_place place;
    if (guest_take_pci(&left, PCI_CONVENTIONAL, &place)) {
        char *hint = memory_printf("%s; or write 'as serial pci'", verdict.hint);
        free(verdict.hint);
        verdict.hint = hint;
    }
    return verdict;
}

static struct verdict backend_serial_judge_vm(const struct domain *domain,
                                              const struct backend_options *options) {
    if (backend_serial_is_pci(options))
        return (struct verdict){0};
    return backend_place_judge_usb(domain, options);
}

/* A tty that udev has no link to is another one after the next plug. */
static char *backend_serial_note_place(const struct guest *guest, const struct device *device,
                                       const struct backend_options *options) {
    (void)guest, (void)options;
    return backend_place_note_files(device, FILE_TTY, "/dev/serial/by-id");
}

const struct backend_type backend_type_SERIAL = {
    .backend = BACKEND_SERIAL,
    .judge_device = backend_serial_judge_device,
    .count_elements = backend_serial_count_elements,
    .write_xml = backend_serial_write_xml,
    .write_detach = backend_serial_write_detach,
    .is_element = backend_serial_is_element,
    .judge_vm = backend_serial_judge_vm,
    .take_place = backend_serial_take_place,
    .refuse_place = backend_serial_refuse_place,
    .note_place = backend_serial_note_place,
};
