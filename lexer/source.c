#include "lexer/source.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const size_t BLOCK = 1024;

static void source_start_source(struct source *source, const char *path, char *text, size_t size) {
    *source = (struct source){.path = memory_strdup(path), .text = text, .size = size};
    text[size] = 0;
}

void source_from_text(struct source *source, const char *path, const char *text, size_t size) {
    char *copy = memory_resize(NULL, size + 1, 1);
    memcpy(copy, text, size);
    source_start_source(source, path, copy, size);
}

static const char DEFAULT_HINT[] = "make it a text file that this user can read, or remove it";

static int source_fail(struct failure *failure, const char *what) {
    failure_set(failure, "%s: %s", what, strerror(errno));
    return failure_hint(failure, "%s", DEFAULT_HINT);
}

static int source_fail_size(struct failure *failure) {
    failure_set(failure, "is larger than the limit of %d MiB", SOURCE_LIMIT >> 20);
    return failure_hint(failure, "split it, or remove it if it is not a rule file");
}

/* What to do where the file system takes owners and modes from its mount options, by statfs(2)'s
 * f_type; NULL elsewhere. NTFS by FUSE looks as any other FUSE does. FAT ignores such options in a
 * remount. */
static const char *source_mount_hint(const char *path) {
    static const char masks[] = "its file system has no owners and modes, so chown and chmod "
                                "change nothing there: unmount it and mount it with "
                                "uid=0,umask=077, or move it to another file system",
                      smb[] = "its file system has the owners and modes of its mount, so chown "
                              "and chmod change nothing there: unmount it and mount it with "
                              "uid=0,file_mode=0600,dir_mode=0700, or move it to another file "
                              "system";
    static const struct {
        unsigned type;
        const char *hint;
    } types[] = {
        {0x4d44, masks},     /* vfat, msdos */
        {0x2011bab0, masks}, /* exfat */
        {0x7366746e, masks}, /* ntfs3 */
        {0x5346544e, masks}, /* ntfs */
        {0xff534d42, smb},   /* cifs */
        {0xfe534d42, smb},   /* smb3 */
    };
    struct statfs status;
    for (size_t i = 0; i < sizeof types / sizeof *types && statfs(path, &status) == 0; i++)
        if ((unsigned)status.f_type == types[i].type)
            return types[i].hint;
    return NULL;
}

char *source_trust_hint(const char *root, const char *path) {
    char *file = memory_printf("%s%s", root, path), *word = text_shell_operand(path);
    const char *mount = source_mount_hint(file);
    char *hint = mount ? memory_strdup(mount)
                       : memory_printf("sudo chown root %s; sudo chmod go-w %s", word, word);
    free(file);
    free(word);
    return hint;
}

static int source_check_file(int fd, const char *path, enum source_trust trust, bool *untrusted,
                             struct stat *status, struct failure *failure) {
    if (fstat(fd, status) < 0)
        return source_fail(failure, "cannot be read");
    if (!S_ISREG(status->st_mode)) {
        failure_set(failure, "is %s, not a regular file",
                    S_ISDIR(status->st_mode)    ? "a directory"
                    : S_ISFIFO(status->st_mode) ? "a FIFO"
                                                : "a special file");
        return failure_hint(failure, "%s", DEFAULT_HINT);
    }
    if (status->st_size > SOURCE_LIMIT)
        return source_fail_size(failure);
    bool trusted = source_is_trusted(status->st_uid, status->st_mode);
    if (untrusted)
        *untrusted = !trusted;
    if (trusted || trust == TRUST_ANY)
        return 0;
    failure_set(failure, "may be changed by users other than root (owner %u, mode %04o)",
                (unsigned)status->st_uid, (unsigned)status->st_mode & 07777U);
    char *hint = source_trust_hint("", path);
    failure_hint(failure, "%s", hint);
    free(hint);
    return -1;
}

/* Reads to the end, whatever size was expected: a file may grow, and a pipe has none. */
static char *source_read_all(int fd, size_t expected, size_t *size) {
    size_t room = expected + 1;
    char *text = memory_resize(NULL, room + 1, 1);
    *size = 0;
    for (;;) {
        ssize_t got = read(fd, text + *size, room - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(text);
            return NULL;
        }
        if (got == 0)
            return text;
        *size += (size_t)got;
        if (*size > SOURCE_LIMIT)
            return text;
        if (*size == room) {
            room *= 2;
            text = memory_resize(text, room + 1, 1);
        }
    }
}

static int source_read_open(struct source *source, const char *path, int fd, size_t expected,
                            struct failure *failure) {
    size_t size = 0;
    char *text = source_read_all(fd, expected, &size);
    if (!text)
        return source_fail(failure, "cannot be read");
    if (size > SOURCE_LIMIT) {
        free(text);
        return source_fail_size(failure);
    }
    source_start_source(source, path, text, size);
    return 0;
}

