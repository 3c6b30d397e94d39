/* The subcommands of virt-rules: one row each in main.c, one file each. */
#ifndef ENGINE_COMMAND_H
#define ENGINE_COMMAND_H

#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"
#include "engine/rules/ruleset.h"

#include <stdbool.h>
#include <stdio.h>

enum { EXIT_FINE, EXIT_PROBLEM, EXIT_USAGE };

struct command {
    const char *name;
    const char *usage;   /* what stands behind the name */
    const char *summary; /* one line of the help */
    const char *help;    /* options, a line each, or "" */
    int (*run)(const struct command *command, int argc, char **argv);
};

int command_check(const struct command *command, int argc, char **argv);
int command_plan(const struct command *command, int argc, char **argv);
int command_plug(const struct command *command, int argc, char **argv);
int command_watch(const struct command *command, int argc, char **argv);
int command_run(const struct command *command, int argc, char **argv);
int command_explain(const struct command *command, int argc, char **argv);
int command_status(const struct command *command, int argc, char **argv);
int command_log(const struct command *command, int argc, char **argv);
int command_fmt(const struct command *command, int argc, char **argv);
int command_devices(const struct command *command, int argc, char **argv);
int command_doctor(const struct command *command, int argc, char **argv);
int command_apply(const struct command *command, int argc, char **argv);
int command_detach(const struct command *command, int argc, char **argv);
int command_dump(const struct command *command, int argc, char **argv);

/* Says what is wrong with the command line and how it is right, on stderr; returns EXIT_USAGE. */
int command_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says that a word for a VM is the title of two; returns EXIT_PROBLEM. */
int command_two_vms(const char *word, const struct domain *first, const struct domain *second);

/* Says what went wrong, and what to do when `hint` is not NULL; returns EXIT_PROBLEM. */
int command_fail(const char *message, const char *hint);

/* What a document of a command says that had to go on without libvirt: "libvirt does not answer:
 * ...". The caller frees it. */
char *command_libvirt_note(const struct virt_error *error);
struct json_object;
/* Puts it there as "note"; nothing when it is NULL. */
void command_put_note(struct json_object *document, const char *note);

/* One long option. Exactly one of `flag`, `value` and `take` says what becomes of it. */
struct command_option {
    const char *name;
    bool *flag;                                   /* set: takes no argument */
    const char **value;                           /* gets the argument */
    int (*take)(void *context, const char *text); /* called with each argument; not 0 ends */
    void *context;
};

/*
 * Reads the options, wherever they stand; the list ends with an empty row. Returns the index of the
 * first operand in `argv`, or -1 when the program is to end with `*status` (after --help or a
 * mistake).
 */
int command_options(const struct command *command, int argc, char **argv,
                    const struct command_option *options, int *status);

/* For `take`, the context being the command: rules are named as words there. Returns EXIT_USAGE. */
int command_refuse_rules(void *context, const char *text);

/* Whether one of the words, up to NULL, is empty; that is said. */
bool command_has_empty_name(const struct command *command, char *const *words);

/* Colour: on a terminal, without NO_COLOR, unless the terminal is dumb. */
bool command_colour(FILE *out);

/* The whole of a stream, which the caller frees, or NULL with errno; at most `limit` bytes (EFBIG).
 */
char *command_read_all(FILE *in, size_t limit, size_t *size);

/* Prints what is wrong with rule files on stderr; returns true when there is an error among it. */
bool command_report(const struct ruleset *ruleset);

#endif
