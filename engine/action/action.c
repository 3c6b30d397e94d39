#include "engine/action/action.h"

#include <stddef.h>

enum {
    /* The VM has a process, and libvirt does not hold its lock for a hook that it waits for. */
    AT_RUNNING_VM = ACTION_AT(EVENT_STARTED) | ACTION_AT(EVENT_RECONNECT) |
                    ACTION_AT(EVENT_PLUGGED) | ACTION_AT(EVENT_UNPLUGGED),
    AT_ANY = ACTION_AT(EVENT_COUNT) - 1,
};

static const struct action_type action_types[] = {
    {VERB_ATTACH, true, AT_RUNNING_VM, action_attach_plan, action_attach_execute},
    {VERB_DETACH, true, AT_RUNNING_VM, action_detach_plan, action_detach_execute},
    {VERB_RUN, false, AT_ANY, action_run_plan, action_run_execute},
};

const struct action_type *action_find(enum verb verb) {
    for (size_t i = 0; i < sizeof action_types / sizeof *action_types; i++)
        if (action_types[i].verb == verb)
            return &action_types[i];
    return NULL;
}
