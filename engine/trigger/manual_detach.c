#include "engine/trigger/manual_detach.h"
#include "engine/host/driver.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/model/address.h"
#include "engine/system/clock.h"

#include "engine/backend/backend.h"
#include "engine/state/lock.h"
#include "engine/state/pending.h"
#include "engine/state/vm_state.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int manual_detach_fail(struct virt_error *error, char *message, char *hint) {
    *error = (struct virt_error){.kind = VIRT_FAILED};
    snprintf(error->failure.message, sizeof error->failure.message, "%s", message);
    snprintf(error->failure.hint, sizeof error->failure.hint, "%s", hint ? hint : "");
    free(message);
    free(hint);
    return -1;
}

/* --- which device */

static const struct device *manual_detach_find_on_host(const struct host *host,
                                                       const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < host->count; i++)
        if (backend_is_hostdev(hostdev, &host->devices[i]))
            return &host->devices[i];
    return NULL;
}

/* As the log has it. Of a PCI device that the host has lost only the address is known. */
static char *manual_detach_text_of(const struct domain_hostdev *hostdev,
                                   const struct device *device) {
    struct device_id id = device ? device->id : hostdev->id;
    char address[64];
    if (device || hostdev->bus == BUS_PCI)
        snprintf(address, sizeof address, "%s", device ? device->address : hostdev->address);
    else
        snprintf(address, sizeof address, "%u/%u", hostdev->bus_number, hostdev->device_number);
    return id.vendor || id.device ? memory_printf("%s %04x:%04x", address, id.vendor, id.device)
                                  : memory_strdup(address);
}

static bool manual_detach_has_id(const struct device_id *id, const char *word) {
    char text[16];
    snprintf(text, sizeof text, "%04x:%04x", id->vendor, id->device);
    return (id->vendor || id->device) && !strcasecmp(text, word);
}

static bool manual_detach_has_number(const struct domain_hostdev *hostdev, const char *word) {
    char text[32];
    snprintf(text, sizeof text, "%u/%u", hostdev->bus_number, hostdev->device_number);
    return hostdev->bus == BUS_USB && !strcmp(text, word);
}

static bool manual_detach_has_address(const struct domain_hostdev *hostdev,
                                      const struct device *device, const char *word) {
    char address[64];
    if (!address_normalise(word, address, sizeof address))
        snprintf(address, sizeof address, "%s", word);
    return (hostdev->bus == BUS_PCI && !strcasecmp(hostdev->address, address)) ||
           (device && !strcasecmp(device->address, address));
}

static bool manual_detach_is_called(const struct host *host, const struct domain_hostdev *hostdev,
                                    const char *word) {
    const struct device *device = manual_detach_find_on_host(host, hostdev);
    return !strcmp(hostdev->alias, word) || manual_detach_has_number(hostdev, word) ||
           manual_detach_has_address(hostdev, device, word) ||
           manual_detach_has_id(&hostdev->id, word) ||
           (device && manual_detach_has_id(&device->id, word));
}

/* "0000:03:00.0 1ac1:089a (hostdev0), ..." of those that are called `word`, or of all when it is
 * NULL; counts them. */
static char *manual_detach_list_devices(const struct manual_detach *detach, const char *word,
                                        size_t *count) {
    char *list = memory_strdup("");
    *count = 0;
    for (size_t i = 0; i < detach->domain.hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &detach->domain.hostdevs[i];
        if (word && !manual_detach_is_called(&detach->host, hostdev, word))
            continue;
        char *text =
            manual_detach_text_of(hostdev, manual_detach_find_on_host(&detach->host, hostdev));
        char *longer = memory_printf("%s%s%s (%s)", list, (*count)++ ? ", " : "", text,
                                     *hostdev->alias ? hostdev->alias : "no alias");
        free(text);
        free(list);
        list = longer;
    }
    return list;
}

