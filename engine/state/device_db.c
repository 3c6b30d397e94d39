#include "engine/state/device_db.h"

#include "engine/model/address.h"
#include "engine/model/device.h"
#include "engine/state/state_file.h"
#include "engine/system/file.h"
#include "lexer/memory.h"
#include "lexer/text.h"

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

char *device_db_slot(const struct device *device) {
    return memory_printf("%s-%s", device_bus(device->bus)->name, device->address);
}

/* --- the file: a line for the boot of the host, then "here" and "gone" with a device each, which
 * further lines of that name say more of, and "end"; each line with its sum. An older file lacks
 * the further lines, and an older version skips them. */

static void device_db_write_device(struct state_text *out, const char *what,
                                   const struct device *device) {
    state_file_add_line(out, "%s %s %s %04x:%04x %04x:%04x %06" PRIx32 " %u/%u %d %s", what,
                        device_bus(device->bus)->name, device->address, device->id.vendor,
                        device->id.device, device->subsystem.vendor, device->subsystem.device,
                        device->class_code, device->bus_number, device->device_number,
                        device->is_bridge ? 1 : 0, device->serial ? device->serial : "");
    /* The file does not say of which physical function. */
    unsigned unknown = device->unknown | (device->physical ? DEVICE_UNKNOWN_PHYSICAL : 0U);
    state_file_add_line(out, "%s-facts %u %u", what, unknown, device->speed);
    if (device->driver)
        state_file_add_line(out, "%s-driver %s", what, device->driver);
    if (device->manufacturer)
        state_file_add_line(out, "%s-manufacturer %s", what, device->manufacturer);
    if (device->product)
        state_file_add_line(out, "%s-product %s", what, device->product);
    for (size_t i = 0; i < device->interface_count; i++)
        state_file_add_line(out, "%s-interface %06" PRIx32 " %s", what,
                            device->interfaces[i].class_code,
                            device->interfaces[i].driver ? device->interfaces[i].driver : "");
}

static bool device_db_read_numbers(struct device *device, char **line) {
    uint32_t place[2], class;
    const char *id = text_next_field(line), *subsystem = text_next_field(line),
               *code = text_next_field(line), *where = text_next_field(line),
               *bridge = text_next_field(line);
    if (!bridge || !device_id_parse(id, &device->id) ||
        !device_id_parse(subsystem, &device->subsystem) ||
        !text_parse_hex(code, 0xFFFFFF, &class) || !text_parse_numbers(where, 10, '/', place, 2))
        return false;
    device->class_code = class;
    device->bus_number = place[0];
    device->device_number = place[1];
    device->is_bridge = *bridge == '1';
    return true;
}

/* The rest of the line is the serial number, which may have blanks. */
static bool device_db_read_device(struct device *device, char *line) {
    const char *bus = text_next_field(&line), *address = text_next_field(&line);
    *device = (struct device){
        .iommu_group = -1, .numa_node = -1, .vf_number = -1, .scsi_type = SCSI_UNKNOWN};
    char normal[64];
    if (!address || !address_normalise(address, normal, sizeof normal) ||
        strcmp(normal, address) != 0 || !device_db_read_numbers(device, &line))
        return false;
    if (!device_bus_of_address(address, &device->bus) ||
        strcmp(bus, device_bus(device->bus)->name) != 0)
        return false;
    device->address = memory_strdup(address);
    device->serial = line && *line ? memory_strdup(line) : NULL;
    device->unknown = DEVICE_UNKNOWN_ALL & ~(unsigned)DEVICE_UNKNOWN_SERIAL;
    device->name = device->bus == BUS_SCSI
                       ? memory_strdup("SCSI device")
                       : memory_printf("%s device %04x:%04x", device_bus(device->bus)->label,
                                       device->id.vendor, device->id.device);
    return true;
}

static bool device_db_read_text(char **text, const char *rest) {
    if (*text || !rest || !*rest)
        return false;
    *text = memory_strdup(rest);
    return true;
}

static bool device_db_read_interface(struct device *device, char *line) {
    const char *code = text_next_field(&line);
    uint32_t class;
    if (!code || !text_parse_hex(code, 0xFFFFFF, &class))
        return false;
    device_add_interface(device, class, line && *line ? memory_strdup(line) : NULL);
    return true;
}

