/* All that is known of each device, for `devices --all`. */
#include "engine/command/devices_view.h"

#include "engine/backend/backend_window.h"
#include "engine/model/device_class.h"
#include "lexer/memory.h"
#include "lexer/text.h"
#include "parser/print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_INDENT = 2, FACTS_INDENT = 6, HINT_INDENT = 10 };

static void devices_detail_group(FILE *out, struct terminal terminal, const struct device *device,
                                 const struct device *before) {
    if (before && before->bus == device->bus && before->iommu_group == device->iommu_group)
        return;
    fputs(terminal_paint(terminal, TERMINAL_BOLD), out);
    if (device->bus != BUS_PCI)
        fputs(device_bus(device->bus)->label, out);
    else if (device->iommu_group < 0)
        fputs("no IOMMU group", out);
    else
        fprintf(out, "IOMMU group %d", device->iommu_group);
    fprintf(out, "%s\n", terminal_paint(terminal, TERMINAL_PLAIN));
}

/* --- facts: a list on one line, which is wrapped when it is printed */

__attribute__((format(printf, 2, 3))) static void devices_detail_add(char **facts,
                                                                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_vprintf(format, arguments);
    va_end(arguments);
    if (*facts)
        memory_append(facts, ", %s", text);
    else
        *facts = memory_strdup(text);
    free(text);
}

/* A text as a rule has it. */
static void devices_detail_add_string(char **facts, const char *keyword, const char *value) {
    char *text = NULL;
    size_t size = 0;
    if (!value)
        return;
    FILE *out = memory_stream(&text, &size);
    print_string(out, value);
    memory_stream_close(out, &text);
    devices_detail_add(facts, "%s %s", keyword, text);
    free(text);
}

/* Prints the list, unless it is empty, and frees it. */
static void devices_detail_print(FILE *out, struct terminal terminal, char *facts) {
    if (facts)
        terminal_print_line(out, terminal, FACTS_INDENT, "", facts);
    free(facts);
}

static void devices_detail_add_drivers(char **facts, const struct device *device) {
    char *drivers = memory_strdup(device->driver ? device->driver : "none");
    bool several = false;
    for (size_t i = 0; i < device->interface_count; i++)
        if (!device_repeats_driver(device, i)) {
            memory_append(&drivers, " %s", device->interfaces[i].driver);
            several = true;
        }
    devices_detail_add(facts, "driver%s %s", several ? "s" : "", drivers);
    free(drivers);
}

/* Only where the class does not say it. */
static void devices_detail_add_interfaces(char **facts, const struct device *device) {
    char *classes = memory_strdup("");
    size_t count = 0;
    for (size_t i = 0; i < device->interface_count; i++)
        if (!device_repeats_class(device, i))
            memory_append(&classes, "%s%06x", count++ ? " " : "", device->interfaces[i].class_code);
    if (!count)
        devices_detail_add(facts, "interfaces unknown");
    else if (count > 1 || device->interfaces[0].class_code != device->class_code)
        devices_detail_add(facts, "interface%s %s", count == 1 ? "" : "s", classes);
    free(classes);
}

/* What a USB or SCSI device says of itself. */
static char *devices_detail_texts(const struct device *device) {
    char *facts = NULL;
    if (device->speed == 1)
        devices_detail_add(&facts, "1.5 Mbit/s");
    else if (device->speed)
        devices_detail_add(&facts, "%u Mbit/s", device->speed);
    if (device->bus == BUS_USB)
        devices_detail_add_interfaces(&facts, device);
    devices_detail_add_string(&facts, "manufacturer", device->manufacturer);
    devices_detail_add_string(&facts, "product", device->product);
    return facts;
}

/* What a device can be handed over by, other than as a whole. */
static char *devices_detail_parts(const struct device *device) {
    char *facts = NULL;
    if (device->above)
        devices_detail_add(&facts, "on %s", device->above);
    if (device->vf_total)
        devices_detail_add(&facts, "%u of %u virtual functions", device->virtual_functions,
                           device->vf_total);
    if (device->physical && device->vf_number >= 0)
        devices_detail_add(&facts, "vf %d of %s", device->vf_number, device->physical);
    else if (device->physical)
        devices_detail_add(&facts, "vf of %s", device->physical);
    for (size_t i = 0; i < device->file_count; i++)
        devices_detail_add(&facts, "%s", device_file_path(&device->files[i]));
    for (size_t i = 0; i < device->mdev_type_count; i++) {
        const struct device_mdev_type *type = &device->mdev_types[i];
        devices_detail_add(&facts, "mdev \"%s\" (%s%s%u available)", type->name,
                           type->label ? type->label : "", type->label ? ", " : "",
                           type->available);
    }
    for (size_t i = 0; i < device->mdev_count; i++)
        devices_detail_add(&facts, "mdev uuid \"%s\"", device->mdevs[i].uuid);
    return facts;
}

