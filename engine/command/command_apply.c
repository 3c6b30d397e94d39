/* virt-rules apply: brings running VMs to what their rules want. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/trigger/apply.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

struct apply_options {
    const char *rules, *sysroot;
    struct apply_request request;
    bool dry;
};

static int command_apply_show(const struct apply *apply) {
    struct failure failure;
    bool colour = !apply->request->json && command_colour(stdout);
    int good = apply_show(apply, colour, &failure);
    if (good < 0)
        return command_fail(failure.message,
                            "--sysroot takes a directory that holds sys/ and proc/");
    return good ? EXIT_FINE : EXIT_PROBLEM;
}

static void command_apply_say_nothing_to_do(const struct apply *apply) {
    if (apply->chosen_count || apply->over.count || apply->request->json || apply->problem)
        return;
    printf("nothing to do: no rule is for %s at started\n",
           apply->request->name_count ? "that VM" : "a running VM");
}

/* A program that reads the document finds nothing done in it, and why. */
static int command_apply_fail_without_libvirt(const struct apply_options *options,
                                              const struct virt_error *error) {
    if (options->request.json) {
        struct json_object *document = text_json_object();
        char *note = command_libvirt_note(error);
        text_json_add(document, options->dry ? "plans" : "results", text_json_array());
        command_put_note(document, note);
        text_print_json(stdout, document);
        free(note);
    }
    return command_fail(error->failure.message, error->failure.hint);
}

static int command_apply_apply_rules(const struct apply_options *options) {
    struct apply apply;
    struct virt_error error;
    int status;
    if (apply_init(&apply, &options->request, &error) < 0)
        return command_apply_fail_without_libvirt(options, &error);
    command_apply_say_nothing_to_do(&apply);
    if (options->dry)
        status = command_apply_show(&apply);
    else
        status = apply_execute(&apply) ? EXIT_FINE : EXIT_PROBLEM;
    apply_finish(&apply);
    return status;
}

static int command_apply_with_rules(struct apply_options *options) {
    struct ruleset ruleset;
    struct program program;
    ruleset_init(&ruleset);
    ruleset_add_directory(&ruleset, ruleset_directory(options->rules));
    ruleset_load(&ruleset, NULL);
    bool broken = command_report(&ruleset);
    program_init(&program, &ruleset);
    options->request.program = &program;
    int status = command_apply_apply_rules(options);
    if (broken)
        fputs("virt-rules: not all rules count: files with an error are left out\n", stderr);
    program_finish(&program);
    ruleset_finish(&ruleset);
    return broken ? EXIT_PROBLEM : status;
}

int command_apply(const struct command *command, int argc, char **argv) {
    struct apply_options options = {.request = {.out = stdout,
                                                .clock = retry_clock(),
                                                .open_virt = virt_asker_connect}};
    const struct command_option table[] = {{.name = "dry-run", .flag = &options.dry},
                                           {.name = "json", .flag = &options.request.json},
                                           {.name = "rules", .value = &options.rules},
                                           {.name = "sysroot", .value = &options.sysroot},
                                           {.name = "state", .value = &options.request.state},
                                           {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    options.request.names = argv + first;
    options.request.name_count = (size_t)(argc - first);
    for (int i = first; i < argc; i++)
        if (!*argv[i])
            return command_usage(command, "a VM's name cannot be empty");
    struct host_source source = source_sysfs(options.sysroot);
    options.request.host_source = &source;
    options.request.state = log_write_state_directory(options.request.state);
    return command_apply_with_rules(&options);
}
