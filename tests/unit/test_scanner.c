#include "front.h"

struct seen {
    enum token token;
    const char *text;   /* of words, numbers, quoted words and events; else NULL */
    const char *source; /* what the span covers */
};

static void assert_tokens(const char *text, size_t size, const struct seen *expected) {
    struct front front;
    front_init(&front);
    struct source *source = front_add(&front, "t", text, size);
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    for (size_t i = 0;; i++) {
        union token_value value = {.text = NULL};
        struct span span = {0, 0};
        enum token token = scanner_next(scanner, &value, &span);
        if (token != expected[i].token)
            fail_msg("token %zu of '%s' is %s, not %s", i, text, scanner_token_text(token),
                     scanner_token_text(expected[i].token));
        if (token == TOKEN_EVENT)
            assert_string_equal(scanner_event_text(value.event), expected[i].text);
        else if (expected[i].text)
            assert_string_equal(value.text, expected[i].text);
        if (expected[i].source) {
            /* The source is looked at when the scanner has gone on: its text is whole then. */
            struct span covered = span;
            char *copy = memory_strndup(text + covered.start, covered.end - covered.start);
            assert_string_equal(copy, expected[i].source);
            free(copy);
        }
        if (token == TOKEN_END)
            break;
    }
    scanner_destroy(scanner);
    assert_memory_equal(source->text, text, size);
    front_finish(&front);
}

static void tokens(const char *text, const struct seen *expected) {
    assert_tokens(text, strlen(text), expected);
}

#define SEEN(...)                                                                                  \
    (const struct seen[]) {                                                                        \
        __VA_ARGS__, {                                                                             \
            TOKEN_END, NULL, ""                                                                    \
        }                                                                                          \
    }
#define LINE                                                                                       \
    { TOKEN_NEWLINE, NULL, NULL }

/* Flex reads the text in pieces: wherever one ends, the tokens are the same. */
static void test_pieces(void **state) {
    (void)state;
    enum { PIECE = 16384, AROUND = 40 };
    static const char line[] = "\nvm \\\r\n a\xc3\xa4z 12 \"b\\\"c\", reset\r\n# d";
    static char text[PIECE + sizeof line];
    for (size_t before = PIECE - AROUND; before <= PIECE; before++) {
        memset(text, '#', before);
        memcpy(text + before, line, sizeof line);
        tokens(text, SEEN(LINE, {TOKEN_VM, NULL, "vm"}, {TOKEN_WORD, "a\xc3\xa4z", "a\xc3\xa4z"},
                          {TOKEN_NUMBER, "12", "12"}, {TOKEN_STRING, "b\"c", "\"b\\\"c\""},
                          {TOKEN_COMMA, NULL, ","}, {TOKEN_RESET, NULL, "reset"}, LINE));
    }
}

/* A token of many pieces. */
static void test_long_tokens(void **state) {
    (void)state;
    enum { LENGTH = 1000000 };
    char *word = memory_zalloc(LENGTH + 1), *text = memory_zalloc(2 * LENGTH + 20);
    memset(word, 'w', LENGTH);
    sprintf(text, "%s \"%s\" on", word, word);
    tokens(text, SEEN({TOKEN_WORD, word, word}, {TOKEN_STRING, word, NULL}, {TOKEN_ON, NULL, "on"},
                      LINE));
    free(word);
    free(text);
}

static void test_every_keyword(void **state) {
    (void)state;
    static const struct {
        enum token token;
        const char *text;
    } keywords[] = {
#define WORD_TOKEN(name, text, symbol) {TOKEN_##name, text},
#include "lexer/words.def"
    };
    char longer[64];
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        tokens(keywords[i].text, SEEN({keywords[i].token, NULL, keywords[i].text}, LINE));
        assert_string_equal(scanner_token_text(keywords[i].token), keywords[i].text);
        snprintf(longer, sizeof longer, "%sx", keywords[i].text);
        tokens(longer, SEEN({TOKEN_WORD, longer, longer}, LINE));
        snprintf(longer, sizeof longer, "\"%s\"", keywords[i].text);
        tokens(longer, SEEN({TOKEN_STRING, keywords[i].text, longer}, LINE));
    }
}

