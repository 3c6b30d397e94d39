#include "engine/trigger/manual_detach.h"

#include "engine/backend/backend.h"
#include "engine/host/driver.h"
#include "engine/model/address.h"
#include "engine/rules/match.h"
#include "engine/run/restore_settings.h"
#include "engine/run/run.h"
#include "engine/state/freed_note.h"
#include "engine/trigger/freed.h"
#include "lexer/memory.h"
#include "lexer/terminal.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PRINT_INDENT = 4 };

/* --- which device */

static bool manual_detach_has_id(const struct device_id *id, const char *word) {
    char text[16];
    snprintf(text, sizeof text, "%04x:%04x", id->vendor, id->device);
    return (id->vendor || id->device) && !strcasecmp(text, word);
}

/* By the address or id of the device, or of one that it is on or that is on it. */
static bool manual_detach_is_device(const struct host *host, const struct domain_hostdev *hostdev,
                                    const char *address, const char *word) {
    for (size_t i = 0; i < host->count; i++)
        if ((!strcasecmp(host->devices[i].address, address) ||
             manual_detach_has_id(&host->devices[i].id, word)) &&
            backend_is_hostdev(hostdev, &host->devices[i]))
            return true;
    return false;
}

/* By its alias, USB number, address or id, its file, its UUID or MAC address, or its target in the
 * guest. */
static bool manual_detach_is_called(const struct host *host, const struct domain_hostdev *hostdev,
                                    const char *word) {
    char number[32], address[64];
    snprintf(number, sizeof number, "%u/%u", hostdev->bus_number, hostdev->device_number);
    if (!address_normalise(word, address, sizeof address))
        snprintf(address, sizeof address, "%s", word);
    return (*word && !strcmp(hostdev->alias, word)) ||
           (hostdev->backend == BACKEND_USB && !strcmp(number, word)) ||
           (*address && !strcasecmp(hostdev->address, address)) ||
           manual_detach_has_id(&hostdev->id, word) ||
           (hostdev->path && !strcmp(hostdev->path, word)) ||
           (*word && (!strcasecmp(hostdev->uuid, word) || !strcasecmp(hostdev->mac, word) ||
                      !strcmp(hostdev->target, word))) ||
           manual_detach_is_device(host, hostdev, address, word);
}

/* Another element of a device of which an earlier one has that name, too. */
static bool manual_detach_is_further(const struct manual_detach *detach, size_t index,
                                     const char *word) {
    const struct domain *domain = &detach->vm.domain;
    for (size_t i = 0; i < index; i++)
        if ((!word || manual_detach_is_called(&detach->vm.host, &domain->hostdevs[i], word)) &&
            running_vm_is_same_device(&detach->vm, &domain->hostdevs[i], &domain->hostdevs[index]))
            return true;
    return false;
}

/* "0000:03:00.0 1ac1:089a (hostdev0), ..." of those that are called `word`, or of all when it is
 * NULL; counts them. */
static char *manual_detach_list_devices(const struct manual_detach *detach, const char *word,
                                        size_t *count) {
    char *list = memory_strdup("");
    *count = 0;
    for (size_t i = 0; i < detach->vm.domain.hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &detach->vm.domain.hostdevs[i];
        if ((word && !manual_detach_is_called(&detach->vm.host, hostdev, word)) ||
            manual_detach_is_further(detach, i, word))
            continue;
        char *text = backend_hostdev_text(hostdev, backend_device_of(&detach->vm.host, hostdev));
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
    const char *word = detach->request->word, *label = domain_label(&detach->vm.domain);
    char *list = manual_detach_list_devices(detach, word, &count);
    char *every = manual_detach_list_devices(detach, NULL, &all);
    for (size_t i = 0; i < detach->vm.domain.hostdev_count && count == 1; i++)
        if (!detach->hostdev &&
            manual_detach_is_called(&detach->vm.host, &detach->vm.domain.hostdevs[i], word))
            detach->hostdev = &detach->vm.domain.hostdevs[i];
    if (count > 1) {
        virt_error_set(error, VIRT_FAILED, "name it by its address or alias",
                       "'%s' is %zu devices of VM '%s': %s", word, count, label, list);
    } else if (!count) {
        virt_error_set(error, VIRT_FAILED, "it has none", "VM '%s' has no host device '%s'", label,
                       word);
        if (all)
            failure_hint(&error->failure, "it has %s", every);
    }
    free(list);
    free(every);
    if (count != 1)
        detach->hostdev = NULL;
    return detach->hostdev ? 0 : -1;
}

static void manual_detach_add_element(struct manual_detach *detach,
                                      const struct domain_hostdev *hostdev) {
    char *xml = backend_detach_xml(hostdev);
    if (detach->xml)
        memory_append(&detach->xml, "\n%s", xml ? xml : "");
    else
        detach->xml = memory_copy(xml);
    detach->removals =
        memory_grow(detach->removals, detach->removal_count, sizeof *detach->removals);
    detach->removals[detach->removal_count++] =
        (struct guest_removal){.virt = detach->request->virt,
                               .clock = detach->request->clock,
                               .domain = &detach->vm.domain,
                               .hostdev = hostdev,
                               .xml = xml};
}

/* An alias names one element, and everything else the device with all of its elements. */
static void manual_detach_find_elements(struct manual_detach *detach) {
    const struct domain *domain = &detach->vm.domain;
    bool is_alias = !strcmp(detach->hostdev->alias, detach->request->word);
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &domain->hostdevs[i];
        if (hostdev == detach->hostdev ||
            (!is_alias && running_vm_is_same_device(&detach->vm, detach->hostdev, hostdev)))
            manual_detach_add_element(detach, hostdev);
    }
}

