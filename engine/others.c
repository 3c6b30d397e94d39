#include "engine/others.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int others_load(struct others *others, struct virt *virt, const char *own_uuid,
                struct virt_error *error) {
    struct virt_vm *vms = NULL;
    size_t count = 0;
    char ignored[512];
    *others = (struct others){0};
    if (virt->ops->list(virt, &vms, &count, error) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct domain domain;
        if ((own_uuid && !strcasecmp(vms[i].uuid, own_uuid)) ||
            domain_parse(&domain, vms[i].xml, strlen(vms[i].xml), ignored, sizeof ignored) < 0)
            continue;
        others->list = memory_grow(others->list, others->count, sizeof *others->list);
        others->list[others->count++] = domain;
    }
    virt_list_free(vms, count);
    return 0;
}

void others_finish(struct others *others) {
    for (size_t i = 0; i < others->count; i++)
        domain_finish(&others->list[i]);
    free(others->list);
    *others = (struct others){0};
}
