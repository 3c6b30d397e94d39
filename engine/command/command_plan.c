/* virt-rules plan: what an event would do. The plan is the one that a run executes. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/plan/plan_print.h"

struct plan_options {
    struct command_line line;
    bool xml;
};

static int command_plan_print(const struct plan_context *context, bool xml, bool json) {
    struct plan plan;
    plan_init(&plan, &context->request);
    if (json)
        command_print_json(plan_print_json(&plan), context->note);
    else
        plan_print(&plan, stdout, xml, command_colour(stdout));
    if (!json && context->rules.have_errors)
        puts("Rule files with an error were left out.");
    bool refused = plan_count(&plan, PLAN_REFUSED) > 0;
    plan_finish(&plan);
    return refused || context->rules.have_errors ? EXIT_PROBLEM : EXIT_FINE;
}

/* An unknown event is reported as such. */
static bool command_plan_takes_device(const char *event) {
    enum event_name name = scanner_event_from_text(event);
    return name == EVENT_PLUGGED || name == EVENT_UNPLUGGED || name == EVENT_FREED ||
           name == EVENT_COUNT;
}

static int command_plan_run(const struct command *command, int argc, char **argv) {
    struct plan_options options = {0};
    const struct command_line *line = &options.line;
    struct plan_context context;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (line->word_count == 3 && !command_plan_takes_device(line->words[1]))
        return command_usage(command,
                             "a device is added or removed at plugged and unplugged only, "
                             "not at %s",
                             line->words[1]);
    if (!plan_context_init(&context, line, &status))
        return status;
    if (context.device_count > 1)
        status = command_usage(command, "%zu devices are %s: name one by its address, such as %s",
                               context.device_count, line->words[2], context.devices[0]->address);
    else
        status = command_plan_print(&context, options.xml, line->json);
    plan_context_finish(&context);
    return status;
}

static const struct command_option command_plan_options[] = {
    OPTION_RULES,
    OPTION_SYSROOT,
    OPTION_DOMAIN_XML,
    {.name = "xml",
     .help = "also print the XML that libvirt gets in each step",
     .field = offsetof(struct plan_options, xml)},
    OPTION_JSON,
    {0},
};

const struct command command_plan_row = {
    .name = "plan",
    .operands = "VM EVENT [DEVICE]",
    .summary = "Show what an event would do, and why; change nothing.",
    .notes = "DEVICE is the device that was added, removed or freed: an address (03:00.0), a\n"
             "USB port (1-1.4), an id (1ac1:089a) or a SCSI address (3:0:0:0).\n",
    .options = command_plan_options,
    .run = command_plan_run,
};
