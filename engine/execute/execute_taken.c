#include "engine/execute/execution.h"

#include "engine/state/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What leaves its host driver for the VM, and how the host gets it back. libvirt gives back what it
 * knows to have taken; the rest is ours: what we took for an IOMMU group to go, and what a libvirt
 * that was killed in the middle of an attach has left on vfio's driver.
 */

const struct binder *execution_binder(const struct execution *run) {
    static const struct binder kernel = {host_release, host_give_back, host_reclaim};
    return run->executor->binder ? run->executor->binder : &kernel;
}

/* --- what is noted */

static struct taken *find(const struct execution *run, const char *address) {
    for (size_t i = 0; i < run->taken_count; i++)
        if (!strcmp(run->taken[i].address, address))
            return &run->taken[i];
    return NULL;
}

static struct taken *add(struct execution *run, const char *address, const char *driver) {
    struct taken *taken = find(run, address);
    if (taken)
        return taken;
    run->taken = memory_grow(run->taken, run->taken_count, sizeof *run->taken);
    taken = &run->taken[run->taken_count++];
    *taken = (struct taken){.address = memory_strdup(address),
                            .driver = driver && *driver ? memory_strdup(driver) : NULL};
    return taken;
}

/* The host's, although something else has it by now: then another VM's life may tell. Returns false
 * for a device that somebody gave to vfio on purpose. */
static bool find_host_driver(const struct execution *run, const struct life *life,
                             const struct host_device *device, char *driver, size_t size) {
    const struct life_device *noted = life_find_taken(life, device->address);
    if (noted && !life_device_is(noted, device))
        noted = NULL;
    bool is_host = device->driver && !host_is_vfio(device->driver);
    const char *known = noted ? noted->driver : is_host ? device->driver : NULL;
    snprintf(driver, size, "%s", known ? known : "");
    return noted || is_host || life_find_in_all(run->executor->state, device, driver, size) ||
           !device->driver;
}

/* A note that cannot be written is missed only should libvirt be killed as well: it is no failure.
 */
static void save_quietly(const struct execution *run, const struct life *life) {
    char ignored[512];
    life_save(life, run->executor->state, execution_vm(run), ignored, sizeof ignored);
}

struct taken *execute_note_taken(struct execution *run, const struct host_device *device) {
    struct life life;
    struct taken *taken = NULL;
    char driver[64];
    if (!execution_load_life(run, &life))
        return NULL;
    if (find_host_driver(run, &life, device, driver, sizeof driver)) {
        taken = add(run, device->address, driver);
        const struct life_device *noted = life_find_taken(&life, device->address);
        if (noted && !life_device_is(noted, device))
            life_give_back(&life, device->address); /* of one that was there before */
        if (life_take(&life, device, driver))
            save_quietly(run, &life);
    }
    life_finish(&life);
    return taken;
}

void execute_note_failed(struct execution *run, const struct host_device *device) {
    struct taken *taken = device->bus == BUS_PCI ? find(run, device->address) : NULL;
    if (taken)
        taken->loose = true;
}

/* Begins nothing, and changes nothing of a later start of the VM. */
static void forget(struct execution *run, const char *address) {
    struct life life;
    if (life_load(&life, run->executor->state, execution_vm(run)) &&
        !life_is_later(&life, &run->vm_start) && life_find_taken(&life, address)) {
        life_give_back(&life, address);
        execution_save_life(run, &life);
    }
    life_finish(&life);
}

/* --- what the host shows */

/* Whether some VM still has one of the device's group, as far as the host shows it. */
static bool is_group_in_use(const struct execution *run, const struct host_device *device) {
    char driver[64];
    for (size_t i = 0; i < run->host.count; i++) {
        const struct host_device *other = &run->host.devices[i];
        if (other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
            host_driver(&run->host, other, driver, sizeof driver) && strstr(driver, "vfio"))
            return true;
    }
    return false;
}

