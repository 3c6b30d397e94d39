/*
 * What only a host can say of rules: a VM that no domain is called or that several are, a
 * device that is not there,
 * several where one is asked, one that cannot be passed, a program that is not there. The devices
 * come from the snapshot and the
 * judgement that a plan uses.
 */
#ifndef ENGINE_CHECK_HOST_H
#define ENGINE_CHECK_HOST_H

#include "engine/host/host.h"
#include "engine/model/domain.h"
#include "engine/plan/plan.h"
#include "engine/rules/ruleset.h"

/*
 * Adds to the diagnostics of a loaded set. `vms` are all VMs of the host, running or not; unless
 * they are known, names of VMs are not judged.
 */
void check_host(struct ruleset *ruleset, const struct check_config *config, const struct host *host,
                bool vms_known, const struct domain *vms, size_t vm_count);

/*
 * The part of it that is about files: programs to run and ROM files that are not there, or no use.
 * Below another root than "" those alone are judged whose directory is there, since a copy of a
 * host has not all of it.
 */
void check_host_files(struct ruleset *ruleset, const struct check_config *config, const char *root);

/* A rule that waits for the device, or acts when it is plugged, is right while it is not there. */
bool check_host_may_lack(const struct rule *rule, const struct action *action);

#endif
