#include "engine/host/driver.h"
#include "engine/run/run.h"

#include "engine/state/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What leaves its host driver for the VM, and how the host gets it back. libvirt gives back what it
 * knows to have taken; the rest is ours: what we took for an IOMMU group to go, and what a libvirt
 * that was killed in the middle of an attach has left on vfio's driver.
 */

/* --- what is noted */

static struct unbound_device *restore_driver_find(const struct run *run, const char *address) {
    for (size_t i = 0; i < run->taken_count; i++)
        if (!strcmp(run->taken[i].address, address))
            return &run->taken[i];
    return NULL;
}

static struct unbound_device *restore_driver_add(struct run *run, const char *address,
                                                 const char *driver) {
    struct unbound_device *taken = restore_driver_find(run, address);
    if (taken)
        return taken;
    run->taken = memory_grow(run->taken, run->taken_count, sizeof *run->taken);
    taken = &run->taken[run->taken_count++];
    *taken = (struct unbound_device){.address = memory_strdup(address),
                                     .driver = driver && *driver ? memory_strdup(driver) : NULL};
    return taken;
}

/* The host's, although something else has it by now: then another VM's life may tell. Returns false
 * for a device that somebody gave to vfio on purpose. */
static bool restore_driver_find_host_driver(const struct run *run, const struct vm_state *life,
                                            const struct device *device, char *driver,
                                            size_t size) {
    const struct vm_state_device *noted = vm_state_find_unbound(life, device->address);
    if (noted && !vm_state_device_is(noted, device))
        noted = NULL;
    bool is_host = device->driver && !driver_is_vfio(device->driver);
    const char *known = noted ? noted->driver : is_host ? device->driver : NULL;
    snprintf(driver, size, "%s", known ? known : "");
    return noted || is_host || vm_state_find_in_all(run->executor->state, device, driver, size) ||
           !device->driver;
}

/* A note that cannot be written is missed only should libvirt be killed as well: it is no failure.
 */
static void restore_driver_save_quietly(const struct run *run, const struct vm_state *life) {
    vm_state_save(life, run->executor->state, run_vm(run), NULL);
}

struct unbound_device *restore_driver_note(struct run *run, const struct device *device) {
    struct vm_state life;
    struct unbound_device *taken = NULL;
    char driver[64];
    if (!run_load_vm_state(run, &life))
        return NULL;
    if (restore_driver_find_host_driver(run, &life, device, driver, sizeof driver)) {
        taken = restore_driver_add(run, device->address, driver);
        const struct vm_state_device *noted = vm_state_find_unbound(&life, device->address);
        if (noted && !vm_state_device_is(noted, device))
            vm_state_remove_unbound(&life, device->address); /* of one that was there before */
        if (vm_state_add_unbound(&life, device, driver))
            restore_driver_save_quietly(run, &life);
    }
    vm_state_finish(&life);
    return taken;
}

void restore_driver_note_failed(struct run *run, const struct device *device) {
    struct unbound_device *taken =
        device->bus == BUS_PCI ? restore_driver_find(run, device->address) : NULL;
    if (taken)
        taken->loose = true;
}

/* Begins nothing, and changes nothing of a later start of the VM. */
static void restore_driver_forget(struct run *run, const char *address) {
    struct vm_state life;
    if (vm_state_load(&life, run->executor->state, run_vm(run)) &&
        !vm_state_is_later_start(&life, &run->vm_start) && vm_state_find_unbound(&life, address)) {
        vm_state_remove_unbound(&life, address);
        run_save_vm_state(run, &life);
    }
    vm_state_finish(&life);
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
    if (device->bus == BUS_PCI && restore_driver_place_of(run, device) == PLACE_HOST)
        restore_driver_forget(run, device->address);
}

