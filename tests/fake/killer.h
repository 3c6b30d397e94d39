/* What a process that has killer.c preloaded offers to the stand-in for libvirt. */
#ifndef TESTS_FAKE_KILLER_H
#define TESTS_FAKE_KILLER_H

#include <stdbool.h>

/* The process is about to do something that others see: it may be its last step. */
__attribute__((weak)) void killer_step(const char *what);

/* What is done from now on is not the process's own doing. */
__attribute__((weak)) void killer_pause(bool on);

/* The process has waited for so long, and takes it for longer (FAKE_SPEED). */
__attribute__((weak)) void killer_waited(long nanoseconds);

#endif
