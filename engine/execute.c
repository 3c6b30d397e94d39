#include "engine/execute.h"

#include "engine/lock.h"
#include "engine/others.h"
#include "engine/plan.h"
#include "engine/spawn.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    PASSING_LIMIT_MS = 60000, /* how long errors that pass are tried again without 'within' */
    FIRST_WAIT_MS = 250,
    LONGEST_WAIT_MS = 5000,
    HELD_LIMIT = 20, /* plans made anew because another VM was faster */
};

/* What came of trying to do one entry of a plan. */
enum outcome {
    OUTCOME_DONE,  /* written to the journal */
    OUTCOME_LATER, /* not yet: its time has not come, or the device is not there */
    OUTCOME_AGAIN, /* the world is not as planned: plan anew */
    OUTCOME_OVER,  /* the VM is gone: nothing more to do */
};

struct execution {
    const struct executor *executor;
    struct virt *virt;
    int64_t start;
    char **done; /* entries that have their result, as entry_key() */
    size_t done_count;
    struct domain domain; /* as libvirt has it now */
    struct others others;
    struct host host;
    struct plan plan;
    int64_t wake; /* when to look again at what waits; INT64_MAX: nothing waits */
    unsigned held;
    bool restart_reset, restart_reboot;
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

/* --- what has its result already, over all plans of this run */

static char *entry_key(const struct plan_entry *entry) {
    return memory_printf("%p %p %s", (const void *)entry->action, (const void *)entry->target,
                         entry->device ? entry->device->address : "");
}

static bool is_done(const struct execution *run, const char *key) {
    for (size_t i = 0; i < run->done_count; i++)
        if (!strcmp(run->done[i], key))
            return true;
    return false;
}

static void set_done(struct execution *run, char *key) {
    run->done = memory_grow((void *)run->done, run->done_count, sizeof *run->done);
    run->done[run->done_count++] = key;
}

/* --- the world */

static void finish_world(struct execution *run) {
    plan_finish(&run->plan);
    host_finish(&run->host);
    others_finish(&run->others);
    domain_finish(&run->domain);
}

/* The id tells one run of a VM from the next. */
static bool is_same_life(const struct execution *run, const struct domain *domain) {
    int told = run->executor->event->domain->id;
    return domain->id >= 0 && (told < 0 || told == domain->id);
}

static const char *vm_key(const struct execution *run) {
    const struct domain *domain = run->executor->event->domain;
    return domain->uuid ? domain->uuid : domain->name;
}

/* The VM's live XML. Returns false after writing why it cannot be had. */
static bool load_domain(struct execution *run, struct domain *domain) {
    struct virt_error error;
    char *xml = NULL, message[512];
    int64_t deadline = now(run) + PASSING_LIMIT_MS;
    int status;
    while ((status = run->virt->ops->domain_xml(run->virt, vm_key(run), &xml, &error)) < 0 &&
           error.failure == VIRT_PASSES && now(run) < deadline)
        sleep_until(run, now(run) + FIRST_WAIT_MS);
    if (status < 0) {
        log_event(run, RESULT_FAILED, error.message, error.hint);
        return false;
    }
    status = domain_parse(domain, xml, strlen(xml), message, sizeof message);
    free(xml);
    if (status < 0) {
        log_event(run, RESULT_FAILED, message, NULL);
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
    log_event(run, RESULT_FAILED, error, NULL);
    return false;
}

static bool load_others(struct execution *run) {
    struct virt_error error;
    if (others_load(&run->others, run->virt, run->domain.uuid, &error) == 0)
        return true;
    log_event(run, RESULT_FAILED, error.message, error.hint);
    return false;
}

/* --- steps */

static bool holds(struct execution *run, const struct host_device *device, bool *over) {
    struct domain domain;
    *over = !load_domain(run, &domain);
    if (*over)
        return false;
    bool has = domain_holds(&domain, device) != NULL;
    domain_finish(&domain);
    return has;
}

static const char *uuid_of(const struct execution *run) {
    return run->domain.uuid ? run->domain.uuid : run->domain.name;
}

typedef int virt_call(struct virt *virt, const char *uuid, const char *xml,
                      struct virt_error *error);

/* Calls until it works, the error does not pass, or the deadline. */
static int try_again(struct execution *run, virt_call *call, const char *xml, int64_t deadline,
                     struct virt_error *error) {
    for (int64_t wait = FIRST_WAIT_MS;;
         wait = wait * 2 < LONGEST_WAIT_MS ? wait * 2 : LONGEST_WAIT_MS) {
        if (call(run->virt, uuid_of(run), xml, error) == 0)
            return 0;
        if (error->failure != VIRT_PASSES || now(run) + wait > deadline)
            return -1;
        sleep_until(run, now(run) + wait);
    }
}

static int64_t deadline_of(const struct execution *run, const struct plan_entry *entry) {
    uint32_t within = plan_option_ms(entry->action, OPTION_WITHIN);
    return now(run) + (within ? within : PASSING_LIMIT_MS);
}

static enum outcome failed_attach(struct execution *run, const struct plan_entry *entry,
                                  const struct virt_error *error) {
    bool over = false;
    if (error->failure == VIRT_HELD && holds(run, entry->device, &over)) {
        log_entry(run, entry, RESULT_ALREADY, "the VM has it already", NULL);
        return OUTCOME_DONE;
    }
    if (over)
        return OUTCOME_OVER;
    if (error->failure == VIRT_HELD && run->held++ < HELD_LIMIT)
        return OUTCOME_AGAIN;
    log_entry(run, entry, error->failure == VIRT_HELD ? RESULT_REFUSED : RESULT_FAILED,
              error->message, error->hint);
    bool gone = error->failure == VIRT_NOT_RUNNING || error->failure == VIRT_NO_DOMAIN ||
                error->failure == VIRT_UNREACHABLE;
    return gone ? OUTCOME_OVER : OUTCOME_DONE;
}

static void note_restart(struct execution *run, const struct action *action) {
    if (run->executor->event->name != EVENT_STARTED)
        return;
    run->restart_reset |= plan_has_option(action, OPTION_THEN_RESET);
    run->restart_reboot |= plan_has_option(action, OPTION_THEN_REBOOT);
}

static enum outcome do_attach(struct execution *run, const struct plan_entry *entry) {
    struct virt_error error;
    bool over = false;
    if (try_again(run, run->virt->ops->attach, entry->xml, deadline_of(run, entry), &error) < 0)
        return failed_attach(run, entry, &error);
    if (!holds(run, entry->device, &over)) {
        if (!over)
            log_entry(run, entry, RESULT_FAILED,
                      "libvirt took the device and the VM does not have it",
                      "the guest may have given it back: see the VM's log");
        return over ? OUTCOME_OVER : OUTCOME_DONE;
    }
    char *message = memory_printf("%s (host driver was %s)", entry->device->name,
                                  entry->device->driver ? entry->device->driver : "none");
    log_entry(run, entry, RESULT_ATTACHED, message, NULL);
    free(message);
    note_restart(run, entry->action);
    return OUTCOME_DONE;
}

static enum outcome do_detach(struct execution *run, const struct plan_entry *entry) {
    struct virt_error error;
    bool over = false;
    if (try_again(run, run->virt->ops->detach, entry->xml, deadline_of(run, entry), &error) < 0) {
        log_entry(run, entry, RESULT_FAILED, error.message, error.hint);
        return OUTCOME_DONE;
    }
    int64_t deadline = deadline_of(run, entry);
    while (holds(run, entry->device, &over) && now(run) < deadline)
        sleep_until(run, now(run) + FIRST_WAIT_MS);
    if (over)
        return OUTCOME_OVER;
    if (now(run) < deadline)
        log_entry(run, entry, RESULT_DETACHED, "the guest let it go", NULL);
    else
        log_entry(run, entry, RESULT_FAILED, "the guest does not let it go",
                  "stop its use in the guest, or shut the VM down");
    return OUTCOME_DONE;
}

static char *variable(const char *name, const char *value) {
    return memory_printf("VIRT_RULES_%s=%s", name, value ? value : "");
}

static enum outcome do_run(struct execution *run, const struct plan_entry *entry) {
    const struct domain *domain = run->executor->event->domain;
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *own[] = {variable("VM", domain->name), variable("TITLE", domain->title),
                   variable("UUID", domain->uuid), variable("EVENT", event_name_of(run))};
    const char *environment[] = {path, own[0], own[1], own[2], own[3], NULL};
    const char **arguments = NULL;
    size_t count = 0;
    for (const struct word *word = entry->action->command; word; word = word->next) {
        arguments = memory_grow((void *)arguments, count, sizeof *arguments);
        arguments[count++] = word->text;
    }
    arguments = memory_grow((void *)arguments, count, sizeof *arguments);
    arguments[count] = NULL;
    char *output = NULL, error[512] = "ended with status 0";
    int status = spawn(arguments, environment, SPAWN_LIMIT_MS, &output, error, sizeof error);
    char *message = memory_printf("%s %s%s%s", arguments[0], error, *output ? ": " : "", output);
    log_entry(run, entry, status < 0 ? RESULT_FAILED : RESULT_RAN, message, NULL);
    free(message);
    free(output);
    free((void *)arguments);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        free(own[i]);
    return OUTCOME_DONE;
}

static enum outcome do_step(struct execution *run, const struct plan_entry *entry) {
    switch (entry->action->verb) {
    case VERB_ATTACH:
        return do_attach(run, entry);
    case VERB_DETACH:
        return do_detach(run, entry);
    case VERB_RUN:
        return do_run(run, entry);
    }
    return OUTCOME_DONE;
}

/* --- entries */

static void wait_for(struct execution *run, int64_t time) {
    if (time < run->wake)
        run->wake = time;
}

static enum result result_of(const struct plan_entry *entry) {
    if (entry->refusal == REFUSED_ABSENT)
        return RESULT_ABSENT;
    return entry->kind == PLAN_SKIPPED ? RESULT_ALREADY : RESULT_REFUSED;
}

static enum outcome do_entry(struct execution *run, const struct plan_entry *entry) {
    int64_t due = run->start + plan_option_ms(entry->action, OPTION_AFTER);
    int64_t given_up = due + plan_option_ms(entry->action, OPTION_WITHIN);
    if (now(run) < due) {
        wait_for(run, due);
        return OUTCOME_LATER;
    }
    if (entry->kind == PLAN_STEP)
        return do_step(run, entry);
    if (entry->refusal == REFUSED_ABSENT && now(run) < given_up) {
        int64_t next = now(run) + FIRST_WAIT_MS;
        wait_for(run, next < given_up ? next : given_up);
        return OUTCOME_LATER;
    }
    log_entry(run, entry, result_of(entry), entry->message, entry->hint);
    return OUTCOME_DONE;
}

/* Does what has not been done yet. Returns what is left to do for this event. */
static enum outcome walk_plan(struct execution *run) {
    run->wake = INT64_MAX;
    for (size_t i = 0; i < run->plan.count; i++) {
        char *key = entry_key(&run->plan.entries[i]);
        enum outcome outcome =
            is_done(run, key) ? OUTCOME_LATER : do_entry(run, &run->plan.entries[i]);
        if (outcome == OUTCOME_DONE)
            set_done(run, key);
        else
            free(key);
        if (outcome == OUTCOME_OVER || outcome == OUTCOME_AGAIN)
            return outcome;
    }
    return run->wake == INT64_MAX ? OUTCOME_OVER : OUTCOME_LATER;
}

static enum outcome one_pass(struct execution *run) {
    enum outcome outcome = OUTCOME_OVER;
    if (!load_domain(run, &run->domain))
        return OUTCOME_OVER;
    struct event live = {run->executor->event->name, &run->domain};
    if (load_host(run) && load_others(run)) {
        struct plan_request request = {run->executor->program, &live, &run->host, run->others.list,
                                       run->others.count};
        plan_init(&run->plan, &request);
        outcome = walk_plan(run);
    }
    finish_world(run);
    run->host = (struct host){0};
    run->domain = (struct domain){0};
    return outcome;
}

static void restart_guest(struct execution *run) {
    struct virt_error error;
    if (!run->restart_reset && !run->restart_reboot)
        return;
    int status = run->restart_reset ? run->virt->ops->reset(run->virt, vm_key(run), &error)
                                    : run->virt->ops->reboot(run->virt, vm_key(run), &error);
    if (status < 0)
        log_event(run, RESULT_FAILED, error.message, error.hint);
    else
        log_event(run, RESULT_RAN,
                  run->restart_reset ? "the guest was reset, to find its device at its boot"
                                     : "the guest was asked to reboot, to find its device",
                  NULL);
}

static void execute_devices(struct execution *run) {
    struct virt_error error;
    char message[512];
    int lock = lock_vm(run->executor->state, vm_key(run), message, sizeof message);
    if (lock < 0)
        log_event(run, RESULT_FAILED, message, "going on without a lock");
    if (run->executor->open_virt(&run->virt, NULL, &error) < 0) {
        log_event(run, RESULT_FAILED, error.message, error.hint);
    } else {
        enum outcome outcome;
        while ((outcome = one_pass(run)) != OUTCOME_OVER)
            sleep_until(run, outcome == OUTCOME_AGAIN ? now(run) + FIRST_WAIT_MS : run->wake);
        restart_guest(run);
        virt_close(run->virt);
    }
    lock_release(lock);
}

/* Rules that only run programs need neither the host's devices nor libvirt. */
static void execute_programs(struct execution *run) {
    struct plan_request request = {run->executor->program, run->executor->event, &run->host, NULL,
                                   0};
    plan_init(&run->plan, &request);
    walk_plan(run);
    plan_finish(&run->plan);
}

static bool wants_devices(const struct wanted_list *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->list[i].action->verb != VERB_RUN)
            return true;
    return false;
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
    for (size_t i = 0; i < run.done_count; i++)
        free(run.done[i]);
    free((void *)run.done);
    return !run.problem;
}
