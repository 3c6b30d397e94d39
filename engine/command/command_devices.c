/* virt-rules devices: the host's devices by IOMMU group, which can be assigned, which not and why.
 */
#include "engine/command/command.h"

#include "engine/host/snapshot.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/judge.h"
#include "engine/plan/selector.h"
#include "lexer/text.h"
#include "parser/print.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char GREEN[] = "\033[32m", RED[] = "\033[31m", BOLD[] = "\033[1m", PLAIN[] = "\033[0m";

struct listing {
    struct host host;
    struct domain_list others;
    struct judge judge;
    struct selector selector;
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
    if (device->bus != BUS_PCI)
        fputs(device_bus(device->bus)->label, stdout);
    else if (device->iommu_group < 0)
        fputs("no IOMMU group", stdout);
    else
        printf("IOMMU group %d", device->iommu_group);
    puts(colour ? PLAIN : "");
}

enum { COLUMNS = 80, INDENT = 6 };

/* Facts in one line, or in more where the terminal has no room. */
struct facts {
    size_t column; /* 0: none yet */
};

static void command_devices_put_fact(struct facts *facts, const char *separator, const char *text) {
    size_t width = text_width(text, strlen(text)), between = facts->column ? strlen(separator) : 0;
    bool starts = !facts->column || facts->column + between + width + 1 > COLUMNS;
    if (facts->column)
        printf("%s", starts && *separator == ' ' ? "" : starts ? "," : separator);
    if (starts)
        printf("%s%*s", facts->column ? "\n" : "", INDENT, "");
    text_print_string(stdout, text);
    facts->column = starts ? INDENT + width : facts->column + between + width;
}

__attribute__((format(printf, 2, 3))) static void
command_devices_add_fact(struct facts *facts, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_vprintf(format, arguments);
    va_end(arguments);
    command_devices_put_fact(facts, ", ", text);
    free(text);
}

/* A text as a rule has it. */
static void command_devices_add_string(struct facts *facts, const char *keyword,
                                       const char *value) {
    char *text = NULL;
    size_t size = 0;
    if (!value)
        return;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%s ", keyword);
    print_string(out, value);
    memory_stream_close(out, &text);
    command_devices_put_fact(facts, ", ", text);
    free(text);
}

/* Whether an interface before this one has the same. */
static bool command_devices_had_class(const struct device *device, size_t interface) {
    size_t i = 0;
    while (device->interfaces[i].class_code != device->interfaces[interface].class_code)
        i++;
    return i < interface;
}

static bool command_devices_had_driver(const struct device *device, size_t interface) {
    const char *driver = device->interfaces[interface].driver;
    bool had = !driver || (device->driver && !strcmp(driver, device->driver));
    for (size_t i = 0; i < interface && !had; i++)
        had = device->interfaces[i].driver && !strcmp(driver, device->interfaces[i].driver);
    return had;
}

static void command_devices_add_drivers(struct facts *facts, const struct device *device) {
    size_t more = 0;
    for (size_t i = 0; i < device->interface_count; i++)
        more += !command_devices_had_driver(device, i);
    command_devices_add_fact(facts, "driver%s %s", more ? "s" : "",
                             device->driver ? device->driver : "none");
    for (size_t i = 0; i < device->interface_count; i++)
        if (!command_devices_had_driver(device, i))
            command_devices_put_fact(facts, " ", device->interfaces[i].driver);
}

/* Only where the class does not say it. */
static void command_devices_add_interfaces(struct facts *facts, const struct device *device) {
    size_t classes = 0;
    for (size_t i = 0; i < device->interface_count; i++)
        classes += !command_devices_had_class(device, i);
    if (!classes)
        command_devices_add_fact(facts, "interfaces unknown");
    if (!classes || (classes == 1 && device->interfaces[0].class_code == device->class_code))
        return;
    command_devices_add_fact(facts, "interface%s %06x", classes == 1 ? "" : "s",
                             device->interfaces[0].class_code);
    for (size_t i = 1; i < device->interface_count; i++) {
        char class[16];
        snprintf(class, sizeof class, "%06x", device->interfaces[i].class_code);
        if (!command_devices_had_class(device, i))
            command_devices_put_fact(facts, " ", class);
    }
}

