#include "engine/execute/execution.h"

#include "engine/state/lock.h"
#include "engine/state/pending.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- time */

static int64_t monotonic_now(struct clock *clock) {
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void monotonic_sleep(struct clock *clock, int64_t milliseconds) {
    (void)clock;
    struct timespec left = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = milliseconds % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) != 0)
        ;
}

struct clock *clock_monotonic(void) {
    static struct clock clock = {monotonic_now, monotonic_sleep};
    return &clock;
}

int64_t execution_now(const struct execution *run) {
    return run->executor->clock->now_ms(run->executor->clock);
}

int64_t execution_at_most(int64_t value, int64_t limit) {
    return value < limit ? value : limit;
}

void execution_sleep_until(const struct execution *run, int64_t time) {
    int64_t left = time - execution_now(run);
    if (left > 0)
        run->executor->clock->sleep_ms(run->executor->clock, left);
}

/* --- results */

static const char *event_name_of(const struct execution *run) {
    return event_text(run->executor->event->name);
}

/* Whether results of the event are of the VM's present life: at its end and before its next start
 * nothing is kept of it. */
static bool is_of_life(const struct execution *run) {
    return event_can_attach(run->executor->event->name) && !run->late;
}

/* For 'status': what cannot be written is only not shown. */
static void note_result(struct execution *run, const struct journal_entry *entry) {
    char ignored[512];
    struct life life;
    const char *state = run->executor->state;
    int lock = run->locked ? -1 : lock_vm_within(state, execution_vm(run), NOTE_LIMIT_MS);
    if (!run->locked && lock < 0)
        return;
    if (life_open(&life, state, execution_vm(run), &run->vm_start)) {
        life_note_result(&life, entry, journal_time(run->executor->journal));
        life_save(&life, state, execution_vm(run), ignored, sizeof ignored);
        life_finish(&life);
    }
    lock_release(lock);
}

/* A line of the journal; `entry` has what is not of the run. */
static void write_entry(struct execution *run, struct journal_entry *entry, bool noted) {
    entry->vm = domain_label(run->executor->event->domain);
    entry->uuid = run->executor->event->domain->uuid;
    entry->event = event_name_of(run);
    journal_write(run->executor->journal, entry);
    if (noted && life_is_result(entry) && is_of_life(run))
        note_result(run, entry);
}

void execution_log_event(struct execution *run, enum result result, const char *message,
                         const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    write_entry(run, &(struct journal_entry){.result = result, .message = text}, true);
    free(text);
    run->problem |= result == RESULT_FAILED || result == RESULT_REFUSED;
}

