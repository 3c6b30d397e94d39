#include "engine/libvirt/virt.h"

#include <stdlib.h>

void virt_close(struct virt *virt) {
    if (virt)
        virt->ops->close(virt);
}

void virt_list_free(struct virt_vm *vms, size_t count) {
    for (size_t i = 0; vms && i < count; i++)
        free(vms[i].xml);
    free(vms);
}
