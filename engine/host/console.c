/* The display and the keyboard of the host's console. */
#include "engine/host/guards.h"

#include "engine/host/place.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMEBUFFERS "sys/class/graphics"
#define CONSOLES "sys/class/vtconsole"
#define PLATFORM "sys/bus/platform/devices"
#define CONNECTORS "sys/class/drm"
#define USB "sys/bus/usb/devices"

enum { LAST_LETTER = 31 }; /* a keyboard has the keys 1 to 31, as udev's input_id takes it */

/* A framebuffer or a keyboard. */
struct console_item {
    char *name;
    struct device_set devices;
};

struct console_list {
    struct console_item *items;
    size_t count;
};

static void console_add(struct console_list *list, const char *name, struct device_set devices) {
    list->items = memory_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count++] = (struct console_item){memory_strdup(name), devices};
}

static void console_finish(struct console_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        device_set_finish(&list->items[i].devices);
    }
    free(list->items);
}

/* ---- The display ---- */

struct display {
    struct console_list framebuffers;
    bool knows_framebuffers, knows_text;       /* their sources are there */
    bool is_text_on_vga, is_framebuffer_bound; /* what the terminals are on */
    char *console;       /* the bound one of framebuffers: "vtcon1"; NULL: none */
    bool is_on_firmware; /* the firmware's framebuffer, which is on the boot display */
};

/* "fb0" in sysfs; on a kernel without it a line in procfs. */
static void console_read_framebuffers(struct usage *usage, struct display *display) {
    struct names names = tree_list(usage->tree, FRAMEBUFFERS);
    char *text = tree_read(usage->tree, "proc/fb");

    display->knows_framebuffers = text || tree_has(usage->tree, FRAMEBUFFERS);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        if (!text_starts_with(name, "fb") || !isdigit((unsigned char)name[2]))
            continue;
        struct device_set devices = {0};
        char *link = memory_printf(FRAMEBUFFERS "/%s", name);
        char *device = memory_printf("%s/device", link);
        place_of_path(&devices, usage->host, usage->tree, link);
        if (!devices.count)
            place_of_path(&devices, usage->host, usage->tree, device);
        if (devices.count)
            console_add(&display->framebuffers, name, devices);
        else
            display->is_on_firmware = true;
        free(device);
        free(link);
    }
    if (text && *text && !display->framebuffers.count)
        display->is_on_firmware = true;
    free(text);
    tree_finish_names(&names);
}

/* Which consoles the terminals are on: "(S) VGA+", "(M) frame buffer device". One that is neither
 * may be on the display in either way. */
static void console_read_terminals(struct usage *usage, struct display *display) {
    struct names names = tree_list(usage->tree, CONSOLES);

    for (size_t i = 0; i < names.count; i++) {
        char *directory = memory_printf(CONSOLES "/%s", names.items[i]);
        char *name = tree_attribute(usage->tree, directory, "name");
        char *bind = tree_attribute(usage->tree, directory, "bind");
        if (!name || !bind || strcmp(bind, "0") != 0) {
            bool is_vga = name && strstr(name, "VGA"), is_dummy = name && strstr(name, "dummy");
            bool is_framebuffer = name && strstr(name, "frame buffer");
            if (is_framebuffer && bind && !display->console)
                display->console = memory_strdup(names.items[i]);
            display->is_text_on_vga |= is_vga || !(is_dummy || is_framebuffer);
            display->is_framebuffer_bound |= is_framebuffer || !(is_dummy || is_vga);
        }
        display->knows_text = true;
        free(bind);
        free(name);
        free(directory);
    }
    tree_finish_names(&names);
}

/* "tty0   -WU (EC p  )    4:7" in /proc/consoles: the kernel writes to the terminals. */
static void console_read_kernel_consoles(struct usage *usage, struct display *display) {
    char *text = tree_read(usage->tree, "proc/consoles"), *rest = text;

    display->is_framebuffer_bound = true;
    display->knows_text = text;
    for (const char *line; rest && (line = text_next_line(&rest));)
        if (text_starts_with(line, "tty") && isdigit((unsigned char)line[3]))
            display->is_text_on_vga = true;
    free(text);
}

