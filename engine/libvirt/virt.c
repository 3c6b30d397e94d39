#include "engine/libvirt/virt.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void virt_close(struct virt *virt) {
    if (virt)
        virt->ops->close(virt);
}

unsigned long virt_version(struct virt *virt) {
    struct virt_about about = {0};
    struct virt_error error;
    if (virt->ops->about && virt->ops->about(virt, &about, &error) == 0)
        return about.version;
    return 0;
}

void virt_set_subject(struct virt *virt, const char *subject) {
    if (virt->ops->subject)
        virt->ops->subject(virt, subject);
}

void virt_definition_finish(struct virt_definition *definition) {
    free(definition->xml);
    *definition = (struct virt_definition){0};
}

void virt_list_free(struct virt_domain *vms, size_t count) {
    for (size_t i = 0; vms && i < count; i++) {
        free(vms[i].xml);
        free(vms[i].why);
    }
    free(vms);
}

int virt_error_set(struct virt_error *error, enum virt_error_kind kind, const char *hint,
                   const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure_vset(&error->failure, format, arguments);
    va_end(arguments);
    error->kind = kind;
    error->code = 0;
    error->is_unknown = false;
    return failure_hint(&error->failure, "%s", hint);
}

const char *virt_error_reason(const struct virt_error *error) {
    size_t length = strlen(VIRT_NO_ANSWER);
    return strncmp(error->failure.message, VIRT_NO_ANSWER, length)
               ? error->failure.message
               : error->failure.message + length;
}
