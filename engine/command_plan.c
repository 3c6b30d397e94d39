/* virt-rules plan: what an event would do. The plan is the one that a run executes. */
#include "engine/command.h"

#include "engine/inquiry.h"
#include "engine/plan_print.h"
#include "lexer/text.h"

static int print_plan(const struct inquiry *inquiry, bool xml, bool json) {
    struct plan plan;
    plan_init(&plan, &inquiry->request);
    if (json)
        text_print_json(stdout, plan_json(&plan));
    else
        plan_print(&plan, stdout, xml, command_colour(stdout));
    if (!json && inquiry->broken_rules)
        puts("Not all rules are in it: those of files with an error are left out.");
    bool refused = plan_count(&plan, PLAN_REFUSED) > 0;
    plan_finish(&plan);
    return refused || inquiry->broken_rules ? EXIT_PROBLEM : EXIT_FINE;
}

int command_plan(const struct command *command, int argc, char **argv) {
    struct inquiry inquiry = {.command = command};
    bool xml = false, json = false;
    const struct command_option table[] = {INQUIRY_OPTIONS(&inquiry),
                                           {.name = "xml", .flag = &xml},
                                           {.name = "json", .flag = &json},
                                           {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argc - first != 2)
        return command_usage(command, argc - first < 2
                                          ? "a VM and an event are needed"
                                          : "too many words: one VM (in quotes when its name has a "
                                            "blank), one event");
    inquiry.vm = argv[first];
    inquiry.event_word = argv[first + 1];
    status = inquiry_init(&inquiry);
    if (status != EXIT_FINE)
        return status;
    status = print_plan(&inquiry, xml, json);
    inquiry_finish(&inquiry);
    return status;
}
