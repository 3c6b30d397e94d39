#include "engine/system/when.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SECOND_MS = 1000, DAY_MS = 86400000, NUMBER_MAX = 1000000 };

static const char *when_skip_blanks(const char *text) {
    return text + strspn(text, " \t");
}

/* The number at the text's beginning, of up to six digits; NULL: there is none. */
static const char *when_number(const char *text, int64_t *number) {
    const char *start = text;
    for (*number = 0; isdigit((unsigned char)*text) && text - start < 7; text++)
        *number = *number * 10 + (*text - '0');
    return text > start && *number < NUMBER_MAX ? text : NULL;
}

/* --- so long ago */

static const struct {
    const char *words; /* a blank after each */
    int64_t ms;
} when_units[] = {
    {"s sec secs second seconds ", SECOND_MS}, {"m min mins minute minutes ", 60LL * SECOND_MS},
    {"h hr hour hours ", 3600LL * SECOND_MS},  {"d day days ", DAY_MS},
    {"w week weeks ", 7LL * DAY_MS},
};

static int64_t when_unit(const char *word, size_t length) {
    for (size_t i = 0; i < sizeof when_units / sizeof *when_units; i++)
        for (const char *at = when_units[i].words; *at; at += strcspn(at, " ") + 1)
            if (strcspn(at, " ") == length && !strncmp(at, word, length))
                return when_units[i].ms;
    return 0;
}

/* "1h 30min"; returns what follows, or NULL. */
static const char *when_duration(const char *text, int64_t *duration) {
    const char *rest = NULL;
    *duration = 0;
    for (;;) {
        int64_t number;
        const char *unit = when_number(text, &number);
        if (!unit)
            return rest;
        unit = when_skip_blanks(unit);
        size_t length = 0;
        while (isalpha((unsigned char)unit[length]))
            length++;
        int64_t ms = when_unit(unit, length);
        if (!ms)
            return NULL;
        *duration += number * ms;
        rest = text = when_skip_blanks(unit + length);
    }
}

static bool when_parse_ago(const char *text, int64_t now, int64_t *when) {
    int64_t duration;
    const char *rest = when_duration(text + (*text == '-'), &duration);
    if (!rest || (*rest && (strcmp(rest, "ago") != 0 || *text == '-')))
        return false;
    *when = now - duration;
    return true;
}

/* --- a day, and a time of it */

/* "23:00" or "23:00:07"; returns what follows, or NULL. */
static const char *when_clock(const char *text, struct tm *tm) {
    int64_t hour, minute, second = 0;
    const char *rest = when_number(text, &hour);
    if (!rest || *rest != ':' || rest - text > 2 || !isdigit((unsigned char)rest[1]) ||
        !isdigit((unsigned char)rest[2]))
        return NULL;
    rest = when_number(rest + 1, &minute);
    if (rest && *rest == ':')
        rest = when_number(rest + 1, &second);
    if (!rest || hour > 23 || minute > 59 || second > 60)
        return NULL;
    tm->tm_hour = (int)hour;
    tm->tm_min = (int)minute;
    tm->tm_sec = (int)second;
    return rest;
}

/* "2026-11-29"; returns what follows, or NULL. */
static const char *when_day(const char *text, struct tm *tm) {
    static const char form[] = "dddd-dd-dd";
    int year, month, day;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
            return NULL;
    if (sscanf(text, "%d-%d-%d", &year, &month, &day) != 3) // NOLINT
        return NULL;
    *tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
    /* A day that is none becomes another one: the 30th of February. */
    if (mktime(tm) == -1 || tm->tm_mday != day || tm->tm_mon != month - 1)
        return NULL;
    *tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_isdst = -1};
    return text + strlen(form);
}

/* So many days ago. */
static void when_go_back(struct tm *tm, int64_t now, int days) {
    time_t seconds = (time_t)(now / SECOND_MS);
    localtime_r(&seconds, tm);
    *tm = (struct tm){.tm_year = tm->tm_year,
                      .tm_mon = tm->tm_mon,
                      .tm_mday = tm->tm_mday - days,
                      .tm_isdst = -1};
}

