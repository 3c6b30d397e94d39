#include "engine/command/add_device.h"

#include "engine/command/plan_context.h"
#include "engine/model/device_class.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void add_device_append(struct add_devices *devices, const struct device *device) {
    devices->list = memory_grow((void *)devices->list, devices->count, sizeof *devices->list);
    devices->list[devices->count++] = device;
}

void add_device_finish(struct add_devices *devices) {
    free((void *)devices->list);
    *devices = (struct add_devices){0};
}

/* By what only one device has, or devices of one kind. */
static bool add_device_is_called(const struct inventory_row *row, const char *word) {
    const struct device *device = row->device;
    char number[32];
    snprintf(number, sizeof number, "%u/%u", device->bus_number, device->device_number);
    if (plan_context_is_called(device, word) || (device->bus == BUS_USB && !strcmp(number, word)) ||
        (device->serial && !strcmp(device->serial, word)))
        return true;
    for (size_t i = 0; i < device->file_count; i++)
        if (device_file_has_path(&device->files[i], word))
            return true;
    for (size_t i = 0; i < device->mdev_count; i++)
        if (!strcasecmp(device->mdevs[i].uuid, word))
            return true;
    for (size_t i = 0; i < row->interface_count; i++)
        if (!strcmp(row->interfaces[i], word))
            return true;
    return false;
}

/* Whether a word of the text begins so. */
static bool add_device_text_has(const char *text, const char *start) {
    const char *at = text;
    while (at && (at = strcasestr(at, start)) && at > text && isalnum((unsigned char)at[-1]))
        at++;
    return at != NULL;
}

static bool add_device_has_word(const struct device *device, const char *word) {
    return add_device_text_has(device->name, word) || add_device_text_has(device->product, word) ||
           add_device_text_has(device->manufacturer, word) ||
           add_device_text_has(device_class(device), word);
}

static bool add_device_has_words(const struct device *device, const char *words) {
    char *copy = memory_strdup(words), *rest = copy, *word;
    bool has_all = true, has_any = false;
    while (has_all && (word = text_next_field(&rest))) {
        has_any = true;
        has_all = add_device_has_word(device, word);
    }
    free(copy);
    return has_any && has_all;
}

struct add_devices add_device_find(const struct inventory *inventory, const char *word) {
    struct add_devices devices = {0};
    /* A port or an address is one device's, whatever others have as their serial number. */
    for (size_t i = 0; i < inventory->count; i++)
        if (plan_context_is_at(inventory->rows[i].device, word))
            add_device_append(&devices, inventory->rows[i].device);
    bool is_at = devices.count > 0;
    for (size_t i = 0; i < inventory->count && !is_at; i++)
        if (add_device_is_called(&inventory->rows[i], word))
            add_device_append(&devices, inventory->rows[i].device);
    bool is_named = devices.count > 0;
    for (size_t i = 0; i < inventory->count && !is_named; i++) {
        const struct device *device = inventory->rows[i].device;
        if (!device->is_bridge && add_device_has_words(device, word))
            add_device_append(&devices, device);
    }
    return devices;
}

bool add_device_is_one_card(const struct add_devices *devices) {
    bool is_card = devices->count > 0;
    for (size_t i = 1; i < devices->count && is_card; i++)
        is_card = device_is_same_slot(devices->list[0], devices->list[i]) &&
                  judge_is_group_member(devices->list[0], devices->list[i]);
    return is_card;
}

char *add_device_text(const struct inventory *inventory, const struct device *device) {
    const struct inventory_row *row = &inventory->rows[device - inventory->host->devices];
    char *text = NULL, *interfaces = inventory_interfaces_text(row);
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%s  ", device->address);
    if (device->bus != BUS_SCSI)
        fprintf(out, "%04x:%04x  ", device->id.vendor, device->id.device);
    text_print_string(out, device->name);
    if (interfaces) {
        fputs(" (", out);
        text_print_string(out, interfaces);
        fputs(")", out);
    }
    if (device->serial) {
        fputs(", serial ", out);
        text_print_string(out, device->serial);
    }
    memory_stream_close(out, &text);
    free(interfaces);
    return text;
}
