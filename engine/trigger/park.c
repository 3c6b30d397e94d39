#include "engine/trigger/park.h"

#include "engine/backend/backend.h"
#include "engine/rules/match.h"
#include "engine/run/restore_settings.h"
#include "engine/run/run.h"
#include "engine/state/lock.h"
#include "engine/state/log_read.h"
#include "engine/state/pending.h"
#include "engine/system/clock.h"
#include "lexer/memory.h"
#include "lexer/terminal.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_INDENT = 4 };

/* --- what rules gave */

static bool park_selects(const struct rule *rule, const struct park_device *device,
                         const struct device *of_host) {
    for (const struct action *action = rule->actions; action; action = action->next)
        if (action->verb == VERB_ATTACH && action->backend == device->hostdev->backend)
            for (const struct target *target = action->targets; target; target = target->next)
                if (match_device(target->device, of_host))
                    return true;
    return false;
}

/* One that a rule had created, or that a rule names; the VM's definition may have others of the
 * same device. */
static bool park_has_mdev_rule(const struct park *park, const struct domain_hostdev *hostdev) {
    const struct program *program = park->request->program;
    char uuid[DOMAIN_UUID_SIZE];
    if (vm_state_find_mdev(&park->state, hostdev->uuid))
        return true;
    for (size_t i = 0; i < program->rule_count; i++) {
        if (!match_vms(program->rules[i]->vms, &park->event))
            continue;
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next) {
            const struct action_option *named =
                syntax_find_option(action->options, OPTION_MDEV_UUID);
            if (named && domain_uuid_parse(named->text, uuid) && !strcmp(uuid, hostdev->uuid))
                return true;
        }
    }
    return false;
}

/* At whatever event. Of a device that the host has lost little is known. */
static bool park_has_rule(const struct park *park, const struct park_device *device) {
    const struct program *program = park->request->program;
    const struct domain_hostdev *hostdev = device->hostdev;
    if (hostdev->backend == BACKEND_MDEV)
        return park_has_mdev_rule(park, hostdev);
    if (!device->device)
        return match_attach_action(program, &park->event,
                                   &(struct device){.bus = hostdev->bus,
                                                    .address = (char *)hostdev->address,
                                                    .id = hostdev->id,
                                                    .iommu_group = -1},
                                   hostdev->backend)
            .rule;
    for (size_t i = 0; i < program->rule_count; i++)
        if (match_vms(program->rules[i]->vms, &park->event) &&
            park_selects(program->rules[i], device, device->device))
            return true;
    return false;
}

/* By a rule that may have been changed since, or for another device of the group. */
static bool park_was_attached(const struct park *park, const struct park_device *device) {
    for (size_t i = 0; i < park->state.result_count; i++) {
        const struct vm_state_result *result = &park->state.results[i];
        if (result->attached && result->action && result->device &&
            !strcmp(result->device, device->text))
            return true;
    }
    return false;
}

/* Whether a rule gives its IOMMU group as a whole, for another device of it, which may be out
 * already. */
static bool park_comes_with_group(const struct park *park, const struct park_device *device) {
    const struct host *host = &park->vm.host;
    const struct program *program = park->request->program;
    if (!device->device || device->device->bus != BUS_PCI || device->device->iommu_group < 0)
        return false;
    for (size_t i = 0; i < program->rule_count; i++) {
        bool with_group = false;
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next)
            with_group |= action->with_group;
        for (size_t j = 0; with_group && j < host->count; j++)
            if (host->devices[j].bus == BUS_PCI &&
                host->devices[j].iommu_group == device->device->iommu_group &&
                match_vms(program->rules[i]->vms, &park->event) &&
                park_selects(program->rules[i], device, &host->devices[j]))
                return true;
    }
    return false;
}

/* Another 'park' found that a rule gave it, and had no answer of the guest. */
static bool park_is_claimed(const struct park *park, const struct park_device *device) {
    for (size_t i = 0; device->device && i < park->state.parked_count; i++)
        if (vm_state_device_is(&park->state.parked[i], device->device))
            return true;
    return false;
}