/* What a USB or SCSI device says of itself. */
static void command_devices_print_texts(const struct device *device) {
    struct facts facts = {0};
    if (device->speed)
        command_devices_add_fact(&facts, device->speed == 1 ? "1.5 Mbit/s" : "%u Mbit/s",
                                 device->speed);
    if (device->bus == BUS_USB)
        command_devices_add_interfaces(&facts, device);
    command_devices_add_string(&facts, "manufacturer", device->manufacturer);
    command_devices_add_string(&facts, "product", device->product);
    if (facts.column)
        putchar('\n');
}

/* What a device can be handed over by, other than as a whole. */
static void command_devices_print_parts(const struct device *device) {
    struct facts facts = {0};
    if (device->above)
        command_devices_add_fact(&facts, "on %s", device->above);
    if (device->vf_total)
        command_devices_add_fact(&facts, "%u of %u virtual functions", device->virtual_functions,
                                 device->vf_total);
    if (device->physical && device->vf_number >= 0)
        command_devices_add_fact(&facts, "vf %d of %s", device->vf_number, device->physical);
    else if (device->physical)
        command_devices_add_fact(&facts, "vf of %s", device->physical);
    for (size_t i = 0; i < device->file_count; i++)
        command_devices_add_fact(&facts, "%s", device_file_path(&device->files[i]));
    for (size_t i = 0; i < device->mdev_type_count; i++)
        command_devices_add_fact(
            &facts, "mdev \"%s\" (%s%s%u available)", device->mdev_types[i].name,
            device->mdev_types[i].label ? device->mdev_types[i].label : "",
            device->mdev_types[i].label ? ", " : "", device->mdev_types[i].available);
    for (size_t i = 0; i < device->mdev_count; i++)
        command_devices_add_fact(&facts, "mdev uuid \"%s\"", device->mdevs[i].uuid);
    if (facts.column)
        putchar('\n');
}

static void command_devices_print_facts(const struct device *device) {
    struct facts facts = {0};
    if (device->bus == BUS_SCSI)
        command_devices_add_fact(&facts, "%s", device_scsi_type_text(device->scsi_type));
    else
        command_devices_add_fact(&facts, "class %06x", device->class_code);
    if (device->subsystem.vendor || device->subsystem.device)
        command_devices_add_fact(&facts, "subsystem %04x:%04x", device->subsystem.vendor,
                                 device->subsystem.device);
    command_devices_add_drivers(&facts, device);
    if (device->bus == BUS_USB)
        command_devices_add_fact(&facts, "bus %u device %u", device->bus_number,
                                 device->device_number);
    if (device->serial)
        command_devices_add_fact(&facts, "serial %s", device->serial);
    if (device->reset_methods)
        command_devices_add_fact(&facts, "reset %s", device->reset_methods);
    if (device->power_state)
        command_devices_add_fact(&facts, "power %s", device->power_state);
    if (device->numa_node >= 0)
        command_devices_add_fact(&facts, "NUMA node %d", device->numa_node);
    if (device->boot_vga)
        command_devices_add_fact(&facts, "boot display");
    putchar('\n');
    if (device->bus != BUS_PCI)
        command_devices_print_texts(device);
    command_devices_print_parts(device);
}

/* What a hint helps against that the message does not have in it. */
static bool command_devices_is_obstacle(enum refusal refusal) {
    return refusal == REFUSED_UNKNOWN_USE || refusal == REFUSED_NO_ANSWER ||
           refusal == REFUSED_DOMAIN || refusal == REFUSED_FIRMWARE || refusal == REFUSED_KERNEL;
}

/* Of the backends that can present the device the first by which it can go to a VM now, else the
 * first of all; `verdict` is its. NULL: none can present it. */
static const struct backend_type *command_devices_judge(struct listing *listing,
                                                        const struct device *device,
                                                        struct verdict *verdict) {
    backend_set set = backend_presenting(&listing->host, device);
    const struct backend_type *best = NULL;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        const struct backend_type *type = backend_type(backend);
        if (!(set & 1U << backend))
            continue;
        struct verdict one = judge_device(&listing->judge, device, type, NULL, false);
        bool is_best = !best || !one.refusal;
        if (is_best && best)
            verdict_finish(verdict);
        if (is_best) {
            best = type;
            *verdict = one;
        } else {
            verdict_finish(&one);
        }
        if (!one.refusal)
            break;
    }
    if (!best)
        *verdict = judge_device(&listing->judge, device, backend_of_bus(device->bus), NULL, false);
    return best;
}

