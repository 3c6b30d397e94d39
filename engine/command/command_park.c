/* virt-rules park: takes out of a running VM what rules gave it, and keeps it out. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/system/clock.h"
#include "engine/trigger/park.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

struct park_options {
    struct command_line line;
    bool dry_run;
    const char *wait;
};

bool command_park_log(struct park *park, struct json_object *collect,
                      bool (*work)(struct park *park)) {
    struct log_writer *log = park->request->log;
    char *lines = NULL;
    size_t size = 0;
    FILE *out = collect ? memory_stream(&lines, &size) : stdout;
    log_write_copy(log, out, collect != NULL);
    bool good = work(park);
    log_write_copy(log, NULL, false);
    if (!collect)
        return good;
    memory_stream_close(out, &lines);
    command_put_log_lines(collect, lines);
    free(lines);
    return good;
}

static int command_park_execute(struct park *park, bool json) {
    struct json_object *results = json ? text_json_array() : NULL;
    int status = command_park_log(park, results, park_execute) ? EXIT_FINE : EXIT_PROBLEM;
    if (json) {
        struct json_object *document = park_json(park);
        text_json_add(document, "results", results);
        command_print_json(document, NULL);
    }
    return status;
}

static int command_park_vm(struct park_request *request, const struct park_options *options) {
    struct park park;
    struct virt_error error;
    int status;
    bool json = options->line.json;
    if (virt_asker_connect(&request->vm.virt, NULL, &error) < 0)
        return command_fail_virt(&error, json);
    if (park_init(&park, request, &error) < 0) {
        status = command_fail_virt(&error, json);
    } else {
        status = !options->dry_run                 ? command_park_execute(&park, json)
                 : park_print(&park, stdout, json) ? EXIT_FINE
                                                   : EXIT_PROBLEM;
        park_finish(&park);
    }
    virt_close(request->vm.virt);
    return status;
}

static int command_park_run(const struct command *command, int argc, char **argv) {
    struct park_options options = {0};
    struct command_rules rules;
    const struct command_line *line = &options.line;
    uint32_t wait_ms = 0;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status) ||
        !command_has_one_vm(line, &status))
        return status;
    if (options.wait && !(wait_ms = command_read_wait(command, options.wait)))
        return EXIT_USAGE;
    struct host_source source = source_sysfs(line->sysroot);
    struct park_request request = {
        .vm = {.host_source = &source,
               .vm = line->words[0],
               .off_hint = "it holds no device, and a VM that stops is not parked any more"},
        .state = log_write_state_directory(line->state),
        .clock = clock_system(),
        .program = &rules.program,
        .wait_ms = (int)wait_ms};
    if (!options.dry_run) { /* which creates neither log nor lock */
        request.vm.state = request.state;
        request.log = log_write_open(request.state, false);
    }
    command_load_rules(line, &rules);
    status = command_park_vm(&request, &options);
    if (rules.have_errors)
        fputs("virt-rules: rule files with an error were left out\n", stderr);
    command_finish_rules(&rules);
    log_write_close(request.log);
    return status;
}

static const struct command_option command_park_options[] = {
    {.name = "wait",
     .argument = "DURATION",
     .help = "how long the guest has to release the devices; 60s unless given",
     .field = offsetof(struct park_options, wait)},
    {.name = "dry-run",
     .help = "say what would be done, and change nothing",
     .field = offsetof(struct park_options, dry_run)},
    OPTION_JSON,
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_STATE,
    {0},
};

const struct command command_park_row = {
    .name = "park",
    .operands = "VM",
    .summary = "Detach what rules gave a running VM, for a backup, save or migration.",
    .notes = "Nothing is attached to the VM until 'virt-rules unpark VM', or until it stops.\n"
             "Exit 1: a device is still in the VM; 'park' again asks for it again.\n",
    .options = command_park_options,
    .run = command_park_run,
};
