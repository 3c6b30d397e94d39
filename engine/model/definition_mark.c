#include "engine/model/definition_mark.h"

#include "engine/model/stable_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* All of these texts are hex digits, and words and punctuation of our own: nothing to escape. */
static void definition_mark_add_hostdev(char **xml, const struct definition_mark *mark) {
    memory_append(xml, "<hostdev as=\"%s\" address=\"%s\"", syntax_backend_text(mark->backend),
                  mark->address);
    if (*mark->form)
        memory_append(xml, " form=\"%s\"", mark->form);
    if (*mark->alias)
        memory_append(xml, " alias=\"%s\"", mark->alias);
    memory_append(xml, "/>");
}

char *definition_mark_xml(const struct definition_mark *marks, size_t count) {
    char *xml = count ? memory_strdup("<defined>") : NULL;
    for (size_t i = 0; i < count; i++)
        if (marks[i].kind == DEFINITION_MARK_CONTROLLER)
            memory_append(&xml, "<controller index=\"%u\"/>", marks[i].index);
        else
            definition_mark_add_hostdev(&xml, &marks[i]);
    if (xml)
        memory_append(&xml, "</defined>");
    return xml;
}

bool definition_mark_is_of_same(const struct definition_mark *a, const struct definition_mark *b) {
    return a->kind == b->kind && a->backend == b->backend && a->index == b->index &&
           !strcmp(a->address, b->address);
}

bool definition_mark_is_same(const struct definition_mark *a, const struct definition_mark *b) {
    return definition_mark_is_of_same(a, b) && !strcmp(a->form, b->form) &&
           !strcmp(a->alias, b->alias);
}

void definition_mark_set_form(struct definition_mark *mark, const char *element) {
    snprintf(mark->form, sizeof mark->form, "%016" PRIx64, stable_id_of("", element).hash);
}

void definition_mark_set_alias(struct definition_mark *mark) {
    snprintf(mark->alias, sizeof mark->alias, "ua-virt-rules-defined-%s-%s",
             syntax_backend_text(mark->backend), mark->address);
    for (char *letter = mark->alias; *letter; letter++)
        if (*letter == ':' || *letter == '.' || *letter == '/')
            *letter = '-';
}