/* "usb", "mdev \"nvidia-63\"": what follows 'as'. */
static void command_devices_print_backend(const struct backend_type *backend,
                                          const struct device *device) {
    fputs(syntax_backend_text(backend->backend), stdout);
    if (backend->backend != BACKEND_MDEV || !device->mdev_type_count)
        return;
    putchar(' ');
    print_string(stdout, device->mdev_types[0].name);
}

/* The other backends by which the device can go to a VM now. */
static void command_devices_print_others(struct listing *listing, const struct device *device,
                                         const struct backend_type *shown) {
    backend_set set = backend_presenting(&listing->host, device) & ~(1U << shown->backend);
    bool is_first = true;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        const struct backend_type *type = backend_type(backend);
        if (!(set & 1U << backend))
            continue;
        struct verdict verdict = judge_device(&listing->judge, device, type, NULL, false);
        if (!verdict.refusal) {
            fputs(is_first ? "      or as " : ", ", stdout);
            command_devices_print_backend(type, device);
            is_first = false;
        }
        verdict_finish(&verdict);
    }
    if (!is_first)
        putchar('\n');
}

static void command_devices_print_verdict(struct listing *listing, const struct device *device,
                                          bool colour) {
    struct verdict verdict;
    const struct backend_type *backend = command_devices_judge(listing, device, &verdict);
    if (verdict.refusal) {
        printf("      %sno:%s ", colour ? RED : "", colour ? PLAIN : "");
        text_print_string(stdout, verdict.message);
        printf(" [%s]\n", verdict_name(verdict.refusal));
        if (verdict.refusal == REFUSED_GROUP || command_devices_is_obstacle(verdict.refusal)) {
            fputs("          ", stdout);
            text_print_string(stdout, verdict.hint);
            putchar('\n');
        }
    } else if (backend) {
        char *selector = selector_text(&listing->selector, device);
        printf("      %scan be assigned:%s attach ", colour ? GREEN : "", colour ? PLAIN : "");
        text_print_string(stdout, selector);
        fputs(" as ", stdout);
        command_devices_print_backend(backend, device);
        putchar('\n');
        command_devices_print_others(listing, device, backend);
        free(selector);
    }
    verdict_finish(&verdict);
}

