#include "engine/trigger/hook_event.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/run/rule_errors.h"
#include "engine/trigger/freed.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum hook_event_kind hook_event_kind(const char *operation) {
    return scanner_event_from_text(operation) != EVENT_COUNT ? HOOK_EVENT_KNOWN
           : !strcmp(operation, "attach")                    ? HOOK_EVENT_NONE
                                                             : HOOK_EVENT_UNKNOWN;
}

__attribute__((format(printf, 2, 3))) static bool hook_event_fail(const struct hook_event *hook,
                                                                  const char *format, ...) {
    struct failure failure;
    va_list arguments;
    va_start(arguments, format);
    failure_vset(&failure, format, arguments);
    va_end(arguments);
    log_write_entry(hook->log, &(struct log_entry){.vm = hook->vm,
                                                   .event = hook->operation,
                                                   .result = RESULT_FAILED,
                                                   .message = failure.message});
    return false;
}

/* A newer libvirt may report more than this program knows. */
void hook_event_log_unknown(const struct hook_event *hook) {
    hook_event_fail(hook,
                    "unknown operation '%s'; nothing is done: is libvirt newer than this "
                    "virt-rules?",
                    hook->operation);
}

bool hook_event(const struct hook_event *hook, const char *xml, size_t size) {
    struct failure failure;
    struct domain domain;
    struct ruleset ruleset;
    struct program program;
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
    program_load(&program, &ruleset, hook->rules);
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
    bool good = run_event(&(struct run_config){.program = &program,
                                               .event = &event,
                                               .host_source = hook->host_source,
                                               .state = hook->state,
                                               .log = hook->log,
                                               .clock = clock_system(),
                                               .boot_ms = hook->boot_ms,
                                               .open_virt = hook->open_virt});
    good &= freed_notify(&freed);
    program_finish(&program);
    ruleset_finish(&ruleset);
    domain_finish(&domain);
    return good && !has_errors;
}