static bool console_has_framebuffer(const struct display *display, size_t device) {
    bool has = false;
    for (size_t i = 0; i < display->framebuffers.count; i++)
        has |= device_set_has(&display->framebuffers.items[i].devices, device);
    return has;
}

/* boot_vga says which display the firmware started on; what is on it now is another question. */
static bool console_is_on_boot_display(const struct display *display, size_t device) {
    if (!display->knows_framebuffers || !display->knows_text)
        return true;
    return display->is_on_firmware || console_has_framebuffer(display, device)
               ? display->is_framebuffer_bound
               : display->is_text_on_vga;
}

/* The terminals are on the boot display's framebuffer, or else on the first one. */
static void console_add_other_display(const struct usage *usage, const struct display *display,
                                      struct device_set *shown) {
    const struct console_list *list = &display->framebuffers;

    if (!list->count || display->is_on_firmware || !display->is_framebuffer_bound)
        return;
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; j < list->items[i].devices.count; j++)
            if (usage->host->devices[list->items[i].devices.items[j]].boot_vga)
                return;
    device_set_add_all(shown, &list->items[0].devices);
}

static void console_read_display(struct usage *usage, struct display *display) {
    console_read_framebuffers(usage, display);
    console_read_terminals(usage, display);
    if (!display->knows_text)
        console_read_kernel_consoles(usage, display);
}

static void console_finish_display(struct display *display) {
    free(display->console);
    console_finish(&display->framebuffers);
}

/* What of the console is in the way when a VM gets the display. The console of framebuffers goes
 * when the terminals are on this one; VGA's text console is built in, and stays. */
static void console_add_settings(const struct usage *usage, const struct display *display,
                                 size_t device, bool is_shown) {
    const struct host *host = usage->host;
    struct setting_list *settings = &usage->host->devices[device].display_settings;

    if (is_shown && display->console &&
        (display->is_on_firmware || console_has_framebuffer(display, device))) {
        char *path = memory_printf(CONSOLES "/%s/bind", display->console);
        setting_add(settings, SETTING_CONSOLE, path, "0");
        free(path);
    }
    for (size_t i = 0; i < host->framebuffer_count; i++)
        if (host->framebuffers[i].device == device && host->framebuffers[i].driver) {
            char *path = memory_printf(PLATFORM "/%s", host->framebuffers[i].name);
            setting_add(settings, SETTING_FRAMEBUFFER, path, "");
            free(path);
        }
}

static void console_add_use(struct usage *usage, size_t device, const char *where) {
    bool is_pci = usage->host->devices[device].bus == BUS_PCI;
    usage_add(usage, device, USE_DISPLAY, is_pci ? where : NULL, "shows its console on it (%s)",
              where);
}

void console_find_displays(struct usage *usage) {
    struct display display = {0};
    struct device_set other = {0};

    console_read_display(usage, &display);
    console_add_other_display(usage, &display, &other);
    for (size_t i = 0; i < usage->host->count; i++) {
        bool is_boot_display =
            usage->host->devices[i].boot_vga && console_is_on_boot_display(&display, i);
        bool is_other = device_set_has(&other, i);
        if (is_boot_display)
            console_add_use(usage, i, "boot display");
        if (is_other)
            console_add_use(usage, i, display.framebuffers.items[0].name);
        console_add_settings(usage, &display, i, is_boot_display || is_other);
    }
    device_set_finish(&other);
    console_finish_display(&display);
}

/* ---- The serial ports ---- */