static void command_devices_print_text(struct listing *listing, bool colour) {
    const struct device *before = NULL;
    for (size_t i = 0; i < listing->host.count; i++) {
        const struct device *device = listing->order[i];
        command_devices_print_group(device, before, colour);
        printf("  %-13s ", device->address);
        if (device->bus != BUS_SCSI)
            printf("%04x:%04x ", device->id.vendor, device->id.device);
        text_print_string(stdout, device->name);
        putchar('\n');
        command_devices_print_facts(device);
        command_devices_print_verdict(listing, device, colour);
        before = device;
    }
    if (!listing->host.has_iommu)
        puts("The host has no active IOMMU, so no PCI device can be assigned as vfio or net: turn\n"
             "on VT-d or AMD-Vi in the firmware, and on Intel boot the kernel with\n"
             "intel_iommu=on.");
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

/* What is not known is null. */
static void command_devices_put_usb(struct json_object *object, const struct device *device) {
    struct json_object *drivers = text_json_array();
    bool has_interfaces = device->interface_count && !(device->unknown & DEVICE_UNKNOWN_INTERFACES);
    struct json_object *interfaces = has_interfaces ? text_json_array() : NULL;
    if (device->driver)
        text_json_append(drivers, text_json(device->driver));
    for (size_t i = 0; i < device->interface_count; i++) {
        char class[16];
        snprintf(class, sizeof class, "%06x", device->interfaces[i].class_code);
        if (!command_devices_had_driver(device, i))
            text_json_append(drivers, text_json(device->interfaces[i].driver));
        if (interfaces && !command_devices_had_class(device, i))
            text_json_append(interfaces, text_json(class));
    }
    text_json_add(object, "drivers", drivers);
    text_json_add(object, "interfaces", interfaces);
    text_put_json(object, "manufacturer", device->manufacturer);
    text_put_json(object, "product", device->product);
    command_put_number(object, "speed", device->speed ? (int)device->speed : -1);
}

static struct json_object *command_devices_files_json(const struct device *device) {
    static const char *const kinds[] = {
        [FILE_TTY] = "tty", [FILE_BLOCK] = "block", [FILE_EVENT] = "event"};
    struct json_object *files = text_json_array();
    for (size_t i = 0; i < device->file_count; i++) {
        const struct device_file *file = &device->files[i];
        struct json_object *object = text_json_object(), *links = text_json_array();
        for (size_t j = 0; j < file->link_count; j++)
            text_json_append(links, text_json(file->links[j]));
        text_put_json(object, "kind", kinds[file->kind]);
        text_put_json(object, "path", file->path);
        text_json_add(object, "links", links);
        text_json_append(files, object);
    }
    return files;
}

/* NULL: it is not a SCSI device. */
static struct json_object *command_devices_scsi_json(const struct device *device) {
    if (device->bus != BUS_SCSI)
        return NULL;
    struct json_object *object = text_json_object();
    text_put_json(object, "type", device_scsi_type_text(device->scsi_type));
    text_put_json(object, "above", device->above);
    return object;
}

/* NULL: it offers no mediated devices and has none. */
static struct json_object *command_devices_mdev_json(const struct device *device) {
    if (!device->mdev_type_count && !device->mdev_count)
        return NULL;
    struct json_object *object = text_json_object(), *types = text_json_array(),
                       *instances = text_json_array();
    for (size_t i = 0; i < device->mdev_type_count; i++) {
        struct json_object *type = text_json_object();
        text_put_json(type, "type", device->mdev_types[i].name);
        text_put_json(type, "name", device->mdev_types[i].label);
        command_put_number(type, "available", (int)device->mdev_types[i].available);
        text_json_append(types, type);
    }
    for (size_t i = 0; i < device->mdev_count; i++) {
        struct json_object *instance = text_json_object();
        text_put_json(instance, "uuid", device->mdevs[i].uuid);
        text_put_json(instance, "type", device->mdevs[i].type);
        text_json_append(instances, instance);
    }
    text_json_add(object, "types", types);
    text_json_add(object, "instances", instances);
    return object;
}

/* NULL: it is neither a physical nor a virtual function. */
static struct json_object *command_devices_sriov_json(const struct device *device) {
    if (!device->vf_total && !device->virtual_functions && !device->physical)
        return NULL;
    struct json_object *object = text_json_object();
    command_put_number(object, "total", device->physical ? -1 : (int)device->vf_total);
    command_put_number(object, "enabled", device->physical ? -1 : (int)device->virtual_functions);
    text_put_json(object, "physical", device->physical);
    command_put_number(object, "number", device->physical ? device->vf_number : -1);
    return object;
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
    command_devices_put_usb(object, device);
    text_put_json(object, "reset_methods", device->reset_methods);
    text_put_json(object, "power_state", device->power_state);
    text_json_add(object, "files", command_devices_files_json(device));
    text_json_add(object, "scsi", command_devices_scsi_json(device));
    text_json_add(object, "sriov", command_devices_sriov_json(device));
    text_json_add(object, "mdev", command_devices_mdev_json(device));
    text_json_add(object, "bridge", text_json_boolean(device->is_bridge));
    text_json_add(object, "boot_vga", text_json_boolean(device->boot_vga));
    text_put_json(object, "use", device->use);
    text_put_json(object, "obstacle", device->obstacle_text);
}

static struct json_object *command_devices_backends_json(const struct listing *listing,
                                                         const struct device *device) {
    backend_set set = backend_presenting(&listing->host, device);
    struct json_object *array = text_json_array();
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        if (set & 1U << backend)
            text_json_append(array, text_json(syntax_backend_text(backend)));
    return array;
}

static struct json_object *command_devices_device_json(struct listing *listing,
                                                       const struct device *device) {
    struct json_object *object = text_json_object();
    struct verdict verdict;
    command_devices_judge(listing, device, &verdict);
    char *selector = selector_text(&listing->selector, device);
    command_devices_put_facts(object, device);
    text_json_add(object, "passable", text_json_boolean(!verdict.refusal));
    text_json_add(object, "attach_as", command_devices_backends_json(listing, device));
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
           "Product and manufacturer names of USB devices are not: look at them if you chose one.\n"
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
    selector_init(&listing.selector, &listing.host);
    if (line->json)
        command_devices_print_json(&listing);
    else
        command_devices_print_text(&listing, command_colour(stdout));
    free((void *)listing.order);
    selector_finish(&listing.selector);
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