/* Of what names a file of the host the alias tells. */
static bool park_may_be_ours(const struct domain_hostdev *hostdev) {
    struct backend_alias alias;
    return !hostdev->path || backend_read_alias(hostdev, &alias);
}

static void park_finish_devices(struct park *park) {
    for (size_t i = 0; i < park->count; i++) {
        free(park->devices[i].text);
        free(park->devices[i].xml);
        free(park->devices[i].obstacle);
    }
    free(park->devices);
    park->devices = NULL;
    park->count = 0;
}

static void park_find_devices(struct park *park) {
    const struct domain *domain = &park->vm.domain;
    park_finish_devices(park);
    park->devices = memory_zalloc((domain->hostdev_count + 1) * sizeof *park->devices);
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &domain->hostdevs[i];
        const struct device *device = backend_device_of(&park->vm.host, hostdev);
        park->devices[park->count++] =
            (struct park_device){.hostdev = hostdev,
                                 .device = device,
                                 .text = backend_hostdev_text(hostdev, device),
                                 .xml = backend_detach_xml(hostdev)};
    }
    for (size_t i = 0; i < park->count; i++) {
        struct park_device *device = &park->devices[i];
        const struct device *rest = running_vm_group_rest(&park->vm, device->device);
        device->is_given =
            park_may_be_ours(device->hostdev) &&
            (park_has_rule(park, device) || park_was_attached(park, device) ||
             (device->hostdev->backend != BACKEND_MDEV &&
              (park_is_claimed(park, device) || park_comes_with_group(park, device))));
        device->first = i;
        for (size_t j = i; j-- > 0;)
            if (park->devices[j].is_given == device->is_given &&
                running_vm_is_same_device(&park->vm, park->devices[j].hostdev, device->hostdev))
                device->first = j;
        if (rest)
            device->obstacle =
                memory_printf("%s is of its IOMMU group %d, too: libvirt takes them out one after "
                              "the other, and Linux before 5.19 cannot split a group",
                              rest->address, rest->iommu_group);
    }
}

/* --- the VM */

/* Every VM, if a word of a rule may mean another one than this. */
static int park_load_vms(struct park *park, struct virt_error *error) {
    park->event = (struct event){.name = EVENT_STARTED,
                                 .domain = &park->vm.domain,
                                 .settled = true,
                                 .seen = park->vm.vm_start.seen};
    if (!match_ambiguous(park->request->program, &park->event))
        return 0;
    if (domain_list_all(&park->vms, park->request->vm.virt, error) < 0)
        return -1;
    park->event.vms = park->vms.list;
    park->event.vm_count = park->vms.count;
    return 0;
}

static const char *park_key(const struct park *park) {
    return domain_key(&park->vm.domain);
}

/* Without a state directory nothing is known but the VM. */
static void park_load_state(struct park *park) {
    const char *state = park->request->state;
    vm_state_finish(&park->state);
    if (state && vm_state_load(&park->state, state, park_key(park)) &&
        !vm_state_is_same_start(&park->state, &park->vm.vm_start))
        vm_state_end(&park->state);
}

int park_init(struct park *park, const struct park_request *request, struct virt_error *error) {
    *park = (struct park){.request = request, .state = {.id = -1}};
    if (running_vm_open(&park->vm, &request->vm, error) < 0 || park_load_vms(park, error) < 0) {
        park_finish(park);
        return -1;
    }
    park_load_state(park);
    park_find_devices(park);
    return 0;
}

void park_finish(struct park *park) {
    park_finish_devices(park);
    for (size_t i = 0; i < park->tried_count; i++)
        free(park->tried[i]);
    free((void *)park->tried);
    free(park->kept);
    vm_state_finish(&park->state);
    domain_list_finish(&park->vms);
    running_vm_close(&park->vm);
}

/* --- doing it */

static void park_log(const struct park *park, const char *command, const char *device,
                     enum result result, const char *message, const char *hint) {
    running_vm_log(&park->vm, park->request->state, park->request->log,
                   &(struct log_entry){
                       .event = command, .device = device, .result = result, .message = message},
                   hint);
}

