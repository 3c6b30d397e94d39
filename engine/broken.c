#include "engine/broken.h"

#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static char *describe(const struct diagnostic *diagnostic) {
    bool directory = strstr(diagnostic->name, "directory") != NULL;
    char *line = diagnostic_line(diagnostic);
    char *message =
        memory_printf("%s%s%s; %s: see 'virt-rules check'", line, diagnostic->hint ? "; " : "",
                      diagnostic->hint ? diagnostic->hint : "",
                      directory ? "no rule is in force" : "the file is left out");
    free(line);
    return message;
}

bool broken_files_log(struct journal *journal, const char *vm, const char *uuid, const char *event,
                      const struct ruleset *ruleset) {
    const struct source *last = NULL;
    for (size_t i = 0; i < ruleset->diagnostics.count; i++) {
        const struct diagnostic *diagnostic = &ruleset->diagnostics.list[i];
        if (diagnostic->severity != SEVERITY_ERROR || diagnostic->source == last)
            continue;
        last = diagnostic->source;
        char *message = describe(diagnostic);
        journal_write(journal, &(struct journal_entry){.vm = vm,
                                                       .uuid = uuid,
                                                       .event = event,
                                                       .rule = last->path,
                                                       .result = RESULT_FAILED,
                                                       .message = message});
        free(message);
    }
    return last != NULL;
}
