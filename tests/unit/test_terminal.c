#include "lexer/memory.h"
#include "lexer/terminal.h"
#include "tests/unit/skip.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

static FILE *terminal_stream(unsigned short columns) {
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0)
        skip_because("needs a pseudoterminal");
    FILE *file = fdopen(terminal, "r+");
    assert_non_null(file);
    struct winsize size = {.ws_col = columns, .ws_row = 24};
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    return file;
}

static void colour_needs_a_terminal(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    assert_false(terminal_of(file).colour);
    fclose(file);
    file = terminal_stream(80);
    assert_true(terminal_of(file).colour);
    setenv("NO_COLOR", "", 1);
    assert_true(terminal_of(file).colour);
    setenv("NO_COLOR", "1", 1);
    assert_false(terminal_of(file).colour);
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_false(terminal_of(file).colour);
    setenv("TERM", "", 1);
    assert_false(terminal_of(file).colour);
    unsetenv("TERM");
    assert_false(terminal_of(file).colour);
    assert_int_equal(terminal_of(file).width, 80);
    fclose(file);
}

static void paint(void **state) {
    (void)state;
    assert_string_equal(terminal_hint((struct terminal){0}), "hint: ");
    assert_string_equal(terminal_hint((struct terminal){.colour = true}), "\033[36mhint:\033[0m ");
    assert_string_equal(terminal_paint((struct terminal){0}, TERMINAL_RED), "");
    assert_string_equal(terminal_paint((struct terminal){.colour = true}, TERMINAL_RED),
                        "\033[31m");
}

static size_t width_with(FILE *file, const char *columns) {
    if (columns)
        setenv("COLUMNS", columns, 1);
    else
        unsetenv("COLUMNS");
    return terminal_of(file).width;
}

static void width_of_a_file(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(width_with(file, NULL), 0);
    assert_int_equal(width_with(file, "40"), 40);
    assert_int_equal(width_with(file, "20"), 20);
    assert_int_equal(width_with(file, "19"), 0);
    assert_int_equal(width_with(file, "0"), 0);
    assert_int_equal(width_with(file, ""), 0);
    assert_int_equal(width_with(file, "-80"), 0);
    assert_int_equal(width_with(file, "80x"), 0);
    assert_int_equal(width_with(file, "99999999999"), 0);
    fclose(file);
}

static void width_of_a_terminal(void **state) {
    (void)state;
    FILE *file = terminal_stream(57);
    assert_int_equal(width_with(file, NULL), 57);
    assert_int_equal(width_with(file, "40"), 40);
    assert_int_equal(width_with(file, "5"), 57);
    assert_int_equal(width_with(file, "wide"), 57);
    fclose(file);
    file = terminal_stream(0); /* a serial console that says nothing */
    assert_int_equal(width_with(file, NULL), 80);
    fclose(file);
    file = terminal_stream(7);
    assert_int_equal(width_with(file, NULL), 20);
    fclose(file);
}

static void assert_wrapped(size_t width, size_t indent, const char *text, const char *expected) {
    char *written, *copy;
    size_t size;
    FILE *out = memory_stream(&written, &size), *in = memory_stream(&copy, &size);
    fputs(text, in);
    terminal_wrap_stream(out, (struct terminal){.width = width}, indent, in, &copy);
    memory_stream_close(out, &written);
    assert_string_equal(written, expected);
    free(written);
}

static void wrapping(void **state) {
    (void)state;
    assert_wrapped(0, 4, "one two three four five six seven\n",
                   "one two three four five six seven\n");
    assert_wrapped(20, 4, "one two three four five six seven\n",
                   "one two three four\n    five six seven\n");
    /* to the last column */
    assert_wrapped(20, 4, "one two three fourte five\n", "one two three fourte\n    five\n");
    assert_wrapped(20, 4, "one two three fourtee five\n", "one two three\n    fourtee five\n");
    /* each line of its own */
    assert_wrapped(20, 2, "a\n\nb c d e f g h i j k l m n\nlast",
                   "a\n\nb c d e f g h i j k\n  l m n\nlast");
    /* its own indentation and gaps stay */
    assert_wrapped(20, 6, "      pass  a   = b c d e f\n", "      pass  a   = b\n      c d e f\n");
    assert_wrapped(20, 4, "one  \ntwo", "one\ntwo");
    assert_wrapped(20, 4, "", "");
}

static void long_words(void **state) {
    (void)state;
    assert_wrapped(20, 4, "think /usr/local/libvirt/rules.d/50.rules now\n",
                   "think\n    /usr/local/libvirt/rules.d/50.rules\n    now\n");
    assert_wrapped(20, 4, "/usr/local/libvirt/rules.d/50.rules\n",
                   "/usr/local/libvirt/rules.d/50.rules\n");
    assert_wrapped(20, 4, "    /usr/local/libvirt/rules.d/50.rules\n",
                   "    /usr/local/libvirt/rules.d/50.rules\n");
    assert_wrapped(20, 12, "one two three four five\n", "one two three four\n  five\n");
}

static void quoted_text_stays_whole(void **state) {
    (void)state;
    assert_wrapped(24, 2, "now run 'virt-rules apply x', again\n",
                   "now run\n  'virt-rules apply x',\n  again\n");
    assert_wrapped(24, 2, "now run ('virt-rules apply x')\n",
                   "now run\n  ('virt-rules apply x')\n");
    /* longer than a line */
    assert_wrapped(24, 2, "run 'virt-rules apply frigate soon'\n",
                   "run 'virt-rules apply\n  frigate soon'\n");
    /* no quotes */
    assert_wrapped(24, 2, "the VM's rule is 'here and the\n",
                   "the VM's rule is 'here\n  and the\n");
}

static void columns_are_not_bytes(void **state) {
    (void)state;
    assert_wrapped(20, 2, "ä ö ü ä ö ü ä ö ü äö ü\n", "ä ö ü ä ö ü ä ö ü äö\n  ü\n");
    assert_wrapped(20, 2, "仮想 仮想 仮想 仮想 仮\n", "仮想 仮想 仮想 仮想\n  仮\n");
    assert_wrapped(20, 2, "\033[31merror:\033[0m one two three four\n",
                   "\033[31merror:\033[0m one two three\n  four\n");
}

static void a_line(void **state) {
    (void)state;
    char *written;
    size_t size;
    FILE *out = memory_stream(&written, &size);
    terminal_print_line(out, (struct terminal){.width = 20}, 4, "hint: ", "take\033 it out first");
    memory_stream_close(out, &written);
    assert_string_equal(written, "    hint: take? it\n      out first\n");
    free(written);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colour_needs_a_terminal),
        cmocka_unit_test(paint),
        cmocka_unit_test(width_of_a_file),
        cmocka_unit_test(width_of_a_terminal),
        cmocka_unit_test(wrapping),
        cmocka_unit_test(long_words),
        cmocka_unit_test(quoted_text_stays_whole),
        cmocka_unit_test(columns_are_not_bytes),
        cmocka_unit_test(a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
