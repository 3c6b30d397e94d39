/* Times that a person writes, and those of the log. Local time, by TZ. */
#ifndef ENGINE_WHEN_H
#define ENGINE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* What when_parse() takes, for a message. */
#define WHEN_EXAMPLES                                                                              \
    "10m, 2h, 3d, today, yesterday, 23:00, 2026-11-29, '2026-11-29 23:00' or '2 hours ago'"

/*
 * A moment in the past, in milliseconds since the Epoch: so long ago ("10m", "1h30m", "2 hours
 * ago"), the begin of a day ("yesterday", "2026-11-29"), a time of a day ("yesterday 23:00"), or
 * the last time that the clock showed ("23:00"). `now` is clock_epoch(). Returns false for anything
 * else.
 */
bool when_parse(const char *text, int64_t now, int64_t *when);

/* The same of a time as clock_stamp() writes it, with or without a fraction. */
bool when_parse_stamp(const char *text, int64_t *when);

/* "2026-11-29T23:00:07+01:00" */
void when_stamp(int64_t when, char text[32]);
/* "2026-11-29" and "23:00:07". */
void when_date(int64_t when, char text[16]);
void when_time(int64_t when, char text[16]);

#endif
