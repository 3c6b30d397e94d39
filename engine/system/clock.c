#include "engine/system/clock.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

int64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_sleep(int64_t milliseconds) {
    struct timespec left = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = milliseconds % 1000 * 1000000};
    while (milliseconds > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) != 0)
        ;
}

unsigned long long clock_ticks(void) {
    struct timespec now = {0};
    unsigned long long ticks = (unsigned long long)sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (unsigned long long)now.tv_sec * ticks +
           (unsigned long long)now.tv_nsec / (1000000000 / ticks);
}

uint64_t clock_boot_us(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int64_t clock_epoch(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_stamp(char text[CLOCK_STAMP_SIZE]) {
    struct timespec now;
    struct tm local = {0};
    char second[24] = "", zone[8] = "+0000";
    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &local)) {
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &local);
        strftime(zone, sizeof zone, "%z", &local);
    }
    snprintf(text, CLOCK_STAMP_SIZE, "%s.%03d%.3s:%.2s", second, (int)(now.tv_nsec / 1000000), zone,
             zone + 3);
}

/* Year, month and day of a number of days since 1970: of a year that begins in March, the leap day
 * is the last. gmtime_r(3) and strftime(3) read the file of the time zone all the same. */
static void clock_civil(int64_t days, unsigned *year, unsigned *month, unsigned *day) {
    int64_t since = days + 719468; /* the first of March of year 0 */
    unsigned of_era = (unsigned)(since % 146097);
    unsigned years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * years + years / 4 - years / 100);
    unsigned march = (5 * of_year + 2) / 153;
    *day = of_year - (153 * march + 2) / 5 + 1;
    *month = march < 10 ? march + 3 : march - 9;
    *year = (unsigned)(since / 146097 * 400) + years + (*month <= 2);
}

void clock_stamp_utc(char text[CLOCK_STAMP_SIZE]) {
    int64_t now = clock_epoch(), seconds = now / 1000;
    unsigned year, month, day, second = (unsigned)(seconds % 86400);
    clock_civil(seconds / 86400, &year, &month, &day);
    snprintf(text, CLOCK_STAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day,
             second / 3600, second / 60 % 60, second % 60, (unsigned)(now % 1000));
}

static int64_t clock_monotonic_now(struct clock *clock) {
    (void)clock;
    return clock_now();
}

static void clock_monotonic_sleep(struct clock *clock, int64_t milliseconds) {
    (void)clock;
    clock_sleep(milliseconds);
}

struct clock *clock_system(void) {
    static struct clock clock = {clock_monotonic_now, clock_monotonic_sleep};
    return &clock;
}
