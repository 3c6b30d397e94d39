#include "engine/action/action.h"

#include <stddef.h>

static const struct action_type action_types[] = {
    {VERB_ATTACH, true, action_attach_plan, action_attach_execute},
    {VERB_DETACH, true, action_detach_plan, action_detach_execute},
    {VERB_RUN, false, action_run_plan, action_run_execute},
    {VERB_REQUIRE, false, action_require_plan, action_require_execute},
    {VERB_BIND, false, action_bind_plan, action_bind_execute},
    {VERB_CREATE, false, action_create_plan, action_create_execute},
};

const struct action_type *action_find(enum verb verb) {
    for (size_t i = 0; i < sizeof action_types / sizeof *action_types; i++)
        if (action_types[i].verb == verb)
            return &action_types[i];
    return NULL;
}
