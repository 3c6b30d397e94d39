#include "engine/state/vm_state.h"

#include "engine/model/address.h"
#include "engine/model/device.h"
#include "engine/state/state_file.h"
#include "engine/system/clock.h"
#include "engine/system/file.h"
#include "engine/system/process.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RESULTS = 256,       /* the most that are kept; the oldest goes */
    TEXT_LIMIT = 4 << 10 /* of a text of a result */
};

/* --- this boot of the host, and times in it */

/* "-" where the kernel has no name for it. Returns 0 or an errno: then it is not known whether a
 * file is of this boot. */
static int vm_state_boot_id(const char **id) {
    static char known[PROCESS_BOOT_ID_SIZE];
    int error = *known ? 0 : process_boot_id("", known);
    if (!*known && !error)
        snprintf(known, sizeof known, "-");
    *id = known;
    return error;
}

static bool vm_state_read_number(const char *text, unsigned long long *number) {
    char *end = NULL;
    errno = 0;
    *number = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    return end && !*end && !errno;
}

unsigned long long vm_state_now(void) {
    unsigned long long start = process_started("", getpid());
    return start ? start : clock_ticks();
}

unsigned long long vm_state_process(const char *sysroot, const char *name) {
    const char *root = sysroot ? sysroot : "";
    char *text = NULL;
    size_t size;
    unsigned long long pid = 0;
    if (strchr(name, '/'))
        return 0;
    char *path = memory_printf("%s/run/libvirt/qemu/%s.pid", root, name);
    if (file_read(path, &text, &size) == 0)
        text[strcspn(text, "\n")] = '\0';
    bool is_known = text && vm_state_read_number(text, &pid) && pid && pid <= INT_MAX;
    free(text);
    free(path);
    return is_known ? process_started(root, (pid_t)pid) : 0;
}

/* --- what is in it */

static struct vm_state_device *vm_state_find_device(struct vm_state_device *list, size_t count,
                                                    const char *address) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i].address, address))
            return &list[i];
    return NULL;
}

static bool vm_state_add_device(struct vm_state_device **list, size_t *count,
                                struct vm_state_device device) {
    if (vm_state_find_device(*list, *count, device.address))
        return false;
    *list = memory_grow(*list, *count, sizeof **list);
    device.address = memory_strdup(device.address);
    device.driver = device.driver && *device.driver ? memory_strdup(device.driver) : NULL;
    (*list)[(*count)++] = device;
    return true;
}

static void vm_state_finish_device(struct vm_state_device *device) {
    free(device->address);
    free(device->driver);
}

static void vm_state_finish_devices(struct vm_state_device **list, size_t *count) {
    for (size_t i = 0; i < *count; i++)
        vm_state_finish_device(&(*list)[i]);
    free(*list);
    *list = NULL;
    *count = 0;
}

static void vm_state_remove_device(struct vm_state_device *list, size_t *count,
                                   const char *address) {
    struct vm_state_device *found = vm_state_find_device(list, *count, address);
    if (!found)
        return;
    vm_state_finish_device(found);
    (*count)--;
    memmove(found, found + 1, (size_t)(list + *count - found) * sizeof *list);
}

const struct vm_state_device *vm_state_find_unbound(const struct vm_state *vm_state,
                                                    const char *address) {
    return vm_state_find_device(vm_state->unbound, vm_state->unbound_count, address);
}

bool vm_state_device_is(const struct vm_state_device *noted, const struct device *device) {
    return !strcmp(noted->address, device->address) && device_id_is(noted->id, device->id) &&
           noted->iommu_group == device->iommu_group;
}

const struct device *vm_state_find_noted(const struct host *host,
                                         const struct vm_state_device *noted) {
    for (size_t i = 0; i < host->count; i++)
        if (vm_state_device_is(noted, &host->devices[i]))
            return &host->devices[i];
    return NULL;
}

bool vm_state_add_unbound(struct vm_state *vm_state, const struct device *device,
                          const char *driver) {
    return vm_state_add_device(&vm_state->unbound, &vm_state->unbound_count,
                               (struct vm_state_device){device->address, device->id,
                                                        device->iommu_group, (char *)driver, 0});
}

void vm_state_remove_unbound(struct vm_state *vm_state, const char *address) {
    vm_state_remove_device(vm_state->unbound, &vm_state->unbound_count, address);
}

/* --- mediated devices */

const struct vm_state_mdev *vm_state_find_mdev(const struct vm_state *vm_state, const char *uuid) {
    for (size_t i = 0; i < vm_state->mdev_count; i++)
        if (!strcmp(vm_state->mdevs[i].uuid, uuid))
            return &vm_state->mdevs[i];
    return NULL;
}

bool vm_state_add_mdev(struct vm_state *vm_state, const char *uuid, const char *parent,
                       const char *type) {
    if (vm_state_find_mdev(vm_state, uuid))
        return false;
    vm_state->mdevs = memory_grow(vm_state->mdevs, vm_state->mdev_count, sizeof *vm_state->mdevs);
    vm_state->mdevs[vm_state->mdev_count++] =
        (struct vm_state_mdev){memory_strdup(uuid), memory_strdup(parent), memory_strdup(type)};
    return true;
}

static void vm_state_finish_mdev(struct vm_state_mdev *mdev) {
    free(mdev->uuid);
    free(mdev->parent);
    free(mdev->type);
}

void vm_state_remove_mdev(struct vm_state *vm_state, const char *uuid) {
    const struct vm_state_mdev *found = vm_state_find_mdev(vm_state, uuid);
    if (!found)
        return;
    size_t at = (size_t)(found - vm_state->mdevs);
    vm_state_finish_mdev(&vm_state->mdevs[at]);
    vm_state->mdev_count--;
    memmove(&vm_state->mdevs[at], &vm_state->mdevs[at + 1],
            (vm_state->mdev_count - at) * sizeof *vm_state->mdevs);
}

