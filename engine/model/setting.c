#include "engine/model/setting.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
    [SETTING_CONSOLE] = "console",
    [SETTING_FRAMEBUFFER] = "framebuffer",
    [SETTING_POWER] = "power",
    [SETTING_D3COLD] = "d3cold",
    [SETTING_RESET_METHOD] = "reset-method",
};

void setting_add(struct setting_list *list, enum setting_kind kind, const char *path,
                 const char *value) {
    list->list = memory_grow(list->list, list->count, sizeof *list->list);
    list->list[list->count++] = (struct setting){kind, memory_strdup(path), memory_strdup(value)};
}

void setting_add_all(struct setting_list *list, const struct setting_list *other) {
    for (size_t i = 0; i < other->count; i++)
        setting_add(list, other->list[i].kind, other->list[i].path, other->list[i].value);
}

void setting_finish(struct setting_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->list[i].path);
        free(list->list[i].value);
    }
    free(list->list);
    *list = (struct setting_list){.count = 0};
}

const char *setting_word(enum setting_kind kind) {
    return words[kind];
}

bool setting_parse_word(const char *word, enum setting_kind *kind) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i])) {
            *kind = (enum setting_kind)i;
            return true;
        }
    return false;
}

/* The part of the path after "devices/" or "vtconsole/". */
char *setting_owner(const struct setting *setting) {
    static const char *const above[] = {"/devices/", "/vtconsole/"};
    const char *name = setting->path;
    for (size_t i = 0; i < sizeof above / sizeof *above; i++) {
        const char *found = strstr(setting->path, above[i]);
        if (found)
            name = found + strlen(above[i]);
    }
    return memory_strndup(name, strcspn(name, "/"));
}
