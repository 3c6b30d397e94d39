#include "engine/backend/backend.h"

#include "engine/host/driver.h"
#include "engine/run/restore_settings.h"
#include "engine/run/run.h"
#include "engine/state/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What leaves its host driver for the VM, and how the host gets it back. libvirt gives back what it
 * knows to have unbound; the rest is ours: what we unbound so that an IOMMU group could go, and
 * what a libvirt that was killed in the middle of an attach has left on a vfio driver.
 */

/* --- what is noted */

static struct unbound_device *restore_driver_find(const struct run *run, const char *address) {
    for (size_t i = 0; i < run->unbound_count; i++)
        if (!strcmp(run->unbound[i].address, address))
            return &run->unbound[i];
    return NULL;
}

static struct unbound_device *restore_driver_add(struct run *run, const char *address,
                                                 const char *driver) {
    struct unbound_device *unbound = restore_driver_find(run, address);
    if (unbound)
        return unbound;
    run->unbound = memory_grow(run->unbound, run->unbound_count, sizeof *run->unbound);
    unbound = &run->unbound[run->unbound_count++];
    *unbound = (struct unbound_device){.address = memory_strdup(address),
                                       .driver = driver && *driver ? memory_strdup(driver) : NULL};
    return unbound;
}

/* The host's driver, although the device may have another one by now: then the state of any VM may
 * tell. Returns false for a device that somebody bound to vfio on purpose. */
static bool restore_driver_find_host_driver(const struct run *run, const struct vm_state *state,
                                            const struct device *device, char *driver,
                                            size_t size) {
    const struct vm_state_device *noted = vm_state_find_unbound(state, device->address);
    if (noted && !vm_state_device_is(noted, device))
        noted = NULL;
    bool is_host = device->driver && !driver_is_vfio(device->driver);
    const char *known = noted ? noted->driver : is_host ? device->driver : NULL;
    snprintf(driver, size, "%s", known ? known : "");
    return noted || is_host || vm_state_find_in_all(run->config->state, device, driver, size) ||
           !device->driver;
}

struct unbound_device *restore_driver_note(struct run *run, const struct device *device) {
    struct vm_state state;
    struct unbound_device *unbound = NULL;
    char driver[64];
    if (!run_log_load(run, &state))
        return NULL;
    if (restore_driver_find_host_driver(run, &state, device, driver, sizeof driver)) {
        unbound = restore_driver_add(run, device->address, driver);
        const struct vm_state_device *noted = vm_state_find_unbound(&state, device->address);
        if (noted && !vm_state_device_is(noted, device))
            vm_state_remove_unbound(&state, device->address); /* of one that was there before */
        if (vm_state_add_unbound(&state, device, driver))
            /* A failure matters only if libvirt is killed as well. */
            vm_state_save(&state, run->config->state, run_vm(run), NULL);
    }
    vm_state_finish(&state);
    return unbound;
}

void restore_driver_note_left(struct run *run, const struct device *device) {
    struct unbound_device *unbound =
        device->bus == BUS_PCI ? restore_driver_note(run, device) : NULL;
    if (unbound)
        unbound->orphan = true;
}

void restore_driver_note_failed(struct run *run, const struct device *device) {
    struct unbound_device *unbound =
        device->bus == BUS_PCI ? restore_driver_find(run, device->address) : NULL;
    if (unbound)
        unbound->orphan = true;
}

/* Does not begin a state, and leaves that of a later start of the VM alone. */
static void restore_driver_forget(struct run *run, const char *address) {
    struct vm_state state;
    if (vm_state_load(&state, run->config->state, run_vm(run)) &&
        !vm_state_is_later_start(&state, &run->vm_start) &&
        vm_state_find_unbound(&state, address)) {
        vm_state_remove_unbound(&state, address);
        run_log_save(run, &state);
    }
    vm_state_finish(&state);
}

/* --- what the host shows */

/* Whether some VM still has one of the device's group, as far as the host shows it. */
static bool restore_driver_is_group_in_use(const struct run *run, const struct device *device) {
    char driver[64];
    for (size_t i = 0; i < run->host.count; i++) {
        const struct device *other = &run->host.devices[i];
        if (other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
            run->host.source.driver_of(&run->host, other, driver, sizeof driver) &&
            strstr(driver, "vfio"))
            return true;
    }
    return false;
}

