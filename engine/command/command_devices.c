/* virt-rules devices: the host's devices by IOMMU group, which can be assigned, which not and why.
 */
#include "engine/command/command.h"

#include "engine/host/snapshot.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/judge.h"
#include "engine/plan/selector.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static const char GREEN[] = "\033[32m", RED[] = "\033[31m", BOLD[] = "\033[1m", PLAIN[] = "\033[0m";

struct listing {
    struct host host;
    struct domain_list others;
    struct judge judge;
    const struct device **order; /* by bus, group, and as the host has them */
    char *note;                  /* libvirt did not answer; NULL: it did, or need not */
};

static int command_devices_by_group(const void *left, const void *right) {
    const struct device *a = *(const struct device *const *)left;
    const struct device *b = *(const struct device *const *)right;
    if (a->bus != b->bus)
        return a->bus < b->bus ? -1 : 1;
    if (a->iommu_group != b->iommu_group)
        return a->iommu_group < b->iommu_group ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void command_devices_order(struct listing *listing) {
    listing->order = memory_zalloc((listing->host.count + 1) * sizeof *listing->order);
    for (size_t i = 0; i < listing->host.count; i++)
        listing->order[i] = &listing->host.devices[i];
    qsort((void *)listing->order, listing->host.count, sizeof *listing->order,
          command_devices_by_group);
}

/* --- text */

static void command_devices_print_group(const struct device *device, const struct device *before,
                                        bool colour) {
    if (before && before->bus == device->bus && before->iommu_group == device->iommu_group)
        return;
    fputs(colour ? BOLD : "", stdout);
    if (device->bus == BUS_USB)
        fputs("USB", stdout);
    else if (device->iommu_group < 0)
        fputs("no IOMMU group", stdout);
    else
        printf("IOMMU group %d", device->iommu_group);
    puts(colour ? PLAIN : "");
}

static void command_devices_print_facts(const struct device *device) {
    printf("      class %06x", device->class_code);
    if (device->subsystem.vendor || device->subsystem.device)
        printf(", subsystem %04x:%04x", device->subsystem.vendor, device->subsystem.device);
    printf(", driver %s", device->driver ? device->driver : "none");
    if (device->bus == BUS_USB)
        printf(", bus %u device %u", device->bus_number, device->device_number);
    if (device->serial) {
        fputs(", serial ", stdout);
        text_print_string(stdout, device->serial);
    }
    if (device->reset_methods)
        printf(", reset %s", device->reset_methods);
    if (device->power_state)
        printf(", power %s", device->power_state);
    if (device->numa_node >= 0)
        printf(", NUMA node %d", device->numa_node);
    fputs(device->boot_vga ? ", boot display\n" : "\n", stdout);
}

/* What a hint helps against that the message does not have in it. */
static bool command_devices_is_obstacle(enum refusal refusal) {
    return refusal == REFUSED_UNKNOWN_USE || refusal == REFUSED_NO_ANSWER ||
           refusal == REFUSED_DOMAIN || refusal == REFUSED_FIRMWARE || refusal == REFUSED_KERNEL;
}

static void command_devices_print_verdict(struct listing *listing, const struct device *device,
                                          bool colour) {
    const struct backend_type *backend = backend_of_bus(device->bus);
    struct verdict verdict = judge_device(&listing->judge, device, backend, false);
    if (verdict.refusal) {
        printf("      %sno:%s ", colour ? RED : "", colour ? PLAIN : "");
        text_print_string(stdout, verdict.message);
        printf(" [%s]\n", verdict_name(verdict.refusal));
        if (verdict.refusal == REFUSED_GROUP || command_devices_is_obstacle(verdict.refusal)) {
            fputs("          ", stdout);
            text_print_string(stdout, verdict.hint);
            putchar('\n');
        }
    } else {
        char *selector = selector_text(&listing->host, device);
        printf("      %scan be assigned:%s attach ", colour ? GREEN : "", colour ? PLAIN : "");
        text_print_string(stdout, selector);
        printf(" as %s\n", syntax_backend_text(backend->backend));
        free(selector);
    }
    verdict_finish(&verdict);
}

static void command_devices_print_text(struct listing *listing, bool colour) {
    const struct device *before = NULL;
    for (size_t i = 0; i < listing->host.count; i++) {
        const struct device *device = listing->order[i];
        command_devices_print_group(device, before, colour);
        printf("  %-13s %04x:%04x ", device->address, device->id.vendor, device->id.device);
        text_print_string(stdout, device->name);
        putchar('\n');
        command_devices_print_facts(device);
        command_devices_print_verdict(listing, device, colour);
        before = device;
    }
    if (!listing->host.has_iommu)
        puts("The host has no active IOMMU, so no PCI device can be assigned: turn on VT-d or "
             "AMD-Vi "
             "in the firmware, and on Intel boot the kernel with intel_iommu=on.");
}

/* --- JSON */

static void command_devices_put_id(struct json_object *object, const char *key,
                                   struct device_id id) {
    char text[16];
    snprintf(text, sizeof text, "%04x:%04x", id.vendor, id.device);
    text_put_json(object, key, id.vendor || id.device ? text : NULL);
}

static void command_devices_put_place(struct json_object *object, const struct device *device) {
    bool usb = device->bus == BUS_USB;
    command_put_number(object, "iommu_group", device->iommu_group);
    command_put_number(object, "numa_node", device->numa_node);
    text_put_json(object, "port", usb ? device->address : NULL);
    command_put_number(object, "bus_number", usb ? (int)device->bus_number : -1);
    command_put_number(object, "device_number", usb ? (int)device->device_number : -1);
}

static void command_devices_put_facts(struct json_object *object, const struct device *device) {
    char class_code[16];
    snprintf(class_code, sizeof class_code, "%06x", device->class_code);
    text_put_json(object, "bus", device_bus(device->bus)->name);
    text_put_json(object, "address", device->address);
    command_devices_put_id(object, "id", device->id);
    text_put_json(object, "class", class_code);
    command_devices_put_id(object, "subsystem", device->subsystem);
    text_put_json(object, "name", device->name);
    text_put_json(object, "driver", device->driver);
    command_devices_put_place(object, device);
    text_put_json(object, "serial", device->serial);
    text_put_json(object, "reset_methods", device->reset_methods);
    text_put_json(object, "power_state", device->power_state);
    text_json_add(object, "bridge", text_json_boolean(device->is_bridge));
    text_json_add(object, "boot_vga", text_json_boolean(device->boot_vga));
    text_put_json(object, "use", device->use);
    text_put_json(object, "obstacle", device->obstacle_text);
}

static struct json_object *command_devices_device_json(struct listing *listing,
                                                       const struct device *device) {
    struct json_object *object = text_json_object();
    struct verdict verdict =
        judge_device(&listing->judge, device, backend_of_bus(device->bus), false);
    char *selector = selector_text(&listing->host, device);
    command_devices_put_facts(object, device);
    text_json_add(object, "passable", text_json_boolean(!verdict.refusal));
    text_put_json(object, "reason", verdict.refusal ? verdict_name(verdict.refusal) : NULL);
    text_put_json(object, "message", verdict.message);
    text_put_json(object, "hint", verdict.hint);
    text_put_json(object, "selector", selector);
    free(selector);
    verdict_finish(&verdict);
    return object;
}

static void command_devices_print_json(struct listing *listing) {
    struct json_object *document = text_json_object(), *devices = text_json_array();
    for (size_t i = 0; i < listing->host.count; i++)
        text_json_append(devices, command_devices_device_json(listing, listing->order[i]));
    text_json_add(document, "iommu", text_json_boolean(listing->host.has_iommu));
    text_json_add(document, "devices", devices);
    command_print_json(document, listing->note);
}

/* --- all of it */

/* Which VM has what is only known while libvirt answers, or from its status files below another
 * root; the rest of the list does not need it. */
static void command_devices_load_others(struct listing *listing, const char *sysroot) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (sysroot) {
        domain_list_running_in(&listing->others, sysroot, NULL);
        return;
    }
    if (virt_asker_connect(&virt, NULL, &error) < 0 ||
        domain_list_running(&listing->others, virt, NULL, &error) < 0) {
        listing->note = command_libvirt_note(&error);
        command_failf(error.failure.hint, "cannot tell which devices VMs hold: %s",
                      listing->note); /* only said: the list is good without it */
        domain_list_running_in(&listing->others, "",
                               NULL); /* as far as libvirt's own files say it */
    }
    virt_close(virt);
}

