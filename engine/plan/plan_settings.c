#include "engine/plan/plan_settings.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

void plan_settings_add(struct setting_list *list, const struct action *action,
                       const struct device *device) {
    if (syntax_find_option(action->options, OPTION_BOOT_DISPLAY))
        setting_add_all(list, &device->display_settings);
}

/* "console vtcon1 and framebuffer efi-framebuffer.0"; "": neither. */
static char *plan_settings_unbound(const struct setting_list *list) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < list->count; i++) {
        const struct setting *setting = &list->list[i];
        if (setting->kind != SETTING_CONSOLE && setting->kind != SETTING_FRAMEBUFFER)
            continue;
        char *owner = setting_owner(setting);
        memory_append(&text, "%s%s %s", *text ? " and " : "", setting_word(setting->kind), owner);
        free(owner);
    }
    return text;
}

char *plan_settings_note(const struct setting_list *list, const struct action *action,
                         const struct host *host, const struct device *device) {
    char *unbound = plan_settings_unbound(list), *text = memory_strdup("");
    if (*unbound)
        memory_append(&text, "the host unbinds %s first, and binds %s again afterwards", unbound,
                      strstr(unbound, " and ") ? "them" : "it");
    if (device->is_display && syntax_find_option(action->options, OPTION_BOOT_DISPLAY)) {
        const char *serial = host->serial_console;
        memory_append(&text, "%sthe host has %s%s meanwhile", *text ? "; " : "",
                      serial ? "only its console on " : "no local console", serial ? serial : "");
    }
    free(unbound);
    if (*text)
        return text;
    free(text);
    return NULL;
}