/* Saves what `park->state` has; it was opened under the VM's lock. */
static bool park_save_state(struct park *park, const char *command, const char *hint) {
    struct failure failure;
    if (vm_state_save(&park->state, park->request->state, park_key(park), &failure) == 0)
        return true;
    park_log(park, command, NULL, RESULT_FAILED, failure.message, hint);
    return false;
}

/* Returns false after logging that nothing can be noted of this start of the VM. */
static bool park_open_state(struct park *park, const char *command) {
    vm_state_finish(&park->state);
    if (!vm_state_open(&park->state, park->request->state, park_key(park), &park->vm.vm_start)) {
        park_log(park, command, NULL, RESULT_FAILED, "the VM has been started again since",
                 "try it again");
        return false;
    }
    if (park->state.ignored)
        park_log(park, command, NULL, RESULT_FAILED, park->state.ignored,
                 "a device that it noted may stay without its host driver: see 'virt-rules "
                 "devices'");
    return true;
}

/* The VM keeps its claim to what rules gave it. */
static void park_add_claims(struct park *park) {
    for (size_t i = 0; i < park->count; i++) {
        const struct device *device = park->devices[i].device;
        if (!park->devices[i].is_given || !device)
            continue;
        const struct vm_state_device *noted = vm_state_find_unbound(&park->state, device->address);
        vm_state_add_parked(&park->state, device, noted ? noted->driver : NULL);
    }
}

/* Before the guest is asked for anything: from here on every engine leaves the VM alone, and one
 * that is killed leaves to the VM's end which devices it has a claim to. */
static bool park_note(struct park *park) {
    char now[CLOCK_STAMP_SIZE];
    if (!park_open_state(park, "park"))
        return false;
    clock_stamp(now);
    vm_state_park(&park->state, now);
    park_add_claims(park);
    return park_save_state(park, "park", "the VM is not parked: free space there and try it again");
}

/* Returns true for the first time. */
static bool park_try(struct park *park, const struct park_device *device) {
    char *name = memory_printf("%s %s", device->text, device->hostdev->alias);
    for (size_t i = 0; i < park->tried_count; i++)
        if (!strcmp(park->tried[i], name)) {
            free(name);
            return false;
        }
    park->tried = memory_grow((void *)park->tried, park->tried_count, sizeof *park->tried);
    park->tried[park->tried_count++] = name;
    return true;
}

static void park_keep(struct park *park, const char *text) {
    char *longer =
        memory_printf("%s%s%s", park->kept ? park->kept : "", park->kept ? ", " : "", text);
    free(park->kept);
    park->kept = longer;
}

/* While the call lasts 'status' shows it, and also afterwards when libvirt did not answer. What
 * passes is tried again. */
static void park_ask(const struct park *park, const struct park_device *device,
                     const struct guest_removal *removal, struct guest_removal_result *result) {
    const char *name = device->device ? device->device->address : device->hostdev->alias;
    const char *state = park->request->state;
    struct retry retry = retry_start(park->request->clock);
    char *subject = memory_printf("%s, VM '%s'", device->text, domain_label(&park->vm.domain));
    pending_begin(state, park_key(park), "detach", name, 0);
    virt_set_subject(removal->virt, subject);
    do
        guest_removal_ask(removal, result);
    while (!result->asked && result->answer == GUEST_NOT_ASKED &&
           retry_call(&retry, &result->error));
    virt_set_subject(removal->virt, NULL);
    if (result->asked || result->answer != GUEST_NOT_ASKED ||
        (result->error.kind != VIRT_NO_REPLY && result->error.kind != VIRT_UNREACHABLE))
        pending_end(state, park_key(park), name);
    free(subject);
}

static void park_log_answer(struct park *park, const struct park_device *device,
                            const struct guest_removal_result *result) {
    const struct failure *failure = &result->error.failure;
    park->has_stopped |= result->answer == GUEST_STOPPED;
    if (result->answer == GUEST_STOPPED) /* once, and its end gives all of them back */
        return;
    if (result->answer == GUEST_RELEASED)
        park->released++;
    else
        park_keep(park, device->text);
    park_log(park, "park", device->text,
             result->answer == GUEST_RELEASED ? RESULT_DETACHED : RESULT_FAILED, failure->message,
             failure->hint);
}

