#include "parser/syntax_error.h"

#include "lexer/character.h"
#include "parser/glob.h"
#include "parser/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- what was expected, in the words of the language rather than of the grammar */

enum { PHRASES = TOKEN_COUNT + 4 };

struct phrases {
    char *list[PHRASES];
    size_t count;
};

static void syntax_error_say(struct phrases *phrases, const char *format, const char *text) {
    phrases->list[phrases->count++] = memory_printf(format, text);
}

static bool syntax_error_is_keyword(enum token token) {
    return token >= TOKEN_KEYWORD;
}

/* Words and numbers stand in many places: their neighbours among the expected tokens say which. */
static void syntax_error_say_categories(struct phrases *phrases, bool expected[TOKEN_COUNT]) {
    static const enum token criteria[] = {TOKEN_WORD,      TOKEN_AT,   TOKEN_CLASS,
                                          TOKEN_SUBSYSTEM, TOKEN_PORT, TOKEN_SERIAL};
    bool further = expected[TOKEN_OR];
    if (expected[TOKEN_CLASS] && !further)
        syntax_error_say(phrases, "%s", "a device");
    if (expected[TOKEN_CLASS])
        for (size_t i = 0; i < sizeof criteria / sizeof *criteria; i++)
            expected[criteria[i]] = false;
    else if (expected[TOKEN_ANY] && expected[TOKEN_STRING])
        syntax_error_say(phrases, "%s", "a VM");
    else if (expected[TOKEN_EVENT])
        syntax_error_say(phrases, "%s", "an event");
    else
        return;
    if (!further)
        expected[TOKEN_ANY] = expected[TOKEN_ALL] = expected[TOKEN_STRING] = false;
    expected[TOKEN_EVENT] = expected[TOKEN_WORD] = expected[TOKEN_NUMBER] = false;
}

/* A word behind a keyword has a name of its own. */
static const char *syntax_error_word_behind(enum token previous) {
    for (enum option_kind kind = 0; kind < OPTION_COUNT; kind++)
        if (syntax_option(kind)->first == previous && syntax_option(kind)->value == VALUE_DURATION)
            return "a duration (5s)";
    for (int kind = 0; kind < CRITERION_COUNT; kind++)
        if (syntax_criterion(kind)->keyword == previous && syntax_criterion(kind)->example)
            return syntax_criterion(kind)->example;
    return "a word";
}

static void syntax_error_say_tokens(struct phrases *phrases, const bool expected[TOKEN_COUNT],
                                    enum token previous) {
    if (expected[TOKEN_WORD] && expected[TOKEN_NUMBER])
        syntax_error_say(phrases, "%s", syntax_error_word_behind(previous));
    else if (expected[TOKEN_WORD])
        syntax_error_say(phrases, "%s", "a name");
    if (expected[TOKEN_STRING])
        syntax_error_say(phrases, "%s", scanner_token_text(TOKEN_STRING));
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        if (expected[token])
            syntax_error_say(phrases, "'%s'", scanner_token_text(token));
    for (enum token token = TOKEN_COMMA; token <= TOKEN_CLOSE; token++)
        if (expected[token])
            syntax_error_say(phrases, "%s", scanner_token_text(token));
    if (expected[TOKEN_NEWLINE])
        syntax_error_say(phrases, "%s", scanner_token_text(TOKEN_NEWLINE));
}

