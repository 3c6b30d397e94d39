#include "engine/trigger/hook_event.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/rules/match.h"
#include "engine/run/rule_errors.h"
#include "engine/state/lock.h"
#include "engine/system/clock.h"
#include "engine/trigger/define.h"
#include "engine/trigger/freed.h"
#include "engine/trigger/prepare.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A libvirt that calls an operation as one of our own events would mean something else by it. */
enum hook_event_kind hook_event_kind(const char *operation) {
    enum event_name event = scanner_event_from_text(operation);
    bool is_known = event != EVENT_COUNT && event != EVENT_DEFINED && event != EVENT_BOOT;
    return is_known                       ? HOOK_EVENT_KNOWN
           : !strcmp(operation, "attach") ? HOOK_EVENT_NONE
                                          : HOOK_EVENT_UNKNOWN;
}

/* An event that did not get as far as to the rules. */
static void hook_event_keep(const struct hook_event *hook, enum log_event_result result) {
    char time[CLOCK_STAMP_SIZE];
    clock_stamp_utc(time);
    log_write_event(hook->log, &(struct log_event){.time = time,
                                                   .vm = hook->vm,
                                                   .name = hook->vm,
                                                   .id = -1,
                                                   .event = hook->operation,
                                                   .result = result});
}

__attribute__((format(printf, 2, 3))) static bool hook_event_fail(const struct hook_event *hook,
                                                                  const char *format, ...) {
    struct failure failure;
    va_list arguments;
    va_start(arguments, format);
    failure_vset(&failure, format, arguments);
    va_end(arguments);
    reply_close(hook->reply); /* before a syslog daemon that may be stuck */
    hook_event_keep(hook, LOG_EVENT_FAILED);
    log_write_echo(hook->log); /* the hook's stderr goes nowhere; anybody else is to know */
    log_write_entry(hook->log, &(struct log_entry){.vm = hook->vm,
                                                   .event = hook->operation,
                                                   .result = RESULT_FAILED,
                                                   .message = failure.message});
    return false;
}

/* A newer libvirt may report more than this program knows. */
void hook_event_none(const struct hook_event *hook, enum hook_event_kind kind) {
    if (kind == HOOK_EVENT_UNKNOWN)
        hook_event_fail(hook,
                        "unknown operation '%s'; nothing is done: is libvirt newer than this "
                        "virt-rules?",
                        hook->operation);
    else
        hook_event_keep(hook, LOG_EVENT_NONE);
}

/* `time`: when it came. */
static void hook_event_keep_matched(const struct hook_event *hook, const struct event *event,
                                    const struct action_list *wanted, const char *time) {
    log_write_event(hook->log, &(struct log_event){.time = time,
                                                   .vm = domain_label(event->domain),
                                                   .name = event->domain->name,
                                                   .uuid = event->domain->uuid,
                                                   .id = event->domain->id,
                                                   .event = hook->operation,
                                                   .result = wanted->count ? LOG_EVENT_MATCHED
                                                                           : LOG_EVENT_UNMATCHED,
                                                   .rules = match_count_rules(wanted)});
}

bool hook_event(const struct hook_event *hook, const char *xml, size_t size) {
    struct failure failure;
    struct domain domain;
    struct ruleset ruleset;
    struct program program;
    char time[CLOCK_STAMP_SIZE];
    clock_stamp_utc(time);
    if (!xml)
        return hook_event_fail(hook, "the domain XML on standard input cannot be read: %s",
                               strerror(errno));
    if (domain_xml_parse(&domain, xml, size, &failure) < 0)
        return hook_event_fail(hook, "%s", failure.message);
    if (!domain_is_called(&domain, hook->vm)) {
        hook_event_fail(hook, "the domain XML describes VM '%s'; nothing is done",
                        domain_label(&domain));
        domain_finish(&domain);
        return false;
    }
    struct event event = {.name = scanner_event_from_text(hook->operation), .domain = &domain};
    struct run_config config = {.program = &program,
                                .event = &event,
                                .host_source = hook->host_source,
                                .state = hook->state,
                                .log = hook->log,
                                .clock = clock_system(),
                                .boot_ms = hook->boot_ms,
                                .open_virt = hook->open_virt};
    program_load(&program, &ruleset, hook->rules);
    struct action_list wanted = match_event(&program, &event);
    enum prepared prepared =
        event.name == EVENT_PREPARE
            ? prepare_wait(&config, diagnostic_count_errors(&ruleset.diagnostics) > 0, hook->reply)
            : PREPARED;
    reply_close(hook->reply);
    int at_work = wanted.count ? lock_run(hook->state, domain_key(&domain)) : -1;
    config.is_at_work = at_work >= 0;
    /* No start waits for this. Who sees it, and no engine at work, knows that all is done. */
    hook_event_keep_matched(hook, &event, &wanted, time);
    free(wanted.list);
    bool has_errors = rule_errors_log(hook->log, hook->vm, domain.uuid, hook->operation, &ruleset);
    struct freed freed = {.program = &program,
                          .host_source = hook->host_source,
                          .state = hook->state,
                          .log = hook->log,
                          .clock = clock_system(),
                          .open_virt = hook->open_virt};
    /* A VM that starts may have ended when no hook was called. */
    if (event.name == EVENT_RELEASE || event.name == EVENT_PREPARE)
        freed_note_end(&freed, &domain, event.name == EVENT_RELEASE);
    bool good = prepared == PREPARED;
    if (prepared != PREPARE_STOPPED)
        good &= run_event(&config);
    good &= freed_notify(&freed);
    if (event.name == EVENT_RELEASE && define_is_concerned(&program, &event))
        good &= define_vm(&(struct define){.program = &program,
                                           .partial = has_errors,
                                           .host_source = hook->host_source,
                                           .state = hook->state,
                                           .log = hook->log,
                                           .clock = clock_system(),
                                           .open_virt = hook->open_virt},
                          &domain);
    lock_release(at_work);
    program_finish(&program);
    ruleset_finish(&ruleset);
    domain_finish(&domain);
    return good && !has_errors;
}