void execution_log_entry(struct execution *run, const struct plan_entry *planned,
                         enum result result, const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    char *device = plan_device_text(planned), *rule = plan_rule_text(planned);
    write_entry(run,
                &(struct journal_entry){.action = verb_text(plan_verb(planned)),
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

void execution_log_device(struct execution *run, const struct host_device *device,
                          enum result result, const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint ? "; " : "", hint ? hint : "");
    char *name =
        memory_printf("%s %04x:%04x", device->address, device->id.vendor, device->id.device);
    write_entry(run, &(struct journal_entry){.device = name, .result = result, .message = text},
                true);
    free(text);
    free(name);
    run->problem |= result == RESULT_FAILED;
}

/* --- what outlives the run */

static void write_state_failure(struct execution *run, const char *message, const char *hint) {
    char *text = memory_printf("%s; %s", message, hint);
    write_entry(run, &(struct journal_entry){.result = RESULT_FAILED, .message = text}, false);
    run->problem = true;
    free(text);
}

void execution_log_damage(struct execution *run, const struct life *life) {
    if (life->ignored && !run->told_damage)
        write_state_failure(run, life->ignored,
                            "a device that it noted may stay without its host driver: "
                            "see 'virt-rules devices'");
    run->told_damage |= life->ignored != NULL;
}

void execution_log_lost_calls(struct execution *run) {
    char *ignored =
        run->told_calls ? NULL : pending_ignored(run->executor->state, execution_vm(run));
    run->told_calls = true;
    if (ignored)
        write_state_failure(run, ignored,
                            "libvirt or the kernel may still be at work on a device: see 'dmesg' "
                            "and 'virt-rules devices'");
    free(ignored);
}

bool execution_load_life(struct execution *run, struct life *life) {
    if (run->late || !life_open(life, run->executor->state, execution_vm(run), &run->vm_start)) {
        *life = (struct life){.id = -1};
        run->late = true;
        return false;
    }
    execution_log_damage(run, life);
    return true;
}

void execution_save_life(struct execution *run, struct life *life) {
    char message[512];
    if (life_save(life, run->executor->state, execution_vm(run), message, sizeof message) < 0)
        write_state_failure(run, message,
                            "free space there: a later event will not know of this one");
    life_finish(life);
}

static void execution_save_quietly(const struct execution *run, struct life *life) {
    char ignored[512];
    life_save(life, run->executor->state, execution_vm(run), ignored, sizeof ignored);
    life_finish(life);
}

void execution_dismiss(struct execution *run, const struct host_device *device) {
    struct life life;
    if (!execution_load_life(run, &life))
        return;
    life_dismiss(&life, device->address, device->id);
    execution_save_quietly(run, &life);
}

void execution_readmit(struct execution *run, const struct host_device *device) {
    struct life life;
    if (!life_exists(run->executor->state, execution_vm(run)) || !execution_load_life(run, &life))
        return;
    if (life_readmit(&life, device->address))
        execution_save_quietly(run, &life);
    else
        life_finish(&life);
}

/* --- tasks */

static int compare_tasks(const void *left, const void *right) {
    const struct task *a = left, *b = right;
    if (a->action != b->action)
        return (uintptr_t)a->action < (uintptr_t)b->action ? -1 : 1;
    if (a->target != b->target)
        return (uintptr_t)a->target < (uintptr_t)b->target ? -1 : 1;
    return strcmp(a->address, b->address);
}

struct task *execution_task(struct execution *run, const struct plan_entry *entry) {
    struct task *task = memory_zalloc(sizeof *task);
    *task = (struct task){.action = entry->action,
                          .target = entry->target,
                          .address = memory_strdup(entry->device ? entry->device->address : "")};
    struct task **found = tsearch(task, &run->tasks, compare_tasks);
    if (found && *found != task) {
        free(task->address);
        free(task);
        task = *found;
    }
    if (!found)
        memory_fail();
    return task;
}

struct task *execution_find_task(const struct execution *run, const struct plan_entry *entry,
                                 const struct host_device *device) {
    const struct task wanted = {
        .action = entry->action, .target = entry->target, .address = device->address};
    struct task **found = tfind(&wanted, &run->tasks, compare_tasks);
    return found ? *found : NULL;
}

static void finish_task(void *item) {
    struct task *task = item;
    free(task->address);
    free(task);
}

void execution_wait_for(struct execution *run, int64_t time) {
    run->wake = execution_at_most(time, run->wake);
}

bool execution_try_later(struct execution *run, struct task *task) {
    uint32_t within = plan_option_ms(task->action, OPTION_WITHIN);
    if (!task->deadline)
        task->deadline = execution_now(run) + (within ? within : PASSING_LIMIT_MS);
    task->wait = task->wait ? execution_at_most(task->wait * 2, LONGEST_WAIT_MS) : FIRST_WAIT_MS;
    task->next = execution_now(run) + task->wait;
    if (task->next > task->deadline)
        return false;
    execution_wait_for(run, task->next);
    return true;
}

/* What was noted of a call about the device, by this engine or one before, is known now. */
static void execution_forget_call(const struct execution *run, const struct plan_entry *entry,
                                  enum result result) {
    if (!entry->device || run->silent)
        return;
    if (result == RESULT_ATTACHED || result == RESULT_ALREADY)
        pending_forget(run->executor->state, execution_vm(run), entry->device->address);
    else
        pending_end(run->executor->state, execution_vm(run), entry->device->address);
}

enum outcome execution_finish(struct execution *run, const struct plan_entry *entry,
                              struct task *task, enum result result, const char *message,
                              const char *hint) {
    execution_log_entry(run, entry, result, message, hint);
    execution_forget_call(run, entry, result);
    task->done = true;
    task->failed = result == RESULT_FAILED;
    return OUTCOME_NEXT;
}

/* --- the world */

/* The id tells one run of a VM from the next; that of a VM that started after its daemon did may be
 * one that was used before, and then the start of its process tells. */
static bool is_same_life(struct execution *run, const struct domain *domain) {
    struct life_start *start = &run->vm_start;
    unsigned long long process = life_process(run->executor->sysroot, domain->name);
    /* A VM that is gone may have left its UUID as the name of another one. */
    if (strcmp(domain_key(domain), execution_vm(run)) != 0)
        return false;
    if (domain->id < 0 || (start->id >= 0 && start->id != domain->id) ||
        (process && (start->process ? process != start->process : process > start->seen)))
        return false;
    start->id = domain->id;
    start->process = process ? process : start->process;
    return true;
}

const char *execution_vm(const struct execution *run) {
    return domain_key(run->executor->event->domain);
}

bool execution_ask_again(const struct execution *run, const struct virt_error *error,
                         int64_t since) {
    int64_t limit = error->failure == VIRT_PASSES        ? PASSING_LIMIT_MS
                    : error->failure == VIRT_UNREACHABLE ? CONNECT_LIMIT_MS
                                                         : 0;
    if (execution_now(run) + FIRST_WAIT_MS > since + limit)
        return false;
    execution_sleep_until(run, execution_now(run) + FIRST_WAIT_MS);
    return true;
}

/* A daemon that starts anew calls its hooks before it answers; without a library, or with one that
 * is too old (no code of libvirt's own), asking again is no use. */
bool execution_open_virt(struct execution *run) {
    struct virt_error error = {0};
    int64_t since = execution_now(run);
    while (run->executor->open_virt(&run->virt, NULL, &error) < 0)
        if (error.failure == VIRT_SILENT
                ? !execution_bears_silence(run)
                : !error.code || !execution_ask_again(run, &error, since)) {
            execution_log_event(run, RESULT_FAILED, error.message, error.hint);
            return false;
        }
    return true;
}

bool execution_bears_silence(struct execution *run) {
    unsigned limit = run->executor->event->settled ? 1 : SILENCE_LIMIT;
    return ++run->silences < limit;
}

/* The world cannot be seen. When all is done, and only the guest's boot is waited for, that is no
 * failure. */
static void give_up(struct execution *run, const char *message, const char *hint) {
    if (!run->looking)
        execution_log_event(run, RESULT_FAILED, message, hint);
}

void execution_fail_question(struct execution *run, const struct virt_error *error) {
    run->retry = error->failure == VIRT_SILENT && execution_bears_silence(run);
    if (run->retry)
        return;
    give_up(run, error->message, error->hint);
    run->blind = error->failure != VIRT_NO_DOMAIN;
}

void execution_begin_call(struct execution *run, const char *verb,
                          const struct host_device *device) {
    const char *label = domain_label(run->executor->event->domain);
    pending_begin(run->executor->state, execution_vm(run), verb, device ? device->address : "", 0);
    char *subject =
        memory_printf("%s%sVM '%s'", device ? device->address : "", device ? ", " : "", label);
    virt_set_subject(run->virt, subject);
    free(subject);
}

void execution_end_call(struct execution *run, const struct host_device *device,
                        const struct virt_error *error) {
    bool is_known = !error || (error->failure != VIRT_SILENT && error->failure != VIRT_UNREACHABLE);
    virt_set_subject(run->virt, NULL);
    run->silent |= error && error->failure == VIRT_SILENT;
    if (is_known)
        pending_end(run->executor->state, execution_vm(run), device ? device->address : "-");
}

/* The VM's live XML, for the caller to free. Returns NULL after writing why it cannot be had. */
static char *read_domain(struct execution *run) {
    struct virt_error error;
    char *xml = NULL;
    int64_t since = execution_now(run);
    while (run->virt->ops->domain_xml(run->virt, execution_vm(run), &xml, &error) < 0)
        if (!execution_ask_again(run, &error, since)) {
            run->late |= error.failure == VIRT_NO_DOMAIN;
            execution_fail_question(run, &error);
            return NULL;
        }
    return xml;
}

bool execution_load_domain(struct execution *run, struct domain *domain) {
    char message[512], *xml = read_domain(run);
    if (!xml)
        return false;
    int status = domain_parse(domain, xml, strlen(xml), message, sizeof message);
    free(xml);
    if (status < 0) {
        give_up(run, message, "it is what libvirt says of the VM: see virsh dumpxml");
        run->blind = true;
        return false;
    }
    if (is_same_life(run, domain))
        return true;
    run->late = true;
    give_up(run, domain->id < 0 ? "the VM has stopped" : "the VM was started again since",
            "nothing more is done for this event");
    domain_finish(domain);
    return false;
}

bool execution_load_host(struct execution *run) {
    char error[512];
    if (host_init(&run->host, run->executor->sysroot, error, sizeof error) == 0)
        return true;
    run->host = (struct host){0};
    give_up(run, error, "is sysfs mounted on /sys?");
    run->blind = true;
    return false;
}

bool execution_load_others(struct execution *run) {
    struct virt_error error;
    int64_t since = execution_now(run);
    while (others_load(&run->others, run->virt, run->domain.uuid, &error) < 0)
        if (!execution_ask_again(run, &error, since)) {
            execution_fail_question(run, &error);
            return false;
        }
    return true;
}

bool execution_load_vms(struct execution *run, struct event *event) {
    struct virt_error error;
    int64_t since = execution_now(run);
    if (!run->vms_listed && !match_unsure(run->executor->program, event))
        return true;
    while (!run->vms_listed && vms_from_libvirt(&run->vms, run->virt, &error) < 0)
        if (!execution_ask_again(run, &error, since)) {
            execution_fail_question(run, &error);
            return false;
        }
    run->vms_listed = true;
    event->vms = run->vms.list;
    event->vm_count = run->vms.count;
    return true;
}

enum holding execution_holds(struct execution *run, const struct host_device *device) {
    struct domain domain;
    if (!execution_load_domain(run, &domain))
        return UNKNOWN;
    enum holding has = domain_holds(&domain, device) ? HOLDS : HOLDS_NOT;
    domain_finish(&domain);
    return has;
}

void execution_finish_run(struct execution *run) {
    vms_finish(&run->vms);
    tdestroy(run->tasks, finish_task);
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
