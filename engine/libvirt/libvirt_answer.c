#include "engine/libvirt/libvirt_answer.h"

#include "lexer/memory.h"

#include <stdlib.h>

static void libvirt_answer_set_error(struct libvirt_answer *answer,
                                     const struct virt_error *error) {
    answer->error = memory_strdup(error->failure.message);
    answer->hint = *error->failure.hint ? memory_strdup(error->failure.hint) : NULL;
}

static int libvirt_answer_ask_daemon(struct libvirt_answer *answer, struct virt *virt,
                                     struct virt_error *error) {
    struct virt_about about;
    if (virt->ops->about(virt, &about, error) < 0)
        return -1;
    answer->uri = *about.uri ? memory_strdup(about.uri) : NULL;
    answer->version = about.version;
    if (domain_list_all(&answer->vms, virt, error) < 0)
        return -1;
    answer->vms_known = true;
    return 0;
}

void libvirt_answer_get(struct libvirt_answer *answer) {
    struct virt *virt = NULL;
    struct virt_library library;
    struct virt_error error;
    *answer = (struct libvirt_answer){.asked = true};
    int status = virt_asker_find_library(&library, &error);
    if (status == 0) {
        answer->library = *library.path ? memory_strdup(library.path) : NULL;
        answer->library_why = memory_strdup(library.why);
        answer->library_version = library.version;
        status = virt_asker_connect(&virt, NULL, &error);
    }
    if (status == 0)
        status = libvirt_answer_ask_daemon(answer, virt, &error);
    if (status < 0)
        libvirt_answer_set_error(answer, &error);
    virt_close(virt);
}

void libvirt_answer_from_tree(struct libvirt_answer *answer, const char *root) {
    *answer = (struct libvirt_answer){0};
    answer->vms_known = domain_list_all_in(&answer->vms, root);
}

void libvirt_answer_finish(struct libvirt_answer *answer) {
    free(answer->library);
    free(answer->library_why);
    free(answer->uri);
    free(answer->error);
    free(answer->hint);
    domain_list_finish(&answer->vms);
    *answer = (struct libvirt_answer){0};
}
