#include "engine/execute.h"

#include "engine/lock.h"
#include "engine/others.h"
#include "engine/plan.h"
#include "engine/spawn.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    PASSING_LIMIT_MS = 60000, /* how long errors that pass are tried again without 'within' */
    CONNECT_LIMIT_MS = 10000, /* how long a libvirt that does not answer, a daemon's restart */
    FIRST_WAIT_MS = 250,
    LONGEST_WAIT_MS = 5000,
};

/* How to go on after an entry, a walk or a pass. */
enum outcome {
    OUTCOME_NEXT,  /* with what comes next */
    OUTCOME_AGAIN, /* the world is not as planned: plan anew */
    OUTCOME_OVER,  /* not at all */
};

/* One wish of the rules, the same over all plans of a run: what has come of it so far. */
struct task {
    const struct action *action;
    const struct target *target;
    char *address;                /* "" when no device was found */
    bool done;                    /* its result is in the journal */
    bool lost;                    /* libvirt may have got the call: its answer never came */
    int64_t wait, next, deadline; /* of trying again; 0: not tried yet */
};

struct execution {
    const struct executor *executor;
    struct virt *virt;
    int64_t start;
    void *tasks; /* tree of struct task */
    struct claim *claims;
    size_t claim_count;
    struct domain domain; /* as libvirt has it now */
    struct others others;
    struct host host;
    struct plan plan;
    int64_t wake; /* when to look again at what waits; INT64_MAX: nothing waits */
    bool blind;   /* the world cannot be read: only programs can be run */
    bool wants_reset, wants_reboot, restarted;
    bool restart_waits; /* a device that the guest is to find at its boot is still to come */
    bool problem;
};

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

static int64_t now(const struct execution *run) {
    return run->executor->clock->now_ms(run->executor->clock);
}

static int64_t at_most(int64_t value, int64_t limit) {
    return value < limit ? value : limit;
}

static void sleep_until(const struct execution *run, int64_t time) {
    int64_t left = time - now(run);
    if (left > 0)
        run->executor->clock->sleep_ms(run->executor->clock, left);
}

/* --- results */

static const char *event_name_of(const struct execution *run) {
    return event_text(run->executor->event->name);
}

static void log_event(struct execution *run, enum result result, const char *message,
                      const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    struct journal_entry entry = {.vm = domain_label(run->executor->event->domain),
                                  .event = event_name_of(run),
                                  .result = result,
                                  .message = text};
    journal_write(run->executor->journal, &entry);
    free(text);
    run->problem |= result == RESULT_FAILED || result == RESULT_REFUSED;
}

static void log_entry(struct execution *run, const struct plan_entry *planned, enum result result,
                      const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint && *hint ? "; " : "", hint ? hint : "");
    char *device = plan_device_text(planned), *rule = plan_rule_text(planned);
    struct journal_entry entry = {.vm = domain_label(run->executor->event->domain),
                                  .event = event_name_of(run),
                                  .action = verb_text(planned->action->verb),
                                  .device = device,
                                  .rule = rule,
                                  .result = result,
                                  .message = text};
    journal_write(run->executor->journal, &entry);
    free(text);
    free(device);
    free(rule);
    bool optional = planned->kind == PLAN_SKIPPED;
    run->problem |= !optional && (result == RESULT_FAILED || result == RESULT_REFUSED ||
                                  result == RESULT_ABSENT);
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

static struct task *task_of(struct execution *run, const struct plan_entry *entry) {
    struct task *task = memory_zalloc(sizeof *task);
    *task = (struct task){.action = entry->action,
                          .target = entry->target,
                          .address = memory_strdup(entry->device ? entry->device->address : "")};
    struct task **found = tsearch(task, &run->tasks, compare_tasks);
    if (!found)
        abort();
    if (*found != task) {
        free(task->address);
        free(task);
    }
    return *found;
}

static void finish_task(void *item) {
    struct task *task = item;
    free(task->address);
    free(task);
}

static void wait_for(struct execution *run, int64_t time) {
    run->wake = at_most(time, run->wake);
}

/* Plans the next try of what failed in a way that passes. Returns false when its time is over. */
static bool try_later(struct execution *run, struct task *task) {
    uint32_t within = plan_option_ms(task->action, OPTION_WITHIN);
    if (!task->deadline)
        task->deadline = now(run) + (within ? within : PASSING_LIMIT_MS);
    task->wait = task->wait ? at_most(task->wait * 2, LONGEST_WAIT_MS) : FIRST_WAIT_MS;
    task->next = now(run) + task->wait;
    if (task->next > task->deadline)
        return false;
    wait_for(run, task->next);
    return true;
}

