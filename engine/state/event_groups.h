/*
 * The events that came, as people want them in the log. libvirt reports three events for each start
 * of a VM, and two for its end: what no rule matched of them is one line. What a rule matched has
 * lines of its own in the log.
 */
#ifndef ENGINE_EVENT_GROUPS_H
#define ENGINE_EVENT_GROUPS_H

#include "engine/state/log_merge.h"

enum event_phase { EVENT_PHASE_ALONE, EVENT_PHASE_START, EVENT_PHASE_STOP };

/* Events in succession that no rule matched. */
struct event_group {
    char *key;                /* of the VM: its UUID, or what people call it; NULL: of a device */
    char *vm, *name, *device; /* as in struct log_line */
    char *events;             /* "prepare, start, started" */
    char *event;              /* the last of them */
    int64_t when;             /* of that, in milliseconds since the Epoch */
    enum event_phase phase;
    bool is_partial; /* another event of the same start was matched */
};

typedef void event_group_show(void *context, const struct event_group *group);

struct event_groups {
    event_group_show *show; /* called for each group that is complete; set by the caller */
    void *context;
    struct event_group *open; /* one of a VM: libvirt may report more of the start */
    size_t open_count;
    char **matched; /* keys of the VMs for whose last start, or a part of it, there was a rule */
    size_t matched_count;
};

/* Takes an event, which is not broken. */
void event_groups_take(struct event_groups *groups, const struct log_item *item);
/* Nothing more comes for now. */
void event_groups_flush(struct event_groups *groups);
void event_groups_finish(struct event_groups *groups);

#endif
