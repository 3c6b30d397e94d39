#include "engine/system/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How a value must begin. */
enum conf_form { FORM_URI, FORM_PATH };

static const struct {
    const char *name;
    enum conf_form form;
} conf_keys[CONF_KEYS] = {
    [CONF_URI] = {"uri", FORM_URI},
    [CONF_LIBRARY] = {"library", FORM_PATH},
    [CONF_STATE] = {"state", FORM_PATH},
};

const char *conf_key_name(enum conf_key key) {
    return conf_keys[key].name;
}

/* --- one line */

/* A file that was edited on Windows has '\r' at the end of its lines. */
static bool conf_is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct span conf_trim(const char *text, size_t start, size_t end) {
    while (start < end && conf_is_blank(text[start]))
        start++;
    while (end > start && conf_is_blank(text[end - 1]))
        end--;
    return (struct span){(uint32_t)start, (uint32_t)end};
}

/* A comment begins with a '#' that is the first of its line or follows a blank: a path may have
 * one. */
static size_t conf_find_comment(const char *text, size_t start, size_t end) {
    for (size_t at = start; at < end; at++)
        if (text[at] == '#' && (at == start || conf_is_blank(text[at - 1])))
            return at;
    return end;
}

static bool conf_find_key(const char *text, struct span name, enum conf_key *key) {
    for (int i = 0; i < CONF_KEYS; i++)
        if (strlen(conf_keys[i].name) == name.end - name.start &&
            !memcmp(conf_keys[i].name, text + name.start, name.end - name.start)) {
            *key = (enum conf_key)i;
            return true;
        }
    return false;
}

/* The first control character, or `end`. */
static uint32_t conf_find_control(const char *text, struct span span) {
    uint32_t at = span.start;
    while (at < span.end && (unsigned char)text[at] >= ' ' && text[at] != 0x7f)
        at++;
    return at;
}

bool conf_is_remote(const char *uri, size_t length) {
    static const char sign[] = "://", local[] = "localhost";
    const char *end = uri + length, *found = memmem(uri, length, sign, strlen(sign));
    const char *server = found ? found + strlen(sign) : end, *after = server;
    while (after < end && !strchr("/?#", *after))
        after++;
    length = (size_t)(after - server);
    return length > 0 && (length != strlen(local) || memcmp(server, local, length) != 0);
}

static enum conf_problem conf_judge_value(const char *text, struct conf_line *line) {
    const char *value = text + line->value.start;
    uint32_t control = conf_find_control(text, line->value);
    line->place = line->value;
    if (line->value.start == line->value.end) {
        line->place = line->key;
        return CONF_EMPTY_VALUE;
    }
    if (control < line->value.end) {
        line->place = (struct span){control, control + 1};
        return CONF_BAD_CHARACTER;
    }
    if (line->value.end - line->value.start >= CONF_VALUE_SIZE)
        return CONF_LONG_VALUE;
    if (*value == '"' || *value == '\'')
        return CONF_QUOTED_VALUE;
    if (conf_keys[line->which].form == FORM_PATH && *value != '/')
        return CONF_RELATIVE_PATH;
    if (conf_keys[line->which].form == FORM_URI && *value == '/')
        return CONF_PATH_AS_URI;
    if (conf_keys[line->which].form == FORM_URI &&
        conf_is_remote(value, line->value.end - line->value.start))
        return CONF_REMOTE_URI;
    return CONF_FINE;
}

static enum conf_problem conf_judge(struct conf_reader *reader, struct conf_line *line,
                                    struct span whole, bool has_sign) {
    line->place = line->key;
    if (!has_sign) {
        line->place = whole;
        return CONF_NO_VALUE_SIGN;
    }
    if (!conf_find_key(reader->text, line->key, &line->which)) {
        if (line->key.start == line->key.end)
            line->place = whole;
        return CONF_UNKNOWN_KEY;
    }
    if (reader->seen & 1U << line->which)
        return CONF_REPEATED_KEY;
    enum conf_problem problem = conf_judge_value(reader->text, line);
    if (!problem)
        reader->seen |= 1U << line->which;
    return problem;
}

/* --- the text */

static size_t conf_skip_mark(const struct conf_reader *reader) {
    static const char mark[] = "\xef\xbb\xbf"; /* that Windows puts before UTF-8 */
    return reader->size >= 3 && !memcmp(reader->text, mark, 3) ? 3 : 0;
}

bool conf_next(struct conf_reader *reader, struct conf_line *line) {
    const char *text = reader->text;
    if (!reader->at)
        reader->at = conf_skip_mark(reader);
    while (reader->at < reader->size) {
        size_t start = reader->at;
        const char *newline = memchr(text + start, '\n', reader->size - start);
        size_t end = newline ? (size_t)(newline - text) : reader->size;
        reader->at = newline ? end + 1 : end;
        struct span whole = conf_trim(text, start, conf_find_comment(text, start, end));
        if (whole.start == whole.end)
            continue;
        const char *sign = memchr(text + whole.start, '=', whole.end - whole.start);
        size_t middle = sign ? (size_t)(sign - text) : whole.end;
        *line = (struct conf_line){.key = conf_trim(text, whole.start, middle),
                                   .value = conf_trim(text, sign ? middle + 1 : middle, whole.end)};
        line->problem = conf_judge(reader, line, whole, sign);
        return true;
    }
    return false;
}

/* --- the file */

/* `status` is of the file that was opened; the directory is the one that holds its name. */
bool conf_is_trusted(const char *path, int fd, bool *directory) {
    struct stat status;
    char above[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 0;
    snprintf(above, sizeof above, "%.*s%s", length, path, slash && length ? "" : slash ? "/" : ".");
    *directory = false;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        !source_is_trusted(status.st_uid, status.st_mode))
        return false;
    *directory = true;
    return stat(above, &status) == 0 && source_is_trusted(status.st_uid, status.st_mode);
}

static void conf_take(struct conf *conf, const char *text, size_t size) {
    struct conf_reader reader = {.text = text, .size = size};
    for (struct conf_line line; conf_next(&reader, &line);)
        if (!line.problem)
            memcpy(conf->values[line.which], text + line.value.start,
                   line.value.end - line.value.start);
}

void conf_read(struct conf *conf, const char *path) {
    static char text[CONF_LIMIT + 1];
    size_t size = 0;
    bool directory;
    *conf = (struct conf){0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (conf_is_trusted(path, fd, &directory)) {
        ssize_t got;
        while (size < sizeof text && ((got = read(fd, text + size, sizeof text - size)) > 0 ||
                                      (got < 0 && errno == EINTR)))
            size += got > 0 ? (size_t)got : 0;
        if (size <= CONF_LIMIT)
            conf_take(conf, text, size);
    }
    close(fd);
}
