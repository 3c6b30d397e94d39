#include "engine/rules/conf_check.h"

#include "engine/rules/rule_file.h"
#include "lexer/memory.h"
#include "parser/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char keys_hint[] = "the keys are uri, library and state";

/* Their severity is fixed: until it is corrected the setting is not in force. */
static struct diagnostic *conf_check_fix(struct diagnostic *diagnostic) {
    diagnostic->fixed = true;
    return diagnostic;
}

/* --- a line */

static void conf_check_unknown(struct diagnostic *diagnostic, const char *key) {
    struct suggestion suggestion = {.word = key};
    for (int i = 0; i < CONF_KEYS; i++)
        suggest(&suggestion, conf_key_name((enum conf_key)i));
    diagnostic_message(diagnostic, "unknown key '%s'", key);
    if (suggestion.best)
        diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    else
        diagnostic_hint(diagnostic, "%s", keys_hint);
}

static void conf_check_explain(struct diagnostic *diagnostic, enum conf_problem problem,
                               const char *key, const char *value) {
    switch (problem) {
    case CONF_FINE:
        break;
    case CONF_NO_VALUE_SIGN:
        diagnostic_message(diagnostic, "a line without '='");
        diagnostic_hint(diagnostic, "write KEY = VALUE; %s", keys_hint);
        break;
    case CONF_UNKNOWN_KEY:
        conf_check_unknown(diagnostic, key);
        break;
    case CONF_REPEATED_KEY:
        diagnostic_message(diagnostic, "'%s' is repeated", key);
        diagnostic_hint(diagnostic, "the first one counts: remove the other lines");
        break;
    case CONF_EMPTY_VALUE:
        diagnostic_message(diagnostic, "'%s' has no value", key);
        diagnostic_hint(diagnostic, "give it one, or remove the line");
        break;
    case CONF_QUOTED_VALUE:
        diagnostic_message(diagnostic, "a value in quotes");
        diagnostic_hint(diagnostic, "write it without quotes; blanks may be in it");
        break;
    case CONF_BAD_CHARACTER:
        diagnostic_message(diagnostic, "a control character");
        diagnostic_hint(diagnostic, "delete it");
        break;
    case CONF_LONG_VALUE:
        diagnostic_message(diagnostic, "a value that is longer than the limit of %d bytes",
                           CONF_VALUE_SIZE - 1);
        diagnostic_hint(diagnostic, "shorten it");
        break;
    case CONF_RELATIVE_PATH:
        diagnostic_message(diagnostic, "'%s' is not an absolute path", value);
        diagnostic_hint(diagnostic, "write an absolute path: %s = /...", key);
        break;
    case CONF_PATH_AS_URI:
        diagnostic_message(diagnostic, "'%s' is a path, not a URI", value);
        diagnostic_hint(diagnostic, "write uri = qemu+unix:///system?socket=%s", value);
        break;
    case CONF_REMOTE_URI:
        diagnostic_message(diagnostic, "'%s' is the URI of another host", value);
        diagnostic_hint(diagnostic, CONF_LOCAL_HINT);
        break;
    }
}

static void conf_check_line(struct diagnostics *diagnostics, struct source *source,
                            const struct conf_line *line) {
    char *key = memory_strndup(source->text + line->key.start, line->key.end - line->key.start);
    char *value =
        memory_strndup(source->text + line->value.start, line->value.end - line->value.start);
    struct diagnostic *diagnostic = conf_check_fix(
        diagnostic_add(diagnostics, source, line->place, CHECK_BAD_SETTING, "%s", ""));
    conf_check_explain(diagnostic, line->problem, key, value);
    free(value);
    free(key);
}

static void conf_check_lines(struct diagnostics *diagnostics, struct source *source) {
    struct conf_reader reader = {.text = source->text, .size = source->size};
    for (struct conf_line line; conf_next(&reader, &line);)
        if (line.problem)
            conf_check_line(diagnostics, source, &line);
}

/* --- the file */

/* Whether nothing in it counts, which is reported. */
static bool conf_check_is_void(struct diagnostics *diagnostics, struct source *source,
                               const char *path, int fd) {
    bool directory;
    if (!conf_is_trusted(path, fd, &directory)) {
        char *parent = rule_file_directory_of(path);
        char *hint = source_trust_hint("", directory ? parent : path);
        diagnostic_hint(conf_check_fix(diagnostic_add_file(
                            diagnostics, source, CHECK_UNSAFE_FILE,
                            directory ? "is in a directory that users other than root may change: "
                                        "nothing in it counts"
                                      : "may be changed by users other than root: nothing in it "
                                        "counts")),
                        "%s", hint);
        free(hint);
        free(parent);
        return true;
    }
    if (source->size <= CONF_LIMIT && !source_is_utf16(source))
        return false;
    diagnostic_hint(
        conf_check_fix(diagnostic_add_file(
            diagnostics, source, CHECK_UNREADABLE_FILE,
            source->size > CONF_LIMIT ? "is larger than the limit of 64 KiB: nothing in it counts"
                                      : "is a text in UTF-16: nothing in it counts")),
        source->size > CONF_LIMIT ? "%s; is this the right file?" : "save it as UTF-8; %s",
        keys_hint);
    return true;
}

/* The file does not exist, or is a link to one that does not, in a directory that does: so it is on
 * Unraid, where nothing is configured. A link into no directory leads to what is not mounted. */
static bool conf_check_is_absent(const char *path) {
    char target[PATH_MAX];
    ssize_t size = readlink(path, target, sizeof target);
    if (size < 0)
        return errno != EINVAL;
    char *beside = rule_file_directory_of(path);
    char *file = *target == '/' ? memory_strndup(target, (size_t)size)
                                : memory_printf("%s/%.*s", beside, (int)size, target);
    char *directory = rule_file_directory_of(file);
    bool is_there = access(directory, F_OK) == 0;
    free(directory);
    free(file);
    free(beside);
    return is_there;
}

bool conf_check(struct source *source, const char *path, struct diagnostics *diagnostics) {
    struct failure why;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR) && conf_check_is_absent(path))
        return false;
    if (source_read(source, path, TRUST_ANY, NULL, &why) < 0) {
        source_from_text(source, path, "", 0);
        diagnostic_hint(conf_check_fix(diagnostic_add_file(
                            diagnostics, source, CHECK_UNREADABLE_FILE, "%s", why.message)),
                        "%s", why.hint);
    } else if (!conf_check_is_void(diagnostics, source, path, fd)) {
        conf_check_lines(diagnostics, source);
    }
    if (fd >= 0)
        close(fd);
    return true;
}