static void vm_state_finish_mdevs(struct vm_state *vm_state) {
    for (size_t i = 0; i < vm_state->mdev_count; i++)
        vm_state_finish_mdev(&vm_state->mdevs[i]);
    free(vm_state->mdevs);
}

/* --- devices that were taken out, and others */

bool vm_state_has_dismissed(const struct vm_state *vm_state, const char *address,
                            struct device_id id) {
    const struct vm_state_device *found =
        vm_state_find_device(vm_state->dismissed, vm_state->dismissed_count, address);
    return vm_state->damaged || (found && device_id_is(found->id, id));
}

bool vm_state_has_dismissed_at(const struct vm_state *vm_state, const char *address) {
    return vm_state->damaged ||
           vm_state_find_device(vm_state->dismissed, vm_state->dismissed_count, address);
}

bool vm_state_is_dismissed_again(struct vm_state *vm_state, const struct device *device,
                                 uint64_t appeared) {
    struct vm_state_device *found =
        vm_state_find_device(vm_state->dismissed, vm_state->dismissed_count, device->address);
    if (!found || !found->since || appeared >= found->since + VM_STATE_RETURN_US)
        return false;
    found->id = device->id;
    return true;
}

static void vm_state_add_dismissed(struct vm_state *vm_state, const char *address,
                                   struct device_id id, uint64_t since) {
    vm_state_remove_device(vm_state->refused, &vm_state->refused_count, address);
    vm_state_remove_device(vm_state->dismissed, &vm_state->dismissed_count, address);
    vm_state_add_device(&vm_state->dismissed, &vm_state->dismissed_count,
                        (struct vm_state_device){(char *)address, id, -1, NULL, since});
}

void vm_state_dismiss(struct vm_state *vm_state, const char *address, struct device_id id) {
    vm_state_add_dismissed(vm_state, address, id, 0);
}

void vm_state_note_lost(struct vm_state *vm_state, const char *address) {
    struct vm_state_device *found =
        vm_state_find_device(vm_state->dismissed, vm_state->dismissed_count, address);
    if (found)
        found->since = clock_boot_us();
}

bool vm_state_readmit(struct vm_state *vm_state, const char *address) {
    size_t before = vm_state->dismissed_count + vm_state->refused_count;
    vm_state_remove_device(vm_state->dismissed, &vm_state->dismissed_count, address);
    vm_state_remove_device(vm_state->refused, &vm_state->refused_count, address);
    return vm_state->dismissed_count + vm_state->refused_count < before;
}

uint64_t vm_state_refused_since(const struct vm_state *vm_state, const char *address,
                                struct device_id id) {
    const struct vm_state_device *found =
        vm_state_find_device(vm_state->refused, vm_state->refused_count, address);
    return found && device_id_is(found->id, id) ? found->since : 0;
}

bool vm_state_refuse(struct vm_state *vm_state, const char *address, struct device_id id,
                     uint64_t since) {
    if (vm_state_refused_since(vm_state, address, id))
        return false;
    vm_state_remove_device(vm_state->refused, &vm_state->refused_count, address);
    return vm_state_add_device(&vm_state->refused, &vm_state->refused_count,
                               (struct vm_state_device){(char *)address, id, -1, NULL, since});
}

void vm_state_park(struct vm_state *vm_state, const char *time) {
    if (!vm_state->parked_since)
        vm_state->parked_since = memory_strdup(time);
    vm_state->unparking = false;
}

void vm_state_add_parked(struct vm_state *vm_state, const struct device *device,
                         const char *driver) {
    const struct vm_state_device *noted =
        vm_state_find_device(vm_state->parked, vm_state->parked_count, device->address);
    if (noted && vm_state_device_is(noted, device))
        return;
    vm_state_remove_device(vm_state->parked, &vm_state->parked_count, device->address);
    vm_state_add_device(&vm_state->parked, &vm_state->parked_count,
                        (struct vm_state_device){device->address, device->id, device->iommu_group,
                                                 (char *)driver, 0});
}

bool vm_state_begin_unpark(struct vm_state *vm_state) {
    vm_state->unparking |= vm_state->parked_since != NULL;
    free(vm_state->parked_since);
    vm_state->parked_since = NULL;
    return vm_state->unparking;
}

void vm_state_end_unpark(struct vm_state *vm_state) {
    free(vm_state->parked_since);
    vm_state->parked_since = NULL;
    vm_state->unparking = false;
    vm_state_finish_devices(&vm_state->parked, &vm_state->parked_count);
}

/* --- settings of virtual functions */

static size_t vm_state_index_of_vf(const struct vm_state *vm_state, const char *address) {
    size_t i = 0;
    while (i < vm_state->vf_count && strcmp(vm_state->vfs[i].device.address, address) != 0)
        i++;
    return i;
}

const struct vm_state_vf *vm_state_find_vf(const struct vm_state *vm_state, const char *address) {
    size_t i = vm_state_index_of_vf(vm_state, address);
    return i < vm_state->vf_count ? &vm_state->vfs[i] : NULL;
}

static void vm_state_add_vf(struct vm_state *vm_state, struct vm_state_vf vf) {
    vm_state->vfs = memory_grow(vm_state->vfs, vm_state->vf_count, sizeof *vm_state->vfs);
    vf.device.address = memory_strdup(vf.device.address);
    vm_state->vfs[vm_state->vf_count++] = vf;
}