static int command_devices_record(const char *sysroot, const char *directory) {
    struct failure failure;
    struct record done;
    if (snapshot_record(&done, sysroot, directory, &failure) < 0)
        return command_fail(failure.message, *failure.hint ? failure.hint : NULL);
    printf("Recorded in %s: %zu files. Serial numbers, MAC addresses, UUIDs, and names of VMs, "
           "volumes and mount points are replaced.\n"
           "See it with 'virt-rules devices --sysroot %s', pack it with 'tar -czf host.tar.gz "
           "%s'.\n",
           directory, done.files, directory, directory);
    if (done.skipped)
        fprintf(stderr, "virt-rules: %zu file%s could not be read and %s left out\n", done.skipped,
                done.skipped == 1 ? "" : "s", done.skipped == 1 ? "is" : "are");
    return EXIT_FINE;
}

struct devices_options {
    struct command_line line;
    const char *directory;
};

static int command_devices_run(const struct command *command, int argc, char **argv) {
    struct devices_options options = {0};
    const struct command_line *line = &options.line;
    struct listing listing = {0};
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (line->word_count)
        return command_usage(command, "it takes no argument: it lists every device");
    if (options.directory && line->json)
        return command_usage(command, "--json and --record exclude each other");
    if (options.directory)
        return command_devices_record(line->sysroot, options.directory);
    if ((status = command_load_host(line, &listing.host)) != EXIT_FINE)
        return status;
    command_devices_load_others(&listing, line->sysroot);
    listing.judge = (struct judge){.host = &listing.host,
                                   .domain = &judge_any_vm,
                                   .others = listing.others.list,
                                   .other_count = listing.others.count};
    command_devices_order(&listing);
    if (line->json)
        command_devices_print_json(&listing);
    else
        command_devices_print_text(&listing, command_colour(stdout));
    free((void *)listing.order);
    judge_finish(&listing.judge);
    domain_list_finish(&listing.others);
    free(listing.note);
    host_finish(&listing.host);
    return EXIT_FINE;
}

static const struct command_option command_devices_options[] = {
    OPTION_SYSROOT,
    {.name = "record",
     .argument = "DIR",
     .help = "copy what --sysroot needs into DIR, for a bug report",
     .field = offsetof(struct devices_options, directory)},
    OPTION_JSON,
    {0},
};

const struct command command_devices_row = {
    .name = "devices",
    .operands = "",
    .summary = "List the host's devices: which can be assigned, which not and why.",
    .notes = "--json and --record exclude each other.\n",
    .options = command_devices_options,
    .run = command_devices_run,
};
