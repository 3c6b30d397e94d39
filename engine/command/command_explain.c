/* virt-rules explain: why a rule did or did not match. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/plan/explain.h"
#include "lexer/text.h"

static void command_explain_print_explanation(const struct plan_context *inquiry, bool json) {
    struct explanation explanation;
    explain_init(&explanation, &inquiry->request, inquiry->devices, inquiry->device_count);
    struct json_object *document = json ? explain_json(&explanation) : NULL;
    if (json)
        command_put_note(document, inquiry->note), text_print_json(stdout, document);
    else
        explain_print(&explanation, stdout, command_colour(stdout));
    explain_finish(&explanation);
}

int command_explain(const struct command *command, int argc, char **argv) {
    struct plan_context inquiry = {.command = command};
    bool json = false;
    const struct command_option table[] = {
        INQUIRY_OPTIONS(&inquiry), {.name = "json", .flag = &json}, {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argc - first < 2 || argc - first > 3)
        return command_usage(command, argc - first < 2
                                          ? "a VM and an event are needed"
                                          : "too many words: one VM (in quotes when its "
                                            "name has a blank), one event, one device");
    inquiry.vm = argv[first];
    inquiry.event_word = argv[first + 1];
    inquiry.device_word = argv[first + 2];
    status = plan_context_init(&inquiry);
    if (status != EXIT_FINE)
        return status;
    command_explain_print_explanation(&inquiry, json);
    status = inquiry.broken_rules ? EXIT_PROBLEM : EXIT_FINE;
    plan_context_finish(&inquiry);
    return status;
}
