#include "engine/plan/status.h"

#include "engine/state/log_merge.h"
#include "engine/state/log_text.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *status_state_name(enum device_state state) {
    static const char *const names[] = {"attached",  "absent",  "refused", "lost",
                                        "failed",    "waiting", "off",     "attaching",
                                        "detaching", "parked",  "defined", "detached"};
    return names[state];
}

char *status_device_text(const struct status_row *row) {
    if (row->device)
        return device_text(row->device);
    if (!row->hostdev)
        return NULL;
    if (row->hostdev->bus != BUS_USB || row->hostdev->path)
        return backend_hostdev_text(row->hostdev, NULL);
    return memory_printf("bus %u device %u %04x:%04x", row->hostdev->bus_number,
                         row->hostdev->device_number, row->hostdev->id.vendor,
                         row->hostdev->id.device);
}

const char *status_device_name(const struct status_row *row) {
    return row->device && row->device->name && *row->device->name ? row->device->name : NULL;
}

char *status_rule_text(const struct status_row *row) {
    return row->rule ? memory_printf("%s:%zu", row->rule->source->path,
                                     program_line(row->rule, row->action))
                     : NULL;
}

/* --- the results of a device */

/* Results that mean the same. */
enum status_outcome {
    OUTCOME_OTHER,
    OUTCOME_HAS,
    OUTCOME_FAILED,
    OUTCOME_ABSENT,
    OUTCOME_DETACHED
};

static enum status_outcome status_outcome_of(const struct vm_state_result *result) {
    switch (result->result) {
    case RESULT_ATTACHED:
    case RESULT_ALREADY:
        return OUTCOME_HAS;
    case RESULT_REFUSED:
    case RESULT_FAILED:
        return OUTCOME_FAILED;
    case RESULT_ABSENT:
        return OUTCOME_ABSENT;
    case RESULT_DETACHED:
        return OUTCOME_DETACHED;
    case RESULT_RAN:
    case RESULT_WAITING:
    case RESULT_PARKED:
    case RESULT_BOUND:
    case RESULT_CREATED:
    case RESULT_STOPPED:
        break;
    }
    return OUTCOME_OTHER;
}

/* The device itself; under another id only when the same rule gave it, for a stick may take another
 * one in use, and another stick its port. Before it was there it had the words of the rule. */
static bool status_is_about(const struct vm_state_result *result, const struct status_row *row,
                            const char *device, const char *rule) {
    if (!result->device)
        return false;
    if (device && !strcmp(result->device, device))
        return true;
    if (row->wanted && !strcmp(result->device, row->wanted))
        return true;
    if (row->instance)
        return false; /* the device may have others, by the same rule */
    size_t length = row->device ? strlen(row->device->address) : 0;
    return length && !strncmp(result->device, row->device->address, length) &&
           result->device[length] == ' ' && rule && result->rule && !strcmp(result->rule, rule);
}

/* The results of one device since the VM started, the newest first. */
struct past {
    const struct vm_state_result **list;
    size_t count;
};

/* `with_all`: also that libvirt did not answer, say: then nothing was tried for any device. */
static struct past status_past_of(const struct vm_state *vm_state, const struct status_row *row,
                                  bool with_all) {
    struct past past = {0};
    char *device = status_device_text(row), *rule = status_rule_text(row);
    for (size_t i = vm_state->result_count; i-- > 0;) {
        const struct vm_state_result *result = &vm_state->results[i];
        if (!status_is_about(result, row, device, rule) && !(with_all && !result->device))
            continue;
        past.list = memory_grow((void *)past.list, past.count, sizeof *past.list);
        past.list[past.count++] = result;
    }
    free(device);
    free(rule);
    return past;
}

static enum status_outcome status_last_outcome(const struct past *past) {
    return past->count ? status_outcome_of(past->list[0]) : OUTCOME_OTHER;
}

/* When what the last results say began; NULL when they say something else. */
static const char *status_since_outcome(const struct past *past, enum status_outcome outcome) {
    const char *since = NULL;
    for (size_t i = 0; i < past->count && status_outcome_of(past->list[i]) == outcome; i++)
        since = past->list[i]->since;
    return since;
}

/* When the VM got what it has: what it got from elsewhere was only found. */
static const char *status_since_attached(const struct past *past) {
    for (size_t i = 0; i < past->count; i++)
        if (past->list[i]->attached || status_outcome_of(past->list[i]) == OUTCOME_DETACHED)
            return past->list[i]->attached;
    return NULL;
}