void vm_state_note_vf(struct vm_state *vm_state, const struct device *device,
                      const struct vf_config *before, const struct vf_config *given) {
    size_t i = vm_state_index_of_vf(vm_state, device->address);
    if (i < vm_state->vf_count && vm_state_device_is(&vm_state->vfs[i].device, device)) {
        vm_state->vfs[i].given = *given;
        return;
    }
    vm_state_remove_vf(vm_state, device->address);
    vm_state_add_vf(vm_state, (struct vm_state_vf){{.address = device->address,
                                                    .id = device->id,
                                                    .iommu_group = device->iommu_group},
                                                   *before,
                                                   *given});
}

void vm_state_remove_vf(struct vm_state *vm_state, const char *address) {
    size_t i = vm_state_index_of_vf(vm_state, address);
    if (i == vm_state->vf_count)
        return;
    vm_state_finish_device(&vm_state->vfs[i].device);
    vm_state->vf_count--;
    memmove(&vm_state->vfs[i], &vm_state->vfs[i + 1],
            (vm_state->vf_count - i) * sizeof *vm_state->vfs);
}

static void vm_state_finish_vfs(struct vm_state *vm_state) {
    for (size_t i = 0; i < vm_state->vf_count; i++)
        vm_state_finish_device(&vm_state->vfs[i].device);
    free(vm_state->vfs);
    vm_state->vfs = NULL;
    vm_state->vf_count = 0;
}

/* --- settings of the host */

static struct vm_state_setting *vm_state_setting_of(const struct vm_state *vm_state,
                                                    const char *path) {
    for (size_t i = 0; i < vm_state->setting_count; i++)
        if (!strcmp(vm_state->settings[i].setting.path, path))
            return &vm_state->settings[i];
    return NULL;
}

const struct vm_state_setting *vm_state_find_setting(const struct vm_state *vm_state,
                                                     const char *path) {
    return vm_state_setting_of(vm_state, path);
}

static void vm_state_add_setting(struct vm_state *vm_state, struct vm_state_setting setting) {
    vm_state->settings =
        memory_grow(vm_state->settings, vm_state->setting_count, sizeof *vm_state->settings);
    setting.device.address = memory_strdup(setting.device.address);
    setting.setting.path = memory_strdup(setting.setting.path);
    setting.setting.value = memory_strdup(setting.setting.value);
    setting.given = memory_strdup(setting.given);
    vm_state->settings[vm_state->setting_count++] = setting;
}

void vm_state_note_setting(struct vm_state *vm_state, const struct device *device,
                           const struct setting *before, const char *given) {
    struct vm_state_setting *noted = vm_state_setting_of(vm_state, before->path);
    if (noted && vm_state_device_is(&noted->device, device)) {
        free(noted->given);
        noted->given = memory_strdup(given);
        return;
    }
    vm_state_remove_setting(vm_state, before->path);
    vm_state_add_setting(vm_state, (struct vm_state_setting){{.address = device->address,
                                                              .id = device->id,
                                                              .iommu_group = device->iommu_group},
                                                             *before,
                                                             (char *)given});
}

static void vm_state_finish_setting(struct vm_state_setting *setting) {
    vm_state_finish_device(&setting->device);
    free(setting->setting.path);
    free(setting->setting.value);
    free(setting->given);
}

void vm_state_remove_setting(struct vm_state *vm_state, const char *path) {
    struct vm_state_setting *found = vm_state_setting_of(vm_state, path);
    if (!found)
        return;
    vm_state_finish_setting(found);
    vm_state->setting_count--;
    memmove(found, found + 1,
            (size_t)(vm_state->settings + vm_state->setting_count - found) * sizeof *found);
}

static void vm_state_finish_settings(struct vm_state *vm_state) {
    for (size_t i = 0; i < vm_state->setting_count; i++)
        vm_state_finish_setting(&vm_state->settings[i]);
    free(vm_state->settings);
    vm_state->settings = NULL;
    vm_state->setting_count = 0;
}

static void vm_state_finish_result(struct vm_state_result *result) {
    free(result->device);
    free(result->action);
    free(result->rule);
    free(result->message);
    free(result->time);
    free(result->since);
    free(result->attached);
}

static void vm_state_finish_results(struct vm_state *vm_state) {
    for (size_t i = 0; i < vm_state->result_count; i++)
        vm_state_finish_result(&vm_state->results[i]);
    free(vm_state->results);
    vm_state->results = NULL;
    vm_state->result_count = 0;
}

void vm_state_end(struct vm_state *vm_state) {
    vm_state->restarted = vm_state->damaged = false;
    vm_state_end_unpark(vm_state);
    vm_state_finish_devices(&vm_state->dismissed, &vm_state->dismissed_count);
    vm_state_finish_devices(&vm_state->refused, &vm_state->refused_count);
    vm_state_finish_results(vm_state);
}

void vm_state_finish(struct vm_state *vm_state) {
    vm_state_end(vm_state);
    vm_state_finish_devices(&vm_state->unbound, &vm_state->unbound_count);
    vm_state_finish_mdevs(vm_state);
    vm_state_finish_vfs(vm_state);
    vm_state_finish_settings(vm_state);
    free(vm_state->ignored);
    *vm_state = (struct vm_state){.id = -1};
}

/* --- results */

static bool vm_state_is_text(const char *one, const char *other) {
    return one && other ? !strcmp(one, other) : one == other;
}

/* Results that say as much: it is there, it was tried in vain. */
static enum result vm_state_kind_of(enum result result) {
    return result == RESULT_ALREADY   ? RESULT_ATTACHED
           : result == RESULT_REFUSED ? RESULT_FAILED
                                      : result;
}