static char *syntax_error_join(struct phrases *phrases) {
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

static bool syntax_error_expects_argument(const struct syntax_error *error) {
    return error->expected[TOKEN_STRING] && error->expected[TOKEN_NUMBER] &&
           error->expected[TOKEN_OPTIONAL];
}

static char *syntax_error_describe_expected(const struct syntax_error *error) {
    bool expected[TOKEN_COUNT];
    memcpy(expected, error->expected, sizeof expected);
    struct phrases phrases = {.count = 0};
    if (syntax_error_expects_argument(error)) /* the options, which 'run' has none of */
        for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
            expected[token] = false;
    if (expected[TOKEN_ON] || (expected[TOKEN_RUN] && expected[TOKEN_CLOSE])) /* a line's start */
        expected[TOKEN_NEWLINE] = false;
    syntax_error_say_categories(&phrases, expected);
    syntax_error_say_tokens(&phrases, expected, error->previous.token);
    return syntax_error_join(&phrases);
}

/* NULL for tokens that are their own text. */
static const char *syntax_error_text_of(const struct seen_token *seen) {
    switch (seen->token) {
    case TOKEN_EVENT:
        return scanner_event_text(seen->value.event);
    case TOKEN_WORD:
    case TOKEN_NUMBER:
    case TOKEN_STRING:
        return seen->value.text;
    default:
        return NULL;
    }
}

static char *syntax_error_describe_token(const struct seen_token *found) {
    const char *text = syntax_error_text_of(found);
    if (found->token == TOKEN_STRING)
        return memory_printf("\"%s\"", text);
    if (text || syntax_error_is_keyword(found->token))
        return memory_printf("'%s'", text ? text : scanner_token_text(found->token));
    return memory_strdup(scanner_token_text(found->token));
}

/* --- hints */

static const char EVENT_NAMES[] = "the events are prepare, start, started, stopped, release, "
                                  "migrate, restore, reconnect, plugged and unplugged";
static const char NO_SEMICOLON[] =
    "There is no ';': every action has its own line in a block, between '{' and '}'";
static const char SEPARATE[] = "separate them with ','";
static const char TWO_LINES[] =
    "write 'or' between two ways to find one device; two devices are two lines";

static bool syntax_error_expects_vm(const struct syntax_error *error) {
    return error->expected[TOKEN_ANY] && error->expected[TOKEN_STRING] &&
           !error->expected[TOKEN_CLASS];
}

static bool syntax_error_expects_device(const struct syntax_error *error) {
    return error->expected[TOKEN_CLASS] && !error->expected[TOKEN_OR];
}

static bool syntax_error_expects_only(const struct syntax_error *error, enum token token) {
    for (enum token other = 0; other < TOKEN_COUNT; other++)
        if (error->expected[other] != (other == token))
            return false;
    return true;
}

static bool syntax_error_is_backend(enum token token) {
    return token == TOKEN_VFIO || token == TOKEN_USB;
}

static bool syntax_error_is_and(const char *text) {
    return text && (!strcmp(text, "and") || !strcmp(text, "&") || !strcmp(text, "+"));
}

static bool syntax_error_lacks_comma(const struct syntax_error *error) {
    bool or_vm = error->found.token == TOKEN_OR && !error->expected[TOKEN_OR];
    return (error->expected[TOKEN_COMMA] &&
            (syntax_error_is_and(syntax_error_text_of(&error->found)) || or_vm)) ||
           (error->expected[TOKEN_EVENT] && error->found.token == TOKEN_STRING);
}

/* "never attach 1ac1:089a to vm Home Assistant": a word where a list of VMs goes on or ends. */
static bool syntax_error_follows_vm(const struct syntax_error *error) {
    for (enum token token = 0; token < TOKEN_COUNT; token++)
        if (error->expected[token] != (token == TOKEN_COMMA || token == TOKEN_NEWLINE))
            return false;
    return error->found.token == TOKEN_WORD || error->found.token == TOKEN_NUMBER ||
           error->found.token == TOKEN_STRING;
}

/* Words up to the end of the line or to the next VM may be one name; words beside quotes are not.
 */
static void syntax_error_hint_after_vm(struct diagnostic *diagnostic,
                                       const struct syntax_error *error) {
    const char *text = diagnostic->source->text, *name = text + error->previous.span.start;
    size_t length = strcspn(name, "\r\n,#\"\\{}");
    while (length && strchr(" \t", name[length - 1]))
        length--;
    bool is_name = error->previous.token != TOKEN_STRING && error->found.token != TOKEN_STRING &&
                   name + length >= text + error->found.span.end;
    if (is_name)
        diagnostic_hint(diagnostic, "a name with a blank in it is written in quotes: \"%.*s\"",
                        (int)length, name);
    else
        diagnostic_hint(diagnostic, "%s", SEPARATE);
}

static bool syntax_error_is_foreign_comment(const char *text) {
    return !strncmp(text, "//", 2) || !strncmp(text, "--", 2) || *text == ';';
}

static const char *syntax_error_nearest_keyword(const struct syntax_error *error) {
    struct suggestion suggestion = {.word = syntax_error_text_of(&error->found)};
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        if (error->expected[token])
            suggest(&suggestion, scanner_token_text(token));
    if (error->expected[TOKEN_EVENT])
        for (enum event_name event = 0; event < EVENT_COUNT; event++)
            suggest(&suggestion, scanner_event_text(event));
    return suggestion.best;
}

/* Where a VM is wanted and a word of the language stands. */
static void syntax_error_hint_vm(struct diagnostic *diagnostic, const struct syntax_error *error,
                                 const char *word) {
    if (error->found.token == TOKEN_EVENT && error->previous.token == TOKEN_COMMA)
        diagnostic_hint(diagnostic,
                        "no ',' stands before the event; a VM that is called '%s' is written in "
                        "quotes: \"%s\"",
                        word, word);
    else if (error->found.token == TOKEN_EVENT)
        diagnostic_hint(diagnostic,
                        "the VM's name comes first, 'any' for every VM; a VM that is called '%s' "
                        "is written in quotes: \"%s\"",
                        word, word);
    else if (error->found.token == TOKEN_ALL)
        diagnostic_hint(diagnostic, "did you mean 'any'? A VM that is called 'all' is written in "
                                    "quotes: \"all\"");
    else if (syntax_error_is_keyword(error->found.token))
        diagnostic_hint(diagnostic, "a VM that is called '%s' is written in quotes: \"%s\"", word,
                        word);
    else
        diagnostic_hint(diagnostic, "name it, or write 'any' for every VM");
}

/* The word behind the span, without what separates it; `length` is 0 at the line's end. */
static const char *syntax_error_word_behind_span(const struct source *source, struct span span,
                                                 size_t *length) {
    const char *word = source->text + span.end + strspn(source->text + span.end, " \t");
    *length = strcspn(word, " \t\r\n,{}#\"");
    return word;
}

/* "attach 0300", "attach 8086 1521", "attach 2 8086:1521" */
static void syntax_error_hint_number(struct diagnostic *diagnostic,
                                     const struct syntax_error *error, const char *word) {
    size_t length = 0, digits = strlen(word);
    const char *next =
        syntax_error_word_behind_span(diagnostic->source, error->found.span, &length);
    if (digits == 4 && length == 4 && strspn(next, "0123456789abcdefABCDEF") >= 4)
        diagnostic_hint(diagnostic, "did you mean '%s:%.4s'?", word, next);
    else if (digits == 8)
        diagnostic_hint(diagnostic, "did you mean '%.4s:%s'?", word, word + 4);
    else if (*word == '0' && (digits == 2 || digits == 4 || digits == 6))
        diagnostic_hint(diagnostic, "did you mean 'class %s'?", word);
    else if (error->expected[TOKEN_ANY])
        diagnostic_hint(diagnostic, "did you mean 'any %s'?", word);
    else if (error->previous.token == TOKEN_ALL)
        diagnostic_hint(diagnostic,
                        "'all' has no number: 'any %s' takes that many, 'all' every one", word);
    else
        diagnostic_hint(diagnostic, "a device is an id (1ac1:089a), an address (0000:03:00.0) or "
                                    "a name that 'device NAME is ...' defines");
}

/* Where a device is wanted. */
static void syntax_error_hint_device(struct diagnostic *diagnostic,
                                     const struct syntax_error *error, const char *word) {
    size_t length = 0;
    const char *next =
        syntax_error_word_behind_span(diagnostic->source, error->found.span, &length);
    if (error->found.token == TOKEN_NUMBER)
        syntax_error_hint_number(diagnostic, error, word);
    else if ((error->found.token == TOKEN_ANY || error->found.token == TOKEN_ALL) &&
             (error->previous.token == TOKEN_ANY || error->previous.token == TOKEN_ALL))
        diagnostic_hint(diagnostic, "'any' takes the first free one, 'all' every one: write one of "
                                    "the two");
    else if (error->found.token == TOKEN_ANY || error->found.token == TOKEN_ALL)
        diagnostic_hint(diagnostic, "leave it out: 'any' and 'all' stand behind 'attach' or "
                                    "'detach' in a rule alone");
    else if (error->found.token == TOKEN_STRING && *word)
        diagnostic_hint(diagnostic, "leave out the quotes: %s", word);
    else if (error->found.token == TOKEN_DEVICE)
        diagnostic_hint(diagnostic, "leave out 'device': attach 1ac1:089a as vfio");
    else if (syntax_error_is_backend(error->found.token) && length && memcmp(next, "as", 2) != 0)
        diagnostic_hint(diagnostic, "leave it out here: attach %.*s as %s", (int)length, next,
                        word);
    else if (syntax_error_is_backend(error->found.token))
        diagnostic_hint(diagnostic, "the device comes first: attach 1ac1:089a as %s", word);
    else
        diagnostic_hint(diagnostic, "a device is an id (1ac1:089a), an address (0000:03:00.0) or "
                                    "a name that 'device NAME is ...' defines");
}

/* Behind a device, before 'as'. */
static void syntax_error_hint_after_device(struct diagnostic *diagnostic,
                                           const struct syntax_error *error, const char *word) {
    if (error->found.token == TOKEN_NEWLINE)
        diagnostic_hint(diagnostic, "say how: 'as vfio' for PCI, 'as usb' for USB");
    else if (syntax_error_is_backend(error->found.token))
        diagnostic_hint(diagnostic, "did you mean 'as %s'?", word);
    else if (error->found.token == TOKEN_TO || error->found.token == TOKEN_IS)
        diagnostic_hint(diagnostic, "did you mean 'as'?");
    else if (error->found.token == TOKEN_GROUP)
        diagnostic_hint(diagnostic, "did you mean 'with group'?");
    else if (error->found.token >= TOKEN_OPTIONAL)
        diagnostic_hint(diagnostic, "'%s' stands behind 'as vfio' or 'as usb'", word);
}

/* Behind a device in a guard or a definition. */
static void syntax_error_hint_condition(struct diagnostic *diagnostic,
                                        const struct syntax_error *error) {
    if (error->expected[TOKEN_TO] && error->found.token == TOKEN_ON)
        diagnostic_hint(diagnostic, "did you mean 'to'?");
    else if (error->expected[TOKEN_TO] && error->found.token == TOKEN_VM)
        diagnostic_hint(diagnostic, "did you mean 'to vm'?");
    else if (error->expected[TOKEN_TO] &&
             (error->found.token == TOKEN_AS || error->found.token == TOKEN_WITH))
        diagnostic_hint(diagnostic, "leave it out: a 'never' forbids every way");
    else if (error->found.token == TOKEN_COMMA)
        diagnostic_hint(diagnostic, "'or' stands between two ways to find one device; several "
                                    "devices are several lines");
    else if (error->found.token == TOKEN_AS || error->found.token == TOKEN_WITH)
        diagnostic_hint(
            diagnostic,
            "leave it out: a definition says which device it is, and the rule that uses it how "
            "it is attached");
    else if (syntax_error_is_keyword(error->found.token))
        diagnostic_hint(diagnostic, "one statement or action stands on a line");
}

/* Where a definition's name is wanted. */
static void syntax_error_hint_name(struct diagnostic *diagnostic, const struct syntax_error *error,
                                   const char *word) {
    if (error->found.token == TOKEN_STRING)
        diagnostic_hint(diagnostic, "a device's name has no quotes");
    else if (error->found.token == TOKEN_IS || error->found.token == TOKEN_NEWLINE)
        diagnostic_hint(diagnostic, "a definition is: device NAME is 1ac1:089a");
    else
        diagnostic_hint(diagnostic, "'%s' means something else: take another name", word);
}

static bool syntax_error_hint_quotes(struct diagnostic *diagnostic, const struct source *source,
                                     uint32_t start);

static void syntax_error_hint_text(struct diagnostic *diagnostic, const struct syntax_error *error,
                                   const char *word) {
    if (error->expected[TOKEN_OFF] && syntax_error_is_keyword(error->found.token))
        diagnostic_hint(diagnostic, "write 'rom off', or the absolute path of a file in quotes");
    else if (error->previous.token == TOKEN_SERIAL && !syntax_error_text_of(&error->found))
        diagnostic_hint(diagnostic,
                        "the serial number comes here, in quotes: serial \"DE00212E7B\"");
    else if (error->previous.token == TOKEN_RUN && syntax_error_is_keyword(error->found.token))
        diagnostic_hint(diagnostic, "the program comes here, in quotes: run \"/PROGRAM\"");
    else if (error->found.token == TOKEN_NEWLINE)
        diagnostic_hint(diagnostic,
                        error->expected[TOKEN_OFF]
                            ? "write 'rom off', or the absolute path of a file in quotes"
                            : "write it in quotes: \"...\"");
    else if (syntax_error_text_of(&error->found) && *word && strchr("'`", *word)) {
        if (!syntax_error_hint_quotes(diagnostic, diagnostic->source, error->found.span.start))
            diagnostic_hint(diagnostic, "quotes are '\"'");
    } else
        diagnostic_hint(diagnostic, "write it in quotes: \"%s\"", word);
}

/* Behind the device of an action. */
static void syntax_error_hint_rest(struct diagnostic *diagnostic, const struct syntax_error *error,
                                   const char *word) {
    if (error->found.token == TOKEN_WORD && error->expected[TOKEN_OR])
        diagnostic_hint(diagnostic,
                        error->expected[TOKEN_COMMA]
                            ? "two devices are separated by ',', two names of one by 'or'"
                            : TWO_LINES);
    else if (error->expected[TOKEN_AS])
        syntax_error_hint_after_device(diagnostic, error, word);
    else if (error->expected[TOKEN_OR])
        syntax_error_hint_condition(diagnostic, error);
    else if (error->expected[TOKEN_WITHIN] && error->found.token == TOKEN_WORD && *word >= '0' &&
             *word <= '9')
        diagnostic_hint(diagnostic, "did you mean 'within %s'?", word);
    else if (syntax_error_expects_argument(error) &&
             (syntax_error_is_keyword(error->found.token) || error->found.token == TOKEN_EVENT))
        diagnostic_hint(
            diagnostic,
            "an action has its own line; as an argument the word is written in quotes: \"%s\"",
            word);
    else if (error->expected[TOKEN_STRING] && error->found.token != TOKEN_OPEN)
        syntax_error_hint_text(diagnostic, error, word);
    else if (error->found.token == TOKEN_COMMA && error->expected[TOKEN_OPTIONAL])
        diagnostic_hint(diagnostic,
                        "options are separated by blanks; every action has its own line");
    else if (error->found.token == TOKEN_WITH && error->expected[TOKEN_OPTIONAL])
        diagnostic_hint(diagnostic, "'with group' stands before 'as'");
    else if ((error->found.token == TOKEN_RESET || error->found.token == TOKEN_REBOOT) &&
             error->expected[TOKEN_THEN])
        diagnostic_hint(diagnostic, "did you mean 'then %s'?", word);
    else if (error->found.token == TOKEN_OFF && error->expected[TOKEN_ROM])
        diagnostic_hint(diagnostic, "did you mean 'rom off'?");
    else if (error->found.token == TOKEN_GROUP && error->expected[TOKEN_OPTIONAL])
        diagnostic_hint(diagnostic, "'with group' comes before 'as'");
    else if (error->found.token == TOKEN_OPEN && error->expected[TOKEN_NEWLINE])
        diagnostic_hint(diagnostic, "a block follows the events of a rule");
    else if (error->expected[TOKEN_NEWLINE] && syntax_error_is_keyword(error->found.token))
        diagnostic_hint(diagnostic, "one statement or action stands on a line");
}

static bool syntax_error_is_event(const char *word) {
    enum event_name event = 0;
    while (event < EVENT_COUNT && strcmp(word, scanner_event_text(event)) != 0)
        event++;
    return event < EVENT_COUNT;
}

/* What begins a block elsewhere. */
static bool syntax_error_is_foreign_open(const char *word) {
    static const char *const words[] = {"(", "[", "do", "begin", ":", "=>", "->"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

/* "on vm C# started {": the rest of the line is a comment. Returns false when the line ends without
 * one. */
static bool syntax_error_hint_comment(struct diagnostic *diagnostic,
                                      const struct syntax_error *error) {
    const char *text = diagnostic->source->text;
    struct span word = error->previous.span;
    if (error->found.token != TOKEN_NEWLINE || text[word.end] != '#' ||
        error->previous.token == TOKEN_NEWLINE)
        return false;
    size_t length = word.end - word.start + strcspn(text + word.end, " \t\r\n,{}\"");
    diagnostic_hint(diagnostic,
                    "'#' begins a comment; a word with a '#' in it is written in quotes: \"%.*s\"",
                    (int)length, text + word.start);
    return true;
}

/* Where one kind of word alone is right, or a statement begins. */
static void syntax_error_hint_one(struct diagnostic *diagnostic, const struct syntax_error *error,
                                  const char *word) {
    if (syntax_error_expects_only(error, TOKEN_VM))
        diagnostic_hint(diagnostic, "'vm' comes before a VM's name: vm frigate");
    else if (syntax_error_expects_only(error, TOKEN_ATTACH))
        diagnostic_hint(diagnostic, "a guard is: never attach DEVICE, or never attach DEVICE to vm "
                                    "NAME");
    else if (syntax_error_expects_only(error, TOKEN_WORD))
        syntax_error_hint_name(diagnostic, error, word);
    else if (syntax_error_expects_only(error, TOKEN_IS))
        diagnostic_hint(diagnostic, "a definition is: device NAME is 1ac1:089a");
    else if (error->expected[TOKEN_VFIO])
        diagnostic_hint(diagnostic, "'vfio' for PCI devices, 'usb' for USB devices");
    else if (error->expected[TOKEN_OPEN] && syntax_error_is_event(word))
        diagnostic_hint(diagnostic, "events are separated by ',': started, %s", word);
    else if (error->expected[TOKEN_OPEN] && syntax_error_is_foreign_open(word))
        diagnostic_hint(diagnostic, "a block is between '{' and '}', one action a line");
    else if (error->expected[TOKEN_OPEN])
        diagnostic_hint(diagnostic, "say what to do: attach DEVICE as vfio, detach DEVICE, run "
                                    "\"/PROGRAM\", or a block of these between '{' and '}'");
    else if (error->expected[TOKEN_ON] && error->expected[TOKEN_NEVER] &&
             !strncasecmp(word, "never", 5))
        diagnostic_hint(diagnostic, "did you mean 'never attach'?");
    else if (error->expected[TOKEN_ON] && error->expected[TOKEN_NEVER])
        diagnostic_hint(diagnostic, "a rule is: on vm NAME EVENT attach DEVICE as vfio");
    else if (error->found.token == TOKEN_STRING && error->expected[TOKEN_NUMBER] &&
             !error->expected[TOKEN_STRING] && *word)
        diagnostic_hint(diagnostic, "leave out the quotes: %s", word);
    else
        syntax_error_hint_rest(diagnostic, error, word);
}

static void syntax_error_hint(struct diagnostic *diagnostic, const struct syntax_error *error) {
    const char *word = syntax_error_text_of(&error->found) ? syntax_error_text_of(&error->found)
                                                           : scanner_token_text(error->found.token);
    const char *near =
        error->found.token == TOKEN_WORD ? syntax_error_nearest_keyword(error) : NULL;
    if (syntax_error_hint_comment(diagnostic, error))
        ;
    else if (error->found.token == TOKEN_WORD && strchr(word, ';') &&
             error->previous.token != TOKEN_NEWLINE)
        diagnostic_hint(diagnostic, "%s%s%s%s", near ? "did you mean '" : "", near ? near : "",
                        near ? "'? " : "", NO_SEMICOLON);
    else if (error->found.token == TOKEN_WORD && syntax_error_is_foreign_comment(word))
        diagnostic_hint(diagnostic, "a comment begins with '#'");
    else if (error->found.token == TOKEN_CLOSE)
        diagnostic_hint(diagnostic, "there is no '{' that it could end here");
    else if (syntax_error_follows_vm(error) &&
             !syntax_error_is_and(syntax_error_text_of(&error->found)))
        syntax_error_hint_after_vm(diagnostic, error);
    else if (syntax_error_lacks_comma(error))
        diagnostic_hint(diagnostic, "%s", SEPARATE);
    else if (near)
        diagnostic_hint(diagnostic, "did you mean '%s'?", near);
    else if (syntax_error_expects_vm(error))
        syntax_error_hint_vm(diagnostic, error, word);
    else if (syntax_error_expects_device(error))
        syntax_error_hint_device(diagnostic, error, word);
    else if (error->expected[TOKEN_EVENT])
        diagnostic_hint(diagnostic, "%s", EVENT_NAMES);
    else
        syntax_error_hint_one(diagnostic, error, word);
}

/* --- a keyword that was mistyped where a device may stand passes as a name; what follows it tells
 */

static const char *syntax_error_mistyped(const struct syntax_error *error) {
    struct suggestion suggestion = {.word = syntax_error_text_of(&error->previous)};
    if (error->previous.token != TOKEN_WORD || !error->expected[TOKEN_OR])
        return NULL;
    if (syntax_error_is_backend(error->found.token))
        suggest(&suggestion, scanner_token_text(TOKEN_AS));
    else if (error->found.token == TOKEN_GROUP)
        suggest(&suggestion, scanner_token_text(TOKEN_WITH));
    else if (error->found.token == TOKEN_STRING)
        suggest(&suggestion, scanner_token_text(TOKEN_SERIAL));
    else if (error->found.token == TOKEN_NUMBER)
        for (enum token token = TOKEN_CLASS; token <= TOKEN_PORT; token++)
            suggest(&suggestion, scanner_token_text(token));
    return suggestion.best;
}

static struct diagnostic *syntax_error_syntax(struct parse_context *context, struct span span,
                                              const char *text) {
    return diagnostic_add(context->diagnostics, context->source, span, CHECK_SYNTAX, "%s", text);
}

void syntax_error_open_block(struct parse_context *context, const struct seen_token *found,
                             struct span open) {
    char *text = syntax_error_describe_token(found);
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, found->span, CHECK_SYNTAX,
                       "a block is still open at %s", text);
    free(text);
    diagnostic_hint(diagnostic, "close it with '}' on a line of its own");
    diagnostic_note(diagnostic, context->source, open, "the block begins here");
}

/* 'Home Assistant', as the source has it from its first quote on: the name in plain quotes. */
static bool syntax_error_hint_quotes(struct diagnostic *diagnostic, const struct source *source,
                                     uint32_t start) {
    const char *name = source->text + start + 1, *end = name;
    while (*end && !strchr("'`\"\n", *end))
        end++;
    if (end == name || (*end != '\'' && *end != '`'))
        return false;
    diagnostic_hint(diagnostic, "quotes are '\"': \"%.*s\"", (int)(end - name), name);
    return true;
}

void syntax_error_wrong_quotes(struct parse_context *context, struct span span) {
    struct diagnostic *diagnostic =
        syntax_error_syntax(context, span, "only '\"' begins a quoted word");
    if (!syntax_error_hint_quotes(diagnostic, context->source, span.start))
        diagnostic_hint(diagnostic, "write \"...\", also around a name that really begins so");
}

void syntax_error_odd_name(struct parse_context *context, struct span span, const char *text) {
    const char *lower = value_lower_case(text);
    size_t length = strlen(text);
    if (value_has_open_bracket(text))
        diagnostic_hint(syntax_error_syntax(context, span, "a '[' without a ']'"),
                        "a name that has a '[' in it is written in quotes: \"%s\"", text);
    else if (glob_is_void(text))
        diagnostic_hint(syntax_error_syntax(context, span, "a '[...]' that no character matches"),
                        "a range goes up: [a-z]; a class is one of [[:alpha:]], [[:digit:]] and "
                        "the like; a name that "
                        "has a '[' in it is written in quotes: \"%s\"",
                        text);
    else if (lower)
        diagnostic_hint(syntax_error_syntax(context, span, "a word of the language in upper case"),
                        "did you mean '%s'? A VM that is called so is written in quotes: \"%s\"",
                        lower, text);
    else if (length > 1 && text[length - 1] == ':')
        diagnostic_hint(syntax_error_syntax(context, span, "a name that ends with ':'"),
                        "did you mean '%.*s'? A VM that is called so is written in quotes: \"%s\"",
                        (int)length - 1, text, text);
    else if (length > 1 && text[length - 1] == ';')
        diagnostic_hint(syntax_error_syntax(context, span, "a name that ends with ';'"),
                        "There is no ';': VMs are separated by ','; a VM that is called so is "
                        "written in quotes: \"%s\"",
                        text);
}

/* "titel", "UUID"; a VM may well be called "Game Server", which is as near to 'name'. */
static const char *syntax_error_nearly_field(const char *word) {
    for (enum word_field field = FIELD_ANY + 1; field < FIELD_COUNT; field++) {
        struct suggestion suggestion = {.word = word};
        suggest(&suggestion, syntax_field_text(field));
        if (!strcasecmp(word, syntax_field_text(field)) ||
            (field != FIELD_NAME && suggestion.best && suggestion.distance == 1))
            return syntax_field_text(field);
    }
    return NULL;
}

static bool syntax_error_is_one_of(const char *word, const char *const *list) {
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list != NULL;
}

bool syntax_error_hint_vm_words(struct diagnostic *diagnostic, const char *words, size_t length) {
    static const char *const nots[] = {"!", "not", "but", "except", "without", NULL};
    static const char *const separators[] = {"|", "||", "&", "&&", "+", "/", ";", NULL};
    char *text = memory_strndup(words, length), *rest = NULL;
    char *first = strtok_r(text, " \t", &rest),
         *second = first ? strtok_r(NULL, " \t", &rest) : NULL;
    const char *field = second && !syntax_error_is_one_of(second, separators)
                            ? syntax_error_nearly_field(first)
                            : NULL;
    bool said = true;
    if (!second)
        said = false;
    else if (syntax_error_is_one_of(first, nots) || syntax_error_is_one_of(second, nots))
        diagnostic_hint(diagnostic, "there is no 'not': name the VMs that are meant");
    else if (syntax_error_is_one_of(second, separators) || character_has_wide_separator(first) ||
             character_has_wide_separator(second))
        diagnostic_hint(diagnostic, "%s", SEPARATE);
    else if (!strcmp(second, "=") || !strcmp(first, "="))
        diagnostic_hint(diagnostic, "leave out the '='");
    else if (field && strcmp(first, field) != 0)
        diagnostic_hint(diagnostic, "did you mean '%s'?", field);
    else
        said = false;
    free(text);
    return said;
}

/* "never attach gpu to vm Home Assistant" */
void syntax_error_hint_guarded_words(struct diagnostic *diagnostic, const struct seen_token *found,
                                     const char *words, size_t length) {
    if (found->token == TOKEN_EVENT)
        diagnostic_hint(diagnostic, "leave it out: a 'never' holds at every event");
    else if (!syntax_error_hint_vm_words(diagnostic, words, length))
        diagnostic_hint(diagnostic, "a name with a blank in it is written in quotes: \"%.*s\"",
                        (int)length, words);
}

void syntax_error_bad_uuid(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_BAD_UUID, "'%s' is not a UUID", text);
    diagnostic->fixed = true;
    if (strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32)
        diagnostic_hint(diagnostic, "did you mean '%.8s-%.4s-%.4s-%.4s-%.12s'?", text, text + 8,
                        text + 12, text + 16, text + 20);
    else
        diagnostic_hint(diagnostic, "write it as 'virsh list --all --uuid' does: "
                                    "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e");
}

void syntax_error_joined_never(struct parse_context *context, struct span backslash) {
    diagnostic_hint(
        syntax_error_syntax(context, backslash, "this backslash joins the next line, a 'never'"),
        "take the backslash away: a 'never' is a statement of its own");
}

bool syntax_error_is_shell_operator(const char *text) {
    static const char *const words[] = {";", "&", "&&", "|", "||", ">", ">>", "<", "//", "2>&1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i]))
            return true;
    return false;
}

void syntax_error_shell_word(struct parse_context *context, struct span span, const char *text) {
    if (!syntax_error_is_shell_operator(text))
        return;
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_SYNTAX,
                       "'%s' has no meaning here: no shell reads the command", text);
    if (*text == ';')
        diagnostic_hint(diagnostic, "%s", NO_SEMICOLON);
    else if (*text == '/')
        diagnostic_hint(diagnostic, "a comment begins with '#'");
    else
        diagnostic_hint(diagnostic, "write a script; an argument is written in quotes: \"%s\"",
                        text);
}

void syntax_error_report(struct parse_context *context, const struct syntax_error *error) {
    if (error->found.token == TOKEN_CLOSE && error->expected[TOKEN_ON]) {
        diagnostic_hint(syntax_error_syntax(context, error->found.span, "a '}' without a '{'"),
                        "a block is: on vm NAME EVENT { ... }");
        return;
    }
    const char *meant = syntax_error_mistyped(error);
    if (meant) {
        diagnostic_hint(diagnostic_add(context->diagnostics, context->source, error->previous.span,
                                       CHECK_SYNTAX, "expected '%s', found '%s'", meant,
                                       syntax_error_text_of(&error->previous)),
                        "did you mean '%s'?", meant);
        return;
    }
    char *expected = syntax_error_describe_expected(error);
    char *found = syntax_error_describe_token(&error->found);
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, error->found.span, CHECK_SYNTAX,
                       "expected %s, found %s", expected, found);
    free(expected);
    free(found);
    syntax_error_hint(diagnostic, error);
}

