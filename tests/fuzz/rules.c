/* Any bytes as a rule file: scanner, parser, checks, and all that is printed of them. */
#include "parser/check.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool truth) {
    if (!truth)
        abort();
}

static void expect_span(const struct source *source, struct span span) {
    expect(span.start <= span.end && span.end <= source->size);
}

static void look_at(const struct diagnostic *diagnostic) {
    expect(diagnostic->check < CHECK_COUNT);
    expect_span(diagnostic->source, diagnostic->span);
    for (size_t i = 0; i < diagnostic->note_count; i++)
        expect_span(diagnostic->notes[i].source, diagnostic->notes[i].span);
    char *line = diagnostic_line(diagnostic);
    expect(!strchr(line, '\n'));
    free(line);
}

static void print(const struct diagnostics *diagnostics) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    expect(out != NULL);
    diagnostic_print(diagnostics, out, (struct terminal){.colour = true, .width = 40});
    expect(fclose(out) == 0);
    free(text);
    json_object_put(diagnostic_list_json(diagnostics));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct syntax syntax;
    struct source source;
    struct diagnostics diagnostics = {0};
    syntax_init(&syntax);
    source_from_text(&source, "fuzz.rules", (const char *)data, size);
    syntax_parse(&syntax, &source, &diagnostics);
    expect(size == 0 || memcmp(source.text, data, size) == 0);
    check_rules(&syntax, NULL, &diagnostics);
    diagnostic_sort(&diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        look_at(&diagnostics.list[i]);
    expect(source.broken == (diagnostic_count_errors(&diagnostics) > 0));
    for (const struct rule *rule = syntax.rules; rule; rule = rule->next) {
        expect_span(&source, rule->span);
        expect(source.broken ||
               (rule->events && !rule->vms == (rule->events->event == EVENT_BOOT)));
    }
    print(&diagnostics);
    diagnostic_finish_list(&diagnostics);
    syntax_finish(&syntax);
    source_finish(&source);
    return 0;
}
