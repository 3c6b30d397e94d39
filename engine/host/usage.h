/*
 * What the host itself uses its devices for, while a snapshot is made: guards (see
 * engine/host/guards.h) add uses, which become one sentence a device. What cannot be read counts as
 * in use.
 */
#ifndef ENGINE_USAGE_H
#define ENGINE_USAGE_H

#include "engine/host/graph.h"
#include "engine/host/host.h"
#include "engine/host/tree.h"

/* The strongest first: the sentence about a device names its uses in this order. */
enum usage_rank {
    USE_MOUNT,
    USE_SWAP,
    USE_MEMBER,
    USE_PROCESS,
    USE_DEFAULT_ROUTE,
    USE_ADDRESS,
    USE_FUNCTIONS,
    USE_DISPLAY,
    USE_CONSOLE,
    USE_KEYBOARD,
    USE_ONLY_KEYBOARD
};

struct usage_item {
    enum usage_rank rank;
    char *text, *hint; /* hint: NULL: none */
};

struct usage_list {
    struct usage_item *items;
    size_t count;
};

struct usage {
    struct host *host;       /* its devices are known */
    const struct tree *tree; /* with faults */
    struct usage_list *of;   /* by the index of the device */
};

void usage_init(struct usage *usage, struct host *host, const struct tree *tree);
/* Sets `use` and `use_hint` of every device that has a use, and ends `usage`. */
void usage_finish(struct usage *usage);

/* Adds a use. The text continues "the host ...". `what` is named in the hint how to end the use, if
 * that rank's hint has a place for it; NULL: there is no hint. */
void usage_add(struct usage *usage, size_t device, enum usage_rank rank, const char *what,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Calls `visit` for each device that nodes of the graph sit on, with all of these nodes. */
void usage_each_device(struct usage *usage, const struct graph *graph,
                       void (*visit)(struct usage *usage, size_t device,
                                     const struct node_list *nodes));

/* Reads a file that every kernel has, as tree_read(); if it is missing, that is a fault too. */
char *usage_read(struct usage *usage, const char *path);
/* Notes as a fault that something is missing, without which uses may be missed. */
void usage_note_missing(struct usage *usage, const char *path);
/* Calls `visit` with each line of `text`, which it takes and which may be NULL. */
void usage_each_line(struct usage *usage, char *text,
                     void (*visit)(struct usage *usage, char *line));

/* What helps when something cannot be read because of that errno. The caller frees it. */
char *usage_hint(const struct tree *tree, int error);

#endif
