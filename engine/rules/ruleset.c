#include "engine/rules/program.h"

#include "engine/rules/conf_check.h"
#include "engine/rules/rule_file.h"
#include "engine/system/layout.h"
#include "lexer/text.h"
#include "parser/doubt.h"
#include "parser/suggest.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ruleset_init(struct ruleset *ruleset) {
    *ruleset = (struct ruleset){0};
    syntax_init(&ruleset->syntax);
}

void ruleset_finish(struct ruleset *ruleset) {
    diagnostic_finish_list(&ruleset->diagnostics);
    syntax_finish(&ruleset->syntax);
    for (size_t i = 0; i < ruleset->count; i++) {
        source_finish(ruleset->sources[i]);
        free(ruleset->sources[i]);
    }
    free(ruleset->sources);
    *ruleset = (struct ruleset){0};
}

static struct source *ruleset_add_source(struct ruleset *ruleset) {
    struct source *source = memory_zalloc(sizeof *source);
    ruleset->sources =
        memory_grow((void *)ruleset->sources, ruleset->count, sizeof(struct source *));
    ruleset->sources[ruleset->count] = source;
    return source;
}

static void ruleset_number_source(struct ruleset *ruleset, struct source *source) {
    source->number = ruleset->count++;
}

/* A path without rules is in the list too: its diagnostic needs a source. */
static struct diagnostic *ruleset_fail_path(struct ruleset *ruleset, const char *path,
                                            enum check check, const char *message) {
    struct source *source = ruleset_add_source(ruleset);
    source_from_text(source, path, "", 0);
    ruleset_number_source(ruleset, source);
    return diagnostic_add_file(&ruleset->diagnostics, source, check, "%s", message);
}

static void ruleset_hint_trust(struct diagnostic *diagnostic, const char *path) {
    char *hint = source_trust_hint("", path);
    diagnostic_hint(diagnostic, "%s", hint);
    free(hint);
}

/* A file can be named twice, by itself and by its directory: its rules would be duplicates. */
static bool ruleset_is_read(const struct ruleset *ruleset, const struct source *source) {
    for (size_t i = 0; source->inode && i < ruleset->count; i++)
        if (ruleset->sources[i]->inode == source->inode &&
            ruleset->sources[i]->device == source->device)
            return true;
    return false;
}

/* Its `never` lines stay in force: whoever wrote them can only forbid. */
static bool ruleset_refuse_file(struct ruleset *ruleset, const char *path, const char *message,
                                const char *hint) {
    struct source *source = ruleset->sources[ruleset->count]; /* see ruleset_add_source() */
    if (source_read(source, path, TRUST_ANY, NULL, NULL) < 0)
        return false;
    source->refused = true;
    ruleset_number_source(ruleset, source);
    struct diagnostic *failure =
        diagnostic_add_file(&ruleset->diagnostics, source, CHECK_UNSAFE_FILE, "%s", message);
    failure->fixed = true;
    diagnostic_hint(failure, "only its 'never' lines are in force until this is done: %s", hint);
    return true;
}

static bool ruleset_is_off(const char *path) {
    struct stat status;
    char *disabled = memory_printf("%s" RULE_FILE_DISABLED, path);
    bool is_off = stat(disabled, &status) == 0;
    free(disabled);
    return is_off;
}