/* What begins with a day's name; returns what follows, or NULL. */
static const char *when_named_day(const char *text, int64_t now, struct tm *tm) {
    static const char *const names[] = {"today", "yesterday"};
    for (int days = 0; days < 2; days++) {
        size_t length = strlen(names[days]);
        if (strncmp(text, names[days], length) != 0)
            continue;
        when_go_back(tm, now, days);
        return text + length;
    }
    return when_day(text, tm);
}

static bool when_finish(struct tm tm, int64_t *when) {
    time_t seconds = mktime(&tm);
    *when = (int64_t)seconds * SECOND_MS;
    return seconds != -1;
}

/* At 1 o'clock "23:00" is yesterday's. */
static bool when_parse_clock(const char *text, int64_t now, int64_t *when) {
    struct tm tm;
    when_go_back(&tm, now, 0);
    const char *rest = when_clock(text, &tm);
    if (!rest || *rest || !when_finish(tm, when))
        return false;
    if (*when <= now)
        return true;
    tm.tm_mday--;
    return when_finish(tm, when);
}

static bool when_parse_day(const char *text, int64_t now, int64_t *when) {
    struct tm tm;
    const char *rest = when_named_day(text, now, &tm);
    if (!rest)
        return false;
    if (*rest) {
        bool is_apart = *rest == ' ' || *rest == 'T';
        rest = is_apart ? when_clock(when_skip_blanks(rest + 1), &tm) : NULL;
    }
    return rest && !*rest && when_finish(tm, when);
}

bool when_parse(const char *text, int64_t now, int64_t *when) {
    *when = now;
    text = when_skip_blanks(text);
    return !strcmp(text, "now") || when_parse_ago(text, now, when) ||
           when_parse_clock(text, now, when) || when_parse_day(text, now, when) ||
           when_parse_stamp(text, when);
}

/* --- times of the log */

/* "+01:00", "+0100" or "Z", in seconds east of Greenwich. */
static bool when_zone(const char *text, int64_t *east) {
    int hours, minutes;
    *east = 0;
    if (!strcmp(text, "Z"))
        return true;
    if ((*text != '+' && *text != '-') || strspn(text + 1, "0123456789:") != strlen(text + 1) ||
        (sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2 && // NOLINT
         sscanf(text + 1, "%2d%2d", &hours, &minutes) != 2))   // NOLINT
        return false;
    int seconds = hours * 3600 + minutes * 60;
    *east = *text == '-' ? -seconds : seconds;
    return true;
}

bool when_parse_stamp(const char *text, int64_t *when) {
    struct tm tm;
    int64_t fraction = 0, east;
    const char *rest = when_day(text, &tm);
    if (!rest || *rest != 'T' || !(rest = when_clock(rest + 1, &tm)))
        return false;
    if (*rest == '.') {
        const char *digits = rest + 1;
        size_t length = strspn(digits, "0123456789");
        for (size_t i = 0; i < 3; i++)
            fraction = fraction * 10 + (i < length ? digits[i] - '0' : 0);
        rest = digits + length;
    }
    if (!when_zone(rest, &east))
        return false;
    *when = ((int64_t)timegm(&tm) - east) * SECOND_MS + fraction;
    return true;
}

/* --- as text */

static void when_format(int64_t when, const char *format, char text[16]) {
    struct tm tm = {0};
    time_t seconds = (time_t)(when / SECOND_MS);
    localtime_r(&seconds, &tm);
    if (!strftime(text, 16, format, &tm))
        *text = '\0';
}

void when_stamp(int64_t when, char text[32]) {
    struct tm tm = {0};
    time_t seconds = (time_t)(when / SECOND_MS);
    localtime_r(&seconds, &tm);
    size_t size = strftime(text, 31, "%Y-%m-%dT%H:%M:%S%z", &tm);
    if (size > 2) {
        memmove(text + size - 1, text + size - 2, 3);
        text[size - 2] = ':';
    }
}

void when_date(int64_t when, char text[16]) {
    when_format(when, "%Y-%m-%d", text);
}

void when_time(int64_t when, char text[16]) {
    when_format(when, "%H:%M:%S", text);
}
