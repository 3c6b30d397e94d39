#include "engine/trigger/define.h"

#include "engine/libvirt/domain_list.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/plan/plan.h"
#include "engine/run/retry.h"
#include "engine/state/lock.h"

#include <stdlib.h>
#include <string.h>

/* The host and all VMs are read again when they are older: what they are for, the words of rules
 * and who else has a device, is judged once more by libvirt at the VM's start. */
enum { DEFINE_FRESH_MS = 10000 };

/* What the work on several VMs has in common, so that it does not cost a look at all for each. */
struct define_common {
    struct virt *virt;
    struct virt_error no_virt; /* why it is NULL, after the first try */
    bool is_tried;
    bool is_read;
    int64_t read_at;
    struct domain_list vms; /* what was changed since is in it */
    struct host host;
};

struct define_run {
    const struct define *config;
    struct define_common *common;
    const struct domain *vm; /* as the caller knows it */
    struct virt *virt;
    bool is_persistent, is_running, is_saved;
    struct domain domain; /* its definition */
    struct event event;
    struct plan plan;
    bool changed; /* libvirt was told to change something */
    bool problem;
};

bool define_is_concerned(const struct program *program, const struct event *event) {
    struct event defined = *event;
    defined.name = EVENT_DEFINED;
    struct action_list wanted = match_event(program, &defined);
    free(wanted.list);
    return wanted.count > 0 || event->domain->mark_count > 0;
}

/* --- the log */

/* `entry` NULL: of the VM as a whole. `hint` may be NULL or "". */
static void define_log(struct define_run *run, const struct plan_entry *entry, enum result result,
                       const char *message, const char *hint) {
    char *device = entry ? plan_device_text(entry) : NULL;
    char *rule = entry ? plan_rule_text(entry) : NULL;
    char *text = hint && *hint ? memory_printf("%s; %s", message, hint) : memory_strdup(message);
    log_write_entry(run->config->log,
                    &(struct log_entry){.vm = domain_label(run->vm),
                                        .uuid = run->vm->uuid,
                                        .event = scanner_event_text(EVENT_DEFINED),
                                        .action = entry ? syntax_verb_text(plan_verb(entry)) : NULL,
                                        .device = device,
                                        .rule = rule,
                                        .result = result,
                                        .message = text,
                                        .hint = hint});
    free(text);
    free(rule);
    free(device);
}

static void define_fail(struct define_run *run, const struct failure *failure) {
    define_log(run, NULL, RESULT_FAILED, failure->message, failure->hint);
    run->problem = true;
}

/* --- reading */

/* libvirt that did not answer for one VM is not waited for again for the next. */
static int define_open(struct define_run *run, struct virt_error *error) {
    struct define_common *common = run->common;
    struct retry retry = retry_start(run->config->clock);
    while (!common->is_tried && run->config->open_virt(&common->virt, NULL, &common->no_virt) < 0 &&
           retry_call(&retry, &common->no_virt))
        ;
    common->is_tried = true;
    run->virt = common->virt;
    if (!run->virt)
        *error = common->no_virt;
    return run->virt ? 0 : -1;
}

/* A VM that is transient is not there any more when it has stopped. */
static void define_refuse_transient(struct define_run *run) {
    struct event event = {.name = EVENT_DEFINED, .domain = run->vm};
    struct action_list wanted = match_event(run->config->program, &event);
    free(wanted.list);
    if (!wanted.count)
        return;
    define_log(run, NULL, RESULT_REFUSED,
               "the VM is transient: there is no definition that could have the device",
               "'virsh define' makes it persistent; or use 'started', which needs none");
    run->problem = true;
}

/* Returns false when there is no definition to change; the log has the reason. */
static bool define_load(struct define_run *run) {
    struct retry retry = retry_start(run->config->clock);
    struct virt_definition definition = {0};
    struct virt_error error;
    struct failure failure;
    int status = define_open(run, &error);
    while (status == 0 &&
           (status = run->virt->ops->definition(run->virt, domain_key(run->vm), &definition,
                                                &error)) < 0 &&
           retry_call(&retry, &error))
        status = 0;
    if (status < 0 && error.kind == VIRT_NO_DOMAIN) {
        define_refuse_transient(run);
        return false;
    }
    if (status < 0) {
        define_fail(run, &error.failure);
        return false;
    }
    run->is_persistent = definition.is_persistent;
    run->is_running = definition.is_running;
    run->is_saved = definition.is_saved;
    if (!run->is_persistent)
        define_refuse_transient(run);
    else if (domain_xml_parse(&run->domain, definition.xml, strlen(definition.xml), &failure) < 0)
        define_fail(run, &failure);
    virt_definition_finish(&definition);
    return run->is_persistent && run->domain.name;
}

static void define_forget(struct define_common *common) {
    domain_list_finish(&common->vms);
    host_finish(&common->host);
    common->host = (struct host){0};
    common->is_read = false;
}