/* Takes it out of the list, which stays in order; empty when there is none. */
static struct vm_state_result vm_state_pull_result(struct vm_state *vm_state, const char *device) {
    struct vm_state_result found = {.result = RESULT_RAN};
    size_t i = 0;
    while (i < vm_state->result_count && !vm_state_is_text(vm_state->results[i].device, device))
        i++;
    if (i == vm_state->result_count)
        return found;
    found = vm_state->results[i];
    vm_state->result_count--;
    memmove(&vm_state->results[i], &vm_state->results[i + 1],
            (vm_state->result_count - i) * sizeof *vm_state->results);
    return found;
}

static void vm_state_push_result(struct vm_state *vm_state, struct vm_state_result result) {
    if (vm_state->result_count == RESULTS) {
        struct vm_state_result oldest = vm_state->results[0];
        memmove(vm_state->results, vm_state->results + 1,
                (RESULTS - 1) * sizeof *vm_state->results);
        vm_state->result_count--;
        vm_state_finish_result(&oldest);
    }
    vm_state->results =
        memory_resize(vm_state->results, vm_state->result_count + 1, sizeof *vm_state->results);
    vm_state->results[vm_state->result_count++] = result;
}

/* When the VM got what it has: what it got from elsewhere was only found. */
static char *vm_state_attached_of(const struct vm_state_result *before, enum result result,
                                  const char *time) {
    if (result == RESULT_DETACHED)
        return NULL;
    if (result == RESULT_ATTACHED || (result == RESULT_ALREADY && !before->attached))
        return memory_copy(time);
    return memory_copy(before->attached);
}

bool vm_state_is_result(const struct log_entry *entry) {
    if (entry->device)
        return !entry->action || strcmp(entry->action, "run") != 0;
    return !entry->action && !entry->rule && vm_state_kind_of(entry->result) == RESULT_FAILED;
}

void vm_state_note_result(struct vm_state *vm_state, const struct log_entry *entry,
                          const char *time) {
    char *device = memory_copy(entry->device);
    bool is_last = vm_state->result_count &&
                   vm_state_is_text(vm_state->results[vm_state->result_count - 1].device, device);
    struct vm_state_result before = vm_state_pull_result(vm_state, device);
    /* Of an event as a whole, what came in between may have been better. */
    bool same = before.time && vm_state_kind_of(before.result) == vm_state_kind_of(entry->result) &&
                (entry->device || is_last);
    vm_state_push_result(
        vm_state,
        (struct vm_state_result){.device = device,
                                 .action = memory_copy(entry->action),
                                 .rule = memory_copy(entry->rule),
                                 .result = entry->result,
                                 .message = memory_copy(entry->message),
                                 .time = memory_copy(time),
                                 .since = memory_copy(same ? before.since : time),
                                 .attached = vm_state_attached_of(&before, entry->result, time)});
    vm_state_finish_result(&before);
}

static const struct {
    const char *key;
    size_t offset;
} result_texts[] = {
    {"device", offsetof(struct vm_state_result, device)},
    {"action", offsetof(struct vm_state_result, action)},
    {"rule", offsetof(struct vm_state_result, rule)},
    {"message", offsetof(struct vm_state_result, message)},
    {"time", offsetof(struct vm_state_result, time)},
    {"since", offsetof(struct vm_state_result, since)},
    {"attached", offsetof(struct vm_state_result, attached)},
};

enum { RESULT_TEXTS = sizeof result_texts / sizeof *result_texts };

static char **vm_state_result_text(struct vm_state_result *result, size_t i) {
    return (char **)((char *)result + result_texts[i].offset);
}

static void vm_state_put_result(struct state_text *file, const struct vm_state_result *result) {
    struct json_object *object = text_json_object();
    struct vm_state_result texts = *result;
    for (size_t i = 0; i < RESULT_TEXTS; i++)
        text_put_json(object, result_texts[i].key, *vm_state_result_text(&texts, i));
    text_put_json(object, "result", log_write_result_name(result->result));
    state_file_add_line(file, "result %s", text_json_line(object));
    json_object_put(object);
}

static bool vm_state_read_result(struct vm_state *vm_state, const char *text) {
    struct json_object *object = text_parse_json(text, strlen(text)), *value = NULL;
    struct vm_state_result result = {0};
    if (!object)
        return false;
    for (size_t i = 0; i < RESULT_TEXTS; i++)
        if (json_object_object_get_ex(object, result_texts[i].key, &value) && value)
            *vm_state_result_text(&result, i) = memory_copy(json_object_get_string(value));
    bool known = json_object_object_get_ex(object, "result", &value) && value &&
                 log_write_result_parse(json_object_get_string(value), &result.result);
    json_object_put(object);
    if (known && result.time && result.since) {
        vm_state_push_result(vm_state, result);
        return true;
    }
    vm_state_finish_result(&result);
    return false;
}

/* --- the file */

/* A VM without a UUID, which libvirt does not have, has no file. */
static char *vm_state_path_of(const char *state, const char *uuid, const char *suffix) {
    return memory_printf("%s/vms/%s%s", state, uuid, suffix);
}

bool vm_state_exists(const char *state, const char *uuid) {
    char *path = vm_state_path_of(state, uuid, ""),
         *temporary = vm_state_path_of(state, uuid, ".new");
    bool exists = access(path, F_OK) == 0 || access(temporary, F_OK) == 0;
    free(temporary);
    free(path);
    return exists;
}

enum head { HEAD_THIS_BOOT, HEAD_OTHER_BOOT, HEAD_DAMAGED };

