/*
 * Common parts of the programs that libvirt and udev call. They must not keep their caller waiting,
 * so they start the engine in a process that inherits nothing from the caller. They are static, and
 * use only libc.
 */
#ifndef HOOK_LAUNCH_H
#define HOOK_LAUNCH_H

#include <stdbool.h>

/* Who reports, and about what; any text except the program's may be NULL. */
struct report_subject {
    const char *program;
    const char *vm, *event, *device;
    const char *uuid; /* of the VM */
};

/* One line in the engine's log and, if the process is detached, in syslog: a stuck syslog daemon
 * would block it, and the caller must not wait for that. Best effort. */
void launch_report(const struct report_subject *subject, bool detached, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The directory of the log. */
const char *launch_state_directory(void);

/* The engine to run: $VIRT_RULES_ENGINE, else the one of the same tree, else what the link
 * `virt-rules-engine` in the hooks directory names, else the one in the usual place. */
char *launch_engine_path(void);

/* Leaves stdin as it is, or /dev/null if closed; /dev/null as stdout and stderr; nothing else.
 * Afterwards no pipe of the caller is open, so there is no SIGPIPE either; but with `error_output`
 * a duplicate of stderr is, above the first three, or -1 if there is none. */
void launch_settle_descriptors(int *error_output);

/* Calls `become`, which does not return, in a process that is nobody's child and in a session of
 * its own, with signals, umask and directory as a daemon has them. The processes that come between
 * and the last one first close the descriptors `own`, which -1 ends; NULL: none. */
void launch_detached(const struct report_subject *subject, const int *own,
                     void (*become)(void *context), void *context);

/* Executes `call`, or reports why it cannot and exits. */
_Noreturn void launch_become_engine(const struct report_subject *subject, char *const *call,
                                    char *const *environment);

#endif
