#include "engine/run/run.h"

#include "engine/backend/backend.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/state/lock.h"
#include "engine/state/pending.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- time */

static int64_t run_monotonic_now(struct clock *clock) {
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_monotonic_sleep(struct clock *clock, int64_t milliseconds) {
    (void)clock;
    struct timespec left = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = milliseconds % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) != 0)
        ;
}

struct clock *run_clock_monotonic(void) {
    static struct clock clock = {run_monotonic_now, run_monotonic_sleep};
    return &clock;
}

int64_t run_now(const struct run *run) {
    return run->executor->clock->now_ms(run->executor->clock);
}

int64_t run_at_most(int64_t value, int64_t limit) {
    return value < limit ? value : limit;
}

void run_sleep_until(const struct run *run, int64_t time) {
    int64_t left = time - run_now(run);
    if (left > 0)
        run->executor->clock->sleep_ms(run->executor->clock, left);
}

/* --- results */

static const char *run_event_name_of(const struct run *run) {
    return scanner_event_text(run->executor->event->name);
}

/* Whether results of the event are of the VM's present life: at its end and before its next start
 * nothing is kept of it. */
static bool run_is_of_life(const struct run *run) {
    return event_can_attach(run->executor->event->name) && !run->late;
}

/* For 'status': what cannot be written is only not shown. */
static void run_note_result(struct run *run, const struct log_entry *entry) {
    struct vm_state life;
    const char *state = run->executor->state;
    int lock = run->locked ? -1 : lock_vm_within(state, run_vm(run), NOTE_LIMIT_MS);
    if (!run->locked && lock < 0)
        return;
    if (vm_state_open(&life, state, run_vm(run), &run->vm_start)) {
        vm_state_note_result(&life, entry, log_write_time(run->executor->journal));
        vm_state_save(&life, state, run_vm(run), NULL);
        vm_state_finish(&life);
    }
    lock_release(lock);
}

/* A line of the journal; `entry` has what is not of the run. */
static void run_write_entry(struct run *run, struct log_entry *entry, bool noted) {
    entry->vm = domain_label(run->executor->event->domain);
    entry->uuid = run->executor->event->domain->uuid;
    entry->event = run_event_name_of(run);
    log_write_entry(run->executor->journal, entry);
    if (noted && vm_state_is_result(entry) && run_is_of_life(run))
        run_note_result(run, entry);
}

void run_log_event(struct run *run, enum result result, const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    run_write_entry(run, &(struct log_entry){.result = result, .message = text}, true);
    free(text);
    run->problem |= result == RESULT_FAILED || result == RESULT_REFUSED;
}

void run_log_entry(struct run *run, const struct plan_entry *planned, enum result result,
                   const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    char *device = plan_device_text(planned), *rule = plan_rule_text(planned);
    run_write_entry(run,
                    &(struct log_entry){.action = syntax_verb_text(plan_verb(planned)),
                                        .device = device,
                                        .rule = rule,
                                        .result = result,
                                        .message = text},
                    true);
    free(text);
    free(device);
    free(rule);
    bool optional = planned->kind == PLAN_SKIPPED;
    run->problem |= !optional && (result == RESULT_FAILED || result == RESULT_REFUSED ||
                                  result == RESULT_ABSENT);
}

void run_log_device(struct run *run, const struct device *device, enum result result,
                    const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint ? "; " : "", hint ? hint : "");
    char *name =
        memory_printf("%s %04x:%04x", device->address, device->id.vendor, device->id.device);
    run_write_entry(run, &(struct log_entry){.device = name, .result = result, .message = text},
                    true);
    free(text);
    free(name);
    run->problem |= result == RESULT_FAILED;
}

/* --- what outlives the run */

static void run_write_state_failure(struct run *run, const char *message, const char *hint) {
    char *text = memory_printf("%s; %s", message, hint);
    run_write_entry(run, &(struct log_entry){.result = RESULT_FAILED, .message = text}, false);
    run->problem = true;
    free(text);
}

