/* virt-rules plug: what udev's rule starts, detached; the environment is the kernel's event. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/model/address.h"
#include "engine/model/device.h"
#include "engine/state/device_db.h"
#include "engine/trigger/plug.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct plug_options {
    struct command_line line;
    struct host_source host_source;
    const char *action, *device, *id; /* by hand */
};

/* The device that was last reported at this address or port. */
static void command_plug_recall_device(const struct plug_options *options, struct device *device) {
    struct device_slot presence;
    char *place = device_db_slot(device),
         *boot = options->host_source.boot_id(&options->host_source);
    device_db_read(&presence, log_write_state_directory(options->line.state), place, boot);
    const struct device *found = presence.has_gone  ? &presence.gone
                                 : presence.is_here ? &presence.here
                                                    : NULL;
    if (found) {
        device_finish(device);
        *device = device_copy(found);
    }
    device_db_finish(&presence);
    free(boot);
    free(place);
}

/* The device at the address now; for a removed one, the device that was there. */
static int command_plug_find_device(const struct plug_options *options, struct uevent *uevent) {
    struct host host;
    struct failure failure;
    struct device *device = &uevent->device;
    if (options->host_source.load(&options->host_source, &host, &failure) < 0)
        return command_fail(failure.message,
                            "--sysroot takes a directory that holds sys/ and proc/");
    const struct device *found = host_find(&host, device->bus, device->address);
    if (found) {
        struct device copy = device_copy(found);
        device_finish(device);
        *device = copy;
    } else if (uevent->removed) {
        command_plug_recall_device(options, device);
    }
    host_finish(&host);
    if (found || uevent->removed)
        return EXIT_FINE;
    return command_failf("'virt-rules devices' lists those that it has",
                         "the host has no device '%s'", options->device);
}

static int command_plug_uevent_by_hand(const struct plug_options *options, struct uevent *uevent) {
    char address[64];
    struct device_id id = {0};
    bool removed = !strcmp(options->action, "remove");
    if (!removed && strcmp(options->action, "add") != 0)
        return command_usage(options->line.command, "'%s' is neither 'add' nor 'remove'",
                             options->action);
    if (!address_normalise(options->device, address, sizeof address))
        return command_usage(options->line.command,
                             "'%s' is not a PCI address (03:00.0), a USB port (1-1.4), or a SCSI "
                             "address (3:0:0:0)",
                             options->device);
    if (options->id && !device_id_parse(options->id, &id))
        return command_usage(options->line.command, "'%s' is not an id, such as 1a6e:089a",
                             options->id);
    *uevent = (struct uevent){.removed = removed};
    uevent->device = (struct device){.address = memory_strdup(address),
                                     .name = memory_strdup(address),
                                     .iommu_group = -1,
                                     .numa_node = -1,
                                     .vf_number = -1,
                                     .scsi_type = SCSI_UNKNOWN};
    device_bus_of_address(address, &uevent->device.bus);
    int status = command_plug_find_device(options, uevent);
    if (options->id)
        uevent->device.id = id;
    if (status == EXIT_FINE && uevent->device.bus != BUS_SCSI && !uevent->device.id.vendor &&
        !uevent->device.id.device)
        return command_usage(options->line.command,
                             "it is not known which device was at '%s': add its id, as in "
                             "'plug remove 1-1.4 1a6e:089a'",
                             options->device);
    return status;
}

/* A person gets the result on stderr; udev reads nothing. */
static int command_plug_handle(const struct plug_options *options, const struct uevent *uevent) {
    bool by_hand = options->device != NULL;
    struct plug plug = {.rules = ruleset_directory(options->line.rules),
                        .host_source = &options->host_source,
                        .state = log_write_state_directory(options->line.state),
                        .by_hand = by_hand,
                        .log =
                            log_write_open(options->line.state, by_hand || isatty(STDERR_FILENO)),
                        .clock = clock_system(),
                        .open_virt = virt_asker_connect};
    bool good = plug_event(&plug, uevent);
    if (by_hand && good && !log_write_count(plug.log))
        fprintf(stderr,
                "virt-rules: nothing to do: no rule for a running VM names '%s'; 'virt-rules "
                "explain VM %s %s' says why\n",
                options->device,
                scanner_event_text(uevent->removed ? EVENT_UNPLUGGED : EVENT_PLUGGED),
                options->device);
    log_write_close(plug.log);
    return good ? EXIT_FINE : EXIT_PROBLEM;
}

static int command_plug_from_environment(const struct plug_options *options,
                                         struct uevent *uevent) {
    if (!getenv("ACTION") || !getenv("DEVPATH"))
        return command_usage(options->line.command,
                             "there is no event: udev sets ACTION, DEVPATH and other variables; "
                             "without udev give an action and a device, as in 'plug add 1-1.4'");
    return uevent_init(uevent, (const char *const *)environ) ? EXIT_FINE : -1;
}

static int command_plug_run(const struct command *command, int argc, char **argv) {
    struct plug_options options = {0};
    struct uevent uevent = {0};
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    int words = options.line.word_count;
    if (words == 1 || words > 3)
        return command_usage(command, "give 'add' or 'remove', the device, and the id of a device "
                                      "that was removed");
    options.host_source = source_sysfs(options.line.sysroot);
    if (words) {
        options.action = options.line.words[0];
        options.device = options.line.words[1];
        options.id = options.line.words[2];
    }
    status = words ? command_plug_uevent_by_hand(&options, &uevent)
                   : command_plug_from_environment(&options, &uevent);
    if (status == EXIT_FINE)
        status = command_plug_handle(&options, &uevent);
    uevent_finish(&uevent);
    return status < 0 ? EXIT_FINE : status; /* not an event of a PCI or USB device */
}

static const struct command_option command_plug_options[] = {
    OPTION_RULES,
    OPTION_STATE,
    OPTION_SYSROOT,
    {0},
};

const struct command command_plug_row = {
    .name = "plug",
    .operands = "[ACTION DEVICE [ID]]",
    .summary = "Handle a device that was added or removed; udev calls it.",
    .notes = "udev passes the event in the environment. By hand: ACTION is 'add' or 'remove',\n"
             "DEVICE is a PCI address or a USB port. ID is the id of a removed device.\n",
    .options = command_plug_options,
    .run = command_plug_run,
};
