#include "engine/system/process.h"

#include "engine/system/file.h"
#include "lexer/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A field of stat, from the fourth on; 0: there is no such process, or only its exit status is
 * left. */
static unsigned long long process_field(const char *root, pid_t process, int number) {
    char *path = memory_printf("%s/proc/%d/stat", root, (int)process), *text;
    size_t size;
    file_read(path, &text, &size);
    free(path);
    /* The second is the name, in brackets, which may hold anything; the third is the state. */
    char *at = text ? strrchr(text, ')') : NULL;
    if (at && (at[1] != ' ' || at[2] == 'Z'))
        at = NULL;
    for (int field = 3; at && field <= number; field++)
        at = strchr(at + 1, ' ');
    unsigned long long value = at ? strtoull(at, NULL, 10) : 0;
    free(text);
    return value;
}

unsigned long long process_started(const char *root, pid_t process) {
    enum { STARTTIME = 22 };
    return process_field(root, process, STARTTIME);
}

pid_t process_parent(const char *root, pid_t process) {
    enum { PPID = 4 };
    return (pid_t)process_field(root, process, PPID);
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
