/* The log read back: lines, files that are rotated while they are read, broken ones. */
#include "engine/state/log_read.h"
#include "engine/state/log_write.h"
#include "lexer/memory.h"
#include "tests/unit/range.h"
#include "tests/unit/sample.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/test_history.XXXXXX";
static char path[64], rotated[64];

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/test_history.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/virt-rules.log", directory);
    snprintf(rotated, sizeof rotated, "%s/virt-rules.log.1", directory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove(path);
    remove(rotated);
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

static void put(const char *file, const char *mode, const char *text, size_t size) {
    FILE *out = fopen(file, mode);
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void append(const char *text) {
    put(path, "a", text, strlen(text));
}

static void rotate(void) {
    assert_int_equal(rename(path, rotated), 0);
}

/* The next line is that; NULL: there is none. */
static void expect(struct log_reader *reader, const char *text) {
    const char *line = NULL;
    size_t size = 0;
    bool is = log_read_next(reader, &line, &size);
    if (!text && is)
        fail_msg("a line that was not expected: %.*s", (int)size, line);
    if (!text)
        return;
    if (!is)
        fail_msg("no line, where '%s' was expected", text);
    if (size != strlen(text) || memcmp(line, text, size) != 0)
        fail_msg("'%.*s', not '%s'", (int)size, line, text);
}

/* --- entries */

static const char ENTRY[] =
    "{\"time\":\"2026-11-22T10:18:07.214+01:00\",\"vm\":\"frigate\",\"event\":\"started\","
    "\"action\":\"attach\",\"device\":\"0000:03:00.0 1ac1:089a\",\"rule\":\"a.rules:1\","
    "\"result\":\"attached\",\"message\":\"\xc3\xbc\\n\"}";

static void an_entry_has_its_texts(void **state) {
    (void)state;
    struct log_line entry;
    assert_true(log_read_parse(&entry, ENTRY, strlen(ENTRY)));
    assert_string_equal(entry.time, "2026-11-22T10:18:07.214+01:00");
    assert_string_equal(entry.vm, "frigate");
    assert_string_equal(entry.event, "started");
    assert_string_equal(entry.action, "attach");
    assert_string_equal(entry.device, "0000:03:00.0 1ac1:089a");
    assert_string_equal(entry.rule, "a.rules:1");
    assert_string_equal(entry.result, "attached");
    assert_string_equal(entry.message, "\xc3\xbc\n");
    log_read_finish_line(&entry);
}

static void what_is_null_or_missing_is_null(void **state) {
    (void)state;
    static const char line[] = "{\"vm\":null,\"result\":\"ran\"}";
    struct log_line entry;
    assert_true(log_read_parse(&entry, line, strlen(line)));
    assert_null(entry.vm);
    assert_null(entry.time);
    assert_string_equal(entry.result, "ran");
    log_read_finish_line(&entry);
}

static void broken_lines_are_none(void **state) {
    (void)state;
    static const char *const broken[] = {
        "",
        " ",
        "{",
        "[]",
        "3",
        "\"vm\"",
        "null",
        "{\"vm\":}",
        "{}{}",
        "{\"a\":1,}",
        "{} x",
        "{\"a\":1",
        "{\"a\":\"\x1b\"}",
        "{\"a\":\"\xff\"}",

    };
    struct log_line entry;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (log_read_parse(&entry, broken[i], strlen(broken[i])))
            fail_msg("an entry: %s", broken[i]);
    for (size_t size = 0; size < strlen(ENTRY); size++)
        assert_false(log_read_parse(&entry, ENTRY, size));
    assert_false(log_read_parse(&entry, "{}\0\0\0", 5));
    log_read_finish_line(&entry);
}

/* json-c 0.18 takes bytes from 0x80 on for control characters. */
static void any_letters(void **state) {
    (void)state;
    static const char *const texts[] = {"B\xc3\xbcro", "\xe6\x97\xa5\xe6\x9c\xac",
                                        "\xf0\x9f\x90\xa7 \xc2\x80",
                                        "\xef\xbf\xbf \xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct log_line entry;
        char *line = memory_printf("{\"vm\":\"%s\",\"uuid\":\"x\",\"%s\":1}", texts[i], texts[i]);
        assert_true(log_read_parse(&entry, line, strlen(line)));
        assert_string_equal(entry.vm, texts[i]);
        assert_string_equal(entry.uuid, "x");
        log_read_finish_line(&entry);
        free(line);
    }
    struct log_line entry;
    static const char outside[] = "{\xc3\xbc\"vm\":1}", quoted[] = "{'vm':'x'}";
    assert_false(log_read_parse(&entry, outside, strlen(outside)));
    assert_false(log_read_parse(&entry, quoted, strlen(quoted)));
}

/* Whatever a line holds, its texts are texts. */
static void look_at_line(const char *line, size_t size) {
    struct log_line entry;
    if (!log_read_parse(&entry, line, size))
        return;
    const char *texts[] = {entry.time,   entry.vm,   entry.uuid,   entry.event,  entry.action,
                           entry.device, entry.rule, entry.result, entry.message};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(!texts[i] || strlen(texts[i]) <= 2 * size);
    if (entry.time)
        free(log_read_time_text(entry.time));
    log_read_finish_line(&entry);
}

static void any_byte_of_a_line_may_be_damaged(void **state) {
    (void)state;
    size_t size = strlen(ENTRY);
    for (size_t at = 0; at < size; at++)
        for (int byte = 0; byte < 256; byte++) {
            char *line = memory_zalloc(size); /* no NUL behind it: to be found by the sanitizer */
            memcpy(line, ENTRY, size);        /* NOLINT(bugprone-not-null-terminated-result) */
            line[at] = (char)byte;
            look_at_line(line, size);
            free(line);
            if (byte)
                continue;
            line = memory_zalloc(at);
            memcpy(line, ENTRY, at);
            look_at_line(line, at);
            free(line);
        }
}

static void times_for_people(void **state) {
    (void)state;
    static const char *const times[][2] = {
        {"2026-11-22T10:18:07.214+01:00", "2026-11-22 10:18:07"},
        {"2026-11-22T10:18:07+01:00", "2026-11-22 10:18:07"},
        {"2026-11-22T10:18:07", "2026-11-22 10:18:07"},
        {"2026-11-22T10:18", "2026-11-22T10:18"},
        {"yesterday", "yesterday"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char *text = log_read_time_text(times[i][0]);
        assert_string_equal(text, times[i][1]);
        free(text);
    }
}

/* --- files that nobody writes to */

static void no_log(void **state) {
    (void)state;
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, false);
    expect(reader, NULL);
    assert_false(log_read_found(reader));
    assert_int_equal(log_read_error(reader), 0);
    assert_string_equal(log_read_path(reader), path);
    log_read_close(reader);
    reader = log_read_open("/nonexistent/state", LOG_WRITE_NAME, true);
    expect(reader, NULL);
    assert_int_equal(log_read_error(reader), 0);
    log_read_close(reader);
}

static void the_older_file_first(void **state) {
    (void)state;
    put(rotated, "w", "1\n2\n", 4);
    append("3\n");
    append("\n4");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, false);
    expect(reader, "1");
    expect(reader, "2");
    expect(reader, "3");
    expect(reader, "");
    expect(reader, "4"); /* torn, and nothing comes behind it */
    expect(reader, NULL);
    expect(reader, NULL);
    assert_true(log_read_found(reader));
    log_read_close(reader);
}

static void the_older_file_alone(void **state) {
    (void)state;
    put(rotated, "w", "1\n2", 3);
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, false);
    expect(reader, "1");
    expect(reader, "2");
    expect(reader, NULL);
    log_read_close(reader);
}

