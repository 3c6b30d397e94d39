/*
 * Devices that a VM had and the host has again, because the VM ended or because we took them out:
 * running VMs whose rules name 'freed' get that event, one after another, in the order in which
 * they were refused the device. What is to be done is noted before (freed_note.h), and done at the
 * end of the engine that noted it, or of the next one: no VM's lock may be held then.
 */
#ifndef ENGINE_FREED_H
#define ENGINE_FREED_H

#include "engine/run/run.h"

struct freed {
    const struct program *program;
    const struct host_source *host_source;
    const char *state; /* directory of log, state and locks */
    struct log_writer *log;
    struct clock *clock;
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

/* At 'release', and before 'prepare' for a VM that ended without it: notes what the VM had, by the
 * domain's XML and by its state, before that is forgotten. `xml_counts`: the XML is that of the VM
 * that has ended. */
void freed_note_end(const struct freed *freed, const struct domain *domain, bool xml_counts);

/* Notes that a device leaves the VM of that key: before its guest is asked. Nothing, if no rule
 * names 'freed'. freed_note_withdraw() takes it back. */
void freed_note_device(const struct program *program, const char *state,
                       const struct device *device, const char *vm);

/* Notifies the VMs of all that was noted, by this process or one that has ended. Returns false when
 * something failed, as the log says; what is left is done by the next engine. */
bool freed_notify(const struct freed *freed);
/* The same for a command whose results are not those of other VMs: writes to the log alone, which
 * it opens itself, and prints nothing. */
void freed_notify_aside(struct freed freed);

#endif