/* Once a device, whose answer is that of all its elements. */
static void park_log_answers(struct park *park, const struct park_device *const *asked,
                             const struct guest_removal_result *results, size_t count) {
    struct guest_removal_result *own = memory_zalloc((count + 1) * sizeof *own);
    for (size_t i = 0; i < count; i++) {
        size_t own_count = 0;
        bool is_logged = false;
        for (size_t j = 0; j < count; j++) {
            bool is_own = asked[j]->first == asked[i]->first;
            is_logged |= is_own && j < i;
            if (is_own)
                own[own_count++] = results[j];
        }
        if (!is_logged)
            park_log_answer(park, asked[i], &own[guest_removal_worst(own, own_count)]);
    }
    free(own);
}

/* Asks for everything that was not asked for before, and waits for all answers together. Returns
 * false when there was nothing, or libvirt does not answer. */
static bool park_ask_guest(struct park *park, struct run *run) {
    struct guest_removal *removals = memory_zalloc((park->count + 1) * sizeof *removals);
    struct guest_removal_result *results = memory_zalloc((park->count + 1) * sizeof *results);
    const struct park_device **asked =
        (const struct park_device **)memory_zalloc((park->count + 1) * sizeof *asked);
    struct virt *virt = park->request->vm.virt;
    struct virt_error ignored;
    size_t count = 0;
    virt->ops->watch(virt, park_key(park), &ignored); /* without events the XML is read */
    for (size_t i = 0; i < park->count && !run->no_reply; i++) {
        const struct park_device *device = &park->devices[i];
        if (!device->is_given || !park_try(park, device))
            continue;
        if (device->obstacle) {
            park_keep(park, device->text);
            park_log(park, "park", device->text, RESULT_REFUSED, device->obstacle,
                     "shut the VM down for what needs it without the device");
            continue;
        }
        removals[count] = (struct guest_removal){.virt = virt,
                                                 .clock = park->request->clock,
                                                 .domain = &park->vm.domain,
                                                 .hostdev = device->hostdev,
                                                 .xml = device->xml,
                                                 .limit_ms = park->request->wait_ms};
        asked[count] = device;
        park_ask(park, device, &removals[count], &results[count]);
        run->no_reply |= results[count].answer == GUEST_NOT_ASKED && !results[count].asked &&
                         results[count].error.kind == VIRT_NO_REPLY;
        count++;
    }
    guest_removal_await(removals, results, count);
    park_log_answers(park, asked, results, count);
    free((void *)asked);
    free(removals);
    free(results);
    return count && !run->no_reply;
}

/* An attach that an engine began before the VM was parked may have taken effect meanwhile. */
static bool park_look_again(struct park *park) {
    struct virt_error error = {0};
    if (park->has_stopped || running_vm_reload(&park->vm, &park->request->vm, &error) < 0) {
        park->has_stopped |= error.kind == VIRT_NOT_RUNNING || error.kind == VIRT_NO_DOMAIN;
        return false;
    }
    if (!park_open_state(park, "park"))
        return false;
    park_find_devices(park);
    park_add_claims(park);
    return park_save_state(park, "park", "'virt-rules park' notes it when there is space again");
}

/* What this VM had of the host's, also what its guest released late. */
static void park_restore_drivers(struct park *park, struct run *run) {
    for (size_t i = 0; i < park->state.unbound_count; i++) {
        const struct vm_state_device *noted = &park->state.unbound[i];
        const struct device *device = vm_state_find_noted(&park->vm.host, noted);
        if (device && !backend_hostdev_of(&park->vm.domain, device))
            restore_driver_note_left(run, device);
    }
    restore_driver_all(run);
    run_mdev_cleanup(run);
    restore_settings_all(run);
}