static int ruleset_by_bytes(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

/* What a file is called without its number and its ending: "frigate" of "50-frigate.rules". The
 * caller frees it. */
static char *ruleset_stem(const char *name) {
    size_t digits = strspn(name, "0123456789");
    const char *stem = name[digits] == '-' ? name + digits + 1 : name;
    const char *end = strcasestr(stem, ".rule");
    return end ? memory_strndup(stem, (size_t)(end - stem)) : memory_strdup(stem);
}

static int ruleset_may_be_file(const struct dirent *entry) {
    return entry->d_type != DT_DIR;
}

/* The file of the directory whose name is that but for its number and its ending, or a rule file
 * whose name is nearly that. The caller frees it; NULL: there is none. */
static char *ruleset_near_name(const char *directory, const char *name) {
    struct dirent **entries = NULL;
    char *found = NULL, *best = NULL, *stem = ruleset_stem(name);
    struct suggestion suggestion = {.word = stem};
    int count = scandir(directory, &entries, ruleset_may_be_file, ruleset_by_bytes);
    for (int i = 0; i < count; i++) {
        char *near = ruleset_stem(entries[i]->d_name);
        if (strcasestr(entries[i]->d_name, ".rule") || !strcasecmp(near, stem))
            suggest(&suggestion, near);
        if (suggestion.best == near) {
            free(found);
            free(best);
            found = memory_strdup(entries[i]->d_name);
            best = near;
        } else {
            free(near);
        }
        free(entries[i]);
    }
    free((void *)entries);
    free(best);
    free(stem);
    return found;
}

/* Beside the path, and of a word also in the directory of rules. */
static char *ruleset_near_file(const char *path) {
    const char *slash = strrchr(path, '/'), *rules = ruleset_directory(NULL);
    char *directory = rule_file_directory_of(path), *file = NULL;
    char *name = ruleset_near_name(directory, text_base_name(path));
    if (name) {
        file = memory_printf("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);
    } else if (!slash) {
        name = ruleset_near_name(rules, path);
        file = name ? memory_printf("%s/%s", rules, name) : NULL;
    }
    free(directory);
    free(name);
    return file;
}

/* A word that names no file may be a VM. */
static void ruleset_hint_absent(struct failure *why, const char *path) {
    char *near = ruleset_near_file(path), *vm = text_shell_operand(path);
    bool is_word = !strchr(path, '/') && !strcasestr(path, ".rule") && strcmp(path, CONF_NAME) != 0;
    failure_hint(why, "%s%s%s%s%s%s", near ? "did you mean '" : "is the name right?",
                 near ? near : "", near ? "'?" : "",
                 is_word ? " If a VM is meant: 'virt-rules plan " : "", is_word ? vm : "",
                 is_word ? "'" : "");
    free(near);
    free(vm);
}

static void ruleset_add_file(struct ruleset *ruleset, const char *path, enum source_trust trust) {
    struct failure why;
    struct stat status;
    bool untrusted = false;
    struct source *source = ruleset_add_source(ruleset);
    if (source_read(source, path, trust, &untrusted, &why) < 0) {
        if (untrusted && ruleset_refuse_file(ruleset, path, why.message, why.hint))
            return;
        free(source);
        struct diagnostic *failure = ruleset_fail_path(
            ruleset, strcmp(path, "-") != 0 ? path : "<stdin>", CHECK_UNREADABLE_FILE, why.message);
        failure->fixed = true;
        failure->source->guards_unknown = true;
        if (ruleset_is_off(path))
            failure_hint(&why, "it is disabled: 'virt-rules enable' turns it on");
        else if (!strcmp(path, "-"))
            failure_hint(&why, "give the rules on standard input, or name a file");
        else if (trust == TRUST_ANY && lstat(path, &status) < 0 && errno == ENOENT)
            ruleset_hint_absent(&why, path);
        bool asks = why.hint[strlen(why.hint) - 1] == '?';
        diagnostic_hint(failure, "%s%s", why.hint,
                        trust == TRUST_ANY ? ""
                        : asks             ? " Until then its 'never' lines are not in force"
                                           : "; until then its 'never' lines are not in force");
        return;
    }
    if (ruleset_is_read(ruleset, source)) {
        source_finish(source);
        free(source);
        return;
    }
    ruleset_number_source(ruleset, source);
    if (untrusted)
        ruleset_hint_trust(
            diagnostic_add_file(&ruleset->diagnostics, source, CHECK_UNSAFE_FILE,
                                "may be changed by users other than root: the engine will refuse "
                                "it in its rules directory"),
            path);
}

static int ruleset_is_rule_file(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return *entry->d_name != '.' && length > 6 && !strcmp(entry->d_name + length - 6, ".rules");
}

static void ruleset_fail_directory(struct ruleset *ruleset, const char *path, int error) {
    char *message = memory_printf("cannot be opened: %s", strerror(error));
    diagnostic_hint(ruleset_fail_path(ruleset, path, CHECK_UNREADABLE_DIRECTORY, message),
                    error == ENOENT ? "make it (mkdir -p) and put your *.rules files there; "
                                      "$VIRT_RULES_DIR may name another"
                                    : "it must be a directory that this user can read");
    free(message);
}

/* The caller frees it. */
static char *ruleset_path_in(const char *directory, const char *name) {
    const char *slash = text_ends_with(directory, "/") ? "" : "/";
    return memory_printf("%s%s%s", directory, slash, name);
}

static int ruleset_add_entries(struct ruleset *ruleset, const char *path,
                               int (*filter)(const struct dirent *entry)) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, filter, ruleset_by_bytes);
    for (int i = 0; i < count; i++) {
        char *file = ruleset_path_in(path, entries[i]->d_name);
        ruleset_add_file(ruleset, file, TRUST_OWNER);
        free(file);
        free(entries[i]);
    }
    free((void *)entries);
    return count;
}

