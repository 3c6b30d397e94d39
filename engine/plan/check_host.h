/*
 * The checks that need a host: a rule's VM does not exist or its name is ambiguous; a device is
 * absent, ambiguous or cannot be assigned; a program or a ROM file is missing. The plan's own judge
 * says which devices can be assigned.
 */
#ifndef ENGINE_CHECK_HOST_H
#define ENGINE_CHECK_HOST_H

#include "engine/host/host.h"
#include "engine/model/domain.h"
#include "engine/plan/plan.h"
#include "engine/rules/ruleset.h"

/*
 * Adds diagnostics to a loaded set. `vms` are all VMs of the host, running or not. With `vms_known`
 * false the names of VMs are not checked.
 */
void check_host(struct ruleset *ruleset, const struct check_config *config, const struct host *host,
                bool vms_known, const struct domain *vms, size_t vm_count);

/*
 * Checks only the files that rules name: programs and ROM files that are missing or cannot be used.
 * Below another root than "" a file is checked only if its directory exists: a copy of a host has
 * not all files.
 */
void check_host_files(struct ruleset *ruleset, const struct check_config *config, const char *root);

/* What writes the definition of a VM by itself before each start, so that what `defined` puts in
 * does not last; NULL: nothing that is known. Borrowed. */
const char *check_host_manager(const char *root);

/* Whether the device may be absent without a fault in the rule: the rule waits for the device, or
 * acts when it is plugged in. */
bool check_host_may_lack(const struct rule *rule, const struct action *action);

#endif
