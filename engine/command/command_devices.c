/* virt-rules devices: the host's devices, which can be assigned, which not and why. */
#include "engine/command/command.h"

#include "engine/command/devices_view.h"
#include "engine/host/snapshot.h"
#include "engine/host/source_sysfs.h"
#include "engine/libvirt/domain_list.h"
#include "engine/model/device_class.h"
#include "engine/system/file.h"
#include "lexer/text.h"
#include "parser/suggest.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct listing {
    struct host host;
    struct domain_list others;
    struct ruleset ruleset;
    struct program program;
    struct inventory inventory;
    bool *shown; /* for each row of the inventory */
    char *note;  /* libvirt did not answer; NULL: it did, or need not */
};

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
        if (!device_repeats_driver(device, i))
            text_json_append(drivers, text_json(device->interfaces[i].driver));
        if (interfaces && !device_repeats_class(device, i))
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

/* null of a device that is not PCI, and where the kernel does not tell. */
static struct json_object *command_devices_bars_json(const struct device *device) {
    if (!device->has_bars)
        return NULL;
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < device->bar_count; i++) {
        const struct device_bar *bar = &device->bars[i];
        struct json_object *object = text_json_object();
        command_put_number(object, "number", (int)bar->number);
        text_json_add(object, "size", text_json_number((int64_t)bar->size));
        text_json_add(object, "bits", text_json_number(bar->is_64bit ? 64 : 32));
        text_json_add(object, "prefetchable", text_json_boolean(bar->is_prefetchable));
        text_json_append(array, object);
    }
    return array;
}

/* What 'boot display' unbinds; null: the host does not show its console on it. */
static struct json_object *command_devices_display_json(const struct device *device) {
    const struct setting_list *settings = &device->display_settings;
    if (!device->is_display && !settings->count)
        return NULL;
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < settings->count; i++) {
        char *owner = setting_owner(&settings->list[i]);
        text_json_append(array, text_json(owner));
        free(owner);
    }
    return array;
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
    text_json_add(object, "bars", command_devices_bars_json(device));
    text_json_add(object, "files", command_devices_files_json(device));
    text_json_add(object, "scsi", command_devices_scsi_json(device));
    text_json_add(object, "sriov", command_devices_sriov_json(device));
    text_json_add(object, "mdev", command_devices_mdev_json(device));
    text_json_add(object, "bridge", text_json_boolean(device->is_bridge));
    text_json_add(object, "boot_vga", text_json_boolean(device->boot_vga));
    text_json_add(object, "boot_display", command_devices_display_json(device));
    text_put_json(object, "use", device->use);
    text_put_json(object, "obstacle", device->obstacle_text);
}

static struct json_object *command_devices_backends_json(const struct host *host,
                                                         const struct device *device) {
    backend_set set = backend_presenting(host, device);
    struct json_object *array = text_json_array();
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        if (set & 1U << backend)
            text_json_append(array, text_json(syntax_backend_text(backend)));
    return array;
}

static struct json_object *command_devices_addresses_json(const struct inventory *inventory,
                                                          const size_t *rows, size_t count) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < count; i++)
        text_json_append(array, text_json(inventory->rows[rows[i]].device->address));
    return array;
}

static struct json_object *command_devices_rules_json(const struct inventory_row *row) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < row->rule_count; i++) {
        struct json_object *object = text_json_object();
        char *place = inventory_rule_place(&row->rules[i]);
        char *vms = inventory_rule_vms(&row->rules[i]);
        text_put_json(object, "place", place);
        text_put_json(object, "vms", vms);
        text_json_append(array, object);
        free(place);
        free(vms);
    }
    return array;
}

static struct json_object *command_devices_interfaces_json(const struct inventory_row *row) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < row->interface_count; i++)
        text_json_append(array, text_json(row->interfaces[i]));
    return array;
}

static void command_devices_put_verdict(struct json_object *object,
                                        const struct inventory *inventory,
                                        const struct inventory_row *row) {
    const struct suggested_rule *suggested = &row->suggested;
    const struct verdict *verdict = &suggested->verdict;
    char *selector = selector_text(&inventory->selector, row->device);
    text_json_add(object, "passable", text_json_boolean(!verdict->refusal));
    text_json_add(object, "attach_as", command_devices_backends_json(inventory->host, row->device));
    text_put_json(object, "reason", verdict->refusal ? verdict_name(verdict->refusal) : NULL);
    text_put_json(object, "message", verdict->message);
    text_put_json(object, "hint", verdict->hint);
    text_put_json(object, "selector", selector);
    text_put_json(object, "rule", suggested->text);
    text_json_add(object, "with_group", text_json_boolean(suggested->with_group));
    text_put_json(object, "warning", row->warning);
    free(selector);
}

