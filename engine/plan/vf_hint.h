/*
 * What a person can do when a target selects no virtual function, or too few: how many its physical
 * functions run, and how to make more. The kernel changes their number from 0 only: sriov_numvfs in
 * Documentation/ABI/testing/sysfs-bus-pci.
 */
#ifndef ENGINE_VF_HINT_H
#define ENGINE_VF_HINT_H

#include "engine/host/host.h"
#include "parser/syntax.h"

struct vf_hint {
    char *message; /* "0000:41:00.1 runs none, of at most 64"; NULL: the target selects no virtual
                      function of a device that the host has */
    char *hint;    /* how to make them, at the first one that can run more; or NULL */
};

struct vf_hint vf_hint_of(const struct host *host, const struct criterion *criteria);
void vf_hint_finish(struct vf_hint *hint);

#endif
