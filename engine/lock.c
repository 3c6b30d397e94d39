#include "engine/lock.h"

#include "lexer/memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two VMs on one byte only wait for each other. FNV-1a, so that it spreads. */
static off_t byte_of(const char *uuid) {
    uint64_t value = 0xcbf29ce484222325;
    for (; *uuid; uuid++)
        value = (value ^ (uint64_t)tolower((unsigned char)*uuid)) * 0x100000001b3;
    return (off_t)(value >> 2);
}

static int wait_for(int file, off_t byte) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int status;
    do
        status = fcntl(file, F_OFD_SETLKW, &range);
    while (status < 0 && errno == EINTR);
    return status;
}

int lock_vm(const char *state, const char *uuid, char *error, size_t error_size) {
    char *path = memory_printf("%s/lock", state);
    mkdir(state, 0700);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file >= 0 && wait_for(file, byte_of(uuid)) < 0) {
        int saved = errno;
        close(file);
        errno = saved;
        file = -1;
    }
    if (file < 0)
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
    free(path);
    return file;
}

void lock_release(int lock) {
    if (lock >= 0)
        close(lock);
}
