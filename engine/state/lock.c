#include "engine/state/lock.h"

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

/* F_OFD_SETLKW waits, F_OFD_SETLK fails with EAGAIN when another has it. */
static int set(int file, int command, short type, off_t byte) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int status;
    do
        status = fcntl(file, command, &range);
    while (status < 0 && errno == EINTR);
    return status;
}

static int open_file(const char *state, char *error, size_t error_size) {
    char *path = memory_printf("%s/lock", state);
    bool forbidden = mkdir(state, 0700) < 0 && (errno == EACCES || errno == EPERM);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    forbidden |= file < 0 && (errno == EACCES || errno == EPERM);
    if (file < 0)
        snprintf(error, error_size, "%s: %s%s", path, strerror(forbidden ? EACCES : errno),
                 forbidden ? "; run as root" : "");
    free(path);
    return file;
}

static int fail(int file, const char *state, char *error, size_t error_size) {
    snprintf(error, error_size, "%s/lock: %s", state, strerror(errno));
    close(file);
    return -1;
}

int lock_vm(const char *state, const char *uuid, char *error, size_t error_size) {
    int file = open_file(state, error, error_size);
    if (file >= 0 && set(file, F_OFD_SETLKW, F_WRLCK, byte_of(uuid)) < 0)
        return fail(file, state, error, error_size);
    return file;
}

bool lock_vm_is_taken(const char *state, const char *uuid) {
    char ignored[256];
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte_of(uuid), .l_len = 1};
    int file = open_file(state, ignored, sizeof ignored);
    bool is_taken = file >= 0 && fcntl(file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
    lock_release(file);
    return is_taken;
}

static off_t byte_for(const char *place, const char *what) {
    char *text = memory_printf("%s %s", what, place);
    off_t byte = byte_of(text);
    free(text);
    return byte;
}

/* Who waits gives up the waiting only when it has its turn, so that whoever was sent away until
 * then is seen by it. */
enum turn lock_turn(const char *state, const char *place, int *lock, char *error,
                    size_t error_size) {
    off_t waiting = byte_for(place, "waits for"), turn = byte_for(place, "works on");
    int file = open_file(state, error, error_size);
    if (file < 0)
        return TURN_FAILED;
    *lock = file;
    if (set(file, F_OFD_SETLK, F_WRLCK, turn) == 0)
        return TURN_MINE;
    if (set(file, F_OFD_SETLK, F_WRLCK, waiting) < 0 && (errno == EAGAIN || errno == EACCES)) {
        close(file);
        *lock = -1;
        return TURN_MERGED;
    }
    if (set(file, F_OFD_SETLKW, F_WRLCK, turn) < 0 ||
        set(file, F_OFD_SETLK, F_UNLCK, waiting) < 0) {
        *lock = fail(file, state, error, error_size);
        return TURN_FAILED;
    }
    return TURN_WAITED;
}

void lock_release(int lock) {
    if (lock >= 0)
        close(lock);
}