/* --- the world */

/* The id tells one run of a VM from the next. */
static bool is_same_life(const struct execution *run, const struct domain *domain) {
    int told = run->executor->event->domain->id;
    return domain->id >= 0 && (told < 0 || told == domain->id);
}

static const char *vm_key(const struct execution *run) {
    const struct domain *domain = run->executor->event->domain;
    return domain->uuid ? domain->uuid : domain->name;
}

/* Whether a question may be asked once more, and waits until then. */
static bool ask_again(const struct execution *run, const struct virt_error *error, int64_t since) {
    int64_t limit = error->failure == VIRT_PASSES        ? PASSING_LIMIT_MS
                    : error->failure == VIRT_UNREACHABLE ? CONNECT_LIMIT_MS
                                                         : 0;
    if (now(run) + FIRST_WAIT_MS > since + limit)
        return false;
    sleep_until(run, now(run) + FIRST_WAIT_MS);
    return true;
}

/* The VM's live XML, for the caller to free. Returns NULL after writing why it cannot be had. */
static char *read_domain(struct execution *run) {
    struct virt_error error;
    char *xml = NULL;
    int64_t since = now(run);
    while (run->virt->ops->domain_xml(run->virt, vm_key(run), &xml, &error) < 0)
        if (!ask_again(run, &error, since)) {
            log_event(run, RESULT_FAILED, error.message, error.hint);
            run->blind = error.failure != VIRT_NO_DOMAIN;
            return NULL;
        }
    return xml;
}

/* Returns false after writing why the VM cannot be seen, or is not the one of the event any more.
 */
static bool load_domain(struct execution *run, struct domain *domain) {
    char message[512], *xml = read_domain(run);
    if (!xml)
        return false;
    int status = domain_parse(domain, xml, strlen(xml), message, sizeof message);
    free(xml);
    if (status < 0) {
        log_event(run, RESULT_FAILED, message,
                  "it is what libvirt says of the VM: see virsh dumpxml");
        run->blind = true;
        return false;
    }
    if (is_same_life(run, domain))
        return true;
    log_event(run, RESULT_FAILED,
              domain->id < 0 ? "the VM has stopped" : "the VM was started again since",
              "nothing more is done for this event");
    domain_finish(domain);
    return false;
}

static bool load_host(struct execution *run) {
    char error[512];
    if (host_init(&run->host, run->executor->sysroot, error, sizeof error) == 0)
        return true;
    run->host = (struct host){0};
    log_event(run, RESULT_FAILED, error, "is sysfs mounted on /sys?");
    run->blind = true;
    return false;
}

static bool load_others(struct execution *run) {
    struct virt_error error;
    int64_t since = now(run);
    while (others_load(&run->others, run->virt, run->domain.uuid, &error) < 0)
        if (!ask_again(run, &error, since)) {
            log_event(run, RESULT_FAILED, error.message, error.hint);
            run->blind = true;
            return false;
        }
    return true;
}

/* --- steps */

enum holding { HOLDS_NOT, HOLDS, UNKNOWN };

/* Whether the VM has the device now; UNKNOWN after writing why that cannot be said. */
static enum holding holds(struct execution *run, const struct host_device *device) {
    struct domain domain;
    if (!load_domain(run, &domain))
        return UNKNOWN;
    enum holding has = domain_holds(&domain, device) ? HOLDS : HOLDS_NOT;
    domain_finish(&domain);
    return has;
}

static enum outcome finish(struct execution *run, const struct plan_entry *entry, struct task *task,
                           enum result result, const char *message, const char *hint) {
    log_entry(run, entry, result, message, hint);
    task->done = true;
    return OUTCOME_NEXT;
}

static const char *uuid_of(const struct execution *run) {
    return run->domain.uuid ? run->domain.uuid : run->domain.name;
}

static void note_restart(struct execution *run, const struct action *action) {
    if (run->executor->event->name != EVENT_STARTED)
        return;
    run->wants_reset |= plan_has_option(action, OPTION_THEN_RESET);
    run->wants_reboot |= plan_has_option(action, OPTION_THEN_REBOOT);
}

static enum outcome finish_attached(struct execution *run, const struct plan_entry *entry,
                                    struct task *task) {
    const char *driver = entry->device->driver ? entry->device->driver : "none";
    char *message = task->lost
                        ? memory_printf("%s (libvirt's answer was lost, and the VM has it)",
                                        entry->device->name)
                        : memory_printf("%s (host driver was %s)", entry->device->name, driver);
    finish(run, entry, task, RESULT_ATTACHED, message, NULL);
    free(message);
    note_restart(run, entry->action);
    return OUTCOME_NEXT;
}

