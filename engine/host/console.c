/* The display and the keyboard of the host's console. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#define FRAMEBUFFERS "sys/class/graphics"
#define CONSOLES "sys/class/vtconsole"
#define USB "sys/bus/usb/devices"

enum { ALL_LETTERS = 31 }; /* the keys 1 to 31 of a keyboard, as udev's input_id has it */

struct console {
    struct usage *uses;
    const struct tree *tree;
    struct graph graph;
    struct node_list framebuffers, keyboards;
    bool knows_framebuffers, knows_text;
    bool is_text_on_vga, is_framebuffer_bound;
    bool is_on_firmware; /* a framebuffer of the firmware's, which is on the boot display */
};

static bool console_is_on(const struct node *node, size_t device) {
    for (size_t i = 0; i < node->device_count; i++)
        if (node->devices[i] == device)
            return true;
    return false;
}

/* ---- The display ---- */

static void console_read_framebuffer(struct console *console, const char *name) {
    char *link = memory_printf(FRAMEBUFFERS "/%s", name);
    char *device = memory_printf("%s/device", link);
    char *path = tree_resolve(console->tree, link);
    struct node *node = graph_get(&console->graph, name);

    if (path)
        usage_place(console->uses, node, path);
    free(path);
    path = node->device_count ? NULL : tree_resolve(console->tree, device);
    if (path)
        usage_place(console->uses, node, path);
    free(path);
    free(device);
    free(link);
    if (node->device_count)
        graph_list_add(&console->framebuffers, node);
    else
        console->is_on_firmware = true;
}

/* "fb0" of sysfs; on a kernel without it a line of procfs. */
static void console_read_framebuffers(struct console *console) {
    struct names names = tree_list(console->tree, FRAMEBUFFERS);
    char *text = tree_read(console->tree, "proc/fb");

    console->knows_framebuffers = text || tree_has(console->tree, FRAMEBUFFERS);
    for (size_t i = 0; i < names.count; i++)
        if (strncmp(names.items[i], "fb", 2) == 0 && isdigit((unsigned char)names.items[i][2]))
            console_read_framebuffer(console, names.items[i]);
    if (text && *text && !console->framebuffers.count)
        console->is_on_firmware = true;
    free(text);
    tree_finish_names(&names);
}

/* "(S) VGA+", "(M) frame buffer device": which of them the terminals are on. */
static void console_read_text_consoles(struct console *console) {
    struct names names = tree_list(console->tree, CONSOLES);

    for (size_t i = 0; i < names.count; i++) {
        char *directory = memory_printf(CONSOLES "/%s", names.items[i]);
        char *name = tree_attribute(console->tree, directory, "name");
        char *bind = tree_attribute(console->tree, directory, "bind");
        if (!name || !bind || strcmp(bind, "0") != 0) {
            bool is_vga = name && strstr(name, "VGA"), is_dummy = name && strstr(name, "dummy");
            bool is_framebuffer = name && strstr(name, "frame buffer");
            console->is_text_on_vga |= is_vga || !(is_dummy || is_framebuffer);
            console->is_framebuffer_bound |= is_framebuffer || !(is_dummy || is_vga);
        }
        console->knows_text = true;
        free(bind);
        free(name);
        free(directory);
    }
    tree_finish_names(&names);
}

/* "tty0   -WU (EC p  )    4:7" in /proc/consoles: the kernel writes to the terminals. */
static void console_read_kernel_consoles(struct console *console) {
    char *text = tree_read(console->tree, "proc/consoles"), *rest = text;

    console->is_framebuffer_bound = true;
    console->knows_text = text;
    for (const char *line; rest && (line = text_next_line(&rest));)
        if (strncmp(line, "tty", 3) == 0 && isdigit((unsigned char)line[3]))
            console->is_text_on_vga = true;
    free(text);
}

/* Which display the firmware started on is a fact of the boot; what is on it now is another. */
static bool console_is_shown_on_boot_display(const struct console *console, size_t device) {
    bool has_framebuffer = console->is_on_firmware;
    for (size_t i = 0; i < console->framebuffers.count; i++)
        has_framebuffer |= console_is_on(console->framebuffers.items[i], device);
    if (!console->knows_framebuffers || !console->knows_text)
        return true;
    return has_framebuffer ? console->is_framebuffer_bound : console->is_text_on_vga;
}

static void console_note_boot_display(struct console *console, size_t device) {
    if (console_is_shown_on_boot_display(console, device))
        usage_add(console->uses, device, USE_DISPLAY,
                  memory_strdup("shows its console on it (boot display)"));
}

static bool console_is_on_boot_display(const struct console *console, const struct node *node) {
    for (size_t i = 0; i < node->device_count; i++)
        if (console->uses->host->devices[node->devices[i]].boot_vga)
            return true;
    return false;
}

/* The terminals are on the boot display's framebuffer, and where it has none on the first. */
static void console_note_other_display(struct console *console) {
    if (!console->framebuffers.count || console->is_on_firmware || !console->is_framebuffer_bound)
        return;
    for (size_t i = 0; i < console->framebuffers.count; i++)
        if (console_is_on_boot_display(console, console->framebuffers.items[i]))
            return;
    const struct node *first = console->framebuffers.items[0];
    for (size_t i = 0; i < first->device_count; i++)
        usage_add(console->uses, first->devices[i], USE_DISPLAY,
                  memory_printf("shows its console on it (%s)", first->name));
}

