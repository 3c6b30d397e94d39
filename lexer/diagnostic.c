#include "lexer/diagnostic.h"

#include "lexer/character.h"
#include "lexer/memory.h"
#include "lexer/text.h"
#include "lexer/utf8.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { CLIP_WIDTH = 100, CLIP_MARGIN = 8 }; /* columns of a long line; what is around them */
enum { HEAD_INDENT = 4, HINT_INDENT = 8 };
enum { PRINT_LIMIT = 1000 };                     /* errors and warnings of one file */
enum { MESSAGE_LIMIT = 400, MESSAGE_END = 150 }; /* bytes of a message, and of its end */

static void diagnostic_finish_one(struct diagnostic *diagnostic) {
    for (size_t j = 0; j < diagnostic->note_count; j++)
        free(diagnostic->notes[j].message);
    free(diagnostic->notes);
    free(diagnostic->message);
    free(diagnostic->hint);
}

void diagnostic_finish_list(struct diagnostics *diagnostics) {
    for (size_t i = 0; i < diagnostics->count; i++)
        diagnostic_finish_one(&diagnostics->list[i]);
    free(diagnostics->list);
    free(diagnostics->covered);
    *diagnostics = (struct diagnostics){0};
}

const char *diagnostic_name(const struct diagnostic *diagnostic) {
    static const char *const names[] = {
#define CHECK(check, name, ...) name,
#include "lexer/checks.def"
    };
    return names[diagnostic->check];
}

/* A message that quotes a very long word loses its middle. */
static char *diagnostic_make_message(const char *format, va_list arguments) {
    char *message = memory_vprintf(format, arguments);
    size_t length = strlen(message);
    if (length <= MESSAGE_LIMIT)
        return message;
    size_t head = MESSAGE_LIMIT - MESSAGE_END, tail = length - MESSAGE_END;
    while (head > 0 && utf8_is_continuation(message[head]))
        head--;
    while (tail < length && utf8_is_continuation(message[tail]))
        tail++;
    char *shorter = memory_printf("%.*s...%s", (int)head, message, message + tail);
    free(message);
    return shorter;
}

static struct diagnostic *diagnostic_append(struct diagnostics *diagnostics, struct source *source,
                                            enum check check) {
    diagnostics->list =
        memory_grow(diagnostics->list, diagnostics->count, sizeof *diagnostics->list);
    struct diagnostic *diagnostic = &diagnostics->list[diagnostics->count];
    *diagnostic = (struct diagnostic){.source = source,
                                      .severity = SEVERITY_ERROR,
                                      .check = check,
                                      .number = diagnostics->count++};
    return diagnostic;
}

struct diagnostic *diagnostic_add(struct diagnostics *diagnostics, struct source *source,
                                  struct span span, enum check check, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    struct diagnostic *diagnostic = diagnostic_append(diagnostics, source, check);
    diagnostic->message = diagnostic_make_message(format, arguments);
    va_end(arguments);
    diagnostic->span = span;
    return diagnostic;
}

struct diagnostic *diagnostic_add_file(struct diagnostics *diagnostics, struct source *source,
                                       enum check check, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    struct diagnostic *diagnostic = diagnostic_append(diagnostics, source, check);
    diagnostic->message = diagnostic_make_message(format, arguments);
    va_end(arguments);
    diagnostic->whole_file = true;
    return diagnostic;
}

void diagnostic_message(struct diagnostic *diagnostic, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    free(diagnostic->message);
    diagnostic->message = diagnostic_make_message(format, arguments);
    va_end(arguments);
}

void diagnostic_name_character(struct diagnostic *diagnostic) {
    struct span span = diagnostic->span;
    const char *name = NULL;
    uint32_t code = utf8_code_point(diagnostic->source->text + span.start, span.end - span.start);
    bool blank = character_kind(code, &name) == CHARACTER_BLANK;
    diagnostic_message(diagnostic, "a %s (U+%04X)%s", name ? name : "control character", code,
                       blank ? ", not a plain space" : "");
    if (name)
        diagnostic_hint(diagnostic, blank ? "write a plain space" : "delete it");
}

void diagnostic_hint(struct diagnostic *diagnostic, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    free(diagnostic->hint);
    diagnostic->hint = diagnostic_make_message(format, arguments);
    va_end(arguments);
}

void diagnostic_note(struct diagnostic *diagnostic, struct source *source, struct span span,
                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    diagnostic->notes =
        memory_grow(diagnostic->notes, diagnostic->note_count, sizeof *diagnostic->notes);
    diagnostic->notes[diagnostic->note_count++] =
        (struct note){source, span, diagnostic_make_message(format, arguments)};
    va_end(arguments);
}