enum restore_driver_place {
    PLACE_HOST, /* on a host driver, or gone */
    PLACE_VFIO,
    PLACE_NOWHERE, /* it has no driver */
};

static enum restore_driver_place restore_driver_place_of(const struct run *run,
                                                         const struct device *device) {
    char driver[64];
    if (!run->host.source.driver_of(&run->host, device, driver, sizeof driver))
        return PLACE_HOST;
    return !*driver ? PLACE_NOWHERE : driver_is_vfio(driver) ? PLACE_VFIO : PLACE_HOST;
}

void restore_driver_note_returned(struct run *run, const struct device *device) {
    if (device->bus != BUS_PCI || restore_driver_place_of(run, device) != PLACE_HOST)
        return;
    restore_home(run, device);
    restore_driver_forget(run, device->address);
}

/* libvirt may be about to give it back, or others of its group. */
static enum restore_driver_place
restore_driver_wait_for_libvirt(const struct run *run, const struct device *device, bool is_over) {
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    enum restore_driver_place place;
    while ((place = restore_driver_place_of(run, device)) != PLACE_HOST &&
           (place == PLACE_VFIO ? is_over : restore_driver_is_group_in_use(run, device)) &&
           retry_sleep(&retry, RUN_RELEASE_LIMIT_MS))
        ;
    return place;
}

/* --- without a driver */

/* Returns true when nothing is left to do. */
static bool restore_driver_probe(struct run *run, struct unbound_device *unbound,
                                 const struct device *device) {
    static const char hint[] = "when the VM has ended, write the address to "
                               "/sys/bus/pci/drivers_probe, or start a VM that gets the group";
    struct failure failure;
    bool tried = false;
    if (restore_driver_is_group_in_use(run, device))
        failure_set(&failure, "it has no driver, and a VM has another device of its IOMMU group");
    else if (run->host.source.probe(&run->host, device, &failure) == 0) {
        tried = true;
        if (restore_driver_place_of(run, device) != PLACE_NOWHERE) {
            run_log_device(run, device, RESULT_DETACHED, "bound to its host driver again", NULL);
            return true;
        }
        if (!unbound->driver)
            return true;
        failure_set(&failure, "its host driver %s did not bind to it", unbound->driver);
    }
    if (!unbound->logged)
        run_log_device(run, device, RESULT_FAILED, failure.message, hint);
    unbound->logged = true;
    return tried;
}

/* --- left on a vfio driver */

enum holder { HOLDER_NONE, HOLDER_VM, HOLDER_UNKNOWN };

/* Whether any VM that runs now has it; one that is about to start may have it in its definition. */
static enum holder restore_driver_find_holder(struct run *run, const struct device *device) {
    struct virt_error error;
    struct domain_list vms;
    const struct event *event = run->config->event;
    if (event->name == EVENT_PREPARE && backend_hostdev_of(event->domain, device))
        return HOLDER_UNKNOWN;
    if (!run->virt && !run_open_virt(run))
        return HOLDER_UNKNOWN;
    if (domain_list_running(&vms, run->virt, NULL, &error) < 0) {
        run_log_device(run, device, RESULT_FAILED, error.failure.message, error.failure.hint);
        return HOLDER_UNKNOWN;
    }
    enum holder holder = HOLDER_NONE;
    for (size_t i = 0; i < vms.count && holder != HOLDER_VM; i++)
        if (backend_hostdev_of(&vms.list[i], device))
            holder = HOLDER_VM;
        else if (vms.list[i].unreadable) /* it may have anything */
            holder = HOLDER_UNKNOWN;
    domain_list_finish(&vms);
    return holder;
}

#define BY_HAND "when nothing uses it any more, 'virt-rules apply' gives it back to the host"

