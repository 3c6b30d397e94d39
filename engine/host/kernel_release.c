#include "engine/host/kernel_release.h"

#include <stdio.h>
#include <stdlib.h>

unsigned kernel_release(const struct tree *tree) {
    unsigned major = 0, minor = 0;
    char *text = tree_attribute(tree, "proc/sys/kernel", "osrelease");
    /* NOLINTNEXTLINE(cert-err34-c): a version that is not a number stays 0 */
    bool is_known = text && sscanf(text, "%3u.%3u", &major, &minor) == 2;
    free(text);
    return is_known ? KERNEL_RELEASE(major, minor) : 0;
}