/* The host, and all VMs: for the words of rules, and for who else has a device. */
static bool define_read(struct define_run *run) {
    const struct define *config = run->config;
    struct define_common *common = run->common;
    int64_t now = config->clock->now_ms(config->clock);
    struct virt_error error;
    struct failure failure;
    if (common->is_read && now - common->read_at < DEFINE_FRESH_MS)
        return true;
    define_forget(common);
    if (domain_list_all(&common->vms, run->virt, &error) < 0) {
        define_fail(run, &error.failure);
        return false;
    }
    if (config->host_source->load(config->host_source, &common->host, &failure) < 0) {
        define_fail(run, &failure);
        return false;
    }
    common->is_read = true;
    common->read_at = config->clock->now_ms(config->clock);
    return true;
}

static bool define_plan(struct define_run *run) {
    const struct define *config = run->config;
    if (!define_read(run))
        return false;
    run->event = (struct event){.name = EVENT_DEFINED,
                                .domain = &run->domain,
                                .vms = run->common->vms.list,
                                .vm_count = run->common->vms.count};
    plan_init(&run->plan, &(struct plan_request){.program = config->program,
                                                 .event = &run->event,
                                                 .host = &run->common->host,
                                                 .partial = config->partial,
                                                 .libvirt_version = virt_version(run->virt)});
    return true;
}

/* The next VMs' plans see this one as it is now. Takes the domain. */
static void define_note_definition(struct define_common *common, struct domain *domain) {
    struct domain_list *vms = &common->vms;
    for (size_t i = 0; i < vms->count; i++)
        if (domain_is_same(&vms->list[i], domain)) {
            domain_finish(&vms->list[i]);
            vms->list[i] = *domain;
            return;
        }
    domain_list_append(vms, domain);
}

/* --- the mark */

struct define_marks {
    struct definition_mark *list;
    size_t count;
};

static const struct definition_mark *define_find_mark(const struct define_marks *marks,
                                                      const struct definition_mark *mark) {
    for (size_t i = 0; i < marks->count; i++)
        if (definition_mark_is_of_same(&marks->list[i], mark))
            return &marks->list[i];
    return NULL;
}

/* Of two of one device the first counts. */
static void define_add_mark(struct define_marks *marks, const struct definition_mark *mark) {
    if (define_find_mark(marks, mark))
        return;
    marks->list = memory_grow(marks->list, marks->count, sizeof *marks->list);
    marks->list[marks->count++] = *mark;
}

static bool define_same_marks(const struct define_marks *a, const struct define_marks *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        const struct definition_mark *other = define_find_mark(b, &a->list[i]);
        same = other && definition_mark_is_same(&a->list[i], other);
    }
    return same;
}

/* Those of the steps with that verb. */
static void define_add_marks_of(struct define_marks *marks, const struct plan *plan,
                                enum verb verb) {
    for (size_t i = 0; i < plan->count; i++)
        for (size_t j = 0; plan_verb(&plan->entries[i]) == verb && j < plan->entries[i].mark_count;
             j++)
            define_add_mark(marks, &plan->entries[i].marks[j]);
}

/* --- changing */

typedef int define_change(struct virt *virt, const char *uuid, const char *xml,
                          struct virt_error *error);

static int define_call(struct define_run *run, define_change *change, const char *subject,
                       const char *xml, struct virt_error *error) {
    struct retry retry = retry_start(run->config->clock);
    int status;
    virt_set_subject(run->virt, subject);
    /* No host or guest has a part in it: but for the VM's job lock, which has a code of its own,
     * what fails once fails again. */
    while ((status = change(run->virt, domain_key(run->vm), xml, error)) < 0 &&
           !error->is_unknown && retry_call(&retry, error))
        ;
    virt_set_subject(run->virt, NULL);
    run->changed = true;
    return status;
}

/* Returns false after logging why it could not be written. */
static bool define_write_marks(struct define_run *run, const struct define_marks *marks) {
    struct virt_error error;
    char *xml = definition_mark_xml(marks->list, marks->count);
    int status = define_call(run, run->virt->ops->mark_defined, "the mark", xml, &error);
    free(xml);
    if (status < 0)
        define_fail(run, &error.failure);
    return status == 0;
}

/* One step; each of its elements is a call. */
static void define_step(struct define_run *run, const struct plan_entry *entry) {
    bool attach = plan_verb(entry) == VERB_ATTACH;
    char *device = plan_device_text(entry);
    char *subject = memory_printf("%s, VM '%s'", device, domain_label(run->vm));
    struct virt_error error;
    int status = 0;
    for (size_t i = 0; i < entry->element_count && status == 0; i++)
        status = define_call(
            run, attach ? run->virt->ops->attach_defined : run->virt->ops->detach_defined, subject,
            entry->elements[i].xml, &error);
    if (status < 0) {
        define_log(run, entry, RESULT_FAILED, error.failure.message, error.failure.hint);
        run->problem = true;
    } else if (attach) {
        define_log(run, entry, RESULT_ATTACHED,
                   "put into the definition: the VM has it at its next start", entry->note);
    } else {
        char *message = memory_printf("taken out of the definition: %s", entry->message);
        define_log(run, entry, RESULT_DETACHED, message, NULL);
        free(message);
    }
    free(subject);
    free(device);
}

