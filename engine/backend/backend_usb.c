/* A USB device as <hostdev type='usb'>: qemu opens its file below /dev/bus/usb. */
#include "engine/backend/backend.h"

#include "lexer/memory.h"

#include <stdlib.h>

/* Bus and device number tell two identical devices apart; vendor and product make sure that no
 * other device has got the number since. A bus number of 0 is unknown: then by the id alone. An
 * address without a port means any free port of that controller (libvirt 2.1). */
static bool backend_usb_write_xml(FILE *out, const struct device *device,
                                  const struct backend_options *options, size_t index) {
    static const struct backend_options none;
    (void)index;
    options = options ? options : &none;
    const struct guest_place *place = &options->place;
    const struct action_option *reset = syntax_find_option(options->list, OPTION_GUEST_RESET);
    fputs("<hostdev mode='subsystem' type='usb'>\n", out);
    if (reset)
        fprintf(out, "  <source guestReset='%s'>\n", reset->text);
    else
        fputs("  <source>\n", out);
    if (device->id.vendor || device->id.device) /* libvirt refuses 0 */
        fprintf(out,
                "    <vendor id='0x%04x'/>\n"
                "    <product id='0x%04x'/>\n",
                device->id.vendor, device->id.device);
    if (device->bus_number)
        fprintf(out, "    <address bus='%u' device='%u'/>\n", device->bus_number,
                device->device_number);
    fputs("  </source>\n", out);
    if (place->needs_port)
        fprintf(out, "  <address type='usb' bus='%u' port='%s'/>\n", place->bus, place->port);
    else if (place->needs_bus)
        fprintf(out, "  <address type='usb' bus='%u'/>\n", place->bus);
    fputs("</hostdev>", out);
    return true;
}

static bool backend_usb_is_element(const struct domain_hostdev *hostdev,
                                   const struct device *device, size_t index) {
    (void)index;
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
    const char *xml = "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>";
    if (!domain->machine || domain->guest.has_usb)
        return (struct verdict){0};
    return verdict_refuse(
        REFUSED_NO_USB, memory_strdup("the VM has no USB controller"),
        domain->guest.has_usb_none
            ? memory_printf("put into the VM while it is off, instead of <controller type='usb' "
                            "model='none'/>: %s",
                            xml)
            : memory_printf("add to the VM while it is off: %s", xml));
}

/* The controller that the rule names; -1: none. */
static int backend_usb_controller(const struct backend_options *options) {
    const struct action_option *option = syntax_find_option(options->list, OPTION_CONTROLLER);
    return option ? (int)option->number : -1;
}

/* libvirt before 2.1 does not look for the port of an address without one: there it chooses. */
static bool backend_usb_take_place(struct guest *guest, const struct device *device,
                                   struct backend_options *options) {
    enum guest_usb_answer answer =
        guest_take_usb(guest, device, backend_usb_controller(options), &options->place);
    if (options->libvirt_version && options->libvirt_version < 2001000)
        options->place = (struct guest_place){.kind = GUEST_PLACE_NONE};
    return answer == GUEST_USB_TAKEN;
}

/* "add to the VM while it is off: <controller .../>", or that nothing can be added. */
static char *backend_usb_hint_add(const struct guest *guest, unsigned index) {
    char *xml = guest_usb_to_add(guest, index);
    char *hint = xml ? memory_printf("add to the VM while it is off: %s", xml)
                     : memory_strdup("the VM's machine type takes no other USB controller");
    free(xml);
    return hint;
}

/* Where the device would go without the rule's 'controller'. */
static bool backend_usb_find_other(const struct guest *guest, const struct device *device,
                                   struct guest_place *place) {
    struct guest left = *guest;
    return guest_take_usb(&left, device, -1, place) == GUEST_USB_TAKEN &&
           place->kind == GUEST_PLACE_USB;
}

/* At which speeds the free ports of that controller run devices, for a message. */
static const char *backend_usb_takes(const struct guest *guest, unsigned controller) {
    unsigned speeds = guest->usb[controller].speeds;
    return speeds == GUEST_SPEED_FULL   ? "12 Mbit/s"
           : speeds == GUEST_SPEED_HIGH ? "480 Mbit/s and no less"
                                        : "12 and 480 Mbit/s";
}

/* "1.5", "480": the device's Mbit/s, for the caller to free. */
static char *backend_usb_speed_text(const struct device *device) {
    return device->speed == 1 ? memory_strdup("1.5") : memory_printf("%u", device->speed);
}