void run_log_damage(struct run *run, const struct vm_state *life) {
    if (life->ignored && !run->told_damage)
        run_write_state_failure(run, life->ignored,
                                "a device that it noted may stay without its host driver: "
                                "see 'virt-rules devices'");
    run->told_damage |= life->ignored != NULL;
}

void run_log_lost_calls(struct run *run) {
    char *ignored = run->told_calls ? NULL : pending_ignored(run->executor->state, run_vm(run));
    run->told_calls = true;
    if (ignored)
        run_write_state_failure(
            run, ignored,
            "libvirt or the kernel may still be at work on a device: see 'dmesg' "
            "and 'virt-rules devices'");
    free(ignored);
}

bool run_load_vm_state(struct run *run, struct vm_state *life) {
    if (run->late || !vm_state_open(life, run->executor->state, run_vm(run), &run->vm_start)) {
        *life = (struct vm_state){.id = -1};
        run->late = true;
        return false;
    }
    run_log_damage(run, life);
    return true;
}

void run_save_vm_state(struct run *run, struct vm_state *life) {
    struct failure failure;
    if (vm_state_save(life, run->executor->state, run_vm(run), &failure) < 0)
        run_write_state_failure(run, failure.message,
                                "free space there: a later event will not know of this one");
    vm_state_finish(life);
}

static void run_save_quietly(const struct run *run, struct vm_state *life) {
    vm_state_save(life, run->executor->state, run_vm(run), NULL);
    vm_state_finish(life);
}

void run_dismiss(struct run *run, const struct device *device) {
    struct vm_state life;
    if (!run_load_vm_state(run, &life))
        return;
    vm_state_dismiss(&life, device->address, device->id);
    run_save_quietly(run, &life);
}

void run_readmit(struct run *run, const struct device *device) {
    struct vm_state life;
    if (!vm_state_exists(run->executor->state, run_vm(run)) || !run_load_vm_state(run, &life))
        return;
    if (vm_state_readmit(&life, device->address))
        run_save_quietly(run, &life);
    else
        vm_state_finish(&life);
}

/* --- tasks */

static int run_compare_tasks(const void *left, const void *right) {
    const struct task *a = left, *b = right;
    if (a->action != b->action)
        return (uintptr_t)a->action < (uintptr_t)b->action ? -1 : 1;
    if (a->target != b->target)
        return (uintptr_t)a->target < (uintptr_t)b->target ? -1 : 1;
    return strcmp(a->address, b->address);
}

struct task *run_task(struct run *run, const struct plan_entry *entry) {
    struct task *task = memory_zalloc(sizeof *task);
    *task = (struct task){.action = entry->action,
                          .target = entry->target,
                          .address = memory_strdup(entry->device ? entry->device->address : "")};
    struct task **found = tsearch(task, &run->tasks, run_compare_tasks);
    if (found && *found != task) {
        free(task->address);
        free(task);
        task = *found;
    }
    if (!found)
        memory_fail();
    return task;
}

struct task *run_find_task(const struct run *run, const struct plan_entry *entry,
                           const struct device *device) {
    const struct task wanted = {
        .action = entry->action, .target = entry->target, .address = device->address};
    struct task **found = tfind(&wanted, &run->tasks, run_compare_tasks);
    return found ? *found : NULL;
}

static void run_free_task(void *item) {
    struct task *task = item;
    free(task->address);
    free(task);
}

void run_wait_for(struct run *run, int64_t time) {
    run->wake = run_at_most(time, run->wake);
}

bool run_try_later(struct run *run, struct task *task) {
    uint32_t within = plan_option_ms(task->action, OPTION_WITHIN);
    if (!task->deadline)
        task->deadline = run_now(run) + (within ? within : PASSING_LIMIT_MS);
    task->wait = task->wait ? run_at_most(task->wait * 2, LONGEST_WAIT_MS) : FIRST_WAIT_MS;
    task->next = run_now(run) + task->wait;
    if (task->next > task->deadline)
        return false;
    run_wait_for(run, task->next);
    return true;
}

