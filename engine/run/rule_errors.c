#include "engine/run/rule_errors.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static char *rule_errors_describe(const struct diagnostic *diagnostic) {
    bool directory = diagnostic->check == CHECK_UNREADABLE_DIRECTORY ||
                     diagnostic->check == CHECK_UNSAFE_DIRECTORY;
    char *line = diagnostic_line(diagnostic);
    char *message =
        memory_printf("%s%s%s; %s: see 'virt-rules check'", line, diagnostic->hint ? "; " : "",
                      diagnostic->hint ? diagnostic->hint : "",
                      directory ? "no rule is in force" : "the file is left out");
    free(line);
    return message;
}

/* Of a file that cannot be read its own line says it. */
static void rule_errors_log_doubts(struct log_writer *log, const char *vm, const char *uuid,
                                   const char *event, const struct ruleset *ruleset) {
    struct doubts doubts = ruleset_doubts(ruleset);
    for (size_t i = 0; i < doubts.count; i++) {
        if (!doubts.list[i].line)
            continue;
        char *rule = memory_printf("%s:%zu", doubts.list[i].source->path, doubts.list[i].line);
        log_write_entry(log, &(struct log_entry){.vm = vm,
                                                 .uuid = uuid,
                                                 .event = event,
                                                 .rule = rule,
                                                 .result = RESULT_FAILED,
                                                 .message = doubts.list[i].message});
        free(rule);
    }
    ruleset_finish_doubts(&doubts);
}

bool rule_errors_log(struct log_writer *log, const char *vm, const char *uuid, const char *event,
                     const struct ruleset *ruleset) {
    const struct source *last = NULL;
    for (size_t i = 0; i < ruleset->diagnostics.count; i++) {
        const struct diagnostic *diagnostic = &ruleset->diagnostics.list[i];
        if (diagnostic->severity != SEVERITY_ERROR || diagnostic->source == last)
            continue;
        last = diagnostic->source;
        char *message = rule_errors_describe(diagnostic);
        log_write_entry(log, &(struct log_entry){.vm = vm,
                                                 .uuid = uuid,
                                                 .event = event,
                                                 .rule = last->path,
                                                 .result = RESULT_FAILED,
                                                 .message = message});
        free(message);
    }
    rule_errors_log_doubts(log, vm, uuid, event, ruleset);
    return last != NULL;
}
