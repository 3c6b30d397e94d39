#include "lexer/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/virt-rules-source-XXXXXX";
static struct failure failure;

static int make_directory(void **state) {
    (void)state;
    umask(022);
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int remove_directory(void **state) {
    (void)state;
    return chdir("/") || rmdir(directory);
}

static void write_file(const char *name, const char *text, size_t size, mode_t mode) {
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
    assert_int_equal(chmod(name, mode), 0);
}

static int read_source(struct source *source, const char *path, enum source_trust trust,
                       bool *untrusted) {
    failure = (struct failure){0};
    return source_read(source, path, trust, untrusted, &failure);
}

static void assert_refused(const char *path, enum source_trust trust, const char *message) {
    struct source source;
    assert_int_equal(read_source(&source, path, trust, NULL), -1);
    if (!strstr(failure.message, message))
        fail_msg("'%s' does not say '%s'", failure.message, message);
    assert_null(strchr(failure.message, '\n'));
    assert_true(*failure.hint);
}

static void assert_at(struct source *source, uint32_t offset, size_t line, unsigned column,
                      const char *text) {
    struct position position = source_position(source, offset);
    size_t length = position.text.end - position.text.start;
    if (position.line != line || position.column != column || length != strlen(text) ||
        memcmp(source->text + position.text.start, text, length) != 0)
        fail_msg("offset %u is %zu:%u of '%.*s', not %zu:%u of '%s'", offset, position.line,
                 position.column, (int)length, source->text + position.text.start, line, column,
                 text);
}

static void test_lines(void **state) {
    (void)state;
    struct source source;
    static const char text[] = "one\ntwo\n\nfour";
    source_from_text(&source, "t.rules", text, strlen(text));
    assert_string_equal(source.path, "t.rules");
    assert_at(&source, 0, 1, 1, "one");
    assert_at(&source, 2, 1, 3, "one");
    assert_at(&source, 3, 1, 4, "one"); /* its line feed */
    assert_at(&source, 4, 2, 1, "two");
    assert_at(&source, 8, 3, 1, "");
    assert_at(&source, 9, 4, 1, "four");
    assert_at(&source, 13, 4, 5, "four"); /* the end */
    assert_at(&source, 0, 1, 1, "one");   /* in any order */
    assert_int_equal(source.line_count, 4);
    source_finish(&source);
    assert_null(source.text);
}

static void test_last_line_feed(void **state) {
    (void)state;
    struct source source;
    source_from_text(&source, "t", "a\n", 2);
    assert_at(&source, 2, 2, 1, "");
    source_finish(&source);
    source_from_text(&source, "t", "", 0);
    assert_at(&source, 0, 1, 1, "");
    source_finish(&source);
}

static void test_columns_are_characters(void **state) {
    (void)state;
    struct source source;
    static const char text[] = "\té東🎮x\nü\xffy";
    source_from_text(&source, "t", text, strlen(text));
    assert_at(&source, 1, 1, 2, "\té東🎮x");
    assert_at(&source, 3, 1, 3, "\té東🎮x");
    assert_at(&source, 6, 1, 4, "\té東🎮x");
    assert_at(&source, 10, 1, 5, "\té東🎮x");
    assert_at(&source, 15, 2, 3, "ü\xffy"); /* a broken byte is one */
    assert_int_equal(source_characters(&source, 0, 11), 5);
    assert_int_equal(source_characters(&source, 5, 5), 0);
    assert_int_equal(source_characters(&source, 5, 2), 0);
    source_finish(&source);
}

static void test_mark_and_carriage_returns(void **state) {
    (void)state;
    struct source source;
    static const char text[] = "\xef\xbb\xbfon\r\nvm\r\n\r\nx\ry\r\n";
    source_from_text(&source, "t", text, strlen(text));
    assert_int_equal(source_mark(&source), 3);
    assert_at(&source, 0, 1, 1, "on");
    assert_at(&source, 3, 1, 1, "on");
    assert_at(&source, 5, 1, 3, "on"); /* its CR */
    assert_at(&source, 7, 2, 1, "vm");
    assert_at(&source, 11, 3, 1, "");
    assert_at(&source, 15, 4, 3, "x\ry");
    source_finish(&source);
    source_from_text(&source, "t", "\xef\xbb", 2);
    assert_int_equal(source_mark(&source), 0);
    source_finish(&source);
    source_from_text(&source, "t", "x\xef\xbb\xbf", 4);
    assert_int_equal(source_mark(&source), 0);
    source_finish(&source);
}

/* Columns on one long line come from an index of blocks: every offset against a plain count. */
static void test_columns_of_a_long_line(void **state) {
    (void)state;
    enum { SIZE = 5000 };
    char text[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)(i % 3 == 1 ? 0xc3 : i % 3 == 2 ? 0xa9 : 'x'); /* xé xé ... */
    text[700] = '\n';
    struct source source;
    source_from_text(&source, "t", text, SIZE);
    unsigned column = 1;
    for (uint32_t at = 701; at <= SIZE; at++) {
        struct position position = source_position(&source, at);
        assert_int_equal(position.line, 2);
        assert_int_equal(position.column, column);
        column += at < SIZE && ((unsigned char)text[at] & 0xc0) != 0x80;
    }
    assert_int_equal(source_position(&source, 100).line, 1);
    source_finish(&source);
}

static void test_a_size_of_whole_blocks(void **state) {
    (void)state;
    enum { SIZE = 4096 };
    char text[SIZE];
    memset(text, 'x', SIZE);
    struct source source;
    source_from_text(&source, "t", text, SIZE);
    assert_int_equal(source_position(&source, SIZE).column, SIZE + 1);
    assert_int_equal(source_position(&source, 0).column, 1);
    source_finish(&source);
}

static void test_read(void **state) {
    (void)state;
    struct source source;
    bool untrusted = true;
    write_file("a.rules", "a\0b\n", 4, 0644);
    assert_int_equal(read_source(&source, "a.rules", TRUST_OWNER, &untrusted), 0);
    assert_false(untrusted);
    assert_int_equal(source.size, 4);
    assert_memory_equal(source.text, "a\0b\n\0", 5);
    source_finish(&source);
    write_file("a.rules", "", 0, 0600);
    assert_int_equal(read_source(&source, "a.rules", TRUST_OWNER, NULL), 0);
    assert_int_equal(source.size, 0);
    source_finish(&source);
    unlink("a.rules");
}

static void test_trust(void **state) {
    (void)state;
    static const struct {
        unsigned mode;
        bool trusted;
    } modes[] = {{0644, true},  {0600, true},  {0444, true},  {0755, true},
                 {0664, false}, {0646, false}, {0666, false}, {0620, false}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(source_is_trusted(geteuid(), modes[i].mode), modes[i].trusted);
        assert_int_equal(source_is_trusted(0, modes[i].mode), modes[i].trusted);
        assert_false(source_is_trusted(geteuid() + 4711, modes[i].mode));
    }
    struct source source;
    bool untrusted = false;
    write_file("a.rules", "x", 1, 0666);
    assert_refused("a.rules", TRUST_OWNER, "may be changed by users other than root");
    assert_int_equal(read_source(&source, "a.rules", TRUST_ANY, &untrusted), 0);
    assert_true(untrusted);
    source_finish(&source);
    unlink("a.rules");
}

static void test_what_is_no_file(void **state) {
    (void)state;
    assert_refused("missing.rules", TRUST_ANY, "cannot be opened: No such file");
    assert_refused("/dev/null", TRUST_ANY, "a special file");
    assert_int_equal(mkdir("d.rules", 0755), 0);
    assert_refused("d.rules", TRUST_ANY, "is a directory");
    rmdir("d.rules");
    assert_int_equal(mkfifo("f.rules", 0644), 0);
    assert_refused("f.rules", TRUST_ANY, "is a FIFO"); /* and does not wait for a writer */
    unlink("f.rules");
    assert_int_equal(symlink("l.rules", "l.rules"), 0);
    assert_refused("l.rules", TRUST_ANY, "cannot be opened");
    unlink("l.rules");
    assert_int_equal(symlink("../gone", "l.rules"), 0);
    assert_refused("l.rules", TRUST_ANY, "is a link to '../gone': No such file");
    unlink("l.rules");
}

static void test_limit(void **state) {
    (void)state;
    write_file("large.rules", "", 0, 0644);
    assert_int_equal(truncate("large.rules", (off_t)SOURCE_LIMIT + 1), 0); /* a hole */
    assert_refused("large.rules", TRUST_ANY, "larger than the limit of 256 MiB");
    unlink("large.rules");
}

static void test_standard_input(void **state) {
    (void)state;
    enum { SIZE = 30000 }; /* more than one read, less than a pipe holds */
    int ends[2], before = dup(STDIN_FILENO);
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, 'y', SIZE);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, SIZE), SIZE);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct source source;
    assert_int_equal(read_source(&source, "-", TRUST_OWNER, NULL), 0);
    dup2(before, STDIN_FILENO);
    close(before);
    assert_string_equal(source.path, "<stdin>");
    assert_int_equal(source.size, SIZE);
    assert_memory_equal(source.text, text, SIZE);
    source_finish(&source);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_last_line_feed),
        cmocka_unit_test(test_columns_are_characters),
        cmocka_unit_test(test_mark_and_carriage_returns),
        cmocka_unit_test(test_columns_of_a_long_line),
        cmocka_unit_test(test_a_size_of_whole_blocks),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_standard_input),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
