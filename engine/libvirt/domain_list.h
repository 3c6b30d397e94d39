/*
 * The VMs of a host: those that run, for the devices that they hold, or all, for their names. From
 * libvirt, or from the files of its qemu driver where it cannot be asked:
 *
 *     ROOT/run/libvirt/qemu/NAME.xml    a running VM (<domstatus>)
 *     ROOT/etc/libvirt/qemu/NAME.xml    a definition
 *
 * (or ROOT/var/run, if that is a directory of its own).
 *
 * A VM whose XML cannot be read or parsed is in the list as domain_unreadable() makes it. The
 * caller ends a list with domain_list_finish().
 */
#ifndef ENGINE_DOMAIN_LIST_H
#define ENGINE_DOMAIN_LIST_H

#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"

struct domain_list {
    struct domain *list;
    size_t count;
};

/* The running VMs, except the one with `own_uuid` (NULL: all). Returns 0, or -1 with `error` and an
 * empty list. */
int domain_list_running(struct domain_list *domains, struct virt *virt, const char *own_uuid,
                        struct virt_error *error);

/* Every VM that libvirt knows, running or not. Returns 0, or -1 with `error` and an empty list. */
int domain_list_all(struct domain_list *domains, struct virt *virt, struct virt_error *error);

/* The running VMs of a copy of a host, except `own` (NULL: all). Without the directory there are
 * none. */
void domain_list_running_in(struct domain_list *domains, const char *root,
                            const struct domain *own);

/* Every VM of a copy of a host, as it runs or else as it is defined. Returns false when neither
 * directory is there. */
bool domain_list_all_in(struct domain_list *domains, const char *root);

/* The definitions alone, also of VMs that run. */
void domain_list_defined_in(struct domain_list *domains, const char *root);

/* Adds the VM, which the list takes. */
void domain_list_append(struct domain_list *domains, const struct domain *domain);

/* Adds a VM from its XML; `name` is for one that cannot be parsed. */
void domain_list_add(struct domain_list *domains, const char *name, const char *xml, size_t size);

/* Moves the VM that has this name or UUID, or as the only one this title, out of the list. Returns
 * false when there is none. */
bool domain_list_take(struct domain_list *domains, const char *name, struct domain *domain);

void domain_list_finish(struct domain_list *domains);

#endif
