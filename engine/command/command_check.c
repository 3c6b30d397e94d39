/* virt-rules check: the same parser and checks that a run uses, and no libvirt. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/check_host.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

struct severity_option {
    const struct command *command;
    struct check_config *config;
    enum severity severity;
};

static int command_check_take_severity(void *context, const char *name) {
    const struct severity_option *option = context;
    const char *suggestion = NULL;
    int status = check_config_set(option->config, name, option->severity, &suggestion);
    if (status == -2)
        return command_usage(option->command,
                             "'%s' is always an error: without it the file cannot "
                             "be understood",
                             name);
    if (status < 0 && suggestion)
        return command_usage(option->command, "no check is called '%s'; did you mean '%s'?", name,
                             suggestion);
    if (status < 0)
        return command_usage(option->command, "no check is called '%s'; see --list", name);
    return 0;
}

static const char *command_check_severity_of(const struct check_row *row) {
    return row->severity == SEVERITY_ERROR ? "error" : "warning";
}

static int command_check_list_checks_json(void) {
    struct json_object *document = json_object_new_object(), *list = json_object_new_array();
    for (enum check i = 0; i < CHECK_COUNT; i++) {
        const struct check_row *row = check_row(i);
        struct json_object *object = json_object_new_object();
        text_put_json(object, "name", row->name);
        text_put_json(object, "severity", row->fixed ? "error" : command_check_severity_of(row));
        json_object_object_add(object, "fixed", json_object_new_boolean(row->fixed));
        text_put_json(object, "summary", row->summary);
        json_object_array_add(list, object);
    }
    json_object_object_add(document, "checks", list);
    text_print_json(stdout, document);
    return EXIT_FINE;
}

static int command_check_list_checks(void) {
    for (enum check i = 0; i < CHECK_COUNT; i++) {
        const struct check_row *row = check_row(i);
        printf("%-22s %-8s %s\n", row->name, row->fixed ? "error!" : command_check_severity_of(row),
               row->summary);
    }
    puts("\nerror! cannot be changed; the others with --error, --warn and --ignore NAME");
    return EXIT_FINE;
}

static void command_check_print_json(const struct ruleset *ruleset, const char *note) {
    struct json_object *document = text_json_object();
    text_json_add(document, "diagnostics", diagnostic_list_json(&ruleset->diagnostics));
    text_json_add(document, "errors",
                  text_json_number((int64_t)diagnostic_count_errors(&ruleset->diagnostics)));
    text_json_add(document, "warnings",
                  text_json_number((int64_t)diagnostic_count_warnings(&ruleset->diagnostics)));
    command_put_note(document, note);
    text_print_json(stdout, document);
}

/* No error; but silence would look like praise for rules that nobody read. */
static void command_check_tell_of_empty(const char *path) {
    char *near = NULL;
    if (!ruleset_is_empty(path, &near))
        return;
    fputs("virt-rules: ", stderr);
    text_print_string(stderr, path);
    fputs(": no file in it ends in .rules, none was read\n  hint: ", stderr);
    if (near) {
        fputs("is '", stderr);
        text_print_string(stderr, near);
        fputs("' meant? Give it a name that ends in .rules and does not begin with a dot\n",
              stderr);
    } else {
        fputs("name the directory that has your *.rules files, or a file\n", stderr);
    }
    free(near);
}

static void command_check_add_paths(struct ruleset *ruleset, char **paths) {
    char *usual[] = {(char *)ruleset_directory(NULL), NULL};
    if (!*paths)
        ruleset_add_directory(ruleset, *usual);
    for (char **path = paths; *path; path++)
        ruleset_add_path(ruleset, *path);
    for (char **path = *paths ? paths : usual; *path; path++)
        command_check_tell_of_empty(*path);
}

struct check_options {
    struct check_config config;
    bool host, json, list;
    const char *sysroot;
};

/* The VMs of the host, or of the tree; without them only devices are judged, which is said. */
static bool command_check_find_vms(const struct check_options *options, struct domain_list *vms,
                                   char **note) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (options->sysroot)
        return domain_list_all_in(vms, options->sysroot);
    bool known =
        virt_asker_connect(&virt, NULL, &error) == 0 && domain_list_all(vms, virt, &error) == 0;
    if (!known) {
        *note = command_libvirt_note(&error);
        char *message = memory_printf("names of VMs are not judged, %s", *note);
        command_fail(message, error.failure.hint); /* only said */
        free(message);
    }
    virt_close(virt);
    return known;
}

static int command_check_check_host(const struct check_options *options, struct ruleset *ruleset,
                                    char **note) {
    struct failure failure;
    struct host_source source = source_sysfs(options->sysroot);
    struct host host;
    struct domain_list vms = {0};
    if (source.load(&source, &host, &failure) < 0) {
        *note = memory_strdup(failure.message);
        return command_fail(failure.message,
                            "--sysroot takes a directory that holds sys/ and proc/");
    }
    bool known = command_check_find_vms(options, &vms, note);
    check_host(ruleset, &options->config, &host, known, vms.list, vms.count);
    domain_list_finish(&vms);
    host_finish(&host);
    return EXIT_FINE;
}

static int command_check_check_paths(const struct check_options *options, char **paths) {
    struct ruleset ruleset;
    int status = EXIT_FINE;
    char *note = NULL;
    ruleset_init(&ruleset);
    command_check_add_paths(&ruleset, paths);
    ruleset_load(&ruleset, &options->config);
    if (options->host)
        status = command_check_check_host(options, &ruleset, &note);
    if (diagnostic_count_errors(&ruleset.diagnostics))
        status = EXIT_PROBLEM;
    if (options->json)
        command_check_print_json(&ruleset, note);
    else
        command_report(&ruleset);
    ruleset_finish(&ruleset);
    free(note);
    return status;
}

int command_check(const struct command *command, int argc, char **argv) {
    struct check_options options = {0};
    int status = EXIT_FINE;
    check_config_init(&options.config);
    struct severity_option error = {command, &options.config, SEVERITY_ERROR},
                           warning = {command, &options.config, SEVERITY_WARNING},
                           ignore = {command, &options.config, SEVERITY_IGNORE};
    const struct command_option table[] = {
        {.name = "strict", .flag = &options.config.strict},
        {.name = "host", .flag = &options.host},
        {.name = "sysroot", .value = &options.sysroot},
        {.name = "json", .flag = &options.json},
        {.name = "list", .flag = &options.list},
        {.name = "error", .take = command_check_take_severity, .context = &error},
        {.name = "warn", .take = command_check_take_severity, .context = &warning},
        {.name = "ignore", .take = command_check_take_severity, .context = &ignore},
        {.name = "rules", .take = command_refuse_rules, .context = (void *)command},
        {0},
    };
    int first = command_options(command, argc, argv, table, &status);
    if (first >= 0 && options.sysroot && !options.host)
        status = command_usage(command, "--sysroot goes with --host");
    else if (first >= 0 && command_has_empty_name(command, argv + first))
        status = EXIT_USAGE;
    else if (first >= 0 && options.list && argv[first])
        status = command_usage(command, "--list reads no file, but there is '%s'", argv[first]);
    else if (first >= 0 && options.list)
        status = options.json ? command_check_list_checks_json() : command_check_list_checks();
    else if (first >= 0)
        status = command_check_check_paths(&options, argv + first);
    return status;
}
