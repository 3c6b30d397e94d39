/* Every VM of a host, running or not, for its names. */
#ifndef ENGINE_DOMAIN_LIST_H
#define ENGINE_DOMAIN_LIST_H

#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"

struct vms {
    struct domain *list;
    size_t count;
};

/* From libvirt. Returns 0, or -1 with `error` and nothing to finish. */
int domain_list_from_libvirt(struct vms *vms, struct virt *virt, struct virt_error *error);

/*
 * From the definitions that libvirt's qemu driver keeps below a root:
 * ROOT/etc/libvirt/qemu/NAME.xml, and its files of running VMs, ROOT/run/libvirt/qemu/NAME.xml,
 * which come before the definition of the same VM. Returns false when neither directory is there,
 * and nothing to finish.
 */
bool domain_list_from_tree(struct vms *vms, const char *root);

/* One more from its XML; nothing when that cannot be parsed. */
void domain_list_add_xml(struct vms *vms, const char *xml, size_t size);

void domain_list_finish(struct vms *vms);

#endif