static int diagnostic_order(size_t a, size_t b) {
    return (a > b) - (a < b);
}

void diagnostic_cover(struct diagnostics *diagnostics, struct source *source, struct span span,
                      struct span joiner) {
    diagnostics->covered =
        memory_grow(diagnostics->covered, diagnostics->covered_count, sizeof *diagnostics->covered);
    diagnostics->covered[diagnostics->covered_count++] = (struct covered){source, span, joiner};
}

static int diagnostic_by_place(const void *left, const void *right) {
    const struct covered *a = left, *b = right;
    int result = diagnostic_order(a->source->number, b->source->number);
    return result ? result : diagnostic_order(a->span.start, b->span.start);
}

/* Sorts the list and merges spans of one file that overlap. What was merged before stays as it is
 * when all others follow it, as those of the next file do. */
static void diagnostic_merge_covered(struct diagnostics *diagnostics) {
    struct covered *list = diagnostics->covered;
    size_t count = diagnostics->covered_merged, all = diagnostics->covered_count;
    qsort(list + count, all - count, sizeof *list, diagnostic_by_place);
    if (count && count < all && diagnostic_by_place(&list[count - 1], &list[count]) > 0) {
        count = 0;
        qsort(list, all, sizeof *list, diagnostic_by_place);
    }
    for (size_t i = count; i < all; i++) {
        struct covered *last = count ? &list[count - 1] : NULL;
        if (!last || last->source != list[i].source || last->span.end <= list[i].span.start) {
            list[count++] = list[i];
            continue;
        }
        if (last->span.end < list[i].span.end)
            last->span.end = list[i].span.end;
        if (!list[i].joiner.end)
            last->joiner = list[i].joiner;
    }
    diagnostics->covered_count = diagnostics->covered_merged = count;
}

