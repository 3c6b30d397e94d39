#include "engine/trigger/prepare.h"

#include "engine/plan/plan_stale.h"
#include "engine/rules/match.h"
#include "engine/run/host_setting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /* For what comes around a step: to start it, to read the host, to end a program. */
    PREPARE_MARGIN_MS = 5000,
    PREPARE_JUDGE_MS = 10000, /* for one judgement */
    PREPARE_SETTINGS_MS = 45000,
    PREPARE_RETRY_MS = 250,
    PREPARE_LOOKS = 4,  /* at what refuses, at most */
    PREPARE_FILES = 16, /* descriptors that a look needs at the same time, and more */
};

/* The plan of the event as it is now: its steps that libvirt waits for come first. */
struct prepare {
    struct run run;
    struct event event;
    bool partial;    /* files with errors are left out of the program */
    bool is_planned; /* and nothing has changed since that we know of */
};

static bool prepare_has_waits(const struct action_list *actions) {
    for (size_t i = 0; i < actions->count; i++)
        if (plan_waits(actions->list[i].action, EVENT_PREPARE))
            return true;
    return false;
}

static void prepare_forget_plan(struct prepare *prepare) {
    plan_finish(&prepare->run.plan);
    host_finish(&prepare->run.host);
    domain_list_finish(&prepare->run.others);
    prepare->run.plan = (struct plan){0};
    prepare->run.host = (struct host){0};
    prepare->is_planned = false;
}

static struct plan_request prepare_request(const struct prepare *prepare) {
    const struct run *run = &prepare->run;
    return (struct plan_request){.program = run->config->program,
                                 .event = &prepare->event,
                                 .host = &run->host,
                                 .others = run->others.list,
                                 .other_count = run->others.count,
                                 .partial = prepare->partial};
}

/* Reads the host, and the other VMs in libvirt's own files: libvirt itself cannot be asked. Returns
 * false after logging why the host cannot be read. */
static bool prepare_plan(struct prepare *prepare) {
    const struct run_config *config = prepare->run.config;
    const struct host_source *source = config->host_source;
    struct failure failure;
    if (prepare->is_planned)
        return true;
    prepare_forget_plan(prepare);
    if (source->load(source, &prepare->run.host, &failure) < 0) {
        run_log_event(&prepare->run, RESULT_FAILED, failure.message,
                      "the VM starts: what it requires is not known to be there");
        return false;
    }
    domain_list_running_in(&prepare->run.others, source->root, config->event->domain);
    const struct plan_request request = prepare_request(prepare);
    plan_init(&prepare->run.plan, &request);
    prepare->is_planned = true;
    return true;
}

