#include "engine/trigger/boot.h"

#include "engine/libvirt/domain_list.h"
#include "engine/plan/plan_print.h"
#include "engine/plan/plan_stale.h"
#include "engine/run/run.h"
#include "engine/state/boot_note.h"
#include "engine/state/lock.h"
#include "engine/system/deadline.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { BOOT_UDEV_MS = 30000 };

#define BOOT_LOCK "boot" /* no VM has such a UUID */

static const struct event boot_event = {.name = EVENT_BOOT};

/* --- definitions */

/* The definitions that have something by a rule; libvirt does not run yet. */
static void boot_list_definitions(struct domain_list *definitions, struct domain_list *all,
                                  const char *root) {
    *all = *definitions = (struct domain_list){0};
    domain_list_defined_in(all, root);
    for (size_t i = 0; i < all->count; i++)
        if (!all->list[i].unreadable && plan_stale_may_be(&all->list[i]))
            domain_list_append(definitions, &all->list[i]); /* borrowed */
}

static void boot_stale_init(struct plan_stale *stale, const struct boot_request *request,
                            const struct host *host, const struct domain_list *all,
                            const struct domain *domain) {
    const struct event event = {
        .name = EVENT_DEFINED, .domain = domain, .vms = all->list, .vm_count = all->count};
    plan_stale_init(stale, &(struct plan_request){.program = request->program,
                                                  .event = &event,
                                                  .host = host,
                                                  .partial = request->partial});
}

bool boot_has_rules(const struct program *program) {
    return match_names_event(program, EVENT_BOOT);
}

/* Whether there is anything to do: a rule, or a definition to look at. Without it a line says so.
 */
static bool boot_has_work(const struct boot_request *request) {
    struct domain_list definitions, all;
    if (boot_has_rules(request->program))
        return true;
    boot_list_definitions(&definitions, &all, request->host_source->root);
    bool has = definitions.count > 0;
    free(definitions.list);
    domain_list_finish(&all);
    if (!has && !request->json)
        fputs("nothing to do: there is no rule 'on host boot'\n", request->out);
    return has;
}

/* --- the plan */

/* VMs that run are known from libvirt's own files: at boot there are none. */
static void boot_plan(struct plan *plan, const struct program *program, const struct host *host,
                      struct domain_list *vms, const char *program_root, bool partial) {
    domain_list_running_in(vms, host->root, NULL);
    plan_init(plan, &(struct plan_request){.program = program,
                                           .event = &boot_event,
                                           .host = host,
                                           .others = vms->list,
                                           .other_count = vms->count,
                                           .partial = partial,
                                           .program_root = program_root});
}

/* {"plans": [...]} or {"results": [...]}; takes the list. */
static void boot_print_list(FILE *out, const char *key, struct json_object *list) {
    struct json_object *object = text_json_object();
    text_json_add(object, key, list);
    text_print_json(out, object);
}

/* The plans of the definitions with which a VM would start wrongly. Returns false when there is
 * one.
 */
static bool boot_show_definitions(const struct boot_request *request, const struct host *host,
                                  struct terminal terminal, struct json_object *list) {
    struct domain_list definitions, all;
    bool good = true;
    boot_list_definitions(&definitions, &all, host->root);
    for (size_t i = 0; i < definitions.count; i++) {
        struct plan_stale stale;
        boot_stale_init(&stale, request, host, &all, &definitions.list[i]);
        if (plan_stale_next(&stale, NULL)) {
            good = false;
            if (list)
                text_json_append(list, plan_print_json(&stale.plan));
            else
                plan_print(&stale.plan, request->out, false, terminal);
        }
        plan_finish(&stale.plan);
    }
    free(definitions.list);
    domain_list_finish(&all);
    return good;
}