static struct json_object *command_devices_device_json(const struct inventory *inventory,
                                                       const struct inventory_row *row) {
    static const char *const states[] = {[INVENTORY_FREE] = "free",
                                         [INVENTORY_IN_USE] = "in-use",
                                         [INVENTORY_REFUSED] = "refused",
                                         [INVENTORY_INTERNAL] = "internal"};
    struct json_object *object = text_json_object();
    command_devices_put_facts(object, row->device);
    command_devices_put_verdict(object, inventory, row);
    text_put_json(object, "state", states[row->state]);
    text_put_json(object, "class_name", device_class(row->device));
    text_json_add(object, "kernel_names", command_devices_interfaces_json(row));
    text_put_json(object, "connected_to",
                  row->above == SIZE_MAX ? NULL : inventory->rows[row->above].device->address);
    text_json_add(object, "behind",
                  command_devices_addresses_json(inventory, row->behind, row->behind_count));
    text_json_add(object, "group_members",
                  command_devices_addresses_json(inventory, row->companions, row->companion_count));
    text_put_json(object, "vm", row->held ? domain_label(row->held->vm) : NULL);
    text_json_add(object, "rules", command_devices_rules_json(row));
    return object;
}

static void command_devices_print_json(const struct listing *listing) {
    const struct inventory *inventory = &listing->inventory;
    struct json_object *document = text_json_object(), *devices = text_json_array();
    const struct inventory_row **order = inventory_order(inventory);
    for (size_t i = 0; i < inventory->count; i++)
        if (listing->shown[order[i] - inventory->rows])
            text_json_append(devices, command_devices_device_json(inventory, order[i]));
    free((void *)order);
    text_json_add(document, "iommu", text_json_boolean(listing->host.has_iommu));
    text_json_add(document, "names", text_json_boolean(!listing->host.lacks_names));
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
    } else {
        command_complete_vms(&listing->others, "", &listing->note);
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
    const char *directory, *picture;
    bool all, tree;
};

/* Rules of this host; of a copy only those that --rules names. Mistakes in the usual ones are
 * reported by other commands. */
static void command_devices_load_rules(struct listing *listing, const struct command_line *line) {
    if (line->rules || !line->sysroot)
        program_load(&listing->program, &listing->ruleset, ruleset_directory(line->rules));
    else
        ruleset_init(&listing->ruleset);
    if (line->rules)
        command_report(&listing->ruleset);
}

static bool command_devices_init(struct listing *listing, const struct devices_options *options,
                                 int *status) {
    const struct command_line *line = &options->line;
    struct host_source source = source_sysfs(line->sysroot);
    *listing = (struct listing){0};
    command_devices_load_rules(listing, line);
    source.is_brief = !options->all && !options->tree && !options->picture && !line->json;
    source.leaves_out_resets =
        source.is_brief && !program_has_option(&listing->program, OPTION_RESET_METHOD);
    if ((*status = command_load_host(&source, &listing->host)) != EXIT_FINE) {
        program_finish(&listing->program);
        ruleset_finish(&listing->ruleset);
        return false;
    }
    command_devices_load_others(listing, line->sysroot);
    inventory_init(&listing->inventory, &listing->host, &listing->program, listing->others.list,
                   listing->others.count);
    if (options->tree || options->picture || line->json)
        inventory_find_places(&listing->inventory);
    listing->shown = memory_zalloc((listing->host.count + 1) * sizeof *listing->shown);
    for (size_t i = 0; i < listing->host.count; i++)
        listing->shown[i] =
            inventory_has_words(&listing->inventory.rows[i], line->words, line->word_count);
    return true;
}

static void command_devices_finish(struct listing *listing) {
    inventory_finish(&listing->inventory);
    program_finish(&listing->program);
    ruleset_finish(&listing->ruleset);
    domain_list_finish(&listing->others);
    host_finish(&listing->host);
    free(listing->shown);
    free(listing->note);
}

static bool command_devices_is_empty(const struct listing *listing) {
    size_t i = 0;
    while (i < listing->host.count && !listing->shown[i])
        i++;
    return i == listing->host.count;
}

/* The word of the devices' names that is nearest to a word that no device has, or NULL. The caller
 * frees it. */
static char *command_devices_nearest(const struct listing *listing, const char *word) {
    char *names = memory_strdup(""), *rest = names, *best = NULL;
    struct suggestion suggestion = {.word = word};
    for (size_t i = 0; i < listing->host.count; i++)
        memory_append(&names, "%s ", listing->host.devices[i].name);
    rest = names;
    for (char *name = text_next_field(&rest); name; name = text_next_field(&rest))
        suggest(&suggestion, name);
    best = memory_copy(suggestion.best);
    free(names);
    return best;
}

