#include "parser/syntax_error.h"

#include "parser/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what was expected, in the words of the language rather than of the grammar */

enum { PHRASES = TOKEN_COUNT + 4 };

struct phrases {
    char *list[PHRASES];
    size_t count;
};

static void say(struct phrases *phrases, const char *format, const char *text) {
    phrases->list[phrases->count++] = memory_printf(format, text);
}

static bool is_keyword(enum token token) {
    return token >= TOKEN_ON;
}

/* Words and numbers stand in many places: their neighbours among the expected tokens say which. */
static void say_categories(struct phrases *phrases, bool expected[TOKEN_COUNT]) {
    static const enum token criteria[] = {TOKEN_WORD,      TOKEN_AT,   TOKEN_CLASS,
                                          TOKEN_SUBSYSTEM, TOKEN_PORT, TOKEN_SERIAL};
    bool further = expected[TOKEN_OR];
    if (expected[TOKEN_CLASS] && !further)
        say(phrases, "%s", "a device");
    if (expected[TOKEN_CLASS])
        for (size_t i = 0; i < sizeof criteria / sizeof *criteria; i++)
            expected[criteria[i]] = false;
    else if (expected[TOKEN_ANY] && expected[TOKEN_STRING])
        say(phrases, "%s", "a VM");
    else if (expected[TOKEN_EVENT])
        say(phrases, "%s", "an event");
    else
        return;
    if (!further)
        expected[TOKEN_ANY] = expected[TOKEN_ALL] = expected[TOKEN_STRING] = false;
    expected[TOKEN_EVENT] = expected[TOKEN_WORD] = expected[TOKEN_NUMBER] = false;
}

static void say_tokens(struct phrases *phrases, const bool expected[TOKEN_COUNT]) {
    if (expected[TOKEN_WORD] && expected[TOKEN_NUMBER])
        say(phrases, "%s", "a word");
    else if (expected[TOKEN_WORD])
        say(phrases, "%s", "a name");
    if (expected[TOKEN_STRING])
        say(phrases, "%s", token_text(TOKEN_STRING));
    for (enum token token = TOKEN_ON; token < TOKEN_COUNT; token++)
        if (expected[token])
            say(phrases, "'%s'", token_text(token));
    for (enum token token = TOKEN_COMMA; token <= TOKEN_CLOSE; token++)
        if (expected[token])
            say(phrases, "%s", token_text(token));
    if (expected[TOKEN_NEWLINE])
        say(phrases, "%s", token_text(TOKEN_NEWLINE));
}

static char *join(struct phrases *phrases) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < phrases->count; i++) {
        const char *glue = i == 0 ? "" : i + 1 < phrases->count ? ", " : " or ";
        char *longer = memory_printf("%s%s%s", text, glue, phrases->list[i]);
        free(text);
        free(phrases->list[i]);
        text = longer;
    }
    return text;
}

static char *describe_expected(const struct syntax_error *error) {
    bool expected[TOKEN_COUNT];
    memcpy(expected, error->expected, sizeof expected);
    struct phrases phrases = {.count = 0};
    if (expected[TOKEN_ON]) /* the start of a line */
        expected[TOKEN_NEWLINE] = false;
    say_categories(&phrases, expected);
    say_tokens(&phrases, expected);
    return join(&phrases);
}

static char *describe_found(const struct syntax_error *error) {
    if (error->found == TOKEN_STRING)
        return memory_printf("\"%s\"", error->found_text);
    if (error->found_text)
        return memory_printf("'%s'", error->found_text);
    if (is_keyword(error->found))
        return memory_printf("'%s'", token_text(error->found));
    return memory_strdup(token_text(error->found));
}

/* --- hints */

static const char *nearest_keyword(const struct syntax_error *error) {
    struct suggestion suggestion = {.word = error->found_text};
    for (enum token token = TOKEN_ON; token < TOKEN_COUNT; token++)
        if (error->expected[token])
            suggest(&suggestion, token_text(token));
    if (error->expected[TOKEN_EVENT])
        for (enum event_name event = 0; event < EVENT_COUNT; event++)
            suggest(&suggestion, event_text(event));
    return suggestion.best;
}

