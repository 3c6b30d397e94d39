#include "engine/trigger/apply.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/plan/plan.h"
#include "engine/plan/plan_print.h"
#include "engine/state/vm_state.h"
#include "engine/system/clock.h"
#include "engine/trigger/define.h"
#include "engine/trigger/freed.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- which VMs */

static struct event apply_event_of(const struct apply *apply, const struct domain *domain) {
    return (struct event){.name = EVENT_STARTED,
                          .domain = domain,
                          .vms = apply->vms.list,
                          .vm_count = apply->vms.count,
                          .settled = true};
}

static bool apply_is_concerned(const struct apply *apply, const struct domain *domain) {
    struct event event = apply_event_of(apply, domain);
    struct action_list wanted = match_event(apply->request->program, &event);
    free(wanted.list);
    return wanted.count > 0;
}

static int apply_compare_names(const void *left, const void *right) {
    const struct domain *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* By its UUID alone, no rule may seem to be for it. */
static void apply_report_unread(struct apply *apply, const struct domain *domain) {
    struct failure failure;
    char *name = text_shell_operand(domain->name);
    failure_set(&failure, "VM '%s' cannot be read: %s", domain_label(domain), domain->unreadable);
    failure_hint(&failure, "see 'virsh domjobinfo %s', and run 'virt-rules apply' again", name);
    free(name);
    apply->request->report(&failure);
    apply->problem = true;
}

/* Chooses the running VM of that index, if a rule is for it. */
static void apply_choose(struct apply *apply, size_t i) {
    if (apply->chosen[i])
        return;
    if (apply_is_concerned(apply, &apply->running.list[i])) {
        apply->chosen[i] = true;
        apply->chosen_count++;
    } else if (apply->running.list[i].is_unread) {
        apply_report_unread(apply, &apply->running.list[i]);
    }
}

static struct event apply_event_defined(const struct apply *apply, const struct domain *domain) {
    return (struct event){.name = EVENT_DEFINED,
                          .domain = domain,
                          .vms = apply->vms.list,
                          .vm_count = apply->vms.count};
}

/* Chooses the VM for its definition, if a rule is for that, or something in it is ours. */
static bool apply_choose_definition(struct apply *apply, const struct domain *domain) {
    struct event event = apply_event_defined(apply, domain);
    bool is_concerned = !domain->unreadable && define_is_concerned(apply->request->program, &event);
    for (size_t i = 0; is_concerned && i < apply->vms.count; i++)
        if (domain_is_same(&apply->vms.list[i], domain) && !apply->defined[i]) {
            apply->defined[i] = true;
            apply->defined_count++;
        }
    return is_concerned;
}

static int apply_refuse_stopped(const struct domain *domain, struct failure *failure) {
    failure_set(failure, "VM '%s' is not running", domain_label(domain));
    failure_hint(failure, "its rules apply when it starts");
    return -1;
}

/* Whether words that were typed without quotes are one VM's name: then the hint says so. */
static void apply_hint_quotes(const struct apply *apply, size_t word, struct failure *failure) {
    const struct apply_request *request = apply->request;
    for (size_t first = 0; first <= word; first++) {
        char *name = memory_strdup("");
        for (size_t last = first; last < request->name_count; last++) {
            const struct domain *one, *two;
            memory_append(&name, "%s%s", last > first ? " " : "", request->names[last]);
            if (last == first || last < word ||
                domain_pick(apply->vms.list, apply->vms.count, name, &one, &two) ==
                    apply->vms.count)
                continue;
            char *quoted = text_shell_operand(name);
            failure_hint(failure, "a name that has a space needs quotes: virt-rules apply %s",
                         quoted);
            free(quoted);
        }
        free(name);
    }
}

/* Returns -1 with `error` when libvirt does not answer any more; what is wrong with the VM alone is
 * reported. */
static int apply_choose_name(struct apply *apply, struct virt *virt, size_t word,
                             struct virt_error *error) {
    const char *name = apply->request->names[word];
    struct domain_list *running = &apply->running;
    struct domain domain;
    struct failure failure;
    char *xml = NULL;
    int status = virt->ops->domain_xml(virt, name, &xml, error);
    if (status < 0 && (error->kind == VIRT_UNREACHABLE || error->kind == VIRT_NO_REPLY))
        return -1;
    if (status < 0) {
        failure = error->failure;
        if (error->kind == VIRT_NO_DOMAIN)
            apply_hint_quotes(apply, word, &failure);
    } else if ((status = domain_xml_parse(&domain, xml, strlen(xml), &failure)) < 0) {
        failure_set(&failure, "%s: %s", name, failure.message);
    } else if (domain.id < 0) {
        if (!apply_choose_definition(apply, &domain))
            status = apply_refuse_stopped(&domain, &failure);
        domain_finish(&domain);
    } else { /* it may have started since they were listed */
        size_t i = 0;
        while (i < running->count &&
               strcmp(domain_key(&running->list[i]), domain_key(&domain)) != 0)
            i++;
        if (i < running->count) {
            domain_finish(&domain);
        } else {
            running->list = memory_grow(running->list, i, sizeof *running->list);
            running->list[running->count++] = domain;
        }
        apply_choose_definition(apply, &running->list[i]);
        apply_choose(apply, i);
    }
    free(xml);
    if (status < 0)
        apply->request->report(&failure);
    apply->problem |= status < 0;
    return 0;
}

/* --- what is noted of VMs that do not run */

static bool apply_is_running(const struct apply *apply, const char *uuid) {
    for (size_t i = 0; i < apply->running.count; i++)
        if (!strcmp(domain_key(&apply->running.list[i]), uuid))
            return true;
    return false;
}

static void apply_find_ended(struct apply *apply, struct virt *virt) {
    size_t count;
    char **all = vm_state_all(apply->request->state, &count);
    for (size_t i = 0; i < count; i++) {
        struct domain_list *ended = &apply->ended;
        struct domain domain;
        struct virt_error error;
        char *xml = NULL;
        int status = apply_is_running(apply, all[i]) ? -1 : 0;
        if (status == 0 && virt->ops->domain_xml(virt, all[i], &xml, &error) == 0)
            status = domain_xml_parse(&domain, xml, strlen(xml), NULL); /* with its name */
        else if (status == 0)
            domain_from_name(&domain, all[i]);
        if (status == 0) {
            ended->list = memory_grow(ended->list, ended->count, sizeof *ended->list);
            ended->list[ended->count++] = domain;
        }
        free(xml);
        free(all[i]);
    }
    free((void *)all);
}

static int apply_find_vms(struct apply *apply, struct virt *virt, struct virt_error *error) {
    const struct apply_request *request = apply->request;
    struct domain_list *running = &apply->running;
    if (domain_list_running(running, virt, NULL, error) < 0 ||
        domain_list_all(&apply->vms, virt, error) < 0)
        return -1;
    if (running->count)
        qsort(running->list, running->count, sizeof *running->list, apply_compare_names);
    if (apply->vms.count)
        qsort(apply->vms.list, apply->vms.count, sizeof *apply->vms.list, apply_compare_names);
    apply->chosen = memory_zalloc(running->count + request->name_count + 1);
    apply->defined = memory_zalloc(apply->vms.count + 1);
    for (size_t i = 0; i < request->name_count; i++)
        if (apply_choose_name(apply, virt, i, error) < 0)
            return -1;
    for (size_t i = 0; !request->name_count && i < running->count; i++)
        apply_choose(apply, i);
    for (size_t i = 0; !request->name_count && i < apply->vms.count; i++)
        apply_choose_definition(apply, &apply->vms.list[i]);
    apply->libvirt_version = virt_version(virt);
    apply->seen = clock_ticks();
    if (request->state && !request->name_count)
        apply_find_ended(apply, virt);
    return 0;
}

int apply_init(struct apply *apply, const struct apply_request *request, struct virt_error *error) {
    struct virt *virt = NULL;
    *apply = (struct apply){.request = request};
    if (request->open_virt(&virt, NULL, error) < 0)
        return -1;
    int status = apply_find_vms(apply, virt, error);
    if (status < 0)
        apply_finish(apply);
    virt_close(virt);
    return status;
}

void apply_finish(struct apply *apply) {
    domain_list_finish(&apply->running);
    domain_list_finish(&apply->ended);
    domain_list_finish(&apply->vms);
    free(apply->chosen);
    free(apply->defined);
}

/* --- doing it */

/* What a process of its own does: of one VM, or the definitions of several. */
struct work {
    const struct apply_request *request;
    const struct event *event; /* NULL: the definitions */
    const struct domain *const *definitions;
    size_t definition_count;
};

struct worker {
    const struct domain *domain; /* NULL: the definitions */
    pid_t pid;                   /* -1: it could not be made */
    int results;                 /* JSON, to read; -1: none */
};

static bool apply_run_work(const struct work *work, FILE *out) {
    const struct apply_request *request = work->request;
    struct run_config config = {.program = request->program,
                                .event = work->event,
                                .host_source = request->host_source,
                                .state = request->state,
                                .log = log_write_open(request->state, false),
                                .clock = request->clock,
                                .open_virt = request->open_virt};
    if (!config.log || !out)
        return false;
    log_write_copy(config.log, out, request->json);
    bool good = work->event ? run_event(&config)
                            : define_vms(&(struct define){.program = request->program,
                                                          .partial = request->partial,
                                                          .host_source = request->host_source,
                                                          .state = request->state,
                                                          .log = config.log,
                                                          .clock = request->clock,
                                                          .open_virt = request->open_virt},
                                         work->definitions, work->definition_count);
    log_write_close(config.log);
    return fflush(out) == 0 && good;
}

/* Writes to the log alone: `out` gets what the VMs' processes do. */
static void apply_notify_freed(const struct apply_request *request) {
    freed_notify_aside((struct freed){.program = request->program,
                                      .host_source = request->host_source,
                                      .state = request->state,
                                      .clock = request->clock,
                                      .open_virt = request->open_virt});
}

/* Lines of people's length are one write each, so two VMs' do not mix; JSON comes by a pipe. */
static struct worker apply_start(const struct work *work) {
    const struct apply_request *request = work->request;
    struct worker worker = {work->event ? work->event->domain : NULL, -1, -1};
    int results[2] = {-1, -1};
    if (request->json && pipe2(results, O_CLOEXEC) < 0)
        return worker;
    fflush(request->out);
    worker.pid = fork();
    if (worker.pid == 0) {
        FILE *out = request->json ? fdopen(results[1], "we") : request->out;
        _exit(apply_run_work(work, out) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (request->json)
        close(results[1]);
    worker.results = results[0];
    return worker;
}

/* What the worker writes until its end. */
static void apply_collect(struct json_object *list, const struct worker *worker) {
    FILE *in = worker->results < 0 ? NULL : fdopen(worker->results, "re");
    char *line = NULL;
    size_t size = 0;
    while (in && getline(&line, &size, in) > 0) {
        struct json_object *result = text_parse_json(line, strcspn(line, "\n"));
        if (result)
            text_json_append(list, result);
    }
    free(line);
    if (in)
        fclose(in);
}

static bool apply_join(const struct apply *apply, const struct worker *worker) {
    struct failure failure;
    int status = 0;
    pid_t pid = -1;
    while (worker->pid > 0 && (pid = waitpid(worker->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (pid > 0 && WIFEXITED(status))
        return WEXITSTATUS(status) == EXIT_SUCCESS;
    char *subject = worker->domain
                        ? memory_printf("VM '%s'", domain_label(worker->domain))
                        : memory_strdup("work on the definitions of VMs that are shut off");
    if (pid > 0)
        failure_set(&failure, "%s: its process was ended by signal %d", subject, WTERMSIG(status));
    else
        failure_set(&failure, "%s: fork failed", subject);
    failure_hint(&failure, worker->domain ? "try it again with this VM alone"
                                          : "'virt-rules log' shows how far it came; try it again "
                                            "with one VM at a time: 'virt-rules apply VM'");
    free(subject);
    apply->request->report(&failure);
    return false;
}

/* Where the results or plans go. */
static struct json_object *apply_list(const struct apply_request *request) {
    return request->collect ? request->collect : text_json_array();
}

/* The document of that list, which it takes. */
static void apply_print_list(const struct apply_request *request, const char *key,
                             struct json_object *list) {
    if (request->collect)
        return;
    struct json_object *object = text_json_object();
    text_json_add(object, key, list);
    if (request->json)
        text_print_json(request->out, object);
    else
        json_object_put(object);
}

static bool apply_do_definitions(const struct apply *apply, struct json_object *list) {
    const struct domain **vms =
        (const struct domain **)memory_zalloc(apply->defined_count * sizeof *vms);
    size_t count = 0;
    for (size_t i = 0; i < apply->vms.count; i++)
        if (apply->defined[i])
            vms[count++] = &apply->vms.list[i];
    struct worker worker = apply_start(&(struct work){apply->request, NULL, vms, count});
    apply_collect(list, &worker);
    bool good = apply_join(apply, &worker);
    free((void *)vms);
    return good;
}

bool apply_execute(struct apply *apply) {
    const struct apply_request *request = apply->request;
    struct json_object *list = apply_list(request);
    struct worker *workers = memory_zalloc((apply->chosen_count + 1) * sizeof *workers);
    struct program host_rules;
    struct apply_request end_request = *request;
    bool good = !apply->problem;
    size_t count = 0;
    /* As at the VM's end, but no rule's program is run so late. */
    program_init_host(&host_rules, request->program);
    end_request.program = &host_rules;
    for (size_t i = 0; i < apply->ended.count; i++) {
        struct event event = {
            .name = EVENT_RELEASE, .domain = &apply->ended.list[i], .settled = true};
        freed_note_end(&(struct freed){.program = request->program,
                                       .host_source = request->host_source,
                                       .state = request->state},
                       event.domain, true);
        struct worker worker = apply_start(&(struct work){&end_request, &event, NULL, 0});
        apply_collect(list, &worker);
        good &= apply_join(apply, &worker);
    }
    apply_notify_freed(request); /* in their order, before all at once */
    for (size_t i = 0; i < apply->running.count; i++)
        if (apply->chosen[i]) {
            struct event event = apply_event_of(apply, &apply->running.list[i]);
            event.seen = apply->seen;
            workers[count++] = apply_start(&(struct work){request, &event, NULL, 0});
        }
    for (size_t i = 0; i < count; i++) {
        apply_collect(list, &workers[i]);
        good &= apply_join(apply, &workers[i]);
    }
    if (apply->defined_count)
        good &= apply_do_definitions(apply, list);
    apply_notify_freed(request);
    program_finish(&host_rules);
    free(workers);
    apply_print_list(request, "results", list);
    return good;
}

/* --- showing it */

static bool apply_show_plan(const struct apply *apply, const struct plan_request *plan_request,
                            struct terminal terminal, struct json_object *plans) {
    struct plan plan;
    plan_init(&plan, plan_request);
    if (apply->request->json)
        text_json_append(plans, plan_print_json(&plan));
    else
        plan_print(&plan, apply->request->out, false, terminal);
    bool good = plan_count(&plan, PLAN_REFUSED) == 0;
    plan_finish(&plan);
    return good;
}

static bool apply_show_one(const struct apply *apply, const struct host *host, size_t i,
                           struct terminal terminal, struct json_object *plans) {
    struct event event = apply_event_of(apply, &apply->running.list[i]);
    struct domain *others = memory_zalloc((apply->running.count + 1) * sizeof *others);
    const struct vm_start start = {.id = event.domain->id,
                                   .process = vm_state_process(host->root, event.domain->name)};
    const char *state = apply->request->state;
    size_t other_count = 0;
    for (size_t other = 0; other < apply->running.count; other++)
        if (other != i)
            others[other_count++] = apply->running.list[other]; /* borrowed */
    bool good = apply_show_plan(
        apply,
        &(struct plan_request){
            .program = apply->request->program,
            .event = &event,
            .host = host,
            .others = others,
            .other_count = other_count,
            .parked = state && vm_state_is_parked(state, domain_key(event.domain), &start),
            .libvirt_version = apply->libvirt_version},
        terminal, plans);
    free(others);
    return good;
}

/* The definition of a VM that is shut off. */
static bool apply_show_definition(const struct apply *apply, const struct host *host, size_t i,
                                  struct terminal terminal, struct json_object *plans) {
    struct event event = apply_event_defined(apply, &apply->vms.list[i]);
    return apply_show_plan(apply,
                           &(struct plan_request){.program = apply->request->program,
                                                  .event = &event,
                                                  .host = host,
                                                  .partial = apply->request->partial,
                                                  .libvirt_version = apply->libvirt_version},
                           terminal, plans);
}

int apply_show(const struct apply *apply, struct terminal terminal, struct failure *failure) {
    const struct apply_request *request = apply->request;
    struct host host;
    bool good = !apply->problem;
    if (request->host_source->load(request->host_source, &host, failure) < 0)
        return -1;
    struct json_object *plans = apply_list(request);
    for (size_t i = 0; i < apply->running.count; i++)
        if (apply->chosen[i])
            good &= apply_show_one(apply, &host, i, terminal, plans);
    for (size_t i = 0; i < apply->vms.count; i++)
        if (apply->defined[i] && apply->vms.list[i].id < 0)
            good &= apply_show_definition(apply, &host, i, terminal, plans);
    apply_print_list(request, "plans", plans);
    host_finish(&host);
    return good;
}
