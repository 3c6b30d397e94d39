/*
 * What a VM's start waits for, at 'prepare': libvirt's hook does not end before, see
 * engine/system/reply.h. All else that is to be done at 'prepare' comes afterwards.
 */
#ifndef ENGINE_PREPARE_H
#define ENGINE_PREPARE_H

#include "engine/run/run.h"
#include "engine/system/reply.h"

enum prepared {
    PREPARED,              /* and the VM starts */
    PREPARED_WITH_PROBLEM, /* something is not as the rules want it, and the VM starts */
    PREPARE_STOPPED,       /* a rule stops the start */
};

/*
 * Does it, if a rule of the VM asks for it, and closes the pipe. A device that the definition has
 * by a rule which means another one now is said in the log; it stops no start that requires
 * nothing. `partial`: files with errors are left out of the program. Nothing may be asked of
 * libvirt, which would wait for the hook, and no lock of a VM is taken, whose holder may. Each
 * result is in the log.
 */
enum prepared prepare_wait(const struct run_config *config, bool partial, struct reply *reply);

#endif