static enum head vm_state_read_head(struct vm_state *vm_state, char *line, const char *boot_id) {
    char *id;
    unsigned long long number;
    const char *word = text_next_field(&line), *boot = text_next_field(&line);
    id = text_next_field(&line);
    if (!id || strcmp(word, "vm") != 0)
        return HEAD_DAMAGED;
    bool running = strcmp(id, "-") != 0;
    if ((running && (!vm_state_read_number(id, &number) || number > INT_MAX)) ||
        !vm_state_read_number(text_next_field(&line), &vm_state->started) ||
        !vm_state_read_number(text_next_field(&line), &vm_state->process))
        return HEAD_DAMAGED;
    vm_state->id = running ? (int)number : -1;
    return strcmp(boot, boot_id) ? HEAD_OTHER_BOOT : HEAD_THIS_BOOT;
}

/* An address as the host has it, and an id. */
static bool vm_state_read_device(struct vm_state_device *device, char **line) {
    char address[64];
    device->address = text_next_field(line);
    return device->address && address_normalise(device->address, address, sizeof address) &&
           !strcmp(address, device->address) && device_id_parse(text_next_field(line), &device->id);
}

/* And an IOMMU group, "-" for none. */
static bool vm_state_read_with_group(struct vm_state_device *device, char **line) {
    unsigned long long group = 0;
    if (!vm_state_read_device(device, line))
        return false;
    const char *number = text_next_field(line);
    bool has_group = number && strcmp(number, "-") != 0;
    if (!number || (has_group && (!vm_state_read_number(number, &group) || group > INT_MAX)))
        return false;
    device->iommu_group = has_group ? (int)group : -1;
    return true;
}

static bool vm_state_read_with_driver(struct vm_state_device **list, size_t *count, char *line) {
    struct vm_state_device device = {0};
    if (!vm_state_read_with_group(&device, &line))
        return false;
    const char *driver = text_next_field(&line);
    if (!driver)
        return false;
    device.driver = strcmp(driver, "-") ? (char *)driver : NULL;
    vm_state_add_device(list, count, device);
    return true;
}

/* "-" as the third of them: the driver of the card knows no trust. */
static bool vm_state_read_vf_config(struct vf_config *config, char **line) {
    uint32_t part[6], vlan;
    const char *mac = text_next_field(line), *number = text_next_field(line),
               *trust = text_next_field(line);
    const char *rest = mac ? text_parse_numbers(mac, 16, ':', part, 6) : NULL;
    if (!trust || !rest || *rest || strlen(mac) >= sizeof config->mac ||
        !text_parse_decimal(number, UINT16_MAX, &vlan))
        return false;
    *config = (struct vf_config){.vlan = vlan,
                                 .trust = !strcmp(trust, "on")    ? VF_TRUST_ON
                                          : !strcmp(trust, "off") ? VF_TRUST_OFF
                                                                  : VF_TRUST_UNKNOWN};
    snprintf(config->mac, sizeof config->mac, "%s", mac);
    return true;
}

static bool vm_state_read_vf(struct vm_state *vm_state, char *line) {
    struct vm_state_vf vf = {.device.driver = NULL};
    if (!vm_state_read_with_group(&vf.device, &line) ||
        !vm_state_read_vf_config(&vf.before, &line) || !vm_state_read_vf_config(&vf.given, &line))
        return false;
    if (!vm_state_find_vf(vm_state, vf.device.address))
        vm_state_add_vf(vm_state, vf);
    return true;
}

/* "flr,bus" is "flr bus", and "-" is empty. */
static char *vm_state_read_value(char **line) {
    char *text = text_next_field(line);
    if (text && !strcmp(text, "-"))
        *text = '\0';
    for (char *at = text; at && *at; at++)
        if (*at == ',')
            *at = ' ';
    return text;
}

/* A kind that is not known is of a newer version. */
static bool vm_state_read_setting(struct vm_state *vm_state, char *line) {
    struct vm_state_setting setting = {.given = NULL};
    if (!vm_state_read_with_group(&setting.device, &line))
        return false;
    const char *word = text_next_field(&line);
    setting.setting.path = text_next_field(&line);
    setting.setting.value = vm_state_read_value(&line);
    setting.given = vm_state_read_value(&line);
    if (!setting.given || !text_starts_with(setting.setting.path, "sys/"))
        return false;
    if (setting_parse_word(word, &setting.setting.kind) &&
        !vm_state_find_setting(vm_state, setting.setting.path))
        vm_state_add_setting(vm_state, setting);
    return true;
}

static bool vm_state_read_dismissed(struct vm_state *vm_state, char *line) {
    struct vm_state_device device = {0};
    unsigned long long since = 0;
    if (!vm_state_read_device(&device, &line))
        return false;
    const char *number = text_next_field(&line);
    if (number && !vm_state_read_number(number, &since))
        return false;
    vm_state_add_dismissed(vm_state, device.address, device.id, since);
    return true;
}

static bool vm_state_read_refused(struct vm_state *vm_state, char *line) {
    struct vm_state_device device = {0};
    unsigned long long since;
    if (!vm_state_read_device(&device, &line) ||
        !vm_state_read_number(text_next_field(&line), &since) || !since)
        return false;
    vm_state_refuse(vm_state, device.address, device.id, since);
    return true;
}

static bool vm_state_read_mdev(struct vm_state *vm_state, char *line) {
    const char *uuid = text_next_field(&line), *parent = text_next_field(&line);
    const char *type = text_next_field(&line);
    if (!type)
        return false;
    vm_state_add_mdev(vm_state, uuid, parent, type);
    return true;
}

static bool vm_state_read_parked(struct vm_state *vm_state, char *line) {
    const char *time = text_next_field(&line);
    if (!time)
        return false;
    vm_state_park(vm_state, time);
    return true;
}

