#include "engine/run/run.h"

#include "engine/libvirt/device_xml.h"

#include <stdlib.h>
#include <string.h>

enum outcome run_device_attached(struct run *run, const struct plan_entry *entry,
                                 struct task *task) {
    const char *driver = entry->device->driver ? entry->device->driver : "none";
    char *message =
        task->came_back    ? memory_printf("%s (again: the guest had let it go while it booted)",
                                           entry->device->name)
        : task->unanswered ? memory_printf("%s (libvirt's answer was lost, and the VM has it)",
                                           entry->device->name)
                           : memory_printf("%s (host driver was %s)", entry->device->name, driver);
    run_finish_task(run, entry, task, RESULT_ATTACHED, message, NULL);
    run_readmit(run, entry->device);
    task->went = true;
    task->unanswered = false;
    guest_boot_note(run, task);
    free(message);
    return OUTCOME_NEXT;
}

static void run_device_claim_device(struct run *run, const struct device *device,
                                    const char *message, const char *hint) {
    run->claims = memory_grow(run->claims, run->claim_count, sizeof *run->claims);
    run->claims[run->claim_count++] = (struct busy_device){
        device->bus, memory_strdup(device->address), memory_strdup(message), hint};
}

/* "... is in use by driver QEMU, domain NAME", with the name of this very VM. */
static bool run_device_is_held_by_this_vm(const struct run *run, const struct virt_error *error) {
    static const char label[] = ", domain ";
    const char *holder = strstr(error->message, label);
    return holder && !strcmp(holder + strlen(label), run->domain.name);
}

/* This VM has it, or another was faster: then the next plan refuses it, and `any` goes past it. */
static enum outcome run_device_held_attach(struct run *run, const struct plan_entry *entry,
                                           struct task *task, const struct virt_error *error) {
    bool by_this_vm = run_device_is_held_by_this_vm(run, error);
    switch (run_vm_has(run, entry->device)) {
    case HOLDS:
        return task->unanswered ? run_device_attached(run, entry, task)
                                : run_finish_task(run, entry, task, RESULT_ALREADY,
                                                  "the VM has it already", NULL);
    case HOLDS_NOT: /* libvirt may not be done with a detach of it */
        if (by_this_vm && run_try_later(run, task))
            return OUTCOME_AGAIN;
        task->next = 0;
        run_device_claim_device(
            run, entry->device, error->message,
            by_this_vm ? "libvirt counts the device as in use by this VM, which does not "
                         "have it: restart the libvirt daemon (VMs keep running), then "
                         "run 'virt-rules apply'"
                       : "a VM has it or another device of its IOMMU group: stop that VM "
                         "or detach the device there");
        return OUTCOME_AGAIN;
    case UNKNOWN:
        if (run->retry)
            return OUTCOME_AGAIN;
        break;
    }
    run_finish_task(run, entry, task, RESULT_FAILED, error->message, error->hint);
    return OUTCOME_OVER;
}

/* A call failed in a way that may pass. It is tried again in a plan made anew, because by then
 * the device may be another VM's, the host's, or gone, and the VM may have stopped. */
static enum outcome run_device_failed_passing(struct run *run, const struct plan_entry *entry,
                                              struct task *task, const struct virt_error *error) {
    task->unanswered |= error->failure == VIRT_UNREACHABLE;
    if (!run_try_later(run, task)) {
        char *message = memory_printf("%s (tried until the time for it was over)", error->message);
        run_finish_task(run, entry, task, RESULT_FAILED, message, error->hint);
        free(message);
    }
    return error->failure == VIRT_PASSES ? OUTCOME_NEXT : OUTCOME_AGAIN;
}

static bool run_device_is_managed_pci(const struct plan_entry *entry) {
    return entry->device->bus == BUS_PCI && !plan_has_option(entry->action, OPTION_UNMANAGED);
}

/* The VM's job is taken for as long as libvirt is at it: nothing more is done for the VM. */
static enum outcome run_device_failed_silently(struct run *run, const struct plan_entry *entry,
                                               struct task *task, const struct virt_error *error) {
    task->unanswered = run->silent = run->blind = true;
    run_finish_task(run, entry, task, RESULT_FAILED, error->message, error->hint);
    return OUTCOME_OVER;
}

static enum outcome run_device_failed_call(struct run *run, const struct plan_entry *entry,
                                           struct task *task, const struct virt_error *error) {
    if (error->failure == VIRT_SILENT)
        return run_device_failed_silently(run, entry, task, error);
    if (error->failure == VIRT_PASSES || error->failure == VIRT_NOT_RUNNING ||
        error->failure == VIRT_UNREACHABLE)
        return run_device_failed_passing(run, entry, task, error);
    run_finish_task(run, entry, task, RESULT_FAILED, error->message, error->hint);
    return error->failure == VIRT_NO_DOMAIN ? OUTCOME_AGAIN : OUTCOME_NEXT;
}

