/* May a device be passed to a VM at all, and how would a rule name it? Judged by the planner
 * itself. */
#ifndef ENGINE_ASSIGNABLE_H
#define ENGINE_ASSIGNABLE_H

#include "engine/plan/plan.h"

struct assignable {
    enum refusal refusal; /* REFUSED_NOT: it may */
    char *message;        /* of a refusal; else NULL */
    char *hint;
};

/* The running VMs, which may have the device. */
struct assignable_vms {
    const struct domain *list;
    size_t count;
    const struct holdings *holdings; /* of the whole host; NULL: looked for at each question */
};

/* The caller ends it with assignable_finish(). */
struct assignable assignable_judge(const struct host *host, const struct device *device,
                                   const struct assignable_vms *vms);
void assignable_finish(struct assignable *passable);

/* The same for who knows what shares the device's IOMMU group (itself too): so that a list of all
 * devices takes as long for each on a large host as on a small one. */
struct assignable assignable_judge_in_group(const struct host *host,
                                            const struct device *const *group, size_t count,
                                            const struct device *device,
                                            const struct assignable_vms *vms);

/*
 * The shortest words that mean this device alone: "1ac1:089a", "8086:1520 at 0000:01:00.1",
 * "10c4:ea60 serial "0001"". The caller frees it.
 */
char *assignable_selector(const struct host *host, const struct device *device);

#endif
