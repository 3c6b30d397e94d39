/* What is wrong with rule files, as values: collected by every stage, printed in one place. */
#ifndef LEXER_DIAGNOSTIC_H
#define LEXER_DIAGNOSTIC_H

#include "lexer/source.h"
#include "lexer/terminal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct json_object;

enum severity { SEVERITY_IGNORE, SEVERITY_WARNING, SEVERITY_ERROR };

/* Who found it; the rows are in lexer/checks.def. */
enum check {
#define CHECK(check, ...) CHECK_##check,
#include "lexer/checks.def"
    CHECK_COUNT,
    CHECK_NONE = CHECK_COUNT
};

/* A second place, such as "first defined here". */
struct note {
    struct source *source;
    struct span span;
    char *message;
};

struct diagnostic {
    struct source *source;
    struct span span; /* empty when the file as a whole is meant */
    bool whole_file;
    bool fixed; /* keeps its severity, whatever its check has */
    bool cause; /* of what else is wrong with its statement, see diagnostic_cover() */
    enum severity severity;
    enum check check;
    char *message;
    char *hint; /* what to do; NULL: nothing is known */
    struct note *notes;
    size_t note_count;
    size_t number; /* order of discovery */
};

/* A stretch of text with a mistake, from which more may follow. */
struct covered {
    struct source *source;
    struct span span;
    struct span joiner; /* a character without a shape, if any error is found there; else nothing */
};

struct diagnostics {
    struct diagnostic *list;
    size_t count;
    struct covered *covered;
    size_t covered_count, covered_merged; /* those at the beginning that are in order */
};

void diagnostic_finish_list(struct diagnostics *diagnostics);

/*
 * Adds an error; the severity is the caller's to change in what is returned, which stays valid
 * until the next one is added.
 */
struct diagnostic *diagnostic_add(struct diagnostics *diagnostics, struct source *source,
                                  struct span span, enum check check, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
struct diagnostic *diagnostic_add_file(struct diagnostics *diagnostics, struct source *source,
                                       enum check check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The check's name, as in [brackets]. */
const char *diagnostic_name(const struct diagnostic *diagnostic);
/* Replaces the message. */
void diagnostic_message(struct diagnostic *diagnostic, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Sets message and hint for the invisible character that the span covers. */
void diagnostic_name_character(struct diagnostic *diagnostic);
void diagnostic_hint(struct diagnostic *diagnostic, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void diagnostic_note(struct diagnostic *diagnostic, struct source *source, struct span span,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * One mistake is one error: within the span diagnostic_drop_consequences() keeps only diagnostics
 * with `cause`. With a joiner, an error within the span is replaced by one that names that
 * character.
 */
void diagnostic_cover(struct diagnostics *diagnostics, struct source *source, struct span span,
                      struct span joiner);
/* Of the diagnostics from the number `from` on; their severities count. */
void diagnostic_drop_consequences(struct diagnostics *diagnostics, size_t from);

size_t diagnostic_count_errors(const struct diagnostics *diagnostics);
size_t diagnostic_count_warnings(const struct diagnostics *diagnostics);

/* In the order of files and places, not of discovery. Ignored ones are not printed. */
void diagnostic_sort(struct diagnostics *diagnostics);
void diagnostic_print(const struct diagnostics *diagnostics, FILE *out, struct terminal terminal);

/* One line, "path:3:12: error: text [name]", without its hint. The caller frees it. */
char *diagnostic_line(const struct diagnostic *diagnostic);

/* The printed ones as a JSON array: path, line, column, end, severity, name, message, hint, notes.
 */
struct json_object *diagnostic_list_json(const struct diagnostics *diagnostics);

#endif