static int command_devices_found_nothing(const struct listing *listing,
                                         const struct command_line *line) {
    char *words = memory_strdup("");
    for (int i = 0; i < line->word_count; i++)
        memory_append(&words, "%s%s", i ? " " : "", line->words[i]);
    char *nearest = line->word_count == 1 ? command_devices_nearest(listing, line->words[0]) : NULL;
    char *hint =
        memory_printf("%s%s%s'virt-rules devices --all' lists every device%s",
                      nearest ? "did you mean '" : "", nearest ? nearest : "", nearest ? "'? " : "",
                      line->word_count > 1 ? "; each of the words must be found" : "");
    int status = command_failf(hint,
                               "no device has '%s' in its name, id, address, port, driver, class, "
                               "serial number or interface",
                               words);
    free(hint);
    free(nearest);
    free(words);
    return status;
}

/* --- a picture in a file */

/* Never over a device or a link: as root a rename would replace /dev/null. */
static bool command_devices_may_replace(const char *path) {
    struct stat status;
    return lstat(path, &status) < 0 || S_ISREG(status.st_mode);
}

static int command_devices_write(const char *path, const char *text, size_t size) {
    const mode_t others = umask(0);
    umask(others);
    if (!command_devices_may_replace(path))
        return command_failf("name a new file; '-' is standard output", "%s is not a regular file",
                             path);
    char *temporary = memory_printf("%s.%ld.tmp", path, (long)getpid());
    bool is_written = file_replace(path, temporary, text, size) == 0;
    int error = errno;
    free(temporary);
    if (!is_written)
        return command_failf("name a file in a directory that you may write to",
                             "%s cannot be written: %s", path, strerror(error));
    chmod(path, 0666 & ~others);
    return EXIT_FINE;
}

static int command_devices_draw(const struct devices_view *view, const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    devices_svg(out, view);
    memory_stream_close(out, &text);
    int status = EXIT_FINE;
    if (!strcmp(path, "-"))
        fputs(text, stdout);
    else
        status = command_devices_write(path, text, strlen(text));
    free(text);
    return status;
}

/* By the locale's names, since a static program has no locales. */
static bool command_devices_has_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !(locale && *locale); i++)
        locale = getenv(names[i]);
    return locale && (strcasestr(locale, "utf-8") || strcasestr(locale, "utf8"));
}

/* --- the command */

static int command_devices_show(const struct listing *listing,
                                const struct devices_options *options) {
    const struct devices_view view = {.inventory = &listing->inventory,
                                      .shown = listing->shown,
                                      .has_words = options->line.word_count > 0,
                                      .terminal = terminal_of(stdout)};
    bool found_nothing = options->line.word_count && command_devices_is_empty(listing);
    int status = EXIT_FINE;
    if (options->line.json)
        command_devices_print_json(listing);
    else if (found_nothing)
        ;
    else if (options->picture)
        status = command_devices_draw(&view, options->picture);
    else if (options->tree)
        devices_tree(stdout, &view, command_devices_has_utf8());
    else if (options->all)
        devices_detail(stdout, &view);
    else
        devices_list(stdout, &view);
    return found_nothing ? command_devices_found_nothing(listing, &options->line) : status;
}

static int command_devices_run(const struct command *command, int argc, char **argv) {
    struct devices_options options = {0};
    const struct command_line *line = &options.line;
    struct listing listing;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (command_has_empty_word(line))
        return EXIT_USAGE;
    if (line->json + options.tree + !!options.directory + !!options.picture > 1)
        return command_usage(command, "--tree, --svg, --json and --record exclude each other");
    if (options.directory)
        return command_devices_record(line->sysroot, options.directory);
    if (!command_devices_init(&listing, &options, &status))
        return status;
    status = command_devices_show(&listing, &options);
    command_devices_finish(&listing);
    return status;
}

static const struct command_option command_devices_options[] = {
    {.name = "all",
     .help = "every device, with all that is known of it",
     .field = offsetof(struct devices_options, all)},
    {.name = "tree",
     .help = "the host as a map: each device below the one that it is connected to",
     .field = offsetof(struct devices_options, tree)},
    {.name = "svg",
     .argument = "FILE",
     .help = "the host as a picture, SVG; '-' is standard output",
     .field = offsetof(struct devices_options, picture)},
    OPTION_RULES,
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
    .operands = "[WORD ...]",
    .summary = "List the host's devices: which can be assigned, which not and why.",
    .notes = "WORDs select devices: each must be in the name, id, address, port, driver,\n"
             "class, serial number or interface of the device. Plain words for a kind of\n"
             "device are known too: gpu, nic, sound, usb, disk, camera.\n"
             "--tree, --svg, --json and --record exclude each other.\n",
    .options = command_devices_options,
    .run = command_devices_run,
};