static void any_bytes(void **state) {
    (void)state;
    put(path, "w", "a\0b\n\n\xff\n", 7);
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, false);
    const char *line;
    size_t size;
    assert_true(log_read_next(reader, &line, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(line, "a\0b", 3);
    expect(reader, "");
    expect(reader, "\xff");
    expect(reader, NULL);
    log_read_close(reader);
}

static void long_lines(void **state) {
    (void)state;
    static const size_t lengths[] = {
        65535, 65536, 200000, LOG_LINE_LIMIT, LOG_LINE_LIMIT + 1, 3 * (size_t)LOG_LINE_LIMIT};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    char *text = memory_resize(NULL, 3 * (size_t)LOG_LINE_LIMIT, 1);
    memset(text, 'x', 3 * (size_t)LOG_LINE_LIMIT);
    for (int follow = 0; follow < 2; follow++) {
        remove(path);
        for (size_t i = 0; i < COUNT; i++) {
            put(path, "a", text, lengths[i]);
            append("\nend\n");
        }
        struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, follow);
        for (size_t i = 0; i < COUNT; i++) {
            const char *line;
            size_t size, most = lengths[i] < LOG_LINE_LIMIT ? lengths[i] : LOG_LINE_LIMIT;
            assert_true(log_read_next(reader, &line, &size));
            assert_int_equal(size, most);
            expect(reader, "end");
        }
        expect(reader, NULL);
        log_read_close(reader);
    }
    free(text);
}

