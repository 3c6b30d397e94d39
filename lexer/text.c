#include "lexer/text.h"

#include "lexer/memory.h"
#include "lexer/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd";

enum { JSON_ESCAPE = 3, JSON_ESCAPED = 13 }; /* at most so many times as long; one, and a NUL */

/* Characters that a terminal draws over the one before, or over two columns. */
static const struct {
    uint32_t first, last;
    unsigned columns;
} widths[] = {
    {0x0300, 0x036f, 0},   {0x1100, 0x115f, 2},   {0x200b, 0x200f, 0},   {0x2060, 0x2064, 0},
    {0x2e80, 0x303e, 2},   {0x3041, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},
    {0xfe00, 0xfe0f, 0},   {0xfe30, 0xfe6f, 2},   {0xfeff, 0xfeff, 0},   {0xff01, 0xff60, 2},
    {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2},
    {0x20000, 0x3fffd, 2},
};

static unsigned text_columns_of(uint32_t code) {
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        if (code >= widths[i].first && code <= widths[i].last)
            return widths[i].columns;
    return 1;
}

size_t text_width(const char *text, size_t length) {
    size_t width = 0;
    for (size_t i = 0, size; i < length; i += size ? size : 1) {
        size = utf8_length(text + i, length - i);
        if (size > 1)
            width += text_columns_of(utf8_code_point(text + i, size));
        else
            width += size == 1 || !utf8_is_continuation(text[i]);
    }
    return width;
}

