/*
 * `defined`: the definition of a VM gets and loses what its rules say (plan_defined.h), so that the
 * VM has it from its first instruction on. Done by 'apply' and after the VM's `release`. A VM that
 * runs is left for its `release`.
 *
 * What we put in is marked before (definition_mark.h) and the mark goes after it was taken out: an
 * engine that is killed in between leaves a definition that the next one understands.
 */
#ifndef ENGINE_DEFINE_H
#define ENGINE_DEFINE_H

#include "engine/host/host.h"
#include "engine/libvirt/virt.h"
#include "engine/model/event.h"
#include "engine/rules/program.h"
#include "engine/state/log_write.h"
#include "engine/system/clock.h"

struct define {
    const struct program *program;
    bool partial; /* files with errors are left out of the program: what leaves cannot be known */
    const struct host_source *host_source;
    const char *state; /* directory of locks */
    struct log_writer *log;
    struct clock *clock;
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

/* Whether a rule is for that VM at `defined`, or its definition has something of ours. The event's
 * name does not matter. */
bool define_is_concerned(const struct program *program, const struct event *event);

/* Changes the definition of that VM, of which `domain` has the names and the marks. Returns true
 * when everything is as the rules want it, or will be at its `release`. Each result is in the log.
 */
bool define_vm(const struct define *define, const struct domain *domain);

/* The same for several, one after the other, so that 'any' takes what no other definition has. Each
 * one's own definition is read right before it is changed; the host and the list of all VMs are
 * read once for many. */
bool define_vms(const struct define *define, const struct domain *const *domains, size_t count);

#endif