int manual_detach_init(struct manual_detach *detach, const struct manual_detach_request *request,
                       struct virt_error *error) {
    const struct running_vm_request vm = {
        .virt = request->virt,
        .host_source = request->host_source,
        .state = request->state,
        .vm = request->vm,
        .off_hint = "only a running VM holds devices; change its definition with 'virsh edit'"};
    *detach = (struct manual_detach){.request = request};
    if (running_vm_open(&detach->vm, &vm, error) < 0 || manual_detach_choose(detach, error) < 0) {
        manual_detach_finish(detach);
        return -1;
    }
    detach->device = backend_device_of(&detach->vm.host, detach->hostdev);
    detach->text = backend_hostdev_text(detach->hostdev, detach->device);
    manual_detach_find_elements(detach);
    return 0;
}

void manual_detach_finish(struct manual_detach *detach) {
    free(detach->text);
    free(detach->xml);
    guest_removal_finish(detach->removals, detach->removal_count);
    running_vm_close(&detach->vm);
}

/* --- what is in the way */

char *manual_detach_obstacle(const struct manual_detach *detach) {
    const struct device *rest = running_vm_group_rest(&detach->vm, detach->device);
    return rest ? memory_printf("%s of its IOMMU group %d stays in the VM, and Linux before 5.19 "
                                "cannot split a group: shut the VM down",
                                rest->address, rest->iommu_group)
                : NULL;
}

/* --- doing it */

static bool manual_detach_log_result(const struct manual_detach *detach, enum result result,
                                     const char *message, const char *hint) {
    running_vm_log(
        &detach->vm, detach->request->state, detach->request->log,
        &(struct log_entry){
            .event = "detach", .device = detach->text, .result = result, .message = message},
        hint);
    return result == RESULT_DETACHED;
}

/* Before the guest is asked: a run that watches the guest boot would believe that the guest
 * released the device by itself, and attach it again. */
static void manual_detach_note(const struct manual_detach *detach, bool dismissed) {
    struct vm_state state;
    const struct manual_detach_request *request = detach->request;
    const char *key = domain_key(&detach->vm.domain);
    struct failure failure;
    if (!request->state || !detach->device ||
        !vm_state_open(&state, request->state, key, &detach->vm.vm_start))
        return;
    if (state.ignored)
        manual_detach_log_result(detach, RESULT_FAILED, state.ignored, "");
    if (dismissed)
        vm_state_dismiss(&state, detach->device->address, detach->device->id);
    else
        vm_state_readmit(&state, detach->device->address);
    if (vm_state_save(&state, request->state, key, &failure) < 0)
        manual_detach_log_result(detach, RESULT_FAILED, failure.message,
                                 "the device may be attached again while the guest boots");
    vm_state_finish(&state);
}

/* What comes back to the port by itself is not attached again. */
static void manual_detach_note_lost(const struct manual_detach *detach) {
    struct vm_state state;
    const struct manual_detach_request *request = detach->request;
    const char *key = domain_key(&detach->vm.domain);
    if (!request->state || !detach->device ||
        !guest_removal_was_lost(&detach->vm.host.source, detach->device, request->clock) ||
        !vm_state_open(&state, request->state, key, &detach->vm.vm_start))
        return;
    vm_state_note_lost(&state, detach->device->address);
    vm_state_save(&state, request->state, key, NULL);
    vm_state_finish(&state);
}

/* What the host has again need not be given back when the VM ends. */
static void manual_detach_note_returned(const struct manual_detach *detach) {
    struct vm_state state;
    const struct manual_detach_request *request = detach->request;
    const char *key = domain_key(&detach->vm.domain);
    if (!request->state || !detach->device || !driver_host_has(&detach->vm.host, detach->device) ||
        !vm_state_open(&state, request->state, key, &detach->vm.vm_start))
        return;
    vm_state_remove_unbound(&state, detach->device->address);
    vm_state_save(&state, request->state, key, NULL);
    vm_state_finish(&state);
}

/* What was created for the VM goes with the device, and the host's settings come back. Returns
 * false and logs it when something of that stays. */
