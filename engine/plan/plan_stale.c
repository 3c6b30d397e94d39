#include "engine/plan/plan_stale.h"

#include "lexer/memory.h"

#include <stdlib.h>

bool plan_stale_may_be(const struct domain *domain) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (domain->hostdevs[i].mark)
            return true;
    return false;
}

void plan_stale_init(struct plan_stale *stale, const struct plan_request *request) {
    struct plan_request defined = *request;
    stale->event = *request->event;
    stale->event.name = EVENT_DEFINED;
    defined.event = &stale->event;
    plan_init(&stale->plan, &defined);
}

/* What the rules mean and the definition does not have; of that backend. */
static const struct plan_entry *plan_stale_meant(const struct plan_stale *stale,
                                                 enum backend backend) {
    for (size_t i = 0; i < stale->plan.count; i++) {
        const struct plan_entry *entry = &stale->plan.entries[i];
        if (plan_attaches(entry) && entry->action->backend == backend)
            return entry;
    }
    return NULL;
}

static bool plan_stale_comes_again(const struct plan_stale *stale, const struct plan_entry *entry) {
    for (size_t i = 0; i < stale->plan.count; i++) {
        const struct plan_entry *other = &stale->plan.entries[i];
        if (plan_attaches(other) && other->device == entry->device)
            return true;
    }
    return false;
}

const struct plan_entry *plan_stale_next(const struct plan_stale *stale,
                                         const struct plan_entry *last) {
    for (size_t i = last ? (size_t)(last - stale->plan.entries) + 1 : 0; i < stale->plan.count;
         i++) {
        const struct plan_entry *entry = &stale->plan.entries[i];
        if (entry->kind == PLAN_STEP && plan_verb(entry) == VERB_DETACH && entry->mark_count &&
            entry->marks[0].kind == DEFINITION_MARK_HOSTDEV &&
            !plan_stale_comes_again(stale, entry))
            return entry;
    }
    return NULL;
}

char *plan_stale_text(const struct plan_stale *stale, const struct plan_entry *entry) {
    const struct plan_entry *meant = plan_stale_meant(stale, entry->marks[0].backend);
    char *device = plan_device_text(entry), *other = meant ? plan_device_text(meant) : NULL;
    char *text =
        memory_printf("the VM's definition has %s by a rule: %s%s%s%s", device, entry->message,
                      other ? "; the rules mean " : "", other ? other : "", other ? " now" : "");
    free(other);
    free(device);
    return text;
}
