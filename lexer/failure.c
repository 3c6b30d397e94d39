#include "lexer/failure.h"

#include "lexer/memory.h"

#include <stdio.h>
#include <stdlib.h>

int failure_vset(struct failure *failure, const char *format, va_list arguments) {
    if (!failure)
        return -1;
    char *message = memory_vprintf(format, arguments);
    snprintf(failure->message, sizeof failure->message, "%s", message);
    *failure->hint = '\0';
    free(message);
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
    char *hint = memory_vprintf(format, arguments);
    va_end(arguments);
    snprintf(failure->hint, sizeof failure->hint, "%s", hint);
    free(hint);
    return -1;
}