/* The newest failure since the VM last had the device; the caller frees it. */
static char *status_last_error(const struct past *past) {
    for (size_t i = 0; i < past->count && status_outcome_of(past->list[i]) != OUTCOME_HAS; i++) {
        enum status_outcome outcome = status_outcome_of(past->list[i]);
        if (outcome == OUTCOME_FAILED || outcome == OUTCOME_ABSENT)
            return memory_strdup(past->list[i]->message);
    }
    return NULL;
}

/* --- rows */

struct maker {
    const struct status_request *request;
    struct status_vm *vm;
};

static struct status_row *status_add_row(const struct maker *maker) {
    struct status_vm *vm = maker->vm;
    vm->rows = memory_grow(vm->rows, vm->count, sizeof *vm->rows);
    struct status_row *row = &vm->rows[vm->count++];
    *row = (struct status_row){.state = STATE_OFF};
    return row;
}

/* A mediated device: a copy of its device that stands for it alone. */
static void status_set_instance(struct status_row *row, const struct device *device) {
    row->instance = memory_zalloc(sizeof *row->instance);
    *row->instance = device_copy(device);
    row->device = row->instance;
}

static void status_set_attached(struct status_row *row, const struct past *past) {
    row->state = STATE_ATTACHED;
    row->since = status_since_attached(past);
    row->error = status_last_error(past);
}

/* Wanted, possible, and the VM does not have it. */
static void status_set_missing(struct status_row *row, const struct past *past) {
    enum status_outcome last = status_last_outcome(past);
    row->state = last == OUTCOME_HAS      ? STATE_LOST
                 : last == OUTCOME_FAILED ? STATE_FAILED
                                          : STATE_WAITING;
    row->since = row->state == STATE_FAILED ? status_since_outcome(past, last) : NULL;
    row->error = row->state == STATE_LOST ? memory_strdup("the VM had it and no longer has it")
                                          : status_last_error(past);
    row->hint = memory_strdup("'virt-rules apply' attaches it");
}

/* Since the VM had it, a person or a rule has taken it out; and whoever asks wants to know that,
 * not what could be done with the device now. Of other changes its results know nothing: a guest
 * that releases a device is not asked to. */
static bool status_is_detached(const struct maker *maker, const struct status_row *row,
                               const struct past *past) {
    return row->device && status_last_outcome(past) == OUTCOME_DETACHED &&
           vm_state_has_dismissed(&maker->vm->vm_state, row->device->address, row->device->id);
}

/* `entry`: what the plan says of it now. */
static void status_set_detached(const struct maker *maker, struct status_row *row,
                                const struct past *past, const struct plan_entry *entry) {
    const struct vm_state_result *result = past->list[0];
    bool is_possible = entry->kind == PLAN_STEP;
    row->state = STATE_DETACHED;
    row->refusal = REFUSED_NOT;
    row->since = status_since_outcome(past, OUTCOME_DETACHED);
    row->error = result->rule ? memory_printf("taken out by a rule, %s", result->rule)
                              : memory_strdup("taken out by hand");
    if (is_possible) {
        char *vm = text_shell_operand(domain_label(maker->vm->domain));
        row->hint = memory_printf("'virt-rules apply %s' gives it back", vm);
        free(vm);
    } else {
        memory_append(&row->error, "; now %s", entry->message ? entry->message : "it is not free");
        row->hint = memory_copy(entry->hint);
    }
}

/* Also what it could not have any more: 'unpark' says so. */
static void status_set_parked(struct status_row *row, const struct vm_state *vm_state) {
    row->state = STATE_PARKED;
    row->since = vm_state->parked_since;
    row->hint = memory_strdup("'virt-rules unpark VM' attaches it again");
}

/* The plan knows more of the reason than the result. */
static void status_set_impossible(struct status_row *row, const struct past *past,
                                  const struct plan_entry *entry) {
    bool absent = entry->refusal == REFUSED_ABSENT;
    bool logged_absent = absent || entry->kind == PLAN_SKIPPED;
    row->state = absent ? STATE_ABSENT : STATE_REFUSED;
    row->since = status_since_outcome(past, logged_absent ? OUTCOME_ABSENT : OUTCOME_FAILED);
    row->error = memory_copy(entry->message);
    row->hint = memory_copy(entry->hint);
}

/* Another VM has it, and the VM gets it after that: since when it waits for that is in its state.
 */