static void test_every_event(void **state) {
    (void)state;
    for (enum event_name event = 0; event < EVENT_COUNT; event++) {
        tokens(scanner_event_text(event),
               SEEN({TOKEN_EVENT, scanner_event_text(event), scanner_event_text(event)}, LINE));
        assert_int_equal(scanner_event_from_text(scanner_event_text(event)), event);
    }
    assert_int_equal(scanner_event_from_text("booted"), EVENT_COUNT);
    assert_int_equal(scanner_event_from_text(""), EVENT_COUNT);
    assert_int_equal(scanner_event_from_text("Started"), EVENT_COUNT);
}

/* Near misses are one word each, never a word and a stray colon. */
static void test_lumps(void **state) {
    (void)state;
    static const char *const lumps[] = {
        "1ac1:089a",
        "1ac1:89a",
        "0x1ac1:0x089a",
        "*:*",
        "10de:*",
        "0000:05:00.*",
        "1-1.4",
        "ha*",
        "v?[12]",
        "5s",
        "500ms",
        "2m",
        "24h",
        "-1",
        "+",
        "=",
        "a=b",
        "/usr/bin/x",
        "'x'",
        "x;",
        "(x)",
        "a!b@c$d%e^f&g",
        "4f0b1d1e-0000-4000-8000-00000000cafe",
        "frigate",
        "Ünïcödé",
        "onn",
        "On",
        "STARTED",
        "started:",
        "1x",
        "0x10",
        "..",
        "a\u200db",
    };
    for (size_t i = 0; i < sizeof lumps / sizeof *lumps; i++)
        tokens(lumps[i], SEEN({TOKEN_WORD, lumps[i], lumps[i]}, LINE));
    tokens("7", SEEN({TOKEN_NUMBER, "7", "7"}, LINE));
    tokens("0106", SEEN({TOKEN_NUMBER, "0106", "0106"}, LINE));
}

static void test_what_ends_a_lump(void **state) {
    (void)state;
    tokens("a,b",
           SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_COMMA, NULL, ","}, {TOKEN_WORD, "b", "b"}, LINE));
    tokens("a{b}c", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_OPEN, NULL, "{"}, {TOKEN_WORD, "b", "b"},
                         {TOKEN_CLOSE, NULL, "}"}, {TOKEN_WORD, "c", "c"}, LINE));
    tokens("a\"b\"c", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_STRING, "b", "\"b\""},
                           {TOKEN_WORD, "c", "c"}, LINE));
    tokens("a#b\nc",
           SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_NEWLINE, NULL, "\n"}, {TOKEN_WORD, "c", "c"}, LINE));
    tokens("a\tb", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_WORD, "b", "b"}, LINE));
    tokens("a\\\nb", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_WORD, "b", "b"}, LINE));
}

static void test_strings(void **state) {
    (void)state;
    tokens("\"\"", SEEN({TOKEN_STRING, "", "\"\""}, LINE));
    tokens("\"Home Assistant\"", SEEN({TOKEN_STRING, "Home Assistant", NULL}, LINE));
    tokens("\"a\\\"b\\\\\"", SEEN({TOKEN_STRING, "a\"b\\", "\"a\\\"b\\\\\""}, LINE));
    tokens("\"# { } , *\"", SEEN({TOKEN_STRING, "# { } , *", NULL}, LINE));
    tokens("\"\\\\\" x", SEEN({TOKEN_STRING, "\\", "\"\\\\\""}, {TOKEN_WORD, "x", "x"}, LINE));
    tokens("\"a\"\"b\"", SEEN({TOKEN_STRING, "a", "\"a\""}, {TOKEN_STRING, "b", "\"b\""}, LINE));
    tokens("\"a\tb\"", SEEN({TOKEN_STRING, "a\tb", NULL}, LINE));
}