static void claim_device(struct execution *run, const struct host_device *device,
                         const char *message) {
    run->claims = memory_grow(run->claims, run->claim_count, sizeof *run->claims);
    run->claims[run->claim_count++] =
        (struct claim){device->bus, memory_strdup(device->address), memory_strdup(message)};
}

/* This VM has it, or another was faster: then the next plan refuses it, and `any` goes past it. */
static enum outcome held_attach(struct execution *run, const struct plan_entry *entry,
                                struct task *task, const struct virt_error *error) {
    switch (holds(run, entry->device)) {
    case HOLDS:
        return task->lost ? finish_attached(run, entry, task)
                          : finish(run, entry, task, RESULT_ALREADY, "the VM has it already", NULL);
    case HOLDS_NOT:
        claim_device(run, entry->device, error->message);
        return OUTCOME_AGAIN;
    case UNKNOWN:
        break;
    }
    finish(run, entry, task, RESULT_FAILED, error->message, error->hint);
    return OUTCOME_OVER;
}

/* A call failed in a way that may pass. It is tried again in a plan made anew, because by then
 * the device may be another VM's, the host's, or gone, and the VM may have stopped. */
static enum outcome failed_passing(struct execution *run, const struct plan_entry *entry,
                                   struct task *task, const struct virt_error *error) {
    task->lost |= error->failure == VIRT_UNREACHABLE;
    if (!try_later(run, task)) {
        char *message = memory_printf("%s (tried until the time for it was over)", error->message);
        finish(run, entry, task, RESULT_FAILED, message, error->hint);
        free(message);
    }
    return error->failure == VIRT_PASSES ? OUTCOME_NEXT : OUTCOME_AGAIN;
}

static enum outcome failed_call(struct execution *run, const struct plan_entry *entry,
                                struct task *task, const struct virt_error *error) {
    if (error->failure == VIRT_PASSES || error->failure == VIRT_NOT_RUNNING ||
        error->failure == VIRT_UNREACHABLE)
        return failed_passing(run, entry, task, error);
    finish(run, entry, task, RESULT_FAILED, error->message, error->hint);
    return error->failure == VIRT_NO_DOMAIN ? OUTCOME_AGAIN : OUTCOME_NEXT;
}

/* libvirt's word that it worked is looked at: a guest may have given the device back. */
static enum outcome do_attach(struct execution *run, const struct plan_entry *entry,
                              struct task *task) {
    struct virt_error error;
    if (run->virt->ops->attach(run->virt, uuid_of(run), entry->xml, &error) < 0)
        return error.failure == VIRT_HELD ? held_attach(run, entry, task, &error)
                                          : failed_call(run, entry, task, &error);
    switch (holds(run, entry->device)) {
    case HOLDS:
        task->lost = false;
        return finish_attached(run, entry, task);
    case HOLDS_NOT:
        return finish(run, entry, task, RESULT_FAILED,
                      "libvirt took the device and the VM does not have it",
                      "the guest may have given it back: see its kernel's log and the VM's log in "
                      "/var/log/libvirt/qemu/");
    case UNKNOWN:
        break;
    }
    finish(run, entry, task, RESULT_FAILED,
           "libvirt took the device, and then the VM could not be seen any more",
           "see 'virsh dumpxml' for what it has");
    return OUTCOME_OVER;
}

static enum outcome do_detach(struct execution *run, const struct plan_entry *entry,
                              struct task *task) {
    struct virt_error error;
    enum holding has;
    int64_t deadline = now(run) + PASSING_LIMIT_MS;
    if (run->virt->ops->detach(run->virt, uuid_of(run), entry->xml, &error) < 0)
        return failed_call(run, entry, task, &error);
    while ((has = holds(run, entry->device)) == HOLDS && now(run) < deadline)
        sleep_until(run, now(run) + FIRST_WAIT_MS);
    if (has == HOLDS_NOT)
        return finish(run, entry, task, RESULT_DETACHED, "the guest let it go", NULL);
    if (has == HOLDS)
        return finish(run, entry, task, RESULT_FAILED, "the guest does not let it go",
                      "stop its use in the guest, or shut the VM down");
    finish(run, entry, task, RESULT_FAILED,
           "the guest was asked to let it go, and then the VM could not be seen any more",
           "see 'virsh dumpxml' for what it has");
    return OUTCOME_OVER;
}

