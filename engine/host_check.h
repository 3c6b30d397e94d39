/*
 * What only a host can say of rules: a VM that no domain is called, a device that is not there,
 * several where one is asked, one that cannot be passed. The devices come from the snapshot and the
 * judgement that a plan uses.
 */
#ifndef ENGINE_HOST_CHECK_H
#define ENGINE_HOST_CHECK_H

#include "engine/domain.h"
#include "engine/host.h"
#include "engine/ruleset.h"

/*
 * Adds to the diagnostics of a loaded set. `vms` are all VMs of the host, running or not; unless
 * they are known, names of VMs are not judged.
 */
void host_check(struct ruleset *ruleset, const struct check_config *config, const struct host *host,
                bool vms_known, const struct domain *vms, size_t vm_count);

#endif