/* What was noted of a call about the device, by this engine or one before, is known now. */
static void run_forget_call(const struct run *run, const struct plan_entry *entry,
                            enum result result) {
    if (!entry->device || run->silent)
        return;
    if (result == RESULT_ATTACHED || result == RESULT_ALREADY)
        pending_forget(run->executor->state, run_vm(run), entry->device->address);
    else
        pending_end(run->executor->state, run_vm(run), entry->device->address);
}

enum run_outcome run_finish_task(struct run *run, const struct plan_entry *entry, struct task *task,
                                 enum result result, const char *message, const char *hint) {
    run_log_entry(run, entry, result, message, hint);
    run_forget_call(run, entry, result);
    task->done = true;
    task->failed = result == RESULT_FAILED;
    return RUN_NEXT;
}

/* --- the world */

/* The id tells one run of a VM from the next; that of a VM that started after its daemon did may be
 * one that was used before, and then the start of its process tells. */
static bool run_is_same_life(struct run *run, const struct domain *domain) {
    struct vm_start *start = &run->vm_start;
    unsigned long long process = vm_state_process(run->executor->host_source->root, domain->name);
    /* A VM that is gone may have left its UUID as the name of another one. */
    if (strcmp(domain_key(domain), run_vm(run)) != 0)
        return false;
    if (domain->id < 0 || (start->id >= 0 && start->id != domain->id) ||
        (process && (start->process ? process != start->process : process > start->seen)))
        return false;
    start->id = domain->id;
    start->process = process ? process : start->process;
    return true;
}

const char *run_vm(const struct run *run) {
    return domain_key(run->executor->event->domain);
}

bool run_ask_again(const struct run *run, const struct virt_error *error, int64_t since) {
    int64_t limit = error->kind == VIRT_PASSES        ? PASSING_LIMIT_MS
                    : error->kind == VIRT_UNREACHABLE ? CONNECT_LIMIT_MS
                                                      : 0;
    if (run_now(run) + FIRST_WAIT_MS > since + limit)
        return false;
    run_sleep_until(run, run_now(run) + FIRST_WAIT_MS);
    return true;
}

/* A daemon that starts anew calls its hooks before it answers; without a library, or with one that
 * is too old (no code of libvirt's own), asking again is no use. */
bool run_open_virt(struct run *run) {
    struct virt_error error = {0};
    int64_t since = run_now(run);
    while (run->executor->open_virt(&run->virt, NULL, &error) < 0)
        if (error.kind == VIRT_SILENT ? !run_allows_silence(run)
                                      : !error.code || !run_ask_again(run, &error, since)) {
            run_log_event(run, RESULT_FAILED, error.failure.message, error.failure.hint);
            return false;
        }
    return true;
}

bool run_allows_silence(struct run *run) {
    unsigned limit = run->executor->event->settled ? 1 : SILENCE_LIMIT;
    return ++run->silences < limit;
}

/* The world cannot be seen. When all is done, and only the guest's boot is waited for, that is no
 * failure. */
static void run_give_up(struct run *run, const char *message, const char *hint) {
    if (!run->looking)
        run_log_event(run, RESULT_FAILED, message, hint);
}

void run_fail_question(struct run *run, const struct virt_error *error) {
    run->retry = error->kind == VIRT_SILENT && run_allows_silence(run);
    if (run->retry)
        return;
    run_give_up(run, error->failure.message, error->failure.hint);
    run->blind = error->kind != VIRT_NO_DOMAIN;
}

void run_begin_call(struct run *run, const char *verb, const struct device *device) {
    const char *label = domain_label(run->executor->event->domain);
    pending_begin(run->executor->state, run_vm(run), verb, device ? device->address : "", 0);
    char *subject =
        memory_printf("%s%sVM '%s'", device ? device->address : "", device ? ", " : "", label);
    virt_set_subject(run->virt, subject);
    free(subject);
}

