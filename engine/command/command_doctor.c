/* virt-rules doctor: whether this host is ready for its rules, and what to do. */
#include "engine/command/command.h"

#include "engine/doctor/doctor.h"
#include "engine/host/source_sysfs.h"
#include "lexer/text.h"

#include <unistd.h>

/* Of this program's prefix, in the copy of the host if there is one. */
static void command_doctor_find_layout(struct layout *layout, const struct command_line *line) {
    char prefix[PATH_MAX];
    layout_prefix(prefix);
    layout_find(layout, &(struct layout_request){.root = line->sysroot ? line->sysroot : "",
                                                 .prefix = prefix,
                                                 .rules = line->rules,
                                                 .state = line->state});
}

struct doctor_options {
    struct command_line line;
    bool all;
};

/* What the doctor borrows. */
struct doctor_inputs {
    struct doctor doctor;
    struct host host;
    struct ruleset ruleset;
    struct program program;
    struct layout layout;
    struct failure failure;
};

static void command_doctor_load_rules(struct doctor_inputs *inputs) {
    program_load(&inputs->program, &inputs->ruleset, inputs->layout.rules);
    inputs->doctor.ruleset = &inputs->ruleset;
    inputs->doctor.program = &inputs->program;
    inputs->doctor.rules = inputs->layout.rules;
}

static void command_doctor_read_host(struct doctor_inputs *inputs, const char *sysroot) {
    struct host_source source = source_sysfs(sysroot);
    int status = source.load(&source, &inputs->host, &inputs->failure);
    inputs->doctor.host = status == 0 ? &inputs->host : NULL;
    inputs->doctor.host_error = inputs->failure.message;
}

static void command_doctor_ask_libvirt(struct libvirt_answer *answer, const char *sysroot) {
    if (sysroot)
        libvirt_answer_from_tree(answer, sysroot);
    else
        libvirt_answer_get(answer);
}

static int command_doctor_report(struct doctor *doctor, const struct doctor_options *options) {
    struct doctor_findings findings;
    doctor_examine(doctor, &findings);
    if (options->line.json)
        text_print_json(stdout, doctor_findings_json(&findings));
    else
        doctor_findings_print(&findings, stdout, terminal_of(stdout), options->all);
    size_t failed = doctor_findings_count(&findings, DOCTOR_FAILED);
    doctor_findings_finish(&findings);
    return failed ? EXIT_PROBLEM : EXIT_FINE;
}

/* With the tree open. */
static int command_doctor_examine(struct doctor_inputs *inputs,
                                  const struct doctor_options *options) {
    const struct command_line *line = &options->line;
    struct doctor *doctor = &inputs->doctor;
    command_doctor_find_layout(&inputs->layout, line);
    doctor->layout = &inputs->layout;
    command_doctor_read_host(inputs, line->sysroot);
    command_doctor_load_rules(inputs);
    doctor->state = inputs->layout.state;
    doctor->is_root = geteuid() == 0;
    doctor_read_state_facts(&doctor->facts, inputs->layout.state);
    command_doctor_ask_libvirt(&doctor->libvirt, line->sysroot);
    int status = command_doctor_report(doctor, options);
    libvirt_answer_finish(&doctor->libvirt);
    program_finish(&inputs->program);
    ruleset_finish(&inputs->ruleset);
    if (doctor->host)
        host_finish(&inputs->host);
    return status;
}

static int command_doctor_run(const struct command *command, int argc, char **argv) {
    struct doctor_options options = {0};
    const struct command_line *line = &options.line;
    struct doctor_inputs inputs = {0};
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (line->word_count)
        return command_usage(command, "it takes no argument: it checks the whole host");
    if (!tree_open(&inputs.doctor.tree, line->sysroot ? line->sysroot : ""))
        return command_failf("--sysroot takes a directory that holds sys/ and proc/",
                             "%s cannot be read", line->sysroot);
    status = command_doctor_examine(&inputs, &options);
    tree_close(&inputs.doctor.tree);
    return status;
}

static const struct command_option command_doctor_options[] = {
    {.name = "all",
     .help = "also show the checks that are fine",
     .field = offsetof(struct doctor_options, all)},
    OPTION_RULES,
    OPTION_STATE,
    OPTION_SYSROOT,
    OPTION_JSON,
    {0},
};

const struct command command_doctor_row = {
    .name = "doctor",
    .operands = "",
    .summary = "Check whether this host is ready for its rules, and say what to do.",
    .notes = "Failures come first, then warnings.\n"
             "With --sysroot, libvirt is not asked.\n",
    .options = command_doctor_options,
    .run = command_doctor_run,
};
