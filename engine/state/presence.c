#include "engine/state/presence.h"

#include "engine/host/host_tree.h"
#include "engine/state/state_file.h"
#include "lexer/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "devices"

char *presence_place(const struct host_device *device) {
    return memory_printf("%s-%s", device->bus == BUS_PCI ? "pci" : "usb", device->address);
}

/* --- the file: a line for the kernel's start, then "here" and "gone" with a device each, and
 * "end"; each line with its sum */

static void write_device(struct state_text *out, const char *what,
                         const struct host_device *device) {
    state_line_add(out, "%s %s %s %04x:%04x %04x:%04x %06" PRIx32 " %u/%u %d %s", what,
                   device->bus == BUS_PCI ? "pci" : "usb", device->address, device->id.vendor,
                   device->id.device, device->subsystem.vendor, device->subsystem.device,
                   device->class_code, device->bus_number, device->device_number,
                   device->is_bridge ? 1 : 0, device->serial ? device->serial : "");
}

static bool read_numbers(struct host_device *device, char **line) {
    uint32_t place[2], class;
    const char *id = next_field(line), *subsystem = next_field(line), *code = next_field(line),
               *where = next_field(line), *bridge = next_field(line);
    if (!bridge || !device_id_parse(id, &device->id) ||
        !device_id_parse(subsystem, &device->subsystem) || !parse_hex(code, 0xFFFFFF, &class) ||
        !numbers_parse(where, 10, '/', place, 2))
        return false;
    device->class_code = class;
    device->bus_number = place[0];
    device->device_number = place[1];
    device->is_bridge = *bridge == '1';
    return true;
}

/* Behind the last blank stands the serial number, which may have blanks. */
static bool read_device(struct host_device *device, char *line) {
    const char *bus = next_field(&line), *address = next_field(&line);
    *device = (struct host_device){.iommu_group = -1, .numa_node = -1};
    char normal[64];
    if (!address || !host_address_normalise(address, normal, sizeof normal) ||
        strcmp(normal, address) != 0 || !read_numbers(device, &line))
        return false;
    bool pci = !strcmp(bus, "pci");
    device->bus = pci ? BUS_PCI : BUS_USB;
    device->address = memory_strdup(address);
    device->serial = line && *line ? memory_strdup(line) : NULL;
    device->name = memory_printf("%s device %04x:%04x", pci ? "PCI" : "USB", device->id.vendor,
                                 device->id.device);
    return true;
}

/* Returns false for a line that no version writes. */
static bool read_line(struct presence *presence, char *line, bool *ended) {
    const char *what = next_field(&line);
    if (!what)
        return false;
    *ended |= !strcmp(what, "end");
    if (!strcmp(what, "here"))
        return !presence->is_here && (presence->is_here = read_device(&presence->here, line));
    if (!strcmp(what, "gone"))
        return !presence->has_gone && (presence->has_gone = read_device(&presence->gone, line));
    return true;
}

enum start { START_THIS, START_OTHER, START_DAMAGED };

static enum start read_start(struct presence *presence, char *line, const char *boot) {
    const char *word = next_field(&line), *written = next_field(&line), *number = next_field(&line);
    char *end = NULL;
    uint64_t value = number ? strtoull(number, &end, 10) : 0;
    if (!number || *end || strcmp(word, "boot") != 0)
        return START_DAMAGED;
    if (strcmp(written, *boot ? boot : "-") != 0)
        return START_OTHER;
    presence->number = value;
    return START_THIS;
}

static void read_lines(struct presence *presence, char *rest, size_t left, const char *boot) {
    char *line = NULL;
    bool has_start = state_line_next(&rest, &left, &line) && line, ended = false, bad = false;
    enum start start = has_start ? read_start(presence, line, boot) : START_DAMAGED;
    while (start == START_THIS && state_line_next(&rest, &left, &line))
        bad |= ended || !line || !read_line(presence, line, &ended);
    presence->damaged = start == START_DAMAGED || (start == START_THIS && (bad || !ended));
}

void presence_read(struct presence *presence, const char *state, const char *place,
                   const char *boot) {
    char *path = memory_printf("%s/" DIRECTORY "/%s", state, place), *text;
    size_t size;
    *presence = (struct presence){.boot = memory_strdup(boot)};
    int error = state_file_read(path, &text, &size);
    if (!error)
        read_lines(presence, text, size, boot);
    presence->damaged |= error && error != ENOENT && error != ENOTDIR;
    free(text);
    free(path);
}