static int manual_detach_choose(struct manual_detach *detach, struct virt_error *error) {
    size_t count, all;
    const char *word = detach->request->word, *label = domain_label(&detach->domain);
    char *list = manual_detach_list_devices(detach, word, &count);
    char *every = manual_detach_list_devices(detach, NULL, &all);
    for (size_t i = 0; i < detach->domain.hostdev_count && count == 1; i++)
        if (manual_detach_is_called(&detach->host, &detach->domain.hostdevs[i], word))
            detach->hostdev = &detach->domain.hostdevs[i];
    if (count > 1)
        manual_detach_fail(
            error, memory_printf("'%s' is %zu devices of VM '%s': %s", word, count, label, list),
            memory_strdup("name it by its address or alias"));
    else if (!count)
        manual_detach_fail(error, memory_printf("VM '%s' has no host device '%s'", label, word),
                           all ? memory_printf("it has %s", every) : memory_strdup("it has none"));
    free(list);
    free(every);
    return count == 1 ? 0 : -1;
}

/* libvirt compares the source only. */
static char *manual_detach_xml_of(const struct domain_hostdev *hostdev) {
    char address[sizeof hostdev->address];
    struct device device = {.bus = hostdev->bus,
                            .address = address,
                            .id = hostdev->id,
                            .bus_number = hostdev->bus_number,
                            .device_number = hostdev->device_number};
    snprintf(address, sizeof address, "%s", hostdev->address);
    return backend_xml(backend_type(hostdev->backend), &device, NULL);
}

static void manual_detach_describe(struct manual_detach *detach) {
    detach->device = manual_detach_find_on_host(&detach->host, detach->hostdev);
    detach->text = manual_detach_text_of(detach->hostdev, detach->device);
    detach->xml = manual_detach_xml_of(detach->hostdev);
}

/* --- the VM */

static int manual_detach_load_domain(struct manual_detach *detach, struct virt_error *error) {
    struct virt *virt = detach->request->virt;
    char *xml = NULL;
    int status;
    detach->vm_start = (struct vm_start){.id = -1, .seen = clock_ticks()};
    if (virt->ops->domain_xml(virt, detach->request->vm, &xml, error) < 0)
        return -1;
    *error = (struct virt_error){.kind = VIRT_FAILED};
    status = domain_xml_parse(&detach->domain, xml, strlen(xml), &error->failure);
    free(xml);
    if (status == 0) {
        detach->vm_start.id = detach->domain.id;
        detach->vm_start.process =
            vm_state_process(detach->request->host_source->root, detach->domain.name);
    }
    if (status < 0 || detach->domain.id >= 0)
        return status;
    manual_detach_fail(
        error, memory_printf("VM '%s' does not run", domain_label(&detach->domain)),
        memory_strdup("only a running VM holds devices; change its definition with 'virsh "
                      "edit'"));
    domain_finish(&detach->domain);
    return -1;
}

static int manual_detach_fail_busy(struct manual_detach *detach, const char *message,
                                   struct virt_error *error) {
    domain_finish(&detach->domain);
    detach->domain = (struct domain){0};
    return manual_detach_fail(
        error, memory_strdup(message),
        memory_strdup("'virt-rules status' shows what it does; try again later"));
}

/* The VM, and once it is this process's alone, the VM again: another may have worked on it. */
static int manual_detach_load_locked(struct manual_detach *detach, struct virt_error *error) {
    struct failure failure;
    int status = manual_detach_load_domain(detach, error);
    if (status < 0 || !detach->request->state)
        return status;
    detach->lock = lock_vm(detach->request->state, domain_key(&detach->domain), &failure);
    if (detach->lock == LOCK_BUSY)
        return manual_detach_fail_busy(detach, failure.message, error);
    if (detach->lock < 0)
        fprintf(stderr, "virt-rules: %s; continuing without a lock\n", failure.message);
    domain_finish(&detach->domain);
    detach->domain = (struct domain){0};
    return manual_detach_load_domain(detach, error);
}

static int manual_detach_load_host(struct manual_detach *detach, struct virt_error *error) {
    const struct host_source *source = detach->request->host_source;
    struct failure failure;
    if (source->load(source, &detach->host, &failure) == 0)
        return 0;
    return manual_detach_fail(
        error, memory_strdup(failure.message),
        memory_strdup("--sysroot takes a directory that holds sys/ and proc/"));
}

