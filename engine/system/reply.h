/*
 * The answer to libvirt's hook, which waits for it while libvirt waits for the hook: at 'prepare'
 * alone. The hook gives the engine the write end of a pipe, with its number in VIRT_RULES_REPLY.
 * The lines are:
 *
 *     wait MS      for so long, from now on, the start may have to wait
 *     stop TEXT    the VM must not start: TEXT is for who started it
 *
 * The end of file lets the VM start, whatever was said before. So whoever has the pipe holds the
 * start up: no child of the engine may, and an engine that dies lets the VM start.
 */
#ifndef ENGINE_REPLY_H
#define ENGINE_REPLY_H

#include <stdbool.h>

struct reply {
    int file; /* the write end; -1: nobody waits */
};

/* How long the hook waits at most, in milliseconds: see hook/hook.c. */
enum { REPLY_ALL_MS = 60000 };

/* Takes the pipe out of the environment. The caller closes it as soon as it can. */
struct reply reply_take(void);
void reply_close(struct reply *reply);

/* The two lines. Both return false when nobody waits, or no longer. The text becomes one line. */
bool reply_wait(const struct reply *reply, int milliseconds);
bool reply_stop(const struct reply *reply, const char *text);

/* After reply_stop(): whether the hook has ended its wait without having read that. */
bool reply_was_late(const struct reply *reply);

#endif