/* "ttyUSB0   -W- (EC p  )  188:0" in /proc/consoles: no process has that port open. */
void console_find_ports(struct usage *usage) {
    char *text = tree_read(usage->tree, "proc/consoles"), *rest = text;

    for (char *line; rest && (line = text_next_line(&rest));) {
        line[strcspn(line, " \t")] = 0;
        bool is_serial = text_starts_with(line, "hvc") ||
                         (text_starts_with(line, "tty") && !isdigit((unsigned char)line[3]));
        if (is_serial && !usage->host->serial_console)
            usage->host->serial_console = memory_strdup(line);
        if (!text_starts_with(line, "tty") || strchr(line, '/'))
            continue;
        char *link = memory_printf("sys/class/tty/%s", line);
        char *path = tree_resolve(usage->tree, link);
        struct device_set devices = {0};
        if (path)
            place_add_path(&devices, usage->host, path);
        for (size_t i = 0; i < devices.count; i++)
            usage_add(usage, devices.items[i], USE_CONSOLE, line,
                      "writes its console's messages to it (%s)", line);
        device_set_finish(&devices);
        free(path);
        free(link);
    }
    free(text);
}

/* ---- The keyboards ---- */

static bool console_has_item(const struct console_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

/* Each device once: by the last USB device of its path, or by the path itself. */
static void console_add_keyboard(const struct usage *usage, struct console_list *keyboards,
                                 const char *path) {
    char *copy = memory_strdup(path), *rest = copy;
    const char *name = path;

    for (const char *part; (part = strsep(&rest, "/"));)
        if (host_find(usage->host, BUS_USB, part))
            name = part;
    if (!console_has_item(keyboards, name)) {
        struct device_set devices = {0};
        place_add_path(&devices, usage->host, path);
        console_add(keyboards, name, devices);
    }
    free(copy);
}

/* A value that cannot be read may be any, which is a fault; without its directory the device was
 * just unplugged. */
static bool console_is_value(struct usage *usage, const char *directory, const char *attribute,
                             uint32_t wanted) {
    size_t before = usage->tree->faults->count;
    char *text = tree_attribute(usage->tree, directory, attribute);
    uint32_t value = 0;
    bool is_number = text_parse_hex(text, UINT8_MAX, &value);

    if (!is_number && usage->tree->faults->count == before &&
        (text || tree_has(usage->tree, directory))) {
        char *path = memory_printf("%s/%s", directory, attribute);
        usage_note_missing(usage, path);
        free(path);
    }
    free(text);
    return is_number && value == wanted;
}

/* A HID keyboard of the boot protocol, which the firmware can use as well. One that a VM has is
 * bound to usbfs. */
static bool console_is_keyboard(struct usage *usage, const char *interface) {
    char *directory = memory_printf(USB "/%s", interface);
    bool is = console_is_value(usage, directory, "bInterfaceClass", 0x03) &&
              console_is_value(usage, directory, "bInterfaceSubClass", 0x01) &&
              console_is_value(usage, directory, "bInterfaceProtocol", 0x01);
    char *driver = is ? tree_link_name(usage->tree, directory, "driver") : NULL;

    is = is && !(driver && strcmp(driver, "usbfs") == 0);
    free(driver);
    free(directory);
    return is;
}

static void console_read_usb_keyboards(struct usage *usage, struct console_list *keyboards) {
    struct names names = tree_list(usage->tree, USB);

    for (size_t i = 0; i < names.count; i++) {
        if (!strchr(names.items[i], ':') || !console_is_keyboard(usage, names.items[i]))
            continue;
        char *link = memory_printf(USB "/%s", names.items[i]);
        char *path = tree_resolve(usage->tree, link);
        if (path)
            console_add_keyboard(usage, keyboards, path);
        free(path);
        free(link);
    }
    tree_finish_names(&names);
}

/* The last word of "B: KEY=1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe". */
static bool console_has_letters(const char *keys) {
    const char *value = strchr(keys, '=') + 1, *blank = strrchr(value, ' ');
    unsigned long long bits = strtoull(blank ? blank + 1 : value, NULL, 16);
    unsigned long long wanted = (1ULL << (LAST_LETTER + 1)) - 2;
    return (bits & wanted) == wanted;
}

/* A program that pretends to be a keyboard (uinput) does not count. */
static void console_read_input_devices(struct usage *usage, struct console_list *keyboards) {
    static const char sysfs[] = "S: Sysfs=", keys[] = "B: KEY=", made[] = "/devices/virtual/";
    char *text = tree_read(usage->tree, "proc/bus/input/devices"), *rest = text;
    const char *path = NULL;

    for (const char *line; rest && (line = text_next_line(&rest));) {
        if (text_starts_with(line, sysfs))
            path = line + strlen(sysfs);
        if (path && text_starts_with(line, keys) && console_has_letters(line) &&
            !text_starts_with(path, made))
            console_add_keyboard(usage, keyboards, path);
    }
    free(text);
}

static bool console_has_all(const struct console_list *keyboards, size_t device) {
    for (size_t i = 0; i < keyboards->count; i++)
        if (!device_set_has(&keyboards->items[i].devices, device))
            return false;
    return keyboards->count > 0;
}

/* "card0-HDMI-A-1": "connected", "disconnected", or "unknown". A driver that is none of DRM's tells
 * nothing. */
static bool console_has_monitor(const struct usage *usage) {
    struct names names = tree_list(usage->tree, CONNECTORS);
    size_t connectors = 0, without = 0;

    for (size_t i = 0; i < names.count; i++) {
        if (!strchr(names.items[i], '-'))
            continue;
        char *directory = memory_printf(CONNECTORS "/%s", names.items[i]);
        char *status = tree_attribute(usage->tree, directory, "status");
        connectors++;
        without += status && strcmp(status, "disconnected") == 0;
        free(status);
        free(directory);
    }
    tree_finish_names(&names);
    return !connectors || without < connectors;
}

/* Whether somebody may sit at the host: it shows its console on a display, and no driver says that
 * no monitor is connected. */
static bool console_is_seen(struct usage *usage) {
    struct display display = {0};
    struct device_set other = {0};
    bool is_shown = false;

    console_read_display(usage, &display);
    for (size_t i = 0; i < usage->host->count; i++)
        is_shown |= usage->host->devices[i].boot_vga && console_is_on_boot_display(&display, i);
    console_add_other_display(usage, &display, &other);
    is_shown |= other.count > 0;
    device_set_finish(&other);
    console_finish_display(&display);
    return is_shown && console_has_monitor(usage);
}

/* A controller or hub that all keyboards are connected to, and the last keyboard of a host that
 * somebody may sit at: a keyboard on a host without a display is for VMs. */
void console_find_keyboards(struct usage *usage) {
    struct console_list keyboards = {0};

    console_read_usb_keyboards(usage, &keyboards);
    console_read_input_devices(usage, &keyboards);
    bool is_seen = keyboards.count && console_is_seen(usage);
    usage->host->keyboards = is_seen ? keyboards.count : 0;
    for (size_t i = 0; i < usage->host->count; i++) {
        struct device *device = &usage->host->devices[i];
        bool is_keyboard = console_has_item(&keyboards, device->address);
        device->is_console_keyboard = is_keyboard && is_seen;
        if (!console_has_all(&keyboards, i) || (is_keyboard && !is_seen))
            continue;
        if (is_keyboard) {
            usage_add(usage, i, USE_ONLY_KEYBOARD, "", "has no other keyboard for its console");
            continue;
        }
        char *names = NULL;
        size_t size = 0;
        FILE *stream = memory_stream(&names, &size);
        for (size_t j = 0; j < keyboards.count; j++)
            fprintf(stream, "%s%s", j ? ", " : "", keyboards.items[j].name);
        memory_stream_close(stream, &names);
        usage_add(usage, i, USE_KEYBOARD, "", "has %s behind it (%s)",
                  keyboards.count == 1 ? "its only keyboard" : "all its keyboards", names);
        free(names);
    }
    console_finish(&keyboards);
}
