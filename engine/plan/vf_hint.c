#include "engine/plan/vf_hint.h"

#include "engine/rules/match.h"
#include "lexer/memory.h"

#include <stdlib.h>

static void vf_hint_add(struct vf_hint *hint, const struct device *physical) {
    unsigned runs = physical->virtual_functions, total = physical->vf_total;
    char *count = runs ? memory_printf("%u", runs) : memory_strdup("none");
    if (!hint->message)
        hint->message = memory_strdup("");
    memory_append(&hint->message, "%s%s runs %s", *hint->message ? "; " : "", physical->address,
                  count);
    if (total)
        memory_append(&hint->message, ", of at most %u", total);
    free(count);
    if (hint->hint || total <= runs)
        return;
    hint->hint = runs ? memory_printf("for more, stop what uses them and make all again: 'cd "
                                      "/sys/bus/pci/devices/%s && echo 0 >sriov_numvfs && echo %u "
                                      ">sriov_numvfs'",
                                      physical->address, total < 2 * runs ? total : 2 * runs)
                      : memory_printf("create them at each boot of the host with a rule, and now "
                                      "with 'virt-rules boot': 'on host boot create %u vf of at "
                                      "%s'",
                                      total < 4 ? total : 4, physical->address);
}

/* A name stands for the criteria of its definition. */
static void vf_hint_look(struct vf_hint *hint, const struct host *host,
                         const struct criterion *criteria) {
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->kind == CRITERION_NAME && one->resolved)
            vf_hint_look(hint, host, one->definition->device);
        for (size_t i = 0; one->kind == CRITERION_VF && i < host->count; i++) {
            const struct device *device = &host->devices[i];
            if ((device->vf_total || device->virtual_functions) &&
                match_device(one->parent, device))
                vf_hint_add(hint, device);
        }
    }
}

struct vf_hint vf_hint_of(const struct host *host, const struct criterion *criteria) {
    struct vf_hint hint = {NULL, NULL};
    vf_hint_look(&hint, host, criteria);
    return hint;
}

void vf_hint_finish(struct vf_hint *hint) {
    free(hint->message);
    free(hint->hint);
    *hint = (struct vf_hint){NULL, NULL};
}
