#include "engine/execute.h"

#include "engine/hostdev_xml.h"
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
    RELEASE_LIMIT_MS = 10000, /* how long libvirt may take to give a group back */
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
    bool went;                    /* this run attached it */
    bool failed;                  /* this run tried, and will not again */
    bool lost;                    /* libvirt may have got the call: its answer never came */
    int64_t wait, next, deadline; /* of trying again; 0: not tried yet */
};

/* A device that this run took from the host, or found without a driver, for its group to go. */
struct taken {
    char *address;
    char *driver; /* the host's; NULL: it had none */
    bool told;    /* the journal has it that it stays without */
};

struct execution {
    const struct executor *executor;
    struct virt *virt;
    int64_t start;
    void *tasks; /* tree of struct task */
    struct claim *claims;
    size_t claim_count;
    struct taken *taken;
    size_t taken_count;
    struct domain domain; /* as libvirt has it now */
    struct others others;
    struct host host;
    struct plan plan;
    int64_t wake; /* when to look again at what waits; INT64_MAX: nothing waits */
    bool blind;   /* the world cannot be read: only programs can be run */
    bool restarted;
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
                                  .action = verb_text(plan_verb(planned)),
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
    task->failed = result == RESULT_FAILED;
    return OUTCOME_NEXT;
}

static const struct binder *binder_of(const struct execution *run) {
    static const struct binder kernel = {host_release, host_give_back};
    return run->executor->binder ? run->executor->binder : &kernel;
}

static const char *uuid_of(const struct execution *run) {
    return run->domain.uuid ? run->domain.uuid : run->domain.name;
}

static enum outcome finish_attached(struct execution *run, const struct plan_entry *entry,
                                    struct task *task) {
    const char *driver = entry->device->driver ? entry->device->driver : "none";
    char *message = task->lost
                        ? memory_printf("%s (libvirt's answer was lost, and the VM has it)",
                                        entry->device->name)
                        : memory_printf("%s (host driver was %s)", entry->device->name, driver);
    finish(run, entry, task, RESULT_ATTACHED, message, NULL);
    task->went = true;
    free(message);
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

#define GUEST_KEEPS_IT                                                                             \
    "the guest does not let it go", "stop its use in the guest, or shut the VM down"

/* Asks the guest to let it go and waits for that. Returns -1 when it could not be asked. */
static int ask_to_let_go(struct execution *run, const struct host_device *device, const char *xml,
                         enum holding *has, struct virt_error *error) {
    int64_t deadline = now(run) + PASSING_LIMIT_MS;
    if (run->virt->ops->detach(run->virt, uuid_of(run), xml, error) < 0)
        return -1;
    while ((*has = holds(run, device)) == HOLDS && now(run) < deadline)
        sleep_until(run, now(run) + FIRST_WAIT_MS);
    return 0;
}

static enum outcome do_detach(struct execution *run, const struct plan_entry *entry,
                              struct task *task) {
    struct virt_error error;
    enum holding has;
    if (ask_to_let_go(run, entry->device, entry->xml, &has, &error) < 0)
        return failed_call(run, entry, task, &error);
    if (has == HOLDS_NOT)
        return finish(run, entry, task, RESULT_DETACHED, "the guest let it go", NULL);
    if (has == HOLDS)
        return finish(run, entry, task, RESULT_FAILED, GUEST_KEEPS_IT);
    finish(run, entry, task, RESULT_FAILED,
           "the guest was asked to let it go, and then the VM could not be seen any more",
           "see 'virsh dumpxml' for what it has");
    return OUTCOME_OVER;
}

/* --- groups: all or none */

#define NOT_ALL_WENT "another of its IOMMU group did not go"

/* Whether the entry's device goes together with that of `one`, or has gone. */
static bool is_of_unit(const struct plan_entry *one, const struct plan_entry *entry) {
    return entry->kind != PLAN_REFUSED && entry->action == one->action &&
           entry->target == one->target && entry->device &&
           entry->device->iommu_group == one->device->iommu_group;
}

static bool goes_as_unit(const struct plan_entry *entry) {
    return entry->action->with_group && entry->device->bus == BUS_PCI &&
           !plan_has_option(entry->action, OPTION_UNMANAGED);
}

static void note_taken(struct execution *run, const struct host_device *device) {
    for (size_t i = 0; i < run->taken_count; i++)
        if (!strcmp(run->taken[i].address, device->address))
            return;
    run->taken = memory_grow(run->taken, run->taken_count, sizeof *run->taken);
    run->taken[run->taken_count++] =
        (struct taken){.address = memory_strdup(device->address),
                       .driver = device->driver ? memory_strdup(device->driver) : NULL};
}

/* libvirt takes one device from its host driver, and can do so only when no other of the group is
 * on one. Those get none: what libvirt finds so, it gives back itself when the VM ends. */
static bool take_siblings(struct execution *run, const struct plan_entry *entry, char *error,
                          size_t error_size) {
    const struct binder *binder = binder_of(run);
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (other == entry || !is_of_unit(entry, other) || other->kind != PLAN_STEP)
            continue;
        if (!other->device->driver || host_blocks_group(other->device))
            note_taken(run, other->device);
        if (host_blocks_group(other->device) && !task_of(run, other)->went &&
            binder->release(&run->host, other->device, error, error_size) < 0)
            return false;
    }
    return true;
}

