/* The rule files of one run: finds and sorts them, checks owner and mode, parses and checks them.
 */
#ifndef ENGINE_RULESET_H
#define ENGINE_RULESET_H

#include "parser/check.h"
#include "parser/syntax.h"

struct json_object;

struct ruleset {
    struct syntax syntax;
    struct source *
        *sources; /* in the order read; also those that could not be read, without text */
    size_t count;
    struct diagnostics diagnostics;
};

void ruleset_init(struct ruleset *ruleset);
void ruleset_finish(struct ruleset *ruleset);

/*
 * Adds every *.rules file of a directory, in byte order of the names. Directory and files must
 * belong to root or to this user and be writable by nobody else. Errors become diagnostics. A file
 * that was added before, under any path, is not read again.
 */
void ruleset_add_directory(struct ruleset *ruleset, const char *path);

/* Adds a path of the command line: a directory as above; a file of any owner; "-" for standard
 * input. */
void ruleset_add_path(struct ruleset *ruleset, const char *path);

/*
 * Whether a directory can be read and has no *.rules file. Then `near` is a similar name
 * ("gpu.rule"), which the caller frees, or NULL.
 */
bool ruleset_is_empty(const char *path, char **near);

/* Adds a text as the file of that path, in its place by the names of those of its directory, which
 * were added before. Returns the source, which is the set's. */
struct source *ruleset_add_text(struct ruleset *ruleset, const char *path, const char *text);

/* The files of a directory that 'virt-rules disable' turned off: "50-a.rules.disabled, ...", which
 * the caller frees; NULL: there are none. */
char *ruleset_disabled(const char *path);

/* Adds these files. */
void ruleset_add_disabled(struct ruleset *ruleset, const char *path);

/* Adds the paths of these files to the JSON array. */
void ruleset_put_disabled(struct json_object *array, const char *path);

/* Checks a virt-rules.conf, if it is there, and adds what is wrong with it, in order. For after
 * ruleset_load(): its text has no rules. */
void ruleset_check_conf(struct ruleset *ruleset, const char *path);

/* Parses and checks what was added, and sorts the diagnostics. */
void ruleset_load(struct ruleset *ruleset, const struct check_config *config);

/* A `never` with an error, or a file that may have such lines, and what it forbids until then. */
struct doubt {
    struct source *source;
    size_t line;   /* of a guard that is not understood; 0: the file cannot be read */
    char *guard;   /* as written, on one line; NULL: of a file */
    char *message; /* one sentence that names what is forbidden meanwhile */
    char *forbids; /* "every device to every VM"; NULL: nothing, of a file */
};

struct doubts {
    struct doubt *list;
    size_t count;
};

/* First the guards with errors, then the files whose guards are unknown. ruleset_finish_doubts()
 * ends the list. */
struct doubts ruleset_doubts(const struct ruleset *ruleset);
void ruleset_finish_doubts(struct doubts *doubts);

/* The directory of rules: `option`, else $VIRT_RULES_DIR, else the one of engine/system/layout.h.
 */
const char *ruleset_directory(const char *option);

#endif