void run_end_call(struct run *run, const struct device *device, const struct virt_error *error) {
    bool is_known = !error || (error->kind != VIRT_SILENT && error->kind != VIRT_UNREACHABLE);
    virt_set_subject(run->virt, NULL);
    run->silent |= error && error->kind == VIRT_SILENT;
    if (is_known)
        pending_end(run->executor->state, run_vm(run), device ? device->address : "-");
}

/* The VM's live XML, for the caller to free. Returns NULL after writing why it cannot be had. */
static char *run_read_domain(struct run *run) {
    struct virt_error error;
    char *xml = NULL;
    int64_t since = run_now(run);
    while (run->virt->ops->domain_xml(run->virt, run_vm(run), &xml, &error) < 0)
        if (!run_ask_again(run, &error, since)) {
            run->late |= error.kind == VIRT_NO_DOMAIN;
            run_fail_question(run, &error);
            return NULL;
        }
    return xml;
}

bool run_load_domain(struct run *run, struct domain *domain) {
    struct failure failure;
    char *xml = run_read_domain(run);
    if (!xml)
        return false;
    int status = domain_xml_parse(domain, xml, strlen(xml), &failure);
    free(xml);
    if (status < 0) {
        run_give_up(run, failure.message, "it is what libvirt says of the VM: see virsh dumpxml");
        run->blind = true;
        return false;
    }
    if (run_is_same_life(run, domain))
        return true;
    run->late = true;
    run_give_up(run, domain->id < 0 ? "the VM has stopped" : "the VM was started again since",
                "nothing more is done for this event");
    domain_finish(domain);
    return false;
}

bool run_load_host(struct run *run) {
    const struct host_source *source = run->executor->host_source;
    struct failure failure;
    if (source->load(source, &run->host, &failure) == 0)
        return true;
    run_give_up(run, failure.message, "is sysfs mounted on /sys?");
    run->blind = true;
    return false;
}

bool run_load_others(struct run *run) {
    struct virt_error error;
    int64_t since = run_now(run);
    while (running_domains_load(&run->others, run->virt, run->domain.uuid, &error) < 0)
        if (!run_ask_again(run, &error, since)) {
            run_fail_question(run, &error);
            return false;
        }
    return true;
}

bool run_load_vms(struct run *run, struct event *event) {
    struct virt_error error;
    int64_t since = run_now(run);
    if (!run->vms_listed && !match_unsure(run->executor->program, event))
        return true;
    while (!run->vms_listed && domain_list_from_libvirt(&run->vms, run->virt, &error) < 0)
        if (!run_ask_again(run, &error, since)) {
            run_fail_question(run, &error);
            return false;
        }
    run->vms_listed = true;
    event->vms = run->vms.list;
    event->vm_count = run->vms.count;
    return true;
}

enum vm_has run_vm_has(struct run *run, const struct device *device) {
    struct domain domain;
    if (!run_load_domain(run, &domain))
        return UNKNOWN;
    enum vm_has has = backend_hostdev_of(&domain, device) ? HOLDS : HOLDS_NOT;
    domain_finish(&domain);
    return has;
}

/* --- a device's step */

enum run_outcome run_fail_call(struct run *run, const struct plan_entry *entry, struct task *task,
                               const struct virt_error *error) {
    switch (error->kind) {
    case VIRT_SILENT: /* libvirt holds the VM's job while it is at it: nothing more can be done */
        task->unanswered = run->silent = run->blind = true;
        run_finish_task(run, entry, task, RESULT_FAILED, error->failure.message,
                        error->failure.hint);
        return RUN_OVER;
    case VIRT_UNREACHABLE:
    case VIRT_NOT_RUNNING:
    case VIRT_PASSES:
        task->unanswered |= error->kind == VIRT_UNREACHABLE;
        if (!run_try_later(run, task)) {
            char *message =
                memory_printf("%s (tried until the time for it was over)", error->failure.message);
            run_finish_task(run, entry, task, RESULT_FAILED, message, error->failure.hint);
            free(message);
        }
        return error->kind == VIRT_PASSES ? RUN_NEXT : RUN_REPLAN;
    default:
        run_finish_task(run, entry, task, RESULT_FAILED, error->failure.message,
                        error->failure.hint);
        return error->kind == VIRT_NO_DOMAIN ? RUN_REPLAN : RUN_NEXT;
    }
}

