#include "engine/action/action.h"
#include "engine/run/run.h"

enum run_outcome action_detach_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task) {
    struct virt_error result = {.failure.message = "the VM could not be seen any more"};
    switch (run_ask_guest(run, entry, entry->xml, &result)) {
    case GUEST_RELEASED:
        restore_driver_note_returned(run, entry->device);
        return run_finish_task(run, entry, task, RESULT_DETACHED, result.failure.message,
                               result.failure.hint);
    case GUEST_NOT_ASKED:
        return run_fail_call(run, entry, task, &result);
    case GUEST_REFUSED:
    case GUEST_NO_ANSWER:
        return run_finish_task(run, entry, task, RESULT_FAILED, result.failure.message,
                               result.failure.hint);
    case GUEST_STOPPED:
    case GUEST_UNSEEN:
        if (run->reconnect)
            return RUN_REPLAN;
        break;
    }
    run_finish_task(run, entry, task, RESULT_FAILED, result.failure.message, result.failure.hint);
    return RUN_OVER;
}