static void status_set_in_line(struct status_row *row, const struct plan_entry *entry) {
    free(row->error);
    free(row->hint);
    row->state = STATE_WAITING;
    row->is_in_line = true;
    row->error = memory_printf("waiting: %s (freed)", entry->message);
    row->hint =
        memory_strdup("the VM gets the device when the other VM stops or releases it; others "
                      "that were refused earlier come first");
}

/* That a process waits for right now. */
static const struct pending_call *status_call_of(const struct status_vm *vm,
                                                 const struct status_row *row) {
    const char *address = row->device ? row->device->address : "";
    const char *alias = row->hostdev ? row->hostdev->alias : "";
    for (size_t i = 0; i < vm->call_count; i++) {
        const struct pending_call *call = &vm->calls[i];
        if ((!strcmp(call->device, address) || !strcmp(call->device, alias)) &&
            pending_is_running(call))
            return call;
    }
    return NULL;
}

/* Its result, and the plan's reason, are of before. */
static void status_set_underway(const struct status_vm *vm, struct status_row *row) {
    const struct pending_call *call = status_call_of(vm, row);
    bool attached = row->state == STATE_ATTACHED;
    if (!call || strcmp(call->verb, attached ? "detach" : "attach") != 0)
        return;
    free(row->error);
    free(row->hint);
    row->state = attached ? STATE_DETACHING : STATE_ATTACHING;
    row->since = call->since;
    row->refusal = REFUSED_NOT;
    row->error = memory_printf("process %d waits for libvirt's answer", (int)call->process);
    row->hint = memory_strdup("if it takes minutes, a driver or a program on the host may hold "
                              "the device: see 'dmesg'");
}

/* Whether a rule of the VM attaches the device when another VM releases it. */
static bool status_is_in_line(const struct maker *maker, const struct plan_entry *entry) {
    const struct event event = {.name = EVENT_FREED,
                                .domain = maker->vm->domain,
                                .device = entry->device,
                                .vms = maker->request->domains,
                                .vm_count = maker->request->domain_count};
    bool is = false;
    if (entry->kind != PLAN_REFUSED || entry->refusal != REFUSED_HELD || !entry->device)
        return false;
    struct action_list wanted = match_event(maker->request->program, &event);
    for (size_t i = 0; i < wanted.count; i++)
        is |= wanted.list[i].action->verb == VERB_ATTACH;
    free(wanted.list);
    return is;
}

static void status_set_state(const struct maker *maker, struct status_row *row,
                             const struct plan_entry *entry) {
    struct past past = status_past_of(&maker->vm->vm_state, row, entry && entry->kind == PLAN_STEP);
    if (!entry || (entry->kind == PLAN_SKIPPED && !entry->refusal))
        status_set_attached(row, &past);
    else if (entry->kind == PLAN_STEP && maker->vm->vm_state.parked_since)
        status_set_parked(row, &maker->vm->vm_state);
    else if (status_is_detached(maker, row, &past))
        status_set_detached(maker, row, &past, entry);
    else if (entry->kind == PLAN_STEP)
        status_set_missing(row, &past);
    else
        status_set_impossible(row, &past, entry);
    if (entry && row->state != STATE_DETACHED && status_is_in_line(maker, entry))
        status_set_in_line(row, entry);
    free((void *)past.list);
    status_set_underway(maker->vm, row);
}

static bool status_has_action(const struct status_vm *vm, const struct action *action) {
    for (size_t i = 0; i < vm->count; i++)
        if (vm->rows[i].action == action)
            return true;
    return false;
}

/* --- the definition of a VM that does not run */

/* What it has, and what 'apply' would put in or take out. */
static void status_set_defined(struct status_row *row, const struct plan_entry *entry) {
    bool leaves = plan_verb(entry) == VERB_DETACH;
    if (entry->kind == PLAN_REFUSED || entry->refusal) {
        row->state = entry->refusal == REFUSED_ABSENT ? STATE_ABSENT : STATE_REFUSED;
        row->error = memory_copy(entry->message);
        row->hint = memory_copy(entry->hint);
        return;
    }
    row->state = leaves || entry->kind == PLAN_SKIPPED ? STATE_DEFINED : STATE_WAITING;
    if (entry->kind == PLAN_STEP) {
        row->error = leaves ? memory_copy(entry->message)
                            : memory_strdup("its definition does not have it yet");
        row->hint = memory_printf("'virt-rules apply' %s", leaves ? "takes it out" : "puts it in");
    }
}

