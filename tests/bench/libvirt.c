/*
 * The stand-in for libvirt (tests/fake), but for the call that attaches a device: there the process
 * ends, so that what it took from its start to its end is what it took until the call.
 */
#include <libvirt/libvirt.h>
#include <unistd.h>

int virDomainAttachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags) {
    (void)domain, (void)xml, (void)flags;
    _exit(0);
}
