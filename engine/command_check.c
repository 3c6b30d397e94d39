/* virt-rules check: the same parser and checks that a run uses, and no libvirt. */
#include "engine/command.h"

#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

struct severity_option {
    const struct command *command;
    struct check_config *config;
    enum severity severity;
};

static int take_severity(void *context, const char *name) {
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

static int list_checks(void) {
    for (size_t i = 0; i < check_count(); i++) {
        const struct check_row *row = check_row(i);
        printf("%-22s %-8s %s\n", row->name,
               row->fixed                        ? "error!"
               : row->severity == SEVERITY_ERROR ? "error"
                                                 : "warning",
               row->summary);
    }
    puts("\nerror! cannot be changed; the others with --error, --warn and --ignore NAME");
    return EXIT_FINE;
}

static void print_json(const struct ruleset *ruleset) {
    struct json_object *document = json_object_new_object();
    json_object_object_add(document, "diagnostics", diagnostics_json(&ruleset->diagnostics));
    json_object_object_add(
        document, "errors",
        json_object_new_int64((int64_t)diagnostics_errors(&ruleset->diagnostics)));
    json_object_object_add(
        document, "warnings",
        json_object_new_int64((int64_t)diagnostics_warnings(&ruleset->diagnostics)));
    text_print_json(stdout, document);
}

static void add_paths(struct ruleset *ruleset, char **paths) {
    if (!*paths)
        ruleset_add_directory(ruleset, rules_directory(NULL));
    for (; *paths; paths++)
        ruleset_add_path(ruleset, *paths);
}

static int check_paths(char **paths, const struct check_config *config, bool json) {
    struct ruleset ruleset;
    ruleset_init(&ruleset);
    add_paths(&ruleset, paths);
    ruleset_load(&ruleset, config);
    bool wrong = diagnostics_errors(&ruleset.diagnostics) > 0;
    if (json)
        print_json(&ruleset);
    else
        command_report(&ruleset);
    ruleset_finish(&ruleset);
    return wrong ? EXIT_PROBLEM : EXIT_FINE;
}

int command_check(const struct command *command, int argc, char **argv) {
    struct check_config config;
    bool json = false, list = false;
    int status = EXIT_FINE;
    check_config_init(&config);
    struct severity_option error = {command, &config, SEVERITY_ERROR},
                           warning = {command, &config, SEVERITY_WARNING},
                           ignore = {command, &config, SEVERITY_IGNORE};
    const struct command_option options[] = {
        {.name = "strict", .flag = &config.strict},
        {.name = "json", .flag = &json},
        {.name = "list", .flag = &list},
        {.name = "error", .take = take_severity, .context = &error},
        {.name = "warn", .take = take_severity, .context = &warning},
        {.name = "ignore", .take = take_severity, .context = &ignore},
        {0},
    };
    int first = command_options(command, argc, argv, options, &status);
    if (first >= 0)
        status = list ? list_checks() : check_paths(argv + first, &config, json);
    check_config_finish(&config);
    return status;
}