static void test_lines(void **state) {
    (void)state;
    tokens("", SEEN({TOKEN_END, NULL, ""}));
    tokens("\n", SEEN({TOKEN_NEWLINE, NULL, "\n"}));
    tokens("\n\r\n", SEEN({TOKEN_NEWLINE, NULL, "\n"}, {TOKEN_NEWLINE, NULL, "\r\n"}));
    tokens("a\r\nb", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_NEWLINE, NULL, "\r\n"},
                          {TOKEN_WORD, "b", "b"}, {TOKEN_NEWLINE, NULL, ""}));
    tokens("a \t \n", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_NEWLINE, NULL, "\n"}));
    tokens("a\\\n", SEEN({TOKEN_WORD, "a", "a"}, LINE));
    tokens("a\\ \t\r\n\\\nb", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_WORD, "b", "b"}, LINE));
    tokens("a\\", SEEN({TOKEN_WORD, "a", "a"}, LINE));
    tokens("# c \\\nb", SEEN({TOKEN_NEWLINE, NULL, "\n"}, {TOKEN_WORD, "b", "b"}, LINE));
    tokens("a # c\r\n", SEEN({TOKEN_WORD, "a", "a"}, {TOKEN_NEWLINE, NULL, "\n"}));
    tokens("#", SEEN({TOKEN_END, NULL, ""}));
    tokens("\xef\xbb\xbfon", SEEN({TOKEN_ON, NULL, "on"}, LINE));
    tokens("\xef\xbb\xbf", SEEN({TOKEN_END, NULL, ""}));
}

/* "name@what" of each mistake. */
static void assert_mistakes(const char *text, size_t size, const char *expected) {
    struct front front;
    front_init(&front);
    struct source *source = front_add(&front, "t", text, size);
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    union token_value value;
    struct span span;
    while (scanner_next(scanner, &value, &span) != TOKEN_END)
        assert_true(span.start <= span.end && span.end <= size);
    assert_int_equal(scanner_next(scanner, &value, &span), TOKEN_END);
    scanner_destroy(scanner);
    assert_memory_equal(source->text, text, size);
    assert_summary(&front, text, expected);
    front_finish(&front);
}

static void mistakes(const char *text, const char *expected) {
    assert_mistakes(text, strlen(text), expected);
}

static void test_mistakes(void **state) {
    (void)state;
    mistakes("\"open\nx", "unterminated-string@\"open");
    mistakes("\"open\r\nx", "unterminated-string@\"open");
    mistakes("\"", "unterminated-string@\"");
    mistakes("\"\r", "unterminated-string@\"");
    mistakes("\"a\\", "unterminated-string@\"a\\");
    mistakes("\"a\\\nb\"", "unterminated-string@\"a\\ unterminated-string@b\"");
    mistakes("\"a\\\"", "unterminated-string@\"a\\\"");
    mistakes("\"\\n\\t\\\\\"", "bad-escape@\\n bad-escape@\\t");
    mistakes("a\\b", "stray-backslash@\\");
    mistakes("a \\ # c", "stray-backslash@\\");
    mistakes("\\\\\n", "stray-backslash@\\");
    mistakes("a\001b\033\x7f", "control-character@\001"); /* one a line */
    mistakes("\001 \033\na \x7f", "control-character@\001 control-character@\x7f");
    mistakes("\"a\033b\"", "control-character@\033");
    mistakes("a\rb", "control-character@\r");
    mistakes("# a\rb", "control-character@\r");
    mistakes("a\r\r\n# b\r\r\n\"c\"\r\n", "");
    mistakes("# \033[31m", "");
    mistakes("a\v\fb", "control-character@\v");
    mistakes("a\r", "");
    mistakes("a\\ \t", "");
    mistakes("\"a\"b", "syntax@\"a\"b");
    mistakes("b\"a\" \"c\"d", "syntax@b\"");
    mistakes("\"a\"\"b\"", "syntax@\"a\"\"");
    mistakes("\"a\"\"b", "unterminated-string@\"a\"\"");
    mistakes("a\"b c", "unterminated-string@a\"");
    mistakes("\"a\", \"b\"{\"c\"}\"d\"#e\n\"a\"\\\n\"b\"", "");
}

