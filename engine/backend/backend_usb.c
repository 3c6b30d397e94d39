/* A USB device as <hostdev type='usb'>: qemu opens its file below /dev/bus/usb. */
#include "engine/backend/backend_place.h"

#include "lexer/memory.h"

#include <stdlib.h>

/* Bus and device number tell two identical devices apart; vendor and product make sure that no
 * other device has got the number since. A bus number of 0 is unknown: then by the id alone. An
 * address without a port means any free port of that controller (libvirt 2.1). In a definition the
 * number may be that of before the last plug or host boot: libvirt then starts the VM without the
 * device (startupPolicy, libvirt 1.0). */
static bool backend_usb_write_xml(FILE *out, const struct device *device,
                                  const struct backend_options *options, size_t index) {
    static const struct backend_options none;
    (void)index;
    options = options ? options : &none;
    const struct action_option *reset = syntax_find_option(options->list, OPTION_GUEST_RESET);
    fputs("<hostdev mode='subsystem' type='usb'>\n", out);
    fputs("  <source", out);
    if (options->is_definition)
        fputs(" startupPolicy='optional'", out);
    if (reset)
        fprintf(out, " guestReset='%s'", reset->text);
    fputs(">\n", out);
    if (device->id.vendor || device->id.device) /* libvirt refuses 0 */
        fprintf(out,
                "    <vendor id='0x%04x'/>\n"
                "    <product id='0x%04x'/>\n",
                device->id.vendor, device->id.device);
    if (device->bus_number)
        fprintf(out, "    <address bus='%u' device='%u'/>\n", device->bus_number,
                device->device_number);
    fputs("  </source>\n", out);
    backend_place_write_definition(out, options);
    backend_place_write(out, &options->place);
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
    char *all = guest_usb_text(guest), *add = backend_place_hint_usb(guest, index);
    char *speed = backend_place_speed_text(need->device);
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

static struct verdict backend_usb_refuse_place(const struct backend_need *need) {
    int controller = backend_usb_controller(need->options);
    return controller >= 0 ? backend_usb_refuse_controller(need, (unsigned)controller)
                           : backend_place_refuse_usb(need, need->device, "device");
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
            : backend_place_hint_usb(guest, guest_usb_free_index(guest));
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
    .judge_vm = backend_place_judge_usb,
    .take_place = backend_usb_take_place,
    .refuse_place = backend_usb_refuse_place,
    .note_place = backend_usb_note_place,
};