void ruleset_add_directory(struct ruleset *ruleset, const char *path) {
    struct stat status;
    if (stat(path, &status) < 0) {
        ruleset_fail_directory(ruleset, path, errno);
    } else if (!source_is_trusted(status.st_uid, status.st_mode)) {
        char *message =
            memory_printf("may be changed by users other than root (owner %u, mode %04o): "
                          "no rule in it is taken",
                          (unsigned)status.st_uid, (unsigned)status.st_mode & 07777U);
        ruleset_hint_trust(ruleset_fail_path(ruleset, path, CHECK_UNSAFE_DIRECTORY, message), path);
        free(message);
    } else if (ruleset_add_entries(ruleset, path, ruleset_is_rule_file) < 0) {
        ruleset_fail_directory(ruleset, path, errno);
    }
}

struct source *ruleset_add_text(struct ruleset *ruleset, const char *path, const char *text) {
    struct source *source = ruleset_add_source(ruleset);
    size_t at = ruleset->count;
    source_from_text(source, path, text, strlen(text));
    ruleset_number_source(ruleset, source);
    for (; at > 0 && strcmp(path, ruleset->sources[at - 1]->path) < 0; at--) {
        ruleset->sources[at] = ruleset->sources[at - 1];
        ruleset->sources[at]->number = at;
    }
    ruleset->sources[at] = source;
    source->number = at;
    return source;
}

