#include "engine/run/restore_settings.h"

#include <stdlib.h>
#include <string.h>

/*
 * The settings of a virtual function of a network card that a VM got 'as net'. libvirt sets its MAC
 * address and VLAN, and restores what it found when the VM lets the function go. It sets no trust,
 * and forgets what it found when its daemon is killed before it has written down that the VM has
 * the function. So what the host had is noted in the VM's state, and what is still the VM's
 * afterwards is set back. What libvirt or a person has set meanwhile stays.
 */

/* --- before the attach */

/* What the host had, although a VM may have left its own settings there. */
static void restore_vf_find_before(const struct run *run, const struct vm_state *state,
                                   const struct device *device, struct vf_config *now) {
    const struct vm_state_vf *noted = vm_state_find_vf(state, device->address);
    if (!noted || !vm_state_device_is(&noted->device, device))
        vm_state_find_vf_in_all(run->config->state, device, now);
}

bool restore_vf_prepare(struct run *run, const struct plan_entry *entry, struct failure *failure) {
    const struct host_source *source = &run->host.source;
    const struct action_option *vlan = syntax_find_option(entry->action->options, OPTION_VLAN);
    bool wants_trust = plan_has_option(entry->action, OPTION_TRUST);
    struct vf_config now, given;
    struct vm_state state;
    /* libvirt needs the same settings, and says what keeps it from them. */
    if (source->read_vf(&run->host, entry->device, &now, failure) < 0)
        return !wants_trust;
    given = (struct vf_config){.vlan = vlan ? vlan->number : 0,
                               .trust = wants_trust ? VF_TRUST_ON : VF_TRUST_UNKNOWN};
    memcpy(given.mac, entry->mac, sizeof given.mac);
    if (!run_log_load(run, &state))
        return true;
    struct vf_config before = now;
    restore_vf_find_before(run, &state, entry->device, &before);
    vm_state_note_vf(&state, entry->device, &before, &given);
    /* A note that cannot be written matters only if somebody is killed as well. */
    vm_state_save(&state, run->config->state, run_vm(run), NULL);
    vm_state_finish(&state);
    return !wants_trust || now.trust == VF_TRUST_ON ||
           source->write_vf(&run->host, entry->device, &given, VF_CONFIG_TRUST, failure) == 0;
}

/* --- afterwards */

static bool restore_vf_is_mac(const struct vf_config *one, const struct vf_config *other) {
    return !strcasecmp(one->mac, other->mac);
}

/* Of what the VM was given, what is there now and was not before. */
static unsigned restore_vf_leftovers(const struct vm_state_vf *vf, const struct vf_config *now) {
    const struct vf_config *before = &vf->before, *given = &vf->given;
    unsigned parts = 0;
    if (*given->mac && restore_vf_is_mac(now, given) && !restore_vf_is_mac(before, given))
        parts |= VF_CONFIG_MAC;
    if (given->vlan && now->vlan == given->vlan && before->vlan != given->vlan)
        parts |= VF_CONFIG_VLAN;
    if (given->trust == VF_TRUST_ON && now->trust == VF_TRUST_ON && before->trust != VF_TRUST_ON)
        parts |= VF_CONFIG_TRUST;
    return parts;
}

/* "MAC address, VLAN" */
static char *restore_vf_text(unsigned parts) {
    static const char *const names[] = {"MAC address", "VLAN", "trust"};
    char *text = memory_strdup("");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (parts & 1U << i)
            memory_append(&text, "%s%s", *text ? ", " : "", names[i]);
    return text;
}

/* Returns true when nothing is left to do. */
static bool restore_vf_give_back(struct run *run, const struct vm_state_vf *vf,
                                 const struct device *device) {
    struct failure failure;
    struct vf_config now;
    if (run->host.source.read_vf(&run->host, device, &now, &failure) < 0) {
        run_log_device(run, device, RESULT_FAILED, failure.message, failure.hint);
        return false;
    }
    unsigned parts = restore_vf_leftovers(vf, &now);
    if (!parts)
        return true;
    bool good = run->host.source.write_vf(&run->host, device, &vf->before, parts, &failure) == 0;
    char *text = restore_vf_text(parts),
         *message = good ? memory_printf("%s as before the VM had it", text)
                         : memory_printf("%s as the VM had it: %s", text, failure.message);
    run_log_device(run, device, good ? RESULT_DETACHED : RESULT_FAILED, message,
                   good ? NULL : failure.hint);
    free(message);
    free(text);
    return good;
}

/* Takes those from the state that need not be noted any more. A function that left the host has no
 * settings; one that a VM has keeps those of that VM. */
void restore_vf_settle(struct run *run, const struct domain_list *vms, struct vm_state *state) {
    for (size_t i = state->vf_count; i-- > 0;) {
        const struct vm_state_vf *vf = &state->vfs[i];
        const struct device *device = vm_state_find_noted(&run->host, &vf->device);
        if (!device ||
            (!restore_settings_is_held(run, vms, device) && restore_vf_give_back(run, vf, device)))
            vm_state_remove_vf(state, vf->device.address);
    }
}