static bool device_db_read_facts(struct device *device, char *line) {
    const char *unknown = text_next_field(&line), *speed = text_next_field(&line);
    uint32_t values[2];
    if (!speed || !text_parse_decimal(unknown, UINT16_MAX, &values[0]) ||
        !text_parse_decimal(speed, INT32_MAX, &values[1]))
        return false;
    device->unknown = values[0];
    device->speed = values[1];
    return true;
}

/* More of a device whose own line was read; a later version may have more. */
static bool device_db_read_more(struct device *device, const char *what, char *line) {
    if (!strcmp(what, "facts"))
        return device_db_read_facts(device, line);
    if (!strcmp(what, "driver"))
        return device_db_read_text(&device->driver, line);
    if (!strcmp(what, "manufacturer"))
        return device_db_read_text(&device->manufacturer, line);
    if (!strcmp(what, "product"))
        return device_db_read_text(&device->product, line);
    if (!strcmp(what, "interface"))
        return device_db_read_interface(device, line);
    return true;
}

static bool device_db_read_attached(struct device_slot *slot, char *line) {
    char *end = NULL;
    const char *time = text_next_field(&line), *losses = text_next_field(&line);
    uint32_t count = 0;
    slot->attached = time ? strtoll(time, &end, 10) : 0;
    bool is_good = end && !*end && text_parse_decimal(losses, UINT16_MAX, &count);
    slot->losses = count;
    return is_good;
}

/* Returns false for a line that no version writes. */
static bool device_db_read_line(struct device_slot *slot, char *line, bool *ended) {
    static const char here[] = "here-", gone[] = "gone-";
    const char *what = text_next_field(&line);
    if (!what)
        return false;
    *ended |= !strcmp(what, "end");
    if (text_starts_with(what, here))
        return slot->is_here && device_db_read_more(&slot->here, what + strlen(here), line);
    if (text_starts_with(what, gone))
        return slot->has_gone && device_db_read_more(&slot->gone, what + strlen(gone), line);
    if (!strcmp(what, "here"))
        return !slot->is_here && (slot->is_here = device_db_read_device(&slot->here, line));
    if (!strcmp(what, "gone"))
        return !slot->has_gone && (slot->has_gone = device_db_read_device(&slot->gone, line));
    if (!strcmp(what, "attached"))
        return device_db_read_attached(slot, line);
    return true;
}

enum boot { BOOT_THIS, BOOT_OTHER, BOOT_DAMAGED };

static enum boot device_db_read_boot(struct device_slot *slot, char *line, const char *boot) {
    const char *word = text_next_field(&line), *written = text_next_field(&line),
               *number = text_next_field(&line);
    char *end = NULL;
    uint64_t value = number ? strtoull(number, &end, 10) : 0;
    if (!number || *end || strcmp(word, "boot") != 0)
        return BOOT_DAMAGED;
    if (strcmp(written, *boot ? boot : "-") != 0)
        return BOOT_OTHER;
    slot->seqnum = value;
    return BOOT_THIS;
}

static void device_db_read_lines(struct device_slot *slot, char *rest, size_t left,
                                 const char *boot) {
    char *line = NULL;
    bool has_boot = state_file_next_line(&rest, &left, &line) && line, ended = false, bad = false;
    enum boot found = has_boot ? device_db_read_boot(slot, line, boot) : BOOT_DAMAGED;
    while (found == BOOT_THIS && state_file_next_line(&rest, &left, &line))
        bad |= ended || !line || !device_db_read_line(slot, line, &ended);
    slot->damaged = found == BOOT_DAMAGED || (found == BOOT_THIS && (bad || !ended));
    if (slot->damaged) /* a line that is lost may have said more */
        slot->here.unknown = slot->gone.unknown = DEVICE_UNKNOWN_ALL;
}

void device_db_read(struct device_slot *slot, const char *state, const char *name,
                    const char *boot) {
    char *path = memory_printf("%s/" DIRECTORY "/%s", state, name), *text;
    size_t size;
    *slot = (struct device_slot){.boot = memory_strdup(boot)};
    int error = file_read(path, &text, &size);
    if (!error)
        device_db_read_lines(slot, text, size, boot);
    slot->damaged |= error && error != ENOENT && error != ENOTDIR;
    free(text);
    free(path);
}

void device_db_finish(struct device_slot *slot) {
    free(slot->boot);
    device_finish(&slot->here);
    device_finish(&slot->gone);
    *slot = (struct device_slot){0};
}

