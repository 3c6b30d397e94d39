/*
 * What nearly was for an event of a VM that no rule matched: rules for a VM with a similar name,
 * for another event or another device, and files whose rules do not count. A person who reads "no
 * rule is for this VM" looks there first.
 */
#ifndef ENGINE_NEAR_MISS_H
#define ENGINE_NEAR_MISS_H

#include "engine/model/event.h"
#include "engine/rules/program.h"
#include "lexer/terminal.h"

/* The nearest first. */
enum near_miss_kind {
    NEAR_MISS_NAME,   /* a rule for this event, and for a VM whose name differs a little */
    NEAR_MISS_DEVICE, /* a rule for this VM at this event, and for other devices */
    NEAR_MISS_ERRORS, /* a file with an error, or one that was refused or cannot be read */
    NEAR_MISS_UNREAD, /* a file with rules that is disabled, or whose name does not end in .rules */
    NEAR_MISS_EVENT,  /* a rule for this VM at other events */
};

struct near_miss {
    enum near_miss_kind kind;
    char *path;
    size_t line;   /* of the rule; 0: the file is meant */
    char *message; /* what follows "path:line ": "is for 'Frigate'" */
    char *hint;    /* "did you mean 'frigate'?"; NULL: none */
};

struct near_misses {
    struct near_miss *list;
    size_t count;
};

/* Adds the rules and the files of the program's rule set, by what was read of them. Costs no
 * system call. The event has a VM. */
void near_miss_find(struct near_misses *misses, const struct program *program,
                    const struct event *event);

/* Adds the files of the directory with rules that were not read: those for this VM, or all when the
 * program has no rule. Reads the directory and such files. */
void near_miss_find_unread(struct near_misses *misses, const struct program *program,
                           const struct event *event, const char *directory);

/* Puts the nearest first. */
void near_miss_sort(struct near_misses *misses);
void near_miss_finish(struct near_misses *misses);

/* "50-frigate.rules:1 is for 'Frigate': did you mean 'frigate'?", one line. The caller frees it. */
char *near_miss_text(const struct near_miss *miss);

/* Each in a line, two blanks before it; of many the nearest. */
void near_miss_print(const struct near_misses *misses, FILE *out, struct terminal terminal);
/* [{"kind": "name", "path": ..., "line": ..., "message": ..., "hint": ...}] */
struct json_object *near_miss_json(const struct near_misses *misses);

#endif
