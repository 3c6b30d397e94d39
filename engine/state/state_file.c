#include "engine/state/state_file.h"

#include "lexer/memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SUM_DIGITS = 8 };

/* As zlib's crc32(), and the CRC of gzip and Ethernet. */
static uint32_t state_file_crc(const char *text, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned char)text[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
    }
    return ~crc;
}

/* --- lines */

void state_file_add_line(struct state_text *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_vprintf(format, arguments);
    va_end(arguments);
    for (char *feed; (feed = strchr(text, '\n'));)
        *feed = ' ';
    size_t length = strlen(text);
    char *line = memory_printf("%s %08x\n", text, (unsigned)state_file_crc(text, length));
    file->text = memory_resize(file->text, file->size + length + SUM_DIGITS + 2, 1);
    memcpy(file->text + file->size, line, length + SUM_DIGITS + 2);
    file->size += length + SUM_DIGITS + 2;
    free(line);
    free(text);
}

/* The text of the line before its sum, or NULL. */
static char *state_file_check_line(char *line, size_t size) {
    char sum[SUM_DIGITS + 1];
    if (size <= SUM_DIGITS + 1 || memchr(line, '\0', size))
        return NULL;
    size -= SUM_DIGITS + 1;
    snprintf(sum, sizeof sum, "%08x", (unsigned)state_file_crc(line, size));
    if (line[size] != ' ' || memcmp(line + size + 1, sum, SUM_DIGITS) != 0)
        return NULL;
    line[size] = '\0';
    return line;
}

bool state_file_next_line(char **rest, size_t *left, char **line) {
    char *feed = *left ? memchr(*rest, '\n', *left) : NULL;
    size_t size = feed ? (size_t)(feed - *rest) : *left, used = size + (feed != NULL);
    if (!*left)
        return false;
    *line = feed ? state_file_check_line(*rest, size) : NULL;
    *rest += used;
    *left -= used;
    return true;
}