/* "0000:01:00.0 10de:2484, ..."; NULL: nothing. The caller frees it. */
static char *park_list_others(const struct park *park) {
    char *list = NULL;
    for (size_t i = 0; i < park->count; i++) {
        if (park->devices[i].is_given || park->devices[i].first != i)
            continue;
        char *longer =
            memory_printf("%s%s%s", list ? list : "", list ? ", " : "", park->devices[i].text);
        free(list);
        list = longer;
    }
    return list;
}

/* The last line, about the VM as a whole. */
static bool park_log_result(const struct park *park) {
    char *others = park_list_others(park), *message, *hint;
    char *vm = text_shell_operand(domain_label(&park->vm.domain));
    bool is_good = !park->has_stopped && !park->kept;
    if (park->has_stopped) {
        message = memory_strdup("the VM has stopped, so it is not parked any more");
        hint = memory_strdup("its rules apply when it starts");
    } else if (park->kept) {
        message = memory_printf("it is parked, but still has %s", park->kept);
        hint = memory_printf("'virt-rules park %s' asks its guest again; 'virt-rules unpark %s' "
                             "gives it back what is out",
                             vm, vm);
    } else {
        message = memory_printf(
            "%zu device%s out%s%s%s", park->released, park->released == 1 ? " is" : "s are",
            others ? "; it still has " : ", and it has none that a rule gave", others ? others : "",
            others ? ", which no rule gave it: libvirt may refuse to save or migrate the VM" : "");
        hint = others ? memory_printf("'virt-rules detach %s DEVICE' takes such a device out; "
                                      "'virt-rules unpark %s' ends it",
                                      vm, vm)
                      : memory_printf("'virt-rules unpark %s' ends it", vm);
    }
    park_log(park, "park", NULL, is_good ? RESULT_PARKED : RESULT_FAILED, message, hint);
    free(others);
    free(message);
    free(hint);
    free(vm);
    return is_good;
}

bool park_execute(struct park *park) {
    const struct park_request *request = park->request;
    struct run_config config = {.program = request->program,
                                .event = &park->event,
                                .host_source = request->vm.host_source,
                                .state = request->state,
                                .log = request->log,
                                .command = "park",
                                .clock = request->clock};
    struct run run;
    if (!park_note(park))
        return false;
    run_init(&run, &config);
    run.virt = request->vm.virt;
    run.vm_start = park->vm.vm_start;
    run.locked = true;
    while (park_ask_guest(park, &run) && park_look_again(park))
        ;
    if (!park->has_stopped)
        park_restore_drivers(park, &run);
    run_finish(&run);
    return park_log_result(park);
}

/* --- showing it */

static void park_print_device(const struct park *park, const struct park_device *device,
                              FILE *out) {
    const char *alias = device->hostdev->alias;
    text_print_string(out, domain_label(&park->vm.domain));
    fprintf(out, ": would %s ",
            !device->is_given  ? "leave"
            : device->obstacle ? "refuse"
                               : "detach");
    text_print_string(out, device->text);
    fputc(' ', out);
    text_print_string(out, device->device ? device->device->name : "(unplugged)");
    if (*alias)
        fprintf(out, " (%s)", alias);
    if (!device->is_given)
        fputs(": no rule gave it", out);
    else if (device->obstacle)
        fprintf(out, ": %s", device->obstacle);
    fputc('\n', out);
}

/* In lines of the terminal's width. */
static void park_print_text(const struct park *park, FILE *to) {
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    const char *since = park->state.parked_since;
    char *time = since ? log_read_time_text(since) : NULL;
    text_print_string(out, domain_label(&park->vm.domain));
    fprintf(out, since ? ": is parked since %s\n" : ": would be parked\n", time);
    for (size_t i = 0; i < park->count; i++)
        if (park->devices[i].first == i)
            park_print_device(park, &park->devices[i], out);
    terminal_wrap_stream(to, terminal_of(to), PRINT_INDENT, out, &text);
    free(time);
}

static struct json_object *park_device_json(const struct park *park,
                                            const struct park_device *device) {
    struct json_object *object = text_json_object();
    char *xml = memory_copy(device->xml);
    for (const struct park_device *more = device + 1; more < park->devices + park->count; more++)
        if (more->first == device->first && more->xml)
            memory_append(&xml, "\n%s", more->xml);
    text_put_json(object, "device", device->text);
    text_put_json(object, "name", device->device ? device->device->name : "(unplugged)");
    text_put_json(object, "alias", device->hostdev->alias);
    text_put_json(object, "xml", xml);
    text_put_json(object, "refusal", device->obstacle);
    free(xml);
    return object;
}

