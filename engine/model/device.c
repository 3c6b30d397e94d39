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
        [BUS_SCSI] = {"scsi", "SCSI", "scsi", NULL},
    };
    return &types[bus];
}

bool device_bus_of_address(const char *address, enum bus *bus) {
    bool has_domain = false;
    if (address_is_pci(address, &has_domain))
        *bus = BUS_PCI;
    else if (address_is_usb(address))
        *bus = BUS_USB;
    else if (address_is_scsi(address))
        *bus = BUS_SCSI;
    else
        return false;
    return true;
}

const char *device_scsi_type_text(int scsi_type) {
    static const struct {
        enum scsi_type type;
        const char *text;
    } types[] = {
        {SCSI_DISK, "disk"},
        {SCSI_TAPE, "tape"},
        {SCSI_CD, "CD or DVD"},
        {SCSI_OPTICAL, "optical disk"},
        {SCSI_CHANGER, "medium changer"},
        {SCSI_ENCLOSURE, "enclosure"},
        {SCSI_ZONED_DISK, "zoned disk"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((int)types[i].type == scsi_type)
            return types[i].text;
    return "SCSI device";
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
    return bus == BUS_PCI   ? address_compare_pci(address, device->address)
           : bus == BUS_USB ? address_compare_usb(address, device->address)
                            : address_compare_scsi(address, device->address);
}

void device_add_interface(struct device *device, uint32_t class_code, char *driver) {
    device->interfaces =
        memory_grow(device->interfaces, device->interface_count, sizeof *device->interfaces);
    struct device_interface *interface = &device->interfaces[device->interface_count++];
    interface->class_code = class_code;
    interface->driver = driver;
}

bool device_repeats_class(const struct device *device, size_t interface) {
    size_t i = 0;
    while (device->interfaces[i].class_code != device->interfaces[interface].class_code)
        i++;
    return i < interface;
}

bool device_repeats_driver(const struct device *device, size_t interface) {
    const char *driver = device->interfaces[interface].driver;
    bool had = !driver || (device->driver && !strcmp(driver, device->driver));
    for (size_t i = 0; i < interface && !had; i++)
        had = device->interfaces[i].driver && !strcmp(driver, device->interfaces[i].driver);
    return had;
}

bool device_is_same_slot(const struct device *device, const struct device *other) {
    size_t length = strcspn(device->address, ".");
    return device->bus == BUS_PCI && other->bus == BUS_PCI &&
           !strncmp(device->address, other->address, length + 1);
}

bool device_is_on_root_bus(const struct device *device) {
    const char *colon = device->bus == BUS_PCI ? strchr(device->address, ':') : NULL;
    return colon && !strncmp(colon, ":00:", 4);
}

struct device_file *device_add_file(struct device *device, enum device_file_kind kind, char *path) {
    device->files = memory_grow(device->files, device->file_count, sizeof *device->files);
    struct device_file *file = &device->files[device->file_count++];
    *file = (struct device_file){.kind = kind};
    file->path = path;
    return file;
}

void device_add_mdev_type(struct device *device, char *name, char *label, unsigned available) {
    device->mdev_types =
        memory_grow(device->mdev_types, device->mdev_type_count, sizeof *device->mdev_types);
    struct device_mdev_type *type = &device->mdev_types[device->mdev_type_count++];
    type->name = name;
    type->label = label;
    type->available = available;
}

void device_add_mdev(struct device *device, char *uuid, char *type) {
    device->mdevs = memory_grow(device->mdevs, device->mdev_count, sizeof *device->mdevs);
    struct device_mdev *mdev = &device->mdevs[device->mdev_count++];
    mdev->uuid = uuid;
    mdev->type = type;
}

static void device_finish_mdevs(struct device *device) {
    for (size_t i = 0; i < device->mdev_count; i++) {
        free(device->mdevs[i].uuid);
        free(device->mdevs[i].type);
    }
    free(device->mdevs);
    device->mdevs = NULL;
    device->mdev_count = 0;
}

void device_make_instance(struct device *device, const char *uuid, char *type) {
    device_finish_mdevs(device);
    device_add_mdev(device, memory_strdup(uuid), type);
    free(device->instance);
    device->instance = memory_strdup(uuid);
}

void device_add_scsi(struct device *device, const char *address) {
    device->scsi_devices =
        memory_grow(device->scsi_devices, device->scsi_device_count, sizeof *device->scsi_devices);
    device->scsi_devices[device->scsi_device_count++] = memory_strdup(address);
}

size_t device_file_count(const struct device *device, enum device_file_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < device->file_count; i++)
        count += device->files[i].kind == kind;
    return count;
}

const struct device_file *device_find_file(const struct device *device, enum device_file_kind kind,
                                           size_t number) {
    for (size_t i = 0; i < device->file_count; i++)
        if (device->files[i].kind == kind && number-- == 0)
            return &device->files[i];
    return NULL;
}

const char *device_file_path(const struct device_file *file) {
    return file->link_count ? file->links[0] : file->path;
}

bool device_file_has_path(const struct device_file *file, const char *path) {
    if (!strcmp(file->path, path))
        return true;
    for (size_t i = 0; i < file->link_count; i++)
        if (!strcmp(file->links[i], path))
            return true;
    return false;
}

const struct device_mdev_type *device_find_mdev_type(const struct device *device,
                                                     const char *name) {
    for (size_t i = 0; i < device->mdev_type_count; i++)
        if (!strcmp(device->mdev_types[i].name, name))
            return &device->mdev_types[i];
    return NULL;
}

static void device_copy_file(struct device *result, const struct device_file *file) {
    struct device_file *copy = device_add_file(result, file->kind, memory_copy(file->path));
    copy->size = file->size;
    copy->is_empty = file->is_empty;
    copy->readonly = file->readonly;
    for (size_t i = 0; i < file->link_count; i++) {
        copy->links = memory_grow(copy->links, copy->link_count, sizeof *copy->links);
        copy->links[copy->link_count++] = memory_strdup(file->links[i]);
    }
}

/* The lists of `result` are still those of `device`. */
static void device_copy_lists(struct device *result, const struct device *device) {
    result->interfaces = NULL;
    result->files = NULL;
    result->mdev_types = NULL;
    result->mdevs = NULL;
    result->scsi_devices = NULL;
    result->scsi_device_count = 0;
    result->interface_count = result->file_count = result->mdev_type_count = result->mdev_count = 0;
    for (size_t i = 0; i < device->interface_count; i++)
        device_add_interface(result, device->interfaces[i].class_code,
                             memory_copy(device->interfaces[i].driver));
    for (size_t i = 0; i < device->file_count; i++)
        device_copy_file(result, &device->files[i]);
    for (size_t i = 0; i < device->mdev_type_count; i++)
        device_add_mdev_type(result, memory_copy(device->mdev_types[i].name),
                             memory_copy(device->mdev_types[i].label),
                             device->mdev_types[i].available);
    for (size_t i = 0; i < device->scsi_device_count; i++)
        device_add_scsi(result, device->scsi_devices[i]);
    for (size_t i = 0; i < device->mdev_count; i++)
        device_add_mdev(result, memory_copy(device->mdevs[i].uuid),
                        memory_copy(device->mdevs[i].type));
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
    device_copy_lists(&result, device);
    result.physical = memory_copy(device->physical);
    if (device->physical_function) {
        result.physical_function = memory_zalloc(sizeof *result.physical_function);
        *result.physical_function = device_copy(device->physical_function);
    }
    result.above = memory_copy(device->above);
    result.controller = memory_copy(device->controller);
    result.instance = memory_copy(device->instance);
    result.use = memory_copy(device->use);
    result.use_hint = memory_copy(device->use_hint);
    result.other_use = memory_copy(device->other_use);
    result.other_use_hint = memory_copy(device->other_use_hint);
    result.lasting_use = memory_copy(device->lasting_use);
    result.lasting_use_hint = memory_copy(device->lasting_use_hint);
    result.display_settings = (struct setting_list){.count = 0};
    setting_add_all(&result.display_settings, &device->display_settings);
    result.vm_use = memory_copy(device->vm_use);
    result.obstacle_text = memory_copy(device->obstacle_text);
    result.obstacle_hint = memory_copy(device->obstacle_hint);
    return result;
}

static void device_finish_lists(struct device *device) {
    for (size_t i = 0; i < device->interface_count; i++)
        free(device->interfaces[i].driver);
    free(device->interfaces);
    for (size_t i = 0; i < device->file_count; i++) {
        for (size_t j = 0; j < device->files[i].link_count; j++)
            free(device->files[i].links[j]);
        free(device->files[i].links);
        free(device->files[i].path);
    }
    free(device->files);
    for (size_t i = 0; i < device->mdev_type_count; i++) {
        free(device->mdev_types[i].name);
        free(device->mdev_types[i].label);
    }
    free(device->mdev_types);
    device_finish_mdevs(device);
    for (size_t i = 0; i < device->scsi_device_count; i++)
        free(device->scsi_devices[i]);
    free(device->scsi_devices);
}

void device_finish(struct device *device) {
    device_finish_lists(device);
    if (device->physical_function)
        device_finish(device->physical_function);
    free(device->physical_function);
    free(device->above);
    free(device->instance);
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
    free(device->use);
    free(device->use_hint);
    free(device->other_use);
    free(device->other_use_hint);
    free(device->lasting_use);
    free(device->lasting_use_hint);
    setting_finish(&device->display_settings);
    free(device->vm_use);
    free(device->obstacle_text);
    free(device->obstacle_hint);
    *device = (struct device){0};
}

void device_give_up_display(struct device *device) {
    if (!device->is_display)
        return;
    free(device->use);
    free(device->use_hint);
    device->use = device->other_use;
    device->use_hint = device->other_use_hint;
    device->other_use = device->other_use_hint = NULL;
    device->is_display = false;
}

char *device_text(const struct device *device) {
    if (device->bus == BUS_SCSI)
        return memory_strdup(device->address);
    return memory_printf("%s %04x:%04x%s%s", device->address, device->id.vendor, device->id.device,
                         device->instance ? " " : "", device->instance ? device->instance : "");
}

bool device_id_is(struct device_id one, struct device_id other) {
    return one.vendor == other.vendor && one.device == other.device;
}

static bool device_is_same_serial(const struct device *one, const struct device *other) {
    if ((one->unknown | other->unknown) & DEVICE_UNKNOWN_SERIAL)
        return true;
    return one->serial && other->serial ? !strcmp(one->serial, other->serial)
                                        : one->serial == other->serial;
}

bool device_is_same(const struct device *one, const struct device *other) {
    if (one->bus != other->bus || strcmp(one->address, other->address) != 0 ||
        !device_id_is(one->id, other->id))
        return false;
    return one->bus == BUS_PCI ||
           (one->bus == BUS_USB && one->bus_number == other->bus_number &&
            one->device_number == other->device_number) ||
           (one->bus == BUS_SCSI && device_is_same_serial(one, other));
}

bool device_is_usb_controller(const struct device *device) {
    enum { CLASS_USB_CONTROLLER = 0x0c03 };
    return device->bus == BUS_PCI && device->class_code >> 8 == CLASS_USB_CONTROLLER;
}

bool device_is_graphics_card(const struct device *device) {
    enum { CLASS_DISPLAY = 0x03 };
    return device->bus == BUS_PCI && device->class_code >> 16 == CLASS_DISPLAY;
}

bool device_may_have_disks(const struct device *device) {
    enum {
        CLASS_STORAGE = 0x01,
        CLASS_SD_HOST = 0x0805,
        CLASS_FIBRE_CHANNEL = 0x0c04,
        USB_CLASS_STORAGE = 0x08
    };
    uint32_t base = device->class_code >> 16, class = device->class_code >> 8;
    if (device->bus == BUS_PCI)
        return base == CLASS_STORAGE || class == CLASS_SD_HOST || class == CLASS_FIBRE_CHANNEL;
    return device->bus == BUS_SCSI || base == USB_CLASS_STORAGE;
}

bool device_is_on(const struct device *scsi, const struct device *device) {
    return scsi->bus == BUS_SCSI && scsi->above && scsi->above_bus == device->bus &&
           !strcmp(scsi->above, device->address);
}

const struct device_renamed *device_find_renamed(struct device_id id) {
    static const struct device_renamed all[] = {
        {{{0x1a6e, 0x089a}, {0x18d1, 0x9302}}, "Coral USB stick"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (device_id_is(all[i].ids[0], id) || device_id_is(all[i].ids[1], id))
            return &all[i];
    return NULL;
}

bool device_id_parse(const char *text, struct device_id *id) {
    uint32_t numbers[2];
    const char *end = text_parse_numbers(text, 16, ':', numbers, 2);
    if (!end || *end || end != text + 9 || text[4] != ':')
        return false;
    *id = (struct device_id){(uint16_t)numbers[0], (uint16_t)numbers[1]};
    return true;
}
