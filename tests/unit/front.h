/* Rule text through scanner, parser and checks, for the tests of lexer/ and parser/. */
#ifndef TESTS_FRONT_H
#define TESTS_FRONT_H

#include "parser/check.h"
#include "parser/syntax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRONT_FILES = 4 };

struct front {
    struct syntax syntax;
    struct diagnostics diagnostics;
    struct source sources[FRONT_FILES];
    size_t count;
};

static inline void front_init(struct front *front) {
    *front = (struct front){0};
    syntax_init(&front->syntax);
}

static inline struct source *front_add(struct front *front, const char *path, const char *text,
                                       size_t size) {
    struct source *source = &front->sources[front->count];
    source_from_text(source, path, text, size);
    source->number = front->count++;
    return source;
}

static inline void front_parse(struct front *front, const char *text) {
    front_init(front);
    syntax_parse(&front->syntax, front_add(front, "t.rules", text, strlen(text)),
                 &front->diagnostics);
}

/* Every file is one text of the list, which ends with NULL: "0.rules", "1.rules" and so on. */
static inline void front_check_files(struct front *front, const struct check_config *config,
                                     const char *const *texts) {
    front_init(front);
    for (size_t i = 0; texts[i]; i++) {
        char path[] = {(char)('0' + i), '.', 'r', 'u', 'l', 'e', 's', '\0'};
        syntax_parse(&front->syntax, front_add(front, path, texts[i], strlen(texts[i])),
                     &front->diagnostics);
    }
    check_rules(&front->syntax, config, &front->diagnostics);
    diagnostic_sort(&front->diagnostics);
}

static inline void front_check(struct front *front, const char *text) {
    const char *const texts[] = {text, NULL};
    front_check_files(front, NULL, texts);
}

static inline void front_finish(struct front *front) {
    diagnostic_finish_list(&front->diagnostics);
    syntax_finish(&front->syntax);
    for (size_t i = 0; i < front->count; i++)
        source_finish(&front->sources[i]);
}

/* The diagnostics as "name@word name@word": what the span covers, in its first file. */
static inline char *front_summary(const struct front *front) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    for (size_t i = 0; i < front->diagnostics.count; i++) {
        const struct diagnostic *one = &front->diagnostics.list[i];
        assert_true(one->span.start <= one->span.end && one->span.end <= one->source->size);
        fprintf(out, "%s%s@%.*s", i ? " " : "", diagnostic_name(one),
                (int)(one->span.end - one->span.start), one->source->text + one->span.start);
    }
    fclose(out);
    return text;
}

static inline void assert_summary(const struct front *front, const char *rules,
                                  const char *expected) {
    char *summary = front_summary(front);
    if (strcmp(summary, expected) != 0)
        fail_msg("of:\n%s\nwas said: %s\nexpected: %s", rules, summary, expected);
    free(summary);
}

/* What is said of a text is exactly this. */
static inline void assert_says(const char *rules, const char *expected) {
    struct front front;
    front_check(&front, rules);
    assert_summary(&front, rules, expected);
    front_finish(&front);
}

/* The text between the span's ends is exactly this. */
static inline void assert_covers(const struct source *source, struct span span,
                                 const char *expected) {
    if (span.end < span.start || span.end > source->size ||
        span.end - span.start != strlen(expected) ||
        memcmp(source->text + span.start, expected, span.end - span.start) != 0)
        fail_msg("the span %u to %u is '%.*s', not '%s'", span.start, span.end,
                 (int)(span.end - span.start), source->text + span.start, expected);
}

#endif
