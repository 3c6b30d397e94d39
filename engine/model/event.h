/* An event: which VM, and what happens to it (libvirt's hooks.html). */
#ifndef ENGINE_EVENT_H
#define ENGINE_EVENT_H

#include "engine/model/domain.h"
#include "lexer/scanner.h"

#include <stdint.h>

struct event {
    enum event_name name;
    const struct domain *domain; /* borrowed; NULL: any VM, of which nothing is known */
    /* Of plugged the device as it is, of unplugged as it was; borrowed. NULL: not known, or
     * another event. */
    const struct device *device;
    /* Every VM of the host, running or not, by which a word that fits several is understood;
     * borrowed. NULL: not known, and the domain is taken for the only one. */
    const struct domain *vms;
    size_t vm_count;
    /* Why nothing is known of the domain but a name that a person typed, which may be wrong:
     * "libvirt could not be asked for its VMs"; borrowed. NULL: it is a VM. */
    const char *name_only;
    /* The VM has run for a while, and its rules are applied again: devices only, no program. */
    bool settled;
    /* When the domain was read, in the unit of clock_ticks(); 0: when this process was started,
     * as in a process that the hook has started. */
    unsigned long long seen;
    /* When it happened, in milliseconds of the run's clock; 0: at the run's start. */
    int64_t since;
    /* A person reports it, who knows that the device was taken out before. */
    bool by_hand;
};

/* Whether devices may be attached and detached: the VM has a process, and libvirt does not hold
 * its job while the hook runs. */
bool event_can_attach(enum event_name name);

#endif