/* --- programs */

static char *variable(const char *name, const char *value) {
    return memory_printf("VIRT_RULES_%s=%s", name, value ? value : "");
}

/* The words of a command, ended by NULL; the caller frees the list. */
static const char **command_arguments(const struct word *command) {
    const char **arguments = NULL;
    size_t count = 0;
    for (const struct word *word = command; word; word = word->next) {
        arguments = memory_grow((void *)arguments, count, sizeof *arguments);
        arguments[count++] = word->text;
    }
    arguments = memory_grow((void *)arguments, count, sizeof *arguments);
    arguments[count] = NULL;
    return arguments;
}

static int spawn_for(const struct execution *run, const char *const *arguments, char **output,
                     char error[512]) {
    const struct domain *domain = run->executor->event->domain;
    int limit = run->executor->program_limit_ms ? run->executor->program_limit_ms : SPAWN_LIMIT_MS;
    char *own[] = {variable("VM", domain->name), variable("TITLE", domain->title),
                   variable("UUID", domain->uuid), variable("EVENT", event_name_of(run))};
    const char *environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        own[0],
        own[1],
        own[2],
        own[3],
        NULL};
    int status = spawn(arguments, environment, limit, output, error, 512);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        free(own[i]);
    return status;
}

static enum outcome do_run(struct execution *run, const struct plan_entry *entry,
                           struct task *task) {
    const char **arguments = command_arguments(entry->action->command);
    char *output = NULL, error[512] = "ended with status 0";
    int status = spawn_for(run, arguments, &output, error);
    char *message = memory_printf("%s %s%s%s", arguments[0], error, *output ? ": " : "", output);
    finish(run, entry, task, status < 0 ? RESULT_FAILED : RESULT_RAN, message, NULL);
    free(message);
    free(output);
    free((void *)arguments);
    return OUTCOME_NEXT;
}

/* --- entries */

static enum outcome do_step(struct execution *run, const struct plan_entry *entry,
                            struct task *task) {
    switch (entry->action->verb) {
    case VERB_ATTACH:
        return do_attach(run, entry, task);
    case VERB_DETACH:
        return do_detach(run, entry, task);
    case VERB_RUN:
        return do_run(run, entry, task);
    }
    return OUTCOME_NEXT;
}

static enum result result_of(const struct plan_entry *entry) {
    if (entry->refusal == REFUSED_ABSENT)
        return RESULT_ABSENT;
    if (entry->kind == PLAN_SKIPPED)
        return entry->refusal ? RESULT_ABSENT : RESULT_ALREADY;
    return RESULT_REFUSED;
}

/* A device that is not there yet is looked for, more seldom the longer it stays away. */
static bool may_appear(struct execution *run, const struct plan_entry *entry, int64_t due) {
    int64_t given_up = due + plan_option_ms(entry->action, OPTION_WITHIN);
    int64_t wait = at_most((now(run) - due) / 8, LONGEST_WAIT_MS);
    if ((entry->refusal != REFUSED_ABSENT && entry->refusal != REFUSED_TOO_FEW) ||
        now(run) >= given_up)
        return false;
    wait_for(run, at_most(now(run) + (wait > FIRST_WAIT_MS ? wait : FIRST_WAIT_MS), given_up));
    return true;
}

static enum outcome do_entry(struct execution *run, const struct plan_entry *entry,
                             struct task *task) {
    int64_t due = run->start + plan_option_ms(entry->action, OPTION_AFTER);
    if (task->done)
        return OUTCOME_NEXT;
    if (now(run) < due || now(run) < task->next) {
        wait_for(run, due > task->next ? due : task->next);
        return OUTCOME_NEXT;
    }
    if (entry->kind == PLAN_STEP)
        return do_step(run, entry, task);
    if (may_appear(run, entry, due))
        return OUTCOME_NEXT;
    if (entry->kind == PLAN_SKIPPED && task->lost)
        return finish_attached(run, entry, task);
    return finish(run, entry, task, result_of(entry), entry->message, entry->hint);
}

static bool is_boot_device(const struct action *action) {
    return plan_has_option(action, OPTION_THEN_RESET) ||
           plan_has_option(action, OPTION_THEN_REBOOT);
}

/* Does what has not been done yet and can be done now. */
static enum outcome walk_plan(struct execution *run, bool only_programs) {
    enum outcome outcome = OUTCOME_NEXT;
    run->wake = INT64_MAX;
    run->restart_waits = false;
    for (size_t i = 0; i < run->plan.count && outcome == OUTCOME_NEXT; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        if (only_programs && entry->action->verb != VERB_RUN)
            continue;
        struct task *task = task_of(run, entry);
        outcome = do_entry(run, entry, task);
        run->restart_waits |= !task->done && is_boot_device(entry->action);
    }
    return outcome;
}