static void what_is_no_file(void **state) {
    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, false);
    expect(reader, NULL);
    assert_int_equal(log_read_error(reader), EINVAL);
    log_read_close(reader);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    reader = log_read_open(directory, LOG_WRITE_NAME, false);
    expect(reader, NULL);
    assert_int_equal(log_read_error(reader), EINVAL);
    log_read_close(reader);
    remove(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    reader = log_read_open(directory, LOG_WRITE_NAME, false);
    expect(reader, NULL);
    assert_int_equal(log_read_error(reader), EINVAL);
    log_read_close(reader);
}

static void an_older_one_that_is_no_file(void **state) {
    (void)state;
    assert_int_equal(mkdir(rotated, 0700), 0);
    append("1\n");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, "1");
    expect(reader, NULL);
    append("2\n");
    expect(reader, "2");
    assert_int_equal(log_read_error(reader), EINVAL);
    log_read_close(reader);
}

/* --- files that grow */

static void what_is_appended(void **state) {
    (void)state;
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, NULL);
    append("1\n");
    expect(reader, "1");
    expect(reader, NULL);
    append("2");
    expect(reader, NULL); /* not whole yet */
    append("2\n3\n");
    expect(reader, "22");
    expect(reader, "3");
    expect(reader, NULL);
    log_read_close(reader);
}

/* A writer takes out what got in only in part. */
static void a_part_that_is_taken_out_again(void **state) {
    (void)state;
    append("1\npart");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, "1");
    expect(reader, NULL);
    assert_int_equal(truncate(path, 2), 0);
    expect(reader, NULL);
    append("2\n");
    expect(reader, "2");
    log_read_close(reader);
}

static void a_log_that_is_emptied(void **state) {
    (void)state;
    append("1\n2\n");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, "1");
    expect(reader, "2");
    expect(reader, NULL);
    put(path, "w", "3\n", 2);
    expect(reader, "3"); /* at once: nothing more may be written */
    expect(reader, NULL);
    log_read_close(reader);
}

/* And is as long again, or longer, when it is looked at. */
static void a_log_that_is_filled_again(void **state) {
    (void)state;
    static const char *const again[] = {"3\n4\n", "3\n456\n", "3\n\n\n4\n", "3\n4\n5\n6\n"};
    for (size_t i = 0; i < sizeof again / sizeof *again; i++) {
        put(path, "w", "1\n2\n", 4);
        struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
        expect(reader, "1");
        expect(reader, "2");
        expect(reader, NULL);
        put(path, "w", again[i], strlen(again[i]));
        for (const char *at = again[i]; *at; at += strcspn(at, "\n") + 1) {
            char line[8];
            snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
            expect(reader, line);
        }
        expect(reader, NULL);
        append("7\n");
        expect(reader, "7");
        expect(reader, NULL);
        log_read_close(reader);
    }
}

/* Also while lines of what was read before are still to be returned. */
static void a_long_log_that_is_filled_again(void **state) {
    (void)state;
    enum { LINES = 20000 };
    for (int written = LINES / 2; written <= 2 * LINES; written *= 2) {
        remove(path);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        for (int i = 0; i < LINES; i++)
            fprintf(file, "old %d\n", i);
        fclose(file);
        struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
        expect(reader, "old 0");
        file = fopen(path, "we");
        assert_non_null(file);
        for (int i = 0; i < written; i++)
            fprintf(file, "new %d\n", i);
        fclose(file);
        const char *line;
        size_t size;
        int old = 1, fresh = 0;
        while (log_read_next(reader, &line, &size)) {
            char expected[32];
            snprintf(expected, sizeof expected, "new %d", fresh);
            bool is_new = size == strlen(expected) && !memcmp(line, expected, size);
            snprintf(expected, sizeof expected, "old %d", old);
            assert_true(is_new ||
                        (!fresh && size == strlen(expected) && !memcmp(line, expected, size)));
            fresh += is_new;
            old += !is_new;
        }
        assert_int_equal(fresh, written);
        log_read_close(reader);
    }
}