/* libvirt may be about to give it back, or others of its group. */
static enum restore_driver_place
restore_driver_wait_for_libvirt(const struct run *run, const struct device *device, bool is_over) {
    int64_t deadline = run_now(run) + RELEASE_LIMIT_MS;
    enum restore_driver_place place;
    while ((place = restore_driver_place_of(run, device)) != PLACE_HOST &&
           run_now(run) < deadline &&
           (place == PLACE_VFIO ? is_over : restore_driver_is_group_in_use(run, device)))
        run_sleep_until(run, run_now(run) + FIRST_WAIT_MS);
    return place;
}

/* --- without a driver */

/* Returns true when nothing is left to do. */
static bool restore_driver_probe(struct run *run, struct unbound_device *taken,
                                 const struct device *device) {
    static const char hint[] = "when the VM has ended, write the address to "
                               "/sys/bus/pci/drivers_probe, or start a VM that takes the group";
    struct failure failure;
    bool tried = false;
    if (restore_driver_is_group_in_use(run, device))
        failure_set(&failure, "it has no driver, and a VM has others of its IOMMU group");
    else if (run->host.source.probe(&run->host, device, &failure) == 0) {
        tried = true;
        if (restore_driver_place_of(run, device) != PLACE_NOWHERE) {
            run_log_device(run, device, RESULT_DETACHED, "back on its host driver", NULL);
            return true;
        }
        if (!taken->driver)
            return true;
        failure_set(&failure, "its host driver %s did not take it back", taken->driver);
    }
    if (!taken->told)
        run_log_device(run, device, RESULT_FAILED, failure.message, hint);
    taken->told = true;
    return tried;
}

/* --- left on vfio's driver */

static const struct domain *restore_driver_holder_of(const struct others *vms,
                                                     const struct device *device) {
    for (size_t i = 0; i < vms->count; i++)
        if (backend_hostdev_of(&vms->list[i], device))
            return &vms->list[i];
    return NULL;
}

enum holder { HOLDER_NONE, HOLDER_VM, HOLDER_UNKNOWN };

/* Whether any VM that runs now has it. A VM that is about to start may have it in its definition.
 */
static enum holder restore_driver_find_holder(struct run *run, const struct device *device) {
    struct virt_error error;
    struct others vms;
    const struct event *event = run->executor->event;
    if (event->name == EVENT_PREPARE && backend_hostdev_of(event->domain, device))
        return HOLDER_UNKNOWN;
    if (!run->virt && !run_open_virt(run))
        return HOLDER_UNKNOWN;
    if (running_domains_load(&vms, run->virt, NULL, &error) < 0) {
        run_log_device(run, device, RESULT_FAILED, error.failure.message, error.failure.hint);
        return HOLDER_UNKNOWN;
    }
    enum holder holder = restore_driver_holder_of(&vms, device) ? HOLDER_VM : HOLDER_NONE;
    for (size_t i = 0; vms.list && i < vms.count && holder == HOLDER_NONE; i++)
        if (vms.list[i].unreadable) /* it may have anything */
            holder = HOLDER_UNKNOWN;
    running_domains_finish(&vms);
    return holder;
}

#define BY_HAND "when nothing uses it any more, 'virt-rules apply' gives it back to the host"

static void restore_driver_say_reclaimed(struct run *run, const struct unbound_device *taken,
                                         const struct device *device, const char *from) {
    char now[64] = "", *message;
    run->host.source.driver_of(&run->host, device, now, sizeof now);
    if (*now && !driver_is_vfio(now))
        message = memory_printf("back on its host driver %s: libvirt had left it on %s, and no VM "
                                "has it (was its daemon killed in the middle of an attach?)",
                                now, from);
    else if (*now || taken->driver)
        message = memory_printf("libvirt had left it on %s, and its host driver %s did not take it "
                                "back",
                                from, taken->driver ? taken->driver : "(it had none)");
    else
        message = memory_printf("taken from %s, where libvirt had left it, and no VM has it (was "
                                "its daemon killed in the middle of an attach?); it had no host "
                                "driver before",
                                from);
    bool good = !*now ? !taken->driver : !driver_is_vfio(now);
    run_log_device(run, device, good ? RESULT_DETACHED : RESULT_FAILED, message,
                   good ? NULL : "see dmesg");
    free(message);
}