enum place {
    PLACE_HOST, /* on a host driver, or gone */
    PLACE_VFIO,
    PLACE_NOWHERE, /* it has no driver */
};

static enum place place_of(const struct execution *run, const struct host_device *device) {
    char driver[64];
    if (!host_driver(&run->host, device, driver, sizeof driver))
        return PLACE_HOST;
    return !*driver ? PLACE_NOWHERE : host_is_vfio(driver) ? PLACE_VFIO : PLACE_HOST;
}

void execute_note_returned(struct execution *run, const struct host_device *device) {
    if (device->bus == BUS_PCI && place_of(run, device) == PLACE_HOST)
        forget(run, device->address);
}

/* libvirt may be about to give it back, or others of its group. */
static enum place wait_for_libvirt(const struct execution *run, const struct host_device *device,
                                   bool is_over) {
    int64_t deadline = execution_now(run) + RELEASE_LIMIT_MS;
    enum place place;
    while ((place = place_of(run, device)) != PLACE_HOST && execution_now(run) < deadline &&
           (place == PLACE_VFIO ? is_over : is_group_in_use(run, device)))
        execution_sleep_until(run, execution_now(run) + FIRST_WAIT_MS);
    return place;
}

/* --- without a driver */

/* Returns true when nothing is left to do. */
static bool probe(struct execution *run, struct taken *taken, const struct host_device *device) {
    static const char hint[] = "when the VM has ended, write the address to "
                               "/sys/bus/pci/drivers_probe, or start a VM that takes the group";
    char error[512];
    bool tried = false;
    if (is_group_in_use(run, device))
        snprintf(error, sizeof error, "it has no driver, and a VM has others of its IOMMU group");
    else if (execution_binder(run)->give_back(&run->host, device, error, sizeof error) == 0) {
        tried = true;
        if (place_of(run, device) != PLACE_NOWHERE) {
            execution_log_device(run, device, RESULT_DETACHED, "back on its host driver", NULL);
            return true;
        }
        if (!taken->driver)
            return true;
        snprintf(error, sizeof error, "its host driver %s did not take it back", taken->driver);
    }
    if (!taken->told)
        execution_log_device(run, device, RESULT_FAILED, error, hint);
    taken->told = true;
    return tried;
}

/* --- left on vfio's driver */

static const struct domain *holder_of(const struct others *vms, const struct host_device *device) {
    for (size_t i = 0; i < vms->count; i++)
        if (domain_holds(&vms->list[i], device))
            return &vms->list[i];
    return NULL;
}

enum holder { HOLDER_NONE, HOLDER_VM, HOLDER_UNKNOWN };

/* Whether any VM that runs now has it. A VM that is about to start may have it in its definition.
 */
static enum holder find_holder(struct execution *run, const struct host_device *device) {
    struct virt_error error;
    struct others vms;
    const struct event *event = run->executor->event;
    if (event->name == EVENT_PREPARE && domain_holds(event->domain, device))
        return HOLDER_UNKNOWN;
    if (!run->virt && !execution_open_virt(run))
        return HOLDER_UNKNOWN;
    if (others_load(&vms, run->virt, NULL, &error) < 0) {
        execution_log_device(run, device, RESULT_FAILED, error.message, error.hint);
        return HOLDER_UNKNOWN;
    }
    enum holder holder = holder_of(&vms, device) ? HOLDER_VM : HOLDER_NONE;
    for (size_t i = 0; vms.list && i < vms.count && holder == HOLDER_NONE; i++)
        if (vms.list[i].unreadable) /* it may have anything */
            holder = HOLDER_UNKNOWN;
    others_finish(&vms);
    return holder;
}

#define BY_HAND "when nothing uses it any more, 'virt-rules apply' gives it back to the host"