static void test_odd_characters(void **state) {
    (void)state;
    mistakes("on\u00a0vm", "control-character@\u00a0");
    mistakes("a\u200bb\u200b", "control-character@\u200b"); /* one a line */
    mistakes("\ufeffa\n\ufeffb", "control-character@\ufeff");
    mistakes("a\xfc", "control-character@\xfc");
    mistakes("\xe2\x80", "control-character@\xe2");
    mistakes("\xed\xa0\x80", "control-character@\xed");
    mistakes("\"a\xfc\"", "control-character@\xfc");
    mistakes("\"a\u200bb\u200b\"", "control-character@\u200b");
    mistakes("\"a\u00a0“b”\u3000\"", "");
    mistakes("# \xfc “ \u200b", "");
    mistakes("“a” “b”\n‘c’", "syntax@“ syntax@‘");
    mistakes("\"a” \"b\"", "unterminated-string@\"a” \"");
    mistakes("\"a”\n\"b\"", "unterminated-string@\"a”");
    mistakes("“a\" b", "syntax@“");
    tokens("on\u00a0vm", SEEN({TOKEN_ON, NULL, "on"}, {TOKEN_VM, NULL, "vm"}, LINE));
    tokens("“a”", SEEN({TOKEN_WORD, "a", "a"}, LINE));
    tokens("\xff\xfe", SEEN({TOKEN_END, NULL, ""}));
}

