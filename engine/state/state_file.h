/*
 * Files of the state directory: lines of text, each with its CRC-32 in hexadecimal as the last
 * word, replaced as a whole. A line that was changed is found by that.
 */
#ifndef ENGINE_STATE_FILE_H
#define ENGINE_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A text that grows; all zero at first, the caller frees `text`. */
struct state_text {
    char *text; /* never ended by a NUL of its own */
    size_t size;
};

/* Adds one line and its sum. Line feeds in it become blanks. */
void state_file_add_line(struct state_text *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The next line without its sum and line feed, ended by a NUL within `*rest`, which is moved behind
 * it; `*left` bytes are left there. `*line` is NULL when the line was changed or is not whole.
 * Returns false at the end.
 */
bool state_file_next_line(char **rest, size_t *left, char **line);

#endif
