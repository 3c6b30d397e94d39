#include "engine/state/log_text.h"

#include "engine/system/when.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { INDENT = 10 };

const char *log_text_colour(const char *result) {
    if (!strcmp(result, "failed") || !strcmp(result, "refused") || !strcmp(result, "stopped"))
        return TERMINAL_RED;
    return !strcmp(result, "absent") || !strcmp(result, "unmatched") || !strcmp(result, "waiting")
               ? TERMINAL_YELLOW
               : TERMINAL_GREEN;
}

char *log_text_message(const struct log_line *line) {
    const char *message = line->message ? line->message : "";
    size_t size = strlen(message), rest = line->hint ? strlen(line->hint) + strlen("; ") : 0;
    if (rest && rest < size && text_ends_with(message, line->hint) &&
        !strncmp(message + size - rest, "; ", 2))
        size -= rest;
    return memory_strndup(message, size);
}

/* Not one word of what is about nothing. */
static void log_text_put_subject(FILE *out, const struct log_line *line) {
    const char *words[] = {line->vm, line->event, line->action, line->device};
    const char *separator = "";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!words[i])
            continue;
        fputs(separator, out);
        text_print_string(out, words[i]);
        separator = " ";
    }
    fputs(*separator ? ": " : "", out);
}

/* What no rule matched has no result but that. */
static void log_text_print_head(FILE *out, struct terminal terminal, size_t indent,
                                const struct log_line *line, const char *message, bool with_time) {
    char *text = NULL, time[16] = "";
    size_t size = 0;
    int64_t when;
    const char *result = line->result ? line->result : "";
    bool is_event = !strcmp(result, "unmatched");
    FILE *stream = memory_stream(&text, &size);
    if (with_time && line->time && when_parse_stamp(line->time, &when))
        when_time(when, time);
    if (with_time)
        fprintf(stream, "%-*s", INDENT, time);
    log_text_put_subject(stream, line);
    fputs(terminal_paint(terminal, log_text_colour(result)), stream);
    text_print_string(stream, is_event ? message : result);
    fprintf(stream, "%s\n", terminal_paint(terminal, TERMINAL_PLAIN));
    terminal_wrap_stream(out, terminal, indent, stream, &text);
    if (!is_event && *message)
        terminal_print_line(out, terminal, indent, "", message);
}

void log_text_print(FILE *out, struct terminal terminal, const struct log_line *line,
                    bool with_time) {
    size_t indent = with_time && terminal.width >= (size_t)4 * INDENT ? INDENT : 4;
    char *message = log_text_message(line);
    log_text_print_head(out, terminal, indent, line, message, with_time);
    if (line->rule)
        terminal_print_line(out, terminal, indent, "rule ", line->rule);
    if (line->hint)
        terminal_print_line(out, terminal, indent, terminal_hint(terminal), line->hint);
    free(message);
}