/* What other tools call it. */
static const char *syntax_error_event_of_synonym(const char *text) {
    static const char *const synonyms[][2] = {
        {"stop", "stopped"},      {"shutdown", "stopped"},  {"shutoff", "stopped"},
        {"boot", "started"},      {"running", "started"},   {"plug", "plugged"},
        {"hotplug", "plugged"},   {"add", "plugged"},       {"added", "plugged"},
        {"attached", "plugged"},  {"unplug", "unplugged"},  {"remove", "unplugged"},
        {"removed", "unplugged"}, {"detached", "unplugged"}};
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (!strcmp(text, synonyms[i][0]))
            return synonyms[i][1];
    return NULL;
}

bool syntax_error_is_nearly_event(const char *text) {
    struct suggestion suggestion = {.word = text};
    for (enum event_name event = 0; event < EVENT_COUNT; event++)
        suggest(&suggestion, scanner_event_text(event));
    return suggestion.best || syntax_error_event_of_synonym(text) || syntax_error_is_and(text);
}

bool syntax_error_mistyped_word(struct parse_context *context, struct span span, const char *text,
                                const enum token *tokens, size_t count) {
    struct suggestion suggestion = {.word = text};
    for (size_t i = 0; i < count; i++)
        suggest(&suggestion, scanner_token_text(tokens[i]));
    if (!suggestion.best)
        return false;
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_SYNTAX,
                       "expected '%s', found '%s'", suggestion.best, text);
    diagnostic->cause = true;
    diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    return true;
}

bool syntax_error_unknown_event(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_UNKNOWN_EVENT, "unknown event '%s'", text);
    struct suggestion suggestion = {.word = text};
    /* From the last on: 'started' is meant more often than 'start', which is as near. */
    for (enum event_name event = EVENT_COUNT; event-- > 0;)
        suggest(&suggestion, scanner_event_text(event));
    if (syntax_error_event_of_synonym(text))
        suggestion.best = syntax_error_event_of_synonym(text);
    if (!strncmp(text, "//", 2))
        diagnostic_hint(diagnostic, "a comment begins with '#'");
    else if (strchr(text, ';'))
        diagnostic_hint(diagnostic, "%s", NO_SEMICOLON);
    else if (character_has_wide_separator(text))
        diagnostic_hint(diagnostic, "write a plain ',' between two events");
    else if (syntax_error_is_and(text))
        diagnostic_hint(diagnostic, "%s", SEPARATE);
    else if (suggestion.best)
        diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    else
        diagnostic_hint(diagnostic, "%s", EVENT_NAMES);
    return suggestion.best || syntax_error_is_and(text);
}
