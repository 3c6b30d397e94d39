/*
 * The subcommands of virt-rules. Each has a file with its row: name, operands, options, help and
 * code. A new command is such a file, its row below and in main.c, and a section of virt-rules(1);
 * the completion for bash asks the program.
 */
#ifndef ENGINE_COMMAND_H
#define ENGINE_COMMAND_H

#include "engine/host/host.h"
#include "engine/libvirt/domain_list.h"
#include "engine/libvirt/virt.h"
#include "engine/model/domain.h"
#include "engine/rules/program.h"
#include "engine/rules/ruleset.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct json_object;
struct command_option;

/* Exit codes: success, a problem that was reported, a wrong command line. */
enum { EXIT_FINE, EXIT_PROBLEM, EXIT_USAGE };

struct command {
    const char *name;
    const char *operands; /* "VM EVENT [DEVICE]"; "" for none */
    const char *summary;  /* one sentence */
    const char *notes;    /* lines of the help before the options, each with a newline; or "" */
    const struct command_option *options; /* an empty row ends them */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_check_row, command_plan_row, command_explain_row,
    command_devices_row, command_doctor_row, command_status_row, command_log_row, command_fmt_row,
    command_dump_row, command_apply_row, command_detach_row, command_run_row, command_plug_row,
    command_watch_row, command_park_row, command_unpark_row, command_boot_row, command_disable_row,
    command_enable_row, command_add_row;

/* A parsed command line. A command with options of its own puts this first in its own struct. */
struct command_line {
    const struct command *command;
    const char *rules, *state, *sysroot, *domain_xml; /* NULL: not given */
    bool json;
    char **words; /* the operands; NULL ends them */
    int word_count;
};

/* A long option. */
struct command_option {
    const char *name;
    char letter;          /* of its short form, "-n"; 0: it has none */
    const char *argument; /* its name in the help, "DIR"; NULL: a flag without an argument */
    const char *help;     /* one line, which the help wraps; NULL: not shown */
    size_t field;         /* offset of the `bool` or `const char *` in the command's own struct */
    /* Instead of a field: gets each argument. Anything but 0 ends the program with that status. */
    int (*take)(struct command_line *line, const struct command_option *option, const char *text);
};

/* The options that several commands have. */
#define OPTION_RULES                                                                               \
    {                                                                                              \
        .name = "rules", .argument = "DIR",                                                        \
        .help = "rules to use instead of $VIRT_RULES_DIR or " RULESDIR,                            \
        .field = offsetof(struct command_line, rules)                                              \
    }
#define OPTION_STATE                                                                               \
    {                                                                                              \
        .name = "state", .argument = "DIR",                                                        \
        .help = "log and state to use instead of $VIRT_RULES_STATE or " STATEDIR,                  \
        .field = offsetof(struct command_line, state)                                              \
    }
#define OPTION_SYSROOT                                                                             \
    {                                                                                              \
        .name = "sysroot", .argument = "DIR",                                                      \
        .help = "read the host from the directories sys, proc and etc in DIR",                     \
        .field = offsetof(struct command_line, sysroot)                                            \
    }
#define OPTION_DOMAIN_XML                                                                          \
    {                                                                                              \
        .name = "domain-xml", .argument = "FILE",                                                  \
        .help = "the VM as libvirt's XML; '-' is standard input",                                  \
        .field = offsetof(struct command_line, domain_xml)                                         \
    }
#define OPTION_JSON                                                                                \
    {                                                                                              \
        .name = "json", .help = "print one JSON document",                                         \
        .field = offsetof(struct command_line, json)                                               \
    }
/* Where the operands name the rules: says so when --rules is given. */
#define OPTION_NO_RULES                                                                            \
    { .name = "rules", .argument = "DIR", .take = command_refuse_rules }

/*
 * Reads the options, before and after operands, into `line`, the first member of the command's own
 * struct. Returns false when the program is to end with `*status`: after --help or a mistake.
 */
bool command_parse(struct command_line *line, const struct command *command, int argc, char **argv,
                   int *status);

int command_refuse_rules(struct command_line *line, const struct command_option *option,
                         const char *text);

/* Says on stderr what is wrong with the command line and prints the usage; returns EXIT_USAGE. */
int command_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints a line on stderr, wrapped at the terminal: `start` as it is, and text of any origin. */
void command_print_error(size_t indent, const char *start, const char *text);

/* The words with a blank between two. The caller frees it. */
char *command_join(char *const *words, int count);
/* The command line with its first words as one name: "virt-rules plan 'Home Assistant' started".
 * The caller frees it. */
char *command_quoted_line(const struct command_line *line, int count);
/* Says that there are too many operands, `others` of which follow the VM, and how its name is
 * quoted; returns EXIT_USAGE. */
int command_too_many_vms(const struct command_line *line, int others);

/* Whether an operand is empty, an unset variable in a script say; says so as command_usage(). */
bool command_has_empty_word(const struct command_line *line);

/* Says on stderr what went wrong, and what to do unless `hint` is NULL or ""; returns
 * EXIT_PROBLEM. */
int command_fail(const char *message, const char *hint);
int command_failf(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says that two VMs have this title; returns EXIT_PROBLEM. */
int command_two_vms(const char *title, const struct domain *first, const struct domain *second);

/*
 * Puts what libvirt's status files below ROOT report of VMs into the list, where libvirt itself did
 * not give their XML. Says which these are, and sets `note`, for the "note" in the document, to the
 * last of them; it stays NULL when there is none. Says nothing when `note` is NULL.
 */
void command_complete_vms(struct domain_list *vms, const char *root, char **note);

/* The "note" in the document of a command that went on without libvirt: "libvirt does not answer:
 * ...". The caller frees it. */
char *command_libvirt_note(const struct virt_error *error);
/* Adds "note" to the document unless it is NULL, and prints the document; takes the document. */
void command_print_json(struct json_object *document, const char *note);

/* Says why libvirt did not do what was asked, as command_fail(); with `json` also in a document,
 * when it could not be asked. */
int command_fail_virt(const struct virt_error *error, bool json);
/* Adds the log's entries, a JSON text a line, to the array. */
void command_put_log_lines(struct json_object *array, char *lines);
/* Does `work` of 'park' or 'unpark' while the log's lines are printed as they come, or added to
 * `collect` unless that is NULL. In command_park.c. */
struct park;
bool command_park_log(struct park *park, struct json_object *collect,
                      bool (*work)(struct park *park));
/* As 'apply VM', with the results added to the array unless it is NULL. In command_apply.c. */
int command_apply_vm(const struct command_line *line, const char *vm, struct json_object *results);
/* Whether the operands are one VM; else `*status` is EXIT_USAGE, after saying so. */
bool command_has_one_vm(const struct command_line *line, int *status);
/* Reads a time to wait, in milliseconds and not 0. Returns 0 for any other text, after saying so as
 * command_usage(). */
uint32_t command_read_wait(const struct command *command, const char *text);

/* Sets a key to the number, or to null when it is negative: not known. */
void command_put_number(struct json_object *object, const char *key, int number);

/* Reads the devices of this host, or of a copy of one. Returns EXIT_FINE, and the caller ends it
 * with host_finish(); or EXIT_PROBLEM after saying why. */
int command_load_host(const struct host_source *source, struct host *host);

/* The rules of --rules or of the usual directory; mistakes in them are printed on stderr. */
struct command_rules {
    struct ruleset ruleset;
    struct program program;
    bool have_errors; /* files with an error are left out */
};

void command_load_rules(const struct command_line *line, struct command_rules *rules);
/* The same, and nothing is printed. */
void command_load_rules_silently(const struct command_line *line, struct command_rules *rules);
void command_finish_rules(struct command_rules *rules);

/* All of a stream, which the caller frees; or NULL with errno: EFBIG when it has more than `limit`
 * bytes. */
char *command_read_all(FILE *in, size_t limit, size_t *size);

/* Prints what is wrong with rule files on stderr; returns true when an error is among it. */
bool command_report(const struct ruleset *ruleset);

#endif
