#include "engine/model/device.h"

#include "engine/model/address.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

const struct bus_type *device_bus(enum bus bus) {
    static const struct bus_type types[] = {
        [BUS_PCI] = {"pci", "PCI", "at", "bridge"},
        [BUS_USB] = {"usb", "USB", "port", "hub"},
    };
    return &types[bus];
}

void device_obstruct(struct device *device, enum obstacle obstacle, char *text, char *hint) {
    if (device->obstacle && device->obstacle <= obstacle) {
        free(text);
        free(hint);
        return;
    }
    free(device->obstacle_text);
    free(device->obstacle_hint);
    device->obstacle = obstacle;
    device->obstacle_text = text;
    device->obstacle_hint = hint;
}

int device_compare(enum bus bus, const char *address, const struct device *device) {
    if (bus != device->bus)
        return bus < device->bus ? -1 : 1;
    return bus == BUS_PCI ? address_compare_pci(address, device->address)
                          : address_compare_usb(address, device->address);
}

void device_add_interface(struct device *device, uint32_t class_code, char *driver) {
    device->interfaces =
        memory_grow(device->interfaces, device->interface_count, sizeof *device->interfaces);
    struct device_interface *interface = &device->interfaces[device->interface_count++];
    interface->class_code = class_code;
    interface->driver = driver;
}

struct device device_copy(const struct device *device) {
    struct device result = *device;
    result.address = memory_copy(device->address);
    result.name = memory_copy(device->name);
    result.driver = memory_copy(device->driver);
    result.reset_methods = memory_copy(device->reset_methods);
    result.power_state = memory_copy(device->power_state);
    result.serial = memory_copy(device->serial);
    result.manufacturer = memory_copy(device->manufacturer);
    result.product = memory_copy(device->product);
    result.interfaces = NULL;
    result.interface_count = 0;
    for (size_t i = 0; i < device->interface_count; i++)
        device_add_interface(&result, device->interfaces[i].class_code,
                             memory_copy(device->interfaces[i].driver));
    result.physical = memory_copy(device->physical);
    result.controller = memory_copy(device->controller);
    result.use = memory_copy(device->use);
    result.use_hint = memory_copy(device->use_hint);
    result.vm_use = memory_copy(device->vm_use);
    result.obstacle_text = memory_copy(device->obstacle_text);
    result.obstacle_hint = memory_copy(device->obstacle_hint);
    return result;
}

void device_finish(struct device *device) {
    free(device->address);
    free(device->name);
    free(device->driver);
    free(device->reset_methods);
    free(device->power_state);
    free(device->physical);
    free(device->controller);
    free(device->serial);
    free(device->manufacturer);
    free(device->product);
    for (size_t i = 0; i < device->interface_count; i++)
        free(device->interfaces[i].driver);
    free(device->interfaces);
    free(device->use);
    free(device->use_hint);
    free(device->vm_use);
    free(device->obstacle_text);
    free(device->obstacle_hint);
    *device = (struct device){0};
}

char *device_text(const struct device *device) {
    return memory_printf("%s %04x:%04x", device->address, device->id.vendor, device->id.device);
}

bool device_id_is(struct device_id one, struct device_id other) {
    return one.vendor == other.vendor && one.device == other.device;
}

bool device_is_same(const struct device *one, const struct device *other) {
    return one->bus == other->bus && !strcmp(one->address, other->address) &&
           device_id_is(one->id, other->id) &&
           (one->bus == BUS_PCI ||
            (one->bus_number == other->bus_number && one->device_number == other->device_number));
}

bool device_is_usb_controller(const struct device *device) {
    enum { CLASS_USB_CONTROLLER = 0x0c03 };
    return device->bus == BUS_PCI && device->class_code >> 8 == CLASS_USB_CONTROLLER;
}

bool device_id_parse(const char *text, struct device_id *id) {
    uint32_t numbers[2];
    const char *end = text_parse_numbers(text, 16, ':', numbers, 2);
    if (!end || *end || end != text + 9 || text[4] != ':')
        return false;
    *id = (struct device_id){(uint16_t)numbers[0], (uint16_t)numbers[1]};
    return true;
}