/* Line separators, and what turns the direction of writing around, steer what is shown as well. */
static bool text_is_control(const char *text, size_t length) {
    uint32_t code = utf8_code_point(text, length);
    return code < ' ' || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* In its place: a blank, a question mark, or nothing for what is counted with the byte before it.
 */
static const char *text_replacement(const char *text, size_t length) {
    return length == 1 && *text == '\t'                 ? " "
           : length > 0 || !utf8_is_continuation(*text) ? "?"
                                                        : "";
}

void text_print(FILE *out, const char *text, size_t length) {
    size_t printed = 0; /* up to there; what follows is plain so far */
    for (size_t i = 0, size; i < length; i += size ? size : 1) {
        size = utf8_length(text + i, length - i);
        if (size > 0 && !text_is_control(text + i, size))
            continue;
        fwrite(text + printed, 1, i - printed, out);
        fputs(text_replacement(text + i, size), out);
        printed = i + (size ? size : 1);
    }
    fwrite(text + printed, 1, length - printed, out);
}

void text_print_string(FILE *out, const char *text) {
    text_print(out, text, strlen(text));
}

void text_escape(FILE *out, const char *text, size_t length) {
    for (size_t i = 0, size; i < length; i += size ? size : 1) {
        size = utf8_length(text + i, length - i);
        if (size == 0)
            fputs(REPLACEMENT, out);
        else if (text_is_control(text + i, size))
            fprintf(out, size > 2 ? "\\u%04x" : "\\x%02x", utf8_code_point(text + i, size));
        else
            fwrite(text + i, 1, size, out);
    }
}

/* --- JSON */

static struct json_object *text_json_check(struct json_object *object) {
    if (!object)
        memory_fail();
    return object;
}

struct json_object *text_json_object(void) {
    return text_json_check(json_object_new_object());
}

struct json_object *text_json_array(void) {
    return text_json_check(json_object_new_array());
}

struct json_object *text_json_boolean(bool value) {
    return text_json_check(json_object_new_boolean(value));
}

struct json_object *text_json_number(int64_t value) {
    return text_json_check(json_object_new_int64(value));
}

void text_json_add(struct json_object *object, const char *key, struct json_object *value) {
    if (json_object_object_add(object, key, value) < 0)
        memory_fail();
}

void text_json_append(struct json_object *array, struct json_object *value) {
    if (json_object_array_add(array, value) < 0)
        memory_fail();
}

static const char *text_json_string(struct json_object *object, int flags) {
    const char *text = json_object_to_json_string_ext(object, flags);
    if (!text)
        memory_fail();
    return text;
}

const char *text_json_line(struct json_object *object) {
    return text_json_string(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

struct json_object *text_json(const char *text) {
    if (!text)
        return NULL;
    size_t length = strlen(text);
    char *valid = memory_resize(NULL, 3 * length + 1, 1);
    size_t used = 0;
    for (size_t i = 0, size; i < length; i += size ? size : 1) {
        size = utf8_length(text + i, length - i);
        size_t take = size ? size : strlen(REPLACEMENT);
        memcpy(valid + used, size ? text + i : REPLACEMENT, take);
        used += take;
    }
    struct json_object *json = text_json_check(json_object_new_string_len(valid, (int)used));
    free(valid);
    return json;
}

void text_put_json(struct json_object *object, const char *key, const char *text) {
    text_json_add(object, key, text_json(text));
}

/* --- reading JSON */

/* Writes characters beyond ASCII as \uXXXX, since json-c 0.18 in strict mode refuses every byte
 * from 0x80 on. Returns how much was written, or SIZE_MAX. */
static size_t text_escape_json(const char *text, size_t size, char *escaped) {
    size_t used = 0;
    for (size_t i = 0, length; i < size; i += length) {
        length = utf8_length(text + i, size - i);
        if (!length || (unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return SIZE_MAX;
        uint32_t code = length == 1 ? (unsigned char)text[i] : utf8_code_point(text + i, length);
        if (length == 1)
            escaped[used++] = text[i];
        else if (code <= UINT16_MAX)
            used += (size_t)snprintf(escaped + used, JSON_ESCAPED, "\\u%04x", (unsigned)code);
        else
            used += (size_t)snprintf(escaped + used, JSON_ESCAPED, "\\u%04x\\u%04x",
                                     0xD800U | (unsigned)((code - 0x10000) >> 10),
                                     0xDC00U | (unsigned)((code - 0x10000) & 0x3FF));
    }
    return used;
}

struct json_object *text_parse_json(const char *text, size_t size) {
    struct json_object *object = NULL;
    if (size > INT_MAX / JSON_ESCAPE)
        return NULL;
    char *escaped = memory_resize(NULL, size * JSON_ESCAPE + JSON_ESCAPED, 1);
    size_t used = text_escape_json(text, size, escaped);
    struct json_tokener *tokener = json_tokener_new();
#if JSON_C_VERSION_NUM < (16 << 8) /* 0.16 looks itself whether there is a buffer */
    bool is_made = tokener && tokener->pb;
#else
    bool is_made = tokener;
#endif
    if (!is_made)
        memory_fail();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    if (used != SIZE_MAX)
        object = json_tokener_parse_ex(tokener, escaped, (int)used);
    bool good = json_tokener_get_error(tokener) == json_tokener_success &&
                json_tokener_get_parse_end(tokener) == used &&
                json_object_is_type(object, json_type_object);
    json_tokener_free(tokener);
    free(escaped);
    if (good)
        return object;
    json_object_put(object);
    return NULL;
}

void text_print_json(FILE *out, struct json_object *object) {
    fputs(text_json_string(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                       JSON_C_TO_STRING_NOSLASHESCAPE),
          out);
    putc('\n', out);
    json_object_put(object);
}

static bool text_parse_number(const char *text, int base, uint32_t max, uint32_t *value) {
    char *end = NULL;

    /* strtoul(3) takes blanks and signs too. */
    if (!text || !strchr("0123456789abcdefABCDEF", *text) || !*text)
        return false;
    errno = 0;
    unsigned long number = strtoul(text, &end, base);
    if (errno || *end || number > max)
        return false;
    *value = (uint32_t)number;
    return true;
}

bool text_parse_hex(const char *text, uint32_t max, uint32_t *value) {
    return text_parse_number(text, 16, max, value);
}

bool text_parse_decimal(const char *text, uint32_t max, uint32_t *value) {
    return text_parse_number(text, 10, max, value);
}

void text_list(char **list, bool is_last, const char *glue, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *item = memory_vprintf(format, arguments);
    va_end(arguments);
    memory_append(list, "%s%s", !**list ? "" : is_last ? glue : ", ", item);
    free(item);
}

/* Whether it may be printed and pasted within double quotes: a shell that talks to a person takes
 * '!' there for a command of before. */
static bool text_is_printable(const char *text, size_t size) {
    return size && !text_is_control(text, size) && *text != '!';
}

char *text_shell_word(const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._+@:-/=,%";
    size_t left = strlen(text), size;
    bool has_escapes = false;
    if (left && strspn(text, plain) == left)
        return memory_strdup(text);
    for (size_t i = 0; i < left; i += size ? size : 1) {
        size = utf8_length(text + i, left - i);
        has_escapes |= !text_is_printable(text + i, size);
    }
    char *word = memory_strdup(has_escapes ? "$'" : "\"");
    for (; left; text += size, left -= size) {
        size = utf8_length(text, left);
        bool is_printable = text_is_printable(text, size);
        size = size ? size : 1;
        for (size_t i = 0; !is_printable && i < size; i++)
            memory_append(&word, "\\%03o", (unsigned char)text[i]);
        if (is_printable && strchr(has_escapes ? "\\'" : "\\\"$`", *text))
            memory_append(&word, "\\");
        if (is_printable)
            memory_append(&word, "%.*s", (int)size, text);
    }
    memory_append(&word, has_escapes ? "'" : "\"");
    return word;
}

char *text_shell_operand(const char *text) {
    char *word = text_shell_word(text), *operand;
    if (*text != '-')
        return word;
    operand = memory_printf("-- %s", word);
    free(word);
    return operand;
}

const char *text_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool text_starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

bool text_ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

char *text_next_line(char **text) {
    return strsep(text, "\n");
}

char *text_next_field(char **text) {
    char *field = NULL;

    do
        field = strsep(text, " \t");
    while (field && !*field);
    return field;
}

size_t text_split_fields(char *line, char **fields, size_t max) {
    size_t count = 0;
    while (count < max && (fields[count] = text_next_field(&line)))
        count++;
    return count;
}

const char *text_parse_numbers(const char *text, int base, char separator, uint32_t *numbers,
                               size_t count) {
    for (size_t i = 0; text && i < count; i++) {
        char *end = NULL;
        if (i > 0 && *text++ != separator)
            return NULL;
        unsigned long number = strtoul(text, &end, base); /* takes blanks and signs too */
        if (!isxdigit((unsigned char)*text) || end == text || number > UINT32_MAX)
            return NULL;
        numbers[i] = (uint32_t)number;
        text = end;
    }
    return text;
}
