/* A USB device as <hostdev type='usb'>: qemu opens its file below /dev/bus/usb. */
#include "engine/backend/backend.h"

#include "lexer/memory.h"

#include <stdlib.h>

/* Bus and device number tell two identical devices apart; vendor and product make sure that no
 * other device has got the number since. A bus number of 0 is unknown: then by the id alone. */
static bool backend_usb_write_xml(FILE *out, const struct device *device,
                                  const struct backend_options *options) {
    (void)options;
    fprintf(out,
            "<hostdev mode='subsystem' type='usb'>\n"
            "  <source>\n"
            "    <vendor id='0x%04x'/>\n"
            "    <product id='0x%04x'/>\n",
            device->id.vendor, device->id.device);
    if (device->bus_number)
        fprintf(out, "    <address bus='%u' device='%u'/>\n", device->bus_number,
                device->device_number);
    fputs("  </source>\n"
          "</hostdev>",
          out);
    return true;
}

static bool backend_usb_is_hostdev(const struct domain_hostdev *hostdev,
                                   const struct device *device) {
    bool has_id = hostdev->id.vendor || hostdev->id.device;
    if (has_id &&
        (hostdev->id.vendor != device->id.vendor || hostdev->id.device != device->id.device))
        return false;
    if (hostdev->bus_number || hostdev->device_number)
        return hostdev->bus_number == device->bus_number &&
               hostdev->device_number == device->device_number;
    return has_id;
}

static struct verdict backend_usb_judge_vm(const struct domain *domain) {
    if (!domain->machine || domain->guest.has_usb)
        return (struct verdict){0};
    return verdict_refuse(REFUSED_NO_USB, memory_strdup("the VM has no USB controller"),
                          memory_strdup("add to the VM while it is off: "
                                        "<controller type='usb' model='qemu-xhci'/>"));
}

static bool backend_usb_take_place(struct guest *guest, const struct device *device,
                                   struct guest_place *place) {
    (void)device;
    *place = (struct guest_place){0}; /* libvirt chooses the port */
    return guest_take_usb(guest);
}

static struct verdict backend_usb_refuse_place(const struct domain *domain, size_t needed,
                                               size_t placed) {
    (void)needed;
    (void)placed;
    char *text = guest_usb_text(&domain->guest);
    char *message = memory_printf("the VM has no free USB port left: %s", text);
    free(text);
    return verdict_refuse(
        REFUSED_NO_USB_PORT, message,
        memory_strdup("add to the VM while it is off: <controller type='usb' model='qemu-xhci' "
                      "ports='15'/>, instead of one that it has or with an index of its own; or "
                      "detach a USB device from it"));
}

const struct backend_type backend_type_USB = {
    .backend = BACKEND_USB,
    .bus = BUS_USB,
    .write_xml = backend_usb_write_xml,
    .is_hostdev = backend_usb_is_hostdev,
    .judge_vm = backend_usb_judge_vm,
    .take_place = backend_usb_take_place,
    .refuse_place = backend_usb_refuse_place,
};
