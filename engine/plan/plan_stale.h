/*
 * What a VM would start with that its rules do not mean: its definition has a device by a rule at
 * `defined`, and since then the host's devices have moved, or the rules were changed. An address is
 * all that a definition says of a PCI device, so that the VM gets whatever is there now.
 */
#ifndef ENGINE_PLAN_STALE_H
#define ENGINE_PLAN_STALE_H

#include "engine/plan/plan.h"

/* What 'apply' would do now. Its plan borrows the event: it must not be moved. */
struct plan_stale {
    struct event event;
    struct plan plan;
};

/* Whether the definition has anything by a rule. Else nothing can be stale. */
bool plan_stale_may_be(const struct domain *domain);

/* The request's event is another one of the VM. The caller ends it with plan_finish(&stale->plan).
 */
void plan_stale_init(struct plan_stale *stale, const struct plan_request *request);

/* The next entry of a stale device after `last`; NULL: from the first; there is no more. What is
 * only put in again with other options is not stale. */
const struct plan_entry *plan_stale_next(const struct plan_stale *stale,
                                         const struct plan_entry *last);

/* One line, for the caller to free: "the VM's definition has 0000:03:00.0 by a rule: ...". */
char *plan_stale_text(const struct plan_stale *stale, const struct plan_entry *entry);

#endif
