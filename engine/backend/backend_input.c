/*
 * The event nodes of a USB device: a keyboard has one or more, and the receiver of a keyboard and a
 * mouse several. Each is an <input type='passthrough' bus='virtio'>, qemu's virtio-input-host-pci,
 * which has the node alone (EVIOCGRAB) until it is detached. With 'grab' each is an
 * <input type='evdev'>, qemu's input-linux, which host and VM have in turn.
 *
 * virtio-input-host-pci of qemu 7.2 reads from a node that is gone for ever, and takes a whole
 * processor for that (hw/input/virtio-input-host.c): what was unplugged has to be detached.
 */
#include "engine/backend/backend_place.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static const char backend_input_evdev[] = "evdev";

static bool backend_input_is_shared(const struct backend_options *options) {
    return options && syntax_find_option(options->list, OPTION_GRAB);
}

/* --- a device without an event node */

static bool backend_input_is_hid(const struct device *device, bool *is_bound) {
    enum { CLASS_HID = 0x03 };
    bool is_hid = false;
    *is_bound = true;
    for (size_t i = 0; i < device->interface_count; i++)
        if (device->interfaces[i].class_code >> 16 == CLASS_HID) {
            is_hid = true;
            *is_bound &= device->interfaces[i].driver != NULL;
        }
    return is_hid;
}

/* Which plugs no input devices into running VMs before 3.9. */
static struct verdict backend_input_judge_libvirt(const struct backend_options *options) {
    enum { NEEDED = 3009000 };
    unsigned long version = options ? options->libvirt_version : 0;
    if (!version || version >= NEEDED)
        return (struct verdict){0};
    return verdict_refuse(REFUSED_OLD_LIBVIRT,
                          memory_printf("'as input' needs libvirt 3.9.0, and this host has "
                                        "%lu.%lu.%lu",
                                        version / 1000000, version / 1000 % 1000, version % 1000),
                          memory_strdup("write 'as usb', or upgrade libvirt"));
}

static struct verdict backend_input_judge_device(const struct host *host,
                                                 const struct device *device,
                                                 const struct backend_options *options) {
    (void)host;
    bool is_bound;
    if (device_file_count(device, FILE_EVENT) > 0)
        return backend_input_judge_libvirt(options);
    bool is_hid = backend_input_is_hid(device, &is_bound);
    char *why = is_hid && is_bound
                    ? memory_strdup("it is not a keyboard or mouse, or the module evdev is not "
                                    "loaded ('modprobe evdev')")
                : is_hid ? backend_place_missing_driver(device, "usbhid")
                         : memory_strdup("it is not a keyboard or mouse");
    char *message = memory_printf("the host has no input events of it: %s", why);
    free(why);
    return verdict_refuse(REFUSED_BACKEND, message, NULL);
}

/* --- its elements */

static size_t backend_input_count_elements(const struct device *device,
                                           const struct backend_options *options) {
    (void)options;
    return device_file_count(device, FILE_EVENT);
}

/*
 * Before it detaches an <input>, libvirt compares the paths of two event nodes only where they are
 * of type 'passthrough' (virDomainInputDefEquals(), 11.3). Of type 'evdev' it takes the first one
 * whose address is the same, and the first of all where none is given, also by its alias. No such
 * device has an address, and libvirt and qemu do nothing with one that it has: so each gets one of
 * its own. It is made of what tells two event nodes of the host apart at any time.
 */
static unsigned backend_input_address(const struct device *device, size_t index) {
    return device->bus_number << 16 | device->device_number << 8 | ((unsigned)index & 0xff);
}

/* By udev's links, "...-event-kbd" and "...-event-mouse" (60-persistent-input.rules). */
static bool backend_input_is_mouse(const struct device_file *file) {
    static const char mouse[] = "-event-mouse";
    for (size_t i = 0; i < file->link_count; i++) {
        size_t length = strlen(file->links[i]), tail = sizeof mouse - 1;
        if (length > tail && strcmp(file->links[i] + length - tail, mouse) == 0)
            return true;
    }
    return false;
}

