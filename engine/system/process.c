#include "engine/system/process.h"

#include "engine/system/file.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned long long process_started(const char *root, pid_t process) {
    char *path = memory_printf("%s/proc/%d/stat", root, (int)process), *text;
    size_t size;
    file_read(path, &text, &size);
    free(path);
    /* After the name, in brackets, which may hold anything: state is field 3, starttime 22. */
    char *at = text ? strrchr(text, ')') : NULL;
    if (at && (at[1] != ' ' || at[2] == 'Z'))
        at = NULL;
    for (int field = 3; at && field <= 22; field++)
        at = strchr(at + 1, ' ');
    unsigned long long started = at ? strtoull(at, NULL, 10) : 0;
    free(text);
    return started;
}

int process_boot_id(const char *root, char id[PROCESS_BOOT_ID_SIZE]) {
    char *path = memory_printf("%s/proc/sys/kernel/random/boot_id", root), *text;
    size_t size;
    int error = file_read(path, &text, &size);
    free(path);
    snprintf(id, PROCESS_BOOT_ID_SIZE, "%.*s", text ? (int)strspn(text, "0123456789abcdef-") : 0,
             text ? text : "");
    free(text);
    return error == ENOENT ? 0 : error;
}