/* The rule names a controller, and the device cannot go there. */
static struct verdict backend_usb_refuse_controller(const struct backend_need *need,
                                                    unsigned controller) {
    const struct guest *guest = need->guest;
    struct guest left = *guest;
    struct guest_place place;
    enum guest_usb_answer answer = guest_take_usb(&left, need->device, (int)controller, &place);
    enum refusal refusal = answer == GUEST_USB_MISSING      ? REFUSED_NO_CONTROLLER
                           : answer == GUEST_USB_UNSUITABLE ? REFUSED_USB_SPEED
                                                            : REFUSED_NO_USB_PORT;
    unsigned index = answer == GUEST_USB_MISSING ? controller : guest_usb_free_index(guest);
    char *all = guest_usb_text(guest), *add = backend_usb_hint_add(guest, index);
    char *speed = backend_usb_speed_text(need->device);
    char *message, *hint;
    if (answer == GUEST_USB_MISSING)
        message = memory_printf("the VM has no USB controller %u: %s", controller, all);
    else if (answer == GUEST_USB_UNSUITABLE)
        message = memory_printf("USB controller %u (%s) runs devices at %s, and qemu cannot give "
                                "this one of %s Mbit/s to it",
                                controller, guest->usb[controller].model,
                                backend_usb_takes(guest, controller), speed);
    else
        message = memory_printf("USB controller %u has no free port: %s", controller, all);
    char *then = index == controller ? memory_strdup("")
                                     : memory_printf(", and write 'controller %u'", index);
    if (backend_usb_find_other(guest, need->device, &place))
        hint = memory_printf("write 'controller %u', or leave 'controller %u' out of the rule; or "
                             "%s%s",
                             place.bus, controller, add, then);
    else
        hint = memory_printf("%s%s", add, then);
    free(then);
    free(speed);
    free(add);
    free(all);
    return verdict_refuse(refusal, message, hint);
}

/* Whether the device would have a place if the VM had no other USB device. */
static bool backend_usb_fits_alone(const struct guest *guest, const struct device *device) {
    struct guest empty = *guest;
    struct guest_place place;
    size_t hubs = 0;
    for (size_t i = 0; i < empty.usb_device_count; i++)
        if (empty.usb_devices[i].is_hub)
            empty.usb_devices[hubs++] = empty.usb_devices[i];
    empty.usb_device_count = hubs;
    empty.usb_unplaced = 0;
    return guest_take_usb(&empty, device, -1, &place) == GUEST_USB_TAKEN;
}

static struct verdict backend_usb_refuse_place(const struct backend_need *need) {
    int controller = backend_usb_controller(need->options);
    struct guest left = *need->guest;
    struct guest_place place;
    if (controller >= 0)
        return backend_usb_refuse_controller(need, (unsigned)controller);
    char *text = guest_usb_text(need->guest);
    char *add = backend_usb_hint_add(need->guest, guest_usb_free_index(need->guest));
    char *speed = backend_usb_speed_text(need->device);
    char *message =
        guest_take_usb(&left, need->device, -1, &place) == GUEST_USB_FULL
            ? memory_printf("the VM has no free USB port left: %s", text)
            : memory_printf("none of the VM's free USB ports takes a device of %s Mbit/s: %s",
                            speed, text);
    bool fits = backend_usb_fits_alone(need->guest, need->device);
    char *hint = memory_printf("%s%s", add, fits ? "; or detach a USB device from it" : "");
    free(speed);
    free(add);
    free(text);
    return verdict_refuse(REFUSED_NO_USB_PORT, message, hint);
}

/* qemu gives a device of 10 or 20 Gbit/s to the guest as one of 5: that is as fast as it gets. */
static char *backend_usb_note_place(const struct guest *guest, const struct device *device,
                                    const struct backend_options *options) {
    enum { FASTEST = 5000 };
    const struct guest_place *place = &options->place;
    unsigned speed = device->speed < FASTEST ? device->speed : FASTEST;
    bool is_named = backend_usb_controller(options) >= 0;
    struct guest_place other;
    if (place->kind != GUEST_PLACE_USB || !place->speed || place->speed >= speed)
        return NULL;
    char *name = guest_usb_name(guest, place->bus);
    char *advice =
        is_named && backend_usb_find_other(guest, device, &other) && other.speed > place->speed
            ? memory_printf("'controller %u' gives it %u", other.bus, other.speed)
            : backend_usb_hint_add(guest, guest_usb_free_index(guest));
    char *note =
        memory_printf("at %u Mbit/s instead of %u: %s USB %s; %s", place->speed, speed,
                      is_named ? "the rule names" : "the fastest free port is of", name, advice);
    free(advice);
    free(name);
    return note;
}

const struct backend_type backend_type_USB = {
    .backend = BACKEND_USB,
    .write_xml = backend_usb_write_xml,
    .is_element = backend_usb_is_element,
    .judge_vm = backend_usb_judge_vm,
    .take_place = backend_usb_take_place,
    .refuse_place = backend_usb_refuse_place,
    .note_place = backend_usb_note_place,
};