static void one_rotation(void **state) {
    (void)state;
    put(rotated, "w", "0\n", 2);
    append("1\n");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, "0");
    expect(reader, "1");
    expect(reader, NULL);
    append("2\n");
    rotate();
    expect(reader, "2");
    expect(reader, NULL); /* no new one yet */
    append("3\n");
    expect(reader, "3");
    expect(reader, NULL);
    append("torn");
    rotate();
    append("4\n");
    expect(reader, "torn");
    expect(reader, "4");
    expect(reader, NULL);
    log_read_close(reader);
}

static void two_rotations_between_looks(void **state) {
    (void)state;
    append("1\n");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, "1");
    for (int i = 0; i < 3; i++) {
        append("2\n");
        rotate();
        append("3\n4\n");
        rotate();
        append("5\n");
        expect(reader, "2");
        expect(reader, "3");
        expect(reader, "4");
        expect(reader, "5");
        expect(reader, NULL);
        expect(reader, NULL);
    }
    log_read_close(reader);
}

/* The older file was read before; the new one is not behind it. */
static void a_log_that_is_removed(void **state) {
    (void)state;
    put(rotated, "w", "0\n", 2);
    append("1\n");
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    expect(reader, "0");
    expect(reader, "1");
    expect(reader, NULL);
    remove(path);
    expect(reader, NULL);
    append("2\n");
    expect(reader, "2");
    expect(reader, NULL);
    log_read_close(reader);
}

/* For each line after the first AHEAD the writer needs a byte of the reader's: it sees two
 * rotations between two looks, and of three it would lose one. */
enum { AHEAD = 100 };

static void write_many(int writer, int count, int read_so_far) {
    struct log_writer *journal = log_write_open(directory, false);
    char filling[8001];
    memset(filling, 'x', sizeof filling - 1);
    filling[sizeof filling - 1] = '\0';
    for (int i = 0; i < count; i++) {
        char byte, *vm = memory_printf("%d-%d", writer, i);
        if (i >= AHEAD && read(read_so_far, &byte, 1) != 1)
            _exit(1);
        struct log_entry entry = {
            .vm = vm, .event = "started", .result = RESULT_RAN, .message = filling};
        log_write_entry(journal, &entry);
        free(vm);
    }
    log_write_close(journal);
}

/* Every line of every writer once and in its order, through several rotations. */
static void nothing_lost_and_nothing_twice(void **state) {
    (void)state;
    enum { WRITERS = 2, COUNT = 300 };
    int ends[WRITERS][2], next[WRITERS] = {0}, rest = WRITERS * COUNT;
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, true);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pipe(ends[i]), 0);
        if (fork() == 0) {
            for (int j = 0; j <= i; j++)
                close(ends[j][1]);
            write_many(i, COUNT, ends[i][0]);
            _exit(0);
        }
    }
    int running = WRITERS;
    while (rest) {
        const char *line;
        size_t size;
        struct log_line entry;
        if (!log_read_next(reader, &line, &size)) {
            assert_true(running); /* else something was lost */
            running -= waitpid(-1, NULL, WNOHANG) > 0;
            continue;
        }
        assert_true(log_read_parse(&entry, line, size));
        int writer = entry.vm[0] - '0';
        assert_int_in_range(writer, 0, WRITERS - 1);
        assert_int_equal(strtol(entry.vm + 2, NULL, 10), next[writer]);
        next[writer]++;
        rest--;
        assert_int_equal(write(ends[writer][1], "", 1), 1);
        log_read_finish_line(&entry);
    }
    while (running)
        running -= waitpid(-1, NULL, 0) > 0;
    for (int i = 0; i < WRITERS; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
    expect(reader, NULL);
    assert_int_equal(access(rotated, F_OK), 0);
    log_read_close(reader);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_entry_has_its_texts),
        TEST(what_is_null_or_missing_is_null),
        TEST(broken_lines_are_none),
        TEST(any_letters),
        TEST(any_byte_of_a_line_may_be_damaged),
        TEST(times_for_people),
        TEST(no_log),
        TEST(the_older_file_first),
        TEST(the_older_file_alone),
        TEST(any_bytes),
        TEST(long_lines),
        TEST(what_is_no_file),
        TEST(an_older_one_that_is_no_file),
        TEST(what_is_appended),
        TEST(a_part_that_is_taken_out_again),
        TEST(a_log_that_is_emptied),
        TEST(a_log_that_is_filled_again),
        TEST(a_long_log_that_is_filled_again),
        TEST(one_rotation),
        TEST(two_rotations_between_looks),
        TEST(a_log_that_is_removed),
        TEST(nothing_lost_and_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