int device_db_write(const struct device_slot *slot, const char *state, const char *name) {
    struct state_text file = {0};
    char *directory = memory_printf("%s/" DIRECTORY, state);
    char *path = memory_printf("%s/%s", directory, name);
    /* The caller holds the slot's lock. */
    char *temporary = memory_printf("%s/.%s", directory, name);
    state_file_add_line(&file, "boot %s %" PRIu64, *slot->boot ? slot->boot : "-", slot->seqnum);
    if (slot->is_here)
        device_db_write_device(&file, "here", &slot->here);
    if (slot->has_gone)
        device_db_write_device(&file, "gone", &slot->gone);
    if (slot->attached || slot->losses)
        state_file_add_line(&file, "attached %" PRId64 " %u", slot->attached, slot->losses);
    state_file_add_line(&file, "end");
    mkdir(state, 0700);
    mkdir(directory, 0700);
    int status = file_replace(path, temporary, file.text, file.size), saved = errno;
    free(file.text);
    free(temporary);
    free(path);
    free(directory);
    errno = saved;
    return status;
}

struct device *device_db_all(const char *state, const char *boot, size_t *count) {
    struct device *all = NULL;
    char *path = memory_printf("%s/" DIRECTORY, state);
    DIR *directory = opendir(path);
    *count = 0;
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        struct device_slot slot;
        if (*entry->d_name == '.')
            continue;
        device_db_read(&slot, state, entry->d_name, boot);
        if (slot.is_here) {
            all = memory_grow(all, *count, sizeof *all);
            all[(*count)++] = device_copy(&slot.here);
        }
        device_db_finish(&slot);
    }
    if (directory)
        closedir(directory);
    free(path);
    return all;
}

/* --- what is new */

static bool device_db_matches(bool known, const struct device *known_device,
                              const struct device *device) {
    return known && device_is_same(known_device, device);
}

/* Whether the device has already been reported as unplugged. The same PCI device may have been
 * plugged in again since: only the order of the events shows it. */
static bool device_db_was_unplugged(const struct device_slot *before, const struct uevent *uevent,
                                    bool is_late) {
    return device_db_matches(before->has_gone, &before->gone, &uevent->device) &&
           (is_late || uevent->device.bus == BUS_USB);
}

/* The device reported as plugged is gone: another one is there, or the event removes it. */
static bool device_db_has_left(const struct device_slot *before, const struct uevent *uevent,
                               const struct device *now, bool is_late) {
    if (!before->is_here)
        return false;
    return !now || !device_is_same(&before->here, now) ||
           (uevent->removed && !is_late && device_is_same(&before->here, &uevent->device));
}

static bool device_db_is_gone(const struct uevent *uevent, const struct device *now) {
    return uevent->removed || !now || !device_is_same(&uevent->device, now);
}

struct device_changes device_db_compare(const struct device_slot *before,
                                        const struct uevent *uevent, const struct device *now) {
    static const struct device_slot nothing;
    struct device_changes changes = {0};
    bool is_late = uevent->seqnum && uevent->seqnum <= before->seqnum;
    if (!uevent->seqnum)
        before = &nothing;
    /* sysfs may still list a device just after its remove event. */
    if (now && now->bus != BUS_PCI && uevent->removed && device_is_same(now, &uevent->device))
        now = NULL;
    bool left = device_db_has_left(before, uevent, now, is_late);
    if (left)
        changes.unplugged[changes.unplugged_count++] = &before->here;
    if (device_db_is_gone(uevent, now) &&
        !device_db_matches(before->is_here, &before->here, &uevent->device) &&
        !device_db_was_unplugged(before, uevent, is_late))
        changes.unplugged[changes.unplugged_count++] = &uevent->device;
    if (now && (left || !device_db_matches(before->is_here, &before->here, now)))
        changes.plugged = now;
    changes.there = now;
    return changes;
}

static void device_db_set(bool *known, struct device *slot, const struct device *device) {
    struct device copied = device ? device_copy(device) : (struct device){0};
    device_finish(slot);
    *slot = copied;
    *known = device != NULL;
}

void device_db_update(struct device_slot *slot, const struct uevent *uevent,
                      const struct device_changes *changes) {
    if (changes->unplugged_count)
        device_db_set(&slot->has_gone, &slot->gone,
                      changes->unplugged[changes->unplugged_count - 1]);
    if (changes->plugged || !changes->there)
        device_db_set(&slot->is_here, &slot->here, changes->plugged);
    if (uevent->seqnum > slot->seqnum)
        slot->seqnum = uevent->seqnum;
}
