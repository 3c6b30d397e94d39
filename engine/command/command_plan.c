/* virt-rules plan: what an event would do. The plan is the one that a run executes. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/plan/plan_print.h"
#include "lexer/text.h"

static void command_plan_print_json(struct json_object *document, const char *note) {
    command_put_note(document, note);
    text_print_json(stdout, document);
}

static int command_plan_print_plan(const struct plan_context *inquiry, bool xml, bool json) {
    struct plan plan;
    plan_init(&plan, &inquiry->request);
    if (json)
        command_plan_print_json(plan_print_json(&plan), inquiry->note);
    else
        plan_print(&plan, stdout, xml, command_colour(stdout));
    if (!json && inquiry->broken_rules)
        puts("Not all rules are in it: those of files with an error are left out.");
    bool refused = plan_count(&plan, PLAN_REFUSED) > 0;
    plan_finish(&plan);
    return refused || inquiry->broken_rules ? EXIT_PROBLEM : EXIT_FINE;
}

static bool command_plan_takes_device(const char *event) {
    enum event_name name = scanner_event_from_text(event);
    return name == EVENT_PLUGGED || name == EVENT_UNPLUGGED || name == EVENT_COUNT;
}

static int command_plan_ask_for_one(const struct plan_context *inquiry) {
    return command_usage(inquiry->command,
                         "%zu devices are %s: name one by its address, such as %s",
                         inquiry->device_count, inquiry->device_word, inquiry->devices[0]->address);
}

int command_plan(const struct command *command, int argc, char **argv) {
    struct plan_context inquiry = {.command = command};
    bool xml = false, json = false;
    const struct command_option table[] = {INQUIRY_OPTIONS(&inquiry),
                                           {.name = "xml", .flag = &xml},
                                           {.name = "json", .flag = &json},
                                           {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argc - first < 2 || argc - first > 3)
        return command_usage(command, argc - first < 2
                                          ? "a VM and an event are needed"
                                          : "too many words: one VM (in quotes when its name has a "
                                            "blank), one event, one device");
    if (argc - first == 3 && !command_plan_takes_device(argv[first + 1]))
        return command_usage(command,
                             "a device comes or goes at plugged and unplugged only, not at %s",
                             argv[first + 1]);
    inquiry.vm = argv[first];
    inquiry.event_word = argv[first + 1];
    inquiry.device_word = argv[first + 2];
    status = plan_context_init(&inquiry);
    if (status != EXIT_FINE)
        return status;
    status = inquiry.device_count > 1 ? command_plan_ask_for_one(&inquiry)
                                      : command_plan_print_plan(&inquiry, xml, json);
    plan_context_finish(&inquiry);
    return status;
}