static void restore_driver_log_rebound(struct run *run, const struct unbound_device *unbound,
                                       const struct device *device, const char *from) {
    char now[64] = "", *message;
    run->host.source.driver_of(&run->host, device, now, sizeof now);
    if (*now && !driver_is_vfio(now))
        message =
            memory_printf("bound to its host driver %s again: libvirt had left it on %s, and no VM "
                          "has it (was its daemon killed during an attach?)",
                          now, from);
    else if (*now || unbound->driver)
        message = memory_printf("libvirt had left it on %s, and its host driver %s did not bind "
                                "to it",
                                from, unbound->driver ? unbound->driver : "(it had none)");
    else
        message = memory_printf("unbound from %s, where libvirt had left it, and no VM has it (was "
                                "its daemon killed during an attach?); it had no host "
                                "driver before",
                                from);
    bool good = !*now ? !unbound->driver : !driver_is_vfio(now);
    run_log_device(run, device, good ? RESULT_DETACHED : RESULT_FAILED, message,
                   good ? NULL : "see dmesg");
    free(message);
}

/* Returns true when nothing is left to do. */
static bool restore_driver_rebind(struct run *run, const struct unbound_device *unbound,
                                  const struct device *device) {
    struct failure failure;
    char from[64] = "", *user = run->host.source.group_user(&run->host, device);
    run->host.source.driver_of(&run->host, device, from, sizeof from);
    if (user) {
        failure_set(&failure, "libvirt left it on %s, and %s has its IOMMU group %d open", from,
                    user, device->iommu_group);
        free(user);
    } else if (run->host.source.rebind(&run->host, device, &failure) == 0) {
        restore_driver_log_rebound(run, unbound, device, from);
        return true;
    }
    run_log_device(run, device, RESULT_FAILED, failure.message, BY_HAND);
    return false;
}

/* The VM has ended. Returns true when nothing is left to do: the host has the device, or another VM
 * has it, which has noted it itself. */
static bool restore_driver_leave_vfio(struct run *run, const struct unbound_device *unbound,
                                      const struct device *device) {
    enum holder holder = restore_driver_find_holder(run, device);
    if (holder == HOLDER_NONE && run->config->event->name != EVENT_PREPARE) {
        if (restore_driver_wait_for_libvirt(run, device, true) != PLACE_VFIO)
            return true;
        holder = restore_driver_find_holder(run, device);
    }
    return holder == HOLDER_VM ||
           (holder == HOLDER_NONE && restore_driver_rebind(run, unbound, device));
}

/* --- giving back */

static const char UNBIND[] = "unbind";

void restore_driver_note_unbinding(struct run *run, const struct device *device) {
    pending_begin(run->config->state, run_vm(run), UNBIND, device->address, 0);
}

/* It is still bound to its host driver, but will not stay there. */
static bool restore_driver_is_unbinding(const struct run *run, const struct device *device) {
    size_t count;
    bool is = false;
    struct pending_call *calls = pending_load(run->config->state, run_vm(run), &count);
    for (size_t i = 0; i < count; i++)
        is |= !strcmp(calls[i].verb, UNBIND) && !strcmp(calls[i].device, device->address);
    free(calls);
    if (!is || restore_driver_place_of(run, device) == PLACE_HOST)
        return is;
    pending_forget(run->config->state, run_vm(run), device->address);
    return false;
}

/* Returns true when the host has it, or another VM: it need not be noted any more. */
static bool restore_driver_give_one_back(struct run *run, struct unbound_device *unbound,
                                         const struct device *device, bool is_over) {
    if (restore_driver_is_unbinding(run, device))
        return false;
    if (restore_home_has(run, device))
        return true;
    switch (restore_driver_wait_for_libvirt(run, device, false)) {
    case PLACE_HOST:
        restore_home(run, device);
        return true;
    case PLACE_VFIO:
        return is_over && restore_driver_leave_vfio(run, unbound, device);
    case PLACE_NOWHERE:
        restore_home(run, device);
        if (restore_home_has(run, device))
            return true;
        break;
    }
    return (!unbound->driver && !unbound->for_group) || restore_driver_probe(run, unbound, device);
}