/* What libvirt has not answered, it may still do. */
static enum outcome run_device_failed_attach(struct run *run, const struct plan_entry *entry,
                                             struct task *task, const struct virt_error *error) {
    if (error->failure != VIRT_UNREACHABLE && !task->unanswered)
        restore_driver_note_failed(run, entry->device);
    return error->failure == VIRT_HELD ? run_device_held_attach(run, entry, task, error)
                                       : run_device_failed_call(run, entry, task, error);
}

/* libvirt's word that it worked is looked at: a guest may have given the device back. */
enum outcome run_device_attach(struct run *run, const struct plan_entry *entry, struct task *task) {
    struct virt_error error;
    if (run_device_is_managed_pci(entry))
        restore_driver_note(run, entry->device);
    if (run->late)
        return OUTCOME_OVER;
    run_begin_call(run, "attach", entry->device);
    int status = run->virt->ops->attach(run->virt, run_vm(run), run->domain.id, entry->xml, &error);
    run_end_call(run, entry->device, status < 0 ? &error : NULL);
    if (status < 0)
        return run_device_failed_attach(run, entry, task, &error);
    switch (run_vm_has(run, entry->device)) {
    case HOLDS:
        return run_device_attached(run, entry, task);
    case HOLDS_NOT:
        return guest_boot_removed(run, entry, task);
    case UNKNOWN:
        if (!run->retry)
            break;
        task->unanswered = true;
        return OUTCOME_AGAIN;
    }
    run_finish_task(run, entry, task, RESULT_FAILED,
                    "libvirt took the device, and then the VM could not be seen any more",
                    "see 'virsh dumpxml' for what it has");
    return OUTCOME_OVER;
}

enum guest_answer run_device_ask_guest(struct run *run, const struct plan_entry *entry,
                                       const char *xml, struct virt_error *result) {
    struct domain domain;
    if (!run_load_domain(run, &domain))
        return GUEST_STOPPED;
    struct guest_removal release = {.virt = run->virt,
                                    .clock = run->executor->clock,
                                    .domain = &domain,
                                    .hostdev = domain_holds(&domain, entry->device),
                                    .xml = xml};
    *result = (struct virt_error){.message = "the VM does not have it any more"};
    if (!entry->gone)
        run_dismiss(run, entry->device);
    enum guest_answer answer = GUEST_LET_GO;
    if (release.hostdev) {
        run_begin_call(run, "detach", entry->device);
        answer = guest_removal_wait(&release, result);
        run_end_call(run, entry->device, answer == GUEST_NOT_ASKED ? result : NULL);
    }
    domain_finish(&domain);
    if (!entry->gone &&
        ((answer == GUEST_NOT_ASKED && result->failure != VIRT_SILENT) || answer == GUEST_KEEPS_IT))
        run_readmit(run, entry->device);
    return answer;
}

enum outcome run_device_detach(struct run *run, const struct plan_entry *entry, struct task *task) {
    struct virt_error result = {.message = "the VM could not be seen any more"};
    switch (run_device_ask_guest(run, entry, entry->xml, &result)) {
    case GUEST_LET_GO:
        restore_driver_note_returned(run, entry->device);
        return run_finish_task(run, entry, task, RESULT_DETACHED, result.message, result.hint);
    case GUEST_NOT_ASKED:
        return run_device_failed_call(run, entry, task, &result);
    case GUEST_KEEPS_IT:
    case GUEST_IS_SILENT:
        return run_finish_task(run, entry, task, RESULT_FAILED, result.message, result.hint);
    case GUEST_STOPPED:
    case GUEST_UNSEEN:
        if (run->retry)
            return OUTCOME_AGAIN;
        break;
    }
    run_finish_task(run, entry, task, RESULT_FAILED, result.message, result.hint);
    return OUTCOME_OVER;
}

void run_device_clear_unplugged(struct run *run) {
    const struct event *event = run->executor->event;
    const struct device *device = event->device;
    if (event->name != EVENT_UNPLUGGED || !device || device->bus != BUS_PCI ||
        host_find(&run->host, BUS_PCI, device->address))
        return;
    if (domain_holds(&run->domain, device)) {
        if (run_now(run) < run->start + RELEASE_LIMIT_MS)
            run_wait_for(run, run_now(run) + FIRST_WAIT_MS);
        return;
    }
    struct virt_error error;
    char *xml = device_xml(device, &(struct device_xml_options){.unmanaged = true});
    if (!xml)
        return;
    run_begin_call(run, "attach", device);
    int status = run->virt->ops->attach(run->virt, run_vm(run), run->domain.id, xml, &error);
    run_end_call(run, device, status < 0 ? &error : NULL);
    free(xml);
}