static void status_add_definition_entry(const struct maker *maker, const struct plan_entry *entry) {
    if (entry->kind == PLAN_STEP && entry->mark_count &&
        entry->marks[0].kind == DEFINITION_MARK_CONTROLLER)
        return; /* a root port */
    struct status_row *row = status_add_row(maker);
    row->device = entry->device;
    row->rule = entry->rule;
    row->action = entry->rule ? entry->action : NULL;
    row->wanted = memory_copy(entry->target_text);
    row->refusal = entry->refusal;
    row->optional = entry->rule && plan_has_option(entry->action, OPTION_OPTIONAL);
    status_set_defined(row, entry);
}

static void status_add_definition(const struct maker *maker) {
    const struct status_request *request = maker->request;
    const struct event event = {.name = EVENT_DEFINED,
                                .domain = maker->vm->domain,
                                .vms = request->domains,
                                .vm_count = request->domain_count};
    struct plan plan;
    plan_init(&plan, &(struct plan_request){.program = request->program,
                                            .event = &event,
                                            .host = request->host,
                                            .partial = request->partial,
                                            .libvirt_version = request->libvirt_version});
    for (size_t i = 0; i < plan.count; i++)
        status_add_definition_entry(maker, &plan.entries[i]);
    plan_finish(&plan);
}

/* --- what is attached at `started` */

static void status_add_entry(const struct maker *maker, const struct plan_entry *entry) {
    if (!maker->vm->running && status_has_action(maker->vm, entry->action))
        return; /* its definition has it, or is to have it */
    struct status_row *row = status_add_row(maker);
    row->device = entry->device;
    if (entry->instance)
        status_set_instance(row, entry->instance);
    row->rule = entry->rule;
    row->action = entry->action;
    row->wanted = memory_copy(entry->target_text);
    row->refusal = maker->vm->running ? entry->refusal : REFUSED_NOT;
    row->optional = plan_has_option(entry->action, OPTION_OPTIONAL);
    if (maker->vm->running)
        status_set_state(maker, row, entry);
}

static bool status_has_row(const struct status_vm *vm, const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < vm->count; i++)
        if (vm->rows[i].device && backend_is_hostdev(hostdev, vm->rows[i].device) &&
            (hostdev->backend != BACKEND_MDEV || vm->rows[i].instance))
            return true;
    return false;
}

/* A disk or a serial port on a file of the host is shown when rules gave it: the others are the
 * VM's own. */
static bool status_is_shown(const struct maker *maker, const struct domain_hostdev *hostdev) {
    const struct vm_state *vm_state = &maker->vm->vm_state;
    struct backend_alias alias;
    if (hostdev->backend == BACKEND_MDEV)
        return vm_state_find_mdev(vm_state, hostdev->uuid);
    if (!hostdev->path || backend_read_alias(hostdev, &alias))
        return true;
    char *text = backend_hostdev_text(hostdev, backend_device_of(maker->request->host, hostdev));
    bool is_noted = false;
    for (size_t i = 0; i < vm_state->result_count && !is_noted; i++)
        is_noted = vm_state->results[i].attached && vm_state->results[i].device &&
                   !strcmp(vm_state->results[i].device, text);
    free(text);
    return is_noted;
}

/* What it has from its definition, by the rule that wants it there. */
static void status_set_rule(const struct maker *maker, struct status_row *row,
                            const struct domain_hostdev *hostdev) {
    const struct event event = {.name = EVENT_DEFINED,
                                .domain = maker->vm->domain,
                                .vms = maker->request->domains,
                                .vm_count = maker->request->domain_count};
    struct action_ref ref =
        match_attach_action(maker->request->program, &event, row->device, hostdev->backend);
    row->rule = ref.rule;
    row->action = ref.action;
}

/* What the VM has and no rule wants. */
static void status_add_hostdevs(const struct maker *maker) {
    const struct domain *domain = maker->vm->domain;
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &domain->hostdevs[i];
        if (status_has_row(maker->vm, hostdev) || !status_is_shown(maker, hostdev))
            continue;
        struct status_row *row = status_add_row(maker);
        row->hostdev = hostdev;
        row->device = backend_device_of(maker->request->host, hostdev);
        if (hostdev->mark && row->device)
            status_set_rule(maker, row, hostdev);
        if (hostdev->backend == BACKEND_MDEV && row->device) {
            status_set_instance(row, row->device);
            device_make_instance(row->instance, hostdev->uuid, NULL);
        }
        status_set_state(maker, row, NULL);
        if (row->device)
            continue;
        free(row->error);
        row->error = memory_strdup("the host no longer has it");
    }
}