void ruleset_add_path(struct ruleset *ruleset, const char *path) {
    struct stat status;
    if (strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        ruleset_add_directory(ruleset, path);
    else
        ruleset_add_file(ruleset, path, TRUST_ANY);
}

static int ruleset_is_disabled_file(const struct dirent *entry) {
    return *entry->d_name != '.' && text_ends_with(entry->d_name, ".rules" RULE_FILE_DISABLED);
}

/* "20-gpu.rule", "20-gpu.rules.bak", "GPU.RULES" */
static int ruleset_is_nearly_rule_file(const struct dirent *entry) {
    return strcasestr(entry->d_name, ".rule") && !ruleset_is_disabled_file(entry);
}

bool ruleset_is_empty(const char *path, char **near) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, ruleset_is_nearly_rule_file, ruleset_by_bytes);
    bool empty = count >= 0;
    *near = NULL;
    for (int i = 0; i < count; i++) {
        empty = empty && !ruleset_is_rule_file(entries[i]);
        if (!*near)
            *near = memory_strdup(entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    if (!empty) {
        free(*near);
        *near = NULL;
    }
    return empty;
}

char *ruleset_disabled(const char *path) {
    struct dirent **entries = NULL;
    char *names = memory_strdup("");
    int count = scandir(path, &entries, ruleset_is_disabled_file, ruleset_by_bytes);
    for (int i = 0; i < count; i++) {
        memory_append(&names, "%s%s", i ? ", " : "", entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    if (count > 0)
        return names;
    free(names);
    return NULL;
}

void ruleset_add_disabled(struct ruleset *ruleset, const char *path) {
    ruleset_add_entries(ruleset, path, ruleset_is_disabled_file);
}

void ruleset_put_disabled(struct json_object *array, const char *path) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, ruleset_is_disabled_file, ruleset_by_bytes);
    for (int i = 0; i < count; i++) {
        char *file = ruleset_path_in(path, entries[i]->d_name);
        text_json_append(array, text_json(file));
        free(file);
        free(entries[i]);
    }
    free((void *)entries);
}

void ruleset_load(struct ruleset *ruleset, const struct check_config *config) {
    for (size_t i = 0; i < ruleset->count; i++)
        syntax_parse(&ruleset->syntax, ruleset->sources[i], &ruleset->diagnostics);
    check_rules(&ruleset->syntax, config, &ruleset->diagnostics);
    diagnostic_sort(&ruleset->diagnostics);
}

void ruleset_check_conf(struct ruleset *ruleset, const char *path) {
    struct stat status;
    if (stat(path, &status) == 0 &&
        ruleset_is_read(ruleset, &(struct source){.device = status.st_dev, .inode = status.st_ino}))
        return;
    struct source *source = ruleset_add_source(ruleset);
    if (!conf_check(source, path, &ruleset->diagnostics)) {
        free(source);
        return;
    }
    ruleset_number_source(ruleset, source);
    diagnostic_sort(&ruleset->diagnostics);
}

static struct doubt *ruleset_add_doubt(struct doubts *doubts, struct source *source) {
    doubts->list = memory_grow(doubts->list, doubts->count, sizeof *doubts->list);
    struct doubt *doubt = &doubts->list[doubts->count++];
    *doubt = (struct doubt){.source = source};
    return doubt;
}

static void ruleset_doubt_guard(struct doubts *doubts, const struct guard *guard) {
    struct doubt *doubt = ruleset_add_doubt(doubts, guard->source);
    struct span span = guard->span;
    doubt->line = source_position(guard->source, span.start).line;
    doubt->guard = program_text(guard->source, span);
    doubt->forbids = doubt_forbids(guard);
    doubt->message = memory_printf("'%s' has an error, in its line or in a definition that it "
                                   "uses: until that is corrected it forbids %s",
                                   doubt->guard, doubt->forbids);
}

struct doubts ruleset_doubts(const struct ruleset *ruleset) {
    struct doubts doubts = {0};
    for (const struct guard *guard = ruleset->syntax.guards; guard; guard = guard->next)
        if (guard->doubtful)
            ruleset_doubt_guard(&doubts, guard);
    for (size_t i = 0; i < ruleset->count; i++)
        if (ruleset->sources[i]->guards_unknown)
            ruleset_add_doubt(&doubts, ruleset->sources[i])->message =
                memory_strdup("the file cannot be read, so what its 'never' lines forbid is not "
                              "known and not in force");
    return doubts;
}

void ruleset_finish_doubts(struct doubts *doubts) {
    for (size_t i = 0; i < doubts->count; i++) {
        free(doubts->list[i].guard);
        free(doubts->list[i].message);
        free(doubts->list[i].forbids);
    }
    free(doubts->list);
    *doubts = (struct doubts){0};
}

const char *ruleset_directory(const char *option) {
    const char *environment = getenv("VIRT_RULES_DIR");
    return option ? option : environment && *environment ? environment : layout_current()->rules;
}
