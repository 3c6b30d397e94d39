/* virt-rules check: the same parser and checks that a run uses, and no libvirt. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/check_host.h"
#include "engine/plan/near_miss.h"
#include "engine/rules/rule_file.h"
#include "engine/system/layout.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct check_options {
    struct command_line line;
    struct check_config config;
    bool host, list;
};

static int command_check_take_severity(struct command_line *line,
                                       const struct command_option *option, const char *name) {
    struct check_options *options = (struct check_options *)line;
    enum severity severity = !strcmp(option->name, "error")  ? SEVERITY_ERROR
                             : !strcmp(option->name, "warn") ? SEVERITY_WARNING
                                                             : SEVERITY_IGNORE;
    const char *suggestion = NULL;
    int status = check_config_set(&options->config, name, severity, &suggestion);
    if (status == -2)
        return command_usage(line->command,
                             "'%s' is always an error: without it the file cannot be understood",
                             name);
    if (status < 0 && suggestion)
        return command_usage(line->command, "there is no check '%s'; did you mean '%s'?", name,
                             suggestion);
    if (status < 0)
        return command_usage(line->command, "there is no check '%s'; see --list", name);
    return EXIT_FINE;
}

static const char *command_check_severity_of(const struct check_row *row) {
    return row->severity == SEVERITY_ERROR ? "error" : "warning";
}

static int command_check_print_list_json(void) {
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

static int command_check_print_list(void) {
    for (enum check i = 0; i < CHECK_COUNT; i++) {
        const struct check_row *row = check_row(i);
        printf("%-22s %-8s %s\n", row->name, row->fixed ? "error!" : command_check_severity_of(row),
               row->summary);
    }
    puts("\nerror! cannot be changed; --error, --warn and --ignore NAME change the others");
    return EXIT_FINE;
}

/* `paths`: as they were named; NULL ends them. */
static void command_check_print_json(const struct ruleset *ruleset, char **paths,
                                     const char *note) {
    struct json_object *document = text_json_object(), *disabled = text_json_array();
    for (; *paths; paths++)
        ruleset_put_disabled(disabled, *paths);
    text_json_add(document, "diagnostics", diagnostic_list_json(&ruleset->diagnostics));
    text_json_add(document, "errors",
                  text_json_number((int64_t)diagnostic_count_errors(&ruleset->diagnostics)));
    text_json_add(document, "warnings",
                  text_json_number((int64_t)diagnostic_count_warnings(&ruleset->diagnostics)));
    text_json_add(document, "disabled", disabled);
    command_print_json(document, note);
}

/* Files of the directory that have rules, and whose names do not end in .rules. */
static void command_check_find_misnamed(struct near_misses *misses, const struct ruleset *ruleset,
                                        const char *path) {
    struct near_misses found = {0};
    struct program program = {.ruleset = ruleset};
    struct event event = {0};
    near_miss_find_unread(&found, &program, &event, path);
    for (size_t i = 0; i < found.count; i++) {
        const char *file = found.list[i].path;
        if (strcmp(file, path) != 0 && !text_ends_with(file, RULE_FILE_DISABLED)) {
            misses->list = memory_grow(misses->list, misses->count, sizeof *misses->list);
            misses->list[misses->count++] = found.list[i];
            found.list[i] = (struct near_miss){0};
        }
    }
    near_miss_finish(&found);
}

/* That no file of the directory was read, and which one may be meant. */
static void command_check_report_empty(const char *path, const char *near, const char *disabled) {
    char *hint = disabled ? memory_strdup("'virt-rules enable FILE' turns a file on again")
                 : near   ? memory_printf("did you mean '%s'? Its name must end in .rules and must "
                                            "not begin with a dot",
                                          near)
                          : memory_strdup("'virt-rules add' writes a rule; to check other files, "
                                            "name them or their directory");
    command_failf(hint, "%s: no file name in it ends in .rules, so no file was read%s%s", path,
                  disabled ? "; disabled: " : "", disabled ? disabled : "");
    free(hint);
}

/* Not an error, but without output it would seem that the rules were checked. What is beside files
 * that were read is named to a person only. */
static void command_check_report_unread(const struct ruleset *ruleset, const char *path) {
    struct near_misses misnamed = {0};
    char *near = NULL;
    bool is_empty = ruleset_is_empty(path, &near);
    bool is_wanted = is_empty || isatty(STDERR_FILENO);
    char *disabled = is_wanted ? ruleset_disabled(path) : NULL;
    if (is_wanted)
        command_check_find_misnamed(&misnamed, ruleset, path);
    if (is_empty && !near && misnamed.count)
        near = memory_strdup(strrchr(misnamed.list[0].path, '/') + 1);
    if (is_empty)
        command_check_report_empty(path, near, disabled);
    else if (disabled)
        command_failf("'virt-rules enable FILE' turns a file on again",
                      "%s: disabled, so not read: %s", path, disabled);
    for (size_t i = 0; !is_empty && i < misnamed.count; i++)
        command_failf(misnamed.list[i].hint, "%s %s", misnamed.list[i].path,
                      misnamed.list[i].message);
    near_miss_finish(&misnamed);
    free(disabled);
    free(near);
}

/* A file of settings, by its name. One that is not there is reported as a rule file is. */
static bool command_check_is_conf(const char *path) {
    return !strcmp(text_base_name(path), CONF_NAME) && access(path, F_OK) == 0;
}

