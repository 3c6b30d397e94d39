/* Command lines, whole streams, and when to paint. */
#include "engine/command/command.h"

#include "tests/unit/skip.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char errors[1024], prints[1024];

/* What `into` gets of a stream until restore() is called. */
struct capture {
    FILE *stream, *file;
    int saved;
};

static struct capture capture(FILE *stream) {
    struct capture capture = {stream, tmpfile(), dup(fileno(stream))};
    assert_non_null(capture.file);
    fflush(stream);
    assert_true(dup2(fileno(capture.file), fileno(stream)) >= 0);
    return capture;
}

static void restore(struct capture *capture, char *text, size_t size) {
    fflush(capture->stream);
    dup2(capture->saved, fileno(capture->stream));
    close(capture->saved);
    rewind(capture->file);
    text[fread(text, 1, size - 1, capture->file)] = 0;
    fclose(capture->file);
}

static int no_command(const struct command *command, int argc, char **argv) {
    (void)command;
    (void)argc;
    (void)argv;
    return 0;
}

struct test_options {
    struct command_line line;
    bool flag;
    const char *value;
};

static struct test_options read_options;
static char taken[64];

static int take(struct command_line *line, const struct command_option *option, const char *text) {
    assert_ptr_equal(line, &read_options);
    assert_string_equal(option->name, "take");
    snprintf(taken + strlen(taken), sizeof taken - strlen(taken), "%s,", text);
    return strcmp(text, "bad") ? 0 : EXIT_USAGE;
}

static const struct command_option options[] = {
    {.name = "flag", .help = "a flag", .field = offsetof(struct test_options, flag)},
    {.name = "value",
     .argument = "TEXT",
     .help = "a text that does not fit: it is longer than what is left of the 80 columns",
     .field = offsetof(struct test_options, value)},
    {.name = "take", .argument = "X", .take = take},
    {0}};

static const struct command command = {"test", "WORD", "Tests.", "A note.\n", options, no_command};
static const struct command bare = {"bare", "", "Tests.", "", options + 2, no_command};

/* The words behind the options, or "-" when the program is to end with `status`. */
static const char *parsed(const char *line, int *status) {
    static char words[256], rest[256];
    char *argv[16] = {NULL};
    int argc = 0;
    snprintf(words, sizeof words, "test %s", line);
    for (char *at = words, *word; (word = strsep(&at, " "));)
        argv[argc++] = word;
    read_options = (struct test_options){0};
    *taken = *rest = 0;
    struct capture out = capture(stdout), err = capture(stderr);
    bool is_parsed = command_parse(&read_options.line, &command, argc, argv, status);
    restore(&err, errors, sizeof errors);
    restore(&out, prints, sizeof prints);
    if (!is_parsed)
        return "-";
    assert_null(read_options.line.words[read_options.line.word_count]);
    for (int i = 0; i < read_options.line.word_count; i++)
        snprintf(rest + strlen(rest), sizeof rest - strlen(rest), "%s ",
                 read_options.line.words[i]);
    return rest;
}

static void options_anywhere(void **state) {
    int status = -1;
    (void)state;
    assert_string_equal(parsed("a --flag b --value x --take 1 --take=2", &status), "a b ");
    assert_true(read_options.flag);
    assert_string_equal(read_options.value, "x");
    assert_string_equal(taken, "1,2,");
    assert_string_equal(parsed("a -- --flag", &status), "a --flag ");
    assert_false(read_options.flag);
    assert_string_equal(parsed("- --value -", &status), "- ");
    assert_string_equal(read_options.value, "-");
}

static void assert_mistake(const char *line, const char *message) {
    int status = -1;
    assert_string_equal(parsed(line, &status), "-");
    assert_int_equal(status, EXIT_USAGE);
    assert_string_equal(prints, "");
    if (!strstr(errors, message))
        fail_msg("no \"%s\" in: %s", message, errors);
    if (!strstr(errors, "; 'virt-rules test --help' lists the options\n"))
        assert_non_null(strstr(errors, "\nusage: virt-rules test WORD [--flag] [--value TEXT]\n"));
}

static void mistakes_name_the_word(void **state) {
    (void)state;
    assert_mistake("a --flg", "unknown option '--flg'; did you mean '--flag'?");
    assert_mistake("a --xyzzy b", "unknown option '--xyzzy'; ");
    assert_mistake("a -x", "unknown option '-x'");
    assert_mistake("a -xy b", "unknown option '-x'");
    assert_mistake("a --value", "option '--value' needs an argument");
    assert_mistake("--flag=1", "option '--flag' takes no argument");
    assert_mistake("--help=1", "option '--help' takes no argument");
    assert_mistake("--value=", "the argument of '--value' is empty");
    assert_mistake("-x", "put '--' before a name that begins with '-'");
}