int boot_show(const struct boot_request *request, struct terminal terminal,
              struct failure *failure) {
    struct domain_list vms = {0};
    struct host host;
    struct plan plan;
    if (!boot_has_work(request) && !request->json)
        return 1;
    if (request->host_source->load(request->host_source, &host, failure) < 0)
        return -1;
    boot_plan(&plan, request->program, &host, &vms, host.root, request->partial);
    bool good = plan_count(&plan, PLAN_REFUSED) == 0;
    if (request->json) {
        struct json_object *list = text_json_array();
        text_json_append(list, plan_print_json(&plan));
        good &= boot_show_definitions(request, &host, terminal, list);
        boot_print_list(request->out, "plans", list);
    } else {
        if (boot_has_rules(request->program))
            plan_print(&plan, request->out, false, terminal);
        good &= boot_show_definitions(request, &host, terminal, NULL);
    }
    plan_finish(&plan);
    domain_list_finish(&vms);
    host_finish(&host);
    return good;
}

/* --- doing it */

static void boot_unload(struct run *run) {
    plan_finish(&run->plan);
    domain_list_finish(&run->others);
    host_finish(&run->host);
}

static bool boot_load(struct run *run) {
    boot_unload(run);
    run->pass++;
    if (!run_load_host(run))
        return false;
    boot_plan(&run->plan, run->config->program, &run->host, &run->others, NULL, false);
    return true;
}

/* Its device, or the driver of that, may come later. */
static bool boot_may_come(const struct plan_entry *entry) {
    return entry->refusal == REFUSED_ABSENT ||
           (entry->refusal == REFUSED_DRIVER && entry->device && !entry->device->driver);
}

/* When to look again, at longer and longer intervals; 0: not any more. 'within' counts from the
 * beginning, so that several devices that are absent are waited for together. What udev loads while
 * the host boots is waited for in any case. */
static int64_t boot_wait(const struct run *run, const struct plan_entry *entry) {
    int64_t now = run_now(run), end = run->start + plan_option_ms(entry->action, OPTION_WITHIN);
    if (end < run->start + BOOT_UDEV_MS && boot_may_come(entry) &&
        run->config->host_source->has_events(run->config->host_source))
        end = run->start + BOOT_UDEV_MS;
    int64_t wait = (now - run->start) / 8;
    if (!boot_may_come(entry) || now >= end)
        return 0;
    wait = wait < RETRY_FIRST_MS     ? RETRY_FIRST_MS
           : wait > RETRY_LONGEST_MS ? RETRY_LONGEST_MS
                                     : wait;
    return now + wait < end ? now + wait : end;
}

static void boot_finish_entry(struct run *run, const struct plan_entry *entry, struct task *task) {
    enum result result = entry->refusal == REFUSED_ABSENT ? RESULT_ABSENT
                         : entry->kind == PLAN_SKIPPED    ? RESULT_ALREADY
                                                          : RESULT_REFUSED;
    run_finish_task(run, entry, task, result, entry->message, entry->hint);
}

/* Does what the plan has of the action. Returns when to look again, 0: it is done; `changed`: the
 * host is not as the plan says any more. */
static int64_t boot_do(struct run *run, const struct action *action, bool *changed) {
    int64_t wake = 0;
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        struct task *task = entry->action == action ? run_task(run, entry) : NULL;
        int64_t wait = task && task->state == TASK_PENDING ? boot_wait(run, entry) : 0;
        if (!task || task->state != TASK_PENDING)
            continue;
        if (wait) {
            wake = wait;
        } else if (entry->kind == PLAN_STEP) {
            action_find(action->verb)->execute(run, entry, task);
            *changed = true;
        } else {
            boot_finish_entry(run, entry, task);
        }
    }
    return wake;
}

static void boot_do_all(struct run *run, const struct action_list *actions) {
    bool is_loaded = false;
    for (size_t i = 0; i < actions->count; i++)
        for (int64_t wake = 1; wake;) {
            if (!is_loaded && !boot_load(run))
                return;
            bool changed = false;
            wake = boot_do(run, actions->list[i].action, &changed);
            is_loaded = !changed && !wake;
            if (wake)
                run->config->clock->sleep_ms(run->config->clock, wake - run_now(run));
        }
}