static bool status_has_address(const struct status_vm *vm, const char *address) {
    for (size_t i = 0; i < vm->count; i++)
        if (vm->rows[i].device && !strcmp(vm->rows[i].device->address, address))
            return true;
    return false;
}

/* What 'park' took out and no rule wants at `started`. */
static void status_add_parked(const struct maker *maker) {
    const struct vm_state *vm_state = &maker->vm->vm_state;
    for (size_t i = 0; i < vm_state->parked_count && vm_state->parked_since; i++) {
        const struct vm_state_device *noted = &vm_state->parked[i];
        if (status_has_address(maker->vm, noted->address))
            continue;
        struct status_row *row = status_add_row(maker);
        row->device = vm_state_find_noted(maker->request->host, noted);
        if (!row->device)
            row->wanted =
                memory_printf("%s %04x:%04x", noted->address, noted->id.vendor, noted->id.device);
        status_set_parked(row, vm_state);
    }
}

/* --- VMs */

static void status_finish_stop(struct status_stop *stop) {
    free(stop->time);
    free(stop->device);
    free(stop->rule);
    free(stop->message);
    free(stop->hint);
    *stop = (struct status_stop){0};
}

/* A start that a rule stopped is in the log: libvirt has no trace of it. */
static void status_note_stop(struct status *status, const struct log_item *item) {
    const struct log_line *line = &item->line;
    for (size_t i = 0; i < status->count; i++) {
        struct status_vm *vm = &status->vms[i];
        bool is_about = line->uuid && vm->domain->uuid && !strcmp(line->uuid, vm->domain->uuid);
        if (vm->running || !is_about || !line->event || !line->result)
            continue;
        bool is_stop = !strcmp(line->result, log_write_result_name(RESULT_STOPPED));
        if (!is_stop && strcmp(line->event, scanner_event_text(EVENT_STARTED)) != 0)
            continue;
        status_finish_stop(&vm->stop);
        if (is_stop)
            vm->stop = (struct status_stop){.time = memory_copy(line->time),
                                            .device = memory_copy(line->device),
                                            .rule = memory_copy(line->rule),
                                            .message = log_text_message(line),
                                            .hint = memory_copy(line->hint)};
    }
}

/* Of VMs that do not run. */
static void status_find_stops(struct status *status, const char *state) {
    struct log_merge *merge = log_merge_open(state, false);
    struct log_item item;
    while (log_merge_next(merge, &item))
        if (!item.is_broken)
            status_note_stop(status, &item);
    log_merge_close(merge);
}

/* The running VMs other than this one, as borrowed copies; the caller frees the list. */
static struct domain *status_others_of(const struct status_request *request,
                                       const struct domain *own, size_t *count) {
    struct domain *others = memory_zalloc((request->domain_count + 1) * sizeof *others);
    *count = 0;
    for (size_t i = 0; i < request->domain_count; i++)
        if (&request->domains[i] != own && request->domains[i].id >= 0)
            others[(*count)++] = request->domains[i];
    return others;
}

static void status_add_plan(const struct maker *maker) {
    const struct status_request *request = maker->request;
    const struct event event = {.name = EVENT_STARTED,
                                .domain = maker->vm->domain,
                                .vms = request->domains,
                                .vm_count = request->domain_count,
                                .settled = true};
    struct plan plan;
    size_t other_count;
    struct domain *others = status_others_of(request, event.domain, &other_count);
    plan_init(&plan, &(struct plan_request){.program = request->program,
                                            .event = &event,
                                            .host = request->host,
                                            .others = others,
                                            .other_count = other_count,
                                            .libvirt_version = request->libvirt_version});
    for (size_t i = 0; i < plan.count; i++)
        if (plan_verb(&plan.entries[i]) == VERB_ATTACH)
            status_add_entry(maker, &plan.entries[i]);
    plan_finish(&plan);
    free(others);
}

static bool status_names(const struct rule *rule, const struct domain *domain) {
    const struct word *vm = rule->vms;
    while (vm && (vm->kind == WORD_ANY || !match_vm(vm, domain)))
        vm = vm->next;
    return vm != NULL;
}

/* "any" means no VM in particular. */
static bool status_has_named_row(const struct status_vm *vm) {
    for (size_t i = 0; i < vm->count; i++)
        if (vm->rows[i].state == STATE_DEFINED ||
            (vm->rows[i].rule && status_names(vm->rows[i].rule, vm->domain)))
            return true;
    return false;
}