struct json_object *park_json(const struct park *park) {
    struct json_object *object = text_json_object(), *devices = text_json_array(),
                       *others = text_json_array();
    const char *since = park->has_stopped ? NULL : park->state.parked_since;
    for (size_t i = 0; i < park->count; i++)
        if (park->devices[i].first == i)
            text_json_append(park->devices[i].is_given ? devices : others,
                             park_device_json(park, &park->devices[i]));
    text_put_json(object, "vm", domain_label(&park->vm.domain));
    text_put_json(object, "uuid", park->vm.domain.uuid);
    text_json_add(object, "parked", text_json_boolean(since != NULL));
    text_put_json(object, "parked_since", since);
    text_json_add(object, "devices", devices);
    text_json_add(object, "other_devices", others);
    return object;
}

bool park_print(const struct park *park, FILE *out, bool json) {
    bool is_possible = true;
    for (size_t i = 0; i < park->count; i++)
        is_possible &= !park->devices[i].is_given || !park->devices[i].obstacle;
    if (json)
        text_print_json(out, park_json(park));
    else
        park_print_text(park, out);
    return is_possible;
}

/* --- unpark */

bool park_is_parked(const struct park *park) {
    return park->state.parked_since || park->state.unparking;
}

bool park_end(struct park *park) {
    if (!park_open_state(park, "unpark"))
        return false;
    vm_state_begin_unpark(&park->state);
    if (!park_save_state(park, "unpark", "the VM stays parked: free space there and try it again"))
        return false;
    park_log(park, "unpark", NULL, RESULT_RAN, "the VM is not parked any more", "");
    running_vm_unlock(&park->vm);
    return true;
}

/* What an event of `name` about the device gives the VM; no program is run. */
static bool park_apply_event(const struct park *park, enum event_name name,
                             const struct device *device) {
    struct event event = park->event;
    event.name = name;
    event.device = device;
    struct action_list wanted = match_event(park->request->program, &event);
    bool is_wanted = wanted.count > 0;
    free(wanted.list);
    return !is_wanted ||
           run_event(&(struct run_config){.program = park->request->program,
                                          .event = &event,
                                          .host_source = park->request->vm.host_source,
                                          .state = park->request->state,
                                          .log = park->request->log,
                                          .command = "unpark",
                                          .clock = park->request->clock,
                                          .open_virt = park->request->open_virt});
}

/* Whether the VM lacks the device, as far as can be seen. */
static bool park_lacks(struct park *park, const struct device *device) {
    struct virt_error error;
    return running_vm_reload(&park->vm, &park->request->vm, &error) == 0 &&
           !backend_hostdev_of(&park->vm.domain, device);
}

bool park_apply_other_events(struct park *park) {
    bool is_good = true;
    for (size_t i = 0; i < park->state.parked_count; i++) {
        const struct vm_state_device *noted = &park->state.parked[i];
        const struct device *device = vm_state_find_noted(&park->vm.host, noted);
        for (enum event_name name = 0; device && name < EVENT_COUNT; name++)
            if (event_can_attach(name) && name != EVENT_STARTED && name != EVENT_UNPLUGGED &&
                park_lacks(park, device))
                is_good &= park_apply_event(park, name, device);
    }
    return is_good;
}

void park_forget(const struct park *park) {
    struct vm_state vm_state;
    const char *state = park->request->state;
    int lock = lock_vm(state, park_key(park), NULL);
    if (lock != LOCK_BUSY && vm_state_open(&vm_state, state, park_key(park), &park->vm.vm_start)) {
        if (vm_state.unparking) {
            vm_state_end_unpark(&vm_state);
            vm_state_save(&vm_state, state, park_key(park), NULL);
        }
        vm_state_finish(&vm_state);
    }
    lock_release(lock);
}
