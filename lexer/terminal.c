#include "lexer/terminal.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NARROWEST = 20, USUAL_WIDTH = 80 };

static size_t terminal_width(FILE *out, bool is_terminal) {
    const char *columns = getenv("COLUMNS");
    uint32_t number = 0;
    struct winsize size = {0};
    if (columns && text_parse_decimal(columns, INT_MAX, &number) && number >= NARROWEST)
        return number;
    if (!is_terminal)
        return 0;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || !size.ws_col)
        return USUAL_WIDTH;
    return size.ws_col < NARROWEST ? NARROWEST : size.ws_col;
}

struct terminal terminal_of(FILE *out) {
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    bool is_terminal = isatty(fileno(out));
    return (struct terminal){.colour = is_terminal && !(no_colour && *no_colour) && kind && *kind &&
                                       strcmp(kind, "dumb") != 0,
                             .width = terminal_width(out, is_terminal)};
}

const char *terminal_paint(struct terminal terminal, const char *sequence) {
    return terminal.colour ? sequence : "";
}

const char *terminal_hint(struct terminal terminal) {
    return terminal.colour ? TERMINAL_CYAN "hint:" TERMINAL_PLAIN " " : "hint: ";
}

/* The columns of text with SGR sequences, which take none. */
static size_t terminal_columns(const char *text, size_t length) {
    size_t columns = 0;
    for (size_t i = 0; i < length;) {
        const char *escape = memchr(text + i, '\033', length - i);
        size_t end = escape ? (size_t)(escape - text) : length;
        columns += text_width(text + i, end - i);
        while (end < length && text[end] != 'm')
            end++;
        i = end + 1;
    }
    return columns;
}

/* The bytes of what is not broken at the text's beginning: a quoted text that is not wider than
 * `room`, or a word. */
static size_t terminal_piece(const char *text, size_t room) {
    size_t word = strcspn(text, " \n");
    size_t start = strspn(text, "(");
    if (text[start] != '\'')
        return word;
    size_t inner = start + 1 + strcspn(text + start + 1, "'\n");
    if (text[inner] != '\'')
        return word;
    size_t quoted = inner + strcspn(text + inner, " \n");
    return quoted > word && terminal_columns(text, quoted) <= room ? quoted : word;
}

/* Returns what follows the line. */
static const char *terminal_wrap_line(FILE *out, size_t width, size_t indent, const char *line) {
    size_t column = 0;
    bool has_word = false;
    while (*line && *line != '\n') {
        size_t blanks = strspn(line, " ");
        size_t piece = terminal_piece(line + blanks, width - indent);
        size_t columns = terminal_columns(line + blanks, piece);
        if (!piece) /* blanks at the end of the line */
            return line + blanks;
        if (has_word && column > indent && column + blanks + columns > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else {
            fprintf(out, "%*s", (int)blanks, "");
            column += blanks;
        }
        fwrite(line + blanks, 1, piece, out);
        column += columns;
        has_word |= columns > 0;
        line += blanks + piece;
    }
    return line;
}

void terminal_wrap(FILE *out, struct terminal terminal, size_t indent, const char *text) {
    if (!terminal.width) {
        fputs(text, out);
        return;
    }
    if (indent > terminal.width / 2) /* a narrow terminal */
        indent = 2;
    while (*text) {
        text = terminal_wrap_line(out, terminal.width, indent, text);
        if (*text)
            putc(*text++, out);
    }
}

void terminal_wrap_stream(FILE *out, struct terminal terminal, size_t indent, FILE *stream,
                          char **text) {
    memory_stream_close(stream, text);
    terminal_wrap(out, terminal, indent, *text);
    free(*text);
}

void terminal_print_line(FILE *out, struct terminal terminal, size_t indent, const char *start,
                         const char *text) {
    char *line;
    size_t size;
    FILE *stream = memory_stream(&line, &size);
    fprintf(stream, "%*s%s", (int)indent, "", start);
    text_print_string(stream, text);
    putc('\n', stream);
    terminal_wrap_stream(out, terminal, indent + 2, stream, &line);
}