static void console_find_display(struct console *console) {
    console_read_framebuffers(console);
    console_read_text_consoles(console);
    if (!console->knows_text)
        console_read_kernel_consoles(console);
    for (size_t i = 0; i < console->uses->host->count; i++)
        if (console->uses->host->devices[i].boot_vga)
            console_note_boot_display(console, i);
    console_note_other_display(console);
}

/* ---- The keyboard ---- */

/* One node for each device, by the last USB device of its path or by the path itself. */
static void console_add_keyboard(struct console *console, const char *path) {
    char *copy = memory_strdup(path), *rest = copy;
    const char *name = path;

    for (const char *part; (part = strsep(&rest, "/"));)
        if (host_find(console->uses->host, BUS_USB, part))
            name = part;
    struct node *node = graph_find(&console->graph, name);
    if (!node) {
        node = graph_get(&console->graph, name);
        usage_place(console->uses, node, path);
        graph_list_add(&console->keyboards, node);
    }
    free(copy);
}

/* One that cannot be read may be anything; one that is not there is of a device that just went. */
static bool console_may_be_value(const struct console *console, const char *directory,
                                 const char *attribute, uint32_t wanted) {
    struct faults *faults = console->tree->faults;
    size_t before = faults->count;
    char *text = tree_attribute(console->tree, directory, attribute);
    uint32_t value = 0;
    bool is_number = text_parse_hex(text, UINT8_MAX, &value);

    if (!is_number && faults->count == before && (text || tree_has(console->tree, directory))) {
        char *path = memory_printf("%s/%s", directory, attribute);
        usage_miss(console->uses, path);
        free(path);
    }
    free(text);
    return is_number && value == wanted;
}

/* A keyboard that the firmware can use as well: HID, boot, keyboard. One that a VM has is on usbfs.
 */
static bool console_is_keyboard(const struct console *console, const char *interface) {
    static const char *const attributes[] = {"bInterfaceClass", "bInterfaceSubClass",
                                             "bInterfaceProtocol"};
    static const uint32_t wanted[] = {0x03, 0x01, 0x01};
    char *directory = memory_printf(USB "/%s", interface);
    bool is = true;

    for (size_t i = 0; is && i < sizeof wanted / sizeof *wanted; i++) {
        is = console_may_be_value(console, directory, attributes[i], wanted[i]);
    }
    char *driver = is ? tree_link_name(console->tree, directory, "driver") : NULL;
    is = is && !(driver && strcmp(driver, "usbfs") == 0);
    free(driver);
    free(directory);
    return is;
}

static void console_read_usb_keyboards(struct console *console) {
    struct names names = tree_list(console->tree, USB);

    for (size_t i = 0; i < names.count; i++) {
        if (!strchr(names.items[i], ':') || !console_is_keyboard(console, names.items[i]))
            continue;
        char *link = memory_printf(USB "/%s", names.items[i]);
        char *path = tree_resolve(console->tree, link);
        if (path)
            console_add_keyboard(console, path);
        free(path);
        free(link);
    }
    tree_finish_names(&names);
}

/* The last word of "B: KEY=1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe". */
static bool console_has_letters(const char *keys) {
    const char *value = strchr(keys, '=') + 1, *blank = strrchr(value, ' ');
    unsigned long long bits = strtoull(blank ? blank + 1 : value, NULL, 16);
    unsigned long long wanted = (1ULL << (ALL_LETTERS + 1)) - 2;
    return (bits & wanted) == wanted;
}

/* What the kernel takes input from; a program that pretends to be a keyboard does not count. */
static void console_read_input_devices(struct console *console) {
    static const char sysfs[] = "S: Sysfs=", keys[] = "B: KEY=", made[] = "/devices/virtual/";
    char *text = tree_read(console->tree, "proc/bus/input/devices"), *rest = text;
    const char *path = NULL;

    for (const char *line; rest && (line = text_next_line(&rest));) {
        if (strncmp(line, sysfs, strlen(sysfs)) == 0)
            path = line + strlen(sysfs);
        if (path && strncmp(line, keys, strlen(keys)) == 0 && console_has_letters(line) &&
            strncmp(path, made, strlen(made)) != 0)
            console_add_keyboard(console, path);
    }
    free(text);
}

static bool console_has_all_keyboards(const struct console *console, size_t device) {
    for (size_t i = 0; i < console->keyboards.count; i++)
        if (!console_is_on(console->keyboards.items[i], device))
            return false;
    return console->keyboards.count > 0;
}

/* A keyboard itself may be given away: that is what its rule says. */
static bool console_is_keyboard_itself(const struct console *console, const struct device *device) {
    return graph_find(&console->graph, device->address) != NULL;
}

static void console_list_keyboards(struct console *console) {
    const struct host *host = console->uses->host;

    console_read_usb_keyboards(console);
    console_read_input_devices(console);
    for (size_t i = 0; i < host->count; i++) {
        if (!console_has_all_keyboards(console, i) ||
            console_is_keyboard_itself(console, &host->devices[i]))
            continue;
        char *names = graph_chain_text(&console->keyboards, NULL);
        usage_add(
            console->uses, i, USE_KEYBOARD,
            memory_printf("has %s behind it (%s)",
                          console->keyboards.count == 1 ? "its only keyboard" : "all its keyboards",
                          names));
        free(names);
    }
}

void console_find_displays(struct usage *uses) {
    struct console console = {.uses = uses, .tree = uses->tree};

    console_find_display(&console);
    free(console.framebuffers.items);
    graph_finish(&console.graph);
}

void console_find_keyboards(struct usage *uses) {
    struct console console = {.uses = uses, .tree = uses->tree};

    console_list_keyboards(&console);
    free(console.keyboards.items);
    graph_finish(&console.graph);
}