static void define_steps(struct define_run *run, enum verb verb) {
    for (size_t i = 0; i < run->plan.count; i++)
        if (run->plan.entries[i].kind == PLAN_STEP && plan_verb(&run->plan.entries[i]) == verb)
            define_step(run, &run->plan.entries[i]);
}

static void define_log_rest(struct define_run *run) {
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct plan_entry *entry = &run->plan.entries[i];
        bool is_absent = entry->refusal == REFUSED_ABSENT || entry->refusal == REFUSED_TOO_FEW;
        if (entry->kind == PLAN_STEP)
            continue;
        define_log(run, entry,
                   entry->kind == PLAN_SKIPPED && !is_absent ? RESULT_ALREADY
                   : entry->refusal == REFUSED_ABSENT || (entry->kind == PLAN_SKIPPED && is_absent)
                       ? RESULT_ABSENT
                       : RESULT_REFUSED,
                   entry->message, entry->hint ? entry->hint : entry->note);
        run->problem |= entry->kind == PLAN_REFUSED;
    }
}

/* What is ours as the definition is now: of all that was or should be, what is there. libvirt may
 * have put a root port in again that we took out. */
static void define_correct_marks(struct define_run *run, const struct define_marks *written) {
    struct virt_definition definition = {0};
    struct define_marks all = {0}, there = {0};
    struct virt_error error;
    struct domain now;
    if (run->virt->ops->definition(run->virt, domain_key(run->vm), &definition, &error) < 0 ||
        domain_xml_parse(&now, definition.xml, strlen(definition.xml), NULL) < 0) {
        virt_definition_finish(&definition);
        run->common->is_read = false;
        return; /* the next engine does it */
    }
    for (size_t i = 0; i < written->count; i++)
        define_add_mark(&all, &written->list[i]);
    define_add_marks_of(&all, &run->plan, VERB_DETACH);
    for (size_t i = 0; i < all.count; i++)
        if (domain_has_marked(&now, &all.list[i]))
            define_add_mark(&there, &all.list[i]);
    if (!define_same_marks(&there, written))
        define_write_marks(run, &there);
    free(all.list);
    free(there.list);
    define_note_definition(run->common, &now);
    virt_definition_finish(&definition);
}

static void define_change_definition(struct define_run *run) {
    struct define_marks before = {run->domain.marks, run->domain.mark_count}, wanted = {0};
    for (size_t i = 0; i < run->plan.mark_count; i++)
        define_add_mark(&wanted, &run->plan.marks[i]);
    define_add_marks_of(&wanted, &run->plan, VERB_ATTACH);
    define_steps(run, VERB_DETACH);
    if (define_same_marks(&before, &wanted) || define_write_marks(run, &wanted)) {
        define_steps(run, VERB_ATTACH);
        if (run->changed)
            define_correct_marks(run, &wanted);
    }
    free(wanted.list);
}

static bool define_has_steps(const struct define_run *run) {
    return plan_count(&run->plan, PLAN_STEP) > 0;
}

static void define_locked(struct define_run *run) {
    if (!define_load(run) || !define_plan(run))
        return;
    if (run->is_running) {
        if (define_has_steps(run))
            define_log(run, NULL, RESULT_WAITING,
                       "the VM runs: its definition is changed when it has stopped", NULL);
    } else if (run->is_saved && define_has_steps(run)) {
        define_log(
            run, NULL, RESULT_REFUSED,
            "the VM's memory is saved ('virsh managedsave'), and its next start goes on with "
            "the devices that it had: its definition is left as it is",
            "start it and shut it down; or 'virsh managedsave-remove' throws the memory "
            "away, and 'virt-rules apply' changes the definition");
        run->problem = true;
    } else {
        define_change_definition(run);
        define_log_rest(run);
    }
}

/* Returns true when all is as the rules want it. */
static bool define_one(const struct define *define, struct define_common *common,
                       const struct domain *domain) {
    struct define_run run = {.config = define, .common = common, .vm = domain, .domain.id = -1};
    struct failure failure;
    int lock = lock_vm(define->state, domain_key(domain), &failure);
    if (lock == LOCK_BUSY) {
        failure_hint(&failure, LOCK_BUSY_HINT);
        define_fail(&run, &failure);
        return false;
    }
    if (lock < 0) {
        failure_hint(&failure, "continuing without a lock");
        define_fail(&run, &failure);
    }
    define_locked(&run);
    plan_finish(&run.plan);
    if (run.domain.name && !run.is_running && !run.changed)
        define_note_definition(common, &run.domain);
    else
        domain_finish(&run.domain);
    lock_release(lock);
    return !run.problem;
}

bool define_vms(const struct define *define, const struct domain *const *domains, size_t count) {
    struct define_common common = {.virt = NULL};
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good &= define_one(define, &common, domains[i]);
    define_forget(&common);
    virt_close(common.virt);
    return good;
}

bool define_vm(const struct define *define, const struct domain *domain) {
    return define_vms(define, &domain, 1);
}
