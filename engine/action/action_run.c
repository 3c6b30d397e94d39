#include "engine/action/action.h"

#include "engine/host/program_file.h"
#include "engine/plan/planner.h"
#include "engine/run/run.h"
#include "engine/system/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *action_run_variable(const char *name, const char *value) {
    return memory_printf("VIRT_RULES_%s=%s", name, value ? value : "");
}

/*
 * The host that programs run on is always this one. The path is executed and not an open file: a
 * script would be started as /dev/fd/N, which needs /proc and hides its own name from it. Between
 * this look and the exec nobody but root and this user can exchange what the path leads to, since
 * every directory and link on it has been judged.
 */
enum run_outcome action_run_execute(struct run *run, const struct plan_entry *entry,
                                    struct task *task) {
    const struct domain *domain = run->config->event->domain;
    const struct word *command = entry->action->command;
    int limit = run->config->program_limit_ms ? run->config->program_limit_ms : SPAWN_LIMIT_MS;
    char *message = NULL, *hint = NULL, *output = NULL;
    enum program_file found = PROGRAM_FILE_UNKNOWN;
    struct failure failure = {.message = "ended with status 0"};
    struct tree tree;
    if (!tree_open(&tree, ""))
        message = memory_printf("'%s' cannot be checked: %s", command->text, strerror(errno));
    else
        found = program_file_check(&tree, command->text, &message, &hint);
    tree_close(&tree);
    if (found != PROGRAM_FILE_USABLE) {
        run_finish_task(run, entry, task, RESULT_REFUSED, message, hint);
        free(message);
        free(hint);
        return RUN_NEXT;
    }
    const char **arguments = memory_grow(NULL, 0, sizeof *arguments);
    size_t count = 0;
    for (const struct word *word = command; word; word = word->next) {
        arguments[count++] = word->text;
        arguments = memory_grow((void *)arguments, count, sizeof *arguments);
    }
    arguments[count] = NULL;
    char *variables[] = {
        action_run_variable("VM", domain->name), action_run_variable("TITLE", domain->title),
        action_run_variable("UUID", domain->uuid),
        action_run_variable("EVENT", scanner_event_text(run->config->event->name))};
    const char *environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        variables[0],
        variables[1],
        variables[2],
        variables[3],
        NULL};
    int status = spawn(arguments, environment, limit, &output, &failure);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        free(variables[i]);
    free(message);
    free(hint);
    message =
        memory_printf("%s %s%s%s", arguments[0], failure.message, *output ? ": " : "", output);
    run_finish_task(run, entry, task, status < 0 ? RESULT_FAILED : RESULT_RAN, message, NULL);
    free(message);
    free(output);
    free((void *)arguments);
    return RUN_NEXT;
}

/* It is judged again when it is started: a program before it, or a person, may put it there. */
void action_run_plan(struct planner *planner, const struct action_ref *ref) {
    const char *root = planner->request->program_root;
    char *message = NULL, *hint = NULL;
    struct tree tree;
    bool refused = false;
    if (root && tree_open(&tree, root)) {
        refused = program_file_check(&tree, ref->action->command->text, &message, &hint) ==
                  PROGRAM_FILE_REFUSED;
        tree_close(&tree);
    }
    if (refused) {
        planner_refuse(planner, ref, NULL, verdict_refuse(REFUSED_PROGRAM, message, hint));
        return;
    }
    planner_add(planner, ref, PLAN_STEP, NULL);
    free(message);
    free(hint);
}
