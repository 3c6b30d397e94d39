/* virt-rules plan: what an event would do. The plan is the one that a run executes. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/plan/near_miss.h"
#include "engine/plan/plan_part.h"
#include "engine/plan/plan_print.h"
#include "lexer/text.h"

struct plan_options {
    struct command_line line;
    bool xml;
};

static void command_plan_find_misses(const struct plan_context *context,
                                     struct near_misses *misses) {
    const struct program *program = &context->rules.program;
    near_miss_find(misses, program, &context->event);
    near_miss_find_unread(misses, program, &context->event,
                          ruleset_directory(context->line->rules));
    near_miss_sort(misses);
}

static int command_plan_print(struct plan_context *context, bool xml, bool json) {
    struct plan plan;
    struct near_misses misses = {0};
    plan_init(&plan, &context->request);
    if (context->host.is_partial && !(plan.count && plan_part_is_clear(&plan))) {
        plan_finish(&plan);
        int status = plan_context_read_whole(context);
        if (status != EXIT_FINE)
            return status;
        plan_init(&plan, &context->request);
    }
    if (!plan.count)
        command_plan_find_misses(context, &misses);
    if (json) {
        struct json_object *document = plan_print_json(&plan);
        text_json_add(document, "near_misses", near_miss_json(&misses));
        command_print_json(document, context->note);
    } else {
        plan_print(&plan, stdout, xml, terminal_of(stdout));
        near_miss_print(&misses, stdout, terminal_of(stdout));
    }
    near_miss_finish(&misses);
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

static int command_plan_refuse_device(const struct command *command, const char *event) {
    return command_usage(
        command, "a device is added or removed at plugged and unplugged only, not at %s", event);
}

static int command_plan_run(const struct command *command, int argc, char **argv) {
    struct plan_options options = {0};
    const struct command_line *line = &options.line;
    struct plan_context context;
    int status;
    if (!command_parse(&options.line, command, argc, argv, &status))
        return status;
    if (line->word_count == 3 && !command_plan_takes_device(line->words[1]))
        return command_plan_refuse_device(command, line->words[1]);
    if (!plan_context_init_part(&context, line, &status))
        return status;
    if (context.device_word && !command_plan_takes_device(context.event_word))
        status = command_plan_refuse_device(command, context.event_word);
    else if (context.device_count > 1)
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
    .operands = "VM [EVENT] [DEVICE]",
    .summary = "Show what an event would do, and why; change nothing.",
    .notes = "Without EVENT it is 'started'.\n"
             "DEVICE is the device that was added, removed or freed: an address (03:00.0), a\n"
             "USB port (1-1.4), an id (1ac1:089a) or a SCSI address (3:0:0:0).\n",
    .options = command_plan_options,
    .run = command_plan_run,
};
