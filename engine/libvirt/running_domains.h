/* The running VMs other than one's own, because they may hold devices. */
#ifndef ENGINE_RUNNING_DOMAINS_H
#define ENGINE_RUNNING_DOMAINS_H

#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"

#include <stdbool.h>

struct others {
    struct domain *list;
    size_t count;
};

/* Returns 0, or -1 with `error` and nothing to finish. A VM whose XML cannot be parsed is among
 * them, see domain_unreadable(). */
int running_domains_load(struct others *others, struct virt *virt, const char *own_uuid,
                         struct virt_error *error);

/*
 * The same of a copy of a host: from the files that libvirt keeps of running VMs below a root,
 * ROOT/run/libvirt/qemu/NAME.xml. Without such a directory there are none. `own` is the VM that is
 * left out; NULL: none.
 */
void running_domains_from_tree(struct others *others, const char *root, const struct domain *own);

/* Whether two texts are of one VM: by UUID where both have one, else by name. */
bool running_domains_is_same(const struct domain *a, const struct domain *b);

/* Moves the VM that has this name or UUID, or as the only one this title, out of the list; false:
 * there is none. */
bool running_domains_take(struct others *others, const char *name, struct domain *domain);

void running_domains_finish(struct others *others);

#endif
