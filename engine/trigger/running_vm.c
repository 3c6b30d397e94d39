#include "engine/trigger/running_vm.h"

#include "engine/backend/backend.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/state/lock.h"
#include "engine/system/clock.h"
#include "lexer/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int running_vm_load(struct running_vm *vm, const struct running_vm_request *request,
                           struct virt_error *error) {
    struct domain *domain = &vm->domain;
    char *xml = NULL;
    domain_finish(domain);
    vm->vm_start = (struct vm_start){.id = -1, .seen = clock_ticks()};
    if (request->virt->ops->domain_xml(request->virt, request->vm, &xml, error) < 0)
        return -1;
    *error = (struct virt_error){.kind = VIRT_FAILED};
    int status = domain_xml_parse(domain, xml, strlen(xml), &error->failure);
    free(xml);
    if (status < 0)
        return -1;
    if (domain->id < 0)
        return virt_error_set(error, VIRT_NOT_RUNNING, request->off_hint, "VM '%s' is not running",
                              domain_label(domain));
    vm->vm_start.id = domain->id;
    vm->vm_start.process = vm_state_process(request->host_source->root, domain->name);
    return 0;
}

/* Another process may have worked on the VM until its lock was free: then it is read again. */
int running_vm_open(struct running_vm *vm, const struct running_vm_request *request,
                    struct virt_error *error) {
    struct failure failure;
    *vm = (struct running_vm){.lock = -1};
    if (running_vm_load(vm, request, error) < 0)
        return -1;
    if (request->state) {
        vm->lock = lock_vm(request->state, domain_key(&vm->domain), &failure);
        if (vm->lock == LOCK_BUSY)
            return virt_error_set(error, VIRT_FAILED,
                                  "'virt-rules status' shows what it does; try again later", "%s",
                                  failure.message);
        if (vm->lock < 0)
            fprintf(stderr, "virt-rules: %s; continuing without a lock\n", failure.message);
        if (running_vm_load(vm, request, error) < 0)
            return -1;
    }
    if (request->host_source->load(request->host_source, &vm->host, &failure) < 0)
        return virt_error_set(error, VIRT_FAILED,
                              "--sysroot takes a directory that holds sys/ and proc/", "%s",
                              failure.message);
    return 0;
}

void running_vm_close(struct running_vm *vm) {
    host_finish(&vm->host);
    domain_finish(&vm->domain);
    lock_release(vm->lock);
    vm->lock = -1;
}

/* Of a PCI device that the host has lost only the address is known. */
char *running_vm_device_text(const struct domain_hostdev *hostdev, const struct device *device) {
    struct device_id id = device ? device->id : hostdev->id;
    char address[64];
    if (device || hostdev->bus == BUS_PCI)
        snprintf(address, sizeof address, "%s", device ? device->address : hostdev->address);
    else
        snprintf(address, sizeof address, "%u/%u", hostdev->bus_number, hostdev->device_number);
    return id.vendor || id.device ? memory_printf("%s %04x:%04x", address, id.vendor, id.device)
                                  : memory_strdup(address);
}

/* Of the element libvirt compares the source alone. */
char *running_vm_hostdev_xml(const struct domain_hostdev *hostdev) {
    char address[sizeof hostdev->address];
    struct device named = {.bus = hostdev->bus,
                           .address = address,
                           .id = hostdev->id,
                           .bus_number = hostdev->bus_number,
                           .device_number = hostdev->device_number};
    snprintf(address, sizeof address, "%s", hostdev->address);
    return backend_xml(backend_type(hostdev->backend), &named, NULL);
}
