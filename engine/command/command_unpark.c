/* virt-rules unpark: a parked VM gets again what the rules give it. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/system/clock.h"
#include "engine/trigger/apply.h"
#include "engine/trigger/park.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

struct unpark_options {
    struct command_line line;
    bool dry_run;
};

static void command_unpark_report(const struct failure *failure) {
    command_fail(failure->message, failure->hint);
}

/* As 'virt-rules apply VM' does it. A dry run has no state, so that the plan is that of a VM which
 * is not parked. */
static int command_unpark_apply(const struct park *park, struct json_object *collect,
                                bool dry_run) {
    const struct park_request *request = park->request;
    char *key = memory_strdup(domain_key(&park->vm.domain));
    const struct apply_request apply_request = {.program = request->program,
                                                .host_source = request->vm.host_source,
                                                .state = dry_run ? NULL : request->state,
                                                .names = &key,
                                                .name_count = 1,
                                                .json = collect != NULL,
                                                .out = stdout,
                                                .collect = collect,
                                                .report = command_unpark_report,
                                                .clock = request->clock,
                                                .open_virt = request->open_virt};
    struct apply apply;
    struct virt_error error;
    struct failure failure = {0};
    int status = EXIT_PROBLEM;
    if (apply_init(&apply, &apply_request, &error) < 0) {
        command_fail(error.failure.message, error.failure.hint);
    } else {
        int good =
            dry_run ? apply_show(&apply, terminal_of(stdout), &failure) : apply_execute(&apply);
        if (good < 0)
            command_fail(failure.message, "--sysroot takes a directory that holds sys/ and proc/");
        status = good > 0 ? EXIT_FINE : EXIT_PROBLEM;
        apply_finish(&apply);
    }
    free(key);
    return status;
}

/* A VM that is not parked has what its rules give it, as far as anybody knows. */
static int command_unpark_say_not_parked(const struct park *park, bool json) {
    if (json)
        return EXIT_FINE;
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    fputs("VM '", out);
    text_print_string(out, domain_label(&park->vm.domain));
    fputs("' is not parked; 'virt-rules apply' applies the rules to running VMs\n", out);
    terminal_wrap_stream(stdout, terminal_of(stdout), 4, out, &text);
    return EXIT_FINE;
}

static int command_unpark_execute(struct park *park, struct json_object *collect) {
    if (!park_is_parked(park))
        return command_unpark_say_not_parked(park, collect);
    if (!command_park_log(park, collect, park_end))
        return EXIT_PROBLEM;
    int status = command_unpark_apply(park, collect, false);
    if (!command_park_log(park, collect, park_apply_other_events))
        status = EXIT_PROBLEM;
    park_forget(park);
    return status;
}

static int command_unpark_show(const struct park *park, struct json_object *collect) {
    if (!park_is_parked(park))
        return command_unpark_say_not_parked(park, collect);
    return command_unpark_apply(park, collect, true);
}

static int command_unpark_work(struct park *park, const struct unpark_options *options) {
    bool was_parked = park_is_parked(park), json = options->line.json;
    struct json_object *collect = json ? text_json_array() : NULL;
    int status = options->dry_run ? command_unpark_show(park, collect)
                                  : command_unpark_execute(park, collect);
    if (json) {
        struct json_object *document = text_json_object();
        text_put_json(document, "vm", domain_label(&park->vm.domain));
        text_put_json(document, "uuid", park->vm.domain.uuid);
        text_json_add(document, "was_parked", text_json_boolean(was_parked));
        text_json_add(document, options->dry_run ? "plans" : "results", collect);
        command_print_json(document, NULL);
    }
    return status;
}

static int command_unpark_vm(struct park_request *request, const struct unpark_options *options) {
    struct park park;
    struct virt_error error;
    int status;
    if (virt_asker_connect(&request->vm.virt, NULL, &error) < 0)
        return command_fail_virt(&error, options->line.json);
    if (park_init(&park, request, &error) < 0) {
        status = command_fail_virt(&error, options->line.json);
    } else {
        status = command_unpark_work(&park, options);
        park_finish(&park);
    }
    virt_close(request->vm.virt);
    return status;
}

static int command_unpark_run(const struct command *command, int argc, char **argv) {
    struct unpark_options options = {0};
    struct command_rules rules;
    const struct command_line *line = &options.line;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status) ||
        !command_has_one_vm(line, &status))
        return status;
    struct host_source source = source_sysfs(line->sysroot);
    struct park_request request = {
        .vm = {.host_source = &source,
               .vm = line->words[0],
               .off_hint =
                   "a VM that stops is not parked any more; its rules apply when it starts"},
        .state = log_write_state_directory(line->state),
        .clock = clock_system(),
        .program = &rules.program,
        .open_virt = virt_asker_connect};
    if (!options.dry_run) { /* which creates neither log nor lock */
        request.vm.state = request.state;
        request.log = log_write_open(request.state, false);
    }
    command_load_rules(line, &rules);
    status = command_unpark_vm(&request, &options);
    if (rules.have_errors)
        fputs("virt-rules: rule files with an error were left out\n", stderr);
    if (rules.have_errors && status == EXIT_FINE)
        status = EXIT_PROBLEM;
    command_finish_rules(&rules);
    log_write_close(request.log);
    return status;
}

static const struct command_option command_unpark_options[] = {
    {.name = "dry-run",
     .help = "print what the rules would do then, and change nothing",
     .field = offsetof(struct unpark_options, dry_run)},
    OPTION_JSON,
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_STATE,
    {0},
};

const struct command command_unpark_row = {
    .name = "unpark",
    .operands = "VM",
    .summary = "Apply the rules again to a VM that 'park' took devices out of.",
    .notes = "",
    .options = command_unpark_options,
    .run = command_unpark_run,
};