static void an_option_may_end_it(void **state) {
    int status = -1;
    (void)state;
    assert_string_equal(parsed("--take bad --take good", &status), "-");
    assert_int_equal(status, EXIT_USAGE);
    assert_string_equal(taken, "bad,");
}

static void help_is_a_success(void **state) {
    int status = -1;
    (void)state;
    assert_string_equal(parsed("a --help --nonsense", &status), "-");
    assert_int_equal(status, EXIT_FINE);
    assert_string_equal(
        prints, "usage: virt-rules test WORD [--flag] [--value TEXT]\n\nTests.\n\nA note.\n\n"
                "  --flag        a flag\n"
                "  --value TEXT  a text that does not fit: it is longer than what is left of the\n"
                "                80 columns\n");
    assert_string_equal(errors, "");
}

static FILE *stream_of(const char *bytes, size_t size) {
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    rewind(file);
    return file;
}

static void whole_streams(void **state) {
    size_t size = 99;
    (void)state;
    FILE *in = stream_of("", 0);
    char *text = command_read_all(in, 10, &size);
    assert_non_null(text);
    assert_int_equal(size, 0);
    free(text);
    fclose(in);
    in = stream_of("0123456789", 10);
    text = command_read_all(in, 10, &size);
    assert_memory_equal(text, "0123456789", 10);
    assert_int_equal(size, 10);
    free(text);
    rewind(in);
    assert_null(command_read_all(in, 9, &size));
    assert_int_equal(errno, EFBIG);
    fclose(in);
}

static void a_large_stream(void **state) {
    size_t size = 0;
    enum { LARGE = 300000 };
    (void)state;
    char *bytes = memory_zalloc(LARGE);
    memset(bytes, 'x', LARGE);
    FILE *in = stream_of(bytes, LARGE);
    char *text = command_read_all(in, LARGE, &size);
    assert_int_equal(size, LARGE);
    assert_memory_equal(text, bytes, LARGE);
    free(text);
    free(bytes);
    fclose(in);
}

static void a_stream_that_cannot_be_read(void **state) {
    size_t size = 0;
    (void)state;
    FILE *in = fopen("/", "re");
    assert_non_null(in);
    assert_null(command_read_all(in, 10, &size));
    assert_int_equal(errno, EISDIR);
    fclose(in);
}

static void failures_carry_their_hint(void **state) {
    (void)state;
    struct capture err = capture(stderr);
    assert_int_equal(command_fail("it broke", "fix it"), EXIT_PROBLEM);
    assert_int_equal(command_fail("it broke", ""), EXIT_PROBLEM);
    assert_int_equal(command_fail("it broke", NULL), EXIT_PROBLEM);
    assert_int_equal(command_failf("try it", "it broke %s", "again"), EXIT_PROBLEM);
    restore(&err, errors, sizeof errors);
    assert_string_equal(errors, "virt-rules: it broke\n  hint: fix it\nvirt-rules: it broke\n"
                                "virt-rules: it broke\n"
                                "virt-rules: it broke again\n  hint: try it\n");
}

static void a_command_without_operands(void **state) {
    char name[] = "bare", option[] = "--help", *argv[] = {name, option, NULL};
    int status = -1;
    (void)state;
    struct capture out = capture(stdout);
    assert_false(command_parse(&read_options.line, &bare, 2, argv, &status));
    restore(&out, prints, sizeof prints);
    assert_int_equal(status, EXIT_FINE);
    assert_string_equal(prints, "usage: virt-rules bare\n\nTests.\n\n");
}

static void empty_arguments(void **state) {
    char full[] = "a", empty[] = "", *words[] = {full, empty, NULL};
    struct command_line line = {.command = &command, .words = words, .word_count = 1};
    (void)state;
    assert_false(command_has_empty_word(&line));
    line.word_count = 2;
    struct capture err = capture(stderr);
    assert_true(command_has_empty_word(&line));
    restore(&err, errors, sizeof errors);
    assert_memory_equal(errors, "virt-rules test: argument 2 is empty\n", 37);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_anywhere),
        cmocka_unit_test(mistakes_name_the_word),
        cmocka_unit_test(an_option_may_end_it),
        cmocka_unit_test(help_is_a_success),
        cmocka_unit_test(whole_streams),
        cmocka_unit_test(a_large_stream),
        cmocka_unit_test(a_stream_that_cannot_be_read),
        cmocka_unit_test(failures_carry_their_hint),
        cmocka_unit_test(a_command_without_operands),
        cmocka_unit_test(empty_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
