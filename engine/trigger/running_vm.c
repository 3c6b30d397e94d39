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

int running_vm_reload(struct running_vm *vm, const struct running_vm_request *request,
                      struct virt_error *error) {
    struct running_vm now = {.lock = -1};
    struct running_vm_request again = *request;
    again.vm = domain_key(&vm->domain);
    if (running_vm_load(&now, &again, error) < 0) {
        domain_finish(&now.domain);
        return -1;
    }
    if (now.vm_start.id != vm->vm_start.id || now.vm_start.process != vm->vm_start.process) {
        virt_error_set(error, VIRT_NOT_RUNNING, request->off_hint,
                       "VM '%s' has been started again since", domain_label(&vm->domain));
        domain_finish(&now.domain);
        return -1;
    }
    domain_finish(&vm->domain);
    vm->domain = now.domain;
    return 0;
}

void running_vm_unlock(struct running_vm *vm) {
    lock_release(vm->lock);
    vm->lock = -1;
}

void running_vm_close(struct running_vm *vm) {
    host_finish(&vm->host);
    domain_finish(&vm->domain);
    running_vm_unlock(vm);
}

void running_vm_log(const struct running_vm *vm, const char *state, struct log_writer *log,
                    const struct log_entry *entry, const char *hint) {
    char *text = failure_text(entry->message, hint);
    struct log_entry whole = *entry;
    whole.vm = domain_label(&vm->domain);
    whole.uuid = vm->domain.uuid;
    whole.message = text;
    whole.hint = hint;
    log_write_entry(log, &whole);
    if (state && entry->device)
        vm_state_record_result(state, domain_key(&vm->domain), &vm->vm_start, &whole,
                               log_write_time(log));
    free(text);
}

const struct device *running_vm_group_rest(const struct running_vm *vm,
                                           const struct device *device) {
    const struct domain *domain = &vm->domain;
    if (!device || device->bus != BUS_PCI || device->iommu_group < 0 ||
        vm->host.source.may_split_group(&vm->host))
        return NULL;
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct device *other = backend_device_of(&vm->host, &domain->hostdevs[i]);
        if (other && other != device && other->bus == BUS_PCI &&
            other->iommu_group == device->iommu_group)
            return other;
    }
    return NULL;
}

bool running_vm_is_same_device(const struct running_vm *vm, const struct domain_hostdev *one,
                               const struct domain_hostdev *other) {
    const struct device *device = backend_device_of(&vm->host, one);
    struct backend_alias alias, other_alias;
    if (backend_type(one->backend)->shares_device) /* each is a device of its own */
        return one == other;
    if (one->backend != other->backend || device != backend_device_of(&vm->host, other))
        return false;
    return device || (backend_read_alias(one, &alias) && backend_read_alias(other, &other_alias) &&
                      alias.bus == other_alias.bus && !strcmp(alias.address, other_alias.address) &&
                      alias.device_number == other_alias.device_number);
}
