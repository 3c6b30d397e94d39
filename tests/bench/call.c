/*
 * What the engine does at the end of an event, alone: loads libvirt, connects, finds the VM and
 * lets it attach a device. `call VM`
 */
#include <dlfcn.h>
#include <libvirt/libvirt.h>
#include <stdio.h>

static int fail(const char *what) {
    fprintf(stderr, "call: %s\n", what);
    return 1;
}

int main(int argc, char **argv) {
    void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
    if (argc != 2 || !library)
        return fail(library ? "usage: call VM" : dlerror());
    __typeof__(virConnectOpen) *connect = (__typeof__(connect))dlsym(library, "virConnectOpen");
    __typeof__(virDomainLookupByName) *lookup =
        (__typeof__(lookup))dlsym(library, "virDomainLookupByName");
    __typeof__(virDomainAttachDeviceFlags) *attach =
        (__typeof__(attach))dlsym(library, "virDomainAttachDeviceFlags");
    virConnectPtr connection = connect("qemu:///system");
    virDomainPtr domain = connection ? lookup(connection, argv[1]) : NULL;
    if (!domain)
        return fail("there is no such VM");
    attach(domain, "<hostdev/>", VIR_DOMAIN_AFFECT_LIVE);
    return fail("the attach came back");
}
