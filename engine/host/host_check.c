#include "engine/host/host_check.h"

#include "parser/suggest.h"

#include <stdlib.h>
#include <string.h>

struct host_checker {
    struct ruleset *ruleset;
    const struct host *host;
    bool vms_known;
    const struct domain *vms;
    size_t vm_count;
    const struct guard **guards; /* those for every VM: nothing is known of the VM of a rule */
    size_t guard_count;
};

/* --- VMs */

static bool is_known(const struct host_checker *checker, const struct word *vm) {
    for (size_t i = 0; i < checker->vm_count; i++)
        if (match_vm(vm, &checker->vms[i]))
            return true;
    return false;
}

static void report_vm(struct host_checker *checker, struct source *source, const struct word *vm) {
    struct diagnostic *diagnostic =
        diagnose(&checker->ruleset->diagnostics, source, vm->span, "vm-unknown",
                 vm->kind == WORD_GLOB ? "no VM of this host matches '%s'"
                                       : "no VM of this host is called '%s'",
                 vm->text);
    struct suggestion suggestion = {.word = vm->text};
    for (size_t i = 0; i < checker->vm_count; i++) {
        suggest(&suggestion, checker->vms[i].name);
        if (checker->vms[i].title)
            suggest(&suggestion, checker->vms[i].title);
    }
    if (suggestion.best)
        diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    else
        diagnostic_hint(diagnostic, "'virsh list --all --title' shows names and titles");
}

static void check_vms(struct host_checker *checker, struct source *source, const struct word *vms) {
    for (const struct word *vm = vms; checker->vms_known && vm; vm = vm->next)
        if (vm->kind != WORD_ANY && !is_known(checker, vm))
            report_vm(checker, source, vm);
}

/* --- devices */

/* The check that a refusal belongs to; NULL for those that are no matter of the host. */
static const char *check_of(enum refusal refusal) {
    switch (refusal) {
    case REFUSED_ABSENT:
    case REFUSED_TOO_FEW:
        return "device-absent";
    case REFUSED_AMBIGUOUS:
        return "device-ambiguous";
    case REFUSED_NEVER:
        return "void-by-never";
    case REFUSED_BUS:
    case REFUSED_BRIDGE:
    case REFUSED_HOST_USE:
    case REFUSED_NO_IOMMU:
    case REFUSED_GROUP:
        return "device-unpassable";
    default:
        return NULL;
    }
}

bool rule_may_lack(const struct rule *rule, const struct action *action) {
    const struct event_list *event = rule->events;
    while (event && event->event != EVENT_PLUGGED)
        event = event->next;
    return event || plan_has_option(action, OPTION_WITHIN);
}

static void report_entry(struct host_checker *checker, const struct rule *rule,
                         const struct plan_entry *entry) {
    const char *name = check_of(entry->refusal);
    if (entry->kind != PLAN_REFUSED || !name ||
        (entry->refusal == REFUSED_ABSENT && rule_may_lack(rule, entry->action)))
        return;
    const char *address = entry->device ? entry->device->address : "";
    if (!strncmp(entry->message, address, strlen(address)))
        address = "";
    struct diagnostic *diagnostic =
        diagnose(&checker->ruleset->diagnostics, entry->rule->source, entry->target->span, name,
                 "%s%s%s", address, *address ? ": " : "", entry->message);
    diagnostic_hint(diagnostic, "%s", entry->hint);
}

int lone_plan_init(struct lone_plan *lone, const struct rule *rule, const struct program *program,
                   const struct host *host) {
    lone->any = (struct word){.text = "any", .kind = WORD_ANY};
    lone->started = (struct event_list){.event = EVENT_STARTED};
    lone->rule = *rule;
    lone->rule.next = NULL;
    lone->rule.vms = &lone->any;
    lone->rule.events = &lone->started;
    lone->rules[0] = &lone->rule;
    lone->program = (struct program){.rules = lone->rules,
                                     .rule_count = 1,
                                     .guards = program->guards,
                                     .guard_count = program->guard_count};
    if (domain_from_name(&lone->domain, "any") < 0)
        return -1;
    lone->event = (struct event){.name = EVENT_STARTED, .domain = &lone->domain};
    plan_init(&lone->plan, &(struct plan_request){
                               .program = &lone->program, .event = &lone->event, .host = host});
    return 0;
}

void lone_plan_finish(struct lone_plan *lone) {
    plan_finish(&lone->plan);
    domain_finish(&lone->domain);
}

/* What a plan refuses a VM of which nothing is known is the host's doing. */
static void check_rule_devices(struct host_checker *checker, const struct rule *rule) {
    struct program program = {.guards = checker->guards, .guard_count = checker->guard_count};
    struct lone_plan lone;
    if (lone_plan_init(&lone, rule, &program, checker->host) < 0)
        return;
    for (size_t i = 0; i < lone.plan.count; i++)
        if (lone.plan.entries[i].action->verb == VERB_ATTACH)
            report_entry(checker, rule, &lone.plan.entries[i]);
    lone_plan_finish(&lone);
}

void host_check(struct ruleset *ruleset, const struct check_config *config, const struct host *host,
                bool vms_known, const struct domain *vms, size_t vm_count) {
    struct host_checker checker = {
        .ruleset = ruleset, .host = host, .vms_known = vms_known, .vms = vms, .vm_count = vm_count};
    size_t before = ruleset->diagnostics.count;
    for (const struct guard *guard = ruleset->syntax.guards; guard; guard = guard->next)
        if (!guard->vms) {
            checker.guards =
                memory_grow((void *)checker.guards, checker.guard_count, sizeof(struct guard *));
            checker.guards[checker.guard_count++] = guard;
        }
    for (const struct rule *rule = ruleset->syntax.rules; rule; rule = rule->next) {
        if (rule->source->broken)
            continue;
        check_vms(&checker, rule->source, rule->vms);
        check_rule_devices(&checker, rule);
    }
    free((void *)checker.guards);
    check_apply(config, &ruleset->diagnostics, before);
    diagnostics_sort(&ruleset->diagnostics);
}
