/* The one place that asks for the time: clock_gettime(2). */
#ifndef ENGINE_CLOCK_H
#define ENGINE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: for limits and waits. */
int64_t clock_now(void);

/* A signal does not end the sleep. */
void clock_sleep(int64_t milliseconds);

/* The two as a value: a test has a clock of its own, and need not wait. Milliseconds. */
struct clock {
    int64_t (*now_ms)(struct clock *clock); /* since any moment, never backwards */
    void (*sleep_ms)(struct clock *clock, int64_t milliseconds);
};

/* The system's, CLOCK_MONOTONIC. */
struct clock *clock_system(void);

/* Clock ticks since the host's boot, suspend included, as starttime of proc(5) counts them. */
unsigned long long clock_ticks(void);

/* Microseconds since then: which of two things that processes did came first. */
uint64_t clock_boot_us(void);

/* Milliseconds since the Epoch, as the times of files are. */
int64_t clock_epoch(void);

enum { CLOCK_STAMP_SIZE = 40 };

/* The same in UTC, "2026-11-22T09:18:07.123Z", for which no file of a time zone is opened. */
void clock_stamp_utc(char text[CLOCK_STAMP_SIZE]);

/* Local time as RFC 3339: "2026-11-22T10:18:07.123+01:00". */
void clock_stamp(char text[CLOCK_STAMP_SIZE]);

#endif
