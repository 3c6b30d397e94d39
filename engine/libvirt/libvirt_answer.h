/* What libvirt reports about itself and its VMs, for doctor. A VM's XML waits while its hook runs.
 */
#ifndef ENGINE_LIBVIRT_ANSWER_H
#define ENGINE_LIBVIRT_ANSWER_H

#include "engine/libvirt/domain_list.h"

struct libvirt_answer {
    bool asked;
    /* Of the library: NULL and 0 when none was found. */
    char *library, *library_why;
    unsigned long library_version; /* 9000000 is 9.0.0 */
    /* Of the daemon: NULL and 0 when it did not answer. */
    char *uri;
    unsigned long version;
    /* What went wrong, and what to do; NULL: nothing. */
    char *error, *hint;
    bool vms_known;
    struct domain_list vms; /* every VM, running or not */
};

void libvirt_answer_get(struct libvirt_answer *answer);

/* Below another root: libvirt is not asked; the VMs are read from the root's files. */
void libvirt_answer_from_tree(struct libvirt_answer *answer, const char *root);

void libvirt_answer_finish(struct libvirt_answer *answer);

#endif
