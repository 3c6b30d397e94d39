#include "engine/run/run.h"

#include "engine/system/reply.h"

#include <stdlib.h>

enum run_outcome run_stop(struct run *run, const struct plan_entry *entry, struct task *task,
                          const char *reason, const char *message, const char *hint) {
    char *rule = plan_rule_text(entry);
    char *text = memory_printf("virt-rules: VM '%s' is not started: %s (%s)",
                               domain_label(run->config->event->domain), reason, rule);
    /* First of all: the log goes to a syslog daemon, which may be stuck. */
    run->stopped = reply_stop(run->reply, text);
    char *not_stopped = memory_printf("%s (the VM starts all the same: no hook waits%s)", message,
                                      run->reply->file < 0 ? "" : " any more");
    run_log_task(run, entry, task, run->stopped ? RESULT_STOPPED : RESULT_FAILED,
                 run->stopped ? message : not_stopped, hint);
    task->state = TASK_FAILED;
    if (run->stopped && reply_was_late(run->reply)) {
        run->stopped = false;
        run_log_entry(run, entry, RESULT_FAILED,
                      "the VM starts all the same: the hook had ended its wait", NULL);
    }
    free(not_stopped);
    free(text);
    free(rule);
    return run->stopped ? RUN_OVER : RUN_NEXT;
}