int manual_detach_init(struct manual_detach *detach, const struct manual_detach_request *request,
                       struct virt_error *error) {
    *detach = (struct manual_detach){.request = request, .lock = -1};
    if (manual_detach_load_locked(detach, error) == 0) {
        if (manual_detach_load_host(detach, error) == 0 &&
            manual_detach_choose(detach, error) == 0) {
            manual_detach_describe(detach);
            return 0;
        }
        host_finish(&detach->host);
        domain_finish(&detach->domain);
    }
    lock_release(detach->lock);
    return -1;
}

void manual_detach_finish(struct manual_detach *detach) {
    free(detach->text);
    free(detach->xml);
    host_finish(&detach->host);
    domain_finish(&detach->domain);
    lock_release(detach->lock);
}

/* --- what is in the way */

/* Another device of the VM in the same IOMMU group, or NULL. */
static const struct device *manual_detach_find_sibling(const struct manual_detach *detach) {
    const struct device *device = detach->device;
    for (size_t i = 0; i < detach->domain.hostdev_count; i++) {
        const struct device *other =
            manual_detach_find_on_host(&detach->host, &detach->domain.hostdevs[i]);
        if (other && other != device && other->bus == BUS_PCI &&
            other->iommu_group == device->iommu_group)
            return other;
    }
    return NULL;
}

char *manual_detach_obstacle(const struct manual_detach *detach) {
    const struct device *device = detach->device, *sibling;
    if (!device || device->bus != BUS_PCI || device->iommu_group < 0 ||
        detach->host.source.may_split_group(&detach->host) ||
        !(sibling = manual_detach_find_sibling(detach)))
        return NULL;
    return memory_printf("%s of its IOMMU group %d stays in the VM, and Linux before 5.19 cannot "
                         "take a group apart: shut the VM down",
                         sibling->address, device->iommu_group);
}

/* --- doing it */

/* For 'status'. */
static void manual_detach_note_result(const struct manual_detach *detach,
                                      const struct log_entry *entry) {
    struct vm_state vm_state;
    const char *state = detach->request->state, *key = domain_key(&detach->domain);
    if (!state || !vm_state_open(&vm_state, state, key, &detach->vm_start))
        return;
    vm_state_note_result(&vm_state, entry, log_write_time(detach->request->journal));
    vm_state_save(&vm_state, state, key, NULL);
    vm_state_finish(&vm_state);
}

static bool manual_detach_log_result(const struct manual_detach *detach, enum result result,
                                     const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, *hint ? "; " : "", hint);
    struct log_entry entry = {.vm = domain_label(&detach->domain),
                              .uuid = detach->domain.uuid,
                              .event = "detach",
                              .device = detach->text,
                              .result = result,
                              .message = text};
    log_write_entry(detach->request->journal, &entry);
    manual_detach_note_result(detach, &entry);
    free(text);
    return result == RESULT_DETACHED;
}

/* Before the guest is asked: an engine that looks after the guest's boot would take the result
 * for the guest's doing, also after this program's end, and attach the device again. */
static void manual_detach_note(const struct manual_detach *detach, bool dismissed) {
    struct vm_state vm_state;
    const struct manual_detach_request *request = detach->request;
    const char *key = domain_key(&detach->domain);
    struct failure failure;
    if (!request->state || !detach->device ||
        !vm_state_open(&vm_state, request->state, key, &detach->vm_start))
        return;
    if (vm_state.ignored)
        manual_detach_log_result(detach, RESULT_FAILED, vm_state.ignored, "");
    if (dismissed)
        vm_state_dismiss(&vm_state, detach->device->address, detach->device->id);
    else
        vm_state_readmit(&vm_state, detach->device->address);
    if (vm_state_save(&vm_state, request->state, key, &failure) < 0)
        manual_detach_log_result(
            detach, RESULT_FAILED, failure.message,
            "an engine that looks after the VM's start may attach the device again");
    vm_state_finish(&vm_state);
}

/* The host has it: it need not be noted any more. */
static void manual_detach_note_returned(const struct manual_detach *detach) {
    struct vm_state vm_state;
    const struct manual_detach_request *request = detach->request;
    const char *key = domain_key(&detach->domain);
    char driver[64];
    if (!request->state || !detach->device ||
        !detach->host.source.driver_of(&detach->host, detach->device, driver, sizeof driver) ||
        !*driver || driver_is_vfio(driver) ||
        !vm_state_open(&vm_state, request->state, key, &detach->vm_start))
        return;
    vm_state_remove_unbound(&vm_state, detach->device->address);
    vm_state_save(&vm_state, request->state, key, NULL);
    vm_state_finish(&vm_state);
}

