#include "engine/action/action.h"
#include "engine/backend/backend.h"
#include "engine/run/run.h"

#include <string.h>

/* "... is in use by driver QEMU, domain NAME", with the name of this very VM. */
static bool action_attach_is_held_by_this_vm(const struct run *run,
                                             const struct virt_error *error) {
    static const char label[] = ", domain ";
    const char *holder = strstr(error->failure.message, label);
    return holder && !strcmp(holder + strlen(label), run->domain.name);
}

/* The next plan refuses the device, and `any` takes the next one. */
static void action_attach_note_busy(struct run *run, const struct device *device,
                                    const char *message, const char *hint) {
    run->busy = memory_grow(run->busy, run->busy_count, sizeof *run->busy);
    run->busy[run->busy_count++] = (struct busy_device){device->bus, memory_strdup(device->address),
                                                        memory_strdup(message), hint};
}

/* libvirt says that a VM has the device: this one, or another one that was faster. */
static enum run_outcome action_attach_held(struct run *run, const struct plan_entry *entry,
                                           struct task *task, const struct virt_error *error) {
    bool by_this_vm = action_attach_is_held_by_this_vm(run, error);
    switch (run_vm_has(run, entry->device)) {
    case HOLDS:
        return task->reply_lost ? run_finish_attach(run, entry, task)
                                : run_finish_task(run, entry, task, RESULT_ALREADY,
                                                  "the VM has it already", NULL);
    case HOLDS_NOT: /* libvirt may not be done with a detach of it */
        if (by_this_vm && run_try_later(run, task))
            return RUN_REPLAN;
        task->due = 0;
        action_attach_note_busy(
            run, entry->device, error->failure.message,
            by_this_vm ? "libvirt counts the device as in use by this VM, which does not "
                         "have it: restart the libvirt daemon (VMs keep running), then "
                         "run 'virt-rules apply'"
                       : "a VM has it or another device of its IOMMU group: stop that VM "
                         "or detach the device there");
        return RUN_REPLAN;
    case UNKNOWN:
        if (run->reconnect)
            return RUN_REPLAN;
        break;
    }
    run_finish_task(run, entry, task, RESULT_FAILED, error->failure.message, error->failure.hint);
    return RUN_OVER;
}

/* libvirt may still do what it has not answered: the device is not given back to the host then. */
static enum run_outcome action_attach_failed(struct run *run, const struct plan_entry *entry,
                                             struct task *task, const struct virt_error *error) {
    if (error->kind != VIRT_UNREACHABLE && !task->reply_lost)
        restore_driver_note_failed(run, entry->device);
    return error->kind == VIRT_HELD ? action_attach_held(run, entry, task, error)
                                    : run_fail_call(run, entry, task, error);
}

/* The VM is looked at although libvirt reports success: the guest may have released the device. */
static enum run_outcome action_attach_device(struct run *run, const struct plan_entry *entry,
                                             struct task *task) {
    struct virt_error error;
    if (backend_type(entry->action->backend)->unbinds_driver &&
        !plan_has_option(entry->action, OPTION_UNMANAGED))
        restore_driver_note(run, entry->device);
    if (run->vm_ended)
        return RUN_OVER;
    run_begin_call(run, "attach", entry->device);
    int status = run->virt->ops->attach(run->virt, run_vm(run), run->domain.id, entry->xml, &error);
    run_end_call(run, entry->device, status < 0 ? &error : NULL);
    if (status < 0)
        return action_attach_failed(run, entry, task, &error);
    switch (run_vm_has(run, entry->device)) {
    case HOLDS:
        return run_finish_attach(run, entry, task);
    case HOLDS_NOT:
        return guest_boot_removed(run, entry, task);
    case UNKNOWN:
        if (!run->reconnect)
            break;
        task->reply_lost = true;
        return RUN_REPLAN;
    }
    run_finish_task(run, entry, task, RESULT_FAILED,
                    "libvirt took the device, and then the VM could not be seen any more",
                    "see 'virsh dumpxml' for what it has");
    return RUN_OVER;
}

/* A device that goes with its IOMMU group: all of the group is in the VM in the end, or nothing. */
static enum run_outcome action_attach_member(struct run *run, const struct plan_entry *entry,
                                             struct task *task) {
    struct failure failure;
    enum run_outcome outcome = RUN_NEXT;
    size_t busy = run->busy_count;
    if (run_group_is_given_up(run, entry))
        run_finish_task(run, entry, task, RESULT_FAILED, RUN_GROUP_INCOMPLETE, NULL);
    else if (run_group_unbind_siblings(run, entry, &failure))
        outcome = action_attach_device(run, entry, task);
    else
        run_finish_task(run, entry, task, RESULT_FAILED, failure.message, "see dmesg");
    if (run->busy_count > busy)
        return run_group_fail(run, entry, outcome);
    if (outcome == RUN_OVER || task->state != TASK_FAILED)
        return outcome;
    run_group_drop_rest(run, entry);
    return run_group_fail(run, entry, outcome);
}

enum run_outcome action_attach_execute(struct run *run, const struct plan_entry *entry,
                                       struct task *task) {
    return run_group_is_unit(entry) ? action_attach_member(run, entry, task)
                                    : action_attach_device(run, entry, task);
}
