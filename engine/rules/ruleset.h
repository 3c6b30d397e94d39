/* The rule files of one run: found, put in order, judged by owner and mode, parsed and checked. */
#ifndef ENGINE_RULESET_H
#define ENGINE_RULESET_H

#include "parser/check.h"
#include "parser/syntax.h"

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
 * belong to root or to this user and be writable by nobody else. What is wrong becomes a
 * diagnostic. A file that was added before, by whatever path, is not read again.
 */
void ruleset_add_directory(struct ruleset *ruleset, const char *path);

/* Adds what a person named: a directory as above; a file, or "-" for standard input, whoever owns
 * it. */
void ruleset_add_path(struct ruleset *ruleset, const char *path);

/*
 * Whether a directory can be read and has no *.rules file. Then `near` is a name that nearly is one
 * (the caller frees it), or NULL.
 */
bool ruleset_is_empty(const char *path, char **near);

/* Parses and checks what was added, and sorts the diagnostics. */
void ruleset_load(struct ruleset *ruleset, const struct check_config *config);

/* What is not sure of the guards, and what it means until it is corrected. */
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

/* The guards in doubt, and then the files whose guards nobody knows. The caller ends the list. */
struct doubts ruleset_doubts(const struct ruleset *ruleset);
void ruleset_finish_doubts(struct doubts *doubts);

/* The directory of rules: `option`, else $VIRT_RULES_DIR, else /usr/local/libvirt/rules.d. */
const char *ruleset_directory(const char *option);

#endif
