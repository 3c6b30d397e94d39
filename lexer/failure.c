#include "lexer/failure.h"

#include "lexer/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* On one line, and cut between two UTF-8 characters. Frees `text`. */
static void failure_put(char *to, size_t size, char *text) {
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
    }
    for (size_t i = 0; i < length; i++)
        to[i] = (char)(iscntrl((unsigned char)text[i]) ? ' ' : text[i]);
    while (length > 0 && to[length - 1] == ' ')
        length--;
    to[length] = '\0';
    free(text);
}

int failure_vset(struct failure *failure, const char *format, va_list arguments) {
    if (!failure)
        return -1;
    failure_put(failure->message, sizeof failure->message, memory_vprintf(format, arguments));
    *failure->hint = '\0';
    return -1;
}

int failure_set(struct failure *failure, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure_vset(failure, format, arguments);
    va_end(arguments);
    return -1;
}

int failure_hint(struct failure *failure, const char *format, ...) {
    va_list arguments;
    if (!failure)
        return -1;
    va_start(arguments, format);
    failure_put(failure->hint, sizeof failure->hint, memory_vprintf(format, arguments));
    va_end(arguments);
    return -1;
}

char *failure_text(const char *message, const char *hint) {
    return hint && *hint ? memory_printf("%s; %s", message, hint) : memory_strdup(message);
}