static void say_reclaimed(struct execution *run, const struct taken *taken,
                          const struct host_device *device, const char *from) {
    char now[64] = "", *message;
    host_driver(&run->host, device, now, sizeof now);
    if (*now && !host_is_vfio(now))
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
    bool good = !*now ? !taken->driver : !host_is_vfio(now);
    execution_log_device(run, device, good ? RESULT_DETACHED : RESULT_FAILED, message,
                         good ? NULL : "see dmesg");
    free(message);
}

/* Returns true when nothing is left to do. */
static bool reclaim(struct execution *run, const struct taken *taken,
                    const struct host_device *device) {
    char error[512], from[64] = "";
    char *user = host_group_user(&run->host, device);
    host_driver(&run->host, device, from, sizeof from);
    if (user) {
        snprintf(error, sizeof error, "libvirt left it on %s, and %s has its IOMMU group %d open",
                 from, user, device->iommu_group);
        free(user);
    } else if (execution_binder(run)->reclaim(&run->host, device, error, sizeof error) == 0) {
        say_reclaimed(run, taken, device, from);
        return true;
    }
    execution_log_device(run, device, RESULT_FAILED, error, BY_HAND);
    return false;
}

/* The VM's life is over. */
static bool judge(struct execution *run, const struct taken *taken,
                  const struct host_device *device) {
    switch (find_holder(run, device)) {
    case HOLDER_VM:
        return true; /* who gave it to that one has noted it */
    case HOLDER_NONE:
        return reclaim(run, taken, device);
    case HOLDER_UNKNOWN:
        break;
    }
    return false;
}

/* Another VM may have it already, by which nothing is waited for. */
static bool reclaim_in_time(struct execution *run, const struct taken *taken,
                            const struct host_device *device) {
    switch (find_holder(run, device)) {
    case HOLDER_VM:
        return true;
    case HOLDER_NONE:
        return (run->executor->event->name != EVENT_PREPARE &&
                wait_for_libvirt(run, device, true) != PLACE_VFIO) ||
               judge(run, taken, device);
    case HOLDER_UNKNOWN:
        break;
    }
    return false;
}

/* --- giving back */

static const char UNBIND[] = "unbind";

void execute_note_unbinding(struct execution *run, const struct host_device *device) {
    pending_begin(run->executor->state, execution_vm(run), UNBIND, device->address, 0);
}

/* It is on its host driver still, but will not stay there. */
static bool is_unbinding(const struct execution *run, const struct host_device *device) {
    size_t count;
    bool is = false;
    struct pending_call *calls = pending_load(run->executor->state, execution_vm(run), &count);
    for (size_t i = 0; i < count; i++)
        is |= !strcmp(calls[i].verb, UNBIND) && !strcmp(calls[i].device, device->address);
    free(calls);
    if (!is || place_of(run, device) == PLACE_HOST)
        return is;
    pending_forget(run->executor->state, execution_vm(run), device->address);
    return false;
}

/* Returns true when the host has it, or another VM: it need not be noted any more. */
static bool give_one_back(struct execution *run, struct taken *taken,
                          const struct host_device *device, bool is_over) {
    if (is_unbinding(run, device))
        return false;
    switch (wait_for_libvirt(run, device, false)) {
    case PLACE_HOST:
        return true;
    case PLACE_VFIO:
        return is_over && reclaim_in_time(run, taken, device);
    case PLACE_NOWHERE:
        break;
    }
    return (!taken->driver && !taken->for_group) || probe(run, taken, device);
}

/* While libvirt may be at a change it is not touched: the VM's end gives it back. */
void execute_give_back(struct execution *run, int group) {
    if (run->silent)
        return;
    for (size_t i = 0; i < run->taken_count; i++) {
        struct taken *taken = &run->taken[i];
        const struct host_device *device = host_find(&run->host, BUS_PCI, taken->address);
        if (taken->loose && device && (group < 0 || device->iommu_group == group) &&
            give_one_back(run, taken, device, false)) {
            taken->loose = false;
            forget(run, taken->address);
        }
    }
}

