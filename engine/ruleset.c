#include "engine/ruleset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ruleset_init(struct ruleset *ruleset) {
    *ruleset = (struct ruleset){0};
    syntax_init(&ruleset->syntax);
}

void ruleset_finish(struct ruleset *ruleset) {
    diagnostics_finish(&ruleset->diagnostics);
    syntax_finish(&ruleset->syntax);
    for (size_t i = 0; i < ruleset->count; i++) {
        source_finish(ruleset->sources[i]);
        free(ruleset->sources[i]);
    }
    free(ruleset->sources);
    *ruleset = (struct ruleset){0};
}

static struct source *add_source(struct ruleset *ruleset) {
    struct source *source = memory_zalloc(sizeof *source);
    ruleset->sources =
        memory_grow((void *)ruleset->sources, ruleset->count, sizeof(struct source *));
    ruleset->sources[ruleset->count] = source;
    return source;
}

static void number_source(struct ruleset *ruleset, struct source *source) {
    source->number = ruleset->count++;
}

/* A path that gives no rules still stands in the list, so that its diagnostic has a place. */
static struct diagnostic *fail_path(struct ruleset *ruleset, const char *path, const char *name,
                                    const char *message) {
    struct source *source = add_source(ruleset);
    source_from_text(source, path, "", 0);
    number_source(ruleset, source);
    return diagnose_file(&ruleset->diagnostics, source, name, "%s", message);
}

/* Named twice, say by itself and by its directory: it would be a duplicate of itself. */
static bool is_read(const struct ruleset *ruleset, const struct source *source) {
    for (size_t i = 0; source->inode && i < ruleset->count; i++)
        if (ruleset->sources[i]->inode == source->inode &&
            ruleset->sources[i]->device == source->device)
            return true;
    return false;
}

static void add_file(struct ruleset *ruleset, const char *path, enum source_trust trust) {
    char error[256], hint[256];
    bool untrusted = false;
    struct source *source = add_source(ruleset);
    if (source_read(source, path, trust, &untrusted, error, hint) < 0) {
        bool refused = untrusted && trust == TRUST_OWNER;
        free(source);
        struct diagnostic *failure =
            fail_path(ruleset, path, refused ? "unsafe-file" : "unreadable-file", error);
        failure->fixed = true;
        diagnostic_hint(failure, "%s", hint);
        return;
    }
    if (is_read(ruleset, source)) {
        source_finish(source);
        free(source);
        return;
    }
    number_source(ruleset, source);
    if (untrusted)
        diagnostic_hint(diagnose_file(&ruleset->diagnostics, source, "unsafe-file",
                                      "may be changed by others than root: the engine will refuse "
                                      "it in its rules directory"),
                        "chown root and chmod go-w the file");
}

static int is_rule_file(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return *entry->d_name != '.' && length > 6 && !strcmp(entry->d_name + length - 6, ".rules");
}

static int by_bytes(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void fail_directory(struct ruleset *ruleset, const char *path, int error) {
    char *message = memory_printf("cannot be opened: %s", strerror(error));
    diagnostic_hint(fail_path(ruleset, path, "unreadable-directory", message),
                    error == ENOENT ? "make it (mkdir -p) and put your *.rules files there; "
                                      "$VIRT_RULES_DIR may name another"
                                    : "it must be a directory that this user can read");
    free(message);
}

static void add_entries(struct ruleset *ruleset, const char *path, int fd) {
    struct dirent **entries = NULL;
    int count = scandirat(fd, ".", &entries, is_rule_file, by_bytes);
    if (count < 0)
        fail_directory(ruleset, path, errno);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(path);
        const char *slash = length && path[length - 1] == '/' ? "" : "/";
        char *file = memory_printf("%s%s%s", path, slash, entries[i]->d_name);
        add_file(ruleset, file, TRUST_OWNER);
        free(file);
        free(entries[i]);
    }
    free((void *)entries);
}

void ruleset_add_directory(struct ruleset *ruleset, const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        fail_directory(ruleset, path, errno);
    } else if (!source_is_trusted(status.st_uid, status.st_mode)) {
        char *message = memory_printf("may be changed by others than root (owner %u, mode %04o): "
                                      "no rule in it is taken",
                                      (unsigned)status.st_uid, (unsigned)status.st_mode & 07777U);
        diagnostic_hint(fail_path(ruleset, path, "unsafe-directory", message),
                        "chown root and chmod go-w the directory");
        free(message);
    } else {
        add_entries(ruleset, path, fd);
    }
    if (fd >= 0)
        close(fd);
}

void ruleset_add_path(struct ruleset *ruleset, const char *path) {
    struct stat status;
    if (strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        ruleset_add_directory(ruleset, path);
    else
        add_file(ruleset, path, TRUST_ANY);
}

/* "20-gpu.rule", "20-gpu.rules.bak", "GPU.RULES" */
static int is_nearly_rule_file(const struct dirent *entry) {
    return strcasestr(entry->d_name, ".rule") != NULL;
}

bool ruleset_is_empty(const char *path, char **near) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_nearly_rule_file, by_bytes);
    bool empty = count >= 0;
    *near = NULL;
    for (int i = 0; i < count; i++) {
        empty = empty && !is_rule_file(entries[i]);
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

void ruleset_load(struct ruleset *ruleset, const struct check_config *config) {
    for (size_t i = 0; i < ruleset->count; i++)
        parse_rules(&ruleset->syntax, ruleset->sources[i], &ruleset->diagnostics);
    check_rules(&ruleset->syntax, config, &ruleset->diagnostics);
    diagnostics_sort(&ruleset->diagnostics);
}

const char *rules_directory(const char *option) {
    const char *environment = getenv("VIRT_RULES_DIR");
    return option ? option : environment && *environment ? environment : RULESDIR;
}