/* Returns false for a line that no version writes. */
static bool vm_state_read_line(struct vm_state *vm_state, char *line, bool *ended) {
    const char *word = text_next_field(&line);
    if (!word)
        return false;
    if (!strcmp(word, "taken"))
        return vm_state_read_with_driver(&vm_state->unbound, &vm_state->unbound_count, line);
    if (!strcmp(word, "mdev"))
        return vm_state_read_mdev(vm_state, line);
    if (!strcmp(word, "vf"))
        return vm_state_read_vf(vm_state, line);
    if (!strcmp(word, "setting"))
        return vm_state_read_setting(vm_state, line);
    if (!strcmp(word, "parked"))
        return vm_state_read_parked(vm_state, line);
    if (!strcmp(word, "parked-device"))
        return vm_state_read_with_driver(&vm_state->parked, &vm_state->parked_count, line);
    if (!strcmp(word, "dismissed"))
        return vm_state_read_dismissed(vm_state, line);
    if (!strcmp(word, "refused"))
        return vm_state_read_refused(vm_state, line);
    if (!strcmp(word, "result"))
        return line && vm_state_read_result(vm_state, line);
    vm_state->restarted |= !strcmp(word, "restarted");
    vm_state->damaged |= !strcmp(word, "damaged");
    vm_state->unparking |= !strcmp(word, "unparking");
    *ended |= !strcmp(word, "end");
    return true;
}

static void vm_state_read_lines(struct vm_state *vm_state, const char *path, char *rest,
                                size_t left) {
    size_t bad = 0, number = 1, first = 0;
    bool ended = false;
    for (char *line; state_file_next_line(&rest, &left, &line);) {
        number++;
        if (!ended && line && vm_state_read_line(vm_state, line, &ended))
            continue;
        first = first ? first : number;
        bad++;
    }
    if (!bad && ended)
        return;
    vm_state->damaged = true;
    vm_state->ignored =
        bad ? memory_printf("%s is damaged: %zu of its lines, the first of them line %zu, ignored",
                            path, bad, first)
            : memory_printf("%s is damaged: its end is missing", path);
}

/* The rules of the file: "life" began those without sums. */
static bool vm_state_read_text(struct vm_state *vm_state, const char *path, char *text, size_t size,
                               const char *boot_id) {
    static const char old[] = "life ";
    char *line = NULL;
    bool is_old = size >= sizeof old && !memcmp(text, old, sizeof old - 1);
    bool has_head = state_file_next_line(&text, &size, &line) && line;
    enum head head = has_head ? vm_state_read_head(vm_state, line, boot_id) : HEAD_DAMAGED;
    if (head == HEAD_THIS_BOOT) {
        vm_state_read_lines(vm_state, path, text, size);
        return true;
    }
    if (head == HEAD_OTHER_BOOT)
        return false;
    vm_state->damaged = true;
    vm_state->ignored =
        is_old ? memory_printf("%s is of an older version of virt-rules: ignored", path)
               : memory_printf("%s is damaged: ignored", path);
    return false;
}

static bool vm_state_fail_reading(struct vm_state *vm_state, const char *path, int error) {
    vm_state->error = error;
    vm_state->damaged = true;
    vm_state->ignored = memory_printf("%s cannot be read: %s", path, strerror(error));
    return false;
}

bool vm_state_load(struct vm_state *vm_state, const char *state, const char *uuid) {
    char *path = vm_state_path_of(state, uuid, ""), *text = NULL;
    const char *boot_id = NULL;
    size_t size;
    *vm_state = (struct vm_state){.id = -1};
    int error = file_read(path, &text, &size);
    if (error == ENOTDIR)
        error = ENOENT;
    if (!error)
        error = vm_state_boot_id(&boot_id);
    bool found = error ? error != ENOENT && vm_state_fail_reading(vm_state, path, error)
                       : vm_state_read_text(vm_state, path, text, size, boot_id);
    if (!found)
        vm_state->id = -1;
    free(text);
    free(path);
    return found;
}

/* --- which start of the VM */

static unsigned long long vm_state_seen_of(const struct vm_start *start) {
    return start->seen ? start->seen : vm_state_now();
}

bool vm_state_is_same_start(const struct vm_state *vm_state, const struct vm_start *start) {
    bool has_id = vm_state->id >= 0 && start->id >= 0;
    bool has_process = vm_state->process && start->process;
    return (!has_id || vm_state->id == start->id) &&
           (!has_process || vm_state->process == start->process);
}

bool vm_state_is_later_start(const struct vm_state *vm_state, const struct vm_start *start) {
    if (vm_state_is_same_start(vm_state, start))
        return false;
    if (vm_state->process && start->process && vm_state->process != start->process)
        return vm_state->process > start->process;
    unsigned long long seen = vm_state_seen_of(start);
    return vm_state->started > seen || (vm_state->started == seen && vm_state->id > start->id);
}

bool vm_state_open(struct vm_state *vm_state, const char *state, const char *uuid,
                   const struct vm_start *start) {
    bool found = vm_state_load(vm_state, state, uuid);
    if (found && vm_state_is_later_start(vm_state, start)) {
        vm_state_finish(vm_state);
        return false;
    }
    bool same = found && vm_state_is_same_start(vm_state, start);
    if (found && !same)
        vm_state_end(vm_state);
    if (!same)
        vm_state->started = vm_state_seen_of(start);
    if (!same || vm_state->id < 0)
        vm_state->id = start->id;
    if (!same || !vm_state->process)
        vm_state->process = start->process;
    return true;
}

void vm_state_begin(struct vm_state *vm_state, const struct vm_start *start) {
    vm_state_end(vm_state);
    vm_state->id = start->id;
    vm_state->process = start->process;
    vm_state->started = vm_state_seen_of(start);
}

bool vm_state_is_parked(const char *state, const char *uuid, const struct vm_start *start) {
    struct vm_state vm_state;
    bool is_parked = vm_state_load(&vm_state, state, uuid) && vm_state.parked_since &&
                     vm_state_is_same_start(&vm_state, start);
    vm_state_finish(&vm_state);
    return is_parked;
}

