#include "engine/host/names.h"

#include "engine/model/device_class.h"
#include "engine/system/layout.h"
#include "lexer/memory.h"
#include "lexer/text.h"
#include "lexer/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the list says of one id that a device of the host has. */
struct names_entry {
    uint32_t id;           /* the vendor above, the device below */
    char *vendor, *device; /* NULL: not in the list */
};

struct names_list {
    enum bus bus;
    struct names_entry *entries; /* by id, each once */
    size_t count;
};

static int names_by_id(const void *a, const void *b) {
    const struct names_entry *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

/* Whether the list may name it: a USB device says itself what it is, or it is known otherwise. */
static bool names_concerns(const struct names_list *names, const struct device *device) {
    return device->bus == names->bus &&
           (device->bus == BUS_PCI || (!device->product && !device_find_renamed(device->id)));
}

static void names_collect_ids(struct names_list *names, const struct host *host) {
    size_t count = 0;

    names->entries = memory_zalloc((host->count + 1) * sizeof *names->entries);
    for (size_t i = 0; i < host->count; i++)
        if (names_concerns(names, &host->devices[i]))
            names->entries[count++].id =
                (uint32_t)host->devices[i].id.vendor << 16 | host->devices[i].id.device;
    qsort(names->entries, count, sizeof *names->entries, names_by_id);
    for (size_t i = 0; i < count; i++)
        if (!i || names->entries[i].id != names->entries[names->count - 1].id)
            names->entries[names->count++].id = names->entries[i].id;
}

/* The first entry that is not below `id`. */
static size_t names_place_of(const struct names_list *names, uint32_t id) {
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (names->entries[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The number that a line of the list starts with, or -1. */
static long names_id_of(const char *line) {
    bool has_digits = strspn(line, "0123456789abcdef") == 4 && line[4] == ' ';
    return has_digits ? strtol(line, NULL, 16) : -1;
}

/*
 * pci.ids(5), and usb.ids up to its classes: "vvvv  maker", below it "<tab>dddd  device", below
 * that "<tab><tab>..." for its subsystems. `vendor` is the one whose devices come, or -1 when the
 * host has none of it.
 */
static void names_read_line(const struct names_list *names, const char *line, long *vendor) {
    bool is_device = *line == '\t';

    if (*line == '#' || !*line || (is_device && *vendor < 0))
        return; /* a comment may be in the middle of a maker's devices */
    long number = names_id_of(line + is_device);
    uint32_t id = (uint32_t)(is_device ? *vendor : number) << 16;
    const char *text = line + is_device + strlen("vvvv");
    if (!is_device)
        *vendor = -1;
    if (number < 0)
        return;
    text += strspn(text, " ");
    for (size_t i = names_place_of(names, is_device ? id | (uint32_t)number : id); i < names->count;
         i++) {
        struct names_entry *entry = &names->entries[i];
        if (entry->id >> 16 != id >> 16 || (is_device && entry->id != (id | (uint32_t)number)))
            break;
        char **name = is_device ? &entry->device : &entry->vendor;
        if (!*name)
            *name = memory_strndup(text, strcspn(text, "\r"));
        if (!is_device)
            *vendor = number;
    }
}

static FILE *names_open(const char *directory, const char *name) {
    char *path = memory_printf("%s/%s", directory, name);
    FILE *list = fopen(path, "re");
    free(path);
    return list;
}

/* The tree's own list, else that of this system, else the one that was installed with this program;
 * NULL: there is none. */
static FILE *names_open_list(const struct tree *tree, enum bus bus) {
    static const char *const places[] = {"/usr/share/misc", "/usr/share/hwdata", "/usr/share",
                                         "/var/lib/usbutils", "/usr/local/share"};
    const char *file = bus == BUS_PCI ? "pci.ids" : "usb.ids";
    char prefix[PATH_MAX];
    char *first = memory_printf("%s/%s", places[0], file);
    char *path = *tree->root ? tree_resolve(tree, first) : NULL;
    FILE *list = path ? names_open(tree->root, path) : NULL;

    for (size_t i = 0; !list && i < sizeof places / sizeof *places; i++)
        list = names_open(places[i], file);
    if (!list && layout_prefix(prefix))
        list = names_open(prefix, file);
    free(path);
    free(first);
    return list;
}

/* In large pieces, since most of its 40,000 lines are of devices that the host does not have. */
static void names_read_list(const struct names_list *names, FILE *list) {
    char piece[65536];
    size_t kept = 0, got;     /* kept: the start of a line that goes on in the next piece */
    bool is_too_long = false; /* the line: it is left out up to its end */
    long vendor = -1;

    while ((got = fread(piece + kept, 1, sizeof piece - 1 - kept, list)) > 0) {
        char *line = piece, *end = piece + kept + got, *newline;
        while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
            *newline = '\0';
            if (!is_too_long)
                names_read_line(names, line, &vendor);
            is_too_long = false;
            line = newline + 1;
        }
        kept = (size_t)(end - line);
        if (kept == sizeof piece - 1) {
            is_too_long = true;
            kept = 0;
        }
        memmove(piece, line, kept);
    }
    piece[kept] = '\0';
    if (!is_too_long)
        names_read_line(names, piece, &vendor);
}

struct names_list *names_create(const struct tree *tree, struct host *host, enum bus bus) {
    struct names_list *names = memory_zalloc(sizeof *names);

    names->bus = bus;
    names_collect_ids(names, host);
    FILE *list = names->count ? names_open_list(tree, bus) : NULL;
    if (bus == BUS_PCI)
        host->lacks_names = names->count && !list;
    if (list) {
        names_read_list(names, list);
        fclose(list);
    }
    return names;
}

char *names_find(const struct names_list *names, const struct device *device) {
    struct device_id id = device->id;
    uint32_t number = (uint32_t)id.vendor << 16 | id.device;
    size_t place = names_place_of(names, number);
    const struct names_entry *entry = place < names->count && names->entries[place].id == number
                                          ? &names->entries[place]
                                          : &(const struct names_entry){0};
    const char *class = device_class(device);
    char *name = !entry->vendor  ? memory_printf("%s %04x:%04x", class, id.vendor, id.device)
                 : entry->device ? memory_printf("%s %s", entry->vendor, entry->device)
                                 : memory_printf("%s %s %04x", entry->vendor, class, id.device);

    names_clean(name);
    return name;
}

void names_complete(struct host *host) {
    struct tree tree;
    if (!tree_open(&tree, host->root))
        return;
    struct names_list *names = names_create(&tree, host, BUS_USB);
    for (size_t i = 0; i < host->count; i++) {
        struct device *device = &host->devices[i];
        if (!names_concerns(names, device) || device->manufacturer)
            continue;
        free(device->name);
        device->name = names_find(names, device);
    }
    names_destroy(names);
    tree_close(&tree);
}

char *names_list(const struct names_list *names) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);

    for (size_t i = 0; i < names->count; i++) {
        const struct names_entry *entry = &names->entries[i];
        if (entry->vendor && (!i || entry[-1].id >> 16 != entry->id >> 16))
            fprintf(out, "%04x  %s\n", entry->id >> 16, entry->vendor);
        if (entry->vendor && entry->device)
            fprintf(out, "\t%04x  %s\n", entry->id & 0xffff, entry->device);
    }
    memory_stream_close(out, &text);
    return text;
}

void names_destroy(struct names_list *names) {
    for (size_t i = 0; i < names->count; i++) {
        free(names->entries[i].vendor);
        free(names->entries[i].device);
    }
    free(names->entries);
    free(names);
}

/* A control character, a line or paragraph separator, or one that turns the writing direction. */
static bool names_moves_text(const unsigned char *character, size_t length) {
    unsigned last = character[length - 1];

    if (length == 1)
        return last < 0x20 || last == 0x7F;
    if (length == 2)
        return (character[0] == 0xC2 && last < 0xA0) || (character[0] == 0xD8 && last == 0x9C);
    if (length != 3 || character[0] != 0xE2)
        return false;
    return character[1] == 0x80 ? last == 0x8E || last == 0x8F || (last >= 0xA8 && last <= 0xAE)
                                : character[1] == 0x81 && last >= 0xA6 && last <= 0xA9;
}

void names_clean(char *text) {
    size_t left = strlen(text);
    char *end = text;

    while (left) {
        size_t length = utf8_length(text, left);
        if (length == 0 || names_moves_text((const unsigned char *)text, length)) {
            *end++ = '?';
        } else {
            memmove(end, text, length);
            end += length;
        }
        text += length ? length : 1;
        left -= length ? length : 1;
    }
    *end = '\0';
}

char *names_volume_label(const char *name) {
    char *label = memory_zalloc(2 * strlen(name) + 1), *end = label;
    for (; *name; name++) {
        if (*name == '-')
            *end++ = '-';
        *end++ = *name;
        if (*name == '/')
            end[-1] = '-';
    }
    return label;
}
