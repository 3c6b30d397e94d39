/* The running VMs other than one's own, because they may hold devices. */
#ifndef ENGINE_OTHERS_H
#define ENGINE_OTHERS_H

#include "engine/domain.h"
#include "engine/libvirt/virt.h"

struct others {
    struct domain *list;
    size_t count;
};

/* Returns 0, or -1 with `error` and nothing to finish. A VM whose XML cannot be parsed is left out.
 */
int others_load(struct others *others, struct virt *virt, const char *own_uuid,
                struct virt_error *error);
void others_finish(struct others *others);

#endif