/* libvirt starts VMs from these definitions soon, and cannot be asked to change them yet. */
static bool boot_check_definitions(const struct boot_request *request, struct log_writer *log) {
    struct domain_list definitions, all;
    struct failure failure;
    struct host host;
    bool good = true;
    boot_list_definitions(&definitions, &all, request->host_source->root);
    bool is_read =
        definitions.count && request->host_source->load(request->host_source, &host, &failure) == 0;
    for (size_t i = 0; is_read && i < definitions.count; i++) {
        const struct domain *domain = &definitions.list[i];
        struct plan_stale stale;
        boot_stale_init(&stale, request, &host, &all, domain);
        for (const struct plan_entry *entry = NULL; (entry = plan_stale_next(&stale, entry));) {
            char *text = plan_stale_text(&stale, entry);
            char *message =
                memory_printf("%s; run 'virt-rules apply' before the VM starts, and see "
                              "'virt-rules log' when it starts with the host",
                              text);
            log_write_entry(log, &(struct log_entry){.vm = domain_label(domain),
                                                     .uuid = domain->uuid,
                                                     .event = scanner_event_text(EVENT_BOOT),
                                                     .result = RESULT_FAILED,
                                                     .message = message});
            free(message);
            free(text);
            good = false;
        }
        plan_finish(&stale.plan);
    }
    if (is_read)
        host_finish(&host);
    free(definitions.list);
    domain_list_finish(&all);
    return good;
}

static bool boot_run(const struct boot_request *request, struct log_writer *log) {
    const struct run_config config = {.program = request->program,
                                      .event = &boot_event,
                                      .host_source = request->host_source,
                                      .state = request->state,
                                      .log = log,
                                      .clock = request->clock};
    struct action_list actions = match_event(request->program, &boot_event);
    struct failure failure = {.message = "another 'virt-rules boot' has been at work for long"};
    struct run run;
    run_init(&run, &config);
    int lock =
        lock_vm_within(request->state, BOOT_LOCK, deadline_limit(DEADLINE_LOCK_MS), &failure);
    if (lock < 0)
        run_log_event(&run, RESULT_FAILED, failure.message,
                      lock == LOCK_BUSY ? "see what keeps it: 'virt-rules log'"
                                        : "continuing without a lock");
    if (lock != LOCK_BUSY) {
        boot_note_write(request->state, BOOT_NOTE_RUNNING);
        boot_do_all(&run, &actions);
        boot_unload(&run);
        run.problem |= !boot_check_definitions(request, log);
        boot_note_write(request->state, run.problem ? BOOT_NOTE_PROBLEM : BOOT_NOTE_GOOD);
    }
    lock_release(lock);
    free(actions.list);
    run_finish(&run);
    return !run.problem;
}

/* The log's lines, a JSON text each. */
static struct json_object *boot_results(char *lines) {
    struct json_object *list = text_json_array();
    for (char *line; (line = strsep(&lines, "\n"));) {
        struct json_object *result = *line ? text_parse_json(line, strlen(line)) : NULL;
        if (result)
            text_json_append(list, result);
    }
    return list;
}

bool boot_execute(const struct boot_request *request) {
    bool good = true;
    char *lines = NULL;
    size_t size = 0;
    FILE *out = request->json ? memory_stream(&lines, &size) : request->out;
    struct log_writer *log = boot_has_work(request) ? log_write_open(request->state, false) : NULL;
    if (log) {
        log_write_copy(log, out, request->json);
        good = boot_run(request, log);
        log_write_close(log);
    }
    if (request->json) {
        memory_stream_close(out, &lines);
        boot_print_list(request->out, "results", boot_results(lines));
        free(lines);
    }
    return good;
}
