#include "engine/run/run.h"

#include "engine/host/driver.h"

#include <stdlib.h>
#include <string.h>

/*
 * A device that 'on host boot bind' means belongs to the driver of that rule, and not to the one
 * that the kernel would choose: libvirt clears driver_override when it gives back what it unbound
 * itself. What it found on vfio-pci it leaves there (virPCIDeviceUnbindFromStub() of
 * src/util/virpci.c).
 */

const char *restore_home_of(const struct run *run, const struct device *device) {
    return device->bus == BUS_PCI ? match_boot_driver(run->config->program, device) : NULL;
}

bool restore_home_has(const struct run *run, const struct device *device) {
    const char *home = restore_home_of(run, device);
    char now[64];
    return home && run->host.source.driver_of(&run->host, device, now, sizeof now) &&
           (!strcmp(now, home) || (driver_is_vfio(now) && !strcmp(home, DRIVER_VFIO)));
}

/* Judged as the rule itself is: the host may use it since it was given back. */
static bool restore_home_may_bind(const struct run *run, const struct host *host,
                                  const struct device *device, const char *home) {
    struct domain_list vms;
    domain_list_running_in(&vms, host->root, run->config->event->domain);
    struct judge judge = {.host = host,
                          .domain = &judge_any_vm,
                          .program = run->config->program,
                          .others = vms.list,
                          .other_count = vms.count};
    struct verdict verdict = judge_bind(&judge, device, home);
    bool may = !verdict.refusal;
    char *user = may && device->iommu_group >= 0 && !driver_is_vfio(home)
                     ? host->source.group_user(host, device)
                     : NULL;
    may &= !user;
    free(user);
    verdict_finish(&verdict);
    judge_finish(&judge);
    domain_list_finish(&vms);
    return may;
}

void restore_home(struct run *run, const struct device *device) {
    const struct host_source *source = run->config->host_source;
    const char *home = restore_home_of(run, device);
    struct failure failure = {.message = ""};
    struct host host;
    if (!home || restore_home_has(run, device) || !source->has_driver(source, home) ||
        source->load(source, &host, &failure) < 0)
        return;
    const struct device *now = host_find(&host, BUS_PCI, device->address);
    char after[64] = "";
    if (now && device_id_is(now->id, device->id) && restore_home_may_bind(run, &host, now, home)) {
        int status = host.source.bind(&host, now, home, &failure);
        char *message = NULL;
        if (!status && host.source.driver_of(&host, now, after, sizeof after) &&
            !strcmp(after, home))
            message = memory_printf("bound to %s again, as a rule of the host's boot says", home);
        if (message)
            run_log_device(run, now, RESULT_BOUND, message, NULL);
        else
            run_log_device(run, now, RESULT_FAILED,
                           status ? failure.message : "its driver did not take it",
                           "'virt-rules boot' binds it as the rule of the host's boot says");
        free(message);
    }
    host_finish(&host);
}