static const char *manual_detach_place_of(const struct manual_detach *detach) {
    return detach->device ? detach->device->address : detach->hostdev->alias;
}

/* So that 'status' shows it. */
static void manual_detach_begin_call(struct manual_detach *detach) {
    const struct manual_detach_request *request = detach->request;
    if (request->state)
        pending_begin(request->state, domain_key(&detach->domain), "detach",
                      manual_detach_place_of(detach), 0);
    char *subject = memory_printf("%s, VM '%s'", detach->text, domain_label(&detach->domain));
    virt_set_subject(request->virt, subject);
    free(subject);
}

/* What libvirt has not answered stays noted. */
static void manual_detach_end_call(struct manual_detach *detach, const struct virt_error *error) {
    const struct manual_detach_request *request = detach->request;
    virt_set_subject(request->virt, NULL);
    if (request->state &&
        (!error || (error->kind != VIRT_NO_REPLY && error->kind != VIRT_UNREACHABLE)))
        pending_end(request->state, domain_key(&detach->domain), manual_detach_place_of(detach));
}

bool manual_detach_execute(struct manual_detach *detach) {
    struct guest_removal removal = {.virt = detach->request->virt,
                                    .clock = detach->request->clock,
                                    .domain = &detach->domain,
                                    .hostdev = detach->hostdev,
                                    .xml = detach->xml};
    struct virt_error error;
    enum guest_answer answer;
    struct retry retry = retry_start(detach->request->clock);
    char *obstacle = manual_detach_obstacle(detach);
    if (obstacle) {
        manual_detach_log_result(detach, RESULT_REFUSED, obstacle, "");
        free(obstacle);
        return false;
    }
    manual_detach_note(detach, true);
    manual_detach_begin_call(detach);
    do
        answer = guest_removal_wait(&removal, &error);
    while (answer == GUEST_NOT_ASKED && retry_call(&retry, &error));
    manual_detach_end_call(detach, answer == GUEST_NOT_ASKED ? &error : NULL);
    if (answer == GUEST_RELEASED)
        manual_detach_note_returned(detach);
    else if ((answer == GUEST_NOT_ASKED && error.kind != VIRT_NO_REPLY) || answer == GUEST_REFUSED)
        manual_detach_note(detach, false);
    return manual_detach_log_result(detach,
                                    answer == GUEST_RELEASED ? RESULT_DETACHED : RESULT_FAILED,
                                    error.failure.message, error.failure.hint);
}

/* --- showing it */

static const char *manual_detach_name_of(const struct manual_detach *detach) {
    return detach->device ? detach->device->name : "(gone from the host)";
}

static void manual_detach_print_json(const struct manual_detach *detach, FILE *out,
                                     const char *obstacle) {
    struct json_object *object = text_json_object();
    text_put_json(object, "vm", domain_label(&detach->domain));
    text_put_json(object, "device", detach->text);
    text_put_json(object, "name", manual_detach_name_of(detach));
    text_put_json(object, "alias", detach->hostdev->alias);
    text_put_json(object, "xml", detach->xml);
    text_put_json(object, "refusal", obstacle);
    text_print_json(out, object);
}

void manual_detach_print(const struct manual_detach *detach, FILE *out, bool json) {
    char *obstacle = manual_detach_obstacle(detach);
    if (json) {
        manual_detach_print_json(detach, out, obstacle);
    } else {
        text_print_string(out, domain_label(&detach->domain));
        fprintf(out, ": would %s ", obstacle ? "refuse" : "detach");
        text_print_string(out, detach->text);
        fputc(' ', out);
        text_print_string(out, manual_detach_name_of(detach));
        if (*detach->hostdev->alias)
            fprintf(out, " (%s)", detach->hostdev->alias);
        fprintf(out, "%s%s\n", obstacle ? ": " : "", obstacle ? obstacle : "");
    }
    free(obstacle);
}
