/*
 * 'take': a device of another VM. That VM's guest is asked to release it, and the next pass of the
 * run attaches it. A run tries that once a device, so two VMs that take from each other come to an
 * end. The lock of the other VM is never waited for: a run holds that of its own VM.
 */
#ifndef ENGINE_TAKE_H
#define ENGINE_TAKE_H

#include "engine/run/run.h"

/* Whether another VM has the step's device, or one of the group that it goes with. */
bool take_is_needed(const struct run *run, const struct plan_entry *entry);
/* Takes all that the step needs, or nothing. Returns RUN_REPLAN when the VMs have changed, or when
 * the device is not available: the next plan says why. */
enum run_outcome take_execute(struct run *run, const struct plan_entry *entry, struct task *task);

#endif