/* Returns true when nothing is left to do. */
static bool restore_driver_reclaim(struct run *run, const struct unbound_device *taken,
                                   const struct device *device) {
    struct failure failure;
    char from[64] = "", *user = run->host.source.group_user(&run->host, device);
    run->host.source.driver_of(&run->host, device, from, sizeof from);
    if (user) {
        failure_set(&failure, "libvirt left it on %s, and %s has its IOMMU group %d open", from,
                    user, device->iommu_group);
        free(user);
    } else if (run->host.source.rebind(&run->host, device, &failure) == 0) {
        restore_driver_say_reclaimed(run, taken, device, from);
        return true;
    }
    run_log_device(run, device, RESULT_FAILED, failure.message, BY_HAND);
    return false;
}

/* The VM's life is over. */
static bool restore_driver_judge(struct run *run, const struct unbound_device *taken,
                                 const struct device *device) {
    switch (restore_driver_find_holder(run, device)) {
    case HOLDER_VM:
        return true; /* who gave it to that one has noted it */
    case HOLDER_NONE:
        return restore_driver_reclaim(run, taken, device);
    case HOLDER_UNKNOWN:
        break;
    }
    return false;
}

/* Another VM may have it already, by which nothing is waited for. */
static bool restore_driver_reclaim_in_time(struct run *run, const struct unbound_device *taken,
                                           const struct device *device) {
    switch (restore_driver_find_holder(run, device)) {
    case HOLDER_VM:
        return true;
    case HOLDER_NONE:
        return (run->executor->event->name != EVENT_PREPARE &&
                restore_driver_wait_for_libvirt(run, device, true) != PLACE_VFIO) ||
               restore_driver_judge(run, taken, device);
    case HOLDER_UNKNOWN:
        break;
    }
    return false;
}

/* --- giving back */

static const char UNBIND[] = "unbind";

void restore_driver_note_unbinding(struct run *run, const struct device *device) {
    pending_begin(run->executor->state, run_vm(run), UNBIND, device->address, 0);
}

/* It is on its host driver still, but will not stay there. */
static bool restore_driver_is_unbinding(const struct run *run, const struct device *device) {
    size_t count;
    bool is = false;
    struct pending_call *calls = pending_load(run->executor->state, run_vm(run), &count);
    for (size_t i = 0; i < count; i++)
        is |= !strcmp(calls[i].verb, UNBIND) && !strcmp(calls[i].device, device->address);
    free(calls);
    if (!is || restore_driver_place_of(run, device) == PLACE_HOST)
        return is;
    pending_forget(run->executor->state, run_vm(run), device->address);
    return false;
}

/* Returns true when the host has it, or another VM: it need not be noted any more. */
static bool restore_driver_give_one_back(struct run *run, struct unbound_device *taken,
                                         const struct device *device, bool is_over) {
    if (restore_driver_is_unbinding(run, device))
        return false;
    switch (restore_driver_wait_for_libvirt(run, device, false)) {
    case PLACE_HOST:
        return true;
    case PLACE_VFIO:
        return is_over && restore_driver_reclaim_in_time(run, taken, device);
    case PLACE_NOWHERE:
        break;
    }
    return (!taken->driver && !taken->for_group) || restore_driver_probe(run, taken, device);
}

/* While libvirt may be at a change it is not touched: the VM's end gives it back. */
void restore_driver_group(struct run *run, int group) {
    if (run->silent)
        return;
    for (size_t i = 0; i < run->taken_count; i++) {
        struct unbound_device *taken = &run->taken[i];
        const struct device *device = host_find(&run->host, BUS_PCI, taken->address);
        if (taken->loose && device && (group < 0 || device->iommu_group == group) &&
            restore_driver_give_one_back(run, taken, device, false)) {
            taken->loose = false;
            restore_driver_forget(run, taken->address);
        }
    }
}

static bool restore_driver_is_any_loose(const struct run *run) {
    for (size_t i = 0; i < run->taken_count; i++)
        if (run->taken[i].loose)
            return true;
    return false;
}