static void command_check_add_paths(struct ruleset *ruleset, char **paths, bool is_usual) {
    if (is_usual)
        ruleset_add_directory(ruleset, *paths);
    for (char **path = paths; *path && !is_usual; path++)
        if (!command_check_is_conf(*path))
            ruleset_add_path(ruleset, *path);
    for (char **path = paths; *path; path++)
        command_check_report_unread(ruleset, *path);
}

/* The one that is named, or of each directory the one beside it. */
static void command_check_conf(struct ruleset *ruleset, const char *path) {
    char file[PATH_MAX];
    struct stat status;
    if (command_check_is_conf(path)) {
        ruleset_check_conf(ruleset, path);
    } else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        layout_conf_beside(file, path);
        ruleset_check_conf(ruleset, file);
    }
}

/* The VMs of the host, or of the tree; without them only devices are checked, which is reported. */
static bool command_check_find_vms(const struct check_options *options, struct domain_list *vms,
                                   char **note) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (options->line.sysroot)
        return domain_list_all_in(vms, options->line.sysroot);
    bool known =
        virt_asker_connect(&virt, NULL, &error) == 0 && domain_list_all(vms, virt, &error) == 0;
    if (!known) {
        *note = command_libvirt_note(&error);
        command_failf(error.failure.hint, "names of VMs are not checked: %s",
                      *note); /* only said */
    } else {
        command_complete_vms(vms, "", note);
    }
    virt_close(virt);
    return known;
}

static int command_check_host(const struct check_options *options, struct ruleset *ruleset,
                              char **note) {
    struct failure failure;
    struct host_source source = source_sysfs(options->line.sysroot);
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

static void command_check_count(FILE *out, size_t count, const char *what) {
    fprintf(out, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

/* The diagnostics, and how many there are. On a terminal also that there are none, and what was
 * read, so that nobody has to wonder. */
static void command_check_print(const struct ruleset *ruleset) {
    size_t errors = diagnostic_count_errors(&ruleset->diagnostics), rules = 0;
    size_t warnings = diagnostic_count_warnings(&ruleset->diagnostics);
    command_report(ruleset);
    for (const struct rule *rule = ruleset->syntax.rules; rule; rule = rule->next)
        rules++;
    for (const struct guard *guard = ruleset->syntax.guards; guard; guard = guard->next)
        rules++;
    if (errors + warnings > 1) {
        if (errors)
            command_check_count(stderr, errors, "error");
        fputs(errors && warnings ? ", " : "", stderr);
        if (warnings)
            command_check_count(stderr, warnings, "warning");
        putc('\n', stderr);
    } else if (!errors && !warnings && isatty(STDOUT_FILENO)) {
        command_check_count(stdout, rules, "rule");
        fputs(" in ", stdout);
        command_check_count(stdout, ruleset->count, "file");
        puts(", no mistake");
    }
}

static int command_check_paths(const struct check_options *options, char **named) {
    char *usual[] = {(char *)ruleset_directory(NULL), NULL};
    char **paths = *named ? named : usual;
    struct ruleset ruleset;
    int status = EXIT_FINE;
    char *note = NULL;
    ruleset_init(&ruleset);
    command_check_add_paths(&ruleset, paths, !*named);
    ruleset_load(&ruleset, &options->config);
    for (char **path = paths; *path; path++)
        command_check_conf(&ruleset, *path);
    if (options->host)
        status = command_check_host(options, &ruleset, &note);
    if (diagnostic_count_errors(&ruleset.diagnostics))
        status = EXIT_PROBLEM;
    if (options->line.json)
        command_check_print_json(&ruleset, paths, note);
    else
        command_check_print(&ruleset);
    ruleset_finish(&ruleset);
    free(note);
    return status;
}

static int command_check_run_parsed(const struct check_options *options) {
    const struct command_line *line = &options->line;
    if (line->sysroot && !options->host)
        return command_usage(line->command, "--sysroot needs --host");
    if (command_has_empty_word(line))
        return EXIT_USAGE;
    if (options->list && line->word_count)
        return command_usage(line->command, "--list reads no file; remove '%s'", line->words[0]);
    if (options->list)
        return line->json ? command_check_print_list_json() : command_check_print_list();
    return command_check_paths(options, line->words);
}

static int command_check_run(const struct command *command, int argc, char **argv) {
    struct check_options options = {0};
    int status;
    check_config_init(&options.config);
    if (command_parse(&options.line, command, argc, argv, &status))
        status = command_check_run_parsed(&options);
    return status;
}

static const struct command_option command_check_options[] = {
    {.name = "strict",
     .help = "warnings count as errors",
     .field = offsetof(struct check_options, config.strict)},
    {.name = "error",
     .argument = "NAME",
     .help = "make a check an error",
     .take = command_check_take_severity},
    {.name = "warn",
     .argument = "NAME",
     .help = "make a check a warning",
     .take = command_check_take_severity},
    {.name = "ignore",
     .argument = "NAME",
     .help = "turn a check off",
     .take = command_check_take_severity},
    {.name = "host",
     .help = "also check the rules against the VMs and devices of this host",
     .field = offsetof(struct check_options, host)},
    OPTION_SYSROOT,
    {.name = "list",
     .help = "print the checks and their severities",
     .field = offsetof(struct check_options, list)},
    OPTION_JSON,
    OPTION_NO_RULES,
    {0},
};

const struct command command_check_row = {
    .name = "check",
    .operands = "[FILE or DIRECTORY ...]",
    .summary = "Check rule files.",
    .notes = "Without a file: the rules directory. '-' is standard input. The\n"
             "virt-rules.conf beside a directory of rules is checked too.\n"
             "--sysroot needs --host.\n",
    .options = command_check_options,
    .run = command_check_run,
};