static bool is_any_loose(const struct execution *run) {
    for (size_t i = 0; i < run->taken_count; i++)
        if (run->taken[i].loose)
            return true;
    return false;
}

/* What a later start of the VM has noted is given back at its end. */
static void leave_to_later(struct execution *run) {
    struct life life;
    bool later = life_load(&life, run->executor->state, execution_vm(run)) &&
                 life_is_later(&life, &run->vm_start);
    for (size_t i = 0; i < run->taken_count; i++)
        if (later && life_find_taken(&life, run->taken[i].address))
            run->taken[i].loose = false;
    life_finish(&life);
}

void execute_leave_host(struct execution *run) {
    if (run->late)
        leave_to_later(run);
    if (!is_any_loose(run) || !execution_load_host(run))
        return;
    execute_give_back(run, -1);
    host_finish(&run->host);
    run->host = (struct host){0};
}

/* --- the end of the VM's life */

/* Another device has come to the place of one that was noted: whoever put it there knows why it has
 * the driver it has. */
static bool is_another(struct execution *run, const struct life_device *noted,
                       const struct host_device *device) {
    if (life_device_is(noted, device))
        return false;
    if (place_of(run, device) != PLACE_HOST) {
        char *message =
            memory_printf("%04x:%04x of IOMMU group %d was noted there: nothing is done "
                          "to this device",
                          noted->id.vendor, noted->id.device, noted->iommu_group);
        execution_log_device(run, device, RESULT_FAILED, message,
                             "see 'virt-rules devices' for its driver");
        free(message);
    }
    return true;
}

/* Of a device that left the host nothing is known any more. */
static void give_all_back(struct execution *run, struct life *life) {
    for (size_t i = life->taken_count; i-- > 0;) {
        const struct life_device *noted = &life->taken[i];
        const struct host_device *device = host_find(&run->host, BUS_PCI, noted->address);
        struct taken *taken = add(run, noted->address, noted->driver);
        if (!device || is_another(run, noted, device) || give_one_back(run, taken, device, true))
            life_give_back(life, taken->address);
    }
}

/* 'apply' comes at any time: the VM may have started since it looked. */
static bool is_running(struct execution *run) {
    struct virt_error error;
    struct others vms;
    bool found = false;
    if (!run->executor->event->settled)
        return false;
    if (!execution_open_virt(run))
        return true;
    if (others_load(&vms, run->virt, NULL, &error) < 0) {
        execution_log_event(run, RESULT_FAILED, error.message, error.hint);
        return true;
    }
    for (size_t i = 0; i < vms.count; i++)
        found |= !strcmp(domain_key(&vms.list[i]), execution_vm(run));
    others_finish(&vms);
    return found;
}

/* An engine that comes late must not take for its own what the VM's next life has begun; of a VM
 * that starts, an engine of the same start may have been faster. */
static bool is_over(const struct execution *run, const struct life *life) {
    return life->started <= run->vm_start.seen && !life_is_later(life, &run->vm_start);
}

static void end_life(struct execution *run, struct life *life) {
    if (!is_over(run, life) || (life->taken_count && !execution_load_host(run))) {
        life_finish(life);
        return;
    }
    give_all_back(run, life);
    life_end(life);
    host_finish(&run->host);
    run->host = (struct host){0};
    execution_save_life(run, life);
}

void execute_end_life(struct execution *run) {
    struct life life;
    if (!is_running(run)) {
        execution_log_lost_calls(run);
        pending_end(run->executor->state, execution_vm(run), NULL);
        bool found = life_load(&life, run->executor->state, execution_vm(run));
        execution_log_damage(run, &life);
        if (found) {
            end_life(run, &life);
        } else { /* of an earlier boot, or not whole: it goes */
            life_end(&life);
            execution_save_life(run, &life);
        }
    }
    virt_close(run->virt);
    run->virt = NULL;
}
