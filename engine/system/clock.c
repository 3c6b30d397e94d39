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
