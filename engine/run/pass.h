/* An event from rules to results: plan, walk the plan through the ports, try again what passes,
 * write results. */
#ifndef ENGINE_PASS_H
#define ENGINE_PASS_H

#include "engine/host/host.h"
#include "engine/libvirt/virt.h"
#include "engine/model/event.h"
#include "engine/rules/program.h"
#include "engine/state/log_write.h"

#include <stdint.h>

/* Time as the engine sees it, so that a test need not wait. */
struct clock {
    int64_t (*now_ms)(struct clock *clock); /* from any start, never backwards */
    void (*sleep_ms)(struct clock *clock, int64_t milliseconds);
};

struct clock *run_clock_monotonic(void);

struct run_config {
    const struct program *program;
    const struct event *event; /* as the hook told it */
    const struct host_source *host_source;
    const char *state; /* directory of the lock */
    struct log_writer *journal;
    struct clock *clock;
    int program_limit_ms; /* of a program of a rule; 0: SPAWN_LIMIT_MS */
    int boot_ms; /* how long a guest boots, before it is looked whether it kept what it got; 0: 30
                    s; -1: that look is left out */
    /* Called at the first need of libvirt, and not at all for an event that needs none. */
    int (*open_virt)(struct virt **virt, const char *uri, struct virt_error *error);
};

/* Returns true when everything that the rules want is so. Every result is in the journal. */
bool pass_run_event(const struct run_config *executor);

#endif