static void status_finish_vm(struct status_vm *vm) {
    status_finish_stop(&vm->stop);
    for (size_t i = 0; i < vm->count; i++) {
        free(vm->rows[i].wanted);
        free(vm->rows[i].error);
        free(vm->rows[i].hint);
        if (vm->rows[i].instance)
            device_finish(vm->rows[i].instance);
        free(vm->rows[i].instance);
    }
    free(vm->rows);
    free(vm->calls);
    free(vm->calls_ignored);
    vm_state_finish(&vm->vm_state);
}

/* State of an earlier start of the VM does not count. */
static void status_load_vm_state(const struct maker *maker) {
    const struct domain *domain = maker->vm->domain;
    struct vm_start start = {.id = domain->id,
                             .process = vm_state_process(maker->request->host->root, domain->name)};
    struct vm_state *vm_state = &maker->vm->vm_state;
    *vm_state = (struct vm_state){.id = -1};
    if (!maker->vm->running || !maker->request->state)
        return;
    maker->vm->calls =
        pending_load(maker->request->state, domain_key(domain), &maker->vm->call_count);
    maker->vm->calls_ignored = pending_ignored(maker->request->state, domain_key(domain));
    if (vm_state_load(vm_state, maker->request->state, domain_key(domain)) &&
        !vm_state_is_same_start(vm_state, &start))
        vm_state_finish(vm_state);
}

static void status_add_vm(struct status *status, const struct status_request *request,
                          const struct domain *domain) {
    struct status_vm vm = {.domain = domain, .running = domain->id >= 0};
    const struct maker maker = {request, &vm};
    status_load_vm_state(&maker);
    if (!vm.running)
        status_add_definition(&maker);
    status_add_plan(&maker);
    if (vm.running) {
        status_add_hostdevs(&maker);
        status_add_parked(&maker);
    }
    if (!vm.running && !request->vm && !status_has_named_row(&vm)) {
        status_finish_vm(&vm);
        return;
    }
    status->vms = memory_grow(status->vms, status->count, sizeof *status->vms);
    status->vms[status->count++] = vm;
}

/* As a person sorts: a letter is the same in upper case, and a number counts as a whole. */
static int status_compare(const char *left, const char *right) {
    char *a = memory_strdup(left), *b = memory_strdup(right);
    for (char *at = a; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    for (char *at = b; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    int order = strverscmp(a, b);
    free(a);
    free(b);
    return order ? order : strcmp(left, right);
}

/* libvirt lists them in no order. */
static int status_by_name(const void *left, const void *right) {
    const struct status_vm *a = left, *b = right;
    int order = status_compare(domain_label(a->domain), domain_label(b->domain));
    return order ? order : strcmp(a->domain->name, b->domain->name);
}

void status_init(struct status *status, const struct status_request *request) {
    const struct domain *first, *second;
    size_t wanted = request->vm ? domain_pick(request->domains, request->domain_count, request->vm,
                                              &first, &second)
                                : 0;
    *status = (struct status){0};
    for (size_t i = 0; i < request->domain_count; i++)
        if (!request->vm || i == wanted)
            status_add_vm(status, request, &request->domains[i]);
    if (request->state)
        status_find_stops(status, request->state);
    if (status->count)
        qsort(status->vms, status->count, sizeof *status->vms, status_by_name);
    for (size_t i = 1; i < status->count; i++)
        if (!strcmp(domain_label(status->vms[i - 1].domain), domain_label(status->vms[i].domain)))
            status->vms[i - 1].shares_label = status->vms[i].shares_label = true;
}

void status_finish(struct status *status) {
    for (size_t i = 0; i < status->count; i++)
        status_finish_vm(&status->vms[i]);
    free(status->vms);
    *status = (struct status){0};
}

static bool status_is_problem(const struct status_row *row) {
    bool good = row->state == STATE_ATTACHED || row->state == STATE_DETACHING ||
                row->state == STATE_DETACHED || row->state == STATE_OFF || row->is_in_line;
    return row->rule && !row->optional && !good;
}

static size_t status_problems_of(const struct status_vm *vm) {
    size_t count = 0;
    for (size_t i = 0; i < vm->count && vm->running && !vm->vm_state.parked_since; i++)
        count += status_is_problem(&vm->rows[i]);
    return count;
}

size_t status_problems(const struct status *status) {
    size_t count = 0;
    for (size_t i = 0; i < status->count; i++)
        count += status_problems_of(&status->vms[i]);
    return count;
}
