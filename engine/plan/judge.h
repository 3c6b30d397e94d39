/*
 * Whether a device can be assigned to a domain with a backend, and if not, why. plan, devices,
 * explain, check --host and doctor all ask here. The answer depends on the host's snapshot and the
 * XML of the VMs; nothing here has side effects.
 */
#ifndef ENGINE_JUDGE_H
#define ENGINE_JUDGE_H

#include "engine/backend/backend.h"
#include "engine/host/host.h"
#include "engine/plan/holdings.h"
#include "engine/rules/program.h"

#include <stdint.h>

/* A device that libvirt did not attach although no VM's XML showed why. */
struct busy_device {
    enum bus bus;
    char *address;
    char *message; /* libvirt's words */
    const char *hint;
};

/* A device that is not taken from the VM that has it. */
struct kept_device {
    enum bus bus;
    char *address;
    char *message, *hint; /* why it could not be; NULL: it was, and that is done once only */
};

/*
 * What the answer depends on; borrowed, but for the holdings and the index. A list of questions
 * takes one judge. judge_finish() ends it.
 */
struct judge {
    const struct host *host;
    const struct domain *domain;   /* judge_any_vm: nothing is known of the VM */
    const struct program *program; /* whose 'never' lines and rules count; NULL: none */
    const struct domain *others;   /* the other running VMs; may be NULL */
    size_t other_count;
    const struct busy_device *busy; /* may be NULL */
    size_t busy_count;
    const struct kept_device *kept; /* may be NULL */
    size_t kept_count;
    /* The action may take a device from a VM that has it: then it is judged as if that VM had it
     * not. See judge_holder(). */
    bool may_take;
    /* It is for a definition, whose VM is shut off: that another VM has the device open passes. */
    bool is_definition;
    /* That VM does not start unless it can have the device, whatever the rules of `program` say. */
    bool is_required;
    /* The domain is about to start, with what its definition has: that refuses nothing. */
    bool is_starting;
    /* Of a plan: one for each device of the host, not 0 for what earlier entries give to the VM or
     * take from it. NULL: no plan is made. */
    const uint8_t *marks;
    struct holdings holdings; /* what these VMs have, once that was asked for */
    bool has_holdings;
    const struct device **by_group; /* PCI devices by IOMMU group; NULL: nobody asked so far */
    size_t by_group_count;
};

/* A VM of which nothing is known: it has no devices, and a place for any device. */
extern const struct domain judge_any_vm;

void judge_finish(struct judge *judge);

/*
 * The strongest reason comes first: a 'never', or harm to the host. `options` may be NULL: any.
 * `with_group`: the other
 * endpoints of the IOMMU group go too, and are judged one by one. Free places in the guest are not
 * checked here, but by the backend's take_place(). The caller ends the verdict with
 * verdict_finish().
 */
struct verdict judge_device(struct judge *judge, const struct device *device,
                            const struct backend_type *backend,
                            const struct backend_options *options, bool with_group);

/* The same for a PCI device that leaves its driver for that one, without a VM: of its IOMMU group
 * any device may be bound alone. `others` are all VMs that run. */
struct verdict judge_bind(struct judge *judge, const struct device *device, const char *driver);

/* Of a device that this `never` forbids. */
struct verdict judge_refuse_guard(const struct guard *guard);

/* The VM that the device is taken from; NULL: it is free, or must not be taken (see `may_take`):
 * the VM has something on it and not the device itself, or cannot be read, or it is kept. */
const struct domain *judge_holder(struct judge *judge, const struct device *device);

/* Whether `other` is another endpoint of the device's IOMMU group: the two go together. */
bool judge_is_group_member(const struct device *device, const struct device *other);

#endif