/* Whether this process is short of something, so that what it could not read says nothing. */
static bool prepare_is_short(const struct prepare *prepare) {
    const struct faults *faults = &prepare->run.host.faults;
    int files[PREPARE_FILES];
    size_t count = 0;
    for (size_t i = 0; i < faults->count; i++)
        if (faults->list[i].error == EMFILE || faults->list[i].error == ENFILE ||
            faults->list[i].error == ENOMEM)
            return true;
    while (count < PREPARE_FILES && (files[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    bool is = count < PREPARE_FILES;
    while (count > 0)
        close(files[--count]);
    return is;
}

/* Whether the refusal may pass while the start waits. */
static bool prepare_may_pass(const struct plan_entry *entry) {
    switch (entry->refusal) {
    case REFUSED_ABSENT:
    case REFUSED_TOO_FEW:
    case REFUSED_BACKEND: /* its drivers may not be done with it */
    case REFUSED_HOST_USE:
    case REFUSED_UNKNOWN_USE:
    case REFUSED_NO_ANSWER:
    case REFUSED_HELD:
    case REFUSED_GROUP:
    case REFUSED_LINK_DOWN:
        return true;
    default:
        return false;
    }
}

/* A `never` that has an error, and forbids all that it may mean. */
static bool prepare_is_in_doubt(const struct prepare *prepare, const struct plan_entry *entry) {
    const struct run_config *config = prepare->run.config;
    const struct guard *guard =
        entry->refusal == REFUSED_NEVER && entry->device
            ? match_guard(config->program, config->event->domain, entry->device)
            : NULL;
    return guard && guard->doubtful;
}

/* The first entry of the action that keeps the VM from starting, of those that do not pass if there
 * are any; NULL: there is none. */
static const struct plan_entry *prepare_refused(const struct prepare *prepare,
                                                const struct action *action) {
    const struct plan *plan = &prepare->run.plan;
    const struct plan_entry *found = NULL;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (entry->action == action && entry->kind == PLAN_REFUSED &&
            !prepare_is_in_doubt(prepare, entry) &&
            (!found || (prepare_may_pass(found) && !prepare_may_pass(entry))))
            found = entry;
    }
    return found;
}

static void prepare_log_doubts(struct prepare *prepare, const struct action *action) {
    for (size_t i = 0; i < prepare->run.plan.count; i++) {
        const struct plan_entry *entry = &prepare->run.plan.entries[i];
        if (entry->action == action && entry->kind == PLAN_REFUSED &&
            prepare_is_in_doubt(prepare, entry))
            run_log_entry(&prepare->run, entry, RESULT_FAILED, entry->message,
                          "an error in a rule file stops no start: the VM starts");
    }
}

/*
 * Waits until the host has what the action requires, as long as the rule says. Returns what still
 * refuses, NULL: nothing does; or false when the host cannot be read. Two looks in succession must
 * refuse for the same reason: a file that could not be read once stops no start.
 */
static bool prepare_await(struct prepare *prepare, const struct action *action, int64_t end,
                          const struct plan_entry **refused) {
    struct run *run = &prepare->run;
    enum refusal last = REFUSED_NOT;
    bool waited = false;
    for (int looks = 1;; looks++) {
        if (!prepare_plan(prepare))
            return false;
        *refused = prepare_refused(prepare, action);
        bool is_over = *refused && (!prepare_may_pass(*refused) || run_now(run) >= end);
        if (!*refused || (is_over && ((*refused)->refusal == last || looks >= PREPARE_LOOKS)))
            break;
        last = (*refused)->refusal;
        prepare->is_planned = false;
        if (is_over)
            continue;
        if (!waited)
            run_log_entry(run, *refused, RESULT_WAITING, (*refused)->message, NULL);
        waited = true;
        run->config->clock->sleep_ms(run->config->clock, PREPARE_RETRY_MS);
    }
    for (size_t i = 0; waited && !*refused && i < run->plan.count; i++)
        if (run->plan.entries[i].action == action && run->plan.entries[i].kind == PLAN_STEP)
            run_log_entry(run, &run->plan.entries[i], RESULT_ALREADY, "it is free now", NULL);
    return true;
}

/* Returns false when the start is stopped. */
static bool prepare_require(struct prepare *prepare, const struct action *action) {
    struct run *run = &prepare->run;
    int64_t start = run_now(run), end = start + plan_option_ms(action, OPTION_WITHIN);
    const struct plan_entry *refused;
    end = end < run->wait_end ? end : run->wait_end;
    reply_wait(run->reply, (int)(end - start) + PREPARE_JUDGE_MS);
    if (!prepare_await(prepare, action, end, &refused))
        return true;
    prepare_log_doubts(prepare, action);
    if (!refused)
        return true;
    if (prepare_is_short(prepare)) {
        run_log_entry(run, refused, RESULT_FAILED, refused->message,
                      "the VM starts: this host is short of memory or of file descriptors");
        return true;
    }
    return action_find(VERB_REQUIRE)->execute(run, refused, run_task(run, refused)) != RUN_OVER;
}

/* Returns false when the start is stopped. A program may change what the host has. */
static bool prepare_run_program(struct prepare *prepare, const struct action_ref *ref) {
    struct run *run = &prepare->run;
    const struct plan_entry entry = {.kind = PLAN_STEP, .rule = ref->rule, .action = ref->action};
    int64_t left = run->wait_end - run_now(run), limit = plan_option_ms(ref->action, OPTION_WAIT);
    reply_wait(run->reply, (int)(left < limit ? left : limit) + PREPARE_MARGIN_MS);
    prepare->is_planned = false;
    return action_find(VERB_RUN)->execute(run, &entry, run_task(run, &entry)) != RUN_OVER;
}

/* --- host settings of 'defined' rules */

/* Changes them, of the devices that the VM starts with. A device that the host does not give up
 * stops no start: that is what 'require' is for. */
static void prepare_change_settings(struct prepare *prepare) {
    struct run *run = &prepare->run;
    struct run_config config = *run->config;
    struct plan_entry entry;
    struct failure failure;
    config.event = &prepare->event; /* which knows the other VMs */
    reply_wait(run->reply, PREPARE_SETTINGS_MS);
    if (!prepare_plan(prepare))
        return;
    enum host_setting_start start = host_setting_begin_start(&config, &run->host, &entry, &failure);
    if (start != HOST_SETTING_MADE && entry.device)
        run_log_entry(run, &entry, start == HOST_SETTING_REFUSED ? RESULT_REFUSED : RESULT_FAILED,
                      failure.message, failure.hint);
    else if (start != HOST_SETTING_MADE)
        run_log_event(run, RESULT_FAILED, failure.message,
                      "the VM starts without the settings of the host for its devices");
}

/* --- what the definition has by a rule */

/* Said before libvirt has unbound anything. Only a rule that requires a device stops the start. */
static void prepare_check_definition(struct prepare *prepare) {
    struct run *run = &prepare->run;
    struct plan_stale stale;
    reply_wait(run->reply, PREPARE_JUDGE_MS);
    if (!prepare_plan(prepare))
        return;
    const struct plan_request request = prepare_request(prepare);
    plan_stale_init(&stale, &request);
    for (const struct plan_entry *entry = NULL; (entry = plan_stale_next(&stale, entry));) {
        char *text = plan_stale_text(&stale, entry);
        run_log_event(
            run, RESULT_FAILED, text,
            "'virt-rules apply' corrects the definition before a start: shut the VM down, "
            "run it, and start the VM again; a rule 'prepare require' stops such a start");
        free(text);
    }
    plan_finish(&stale.plan);
}

/* --- the whole */

/* Every VM of the host, by libvirt's own files, if a word of a rule may mean another one. */
static void prepare_list_vms(struct prepare *prepare) {
    const struct run_config *config = prepare->run.config;
    struct event defined = *config->event;
    defined.name = EVENT_DEFINED;
    if (!match_ambiguous(config->program, config->event) &&
        !match_ambiguous(config->program, &defined))
        return;
    domain_list_all_in(&prepare->run.vms, config->host_source->root);
    prepare->event.vms = prepare->run.vms.list;
    prepare->event.vm_count = prepare->run.vms.count;
}

enum prepared prepare_wait(const struct run_config *config, bool partial, struct reply *reply) {
    struct prepare prepare = {.event = *config->event, .partial = partial};
    struct run *run = &prepare.run;
    struct action_list actions = match_event(config->program, config->event);
    struct action_list settings = host_setting_of_definition(config->program, config->event);
    bool may_start = true, may_be_stale = plan_stale_may_be(config->event->domain);
    if (!prepare_has_waits(&actions) && !settings.count && !may_be_stale) {
        reply_close(reply);
        free(actions.list);
        free(settings.list);
        return PREPARED;
    }
    run_init(run, config);
    run->reply = reply;
    run->wait_end = run_now(run) + REPLY_ALL_MS;
    prepare_list_vms(&prepare);
    free(actions.list);
    actions = match_event(config->program, &prepare.event);
    for (size_t i = 0; i < actions.count && may_start; i++) {
        const struct action *action = actions.list[i].action;
        if (plan_waits(action, EVENT_PREPARE))
            may_start = action->verb == VERB_RUN ? prepare_run_program(&prepare, &actions.list[i])
                                                 : prepare_require(&prepare, action);
    }
    if (may_start && may_be_stale)
        prepare_check_definition(&prepare);
    if (may_start && settings.count)
        prepare_change_settings(&prepare);
    reply_close(reply);
    enum prepared result = run->stopped   ? PREPARE_STOPPED
                           : run->problem ? PREPARED_WITH_PROBLEM
                                          : PREPARED;
    prepare_forget_plan(&prepare);
    run_finish(run);
    free(actions.list);
    free(settings.list);
    return result;
}