static bool manual_detach_clean_up(const struct manual_detach *detach) {
    const struct manual_detach_request *request = detach->request;
    const struct event event = {
        .name = EVENT_STARTED, .domain = &detach->vm.domain, .settled = true};
    const struct run_config config = {.event = &event,
                                      .host_source = request->host_source,
                                      .state = request->state,
                                      .log = request->log,
                                      .command = "detach",
                                      .clock = request->clock};
    struct run run;
    if (!request->state)
        return true;
    run_init(&run, &config);
    run.virt = request->virt;
    run.vm_start = detach->vm.vm_start;
    run.locked = true;
    if (detach->hostdev->backend == BACKEND_MDEV)
        run_mdev_cleanup(&run);
    restore_settings_all(&run);
    bool is_clean = !run.problem;
    run_finish(&run);
    return is_clean;
}

static enum guest_answer manual_detach_ask_guest(const struct manual_detach *detach,
                                                 struct virt_error *error) {
    const struct manual_detach_request *request = detach->request;
    const char *device = detach->device ? detach->device->address : detach->hostdev->alias;
    return guest_removal_wait_shown(detach->removals, detach->removal_count, request->state, device,
                                    detach->text, error);
}

/* Whether a rule attaches it to this VM. */
static bool manual_detach_has_rule(const struct manual_detach *detach) {
    const struct event event = {.name = EVENT_STARTED, .domain = &detach->vm.domain};
    const struct program *program = detach->request->program;
    return program && detach->device &&
           match_attach_action(program, &event, detach->device, BACKEND_NONE).rule;
}

/* The guest's answer, who has the device now, and how the VM gets it again. A device that was
 * pulled out is nobody's. */
static bool manual_detach_log_released(const struct manual_detach *detach,
                                       const struct failure *answer) {
    const struct host *host = &detach->vm.host;
    char driver[64] = "", *vm = text_shell_operand(domain_label(&detach->vm.domain));
    char *hint = NULL, *message = memory_strdup(answer->message);
    if (detach->device && driver_host_has(host, detach->device) &&
        host->source.driver_of(host, detach->device, driver, sizeof driver))
        memory_append(&message, "; the host has it again, driver %s", driver);
    if (manual_detach_has_rule(detach))
        hint = memory_printf("'virt-rules apply %s' gives it back to the VM", vm);
    bool good = manual_detach_log_result(detach, RESULT_DETACHED, message, hint);
    free(hint);
    free(message);
    free(vm);
    return good;
}

bool manual_detach_execute(struct manual_detach *detach) {
    const struct manual_detach_request *request = detach->request;
    struct virt_error error;
    char *obstacle = manual_detach_obstacle(detach);
    if (obstacle) {
        manual_detach_log_result(detach, RESULT_REFUSED, obstacle, "");
        free(obstacle);
        return false;
    }
    manual_detach_note(detach, true);
    bool is_noted = request->program && request->state && detach->device;
    if (is_noted)
        freed_note_device(request->program, request->state, detach->device,
                          domain_key(&detach->vm.domain));
    enum guest_answer answer = manual_detach_ask_guest(detach, &error);
    bool is_clean = true;
    if (answer == GUEST_RELEASED) {
        manual_detach_note_lost(detach);
        manual_detach_note_returned(detach);
        is_clean = manual_detach_clean_up(detach);
    } else if ((answer == GUEST_NOT_ASKED && error.kind != VIRT_NO_REPLY) ||
               answer == GUEST_REFUSED) {
        manual_detach_note(detach, false);
        if (is_noted)
            freed_note_withdraw(request->state, detach->device);
    }
    return answer == GUEST_RELEASED
               ? manual_detach_log_released(detach, &error.failure) && is_clean
               : manual_detach_log_result(detach, RESULT_FAILED, error.failure.message,
                                          error.failure.hint);
}

static void manual_detach_print_text(const struct manual_detach *detach, const char *name,
                                     const char *obstacle, FILE *to) {
    const char *alias = detach->hostdev->alias;
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    text_print_string(out, domain_label(&detach->vm.domain));
    fprintf(out, ": would %s ", obstacle ? "refuse" : "detach");
    text_print_string(out, detach->text);
    fputc(' ', out);
    text_print_string(out, name);
    if (*alias)
        fprintf(out, " (%s)", alias);
    fprintf(out, "%s%s\n", obstacle ? ": " : "", obstacle ? obstacle : "");
    terminal_wrap_stream(to, terminal_of(to), PRINT_INDENT, out, &text);
}

void manual_detach_print(const struct manual_detach *detach, FILE *out, bool json) {
    const char *name = detach->device ? detach->device->name : "(unplugged)";
    char *obstacle = manual_detach_obstacle(detach);
    if (json) {
        struct json_object *object = text_json_object();
        text_put_json(object, "vm", domain_label(&detach->vm.domain));
        text_put_json(object, "device", detach->text);
        text_put_json(object, "name", name);
        text_put_json(object, "alias", detach->hostdev->alias);
        text_put_json(object, "xml", detach->xml);
        text_put_json(object, "refusal", obstacle);
        text_print_json(out, object);
    } else {
        manual_detach_print_text(detach, name, obstacle, out);
    }
    free(obstacle);
}