/* Once an event, and only when what the guest is to find at its boot is all there: an unrelated
 * device that is waited for must not reset a guest that has long come up. */
static bool restart_guest(struct execution *run) {
    struct virt_error error;
    struct domain domain;
    if ((!run->wants_reset && !run->wants_reboot) || run->restarted || run->restart_waits)
        return true;
    if (!load_domain(run, &domain))
        return false;
    domain_finish(&domain);
    run->restarted = true;
    int status = run->wants_reset ? run->virt->ops->reset(run->virt, uuid_of(run), &error)
                                  : run->virt->ops->reboot(run->virt, uuid_of(run), &error);
    if (status < 0)
        log_event(run, RESULT_FAILED, error.message, error.hint);
    else
        log_event(run, RESULT_RAN,
                  run->wants_reset ? "the guest was reset, to find its device at its boot"
                                   : "the guest was asked to reboot, to find its device",
                  NULL);
    return true;
}

static enum outcome walk_devices(struct execution *run) {
    struct event live = {run->executor->event->name, &run->domain};
    struct plan_request request = {.program = run->executor->program,
                                   .event = &live,
                                   .host = &run->host,
                                   .others = run->others.list,
                                   .other_count = run->others.count,
                                   .claims = run->claims,
                                   .claim_count = run->claim_count};
    plan_init(&run->plan, &request);
    enum outcome outcome = walk_plan(run, false);
    if (outcome == OUTCOME_NEXT && (!restart_guest(run) || run->wake == INT64_MAX))
        return OUTCOME_OVER;
    return outcome;
}

static enum outcome one_pass(struct execution *run) {
    enum outcome outcome = OUTCOME_OVER;
    if (!load_domain(run, &run->domain))
        return OUTCOME_OVER;
    if (load_host(run) && load_others(run))
        outcome = walk_devices(run);
    plan_finish(&run->plan);
    host_finish(&run->host);
    others_finish(&run->others);
    domain_finish(&run->domain);
    run->host = (struct host){0};
    return outcome;
}

/* Programs need neither the host's devices nor libvirt. */
static void execute_programs(struct execution *run) {
    struct plan_request request = {
        .program = run->executor->program, .event = run->executor->event, .host = &run->host};
    plan_init(&run->plan, &request);
    walk_plan(run, true);
    plan_finish(&run->plan);
}

/* A daemon that starts anew calls its hooks before it answers; without a library, or with one that
 * is too old (no code of libvirt's own), asking again is no use. */
static bool open_virt(struct execution *run) {
    struct virt_error error = {0};
    int64_t since = now(run);
    while (run->executor->open_virt(&run->virt, NULL, &error) < 0)
        if (!error.code || !ask_again(run, &error, since)) {
            log_event(run, RESULT_FAILED, error.message, error.hint);
            return false;
        }
    return true;
}

static void execute_devices(struct execution *run) {
    char message[512];
    int lock = lock_vm(run->executor->state, vm_key(run), message, sizeof message);
    if (lock < 0)
        log_event(run, RESULT_FAILED, message, "going on without a lock");
    if (open_virt(run)) {
        enum outcome outcome;
        while ((outcome = one_pass(run)) != OUTCOME_OVER)
            sleep_until(run, outcome == OUTCOME_AGAIN ? now(run) + FIRST_WAIT_MS : run->wake);
        virt_close(run->virt);
    } else {
        run->blind = true;
    }
    lock_release(lock);
    if (run->blind)
        execute_programs(run);
}

static bool wants_devices(const struct wanted_list *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->list[i].action->verb != VERB_RUN)
            return true;
    return false;
}

static void finish_run(struct execution *run) {
    tdestroy(run->tasks, finish_task);
    for (size_t i = 0; i < run->claim_count; i++) {
        free(run->claims[i].address);
        free(run->claims[i].message);
    }
    free(run->claims);
}

bool execute_event(const struct executor *executor) {
    struct execution run = {.executor = executor, .wake = INT64_MAX};
    struct wanted_list wanted = match_event(executor->program, executor->event);
    run.start = now(&run);
    if (wanted.count && wants_devices(&wanted))
        execute_devices(&run);
    else if (wanted.count)
        execute_programs(&run);
    free(wanted.list);
    finish_run(&run);
    return !run.problem;
}
