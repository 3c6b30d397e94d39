/*
 * What the rules want of the host itself when it boots ('on host boot'), before libvirt starts VMs:
 * nothing here asks libvirt. It may run again at any time: what is so already is left alone.
 */
#ifndef ENGINE_BOOT_H
#define ENGINE_BOOT_H

#include "engine/host/host.h"
#include "engine/rules/program.h"
#include "engine/system/clock.h"
#include "lexer/terminal.h"

#include <stdio.h>

struct boot_request {
    const struct program *program;
    const struct host_source *host_source;
    const char *state; /* directory of log, state and lock */
    bool partial;      /* rule files with an error are left out */
    bool json;
    FILE *out;
    struct clock *clock;
};

bool boot_has_rules(const struct program *program);

/*
 * Does one action after the other: a later one sees what an earlier one changed. The results go to
 * the log, and to `out`: a line each, or with `json` {"results": [...]}. Returns true when all is
 * as the rules want it. A definition with which a VM would start with another device than its rules
 * mean is said too: only 'apply' can change it, when libvirt runs.
 */
bool boot_execute(const struct boot_request *request);

/* The plan, for people or as {"plans": [...]}; changes nothing. Returns 1 when nothing is refused,
 * 0 when something is, -1 with a message when the host cannot be read. */
int boot_show(const struct boot_request *request, struct terminal terminal,
              struct failure *failure);

#endif
