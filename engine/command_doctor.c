/* virt-rules doctor: whether this host is ready for what its rules want, and what to do. */
#include "engine/command.h"

#include "engine/doctor.h"
#include "engine/journal.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <unistd.h>

struct doctor_options {
    const char *sysroot, *rules, *state;
    bool json;
};

/* A directory that was named, or the default one, which lies below the other root. The caller frees
 * it. */
static char *place(const char *sysroot, const char *option, const char *environment,
                   const char *standard) {
    bool is_named = option || (environment && *environment);
    return memory_printf("%s%s", sysroot && !is_named ? sysroot : "", standard);
}

static void load_rules(struct ruleset *ruleset, struct program *program, const char *directory) {
    ruleset_init(ruleset);
    ruleset_add_directory(ruleset, directory);
    ruleset_load(ruleset, NULL);
    program_init(program, ruleset);
}

static void ask_libvirt(struct libvirt_answer *answer, const char *sysroot) {
    if (sysroot)
        libvirt_answer_from_tree(answer, sysroot);
    else
        libvirt_answer_get(answer);
}

static int report(struct doctor *doctor, bool json) {
    struct findings findings;
    doctor_examine(doctor, &findings);
    if (json)
        text_print_json(stdout, findings_json(&findings));
    else
        findings_print(&findings, stdout, command_colour(stdout));
    size_t failed = findings_count(&findings, DOCTOR_FAILED);
    findings_finish(&findings);
    return failed ? EXIT_PROBLEM : EXIT_FINE;
}

/* With the tree open. */
static int examine(struct doctor *doctor, const struct doctor_options *options) {
    char error[512];
    struct host host;
    struct ruleset ruleset;
    struct program program;
    char *rules = place(options->sysroot, options->rules, getenv("VIRT_RULES_DIR"),
                        rules_directory(options->rules));
    char *state = place(options->sysroot, options->state, getenv("VIRT_RULES_STATE"),
                        state_directory(options->state));
    bool has_host = host_init(&host, options->sysroot, error, sizeof error) == 0;
    load_rules(&ruleset, &program, rules);
    doctor->host = has_host ? &host : NULL;
    doctor->host_error = error;
    doctor->ruleset = &ruleset;
    doctor->program = &program;
    doctor->rules = rules;
    doctor->state = state;
    doctor->is_root = geteuid() == 0;
    state_facts_read(&doctor->facts, state);
    ask_libvirt(&doctor->libvirt, options->sysroot);
    int status = report(doctor, options->json);
    libvirt_answer_finish(&doctor->libvirt);
    program_finish(&program);
    ruleset_finish(&ruleset);
    if (has_host)
        host_finish(&host);
    free(rules);
    free(state);
    return status;
}

int command_doctor(const struct command *command, int argc, char **argv) {
    struct doctor_options options = {0};
    struct doctor doctor = {0};
    const struct command_option table[] = {{.name = "rules", .value = &options.rules},
                                           {.name = "state", .value = &options.state},
                                           {.name = "sysroot", .value = &options.sysroot},
                                           {.name = "json", .flag = &options.json},
                                           {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argv[first])
        return command_usage(command, "no word is needed: it looks at all of the host");
    if (!tree_open(&doctor.tree, options.sysroot ? options.sysroot : "")) {
        char *message = memory_printf("%s cannot be read", options.sysroot);
        status = command_fail(message, "--sysroot takes a directory that holds sys/ and proc/");
        free(message);
        return status;
    }
    status = examine(&doctor, &options);
    tree_close(&doctor.tree);
    return status;
}
