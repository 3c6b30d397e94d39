/*
 * Running VMs get what the rules want at their `started`, without a restart; the definitions of
 * those that are shut off get and lose what they want at `defined` (define.h).
 */
#ifndef ENGINE_APPLY_H
#define ENGINE_APPLY_H

#include "engine/libvirt/domain_list.h"
#include "engine/run/run.h"
#include "lexer/terminal.h"

#include <stdio.h>

struct json_object;

struct apply_request {
    const struct program *program;
    const struct host_source *host_source;
    const char *state;  /* directory of log, state and lock; NULL, for apply_show() alone: no VM is
                           known to be parked */
    char *const *names; /* VMs, by name, title or UUID; none: all that a rule concerns */
    size_t name_count;
    bool partial; /* files with errors are left out of the program */
    bool json;
    FILE *out;                   /* a file and not memory: other processes write to it */
    struct json_object *collect; /* with `json`: an array for the results or the plans, instead of a
                                    document on `out`; NULL: the document */
    /* Called for each VM that nothing can be done for; the work on the others goes on. */
    void (*report)(const struct failure *failure);
    struct clock *clock;
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

struct apply {
    const struct apply_request *request;
    struct domain_list running; /* every VM that runs, by name */
    bool *chosen;               /* one each: it is to be worked on */
    struct domain_list vms;     /* every VM, by name, with its definition when it is shut off */
    bool *defined;              /* one each: its definition is to be worked on */
    struct domain_list ended;   /* VMs that ended while no hook ran */
    size_t chosen_count, defined_count;
    unsigned long long seen;       /* when they were listed, in the unit of clock_ticks() */
    unsigned long libvirt_version; /* 0: unknown */
    bool problem; /* a VM that was named is not there, does not run, or is several */
};

/* Finds the VMs. Returns 0, or -1 with `error` and nothing to finish. */
int apply_init(struct apply *apply, const struct apply_request *request, struct virt_error *error);
void apply_finish(struct apply *apply);

/*
 * Unless VMs are named, what is left of VMs that have ended goes back to the host first. Then a
 * process each VM, all at once, so that none waits for another's device; then the definitions, in
 * one process, one after the other. The results go to the log and to `out`: a line each as it
 * comes, or with `json`
 * {"results": [...]} in the end. Returns true when all is as the rules want it.
 */
bool apply_execute(struct apply *apply);

/* The plans, for people or as {"plans": [...]}; changes nothing. Returns 1 when nothing is refused,
 * 0 when something is, -1 with a message when the host cannot be read. */
int apply_show(const struct apply *apply, struct terminal terminal, struct failure *failure);

#endif
