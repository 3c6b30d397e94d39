/* What of the host an attach changes before libvirt gets the device, and the engine sets back
 * afterwards. */
#ifndef ENGINE_PLAN_SETTINGS_H
#define ENGINE_PLAN_SETTINGS_H

#include "engine/host/host.h"
#include "parser/syntax.h"

/* Adds what the options of an action that attaches ask for. */
void plan_settings_add(struct setting_list *list, const struct action *action,
                       const struct device *device);

/* What a person should know of that, for the note of a plan's entry. NULL: nothing is changed. The
 * caller frees it. */
char *plan_settings_note(const struct setting_list *list, const struct action *action,
                         const struct host *host, const struct device *device);

#endif