static int source_fail_open(const char *path, struct failure *failure) {
    char target[PATH_MAX];
    int error = errno;
    ssize_t size = error == ENOENT ? readlink(path, target, sizeof target - 1) : -1;
    errno = error;
    if (size < 0) {
        source_fail(failure, "cannot be opened");
        return error == ENOENT ? failure_hint(failure, "is the name right?") : -1;
    }
    target[size] = '\0';
    failure_set(failure, "is a link to '%s': %s", target, strerror(error));
    char *word = text_shell_operand(path);
    failure_hint(failure, "make that file, or remove the link ('rm %s')", word);
    free(word);
    return -1;
}

int source_read(struct source *source, const char *path, enum source_trust trust, bool *untrusted,
                struct failure *failure) {
    if (untrusted)
        *untrusted = false;
    if (!strcmp(path, "-"))
        return source_read_open(source, "<stdin>", STDIN_FILENO, 4096, failure);
    /* O_NONBLOCK, so that a FIFO does not block. The type is checked after opening, so that the
     * file cannot be replaced in between. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return source_fail_open(path, failure);
    struct stat status;
    int result = source_check_file(fd, path, trust, untrusted, &status, failure);
    if (result == 0)
        result = source_read_open(source, path, fd, (size_t)status.st_size, failure);
    if (result == 0) {
        source->device = status.st_dev;
        source->inode = status.st_ino;
    }
    close(fd);
    return result;
}

void source_finish(struct source *source) {
    free(source->path);
    free(source->text);
    free(source->lines);
    free(source->characters);
    *source = (struct source){0};
}

/* Bytes that begin a character. */
static unsigned source_count_characters(const char *text, size_t size) {
    unsigned count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static void source_index_characters(struct source *source) {
    size_t blocks = source->size / BLOCK + 1;
    source->characters = memory_resize(NULL, blocks, sizeof *source->characters);
    source->characters[0] = 0;
    for (size_t i = 1; i < blocks; i++)
        source->characters[i] = source->characters[i - 1] +
                                source_count_characters(source->text + (i - 1) * BLOCK, BLOCK);
}

static void source_index_lines(struct source *source) {
    size_t count = 0;
    uint32_t *lines = memory_grow(NULL, 0, sizeof *lines);
    lines[count++] = 0;
    for (const char *at = source->text, *end = at + source->size;
         (at = memchr(at, '\n', (size_t)(end - at)));) {
        lines = memory_grow(lines, count, sizeof *lines);
        lines[count++] = (uint32_t)(++at - source->text);
    }
    source->lines = lines;
    source->line_count = count;
    source_index_characters(source);
}

static size_t source_find_line(const struct source *source, uint32_t offset) {
    size_t low = 0, high = source->line_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (source->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static unsigned source_characters_before(const struct source *source, uint32_t offset) {
    size_t block = offset / BLOCK;
    return source->characters[block] +
           source_count_characters(source->text + block * BLOCK, offset % BLOCK);
}

unsigned source_characters(const struct source *source, uint32_t start, uint32_t end) {
    if (end <= start)
        return 0;
    if (!source->characters || end - start <= BLOCK)
        return source_count_characters(source->text + start, end - start);
    return source_characters_before(source, end) - source_characters_before(source, start);
}

uint32_t source_mark(const struct source *source) {
    return source->size >= 3 && !memcmp(source->text, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* By its byte order mark, or because every other byte at its beginning is a NUL. */
bool source_is_utf16(const struct source *source) {
    const char *text = source->text;
    size_t end = source->size < BLOCK ? source->size : BLOCK, zeros[2] = {0};
    if (end >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2)))
        return true;
    for (size_t i = 0; i < end; i++)
        zeros[i % 2] += !text[i];
    return end >= 16 && ((zeros[0] > end / 3 && !zeros[1]) || (zeros[1] > end / 3 && !zeros[0]));
}

/* More than a tenth of the bytes at its beginning never occur in text. */
bool source_is_binary(const struct source *source) {
    size_t end = source->size < BLOCK ? source->size : BLOCK, strange = 0;
    for (size_t i = 0; i < end; i++)
        strange += (unsigned char)source->text[i] < ' ' &&
                   (!source->text[i] || !strchr("\t\n\v\f\r\033", source->text[i]));
    return end >= 64 && strange > end / 10;
}

static struct span source_line_text(const struct source *source, size_t line) {
    uint32_t start = source->lines[line];
    uint32_t end = line + 1 < source->line_count ? source->lines[line + 1] - 1 //
                                                 : (uint32_t)source->size;
    if (line == 0)
        start += source_mark(source);
    if (end > start && source->text[end - 1] == '\r')
        end--;
    return (struct span){start, end};
}

struct position source_position(struct source *source, uint32_t offset) {
    if (!source->lines)
        source_index_lines(source);
    size_t line = source_find_line(source, offset);
    struct span text = source_line_text(source, line);
    return (struct position){line + 1, 1 + source_characters(source, text.start, offset), text};
}