/* The last of those that the diagnostic's span touches. */
static struct covered *diagnostic_find_covered(const struct diagnostics *diagnostics,
                                               const struct diagnostic *one) {
    size_t from = 0, to = diagnostics->covered_count;
    uint32_t last = one->span.end > one->span.start ? one->span.end - 1 : one->span.start;
    struct covered wanted = {.source = one->source, .span = {last, last}};
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (diagnostic_by_place(&diagnostics->covered[middle], &wanted) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    struct covered *found = from ? &diagnostics->covered[from - 1] : NULL;
    return found && found->source == one->source && one->span.start < found->span.end ? found
                                                                                      : NULL;
}

/* The error becomes one that names the invisible character, without which no other can be found. */
static void diagnostic_blame_joiner(struct diagnostic *diagnostic, struct covered *covered) {
    diagnostic->check = CHECK_CONTROL_CHARACTER;
    diagnostic->cause = diagnostic->fixed = true;
    diagnostic->span = covered->joiner;
    for (; diagnostic->note_count; diagnostic->note_count--)
        free(diagnostic->notes[diagnostic->note_count - 1].message);
    diagnostic_name_character(diagnostic);
    covered->joiner = (struct span){0, 0};
}

void diagnostic_drop_consequences(struct diagnostics *diagnostics, size_t from) {
    size_t kept = from;
    if (!diagnostics->covered_count || from >= diagnostics->count)
        return;
    diagnostic_merge_covered(diagnostics);
    for (size_t i = from; i < diagnostics->count; i++) {
        struct diagnostic *one = &diagnostics->list[i];
        struct covered *covered =
            one->whole_file || one->cause ? NULL : diagnostic_find_covered(diagnostics, one);
        if (covered && covered->joiner.end && one->severity == SEVERITY_ERROR)
            diagnostic_blame_joiner(one, covered);
        else if (covered && !covered->joiner.end) {
            diagnostic_finish_one(one);
            continue;
        }
        diagnostics->list[kept++] = *one;
    }
    diagnostics->count = kept;
}

static size_t diagnostic_count_severity(const struct diagnostics *diagnostics,
                                        enum severity severity) {
    size_t count = 0;
    for (size_t i = 0; i < diagnostics->count; i++)
        count += diagnostics->list[i].severity == severity;
    return count;
}

size_t diagnostic_count_errors(const struct diagnostics *diagnostics) {
    return diagnostic_count_severity(diagnostics, SEVERITY_ERROR);
}

size_t diagnostic_count_warnings(const struct diagnostics *diagnostics) {
    return diagnostic_count_severity(diagnostics, SEVERITY_WARNING);
}

static int diagnostic_compare(const void *left, const void *right) {
    const struct diagnostic *a = left, *b = right;
    int result = diagnostic_order(a->source->number, b->source->number);
    if (!result)
        result = diagnostic_order(a->span.start, b->span.start);
    return result ? result : diagnostic_order(a->number, b->number);
}

void diagnostic_sort(struct diagnostics *diagnostics) {
    if (diagnostics->count)
        qsort(diagnostics->list, diagnostics->count, sizeof *diagnostics->list, diagnostic_compare);
}

/* Moves an offset by whole characters of at most so many columns, within the line. */
static uint32_t diagnostic_move(const struct source *source, uint32_t at, uint32_t limit, int step,
                                size_t columns) {
    while (at != limit) {
        uint32_t next = at;
        do
            next += (uint32_t)step;
        while (next != limit && utf8_is_continuation(source->text[next]));
        uint32_t start = next < at ? next : at, end = next < at ? at : next;
        size_t width = text_width(source->text + start, end - start);
        if (width > columns)
            break;
        columns -= width;
        at = next;
    }
    return at;
}

/* The line, clipped around the span when it is long, and the caret below. */
static void diagnostic_print_excerpt(struct source *source, struct span span, FILE *out,
                                     struct terminal terminal, const char *paint) {
    size_t room = terminal.width && terminal.width < CLIP_WIDTH + CLIP_MARGIN
                      ? terminal.width - CLIP_MARGIN
                      : CLIP_WIDTH;
    struct span line = source_position(source, span.start).text;
    uint32_t start = span.start < line.start ? line.start : span.start;
    start = start > line.end ? line.end : start;
    struct span shown = line;
    if (diagnostic_move(source, line.start, line.end, 1, room) != line.end)
        shown.start = diagnostic_move(source, start, line.start, -1, room * 2 / 5);
    shown.end = diagnostic_move(source, shown.start, line.end, 1, room);
    const char *before = shown.start > line.start ? "..." : "";
    fprintf(out, "  %s", before);
    text_print(out, source->text + shown.start, shown.end - shown.start);
    fprintf(out, "%s\n", shown.end < line.end ? "..." : "");
    fprintf(out, "%*s",
            (int)(2 + strlen(before) + text_width(source->text + shown.start, start - shown.start)),
            "");
    uint32_t end = span.end > shown.end ? shown.end : span.end;
    fputs(terminal_paint(terminal, paint), out);
    putc('^', out);
    for (size_t i = end > start ? text_width(source->text + start, end - start) : 1; i > 1; i--)
        putc('~', out);
    fprintf(out, "%s\n", terminal_paint(terminal, TERMINAL_PLAIN));
}

static void diagnostic_print_place(struct source *source, struct span span, bool whole_file,
                                   FILE *out, struct terminal terminal) {
    fputs(terminal_paint(terminal, TERMINAL_BOLD), out);
    text_print(out, source->path, strlen(source->path));
    if (!whole_file) {
        struct position position = source_position(source, span.start);
        fprintf(out, ":%zu:%u", position.line, position.column);
    }
    fprintf(out, ":%s ", terminal_paint(terminal, TERMINAL_PLAIN));
}

static const char *diagnostic_severity_word(enum severity severity) {
    return severity == SEVERITY_ERROR ? "error" : "warning";
}

static const char *diagnostic_severity_paint(enum severity severity) {
    return severity == SEVERITY_ERROR ? TERMINAL_BOLD_RED : TERMINAL_BOLD_MAGENTA;
}

static void diagnostic_print_head(const struct diagnostic *diagnostic, FILE *out,
                                  struct terminal terminal) {
    diagnostic_print_place(diagnostic->source, diagnostic->span, diagnostic->whole_file, out,
                           terminal);
    fprintf(
        out, "%s%s:%s ", terminal_paint(terminal, diagnostic_severity_paint(diagnostic->severity)),
        diagnostic_severity_word(diagnostic->severity), terminal_paint(terminal, TERMINAL_PLAIN));
    text_print(out, diagnostic->message, strlen(diagnostic->message));
    fprintf(out, " [%s]", diagnostic_name(diagnostic));
}

static void diagnostic_print_note(const struct note *note, FILE *out, struct terminal terminal) {
    char *text;
    size_t size;
    FILE *head = memory_stream(&text, &size);
    diagnostic_print_place(note->source, note->span, false, head, terminal);
    fprintf(head, "%snote:%s ", terminal_paint(terminal, TERMINAL_CYAN),
            terminal_paint(terminal, TERMINAL_PLAIN));
    text_print(head, note->message, strlen(note->message));
    putc('\n', head);
    terminal_wrap_stream(out, terminal, HEAD_INDENT, head, &text);
    diagnostic_print_excerpt(note->source, note->span, out, terminal, TERMINAL_CYAN);
}

static void diagnostic_print_hint(const char *hint, FILE *out, struct terminal terminal) {
    char *text;
    size_t size;
    FILE *line = memory_stream(&text, &size);
    fprintf(line, "  %s", terminal_hint(terminal));
    text_print_string(line, hint);
    putc('\n', line);
    terminal_wrap_stream(out, terminal, HINT_INDENT, line, &text);
}

static void diagnostic_print_one(const struct diagnostic *diagnostic, FILE *out,
                                 struct terminal terminal) {
    char *text;
    size_t size;
    FILE *head = memory_stream(&text, &size);
    diagnostic_print_head(diagnostic, head, terminal);
    putc('\n', head);
    terminal_wrap_stream(out, terminal, HEAD_INDENT, head, &text);
    if (!diagnostic->whole_file)
        diagnostic_print_excerpt(diagnostic->source, diagnostic->span, out, terminal,
                                 diagnostic_severity_paint(diagnostic->severity));
    if (diagnostic->hint)
        diagnostic_print_hint(diagnostic->hint, out, terminal);
    for (size_t i = 0; i < diagnostic->note_count; i++)
        diagnostic_print_note(&diagnostic->notes[i], out, terminal);
}

/* Of each file only the first are printed, and how many more there are. */
static void diagnostic_print_all(const struct diagnostics *diagnostics, FILE *out,
                                 struct terminal terminal) {
    size_t shown = 0;
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *one = &diagnostics->list[i];
        if (one->severity != SEVERITY_IGNORE && shown++ < PRINT_LIMIT)
            diagnostic_print_one(one, out, terminal);
        if (i + 1 < diagnostics->count && one->source == one[1].source)
            continue;
        if (shown > PRINT_LIMIT) {
            text_print(out, one->source->path, strlen(one->source->path));
            fprintf(out, ": %zu more; --json shows all\n", shown - PRINT_LIMIT);
        }
        shown = 0;
    }
}

