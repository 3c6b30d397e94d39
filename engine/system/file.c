#include "engine/system/file.h"

#include "lexer/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024 };

static int file_load(int fd, char **text, size_t *size) {
    for (;;) {
        *text = memory_resize(*text, *size + READ_SIZE + 1, 1);
        ssize_t got = read(fd, *text + *size, READ_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        *size += (size_t)got;
        if (*size > FILE_READ_LIMIT)
            return EFBIG;
        if (!got)
            break;
    }
    (*text)[*size] = '\0';
    return 0;
}

int file_read(const char *path, char **text, size_t *size) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *text = NULL;
    *size = 0;
    if (fd < 0)
        return errno;
    int error = fstat(fd, &status) < 0     ? errno
                : !S_ISREG(status.st_mode) ? EINVAL
                                           : file_load(fd, text, size);
    close(fd);
    if (error) {
        free(*text);
        *text = NULL;
        *size = 0;
    }
    return error;
}

static int file_write(int fd, const char *text, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, text + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            errno = written ? errno : ENOSPC;
            return -1;
        }
        done += (size_t)written;
    }
    return 0;
}

int file_replace(const char *path, const char *temporary, const char *text, size_t size) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int status = file_write(fd, text, size), saved = errno;
    if (close(fd) < 0 && status == 0) {
        status = -1;
        saved = errno;
    }
    if (status == 0 && (status = rename(temporary, path)) < 0)
        saved = errno;
    if (status < 0) {
        unlink(temporary);
        errno = saved;
    }
    return status;
}
