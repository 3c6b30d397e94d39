#include "engine/presence.h"

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

/* --- the file: a line for the kernel's start, then "here" and "gone" with a device each */

static void write_device(FILE *out, const char *what, const struct host_device *device) {
    fprintf(out, "%s %s %s %04x:%04x %04x:%04x %06" PRIx32 " %u/%u %d %s\n", what,
            device->bus == BUS_PCI ? "pci" : "usb", device->address, device->id.vendor,
            device->id.device, device->subsystem.vendor, device->subsystem.device,
            device->class_code, device->bus_number, device->device_number,
            device->is_bridge ? 1 : 0, device->serial ? device->serial : "");
}

/* Behind the last blank stands the serial number, which may have blanks. */
static bool read_device(struct host_device *device, const char *line) {
    char bus[4], address[64];
    unsigned vendor, product, subvendor, subdevice, class, bus_number, device_number, bridge;
    int rest = 0;
    if (sscanf(line, "%*4s %3s %63s %4x:%4x %4x:%4x %6x %u/%u %1u %n", bus, address, &vendor,
               &product, &subvendor, &subdevice, &class, &bus_number, &device_number, &bridge,
               &rest) != 10)
        return false;
    *device = (struct host_device){.bus = !strcmp(bus, "pci") ? BUS_PCI : BUS_USB,
                                   .address = memory_strdup(address),
                                   .id = {(uint16_t)vendor, (uint16_t)product},
                                   .subsystem = {(uint16_t)subvendor, (uint16_t)subdevice},
                                   .class_code = class,
                                   .bus_number = bus_number,
                                   .device_number = device_number,
                                   .is_bridge = bridge,
                                   .iommu_group = -1,
                                   .numa_node = -1,
                                   .serial = rest && line[rest] ? memory_strdup(line + rest) : NULL,
                                   .name = memory_printf("%s device %04x:%04x",
                                                         !strcmp(bus, "pci") ? "PCI" : "USB",
                                                         vendor, product)};
    return true;
}

static void read_line(struct presence *presence, const char *line) {
    if (!strncmp(line, "here ", 5) && !presence->is_here)
        presence->is_here = read_device(&presence->here, line);
    if (!strncmp(line, "gone ", 5) && !presence->has_gone)
        presence->has_gone = read_device(&presence->gone, line);
}

static void read_lines(struct presence *presence, FILE *in, const char *boot) {
    char line[1024], written[64] = "";
    uint64_t number = 0;
    if (!fgets(line, sizeof line, in) ||
        sscanf(line, "boot %63s %" SCNu64, written, &number) != 2 ||
        strcmp(written, *boot ? boot : "-") != 0)
        return;
    presence->number = number;
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        read_line(presence, line);
    }
}

void presence_read(struct presence *presence, const char *state, const char *place,
                   const char *boot) {
    char *path = memory_printf("%s/" DIRECTORY "/%s", state, place);
    FILE *in = fopen(path, "re");
    *presence = (struct presence){.boot = memory_strdup(boot)};
    if (in) {
        read_lines(presence, in, boot);
        fclose(in);
    }
    free(path);
}

void presence_finish(struct presence *presence) {
    free(presence->boot);
    device_finish(&presence->here);
    device_finish(&presence->gone);
    *presence = (struct presence){0};
}

static void write_lines(const struct presence *presence, FILE *out) {
    fprintf(out, "boot %s %" PRIu64 "\n", *presence->boot ? presence->boot : "-", presence->number);
    if (presence->is_here)
        write_device(out, "here", &presence->here);
    if (presence->has_gone)
        write_device(out, "gone", &presence->gone);
}

static int write_to(const struct presence *presence, const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    if (!out) {
        if (file >= 0)
            close(file);
        return -1;
    }
    write_lines(presence, out);
    bool bad = ferror(out);
    return fclose(out) != 0 || bad ? -1 : 0;
}

int presence_write(const struct presence *presence, const char *state, const char *place) {
    char *directory = memory_printf("%s/" DIRECTORY, state);
    char *path = memory_printf("%s/%s", directory, place);
    /* One process at a time has the place's turn. */
    char *temporary = memory_printf("%s/.%s", directory, place);
    mkdir(state, 0700);
    mkdir(directory, 0700);
    int status = write_to(presence, temporary);
    if (status == 0)
        status = rename(temporary, path);
    if (status < 0) {
        int saved = errno;
        unlink(temporary);
        errno = saved;
    }
    free(temporary);
    free(path);
    free(directory);
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
