/* virt-rules apply: applies the rules to running VMs, and to the definitions of the others. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/trigger/apply.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

struct apply_options {
    struct command_line line;
    struct apply_request request;
    bool dry_run;
};

static int command_apply_show(const struct apply *apply) {
    struct failure failure;
    int good = apply_show(apply, terminal_of(stdout), &failure);
    if (good < 0)
        return command_fail(failure.message,
                            "--sysroot takes a directory that holds sys/ and proc/");
    return good ? EXIT_FINE : EXIT_PROBLEM;
}

static void command_apply_report(const struct failure *failure) {
    command_fail(failure->message, failure->hint);
}

static void command_apply_report_nothing_to_do(const struct apply *apply) {
    if (apply->chosen_count || apply->defined_count || apply->ended.count || apply->request->json ||
        apply->problem)
        return;
    terminal_wrap(stdout, terminal_of(stdout), 4,
                  apply->request->name_count
                      ? "nothing to do: no rule is for that VM at started or defined\n"
                      : "nothing to do: no rule is for a running VM at started, or for any VM at "
                        "defined\n");
}

/* A program that reads the document sees that nothing was done, and why. */
static int command_apply_fail_without_libvirt(const struct apply_options *options,
                                              const struct virt_error *error) {
    if (options->request.json) {
        struct json_object *document = text_json_object();
        char *note = command_libvirt_note(error);
        text_json_add(document, options->dry_run ? "plans" : "results", text_json_array());
        command_print_json(document, note);
        free(note);
    }
    return command_fail(error->failure.message, error->failure.hint);
}

static int command_apply_rules(const struct apply_options *options) {
    struct apply apply;
    struct virt_error error;
    int status;
    if (apply_init(&apply, &options->request, &error) < 0)
        return command_apply_fail_without_libvirt(options, &error);
    command_apply_report_nothing_to_do(&apply);
    if (options->dry_run)
        status = command_apply_show(&apply);
    else
        status = apply_execute(&apply) ? EXIT_FINE : EXIT_PROBLEM;
    apply_finish(&apply);
    return status;
}

/* Files with an error are named, or only mentioned where that has been done. */
static int command_apply_words(struct apply_options *options, bool is_silent) {
    const struct command_line *line = &options->line;
    struct host_source source = source_sysfs(line->sysroot);
    struct command_rules rules;
    if (is_silent)
        command_load_rules_silently(line, &rules);
    else
        command_load_rules(line, &rules);
    options->request.out = stdout;
    options->request.report = command_apply_report;
    options->request.clock = clock_system();
    options->request.open_virt = virt_asker_connect;
    options->request.json = line->json;
    options->request.names = line->words;
    options->request.name_count = (size_t)line->word_count;
    options->request.host_source = &source;
    options->request.state = log_write_state_directory(line->state);
    options->request.program = &rules.program;
    options->request.partial = rules.have_errors;
    int status = command_apply_rules(options);
    if (rules.have_errors && !is_silent)
        fputs("virt-rules: rule files with an error were left out\n", stderr);
    if (rules.have_errors && !is_silent)
        status = EXIT_PROBLEM;
    command_finish_rules(&rules);
    return status;
}

int command_apply_vm(const struct command_line *line, const char *vm, struct json_object *results) {
    char *words[] = {(char *)vm, NULL};
    struct apply_options options = {.line = *line, .request.collect = results};
    options.line.words = words;
    options.line.word_count = 1;
    return command_apply_words(&options, true);
}

static int command_apply_run(const struct command *command, int argc, char **argv) {
    struct apply_options options = {0};
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (command_has_empty_word(&options.line))
        return EXIT_USAGE;
    return command_apply_words(&options, false);
}

static const struct command_option command_apply_options[] = {
    {.name = "dry-run",
     .help = "print the plans, and change nothing",
     .field = offsetof(struct apply_options, dry_run)},
    OPTION_JSON,
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_STATE,
    {0},
};

const struct command command_apply_row = {
    .name = "apply",
    .operands = "[VM ...]",
    .summary = "Apply the rules to running VMs, and to the definitions of others.",
    .notes = "Without a VM: to every VM that a rule names: at started if it runs, else at\n"
             "defined.\n",
    .options = command_apply_options,
    .run = command_apply_run,
};
