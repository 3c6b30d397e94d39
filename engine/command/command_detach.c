/* virt-rules detach: takes one device out of a running VM. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/trigger/freed.h"
#include "engine/trigger/manual_detach.h"

#include <stdlib.h>

static int command_detach_show(const struct manual_detach *detach, bool json) {
    char *obstacle = manual_detach_obstacle(detach);
    int status = obstacle ? EXIT_PROBLEM : EXIT_FINE;
    manual_detach_print(detach, stdout, json);
    free(obstacle);
    return status;
}

static int command_detach_device(struct manual_detach_request *request, bool dry, bool json) {
    struct manual_detach detach;
    struct virt_error error;
    int status;
    if (virt_asker_connect(&request->virt, NULL, &error) < 0)
        return command_fail_virt(&error, json);
    if (manual_detach_init(&detach, request, &error) < 0) {
        status = command_fail_virt(&error, json);
    } else {
        if (dry) {
            status = command_detach_show(&detach, json);
        } else {
            log_write_copy(request->log, stdout, json);
            status = manual_detach_execute(&detach) ? EXIT_FINE : EXIT_PROBLEM;
        }
        manual_detach_finish(&detach);
    }
    virt_close(request->virt);
    return status;
}

/* What the other VMs do with the device is in the log, and not this command's result. */
static void command_detach_notify(const struct manual_detach_request *request) {
    freed_notify_aside((struct freed){.program = request->program,
                                      .host_source = request->host_source,
                                      .state = request->state,
                                      .clock = request->clock,
                                      .open_virt = virt_asker_connect});
}

/* A dry run creates neither log nor lock. */
static int command_detach_open_log(struct manual_detach_request request, const char *rules,
                                   bool dry, bool json) {
    struct ruleset ruleset;
    struct program program;
    int status;
    if (dry) {
        request.state = NULL;
        return command_detach_device(&request, true, json);
    }
    request.state = log_write_state_directory(request.state);
    request.log = log_write_open(request.state, false);
    program_load(&program, &ruleset, ruleset_directory(rules));
    request.program = &program;
    status = command_detach_device(&request, false, json);
    log_write_close(request.log);
    command_detach_notify(&request);
    program_finish(&program);
    ruleset_finish(&ruleset);
    return status;
}

struct detach_options {
    struct command_line line;
    bool dry_run;
};

static int command_detach_run(const struct command *command, int argc, char **argv) {
    struct detach_options options = {0};
    const struct command_line *line = &options.line;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (line->word_count < 2)
        return command_usage(command, "give a VM and a device");
    if (line->word_count > 2)
        return command_too_many_vms(line, 1);
    if (command_has_empty_word(line))
        return EXIT_USAGE;
    struct host_source source = source_sysfs(line->sysroot);
    struct manual_detach_request request = {.clock = clock_system(),
                                            .vm = line->words[0],
                                            .word = line->words[1],
                                            .host_source = &source,
                                            .state = line->state};
    return command_detach_open_log(request, line->rules, options.dry_run, line->json);
}

static const struct command_option command_detach_options[] = {
    {.name = "dry-run",
     .help = "say what would be done, and change nothing",
     .field = offsetof(struct detach_options, dry_run)},
    OPTION_JSON,
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_STATE,
    {0},
};

const struct command command_detach_row = {
    .name = "detach",
    .operands = "VM DEVICE",
    .summary = "Detach a device from a running VM.",
    .notes = "DEVICE is an address (03:00.0), a USB port (1-1.4), an id (1ac1:089a), a SCSI\n"
             "address (3:0:0:0), a file (/dev/ttyUSB0), a disk of the guest (vdb), a MAC\n"
             "address, a UUID, or the VM's alias for it (hostdev0).\n",
    .options = command_detach_options,
    .run = command_detach_run,
};