/* What a later start of the VM has noted is given back at its end. */
static void restore_driver_leave_to_later(struct run *run) {
    struct vm_state life;
    bool later = vm_state_load(&life, run->executor->state, run_vm(run)) &&
                 vm_state_is_later_start(&life, &run->vm_start);
    for (size_t i = 0; i < run->taken_count; i++)
        if (later && vm_state_find_unbound(&life, run->taken[i].address))
            run->taken[i].loose = false;
    vm_state_finish(&life);
}

void restore_driver_leave(struct run *run) {
    if (run->late)
        restore_driver_leave_to_later(run);
    if (!restore_driver_is_any_loose(run) || !run_load_host(run))
        return;
    restore_driver_group(run, -1);
    host_finish(&run->host);
    run->host = (struct host){0};
}

/* --- the end of the VM's life */

/* Another device has come to the place of one that was noted: whoever put it there knows why it has
 * the driver it has. */
static bool restore_driver_is_another(struct run *run, const struct vm_state_device *noted,
                                      const struct device *device) {
    if (vm_state_device_is(noted, device))
        return false;
    if (restore_driver_place_of(run, device) != PLACE_HOST) {
        char *message =
            memory_printf("%04x:%04x of IOMMU group %d was noted there: nothing is done "
                          "to this device",
                          noted->id.vendor, noted->id.device, noted->iommu_group);
        run_log_device(run, device, RESULT_FAILED, message,
                       "see 'virt-rules devices' for its driver");
        free(message);
    }
    return true;
}

/* Of a device that left the host nothing is known any more. */
static void restore_driver_give_all_back(struct run *run, struct vm_state *life) {
    for (size_t i = life->taken_count; i-- > 0;) {
        const struct vm_state_device *noted = &life->taken[i];
        const struct device *device = host_find(&run->host, BUS_PCI, noted->address);
        struct unbound_device *taken = restore_driver_add(run, noted->address, noted->driver);
        if (!device || restore_driver_is_another(run, noted, device) ||
            restore_driver_give_one_back(run, taken, device, true))
            vm_state_remove_unbound(life, taken->address);
    }
}

/* 'apply' comes at any time: the VM may have started since it looked. */
static bool restore_driver_is_running(struct run *run) {
    struct virt_error error;
    struct others vms;
    bool found = false;
    if (!run->executor->event->settled)
        return false;
    if (!run_open_virt(run))
        return true;
    if (running_domains_load(&vms, run->virt, NULL, &error) < 0) {
        run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
        return true;
    }
    for (size_t i = 0; i < vms.count; i++)
        found |= !strcmp(domain_key(&vms.list[i]), run_vm(run));
    running_domains_finish(&vms);
    return found;
}

/* An engine that comes late must not take for its own what the VM's next life has begun; of a VM
 * that starts, an engine of the same start may have been faster. */
static bool restore_driver_is_over(const struct run *run, const struct vm_state *life) {
    return life->started <= run->vm_start.seen && !vm_state_is_later_start(life, &run->vm_start);
}

static void restore_driver_end_life(struct run *run, struct vm_state *life) {
    if (!restore_driver_is_over(run, life) || (life->taken_count && !run_load_host(run))) {
        vm_state_finish(life);
        return;
    }
    restore_driver_give_all_back(run, life);
    vm_state_end(life);
    host_finish(&run->host);
    run->host = (struct host){0};
    run_save_vm_state(run, life);
}

void restore_driver_end_vm(struct run *run) {
    struct vm_state life;
    if (!restore_driver_is_running(run)) {
        run_log_lost_calls(run);
        pending_end(run->executor->state, run_vm(run), NULL);
        bool found = vm_state_load(&life, run->executor->state, run_vm(run));
        run_log_damage(run, &life);
        if (found) {
            restore_driver_end_life(run, &life);
        } else { /* of an earlier boot, or not whole: it goes */
            vm_state_end(&life);
            run_save_vm_state(run, &life);
        }
    }
    virt_close(run->virt);
    run->virt = NULL;
}