enum run_outcome run_finish_attach(struct run *run, const struct plan_entry *entry,
                                   struct task *task) {
    const char *driver = entry->device->driver ? entry->device->driver : "none";
    char *message =
        task->came_back    ? memory_printf("%s (again: the guest had let it go while it booted)",
                                           entry->device->name)
        : task->unanswered ? memory_printf("%s (libvirt's answer was lost, and the VM has it)",
                                           entry->device->name)
                           : memory_printf("%s (host driver was %s)", entry->device->name, driver);
    run_finish_task(run, entry, task, RESULT_ATTACHED, message, NULL);
    run_readmit(run, entry->device);
    task->went = true;
    task->unanswered = false;
    guest_boot_note(run, task);
    free(message);
    return RUN_NEXT;
}

enum guest_answer run_ask_guest(struct run *run, const struct plan_entry *entry, const char *xml,
                                struct virt_error *result) {
    struct domain domain;
    if (!run_load_domain(run, &domain))
        return GUEST_STOPPED;
    struct guest_removal release = {.virt = run->virt,
                                    .clock = run->executor->clock,
                                    .domain = &domain,
                                    .hostdev = backend_hostdev_of(&domain, entry->device),
                                    .xml = xml};
    *result = (struct virt_error){.failure.message = "the VM does not have it any more"};
    if (!entry->gone)
        run_dismiss(run, entry->device);
    enum guest_answer answer = GUEST_LET_GO;
    if (release.hostdev) {
        run_begin_call(run, "detach", entry->device);
        answer = guest_removal_wait(&release, result);
        run_end_call(run, entry->device, answer == GUEST_NOT_ASKED ? result : NULL);
    }
    domain_finish(&domain);
    if (!entry->gone &&
        ((answer == GUEST_NOT_ASKED && result->kind != VIRT_SILENT) || answer == GUEST_KEEPS_IT))
        run_readmit(run, entry->device);
    return answer;
}

void run_clear_unplugged(struct run *run) {
    const struct event *event = run->executor->event;
    const struct device *device = event->device;
    if (event->name != EVENT_UNPLUGGED || !device || device->bus != BUS_PCI ||
        host_find(&run->host, BUS_PCI, device->address))
        return;
    if (backend_hostdev_of(&run->domain, device)) {
        if (run_now(run) < run->start + RELEASE_LIMIT_MS)
            run_wait_for(run, run_now(run) + FIRST_WAIT_MS);
        return;
    }
    struct virt_error error;
    char *xml = backend_xml(&backend_vfio, device, &(struct backend_options){.unmanaged = true});
    run_begin_call(run, "attach", device);
    int status = run->virt->ops->attach(run->virt, run_vm(run), run->domain.id, xml, &error);
    run_end_call(run, device, status < 0 ? &error : NULL);
    free(xml);
}

void run_finish_run(struct run *run) {
    domain_list_finish(&run->vms);
    tdestroy(run->tasks, run_free_task);
    for (size_t i = 0; i < run->claim_count; i++) {
        free(run->claims[i].address);
        free(run->claims[i].message);
    }
    free(run->claims);
    for (size_t i = 0; i < run->taken_count; i++) {
        free(run->taken[i].address);
        free(run->taken[i].driver);
    }
    free(run->taken);
    for (size_t i = 0; i < run->leaving_count; i++)
        free(run->leaving[i].address);
    free(run->leaving);
}