static bool backend_input_write_xml(FILE *out, const struct device *device,
                                    const struct backend_options *options, size_t index) {
    const struct device_file *file = device_find_file(device, FILE_EVENT, index);
    bool is_shared = backend_input_is_shared(options);
    if (!file)
        return false;
    fputs(is_shared ? "<input type='evdev'>\n  <source dev='"
                    : "<input type='passthrough' bus='virtio'>\n  <source evdev='",
          out);
    backend_write_text(out, device_file_path(file));
    if (is_shared) /* qemu repeats a key that is held only where it is told to */
        fprintf(out, "' grab='all'%s/>\n", backend_input_is_mouse(file) ? "" : " repeat='on'");
    else
        fputs("'/>\n", out);
    backend_write_alias(out, BACKEND_INPUT, device, index);
    if (is_shared)
        fprintf(out, "  <address type='isa' iobase='0x%x'/>\n",
                backend_input_address(device, index));
    else if (options)
        backend_place_write(out, &options->place);
    fputs("</input>", out);
    return true;
}

static bool backend_input_write_detach(FILE *out, const struct domain_hostdev *hostdev) {
    if (!hostdev->path)
        return false;
    bool is_shared = strcmp(hostdev->target, backend_input_evdev) == 0;
    fputs(is_shared ? "<input type='evdev'>\n  <source dev='"
                    : "<input type='passthrough' bus='virtio'>\n  <source evdev='",
          out);
    backend_write_text(out, hostdev->path);
    fputs("'/>\n", out);
    if (is_shared && hostdev->target_port)
        fprintf(out, "  <address type='isa' iobase='0x%x'/>\n", hostdev->target_port);
    fputs("</input>", out);
    return true;
}

static bool backend_input_is_element(const struct domain_hostdev *hostdev,
                                     const struct device *device, size_t index) {
    const struct device_file *file = device_find_file(device, FILE_EVENT, index);
    return file && hostdev->path && device_file_has_path(file, hostdev->path);
}

/* --- places: of 'grab' none, else one for each node */

/* A virtio device without 'transitional' in its model is modern: libvirt wants what it wants for an
 * Express device (qemuDomainDeviceCalculatePCIConnectFlags(), 9.0 and 11.3). */
static bool backend_input_take_place(struct guest *guest, const struct device *device,
                                     struct backend_options *options) {
    (void)device;
    return backend_input_is_shared(options) || guest_take_pci(guest, PCI_EXPRESS, &options->place);
}

static struct verdict backend_input_refuse_place(const struct backend_need *need) {
    return backend_place_refuse_pci(need, "event node");
}

/* qemu has no virtio-input-host device for the channel I/O of these machines. */
static struct verdict backend_input_judge_vm(const struct domain *domain,
                                             const struct backend_options *options) {
    static const char s390[] = "s390";
    if (backend_input_is_shared(options) || !domain->machine ||
        strncmp(domain->machine, s390, sizeof s390 - 1) != 0)
        return (struct verdict){0};
    return verdict_refuse(REFUSED_BACKEND,
                          memory_printf("the VM's machine type %s cannot have a host's event node "
                                        "as a virtio device",
                                        domain->machine),
                          memory_strdup("write 'grab' after 'as input'"));
}

static char *backend_input_note_place(const struct guest *guest, const struct device *device,
                                      const struct backend_options *options) {
    (void)guest, (void)options;
    return backend_place_note_files(device, FILE_EVENT, "/dev/input/by-id");
}

const struct backend_type backend_type_INPUT = {
    .backend = BACKEND_INPUT,
    .judge_device = backend_input_judge_device,
    .count_elements = backend_input_count_elements,
    .write_xml = backend_input_write_xml,
    .write_detach = backend_input_write_detach,
    .is_element = backend_input_is_element,
    .judge_vm = backend_input_judge_vm,
    .take_place = backend_input_take_place,
    .refuse_place = backend_input_refuse_place,
    .note_place = backend_input_note_place,
};