/* --- writing it */

static void vm_state_put_id(char text[16], long number) {
    if (number < 0)
        snprintf(text, 16, "-");
    else
        snprintf(text, 16, "%ld", number);
}

static void vm_state_put_with_driver(struct state_text *file, const char *word,
                                     const struct vm_state_device *list, size_t count) {
    char group[16];
    for (size_t i = 0; i < count; i++) {
        vm_state_put_id(group, list[i].iommu_group);
        state_file_add_line(file, "%s %s %04x:%04x %s %s", word, list[i].address, list[i].id.vendor,
                            list[i].id.device, group, list[i].driver ? list[i].driver : "-");
    }
}

static const char *vm_state_trust_text(const struct vf_config *config) {
    return config->trust == VF_TRUST_ON ? "on" : config->trust == VF_TRUST_OFF ? "off" : "-";
}

static void vm_state_put_vfs(struct state_text *file, const struct vm_state *vm_state) {
    char group[16];
    for (size_t i = 0; i < vm_state->vf_count; i++) {
        const struct vm_state_vf *vf = &vm_state->vfs[i];
        vm_state_put_id(group, vf->device.iommu_group);
        state_file_add_line(file, "vf %s %04x:%04x %s %s %u %s %s %u %s", vf->device.address,
                            vf->device.id.vendor, vf->device.id.device, group, vf->before.mac,
                            vf->before.vlan, vm_state_trust_text(&vf->before), vf->given.mac,
                            vf->given.vlan, vm_state_trust_text(&vf->given));
    }
}

static char *vm_state_value_text(const char *value) {
    char *text = memory_strdup(*value ? value : "-");
    for (char *blank = text; (blank = strchr(blank, ' '));)
        *blank = ',';
    return text;
}

static void vm_state_put_settings(struct state_text *file, const struct vm_state *vm_state) {
    char group[16];
    for (size_t i = 0; i < vm_state->setting_count; i++) {
        const struct vm_state_setting *noted = &vm_state->settings[i];
        char *before = vm_state_value_text(noted->setting.value),
             *given = vm_state_value_text(noted->given);
        vm_state_put_id(group, noted->device.iommu_group);
        state_file_add_line(file, "setting %s %04x:%04x %s %s %s %s %s", noted->device.address,
                            noted->device.id.vendor, noted->device.id.device, group,
                            setting_word(noted->setting.kind), noted->setting.path, before, given);
        free(given);
        free(before);
    }
}

static void vm_state_put_since(struct state_text *file, const char *word,
                               const struct vm_state_device *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        state_file_add_line(file, "%s %s %04x:%04x %" PRIu64, word, list[i].address,
                            list[i].id.vendor, list[i].id.device, list[i].since);
}

static void vm_state_put(const struct vm_state *vm_state, const char *boot_id,
                         struct state_text *file) {
    char number[16];
    vm_state_put_id(number, vm_state->id);
    state_file_add_line(file, "vm %s %s %llu %llu", boot_id, number, vm_state->started,
                        vm_state->process);
    if (vm_state->restarted)
        state_file_add_line(file, "restarted");
    if (vm_state->damaged)
        state_file_add_line(file, "damaged");
    vm_state_put_with_driver(file, "taken", vm_state->unbound, vm_state->unbound_count);
    for (size_t i = 0; i < vm_state->mdev_count; i++)
        state_file_add_line(file, "mdev %s %s %s", vm_state->mdevs[i].uuid,
                            vm_state->mdevs[i].parent, vm_state->mdevs[i].type);
    vm_state_put_vfs(file, vm_state);
    vm_state_put_settings(file, vm_state);
    vm_state_put_since(file, "dismissed", vm_state->dismissed, vm_state->dismissed_count);
    if (vm_state->parked_since)
        state_file_add_line(file, "parked %s", vm_state->parked_since);
    if (vm_state->unparking)
        state_file_add_line(file, "unparking");
    vm_state_put_with_driver(file, "parked-device", vm_state->parked, vm_state->parked_count);
    vm_state_put_since(file, "refused", vm_state->refused, vm_state->refused_count);
    for (size_t i = 0; i < vm_state->result_count; i++)
        vm_state_put_result(file, &vm_state->results[i]);
    state_file_add_line(file, "end");
}

static bool vm_state_is_empty(const struct vm_state *vm_state) {
    return !vm_state->restarted && !vm_state->damaged && !vm_state->unbound_count &&
           !vm_state->mdev_count && !vm_state->vf_count && !vm_state->setting_count &&
           !vm_state->dismissed_count && !vm_state->refused_count && !vm_state->parked_since &&
           !vm_state->unparking && !vm_state->result_count;
}

