/* Text of unknown origin, written to a terminal, a log or JSON; and numbers and JSON read from
 * text. */
#ifndef LEXER_TEXT_H
#define LEXER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;

/* --- JSON. Without memory each says so and ends with status 1, as memory.h. */

struct json_object *text_json_object(void);
struct json_object *text_json_array(void);
struct json_object *text_json_boolean(bool value);
struct json_object *text_json_number(int64_t value);
/* Sets a key, or adds to an array; takes `value`, which may be NULL. */
void text_json_add(struct json_object *object, const char *key, struct json_object *value);
void text_json_append(struct json_object *array, struct json_object *value);
/* The object on one line, borrowed. */
const char *text_json_line(struct json_object *object);

/* --- text */

/* Columns that text_print() takes for the text on a terminal. */
size_t text_width(const char *text, size_t length);

/*
 * Writes text so that it cannot steer a terminal: control characters (C0, DEL, C1), line
 * separators, those that change the direction of writing, and bytes that are not UTF-8 become '?',
 * a tab a blank; every character of the text stays one character.
 */
void text_print(FILE *out, const char *text, size_t length);

/* The same for a whole string. */
void text_print_string(FILE *out, const char *text);

/* Writes text with the same characters as \xNN or \uNNNN and bytes that are not UTF-8 as U+FFFD. */
void text_escape(FILE *out, const char *text, size_t length);

/* A JSON string, bytes that are not UTF-8 replaced by U+FFFD; JSON null for NULL. The caller owns
 * it. */
struct json_object *text_json(const char *text);

/* Sets a key of a JSON object to text_json(text). */
void text_put_json(struct json_object *object, const char *key, const char *text);

/*
 * The JSON object that the text is, or NULL: it is not one, has control characters or is not UTF-8.
 * Only what RFC 8259 allows is accepted. The caller owns it.
 */
struct json_object *text_parse_json(const char *text, size_t size);

/* Writes a JSON document for programs, and a newline; takes the object. */
void text_print_json(FILE *out, struct json_object *object);

/* A whole text that is one number, hexadecimal with or without 0x, or decimal. */
bool text_parse_hex(const char *text, uint32_t max, uint32_t *value);
bool text_parse_decimal(const char *text, uint32_t max, uint32_t *value);

/* Adds to a list for people, which is "" at first: ", " is between two, and `glue` (" or ") before
 * the last. */
void text_list(char **list, bool is_last, const char *glue, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * The text as one word of a shell, for a command to copy that stands within single quotes: as it
 * is, in double quotes, or as $'...' with octal escapes (bash, zsh, busybox) where the text has
 * what cannot be printed. The caller frees it.
 */
char *text_shell_word(const char *text);

/* The same as the first operand of a command, behind the options: "-- -vm" where it would be one.
 */
char *text_shell_operand(const char *text);

/* What follows the last slash: the whole without one. Borrowed from the path. */
const char *text_base_name(const char *path);

bool text_starts_with(const char *text, const char *start);
bool text_ends_with(const char *text, const char *end);

/* The next line, without its newline; NULL at the end. Changes the text, as strsep(3) does. */
char *text_next_line(char **text);
/* The next field between blanks, or NULL. */
char *text_next_field(char **text);
/* Up to `max` fields of a line, which it changes; returns how many there are. */
size_t text_split_fields(char *line, char **fields, size_t max);
/* `count` numbers with `separator` between them, as "1a6e/89a"; base is 10 or 16. Returns what
 * follows, or NULL. */
const char *text_parse_numbers(const char *text, int base, char separator, uint32_t *numbers,
                               size_t count);

#endif
