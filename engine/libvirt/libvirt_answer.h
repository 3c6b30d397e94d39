/*
 * What libvirt says of itself and its VMs, asked in a process of its own: a daemon that hangs, or a
 * library that crashes, costs a time limit and no more. (The XML of a VM waits while its hook
 * runs.)
 */
#ifndef ENGINE_LIBVIRT_ANSWER_H
#define ENGINE_LIBVIRT_ANSWER_H

#include "engine/vms.h"

#include <stdio.h>

enum { LIBVIRT_ANSWER_LIMIT_MS = 10000 };

struct libvirt_answer {
    bool asked;
    /* Of the library: NULL and 0 when none was found. */
    char *library;
    unsigned long library_version; /* 9000000 is 9.0.0 */
    /* Of the daemon: NULL and 0 when it did not answer. */
    char *uri;
    unsigned long version;
    /* What went wrong, and what to do; NULL: nothing. */
    char *error, *hint;
    bool vms_known;
    struct vms vms; /* every VM, running or not */
};

void libvirt_answer_get(struct libvirt_answer *answer);

/* The same with somebody else to ask, who writes what libvirt_ask() does. */
void libvirt_answer_collect(struct libvirt_answer *answer, void (*ask)(FILE *out), int limit_ms);

/* Asks, and writes a JSON object a line: {"library","version"}, {"uri","version"}, {"vms"} or,
 * where it ends, {"error","hint"}. */
void libvirt_ask(FILE *out);

/* Below another root: nobody is asked, and VMs are its definitions. */
void libvirt_answer_from_tree(struct libvirt_answer *answer, const char *root);

void libvirt_answer_finish(struct libvirt_answer *answer);

#endif
