/* Text for people, who read it at a terminal: its colours, its width, and wrapped lines. */
#ifndef LEXER_TERMINAL_H
#define LEXER_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* SGR sequences of ECMA-48, the only ones that are written. */
#define TERMINAL_BOLD "\033[1m"
#define TERMINAL_DIM "\033[2m"
#define TERMINAL_RED "\033[31m"
#define TERMINAL_GREEN "\033[32m"
#define TERMINAL_YELLOW "\033[33m"
#define TERMINAL_CYAN "\033[36m"
#define TERMINAL_BOLD_RED "\033[1;31m"
#define TERMINAL_BOLD_MAGENTA "\033[1;35m"
#define TERMINAL_PLAIN "\033[0m"

/* How to write to a stream. All zero: to a file or a program. */
struct terminal {
    bool colour;
    size_t width; /* columns of a line; 0: lines are not wrapped */
};

/*
 * Colour: on a terminal, without NO_COLOR, unless the terminal is dumb. The width: of COLUMNS where
 * that is a number from 20 on, else of the terminal. A file or a pipe has no width of its own, so
 * that grep(1) finds whole lines.
 */
struct terminal terminal_of(FILE *out);

/* The sequence; without colour "". */
const char *terminal_paint(struct terminal terminal, const char *sequence);

/* "hint: ", in the one colour that it has everywhere. */
const char *terminal_hint(struct terminal terminal);

/*
 * Prints text, in which a line that is too long goes on in the next one, `indent` columns from the
 * left. Runs of blanks within a line stay. Neither a word nor 'a quoted text' is broken, unless the
 * latter is longer than a whole line. The text must be clean, as text_print() leaves it, but may
 * have SGR sequences.
 */
void terminal_wrap(FILE *out, struct terminal terminal, size_t indent, const char *text);

/* Prints the whole of a memory_stream(), wrapped, and frees it. */
void terminal_wrap_stream(FILE *out, struct terminal terminal, size_t indent, FILE *stream,
                          char **text);

/* Prints one line, `indent` columns from the left, and what of it is wrapped two columns further:
 * `start` as it is, then text of any origin, as text_print() does. */
void terminal_print_line(FILE *out, struct terminal terminal, size_t indent, const char *start,
                         const char *text);

#endif
