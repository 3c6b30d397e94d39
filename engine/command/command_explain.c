/* virt-rules explain: why a rule did or did not match. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/plan/explain.h"

static void command_explain_print(const struct plan_context *context, bool json) {
    struct explanation explanation;
    explain_init(&explanation, &context->request, context->devices, context->device_count);
    if (json)
        command_print_json(explain_json(&explanation), context->note);
    else
        explain_print(&explanation, stdout, terminal_of(stdout));
    explain_finish(&explanation);
}

static int command_explain_run(const struct command *command, int argc, char **argv) {
    struct command_line line = {0};
    struct plan_context context;
    int status;
    if (!command_parse(&line, command, argc, argv, &status) ||
        !plan_context_init(&context, &line, &status))
        return status;
    command_explain_print(&context, line.json);
    status = context.rules.have_errors ? EXIT_PROBLEM : EXIT_FINE;
    plan_context_finish(&context);
    return status;
}

static const struct command_option command_explain_options[] = {
    OPTION_RULES, OPTION_SYSROOT, OPTION_DOMAIN_XML, OPTION_JSON, {0},
};

const struct command command_explain_row = {
    .name = "explain",
    .operands = "VM [EVENT] [DEVICE]",
    .summary = "Show why each rule matches or not, condition by condition.",
    .notes = "Without EVENT it is 'started'.\n"
             "DEVICE is an address (03:00.0), a USB port (1-1.4), an id (1ac1:089a) or a SCSI\n"
             "address (3:0:0:0).\n",
    .options = command_explain_options,
    .run = command_explain_run,
};