/* Also what an engine that was killed left. */
static int vm_state_forget(const char *path, const char *temporary) {
    unlink(temporary);
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void vm_state_make_directory(const char *state) {
    char *path = vm_state_path_of(state, "", "");
    mkdir(state, 0700);
    mkdir(path, 0700);
    free(path);
}

/* What is not to be lost by it: notes that cannot be read, or those of a later start. */
static int vm_state_may_write(const struct vm_state *vm_state, const char *state,
                              const char *uuid) {
    struct vm_start start = {vm_state->id, vm_state->process, vm_state->started};
    struct vm_state now;
    bool found = vm_state_load(&now, state, uuid);
    int error = vm_state->error ? vm_state->error : now.error;
    bool later = found && vm_state_is_later_start(&now, &start);
    vm_state_finish(&now);
    errno = error;
    return error ? -1 : !later;
}

static int vm_state_write_file(const struct vm_state *vm_state, const char *path,
                               const char *temporary) {
    struct state_text file = {0};
    const char *boot_id = NULL;
    if (vm_state_is_empty(vm_state))
        return vm_state_forget(path, temporary);
    errno = vm_state_boot_id(&boot_id);
    if (errno)
        return -1;
    vm_state_put(vm_state, boot_id, &file);
    int status = file_replace(path, temporary, file.text, file.size), saved = errno;
    free(file.text);
    errno = saved;
    return status;
}

int vm_state_save(const struct vm_state *vm_state, const char *state, const char *uuid,
                  struct failure *failure) {
    char *path = vm_state_path_of(state, uuid, ""),
         *temporary = vm_state_path_of(state, uuid, ".new");
    vm_state_make_directory(state);
    int status = vm_state_may_write(vm_state, state, uuid);
    if (status > 0)
        status = vm_state_write_file(vm_state, path, temporary);
    if (status < 0)
        failure_set(failure, "%s: %s", path, strerror(errno));
    free(temporary);
    free(path);
    return status;
}

void vm_state_record_result(const char *state, const char *uuid, const struct vm_start *start,
                            const struct log_entry *entry, const char *time) {
    struct vm_state vm_state;
    if (!vm_state_open(&vm_state, state, uuid, start))
        return;
    vm_state_note_result(&vm_state, entry, time);
    vm_state_save(&vm_state, state, uuid, NULL);
    vm_state_finish(&vm_state);
}

/* --- all VMs */

/* "UUID" or, of an engine that was killed, "UUID.new". */
static int vm_state_is_file(const struct dirent *entry) {
    return *entry->d_name != '.' && !strchr(entry->d_name, '.');
}

char **vm_state_all(const char *state, size_t *count) {
    struct dirent **entries = NULL;
    char **all, *path = vm_state_path_of(state, "", "");
    int found = scandir(path, &entries, vm_state_is_file, alphasort);
    *count = found > 0 ? (size_t)found : 0;
    all = memory_zalloc((*count + 1) * sizeof *all);
    for (size_t i = 0; i < *count; i++) {
        all[i] = memory_strdup(entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    free(path);
    return all;
}

static bool vm_state_has_unbound(const char *state, const char *uuid, const struct device *device,
                                 char *driver, size_t size) {
    struct vm_state vm_state;
    bool found = vm_state_load(&vm_state, state, uuid);
    const struct vm_state_device *taken =
        found ? vm_state_find_unbound(&vm_state, device->address) : NULL;
    bool has = taken && vm_state_device_is(taken, device);
    if (has)
        snprintf(driver, size, "%s", taken->driver ? taken->driver : "");
    vm_state_finish(&vm_state);
    return has;
}

bool vm_state_find_in_all(const char *state, const struct device *device, char *driver,
                          size_t size) {
    size_t count;
    bool found = false;
    char **all = vm_state_all(state, &count);
    for (size_t i = 0; i < count; i++) {
        found = found || vm_state_has_unbound(state, all[i], device, driver, size);
        free(all[i]);
    }
    free((void *)all);
    return found;
}

static bool vm_state_has_vf(const char *state, const char *uuid, const struct device *device,
                            struct vf_config *before) {
    struct vm_state vm_state;
    vm_state_load(&vm_state, state, uuid);
    const struct vm_state_vf *found = vm_state_find_vf(&vm_state, device->address);
    bool has = found && vm_state_device_is(&found->device, device);
    if (has)
        *before = found->before;
    vm_state_finish(&vm_state);
    return has;
}

bool vm_state_find_vf_in_all(const char *state, const struct device *device,
                             struct vf_config *before) {
    size_t count;
    bool found = false;
    char **all = vm_state_all(state, &count);
    for (size_t i = 0; i < count; i++) {
        found = found || vm_state_has_vf(state, all[i], device, before);
        free(all[i]);
    }
    free((void *)all);
    return found;
}

static char *vm_state_setting_in(const char *state, const char *uuid, const char *path) {
    struct vm_state vm_state;
    vm_state_load(&vm_state, state, uuid);
    const struct vm_state_setting *found = vm_state_find_setting(&vm_state, path);
    char *before = found ? memory_strdup(found->setting.value) : NULL;
    vm_state_finish(&vm_state);
    return before;
}

char *vm_state_find_setting_in_others(const char *state, const char *uuid, const char *path) {
    size_t count;
    char *before = NULL, **all = vm_state_all(state, &count);
    for (size_t i = 0; i < count; i++) {
        if (!before && strcmp(all[i], uuid) != 0)
            before = vm_state_setting_in(state, all[i], path);
        free(all[i]);
    }
    free((void *)all);
    return before;
}

static bool vm_state_adopt_from(struct vm_state *vm_state, const char *state, const char *uuid,
                                const struct device *device) {
    struct vm_state other;
    bool is_new = false;
    vm_state_load(&other, state, uuid);
    for (size_t i = 0; i < other.setting_count; i++) {
        const struct vm_state_setting *noted = &other.settings[i];
        if (!vm_state_device_is(&noted->device, device) ||
            vm_state_find_setting(vm_state, noted->setting.path))
            continue;
        vm_state_note_setting(vm_state, device, &noted->setting, noted->given);
        is_new = true;
    }
    vm_state_finish(&other);
    return is_new;
}

bool vm_state_adopt_settings(struct vm_state *vm_state, const char *state, const char *uuid,
                             const struct device *device) {
    size_t count;
    bool is_new = false;
    char **all = vm_state_all(state, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i], uuid) != 0)
            is_new |= vm_state_adopt_from(vm_state, state, all[i], device);
        free(all[i]);
    }
    free((void *)all);
    return is_new;
}