void presence_finish(struct presence *presence) {
    free(presence->boot);
    device_finish(&presence->here);
    device_finish(&presence->gone);
    *presence = (struct presence){0};
}

int presence_write(const struct presence *presence, const char *state, const char *place) {
    struct state_text file = {0};
    char *directory = memory_printf("%s/" DIRECTORY, state);
    char *path = memory_printf("%s/%s", directory, place);
    /* One process at a time has the place's turn. */
    char *temporary = memory_printf("%s/.%s", directory, place);
    state_line_add(&file, "boot %s %" PRIu64, *presence->boot ? presence->boot : "-",
                   presence->number);
    if (presence->is_here)
        write_device(&file, "here", &presence->here);
    if (presence->has_gone)
        write_device(&file, "gone", &presence->gone);
    state_line_add(&file, "end");
    mkdir(state, 0700);
    mkdir(directory, 0700);
    int status = state_file_replace(path, temporary, &file), saved = errno;
    free(file.text);
    free(temporary);
    free(path);
    free(directory);
    errno = saved;
    return status;
}

struct host_device *presence_all(const char *state, const char *boot, size_t *count) {
    struct host_device *all = NULL;
    char *path = memory_printf("%s/" DIRECTORY, state);
    DIR *directory = opendir(path);
    *count = 0;
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        struct presence presence;
        if (*entry->d_name == '.')
            continue;
        presence_read(&presence, state, entry->d_name, boot);
        if (presence.is_here) {
            all = memory_grow(all, *count, sizeof *all);
            all[(*count)++] = device_copy(&presence.here);
        }
        presence_finish(&presence);
    }
    if (directory)
        closedir(directory);
    free(path);
    return all;
}

/* --- what is new */

static bool is_it(bool known, const struct host_device *known_device,
                  const struct host_device *device) {
    return known && device_is_same(known_device, device);
}

/* A PCI device has nothing that tells one time of being there from the next, but the order of the
 * events. */
static bool is_told(const struct presence *before, const struct uevent *uevent, bool is_late) {
    return is_it(before->has_gone, &before->gone, &uevent->device) &&
           (is_late || uevent->device.bus == BUS_USB);
}

/* What was told to be here has gone: something else is there, or the event says that it went. */
static bool has_left(const struct presence *before, const struct uevent *uevent,
                     const struct host_device *now, bool is_late) {
    if (!before->is_here)
        return false;
    return !now || !device_is_same(&before->here, now) ||
           (uevent->removed && !is_late && device_is_same(&before->here, &uevent->device));
}

static bool is_gone(const struct uevent *uevent, const struct host_device *now) {
    return uevent->removed || !now || !device_is_same(&uevent->device, now);
}

struct news presence_compare(const struct presence *before, const struct uevent *uevent,
                             const struct host_device *now) {
    static const struct presence nothing;
    struct news news = {0};
    bool is_late = uevent->number && uevent->number <= before->number;
    if (!uevent->number)
        before = &nothing;
    /* The kernel tells of a removal before the device leaves sysfs. */
    if (now && now->bus == BUS_USB && uevent->removed && device_is_same(now, &uevent->device))
        now = NULL;
    bool left = has_left(before, uevent, now, is_late);
    if (left)
        news.unplugged[news.unplugged_count++] = &before->here;
    if (is_gone(uevent, now) && !is_it(before->is_here, &before->here, &uevent->device) &&
        !is_told(before, uevent, is_late))
        news.unplugged[news.unplugged_count++] = &uevent->device;
    if (now && (left || !is_it(before->is_here, &before->here, now)))
        news.plugged = now;
    news.there = now;
    return news;
}

static void set(bool *known, struct host_device *slot, const struct host_device *device) {
    struct host_device copied = device ? device_copy(device) : (struct host_device){0};
    device_finish(slot);
    *slot = copied;
    *known = device != NULL;
}

void presence_update(struct presence *presence, const struct uevent *uevent,
                     const struct news *news) {
    if (news->unplugged_count)
        set(&presence->has_gone, &presence->gone, news->unplugged[news->unplugged_count - 1]);
    if (news->plugged || !news->there)
        set(&presence->is_here, &presence->here, news->plugged);
    if (uevent->number > presence->number)
        presence->number = uevent->number;
}