static bool expects_vm(const struct syntax_error *error) {
    return error->expected[TOKEN_ANY] && error->expected[TOKEN_STRING] &&
           !error->expected[TOKEN_CLASS];
}

static void hint(struct diagnostic *diagnostic, const struct syntax_error *error) {
    const char *word = error->found_text ? error->found_text : token_text(error->found);
    const char *near = error->found == TOKEN_WORD ? nearest_keyword(error) : NULL;
    if (near)
        diagnostic_hint(diagnostic, "did you mean '%s'?", near);
    else if (expects_vm(error) && (is_keyword(error->found) || error->found == TOKEN_EVENT))
        diagnostic_hint(diagnostic, "a VM that is called '%s' is written in quotes: \"%s\"", word,
                        word);
    else if (error->expected[TOKEN_EVENT])
        diagnostic_hint(diagnostic, "the events are prepare, start, started, stopped, release, "
                                    "migrate, restore, reconnect, plugged and unplugged");
    else if (error->expected[TOKEN_AS] && error->found == TOKEN_NEWLINE)
        diagnostic_hint(diagnostic, "say how: 'as vfio' for PCI, 'as usb' for USB");
    else if (error->expected[TOKEN_ON] && error->expected[TOKEN_NEVER])
        diagnostic_hint(diagnostic, "a rule is: on vm NAME EVENT attach DEVICE as vfio");
    else if (error->found == TOKEN_WORD && error->expected[TOKEN_OR])
        diagnostic_hint(diagnostic, "two devices are parted by ',', two names of one by 'or'");
    else if (error->found == TOKEN_WORD && error->expected[TOKEN_STRING])
        diagnostic_hint(diagnostic, "write it in quotes: \"%s\"", word);
}

static bool is_missing_close(const struct syntax_error *error) {
    return error->in_block && error->expected[TOKEN_CLOSE] &&
           (error->found == TOKEN_END || error->found == TOKEN_ON || error->found == TOKEN_DEVICE ||
            error->found == TOKEN_NEVER);
}

static bool report_missing_close(struct parse_context *context, const struct syntax_error *error) {
    char *found = describe_found(error);
    struct diagnostic *diagnostic = diagnose(context->diagnostics, context->source, error->span,
                                             "syntax", "a block is still open at %s", found);
    free(found);
    diagnostic_hint(diagnostic, "close it with '}' on a line of its own");
    diagnostic_note(diagnostic, context->source, error->open_block, "the block begins here");
    return true;
}

static bool report_stray_close(struct parse_context *context, const struct syntax_error *error) {
    diagnostic_hint(diagnose(context->diagnostics, context->source, error->span, "syntax",
                             "a '}' without a '{'"),
                    "a block is: on vm NAME EVENT { ... }");
    return false;
}

bool report_syntax_error(struct parse_context *context, const struct syntax_error *error) {
    if (is_missing_close(error))
        return report_missing_close(context, error);
    if (error->found == TOKEN_CLOSE && error->expected[TOKEN_ON])
        return report_stray_close(context, error);
    char *expected = describe_expected(error);
    char *found = describe_found(error);
    struct diagnostic *diagnostic = diagnose(context->diagnostics, context->source, error->span,
                                             "syntax", "expected %s, found %s", expected, found);
    free(expected);
    free(found);
    hint(diagnostic, error);
    return false;
}

void report_unknown_event(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnose(context->diagnostics, context->source, span,
                                             "unknown-event", "unknown event '%s'", text);
    struct suggestion suggestion = {.word = text};
    for (enum event_name event = 0; event < EVENT_COUNT; event++)
        suggest(&suggestion, event_text(event));
    if (suggestion.best)
        diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    else
        diagnostic_hint(diagnostic, "the events are prepare, start, started, stopped, release, "
                                    "migrate, restore, reconnect, plugged and unplugged");
}
