/* virt-rules doctor: whether this host is ready for its rules, and what to do. */
#include "engine/command/command.h"

#include "engine/doctor/doctor.h"
#include "engine/host/source_sysfs.h"
#include "engine/state/log_write.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <unistd.h>

/* A directory from the command line or environment, or the default one in the sysroot. The caller
 * frees it. */
static char *command_doctor_directory(const char *sysroot, const char *option,
                                      const char *environment, const char *standard) {
    bool is_named = option || (environment && *environment);
    return memory_printf("%s%s", sysroot && !is_named ? sysroot : "", standard);
}

/* What the doctor borrows. */
struct doctor_inputs {
    struct doctor doctor;
    struct host host;
    struct ruleset ruleset;
    struct program program;
    char *rules, *state;
    struct failure failure;
};

static void command_doctor_load_rules(struct doctor_inputs *inputs) {
    program_load(&inputs->program, &inputs->ruleset, inputs->rules);
    inputs->doctor.ruleset = &inputs->ruleset;
    inputs->doctor.program = &inputs->program;
    inputs->doctor.rules = inputs->rules;
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

static int command_doctor_report(struct doctor *doctor, bool json) {
    struct doctor_findings findings;
    doctor_examine(doctor, &findings);
    if (json)
        text_print_json(stdout, doctor_findings_json(&findings));
    else
        doctor_findings_print(&findings, stdout, command_colour(stdout));
    size_t failed = doctor_findings_count(&findings, DOCTOR_FAILED);
    doctor_findings_finish(&findings);
    return failed ? EXIT_PROBLEM : EXIT_FINE;
}

/* With the tree open. */
static int command_doctor_examine(struct doctor_inputs *inputs,
                                  const struct command_line *options) {
    struct doctor *doctor = &inputs->doctor;
    inputs->rules =
        command_doctor_directory(options->sysroot, options->rules, getenv("VIRT_RULES_DIR"),
                                 ruleset_directory(options->rules));
    inputs->state =
        command_doctor_directory(options->sysroot, options->state, getenv("VIRT_RULES_STATE"),
                                 log_write_state_directory(options->state));
    command_doctor_read_host(inputs, options->sysroot);
    command_doctor_load_rules(inputs);
    doctor->state = inputs->state;
    doctor->is_root = geteuid() == 0;
    doctor_read_state_facts(&doctor->facts, inputs->state);
    command_doctor_ask_libvirt(&doctor->libvirt, options->sysroot);
    int status = command_doctor_report(doctor, options->json);
    libvirt_answer_finish(&doctor->libvirt);
    program_finish(&inputs->program);
    ruleset_finish(&inputs->ruleset);
    if (doctor->host)
        host_finish(&inputs->host);
    free(inputs->rules);
    free(inputs->state);
    return status;
}

static int command_doctor_run(const struct command *command, int argc, char **argv) {
    struct command_line line = {0};
    struct doctor_inputs inputs = {0};
    int status;
    if (!command_parse(&line, command, argc, argv, &status))
        return status;
    if (line.word_count)
        return command_usage(command, "it takes no argument: it checks the whole host");
    if (!tree_open(&inputs.doctor.tree, line.sysroot ? line.sysroot : ""))
        return command_failf("--sysroot takes a directory that holds sys/ and proc/",
                             "%s cannot be read", line.sysroot);
    status = command_doctor_examine(&inputs, &line);
    tree_close(&inputs.doctor.tree);
    return status;
}

static const struct command_option command_doctor_options[] = {
    OPTION_RULES, OPTION_STATE, OPTION_SYSROOT, OPTION_JSON, {0},
};

const struct command command_doctor_row = {
    .name = "doctor",
    .operands = "",
    .summary = "Check whether this host is ready for its rules, and say what to do.",
    .notes = "With --sysroot, libvirt is not asked.\n",
    .options = command_doctor_options,
    .run = command_doctor_run,
};
