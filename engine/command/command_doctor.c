/* virt-rules doctor: whether this host is ready for its rules, and what to do. */
#include "engine/command/command.h"

#include "engine/doctor/doctor.h"
#include "engine/host/source_sysfs.h"
#include "engine/state/log_write.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <unistd.h>

/* A directory from the command line or environment, or the default one in the sysroot. The caller frees it. */
static char *command_doctor_place(const char *sysroot, const char *option, const char *environment,
                                  const char *standard) {
    bool is_named = option || (environment && *environment);
    return memory_printf("%s%s", sysroot && !is_named ? sysroot : "", standard);
}

/* What a doctor borrows. */
struct ward {
    struct doctor doctor;
    struct host host;
    struct ruleset ruleset;
    struct program program;
    char *rules, *state;
    struct failure failure;
};

static void command_doctor_load_rules(struct ward *ward) {
    ruleset_init(&ward->ruleset);
    ruleset_add_directory(&ward->ruleset, ward->rules);
    ruleset_load(&ward->ruleset, NULL);
    program_init(&ward->program, &ward->ruleset);
    ward->doctor.ruleset = &ward->ruleset;
    ward->doctor.program = &ward->program;
    ward->doctor.rules = ward->rules;
}

static void command_doctor_read_host(struct ward *ward, const char *sysroot) {
    struct host_source source = source_sysfs(sysroot);
    int status = source.load(&source, &ward->host, &ward->failure);
    ward->doctor.host = status == 0 ? &ward->host : NULL;
    ward->doctor.host_error = ward->failure.message;
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
static int command_doctor_examine(struct ward *ward, const struct command_line *options) {
    struct doctor *doctor = &ward->doctor;
    ward->rules = command_doctor_place(options->sysroot, options->rules, getenv("VIRT_RULES_DIR"),
                                       ruleset_directory(options->rules));
    ward->state = command_doctor_place(options->sysroot, options->state, getenv("VIRT_RULES_STATE"),
                                       log_write_state_directory(options->state));
    command_doctor_read_host(ward, options->sysroot);
    command_doctor_load_rules(ward);
    doctor->state = ward->state;
    doctor->is_root = geteuid() == 0;
    doctor_read_state_facts(&doctor->facts, ward->state);
    command_doctor_ask_libvirt(&doctor->libvirt, options->sysroot);
    int status = command_doctor_report(doctor, options->json);
    libvirt_answer_finish(&doctor->libvirt);
    program_finish(&ward->program);
    ruleset_finish(&ward->ruleset);
    if (doctor->host)
        host_finish(&ward->host);
    free(ward->rules);
    free(ward->state);
    return status;
}

static int command_doctor_run(const struct command *command, int argc, char **argv) {
    struct command_line line = {0};
    struct ward ward = {0};
    int status;
    if (!command_parse(&line, command, argc, argv, &status))
        return status;
    if (line.word_count)
        return command_usage(command, "it takes no argument: it checks the whole host");
    if (!tree_open(&ward.doctor.tree, line.sysroot ? line.sysroot : ""))
        return command_failf("--sysroot takes a directory that holds sys/ and proc/",
                             "%s cannot be read", line.sysroot);
    status = command_doctor_examine(&ward, &line);
    tree_close(&ward.doctor.tree);
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