static char *devices_detail_kernel_facts(const struct device *device) {
    char *facts = NULL;
    if (device->bus == BUS_SCSI)
        devices_detail_add(&facts, "%s", device_class(device));
    else
        devices_detail_add(&facts, "class %06x (%s)", device->class_code, device_class(device));
    if (device->subsystem.vendor || device->subsystem.device)
        devices_detail_add(&facts, "subsystem %04x:%04x", device->subsystem.vendor,
                           device->subsystem.device);
    devices_detail_add_drivers(&facts, device);
    if (device->bus == BUS_USB)
        devices_detail_add(&facts, "bus %u device %u", device->bus_number, device->device_number);
    if (device->serial)
        devices_detail_add(&facts, "serial %s", device->serial);
    if (device->reset_methods)
        devices_detail_add(&facts, "reset %s", device->reset_methods);
    if (device->power_state)
        devices_detail_add(&facts, "power %s", device->power_state);
    if (!backend_window_is_enough(device)) {
        char *text = backend_window_bars_text(device);
        devices_detail_add(&facts, "BARs %s", text);
        free(text);
    }
    if (device->numa_node >= 0)
        devices_detail_add(&facts, "NUMA node %d", device->numa_node);
    if (device->boot_vga)
        devices_detail_add(&facts, "boot display");
    return facts;
}

/* --- whether it can be assigned */

static void devices_detail_others(FILE *out, const struct devices_view *view,
                                  const struct inventory_row *row) {
    char *facts = NULL;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        if (!(row->also & 1U << backend))
            continue;
        char *text = suggest_rule_backend_text(backend_type(backend), row->device);
        devices_detail_add(&facts, "%s", text);
        free(text);
    }
    if (facts)
        terminal_print_line(out, view->terminal, FACTS_INDENT, "or as ", facts);
    free(facts);
}

static void devices_detail_verdict(FILE *out, const struct devices_view *view,
                                   const struct inventory_row *row) {
    const struct suggested_rule *suggested = &row->suggested;
    struct terminal terminal = view->terminal;
    if (suggested->verdict.refusal) {
        char *start = memory_printf("%sno:%s ", terminal_paint(terminal, TERMINAL_RED),
                                    terminal_paint(terminal, TERMINAL_PLAIN));
        char *message = memory_printf("%s [%s]", suggested->verdict.message,
                                      verdict_name(suggested->verdict.refusal));
        terminal_print_line(out, terminal, FACTS_INDENT,
                            !suggested->text           ? start
                            : suggested->gives_display ? "in use: "
                                                       : "alone no: ",
                            message);
        if (!suggested->text && suggested->verdict.refusal != REFUSED_BRIDGE &&
            suggested->verdict.refusal != REFUSED_NO_IOMMU)
            terminal_print_line(out, terminal, HINT_INDENT, "", suggested->verdict.hint);
        free(start);
        free(message);
    }
    if (!suggested->text)
        return;
    fprintf(out, "%*s%scan be assigned:%s\n", FACTS_INDENT, "",
            terminal_paint(terminal, TERMINAL_GREEN), terminal_paint(terminal, TERMINAL_PLAIN));
    devices_list_rule(out, terminal, FACTS_INDENT + 2, suggested->text);
    devices_detail_others(out, view, row);
}

static void devices_detail_device(FILE *out, const struct devices_view *view,
                                  const struct inventory_row *row) {
    const struct device *device = row->device;
    char *interfaces = inventory_interfaces_text(row);
    char *start = device->bus == BUS_SCSI ? memory_printf("%-13s ", device->address)
                                          : memory_printf("%-13s %04x:%04x ", device->address,
                                                          device->id.vendor, device->id.device);
    char *name = interfaces ? memory_printf("%s (%s)", device->name, interfaces)
                            : memory_strdup(device->name);
    terminal_print_line(out, view->terminal, PLACE_INDENT, start, name);
    devices_detail_print(out, view->terminal, devices_detail_kernel_facts(device));
    if (device->bus != BUS_PCI)
        devices_detail_print(out, view->terminal, devices_detail_texts(device));
    devices_detail_print(out, view->terminal, devices_detail_parts(device));
    devices_detail_verdict(out, view, row);
    devices_list_notes(out, view, row, FACTS_INDENT);
    free(interfaces);
    free(start);
    free(name);
}

void devices_detail(FILE *out, const struct devices_view *view) {
    const struct inventory *inventory = view->inventory;
    const struct inventory_row **order = inventory_order(inventory);
    const struct device *before = NULL;
    for (size_t i = 0; i < inventory->count; i++) {
        if (!view->shown[order[i] - inventory->rows])
            continue;
        devices_detail_group(out, view->terminal, order[i]->device, before);
        devices_detail_device(out, view, order[i]);
        before = order[i]->device;
    }
    devices_list_end(out, view, false);
    free((void *)order);
}
