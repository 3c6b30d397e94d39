#include "engine/action/action.h"

#include "engine/host/program_file.h"
#include "engine/plan/planner.h"
#include "engine/run/run.h"
#include "engine/system/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* It would have run after others that libvirt waited for. */
#define ACTION_RUN_NO_TIME                                                                         \
    "it was not run: what comes before it has taken all of the 60 s that libvirt waits at most"

static char *action_run_variable(const char *name, const char *value) {
    return memory_printf("VIRT_RULES_%s=%s", name, value ? value : "");
}

/* A program that libvirt waits for has its own limit, and no more time than all of them have. */
static int action_run_limit(const struct run *run, const struct action *action) {
    if (!run->reply)
        return run->config->program_limit_ms ? run->config->program_limit_ms : SPAWN_LIMIT_MS;
    int64_t limit = plan_option_ms(action, OPTION_WAIT), left = run->wait_end - run_now(run);
    return (int)(left < limit ? left : limit);
}

/* It was refused, failed, or took too long. `last` is its last line of output; NULL: it did not
 * run. */
static enum run_outcome action_run_fail(struct run *run, const struct plan_entry *entry,
                                        struct task *task, enum result result, const char *message,
                                        const char *why, const char *last, const char *hint) {
    if (!run->reply || !plan_has_option(entry->action, OPTION_OR_STOP))
        return run_finish_task(run, entry, task, result, message, hint);
    char *reason = memory_printf("%s%s%s%s%s", why, last && *last ? ": " : "", last ? last : "",
                                 hint ? "; " : "", hint ? hint : "");
    enum run_outcome outcome = run_stop(run, entry, task, reason, message, hint);
    free(reason);
    return outcome;
}

/*
 * The host that programs run on is always this one. The path is executed and not an open file: a
 * script would be started as /dev/fd/N, which needs /proc and hides its own name from it. Between
 * this look and the exec nobody but root and this user can exchange what the path leads to, since
 * every directory and link on it has been judged.
 */
enum run_outcome action_run_execute(struct run *run, const struct plan_entry *entry,
                                    struct task *task) {
    static const struct domain none = {.id = -1}; /* of the host's boot */
    const struct event *event = run->config->event;
    const struct domain *domain = event->domain ? event->domain : &none;
    const struct word *command = entry->action->command;
    int limit = action_run_limit(run, entry->action);
    char *message = NULL, *hint = NULL, *output = NULL, *last = NULL;
    enum run_outcome outcome;
    enum program_file found = PROGRAM_FILE_UNKNOWN;
    struct failure failure = {.message = "ended with status 0"};
    struct tree tree;
    if (!tree_open(&tree, ""))
        message = memory_printf("'%s' cannot be checked: %s", command->text, strerror(errno));
    else
        found = program_file_check(&tree, command->text, &message, &hint);
    tree_close(&tree);
    if (found != PROGRAM_FILE_USABLE) {
        outcome =
            found == PROGRAM_FILE_REFUSED
                ? action_run_fail(run, entry, task, RESULT_REFUSED, message, message, NULL, hint)
                : run_finish_task(run, entry, task, RESULT_REFUSED, message, hint);
        free(message);
        free(hint);
        return outcome;
    }
    if (limit <= 0)
        return action_run_fail(run, entry, task, RESULT_FAILED, ACTION_RUN_NO_TIME,
                               ACTION_RUN_NO_TIME, NULL, NULL);
    const char **arguments = memory_grow(NULL, 0, sizeof *arguments);
    size_t count = 0;
    for (const struct word *word = command; word; word = word->next) {
        arguments[count++] = word->text;
        arguments = memory_grow((void *)arguments, count, sizeof *arguments);
    }
    arguments[count] = NULL;
    char *variables[] = {action_run_variable("VM", domain->name),
                         action_run_variable("TITLE", domain->title),
                         action_run_variable("UUID", domain->uuid),
                         action_run_variable("EVENT", scanner_event_text(event->name))};
    const char *environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        variables[0],
        variables[1],
        variables[2],
        variables[3],
        NULL};
    int status = spawn(arguments, environment, limit, &output, &last, &failure);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        free(variables[i]);
    free(message);
    free(hint);
    message =
        memory_printf("%s %s%s%s", arguments[0], failure.message, *output ? ": " : "", output);
    char *why = memory_printf("%s %s", arguments[0], failure.message);
    outcome =
        status == 0 || status == SPAWN_NO_PROCESS
            ? run_finish_task(run, entry, task, status ? RESULT_FAILED : RESULT_RAN, message, NULL)
            : action_run_fail(run, entry, task, RESULT_FAILED, message, why, last, NULL);
    free(why);
    free(message);
    free(output);
    free(last);
    free((void *)arguments);
    return outcome;
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