/* Standard error has no buffer of its own, and every character would be a system call. */
void diagnostic_print(const struct diagnostics *diagnostics, FILE *out, struct terminal terminal) {
    char *text = NULL;
    size_t size = 0;
    FILE *buffer = memory_stream(&text, &size);
    diagnostic_print_all(diagnostics, buffer, terminal);
    memory_stream_close(buffer, &text);
    fwrite(text, 1, size, out);
    free(text);
}

char *diagnostic_line(const struct diagnostic *diagnostic) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    diagnostic_print_head(diagnostic, out, (struct terminal){0});
    memory_stream_close(out, &text);
    return text;
}

/* --- JSON */

static void diagnostic_put_number(struct json_object *object, const char *key, size_t number) {
    text_json_add(object, key, text_json_number((int64_t)number));
}

/* `end` is the column after the span's last character; of a span over several lines, after the
 * first line's. */
static void diagnostic_put_place(struct json_object *object, struct source *source,
                                 struct span span) {
    struct position start = source_position(source, span.start);
    uint32_t end = span.end < start.text.end ? span.end : start.text.end;
    unsigned width = end > span.start ? source_characters(source, span.start, end) : 0;
    diagnostic_put_number(object, "line", start.line);
    diagnostic_put_number(object, "column", start.column);
    diagnostic_put_number(object, "end", start.column + width);
}

static struct json_object *diagnostic_note_json(const struct note *note) {
    struct json_object *object = text_json_object();
    text_put_json(object, "path", note->source->path);
    diagnostic_put_place(object, note->source, note->span);
    text_put_json(object, "message", note->message);
    return object;
}

static struct json_object *diagnostic_json(const struct diagnostic *diagnostic) {
    struct json_object *object = text_json_object();
    struct json_object *notes = text_json_array();
    text_put_json(object, "path", diagnostic->source->path);
    if (diagnostic->whole_file) {
        text_json_add(object, "line", NULL);
        text_json_add(object, "column", NULL);
        text_json_add(object, "end", NULL);
    } else {
        diagnostic_put_place(object, diagnostic->source, diagnostic->span);
    }
    text_put_json(object, "severity", diagnostic_severity_word(diagnostic->severity));
    text_put_json(object, "name", diagnostic_name(diagnostic));
    text_put_json(object, "message", diagnostic->message);
    text_put_json(object, "hint", diagnostic->hint);
    for (size_t i = 0; i < diagnostic->note_count; i++)
        text_json_append(notes, diagnostic_note_json(&diagnostic->notes[i]));
    text_json_add(object, "notes", notes);
    return object;
}

struct json_object *diagnostic_list_json(const struct diagnostics *diagnostics) {
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->list[i].severity != SEVERITY_IGNORE)
            text_json_append(array, diagnostic_json(&diagnostics->list[i]));
    return array;
}