static bool has_driver(const struct execution *run, const struct host_device *device) {
    char driver[64];
    return !host_driver(&run->host, device, driver, sizeof driver) || *driver;
}

/* Whether some VM still has one of the device's group, as far as the host shows it. */
static bool is_group_in_use(const struct execution *run, const struct host_device *device) {
    char driver[64];
    for (size_t i = 0; i < run->host.count; i++) {
        const struct host_device *other = &run->host.devices[i];
        if (other->bus == BUS_PCI && other->iommu_group == device->iommu_group &&
            host_driver(&run->host, other, driver, sizeof driver) && strstr(driver, "vfio"))
            return true;
    }
    return false;
}

static void log_device(struct execution *run, const struct host_device *device, enum result result,
                       const char *message, const char *hint) {
    char *text = memory_printf("%s%s%s", message, hint ? "; " : "", hint ? hint : "");
    char *name =
        memory_printf("%s %04x:%04x", device->address, device->id.vendor, device->id.device);
    struct journal_entry entry = {.vm = domain_label(run->executor->event->domain),
                                  .event = event_name_of(run),
                                  .device = name,
                                  .result = result,
                                  .message = text};
    journal_write(run->executor->journal, &entry);
    free(text);
    free(name);
    run->problem |= result == RESULT_FAILED;
}

static void probe(struct execution *run, struct taken *taken, const struct host_device *device) {
    static const char hint[] = "when the VM has ended, write the address to "
                               "/sys/bus/pci/drivers_probe, or start a VM that takes the group";
    char error[512];
    if (is_group_in_use(run, device))
        snprintf(error, sizeof error, "it has no driver, and a VM has others of its IOMMU group");
    else if (binder_of(run)->give_back(&run->host, device, error, sizeof error) == 0) {
        if (has_driver(run, device)) {
            log_device(run, device, RESULT_DETACHED, "back on its host driver", NULL);
            return;
        }
        if (!taken->driver)
            return;
        snprintf(error, sizeof error, "its host driver %s did not take it back", taken->driver);
    }
    if (!taken->told)
        log_device(run, device, RESULT_FAILED, error, hint);
    taken->told = true;
}

/* libvirt may be about to give back others of the group, or this one. */
static void give_back(struct execution *run, struct taken *taken,
                      const struct host_device *device) {
    int64_t deadline = now(run) + RELEASE_LIMIT_MS;
    while (!has_driver(run, device) && is_group_in_use(run, device) && now(run) < deadline)
        sleep_until(run, now(run) + FIRST_WAIT_MS);
    if (!has_driver(run, device))
        probe(run, taken, device);
}

/* Whatever was taken and went to no VM; those of `group`, or all when it is -1. */
static void give_all_back(struct execution *run, int group) {
    for (size_t i = 0; i < run->taken_count; i++) {
        const struct host_device *device = host_find(&run->host, BUS_PCI, run->taken[i].address);
        if (device && (group < 0 || device->iommu_group == group))
            give_back(run, &run->taken[i], device);
    }
}

static void finish_taken(struct execution *run) {
    for (size_t i = 0; i < run->taken_count; i++) {
        free(run->taken[i].address);
        free(run->taken[i].driver);
    }
    free(run->taken);
}

/* Returns false when the VM cannot be seen any more. */
static bool take_out(struct execution *run, const struct plan_entry *entry) {
    struct virt_error error;
    enum holding has = HOLDS;
    int64_t since = now(run);
    char *xml = hostdev_xml(entry->device, NULL);
    while (ask_to_let_go(run, entry->device, xml, &has, &error) < 0)
        if (!ask_again(run, &error, since)) {
            log_entry(run, entry, RESULT_FAILED, error.message, error.hint);
            free(xml);
            return true;
        }
    free(xml);
    if (has == HOLDS)
        log_entry(run, entry, RESULT_FAILED, GUEST_KEEPS_IT);
    else if (has == HOLDS_NOT)
        log_entry(run, entry, RESULT_DETACHED, NOT_ALL_WENT, NULL);
    return has != UNKNOWN;
}