static char *put_character(char *at, uint32_t code) {
    if (code < 0x800) {
        *at++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *at++ = (char)(0xe0 | code >> 12);
        } else {
            *at++ = (char)(0xf0 | code >> 18);
            *at++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *at++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *at++ = (char)(0x80 | (code & 0x3f));
    return at;
}

/* Every character of Unicode is either a part of a word or named in a message. */
static void test_every_character(void **state) {
    (void)state;
    enum { LAST = 0x110000, ODD = 3672, CONTROL = 32 };
    char *text = malloc((size_t)LAST * 8), *end = text;
    for (uint32_t code = 0x80; code < LAST; code++)
        if (code < 0xd800 || code > 0xdfff) {
            *end++ = 'a';
            end = put_character(end, code);
            *end++ = '\n';
        }
    struct front front;
    front_init(&front);
    struct source *source = front_add(&front, "t", text, (size_t)(end - text));
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    union token_value value;
    struct span span;
    size_t whole = 0, named = 0;
    while (scanner_next(scanner, &value, &span) != TOKEN_END)
        whole += span.end - span.start > 2;
    for (size_t i = 0; i < front.diagnostics.count; i++)
        named += front.diagnostics.list[i].hint != NULL;
    scanner_destroy(scanner);
    front_finish(&front);
    free(text);
    assert_int_equal(named, ODD);
    assert_int_equal(whole, LAST - 0x80 - 0x800 - ODD - CONTROL);
}

static void test_nul_bytes(void **state) {
    (void)state;
    struct front front;
    static const char text[] = "a\0\0b # c\0\n\"d\0e\" \"f\\\0g\" \"h\0i\n\0";
    assert_tokens(text, sizeof text - 1,
                  SEEN({TOKEN_WORD, "ab", NULL}, LINE, {TOKEN_STRING, "d", NULL},
                       {TOKEN_STRING, "f\\", NULL}, {TOKEN_STRING, "h", NULL}, LINE));
    front_init(&front);
    struct source *source = front_add(&front, "t", text, sizeof text - 1);
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    union token_value value;
    struct span span;
    while (scanner_next(scanner, &value, &span) != TOKEN_END)
        ;
    scanner_destroy(scanner);
    size_t nuls = 0;
    for (size_t i = 0; i < front.diagnostics.count; i++)
        nuls += !strcmp(diagnostic_name(&front.diagnostics.list[i]), "nul-byte");
    assert_int_equal(nuls, 4); /* one in each statement, and in each quoted word */
    front_finish(&front);
}

static const char *next_text(struct scanner *scanner) {
    union token_value value = {.text = NULL};
    struct span span;
    scanner_next(scanner, &value, &span);
    return value.text;
}

static void test_strings_are_interned(void **state) {
    (void)state;
    struct front front;
    static const char text[] = "\"frigate\" \"frigate\" \"frigat\" \"fri\\gate\" \"frigate7\"";
    const char *texts[5];
    front_init(&front);
    struct source *source = front_add(&front, "t", text, strlen(text));
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    for (size_t i = 0; i < 5; i++)
        texts[i] = next_text(scanner);
    scanner_destroy(scanner);
    assert_ptr_equal(texts[0], texts[1]);
    for (size_t i = 2; i < 5; i++)
        assert_ptr_not_equal(texts[0], texts[i]);
    front_finish(&front);
}

/* Words of every length around what fits: each lasts until as many more were read. */
static void test_words_are_lent(void **state) {
    (void)state;
    enum { WORDS = 60 };
    struct front front;
    char text[WORDS * (WORDS + 3) / 2], *end = text;
    for (size_t i = 1; i <= WORDS; i++) {
        memset(end, 'x', i);
        end += i;
        *end++ = ' ';
    }
    front_init(&front);
    struct source *source = front_add(&front, "t", text, (size_t)(end - text));
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    const char *texts[WORDS];
    for (size_t i = 0; i < WORDS; i++) {
        texts[i] = next_text(scanner);
        for (size_t j = 0; j <= i; j++)
            assert_int_equal(strlen(texts[j]), j + 1);
    }
    scanner_destroy(scanner);
    front_finish(&front);
}

/* Odd blanks and quotes end a word, invisible characters are left out of it. */
static void test_words_of_a_run(void **state) {
    (void)state;
    tokens("on\xc2\xa0vm\xe2\x80\x9c"
           "42\xff\xffstarted\xe3\x80\x80\xc3\xa4x\xe2\x80\x8b# none",
           SEEN({TOKEN_ON, NULL, "on"}, {TOKEN_VM, NULL, "vm"},
                {TOKEN_WORD, "42started", "42\xff\xffstarted"},
                {TOKEN_WORD, "\xc3\xa4x", "\xc3\xa4x"}, LINE));
    tokens("on\xc3\xa4 \xc3\xa4on, any\xe2\x80",
           SEEN({TOKEN_WORD, "on\xc3\xa4", NULL}, {TOKEN_WORD, "\xc3\xa4on", NULL},
                {TOKEN_COMMA, NULL, NULL}, {TOKEN_ANY, NULL, "any"}, LINE));
}

static void test_interner_grows(void **state) {
    (void)state;
    struct arena arena = {0};
    struct interner interner = {.arena = &arena};
    enum { COUNT = 5000 };
    const char **texts = memory_zalloc(COUNT * sizeof *texts);
    char name[32];
    for (int i = 0; i < COUNT; i++)
        texts[i] =
            scanner_intern(&interner, name, (size_t)snprintf(name, sizeof name, "vm-%d-tail", i));
    for (int i = 0; i < COUNT; i++) {
        size_t length = (size_t)snprintf(name, sizeof name, "vm-%d-tail and more", i);
        assert_ptr_equal(texts[i], scanner_intern(&interner, name, length - strlen(" and more")));
    }
    assert_int_equal(interner.used, COUNT);
    assert_string_equal(scanner_intern(&interner, "x", 0), "");
    scanner_interner_finish(&interner);
    assert_null(interner.slots);
    free((void *)texts);
    memory_arena_finish(&arena);
}

static void test_comments(void **state) {
    (void)state;
    struct front front;
    static const char text[] = "# one\na # two\n\"# three\"\n";
    front_init(&front);
    struct source *source = front_add(&front, "t", text, strlen(text));
    struct scanner *scanner = scanner_create(source, &front.syntax.texts, &front.diagnostics);
    union token_value value;
    struct span span;
    size_t count = 0;
    scanner_keep_comments(scanner);
    while (scanner_next(scanner, &value, &span) != TOKEN_END)
        ;
    const struct span *comments = scanner_comments(scanner, &count);
    assert_int_equal(count, 2);
    assert_covers(source, comments[0], "# one");
    assert_covers(source, comments[1], "# two");
    scanner_destroy(scanner);
    front_finish(&front);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_keyword),
        cmocka_unit_test(test_every_event),
        cmocka_unit_test(test_lumps),
        cmocka_unit_test(test_what_ends_a_lump),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_long_tokens),
        cmocka_unit_test(test_strings_are_interned),
        cmocka_unit_test(test_words_are_lent),
        cmocka_unit_test(test_words_of_a_run),
        cmocka_unit_test(test_interner_grows),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_odd_characters),
        cmocka_unit_test(test_every_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
