#include "engine/host/mdev_instance.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/run/mdev_cleanup.h"
#include "engine/run/run.h"

#include <stdlib.h>
#include <string.h>

/* --- creating one */

/* A UUID that a rule names is somebody else's device: it is neither created nor removed here. */
static bool run_mdev_is_own(const struct plan_entry *entry) {
    return entry->instance && !plan_has_option(entry->action, OPTION_MDEV_UUID);
}

/* One that an engine left which was killed is used. Returns false with a message when it must not
 * be. */
static bool run_mdev_may_use(const struct run *run, const struct plan_entry *entry, bool *is_there,
                             struct failure *failure) {
    const struct host_source *source = run->config->host_source;
    const struct device *device = entry->instance;
    char *parent = NULL, *type = NULL, *user = NULL;
    bool good = true;
    *is_there = source->find_mdev(source, device->instance, &parent, &type);
    if (*is_there)
        user = source->mdev_user(source, device->instance);
    if (*is_there && ((parent && strcmp(parent, device->address) != 0) ||
                      (type && strcmp(type, device->mdevs[0].type) != 0))) {
        failure_set(failure, "the mediated device %s is there already: %s on %s", device->instance,
                    type ? type : "of unknown type", parent ? parent : "an unknown device");
        failure_hint(failure,
                     "when nothing uses it, remove it: echo 1 > /sys/bus/mdev/devices/%s/remove",
                     device->instance);
        good = false;
    } else if (user) {
        failure_set(failure, "the mediated device %s is there already, and %s has it open",
                    device->instance, user);
        failure_hint(failure, "end that program");
        good = false;
    }
    free(user);
    free(type);
    free(parent);
    return good;
}

/* Whoever is killed from here on leaves it to the next engine. */
static bool run_mdev_note(struct run *run, const struct device *device, struct failure *failure) {
    struct vm_state state;
    if (!run_log_load(run, &state))
        return false;
    int status = 0;
    if (vm_state_add_mdev(&state, device->instance, device->address, device->mdevs[0].type))
        status = vm_state_save(&state, run->config->state, run_vm(run), failure);
    vm_state_finish(&state);
    if (status < 0)
        failure_hint(failure,
                     "free space there: what is not noted is not removed when the VM ends");
    return status == 0;
}

/* What another VM or another type took meanwhile: the next plan refuses the device, and `any` takes
 * the next one. */
static enum run_outcome run_mdev_refuse(struct run *run, const struct device *device,
                                        const struct failure *failure) {
    run->busy = memory_grow(run->busy, run->busy_count, sizeof *run->busy);
    run->busy[run->busy_count++] =
        (struct busy_device){device->bus, memory_strdup(device->address),
                             memory_strdup(failure->message), MDEV_INSTANCE_SHARED};
    return RUN_REPLAN;
}

enum run_outcome run_mdev_create(struct run *run, const struct plan_entry *entry,
                                 struct task *task) {
    const struct host_source *source = run->config->host_source;
    const struct device *device = entry->instance;
    struct failure failure = {.message = ""};
    bool is_there = false;
    if (!run_mdev_is_own(entry))
        return RUN_NEXT;
    bool good =
        run_mdev_may_use(run, entry, &is_there, &failure) && run_mdev_note(run, device, &failure);
    if (run->vm_ended)
        return RUN_OVER;
    int status = good && !is_there ? source->create_mdev(source, device, device->mdevs[0].type,
                                                         device->instance, &failure)
                                   : 0;
    if (good && !status)
        return RUN_NEXT;
    if (status < 0)
        run_mdev_cleanup(run);
    if (status == -1)
        return run_mdev_refuse(run, device, &failure);
    return run_finish_task(run, entry, task, RESULT_FAILED, failure.message, failure.hint);
}

/* --- removing them */

static void run_mdev_report(void *context, const char *device, const char *message,
                            const char *hint) {
    struct run *run = context;
    (void)device;
    run_log_event(run, RESULT_FAILED, message, hint);
}

/* The VM as it is now, if it can be read and is the same start of it; says nothing of a failure. */
static bool run_mdev_load_domain(const struct run *run, struct domain *domain) {
    struct virt_error error;
    char *xml = NULL;
    if (!run->virt || run->virt->ops->domain_xml(run->virt, run_vm(run), &xml, &error) < 0)
        return false;
    bool is_read = domain_xml_parse(domain, xml, strlen(xml), NULL) == 0;
    free(xml);
    if (is_read && domain->id >= 0 && domain->id == run->vm_start.id)
        return true;
    if (is_read)
        domain_finish(domain);
    return false;
}

void run_mdev_cleanup(struct run *run) {
    struct vm_state state;
    struct domain domain;
    if (run->no_reply || run->vm_ended || !vm_state_exists(run->config->state, run_vm(run)) ||
        !run_log_load(run, &state))
        return;
    if (state.mdev_count && run_mdev_load_domain(run, &domain)) {
        const struct mdev_cleanup cleanup = {.source = run->config->host_source,
                                             .clock = run->config->clock,
                                             .domain = &domain,
                                             .others = run->others.list,
                                             .other_count = run->others.count,
                                             .report = run_mdev_report,
                                             .context = run};
        if (mdev_cleanup(&cleanup, &state))
            run_log_save(run, &state);
        domain_finish(&domain);
    }
    vm_state_finish(&state);
}

/* A VM that is about to start may have one in its definition, by the UUID that we gave it. */
void run_mdev_end_vm(struct run *run, struct vm_state *state) {
    const struct event *event = run->config->event;
    struct virt_error error;
    struct domain_list vms;
    if (!state->mdev_count || (!run->virt && !run_open_virt(run)))
        return;
    if (domain_list_running(&vms, run->virt, run_vm(run), &error) < 0) {
        run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
        return;
    }
    mdev_cleanup(
        &(struct mdev_cleanup){.source = run->config->host_source,
                               .clock = run->config->clock,
                               .domain = event->name == EVENT_PREPARE ? event->domain : NULL,
                               .others = vms.list,
                               .other_count = vms.count,
                               .report = run_mdev_report,
                               .context = run},
        state);
    domain_list_finish(&vms);
}
