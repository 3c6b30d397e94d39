#include "engine/run/restore_settings.h"

#include "engine/backend/backend.h"
#include "engine/run/host_setting.h"

#include <string.h>

bool restore_settings_is_held(const struct run *run, const struct domain_list *vms,
                              const struct device *device) {
    const struct event *event = run->config->event;
    bool held = event->name == EVENT_PREPARE && backend_hostdev_of(event->domain, device);
    for (size_t i = 0; i < vms->count && !held; i++)
        held = vms->list[i].unreadable || backend_hostdev_of(&vms->list[i], device);
    return held;
}

/* Takes from the state what need not be noted any more. */
void restore_settings_end_vm(struct run *run, struct vm_state *state) {
    struct virt_error error;
    struct domain_list vms;
    if ((!state->vf_count && !state->setting_count) || (!run->virt && !run_open_virt(run)))
        return;
    if (domain_list_running(&vms, run->virt, NULL, &error) < 0) {
        run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
        return;
    }
    restore_vf_settle(run, &vms, state);
    host_setting_settle(run, &vms, state);
    domain_list_finish(&vms);
}

/* What was settled goes from the file as it is now, to which the log has added results. */
static void restore_settings_forget(struct run *run, const struct vm_state *settled) {
    struct vm_state state;
    vm_state_load(&state, run->config->state, run_vm(run));
    for (size_t i = state.vf_count; i-- > 0;)
        if (!vm_state_find_vf(settled, state.vfs[i].device.address))
            vm_state_remove_vf(&state, state.vfs[i].device.address);
    for (size_t i = state.setting_count; i-- > 0;)
        if (!vm_state_find_setting(settled, state.settings[i].setting.path))
            vm_state_remove_setting(&state, state.settings[i].setting.path);
    run_log_save(run, &state);
}

void restore_settings_all(struct run *run) {
    struct vm_state state;
    if (run->no_reply || run->vm_ended || !vm_state_exists(run->config->state, run_vm(run)))
        return;
    bool found = vm_state_load(&state, run->config->state, run_vm(run));
    size_t count = state.vf_count + state.setting_count;
    if (found && count && !vm_state_is_later_start(&state, &run->vm_start) && run_load_host(run)) {
        restore_settings_end_vm(run, &state);
        host_finish(&run->host);
        if (state.vf_count + state.setting_count < count)
            restore_settings_forget(run, &state);
    }
    vm_state_finish(&state);
}
