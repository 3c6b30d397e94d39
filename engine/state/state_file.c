#include "engine/state/state_file.h"

#include "lexer/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUM_DIGITS = 8, READ_SIZE = 16 * 1024 };

uint32_t state_file_crc(const char *text, size_t size) {
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
static char *state_file_state_line_check(char *line, size_t size) {
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
    *line = feed ? state_file_state_line_check(*rest, size) : NULL;
    *rest += used;
    *left -= used;
    return true;
}

/* --- files */

static int state_file_load(int fd, char **text, size_t *size) {
    for (;;) {
        *text = memory_resize(*text, *size + READ_SIZE + 1, 1);
        ssize_t got = read(fd, *text + *size, READ_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        *size += (size_t)got;
        if (*size > STATE_FILE_LIMIT)
            return EFBIG;
        if (!got)
            break;
    }
    (*text)[*size] = '\0';
    return 0;
}

int state_file_read(const char *path, char **text, size_t *size) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *text = NULL;
    *size = 0;
    if (fd < 0)
        return errno;
    int error = fstat(fd, &status) < 0     ? errno
                : !S_ISREG(status.st_mode) ? EINVAL
                                           : state_file_load(fd, text, size);
    close(fd);
    if (error) {
        free(*text);
        *text = NULL;
        *size = 0;
    }
    return error;
}

static int state_file_put(int fd, const struct state_text *file) {
    for (size_t done = 0; done < file->size;) {
        ssize_t written = write(fd, file->text + done, file->size - done);
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

int state_file_replace(const char *path, const char *temporary, const struct state_text *file) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int status = state_file_put(fd, file), saved = errno;
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