/* How many of the unit of `entry` the VM has, by this run or an earlier one. */
static size_t count_held(struct execution *run, const struct plan_entry *entry) {
    size_t count = 0;
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        if (is_of_unit(entry, other))
            count += other->kind == PLAN_SKIPPED || task_of(run, other)->went;
    }
    return count;
}

/* What this run attached of the unit of `entry` is taken out again, the last first. */
static bool take_unit_out(struct execution *run, const struct plan_entry *entry) {
    bool may_split = count_held(run, entry) < 2 || host_may_split_group(&run->host);
    for (size_t i = run->plan.count; i-- > 0;) {
        const struct plan_entry *other = &run->plan.entries[i];
        struct task *task = is_of_unit(entry, other) ? task_of(run, other) : NULL;
        if (!task || !task->went)
            continue;
        task->went = false;
        if (!may_split)
            log_entry(run, other, RESULT_FAILED, NOT_ALL_WENT ", and this one stays in the VM",
                      "Linux before 5.19 cannot take a group apart: shut the VM down");
        else if (!take_out(run, other))
            return false;
    }
    return true;
}

static void drop_rest(struct execution *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *other = &run->plan.entries[i];
        struct task *task = is_of_unit(entry, other) ? task_of(run, other) : NULL;
        if (task && !task->done && other->kind == PLAN_STEP)
            finish(run, other, task, RESULT_FAILED, NOT_ALL_WENT, NULL);
    }
}

/* One of the unit will not go. */
static enum outcome fail_unit(struct execution *run, const struct plan_entry *entry,
                              enum outcome outcome) {
    if (!take_unit_out(run, entry))
        return OUTCOME_OVER;
    give_all_back(run, entry->device->iommu_group);
    return outcome;
}

static enum outcome attach_member(struct execution *run, const struct plan_entry *entry,
                                  struct task *task) {
    char message[512];
    enum outcome outcome = OUTCOME_NEXT;
    size_t claims = run->claim_count;
    if (take_siblings(run, entry, message, sizeof message))
        outcome = do_attach(run, entry, task);
    else
        finish(run, entry, task, RESULT_FAILED, message, "see dmesg");
    if (run->claim_count > claims)
        return fail_unit(run, entry, outcome);
    if (outcome == OUTCOME_OVER || !task->failed)
        return outcome;
    drop_rest(run, entry);
    return fail_unit(run, entry, outcome);
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
    switch (plan_verb(entry)) {
    case VERB_ATTACH:
        return goes_as_unit(entry) ? attach_member(run, entry, task) : do_attach(run, entry, task);
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

/* Whether the VM got something new in this event that asks for such a restart. */
static bool went_with(struct execution *run, enum option_kind kind) {
    bool found = false;
    for (size_t i = 0; run->executor->event->name == EVENT_STARTED && i < run->plan.count; i++)
        found |= plan_has_option(run->plan.entries[i].action, kind) &&
                 task_of(run, &run->plan.entries[i])->went;
    return found;
}

/* Once an event, and only when what the guest is to find at its boot is all there: an unrelated
 * device that is waited for must not reset a guest that has long come up. */
static bool restart_guest(struct execution *run) {
    struct virt_error error;
    struct domain domain;
    bool reset = went_with(run, OPTION_THEN_RESET);
    if ((!reset && !went_with(run, OPTION_THEN_REBOOT)) || run->restarted || run->restart_waits)
        return true;
    if (!load_domain(run, &domain))
        return false;
    domain_finish(&domain);
    run->restarted = true;
    int status = reset ? run->virt->ops->reset(run->virt, uuid_of(run), &error)
                       : run->virt->ops->reboot(run->virt, uuid_of(run), &error);
    if (status < 0)
        log_event(run, RESULT_FAILED, error.message, error.hint);
    else
        log_event(run, RESULT_RAN,
                  reset ? "the guest was reset, to find its device at its boot"
                        : "the guest was asked to reboot, to find its device",
                  NULL);
    return true;
}

static enum outcome walk_devices(struct execution *run) {
    struct event live = *run->executor->event;
    live.domain = &run->domain;
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

/* However the run ended, the VM with what was taken for it, or without: then the host has it. */
static void leave_host(struct execution *run) {
    if (!run->taken_count || !load_host(run))
        return;
    give_all_back(run, -1);
    host_finish(&run->host);
    run->host = (struct host){0};
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
        leave_host(run);
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
    finish_taken(run);
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
