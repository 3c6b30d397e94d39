#include "engine/state/log_write.h"
#include "tests/unit/range.h"

#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- stand-ins for syslog, which journal.c calls by one of these names ---- */

void syslog(int priority, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...); // NOLINT

static char logged[64 * 1024];
static int logged_priority;
static unsigned logged_count;

static void keep(int priority, const char *format, va_list arguments) {
    logged_priority = priority;
    logged_count++;
    vsnprintf(logged, sizeof logged, format, arguments);
}

void syslog(int priority, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    keep(priority, format, arguments);
    va_end(arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...) { // NOLINT
    va_list arguments;

    (void)flag;
    va_start(arguments, format);
    keep(priority, format, arguments);
    va_end(arguments);
}

/* ---- a directory a test ---- */

static char directory[64], path[128], rotated[128], events[128], rotated_events[128];

static int make_directory(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "%s", "/tmp/test_journal.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/state/virt-rules.log", directory);
    snprintf(rotated, sizeof rotated, "%s/state/virt-rules.log.1", directory);
    snprintf(events, sizeof events, "%s/state/virt-rules.events", directory);
    snprintf(rotated_events, sizeof rotated_events, "%s/state/virt-rules.events.1", directory);
    logged[0] = '\0';
    logged_count = 0;
    return 0;
}

