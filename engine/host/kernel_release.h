/* The version of the host's kernel, as /proc/sys/kernel/osrelease has it. */
#ifndef ENGINE_KERNEL_RELEASE_H
#define ENGINE_KERNEL_RELEASE_H

#include "engine/host/tree.h"

#define KERNEL_RELEASE(major, minor) ((major)*1000U + (minor))

/* driver_override of PCI devices is there from Linux 3.16 on; some distributions have it in an
 * older one, as RHEL 7. */
#define KERNEL_RELEASE_OVERRIDE KERNEL_RELEASE(3, 16)
#define KERNEL_RELEASE_HINT "update the host's system: virt-rules needs Linux 4.4 or later"

/* KERNEL_RELEASE(5, 10) of "5.10.0-30-amd64"; 0: it is not known. */
unsigned kernel_release(const struct tree *tree);

#endif
