#include "engine/system/when.h"

#include "engine/system/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* 2026-11-30 01:30:00 in Berlin. */
static const int64_t now = 1795998600000;
static const int64_t MINUTE = 60000, HOUR = 3600000, DAY = 86400000;

static int use_berlin(void **state) {
    (void)state;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return 0;
}

static int64_t parsed(const char *text) {
    int64_t when = 0;
    if (!when_parse(text, now, &when))
        fail_msg("'%s' was not understood", text);
    return when;
}

static void understands_so_long_ago(void **state) {
    (void)state;
    assert_int_equal(parsed("10m"), now - 10 * MINUTE);
    assert_int_equal(parsed("2h"), now - 2 * HOUR);
    assert_int_equal(parsed("1h30m"), now - 90 * MINUTE);
    assert_int_equal(parsed("1h 30min"), now - 90 * MINUTE);
    assert_int_equal(parsed("2 hours ago"), now - 2 * HOUR);
    assert_int_equal(parsed("-2h"), now - 2 * HOUR);
    assert_int_equal(parsed("3d"), now - 3 * DAY);
    assert_int_equal(parsed("1 week ago"), now - 7 * DAY);
    assert_int_equal(parsed("5s"), now - 5000);
    assert_int_equal(parsed("now"), now);
}

static void understands_days_and_times(void **state) {
    (void)state;
    int64_t midnight = now - HOUR - 30 * MINUTE;
    assert_int_equal(parsed("today"), midnight);
    assert_int_equal(parsed("yesterday"), midnight - DAY);
    assert_int_equal(parsed("2026-11-30"), midnight);
    assert_int_equal(parsed("2026-11-29 23:00"), midnight - HOUR);
    assert_int_equal(parsed("2026-11-29T23:00:07"), midnight - HOUR + 7000);
    assert_int_equal(parsed("yesterday 23:00"), midnight - HOUR);
    assert_int_equal(parsed("1:00"), midnight + HOUR);
    assert_int_equal(parsed("2026-11-29T23:00:00.500+01:00"), midnight - HOUR + 500);
}

/* At night "23:00" is before midnight. */
static void takes_the_last_time_of_the_clock(void **state) {
    (void)state;
    int64_t midnight = now - HOUR - 30 * MINUTE;
    assert_int_equal(parsed("23:00"), midnight - HOUR);
    assert_int_equal(parsed("01:30"), now);
    assert_int_equal(parsed("01:31"), now + MINUTE - DAY);
}

/* The day of a change of the clock has 23 or 25 hours. */
static void knows_summer_time(void **state) {
    (void)state;
    assert_int_equal(parsed("2026-03-30") - parsed("2026-03-29"), 23 * HOUR);
    assert_int_equal(parsed("2026-10-26") - parsed("2026-10-25"), 25 * HOUR);
    assert_int_equal(parsed("2026-07-01 12:00"), parsed("2026-07-01T12:00:00+02:00"));
}

static void refuses_what_is_none(void **state) {
    static const char *const wrong[] = {
        "",          "x",           "10",          "10x",        "m",
        "23:60",     "24:00",       "2026-02-30",  "2026-13-01", "2026-11-29 25:00",
        "tomorrow",  "2h later",    "2026-11-29x", "1:2",        "-2h ago",
        "99999999h", "2026-11-29 ", "yesterdayx",
    };
    int64_t when;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (when_parse(wrong[i], now, &when))
            fail_msg("'%s' was understood", wrong[i]);
}

static void reads_times_of_the_log(void **state) {
    int64_t when;
    (void)state;
    assert_true(when_parse_stamp("2026-11-30T01:30:00.214+01:00", &when));
    assert_int_equal(when, now + 214);
    assert_true(when_parse_stamp("2026-11-30T00:30:00Z", &when));
    assert_int_equal(when, now);
    assert_true(when_parse_stamp("2026-11-29T19:30:00-05:00", &when));
    assert_int_equal(when, now);
    assert_false(when_parse_stamp("2026-11-30 01:30:00", &when));
    assert_false(when_parse_stamp("2026-11-30T01:30:00", &when));
    assert_false(when_parse_stamp("2026-11-30T01:30:00+1", &when));
}

static void writes_them_for_people(void **state) {
    char text[16];
    (void)state;
    when_date(now, text);
    assert_string_equal(text, "2026-11-30");
    when_time(now + 7000, text);
    assert_string_equal(text, "01:30:07");
    char stamp[32];
    when_stamp(now, stamp);
    assert_string_equal(stamp, "2026-11-30T01:30:00+01:00");
}

static void agrees_with_the_clock(void **state) {
    char stamp[CLOCK_STAMP_SIZE];
    int64_t before = clock_epoch(), when;
    (void)state;
    clock_stamp_utc(stamp);
    assert_true(when_parse_stamp(stamp, &when));
    assert_true(when >= before && when <= clock_epoch());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_so_long_ago),
        cmocka_unit_test(understands_days_and_times),
        cmocka_unit_test(takes_the_last_time_of_the_clock),
        cmocka_unit_test(knows_summer_time),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(reads_times_of_the_log),
        cmocka_unit_test(writes_them_for_people),
        cmocka_unit_test(agrees_with_the_clock),
    };
    return cmocka_run_group_tests(tests, use_berlin, NULL);
}