static int remove_directory(void **state) {
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct log_writer *open_here(void) {
    char state[96];
    struct log_writer *journal;

    snprintf(state, sizeof state, "%s/state", directory);
    journal = log_write_open(state, false);
    assert_non_null(journal);
    return journal;
}

/* The whole file; the caller frees it. */
static char *contents(const char *file) {
    FILE *in = fopen(file, "re");
    char *text = NULL;
    size_t size = 0;

    if (!in)
        return strdup("");
    if (getdelim(&text, &size, '\0', in) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(in);
    assert_non_null(text);
    return text;
}

static size_t count_lines(const char *text) {
    size_t lines = 0;

    for (; (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

static const struct log_entry attached = {.vm = "Home Assistant",
                                          .event = "started",
                                          .action = "attach",
                                          .device = "0000:03:00.0 1ac1:089a",
                                          .rule = "/rules.d/50-a.rules:3",
                                          .result = RESULT_ATTACHED,
                                          .message = "in 2.6 s"};

/* ---- tests ---- */

static void writes_one_line(void **state) {
    struct log_writer *journal = open_here();
    struct stat log;
    char *text, *rest;

    (void)state;
    log_write_entry(journal, &attached);
    log_write_close(journal);
    text = contents(path);
    rest = strchr(text, ',');
    assert_non_null(rest);
    assert_string_equal(rest,
                        ",\"vm\":\"Home Assistant\",\"event\":\"started\",\"action\":\"attach\","
                        "\"device\":\"0000:03:00.0 1ac1:089a\",\"rule\":\"/rules.d/50-a.rules:3\","
                        "\"result\":\"attached\",\"message\":\"in 2.6 s\",\"uuid\":null}\n");
    assert_int_equal(stat(path, &log), 0);
    assert_int_equal(log.st_mode & 07777, 0600);
    free(text);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &log), 0);
    assert_int_equal(log.st_mode & 07777, 0700);
}

static void writes_the_times_of_an_attach(void **state) {
    struct log_entry entry = attached;
    struct log_writer *journal = open_here();
    char *text;

    (void)state;
    entry.is_timed = true;
    entry.event_ms = 1234567890123;
    log_write_entry(journal, &entry);
    log_write_close(journal);
    text = contents(path);
    assert_non_null(strstr(text, ",\"uuid\":null,\"call_ms\":0,\"event_ms\":1234567890123}\n"));
    free(text);
}

static void writes_null_for_what_is_not_there(void **state) {
    static const struct log_entry entry = {.result = RESULT_FAILED, .message = ""};
    struct log_writer *journal = open_here();
    char *text;

    (void)state;
    log_write_entry(journal, &entry);
    log_write_close(journal);
    text = contents(path);
    assert_string_equal(strchr(text, ','),
                        ",\"vm\":null,\"event\":null,\"action\":null,\"device\":null,\"rule\":null,"
                        "\"result\":\"failed\",\"message\":\"\",\"uuid\":null}\n");
    free(text);
}

/* A `9` stands for any digit. */
static bool has_shape(const char *text, const char *shape) {
    for (; *shape; text++, shape++)
        if (*shape == '9' ? *text < '0' || *text > '9' : *text != *shape)
            return false;
    return true;
}

static void writes_the_time(const char *zone, const char *offset) {
    struct log_writer *journal = open_here();
    char *text, shape[64];

    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
    log_write_entry(journal, &attached);
    log_write_close(journal);
    text = contents(path);
    snprintf(shape, sizeof shape, "{\"time\":\"9999-99-99T99:99:99.999%s\",", offset);
    assert_true(has_shape(text, shape));
    free(text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

static void writes_times_with_their_zone(void **state) {
    (void)state;
    writes_the_time("UTC", "+00:00");
    writes_the_time("XXX-5:30", "+05:30");
    writes_the_time("XXX8", "-08:00");
}

static void replaces_what_is_no_utf8(void **state) {
#define BAD "\xef\xbf\xbd"
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"Gr\xc3\xbc\xc3\x9f"
         "e \xe2\x98\x83 \xf0\x9f\x98\x80",
         "Gr\xc3\xbc\xc3\x9f"
         "e \xe2\x98\x83 \xf0\x9f\x98\x80"},
        {"a\xff"
         "b\x80",
         "a" BAD "b" BAD},
        {"\xc0\xaf", BAD BAD},
        {"\xe0\x80\x80", BAD BAD BAD},
        {"\xed\xa0\x80", BAD BAD BAD},
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xf5", BAD},
        {"\xe2\x98", BAD BAD},
        {"\xe2\x98x", BAD BAD "x"},
        {"\xf0\x9f\x98", BAD BAD BAD},
        {"\xc3", BAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_entry entry = {.result = RESULT_RAN, .message = cases[i].text};
        struct log_writer *journal = open_here();
        struct json_object *line;
        char *text;

        log_write_entry(journal, &entry);
        log_write_close(journal);
        text = contents(path);
        line = json_tokener_parse(text);
        assert_string_equal(json_object_get_string(json_object_object_get(line, "message")),
                            cases[i].json);
        json_object_put(line);
        free(text);
        assert_int_equal(unlink(path), 0);
    }
}

static void keeps_a_hostile_text_on_its_line(void **state) {
    static const char hostile[] = "a\n{\"time\":0}\r\x1b[2J\"\\%s%n/\x7f\xc2\x9b";
    struct log_entry entry = {.vm = hostile, .result = RESULT_REFUSED, .message = hostile};
    struct log_writer *journal = open_here();
    struct json_object *line;
    char *text;

    (void)state;
    log_write_entry(journal, &entry);
    log_write_close(journal);
    text = contents(path);
    assert_int_equal(count_lines(text), 1);
    line = json_tokener_parse(text);
    assert_string_equal(json_object_get_string(json_object_object_get(line, "vm")), hostile);
    json_object_put(line);
    free(text);
    assert_string_equal(logged, "a\\x0a{\"time\":0}\\x0d\\x1b[2J\"\\%s%n/\\x7f\\x9b: refused: "
                                "a\\x0a{\"time\":0}\\x0d\\x1b[2J\"\\%s%n/\\x7f\\x9b");
}

static void cuts_long_texts(void **state) {
    struct log_writer *journal = open_here();
    size_t size = 1u << 20;
    char *message = malloc(size + 1), *text;
    struct log_entry entry = {.result = RESULT_RAN, .message = message};

    (void)state;
    assert_non_null(message);
    memset(message, 'm', size);
    message[size] = '\0';
    log_write_entry(journal, &entry);
    log_write_close(journal);
    text = contents(path);
    assert_int_in_range(strlen(text), 16 * 1024, 17 * 1024);
    assert_non_null(strstr(text, "mmm...\",\"uuid\":null}\n"));
    free(text);
    free(message);
}

static void tells_syslog(void **state) {
    static const struct {
        const char *name;
        enum result result;
        int priority; /* LOG_ERR 3, LOG_WARNING 4, LOG_INFO 6 */
    } cases[] = {
        {"attached", RESULT_ATTACHED, 6}, {"already", RESULT_ALREADY, 6},
        {"refused", RESULT_REFUSED, 4},   {"failed", RESULT_FAILED, 3},
        {"absent", RESULT_ABSENT, 6},     {"detached", RESULT_DETACHED, 6},
        {"ran", RESULT_RAN, 6},
    };
    struct log_writer *journal = open_here();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_entry entry = attached;
        char expected[256];

        entry.result = cases[i].result;
        log_write_entry(journal, &entry);
        snprintf(expected, sizeof expected,
                 "Home Assistant started attach 0000:03:00.0 1ac1:089a: %s: in 2.6 s "
                 "(/rules.d/50-a.rules:3)",
                 cases[i].name);
        assert_string_equal(logged, expected);
        assert_int_equal(logged_priority, cases[i].priority);
        assert_string_equal(log_write_result_name(cases[i].result), cases[i].name);
    }
    log_write_close(journal);
}

static void echoes_for_people(void **state) {
    int saved = dup(STDERR_FILENO), file;
    struct log_writer *journal;
    char errors[96], *text;

    (void)state;
    snprintf(errors, sizeof errors, "%s/errors", directory);
    file = open(errors, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    journal = log_write_open(directory, true);
    assert_non_null(journal);
    log_write_entry(journal, &attached);
    log_write_close(journal);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    text = contents(errors);
    assert_string_equal(text, "Home Assistant started attach 0000:03:00.0 1ac1:089a: attached: "
                              "in 2.6 s (/rules.d/50-a.rules:3)\n");
    free(text);
}

static void copies_what_it_writes(void **state) {
    struct log_writer *journal = open_here();
    char *copied = NULL, *text;
    size_t size = 0;
    FILE *out = open_memstream(&copied, &size);

    (void)state;
    assert_non_null(out);
    log_write_entry(journal, &attached);
    log_write_copy(journal, out, false);
    log_write_entry(journal, &attached);
    assert_int_equal(fflush(out), 0);
    assert_string_equal(copied, "Home Assistant started attach 0000:03:00.0 1ac1:089a: attached: "
                                "in 2.6 s (/rules.d/50-a.rules:3)\n");
    rewind(out);
    log_write_copy(journal, out, true);
    log_write_entry(journal, &attached);
    fclose(out);
    text = contents(path);
    assert_int_equal(count_lines(text), 3);
    assert_string_equal(copied, strchr(strchr(text, '\n') + 1, '\n') + 1);
    free(text);
    free(copied);
    log_write_close(journal);
}

static void starts_a_line_after_a_torn_one(void **state) {
    struct log_writer *journal = open_here();
    FILE *out = fopen(path, "we");
    char *text;

    (void)state;
    assert_non_null(out);
    fputs("{\"time\":\"20", out);
    fclose(out);
    log_write_entry(journal, &attached);
    log_write_entry(journal, &attached);
    log_write_close(journal);
    text = contents(path);
    assert_int_equal(count_lines(text), 3);
    assert_memory_equal(text, "{\"time\":\"20\n{\"time\":\"2", 22);
    free(text);
}

/* A file size limit stands for a full disk: write() does a part, then fails. */
static void takes_a_partial_line_out(void **state) {
    struct log_writer *journal = open_here();
    struct rlimit before, full;
    char *text;
    size_t whole;

    (void)state;
    log_write_entry(journal, &attached);
    text = contents(path);
    whole = strlen(text);
    free(text);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = (struct rlimit){.rlim_cur = whole + 10, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    logged_count = 0;
    log_write_entry(journal, &attached);
    assert_int_equal(logged_count, 2); /* the failure, and the entry */
    log_write_entry(journal, &attached);
    assert_int_equal(logged_count, 3); /* the failure is said once */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    text = contents(path);
    assert_int_equal(strlen(text), whole);
    free(text);
    log_write_entry(journal, &attached);
    log_write_close(journal);
    text = contents(path);
    assert_int_equal(count_lines(text), 2);
    free(text);
}

static void says_once_that_it_cannot_write(void **state) {
    char file[96];
    struct log_writer *journal;
    FILE *out;

    (void)state;
    snprintf(file, sizeof file, "%s/file", directory);
    out = fopen(file, "we");
    assert_non_null(out);
    fclose(out);
    journal = log_write_open(file, false); /* no directory */
    assert_non_null(journal);
    log_write_entry(journal, &attached);
    assert_non_null(strstr(logged, "attached"));
    assert_int_equal(logged_count, 2);
    log_write_entry(journal, &attached);
    assert_int_equal(logged_count, 3);
    log_write_close(journal);
    snprintf(file, sizeof file, "%s/not/there", directory);
    journal = log_write_open(file, false);
    assert_non_null(strstr(logged, "not/there/virt-rules.log: No such file"));
    log_write_close(journal);
    log_write_close(NULL);
}

static void follows_no_link(void **state) {
    struct log_writer *journal = open_here();
    char victim[96], *text;

    (void)state;
    snprintf(victim, sizeof victim, "%s/victim", directory);
    assert_int_equal(symlink(victim, path), 0);
    log_write_entry(journal, &attached);
    assert_int_equal(access(victim, F_OK), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    log_write_close(journal);
    journal = open_here();
    logged_count = 0;
    log_write_entry(journal, &attached); /* and waits for no reader */
    assert_int_equal(logged_count, 2);   /* it is a failure */
    log_write_close(journal);
    assert_int_equal(unlink(path), 0);
    text = contents(path);
    assert_string_equal(text, "");
    free(text);
}

static void rotates_at_one_mebibyte(void **state) {
    struct log_writer *journal = open_here();
    struct stat log, old;

    (void)state;
    for (int i = 0; i < 30000; i++)
        log_write_entry(journal, &attached);
    log_write_close(journal);
    assert_int_equal(stat(path, &log), 0);
    assert_int_equal(stat(rotated, &old), 0);
    assert_true(log.st_size <= 1 << 20);
    assert_true(old.st_size <= 1 << 20);
    assert_true(old.st_size > (1 << 20) - 1000);
    assert_int_equal(log.st_mode & 07777, 0600);
}

/* ---- many writers ---- */

enum { WRITERS = 8, LINES_EACH = 1000 };

static void write_many(int writer) {
    struct log_writer *journal = open_here();
    char message[64];
    struct log_entry entry = attached;

    entry.message = message;
    for (int i = 0; i < LINES_EACH; i++) {
        snprintf(message, sizeof message, "%d", writer * LINES_EACH + i);
        log_write_entry(journal, &entry);
    }
    log_write_close(journal);
}

/* Marks the lines of one file in `seen`; every one must be whole and new. */
static void check_lines(const char *file, bool seen[WRITERS * LINES_EACH]) {
    char *text = contents(file), *rest = text, *line;

    while ((line = strsep(&rest, "\n")) && rest) {
        struct json_object *object = json_tokener_parse(line);
        long number;

        assert_non_null(object);
        number =
            strtol(json_object_get_string(json_object_object_get(object, "message")), NULL, 10);
        assert_int_in_range(number, 0, WRITERS * LINES_EACH - 1);
        assert_false(seen[number]);
        seen[number] = true;
        json_object_put(object);
    }
    free(text);
}

static void loses_no_line_of_many_writers(void **state) {
    static bool seen[WRITERS * LINES_EACH];
    struct stat old;

    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            write_many(i);
            _exit(0);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(stat(rotated, &old), 0); /* it was rotated meanwhile, once */
    check_lines(path, seen);
    check_lines(rotated, seen);
    for (int i = 0; i < WRITERS * LINES_EACH; i++)
        assert_true(seen[i]);
}

static int hold_lock(void) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(file >= 0);
    assert_int_equal(flock(file, LOCK_EX), 0);
    return file;
}

/* It writes its line, but it does not rotate: that is for who has the lock. */
static void waits_for_no_writer_that_hangs(void **state) {
    struct log_writer *journal = open_here();
    int file = hold_lock();
    struct stat log;

    (void)state;
    assert_int_equal(ftruncate(file, 1 << 20), 0);
    log_write_entry(journal, &attached);
    log_write_close(journal);
    close(file);
    assert_int_equal(stat(path, &log), 0);
    assert_true(log.st_size > 1 << 20);
    assert_int_equal(access(rotated, F_OK), -1);
}

/* Whether the process has this file open. */
static bool has_open(pid_t process, const struct stat *file) {
    char descriptor[64];
    struct stat status;

    for (int i = STDERR_FILENO + 1; i < 64; i++) {
        snprintf(descriptor, sizeof descriptor, "/proc/%d/fd/%d", (int)process, i);
        if (stat(descriptor, &status) == 0 && status.st_ino == file->st_ino &&
            status.st_dev == file->st_dev)
            return true;
    }
    return false;
}

/* Who waited for the lock of a file that was rotated meanwhile writes to the new one. It waits for
 * some time only, so it is stopped meanwhile. */
static void follows_a_rotation(void **state) {
    struct stat log;
    int file, status;
    pid_t child;
    char *text;

    (void)state;
    log_write_close(open_here());
    file = hold_lock();
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct log_writer *journal = open_here();

        close(file); /* the lock stays the parent's */
        raise(SIGSTOP);
        log_write_entry(journal, &attached);
        log_write_close(journal);
        _exit(0);
    }
    assert_int_equal(fstat(file, &log), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    kill(child, SIGCONT);
    while (!has_open(child, &log))
        assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(rename(path, rotated), 0);
    close(file);
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    text = contents(rotated);
    assert_string_equal(text, "");
    free(text);
    text = contents(path);
    assert_int_equal(count_lines(text), 1);
    free(text);
}

/* ---- events */

static const struct log_event started = {.time = "2026-11-29T23:14:07.123+01:00",
                                         .vm = "Frigate NVR",
                                         .name = "frigate",
                                         .uuid = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
                                         .id = 7,
                                         .event = "started"};

static void keeps_events_beside_the_log(void **state) {
    struct log_writer *journal = open_here();
    struct log_event matched = started;
    char *text;

    (void)state;
    matched.result = LOG_EVENT_MATCHED;
    matched.rules = 2;
    log_write_event(journal, &started);
    log_write_event(journal, &matched);
    log_write_close(journal);
    text = contents(events);
    assert_string_equal(
        text, "{\"time\":\"2026-11-29T23:14:07.123+01:00\",\"vm\":\"Frigate NVR\",\"event\":"
              "\"started\",\"action\":null,\"device\":null,\"rule\":null,\"result\":\"unmatched\","
              "\"message\":\"no rule matched\",\"uuid\":\"4dea22b3-1d52-d8f3-2516-782e98ab3fa0\","
              "\"name\":\"frigate\",\"id\":7,\"rules\":0}\n"
              "{\"time\":\"2026-11-29T23:14:07.123+01:00\",\"vm\":\"Frigate NVR\",\"event\":"
              "\"started\",\"action\":null,\"device\":null,\"rule\":null,\"result\":\"matched\","
              "\"message\":\"2 rules matched\",\"uuid\":\"4dea22b3-1d52-d8f3-2516-782e98ab3fa0\","
              "\"name\":\"frigate\",\"id\":7,\"rules\":2}\n");
    free(text);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(logged_count, 0);
}

/* A writer that was killed at its write left the first of these. */
static void ends_a_torn_event(void **state) {
    struct log_writer *journal = open_here();
    FILE *out = fopen(events, "we");
    char *text;

    (void)state;
    assert_non_null(out);
    fputs("{\"time\":\"20", out);
    fclose(out);
    log_write_event(journal, &started);
    log_write_close(journal);
    text = contents(events);
    assert_int_equal(count_lines(text), 2);
    free(text);
}

enum { EVENT_LINES = 3000, EVENT_SIZE = 1 << 18 };

/* Many writers, none of which locks, and a rotation in between: each line is whole. */
static void keeps_whole_lines_of_many_writers(void **state) {
    enum { PROCESSES = 20, EACH = EVENT_LINES / PROCESSES };
    struct stat status;
    char *texts[2];

    (void)state;
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            struct log_writer *journal = open_here();
            for (int j = 0; j < EACH; j++)
                log_write_event(journal, &started);
            log_write_close(journal);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    texts[0] = contents(rotated_events);
    texts[1] = contents(events);
    assert_int_equal(stat(rotated_events, &status), 0);
    assert_true(status.st_size >= EVENT_SIZE - 512);
    assert_true(status.st_size <= EVENT_SIZE + 512 * PROCESSES);
    for (int i = 0; i < 2; i++) {
        char *rest = texts[i];
        for (char *line; (line = strsep(&rest, "\n")) && rest;) {
            struct json_object *object = json_tokener_parse(line);
            /* Who sees a line while it is written ends it, as one that is torn. */
            assert_true(object || !*line);
            json_object_put(object);
        }
        free(texts[i]);
    }
}

static void says_once_that_an_event_is_not_kept(void **state) {
    struct log_writer *journal = open_here();

    (void)state;
    assert_int_equal(mkdir(events, 0700), 0);
    log_write_event(journal, &started);
    log_write_event(journal, &started);
    log_write_close(journal);
    assert_int_equal(logged_count, 1);
}

static size_t count_descriptors(void) {
    DIR *listing = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(listing);
    while (readdir(listing))
        count++;
    closedir(listing);
    return count;
}

static void leaks_no_descriptor(void **state) {
    size_t before = count_descriptors();
    struct log_writer *journal = open_here();

    (void)state;
    for (int i = 0; i < 10; i++)
        log_write_event(journal, &started);
    for (int i = 0; i < 10; i++)
        log_write_entry(journal, &attached);
    log_write_close(journal);
    assert_int_equal(count_descriptors(), before);
}

static void knows_its_directory(void **state) {
    (void)state;
    assert_int_equal(unsetenv("VIRT_RULES_STATE"), 0);
    assert_string_equal(log_write_state_directory(NULL), STATEDIR);
    assert_int_equal(setenv("VIRT_RULES_STATE", "", 1), 0);
    assert_string_equal(log_write_state_directory(NULL), STATEDIR);
    assert_int_equal(setenv("VIRT_RULES_STATE", "/run/x", 1), 0);
    assert_string_equal(log_write_state_directory(NULL), "/run/x");
    assert_string_equal(log_write_state_directory("/run/y"), "/run/y");
    assert_int_equal(unsetenv("VIRT_RULES_STATE"), 0);
}

#define JOURNAL_TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(writes_one_line),
        JOURNAL_TEST(writes_the_times_of_an_attach),
        JOURNAL_TEST(writes_null_for_what_is_not_there),
        JOURNAL_TEST(writes_times_with_their_zone),
        JOURNAL_TEST(replaces_what_is_no_utf8),
        JOURNAL_TEST(keeps_a_hostile_text_on_its_line),
        JOURNAL_TEST(cuts_long_texts),
        JOURNAL_TEST(tells_syslog),
        JOURNAL_TEST(echoes_for_people),
        JOURNAL_TEST(copies_what_it_writes),
        JOURNAL_TEST(starts_a_line_after_a_torn_one),
        JOURNAL_TEST(takes_a_partial_line_out),
        JOURNAL_TEST(says_once_that_it_cannot_write),
        JOURNAL_TEST(follows_no_link),
        JOURNAL_TEST(rotates_at_one_mebibyte),
        JOURNAL_TEST(loses_no_line_of_many_writers),
        JOURNAL_TEST(waits_for_no_writer_that_hangs),
        JOURNAL_TEST(follows_a_rotation),
        JOURNAL_TEST(keeps_events_beside_the_log),
        JOURNAL_TEST(ends_a_torn_event),
        JOURNAL_TEST(keeps_whole_lines_of_many_writers),
        JOURNAL_TEST(says_once_that_an_event_is_not_kept),
        JOURNAL_TEST(leaks_no_descriptor),
        cmocka_unit_test(knows_its_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