/* While libvirt may be at a change it is not touched: the VM's end gives it back. */
void restore_driver_group(struct run *run, int group) {
    if (run->no_reply)
        return;
    for (size_t i = 0; i < run->unbound_count; i++) {
        struct unbound_device *unbound = &run->unbound[i];
        const struct device *device = host_find(&run->host, BUS_PCI, unbound->address);
        if (unbound->orphan && device && (group < 0 || device->iommu_group == group) &&
            restore_driver_give_one_back(run, unbound, device, false)) {
            unbound->orphan = false;
            restore_driver_forget(run, unbound->address);
        }
    }
}

void restore_driver_all(struct run *run) {
    struct vm_state state = {.id = -1};
    bool has_orphans = false, is_later = false;
    if (run->vm_ended)
        is_later = vm_state_load(&state, run->config->state, run_vm(run)) &&
                   vm_state_is_later_start(&state, &run->vm_start);
    for (size_t i = 0; i < run->unbound_count; i++) {
        struct unbound_device *unbound = &run->unbound[i];
        if (is_later && vm_state_find_unbound(&state, unbound->address))
            unbound->orphan = false; /* the end of that start gives it back */
        has_orphans |= unbound->orphan;
    }
    vm_state_finish(&state);
    if (!has_orphans || !run_load_host(run))
        return;
    restore_driver_group(run, -1);
    host_finish(&run->host);
}

/* --- when the VM has ended */

/* Another device has come to the place of one that was noted: whoever put it there knows why it has
 * the driver it has. */
static bool restore_driver_is_another(struct run *run, const struct vm_state_device *noted,
                                      const struct device *device) {
    if (vm_state_device_is(noted, device))
        return false;
    if (restore_driver_place_of(run, device) != PLACE_HOST) {
        char *message = memory_printf("%04x:%04x of IOMMU group %d was noted at this address: this "
                                      "device is left alone",
                                      noted->id.vendor, noted->id.device, noted->iommu_group);
        run_log_device(run, device, RESULT_FAILED, message,
                       "see 'virt-rules devices --all' for its driver");
        free(message);
    }
    return true;
}

/* Of a device that left the host nothing is known any more. */
static void restore_driver_give_all_back(struct run *run, struct vm_state *state) {
    for (size_t i = state->unbound_count; i-- > 0;) {
        const struct vm_state_device *noted = &state->unbound[i];
        const struct device *device = host_find(&run->host, BUS_PCI, noted->address);
        struct unbound_device *unbound = restore_driver_add(run, noted->address, noted->driver);
        if (!device || restore_driver_is_another(run, noted, device) ||
            restore_driver_give_one_back(run, unbound, device, true))
            vm_state_remove_unbound(state, unbound->address);
    }
}

/* 'apply' comes at any time: the VM may have started since it looked. */
static bool restore_driver_is_running(struct run *run) {
    struct virt_error error;
    struct domain_list vms;
    bool found = false;
    if (!run->config->event->settled)
        return false;
    if (!run_open_virt(run))
        return true;
    if (domain_list_running(&vms, run->virt, NULL, &error) < 0) {
        run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
        return true;
    }
    for (size_t i = 0; i < vms.count; i++)
        found |= !strcmp(domain_key(&vms.list[i]), run_vm(run));
    domain_list_finish(&vms);
    return found;
}

void restore_driver_end_vm(struct run *run) {
    struct vm_state state;
    if (restore_driver_is_running(run)) {
        run_disconnect(run);
        return;
    }
    run_log_lost_calls(run);
    pending_end(run->config->state, run_vm(run), NULL);
    bool found = vm_state_load(&state, run->config->state, run_vm(run));
    run_log_damage(run, &state);
    /* The state may be of the VM's next start, if this engine is late or another one was faster. */
    bool is_over =
        state.started <= run->vm_start.seen && !vm_state_is_later_start(&state, &run->vm_start);
    bool needs_host = state.unbound_count || state.vf_count || state.setting_count;
    if (found && (!is_over || (needs_host && !run_load_host(run)))) {
        vm_state_finish(&state);
    } else {
        if (found) {
            restore_driver_give_all_back(run, &state);
            run_mdev_end_vm(run, &state);
            restore_settings_end_vm(run, &state);
        }
        vm_state_end(&state); /* also what is of an earlier boot, or damaged */
        host_finish(&run->host);
        run_log_save(run, &state);
    }
    run_disconnect(run);
}
