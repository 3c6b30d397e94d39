#include "engine/model/vm_names.h"

#include "parser/suggest.h"

enum { LISTED = 10 }; /* names in a hint */

static const char *vm_names_nearest(const char *word, const struct domain *list, size_t count) {
    struct suggestion suggestion = {.word = word};
    for (size_t i = 0; i < count; i++) {
        suggest(&suggestion, list[i].name);
        if (list[i].title && !syntax_is_uuid(list[i].title))
            suggest(&suggestion, list[i].title);
        if (list[i].uuid)
            suggest(&suggestion, list[i].uuid);
    }
    return suggestion.best;
}

char *vm_names_hint(const char *word, const struct domain *list, size_t count) {
    const char *nearest = vm_names_nearest(word, list, count);
    if (nearest)
        return memory_printf("did you mean '%s'?", nearest);
    if (!count)
        return memory_strdup("libvirt has no VM yet: make one first");
    char *hint = memory_strdup(count == 1 ? "the only VM is" : "the VMs are");
    for (size_t i = 0; i < count && i < LISTED; i++)
        memory_append(&hint, "%s '%s'", i ? "," : "", domain_label(&list[i]));
    if (count > LISTED)
        memory_append(&hint, " and %zu more ('virsh list --all --title')", count - LISTED);
    return hint;
}
